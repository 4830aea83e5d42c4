/* gc/shed.c: a large block of references that loses most of them at once.
 *
 * To let go of a million references takes as long as a pause may not. So they are left behind: what stays is copied to a small
 * object of the same type, and the two exchange their memory. The large block has the other's handle then, dies, and what it refers to is
 * released in pieces, as of anything that dies (release.c), and none of it is found under the handle that stays. */
#include <string.h>

#include "gc/count.h"
#include "gc/refs.h"
#include "gc/resize.h"

#define MANY 4096u /* items; fewer take some ten microseconds */

static void forget_slot(void *context, mid_slot *slot)
{
    (void)context;
    MID_WRITE_(slot->bits_, 0);
}

/* What the copy has now: the fixed slots, the first items, the payload. */
static void forget_kept(mid_heap *heap, const mid_type_info *type, char *at, size_t items)
{
    mid_slot *item = (mid_slot *)(at + type->size);
    mid_refs_fixed(heap, type, at, forget_slot, NULL);
    for (size_t i = 0; i < items; i++)
        MID_WRITE_(item[i].bits_, 0);
    if (type->payload_free != NULL)
        *(void **)(at + type->payload_offset) = NULL;
}

/* `small` lives in a slot of a pool. */
static void exchange(mid_heap *heap, mid_handle object, mid_handle small, size_t bytes)
{
    mid_entry *a = mid_entry_at(heap, object), *b = mid_entry_at(heap, small);
    char *block = mid_address(a), *slot = mid_address(b);
    mid_pool *pool = mid_pool_of(slot);
    const mid_class *c = &heap->alloc.classes[pool->size_class];
    mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), slot)] = object;
    mid_large_rename(&heap->alloc, block, bytes, small);
    const uint64_t both = MID_ADDRESS_MASK_ | MID_F_LARGE, difference = (a->word ^ b->word) & both;
    MID_WRITE_(b->word, (b->word ^ difference) | MID_F_FINALIZED); /* it never was one of the program's */
    __atomic_store_n(&a->word, a->word ^ difference, __ATOMIC_RELEASE);
}

bool mid_shed(mid_impl *me, mid_handle object, const mid_type_info *type, size_t items, size_t size)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, object);
    const uint64_t word = MID_READ_(entry->word);
    mid_handle small;
    if (!(word & MID_F_LARGE) || (word & MID_F_PINNED) || size > heap->alloc.pooled_max || !type->items_are_refs || type->trace != NULL ||
        type->immortal || heap->debug || mid_items(type, mid_address(entry)) - items < MANY)
        return false;
    if (mid_make_own(me, (mid_type)(word >> MID_TYPE_SHIFT_), items, &small) != MID_OK)
        return false;
    mid_touch(me, entry, MID_READ_(entry->count)); /* who reads it where it is may come too late */
    mid_lock(heap);
    char *from = mid_address(entry), *to = mid_address(mid_entry_at(heap, small));
    const size_t bytes = mid_object_size(type, from);
    memcpy(to, from, size);
    *(uint32_t *)(to + type->length_offset) = (uint32_t)items;
    forget_kept(heap, type, from, items);
    exchange(heap, object, small, bytes);
    mid_unlock(heap);
    if (MID_UNLIKELY_(heap->trace.on)) {
        mid_trace_resized(me, object, NULL, false);
        mid_trace_resized(me, small, NULL, false);
    }
    mid_drop_ref(me, small);
    return true;
}
