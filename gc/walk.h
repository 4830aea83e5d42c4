/* gc/walk.h: is a suspect part of a garbage cycle? A proposal, from a look at what it reaches. */
#ifndef MID_GC_WALK_H
#define MID_GC_WALK_H

#include "gc/heap.h"

typedef enum mid_verdict {
    MID_WALK_GONE,    /* it is no live object of a possibly cyclic type */
    MID_WALK_GARBAGE, /* it and the other explored objects that `garbage` tells of hold each other, and nothing else does */
    MID_WALK_ALIVE,   /* all it reaches was explored, and it is not garbage; or the rest was met before */
    MID_WALK_DOUBT,   /* too much of what was explored is held from elsewhere, as in live structures */
    MID_WALK_MORE,    /* the limit was reached */
    MID_WALK_STILL    /* something it reaches is traced only while the world stands */
} mid_verdict;

typedef struct mid_walk_node {
    uint32_t index; /* in the table */
    uint32_t found; /* references to it from what was explored */
    uint32_t count; /* as it was when first seen */
    uint32_t state;
} mid_walk_node;
enum { MID_NODE_SEEN, MID_NODE_EXPLORED, MID_NODE_HELD };

#define MID_WALK_LEAST 16u
#ifndef MID_WALK_MOST
#define MID_WALK_MOST 4096u /* objects explored at most */
#endif
#define MID_MEMO 16384u

/* The memory of walks, one after another. About half a MiB, touched as far as walks go. */
typedef struct mid_walk {
    mid_heap *heap;
    bool still;       /* the world stands */
    bool odd, needs_still;
    uint32_t seen, explored, limit, announced;
    uint32_t looked;  /* objects and items looked at: for who reads the clock, who clears it */
    int64_t credit;   /* objects that walks may explore beyond their limits: short walks earn it */
    uint64_t missing; /* counts of explored objects that nothing explored accounts for */
    uint32_t memo[MID_MEMO]; /* of walks before this one: index * 2 + whether it is proposed; else it was met, and nothing came of it */
    mid_walk_node nodes[MID_WALK_MOST * 4];  /* what was seen, in that order */
    uint32_t slots[MID_WALK_MOST * 8];       /* by a hash of the index: 1 + where in `nodes`; limit * 8 are in use */
    uint32_t closed_count, near_count, far_count;
    uint32_t closed[MID_WALK_MOST * 4], near[MID_WALK_MOST * 4], far[MID_WALK_MOST * 4]; /* stacks, of the same */
} mid_walk;

/* Look at no more than `limit` objects (a power of two, MID_WALK_LEAST to MID_WALK_MOST), or further while little is missing and
 * there is credit; and no further when they lack more holders than one each and `slack`. Afterwards nodes[0 .. seen) tell what was
 * seen, until mid_walk_clear; garbage are those explored and not held. */
mid_verdict mid_walk_from(mid_walk *walk, mid_handle suspect, uint32_t limit, uint32_t slack);
/* Prefetch what a walk from here looks at first: the suspect's entry and object should be at hand. */
void mid_walk_prepare(mid_walk *walk, mid_handle suspect);
void mid_walk_clear(mid_walk *walk);

static inline uint32_t *mid_memo_of(mid_walk *walk, uint32_t index)
{
    return &walk->memo[(index * 2654435761u >> 9) % MID_MEMO];
}

#endif
