/* Weak maps and the collectors that work in slices or beside the program; and compaction. */
#include "cycles.h"
#include "deep.h"
#include "fault_os.h"
#include "maps.h"

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

/* --- without memory -------------------------------------------------------------------------------------------------------- */

enum { KEYS = 20 };

static int finalized;

static void on_finalize(mid_thread *thread, mid_handle handle)
{
    (void)thread, (void)handle;
    finalized++;
}

/* Values that their pairs alone hold, the keys garbage: with the pair the value dies, also where there is no room to set aside what
 * waits for a finalizer. */
TEST(a_value_dies_with_its_pair_when_garbage_with_finalizers_cannot_be_set_aside)
{
    bool all = false;
    for (size_t n = 1; !all; n++) {
        struct fault_os fault;
        struct unit u;
        fault_open(&u, &fault, "");
        mid_type mortal = unit_node_type(u.heap, (mid_type_desc){.name = "mortal", .finalize = on_finalize});
        mid_handle map = map_new(&u, MID_WEAK_KEYS);
        for (int i = 0; i < KEYS; i++) {
            mid_handle key = unit_ring(&u, u.node, 1), value = unit_new(&u, mortal);
            ok(mid_weak_map_set(u.thread, map, key, value));
            mid_release(u.thread, key);
            mid_release(u.thread, value);
        }
        finalized = 0;
        fault.fail_at = fault.calls + n;
        fault.for_good = 1;
        mid_status status = mid_collect(u.thread, NULL);
        all = fault.failed == 0;
        fault.fail_at = 0;
        fault.for_good = 0;
        unit_check(&u);
        if (status == MID_OK)
            assert_int_equal(finalized, KEYS);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(finalized, KEYS);
        assert_int_equal(unit_live(&u), 1);
        mid_release(u.thread, map);
        fault_close(&u, &fault);
    }
}

static mid_handle risen;

/* It drops what it holds of itself, and is held again. */
static void rise(mid_thread *thread, mid_handle handle)
{
    risen = mid_retain(thread, handle);
    mid_store(thread, handle, LEFT, 0);
}

/* A value loses two pairs at once, more than others than its owner hold of it, and lives: its owner's last count is to end it. */
TEST(what_lost_its_pairs_and_rose_dies_with_its_last_count)
{
    for (int room = 0; room <= 1; room++) {
        struct fault_os fault;
        struct unit u;
        fault_open(&u, &fault, "");
        mid_type phoenix = unit_node_type(u.heap, (mid_type_desc){.name = "phoenix", .finalize = rise});
        mid_handle map = map_new(&u, MID_WEAK_KEYS), value = unit_new(&u, phoenix);
        mid_store(u.thread, value, LEFT, value);
        mid_handle key[2];
        for (int i = 0; i < 2; i++)
            ok(mid_weak_map_set(u.thread, map, key[i] = unit_ring(&u, u.node, 1), value));
        mid_release(u.thread, unit_ring(&u, u.node, 1));
        ok(mid_collect(u.thread, NULL)); /* it has its marks from now on, and asks for nothing but the room to set aside */
        mid_release(u.thread, value);
        mid_release(u.thread, key[0]);
        mid_release(u.thread, key[1]);
        risen = 0;
        if (!room)
            fault.fail_at = fault.calls + 1;
        expect(room ? MID_OK : MID_ENOMEM, mid_collect(u.thread, NULL));
        assert_int_equal(fault.failed, !room);
        fault.fail_at = 0;
        unit_check(&u);
        if (!room)
            ok(mid_collect(u.thread, NULL));
        assert_int_equal(risen, value);
        unit_check(&u);
        mid_release(u.thread, risen);
        assert_int_equal(unit_live(&u), 1);
        mid_release(u.thread, map);
        fault_close(&u, &fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_step_and_the_proposals_free_a_cycle_through_a_pair),
        cmocka_unit_test(a_sweep_leaves_pairs_alone),
        cmocka_unit_test(inspection_shows_what_maps_refer_to),
        cmocka_unit_test(a_map_that_is_resurrected_has_the_pairs_of_living_keys),
        cmocka_unit_test(maps_and_keys_in_a_set_that_is_freed_in_slices),
        cmocka_unit_test(pairs_that_pile_up_call_for_the_exact_collector),
        cmocka_unit_test(deep_compaction_gives_keys_maps_and_values_other_handles),
        cmocka_unit_test(keys_of_weak_values_keep_their_handles),
        cmocka_unit_test(a_value_dies_with_its_pair_when_garbage_with_finalizers_cannot_be_set_aside),
        cmocka_unit_test(what_lost_its_pairs_and_rose_dies_with_its_last_count),
    };
    return UNIT_RUN(tests);
}
