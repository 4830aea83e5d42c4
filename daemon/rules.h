/* daemon/rules.h: what the files of the rules (decide.h) have in common. A rule fills in the plan if its action is wanted. */
#ifndef MIDDEN_DAEMON_RULES_H
#define MIDDEN_DAEMON_RULES_H

#include "daemon/decide.h"

#define WHOLE 100000u           /* one processor, in thousandths of a percent */
#define LARGE_STOPS 4u          /* a heap is large, whatever it left, if to collect it whole takes so many times `collect-stop` */
#define COLLECT_NANOS 12u       /* a whole collection, for each object: see docs/design/proposals.md */

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* a * b / c without overflow on the way; what does not fit is UINT64_MAX. */
static inline uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 wide = (unsigned __int128)a * b / c;
    return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

static inline uint64_t live_bytes(const mid_snapshot *s)
{
    return s->live_slot_bytes + s->large_bytes + s->foreign_bytes;
}

static inline bool pressed(const mid_pacer *p, mid_pressure_level level)
{
    return p->strain.level >= level;
}

static inline void because(const mid_pacer *p, mid_pressure_level level, mid_work_plan *plan)
{
    plan->trigger = p->strain.why;
    plan->value = p->strain.level;
    plan->threshold = level;
}

/* --- decide.c */
void mid_advance(mid_pacer *p, uint64_t now); /* the pacer's own time */

/* --- duty.c: of a processor, in parts of WHOLE */
uint64_t mid_rest(const mid_pacer *p, uint64_t at, uint64_t took, uint64_t duty);
uint64_t mid_rest_after_both(const mid_pacer *p, uint64_t duty); /* after compaction, and after other work */
uint64_t mid_work_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle);
uint64_t mid_pressed_compact_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle);
uint64_t mid_fragmentation(const mid_snapshot *s); /* percent */

/* --- rules_garbage.c */
bool mid_wants_drain(mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
bool mid_wants_collect(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
bool mid_wants_sweep(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
bool mid_wants_propose(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
bool mid_wants_prove(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
uint64_t mid_sweep_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o);
bool mid_steered(const mid_pacer *p, const mid_options *o);
uint64_t mid_growth_wanted(const mid_pacer *p, uint64_t live_at_collection, const mid_options *o);

/* --- rules_memory.c */
bool mid_wants_compact(mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
bool mid_wants_trim(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
bool mid_wants_deep(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle, mid_work_plan *plan);
uint64_t mid_kept_while_allocating(const mid_snapshot *s, const mid_options *o);

#endif
