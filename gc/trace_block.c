/* gc/trace_block.c: blocks of the domains raw and mem, while tracing is on.
 *
 * The calls of both go by the table of allocators, and are asked there; but for the fast paths of mem, which ask only whether an
 * allocator is set. So while tracing is on one is: the domain's own. Nothing is asked besides, and while it is off nothing is paid. */
#include "gc/heap.h"

void mid_trace_blocks_begin(mid_heap *heap)
{
    if (heap->domains.set[MID_DOMAIN_MEM] == NULL)
        __atomic_store_n(&heap->domains.set[MID_DOMAIN_MEM], &mid_mem_marked, __ATOMIC_RELEASE);
}

void mid_trace_blocks_end(mid_heap *heap)
{
    if (heap->domains.set[MID_DOMAIN_MEM] == &mid_mem_marked)
        __atomic_store_n(&heap->domains.set[MID_DOMAIN_MEM], NULL, __ATOMIC_RELEASE);
    /* a debug heap's stays what it is */
}

void mid_trace_block_made(mid_impl *me, mid_heap *heap, mid_trace_domain domain, uintptr_t at, size_t bytes, const void *from)
{
    if (MID_READ_(heap->trace.on) && at >> 48 == 0)
        (void)mid_trace_track_from(me, heap, domain, at, bytes, from); /* without memory for it: counted as missed */
}

uint64_t mid_trace_block_lift(mid_heap *heap, mid_trace_domain domain, uintptr_t at)
{
    uint64_t what = 0;
    if (at == 0 || at >> 48 != 0 || MID_READ_(heap->trace.known[domain]) == 0)
        return 0;
    mid_lock(heap);
    const mid_trace_cell *cell = heap->trace.on ? mid_trace_find(&heap->trace, domain, at) : NULL;
    if (cell != NULL) {
        what = cell->what;
        mid_trace_leave(heap, domain, at);
    }
    mid_unlock(heap);
    return what;
}

void mid_trace_block_freed(mid_heap *heap, mid_trace_domain domain, uintptr_t at)
{
    (void)mid_trace_block_lift(heap, domain, at);
}

void mid_trace_block_moved(mid_impl *me, mid_heap *heap, mid_trace_domain domain, uintptr_t at, uint64_t lifted, uintptr_t to, size_t bytes,
                           const void *from)
{
    if (to != 0 && to != at) {
        mid_trace_block_made(me, heap, domain, to, bytes, from);
    } else if (lifted != 0) {
        mid_lock(heap);
        if (heap->trace.on)
            mid_trace_restore(heap, domain, at, lifted, to == 0 ? lifted >> MID_TRACE_GROUP_BITS : bytes);
        mid_unlock(heap);
    }
}
