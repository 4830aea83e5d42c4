/* Page runs moved together, and pools of sparse arenas: regions and arenas given back, what is pinned left alone. */
#include <stdbool.h>

#include "unit.h"

enum { RUNS = 240, PAGE = 4096, REGION = 4 << 20, PAGES = REGION / PAGE - 2 };

struct runs {
    struct unit u;
    mid_handle object[RUNS];
    size_t pages[RUNS];
    void *address[RUNS]; /* of what is pinned */
};

static unsigned char filling(size_t i, size_t page)
{
    return (unsigned char)(i * 31 + page * 7 + 1);
}

static unsigned char *bytes_of(struct runs *r, size_t i)
{
    return ((struct bytes *)mid_get(r->u.thread, r->object[i]))->data;
}

static void runs_make(struct runs *r, size_t i, size_t pages)
{
    r->pages[i] = pages;
    r->object[i] = unit_array(&r->u, r->u.bytes, pages * PAGE - sizeof(struct bytes));
    for (size_t page = 0; page < pages; page++) /* at each page's begin, but for the object's own */
        bytes_of(r, i)[page * PAGE] = filling(i, page);
}

static void runs_open(struct runs *r, const char *options, size_t least, size_t most)
{
    uint64_t seed = 1;
    memset(r, 0, sizeof *r);
    unit_open(&r->u, options);
    for (size_t i = 0; i < RUNS; i++)
        runs_make(r, i, least + unit_random(&seed) % (most - least + 1));
}

static void runs_drop(struct runs *r, size_t i)
{
    mid_release(r->u.thread, r->object[i]);
    r->object[i] = 0;
}

static void runs_thin(struct runs *r, unsigned keep_percent)
{
    uint64_t seed = 2;
    for (size_t i = 0; i < RUNS; i++)
        if (unit_random(&seed) % 100 >= keep_percent && r->address[i] == NULL)
            runs_drop(r, i);
}

static uint64_t runs_verify(struct runs *r)
{
    size_t wrong = 0, pages = 0;
    for (size_t i = 0; i < RUNS; i++) {
        if (r->object[i] == 0)
            continue;
        pages += r->pages[i];
        wrong += ((uintptr_t)mid_get(r->u.thread, r->object[i]) & (PAGE - 1)) != 0;
        wrong += r->address[i] != NULL && r->address[i] != mid_get(r->u.thread, r->object[i]);
        for (size_t page = 0; page < r->pages[i]; page++)
            wrong += bytes_of(r, i)[page * PAGE] != filling(i, page);
    }
    assert_int_equal(wrong, 0);
    unit_check(&r->u);
    return pages;
}

static void runs_close(struct runs *r)
{
    runs_verify(r);
    for (size_t i = 0; i < RUNS; i++)
        if (r->object[i] != 0)
            runs_drop(r, i);
    unit_close(&r->u);
}

/* No free page has memory behind it: what runs take is their pages and a head for each region. */
static void given_back(struct runs *r, const mid_compact_result *result, uint64_t pages)
{
    assert_int_equal(unit_stats(&r->u).run_bytes, pages * PAGE + result->regions_after * (REGION - PAGES * (size_t)PAGE));
}

TEST(runs_of_one_size_fill_the_fewest_regions)
{
    static const unsigned keeps[] = {3, 20, 60, 90};
    for (size_t k = 0; k < sizeof keeps / sizeof *keeps; k++) {
        struct runs r;
        mid_compact_result result;
        runs_open(&r, "reserve=0,spare=0", 64, 64);
        runs_thin(&r, keeps[k]);
        uint64_t pages = runs_verify(&r), count = pages / 64, each = PAGES / 64;
        ok(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 0, &result));
        assert_in_range(result.regions_before, result.regions_after + 1, RUNS / each);
        assert_int_equal(result.regions_after, (count + each - 1) / each);
        assert_int_equal(result.regions_optimal, (pages + PAGES - 1) / PAGES);
        assert_int_equal(result.moved_run_bytes, result.moved_runs * 64 * PAGE);
        assert_true(result.moved_runs != 0 && result.moved_objects == 0);
        assert_int_equal(runs_verify(&r), pages);
        given_back(&r, &result, pages);
        ok(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 0, &result));
        assert_int_equal(result.moved_runs, 0);
        runs_close(&r);
    }
}

TEST(runs_of_any_size_in_slices)
{
    struct runs r;
    mid_compact_result result;
    mid_status status;
    uint64_t moved = 0, before = 0, slices = 0;
    runs_open(&r, "reserve=0,spare=0", 9, 200);
    runs_thin(&r, 25);
    uint64_t pages = runs_verify(&r);
    do {
        status = mid_compact(r.u.thread, MID_COMPACT_PLAIN, 1, &result);
        assert_true(status == MID_OK || status == MID_MORE);
        before = before != 0 ? before : result.regions_before;
        moved += result.moved_runs;
        assert_int_equal(runs_verify(&r), pages);
        assert_true(++slices < 100000);
    } while (status == MID_MORE);
    assert_true(moved > 10);
    assert_true(result.regions_after < before / 2);
    assert_true(result.regions_after <= result.regions_optimal + result.regions_optimal / 4 + 1);
    ok(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 0, &result));
    given_back(&r, &result, pages);
    runs_close(&r);
}

TEST(pinned_runs_keep_their_region_and_others_join_them)
{
    struct runs r;
    mid_compact_result result;
    runs_open(&r, "reserve=0,spare=0", 64, 64);
    for (size_t i = 5; i < RUNS; i += 60)
        ok((i / 60 % 2 ? mid_pin : mid_pin_long)(r.u.thread, r.object[i], &r.address[i]));
    runs_thin(&r, 6);
    ok(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.regions_after, RUNS / 60);
    runs_verify(&r);
    for (size_t i = 5; i < RUNS; i += 60) {
        ok(mid_unpin(r.u.thread, r.object[i]));
        r.address[i] = NULL;
    }
    ok(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_true(result.regions_after < RUNS / 60 && result.moved_runs != 0);
    runs_close(&r);
}

/* Allocation, resizing and death between slices. */
TEST(the_program_goes_on_between_slices)
{
    struct runs r;
    uint64_t seed = 9;
    runs_open(&r, "", 9, 120);
    runs_thin(&r, 40);
    for (int slice = 0; slice < 300; slice++) {
        assert_true(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 1, NULL) <= MID_MORE);
        size_t i = unit_random(&seed) % RUNS;
        size_t pages = 9 + unit_random(&seed) % 240;
        if (r.object[i] == 0) {
            runs_make(&r, i, pages);
        } else if (slice % 2) {
            runs_drop(&r, i);
        } else {
            ok(mid_resize(r.u.thread, r.object[i], pages * PAGE - sizeof(struct bytes)));
            r.pages[i] = pages;
            for (size_t page = 0; page < pages; page++)
                bytes_of(&r, i)[page * PAGE] = filling(i, page);
        }
        if (slice % 30 == 0)
            runs_verify(&r);
    }
    runs_close(&r);
}

/* At the limit there is no memory for a copy; the pass ends all the same. */
TEST(no_room_for_a_copy)
{
    struct runs r;
    mid_compact_result result;
    runs_open(&r, "reserve=0,spare=0,heap-limit=400M", 250, 250);
    for (size_t i = 0; i < RUNS; i++)
        if (i % 4 != 0)
            runs_drop(&r, i);
    mid_handle full = unit_array(&r.u, r.u.bytes, 2 << 20);
    size_t room = (400u << 20) - unit_stats(&r.u).committed_bytes;
    ok(mid_resize(r.u.thread, full, (2 << 20) + room - 30 * PAGE));
    ok(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.moved_runs, 0);
    runs_verify(&r);
    mid_release(r.u.thread, full);
    ok(mid_compact(r.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.regions_after, RUNS / 4 / 4);
    runs_close(&r);
}

/* --- arenas --------------------------------------------------------------------------------------------------------- */

enum { UNITS = 255, ARENAS = 4, BIG = 8192 };

struct pools {
    struct unit u;
    mid_handle *object;
    size_t count, slots;
};

/* Whole pools: nothing is to be evacuated, whatever pools are dropped. */
static void pools_open(struct pools *p, const char *options)
{
    mid_class_stats stats = {0};
    memset(p, 0, sizeof *p);
    unit_open(&p->u, options);
    for (unsigned i = 0; stats.slot_size < BIG; i++)
        ok(mid_stats_class(p->u.heap, i, &stats));
    p->slots = stats.slots_per_pool;
    p->count = ARENAS * UNITS * p->slots;
    p->object = calloc(p->count, sizeof *p->object);
    assert_non_null(p->object);
    mid_type type = unit_plain_type(p->u.heap, "big", BIG);
    for (size_t i = 0; i < p->count; i++) {
        p->object[i] = unit_new(&p->u, type);
        *(size_t *)mid_get(p->u.thread, p->object[i]) = i;
    }
}

static void pools_thin(struct pools *p, size_t one_in)
{
    for (size_t i = 0; i < p->count; i++)
        if (i / p->slots % one_in != 0 && p->object[i] != 0) {
            mid_release(p->u.thread, p->object[i]);
            p->object[i] = 0;
        }
}

static void pools_verify(struct pools *p)
{
    size_t wrong = 0;
    for (size_t i = 0; i < p->count; i++)
        wrong += p->object[i] != 0 && *(size_t *)mid_get(p->u.thread, p->object[i]) != i;
    assert_int_equal(wrong, 0);
    unit_check(&p->u);
}

static void pools_close(struct pools *p)
{
    pools_verify(p);
    for (size_t i = 0; i < p->count; i++)
        mid_release(p->u.thread, p->object[i]);
    free(p->object);
    unit_close(&p->u);
}

TEST(sparse_arenas_come_free)
{
    struct pools p;
    mid_compact_result result;
    pools_open(&p, "reserve=0");
    pools_thin(&p, 10);
    uint64_t metadata = unit_stats(&p.u).metadata_bytes;
    ok(mid_compact(p.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.arenas_before, ARENAS);
    assert_int_equal(result.arenas_after, 1);
    assert_true(result.moved_objects == 0 && result.moved_pools > 70 && result.moved_pools < 90);
    assert_true(unit_stats(&p.u).metadata_bytes + 2 * 16384 < metadata);
    pools_verify(&p);
    ok(mid_compact(p.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.moved_pools, 0);
    mid_handle more[100];
    for (size_t i = 0; i < 100; i++)
        more[i] = unit_new(&p.u, p.u.node);
    for (size_t i = 0; i < 100; i++)
        mid_release(p.u.thread, more[i]);
    pools_close(&p);
}

TEST(arenas_in_slices)
{
    struct pools p;
    mid_compact_result result;
    uint64_t moved = 0, slices = 0;
    mid_status status;
    pools_open(&p, "");
    pools_thin(&p, 20);
    do {
        status = mid_compact(p.u.thread, MID_COMPACT_PLAIN, 1, &result);
        assert_true(status == MID_OK || status == MID_MORE);
        moved += result.moved_pools;
        if (slices % 16 == 0)
            pools_verify(&p);
        assert_true(++slices < 100000);
    } while (status == MID_MORE);
    assert_int_equal(result.arenas_after, 1);
    assert_true(moved > 30);
    pools_close(&p);
}

TEST(arenas_that_are_half_used_stay)
{
    struct pools p;
    mid_compact_result result;
    pools_open(&p, "reserve=0");
    pools_thin(&p, 2);
    ok(mid_compact(p.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_true(result.arenas_after == ARENAS && result.moved_pools == 0);
    pools_close(&p);
}

TEST(a_pin_keeps_its_arena)
{
    struct pools p;
    mid_compact_result result;
    pools_open(&p, "reserve=0");
    pools_thin(&p, 20);
    size_t last = p.count - 1;
    while (p.object[last] == 0)
        last--;
    void *at;
    ok(mid_pin(p.u.thread, p.object[last], &at));
    ok(mid_compact(p.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.arenas_after, 2);
    assert_ptr_equal(at, mid_get(p.u.thread, p.object[last]));
    ok(mid_unpin(p.u.thread, p.object[last]));
    ok(mid_compact(p.u.thread, MID_COMPACT_PLAIN, 0, &result));
    assert_int_equal(result.arenas_after, 1);
    pools_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_one_size_fill_the_fewest_regions),
        cmocka_unit_test(runs_of_any_size_in_slices),
        cmocka_unit_test(pinned_runs_keep_their_region_and_others_join_them),
        cmocka_unit_test(the_program_goes_on_between_slices),
        cmocka_unit_test(no_room_for_a_copy),
        cmocka_unit_test(sparse_arenas_come_free),
        cmocka_unit_test(arenas_in_slices),
        cmocka_unit_test(arenas_that_are_half_used_stay),
        cmocka_unit_test(a_pin_keeps_its_arena),
    };
    return UNIT_RUN(tests);
}
