/* gc/intern.c: the table of a type of which equal objects are one.
 *
 * Open addressing with linear probing. A place has a weak cell, the table's alone, and the hash. So an object's death and its new number in a deep compaction
 * are the weak cells' business; a place whose object has died is found out when somebody comes by, used again for another of that
 * chain, and swept away when the table is made anew, which is as often as it fills. A lookup compares first and counts after:
 * with `memory` held the memory of what a cell names cannot go, as death clears the cell, with `memory`, before. What is dying then
 * counts as dead, and an equal one may be put beside it. */
#include <string.h>

#include "gc/policy.h"

#define TABLE_LEAST 256u

static mid_interned *at(const mid_policy *policy, uint32_t place)
{
    return (mid_interned *)policy->table.data + place;
}

/* What a place names, dying perhaps; 0: it has died. */
static mid_handle named(const mid_heap *heap, const mid_interned *place)
{
    const mid_weak_cell *cell = (const mid_weak_cell *)heap->weak_cells.data + place->cell;
    return cell->target;
}

static mid_weak weak(const mid_heap *heap, const mid_interned *place)
{
    return (mid_weak){place->cell, ((const mid_weak_cell *)heap->weak_cells.data)[place->cell].generation};
}

static bool same(mid_heap *heap, const mid_policy *policy, mid_intern_match *matches, const void *a, const void *b)
{
    mid_callback frame;
    mid_callback_begin(&frame, heap);
    bool equal = matches != NULL ? matches(a, b) != 0 : policy->equal(a, b, policy->context) != 0;
    mid_callback_end(&frame);
    return equal;
}

static uint32_t hash_of(mid_heap *heap, const mid_policy *policy, const void *object)
{
    mid_callback frame;
    mid_callback_begin(&frame, heap);
    uint32_t hash = policy->hash(object, policy->context);
    mid_callback_end(&frame);
    return hash;
}

/* Counted; 0: there is none, and *vacant is where it could be put: the first dead, or the empty place at the end. */
static mid_handle find(mid_impl *me, mid_policy *policy, uint32_t hash, mid_intern_match *matches, const void *key, uint32_t *vacant)
{
    mid_heap *heap = me->heap;
    *vacant = UINT32_MAX;
    if (policy->table.data == NULL)
        return 0;
    for (uint32_t i = hash & policy->mask;; i = (i + 1) & policy->mask) {
        const mid_interned *place = at(policy, i);
        mid_handle object = place->cell == 0 ? 0 : named(heap, place);
        if (object == 0 && *vacant == UINT32_MAX)
            *vacant = i;
        if (place->cell == 0)
            return 0;
        if (object == 0 || place->hash != hash || !same(heap, policy, matches, mid_address(mid_entry_at(heap, object)), key))
            continue;
        object = mid_weak_get(&me->pub, weak(heap, place));
        if (object != 0)
            return object;
    }
}

/* The live ones to a table of so many places; the old one's dead give up their cells. */
static mid_status rebuild(mid_impl *me, mid_policy *policy, size_t places)
{
    mid_heap *heap = me->heap;
    mid_policy next = {.mask = (uint32_t)places - 1};
    mid_status status = mid_array_grow(&heap->alloc, &next.table, places * sizeof(mid_interned));
    if (status != MID_OK)
        return status;
    for (uint32_t i = 0; policy->table.data != NULL && i <= policy->mask; i++) {
        const mid_interned *place = at(policy, i);
        if (place->cell == 0)
            continue;
        if (named(heap, place) == 0) {
            mid_weak_drop(&me->pub, weak(heap, place));
            continue;
        }
        uint32_t to = place->hash & next.mask;
        while (at(&next, to)->cell != 0)
            to = (to + 1) & next.mask;
        *at(&next, to) = *place;
        next.used++;
    }
    mid_array_free(&heap->alloc, &policy->table);
    policy->table = next.table;
    policy->mask = next.mask;
    policy->used = next.used;
    return MID_OK;
}

static bool full(const mid_policy *policy)
{
    return policy->table.data == NULL || (policy->used + UINT64_C(1)) * 3 > (policy->mask + UINT64_C(1)) * 2;
}

uint64_t mid_intern_live(mid_heap *heap, const mid_policy *policy)
{
    uint64_t live = 0;
    for (uint32_t i = 0; policy->table.data != NULL && i <= policy->mask; i++)
        live += at(policy, i)->cell != 0 && named(heap, at(policy, i)) != 0;
    return live;
}

static size_t places_for(uint64_t live)
{
    size_t places = TABLE_LEAST;
    while (live * 2 >= places) /* at most half full: the next time is as many insertions away */
        places *= 2;
    return places;
}

void mid_intern_purge(mid_impl *me, mid_policy *policy)
{
    if (policy->table.data == NULL)
        return;
    uint64_t live = mid_intern_live(me->heap, policy);
    if (live != 0) {
        rebuild(me, policy, places_for(live)); /* without memory for it all stays */
        return;
    }
    for (uint32_t i = 0; i <= policy->mask; i++)
        if (at(policy, i)->cell != 0)
            mid_weak_drop(&me->pub, weak(me->heap, at(policy, i)));
    mid_array_free(&me->heap->alloc, &policy->table);
    policy->mask = policy->used = 0;
}

/* Its hash is taken, and its like not there: *vacant is where it goes, unless the table is made anew. */
static mid_status enter(mid_impl *me, mid_policy *policy, uint32_t hash, mid_handle object, uint32_t vacant)
{
    mid_status status = MID_OK;
    if (vacant == UINT32_MAX || (at(policy, vacant)->cell == 0 && full(policy))) {
        status = rebuild(me, policy, places_for(mid_intern_live(me->heap, policy) + 1));
        if (status != MID_OK && (vacant == UINT32_MAX || policy->used == policy->mask)) /* one place stays empty: chains end there */
            return status;
        if (status == MID_OK)
            for (vacant = hash & policy->mask; at(policy, vacant)->cell != 0; vacant = (vacant + 1) & policy->mask)
                ;
    }
    mid_weak made;
    status = mid_weak_new(&me->pub, object, &made);
    if (status != MID_OK)
        return status;
    mid_interned *place = at(policy, vacant);
    if (place->cell != 0)
        mid_weak_drop(&me->pub, weak(me->heap, place));
    else
        policy->used++;
    *place = (mid_interned){made.cell, hash};
    return MID_OK;
}

mid_status mid_intern(mid_thread *thread, mid_handle object, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_impl *me = mid_impl_of(thread);
    mid_policy *policy = mid_type_of_entry(me->heap, entry)->policy;
    if (policy == NULL || !policy->interned)
        return MID_ETYPE;
    uint32_t vacant, hash = hash_of(me->heap, policy, mid_address(entry));
    mid_lock(me->heap);
    mid_handle found = find(me, policy, hash, NULL, mid_address(entry), &vacant);
    if (found == 0)
        status = enter(me, policy, hash, object, vacant);
    found == 0 ? policy->stats.misses++ : policy->stats.hits++;
    mid_unlock(me->heap);
    if (status != MID_OK)
        return status;
    *out = found != 0 ? found : object;
    if (found != 0)
        (mid_release)(thread, object); /* it may be the same: then it is held twice */
    return MID_OK;
}

mid_status mid_intern_find(mid_thread *thread, mid_type type, uint32_t hash, mid_intern_match *matches, const void *key, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    if (matches == NULL)
        return MID_ENULL;
    mid_impl *me = mid_impl_of(thread);
    mid_policy *policy = type == 0 || type > mid_type_count(me->heap) ? NULL : mid_type_at(me->heap, type)->policy;
    if (policy == NULL || !policy->interned)
        return MID_ETYPE;
    uint32_t vacant;
    mid_lock(me->heap);
    *out = find(me, policy, hash, matches, key, &vacant);
    *out == 0 ? policy->stats.misses++ : policy->stats.hits++;
    mid_unlock(me->heap);
    return MID_OK;
}

bool mid_intern_again(mid_heap *heap, mid_policy *policy, mid_handle handle)
{
    const void *object = mid_address(mid_entry_at(heap, handle));
    if (policy->table.data == NULL)
        return false;
    uint32_t hash = hash_of(heap, policy, object);
    bool there = false;
    for (uint32_t i = hash & policy->mask; at(policy, i)->cell != 0; i = (i + 1) & policy->mask) {
        mid_handle other = named(heap, at(policy, i));
        if (other == handle)
            there = true;
        else if (other != 0 && at(policy, i)->hash == hash && mid_entry_live(mid_entry_at(heap, other)) &&
                 same(heap, policy, NULL, mid_address(mid_entry_at(heap, other)), object))
            return false; /* another has taken its place meanwhile */
    }
    return there;
}

const char *mid_intern_check(mid_heap *heap, mid_policy *policy)
{
    uint32_t used = 0;
    for (uint32_t i = 0; policy->table.data != NULL && i <= policy->mask; i++) {
        const mid_interned *place = at(policy, i);
        if (place->cell == 0)
            continue;
        used++;
        mid_handle object = named(heap, place);
        if (object == 0)
            continue;
        const mid_entry *entry = mid_entry_at(heap, object);
        if (entry->word >> MID_TYPE_SHIFT_ != policy->type || hash_of(heap, policy, mid_address(entry)) != place->hash)
            return "an interned object is of another type, or its hash has changed";
        for (uint32_t j = place->hash & policy->mask; j != i; j = (j + 1) & policy->mask)
            if (at(policy, j)->cell == 0)
                return "an interned object is not where it is looked for";
    }
    return used == policy->used ? NULL : "the number of interned objects is wrong";
}
