/* gc/reclaim.c: all that can be done for memory, while the world stands. mid_reclaim, which calls this, is in work.c.
 *
 * A heap that is full to its hard limit has no room to find out what of it is garbage: marks take 4 bytes an entry, the list of
 * garbage that waits for its finalizers as much, the plan of a compaction 8 bytes a pool. Nothing that could be given up first
 * is sure to be there: the reserve has gone to the last allocation. So what is for this use alone is obtained beyond the limit,
 * up to that much and charged like everything else. Marks and plan are given back before the world goes on; the list when the
 * finalizers have run. What lasts (table, pools) never comes out of it. */
#include "gc/heap.h"

/* Returns the limit, to be put back. */
static uint64_t overdraw(mid_heap *heap, uint64_t bytes)
{
    uint64_t limit = heap->alloc.limit;
    if (limit != 0)
        heap->alloc.limit = limit < UINT64_MAX - bytes ? limit + bytes : UINT64_MAX;
    return limit;
}

mid_status mid_collect_overdrawn(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_collect_result result;
    mid_settle(me); /* whose messages need memory that lasts */
    mid_array_free(&heap->alloc, &heap->marks); /* they would be more than doubled */
    if (heap->condemned_count == 0)
        mid_array_free(&heap->alloc, &heap->condemned);
    uint64_t arrays = 2 * mid_round((size_t)heap->next_index * sizeof(uint32_t), MID_PAGE);
    uint64_t limit = overdraw(heap, arrays);
    mid_status status = mid_cycles_collect(me, &result);
    mid_array_free(&heap->alloc, &heap->marks);
    heap->alloc.limit = limit;
    return status;
}

static void evacuate(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_compact_result result;
    uint64_t pools = heap->alloc.used_pools + heap->alloc.empty_pools;
    uint64_t limit = overdraw(heap, (pools + 1) * sizeof(mid_pool *) + mid_round(heap->alloc.pool_size / 2, 64u << 10));
    mid_status status = mid_compact_ready(heap);
    heap->alloc.limit = limit;
    if (status == MID_OK)
        mid_compact_run(me, 0, &result);
    mid_compact_forget(heap);
}

void mid_squeeze(mid_impl *me)
{
    mid_heap *heap = me->heap;
    uint64_t returned;
    mid_settle(me);
    mid_quarantine_flush(me);
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_impl *impl = heap->threads[id];
        if (mid_lost(impl))
            continue;
        mid_caches_flush(impl);
        mid_mem_flush(impl);
        if (!mid_has_news(impl))
            mid_array_free(&heap->alloc, &impl->inbox);
    }
    mid_trim_run(heap, 0, 0, &returned); /* first, so that a system which is short itself has pages for the plan */
    evacuate(me);
    mid_trim_run(heap, 0, 0, &returned);
    mid_gather_run(heap, 0, &(uint64_t){0});
}
