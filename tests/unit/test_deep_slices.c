/* Deep compaction in slices, as the service does it: the program runs between them, and what was read is out of date. */
#include "deep.h"

#include "gc/deep.h"

static mid_deepening deepening(struct unit *u)
{
    mid_snapshot s;
    mid_service_snapshot(u->heap, &s);
    return s.deepening;
}

TEST(reading_beside_and_then_stops)
{
    for (int order = 0; order < 3; order++) {
        static struct deep d;
        size_t slices;
        deep_open(&d, orders[order]);
        mid_handle node = deep_node(&d, 0, 1);
        deep_settle(&d);
        ok(mid_compact(d.u.thread, MID_COMPACT_PLAIN, 0, NULL));
        assert_int_equal(deepening(&d.u), MID_DEEPENS_NOT);
        uint64_t held = unit_stats(&d.u).committed_bytes;
        expect(MID_MORE, deep_read(&d.u, 0));
        assert_int_equal(deepening(&d.u), MID_DEEPENS_RUNNING);
        assert_true(deep_read_all(&d.u, 0) > 1);
        assert_int_equal(deepening(&d.u), MID_DEEPENS_STOPPED);
        assert_true(unit_stats(&d.u).committed_bytes >= held + 12 * FILLER);
        ok(deep_read(&d.u, 0)); /* there is no more to read */
        assert_int_equal(deep_item(&d, 0), node);
        assert_int_equal(deep_finish(&d.u, 0, &slices), 1);
        assert_true(slices > 1);
        assert_int_equal(deepening(&d.u), MID_DEEPENS_NOT);
        assert_true(unit_stats(&d.u).committed_bytes <= held + 65536);
        assert_int_not_equal(deep_item(&d, 0), node);
        deep_close(&d);
    }
}

/* --- what was read is out of date ------------------------------------------------------------------------------------ */

static mid_handle held; /* by the test */

/* `between` is done after the reading. Returns whether the node that only the root held got another handle. */
static bool renamed_after(void (*between)(struct deep *d, mid_handle node), uint64_t count)
{
    static struct deep d;
    size_t slices;
    deep_open(&d, "deep=table");
    mid_handle node = deep_node(&d, 0, 77);
    deep_settle(&d);
    held = 0;
    ok(mid_compact(d.u.thread, MID_COMPACT_PLAIN, 0, NULL));
    deep_read_all(&d.u, 0);
    between(&d, node);
    deep_finish(&d.u, 0, &slices);
    mid_handle now = deep_item(&d, 0);
    assert_int_equal(unit_node(&d.u, now)->value, 77);
    assert_int_equal(unit_count(&d.u, now), count);
    mid_release(d.u.thread, held);
    deep_close(&d);
    return now != node;
}

static void nothing(struct deep *d, mid_handle node)
{
    (void)d, (void)node;
}

static void hold(struct deep *d, mid_handle node)
{
    held = mid_retain(d->u.thread, node);
}

static void take_out_and_put_back(struct deep *d, mid_handle node)
{
    assert_int_equal(mid_take(d->u.thread, d->root, ITEM(0)), node);
    mid_give(d->u.thread, d->root, ITEM(0), node);
}

/* From a slot that nobody has read. */
static void refer_from_new(struct deep *d, mid_handle node)
{
    mid_handle fresh = deep_node(d, 2, 0);
    mid_store(d->u.thread, fresh, LEFT, node);
    mid_store(d->u.thread, d->root, ITEM(1), fresh);
    mid_store(d->u.thread, d->root, ITEM(2), 0);
}

static void pin(struct deep *d, mid_handle node)
{
    ok(mid_pin(d->u.thread, node, NULL));
}

TEST(links_are_looked_at_again)
{
    assert_true(renamed_after(nothing, 1));
    assert_false(renamed_after(hold, 2));
    assert_true(renamed_after(take_out_and_put_back, 1));
    assert_false(renamed_after(refer_from_new, 2));
    assert_false(renamed_after(pin, 1));
}

/* The slot refers to another, and what it referred to is held by the test, as often. */
TEST(a_slot_that_refers_to_another_by_now)
{
    static struct deep d;
    size_t slices;
    deep_open(&d, "deep=table");
    mid_handle node = deep_node(&d, 0, 1), other = mid_retain(d.u.thread, d.root);
    deep_settle(&d);
    deep_read_all(&d.u, 0);
    assert_int_equal(mid_swap(d.u.thread, d.root, ITEM(0), other), node);
    deep_finish(&d.u, 0, &slices);
    assert_int_equal(mid_is_live(d.u.thread, node), 1);
    assert_int_equal(unit_node(&d.u, node)->value, 1);
    assert_int_equal(deep_item(&d, 0), d.root);
    mid_store(d.u.thread, d.root, ITEM(0), 0);
    mid_release(d.u.thread, node);
    deep_close(&d);
}

/* A traced object says that it has one slot less. */
struct tagged {
    uint64_t slots;
    mid_slot slot[2];
};

static void trace_tagged(const void *object, mid_visitor *visitor)
{
    const struct tagged *t = object;
    for (uint64_t i = 0; i < t->slots && i < 2; i++)
        mid_visit(visitor, &t->slot[i]);
}

TEST(a_word_that_is_no_slot_by_now)
{
    static struct deep d;
    size_t slices;
    deep_open(&d, "deep=table");
    mid_type type = unit_type(d.u.heap, (mid_type_desc){.name = "tagged", .size = sizeof(struct tagged), .trace = trace_tagged,
                                                        .flags = MID_TRACE_RACES});
    mid_handle node = deep_node(&d, 0, 1), holder = unit_new(&d.u, type);
    struct tagged *t = mid_get(d.u.thread, holder);
    t->slots = 2;
    mid_store(d.u.thread, holder, MID_SLOT(struct tagged, slot[1]), node);
    deep_settle(&d);
    deep_read_all(&d.u, 0);
    assert_int_equal(mid_take(d.u.thread, holder, MID_SLOT(struct tagged, slot[1])), node);
    t = mid_get(d.u.thread, holder);
    t->slots = 1;
    t->slot[1].bits_ = node;
    deep_finish(&d.u, 0, &slices);
    t = mid_get(d.u.thread, holder);
    assert_int_equal(t->slot[1].bits_, node);
    assert_int_equal(deep_item(&d, 0), node);
    mid_release(d.u.thread, node);
    mid_release(d.u.thread, holder);
    deep_close(&d);
}

TEST(an_identity_that_came_between_slices)
{
    static struct deep d;
    size_t slices;
    deep_open(&d, "deep=table");
    mid_type type = unit_node_type(d.u.heap, (mid_type_desc){.name = "key", .flags = MID_IDENTITY});
    mid_handle key = deep_put(&d, 0, unit_new(&d.u, type)), named = deep_node(&d, 1, 1), unnamed = deep_node(&d, 2, 2);
    mid_store(d.u.thread, key, LEFT, unnamed);
    deep_settle(&d);
    ok(mid_compact(d.u.thread, MID_COMPACT_PLAIN, 0, NULL));
    deep_read_all(&d.u, 0);
    mid_store(d.u.thread, key, LEFT, named);
    deep_finish(&d.u, 0, &slices);
    assert_int_equal(deep_item(&d, 1), named);
    assert_int_equal(mid_peek(d.u.thread, deep_item(&d, 0), LEFT), named);
    deep_close(&d);
}

/* What was an object of another type when its slots were read keeps identities now. */
TEST(an_identity_in_the_place_of_what_was_read)
{
    static struct deep d;
    size_t slices;
    deep_open(&d, "deep=table");
    mid_type type = unit_node_type(d.u.heap, (mid_type_desc){.name = "key", .flags = MID_IDENTITY});
    mid_handle named = unit_new(&d.u, d.u.node), holder = deep_node(&d, 0, 1);
    mid_give(d.u.thread, holder, LEFT, named);
    deep_settle(&d);
    deep_read_all(&d.u, 0);
    named = mid_take(d.u.thread, holder, LEFT);
    mid_store(d.u.thread, d.root, ITEM(0), 0);
    unit_drain(&d.u);
    assert_int_equal(deep_put(&d, 0, unit_new(&d.u, type)), holder);
    mid_give(d.u.thread, holder, LEFT, named);
    deep_finish(&d.u, 0, &slices);
    assert_int_equal(mid_peek(d.u.thread, deep_item(&d, 0), LEFT), named);
    deep_close(&d);
}

/* --- a number that is another's in the middle of the reading --------------------------------------------------------------- */

enum { PIECE = 1024, ITEMS = 1100 };

/* As an array of references, but for where they begin: slot i + 1 is item i. */
struct packed {
    uint32_t length;
    mid_slot items[];
};

/* One traced slot, where the other has its last of the first piece. */
static void trace_one(const void *object, mid_visitor *visitor)
{
    mid_visit(visitor, (const mid_slot *)object + ITEM(PIECE - 1));
}

/* The slot that was read last is read again, of the object that has the number now: it is one reference all the same. */
static void read_twice(mid_type_desc second)
{
    static struct deep d;
    size_t slices;
    deep_open(&d, "deep=table");
    mid_type type = unit_type(d.u.heap, second);
    mid_handle array = unit_array(&d.u, d.u.vec, ITEMS), node = deep_node(&d, 0, 77);
    mid_store(d.u.thread, array, ITEM(PIECE - 1), node);
    do
        expect(MID_MORE, deep_read(&d.u, 0));
    while (d.u.heap->deep->at != array / 2);
    assert_int_equal(d.u.heap->deep->item, PIECE);
    mid_release(d.u.thread, array);
    unit_drain(&d.u);
    assert_int_equal(unit_array(&d.u, type, ITEMS + ITEM(0) - second.size / sizeof(mid_slot)), array); /* of the same size */
    mid_store(d.u.thread, array, ITEM(PIECE - 1), node);
    mid_retain(d.u.thread, node);
    mid_store(d.u.thread, d.root, ITEM(0), 0);
    deep_settle(&d);
    assert_int_equal(unit_count(&d.u, node), 2); /* one of them is the test's */
    deep_read_all(&d.u, 0);
    deep_finish(&d.u, 0, &slices);
    assert_int_equal(mid_is_live(d.u.thread, node), 1);
    assert_int_equal(mid_peek(d.u.thread, array, ITEM(PIECE - 1)), node);
    mid_release(d.u.thread, node);
    mid_release(d.u.thread, array);
    deep_close(&d);
}

TEST(a_slot_that_is_read_twice_is_one_reference)
{
    read_twice((mid_type_desc){.name = "packed", .size = sizeof(struct packed), .item_size = 4, .items_are_refs = 1,
                               .length_offset = offsetof(struct packed, length)});
    read_twice((mid_type_desc){.name = "traced", .size = ITEM(PIECE) * sizeof(mid_slot), .item_size = 4, .trace = trace_one});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_beside_and_then_stops),
        cmocka_unit_test(links_are_looked_at_again),
        cmocka_unit_test(a_slot_that_refers_to_another_by_now),
        cmocka_unit_test(a_word_that_is_no_slot_by_now),
        cmocka_unit_test(an_identity_that_came_between_slices),
        cmocka_unit_test(an_identity_in_the_place_of_what_was_read),
        cmocka_unit_test(a_slot_that_is_read_twice_is_one_reference),
    };
    return UNIT_RUN(tests);
}
