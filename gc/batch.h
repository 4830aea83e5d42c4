/* gc/batch.h: frees that fall into one pool one after another, as they mostly do, put on its chain together.
 * With `memory` held from the first to the flush. */
#ifndef MID_GC_BATCH_H
#define MID_GC_BATCH_H

#include "gc/heap.h"

typedef struct mid_batch {
    mid_pool *pool;
    uintptr_t unit; /* address / size of a pool */
    mid_handle chain;
    uint32_t count;
} mid_batch;

static inline __attribute__((always_inline)) void mid_batch_flush(mid_impl *me, const mid_batch *batch)
{
    mid_pool *pool = batch->pool;
    if (pool == NULL)
        return;
    pool->chain = batch->chain;
    me->heap->alloc.classes[pool->size_class].freed += batch->count;
    pool->live = (uint16_t)(pool->live - batch->count);
    if (pool->live < pool->low)
        mid_slots_fell(me, pool);
}

static inline __attribute__((always_inline)) void mid_batch_add(mid_impl *me, mid_batch *batch, mid_handle handle,
                                                                mid_entry *entry)
{
    const void *object = mid_address(entry);
    uintptr_t unit = (uintptr_t)object >> me->heap->alloc.pool_shift;
    if (unit != batch->unit) {
        mid_batch_flush(me, batch);
        mid_pool *pool = mid_pool_in(&me->heap->alloc, object);
        *batch = (mid_batch){pool, unit, pool->chain, 0};
    }
    MID_WRITE_(entry->count, 0);
    MID_WRITE_(entry->shared, batch->chain);
    batch->chain = handle;
    batch->count++;
}

#endif
