/* gc/check.c: is everything as the invariants say? (docs/design/invariants.md numbers them) */
#include <stdio.h>
#include <string.h>

#include "gc/count.h"
#include "gc/debug.h"
#include "gc/freeze.h"
#include "gc/kinds/dict.h"
#include "gc/pairs.h"
#include "gc/policy.h"
#include "gc/refs.h"

typedef struct audit {
    mid_heap *heap;
    uint32_t *seen;      /* references from objects, by index */
    uint32_t from;
    const char *wrong;
    uint32_t at;
} audit;

static void fail(audit *a, const char *wrong, uint32_t at)
{
    if (a->wrong == NULL) {
        a->wrong = wrong;
        a->at = at;
    }
}

/* A free slot is on its pool's chain or in the mutator's cache; nothing else is. */
static uint64_t chain_length(audit *a, mid_handle head, uint64_t most)
{
    uint64_t n = 0;
    for (; head != 0 && n <= most; n++) {
        if (!mid_in_table(a->heap, head) || mid_entry_at(a->heap, head)->count != 0) {
            fail(a, "a list of free slots holds an entry that is not free", head / 2);
            break;
        }
        head = mid_entry_at(a->heap, head)->shared;
    }
    return n;
}

static void check_pool(audit *a, mid_pool *pool)
{
    const mid_class *c = &a->heap->alloc.classes[pool->size_class];
    uint32_t pins = 0, long_pins = 0;
    for (unsigned slot = 0; slot < pool->bound; slot++) {
        mid_handle name = mid_pool_name(pool, slot);
        if (!mid_in_table(a->heap, name)) {
            fail(a, "a back index names no entry", name / 2);
            return;
        }
        const mid_entry *entry = mid_entry_at(a->heap, name);
        if ((char *)mid_address(entry) != mid_slot_at(c, mid_pool_base(pool), slot))
            fail(a, "an entry's address contradicts the back index", name / 2);
        pins += (entry->word & MID_F_PINNED) != 0 && entry->count != 0;
        long_pins += (mid_map_get(&a->heap->pins, name / 2) & MID_PINNED_LONG) != 0;
    }
    if (pins != pool->pins || long_pins != pool->long_pins)
        fail(a, "a pool's number of pinned objects is wrong", 0);
    uint64_t free_slots = (uint64_t)pool->bound - pool->live;
    if (chain_length(a, pool->chain, free_slots) != free_slots)
        fail(a, "a pool's chain is not as long as its free slots", 0);
}

static void check_pools(audit *a)
{
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        for (unsigned list = 0; list < MID_POOL_LISTS; list++)
            for (mid_pool *pool = a->heap->alloc.classes[i].list[list]; pool != NULL; pool = pool->next)
                check_pool(a, pool);
        for (uint32_t id = 1; id <= a->heap->thread_count; id++) {
            mid_impl *impl = a->heap->threads[id];
            uint32_t left = impl->pub.left[i];
            if (!mid_lost(impl) && chain_length(a, *mid_cache_head(impl, i), left) + (impl->attached ? chain_length(a, impl->kept[i], left) : 0) != left)
                fail(a, "a cache's count contradicts its list", 0);
        }
    }
}

static void check_slot(void *context, mid_slot *slot)
{
    audit *a = context;
    mid_handle value = slot->bits_;
    if (!mid_is_object_(value))
        return;
    if (!mid_in_table(a->heap, value) || !mid_entry_live(mid_entry_at(a->heap, value)))
        fail(a, "an object refers to something that is not live", a->from);
    else
        a->seen[value / 2]++;
}

/* Dying entries have references that still count, unless a piece of an array's has been dropped, or they sit in quarantine
 * with all of theirs gone. So they are counted from the work list. */
static void check_dying(audit *a, const mid_impl *of)
{
    uint64_t n = of->partial != 0;
    for (mid_handle h = of->pending; h != 0 && n <= of->pending_count; n++) {
        mid_entry *entry = mid_entry_at(a->heap, h);
        if (entry->count != MID_DYING_)
            fail(a, "an entry on the work list is not dying", h / 2);
        a->from = h / 2;
        mid_refs(a->heap, mid_type_of_entry(a->heap, entry), mid_address(entry), check_slot, a);
        h = entry->shared;
    }
    if (n != of->pending_count)
        fail(a, "the work list is not as long as it says", 0);
    if (of->partial != 0 && of->partial_next != MID_ONLY_MEMORY) {
        mid_entry *entry = mid_entry_at(a->heap, of->partial);
        const mid_type_info *type = mid_type_of_entry(a->heap, entry);
        a->from = of->partial / 2;
        mid_refs_fixed(a->heap, type, mid_address(entry), check_slot, a);
        for (size_t i = of->partial_next; i < mid_items(type, mid_address(entry)); i++)
            check_slot(a, mid_item_slots(type, mid_address(entry)) + i);
    }
}

/* The dead that wait for their finalizers; their references count. */
static void check_final(audit *a)
{
    uint64_t n = 0;
    for (mid_handle h = a->heap->final_head; h != 0 && n <= a->heap->final_dead; n++) {
        mid_entry *entry = mid_entry_at(a->heap, h);
        a->from = h / 2;
        if (entry->count != MID_DYING_)
            fail(a, "an entry in the queue of finalizers is not dead", h / 2);
        mid_refs(a->heap, mid_type_of_entry(a->heap, entry), mid_address(entry), check_slot, a);
        h = entry->shared;
    }
    if (n != a->heap->final_dead)
        fail(a, "the queue of finalizers is not as long as it says", 0);
}

static void check_table(audit *a)
{
    uint64_t live = 0, free_entries = 0, dying = 0, bound = 0;
    for (uint32_t i = a->heap->first_index; i < a->heap->next_index; i++) {
        mid_entry *entry = a->heap->table + i;
        if (!mid_entry_live(entry)) {
            free_entries += entry->count == 0 && entry->word == 0;
            dying += entry->count == MID_DYING_;
            continue;
        }
        live++;
        mid_type type = (mid_type)(entry->word >> MID_TYPE_SHIFT_);
        if (type == 0 || type > a->heap->type_count || mid_address(entry) == NULL) {
            fail(a, "a live entry has no type or no address", i);
            continue;
        }
        if (((entry->word & MID_F_PINNED) != 0) != (mid_map_get(&a->heap->pins, i) != 0) ||
            (!mid_frozen(entry->count) && ((entry->word & MID_F_WEAK) != 0) != (mid_map_get(&a->heap->weak_heads, i) != 0 || mid_traced(a->heap, i * 2) || mid_interned_here(a->heap, i * 2))))
            fail(a, "an entry's flags contradict the pins, the weak cells, the tracer or what is interned", i);
        a->from = i;
        if (!a->heap->committed || !mid_watched(entry->count)) /* of what is being freed half is gone, its names others' */
            mid_refs(a->heap, mid_type_at(a->heap, type), mid_address(entry), check_slot, a);
    }
    mid_stats stats;
    mid_stats_fill(a->heap, &stats);
    if (live != stats.live_objects)
        fail(a, "the number of live objects is wrong", 0);
    if (dying != mid_waiting(a->heap) + a->heap->quarantine_count + a->heap->final_dead)
        fail(a, "dying entries are not all on the work list or in quarantine", 0);
    for (unsigned i = 0; i < MID_CLASSES; i++)
        for (unsigned list = 0; list < MID_POOL_LISTS; list++)
            for (const mid_pool *pool = a->heap->alloc.classes[i].list[list]; pool != NULL; pool = pool->next)
                bound += pool->bound;
    if (free_entries + bound + a->heap->large_objects - a->heap->large_freed !=
        a->heap->next_index - a->heap->first_index)
        fail(a, "an entry is neither free, nor bound to a slot, nor a large object's", 0);
    if (a->heap->next_index - a->heap->first_index - free_entries != a->heap->taken_entries)
        fail(a, "the number of free entries is wrong", 0);
    if (a->wrong == NULL)
        a->wrong = mid_table_check(a->heap);
}

/* Whether nobody has news for an owner that would end an object. */
static bool all_told(const mid_heap *heap)
{
    bool told = MID_READ_(heap->lost_merges) == 0;
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        const mid_impl *impl = heap->threads[id];
        told &= mid_lost(impl) || (impl->outbox_count == 0 && !mid_has_news(impl));
    }
    return told;
}

static void check_counts(audit *a)
{
    const bool told = all_told(a->heap);
    for (uint32_t i = a->heap->first_index; i < a->heap->next_index; i++) {
        const mid_entry *entry = a->heap->table + i;
        if (!mid_entry_live(entry) || mid_forever(entry))
            continue;
        if (mid_total_of(a->heap, i) < a->seen[i])
            fail(a, "a count is lower than the references to the object (invariant 1)", i);
        if (mid_frozen(entry->count))
            continue;
        if (told && mid_total(entry) == 0)
            fail(a, "an object lives that nobody holds", i);
        if (told && mid_others(entry->shared) < 0 && !(entry->shared & (MID_MERGED_ | MID_QUEUED_)))
            fail(a, "others let go of more than they held, and the owner was not told", i);
        bool watched = mid_watched(entry->count); /* its flags are hidden */
        if (watched && !a->heap->watching)
            fail(a, "an object is watched, and no set is on trial", i);
        if (!(entry->shared & MID_LIVE_) ||
            (!watched && ((entry->shared & MID_MERGED_) != 0) != ((entry->count & ~MID_AGES_) == MID_UNOWNED_)))
            fail(a, "the halves of a count contradict each other", i);
        if (!watched && !(entry->shared & MID_MERGED_) && (mid_local(entry->count) == 0 || mid_owner(entry->count) > a->heap->thread_count))
            fail(a, "an object's owner is nobody, or counts nothing", i);
    }
}

static void check_kinds(audit *a)
{
    for (uint32_t i = a->heap->first_index; i < a->heap->next_index; i++) {
        const mid_entry *entry = a->heap->table + i;
        if (!mid_entry_live(entry) || mid_dict_kind(a->heap, (mid_type)(entry->word >> MID_TYPE_SHIFT_)) >= MID_DICT_KIND_INDEX)
            continue;
        const char *wrong = mid_dict_check(a->heap, entry);
        if (wrong != NULL)
            fail(a, wrong, i);
    }
}

static void check_weak(audit *a)
{
    const mid_weak_cell *cells = a->heap->weak_cells.data;
    for (uint32_t i = 1; i <= a->heap->weak_used; i++)
        if (cells[i].target != 0 && (!mid_in_table(a->heap, cells[i].target) ||
                                     (!(mid_entry_at(a->heap, cells[i].target)->word & MID_F_WEAK) &&
                                      !mid_frozen(mid_entry_at(a->heap, cells[i].target)->count))))
            fail(a, "a weak cell names an object that does not know it", cells[i].target / 2);
    if (a->wrong == NULL)
        a->wrong = mid_pairs_check(a->heap);
}

static mid_status check(mid_heap *heap)
{
    audit a = {.heap = heap};
    a.wrong = mid_alloc_check(&heap->alloc);
    if (a.wrong == NULL)
        a.wrong = mid_fields_whole(heap);
    if (heap->any_lost && a.wrong == NULL)
        return MID_OK; /* what lost threads had in their hands contradicts itself, and nobody can tell which it is */
    size_t bytes = mid_round(heap->next_index * sizeof(uint32_t), MID_PAGE);
    a.seen = a.wrong != NULL ? NULL : heap->os.map(heap->os.ctx, bytes); /* not the heap's memory: no charge */
    if (a.wrong == NULL && a.seen == NULL)
        return MID_ENOMEM;
    if (a.seen != NULL) {
        a.wrong = mid_mem_check(heap);
        check_pools(&a);
        check_table(&a);
        for (uint32_t id = 1; id <= heap->thread_count; id++)
            check_dying(&a, heap->threads[id]);
        check_final(&a);
        check_counts(&a);
        check_weak(&a);
        if (a.wrong == NULL)
            a.wrong = mid_policies_check(heap);
        if (a.wrong == NULL)
            check_kinds(&a);
        if (a.wrong == NULL)
            a.wrong = mid_freeze_check(heap);
        if (a.wrong == NULL)
            a.wrong = mid_trace_check(heap);
        if (a.wrong == NULL && heap->debug)
            a.wrong = mid_stacks_check(&heap->watch->stacks);
        if (a.wrong == NULL && heap->debug)
            a.wrong = mid_debug_blocks_check(heap);
        heap->os.unmap(heap->os.ctx, a.seen, bytes);
    }
    if (a.wrong == NULL) {
        heap->check_text[0] = '\0';
        return MID_OK;
    }
    if (a.at == 0)
        snprintf(heap->check_text, sizeof heap->check_text, "%s", a.wrong);
    else
        snprintf(heap->check_text, sizeof heap->check_text, "%s: handle %u", a.wrong, a.at * 2);
    return MID_ECORRUPT;
}

mid_status mid_heap_check(mid_heap *heap)
{
    if (heap == NULL)
        return MID_ENULL;
    if (mid_busy(heap))
        return MID_EBUSY;
    bool stopped;
    mid_status status = mid_look_begin(heap, &stopped);
    if (status != MID_OK)
        return status;
    uint64_t told = heap->debug ? mid_debug_verify(heap, "mid_heap_check") : 0;
    status = check(heap);
    if (status == MID_OK && told != 0) {
        snprintf(heap->check_text, sizeof heap->check_text, "%llu misuses were reported", (unsigned long long)told);
        status = MID_ECORRUPT;
    }
    mid_look_end(heap, stopped);
    return status;
}

const char *mid_heap_check_text(mid_heap *heap)
{
    return heap == NULL ? "" : heap->check_text;
}
