/* tests/unit/eventually.h: waiting for what another thread or process does. Nothing depends on how long that takes: it comes true, or a
 * deadline passes that only a failure reaches. */
#ifndef MIDDEN_UNIT_EVENTUALLY_H
#define MIDDEN_UNIT_EVENTUALLY_H

#include "unit.h"

#include <time.h>

#define EVENTUALLY_SECONDS (RUNNING_ON_VALGRIND || UNIT_SANITIZED ? 200 : 60)

static inline void pause_micros(long micros)
{
    struct timespec length = {.tv_sec = micros / 1000000, .tv_nsec = micros % 1000000 * 1000};
    nanosleep(&length, NULL);
}
#define SLEEP pause_micros(1000)

/* *deadline: 0 before the first time. */
static inline bool still_time(time_t *deadline)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (*deadline == 0)
        *deadline = now.tv_sec + EVENTUALLY_SECONDS;
    return now.tv_sec <= *deadline;
}

/* Fails if `condition` does not come true; `meanwhile` is done before each look at it but the first. */
#define EVENTUALLY(condition, meanwhile)                     \
    do {                                                     \
        time_t deadline_ = 0;                                \
        while (!(condition)) {                               \
            if (!still_time(&deadline_))                     \
                fail_msg("never came true: %s", #condition); \
            meanwhile;                                       \
        }                                                    \
    } while (0)

#endif
