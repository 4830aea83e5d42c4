/* The checked calls (this file is compiled with MIDDEN_DEBUG): every misuse gives exactly one report that names the call,
 * and has no other effect; correct programs give none. */
#include "reports.h"

#include <pthread.h>

static void reported(const char *call, mid_status status, mid_handle handle, const char *file, int line)
{
    if (status == MID_ENULL || status == MID_ETHREAD) /* it is about the thread; the handle may be left out */
        handle = got.handle == 0 ? 0 : handle;
    if (got.count != 1 || strcmp(got.call, call) != 0 || got.status != status || got.handle != handle) {
        print_error("expected one report of %s: %s, handle %u; got %zu, the last of %s: %s, handle %u (%s)\n", call,
                    mid_status_name(status), handle, got.count, got.call, mid_status_name(got.status), got.handle, got.detail);
        _fail(file, line);
    }
    if (got.detail[0] == 0) {
        print_error("report of %s without detail\n", call);
        _fail(file, line);
    }
    memset(&got, 0, sizeof got);
}
#define REPORTED(call, status, handle) reported(call, status, handle, __FILE__, __LINE__)

/* Every inline call that takes an object, with `bad` in its place. */
static void all_calls(struct unit *u, mid_handle bad, mid_status why)
{
    mid_thread *t = u->thread;
    mid_handle good = unit_new(u, u->node);
    assert_int_equal(mid_load(t, bad, LEFT), 0);
    REPORTED("mid_load", why, bad);
    assert_int_equal(mid_peek(t, bad, LEFT), 0);
    REPORTED("mid_peek", why, bad);
    mid_store(t, bad, LEFT, good);
    REPORTED("mid_store", why, bad);
    assert_int_equal(unit_count(u, good), 1);
    mid_give(t, bad, LEFT, mid_retain(t, good));
    REPORTED("mid_give", why, bad);
    assert_int_equal(unit_count(u, good), 2); /* nothing happened: still ours */
    assert_int_equal(mid_swap(t, bad, LEFT, good), 0);
    REPORTED("mid_swap", why, bad);
    assert_int_equal(mid_take(t, bad, LEFT), 0);
    REPORTED("mid_take", why, bad);
    assert_int_equal(unit_count(u, good), 2);
    mid_release(t, good);
    mid_release(t, good);
    assert_int_equal(got.count, 0);
    unit_check(u);
}

/* Those that take any value, where null and integers are fine. */
static void value_calls(struct unit *u, mid_handle bad)
{
    mid_thread *t = u->thread;
    mid_handle good = unit_new(u, u->node), other = unit_new(u, u->node);
    mid_store(t, good, LEFT, other);
    assert_int_equal(mid_retain(t, bad), 0);
    REPORTED("mid_retain", MID_EHANDLE, bad);
    mid_release(t, bad);
    REPORTED("mid_release", MID_EHANDLE, bad);
    assert_null(mid_get(t, bad));
    REPORTED("mid_get", MID_EHANDLE, bad);
    mid_store(t, good, LEFT, bad);
    REPORTED("mid_store", MID_EHANDLE, bad);
    mid_give(t, good, LEFT, bad);
    REPORTED("mid_give", MID_EHANDLE, bad);
    assert_int_equal(mid_swap(t, good, LEFT, bad), 0);
    REPORTED("mid_swap", MID_EHANDLE, bad);
    assert_int_equal(mid_peek(t, good, LEFT), other);
    assert_int_equal(unit_count(u, other), 2);
    mid_release(t, good);
    mid_release(t, other);
    unit_check(u);
}

TEST(correct_use_gives_no_report)
{
    struct unit u;
    debug_open(&u, "");
    mid_thread *t = u.thread;
    mid_handle a = unit_new(&u, u.node), vec = unit_array(&u, u.vec, 10);
    mid_store(t, vec, ITEM(9), a);
    mid_give(t, vec, ITEM(0), unit_new(&u, u.node));
    mid_store(t, a, LEFT, mid_from_int(-5));
    mid_store(t, a, RIGHT, 0);
    mid_release(t, mid_load(t, vec, ITEM(9)));
    mid_release(t, mid_swap(t, vec, ITEM(1), mid_retain(t, a)));
    mid_release(t, mid_take(t, vec, ITEM(1)));
    mid_retain(t, 0);
    mid_release(t, mid_from_int(3));
    assert_null(mid_get(t, 0));
    unit_node(&u, a)->value = 5;
    for (int i = 0; i < 20000; i++) { /* far beyond the quarantine */
        mid_handle made = unit_new(&u, u.node);
        assert_int_equal(unit_node(&u, made)->value, 0);
        mid_store(t, a, RIGHT, made);
        mid_release(t, made);
        if (i % 1000 == 0) {
            ok(mid_safepoint(t));
            ok(mid_compact(t, MID_COMPACT_PLAIN, 0, NULL));
            unit_compacted(&u, 0);
            ok(mid_collect(t, NULL));
            unit_check(&u);
        }
    }
    mid_release(t, a);
    mid_release(t, vec);
    assert_int_equal(unit_live(&u), 0);
    debug_close(&u);
}

TEST(null_and_integers_are_no_objects)
{
    struct unit u;
    debug_open(&u, "");
    all_calls(&u, 0, MID_EHANDLE);
    all_calls(&u, mid_from_int(6), MID_EHANDLE);
    assert_null(mid_get(u.thread, mid_from_int(6)));
    REPORTED("mid_get", MID_EHANDLE, mid_from_int(6));
    debug_close(&u);
}

TEST(handles_out_of_range)
{
    struct unit u;
    debug_open(&u, "");
    static const mid_handle far[] = {0xFFFFFFFE, 0x80000000, 0x7FFFFFF0, 0x10000000};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        all_calls(&u, far[i], MID_EHANDLE);
        value_calls(&u, far[i]);
    }
    debug_close(&u);
}

TEST(stale_handles_are_told)
{
    struct unit u;
    debug_open(&u, "");
    mid_handle stale = unit_new(&u, u.node);
    mid_release(u.thread, stale);
    all_calls(&u, stale, MID_EHANDLE);
    value_calls(&u, stale);
    mid_release(u.thread, stale);
    assert_non_null(strstr(got.detail, "freed"));
    REPORTED("mid_release", MID_EHANDLE, stale);
    for (int i = 0; i < 1000; i++) { /* quarantined: not given out again soon */
        mid_handle made = unit_new(&u, u.node);
        assert_int_not_equal(made, stale);
        mid_release(u.thread, made);
    }
    all_calls(&u, stale, MID_EHANDLE);
    expect(MID_EHANDLE, mid_pin(u.thread, stale, NULL));
    mid_type type;
    expect(MID_EHANDLE, mid_type_of(u.thread, stale, &type));
    assert_false(mid_is_live(u.thread, stale));
    debug_close(&u);
}

TEST(stale_handles_of_collected_cycles)
{
    struct unit u;
    debug_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 4);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    all_calls(&u, ring, MID_EHANDLE);
    value_calls(&u, ring);
    debug_close(&u);
}

TEST(foreign_handles_are_told)
{
    struct unit a, b;
    debug_open(&a, "");
    unit_open(&b, "");
    for (int i = 0; i < 50; i++) { /* handles at the same place in each table */
        mid_handle foreign = unit_new(&b, b.node), own = unit_new(&a, a.node);
        assert_int_not_equal(foreign, own);
        all_calls(&a, foreign, MID_EHANDLE);
        value_calls(&a, foreign);
        assert_int_equal(unit_count(&b, foreign), 1);
        mid_release(a.thread, own);
        mid_release(b.thread, foreign);
    }
    unit_close(&b);
    debug_close(&a);
}

TEST(slots_the_type_does_not_declare)
{
    struct unit u;
    debug_open(&u, "");
    mid_thread *t = u.thread;
    mid_handle node = unit_new(&u, u.node), vec = unit_array(&u, u.vec, 3), bytes = unit_array(&u, u.bytes, 100);
    const struct {
        mid_handle holder;
        unsigned slot;
    } bad[] = {{node, 2}, {node, 3}, {node, 4}, {node, UINT32_MAX}, {vec, 0}, {vec, 1}, {vec, ITEM(3)}, {vec, 1u << 30}, {bytes, 0}, {bytes, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(mid_load(t, bad[i].holder, bad[i].slot), 0);
        REPORTED("mid_load", MID_ESLOT, bad[i].holder);
        assert_int_equal(mid_peek(t, bad[i].holder, bad[i].slot), 0);
        REPORTED("mid_peek", MID_ESLOT, bad[i].holder);
        mid_store(t, bad[i].holder, bad[i].slot, node);
        REPORTED("mid_store", MID_ESLOT, bad[i].holder);
        mid_give(t, bad[i].holder, bad[i].slot, node);
        REPORTED("mid_give", MID_ESLOT, bad[i].holder);
        assert_int_equal(mid_swap(t, bad[i].holder, bad[i].slot, node), 0);
        REPORTED("mid_swap", MID_ESLOT, bad[i].holder);
        assert_int_equal(mid_take(t, bad[i].holder, bad[i].slot), 0);
        REPORTED("mid_take", MID_ESLOT, bad[i].holder);
        unit_check(&u);
    }
    assert_int_equal(unit_count(&u, node), 1);
    ok(mid_resize(t, vec, 2));
    mid_peek(t, vec, ITEM(2)); /* no item any more */
    REPORTED("mid_peek", MID_ESLOT, vec);
    mid_release(t, node);
    mid_release(t, vec);
    mid_release(t, bytes);
    debug_close(&u);
}

TEST(a_null_thread)
{
    struct unit u;
    debug_open(&u, "");
    mid_handle node = unit_new(&u, u.node), none = 1;
    expect(MID_ENULL, mid_new(NULL, u.node, &none));
    REPORTED("mid_new", MID_ENULL, 0);
    assert_int_equal(mid_retain(NULL, node), 0);
    REPORTED("mid_retain", MID_ENULL, node);
    mid_release(NULL, node);
    REPORTED("mid_release", MID_ENULL, node);
    assert_int_equal(mid_load(NULL, node, LEFT), 0);
    REPORTED("mid_load", MID_ENULL, node);
    mid_store(NULL, node, LEFT, 0);
    REPORTED("mid_store", MID_ENULL, node);
    assert_null(mid_get(NULL, node));
    REPORTED("mid_get", MID_ENULL, node);
    expect(MID_ENULL, mid_safepoint(NULL));
    REPORTED("mid_safepoint", MID_ENULL, 0);
    mid_release(u.thread, node);
    debug_close(&u);
}

TEST(mid_new_of_no_type)
{
    struct unit u;
    debug_open(&u, "");
    mid_handle none = 1;
    static const mid_type bad[] = {0, 100, MID_TYPES_MAX, MID_TYPES_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        none = 1;
        expect(MID_ETYPE, mid_new(u.thread, bad[i], &none));
        assert_int_equal(none, 0);
        REPORTED("mid_new", MID_ETYPE, 0);
    }
    expect(MID_ETYPE, mid_new(u.thread, u.vec, &none)); /* of variable size */
    REPORTED("mid_new", MID_ETYPE, 0);
    expect(MID_ENULL, mid_new(u.thread, u.node, NULL));
    REPORTED("mid_new", MID_ENULL, 0);
    assert_int_equal(unit_live(&u), 0);
    debug_close(&u);
}

/* --- the wrong thread ---------------------------------------------------------------------------------------- */

static void *elsewhere(void *argument)
{
    struct unit *u = argument;
    mid_handle none;
    (void)mid_new(u->thread, u->node, &none);
    return NULL;
}

TEST(the_wrong_thread)
{
    struct unit u;
    pthread_t thread;
    debug_open(&u, "");
    assert_int_equal(pthread_create(&thread, NULL, elsewhere, &u), 0);
    pthread_join(thread, NULL);
    assert_ptr_equal(got.thread, u.thread);
    REPORTED("mid_new", MID_ETHREAD, 0);
    assert_int_equal(unit_live(&u), 0);
    debug_close(&u);
}

TEST(inside_a_blocked_region)
{
    struct unit u;
    debug_open(&u, "");
    mid_handle node = unit_new(&u, u.node), none;
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_new(u.thread, u.node, &none));
    REPORTED("mid_new", MID_ETHREAD, 0);
    mid_retain(u.thread, node);
    REPORTED("mid_retain", MID_ETHREAD, node);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(unit_count(&u, node), 1);
    mid_release(u.thread, node);
    debug_close(&u);
}

TEST(a_release_too_many_of_a_held_object_is_told_in_the_end)
{
    struct unit u;
    debug_open(&u, "");
    mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node);
    mid_store(u.thread, a, LEFT, b);
    mid_release(u.thread, b);
    assert_int_equal(got.count, 0);
    mid_release(u.thread, b); /* the slot's: whoever checks finds a reference without a count */
    if (got.count == 0)
        expect(MID_ECORRUPT, mid_heap_check(u.heap));
    memset(&got, 0, sizeof got);
    ok(mid_heap_destroy(u.heap));
    mid_debug_reports(NULL, NULL, 0);
}

TEST(stale_handles_of_large_objects_are_told)
{
    struct unit u;
    static const size_t items[] = {20000, 500000}; /* a page run, a mapping */
    for (size_t i = 0; i < 2; i++) {
        debug_open(&u, "");
        mid_handle stale = unit_array(&u, u.vec, items[i]);
        uint64_t bytes = unit_stats(&u).live_slot_bytes;
        mid_release(u.thread, stale);
        unit_drain(&u);
        assert_true(unit_stats(&u).live_slot_bytes < bytes); /* its memory does not wait */
        assert_int_equal(unit_live(&u), 0);
        mid_handle next = unit_array(&u, u.vec, items[i]);
        assert_int_not_equal(next, stale);
        all_calls(&u, stale, MID_EHANDLE);
        value_calls(&u, stale);
        assert_int_equal(unit_live(&u), 1);
        mid_release(u.thread, next);
        for (int k = 0; k < 5000; k++) /* beyond the quarantine: the name is good again */
            mid_release(u.thread, unit_array(&u, u.vec, 10000));
        assert_int_equal(unit_live(&u), 0);
        debug_close(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_use_gives_no_report),
        cmocka_unit_test(null_and_integers_are_no_objects),
        cmocka_unit_test(handles_out_of_range),
        cmocka_unit_test(stale_handles_are_told),
        cmocka_unit_test(stale_handles_of_collected_cycles),
        cmocka_unit_test(foreign_handles_are_told),
        cmocka_unit_test(slots_the_type_does_not_declare),
        cmocka_unit_test(a_null_thread),
        cmocka_unit_test(mid_new_of_no_type),
        cmocka_unit_test(the_wrong_thread),
        cmocka_unit_test(inside_a_blocked_region),
        cmocka_unit_test(a_release_too_many_of_a_held_object_is_told_in_the_end),
        cmocka_unit_test(stale_handles_of_large_objects_are_told),
    };
    return UNIT_RUN(tests);
}
