/* daemon/rules_memory.c: when pools are packed, memory is given back, and the table is put into order: compact, trim, deep. */
#include "daemon/rules.h"

#define LIMIT_PART 4u           /* of waste-min: pools to be gained, when idle, if the table is packed as well */
#define TABLE_WASTE_LEAST (256u << 10) /* of the handle table; or an eighth of it */
#define DEEP_CHANGE 4u          /* an order is worth finding anew when so large a part of what lives has been allocated since */
#define PACKED_PART 50u         /* of what lives: pools to be gained under pressure, again and again */

uint64_t mid_kept_while_allocating(const mid_snapshot *s, const mid_options *o)
{
    return most(o->reserve, s->pool_bytes / 10);
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
bool mid_wants_compact(mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    bool asked = pressed(p, MID_PRESSURE_COMPACT);
    bool to_the_limit = (idle && o->deep != MID_DEEP_OFF && s->gain_bytes >= o->waste_min / LIMIT_PART) ||
                        (asked && s->gain_bytes >= gain_pressed(p, s, o));
    uint64_t percent = mid_fragmentation(s);
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

/* While pools are evacuated more come free beside those that are empty, and a pass returns what stands side by side itself. */
bool mid_wants_trim(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
{
    bool decayed = p->excess && p->time - p->excess_at >= o->decay;
    bool asked = pressed(p, MID_PRESSURE_TRIM);
    bool at_once = (idle && !p->compacting) || asked;
    plan->keep = pressed(p, MID_PRESSURE_EVERYTHING) ? 0 : at_once ? o->reserve : mid_kept_while_allocating(s, o);
    if (at_once ? s->empty_bytes <= most(plan->keep, p->stuck) : !decayed)
        return false;
    plan->action = MID_ACT_TRIM;
    plan->trigger = idle ? MID_WHY_IDLE : MID_WHY_DECAY;
    plan->value = s->empty_bytes;
    plan->threshold = plan->keep;
    plan->budget = o->slice;
    if (asked && !(idle && s->empty_bytes > o->reserve))
        because(p, plan->keep == 0 && o->reserve != 0 ? MID_PRESSURE_EVERYTHING : MID_PRESSURE_TRIM, plan);
    return true;
}

/* Last of all, for what it moves should stay where it is: while the program is idle, and nothing is under way that goes by numbers. */
bool mid_wants_deep(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan)
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
