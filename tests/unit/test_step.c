/* mid_step: what a daemon does, on the program's own thread, by itself and beside a service. */
#include "cycles.h"
#include "midden/daemon.h"
#include "peer.h"

#define STEPS_MOST 100000

/* Until nothing is left to do. */
static void step_all(struct unit *u, uint64_t budget)
{
    mid_status status = MID_MORE;
    for (int i = 0; status == MID_MORE; i++) {
        assert_true(i < STEPS_MOST);
        status = mid_step(u->thread, budget);
    }
    ok(status);
}

/* From now on suspects are logged. */
static void step_open(struct unit *u, const char *options)
{
    unit_open(u, options);
    ok(mid_step(u->thread, AMPLE));
}

static const uint64_t budgets[] = {2000, AMPLE, UINT64_MAX - 1, UINT64_MAX};
#define BUDGETS (sizeof budgets / sizeof *budgets)

/* --- everything a daemon does ------------------------------------------------------------------------------------- */

TEST(it_collects_what_suspects_lead_to)
{
    for (size_t i = 0; i < BUDGETS; i++) {
        struct unit u;
        step_open(&u, "");
        mid_handle kept = unit_ring(&u, u.node, 10);
        unit_drop_rings(&u, u.node, 1000, 20);
        step_all(&u, budgets[i]);
        assert_int_equal(unit_live(&u), 10);
        assert_int_equal(unit_stats(&u).collections, 0); /* no sweep of the heap, small as it is */
        mid_release(u.thread, kept);
        step_all(&u, budgets[i]);
        unit_close_empty(&u);
    }
}

/* A ring that no walk gets round, in a heap that has grown by as much as is allowed. */
TEST(it_sweeps_a_heap_that_has_grown)
{
    for (size_t i = 0; i < BUDGETS; i++) {
        struct unit u;
        step_open(&u, "growth-min=100K");
        mid_handle kept = unit_ring(&u, u.node, 1000);
        mid_release(u.thread, unit_ring(&u, u.node, 10000));
        step_all(&u, budgets[i]);
        assert_int_equal(unit_live(&u), 1000);
        assert_int_equal(unit_stats(&u).collections, 1);
        step_all(&u, budgets[i]);
        assert_int_equal(unit_stats(&u).collections, 1); /* it has not grown since */
        mid_release(u.thread, kept);
        unit_close(&u);
    }
}

TEST(it_frees_what_waits)
{
    for (size_t i = 0; i < BUDGETS; i++) {
        struct unit u;
        step_open(&u, "free-batch=32");
        mid_handle list = 0;
        for (int n = 0; n < 10000; n++) {
            mid_handle made = unit_new(&u, u.node);
            mid_give(u.thread, made, LEFT, list);
            list = made;
        }
        mid_release(u.thread, list);
        assert_int_not_equal(unit_stats(&u).waiting_objects, 0);
        step_all(&u, budgets[i]);
        unit_close_empty(&u);
    }
}

/* Also what waits because of what it has just freed. */
TEST(what_garbage_held_is_freed_before_it_says_ok)
{
    static const uint32_t slots[] = {0};
    struct unit u;
    step_open(&u, "free-batch=32");
    mid_type acyclic = unit_type(u.heap, (mid_type_desc){.name = "acyclic", .size = sizeof(struct node), .flags = MID_ACYCLIC,
                                                         .ref_offsets = slots, .ref_count = 1});
    mid_handle ring = unit_ring(&u, u.node, 5), list = 0;
    for (int n = 0; n < 3000; n++) {
        mid_handle made = unit_new(&u, acyclic);
        mid_give(u.thread, made, LEFT, list);
        list = made;
    }
    mid_give(u.thread, ring, RIGHT, list);
    mid_release(u.thread, ring);
    step_all(&u, AMPLE);
    assert_int_equal(unit_stats(&u).waiting_objects, 0);
    unit_close_empty(&u);
}

static struct {
    mid_heap *heap;
    size_t calls, wrong;
} seen;

static void finalize(mid_thread *thread, mid_handle object)
{
    (void)object;
    seen.calls++;
    seen.wrong += mid_step(thread, AMPLE) != MID_EBUSY;
}

TEST(finalizers_have_run_when_it_says_ok)
{
    for (int large = 0; large < 2; large++) {
        struct unit u;
        step_open(&u, "growth-min=64K");
        memset(&seen, 0, sizeof seen);
        mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = finalize});
        size_t size = large ? MID_SWEEP_SMALL + 1000 : 100;
        mid_release(u.thread, unit_ring(&u, type, size));
        step_all(&u, AMPLE);
        assert_int_equal(seen.calls, size);
        assert_int_equal(seen.wrong, 0);
        unit_close_empty(&u);
    }
}

TEST(it_compacts_and_gives_memory_back)
{
    static mid_handle objects[60000];
    for (int sparse = 0; sparse < 2; sparse++) {
        struct unit u;
        step_open(&u, "reserve=0,spare=0,waste-min=64K");
        for (size_t i = 0; i < 60000; i++)
            objects[i] = unit_new(&u, u.node);
        uint64_t before = unit_stats(&u).committed_bytes;
        for (size_t i = 0; i < 60000; i++)
            if (!sparse || i % 8 != 0)
                mid_release(u.thread, objects[i]);
        step_all(&u, AMPLE);
        mid_stats stats = unit_stats(&u);
        assert_int_equal(stats.compactions, sparse);
        assert_int_equal(stats.empty_bytes, 0);
        assert_true(stats.committed_bytes < before - (400u << 10));
        for (size_t i = 0; sparse && i < 60000; i += 8)
            mid_release(u.thread, objects[i]);
        unit_close(&u);
    }
}

/* No more than a safepoint: it says whether there is more. */
TEST(without_a_budget_it_only_looks)
{
    struct unit u;
    step_open(&u, "");
    ok(mid_step(u.thread, 0));
    mid_release(u.thread, unit_ring(&u, u.node, 5));
    expect(MID_MORE, mid_step(u.thread, 0));
    assert_int_equal(unit_live(&u), 5);
    step_all(&u, AMPLE);
    ok(mid_step(u.thread, 0));
    unit_close_empty(&u);
}

/* A sweep that is due is something to do as well, though it has not begun. */
TEST(what_has_not_begun_is_left_to_do)
{
    struct unit u;
    step_open(&u, "growth-min=100K");
    mid_handle kept = unit_ring(&u, u.node, 10000);
    assert_int_equal(cycles_shown(&u).suspects, 0);
    expect(MID_MORE, mid_step(u.thread, 0));
    step_all(&u, AMPLE);
    assert_int_equal(unit_stats(&u).collections, 1);
    ok(mid_step(u.thread, 0));
    mid_release(u.thread, kept);
    unit_close(&u);
}

/* --- among others ------------------------------------------------------------------------------------------------- */

TEST(it_goes_on_with_what_a_service_has_begun)
{
    static const mid_sweep_step steps[] = {MID_SWEEP_SUBTRACT, MID_SWEEP_REVIVE, MID_SWEEP_GATHER, MID_SWEEP_WATCH, MID_SWEEP_COUNT,
                                           MID_SWEEP_JUDGE,    MID_SWEEP_COMMIT, MID_SWEEP_DISPOSE, MID_SWEEP_CLOSE};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (int unbound = 0; unbound < 2; unbound++) {
            struct unit u;
            cycles_open(&u, "");
            mid_handle kept = unit_ring(&u, u.node, 10);
            mid_release(u.thread, unit_ring(&u, u.node, MID_SWEEP_SMALL + 1000));
            cycles_begin(&u);
            cycles_to(&u, steps[i]);
            mid_release(u.thread, unit_ring(&u, u.node, 7));
            if (unbound)
                mid_service_unbind(u.heap);
            step_all(&u, AMPLE);
            assert_int_equal(cycles_step(&u), MID_SWEEP_NONE);
            assert_int_equal(unit_live(&u), 10);
            mid_release(u.thread, kept);
            if (!unbound)
                mid_service_unbind(u.heap);
            unit_close(&u);
        }
}

TEST(after_a_reclaim_nothing_is_left)
{
    struct unit u;
    step_open(&u, "");
    mid_release(u.thread, unit_ring(&u, u.node, 5));
    uint64_t walked, proposed;
    mid_suspects_give(mid_impl_of(u.thread));
    ok(mid_service_propose(u.heap, AMPLE, &walked, &proposed));
    assert_int_equal(proposed, 5);
    ok(mid_reclaim(u.thread));
    ok(mid_step(u.thread, 0));
    unit_close(&u);
}

/* What sleeps is no hindrance; who neither sleeps nor polls is, but only where the world must stand. */
TEST(others_are_stopped_only_for_proofs)
{
    struct unit u;
    step_open(&u, "stop-wait=0");
    struct peer *peer = peer_new(&u);
    ok(mid_step(u.thread, 0));
    mid_release(u.thread, unit_ring(&u, u.node, 5));
    expect(MID_EPOSTPONED, mid_step(u.thread, AMPLE));
    assert_int_equal(unit_stats(&u).postponed_stops, 1);
    assert_int_equal(cycles_shown(&u).suspects, 0); /* proposed it is */
    assert_int_equal(cycles_shown(&u).proposals, 5);
    peer_block(peer);
    step_all(&u, AMPLE);
    assert_int_equal(unit_live(&u), 0);
    peer_unblock(peer);
    peer_end(peer);
    unit_close(&u);
}

TEST(beside_one_that_proposes_it_is_busy)
{
    struct unit u;
    step_open(&u, "");
    mid_release(u.thread, unit_ring(&u, u.node, 5));
    assert_int_equal(pthread_mutex_lock(&u.heap->proposing), 0); /* as the service's thread would, meanwhile */
    expect(MID_EBUSY, mid_step(u.thread, AMPLE));
    pthread_mutex_unlock(&u.heap->proposing);
    step_all(&u, AMPLE);
    unit_close_empty(&u);
}

/* Whoever is quicker: in the end all is found, and neither takes the other's work for an error. */
TEST(beside_a_daemon_it_shares_the_work)
{
    struct unit u;
    mid_daemon *daemon = NULL;
    step_open(&u, "collect-stop=0,growth-min=0,growth=1%,credit=16K,heartbeat=1ms");
    mid_handle kept = unit_ring(&u, u.node, 1000);
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = finalize});
    memset(&seen, 0, sizeof seen);
    ok(mid_daemon_start(u.heap, &daemon));
    size_t finals = 0;
    for (size_t i = 0; i < 300; i++) {
        finals += i % 10 == 0 ? i + 1 : 0;
        mid_release(u.thread, unit_ring(&u, i % 10 == 0 ? type : u.node, i + 1));
        mid_status status = mid_step(u.thread, 100);
        assert_true(status == MID_OK || status == MID_MORE || status == MID_EBUSY || status == MID_EPOSTPONED);
    }
    while (unit_live(&u) != 1000)
        (void)mid_step(u.thread, 1000);
    assert_int_equal(seen.calls, finals);
    assert_int_equal(seen.wrong, 0);
    unit_check(&u);
    ok(mid_daemon_stop(daemon));
    step_all(&u, AMPLE);
    mid_release(u.thread, kept);
    unit_close(&u);
}

/* --- misuse ------------------------------------------------------------------------------------------------------- */

static mid_thread *own;

static void collect_begin(void *context)
{
    (void)context;
    seen.calls++;
    seen.wrong += mid_step(own, AMPLE) != MID_EBUSY;
}

static void foreign(struct peer *peer)
{
    peer->status = mid_step(peer->data, AMPLE);
}

TEST(it_is_refused_where_it_cannot_work)
{
    struct unit u;
    mid_listener listener = {.struct_size = sizeof listener, .collect_begin = collect_begin};
    step_open(&u, "");
    memset(&seen, 0, sizeof seen);
    own = u.thread;
    expect(MID_ENULL, mid_step(NULL, AMPLE));
    ok(mid_listener_add(u.heap, &listener));
    ok(mid_collect(u.thread, NULL));
    assert_true(seen.calls == 1 && seen.wrong == 0);
    ok(mid_listener_remove(u.heap, NULL));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_step(u.thread, AMPLE));
    ok(mid_blocked_leave(u.thread));
    struct peer *peer = peer_unattached(u.heap);
    peer->data = u.thread;
    peer_do(peer, foreign);
    expect(MID_ETHREAD, peer->status);
    peer_end(peer);
    mid_thread *was = u.thread;
    ok(mid_thread_detach(u.thread));
    expect(MID_ETHREAD, mid_step(was, AMPLE));
    ok(mid_thread_attach(u.heap, &u.thread));
    ok(mid_step(u.thread, AMPLE));
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_collects_what_suspects_lead_to),
        cmocka_unit_test(it_sweeps_a_heap_that_has_grown),
        cmocka_unit_test(it_frees_what_waits),
        cmocka_unit_test(what_garbage_held_is_freed_before_it_says_ok),
        cmocka_unit_test(finalizers_have_run_when_it_says_ok),
        cmocka_unit_test(it_compacts_and_gives_memory_back),
        cmocka_unit_test(without_a_budget_it_only_looks),
        cmocka_unit_test(what_has_not_begun_is_left_to_do),
        cmocka_unit_test(it_goes_on_with_what_a_service_has_begun),
        cmocka_unit_test(after_a_reclaim_nothing_is_left),
        cmocka_unit_test(others_are_stopped_only_for_proofs),
        cmocka_unit_test(beside_one_that_proposes_it_is_busy),
        cmocka_unit_test(beside_a_daemon_it_shares_the_work),
        cmocka_unit_test(it_is_refused_where_it_cannot_work),
    };
    return UNIT_RUN(tests);
}
