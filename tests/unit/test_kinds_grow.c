/* tests/unit/test_kinds_grow.c: strings and lists that grow through slots, page runs and mappings, in place and not; small dictionaries and
 * sets that lose entries at any place and take others. */
#include "dict.h"

#include "midden/kinds.h"

#define INT(n) mid_from_int((int32_t)(n))

static mid_kinds kinds;

static void start(struct unit *u, const char *options)
{
    unit_open(u, options);
    ok(mid_kinds_open(u->heap, &kinds));
}

static void finish(struct unit *u)
{
    unit_drain(u);
    unit_close_empty(u);
}

/* Memory that is not zero, free again: what grows into it must not find any of it. */
static void litter(struct unit *u)
{
    mid_handle made[8];
    for (size_t i = 0; i < 8; i++) {
        ok(mid_bytes_new(u->thread, &kinds, NULL, (size_t)50000 << i % 5, &made[i]));
        struct mid_string_object *string = mid_get(u->thread, made[i]);
        memset(string->content, 0xA5, string->length);
    }
    for (size_t i = 0; i < 8; i++)
        mid_release(u->thread, made[i]);
    unit_drain(u);
}

static char piece_at(size_t at)
{
    return (char)('a' + at % 13);
}

static void check_text(struct unit *u, mid_handle string, size_t length)
{
    const char *content;
    size_t bytes;
    ok(mid_string_look(u->thread, &kinds, string, &content, &bytes));
    assert_int_equal(bytes, length);
    for (size_t i = 0; i < bytes; i++)
        if (content[i] != piece_at(i))
            fail_msg("byte %zu of %zu is not what was appended", i, bytes);
}

static void a_string_grows(const char *options, bool beside)
{
    struct unit u;
    start(&u, options);
    litter(&u);
    mid_handle whole, other, more;
    size_t length = 0;
    ok(mid_bytes_new(u.thread, &kinds, "", 0, &whole));
    ok(mid_bytes_new(u.thread, &kinds, "", 0, &other));
    ok(mid_bytes_new(u.thread, &kinds, "abcdefghijklm", 13, &more));
    for (int i = 0; i < 200000; i++, length += 13) {
        ok(mid_string_append(u.thread, &kinds, &whole, more));
        if (beside) /* it stands in the way */
            ok(mid_string_append(u.thread, &kinds, &other, more));
        if (i % 20000 == 19999) {
            check_text(&u, whole, length + 13);
            ok(mid_heap_check(u.heap));
            mid_safepoint(u.thread);
        }
    }
    check_text(&u, whole, length);
    if (beside)
        check_text(&u, other, length);
    mid_release(u.thread, whole);
    mid_release(u.thread, other);
    mid_release(u.thread, more);
    finish(&u);
}

static void strings_grow_through_slots_runs_and_mappings(void **state)
{
    (void)state;
    a_string_grows("", false);
    a_string_grows("", true);
    a_string_grows("shared=off", true);
}

static void check_list(struct unit *u, mid_handle list, size_t length)
{
    const struct mid_list_object *l = mid_get(u->thread, list);
    assert_int_equal(l->length, length);
    for (size_t i = 0; i < l->room; i++)
        if (l->items[i].bits_ != (i < length ? INT(i) : 0))
            fail_msg("item %zu of %u is %u", i, l->room, l->items[i].bits_);
}

static void what_a_list_grows_into_is_empty(void **state)
{
    (void)state;
    struct unit u;
    start(&u, "");
    mid_handle lists[3] = {0};
    for (int round = 0; round < 3; round++) {
        litter(&u);
        for (int n = 0; n < 3; n++)
            ok(mid_list_new(u.thread, &kinds, 0, &lists[n]));
        for (size_t i = 0; i < 300000; i++)
            for (int n = 0; n <= round; n++) {
                ok(mid_list_append(u.thread, &kinds, lists[n], INT(i)));
                if (i % 30000 == 29999)
                    check_list(&u, lists[n], i + 1);
            }
        ok(mid_heap_check(u.heap));
        for (int n = 0; n < 3; n++)
            mid_release(u.thread, lists[n]);
        unit_drain(&u);
    }
    finish(&u);
}

static void without_memory_both_stay_whole(void **state)
{
    (void)state;
    struct unit u;
    start(&u, "heap-limit=8M");
    mid_handle list, whole, more;
    mid_status status = MID_OK;
    size_t length = 0, bytes = 0;
    ok(mid_bytes_new(u.thread, &kinds, "", 0, &whole));
    ok(mid_bytes_new(u.thread, &kinds, "abcdefghijklm", 13, &more));
    ok(mid_list_new(u.thread, &kinds, 0, &list));
    while ((status = mid_list_append(u.thread, &kinds, list, INT(length))) == MID_OK)
        length++;
    assert_int_equal(status, MID_ELIMIT);
    check_list(&u, list, length);
    while ((status = mid_string_append(u.thread, &kinds, &whole, more)) == MID_OK)
        bytes += 13;
    assert_int_equal(status, MID_ELIMIT);
    check_text(&u, whole, bytes);
    ok(mid_heap_check(u.heap));
    mid_release(u.thread, list);
    unit_drain(&u);
    ok(mid_string_append(u.thread, &kinds, &whole, more));
    check_text(&u, whole, bytes + 13);
    mid_release(u.thread, whole);
    mid_release(u.thread, more);
    finish(&u);
}

/* --- gaps: keys 0 to 9; one or two go, the same number come, and the order is that of insertion ------------------------------- */

static size_t expected(const int *gone, int count, int *order)
{
    size_t n = 0;
    for (int key = 0; key < 10; key++)
        if (key != gone[0] && (count == 1 || key != gone[1]))
            order[n++] = key;
    for (int i = 0; i < count; i++)
        order[n++] = 100 + i;
    return n;
}

static void gap(struct unit *u, bool set, const int *gone, int count)
{
    mid_handle d, key, value;
    int order[12];
    mid_dict_cursor cursor = {0};
    ok(set ? mid_set_new(u->thread, &mid_keys_int, &d) : mid_dict_new(u->thread, &mid_keys_int, &d));
    for (int i = 0; i < 10; i++)
        ok(set ? mid_set_add(u->thread, d, INT(i), NULL) : mid_dict_set(u->thread, d, INT(i), INT(i * 3)));
    for (int i = 0; i < count; i++)
        ok(set ? mid_set_remove(u->thread, d, INT(gone[i])) : mid_dict_delete(u->thread, d, INT(gone[i])));
    for (int i = 0; i < count; i++)
        ok(set ? mid_set_add(u->thread, d, INT(100 + i), NULL) : mid_dict_set(u->thread, d, INT(100 + i), INT((100 + i) * 3)));
    size_t n = expected(gone, count, order);
    for (size_t i = 0; i < n; i++) {
        ok(set ? mid_set_next(u->thread, d, &cursor, &key) : mid_dict_next(u->thread, d, &cursor, &key, &value));
        assert_int_equal(mid_to_int(key), order[i]);
        if (!set)
            assert_int_equal(mid_to_int(value), order[i] * 3);
        int there = 0;
        ok(set ? mid_set_contains(u->thread, d, key, &there) : mid_dict_contains(u->thread, d, key, &there));
        assert_true(there);
    }
    assert_int_not_equal(set ? mid_set_next(u->thread, d, &cursor, &key) : mid_dict_next(u->thread, d, &cursor, &key, &value), MID_OK);
    ok(mid_heap_check(u->heap));
    mid_release(u->thread, d);
}

static void gaps_close_in_order(void **state)
{
    (void)state;
    struct unit u;
    start(&u, "");
    for (int a = 0; a < 10; a++) {
        gap(&u, false, &a, 1);
        gap(&u, true, &a, 1);
        for (int b = 0; b < 10; b++)
            if (a != b) {
                gap(&u, false, (int[]){a, b}, 2);
                gap(&u, true, (int[]){a, b}, 2);
            }
    }
    finish(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_grow_through_slots_runs_and_mappings),
        cmocka_unit_test(what_a_list_grows_into_is_empty),
        cmocka_unit_test(without_memory_both_stay_whole),
        cmocka_unit_test(gaps_close_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
