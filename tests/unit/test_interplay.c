/* test_interplay.c: parts of the library that know of each other only through the heap: what is frozen, weak, kept, interned, traced,
 * compacted deeply and collected at the same time. */
#include "deep.h"

#include "midden/collector.h"
#include "midden/domain.h"
#include "midden/freeze.h"
#include "midden/policy.h"
#include "midden/trace.h"
#include "midden/weak.h"

static size_t pairs(struct unit *u, mid_handle map)
{
    size_t count = 0;
    ok(mid_weak_map_count(u->thread, map, &count));
    return count;
}

static mid_policy_stats policy(struct unit *u, mid_type type)
{
    mid_policy_stats stats;
    ok(mid_policy_stats_get(u->heap, type, &stats, sizeof stats));
    return stats;
}

struct word {
    uint64_t value;
};

static uint32_t word_hash(const void *object, void *context)
{
    (void)context;
    return (uint32_t)((const struct word *)object)->value;
}

static int word_equal(const void *a, const void *b, void *context)
{
    (void)context;
    return ((const struct word *)a)->value == ((const struct word *)b)->value;
}

static mid_type word_type(struct unit *u, uint32_t keep, uint32_t cached)
{
    return unit_type(u->heap, (mid_type_desc){.name = "word", .size = sizeof(struct word), .flags = MID_INTERNED, .keep = keep,
                                              .cached = cached, .hash = word_hash, .equal = word_equal});
}

static mid_handle word(struct unit *u, mid_type type, uint64_t value)
{
    mid_handle one, made = unit_new(u, type);
    ((struct word *)mid_get(u->thread, made))->value = value;
    ok(mid_intern(u->thread, made, &one));
    return one;
}

/* --- freezing and weak cells -------------------------------------------------------------------------------------------------- */

/* No weak handle of the program's is there: the map's own cells are all there are. */
TEST(keys_of_a_map_that_was_frozen_die_with_their_pairs)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle map, key = unit_new(&u, u.node), other = unit_new(&u, u.node), value = unit_new(&u, u.node);
    ok(mid_weak_map_new(u.thread, MID_WEAK_KEYS, &map));
    ok(mid_weak_map_set(u.thread, map, key, value));
    ok(mid_freeze(u.thread));
    ok(mid_weak_map_set(u.thread, map, other, value)); /* of two that are frozen */
    unit_check(&u);
    ok(mid_unfreeze(u.thread));
    unit_check(&u);
    assert_int_equal(pairs(&u, map), 2);
    mid_release(u.thread, key);
    assert_int_equal(pairs(&u, map), 1);
    mid_release(u.thread, other);
    assert_int_equal(pairs(&u, map), 0);
    assert_int_equal(unit_count(&u, value), 1);
    mid_release(u.thread, value);
    mid_release(u.thread, map);
    unit_close_empty(&u);
}

TEST(a_map_that_dies_while_it_is_frozen_ends_its_pairs)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle map, values, key = unit_new(&u, u.node), value = unit_new(&u, u.node);
    ok(mid_weak_map_new(u.thread, MID_WEAK_KEYS, &map));
    ok(mid_weak_map_new(u.thread, MID_WEAK_VALUES, &values));
    ok(mid_weak_map_set(u.thread, map, key, value));
    ok(mid_weak_map_set(u.thread, values, mid_from_int(7), value));
    ok(mid_freeze(u.thread));
    mid_release(u.thread, map);
    assert_int_equal(pairs(&u, map), 1); /* not before it thaws */
    ok(mid_unfreeze(u.thread));
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 3);
    mid_release(u.thread, key);
    mid_release(u.thread, value);
    assert_int_equal(pairs(&u, values), 0);
    mid_release(u.thread, values);
    unit_close(&u);
}

/* A value that leads back to its key: by every kind of collection, frozen map or not. */
TEST(what_only_a_frozen_map_pairs_is_found)
{
    static const unsigned kinds[] = {MID_COLLECT_FULL, MID_COLLECT_SWEEP | MID_COLLECT_FULL, MID_COLLECT_SUSPECTS | MID_COLLECT_FULL};
    for (unsigned n = 0; n < sizeof kinds / sizeof *kinds; n++) {
        struct unit u;
        unit_open(&u, "");
        mid_handle map, held = unit_new(&u, u.node);
        ok(mid_weak_map_new(u.thread, MID_WEAK_KEYS, &map));
        ok(mid_weak_map_set(u.thread, map, held, held)); /* it has a pair, and its only holder is itself, soon */
        ok(mid_freeze(u.thread));
        for (int i = 0; i < 10; i++) {
            mid_handle key = unit_new(&u, u.node), value = unit_new(&u, u.node);
            mid_store(u.thread, value, LEFT, key);
            ok(mid_weak_map_set(u.thread, map, key, value));
            mid_release(u.thread, key);
            mid_release(u.thread, value);
        }
        assert_int_equal(pairs(&u, map), 11);
        mid_collect_result result;
        ok(mid_collect_kinds(u.thread, kinds[n], &result));
        unit_check(&u);
        assert_int_equal(pairs(&u, map), 1);
        assert_int_equal(result.freed, 20);
        mid_release(u.thread, held);
        ok(mid_unfreeze(u.thread));
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(pairs(&u, map), 0);
        mid_release(u.thread, map);
        unit_close(&u);
    }
}

/* The flag of a weak cell and that of the tracer are one. */
TEST(tracing_switched_while_frozen_leaves_weak_references_whole)
{
    struct unit u;
    unit_open(&u, "");
    for (int round = 0; round < 4; round++) {
        mid_weak before, meanwhile, dropped;
        if (round & 1)
            ok(mid_trace_start(u.heap, NULL));
        mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node), c = unit_new(&u, u.node), d = unit_array(&u, u.bytes, 9);
        ok(mid_weak_new(u.thread, a, &before));
        ok(mid_weak_new(u.thread, c, &dropped));
        ok(mid_freeze(u.thread));
        if (round & 1)
            ok(mid_trace_stop(u.heap));
        if (round & 2)
            ok(mid_trace_start(u.heap, NULL));
        ok(mid_weak_new(u.thread, b, &meanwhile));
        ok(mid_weak_drop(u.thread, dropped));
        ok(mid_resize(u.thread, d, 900)); /* in a slot of its own, and traced since, perhaps */
        unit_check(&u);
        ok(mid_unfreeze(u.thread));
        unit_check(&u);
        mid_release(u.thread, a);
        mid_release(u.thread, b);
        mid_release(u.thread, c);
        mid_release(u.thread, d);
        assert_int_equal(mid_weak_get(u.thread, before), 0);
        assert_int_equal(mid_weak_get(u.thread, meanwhile), 0);
        ok(mid_weak_drop(u.thread, before));
        ok(mid_weak_drop(u.thread, meanwhile));
        unit_check(&u);
        if (mid_trace_is_on(u.heap)) {
            mid_trace_figures f;
            ok(mid_trace_figures_get(u.heap, &f, sizeof f));
            assert_int_equal(f.records, 0);
            ok(mid_trace_stop(u.heap));
        }
        assert_int_equal(unit_live(&u), 0);
    }
    unit_close(&u);
}

/* --- freezing and policies ---------------------------------------------------------------------------------------------------- */

TEST(types_keep_and_cache_after_a_freeze_as_before)
{
    struct unit u;
    unit_open(&u, "");
    mid_type kept = unit_node_type(u.heap, (mid_type_desc){.name = "kept", .keep = 8}), cached = word_type(&u, 0, 4);
    mid_type ahead = unit_node_type(u.heap, (mid_type_desc){.name = "ahead", .ahead = 5});
    for (int round = 0; round < 3; round++) {
        mid_release(u.thread, unit_new(&u, kept));
        mid_release(u.thread, word(&u, cached, 1000));
        assert_int_equal(policy(&u, kept).kept, 1);
        assert_int_equal(policy(&u, cached).cached, 1);
        assert_int_equal(policy(&u, ahead).kept, 5);
        mid_handle frozen = word(&u, cached, 7);
        ok(mid_freeze(u.thread));
        assert_int_equal(policy(&u, kept).kept, 0); /* what waits would be written to */
        assert_int_equal(policy(&u, cached).cached, 0);
        assert_int_equal(policy(&u, ahead).kept, 5); /* others, not frozen */
        assert_int_equal(unit_stats(&u).frozen_objects, 1);
        mid_release(u.thread, unit_new(&u, kept));
        mid_release(u.thread, word(&u, cached, 2000));
        mid_release(u.thread, word(&u, cached, 7));
        assert_int_equal(policy(&u, kept).kept, 1);
        assert_int_equal(policy(&u, cached).cached, 1);
        unit_check(&u);
        mid_release(u.thread, frozen);
        assert_int_equal(policy(&u, cached).cached, 1);
        ok(mid_unfreeze(u.thread));
        unit_drain(&u);
        assert_int_equal(policy(&u, cached).cached, 2);
        unit_check(&u);
        ok(mid_trim(u.thread, 0, NULL));
        assert_int_equal(policy(&u, cached).cached, 0);
    }
    unit_close(&u);
}

/* --- policies and memory ------------------------------------------------------------------------------------------------------ */

/* Garbage of a type that keeps is kept when it is collected; of a heap that is full it must not be. */
TEST(a_full_heap_keeps_nothing_of_what_it_collects)
{
    struct unit u;
    unit_open(&u, "heap-limit=8M,max-objects=1M");
    mid_type kept = unit_node_type(u.heap, (mid_type_desc){.name = "kept", .size = 512, .keep = 100000});
    mid_handle made, big;
    while (mid_new(u.thread, kept, &made) == MID_OK) {
        mid_store(u.thread, made, LEFT, made);
        mid_release(u.thread, made);
    }
    expect(MID_ELIMIT, mid_new_array(u.thread, u.bytes, 4 << 20, &big));
    ok(mid_reclaim(u.thread));
    unit_check(&u);
    ok(mid_new_array(u.thread, u.bytes, 4 << 20, &big));
    assert_int_equal(policy(&u, kept).kept, 0);
    mid_release(u.thread, big);
    unit_close(&u);
}

/* Both kept and cached: what leaves the cache would wait on the list. */
TEST(what_leaves_the_cache_for_memory_does_not_wait_to_be_new)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = word_type(&u, 1000, 500);
    for (uint64_t i = 0; i < 800; i++)
        mid_release(u.thread, word(&u, type, i));
    assert_int_equal(policy(&u, type).cached, 500);
    ok(mid_trim(u.thread, 0, NULL));
    unit_drain(&u);
    assert_int_equal(policy(&u, type).cached, 0);
    assert_int_equal(policy(&u, type).kept, 0);
    assert_int_equal(unit_live(&u), 0);
    unit_check(&u);
    unit_close(&u);
}

/* --- policies and tracing ----------------------------------------------------------------------------------------------------- */

TEST(what_is_reused_is_traced_anew)
{
    struct unit u;
    unit_open(&u, "");
    mid_type kept = unit_node_type(u.heap, (mid_type_desc){.name = "kept", .keep = 8, .ahead = 3});
    ok(mid_trace_start(u.heap, NULL));
    mid_trace_figures f;
    mid_trace_record record;
    for (int round = 0; round < 3; round++) {
        mid_handle one = unit_new(&u, kept);
        ok(mid_trace_where(u.thread, one, &record));
        ok(mid_compact(u.thread, round == 1 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
        ok(mid_trace_where(u.thread, one, &record));
        mid_release(u.thread, one);
        ok(mid_trace_figures_get(u.heap, &f, sizeof f));
        assert_int_equal(f.records, 0);
        unit_check(&u);
    }
    ok(mid_trace_stop(u.heap));
    unit_close(&u);
}

/* An object that is used again costs as many bytes as one that is made: estimates are of both. Some 1250 samples are taken, so that half
 * and twice as many bytes are 17 standard deviations away, and more. */
TEST(samples_of_what_is_reused_estimate_it)
{
    struct unit u;
    unit_open(&u, "max-objects=1M");
    enum { MANY = 20000, SIZE = 256, SAMPLE = 4096 };
    mid_type kept = unit_node_type(u.heap, (mid_type_desc){.name = "kept", .size = SIZE, .keep = MANY});
    static mid_handle held[MANY];
    const mid_trace_options options = {sizeof options, 4, SAMPLE};
    ok(mid_trace_start(u.heap, &options));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            held[i] = unit_new(&u, kept);
        mid_trace_figures f;
        ok(mid_trace_figures_get(u.heap, &f, sizeof f));
        assert_true(f.bytes > MANY * SIZE / 2 && f.bytes < MANY * SIZE * 2);
        assert_int_equal(policy(&u, kept).reused, round * MANY);
        unit_check(&u);
        for (int i = 0; i < MANY; i++)
            mid_release(u.thread, held[i]);
        unit_drain(&u);
    }
    ok(mid_trace_stop(u.heap));
    unit_close(&u);
}

/* --- blocks and tracing ---------------------------------------------------------------------------------------------------------- */

/* Caches of objects are narrow while allocations are sampled; those of blocks, filled before, meanwhile and after, are not. */
TEST(blocks_come_and_go_while_objects_are_sampled)
{
    struct unit u;
    unit_open(&u, "");
    enum { MANY = 3000 };
    static void *blocks[MANY];
    const mid_trace_options options = {sizeof options, 4, 2048};
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < MANY; i++) {
            ok(mid_mem_malloc(u.thread, (size_t)(i % 97), &blocks[i]));
            mid_release(u.thread, unit_new(&u, u.node));
        }
        unit_check(&u);
        if (round % 2 == 0)
            ok(mid_trace_start(u.heap, &options));
        else
            ok(mid_trace_stop(u.heap));
        unit_check(&u);
        for (int i = 0; i < MANY; i++) {
            ok(mid_mem_free(u.thread, blocks[i]));
            mid_release(u.thread, unit_new(&u, u.node));
        }
        unit_check(&u);
        if (round == 2)
            ok(mid_freeze(u.thread));
    }
    ok(mid_unfreeze(u.thread));
    mid_domain_stats stats;
    ok(mid_stats_domain(u.heap, MID_DOMAIN_MEM, &stats, sizeof stats));
    assert_int_equal(stats.live_blocks, 0);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_a_map_that_was_frozen_die_with_their_pairs),
        cmocka_unit_test(a_map_that_dies_while_it_is_frozen_ends_its_pairs),
        cmocka_unit_test(what_only_a_frozen_map_pairs_is_found),
        cmocka_unit_test(tracing_switched_while_frozen_leaves_weak_references_whole),
        cmocka_unit_test(types_keep_and_cache_after_a_freeze_as_before),
        cmocka_unit_test(a_full_heap_keeps_nothing_of_what_it_collects),
        cmocka_unit_test(what_leaves_the_cache_for_memory_does_not_wait_to_be_new),
        cmocka_unit_test(what_is_reused_is_traced_anew),
        cmocka_unit_test(samples_of_what_is_reused_estimate_it),
        cmocka_unit_test(blocks_come_and_go_while_objects_are_sampled),
    };
    return UNIT_RUN(tests);
}
