/* The trial of large sets with finalizers: all are held until these have run, and then tried again. */
#include "cycles.h"

enum { SIZE = 5, RINGS = 1000, OBJECTS = SIZE * RINGS }; /* more than one stop can prove */

static struct {
    size_t calls, every; /* how many; which are saved: one in so many, 0: none */
    mid_handle saved[RINGS];
    size_t count;
} seen;
static size_t kicks;

static void finalize(mid_thread *thread, mid_handle object)
{
    seen.calls++;
    if (seen.every != 0 && seen.calls % seen.every == 0)
        seen.saved[seen.count++] = mid_retain(thread, object);
}

static void kick(void *context)
{
    (void)context;
    kicks++;
}

static mid_type final_open(struct unit *u, const char *options, size_t every)
{
    memset(&seen, 0, sizeof seen);
    seen.every = every;
    cycles_open(u, options);
    return unit_node_type(u->heap, (mid_type_desc){.name = "final", .finalize = finalize});
}

/* Finalizers run at safepoints, some at a time; then the set is taken over, and tried. */
static void let_them_run(struct unit *u)
{
    for (int i = 0; unit_stats(u).finalizers_waiting != 0; i++) {
        assert_true(i < OBJECTS);
        ok(mid_safepoint(u->thread));
    }
}

static const char *const modes[] = {"", "shared=off"};

TEST(they_are_tried_again_when_their_finalizers_have_run)
{
    for (int mode = 0; mode < 2; mode++) {
        struct unit u;
        mid_type type = final_open(&u, modes[mode], 0);
        unit_drop_rings(&u, type, RINGS, SIZE);
        cycles_begin(&u);
        cycles_to(&u, MID_SWEEP_CONDEMN);
        assert_int_equal(unit_live(&u), OBJECTS);
        unit_check(&u);
        cycles_finish(&u);
        assert_int_equal(unit_live(&u), OBJECTS);
        assert_int_equal(unit_stats(&u).finalizers_waiting, OBJECTS);
        unit_check(&u);
        let_them_run(&u);
        assert_int_equal(seen.calls, OBJECTS);
        assert_int_equal(cycles_step(&u), MID_SWEEP_RELEASE);
        cycles_finish(&u);
        assert_int_equal(unit_live(&u), 0);
        assert_int_equal(unit_stats(&u).resurrected_objects, 0);
        cycles_close(&u);
    }
}

TEST(what_they_save_lives_and_the_rest_is_freed)
{
    for (int mode = 0; mode < 2; mode++) {
        struct unit u;
        mid_type type = final_open(&u, modes[mode], 250);
        unit_drop_rings(&u, type, RINGS, SIZE);
        cycles_begin(&u);
        cycles_finish(&u);
        let_them_run(&u);
        assert_int_equal(seen.count, OBJECTS / 250);
        cycles_finish(&u);
        assert_int_equal(unit_live(&u), seen.count * SIZE);
        assert_int_equal(unit_stats(&u).resurrected_objects, seen.count * SIZE);
        unit_check(&u);
        for (size_t i = 0; i < seen.count; i++) {
            assert_int_equal(unit_count(&u, seen.saved[i]), 2);
            mid_release(u.thread, seen.saved[i]);
        }
        cycles_find(&u);
        assert_int_equal(unit_live(&u), 0);
        assert_int_equal(seen.calls, OBJECTS); /* once each */
        cycles_close(&u);
    }
}

/* Weak references are over when it is decided, before any finalizer has run. */
TEST(weak_references_to_them_are_cleared_first)
{
    struct unit u;
    mid_weak weak;
    mid_type type = final_open(&u, "", 0);
    mid_handle ring = unit_ring(&u, type, SIZE);
    ok(mid_weak_new(u.thread, ring, &weak));
    mid_release(u.thread, ring);
    unit_drop_rings(&u, type, RINGS, SIZE);
    cycles_begin(&u);
    cycles_to(&u, MID_SWEEP_HOLD);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    cycles_to(&u, MID_SWEEP_CONDEMN);
    cycles_piece(&u);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    cycles_finish(&u);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    assert_int_equal(seen.calls, 0);
    let_them_run(&u);
    cycles_finish(&u);
    assert_int_equal(unit_live(&u), 0);
    ok(mid_weak_drop(u.thread, weak));
    cycles_close(&u);
}

/* --- one set at a time -------------------------------------------------------------------------------------------- */

/* A small set is condemned, and its finalizers have not run. */
static void condemn_small(struct unit *u, mid_type type)
{
    mid_release(u->thread, unit_ring(u, type, 100));
    cycles_find(u);
    assert_int_equal(unit_stats(u).finalizers_waiting, 100);
}

TEST(a_set_waits_for_the_finalizers_of_another)
{
    struct unit u;
    mid_type type = final_open(&u, "", 0);
    mid_service_unbind(u.heap);
    ok(mid_service_bind(u.heap, kick, NULL));
    mid_service_log(u.heap, true, 0, 0);
    condemn_small(&u, type);
    unit_drop_rings(&u, type, RINGS, SIZE);
    cycles_begin(&u);
    cycles_to(&u, MID_SWEEP_CONDEMN);
    while (cycles_shown(&u).sweeping == MID_SWEEPS_STOPPED)
        cycles_piece(&u);
    assert_int_equal(cycles_step(&u), MID_SWEEP_CONDEMN);
    assert_int_equal(cycles_shown(&u).sweeping, MID_SWEEPS_WAITING);
    unit_check(&u);
    kicks = 0;
    let_them_run(&u);
    ok(mid_safepoint(u.thread));
    assert_int_equal(seen.calls, 100);
    assert_int_equal(cycles_shown(&u).sweeping, MID_SWEEPS_STOPPED); /* it may go on, */
    assert_true(kicks != 0);                                        /* and the service is told */
    cycles_finish(&u);
    let_them_run(&u);
    cycles_finish(&u);
    assert_int_equal(seen.calls, 100 + OBJECTS);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

TEST(a_set_without_finalizers_leaves_those_of_another_alone)
{
    struct unit u;
    mid_type type = final_open(&u, "", 0);
    condemn_small(&u, type);
    unit_drop_rings(&u, u.node, RINGS, SIZE);
    cycles_begin(&u);
    cycles_finish(&u);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(unit_live(&u), 100);
    let_them_run(&u);
    ok(mid_safepoint(u.thread));
    assert_int_equal(seen.calls, 100);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

/* --- brought to an end at each step ------------------------------------------------------------------------------- */

static const struct {
    mid_sweep_step step;
    bool again; /* in the second trial */
} steps[] = {{MID_SWEEP_COMMIT, false}, {MID_SWEEP_HOLD, false},   {MID_SWEEP_CONDEMN, false}, {MID_SWEEP_DISPOSE, false},
             {MID_SWEEP_CLOSE, false},  {MID_SWEEP_RELEASE, true}, {MID_SWEEP_WATCH, true},    {MID_SWEEP_JUDGE, true},
             {MID_SWEEP_COMMIT, true},  {MID_SWEEP_HOLD, true},    {MID_SWEEP_DISPOSE, true},  {MID_SWEEP_CLOSE, true}};
#define STEPS (sizeof steps / sizeof *steps)

static void reach(struct unit *u, size_t step, bool later)
{
    cycles_begin(u);
    if (steps[step].again) {
        cycles_finish(u);
        let_them_run(u);
    }
    cycles_to(u, steps[step].step);
    for (int i = 0; later && i < 20 && cycles_step(u) == steps[step].step; i++)
        cycles_piece(u);
}

/* A collection, a reclaim, the end of the heap. */
TEST(whatever_ends_it_loses_nothing)
{
    for (size_t step = 0; step < STEPS; step++)
        for (int later = 0; later < 2; later++)
            for (int way = 0; way < 4; way++) {
                struct unit u;
                mid_type type = final_open(&u, "", 0);
                unit_drop_rings(&u, type, RINGS, SIZE);
                mid_handle mixed = unit_ring(&u, u.node, 300); /* some without */
                mid_give(u.thread, mixed, RIGHT, unit_ring(&u, type, 3));
                mid_release(u.thread, mixed);
                reach(&u, step, later);
                unit_check(&u);
                if (way == 0)
                    ok(mid_collect(u.thread, NULL));
                else if (way == 1)
                    ok(mid_reclaim(u.thread));
                if (way < 2) {
                    assert_int_equal(seen.calls, OBJECTS + 3);
                    assert_int_equal(unit_live(&u), 0);
                }
                mid_service_unbind(u.heap);
                if (way == 3)
                    unit_destroy(&u);
                else
                    unit_close(&u);
                if (way != 3)
                    assert_int_equal(seen.calls, OBJECTS + 3);
            }
}

/* A collection that stops the world passes over what is committed, and takes the suspects of all the rest away. If then the set
 * is given up, something has to say that there is garbage. */
TEST(what_a_collection_passed_over_is_found_by_the_next)
{
    struct unit u;
    mid_collect_result result;
    mid_type type = final_open(&u, "", 0);
    for (int i = 0; i < RINGS; i++) { /* closed by giving away the last handle: no count tells */
        mid_handle first = unit_new(&u, type), last = first;
        for (int k = 1; k < SIZE; k++) {
            mid_handle next = unit_new(&u, type);
            mid_init(u.thread, next, LEFT, last);
            last = next;
        }
        mid_swap(u.thread, first, LEFT, last);
    }
    cycles_begin(&u);
    cycles_to(&u, MID_SWEEP_CONDEMN);
    ok(mid_service_stop(u.heap, u.thread, 0, NULL));
    ok(mid_service_collect(u.heap, &result));
    mid_service_resume(u.heap);
    assert_int_equal(result.freed, 0);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(seen.calls, OBJECTS);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

static struct {
    mid_impl *me;
    mid_handle set[2];
} others;

static void condemn_some(void *context)
{
    uint64_t freed;
    (void)context;
    if (seen.calls == 0)
        ok(mid_cycles_prove(others.me, others.set, 2, &freed));
}

/* Others may condemn something between the last finalizer and the stop: what it reaches looks alive, and must not be left. */
TEST(a_collection_finds_what_the_condemned_reach)
{
    struct unit u;
    mid_type type = final_open(&u, "", 0);
    mid_handle first = unit_ring(&u, type, 2), second = mid_peek(u.thread, first, LEFT);
    mid_handle plain = unit_ring(&u, u.node, 3);
    mid_give(u.thread, first, RIGHT, plain);
    others.me = mid_impl_of(u.thread);
    others.set[0] = first;
    others.set[1] = second;
    mid_release(u.thread, first);
    mid_listener listener = {.struct_size = sizeof listener, .context = &others, .stop_begin = condemn_some};
    ok(mid_listener_add(u.heap, &listener));
    ok(mid_collect(u.thread, NULL));
    ok(mid_listener_remove(u.heap, &others));
    assert_int_equal(seen.calls, 2);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_tried_again_when_their_finalizers_have_run),
        cmocka_unit_test(what_they_save_lives_and_the_rest_is_freed),
        cmocka_unit_test(weak_references_to_them_are_cleared_first),
        cmocka_unit_test(a_set_waits_for_the_finalizers_of_another),
        cmocka_unit_test(a_set_without_finalizers_leaves_those_of_another_alone),
        cmocka_unit_test(whatever_ends_it_loses_nothing),
        cmocka_unit_test(what_a_collection_passed_over_is_found_by_the_next),
        cmocka_unit_test(a_collection_finds_what_the_condemned_reach),
    };
    return UNIT_RUN(tests);
}
