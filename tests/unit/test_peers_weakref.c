/* The cases of CPython's test_weakref. A weak reference there is an object; here it belongs to one, its owner. */
#include <pthread.h>

#include "peers.h"

/* The referent and the owner of the reference in one piece of garbage: nobody is called. */
TEST(cpython_test_weakref_callback_in_cycle)
{
    struct unit u;
    mid_weak weak;
    peers_open(&u, "", NULL);
    mid_handle a = peers_self(&u, u.node), b = unit_new(&u, u.node);
    mid_store(u.thread, b, LEFT, a);
    mid_give(u.thread, a, RIGHT, b);
    ok(mid_weak_new_with(u.thread, a, b, peers_called, NULL, &weak));
    mid_release(u.thread, a);
    assert_int_equal(peers_collect(&u), 2);
    assert_int_equal(peers.callbacks, 0);
    assert_int_equal(unit_stats(&u).weak_references, 0);
    peers_end(&u);
}

/* The owner is reachable from the garbage, but not the other way round; it is garbage all the same. */
TEST(cpython_test_weakref_callback_reachable_one_way)
{
    for (int held = 0; held <= 1; held++) {
        struct unit u;
        mid_weak weak;
        peers_open(&u, "", NULL);
        mid_handle a = peers_self(&u, u.node), owner = peers_self(&u, u.node);
        mid_store(u.thread, a, RIGHT, owner);
        ok(mid_weak_new_with(u.thread, a, owner, peers_called, NULL, &weak));
        mid_release(u.thread, a);
        if (!held)
            mid_release(u.thread, owner);
        peers_collect(&u);
        assert_int_equal(peers.callbacks, held);
        assert_int_equal(peers.status, MID_OK);
        if (held)
            mid_release(u.thread, owner);
        peers_end(&u);
    }
}

TEST(cpython_test_weakref_callback_different_classes)
{
    struct unit u;
    mid_weak to_node, to_vec;
    peers_open(&u, "", NULL);
    mid_handle node = unit_new(&u, u.node), vec = unit_array(&u, u.vec, 2);
    mid_store(u.thread, node, LEFT, vec);
    mid_store(u.thread, vec, ITEM(0), node);
    ok(mid_weak_new_with(u.thread, node, vec, peers_called, NULL, &to_node));
    ok(mid_weak_new_with(u.thread, vec, node, peers_called, NULL, &to_vec));
    mid_release(u.thread, node);
    mid_release(u.thread, vec);
    assert_int_equal(peers_collect(&u), 2);
    assert_int_equal(peers.callbacks, 0);
    peers_end(&u);
}

/* A callback that could resurrect what is being collected is not run, so nothing is resurrected. */
static void save_owner(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    peers_called(thread, gone, owner, context);
    peers.saved[peers.saved_count++] = mid_retain(thread, owner);
}

TEST(cpython_test_weakref_callback_in_cycle_resurrection)
{
    struct unit u;
    mid_weak weak, watch;
    peers_open(&u, "", NULL);
    mid_handle c = unit_new(&u, u.node), d = unit_new(&u, u.node);
    mid_store(u.thread, c, LEFT, d);
    mid_store(u.thread, d, LEFT, c);
    ok(mid_weak_new_with(u.thread, c, d, save_owner, NULL, &weak));
    ok(mid_weak_new(u.thread, d, &watch));
    mid_release(u.thread, c);
    mid_release(u.thread, d);
    peers_collect(&u);
    assert_int_equal(peers.saved_count, 0);
    assert_int_equal(mid_weak_get(u.thread, watch), 0);
    assert_int_equal(unit_live(&u), 0);
    ok(mid_weak_drop(u.thread, watch));
    peers_end(&u);
}

/* References to the owners of references, in a garbage cycle and outside it: those outside are told, once each. */
TEST(cpython_test_weakref_callbacks_on_callback)
{
    struct unit u;
    mid_weak inner, outer, safe;
    peers_open(&u, "", NULL);
    mid_handle c = unit_new(&u, u.node), d = unit_new(&u, u.node), keeper = unit_new(&u, u.node);
    mid_store(u.thread, c, LEFT, d);
    mid_store(u.thread, d, LEFT, c);
    ok(mid_weak_new_with(u.thread, c, d, peers_called, NULL, &inner));
    ok(mid_weak_new_with(u.thread, d, c, peers_called, NULL, &outer));
    ok(mid_weak_new_with(u.thread, c, keeper, save_owner, NULL, &safe));
    mid_release(u.thread, c);
    mid_release(u.thread, d);
    peers_collect(&u);
    assert_int_equal(peers.callbacks, 1);
    assert_int_equal(peers.saved[0], keeper);
    peers_drop_saved(&u);
    mid_release(u.thread, keeper);
    ok(mid_weak_drop(u.thread, safe));
    peers_end(&u);
}

static void collecting(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    peers_called(thread, gone, owner, context);
    peers.status = mid_collect(thread, NULL); /* refused: it would collect in the middle of something */
    peers.weak = gone;
}

TEST(cpython_test_weakref_callback_gcs)
{
    struct unit u;
    mid_weak weak;
    peers_open(&u, "", NULL);
    mid_handle object = peers_self(&u, u.node);
    ok(mid_weak_new_with(u.thread, object, 0, collecting, NULL, &weak));
    mid_release(u.thread, object);
    peers_collect(&u);
    assert_int_equal(peers.callbacks, 1);
    assert_int_equal(peers.status, MID_EBUSY);
    ok(mid_weak_drop(u.thread, weak));
    peers_end(&u);
}

/* A collection just before, and just after: what is made is whole, and the same cell is never given twice. */
TEST(cpython_test_weakref_gc_during_ref_creation)
{
    struct unit u;
    mid_weak weak[200];
    peers_open(&u, "", NULL);
    mid_handle referent = unit_new(&u, u.node);
    for (int i = 0; i < 200; i++) {
        mid_handle garbage = peers_self(&u, u.node);
        ok(mid_weak_new_with(u.thread, garbage, 0, peers_called, NULL, &weak[i]));
        mid_release(u.thread, garbage);
        if (i % 2)
            peers_collect(&u);
        ok(mid_weak_drop(u.thread, weak[i]));
        ok(mid_weak_new_with(u.thread, referent, 0, peers_called, NULL, &weak[i]));
        if (i % 3 == 0)
            peers_collect(&u);
        mid_handle got = mid_weak_get(u.thread, weak[i]);
        assert_int_equal(got, referent);
        mid_release(u.thread, got);
    }
    assert_int_equal(peers.callbacks, 100);
    mid_release(u.thread, referent);
    for (int i = 0; i < 10; i++) /* so many take several safepoints */
        ok(mid_safepoint(u.thread));
    assert_int_equal(peers.callbacks, 300);
    for (int i = 0; i < 200; i++)
        ok(mid_weak_drop(u.thread, weak[i]));
    peers_end(&u);
}

/* Finalizers that take each other's weak references, deep in a structure that dies a batch at a time. */
static void take_weak(mid_thread *thread, mid_handle object)
{
    (void)object;
    mid_handle got = mid_weak_get(thread, peers.weak);
    peers.status |= got != 0; /* it is dying as well */
    mid_release(thread, got);
}

TEST(cpython_test_weakref_trashcan_16602)
{
    struct unit u;
    mid_type type = peers_open(&u, "free-batch=32", peers_note);
    mid_handle head = 0;
    peers.then = take_weak;
    for (int i = 0; i < 2000; i++) {
        mid_handle next = peers_node(&u, type, 0);
        mid_give(u.thread, next, LEFT, head);
        head = next;
    }
    ok(mid_weak_new_with(u.thread, head, 0, peers_called, NULL, &peers.weak));
    mid_release(u.thread, head);
    unit_drain(&u);
    ok(mid_safepoint(u.thread));
    assert_int_equal(peers.calls, 2000);
    assert_int_equal(peers.status, 0);
    assert_int_equal(peers.callbacks, 1);
    ok(mid_weak_drop(u.thread, peers.weak));
    peers_end(&u);
}

/* gh-91636: what a finalizer newly refers to weakly is cleared as well, before the garbage is freed. */
static void weaken(mid_thread *thread, mid_handle object)
{
    peers.status = mid_weak_new_with(thread, object, 0, peers_called, NULL, &peers.weak);
}

TEST(cpython_test_weakref_gh_91636_made_by_a_finalizer)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = weaken;
    mid_release(u.thread, peers_self(&u, type));
    peers_collect(&u);
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(peers.calls, 1);
    assert_int_equal(mid_weak_get(u.thread, peers.weak), 0);
    ok(mid_weak_drop(u.thread, peers.weak));
    peers_end(&u);
}

/* --- weak dictionaries ------------------------------------------------------------------------------------------------------ */

TEST(cpython_test_weakref_weak_values)
{
    struct unit u;
    mid_handle map, objects[50], got;
    size_t n;
    peers_open(&u, "", NULL);
    ok(mid_weak_map_new(u.thread, MID_WEAK_VALUES, &map));
    for (int i = 0; i < 50; i++) {
        objects[i] = unit_new(&u, u.node);
        ok(mid_weak_map_set(u.thread, map, mid_from_int(i), objects[i]));
    }
    for (int i = 0; i < 50; i++) {
        ok(mid_weak_map_get(u.thread, map, mid_from_int(i), &got));
        assert_int_equal(got, objects[i]);
        mid_release(u.thread, got);
        mid_release(u.thread, objects[i]);
        ok(mid_weak_map_get(u.thread, map, mid_from_int(i), &got));
        assert_int_equal(got, 0);
        ok(mid_weak_map_count(u.thread, map, &n));
        assert_int_equal(n, 49 - i);
    }
    mid_release(u.thread, map);
    peers_end(&u);
}

/* Their keys in cycles of their own, iteration in between: the length never lies by more than what is dying. */
TEST(cpython_test_weakref_weak_keyed_len_cycles)
{
    struct unit u;
    mid_handle map, objects[20], key, value;
    size_t n, cursor = 0;
    peers_open(&u, "", NULL);
    ok(mid_weak_map_new(u.thread, MID_WEAK_KEYS, &map));
    for (int i = 0; i < 20; i++) {
        objects[i] = peers_self(&u, u.node);
        ok(mid_weak_map_set(u.thread, map, objects[i], mid_from_int(1)));
    }
    ok(mid_weak_map_next(u.thread, map, &cursor, &key, &value));
    for (int i = 0; i < 20; i++)
        mid_release(u.thread, objects[i]);
    peers_collect(&u);
    ok(mid_weak_map_count(u.thread, map, &n));
    assert_int_equal(n, 1); /* the one in hand */
    mid_release(u.thread, key);
    peers_collect(&u);
    ok(mid_weak_map_count(u.thread, map, &n));
    assert_int_equal(n, 0);
    mid_release(u.thread, map);
    peers_end(&u);
}

struct shared {
    mid_heap *heap;
    mid_type node;
    mid_handle map;
    mid_weak_kind kind;
    size_t rounds, wrong;
};

/* Fills and empties the map, while others go through it. */
static void *churn(void *argument)
{
    struct shared *s = argument;
    mid_thread *thread;
    if (mid_thread_attach(s->heap, &thread) != MID_OK)
        return NULL;
    for (size_t i = 0; i < s->rounds; i++) {
        mid_handle object, got = 0;
        s->wrong += mid_new(thread, s->node, &object) != MID_OK;
        mid_handle number = mid_from_int((int32_t)(i % 64));
        if (s->kind == MID_WEAK_KEYS)
            s->wrong += mid_weak_map_set(thread, s->map, object, number) != MID_OK || mid_weak_map_get(thread, s->map, object, &got) != MID_OK || got != number;
        else /* another thread may have put its own there */
            s->wrong += mid_weak_map_set(thread, s->map, number, object) != MID_OK || mid_weak_map_get(thread, s->map, number, &got) != MID_OK;
        mid_release(thread, got);
        mid_release(thread, object);
        mid_safepoint(thread);
        if (i % 1000 == 999)
            mid_collect(thread, NULL);
    }
    mid_thread_detach(thread);
    return NULL;
}

static void threaded(mid_weak_kind kind)
{
    struct unit u;
    struct shared s = {.kind = kind, .rounds = unit_scale(8000)}, t;
    pthread_t threads[2];
    mid_handle map, copy, key, value;
    size_t n;
    peers_open(&u, "", NULL);
    ok(mid_weak_map_new(u.thread, kind, &map));
    s.heap = u.heap;
    s.node = u.node;
    s.map = map;
    t = s;
    assert_int_equal(pthread_create(&threads[0], NULL, churn, &s), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, churn, &t), 0);
    for (int round = 0; round < 20; round++) { /* copies of what lives */
        ok(mid_weak_map_new(u.thread, kind, &copy));
        for (size_t cursor = 0;;) {
            ok(mid_weak_map_next(u.thread, map, &cursor, &key, &value));
            if (key == 0)
                break;
            ok(mid_weak_map_set(u.thread, copy, key, value));
            mid_release(u.thread, key);
            mid_release(u.thread, value);
            ok(mid_safepoint(u.thread));
        }
        mid_release(u.thread, copy);
    }
    ok(mid_blocked_enter(u.thread));
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(s.wrong + t.wrong, 0);
    peers_collect(&u);
    ok(mid_weak_map_count(u.thread, map, &n));
    assert_int_equal(n, 0);
    mid_release(u.thread, map);
    peers_end(&u);
}

TEST(cpython_test_weakref_threaded_weak_key_dict_copy)
{
    threaded(MID_WEAK_KEYS);
}

TEST(cpython_test_weakref_threaded_weak_value_dict_copy)
{
    threaded(MID_WEAK_VALUES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpython_test_weakref_callback_in_cycle),
        cmocka_unit_test(cpython_test_weakref_callback_reachable_one_way),
        cmocka_unit_test(cpython_test_weakref_callback_different_classes),
        cmocka_unit_test(cpython_test_weakref_callback_in_cycle_resurrection),
        cmocka_unit_test(cpython_test_weakref_callbacks_on_callback),
        cmocka_unit_test(cpython_test_weakref_callback_gcs),
        cmocka_unit_test(cpython_test_weakref_gc_during_ref_creation),
        cmocka_unit_test(cpython_test_weakref_trashcan_16602),
        cmocka_unit_test(cpython_test_weakref_gh_91636_made_by_a_finalizer),
        cmocka_unit_test(cpython_test_weakref_weak_values),
        cmocka_unit_test(cpython_test_weakref_weak_keyed_len_cycles),
        cmocka_unit_test(cpython_test_weakref_threaded_weak_key_dict_copy),
        cmocka_unit_test(cpython_test_weakref_threaded_weak_value_dict_copy),
    };
    return UNIT_RUN(tests);
}
