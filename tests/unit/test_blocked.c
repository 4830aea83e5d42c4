/* Blocked regions and the service that may work meanwhile (gc/service.h), from a second thread. */
#include "bound.h"

#include <pthread.h>
#include <sched.h>

/* What the second thread does, and what came of it; looked at after it was joined. */
struct work {
    mid_heap *heap;
    uint64_t wait_micros;
    int slices;       /* compact in slices instead of at once */
    int linger;       /* stay in the claim until the mutator wants out */
    int *wants_out;
    mid_status stop, collect, compact, drain, trim;
    uint64_t waited, drained, returned;
    mid_snapshot snapshot;
    mid_collect_result collected;
    mid_compact_result compacted;
    int claimed, resumed;
};

static void *work_thread(void *argument)
{
    struct work *work = argument;
    mid_service_snapshot(work->heap, &work->snapshot);
    work->stop = mid_service_stop(work->heap, NULL, work->wait_micros, &work->waited);
    if (work->stop != MID_OK)
        return NULL;
    __atomic_store_n(&work->claimed, 1, __ATOMIC_RELEASE);
    while ((work->drain = mid_service_drain(work->heap, 1000, &work->drained)) == MID_MORE)
        ;
    work->collect = mid_service_collect(work->heap, &work->collected);
    do
        work->compact = mid_service_compact(work->heap, work->slices ? 100 : 0, &work->compacted);
    while (work->compact == MID_MORE);
    work->trim = mid_service_trim(work->heap, 0, 0, &work->returned);
    if (work->linger) {
        while (!__atomic_load_n(work->wants_out, __ATOMIC_ACQUIRE))
            sched_yield();
        for (int i = 0; i < 2000; i++) /* let it run into the wait */
            sched_yield();
    }
    __atomic_store_n(&work->resumed, 1, __ATOMIC_RELEASE);
    mid_service_resume(work->heap);
    return NULL;
}

static pthread_t begin(struct work *work)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work_thread, work), 0);
    return thread;
}

enum { MANY = 30000 };
static mid_handle objects[MANY];

static void fill_and_thin(struct unit *u)
{
    for (size_t i = 0; i < MANY; i++) {
        objects[i] = unit_new(u, u->node);
        unit_node(u, objects[i])->value = i;
    }
    for (size_t i = 0; i < MANY; i++)
        if (i % 10 != 0)
            mid_release(u->thread, objects[i]);
}

static void verify_and_drop(struct unit *u)
{
    for (size_t i = 0; i < MANY; i += 10) {
        assert_int_equal(unit_node(u, objects[i])->value, i);
        mid_release(u->thread, objects[i]);
    }
}

TEST(there_is_one_service)
{
    struct unit u;
    open_bound(&u, "");
    expect(MID_EINVAL, mid_service_bind(u.heap, kick, NULL));
    expect(MID_ETHREAD, mid_heap_close(u.heap)); /* it still runs */
    expect(MID_ETHREAD, mid_heap_destroy(u.heap));
    mid_service_unbind(u.heap);
    ok(mid_service_bind(u.heap, kick, NULL));
    close_bound(&u);
}

TEST(a_blocked_mutator_is_stopped_at_once)
{
    struct unit u;
    for (int slices = 0; slices < 2; slices++) {
        open_bound(&u, "reserve=0");
        fill_and_thin(&u);
        mid_release(u.thread, unit_ring(&u, u.node, 100));
        struct work work = {.heap = u.heap, .wait_micros = 0, .slices = slices};
        ok(mid_blocked_enter(u.thread));
        pthread_join(begin(&work), NULL);
        ok(mid_blocked_leave(u.thread));
        ok(work.stop);
        assert_int_equal(work.snapshot.mutator, MID_MUTATOR_BLOCKED);
        ok(work.collect);
        assert_int_equal(work.collected.freed, 100);
        ok(work.compact);
        unit_compacted(&u, 0);
        ok(work.trim);
        ok(work.drain);
        assert_true(work.returned > 0);
        assert_int_equal(unit_live(&u), MANY / 10);
        assert_true(unit_stats(&u).moved_objects > 0);
        unit_check(&u);
        verify_and_drop(&u);
        close_bound(&u);
    }
}

TEST(a_claimed_mutator_comes_out_only_after_resume)
{
    struct unit u;
    int wants_out = 0;
    open_bound(&u, "");
    ok(mid_blocked_enter(u.thread));
    struct work work = {.heap = u.heap, .linger = 1, .wants_out = &wants_out};
    pthread_t thread = begin(&work);
    while (!__atomic_load_n(&work.claimed, __ATOMIC_ACQUIRE))
        sched_yield();
    __atomic_store_n(&wants_out, 1, __ATOMIC_RELEASE);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(__atomic_load_n(&work.resumed, __ATOMIC_ACQUIRE), 1);
    pthread_join(thread, NULL);
    ok(work.stop);
    close_bound(&u);
}

TEST(a_mutator_far_from_safepoints_is_left_alone)
{
    struct unit u;
    open_bound(&u, "");
    mid_handle held = unit_new(&u, u.node);
    struct work work = {.heap = u.heap, .wait_micros = 500};
    pthread_join(begin(&work), NULL); /* we reach no safepoint meanwhile */
    expect(MID_EPOSTPONED, work.stop);
    size_t before = __atomic_load_n(&kicks, __ATOMIC_RELAXED);
    ok(mid_safepoint(u.thread)); /* the request stands: this one says so */
    assert_true(__atomic_load_n(&kicks, __ATOMIC_RELAXED) > before);
    for (int i = 0; i < 100; i++)
        ok(mid_safepoint(u.thread)); /* and nobody waits for good */
    unit_check(&u);
    mid_release(u.thread, held);
    close_bound(&u);
}

TEST(a_mutator_that_reaches_safepoints_is_stopped_there)
{
    struct unit u;
    open_bound(&u, "");
    fill_and_thin(&u);
    struct work work = {.heap = u.heap, .wait_micros = 60000000};
    pthread_t thread = begin(&work);
    while (!__atomic_load_n(&work.resumed, __ATOMIC_ACQUIRE))
        ok(mid_safepoint(u.thread));
    pthread_join(thread, NULL);
    ok(work.stop);
    assert_int_equal(work.snapshot.mutator, MID_MUTATOR_RUNNING);
    ok(work.compact);
    unit_compacted(&u, 0);
    unit_check(&u);
    verify_and_drop(&u);
    close_bound(&u);
}

TEST(a_heap_without_mutator_is_stopped_at_once)
{
    struct unit u;
    open_bound(&u, "");
    mid_release(u.thread, unit_ring(&u, u.node, 10));
    ok(mid_thread_detach(u.thread));
    struct work work = {.heap = u.heap};
    pthread_join(begin(&work), NULL);
    ok(work.stop);
    assert_int_equal(work.snapshot.mutator, MID_MUTATOR_NONE);
    assert_int_equal(work.collected.freed, 10);
    ok(mid_thread_attach(u.heap, &u.thread));
    close_bound(&u);
}

TEST(the_mutator_may_serve_itself)
{
    struct unit u;
    uint64_t waited = 99, freed = 0;
    open_bound(&u, "");
    mid_release(u.thread, unit_ring(&u, u.node, 10));
    ok(mid_service_stop(u.heap, u.thread, 0, &waited));
    mid_collect_result result;
    ok(mid_service_collect(u.heap, &result));
    assert_int_equal(result.freed, 10);
    ok(mid_service_drain(u.heap, 1000, &freed));
    mid_service_resume(u.heap);
    assert_int_equal(unit_live(&u), 0);
    close_bound(&u);
}

static size_t finalized;
static pthread_t finalized_on;

static void finalize(mid_thread *thread, mid_handle object)
{
    (void)thread;
    (void)object;
    finalized++;
    finalized_on = pthread_self();
}

TEST(finalizers_wait_for_the_mutator)
{
    struct unit u;
    open_bound(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "finalized", .finalize = finalize});
    finalized = 0;
    mid_release(u.thread, unit_ring(&u, type, 5));
    struct work work = {.heap = u.heap};
    ok(mid_blocked_enter(u.thread));
    pthread_join(begin(&work), NULL);
    assert_int_equal(finalized, 0);
    mid_snapshot snapshot;
    mid_service_snapshot(u.heap, &snapshot);
    assert_int_equal(snapshot.finalizers_waiting, 5);
    ok(mid_blocked_leave(u.thread));
    for (int i = 0; i < 10; i++)
        ok(mid_safepoint(u.thread));
    assert_int_equal(finalized, 5);
    assert_true(pthread_equal(finalized_on, pthread_self()));
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(finalized, 5);
    close_bound(&u);
}

TEST(the_work_list_is_drained_for_the_mutator)
{
    struct unit u;
    open_bound(&u, "free-batch=32");
    mid_handle head = 0;
    for (int i = 0; i < 50000; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, head);
        head = next;
    }
    mid_release(u.thread, head);
    struct work work = {.heap = u.heap};
    ok(mid_blocked_enter(u.thread));
    pthread_join(begin(&work), NULL);
    ok(mid_blocked_leave(u.thread));
    assert_true(work.snapshot.waiting_objects > 0);
    ok(work.drain);
    assert_int_equal(unit_stats(&u).waiting_objects, 0);
    assert_int_equal(unit_live(&u), 0);
    close_bound(&u);
}

TEST(kicks_come_with_credit_blocking_and_leaving)
{
    struct unit u;
    open_bound(&u, "credit=64K");
    size_t before = kicks;
    mid_handle vec = unit_array(&u, u.vec, 2000);
    for (int i = 0; i < 2000; i++)
        mid_give(u.thread, vec, ITEM(i), unit_array(&u, u.bytes, 1000));
    assert_true(kicks > before);
    mid_release(u.thread, vec);
    unit_drain(&u);
    mid_handle held = unit_array(&u, u.bytes, 60000);
    before = kicks;
    mid_handle more = unit_array(&u, u.bytes, 60000);
    ok(mid_blocked_enter(u.thread)); /* there is something to look at */
    assert_true(kicks > before);
    ok(mid_blocked_leave(u.thread));
    mid_release(u.thread, held);
    mid_release(u.thread, more);
    before = kicks;
    ok(mid_thread_detach(u.thread));
    assert_true(kicks > before);
    ok(mid_thread_attach(u.heap, &u.thread));
    close_bound(&u);
}

TEST(the_snapshot_agrees_with_the_statistics)
{
    struct unit u;
    open_bound(&u, "");
    fill_and_thin(&u);
    ok(mid_service_stop(u.heap, u.thread, 0, NULL));
    mid_snapshot snapshot;
    mid_service_snapshot(u.heap, &snapshot);
    mid_stats stats = unit_stats(&u);
    assert_int_equal(snapshot.allocated_bytes, stats.allocated_bytes);
    assert_int_equal(snapshot.live_slot_bytes, stats.live_slot_bytes);
    assert_int_equal(snapshot.pool_bytes, stats.pool_bytes);
    assert_int_equal(snapshot.empty_bytes, stats.empty_bytes);
    assert_int_equal(snapshot.committed_bytes, stats.committed_bytes);
    assert_int_equal(snapshot.waiting_objects, stats.waiting_objects);
    mid_class_stats class_stats;
    uint64_t gain = 0;
    for (unsigned i = 0; mid_stats_class(u.heap, i, &class_stats) == MID_OK; i++)
        gain += class_stats.pools - class_stats.optimal_pools;
    assert_true(snapshot.gain_bytes <= gain << 16);
    assert_true(snapshot.gain_bytes >= (gain << 16) - ((uint64_t)2 << 16)); /* the thread's own pools aside */
    mid_service_resume(u.heap);
    verify_and_drop(&u);
    close_bound(&u);
}

TEST(blocked_regions_do_not_nest)
{
    struct unit u;
    unit_open(&u, "");
    expect(MID_ENULL, mid_blocked_enter(NULL));
    expect(MID_ENULL, mid_blocked_leave(NULL));
    expect(MID_ETHREAD, mid_blocked_leave(u.thread));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_thread_detach(u.thread));
    ok(mid_blocked_leave(u.thread));
    expect(MID_ETHREAD, mid_blocked_leave(u.thread));
    unit_close(&u);
}

/* Enter and leave as fast as possible while the service claims as fast as it can. */
struct race {
    mid_heap *heap;
    int done;
    size_t claims;
};

static void *race_thread(void *argument)
{
    struct race *race = argument;
    while (!__atomic_load_n(&race->done, __ATOMIC_ACQUIRE))
        if (mid_service_stop(race->heap, NULL, 100, NULL) == MID_OK) {
            mid_compact_result result;
            mid_service_compact(race->heap, 50, &result);
            mid_service_resume(race->heap);
            race->claims++;
        }
    return NULL;
}

TEST(entering_and_leaving_race_with_claims)
{
    struct unit u;
    struct race race = {0};
    uint64_t seed = 5;
    open_bound(&u, "");
    race.heap = u.heap;
    fill_and_thin(&u);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, race_thread, &race), 0);
    for (size_t i = 0; i < unit_scale(20000); i++) {
        ok(mid_blocked_enter(u.thread));
        ok(mid_blocked_leave(u.thread));
        size_t at = unit_random(&seed) % (MANY / 10) * 10;
        mid_release(u.thread, objects[at]);
        objects[at] = unit_new(&u, u.node);
        unit_node(&u, objects[at])->value = at;
        if (i % 4 == 0)
            ok(mid_safepoint(u.thread));
        assert_int_equal(unit_node(&u, objects[at])->value, at);
    }
    __atomic_store_n(&race.done, 1, __ATOMIC_RELEASE);
    ok(mid_blocked_enter(u.thread));
    pthread_join(thread, NULL);
    ok(mid_blocked_leave(u.thread));
    unit_check(&u);
    verify_and_drop(&u);
    close_bound(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_is_one_service),
        cmocka_unit_test(a_blocked_mutator_is_stopped_at_once),
        cmocka_unit_test(a_claimed_mutator_comes_out_only_after_resume),
        cmocka_unit_test(a_mutator_far_from_safepoints_is_left_alone),
        cmocka_unit_test(a_mutator_that_reaches_safepoints_is_stopped_there),
        cmocka_unit_test(a_heap_without_mutator_is_stopped_at_once),
        cmocka_unit_test(the_mutator_may_serve_itself),
        cmocka_unit_test(finalizers_wait_for_the_mutator),
        cmocka_unit_test(the_work_list_is_drained_for_the_mutator),
        cmocka_unit_test(kicks_come_with_credit_blocking_and_leaving),
        cmocka_unit_test(the_snapshot_agrees_with_the_statistics),
        cmocka_unit_test(blocked_regions_do_not_nest),
        cmocka_unit_test(entering_and_leaving_race_with_claims),
    };
    return UNIT_RUN(tests);
}
