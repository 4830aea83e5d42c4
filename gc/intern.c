/* gc/intern.c: the table of a type of which equal objects are one.
 *
 * Open addressing with linear probing; a place has the object's handle and its hash, and is not counted. Death takes the object out
 * (weak.c, which the flag MID_F_WEAK sends it to) by moving back (Knuth, TAOCP 3, 6.4, algorithm R), so every place names what
 * is there. The place is found by the hash: what refers to nothing is asked for it once more; anything else may refer to what
 * has died before it, so its hash is kept in a map by number. A lookup compares first and counts after: with `memory` held the
 * memory of what a place names cannot go, as death takes it out, with `memory`, before. What is dying then counts as dead, and
 * an equal one may be put beside it. */
#include <string.h>

#include "gc/freeze.h"
#include "gc/policy.h"
#include "gc/weak.h"

#define TABLE_LEAST 256u

static mid_interned *at(const mid_policy *policy, uint32_t place)
{
    return (mid_interned *)policy->table.data + place;
}

/* What a place names, if it is what it should be: a hash that changed, against all rules, may have left another there. */
static const void *named(const mid_heap *heap, const mid_policy *policy, const mid_interned *place)
{
    const mid_entry *entry = mid_entry_at(heap, place->object);
    return mid_entry_live(entry) && MID_READ_(entry->word) >> MID_TYPE_SHIFT_ == policy->type ? mid_address(entry) : NULL;
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

/* Counted; 0: there is none, and *vacant is where it could be put: the empty place at the end. */
static mid_handle find(mid_impl *me, mid_policy *policy, uint32_t hash, mid_intern_match *matches, const void *key, uint32_t *vacant)
{
    mid_heap *heap = me->heap;
    *vacant = UINT32_MAX;
    if (policy->table.data == NULL)
        return 0;
    uint32_t i = hash & policy->mask;
    for (; at(policy, i)->object != 0; i = (i + 1) & policy->mask) {
        const mid_interned *place = at(policy, i);
        const void *object = place->hash == hash ? named(heap, policy, place) : NULL;
        if (object != NULL && same(heap, policy, matches, object, key) &&
            mid_weak_count_up(&me->pub, place->object, mid_entry_at(heap, place->object)))
            return place->object;
    }
    *vacant = i;
    return 0;
}

/* All to a table of so many places. */
static mid_status rebuild(mid_heap *heap, mid_policy *policy, size_t places)
{
    mid_policy next = {.mask = (uint32_t)places - 1};
    mid_status status = mid_array_grow(&heap->alloc, &next.table, places * sizeof(mid_interned));
    if (status != MID_OK)
        return status;
    for (uint32_t i = 0; policy->table.data != NULL && i <= policy->mask; i++) {
        const mid_interned *place = at(policy, i);
        if (place->object == 0)
            continue;
        uint32_t to = place->hash & next.mask;
        while (at(&next, to)->object != 0)
            to = (to + 1) & next.mask;
        *at(&next, to) = *place;
    }
    mid_array_free(&heap->alloc, &policy->table);
    policy->table = next.table;
    policy->mask = next.mask;
    return MID_OK;
}

static bool full(const mid_policy *policy)
{
    return policy->table.data == NULL || (policy->used + UINT64_C(1)) * 3 > (policy->mask + UINT64_C(1)) * 2;
}

static size_t places_for(uint64_t live)
{
    size_t places = TABLE_LEAST;
    while (live * 2 >= places) /* at most half full: the next time is as many insertions away */
        places *= 2;
    return places;
}

void mid_intern_close(mid_heap *heap, mid_policy *policy)
{
    mid_array_free(&heap->alloc, &policy->table);
    mid_array_free(&heap->alloc, &policy->hashes.cells);
    policy->hashes = (mid_map){0};
    policy->mask = policy->used = 0;
}

void mid_intern_purge(mid_heap *heap, mid_policy *policy)
{
    if (policy->used == 0)
        mid_intern_close(heap, policy);
    else if (places_for(policy->used) <= policy->mask)
        rebuild(heap, policy, places_for(policy->used)); /* without memory for it all stays */
}

/* Its hash is taken, and its like not there: *vacant is where it goes, unless the table is made anew. */
static mid_status enter(mid_impl *me, mid_policy *policy, uint32_t hash, mid_handle object, uint32_t vacant)
{
    mid_heap *heap = me->heap;
    mid_status status = MID_OK;
    if (full(policy)) {
        status = rebuild(heap, policy, places_for(policy->used + UINT64_C(1)));
        if (status != MID_OK && (vacant == UINT32_MAX || policy->used == policy->mask)) /* one place stays empty: chains end there */
            return status;
        if (status == MID_OK)
            for (vacant = hash & policy->mask; at(policy, vacant)->object != 0; vacant = (vacant + 1) & policy->mask)
                ;
    }
    if (!policy->asks) {
        status = mid_map_set(heap, &policy->hashes, object / 2, hash);
        if (status != MID_OK)
            return status;
    }
    policy->used++;
    *at(policy, vacant) = (mid_interned){object, hash};
    mid_entry *entry = mid_entry_at(heap, object);
    if (!mid_frozen(MID_READ_(entry->count)))
        __atomic_fetch_or(&entry->word, MID_F_WEAK, __ATOMIC_RELAXED);
    if (!me->pub.alone)
        mid_escape_(&me->pub, object); /* others may find it here */
    return MID_OK;
}

static mid_interned *place_of(mid_heap *heap, mid_policy *policy, mid_handle object)
{
    if (policy == NULL || policy->used == 0)
        return NULL;
    uint32_t hash = policy->asks ? hash_of(heap, policy, mid_address(mid_entry_at(heap, object))) : mid_map_get(&policy->hashes, object / 2);
    for (uint32_t i = hash & policy->mask; at(policy, i)->object != 0; i = (i + 1) & policy->mask)
        if (at(policy, i)->object == object)
            return at(policy, i);
    return NULL;
}

static mid_policy *policy_of(const mid_heap *heap, mid_handle object)
{
    const mid_entry *entry = mid_entry_at(heap, object);
    const uint64_t type = MID_READ_(entry->word) >> MID_TYPE_SHIFT_; /* 0: of no object */
    mid_policy *policy = type != 0 ? mid_type_at(heap, (mid_type)type)->policy : NULL;
    return policy != NULL && policy->interned ? policy : NULL;
}

bool mid_interned_here(mid_heap *heap, mid_handle object)
{
    return place_of(heap, policy_of(heap, object), object) != NULL;
}

bool mid_intern_leave(mid_heap *heap, mid_handle object)
{
    mid_policy *policy = policy_of(heap, object);
    mid_interned *place = place_of(heap, policy, object);
    if (place == NULL)
        return false;
    uint32_t hole = (uint32_t)(place - at(policy, 0));
    for (uint32_t i = (hole + 1) & policy->mask; at(policy, i)->object != 0; i = (i + 1) & policy->mask)
        if (((i - at(policy, i)->hash) & policy->mask) >= ((i - hole) & policy->mask)) {
            *at(policy, hole) = *at(policy, i);
            hole = i;
        }
    *at(policy, hole) = (mid_interned){0};
    policy->used--;
    if (!policy->asks)
        mid_map_remove(&policy->hashes, object / 2);
    return true;
}

/* It has another number now; the map, which still knows it by the old one, learns of the new one from the caller. */
static mid_interned *place_before(mid_heap *heap, mid_policy *policy, mid_handle now, mid_handle before, uint32_t *hash)
{
    *hash = 0;
    if (policy == NULL || policy->used == 0 || !mid_entry_live(mid_entry_at(heap, now)))
        return NULL;
    *hash = policy->asks ? hash_of(heap, policy, mid_address(mid_entry_at(heap, now))) : mid_map_get(&policy->hashes, before / 2);
    for (uint32_t i = *hash & policy->mask; at(policy, i)->object != 0; i = (i + 1) & policy->mask)
        if (at(policy, i)->object == before)
            return at(policy, i);
    return NULL;
}

void mid_intern_exchange(mid_heap *heap, mid_handle a, mid_handle b)
{
    mid_policy *of_a = policy_of(heap, a), *of_b = policy_of(heap, b);
    uint32_t hash_a, hash_b;
    mid_interned *place_a = place_before(heap, of_a, a, b, &hash_a), *place_b = place_before(heap, of_b, b, a, &hash_b);
    if (place_a != NULL && !of_a->asks)
        mid_map_remove(&of_a->hashes, b / 2);
    if (place_b != NULL && !of_b->asks)
        mid_map_remove(&of_b->hashes, a / 2);
    if (place_a != NULL) {
        place_a->object = a;
        if (!of_a->asks)
            mid_map_set(heap, &of_a->hashes, a / 2, hash_a); /* there is room: no more than were taken out */
    }
    if (place_b != NULL) {
        place_b->object = b;
        if (!of_b->asks)
            mid_map_set(heap, &of_b->hashes, b / 2, hash_b);
    }
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

mid_status mid_intern_or_make(mid_impl *me, mid_type type, uint32_t hash, mid_intern_match *matches, mid_intern_make *make, const void *key, mid_handle *out)
{
    mid_policy *policy = mid_type_at(me->heap, type)->policy;
    mid_status status = MID_OK;
    uint32_t vacant;
    mid_lock(me->heap);
    *out = find(me, policy, hash, matches, key, &vacant);
    *out == 0 ? policy->stats.misses++ : policy->stats.hits++;
    mid_handle made = *out == 0 ? make(me, key) : 0;
    if (made != 0)
        status = enter(me, policy, hash, made, vacant);
    mid_unlock(me->heap);
    if (made != 0 && status == MID_OK)
        *out = made;
    else if (made != 0)
        (mid_release)(&me->pub, made);
    return status;
}

bool mid_intern_again(mid_heap *heap, mid_policy *policy, mid_handle handle)
{
    const void *object = mid_address(mid_entry_at(heap, handle));
    if (policy->table.data == NULL)
        return false;
    uint32_t hash = hash_of(heap, policy, object);
    bool there = false;
    for (uint32_t i = hash & policy->mask; at(policy, i)->object != 0; i = (i + 1) & policy->mask) {
        const mid_interned *place = at(policy, i);
        const void *other = place->hash == hash && place->object != handle ? named(heap, policy, place) : NULL;
        if (place->object == handle)
            there = true;
        else if (other != NULL && same(heap, policy, NULL, other, object))
            return false; /* another has taken its place meanwhile */
    }
    return there;
}

const char *mid_intern_check(mid_heap *heap, mid_policy *policy)
{
    uint32_t used = 0;
    for (uint32_t i = 0; policy->table.data != NULL && i <= policy->mask; i++) {
        const mid_interned *place = at(policy, i);
        if (place->object == 0)
            continue;
        used++;
        if (!mid_in_table(heap, place->object))
            return "what is interned is no object";
        const mid_entry *entry = mid_entry_at(heap, place->object);
        if (mid_entry_live(entry) && (entry->word >> MID_TYPE_SHIFT_ != policy->type || hash_of(heap, policy, mid_address(entry)) != place->hash))
            return "an interned object is of another type, or its hash has changed";
        for (uint32_t j = place->hash & policy->mask; j != i; j = (j + 1) & policy->mask)
            if (at(policy, j)->object == 0)
                return "an interned object is not where it is looked for";
        if (!policy->asks && mid_map_get(&policy->hashes, place->object / 2) != place->hash)
            return "the hash of an interned object is not known by its number";
    }
    return used == policy->used && (policy->asks || policy->hashes.count == used) ? NULL : "the number of interned objects is wrong";
}
