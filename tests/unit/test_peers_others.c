/* The cases of Nim's ORC and YRC tests, of dumpster and of QuickJS-ng. */
#include <pthread.h>

#include "cycles.h"
#include "peers.h"

/* --- Nim ---------------------------------------------------------------------------------------------------------------- */

/* Doubly linked lists, trees with parents, built and dropped. */
TEST(nim_torc_basic_test)
{
    struct unit u;
    peers_open(&u, "", NULL);
    for (int round = 0; round < 50; round++) {
        mid_handle first = unit_new(&u, u.node), last = mid_retain(u.thread, first);
        for (int i = 0; i < 20; i++) {
            mid_handle next = unit_new(&u, u.node);
            mid_store(u.thread, next, RIGHT, last); /* back */
            mid_store(u.thread, last, LEFT, next);
            mid_release(u.thread, last);
            last = next;
        }
        mid_release(u.thread, last);
        mid_release(u.thread, first);
    }
    assert_int_equal(peers_collect(&u), 50 * 21);
    peers_end(&u);
}

TEST(nim_torc_selfcycles)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    for (int i = 0; i < 100; i++) {
        mid_handle self = peers_self(&u, type), two = unit_new(&u, type);
        mid_store(u.thread, two, LEFT, two);
        mid_store(u.thread, two, RIGHT, two);
        mid_release(u.thread, two);
        mid_release(u.thread, self);
    }
    peers_collect(&u);
    assert_int_equal(peers.calls, 200);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

/* A control flow graph with its loops, rebuilt again and again, as Havlak's loop finder makes one. */
TEST(nim_thavlak_orc_stress)
{
    struct unit u;
    enum { BLOCKS = 100 };
    peers_open(&u, "", NULL);
    for (size_t round = 0; round < unit_scale(200); round++) {
        mid_handle graph = unit_array(&u, u.vec, BLOCKS);
        for (int i = 0; i < BLOCKS; i++) {
            mid_handle block = unit_array(&u, u.vec, 4);
            mid_init(u.thread, graph, ITEM(i), block);
            if (i == 0)
                continue;
            mid_handle before = mid_peek(u.thread, graph, ITEM(i - 1)), loop = mid_peek(u.thread, graph, ITEM(i - i % 7));
            mid_store(u.thread, before, ITEM(0), block);
            mid_store(u.thread, block, ITEM(1), before);
            mid_store(u.thread, block, ITEM(2), loop);
            mid_store(u.thread, loop, ITEM(3), block);
        }
        mid_release(u.thread, graph);
        if (round % 20 == 19)
            peers_collect(&u);
    }
    peers_end(&u);
}

TEST(nim_theavy_recursion)
{
    struct unit u;
    peers_open(&u, "", NULL);
    const size_t depth = unit_scale(1000000);
    mid_handle ring = unit_ring(&u, u.node, depth), head = 0;
    mid_release(u.thread, ring);
    assert_int_equal(peers_collect(&u), depth);
    for (size_t i = 0; i < depth; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, i % 2 ? LEFT : RIGHT, head);
        head = next;
    }
    mid_release(u.thread, head);
    unit_drain(&u);
    peers_end(&u);
}

/* A random graph, changed and collected by each kind of collector in turn: what a search from the held nodes reaches is there. */
TEST(nim_tyrc_fuzz_graph)
{
    enum { NODES = 40 };
    for (uint64_t seed = 1; seed <= unit_scale(100); seed++) {
        struct unit u;
        uint64_t random = seed;
        mid_handle root, at[NODES];
        memset(&peers, 0, sizeof peers);
        cycles_open(&u, "");
        root = unit_array(&u, u.vec, NODES);
        for (int i = 0; i < NODES; i++)
            mid_init(u.thread, root, ITEM(i), at[i] = peers_node(&u, u.node, (uint64_t)i + 1));
        for (int step = 0; step < 200; step++) {
            int a = (int)(unit_random(&random) % NODES), b = (int)(unit_random(&random) % NODES);
            mid_handle one = mid_peek(u.thread, root, ITEM(a)), two = mid_peek(u.thread, root, ITEM(b));
            uint64_t what = unit_random(&random) % 6;
            if (what == 0 && one != 0)
                mid_give(u.thread, root, ITEM(a), 0);
            else if (what == 1 && one == 0)
                mid_give(u.thread, root, ITEM(a), peers_node(&u, u.node, (uint64_t)a + 1));
            else if (one != 0)
                mid_store(u.thread, one, what % 2 ? LEFT : RIGHT, two);
            if (step % 40 == 10) {
                uint64_t walked, proposed;
                cycles_prove(&u, AMPLE);
                assert_true(mid_service_propose(u.heap, AMPLE, &walked, &proposed) <= MID_MORE);
                cycles_prove(&u, AMPLE);
            }
            if (step % 40 == 30) {
                cycles_begin(&u);
                cycles_finish(&u);
            }
        }
        bool seen[4096] = {0};
        mid_handle stack[4096];
        size_t height = 0, reached = 1;
        for (int i = 0; i < NODES; i++)
            stack[height++] = mid_peek(u.thread, root, ITEM(i));
        while (height != 0) {
            mid_handle h = stack[--height];
            if (h == 0 || seen[h / 2])
                continue;
            assert_true(h / 2 < 4096 && height < 4000);
            seen[h / 2] = true;
            reached++;
            stack[height++] = mid_peek(u.thread, h, LEFT);
            stack[height++] = mid_peek(u.thread, h, RIGHT);
        }
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), reached);
        mid_release(u.thread, root);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 0);
        cycles_close(&u);
    }
}

/* Snapshot at the beginning: what was reachable when a sweep began, and is moved about meanwhile, survives it. */
TEST(nim_tyrc_satb)
{
    struct unit u;
    memset(&peers, 0, sizeof peers);
    cycles_open(&u, "");
    mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node), moved = peers_self(&u, u.node);
    mid_give(u.thread, a, LEFT, moved);
    unit_drop_rings(&u, u.node, 100, 3);
    cycles_begin(&u);
    for (int i = 0; cycles_step(&u) != MID_SWEEP_NONE; i++) {
        assert_true(i < 1000000);
        mid_give(u.thread, i % 2 ? a : b, LEFT, mid_take(u.thread, i % 2 ? b : a, LEFT));
        if (cycles_shown(&u).sweeping == MID_SWEEPS_STOPPED)
            cycles_prove(&u, 0);
        else
            assert_true(mid_service_sweep(u.heap, 0, false) <= MID_MORE);
    }
    cycles_find(&u);
    assert_int_equal(unit_live(&u), 3);
    assert_int_equal(mid_peek(u.thread, moved, LEFT), moved);
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    ok(mid_collect(u.thread, NULL));
    cycles_close(&u);
}

TEST(nim_tyrc_rings)
{
    struct unit u;
    memset(&peers, 0, sizeof peers);
    cycles_open(&u, "");
    for (size_t size = 1; size <= 1000; size *= 10)
        mid_release(u.thread, unit_ring(&u, u.node, size));
    cycles_find(&u);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

/* Two cycles with a node in common, dropped one after the other. */
TEST(nim_tyrc_shared_cycle)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle one = unit_ring(&u, u.node, 4), two = unit_new(&u, u.node), common = mid_peek(u.thread, one, LEFT);
    mid_store(u.thread, common, RIGHT, two);
    mid_store(u.thread, two, LEFT, common);
    mid_release(u.thread, one);
    assert_int_equal(peers_collect(&u), 0);
    mid_release(u.thread, two);
    assert_int_equal(peers_collect(&u), 5);
    peers_end(&u);
}

/* Of a structure a part dies; the other is held from within it. */
TEST(nim_tyrc_partial)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle dead = unit_ring(&u, u.node, 10), kept = unit_ring(&u, u.node, 10);
    mid_store(u.thread, dead, RIGHT, kept);
    mid_release(u.thread, dead);
    assert_int_equal(peers_collect(&u), 10);
    assert_int_equal(unit_live(&u), 10);
    mid_release(u.thread, kept);
    assert_int_equal(peers_collect(&u), 10);
    peers_end(&u);
}

struct ringer {
    mid_heap *heap;
    mid_type node;
    mid_handle shared;
    size_t rounds, wrong;
};

static void *ring_them(void *argument)
{
    struct ringer *r = argument;
    mid_thread *thread;
    if (mid_thread_attach(r->heap, &thread) != MID_OK)
        return NULL;
    for (size_t i = 0; i < r->rounds; i++) {
        mid_handle a = 0, b = 0;
        r->wrong += mid_new(thread, r->node, &a) != MID_OK || mid_new(thread, r->node, &b) != MID_OK;
        mid_store(thread, a, LEFT, b);
        mid_give(thread, b, LEFT, a);
        mid_give(thread, b, RIGHT, mid_swap(thread, r->shared, i % 2 ? LEFT : RIGHT, mid_retain(thread, b)));
        mid_release(thread, b);
        if (i % 500 == 0)
            mid_collect(thread, NULL);
        mid_safepoint(thread);
    }
    mid_thread_detach(thread);
    return NULL;
}

/* Rings of nodes of several threads, which take them from and put them into the same two slots. */
TEST(nim_tyrc_threads)
{
    struct unit u;
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    struct ringer ringers[THREADS];
    peers_open(&u, "", NULL);
    mid_handle shared = unit_new(&u, u.node);
    for (int i = 0; i < THREADS; i++) {
        ringers[i] = (struct ringer){u.heap, u.node, shared, unit_scale(4000), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ring_them, &ringers[i]), 0);
    }
    UNIT_JOIN(&u, i, THREADS, threads[i]);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(ringers[i].wrong, 0);
    mid_release(u.thread, shared);
    peers_end(&u);
}

/* --- dumpster ------------------------------------------------------------------------------------------------------------- */

/* Finalizers that refer to anything they should not: themselves, what dies with them, what was there before. */
static mid_handle outside;
static void plot(mid_thread *thread, mid_handle object)
{
    mid_handle other = mid_load(thread, object, LEFT);
    mid_store(thread, outside, LEFT, other);
    mid_store(thread, object, RIGHT, object);
    mid_release(thread, mid_swap(thread, outside, RIGHT, mid_retain(thread, object)));
    mid_release(thread, other);
}

TEST(dumpster_malicious)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    outside = unit_new(&u, u.node);
    peers.then = plot;
    mid_release(u.thread, unit_ring(&u, type, 5));
    peers_collect(&u);
    assert_int_equal(peers.calls, 5);
    assert_int_equal(unit_live(&u), 6);
    mid_store(u.thread, outside, LEFT, 0);
    mid_store(u.thread, outside, RIGHT, 0);
    peers_collect(&u);
    assert_int_equal(unit_live(&u), 1);
    assert_int_equal(peers.calls, 5);
    mid_release(u.thread, outside);
    peers_end(&u);
}

/* What a finalizer takes out of its dying object is alive, or it could not be taken. */
static void escape(mid_thread *thread, mid_handle object)
{
    mid_give(thread, outside, LEFT, mid_take(thread, object, RIGHT));
}

TEST(dumpster_escape_dead_pointer)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    outside = unit_new(&u, u.node);
    peers.then = escape;
    for (int cycle = 0; cycle <= 1; cycle++) {
        mid_handle object = cycle ? peers_self(&u, type) : unit_new(&u, type);
        mid_give(u.thread, object, RIGHT, peers_node(&u, u.node, 77));
        mid_release(u.thread, object);
        peers_collect(&u);
        assert_int_equal(unit_live(&u), 2);
        assert_int_equal(unit_node(&u, mid_peek(u.thread, outside, LEFT))->value, 77);
    }
    mid_release(u.thread, outside);
    peers_end(&u);
}

TEST(dumpster_leak_by_creation_in_drop)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = peers_collect_inside; /* makes a cycle */
    mid_release(u.thread, unit_new(&u, type));
    mid_release(u.thread, peers_self(&u, type));
    peers_collect(&u);
    peers_collect(&u);
    assert_int_equal(peers.calls, 2);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

/* --- QuickJS-ng ----------------------------------------------------------------------------------------------------------- */

/* A collection after every single allocation and store. */
TEST(quickjs_collect_at_every_allocation)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle keep = unit_array(&u, u.vec, 8);
    uint64_t random = 5;
    for (int i = 0; i < 300; i++) {
        mid_handle one = i % 3 ? unit_new(&u, u.node) : unit_array(&u, u.vec, 2);
        peers_collect(&u);
        unsigned at = (unsigned)(unit_random(&random) % 8);
        if (i % 3) {
            mid_store(u.thread, one, LEFT, mid_peek(u.thread, keep, ITEM(at)));
            peers_collect(&u);
            mid_store(u.thread, one, RIGHT, one);
        }
        mid_give(u.thread, keep, ITEM(unit_random(&random) % 8), one);
        peers_collect(&u);
    }
    mid_release(u.thread, keep);
    peers_end(&u);
}

/* Items that nobody has written yet are empty to the collector, in slots that have been other objects' before. */
TEST(quickjs_half_initialised_arrays)
{
    struct unit u;
    peers_open(&u, "", NULL);
    for (int round = 0; round < 50; round++) {
        mid_handle filled = unit_array(&u, u.vec, 100);
        for (int i = 0; i < 100; i++)
            mid_init(u.thread, filled, ITEM(i), peers_self(&u, u.node));
        mid_release(u.thread, filled);
        mid_handle half = unit_array(&u, u.vec, 100); /* the same slot, most likely */
        for (int i = 0; i < 40; i++)
            mid_init(u.thread, half, ITEM(i), peers_self(&u, u.node));
        assert_int_equal(peers_collect(&u), 100);
        ok(mid_resize(u.thread, half, 300));
        assert_int_equal(peers_collect(&u), 0);
        for (int i = 40; i < 300; i++)
            assert_int_equal(mid_peek(u.thread, half, ITEM(i)), 0);
        mid_release(u.thread, half);
        assert_int_equal(peers_collect(&u), 40);
    }
    peers_end(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nim_torc_basic_test),
        cmocka_unit_test(nim_torc_selfcycles),
        cmocka_unit_test(nim_thavlak_orc_stress),
        cmocka_unit_test(nim_theavy_recursion),
        cmocka_unit_test(nim_tyrc_fuzz_graph),
        cmocka_unit_test(nim_tyrc_satb),
        cmocka_unit_test(nim_tyrc_rings),
        cmocka_unit_test(nim_tyrc_shared_cycle),
        cmocka_unit_test(nim_tyrc_partial),
        cmocka_unit_test(nim_tyrc_threads),
        cmocka_unit_test(dumpster_malicious),
        cmocka_unit_test(dumpster_escape_dead_pointer),
        cmocka_unit_test(dumpster_leak_by_creation_in_drop),
        cmocka_unit_test(quickjs_collect_at_every_allocation),
        cmocka_unit_test(quickjs_half_initialised_arrays),
    };
    return UNIT_RUN(tests);
}
