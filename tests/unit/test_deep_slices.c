/* Deep compaction in slices, as the service does it: the program runs between them, and what was read is out of date. */
#include "deep.h"

#include "gc/deep.h"

enum { SLICES_MOST = 10000000 };

/* Reading beside the program, to the end. */
static size_t read_all(struct unit *u, uint64_t budget)
{
    size_t slices = 1;
    mid_status status;
    for (; (status = deep_read(u, budget)) == MID_MORE; slices++)
        assert_true(slices < SLICES_MOST);
    ok(status);
    return slices;
}

/* The rest, and what it needed is given back. */
static uint64_t finish(struct unit *u, uint64_t budget, size_t *slices)
{
    uint64_t renamed, all = 0;
    mid_status status;
    for (*slices = 1; (status = deep_slice(u, budget, &renamed)) == MID_MORE; ++*slices) {
        all += renamed;
        assert_true(*slices < SLICES_MOST);
    }
    ok(status);
    ok(deep_read(u, budget));
    unit_check(u);
    return all + renamed;
}

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
        assert_true(read_all(&d.u, 0) > 1);
        assert_int_equal(deepening(&d.u), MID_DEEPENS_STOPPED);
        assert_true(unit_stats(&d.u).committed_bytes >= held + 12 * FILLER);
        ok(deep_read(&d.u, 0)); /* there is no more to read */
        assert_int_equal(deep_item(&d, 0), node);
        assert_int_equal(finish(&d.u, 0, &slices), 1);
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
    read_all(&d.u, 0);
    between(&d, node);
    finish(&d.u, 0, &slices);
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
    read_all(&d.u, 0);
    mid_store(d.u.thread, key, LEFT, named);
    finish(&d.u, 0, &slices);
    assert_int_equal(deep_item(&d, 1), named);
    assert_int_equal(mid_peek(d.u.thread, deep_item(&d, 0), LEFT), named);
    deep_close(&d);
}

/* --- a number that is another's in the middle of the reading --------------------------------------------------------------- */

enum { PIECE = 1024, ITEMS = 20000 };

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
    assert_int_equal(unit_array(&d.u, type, ITEMS), array);
    mid_store(d.u.thread, array, ITEM(PIECE - 1), node);
    mid_retain(d.u.thread, node);
    mid_store(d.u.thread, d.root, ITEM(0), 0);
    deep_settle(&d);
    assert_int_equal(unit_count(&d.u, node), 2); /* one of them is the test's */
    read_all(&d.u, 0);
    finish(&d.u, 0, &slices);
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

/* --- what is done at once ------------------------------------------------------------------------------------------------ */

/* Slices of a step, each with its time already up. */
static size_t slices_of(struct unit *u, mid_deep_step step)
{
    uint64_t renamed;
    size_t slices = 0;
    mid_status status = MID_MORE;
    while (status == MID_MORE) {
        slices += u->heap->deep->step == step;
        assert_true(slices < SLICES_MOST);
        status = deep_slice(u, 0, &renamed);
    }
    ok(status);
    ok(deep_read(u, 0));
    unit_check(u);
    return slices;
}

TEST(a_slice_looks_for_what_lies_high_no_further_than_its_time)
{
    static struct deep d;
    deep_open(&d, "deep=table");
    mid_release(d.u.thread, d.root);
    d.root = 0;
    deep_settle(&d);
    read_all(&d.u, 0);
    assert_true(slices_of(&d.u, MID_DEEP_PLACE) >= FILLER / 4096);
    deep_close(&d);
}

/* Thousands that keep their numbers lie where the first of the walk would go. */
TEST(a_slice_passes_over_what_is_held_no_further_than_its_time)
{
    static struct deep d;
    deep_open(&d, "deep=depth");
    mid_handle first = d.filler[0];
    mid_store(d.u.thread, first, LEFT, deep_node(&d, 0, 1));
    mid_store(d.u.thread, d.root, ITEM(0), 0);
    read_all(&d.u, 0);
    assert_true(slices_of(&d.u, MID_DEEP_PLACE) >= FILLER / 32);
    deep_settle(&d);
    deep_close(&d);
}

TEST(a_slice_takes_up_free_slots_a_pool_at_a_time)
{
    static struct deep d;
    deep_open(&d, "deep=table");
    for (size_t i = 0; i < FILLER; i += 2) {
        mid_release(d.u.thread, d.filler[i]);
        d.filler[i] = 0;
    }
    unit_drain(&d.u);
    read_all(&d.u, 0);
    assert_true(slices_of(&d.u, MID_DEEP_FREE) >= FILLER * sizeof(struct node) / 65536);
    deep_settle(&d);
    deep_close(&d);
}

TEST(what_had_very_many_links_keeps_its_handle)
{
    enum { MANY = 3000 };
    for (size_t many = 10; many <= MANY; many += MANY - 10) {
        static struct deep d;
        size_t slices;
        deep_open(&d, "deep=table");
        mid_handle node = deep_node(&d, 0, 1), array = deep_put(&d, 1, unit_array(&d.u, d.u.vec, MANY));
        for (size_t i = 0; i < many; i++)
            mid_store(d.u.thread, array, ITEM(i), node);
        deep_settle(&d);
        read_all(&d.u, 0);
        for (size_t i = 0; i < many; i++)
            mid_store(d.u.thread, array, ITEM(i), 0);
        finish(&d.u, 0, &slices);
        assert_int_equal(deep_item(&d, 0) != node, many == 10);
        deep_close(&d);
    }
}

static void trace_ends(const void *object, mid_visitor *visitor)
{
    const struct vec *v = object;
    mid_visit(visitor, &v->items[0]);
    mid_visit(visitor, &v->items[v->length - 1]);
}

TEST(what_a_large_traced_object_refers_to_keeps_its_handle)
{
    for (size_t items = 2000; items <= 3000; items += 1000) {
        static struct deep d;
        deep_open(&d, "deep=table");
        mid_type type = unit_type(d.u.heap, (mid_type_desc){.name = "ends", .size = sizeof(struct vec), .item_size = 4,
                                                            .length_offset = offsetof(struct vec, length), .trace = trace_ends});
        mid_handle ends = deep_put(&d, 0, unit_array(&d.u, type, items)), node = deep_node(&d, 1, 1);
        mid_store(d.u.thread, ends, ITEM(items - 1), node);
        deep_settle(&d);
        deep_compact(&d);
        ends = deep_item(&d, 0);
        assert_int_equal(deep_item(&d, 1) != node, items == 2000);
        assert_int_equal(mid_peek(d.u.thread, ends, ITEM(items - 1)), deep_item(&d, 1));
        deep_close(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_beside_and_then_stops),
        cmocka_unit_test(links_are_looked_at_again),
        cmocka_unit_test(an_identity_that_came_between_slices),
        cmocka_unit_test(a_slot_that_is_read_twice_is_one_reference),
        cmocka_unit_test(a_slice_looks_for_what_lies_high_no_further_than_its_time),
        cmocka_unit_test(a_slice_passes_over_what_is_held_no_further_than_its_time),
        cmocka_unit_test(a_slice_takes_up_free_slots_a_pool_at_a_time),
        cmocka_unit_test(what_had_very_many_links_keeps_its_handle),
        cmocka_unit_test(what_a_large_traced_object_refers_to_keeps_its_handle),
    };
    return UNIT_RUN(tests);
}
