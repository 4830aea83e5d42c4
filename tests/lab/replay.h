/* replay.h: what the replay worker and a back end (replay_midden.h, replay_boehm.h, replay_malloc.h) share.
 *
 * One back end is compiled into each worker program, because allocators interpose on each other. It defines
 *   replay_open(variant)          false: no such variant, or the heap did not open
 *   replay_alloc(slot, op)        false: out of memory
 *   replay_resize(slot, size)     false: out of memory
 *   replay_drop(slot)             the program lets go of the block
 *   replay_bytes(slot)            its address now
 *   replay_poll()                 between operations
 *   replay_sleep_begin(), replay_sleep_end()   around the idle time
 *   replay_figures()              prints the heap's own figures, after a check of the heap: false if that failed
 */
#ifndef MIDDEN_LAB_REPLAY_H
#define MIDDEN_LAB_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "histogram.h"
#include "plan.h"

/* One block. Slots lie outside the heap and are touched before it is opened. */
typedef struct replay_slot {
    uint64_t reference; /* 0: no block */
    uint64_t size;
} replay_slot;

typedef struct replay_state {
    const plan *plan;
    replay_slot *slots;
    histogram pause_wall, pause_cpu, call;
    uint64_t pause_wall_from, pause_cpu_from;
} replay_state;

extern replay_state replay;

uint64_t replay_wall(void); /* nanoseconds, monotonic */

/* The world has stopped; it runs again. Both on the thread that does the work. */
void replay_pause_begin(void);
void replay_pause_end(void);

#endif
