/* daemon/pressure.c: levels, with hysteresis, out of readings. */
#include "daemon/pressure.h"

#include "daemon/figures.h"

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t percent_of(uint64_t value, uint64_t percent)
{
    return (uint64_t)((unsigned __int128)value * percent / 100);
}

static uint64_t tighter(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

const char *mid_level_name(mid_pressure_level level)
{
    static const char *const names[] = {"calm", "trim", "compact", "everything"};
    return (unsigned)level < sizeof names / sizeof *names ? names[level] : "?";
}

void mid_limits(const mid_options *o, uint64_t cgroup_limit, uint64_t *soft, uint64_t *hard)
{
    bool known = cgroup_limit != MID_UNLIMITED && cgroup_limit != 0;
    *soft = tighter(o->soft_limit, known ? percent_of(cgroup_limit, o->soft_share) : 0);
    *hard = tighter(o->heap_limit - o->heap_limit / 16, known ? percent_of(cgroup_limit, o->hard_share) : 0);
}

bool mid_ample(const mid_reading *r)
{
    return r->free_known && r->free > r->whole / 2;
}

/* Up at the first row that is reached; down only when it is clearly left. */
static mid_pressure_level with_hysteresis(mid_pressure_level was, uint64_t percent)
{
    static const uint64_t up[] = {0, 80, 90, 95}, down[] = {0, 75, 85, 90};
    mid_pressure_level level = MID_PRESSURE_EVERYTHING;
    while (level > MID_PRESSURE_CALM && percent < (level <= was ? down : up)[level])
        level--;
    return level;
}

static mid_pressure_level of_usage(mid_gauge *g, const mid_reading *r)
{
    bool bounded = r->usage_known && r->limit != MID_UNLIMITED && r->limit != 0;
    uint64_t percent = bounded ? (uint64_t)((unsigned __int128)(r->usage < r->limit ? r->usage : r->limit) * 100 / r->limit) : 0;
    return g->usage = with_hysteresis(g->usage, percent);
}

/* Once above, it is left at 15/16. */
static bool above(uint64_t committed, uint64_t limit, bool was)
{
    return limit != 0 && committed > (was ? limit - limit / 16 : limit);
}

/* What belongs to the heap but is not its own counts against the soft limit only: the hard one bounds what it obtains itself. */
static mid_pressure_level of_limits(mid_gauge *g, uint64_t committed, uint64_t foreign, uint64_t soft, uint64_t hard)
{
    if (above(committed, hard, g->limit == MID_PRESSURE_EVERYTHING))
        return g->limit = MID_PRESSURE_EVERYTHING;
    return g->limit = above(committed + foreign, soft, g->limit != MID_PRESSURE_CALM) ? MID_PRESSURE_COMPACT : MID_PRESSURE_CALM;
}

/* Totals that only grow; a cgroup that was made anew counts from 0 again, which opens another window. */
static mid_pressure_level of_totals(mid_gauge *g, const mid_reading *r, uint64_t now)
{
    if (!r->stalls_known)
        return MID_PRESSURE_CALM;
    uint64_t passed = minus(now, g->window_at);
    bool whole = g->window_open && r->some_total >= g->window_some && r->full_total >= g->window_full;
    uint64_t some = whole ? r->some_total - g->window_some : 0, full = whole ? r->full_total - g->window_full : 0;
    if (passed > MID_WINDOW_MICROS) { /* nobody looked for long: what it comes to in one */
        some = (uint64_t)((unsigned __int128)some * MID_WINDOW_MICROS / passed);
        full = (uint64_t)((unsigned __int128)full * MID_WINDOW_MICROS / passed);
    }
    if (!whole || passed >= MID_WINDOW_MICROS) {
        g->window_open = true;
        g->window_at = now;
        g->window_some = r->some_total;
        g->window_full = r->full_total;
    }
    return full >= MID_EVERYTHING_STALLS ? MID_PRESSURE_EVERYTHING :
           some >= MID_COMPACT_STALLS    ? MID_PRESSURE_COMPACT :
           some >= MID_TRIM_STALLS       ? MID_PRESSURE_TRIM :
                                           MID_PRESSURE_CALM;
}

static mid_pressure_level higher(mid_pressure_level a, mid_pressure_level b)
{
    return a > b ? a : b;
}

static void hold(mid_held *held, mid_pressure_level level, uint64_t now)
{
    bool over = now < held->since || now - held->since >= MID_HOLD_MICROS; /* the clock went back; it is long ago */
    if (over)
        held->level = MID_PRESSURE_CALM;
    if (level == MID_PRESSURE_CALM || level < held->level)
        return;
    held->level = level;
    held->since = now;
}

/* Nothing that was measured counts below `everything` while memory is ample. */
static mid_pressure_level gated(mid_pressure_level level, bool measured, bool ample)
{
    return measured && ample && level < MID_PRESSURE_EVERYTHING ? MID_PRESSURE_CALM : level;
}

mid_strain mid_gauge_read(mid_gauge *g, const mid_reading *r, const mid_options *o, uint64_t committed, uint64_t now)
{
    mid_strain strain = {.why = MID_WHY_NOTHING};
    bool ample = mid_ample(r), asked = false;
    mid_limits(o, r->usage_known ? r->limit : MID_UNLIMITED, &strain.soft, &strain.hard);
    strain.soft = tighter(strain.soft, r->told);
    strain.told = r->told != 0;
    for (int s = MID_STALLS; s <= MID_SIGNALS; s++) {
        mid_pressure_level came = gated(r->came[s], r->measured[s], ample);
        asked |= came >= MID_PRESSURE_COMPACT && (s == MID_WATCH || s == MID_SIGNALS);
        hold(&g->held[s], came, now);
    }
    hold(&g->held[MID_STALLS], gated(of_totals(g, r, now), true, ample), now);
    mid_pressure_level level[MID_SOURCES];
    for (int s = 0; s < MID_SOURCES; s++)
        level[s] = g->held[s].level;
    level[MID_CGROUP] = higher(level[MID_CGROUP], of_usage(g, r));
    level[MID_PROGRAM] = r->came[MID_PROGRAM];
    level[MID_LIMIT] = of_limits(g, committed, r->foreign, strain.soft, strain.hard);
    for (int s = 0; s < MID_SOURCES; s++)
        if (level[s] > strain.level) {
            strain.level = level[s];
            strain.why = (mid_trigger)(MID_WHY_STALLS + s);
        }
    asked |= r->said != g->said && level[MID_PROGRAM] >= MID_PRESSURE_COMPACT;
    g->said = r->said;
    if (asked || (strain.level > g->level && strain.level >= MID_PRESSURE_COMPACT))
        g->urges++;
    g->level = strain.level;
    strain.urges = g->urges;
    return strain;
}
