/* gc/pack.c: what large blocks are, for the allocator that packs them (alloc/pack.c). */
#include "gc/plan.h"
#include "gc/refs.h"

size_t mid_run_size(void *owner, uint32_t name, const void *at, bool *stays)
{
    mid_heap *heap = owner;
    const mid_entry *entry = mid_entry_at(heap, name);
    *stays = (entry->word & MID_F_PINNED) != 0;
    return mid_address(entry) == at ? mid_object_size(mid_type_of_entry(heap, entry), at) : 0;
}

void mid_run_moved(void *owner, uint32_t name, void *to)
{
    mid_entry *entry = mid_entry_at(owner, name);
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to);
}

/* A lost thread may have been making one. */
bool mid_pack_runs(mid_heap *heap, mid_plan *plan, uint64_t deadline)
{
    size_t bytes;
    if (heap->any_lost)
        return true;
    while ((bytes = mid_runs_pack(&heap->alloc)) != 0) {
        plan->result.moved_runs++;
        plan->result.moved_run_bytes += bytes;
        if (deadline != 0 && mid_clock_micros() >= deadline)
            return false;
    }
    return true;
}
