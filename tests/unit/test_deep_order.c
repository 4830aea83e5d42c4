/* Deep compaction: the table shrinks, and grows again; objects lie as they are walked. */
#include "deep.h"

enum { NODES = 40000 };

static mid_handle item(struct unit *u, mid_handle root, size_t i)
{
    return mid_peek(u->thread, root, ITEM(i));
}

static uint64_t value(struct unit *u, mid_handle node)
{
    return unit_node(u, node)->value;
}

/* An array of nodes that nothing else holds; node i has the value i. */
static mid_handle nodes_in_array(struct unit *u, mid_type type, size_t count)
{
    mid_handle root = unit_array(u, u->vec, count);
    for (size_t i = 0; i < count; i++) {
        mid_handle node = unit_new(u, type);
        unit_node(u, node)->value = i;
        mid_give(u->thread, root, ITEM(i), node);
    }
    return root;
}

static void keep_one_in(struct unit *u, mid_handle root, size_t count, size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (i % n != 0)
            mid_store(u->thread, root, ITEM(i), 0);
    unit_drain(u);
}

static void all_are_there(struct unit *u, mid_handle root, size_t count, size_t n)
{
    for (size_t i = 0; i < count; i += n) {
        assert_true(mid_is_live(u->thread, item(u, root, i)));
        assert_int_equal(value(u, item(u, root, i)), i);
        assert_int_equal(unit_count(u, item(u, root, i)), 1);
    }
}

TEST(the_table_shrinks_to_what_lives)
{
    for (int order = 0; order < 3; order++) {
        struct unit u;
        mid_compact_result result;
        unit_open(&u, orders[order]);
        mid_handle root = nodes_in_array(&u, u.node, NODES);
        keep_one_in(&u, root, NODES, 10);
        ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, &result));
        assert_int_equal(result.renamed_objects, 0);
        assert_true(unit_stats(&u).table_bytes >= NODES * 16 - 65536);
        ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, &result));
        assert_true(result.renamed_objects >= NODES / 10 * 8 / 10);
        assert_true(unit_stats(&u).table_bytes <= (NODES / 10 * 16 + 65535) / 65536 * 65536 + 65536);
        unit_check(&u);
        all_are_there(&u, root, NODES, 10);
        mid_release(u.thread, root);
        unit_drain(&u);
        unit_close_empty(&u);
    }
}

/* Linked in an order that has nothing to do with that of their birth. */
static void link_at_random(struct unit *u, mid_handle root, size_t count, size_t *order)
{
    uint64_t seed = 7;
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t other = unit_random(&seed) % i, kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
    for (size_t i = 0; i + 1 < count; i++)
        mid_store(u->thread, item(u, root, order[i]), LEFT, item(u, root, order[i + 1]));
}

TEST(a_list_lies_as_it_is_linked)
{
    static size_t order[NODES];
    struct unit u;
    unit_open(&u, "deep=depth");
    mid_handle root = nodes_in_array(&u, u.node, NODES);
    link_at_random(&u, root, NODES, order);
    ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
    unit_check(&u);
    /* From any node on the list goes up, handle after handle, and address after address but for the ends of pools. */
    size_t steps = 0, breaks = 0;
    for (size_t i = 0; i + 1 < NODES; i++) {
        mid_handle from = item(&u, root, order[i]), to = mid_peek(u.thread, from, LEFT);
        assert_int_equal(value(&u, to), order[i + 1]);
        steps += to == from + 2;
        breaks += (char *)mid_get(u.thread, to) != (char *)mid_get(u.thread, from) + sizeof(struct node);
    }
    assert_true(steps >= NODES - 20);
    assert_true(breaks <= NODES / 1000);
    mid_release(u.thread, root);
    unit_close(&u);
}

/* --- breadth ---------------------------------------------------------------------------------------------------------- */

enum { LEVELS = 12, TREE = (1 << LEVELS) - 1 };

/* A full tree, made from a shuffled array of nodes: what is n-th by breadth has the value n. The array is gone afterwards. */
static mid_handle tree(struct unit *u)
{
    static size_t order[TREE];
    mid_handle nodes = nodes_in_array(u, u->node, TREE);
    uint64_t seed = 11;
    for (size_t i = 0; i < TREE; i++)
        order[i] = i;
    for (size_t i = TREE; i > 1; i--) {
        size_t other = unit_random(&seed) % i, kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
    for (size_t i = 0; i < TREE; i++) {
        mid_handle node = item(u, nodes, order[i]);
        unit_node(u, node)->value = i;
        for (unsigned side = 0; side < 2 && 2 * i + 2 < TREE; side++)
            mid_store(u->thread, node, LEFT + side, item(u, nodes, order[2 * i + 1 + side]));
    }
    mid_handle root = mid_retain(u->thread, item(u, nodes, order[0]));
    mid_release(u->thread, nodes);
    unit_drain(u);
    ok(mid_collect(u->thread, NULL));
    return root;
}

/* Handles grow along the walk, one by one, but for the root's, which the test holds. */
static void check_tree(struct unit *u, mid_handle root, bool breadth)
{
    static mid_handle walk[TREE];
    size_t head = 0, count = 0, steps = 0;
    walk[count++] = root;
    if (breadth) {
        for (; head < count; head++)
            for (unsigned side = 0; side < 2; side++)
                if (mid_peek(u->thread, walk[head], LEFT + side) != 0)
                    walk[count++] = mid_peek(u->thread, walk[head], LEFT + side);
    } else {
        mid_handle stack[LEVELS + 1];
        size_t height = 0;
        for (count = 0, stack[height++] = root; height != 0;) {
            mid_handle at = stack[--height];
            walk[count++] = at;
            for (unsigned side = 2; side-- != 0;)
                if (mid_peek(u->thread, at, LEFT + side) != 0)
                    stack[height++] = mid_peek(u->thread, at, LEFT + side);
        }
    }
    assert_int_equal(count, TREE);
    for (size_t i = 2; i < TREE; i++)
        steps += walk[i] == walk[i - 1] + 2;
    assert_true(steps >= TREE - 8); /* the root's number is passed over */
    for (size_t i = 0; breadth && i < TREE; i++)
        assert_int_equal(unit_node(u, walk[i])->value, i);
}

TEST(a_tree_lies_as_it_is_walked)
{
    for (int order = 1; order < 3; order++) {
        struct unit u;
        unit_open(&u, orders[order]);
        mid_handle root = tree(&u);
        ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
        unit_check(&u);
        check_tree(&u, root, order == 2);
        mid_release(u.thread, root);
        unit_close(&u);
    }
}

/* In the order of the table what need not move keeps its handle. */
TEST(in_the_order_of_the_table_only_what_lies_high_is_renamed)
{
    enum { COUNT = 12288 };
    static mid_handle before[COUNT];
    struct unit u;
    mid_compact_result result;
    unit_open(&u, "deep=table");
    mid_handle root = nodes_in_array(&u, u.node, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        before[i] = item(&u, root, i);
    keep_one_in(&u, root, COUNT, 4);
    ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, &result));
    unit_check(&u);
    size_t kept = 0;
    for (size_t i = 0; i < COUNT; i += 4) {
        mid_handle now = item(&u, root, i);
        assert_true(now <= before[i]);
        assert_true(now == before[i] || before[i] / 2 > COUNT / 4);
        kept += now == before[i];
    }
    assert_int_equal(result.renamed_objects, COUNT / 4 - kept);
    assert_in_range(kept, COUNT / 16 - 20, COUNT / 16 + 20);
    all_are_there(&u, root, COUNT, 4);
    mid_release(u.thread, root);
    unit_close(&u);
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

static void fill_to(struct unit *u, mid_handle *made, size_t most, size_t *count)
{
    mid_status status = MID_OK;
    while (*count < most && (status = mid_new(u->thread, u->node, &made[*count])) == MID_OK) {
        assert_int_equal(unit_node(u, made[*count])->value, 0);
        ++*count;
    }
    expect(*count == most ? MID_OK : MID_ELIMIT, status);
}

TEST(a_table_that_shrank_can_be_filled)
{
    enum { MOST = 1 << 16 };
    for (int order = 0; order < 3; order++) {
        static mid_handle made[MOST];
        struct unit u;
        mid_options options;
        mid_options_init(&options);
        ok(mid_options_parse(&options, orders[order], NULL));
        options.max_objects = MOST;
        unit_open_with(&u, &options);
        for (int round = 0; round < 3; round++) {
            size_t count = 0;
            fill_to(&u, made, MOST, &count);
            assert_true(count > MOST - 300);
            mid_handle root = made[count / 2], last = made[count - 1];
            for (size_t i = 0; i < count; i++)
                if (i != count / 2)
                    mid_release(u.thread, made[i]);
            unit_drain(&u);
            ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
            unit_check(&u);
            assert_true(unit_stats(&u).table_bytes <= 3 * 65536);
            assert_int_equal(mid_is_live(u.thread, last), 0);
            assert_int_equal(mid_is_live(u.thread, root), 1);
            mid_release(u.thread, root);
        }
        unit_close(&u);
    }
}

/* One block for all but the root, which the test holds where it was made. */
TEST(the_entries_of_free_slots_go_as_low_as_they_can)
{
    for (int order = 0; order < 3; order++) {
        static struct deep d;
        deep_open(&d, orders[order]);
        mid_type type = unit_plain_type(d.u.heap, "kilobyte", 1024);
        deep_put(&d, 0, unit_new(&d.u, type));
        deep_settle(&d);
        assert_true(deep_compact(&d) >= 1);
        assert_int_equal(unit_stats(&d.u).table_bytes, 2 * 65536);
        deep_close(&d);
    }
}

/* The 100,000 items are more than a piece, and the stack of a walk does not hold them all. */
TEST(a_large_array_and_what_is_in_it)
{
    enum { ITEMS = 100000 };
    for (int order = 0; order < 3; order++) {
        struct unit u;
        unit_open(&u, orders[order]);
        mid_handle top = unit_array(&u, u.vec, 1);
        mid_give(u.thread, top, ITEM(0), nodes_in_array(&u, u.node, ITEMS));
        keep_one_in(&u, item(&u, top, 0), ITEMS, 3);
        ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
        unit_check(&u);
        mid_handle array = item(&u, top, 0);
        all_are_there(&u, array, ITEMS, 3);
        mid_handle last = item(&u, array, 3);
        for (size_t i = 6; order != 0 && i < ITEMS; last = item(&u, array, i), i += 3)
            assert_true(item(&u, array, i) > last);
        assert_true(unit_stats(&u).table_bytes <= ITEMS / 3 * 16 + 2 * 65536);
        ok(mid_resize(u.thread, array, ITEMS / 2));
        mid_release(u.thread, top);
        unit_close(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_shrinks_to_what_lives),
        cmocka_unit_test(a_list_lies_as_it_is_linked),
        cmocka_unit_test(a_tree_lies_as_it_is_walked),
        cmocka_unit_test(in_the_order_of_the_table_only_what_lies_high_is_renamed),
        cmocka_unit_test(a_table_that_shrank_can_be_filled),
        cmocka_unit_test(the_entries_of_free_slots_go_as_low_as_they_can),
        cmocka_unit_test(a_large_array_and_what_is_in_it),
    };
    return UNIT_RUN(tests);
}
