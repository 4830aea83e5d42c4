/* The cases of CPython's test_finalization: alone, in a cycle of its own, in chains that close; normal, resurrecting, suicidal;
 * of one kind and mixed. */
#include "peers.h"

enum { CHAIN = 10 };

/* A ring of CHAIN: types[i % kinds] in turn. */
static mid_handle ring_of(struct unit *u, const mid_type *types, size_t kinds)
{
    mid_handle first = peers_node(u, types[0], 1), last = first;
    for (size_t i = 1; i < CHAIN; i++) {
        mid_handle next = peers_node(u, types[i % kinds], i + 1);
        mid_give(u->thread, last, LEFT, next);
        last = next;
    }
    mid_store(u->thread, last, LEFT, first);
    return first;
}

static void each_once(size_t calls)
{
    assert_int_equal(peers.calls, calls);
    for (size_t i = 0; i < calls; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(peers.values[i], peers.values[j]);
}

TEST(cpython_test_finalization_simple)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_weak weak;
    mid_handle one = peers_node(&u, type, 1);
    ok(mid_weak_new(u.thread, one, &weak));
    mid_release(u.thread, one);
    each_once(1);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    peers_collect(&u);
    each_once(1);
    ok(mid_weak_drop(u.thread, weak));
    peers_end(&u);
}

TEST(cpython_test_finalization_simple_resurrect)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    mid_weak weak;
    mid_handle one = peers_node(&u, type, 1);
    ok(mid_weak_new(u.thread, one, &weak));
    mid_release(u.thread, one);
    each_once(1);
    assert_int_equal(peers.saved[0], one);
    assert_int_equal(unit_live(&u), 1);
    assert_int_equal(mid_weak_get(u.thread, weak), 0); /* cleared before, and it stays so */
    peers_drop_saved(&u);
    each_once(1);
    assert_int_equal(unit_live(&u), 0);
    ok(mid_weak_drop(u.thread, weak));
    peers_end(&u);
}

/* Of a type without references, which no collector looks at. */
TEST(cpython_test_finalization_non_gc)
{
    struct unit u;
    mid_type leaf;
    peers_open(&u, "", peers_note);
    leaf = unit_type(u.heap, (mid_type_desc){.name = "leaf", .size = sizeof(struct node), .finalize = peers_note});
    mid_release(u.thread, peers_node(&u, leaf, 3));
    each_once(1);
    peers_end(&u);
}

TEST(cpython_test_finalization_non_gc_resurrect)
{
    struct unit u;
    mid_type leaf;
    peers_open(&u, "", peers_note);
    leaf = unit_type(u.heap, (mid_type_desc){.name = "leaf", .size = sizeof(struct node), .finalize = peers_save});
    mid_release(u.thread, peers_node(&u, leaf, 3));
    assert_int_equal(unit_live(&u), 1);
    peers_drop_saved(&u);
    each_once(1);
    peers_end(&u);
}

TEST(cpython_test_finalization_self_cycle_simple)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_release(u.thread, peers_self(&u, type));
    each_once(0);
    peers_collect(&u);
    each_once(1);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(cpython_test_finalization_self_cycle_simple_resurrect)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    mid_handle one = peers_self(&u, type);
    mid_release(u.thread, one);
    peers_collect(&u);
    each_once(1);
    assert_int_equal(mid_peek(u.thread, one, LEFT), one);
    assert_int_equal(unit_count(&u, one), 2);
    peers_drop_saved(&u);
    peers_collect(&u);
    each_once(1);
    peers_end(&u);
}

TEST(cpython_test_finalization_self_cycle_simple_suicide)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_break);
    mid_release(u.thread, peers_self(&u, type));
    peers_collect(&u);
    each_once(1);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

static void chain(const mid_type *types, size_t kinds, struct unit *u, size_t finalized)
{
    mid_handle first = ring_of(u, types, kinds);
    mid_release(u->thread, first);
    peers_collect(u);
    each_once(finalized);
}

/* Those that saved themselves keep the ring whole; dropped, they go without another call. */
static void chain_saved(struct unit *u, size_t finalized)
{
    assert_true(peers.saved_count > 0);
    assert_int_equal(unit_live(u), CHAIN);
    mid_handle at = peers.saved[0];
    for (size_t i = 0; i < CHAIN; i++)
        at = mid_peek(u->thread, at, LEFT);
    assert_int_equal(at, peers.saved[0]);
    peers_drop_saved(u);
    peers_collect(u);
    each_once(finalized);
    assert_int_equal(unit_live(u), 0);
}

TEST(cpython_test_finalization_chain_homogenous)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    chain(&type, 1, &u, CHAIN);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(cpython_test_finalization_chain_homogenous_resurrect)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_save);
    chain(&type, 1, &u, CHAIN);
    chain_saved(&u, CHAIN);
    peers_end(&u);
}

TEST(cpython_test_finalization_chain_homogenous_suicidal)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_break);
    chain(&type, 1, &u, CHAIN);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

static mid_type other(struct unit *u, void (*finalize)(mid_thread *, mid_handle))
{
    return unit_node_type(u->heap, (mid_type_desc){.name = "other", .finalize = finalize});
}

TEST(cpython_test_finalization_chain_heterogenous)
{
    struct unit u;
    mid_type types[2] = {peers_open(&u, "", peers_note), u.node};
    types[1] = u.node; /* of no finalizer */
    chain(types, 2, &u, CHAIN / 2);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(cpython_test_finalization_chain_heterogenous_resurrect_one)
{
    struct unit u;
    mid_type types[2] = {peers_open(&u, "", peers_save), other(&u, peers_note)};
    chain(types, 2, &u, CHAIN);
    chain_saved(&u, CHAIN);
    peers_end(&u);
}

TEST(cpython_test_finalization_chain_heterogenous_resurrect_two)
{
    struct unit u;
    mid_type types[2] = {peers_open(&u, "", peers_note), other(&u, peers_save)};
    chain(types, 2, &u, CHAIN);
    chain_saved(&u, CHAIN);
    peers_end(&u);
}

TEST(cpython_test_finalization_chain_heterogenous_resurrect_three)
{
    struct unit u;
    mid_type first = peers_open(&u, "", peers_note);
    mid_type types[3] = {first, u.node, other(&u, peers_save)};
    chain(types, 3, &u, 4 + 3); /* of ten, three have none */
    chain_saved(&u, 4 + 3);
    peers_end(&u);
}

TEST(cpython_test_finalization_chain_heterogenous_suicidal_one)
{
    struct unit u;
    mid_type types[2] = {peers_open(&u, "", peers_break), other(&u, peers_note)};
    chain(types, 2, &u, CHAIN);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

TEST(cpython_test_finalization_chain_heterogenous_suicidal_two)
{
    struct unit u;
    mid_type first = peers_open(&u, "", peers_break);
    mid_type types[3] = {first, u.node, other(&u, peers_break)};
    chain(types, 3, &u, 4 + 3);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

/* Some save themselves, some tear the ring apart: who is saved stays, with what he still reaches. */
TEST(cpython_test_finalization_chain_heterogenous_suicidal_and_resurrecting)
{
    struct unit u;
    mid_type types[2] = {peers_open(&u, "", peers_break), other(&u, peers_save)};
    mid_release(u.thread, ring_of(&u, types, 2));
    peers_collect(&u);
    unit_drain(&u);
    each_once(CHAIN);
    assert_int_equal(peers.saved_count, CHAIN / 2);
    peers_drop_saved(&u);
    peers_collect(&u);
    each_once(CHAIN);
    peers_end(&u);
}

/* Old finalizers made a cycle uncollectable there (LegacyFinalizationTest); here no finalizer does. */
TEST(cpython_test_finalization_legacy)
{
    struct unit u;
    mid_type type = peers_open(&u, "", peers_note);
    mid_handle a = peers_self(&u, type), b = peers_self(&u, type);
    mid_store(u.thread, a, RIGHT, b);
    mid_store(u.thread, b, RIGHT, a);
    unit_node(&u, b)->value = 1;
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    peers_collect(&u);
    each_once(2);
    assert_int_equal(unit_live(&u), 0);
    peers_end(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpython_test_finalization_simple),
        cmocka_unit_test(cpython_test_finalization_simple_resurrect),
        cmocka_unit_test(cpython_test_finalization_non_gc),
        cmocka_unit_test(cpython_test_finalization_non_gc_resurrect),
        cmocka_unit_test(cpython_test_finalization_self_cycle_simple),
        cmocka_unit_test(cpython_test_finalization_self_cycle_simple_resurrect),
        cmocka_unit_test(cpython_test_finalization_self_cycle_simple_suicide),
        cmocka_unit_test(cpython_test_finalization_chain_homogenous),
        cmocka_unit_test(cpython_test_finalization_chain_homogenous_resurrect),
        cmocka_unit_test(cpython_test_finalization_chain_homogenous_suicidal),
        cmocka_unit_test(cpython_test_finalization_chain_heterogenous),
        cmocka_unit_test(cpython_test_finalization_chain_heterogenous_resurrect_one),
        cmocka_unit_test(cpython_test_finalization_chain_heterogenous_resurrect_two),
        cmocka_unit_test(cpython_test_finalization_chain_heterogenous_resurrect_three),
        cmocka_unit_test(cpython_test_finalization_chain_heterogenous_suicidal_one),
        cmocka_unit_test(cpython_test_finalization_chain_heterogenous_suicidal_two),
        cmocka_unit_test(cpython_test_finalization_chain_heterogenous_suicidal_and_resurrecting),
        cmocka_unit_test(cpython_test_finalization_legacy),
    };
    return UNIT_RUN(tests);
}
