/* Ephemerons, maps with weak keys or values, weak references that call back: every way of dying, every kind of collector. */
#include <pthread.h>

#include "cycles.h"
#include "deep.h"

#include "fault_os.h"

static mid_handle got(struct unit *u, mid_handle map, mid_handle key)
{
    mid_handle value;
    ok(mid_weak_map_get(u->thread, map, key, &value));
    return value;
}

static size_t count(struct unit *u, mid_handle map)
{
    size_t n;
    ok(mid_weak_map_count(u->thread, map, &n));
    return n;
}

static mid_handle map_new(struct unit *u, mid_weak_kind kind)
{
    mid_handle map;
    ok(mid_weak_map_new(u->thread, kind, &map));
    return map;
}

/* A node that the map leads from `key` to, whose left is `left` [consumed]. */
static mid_handle put_node(struct unit *u, mid_handle map, mid_handle key, mid_handle left)
{
    mid_handle value = unit_new(u, u->node);
    mid_give(u->thread, value, LEFT, left);
    ok(mid_weak_map_set(u->thread, map, key, value));
    mid_release(u->thread, value);
    return value;
}

TEST(an_ephemeron_holds_its_value_while_the_key_lives)
{
    struct unit u;
    mid_handle e, k, v;
    unit_open(&u, "");
    mid_handle key = unit_new(&u, u.node), value = unit_new(&u, u.node);
    ok(mid_ephemeron_new(u.thread, key, value, &e));
    assert_int_equal(unit_count(&u, key), 1);
    assert_int_equal(unit_count(&u, value), 2);
    mid_release(u.thread, value);
    ok(mid_ephemeron_get(u.thread, e, &k, &v));
    assert_int_equal(k, key);
    assert_int_equal(v, value);
    unit_check(&u);
    mid_release(u.thread, k);
    mid_release(u.thread, v);
    ok(mid_ephemeron_get(u.thread, e, NULL, NULL));
    ok(mid_ephemeron_set(u.thread, e, mid_from_int(-5)));
    assert_int_equal(unit_live(&u), 2);
    ok(mid_ephemeron_get(u.thread, e, NULL, &v));
    assert_int_equal(mid_to_int(v), -5);
    mid_release(u.thread, key);
    ok(mid_ephemeron_get(u.thread, e, &k, &v));
    assert_int_equal(k | v, 0);
    expect(MID_EHANDLE, mid_ephemeron_set(u.thread, e, mid_from_int(1)));
    unit_check(&u);
    mid_release(u.thread, e);
    assert_int_equal(unit_live(&u), 0);
    unit_close(&u);
}

TEST(a_value_that_refers_to_its_key_is_collected)
{
    struct unit u;
    mid_handle e;
    for (int leaf = 0; leaf <= 1; leaf++) { /* a key that thinks it is in no cycle, too */
        unit_open(&u, "");
        mid_handle key = leaf ? unit_array(&u, u.bytes, 10) : unit_new(&u, u.node), value = unit_new(&u, u.node);
        mid_store(u.thread, value, RIGHT, key);
        ok(mid_ephemeron_new(u.thread, key, value, &e));
        mid_release(u.thread, value);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 3);
        mid_release(u.thread, key);
        assert_int_equal(unit_live(&u), 3);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 1);
        unit_check(&u);
        mid_release(u.thread, e);
        unit_close(&u);
    }
}

/* The values of one are the keys of the next: all or nothing, in whatever order they lie in the table. */
TEST(chains_of_ephemerons_are_followed_to_their_end)
{
    enum { LONG = 300 };
    for (int back = 0; back <= 1; back++) {
        struct unit u;
        mid_handle map[2], nodes[LONG];
        unit_open(&u, "");
        map[0] = map_new(&u, MID_WEAK_KEYS);
        for (int i = 0; i < LONG; i++)
            nodes[i] = unit_new(&u, u.node);
        map[1] = map_new(&u, MID_WEAK_KEYS);
        for (int n = 0; n + 1 < LONG; n++) {
            int i = back ? LONG - 2 - n : n;
            ok(mid_weak_map_set(u.thread, map[i % 2], nodes[i], nodes[i + 1]));
        }
        mid_store(u.thread, nodes[LONG - 1], LEFT, nodes[0]); /* and round */
        for (int i = 0; i < LONG; i++)
            if (i != 100)
                mid_release(u.thread, nodes[i]);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), LONG + 2);
        unit_check(&u);
        mid_release(u.thread, nodes[100]);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 2);
        assert_int_equal(count(&u, map[0]) + count(&u, map[1]), 0);
        mid_release(u.thread, map[0]);
        mid_release(u.thread, map[1]);
        unit_close(&u);
    }
}

TEST(a_dead_map_lets_go_though_its_keys_live)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), key = unit_new(&u, u.node);
    mid_handle value = put_node(&u, map, key, mid_retain(u.thread, map)); /* the value holds the map */
    mid_weak weak;
    ok(mid_weak_new(u.thread, value, &weak));
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 3);
    mid_release(u.thread, map);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 1);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    unit_check(&u);
    ok(mid_weak_drop(u.thread, weak));
    mid_release(u.thread, key);
    unit_close(&u);
}

TEST(a_value_held_elsewhere_outlives_its_pair)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), ring = unit_ring(&u, u.node, 3), value = unit_new(&u, u.node);
    mid_handle leaf = unit_array(&u, u.bytes, 5);
    ok(mid_weak_map_set(u.thread, map, ring, value));
    ok(mid_weak_map_set(u.thread, map, mid_peek(u.thread, ring, LEFT), leaf));
    mid_release(u.thread, leaf);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 2);
    assert_int_equal(unit_count(&u, value), 1);
    assert_int_equal(count(&u, map), 0);
    mid_release(u.thread, value);
    mid_release(u.thread, map);
    unit_close(&u);
}

enum { MANY = 3000 };

TEST(weak_keys_many_set_again_taken_out_and_dead)
{
    struct unit u;
    static mid_handle keys[MANY];
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), other = map_new(&u, MID_WEAK_KEYS);
    for (int i = 0; i < MANY; i++) {
        keys[i] = unit_new(&u, u.node);
        ok(mid_weak_map_set(u.thread, map, keys[i], mid_from_int(i)));
        put_node(&u, other, keys[i], 0);
    }
    for (int i = 0; i < MANY; i += 2)
        ok(mid_weak_map_set(u.thread, map, keys[i], mid_from_int(-i)));
    unit_check(&u);
    assert_int_equal(count(&u, map), MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(mid_to_int(got(&u, map, keys[i])), i % 2 ? i : -i);
    for (int i = 0; i < MANY; i += 3) {
        ok(mid_weak_map_set(u.thread, map, keys[i], 0));
        ok(mid_weak_map_set(u.thread, map, keys[i], 0)); /* what is not there */
        assert_int_equal(got(&u, map, keys[i]), 0);
    }
    unit_check(&u);
    for (int i = 1; i < MANY; i += 3)
        mid_release(u.thread, keys[i]);
    unit_check(&u);
    assert_int_equal(count(&u, map), MANY / 3);
    assert_int_equal(count(&u, other), MANY / 3 * 2);
    size_t cursor = 0, seen = 0;
    for (mid_handle k, v;; seen++) {
        ok(mid_weak_map_next(u.thread, map, &cursor, &k, &v));
        if (k == 0)
            break;
        assert_int_equal(keys[abs(mid_to_int(v))], k);
        mid_release(u.thread, k);
    }
    assert_int_equal(seen, MANY / 3);
    for (int i = 0; i < MANY; i++)
        if (i % 3 != 1)
            mid_release(u.thread, keys[i]);
    assert_int_equal(count(&u, map) + count(&u, other), 0);
    mid_release(u.thread, map);
    mid_release(u.thread, other);
    assert_int_equal(unit_live(&u), 0);
    unit_close(&u);
}

TEST(weak_values_go_and_take_their_keys)
{
    struct unit u;
    static mid_handle values[MANY];
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_VALUES), key = unit_new(&u, u.node);
    for (int i = 0; i < MANY; i++) {
        values[i] = unit_new(&u, u.node);
        ok(mid_weak_map_set(u.thread, map, mid_from_int(i), values[i]));
    }
    ok(mid_weak_map_set(u.thread, map, key, values[0]));
    assert_int_equal(unit_count(&u, key), 2);
    ok(mid_weak_map_set(u.thread, map, key, values[1])); /* another */
    assert_int_equal(unit_count(&u, key), 2);
    unit_check(&u);
    for (int i = 0; i < MANY; i += 2)
        mid_release(u.thread, values[i]);
    unit_check(&u);
    for (int i = 0; i < MANY; i++) {
        mid_handle v = got(&u, map, mid_from_int(i));
        assert_int_equal(v, i % 2 ? values[i] : 0);
        mid_release(u.thread, v);
    }
    assert_int_equal(count(&u, map), MANY / 2 + 1);
    mid_release(u.thread, values[1]);
    assert_int_equal(unit_count(&u, key), 1);
    assert_int_equal(count(&u, map), MANY / 2 - 1);
    ok(mid_weak_map_set(u.thread, map, mid_from_int(3), 0));
    for (int i = 3; i < MANY; i += 2)
        mid_release(u.thread, values[i]);
    assert_int_equal(count(&u, map), 0);
    mid_release(u.thread, key);
    mid_release(u.thread, map);
    unit_close(&u);
}

/* A key that only the map holds, and a value that is garbage: both go, and the map is whole. */
TEST(weak_values_in_cycles)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_VALUES), ring = unit_ring(&u, u.node, 3), key = unit_new(&u, u.node);
    mid_give(u.thread, ring, RIGHT, mid_retain(u.thread, key));
    ok(mid_weak_map_set(u.thread, map, key, ring));
    mid_release(u.thread, key);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 1);
    unit_check(&u);
    mid_release(u.thread, map);
    unit_close(&u);
}

TEST(iteration_bears_deaths_and_births)
{
    struct unit u;
    enum { SOME = 200 };
    mid_handle keys[SOME], k, v;
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS);
    for (int i = 0; i < SOME; i++) {
        keys[i] = unit_new(&u, u.node);
        ok(mid_weak_map_set(u.thread, map, keys[i], mid_from_int(i)));
    }
    int met[SOME] = {0};
    size_t cursor = 0;
    for (int n = 0;; n++) {
        ok(mid_weak_map_next(u.thread, map, &cursor, &k, &v));
        if (k == 0)
            break;
        met[mid_to_int(v)]++;
        mid_release(u.thread, k);
        if (n % 2 == 0) { /* some that was met or not dies; it never comes again */
            int victim = (mid_to_int(v) + 77) % SOME;
            mid_release(u.thread, keys[victim]);
            keys[victim] = 0;
        }
        if (n > SOME)
            fail();
    }
    for (int i = 0; i < SOME; i++)
        assert_true(met[i] <= 1 && (met[i] == 1 || keys[i] == 0));
    for (int i = 0; i < SOME; i++)
        mid_release(u.thread, keys[i]);
    mid_release(u.thread, map);
    unit_close(&u);
}

/* --- collectors that work beside the program ------------------------------------------------------------------------------- */

TEST(the_step_and_the_proposals_free_a_cycle_through_a_pair)
{
    for (int step = 0; step <= 1; step++) {
        struct unit u;
        if (step)
            unit_open(&u, "");
        else
            cycles_open(&u, "");
        if (step)
            assert_true(mid_step(u.thread, AMPLE) <= MID_MORE); /* from here on suspects are logged */
        mid_handle map = map_new(&u, MID_WEAK_KEYS);
        for (int i = 0; i < 50; i++) {
            mid_handle key = unit_new(&u, u.node), inner = unit_ring(&u, u.node, 3);
            put_node(&u, map, key, mid_retain(u.thread, key));
            mid_give(u.thread, key, RIGHT, inner);
            mid_release(u.thread, key);
        }
        assert_int_equal(unit_live(&u), 251);
        for (int i = 0; step && i < 20 && unit_live(&u) != 1; i++)
            assert_true(mid_step(u.thread, AMPLE) <= MID_MORE);
        if (!step)
            assert_int_equal(cycles_find(&u), 250);
        assert_int_equal(unit_live(&u), 1);
        unit_check(&u);
        mid_release(u.thread, map);
        if (step)
            unit_close(&u);
        else
            cycles_close(&u);
    }
}

/* A sweep takes a map's references for held: it may leave garbage of pairs, and frees nothing that lives. */
TEST(a_sweep_leaves_pairs_alone)
{
    struct unit u;
    cycles_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), alive = unit_new(&u, u.node), held = put_node(&u, map, alive, 0);
    mid_handle key = unit_array(&u, u.bytes, 4);
    put_node(&u, map, key, mid_retain(u.thread, key));
    mid_release(u.thread, key);
    mid_release(u.thread, unit_ring(&u, u.node, 7));
    cycles_begin(&u);
    cycles_finish(&u);
    cycles_find(&u);
    assert_int_equal(unit_live(&u), 5); /* the ring went */
    mid_handle value = got(&u, map, alive);
    assert_int_equal(value, held);
    mid_release(u.thread, value);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 3);
    mid_release(u.thread, alive);
    mid_release(u.thread, map);
    cycles_close(&u);
}

static int count_reference(void *context, const mid_reference *reference)
{
    mid_reference *last = context;
    last->slot += 1;
    last->holder = reference->holder;
    return 0;
}

TEST(inspection_shows_what_maps_refer_to)
{
    struct unit u;
    mid_reference path[2];
    size_t length;
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), key = unit_new(&u, u.node), value = put_node(&u, map, key, 0);
    mid_reference of_value = {0}, of_key = {0};
    ok(mid_inspect_referrers(u.thread, value, count_reference, &of_value));
    ok(mid_inspect_referrers(u.thread, key, count_reference, &of_key));
    assert_int_equal(of_value.slot, 1);
    assert_int_equal(of_value.holder, map);
    assert_int_equal(of_key.slot, 0); /* it is not held */
    ok(mid_inspect_why(u.thread, value, path, 2, &length));
    assert_int_equal(length, 1);
    assert_int_equal(path[0].holder, map);
    mid_release(u.thread, key);
    mid_release(u.thread, map);
    unit_close(&u);
}

static mid_handle saved;
static void save(mid_thread *thread, mid_handle object)
{
    saved = mid_retain(thread, object);
}

TEST(a_map_that_is_resurrected_has_the_pairs_of_living_keys)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "phoenix", .finalize = save});
    mid_handle object = unit_new(&u, type), map = map_new(&u, MID_WEAK_KEYS), values = map_new(&u, MID_WEAK_VALUES);
    mid_handle alive = unit_new(&u, u.node), dead = unit_ring(&u, u.node, 2), value = put_node(&u, map, alive, 0);
    put_node(&u, map, dead, unit_ring(&u, u.node, 3));
    put_node(&u, map, object, mid_retain(u.thread, dead)); /* what is finalized is a key, and loses its pair */
    ok(mid_weak_map_set(u.thread, values, mid_from_int(1), dead));
    ok(mid_weak_map_set(u.thread, values, mid_from_int(2), alive));
    mid_store(u.thread, object, LEFT, object);
    mid_give(u.thread, object, RIGHT, map);
    mid_give(u.thread, value, LEFT, values);
    mid_release(u.thread, dead);
    mid_release(u.thread, object);
    ok(mid_collect(u.thread, NULL));
    unit_check(&u);
    assert_int_equal(saved, object);
    assert_int_equal(unit_live(&u), 5); /* it, the maps, the living key and its value */
    assert_int_equal(count(&u, map), 1);
    assert_int_equal(count(&u, values), 1);
    mid_handle got_value = got(&u, map, alive);
    assert_int_equal(got_value, value);
    mid_release(u.thread, got_value);
    mid_release(u.thread, saved);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 1);
    mid_release(u.thread, alive);
    unit_close(&u);
}

/* A set too large for one stop has maps among its members, and is freed piece by piece, while keys outside it die, keys in it
 * lose the pairs they have in a map outside, and the heap checks out at each step. */
TEST(maps_and_keys_in_a_set_that_is_freed_in_slices)
{
    enum { RING = MID_SWEEP_SMALL + 2000, KEYS = 300 };
    for (int finalized = 0; finalized <= 1; finalized++) {
        struct unit u;
        mid_handle keys[KEYS];
        cycles_open(&u, "");
        mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "finalized", .finalize = save});
        mid_handle outside = map_new(&u, MID_WEAK_KEYS), map = map_new(&u, MID_WEAK_KEYS), ring = unit_ring(&u, u.node, RING), at = ring;
        saved = 0;
        for (unsigned i = 0; i < KEYS; i++) {
            keys[i] = unit_new(&u, u.node);
            ok(mid_weak_map_set(u.thread, map, keys[i], at));         /* values in the set */
            ok(mid_weak_map_set(u.thread, outside, at, keys[i]));      /* keys in the set */
            at = mid_peek(u.thread, at, LEFT);
        }
        mid_give(u.thread, at, RIGHT, map);
        if (finalized) {
            mid_handle last = unit_new(&u, type);
            mid_store(u.thread, last, LEFT, ring);
            mid_give(u.thread, mid_peek(u.thread, at, LEFT), RIGHT, last);
        }
        mid_release(u.thread, ring);
        cycles_begin(&u);
        unsigned next = 0;
        for (size_t i = 0; cycles_step(&u) != MID_SWEEP_NONE; i++) {
            assert_true(i < 10000000);
            bool late = cycles_step(&u) >= MID_SWEEP_COMMIT || i > 1000;
            if (cycles_shown(&u).sweeping == MID_SWEEPS_WAITING)
                ok(mid_safepoint(u.thread));
            else
                cycles_piece(&u);
            if (late && next < KEYS / 2)
                mid_release(u.thread, keys[next++]);
            if (i % 16 == 0 || late)
                unit_check(&u);
        }
        for (int i = 0; i < 10; i++)
            ok(mid_safepoint(u.thread));
        if (finalized) {
            assert_true(saved != 0);
            mid_release(u.thread, saved);
        }
        while (next < KEYS)
            mid_release(u.thread, keys[next++]);
        ok(mid_collect(u.thread, NULL));
        unit_check(&u);
        assert_int_equal(unit_live(&u), 1);
        assert_int_equal(count(&u, outside), 0);
        mid_release(u.thread, outside);
        cycles_close(&u);
    }
}

/* Garbage that only the exact collector finds comes to it before it is too much: a service need not ask. */
TEST(pairs_that_pile_up_call_for_the_exact_collector)
{
    struct unit u;
    cycles_open(&u, "");
    mid_service_set_growth(u.heap, UINT64_C(1) << 40, 75);
    mid_handle map = map_new(&u, MID_WEAK_KEYS);
    size_t most = 0;
    for (int i = 0; i < 20000; i++) {
        mid_handle key = unit_array(&u, u.bytes, 4);
        put_node(&u, map, key, mid_retain(u.thread, key));
        mid_release(u.thread, key);
        ok(mid_safepoint(u.thread));
        most = count(&u, map) > most ? count(&u, map) : most;
    }
    assert_true(most <= 1100);
    unit_check(&u);
    mid_release(u.thread, map);
    ok(mid_collect(u.thread, NULL));
    cycles_close(&u);
}

/* --- compaction ------------------------------------------------------------------------------------------------------------- */

TEST(deep_compaction_gives_keys_maps_and_values_other_handles)
{
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        struct deep d;
        deep_open(&d, orders[o]);
        mid_handle map = deep_put(&d, 0, map_new(&d.u, MID_WEAK_KEYS));
        mid_handle values = deep_put(&d, 1, map_new(&d.u, MID_WEAK_VALUES));
        for (size_t i = 2; i < SLOTS; i++) {
            mid_handle key = deep_node(&d, i, i);
            unit_node(&d.u, put_node(&d.u, map, key, 0))->value = i;
            ok(mid_weak_map_set(d.u.thread, values, mid_from_int((int32_t)i), key));
        }
        deep_settle(&d);
        ok(mid_compact(d.u.thread, MID_COMPACT_PLAIN, 0, NULL));
        assert_true(deep_compact(&d) >= SLOTS);
        map = deep_item(&d, 0);
        values = deep_item(&d, 1);
        for (size_t i = 2; i < SLOTS; i++) {
            mid_handle key = deep_item(&d, i), value = got(&d.u, map, key), same = got(&d.u, values, mid_from_int((int32_t)i));
            assert_int_equal(unit_node(&d.u, value)->value, i);
            assert_int_equal(same, key);
            mid_release(d.u.thread, value);
            mid_release(d.u.thread, same);
        }
        assert_int_equal(count(&d.u, map), SLOTS - 2);
        mid_give(d.u.thread, d.root, ITEM(2), 0);
        assert_int_equal(count(&d.u, map), SLOTS - 3);
        assert_int_equal(count(&d.u, values), SLOTS - 3);
        deep_close(&d);
    }
}

/* What a map was keyed by keeps its handle, for the map is searched by it. */
TEST(keys_of_weak_values_keep_their_handles)
{
    struct deep d;
    deep_open(&d, "deep=table");
    mid_handle map = deep_put(&d, 0, map_new(&d.u, MID_WEAK_VALUES)), key = deep_node(&d, 1, 7), value = deep_node(&d, 2, 8);
    ok(mid_weak_map_set(d.u.thread, map, key, value));
    deep_settle(&d);
    assert_true(deep_compact(&d) != 0);
    assert_int_equal(deep_item(&d, 1), key);
    assert_int_not_equal(deep_item(&d, 2), value);
    mid_handle found = got(&d.u, deep_item(&d, 0), key);
    assert_int_equal(found, deep_item(&d, 2));
    mid_release(d.u.thread, found);
    deep_close(&d);
}

/* --- callbacks ---------------------------------------------------------------------------------------------------------------- */

static struct {
    size_t calls;
    const void *contexts[64];
    mid_handle owners[64];
    mid_weak gone[64];
    mid_handle made;
    mid_type type;
    mid_status collect;
} called;

static void note(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    assert_int_equal(mid_weak_get(thread, gone), 0);
    if (called.calls < 64) {
        called.contexts[called.calls] = context;
        called.owners[called.calls] = owner;
        called.gone[called.calls] = gone;
    }
    called.calls++;
}

static void work(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    note(thread, gone, owner, context);
    called.collect = mid_collect(thread, NULL);
    ok(mid_new(thread, called.type, &called.made));
    mid_handle another;
    ok(mid_new(thread, called.type, &another));
    mid_release(thread, another);
    ok(mid_safepoint(thread));
    ok(mid_weak_drop(thread, gone));
}

TEST(a_callback_runs_once_at_the_end_of_the_release)
{
    struct unit u;
    mid_weak one, two, dropped, worker;
    int a, b, c;
    memset(&called, 0, sizeof called);
    unit_open(&u, "");
    called.type = u.node;
    mid_handle object = unit_new(&u, u.node);
    ok(mid_weak_new_with(u.thread, object, 0, note, &a, &one));
    ok(mid_weak_new_with(u.thread, object, 0, note, &b, &two));
    ok(mid_weak_new_with(u.thread, object, 0, note, &b, &dropped));
    ok(mid_weak_new_with(u.thread, object, 0, work, &c, &worker));
    assert_int_equal(unit_stats(&u).weak_references, 4);
    ok(mid_weak_drop(u.thread, dropped));
    mid_handle same = mid_weak_get(u.thread, one);
    assert_int_equal(same, object);
    mid_release(u.thread, same);
    assert_int_equal(called.calls, 0);
    mid_release(u.thread, object);
    assert_int_equal(called.calls, 3);
    assert_ptr_equal(called.contexts[0], &c); /* the newest first */
    assert_ptr_equal(called.contexts[1], &b);
    assert_ptr_equal(called.contexts[2], &a);
    assert_int_equal(called.collect, MID_EBUSY);
    mid_release(u.thread, called.made);
    ok(mid_collect(u.thread, NULL));
    ok(mid_safepoint(u.thread));
    assert_int_equal(called.calls, 3);
    expect(MID_EHANDLE, mid_weak_drop(u.thread, worker));
    ok(mid_weak_drop(u.thread, one));
    ok(mid_weak_drop(u.thread, two));
    assert_int_equal(unit_stats(&u).weak_references, 0);
    unit_close(&u);
}

TEST(an_owner_that_is_garbage_or_gone_is_not_told)
{
    struct unit u;
    mid_weak weak, kept;
    memset(&called, 0, sizeof called);
    unit_open(&u, "");
    mid_handle object = unit_new(&u, u.node), owner = unit_new(&u, u.node);
    ok(mid_weak_new_with(u.thread, object, owner, note, NULL, &weak));
    mid_release(u.thread, owner); /* it goes first, and the reference with it */
    assert_int_equal(unit_stats(&u).weak_references, 0);
    expect(MID_EHANDLE, mid_weak_drop(u.thread, weak));
    mid_release(u.thread, object);
    assert_int_equal(called.calls, 0);
    mid_handle ring = unit_ring(&u, u.node, 4);
    owner = mid_retain(u.thread, mid_peek(u.thread, ring, LEFT));
    ok(mid_weak_new_with(u.thread, ring, owner, note, NULL, &weak)); /* both in the ring */
    ok(mid_weak_new_with(u.thread, ring, ring, note, NULL, &weak));  /* its own */
    mid_release(u.thread, owner);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(called.calls, 0);
    assert_int_equal(unit_live(&u), 0);
    owner = unit_new(&u, u.node);
    object = unit_ring(&u, u.node, 2);
    ok(mid_weak_new_with(u.thread, object, owner, note, &u, &kept));
    mid_release(u.thread, object);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(called.calls, 1);
    assert_int_equal(called.owners[0], owner);
    assert_int_equal(unit_count(&u, owner), 1);
    mid_release(u.thread, owner);
    ok(mid_weak_drop(u.thread, kept)); /* it outlives its owner once it has been told */
    unit_close(&u);
}

static mid_weak victim;
static void drop_victim(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    note(thread, gone, owner, context);
    ok(mid_weak_drop(thread, victim));
    assert_int_equal(mid_weak_drop(thread, victim), MID_EHANDLE);
}

TEST(a_callback_may_drop_one_that_is_due)
{
    struct unit u;
    mid_weak first;
    memset(&called, 0, sizeof called);
    unit_open(&u, "");
    mid_handle object = unit_new(&u, u.node);
    ok(mid_weak_new_with(u.thread, object, 0, note, NULL, &victim));
    ok(mid_weak_new_with(u.thread, object, 0, drop_victim, NULL, &first));
    mid_release(u.thread, object);
    assert_int_equal(called.calls, 1);
    ok(mid_weak_drop(u.thread, first));
    for (int i = 0; i < 10; i++) { /* its cell is used again */
        object = unit_new(&u, u.node);
        ok(mid_weak_new_with(u.thread, object, 0, note, NULL, &first));
        mid_release(u.thread, object);
        ok(mid_weak_drop(u.thread, first));
    }
    assert_int_equal(called.calls, 11);
    assert_int_equal(unit_stats(&u).weak_references, 0);
    unit_close(&u);
}

/* --- bad input, no memory, threads -------------------------------------------------------------------------------------------- */

TEST(bad_handles_and_kinds)
{
    struct unit u;
    mid_weak weak;
    mid_handle out = 77, v = 77, e;
    size_t n, cursor = 0;
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), values = map_new(&u, MID_WEAK_VALUES), node = unit_new(&u, u.node), dead = unit_new(&u, u.node);
    ok(mid_ephemeron_new(u.thread, node, 0, &e));
    mid_release(u.thread, dead);
    expect(MID_ENULL, mid_weak_map_new(u.thread, MID_WEAK_KEYS, NULL));
    expect(MID_ENULL, mid_weak_map_new(NULL, MID_WEAK_KEYS, &out));
    expect(MID_EINVAL, mid_weak_map_new(u.thread, (mid_weak_kind)2, &out));
    expect(MID_EINVAL, mid_weak_map_new(u.thread, (mid_weak_kind)99, &out));
    const mid_handle wrong[] = {0, mid_from_int(4), dead, 0xFFFFFFFE};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect(MID_EHANDLE, mid_weak_map_set(u.thread, wrong[i], node, node));
        expect(MID_EHANDLE, mid_weak_map_get(u.thread, wrong[i], node, &v));
        expect(MID_EHANDLE, mid_weak_map_count(u.thread, wrong[i], &n));
        expect(MID_EHANDLE, mid_weak_map_next(u.thread, wrong[i], &cursor, &v, &out));
        expect(MID_EHANDLE, mid_weak_map_set(u.thread, map, wrong[i], node));
        expect(MID_EHANDLE, mid_weak_map_get(u.thread, map, wrong[i], &v));
        if (wrong[i] != 0)
            expect(MID_EHANDLE, mid_weak_map_set(u.thread, values, node, wrong[i]));
        expect(MID_EHANDLE, mid_ephemeron_new(u.thread, wrong[i], node, &out));
        expect(MID_EHANDLE, mid_ephemeron_get(u.thread, wrong[i], &out, &v));
        expect(MID_EHANDLE, mid_ephemeron_set(u.thread, wrong[i], node));
        expect(MID_EHANDLE, mid_weak_new_with(u.thread, wrong[i], 0, note, NULL, &weak));
        if (wrong[i] != 0)
            expect(MID_EHANDLE, mid_weak_new_with(u.thread, node, wrong[i], note, NULL, &weak));
    }
    expect(MID_EHANDLE, mid_weak_map_set(u.thread, map, node, dead));
    expect(MID_EHANDLE, mid_ephemeron_set(u.thread, e, dead));
    expect(MID_EHANDLE, mid_weak_map_set(u.thread, values, 0, node));
    expect(MID_ETYPE, mid_weak_map_set(u.thread, node, node, node));
    expect(MID_ETYPE, mid_weak_map_set(u.thread, e, node, node));
    expect(MID_ETYPE, mid_ephemeron_get(u.thread, map, &out, &v));
    expect(MID_ENULL, mid_ephemeron_new(u.thread, node, node, NULL));
    expect(MID_ENULL, mid_weak_map_get(u.thread, map, node, NULL));
    expect(MID_ENULL, mid_weak_map_count(u.thread, map, NULL));
    expect(MID_ENULL, mid_weak_map_next(u.thread, map, NULL, &v, &out));
    expect(MID_ENULL, mid_weak_new_with(u.thread, node, 0, NULL, NULL, &weak));
    expect(MID_ENULL, mid_weak_new_with(u.thread, node, 0, note, NULL, NULL));
    mid_type type;
    ok(mid_type_of(u.thread, map, &type));
    expect(MID_ETYPE, mid_resize(u.thread, map, 100));
    expect(MID_ETYPE, mid_new_array(u.thread, type, 8, &out));
    expect(MID_ETYPE, mid_new(u.thread, type, &out));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_weak_map_set(u.thread, map, node, node));
    expect(MID_ETHREAD, mid_weak_map_get(u.thread, map, node, &v));
    ok(mid_blocked_leave(u.thread));
    for (uint32_t cell = 0; cell < 20; cell++) /* cells of maps and pairs are nobody's to drop */
        for (uint32_t generation = 0; generation < 4; generation++) {
            expect(MID_EHANDLE, mid_weak_drop(u.thread, (mid_weak){cell, generation}));
            assert_int_equal(mid_weak_get(u.thread, (mid_weak){cell, generation}), 0);
        }
    unit_check(&u);
    mid_release(u.thread, e);
    mid_release(u.thread, map);
    mid_release(u.thread, values);
    mid_release(u.thread, node);
    unit_close(&u);
}

/* Maps fill until the memory ends: what was said to be in is in, the rest is not. */
TEST(without_memory_maps_stay_whole)
{
    struct unit u;
    enum { MOST = 200000 };
    static mid_handle keys[MOST];
    unit_open(&u, "heap-limit=4M");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), values = map_new(&u, MID_WEAK_VALUES), e;
    size_t in = 0, in_values = 0, made = 0;
    mid_status status = MID_OK, other = MID_OK;
    for (; made < MOST && (status == MID_OK || other == MID_OK); made++) {
        if (mid_new(u.thread, u.node, &keys[made]) != MID_OK)
            break;
        status = mid_weak_map_set(u.thread, map, keys[made], mid_from_int((int32_t)made));
        other = mid_weak_map_set(u.thread, values, mid_from_int((int32_t)made), keys[made]);
        in += status == MID_OK;
        in_values += other == MID_OK;
    }
    assert_true(made < MOST && made > 1000);
    unit_check(&u);
    assert_int_equal(count(&u, map), in);
    assert_int_equal(count(&u, values), in_values);
    while (mid_ephemeron_new(u.thread, keys[0], keys[1], &e) == MID_OK)
        mid_release(u.thread, mid_swap(u.thread, keys[1], LEFT, e));
    unit_check(&u);
    for (size_t i = 0; i < made; i++)
        mid_release(u.thread, keys[i]);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(count(&u, map) + count(&u, values), 0);
    mid_release(u.thread, map);
    mid_release(u.thread, values);
    unit_close(&u);
}

/* Tried again after a refusal, which is honest and leaves everything whole. */
#define INSIST(call)                                                                                                   \
    do {                                                                                                               \
        mid_status status_ = (call);                                                                                   \
        if (status_ != MID_OK) {                                                                                       \
            assert_int_equal(status_, MID_ENOMEM);                                                                     \
            assert_true(fault.failed != 0);                                                                            \
            fault.fail_at = 0;                                                                                         \
            unit_check(&u);                                                                                            \
            assert_int_equal(unit_stats(&u).weak_references, weak);                                                    \
            ok(call);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* The system refuses the nth request, for every n until nothing is refused any more. */
TEST(every_refusal_leaves_maps_whole)
{
    enum { PAIRS = 1500 };
    static mid_handle keys[PAIRS];
    memset(&called, 0, sizeof called);
    size_t n = 1;
    for (size_t refused = 1; refused != 0; n++) {
        struct unit u;
        struct fault_os fault;
        mid_options options;
        mid_weak note_of;
        mid_handle map, values, e;
        uint64_t weak = 0;
        fault_os_init(&fault);
        mid_options_init(&options);
        options.os = &fault.os;
        unit_open_with(&u, &options);
        fault.fail_at = fault.calls + n;
        INSIST(mid_weak_map_new(u.thread, MID_WEAK_KEYS, &map));
        INSIST(mid_weak_map_new(u.thread, MID_WEAK_VALUES, &values));
        for (int i = 0; i < PAIRS; i++) {
            INSIST(mid_new(u.thread, u.node, &keys[i]));
            INSIST(mid_ephemeron_new(u.thread, keys[i], mid_from_int(i), &e));
            mid_give(u.thread, keys[i], LEFT, e);
            INSIST(mid_weak_map_set(u.thread, map, keys[i], keys[i]));
            INSIST(mid_weak_map_set(u.thread, values, mid_from_int(i / 2), keys[i]));
            INSIST(mid_weak_new_with(u.thread, keys[i], map, note, NULL, &note_of));
            weak++;
        }
        refused = fault.failed;
        fault.fail_at = 0;
        unit_check(&u);
        assert_int_equal(count(&u, map), PAIRS);
        assert_int_equal(count(&u, values), PAIRS / 2);
        for (int i = 0; i < PAIRS; i++)
            mid_release(u.thread, keys[i]);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 2);
        assert_int_equal(called.calls, n * PAIRS);
        mid_release(u.thread, map);
        mid_release(u.thread, values);
        unit_close(&u);
        assert_int_equal(fault.violations, 0);
        fault_os_done(&fault);
    }
    assert_true(n > 10);
}

struct worker {
    struct unit *u;
    mid_handle map, values, shared;
    unsigned seed, errors;
    size_t rounds;
};

static void *hammer(void *argument)
{
    struct worker *w = argument;
    mid_thread *thread;
    uint64_t seed = w->seed;
    if (mid_thread_attach(w->u->heap, &thread) != MID_OK)
        return NULL;
    for (size_t i = 0; i < w->rounds; i++) {
        mid_handle key = 0, found, v, k;
        size_t cursor = unit_random(&seed) % 32;
        w->errors += mid_new(thread, w->u->node, &key) != MID_OK;
        mid_handle of = mid_load(thread, w->shared, ITEM(unit_random(&seed) % SLOTS)); /* another thread's, perhaps */
        w->errors += mid_weak_map_set(thread, w->map, key, key & 2 ? key : of != 0 ? of : key) != MID_OK;
        if (of != 0) {
            w->errors += mid_weak_map_set(thread, w->map, of, key) != MID_OK;
            w->errors += mid_weak_map_get(thread, w->map, of, &found) != MID_OK || found == 0;
            mid_release(thread, found);
        }
        w->errors += mid_weak_map_set(thread, w->values, mid_from_int((int32_t)(unit_random(&seed) % 100)), key) != MID_OK;
        w->errors += mid_weak_map_get(thread, w->values, mid_from_int((int32_t)(unit_random(&seed) % 100)), &v) != MID_OK;
        mid_release(thread, v);
        w->errors += mid_weak_map_next(thread, w->map, &cursor, &k, &v) != MID_OK;
        mid_release(thread, k);
        mid_release(thread, v);
        mid_give(thread, w->shared, ITEM(unit_random(&seed) % SLOTS), key);
        mid_release(thread, of);
        mid_safepoint(thread);
        if (i % 512 == 511)
            mid_collect(thread, NULL);
        else if (i % 512 == 200)
            mid_compact(thread, MID_COMPACT_PLAIN, 0, NULL);
    }
    mid_thread_detach(thread);
    return NULL;
}

/* Three threads put each other's objects in and out while they die, the collector runs and the daemon's proofs with it. */
TEST(threads_share_maps)
{
    struct unit u;
    enum { THREADS = 3 };
    struct worker w[THREADS];
    pthread_t threads[THREADS];
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), values = map_new(&u, MID_WEAK_VALUES), shared = unit_array(&u, u.vec, SLOTS);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){&u, map, values, shared, i + 1, 0, unit_scale(20000)};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &w[i]), 0);
    }
    ok(mid_blocked_enter(u.thread));
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ok(mid_blocked_leave(u.thread));
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(w[i].errors, 0);
    unit_check(&u);
    mid_release(u.thread, shared);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 2);
    assert_int_equal(count(&u, map) + count(&u, values), 0);
    mid_release(u.thread, map);
    mid_release(u.thread, values);
    unit_close(&u);
}

/* Random pairs over a random graph, held here and there: what lives after a collection is what a search by hand reaches. */
TEST(random_graphs_against_a_search_by_hand)
{
    enum { NODES = 60, MAPS = 4, PAIRS = 60 };
    for (uint64_t seed = 1; seed <= unit_scale(400); seed++) {
        struct unit u;
        uint64_t random = seed;
        mid_handle maps[MAPS], nodes[NODES];
        struct { unsigned map, key, value; } pairs[PAIRS];
        unsigned left[NODES], right[NODES];
        bool held[NODES], map_held[MAPS], alive[NODES] = {0}, map_alive[MAPS] = {0};
        unit_open(&u, "");
        for (unsigned i = 0; i < MAPS; i++)
            maps[i] = map_new(&u, MID_WEAK_KEYS);
        for (unsigned i = 0; i < NODES; i++)
            nodes[i] = unit_new(&u, u.node);
        for (unsigned i = 0; i < NODES; i++) {
            left[i] = (unsigned)(unit_random(&random) % (NODES * 2)); /* half of them lead nowhere */
            right[i] = (unsigned)(unit_random(&random) % (MAPS * 4));
            mid_store(u.thread, nodes[i], LEFT, left[i] < NODES ? nodes[left[i]] : 0);
            mid_store(u.thread, nodes[i], RIGHT, right[i] < MAPS ? maps[right[i]] : 0);
            held[i] = unit_random(&random) % 12 == 0;
        }
        for (unsigned i = 0; i < PAIRS; i++) {
            pairs[i].map = (unsigned)(unit_random(&random) % MAPS);
            pairs[i].key = (unsigned)(unit_random(&random) % NODES);
            pairs[i].value = (unsigned)(unit_random(&random) % NODES);
            for (unsigned j = 0; j < i; j++) /* the last one counts */
                if (pairs[j].map == pairs[i].map && pairs[j].key == pairs[i].key)
                    pairs[j].map = MAPS;
            ok(mid_weak_map_set(u.thread, maps[pairs[i].map], nodes[pairs[i].key], nodes[pairs[i].value]));
        }
        for (unsigned i = 0; i < MAPS; i++) {
            map_held[i] = unit_random(&random) % 2 == 0;
            map_alive[i] = map_held[i];
        }
        memcpy(alive, held, sizeof alive);
        for (bool more = true; more;) {
            more = false;
            for (unsigned i = 0; i < NODES; i++) {
                if (alive[i] && left[i] < NODES && !alive[left[i]])
                    more = alive[left[i]] = true;
                if (alive[i] && right[i] < MAPS && !map_alive[right[i]])
                    more = map_alive[right[i]] = true;
            }
            for (unsigned i = 0; i < PAIRS; i++)
                if (pairs[i].map < MAPS && map_alive[pairs[i].map] && alive[pairs[i].key] && !alive[pairs[i].value])
                    more = alive[pairs[i].value] = true;
        }
        uint64_t live = 0;
        for (unsigned i = 0; i < NODES; i++)
            live += alive[i];
        for (unsigned i = 0; i < MAPS; i++)
            live += map_alive[i];
        for (unsigned i = 0; i < NODES; i++)
            if (!held[i])
                mid_release(u.thread, nodes[i]);
        for (unsigned i = 0; i < MAPS; i++)
            if (!map_held[i])
                mid_release(u.thread, maps[i]);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), live);
        unit_check(&u);
        for (unsigned i = 0; i < NODES; i++)
            if (held[i])
                mid_release(u.thread, nodes[i]);
        for (unsigned i = 0; i < MAPS; i++)
            if (map_held[i])
                mid_release(u.thread, maps[i]);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 0);
        unit_close(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ephemeron_holds_its_value_while_the_key_lives),
        cmocka_unit_test(a_value_that_refers_to_its_key_is_collected),
        cmocka_unit_test(chains_of_ephemerons_are_followed_to_their_end),
        cmocka_unit_test(a_dead_map_lets_go_though_its_keys_live),
        cmocka_unit_test(a_value_held_elsewhere_outlives_its_pair),
        cmocka_unit_test(weak_keys_many_set_again_taken_out_and_dead),
        cmocka_unit_test(weak_values_go_and_take_their_keys),
        cmocka_unit_test(weak_values_in_cycles),
        cmocka_unit_test(iteration_bears_deaths_and_births),
        cmocka_unit_test(the_step_and_the_proposals_free_a_cycle_through_a_pair),
        cmocka_unit_test(a_sweep_leaves_pairs_alone),
        cmocka_unit_test(inspection_shows_what_maps_refer_to),
        cmocka_unit_test(a_map_that_is_resurrected_has_the_pairs_of_living_keys),
        cmocka_unit_test(maps_and_keys_in_a_set_that_is_freed_in_slices),
        cmocka_unit_test(pairs_that_pile_up_call_for_the_exact_collector),
        cmocka_unit_test(deep_compaction_gives_keys_maps_and_values_other_handles),
        cmocka_unit_test(keys_of_weak_values_keep_their_handles),
        cmocka_unit_test(a_callback_runs_once_at_the_end_of_the_release),
        cmocka_unit_test(an_owner_that_is_garbage_or_gone_is_not_told),
        cmocka_unit_test(a_callback_may_drop_one_that_is_due),
        cmocka_unit_test(bad_handles_and_kinds),
        cmocka_unit_test(without_memory_maps_stay_whole),
        cmocka_unit_test(every_refusal_leaves_maps_whole),
        cmocka_unit_test(threads_share_maps),
        cmocka_unit_test(random_graphs_against_a_search_by_hand),
    };
    return UNIT_RUN(tests);
}
