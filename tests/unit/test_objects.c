/* Objects: making, counting, references, immediate integers, immortality, resize. */
#include "unit.h"

TEST(a_new_object_is_empty_and_counted_once)
{
    struct unit u;
    unit_open(&u, "");
    for (int round = 0; round < 3; round++) { /* used slots must come back zeroed */
        mid_handle objects[300];
        for (int i = 0; i < 300; i++) {
            objects[i] = unit_new(&u, u.node);
            struct node *node = unit_node(&u, objects[i]);
            assert_true(node->value == 0 && node->left.bits_ == 0 && node->right.bits_ == 0);
            node->value = UINT64_MAX;
            assert_int_equal(unit_count(&u, objects[i]), 1);
            assert_true(mid_is_live(u.thread, objects[i]));
        }
        assert_int_equal(unit_live(&u), 300);
        for (int i = 0; i < 300; i++)
            mid_release(u.thread, objects[i]);
        assert_int_equal(unit_live(&u), 0);
    }
    unit_close(&u);
}

TEST(questions_about_an_object)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle node = unit_new(&u, u.node), vec = unit_array(&u, u.vec, 5), bytes = unit_array(&u, u.bytes, 0);
    mid_type type;
    size_t value;
    ok(mid_type_of(u.thread, node, &type));
    assert_int_equal(type, u.node);
    ok(mid_type_of(u.thread, vec, &type));
    assert_int_equal(type, u.vec);
    ok(mid_size_of(u.thread, node, &value));
    assert_int_equal(value, sizeof(struct node));
    ok(mid_size_of(u.thread, vec, &value));
    assert_int_equal(value, sizeof(struct vec) + 5 * sizeof(mid_slot));
    ok(mid_items_of(u.thread, node, &value));
    assert_int_equal(value, 0);
    ok(mid_items_of(u.thread, vec, &value));
    assert_int_equal(value, 5);
    assert_int_equal(((struct vec *)mid_get(u.thread, vec))->length, 5);
    ok(mid_items_of(u.thread, bytes, &value));
    assert_int_equal(value, 0);
    assert_ptr_equal(mid_thread_heap(u.thread), u.heap);
    mid_release(u.thread, node);
    assert_false(mid_is_live(u.thread, node));
    expect(MID_EHANDLE, mid_type_of(u.thread, node, &type));
    mid_release(u.thread, vec);
    mid_release(u.thread, bytes);
    unit_close(&u);
}

TEST(counts_follow_the_references)
{
    struct unit u;
    unit_open(&u, "");
    mid_thread *t = u.thread;
    mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node), c = unit_new(&u, u.node);
    assert_int_equal(mid_retain(t, a), a);
    assert_int_equal(unit_count(&u, a), 2);
    mid_release(t, a);
    mid_store(t, a, LEFT, b); /* the slot's and ours */
    assert_int_equal(unit_count(&u, b), 2);
    assert_int_equal(mid_peek(t, a, LEFT), b);
    assert_int_equal(unit_count(&u, b), 2);
    assert_int_equal(mid_load(t, a, LEFT), b);
    assert_int_equal(unit_count(&u, b), 3);
    mid_release(t, b);
    mid_store(t, a, LEFT, b); /* the same again */
    assert_int_equal(unit_count(&u, b), 2);
    mid_give(t, a, RIGHT, c); /* ours passes over */
    assert_int_equal(unit_count(&u, c), 1);
    assert_int_equal(mid_swap(t, a, RIGHT, mid_retain(t, b)), c);
    assert_int_equal(unit_count(&u, b), 3);
    assert_int_equal(unit_count(&u, c), 1);
    assert_int_equal(mid_take(t, a, RIGHT), b);
    assert_int_equal(mid_peek(t, a, RIGHT), 0);
    mid_release(t, b);
    mid_give(t, a, LEFT, c); /* b leaves the slot */
    assert_int_equal(unit_count(&u, b), 1);
    unit_check(&u);
    mid_release(t, b);
    mid_release(t, a);
    unit_close_empty(&u);
}

TEST(storing_over_the_last_reference_frees_what_was_there)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node);
    mid_give(u.thread, a, LEFT, unit_new(&u, u.node));
    mid_handle old = mid_peek(u.thread, a, LEFT);
    mid_store(u.thread, a, LEFT, 0);
    assert_false(mid_is_live(u.thread, old));
    assert_int_equal(unit_live(&u), 1);
    mid_give(u.thread, a, LEFT, unit_new(&u, u.node)); /* a -> b -> c, then a.left = c out of b */
    mid_handle b = mid_peek(u.thread, a, LEFT);
    mid_give(u.thread, b, LEFT, unit_new(&u, u.node));
    mid_store(u.thread, a, LEFT, mid_peek(u.thread, b, LEFT));
    assert_int_equal(unit_live(&u), 2);
    assert_int_equal(unit_count(&u, mid_peek(u.thread, a, LEFT)), 1);
    unit_check(&u);
    mid_release(u.thread, a);
    unit_close(&u);
}

TEST(null_and_integers_need_no_counting)
{
    struct unit u;
    unit_open(&u, "");
    static const int32_t numbers[] = {0, 1, -1, 42, MID_INT_MIN, MID_INT_MAX, MID_INT_MIN + 1, MID_INT_MAX - 1};
    mid_handle a = unit_new(&u, u.node);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        mid_handle n = mid_from_int(numbers[i]);
        assert_true(mid_is_int(n));
        assert_int_equal(mid_to_int(n), numbers[i]);
        assert_int_equal(mid_retain(u.thread, n), n);
        mid_release(u.thread, n);
        mid_store(u.thread, a, LEFT, n);
        assert_int_equal(mid_load(u.thread, a, LEFT), n);
        assert_int_equal(mid_take(u.thread, a, LEFT), n);
        assert_false(mid_is_live(u.thread, n));
    }
    assert_false(mid_is_int(0));
    assert_false(mid_is_int(a));
    assert_int_equal(mid_to_int(mid_from_int(MID_INT_MAX + 1)), MID_INT_MIN); /* wraps */
    assert_int_equal(mid_retain(u.thread, 0), 0);
    mid_release(u.thread, 0);
    mid_store(u.thread, a, LEFT, 0);
    assert_int_equal(mid_load(u.thread, a, LEFT), 0);
    mid_store(u.thread, a, LEFT, mid_from_int(7)); /* dies holding one */
    assert_int_equal(unit_live(&u), 1);
    unit_check(&u);
    mid_release(u.thread, a);
    unit_close(&u);
}

TEST(arrays_hold_and_release_their_items)
{
    struct unit u;
    unit_open(&u, "");
    static const size_t lengths[] = {0, 1, 2, 100, 5000, 20000, 300000};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        mid_handle vec = unit_array(&u, u.vec, lengths[k]);
        for (size_t i = 0; i < lengths[k]; i += 1 + i / 50) {
            assert_int_equal(mid_peek(u.thread, vec, ITEM(i)), 0);
            mid_give(u.thread, vec, ITEM(i), unit_new(&u, u.node));
        }
        unit_check(&u);
        mid_release(u.thread, vec);
        unit_drain(&u);
        assert_int_equal(unit_live(&u), 0);
    }
    unit_close(&u);
}

TEST(an_immortal_object_ignores_counting)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_new(&u, u.node), held = unit_new(&u, u.node);
    mid_give(u.thread, a, LEFT, held);
    ok(mid_immortalize(u.thread, a));
    assert_int_equal(unit_count(&u, a), UINT32_MAX);
    for (int i = 0; i < 100; i++)
        mid_release(u.thread, a);
    for (int i = 0; i < 1000; i++)
        mid_retain(u.thread, a);
    ok(mid_collect(u.thread, NULL));
    assert_true(mid_is_live(u.thread, a));
    assert_true(mid_is_live(u.thread, held));
    assert_int_equal(unit_count(&u, a), UINT32_MAX);
    ok(mid_immortalize(u.thread, a));
    unit_destroy(&u);
}

/* The owner's half spills into the others', which sticks from the middle of its range on. With others: test_counts.c. */
TEST(a_count_about_to_overflow_sticks)
{
    struct unit u;
    unit_open(&u, "shared=off");
    mid_handle a = unit_new(&u, u.node), b = unit_new(&u, u.node);
    uint32_t spilled = INT32_MAX / MID_SHARED_ONE_ / 2 - 3, most = MID_LOCAL_ / MID_ONE_;
    mid_entry_(u.thread, a)->shared += spilled * MID_SHARED_ONE_;
    mid_entry_(u.thread, b)->shared += (spilled - most) * MID_SHARED_ONE_;
    assert_int_equal(unit_count(&u, a), 1 + spilled);
    for (uint32_t i = 0; i < most; i++) {
        mid_retain(u.thread, a);
        mid_retain(u.thread, b);
    }
    assert_int_equal(unit_count(&u, a), UINT32_MAX);
    assert_int_equal(unit_count(&u, b), 1 + spilled);
    for (uint32_t i = 0; i < most; i++) {
        mid_release(u.thread, a);
        mid_release(u.thread, b);
    }
    assert_int_equal(unit_count(&u, a), UINT32_MAX);
    assert_int_equal(unit_count(&u, b), 1 + spilled - most);
    ok(mid_collect(u.thread, NULL));
    assert_true(mid_is_live(u.thread, a) && mid_is_live(u.thread, b));
    unit_destroy(&u);
}

/* Byte i of an array with this seed. */
static unsigned char pattern(size_t seed, size_t i)
{
    return (unsigned char)((i * 31 + (i >> 9) + seed) ^ 0x5A);
}

static void resize_and_verify(struct unit *u, mid_handle object, size_t from, size_t to)
{
    struct bytes *before = mid_get(u->thread, object);
    before->tag = from;
    for (size_t i = 0; i < from; i++)
        before->data[i] = pattern(7, i);
    ok(mid_resize(u->thread, object, to));
    struct bytes *after = mid_get(u->thread, object);
    assert_int_equal(after->length, to);
    assert_int_equal(after->tag, from);
    size_t wrong = 0;
    for (size_t i = 0; i < to; i++)
        wrong += after->data[i] != (i < from ? pattern(7, i) : 0);
    assert_int_equal(wrong, 0);
    memset(after->data, 0xEE, to);
    size_t items = 0;
    ok(mid_items_of(u->thread, object, &items));
    assert_int_equal(items, to);
    assert_int_equal(unit_count(u, object), 1);
}

TEST(resize_keeps_handle_and_contents_across_all_kinds_of_memory)
{
    struct unit u;
    unit_open(&u, "");
    /* in a slot, the next class, a run, a longer run, a mapping, a longer one, and every way back */
    static const size_t sizes[] = {0, 1, 8, 100, 1000, 32000, 33000, 500000, 1040000, 1060000, 5000000, 1048552, 70000, 32752, 50, 0};
    mid_handle neighbour = unit_array(&u, u.bytes, 100), object = unit_array(&u, u.bytes, 0);
    memset(((struct bytes *)mid_get(u.thread, neighbour))->data, 0x77, 100);
    size_t count = sizeof sizes / sizeof *sizes;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            ok(mid_resize(u.thread, object, sizes[i]));
            resize_and_verify(&u, object, sizes[i], sizes[k]);
        }
    unit_check(&u);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(((struct bytes *)mid_get(u.thread, neighbour))->data[i], 0x77);
    mid_release(u.thread, object);
    mid_release(u.thread, neighbour);
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).mapping_bytes, 0);
    unit_close(&u);
}

TEST(resize_by_one_item_at_a_time)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle object = unit_array(&u, u.bytes, 0);
    for (size_t items = 1; items <= 3000; items++) {
        ok(mid_resize(u.thread, object, items));
        struct bytes *at = mid_get(u.thread, object);
        assert_int_equal(at->data[items - 1], 0);
        at->data[items - 1] = pattern(1, items - 1);
    }
    for (size_t items = 3000; items-- > 0;) {
        struct bytes *at = mid_get(u.thread, object);
        assert_int_equal(at->data[items], pattern(1, items));
        ok(mid_resize(u.thread, object, items));
    }
    mid_release(u.thread, object);
    unit_close(&u);
}

TEST(shrinking_an_array_of_references_releases_what_goes)
{
    struct unit u;
    unit_open(&u, "");
    static const size_t full[] = {10, 1000, 20000, 300000};
    for (size_t k = 0; k < 4; k++) {
        mid_handle vec = unit_array(&u, u.vec, full[k]), kept = unit_new(&u, u.node);
        for (size_t i = 0; i < full[k]; i++)
            mid_store(u.thread, vec, ITEM(i), kept);
        mid_give(u.thread, vec, ITEM(full[k] - 1), unit_new(&u, u.node));
        ok(mid_resize(u.thread, vec, full[k] / 2));
        unit_drain(&u);
        assert_int_equal(unit_count(&u, kept), 1 + full[k] / 2);
        assert_int_equal(unit_live(&u), 2);
        ok(mid_resize(u.thread, vec, full[k]));
        assert_int_equal(mid_peek(u.thread, vec, ITEM(full[k] - 1)), 0);
        assert_int_equal(mid_peek(u.thread, vec, ITEM(full[k] / 2 - 1)), kept);
        unit_check(&u);
        ok(mid_resize(u.thread, vec, 0));
        unit_drain(&u);
        assert_int_equal(unit_count(&u, kept), 1);
        mid_release(u.thread, vec);
        mid_release(u.thread, kept);
    }
    unit_close(&u);
}

/* Items whose references only a trace function knows. */
struct pairs {
    uint32_t length, spare;
    struct {
        mid_slot key;
        uint32_t weight;
    } items[];
};

static void trace_pairs(const void *object, mid_visitor *visitor)
{
    const struct pairs *pairs = object;
    for (uint32_t i = 0; i < pairs->length; i++)
        mid_visit(visitor, &pairs->items[i].key);
}

TEST(shrinking_releases_traced_items_too)
{
    struct unit u;
    static const uint32_t full[] = {8, 500, 10000, 200000};
    unit_open(&u, "");
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "pairs", .size = sizeof(struct pairs), .item_size = 8,
                                                      .length_offset = offsetof(struct pairs, length), .trace = trace_pairs});
    for (size_t k = 0; k < 4; k++) {
        mid_handle pairs = unit_array(&u, type, full[k]), kept = unit_new(&u, u.node);
        for (uint32_t i = 0; i < full[k]; i++)
            mid_store(u.thread, pairs, 2 + 2 * i, kept);
        mid_give(u.thread, pairs, 2 + 2 * (full[k] - 1), unit_new(&u, u.node));
        assert_int_equal(unit_count(&u, kept), full[k]);
        ok(mid_resize(u.thread, pairs, full[k] / 2));
        unit_drain(&u);
        assert_int_equal(unit_count(&u, kept), 1 + full[k] / 2);
        assert_int_equal(unit_live(&u), 2);
        ok(mid_resize(u.thread, pairs, full[k]));
        assert_int_equal(mid_peek(u.thread, pairs, 2 + 2 * (full[k] - 1)), 0);
        unit_check(&u);
        ok(mid_collect(u.thread, NULL));
        ok(mid_resize(u.thread, pairs, 0));
        unit_drain(&u);
        assert_int_equal(unit_count(&u, kept), 1);
        mid_release(u.thread, pairs);
        mid_release(u.thread, kept);
        assert_int_equal(unit_live(&u), 0);
    }
    unit_close(&u);
}

TEST(a_pinned_object_is_not_resized_elsewhere)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle object = unit_array(&u, u.bytes, 100);
    void *address = NULL;
    ok(mid_pin(u.thread, object, &address));
    memset(((struct bytes *)address)->data, 0x33, 100);
    expect(MID_EPINNED, mid_resize(u.thread, object, 100000));
    assert_ptr_equal(mid_get(u.thread, object), address);
    assert_int_equal(((struct bytes *)address)->length, 100);
    assert_int_equal(((struct bytes *)address)->data[99], 0x33);
    ok(mid_resize(u.thread, object, 99)); /* fits where it is */
    assert_ptr_equal(mid_get(u.thread, object), address);
    ok(mid_unpin(u.thread, object));
    ok(mid_resize(u.thread, object, 100000));
    assert_int_equal(((struct bytes *)mid_get(u.thread, object))->data[98], 0x33);
    mid_release(u.thread, object);
    unit_close(&u);
}

TEST(sizes_beyond_all_bounds)
{
    struct unit u;
    unit_open(&u, "");
    static const size_t far[] = {SIZE_MAX, SIZE_MAX / 4, SIZE_MAX / 4 + 1, SIZE_MAX - 8, ((size_t)1 << 40) + 1, (size_t)1 << 62};
    mid_handle vec = unit_array(&u, u.vec, 3), bytes = unit_array(&u, u.bytes, 3), none = 1;
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        expect(MID_ESIZE, mid_new_array(u.thread, u.vec, far[i], &none));
        assert_int_equal(none, 0);
        expect(MID_ESIZE, mid_new_array(u.thread, u.bytes, far[i], &none));
        expect(MID_ESIZE, mid_resize(u.thread, vec, far[i]));
        expect(MID_ESIZE, mid_resize(u.thread, bytes, far[i]));
        size_t items = 0;
        ok(mid_items_of(u.thread, vec, &items));
        assert_int_equal(items, 3);
    }
    mid_release(u.thread, vec);
    mid_release(u.thread, bytes);
    unit_close(&u);
}

TEST(the_length_field_cannot_hold_more_than_32_bits)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle none = 1;
    mid_status status = mid_new_array(u.thread, u.bytes, ((size_t)1 << 32) + 5, &none);
    assert_true(status == MID_ESIZE || status == MID_EINVAL);
    assert_int_equal(none, 0);
    unit_close(&u);
}

TEST(many_large_mappings_come_and_go)
{
    struct unit u;
    unit_open(&u, "");
    enum { COUNT = 1100 }; /* more than the number of own mappings a heap keeps */
    static mid_handle objects[COUNT];
    size_t made = 0;
    for (; made < COUNT; made++) {
        mid_status status = mid_new_array(u.thread, u.bytes, (1u << 20) + 4096, &objects[made]);
        if (status != MID_OK) {
            assert_true(status == MID_ELIMIT || status == MID_ENOMEM);
            break;
        }
        ((struct bytes *)mid_get(u.thread, objects[made]))->data[1u << 20] = (unsigned char)made;
    }
    assert_true(made >= 900);
    unit_check(&u);
    for (size_t i = 0; i < made; i++) {
        assert_int_equal(((struct bytes *)mid_get(u.thread, objects[i]))->data[1u << 20], (unsigned char)i);
        mid_release(u.thread, objects[i]);
    }
    assert_int_equal(unit_stats(&u).mapping_bytes, 0);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_object_is_empty_and_counted_once),
        cmocka_unit_test(questions_about_an_object),
        cmocka_unit_test(counts_follow_the_references),
        cmocka_unit_test(storing_over_the_last_reference_frees_what_was_there),
        cmocka_unit_test(null_and_integers_need_no_counting),
        cmocka_unit_test(arrays_hold_and_release_their_items),
        cmocka_unit_test(an_immortal_object_ignores_counting),
        cmocka_unit_test(a_count_about_to_overflow_sticks),
        cmocka_unit_test(resize_keeps_handle_and_contents_across_all_kinds_of_memory),
        cmocka_unit_test(resize_by_one_item_at_a_time),
        cmocka_unit_test(shrinking_an_array_of_references_releases_what_goes),
        cmocka_unit_test(a_pinned_object_is_not_resized_elsewhere),
        cmocka_unit_test(sizes_beyond_all_bounds),
        cmocka_unit_test(the_length_field_cannot_hold_more_than_32_bits),
        cmocka_unit_test(many_large_mappings_come_and_go),
        cmocka_unit_test(shrinking_releases_traced_items_too),
    };
    return UNIT_RUN(tests);
}
