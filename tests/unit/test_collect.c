/* The cycle collector: exactly the unreachable goes, exactly once, whatever shape it has. */
#include "unit.h"

struct owner {
    struct node node;
    unsigned char *payload;
};

static void count_free(void *payload, void *context)
{
    ++*(unsigned char *)payload;
    ++*(size_t *)context;
}

static size_t payloads_freed;

static mid_type owner_type(struct unit *u)
{
    payloads_freed = 0;
    return unit_node_type(u->heap, (mid_type_desc){.name = "owner", .size = sizeof(struct owner), .payload_free = count_free,
                                                   .payload_context = &payloads_freed,
                                                   .payload_offset = offsetof(struct owner, payload)});
}

static mid_collect_result collect(struct unit *u)
{
    mid_collect_result result;
    memset(&result, 0xFF, sizeof result);
    ok(mid_collect(u->thread, &result));
    assert_true(result.freed <= result.garbage && result.garbage <= result.candidates);
    unit_check(u);
    return result;
}

TEST(an_empty_heap)
{
    struct unit u;
    unit_open(&u, "");
    mid_collect_result result = collect(&u);
    assert_int_equal(result.garbage, 0);
    assert_int_equal(result.freed, 0);
    assert_int_equal(unit_stats(&u).collections, 1);
    unit_close(&u);
}

TEST(rings_of_every_size)
{
    struct unit u;
    unit_open(&u, "");
    for (size_t size = 1; size < 30000; size = size * 3 + 1) {
        mid_handle ring = unit_ring(&u, u.node, size);
        assert_int_equal(collect(&u).freed, 0); /* we hold it */
        assert_int_equal(unit_live(&u), size);
        mid_release(u.thread, ring);
        assert_int_equal(unit_live(&u), size);
        mid_collect_result result = collect(&u);
        assert_int_equal(result.garbage, size);
        assert_int_equal(result.freed, size);
        assert_int_equal(unit_live(&u), 0);
        assert_false(mid_is_live(u.thread, ring));
    }
    unit_close(&u);
}

TEST(one_outside_count_anywhere_keeps_a_ring)
{
    struct unit u;
    unit_open(&u, "");
    for (size_t kept = 0; kept < 6; kept++) {
        mid_handle ring = unit_ring(&u, u.node, 6), at = ring;
        for (size_t i = 0; i < kept; i++)
            at = mid_peek(u.thread, at, LEFT);
        mid_retain(u.thread, at);
        mid_release(u.thread, ring);
        assert_int_equal(collect(&u).freed, 0);
        assert_int_equal(unit_live(&u), 6);
        mid_release(u.thread, at);
        assert_int_equal(collect(&u).freed, 6);
    }
    unit_close(&u);
}

TEST(an_immortal_member_or_holder_keeps_a_ring)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 4), held = unit_ring(&u, u.node, 5), holder = unit_new(&u, u.node);
    ok(mid_immortalize(u.thread, mid_peek(u.thread, ring, LEFT)));
    ok(mid_immortalize(u.thread, holder));
    mid_give(u.thread, holder, LEFT, held);
    mid_release(u.thread, ring);
    assert_int_equal(collect(&u).freed, 0);
    assert_int_equal(unit_live(&u), 10);
    mid_store(u.thread, holder, LEFT, 0);
    assert_int_equal(collect(&u).freed, 5);
    assert_int_equal(unit_live(&u), 5);
    unit_destroy(&u);
}

TEST(self_loops)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle one = unit_new(&u, u.node), both = unit_new(&u, u.node);
    mid_store(u.thread, one, LEFT, one);
    mid_store(u.thread, both, LEFT, both);
    mid_store(u.thread, both, RIGHT, both);
    assert_int_equal(unit_count(&u, both), 3);
    assert_int_equal(collect(&u).freed, 0);
    mid_release(u.thread, one);
    mid_release(u.thread, both);
    assert_int_equal(collect(&u).freed, 2);
    unit_close(&u);
}

TEST(cliques_through_arrays)
{
    struct unit u;
    enum { COUNT = 40 };
    mid_handle member[COUNT];
    unit_open(&u, "");
    for (size_t i = 0; i < COUNT; i++)
        member[i] = unit_array(&u, u.vec, COUNT + 1);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0; k < COUNT; k++)
            mid_store(u.thread, member[i], ITEM(k), member[k]);
    for (size_t i = 1; i < COUNT; i++)
        mid_release(u.thread, member[i]);
    assert_int_equal(collect(&u).freed, 0);
    mid_store(u.thread, member[3], ITEM(COUNT), mid_from_int(5));
    mid_release(u.thread, member[0]);
    assert_int_equal(collect(&u).freed, COUNT);
    unit_close_empty(&u);
}

/* a live list -> ring: keeps it. ring -> tail: goes with it. ring -> shared <- live: stays. */
TEST(tails_in_and_out)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle head = unit_new(&u, u.node), ring = unit_ring(&u, u.node, 3), shared = unit_new(&u, u.node), tail = 0;
    for (int i = 0; i < 50; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, tail);
        tail = next;
    }
    mid_store(u.thread, tail, RIGHT, shared);
    mid_give(u.thread, ring, RIGHT, tail);
    mid_give(u.thread, head, LEFT, ring);
    assert_int_equal(collect(&u).freed, 0);
    assert_int_equal(unit_live(&u), 55);
    mid_store(u.thread, head, LEFT, 0);
    collect(&u);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 2);
    assert_int_equal(unit_count(&u, shared), 1);
    mid_release(u.thread, shared);
    mid_release(u.thread, head);
    unit_close_empty(&u);
}

TEST(acyclic_holders_count_as_outside)
{
    struct unit u;
    unit_open(&u, "");
    mid_type acyclic = unit_node_type(u.heap, (mid_type_desc){.name = "acyclic", .flags = MID_ACYCLIC});
    mid_handle holder = unit_new(&u, acyclic), ring = unit_ring(&u, u.node, 7);
    mid_give(u.thread, holder, LEFT, ring);
    assert_int_equal(collect(&u).freed, 0);
    assert_int_equal(unit_live(&u), 8);
    mid_release(u.thread, holder);
    assert_int_equal(collect(&u).freed, 7);
    /* acyclic objects that hang off a ring go with it */
    ring = unit_ring(&u, u.node, 7);
    mid_handle leaf = unit_new(&u, acyclic);
    mid_give(u.thread, leaf, LEFT, unit_new(&u, acyclic));
    mid_give(u.thread, ring, RIGHT, leaf);
    mid_release(u.thread, ring);
    collect(&u);
    unit_drain(&u);
    unit_close_empty(&u);
}

TEST(a_false_acyclic_claim_leaks_and_breaks_nothing)
{
    struct unit u;
    unit_open(&u, "");
    mid_type acyclic = unit_node_type(u.heap, (mid_type_desc){.name = "acyclic", .flags = MID_ACYCLIC});
    mid_handle liar = unit_new(&u, acyclic);
    mid_store(u.thread, liar, LEFT, liar);
    mid_release(u.thread, liar);
    assert_int_equal(collect(&u).candidates, 0);
    assert_int_equal(unit_live(&u), 1);
    unit_destroy(&u);
}

TEST(atoms_are_no_candidates)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle objects[100];
    for (int i = 0; i < 100; i++)
        objects[i] = unit_array(&u, u.bytes, 10);
    assert_int_equal(collect(&u).candidates, 0);
    for (int i = 0; i < 100; i++)
        mid_release(u.thread, objects[i]);
    unit_close(&u);
}

/* --- trace functions ---------------------------------------------------------------------------------------- */

struct traced {
    uint32_t used, spare;
    mid_slot declared;
    mid_slot slots[5];
};

static void trace_used(const void *object, mid_visitor *visitor)
{
    const struct traced *traced = object;
    for (uint32_t i = 0; i < traced->used; i++)
        mid_visit(visitor, &traced->slots[i]);
}

TEST(cycles_through_trace_functions)
{
    struct unit u;
    unit_open(&u, "");
    static const uint32_t declared[] = {offsetof(struct traced, declared)};
    mid_type type = unit_type(u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct traced), .trace = trace_used,
                                                      .ref_offsets = declared, .ref_count = 1});
    const unsigned by_trace = MID_SLOT(struct traced, slots), by_table = MID_SLOT(struct traced, declared);
    mid_handle a = unit_new(&u, type), b = unit_new(&u, type), c = unit_array(&u, u.vec, 2);
    ((struct traced *)mid_get(u.thread, a))->used = 5;
    ((struct traced *)mid_get(u.thread, b))->used = 1;
    mid_store(u.thread, a, by_trace + 4, b);
    mid_store(u.thread, b, by_trace, c);
    mid_store(u.thread, b, by_table, b);
    mid_store(u.thread, c, ITEM(1), a);
    mid_release(u.thread, b);
    mid_release(u.thread, c);
    assert_int_equal(collect(&u).freed, 0);
    assert_int_equal(unit_live(&u), 3);
    mid_release(u.thread, a);
    assert_int_equal(collect(&u).freed, 3);
    unit_close_empty(&u);
}

/* --- payloads ------------------------------------------------------------------------------------------------- */

TEST(payloads_of_cyclic_garbage_are_freed_exactly_once)
{
    struct unit u;
    enum { RINGS = 200, SIZE = 11 };
    static unsigned char marks[RINGS * SIZE];
    memset(marks, 0, sizeof marks);
    unit_open(&u, "");
    mid_type type = owner_type(&u);
    mid_handle kept = 0;
    for (size_t r = 0; r < RINGS; r++) {
        mid_handle ring = unit_ring(&u, type, SIZE), at = ring;
        for (size_t i = 0; i < SIZE; i++, at = mid_peek(u.thread, at, LEFT))
            ((struct owner *)mid_get(u.thread, at))->payload = &marks[r * SIZE + i];
        if (r == 100)
            kept = ring;
        else
            mid_release(u.thread, ring);
    }
    assert_int_equal(collect(&u).freed, (RINGS - 1) * SIZE);
    for (size_t i = 0; i < sizeof marks; i++)
        assert_int_equal(marks[i], i / SIZE == 100 ? 0 : 1);
    mid_release(u.thread, kept);
    collect(&u);
    collect(&u);
    assert_int_equal(payloads_freed, sizeof marks);
    for (size_t i = 0; i < sizeof marks; i++)
        assert_int_equal(marks[i], 1);
    unit_close(&u);
}

/* --- random graphs against reachability -------------------------------------------------------------------------- */

struct model {
    size_t count;
    mid_handle *object;
    int (*edge)[4]; /* two of a node, four of an array of four; -1: none */
    unsigned char *held, *reached;
};

static int edges_of(size_t i)
{
    return i % 5 == 4 ? 4 : 2;
}

static void build_graph(struct unit *u, mid_type node, struct model *m, uint64_t seed, unsigned density)
{
    m->object = calloc(m->count, sizeof *m->object);
    m->edge = calloc(m->count, sizeof *m->edge);
    m->held = calloc(m->count, 1);
    m->reached = calloc(m->count, 1);
    assert_true(m->object && m->edge && m->held && m->reached);
    for (size_t i = 0; i < m->count; i++)
        m->object[i] = edges_of(i) == 4 ? unit_array(u, u->vec, 4) : unit_new(u, node);
    for (size_t i = 0; i < m->count; i++)
        for (int k = 0; k < edges_of(i); k++) {
            uint64_t r = unit_random(&seed);
            int near = (r & 3) != 0; /* mostly close by, so that there are many components */
            size_t to = near ? (i + (r >> 32) % 12) % m->count : (size_t)((r >> 32) % m->count);
            m->edge[i][k] = (r >> 8) % 100 < density ? (int)to : -1;
            if (m->edge[i][k] >= 0)
                mid_store(u->thread, m->object[i], edges_of(i) == 4 ? ITEM(k) : (unsigned)k, m->object[to]);
        }
    for (size_t i = 0; i < m->count; i++)
        m->held[i] = unit_random(&seed) % 100 < 3;
}

static size_t reach(struct model *m)
{
    size_t *stack = malloc(m->count * sizeof *stack), height = 0, reached = 0;
    assert_non_null(stack);
    memset(m->reached, 0, m->count);
    for (size_t i = 0; i < m->count; i++)
        if (m->held[i]) {
            m->reached[i] = 1;
            stack[height++] = i;
        }
    for (; height != 0; reached++) {
        size_t at = stack[--height];
        for (int k = 0; k < edges_of(at); k++) {
            int to = m->edge[at][k];
            if (to >= 0 && !m->reached[to]) {
                m->reached[to] = 1;
                stack[height++] = (size_t)to;
            }
        }
    }
    free(stack);
    return reached;
}

static void compare(struct unit *u, struct model *m)
{
    size_t reached = reach(m), wrong = 0;
    for (size_t i = 0; i < m->count; i++)
        wrong += mid_is_live(u->thread, m->object[i]) != m->reached[i];
    assert_int_equal(wrong, 0);
    assert_int_equal(unit_live(u), reached);
}

TEST(random_graphs_lose_exactly_the_unreachable)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct unit u;
        struct model m = {.count = unit_scale(20000)};
        unit_open(&u, "");
        build_graph(&u, u.node, &m, seed, (unsigned)(20 + seed * 6));
        for (size_t i = 0; i < m.count; i++)
            if (!m.held[i])
                mid_release(u.thread, m.object[i]);
        unit_drain(&u);
        collect(&u);
        unit_drain(&u);
        compare(&u, &m);
        assert_int_equal(collect(&u).freed, 0);
        for (size_t i = 0; i < m.count; i += 2) /* half of the roots, then all */
            if (m.held[i]) {
                m.held[i] = 0;
                mid_release(u.thread, m.object[i]);
            }
        unit_drain(&u);
        collect(&u);
        unit_drain(&u);
        compare(&u, &m);
        for (size_t i = 0; i < m.count; i++)
            if (m.held[i])
                mid_release(u.thread, m.object[i]);
        unit_drain(&u);
        collect(&u);
        unit_drain(&u);
        assert_int_equal(unit_live(&u), 0);
        free(m.object);
        free(m.edge);
        free(m.held);
        free(m.reached);
        unit_close(&u);
    }
}

/* --- together with other work --------------------------------------------------------------------------------- */

TEST(moves_between_slots_hide_nothing)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle a = unit_ring(&u, u.node, 2), b = mid_load(u.thread, a, LEFT);
    mid_give(u.thread, b, RIGHT, mid_take(u.thread, a, LEFT)); /* b -> b, b -> a */
    assert_int_equal(collect(&u).freed, 0);
    mid_release(u.thread, a);
    assert_int_equal(collect(&u).freed, 0); /* b is held */
    assert_int_equal(unit_live(&u), 2);
    mid_release(u.thread, b);
    assert_int_equal(collect(&u).freed, 2);
    unit_close(&u);
}

/* The last count from outside becomes one from inside, and no count ever falls. */
TEST(a_ring_that_was_given_to_itself)
{
    struct unit u;
    unit_open(&u, "");
    for (int way = 0; way < 4; way++)
        for (size_t size = 1; size <= 5; size += 2) {
            mid_handle ring = way % 2 || size > 1 ? unit_ring(&u, u.node, size) : unit_new(&u, u.node);
            mid_handle holder = mid_peek(u.thread, ring, LEFT);
            holder = way % 2 == 0 || holder == 0 ? ring : holder;
            assert_int_equal(collect(&u).freed, 0);
            if (way < 2)
                mid_give(u.thread, holder, RIGHT, ring);
            else
                assert_int_equal(mid_swap(u.thread, holder, RIGHT, ring), 0);
            assert_int_equal(collect(&u).freed, size);
            assert_int_equal(unit_live(&u), 0);
        }
    unit_close(&u);
}

TEST(garbage_left_on_the_work_list_is_not_met_twice)
{
    struct unit u;
    enum { COUNT = 20000 };
    unit_open(&u, "free-batch=32");
    mid_handle head = 0;
    for (int i = 0; i < COUNT; i++) { /* a list whose nodes each hold a ring */
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, head);
        mid_give(u.thread, next, RIGHT, unit_ring(&u, u.node, 3));
        head = next;
    }
    mid_release(u.thread, head);
    for (int round = 0; unit_live(&u) != 0 || unit_stats(&u).waiting_objects != 0; round++) {
        assert_true(round < COUNT);
        collect(&u);
        ok(mid_safepoint(u.thread));
    }
    assert_int_equal(unit_stats(&u).freed_objects, COUNT * 4);
    unit_close(&u);
}

TEST(pinned_garbage)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 3);
    ok(mid_pin(u.thread, ring, NULL)); /* a pin does not keep alive */
    mid_release(u.thread, ring);
    collect(&u);
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).pinned_objects, 0);
    unit_close(&u);
}

TEST(the_result_may_be_left_out)
{
    struct unit u;
    unit_open(&u, "");
    mid_release(u.thread, unit_ring(&u, u.node, 3));
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).collected_objects, 3);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap),
        cmocka_unit_test(rings_of_every_size),
        cmocka_unit_test(one_outside_count_anywhere_keeps_a_ring),
        cmocka_unit_test(an_immortal_member_or_holder_keeps_a_ring),
        cmocka_unit_test(self_loops),
        cmocka_unit_test(cliques_through_arrays),
        cmocka_unit_test(tails_in_and_out),
        cmocka_unit_test(acyclic_holders_count_as_outside),
        cmocka_unit_test(a_false_acyclic_claim_leaks_and_breaks_nothing),
        cmocka_unit_test(atoms_are_no_candidates),
        cmocka_unit_test(cycles_through_trace_functions),
        cmocka_unit_test(payloads_of_cyclic_garbage_are_freed_exactly_once),
        cmocka_unit_test(random_graphs_lose_exactly_the_unreachable),
        cmocka_unit_test(moves_between_slots_hide_nothing),
        cmocka_unit_test(garbage_left_on_the_work_list_is_not_met_twice),
        cmocka_unit_test(pinned_garbage),
        cmocka_unit_test(the_result_may_be_left_out),
        cmocka_unit_test(a_ring_that_was_given_to_itself),
    };
    return UNIT_RUN(tests);
}
