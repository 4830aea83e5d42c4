/* gc/units.c: what each 64 KiB of the heap's arenas are used for, to be looked at from outside (service.h).
 *
 * Descriptors are copied with `memory` held, one arena at a time: 255 lines of a cache, some microseconds. */
#include "gc/heap.h"

_Static_assert(MID_UNITS == MID_UNITS_PER_ARENA, "service.h says how many, for those who do not see alloc.h");

static mid_unit_use use_of(const mid_pool *pool)
{
    switch (pool->state) {
    case MID_UNIT_FREE:
        return MID_UNIT_UNUSED;
    case MID_UNIT_REGION:
        return MID_UNIT_RUNS;
    case MID_UNIT_SPAN:
        return MID_UNIT_LARGE;
    case MID_POOL_EMPTY:
        return MID_UNIT_EMPTY;
    case MID_POOL_OWNED:
        return MID_UNIT_OWNED;
    default:
        return pool->live == pool->slots ? MID_UNIT_FULL : MID_UNIT_PARTLY;
    }
}

/* Units that are no pools have descriptors that say nothing, or what was true of the last pool. */
static mid_unit unit_of(const mid_alloc *a, const mid_pool *pool)
{
    mid_unit unit = {.use = (uint8_t)use_of(pool)};
    if (unit.use >= MID_UNIT_EMPTY && unit.use <= MID_UNIT_OWNED) {
        unit.size_class = pool->size_class;
        unit.live = pool->live;
        unit.slots = pool->slots;
        unit.pins = pool->pins;
        unit.age = a->taken - pool->taken;
    }
    return unit;
}

bool mid_service_units(mid_heap *heap, mid_units *into)
{
    mid_lock(heap);
    char *at = mid_arena_above(&heap->alloc, (const char *)into->at);
    const mid_pool *pools = (const mid_pool *)at;
    into->table = (uintptr_t)heap->table;
    into->table_size = heap->table_reserved;
    if (at != NULL) {
        into->at = (uintptr_t)at;
        into->units[0] = (mid_unit){.use = MID_UNIT_UNUSED};
        for (unsigned i = 1; i < MID_UNITS; i++)
            into->units[i] = unit_of(&heap->alloc, pools + i);
    }
    mid_unlock(heap);
    return at != NULL;
}
