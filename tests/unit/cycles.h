/* tests/unit/cycles.h: garbage cycles proposed and proved when a test says so, slice by slice, as the smallest that there are.
 *
 * A budget of 0 is one piece of work; AMPLE is never used up. Nothing here looks at a clock. */
#ifndef CYCLES_H
#define CYCLES_H

#include "unit.h"

#include "gc/propose.h"

#define AMPLE UINT64_C(600000000)

static inline void cycles_kick(void *context)
{
    (void)context;
}

/* Suspects are logged, and nobody but the test looks at them. */
static inline void cycles_open(struct unit *u, const char *options)
{
    unit_open(u, options);
    ok(mid_service_bind(u->heap, cycles_kick, NULL));
    mid_service_log(u->heap, true, 0, 0);
}

static inline void cycles_close(struct unit *u)
{
    mid_service_unbind(u->heap);
    unit_close(u);
}

static inline mid_snapshot cycles_shown(struct unit *u)
{
    mid_snapshot shown;
    mid_service_snapshot(u->heap, &shown);
    return shown;
}

/* One stop; `status` is expected of it. Returns objects freed. */
static inline uint64_t cycles_prove(struct unit *u, uint64_t budget)
{
    uint64_t freed = 0;
    ok(mid_service_stop(u->heap, u->thread, AMPLE, NULL));
    mid_status status = mid_service_prove(u->heap, budget, &freed);
    mid_service_resume(u->heap);
    assert_true(status == MID_OK || status == MID_MORE);
    return freed;
}

/* What the threads have logged, handed over and walked from; returns objects proposed. Other threads must not run. */
static inline uint64_t cycles_propose(struct unit *u)
{
    uint64_t walked, proposed;
    cycles_prove(u, AMPLE);
    ok(mid_service_propose(u->heap, AMPLE, &walked, &proposed));
    assert_int_equal(cycles_shown(u).suspects, 0);
    return proposed;
}

/* Whatever suspects lead to, and what comes of that; returns objects freed. */
static inline uint64_t cycles_find(struct unit *u)
{
    uint64_t freed = 0;
    do {
        cycles_propose(u);
        freed += cycles_prove(u, AMPLE);
    } while (cycles_shown(u).suspects != 0 || cycles_shown(u).proposals != 0);
    return freed;
}

/* --- sweeps --------------------------------------------------------------------------------------------------------------- */

static inline mid_sweep_step cycles_step(struct unit *u)
{
    return u->heap->proposer == NULL ? MID_SWEEP_NONE : u->heap->proposer->sweep.step;
}

static inline void cycles_begin(struct unit *u)
{
    expect(MID_MORE, mid_service_sweep(u->heap, 0, true));
}

/* The next piece, with the world stopped if that is what it needs: what else is to be proved would come before it. */
static inline void cycles_piece(struct unit *u)
{
    assert_true(cycles_shown(u).sweeping != MID_SWEEPS_STOPPED || cycles_shown(u).proposals == 0);
    if (cycles_shown(u).sweeping == MID_SWEEPS_STOPPED)
        cycles_prove(u, 0);
    else
        assert_true(mid_service_sweep(u->heap, 0, false) <= MID_MORE);
}

/* Up to that step, which must come. */
static inline void cycles_to(struct unit *u, mid_sweep_step step)
{
    while (cycles_step(u) != step) {
        assert_int_not_equal(cycles_step(u), MID_SWEEP_NONE);
        cycles_piece(u);
    }
}

static inline void cycles_finish(struct unit *u)
{
    for (size_t i = 0; cycles_step(u) != MID_SWEEP_NONE; i++) {
        assert_true(i < 10000000);
        if (cycles_shown(u).sweeping == MID_SWEEPS_WAITING)
            ok(mid_safepoint(u->thread)); /* for finalizers */
        else
            cycles_piece(u);
    }
}

#endif
