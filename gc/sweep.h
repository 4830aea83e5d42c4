/* gc/sweep.h: the backstop of the proposals, and the proof of sets that are too large for one stop. */
#ifndef MID_GC_SWEEP_H
#define MID_GC_SWEEP_H

#include "gc/heap.h"

/* What is under way. Steps marked with a stop are done while the world stands, the others at any time; each goes on where it
 * was left. */
typedef enum mid_sweep_step {
    MID_SWEEP_NONE,
    MID_SWEEP_SUBTRACT, /* references counted, over the whole table */
    MID_SWEEP_REVIVE,   /* what has more counts, and all it reaches, is alive */
    MID_SWEEP_GATHER,   /* the rest is proposed */
    MID_SWEEP_RELEASE,  /* stop: of those whose finalizers have run, what held them meanwhile */
    MID_SWEEP_WATCH,    /* stop: members are tagged */
    MID_SWEEP_RESET,    /* a round begins: */
    MID_SWEEP_COUNT,    /* references from members to members */
    MID_SWEEP_JUDGE,    /* are they all there are? */
    MID_SWEEP_FOLLOW,   /* what the dropped refer to is dropped */
    MID_SWEEP_UNTAG,    /* stop: those lose their tags; another round */
    MID_SWEEP_COMMIT,   /* stop */
    MID_SWEEP_HOLD,     /* stop: what has finalizers, and what it reaches, is no member any more, */
    MID_SWEEP_CONDEMN,  /* stop: ... but held until they have run */
    MID_SWEEP_DISPOSE,  /* stop */
    MID_SWEEP_ABANDON,  /* stop: all lose their tags */
    MID_SWEEP_CLOSE     /* what was needed for it is given back */
} mid_sweep_step;

typedef struct mid_sweep {
    mid_heap *heap;
    mid_impl *me;           /* null: mutators run */
    mid_sweep_step step;
    mid_array marks;        /* uint32_t[], by index: see sweep.c */
    mid_array stretches;    /* a bit for each 1024 marks, a page of them: something possibly cyclic is there */
    uint32_t end;           /* indices below which there are marks */
    uint32_t at, item;      /* where the step is */
    uint32_t stack, current; /* of what was revived; the object in hand, 0: none */
    mid_list set;           /* handles; a member has MID_SWEEP_MEMBER in its mark */
    mid_list dropped;       /* no members any more, but tagged */
    mid_list later;         /* indices of what is traced only while the world stands, ... */
    uint32_t later_item;    /* ... and where in the last of them it goes on */
    uint32_t touched;       /* mid_heap.touched when the round began */
    uint32_t rounds;
    uint32_t followed;      /* of the dropped, when they are to be held */
    bool large;             /* a member is a block outside pools, which takes its time */
    bool cramped;           /* there was no memory to remember one of the dropped */
    bool rejudged, waits;   /* the set was condemned; it waits for the finalizers of another */
    uint64_t live_bytes, live_objects, large_bytes; /* when it began */
    uint64_t array_slots;   /* references in blocks outside pools */
    uint64_t finals;        /* finalizers due among what is held */
    uint64_t freed;         /* members, ever */
    uint64_t looked, found; /* likewise: objects looked at, proposed as garbage */
} mid_sweep;

/* A mark: bit 31, alive, and below it the next on the stack; or bit 30, and below it the references found. */
#define MID_SWEEP_ALIVE 0x80000000u
#define MID_SWEEP_MEMBER 0x40000000u
#define MID_SWEEP_INSIDE (MID_SWEEP_MEMBER - 1)
#define MID_SWEEP_END 0x7fffffffu
#ifndef MID_SWEEP_SMALL
#define MID_SWEEP_SMALL 4096u /* sets of so many are proved in one stop */
#endif

static inline uint32_t *mid_sweep_mark(const mid_sweep *s, uint32_t index)
{
    return (uint32_t *)s->marks.data + index;
}
static inline bool mid_sweep_member(const mid_sweep *s, mid_handle value)
{
    return value / 2 < s->end && (*mid_sweep_mark(s, value / 2) & (MID_SWEEP_ALIVE | MID_SWEEP_MEMBER)) == MID_SWEEP_MEMBER;
}
static inline bool mid_sweep_stops(mid_sweep_step step)
{
    return step == MID_SWEEP_RELEASE || step == MID_SWEEP_WATCH || step == MID_SWEEP_UNTAG || (step >= MID_SWEEP_COMMIT && step < MID_SWEEP_CLOSE);
}

/* Marks, all zero, for a set that comes from elsewhere. */
mid_status mid_sweep_open(mid_sweep *s);
/* Finish what is committed, give up what is not. The world stands. */
void mid_trial_stop(mid_sweep *s);
/* One piece of the step in hand: some tens of objects or a thousand references. */
void mid_trial_piece(mid_sweep *s);
bool mid_trial_count_one(void *context, mid_handle value, uint32_t slot);
/* The step is done: the next one, from the beginning. */
void mid_sweep_next(mid_sweep *s, mid_sweep_step step);
/* Nothing of it is left. */
void mid_sweep_end(mid_sweep *s);

#endif
