/* The ends of a heap: close with its report, destroy without; several heaps; threads that come and go. */
#include "unit.h"

#include <pthread.h>

#include "fault_os.h"

static size_t freed;

static void count_free(void *payload, void *context)
{
    (void)context;
    ++*(size_t *)payload;
}

struct owner {
    struct node node;
    void *payload;
};

static mid_type owner_type(struct unit *u)
{
    freed = 0;
    return unit_node_type(u->heap, (mid_type_desc){.name = "owner", .size = sizeof(struct owner), .payload_free = count_free,
                                                   .payload_offset = offsetof(struct owner, payload)});
}

static mid_handle owner(struct unit *u, mid_type type)
{
    mid_handle object = unit_new(u, type);
    ((struct owner *)mid_get(u->thread, object))->payload = &freed;
    return object;
}

struct report {
    size_t calls;
    uint64_t objects, bytes;
    char last[64];
};

static void on_leak(void *context, const mid_leak *leak)
{
    struct report *report = context;
    report->calls++;
    report->objects += leak->objects;
    report->bytes += leak->bytes;
    strncpy(report->last, leak->type, 63);
}

static void listen(struct unit *u, struct report *report)
{
    memset(report, 0, sizeof *report);
    mid_listener listener = {.struct_size = sizeof listener, .context = report, .leak = on_leak};
    ok(mid_listener_add(u->heap, &listener));
}

TEST(a_clean_heap_reports_nothing)
{
    struct unit u;
    struct report report;
    unit_open(&u, "");
    listen(&u, &report);
    mid_release(u.thread, unit_ring(&u, u.node, 10)); /* garbage is no leak */
    mid_release(u.thread, unit_new(&u, u.node));
    ok(mid_heap_close(u.heap));
    assert_int_equal(report.calls, 0);
}

TEST(what_is_held_is_reported_by_type)
{
    struct unit u;
    struct report report;
    unit_open(&u, "");
    listen(&u, &report);
    mid_type type = owner_type(&u);
    mid_handle held = owner(&u, type); /* held from outside; the others hang off it */
    mid_give(u.thread, held, LEFT, owner(&u, type));
    mid_give(u.thread, held, RIGHT, unit_array(&u, u.vec, 100));
    expect(MID_EHELD, mid_heap_close(u.heap));
    assert_int_equal(freed, 2);
    assert_int_equal(report.calls, 2);
    assert_int_equal(report.objects, 3);
    assert_true(report.bytes >= 2 * sizeof(struct owner) + sizeof(struct vec) + 400);
}

TEST(closing_frees_payloads_once)
{
    struct unit u;
    struct report report;
    unit_open(&u, "");
    listen(&u, &report);
    mid_type type = owner_type(&u);
    for (int i = 0; i < 1000; i++)
        mid_release(u.thread, owner(&u, type));
    assert_int_equal(freed, 1000);
    mid_handle ring = owner(&u, type);
    mid_store(u.thread, ring, LEFT, ring);
    mid_release(u.thread, ring);
    for (int i = 0; i < 10; i++)
        owner(&u, type);
    expect(MID_EHELD, mid_heap_close(u.heap));
    assert_int_equal(freed, 1011);
    assert_int_equal(report.objects, 10);
    assert_string_equal(report.last, "owner");
}

TEST(destroy_frees_payloads_and_reports_nothing)
{
    struct unit u;
    struct report report;
    unit_open(&u, "free-batch=32");
    listen(&u, &report);
    mid_type type = owner_type(&u);
    mid_handle head = 0;
    for (int i = 0; i < 5000; i++) { /* dying, */
        mid_handle next = owner(&u, type);
        mid_give(u.thread, next, LEFT, head);
        head = next;
    }
    mid_release(u.thread, head);
    for (int i = 0; i < 500; i++) /* held, */
        owner(&u, type);
    mid_handle ring = owner(&u, type); /* and cyclic */
    mid_store(u.thread, ring, LEFT, ring);
    mid_release(u.thread, ring);
    ok(mid_heap_destroy(u.heap));
    assert_int_equal(freed, 5501);
    assert_int_equal(report.calls, 0);
}

TEST(everything_goes_back_to_the_system)
{
    for (int destroy = 0; destroy < 2; destroy++) {
        struct unit u;
        struct fault_os fault;
        fault_open(&u, &fault, "");
        static const size_t sizes[] = {10, 30000, 40000, 900000, 2000000};
        for (size_t i = 0; i < 50; i++)
            unit_array(&u, u.bytes, sizes[i % 5]);
        mid_handle pinned = unit_new(&u, u.node);
        mid_weak weak;
        ok(mid_weak_new(u.thread, pinned, &weak));
        ok(mid_pin(u.thread, pinned, NULL));
        mid_scope scope;
        ok(mid_scope_open(u.thread, &scope));
        mid_keep(u.thread, unit_new(&u, u.node));
        mid_scope_close(u.thread, &scope, 0);
        expect(destroy ? MID_OK : MID_EHELD, destroy ? mid_heap_destroy(u.heap) : mid_heap_close(u.heap));
        fault_os_done(&fault);
    }
}

TEST(closing_without_a_thread_attached)
{
    struct unit u;
    struct report report;
    unit_open(&u, "");
    listen(&u, &report);
    mid_release(u.thread, unit_ring(&u, u.node, 10));
    unit_new(&u, u.node);
    ok(mid_thread_detach(u.thread));
    expect(MID_EHELD, mid_heap_close(u.heap));
    assert_int_equal(report.objects, 1);
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

struct visitor {
    mid_heap *heap;
    mid_status attach, detach, close, destroy, check;
    mid_handle made;
    mid_type type;
};

static void *visit(void *argument)
{
    struct visitor *v = argument;
    mid_thread *thread;
    v->attach = mid_thread_attach(v->heap, &thread);
    v->close = v->destroy = MID_OK;
    if (v->attach != MID_OK) {
        v->close = mid_heap_close(v->heap);
        v->destroy = mid_heap_destroy(v->heap);
        return NULL;
    }
    (void)mid_new(thread, v->type, &v->made);
    v->check = mid_heap_check(v->heap);
    v->detach = mid_thread_detach(thread);
    return NULL;
}

static void visit_and_join(struct visitor *v)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, visit, v), 0);
    pthread_join(thread, NULL);
}

TEST(one_thread_at_a_time_where_that_was_asked_for)
{
    struct unit u;
    unit_open(&u, "shared=off");
    mid_thread *second = NULL;
    expect(MID_ETHREAD, mid_thread_attach(u.heap, &second));
    assert_null(second);
    expect(MID_ENULL, mid_thread_attach(NULL, &second));
    expect(MID_ENULL, mid_thread_attach(u.heap, NULL));
    expect(MID_ENULL, mid_thread_detach(NULL));
    struct visitor v = {.heap = u.heap, .type = u.node};
    visit_and_join(&v);
    expect(MID_ETHREAD, v.attach);
    expect(MID_ETHREAD, v.close);
    expect(MID_ETHREAD, v.destroy);
    unit_close(&u);
}

TEST(objects_outlive_the_thread_that_made_them)
{
    struct unit u;
    enum { THREADS = 20 };
    mid_handle made[THREADS];
    unit_open(&u, "");
    ok(mid_thread_detach(u.thread));
    for (int i = 0; i < THREADS; i++) {
        struct visitor v = {.heap = u.heap, .type = u.node};
        visit_and_join(&v);
        ok(v.attach);
        ok(v.check);
        ok(v.detach);
        made[i] = v.made;
    }
    ok(mid_thread_attach(u.heap, &u.thread));
    assert_int_equal(unit_live(&u), THREADS);
    for (int i = 0; i < THREADS; i++) {
        assert_true(mid_is_live(u.thread, made[i]));
        mid_release(u.thread, made[i]);
    }
    unit_close(&u);
}

TEST(many_heaps_share_nothing)
{
    enum { HEAPS = 12 };
    struct unit u[HEAPS];
    mid_handle object[HEAPS];
    for (int i = 0; i < HEAPS; i++) {
        unit_open(&u[i], "max-objects=100K");
        object[i] = unit_ring(&u[i], u[i].node, (size_t)i + 1);
    }
    for (int i = 0; i < HEAPS; i += 2) {
        mid_release(u[i].thread, object[i]);
        unit_close(&u[i]);
    }
    for (int i = 1; i < HEAPS; i += 2) {
        assert_int_equal(unit_live(&u[i]), i + 1);
        mid_release(u[i].thread, object[i]);
        unit_close(&u[i]);
    }
}

TEST(opening_and_closing_over_and_over)
{
    for (int i = 0; i < 300; i++) {
        struct unit u;
        unit_open(&u, "");
        mid_release(u.thread, unit_new(&u, u.node));
        ok(mid_heap_close(u.heap));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_heap_reports_nothing),
        cmocka_unit_test(what_is_held_is_reported_by_type),
        cmocka_unit_test(closing_frees_payloads_once),
        cmocka_unit_test(destroy_frees_payloads_and_reports_nothing),
        cmocka_unit_test(everything_goes_back_to_the_system),
        cmocka_unit_test(closing_without_a_thread_attached),
        cmocka_unit_test(one_thread_at_a_time_where_that_was_asked_for),
        cmocka_unit_test(objects_outlive_the_thread_that_made_them),
        cmocka_unit_test(many_heaps_share_nothing),
        cmocka_unit_test(opening_and_closing_over_and_over),
    };
    return UNIT_RUN(tests);
}
