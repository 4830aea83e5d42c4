/* gc/pack.c: what is moved to empty regions and arenas (alloc/pack.c, alloc/gather.c), and the entries that follow. */
#include "gc/debug.h"
#include "gc/plan.h"
#include "gc/refs.h"

size_t mid_run_size(void *owner, uint32_t name, const void *at, bool *stays)
{
    mid_heap *heap = owner;
    if (name & 1) { /* a block of mem */
        *stays = true;
        return 0;
    }
    const mid_entry *entry = mid_entry_at(heap, name);
    *stays = (entry->word & MID_F_PINNED) != 0 || mid_frozen(entry->count);
    return mid_address(entry) == at ? mid_fenced_size(heap, mid_type_of_entry(heap, entry), at) : 0;
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

/* Each name of the pool has its slot where it was, in another unit. */
static void follow(mid_heap *heap, mid_pool *pool)
{
    const mid_class *c = &heap->alloc.classes[pool->size_class];
    char *base = mid_pool_base(pool);
    for (unsigned slot = 0; slot < pool->bound; slot++) {
        if (slot + 8 < pool->bound)
            __builtin_prefetch(mid_entry_at(heap, mid_pool_name(pool, slot + 8)));
        mid_entry *entry = mid_entry_at(heap, mid_pool_name(pool, slot));
        MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)mid_slot_at(c, base, slot));
    }
}

mid_status mid_gather_run(mid_heap *heap, uint64_t budget_micros, uint64_t *pools)
{
    uint64_t deadline = budget_micros == 0 ? 0 : mid_clock_micros() + budget_micros;
    mid_status status = MID_OK;
    bool unread = mid_moving_begin(heap);
    deadline = mid_debug_deadline(heap, deadline, budget_micros);
    mid_pool *pool;
    *pools = 0;
    mid_pools_gather_begin(&heap->alloc);
    while (status == MID_OK && !heap->any_lost && (pool = mid_pools_gather(&heap->alloc)) != NULL) {
        follow(heap, pool);
        ++*pools;
        if (deadline != 0 && mid_clock_micros() >= deadline)
            status = MID_MORE;
    }
    mid_moving_end(heap, unread);
    return status;
}
