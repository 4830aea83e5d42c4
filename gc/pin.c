/* gc/pin.c: pins, counted beside the table: few objects are pinned at a time, and an entry has no room to spare. */
#include "gc/heap.h"

static void mark(mid_entry *entry, bool pinned)
{
    if (pinned)
        __atomic_fetch_or(&entry->word, MID_F_PINNED, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&entry->word, ~MID_F_PINNED, __ATOMIC_RELAXED);
    if (!(entry->word & MID_F_LARGE))
        mid_pool_of(mid_address(entry))->pins += pinned ? 1 : -1;
}

static mid_status pin(mid_heap *heap, mid_handle object, mid_entry *entry)
{
    uint32_t pins = mid_map_get(&heap->pins, object / 2);
    if (pins == UINT32_MAX)
        return MID_ELIMIT;
    mid_status status = mid_map_set(heap, &heap->pins, object / 2, pins + 1);
    if (status == MID_OK && pins == 0)
        mark(entry, true);
    return status;
}

static mid_status unpin(mid_heap *heap, mid_handle object, mid_entry *entry)
{
    uint32_t pins = mid_map_get(&heap->pins, object / 2);
    if (pins == 0)
        return MID_EPINNED;
    if (pins > 1)
        return mid_map_set(heap, &heap->pins, object / 2, pins - 1);
    mid_pin_forget(heap, object, entry);
    return MID_OK;
}

mid_status mid_pin(mid_thread *thread, mid_handle object, void **address)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    status = pin(heap, object, entry);
    mid_unlock(heap);
    if (status == MID_OK && address != NULL)
        *address = mid_address(entry);
    return status;
}

mid_status mid_unpin(mid_thread *thread, mid_handle object)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    status = unpin(heap, object, entry);
    mid_unlock(heap);
    return status;
}

void mid_pin_forget(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    mid_lock(heap);
    mid_map_remove(&heap->pins, handle / 2);
    mark(entry, false);
    mid_unlock(heap);
}
