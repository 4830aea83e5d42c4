/* Proposals: what walks from suspects find, whatever its shape, and what a proof makes of sets that have changed since. */
#include "cycles.h"

/* --- shapes ------------------------------------------------------------------------------------------------------- */

/* One handle that holds it all, counted. *size: objects. */
typedef mid_handle shape(struct unit *u, size_t *size);

static mid_handle rings(struct unit *u, size_t *size)
{
    return unit_ring(u, u->node, *size);
}

static mid_handle doubly_linked(struct unit *u, size_t *size)
{
    mid_handle first = unit_new(u, u->node), last = first;
    for (size_t i = 1; i < *size; i++) {
        mid_handle next = unit_new(u, u->node);
        mid_store(u->thread, next, RIGHT, last);
        mid_give(u->thread, last, LEFT, next);
        last = next;
    }
    return first;
}

/* Item 0 is the parent, the others are children: `depth` levels of three. */
static mid_handle tree(struct unit *u, unsigned depth, mid_handle parent, size_t *size)
{
    mid_handle made = unit_array(u, u->vec, 4);
    ++*size;
    mid_store(u->thread, made, ITEM(0), parent);
    for (unsigned i = 1; depth > 1 && i < 4; i++)
        mid_give(u->thread, made, ITEM(i), tree(u, depth - 1, made, size));
    return made;
}

static mid_handle tree_with_parents(struct unit *u, size_t *size)
{
    *size = 0;
    return tree(u, 4, 0, size);
}

/* Everybody refers to everybody, itself included. */
static mid_handle clique(struct unit *u, size_t *size)
{
    mid_handle all[16];
    assert_true(*size <= 16);
    for (size_t i = 0; i < *size; i++)
        all[i] = unit_array(u, u->vec, *size);
    for (size_t i = 0; i < *size; i++)
        for (size_t j = 0; j < *size; j++)
            mid_store(u->thread, all[i], ITEM(j), all[j]);
    for (size_t i = 1; i < *size; i++)
        mid_release(u->thread, all[i]);
    return all[0];
}

/* Two rings through one node, and a tail. */
static mid_handle rings_that_share(struct unit *u, size_t *size)
{
    mid_handle first = unit_ring(u, u->node, 20), other = unit_ring(u, u->node, 30), tail = unit_ring(u, u->node, 10);
    mid_handle behind = mid_take(u->thread, tail, LEFT); /* no ring any more: nine in a row, the last of which holds the first */
    mid_give(u->thread, first, RIGHT, other);
    mid_store(u->thread, other, RIGHT, first);
    mid_give(u->thread, behind, RIGHT, tail);
    mid_give(u->thread, mid_peek(u->thread, first, LEFT), RIGHT, behind);
    *size = 60;
    return first;
}

static mid_handle array_of_children(struct unit *u, size_t *size)
{
    mid_handle made = unit_array(u, u->vec, *size - 1);
    for (size_t i = 0; i < *size - 1; i++) {
        mid_handle child = unit_new(u, u->node);
        mid_store(u->thread, child, LEFT, made);
        mid_give(u->thread, made, ITEM(i), child);
    }
    return made;
}

/* A large block, read in pieces. */
static mid_handle large_array(struct unit *u, size_t *size)
{
    mid_handle made = unit_array(u, u->vec, 10000), children[5];
    for (size_t i = 0; i < 5; i++) {
        children[i] = unit_new(u, u->node);
        mid_store(u->thread, children[i], LEFT, made);
    }
    for (size_t i = 1; i < 10000; i += 999)
        mid_store(u->thread, made, ITEM(i), children[i % 5]);
    for (size_t i = 0; i < 5; i++)
        mid_release(u->thread, children[i]);
    *size = 6;
    return made;
}

static const struct {
    const char *name;
    shape *make;
    size_t size;
} shapes[] = {
    {"ring", rings, 1},
    {"ring", rings, 2},
    {"ring", rings, 16},
    {"ring", rings, 17},
    {"ring", rings, 256},
    {"ring", rings, 257},
    {"ring", rings, MID_WALK_MOST},
    {"doubly linked", doubly_linked, 2},
    {"doubly linked", doubly_linked, 300},
    {"tree", tree_with_parents, 0},
    {"clique", clique, 2},
    {"clique", clique, 6}, /* too much of it is missing for a first walk */
    {"rings that share", rings_that_share, 0},
    {"children", array_of_children, 8},
    {"large array", large_array, 0}, /* of more than 16,384 a sweep finds out */
};

static void all_is_found(struct unit *u, const char *name, size_t size)
{
    uint64_t freed = cycles_find(u);
    if (freed != size)
        print_error("%s of %zu: %zu freed\n", name, size, (size_t)freed);
    assert_int_equal(freed, size);
    unit_drain(u);
    assert_int_equal(unit_live(u), 0);
}

TEST(whatever_its_shape_garbage_is_found)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct unit u;
        size_t size = shapes[i].size;
        cycles_open(&u, "");
        mid_handle first = shapes[i].make(&u, &size);
        assert_int_equal(unit_live(&u), size);
        assert_int_equal(cycles_find(&u), 0); /* it is held */
        assert_int_equal(unit_live(&u), size);
        unit_check(&u);
        mid_release(u.thread, first);
        all_is_found(&u, shapes[i].name, size);
        cycles_close(&u);
    }
}

/* The farthest from where it is entered is held, then what holds it lets go. */
TEST(what_is_held_anywhere_is_found_alive)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct unit u;
        size_t size = shapes[i].size;
        cycles_open(&u, "");
        mid_handle first = shapes[i].make(&u, &size), holder = unit_new(&u, u.node);
        mid_type type = 0;
        ok(mid_type_of(u.thread, first, &type));
        mid_handle inner = mid_load(u.thread, first, type == u.vec ? ITEM(1) : LEFT);
        if (inner == 0)
            inner = mid_retain(u.thread, first);
        mid_give(u.thread, holder, LEFT, inner);
        mid_release(u.thread, first);
        assert_int_equal(cycles_find(&u), 0);
        assert_int_equal(unit_live(&u), size + 1);
        unit_check(&u);
        mid_release(u.thread, holder);
        all_is_found(&u, shapes[i].name, size);
        cycles_close(&u);
    }
}

TEST(what_garbage_refers_to_lives_if_it_is_held)
{
    struct unit u;
    cycles_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 12), kept = unit_ring(&u, u.node, 5), leaf = unit_array(&u, u.bytes, 9);
    for (mid_handle at = mid_peek(u.thread, ring, LEFT); at != ring; at = mid_peek(u.thread, at, LEFT))
        mid_store(u.thread, at, RIGHT, at % 4 == 0 ? kept : leaf);
    mid_release(u.thread, ring);
    assert_int_equal(cycles_find(&u), 12);
    assert_int_equal(unit_live(&u), 6);
    assert_int_equal(unit_count(&u, kept), 2);
    assert_int_equal(unit_count(&u, leaf), 1);
    mid_release(u.thread, leaf);
    mid_release(u.thread, kept);
    assert_int_equal(cycles_find(&u), 5);
    cycles_close(&u);
}

/* Slots that only a trace function knows. */
static void trace(const void *object, mid_visitor *visitor)
{
    const struct node *node = object;
    mid_visit(visitor, &node->left);
    mid_visit(visitor, &node->right);
}

TEST(traced_types_are_walked_when_they_may_be)
{
    for (int races = 0; races < 2; races++) {
        struct unit u;
        cycles_open(&u, "");
        mid_type type = unit_type(u.heap, (mid_type_desc){.name = "traced", .size = sizeof(struct node), .trace = trace,
                                                          .flags = races ? MID_TRACE_RACES : 0});
        mid_handle ring = unit_ring(&u, type, 40), at = ring;
        do
            mid_store(u.thread, at, RIGHT, at);
        while ((at = mid_peek(u.thread, at, LEFT)) != ring);
        mid_release(u.thread, ring);
        assert_int_equal(cycles_propose(&u), races ? 40 : 0);
        assert_int_equal(cycles_shown(&u).proposals, races ? 40 : 1);
        uint64_t freed = cycles_prove(&u, AMPLE); /* looked at while the world stands, freed in the next stop */
        assert_int_equal(freed, races ? 40 : 0);
        assert_int_equal(freed + cycles_prove(&u, AMPLE), 40);
        cycles_close(&u);
    }
}

/* --- how far ------------------------------------------------------------------------------------------------------ */

TEST(each_set_is_found_by_the_shortest_walk)
{
    static const struct {
        shape *make;
        size_t size;
        unsigned tiers; /* a bit each; the last is that which found it */
    } sets[] = {{rings, 10, 1}, {rings, 100, 3}, {rings, 1000, 3}, {clique, 6, 8}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct unit u;
        size_t size = sets[i].size;
        cycles_open(&u, "");
        mid_release(u.thread, sets[i].make(&u, &size));
        assert_int_equal(cycles_find(&u), size);
        uint64_t found = 0;
        for (unsigned tier = 0; tier < MID_TIERS; tier++) {
            uint64_t explored = u.heap->proposer->explored[tier];
            assert_int_equal(explored != 0, sets[i].tiers >> tier & 1);
            found = explored != 0 ? explored : found;
        }
        assert_int_equal(found, size);
        cycles_close(&u);
    }
}

/* A thousand suspects of one ring are one walk's work. */
TEST(what_a_walk_has_met_is_not_walked_again)
{
    struct unit u;
    cycles_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 200), at = ring;
    do {
        mid_release(u.thread, mid_retain(u.thread, at));
        at = mid_peek(u.thread, at, LEFT);
    } while (at != ring);
    mid_release(u.thread, ring);
    assert_int_equal(cycles_propose(&u), 200);
    assert_true(u.heap->proposer->explored[0] + u.heap->proposer->explored[1] < 2000);
    assert_int_equal(cycles_prove(&u, AMPLE), 200);
    cycles_close(&u);
}

/* Much of what is explored first is held by what is not: as in live structures. */
TEST(what_looks_alive_is_left_to_sweeps)
{
    static const struct {
        shape *make;
        size_t size;
    } sets[] = {{clique, 14}, {array_of_children, 3000}, {rings, MID_WALK_MOST + 1}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct unit u;
        size_t size = sets[i].size;
        cycles_open(&u, "");
        mid_release(u.thread, sets[i].make(&u, &size));
        assert_int_equal(cycles_find(&u), 0);
        assert_int_equal(unit_live(&u), size);
        cycles_begin(&u);
        cycles_finish(&u);
        cycles_prove(&u, AMPLE);
        assert_int_equal(unit_live(&u), 0);
        cycles_close(&u);
    }
}

/* --- stale -------------------------------------------------------------------------------------------------------- */

/* Proposed from what is logged now; not proved. */
static uint64_t proposed_now(struct unit *u)
{
    uint64_t walked, proposed;
    mid_suspects_give(mid_impl_of(u->thread));
    ok(mid_service_propose(u->heap, AMPLE, &walked, &proposed));
    return proposed;
}

struct watched {
    mid_handle ring;
    mid_weak weak;
};

/* A ring that is proposed, and known only to a weak reference. */
static struct watched proposed_ring(struct unit *u, size_t size)
{
    struct watched w = {.ring = unit_ring(u, u->node, size)};
    ok(mid_weak_new(u->thread, w.ring, &w.weak));
    mid_release(u->thread, w.ring);
    assert_int_equal(proposed_now(u), size);
    return w;
}

TEST(a_set_that_was_revived_lives)
{
    struct unit u;
    cycles_open(&u, "");
    struct watched w = proposed_ring(&u, 7);
    assert_int_equal(mid_weak_get(u.thread, w.weak), w.ring);
    assert_int_equal(cycles_find(&u), 0);
    assert_int_equal(unit_live(&u), 7);
    assert_int_equal(unit_count(&u, w.ring), 2);
    unit_check(&u);
    mid_release(u.thread, w.ring);
    assert_int_equal(cycles_find(&u), 7); /* it is logged again */
    assert_int_equal(mid_weak_get(u.thread, w.weak), 0);
    ok(mid_weak_drop(u.thread, w.weak));
    cycles_close(&u);
}

TEST(a_set_that_was_weakly_held_is_gone)
{
    struct unit u;
    cycles_open(&u, "");
    struct watched w = proposed_ring(&u, 7);
    assert_int_equal(cycles_prove(&u, AMPLE), 7);
    assert_int_equal(mid_weak_get(u.thread, w.weak), 0);
    assert_false(mid_is_live(u.thread, w.ring));
    ok(mid_weak_drop(u.thread, w.weak));
    cycles_close(&u);
}

/* A pin does not keep an object alive. */
TEST(a_set_with_a_pinned_object_is_freed)
{
    struct unit u;
    cycles_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 4);
    ok(mid_pin(u.thread, ring, NULL));
    mid_release(u.thread, ring);
    assert_int_equal(cycles_find(&u), 4);
    assert_int_equal(unit_stats(&u).pinned_objects, 0);
    cycles_close(&u);
}

/* A member left through a slot, and no count told. */
TEST(a_member_that_was_moved_without_a_count_lives)
{
    struct unit u;
    cycles_open(&u, "");
    struct watched w = proposed_ring(&u, 5);
    mid_handle holder = unit_new(&u, u.node), first = mid_weak_get(u.thread, w.weak);
    mid_handle second = mid_take(u.thread, first, LEFT);
    mid_give(u.thread, holder, LEFT, second);
    mid_release(u.thread, first);
    unit_check(&u);
    assert_int_equal(cycles_find(&u), 0); /* no ring any more: in a row, from the second to the first */
    assert_int_equal(unit_live(&u), 6);
    unit_check(&u);
    mid_release(u.thread, holder);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(mid_weak_get(u.thread, w.weak), 0);
    ok(mid_weak_drop(u.thread, w.weak));
    cycles_close(&u);
}

/* Taken apart and freed, its names given to what lives, of the same shape and of another one. */
TEST(names_that_are_used_again_are_no_garbage)
{
    for (int other = 0; other < 2; other++) {
        struct unit u;
        cycles_open(&u, "");
        struct watched w = proposed_ring(&u, 30);
        mid_handle first = mid_weak_get(u.thread, w.weak), kept[30];
        mid_give(u.thread, first, LEFT, 0);
        mid_release(u.thread, first);
        unit_drain(&u);
        assert_int_equal(unit_live(&u), 0);
        size_t again = 0;
        for (size_t i = 0; i < 30; i++) {
            kept[i] = other ? unit_array(&u, u.bytes, 0) : unit_new(&u, u.node);
            again += kept[i] == w.ring;
        }
        for (size_t i = 0; i < 30 && !other; i++)
            mid_store(u.thread, kept[i], LEFT, kept[(i + 1) % 30]);
        assert_int_equal(again, 1);
        assert_int_equal(cycles_find(&u), 0);
        assert_int_equal(unit_live(&u), 30);
        unit_check(&u);
        for (size_t i = 0; i < 30; i++)
            mid_release(u.thread, kept[i]);
        assert_int_equal(cycles_find(&u), other ? 0 : 30);
        ok(mid_weak_drop(u.thread, w.weak));
        cycles_close(&u);
    }
}

/* Of a walk and of a sweep, one not proved when the other is. */
TEST(a_set_that_is_proposed_twice_is_freed)
{
    struct unit u;
    cycles_open(&u, "");
    mid_release(u.thread, unit_ring(&u, u.node, 9));
    assert_int_equal(proposed_now(&u), 9);
    cycles_begin(&u);
    cycles_finish(&u);
    assert_int_equal(cycles_shown(&u).proposals, 18);
    assert_int_equal(cycles_prove(&u, AMPLE), 9);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

/* x was proposed with p, which has gone, and again with y, which is held once: x, counted twice, must not make up for that. */
TEST(a_member_of_two_sets_does_not_count_twice)
{
    struct unit u;
    mid_weak weak;
    cycles_open(&u, "");
    struct watched w = proposed_ring(&u, 2);
    mid_handle x = mid_weak_get(u.thread, w.weak), y = unit_new(&u, u.node);
    ok(mid_weak_new(u.thread, y, &weak));
    mid_store(u.thread, y, LEFT, x);
    mid_store(u.thread, x, LEFT, y);
    mid_release(u.thread, x);
    mid_release(u.thread, y);
    assert_int_equal(proposed_now(&u), 2);
    assert_int_equal(mid_weak_get(u.thread, weak), y);
    assert_int_equal(cycles_prove(&u, AMPLE), 0);
    assert_true(mid_is_live(u.thread, x) && mid_is_live(u.thread, y));
    unit_check(&u);
    mid_release(u.thread, y);
    assert_int_equal(cycles_find(&u), 2);
    ok(mid_weak_drop(u.thread, weak));
    ok(mid_weak_drop(u.thread, w.weak));
    cycles_close(&u);
}

/* --- and those who collect at once -------------------------------------------------------------------------------- */

TEST(a_collection_before_the_proof_leaves_nothing_to_prove)
{
    for (int reclaim = 0; reclaim < 2; reclaim++) {
        struct unit u;
        cycles_open(&u, "");
        mid_handle kept = unit_ring(&u, u.node, 3);
        mid_release(u.thread, mid_retain(u.thread, kept));
        mid_release(u.thread, unit_ring(&u, u.node, 50));
        assert_int_equal(cycles_propose(&u), 50);
        mid_release(u.thread, unit_ring(&u, u.node, 5));
        ok(reclaim ? mid_reclaim(u.thread) : mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 3);
        if (reclaim) /* with the memory of what was proposed the figures have gone */
            assert_int_equal(cycles_shown(&u).proposals, 0);
        assert_int_equal(cycles_find(&u), 0);
        assert_int_equal(cycles_shown(&u).proposals, 0);
        assert_int_equal(unit_live(&u), 3);
        mid_release(u.thread, kept);
        assert_int_equal(cycles_find(&u), 3);
        cycles_close(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_its_shape_garbage_is_found),
        cmocka_unit_test(what_is_held_anywhere_is_found_alive),
        cmocka_unit_test(what_garbage_refers_to_lives_if_it_is_held),
        cmocka_unit_test(traced_types_are_walked_when_they_may_be),
        cmocka_unit_test(each_set_is_found_by_the_shortest_walk),
        cmocka_unit_test(what_a_walk_has_met_is_not_walked_again),
        cmocka_unit_test(what_looks_alive_is_left_to_sweeps),
        cmocka_unit_test(a_set_that_was_revived_lives),
        cmocka_unit_test(a_set_that_was_weakly_held_is_gone),
        cmocka_unit_test(a_set_with_a_pinned_object_is_freed),
        cmocka_unit_test(a_member_that_was_moved_without_a_count_lives),
        cmocka_unit_test(names_that_are_used_again_are_no_garbage),
        cmocka_unit_test(a_set_that_is_proposed_twice_is_freed),
        cmocka_unit_test(a_member_of_two_sets_does_not_count_twice),
        cmocka_unit_test(a_collection_before_the_proof_leaves_nothing_to_prove),
    };
    return UNIT_RUN(tests);
}
