/* simulate_heap.c: a heap of five numbers. What it costs to work on it is as measured on one machine (docs/design/daemon.md): it
 * matters in proportion only. */
#include "simulate.h"

#define POOL (64u << 10)
#define ENTRY 16u
#define LOOK_NANOS 12u    /* an object, in a collection or a sweep */
#define FREE_NANOS 50u    /* an object that is proved garbage */
#define RENAME_NANOS 100u /* an object */
#define POOL_NANOS 8000u  /* to give 64 KiB back */
#define STOP_NANOS 20000u

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((unsigned __int128)a * b / c);
}

static uint64_t up(uint64_t bytes)
{
    return (bytes + POOL - 1) / POOL * POOL;
}

static uint64_t slots(const sim_heap *h)
{
    return h->live + h->garbage;
}

static uint64_t pools(const sim_heap *h)
{
    return up(slots(h) + h->holes);
}

static uint64_t objects(const sim_heap *h)
{
    return slots(h) / h->object;
}

uint64_t sim_heap_committed(const sim_heap *h)
{
    return pools(h) + h->empty + h->table;
}

void sim_heap_snapshot(const sim_heap *h, mid_snapshot *into)
{
    uint64_t needed = objects(h) * ENTRY;
    *into = (mid_snapshot){
        .mutator = h->mutator,
        .allocated_bytes = h->allocated,
        .live_slot_bytes = slots(h),
        .live_at_collection = h->left,
        .pool_bytes = pools(h),
        .empty_bytes = h->empty,
        .gain_bytes = pools(h) - up(slots(h)),
        .committed_bytes = sim_heap_committed(h),
        .live_objects = objects(h),
        .proposals = h->prove_left,
        .sweeping = h->sweeping,
        .table_bytes = h->table,
        .table_waste = h->table > needed ? h->table - needed : 0,
        .deepening = h->deepening,
    };
}

/* --- the program ---------------------------------------------------------------------------------------------- */

/* Holes first, then empty pools, then the system. */
static void take(sim_heap *h, uint64_t bytes)
{
    uint64_t before = pools(h), filled = least(bytes, h->holes);
    h->holes -= filled;
    h->empty -= least(h->empty, up(slots(h) + h->holes + bytes) - before);
}

/* Of what is freed, so many percent leave holes; the rest were neighbours, and leave empty pools. Called with the slots gone. */
static void give(sim_heap *h, uint64_t bytes, uint64_t holes)
{
    uint64_t before = up(slots(h) + h->holes + bytes);
    h->holes += scaled(bytes, holes, 100);
    h->empty += before - pools(h);
}

static void table_grows(sim_heap *h)
{
    h->table = most(h->table, up(objects(h) * ENTRY));
}

/* What a running program's heap does without a daemon: no more than `spare` is kept. */
static void keep_spare(sim_heap *h, const mid_options *o)
{
    h->empty = least(h->empty, o->reserve + scaled(pools(h), o->spare, 100));
}

void sim_heap_signal(sim_heap *h, const sim_signal *s, const mid_options *o)
{
    static const mid_mutator_state states[] = {MID_MUTATOR_NONE, MID_MUTATOR_RUNNING, MID_MUTATOR_BLOCKED, MID_MUTATOR_RUNNING};
    h->mutator = states[s->mutator];
    h->object = s->object;
    if (s->live > h->live) {
        take(h, s->live - h->live);
        h->allocated += s->live - h->live;
        h->live = s->live;
    } else if (s->live < h->live) {
        uint64_t died = h->live - s->live;
        h->live = s->live;
        give(h, died, s->holes);
        keep_spare(h, o);
    }
    table_grows(h);
}

void sim_heap_run(sim_heap *h, const sim_signal *s, uint64_t micros)
{
    if (h->mutator != MID_MUTATOR_RUNNING || s->allocate == 0)
        return;
    unsigned __int128 exact = (unsigned __int128)s->allocate * micros + h->parts;
    uint64_t bytes = (uint64_t)(exact / 1000000);
    h->parts = (uint64_t)(exact % 1000000);
    h->allocated += bytes;
    exact = (unsigned __int128)bytes * s->garbage + h->garbage_parts;
    uint64_t garbage = (uint64_t)(exact / 100);
    h->garbage_parts = (uint64_t)(exact % 100);
    take(h, garbage);
    h->garbage += garbage;
    table_grows(h);
}

/* --- the daemon's work ---------------------------------------------------------------------------------------- */

static void free_garbage(sim_heap *h, uint64_t bytes, const sim_signal *s)
{
    h->garbage -= bytes;
    give(h, bytes, s->holes);
}

static uint64_t collect(sim_heap *h, const sim_signal *s, uint64_t *freed)
{
    uint64_t took = (STOP_NANOS + objects(h) * LOOK_NANOS) / 1000;
    *freed = h->garbage / h->object;
    free_garbage(h, h->garbage, s);
    h->left = h->live;
    h->sweeping = MID_SWEEPS_NOT;
    h->sweep_left = h->prove_left = 0;
    return took;
}

mid_own_collections sim_heap_collect_itself(sim_heap *h, const sim_signal *s, const mid_options *o)
{
    mid_own_collections own = {.times = 1, .status = MID_OK, .live_at_collection = h->left, .live_before = slots(h),
                               .suspects_most = UINT64_MAX};
    own.micros = own.longest = collect(h, s, &own.freed);
    own.live_after = slots(h);
    keep_spare(h, o);
    return own;
}

/* Pieces of `nanos` each that fit into a budget, at least one, at most `all`; *took grows. */
static uint64_t within(uint64_t budget, uint64_t nanos, uint64_t all, uint64_t *took)
{
    uint64_t pieces = least(all, most(budget * 1000 / most(nanos, 1), 1));
    *took += pieces * nanos / 1000;
    return pieces;
}

/* Reads all objects, then has what was garbage at the begin proved, then ends. */
static mid_status sweep(sim_heap *h, uint64_t budget, uint64_t *took)
{
    if (h->sweeping == MID_SWEEPS_NOT) {
        h->sweeping = MID_SWEEPS_RUNNING;
        h->sweep_left = objects(h) + 1;
        h->prove_left = 0;
    }
    if (h->sweep_left != 0) {
        h->sweep_left -= within(budget, LOOK_NANOS, h->sweep_left, took);
        h->prove_left = h->sweep_left == 0 ? h->garbage / h->object : 0;
        h->sweeping = h->prove_left != 0 ? MID_SWEEPS_STOPPED : MID_SWEEPS_RUNNING;
        return MID_MORE;
    }
    h->sweeping = MID_SWEEPS_NOT;
    h->left = slots(h);
    return MID_OK;
}

static mid_status prove(sim_heap *h, uint64_t budget, const sim_signal *s, uint64_t *took, uint64_t *freed)
{
    *freed = within(budget, FREE_NANOS, h->prove_left, took);
    h->prove_left -= *freed;
    free_garbage(h, least(*freed * h->object, h->garbage), s);
    if (h->prove_left != 0)
        return MID_MORE;
    h->sweeping = MID_SWEEPS_RUNNING;
    return MID_OK;
}

/* The sparsest pools first; all are taken to be as sparse as the mean. */
static mid_status compact(sim_heap *h, uint64_t budget, uint64_t *took, mid_decision *d)
{
    uint64_t gain = (pools(h) - up(slots(h))) / POOL, moved = scaled(POOL, slots(h), most(pools(h), 1));
    d->pools_before = pools(h) / POOL;
    uint64_t emptied = within(budget, moved, gain, took);
    h->holes -= least(h->holes, emptied * POOL);
    h->empty += emptied * POOL;
    d->pools_after = pools(h) / POOL;
    d->bytes = emptied * moved;
    d->objects = d->bytes / h->object;
    return emptied < gain ? MID_MORE : MID_OK;
}

static mid_status trim(sim_heap *h, uint64_t budget, uint64_t keep, uint64_t *took, uint64_t *bytes)
{
    uint64_t excess = h->empty > keep ? (h->empty - keep + POOL - 1) / POOL : 0;
    *bytes = least(within(budget, POOL_NANOS, excess, took) * POOL, h->empty);
    h->empty -= *bytes;
    return h->empty > keep ? MID_MORE : MID_OK;
}

/* Reading is taken for nothing: all of it in stops. */
static mid_status deep(sim_heap *h, uint64_t budget, uint64_t *took, uint64_t *renamed)
{
    if (h->deepening == MID_DEEPENS_NOT)
        h->deep_left = objects(h) + 1;
    *renamed = within(budget, RENAME_NANOS, h->deep_left, took);
    h->deep_left -= *renamed;
    h->deepening = h->deep_left != 0 ? MID_DEEPENS_STOPPED : MID_DEEPENS_NOT;
    if (h->deep_left != 0)
        return MID_MORE;
    h->table = up(objects(h) * ENTRY);
    return MID_OK;
}

static mid_status slice(sim_heap *h, const sim_signal *s, const mid_work_plan *plan, uint64_t *took, mid_decision *d)
{
    switch (plan->action) {
    case MID_ACT_COLLECT:
        *took += collect(h, s, &d->objects);
        return MID_OK;
    case MID_ACT_SWEEP:
        return sweep(h, plan->budget, took);
    case MID_ACT_PROVE:
        return prove(h, plan->budget, s, took, &d->objects);
    case MID_ACT_COMPACT:
        return compact(h, plan->budget, took, d);
    case MID_ACT_TRIM:
        return trim(h, plan->budget, plan->keep, took, &d->bytes);
    case MID_ACT_DEEP:
        return deep(h, plan->budget, took, &d->objects);
    default: /* nothing dead waits here, and there are no suspects */
        return MID_OK;
    }
}

void sim_heap_act(sim_heap *h, const sim_signal *s, const mid_options *o, const mid_work_plan *plan, bool stops, mid_outcome *out,
                  mid_decision *d)
{
    *d = (mid_decision){.action = plan->action, .trigger = plan->trigger, .value = plan->value, .threshold = plan->threshold,
                        .budget_micros = plan->budget, .slices = 1};
    *out = (mid_outcome){.status = MID_EPOSTPONED};
    sim_heap_snapshot(h, &out->before);
    out->stopped = stops || plan->action == MID_ACT_SWEEP;
    if (out->stopped) {
        out->took = plan->action == MID_ACT_SWEEP ? 0 : STOP_NANOS / 1000;
        out->status = slice(h, s, plan, &out->took, d);
        if (h->mutator == MID_MUTATOR_RUNNING)
            keep_spare(h, o);
        sim_heap_snapshot(h, &out->after);
        out->done = most(d->objects, d->bytes);
        out->pools_emptied = d->pools_before - d->pools_after;
    } else {
        d->waited_micros = plan->stop_wait;
    }
    d->took_micros = d->longest_micros = out->took;
    d->status = out->status;
}
