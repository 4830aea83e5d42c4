/* gc/release.c: counts that fall to zero, and the work list that frees what dies with them.
 *
 * A dying entry has count 1 (nothing but the suspect bit) and is linked through its entry: structures of any depth are
 * freed without recursion and without memory (Weizenbaum 1963). References of a long array are released in pieces. */
#include <string.h>

#include "gc/batch.h"
#include "gc/refs.h"

#define PIECE 64u /* items of a dying array released at a time, in the place of one object */

static inline __attribute__((always_inline)) void drop(mid_heap *heap, mid_handle value, mid_handle *pending,
                                                       uint64_t *queued)
{
    if (!mid_is_object_(value))
        return;
    mid_entry *entry = mid_entry_at(heap, value);
    uint32_t count = entry->count;
    if ((int32_t)count >= (int32_t)(2 * MID_ONE_)) {
        entry->count = (count - MID_ONE_) | MID_SUSPECT_;
    } else if ((int32_t)count >= (int32_t)MID_ONE_) {
        entry->count = MID_DYING_;
        entry->link = *pending;
        *pending = value;
        ++*queued;
    }
}

void mid_drop_ref(mid_heap *heap, mid_handle value)
{
    drop(heap, value, &heap->pending, &heap->pending_count);
}

static void drop_slot(void *context, mid_slot *slot)
{
    mid_drop_ref(context, slot->bits_);
}

static void quarantine(mid_heap *heap, mid_handle handle);

/* Slots worth this many bytes may wait in a thread's cache of a class, to be used again while they are warm. */
#define CACHE_BYTES 16384u

void mid_caches_open(mid_heap *heap)
{
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        uint32_t slot_size = heap->alloc.classes[i].slot_size;
        heap->cache_room[i] = (uint16_t)(slot_size > CACHE_BYTES / 4 ? 4 : CACHE_BYTES / slot_size);
    }
}

static inline __attribute__((always_inline)) bool cache_put(mid_heap *heap, mid_thread *thread, unsigned size_class,
                                                            mid_handle handle, mid_entry *entry)
{
    mid_class *c = &heap->alloc.classes[size_class];
    if (thread == NULL || thread->left[size_class] >= heap->cache_room[size_class])
        return false;
    entry->count = 0;
    entry->link = thread->head[size_class];
    thread->head[size_class] = handle;
    thread->left[size_class]++;
    c->freed++; /* and handed out again: its pool sees neither */
    c->handed++;
    return true;
}

static inline mid_thread *cache_owner(const mid_heap *heap)
{
    return heap->mutator == NULL ? NULL : &heap->mutator->pub;
}

/* A pool has lost another eighth of its objects: frees, like allocations, are worth a look by the daemon now and then. */
void mid_slots_fell(mid_heap *heap, mid_pool *pool)
{
    heap->credit -= MID_POOL_SIZE / 8;
    mid_pool_fell(&heap->alloc, pool);
    if (heap->credit < 0 && heap->mutator != NULL)
        mid_credit_used(heap);
}

void mid_slot_return(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    mid_pool *pool = mid_pool_of(mid_address(entry));
    entry->count = 0;
    entry->link = pool->chain;
    pool->chain = handle;
    if (--pool->live < pool->low)
        mid_slots_fell(heap, pool);
}

static void slot_free(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    unsigned size_class = mid_pool_of(mid_address(entry))->size_class;
    if (cache_put(heap, cache_owner(heap), size_class, handle, entry))
        return;
    heap->alloc.classes[size_class].freed++;
    mid_slot_return(heap, handle, entry);
}

void mid_slot_free(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    if (heap->debug && heap->options.quarantine != 0)
        quarantine(heap, handle);
    else
        slot_free(heap, handle, entry);
}

static void quarantine_release(mid_heap *heap)
{
    uint32_t *ring = heap->quarantine.data, size = (uint32_t)heap->options.quarantine;
    mid_handle oldest = ring[(heap->quarantine_at + size - heap->quarantine_count) % size];
    heap->quarantine_count--;
    if (mid_address(mid_entry_at(heap, oldest)) != NULL) {
        slot_free(heap, oldest, mid_entry_at(heap, oldest));
    } else {
        heap->large_freed++;
        mid_entry_give(heap, oldest);
    }
}

static void quarantine(mid_heap *heap, mid_handle handle)
{
    uint32_t *ring = heap->quarantine.data, size = (uint32_t)heap->options.quarantine;
    if (heap->quarantine_count == size)
        quarantine_release(heap);
    mid_entry *entry = mid_entry_at(heap, handle);
    entry->count = MID_DYING_;
    entry->link = 0;
    ring[heap->quarantine_at] = handle;
    heap->quarantine_at = (heap->quarantine_at + 1) % size;
    heap->quarantine_count++;
}

void mid_quarantine_flush(mid_heap *heap)
{
    while (heap->quarantine_count != 0)
        quarantine_release(heap);
}

void mid_free_entry(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    char *object = mid_address(entry);
    if (entry->word & MID_F_WEAK)
        mid_weak_clear(heap, handle, entry);
    if (entry->word & MID_F_PINNED)
        mid_pin_forget(heap, handle, entry);
    if (type->payload_free != NULL) {
        void *payload = *(void **)(object + type->payload_offset);
        if (payload != NULL) {
            heap->busy++;
            type->payload_free(payload, type->payload_context);
            heap->busy--;
        }
    }
    if (!(entry->word & MID_F_LARGE)) {
        mid_slot_free(heap, handle, entry);
        return;
    }
    mid_large_free(&heap->alloc, object, mid_object_size(type, object), handle);
    if (heap->debug && heap->options.quarantine != 0) {
        entry->word &= ~MID_ADDRESS_MASK_; /* the name waits, the memory does not */
        quarantine(heap, handle);
    } else {
        heap->large_freed++;
        mid_entry_give(heap, handle);
    }
}

/* Run the finalizer of an object that nothing holds. True: it is held again, or will be finalized later. */
static bool finalize_dying(mid_heap *heap, mid_handle handle, mid_entry *entry, unsigned flags)
{
    if (entry->word & MID_F_WEAK)
        mid_weak_clear(heap, handle, entry);
    entry->count = MID_ONE_;
    entry->link = 0;
    if (!(flags & MID_DRAIN_FINALIZE)) {
        mid_final_push(heap, handle);
        return true;
    }
    heap->pending_count--; /* it is off the list, and lives while its finalizer runs */
    mid_final_call(heap, handle, entry);
    heap->pending_count++;
    if (entry->count >= 2 * MID_ONE_) { /* sticky ones included */
        if (!mid_sticky(entry->count))
            entry->count = (entry->count - MID_ONE_) | MID_SUSPECT_;
        heap->counts.resurrected_objects++;
        return true;
    }
    entry->count = MID_DYING_;
    return false;
}

/* Release a piece of a dying array's references. True: all are released. */
static bool drop_items(mid_heap *heap, const mid_type_info *type, void *object)
{
    mid_slot *items = mid_item_slots(type, object);
    size_t end = mid_items(type, object), stop = heap->partial_next + PIECE;
    for (; heap->partial_next < end && heap->partial_next < stop; heap->partial_next++)
        mid_drop_ref(heap, items[heap->partial_next].bits_);
    return heap->partial_next == end;
}

/* One step for an object that dies with ceremony. True: it is gone (or lives on). */
static bool dispose(mid_heap *heap, mid_handle handle, unsigned flags)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    if (heap->partial != handle && mid_final_due(heap, entry) && finalize_dying(heap, handle, entry, flags))
        return true;
    if (type->items_are_refs) {
        if (heap->partial != handle)
            heap->partial_next = 0;
        heap->partial = handle;
        if (!drop_items(heap, type, mid_address(entry)))
            return false;
        heap->partial = 0;
    }
    mid_refs_fixed(heap, type, mid_address(entry), drop_slot, heap);
    mid_free_entry(heap, handle, entry);
    return true;
}

/* The common case: plain objects, until one is not. The first child that dies is next, the others go on the list, so that
 * most objects are never listed. Type, list and pool stay in registers from one object to the next. (To take the child whose
 * handle is nearest costs more in branches than it gains in locality.) */
static uint64_t drain_plain(mid_heap *heap, uint64_t limit)
{
    mid_handle handle = heap->pending, pending;
    if (handle == 0)
        return 0;
    pending = mid_entry_at(heap, handle)->link;
    mid_entry *const table = heap->table;
    uint64_t freed = 0, died = 0;
    uint64_t key = UINT64_MAX;      /* type and flags of the last object */
    uint32_t first = 0, slots = 0, fixed_class = MID_CLASSES;
    mid_thread *const thread = cache_owner(heap);
    mid_batch batch = {0};
    for (;;) {
        mid_entry *entry = mid_entry_in(table, handle);
        uint64_t word = entry->word;
        if (MID_UNLIKELY_(word >> 48 != key)) {
            const mid_type_info *type = mid_type_at(heap, (mid_type)(word >> MID_TYPE_SHIFT_));
            if ((word & MID_F_ALL) != 0 || !type->plain)
                break;
            key = word >> 48;
            first = type->first_slot;
            slots = type->slot_count;
            fixed_class = ((const mid_fast_type *)heap->fast_types.data)[word >> MID_TYPE_SHIFT_].size_class;
        }
        const mid_slot *slot = (mid_slot *)(uintptr_t)(word & MID_ADDRESS_MASK_) + first;
        mid_handle next = 0;
        for (uint32_t n = slots; n != 0; n--, slot++) {
            mid_handle value = slot->bits_;
            if (!mid_is_object_(value))
                continue;
            mid_entry *child = mid_entry_in(table, value);
            uint32_t count = child->count;
            if ((int32_t)count >= (int32_t)(2 * MID_ONE_)) {
                child->count = (count - MID_ONE_) | MID_SUSPECT_;
            } else if ((int32_t)count >= (int32_t)MID_ONE_) {
                __builtin_prefetch(mid_address(child));
                child->count = MID_DYING_;
                died++;
                if (next == 0) {
                    next = value;
                } else {
                    child->link = pending;
                    pending = value;
                }
            }
        }
        unsigned size_class = fixed_class != MID_CLASSES ? fixed_class : mid_pool_of(mid_address(entry))->size_class;
        if (!cache_put(heap, thread, size_class, handle, entry))
            mid_batch_add(heap, &batch, handle, entry);
        freed++;
        handle = next;
        if (handle == 0) {
            handle = pending;
            if (handle == 0)
                break;
            pending = mid_entry_in(table, handle)->link;
        }
        if (freed >= limit)
            break;
    }
    mid_batch_flush(heap, &batch);
    if (handle != 0) /* stopped early: it goes back on the list */
        mid_entry_in(table, handle)->link = pending;
    heap->pending = handle;
    heap->pending_count += died - freed;
    return freed;
}

uint64_t mid_drain(mid_heap *heap, uint64_t limit, unsigned flags)
{
    if (heap->draining)
        return 0;
    heap->draining = true;
    uint64_t done = 0;
    while (done < limit) {
        if (heap->partial == 0 && !heap->debug)
            done += drain_plain(heap, limit - done);
        if (done >= limit || (heap->partial == 0 && heap->pending == 0))
            break;
        mid_handle handle = heap->partial;
        if (handle == 0) {
            handle = heap->pending;
            heap->pending = mid_entry_at(heap, handle)->link;
        }
        bool gone = dispose(heap, handle, flags);
        heap->pending_count -= gone;
        done++;
    }
    heap->draining = false;
    if (heap->pending_count != 0)
        mid_ask(heap, MID_ASK_DRAIN);
    return done;
}

void mid_release_slow_(mid_thread *thread, mid_handle value)
{
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_entry *entry = mid_entry_at(heap, value);
    if (mid_sticky(entry->count) || entry->count <= MID_DYING_)
        return;
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    if (MID_LIKELY_(type->plain && (entry->word & MID_F_ALL) == 0 && !heap->debug && !heap->busy)) {
        mid_slot *slot = (mid_slot *)mid_address(entry) + type->first_slot;
        for (uint32_t n = type->slot_count; n != 0; n--, slot++)
            drop(heap, slot->bits_, &heap->pending, &heap->pending_count);
        slot_free(heap, value, entry);
        if (heap->pending != 0)
            mid_drain(heap, heap->options.free_batch, MID_DRAIN_FINALIZE);
        return;
    }
    entry->count = MID_DYING_;
    entry->link = heap->pending;
    heap->pending = value;
    heap->pending_count++;
    if (heap->busy)
        mid_ask(heap, MID_ASK_DRAIN);
    else
        mid_drain(heap, heap->options.free_batch, MID_DRAIN_FINALIZE);
}

/* A count that has reached the top of its range, or was never below it: the object stays for good. */
void mid_retain_slow_(mid_thread *thread, mid_handle value)
{
    mid_entry *entry = mid_entry_at(mid_impl_of(thread)->heap, value);
    if (mid_sticky(entry->count))
        entry->count = MID_STICKY_;
}

mid_status mid_immortalize(mid_thread *thread, mid_handle object)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry != NULL)
        entry->count = MID_STICKY_;
    return status;
}
