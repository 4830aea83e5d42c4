/* daemon/decide.c: the rules; see decide.h for the contract and docs/design/daemon.md for the reasons. */
#include "daemon/decide.h"

#define DAY 86400000000u        /* a step of the clock counts as no more */
#define WHOLE 100000u           /* one processor, in thousandths of a percent */
#define COLLECT_NANOS 12u       /* a whole collection, for each object: see docs/design/proposals.md */
#define OBJECT_BYTES 16u       /* of small ones, when nothing is known of them */
#define GROWTH_LEAST (64u << 10)
#define HELP_LEAST 30000u      /* proposals; or one in a hundred of what lives */
#define RESOLVE_REST 20u       /* times what the last sweep took */
#define SLOTS_AN_OBJECT 8u     /* that many slots of an array take as long as an object */
#define SUSPECTS_MANY 512u
#define PROPOSALS_MANY 4096u
#define LIMIT_PART 4u           /* of waste-min: pools to be gained, when idle, if the table is packed as well */
#define TABLE_WASTE_LEAST (256u << 10) /* of the handle table; or an eighth of it */
#define DEEP_CHANGE 4u          /* an order is worth finding anew when so large a part of what lives has been allocated since */
#define OVERDUE 2u              /* thresholds passed before a running mutator is stopped to collect */
#define IDLE_GROWTH (1u << 20)  /* growth below which no collection is worth it while idle, ... */
#define IDLE_PART 16u           /* ... nor below this part of what the last one left alive, which is what it costs */
#define BACKOFF_MOST 8u
#define SLICE_LEAST 50u
#define STOP_COST 20u           /* what a slice counts as at least: stopping and waking a program is not free */
#define BARREN_MOST 64u         /* slices without an emptied pool after which a pass is given up */
#define RETRY_WAIT 100u         /* later waits for a mutator that did not come at once */
#define RETRY_SHIFT_MOST 6u     /* refused stops are retried after 1, 2, ... 64 heartbeats */
#define RATE_MICROS 100000u     /* an interval over which allocation is measured */
#define PRESSED_PART 16u        /* of what lives: growth that is worth a collection under pressure */
#define PACKED_PART 50u         /* of what lives: pools to be gained under pressure, again and again */
#define FRAG_MOST 1000000u      /* percent; what "pools without live bytes" counts as */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* a * b / c without overflow on the way; what does not fit is UINT64_MAX. */
static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 wide = (unsigned __int128)a * b / c;
    return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

static uint64_t live_bytes(const mid_snapshot *s)
{
    return s->live_slot_bytes + s->large_bytes;
}

static bool changed(uint64_t now, uint64_t then)
{
    return scaled(most(now, then) - least(now, then), 20, 1) > then;
}

static void advance(mid_pacer *p, uint64_t now)
{
    p->time += least(minus(now, p->clock), DAY);
    p->clock = now;
}

/* Time that still has to pass so that `took` microseconds, which ended at `at`, are no more than `duty` of the whole. */
static uint64_t rest(const mid_pacer *p, uint64_t at, uint64_t took, uint64_t duty)
{
    unsigned __int128 pause = ((unsigned __int128)took * (WHOLE - duty) + duty - 1) / duty;
    uint64_t passed = p->time - at;
    if (pause <= passed)
        return 0;
    return pause - passed > UINT64_MAX ? UINT64_MAX : (uint64_t)(pause - passed);
}

static uint64_t rest_after_both(const mid_pacer *p, uint64_t duty)
{
    return most(rest(p, p->compact_at, p->compact_took, duty), rest(p, p->work_at, p->work_took, duty));
}

static bool program_waits(const mid_snapshot *s, bool idle)
{
    return idle || s->mutator != MID_MUTATOR_RUNNING;
}

static bool pressed(const mid_pacer *p, mid_pressure_level level)
{
    return p->strain.level >= level;
}

/* Under pressure half a processor, unless it may be more. */
static uint64_t work_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle)
{
    uint64_t share = o->share * (WHOLE / 100);
    if (program_waits(s, idle))
        return WHOLE / 2;
    return pressed(p, MID_PRESSURE_TRIM) ? most(share, WHOLE / 2) : share;
}

static void because(const mid_pacer *p, mid_pressure_level level, mid_work_plan *plan)
{
    plan->trigger = p->strain.why;
    plan->value = p->strain.level;
    plan->threshold = level;
}

static uint64_t fragmentation(const mid_snapshot *s)
{
    if (s->pool_bytes == 0)
        return 100;
    return s->live_slot_bytes == 0 ? FRAG_MOST : least(scaled(s->pool_bytes, 100, s->live_slot_bytes), FRAG_MOST);
}

uint64_t mid_compact_duty(const mid_snapshot *s, const mid_options *o, bool idle)
{
    if (program_waits(s, idle))
        return WHOLE / 2;
    uint64_t waste = most(10, least(minus(fragmentation(s), 100), 100));
    return 1000 + (o->share * 1000 - 1000) * (waste - 10) / 90;
}

static uint64_t compact_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle)
{
    return pressed(p, MID_PRESSURE_COMPACT) ? most(WHOLE / 2, mid_compact_duty(s, o, idle)) : mid_compact_duty(s, o, idle);
}

/* --- one look: what has changed since the last ------------------------------------------------------------- */

static uint64_t kept_while_allocating(const mid_snapshot *s, const mid_options *o)
{
    return most(o->reserve, s->pool_bytes / 10);
}

/* What counts is what the last collection left: a small heap's garbage does not make it large, for it is collected in time. Unless
 * there is much more than that. */
static void measure(mid_pacer *p, const mid_snapshot *s, const mid_options *o)
{
    uint64_t left = s->live_slot_bytes == 0 ? 0 : scaled(s->live_objects, least(s->live_at_collection, s->live_slot_bytes), s->live_slot_bytes);
    uint64_t kept = scaled(left + s->array_slots / SLOTS_AN_OBJECT, COLLECT_NANOS, 1000);
    uint64_t now = scaled(s->live_objects, COLLECT_NANOS, 1000), part = p->large ? 2 : 1;
    p->objects = s->live_objects;
    p->bytes = s->live_slot_bytes;
    p->large = kept > o->collect_stop / 2 / part || now > scaled(o->collect_stop, 4, part);
}

static void rate(mid_pacer *p, const mid_snapshot *s)
{
    p->left = s->live_at_collection;
    uint64_t growth = minus(live_bytes(s), s->live_at_collection);
    p->settled = minus(minus(s->committed_bytes, s->empty_bytes), growth);
    uint64_t passed = p->time - p->rated_at;
    if (passed < RATE_MICROS)
        return;
    mid_rate_allocation(&p->rates, minus(s->allocated_bytes, p->rated_allocated), passed);
    p->rated_at = p->time;
    p->rated_allocated = s->allocated_bytes;
}

static void observe(mid_pacer *p, const mid_snapshot *s, const mid_options *o)
{
    rate(p, s);
    if (s->allocated_bytes != p->allocated) {
        p->allocated = s->allocated_bytes;
        p->active_at = p->time;
    }
    measure(p, s, o);
    p->dry = least(p->dry, s->waiting_objects);
    bool waits = s->unfinished && s->waiting_objects > p->dry;
    if (waits && !p->waits)
        p->waits_at = p->time;
    p->waits = waits;
    p->stuck = least(p->stuck, s->empty_bytes);
    p->refused_at = least(p->refused_at, live_bytes(s));
    if (p->low_since != s->live_at_collection) /* there was one, whoever made it */
        p->low_since = p->low = s->live_at_collection;
    p->low = least(p->low, live_bytes(s));
    if (p->cooling && (changed(s->live_slot_bytes, p->cool_live) || changed(s->pool_bytes, p->cool_pool)))
        p->cooling = false;
    p->deep_left = least(p->deep_left, s->table_waste);
    bool excess = s->empty_bytes > most(kept_while_allocating(s, o), p->stuck);
    if (excess && !p->excess)
        p->excess_at = p->time;
    p->excess = excess;
}

/* --- the rules: each fills in the plan if its action is wanted ------------------------------------------------ */

static bool wants_drain(mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    /* The list is a frontier: a chain of ten million shows as one. So any number counts while the program is away, or if it has
     * not come to the end of it for long. */
    uint64_t waiting = minus(s->waiting_objects, p->dry);
    uint64_t stop = least(o->waiting_stop, o->waiting_start - 1);
    p->draining = p->draining && waiting > stop;
    bool away = s->mutator != MID_MUTATOR_RUNNING;
    bool long_since = p->waits && p->time - p->waits_at >= o->idle;
    uint64_t threshold = away || long_since ? 1 : p->draining ? stop + 1 : o->waiting_start;
    bool all = pressed(p, MID_PRESSURE_EVERYTHING);
    if (waiting < (idle || all ? 1 : threshold))
        return false;
    plan->action = MID_ACT_DRAIN;
    plan->trigger = waiting >= threshold ? MID_WHY_WAITING : MID_WHY_IDLE;
    plan->value = waiting;
    plan->threshold = threshold;
    plan->budget = o->slice;
    if (plan->trigger == MID_WHY_IDLE && !idle)
        because(p, MID_PRESSURE_EVERYTHING, plan);
    return true;
}

/* What is worth a collection when memory is short. */
static uint64_t growth_pressed(uint64_t left)
{
    return most(GROWTH_LEAST, left / PRESSED_PART);
}

/* Whether it is `growth` that says when, or something else as well. */
static bool steered(const mid_pacer *p, const mid_options *o)
{
    return o->balance != 0 || p->strain.soft != 0 || p->strain.hard != 0 || pressed(p, MID_PRESSURE_COMPACT);
}

/* Without pressure. Short of a limit it is less: what is left of it, or an eighth less than that, since what is committed grows by whole
 * pools. */
static uint64_t growth_enough(const mid_pacer *p, uint64_t left, const mid_options *o)
{
    uint64_t balanced = mid_balance_growth(&p->rates, left, o->balance);
    uint64_t enough = most(o->growth_min, balanced != 0 ? balanced : scaled(left, o->growth, 100));
    if (p->strain.told) /* what it does not use, no other heap has either */
        enough = UINT64_MAX;
    uint64_t limit = p->strain.soft == 0 || (p->strain.hard != 0 && p->strain.hard < p->strain.soft) ? p->strain.hard : p->strain.soft;
    return limit == 0 ? enough : least(enough, most(minus(limit, p->settled) / 8 * 7, growth_pressed(left)));
}

static uint64_t growth_wanted(const mid_pacer *p, uint64_t live_at_collection, const mid_options *o)
{
    return most(scaled(growth_enough(p, live_at_collection, o), p->backoff, 1), 1);
}

bool mid_proposes(const mid_pacer *p)
{
    return p->large;
}

uint32_t mid_help_at(const mid_pacer *p)
{
    return (uint32_t)least(most(HELP_LEAST, p->objects / 100), UINT32_MAX);
}

mid_growth mid_collect_growth(const mid_pacer *p, const mid_options *o)
{
    if (p->large)
        return (mid_growth){UINT64_MAX, 0};
    uint64_t room = scaled(o->collect_stop, 1000, 2 * COLLECT_NANOS); /* half of what a stop has time for: garbage, mostly */
    uint64_t size = p->objects == 0 ? OBJECT_BYTES : most(p->bytes / p->objects, OBJECT_BYTES);
    uint64_t most_of_all = o->growth_min == UINT64_MAX ? UINT64_MAX : most(scaled(room, size, 1), GROWTH_LEAST);
    if (steered(p, o)) {
        uint64_t enough = growth_enough(p, p->left, o);
        enough = pressed(p, MID_PRESSURE_COMPACT) ? least(enough, growth_pressed(p->left)) : enough;
        return (mid_growth){least(scaled(most(enough, 1), p->backoff, 1), most(most_of_all, p->left / PRESSED_PART)), 0};
    }
    return (mid_growth){least(scaled(most(o->growth_min, 1), p->backoff, 1), most_of_all), scaled(o->growth, p->backoff, 1)};
}

static bool wants_collect(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    uint64_t growth = minus(live_bytes(s), most(s->live_at_collection, p->refused_at));
    uint64_t threshold = growth_wanted(p, s->live_at_collection, o);
    uint64_t short_of = scaled(growth_pressed(s->live_at_collection), p->backoff, 1);
    if (s->mutator == MID_MUTATOR_RUNNING && !p->large) { /* it has its limit, and is stopped only if it comes to no safepoint */
        threshold = scaled(threshold, OVERDUE, 1);
        short_of = scaled(short_of, OVERDUE, 1);
    }
    uint64_t regrowth = minus(live_bytes(s), p->low);
    bool worth = growth >= threshold || (idle && regrowth > most(IDLE_GROWTH, s->live_at_collection / IDLE_PART));
    bool urgent = pressed(p, MID_PRESSURE_COMPACT) && (p->urged || growth >= short_of);
    if (!worth && !urgent)
        return false;
    plan->action = p->large ? MID_ACT_SWEEP : MID_ACT_COLLECT;
    plan->trigger = growth >= threshold ? MID_WHY_GROWTH : MID_WHY_IDLE;
    plan->value = growth;
    plan->threshold = threshold;
    plan->budget = p->large ? 2 * o->slice : 0;
    if (!worth)
        because(p, MID_PRESSURE_COMPACT, plan);
    return true;
}

/* A sweep is in no hurry, unless the heap has grown since it began, or there is no program to disturb. */
static uint64_t sweep_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o)
{
    uint64_t growth = minus(live_bytes(s), p->sweep_live), wanted = growth_wanted(p, s->live_at_collection, o);
    if (s->mutator == MID_MUTATOR_NONE || growth / 2 >= wanted || pressed(p, MID_PRESSURE_COMPACT))
        return WHOLE / 2;
    return most(o->share * (WHOLE / 100) / (growth >= wanted ? 1 : 3), WHOLE / 100);
}

/* Not again and again: a sweep that found nothing costs as much. */
static bool wants_resolve(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, mid_work_plan *plan)
{
    if (s->unresolved == 0 || p->time - p->swept_at < scaled(p->swept_all, RESOLVE_REST, 1))
        return false;
    plan->action = MID_ACT_SWEEP;
    plan->trigger = MID_WHY_SUSPECTS;
    plan->value = s->unresolved;
    plan->threshold = 1;
    plan->budget = 2 * o->slice;
    return true;
}

/* What was begun is finished; a heap that shrank meanwhile does not change that. */
static bool wants_sweep(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    if (s->sweeping == MID_SWEEPS_NOT) { /* suspects first: they may explain the growth */
        bool walked = s->suspects - s->suspects_held < SUSPECTS_MANY && s->proposals < PROPOSALS_MANY;
        return p->large && walked && (wants_collect(p, s, o, idle, plan) || wants_resolve(p, s, o, plan));
    }
    plan->action = s->sweeping == MID_SWEEPS_RUNNING ? MID_ACT_SWEEP : MID_ACT_PROVE;
    plan->trigger = MID_WHY_GROWTH;
    plan->value = live_bytes(s);
    plan->threshold = s->live_at_collection;
    plan->budget = plan->action == MID_ACT_PROVE ? o->slice : 2 * o->slice;
    return s->sweeping != MID_SWEEPS_WAITING;
}

static bool wants_propose(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    uint64_t ready = minus(s->suspects, s->suspects_held);
    uint64_t threshold = idle || p->time - p->proposed_at >= o->heartbeat ? 1 : SUSPECTS_MANY;
    if (!p->large || ready < threshold || p->time < p->propose_after)
        return false;
    plan->action = MID_ACT_PROPOSE;
    plan->trigger = MID_WHY_SUSPECTS;
    plan->value = ready;
    plan->threshold = threshold;
    plan->budget = 2 * o->slice;
    return true;
}

/* A stop also brings in what the threads have logged and not handed over: now and then, if there is nothing else. */
static bool wants_prove(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    bool walked = s->suspects == s->suspects_held, rested = idle || p->time - p->proved_at >= o->heartbeat;
    uint64_t threshold = walked || rested ? 1 : PROPOSALS_MANY;
    bool held = p->large && walked && rested && s->suspects_held != 0;
    if (s->proposals < threshold && !held)
        return false;
    plan->action = MID_ACT_PROVE;
    plan->trigger = s->proposals < threshold ? MID_WHY_SUSPECTS : MID_WHY_PROPOSALS;
    plan->value = s->proposals < threshold ? s->suspects_held : s->proposals;
    plan->threshold = threshold;
    plan->budget = o->slice;
    return true;
}

/* Once for a single pool, or a few; then only as a program that goes on does not undo it at once. */
static uint64_t gain_pressed(const mid_pacer *p, const mid_snapshot *s, const mid_options *o)
{
    uint64_t few = o->waste_min / LIMIT_PART;
    if (p->packs)
        return pressed(p, MID_PRESSURE_EVERYTHING) ? 1 : few;
    return most(few, s->live_slot_bytes / PACKED_PART);
}

/* Who wants the table packed wants the pools packed, too, when there is time; and so does who is short of memory. */
static bool wants_compact(mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    bool asked = pressed(p, MID_PRESSURE_COMPACT);
    bool to_the_limit = (idle && o->deep != MID_DEEP_OFF && s->gain_bytes >= o->waste_min / LIMIT_PART) ||
                        (asked && s->gain_bytes >= gain_pressed(p, s, o));
    uint64_t percent = fragmentation(s);
    uint64_t stop = least(o->frag_stop, o->frag_start - 1);
    uint64_t waste = minus(s->pool_bytes, s->live_slot_bytes);
    p->compacting = p->compacting && (percent > stop || to_the_limit) && s->gain_bytes > 0;
    bool begin = !p->cooling && s->gain_bytes > 0 &&
                 (to_the_limit || (percent >= o->frag_start && waste >= most(o->waste_min, s->live_slot_bytes / 50)));
    if (!p->compacting && !begin)
        return false;
    plan->action = MID_ACT_COMPACT;
    plan->trigger = MID_WHY_FRAGMENTATION;
    plan->value = percent;
    plan->threshold = p->compacting ? stop : o->frag_start;
    plan->budget = p->slice != 0 ? least(p->slice, o->slice) : o->slice;
    if (asked && percent < o->frag_start)
        because(p, MID_PRESSURE_COMPACT, plan);
    return true;
}

static bool wants_trim(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    bool decayed = p->excess && p->time - p->excess_at >= o->decay;
    bool at_once = idle || pressed(p, MID_PRESSURE_TRIM);
    plan->keep = pressed(p, MID_PRESSURE_EVERYTHING) ? 0 : at_once ? o->reserve : kept_while_allocating(s, o);
    if (at_once ? s->empty_bytes <= most(plan->keep, p->stuck) : !decayed)
        return false;
    plan->action = MID_ACT_TRIM;
    plan->trigger = idle ? MID_WHY_IDLE : MID_WHY_DECAY;
    plan->value = s->empty_bytes;
    plan->threshold = plan->keep;
    plan->budget = o->slice;
    if (pressed(p, MID_PRESSURE_TRIM) && !(idle && s->empty_bytes > o->reserve))
        because(p, plan->keep == 0 && o->reserve != 0 ? MID_PRESSURE_EVERYTHING : MID_PRESSURE_TRIM, plan);
    return true;
}

/* Last of all, for what it moves should stay where it is: while the program is idle, and nothing is under way that goes by numbers. */
static bool wants_deep(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    bool quiet = s->suspects == s->suspects_held && s->proposals == 0 && s->sweeping == MID_SWEEPS_NOT;
    uint64_t threshold = most(TABLE_WASTE_LEAST, s->table_bytes / 8) + p->deep_left;
    uint64_t since = minus(s->allocated_bytes, p->deep_allocated);
    bool disordered = o->deep >= MID_DEEP_DEPTH && s->table_bytes >= TABLE_WASTE_LEAST && since >= live_bytes(s) / DEEP_CHANGE && since != 0;
    bool urgent = pressed(p, MID_PRESSURE_EVERYTHING);
    bool begin = (idle && (s->table_waste >= threshold || disordered)) || (urgent && s->table_waste >= threshold);
    if (o->deep == MID_DEEP_OFF || !quiet || (s->deepening == MID_DEEPENS_NOT && !begin))
        return false;
    plan->action = MID_ACT_DEEP;
    plan->trigger = MID_WHY_TABLE;
    plan->value = s->table_waste;
    plan->threshold = least(threshold, s->table_waste);
    plan->budget = o->slice;
    if (urgent && !idle)
        because(p, MID_PRESSURE_EVERYTHING, plan);
    return true;
}

/* --- a look ---------------------------------------------------------------------------------------------------- */

mid_need mid_decide_need(const mid_pacer *p, const mid_options *o, bool *idle)
{
    *idle = p->time - p->active_at >= o->idle;
    bool allocates = !*idle && p->rates.allocated_micros != 0, collected = p->rates.traced_micros != 0;
    return (mid_need){
        .live = p->left,
        .held = p->settled,
        .rate = allocates ? scaled(p->rates.allocated_bytes, 1000000, p->rates.allocated_micros) : 0,
        .speed = collected ? scaled(p->rates.traced_bytes, 1000000, p->rates.traced_micros) : 0,
    };
}

void mid_pacer_init(mid_pacer *p, const mid_snapshot *s, uint64_t now)
{
    *p = (mid_pacer){.clock = now, .allocated = s->allocated_bytes, .backoff = 1, .rated_allocated = s->allocated_bytes};
}

/* What could not be gained before may be worth another try. */
void mid_decide_strain(mid_pacer *p, const mid_strain *strain)
{
    if (strain->urges != p->strain.urges) {
        p->urged = p->packs = true;
        p->cooling = false;
    }
    p->strain = *strain;
}

/* True: *plan is to be carried out now. Otherwise *soonest has come down to when something will be due. */
static bool choose(mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan, uint64_t *soonest)
{
    uint64_t wait = rest_after_both(p, work_duty(p, s, o, idle));
    if (wants_drain(p, s, o, idle, plan)) {
        if (wait == 0)
            return true;
        *soonest = least(*soonest, wait);
    } else if (p->waits) {
        *soonest = least(*soonest, o->idle - (p->time - p->waits_at));
    }
    if (wants_prove(p, s, o, idle, plan)) {
        if (wait == 0)
            return true;
        *soonest = least(*soonest, wait);
    }
    if (wants_propose(p, s, o, idle, plan))
        return true;
    if (!p->large && s->sweeping == MID_SWEEPS_NOT && wants_collect(p, s, o, idle, plan))
        return true;
    if (wants_sweep(p, s, o, idle, plan)) {
        uint64_t longer = most(wait, rest(p, p->swept_at, p->swept_took, sweep_duty(p, s, o)));
        if (longer == 0)
            return true;
        *soonest = least(*soonest, longer);
    }
    if (wants_compact(p, s, o, idle, plan)) {
        uint64_t longer = rest_after_both(p, compact_duty(p, s, o, idle));
        if (longer == 0)
            return true;
        *soonest = least(*soonest, longer);
    }
    if (wants_deep(p, s, o, idle, plan)) {
        uint64_t longer = most(rest_after_both(p, compact_duty(p, s, o, idle)), minus(p->deep_after, p->time));
        if (longer == 0)
            return true;
        *soonest = least(*soonest, longer);
    }
    if (wants_trim(p, s, o, idle, plan)) {
        if (wait == 0)
            return true;
        *soonest = least(*soonest, wait);
    } else if (p->excess && !idle) {
        *soonest = least(*soonest, o->decay - (p->time - p->excess_at));
    }
    return false;
}

mid_work_plan mid_decide(mid_pacer *p, const mid_snapshot *s, const mid_options *o, uint64_t now)
{
    advance(p, now);
    observe(p, s, o);
    uint64_t still = p->time - p->active_at;
    bool idle = still >= o->idle;
    uint64_t soonest = idle ? MID_NEVER : o->idle - still;
    mid_work_plan plan = {.action = MID_ACT_NONE};
    if (!choose(p, s, o, idle, &plan, &soonest)) {
        uint64_t look_in = soonest == MID_NEVER ? MID_NEVER : least(soonest, o->heartbeat);
        return (mid_work_plan){.action = MID_ACT_NONE, .look_in = look_in};
    }
    if (plan.trigger == MID_WHY_IDLE) {
        plan.value = still;
        plan.threshold = o->idle;
    }
    plan.stop_wait = p->refusals == 0 ? o->stop_wait : least(o->stop_wait, RETRY_WAIT);
    return plan;
}

/* --- what came of it ------------------------------------------------------------------------------------------- */

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
        .threshold = growth_wanted(p, own->live_at_collection, o),
    };
    if (!p->large && steered(p, o)) /* what it was told, which may be less */
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
    if (out->pools_emptied > 0) {
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
    advance(p, now);
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
