/* daemon/act.c: one slice of work on a stopped heap. */
#include "daemon/act.h"

#include <time.h>

#define RELEASE_WAIT 100u /* it kicks just before it stops */

static uint64_t micros(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t mid_daemon_clock(void)
{
    return micros(CLOCK_MONOTONIC);
}

uint64_t mid_daemon_thread_clock(void)
{
    return micros(CLOCK_THREAD_CPUTIME_ID);
}

static mid_status collect(mid_heap *heap, mid_decision *d)
{
    mid_collect_result result = {0};
    mid_status status = mid_service_collect(heap, &result);
    d->objects = result.freed;
    return status;
}

static mid_status compact(mid_heap *heap, uint64_t budget, mid_decision *d)
{
    mid_compact_result result = {0};
    mid_status status = mid_service_compact(heap, budget, &result);
    d->objects = result.moved_objects + result.moved_runs;
    d->bytes = result.moved_bytes + result.moved_run_bytes;
    d->pools_before = result.pools_before;
    d->pools_after = result.pools_after;
    d->pools_pinned = result.pools_pinned;
    return status;
}

bool mid_beside(const mid_snapshot *seen, const mid_work_plan *plan)
{
    return plan->action == MID_ACT_PROPOSE || plan->action == MID_ACT_SWEEP ||
           (plan->action == MID_ACT_DEEP && seen->deepening != MID_DEEPENS_STOPPED);
}

static mid_status slice(mid_heap *heap, const mid_work_plan *plan, mid_decision *d)
{
    switch (plan->action) {
    case MID_ACT_DRAIN:
        return mid_service_drain(heap, plan->budget, &d->objects);
    case MID_ACT_COLLECT:
        return collect(heap, d);
    case MID_ACT_COMPACT:
        return compact(heap, plan->budget, d);
    case MID_ACT_PROVE:
        return mid_service_prove(heap, plan->budget, &d->objects);
    case MID_ACT_DEEP:
        return mid_service_deep(heap, plan->budget, &d->objects);
    case MID_ACT_TRIM:
        return mid_service_trim(heap, plan->budget, plan->keep, &d->bytes);
    default:
        return MID_OK;
    }
}

static uint64_t growth(const mid_snapshot *s)
{
    uint64_t live = s->live_slot_bytes + s->large_bytes + s->foreign_bytes;
    return live > s->live_at_collection ? live - s->live_at_collection : 0;
}

/* While it was waited for, the mutator may have come to a safepoint and collected by itself: most of the growth is gone. */
static bool overtaken(mid_heap *heap, const mid_snapshot *seen, const mid_work_plan *plan)
{
    mid_snapshot now;
    mid_service_snapshot(heap, &now);
    return plan->action == MID_ACT_COLLECT && growth(&now) < growth(seen) / 2;
}

/* What goes on while the program runs. */
static void beside(mid_heap *heap, const mid_snapshot *seen, const mid_work_plan *plan, mid_outcome *out, mid_decision *d)
{
    uint64_t begun = mid_daemon_thread_clock();
    if (plan->action == MID_ACT_PROPOSE)
        out->status = mid_service_propose(heap, plan->budget, &out->done, &d->objects);
    else if (plan->action == MID_ACT_DEEP)
        out->status = mid_service_deep_read(heap, plan->budget);
    else
        out->status = mid_service_sweep(heap, plan->budget, seen->sweeping == MID_SWEEPS_NOT);
    d->took_micros = d->longest_micros = out->took = mid_daemon_thread_clock() - begun;
    out->stopped = true; /* for there was nobody to stop */
    mid_service_snapshot(heap, &out->after);
    d->status = out->status;
}

bool mid_act(mid_heap *heap, mid_thread *self, const mid_snapshot *seen, const mid_work_plan *plan, mid_outcome *out,
             mid_decision *d)
{
    *d = (mid_decision){
        .at_micros = mid_daemon_clock(),
        .action = plan->action,
        .trigger = plan->trigger,
        .value = plan->value,
        .threshold = plan->threshold,
        .budget_micros = plan->budget,
        .slices = 1,
    };
    *out = (mid_outcome){.before = *seen};
    if (mid_beside(seen, plan)) {
        beside(heap, seen, plan, out, d);
        return true;
    }
    out->status = mid_service_stop(heap, self, plan->stop_wait, &d->waited_micros);
    out->stopped = out->status == MID_OK;
    if (!out->stopped)
        mid_service_late(heap, d->late);
    if (out->stopped && overtaken(heap, seen, plan)) {
        mid_service_resume(heap);
        return false;
    }
    if (out->stopped) {
        uint64_t begun = mid_daemon_thread_clock();
        out->status = slice(heap, plan, d);
        d->took_micros = d->longest_micros = out->took = mid_daemon_thread_clock() - begun;
        mid_service_resume(heap);
        mid_service_snapshot(heap, &out->after);
        out->done = d->objects > d->bytes ? d->objects : d->bytes;
        out->pools_emptied = d->pools_before > d->pools_after ? d->pools_before - d->pools_after : 0;
    }
    d->status = out->status;
    return true;
}

bool mid_act_release(mid_heap *heap, mid_thread *self)
{
    if (mid_service_stop(heap, self, RELEASE_WAIT, NULL) != MID_OK)
        return false;
    mid_service_resume(heap);
    return true;
}
