/* gc/pin.c: pins, counted beside the table: few objects are pinned at a time, and an entry has no room to spare. */
#include "gc/heap.h"

static void mark(mid_entry *entry, bool pinned)
{
    entry->word = pinned ? entry->word | MID_F_PINNED : entry->word & ~MID_F_PINNED;
    if (!(entry->word & MID_F_LARGE))
        mid_pool_of(mid_address(entry))->pins += pinned ? 1 : -1;
}

mid_status mid_pin(mid_thread *thread, mid_handle object, void **address)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    uint32_t pins = mid_map_get(&heap->pins, object / 2);
    if (pins == UINT32_MAX)
        return MID_ELIMIT;
    status = mid_map_set(heap, &heap->pins, object / 2, pins + 1);
    if (status != MID_OK)
        return status;
    if (pins == 0)
        mark(entry, true);
    if (address != NULL)
        *address = mid_address(entry);
    return MID_OK;
}

mid_status mid_unpin(mid_thread *thread, mid_handle object)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    uint32_t pins = mid_map_get(&heap->pins, object / 2);
    if (pins == 0)
        return MID_EPINNED;
    if (pins > 1)
        return mid_map_set(heap, &heap->pins, object / 2, pins - 1);
    mid_pin_forget(heap, object, entry);
    return MID_OK;
}

void mid_pin_forget(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    mid_map_remove(&heap->pins, handle / 2);
    mark(entry, false);
}
