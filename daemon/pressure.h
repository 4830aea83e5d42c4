/* daemon/pressure.h: from what was heard to a level, as pure functions: no descriptor, no clock, no heap.
 *
 * A *reading* is what the sources know at one moment. The *gauge* remembers, for each source, the level it gave and since when,
 * so that a level does not flicker. A *strain* is what the rules of decide.h are given. Levels, times and the gate are explained
 * in docs/design/pressure.md. Times are microseconds of one clock. */
#ifndef MIDDEN_DAEMON_PRESSURE_H
#define MIDDEN_DAEMON_PRESSURE_H

#include <stdbool.h>

#include "midden/daemon.h"

#define MID_WINDOW_MICROS 2000000u    /* of PSI: what an unprivileged process may ask for */
#define MID_HOLD_MICROS 4000000u      /* a level that was heard of stays for two of those */
#define MID_TRIM_STALLS 70000u        /* "some" in a window */
#define MID_COMPACT_STALLS 100000u    /* "some" */
#define MID_EVERYTHING_STALLS 100000u /* "full" */

/* In the order of the triggers MID_WHY_STALLS to MID_WHY_LIMIT. */
enum mid_source { MID_STALLS, MID_CGROUP, MID_WATCH, MID_SIGNALS, MID_PROGRAM, MID_LIMIT, MID_SOURCES };

typedef struct mid_reading {
    mid_pressure_level came[MID_SOURCES]; /* the highest since the reading before; of PROGRAM: what holds; of LIMIT: none */
    bool measured[MID_SOURCES];           /* it came of a measurement and not of somebody's word: the gate is for it */
    uint64_t said;                        /* how often the program has said something */
    bool stalls_known;                    /* totals that were read, since no trigger could be had */
    uint64_t some_total, full_total;
    bool usage_known;                     /* of the cgroup that is nearest to its limit */
    uint64_t usage, limit;
    bool free_known;                      /* of the tightest: the machine, or a cgroup above the process */
    uint64_t free, whole;
    uint64_t foreign;                     /* outside the heap, charged to it */
    uint64_t told;                        /* the heap's part of a budget that it shares with others; 0: it shares none */
} mid_reading;

typedef struct mid_held {
    mid_pressure_level level;
    uint64_t since;
} mid_held;

typedef struct mid_gauge {
    mid_held held[MID_SOURCES];
    mid_pressure_level usage, limit; /* with hysteresis of their own */
    uint64_t said, urges;
    bool window_open;                /* of polled totals */
    uint64_t window_at, window_some, window_full;
    mid_pressure_level level;
} mid_gauge;

typedef struct mid_strain {
    mid_pressure_level level;
    mid_trigger why;       /* CALM: MID_WHY_NOTHING */
    uint64_t urges;        /* goes up when garbage is to be looked for once, however little has grown */
    uint64_t soft, hard;   /* limits in bytes, 0: none */
    bool told;             /* to grow up to the soft limit is not only allowed but wanted */
} mid_strain;

/* Bytes, from the options and the tightest limit of a cgroup (MID_UNLIMITED: none, or not known). */
void mid_limits(const mid_options *options, uint64_t cgroup_limit, uint64_t *soft, uint64_t *hard);

/* The gate: more than half of memory is free. Unknown is not ample. */
bool mid_ample(const mid_reading *reading);

/* `committed`: what the heap has. */
mid_strain mid_gauge_read(mid_gauge *gauge, const mid_reading *reading, const mid_options *options, uint64_t committed,
                          uint64_t now);

const char *mid_level_name(mid_pressure_level level);

#endif
