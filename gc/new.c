/* gc/new.c: allocation behind the fast path.
 *
 * A free slot keeps its entry: its name in the pool's back index is the entry's handle, the entry holds the slot's
 * address, and free slots are linked through entries. Allocating is one pop, freeing one push, and neither touches the
 * object's memory or the back index. Slots get entries when a pool is first used and lose them when the pool changes
 * class or goes back to the system. */
#include <string.h>

#include "gc/heap.h"

#define BIND_BYTES 4096u /* of slots that get entries at once: a page of the pool */
#define DRAIN_PER_REFILL 1024u

/* Give the next slots of a pool their entries; a partial success is one. */
mid_status mid_bind(mid_heap *heap, mid_pool *pool)
{
    const mid_class *c = &heap->alloc.classes[pool->size_class];
    mid_status status = MID_OK;
    unsigned count = BIND_BYTES / c->slot_size, end;
    end = pool->bound + (count < 8 ? 8 : count);
    if (end > pool->slots)
        end = pool->slots;
    char *base = mid_pool_base(pool);
    mid_handle *link = &pool->chain;
    while (pool->bound < end) {
        mid_handle handle = mid_entry_take(heap, &status);
        if (handle == 0)
            break;
        mid_entry *entry = mid_entry_at(heap, handle);
        entry->word = (uint64_t)(uintptr_t)mid_slot_at(c, base, pool->bound);
        mid_pool_bind(pool, handle);
        *link = handle;
        link = &entry->link;
    }
    *link = 0;
    return pool->chain != 0 ? MID_OK : status;
}

void mid_unbind(void *owner, mid_pool *pool)
{
    mid_heap *heap = owner;
    while (pool->bound != 0) {
        mid_entry_give(heap, mid_pool_name(pool, pool->bound - 1u));
        pool->bound--;
    }
    pool->chain = pool->first_name = 0;
}

static void hand_over(mid_heap *heap, mid_pool *pool, mid_class *c)
{
    mid_thread *thread = &heap->mutator->pub;
    uint32_t count = (uint32_t)(pool->bound - pool->live);
    thread->head[pool->size_class] = pool->chain;
    thread->left[pool->size_class] = count;
    pool->chain = 0;
    pool->live = pool->bound;
    c->handed += count;
    heap->credit -= (int64_t)count * c->slot_size;
    if (heap->credit < 0)
        mid_credit_used(heap);
}

/* Fill the mutator's cache of a class from its pool, or from the fullest one that has room. */
static mid_status refill(mid_heap *heap, unsigned size_class)
{
    mid_class *c = &heap->alloc.classes[size_class];
    mid_status status = MID_OK;
    if (heap->pending != 0 || heap->partial != 0)
        mid_drain(heap, DRAIN_PER_REFILL, 0);
    if (heap->mutator->pub.head[size_class] != 0) /* the drain has freed some */
        return MID_OK;
    for (;;) {
        mid_pool *pool = heap->owned[size_class];
        if (pool != NULL) {
            if (pool->chain == 0 && pool->bound < pool->slots)
                status = mid_bind(heap, pool);
            if (pool->chain != 0) {
                hand_over(heap, pool, c);
                return MID_OK;
            }
            if (status != MID_OK)
                return status;
            heap->owned[size_class] = NULL;
            mid_pool_put(&heap->alloc, pool);
        }
        pool = mid_pool_take(&heap->alloc, size_class, &status);
        if (pool == NULL)
            return status;
        heap->owned[size_class] = pool;
    }
}

/* Short of memory: what waits to be freed is freed (invariant 9), then a last try. */
bool mid_drain_all(mid_heap *heap)
{
    bool any = heap->pending_count != 0 || heap->quarantine_count != 0;
    while (mid_drain(heap, 4096, 0) != 0)
        ;
    mid_quarantine_flush(heap);
    return any;
}

static mid_status refused(mid_heap *heap, mid_status status, size_t bytes)
{
    MID_EMIT(heap, refused, status, bytes);
    return status;
}

static __attribute__((noinline)) mid_status refill_hard(mid_heap *heap, unsigned size_class)
{
    mid_status status = refill(heap, size_class);
    if (status != MID_OK && mid_drain_all(heap))
        status = refill(heap, size_class);
    while (status != MID_OK && mid_pool_return_one(&heap->alloc)) /* empty pools hold entries */
        status = refill(heap, size_class);
    return status == MID_OK ? MID_OK : refused(heap, status, mid_class_size(size_class));
}

static inline mid_status slot_new(mid_heap *heap, unsigned size_class, mid_handle *out)
{
    mid_thread *thread = &heap->mutator->pub;
    mid_status status = thread->head[size_class] != 0 ? MID_OK : refill_hard(heap, size_class);
    if (status != MID_OK)
        return status;
    *out = thread->head[size_class];
    mid_entry *entry = mid_entry_at(heap, *out);
    thread->head[size_class] = entry->link;
    thread->left[size_class]--;
    entry->link = 0;
    entry->word &= MID_ADDRESS_MASK_;
    return MID_OK;
}

void mid_large_made(mid_heap *heap, size_t bytes)
{
    heap->large_allocated += bytes;
    heap->credit -= (int64_t)bytes;
    if (heap->credit < 0)
        mid_credit_used(heap);
}

/* An entry that is bound to no slot, if need be from an empty pool. */
static mid_handle spare_entry(mid_heap *heap, mid_status *status)
{
    mid_handle handle = mid_entry_take(heap, status);
    while (handle == 0 && mid_pool_return_one(&heap->alloc))
        handle = mid_entry_take(heap, status);
    return handle;
}

static mid_status large_new(mid_heap *heap, size_t size, mid_handle *out)
{
    mid_status status;
    mid_handle handle = spare_entry(heap, &status);
    void *at = handle == 0 ? NULL : mid_large_new(&heap->alloc, size, handle, &status);
    if (at == NULL && mid_drain_all(heap)) {
        if (handle == 0)
            handle = spare_entry(heap, &status);
        if (handle != 0)
            at = mid_large_new(&heap->alloc, size, handle, &status);
    }
    if (at == NULL) {
        if (handle != 0)
            mid_entry_give(heap, handle);
        return refused(heap, status, size);
    }
    mid_entry_at(heap, handle)->word = (uint64_t)(uintptr_t)at | MID_F_LARGE;
    heap->large_objects++;
    mid_large_made(heap, mid_large_bytes(size));
    *out = handle;
    return MID_OK;
}

mid_status mid_slot_new(mid_heap *heap, size_t size, unsigned align_shift, mid_handle *out)
{
    if (size > MID_POOLED_MAX)
        return large_new(heap, size, out);
    return slot_new(heap, mid_class_for(size, align_shift), out);
}

static inline mid_status make(mid_thread *thread, mid_type type, size_t items, size_t size, mid_handle *out)
{
    mid_heap *heap = mid_impl_of(thread)->heap;
    const mid_type_info *info = mid_type_at(heap, type);
    mid_status status = size > MID_POOLED_MAX ? large_new(heap, size, out)
                                              : slot_new(heap, mid_class_for(size, info->align_shift), out);
    if (status != MID_OK)
        return status;
    mid_entry *entry = mid_entry_at(heap, *out);
    char *object = mid_address(entry);
    if (!(entry->word & MID_F_LARGE)) /* large blocks come cleared */
        memset(object, 0, mid_round(size, 8));
    if (info->item_size != 0)
        *(uint32_t *)(object + info->length_offset) = (uint32_t)items;
    entry->word |= (uint64_t)type << MID_TYPE_SHIFT_;
    entry->count = MID_ONE_;
    return MID_OK;
}

mid_handle mid_new_slow_(mid_thread *thread, mid_type type)
{
    mid_handle made = 0;
    mid_status status = mid_thread_check(thread);
    if (status == MID_OK && (type == 0 || type > mid_impl_of(thread)->heap->type_count ||
                             mid_type_at(mid_impl_of(thread)->heap, type)->item_size != 0))
        status = MID_ETYPE;
    if (status == MID_OK)
        status = make(thread, type, 0, mid_type_at(mid_impl_of(thread)->heap, type)->size, &made);
    thread->status = status;
    return status == MID_OK ? made : 0;
}

mid_status mid_new_array(mid_thread *thread, mid_type type, size_t items, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    if (type == 0 || type > heap->type_count || mid_type_at(heap, type)->item_size == 0)
        return MID_ETYPE;
    const mid_type_info *info = mid_type_at(heap, type);
    size_t size;
    if (items > UINT32_MAX || __builtin_mul_overflow(items, info->item_size, &size) || size > ((size_t)1 << 40) - info->size)
        return MID_ESIZE;
    mid_handle made;
    status = make(thread, type, items, size + info->size, &made);
    if (status == MID_OK)
        *out = made;
    return status;
}

uint64_t mid_live_slots(const mid_heap *heap, unsigned size_class)
{
    const mid_class *c = &heap->alloc.classes[size_class];
    return c->handed - c->freed - (heap->mutator == NULL ? 0 : heap->mutator->pub.left[size_class]);
}

uint64_t mid_live_bytes(const mid_heap *heap)
{
    uint64_t bytes = heap->alloc.large_live;
    for (unsigned i = 0; i < MID_CLASSES; i++)
        bytes += mid_live_slots(heap, i) * heap->alloc.classes[i].slot_size;
    return bytes;
}

void mid_caches_flush(mid_heap *heap)
{
    mid_thread *thread = heap->mutator == NULL ? NULL : &heap->mutator->pub;
    for (unsigned i = 0; i < MID_CLASSES && thread != NULL; i++) {
        mid_handle handle = thread->head[i];
        heap->alloc.classes[i].handed -= thread->left[i];
        thread->head[i] = thread->left[i] = 0;
        while (handle != 0) {
            mid_entry *entry = mid_entry_at(heap, handle);
            mid_handle next = entry->link;
            mid_slot_return(heap, handle, entry);
            handle = next;
        }
        if (heap->owned[i] != NULL)
            mid_pool_put(&heap->alloc, heap->owned[i]);
        heap->owned[i] = NULL;
    }
}
