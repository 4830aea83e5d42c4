/* Deep compaction where memory is refused: by the system at the nth request, for every n, and by the heap's own limit. */
#include "deep.h"
#include "fault_os.h"

#include "gc/deep.h"
#include "gc/heap.h"

enum { MANY = 9000 };

/* With request n refused, or all from there on, while the table is packed twice: once in slices. Returns whether any was. */
static bool pack_without(const char *order, size_t n, int for_good)
{
    struct unit u;
    struct fault_os fault;
    char text[64];
    snprintf(text, sizeof text, "%s,max-objects=1M", order);
    fault_open(&u, &fault, text);
    mid_handle root = unit_array(&u, u.vec, MANY), held = 0;
    for (size_t i = 0; i < MANY; i++) {
        mid_give(u.thread, root, ITEM(i), unit_new(&u, u.node));
        unit_node(&u, mid_peek(u.thread, root, ITEM(i)))->value = i;
    }
    held = unit_new(&u, u.node); /* up there */
    for (size_t i = 0; i < MANY; i++)
        if (i % 10 != 0)
            mid_store(u.thread, root, ITEM(i), 0);
    unit_drain(&u);
    fault.fail_at = fault.calls + n;
    fault.for_good = for_good;
    mid_status status = MID_MORE;
    for (size_t slices = 0; slices < 100000 && (status == MID_MORE || (status == MID_OK && u.heap->deepening != MID_DEEPENS_NOT)); slices++)
        status = deep_next(&u, 0);
    assert_true(status == MID_OK || (status == MID_ENOMEM && fault.failed != 0));
    assert_int_equal(u.heap->deepening, MID_DEEPENS_NOT);
    status = mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL);
    assert_true(status == MID_OK || (status == MID_ENOMEM && fault.failed != 0));
    fault.fail_at = 0;
    unit_check(&u);
    ok(mid_collect(u.thread, NULL)); /* over blocks without memory behind them, too */
    for (size_t i = 0; i < MANY; i += 10)
        assert_int_equal(unit_node(&u, mid_peek(u.thread, root, ITEM(i)))->value, i);
    mid_release(u.thread, held);
    mid_release(u.thread, root);
    bool refused = fault.failed != 0;
    fault_close(&u, &fault);
    return refused;
}

TEST(each_request_for_memory_is_refused)
{
    for (int order = 0; order < 3; order++)
        for (int for_good = 0; for_good < 2; for_good++) {
            size_t n = 1;
            while (pack_without(orders[order], n, for_good))
                n += RUNNING_ON_VALGRIND ? 5 : 1;
            assert_true(n > 5);
        }
}

/* The hard limit is where the program stands: the pass is refused, and what it had is given back. */
TEST(a_heap_at_its_limit)
{
    struct unit u;
    uint64_t committed, renamed;
    unit_open(&u, "deep=breadth,heap-limit=4M");
    mid_handle made[32], root = unit_array(&u, u.vec, 30000);
    size_t count = 0;
    while (count < 32 && mid_new_array(u.thread, u.bytes, 200000, &made[count]) == MID_OK)
        count++;
    assert_true(count < 32);
    for (size_t i = 0; i < 30000; i++) {
        mid_handle node;
        if (mid_new(u.thread, u.node, &node) != MID_OK)
            break;
        mid_give(u.thread, root, ITEM(i), node);
    }
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    committed = unit_stats(&u).committed_bytes;
    mid_status status;
    while ((status = deep_next(&u, 1000000000)) == MID_MORE || (status == MID_OK && u.heap->deepening != MID_DEEPENS_NOT))
        ;
    expect(MID_ELIMIT, status);
    expect(MID_ELIMIT, mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
    assert_int_equal(deep_slice(&u, 0, &renamed), MID_ELIMIT);
    assert_true(unit_stats(&u).committed_bytes <= committed + mid_round(sizeof(mid_deep), MID_PAGE)); /* the pass itself stays */
    unit_check(&u);
    while (count-- != 0)
        mid_release(u.thread, made[count]);
    mid_release(u.thread, root);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_for_memory_is_refused),
        cmocka_unit_test(a_heap_at_its_limit),
    };
    return UNIT_RUN(tests);
}
