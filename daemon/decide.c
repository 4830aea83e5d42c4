/* daemon/decide.c: a look: what has changed since the last, and the rule whose turn it is. See decide.h for the contract and
 * docs/design/daemon.md for the reasons. */
#include "daemon/rules.h"

#define DAY 86400000000u        /* a step of the clock counts as no more */
#define SLOTS_AN_OBJECT 8u     /* that many slots of an array take as long as an object */
#define RETRY_WAIT 100u         /* later waits for a mutator that did not come at once */
#define RATE_MICROS 100000u     /* an interval over which allocation is measured */

/* --- what has changed since the last --------------------------------------------------------------------------------- */

static bool changed(uint64_t now, uint64_t then)
{
    return scaled(most(now, then) - least(now, then), 20, 1) > then;
}

void mid_advance(mid_pacer *p, uint64_t now)
{
    p->time += least(minus(now, p->clock), DAY);
    p->clock = now;
}

/* Next to the limit a walk beside the program is too slow: garbage comes faster than it ends, and the process is killed.
 * Then the program collects by itself, at its next safepoint, as in a small heap. */
#define STOP_PRESSED 40000u /* micros; longer than that it is not to stand even then */

static bool near_its_limit(const mid_pacer *p)
{
    return pressed(p, MID_PRESSURE_EVERYTHING) && (p->strain.why == MID_WHY_CGROUP || p->strain.why == MID_WHY_LIMIT);
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
    uint64_t stop = near_its_limit(p) ? most(o->collect_stop, STOP_PRESSED) : o->collect_stop;
    p->large = kept > stop / 2 / part || now > scaled(stop, LARGE_STOPS, part);
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
    bool excess = s->empty_bytes > most(mid_kept_while_allocating(s, o), p->stuck);
    if (excess && !p->excess)
        p->excess_at = p->time;
    p->excess = excess;
}

/* --- a look ---------------------------------------------------------------------------------------------------------- */

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
    uint64_t wait = mid_rest_after_both(p, mid_work_duty(p, s, o, idle));
    if (mid_wants_drain(p, s, o, idle, plan)) {
        if (wait == 0)
            return true;
        *soonest = least(*soonest, wait);
    } else if (p->waits) {
        *soonest = least(*soonest, o->idle - (p->time - p->waits_at));
    }
    if (mid_wants_prove(p, s, o, idle, plan)) {
        if (wait == 0)
            return true;
        *soonest = least(*soonest, wait);
    }
    if (mid_wants_propose(p, s, o, idle, plan))
        return true;
    if (!p->large && s->sweeping == MID_SWEEPS_NOT && mid_wants_collect(p, s, o, idle, plan))
        return true;
    if (mid_wants_sweep(p, s, o, idle, plan)) {
        uint64_t longer = most(wait, mid_rest(p, p->swept_at, p->swept_took, mid_sweep_duty(p, s, o)));
        if (longer == 0)
            return true;
        *soonest = least(*soonest, longer);
    }
    if (mid_wants_compact(p, s, o, idle, plan)) {
        uint64_t longer = mid_rest_after_both(p, mid_pressed_compact_duty(p, s, o, idle));
        if (longer == 0)
            return true;
        *soonest = least(*soonest, longer);
    }
    if (mid_wants_deep(p, s, o, idle, plan)) {
        uint64_t longer = most(mid_rest_after_both(p, mid_pressed_compact_duty(p, s, o, idle)), minus(p->deep_after, p->time));
        if (longer == 0)
            return true;
        *soonest = least(*soonest, longer);
    }
    if (mid_wants_trim(p, s, o, idle, plan)) {
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
    mid_advance(p, now);
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
