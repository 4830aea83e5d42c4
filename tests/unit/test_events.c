/* The listener: each callback fires, with figures that agree with the results and the statistics. */
#include "unit.h"

struct heard {
    struct unit *u;
    size_t stops, stop_ends, collects, collect_ends, compacts, compact_ends, committed, returned, refused, leaks;
    uint64_t stop_micros;
    size_t committed_bytes, returned_bytes, refused_bytes;
    mid_status refused_why;
    mid_collect_result collected;
    mid_compact_result compacted;
    mid_leak leak[8];
    char leak_name[8][64];
    int call_back;  /* call into the heap from every callback */
    size_t answers; /* ... how often it was told MID_EBUSY */
    size_t wrong_answers;
    size_t stats_wrong;
};

static void answer(struct heard *h, mid_status status)
{
    if (status == MID_EBUSY)
        h->answers++;
    else
        h->wrong_answers++;
}

static void call_back(struct heard *h)
{
    if (!h->call_back)
        return;
    struct unit *u = h->u;
    mid_stats stats;
    mid_class_stats class_stats;
    mid_handle out = 0;
    mid_listener none = {.struct_size = sizeof none};
    mid_type type;
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "late", .size = 8};
    h->stats_wrong += mid_stats_get(u->heap, &stats, sizeof stats) != sizeof stats;
    h->stats_wrong += mid_stats_class(u->heap, 0, &class_stats) != MID_OK;
    h->stats_wrong += strcmp(mid_type_name(u->heap, u->node), "node") != 0;
    answer(h, mid_new_array(u->thread, u->bytes, 10, &out));
    answer(h, mid_collect(u->thread, NULL));
    answer(h, mid_compact(u->thread, MID_COMPACT_PLAIN, 0, NULL));
    answer(h, mid_trim(u->thread, 0, NULL));
    answer(h, mid_safepoint_slow_(u->thread));
    answer(h, mid_blocked_enter(u->thread));
    answer(h, mid_thread_detach(u->thread));
    answer(h, mid_heap_close(u->heap));
    answer(h, mid_heap_destroy(u->heap));
    answer(h, mid_listener_add(u->heap, &none));
    answer(h, mid_type_register(u->heap, &desc, &type));
}

static void stop_begin(void *c) { struct heard *h = c; h->stops++; call_back(h); }
static void stop_end(void *c, uint64_t micros) { struct heard *h = c; h->stop_ends++; h->stop_micros += micros; call_back(h); }
static void collect_begin(void *c) { struct heard *h = c; h->collects++; call_back(h); }
static void collect_end(void *c, const mid_collect_result *r) { struct heard *h = c; h->collect_ends++; h->collected = *r; call_back(h); }
static void compact_begin(void *c) { struct heard *h = c; h->compacts++; call_back(h); }
static void compact_end(void *c, const mid_compact_result *r) { struct heard *h = c; h->compact_ends++; h->compacted = *r; call_back(h); }
static void pool_committed(void *c, size_t bytes) { struct heard *h = c; h->committed++; h->committed_bytes += bytes; call_back(h); }
static void pool_returned(void *c, size_t bytes) { struct heard *h = c; h->returned++; h->returned_bytes += bytes; call_back(h); }

static void refused(void *c, mid_status why, size_t bytes)
{
    struct heard *h = c;
    h->refused++;
    h->refused_why = why;
    h->refused_bytes = bytes;
    call_back(h);
}

static void leak(void *c, const mid_leak *l)
{
    struct heard *h = c;
    if (h->leaks < 8) {
        h->leak[h->leaks] = *l;
        strncpy(h->leak_name[h->leaks], l->type, 63);
    }
    h->leaks++;
    call_back(h);
}

static mid_listener listener(struct heard *h)
{
    return (mid_listener){.struct_size = sizeof(mid_listener), .context = h, .stop_begin = stop_begin, .stop_end = stop_end,
                          .collect_begin = collect_begin, .collect_end = collect_end, .compact_begin = compact_begin,
                          .compact_end = compact_end, .pool_committed = pool_committed, .pool_returned = pool_returned,
                          .refused = refused, .leak = leak};
}

static void open_heard(struct unit *u, struct heard *h, const char *options)
{
    memset(h, 0, sizeof *h);
    unit_open(u, options);
    h->u = u;
    mid_listener l = listener(h);
    ok(mid_listener_add(u->heap, &l));
}

/* Fill, thin, collect, compact, trim, fail to allocate. */
static void exercise(struct unit *u, mid_collect_result *collected, mid_compact_result *compacted)
{
    enum { COUNT = 40000 };
    static mid_handle objects[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        objects[i] = unit_array(u, u->bytes, 50);
    for (size_t i = 0; i < COUNT; i++)
        if (i % 8 != 0)
            mid_release(u->thread, objects[i]);
    mid_release(u->thread, unit_ring(u, u->node, 9));
    ok(mid_collect(u->thread, collected));
    ok(mid_compact(u->thread, MID_COMPACT_PLAIN, 0, compacted));
    unit_compacted(u, 0);
    mid_handle none;
    expect(MID_ELIMIT, mid_new_array(u->thread, u->bytes, 100u << 20, &none));
    for (size_t i = 0; i < COUNT; i += 8)
        mid_release(u->thread, objects[i]);
    ok(mid_trim(u->thread, 0, NULL));
}

TEST(each_callback_fires_with_the_right_figures)
{
    struct unit u;
    struct heard h;
    mid_collect_result collected;
    mid_compact_result compacted;
    open_heard(&u, &h, "reserve=0,heap-limit=64M");
    exercise(&u, &collected, &compacted);
    assert_int_equal(h.collects, 1);
    assert_int_equal(h.collect_ends, 1);
    assert_int_equal(h.compacts, 1);
    assert_int_equal(h.compact_ends, 1);
    assert_memory_equal(&h.collected, &collected, sizeof collected);
    assert_int_equal(h.compacted.moved_objects, compacted.moved_objects);
    assert_int_equal(h.compacted.pools_after, compacted.pools_after);
    assert_int_equal(h.collected.freed, 9);
    assert_true(h.stops >= 1);
    assert_int_equal(h.stops, h.stop_ends);
    assert_int_equal(h.refused, 1);
    assert_int_equal(h.refused_why, MID_ELIMIT);
    assert_true(h.refused_bytes >= 100u << 20);
    assert_true(h.committed > 0 && h.committed_bytes >= 40000u * 66u);
    assert_true(h.returned > 0 && h.returned_bytes > 0);
    mid_stats stats = unit_stats(&u);
    assert_int_equal(stats.returned_bytes, h.returned_bytes);
    assert_int_equal(stats.stops, h.stops);
    assert_int_equal(h.leaks, 0);
    ok(mid_listener_remove(u.heap, &h));
    unit_close(&u);
}

TEST(calling_back_is_refused_and_reading_is_not)
{
    struct unit u;
    struct heard h;
    open_heard(&u, &h, "reserve=0,heap-limit=64M");
    h.call_back = 1;
    exercise(&u, NULL, NULL);
    assert_true(h.collect_ends > 0 && h.compact_ends > 0 && h.refused > 0 && h.committed > 0 && h.returned > 0);
    assert_true(h.answers > 0);
    assert_int_equal(h.wrong_answers, 0);
    assert_int_equal(h.stats_wrong, 0);
    unit_check(&u);
    h.call_back = 0;
    unit_close(&u);
}

TEST(closing_reports_leaks_to_the_listener)
{
    struct unit u;
    struct heard h;
    open_heard(&u, &h, "");
    mid_type other = unit_plain_type(u.heap, "other", 100);
    for (int i = 0; i < 7; i++)
        unit_new(&u, u.node);
    for (int i = 0; i < 3; i++)
        unit_new(&u, other);
    expect(MID_EHELD, mid_heap_close(u.heap));
    assert_int_equal(h.leaks, 2);
    for (size_t i = 0; i < 2; i++) {
        int node = strcmp(h.leak_name[i], "node") == 0;
        assert_true(node || strcmp(h.leak_name[i], "other") == 0);
        assert_int_equal(h.leak[i].objects, node ? 7 : 3);
        assert_true(h.leak[i].bytes >= (node ? 7 * sizeof(struct node) : 300));
    }
    assert_string_not_equal(h.leak_name[0], h.leak_name[1]);
}

static int in_order[4], places;

static void remember(void *context)
{
    in_order[places++ % 4] = *(int *)context;
}

TEST(several_listeners_are_called_in_the_order_added)
{
    struct unit u;
    int context[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    unit_open(&u, "");
    for (int i = 0; i < 8; i++) {
        mid_listener l = {.struct_size = sizeof l, .context = &context[i], .collect_begin = i >= 5 ? remember : NULL};
        ok(mid_listener_add(u.heap, &l));
    }
    mid_listener ninth = {.struct_size = sizeof ninth, .context = &context[8]};
    expect(MID_ELIMIT, mid_listener_add(u.heap, &ninth));
    places = 0;
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(places, 3);
    assert_int_equal(in_order[0], 5);
    assert_int_equal(in_order[1], 6);
    assert_int_equal(in_order[2], 7);
    ok(mid_listener_remove(u.heap, &context[6]));
    expect(MID_EINVAL, mid_listener_remove(u.heap, &context[6]));
    expect(MID_EINVAL, mid_listener_remove(u.heap, &context[8]));
    places = 0;
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(places, 2);
    assert_int_equal(in_order[1], 7);
    ok(mid_listener_add(u.heap, &ninth));
    unit_close(&u);
}

TEST(bad_listeners_are_refused)
{
    struct unit u;
    unit_open(&u, "");
    mid_listener l = {.struct_size = sizeof l};
    expect(MID_ENULL, mid_listener_add(NULL, &l));
    expect(MID_ENULL, mid_listener_add(u.heap, NULL));
    expect(MID_ENULL, mid_listener_remove(NULL, &l));
    l.struct_size = 0;
    expect(MID_EINVAL, mid_listener_add(u.heap, &l));
    l.struct_size = 5;
    expect(MID_EINVAL, mid_listener_add(u.heap, &l));
    unit_close(&u);
}

/* --- callbacks of types: payload and trace functions may not call the heap either ---------------------------- */

static struct unit *inside;
static size_t inside_calls, inside_wrong;

static void payload_calls(void *payload, void *context)
{
    (void)payload;
    (void)context;
    mid_handle out;
    inside_calls++;
    inside_wrong += mid_new_array(inside->thread, inside->bytes, 10, &out) != MID_EBUSY;
    inside_wrong += mid_collect(inside->thread, NULL) != MID_EBUSY;
    inside_wrong += mid_heap_close(inside->heap) != MID_EBUSY;
}

static void trace_calls(const void *object, mid_visitor *visitor)
{
    mid_visit(visitor, object);
    payload_calls(NULL, NULL);
}

TEST(payload_and_trace_functions_are_refused)
{
    struct unit u;
    unit_open(&u, "");
    inside = &u;
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "calls", .size = 16, .trace = trace_calls,
                                                      .payload_free = payload_calls, .payload_offset = 8});
    inside_calls = inside_wrong = 0;
    mid_handle object = unit_new(&u, type);
    *(void **)((char *)mid_get(u.thread, object) + 8) = &u;
    mid_store(u.thread, object, 0, object);
    mid_release(u.thread, object);
    ok(mid_collect(u.thread, NULL));
    assert_true(inside_calls >= 2);
    assert_int_equal(inside_wrong, 0);
    unit_close_empty(&u);
}

/* Figures asked for in the middle of a drain may be late, and are never absurd. */
static struct {
    struct unit *u;
    size_t calls;
    uint64_t most_live, most_bytes, most_waiting;
} asked;

static void ask_figures(void *context, size_t bytes)
{
    (void)context;
    (void)bytes;
    mid_stats stats = unit_stats(asked.u);
    asked.calls++;
    asked.most_live = stats.live_objects > asked.most_live ? stats.live_objects : asked.most_live;
    asked.most_bytes = stats.live_slot_bytes > asked.most_bytes ? stats.live_slot_bytes : asked.most_bytes;
    asked.most_waiting = stats.waiting_objects > asked.most_waiting ? stats.waiting_objects : asked.most_waiting;
}

TEST(figures_in_the_middle_of_a_drain)
{
    struct unit u;
    enum { COUNT = 64 };
    mid_listener l = {.struct_size = sizeof l, .pool_returned = ask_figures};
    unit_open(&u, "reserve=0,spare=0");
    memset(&asked, 0, sizeof asked);
    asked.u = &u;
    ok(mid_listener_add(u.heap, &l));
    mid_type type = unit_plain_type(u.heap, "half a pool", 32768);
    mid_handle vec = unit_array(&u, u.vec, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        mid_give(u.thread, vec, ITEM(i), unit_new(&u, type));
    mid_stats full = unit_stats(&u);
    mid_release(u.thread, vec);
    assert_true(asked.calls > 0);
    assert_true(asked.most_live <= full.live_objects);
    assert_true(asked.most_bytes <= full.live_slot_bytes);
    assert_true(asked.most_waiting <= full.live_objects);
    unit_close_empty(&u);
}

/* Not asked for by events.h, and borne: a release in a callback waits until the heap is done with what it is at. */
static mid_handle to_release[64];
static size_t to_release_count;

static void release_one(void *context, size_t bytes)
{
    struct unit *u = context;
    (void)bytes;
    if (to_release_count != 0)
        mid_release(u->thread, to_release[--to_release_count]);
}

TEST(a_release_in_a_callback_waits)
{
    struct unit u;
    enum { COUNT = 30000 };
    static mid_handle objects[COUNT];
    unit_open(&u, "");
    mid_type type = unit_plain_type(u.heap, "atom", 24);
    for (to_release_count = 0; to_release_count < 64; to_release_count++)
        to_release[to_release_count] = unit_new(&u, type);
    mid_listener l = {.struct_size = sizeof l, .context = &u, .pool_committed = release_one};
    ok(mid_listener_add(u.heap, &l));
    for (int i = 0; i < COUNT; i++) {
        objects[i] = unit_new(&u, type);
        *(uint64_t *)mid_get(u.thread, objects[i]) = (uint64_t)i;
    }
    assert_true(to_release_count < 60);
    unit_check(&u);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), COUNT + to_release_count);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(*(uint64_t *)mid_get(u.thread, objects[i]), i); /* no two of them are one */
        mid_release(u.thread, objects[i]);
    }
    while (to_release_count != 0)
        mid_release(u.thread, to_release[--to_release_count]);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_callback_fires_with_the_right_figures),
        cmocka_unit_test(calling_back_is_refused_and_reading_is_not),
        cmocka_unit_test(closing_reports_leaks_to_the_listener),
        cmocka_unit_test(several_listeners_are_called_in_the_order_added),
        cmocka_unit_test(bad_listeners_are_refused),
        cmocka_unit_test(payload_and_trace_functions_are_refused),
        cmocka_unit_test(figures_in_the_middle_of_a_drain),
        cmocka_unit_test(a_release_in_a_callback_waits),
    };
    return UNIT_RUN(tests);
}
