/* gc/pressure.c: what the program says of pressure, kept for the service. */
#include "gc/heap.h"
#include "midden/pressure.h"

#define LEVEL_BITS 2u

/* One word, so that the service sees which level was said, and that it was said again. */
mid_status mid_pressure(mid_heap *heap, mid_pressure_level level)
{
    if (heap == NULL)
        return MID_ENULL;
    if ((unsigned)level > MID_PRESSURE_EVERYTHING)
        return MID_EINVAL;
    uint64_t said = __atomic_load_n(&heap->pressure, __ATOMIC_RELAXED), next;
    do
        next = (((said >> LEVEL_BITS) + 1) << LEVEL_BITS) | (uint64_t)level;
    while (!__atomic_compare_exchange_n(&heap->pressure, &said, next, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    mid_kick(heap);
    return MID_OK;
}

mid_pressure_level mid_service_pressure(mid_heap *heap, uint64_t *times)
{
    uint64_t said = __atomic_load_n(&heap->pressure, __ATOMIC_ACQUIRE);
    *times = said >> LEVEL_BITS;
    return (mid_pressure_level)(said & ((1u << LEVEL_BITS) - 1));
}
