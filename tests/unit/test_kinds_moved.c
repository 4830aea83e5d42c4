/* Strings, lists, tuples and interned text under plain and deep compaction, with many threads that read them. */
#include "unit.h"

#include <pthread.h>

#include "midden/dict.h"
#include "midden/kinds.h"

enum { ROWS = 300, READERS = 3 };

struct table {
    struct unit u;
    mid_kinds kinds;
    mid_handle list;        /* of tuples: text, interned text, number, list of as many as its place modulo 9 */
    mid_handle joined;      /* all texts */
    uint32_t over;          /* atomic */
};

static size_t words(char *to, size_t room, unsigned row)
{
    return (size_t)snprintf(to, room, "row %u %.*s", row, (int)(row % 30), "of a table whose rows are long");
}

static void begin(struct table *t, const char *options)
{
    char content[64];
    memset(t, 0, sizeof *t);
    unit_open(&t->u, options);
    mid_thread *thread = t->u.thread;
    mid_handle fillers[4000];
    for (unsigned i = 0; i < 4000; i++) /* so that there is something to move, and numbers to be had */
        fillers[i] = unit_new(&t->u, t->u.node);
    ok(mid_kinds_open(t->u.heap, &t->kinds));
    ok(mid_list_new(thread, &t->kinds, 0, &t->list));
    ok(mid_text_new(thread, &t->kinds, "", 0, &t->joined));
    for (unsigned i = 0; i < ROWS; i++) {
        mid_handle cell[4], row;
        size_t bytes = words(content, sizeof content, i);
        ok(mid_text_new(thread, &t->kinds, content, bytes, &cell[0]));
        ok(mid_string_append(thread, &t->kinds, &t->joined, cell[0]));
        ok(mid_text_intern(thread, &t->kinds, content, bytes / 2, &cell[1]));
        ok(mid_float_new(thread, &t->kinds, i, &cell[2]));
        ok(mid_list_new(thread, &t->kinds, 0, &cell[3]));
        for (unsigned n = 0; n < i % 9; n++)
            ok(mid_list_append(thread, &t->kinds, cell[3], cell[n % 3]));
        ok(mid_tuple_give(thread, &t->kinds, cell, 4, &row));
        ok(mid_list_append(thread, &t->kinds, t->list, row));
        mid_release(thread, row);
    }
    for (unsigned i = 0; i < 4000; i++)
        mid_release(thread, fillers[i]);
    unit_drain(&t->u);
}

/* How much of one row is not as it should be. By counted handles only: everything else may be given another at a safepoint. */
static size_t wrong_in(mid_thread *thread, const struct table *t, unsigned i)
{
    char content[64];
    size_t bytes = words(content, sizeof content, i), wrong = 0, length = 0, at = 0;
    mid_handle row = 0, cell[4] = {0}, again = 0, item = 0;
    int same = 0;
    uint32_t hash, other;
    double real = -1;
    wrong += mid_list_get(thread, &t->kinds, t->list, i, &row) != MID_OK;
    for (size_t n = 0; n < 4; n++)
        wrong += mid_tuple_get(thread, &t->kinds, row, n, &cell[n]) != MID_OK;
    wrong += mid_text_new(thread, &t->kinds, content, bytes, &again) != MID_OK;
    wrong += mid_kind_equal(thread, &t->kinds, again, cell[0], &same) != MID_OK || !same;
    wrong += mid_string_hash(thread, &t->kinds, cell[0], &hash) != MID_OK || mid_string_hash(thread, &t->kinds, again, &other) != MID_OK || hash != other;
    wrong += mid_string_find(thread, &t->kinds, t->joined, again, 0, &at) != MID_OK || at == SIZE_MAX;
    mid_release(thread, again);
    wrong += mid_text_intern(thread, &t->kinds, content, bytes / 2, &again) != MID_OK || again != cell[1];
    mid_release(thread, again);
    wrong += mid_float_get(thread, &t->kinds, cell[2], &real) != MID_OK || real != i;
    wrong += mid_list_length(thread, &t->kinds, cell[3], &length) != MID_OK || length != i % 9;
    for (size_t n = 0; n < length; n++) {
        wrong += mid_list_get(thread, &t->kinds, cell[3], n, &item) != MID_OK || item != cell[n % 3];
        mid_release(thread, item);
    }
    for (size_t n = 0; n < 4; n++)
        mid_release(thread, cell[n]);
    mid_release(thread, row);
    return wrong;
}

static void all_right(struct table *t)
{
    unit_check(&t->u);
    for (unsigned i = 0; i < ROWS; i++)
        assert_int_equal(wrong_in(t->u.thread, t, i), 0);
}

static void finish(struct table *t)
{
    mid_release(t->u.thread, t->list);
    mid_release(t->u.thread, t->joined);
    unit_drain(&t->u);
    ok(mid_collect(t->u.thread, NULL));
    unit_close_empty(&t->u);
}

static void compacted(mid_compact_kind kind, const char *options)
{
    struct table t;
    uint64_t renamed = 0;
    begin(&t, options);
    all_right(&t);
    for (unsigned round = 0; round < 3; round++) {
        mid_compact_result result;
        ok(mid_compact(t.u.thread, kind, 0, &result));
        renamed += result.renamed_objects;
        all_right(&t);
        for (unsigned i = 0; i < ROWS / 2; i++) { /* other places, other owners */
            mid_handle row;
            ok(mid_list_remove(t.u.thread, &t.kinds, t.list, 0, &row));
            ok(mid_list_append(t.u.thread, &t.kinds, t.list, row));
            mid_release(t.u.thread, row);
        }
        ok(mid_list_sort(t.u.thread, &t.kinds, t.list, NULL, NULL));
        for (unsigned i = 0; i < ROWS; i++) { /* sorted by text: back in order of rows */
            mid_handle a, b;
            int order = 0;
            ok(mid_list_get(t.u.thread, &t.kinds, t.list, i, &a));
            ok(mid_list_get(t.u.thread, &t.kinds, t.list, i == 0 ? 0 : i - 1, &b));
            ok(mid_kind_compare(t.u.thread, &t.kinds, b, a, &order));
            assert_true(order <= 0);
            mid_release(t.u.thread, a);
            mid_release(t.u.thread, b);
        }
        mid_handle rows[ROWS];
        for (unsigned i = 0; i < ROWS; i++) {
            mid_handle number, row;
            double real;
            ok(mid_list_pop(t.u.thread, &t.kinds, t.list, &row));
            ok(mid_tuple_get(t.u.thread, &t.kinds, row, 2, &number));
            ok(mid_float_get(t.u.thread, &t.kinds, number, &real));
            mid_release(t.u.thread, number);
            rows[(unsigned)real] = row;
        }
        for (unsigned i = 0; i < ROWS; i++) {
            ok(mid_list_append(t.u.thread, &t.kinds, t.list, rows[i]));
            mid_release(t.u.thread, rows[i]);
        }
        all_right(&t);
    }
    assert_int_equal(renamed != 0, kind == MID_COMPACT_DEEP);
    finish(&t);
}

TEST(plain_compaction_moves_them) { compacted(MID_COMPACT_PLAIN, ""); }
TEST(deep_compaction_by_depth) { compacted(MID_COMPACT_DEEP, "deep=depth"); }
TEST(deep_compaction_by_breadth) { compacted(MID_COMPACT_DEEP, "deep=breadth"); }
TEST(deep_compaction_by_table) { compacted(MID_COMPACT_DEEP, "deep=table"); }

struct reader {
    pthread_t id;
    struct table *t;
    unsigned seed;
    size_t wrong, rows;
};

static void *reads(void *context)
{
    struct reader *r = context;
    mid_thread *thread;
    if (mid_thread_attach(r->t->u.heap, &thread) != MID_OK) {
        r->wrong = 1;
        return NULL;
    }
    for (unsigned n = 0; n < unit_scale(8000) || r->rows == 0; n++, r->rows++) {
        r->wrong += wrong_in(thread, r->t, (n * 7 + r->seed) % ROWS);
        mid_safepoint(thread);
    }
    r->wrong += mid_thread_detach(thread) != MID_OK;
    __atomic_fetch_add(&r->t->over, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* While they read, the heap is compacted, deeply too: what they hold keeps its handle, what they do not is found by slots. */
TEST(many_threads_read_while_it_is_compacted)
{
    static struct table t;
    struct reader readers[READERS];
    begin(&t, "");
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.t = &t, .seed = i * 31};
        assert_int_equal(pthread_create(&readers[i].id, NULL, reads, &readers[i]), 0);
    }
    for (unsigned n = 0; __atomic_load_n(&t.over, __ATOMIC_ACQUIRE) != READERS; n++) {
        mid_status status = mid_compact(t.u.thread, n % 2 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL);
        assert_true(status == MID_OK || status == MID_EPOSTPONED);
        assert_int_equal(wrong_in(t.u.thread, &t, n % ROWS), 0);
    }
    ok(mid_blocked_enter(t.u.thread));
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i].id, NULL);
    ok(mid_blocked_leave(t.u.thread));
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(readers[i].wrong, 0);
        assert_true(readers[i].rows != 0);
    }
    all_right(&t);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_compaction_moves_them),
        cmocka_unit_test(deep_compaction_by_depth),
        cmocka_unit_test(deep_compaction_by_breadth),
        cmocka_unit_test(deep_compaction_by_table),
        cmocka_unit_test(many_threads_read_while_it_is_compacted),
    };
    return UNIT_RUN(tests);
}
