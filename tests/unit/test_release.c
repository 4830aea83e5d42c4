/* Dropping structures: no recursion, a bounded number of objects at once, the rest drained later. */
#include "unit.h"

#include <pthread.h>

/* --- deep and wide structures on a thread with a small stack ------------------------------------------- */

struct drop {
    size_t count;
    int tree;
    const char *failure; /* null: all went well */
    uint64_t waiting_after_release, live_after_release, live_at_end;
};

static mid_handle build_list(mid_thread *t, mid_type node, size_t count)
{
    mid_handle head = 0;
    for (size_t i = 0; i < count; i++) {
        mid_handle next;
        if (mid_new(t, node, &next) != MID_OK)
            return head;
        mid_give(t, next, LEFT, head);
        head = next;
    }
    return head;
}

/* A binary tree, built level by level: each pair of trees gets a parent. */
static mid_handle build_tree(mid_thread *t, mid_type node, size_t count)
{
    enum { LEVELS = 40 };
    mid_handle waiting[LEVELS] = {0};
    for (size_t i = 0; i < count; i++) {
        mid_handle tree;
        if (mid_new(t, node, &tree) != MID_OK)
            break;
        size_t level = 0;
        for (; waiting[level] != 0; level++) {
            mid_handle parent;
            if (mid_new(t, node, &parent) != MID_OK)
                break;
            mid_give(t, parent, LEFT, waiting[level]);
            mid_give(t, parent, RIGHT, tree);
            waiting[level] = 0;
            tree = parent;
        }
        waiting[level] = tree;
    }
    mid_handle all = 0;
    for (size_t level = 0; level < LEVELS; level++) {
        mid_handle join;
        if (waiting[level] == 0 || mid_new(t, node, &join) != MID_OK)
            continue;
        mid_give(t, join, LEFT, waiting[level]);
        mid_give(t, join, RIGHT, all);
        all = join;
    }
    return all;
}

static void *drop_thread(void *argument)
{
    static const uint32_t slots[] = {0, 4};
    struct drop *drop = argument;
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "node", .size = sizeof(struct node),
                          .ref_offsets = slots, .ref_count = 2};
    mid_heap *heap;
    mid_thread *t;
    mid_type node;
    mid_stats stats;
    drop->failure = "opening";
    if (mid_heap_open(&heap, NULL) != MID_OK || mid_thread_attach(heap, &t) != MID_OK ||
        mid_type_register(heap, &desc, &node) != MID_OK)
        return NULL;
    mid_handle root = drop->tree ? build_tree(t, node, drop->count) : build_list(t, node, drop->count);
    mid_stats_get(heap, &stats, sizeof stats);
    drop->failure = "building";
    if (stats.live_objects < drop->count)
        return NULL;
    mid_release(t, root);
    mid_stats_get(heap, &stats, sizeof stats);
    drop->waiting_after_release = stats.waiting_objects;
    drop->live_after_release = stats.live_objects;
    for (size_t i = 0; stats.waiting_objects != 0 && i < drop->count * 2; i++) {
        mid_safepoint(t);
        mid_stats_get(heap, &stats, sizeof stats);
    }
    drop->live_at_end = stats.live_objects;
    drop->failure = mid_heap_check(heap) != MID_OK ? mid_heap_check_text(heap) : NULL;
    if (mid_heap_close(heap) != MID_OK)
        drop->failure = "closing";
    return NULL;
}

static void drop_on_small_stack(struct drop *drop)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, (UNIT_SANITIZED ? 512u : 64u) << 10), 0);
    assert_int_equal(pthread_create(&thread, &attributes, drop_thread, drop), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    if (drop->failure != NULL)
        fail_msg("%s", drop->failure);
    assert_int_equal(drop->live_at_end, 0);
    assert_true(drop->waiting_after_release > 0); /* one release does not free it all */
}

TEST(a_list_of_ten_million)
{
    struct drop drop = {.count = unit_scale(10000000)};
    drop_on_small_stack(&drop);
}

TEST(a_tree_of_four_million)
{
    struct drop drop = {.count = unit_scale(2000000), .tree = 1};
    drop_on_small_stack(&drop);
}

/* --- payloads tell what was freed and when ---------------------------------------------------------------- */

static unsigned char *freed_marks; /* one a payload */
static size_t freed_count;

static void mark_freed(void *payload, void *context)
{
    (void)context;
    ++*(unsigned char *)payload;
    freed_count++;
}

struct owner {
    struct node node;
    void *payload;
};

static mid_type owner_type(struct unit *u)
{
    return unit_node_type(u->heap, (mid_type_desc){.name = "owner", .size = sizeof(struct owner), .payload_free = mark_freed,
                                                   .payload_offset = offsetof(struct owner, payload)});
}

static void marks_begin(size_t count)
{
    freed_marks = calloc(count, 1);
    assert_non_null(freed_marks);
    freed_count = 0;
}

static void marks_end(size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += freed_marks[i] != 1;
    assert_int_equal(wrong, 0);
    free(freed_marks);
}

static mid_handle owner_list(struct unit *u, mid_type type, size_t count)
{
    mid_handle head = 0;
    for (size_t i = 0; i < count; i++) {
        mid_handle next = unit_new(u, type);
        ((struct owner *)mid_get(u->thread, next))->payload = &freed_marks[i];
        mid_give(u->thread, next, LEFT, head);
        head = next;
    }
    return head;
}

TEST(a_release_frees_at_most_a_batch)
{
    struct unit u;
    enum { COUNT = 10000, BATCH = 64 };
    unit_open(&u, "free-batch=64");
    marks_begin(COUNT);
    mid_handle head = owner_list(&u, owner_type(&u), COUNT);
    mid_release(u.thread, head);
    assert_true(freed_count > 0 && freed_count <= BATCH);
    mid_stats stats = unit_stats(&u);
    assert_true(stats.waiting_objects >= 1);
    assert_true(stats.live_objects + stats.waiting_objects + freed_count <= COUNT);
    assert_false(mid_is_live(u.thread, head));
    unit_check(&u);
    unit_drain(&u);
    assert_int_equal(freed_count, COUNT);
    marks_end(COUNT);
    unit_close(&u);
}

TEST(safepoints_drain_a_bounded_piece_each)
{
    struct unit u;
    enum { COUNT = 200000 };
    unit_open(&u, "");
    marks_begin(COUNT);
    mid_release(u.thread, owner_list(&u, owner_type(&u), COUNT));
    size_t rounds = 0, before = freed_count;
    while (unit_stats(&u).waiting_objects != 0) {
        ok(mid_safepoint(u.thread));
        assert_true(freed_count > before); /* each makes progress */
        before = freed_count;
        rounds++;
    }
    assert_true(rounds > 1);
    marks_end(COUNT);
    unit_close(&u);
}

TEST(allocations_drain_the_work_list)
{
    struct unit u;
    enum { COUNT = 100000 };
    unit_open(&u, "");
    marks_begin(COUNT);
    mid_release(u.thread, owner_list(&u, owner_type(&u), COUNT));
    mid_handle kept = 0;
    size_t made = 0;
    for (; unit_stats(&u).waiting_objects != 0; made++) {
        assert_true(made < 20 * COUNT);
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, kept);
        kept = next;
    }
    assert_int_equal(freed_count, COUNT);
    marks_end(COUNT);
    assert_int_equal(unit_live(&u), made);
    mid_release(u.thread, kept);
    unit_drain(&u);
    unit_close(&u);
}

/* The freed slots are those that the allocations need: none may get lost on the way. */
TEST(allocations_of_the_same_size_drain_it_too)
{
    struct unit u;
    enum { COUNT = 50000 };
    unit_open(&u, "");
    mid_handle dropped = 0, kept = 0;
    for (int i = 0; i < COUNT; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, dropped);
        dropped = next;
    }
    mid_release(u.thread, dropped);
    uint64_t pools = unit_stats(&u).pool_bytes, made = 0;
    for (; unit_stats(&u).waiting_objects != 0; made++) {
        assert_true(made < 2 * COUNT);
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, kept);
        kept = next;
        if (made % 1000 == 0)
            unit_check(&u);
    }
    unit_check(&u);
    assert_int_equal(unit_live(&u), made);
    assert_true(unit_stats(&u).pool_bytes <= pools + 65536);
    mid_release(u.thread, kept);
    unit_drain(&u);
    unit_close(&u);
}

static mid_handle node_list(struct unit *u, size_t count)
{
    mid_handle head = 0, next;
    for (size_t i = 0; i < count && mid_new(u->thread, u->node, &next) == MID_OK; i++) {
        mid_give(u->thread, next, LEFT, head);
        head = next;
    }
    return head;
}

TEST(allocations_of_large_objects_drain_it_too)
{
    struct unit u;
    unit_open(&u, "");
    mid_release(u.thread, node_list(&u, 100000));
    size_t made = 0;
    for (; unit_stats(&u).waiting_objects != 0; made++) {
        uint64_t before = unit_stats(&u).freed_objects;
        assert_true(made < 1000);
        mid_release(u.thread, unit_array(&u, u.bytes, 50000));
        uint64_t freed = unit_stats(&u).freed_objects - before;
        assert_in_range(freed, 1, 2048);
    }
    assert_true(made > 40);
    unit_close_empty(&u);
}

/* Nor does one that finds no memory free more than it needs. */
TEST(at_the_limit_an_allocation_drains_what_it_takes)
{
    struct unit u;
    mid_handle made = 0;
    unit_open(&u, "heap-limit=8M,max-objects=1M,free-batch=32");
    mid_handle list = node_list(&u, SIZE_MAX);
    expect(MID_ELIMIT, mid_thread_status(u.thread));
    mid_release(u.thread, list);
    uint64_t live = unit_stats(&u).allocated_objects - unit_stats(&u).freed_objects;
    assert_true(live > 100000);
    for (int i = 0; i < 3; i++) { /* the same slots, another class's, pages */
        uint64_t before = unit_stats(&u).freed_objects;
        ok(mid_new_array(u.thread, u.bytes, i == 0 ? 1 : i == 1 ? 1000 : 100000, &made));
        assert_in_range(unit_stats(&u).freed_objects - before, 1, 20000);
        assert_int_equal(unit_stats(&u).waiting_objects, 1);
        unit_check(&u);
        mid_release(u.thread, made);
    }
    ok(mid_new_array(u.thread, u.bytes, 4000000, &made)); /* most of the heap, and so most of the list */
    mid_release(u.thread, made);
    unit_drain(&u);
    unit_close_empty(&u);
}

TEST(closing_finishes_the_work_list)
{
    struct unit u;
    enum { COUNT = 20000 };
    unit_open(&u, "");
    marks_begin(COUNT);
    mid_release(u.thread, owner_list(&u, owner_type(&u), COUNT));
    unit_close(&u);
    assert_int_equal(freed_count, COUNT);
    marks_end(COUNT);
}

TEST(a_wide_array_dies_in_pieces)
{
    struct unit u;
    enum { COUNT = 1000000 };
    unit_open(&u, "");
    mid_handle vec = unit_array(&u, u.vec, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        mid_give(u.thread, vec, ITEM(i), unit_new(&u, u.node));
    mid_release(u.thread, vec);
    assert_true(unit_stats(&u).live_objects > COUNT / 2); /* most are still named by the dying array */
    unit_check(&u);
    unit_drain(&u);
    unit_close_empty(&u);
}

/* No call gives back much more than `free-batch` pages, and one object at the most. */
static void returns_little_by_little(struct unit *u, mid_handle root, uint64_t object)
{
    enum { BATCH = 64 }; /* as the heap was opened */
    uint64_t least = unit_stats(u).committed_bytes, most = 0, rounds = 0;
    mid_release(u->thread, root);
    for (;; rounds++) {
        mid_stats stats = unit_stats(u);
        if (least > stats.committed_bytes && least - stats.committed_bytes > most)
            most = least - stats.committed_bytes;
        least = stats.committed_bytes;
        if (stats.waiting_objects == 0)
            break;
        unit_check(u);
        ok(mid_safepoint(u->thread));
    }
    assert_true(rounds > 3);
    assert_true(most > 0 && most <= BATCH * 4096 + object);
    assert_int_equal(unit_live(u), 0);
}

TEST(large_objects_die_a_few_at_once)
{
    struct unit u;
    static const size_t sizes[] = {30000, 400000, 3000000};
    for (int i = 0; i < 3; i++) {
        unit_open(&u, "free-batch=64,spare=0,reserve=0");
        mid_handle head = 0;
        for (int n = 0; n < 100; n++) {
            mid_handle next = unit_new(&u, u.node);
            mid_give(u.thread, next, RIGHT, unit_array(&u, u.bytes, sizes[i]));
            mid_give(u.thread, next, LEFT, head);
            head = next;
        }
        returns_little_by_little(&u, head, sizes[i] + (64u << 10));
        unit_close(&u);
    }
}

/* Of a block that is larger than a call should give back the end goes first. */
TEST(a_huge_object_dies_in_pieces)
{
    struct unit u;
    enum { HELD = 100000 };
    unit_open(&u, "free-batch=64,spare=0,reserve=0");
    mid_handle head = unit_array(&u, u.vec, 20000000), held = unit_new(&u, u.node);
    for (unsigned i = 0; i < HELD; i++)
        mid_store(u.thread, head, ITEM(i), held);
    mid_release(u.thread, held);
    mid_release(u.thread, head);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 0);
    returns_little_by_little(&u, unit_array(&u, u.bytes, 80000000), 8u << 20);
    unit_close(&u);
}

TEST(what_is_shared_survives_its_holder)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle shared = unit_new(&u, u.node), head = 0;
    unit_node(&u, shared)->value = 4711;
    for (int i = 0; i < 5000; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, head);
        mid_store(u.thread, next, RIGHT, shared);
        head = next;
    }
    assert_int_equal(unit_count(&u, shared), 5001);
    mid_release(u.thread, head);
    unit_drain(&u);
    assert_int_equal(unit_count(&u, shared), 1);
    assert_int_equal(unit_node(&u, shared)->value, 4711);
    mid_release(u.thread, shared);
    unit_close(&u);
}

/* --- order ------------------------------------------------------------------------------------------- */

static uint64_t order[64];
static size_t ordered;

static void note_order(mid_thread *thread, mid_handle object)
{
    order[ordered++] = ((struct node *)mid_get(thread, object))->value;
}

TEST(holders_are_finalized_before_what_they_hold)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "noted", .finalize = note_order});
    mid_handle head = 0;
    for (uint64_t i = 10; i > 0; i--) {
        mid_handle next = unit_new(&u, type);
        unit_node(&u, next)->value = i;
        mid_give(u.thread, next, i % 2 ? LEFT : RIGHT, head);
        head = next;
    }
    ordered = 0;
    mid_release(u.thread, head);
    assert_int_equal(ordered, 10);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(order[i], i + 1);
    unit_close(&u);
}

/* --- slots known only to a trace function --------------------------------------------------------------------- */

struct traced {
    uint32_t used, spare;
    mid_slot slots[6];
};

static void trace_used(const void *object, mid_visitor *visitor)
{
    const struct traced *traced = object;
    for (uint32_t i = 0; i < traced->used; i++)
        mid_visit(visitor, &traced->slots[i]);
}

TEST(traced_slots_are_released_too)
{
    struct unit u;
    unit_open(&u, "");
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct traced), .trace = trace_used});
    mid_handle head = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        mid_handle next = unit_new(&u, type);
        ((struct traced *)mid_get(u.thread, next))->used = 1 + i % 6;
        for (uint32_t k = 0; k < i % 6; k++)
            mid_give(u.thread, next, MID_SLOT(struct traced, slots) + k, unit_new(&u, u.node));
        mid_give(u.thread, next, MID_SLOT(struct traced, slots) + i % 6, head);
        head = next;
    }
    unit_check(&u);
    mid_release(u.thread, head);
    unit_drain(&u);
    unit_close_empty(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_ten_million),
        cmocka_unit_test(a_tree_of_four_million),
        cmocka_unit_test(a_release_frees_at_most_a_batch),
        cmocka_unit_test(safepoints_drain_a_bounded_piece_each),
        cmocka_unit_test(allocations_drain_the_work_list),
        cmocka_unit_test(allocations_of_the_same_size_drain_it_too),
        cmocka_unit_test(allocations_of_large_objects_drain_it_too),
        cmocka_unit_test(at_the_limit_an_allocation_drains_what_it_takes),
        cmocka_unit_test(closing_finishes_the_work_list),
        cmocka_unit_test(a_wide_array_dies_in_pieces),
        cmocka_unit_test(large_objects_die_a_few_at_once),
        cmocka_unit_test(a_huge_object_dies_in_pieces),
        cmocka_unit_test(what_is_shared_survives_its_holder),
        cmocka_unit_test(holders_are_finalized_before_what_they_hold),
        cmocka_unit_test(traced_slots_are_released_too),
    };
    return UNIT_RUN(tests);
}
