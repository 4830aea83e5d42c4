/* gc/new.c: allocation behind the fast path.
 *
 * A free slot keeps its entry: its name in the pool's back index is the entry's handle, the entry holds the slot's
 * address, and free slots are linked through entries. Allocating is one pop, freeing one push, and neither touches the
 * object's memory or the back index. Slots get entries when a pool is first used and lose them when the pool changes
 * class or goes back to the system. */
#include <string.h>

#include "gc/debug.h"
#include "gc/policy.h"

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
        MID_WRITE_(entry->word, (uint64_t)(uintptr_t)mid_slot_at(c, base, pool->bound));
        mid_pool_bind(pool, handle);
        MID_WRITE_(*link, handle);
        link = &entry->shared;
    }
    MID_WRITE_(*link, 0);
    return pool->chain != 0 ? MID_OK : status;
}

#define GIVEN_AHEAD 16u /* entries, fetched before they are given back */

void mid_unbind(void *owner, mid_pool *pool)
{
    mid_heap *heap = owner;
    if (heap->debug)
        mid_debug_unbound(heap, pool);
    while (pool->bound != 0) {
        if (pool->bound > GIVEN_AHEAD)
            __builtin_prefetch(mid_entry_at(heap, mid_pool_name(pool, pool->bound - 1u - GIVEN_AHEAD)), 1);
        mid_entry_give(heap, mid_pool_name(pool, pool->bound - 1u));
        pool->bound--;
    }
    pool->chain = pool->first_name = 0;
}

static void hand_over(mid_impl *me, mid_pool *pool, mid_class *c)
{
    uint32_t count = (uint32_t)(pool->bound - pool->live);
    MID_WRITE_(me->pub.left[pool->size_class], me->pub.left[pool->size_class] + count); /* some may be aside */
    if (MID_UNLIKELY_(me->heap->trace.sampling))
        mid_sampling_show(me, pool->size_class, pool->chain, count);
    else
        me->pub.head[pool->size_class] = pool->chain;
    pool->chain = 0;
    pool->live = pool->bound;
    c->handed += count;
    mid_spend(me, (uint64_t)count * c->slot_size);
}

/* Fill the cache of a class from the thread's pool, or from the fullest one that has room. */
static mid_status take_slots(mid_impl *me, unsigned size_class, mid_part *part)
{
    mid_heap *heap = me->heap;
    mid_class *c = &heap->alloc.classes[size_class];
    mid_status status = MID_OK;
    for (;;) {
        mid_pool *pool = me->owned[size_class];
        if (pool != NULL) {
            if (pool->chain == 0 && pool->bound < pool->slots) {
                if (heap->free_entry_count == 0)
                    mid_pause_late(me, part, MID_PAUSE_REFILL); /* the table grows */
                status = mid_bind(heap, pool);
            }
            if (pool->chain != 0) {
                hand_over(me, pool, c);
                return MID_OK;
            }
            if (status != MID_OK)
                return status;
            me->owned[size_class] = NULL;
            mid_pool_put(&heap->alloc, pool);
        }
        mid_pause_late(me, part, MID_PAUSE_REFILL);
        pool = mid_pool_take(&heap->alloc, size_class, &status);
        if (pool == NULL)
            return status;
        me->owned[size_class] = pool;
    }
}

/* Who allocates frees some of what waits: more than it takes, mostly, and a bounded number. Was there anything? */
bool mid_work_off(mid_impl *me)
{
    return (me->pending != 0 || me->partial != 0) && mid_drain(me, DRAIN_PER_REFILL, 0) != 0;
}

static mid_status refill(mid_impl *me, unsigned size_class, mid_part *part)
{
    bool news = mid_has_news(me) && !me->draining;
    if (news || me->pending_count != 0 || me->outbox_count != 0)
        mid_pause_late(me, part, MID_PAUSE_REFILL);
    if (news)
        mid_inbox_merge(me, me); /* what other threads freed of this one's */
    mid_work_off(me);
    if (me->outbox_count != 0)
        mid_outbox_flush(me);
    if (me->pub.head[size_class] != 0) /* the drain has freed some */
        return MID_OK;
    if (MID_UNLIKELY_(me->heap->trace.sampling) && mid_sampling_show_aside(me, size_class))
        return MID_OK;
    mid_lock_part(me, part, MID_PAUSE_REFILL);
    mid_status status = take_slots(me, size_class, part);
    mid_unlock(me->heap);
    if (me->credit < 0)
        mid_credit_used(me);
    return status;
}

#define GENERATIONS 8u /* of what is kept by what is cached, or by others that keep some meanwhile */

/* Short of memory: what waits to be freed is freed (invariant 9), then a last try. Who asks in the middle of a drain, as its finalizers
 * do, has to do without what that drain has yet to come to. */
bool mid_drain_all(mid_impl *me)
{
    mid_lock(me->heap);
    bool any = (me->pending_count != 0 && !me->draining) || me->heap->quarantine_count != 0 || mid_debug_holds(me->heap);
    mid_unlock(me->heap);
    while (mid_drain(me, 4096, 0) != 0)
        ;
    mid_quarantine_flush(me);
    for (unsigned n = 0; n < GENERATIONS && mid_policies_empty(me, false); n++) { /* what dies of that may wait to be new in its turn */
        any = true;
        while (mid_drain(me, 4096, 0) != 0)
            ;
    }
    return mid_reclaim_idle(me) || any;
}

static mid_status refused(mid_impl *me, mid_status status, size_t bytes)
{
    mid_heap *heap = me->heap;
    me->refused = bytes;
    mid_lock(heap);
    MID_EMIT(heap, refused, status, bytes);
    mid_unlock(heap);
    return status;
}

static bool give_one_back(mid_heap *heap)
{
    mid_lock(heap);
    bool any = mid_pool_return_one(&heap->alloc);
    mid_unlock(heap);
    return any;
}

static __attribute__((noinline)) mid_status refill_hard(mid_impl *me, unsigned size_class)
{
    mid_part part = {0};
    mid_status status = refill(me, size_class, &part);
    while (status != MID_OK && mid_work_off(me)) /* as much as it takes, and no more */
        status = refill(me, size_class, &part);
    if (status != MID_OK && mid_drain_all(me))
        status = refill(me, size_class, &part);
    while (status != MID_OK && give_one_back(me->heap)) /* empty pools hold entries */
        status = refill(me, size_class, &part);
    mid_pause_end(&part);
    return status == MID_OK ? MID_OK : refused(me, status, mid_class_size(size_class));
}

/* Its `shared` stays even until it is an object. */
static inline mid_status slot_new(mid_impl *me, unsigned size_class, mid_handle *out)
{
    mid_thread *thread = &me->pub;
    mid_status status = thread->head[size_class] != 0 ? MID_OK : refill_hard(me, size_class);
    if (status != MID_OK)
        return status;
    *out = thread->head[size_class];
    mid_entry *entry = mid_entry_at(me->heap, *out);
    thread->head[size_class] = MID_READ_(entry->shared);
    MID_WRITE_(thread->left[size_class], thread->left[size_class] - 1);
    MID_WRITE_(entry->shared, 0);
    MID_WRITE_(entry->word, MID_READ_(entry->word) & MID_ADDRESS_MASK_);
    return MID_OK;
}

void mid_large_made(mid_impl *me, size_t bytes)
{
    me->heap->large_allocated += bytes;
    mid_spend(me, bytes);
}

/* An entry that is bound to no slot, if need be from an empty pool. */
static mid_handle spare_entry(mid_heap *heap, mid_status *status)
{
    mid_handle handle = mid_entry_take(heap, status);
    while (handle == 0 && mid_pool_return_one(&heap->alloc))
        handle = mid_entry_take(heap, status);
    return handle;
}

static mid_status large_take(mid_impl *me, size_t size, mid_handle *out)
{
    mid_heap *heap = me->heap;
    mid_status status;
    mid_lock(heap);
    mid_handle handle = spare_entry(heap, &status);
    void *at = handle == 0 ? NULL : mid_large_new(&heap->alloc, size, handle, &status);
    if (at != NULL) {
        MID_WRITE_(mid_entry_at(heap, handle)->word, (uint64_t)(uintptr_t)at | MID_F_LARGE);
        heap->large_objects++;
        mid_large_made(me, mid_large_bytes(size));
        *out = handle;
        status = MID_OK;
    } else if (handle != 0) {
        mid_entry_give(heap, handle);
    }
    mid_unlock(heap);
    return status;
}

static mid_status large_new(mid_impl *me, size_t size, mid_handle *out)
{
    mid_part part = mid_pause_begin(me, MID_PAUSE_LARGE);
    mid_work_off(me);
    mid_status status = large_take(me, size, out);
    while (status != MID_OK && mid_work_off(me))
        status = large_take(me, size, out);
    if (status != MID_OK && mid_drain_all(me))
        status = large_take(me, size, out);
    if (me->credit < 0)
        mid_credit_used(me);
    mid_pause_end(&part);
    return status == MID_OK ? MID_OK : refused(me, status, size);
}

static mid_status try_large(mid_heap *heap, size_t size)
{
    mid_status status;
    mid_handle handle = spare_entry(heap, &status);
    void *at = handle == 0 ? NULL : mid_large_new(&heap->alloc, size, handle, &status);
    if (at != NULL)
        mid_large_free(&heap->alloc, at, size, handle);
    if (handle != 0)
        mid_entry_give(heap, handle);
    return at != NULL ? MID_OK : status;
}

mid_status mid_try(mid_impl *me, size_t size)
{
    if (size > me->heap->alloc.pooled_max)
        return try_large(me->heap, size);
    unsigned size_class = mid_size_class(size);
    mid_part part = {0};
    mid_status status = me->pub.head[size_class] != 0 ? MID_OK : take_slots(me, size_class, &part);
    while (status != MID_OK && mid_pool_return_one(&me->heap->alloc))
        status = take_slots(me, size_class, &part);
    mid_pause_end(&part);
    return status;
}

mid_status mid_slot_new(mid_impl *me, size_t size, unsigned align_shift, mid_handle *out)
{
    if (size > me->heap->alloc.pooled_max)
        return large_new(me, size, out);
    mid_status status = slot_new(me, mid_class_for(size, align_shift), out);
    if (status == MID_OK && me->heap->debug)
        mid_debug_taken(me->heap, *out);
    return status;
}

#define CLEAR_BY_WORD 128u

/* Objects are mostly small: a loop, then, and the compiler is kept from calling memset for it. */
static inline void clear_words(char *at, size_t bytes)
{
    for (mid_word_ *word = (mid_word_ *)at, *end = (mid_word_ *)(at + bytes); word < end; word++) {
        *word = 0;
        __asm__ volatile("" : "+r"(word));
    }
}

static inline void clear(char *at, size_t bytes)
{
    if (bytes > CLEAR_BY_WORD)
        memset(at, 0, mid_round(bytes, 8));
    else
        clear_words(at, bytes);
}

static inline mid_status make(mid_impl *me, const mid_type_info *info, mid_type type, size_t items, size_t size,
                              const void *from, mid_handle *out)
{
    mid_handle made;
    size_t room = size + me->heap->fence;
    mid_status status = room > me->heap->alloc.pooled_max
                            ? large_new(me, room, &made)
                            : slot_new(me, mid_class_for(room, info->align_shift), &made);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    mid_entry *entry = mid_entry_(&me->pub, made);
    uint64_t word = MID_READ_(entry->word);
    char *object = (char *)(uintptr_t)(word & MID_ADDRESS_MASK_);
    if (MID_UNLIKELY_(me->heap->debug))
        mid_debug_made(me, made, info, size, from);
    if (!(word & MID_F_LARGE)) /* large blocks come cleared */
        clear(object, mid_cleared(info, size));
    if (info->item_size != 0)
        *(uint32_t *)(object + info->length_offset) = (uint32_t)items;
    if (MID_UNLIKELY_(me->heap->debug))
        mid_debug_fence(me->heap, object, size, room);
    MID_WRITE_(entry->word, word | (uint64_t)type << MID_TYPE_SHIFT_);
    if (MID_UNLIKELY_(info->immortal)) {
        MID_WRITE_(entry->count, MID_STICKY_);
        __atomic_store_n(&entry->shared, mid_with_others(me->pub.fresh, MID_BAND + MID_BAND / 2), __ATOMIC_RELEASE);
    } else {
        MID_WRITE_(entry->count, (uint32_t)me->pub.bias | info->born);
        __atomic_store_n(&entry->shared, me->pub.fresh, __ATOMIC_RELEASE);
    }
    if (MID_UNLIKELY_(me->heap->trace.on))
        mid_trace_made(me, made, from);
    *out = made;
    return MID_OK;
}

mid_status mid_make_new(mid_impl *me, mid_type type, mid_handle *out)
{
    const mid_type_info *info = mid_type_at(me->heap, type);
    return make(me, info, type, 0, info->size, __builtin_return_address(0), out);
}

mid_handle mid_new_slow_(mid_thread *thread, mid_type type)
{
    mid_handle made = 0;
    mid_status status = mid_thread_check(thread);
    mid_heap *heap = status == MID_OK ? mid_impl_of(thread)->heap : NULL;
    if (status == MID_OK && (type == 0 || type > mid_type_count(heap) || mid_type_at(heap, type)->item_size != 0))
        status = MID_ETYPE;
    if (status == MID_OK) {
        const mid_type_info *info = mid_type_at(heap, type);
        const void *from = __builtin_return_address(0);
        if (info->keeps)
            made = mid_policy_reuse(mid_impl_of(thread), info->policy);
        if (made != 0 && MID_UNLIKELY_(heap->trace.on))
            mid_trace_reused(mid_impl_of(thread), made, from);
        if (made == 0)
            status = make(mid_impl_of(thread), info, type, 0, info->size, from, &made);
    }
    thread->status = status;
    return made;
}

mid_status mid_make_own(mid_impl *me, mid_type type, size_t items, mid_handle *out)
{
    const mid_type_info *info = mid_type_at(me->heap, type);
    return make(me, info, type, items, info->size + items * info->item_size, __builtin_return_address(0), out);
}

static __attribute__((noinline)) mid_status new_array(mid_thread *thread, mid_type type, size_t items, mid_handle *out, const void *from)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    if (type == 0 || type > mid_type_count(heap) || mid_type_at(heap, type)->item_size == 0 || mid_type_at(heap, type)->pairs)
        return MID_ETYPE;
    const mid_type_info *info = mid_type_at(heap, type);
    size_t size;
    if (items > UINT32_MAX || __builtin_mul_overflow(items, info->item_size, &size) || size > ((size_t)1 << 40) - info->size)
        return MID_ESIZE;
    return make(mid_impl_of(thread), info, type, items, size + info->size, from, out);
}

/* A slot in the cache, of a type without peculiarities. Of what is pooled only with larger pools the cache is empty. */
static inline __attribute__((always_inline)) mid_status new_items(mid_thread *thread, mid_type type, size_t items, size_t size,
                                                                  unsigned size_class, mid_handle *out, const void *from)
{
    const mid_type_info *info = mid_type_at(mid_impl_of(thread)->heap, type);
    mid_handle made = thread->head[size_class];
    size_t cleared = info->uncleared ? info->size : size;
    if (MID_UNLIKELY_(made == 0 || cleared > CLEAR_BY_WORD))
        return new_array(thread, type, items, out, from);
    *out = made; /* early: so all fits into registers that need not be saved */
    mid_entry *entry = mid_entry_(thread, made);
    uint64_t address = MID_READ_(entry->word) & MID_ADDRESS_MASK_;
    thread->head[size_class] = MID_READ_(entry->shared);
    MID_WRITE_(thread->left[size_class], thread->left[size_class] - 1);
    MID_WRITE_(entry->word, address | (uint64_t)type << MID_TYPE_SHIFT_);
    clear_words((char *)(uintptr_t)address, cleared);
    *(uint32_t *)((char *)(uintptr_t)address + info->length_offset) = (uint32_t)items;
    MID_WRITE_(entry->count, (uint32_t)thread->bias | info->born);
    __atomic_store_n(&entry->shared, thread->fresh, __ATOMIC_RELEASE);
    return MID_OK;
}

/* Not inline, nor are other ways out of the next: the common case needs no frame. */
static __attribute__((noinline)) mid_status new_items_big(mid_thread *thread, mid_type type, size_t items, mid_handle *out, const void *from)
{
    const mid_type_info *info = mid_type_at(mid_impl_of(thread)->heap, type);
    size_t size = info->size + items * info->item_size;
    if (MID_UNLIKELY_(items > MID_POOLED_MAX || size > MID_POOLED_MAX))
        return new_array(thread, type, items, out, from);
    return new_items(thread, type, items, size, mid_size_class(size), out, from);
}

mid_status mid_new_array(mid_thread *thread, mid_type type, size_t items, mid_handle *out)
{
    if (MID_UNLIKELY_(thread == NULL) || MID_UNLIKELY_(out == NULL) || MID_UNLIKELY_(type > MID_TYPES_MAX) ||
        !mid_here(mid_impl_of(thread)) || MID_UNLIKELY_(thread->types[type].words < MID_FAST_ITEMS_))
        return new_array(thread, type, items, out, __builtin_return_address(0));
    const mid_type_info *info = mid_type_at(mid_impl_of(thread)->heap, type);
    size_t size = info->size + items * info->item_size;
    if (MID_UNLIKELY_(items > MID_CLASS_TABLE_MAX || size > MID_CLASS_TABLE_MAX))
        return new_items_big(thread, type, items, out, __builtin_return_address(0));
    return new_items(thread, type, items, size, mid_class_table[(size + 7) / 8], out, __builtin_return_address(0));
}

/* With `memory` held. Of some moment, while threads run: never below zero. */
uint64_t mid_live_slots(const mid_heap *heap, unsigned size_class)
{
    const mid_class *c = &heap->alloc.classes[size_class];
    uint64_t live = c->handed - c->freed;
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++) {
        uint64_t left = MID_READ_(heap->threads[id]->pub.left[size_class]);
        live -= left < live ? left : live;
    }
    return live;
}

uint64_t mid_live_bytes(mid_heap *heap)
{
    mid_lock(heap);
    uint64_t bytes = heap->alloc.large_live + MID_READ_(heap->domains.foreign);
    for (unsigned i = 0; i < MID_CLASSES; i++)
        bytes += mid_live_slots(heap, i) * heap->alloc.classes[i].slot_size;
    mid_unlock(heap);
    return bytes;
}

void mid_caches_flush(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_lock(heap);
    if (heap->trace.sampling)
        mid_sampling_detach(me);
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        mid_handle handle = *mid_cache_head(me, i);
        heap->alloc.classes[i].handed -= me->pub.left[i];
        *mid_cache_head(me, i) = 0;
        MID_WRITE_(me->pub.left[i], 0);
        mid_slots_return(me, handle);
        if (me->owned[i] != NULL)
            mid_pool_put(&heap->alloc, me->owned[i]);
        me->owned[i] = NULL;
    }
    mid_unlock(heap);
}
