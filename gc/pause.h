/* gc/pause.h: pauses, as the program sees them. What a thread does for the heap inside one call, or waits for, is in parts: each
 * is begun and ended where a path becomes slow, and they nest. The outermost is the pause.
 *
 * Its cause is that of the part which by itself, without those inside it, took longest; a part that stops the world or waits for
 * a stop goes before any that does not. It is recorded if there was such a part, or if it took MID_PAUSE_LEAST.
 *
 * The wall clock is read at both ends of every part. The thread's processor clock costs a system call, ten times as much: it is read
 * for stops and what else takes long for certain (mid_pause_counts_cpu). Elsewhere wall time counts as processor time, so that
 * what is subtracted from a pause's wall time is what was certainly spent waiting. */
#ifndef MID_GC_PAUSE_H
#define MID_GC_PAUSE_H

#include <stdbool.h>

#include "midden/stats.h"

#define MID_PAUSE_LEAST 10000u /* nanoseconds */
#define MID_PAUSES_KEPT 500u
#define MID_MMU_WINDOWS 4u

typedef struct mid_impl mid_impl;

typedef struct mid_pause {
    uint64_t from, to; /* nanoseconds */
} mid_pause;

/* Of one thread. In memory behind its mid_impl; nobody else touches it. */
typedef struct mid_pauses {
    uint32_t depth;  /* parts under way */
    uint32_t count;
    bool stop;       /* so far there was a part that stopped the world, or waited */
    uint8_t cause;   /* so far, ... */
    uint64_t most;   /* ... for so long */
    uint64_t inside; /* length of the parts inside the one under way */
    uint64_t idle;   /* wall time less processor time, where that is known */
    mid_pause recent[MID_PAUSES_KEPT];
} mid_pauses;

/* A part under way, in its caller's frame. */
typedef struct mid_part {
    mid_impl *me; /* null: nobody's pause */
    uint64_t from, cpu, inside, idle;
    mid_pause_cause cause;
    bool stop; /* it stops the world, or waits for a stop: because of its cause, or as it turns out */
} mid_part;

/* What the heap keeps of all threads; every field atomic. */
typedef struct mid_pause_record {
    mid_pause_stats causes[MID_PAUSE_CAUSE_COUNT];
    uint64_t worst[MID_MMU_WINDOWS]; /* the most nanoseconds of a window that any thread did not have */
} mid_pause_record;

/* Nothing happens if `me` is null or not the calling thread's: who works with another's structure pauses nobody but himself. */
mid_part mid_pause_begin(mid_impl *me, mid_pause_cause cause);
void mid_pause_end(const mid_part *part);
/* Begin a part that has not begun: a path that is short most of the time turns out not to be. */
static inline void mid_pause_late(mid_impl *me, mid_part *part, mid_pause_cause cause)
{
    if (part->me == NULL)
        *part = mid_pause_begin(me, cause);
}
void mid_pauses_clear(mid_pauses *p); /* another thread's from now on */

/* A pause of the thread more, later than those before; worst[i]: how much of the worst window of mid_mmu_windows[i] that ends
 * with it was paused. No clock is read. */
void mid_pauses_add(mid_pauses *p, uint64_t from, uint64_t to, uint64_t worst[MID_MMU_WINDOWS]);
extern const uint64_t mid_mmu_windows[MID_MMU_WINDOWS]; /* nanoseconds, ascending */

static inline bool mid_pause_stops(mid_pause_cause cause)
{
    return cause <= MID_PAUSE_LOOK;
}
static inline bool mid_pause_counts_cpu(mid_pause_cause cause)
{
    return cause <= MID_PAUSE_TRIM;
}

#endif
