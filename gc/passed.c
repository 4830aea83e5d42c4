/* gc/passed.c: what a pass of compaction has done, what it could have done, and why a sparse pool was left. */
#include "gc/plan.h"

uint64_t mid_pools_needed(const mid_heap *heap, unsigned size_class)
{
    uint64_t live = mid_live_slots(heap, size_class), slots = heap->alloc.classes[size_class].slots;
    return (live + slots - 1) / slots;
}

static void add_up(mid_heap *heap, uint64_t *pools, uint64_t *best)
{
    *pools = *best = 0;
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        *pools += heap->alloc.classes[i].pools;
        *best += mid_pools_needed(heap, i);
    }
}

void mid_passed_nothing(mid_heap *heap, mid_compact_result *result)
{
    *result = (mid_compact_result){.arenas_before = heap->alloc.arena_count};
    add_up(heap, &result->pools_before, &result->pools_optimal);
    mid_runs_count(&heap->alloc, &result->regions_before, &result->regions_optimal);
    result->pools_after = result->pools_before;
    result->regions_after = result->regions_before;
}

void mid_passed_begin(mid_heap *heap, mid_plan *plan)
{
    plan->result = (mid_compact_result){0};
    add_up(heap, &plan->result.pools_before, &plan->result.pools_optimal);
    mid_runs_count(&heap->alloc, &plan->result.regions_before, &plan->result.regions_optimal);
    plan->result.arenas_before = plan->result.arenas_after = heap->alloc.arena_count;
}

/* Once in a pass: a class that is planned again, for an arena has gone, has moved something since. */
void mid_passed_least(mid_heap *heap, mid_plan *plan, uint64_t bytes)
{
    if (plan->begun)
        return;
    plan->begun = true;
    plan->classes[plan->size_class] = (mid_class_pass){
        .pools_before = heap->alloc.classes[plan->size_class].pools,
        .pools_optimal = mid_pools_needed(heap, plan->size_class),
        .least_bytes = bytes,
    };
    plan->result.least_bytes += bytes;
}

static mid_left_reason reason(const mid_plan *plan, const mid_pool *pool, uint64_t pools)
{
    if (pools <= plan->need)
        return MID_LEFT_GAIN;
    if (pool->pins != 0)
        return MID_LEFT_PINNED;
    return plan->refused ? MID_LEFT_ROOM : pools <= plan->keep ? MID_LEFT_GAIN : MID_LEFT_CHANGED;
}

/* Of a class at its optimum fewer pools than slots in one have free slots, so the look at them is short. */
void mid_passed_class(mid_heap *heap, mid_plan *plan)
{
    const mid_class *c = &heap->alloc.classes[plan->size_class];
    mid_class_pass *pass = &plan->classes[plan->size_class];
    uint64_t before = plan->result.left[MID_LEFT_PINNED];
    for (const mid_pool *pool = c->list[MID_POOL_OWNED]; pool != NULL; pool = pool->next)
        pass->left[MID_LEFT_LOST]++;
    for (unsigned list = 0; list < MID_POOL_FULL; list++)
        for (const mid_pool *pool = c->list[list]; pool != NULL; pool = pool->next)
            pass->left[reason(plan, pool, c->pools - c->frozen - pass->left[MID_LEFT_LOST])]++;
    for (unsigned i = 0; i < MID_LEFT_COUNT; i++)
        plan->result.left[i] += pass->left[i];
    plan->result.pools_pinned += plan->result.left[MID_LEFT_PINNED] - before;
    pass->pools_after = c->pools;
}

void mid_passed_end(mid_heap *heap, mid_plan *plan)
{
    add_up(heap, &plan->result.pools_after, &plan->result.pools_optimal);
    mid_runs_count(&heap->alloc, &plan->result.regions_after, &plan->result.regions_optimal);
    for (unsigned i = plan->size_class; i < MID_CLASSES; i++) {
        uint64_t pools = heap->alloc.classes[i].pools, need = mid_pools_needed(heap, i);
        plan->result.left[MID_LEFT_BUDGET] += pools > need ? pools - need : 0;
    }
}

const char *mid_left_name(mid_left_reason reason)
{
    static const char *const names[] = {
#define MID_X(name, word, text) word,
        MID_LEFT_REASONS(MID_X)
#undef MID_X
    };
    return (unsigned)reason < MID_LEFT_COUNT ? names[reason] : "none";
}

mid_status mid_stats_pass(mid_heap *heap, unsigned size_class, mid_class_pass *pass)
{
    if (heap == NULL || pass == NULL)
        return MID_ENULL;
    if (size_class >= heap->alloc.class_count)
        return MID_EINVAL;
    *pass = (mid_class_pass){0};
    mid_lock(heap);
    if (heap->plan != NULL)
        *pass = heap->plan->classes[size_class];
    mid_unlock(heap);
    return MID_OK;
}
