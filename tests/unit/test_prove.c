/* Proofs of what was proposed: finalizers, and memory that is refused anywhere on the way. */
#include "cycles.h"
#include "fault_os.h"

static struct {
    size_t calls, again;
    mid_handle saved, makes;
    mid_type type; /* of what a finalizer makes */
} seen;

/* --- finalizers --------------------------------------------------------------------------------------------------- */

static void note(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
    seen.calls++;
}

static void save(mid_thread *thread, mid_handle object)
{
    if (seen.calls++ == 0)
        seen.saved = mid_retain(thread, object);
}

/* A ring that only the dying object refers to. */
static void make_more(mid_thread *thread, mid_handle object)
{
    mid_handle a = 0, b = 0;
    seen.calls++;
    if (mid_new(thread, seen.type, &a) != MID_OK || mid_new(thread, seen.type, &b) != MID_OK)
        return;
    mid_store(thread, a, LEFT, b);
    mid_store(thread, b, LEFT, a);
    mid_store(thread, object, RIGHT, a);
    mid_release(thread, a);
    mid_release(thread, b);
}

static mid_type open_for(struct unit *u, void (*finalize)(mid_thread *, mid_handle))
{
    memset(&seen, 0, sizeof seen);
    cycles_open(u, "");
    seen.type = u->node;
    return unit_node_type(u->heap, (mid_type_desc){.name = "final", .finalize = finalize});
}

TEST(finalizers_of_what_is_proved_run_at_safepoints)
{
    struct unit u;
    mid_weak weak;
    mid_type type = open_for(&u, note);
    mid_handle ring = unit_ring(&u, type, 9);
    ok(mid_weak_new(u.thread, ring, &weak));
    mid_release(u.thread, ring);
    assert_int_equal(cycles_find(&u), 0);
    assert_int_equal(seen.calls, 0); /* not in a stop */
    assert_int_equal(unit_live(&u), 9);
    assert_int_equal(mid_weak_get(u.thread, weak), 0); /* but that is over */
    unit_check(&u);
    ok(mid_safepoint(u.thread));
    assert_int_equal(seen.calls, 9);
    assert_int_equal(unit_live(&u), 0);
    ok(mid_weak_drop(u.thread, weak));
    cycles_close(&u);
}

TEST(what_a_finalizer_saves_lives_with_all_it_reaches)
{
    struct unit u;
    mid_type type = open_for(&u, save);
    mid_release(u.thread, unit_ring(&u, type, 9));
    cycles_find(&u);
    ok(mid_safepoint(u.thread));
    assert_int_equal(seen.calls, 9);
    assert_int_equal(unit_live(&u), 9);
    assert_int_equal(unit_count(&u, seen.saved), 2);
    unit_check(&u);
    assert_int_equal(cycles_find(&u), 0);
    mid_release(u.thread, seen.saved);
    assert_int_equal(cycles_find(&u), 9); /* without a second call */
    assert_int_equal(seen.calls, 9);
    cycles_close(&u);
}

TEST(garbage_that_finalizers_make_is_found)
{
    struct unit u;
    mid_type type = open_for(&u, make_more);
    mid_release(u.thread, unit_ring(&u, type, 4));
    cycles_find(&u);
    ok(mid_safepoint(u.thread));
    assert_int_equal(seen.calls, 4);
    assert_int_equal(unit_live(&u), 8); /* four rings of two */
    assert_int_equal(cycles_find(&u), 8);
    cycles_close(&u);
}

/* Some of a garbage set have finalizers: what they reach waits with them, the rest goes at once. */
TEST(what_finalizers_cannot_see_goes_first)
{
    struct unit u;
    mid_type type = open_for(&u, note);
    mid_handle ring = unit_ring(&u, u.node, 6), final = unit_ring(&u, type, 3);
    mid_give(u.thread, ring, RIGHT, final);
    mid_release(u.thread, ring);
    assert_int_equal(cycles_find(&u), 6);
    assert_int_equal(unit_live(&u), 3);
    unit_check(&u);
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(seen.calls, 3);
    cycles_close(&u);
}

/* --- no memory ---------------------------------------------------------------------------------------------------- */

struct run {
    struct unit u;
    struct fault_os fault;
    mid_handle kept;
    size_t refusals;
};

static bool went_well(struct run *run, mid_status status)
{
    if (status == MID_OK || status == MID_MORE || status == MID_EBUSY)
        return true;
    assert_int_equal(status, MID_ENOMEM);
    run->refusals++;
    return false;
}

static void find(struct run *run)
{
    struct unit *u = &run->u;
    uint64_t walked, proposed, freed;
    for (int i = 0; i < 3; i++) {
        ok(mid_service_stop(u->heap, u->thread, AMPLE, NULL));
        went_well(run, mid_service_prove(u->heap, AMPLE, &freed));
        mid_service_resume(u->heap);
        went_well(run, mid_service_propose(u->heap, AMPLE, &walked, &proposed));
        went_well(run, mid_service_sweep(u->heap, AMPLE, false));
        ok(mid_safepoint(u->thread));
    }
}

static void sweep(struct run *run)
{
    struct unit *u = &run->u;
    uint64_t freed;
    if (!went_well(run, mid_service_sweep(u->heap, AMPLE, true)))
        return;
    for (int i = 0; i < 1000 && cycles_step(u) != MID_SWEEP_NONE; i++) {
        ok(mid_service_stop(u->heap, u->thread, AMPLE, NULL));
        went_well(run, mid_service_prove(u->heap, AMPLE, &freed));
        mid_service_resume(u->heap);
        ok(mid_safepoint(u->thread));
        went_well(run, mid_service_sweep(u->heap, AMPLE, false));
    }
    assert_int_equal(cycles_step(u), MID_SWEEP_NONE);
}

static void make_garbage(struct run *run, mid_type final)
{
    struct unit *u = &run->u;
    run->kept = unit_ring(u, u->node, 30);
    mid_release(u->thread, mid_retain(u->thread, run->kept));
    for (size_t i = 1; i < 300; i++)
        mid_release(u->thread, unit_ring(u, i % 16 == 0 ? final : u->node, i % 40 + 1));
    mid_release(u->thread, unit_ring(u, u->node, MID_SWEEP_SMALL + 1)); /* for sweeps */
    mid_release(u->thread, unit_ring(u, final, MID_SWEEP_SMALL + 1));
}

/* The nth request after that is refused. */
static size_t scenario(size_t n, bool for_good, bool destroy)
{
    struct run *run = calloc(1, sizeof *run);
    struct unit *u = &run->u;
    assert_non_null(run);
    memset(&seen, 0, sizeof seen);
    fault_open(u, &run->fault, "max-objects=1M");
    ok(mid_service_bind(u->heap, cycles_kick, NULL));
    mid_service_log(u->heap, true, 0, 0);
    mid_type final = unit_node_type(u->heap, (mid_type_desc){.finalize = note});
    make_garbage(run, final);
    run->fault.fail_at = n == 0 ? 0 : run->fault.calls + n;
    run->fault.for_good = for_good;
    find(run);
    sweep(run);
    find(run);
    for (int i = 0; n == 0 && i < 1000 && unit_live(u) != 30; i++)
        find(run); /* finalizers run some at a time */
    run->fault.fail_at = 0;
    unit_check(u);
    size_t failed = run->fault.failed;
    mid_service_unbind(u->heap);
    if (n != 0)
        ok(mid_collect(u->thread, NULL)); /* what was not found is not lost */
    assert_int_equal(unit_live(u), 30);
    mid_release(u->thread, run->kept);
    if (destroy)
        unit_destroy(u);
    else
        unit_close(u);
    fault_os_done(&run->fault);
    free(run);
    return failed;
}

TEST(without_refusals_all_is_found)
{
    assert_int_equal(scenario(0, false, false), 0);
    assert_int_equal(scenario(0, false, true), 0);
}

TEST(what_a_refusal_kept_from_being_found_is_collected)
{
    for (int for_good = 0; for_good < 2; for_good++) {
        size_t n = 1;
        while (scenario(n, for_good, n % 2 == 0) != 0)
            n += RUNNING_ON_VALGRIND ? 7 : 1;
        assert_true(n > 10);
    }
}

/* At the limit there is no room for anything: the calls say so, and a reclaim frees it all. */
TEST(at_the_limit_nothing_is_lost)
{
    struct unit u;
    uint64_t walked, proposed, freed;
    cycles_open(&u, "heap-limit=4M,reserve=0,spare=0");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "kilobyte", .size = 1000});
    mid_handle made = 0, ring = unit_ring(&u, type, 3);
    mid_status status = MID_OK;
    for (mid_handle last = ring; status == MID_OK; last = made)
        if ((status = mid_new(u.thread, type, &made)) == MID_OK)
            mid_give(u.thread, last, RIGHT, made);
    assert_int_equal(status, MID_ELIMIT);
    mid_release(u.thread, ring);
    uint64_t live = unit_live(&u);
    expect(MID_ELIMIT, mid_service_propose(u.heap, AMPLE, &walked, &proposed));
    expect(MID_ELIMIT, mid_service_sweep(u.heap, AMPLE, true));
    ok(mid_service_stop(u.heap, u.thread, AMPLE, NULL));
    ok(mid_service_prove(u.heap, AMPLE, &freed));
    mid_service_resume(u.heap);
    assert_int_equal(unit_live(&u), live);
    expect(MID_ELIMIT, mid_step(u.thread, AMPLE));
    ok(mid_reclaim(u.thread));
    assert_int_equal(unit_live(&u), 0);
    mid_release(u.thread, unit_ring(&u, u.node, 5));
    assert_int_equal(cycles_find(&u), 5);
    cycles_close(&u);
}

/* --- accounting --------------------------------------------------------------------------------------------------- */

TEST(a_reclaim_gives_the_side_arrays_back)
{
    struct unit u;
    cycles_open(&u, "");
    mid_release(u.thread, unit_ring(&u, u.node, 20000));
    ok(mid_reclaim(u.thread));
    uint64_t before = unit_stats(&u).metadata_bytes;
    unit_drop_rings(&u, u.node, 1000, 20);
    cycles_begin(&u);
    cycles_to(&u, MID_SWEEP_JUDGE);
    cycles_propose(&u);
    assert_true(unit_stats(&u).metadata_bytes > before);
    ok(mid_reclaim(u.thread));
    assert_int_equal(unit_stats(&u).metadata_bytes, before);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finalizers_of_what_is_proved_run_at_safepoints),
        cmocka_unit_test(what_a_finalizer_saves_lives_with_all_it_reaches),
        cmocka_unit_test(garbage_that_finalizers_make_is_found),
        cmocka_unit_test(what_finalizers_cannot_see_goes_first),
        cmocka_unit_test(without_refusals_all_is_found),
        cmocka_unit_test(what_a_refusal_kept_from_being_found_is_collected),
        cmocka_unit_test(at_the_limit_nothing_is_lost),
        cmocka_unit_test(a_reclaim_gives_the_side_arrays_back),
    };
    return UNIT_RUN(tests);
}
