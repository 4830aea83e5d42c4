/* daemon/goal.c: a collection, a compaction or a trim that was asked for, slice by slice. */
#include "daemon/goal.h"

#include <string.h>

#define GOAL_REFUSALS 32u
#define BARREN_MOST 64u /* as the rules have it */
#define STOP_COST 20u

void mid_goal_begin(mid_goal *goal, mid_action action, uint64_t committed_bytes)
{
    *goal = (mid_goal){.action = action, .committed = committed_bytes};
}

static void end(mid_goal *goal, mid_status status)
{
    goal->over = true;
    goal->status = status;
}

/* --- what next ----------------------------------------------------------------------------------------------------- */

static mid_action drain_or_end(mid_goal *goal, const mid_snapshot *s)
{
    goal->looked = true;
    if (s->waiting_objects != 0)
        return MID_ACT_DRAIN;
    end(goal, MID_OK);
    return MID_ACT_NONE;
}

/* A small heap in one stop, as the rules do. A large one by a sweep; one that is under way may have passed what has become garbage
 * since, so it is finished and another begun. One that waits for finalizers is the program's to go on with. */
static mid_action next_of_collect(mid_goal *goal, const mid_snapshot *s, bool large)
{
    if (goal->looked)
        return drain_or_end(goal, s);
    if (!large && !goal->begun && s->sweeping == MID_SWEEPS_NOT)
        return MID_ACT_COLLECT;
    if (s->sweeping == MID_SWEEPS_RUNNING)
        return MID_ACT_SWEEP;
    if (s->sweeping == MID_SWEEPS_STOPPED)
        return MID_ACT_PROVE;
    if (s->sweeping == MID_SWEEPS_WAITING)
        return drain_or_end(goal, s);
    if (!goal->begun)
        return MID_ACT_SWEEP;
    return s->proposals != 0 ? MID_ACT_PROVE : drain_or_end(goal, s);
}

static mid_action next_of(mid_goal *goal, const mid_snapshot *s, bool large)
{
    return goal->action == MID_ACT_COLLECT ? next_of_collect(goal, s, large) : goal->action;
}

static uint64_t value_of(const mid_snapshot *s, mid_action action)
{
    switch (action) {
    case MID_ACT_DRAIN:
        return s->waiting_objects;
    case MID_ACT_PROVE:
        return s->proposals;
    case MID_ACT_COMPACT:
        return s->gain_bytes;
    case MID_ACT_DEEP:
        return s->table_waste;
    case MID_ACT_TRIM:
        return s->empty_bytes;
    default:
        return s->live_slot_bytes + s->large_bytes + s->foreign_bytes;
    }
}

uint64_t mid_goal_wait(const mid_goal *goal, uint64_t now)
{
    if (goal->action == MID_ACT_NONE || goal->over)
        return MID_NEVER;
    return now < goal->ready_at ? goal->ready_at - now : 0;
}

uint64_t mid_goal_plan(mid_goal *goal, const mid_snapshot *s, const mid_options *o, bool large, uint64_t now, mid_work_plan *plan)
{
    uint64_t wait = mid_goal_wait(goal, now);
    if (wait != 0)
        return wait;
    mid_action action = next_of(goal, s, large);
    if (action == MID_ACT_NONE)
        return 0; /* it is over; whoever asked is told at once */
    *plan = (mid_work_plan){
        .action = action,
        .trigger = MID_WHY_ASKED,
        .value = value_of(s, action),
        .budget = action == MID_ACT_COLLECT ? 0 : action == MID_ACT_SWEEP ? 2 * o->slice : o->slice,
        .keep = o->reserve,
        .stop_wait = o->stop_wait,
    };
    return 0;
}

/* --- what came of it ----------------------------------------------------------------------------------------------- */

static void add(mid_decision *sum, const mid_decision *d)
{
    if (sum->slices == 0)
        sum->pools_before = d->pools_before;
    if (d->action == MID_ACT_COMPACT) {
        sum->pools_after = d->pools_after;
        sum->pools_pinned = d->pools_pinned;
    }
    sum->objects += d->objects;
    sum->bytes += d->bytes;
    sum->slices += d->slices;
    sum->took_micros += d->took_micros;
    sum->waited_micros += d->waited_micros;
    if (sum->longest_micros < d->longest_micros)
        sum->longest_micros = d->longest_micros;
}

static void refused(mid_goal *goal, const mid_outcome *out, const mid_decision *d, const mid_options *o, uint64_t now)
{
    goal->ready_at = now + o->heartbeat;
    goal->sum.waited_micros += d->waited_micros;
    if (d->late[0] != 0)
        memcpy(goal->sum.late, d->late, sizeof goal->sum.late);
    if (++goal->refusals >= GOAL_REFUSALS)
        end(goal, out->status);
}

/* A proof that changes nothing may be followed by one that does; but not for ever. */
static bool stuck(mid_goal *goal, const mid_outcome *out)
{
    bool moved = out->done != 0 || out->after.sweeping != out->before.sweeping || out->after.proposals < out->before.proposals;
    goal->barren = moved ? 0 : goal->barren + 1;
    return goal->barren >= BARREN_MOST;
}

static void collected(mid_goal *goal, mid_action action, const mid_outcome *out)
{
    if (action == MID_ACT_COLLECT)
        goal->looked = true;
    else if (action == MID_ACT_SWEEP && out->before.sweeping == MID_SWEEPS_NOT)
        goal->begun = true;
    else if (action == MID_ACT_PROVE && stuck(goal, out))
        goal->looked = true;
    else if (action == MID_ACT_DRAIN && (out->status == MID_OK || out->done == 0))
        end(goal, MID_OK); /* what is left needs a mutator */
}

static void compacted(mid_goal *goal, const mid_outcome *out)
{
    goal->barren = mid_barren(out) ? goal->barren + 1 : 0;
    if (out->status == MID_OK || goal->barren >= BARREN_MOST)
        end(goal, MID_OK);
}

static void trimmed(mid_goal *goal, const mid_outcome *out)
{
    goal->barren = out->done != 0 ? 0 : goal->barren + 1;
    if (out->status == MID_OK || goal->barren >= BARREN_MOST)
        end(goal, MID_OK);
}

void mid_goal_done(mid_goal *goal, const mid_work_plan *plan, const mid_outcome *out, const mid_decision *d, const mid_options *o,
                   uint64_t now)
{
    if (!out->stopped || out->status == MID_EBUSY) {
        refused(goal, out, d, o, now);
        return;
    }
    add(&goal->sum, d);
    goal->refusals = 0;
    uint64_t took = out->took > STOP_COST ? out->took : STOP_COST;
    uint64_t share = out->before.mutator == MID_MUTATOR_RUNNING ? o->share : 50;
    goal->ready_at = now + took * (100 - share) / share;
    if (out->status != MID_OK && out->status != MID_MORE)
        end(goal, out->status);
    else if (goal->action == MID_ACT_COLLECT)
        collected(goal, plan->action, out);
    else if (plan->action == MID_ACT_COMPACT)
        compacted(goal, out);
    else if (plan->action == MID_ACT_TRIM)
        trimmed(goal, out);
    else if (out->after.deepening == MID_DEEPENS_NOT)
        end(goal, MID_OK);
}
