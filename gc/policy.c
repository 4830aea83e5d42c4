/* gc/policy.c: free lists, objects made ahead, the cache of what was interned; emptying them when memory is wanted.
 *
 * An object that waits here is alive for everything else, held by one count of the heap's, without an owner: it may be anybody's
 * next. So moving, renaming, checking, forking need not know of it; what is counted outside slots keeps its handle. */
#include <string.h>

#include "gc/policy.h"
#include "gc/refs.h"

#define KEEP_MOST (1u << 20)
#define HELD (MID_LIVE_ | MID_ESCAPED_ | MID_MERGED_ | MID_SHARED_ONE_) /* `shared` of what the heap alone holds */

mid_status mid_policy_check_desc(const mid_type_desc *desc)
{
    bool interned = (desc->flags & MID_INTERNED) != 0;
    if (desc->keep > KEEP_MOST || desc->ahead > KEEP_MOST || desc->cached > KEEP_MOST)
        return MID_ESIZE;
    if ((desc->keep != 0 || desc->ahead != 0) && (desc->item_size != 0 || desc->trace != NULL || (desc->flags & MID_IMMORTAL)))
        return MID_EINVAL; /* of one size, with slots that can be cleared, that die */
    if (interned != (desc->hash != NULL) || interned != (desc->equal != NULL))
        return MID_EINVAL;
    if (desc->cached != 0 && (!interned || desc->finalize != NULL || (desc->flags & MID_IMMORTAL)))
        return MID_EINVAL; /* who would find it again? */
    return MID_OK;
}

mid_status mid_policy_open(mid_heap *heap, mid_type_info *info, const mid_type_desc *desc, mid_type type)
{
    info->immortal = (desc->flags & MID_IMMORTAL) != 0;
    info->policy = NULL;
    uint32_t keep = desc->keep > desc->ahead ? desc->keep : desc->ahead;
    if (keep == 0 && !(desc->flags & MID_INTERNED))
        return MID_OK;
    mid_array memory = {0};
    mid_status status = mid_array_grow(&heap->alloc, &memory, sizeof(mid_policy));
    if (status != MID_OK)
        return status;
    mid_policy *policy = memory.data;
    *policy = (mid_policy){.memory = memory, .type = type, .interned = (desc->flags & MID_INTERNED) != 0, .keep = keep, .ahead = desc->ahead,
                           .cache = desc->cached, .hash = desc->hash, .equal = desc->equal, .context = desc->policy_context};
    policy->asks = !desc->items_are_refs && desc->ref_count == 0 && desc->trace == NULL;
    policy->stats.kept_most = keep;
    policy->stats.cached_most = desc->cached;
    if (keep != 0)
        status = mid_list_room(heap, &policy->kept, keep);
    if (status == MID_OK && policy->cache != 0)
        status = mid_list_room(heap, &policy->cached, policy->cache);
    if (status != MID_OK) {
        mid_policy_close(heap, policy);
        return status;
    }
    info->policy = policy;
    if (keep != 0) { /* every death is to come by here, and every birth */
        info->plain = info->leaf = false;
        info->keeps = true;
    }
    return MID_OK;
}

void mid_policy_close(mid_heap *heap, mid_policy *policy)
{
    if (policy == NULL)
        return;
    mid_array memory = policy->memory;
    mid_array_free(&heap->alloc, &policy->kept.memory);
    mid_array_free(&heap->alloc, &policy->cached.memory);
    mid_intern_close(heap, policy);
    mid_array_free(&heap->alloc, &memory);
}

/* --- free lists ----------------------------------------------------------------------------------------------------------- */

/* Nothing but the heap holds it, with one count. */
static void hold(mid_entry *entry)
{
    MID_WRITE_(entry->count, MID_UNOWNED_);
    __atomic_store_n(&entry->shared, HELD, __ATOMIC_RELEASE);
}

/* All but the payload, which is the next one's to use again. */
static void clear(const mid_type_info *info, char *object)
{
    void *payload = NULL;
    if (info->payload_free != NULL)
        memcpy(&payload, object + info->payload_offset, sizeof payload);
    if (!info->uncleared)
        memset(object, 0, info->size);
    if (info->payload_free != NULL)
        memcpy(object + info->payload_offset, &payload, sizeof payload);
}

bool mid_policy_keep(mid_impl *me, const mid_type_info *info, mid_handle handle, mid_entry *entry)
{
    mid_policy *policy = info->policy;
    mid_heap *heap = me->heap;
    if (heap->debug) /* a stale handle is to be told, and a payload used after its end */
        return false;
    mid_lock(heap);
    bool leaves = policy->leaving != 0 && (MID_READ_(entry->word) & MID_F_FINALIZED);
    bool room = policy->kept.count < policy->keep && !policy->empties && heap->shut == 0 && !leaves;
    policy->leaving -= leaves;
    if (room) {
        clear(info, mid_address(entry));
        __atomic_fetch_and(&entry->word, ~MID_F_FINALIZED, __ATOMIC_RELAXED);
        hold(entry);
        *mid_list_at(&policy->kept, policy->kept.count++) = handle;
    }
    mid_unlock(heap);
    return room;
}

mid_handle mid_policy_reuse(mid_impl *me, mid_policy *policy)
{
    mid_heap *heap = me->heap;
    mid_handle handle = 0;
    mid_lock(heap);
    if (policy->kept.count != 0) {
        handle = *mid_list_at(&policy->kept, --policy->kept.count);
        policy->stats.reused++;
        mid_entry *entry = mid_entry_at(heap, handle);
        mid_touch(me, entry, MID_READ_(entry->count));
        MID_WRITE_(entry->count, (uint32_t)me->pub.bias | mid_type_at(heap, policy->type)->born);
        __atomic_store_n(&entry->shared, me->pub.fresh, __ATOMIC_RELEASE);
    } else {
        policy->stats.made++;
    }
    mid_unlock(heap);
    return handle;
}

mid_status mid_policy_fill(mid_impl *me, mid_type type)
{
    mid_policy *policy = mid_type_at(me->heap, type)->policy;
    for (uint32_t i = 0; policy != NULL && i < policy->ahead; i++) {
        mid_handle made;
        mid_status status = mid_make_new(me, type, &made);
        if (status != MID_OK)
            return status;
        hold(mid_entry_at(me->heap, made));
        *mid_list_at(&policy->kept, policy->kept.count++) = made;
    }
    return MID_OK;
}

/* --- the cache -------------------------------------------------------------------------------------------------------------- */

/* The heap's count goes. What dies of it dies for good: it is marked. True: it dies. */
static bool let_go(mid_impl *me, mid_handle handle)
{
    mid_entry *entry = mid_entry_at(me->heap, handle);
    if (!mid_uncount(me, handle, entry))
        return false;
    __atomic_fetch_or(&entry->word, MID_F_FINALIZED, __ATOMIC_RELAXED);
    mid_died(me, handle, entry);
    return true;
}

static void put(mid_impl *me, mid_policy *policy, mid_handle handle)
{
    uint32_t *place = mid_list_at(&policy->cached, policy->cached_at);
    mid_handle oldest = policy->cached.count == policy->cache ? *place : 0;
    *place = handle;
    policy->cached_at = policy->cached_at + 1 == policy->cache ? 0 : policy->cached_at + 1;
    if (oldest == 0) {
        policy->cached.count++;
        return;
    }
    policy->stats.evicted++;
    let_go(me, oldest);
    mid_decided(me);
}

bool mid_policy_cache(mid_impl *me, mid_policy *policy, mid_handle handle, mid_entry *entry)
{
    mid_heap *heap = me->heap;
    const uint64_t flags = MID_READ_(entry->word);
    if (policy->cache == 0 || !(flags & MID_F_WEAK) || (flags & (MID_F_FINALIZED | MID_F_LARGE)) || heap->debug)
        return false; /* a cache of large objects would be bounded by nothing */
    mid_lock(heap);
    bool again = heap->shut == 0 && mid_intern_again(heap, policy, handle);
    if (again) {
        hold(entry);
        put(me, policy, handle);
    }
    mid_unlock(heap);
    return again;
}

/* --- emptying ----------------------------------------------------------------------------------------------------------------- */

static bool empty_cache(mid_impl *me, mid_policy *policy)
{
    uint32_t count = policy->cached.count;
    for (uint32_t i = 0; i < count; i++)
        policy->leaving += let_go(me, *mid_list_at(&policy->cached, i)) && policy->keep != 0;
    mid_decided(me);
    policy->cached.count = policy->cached_at = 0;
    policy->stats.emptied += count;
    return count != 0;
}

/* One at a time: what frees a payload runs without the lock, if the caller has it but once. */
static bool empty_kept(mid_impl *me, mid_policy *policy, uint32_t leave)
{
    bool any = policy->kept.count > leave;
    for (uint32_t most = policy->kept.count; most != 0 && policy->kept.count > leave; most--) {
        mid_handle handle = *mid_list_at(&policy->kept, --policy->kept.count);
        mid_entry *entry = mid_entry_at(me->heap, handle);
        mid_touch(me, entry, MID_READ_(entry->count));
        MID_WRITE_(entry->count, MID_DYING_);
        MID_WRITE_(entry->shared, 0);
        policy->stats.emptied++;
        mid_unlock(me->heap);
        mid_free_entry(me, handle, entry);
        mid_lock(me->heap);
    }
    return any;
}

void mid_policy_abandon(mid_impl *me, mid_policy *policy)
{
    mid_lock(me->heap);
    policy->empties = true;
    empty_kept(me, policy, 0);
    mid_unlock(me->heap);
}

/* Several may be at it, and a forked child goes on without those that it has lost (mid_policies_in_child). */
void mid_policies_shut(mid_impl *me)
{
    mid_lock(me->heap);
    me->heap->shut++;
    me->shut++;
    mid_unlock(me->heap);
}

void mid_policies_open(mid_impl *me)
{
    mid_lock(me->heap);
    me->heap->shut--;
    me->shut--;
    mid_unlock(me->heap);
}

void mid_policies_in_child(mid_heap *heap, const mid_impl *self)
{
    heap->shut = self != NULL ? self->shut : 0;
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (heap->threads[id] != self)
            heap->threads[id]->shut = 0;
}

bool mid_policies_empty(mid_impl *me, bool all)
{
    mid_heap *heap = me->heap;
    bool any = false;
    if (!MID_READ_(heap->any_policy))
        return false;
    mid_lock(heap);
    mid_policies_shut(me);
    for (mid_type type = 1; type <= heap->type_count; type++) {
        mid_policy *policy = mid_type_at(heap, type)->policy;
        if (policy == NULL)
            continue;
        any |= empty_cache(me, policy);
        any |= empty_kept(me, policy, all ? 0 : policy->ahead);
        if (policy->interned)
            mid_intern_purge(heap, policy);
    }
    mid_policies_open(me);
    mid_unlock(heap);
    return any;
}

/* Others may keep some meanwhile: there are as many then. */
static bool one_more(mid_impl *me, mid_policy *policy)
{
    mid_handle made;
    if (mid_make_new(me, policy->type, &made) != MID_OK)
        return false;
    mid_lock(me->heap);
    bool room = policy->kept.count < policy->ahead;
    if (room) {
        hold(mid_entry_at(me->heap, made));
        *mid_list_at(&policy->kept, policy->kept.count++) = made;
    }
    mid_unlock(me->heap);
    if (!room)
        (mid_release)(&me->pub, made);
    return room;
}

void mid_policies_refill(mid_impl *me)
{
    mid_heap *heap = me->heap;
    for (mid_type type = 1; MID_READ_(heap->any_policy) && type <= mid_type_count(heap); type++) {
        mid_policy *policy = mid_type_at(heap, type)->policy;
        if (policy == NULL)
            continue;
        mid_lock(heap);
        uint32_t missing = policy->ahead > policy->kept.count ? policy->ahead - policy->kept.count : 0;
        mid_unlock(heap);
        while (missing != 0 && one_more(me, policy))
            missing--;
    }
}

/* --- figures, check ------------------------------------------------------------------------------------------------------------- */

mid_status mid_policy_stats_get(mid_heap *heap, mid_type type, mid_policy_stats *stats, size_t size)
{
    if (heap == NULL || stats == NULL)
        return MID_ENULL;
    if (mid_busy(heap))
        return MID_EBUSY;
    if (!mid_is_mutator(heap))
        return MID_ETHREAD;
    if (type == 0 || type > mid_type_count(heap))
        return MID_ETYPE;
    mid_policy_stats now = {0};
    mid_lock(heap);
    const mid_policy *policy = mid_type_at(heap, type)->policy;
    if (policy != NULL) {
        now = policy->stats;
        now.kept = policy->kept.count;
        now.cached = policy->cached.count;
        now.table_bytes = policy->table.places.bytes + policy->old.places.bytes + policy->hashes.cells.bytes;
        now.interned = policy->used;
    }
    mid_unlock(heap);
    memcpy(stats, &now, size < sizeof now ? size : sizeof now);
    return MID_OK;
}

static const char *check_held(mid_heap *heap, const mid_policy *policy, const mid_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        mid_handle handle = *mid_list_at(list, i);
        if (!mid_in_table(heap, handle) || !mid_entry_live(mid_entry_at(heap, handle)) ||
            mid_entry_at(heap, handle)->word >> MID_TYPE_SHIFT_ != policy->type)
            return "what a type keeps is not a live object of that type";
    }
    return NULL;
}

const char *mid_policies_check(mid_heap *heap)
{
    const char *wrong = NULL;
    for (mid_type type = 1; type <= heap->type_count && wrong == NULL; type++) {
        mid_policy *policy = mid_type_at(heap, type)->policy;
        if (policy == NULL)
            continue;
        if (policy->kept.count > policy->keep || policy->cached.count > policy->cache)
            wrong = "a type keeps more than it may";
        if (wrong == NULL)
            wrong = check_held(heap, policy, &policy->kept);
        if (wrong == NULL)
            wrong = check_held(heap, policy, &policy->cached);
        for (uint32_t i = 0; i < policy->kept.count && wrong == NULL; i++)
            if (mid_total(mid_entry_at(heap, *mid_list_at(&policy->kept, i))) != 1)
                wrong = "an object that waits to be a new one is held by somebody";
        if (wrong == NULL && policy->interned)
            wrong = mid_intern_check(heap, policy);
    }
    return wrong;
}
