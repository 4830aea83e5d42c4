/* When a running mutator collects by itself, and whom it tells: gc/service.h without a daemon behind it. */
#include "bound.h"

#include <stdlib.h>

#define MB(n) ((uint64_t)(n) << 20)

static void growth_open(struct unit *u, const char *options, uint64_t least, uint64_t percent)
{
    open_bound(u, options);
    mid_service_set_growth(u->heap, least, percent);
}

static mid_handle hold(struct unit *u, uint64_t bytes)
{
    mid_handle kept = unit_array(u, u->vec, bytes / 16);
    for (uint64_t i = 0; i < bytes / 16; i++)
        mid_give(u->thread, kept, ITEM(i), unit_new(u, u->node));
    return kept;
}

TEST(grown_by_the_least_it_collects_once)
{
    struct unit u;
    growth_open(&u, "credit=64K", MB(1), 75);
    unit_drop_bytes(&u, u.node, MB(1) / 2);
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, 0);
    unit_drop_bytes(&u, u.node, MB(1));
    unsigned before = kicks;
    ok(mid_safepoint(u.thread));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, 1);
    assert_true(kicks > before);
    mid_own_collections own = mid_service_collected(u.heap);
    assert_int_equal(own.times, 1);
    assert_int_equal(own.freed, unit_stats(&u).collected_objects);
    assert_int_equal(own.longest, own.micros);
    assert_true(own.live_before >= MB(1) && own.live_after < own.live_before);
    mid_snapshot shown;
    mid_service_snapshot(u.heap, &shown);
    assert_int_equal(shown.live_at_collection, own.live_after);
    assert_int_equal(mid_service_collected(u.heap).times, 0);
    mid_service_set_growth(u.heap, UINT64_MAX, 75);
    unit_drop_bytes(&u, u.node, MB(4));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, 1); /* never */
    close_bound(&u);
}

/* Blocks outside pools may be arrays that take long to look at: until a sweep has seen that they are not, the service decides. */
TEST(large_blocks_are_left_to_the_service_until_they_are_known)
{
    struct unit u;
    growth_open(&u, "credit=64K", MB(1), 75);
    mid_handle large = unit_array(&u, u.bytes, MB(4));
    unit_drop_bytes(&u, u.node, MB(6));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, 0);
    mid_status status = mid_service_sweep(u.heap, 1000000, true);
    while (status == MID_MORE) {
        uint64_t freed;
        ok(mid_service_stop(u.heap, u.thread, 1000000, NULL));
        mid_service_prove(u.heap, 1000000, &freed);
        mid_service_resume(u.heap);
        status = mid_service_sweep(u.heap, 1000000, false);
    }
    ok(status);
    uint64_t before = unit_stats(&u).collections;
    unit_drop_bytes(&u, u.node, MB(6));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, before + 1);
    mid_release(u.thread, large);
    close_bound(&u);
}

TEST(growth_counts_from_whoevers_collection)
{
    struct unit u;
    growth_open(&u, "credit=64K", MB(9), 75);
    mid_handle kept = hold(&u, MB(4));
    ok(mid_collect(u.thread, NULL));
    unit_drop_bytes(&u, u.node, MB(6));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, 1);
    unit_drop_bytes(&u, u.node, MB(4));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, 2);
    mid_collect_result result;
    unit_drop_bytes(&u, u.node, MB(6));
    ok(mid_service_stop(u.heap, u.thread, 0, NULL));
    ok(mid_service_collect(u.heap, &result));
    mid_service_resume(u.heap);
    unit_drop_bytes(&u, u.node, MB(6));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, 3);
    mid_release(u.thread, kept);
    unit_drain(&u);
    close_bound(&u);
}

TEST(one_that_blocks_before_it_could_collect_kicks)
{
    struct unit u;
    growth_open(&u, "credit=1G", MB(1), 75);
    unit_drop_bytes(&u, u.node, MB(2));
    mid_release(u.thread, hold(&u, MB(1))); /* something waits */
    assert_int_equal(kicks, 0);
    ok(mid_blocked_enter(u.thread));
    assert_int_equal(kicks, 1);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(unit_stats(&u).collections, 0);
    unit_drain(&u);
    close_bound(&u);
}

int main(void)
{
    setenv("MIDDEN_OPTIONS", "suspect-min=4294967295", 1); /* growth alone counts here */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grown_by_the_least_it_collects_once),
        cmocka_unit_test(large_blocks_are_left_to_the_service_until_they_are_known),
        cmocka_unit_test(growth_counts_from_whoevers_collection),
        cmocka_unit_test(one_that_blocks_before_it_could_collect_kicks),
    };
    return UNIT_RUN(tests);
}
