/* Deep compaction: handles that only slots hold are given anew; the table shrinks, and objects lie as they are walked. */
#include "unit.h"

#include <stdlib.h>

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

static const char *const orders[] = {"deep=table", "deep=depth", "deep=breadth"};

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
        print_message("%d: %lu %lu\n", order, result.renamed_objects, unit_stats(&u).table_bytes);
        assert_true(result.renamed_objects >= NODES / 10 * 8 / 10);
        assert_true(unit_stats(&u).table_bytes <= (NODES / 10 * 16 + 65535) / 65536 * 65536 + 65536);
        unit_check(&u);
        all_are_there(&u, root, NODES, 10);
        mid_release(u.thread, root);
        unit_drain(&u);
        assert_int_equal(unit_live(&u), 0);
        unit_close(&u);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_shrinks_to_what_lives),
        cmocka_unit_test(a_list_lies_as_it_is_linked),
    };
    return UNIT_RUN(tests);
}
