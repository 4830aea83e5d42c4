/* gc/plan.h: a pass of compaction under way; compact.c moves, passed.c keeps account. */
#ifndef MID_GC_PLAN_H
#define MID_GC_PLAN_H

#include "gc/heap.h"

struct mid_plan {
    bool under_way;
    unsigned size_class;         /* being worked on; MID_CLASSES: page runs are */
    bool begun, planned;         /* that class: looked at in this pass; has a plan that is good */
    bool refused;                /* it went without memory for its plan, or without a handle for a slot */
    uint32_t need, keep;         /* pools for what lives; that stay */
    uint32_t lo, hi;             /* destinations from lo up, sources from hi - 1 down */
    uint32_t arenas_released;    /* descriptors in the plan are good while this stands */
    unsigned slot;               /* next slot of the source */
    const mid_pool *expected;    /* the destination whose entries were asked for */
    mid_compact_result result;
    mid_class_pass classes[MID_CLASSES];
};

static inline mid_pool **mid_plan_pools(mid_heap *heap)
{
    return heap->plan_memory.data;
}

static inline bool mid_is_source(const mid_plan *plan, const mid_pool *pool)
{
    return pool->size_class == plan->size_class && pool->state <= MID_POOL_FULL && pool->pins == 0;
}

/* --- choose.c: the pools of the class in the order in which they stay, with memory for it; `need`, `keep` and `hi` of the plan.
 * Returns the bytes that have to be moved at least. */
size_t mid_choice_bytes(const mid_class *c);
uint64_t mid_choose(mid_heap *heap, mid_plan *plan);

/* --- evacuate.c */
void mid_pool_refile(mid_heap *heap, mid_pool *pool); /* its live count has changed */
mid_pool *mid_destination(mid_heap *heap, mid_plan *plan); /* the next with a free slot that has an entry; null: none is left */
/* Fill `to` from the source. False: the clock says stop. */
bool mid_evacuate(mid_heap *heap, mid_plan *plan, mid_pool *from, mid_pool *to, uint64_t deadline);

bool mid_pack_runs(mid_heap *heap, mid_plan *plan, uint64_t deadline); /* pack.c; false: the clock says stop */

uint64_t mid_pools_needed(const mid_heap *heap, unsigned size_class);
void mid_passed_begin(mid_heap *heap, mid_plan *plan);    /* the slice */
void mid_passed_least(mid_heap *heap, mid_plan *plan, uint64_t bytes); /* the class was looked at */
void mid_passed_class(mid_heap *heap, mid_plan *plan);    /* it is done */
void mid_passed_end(mid_heap *heap, mid_plan *plan);      /* the slice */

#endif
