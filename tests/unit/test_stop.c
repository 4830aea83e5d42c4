/* The world stops for collections, compactions and checks of one mutator while others poll, sleep, or do not come. */
#include "peer.h"

#include "gc/service.h"

static uint64_t waits(struct unit *u)
{
    uint64_t buckets[MID_STOP_BUCKETS], sum = 0;
    ok(mid_stats_waits(u->heap, buckets));
    for (int i = 0; i < MID_STOP_BUCKETS; i++)
        sum += buckets[i];
    return sum;
}

/* A ring that nobody holds, made by the peer. */
static void drop_ring(struct peer *peer)
{
    mid_handle nodes[50];
    for (int i = 0; i < 50; i++)
        peer->wrong += mid_new(peer->thread, peer->type, &nodes[i]) != MID_OK;
    for (int i = 0; i < 50; i++)
        mid_store(peer->thread, nodes[i], LEFT, nodes[(i + 1) % 50]);
    for (int i = 0; i < 50; i++)
        mid_release(peer->thread, nodes[i]);
}

static struct peer *peer_with_ring(struct unit *u)
{
    struct peer *peer = peer_new(u);
    peer->type = u->node;
    peer_do(peer, drop_ring);
    assert_int_equal(peer->wrong, 0);
    return peer;
}

/* --- one that polls, one that sleeps, one that does not come ------------------------------------------------------ */

TEST(one_collects_while_the_other_polls)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_with_ring(&u);
    mid_release(u.thread, unit_ring(&u, u.node, 30));
    peer_begin(peer, peer_polls);
    peer_wait_rounds(peer, 1);
    mid_collect_result result;
    uint64_t stops = unit_stats(&u).stops;
    ok_in_time(mid_collect(u.thread, &result));
    assert_int_equal(result.freed, 80);
    assert_int_equal(unit_stats(&u).stops, stops + 1);
    assert_int_equal(waits(&u), 1);
    peer_wait_rounds(peer, 2); /* it goes on */
    peer_finish_polling(peer, u.thread);
    assert_int_equal(peer->wrong, 0);
    assert_int_equal(unit_live(&u), 0);
    peer_end(peer);
    unit_close(&u);
}

TEST(one_collects_while_the_other_sleeps)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_with_ring(&u);
    peer_block(peer);
    mid_collect_result result;
    ok(mid_collect(u.thread, &result));
    assert_int_equal(result.freed, 50);
    assert_int_equal(waits(&u), 0); /* there was nobody to wait for */
    assert_int_equal(unit_stats(&u).postponed_stops, 0);
    peer_unblock(peer);
    peer_release(peer, peer_make(peer, u.node));
    peer_end(peer);
    unit_close(&u);
}

static void look(struct peer *peer)
{
    peer->status = mid_heap_check(peer->heap);
}

TEST(one_that_does_not_come_postpones)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_with_ring(&u);
    mid_handle kept = unit_ring(&u, u.node, 3);
    uint64_t objects = 0, bytes = 0, postponed = 0;
    mid_collect_result collected;
    mid_compact_result compacted;
    for (int round = 0; round < 2; round++) {
        expect(MID_EPOSTPONED, mid_collect(u.thread, &collected));
        expect(MID_EPOSTPONED, mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &compacted));
        expect(MID_EPOSTPONED, mid_heap_check(u.heap));
        expect(MID_EPOSTPONED, mid_stats_type(u.heap, u.node, &objects, &bytes));
        assert_true(unit_stats(&u).postponed_stops >= postponed + 4);
        postponed = unit_stats(&u).postponed_stops;
        assert_int_equal(unit_live(&u), 53);
        peer_safepoint(peer); /* nobody waits for the request that stands */
        mid_handle made = peer_make(peer, u.node);
        peer_release(peer, made);
    }
    peer_block(peer);
    ok(mid_collect(u.thread, &collected));
    assert_int_equal(collected.freed, 50);
    unit_check(&u);
    peer_unblock(peer);
    mid_release(u.thread, kept);
    peer_end(peer);
    ok(mid_collect(u.thread, NULL));
    unit_close_empty(&u);
}

/* Of three, one does not come: the one that polls is let go again. */
TEST(a_postponed_stop_lets_the_others_go)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *polling = peer_new(&u), *absent = peer_new(&u), *asleep = peer_new(&u);
    peer_block(asleep);
    peer_begin(polling, peer_polls);
    for (int round = 0; round < 2; round++) {
        peer_wait_rounds(polling, 1);
        expect(MID_EPOSTPONED, mid_collect(u.thread, NULL));
        peer_wait_rounds(polling, 3);
        peer_unblock(asleep);
        peer_block(asleep);
    }
    peer_block(absent);
    ok_in_time(mid_collect(u.thread, NULL));
    peer_wait_rounds(polling, 3);
    peer_finish_polling(polling, u.thread);
    assert_int_equal(polling->wrong, 0);
    peer_unblock(asleep);
    peer_unblock(absent);
    peer_end(polling);
    peer_end(absent);
    peer_end(asleep);
    unit_close(&u);
}

TEST(one_checks_while_others_are_attached)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *asleep = peer_with_ring(&u), *polling = peer_with_ring(&u);
    uint64_t objects = 0, bytes = 0;
    peer_block(asleep);
    peer_begin(polling, peer_polls);
    for (int i = 0; i < 5; i++) {
        ok_in_time(mid_heap_check(u.heap));
        ok_in_time(mid_stats_type(u.heap, u.node, &objects, &bytes));
        assert_int_equal(objects, 100);
    }
    peer_finish_polling(polling, u.thread);
    assert_int_equal(polling->wrong, 0);
    peer_do(polling, look); /* main does not come now, */
    expect(MID_EPOSTPONED, polling->status);
    ok(mid_blocked_enter(u.thread)); /* and now it sleeps */
    peer_do(polling, look);
    ok(mid_blocked_leave(u.thread));
    ok(polling->status);
    peer_unblock(asleep);
    peer_end(asleep);
    peer_end(polling);
    ok(mid_collect(u.thread, NULL));
    unit_close_empty(&u);
}

/* --- the world stands while it does ------------------------------------------------------------------------------- */

struct standing {
    struct peer *peer;
    int leaving, left; /* atomic */
    size_t early, begins, ends;
};

static void leave_and_tell(struct peer *peer)
{
    struct standing *s = peer->data;
    __atomic_store_n(&s->leaving, 1, __ATOMIC_RELEASE);
    peer->status = mid_blocked_leave(peer->thread);
    __atomic_store_n(&s->left, 1, __ATOMIC_RELEASE);
}

static void on_stop(void *context)
{
    struct standing *s = context;
    s->begins++;
    peer_begin(s->peer, leave_and_tell);
    while (!__atomic_load_n(&s->leaving, __ATOMIC_ACQUIRE))
        sched_yield();
    for (int i = 0; i < 2000; i++) { /* let it run into the wait, or out if it can */
        sched_yield();
        s->early += (size_t)__atomic_load_n(&s->left, __ATOMIC_ACQUIRE);
    }
}

static void on_resume(void *context, uint64_t micros)
{
    struct standing *s = context;
    (void)micros;
    s->ends++;
    s->early += (size_t)__atomic_load_n(&s->left, __ATOMIC_ACQUIRE);
}

TEST(nobody_leaves_a_region_while_the_world_stands)
{
    struct unit u;
    unit_open(&u, "");
    struct standing s = {.peer = peer_new(&u)};
    mid_listener l = {.struct_size = sizeof l, .context = &s, .stop_begin = on_stop, .stop_end = on_resume};
    s.peer->data = &s;
    peer_block(s.peer);
    ok(mid_listener_add(u.heap, &l));
    ok(mid_collect(u.thread, NULL));
    ok(mid_listener_remove(u.heap, &s));
    peer_wait(s.peer);
    ok(s.peer->status);
    assert_int_equal(s.begins, 1);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.early, 0);
    peer_end(s.peer);
    unit_close(&u);
}

/* --- compaction --------------------------------------------------------------------------------------------------- */

enum { MANY = 8000 };
struct held {
    mid_handle handles[MANY];
};

static void hold_one_in_ten(struct peer *peer)
{
    struct held *held = peer->data;
    for (size_t i = 0; i < MANY; i++) {
        peer->wrong += mid_new(peer->thread, peer->type, &held->handles[i]) != MID_OK;
        ((struct node *)mid_get(peer->thread, held->handles[i]))->value = i;
    }
    for (size_t i = 0; i < MANY; i++)
        if (i % 10 != 0)
            mid_release(peer->thread, held->handles[i]);
}

static void verify(struct peer *peer)
{
    struct held *held = peer->data;
    for (size_t i = 0; i < MANY; i += 10)
        peer->wrong += ((struct node *)mid_get(peer->thread, held->handles[i]))->value != i;
}

static void verify_and_poll(struct peer *peer)
{
    while (peer_goes_on(peer)) {
        verify(peer);
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
    }
}

static void drop(struct peer *peer)
{
    struct held *held = peer->data;
    for (size_t i = 0; i < MANY; i += 10)
        mid_release(peer->thread, held->handles[i]);
}

TEST(one_compacts_what_others_use)
{
    enum { PEERS = 2 };
    struct unit u;
    struct peer *peers[PEERS];
    static struct held held[PEERS];
    unit_open(&u, "reserve=0");
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(&u);
        peers[i]->data = &held[i];
        peers[i]->type = u.node;
        peer_do(peers[i], hold_one_in_ten);
        peer_begin(peers[i], verify_and_poll);
        peer_wait_rounds(peers[i], 1);
    }
    mid_compact_result result;
    ok_in_time(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_true(result.moved_objects > 0);
    assert_true(result.pools_after <= result.pools_optimal + 1 + PEERS); /* the promise: one for each attached thread */
    for (int i = 0; i < PEERS; i++) {
        peer_wait_rounds(peers[i], 2);
        peer_finish_polling(peers[i], u.thread);
        assert_int_equal(peers[i]->wrong, 0);
        peer_do(peers[i], drop);
        peer_end(peers[i]);
    }
    unit_close_empty(&u);
}

/* --- many that want the world ------------------------------------------------------------------------------------- */

static void want_the_world(struct peer *peer)
{
    uint64_t objects, bytes;
    for (size_t i = 0; i < unit_scale(240); i++) {
        drop_ring(peer);
        mid_status status = i % 4 == 0   ? mid_collect(peer->thread, NULL)
                            : i % 4 == 1 ? mid_compact(peer->thread, MID_COMPACT_PLAIN, 100, NULL)
                            : i % 4 == 2 ? mid_heap_check(peer->heap)
                                         : mid_stats_type(peer->heap, peer->type, &objects, &bytes);
        peer->number += status == MID_EPOSTPONED; /* see ok_in_time */
        peer->wrong += status != MID_OK && status != MID_MORE && status != MID_EPOSTPONED;
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
    }
    peer_polls(peer); /* or the others would wait for it */
}

TEST(several_want_the_world_at_once)
{
    enum { PEERS = 3 };
    struct unit u;
    struct peer *peers[PEERS];
    uint64_t postponed = 0;
    unit_open(&u, "");
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(&u);
        peers[i]->type = u.node;
    }
    for (int i = 0; i < PEERS; i++)
        peer_begin(peers[i], want_the_world);
    for (int i = 0; i < PEERS; i++)
        while (__atomic_load_n(&peers[i]->rounds, __ATOMIC_RELAXED) == 0) {
            ok(mid_safepoint(u.thread));
            sched_yield();
        }
    for (int i = 0; i < PEERS; i++) {
        peer_finish_polling(peers[i], u.thread);
        peer_block(peers[i]);
        assert_int_equal(peers[i]->wrong, 0);
        postponed += peers[i]->number;
    }
    ok(mid_collect(u.thread, NULL));
    unit_check(&u);
    assert_int_equal(unit_live(&u), 0);
    assert_true(unit_stats(&u).postponed_stops >= postponed);
    assert_true(unit_stats(&u).collections + postponed >= PEERS * (unit_scale(240) / 4));
    for (int i = 0; i < PEERS; i++) {
        peer_unblock(peers[i]);
        peer_end(peers[i]);
    }
    unit_close(&u);
}

/* --- the service --------------------------------------------------------------------------------------------------- */

static void no_kick(void *context)
{
    (void)context;
}

TEST(the_service_stops_all_of_them)
{
    struct unit u;
    unit_open(&u, "");
    ok(mid_service_bind(u.heap, no_kick, NULL));
    struct peer *polling = peer_with_ring(&u), *asleep = peer_with_ring(&u);
    peer_block(asleep);
    expect(MID_EPOSTPONED, mid_service_stop(u.heap, u.thread, 500, NULL)); /* the one that shall poll does not yet */
    peer_begin(polling, peer_polls);
    peer_wait_rounds(polling, 1);
    ok(mid_service_stop(u.heap, u.thread, 60000000, NULL));
    mid_collect_result result;
    ok(mid_service_collect(u.heap, &result));
    mid_service_resume(u.heap);
    assert_int_equal(result.freed, 100);
    peer_wait_rounds(polling, 2);
    peer_finish_polling(polling, u.thread);
    peer_unblock(asleep);
    peer_end(polling);
    peer_end(asleep);
    mid_service_unbind(u.heap);
    unit_close(&u);
}

/* --- finalizers ---------------------------------------------------------------------------------------------------- */

static struct {
    size_t runs;
    mid_thread *on;
    int inside, over; /* atomic */
    mid_status polled;
} final;

static void note_finalizer(mid_thread *thread, mid_handle object)
{
    (void)object;
    final.runs++;
    final.on = thread;
}

static void serve_a_collection(struct peer *peer)
{
    mid_collect_result result;
    peer->status = mid_service_stop(peer->heap, NULL, 0, NULL);
    if (peer->status != MID_OK)
        return;
    peer->status = mid_service_collect(peer->heap, &result);
    mid_service_resume(peer->heap);
}

/* Garbage that a service found has its finalizers run by whichever mutator comes first. */
TEST(a_finalizer_runs_on_another_thread)
{
    struct unit u;
    unit_open(&u, "");
    ok(mid_service_bind(u.heap, no_kick, NULL));
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "finalized", .finalize = note_finalizer});
    struct peer *maker = peer_new(&u), *runner = peer_new(&u), *service = peer_unattached(u.heap);
    memset(&final, 0, sizeof final);
    maker->type = type;
    peer_do(maker, drop_ring);
    peer_block(maker);
    peer_block(runner);
    ok(mid_blocked_enter(u.thread));
    peer_do(service, serve_a_collection);
    ok(service->status);
    assert_int_equal(final.runs, 0);
    assert_int_equal(unit_stats(&u).finalizers_waiting, 50);
    peer_unblock(runner);
    for (int i = 0; i < 1000 && final.runs < 50; i++)
        peer_safepoint(runner);
    assert_int_equal(final.runs, 50);
    assert_ptr_equal(final.on, runner->thread);
    ok(mid_blocked_leave(u.thread));
    peer_unblock(maker);
    peer_end(maker);
    peer_end(runner);
    peer_end(service);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(final.runs, 50);
    mid_service_unbind(u.heap);
    unit_close(&u);
}

/* The last release is another's: the owner's safepoint runs the finalizer, or the releaser if the owner sleeps. */
TEST(a_finalizer_runs_where_the_count_was_merged)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "finalized", .finalize = note_finalizer});
    struct peer *peer = peer_new(&u);
    for (int asleep = 0; asleep < 2; asleep++) {
        memset(&final, 0, sizeof final);
        mid_handle made = peer_make(peer, type);
        if (asleep)
            peer_block(peer);
        mid_release(u.thread, made);
        ok(mid_safepoint(u.thread));
        unit_drain(&u);
        if (asleep)
            peer_unblock(peer);
        else {
            assert_int_equal(final.runs, 0);
            peer_safepoint(peer);
        }
        assert_int_equal(final.runs, 1);
        assert_ptr_equal(final.on, asleep ? u.thread : peer->thread);
        assert_int_equal(unit_live(&u), 0);
    }
    peer_end(peer);
    unit_close(&u);
}

static void stay_in_finalizer(mid_thread *thread, mid_handle object)
{
    (void)object;
    __atomic_store_n(&final.inside, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&final.over, __ATOMIC_ACQUIRE)) {
        mid_status status = mid_safepoint(thread);
        if (status != MID_OK)
            final.polled = status;
        sched_yield();
    }
    final.runs++;
}

static void make_and_release(struct peer *peer)
{
    mid_handle made = 0;
    peer->wrong += mid_new(peer->thread, peer->type, &made) != MID_OK;
    mid_release(peer->thread, made);
}

TEST(a_safepoint_in_a_finalizer_is_none)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "stays", .finalize = stay_in_finalizer});
    struct peer *peer = peer_new(&u);
    memset(&final, 0, sizeof final);
    peer->type = type;
    peer_begin(peer, make_and_release);
    while (!__atomic_load_n(&final.inside, __ATOMIC_ACQUIRE))
        sched_yield();
    expect(MID_EPOSTPONED, mid_collect(u.thread, NULL));
    __atomic_store_n(&final.over, 1, __ATOMIC_RELEASE);
    peer_wait(peer);
    assert_int_equal(final.runs, 1);
    ok(final.polled);
    assert_int_equal(peer->wrong, 0);
    peer_block(peer);
    ok(mid_collect(u.thread, NULL));
    peer_unblock(peer);
    peer_end(peer);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_collects_while_the_other_polls),
        cmocka_unit_test(one_collects_while_the_other_sleeps),
        cmocka_unit_test(one_that_does_not_come_postpones),
        cmocka_unit_test(a_postponed_stop_lets_the_others_go),
        cmocka_unit_test(one_checks_while_others_are_attached),
        cmocka_unit_test(nobody_leaves_a_region_while_the_world_stands),
        cmocka_unit_test(one_compacts_what_others_use),
        cmocka_unit_test(several_want_the_world_at_once),
        cmocka_unit_test(the_service_stops_all_of_them),
        cmocka_unit_test(a_finalizer_runs_on_another_thread),
        cmocka_unit_test(a_finalizer_runs_where_the_count_was_merged),
        cmocka_unit_test(a_safepoint_in_a_finalizer_is_none),
    };
    return UNIT_RUN(tests);
}
