/* Weak references: cleared by every kind of death, never by anything else. */
#include "unit.h"

static const mid_weak NOTHING = {0, 0};

TEST(a_weak_handle_gives_the_object_while_it_lives)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node);
    mid_weak weak, copy;
    ok(mid_weak_new(u.thread, a, &weak));
    assert_int_equal(unit_count(&u, a), 1); /* it holds nothing */
    assert_int_equal(unit_stats(&u).weak_references, 1);
    copy = weak;
    assert_int_equal(mid_weak_get(u.thread, weak), a);
    assert_int_equal(unit_count(&u, a), 2);
    mid_release(u.thread, a);
    assert_int_equal(mid_weak_get(u.thread, copy), a);
    mid_release(u.thread, a);
    mid_release(u.thread, a);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    assert_int_equal(mid_weak_get(u.thread, copy), 0);
    unit_check(&u);
    ok(mid_weak_drop(u.thread, weak));
    assert_int_equal(unit_stats(&u).weak_references, 0);
    expect(MID_EHANDLE, mid_weak_drop(u.thread, copy));
    unit_close(&u);
}

TEST(nothing_and_strange_cells)
{
    struct unit u;
    unit_open(&u, "");
    mid_weak weak = {7, 7};
    assert_int_equal(mid_weak_get(u.thread, NOTHING), 0);
    expect(MID_EHANDLE, mid_weak_drop(u.thread, NOTHING));
    static const mid_weak strange[] = {{1, 0}, {1, 1}, {1, 77}, {2, 1}, {100000, 1}, {UINT32_MAX, UINT32_MAX}, {0, 5}, {1u << 31, 1}};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        assert_int_equal(mid_weak_get(u.thread, strange[i]), 0);
        expect(MID_EHANDLE, mid_weak_drop(u.thread, strange[i]));
    }
    expect(MID_EHANDLE, mid_weak_new(u.thread, 0, &weak));
    expect(MID_EHANDLE, mid_weak_new(u.thread, mid_from_int(3), &weak));
    expect(MID_EHANDLE, mid_weak_new(u.thread, 0xFFFFFFFE, &weak));
    mid_handle dead = unit_new(&u, u.node);
    expect(MID_ENULL, mid_weak_new(u.thread, dead, NULL));
    expect(MID_ENULL, mid_weak_new(NULL, dead, &weak));
    mid_release(u.thread, dead);
    expect(MID_EHANDLE, mid_weak_new(u.thread, dead, &weak));
    expect(MID_ENULL, mid_weak_drop(NULL, weak));
    assert_int_equal(unit_stats(&u).weak_references, 0);
    unit_close(&u);
}

TEST(a_used_again_handle_is_not_the_old_object)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle old = unit_new(&u, u.node);
    mid_weak weak;
    ok(mid_weak_new(u.thread, old, &weak));
    mid_release(u.thread, old);
    mid_handle objects[2000];
    for (int i = 0; i < 2000; i++) /* one of them gets the old number */
        objects[i] = unit_new(&u, u.node);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    for (int i = 0; i < 2000; i++)
        mid_release(u.thread, objects[i]);
    ok(mid_weak_drop(u.thread, weak));
    unit_close(&u);
}

TEST(a_used_again_cell_is_not_the_old_reference)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node);
    mid_weak old, fresh[64];
    ok(mid_weak_new(u.thread, a, &old));
    ok(mid_weak_drop(u.thread, old));
    for (int i = 0; i < 64; i++)
        ok(mid_weak_new(u.thread, b, &fresh[i]));
    assert_int_equal(mid_weak_get(u.thread, old), 0);
    expect(MID_EHANDLE, mid_weak_drop(u.thread, old));
    for (int i = 0; i < 64; i++) {
        assert_int_equal(mid_weak_get(u.thread, fresh[i]), b);
        mid_release(u.thread, b);
        ok(mid_weak_drop(u.thread, fresh[i]));
    }
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    unit_close(&u);
}

TEST(many_references_to_one_object)
{
    struct unit u;
    enum { COUNT = 5000 };
    static mid_weak weak[COUNT];
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node), other = unit_new(&u, u.node);
    for (int i = 0; i < COUNT; i++)
        ok(mid_weak_new(u.thread, i % 2 ? other : a, &weak[i]));
    for (int i = 0; i < COUNT; i += 3)
        ok(mid_weak_drop(u.thread, weak[i]));
    unit_check(&u);
    mid_release(u.thread, a);
    for (int i = 0; i < COUNT; i++) {
        mid_handle got = mid_weak_get(u.thread, weak[i]);
        assert_int_equal(got, i % 3 != 0 && i % 2 ? other : 0);
        mid_release(u.thread, got);
        if (i % 3 != 0)
            ok(mid_weak_drop(u.thread, weak[i]));
    }
    assert_int_equal(unit_stats(&u).weak_references, 0);
    mid_release(u.thread, other);
    unit_close(&u);
}

TEST(weak_references_do_not_stop_a_cycle_from_going)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 5), second = mid_peek(u.thread, ring, LEFT);
    mid_weak weak, inner;
    ok(mid_weak_new(u.thread, ring, &weak));
    ok(mid_weak_new(u.thread, second, &inner));
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(mid_weak_get(u.thread, weak), ring);
    mid_release(u.thread, ring);
    mid_release(u.thread, ring);
    assert_int_equal(mid_weak_get(u.thread, inner), second); /* unreachable, not yet collected: alive */
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 5); /* our new reference held the ring */
    mid_release(u.thread, second);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    assert_int_equal(mid_weak_get(u.thread, inner), 0);
    ok(mid_weak_drop(u.thread, weak));
    ok(mid_weak_drop(u.thread, inner));
    unit_close(&u);
}

TEST(compaction_keeps_weak_references)
{
    struct unit u;
    enum { COUNT = 20000 };
    static mid_handle objects[COUNT];
    static mid_weak weak[COUNT];
    unit_open(&u, "");
    for (int i = 0; i < COUNT; i++) {
        objects[i] = unit_new(&u, u.node);
        unit_node(&u, objects[i])->value = (uint64_t)i;
        ok(mid_weak_new(u.thread, objects[i], &weak[i]));
    }
    for (int i = 0; i < COUNT; i++)
        if (i % 10 != 0)
            mid_release(u.thread, objects[i]);
    mid_compact_result result;
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
    unit_compacted(&u, 0);
    assert_true(result.moved_objects > 0);
    for (int i = 0; i < COUNT; i++) {
        mid_handle got = mid_weak_get(u.thread, weak[i]);
        assert_int_equal(got, i % 10 ? 0 : objects[i]);
        if (got != 0)
            assert_int_equal(unit_node(&u, got)->value, i);
        mid_release(u.thread, got);
        ok(mid_weak_drop(u.thread, weak[i]));
    }
    for (int i = 0; i < COUNT; i += 10)
        mid_release(u.thread, objects[i]);
    unit_close(&u);
}

TEST(objects_on_the_work_list_are_gone)
{
    struct unit u;
    unit_open(&u, "free-batch=32");
    mid_handle head = 0;
    mid_weak weak;
    for (int i = 0; i < 5000; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, head);
        head = next;
    }
    ok(mid_weak_new(u.thread, head, &weak));
    mid_release(u.thread, head);
    assert_true(unit_stats(&u).waiting_objects > 0);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    unit_drain(&u);
    ok(mid_weak_drop(u.thread, weak));
    unit_close(&u);
}

/* All items of an array start to die at once, and most of them wait with their cells. */
TEST(objects_that_wait_to_be_freed_are_gone)
{
    struct unit u;
    enum { COUNT = 60 };
    mid_weak weak[COUNT];
    unit_open(&u, "free-batch=32");
    mid_handle vec = unit_array(&u, u.vec, COUNT), holder = unit_new(&u, u.node);
    for (unsigned i = 0; i < COUNT; i++) {
        mid_handle leaf = unit_new(&u, u.node);
        ok(mid_weak_new(u.thread, leaf, &weak[i]));
        mid_give(u.thread, vec, ITEM(i), leaf);
    }
    mid_release(u.thread, vec);
    assert_true(unit_stats(&u).waiting_objects > 0);
    assert_int_equal(unit_live(&u), 1);
    for (int i = 0; i < COUNT; i++) {
        mid_handle got = mid_weak_get(u.thread, weak[i]);
        assert_int_equal(got, 0);
        mid_give(u.thread, holder, LEFT, got);
    }
    unit_check(&u);
    for (int i = 0; i < COUNT; i += 2) /* dropped while its object waits, too */
        ok(mid_weak_drop(u.thread, weak[i]));
    unit_check(&u);
    unit_drain(&u);
    for (int i = 1; i < COUNT; i += 2) {
        assert_int_equal(mid_weak_get(u.thread, weak[i]), 0);
        ok(mid_weak_drop(u.thread, weak[i]));
    }
    mid_release(u.thread, holder);
    unit_close(&u);
}

TEST(a_heap_closes_over_weak_handles_not_dropped)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node);
    mid_weak weak;
    for (int i = 0; i < 100; i++)
        ok(mid_weak_new(u.thread, a, &weak));
    mid_release(u.thread, a);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_weak_handle_gives_the_object_while_it_lives),
        cmocka_unit_test(nothing_and_strange_cells),
        cmocka_unit_test(a_used_again_handle_is_not_the_old_object),
        cmocka_unit_test(a_used_again_cell_is_not_the_old_reference),
        cmocka_unit_test(many_references_to_one_object),
        cmocka_unit_test(weak_references_do_not_stop_a_cycle_from_going),
        cmocka_unit_test(compaction_keeps_weak_references),
        cmocka_unit_test(objects_on_the_work_list_are_gone),
        cmocka_unit_test(a_heap_closes_over_weak_handles_not_dropped),
        cmocka_unit_test(objects_that_wait_to_be_freed_are_gone),
    };
    return UNIT_RUN(tests);
}
