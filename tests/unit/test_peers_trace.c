/* The cases of CPython's test_tracemalloc: what is told of who allocated what. `docs/peers-cases.md` has those that cannot apply. */
#include <pthread.h>
#include <sys/mman.h>

#include "child.h"

/* Places that allocate: the second frame of a traceback is what they return to. */
static void *sites[2];
#define SITE(name, n)                                                           \
    static __attribute__((noinline)) mid_handle name(struct unit *u, mid_type type) \
    {                                                                           \
        mid_handle made = 0;                                                    \
        ok(mid_new(u->thread, type, &made));                                    \
        sites[n] = __builtin_return_address(0);                                 \
        __asm__ volatile("" ::: "memory");                                      \
        return made;                                                            \
    }
SITE(here, 0)
SITE(there, 1)

static __attribute__((noinline)) void *track_from(struct unit *u, const void *block, size_t bytes)
{
    ok(mid_trace_track(u->heap, MID_TRACE_FOREIGN, block, bytes));
    __asm__ volatile("" ::: "memory");
    return __builtin_return_address(0);
}

static void start(struct unit *u, uint32_t frames)
{
    const mid_trace_options options = {sizeof options, frames, 0};
    ok(mid_trace_start(u->heap, &options));
}

static mid_trace_figures figures(struct unit *u)
{
    mid_trace_figures f;
    ok(mid_trace_figures_get(u->heap, &f, sizeof f));
    return f;
}

static void end(struct unit *u)
{
    unit_drain(u);
    assert_int_equal(figures(u).records, 0);
    unit_close(u);
}

static mid_trace_record where(struct unit *u, mid_handle object)
{
    mid_trace_record r = {0};
    ok(mid_trace_where(u->thread, object, &r));
    return r;
}

/* --- objects ----------------------------------------------------------------------------------------------------------- */

TEST(cpython_test_tracemalloc_get_object_traceback)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 10);
    mid_handle one = here(&u, u.node), other = there(&u, u.node);
    mid_trace_record a = where(&u, one), b = where(&u, other);
    assert_true(a.depth >= 3 && a.frames[1] == sites[0] && b.frames[1] == sites[1]);
    assert_int_equal(a.bytes, sizeof(struct node));
    assert_int_equal(a.type, u.node);
    mid_release(u.thread, one);
    expect(MID_EHANDLE, mid_trace_where(u.thread, one, &a));
    mid_release(u.thread, other);
    end(&u);
}

/* A slot, and a handle, that are another object's by now are known by who made that one. */
TEST(cpython_test_tracemalloc_new_reference)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 10);
    mid_handle first = here(&u, u.node), again;
    assert_ptr_equal(where(&u, first).frames[1], sites[0]);
    void *at = mid_get(u.thread, first);
    mid_release(u.thread, first);
    again = there(&u, u.node);
    assert_ptr_equal(mid_get(u.thread, again), at);
    assert_ptr_equal(where(&u, again).frames[1], sites[1]);
    assert_int_equal(figures(&u).records, 1);
    mid_release(u.thread, again);
    end(&u);
}

static __attribute__((noinline)) mid_handle deep_call(struct unit *u, int depth)
{
    mid_handle made = depth == 0 ? here(u, u->node) : deep_call(u, depth - 1);
    __asm__ volatile("" ::: "memory");
    return made;
}

TEST(cpython_test_tracemalloc_set_traceback_limit)
{
    static const uint32_t limits[] = {1, 2, 10, MID_TRACE_FRAMES_MOST};
    struct unit u;
    unit_open(&u, "");
    for (size_t i = 0; i < 4; i++) {
        start(&u, limits[i]);
        assert_int_equal(figures(&u).frames, limits[i]);
        mid_handle made = deep_call(&u, 100);
        assert_int_equal(where(&u, made).depth, limits[i]);
        mid_release(u.thread, made);
        ok(mid_trace_stop(u.heap));
    }
    expect(MID_EINVAL, mid_trace_start(u.heap, &(mid_trace_options){sizeof(mid_trace_options), 0, 0}));
    expect(MID_EINVAL, mid_trace_start(u.heap, &(mid_trace_options){sizeof(mid_trace_options), MID_TRACE_FRAMES_MOST + 1, 0}));
    assert_false(mid_trace_is_on(u.heap));
    end(&u);
}

/* Two from one place share a traceback; one from elsewhere has its own. */
TEST(cpython_test_tracemalloc_get_traces_intern_traceback)
{
    struct unit u;
    mid_handle made[65];
    unit_open(&u, "");
    start(&u, 10);
    for (size_t i = 0; i < 64; i++)
        made[i] = here(&u, u.node);
    assert_int_equal(figures(&u).stacks, 1);
    made[64] = there(&u, u.node);
    assert_int_equal(figures(&u).stacks, 2);
    assert_int_equal(figures(&u).records, 65);
    for (size_t i = 0; i < 65; i++)
        mid_release(u.thread, made[i]);
    end(&u);
}

TEST(cpython_test_tracemalloc_get_traced_memory)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 5);
    const uint64_t size = sizeof(struct bytes) + (1u << 20);
    mid_handle large = unit_array(&u, u.bytes, 1u << 20);
    assert_int_equal(figures(&u).bytes, size);
    assert_int_equal(figures(&u).peak, size);
    mid_release(u.thread, large);
    unit_drain(&u);
    assert_int_equal(figures(&u).bytes, 0);
    assert_int_equal(figures(&u).peak, size);
    assert_true(figures(&u).own_bytes != 0);
    ok(mid_trace_stop(u.heap));
    assert_int_equal(figures(&u).peak, 0);
    assert_int_equal(figures(&u).own_bytes, 0);
    end(&u);
}

TEST(cpython_test_tracemalloc_reset_peak)
{
    struct unit u;
    unit_open(&u, "");
    expect(MID_EINVAL, mid_trace_reset_peak(u.heap));
    start(&u, 5);
    mid_handle large = unit_array(&u, u.bytes, 1u << 20), small = here(&u, u.node);
    mid_release(u.thread, large);
    unit_drain(&u);
    uint64_t before = figures(&u).peak;
    ok(mid_trace_reset_peak(u.heap));
    assert_int_equal(figures(&u).peak, sizeof(struct node));
    assert_true(figures(&u).peak < before);
    mid_release(u.thread, small);
    end(&u);
}

TEST(cpython_test_tracemalloc_clear_traces)
{
    struct unit u;
    mid_trace_record r;
    unit_open(&u, "");
    start(&u, 5);
    mid_handle old = here(&u, u.node), later;
    ok(mid_trace_stop(u.heap));
    start(&u, 5);
    expect(MID_EUNTRACED, mid_trace_where(u.thread, old, &r));
    assert_int_equal(figures(&u).bytes, 0);
    later = here(&u, u.node);
    assert_int_equal(where(&u, later).bytes, sizeof(struct node));
    mid_release(u.thread, old); /* of which nothing is known */
    assert_int_equal(figures(&u).records, 1);
    mid_release(u.thread, later);
    end(&u);
}

TEST(cpython_test_tracemalloc_is_tracing)
{
    struct unit u;
    unit_open(&u, "");
    assert_false(mid_trace_is_on(u.heap));
    start(&u, 5);
    assert_true(mid_trace_is_on(u.heap));
    ok(mid_trace_stop(u.heap));
    assert_false(mid_trace_is_on(u.heap));
    end(&u);
}

TEST(cpython_test_tracemalloc_fork)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 5);
    mid_handle before = here(&u, u.node);
    pid_t child = fork();
    if (child == 0) {
        mid_trace_record r;
        mid_handle made = 0;
        alarm(60);
        int wrong = !mid_trace_is_on(u.heap) || mid_trace_where(u.thread, before, &r) != MID_OK || r.frames[1] != sites[0];
        made = there(&u, u.node);
        wrong |= mid_trace_where(u.thread, made, &r) != MID_OK || r.frames[1] != sites[1];
        _exit(wrong);
    }
    child_ends(child);
    assert_int_equal(figures(&u).records, 1); /* the child's are its own */
    mid_release(u.thread, before);
    end(&u);
}

/* --- the C interface ----------------------------------------------------------------------------------------------------- */

static char block[64];

static mid_trace_record tracked(struct unit *u)
{
    mid_trace_record r = {0};
    ok(mid_trace_where_tracked(u->heap, MID_TRACE_FOREIGN, block, &r));
    return r;
}

TEST(cpython_test_tracemalloc_track)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 10);
    uint64_t before = figures(&u).bytes;
    void *site = track_from(&u, block, 5);
    mid_trace_record r = tracked(&u);
    assert_int_equal(r.bytes, 5);
    assert_int_equal(r.domain, MID_TRACE_FOREIGN);
    assert_int_equal(r.type, 0);
    assert_true(r.depth >= 3 && (r.frames[1] == site || r.frames[0] == site));
    assert_int_equal(figures(&u).bytes, before + 5);
    assert_int_equal(figures(&u).domain_bytes[MID_TRACE_FOREIGN], 5);
    unit_destroy(&u); /* what is tracked goes with the heap */
}

TEST(cpython_test_tracemalloc_track_already_tracked)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 10);
    track_from(&u, block, 5);
    void *first = tracked(&u).frames[1];
    ok(mid_trace_track(u.heap, MID_TRACE_FOREIGN, block, 7));
    assert_int_equal(tracked(&u).bytes, 7);
    assert_true(tracked(&u).frames[1] != first || tracked(&u).frames[0] != first);
    assert_int_equal(figures(&u).records, 1);
    assert_int_equal(figures(&u).bytes, 7);
    ok(mid_trace_untrack(u.heap, MID_TRACE_FOREIGN, block));
    end(&u);
}

TEST(cpython_test_tracemalloc_untrack)
{
    struct unit u;
    mid_trace_record r;
    unit_open(&u, "");
    start(&u, 10);
    track_from(&u, block, 5);
    ok(mid_trace_untrack(u.heap, MID_TRACE_FOREIGN, block));
    expect(MID_EUNTRACED, mid_trace_where_tracked(u.heap, MID_TRACE_FOREIGN, block, &r));
    assert_int_equal(figures(&u).bytes, 0);
    ok(mid_trace_untrack(u.heap, MID_TRACE_FOREIGN, block)); /* twice is no error */
    end(&u);
}

/* Python raises an error; here what is tracked while nothing is traced is not known, and no error: the program need not ask. */
TEST(cpython_test_tracemalloc_stop_track)
{
    struct unit u;
    mid_trace_record r;
    unit_open(&u, "");
    start(&u, 10);
    ok(mid_trace_stop(u.heap));
    ok(mid_trace_track(u.heap, MID_TRACE_FOREIGN, block, 5));
    expect(MID_EUNTRACED, mid_trace_where_tracked(u.heap, MID_TRACE_FOREIGN, block, &r));
    start(&u, 10);
    expect(MID_EUNTRACED, mid_trace_where_tracked(u.heap, MID_TRACE_FOREIGN, block, &r));
    end(&u);
}

TEST(cpython_test_tracemalloc_stop_untrack)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 10);
    track_from(&u, block, 5);
    ok(mid_trace_stop(u.heap));
    ok(mid_trace_untrack(u.heap, MID_TRACE_FOREIGN, block));
    start(&u, 10);
    assert_int_equal(figures(&u).bytes, 0);
    end(&u);
}

/* gh-128679: track and untrack while another thread starts and stops. */
static unsigned wrong;
static int over;

static void *race(void *argument)
{
    struct unit *u = argument;
    static char names[4][64];
    static unsigned next;
    char *mine = names[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % 4];
    unsigned bad = 0;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        for (unsigned i = 0; i < 64; i++) {
            bad += mid_trace_track(u->heap, MID_TRACE_FOREIGN, mine + i, i + 1) != MID_OK;
            bad += mid_trace_untrack(u->heap, MID_TRACE_FOREIGN, mine + i) != MID_OK;
        }
    __atomic_fetch_add(&wrong, bad, __ATOMIC_RELAXED);
    return NULL;
}

TEST(cpython_test_tracemalloc_track_race)
{
    struct unit u;
    pthread_t threads[4];
    unit_open(&u, "");
    wrong = 0;
    over = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &u), 0);
    for (uint32_t i = 0; i < 200; i++) {
        start(&u, 1 + i % 16);
        mid_release(u.thread, here(&u, u.node));
        ok(mid_trace_stop(u.heap));
    }
    start(&u, 4);
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    unit_check(&u);
    end(&u);
}

/* --- snapshots ------------------------------------------------------------------------------------------------------------- */

/* Ten nodes from one place, three from another, one array of 4000 bytes, and a block that is not the heap's. */
struct scene {
    struct unit u;
    mid_handle made[64];
    size_t count;
    mid_trace_snapshot *s;
    const void *first, *second; /* where the two places return to */
};

static mid_trace_snapshot *take(struct unit *u)
{
    mid_trace_snapshot *s = NULL;
    ok(mid_trace_take(u->heap, &s));
    return s;
}

static void open_scene(struct scene *c)
{
    memset(c, 0, sizeof *c);
    unit_open(&c->u, "");
    start(&c->u, 10);
    for (int i = 0; i < 10; i++)
        c->made[c->count++] = here(&c->u, c->u.node);
    for (int i = 0; i < 3; i++)
        c->made[c->count++] = there(&c->u, c->u.node);
    c->first = sites[0];
    c->second = sites[1];
    c->made[c->count++] = unit_array(&c->u, c->u.bytes, 4000);
    ok(mid_trace_track(c->u.heap, MID_TRACE_FOREIGN, block, 77));
    c->s = take(&c->u);
}

static void close_scene(struct scene *c)
{
    while (c->count != 0)
        mid_release(c->u.thread, c->made[--c->count]);
    ok(mid_trace_untrack(c->u.heap, MID_TRACE_FOREIGN, block));
    mid_trace_drop(c->s);
    end(&c->u);
}

enum { NODES = 13 * sizeof(struct node), ARRAY = sizeof(struct bytes) + 4000, ALL = NODES + ARRAY + 77 };

struct rows {
    mid_trace_row row[16];
    void *frames[16][3];
    size_t count;
};

static int note(void *context, const mid_trace_row *row)
{
    struct rows *r = context;
    if (r->count < 16) {
        r->row[r->count] = *row;
        for (unsigned i = 0; i < 3 && i < row->depth; i++)
            r->frames[r->count][i] = row->frames[i];
    }
    r->count++;
    return 0;
}

static struct rows group(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by)
{
    struct rows r = {0};
    ok(mid_trace_group(now, before, by, note, &r));
    assert_true(by == MID_TRACE_BY_FRAME || r.count <= 16);
    return r;
}

/* It is of a moment: what comes and goes afterwards is not in it. */
TEST(cpython_test_tracemalloc_snapshot)
{
    struct scene c;
    mid_trace_figures f;
    open_scene(&c);
    c.made[c.count++] = here(&c.u, c.u.node);
    mid_release(c.u.thread, c.made[0]);
    c.made[0] = 0;
    ok(mid_trace_snapshot_figures(c.s, &f, sizeof f));
    assert_int_equal(f.bytes, ALL);
    assert_int_equal(f.objects, 15);
    assert_int_equal(f.frames, 10);
    close_scene(&c);
}

TEST(cpython_test_tracemalloc_create_snapshot_when_off)
{
    struct unit u;
    mid_trace_snapshot *s = (void *)1;
    unit_open(&u, "");
    expect(MID_EINVAL, mid_trace_take(u.heap, &s));
    assert_null(s);
    end(&u);
}

/* By line: the innermost call. */
TEST(cpython_test_tracemalloc_snapshot_group_by_line)
{
    struct scene c;
    open_scene(&c);
    struct rows r = group(c.s, NULL, MID_TRACE_BY_SITE);
    assert_int_equal(r.count, 4);
    assert_int_equal(r.row[0].bytes, ARRAY);
    assert_int_equal(r.row[1].bytes, 10 * sizeof(struct node));
    assert_int_equal(r.row[1].objects, 10);
    assert_int_equal(r.row[2].bytes, 77);
    assert_int_equal(r.row[3].objects, 3);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(r.row[i].depth, 1);
    close_scene(&c);
}

TEST(cpython_test_tracemalloc_snapshot_group_by_traceback)
{
    struct scene c;
    open_scene(&c);
    struct rows r = group(c.s, NULL, MID_TRACE_BY_STACK);
    assert_int_equal(r.count, 4);
    assert_ptr_equal(r.frames[1][1], c.first);
    assert_ptr_equal(r.frames[3][1], c.second);
    assert_int_equal(r.row[1].objects, 10);
    assert_int_equal(r.row[3].bytes, 3 * sizeof(struct node));
    close_scene(&c);
}

/* Each frame has what was allocated in it and in what it called: the test itself has everything. */
TEST(cpython_test_tracemalloc_snapshot_group_by_cumulative)
{
    struct scene c;
    open_scene(&c);
    struct rows r = group(c.s, NULL, MID_TRACE_BY_FRAME);
    assert_int_equal(r.row[0].bytes, ALL);
    assert_int_equal(r.row[0].objects, 15);
    bool found = false;
    for (size_t i = 0; i < r.count && i < 16; i++)
        if (r.frames[i][0] == c.first && c.first != c.second)
            found = r.row[i].bytes == 10 * sizeof(struct node);
    assert_true(found);
    close_scene(&c);
}

TEST(cpython_test_tracemalloc_group_by_type_and_domain)
{
    struct scene c;
    open_scene(&c);
    struct rows r = group(c.s, NULL, MID_TRACE_BY_TYPE);
    assert_int_equal(r.count, 3);
    assert_string_equal(r.row[0].type_name, "bytes");
    assert_string_equal(r.row[1].type_name, "node");
    assert_int_equal(r.row[1].objects, 13);
    assert_null(r.row[2].type_name);
    r = group(c.s, NULL, MID_TRACE_BY_DOMAIN);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.row[0].domain, MID_TRACE_OBJECT);
    assert_int_equal(r.row[0].bytes, NODES + ARRAY);
    assert_int_equal(r.row[1].domain, MID_TRACE_FOREIGN);
    close_scene(&c);
}

/* compare_to: more, fewer, gone, new; what is as it was is no row. */
TEST(cpython_test_tracemalloc_compare_to)
{
    struct scene c;
    open_scene(&c);
    for (int i = 0; i < 4; i++) {
        mid_release(c.u.thread, c.made[i]);
        c.made[i] = 0;
    }
    mid_release(c.u.thread, c.made[13]);
    c.made[13] = 0;
    unit_drain(&c.u);
    mid_handle more = deep_call(&c.u, 3);
    c.made[c.count++] = more;
    mid_trace_snapshot *now = take(&c.u);
    struct rows r = group(now, c.s, MID_TRACE_BY_STACK);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.row[0].before_bytes, ARRAY); /* gone: the largest difference */
    assert_int_equal(r.row[0].bytes, 0);
    assert_int_equal(r.row[1].before_objects - r.row[1].objects, 4);
    assert_int_equal(r.row[2].before_objects, 0);
    assert_int_equal(r.row[2].objects, 1);
    assert_int_equal(group(c.s, c.s, MID_TRACE_BY_STACK).count, 0);
    r = group(c.s, now, MID_TRACE_BY_TYPE); /* the other way round */
    assert_int_equal(r.count, 2);
    assert_int_equal(r.row[0].bytes - r.row[0].before_bytes, ARRAY);
    mid_trace_drop(now);
    close_scene(&c);
}

#define FILTER(...) &(mid_trace_filter){.struct_size = sizeof(mid_trace_filter), __VA_ARGS__}, 1

static uint64_t left_by(const mid_trace_snapshot *s, const mid_trace_filter *filters, size_t count)
{
    mid_trace_snapshot *out;
    mid_trace_figures f;
    ok(mid_trace_select(s, filters, count, &out));
    ok(mid_trace_snapshot_figures(out, &f, sizeof f));
    mid_trace_drop(out);
    return f.bytes;
}

/* Without filters all; with several including ones what any of them has; an excluding one takes away. The first stays as it was. */
TEST(cpython_test_tracemalloc_filter_traces)
{
    struct scene c;
    open_scene(&c);
    mid_trace_filter all[] = {{.struct_size = sizeof *all, .type = "node"},
                              {.struct_size = sizeof *all, .type = "bytes"},
                              {.struct_size = sizeof *all, .low = (const char *)c.first - 1, .high = c.first, .any_frame = 1, .exclude = 1}};
    assert_int_equal(left_by(c.s, NULL, 0), ALL);
    assert_int_equal(left_by(c.s, all, 1), NODES);
    assert_int_equal(left_by(c.s, all, 2), NODES + ARRAY);
    assert_int_equal(left_by(c.s, all, 3), NODES + ARRAY - 10 * sizeof(struct node));
    assert_int_equal(left_by(c.s, all + 2, 1), ALL - 10 * sizeof(struct node));
    assert_int_equal(left_by(c.s, NULL, 0), ALL);
    close_scene(&c);
}

TEST(cpython_test_tracemalloc_filter_traces_domain)
{
    struct scene c;
    open_scene(&c);
    assert_int_equal(left_by(c.s, FILTER(.domains = 1 << MID_TRACE_FOREIGN)), 77);
    assert_int_equal(left_by(c.s, FILTER(.domains = 1 << MID_TRACE_FOREIGN, .exclude = 1)), NODES + ARRAY);
    assert_int_equal(left_by(c.s, FILTER(.domains = 1 << MID_TRACE_FOREIGN | 1 << MID_TRACE_OBJECT)), ALL);
    assert_int_equal(left_by(c.s, FILTER(.domains = 1 << MID_TRACE_MEM)), 0);
    close_scene(&c);
}

/* A domain and a name in one filter: both have to match. */
TEST(cpython_test_tracemalloc_filter_traces_domain_filter)
{
    struct scene c;
    open_scene(&c);
    assert_int_equal(left_by(c.s, FILTER(.domains = 1 << MID_TRACE_FOREIGN, .type = "node")), 0);
    assert_int_equal(left_by(c.s, FILTER(.domains = 1 << MID_TRACE_OBJECT, .type = "node")), NODES);
    assert_int_equal(left_by(c.s, FILTER(.domains = 1 << MID_TRACE_OBJECT, .type = "node", .exclude = 1)), ARRAY + 77);
    close_scene(&c);
}

TEST(cpython_test_tracemalloc_filter_match_filename)
{
    struct scene c;
    open_scene(&c);
    assert_int_equal(left_by(c.s, FILTER(.module = "test_peers_trace")), ALL);
    assert_int_equal(left_by(c.s, FILTER(.module = "test_peers_trac")), 0);
    assert_int_equal(left_by(c.s, FILTER(.module = "test_peers_trace", .exclude = 1)), 0);
    close_scene(&c);
}

TEST(cpython_test_tracemalloc_filter_match_filename_joker)
{
    struct scene c;
    open_scene(&c);
    assert_int_equal(left_by(c.s, FILTER(.module = "test_*_trace")), ALL);
    assert_int_equal(left_by(c.s, FILTER(.module = "*")), ALL);
    assert_int_equal(left_by(c.s, FILTER(.module = "test_peers_trac?")), ALL);
    assert_int_equal(left_by(c.s, FILTER(.module = "test_*_trac")), 0);
    assert_int_equal(left_by(c.s, FILTER(.type = "n??e")), NODES);
    close_scene(&c);
}

/* The innermost call alone, or any. */
TEST(cpython_test_tracemalloc_filter_match_trace)
{
    struct scene c;
    open_scene(&c);
    const char *low = c.first;
    assert_int_equal(left_by(c.s, FILTER(.low = low, .high = low + 1)), 0);
    assert_int_equal(left_by(c.s, FILTER(.low = low - 1, .high = low, .any_frame = 1)), 10 * sizeof(struct node));
    assert_int_equal(left_by(c.s, FILTER(.low = low - 1, .high = low, .any_frame = 1, .exclude = 1)), ALL - 10 * sizeof(struct node));
    close_scene(&c);
}

/* --- texts ------------------------------------------------------------------------------------------------------------------- */

static const char *text_of(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most)
{
    static char text[65536];
    int fd = memfd_create("text", 0);
    ok(mid_trace_write_text(now, before, by, most, fd));
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    close(fd);
    return text;
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

TEST(cpython_test_tracemalloc_statistic_format)
{
    struct scene c;
    char bytes[32];
    open_scene(&c);
    snprintf(bytes, sizeof bytes, "%d", (int)NODES);
    const char *text = text_of(c.s, NULL, MID_TRACE_BY_TYPE, 0);
    assert_non_null(strstr(text, bytes));
    assert_non_null(strstr(text, "object node\n"));
    assert_non_null(strstr(text, "object bytes\n"));
    text = text_of(c.s, NULL, MID_TRACE_BY_TYPE, 1); /* the largest alone */
    assert_null(strstr(text, "object node\n"));
    assert_non_null(strstr(text, "object bytes\n"));
    close_scene(&c);
}

TEST(cpython_test_tracemalloc_statistic_diff_format)
{
    struct scene c;
    open_scene(&c);
    c.made[c.count++] = there(&c.u, c.u.node);
    mid_trace_snapshot *now = take(&c.u);
    const char *text = text_of(now, c.s, MID_TRACE_BY_TYPE, 0);
    assert_non_null(strstr(text, "more bytes"));
    assert_non_null(strstr(text, "object node\n"));
    assert_null(strstr(text, "object bytes\n"));
    mid_trace_drop(now);
    close_scene(&c);
}

/* Each call on a line of its own, as the module and the place in it. */
TEST(cpython_test_tracemalloc_format_traceback)
{
    struct scene c;
    uint64_t offset = 0;
    open_scene(&c);
    const char *text = text_of(c.s, NULL, MID_TRACE_BY_STACK, 1), *module = mid_trace_module(c.s, c.first, &offset);
    assert_true(times(text, "test_peers_trace+0x") >= 3);
    assert_non_null(module);
    assert_string_equal(strrchr(module, '/') + 1, "test_peers_trace");
    assert_true(offset != 0);
    close_scene(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpython_test_tracemalloc_get_object_traceback),
        cmocka_unit_test(cpython_test_tracemalloc_new_reference),
        cmocka_unit_test(cpython_test_tracemalloc_set_traceback_limit),
        cmocka_unit_test(cpython_test_tracemalloc_get_traces_intern_traceback),
        cmocka_unit_test(cpython_test_tracemalloc_get_traced_memory),
        cmocka_unit_test(cpython_test_tracemalloc_reset_peak),
        cmocka_unit_test(cpython_test_tracemalloc_clear_traces),
        cmocka_unit_test(cpython_test_tracemalloc_is_tracing),
        cmocka_unit_test(cpython_test_tracemalloc_fork),
        cmocka_unit_test(cpython_test_tracemalloc_track),
        cmocka_unit_test(cpython_test_tracemalloc_track_already_tracked),
        cmocka_unit_test(cpython_test_tracemalloc_untrack),
        cmocka_unit_test(cpython_test_tracemalloc_stop_track),
        cmocka_unit_test(cpython_test_tracemalloc_stop_untrack),
        cmocka_unit_test(cpython_test_tracemalloc_track_race),
        cmocka_unit_test(cpython_test_tracemalloc_snapshot),
        cmocka_unit_test(cpython_test_tracemalloc_create_snapshot_when_off),
        cmocka_unit_test(cpython_test_tracemalloc_snapshot_group_by_line),
        cmocka_unit_test(cpython_test_tracemalloc_snapshot_group_by_traceback),
        cmocka_unit_test(cpython_test_tracemalloc_snapshot_group_by_cumulative),
        cmocka_unit_test(cpython_test_tracemalloc_group_by_type_and_domain),
        cmocka_unit_test(cpython_test_tracemalloc_compare_to),
        cmocka_unit_test(cpython_test_tracemalloc_filter_traces),
        cmocka_unit_test(cpython_test_tracemalloc_filter_traces_domain),
        cmocka_unit_test(cpython_test_tracemalloc_filter_traces_domain_filter),
        cmocka_unit_test(cpython_test_tracemalloc_filter_match_filename),
        cmocka_unit_test(cpython_test_tracemalloc_filter_match_filename_joker),
        cmocka_unit_test(cpython_test_tracemalloc_filter_match_trace),
        cmocka_unit_test(cpython_test_tracemalloc_statistic_format),
        cmocka_unit_test(cpython_test_tracemalloc_statistic_diff_format),
        cmocka_unit_test(cpython_test_tracemalloc_format_traceback),
    };
    return UNIT_RUN(tests);
}
