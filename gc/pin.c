/* gc/pin.c: pins, counted beside the table: few objects are pinned at a time, and an entry has no room to spare.
 *
 * A pool with a pinned object cannot be emptied. What is to be pinned for long is therefore brought together first: the pool of
 * the first such object of a class takes in the others, each in a free slot or in exchange for an object that is not pinned. */
#include <string.h>

#include "gc/heap.h"

static void mark(mid_heap *heap, mid_entry *entry, bool pinned, bool for_long)
{
    if (pinned)
        __atomic_fetch_or(&entry->word, MID_F_PINNED, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&entry->word, ~MID_F_PINNED, __ATOMIC_RELAXED);
    if (entry->word & MID_F_LARGE)
        return;
    mid_pool *pool = mid_pool_of(mid_address(entry)), **kept = &heap->long_pools[pool->size_class];
    pool->pins += pinned ? 1 : -1;
    if (for_long)
        pool->long_pins += pinned ? 1 : -1;
    if (pinned && for_long && (*kept == NULL || (*kept)->long_pins == pool->slots))
        *kept = pool;
    else if (pool->long_pins == 0 && *kept == pool)
        *kept = NULL;
}

static mid_status pin(mid_heap *heap, mid_handle object, mid_entry *entry, bool for_long)
{
    uint32_t pins = mid_map_get(&heap->pins, object / 2);
    if ((pins | MID_PINNED_LONG) == UINT32_MAX)
        return MID_ELIMIT;
    for_long &= pins == 0;
    mid_status status = mid_map_set(heap, &heap->pins, object / 2, (pins + 1) | (for_long ? MID_PINNED_LONG : 0));
    if (status == MID_OK && pins == 0)
        mark(heap, entry, true, for_long);
    return status;
}

static mid_status unpin(mid_heap *heap, mid_handle object, mid_entry *entry)
{
    uint32_t pins = mid_map_get(&heap->pins, object / 2);
    if (pins == 0)
        return MID_EPINNED;
    if ((pins & ~MID_PINNED_LONG) > 1)
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
    status = pin(heap, object, entry, false);
    mid_unlock(heap);
    if (status == MID_OK && address != NULL)
        *address = mid_address(entry);
    return status;
}

/* Where there may be room beside others that are pinned for long; null: in no pool of the class. */
static mid_pool *company(const mid_heap *heap, unsigned size_class)
{
    const mid_class *c = &heap->alloc.classes[size_class];
    mid_pool *pool = heap->long_pools[size_class];
    if (pool == NULL || (pool->long_pins < pool->slots && pool->state != MID_POOL_FROZEN))
        return pool;
    for (unsigned list = 0; list <= MID_POOL_OWNED; list++) /* once for so many pins as a pool has slots */
        for (pool = c->list[list]; pool != NULL; pool = pool->next)
            if (pool->long_pins != 0 && pool->long_pins < pool->slots)
                return pool;
    return NULL;
}

/* A slot of the pool whose object, or entry in a thread's cache, may as well be elsewhere. -1: there is none. */
static int exchangeable(const mid_heap *heap, mid_pool *pool, const uint32_t *names)
{
    for (unsigned n = 0, slot = pool->long_pins; n < pool->bound; n++, slot++) {
        slot = slot < pool->bound ? slot : 0;
        if (!(mid_entry_at(heap, names[slot])->word & MID_F_PINNED))
            return (int)slot;
    }
    return -1;
}

static void exchange_bytes(char *a, char *b, size_t bytes)
{
    char piece[512];
    for (size_t at = 0, n; at < bytes; at += n) {
        n = bytes - at < sizeof piece ? bytes - at : sizeof piece;
        memcpy(piece, a + at, n);
        memcpy(a + at, b + at, n);
        memcpy(b + at, piece, n);
    }
}

/* What is in two slots that are both handed out. No pool's count changes. */
static void exchange(mid_heap *heap, uint32_t *name, uint32_t *other_name)
{
    mid_entry *entry = mid_entry_at(heap, *name), *other = mid_entry_at(heap, *other_name);
    char *at = mid_address(entry), *other_at = mid_address(other);
    mid_handle object = *name;
    exchange_bytes(at, other_at, heap->alloc.classes[mid_pool_of(at)->size_class].slot_size);
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)other_at);
    MID_WRITE_(other->word, (other->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)at);
    *name = *other_name;
    *other_name = object;
}

static void move_in(mid_impl *me, mid_pool *from, uint32_t *names, unsigned slot, mid_pool *to)
{
    mid_slot_move(me->heap, from, names, slot, to);
    if (from->live < from->low)
        mid_slots_fell(me, from);
    if (to->state != MID_POOL_OWNED)
        mid_pool_rose(&me->heap->alloc, to);
}

/* The world stands. What a lost thread has in its caches nobody knows, so that a forked child leaves things where they are. */
static void join_company(mid_impl *me, mid_entry *entry)
{
    mid_heap *heap = me->heap;
    char *at = mid_address(entry);
    mid_pool *from = mid_pool_of(at), *to = company(heap, from->size_class);
    if (to == NULL || to == from || heap->any_lost)
        return;
    unsigned slot = mid_slot_of(&heap->alloc.classes[from->size_class], mid_pool_base(from), at);
    uint32_t *names = mid_pool_names(from), *others = mid_pool_names(to);
    bool unread = mid_moving_begin(heap);
    int other = to->chain != 0 || (to->bound < to->slots && mid_bind(heap, to) == MID_OK) ? -1 : exchangeable(heap, to, others);
    if (to->chain != 0)
        move_in(me, from, names, slot, to);
    else if (other >= 0)
        exchange(heap, &names[slot], &others[other]);
    mid_moving_end(heap, unread);
}

/* Large blocks hold no pool, and what is pinned already stays. */
static bool may_join(mid_heap *heap, const mid_entry *entry)
{
    mid_lock(heap);
    bool may = (MID_READ_(entry->word) & (MID_F_LARGE | MID_F_PINNED)) == 0 && !mid_frozen(MID_READ_(entry->count));
    if (may)
        may = mid_pool_of(mid_address(entry))->long_pins == 0 && mid_pool_of(mid_address(entry))->state != MID_POOL_FROZEN;
    mid_unlock(heap);
    return may;
}

static mid_status bring_together(mid_impl *me, mid_entry *entry)
{
    mid_heap *heap = me->heap;
    mid_part part = mid_pause_begin(me, MID_PAUSE_COMPACT);
    mid_status status = mid_world_stop(heap, me, MID_PATIENCE, NULL);
    if (status == MID_OK) {
        mid_stop_begins(heap);
        if (may_join(heap, entry)) /* still */
            join_company(me, entry);
        mid_stop_ends(heap);
        mid_world_resume(heap);
    }
    mid_pause_end(&part);
    return status;
}

mid_status mid_pin_long(mid_thread *thread, mid_handle object, void **address)
{
    mid_status status = mid_work_begin(thread);
    mid_entry *entry = status == MID_OK ? mid_checked(thread, object, &status) : NULL;
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    if (may_join(heap, entry))
        status = bring_together(mid_impl_of(thread), entry);
    if (status != MID_OK)
        return status;
    mid_lock(heap);
    status = pin(heap, object, entry, true);
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
    bool for_long = mid_map_get(&heap->pins, handle / 2) & MID_PINNED_LONG;
    mid_map_remove(&heap->pins, handle / 2);
    mark(heap, entry, false, for_long);
    mid_unlock(heap);
}
