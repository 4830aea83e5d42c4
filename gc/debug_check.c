/* gc/debug_check.c: everything of a debug heap looked at while the world stands; and what was lately in use, at safepoints. */
#include <stdio.h>

#include "gc/count.h"
#include "gc/debug.h"

#define SLOTS_MOST 256u /* an object with more is looked at when all is */

static void verify_one(mid_heap *heap, uint32_t index, const char *call)
{
    const mid_entry *entry = heap->table + index;
    if (mid_entry_live(entry)) {
        mid_debug_fence_whole(heap, index * 2, call);
        mid_debug_slots_whole(heap, index * 2, call);
    } else {
        mid_debug_freed_whole(heap, index * 2, call);
    }
}

/* In a forked child what lost threads had in their hands contradicts itself. */
uint64_t mid_debug_verify(mid_heap *heap, const char *call)
{
    uint64_t before = __atomic_load_n(&heap->watch->faults, __ATOMIC_RELAXED);
    if (heap->any_lost)
        return 0;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++)
        verify_one(heap, i, call);
    mid_debug_blocks_verify(heap, call);
    if (heap->watch->doubtful)
        mid_debug_recount(heap);
    return __atomic_load_n(&heap->watch->faults, __ATOMIC_RELAXED) - before;
}

void mid_debug_still_begin(mid_heap *heap)
{
    if (heap->watch->still == 0) {
        mid_debug_verify(heap, "a compaction");
        for (uint32_t i = heap->first_index; i < heap->next_index; i++)
            mid_debug_unseal(heap, i * 2);
    }
    heap->watch->still++;
}

/* What has moved has taken its fence along, and left a slot that is free. Slots that were rewritten for new numbers are as they
 * should be: all was verified before. */
void mid_debug_still_end(mid_heap *heap)
{
    if (--heap->watch->still != 0)
        return;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        mid_debug_seal(heap, i * 2, !heap->any_lost);
        if (mid_entry_live(heap->table + i))
            mid_debug_resum(heap, i * 2);
    }
}

uint64_t mid_debug_deadline(const mid_heap *heap, uint64_t deadline, uint64_t budget)
{
    if (!heap->debug || deadline == 0)
        return deadline;
    if (budget > deadline) /* it was over before */
        budget = 0;
    uint64_t now = mid_clock_micros(), looked = now - (deadline - budget);
    return now + (looked > budget ? looked : budget);
}

void mid_debug_lift(mid_heap *heap)
{
    if (heap->watch == NULL || heap->table == NULL)
        return;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++)
        mid_debug_unseal(heap, i * 2);
    mid_debug_blocks_lift(heap);
}

mid_status mid_debug_check(mid_heap *heap)
{
    if (heap == NULL)
        return MID_ENULL;
    if (!heap->debug)
        return MID_EINVAL;
    if (mid_busy(heap))
        return MID_EBUSY;
    bool stopped;
    mid_status status = mid_look_begin(heap, &stopped);
    if (status != MID_OK)
        return status;
    uint64_t found = mid_debug_verify(heap, "mid_debug_check");
    mid_look_end(heap, stopped);
    return found == 0 ? MID_OK : MID_ECORRUPT;
}

/* --- at safepoints ------------------------------------------------------------------------------------------------------- */

static bool is_alone(const mid_heap *heap)
{
    return __atomic_load_n(&heap->attached, __ATOMIC_ACQUIRE) == 1;
}

/* With `stores` held. A thread writes only where it has asked for the address. Others may be storing, but not while this one is
 * the only one. */
static void verify_lately(mid_heap *heap, const char *call)
{
    mid_debug *w = heap->watch;
    mid_lock(heap);
    for (unsigned i = 0; i < w->lately_count; i++) {
        mid_handle handle = w->lately[i];
        const mid_entry *entry = mid_entry_at(heap, handle);
        if (!mid_in_table(heap, handle) || !mid_entry_live(entry))
            continue;
        mid_debug_fence_whole(heap, handle, call);
        if (is_alone(heap) && mid_debug_slot_count(mid_type_of_entry(heap, entry), mid_address(entry)) <= SLOTS_MOST)
            mid_debug_slots_whole(heap, handle, call);
    }
    mid_unlock(heap);
    w->lately_count = 0;
}

void mid_debug_lately(mid_heap *heap, mid_handle handle)
{
    mid_debug *w = heap->watch;
    pthread_mutex_lock(&w->stores);
    unsigned i = 0;
    while (i < w->lately_count && w->lately[i] != handle)
        i++;
    if (i == MID_LATELY) {
        verify_lately(heap, "mid_get");
        i = 0;
    }
    if (i == w->lately_count)
        w->lately[w->lately_count++] = handle;
    pthread_mutex_unlock(&w->stores);
}

void mid_debug_point(mid_impl *me, const char *call)
{
    mid_heap *heap = me->heap;
    if (mid_midway(me))
        return;
    pthread_mutex_lock(&heap->watch->stores);
    verify_lately(heap, call);
    pthread_mutex_unlock(&heap->watch->stores);
    uint32_t point = __atomic_add_fetch(&heap->watch->points, 1, __ATOMIC_RELAXED);
    if (heap->options.debug_check != 0 && point % heap->options.debug_check == 0)
        (void)mid_debug_check(heap);
    if (heap->options.debug_move != 0 && point % heap->options.debug_move == 0)
        mid_debug_move(me);
}
