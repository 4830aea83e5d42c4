/* tests/unit/test_dict_kinds.c: dictionaries of the kinds, small and with an index: from one to the other and back, strings of all lengths,
 * keys of several kinds; debug heaps that move everything, frozen heaps, a daemon, threads that read. */
#include "dict.h"

#include <pthread.h>

#include "fault_os.h"
#include "gc/kinds/dict.h"
#include "midden/daemon.h"
#include "midden/freeze.h"
#include "midden/kinds.h"

#define INT(n) mid_from_int((int32_t)(n))

static mid_kinds kinds;
static mid_keys keys;

static void start(struct unit *u, const char *options)
{
    unit_open(u, options);
    ok(mid_kinds_open(u->heap, &kinds));
    ok(mid_kinds_keys(&kinds, &keys));
}

static void finish(struct unit *u, mid_handle object)
{
    mid_release(u->thread, object);
    unit_drain(u);
    unit_close_empty(u);
}

/* Texts of 1 to 40 bytes and more, another for each number. */
static mid_handle text(struct unit *u, unsigned number)
{
    char content[64];
    mid_handle made;
    int bytes = snprintf(content, sizeof content, "%u%.*s", number, (int)(number * 7 % 41), "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst");
    ok(mid_text_new(u->thread, &kinds, content, (size_t)bytes, &made));
    return made;
}

static void put(struct unit *u, mid_handle dict, unsigned number)
{
    mid_handle key = text(u, number);
    ok(mid_dict_set(u->thread, dict, key, INT(number)));
    mid_release(u->thread, key);
}

static mid_handle texts(struct unit *u, unsigned from, unsigned to)
{
    mid_handle dict;
    ok(mid_dict_new(u->thread, &keys, &dict));
    for (unsigned i = from; i < to; i++)
        put(u, dict, i);
    return dict;
}

static bool has_index(struct unit *u, mid_handle dict)
{
    return ((struct mid_dict *)mid_get(u->thread, dict))->bits != 0;
}

static void expect_texts(struct unit *u, mid_handle dict, unsigned from, unsigned to)
{
    assert_int_equal(dict_length(u, dict), to - from);
    for (unsigned i = 0; i < to + 20; i++) {
        mid_handle key = text(u, i), got;
        bool there = i >= from && i < to;
        expect(there ? MID_OK : MID_EKEY, mid_dict_get(u->thread, dict, key, &got));
        assert_int_equal(got, there ? INT(i) : 0);
        mid_release(u->thread, key);
    }
    mid_dict_cursor cursor = {0};
    mid_handle key, value;
    unsigned next = from;
    while (mid_dict_next(u->thread, dict, &cursor, &key, &value) == MID_OK)
        assert_int_equal(value, INT(next++));
    assert_int_equal(next, to);
}

/* Every size around the bounds, up and down again, copied and shrunk. */
TEST(they_grow_an_index_and_lose_it)
{
    struct unit u;
    start(&u, "");
    mid_handle dict = texts(&u, 0, 0), copy;
    for (unsigned count = 1; count <= 40; count++) {
        put(&u, dict, count - 1);
        assert_int_equal(has_index(&u, dict), count > MID_DICT_SMALL);
        expect_texts(&u, dict, 0, count);
        ok(mid_dict_copy(u.thread, dict, &copy));
        expect_texts(&u, copy, 0, count);
        mid_release(u.thread, copy);
        unit_check(&u);
    }
    for (unsigned from = 1; from <= 40; from++) {
        mid_handle key = text(&u, from - 1);
        ok(mid_dict_delete(u.thread, dict, key));
        expect(MID_EKEY, mid_dict_delete(u.thread, dict, key));
        mid_release(u.thread, key);
        ok(mid_dict_shrink(u.thread, dict));
        assert_int_equal(has_index(&u, dict), 40 - from > MID_DICT_SMALL);
        expect_texts(&u, dict, from, 40);
        unit_check(&u);
    }
    finish(&u, dict);
}

/* What is deleted in a small one leaves holes, and they are packed where there is no room. */
TEST(small_ones_are_packed_where_they_are)
{
    struct unit u;
    start(&u, "");
    mid_handle dict = texts(&u, 0, 10);
    uint64_t seed = 5;
    for (unsigned next = 10; next < 2000; next++) {
        unsigned holes = 1 + (unsigned)(unit_random(&seed) % 3);
        for (unsigned i = 0; i < holes; i++) {
            mid_dict_cursor cursor = {0};
            mid_handle key = 0, at;
            for (uint64_t n = unit_random(&seed) % dict_length(&u, dict) + 1; n > 0 && mid_dict_next(u.thread, dict, &cursor, &at, NULL) == MID_OK; n--)
                key = at;
            ok(mid_dict_delete(u.thread, dict, key));
        }
        put(&u, dict, next);
        for (unsigned i = 1; i < holes; i++)
            put(&u, dict, 10000 * i + next);
        assert_false(has_index(&u, dict));
        if (next % 50 == 0)
            unit_check(&u);
    }
    assert_int_equal(dict_length(&u, dict), 10);
    mid_handle key, value;
    ok(mid_dict_pop_last(u.thread, dict, &key, &value));
    mid_release(u.thread, key);
    put(&u, dict, 77);
    ok(mid_dict_pop_last(u.thread, dict, &key, &value));
    assert_int_equal(value, INT(77));
    mid_release(u.thread, key);
    unit_check(&u);
    finish(&u, dict);
}

/* Texts, then numbers of both kinds, a byte string, a tuple: the dictionary gets an index, and each finds its equal. */
TEST(keys_of_several_kinds)
{
    struct unit u;
    start(&u, "");
    for (unsigned before = 0; before < 12; before++) {
        mid_handle dict = texts(&u, 0, before), real, bytes, list, got, large[2];
        assert_int_equal(has_index(&u, dict), before > MID_DICT_SMALL);
        ok(mid_dict_set(u.thread, dict, INT(7), INT(100)));
        assert_true(has_index(&u, dict));
        ok(mid_float_new(u.thread, &kinds, 7.0, &real));
        ok(mid_dict_get(u.thread, dict, real, &got));
        assert_int_equal(got, INT(100));
        ok(mid_bytes_new(u.thread, &kinds, "0", 1, &bytes)); /* text 0 is "0" */
        expect(MID_EKEY, mid_dict_get(u.thread, dict, bytes, &got));
        ok(mid_dict_set(u.thread, dict, bytes, INT(101)));
        for (int i = 0; i < 2; i++)
            ok(mid_int_new(u.thread, &kinds, INT64_MAX, &large[i]));
        ok(mid_dict_set(u.thread, dict, large[0], INT(102)));
        assert_int_equal(mid_dict_peek(u.thread, dict, large[1]), INT(102));
        ok(mid_list_new(u.thread, &kinds, 0, &list));
        expect(MID_ETYPE, mid_dict_set(u.thread, dict, list, 0));
        for (unsigned i = 0; i < before; i++) {
            mid_handle key = text(&u, i);
            assert_int_equal(mid_dict_peek(u.thread, dict, key), INT(i));
            mid_release(u.thread, key);
        }
        unit_check(&u);
        mid_handle all[] = {real, bytes, list, large[0], large[1], dict};
        for (unsigned i = 0; i < 6; i++)
            mid_release(u.thread, all[i]);
    }
    expect(MID_ENULL, mid_kinds_keys(NULL, &keys));
    expect(MID_ENULL, mid_kinds_keys(&kinds, NULL));
    finish(&u, 0);
}

TEST(interned_text_is_found_by_either)
{
    struct unit u;
    start(&u, "");
    mid_handle dict = texts(&u, 0, 0), one, same, other;
    ok(mid_text_intern(u.thread, &kinds, "name", 4, &one));
    ok(mid_text_intern(u.thread, &kinds, "name", 4, &same));
    ok(mid_text_new(u.thread, &kinds, "name", 4, &other));
    ok(mid_dict_set(u.thread, dict, one, INT(1)));
    assert_int_equal(mid_dict_peek(u.thread, dict, same), INT(1));
    assert_int_equal(mid_dict_peek(u.thread, dict, other), INT(1));
    mid_release(u.thread, one);
    mid_release(u.thread, same);
    mid_release(u.thread, other);
    finish(&u, dict);
}

/* Sets of texts meet: hashes are taken from the keys of small ones and from the index of others. */
TEST(small_and_large_sets_meet)
{
    struct unit u;
    start(&u, "");
    mid_handle sets[2], out;
    for (unsigned s = 0; s < 2; s++) {
        ok(mid_set_new(u.thread, &keys, &sets[s]));
        for (unsigned i = 0; i < (s ? 100 : 8); i++) {
            mid_handle key = text(&u, i * (s ? 1 : 3));
            ok(mid_set_add(u.thread, sets[s], key, NULL));
            mid_release(u.thread, key);
        }
    }
    int yes;
    size_t length;
    ok(mid_set_subset(u.thread, sets[0], sets[1], &yes));
    assert_int_equal(yes, 1);
    ok(mid_set_intersection(u.thread, sets[1], sets[0], &out));
    ok(mid_set_length(u.thread, out, &length));
    assert_int_equal(length, 8);
    ok(mid_set_equal(u.thread, out, sets[0], &yes));
    assert_int_equal(yes, 1);
    unit_check(&u);
    mid_release(u.thread, out);
    mid_release(u.thread, sets[1]);
    finish(&u, sets[0]);
}

static void live_through(const char *options, bool frozen)
{
    struct unit u;
    start(&u, options);
    mid_handle dicts[13];
    for (unsigned i = 0; i < 13; i++)
        dicts[i] = texts(&u, 0, i);
    if (frozen)
        ok(mid_freeze(u.thread));
    for (unsigned round = 0; round < 6; round++) {
        ok(mid_safepoint(u.thread));
        ok(mid_compact(u.thread, round % 2 == 0 ? MID_COMPACT_PLAIN : MID_COMPACT_DEEP, 0, NULL));
        for (unsigned i = 0; i < 13; i++) {
            expect_texts(&u, dicts[i], round, round + i);
            put(&u, dicts[i], round + i);
            mid_handle key = text(&u, round);
            ok(mid_dict_delete(u.thread, dicts[i], key));
            mid_release(u.thread, key);
        }
        unit_check(&u);
    }
    if (frozen)
        ok(mid_unfreeze(u.thread));
    for (unsigned i = 1; i < 13; i++)
        mid_release(u.thread, dicts[i]);
    finish(&u, dicts[0]);
}

TEST(a_debug_heap_bears_them) { live_through("debug-frames=4", false); }
TEST(everything_moves_at_each_safepoint) { live_through("debug-move=1", false); }
TEST(frozen_they_go_on) { live_through("deep=table", true); }
TEST(deep_compaction_renames_their_keys) { live_through("deep=table", false); }

/* A daemon collects and compacts at its own times. */
TEST(a_daemon_beside_them)
{
    struct unit u;
    mid_daemon *daemon;
    start(&u, "daemon=1");
    ok(mid_daemon_start(u.heap, &daemon));
    mid_handle holder = unit_array(&u, u.vec, 64);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 64; i++) {
            mid_handle dict = texts(&u, 0, (round + i) % 24);
            mid_give(u.thread, holder, ITEM(i), dict);
            ok(mid_dict_set(u.thread, mid_peek(u.thread, holder, ITEM(i)), INT(1), dict)); /* a cycle */
        }
        ok(mid_daemon_kick(daemon));
        mid_safepoint(u.thread);
    }
    for (unsigned i = 0; i < 64; i++) {
        mid_handle dict = mid_peek(u.thread, holder, ITEM(i));
        assert_int_equal(dict_length(&u, dict), (199 + i) % 24 + 1);
    }
    ok(mid_daemon_stop(daemon));
    unit_check(&u);
    mid_release(u.thread, holder);
    ok(mid_collect(u.thread, NULL));
    finish(&u, 0);
}

/* --- no memory ---------------------------------------------------------------------------------------------------------------------- */

static size_t without(size_t fail_at)
{
    enum { DICTS = 600, MOST = 14 };
    struct fault_os fault;
    struct unit u;
    fault_open(&u, &fault, "");
    ok(mid_kinds_open(u.heap, &kinds));
    ok(mid_kinds_keys(&kinds, &keys));
    mid_handle dicts[DICTS] = {0}, texts_of[MOST];
    for (unsigned i = 0; i < MOST; i++)
        texts_of[i] = text(&u, i);
    fault.calls = 0;
    fault.fail_at = fail_at;
    fault.for_good = 1;
    unsigned in[DICTS] = {0};
    for (unsigned d = 0; d < DICTS; d++) {
        if (mid_dict_new(u.thread, &keys, &dicts[d]) != MID_OK)
            break;
        while (in[d] < MOST && mid_dict_set(u.thread, dicts[d], in[d] == 6 && d % 2 ? INT(5) : texts_of[in[d]], INT(in[d])) == MID_OK)
            in[d]++;
    }
    size_t calls = fault.calls;
    fault.fail_at = 0;
    unit_check(&u);
    for (unsigned d = 0; d < DICTS && dicts[d] != 0; d++) {
        assert_int_equal(dict_length(&u, dicts[d]), in[d]);
        for (unsigned i = 0; i < in[d]; i++)
            assert_int_equal(mid_dict_peek(u.thread, dicts[d], i == 6 && d % 2 ? INT(5) : texts_of[i]), INT(i));
        mid_release(u.thread, dicts[d]);
    }
    for (unsigned i = 0; i < MOST; i++)
        mid_release(u.thread, texts_of[i]);
    unit_drain(&u);
    fault_close(&u, &fault);
    return calls;
}

TEST(without_memory_small_ones_stay_whole)
{
    size_t calls = without(0);
    assert_true(calls > 1);
    for (size_t n = 1; n <= calls; n++)
        without(n);
}

/* --- threads ------------------------------------------------------------------------------------------------------------------------- */

enum { READERS = 3, DICTS = 16 };

struct reader {
    pthread_t id;
    struct unit *u;
    const mid_handle *dicts, *asked;
    size_t wrong;
};

static void *read_all(void *context)
{
    struct reader *r = context;
    mid_thread *thread;
    if (mid_thread_attach(r->u->heap, &thread) != MID_OK)
        return r->wrong = 1, NULL;
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned d = 0; d < DICTS; d++) {
            mid_dict_cursor cursor = {0};
            mid_handle key, value;
            unsigned seen = 0;
            int there;
            while (mid_dict_next(thread, r->dicts[d], &cursor, &key, &value) == MID_OK)
                seen++;
            r->wrong += seen != d;
            for (unsigned i = 0; i < DICTS; i++) {
                r->wrong += mid_dict_get(thread, r->dicts[d], r->asked[i], &value) != (i < d ? MID_OK : MID_EKEY);
                r->wrong += mid_dict_contains(thread, r->dicts[d], r->asked[i], &there) != MID_OK || there != (i < d);
            }
        }
        mid_safepoint(thread);
    }
    mid_thread_detach(thread);
    return NULL;
}

TEST(many_threads_read_small_ones)
{
    struct unit u;
    start(&u, "");
    struct reader readers[READERS];
    mid_handle dicts[DICTS], asked[DICTS];
    for (unsigned i = 0; i < DICTS; i++) {
        dicts[i] = texts(&u, 0, i);
        asked[i] = text(&u, i);
    }
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.u = &u, .dicts = dicts, .asked = asked};
        assert_int_equal(pthread_create(&readers[i].id, NULL, read_all, &readers[i]), 0);
    }
    UNIT_JOIN(&u, i, READERS, readers[i].id);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(readers[i].wrong, 0);
    for (unsigned i = 0; i < DICTS; i++) {
        mid_release(u.thread, dicts[i]);
        mid_release(u.thread, asked[i]);
    }
    finish(&u, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_grow_an_index_and_lose_it),
        cmocka_unit_test(small_ones_are_packed_where_they_are),
        cmocka_unit_test(keys_of_several_kinds),
        cmocka_unit_test(interned_text_is_found_by_either),
        cmocka_unit_test(small_and_large_sets_meet),
        cmocka_unit_test(a_debug_heap_bears_them),
        cmocka_unit_test(everything_moves_at_each_safepoint),
        cmocka_unit_test(frozen_they_go_on),
        cmocka_unit_test(deep_compaction_renames_their_keys),
        cmocka_unit_test(a_daemon_beside_them),
        cmocka_unit_test(without_memory_small_ones_stay_whole),
        cmocka_unit_test(many_threads_read_small_ones),
    };
    return UNIT_RUN(tests);
}
