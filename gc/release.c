/* gc/release.c: counts that fall to zero, and the work list that frees what dies with them.
 *
 * A dying entry has count 1 (nothing but the suspect bit) and is linked through its entry: structures of any depth are
 * freed without recursion and without memory (Weizenbaum 1963). References of a long array are released in pieces. Each
 * thread has a work list of its own. */
#include <string.h>

#include "gc/batch.h"
#include "gc/count.h"
#include "gc/debug.h"
#include "gc/policy.h"
#include "gc/refs.h"

#define PIECE 64u      /* items of a dying array released at a time, ... */
#define PIECE_COST 8u  /* ... in the place of so many objects */

/* What giving memory back has cost since, in objects: pages go at about the speed at which objects die. */
static inline uint64_t paid(const mid_impl *me, uint64_t given_before)
{
    return (me->given - given_before) / MID_PAGE;
}

static inline uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline void count_pending(mid_impl *me, uint64_t more)
{
    MID_WRITE_(me->pending_count, me->pending_count + more);
}

void mid_died(mid_impl *me, mid_handle value, mid_entry *entry)
{
    MID_WRITE_(entry->shared, me->pending);
    me->pending = value;
    count_pending(me, 1);
}

static inline __attribute__((always_inline)) void drop(mid_impl *me, mid_handle value)
{
    if (!mid_is_object_(value))
        return;
    mid_entry *entry = mid_entry_at(me->heap, value);
    if (mid_uncount(me, value, entry))
        mid_died(me, value, entry);
}

void mid_drop_ref(mid_impl *me, mid_handle value)
{
    drop(me, value);
    mid_decided(me);
}

static void drop_slot(void *context, mid_slot *slot)
{
    drop(context, slot->bits_);
}

static void quarantine(mid_impl *me, mid_handle handle);

/* Slots worth this many bytes may wait in a thread's cache of a class, to be used again while they are warm. */
#define CACHE_BYTES 16384u

void mid_caches_open(mid_heap *heap)
{
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        uint32_t slot_size = heap->alloc.classes[i].slot_size;
        heap->block_room[i] = heap->cache_room[i] = (uint16_t)(slot_size > CACHE_BYTES / 4 ? 4 : CACHE_BYTES / slot_size);
    }
}

static inline __attribute__((always_inline)) bool cache_put(mid_impl *me, unsigned size_class, mid_handle handle,
                                                            mid_entry *entry)
{
    mid_thread *thread = &me->pub;
    if (MID_UNLIKELY_(thread->left[size_class] >= me->heap->cache_room[size_class]))
        return false;
    MID_WRITE_(entry->count, 0);
    MID_WRITE_(entry->shared, thread->head[size_class]);
    thread->head[size_class] = handle;
    MID_WRITE_(thread->left[size_class], thread->left[size_class] + 1);
    MID_WRITE_(me->recycled[size_class], me->recycled[size_class] + 1); /* its pool sees nothing of it */
    return true;
}

/* A pool has lost another eighth of its objects: frees, like allocations, are worth a look by the daemon now and then. */
void mid_slots_fell(mid_impl *me, mid_pool *pool)
{
    uint64_t returned = me->heap->alloc.returned;
    mid_spend(me, me->heap->alloc.pool_size / 8);
    mid_pool_fell(&me->heap->alloc, pool);
    me->given += me->heap->alloc.returned - returned;
}

void mid_slot_return(mid_impl *me, mid_handle handle, mid_entry *entry)
{
    mid_pool *pool = mid_pool_in(&me->heap->alloc, mid_address(entry));
    MID_WRITE_(entry->count, 0);
    MID_WRITE_(entry->shared, pool->chain);
    pool->chain = handle;
    if (--pool->live < pool->low)
        mid_slots_fell(me, pool);
}

/* Not inline: the loop keeps its registers. */
__attribute__((noinline)) void mid_slots_return(mid_impl *me, mid_handle handle)
{
    while (handle != 0) {
        mid_entry *entry = mid_entry_at(me->heap, handle);
        mid_handle next = MID_READ_(entry->shared);
        mid_slot_return(me, handle, entry);
        handle = next;
    }
}

#define MANY 256u /* slots: to put back fewer takes a microsecond or two, and happens often */

/* The cache is full: the half that waits longest goes to the pools, in one visit. */
static __attribute__((noinline)) void cache_spill(mid_impl *me, unsigned size_class)
{
    mid_thread *thread = &me->pub;
    mid_part part = {0};
    const bool aside = me->heap->trace.sampling != 0;
    const uint32_t others = aside ? thread->left[size_class] - me->aside_count[size_class] : 0; /* paid for: they stay */
    uint32_t keep = (aside ? me->heap->aside_room : me->heap->cache_room)[size_class] / 2u;
    mid_handle *link = aside ? &me->kept[size_class] : &thread->head[size_class];
    for (uint32_t n = 0; n < keep && *link != 0; n++)
        link = &mid_entry_at(me->heap, *link)->shared;
    mid_handle handle = *link;
    uint32_t spilled = thread->left[size_class] - others - keep;
    MID_WRITE_(*link, 0);
    MID_WRITE_(thread->left[size_class], others + keep);
    if (aside)
        me->aside_count[size_class] = (uint16_t)keep;
    if (spilled > MANY)
        part = mid_pause_begin(me, MID_PAUSE_REFILL);
    mid_lock_part(me, &part, MID_PAUSE_REFILL);
    me->heap->alloc.classes[size_class].handed -= spilled; /* what was freed was counted when it came into the cache */
    mid_slots_return(me, handle);
    mid_unlock(me->heap);
    if (me->credit < 0)
        mid_credit_used(me);
    mid_pause_end(&part);
}

/* Who has no cache of its own at the moment (it is nobody's, for a while) frees into the pools. */
static inline bool caches(const mid_impl *me)
{
    return me->attached;
}

/* While allocations are sampled: out of sight until it is paid for (trace_sample.c). */
static __attribute__((noinline)) void aside_put(mid_impl *me, unsigned size_class, mid_handle handle, mid_entry *entry)
{
    if (me->aside_count[size_class] >= me->heap->aside_room[size_class])
        cache_spill(me, size_class);
    MID_WRITE_(entry->count, 0);
    MID_WRITE_(entry->shared, me->kept[size_class]);
    me->kept[size_class] = handle;
    me->aside_count[size_class]++;
    MID_WRITE_(me->pub.left[size_class], me->pub.left[size_class] + 1);
    MID_WRITE_(me->recycled[size_class], me->recycled[size_class] + 1);
}

static inline __attribute__((always_inline)) void slot_free(mid_impl *me, mid_handle handle, mid_entry *entry)
{
    unsigned size_class = mid_pool_in(&me->heap->alloc, mid_address(entry))->size_class;
    if (MID_LIKELY_(caches(me))) {
        if (MID_UNLIKELY_(me->pub.left[size_class] >= me->heap->cache_room[size_class])) {
            if (me->heap->trace.sampling) {
                aside_put(me, size_class, handle, entry);
                return;
            }
            cache_spill(me, size_class);
        }
        cache_put(me, size_class, handle, entry);
        return;
    }
    mid_lock(me->heap);
    me->heap->alloc.classes[size_class].freed++;
    mid_slot_return(me, handle, entry);
    mid_unlock(me->heap);
}

void mid_slot_free(mid_impl *me, mid_handle handle, mid_entry *entry)
{
    if (me->heap->debug)
        mid_debug_vacated(me, handle);
    if (me->heap->debug && me->heap->options.quarantine != 0)
        quarantine(me, handle);
    else
        slot_free(me, handle, entry);
}

static void large_gone(mid_heap *heap, mid_handle handle)
{
    heap->large_freed++;
    mid_entry_give(heap, handle);
}

/* With `memory` held. */
static void quarantine_release(mid_impl *me)
{
    mid_heap *heap = me->heap;
    uint32_t *ring = heap->quarantine.data, size = (uint32_t)heap->options.quarantine;
    mid_handle oldest = ring[(heap->quarantine_at + size - heap->quarantine_count) % size];
    heap->quarantine_count--;
    if (mid_address(mid_entry_at(heap, oldest)) != NULL)
        slot_free(me, oldest, mid_entry_at(heap, oldest));
    else
        large_gone(heap, oldest);
}

static void quarantine(mid_impl *me, mid_handle handle)
{
    mid_heap *heap = me->heap;
    uint32_t *ring = heap->quarantine.data, size = (uint32_t)heap->options.quarantine;
    mid_lock(heap);
    if (heap->quarantine_count == size)
        quarantine_release(me);
    mid_entry *entry = mid_entry_at(heap, handle);
    MID_WRITE_(entry->count, MID_DYING_);
    MID_WRITE_(entry->shared, 0);
    ring[heap->quarantine_at] = handle;
    heap->quarantine_at = (heap->quarantine_at + 1) % size;
    heap->quarantine_count++;
    mid_unlock(heap);
}

void mid_quarantine_flush(mid_impl *me)
{
    mid_lock(me->heap);
    while (me->heap->quarantine_count != 0)
        quarantine_release(me);
    mid_debug_held_flush(me->heap);
    mid_unlock(me->heap);
}

static void free_large(mid_impl *me, mid_handle handle, mid_entry *entry, size_t size)
{
    mid_heap *heap = me->heap;
    mid_part part = mid_pause_begin(me, MID_PAUSE_LARGE);
    mid_lock(heap);
    if (!heap->debug || !mid_debug_hold_object(me, handle, mid_address(entry), size, false)) {
        if (heap->debug)
            mid_debug_spoil(mid_address(entry), size);
        mid_large_free(&heap->alloc, mid_address(entry), size, handle);
    }
    me->turned += size;
    me->given += size;
    if (heap->debug && heap->options.quarantine != 0) {
        MID_WRITE_(entry->word, entry->word & ~MID_ADDRESS_MASK_); /* the name waits, the memory does not */
        quarantine(me, handle);
    } else {
        large_gone(heap, handle);
    }
    mid_unlock(heap);
    mid_pause_end(&part);
}

static void free_payload(mid_impl *me, const mid_type_info *type, const char *object)
{
    void *payload = *(void **)(object + type->payload_offset);
    if (payload == NULL)
        return;
    mid_callback frame;
    mid_part part = mid_pause_begin(me, MID_PAUSE_FINALIZE);
    mid_callback_begin(&frame, me->heap);
    frame.payload = true;
    type->payload_free(payload, type->payload_context);
    mid_callback_end(&frame);
    mid_pause_end(&part);
}

void mid_free_entry(mid_impl *me, mid_handle handle, mid_entry *entry)
{
    mid_heap *heap = me->heap;
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    char *object = mid_address(entry);
    if (heap->debug)
        mid_debug_dies(me, handle);
    if (MID_READ_(entry->word) & MID_F_WEAK)
        mid_weak_clear(me, handle, entry, true);
    if (MID_READ_(entry->word) & MID_F_WEAK)
        mid_trace_died(heap, handle);
    if (MID_READ_(entry->word) & MID_F_PINNED)
        mid_pin_forget(heap, handle, entry);
    if (MID_UNLIKELY_(type->keeps) && mid_policy_keep(me, type, handle, entry))
        return;
    if (type->payload_free != NULL)
        free_payload(me, type, object);
    if (MID_READ_(entry->word) & MID_F_LARGE)
        free_large(me, handle, entry, mid_fenced_size(heap, type, object));
    else
        mid_slot_free(me, handle, entry);
}

/* Run the finalizer of an object that nothing holds. True: it is held again, or will be finalized later. */
static bool finalize_dying(mid_impl *me, mid_handle handle, mid_entry *entry, unsigned flags)
{
    if (MID_READ_(entry->word) & MID_F_WEAK)
        mid_weak_clear(me, handle, entry, false);
    if (!(flags & MID_DRAIN_FINALIZE)) {
        mid_final_push(me->heap, handle);
        return true;
    }
    count_pending(me, (uint64_t)-1); /* it is off the list, and lives while its finalizer runs */
    mid_final_call(me, handle, entry);
    if (!mid_uncount(me, handle, entry)) {
        mid_decided(me);
        MID_COUNT(me->heap, resurrected_objects, 1);
        count_pending(me, 1);
        return true;
    }
    MID_WRITE_(entry->shared, 0);
    mid_decided(me);
    count_pending(me, 1);
    return false;
}

/* Release a piece of a dying array's references. True: all are released. */
static bool drop_items(mid_impl *me, const mid_type_info *type, void *object)
{
    mid_slot *items = mid_item_slots(type, object);
    size_t end = mid_items(type, object), stop = me->partial_next + PIECE;
    for (; me->partial_next < end && me->partial_next < stop; me->partial_next++)
        drop(me, items[me->partial_next].bits_);
    mid_decided(me);
    return me->partial_next == end;
}

/* The end of a large block goes first, in pieces that the system takes back in little time. False: what is left is no more than
 * a few, or its size is not the object's to say. */
#define BLOCK_PIECE ((size_t)2 << 20)

static bool shorten(mid_impl *me, mid_handle handle, mid_entry *entry, const mid_type_info *type)
{
    char *object = mid_address(entry);
    size_t size = mid_fenced_size(me->heap, type, object), shorter;
    if (size < 4 * BLOCK_PIECE || type->item_size == 0 || type->item_size > BLOCK_PIECE)
        return false;
    size_t items = (size - BLOCK_PIECE - type->size - me->heap->fence) / type->item_size;
    mid_status status;
    shorter = type->size + items * type->item_size + me->heap->fence;
    mid_part part = mid_pause_begin(me, MID_PAUSE_LARGE);
    mid_lock(me->heap);
    object = mid_large_resize(&me->heap->alloc, object, size, shorter, handle, false, &status);
    if (object != NULL) {
        MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)object);
        *(uint32_t *)(object + type->length_offset) = (uint32_t)items;
        me->turned += size - shorter;
        me->given += size - shorter;
    }
    mid_unlock(me->heap);
    mid_pause_end(&part);
    return object != NULL;
}

/* Release what it refers to, one piece if it is an array. True: all is. */
static bool drop_refs(mid_impl *me, mid_handle handle, const mid_type_info *type, void *object)
{
    if (type->items_are_refs) {
        if (me->partial != handle)
            me->partial_next = 0;
        me->partial = handle;
        if (!drop_items(me, type, object))
            return false;
        me->partial = 0;
    }
    mid_refs_fixed(me->heap, type, object, drop_slot, me);
    mid_decided(me);
    return true;
}

/* One step for an object that dies with ceremony. True: it is gone (or lives on). */
static bool dispose(mid_impl *me, mid_handle handle, unsigned flags)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, handle);
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    bool begun = me->partial == handle;
    if (!begun && type->policy != NULL && mid_policy_cache(me, type->policy, handle, entry))
        return true;
    if (!begun && mid_final_due(heap, entry) && finalize_dying(me, handle, entry, flags))
        return true;
    if (heap->debug && !begun)
        mid_debug_dies(me, handle);
    if (!begun && type->pairs)
        mid_pairs_orphan(heap, handle);
    if (!(begun && me->partial_next == MID_ONLY_MEMORY) && !drop_refs(me, handle, type, mid_address(entry)))
        return false;
    if ((MID_READ_(entry->word) & MID_F_LARGE) && shorten(me, handle, entry, type)) {
        me->partial = handle;
        me->partial_next = MID_ONLY_MEMORY;
        return false;
    }
    me->partial = 0;
    mid_free_entry(me, handle, entry);
    return true;
}

/* Part of one class's cache in registers, while objects of that class are freed one after another. */
typedef struct run {
    unsigned size_class;
    mid_handle head;
    uint32_t room, put;
} run;

static void run_end(mid_impl *me, const run *r)
{
    if (r->put == 0)
        return;
    if (MID_UNLIKELY_(me->heap->trace.sampling)) {
        me->kept[r->size_class] = r->head;
        me->aside_count[r->size_class] = (uint16_t)(me->aside_count[r->size_class] + r->put);
    } else {
        me->pub.head[r->size_class] = r->head;
    }
    MID_WRITE_(me->pub.left[r->size_class], me->pub.left[r->size_class] + r->put);
    MID_WRITE_(me->recycled[r->size_class], me->recycled[r->size_class] + r->put);
}

static run run_begin(mid_impl *me, unsigned size_class)
{
    uint32_t left = me->pub.left[size_class], room = me->heap->cache_room[size_class];
    if (MID_UNLIKELY_(me->heap->trace.sampling)) {
        left = me->aside_count[size_class];
        room = me->heap->aside_room[size_class];
        return (run){size_class, me->kept[size_class], caches(me) && left < room ? room - left : 0, 0};
    }
    return (run){size_class, me->pub.head[size_class], caches(me) && left < room ? room - left : 0, 0};
}

/* What a type's objects have in common, for a series of them. */
typedef struct shape {
    uint64_t key; /* type and flags, as in an entry */
    uint32_t first, slots;
    unsigned size_class; /* MID_CLASSES: of variable size */
} shape;

static bool shape_of(const mid_heap *heap, uint64_t word, shape *out)
{
    const mid_type_info *type = mid_type_at(heap, (mid_type)(word >> MID_TYPE_SHIFT_));
    if ((word & MID_F_ALL) != 0 || !type->plain)
        return false;
    unsigned size_class = ((const mid_fast_type *)heap->fast_types.data)[word >> MID_TYPE_SHIFT_].size_class;
    *out = (shape){word >> 48, type->first_slot, type->slot_count, size_class};
    return true;
}

/* The common case: plain objects, until one is not. The first child that dies is next, the others go on the list, so that
 * most objects are never listed. Shape, list, cache and pool stay in registers from one object to the next. (To take the child
 * whose handle is nearest costs more in branches than it gains in locality.) What finds the cache full goes to the pools, whose
 * lock is then held to the end: there are no callbacks in here. */
static uint64_t drain_plain(mid_impl *me, uint64_t limit)
{
    mid_heap *const heap = me->heap;
    mid_handle handle = me->pending, pending;
    if (handle == 0)
        return 0;
    mid_entry *const table = heap->table;
    pending = MID_READ_(mid_entry_in(table, handle)->shared);
    const uint64_t given = me->given;
    uint64_t left = limit, gone = 0, died = 0; /* gone: of the limit, for what was given back */
    const uint32_t bias = (uint32_t)me->pub.bias;
    const bool still = me->world;
    bool locked = false;
    shape shape = {.key = UINT64_MAX};
    run cache = {.size_class = MID_CLASSES};
    mid_batch batch = {0};
    for (;;) {
        mid_entry *entry = mid_entry_in(table, handle);
        uint64_t word = MID_READ_(entry->word);
        if (MID_UNLIKELY_(word >> 48 != shape.key) && !shape_of(heap, word, &shape))
            break;
        const mid_slot *slot = (mid_slot *)(uintptr_t)(word & MID_ADDRESS_MASK_) + shape.first;
        mid_handle next = 0;
        for (uint32_t n = shape.slots; n != 0; n--, slot++) {
            mid_handle value = slot->bits_;
            if (!mid_is_object_(value))
                continue;
            mid_entry *child = mid_entry_in(table, value);
            uint32_t count = MID_READ_(child->count), mine = count ^ bias;
            if (MID_UNLIKELY_(!mid_is_last(me, value, child, mine)) &&
                (mid_kept(me, value, child, count, mine, still) || !mid_uncount(me, value, child)))
                continue;
            MID_WRITE_(child->count, MID_DYING_);
            __builtin_prefetch(mid_address(child));
            died++;
            if (next == 0) {
                next = value;
                MID_WRITE_(child->shared, 0);
            } else {
                MID_WRITE_(child->shared, pending);
                pending = value;
            }
        }
        unsigned size_class = shape.size_class != MID_CLASSES ? shape.size_class : mid_pool_in(&heap->alloc, mid_address(entry))->size_class;
        if (MID_UNLIKELY_(size_class != cache.size_class)) {
            run_end(me, &cache);
            cache = run_begin(me, size_class);
        }
        if (MID_LIKELY_(cache.put < cache.room)) {
            cache.put++;
            MID_WRITE_(entry->count, 0);
            MID_WRITE_(entry->shared, cache.head);
            cache.head = handle;
        } else {
            if (!locked)
                mid_lock(heap);
            locked = true;
            uintptr_t unit = batch.unit;
            mid_batch_add(me, &batch, handle, entry);
            if (unit != batch.unit) { /* the pool before may have gone back to the system */
                uint64_t cost = least(paid(me, given) - gone, left - 1);
                gone += cost;
                left -= cost;
            }
        }
        left--;
        handle = next;
        if (handle == 0) {
            handle = pending;
            if (handle == 0)
                break;
            pending = MID_READ_(mid_entry_in(table, handle)->shared);
        }
        if (left == 0)
            break;
    }
    run_end(me, &cache);
    mid_batch_flush(me, &batch);
    if (locked)
        mid_unlock(heap);
    if (handle != 0) /* stopped early: it goes back on the list */
        MID_WRITE_(mid_entry_in(table, handle)->shared, pending);
    mid_decided(me);
    me->pending = handle;
    limit -= gone + left;
    count_pending(me, died - limit);
    return limit;
}

/* What others have to be told, once no lock is held and nothing is half done. */
static void tell_others(mid_impl *me)
{
    if (MID_UNLIKELY_(me->outbox_count == MID_OUTBOX))
        mid_outbox_flush(me);
    if (MID_UNLIKELY_(me->visit) && MID_READ_(me->state) == MID_T_RUNNING && !me->world)
        mid_visit_idle(me);
    if (MID_UNLIKELY_(me->credit < 0))
        mid_credit_used(me);
}

/* Objects, about a microsecond: most structures that die are no larger, and would pay too much for a look at the clock. */
#define UNTIMED 128u
#define CALLED 64u    /* callbacks of weak references at the end of a drain, at most */
#define CEREMONY 15u /* more of them that one which dies with ceremony counts for */

uint64_t mid_drain(mid_impl *me, uint64_t limit, unsigned flags)
{
    if (me->draining)
        return 0;
    me->draining = true;
    const uint64_t given = me->given;
    uint64_t done = 0, all = 0; /* without and with what giving memory back has cost */
    while (all < limit) {
        if (me->partial == 0 && !me->heap->debug)
            done += drain_plain(me, limit - all);
        all = done + paid(me, given);
        if (all >= limit || (me->partial == 0 && me->pending == 0))
            break;
        mid_handle handle = me->partial;
        if (handle == 0) {
            handle = me->pending;
            me->pending = MID_READ_(mid_entry_at(me->heap, handle)->shared);
        }
        bool gone = dispose(me, handle, flags);
        count_pending(me, (uint64_t)-(int64_t)gone);
        done += gone ? 1 : PIECE_COST;
        all = done + paid(me, given);
        if (flags & MID_DRAIN_BRIEFLY) /* ceremony takes longer, and a long array */
            limit = gone && limit > all + CEREMONY ? limit - CEREMONY : all;
    }
    me->draining = false;
    if (flags & MID_DRAIN_BRIEFLY && me->pending_count != 0) /* its caller goes on */
        return all;
    tell_others(me);
    if (me->pending_count != 0)
        mid_ask(me, MID_ASK_DRAIN);
    else
        MID_WRITE_(me->emptied, me->emptied + 1);
    if (MID_UNLIKELY_(MID_READ_(me->heap->weak_due) != 0) && flags & MID_DRAIN_FINALIZE)
        mid_final_run_due(me, CALLED);
    return all;
}

uint64_t mid_drain_timed(mid_impl *me, uint64_t limit, unsigned flags)
{
    if (me->draining)
        return 0;
    uint64_t done = mid_drain(me, limit < UNTIMED ? limit : UNTIMED, flags | MID_DRAIN_BRIEFLY);
    if (me->pending_count == 0)
        return done;
    mid_part part = {0};
    if (done < limit)
        part = mid_pause_begin(me, MID_PAUSE_DRAIN);
    done += mid_drain(me, limit - least(done, limit), flags);
    mid_pause_end(&part);
    return done;
}

/* What a type without ceremony refers to, then its slot; it is dying, and on no list. */
static inline __attribute__((always_inline)) void end_plain(mid_impl *me, mid_handle value, mid_entry *entry, uint64_t word, const mid_type_info *type)
{
    MID_WRITE_(entry->shared, 0);
    mid_slot *slot = (mid_slot *)(uintptr_t)(word & MID_ADDRESS_MASK_) + type->first_slot;
    for (uint32_t n = type->slot_count; n != 0; n--, slot++)
        drop(me, slot->bits_);
    mid_decided(me);
    unsigned size_class = me->pub.types[word >> MID_TYPE_SHIFT_].size_class; /* of fixed size: no look at the pool */
    if (MID_UNLIKELY_(size_class == MID_CLASSES) || MID_UNLIKELY_(!caches(me)) || !cache_put(me, size_class, value, entry))
        slot_free(me, value, entry);
    if (me->pending != 0)
        mid_drain_timed(me, me->heap->options.free_batch, MID_DRAIN_FINALIZE);
    else if (MID_UNLIKELY_(me->outbox_count == MID_OUTBOX) && !me->draining)
        tell_others(me);
}

/* A leaf that somebody is to be told of, the table of what is interned mostly: no list is needed for it. */
static void end_known(mid_impl *me, mid_handle value, mid_entry *entry)
{
    MID_WRITE_(entry->shared, 0);
    mid_decided(me);
    mid_free_entry(me, value, entry);
    if (me->pending != 0 || MID_READ_(me->heap->weak_due) != 0)
        mid_drain_timed(me, me->heap->options.free_batch, MID_DRAIN_FINALIZE);
    else if (MID_UNLIKELY_(me->outbox_count == MID_OUTBOX) && !me->draining)
        tell_others(me);
}

static __attribute__((noinline)) void release_last(mid_impl *me, mid_handle value)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, value);
    if (!mid_uncount(me, value, entry)) {
        mid_decided(me);
        if (!me->draining)
            tell_others(me);
        return;
    }
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    if (MID_LIKELY_(type->plain && (MID_READ_(entry->word) & MID_F_ALL) == 0 && !heap->debug && mid_callbacks == NULL)) {
        end_plain(me, value, entry, MID_READ_(entry->word), type);
        return;
    }
    if (type->leaf && (MID_READ_(entry->word) & MID_F_ALL) == MID_F_WEAK && !heap->debug && mid_callbacks == NULL &&
        (type->policy == NULL || type->policy->cache == 0)) {
        end_known(me, value, entry);
        return;
    }
    mid_died(me, value, entry);
    mid_decided(me);
    if (mid_busy(heap))
        mid_ask(me, MID_ASK_DRAIN);
    else
        mid_drain_timed(me, heap->options.free_batch, MID_DRAIN_FINALIZE);
}

/* The owner's last count. Not inline: leaves need no frame. */
static __attribute__((noinline)) void release_plain(mid_impl *me, mid_handle value, mid_entry *entry, const mid_type_info *type)
{
    uint32_t mine = mid_mine_(&me->pub, MID_READ_(entry->count));
    if (MID_UNLIKELY_(!type->plain || me->heap->debug || !mid_is_last(me, value, entry, mine))) {
        release_last(me, value);
        return;
    }
    MID_WRITE_(entry->count, MID_DYING_);
    end_plain(me, value, entry, MID_READ_(entry->word), type);
}

/* It is on trial; or one of several counts goes, or there are peculiarities. */
static __attribute__((noinline)) void release_touched(mid_impl *me, mid_handle value)
{
    mid_entry *entry = mid_entry_at(me->heap, value);
    uint32_t count = mid_touch(me, entry, MID_READ_(entry->count));
    if (!mid_kept(me, value, entry, count, mid_mine_(&me->pub, count), me->world))
        release_last(me, value);
}

/* The common cases in a straight line, without a frame: the owner's last count of a leaf, and room in the cache; a new suspect. What calls
 * others does so last. */
void mid_release_slow_(mid_thread *thread, mid_handle value)
{
    mid_impl *me = mid_impl_of(thread);
    mid_entry *entry = mid_entry_(thread, value);
    uint64_t word = MID_READ_(entry->word);
    uint32_t count = MID_READ_(entry->count), mine = mid_mine_(thread, count);
    if (mine - MID_ONE_ >= MID_ONE_) {
        if (MID_LIKELY_(!mid_watched(count)) && MID_LIKELY_(me->suspect_count != MID_SUSPECTS) &&
            mid_kept(me, value, entry, count, mine, me->world))
            return;
        release_touched(me, value);
        return;
    }
    if (MID_UNLIKELY_((word & MID_F_ALL) != 0 || mid_callbacks != NULL)) {
        release_last(me, value);
        return;
    }
    const mid_type_info *type = mid_type_at(me->heap, (mid_type)(word >> MID_TYPE_SHIFT_));
    if (!type->leaf) {
        release_plain(me, value, entry, type);
        return;
    }
    unsigned size_class = thread->types[word >> MID_TYPE_SHIFT_].size_class; /* of fixed size: no look at the pool */
    if (MID_UNLIKELY_(size_class == MID_CLASSES))
        size_class = mid_pool_in(&me->heap->alloc, (void *)(uintptr_t)(word & MID_ADDRESS_MASK_))->size_class;
    if (MID_LIKELY_(mid_is_last(me, value, entry, mine) && cache_put(me, size_class, value, entry)))
        mid_decided(me);
    else
        release_last(me, value);
}
