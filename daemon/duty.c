/* daemon/duty.c: how much of a processor work may take, and the rest that is owed after it. */
#include "daemon/rules.h"

#define FRAG_MOST 1000000u      /* percent; what "pools without live bytes" counts as */

/* Time that still has to pass so that `took` microseconds, which ended at `at`, are no more than `duty` of the whole. */
uint64_t mid_rest(const mid_pacer *p, uint64_t at, uint64_t took, uint64_t duty)
{
    unsigned __int128 pause = ((unsigned __int128)took * (WHOLE - duty) + duty - 1) / duty;
    uint64_t passed = p->time - at;
    if (pause <= passed)
        return 0;
    return pause - passed > UINT64_MAX ? UINT64_MAX : (uint64_t)(pause - passed);
}

uint64_t mid_rest_after_both(const mid_pacer *p, uint64_t duty)
{
    return most(mid_rest(p, p->compact_at, p->compact_took, duty), mid_rest(p, p->work_at, p->work_took, duty));
}

static bool program_waits(const mid_snapshot *s, bool idle)
{
    return idle || s->mutator != MID_MUTATOR_RUNNING;
}

/* Under pressure half a processor, unless it may be more. */
uint64_t mid_work_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle)
{
    uint64_t share = o->share * (WHOLE / 100);
    if (program_waits(s, idle))
        return WHOLE / 2;
    return pressed(p, MID_PRESSURE_TRIM) ? most(share, WHOLE / 2) : share;
}

uint64_t mid_fragmentation(const mid_snapshot *s)
{
    if (s->pool_bytes == 0)
        return 100;
    return s->live_slot_bytes == 0 ? FRAG_MOST : least(scaled(s->pool_bytes, 100, s->live_slot_bytes), FRAG_MOST);
}

uint64_t mid_compact_duty(const mid_snapshot *s, const mid_options *o, bool idle)
{
    if (program_waits(s, idle))
        return WHOLE / 2;
    uint64_t waste = most(10, least(minus(mid_fragmentation(s), 100), 100));
    return 1000 + (o->share * 1000 - 1000) * (waste - 10) / 90;
}

uint64_t mid_pressed_compact_duty(const mid_pacer *p, const mid_snapshot *s, const mid_options *o, bool idle)
{
    return pressed(p, MID_PRESSURE_COMPACT) ? most(WHOLE / 2, mid_compact_duty(s, o, idle)) : mid_compact_duty(s, o, idle);
}
