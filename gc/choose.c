/* gc/choose.c: which pools of a class stay when it is compacted, and in which order the others are emptied.
 *
 * As many stay whatever the order: those with a pinned object, and of the others so many that there is a slot for all that lives.
 * What is moved is all that lives outside them, so the fullest are the best choice. The other orders (option `evacuate`) are for
 * comparison: by address, and the order in which allocation takes pools, which knows how full they are to an eighth. */
#include <string.h>

#include "gc/plan.h"

static size_t sums_bytes(const mid_class *c)
{
    return ((size_t)c->slots + 3) * sizeof(uint32_t);
}

size_t mid_choice_bytes(const mid_class *c)
{
    return c->pools * sizeof(mid_pool *) + sums_bytes(c);
}

/* Its place in the order: pools that must stay come before full ones. */
static unsigned place(const mid_pool *pool)
{
    return pool->pins != 0 ? 0 : pool->slots + 1u - pool->live;
}

/* The class's pools, those with a pinned object first, the others by falling live count, in time linear in them. Not those
 * that a lost thread owns (fork.c). Returns how many have something pinned. */
static uint32_t sort_pools(const mid_class *c, mid_plan *plan, mid_pool **pools)
{
    uint32_t *before = (uint32_t *)(pools + c->pools); /* before[n]: pools with a place below n */
    uint64_t live = 0;
    memset(before, 0, sums_bytes(c));
    for (unsigned list = 0; list <= MID_POOL_FULL; list++)
        for (mid_pool *pool = c->list[list]; pool != NULL; pool = pool->next) {
            before[place(pool) + 1]++;
            live += pool->live;
        }
    uint32_t pinned = before[1];
    for (unsigned n = 1; n <= c->slots + 2; n++)
        before[n] += before[n - 1];
    for (unsigned list = 0; list <= MID_POOL_FULL; list++)
        for (mid_pool *pool = c->list[list]; pool != NULL; pool = pool->next)
            pools[before[place(pool)]++] = pool;
    plan->hi = before[c->slots + 1];
    plan->need = (uint32_t)((live + c->slots - 1) / c->slots);
    return pinned;
}

/* Descriptors lie as their pools do. A heap of pointers: it needs no memory, and n log n steps. */
static void sink(mid_pool **pools, uint32_t at, uint32_t count)
{
    mid_pool *sinking = pools[at];
    for (uint32_t below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && pools[below + 1] > pools[below])
            below++;
        if (pools[below] <= sinking)
            break;
        pools[at] = pools[below];
    }
    pools[at] = sinking;
}

static void by_address(mid_pool **pools, uint32_t count)
{
    for (uint32_t at = count / 2; at-- != 0;)
        sink(pools, at, count);
    while (count > 1) {
        mid_pool *highest = pools[0];
        pools[0] = pools[--count];
        pools[count] = highest;
        sink(pools, 0, count);
    }
}

static void as_allocation_takes(const mid_class *c, mid_pool **pools)
{
    for (int list = MID_POOL_FULL; list >= 0; list--)
        for (mid_pool *pool = c->list[list]; pool != NULL; pool = pool->next)
            if (pool->pins == 0)
                *pools++ = pool;
}

uint64_t mid_choose(mid_heap *heap, mid_plan *plan)
{
    const mid_class *c = &heap->alloc.classes[plan->size_class];
    mid_pool **pools = mid_plan_pools(heap);
    uint64_t least = 0;
    uint32_t pinned = sort_pools(c, plan, pools);
    plan->keep = pinned > plan->need ? pinned : plan->need;
    for (uint32_t i = plan->keep; i < plan->hi; i++)
        least += (uint64_t)pools[i]->live * c->slot_size;
    if (heap->options.evacuate == MID_EVACUATE_ADDRESS)
        by_address(pools + pinned, plan->hi - pinned);
    else if (heap->options.evacuate == MID_EVACUATE_FIRST)
        as_allocation_takes(c, pools + pinned);
    return least;
}
