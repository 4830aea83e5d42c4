/* Finalizers: once, prompt, in cycles, with resurrection. The families are those of CPython's test_finalization:
 * {alone, self-cycle, chain of two, ring} x {normal, resurrecting, suicidal}. */
#include "unit.h"

/* What the finalizers of this file do and note; they get no context of their own. */
static struct {
    size_t calls;
    uint64_t values[64];
    mid_handle saved[64]; /* resurrected, counted */
    size_t saved_count;
    mid_weak weak[8];
    size_t weak_cleared;
    size_t busy;
    mid_type other;
    mid_heap *heap;
} seen;

static void note(mid_thread *thread, mid_handle object)
{
    struct node *node = mid_get(thread, object);
    if (seen.calls < 64)
        seen.values[seen.calls] = node->value;
    seen.calls++;
}

static void resurrect(mid_thread *thread, mid_handle object)
{
    note(thread, object);
    seen.saved[seen.saved_count++] = mid_retain(thread, object);
}

/* Breaks its own cycle while it dies. */
static void suicide(mid_thread *thread, mid_handle object)
{
    note(thread, object);
    mid_store(thread, object, LEFT, 0);
    mid_store(thread, object, RIGHT, 0);
}

static mid_type open_for(struct unit *u, void (*finalize)(mid_thread *, mid_handle))
{
    memset(&seen, 0, sizeof seen);
    unit_open(u, "");
    seen.heap = u->heap;
    return unit_node_type(u->heap, (mid_type_desc){.name = "finalized", .finalize = finalize});
}

/* Shape `size` nodes: 1 with `self`: a self loop; more: a ring, or a chain if not closed. Values 1..size. */
static mid_handle shape(struct unit *u, mid_type type, size_t size, int closed)
{
    mid_handle first = unit_new(u, type), last = first;
    unit_node(u, first)->value = 1;
    for (size_t i = 2; i <= size; i++) {
        mid_handle next = unit_new(u, type);
        unit_node(u, next)->value = i;
        mid_give(u->thread, last, LEFT, next);
        last = next;
    }
    if (closed)
        mid_store(u->thread, last, LEFT, first);
    return first;
}

static const struct {
    size_t size;
    int closed;
} SHAPES[] = {{1, 0}, {1, 1}, {2, 0}, {2, 1}, {7, 0}, {7, 1}};
#define SHAPE_COUNT (sizeof SHAPES / sizeof *SHAPES)

TEST(normal_finalizers_run_once_each)
{
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
        struct unit u;
        mid_type type = open_for(&u, note);
        mid_handle first = shape(&u, type, SHAPES[s].size, SHAPES[s].closed);
        assert_int_equal(seen.calls, 0);
        mid_release(u.thread, first);
        assert_int_equal(seen.calls, SHAPES[s].closed ? 0 : SHAPES[s].size); /* prompt, where counting suffices */
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(seen.calls, SHAPES[s].size);
        assert_int_equal(unit_live(&u), 0);
        assert_int_equal(unit_stats(&u).finalized_objects, SHAPES[s].size);
        assert_int_equal(unit_stats(&u).resurrected_objects, 0);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(seen.calls, SHAPES[s].size);
        uint64_t sum = 0;
        for (size_t i = 0; i < seen.calls; i++)
            sum += seen.values[i];
        assert_int_equal(sum, SHAPES[s].size * (SHAPES[s].size + 1) / 2);
        unit_close(&u);
    }
}

TEST(resurrected_objects_are_whole_and_are_not_finalized_again)
{
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
        struct unit u;
        mid_type type = open_for(&u, resurrect);
        mid_handle first = shape(&u, type, SHAPES[s].size, SHAPES[s].closed);
        mid_release(u.thread, first);
        ok(mid_collect(u.thread, NULL));
        assert_true(seen.calls >= 1);
        assert_int_equal(unit_live(&u), SHAPES[s].size); /* also what the resurrected hold */
        unit_check(&u);
        mid_handle at = first;
        for (size_t i = 1; i <= SHAPES[s].size; i++) { /* untouched */
            assert_int_equal(unit_node(&u, at)->value, i);
            at = mid_peek(u.thread, at, LEFT);
        }
        assert_int_equal(at, SHAPES[s].closed ? first : 0);
        /* Drop them; those not finalized yet get their turn, nobody a second one. */
        for (size_t round = 0; unit_live(&u) != 0; round++) {
            assert_true(round < 20);
            size_t saved = seen.saved_count;
            seen.saved_count = 0;
            mid_handle again[64];
            memcpy(again, seen.saved, sizeof again);
            for (size_t i = 0; i < saved; i++)
                mid_release(u.thread, again[i]);
            ok(mid_collect(u.thread, NULL));
        }
        assert_int_equal(seen.calls, SHAPES[s].size);
        unit_close(&u);
    }
}

TEST(suicidal_finalizers)
{
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
        struct unit u;
        mid_type type = open_for(&u, suicide);
        mid_release(u.thread, shape(&u, type, SHAPES[s].size, SHAPES[s].closed));
        ok(mid_collect(u.thread, NULL));
        unit_drain(&u);
        assert_int_equal(seen.calls, SHAPES[s].size);
        unit_close_empty(&u);
    }
}

/* A ring of `size` and one more, whose finalizer lets go of the next; the last before it also holds a ring of its own. What
 * then dies by counting alone must be gone before the set is counted again, or it passes for a holder of that ring. */
TEST(a_broken_cycle_goes_whole_in_one_collection)
{
    for (size_t size = 1; size <= 40; size += 13) {
        struct unit u;
        mid_type type = open_for(&u, suicide);
        mid_handle one = unit_new(&u, type), last = one;
        for (size_t i = 0; i < size; i++) {
            mid_handle next = unit_new(&u, u.node);
            mid_give(u.thread, last, LEFT, next);
            last = next;
        }
        mid_store(u.thread, last, LEFT, one);
        mid_give(u.thread, last, RIGHT, unit_ring(&u, u.node, 3));
        mid_release(u.thread, one);
        assert_int_equal(unit_live(&u), size + 4);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(seen.calls, 1);
        assert_int_equal(unit_live(&u), 0);
        assert_int_equal(unit_stats(&u).waiting_objects, 0);
        unit_close(&u);
    }
}

static void look_around(mid_thread *thread, mid_handle object)
{
    mid_stats stats;
    note(thread, object);
    mid_status status = mid_heap_check(seen.heap);
    if (status != MID_OK)
        print_error("in a finalizer: %s: %s\n", mid_status_name(status), mid_heap_check_text(seen.heap));
    seen.busy += status != MID_OK;
    mid_stats_get(seen.heap, &stats, sizeof stats);
    seen.values[0] = stats.live_objects;
    seen.values[1] = stats.waiting_objects;
}

TEST(a_finalizer_finds_a_whole_heap_and_itself_in_it)
{
    struct unit u;
    mid_type type = open_for(&u, look_around);
    mid_handle kept = unit_new(&u, u.node), chain = 0;
    mid_release(u.thread, unit_new(&u, type)); /* prompt */
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.values[0], 2);
    assert_int_equal(seen.values[1], 0);
    for (int i = 0; i < 5; i++) { /* each in the other's drain */
        mid_handle next = unit_new(&u, type);
        mid_give(u.thread, next, LEFT, chain);
        chain = next;
    }
    mid_release(u.thread, chain);
    assert_int_equal(seen.calls, 6);
    mid_release(u.thread, unit_ring(&u, type, 3)); /* in a collection */
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(seen.calls, 9);
    mid_release(u.thread, unit_new(&u, type));
    assert_int_equal(seen.values[0], 2);
    assert_int_equal(seen.busy, 0);
    mid_release(u.thread, kept);
    unit_close(&u);
}

TEST(heterogeneous_rings)
{
    struct unit u;
    mid_type normal = open_for(&u, note);
    mid_type saving = unit_node_type(u.heap, (mid_type_desc){.name = "saving", .finalize = resurrect});
    mid_type cutting = unit_node_type(u.heap, (mid_type_desc){.name = "cutting", .finalize = suicide});
    mid_type kinds[] = {normal, saving, cutting, u.node};
    mid_handle first = 0, last = 0;
    for (uint64_t i = 0; i < 4; i++) {
        mid_handle next = unit_new(&u, kinds[i]);
        unit_node(&u, next)->value = i;
        if (last != 0)
            mid_give(u.thread, last, RIGHT, next);
        else
            first = next;
        last = next;
    }
    mid_store(u.thread, last, RIGHT, first);
    mid_release(u.thread, first);
    mid_collect_result result;
    ok(mid_collect(u.thread, &result));
    assert_int_equal(seen.calls, 3);
    assert_int_equal(seen.saved_count, 1);
    unit_check(&u);
    assert_true(mid_is_live(u.thread, seen.saved[0]));
    assert_int_equal(unit_node(&u, seen.saved[0])->value, 1);
    mid_release(u.thread, seen.saved[0]);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(seen.calls, 3);
    unit_close(&u);
}

TEST(resurrection_is_transitive_and_spares_what_is_not_reached)
{
    struct unit u;
    mid_type saving = open_for(&u, resurrect);
    mid_handle saver = unit_new(&u, saving), held = unit_new(&u, u.node), deeper = unit_new(&u, u.node);
    mid_store(u.thread, held, LEFT, deeper);
    mid_store(u.thread, saver, RIGHT, held);
    mid_store(u.thread, saver, LEFT, saver);
    mid_handle other = unit_ring(&u, u.node, 3); /* garbage beside it must still go */
    mid_release(u.thread, held);
    mid_release(u.thread, deeper);
    mid_release(u.thread, saver);
    mid_release(u.thread, other);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 3);
    assert_true(mid_is_live(u.thread, deeper));
    assert_int_equal(unit_stats(&u).resurrected_objects, 1);
    mid_release(u.thread, seen.saved[0]);
    ok(mid_collect(u.thread, NULL));
    unit_close_empty(&u);
}

/* --- what a finalizer may do -------------------------------------------------------------------------------- */

static void busy_body(mid_thread *thread, mid_handle object)
{
    note(thread, object);
    mid_handle fresh;
    if (mid_new(thread, seen.other, &fresh) == MID_OK) {
        mid_store(thread, fresh, LEFT, mid_peek(thread, object, RIGHT));
        mid_weak weak;
        if (mid_weak_new(thread, fresh, &weak) == MID_OK) {
            mid_release(thread, mid_weak_get(thread, weak));
            seen.weak_cleared += mid_weak_drop(thread, weak) == MID_OK;
        }
        mid_release(thread, fresh);
    }
    mid_collect_result collected;
    seen.busy += mid_collect(thread, &collected) == MID_EBUSY;
    seen.busy += mid_compact(thread, MID_COMPACT_PLAIN, 0, NULL) == MID_EBUSY;
    seen.busy += mid_thread_detach(thread) == MID_EBUSY;
    seen.busy += mid_heap_close(seen.heap) == MID_EBUSY;
}

TEST(a_finalizer_may_use_the_heap_but_not_collect_compact_or_leave)
{
    for (int closed = 0; closed < 2; closed++) {
        struct unit u;
        mid_type type = open_for(&u, busy_body);
        seen.other = u.node;
        mid_release(u.thread, shape(&u, type, 3, closed));
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(seen.calls, 3);
        assert_int_equal(seen.weak_cleared, 3);
        assert_int_equal(seen.busy, 12);
        unit_close_empty(&u);
    }
}

static void weak_to_self(mid_thread *thread, mid_handle object)
{
    note(thread, object);
    seen.weak_cleared += mid_weak_get(thread, seen.weak[0]) == 0; /* the old one is cleared already */
    (void)mid_weak_new(thread, object, &seen.weak[1]);
}

TEST(weak_references_are_cleared_before_and_after_finalizers)
{
    for (int closed = 0; closed < 2; closed++) {
        struct unit u;
        mid_type type = open_for(&u, weak_to_self);
        mid_handle object = shape(&u, type, 1, closed);
        ok(mid_weak_new(u.thread, object, &seen.weak[0]));
        mid_release(u.thread, object);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.weak_cleared, 1);
        assert_int_equal(unit_live(&u), 0);
        assert_int_equal(mid_weak_get(u.thread, seen.weak[0]), 0);
        assert_int_equal(mid_weak_get(u.thread, seen.weak[1]), 0);
        unit_close(&u);
    }
}

static void saves_by_store(mid_thread *thread, mid_handle object)
{
    note(thread, object);
    mid_store(thread, seen.saved[0], RIGHT, object);
}

TEST(storing_the_object_in_a_live_one_resurrects_it)
{
    for (int closed = 0; closed < 2; closed++) {
        struct unit u;
        mid_type type = open_for(&u, saves_by_store);
        mid_handle keeper = unit_new(&u, u.node);
        seen.saved[0] = keeper;
        mid_handle object = shape(&u, type, 1, closed);
        mid_release(u.thread, object);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 2);
        assert_int_equal(mid_peek(u.thread, keeper, RIGHT), object);
        assert_int_equal(unit_count(&u, object), closed ? 2 : 1);
        unit_check(&u);
        mid_release(u.thread, keeper);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 0);
        assert_int_equal(seen.calls, 1);
        unit_close(&u);
    }
}

/* --- payloads after finalizers, long chains, closing ---------------------------------------------------------- */

struct owner {
    struct node node;
    void *payload;
};

static void payload_gone(void *payload, void *context)
{
    *(size_t *)payload = *(size_t *)context; /* finalizer calls so far */
}

TEST(the_payload_goes_after_the_finalizer)
{
    struct unit u;
    open_for(&u, note);
    size_t at[2] = {0, 0};
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "owner", .size = sizeof(struct owner), .finalize = note,
                                                           .payload_free = payload_gone, .payload_context = &seen.calls,
                                                           .payload_offset = offsetof(struct owner, payload)});
    mid_handle straight = unit_new(&u, type), looped = unit_new(&u, type);
    ((struct owner *)mid_get(u.thread, straight))->payload = &at[0];
    ((struct owner *)mid_get(u.thread, looped))->payload = &at[1];
    mid_store(u.thread, looped, LEFT, looped);
    mid_release(u.thread, straight);
    assert_int_equal(at[0], 1);
    mid_release(u.thread, looped);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(at[1], 2);
    unit_close(&u);
}

TEST(a_long_chain_of_finalizers_is_drained_without_recursion)
{
    struct unit u;
    mid_type type = open_for(&u, note);
    size_t count = unit_scale(200000);
    mid_release(u.thread, shape(&u, type, count, 0));
    unit_drain(&u);
    for (size_t i = 0; unit_stats(&u).finalizers_waiting != 0; i++) {
        assert_true(i < 1000000);
        ok(mid_safepoint(u.thread));
    }
    assert_int_equal(seen.calls, count);
    unit_close_empty(&u);
}

TEST(closing_runs_the_finalizers_of_garbage)
{
    struct unit u;
    mid_type type = open_for(&u, note);
    mid_release(u.thread, shape(&u, type, 5, 1));
    unit_close(&u);
    assert_int_equal(seen.calls, 5);
}

TEST(destroy_runs_none)
{
    struct unit u;
    mid_type type = open_for(&u, note);
    mid_release(u.thread, shape(&u, type, 5, 1));
    shape(&u, type, 5, 0);
    unit_destroy(&u);
    assert_int_equal(seen.calls, 0);
}

static void reenter(mid_thread *thread, mid_handle object)
{
    note(thread, object);
    mid_store(thread, object, LEFT, 0); /* frees the next link, whose finalizer runs in turn, inside this one or later */
}

TEST(a_finalizer_whose_release_needs_finalizers)
{
    struct unit u;
    mid_type type = open_for(&u, reenter);
    size_t count = unit_scale(100000);
    mid_release(u.thread, shape(&u, type, count, 0));
    for (size_t i = 0; seen.calls < count; i++) {
        assert_true(i < 1000000);
        ok(mid_safepoint(u.thread));
    }
    unit_drain(&u);
    assert_int_equal(seen.calls, count);
    unit_close_empty(&u);
}

static void makes_another(mid_thread *thread, mid_handle object)
{
    note(thread, object);
    mid_handle next;
    if (seen.calls < 1000 && mid_new(thread, seen.other, &next) == MID_OK) {
        mid_store(thread, next, LEFT, next);
        mid_release(thread, next); /* garbage again, with a finalizer again */
    }
}

TEST(finalizers_that_make_garbage_do_not_hang_a_collection)
{
    struct unit u;
    mid_type type = open_for(&u, makes_another);
    seen.other = type;
    mid_handle first = shape(&u, type, 1, 1);
    mid_release(u.thread, first);
    for (size_t i = 0; unit_live(&u) != 0; i++) {
        assert_true(i < 2000);
        ok(mid_collect(u.thread, NULL));
    }
    assert_int_equal(seen.calls, 1000);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_finalizers_run_once_each),
        cmocka_unit_test(resurrected_objects_are_whole_and_are_not_finalized_again),
        cmocka_unit_test(suicidal_finalizers),
        cmocka_unit_test(heterogeneous_rings),
        cmocka_unit_test(resurrection_is_transitive_and_spares_what_is_not_reached),
        cmocka_unit_test(a_finalizer_may_use_the_heap_but_not_collect_compact_or_leave),
        cmocka_unit_test(weak_references_are_cleared_before_and_after_finalizers),
        cmocka_unit_test(storing_the_object_in_a_live_one_resurrects_it),
        cmocka_unit_test(the_payload_goes_after_the_finalizer),
        cmocka_unit_test(a_long_chain_of_finalizers_is_drained_without_recursion),
        cmocka_unit_test(closing_runs_the_finalizers_of_garbage),
        cmocka_unit_test(destroy_runs_none),
        cmocka_unit_test(a_finalizer_whose_release_needs_finalizers),
        cmocka_unit_test(finalizers_that_make_garbage_do_not_hang_a_collection),
        cmocka_unit_test(a_broken_cycle_goes_whole_in_one_collection),
        cmocka_unit_test(a_finalizer_finds_a_whole_heap_and_itself_in_it),
    };
    return UNIT_RUN(tests);
}
