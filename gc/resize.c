/* gc/resize.c: another number of items under the same handle. */
#include <string.h>

#include "gc/count.h"
#include "gc/debug.h"
#include "gc/refs.h"
#include "gc/resize.h"

/* Let `handle` live in the slot that `other` (free, just taken) is bound to, and bind `other` to where it was. */
void mid_slots_swap(mid_heap *heap, mid_handle handle, mid_handle other)
{
    mid_handle ends[2] = {handle, other};
    for (int i = 0; i < 2; i++) {
        char *at = mid_address(mid_entry_at(heap, ends[i]));
        mid_pool *pool = mid_pool_of(at);
        const mid_class *c = &heap->alloc.classes[pool->size_class];
        mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), at)] = ends[1 - i];
    }
    mid_entry *a = mid_entry_at(heap, handle), *b = mid_entry_at(heap, other);
    uint64_t difference = (a->word ^ b->word) & MID_ADDRESS_MASK_;
    MID_WRITE_(a->word, a->word ^ difference);
    MID_WRITE_(b->word, b->word ^ difference);
}

static void bind_slot(mid_heap *heap, char *at, mid_handle handle)
{
    mid_pool *pool = mid_pool_of(at);
    const mid_class *c = &heap->alloc.classes[pool->size_class];
    mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), at)] = handle;
}

static mid_status pooled_to_pooled(mid_impl *me, mid_handle handle, size_t kept, size_t size, unsigned align_shift)
{
    mid_heap *heap = me->heap;
    mid_handle other;
    mid_status status = mid_slot_new(me, size + heap->fence, align_shift, &other);
    if (status != MID_OK)
        return status;
    memcpy(mid_address(mid_entry_at(heap, other)), mid_address(mid_entry_at(heap, handle)), kept);
    mid_lock(heap);
    mid_slots_swap(heap, handle, other);
    mid_unlock(heap);
    mid_slot_free(me, other, mid_entry_at(heap, other));
    return MID_OK;
}

static mid_status pooled_to_large(mid_impl *me, mid_handle handle, size_t kept, size_t size)
{
    mid_heap *heap = me->heap;
    mid_status status;
    mid_handle other = mid_entry_take(heap, &status);
    char *to = other == 0 ? NULL : mid_large_new(&heap->alloc, size + heap->fence, handle, &status);
    if (to == NULL) {
        if (other != 0)
            mid_entry_give(heap, other);
        return status;
    }
    mid_entry *entry = mid_entry_at(heap, handle);
    char *from = mid_address(entry);
    memcpy(to, from, kept);
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to | MID_F_LARGE);
    bind_slot(heap, from, other);
    MID_WRITE_(mid_entry_at(heap, other)->word, (uint64_t)(uintptr_t)from);
    mid_slot_free(me, other, mid_entry_at(heap, other));
    heap->large_objects++;
    mid_large_made(me, mid_large_bytes(size + heap->fence));
    return MID_OK;
}

/* Into the slot that `other` (free, just taken) is bound to; `other` has none then. */
static void large_into_slot(mid_heap *heap, mid_handle handle, size_t old_size, size_t size, mid_handle other)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    char *from = mid_address(entry), *to = mid_address(mid_entry_at(heap, other));
    memcpy(to, from, size);
    bind_slot(heap, to, handle);
    MID_WRITE_(entry->word, (entry->word & ~(MID_ADDRESS_MASK_ | MID_F_LARGE)) | (uint64_t)(uintptr_t)to);
    mid_entry_give(heap, other);
    mid_large_free(&heap->alloc, from, old_size + heap->fence, handle);
    heap->large_freed++;
}

static void large_into_run(mid_heap *heap, mid_handle handle, size_t old_size, size_t size, void *to)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    void *from = mid_address(entry);
    memcpy(to, from, size);
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to);
    mid_large_free(&heap->alloc, from, old_size + heap->fence, handle);
}

static mid_status large_to_large(mid_impl *me, mid_handle handle, size_t old_size, size_t size, bool pinned)
{
    mid_heap *heap = me->heap;
    mid_status status;
    mid_entry *entry = mid_entry_at(heap, handle);
    old_size += heap->fence;
    size += heap->fence;
    void *to = mid_large_resize(&heap->alloc, mid_address(entry), old_size, size, handle, pinned, &status);
    if (to == NULL)
        return status;
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to);
    if (size > old_size)
        mid_large_made(me, mid_large_bytes(size) - mid_large_bytes(old_size));
    return MID_OK;
}

static mid_status grow(mid_impl *me, mid_handle handle, const mid_type_info *type, size_t old_size, size_t size)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, handle);
    bool pinned = (entry->word & MID_F_PINNED) != 0;
    mid_status status = MID_OK;
    if (entry->word & MID_F_LARGE)
        return large_to_large(me, handle, old_size, size, pinned);
    const size_t room = size + heap->fence;
    if (room > mid_class_size(mid_pool_of(mid_address(entry))->size_class)) {
        if (pinned)
            return MID_EPINNED;
        status = room > heap->alloc.pooled_max ? pooled_to_large(me, handle, old_size, size)
                                               : pooled_to_pooled(me, handle, old_size, size, type->align_shift);
    }
    if (status == MID_OK && !(entry->word & MID_F_LARGE) && !type->uncleared)
        memset((char *)mid_address(entry) + old_size, 0, size - old_size);
    return status;
}

typedef struct tail {
    mid_impl *me;
    const char *from;
    bool shadowed;
} tail;

static void drop_beyond(void *context, mid_slot *slot)
{
    tail *t = context;
    if ((const char *)slot < t->from)
        return;
    mid_handle old = slot->bits_;
    slot->bits_ = 0;
    if (t->shadowed)
        mid_debug_dropped(t->me->heap, old);
    mid_drop_ref(t->me, old);
}

/* References in items that go, declared or traced, are taken out once nothing can fail any more, and freed last: a finalizer
 * must not see the object half done. */
static void drop_tail(mid_impl *me, const mid_type_info *type, char *at, size_t items)
{
    tail t = {me, at + type->size + items * type->item_size, type->shadowed};
    if (type->items_are_refs || type->trace != NULL)
        mid_refs(me->heap, type, at, drop_beyond, &t);
    *(uint32_t *)(at + type->length_offset) = (uint32_t)items;
}

static mid_status shrink(mid_impl *me, mid_handle handle, const mid_type_info *type, size_t items, size_t size)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, handle);
    char *at = mid_address(entry);
    void *run = NULL;
    size_t old_size = mid_object_size(type, at);
    bool large = (entry->word & MID_F_LARGE) != 0, pinned = (entry->word & MID_F_PINNED) != 0;
    const size_t room = size + heap->fence;
    bool to_slot = large && room <= heap->alloc.pooled_max;
    bool to_run = large && !to_slot && old_size + heap->fence > MID_RUN_MAX && room <= MID_RUN_MAX;
    mid_handle other = 0;
    mid_status status = MID_OK;
    if (pinned && (to_slot || to_run))
        return MID_EPINNED;
    if (to_slot)
        status = mid_slot_new(me, room, type->align_shift, &other);
    else if (to_run)
        run = mid_large_new(&heap->alloc, room, handle, &status);
    if (status != MID_OK)
        return status;
    drop_tail(me, type, at, items);
    if (to_slot)
        large_into_slot(heap, handle, old_size, size, other);
    else if (to_run)
        large_into_run(heap, handle, old_size, size, run);
    else if (large)
        large_to_large(me, handle, old_size, size, pinned);
    else if (!pinned && mid_class_for(room, type->align_shift) != mid_pool_of(at)->size_class)
        pooled_to_pooled(me, handle, size, size, type->align_shift); /* or it stays where it is */
    return MID_OK;
}

/* With `memory` held, but for the frees that follow: pools, runs and the back index change. */
static mid_status locked(mid_impl *me, mid_handle handle, const mid_type_info *type, size_t items, size_t size)
{
    mid_entry *entry = mid_entry_at(me->heap, handle);
    size_t old_items = mid_items(type, mid_address(entry)), old_size = mid_object_size(type, mid_address(entry));
    bool was_draining = me->draining;
    mid_touch(me, entry, MID_READ_(entry->count)); /* who reads it where it is may come too late */
    mid_lock(me->heap);
    me->draining = true; /* nothing is freed, and no other lock taken, in between */
    if (me->heap->debug)
        mid_debug_resizes(me->heap, handle);
    mid_status status = items <= old_items ? shrink(me, handle, type, items, size)
                                           : grow(me, handle, type, old_size, size);
    me->draining = was_draining;
    if (status == MID_OK && items > old_items)
        *(uint32_t *)((char *)mid_address(entry) + type->length_offset) = (uint32_t)items;
    if (me->heap->debug)
        mid_debug_resized(me->heap, handle, old_size);
    mid_unlock(me->heap);
    return status;
}

mid_status mid_resize_held(mid_impl *me, mid_handle handle, size_t items)
{
    const mid_type_info *type = mid_type_of_entry(me->heap, mid_entry_at(me->heap, handle));
    return locked(me, handle, type, items, type->size + items * type->item_size);
}

/* As for an allocation: what waits is freed, and empty pools give up the entries they hold; each time it is worth another try. */
bool mid_resize_again(mid_impl *me, mid_status status)
{
    if (status != MID_ENOMEM && status != MID_ELIMIT)
        return false;
    if (mid_work_off(me))
        return true;
    bool drained = mid_drain_all(me);
    mid_lock(me->heap);
    bool returned = mid_pool_return_one(&me->heap->alloc);
    mid_unlock(me->heap);
    return returned || drained;
}

/* More items that its slot, or its last page, has room for: nothing of anybody else's changes. */
_Static_assert(MID_RUN_MAX % MID_PAGE == 0, "what stays within its pages stays a run, or a mapping");
static bool grows_in_slot(mid_impl *me, mid_entry *entry, const mid_type_info *type, size_t items, size_t size)
{
    uint64_t word = MID_READ_(entry->word);
    char *at = (char *)(uintptr_t)(word & MID_ADDRESS_MASK_);
    if (items < mid_items(type, at) || me->heap->debug) /* there is a fence in the slot */
        return false;
    const size_t old_size = mid_object_size(type, at);
    if (!mid_room_in_place(me->heap, word, at, old_size, size))
        return false;
    mid_touch(me, entry, MID_READ_(entry->count)); /* as below */
    if (!type->uncleared)
        memset(at + old_size, 0, size - old_size);
    *(uint32_t *)(at + type->length_offset) = (uint32_t)items;
    return true;
}

mid_status mid_resize(mid_thread *thread, mid_handle object, size_t items)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_impl *me = mid_impl_of(thread);
    const mid_type_info *type = mid_type_of_entry(me->heap, entry);
    if (type->item_size == 0 || type->pairs)
        return MID_ETYPE;
    if (items > UINT32_MAX || items > (((size_t)1 << 40) - type->size) / type->item_size)
        return MID_ESIZE;
    size_t size = type->size + items * type->item_size;
    if (grows_in_slot(me, entry, type, items, size)) {
        if (MID_UNLIKELY_(me->heap->trace.on))
            mid_trace_resized(me, object, __builtin_return_address(0), (MID_READ_(entry->word) & MID_F_LARGE) != 0);
        return MID_OK;
    }
    if (mid_shed(me, object, type, items, size)) {
        if (me->pending != 0 || me->credit < 0)
            mid_drain_timed(me, me->heap->options.free_batch, MID_DRAIN_FINALIZE);
        return MID_OK;
    }
    const void *at = mid_address(entry);
    mid_part part = {0};
    if (size > me->heap->alloc.pooled_max || MID_READ_(entry->word) & MID_F_LARGE)
        part = mid_pause_begin(me, MID_PAUSE_LARGE);
    status = locked(me, object, type, items, size);
    while (mid_resize_again(me, status))
        status = locked(me, object, type, items, size);
    if (size > me->heap->alloc.pooled_max)
        me->refused = 0; /* it might grow where it is: that cannot be tried */
    if (MID_UNLIKELY_(me->heap->trace.on) && status == MID_OK)
        mid_trace_resized(me, object, __builtin_return_address(0), at != mid_address(entry) || MID_READ_(entry->word) & MID_F_LARGE);
    if (me->pending != 0 || me->credit < 0)
        mid_drain_timed(me, me->heap->options.free_batch, MID_DRAIN_FINALIZE);
    mid_pause_end(&part);
    return status;
}
