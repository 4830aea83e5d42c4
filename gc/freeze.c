/* gc/freeze.c: all that lives becomes permanent for the collector, and nobody writes to its entries or moves it, so that the pages
 * of a forked child stay shared with its parent; and back again.
 *
 * Both stop the world: a thread that stands at a safepoint has no count half taken and no reading of a count word in hand, so
 * there is nothing to race with. While an object is frozen its word is sticky for all who look at it (inline.h sends them to
 * the slow paths, and those to side.c). */
#include "gc/freeze.h"
#include "gc/policy.h"

#include "midden/freeze.h"

#define HALF (int64_t)(MID_LOCAL_ / MID_ONE_ / 2) /* of the most that an owner counts itself */

int64_t mid_total_frozen(mid_heap *heap, uint32_t index)
{
    const mid_entry *entry = heap->table + index;
    return (int64_t)mid_local(mid_was(heap, index)) + mid_others(MID_READ_(entry->shared)) + mid_side_more(heap, index * 2);
}

/* --- freezing ----------------------------------------------------------------------------------------------------------- */

static mid_status open_freezer(mid_heap *heap)
{
    mid_status status = MID_OK;
    if (heap->freezer == NULL) {
        mid_array memory = {0};
        status = mid_array_grow(&heap->alloc, &memory, sizeof(mid_freezer));
        if (status != MID_OK)
            return status;
        heap->freezer = memory.data;
        mid_sides_open(heap->freezer);
    }
    status = mid_array_grow(&heap->alloc, &heap->freezer->was, (size_t)heap->next_index * sizeof(uint32_t));
    if (status != MID_OK && heap->freezer->objects == 0)
        mid_freezer_close(heap);
    return status;
}

static void freeze_objects(mid_heap *heap)
{
    uint32_t *was = heap->freezer->was.data;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        mid_entry *entry = heap->table + i;
        if (!mid_entry_live(entry) || mid_immortal(entry))
            continue;
        bool cyclic = mid_type_of_entry(heap, entry)->cyclic;
        was[i] = entry->count | (entry->shared & MID_ESCAPED_ ? 0 : MID_WAS_ALONE);
        MID_WRITE_(entry->shared, (entry->shared | MID_ESCAPED_) & ~(cyclic ? MID_SHARED_SUSPECT_ : 0));
        MID_WRITE_(entry->count, MID_FROZEN_);
        heap->freezer->objects++;
    }
}

/* Empty ones are as good as new; what a lost thread owns is touched by nobody anyway. */
static void freeze_pools(mid_alloc *a)
{
    for (unsigned i = 0; i < MID_CLASSES; i++)
        for (unsigned list = 0; list <= MID_POOL_FULL; list++)
            while (a->classes[i].list[list] != NULL)
                mid_pool_freeze(a, a->classes[i].list[list]);
}

/* Garbage would be kept, and holes: so first it is collected, and what is left is brought together, as far as there is memory for it. */
static mid_status freeze_collected(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_collect_result collected;
    mid_compact_result compacted;
    mid_status status = mid_cycles_collect(me, &collected);
    if (status != MID_OK)
        return status;
    mid_compact_run(me, 0, &compacted);
    mid_gather_run(heap, 0, &compacted.moved_pools);
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (!mid_lost(heap->threads[id]))
            mid_caches_flush(heap->threads[id]);
    status = open_freezer(heap);
    if (status != MID_OK)
        return status;
    freeze_objects(heap);
    freeze_pools(&heap->alloc);
    return MID_OK;
}

/* The world stands. What waits to be an object again would be written to: nothing does, and nothing of what dies of that begins to. */
static mid_status freeze(mid_impl *me)
{
    mid_policies_shut(me);
    mid_policies_empty(me, true);
    mid_status status = freeze_collected(me);
    mid_policies_open(me);
    return status;
}

mid_status mid_freeze(mid_thread *thread)
{
    mid_status status = mid_collect(thread, NULL);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    mid_part part = mid_pause_begin(me, MID_PAUSE_COMPACT);
    status = mid_whole_enter(me);
    if (status == MID_OK) {
        status = freeze(me);
        mid_whole_leave(me);
        mid_policies_refill(me);
    }
    mid_pause_end(&part);
    return status;
}

/* --- thawing ------------------------------------------------------------------------------------------------------------ */

/* Its count fell meanwhile, so that it may hold itself: as if it had been let go of now. */
static void suspect(mid_impl *me, mid_handle object, mid_entry *entry)
{
    if (!mid_type_of_entry(me->heap, entry)->cyclic || (entry->count & MID_SUSPECT_))
        return;
    if (entry->shared & MID_MERGED_)
        MID_WRITE_(entry->shared, entry->shared | MID_SHARED_SUSPECT_);
    else
        MID_WRITE_(entry->count, entry->count | MID_SUSPECT_);
    mid_suspected(me, object);
}

/* Both halves may be written while the world stands. An owner that would count less than the others have let go of takes their
 * half over, as in a merge; what goes beyond the band sticks. */
static void divide(mid_entry *entry, uint32_t was, int64_t others)
{
    int64_t total = (int64_t)mid_local(was) + others;
    if (mid_local(was) != 0 && others < 0 && !(entry->shared & MID_QUEUED_)) {
        int64_t own = total < HALF ? total : HALF;
        was = (was & (~(MID_LOCAL_ - 1) | MID_SUSPECT_ | MID_AGES_)) | (uint32_t)own * MID_ONE_;
        others = total - own;
    }
    if (others >= MID_BAND)
        others = MID_BAND + MID_BAND / 2;
    MID_WRITE_(entry->shared, mid_with_others(entry->shared, others));
    MID_WRITE_(entry->count, was);
}

static void thaw(mid_impl *me, uint32_t index)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = heap->table + index;
    uint32_t was = mid_was(heap, index) & ~MID_WAS_ALONE;
    int32_t more = mid_side_more(heap, index * 2), others = mid_others(entry->shared);
    if ((heap->weak_heads.count != 0 && mid_map_get(&heap->weak_heads, index) != 0) || /* a map's own cells, too */
        mid_interned_here(heap, index * 2))
        MID_WRITE_(entry->word, entry->word | MID_F_WEAK);
    else if (entry->word & MID_F_WEAK && !mid_traced(heap, index * 2))
        MID_WRITE_(entry->word, entry->word & ~MID_F_WEAK);
    if (others >= MID_BAND) { /* made immortal meanwhile */
        MID_WRITE_(entry->count, was);
        return;
    }
    if ((int64_t)mid_local(was) + others + more <= 0) {
        MID_WRITE_(entry->count, MID_DYING_);
        mid_died(me, index * 2, entry);
        return;
    }
    if (more == 0 && (mid_was(heap, index) & MID_WAS_ALONE))
        MID_WRITE_(entry->shared, entry->shared & ~MID_ESCAPED_);
    divide(entry, was, (int64_t)others + more);
    if (more < 0)
        suspect(me, index * 2, entry);
}

static void thaw_pools(mid_alloc *a)
{
    for (unsigned i = 0; i < MID_CLASSES; i++)
        while (a->classes[i].list[MID_POOL_FROZEN] != NULL)
            mid_pool_put(a, a->classes[i].list[MID_POOL_FROZEN]);
}

/* A count that fell and rose again leaves no difference, but a cycle may have lost its last holder meanwhile: the next collection
 * looks at all, and so does the daemon, in a sweep. */
static void thaw_all(mid_impl *me)
{
    mid_heap *heap = me->heap;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++)
        if (mid_frozen(heap->table[i].count))
            thaw(me, i);
    thaw_pools(&heap->alloc);
    mid_freezer_close(heap);
    me->pub.moved |= 1;
    __atomic_fetch_add(&heap->unresolved, 1, __ATOMIC_RELAXED);
}

mid_status mid_unfreeze(mid_thread *thread)
{
    mid_status status = mid_work_begin(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    mid_part part = mid_pause_begin(me, MID_PAUSE_COMPACT);
    status = mid_whole_enter(me);
    if (status == MID_OK) {
        if (me->heap->freezer != NULL)
            thaw_all(me);
        mid_whole_leave(me);
        if (me->pending_count != 0) {
            mid_ask(me, MID_ASK_DRAIN);
            mid_serve(me);
        }
    }
    mid_pause_end(&part);
    return status;
}

int mid_is_frozen(mid_thread *thread, mid_handle object)
{
    mid_status status;
    const mid_entry *entry = mid_checked(thread, object, &status);
    return entry != NULL && mid_frozen(MID_READ_(entry->count));
}

/* --- all of it ------------------------------------------------------------------------------------------------------------ */

void mid_freezer_close(mid_heap *heap)
{
    if (heap->freezer == NULL)
        return;
    mid_sides_close(heap);
    mid_array_drop(heap, &heap->freezer->was);
    mid_array memory = {heap->freezer, mid_round(sizeof(mid_freezer), MID_PAGE)};
    heap->freezer = NULL;
    mid_array_drop(heap, &memory);
}

static const char *check_sides(mid_heap *heap)
{
    uint64_t more = 0;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++)
        more += mid_frozen(heap->table[i].count) && mid_side_more(heap, i * 2) != 0;
    return more == mid_side_objects(heap) ? NULL : "the side table counts what is not frozen";
}

const char *mid_freeze_check(mid_heap *heap)
{
    uint64_t frozen = 0;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_frozen(entry->count))
            continue;
        frozen++;
        if (heap->freezer == NULL || (i + 1) * sizeof(uint32_t) > heap->freezer->was.bytes || mid_was(heap, i) == 0)
            return "an object is frozen, and nobody knows what its count was";
        if (!(entry->shared & MID_ESCAPED_) || !(entry->shared & MID_LIVE_))
            return "a frozen object would be written to by a store";
    }
    if (heap->freezer == NULL)
        return NULL;
    return frozen == heap->freezer->objects ? check_sides(heap) : "the number of frozen objects is wrong";
}
