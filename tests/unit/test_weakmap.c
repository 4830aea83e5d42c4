/* Ephemerons and maps with weak keys or values: what they hold, how it dies, threads, a search by hand. */
#include <pthread.h>

#include "maps.h"

enum { SLOTS = 64 };

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
    unit_close_empty(&u);
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
    unit_close_empty(&u);
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
    UNIT_JOIN(&u, i, THREADS, threads[i]);
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
        unit_close_empty(&u);
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
        cmocka_unit_test(threads_share_maps),
        cmocka_unit_test(random_graphs_against_a_search_by_hand),
    };
    return UNIT_RUN(tests);
}
