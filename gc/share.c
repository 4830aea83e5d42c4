/* gc/share.c: objects that several threads count.
 *
 * The scheme of PEP 703: the owner counts in `count`, plainly, the others in `shared`, atomically, and an object's count is
 * the sum. The others' half goes below zero when they release what the owner counted; then the owner is told (QUEUED, its
 * inbox) and merges: if the sum is zero the object dies, else the owner takes the others' half over and stays the owner. An
 * owner whose own half is used up while others still hold the object gives it up (MERGED): all counting is then atomic, and
 * who takes the last count frees it. For an owner that sleeps or has gone whoever told it merges in its place, having claimed
 * it. docs/design/threads.md: who writes what in which order; docs/design/models.md: what was explored. */
#include "gc/count.h"
#include "gc/freeze.h"
#include "gc/refs.h"

/* Of the most that an owner counts itself. */
#define HALF (int64_t)(MID_LOCAL_ / MID_ONE_ / 2)

static bool exchange(mid_entry *entry, uint32_t *seen, uint32_t next)
{
    return __atomic_compare_exchange_n(&entry->shared, seen, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* --- watched objects ------------------------------------------------------------------------------------------------------ */

/* Its flags again, and one more that was touched. Another thread's tag stays, but says nothing any more. */
uint32_t mid_touched(mid_impl *me, mid_entry *entry, uint32_t count)
{
    uint32_t plain = count & ~MID_WATCHED_, seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
    uint32_t flags = mid_known(count);
    MID_DELAY(TOUCH);
    while ((seen & MID_LIVE_) && (seen & flags) != flags)
        if (exchange(entry, &seen, seen | flags)) {
            MID_DELAY(TOUCHED);
            __atomic_fetch_add(&me->heap->touched, 1, __ATOMIC_SEQ_CST);
        }
    if (me->world || mid_owner(count) == me->id)
        MID_WRITE_(entry->count, plain);
    return plain;
}

void mid_watch_all(mid_heap *heap, bool on)
{
    heap->watching = on;
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        heap->threads[id]->pub.alone = !heap->options.shared && !on;
}

/* --- taking a count away ---------------------------------------------------------------------------------------------- */

static void merged(mid_heap *heap, uint64_t objects)
{
    MID_COUNT(heap, merged_objects, objects);
}

/* Neither half knew it for a suspect before. */
static void log_suspect(mid_impl *me, mid_handle value, const mid_entry *entry, uint32_t count, uint32_t shared)
{
    if (!(count & MID_SUSPECT_) && !(shared & MID_SHARED_SUSPECT_) && mid_type_of_entry(me->heap, entry)->cyclic)
        mid_suspected(me, value);
}

/* No owner from here on, or dead; `count` first: who sees MERGED must not find an owner. */
bool mid_last_shared(mid_impl *me, mid_handle value, mid_entry *entry)
{
    uint32_t was = MID_READ_(entry->count);
    MID_WRITE_(entry->count, MID_UNOWNED_ | (was & MID_AGES_));
    uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
    for (;;) {
        int32_t others = mid_others(seen);
        if (others > 0 ? exchange(entry, &seen, seen | MID_MERGED_ | MID_SHARED_SUSPECT_) : exchange(entry, &seen, 0)) {
            mid_decided(me);
            if (others <= 0)
                MID_WRITE_(entry->count, MID_DYING_);
            else
                merged(me->heap, 1);
            if (others > 0)
                log_suspect(me, value, entry, was, seen);
            return others <= 0;
        }
    }
}

/* The world stands: every half may be written. The sum counts, not the halves: what is queued may have a negative one. */
static bool uncount_still(mid_impl *me, mid_handle value, mid_entry *entry)
{
    if (mid_total(entry) <= 1) {
        MID_WRITE_(entry->count, MID_DYING_);
        return true;
    }
    uint32_t count = MID_READ_(entry->count), shared = MID_READ_(entry->shared);
    log_suspect(me, value, entry, count, shared);
    if (mid_local(count) > 1) {
        MID_WRITE_(entry->count, (count - MID_ONE_) | MID_SUSPECT_);
        return false;
    }
    if (mid_local(count) == 1)
        MID_WRITE_(entry->count, MID_UNOWNED_ | (count & MID_AGES_));
    else
        shared -= MID_SHARED_ONE_;
    MID_WRITE_(entry->shared, shared | MID_MERGED_ | MID_SHARED_SUSPECT_);
    return false;
}

static void tell_owner(mid_impl *me, mid_handle value)
{
    if (me->outbox_count == MID_OUTBOX)
        mid_outbox_flush(me);
    me->outbox[me->outbox_count++] = value;
    mid_ask(me, MID_ASK_FLUSH);
}

bool mid_uncount_other(mid_impl *me, mid_handle value, mid_entry *entry)
{
    uint32_t count = mid_touch(me, entry, MID_READ_(entry->count));
    if (mid_sticky(count) || count <= MID_DYING_) {
        if (mid_frozen(count))
            mid_side_count(me->heap, value, -1);
        return false;
    }
    uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
    if (me->world)
        return !mid_immortal(entry) && uncount_still(me, value, entry);
    for (;;) {
        int32_t others = mid_others(seen) - 1;
        if (!(seen & MID_LIVE_) || others + 1 >= MID_BAND)
            return false;
        uint32_t next = (seen - MID_SHARED_ONE_) | MID_SHARED_SUSPECT_;
        bool dies = (seen & MID_MERGED_) && others == 0;
        bool tell = !(seen & (MID_MERGED_ | MID_QUEUED_)) && others < 0;
        if (dies)
            next = 0;
        else if (tell)
            next |= MID_QUEUED_;
        if (!exchange(entry, &seen, next))
            continue;
        if (dies)
            MID_WRITE_(entry->count, MID_DYING_);
        else
            log_suspect(me, value, entry, count, seen);
        if (tell)
            tell_owner(me, value);
        return dies;
    }
}

/* --- boxes -------------------------------------------------------------------------------------------------------------- */

/* The handles of `me`'s outbox that are `to`'s. */
static uint32_t put(mid_impl *me, mid_impl *to)
{
    uint32_t kept = 0;
    bool room = mid_array_grow(&me->heap->alloc, &to->inbox, (to->inbox_count + MID_OUTBOX) * sizeof(mid_handle)) == MID_OK;
    mid_handle *box = to->inbox.data;
    uint32_t filled = to->inbox_count;
    for (uint32_t i = 0; i < me->outbox_count; i++) {
        mid_handle value = me->outbox[i];
        if (mid_owner(MID_READ_(mid_entry_at(me->heap, value)->count)) != to->id)
            me->outbox[kept++] = value;
        else if (room)
            box[filled++] = value;
        else
            __atomic_store_n(&me->heap->lost_merges, 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&to->inbox_count, filled, __ATOMIC_SEQ_CST);
    return kept;
}

/* Who only polls from here on comes to it too. */
static void visit_due(mid_impl *me)
{
    me->visit = true;
    mid_ask(me, MID_ASK_FLUSH);
}

void mid_orphaned(mid_heap *heap)
{
    __atomic_store_n(&heap->orphans, 1, __ATOMIC_SEQ_CST);
    mid_ask_all(heap, MID_ASK_DRAIN);
}

/* In `memory`, for the inbox may grow. Then the look at the owner's state: it looks at its inbox after it has stored the
 * state (mid_block), so one of the two sees the other. */
static void deliver(mid_impl *me, mid_impl *to)
{
    mid_lock(me->heap);
    pthread_mutex_lock(&to->inbox_lock);
    me->outbox_count = put(me, to);
    pthread_mutex_unlock(&to->inbox_lock);
    mid_unlock(me->heap);
    if (__atomic_load_n(&to->state, __ATOMIC_SEQ_CST) == MID_T_RUNNING)
        mid_ask(to, MID_ASK_MERGE);
    else if (to != me)
        visit_due(me);
}

void mid_outbox_flush(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_unask(me, MID_ASK_FLUSH); /* first: to deliver may ask again */
    while (me->outbox_count != 0) {
        uint32_t owner = mid_owner(MID_READ_(mid_entry_at(heap, me->outbox[0])->count));
        bool gone = owner == 0 || owner > mid_thread_places(heap);
        if (gone || mid_lost(heap->threads[owner])) {
            /* Its owner gave it up or freed it since, or will never look. */
            me->outbox[0] = me->outbox[--me->outbox_count];
            continue;
        }
        deliver(me, heap->threads[owner]);
    }
}

/* As the owner, or with its rights: take the others' half over. True: it dies. */
static bool fold(mid_impl *me, mid_impl *of, mid_handle value, mid_entry *entry)
{
    uint32_t count = mid_touch(of, entry, MID_READ_(entry->count)), seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
    if (mid_sticky(count) || mid_owner(count) != of->id)
        return false; /* an old message: it was given up, or died, and its name may be another's */
    for (;;) {
        int64_t total = (int64_t)mid_local(count) + mid_others(seen);
        if (!(seen & MID_LIVE_) || !(seen & MID_QUEUED_) || mid_others(seen) >= MID_BAND)
            return false;
        int64_t own = total < HALF ? total : HALF;
        uint32_t next = total <= 0 ? 0 : mid_with_others(seen, total - own) & ~MID_QUEUED_;
        if (!exchange(entry, &seen, next))
            continue;
        if (total > 0)
            log_suspect(me, value, entry, count, seen);
        uint32_t kept = count & (~(MID_LOCAL_ - 1) | MID_AGES_);
        MID_WRITE_(entry->count, total <= 0 ? MID_DYING_ : kept | (uint32_t)own * MID_ONE_ | MID_SUSPECT_);
        return total <= 0;
    }
}

/* It was handed to another thread after its owner had been looked up for this message: that thread is to be told. */
static bool is_anothers(const mid_impl *of, const mid_entry *entry)
{
    uint32_t count = MID_READ_(entry->count), owner = mid_owner(count), seen = MID_READ_(entry->shared);
    return (seen & (MID_LIVE_ | MID_QUEUED_ | MID_MERGED_)) == (MID_LIVE_ | MID_QUEUED_) && !mid_sticky(count) &&
           owner != of->id && owner != 0 && owner <= mid_thread_places(of->heap);
}

/* What dies goes on the work list of `me`. */
void mid_inbox_merge(mid_impl *me, mid_impl *of)
{
    mid_handle batch[MID_OUTBOX];
    uint32_t n;
    if (of == me)
        mid_unask(me, MID_ASK_MERGE);
    do {
        pthread_mutex_lock(&of->inbox_lock);
        n = of->inbox_count < MID_OUTBOX ? of->inbox_count : MID_OUTBOX;
        for (uint32_t i = 0; i < n; i++)
            batch[i] = ((mid_handle *)of->inbox.data)[of->inbox_count - n + i];
        __atomic_store_n(&of->inbox_count, of->inbox_count - n, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&of->inbox_lock);
        for (uint32_t i = 0; i < n; i++)
            __builtin_prefetch(mid_entry_at(me->heap, batch[i]), 1);
        for (uint32_t i = 0; i < n; i++) {
            mid_entry *entry = mid_entry_at(me->heap, batch[i]);
            if (fold(me, of, batch[i], entry))
                mid_died(me, batch[i], entry);
            else if (is_anothers(of, entry))
                tell_owner(me, batch[i]);
        }
        if (n != 0)
            merged(me->heap, n);
    } while (n != 0);
}

/* As if it ran: with its rights its own objects cost no message each. */
static void work_for(mid_impl *me, mid_impl *of)
{
    mid_inbox_merge(of, of);
    mid_drain(of, me->heap->options.free_batch, 0);
    mid_outbox_flush(of);
    if (of->visit)
        visit_due(me);
    of->visit = false;
    if (of->pending_count != 0)
        mid_orphaned(me->heap);
}

/* Threads that do not run cannot merge: claimed one at a time, for the length of it. One that runs again looks itself; one that
 * a stopper holds is looked after when the world goes on. */
void mid_visit_idle(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_part part = mid_pause_begin(me, MID_PAUSE_NEWS);
    pthread_mutex_lock(&heap->lock);
    me->visit = false;
    __atomic_exchange_n(&heap->orphans, 0, __ATOMIC_SEQ_CST); /* before it looks at anybody's state */
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++) {
        mid_impl *of = heap->threads[id];
        uint32_t state = __atomic_load_n(&of->state, __ATOMIC_SEQ_CST);
        if (of == me || (!mid_has_news(of) && MID_READ_(of->pending_count) == 0))
            continue;
        if (state == MID_T_CLAIMED)
            visit_due(me); /* later */
        if (state != MID_T_BLOCKED && state != MID_T_ABSENT)
            continue;
        if (!mid_claim(of, state))
            continue;
        work_for(me, of);
        __atomic_store_n(&of->state, state, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&heap->lock);
    mid_pause_end(&part);
}

bool mid_reclaim_idle(mid_impl *me)
{
    mid_heap *heap = me->heap;
    bool any = false;
    if (me->draining) /* in the middle of something, perhaps with `memory` held, which comes after `lock` */
        return false;
    pthread_mutex_lock(&heap->lock);
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++) {
        mid_impl *of = heap->threads[id];
        uint32_t state = __atomic_load_n(&of->state, __ATOMIC_SEQ_CST);
        if (of == me || (state != MID_T_BLOCKED && state != MID_T_ABSENT) ||
            !mid_claim(of, state))
            continue;
        do
            work_for(me, of);
        while (of->pending_count != 0);
        for (unsigned i = 0; i < MID_CLASSES; i++)
            any |= of->owned[i] != NULL || of->pub.left[i] != 0;
        mid_caches_flush(of);
        __atomic_store_n(&of->state, state, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&heap->lock);
    return any;
}

/* Without memory for a message the object kept its flag: a look at the table finds it. */
static void find_lost(mid_impl *me)
{
    mid_heap *heap = me->heap;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        mid_entry *entry = heap->table + i;
        uint32_t count = entry->count, owner = mid_owner(count);
        if (!mid_entry_live(entry) || mid_sticky(count) || owner == 0 || owner > heap->thread_count)
            continue;
        if ((entry->shared & (MID_LIVE_ | MID_QUEUED_)) == (MID_LIVE_ | MID_QUEUED_) &&
            fold(me, heap->threads[owner], i * 2, entry))
            mid_died(me, i * 2, entry);
    }
}

void mid_boxes_settle(mid_impl *me)
{
    mid_heap *heap = me->heap;
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (!mid_lost(heap->threads[id]) && heap->threads[id]->outbox_count != 0)
            mid_outbox_flush(heap->threads[id]);
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        if (!mid_lost(heap->threads[id]))
            mid_inbox_merge(me, heap->threads[id]);
        heap->threads[id]->visit = false;
    }
    if (heap->lost_merges) {
        heap->lost_merges = 0;
        find_lost(me);
    }
}

/* --- counting up ---------------------------------------------------------------------------------------------------------- */

/* It holds the object already, so that it lives. */
static void count_up(mid_entry *entry, uint32_t more)
{
    uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_RELAXED);
    do
        if (!(seen & MID_LIVE_) || mid_others(seen) >= MID_BAND)
            return;
    while (!exchange(entry, &seen, seen + more * MID_SHARED_ONE_));
}

void mid_retain_slow_(mid_thread *thread, mid_handle value)
{
    mid_entry *entry = mid_entry_(thread, value);
    uint32_t count = mid_touch(mid_impl_of(thread), entry, MID_READ_(entry->count));
    if (mid_sticky(count) || count <= MID_DYING_) {
        if (mid_frozen(count))
            mid_side_count(mid_impl_of(thread)->heap, value, 1);
        return;
    }
    if (mid_mine_(thread, count) >= MID_LOCAL_) {
        count_up(entry, 1);
        return;
    }
    if (mid_mine_(thread, count) < MID_LOCAL_ - MID_ONE_) { /* it was watched */
        MID_WRITE_(entry->count, count + MID_ONE_);
        return;
    }
    /* The owner's half is full: half of it moves to the others'. */
    count_up(entry, (uint32_t)HALF);
    MID_WRITE_(entry->count, count - (uint32_t)HALF * MID_ONE_ + MID_ONE_);
}

mid_status mid_immortalize(mid_thread *thread, mid_handle object)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    uint32_t count = mid_touch(mid_impl_of(thread), entry, MID_READ_(entry->count));
    if (mid_mine_(thread, count) < MID_LOCAL_)
        MID_WRITE_(entry->count, MID_STICKY_);
    uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_RELAXED);
    while ((seen & MID_LIVE_) && mid_others(seen) < MID_BAND && !exchange(entry, &seen, mid_with_others(seen, MID_BAND + MID_BAND / 2)))
        ;
    return MID_OK;
}

/* --- first loads ------------------------------------------------------------------------------------------------------------ */

/* The caller holds it, or it is its own. */
void mid_escape_(mid_thread *thread, mid_handle value)
{
    mid_entry *entry = mid_entry_(thread, value);
    mid_touch(mid_impl_of(thread), entry, MID_READ_(entry->count));
    if (mid_entry_live(entry) && !(MID_READ_(entry->shared) & MID_ESCAPED_))
        __atomic_fetch_or(&entry->shared, MID_ESCAPED_, __ATOMIC_RELAXED);
}

#define SIBLINGS 64u

typedef struct siblings {
    mid_impl *me;
    const mid_slot *at;
    mid_handle handle[SIBLINGS];
    unsigned count;
    bool passed; /* `at` was seen: those that follow it are likely next */
} siblings;

static bool mark(mid_impl *me, mid_handle value, uint32_t flag, uint32_t if_set)
{
    mid_entry *entry = mid_entry_at(me->heap, value);
    mid_touch(me, entry, MID_READ_(entry->count));
    uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
    do
        if (!(seen & MID_LIVE_) || (seen & (MID_ESCAPED_ | MID_MERGED_)) || (seen & if_set) != if_set)
            return false;
    while (!exchange(entry, &seen, seen | flag));
    return true;
}

static void consider(void *context, mid_slot *slot)
{
    siblings *s = context;
    s->passed |= slot == s->at;
    if (!s->passed || s->count == SIBLINGS)
        return;
    mid_handle value = __atomic_load_n(&slot->bits_, __ATOMIC_ACQUIRE);
    if (mid_is_object_(value) && mark(s->me, value, MID_ESCAPING_, 0))
        s->handle[s->count++] = value;
}

static void siblings_of(siblings *s, mid_handle holder)
{
    mid_entry *entry = mid_entry_at(s->me->heap, holder);
    const mid_type_info *type = mid_type_of_entry(s->me->heap, entry);
    mid_slot *items = type->items_are_refs ? mid_item_slots(type, mid_address(entry)) : NULL;
    if (items != NULL && s->at >= items) {
        size_t from = (size_t)(s->at - items), end = mid_items(type, mid_address(entry));
        for (size_t i = from; i < end && i < from + SIBLINGS; i++)
            consider(s, items + i);
    } else if (type->trace == NULL) {
        mid_refs_fixed(s->me->heap, type, mid_address(entry), consider, s);
    } else {
        consider(s, (mid_slot *)s->at);
    }
}

/* An object that another thread has only put into place with mid_init: its owner may be about to free it without looking twice.
 * Mark it; make every thread pass a barrier; wait until no thread is deciding its death. Whoever decides later sees the
 * mark. If the name has gone to another object meanwhile, that one has no mark: marks are made by one thread at a time. */
static void force_escape(mid_impl *me, mid_handle holder, const mid_slot *at)
{
    mid_heap *heap = me->heap;
    siblings s = {.me = me, .at = at};
    mid_part part = mid_pause_begin(me, MID_PAUSE_LOAD);
    pthread_mutex_lock(&heap->escapes);
    siblings_of(&s, holder);
    if (s.count != 0)
        mid_all_threads_barrier();
    for (unsigned i = 0; i < s.count; i++) {
        for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
            while (__atomic_load_n(&heap->threads[id]->pub.dying, __ATOMIC_ACQUIRE) == s.handle[i] && heap->threads[id] != me)
                mid_yield();
        mark(me, s.handle[i], MID_ESCAPED_, MID_ESCAPING_);
    }
    pthread_mutex_unlock(&heap->escapes);
    mid_pause_end(&part);
    MID_COUNT(heap, escapes_forced, s.count != 0);
}

#define TRIES 1000

mid_handle mid_load_slow_(mid_thread *thread, mid_handle holder, unsigned slot)
{
    mid_impl *me = mid_impl_of(thread);
    const mid_slot *at = mid_slot_(thread, holder, slot);
    unsigned tries = 0;
    for (;;) {
        mid_handle value = __atomic_load_n(&at->bits_, __ATOMIC_ACQUIRE);
        if (!mid_is_object_(value))
            return value;
        mid_entry *entry = mid_entry_(thread, value);
        uint32_t count = mid_touch(me, entry, __atomic_load_n(&entry->count, __ATOMIC_ACQUIRE));
        bool counted = false;
        if (mid_sticky(count)) {
            counted = MID_READ_(at->bits_) == value;
            if (counted && mid_frozen(count))
                mid_side_count(me->heap, value, 1);
        } else if (mid_mine_(thread, count) < MID_LOCAL_) {
            counted = MID_READ_(at->bits_) == value;
            if (counted)
                (mid_retain)(thread, value);
        } else {
            uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
            if (!(seen & MID_LIVE_)) {
                if (me->heap->any_lost && ++tries == TRIES)
                    return 0; /* a thread that did not survive a fork was about to store something else */
                continue;
            }
            if (!(seen & (MID_ESCAPED_ | MID_MERGED_))) {
                force_escape(me, holder, at);
                continue;
            }
            bool sticks = mid_others(seen) >= MID_BAND;
            if (!sticks && !exchange(entry, &seen, seen + MID_SHARED_ONE_))
                continue;
            counted = MID_READ_(at->bits_) == value;
            if (!counted && !sticks)
                (mid_release)(thread, value);
        }
        if (counted)
            return value;
    }
}
