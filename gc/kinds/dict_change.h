/* gc/kinds/dict_change.h: what changes a dictionary or a set, inlined into the calls of both: `set` is a constant. */
#ifndef MID_GC_KINDS_DICT_CHANGE_H
#define MID_GC_KINDS_DICT_CHANGE_H

#include "gc/kinds/dict_quick.h"

typedef enum mid_put_mode { MID_PUT_SET, MID_PUT_ADD } mid_put_mode;

/* A new entry behind the others; there is room, and the cell is empty. */
static inline __attribute__((always_inline)) void mid_dict_append(mid_thread *thread, mid_handle handle, mid_dict *d, unsigned set,
                                                                  mid_handle key, mid_handle value, const mid_spot *place)
{
    uint32_t position = d->used;
    mid_slot *slot = mid_dict_key(d, set, position);
    if (d->bits == 0) {
        mid_tag_put(d, position, place->hash);
    } else {
        mid_dict_index *index = mid_dict_index_of(thread, d);
        mid_cell_write(index->words, mid_dict_width(d), place->cell, (place->hash & ~mid_dict_mask(d)) | (position + 2));
        if (!mid_dict_is(d, MID_DICT_NAMES))
            mid_dict_hashes(d, index)[position] = place->hash;
        if (MID_UNLIKELY_(!place->kept) && !mid_dict_is(d, MID_DICT_OTHERS))
            d->flags |= MID_DICT_OTHERS;
        d->room--;
    }
    mid_dict_swap(thread, handle, slot, mid_retain(thread, key));
    if (!set)
        mid_dict_swap(thread, handle, slot + 1, mid_retain(thread, value));
    d->used = position + 1;
    d->live++;
    d->version++;
    if (MID_UNLIKELY_(d->flags & MID_DICT_WALKED))
        d->flags &= (uint8_t)~MID_DICT_WALKED;
}

/* The cell for a hash that no entry with this key has. */
static inline uint32_t mid_dict_free_cell(mid_thread *thread, const mid_dict *d, uint32_t hash)
{
    const void *cells = mid_dict_index_of(thread, d)->words;
    uint32_t mask = mid_dict_mask(d), i = hash & mask, perturb = hash;
    while (mid_cell(cells, mid_dict_width(d), i) != 0)
        MID_PROBE(i, perturb, mask);
    return i;
}

/* Can this key go behind the others as it is? */
static inline __attribute__((always_inline)) bool mid_dict_has_room(const mid_dict *d, unsigned set, const mid_spot *place)
{
    if (d->bits == 0)
        return d->used < mid_dict_few(d, set) && place->kept;
    return d->room != 0 && place->steps < MID_DICT_STEPS;
}

/* Room for one more, made; MID_ECHANGED: look again. */
static __attribute__((noinline, unused)) mid_status mid_dict_more(mid_thread *thread, mid_handle handle, unsigned set, mid_spot *place)
{
    mid_dict *d = mid_dict_at(thread, handle);
    mid_status status;
    if (d->bits == 0 && place->kept && d->live < d->used) {
        mid_dict_pack_small(d, set);
        return MID_OK;
    }
    if (d->bits != 0 && d->room != 0) {
        if (!mid_dict_is(d, MID_DICT_NAMES) || mid_dict_is(d, MID_DICT_MIXED))
            return MID_OK;
        status = mid_dict_mix(thread, handle, set);
    } else {
        status = mid_dict_grow(thread, handle, set, place->kept);
    }
    if (status != MID_OK)
        return status;
    d = mid_dict_at(thread, handle);
    if (mid_dict_is(d, MID_DICT_NAMES) && mid_dict_is(d, MID_DICT_MIXED))
        return MID_ECHANGED; /* the hash may be another */
    if (d->bits != 0)
        place->cell = mid_dict_free_cell(thread, d, place->hash);
    return MID_OK;
}

static inline __attribute__((always_inline)) mid_status mid_dict_found(mid_thread *thread, mid_handle handle, mid_dict *d, mid_slot *slot,
                                                                       mid_put_mode mode, mid_handle value, mid_handle *there)
{
    if (mode == MID_PUT_SET) {
        mid_retain(thread, value);
        mid_release(thread, mid_dict_swap(thread, handle, slot + 1, value));
    } else if (there != NULL) {
        *there = mid_load(thread, handle, (unsigned)(slot + 1 - (mid_slot *)d));
    }
    return MID_OK;
}

/* In a small dictionary, where nothing is in the way: true, and it is done. */
static inline __attribute__((always_inline)) bool mid_dict_put_small(mid_thread *thread, mid_handle handle, unsigned set, mid_put_mode mode,
                                                                     mid_handle key, mid_handle value, mid_handle *there, int *added)
{
    mid_quick q;
    mid_spot place = {.kept = 1};
    mid_dict *d;
    if (MID_UNLIKELY_(!mid_quick_begin(thread, &q) || (d = mid_quick_open(thread, &q, handle, set)) == NULL || d->bits != 0 ||
                      (set && mid_dict_is(d, MID_DICT_SEALED)) || (mid_is_object_(value) && !mid_quick_live(thread, &q, value))))
        return false;
    uint32_t position = mid_quick_small(thread, &q, d, set, key, &place.hash);
    if (MID_UNLIKELY_(position == MID_ASK))
        return false;
    if (position != MID_NOWHERE) {
        if (!set)
            mid_dict_found(thread, handle, d, mid_dict_key(d, set, position), mode, value, there);
        return true;
    }
    if (MID_UNLIKELY_(d->used >= mid_dict_few(d, set))) {
        if (d->live == d->used)
            return false;
        mid_dict_pack_small(d, set);
    }
    mid_dict_append(thread, handle, d, set, key, value, &place);
    if (added != NULL)
        *added = 1;
    if (there != NULL)
        *there = mid_retain(thread, value);
    return true;
}

/* `there` and `added` may be null; so may `hashed`: the hash, known. */
static inline __attribute__((always_inline)) mid_status mid_dict_put(mid_thread *thread, mid_handle handle, unsigned set, mid_put_mode mode,
                                                                     mid_handle key, mid_handle value, const uint32_t *hashed,
                                                                     mid_handle *there, int *added)
{
    mid_status status;
    mid_spot place = {.position = MID_NOWHERE};
    if (hashed == NULL && mid_dict_put_small(thread, handle, set, mode, key, value, there, added))
        return MID_OK;
    mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (MID_UNLIKELY_(d == NULL))
        return status;
    for (int tries = 0; tries < MID_DICT_TRIES; tries++) {
        if (MID_UNLIKELY_(set && mid_dict_is(d, MID_DICT_SEALED)))
            return MID_ETYPE;
        if (MID_UNLIKELY_(!mid_dict_value_ok(thread, value) || (mid_dict_is(d, MID_DICT_NAMES) && !mid_dict_value_ok(thread, key))))
            return MID_EHANDLE;
        if (hashed != NULL && !mid_dict_is(d, MID_DICT_NAMES)) {
            place.hash = *hashed;
            place.kept = 0;
            status = mid_dict_find_hashed(thread, handle, set, key, &place);
        } else {
            status = mid_dict_find(thread, handle, d, set, key, &place);
        }
        if (MID_UNLIKELY_(status != MID_OK))
            return status;
        d = mid_dict_at(thread, handle);
        if (place.position != MID_NOWHERE)
            return set ? MID_OK : mid_dict_found(thread, handle, d, mid_dict_key(d, set, place.position), mode, value, there);
        if (MID_UNLIKELY_(!mid_dict_has_room(d, set, &place))) {
            status = mid_dict_more(thread, handle, set, &place);
            d = mid_dict_at(thread, handle);
            if (status == MID_ECHANGED)
                continue;
            if (status != MID_OK)
                return status;
        }
        mid_dict_append(thread, handle, d, set, key, value, &place);
        if (added != NULL)
            *added = 1;
        if (there != NULL)
            *there = mid_retain(thread, value);
        return MID_OK;
    }
    return MID_ECHANGED;
}

/* The entry at a place goes; what it held is the caller's. */
static inline __attribute__((always_inline)) void mid_dict_take(mid_thread *thread, mid_dict *d, unsigned set, const mid_spot *place,
                                                                mid_handle *key, mid_handle *value)
{
    mid_slot *slot = mid_dict_key(d, set, place->position);
    *key = slot->bits_;
    *value = set ? 0 : slot[1].bits_;
    MID_WRITE_(slot->bits_, 0);
    if (!set)
        MID_WRITE_(slot[1].bits_, 0);
    d->live--;
    d->version++;
    if (d->bits == 0) {
        mid_hole_note(d, place->position);
        return;
    }
    mid_cell_write(mid_dict_index_of(thread, d)->words, mid_dict_width(d), place->cell, 1);
    if (place->position == d->first)
        while (d->first < d->used && mid_dict_key(d, set, d->first)->bits_ == 0)
            d->first++;
}

static inline __attribute__((always_inline)) bool mid_dict_remove_small(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key,
                                                                        mid_handle *value)
{
    mid_quick q;
    mid_spot place = {.position = MID_NOWHERE};
    mid_handle old_key, old_value;
    mid_dict *d;
    if (MID_UNLIKELY_(!mid_quick_begin(thread, &q) || (d = mid_quick_open(thread, &q, handle, set)) == NULL || d->bits != 0 ||
                      (set && mid_dict_is(d, MID_DICT_SEALED))))
        return false;
    place.position = mid_quick_small(thread, &q, d, set, key, &place.hash);
    if (MID_UNLIKELY_(place.position >= MID_ASK)) /* or it is not there */
        return false;
    mid_dict_take(thread, d, set, &place, &old_key, &old_value);
    if (value != NULL)
        *value = old_value;
    else
        mid_release(thread, old_value);
    mid_release(thread, old_key);
    return true;
}

/* `value` may be null: it is released. */
static inline __attribute__((always_inline)) mid_status mid_dict_remove(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key,
                                                                        mid_handle *value)
{
    mid_status status;
    mid_spot place = {.position = MID_NOWHERE};
    mid_handle old_key, old_value;
    if (value != NULL)
        *value = 0;
    if (MID_LIKELY_(mid_dict_remove_small(thread, handle, set, key, value)))
        return MID_OK;
    mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (MID_UNLIKELY_(d == NULL))
        return status;
    if (MID_UNLIKELY_(set && mid_dict_is(d, MID_DICT_SEALED)))
        return MID_ETYPE;
    status = mid_dict_find(thread, handle, d, set, key, &place);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    if (place.position == MID_NOWHERE)
        return MID_EKEY;
    d = mid_dict_at(thread, handle);
    mid_dict_take(thread, d, set, &place, &old_key, &old_value);
    if (MID_UNLIKELY_(d->live < d->length / 16))
        mid_dict_shrink_some(thread, handle, set);
    if (value != NULL)
        *value = old_value;
    else
        mid_release(thread, old_value);
    mid_release(thread, old_key);
    return MID_OK;
}

/* The oldest, or the youngest. */
static inline mid_status mid_dict_pop_end(mid_thread *thread, mid_handle handle, unsigned set, bool last, mid_handle *key, mid_handle *value)
{
    mid_status status;
    mid_handle old;
    mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (key != NULL)
        *key = 0;
    if (value != NULL)
        *value = 0;
    if (d == NULL)
        return status;
    if (key == NULL)
        return MID_ENULL;
    if (set && mid_dict_is(d, MID_DICT_SEALED))
        return MID_ETYPE;
    if (d->live == 0)
        return MID_EKEY;
    mid_spot place = {.position = mid_dict_first(d)};
    if (last) {
        while (mid_dict_key(d, set, d->used - 1)->bits_ == 0)
            d->used--;
        place.position = d->used - 1;
    }
    while (mid_dict_key(d, set, place.position)->bits_ == 0)
        place.position++;
    if (d->bits != 0) {
        const void *cells = mid_dict_index_of(thread, d)->words;
        uint32_t mask = mid_dict_mask(d), hash = mid_dict_hash_at(thread, d, set, place.position), perturb = hash;
        uint32_t sought = ((hash & ~mask) | (place.position + 2)) & mid_width_mask(mid_dict_width(d));
        for (place.cell = hash & mask; mid_cell(cells, mid_dict_width(d), place.cell) != sought;)
            MID_PROBE(place.cell, perturb, mask);
    }
    mid_dict_take(thread, d, set, &place, key, &old);
    if (last) {
        d->used--; /* its position is given anew: cursors must not wait behind it */
        d->packed++;
        if (d->bits != 0 && d->first > d->used)
            d->first = d->used;
    }
    if (d->live < d->length / 16)
        mid_dict_shrink_some(thread, handle, set);
    if (value != NULL)
        *value = old;
    else
        mid_release(thread, old);
    return MID_OK;
}

static inline __attribute__((always_inline)) mid_status mid_dict_contains_in(mid_thread *thread, mid_handle handle, unsigned set,
                                                                             mid_handle key, int *there)
{
    mid_status status;
    mid_spot place = {.position = MID_NOWHERE};
    if (MID_UNLIKELY_(there == NULL))
        return thread == NULL ? MID_ENULL : (status = mid_thread_check(thread)) != MID_OK ? status : MID_ENULL;
    *there = 0;
    mid_quick q;
    uint32_t hash, position = MID_ASK;
    const mid_dict *quick = MID_LIKELY_(mid_quick_begin(thread, &q)) ? mid_quick_open(thread, &q, handle, set) : NULL;
    if (MID_LIKELY_(quick != NULL))
        position = mid_quick_find(thread, &q, quick, set, key, &hash);
    if (MID_LIKELY_(position != MID_ASK)) {
        *there = position != MID_NOWHERE;
        return MID_OK;
    }
    const mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (MID_UNLIKELY_(d == NULL))
        return status;
    status = mid_dict_find(thread, handle, d, set, key, &place);
    *there = status == MID_OK && place.position != MID_NOWHERE;
    return status;
}

#endif
