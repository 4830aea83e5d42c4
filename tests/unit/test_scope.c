/* Scopes for temporaries. */
#include "unit.h"

TEST(a_scope_releases_what_it_keeps)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope scope;
    ok(mid_scope_open(u.thread, &scope));
    for (int i = 0; i < 10000; i++) {
        mid_handle object = unit_new(&u, u.node);
        assert_int_equal(mid_keep(u.thread, object), object);
    }
    assert_int_equal(unit_live(&u), 10000);
    unit_check(&u);
    assert_int_equal(mid_scope_close(u.thread, &scope, 0), 0);
    unit_close_empty(&u);
}

TEST(the_result_survives_counted)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope scope;
    ok(mid_scope_open(u.thread, &scope));
    mid_handle a = mid_keep(u.thread, unit_new(&u, u.node));
    mid_handle b = mid_keep(u.thread, unit_new(&u, u.node));
    mid_store(u.thread, a, LEFT, b);
    assert_int_equal(mid_scope_close(u.thread, &scope, a), a);
    assert_int_equal(unit_count(&u, a), 1);
    assert_int_equal(unit_count(&u, b), 1);
    mid_release(u.thread, a);
    assert_int_equal(unit_live(&u), 0);
    ok(mid_scope_open(u.thread, &scope));
    assert_int_equal(mid_scope_close(u.thread, &scope, mid_from_int(9)), mid_from_int(9));
    unit_close(&u);
}

TEST(scopes_nest)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope scopes[50];
    for (int i = 0; i < 50; i++) {
        ok(mid_scope_open(u.thread, &scopes[i]));
        for (int k = 0; k <= i; k++)
            mid_keep(u.thread, unit_new(&u, u.node));
    }
    uint64_t left = 50 * 51 / 2;
    for (int i = 49; i >= 0; i--) {
        assert_int_equal(unit_live(&u), left);
        mid_scope_close(u.thread, &scopes[i], 0);
        left -= (uint64_t)i + 1;
    }
    unit_close_empty(&u);
}

TEST(closing_an_outer_scope_closes_the_inner_ones)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope outer, middle, inner;
    ok(mid_scope_open(u.thread, &outer));
    mid_keep(u.thread, unit_new(&u, u.node));
    ok(mid_scope_open(u.thread, &middle));
    mid_keep(u.thread, unit_new(&u, u.node));
    ok(mid_scope_open(u.thread, &inner));
    mid_handle last = mid_keep(u.thread, unit_new(&u, u.node));
    assert_int_equal(mid_scope_close(u.thread, &outer, last), last);
    assert_int_equal(unit_live(&u), 1);
    assert_int_equal(mid_scope_close(u.thread, &inner, 0), 0);
    assert_int_equal(mid_thread_status(u.thread), MID_EINVAL);
    mid_release(u.thread, last);
    assert_int_equal(mid_keep(u.thread, unit_new(&u, u.node)), 0); /* none is open: released */
    assert_int_equal(mid_thread_status(u.thread), MID_EINVAL);
    unit_close_empty(&u);
}

TEST(keeping_null_and_integers)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope scope;
    ok(mid_scope_open(u.thread, &scope));
    assert_int_equal(mid_keep(u.thread, mid_from_int(-3)), mid_from_int(-3));
    assert_int_equal(mid_keep(u.thread, 0), 0);
    unit_check(&u);
    mid_scope_close(u.thread, &scope, 0);
    unit_close(&u);
}

TEST(null_arguments_and_unopened_scopes)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope scope;
    memset(&scope, 0, sizeof scope);
    expect(MID_ENULL, mid_scope_open(NULL, &scope));
    expect(MID_ENULL, mid_scope_open(u.thread, NULL));
    assert_int_equal(mid_scope_close(u.thread, NULL, 0), 0);
    assert_int_equal(mid_scope_close(u.thread, &scope, 0), 0);
    assert_int_equal(mid_thread_status(u.thread), MID_EINVAL);
    memset(&scope, 0xFF, sizeof scope);
    assert_int_equal(mid_scope_close(u.thread, &scope, 0), 0);
    assert_int_equal(mid_thread_status(u.thread), MID_EINVAL);
    unit_check(&u);
    unit_close(&u);
}

TEST(an_open_scope_keeps_the_thread_attached)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope scope;
    ok(mid_scope_open(u.thread, &scope));
    mid_keep(u.thread, unit_new(&u, u.node));
    expect(MID_ETHREAD, mid_thread_detach(u.thread));
    mid_scope_close(u.thread, &scope, 0);
    ok(mid_thread_detach(u.thread));
    ok(mid_thread_attach(u.heap, &u.thread));
    unit_close(&u);
}

TEST(kept_objects_survive_collection_and_move)
{
    struct unit u;
    unit_open(&u, "");
    mid_scope scope;
    ok(mid_scope_open(u.thread, &scope));
    mid_handle kept[5000];
    for (uint64_t i = 0; i < 5000; i++) {
        kept[i] = mid_keep(u.thread, unit_ring(&u, u.node, 2));
        unit_node(&u, kept[i])->value = i;
        for (int k = 0; k < 4; k++) /* drops straight away, leaving holes */
            mid_release(u.thread, unit_new(&u, u.node));
    }
    ok(mid_collect(u.thread, NULL));
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0);
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(unit_node(&u, kept[i])->value, i);
    assert_int_equal(unit_live(&u), 10000);
    mid_scope_close(u.thread, &scope, 0);
    ok(mid_collect(u.thread, NULL));
    unit_close_empty(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scope_releases_what_it_keeps),
        cmocka_unit_test(the_result_survives_counted),
        cmocka_unit_test(scopes_nest),
        cmocka_unit_test(closing_an_outer_scope_closes_the_inner_ones),
        cmocka_unit_test(keeping_null_and_integers),
        cmocka_unit_test(null_arguments_and_unopened_scopes),
        cmocka_unit_test(an_open_scope_keeps_the_thread_attached),
        cmocka_unit_test(kept_objects_survive_collection_and_move),
    };
    return UNIT_RUN(tests);
}
