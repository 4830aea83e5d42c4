/* The allocator by itself (alloc/alloc.h): size classes, pools, arenas, page runs, mappings, accounting. */
#include "unit.h"

#include <sys/mman.h>

#include "alloc/alloc.h"
#include "fault_os.h"

struct bed {
    mid_alloc a;
    struct fault_os fault;
    size_t unbound;
};

static void on_unbind(void *owner, mid_pool *pool)
{
    struct bed *bed = owner;
    bed->unbound++;
    pool->bound = 0;
    pool->chain = 0;
}

static uint32_t pool_size; /* every test runs with each of the three */

static void bed_open(struct bed *bed, uint64_t limit, uint64_t reserve, uint64_t spare)
{
    memset(bed, 0, sizeof *bed);
    fault_os_init(&bed->fault);
    mid_alloc_init(&bed->a, &bed->fault.os, pool_size, limit, reserve, spare);
    bed->a.unbind = on_unbind;
    bed->a.owner = bed;
}

static void bed_check(struct bed *bed)
{
    const char *wrong = mid_alloc_check(&bed->a);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    assert_int_equal(bed->fault.violations, 0);
}

static void bed_close(struct bed *bed)
{
    bed_check(bed);
    mid_alloc_finish(&bed->a);
    fault_os_done(&bed->fault);
}

/* --- size classes ------------------------------------------------------------------------------------------------ */

TEST(each_size_gets_the_smallest_class_that_holds_it)
{
    for (size_t size = 0; size <= MID_POOLED_MAX; size++) {
        unsigned c = mid_size_class(size);
        assert_true(c < MID_CLASSES);
        assert_true(mid_class_size(c) >= size);
        assert_true(c == 0 || mid_class_size(c - 1) < size);
    }
    assert_int_equal(mid_class_size(mid_size_class(MID_POOLED_MAX)), MID_POOLED_MAX);
}

TEST(classes_rise_and_waste_little)
{
    for (unsigned c = 0; c < MID_CLASSES; c++) {
        uint32_t size = mid_class_size(c);
        assert_int_equal(size % 8, 0);
        if (c == 0)
            continue;
        uint32_t before = mid_class_size(c - 1);
        assert_true(size > before);
        if (size <= 128)
            assert_int_equal(size, before + 8);
        else
            assert_true((size - (before + 1)) * 8 <= size); /* the worst fit wastes at most an eighth */
    }
}

TEST(slots_lie_in_their_pool_and_are_found_again)
{
    struct bed bed;
    bed_open(&bed, 0, 0, 0);
    assert_int_equal(bed.a.pooled_max, pool_size == 16384 ? 8192 : 32768);
    assert_int_equal(mid_class_size(bed.a.class_count - 1), bed.a.pooled_max);
    for (unsigned i = 0; i < bed.a.class_count; i++) {
        const mid_class *c = &bed.a.classes[i];
        assert_int_equal(c->slot_size, mid_class_size(i));
        size_t names = c->slots <= MID_NAMES_INLINE ? 0 : 4u * c->slots;
        assert_true(c->first >= names);
        assert_true(c->first + (size_t)c->slots * c->slot_size <= pool_size);
        assert_true(c->first + ((size_t)c->slots + 1) * (c->slot_size + 4) + 64 > pool_size); /* no room wasted */
        for (unsigned slot = 0; slot < c->slots; slot++) {
            char *at = mid_slot_at(c, NULL, slot);
            assert_int_equal(mid_slot_of(c, NULL, at), slot);
            assert_int_equal(mid_slot_of(c, NULL, at + c->slot_size - 1), slot); /* rounding grows with the offset: so all between */
        }
    }
    bed_close(&bed);
}

/* --- pools --------------------------------------------------------------------------------------------------------- */

static mid_pool *take(struct bed *bed, unsigned size_class)
{
    mid_status status = MID_EINVAL;
    mid_pool *pool = mid_pool_take(&bed->a, size_class, &status);
    assert_non_null(pool);
    ok(status);
    assert_int_equal(pool->state, MID_POOL_OWNED);
    assert_int_equal(pool->size_class, size_class);
    assert_ptr_equal(mid_pool_of(mid_pool_base(pool)), pool);
    assert_ptr_equal(mid_pool_of(mid_pool_base(pool) + pool_size - 1), pool);
    assert_ptr_equal(mid_pool_in(&bed->a, mid_pool_base(pool)), pool);
    assert_ptr_equal(mid_pool_in(&bed->a, mid_pool_base(pool) + pool_size - 1), pool);
    return pool;
}

/* Hand out `live` of its slots (as the layer above would), then put it back. */
static void put_with(struct bed *bed, mid_pool *pool, unsigned live)
{
    mid_class *c = &bed->a.classes[pool->size_class];
    assert_true(live <= pool->slots);
    if (live > pool->live)
        c->handed += live - pool->live;
    else
        c->freed += pool->live - live;
    pool->live = (uint16_t)live;
    if (pool->bound < live)
        pool->bound = (uint16_t)live;
    mid_pool_put(&bed->a, pool);
}

/* Free down to `live` of a pool that is on a list. */
static void fall_to(struct bed *bed, mid_pool *pool, unsigned live)
{
    while (pool->live > live) {
        bed->a.classes[pool->size_class].freed++;
        pool->live--;
        if (pool->live < pool->low) {
            mid_pool_fell(&bed->a, pool);
            bed_check(bed);
        }
    }
}

TEST(the_fullest_pool_is_taken_first)
{
    struct bed bed;
    bed_open(&bed, 0, 1u << 20, 100);
    unsigned c = mid_size_class(64), slots = bed.a.classes[c].slots;
    mid_pool *pool[8];
    for (int i = 0; i < 8; i++)
        pool[i] = take(&bed, c);
    static const unsigned eighths[8] = {3, 7, 0, 5, 1, 6, 2, 4};
    for (int i = 0; i < 8; i++)
        put_with(&bed, pool[i], eighths[i] * slots / 8 + 2);
    bed_check(&bed);
    for (int want = 7; want >= 0; want--) {
        mid_pool *got = take(&bed, c);
        for (int i = 0; i < 8; i++)
            if (eighths[i] == (unsigned)want)
                assert_ptr_equal(got, pool[i]);
        put_with(&bed, got, slots); /* full: not taken again */
        bed_check(&bed);
    }
    mid_pool *fresh = take(&bed, c);
    for (int i = 0; i < 8; i++)
        assert_ptr_not_equal(fresh, pool[i]);
    put_with(&bed, fresh, 0);
    bed_close(&bed);
}

TEST(a_pool_wanders_down_the_lists_as_it_empties)
{
    struct bed bed;
    bed_open(&bed, 0, 1u << 20, 100);
    for (unsigned c = 0; c < bed.a.class_count; c += 3) {
        mid_pool *pool = take(&bed, c);
        put_with(&bed, pool, pool->slots);
        assert_int_equal(pool->state, MID_POOL_FULL);
        fall_to(&bed, pool, 0);
        assert_int_equal(pool->state, MID_POOL_EMPTY);
        bed_check(&bed);
    }
    bed_close(&bed);
}

TEST(empty_pools_serve_every_class_and_lose_their_names)
{
    struct bed bed;
    bed_open(&bed, 0, 1u << 20, 100);
    mid_pool *pool = take(&bed, 3);
    put_with(&bed, pool, 5);
    fall_to(&bed, pool, 0);
    assert_int_equal(bed.a.empty_pools, 1);
    assert_int_equal(bed.unbound, 0);
    mid_pool *same = take(&bed, 3); /* the same class keeps them */
    assert_ptr_equal(same, pool);
    assert_int_equal(bed.unbound, 0);
    assert_int_equal(same->bound, 5);
    put_with(&bed, same, 0);
    mid_pool *other = take(&bed, 40);
    assert_ptr_equal(other, pool);
    assert_int_equal(bed.unbound, 1);
    assert_int_equal(other->bound, 0);
    put_with(&bed, other, 0);
    bed_close(&bed);
}

TEST(the_reserve_bounds_what_is_kept)
{
    struct bed bed;
    enum { COUNT = 40 };
    mid_pool *pool[COUNT];
    bed_open(&bed, 0, 5 * pool_size, 0);
    for (int i = 0; i < COUNT; i++)
        pool[i] = take(&bed, 10);
    for (int i = 0; i < COUNT; i++)
        put_with(&bed, pool[i], 1);
    size_t full = bed.fault.committed;
    for (int i = 0; i < COUNT; i++)
        fall_to(&bed, pool[i], 0);
    assert_int_equal(bed.a.empty_pools, 5);
    assert_int_equal(bed.a.bytes[MID_IN_EMPTY], 5 * pool_size);
    assert_int_equal(bed.fault.committed, full - (COUNT - 5) * (size_t)pool_size);
    assert_int_equal(bed.a.returned, (COUNT - 5) * (size_t)pool_size);
    while (mid_pool_return_one(&bed.a))
        bed_check(&bed);
    assert_int_equal(bed.a.empty_pools, 0);
    bed_close(&bed);
}

TEST(spare_pools_are_kept_for_a_while_and_then_a_share_of_those_in_use)
{
    struct bed bed;
    enum { COUNT = 60, LEFT_IN_USE = 10 }; /* in one arena, whatever the size */
    mid_pool *pool[COUNT];
    bed_open(&bed, 0, 0, 50);
    for (int i = 0; i < COUNT; i++)
        pool[i] = take(&bed, 10);
    for (int i = 0; i < COUNT; i++)
        put_with(&bed, pool[i], 1);
    for (int i = LEFT_IN_USE; i < COUNT; i++) {
        fall_to(&bed, pool[i], 0);
        bed_check(&bed);
    }
    assert_true(bed.a.empty_pools >= LEFT_IN_USE / 2); /* some are kept */
    for (uint32_t i = 0; i < (256u << 20) / pool_size; i++) { /* a program that stays small forgets that it was large */
        mid_pool *again = take(&bed, 20);
        put_with(&bed, again, 1);
        fall_to(&bed, again, 0);
    }
    assert_int_equal(bed.a.used_pools, LEFT_IN_USE);
    assert_in_range(bed.a.empty_pools, 0, LEFT_IN_USE / 2 + 1);
    bed_close(&bed);
}

TEST(decommitted_pools_are_really_gone_and_come_back_zero)
{
    mid_alloc a;
    struct bed unused = {0};
    mid_alloc_init(&a, &mid_os_default, pool_size, 0, 0, 0);
    a.unbind = on_unbind;
    a.owner = &unused;
    mid_status status;
    mid_pool *pool = mid_pool_take(&a, 20, &status);
    assert_non_null(pool);
    char *base = mid_pool_base(pool);
    memset(base, 0x66, pool_size);
    unsigned char resident[64];
    const size_t pages = pool_size / MID_PAGE;
    assert_int_equal(mincore(base, pool_size, resident), 0);
    assert_true(resident[0] & 1 && resident[pages - 1] & 1);
    mid_pool_put(&a, pool); /* empty, no reserve: returned */
    assert_int_equal(a.empty_pools, 0);
    if (!RUNNING_ON_VALGRIND) {
        assert_int_equal(mincore(base, pool_size, resident), 0);
        for (size_t i = 0; i < pages; i++)
            assert_int_equal(resident[i] & 1, 0);
    }
    mid_pool *again = mid_pool_take(&a, 20, &status);
    assert_ptr_equal(again, pool);
    for (size_t i = 0; i < pool_size; i++)
        assert_int_equal(base[i], 0);
    mid_pool_put(&a, again);
    mid_alloc_finish(&a);
}

/* --- arenas ------------------------------------------------------------------------------------------------------- */

TEST(units_are_handed_out_lowest_first_and_apart)
{
    struct bed bed;
    static mid_pool *unit[3 * MID_UNITS_MOST];
    mid_status status;
    bed_open(&bed, 0, 0, 0);
    const unsigned count = bed.a.units * 11 / 4, in_first = 5, in_second = bed.a.units + 5; /* three arenas */
    for (unsigned i = 0; i < count; i++) {
        unit[i] = mid_units_take(&bed.a, 1, 1, &status);
        assert_non_null(unit[i]);
        unit[i]->state = MID_UNIT_REGION; /* anything but free */
        assert_int_equal((uintptr_t)mid_pool_base(unit[i]) % pool_size, 0);
        assert_true(mid_pool_base(unit[i]) >= mid_arena_of(unit[i]) + bed.a.units * sizeof(mid_pool)); /* which are the descriptors' */
        if (i > 0 && mid_arena_of(unit[i]) == mid_arena_of(unit[i - 1]))
            assert_ptr_equal(unit[i], unit[i - 1] + 1);
    }
    assert_int_equal(bed.a.arena_count, 3);
    assert_null(mid_arenas_check(&bed.a));
    mid_pool *low = unit[in_first];
    mid_units_give(&bed.a, unit[in_second], 1);
    mid_units_give(&bed.a, low, 1);
    assert_ptr_equal(mid_units_take(&bed.a, 1, 1, &status), low);
    mid_units_give(&bed.a, low, 1);
    for (unsigned i = 0; i < count; i++)
        if (i != in_first && i != in_second)
            mid_units_give(&bed.a, unit[i], 1);
    assert_null(mid_arenas_check(&bed.a));
    assert_int_equal(bed.a.arena_count, 1); /* wholly free ones go, the last stays */
    bed_close(&bed);
}

TEST(adjacent_units_are_aligned_and_adjacent)
{
    struct bed bed;
    mid_status status;
    bed_open(&bed, 0, 0, 0);
    mid_pool *single = mid_units_take(&bed.a, 1, 1, &status);
    mid_pool *many[6];
    const unsigned some = bed.a.units / 4, whole_units = bed.a.units - bed.a.first_unit;
    for (int i = 0; i < 6; i++) {
        many[i] = mid_units_take(&bed.a, some, some, &status);
        assert_non_null(many[i]);
        assert_int_equal((uintptr_t)mid_pool_base(many[i]) % ((size_t)some * pool_size), 0);
        for (int k = 0; k < i; k++)
            assert_true(many[i] >= many[k] + some || many[k] >= many[i] + some);
    }
    mid_pool *whole = mid_units_take(&bed.a, whole_units, 1, &status);
    assert_non_null(whole);
    for (int i = 0; i < 6; i++)
        mid_units_give(&bed.a, many[i], some);
    mid_units_give(&bed.a, whole, whole_units);
    mid_units_give(&bed.a, single, 1);
    bed_close(&bed);
}

/* --- large blocks ---------------------------------------------------------------------------------------------------- */

static char *large(struct bed *bed, size_t size, uint32_t name)
{
    mid_status status = MID_EINVAL;
    char *at = mid_large_new(&bed->a, size, name, &status);
    assert_non_null(at);
    ok(status);
    assert_int_equal((uintptr_t)at % MID_PAGE, 0);
    for (size_t i = 0; i < size; i += 97)
        assert_int_equal(at[i], 0);
    assert_int_equal(at[size - 1], 0);
    return at;
}

TEST(random_large_blocks_do_not_overlap_and_are_zero)
{
    struct bed bed;
    enum { COUNT = 60 };
    char *at[COUNT] = {0};
    size_t size[COUNT] = {0};
    uint64_t seed = 17;
    bed_open(&bed, 0, 1u << 20, 0);
    for (int step = 0; step < (int)unit_scale(3000); step++) {
        size_t i = unit_random(&seed) % COUNT;
        if (at[i] != NULL) {
            for (size_t k = 0; k < size[i]; k += 501)
                assert_int_equal((unsigned char)at[i][k], i + 1);
            mid_large_free(&bed.a, at[i], size[i], (uint32_t)i + 1);
        }
        size[i] = MID_POOLED_MAX + 1 + unit_random(&seed) % (step % 10 == 0 ? 3u << 20 : 200u << 10);
        at[i] = large(&bed, size[i], (uint32_t)i + 1);
        memset(at[i], (int)i + 1, size[i]);
        if (step % 100 == 0)
            bed_check(&bed);
    }
    for (size_t i = 0; i < COUNT; i++)
        if (at[i] != NULL)
            mid_large_free(&bed.a, at[i], size[i], (uint32_t)i + 1);
    bed_check(&bed);
    assert_int_equal(bed.a.large_live, 0);
    mid_runs_trim(&bed.a, 0);
    assert_int_equal(bed.a.dirty_pages, 0);
    bed_close(&bed);
}

TEST(resized_blocks_keep_their_contents_and_grow_zeros)
{
    struct bed bed;
    static const size_t sizes[] = {32769, 40000, 70000, 500000, 1u << 20, (1u << 20) + 1, 2000000, 9000000};
    bed_open(&bed, 0, 1u << 20, 0);
    for (size_t from = 0; from < 8; from++)
        for (size_t to = 0; to < 8; to++) {
            char *at = large(&bed, sizes[from], 9);
            memset(at, 0x42, sizes[from]);
            mid_status status = MID_EINVAL;
            at = mid_large_resize(&bed.a, at, sizes[from], sizes[to], 9, false, &status);
            assert_non_null(at);
            ok(status);
            size_t wrong = 0;
            for (size_t i = 0; i < sizes[to]; i++)
                wrong += at[i] != (i < sizes[from] ? 0x42 : 0);
            assert_int_equal(wrong, 0);
            at = mid_large_resize(&bed.a, at, sizes[to], sizes[7], 9, false, &status); /* what was cut is zero again */
            assert_non_null(at);
            size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            for (size_t i = kept; i < sizes[7]; i++)
                wrong += at[i] != 0;
            assert_int_equal(wrong, 0);
            bed_check(&bed);
            mid_large_free(&bed.a, at, sizes[7], 9);
        }
    assert_true(bed.fault.remaps > 0); /* large mappings grow in place or move by the kernel */
    bed_close(&bed);
}

TEST(a_block_that_must_stay_stays)
{
    struct bed bed;
    mid_status status;
    bed_open(&bed, 0, 1u << 20, 0);
    char *run = large(&bed, 40000, 1), *next = large(&bed, 40000, 2), *mapping = large(&bed, 2u << 20, 3);
    assert_null(mid_large_resize(&bed.a, run, 40000, 500000, 1, true, &status));
    expect(MID_EPINNED, status);
    assert_null(mid_large_resize(&bed.a, run, 40000, 3u << 20, 1, true, &status));
    expect(MID_EPINNED, status);
    assert_null(mid_large_resize(&bed.a, mapping, 2u << 20, 40000, 3, true, &status));
    expect(MID_EPINNED, status);
    assert_ptr_equal(mid_large_resize(&bed.a, run, 40000, 33000, 1, true, &status), run);
    bed_check(&bed);
    mid_large_free(&bed.a, run, 33000, 1);
    mid_large_free(&bed.a, next, 40000, 2);
    mid_large_free(&bed.a, mapping, 2u << 20, 3);
    bed_close(&bed);
}

TEST(locked_memory_comes_back_zero_too)
{
    const mid_os *os = &mid_os_default;
    const size_t size = 64u << 10;
    char *at = os->reserve(os->ctx, size, size);
    assert_non_null(at);
    assert_true(os->commit(os->ctx, at, size));
    memset(at, 0x77, size);
    bool locked = mlock(at, size) == 0; /* the system refuses to take it back then */
    if (!locked)
        print_message("not tried: mlock is not permitted\n");
    os->decommit(os->ctx, at, size);
    assert_true(os->commit(os->ctx, at, size));
    size_t left = 0;
    for (size_t i = 0; i < size; i++)
        left += at[i] != 0;
    at[size - 1] = 1;
    os->release(os->ctx, at, size);
    assert_int_equal(left, 0);
    if (!locked)
        skip();
}

static void *remap_elsewhere(void *ctx, void *at, size_t old_size, size_t new_size)
{
    struct fault_os *fault = ctx;
    void *moved = fault->os.map(ctx, new_size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, at, old_size < new_size ? old_size : new_size);
    fault->os.unmap(ctx, at, old_size);
    return moved;
}

TEST(a_mapping_that_must_stay_stays_whatever_remap_does)
{
    struct bed bed;
    mid_status status;
    bed_open(&bed, 0, 0, 0);
    bed.a.os.remap = remap_elsewhere;
    const size_t full = 4u << 20, less = 2u << 20;
    char *at = large(&bed, full, 1);
    memset(at, 0x11, full);
    assert_ptr_equal(mid_large_resize(&bed.a, at, full, less, 1, true, &status), at);
    bed_check(&bed);
    char *grown = mid_large_resize(&bed.a, at, less, full + 5000, 1, false, &status);
    assert_non_null(grown);
    assert_ptr_not_equal(grown, at);
    for (size_t i = 0; i < full + 5000; i++)
        if (grown[i] != (i < less ? 0x11 : 0))
            fail_msg("byte %zu", i);
    bed_check(&bed);
    mid_large_free(&bed.a, grown, full + 5000, 1);
    bed_close(&bed);
}

/* Somebody reads without a lock: nothing is unmapped before that has ended. */
TEST(held_arenas_stay_mapped)
{
    struct bed bed;
    mid_status status;
    bed_open(&bed, 0, 0, 0);
    static mid_pool *units[2 * MID_UNITS_MOST];
    const unsigned count = 2 * bed.a.units;
    for (unsigned i = 0; i < count; i++)
        assert_non_null(units[i] = mid_units_take(&bed.a, 1, 1, &status));
    assert_true(bed.a.arena_count > 2);
    uint32_t arenas = bed.a.arena_count;
    mid_arenas_hold(&bed.a, true);
    for (unsigned i = 0; i < count; i++)
        mid_units_give(&bed.a, units[i], 1);
    assert_int_equal(bed.a.arena_count, arenas);
    assert_int_equal(bed.a.arenas_released, 0);
    bed_check(&bed);
    mid_arenas_hold(&bed.a, false);
    assert_int_equal(bed.a.arena_count, 1);
    assert_int_equal(bed.a.arenas_released, arenas - 1);
    bed_check(&bed);
    bed_close(&bed);
}

TEST(beyond_the_most_mappings_blocks_live_in_arenas)
{
    struct bed bed;
    enum { COUNT = MID_MAPPINGS_MAX + 20 };
    static char *at[COUNT];
    const size_t size = MID_RUN_MAX + 100;
    bed_open(&bed, 0, 0, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        at[i] = large(&bed, size, i + 1);
        at[i][size - 1] = (char)i;
    }
    assert_true(bed.fault.mappings <= MID_MAPPINGS_MAX + 8); /* the heap's own arrays aside */
    bed_check(&bed);
    mid_status status;
    char *grown = mid_large_resize(&bed.a, at[COUNT - 1], size, 2 * size, COUNT, false, &status); /* out of a span */
    assert_non_null(grown);
    assert_int_equal(grown[size - 1], (char)(COUNT - 1));
    assert_int_equal(grown[2 * size - 1], 0);
    mid_large_free(&bed.a, grown, 2 * size, COUNT);
    for (uint32_t i = 0; i + 1 < COUNT; i++) {
        assert_int_equal(at[i][size - 1], (char)i);
        mid_large_free(&bed.a, at[i], size, i + 1);
    }
    bed_check(&bed);
    bed_close(&bed);
}

/* --- accounting -------------------------------------------------------------------------------------------------------- */

TEST(the_limit_is_never_passed)
{
    struct bed bed;
    mid_status status = MID_OK;
    const uint64_t limit = 4u << 20;
    bed_open(&bed, limit, 1u << 20, 100);
    mid_pool *pool[256];
    size_t pools = 0;
    while (pools < 256 && (pool[pools] = mid_pool_take(&bed.a, 5, &status)) != NULL) {
        put_with(&bed, pool[pools], pool[pools]->slots);
        pools++;
    }
    expect(MID_ELIMIT, status);
    assert_true(pools * pool_size >= 60u << 16);
    assert_true(bed.a.committed <= limit && bed.a.peak <= limit);
    assert_null(mid_large_new(&bed.a, 300000, 1, &status));
    expect(MID_ELIMIT, status);
    assert_null(mid_large_new(&bed.a, 2u << 20, 1, &status));
    expect(MID_ELIMIT, status);
    bed_check(&bed);
    for (size_t i = 0; i < pools; i++)
        fall_to(&bed, pool[i], 0);
    char *at = mid_large_new(&bed.a, 3u << 20, 1, &status); /* the empty pools make room */
    assert_non_null(at);
    assert_true(bed.a.committed <= limit);
    bed_check(&bed);
    mid_large_free(&bed.a, at, 3u << 20, 1);
    bed_close(&bed);
}

TEST(committed_bytes_are_the_systems)
{
    struct bed bed;
    mid_status status;
    bed_open(&bed, 0, 256u << 10, 0);
    mid_pool *pool = take(&bed, 7);
    char *run = large(&bed, 100000, 1), *mapping = large(&bed, 5u << 20, 2);
    assert_int_equal(bed.a.committed, bed.fault.committed + bed.fault.mapped);
    mapping = mid_large_resize(&bed.a, mapping, 5u << 20, 3u << 20, 2, false, &status);
    run = mid_large_resize(&bed.a, run, 100000, 50000, 1, false, &status);
    assert_int_equal(bed.a.committed, bed.fault.committed + bed.fault.mapped);
    mid_large_free(&bed.a, run, 50000, 1);
    mid_large_free(&bed.a, mapping, 3u << 20, 2);
    put_with(&bed, pool, 0);
    mid_runs_trim(&bed.a, 0);
    while (mid_pool_return_one(&bed.a))
        ;
    assert_int_equal(bed.a.committed, bed.fault.committed + bed.fault.mapped);
    bed_close(&bed);
}

TEST(arrays_grow_and_keep_their_contents)
{
    struct bed bed;
    bed_open(&bed, 0, 0, 0);
    mid_array array = {0};
    for (size_t need = 1; need < 10u << 20; need = need * 2 + 3) {
        ok(mid_array_grow(&bed.a, &array, need));
        assert_true(array.bytes >= need);
        unsigned char *bytes = array.data;
        assert_int_equal(bytes[need - 1], 0);
        bytes[need - 1] = 0x99;
        assert_int_equal(bytes[0], 0x99);
    }
    expect(MID_ESIZE, mid_array_grow(&bed.a, &array, SIZE_MAX));
    size_t had = array.bytes;
    bed.fault.fail_at = bed.fault.calls + 1;
    expect(MID_ENOMEM, mid_array_grow(&bed.a, &array, had + 1));
    assert_int_equal(array.bytes, had);
    assert_int_equal(bed.a.committed, bed.fault.mapped);
    mid_array_free(&bed.a, &array);
    assert_int_equal(bed.a.committed, 0);
    bed_close(&bed);
}

TEST(refusals_leave_the_allocator_whole)
{
    size_t refused = 1;
    for (size_t n = 1; refused != 0; n++) {
        struct bed bed;
        mid_status status;
        char *block[40] = {0};
        mid_pool *pool[40] = {0};
        bed_open(&bed, 0, 256u << 10, 0);
        bed.fault.fail_at = n;
        for (unsigned i = 0; i < 40; i++) {
            pool[i] = mid_pool_take(&bed.a, i, &status);
            assert_true(pool[i] != NULL || status == MID_ENOMEM);
            block[i] = mid_large_new(&bed.a, 40000u * (i + 1), i + 1, &status);
            assert_true(block[i] != NULL || status == MID_ENOMEM);
            bed_check(&bed);
        }
        for (unsigned i = 0; i < 40; i++) {
            if (block[i] != NULL)
                mid_large_free(&bed.a, block[i], 40000u * (i + 1), i + 1);
            if (pool[i] != NULL)
                mid_pool_put(&bed.a, pool[i]);
            bed_check(&bed);
        }
        refused = bed.fault.failed;
        bed_close(&bed);
    }
}

static int pools_of_64K(void **state)
{
    (void)state;
    pool_size = 64u << 10;
    return 0;
}

static int pools_of_16K(void **state)
{
    (void)state;
    pool_size = 16u << 10;
    return 0;
}

static int pools_of_256K(void **state)
{
    (void)state;
    pool_size = 256u << 10;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_size_gets_the_smallest_class_that_holds_it),
        cmocka_unit_test(classes_rise_and_waste_little),
        cmocka_unit_test(slots_lie_in_their_pool_and_are_found_again),
        cmocka_unit_test(the_fullest_pool_is_taken_first),
        cmocka_unit_test(a_pool_wanders_down_the_lists_as_it_empties),
        cmocka_unit_test(empty_pools_serve_every_class_and_lose_their_names),
        cmocka_unit_test(the_reserve_bounds_what_is_kept),
        cmocka_unit_test(spare_pools_are_kept_for_a_while_and_then_a_share_of_those_in_use),
        cmocka_unit_test(decommitted_pools_are_really_gone_and_come_back_zero),
        cmocka_unit_test(units_are_handed_out_lowest_first_and_apart),
        cmocka_unit_test(adjacent_units_are_aligned_and_adjacent),
        cmocka_unit_test(random_large_blocks_do_not_overlap_and_are_zero),
        cmocka_unit_test(resized_blocks_keep_their_contents_and_grow_zeros),
        cmocka_unit_test(a_block_that_must_stay_stays),
        cmocka_unit_test(held_arenas_stay_mapped),
        cmocka_unit_test(beyond_the_most_mappings_blocks_live_in_arenas),
        cmocka_unit_test(the_limit_is_never_passed),
        cmocka_unit_test(committed_bytes_are_the_systems),
        cmocka_unit_test(arrays_grow_and_keep_their_contents),
        cmocka_unit_test(refusals_leave_the_allocator_whole),
        cmocka_unit_test(locked_memory_comes_back_zero_too),
        cmocka_unit_test(a_mapping_that_must_stay_stays_whatever_remap_does),
    };
    static int (*const sizes[])(void **) = {pools_of_64K, pools_of_16K, pools_of_256K};
    enum { TESTS = sizeof tests / sizeof tests[0], SIZES = sizeof sizes / sizeof sizes[0] };
    struct CMUnitTest all[SIZES * TESTS];
    for (size_t i = 0; i < SIZES * TESTS; i++) {
        all[i] = tests[i % TESTS];
        all[i].setup_func = sizes[i / TESTS];
    }
    return UNIT_RUN(all);
}
