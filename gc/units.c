/* gc/units.c: what each unit of the heap's arenas are used for, to be looked at from outside (service.h).
 *
 * Descriptors are copied with `memory` held, one arena at a time: 255 lines of a cache, or four times that, some microseconds. */
#include <string.h>

#include "gc/heap.h"

_Static_assert(MID_UNITS == MID_UNITS_MOST, "service.h says how many, for those who do not see alloc.h");

static mid_unit_use use_of(const mid_pool *pool)
{
    switch (pool->state) {
    case MID_UNIT_FREE:
        return MID_UNIT_UNUSED;
    case MID_UNIT_REGION:
        return MID_UNIT_RUNS;
    case MID_UNIT_SPAN:
        return MID_UNIT_LARGE;
    case MID_UNIT_BLOCKS:
        return MID_UNIT_MEM;
    case MID_POOL_EMPTY:
        return MID_UNIT_EMPTY;
    case MID_POOL_OWNED:
        return MID_UNIT_OWNED;
    default:
        return pool->live == pool->slots ? MID_UNIT_FULL : MID_UNIT_PARTLY;
    }
}

/* Units that are no pools have descriptors that say nothing, or what was true of the last pool. */
static mid_unit unit_of(const mid_alloc *a, mid_pool *pool)
{
    mid_unit unit = {.use = (uint8_t)use_of(pool)};
    if (unit.use >= MID_UNIT_EMPTY && unit.use <= MID_UNIT_OWNED) {
        unit.size_class = pool->size_class;
        unit.live = pool->live;
        unit.slots = pool->slots;
        unit.pins = pool->pins;
        unit.age = mid_pool_taken(pool) == NULL ? 0 : a->taken - *mid_pool_taken(pool);
    }
    if (unit.use == MID_UNIT_MEM) {
        unit.size_class = pool->size_class;
        unit.live = pool->live;
        unit.slots = pool->slots;
    }
    return unit;
}

bool mid_service_units(mid_heap *heap, mid_units *into)
{
    mid_lock(heap);
    char *at = mid_arena_above(&heap->alloc, (const char *)into->at);
    mid_pool *pools = (mid_pool *)at;
    into->table = (uintptr_t)heap->table;
    into->table_size = heap->table_reserved;
    into->count = heap->alloc.units;
    into->size = heap->alloc.pool_size;
    if (at != NULL) {
        into->at = (uintptr_t)at;
        memset(into->units, 0, heap->alloc.first_unit * sizeof(mid_unit)); /* MID_UNIT_UNUSED */
        for (unsigned i = heap->alloc.first_unit; i < into->count; i++)
            into->units[i] = unit_of(&heap->alloc, pools + i);
    }
    mid_unlock(heap);
    return at != NULL;
}
