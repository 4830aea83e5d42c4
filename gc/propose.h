/* gc/propose.h: garbage cycles found without stopping the program, and freed on an exact proof.
 *
 *   suspect.c  the log of suspects          walk.c   one suspect's surroundings
 *   propose.c  which suspects, how far      proof.c  what is done about them while the world stands
 *   sweep.c    all of the table, for what no suspect led to
 *   trial.c    the proof of a set too large for one stop
 *
 * A proposal is worth nothing but the trouble of proving it; what is wrongly proposed is dropped by the proof, and what is
 * not proposed is left to the next sweep. docs/design/proposals.md has the whole. */
#ifndef MID_GC_PROPOSE_H
#define MID_GC_PROPOSE_H

#include "gc/sweep.h"
#include "gc/walk.h"

#define MID_TIERS 4

struct mid_proposer {
    mid_walk walk;
    mid_list todo[MID_TIERS];      /* suspects to walk from, not yet begun */
    uint64_t explored[MID_TIERS];  /* objects, ever */
    mid_list batch;                /* the suspects in hand, ... */
    uint32_t batch_next, tier;     /* ... of this tier */
    mid_list still;                /* suspects to be walked from while the world stands */
    mid_list members, sizes;       /* proposed sets, one after another, and how many each has */
    uint32_t members_next, sizes_next;
    mid_list alive;                /* suspects found alive (odd: in doubt), each with its count then */
    uint32_t alive_next;
    mid_sweep sweep;
    uint64_t proposed, walked; /* ever */
};

/* With `proposing` held. MID_ENOMEM, MID_ELIMIT. */
mid_status mid_proposer_open(mid_heap *heap);

/* Nothing is unmapped that somebody may be reading. */
void mid_hold_memory(mid_heap *heap, bool hold);
/* Let everybody know how much waits. */
void mid_proposer_count(mid_heap *heap);
/* Walk from this suspect and note what comes of it. */
void mid_propose_one(mid_heap *heap, mid_handle suspect, unsigned tier);

#endif
