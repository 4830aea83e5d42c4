/* gc/resize.c: another number of items under the same handle. */
#include <string.h>

#include "gc/refs.h"

/* Let `handle` live in the slot that `other` (free, just taken) is bound to, and bind `other` to where it was. */
static void swap_slots(mid_heap *heap, mid_handle handle, mid_handle other)
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
    a->word ^= difference;
    b->word ^= difference;
}

static void bind_slot(mid_heap *heap, char *at, mid_handle handle)
{
    mid_pool *pool = mid_pool_of(at);
    const mid_class *c = &heap->alloc.classes[pool->size_class];
    mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), at)] = handle;
}

static mid_status pooled_to_pooled(mid_heap *heap, mid_handle handle, size_t kept, size_t size, unsigned align_shift)
{
    mid_handle other;
    mid_status status = mid_slot_new(heap, size, align_shift, &other);
    if (status != MID_OK)
        return status;
    memcpy(mid_address(mid_entry_at(heap, other)), mid_address(mid_entry_at(heap, handle)), kept);
    swap_slots(heap, handle, other);
    mid_slot_free(heap, other, mid_entry_at(heap, other));
    return MID_OK;
}

static mid_status pooled_to_large(mid_heap *heap, mid_handle handle, size_t kept, size_t size)
{
    mid_status status;
    mid_handle other = mid_entry_take(heap, &status);
    char *to = other == 0 ? NULL : mid_large_new(&heap->alloc, size, handle, &status);
    if (to == NULL) {
        if (other != 0)
            mid_entry_give(heap, other);
        return status;
    }
    mid_entry *entry = mid_entry_at(heap, handle);
    char *from = mid_address(entry);
    memcpy(to, from, kept);
    entry->word = (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to | MID_F_LARGE;
    bind_slot(heap, from, other);
    mid_entry_at(heap, other)->word = (uint64_t)(uintptr_t)from;
    mid_slot_free(heap, other, mid_entry_at(heap, other));
    heap->large_objects++;
    mid_large_made(heap, mid_large_bytes(size));
    return MID_OK;
}

/* Into the slot that `other` (free, just taken) is bound to; `other` has none then. */
static void large_into_slot(mid_heap *heap, mid_handle handle, size_t old_size, size_t size, mid_handle other)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    char *from = mid_address(entry), *to = mid_address(mid_entry_at(heap, other));
    memcpy(to, from, size);
    bind_slot(heap, to, handle);
    entry->word = (entry->word & ~(MID_ADDRESS_MASK_ | MID_F_LARGE)) | (uint64_t)(uintptr_t)to;
    mid_entry_give(heap, other);
    mid_large_free(&heap->alloc, from, old_size, handle);
    heap->large_freed++;
}

static void large_into_run(mid_heap *heap, mid_handle handle, size_t old_size, size_t size, void *to)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    void *from = mid_address(entry);
    memcpy(to, from, size);
    entry->word = (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to;
    mid_large_free(&heap->alloc, from, old_size, handle);
}

static mid_status large_to_large(mid_heap *heap, mid_handle handle, size_t old_size, size_t size, bool pinned)
{
    mid_status status;
    mid_entry *entry = mid_entry_at(heap, handle);
    void *to = mid_large_resize(&heap->alloc, mid_address(entry), old_size, size, handle, pinned, &status);
    if (to == NULL)
        return status;
    entry->word = (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to;
    if (size > old_size)
        mid_large_made(heap, mid_large_bytes(size) - mid_large_bytes(old_size));
    return MID_OK;
}

static mid_status grow(mid_heap *heap, mid_handle handle, const mid_type_info *type, size_t old_size, size_t size)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    bool pinned = (entry->word & MID_F_PINNED) != 0;
    mid_status status = MID_OK;
    if (entry->word & MID_F_LARGE)
        return large_to_large(heap, handle, old_size, size, pinned);
    if (size > mid_class_size(mid_pool_of(mid_address(entry))->size_class)) {
        if (pinned)
            return MID_EPINNED;
        status = size > MID_POOLED_MAX ? pooled_to_large(heap, handle, old_size, size)
                                       : pooled_to_pooled(heap, handle, old_size, size, type->align_shift);
    }
    if (status == MID_OK && !(entry->word & MID_F_LARGE))
        memset((char *)mid_address(entry) + old_size, 0, size - old_size);
    return status;
}

typedef struct tail {
    mid_heap *heap;
    const char *from;
} tail;

static void drop_beyond(void *context, mid_slot *slot)
{
    tail *t = context;
    if ((const char *)slot < t->from)
        return;
    mid_handle old = slot->bits_;
    slot->bits_ = 0;
    mid_drop_ref(t->heap, old);
}

/* References in items that go, declared or traced, are taken out once nothing can fail any more, and freed last: a finalizer
 * must not see the object half done. */
static void drop_tail(mid_heap *heap, const mid_type_info *type, char *at, size_t items)
{
    tail t = {heap, at + type->size + items * type->item_size};
    if (type->items_are_refs || type->trace != NULL)
        mid_refs(heap, type, at, drop_beyond, &t);
    *(uint32_t *)(at + type->length_offset) = (uint32_t)items;
}

static mid_status shrink(mid_heap *heap, mid_handle handle, const mid_type_info *type, size_t items, size_t size)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    char *at = mid_address(entry);
    void *run = NULL;
    size_t old_size = mid_object_size(type, at);
    bool large = (entry->word & MID_F_LARGE) != 0, pinned = (entry->word & MID_F_PINNED) != 0;
    bool to_slot = large && size <= MID_POOLED_MAX;
    bool to_run = large && !to_slot && old_size > MID_RUN_MAX && size <= MID_RUN_MAX;
    mid_handle other = 0;
    mid_status status = MID_OK;
    if (pinned && (to_slot || to_run))
        return MID_EPINNED;
    if (to_slot)
        status = mid_slot_new(heap, size, type->align_shift, &other);
    else if (to_run)
        run = mid_large_new(&heap->alloc, size, handle, &status);
    if (status != MID_OK)
        return status;
    drop_tail(heap, type, at, items);
    if (to_slot)
        large_into_slot(heap, handle, old_size, size, other);
    else if (to_run)
        large_into_run(heap, handle, old_size, size, run);
    else if (large)
        large_to_large(heap, handle, old_size, size, pinned);
    else if (!pinned && mid_class_for(size, type->align_shift) != mid_pool_of(at)->size_class)
        pooled_to_pooled(heap, handle, size, size, type->align_shift); /* or it stays where it is */
    return MID_OK;
}

/* As for an allocation: what waits is freed, and empty pools give up the entries they hold; then it is worth another try. */
static bool short_of_memory(mid_heap *heap, mid_status status)
{
    if (status != MID_ENOMEM && status != MID_ELIMIT)
        return false;
    bool drained = mid_drain_all(heap);
    return mid_pool_return_one(&heap->alloc) || drained;
}

mid_status mid_resize(mid_thread *thread, mid_handle object, size_t items)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    if (type->item_size == 0)
        return MID_ETYPE;
    if (items > UINT32_MAX || items > (((size_t)1 << 40) - type->size) / type->item_size)
        return MID_ESIZE;
    size_t size = type->size + items * type->item_size;
    if (items <= mid_items(type, mid_address(entry))) {
        status = shrink(heap, object, type, items, size);
        if (short_of_memory(heap, status))
            status = shrink(heap, object, type, items, size);
        if (heap->pending != 0)
            mid_drain(heap, heap->options.free_batch, MID_DRAIN_FINALIZE);
        return status;
    }
    size_t old_size = mid_object_size(type, mid_address(entry));
    status = grow(heap, object, type, old_size, size);
    if (short_of_memory(heap, status))
        status = grow(heap, object, type, old_size, size);
    if (status == MID_OK)
        *(uint32_t *)((char *)mid_address(entry) + type->length_offset) = (uint32_t)items;
    return status;
}
