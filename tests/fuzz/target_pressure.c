/* tests/fuzz/target_pressure.c: levels out of any readings, against a second telling. */
#include "targets.h"

#include <string.h>

#include "daemon/figures.h"
#include "daemon/pressure.h"

typedef struct bytes {
    const uint8_t *at, *end;
} bytes;

static uint64_t take(bytes *b, unsigned count)
{
    uint64_t value = 0;
    for (; count != 0 && b->at != b->end; count--)
        value = value << 8 | *b->at++;
    return value;
}

/* Of any size: a byte, shifted by another. */
static uint64_t amount(bytes *b)
{
    uint64_t byte = take(b, 1);
    return byte << take(b, 1) % 57;
}

/* --- the second telling: each source by itself, from the page ------------------------------------------------------ */

typedef struct teller {
    struct {
        mid_pressure_level level;
        uint64_t since;
    } heard[MID_SOURCES];
    mid_pressure_level usage, limit;
    bool open; /* a window, since ... */
    uint64_t at, some, full;
} teller;

static bool ample(const mid_reading *r)
{
    return r->free_known && (unsigned __int128)r->free * 2 > r->whole && r->free - r->whole / 2 != 0;
}

static void hears(teller *t, int source, mid_pressure_level level, bool measured, const mid_reading *r, uint64_t now)
{
    if (level < MID_PRESSURE_EVERYTHING && measured && ample(r))
        level = MID_PRESSURE_CALM;
    bool holds = now >= t->heard[source].since && now - t->heard[source].since < MID_HOLD_MICROS;
    mid_pressure_level was = holds ? t->heard[source].level : MID_PRESSURE_CALM;
    if (level != MID_PRESSURE_CALM && level >= was) {
        t->heard[source].level = level;
        t->heard[source].since = now;
    } else if (!holds) {
        t->heard[source].level = MID_PRESSURE_CALM;
    }
}

static mid_pressure_level usage(mid_pressure_level was, const mid_reading *r)
{
    unsigned __int128 used = (unsigned __int128)r->usage * 100;
    mid_pressure_level level = MID_PRESSURE_CALM;
    if (!r->usage_known || r->limit == 0 || r->limit == MID_UNLIMITED)
        return level;
    static const unsigned at[] = {0, 80, 90, 95};
    for (unsigned l = MID_PRESSURE_TRIM; l <= MID_PRESSURE_EVERYTHING; l++)
        if (used >= (unsigned __int128)r->limit * (l <= was ? at[l] - 5 : at[l]))
            level = (mid_pressure_level)l;
    return level;
}

static bool beyond(uint64_t committed, uint64_t limit, bool was)
{
    return limit != 0 && (committed > limit || (was && committed > limit - limit / 16));
}

static mid_pressure_level limits(mid_pressure_level was, uint64_t committed, const mid_strain *s)
{
    if (beyond(committed, s->hard, was == MID_PRESSURE_EVERYTHING))
        return MID_PRESSURE_EVERYTHING;
    return beyond(committed, s->soft, was != MID_PRESSURE_CALM) ? MID_PRESSURE_COMPACT : MID_PRESSURE_CALM;
}

/* At least so much in two seconds of those that have passed: no fewer than two. */
static bool stalled(uint64_t total, uint64_t least, uint64_t passed)
{
    return total >= least && (passed <= MID_WINDOW_MICROS || (unsigned __int128)total * MID_WINDOW_MICROS >= (unsigned __int128)least * passed);
}

static mid_pressure_level totals(teller *t, const mid_reading *r, uint64_t now)
{
    if (!r->stalls_known)
        return MID_PRESSURE_CALM;
    uint64_t passed = now > t->at ? now - t->at : 0;
    bool known = t->open && r->some_total >= t->some && r->full_total >= t->full;
    uint64_t some = known ? r->some_total - t->some : 0, full = known ? r->full_total - t->full : 0;
    if (!known || passed >= MID_WINDOW_MICROS) {
        t->open = true;
        t->at = now;
        t->some = r->some_total;
        t->full = r->full_total;
    }
    if (stalled(full, MID_EVERYTHING_STALLS, passed))
        return MID_PRESSURE_EVERYTHING;
    return stalled(some, MID_COMPACT_STALLS, passed) ? MID_PRESSURE_COMPACT :
           stalled(some, MID_TRIM_STALLS, passed)    ? MID_PRESSURE_TRIM :
                                                       MID_PRESSURE_CALM;
}

static mid_pressure_level level_of(teller *t, const mid_reading *r, const mid_strain *s, uint64_t committed, uint64_t now)
{
    mid_pressure_level level = MID_PRESSURE_CALM;
    for (int i = MID_STALLS; i <= MID_SIGNALS; i++) {
        hears(t, i, r->came[i], r->measured[i], r, now);
        if (i == MID_STALLS)
            hears(t, i, totals(t, r, now), true, r, now);
        level = t->heard[i].level > level ? t->heard[i].level : level;
    }
    t->usage = usage(t->usage, r);
    t->limit = limits(t->limit, committed, s);
    level = t->usage > level ? t->usage : level;
    level = t->limit > level ? t->limit : level;
    return r->came[MID_PROGRAM] > level ? r->came[MID_PROGRAM] : level;
}

/* --- readings ------------------------------------------------------------------------------------------------------ */

static void read_some(bytes *b, mid_reading *r)
{
    uint64_t what = take(b, 2);
    r->came[what & 3] = (mid_pressure_level)(what >> 2 & 3); /* STALLS to SIGNALS */
    r->measured[what & 3] = what >> 4 & 1;
    if (what >> 5 & 1) {
        r->came[MID_PROGRAM] = (mid_pressure_level)(take(b, 1) & 3);
        r->said++;
    }
    if (what >> 6 & 1) {
        r->stalls_known = what >> 7 & 1;
        r->some_total = what >> 8 & 1 ? amount(b) : r->some_total + take(b, 3);
        r->full_total = what >> 14 & 1 ? amount(b) : r->full_total + take(b, 3);
    }
    if (what >> 9 & 1) {
        r->usage_known = what >> 10 & 1;
        r->usage = amount(b);
        r->limit = what >> 11 & 1 ? MID_UNLIMITED : amount(b);
    }
    if (what >> 12 & 1) {
        r->free_known = what >> 13 & 1;
        r->free = amount(b);
        r->whole = amount(b);
    }
}

static void read_options(bytes *b, mid_options *o)
{
    mid_options_init(o);
    o->soft_limit = amount(b);
    o->heap_limit = amount(b);
    o->soft_share = take(b, 1) % 101;
    o->hard_share = take(b, 1) % 101;
}

/* Nothing comes, nothing has changed: nor does the level, and nothing is urged. */
static void again(mid_gauge *g, mid_reading *r, const mid_options *o, uint64_t committed, uint64_t now, const mid_strain *s)
{
    memset(r->came, 0, MID_PROGRAM * sizeof *r->came);
    mid_strain same = mid_gauge_read(g, r, o, committed, now);
    NEED(same.level == s->level && same.why == s->why && same.urges == s->urges && same.soft == s->soft && same.hard == s->hard);
}

void fuzz_pressure(const uint8_t *data, size_t size)
{
    bytes b = {data, size == 0 ? data : data + size};
    mid_options options;
    mid_gauge gauge = {0};
    mid_reading reading = {0};
    teller t = {0};
    uint64_t now = UINT64_C(1) << 40, urges = 0, committed = 0;
    read_options(&b, &options);
    while (b.at != b.end) {
        mid_pressure_level before = gauge.level;
        uint64_t said = reading.said, step = take(&b, 1);
        now += step << 16; /* up to 17 s */
        if (step == 255)
            now -= take(&b, 1) << 32; /* the clock goes back */
        read_some(&b, &reading);
        committed = step & 1 ? amount(&b) : committed;
        mid_strain s = mid_gauge_read(&gauge, &reading, &options, committed, now);
        NEED(s.level == level_of(&t, &reading, &s, committed, now));
        NEED((s.level == MID_PRESSURE_CALM) == (s.why == MID_WHY_NOTHING) && s.why <= MID_WHY_LIMIT);
        NEED(s.why != MID_WHY_LIMIT || committed > (s.soft == 0 || (s.hard != 0 && s.hard < s.soft) ? s.hard - s.hard / 16 : s.soft - s.soft / 16));
        bool told = reading.said != said || reading.came[MID_WATCH] != 0 || reading.came[MID_SIGNALS] != 0;
        NEED(s.urges - urges <= 1 && (s.urges == urges || told || s.level > before));
        NEED(s.level <= before || s.level < MID_PRESSURE_COMPACT || s.urges != urges);
        urges = s.urges;
        again(&gauge, &reading, &options, committed, now, &s);
    }
}
