/* Deep compaction: what is done at once has its bounds, and a slice whose time is up gets on all the same. */
#include "deep.h"

#include "gc/deep.h"

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
    deep_read_all(&d.u, 0);
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
    deep_read_all(&d.u, 0);
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
    deep_read_all(&d.u, 0);
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
        deep_read_all(&d.u, 0);
        for (size_t i = 0; i < many; i++)
            mid_store(d.u.thread, array, ITEM(i), 0);
        deep_finish(&d.u, 0, &slices);
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
        cmocka_unit_test(a_slice_looks_for_what_lies_high_no_further_than_its_time),
        cmocka_unit_test(a_slice_passes_over_what_is_held_no_further_than_its_time),
        cmocka_unit_test(a_slice_takes_up_free_slots_a_pool_at_a_time),
        cmocka_unit_test(what_had_very_many_links_keeps_its_handle),
        cmocka_unit_test(what_a_large_traced_object_refers_to_keeps_its_handle),
    };
    return UNIT_RUN(tests);
}
