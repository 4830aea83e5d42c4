/* What is in a heap and who refers to whom: each call, what counts as held from outside, and what is refused. */
#include "unit.h"

#include <fcntl.h>

#include "cycles.h"
#include "fault_os.h"
#include "peer.h"

#define MOST 64

struct seen {
    struct unit *u;
    size_t count, stop_after;
    mid_inspected_object object[MOST];
    mid_reference reference[MOST];
    mid_inspected_type type[MOST];
    mid_retention retention[MOST];
    mid_status inside; /* of a call back into the heap */
};

#define NOTE(name, what, kind)                                                                                         \
    static int name(void *context, const kind *it)                                                                     \
    {                                                                                                                  \
        struct seen *seen = context;                                                                                   \
        if (seen->count < MOST)                                                                                        \
            seen->what[seen->count] = *it;                                                                             \
        return ++seen->count == seen->stop_after;                                                                      \
    }
NOTE(note_object, object, mid_inspected_object)
NOTE(note_reference, reference, mid_reference)
NOTE(note_type, type, mid_inspected_type)
NOTE(note_retention, retention, mid_retention)

static int refers(const struct seen *seen, size_t n, mid_handle holder, unsigned slot, mid_handle target)
{
    const mid_reference *r = &seen->reference[n];
    return r->holder == holder && r->slot == slot && r->target == target;
}

/* a (held) -> b -> array -> b, and an integer */
struct scene {
    struct unit u;
    mid_handle a, b, array;
};

static void scene_open(struct scene *s, const char *options)
{
    unit_open(&s->u, options);
    struct unit *u = &s->u;
    s->a = unit_new(u, u->node);
    s->b = unit_new(u, u->node);
    s->array = unit_array(u, u->vec, 3);
    mid_store(u->thread, s->array, ITEM(2), s->b);
    mid_store(u->thread, s->a, LEFT, mid_from_int(7));
    mid_give(u->thread, s->b, LEFT, s->array);
    mid_give(u->thread, s->a, RIGHT, s->b);
}

static void scene_close(struct scene *s)
{
    mid_release(s->u.thread, s->a);
    ok(mid_collect(s->u.thread, NULL));
    unit_close_empty(&s->u);
}

TEST(every_object_is_seen_with_its_figures)
{
    struct scene s;
    struct seen seen = {0};
    scene_open(&s, "");
    unit_node(&s.u, s.b)->value = 77;
    ok(mid_inspect_objects(s.u.thread, note_object, &seen));
    assert_int_equal(seen.count, 3);
    mid_handle before = 0;
    for (size_t i = 0; i < 3; i++) {
        const mid_inspected_object *o = &seen.object[i];
        size_t bytes, items;
        mid_type type;
        assert_true(o->object > before);
        before = o->object;
        ok(mid_size_of(s.u.thread, o->object, &bytes));
        ok(mid_items_of(s.u.thread, o->object, &items));
        ok(mid_type_of(s.u.thread, o->object, &type));
        assert_true(o->bytes == bytes && o->items == items && o->type == type);
        assert_int_equal(o->count, unit_count(&s.u, o->object));
        assert_ptr_equal(o->at, mid_get(s.u.thread, o->object));
        if (o->object == s.b)
            assert_int_equal(((const struct node *)o->at)->value, 77);
    }
    seen = (struct seen){.stop_after = 2};
    ok(mid_inspect_objects(s.u.thread, note_object, &seen));
    assert_int_equal(seen.count, 2);
    ok(mid_immortalize(s.u.thread, s.b));
    seen = (struct seen){0};
    ok(mid_inspect_objects(s.u.thread, note_object, &seen));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(seen.object[i].count == UINT32_MAX, seen.object[i].object == s.b);
    unit_destroy(&s.u);
}

TEST(referents_and_referrers_name_slots)
{
    struct scene s;
    struct seen seen = {0};
    scene_open(&s, "");
    ok(mid_inspect_referents(s.u.thread, s.a, note_reference, &seen));
    assert_int_equal(seen.count, 1); /* an integer is no object */
    assert_true(refers(&seen, 0, s.a, RIGHT, s.b));
    mid_store(s.u.thread, s.array, ITEM(0), s.b);
    seen = (struct seen){0};
    ok(mid_inspect_referents(s.u.thread, s.array, note_reference, &seen));
    assert_int_equal(seen.count, 2);
    assert_true(refers(&seen, 0, s.array, ITEM(0), s.b) && refers(&seen, 1, s.array, ITEM(2), s.b));
    seen = (struct seen){0};
    ok(mid_inspect_referrers(s.u.thread, s.b, note_reference, &seen));
    assert_int_equal(seen.count, 3);
    size_t from_a = 0;
    for (size_t i = 0; i < 3; i++)
        from_a += (size_t)refers(&seen, i, s.a, RIGHT, s.b);
    assert_int_equal(from_a, 1);
    seen = (struct seen){.stop_after = 2};
    ok(mid_inspect_referrers(s.u.thread, s.b, note_reference, &seen));
    assert_int_equal(seen.count, 2);
    seen = (struct seen){0};
    ok(mid_inspect_referrers(s.u.thread, s.a, note_reference, &seen));
    assert_int_equal(seen.count, 0);
    scene_close(&s);
}

TEST(types_have_their_objects_and_bytes)
{
    struct scene s;
    struct seen seen = {0};
    scene_open(&s, "");
    unit_plain_type(s.u.heap, "never made", 40);
    ok(mid_inspect_types(s.u.thread, note_type, &seen));
    assert_int_equal(seen.count, 2);
    for (size_t i = 0; i < 2; i++) {
        uint64_t objects, bytes;
        ok(mid_stats_type(s.u.heap, seen.type[i].type, &objects, &bytes));
        assert_true(objects == seen.type[i].objects && bytes == seen.type[i].bytes);
        assert_string_equal(seen.type[i].name, mid_type_name(s.u.heap, seen.type[i].type));
    }
    assert_int_equal(seen.type[0].objects, 2);
    assert_int_equal(seen.type[1].bytes, sizeof(struct vec) + 3 * 4);
    seen = (struct seen){.stop_after = 1};
    ok(mid_inspect_types(s.u.thread, note_type, &seen));
    assert_int_equal(seen.count, 1);
    scene_close(&s);
}

TEST(why_is_the_shortest_way_from_outside)
{
    struct scene s;
    mid_reference path[4] = {{0}};
    size_t length = 99;
    scene_open(&s, "");
    ok(mid_inspect_why(s.u.thread, s.a, NULL, 0, &length));
    assert_int_equal(length, 0);
    ok(mid_inspect_why(s.u.thread, s.array, path, 4, &length));
    assert_int_equal(length, 2);
    assert_true(path[0].holder == s.a && path[0].slot == RIGHT && path[0].target == s.b);
    assert_true(path[1].holder == s.b && path[1].slot == LEFT && path[1].target == s.array);
    memset(path, 0, sizeof path);
    ok(mid_inspect_why(s.u.thread, s.array, path, 1, &length));
    assert_int_equal(length, 2);
    assert_true(path[0].holder == s.a && path[1].holder == 0);
    mid_retain(s.u.thread, s.b); /* whoever asks holds it */
    ok(mid_inspect_why(s.u.thread, s.array, path, 4, &length));
    assert_int_equal(length, 1);
    mid_release(s.u.thread, s.b);
    mid_scope scope;
    ok(mid_scope_open(s.u.thread, &scope));
    mid_keep(s.u.thread, mid_retain(s.u.thread, s.array));
    ok(mid_inspect_why(s.u.thread, s.array, path, 4, &length));
    assert_int_equal(length, 0);
    mid_scope_close(s.u.thread, &scope, 0);
    scene_close(&s);
}

/* a kept by nobody: b and the array are a garbage cycle. */
TEST(garbage_is_held_by_nothing)
{
    struct scene s;
    struct seen seen = {0};
    size_t length = 99;
    mid_weak weak;
    scene_open(&s, "");
    ok(mid_weak_new(s.u.thread, s.b, &weak)); /* a weak handle holds nothing, */
    mid_release(s.u.thread, s.a);
    unit_drain(&s.u);
    expect(MID_EUNHELD, mid_inspect_why(s.u.thread, s.b, NULL, 0, &length));
    expect(MID_EUNHELD, mid_inspect_why(s.u.thread, s.array, NULL, 0, &length));
    assert_int_equal(length, 99);
    ok(mid_inspect_retained(s.u.thread, note_retention, &seen));
    assert_int_equal(seen.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(seen.retention[i].retained == 0 && seen.retention[i].dominator == 0 && !seen.retention[i].held && seen.retention[i].bytes != 0);
    mid_handle strong = mid_weak_get(s.u.thread, weak); /* but can be made to */
    ok(mid_inspect_why(s.u.thread, s.array, NULL, 0, &length));
    assert_int_equal(length, 1);
    mid_release(s.u.thread, strong);
    ok(mid_immortalize(s.u.thread, s.array));
    ok(mid_inspect_why(s.u.thread, s.b, NULL, 0, &length));
    assert_int_equal(length, 1);
    ok(mid_weak_drop(s.u.thread, weak));
    unit_destroy(&s.u);
}

/* A large array is let go; what of its items waits on the work list keeps nothing. */
TEST(the_dead_that_wait_hold_nothing)
{
    struct unit u;
    enum { ITEMS = 100000 };
    size_t length;
    unit_open(&u, "");
    mid_handle array = unit_array(&u, u.vec, ITEMS), last = unit_ring(&u, u.node, 2);
    for (unsigned i = 0; i < ITEMS - 1; i++)
        mid_give(u.thread, array, ITEM(i), unit_new(&u, u.node));
    mid_give(u.thread, array, ITEM(ITEMS - 1), last);
    ok(mid_inspect_why(u.thread, last, NULL, 0, &length));
    assert_int_equal(length, 1);
    mid_release(u.thread, array);
    assert_true(unit_stats(&u).waiting_objects != 0);
    assert_int_equal(unit_count(&u, last), 2); /* the array's reference is counted still */
    expect(MID_EUNHELD, mid_inspect_why(u.thread, last, NULL, 0, &length));
    unit_drain(&u);
    expect(MID_EUNHELD, mid_inspect_why(u.thread, last, NULL, 0, &length));
    ok(mid_collect(u.thread, NULL));
    unit_close(&u);
}

static struct finalized {
    mid_handle other, behind;
    mid_status why_self, why_behind;
    size_t calls, retained;
} finalized;

static void look_around(mid_thread *thread, mid_handle object)
{
    struct seen seen = {0};
    size_t length;
    finalized.calls++;
    finalized.why_self = mid_inspect_why(thread, object, NULL, 0, &length);
    finalized.why_behind = mid_inspect_why(thread, finalized.behind, NULL, 0, &length);
    if (mid_inspect_retained(thread, note_retention, &seen) == MID_OK)
        for (size_t i = 0; i < seen.count; i++)
            finalized.retained += seen.retention[i].retained;
}

/* Garbage that is kept until its finalizers have run is kept by the heap, not from outside; and a finalizer may ask. */
TEST(what_waits_for_its_finalizer_is_garbage)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = look_around});
    finalized = (struct finalized){0};
    mid_handle ring = unit_ring(&u, type, 2);
    finalized.behind = unit_new(&u, u.node);
    mid_give(u.thread, ring, RIGHT, finalized.behind);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(finalized.calls, 2);
    assert_int_equal(finalized.why_self, MID_EUNHELD);
    assert_int_equal(finalized.why_behind, MID_EUNHELD);
    assert_int_equal(finalized.retained, 0);
    unit_close(&u);
}

/* The dead whose finalizers are queued, because who freed them runs none: their references hold nothing. */
TEST(the_queue_of_finalizers_holds_nothing)
{
    struct unit u;
    enum { ITEMS = 3000 };
    uint64_t freed;
    size_t length;
    cycles_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = look_around});
    finalized = (struct finalized){0};
    mid_handle array = unit_array(&u, u.vec, ITEMS), ring = unit_ring(&u, u.node, 2);
    finalized.behind = ring;
    for (unsigned i = 0; i < ITEMS; i++) {
        mid_handle made = unit_new(&u, type);
        mid_store(u.thread, made, RIGHT, ring);
        mid_give(u.thread, array, ITEM(i), made);
    }
    mid_release(u.thread, ring);
    mid_release(u.thread, array);
    ok(mid_service_stop(u.heap, u.thread, AMPLE, NULL));
    ok(mid_service_drain(u.heap, 0, &freed));
    mid_service_resume(u.heap);
    assert_true(unit_stats(&u).finalizers_waiting > 1000);
    assert_true(unit_count(&u, ring) > 1000);
    expect(MID_EUNHELD, mid_inspect_why(u.thread, ring, NULL, 0, &length));
    for (int i = 0; unit_stats(&u).finalizers_waiting != 0; i++) {
        assert_true(i < ITEMS);
        ok(mid_safepoint(u.thread));
    }
    unit_drain(&u);
    assert_int_equal(finalized.calls, ITEMS);
    ok(mid_collect(u.thread, NULL));
    cycles_close(&u);
}

static int name_is_good(void *context, const mid_inspected_object *object)
{
    struct seen *seen = context;
    seen->count++;
    return object->type != seen->u->node; /* nothing else is there */
}

/* A large set of garbage is watched, tried, committed and freed: at each piece the calls say what can be said, and change nothing. */
TEST(at_each_step_of_a_sweep)
{
    struct unit u;
    enum { SETS = 1000 };
    size_t length, passed_over = 0, garbage = 0;
    cycles_open(&u, "");
    mid_handle kept = unit_ring(&u, u.node, 3), behind = mid_peek(u.thread, kept, LEFT);
    for (int i = 0; i < SETS; i++) {
        mid_handle ring = unit_ring(&u, u.node, 5);
        mid_store(u.thread, ring, RIGHT, kept);
        mid_release(u.thread, ring);
    }
    cycles_begin(&u);
    for (size_t i = 0; cycles_step(&u) != MID_SWEEP_NONE; i++) {
        assert_true(i < 1000000);
        cycles_piece(&u);
        if (i % 16 != 0 && !u.heap->committed)
            continue;
        struct seen seen = {.u = &u}, kinds = {.u = &u};
        ok(mid_inspect_objects(u.thread, name_is_good, &seen));
        ok(mid_inspect_retained(u.thread, note_retention, &kinds));
        assert_int_equal(seen.count, kinds.count);
        ok(mid_inspect_why(u.thread, behind, NULL, 0, &length));
        assert_int_equal(length, 1);
        garbage += seen.count == 3 + 5 * SETS;
        passed_over += seen.count < unit_live(&u);
    }
    assert_true(garbage > 0 && passed_over > 0);
    assert_int_equal(unit_live(&u), 3);
    mid_release(u.thread, kept);
    ok(mid_collect(u.thread, NULL));
    cycles_close(&u);
}

struct traced {
    uint32_t used, spare;
    mid_slot slots[10];
};

static void trace(const void *object, mid_visitor *visitor)
{
    const struct traced *t = object;
    for (uint32_t i = 0; i < t->used && i < 10; i++)
        mid_visit(visitor, &t->slots[i]);
}

TEST(traced_objects_and_large_arrays)
{
    struct unit u;
    struct seen seen = {0};
    mid_reference path[2];
    size_t length;
    unit_open(&u, "");
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct traced), .trace = trace});
    mid_handle holder = unit_new(&u, type), leaf = unit_new(&u, u.node), array = unit_array(&u, u.vec, 1000000);
    ((struct traced *)mid_get(u.thread, holder))->used = 4;
    const unsigned third = MID_SLOT(struct traced, slots) + 3;
    mid_give(u.thread, holder, third, array);
    mid_give(u.thread, array, ITEM(999999), leaf);
    ok(mid_inspect_why(u.thread, leaf, path, 2, &length));
    assert_int_equal(length, 2);
    assert_true(path[0].holder == holder && path[0].slot == third && path[0].target == array);
    assert_true(path[1].holder == array && path[1].slot == ITEM(999999) && path[1].target == leaf);
    for (unsigned i = 0; i < 999999; i++)
        mid_store(u.thread, array, ITEM(i), leaf);
    ok(mid_inspect_referrers(u.thread, leaf, note_reference, &seen));
    assert_int_equal(seen.count, 1000000);
    seen = (struct seen){.stop_after = 10};
    ok(mid_inspect_referents(u.thread, array, note_reference, &seen));
    assert_int_equal(seen.count, 10);
    seen = (struct seen){0};
    ok(mid_inspect_retained(u.thread, note_retention, &seen));
    assert_int_equal(seen.count, 3);
    for (size_t i = 0; i < 3; i++)
        if (seen.retention[i].object == holder)
            assert_int_equal(seen.retention[i].retained, sizeof(struct traced) + sizeof(struct vec) + 4000000 + sizeof(struct node));
    mid_release(u.thread, holder);
    unit_drain(&u);
    unit_close(&u);
}

static int call_back(void *context, const mid_inspected_object *object)
{
    struct seen *seen = context;
    size_t length;
    seen->count++;
    assert_int_equal(mid_inspect_types(seen->u->thread, note_type, seen), MID_EBUSY);
    assert_int_equal(mid_inspect_why(seen->u->thread, object->object, NULL, 0, &length), MID_EBUSY);
    assert_int_equal(mid_inspect_snapshot_fd(seen->u->thread, 1), MID_EBUSY);
    assert_string_equal(mid_type_name(seen->u->heap, object->type), object->type == seen->u->node ? "node" : "vec");
    return 0;
}

static int ends_one(void *context, const mid_retention *retention)
{
    struct seen *seen = context; /* the world runs: the heap may be used */
    mid_handle made = unit_new(seen->u, seen->u->node);
    mid_release(seen->u->thread, made);
    ok(mid_collect(seen->u->thread, NULL));
    seen->count += retention->bytes != 0;
    return 0;
}

TEST(from_callbacks)
{
    struct scene s;
    scene_open(&s, "");
    struct seen seen = {.u = &s.u};
    ok(mid_inspect_objects(s.u.thread, call_back, &seen));
    assert_int_equal(seen.count, 3);
    seen = (struct seen){.u = &s.u};
    ok(mid_inspect_retained(s.u.thread, ends_one, &seen));
    assert_int_equal(seen.count, 3);
    scene_close(&s);
}

/* Every call, with one thread and one object; the same status from all that take it. */
static void all_say(mid_status want, mid_status without_object, mid_thread *thread, mid_handle object)
{
    struct seen seen = {0};
    size_t length = 0;
    expect(want, mid_inspect_referents(thread, object, note_reference, &seen));
    expect(want, mid_inspect_referrers(thread, object, note_reference, &seen));
    expect(want, mid_inspect_why(thread, object, NULL, 0, &length));
    expect(without_object, mid_inspect_objects(thread, note_object, &seen));
    expect(without_object, mid_inspect_types(thread, note_type, &seen));
    expect(without_object, mid_inspect_retained(thread, note_retention, &seen));
    int fd = open("/dev/null", O_WRONLY);
    assert_true(fd >= 0);
    expect(without_object, mid_inspect_snapshot_fd(thread, fd));
    close(fd);
    if (without_object != MID_OK)
        assert_int_equal(seen.count, 0);
}

TEST(what_is_refused)
{
    struct scene s;
    size_t length;
    scene_open(&s, "");
    mid_thread *thread = s.u.thread;
    mid_handle gone = unit_new(&s.u, s.u.node);
    mid_release(thread, gone);
    all_say(MID_OK, MID_OK, thread, s.b);
    all_say(MID_EHANDLE, MID_OK, thread, 0);
    all_say(MID_EHANDLE, MID_OK, thread, gone);
    all_say(MID_EHANDLE, MID_OK, thread, mid_from_int(5));
    all_say(MID_EHANDLE, MID_OK, thread, 0xFFFFFFF0u);
    all_say(MID_ENULL, MID_ENULL, NULL, s.b);
    expect(MID_ENULL, mid_inspect_objects(thread, NULL, NULL));
    expect(MID_ENULL, mid_inspect_referents(thread, s.b, NULL, NULL));
    expect(MID_ENULL, mid_inspect_referrers(thread, s.b, NULL, NULL));
    expect(MID_ENULL, mid_inspect_types(thread, NULL, NULL));
    expect(MID_ENULL, mid_inspect_retained(thread, NULL, NULL));
    expect(MID_ENULL, mid_inspect_why(thread, s.b, NULL, 0, NULL));
    expect(MID_ENULL, mid_inspect_why(thread, s.b, NULL, 1, &length));
    ok(mid_blocked_enter(thread));
    all_say(MID_ETHREAD, MID_ETHREAD, thread, s.b);
    ok(mid_blocked_leave(thread));
    all_say(MID_OK, MID_OK, thread, s.b); /* nobody is left in a blocked region, or the world stopped */
    scene_close(&s);
}

TEST(beside_other_threads)
{
    struct scene s;
    scene_open(&s, "");
    struct peer *peer = peer_new(&s.u);
    all_say(MID_ETHREAD, MID_ETHREAD, peer->thread, s.b);
    all_say(MID_EPOSTPONED, MID_EPOSTPONED, s.u.thread, s.b); /* it runs, and comes to no safepoint */
    peer_block(peer);
    all_say(MID_OK, MID_OK, s.u.thread, s.b);
    peer_unblock(peer);
    peer_begin(peer, peer_polls);
    for (int i = 0; i < 20; i++)
        all_say(MID_OK, MID_OK, s.u.thread, s.b);
    peer_finish_polling(peer, s.u.thread);
    mid_handle other = peer_make(peer, s.u.node); /* held by the other thread alone */
    size_t length = 99;
    peer_block(peer);
    ok(mid_inspect_why(s.u.thread, other, NULL, 0, &length));
    assert_int_equal(length, 0);
    peer_unblock(peer);
    peer_release(peer, other);
    peer_end(peer);
    scene_close(&s);
}

/* Each request for memory refused in turn: said so, nothing kept, nothing lost. */
TEST(refused_memory)
{
    struct fault_os fault;
    struct unit u;
    fault_open(&u, &fault, "");
    mid_handle head = 0;
    for (int i = 0; i < 3000; i++) {
        mid_handle made = unit_new(&u, u.node);
        mid_give(u.thread, made, LEFT, head);
        mid_store(u.thread, made, RIGHT, made);
        head = made;
    }
    mid_handle last = mid_peek(u.thread, head, LEFT);
    int fd = open("/dev/null", O_WRONLY);
    for (int call = 0; call < 4; call++)
        for (int for_good = 0; for_good < 2; for_good++) {
            mid_status status = MID_ENOMEM;
            size_t refusals = 0;
            for (size_t n = 1; status != MID_OK; n++) {
                struct seen seen = {0};
                size_t length, mapped = fault.mapped;
                uint64_t metadata = unit_stats(&u).metadata_bytes;
                fault.fail_at = fault.calls + n;
                fault.for_good = for_good;
                status = call == 0   ? mid_inspect_types(u.thread, note_type, &seen)
                         : call == 1 ? mid_inspect_why(u.thread, last, NULL, 0, &length)
                         : call == 2 ? mid_inspect_retained(u.thread, note_retention, &seen)
                                     : mid_inspect_snapshot_fd(u.thread, fd);
                fault.fail_at = 0;
                if (status != MID_OK) {
                    assert_int_equal(status, MID_ENOMEM);
                    assert_int_equal(seen.count, 0);
                    refusals++;
                }
                assert_int_equal(fault.mapped, mapped);
                assert_int_equal(unit_stats(&u).metadata_bytes, metadata);
                ok(mid_safepoint(u.thread));
            }
            assert_true(refusals >= (call == 0 ? 1u : 4u));
        }
    close(fd);
    mid_release(u.thread, head);
    ok(mid_collect(u.thread, NULL));
    fault_close(&u, &fault);
}

TEST(the_limit_holds)
{
    struct unit u;
    struct seen seen = {0};
    mid_handle head = 0, made = 0, fill[200];
    size_t filled = 0;
    unit_open(&u, "heap-limit=8M");
    for (int i = 0; i < 40000; i++) {
        made = unit_new(&u, u.node);
        mid_give(u.thread, made, LEFT, head);
        head = made;
    }
    while (filled < 200 && mid_new_array(u.thread, u.bytes, 60000, &fill[filled]) == MID_OK)
        filled++;
    assert_in_range(filled, 1, 199);
    expect(MID_ELIMIT, mid_inspect_retained(u.thread, note_retention, &seen));
    assert_int_equal(seen.count, 0);
    unit_check(&u);
    while (filled != 0)
        mid_release(u.thread, fill[--filled]);
    mid_release(u.thread, head);
    unit_drain(&u);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_object_is_seen_with_its_figures),
        cmocka_unit_test(referents_and_referrers_name_slots),
        cmocka_unit_test(types_have_their_objects_and_bytes),
        cmocka_unit_test(why_is_the_shortest_way_from_outside),
        cmocka_unit_test(garbage_is_held_by_nothing),
        cmocka_unit_test(the_dead_that_wait_hold_nothing),
        cmocka_unit_test(what_waits_for_its_finalizer_is_garbage),
        cmocka_unit_test(the_queue_of_finalizers_holds_nothing),
        cmocka_unit_test(at_each_step_of_a_sweep),
        cmocka_unit_test(traced_objects_and_large_arrays),
        cmocka_unit_test(from_callbacks),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(beside_other_threads),
        cmocka_unit_test(refused_memory),
        cmocka_unit_test(the_limit_holds),
    };
    return UNIT_RUN(tests);
}
