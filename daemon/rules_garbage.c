/* daemon/rules_garbage.c: when dead objects are freed, and when garbage is looked for: drain, collect, sweep, propose, prove. */
#include "daemon/rules.h"

#define OBJECT_BYTES 16u       /* of small ones, when nothing is known of them */
#define GROWTH_LEAST (64u << 10)
#define HELP_LEAST 30000u      /* proposals; or one in a hundred of what lives */
#define SUSPECT_OBJECTS 8u     /* that one may stand for */
#define RESOLVE_REST 20u       /* times what the last sweep took */
#define SUSPECTS_MANY 512u
#define PROPOSALS_MANY 4096u
#define OVERDUE 2u              /* thresholds passed before a running mutator is stopped to collect */
#define IDLE_GROWTH (1u << 20)  /* growth below which no collection is worth it while idle, ... */
#define IDLE_PART 16u           /* ... nor below this part of what the last one left alive, which is what it costs */
#define PRESSED_PART 16u        /* of what lives: growth that is worth a collection under pressure */

bool mid_wants_drain(mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
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

/* --- how much growth is worth a collection --------------------------------------------------------------------------- */

/* What is worth a collection when memory is short. */
static uint64_t growth_pressed(uint64_t left)
{
    return most(GROWTH_LEAST, left / PRESSED_PART);
}

/* Whether it is `growth` that says when, or something else as well. */
bool mid_steered(const mid_pacer *p, const mid_options *o)
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

uint64_t mid_growth_wanted(const mid_pacer *p, uint64_t live_at_collection, const mid_options *o)
{
    return most(scaled(growth_enough(p, live_at_collection, o), p->backoff, 1), 1);
}

static uint64_t object_bytes(const mid_pacer *p)
{
    return p->objects == 0 ? OBJECT_BYTES : most(p->bytes / p->objects, OBJECT_BYTES);
}

mid_growth mid_collect_growth(const mid_pacer *p, const mid_options *o)
{
    if (p->large)
        return (mid_growth){UINT64_MAX, 0};
    uint64_t room = scaled(o->collect_stop, 1000, 2 * COLLECT_NANOS); /* half of what a stop has time for: garbage, mostly */
    uint64_t size = object_bytes(p);
    uint64_t most_of_all = o->growth_min == UINT64_MAX ? UINT64_MAX : most(scaled(room, size, 1), GROWTH_LEAST);
    if (mid_steered(p, o)) {
        uint64_t enough = growth_enough(p, p->left, o);
        enough = pressed(p, MID_PRESSURE_COMPACT) ? least(enough, growth_pressed(p->left)) : enough;
        return (mid_growth){least(scaled(most(enough, 1), p->backoff, 1), most(most_of_all, p->left / PRESSED_PART)), 0};
    }
    return (mid_growth){least(scaled(most(o->growth_min, 1), p->backoff, 1), most_of_all), scaled(o->growth, p->backoff, 1)};
}

bool mid_wants_collect(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    uint64_t growth = minus(live_bytes(s), most(s->live_at_collection, p->refused_at));
    uint64_t threshold = mid_growth_wanted(p, s->live_at_collection, o);
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

/* --- large heaps: beside the program, in slices ---------------------------------------------------------------------- */

bool mid_proposes(const mid_pacer *p)
{
    return p->large;
}

uint64_t mid_large_from(const mid_pacer *p, const mid_options *o)
{
    return scaled(scaled(o->collect_stop, LARGE_STOPS * 1000, COLLECT_NANOS), object_bytes(p), 1);
}

uint32_t mid_help_at(const mid_pacer *p)
{
    return (uint32_t)least(most(HELP_LEAST, p->objects / 100), UINT32_MAX);
}

/* A sweep is in no hurry, unless the heap has grown since it began, much waits for it, or there is no program to disturb. */
uint64_t mid_sweep_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o)
{
    uint64_t growth = minus(live_bytes(s), p->sweep_live), wanted = mid_growth_wanted(p, s->live_at_collection, o);
    bool behind = scaled(p->sweep_missed, SUSPECT_OBJECTS, 1) >= mid_help_at(p);
    if (s->mutator == MID_MUTATOR_NONE || growth / 2 >= wanted || behind || pressed(p, MID_PRESSURE_COMPACT))
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
bool mid_wants_sweep(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    if (s->sweeping == MID_SWEEPS_NOT) { /* suspects first: they may explain the growth */
        bool walked = s->suspects - s->suspects_held < SUSPECTS_MANY && s->proposals < PROPOSALS_MANY;
        return p->large && walked && (mid_wants_collect(p, s, o, idle, plan) || wants_resolve(p, s, o, plan));
    }
    plan->action = s->sweeping == MID_SWEEPS_RUNNING ? MID_ACT_SWEEP : MID_ACT_PROVE;
    plan->trigger = MID_WHY_GROWTH;
    plan->value = live_bytes(s);
    plan->threshold = s->live_at_collection;
    plan->budget = plan->action == MID_ACT_PROVE ? o->slice : 2 * o->slice;
    return s->sweeping != MID_SWEEPS_WAITING;
}

bool mid_wants_propose(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
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
bool mid_wants_prove(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
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
