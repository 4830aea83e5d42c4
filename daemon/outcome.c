/* daemon/outcome.c: what came of a plan, and what that means for the next. */
#include "daemon/rules.h"

#define BACKOFF_MOST 8u
#define SLICE_LEAST 50u
#define STOP_COST 20u           /* what a slice counts as at least: stopping and waking a program is not free */
#define BARREN_MOST 64u         /* slices without an emptied pool after which a pass is given up */
#define RETRY_SHIFT_MOST 6u     /* refused stops are retried after 1, 2, ... 64 heartbeats */

/* Looking for garbage where there is little is put off longer and longer. */
static void weigh(mid_pacer *p, uint64_t freed, uint64_t growth)
{
    if (freed >= growth / 2)
        p->backoff = 1;
    else if (freed < growth / 10)
        p->backoff = least(p->backoff * 2, BACKOFF_MOST);
}

static void collected(mid_pacer *p, const mid_work_plan *plan, const mid_outcome *out)
{
    uint64_t before = live_bytes(&out->before), after = live_bytes(&out->after);
    uint64_t growth = minus(before, out->before.live_at_collection);
    p->low = after;
    p->left = out->after.live_at_collection;
    p->urged = false;
    if (out->status != MID_OK || minus(after, out->after.live_at_collection) >= most(growth, 1)) {
        p->refused_at = after;
        return;
    }
    uint64_t freed = minus(before, after);
    p->refused_at = 0;
    mid_rate_collection(&p->rates, after, out->took);
    if (plan->trigger == MID_WHY_GROWTH || (plan->trigger >= MID_WHY_STALLS && growth != 0) || freed >= growth / 2)
        weigh(p, freed, growth);
}

mid_work_plan mid_decide_collected(mid_pacer *p, const mid_own_collections *own, const mid_options *o)
{
    mid_outcome out = {.stopped = true, .status = own->status, .took = own->longest};
    out.before.live_slot_bytes = own->live_before;
    out.before.live_at_collection = own->live_at_collection;
    out.after.live_slot_bytes = out.after.live_at_collection = own->live_after;
    mid_work_plan plan = {
        .action = MID_ACT_COLLECT,
        .trigger = MID_WHY_GROWTH,
        .value = minus(own->live_before, own->live_at_collection),
        .threshold = mid_growth_wanted(p, own->live_at_collection, o),
    };
    if (!p->large && mid_steered(p, o)) /* what it was told, which may be less */
        plan.threshold = least(plan.threshold, mid_collect_growth(p, o).least);
    else if (!p->large)
        plan.threshold = least(plan.threshold, most(mid_collect_growth(p, o).least, scaled(own->live_at_collection, o->growth * p->backoff, 100)));
    if (plan.value < plan.threshold && own->suspects >= own->suspects_most) {
        plan.trigger = MID_WHY_SUSPECTS;
        plan.value = own->suspects;
        plan.threshold = own->suspects_most;
    }
    collected(p, &plan, &out);
    p->refusals = 0; /* it has come to a safepoint */
    return plan;
}

static void compacted(mid_pacer *p, const mid_work_plan *plan, const mid_outcome *out)
{
    p->compact_at = p->time;
    p->compact_took = most(out->took, STOP_COST);
    if (!p->compacting)
        p->pass_freed = p->barren = 0;
    p->compacting = true;
    p->pass_freed += out->pools_emptied;
    if (!mid_barren(out)) {
        p->slice = 0;
        p->barren = 0;
    } else {
        p->slice = most(plan->budget / 10 * 9 + plan->budget % 10 * 9 / 10, SLICE_LEAST);
        p->barren++;
    }
    if (out->status == MID_MORE && p->barren < BARREN_MOST)
        return;
    p->packs = false;
    if (out->status != MID_OK || p->pass_freed == 0) {
        p->compacting = false;
        p->cooling = true;
        p->cool_live = out->after.live_slot_bytes;
        p->cool_pool = out->after.pool_bytes;
    }
    p->pass_freed = 0;
    p->barren = 0;
}

/* What failed is not tried again before much has changed. */
static void deepened(mid_pacer *p, const mid_outcome *out, const mid_options *o)
{
    p->compact_at = p->time;
    p->compact_took = most(out->took, STOP_COST);
    if (out->status == MID_EBUSY)
        p->deep_after = p->time + o->heartbeat;
    if (out->status == MID_EBUSY || out->after.deepening != MID_DEEPENS_NOT)
        return;
    p->deep_left = out->after.table_waste;
    p->deep_allocated = out->after.allocated_bytes;
}

static void proposed(mid_pacer *p, const mid_outcome *out, const mid_options *o)
{
    p->proposed_at = p->time;
    p->propose_after = out->status == MID_OK || out->status == MID_MORE ? 0 : p->time + o->heartbeat;
}

static void swept(mid_pacer *p, const mid_outcome *out)
{
    p->swept_at = p->time;
    p->swept_took = out->took;
    p->swept_all = out->took + (out->before.sweeping == MID_SWEEPS_NOT ? 0 : p->swept_all);
    if (out->before.sweeping == MID_SWEEPS_NOT) {
        p->sweep_live = live_bytes(&out->before);
        p->sweep_growth = minus(p->sweep_live, out->before.live_at_collection);
        p->sweep_missed = out->before.unresolved;
        p->urged = false;
    }
    if (out->after.sweeping != MID_SWEEPS_NOT)
        return;
    p->refused_at = out->status == MID_OK ? 0 : live_bytes(&out->after);
    uint64_t found = minus(p->sweep_live, out->after.live_at_collection);
    if (out->status == MID_OK) {
        mid_rate_collection(&p->rates, out->after.live_at_collection, p->swept_all);
        weigh(p, found, p->sweep_growth);
    }
}

static void proved(mid_pacer *p, const mid_outcome *out)
{
    p->proved_at = p->work_at = p->time;
    p->work_took = most(out->took, STOP_COST);
}

static void worked(mid_pacer *p, const mid_work_plan *plan, const mid_outcome *out)
{
    p->work_at = p->time;
    p->work_took = most(out->took, STOP_COST);
    if (plan->trigger == MID_WHY_WAITING)
        p->draining = true;
    if (out->status == MID_MORE && out->done > 0)
        return;
    if (plan->action == MID_ACT_DRAIN)
        p->dry = out->after.waiting_objects;
    else
        p->stuck = out->after.empty_bytes > plan->keep ? out->after.empty_bytes : 0;
}

uint64_t mid_decide_done(mid_pacer *p, const mid_work_plan *plan, const mid_outcome *out, const mid_options *o, uint64_t now)
{
    mid_advance(p, now);
    if (!out->stopped)
        return o->heartbeat << least(p->refusals++, RETRY_SHIFT_MOST);
    if (plan->action == MID_ACT_DEEP) { /* perhaps nobody was stopped for it */
        deepened(p, out, o);
        p->refusals = out->before.deepening == MID_DEEPENS_STOPPED ? 0 : p->refusals;
        return 0;
    }
    if (plan->action == MID_ACT_PROPOSE || plan->action == MID_ACT_SWEEP) { /* nobody was */
        if (plan->action == MID_ACT_PROPOSE)
            proposed(p, out, o);
        else
            swept(p, out);
        return 0;
    }
    p->refusals = 0;
    if (plan->action == MID_ACT_PROVE)
        proved(p, out);
    else if (plan->action == MID_ACT_COLLECT)
        collected(p, plan, out);
    else if (plan->action == MID_ACT_COMPACT)
        compacted(p, plan, out);
    else
        worked(p, plan, out);
    return 0; /* another action may be due at once, and only a look can tell */
}
