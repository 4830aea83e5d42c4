/* What a debug heap tells: each misuse in a child process, whose report on stderr is read through a pipe; and what a report bears. */
#define MIDDEN_DEBUG
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

/* Behind the back of a sanitizer, which knows what is out of bounds. */
static __attribute__((noinline, no_sanitize("address"))) void poke(void *at, size_t count)
{
    for (volatile unsigned char *byte = at; count != 0; count--)
        *byte++ = 1;
}

static __attribute__((noinline, no_sanitize("address"))) uint64_t look_at(const volatile uint64_t *at)
{
    return *at;
}

struct maker {
    mid_slot a, b;
    uint32_t visits; /* how many of them the trace function visits */
    uint32_t extra;
};

static void trace(const void *object, mid_visitor *visitor)
{
    const struct maker *m = object;
    if (m->visits > 0)
        mid_visit(visitor, &m->a);
    if (m->visits > 1)
        mid_visit(visitor, &m->b);
    if (m->visits > 2)
        mid_visit(visitor, (const mid_slot *)&m->extra);
    if (m->visits > 3)
        mid_visit(visitor, &m->a);
}

static mid_type maker_type(struct unit *u)
{
    return unit_type(u->heap, (mid_type_desc){.name = "maker", .size = sizeof(struct maker), .trace = trace});
}

/* --- the misuses ------------------------------------------------------------------------------------------------------ */

static void overflow(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    poke((char *)mid_get(u->thread, node) + sizeof(struct node), 3);
    mid_safepoint(u->thread);
}

static void overflow_at_free(struct unit *u)
{
    mid_handle bytes = unit_array(u, u->bytes, 13);
    poke((char *)(mid_get)(u->thread, bytes) + sizeof(struct bytes) + 13, 1);
    mid_release(u->thread, bytes);
}

static void overflow_at_resize(struct unit *u)
{
    mid_handle bytes = unit_array(u, u->bytes, 100000);
    poke((char *)(mid_get)(u->thread, bytes) + sizeof(struct bytes) + 100000, 1);
    mid_resize(u->thread, bytes, 200000);
}

static void overflow_at_compaction(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    poke((char *)(mid_get)(u->thread, node) + sizeof(struct node), 1);
    mid_compact(u->thread, MID_COMPACT_PLAIN, 0, NULL);
}

static void underflow(struct unit *u)
{
    unit_new(u, u->node);
    mid_handle second = unit_new(u, u->node);
    poke((char *)(mid_get)(u->thread, second) - 1, 1);
    mid_heap_check(u->heap);
}

static void write_after_free(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    struct node *at = mid_get(u->thread, node);
    mid_release(u->thread, node);
    poke(&at->value, 1);
    mid_debug_check(u->heap);
}

static void write_after_free_reused(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    struct node *at = mid_get(u->thread, node);
    mid_release(u->thread, node);
    poke(&at->value, 1);
    for (int i = 0; i < 20000; i++) /* beyond the quarantine */
        mid_release(u->thread, unit_new(u, u->node));
}

static void double_release(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    mid_release(u->thread, node);
    mid_release(u->thread, node);
}

static void underflow_of_count(struct unit *u)
{
    mid_handle holder = unit_new(u, u->node);
    mid_give(u->thread, holder, LEFT, unit_new(u, u->node));
    mid_release(u->thread, mid_peek(u->thread, holder, LEFT));
}

static void borrow_outlives(struct unit *u)
{
    mid_handle holder = unit_new(u, u->node);
    mid_give(u->thread, holder, LEFT, unit_new(u, u->node));
    mid_handle borrowed = mid_peek(u->thread, holder, LEFT);
    mid_store(u->thread, holder, LEFT, 0);
    mid_get(u->thread, borrowed);
}

static void stale_init(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    mid_release(u->thread, node);
    mid_init(u->thread, node, LEFT, 0);
}

static void stale_swap_if(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    mid_release(u->thread, node);
    mid_swap_if(u->thread, node, LEFT, 0, mid_from_int(3));
}

static void foreign(struct unit *u)
{
    struct unit other;
    unit_open(&other, "");
    mid_get(u->thread, unit_new(&other, other.node));
}

static void slot_written(struct unit *u)
{
    mid_handle holder = unit_new(u, u->node), value = unit_new(u, u->node);
    unit_node(u, holder)->left.bits_ = value;
    mid_safepoint(u->thread);
}

static void slot_written_then_used(struct unit *u)
{
    mid_handle holder = unit_new(u, u->node), value = unit_new(u, u->node);
    mid_store(u->thread, holder, RIGHT, value);
    unit_node(u, holder)->right.bits_ = 0;
    mid_load(u->thread, holder, LEFT);
}

static mid_handle made(struct unit *u)
{
    mid_handle m = unit_new(u, maker_type(u));
    ((struct maker *)mid_get(u->thread, m))->visits = 2;
    mid_give(u->thread, m, 0, unit_new(u, u->node));
    mid_give(u->thread, m, 1, unit_new(u, u->node));
    return m;
}

static void edge_missing(struct unit *u)
{
    ((struct maker *)mid_get(u->thread, made(u)))->visits = 1;
    mid_safepoint(u->thread);
}

static void edge_extra(struct unit *u)
{
    struct maker *m = mid_get(u->thread, made(u));
    m->extra = 4242;
    m->visits = 3;
    mid_safepoint(u->thread);
}

static void edge_twice(struct unit *u)
{
    ((struct maker *)mid_get(u->thread, made(u)))->visits = 4;
    mid_safepoint(u->thread);
}

static void leak(struct unit *u)
{
    unit_new(u, u->node);
    mid_heap_close(u->heap);
}

static void leak_by_undeclared_word(struct unit *u)
{
    mid_handle holder = unit_new(u, u->node);
    unit_node(u, holder)->value = unit_new(u, u->node);
    mid_heap_close(u->heap);
}

static void *elsewhere(void *argument)
{
    struct unit *u = argument;
    mid_store(u->thread, 2, 0, 0);
    return NULL;
}

static void wrong_thread(struct unit *u)
{
    pthread_t thread;
    pthread_create(&thread, NULL, elsewhere, u);
    pthread_join(thread, NULL);
}

static void stale_address(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    struct node *at = mid_get(u->thread, node);
    mid_safepoint(u->thread);
    if (look_at(&at->value) != 0xDDDDDDDDDDDDDDDDu || unit_node(u, node)->value != 0)
        fprintf(stderr, "a stale read gives %llx\n", (unsigned long long)look_at(&at->value));
    poke(&at->value, 8);
    mid_debug_check(u->heap);
}

static void address_freed(struct unit *u)
{
    mid_handle node = unit_new(u, u->node);
    mid_debug_address(u->thread, (char *)mid_get(u->thread, node) + 8);
}

static void address_of_another(struct unit *u)
{
    void *block = calloc(1, 10);
    mid_debug_address(u->thread, block);
    free(block);
}

static const struct misuse {
    const char *name;
    void (*run)(struct unit *u);
    const char *says[4]; /* parts of the report */
    const char *options;
} misuses[] = {
    {"overflow", overflow, {"mid_safepoint", "bytes 16 to 18", "(overflow, MID_ECORRUPT)", "allocated by thread 1"}, ""},
    {"overflow, freed", overflow_at_free, {"a free", "byte", "(overflow", "allocated by thread 1"}, ""},
    {"overflow, resized", overflow_at_resize, {"mid_resize", "bytes 100016 to 100016", "(overflow", "type bytes"}, ""},
    {"overflow, compacted", overflow_at_compaction, {"a compaction", "beyond its end", "(overflow", "type node"}, ""},
    {"underflow", underflow, {"mid_heap_check", "before the beginning of handle", "(underflow", "other: handle"}, ""},
    {"write after free", write_after_free, {"mid_debug_check", "after it was freed", "(write after free", "freed by thread 1"}, ""},
    {"write after free, reused", write_after_free_reused, {"an allocation", "after it was freed", "(write after free", "freed by thread 1"}, ""},
    {"double release", double_release, {"mid_release", "was freed (type node)", "(stale handle, MID_EHANDLE)", "freed by thread 1"}, ""},
    {"count underflow", underflow_of_count, {"mid_release", "all of slots", "(not held", "other: handle"}, ""},
    {"borrow", borrow_outlives, {"mid_get", "was freed", "(stale handle", "last borrowed at"}, ""},
    {"stale mid_init", stale_init, {"mid_init", "was freed", "(stale handle", "freed by thread 1"}, ""},
    {"stale mid_swap_if", stale_swap_if, {"mid_swap_if", "was freed", "(stale handle", "freed by thread 1"}, ""},
    {"foreign", foreign, {"mid_get", "is not of this heap", "(foreign handle, MID_EHANDLE)", "told"}, ""},
    {"slot written", slot_written, {"mid_safepoint", "without mid_store: it held nothing, and handle", "(slot written", "other: handle"}, ""},
    {"slot written, used", slot_written_then_used, {"mid_load", "it held handle", "and nothing was found", "(slot written"}, ""},
    {"edge missing", edge_missing, {"mid_safepoint", "no longer visits slot 1", "(trace function", "other: handle"}, ""},
    {"edge extra", edge_extra, {"mid_safepoint", "holds 4242, which no call stored", "(trace function", "type maker"}, ""},
    {"edge twice", edge_twice, {"mid_safepoint", "visits slot 0 2 times", "(trace function", "type maker"}, ""},
    {"leak", leak, {"mid_heap_close", "is still held", "(leak, MID_EHELD)", "allocated by thread 1"}, ""},
    {"leak, undeclared", leak_by_undeclared_word, {"mid_heap_close", "only byte 8 of handle", "has no slot", "(leak"}, ""},
    {"wrong thread", wrong_thread, {"mid_store", "not attached", "(thread, MID_ETHREAD)", "told"}, ""},
    {"stale address", stale_address, {"mid_debug_check", "bytes 8 to 15 were written where", "(stale address", "type node"}, "debug-move=1"},
    {"address freed", address_freed, {"free", "is byte 8 of handle", "(wrong free", "allocated by thread 1"}, ""},
    {"address of malloc", address_of_another, {"free", "no memory of this heap", "(wrong free", "told"}, ""},
};

/* What a child that does it writes; its exit status. */
static int run_child(const struct misuse *m, int abort_after, char *into, size_t room)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct unit u;
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        mid_debug_reports(NULL, NULL, abort_after);
        unit_open(&u, m->options);
        m->run(&u);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t got; used < room - 1 && (got = read(ends[0], into + used, room - 1 - used)) > 0;)
        used += (size_t)got;
    into[used] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static unsigned reports_in(const char *text)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, "told")) != NULL; at++)
        count += at[4] == ':' || at[4] == ' ';
    return count;
}

TEST(each_misuse_is_told)
{
    static char text[65536];
    unsigned wrong = 0;
    for (size_t n = 0; n < sizeof misuses / sizeof *misuses; n++) {
        const struct misuse *m = &misuses[n];
        int status = run_child(m, 0, text, sizeof text);
        bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 && reports_in(text) >= 1;
        for (unsigned i = 0; i < 4; i++)
            good = good && strstr(text, m->says[i]) != NULL;
        if (!good)
            print_error("%s (status %d) says:\n%s\n", m->name, status, text);
        wrong += !good;
    }
    assert_int_equal(wrong, 0);
}

TEST(a_report_can_end_the_program)
{
    static char text[65536];
    int status = run_child(&misuses[0], 1, text, sizeof text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "bytes 16 to 18"));
}

/* --- what a report bears ------------------------------------------------------------------------------------------------ */

static struct {
    unsigned count;
    mid_misuse kind;
    mid_report_side object, other;
    mid_status nested;
} got;

static mid_heap *busy;

static void on_report(const mid_report *report, void *context)
{
    (void)context;
    got.count++;
    got.kind = report->kind;
    got.object = report->object;
    got.other = report->other;
    got.nested = mid_heap_check(busy);
}

TEST(a_report_has_both_sides)
{
    struct unit u;
    unit_open(&u, "debug-frames=4");
    busy = u.heap;
    mid_debug_reports(on_report, NULL, 0);
    memset(&got, 0, sizeof got);
    mid_handle holder = unit_new(&u, u.node), value = unit_new(&u, u.node);
    mid_give(u.thread, holder, LEFT, value);
    mid_release(u.thread, value);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.kind, MID_MISUSE_UNHELD);
    assert_int_equal(got.object.handle, value);
    assert_int_equal(got.other.handle, holder);
    assert_string_equal(got.object.type, "node");
    assert_int_equal(got.object.size, sizeof(struct node));
    assert_ptr_equal(got.object.address, mid_get(u.thread, value));
    assert_true(got.object.live && got.object.made_by == 1 && got.object.freed_count == 0);
    assert_true(got.object.made_count >= 1 && got.object.made_count <= 4);
    assert_int_equal(got.nested, MID_EBUSY);
    mid_release(u.thread, holder);
    mid_retain(u.thread, value);
    assert_int_equal(got.kind, MID_MISUSE_STALE);
    assert_true(!got.object.live && got.object.freed_by == 1 && got.object.freed_count >= 1);
    unit_close(&u);
    mid_debug_reports(NULL, NULL, 0);
}

/* A slot that was written by hand is put back: the heap stays whole, through compactions plain and deep. */
TEST(what_was_told_is_put_right)
{
    struct unit u;
    unit_open(&u, "");
    busy = u.heap;
    mid_debug_reports(on_report, NULL, 0);
    memset(&got, 0, sizeof got);
    mid_handle ring = unit_ring(&u, u.node, 500);
    mid_handle first = mid_peek(u.thread, ring, LEFT);
    unit_node(&u, ring)->left.bits_ = 0x7FFFFFF0;
    ok(mid_safepoint(u.thread));
    assert_int_equal(got.count, 1);
    assert_int_equal(mid_peek(u.thread, ring, LEFT), first);
    for (int i = 0; i < 3; i++) {
        ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
        ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
        unit_check(&u);
    }
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(got.count, 1);
    unit_close(&u);
    mid_debug_reports(NULL, NULL, 0);
}

/* Everything moves, but for what is pinned; nothing else changes, and nothing is told. */
TEST(moving_at_each_safepoint)
{
    struct unit u;
    unit_open(&u, "debug-move=1,debug-check=7");
    busy = u.heap;
    mid_debug_reports(on_report, NULL, 0);
    memset(&got, 0, sizeof got);
    mid_handle ring = unit_ring(&u, u.node, 200), pinned = unit_new(&u, u.node), large = unit_array(&u, u.vec, 30000);
    void *at, *was = mid_get(u.thread, ring);
    ok(mid_pin(u.thread, pinned, &at));
    mid_store(u.thread, large, ITEM(29999), ring);
    unsigned moved = 0;
    for (int i = 0; i < 50; i++) {
        ok(mid_safepoint(u.thread));
        moved += mid_get(u.thread, ring) != was;
        was = mid_get(u.thread, ring);
        assert_ptr_equal(mid_get(u.thread, pinned), at);
        assert_int_equal(mid_peek(u.thread, large, ITEM(29999)), ring);
        ok(mid_resize(u.thread, large, 30000 + (size_t)i % 2 * 300000));
        mid_store(u.thread, large, ITEM(29999), ring);
        if (i % 10 == 0)
            unit_check(&u);
    }
    assert_int_equal(moved, 50);
    ok(mid_unpin(u.thread, pinned));
    mid_release(u.thread, pinned);
    mid_release(u.thread, ring);
    mid_release(u.thread, large);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(got.count, 0);
    unit_close(&u);
    mid_debug_reports(NULL, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_misuse_is_told),       cmocka_unit_test(a_report_can_end_the_program),
        cmocka_unit_test(a_report_has_both_sides),   cmocka_unit_test(what_was_told_is_put_right),
        cmocka_unit_test(moving_at_each_safepoint),
    };
    return UNIT_RUN(tests);
}
