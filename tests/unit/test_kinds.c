/* Kinds: numbers, strings, tuples, lists, cells, records, and what works on all of them. */
#include "unit.h"

#include <math.h>

#include "midden/kinds.h"

struct kinded {
    struct unit u;
    mid_kinds kinds;
    mid_thread *t;
};

static void begin(struct kinded *k, const char *options)
{
    unit_open(&k->u, options);
    k->t = k->u.thread;
    ok(mid_kinds_open(k->u.heap, &k->kinds));
}

static void end(struct kinded *k)
{
    unit_check(&k->u);
    unit_close(&k->u);
}

#define T k.t, &k.kinds

static mid_handle number(struct kinded *k, int64_t value)
{
    mid_handle made;
    ok(mid_int_new(k->t, &k->kinds, value, &made));
    return made;
}

static mid_handle real(struct kinded *k, double value)
{
    mid_handle made;
    ok(mid_float_new(k->t, &k->kinds, value, &made));
    return made;
}

static mid_handle text(struct kinded *k, const char *content)
{
    mid_handle made;
    ok(mid_text_new(k->t, &k->kinds, content, strlen(content), &made));
    return made;
}

static mid_handle list_of(struct kinded *k, int count)
{
    mid_handle made;
    ok(mid_list_new(k->t, &k->kinds, 0, &made));
    for (int i = 0; i < count; i++)
        ok(mid_list_append(k->t, &k->kinds, made, mid_from_int(i)));
    return made;
}

static int equal(struct kinded *k, mid_handle a, mid_handle b)
{
    int is;
    uint32_t x, y;
    ok(mid_kind_equal(k->t, &k->kinds, a, b, &is));
    if (is && mid_kind_hash(k->t, &k->kinds, a, &x) == MID_OK && mid_kind_hash(k->t, &k->kinds, b, &y) == MID_OK)
        assert_int_equal(x, y);
    return is;
}

struct page {
    char text[4096];
    size_t bytes;
    mid_thread *thread;
    mid_status inside;
};

static void collect(void *context, const char *text, size_t bytes)
{
    struct page *page = context;
    assert_true(page->bytes + bytes < sizeof page->text);
    memcpy(page->text + page->bytes, text, bytes);
    page->bytes += bytes;
    page->text[page->bytes] = '\0';
    page->inside = mid_collect(page->thread, NULL);
}

static void prints(struct kinded *k, const char *expected, mid_handle value)
{
    struct page page = {.thread = k->t};
    ok(mid_kind_print(k->t, &k->kinds, value, collect, &page));
    assert_string_equal(page.text, expected);
    assert_int_equal(page.inside, MID_EBUSY);
}

TEST(numbers)
{
    static const int64_t whole[] = {0, 1, -1, MID_INT_MAX, MID_INT_MIN, MID_INT_MAX + INT64_C(1), MID_INT_MIN - INT64_C(1), INT64_MAX, INT64_MIN};
    struct kinded k;
    begin(&k, "");
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        int64_t back;
        mid_handle made = number(&k, whole[i]);
        assert_int_equal(mid_is_int(made), whole[i] >= MID_INT_MIN && whole[i] <= MID_INT_MAX);
        ok(mid_int_get(T, made, &back));
        assert_int_equal(back, whole[i]);
        assert_int_equal(mid_kind_of(T, made), MID_KIND_INT);
        mid_release(k.t, made);
    }
    double back;
    mid_handle f = real(&k, 2.5), big = number(&k, INT64_MAX), near = real(&k, 9223372036854775808.0), one = real(&k, 1), nan = real(&k, NAN), nan2 = real(&k, NAN);
    ok(mid_float_get(T, f, &back));
    assert_true(back == 2.5);
    assert_true(equal(&k, one, mid_from_int(1)) && !equal(&k, f, mid_from_int(2)) && !equal(&k, big, near)); /* no rounding */
    assert_true(equal(&k, nan, nan) && !equal(&k, nan, nan2));
    int order;
    ok(mid_kind_compare(T, big, near, &order));
    assert_true(order < 0);
    ok(mid_kind_compare(T, f, mid_from_int(2), &order));
    assert_true(order > 0);
    expect(MID_ETYPE, mid_kind_compare(T, nan, f, &order));
    prints(&k, "2.5", f);
    prints(&k, "1.0", one);
    prints(&k, "9223372036854775807", big);
    mid_handle all[] = {f, big, near, one, nan, nan2};
    for (size_t i = 0; i < 6; i++)
        mid_release(k.t, all[i]);
    end(&k);
}

TEST(tuples_of_all_lengths)
{
    struct kinded k;
    begin(&k, "");
    for (size_t n = 0; n <= 20; n++) {
        mid_handle values[20], made, other, at;
        size_t length;
        for (size_t i = 0; i < n; i++)
            values[i] = real(&k, (double)i);
        ok(mid_tuple_new(T, values, n, &made));
        ok(mid_tuple_give(T, values, n, &other));
        ok(mid_tuple_length(T, made, &length));
        assert_int_equal(length, n);
        assert_true(equal(&k, made, other));
        for (size_t i = 0; i < n; i++) {
            ok(mid_tuple_get(T, made, i, &at));
            assert_int_equal(at, values[i]);
            assert_int_equal(mid_tuple_peek(T, other, i), values[i]);
            mid_release(k.t, at);
        }
        expect(MID_EINVAL, mid_tuple_get(T, made, n, &at));
        mid_release(k.t, made);
        mid_release(k.t, other);
    }
    mid_handle two[2] = {mid_from_int(1), 0}, made;
    ok(mid_tuple_new(T, two, 2, &made));
    prints(&k, "(1, nothing)", made);
    mid_release(k.t, made);
    ok(mid_tuple_new(T, two, 1, &made));
    prints(&k, "(1,)", made);
    mid_release(k.t, made);
    end(&k);
}

/* Against an array that does the same. */
TEST(a_list_does_what_an_array_does)
{
    struct kinded k;
    begin(&k, "");
    enum { MOST = 3000 };
    int model[MOST], count = 0;
    uint64_t seed = 7;
    mid_handle list = list_of(&k, 0), out;
    for (size_t step = 0; step < unit_scale(40000); step++) {
        seed = seed * UINT64_C(6364136223846793005) + 1;
        unsigned what = (unsigned)(seed >> 60), where = count == 0 ? 0 : (unsigned)(seed >> 33) % (unsigned)count;
        int value = (int)(step & 0xffff);
        if (what < 7 && count < MOST) {
            ok(mid_list_append(T, list, mid_from_int(value)));
            model[count++] = value;
        } else if (what < 9 && count < MOST) {
            ok(mid_list_insert(T, list, where, mid_from_int(value)));
            memmove(model + where + 1, model + where, (size_t)(count++ - (int)where) * sizeof *model);
            model[where] = value;
        } else if (what < 11 && count != 0) {
            ok(mid_list_remove(T, list, where, &out));
            assert_int_equal(mid_to_int(out), model[where]);
            memmove(model + where, model + where + 1, (size_t)(--count - (int)where) * sizeof *model);
        } else if (what < 14 && count != 0) {
            ok(mid_list_pop(T, list, &out));
            assert_int_equal(mid_to_int(out), model[--count]);
        } else if (count != 0) {
            ok(mid_list_set(T, list, where, mid_from_int(value)));
            model[where] = value;
        }
        if (step % 1000 == 0) {
            ok(mid_compact(k.t, step % 2000 == 0 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
            for (int i = 0; i < count; i++)
                assert_int_equal(mid_to_int(mid_list_peek(k.t, list, (size_t)i)), model[i]);
        }
    }
    size_t at = 0;
    for (int i = 0; mid_list_next(T, list, &at, &out); i++)
        assert_int_equal(mid_to_int(out), model[i]);
    assert_int_equal(at, count);
    ok(mid_list_clear(T, list));
    expect(MID_EINVAL, mid_list_pop(T, list, &out));
    mid_release(k.t, list);
    end(&k);
}

TEST(lists_count_what_is_in_them)
{
    struct kinded k;
    begin(&k, "");
    mid_handle list = list_of(&k, 0), f = real(&k, 1), slice, out;
    uint32_t count;
    for (int i = 0; i < 100; i++)
        ok(mid_list_append(T, list, f));
    ok(mid_list_insert(T, list, 50, f));
    ok(mid_list_extend(T, list, list));
    ok(mid_list_slice(T, list, 10, 60, &slice));
    ok(mid_count_of(k.t, f, &count));
    assert_int_equal(count, 1 + 202 + 50);
    ok(mid_list_remove(T, list, 3, &out));
    mid_release(k.t, out);
    for (int i = 0; i < 190; i++) {
        ok(mid_list_pop(T, list, &out));
        mid_release(k.t, out);
    }
    ok(mid_count_of(k.t, f, &count));
    assert_int_equal(count, 1 + 11 + 50);
    unit_check(&k.u);
    ok(mid_list_clear(T, slice));
    mid_release(k.t, slice);
    mid_release(k.t, list);
    ok(mid_count_of(k.t, f, &count));
    assert_int_equal(count, 1);
    mid_release(k.t, f);
    end(&k);
}

static int calls;
static int by_last_digit(mid_thread *thread, mid_handle a, mid_handle b, void *context)
{
    struct kinded *k = context;
    size_t length;
    if (calls++ % 50 == 0) {
        assert_int_equal(mid_compact(thread, MID_COMPACT_DEEP, 0, NULL), MID_OK);
        assert_int_equal(mid_list_length(thread, &k->kinds, k->u.node, &length), MID_EBUSY); /* the list's handle, lent */
        assert_int_equal(mid_list_append(thread, &k->kinds, k->u.node, a), MID_EBUSY);
    }
    int64_t x, y;
    assert_int_equal(mid_int_get(thread, &k->kinds, a, &x) | mid_int_get(thread, &k->kinds, b, &y), MID_OK);
    return (int)(x % 10 - y % 10);
}

TEST(sorting_is_stable_and_survives_what_compare_does)
{
    struct kinded k;
    begin(&k, "");
    mid_handle list = list_of(&k, 0);
    enum { COUNT = 700 };
    for (int i = 0; i < COUNT; i++) {
        mid_handle value = number(&k, (INT64_C(1) << 40) + i * 7 % 1000);
        ok(mid_list_append(T, list, value));
        mid_release(k.t, value);
    }
    k.u.node = list;
    ok(mid_list_sort(T, list, NULL, NULL));
    int order;
    for (size_t i = 1; i < COUNT; i++) {
        ok(mid_kind_compare(T, mid_list_peek(k.t, list, i - 1), mid_list_peek(k.t, list, i), &order));
        assert_true(order <= 0);
    }
    ok(mid_list_sort(T, list, by_last_digit, &k));
    for (size_t i = 1; i < COUNT; i++) {
        int64_t x, y;
        ok(mid_int_get(T, mid_list_peek(k.t, list, i - 1), &x));
        ok(mid_int_get(T, mid_list_peek(k.t, list, i), &y));
        assert_true(x % 10 < y % 10 || (x % 10 == y % 10 && x <= y));
    }
    ok(mid_list_append(T, list, list));
    expect(MID_ETYPE, mid_list_sort(T, list, NULL, NULL));
    size_t length;
    ok(mid_list_length(T, list, &length));
    assert_int_equal(length, COUNT + 1);
    ok(mid_list_clear(T, list));
    mid_release(k.t, list);
    end(&k);
}

TEST(text_is_utf8)
{
    static const char *const good[] = {"", "a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF", "abcdefgh\xC3\xA4xyz"};
    static const size_t chars[] = {0, 1, 1, 1, 1, 1, 1, 12};
    static const char *const bad[] = {"\x80", "\xC0\xAF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xFF", "abcdefgh\xE2\x82"};
    struct kinded k;
    begin(&k, "");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t length;
        mid_handle made = text(&k, good[i]);
        ok(mid_string_length(T, made, &length));
        assert_int_equal(length, chars[i]);
        mid_release(k.t, made);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mid_handle made = 77;
        expect(MID_EINVAL, mid_text_new(T, bad[i], strlen(bad[i]), &made));
        assert_int_equal(made, 0);
        expect(MID_EINVAL, mid_text_intern(T, bad[i], strlen(bad[i]), &made));
    }
    end(&k);
}

static void reads(struct kinded *k, mid_handle string, const char *expected)
{
    const char *content;
    size_t bytes;
    ok(mid_string_look(k->t, &k->kinds, string, &content, &bytes));
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(content, expected, bytes);
}

TEST(strings_are_joined_cut_and_searched)
{
    struct kinded k;
    begin(&k, "");
    mid_handle a = text(&k, "Gr\xC3\xBC\xC3\x9F"), b = text(&k, "e, Welt"), both, part, e = text(&k, "e"), none = text(&k, ""), raw;
    size_t at;
    ok(mid_string_concat(T, a, b, &both));
    reads(&k, both, "Gr\xC3\xBC\xC3\x9F" "e, Welt");
    ok(mid_string_slice(T, both, 2, 5, &part));
    reads(&k, part, "\xC3\xBC\xC3\x9F" "e");
    ok(mid_string_find(T, both, e, 0, &at));
    assert_int_equal(at, 4);
    ok(mid_string_find(T, both, e, 5, &at));
    assert_int_equal(at, 8);
    ok(mid_string_find(T, both, e, 9, &at));
    assert_int_equal(at, SIZE_MAX);
    ok(mid_string_find(T, both, none, 11, &at));
    assert_int_equal(at, 11);
    expect(MID_EINVAL, mid_string_find(T, both, e, 12, &at));
    expect(MID_EINVAL, mid_string_slice(T, both, 5, 4, &raw));
    expect(MID_EINVAL, mid_string_slice(T, both, 0, 12, &raw));
    ok(mid_bytes_new(T, "e\0\"", 3, &raw));
    expect(MID_ETYPE, mid_string_find(T, both, raw, 0, &at));
    assert_false(equal(&k, raw, e));
    prints(&k, "b\"e\\x00\\\"\"", raw);
    prints(&k, "\"\xC3\xBC\xC3\x9F" "e\"", part);
    mid_handle all[] = {a, b, both, part, e, none, raw};
    for (size_t i = 0; i < 7; i++)
        mid_release(k.t, all[i]);
    mid_handle made;
    ok(mid_text_format(T, &made, "%d %s", 42, "x"));
    reads(&k, made, "42 x");
    mid_release(k.t, made);
    char longer[600];
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ok(mid_text_format(T, &made, "%s", longer));
    reads(&k, made, longer);
    mid_release(k.t, made);
    expect(MID_EINVAL, mid_text_format(T, &made, "%s%c", longer, 0xff));
    end(&k);
}

TEST(appending_changes_only_what_nobody_else_sees)
{
    struct kinded k;
    begin(&k, "");
    mid_handle whole = text(&k, "a"), more = text(&k, "bc"), first, kept;
    uint32_t before, after;
    ok(mid_string_hash(T, whole, &before));
    first = whole;
    for (int i = 0; i < 20000; i++)
        ok(mid_string_append(T, &whole, more));
    assert_int_equal(whole, first);
    ok(mid_string_hash(T, whole, &after));
    assert_int_not_equal(before, after);
    size_t length;
    ok(mid_string_length(T, whole, &length));
    assert_int_equal(length, 40001);
    kept = mid_retain(k.t, whole);
    ok(mid_string_append(T, &whole, more));
    assert_int_not_equal(whole, kept);
    ok(mid_string_length(T, kept, &length));
    assert_int_equal(length, 40001);
    ok(mid_string_append(T, &more, more));
    reads(&k, more, "bcbc");
    mid_handle one;
    ok(mid_string_intern(T, more, &one));
    more = one;
    ok(mid_string_append(T, &more, kept));
    ok(mid_text_intern(T, "bcbc", 4, &one));
    reads(&k, one, "bcbc");
    mid_release(k.t, one);
    mid_release(k.t, more);
    mid_release(k.t, whole);
    mid_release(k.t, kept);
    end(&k);
}

TEST(cells_shapes_and_records)
{
    static const char *const fields[] = {"x", "y"}, *const twice[] = {"x", "x"};
    struct kinded k;
    begin(&k, "");
    mid_handle shape, record, like, cell, out, y = text(&k, "y"), z = text(&k, "z");
    size_t at;
    ok(mid_shape_new(T, "point", fields, 2, &shape));
    expect(MID_EINVAL, mid_shape_new(T, "point", twice, 2, &out));
    ok(mid_shape_find(T, shape, y, &at));
    assert_int_equal(at, 1);
    expect(MID_EINVAL, mid_shape_find(T, shape, z, &at));
    mid_handle values[2] = {mid_from_int(3), real(&k, 4)};
    ok(mid_record_new(T, shape, values, &record));
    ok(mid_record_new(T, shape, values, &like));
    prints(&k, "<point x=3 y=4.0>", record);
    prints(&k, "<shape point x y>", shape);
    assert_true(equal(&k, record, like));
    ok(mid_record_set(T, like, 0, record));
    assert_false(equal(&k, record, like));
    expect(MID_EINVAL, mid_record_set(T, like, 2, record));
    ok(mid_record_get(T, like, 0, &out));
    assert_int_equal(out, record);
    mid_release(k.t, out);
    ok(mid_record_shape(T, like, &out));
    assert_int_equal(out, shape);
    mid_release(k.t, out);
    ok(mid_cell_new(T, like, &cell));
    prints(&k, "<cell <point x=<point x=3 y=4.0> y=4.0>>", cell);
    ok(mid_cell_set(T, cell, cell));
    prints(&k, "<cell <...>>", cell);
    ok(mid_cell_get(T, cell, &out));
    assert_int_equal(out, cell);
    mid_release(k.t, out);
    mid_handle all[] = {shape, record, like, cell, y, z, values[1]};
    for (size_t i = 0; i < 7; i++)
        mid_release(k.t, all[i]);
    ok(mid_collect(k.t, NULL));
    end(&k);
}

/* Rings and depths that recursion would not survive. */
TEST(nested_and_cyclic_values)
{
    struct kinded k;
    begin(&k, "");
    mid_handle ring[2], deep[2], unlike = list_of(&k, 1);
    const size_t depth = unit_scale(200000);
    for (int i = 0; i < 2; i++) {
        ring[i] = list_of(&k, 1);
        ok(mid_list_append(T, ring[i], ring[i]));
        deep[i] = 0;
        for (size_t n = 0; n < depth; n++) {
            mid_handle outer, of[2] = {mid_from_int(1), deep[i]};
            if (n % 2 != 0) {
                ok(mid_tuple_give(T, of, 2, &outer));
            } else {
                ok(mid_list_new(T, 1, &outer));
                ok(mid_list_append(T, outer, deep[i]));
                mid_release(k.t, deep[i]);
            }
            deep[i] = outer;
        }
    }
    prints(&k, "[0, [...]]", ring[0]);
    assert_true(equal(&k, ring[0], ring[1]));
    ok(mid_list_append(T, unlike, unlike));
    ok(mid_list_append(T, unlike, mid_from_int(1)));
    assert_false(equal(&k, ring[0], unlike));
    assert_true(equal(&k, deep[0], deep[1]));
    uint32_t hash;
    int order;
    expect(MID_ETYPE, mid_kind_hash(T, deep[0], &hash));
    ok(mid_kind_compare(T, deep[0], deep[1], &order));
    assert_int_equal(order, 0);
    for (int i = 0; i < 2; i++) {
        mid_release(k.t, ring[i]);
        mid_release(k.t, deep[i]);
    }
    mid_release(k.t, unlike);
    ok(mid_collect(k.t, NULL));
    end(&k);
}

TEST(tuples_hash_by_value)
{
    struct kinded k;
    begin(&k, "");
    mid_handle a = text(&k, "a"), b = text(&k, "a"), in[2][2], out[2], flat;
    for (int i = 0; i < 2; i++) {
        in[i][0] = i == 0 ? a : b;
        in[i][1] = mid_from_int(7);
        mid_handle inner, of[2];
        ok(mid_tuple_new(T, in[i], 2, &inner));
        of[0] = inner;
        of[1] = 0;
        ok(mid_tuple_give(T, of, 2, &out[i]));
    }
    assert_true(equal(&k, out[0], out[1])); /* and the hashes, there */
    mid_handle three[3] = {a, mid_from_int(7), 0};
    uint32_t x, y;
    ok(mid_tuple_new(T, three, 3, &flat));
    ok(mid_kind_hash(T, flat, &x));
    ok(mid_kind_hash(T, out[0], &y));
    assert_int_not_equal(x, y);
    mid_handle all[] = {a, b, out[0], out[1], flat};
    for (size_t i = 0; i < 5; i++)
        mid_release(k.t, all[i]);
    end(&k);
}

TEST(bad_input)
{
    struct kinded k;
    begin(&k, "");
    mid_handle list = list_of(&k, 3), stale = list_of(&k, 1), string = text(&k, "s"), out = 9, plain;
    mid_kinds other;
    struct unit u2;
    unit_open(&u2, "");
    ok(mid_kinds_open(u2.heap, &other));
    mid_release(k.t, stale);
    size_t n;
    int64_t whole;
    double fraction;
    static const mid_handle foreign[] = {0x7ffffffe, 0xfffffffe, 0};
    for (int i = 0; i < 3; i++) {
        expect(MID_EHANDLE, mid_list_length(T, foreign[i], &n));
        expect(MID_EHANDLE, mid_string_length(T, foreign[i], &n));
        expect(foreign[i] == 0 ? MID_OK : MID_EHANDLE, mid_list_set(T, list, 0, foreign[i]));
        expect(foreign[i] == 0 ? MID_OK : MID_EHANDLE, mid_list_insert(T, list, 0, foreign[i]));
        expect(foreign[i] == 0 ? MID_ETYPE : MID_EHANDLE, mid_float_get(T, foreign[i] == 0 ? string : foreign[i], &fraction));
    }
    expect(MID_EHANDLE, mid_list_length(T, stale, &n));
    expect(MID_EHANDLE, mid_list_set(T, list, 0, stale));
    expect(MID_ETYPE, mid_list_append(T, string, list));
    expect(MID_ETYPE, mid_list_get(T, mid_from_int(5), 0, &out));
    expect(MID_ETYPE, mid_list_pop(T, string, &out));
    expect(MID_EINVAL, mid_list_get(T, list, 4, &out));
    expect(MID_EINVAL, mid_list_get(T, list, SIZE_MAX, &out));
    expect(MID_EINVAL, mid_list_insert(T, list, 9, 0));
    expect(MID_EINVAL, mid_list_remove(T, list, 4, &out));
    assert_int_equal(out, 0);
    expect(MID_EINVAL, mid_list_slice(T, list, 3, 2, &out));
    expect(MID_ETYPE, mid_list_extend(T, list, string));
    expect(MID_ESIZE, mid_list_new(T, SIZE_MAX, &out));
    expect(MID_ESIZE, mid_bytes_new(T, NULL, (size_t)1 << 31, &out));
    expect(MID_ENULL, mid_text_new(T, NULL, 3, &out));
    expect(MID_ENULL, mid_text_new(T, "x", 1, NULL));
    expect(MID_ENULL, mid_string_hash(NULL, &k.kinds, string, &(uint32_t){0}));
    expect(MID_ENULL, mid_string_hash(k.t, NULL, string, &(uint32_t){0}));
    expect(MID_EINVAL, mid_string_hash(k.t, &other, string, &(uint32_t){0}));
    expect(MID_ETHREAD, mid_blocked_enter(k.t) == MID_OK ? mid_string_length(T, string, &n) : MID_OK);
    ok(mid_blocked_leave(k.t));
    expect(MID_ETYPE, mid_int_get(T, string, &whole));
    ok(mid_new(k.t, k.u.node, &plain));
    assert_int_equal(mid_kind_of(T, plain), MID_KIND_NONE);
    expect(MID_ETYPE, mid_cell_set(T, plain, 0));
    mid_release(k.t, plain);
    mid_release(k.t, list);
    mid_release(k.t, string);
    unit_close(&u2);
    end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(tuples_of_all_lengths),
        cmocka_unit_test(a_list_does_what_an_array_does),
        cmocka_unit_test(lists_count_what_is_in_them),
        cmocka_unit_test(sorting_is_stable_and_survives_what_compare_does),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(strings_are_joined_cut_and_searched),
        cmocka_unit_test(appending_changes_only_what_nobody_else_sees),
        cmocka_unit_test(cells_shapes_and_records),
        cmocka_unit_test(nested_and_cyclic_values),
        cmocka_unit_test(tuples_hash_by_value),
        cmocka_unit_test(bad_input),
    };
    return UNIT_RUN(tests);
}
