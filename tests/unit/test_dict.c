/* tests/unit/test_dict.c: what dictionaries promise beyond the model (test_dict_model.c): order, going through, callbacks that change
 * what is searched, keys chosen to collide, strings, identity in deep compaction, bad input, no memory, threads that read. */
#include "dict.h"

#include <pthread.h>

#include "deep.h"
#include "fault_os.h"
#include "gc/kinds/dict.h"

#define INT(n) mid_from_int((int32_t)(n))

static mid_handle ints(struct unit *u, unsigned count)
{
    mid_handle dict;
    ok(mid_dict_new(u->thread, &mid_keys_int, &dict));
    for (unsigned i = 0; i < count; i++)
        ok(mid_dict_set(u->thread, dict, INT(i), INT(i + 1)));
    return dict;
}

static void done(struct unit *u, mid_handle object)
{
    mid_release(u->thread, object);
    unit_drain(u);
    unit_close_empty(u);
}

TEST(values_are_counted_and_come_back)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = ints(&u, 0), node = unit_new(&u, u.node), got, key;
    int added;
    ok(mid_dict_set(u.thread, dict, INT(1), node));
    ok(mid_dict_add(u.thread, dict, INT(1), 0, &got, &added));
    assert_int_equal(got, node);
    assert_int_equal(added, 0);
    assert_int_equal(unit_count(&u, node), 3);
    mid_release(u.thread, got);
    ok(mid_dict_set(u.thread, dict, INT(2), 0)); /* a value of 0 is one */
    ok(mid_dict_get(u.thread, dict, INT(2), &got));
    assert_int_equal(got, 0);
    expect(MID_EKEY, mid_dict_get(u.thread, dict, INT(3), &got));
    assert_int_equal(mid_dict_peek(u.thread, dict, INT(3)), 0);
    expect(MID_EKEY, mid_thread_status(u.thread));
    assert_int_equal(mid_dict_peek(u.thread, dict, INT(1)), node);
    expect(MID_OK, mid_thread_status(u.thread));
    ok(mid_dict_pop_first(u.thread, dict, &key, &got));
    assert_int_equal(key, INT(1));
    assert_int_equal(unit_count(&u, node), 2);
    mid_release(u.thread, got);
    ok(mid_dict_set(u.thread, dict, INT(2), node));
    ok(mid_dict_clear(u.thread, dict));
    assert_int_equal(unit_count(&u, node), 1);
    assert_int_equal(dict_length(&u, dict), 0);
    expect(MID_EKEY, mid_dict_pop_last(u.thread, dict, &key, &got));
    mid_release(u.thread, node);
    done(&u, dict);
}

/* All are deleted on the way, others come in behind: what is there is seen once. */
TEST(going_through_bears_changes)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = ints(&u, 1000), key, value;
    ok(mid_dict_reserve(u.thread, dict, 2100));
    mid_dict_cursor cursor = {0};
    unsigned seen = 0;
    uint32_t version, now;
    ok(mid_dict_version(u.thread, dict, &version));
    while (mid_dict_next(u.thread, dict, &cursor, &key, &value) == MID_OK) {
        assert_int_equal(key, INT(seen));
        ok(mid_dict_delete(u.thread, dict, key));
        if (seen < 1000)
            ok(mid_dict_set(u.thread, dict, INT(1000 + seen), 0));
        seen++;
    }
    assert_int_equal(seen, 2000);
    ok(mid_dict_version(u.thread, dict, &now));
    assert_int_not_equal(now, version);
    unit_check(&u);
    done(&u, dict);
}

TEST(going_through_notices_that_entries_moved)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = ints(&u, 100), key;
    mid_dict_cursor cursor = {0};
    ok(mid_dict_next(u.thread, dict, &cursor, &key, NULL));
    ok(mid_dict_set(u.thread, dict, INT(5), INT(7))); /* a value: nothing */
    ok(mid_dict_next(u.thread, dict, &cursor, &key, NULL));
    ok(mid_dict_delete(u.thread, dict, INT(0)));
    ok(mid_dict_next(u.thread, dict, &cursor, &key, NULL));
    assert_int_equal(key, INT(2));
    ok(mid_dict_reserve(u.thread, dict, 1000));
    expect(MID_ECHANGED, mid_dict_next(u.thread, dict, &cursor, &key, NULL));
    cursor = (mid_dict_cursor){0};
    ok(mid_dict_next(u.thread, dict, &cursor, &key, NULL));
    assert_int_equal(key, INT(1));
    ok(mid_dict_clear(u.thread, dict));
    expect(MID_ECHANGED, mid_dict_next(u.thread, dict, &cursor, &key, NULL));
    done(&u, dict);
}

/* A queue of few stays small, and so does what has shrunk. */
TEST(memory_follows_what_lives)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = ints(&u, 0), key, value;
    size_t bytes, few;
    for (unsigned i = 0; i < 100000; i++) {
        ok(mid_dict_set(u.thread, dict, INT(i), 0));
        if (i >= 10) {
            ok(mid_dict_pop_first(u.thread, dict, &key, &value));
            assert_int_equal(key, INT(i - 10));
        }
    }
    ok(mid_size_of(u.thread, dict, &few));
    assert_true(few < 600);
    for (unsigned i = 0; i < 20000; i++)
        ok(mid_dict_set(u.thread, dict, INT(200000 + i), 0));
    ok(mid_size_of(u.thread, dict, &bytes));
    assert_true(bytes > 20000 * 8);
    for (unsigned i = 0; i < 19990; i++)
        ok(mid_dict_delete(u.thread, dict, INT(200000 + i)));
    ok(mid_size_of(u.thread, dict, &bytes));
    assert_true(bytes < 2048);
    assert_int_equal(dict_length(&u, dict), 20);
    unit_check(&u);
    done(&u, dict);
}

static bool is_mixed(struct unit *u, mid_handle dict)
{
    return (((struct mid_dict *)mid_get(u->thread, dict))->flags & MID_DICT_MIXED) != 0;
}

/* Cells are tried in an order that ends as i = 5 i + 1: whoever fills them in that order makes every search long that comes there. */
TEST(integers_that_collide_are_mixed)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = ints(&u, 0), copy;
    ok(mid_dict_reserve(u.thread, dict, 682));
    unsigned keys[680], count = 0;
    for (unsigned cell = 0; count < 600; cell = (cell * 5 + 1) % 1024)
        keys[count++] = cell;
    for (; count < 680; count++)
        keys[count] = 1024 * (count - 599);
    for (unsigned i = 0; i < count; i++) {
        ok(mid_dict_set(u.thread, dict, INT(keys[i]), INT(i)));
        assert_true(i >= 600 || !is_mixed(&u, dict));
    }
    assert_true(is_mixed(&u, dict));
    unit_check(&u);
    ok(mid_dict_copy(u.thread, dict, &copy));
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(mid_dict_peek(u.thread, dict, INT(keys[i])), INT(i));
        assert_int_equal(mid_dict_peek(u.thread, copy, INT(keys[i])), INT(i));
    }
    unit_check(&u);
    ok(mid_dict_clear(u.thread, dict));
    assert_false(is_mixed(&u, dict));
    mid_release(u.thread, copy);
    done(&u, dict);
}

/* --- callbacks ----------------------------------------------------------------------------------------------------------------- */

static void grow_meanwhile(struct disturb *d)
{
    if (d->budget == 0)
        return;
    d->budget--;
    d->meanwhile = NULL;
    ok(mid_dict_set(d->u->thread, d->dict, INT(1000 + d->budget), 0));
    d->meanwhile = grow_meanwhile;
}

static void clear_meanwhile(struct disturb *d)
{
    d->meanwhile = NULL;
    ok(mid_dict_clear(d->u->thread, d->dict));
}

TEST(a_search_begins_again_when_its_dictionary_changes)
{
    struct unit u;
    struct disturb d;
    unit_open(&u, "");
    dict_disturb(&d, &u);
    d.all_alike = true;
    ok(mid_dict_new(u.thread, &d.keys, &d.dict));
    mid_handle a = dict_text(&u, 1), b = dict_text(&u, 1), c = dict_text(&u, 2), got;
    ok(mid_dict_set(u.thread, d.dict, c, INT(3)));
    ok(mid_dict_set(u.thread, d.dict, a, INT(4)));
    d.meanwhile = grow_meanwhile;
    d.budget = 20;
    ok(mid_dict_get(u.thread, d.dict, b, &got));
    assert_int_equal(got, INT(4));
    assert_int_equal(dict_length(&u, d.dict), 22);
    d.budget = 1000000; /* it never rests */
    expect(MID_ECHANGED, mid_dict_get(u.thread, d.dict, b, &got));
    d.meanwhile = clear_meanwhile; /* and the key that is compared dies */
    mid_release(u.thread, a);
    mid_release(u.thread, c);
    ok(mid_dict_set(u.thread, d.dict, b, INT(5)));
    assert_int_equal(dict_length(&u, d.dict), 1);
    d.equal_fails = MID_ESYSTEM;
    a = dict_text(&u, 1);
    expect(MID_ESYSTEM, mid_dict_set(u.thread, d.dict, a, INT(6)));
    d.hash_fails = MID_EINVAL;
    expect(MID_EINVAL, mid_dict_delete(u.thread, d.dict, a));
    assert_int_equal(dict_length(&u, d.dict), 1);
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    done(&u, d.dict);
}

static mid_handle finalizes_into; /* a dictionary that a finalizer changes */

static void put_more(mid_thread *thread, mid_handle object)
{
    (void)object;
    for (int i = 0; i < 100; i++)
        ok(mid_dict_set(thread, finalizes_into, INT(5000 + i), 0));
}

TEST(finalizers_find_it_whole)
{
    struct unit u;
    unit_open(&u, "");
    mid_type final = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = put_more});
    mid_handle dict = finalizes_into = ints(&u, 0);
    for (int i = 0; i < 5; i++) {
        ok(mid_dict_set(u.thread, dict, INT(1), unit_new(&u, final)));
        mid_release(u.thread, mid_dict_peek(u.thread, dict, INT(1)));
        if (i == 0)
            ok(mid_dict_set(u.thread, dict, INT(1), 0));
        else if (i == 1)
            ok(mid_dict_delete(u.thread, dict, INT(1)));
        else
            ok(mid_dict_clear(u.thread, dict));
        unit_drain(&u);
        assert_true(dict_length(&u, dict) >= 100);
        unit_check(&u);
    }
    done(&u, dict);
}

/* --- strings -------------------------------------------------------------------------------------------------------------------- */

TEST(strings_are_compared_without_a_callback)
{
    struct unit u;
    struct disturb d;
    unit_open(&u, "");
    dict_disturb(&d, &u);
    d.keys.strings = u.bytes;
    d.keys.hash_offset = offsetof(struct bytes, tag);
    mid_handle dict, key, got;
    ok(mid_dict_new(u.thread, &d.keys, &dict));
    for (unsigned i = 0; i < 3000; i++) {
        key = dict_text(&u, i);
        ok(mid_dict_set(u.thread, dict, key, INT(i)));
        mid_release(u.thread, key);
    }
    assert_int_equal(d.compared, 0);
    for (unsigned i = 0; i < 3000; i++) {
        key = dict_text(&u, i);
        struct bytes *bytes = mid_get(u.thread, key);
        bytes->tag = dict_bytes_hash(bytes->data, bytes->length); /* taken: not asked for */
        size_t hashed = d.hashed;
        ok(mid_dict_get(u.thread, dict, key, &got));
        assert_int_equal(got, INT(i));
        assert_int_equal(d.hashed, hashed);
        mid_release(u.thread, key);
    }
    ok(mid_dict_set(u.thread, dict, INT(9), INT(9))); /* another kind of key among them */
    assert_int_equal(mid_dict_peek(u.thread, dict, INT(9)), INT(9));
    unit_check(&u);
    done(&u, dict);
}

/* --- identity --------------------------------------------------------------------------------------------------------------------- */

TEST(identity_survives_deep_compaction)
{
    static struct deep d;
    deep_open(&d, "deep=table");
    mid_thread *thread = d.u.thread;
    mid_handle dict, value, keys[SLOTS];
    ok(mid_dict_new(thread, &mid_keys_identity, &dict));
    for (unsigned i = 0; i < SLOTS; i++) {
        keys[i] = deep_node(&d, i, i);
        value = unit_new(&d.u, d.u.node);
        unit_node(&d.u, value)->value = i;
        ok(mid_dict_set(thread, dict, keys[i], value));
        mid_release(thread, value);
    }
    mid_handle held = dict;
    deep_settle(&d);
    assert_true(deep_compact(&d) >= SLOTS); /* the values, which nothing else holds */
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_int_equal(deep_item(&d, i), keys[i]);
        value = mid_dict_peek(thread, held, keys[i]);
        assert_int_equal(unit_node(&d.u, value)->value, i);
        assert_true(value < keys[i]);
    }
    mid_release(thread, held);
    deep_close(&d);
}

/* By value nothing keeps its handle, and everything is found. */
TEST(keys_by_value_may_be_renamed)
{
    static struct deep d;
    struct disturb disturb;
    deep_open(&d, "deep=table");
    dict_disturb(&disturb, &d.u);
    mid_thread *thread = d.u.thread;
    mid_handle dict, key;
    ok(mid_dict_new(thread, &disturb.keys, &dict));
    for (unsigned i = 0; i < 500; i++) {
        key = dict_text(&d.u, i);
        ok(mid_dict_set(thread, dict, key, INT(i)));
        mid_release(thread, key);
    }
    deep_put(&d, 0, dict);
    deep_settle(&d);
    assert_true(deep_compact(&d) >= 501);
    for (unsigned i = 0; i < 500; i++) {
        key = dict_text(&d.u, i);
        assert_int_equal(mid_dict_peek(thread, deep_item(&d, 0), key), INT(i));
        mid_release(thread, key);
    }
    deep_close(&d);
}

/* --- sets ---------------------------------------------------------------------------------------------------------------------------- */

static mid_handle set_of(struct unit *u, unsigned from, unsigned to, unsigned step)
{
    mid_handle set;
    ok(mid_set_new(u->thread, &mid_keys_int, &set));
    for (unsigned i = from; i < to; i += step)
        ok(mid_set_add(u->thread, set, INT(i), NULL));
    return set;
}

static size_t sum(struct unit *u, mid_handle set, size_t *length)
{
    mid_dict_cursor cursor = {0};
    mid_handle key;
    size_t total = 0;
    ok(mid_set_length(u->thread, set, length));
    while (mid_set_next(u->thread, set, &cursor, &key) == MID_OK)
        total += (size_t)mid_to_int(key);
    mid_release(u->thread, set);
    return total;
}

TEST(sets_meet)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = set_of(&u, 0, 100, 2), b = set_of(&u, 0, 100, 3), out;
    size_t length;
    int yes;
    ok(mid_set_intersection(u.thread, a, b, &out));
    assert_int_equal(sum(&u, out, &length), 6 * 16 * 17 / 2);
    assert_int_equal(length, 17);
    ok(mid_set_difference(u.thread, a, b, &out));
    assert_int_equal(sum(&u, out, &length), 2450 - 816);
    assert_int_equal(length, 33);
    ok(mid_set_union(u.thread, a, b, &out));
    ok(mid_set_subset(u.thread, b, out, &yes));
    assert_int_equal(yes, 1);
    ok(mid_set_subset(u.thread, out, b, &yes));
    assert_int_equal(yes, 0);
    assert_int_equal(sum(&u, out, &length), 2450 + 1683 - 816);
    assert_int_equal(length, 67);
    mid_release(u.thread, b);
    done(&u, a);
}

TEST(sealed_sets_do_not_change)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = set_of(&u, 0, 50, 1), b = set_of(&u, 0, 0, 1), key;
    uint32_t one, other;
    int equal;
    for (unsigned i = 50; i-- > 0;)
        ok(mid_set_add(u.thread, b, INT(i), NULL));
    expect(MID_ETYPE, mid_set_hash(u.thread, a, &one));
    ok(mid_set_seal(u.thread, a));
    ok(mid_set_seal(u.thread, b));
    ok(mid_set_hash(u.thread, a, &one));
    ok(mid_set_hash(u.thread, b, &other));
    assert_int_equal(one, other);
    ok(mid_set_equal(u.thread, a, b, &equal));
    assert_int_equal(equal, 1);
    expect(MID_ETYPE, mid_set_add(u.thread, a, INT(99), NULL));
    expect(MID_ETYPE, mid_set_remove(u.thread, a, INT(1)));
    expect(MID_ETYPE, mid_set_clear(u.thread, a));
    expect(MID_ETYPE, mid_set_pop_first(u.thread, a, &key));
    expect(MID_ETYPE, mid_set_update(u.thread, a, b));
    expect(MID_ETYPE, mid_set_reserve(u.thread, a, 1000));
    mid_release(u.thread, b);
    done(&u, a);
}

/* --- bad input ---------------------------------------------------------------------------------------------------------------------- */

TEST(bad_input_is_refused)
{
    struct unit u;
    struct disturb d;
    unit_open(&u, "");
    dict_disturb(&d, &u);
    mid_handle dict = ints(&u, 20), set = set_of(&u, 0, 5, 1), node = unit_new(&u, u.node), got = 1, by_value;
    size_t length;
    mid_dict_cursor cursor = {0};
    mid_keys lacking = {.equal = d.keys.equal}, wrong = d.keys;
    expect(MID_ENULL, mid_dict_new(NULL, &mid_keys_int, &got));
    expect(MID_ENULL, mid_dict_new(u.thread, NULL, &got));
    expect(MID_ENULL, mid_dict_new(u.thread, &mid_keys_int, NULL));
    expect(MID_ENULL, mid_dict_new(u.thread, &lacking, &got));
    wrong.strings = u.node;
    expect(MID_EINVAL, mid_dict_new(u.thread, &wrong, &got));
    wrong.strings = 4000;
    expect(MID_EINVAL, mid_dict_new(u.thread, &wrong, &got));
    wrong.strings = u.bytes;
    wrong.hash_offset = 14;
    expect(MID_EINVAL, mid_dict_new(u.thread, &wrong, &got));
    ok(mid_dict_new(u.thread, &d.keys, &by_value));
    mid_handle stale = unit_new(&u, u.node), bad[] = {0, INT(4), 0xFFFFFFF0u, stale};
    mid_release(u.thread, stale);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect(MID_EHANDLE, mid_dict_get(u.thread, bad[i], INT(1), &got));
        expect(MID_EHANDLE, mid_dict_set(u.thread, bad[i], INT(1), 0));
        expect(MID_EHANDLE, mid_dict_delete(u.thread, bad[i], INT(1)));
        expect(MID_EHANDLE, mid_dict_next(u.thread, bad[i], &cursor, &got, NULL));
        expect(MID_EHANDLE, mid_set_add(u.thread, bad[i], INT(1), NULL));
        expect(MID_EHANDLE, mid_dict_update(u.thread, dict, bad[i]));
        if (bad[i] != INT(4))
            expect(MID_EHANDLE, mid_dict_set(u.thread, by_value, bad[i], 0));
        if (bad[i] != INT(4) && bad[i] != 0)
            expect(MID_EHANDLE, mid_dict_set(u.thread, dict, INT(1), bad[i]));
    }
    expect(MID_ETYPE, mid_dict_get(u.thread, node, INT(1), &got));
    expect(MID_ETYPE, mid_dict_get(u.thread, set, INT(1), &got));
    expect(MID_ETYPE, mid_set_add(u.thread, dict, INT(1), NULL));
    expect(MID_ETYPE, mid_dict_update(u.thread, dict, set));
    expect(MID_ETYPE, mid_dict_set(u.thread, dict, node, 0));
    expect(MID_EHANDLE, mid_dict_set(u.thread, dict, 0, 0));
    expect(MID_EHANDLE, mid_dict_get(u.thread, by_value, 0, &got));
    expect(MID_ENULL, mid_dict_get(u.thread, dict, INT(1), NULL));
    expect(MID_ENULL, mid_dict_get(NULL, dict, INT(1), &got));
    expect(MID_ENULL, mid_dict_pop(u.thread, dict, INT(1), NULL));
    expect(MID_ENULL, mid_dict_pop_first(u.thread, dict, NULL, NULL));
    expect(MID_ENULL, mid_dict_contains(u.thread, dict, INT(1), NULL));
    expect(MID_ENULL, mid_dict_length(u.thread, dict, NULL));
    expect(MID_ENULL, mid_dict_copy(u.thread, dict, NULL));
    expect(MID_ENULL, mid_dict_next(u.thread, dict, NULL, &got, NULL));
    expect(MID_ENULL, mid_set_union(u.thread, set, set, NULL));
    expect(MID_ESIZE, mid_dict_reserve(u.thread, dict, SIZE_MAX));
    expect(MID_ESIZE, mid_dict_reserve(u.thread, dict, MID_DICT_MOST + 1u));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_dict_get(u.thread, dict, INT(1), &got));
    ok(mid_blocked_leave(u.thread));
    ok(mid_dict_update(u.thread, dict, dict));
    ok(mid_dict_length(u.thread, dict, &length));
    assert_int_equal(length, 20);
    mid_release(u.thread, by_value);
    mid_release(u.thread, node);
    mid_release(u.thread, set);
    done(&u, dict);
}

TEST(pinned_it_grows_only_where_it_is)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle dict = ints(&u, 10);
    ok(mid_pin(u.thread, dict, NULL));
    expect(MID_EPINNED, mid_dict_set(u.thread, dict, INT(77), 0));
    assert_int_equal(dict_length(&u, dict), 10);
    unit_check(&u);
    ok(mid_unpin(u.thread, dict));
    ok(mid_dict_set(u.thread, dict, INT(77), 0));
    done(&u, dict);
}

/* --- no memory: the nth request fails, for every n ---------------------------------------------------------------------------------- */

static size_t without(size_t fail_at)
{
    struct fault_os fault;
    struct unit u;
    struct disturb d;
    fault_open(&u, &fault, "");
    dict_disturb(&d, &u);
    mid_handle dict = 0, copy = 0, kept[2000];
    unsigned count = 0;
    ok(mid_dict_new(u.thread, &d.keys, &dict));
    for (; count < 2000; count++)
        kept[count] = dict_text(&u, count);
    fault.calls = 0;
    fault.fail_at = fail_at;
    fault.for_good = 1;
    unsigned in = 0;
    mid_status status = MID_OK;
    while (in < count && (status = mid_dict_set(u.thread, dict, kept[in], INT(in))) == MID_OK)
        in++;
    assert_true(status == MID_OK || status == MID_ENOMEM);
    status = mid_dict_copy(u.thread, dict, &copy);
    assert_true(status == MID_OK || (status == MID_ENOMEM && copy == 0));
    for (unsigned i = 0; i < in; i++)
        assert_int_equal(mid_dict_peek(u.thread, dict, kept[i]), INT(i));
    for (unsigned i = 0; i + 3 < in; i++) /* to shrink may be refused; to delete is not */
        ok(mid_dict_delete(u.thread, dict, kept[i]));
    assert_int_equal(dict_length(&u, dict), in < 3 ? in : 3);
    size_t calls = fault.calls;
    fault.fail_at = 0;
    unit_check(&u);
    ok(mid_dict_clear(u.thread, dict));
    while (count > 0)
        mid_release(u.thread, kept[--count]);
    mid_release(u.thread, copy);
    mid_release(u.thread, dict);
    unit_drain(&u);
    fault_close(&u, &fault);
    return calls;
}

TEST(without_memory_it_stays_whole)
{
    size_t calls = without(0);
    assert_true(calls > 3);
    for (size_t n = 1; n <= calls; n++)
        without(n);
}

/* --- threads ------------------------------------------------------------------------------------------------------------------------ */

enum { READERS = 3, SHARED = 2000 };

struct reader {
    pthread_t id;
    struct unit *u;
    mid_handle dict;
    size_t wrong;
};

static void *read_all(void *context)
{
    struct reader *r = context;
    mid_thread *thread;
    if (mid_thread_attach(r->u->heap, &thread) != MID_OK)
        return r->wrong = 1, NULL;
    for (unsigned round = 0; round < 20; round++) {
        mid_dict_cursor cursor = {0};
        mid_handle key, value;
        unsigned seen = 0;
        while (mid_dict_next(thread, r->dict, &cursor, &key, &value) == MID_OK)
            seen++;
        r->wrong += seen != SHARED;
        for (unsigned i = 0; i < SHARED; i++) {
            r->wrong += mid_dict_get(thread, r->dict, INT(i), &value) != MID_OK;
            r->wrong += ((struct node *)mid_get(thread, value))->value != i;
            mid_release(thread, value);
            mid_safepoint(thread);
        }
    }
    mid_thread_detach(thread);
    return NULL;
}

TEST(many_threads_read)
{
    struct unit u;
    unit_open(&u, "");
    struct reader readers[READERS];
    mid_handle dict = ints(&u, 0);
    for (unsigned i = 0; i < SHARED; i++) {
        mid_handle node = unit_new(&u, u.node);
        unit_node(&u, node)->value = i;
        ok(mid_dict_set(u.thread, dict, INT(i), node));
        mid_release(u.thread, node);
    }
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.u = &u, .dict = dict};
        assert_int_equal(pthread_create(&readers[i].id, NULL, read_all, &readers[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        mid_status status = mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL);
        assert_true(status == MID_OK || status == MID_EPOSTPONED);
    }
    UNIT_JOIN(&u, i, READERS, readers[i].id);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(readers[i].wrong, 0);
    ok(mid_collect(u.thread, NULL));
    done(&u, dict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_counted_and_come_back),
        cmocka_unit_test(going_through_bears_changes),
        cmocka_unit_test(going_through_notices_that_entries_moved),
        cmocka_unit_test(memory_follows_what_lives),
        cmocka_unit_test(integers_that_collide_are_mixed),
        cmocka_unit_test(a_search_begins_again_when_its_dictionary_changes),
        cmocka_unit_test(finalizers_find_it_whole),
        cmocka_unit_test(strings_are_compared_without_a_callback),
        cmocka_unit_test(identity_survives_deep_compaction),
        cmocka_unit_test(keys_by_value_may_be_renamed),
        cmocka_unit_test(sets_meet),
        cmocka_unit_test(sealed_sets_do_not_change),
        cmocka_unit_test(bad_input_is_refused),
        cmocka_unit_test(pinned_it_grows_only_where_it_is),
        cmocka_unit_test(without_memory_it_stays_whole),
        cmocka_unit_test(many_threads_read),
    };
    return UNIT_RUN(tests);
}
