/* gc/intern.c: the table of a type of which equal objects are one.
 *
 * Open addressing with linear probing; a place has the object's handle and its hash, and is not counted. Death takes the object out
 * (weak.c, which the flag MID_F_WEAK sends it to) by moving back (Knuth, TAOCP 3, 6.4, algorithm R), so every place names what
 * is there. The place is found by the hash: what refers to nothing is asked for it once more; anything else may refer to what
 * has died before it, so its hash is kept in a map by number. A lookup compares first and counts after: with `memory` held the
 * memory of what a place names cannot go, as death takes it out, with `memory`, before. What is dying then counts as dead, and
 * an equal one may be put beside it. Growing: intern_table.c. */
#include <string.h>

#include "gc/freeze.h"
#include "gc/intern.h"
#include "gc/weak.h"

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

/* Counted; 0: there is none. *vacant: the empty place at the end; UINT32_MAX: there is no table. */
static mid_handle find_in(mid_impl *me, const mid_policy *policy, const mid_intern_table *table, uint32_t hash, mid_intern_match *matches,
                          const void *key, uint32_t *vacant)
{
    mid_heap *heap = me->heap;
    *vacant = UINT32_MAX;
    if (table->places.data == NULL)
        return 0;
    uint32_t i = hash & table->mask;
    for (; mid_place_taken(table, i); i = (i + 1) & table->mask) {
        const mid_interned *place = mid_place_at(table, i);
        const void *object = place->hash == hash ? named(heap, policy, place) : NULL;
        if (object != NULL && same(heap, policy, matches, object, key) &&
            mid_weak_count_up(&me->pub, place->object, mid_entry_at(heap, place->object)))
            return place->object;
    }
    *vacant = i;
    return 0;
}

/* Likewise; *vacant: in the table that is not the old one, where it could be put. */
static mid_handle find(mid_impl *me, mid_policy *policy, uint32_t hash, mid_intern_match *matches, const void *key, uint32_t *vacant)
{
    mid_intern_go_on(me->heap, policy);
    mid_handle found = find_in(me, policy, &policy->table, hash, matches, key, vacant);
    uint32_t none;
    return found != 0 || policy->old.places.data == NULL ? found : find_in(me, policy, &policy->old, hash, matches, key, &none);
}

static bool full(const mid_policy *policy)
{
    return policy->table.places.data == NULL || (policy->used + UINT64_C(1)) * 3 > (policy->table.mask + UINT64_C(1)) * 2;
}

/* Its hash is taken, and its like not there: *vacant is where it goes, unless the table is made anew. */
static mid_status enter(mid_impl *me, mid_policy *policy, uint32_t hash, mid_handle object, uint32_t vacant)
{
    mid_heap *heap = me->heap;
    mid_status status = MID_OK;
    if (full(policy)) {
        status = mid_intern_begin(heap, policy, mid_intern_places_for(policy->used + UINT64_C(1)));
        if (status != MID_OK && (vacant == UINT32_MAX || policy->used >= policy->table.mask)) /* one place stays empty: chains end there */
            return status;
        if (status == MID_OK)
            vacant = mid_intern_end_of(&policy->table, hash);
    }
    if (!policy->asks) {
        status = mid_map_set(heap, &policy->hashes, object / 2, hash);
        if (status != MID_OK)
            return status;
    }
    policy->used++;
    *mid_place_at(&policy->table, vacant) = (mid_interned){object, hash};
    mid_entry *entry = mid_entry_at(heap, object);
    if (!mid_frozen(MID_READ_(entry->count)))
        __atomic_fetch_or(&entry->word, MID_F_WEAK, __ATOMIC_RELAXED);
    if (!me->pub.alone)
        mid_escape_(&me->pub, object); /* others may find it here */
    return MID_OK;
}

/* Where an object is that is known by this number; null: in neither. */
static mid_interned *place_with(mid_policy *policy, mid_handle object, uint32_t hash, mid_intern_table **table)
{
    for (*table = &policy->table;; *table = &policy->old) {
        if ((*table)->places.data != NULL)
            for (uint32_t i = hash & (*table)->mask; mid_place_taken(*table, i); i = (i + 1) & (*table)->mask)
                if (mid_place_at(*table, i)->object == object)
                    return mid_place_at(*table, i);
        if (*table == &policy->old)
            return NULL;
    }
}

static mid_interned *place_of(mid_heap *heap, mid_policy *policy, mid_handle object, mid_intern_table **table)
{
    if (policy == NULL || policy->used == 0)
        return NULL;
    uint32_t hash = policy->asks ? hash_of(heap, policy, mid_address(mid_entry_at(heap, object))) : mid_map_get(&policy->hashes, object / 2);
    return place_with(policy, object, hash, table);
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
    mid_intern_table *table;
    return place_of(heap, policy_of(heap, object), object, &table) != NULL;
}

bool mid_intern_leave(mid_heap *heap, mid_handle object)
{
    mid_policy *policy = policy_of(heap, object);
    mid_intern_table *table;
    mid_interned *place = place_of(heap, policy, object, &table);
    if (place == NULL)
        return false;
    mid_intern_take_out(table, (uint32_t)(place - mid_place_at(table, 0)));
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
    mid_intern_table *table;
    return place_with(policy, before, *hash, &table);
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

/* False: another has taken its place. */
static bool alone_in(mid_heap *heap, const mid_policy *policy, const mid_intern_table *table, uint32_t hash, mid_handle handle, bool *there)
{
    const void *object = mid_address(mid_entry_at(heap, handle));
    if (table->places.data == NULL)
        return true;
    for (uint32_t i = hash & table->mask; mid_place_taken(table, i); i = (i + 1) & table->mask) {
        const mid_interned *place = mid_place_at(table, i);
        const void *other = place->hash == hash && place->object != handle ? named(heap, policy, place) : NULL;
        if (place->object == handle)
            *there = true;
        else if (other != NULL && same(heap, policy, NULL, other, object))
            return false;
    }
    return true;
}

bool mid_intern_again(mid_heap *heap, mid_policy *policy, mid_handle handle)
{
    bool there = false;
    if (policy->table.places.data == NULL)
        return false;
    uint32_t hash = hash_of(heap, policy, mid_address(mid_entry_at(heap, handle)));
    return alone_in(heap, policy, &policy->table, hash, handle, &there) && alone_in(heap, policy, &policy->old, hash, handle, &there) && there;
}

static const char *check_table(mid_heap *heap, const mid_policy *policy, const mid_intern_table *table, uint32_t *used)
{
    if (table->places.data != NULL && (table->end > table->mask + UINT64_C(1) || table->places.bytes / sizeof(mid_interned) < table->end))
        return "a table of what is interned ends behind its memory";
    for (uint32_t i = 0; table->places.data != NULL && i <= table->mask; i++) {
        if (!mid_place_taken(table, i)) {
            if (i < table->places.bytes / sizeof(mid_interned) && mid_place_at(table, i)->object != 0)
                return "something is interned behind the end of the table";
            continue;
        }
        const mid_interned *place = mid_place_at(table, i);
        ++*used;
        if (!mid_in_table(heap, place->object))
            return "what is interned is no object";
        const mid_entry *entry = mid_entry_at(heap, place->object);
        if (mid_entry_live(entry) && (entry->word >> MID_TYPE_SHIFT_ != policy->type || hash_of(heap, policy, mid_address(entry)) != place->hash))
            return "an interned object is of another type, or its hash has changed";
        for (uint32_t j = place->hash & table->mask; j != i; j = (j + 1) & table->mask)
            if (!mid_place_taken(table, j))
                return "an interned object is not where it is looked for";
        if (!policy->asks && mid_map_get(&policy->hashes, place->object / 2) != place->hash)
            return "the hash of an interned object is not known by its number";
    }
    return NULL;
}

const char *mid_intern_check(mid_heap *heap, mid_policy *policy)
{
    uint32_t used = 0;
    const char *wrong = check_table(heap, policy, &policy->table, &used);
    if (wrong == NULL)
        wrong = check_table(heap, policy, &policy->old, &used);
    if (wrong != NULL)
        return wrong;
    return used == policy->used && (policy->asks || policy->hashes.count == used) ? NULL : "the number of interned objects is wrong";
}
