/* test_trace_snapshot.c: groups, filters, differences and texts of what is traced. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "fault_os.h"
#include "unit.h"

#define SITE(name, type) \
    static __attribute__((noinline)) mid_handle name(struct unit *u) \
    { \
        mid_handle made = unit_new(u, u->type); \
        __asm__ volatile("" ::: "memory"); \
        return made; \
    }
SITE(first, node)
SITE(second, node)

static __attribute__((noinline)) mid_handle third(struct unit *u)
{
    mid_handle made = unit_array(u, u->bytes, 1000);
    __asm__ volatile("" ::: "memory");
    return made;
}

/* Called from itself: one caller among the frames several times. */
static __attribute__((noinline)) mid_handle nested(struct unit *u, int depth)
{
    mid_handle made = depth == 0 ? third(u) : nested(u, depth - 1);
    __asm__ volatile("" ::: "memory");
    return made;
}

enum { MADE = 100 };
struct scene {
    struct unit u;
    mid_handle made[MADE * 3 + 1];
    unsigned count;
    mid_trace_snapshot *s;
};

static mid_trace_snapshot *take(struct unit *u)
{
    mid_trace_snapshot *s = NULL;
    ok(mid_trace_take(u->heap, &s));
    assert_non_null(s);
    return s;
}

static void more(struct scene *c, mid_handle (*make)(struct unit *), unsigned n)
{
    while (n-- != 0)
        c->made[c->count++] = make(&c->u);
}

static void fill_scene(struct scene *c)
{
    static char block[10];
    ok(mid_trace_start(c->u.heap, NULL));
    more(c, first, MADE);
    more(c, second, MADE / 2);
    more(c, third, 3);
    ok(mid_trace_track(c->u.heap, MID_TRACE_RAW, block, 77));
    c->s = take(&c->u);
}

static void open_scene(struct scene *c)
{
    memset(c, 0, sizeof *c);
    unit_open(&c->u, "");
    fill_scene(c);
}

static void close_scene(struct scene *c)
{
    while (c->count != 0)
        mid_release(c->u.thread, c->made[--c->count]);
    unit_drain(&c->u);
    mid_trace_drop(c->s);
    unit_close(&c->u);
}

struct rows {
    mid_trace_row row[32];
    void *frame[32]; /* the innermost */
    unsigned count, stop_at;
};

static int note(void *context, const mid_trace_row *row)
{
    struct rows *r = context;
    if (r->count < 32) {
        r->row[r->count] = *row;
        r->frame[r->count] = row->depth != 0 ? row->frames[0] : NULL;
    }
    return ++r->count == r->stop_at;
}

static struct rows group(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by)
{
    struct rows r = {0};
    ok(mid_trace_group(now, before, by, note, &r));
    return r;
}

TEST(groups)
{
    struct scene c;
    open_scene(&c);
    const uint64_t third_bytes = 3 * (sizeof(struct bytes) + 1000);
    struct rows r = group(c.s, NULL, MID_TRACE_BY_TYPE);
    assert_int_equal(r.count, 3);
    assert_string_equal(r.row[1].type_name, "node");
    assert_int_equal(r.row[1].objects, MADE + MADE / 2);
    assert_int_equal(r.row[1].bytes, (MADE + MADE / 2) * sizeof(struct node));
    assert_string_equal(r.row[0].type_name, "bytes");
    assert_int_equal(r.row[0].bytes, third_bytes);
    assert_null(r.row[2].type_name);
    assert_int_equal(r.row[2].domain, MID_TRACE_RAW);
    assert_int_equal(r.row[2].bytes, 77);
    r = group(c.s, NULL, MID_TRACE_BY_DOMAIN);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.row[1].bytes, 77);
    r = group(c.s, NULL, MID_TRACE_BY_SITE);
    assert_true(r.count >= 2 && r.count <= 4); /* unit_new may be one place, or one for each */
    for (unsigned i = 1; i < r.count; i++)
        assert_true(r.row[i - 1].bytes >= r.row[i].bytes);
    r = group(c.s, NULL, MID_TRACE_BY_STACK);
    assert_int_equal(r.count, 4);
    assert_int_equal(r.row[0].objects, 3);
    assert_int_equal(r.row[1].objects, MADE);
    assert_int_equal(r.row[2].objects, MADE / 2);
    assert_true(r.row[1].depth > 3);
    r = group(c.s, NULL, MID_TRACE_BY_FRAME); /* main is in all of them */
    uint64_t all = third_bytes + (MADE + MADE / 2) * sizeof(struct node) + 77;
    assert_int_equal(r.row[0].bytes, all);
    r = (struct rows){.stop_at = 2};
    ok(mid_trace_group(c.s, NULL, MID_TRACE_BY_STACK, note, &r));
    assert_int_equal(r.count, 2);
    c.made[c.count++] = nested(&c.u, 10);
    mid_trace_snapshot *deeper = take(&c.u);
    r = group(deeper, NULL, MID_TRACE_BY_FRAME);
    for (unsigned i = 0; i < r.count && i < 32; i++)
        assert_true(r.row[i].bytes <= all + third_bytes / 3);
    mid_trace_drop(deeper);
    close_scene(&c);
}

TEST(differences)
{
    struct scene c;
    open_scene(&c);
    for (int i = 0; i < 40; i++)
        mid_release(c.u.thread, c.made[i]);
    memmove(c.made, c.made + 40, sizeof c.made - 40 * sizeof c.made[0]);
    c.count -= 40;
    unit_drain(&c.u);
    more(&c, third, 5);
    mid_trace_snapshot *now = take(&c.u);
    struct rows r = group(now, c.s, MID_TRACE_BY_TYPE);
    assert_int_equal(r.count, 2); /* what is as it was is no row */
    assert_string_equal(r.row[0].type_name, "bytes");
    assert_int_equal(r.row[0].objects - r.row[0].before_objects, 5);
    assert_string_equal(r.row[1].type_name, "node");
    assert_int_equal(r.row[1].before_objects - r.row[1].objects, 40);
    r = group(c.s, c.s, MID_TRACE_BY_STACK);
    assert_int_equal(r.count, 0);
    r = group(now, c.s, MID_TRACE_BY_STACK); /* third() is called from a loop here and there: one place */
    assert_int_equal(r.row[0].bytes - r.row[0].before_bytes, 5 * (sizeof(struct bytes) + 1000));
    ok(mid_trace_stop(c.u.heap));
    r = group(now, c.s, MID_TRACE_BY_TYPE); /* snapshots stay */
    assert_int_equal(r.count, 2);
    mid_trace_drop(now);
    close_scene(&c);
}

static uint64_t bytes_with(const mid_trace_snapshot *s, const mid_trace_filter *filters, size_t count)
{
    mid_trace_snapshot *out = NULL;
    mid_trace_figures f;
    uint64_t sum = 0;
    ok(mid_trace_select(s, filters, count, &out));
    ok(mid_trace_snapshot_figures(out, &f, sizeof f));
    struct rows r = group(out, NULL, MID_TRACE_BY_TYPE);
    for (unsigned i = 0; i < r.count; i++)
        sum += r.row[i].bytes;
    assert_int_equal(sum, f.bytes);
    mid_trace_drop(out);
    return sum;
}

#define FILTER(...) (mid_trace_filter){.struct_size = sizeof(mid_trace_filter), __VA_ARGS__}

TEST(filters)
{
    struct scene c;
    open_scene(&c);
    const uint64_t nodes = (MADE + MADE / 2) * sizeof(struct node), bytes = 3 * (sizeof(struct bytes) + 1000), all = nodes + bytes + 77;
    assert_int_equal(bytes_with(c.s, NULL, 0), all);
    assert_int_equal(bytes_with(c.s, &FILTER(.type = "node"), 1), nodes);
    assert_int_equal(bytes_with(c.s, &FILTER(.type = "n?*"), 1), nodes);
    assert_int_equal(bytes_with(c.s, &FILTER(.type = "node", .exclude = 1), 1), bytes + 77);
    assert_int_equal(bytes_with(c.s, &FILTER(.domains = 1 << MID_TRACE_RAW), 1), 77);
    assert_int_equal(bytes_with(c.s, &FILTER(.module = "test_trace_snap*"), 1), all);
    assert_int_equal(bytes_with(c.s, &FILTER(.module = "libc.*"), 1), 0);
    assert_int_equal(bytes_with(c.s, &FILTER(.module = "libc.*", .any_frame = 1), 1), all);
    mid_trace_filter both[] = {FILTER(.type = "node"), FILTER(.type = "bytes"), FILTER(.domains = 1 << MID_TRACE_OBJECT, .type = "b*", .exclude = 1)};
    assert_int_equal(bytes_with(c.s, both, 2), nodes + bytes);
    assert_int_equal(bytes_with(c.s, both, 3), nodes);
    struct rows r = group(c.s, NULL, MID_TRACE_BY_SITE);
    char *at = r.frame[0];
    assert_int_equal(bytes_with(c.s, &FILTER(.low = at - 1, .high = at), 1), r.row[0].bytes);
    assert_int_equal(bytes_with(c.s, &FILTER(.low = at, .high = at), 1), 0);
    mid_trace_snapshot *out;
    expect(MID_EINVAL, mid_trace_select(c.s, &FILTER(.low = at, .high = at - 1), 1, &out));
    expect(MID_EINVAL, mid_trace_select(c.s, &(mid_trace_filter){0}, 1, &out));
    expect(MID_ENULL, mid_trace_select(c.s, NULL, 1, &out));
    expect(MID_ENULL, mid_trace_select(NULL, NULL, 0, &out));
    expect(MID_ENULL, mid_trace_select(c.s, NULL, 0, NULL));
    close_scene(&c);
}

static char *text_of(int fd)
{
    static char text[65536];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    close(fd);
    return text;
}

TEST(texts)
{
    struct scene c;
    open_scene(&c);
    int fd = memfd_create("text", 0);
    ok(mid_trace_write_text(c.s, NULL, MID_TRACE_BY_STACK, 2, fd));
    char *text = text_of(fd), *at = text;
    assert_non_null(strstr(text, "test_trace_snapshot+0x"));
    assert_non_null(strstr(text, " 3  test"));
    fd = memfd_create("text", 0);
    ok(mid_trace_write_text(c.s, c.s, MID_TRACE_BY_TYPE, 0, fd));
    assert_non_null(strstr(text_of(fd), "more bytes"));
    fd = memfd_create("text", 0);
    ok(mid_trace_write_text(c.s, NULL, MID_TRACE_BY_TYPE, 0, fd));
    assert_non_null(strstr(text_of(fd), "object node\n"));
    fd = memfd_create("folded", 0);
    ok(mid_trace_write_folded(c.s, fd));
    text = text_of(fd);
    unsigned lines = 0;
    uint64_t sum = 0;
    for (at = text; *at != 0; at = strchr(at, '\n') + 1, lines++) {
        char *end = strchr(at, '\n'), *number = end;
        while (number[-1] != ' ')
            number--;
        sum += strtoull(number, NULL, 10);
        assert_true(memchr(at, ';', (size_t)(end - at)) != NULL);
    }
    mid_trace_figures f;
    ok(mid_trace_snapshot_figures(c.s, &f, sizeof f));
    assert_int_equal(sum, f.bytes);
    assert_int_equal(lines, 4);
    assert_non_null(strstr(text, ";node "));
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    expect(MID_ESYSTEM, mid_trace_write_folded(c.s, ends[1])); /* and no SIGPIPE */
    expect(MID_ESYSTEM, mid_trace_write_text(c.s, NULL, MID_TRACE_BY_STACK, 0, ends[1]));
    close(ends[1]);
    expect(MID_EINVAL, mid_trace_write_folded(c.s, -1));
    expect(MID_ENULL, mid_trace_write_folded(NULL, 1));
    expect(MID_EINVAL, mid_trace_write_text(c.s, NULL, MID_TRACE_BYS, 0, 1));
    expect(MID_ENULL, mid_trace_group(c.s, NULL, MID_TRACE_BY_TYPE, NULL, NULL));
    expect(MID_ENULL, mid_trace_snapshot_figures(NULL, &f, sizeof f));
    uint64_t offset;
    assert_null(mid_trace_module(c.s, (void *)8, &offset));
    assert_null(mid_trace_module(NULL, (void *)8, &offset));
    close_scene(&c);
}

TEST(off_and_from_callbacks)
{
    struct unit u;
    mid_trace_snapshot *s = (void *)1;
    unit_open(&u, "");
    expect(MID_EINVAL, mid_trace_take(u.heap, &s));
    assert_null(s);
    expect(MID_ENULL, mid_trace_take(NULL, &s));
    expect(MID_ENULL, mid_trace_take(u.heap, NULL));
    mid_trace_drop(NULL);
    ok(mid_trace_start(u.heap, NULL));
    take(&u); /* goes with the heap */
    take(&u);
    unit_close(&u);
}

TEST(without_memory)
{
    for (unsigned nth = 1; nth < 60; nth++) {
        struct fault_os fault;
        struct scene c = {0};
        fault_open(&c.u, &fault, "");
        fill_scene(&c);
        fault.fail_at = fault.calls + nth;
        mid_trace_snapshot *again = NULL, *out = NULL;
        mid_status status = mid_trace_take(c.u.heap, &again);
        assert_true(status == MID_OK || (status == MID_ENOMEM && again == NULL));
        status = mid_trace_select(c.s, NULL, 0, &out);
        assert_true(status == MID_OK || (status == MID_ENOMEM && out == NULL));
        for (unsigned by = 0; by < MID_TRACE_BYS; by++) {
            struct rows r = {0};
            status = mid_trace_group(c.s, again, by, note, &r);
            assert_true(status == MID_OK || (status == MID_ENOMEM && r.count == 0));
        }
        fault.fail_at = 0;
        mid_trace_drop(again);
        mid_trace_drop(out);
        close_scene(&c);
        fault_os_done(&fault);
    }
}

/* A heap that closes while it is traced says where what is left came from. */
TEST(leaks_have_a_traceback)
{
    struct unit u;
    unit_open(&u, "");
    ok(mid_trace_start(u.heap, NULL));
    first(&u);
    int fd = memfd_create("stderr", 0), before = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    mid_status status = mid_heap_close(u.heap);
    dup2(before, STDERR_FILENO);
    close(before);
    expect(MID_EHELD, status);
    const char *text = text_of(fd);
    assert_non_null(strstr(text, "still held at close: 1 node"));
    assert_non_null(strstr(text, "test_trace_snapshot+0x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups),  cmocka_unit_test(differences),           cmocka_unit_test(filters),
        cmocka_unit_test(texts),   cmocka_unit_test(off_and_from_callbacks), cmocka_unit_test(without_memory),
        cmocka_unit_test(leaks_have_a_traceback),
    };
    return UNIT_RUN(tests);
}
