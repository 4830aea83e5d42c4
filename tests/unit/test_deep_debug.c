/* A debug heap whose objects are given other handles: what it knows of them goes along. */
#include "deep.h"
#include "reports.h"

TEST(what_is_known_goes_by_the_new_handle)
{
    static struct deep d;
    reports_begin();
    deep_open(&d, "deep=breadth,quarantine=0");
    mid_thread *thread = d.u.thread;
    for (size_t i = 0; i < SLOTS; i++) {
        mid_handle made = deep_node(&d, i, i);
        if (i != 0)
            mid_store(thread, made, LEFT, deep_item(&d, i - 1));
    }
    deep_settle(&d);
    mid_handle was = deep_item(&d, 5);
    assert_true(deep_compact(&d) >= SLOTS);
    mid_handle is = deep_item(&d, 5);
    assert_int_not_equal(is, was);
    ok(mid_debug_check(d.u.heap));
    for (size_t i = 0; i < SLOTS; i++) {
        assert_int_equal(unit_node(&d.u, deep_item(&d, i))->value, i);
        mid_store(thread, deep_item(&d, i), RIGHT, deep_item(&d, (i + 7) % SLOTS));
    }
    ok(mid_debug_check(d.u.heap));
    assert_int_equal(got.count, 0);
    /* Held by slots, which the heap counts: the caller has nothing to release. */
    mid_release(thread, is);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.handle, is);
    for (size_t i = 0; i < SLOTS; i++)
        mid_store(thread, deep_item(&d, i), RIGHT, 0);
    mid_release(thread, d.root);
    ok(mid_collect(thread, NULL));
    assert_int_equal(unit_live(&d.u), 0);
    assert_int_equal(got.count, 1);
    unit_close(&d.u);
    mid_debug_reports(NULL, NULL, 0);
}

/* What is dying when the world stops lies between what is moved, and changes places with it. */
TEST(the_dying_change_places_with_the_living)
{
    static struct deep d;
    reports_begin();
    deep_open(&d, "deep=breadth,quarantine=0,free-batch=32");
    mid_thread *thread = d.u.thread;
    mid_handle dying;
    ok(mid_new_array(thread, d.u.vec, 8 * SLOTS, &dying));
    for (size_t i = 0; i < 8 * SLOTS; i++) {
        mid_give(thread, dying, ITEM(i), unit_new(&d.u, d.u.node));
        if (i % 8 == 0)
            deep_node(&d, SLOTS - 1 - i / 8, i / 8);
    }
    deep_settle(&d);
    mid_release(thread, dying);
    mid_stats stats;
    mid_stats_get(d.u.heap, &stats, sizeof stats);
    assert_true(stats.waiting_objects > SLOTS);
    assert_true(deep_compact(&d) != 0);
    ok(mid_debug_check(d.u.heap));
    for (size_t i = 0; i < SLOTS; i++)
        assert_int_equal(unit_node(&d.u, deep_item(&d, SLOTS - 1 - i))->value, i);
    mid_release(thread, d.root);
    unit_drain(&d.u);
    assert_int_equal(unit_live(&d.u), 0);
    assert_int_equal(got.count, 0);
    unit_close(&d.u);
    mid_debug_reports(NULL, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_goes_by_the_new_handle),
        cmocka_unit_test(the_dying_change_places_with_the_living),
    };
    return UNIT_RUN(tests);
}
