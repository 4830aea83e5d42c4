/* Statistics: exact where they say so, consistent with each other, extensible. */
#include "unit.h"

#include "fault_os.h"

static void adds_up(struct unit *u, uint64_t pool_size)
{
    mid_stats s = unit_stats(u);
    assert_int_equal(s.committed_bytes,
                     s.pool_bytes + s.run_bytes + s.mapping_bytes + s.empty_bytes + s.table_bytes + s.metadata_bytes);
    assert_true(s.peak_committed_bytes >= s.committed_bytes);
    assert_int_equal(s.allocated_objects, s.live_objects + s.waiting_objects + s.freed_objects);
    mid_class_stats c;
    uint64_t pools = 0, slot_bytes = 0;
    for (unsigned i = 0; mid_stats_class(u->heap, i, &c) == MID_OK; i++) {
        pools += c.pools;
        slot_bytes += c.live_slots * c.slot_size;
        assert_true(c.live_slots + c.free_slots <= c.pools * c.slots_per_pool);
        assert_int_equal(c.optimal_pools, (c.live_slots + c.slots_per_pool - 1) / c.slots_per_pool);
    }
    assert_int_equal(s.pool_size, pool_size);
    assert_int_equal(pools * pool_size, s.pool_bytes);
    assert_int_equal(s.waiting_objects, 0);
    assert_true(slot_bytes <= s.live_slot_bytes); /* runs and mappings are no slots */
}

static void a_life(const char *options, uint64_t pool_size)
{
    struct unit u;
    enum { COUNT = 3000 };
    static mid_handle objects[COUNT];
    uint64_t seed = 3, live = 0;
    memset(objects, 0, sizeof objects);
    unit_open(&u, options);
    adds_up(&u, pool_size);
    for (int step = 0; step < 20000; step++) {
        size_t at = unit_random(&seed) % COUNT;
        live -= objects[at] != 0;
        mid_release(u.thread, objects[at]);
        uint64_t size = unit_random(&seed);
        objects[at] = unit_array(&u, u.bytes, size % 50 == 0 ? (size >> 8) % 70000 : size % 500 == 1 ? (size >> 8) % 3000000 : (size >> 8) % 300);
        live++;
        if (step % 500 == 0) {
            adds_up(&u, pool_size);
            assert_int_equal(unit_live(&u), live);
        }
        if (step % 4000 == 3999) {
            ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
            unit_compacted(&u, 0);
        }
    }
    adds_up(&u, pool_size);
    for (int i = 0; i < COUNT; i++)
        mid_release(u.thread, objects[i]);
    adds_up(&u, pool_size);
    mid_stats s = unit_stats(&u);
    assert_int_equal(s.live_objects, 0);
    assert_int_equal(s.live_slot_bytes, 0);
    assert_int_equal(s.mapping_bytes, 0);
    assert_int_equal(s.allocated_objects, 20000);
    assert_int_equal(s.freed_objects, 20000);
    unit_close(&u);
}

TEST(figures_add_up_through_a_life)
{
    a_life("", 64u << 10);
}

TEST(figures_add_up_with_pools_of_other_sizes)
{
    a_life("pool-size=16K,evacuate=address", 16u << 10);
    a_life("pool-size=256K,evacuate=first", 256u << 10);
}

/* Half a pool, or 32 KiB, is the largest slot; a resize crosses that both ways. */
static void largest_slot(const char *options, uint32_t largest)
{
    struct unit u;
    mid_class_stats c;
    mid_class_pass pass;
    uint32_t last = 0;
    unsigned classes = 0;
    unit_open(&u, options);
    for (; mid_stats_class(u.heap, classes, &c) == MID_OK; classes++)
        last = c.slot_size;
    assert_int_equal(last, largest);
    expect(MID_EINVAL, mid_stats_pass(u.heap, classes, &pass));
    mid_handle object = unit_array(&u, u.bytes, largest - 16);
    assert_true(unit_stats(&u).run_bytes == 0);
    for (int i = 0; i < 3; i++) {
        ok(mid_resize(u.thread, object, largest + 1));
        assert_true(unit_stats(&u).run_bytes != 0);
        ok(mid_stats_class(u.heap, classes - 1, &c));
        assert_int_equal(c.live_slots, 0);
        ok(mid_resize(u.thread, object, largest - 16));
        ok(mid_stats_class(u.heap, classes - 1, &c));
        assert_int_equal(c.live_slots, 1);
        unit_check(&u);
    }
    mid_release(u.thread, object);
    unit_close(&u);
}

TEST(what_pools_serve_depends_on_their_size)
{
    largest_slot("pool-size=16K", 8192);
    largest_slot("", 32768);
    largest_slot("pool-size=256K", 32768);
}

TEST(bytes_are_those_the_system_gave)
{
    struct unit u;
    struct fault_os fault;
    fault_open(&u, &fault, "max-objects=1M");
    static const size_t sizes[] = {10, 200, 3000, 30000, 40000, 900000, 2000000, 50000000};
    mid_handle objects[64];
    for (size_t i = 0; i < 64; i++) {
        objects[i] = unit_array(&u, u.bytes, sizes[i % 8]);
        assert_int_equal(unit_stats(&u).committed_bytes, fault.committed + fault.mapped);
    }
    for (size_t i = 0; i < 64; i++) {
        ok(mid_resize(u.thread, objects[i], sizes[(i + 3) % 8]));
        assert_int_equal(unit_stats(&u).committed_bytes, fault.committed + fault.mapped);
    }
    for (size_t i = 0; i < 64; i++)
        mid_release(u.thread, objects[i]);
    ok(mid_collect(u.thread, NULL));
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0);
    ok(mid_trim(u.thread, 0, NULL));
    assert_int_equal(unit_stats(&u).committed_bytes, fault.committed + fault.mapped);
    fault_close(&u, &fault);
}

TEST(live_figures_are_exact_at_every_step)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle objects[1000];
    for (uint64_t i = 0; i < 1000; i++) {
        mid_stats before = unit_stats(&u);
        objects[i] = unit_new(&u, u.node);
        mid_stats after = unit_stats(&u);
        assert_int_equal(after.live_objects, before.live_objects + 1);
        assert_int_equal(after.live_slot_bytes, before.live_slot_bytes + sizeof(struct node));
        assert_int_equal(after.allocated_objects, before.allocated_objects + 1);
        assert_true(after.allocated_bytes >= before.allocated_bytes + sizeof(struct node));
    }
    for (uint64_t i = 0; i < 1000; i++) {
        mid_release(u.thread, objects[i]);
        mid_stats s = unit_stats(&u);
        assert_int_equal(s.live_objects, 999 - i);
        assert_int_equal(s.freed_objects, i + 1);
        assert_int_equal(s.live_slot_bytes, (999 - i) * sizeof(struct node));
    }
    unit_close(&u);
}

TEST(an_older_program_gets_what_it_knows)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node);
    struct {
        mid_stats stats;
        unsigned char guard[64];
    } area;
    for (size_t size = 0; size <= sizeof area; size += 8) {
        memset(&area, 0xAB, sizeof area);
        size_t filled = mid_stats_get(u.heap, &area.stats, size);
        assert_int_equal(filled, size < sizeof(mid_stats) ? size : sizeof(mid_stats));
        for (size_t i = filled; i < sizeof area; i++)
            assert_int_equal(((unsigned char *)&area)[i], 0xAB);
        if (filled >= 8)
            assert_int_equal(area.stats.live_objects, 1);
    }
    assert_int_equal(mid_stats_get(NULL, &area.stats, sizeof area.stats), 0);
    assert_int_equal(mid_stats_get(u.heap, NULL, sizeof area.stats), 0);
    mid_release(u.thread, a);
    unit_close(&u);
}

TEST(classes_and_types)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle objects[100];
    for (int i = 0; i < 100; i++)
        objects[i] = i % 4 == 0 ? unit_new(&u, u.node) : unit_array(&u, u.bytes, 1000);
    uint64_t count = 0, bytes = 0;
    ok(mid_stats_type(u.heap, u.node, &count, &bytes));
    assert_int_equal(count, 25);
    assert_true(bytes >= 25 * sizeof(struct node));
    ok(mid_stats_type(u.heap, u.bytes, &count, &bytes));
    assert_int_equal(count, 75);
    assert_true(bytes >= 75 * 1016 && bytes <= 75 * 1016 * 9 / 8);
    ok(mid_stats_type(u.heap, u.vec, &count, &bytes));
    assert_int_equal(count, 0);
    expect(MID_ETYPE, mid_stats_type(u.heap, 0, &count, &bytes));
    expect(MID_ETYPE, mid_stats_type(u.heap, 4000, &count, &bytes));
    expect(MID_ENULL, mid_stats_type(NULL, u.node, &count, &bytes));
    mid_class_stats c;
    uint32_t last = 0;
    unsigned classes = 0;
    for (; mid_stats_class(u.heap, classes, &c) == MID_OK; classes++) {
        assert_true(c.slot_size > last);
        assert_true(c.slots_per_pool >= 1 && (uint64_t)c.slot_size * c.slots_per_pool <= 65536);
        last = c.slot_size;
    }
    assert_true(classes > 40 && last >= 32768 - 64);
    expect(MID_EINVAL, mid_stats_class(u.heap, UINT32_MAX, &c));
    expect(MID_ENULL, mid_stats_class(NULL, 0, &c));
    expect(MID_ENULL, mid_stats_class(u.heap, 0, NULL));
    for (int i = 0; i < 100; i++)
        mid_release(u.thread, objects[i]);
    unit_close(&u);
}

TEST(every_stop_is_in_the_histogram)
{
    struct unit u;
    unit_open(&u, "");
    for (int i = 0; i < 25; i++)
        ok(mid_collect(u.thread, NULL));
    uint64_t histogram[MID_STOP_BUCKETS], sum = 0;
    ok(mid_stats_stops(u.heap, histogram));
    for (int i = 0; i < MID_STOP_BUCKETS; i++)
        sum += histogram[i];
    mid_stats s = unit_stats(&u);
    assert_int_equal(sum, s.stops);
    assert_true(s.stops >= 25);
    assert_true(s.stop_micros_max <= s.stop_micros);
    assert_int_equal(s.collections, 25);
    expect(MID_ENULL, mid_stats_stops(NULL, histogram));
    expect(MID_ENULL, mid_stats_stops(u.heap, NULL));
    unit_close(&u);
}

TEST(a_block_that_grows_counts_what_it_takes_more)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle run = unit_array(&u, u.bytes, 40000), mapping = unit_array(&u, u.bytes, 2000000);
    mid_stats before = unit_stats(&u);
    for (size_t i = 0; i < 100; i++) { /* steps below a page: only what is taken counts */
        ok(mid_resize(u.thread, run, 40000 + i * 500));
        ok(mid_resize(u.thread, mapping, 2000000 + i * 700));
    }
    mid_stats after = unit_stats(&u);
    assert_true(after.live_slot_bytes > before.live_slot_bytes);
    assert_int_equal(after.allocated_bytes - before.allocated_bytes, after.live_slot_bytes - before.live_slot_bytes);
    mid_release(u.thread, run);
    mid_release(u.thread, mapping);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_add_up_through_a_life),
        cmocka_unit_test(figures_add_up_with_pools_of_other_sizes),
        cmocka_unit_test(what_pools_serve_depends_on_their_size),
        cmocka_unit_test(bytes_are_those_the_system_gave),
        cmocka_unit_test(live_figures_are_exact_at_every_step),
        cmocka_unit_test(an_older_program_gets_what_it_knows),
        cmocka_unit_test(classes_and_types),
        cmocka_unit_test(every_stop_is_in_the_histogram),
        cmocka_unit_test(a_block_that_grows_counts_what_it_takes_more),
    };
    return UNIT_RUN(tests);
}
