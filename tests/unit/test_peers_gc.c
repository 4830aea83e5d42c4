/* The cases of CPython's test_gc: what is garbage there is garbage here, and comes to the same end. */
#include <pthread.h>

#include "cycles.h"
#include "peers.h"

/* An array that holds itself. */
TEST(cpython_test_gc_list)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 1);
    mid_store(u.thread, list, ITEM(0), list);
    assert_int_equal(peers_collect(&u), 0);
    mid_release(u.thread, list);
    assert_int_equal(peers_collect(&u), 1);
    peers_end(&u);
}

/* A table of keys and values, one of them itself. */
TEST(cpython_test_gc_dict)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle dict = unit_array(&u, u.vec, 2);
    mid_init(u.thread, dict, ITEM(0), mid_from_int(1));
    mid_store(u.thread, dict, ITEM(1), dict);
    mid_release(u.thread, dict);
    assert_int_equal(peers_collect(&u), 1);
    peers_end(&u);
}

/* It is filled once and cannot hold itself: the way leads over a list. */
TEST(cpython_test_gc_tuple)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 1), tuple = unit_array(&u, u.vec, 1);
    mid_init(u.thread, tuple, ITEM(0), mid_retain(u.thread, list));
    mid_give(u.thread, list, ITEM(0), tuple);
    mid_release(u.thread, list);
    assert_int_equal(peers_collect(&u), 2);
    peers_end(&u);
}

TEST(cpython_test_gc_instance)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle instance = unit_new(&u, u.node), dict = unit_array(&u, u.vec, 2);
    mid_store(u.thread, dict, ITEM(1), instance);
    mid_give(u.thread, instance, LEFT, dict);
    mid_release(u.thread, instance);
    assert_int_equal(peers_collect(&u), 2);
    peers_end(&u);
}

/* Bound methods: two things that refer to the instance, and it to them. */
TEST(cpython_test_gc_method)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle instance = unit_new(&u, u.node), method = unit_new(&u, u.node);
    mid_store(u.thread, method, LEFT, instance);
    mid_store(u.thread, method, RIGHT, instance);
    mid_give(u.thread, instance, LEFT, method);
    mid_release(u.thread, instance);
    assert_int_equal(peers_collect(&u), 2);
    peers_end(&u);
}

/* A closure and its globals. */
TEST(cpython_test_gc_function)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle globals = unit_array(&u, u.vec, 2), function = unit_new(&u, u.node), cell = unit_new(&u, u.node);
    mid_store(u.thread, function, LEFT, globals);
    mid_store(u.thread, function, RIGHT, cell);
    mid_give(u.thread, cell, LEFT, mid_retain(u.thread, function));
    mid_release(u.thread, cell);
    mid_give(u.thread, globals, ITEM(0), function);
    mid_release(u.thread, globals);
    assert_int_equal(peers_collect(&u), 3);
    peers_end(&u);
}

/* A frame that one of its own locals refers to. */
TEST(cpython_test_gc_frame)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle frame = unit_array(&u, u.vec, 8);
    mid_store(u.thread, frame, ITEM(5), frame);
    mid_release(u.thread, frame);
    assert_int_equal(peers_collect(&u), 1);
    peers_end(&u);
}

/* Instead of being freed or finalized, garbage is kept for a look. Let go with the switch off, it goes as ever. */
TEST(cpython_test_gc_saveall)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_handle saved[8], list = unit_array(&u, u.vec, 1);
    size_t count;
    ok(mid_collect_save(u.thread, 1));
    mid_store(u.thread, list, ITEM(0), list);
    mid_release(u.thread, list);
    mid_release(u.thread, unit_ring(&u, type, 5));
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 6);
    assert_int_equal(peers.calls, 0);
    ok(mid_collect_save(u.thread, 0));
    ok(mid_collect_saved(u.thread, saved, 8, &count));
    assert_int_equal(count, 6);
    size_t lists = 0;
    for (size_t i = 0; i < count; i++) {
        mid_type is;
        ok(mid_type_of(u.thread, saved[i], &is));
        lists += is == u.vec && saved[i] == list;
        mid_release(u.thread, saved[i]);
    }
    assert_int_equal(lists, 1);
    assert_int_equal(peers_collect(&u), 6);
    assert_int_equal(peers.calls, 5);
    peers_end(&u);
}

TEST(cpython_test_gc_del)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_release(u.thread, unit_new(&u, type));
    assert_int_equal(peers.calls, 1);
    mid_release(u.thread, peers_self(&u, type));
    assert_int_equal(peers.calls, 1);
    peers_collect(&u);
    assert_int_equal(peers.calls, 2);
    peers_end(&u);
}

/* How much has come since the last collection. */
TEST(cpython_test_gc_get_count)
{
    struct unit u;
    peers_open(&u, "", NULL);
    peers_collect(&u);
    mid_stats before = unit_stats(&u);
    mid_handle list = unit_array(&u, u.vec, 0);
    mid_stats after = unit_stats(&u);
    assert_int_equal(after.live_objects - before.live_objects, 1);
    assert_int_equal(after.allocated_objects - before.allocated_objects, 1);
    mid_release(u.thread, list);
    peers_end(&u);
}

/* Instead of generations there are kinds of collection: whichever is asked for counts itself, a full one runs for no other, and none
 * of them passes over what has survived many before. */
TEST(cpython_test_gc_collect_generations)
{
    struct unit u;
    static const struct {
        unsigned ask;
        mid_collector_kind kind;
    } kinds[] = {{MID_COLLECT_SUSPECTS, MID_COLLECTOR_SUSPECTS}, {MID_COLLECT_SWEEP, MID_COLLECTOR_SWEEP}, {MID_COLLECT_FULL, MID_COLLECTOR_FULL}};
    peers_open(&u, "", NULL);
    ok(mid_collect_kinds(u.thread, MID_COLLECT_SUSPECTS, NULL)); /* from here on suspects are logged */
    for (size_t k = 0; k < 3; k++) {
        mid_collector_stats before[3], after[3];
        mid_collect_result result;
        mid_handle old = peers_self(&u, u.node);
        for (int round = 0; round < 3; round++)
            assert_int_equal(peers_collect(&u), 0);
        mid_release(u.thread, old);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(mid_collector_stats_get(u.heap, kinds[i].kind, &before[i], sizeof before[i]), sizeof before[i]);
        ok(mid_collect_kinds(u.thread, kinds[k].ask, &result));
        unit_drain(&u);
        assert_int_equal(unit_live(&u), 0);
        assert_int_equal(result.garbage, 1);
        for (size_t i = 0; i < 3; i++) {
            mid_collector_stats_get(u.heap, kinds[i].kind, &after[i], sizeof after[i]);
            assert_true(i == k ? after[i].runs > before[i].runs : i != 2 || after[i].runs == before[i].runs);
        }
    }
    peers_end(&u);
}

static struct {
    mid_handle found[16];
    size_t count;
} met;

static int meet_object(void *context, const mid_inspected_object *object)
{
    (void)context;
    if (met.count < 16)
        met.found[met.count] = object->object;
    met.count++;
    return 0;
}

static int meet_reference(void *context, const mid_reference *reference)
{
    (void)context;
    if (met.count < 16)
        met.found[met.count] = reference->target;
    met.count++;
    return 0;
}

static int meet_holder(void *context, const mid_reference *reference)
{
    (void)context;
    if (met.count < 16)
        met.found[met.count] = reference->holder;
    met.count++;
    return 0;
}

TEST(cpython_test_gc_get_referents)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 4), one = unit_new(&u, u.node);
    mid_give(u.thread, list, ITEM(0), one);
    mid_store(u.thread, list, ITEM(1), one);
    mid_init(u.thread, list, ITEM(2), mid_from_int(7));
    met.count = 0;
    ok(mid_inspect_referents(u.thread, list, meet_reference, NULL));
    assert_int_equal(met.count, 2);
    assert_int_equal(met.found[0], one);
    assert_int_equal(met.found[1], one);
    met.count = 0;
    ok(mid_inspect_referents(u.thread, one, meet_reference, NULL));
    assert_int_equal(met.count, 0);
    mid_release(u.thread, list);
    peers_end(&u);
}

/* What has no references is no candidate; what has some is, whatever is in them. */
TEST(cpython_test_gc_is_tracked)
{
    struct unit u;
    mid_collect_result result;
    peers_open(&u, "", NULL);
    mid_handle leaf = unit_array(&u, u.bytes, 10), node = peers_self(&u, u.node), empty = unit_array(&u, u.vec, 0);
    mid_release(u.thread, mid_retain(u.thread, empty));
    assert_false(mid_is_tracked(u.thread, leaf));
    assert_true(mid_is_tracked(u.thread, node));
    assert_true(mid_is_tracked(u.thread, empty));
    assert_false(mid_is_tracked(u.thread, mid_from_int(1)));
    assert_false(mid_is_tracked(u.thread, 0));
    ok(mid_collect(u.thread, &result));
    assert_int_equal(result.candidates, 2);
    mid_type flat = unit_node_type(u.heap, (mid_type_desc){.name = "flat", .flags = MID_ACYCLIC});
    mid_handle said = unit_new(&u, flat), always = unit_new(&u, u.node);
    assert_false(mid_is_tracked(u.thread, said));
    assert_true(mid_is_tracked(u.thread, always));
    ok(mid_freeze(u.thread));
    assert_false(mid_is_tracked(u.thread, node));
    ok(mid_unfreeze(u.thread));
    assert_true(mid_is_tracked(u.thread, node));
    ok(mid_immortalize(u.thread, always));
    assert_false(mid_is_tracked(u.thread, always));
    mid_release(u.thread, said);
    mid_release(u.thread, node);
    mid_release(u.thread, leaf);
    mid_release(u.thread, empty);
    assert_int_equal(unit_live(&u), 2);
    ok(mid_collect(u.thread, &result));
    assert_int_equal(result.garbage, 1); /* the node that holds itself */
    unit_destroy(&u); /* one is immortal */
}

TEST(cpython_test_gc_is_finalized)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    mid_handle object = unit_new(&u, type);
    assert_int_equal(unit_stats(&u).finalized_objects, 0);
    assert_false(mid_is_finalized(u.thread, object));
    assert_false(mid_is_finalized(u.thread, mid_from_int(3)));
    mid_release(u.thread, object);
    assert_int_equal(peers.saved[0], object);
    assert_true(mid_is_finalized(u.thread, object));
    assert_int_equal(unit_stats(&u).finalized_objects, 1);
    assert_int_equal(unit_stats(&u).resurrected_objects, 1);
    peers_drop_saved(&u);
    assert_false(mid_is_finalized(u.thread, object)); /* it has gone */
    assert_int_equal(unit_stats(&u).finalized_objects, 1);
    peers_end(&u);
}

TEST(cpython_test_gc_get_stats)
{
    struct unit u;
    mid_collector_stats before, after;
    peers_open(&u, "", NULL);
    mid_stats whole = unit_stats(&u);
    mid_collector_stats_get(u.heap, MID_COLLECTOR_FULL, &before, sizeof before);
    mid_release(u.thread, unit_ring(&u, u.node, 9));
    peers_collect(&u);
    mid_collector_stats_get(u.heap, MID_COLLECTOR_FULL, &after, sizeof after);
    assert_int_equal(after.runs, before.runs + 1);
    assert_int_equal(after.garbage, before.garbage + 9);
    assert_int_equal(after.freed, before.freed + 9);
    assert_int_equal(unit_stats(&u).collections, whole.collections + 1);
    assert_int_equal(unit_stats(&u).collected_objects, whole.collected_objects + 9);
    peers_end(&u);
}

TEST(cpython_test_gc_get_objects)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 1);
    met.count = 0;
    ok(mid_inspect_objects(u.thread, meet_object, NULL));
    assert_int_equal(met.count, 1);
    assert_int_equal(met.found[0], list);
    mid_release(u.thread, list);
    met.count = 0;
    ok(mid_inspect_objects(u.thread, meet_object, NULL));
    assert_int_equal(met.count, 0);
    peers_end(&u);
}

TEST(cpython_test_gc_get_referrers)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle list = unit_array(&u, u.vec, 3), node = unit_new(&u, u.node), one = unit_new(&u, u.node);
    mid_store(u.thread, list, ITEM(2), one);
    mid_store(u.thread, node, LEFT, one);
    met.count = 0;
    ok(mid_inspect_referrers(u.thread, one, meet_holder, NULL));
    assert_int_equal(met.count, 2);
    assert_true((met.found[0] == list && met.found[1] == node) || (met.found[0] == node && met.found[1] == list));
    met.count = 0;
    ok(mid_inspect_referrers(u.thread, list, meet_holder, NULL));
    assert_int_equal(met.count, 0);
    mid_release(u.thread, node);
    mid_release(u.thread, list);
    mid_release(u.thread, one);
    peers_end(&u);
}

/* Structures far deeper than any stack, with finalizers that make more of them. */
static mid_handle tower(mid_thread *thread, mid_type type, size_t height)
{
    mid_handle head = 0, next;
    for (size_t i = 0; i < height; i++) {
        if (mid_new(thread, type, &next) != MID_OK)
            break;
        mid_give(thread, next, LEFT, head);
        head = next;
    }
    return head;
}

static void build_once(mid_thread *thread, mid_handle object)
{
    (void)object;
    if (peers.calls < 100)
        mid_release(thread, tower(thread, peers.type, 10));
}

TEST(cpython_test_gc_trashcan)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = build_once;
    const size_t height = unit_scale(400000);
    mid_release(u.thread, tower(u.thread, type, height));
    unit_drain(&u);
    assert_true(peers.calls > height);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

struct trash {
    mid_heap *heap;
    mid_type node;
    size_t rounds, wrong;
};

static void *make_trash(void *argument)
{
    struct trash *t = argument;
    mid_thread *thread;
    if (mid_thread_attach(t->heap, &thread) != MID_OK)
        return NULL;
    for (size_t i = 0; i < t->rounds; i++) {
        mid_handle head = tower(thread, t->node, 3000);
        t->wrong += head == 0;
        mid_release(thread, head);
        mid_safepoint(thread);
    }
    mid_thread_detach(thread);
    return NULL;
}

TEST(cpython_test_gc_trashcan_threads)
{
    struct unit u;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct trash trash[THREADS];
    peers_open(&u, "", NULL);
    for (int i = 0; i < THREADS; i++) {
        trash[i] = (struct trash){u.heap, u.node, unit_scale(60), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, make_trash, &trash[i]), 0);
    }
    UNIT_JOIN(&u, i, THREADS, threads[i]);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(trash[i].wrong, 0);
    peers_end(&u);
}

/* What asks an object whether it has a finalizer changes the graph: here to ask is to look at the type, and the finalizer, when
 * it runs, may take apart what was condemned with it. */
static void let_go(mid_thread *thread, mid_handle object)
{
    mid_handle other = mid_load(thread, object, LEFT);
    if (other != 0)
        mid_store(thread, other, LEFT, 0);
    mid_store(thread, object, LEFT, 0);
    mid_release(thread, other);
}

static void pair_up(struct unit *u, mid_type type)
{
    mid_handle a = peers_node(u, type, 1), b = peers_node(u, type, 2);
    mid_store(u->thread, a, LEFT, b);
    mid_store(u->thread, b, LEFT, a);
    mid_release(u->thread, a);
    mid_release(u->thread, b);
}

TEST(cpython_test_gc_boom)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = let_go;
    pair_up(&u, type);
    peers_collect(&u);
    assert_int_equal(peers.calls, 2);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

/* The same from the second call on only. */
static void let_go_second(mid_thread *thread, mid_handle object)
{
    if (peers.calls == 2)
        let_go(thread, object);
}

TEST(cpython_test_gc_boom2)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = let_go_second;
    pair_up(&u, type);
    peers_collect(&u);
    assert_int_equal(peers.calls, 2);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

/* bug 1055820: a callback finds, through a weak reference of its own, garbage that is not cleared yet. All references to garbage are
 * cleared before anybody is called. */
static mid_weak watched[4];
static void look_at_all(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    peers_called(thread, gone, owner, context);
    for (int i = 0; i < 4; i++) {
        mid_handle got = mid_weak_get(thread, watched[i]);
        peers.saved_count += got != 0;
        mid_release(thread, got);
    }
}

static void bug1055820(int owner_is_garbage, int finalized)
{
    struct unit u;
    mid_weak weak;
    mid_type type = peers_open(&u, "", peers_note);
    mid_handle ring = unit_ring(&u, finalized ? type : u.node, 4), at = ring, keeper = unit_new(&u, u.node);
    for (int i = 0; i < 4; i++) {
        ok(mid_weak_new(u.thread, at, &watched[i]));
        at = mid_peek(u.thread, at, LEFT);
    }
    if (owner_is_garbage)
        mid_store(u.thread, ring, RIGHT, keeper);
    ok(mid_weak_new_with(u.thread, mid_peek(u.thread, ring, LEFT), keeper, look_at_all, NULL, &weak));
    if (owner_is_garbage)
        mid_release(u.thread, keeper);
    mid_release(u.thread, ring);
    peers_collect(&u);
    assert_int_equal(peers.callbacks, !owner_is_garbage);
    assert_int_equal(peers.saved_count, 0);
    assert_int_equal(peers.calls, finalized ? 4 : 0);
    for (int i = 0; i < 4; i++)
        ok(mid_weak_drop(u.thread, watched[i]));
    if (!owner_is_garbage)
        mid_release(u.thread, keeper);
    peers_end(&u);
}

TEST(cpython_test_gc_bug1055820b)
{
    bug1055820(1, 0);
}

TEST(cpython_test_gc_bug1055820c)
{
    bug1055820(0, 0);
}

TEST(cpython_test_gc_bug1055820d)
{
    bug1055820(0, 1);
}

/* bug 21435: finalizers in a cycle see each other whole, whatever the order in which they are called. */
static void see_whole(mid_thread *thread, mid_handle object)
{
    mid_handle next = mid_load(thread, object, LEFT);
    peers.status |= next == 0 || ((struct node *)mid_get(thread, next))->value == 0;
    mid_release(thread, next);
}

TEST(cpython_test_gc_bug21435)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = see_whole;
    pair_up(&u, type);
    peers_collect(&u);
    assert_int_equal(peers.calls, 2);
    assert_int_equal(peers.status, 0);
    peers_end(&u);
}

/* What is half cleared can be reached by nobody: a callback that loads from what outlives the garbage finds it as it was. */
TEST(cpython_test_gc_function_tp_clear_leaves_consistent_state)
{
    struct unit u;
    mid_weak weak;
    peers_open(&u, "", NULL);
    mid_handle function = unit_new(&u, u.node), globals = unit_array(&u, u.vec, 3), outer = unit_new(&u, u.node);
    mid_store(u.thread, function, LEFT, globals);
    mid_store(u.thread, function, RIGHT, outer);
    mid_give(u.thread, globals, ITEM(0), function);
    ok(mid_weak_new_with(u.thread, mid_peek(u.thread, globals, ITEM(0)), outer, peers_called, NULL, &weak));
    mid_release(u.thread, globals);
    peers_collect(&u);
    assert_int_equal(peers.callbacks, 1);
    assert_int_equal(unit_count(&u, outer), 1);
    mid_release(u.thread, outer);
    ok(mid_weak_drop(u.thread, weak));
    peers_end(&u);
}

/* Garbage of another structure, with weak references to what dies first. */
static void get_peer(mid_thread *thread, mid_handle object)
{
    (void)object;
    mid_handle got = mid_weak_get(thread, peers.weak);
    peers.status |= got != 0;
    mid_release(thread, got);
}

TEST(cpython_test_gc_trash_weakref_clear)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    peers.then = get_peer;
    mid_handle a = peers_self(&u, type), b = peers_self(&u, u.node);
    mid_store(u.thread, a, RIGHT, b);
    ok(mid_weak_new(u.thread, b, &peers.weak));
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    peers_collect(&u);
    assert_int_equal(peers.calls, 1);
    assert_int_equal(peers.status, 0);
    assert_int_equal(unit_live(&u), 0);
    ok(mid_weak_drop(u.thread, peers.weak));
    peers_end(&u);
}

/* A slot that refers without a count: the check names the object, and the collector frees nothing on its word. */
TEST(cpython_test_gc_refcount_errors)
{
    struct unit u;
    peers_open(&u, "", NULL);
    mid_handle a = peers_self(&u, u.node), b = unit_new(&u, u.node);
    unit_node(&u, b)->left.bits_ = unit_node(&u, b)->right.bits_ = b; /* two references, and one count */
    expect(MID_ECORRUPT, mid_heap_check(u.heap));
    assert_true(strstr(mid_heap_check_text(u.heap), "invariant 1") != NULL);
    mid_release(u.thread, a);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 1); /* what it cannot account for it keeps */
    unit_node(&u, b)->left.bits_ = unit_node(&u, b)->right.bits_ = 0;
    unit_check(&u);
    mid_release(u.thread, b);
    peers_end(&u);
}

TEST(cpython_test_gc_resurrection_only_happens_once_per_object)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    mid_handle object = peers_self(&u, type);
    mid_release(u.thread, object);
    peers_collect(&u);
    assert_int_equal(peers.saved_count, 1);
    peers_drop_saved(&u);
    peers_collect(&u);
    assert_int_equal(peers.calls, 1);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

/* What the resurrected refers to is resurrected with it. */
TEST(cpython_test_gc_resurrection_is_transitive)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    mid_handle lazarus = peers_self(&u, type), cargo = unit_ring(&u, u.node, 3);
    mid_give(u.thread, lazarus, RIGHT, cargo);
    mid_release(u.thread, lazarus);
    peers_collect(&u);
    assert_int_equal(unit_live(&u), 4);
    assert_int_equal(mid_peek(u.thread, lazarus, RIGHT), cargo);
    peers_drop_saved(&u);
    peers_end(&u);
}

TEST(cpython_test_gc_resurrection_does_not_block_cleanup_of_other_objects)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    for (int i = 0; i < 100; i++)
        mid_release(u.thread, peers_self(&u, u.node));
    mid_release(u.thread, peers_self(&u, type));
    for (int i = 0; i < 100; i++)
        mid_release(u.thread, peers_self(&u, u.node));
    peers_collect(&u);
    assert_int_equal(unit_live(&u), 1);
    for (int i = 0; i < 100; i++)
        mid_release(u.thread, peers_self(&u, u.node));
    assert_int_equal(peers_collect(&u), 100);
    peers_drop_saved(&u);
    peers_end(&u);
}

/* Garbage that nobody collected is finalized and freed when the heap closes. */
TEST(cpython_test_gc_garbage_at_shutdown)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_release(u.thread, unit_ring(&u, type, 7));
    mid_release(u.thread, unit_ring(&u, u.node, 7));
    unit_close(&u); /* insists on MID_OK: nothing was held */
    assert_int_equal(peers.calls, 7);
}

/* Cycles made faster than a bounded step collects them: it keeps up all the same. */
TEST(cpython_test_gc_incremental_gc_handles_fast_cycle_creation)
{
    struct unit u;
    uint64_t most = 0;
    peers_open(&u, "", NULL);
    mid_handle live = unit_ring(&u, u.node, 1000);
    for (size_t i = 0; i < unit_scale(40000); i++) {
        mid_release(u.thread, unit_ring(&u, u.node, 3));
        if (i % 1000 == 0)
            assert_true(mid_step(u.thread, AMPLE) <= MID_MORE);
        most = unit_live(&u) > most ? unit_live(&u) : most;
    }
    assert_true(most <= 1000 + 2 * 3 * 1000 + 3);
    mid_release(u.thread, live);
    peers_end(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpython_test_gc_list),
        cmocka_unit_test(cpython_test_gc_dict),
        cmocka_unit_test(cpython_test_gc_tuple),
        cmocka_unit_test(cpython_test_gc_instance),
        cmocka_unit_test(cpython_test_gc_method),
        cmocka_unit_test(cpython_test_gc_function),
        cmocka_unit_test(cpython_test_gc_frame),
        cmocka_unit_test(cpython_test_gc_saveall),
        cmocka_unit_test(cpython_test_gc_del),
        cmocka_unit_test(cpython_test_gc_get_count),
        cmocka_unit_test(cpython_test_gc_collect_generations),
        cmocka_unit_test(cpython_test_gc_get_referents),
        cmocka_unit_test(cpython_test_gc_is_tracked),
        cmocka_unit_test(cpython_test_gc_is_finalized),
        cmocka_unit_test(cpython_test_gc_get_stats),
        cmocka_unit_test(cpython_test_gc_get_objects),
        cmocka_unit_test(cpython_test_gc_get_referrers),
        cmocka_unit_test(cpython_test_gc_trashcan),
        cmocka_unit_test(cpython_test_gc_trashcan_threads),
        cmocka_unit_test(cpython_test_gc_boom),
        cmocka_unit_test(cpython_test_gc_boom2),
        cmocka_unit_test(cpython_test_gc_bug1055820b),
        cmocka_unit_test(cpython_test_gc_bug1055820c),
        cmocka_unit_test(cpython_test_gc_bug1055820d),
        cmocka_unit_test(cpython_test_gc_bug21435),
        cmocka_unit_test(cpython_test_gc_function_tp_clear_leaves_consistent_state),
        cmocka_unit_test(cpython_test_gc_trash_weakref_clear),
        cmocka_unit_test(cpython_test_gc_refcount_errors),
        cmocka_unit_test(cpython_test_gc_resurrection_only_happens_once_per_object),
        cmocka_unit_test(cpython_test_gc_resurrection_is_transitive),
        cmocka_unit_test(cpython_test_gc_resurrection_does_not_block_cleanup_of_other_objects),
        cmocka_unit_test(cpython_test_gc_garbage_at_shutdown),
        cmocka_unit_test(cpython_test_gc_incremental_gc_handles_fast_cycle_creation),
    };
    return UNIT_RUN(tests);
}
