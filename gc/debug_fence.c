/* gc/debug_fence.c: patterns in memory that is nobody's, and whether they are still there.
 *
 * A slot of a debug heap has MID_FENCE bytes more than its object needs, or what its class leaves over; they bear
 * MID_FILL_FENCE. A free slot bears MID_FILL_FREED from its beginning to its end. Both are out of bounds to a program: what is
 * written there is told when the object dies, is resized or moved, when the slot is used again, and whenever all is checked
 * (as CPython's debug hooks do for each block). Both patterns are odd, so that whoever takes them for handles finds integers. */
#include <stdio.h>
#include <string.h>

#include "gc/addressable.h"
#include "gc/debug.h"

static void forbid(const mid_heap *heap, const char *at, size_t size)
{
    if (heap->watch->still == 0)
        mid_unaddressable(at, size);
}

static size_t slot_size(const mid_heap *heap, const char *at)
{
    return heap->alloc.classes[mid_pool_of(at)->size_class].slot_size;
}

/* The bytes from the end of an object to the end of what it has. */
static size_t fence_of(const mid_heap *heap, const mid_entry *entry, char **at)
{
    char *object = mid_address(entry);
    size_t size = mid_object_size(mid_type_of_entry(heap, entry), object);
    *at = object + size;
    return MID_READ_(entry->word) & MID_F_LARGE ? MID_FENCE : slot_size(heap, object) - size;
}

/* The first and the last byte that is not `fill`. False: all are. */
bool mid_debug_differs(const char *at, size_t size, unsigned char fill, size_t *first, size_t *last)
{
    const unsigned char *bytes = (const unsigned char *)at;
    size_t n = 0;
    if (size == 0 || (bytes[0] == fill && memcmp(at, at + 1, size - 1) == 0)) /* each is as the one before */
        return false;
    while (n < size && bytes[n] == fill)
        n++;
    *first = n;
    for (*last = size - 1; bytes[*last] == fill;)
        --*last;
    return true;
}

/* What has the slot behind that of an object; 0: nothing. */
static mid_handle behind(const mid_heap *heap, const mid_entry *entry)
{
    char *at = mid_address(entry);
    if (MID_READ_(entry->word) & MID_F_LARGE)
        return 0;
    mid_pool *pool = mid_pool_of(at);
    unsigned slot = mid_slot_of(&heap->alloc.classes[pool->size_class], mid_pool_base(pool), at) + 1;
    return slot < pool->bound ? mid_pool_name(pool, slot) : 0;
}

bool mid_debug_fence_whole(mid_heap *heap, mid_handle handle, const char *call)
{
    const mid_entry *entry = mid_entry_at(heap, handle);
    char *at, names[2][128];
    size_t size = fence_of(heap, entry, &at), first, last;
    mid_addressable(at, size);
    bool whole = !mid_debug_differs(at, size, MID_FILL_FENCE, &first, &last);
    if (!whole) {
        size_t end = (size_t)(at - (char *)mid_address(entry));
        mid_handle next = behind(heap, entry);
        memset(at, MID_FILL_FENCE, size);
        mid_fault_name(heap, handle, names[0], sizeof names[0]);
        if (next == 0 || last + 1 != size)
            MID_FAULT(heap, MID_MISUSE_OVERFLOW, call, handle, next, "bytes %zu to %zu of %s were written, beyond its end", end + first,
                      end + last, names[0]);
        else
            MID_FAULT(heap, first == 0 ? MID_MISUSE_OVERFLOW : MID_MISUSE_UNDERFLOW, call, handle, next,
                      "bytes %zu to %zu of %s were written, beyond its end, or before the beginning of %s, which lies behind it",
                      end + first, end + last, names[0], mid_fault_name(heap, next, names[1], sizeof names[1]));
    }
    forbid(heap, at, size);
    return whole;
}

bool mid_debug_freed_whole(mid_heap *heap, mid_handle handle, const char *call)
{
    mid_site *site = mid_site_of(heap, handle);
    char *at = mid_address(mid_entry_at(heap, handle)), name[128];
    if (!site->filled || at == NULL)
        return true;
    size_t size = slot_size(heap, at), first, last;
    mid_addressable(at, size);
    bool whole = !mid_debug_differs(at, size, MID_FILL_FREED, &first, &last);
    if (!whole) {
        memset(at, MID_FILL_FREED, size);
        if (site->was != 0)
            MID_FAULT(heap, MID_MISUSE_STALE_ADDRESS, call, site->was, handle,
                      "bytes %zu to %zu were written where %s was until a safepoint moved it", first, last,
                      mid_fault_name(heap, site->was, name, sizeof name));
        else
            MID_FAULT(heap, MID_MISUSE_WRITE_AFTER_FREE, call, handle, 0, "bytes %zu to %zu of %s were written after it was freed", first,
                      last, mid_fault_name(heap, handle, name, sizeof name));
    }
    forbid(heap, at, size);
    return whole;
}

void mid_debug_taken(mid_heap *heap, mid_handle handle)
{
    mid_site *site = mid_site_of(heap, handle);
    char *at = mid_address(mid_entry_at(heap, handle));
    mid_lock(heap);
    mid_debug_freed_whole(heap, handle, "an allocation");
    mid_addressable(at, slot_size(heap, at));
    site->filled = false;
    site->was = 0;
    mid_unlock(heap);
}

void mid_debug_made(mid_impl *me, mid_handle made, const mid_type_info *type, size_t size, const void *from)
{
    mid_heap *heap = me->heap;
    const mid_entry *entry = mid_entry_at(heap, made);
    if (!(MID_READ_(entry->word) & MID_F_LARGE))
        mid_debug_taken(heap, made);
    if (type->uncleared) {
        memset(mid_address(entry), MID_FILL_FRESH, size);
        mid_unwritten(mid_address(entry), size);
        memset(mid_address(entry), 0, MID_READ_(entry->word) & MID_F_LARGE ? mid_cleared(type, size) : 0);
    }
    *mid_site_of(heap, made) = (mid_site){
        .size = size,
        .made = mid_debug_stack(heap, me->called_from != NULL ? me->called_from : from),
        .made_by = (uint16_t)me->id,
        .state = MID_SITE_LIVE,
    };
}

void mid_debug_fence(mid_heap *heap, char *object, size_t size, size_t room)
{
    size_t fence = room > heap->alloc.pooled_max ? MID_FENCE : slot_size(heap, object) - size;
    mid_addressable(object + size, fence);
    memset(object + size, MID_FILL_FENCE, fence);
    forbid(heap, object + size, fence);
}

/* What a resize leaves, or a move, was never an object under this name. */
void mid_debug_vacated(mid_impl *me, mid_handle handle)
{
    mid_heap *heap = me->heap;
    char *at = mid_address(mid_entry_at(heap, handle));
    mid_site *site = mid_site_of(heap, handle);
    if (site->state != MID_SITE_SETTLED) {
        site->gone = mid_debug_stack(heap, me->called_from);
        site->gone_by = (uint16_t)me->id;
    }
    mid_lock(heap);
    size_t size = slot_size(heap, at);
    mid_addressable(at, size);
    memset(at, MID_FILL_FREED, size);
    site->filled = true;
    forbid(heap, at, size);
    mid_unlock(heap);
}

void mid_debug_spoil(char *at, size_t size)
{
    mid_addressable(at, size);
    if (size <= MID_RUN_MAX) /* a mapping goes, a run may wait for the next */
        memset(at, MID_FILL_FREED, size);
}

void mid_debug_unbound(mid_heap *heap, mid_pool *pool)
{
    for (unsigned slot = 0; slot < pool->bound; slot++) {
        mid_handle name = mid_pool_name(pool, slot);
        char *at = mid_address(mid_entry_at(heap, name));
        if (heap->watch->still == 0) /* all was looked at, and names have other slots since */
            mid_debug_freed_whole(heap, name, "giving memory back");
        mid_addressable(at, slot_size(heap, at));
    }
}

void mid_debug_unnamed(mid_heap *heap, mid_handle handle)
{
    mid_site *site = mid_site_of(heap, handle);
    site->filled = false;
    site->was = 0;
}

void mid_debug_resizes(mid_heap *heap, mid_handle handle)
{
    mid_debug_slots_whole(heap, handle, "mid_resize");
    mid_debug_fence_whole(heap, handle, "mid_resize");
    mid_debug_unseal(heap, handle);
}

void mid_debug_resized(mid_heap *heap, mid_handle handle, size_t old_size)
{
    const mid_entry *entry = mid_entry_at(heap, handle);
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    char *at = mid_address(entry);
    size_t size = mid_object_size(type, at);
    if (size > old_size && type->uncleared)
        memset(at + old_size, MID_FILL_FRESH, size - old_size);
    else if (size > old_size && MID_READ_(entry->word) & MID_F_LARGE) /* the fence came along */
        memset(at + old_size, 0, size - old_size < MID_FENCE ? size - old_size : MID_FENCE);
    mid_debug_fence(heap, at, size, size + MID_FENCE);
    mid_site_of(heap, handle)->size = size;
    mid_debug_resum(heap, handle);
}

void mid_debug_unseal(mid_heap *heap, mid_handle handle)
{
    const mid_entry *entry = mid_entry_at(heap, handle);
    char *at;
    size_t size;
    if (mid_entry_live(entry)) {
        size = fence_of(heap, entry, &at);
        mid_addressable(at, size);
    } else if (mid_site_of(heap, handle)->filled || (MID_READ_(entry->count) == MID_DYING_ && !(MID_READ_(entry->word) & MID_F_LARGE))) {
        at = mid_address(entry); /* what dies still has its fence */
        mid_addressable(at, slot_size(heap, at));
    }
}

void mid_debug_seal(mid_heap *heap, mid_handle handle, bool refill)
{
    const mid_entry *entry = mid_entry_at(heap, handle);
    mid_site *site = mid_site_of(heap, handle);
    char *at = mid_address(entry);
    if (mid_entry_live(entry)) {
        size_t size = fence_of(heap, entry, &at);
        forbid(heap, at, size);
        return;
    }
    if (at == NULL || (entry->count != 0 && !site->filled))
        return; /* no slot, or what is there dies, and is needed */
    if (entry->count == 0) { /* a move has left it, perhaps, and another name stood there before */
        site->filled = refill;
        site->was = 0;
        if (refill)
            memset(at, MID_FILL_FREED, slot_size(heap, at));
    }
    if (site->filled)
        forbid(heap, at, slot_size(heap, at));
}
