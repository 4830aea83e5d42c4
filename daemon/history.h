/* daemon/history.h: footprint and pressure over time, as the daemon saw it at its looks. Nobody is woken for it.
 *
 * A fixed number of samples covers whatever time has passed: when they are used up, every second one goes, and those to come
 * are taken half as often. */
#ifndef MIDDEN_DAEMON_HISTORY_H
#define MIDDEN_DAEMON_HISTORY_H

#include "gc/service.h"
#include "midden/pressure.h"

#define MID_HISTORY 512u

typedef struct mid_sample {
    uint64_t at; /* microseconds of the monotonic clock */
    uint64_t committed, pools, empty, live;
    mid_pressure_level level; /* the highest since the sample before */
} mid_sample;

typedef struct mid_history {
    uint64_t apart; /* least time between two samples; 0: none was taken */
    unsigned count;
    mid_sample samples[MID_HISTORY];
} mid_history;

void mid_history_add(mid_history *history, const mid_snapshot *now, mid_pressure_level level, uint64_t clock);

/* The first that was taken after `at`; null: there is none. */
const mid_sample *mid_history_after(const mid_history *history, uint64_t at);

#endif
