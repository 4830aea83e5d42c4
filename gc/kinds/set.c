/* gc/kinds/set.c: the calls of sets, which are dictionaries without values. */
#include "gc/kinds/dict_change.h"
#include "gc/kinds/dict_rest.h"

mid_status mid_set_new(mid_thread *thread, const mid_keys *keys, mid_handle *out)
{
    return mid_dict_make(thread, keys, 1, MID_DICT_SOME, out);
}

mid_status mid_set_add(mid_thread *thread, mid_handle set, mid_handle key, int *added)
{
    if (added != NULL)
        *added = 0;
    return mid_dict_put(thread, set, 1, MID_PUT_ADD, key, 0, NULL, NULL, added);
}

mid_status mid_set_remove(mid_thread *thread, mid_handle set, mid_handle key)
{
    return mid_dict_remove(thread, set, 1, key, NULL);
}

mid_status mid_set_contains(mid_thread *thread, mid_handle set, mid_handle key, int *there)
{
    return mid_dict_contains_in(thread, set, 1, key, there);
}

mid_status mid_set_pop_first(mid_thread *thread, mid_handle set, mid_handle *key)
{
    return mid_dict_pop_end(thread, set, 1, false, key, NULL);
}

mid_status mid_set_pop_last(mid_thread *thread, mid_handle set, mid_handle *key)
{
    return mid_dict_pop_end(thread, set, 1, true, key, NULL);
}

mid_status mid_set_length(mid_thread *thread, mid_handle set, size_t *length)
{
    return mid_dict_length_of(thread, set, 1, length);
}

mid_status mid_set_version(mid_thread *thread, mid_handle set, uint32_t *version)
{
    return mid_dict_version_of(thread, set, 1, version);
}

mid_status mid_set_clear(mid_thread *thread, mid_handle set)
{
    return mid_dict_clear_in(thread, set, 1);
}

mid_status mid_set_copy(mid_thread *thread, mid_handle set, mid_handle *out)
{
    return mid_dict_copy_in(thread, set, 1, out);
}

mid_status mid_set_update(mid_thread *thread, mid_handle set, mid_handle from)
{
    return mid_dict_update_in(thread, set, from, 1);
}

mid_status mid_set_reserve(mid_thread *thread, mid_handle set, size_t entries)
{
    return mid_dict_reserve_in(thread, set, 1, entries, false);
}

mid_status mid_set_shrink(mid_thread *thread, mid_handle set)
{
    return mid_dict_reserve_in(thread, set, 1, 0, true);
}

static __attribute__((noinline)) mid_status next(mid_thread *thread, mid_handle set, mid_dict_cursor *cursor, mid_handle *key)
{
    return mid_dict_next_in(thread, set, 1, cursor, key, NULL);
}

mid_status mid_set_next(mid_thread *thread, mid_handle set, mid_dict_cursor *cursor, mid_handle *key)
{
    mid_status status = mid_dict_next_quick(thread, set, 1, cursor, key, NULL);
    return MID_LIKELY_(status != MID_ECHANGED) ? status : next(thread, set, cursor, key);
}

/* --- two sets --------------------------------------------------------------------------------------------------------------- */

static mid_status both(mid_thread *thread, mid_handle a, mid_handle b)
{
    mid_status status;
    const mid_dict *one = mid_dict_open(thread, a, 1, &status);
    const mid_dict *other = one == NULL ? NULL : mid_dict_open(thread, b, 1, &status);
    return other != NULL && mid_dict_keys(one) != mid_dict_keys(other) ? MID_ETYPE : status;
}

typedef struct pair {
    mid_handle a, b, into; /* 0: only ask */
    bool wanted;           /* that a key of a is in b */
} pair;

/* Is the key in b, whose hash is known? */
static mid_status is_in(mid_thread *thread, mid_handle set, mid_handle key, uint32_t hash, bool *there)
{
    const mid_dict *d = mid_dict_at(thread, set);
    mid_spot place = {.hash = hash};
    mid_status status = mid_dict_is(d, MID_DICT_NAMES) ? mid_dict_find_name(thread, d, 1, key, &place) : mid_dict_find_hashed(thread, set, 1, key, &place);
    *there = status == MID_OK && place.position != MID_NOWHERE;
    return status;
}

/* Each key of a: if it is in b as wanted, it is added; without a set to add to, it ends with MID_EKEY at the first that is not. */
static mid_status sift(mid_thread *thread, const pair *p)
{
    const mid_dict *a = mid_dict_at(thread, p->a);
    const uint32_t version = a->version, other = mid_dict_at(thread, p->b)->version;
    mid_status status = MID_OK;
    for (uint32_t at = mid_dict_first(a); status == MID_OK && at < a->used; at++) {
        unsigned slot = (unsigned)(a->items + at - (mid_slot *)a);
        mid_handle key = mid_load(thread, p->a, slot);
        bool there;
        if (key == 0)
            continue;
        uint32_t hash = mid_dict_hash_at(thread, (mid_dict *)a, 1, at);
        status = is_in(thread, p->b, key, hash, &there);
        if (status == MID_OK && p->into == 0)
            status = there == p->wanted ? MID_OK : MID_EKEY;
        else if (status == MID_OK && there == p->wanted)
            status = mid_dict_put_hashed(thread, p->into, 1, key, hash, 0);
        mid_release(thread, key);
        a = mid_dict_at(thread, p->a);
        if (status == MID_OK && (a->version != version || mid_dict_at(thread, p->b)->version != other))
            status = MID_ECHANGED;
    }
    return status;
}

static mid_status done(mid_thread *thread, mid_status status, mid_handle *out)
{
    if (status != MID_OK) {
        mid_release(thread, *out);
        *out = 0;
    }
    return status;
}

static mid_status sifted(mid_thread *thread, mid_handle a, mid_handle b, bool wanted, mid_handle *out)
{
    if (out != NULL)
        *out = 0;
    mid_status status = both(thread, a, b);
    if (status != MID_OK || out == NULL)
        return status != MID_OK ? status : MID_ENULL;
    status = mid_dict_make(thread, mid_dict_keys(mid_dict_at(thread, a)), 1, MID_DICT_SOME, out);
    if (status != MID_OK)
        return status;
    pair p = {a, b, *out, wanted};
    return done(thread, sift(thread, &p), out);
}

mid_status mid_set_intersection(mid_thread *thread, mid_handle a, mid_handle b, mid_handle *out)
{
    return sifted(thread, a, b, true, out);
}

mid_status mid_set_difference(mid_thread *thread, mid_handle a, mid_handle b, mid_handle *out)
{
    return sifted(thread, a, b, false, out);
}

mid_status mid_set_union(mid_thread *thread, mid_handle a, mid_handle b, mid_handle *out)
{
    if (out != NULL)
        *out = 0;
    mid_status status = both(thread, a, b);
    if (status != MID_OK || out == NULL)
        return status != MID_OK ? status : MID_ENULL;
    status = mid_dict_copy_of(thread, a, 1, out);
    return status != MID_OK ? status : done(thread, mid_dict_update_from(thread, *out, b, 1), out);
}

static mid_status asked(mid_thread *thread, mid_handle a, mid_handle b, bool equal, int *yes)
{
    if (yes != NULL)
        *yes = 0;
    mid_status status = both(thread, a, b);
    if (status != MID_OK || yes == NULL)
        return status != MID_OK ? status : MID_ENULL;
    uint32_t of_a = mid_dict_at(thread, a)->live, of_b = mid_dict_at(thread, b)->live;
    if (equal ? of_a != of_b : of_a > of_b)
        return MID_OK;
    pair p = {a, b, 0, true};
    status = sift(thread, &p);
    *yes = status == MID_OK;
    return status == MID_EKEY ? MID_OK : status;
}

mid_status mid_set_equal(mid_thread *thread, mid_handle a, mid_handle b, int *equal)
{
    return asked(thread, a, b, true, equal);
}

mid_status mid_set_subset(mid_thread *thread, mid_handle a, mid_handle b, int *subset)
{
    return asked(thread, a, b, false, subset);
}

/* --- frozen sets -------------------------------------------------------------------------------------------------------------- */

mid_status mid_set_seal(mid_thread *thread, mid_handle set)
{
    mid_status status;
    mid_dict *d = mid_dict_open(thread, set, 1, &status);
    if (d != NULL)
        d->flags |= MID_DICT_SEALED;
    return status;
}

/* Sums do not depend on the order; each hash is mixed first, or {1, 4} and {2, 3} had the same. */
mid_status mid_set_hash(mid_thread *thread, mid_handle set, uint32_t *hash)
{
    mid_status status;
    mid_dict *d = mid_dict_open(thread, set, 1, &status);
    if (d == NULL || hash == NULL)
        return d == NULL ? status : MID_ENULL;
    if (!(d->flags & MID_DICT_SEALED))
        return MID_ETYPE;
    const bool names = mid_dict_is(d, MID_DICT_NAMES); /* mixed or not */
    uint32_t sum = d->live * 0x9E3779B1u;
    for (uint32_t at = 0; at < d->used; at++) {
        if (d->items[at].bits_ == 0)
            continue;
        uint32_t one = (names ? d->items[at].bits_ : mid_dict_hash_at(thread, d, 1, at)) * 0x85EBCA6Bu;
        one = (one ^ one >> 15) * 0xC2B2AE35u;
        sum += one ^ one >> 13;
    }
    *hash = sum;
    return MID_OK;
}
