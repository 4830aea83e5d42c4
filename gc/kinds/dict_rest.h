/* gc/kinds/dict_rest.h: going through dictionaries and sets, and what is done to them as a whole, inlined into the calls of both. */
#ifndef MID_GC_KINDS_DICT_REST_H
#define MID_GC_KINDS_DICT_REST_H

#include "gc/kinds/dict_quick.h"

static inline __attribute__((always_inline)) mid_status mid_dict_next_in(mid_thread *thread, mid_handle handle, unsigned set,
                                                                         mid_dict_cursor *cursor, mid_handle *key, mid_handle *value)
{
    mid_status status;
    mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (MID_UNLIKELY_(d == NULL || cursor == NULL || key == NULL))
        return d == NULL ? status : MID_ENULL;
    if (cursor->at_ == 0) {
        cursor->packed_ = d->packed;
        cursor->at_ = mid_dict_first(d);
    }
    if (MID_UNLIKELY_(cursor->packed_ != d->packed))
        return MID_ECHANGED;
    uint32_t at = cursor->at_, used = d->used;
    const mid_slot *slot = mid_dict_key(d, set, at);
    for (; at < used && slot->bits_ == 0; at++)
        slot += 2 - set;
    cursor->at_ = at + (at < used);
    if (at >= used)
        return MID_EKEY;
    if (MID_UNLIKELY_(!mid_dict_is(d, MID_DICT_WALKED)))
        MID_WRITE_(d->flags, (uint8_t)(d->flags | MID_DICT_WALKED));
    *key = slot->bits_;
    if (!set && value != NULL)
        *value = slot[1].bits_;
    return MID_OK;
}

/* The one that comes, or the end, if nothing is in the way. MID_ECHANGED: mid_dict_next_in is to see to it. */
static inline __attribute__((always_inline)) mid_status mid_dict_next_quick(mid_thread *thread, mid_handle handle, unsigned set,
                                                                            mid_dict_cursor *cursor, mid_handle *key, mid_handle *value)
{
    mid_quick q;
    const mid_dict *d;
    if (MID_UNLIKELY_(cursor == NULL) || MID_UNLIKELY_(key == NULL))
        return MID_ECHANGED;
    if (MID_UNLIKELY_(!mid_quick_begin(thread, &q) || (d = mid_quick_open(thread, &q, handle, set)) == NULL))
        return MID_ECHANGED;
    uint32_t at = cursor->at_;
    const mid_slot *slot = d->items + ((size_t)at << !set);
    if (MID_UNLIKELY_(!mid_dict_is(d, MID_DICT_WALKED) || (cursor->packed_ != d->packed && at != 0)))
        return MID_ECHANGED;
    if (at >= d->used)
        return MID_EKEY;
    if (MID_UNLIKELY_(slot->bits_ == 0))
        return MID_ECHANGED;
    if (MID_UNLIKELY_(at == 0))
        cursor->packed_ = d->packed;
    cursor->at_ = at + 1;
    *key = slot->bits_;
    if (!set && value != NULL)
        *value = slot[1].bits_;
    return MID_OK;
}

/* --- what has no need to be quick */

static inline mid_status mid_dict_length_of(mid_thread *thread, mid_handle handle, unsigned set, size_t *length)
{
    mid_status status;
    const mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (d == NULL || length == NULL)
        return d == NULL ? status : MID_ENULL;
    *length = d->live;
    return MID_OK;
}
static inline mid_status mid_dict_version_of(mid_thread *thread, mid_handle handle, unsigned set, uint32_t *version)
{
    mid_status status;
    const mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (d == NULL || version == NULL)
        return d == NULL ? status : MID_ENULL;
    *version = d->version;
    return MID_OK;
}
static inline mid_status mid_dict_open_to_change(mid_thread *thread, mid_handle handle, unsigned set)
{
    mid_status status;
    const mid_dict *d = mid_dict_open(thread, handle, set, &status);
    return d != NULL && mid_dict_is(d, MID_DICT_SEALED) ? MID_ETYPE : status;
}
static inline uint32_t mid_dict_room(const mid_dict *d, unsigned set)
{
    return d->bits != 0 ? d->room : mid_dict_few(d, set) - d->used;
}
static inline bool mid_dict_can_shrink(const mid_dict *d, unsigned set)
{
    if (d->bits == 0 || (d->live <= MID_DICT_SMALL && !mid_dict_is(d, MID_DICT_OTHERS)))
        return d->bits != 0 || d->length >> !set > d->live;
    return mid_dict_usable(mid_dict_mask(d) / 2) >= d->live && mid_dict_mask(d) >= MID_DICT_LEAST;
}
static inline mid_status mid_dict_reserve_in(mid_thread *thread, mid_handle handle, unsigned set, size_t entries, bool shrink)
{
    mid_status status = mid_dict_open_to_change(thread, handle, set);
    if (status == MID_OK && entries > MID_DICT_MOST)
        return MID_ESIZE;
    for (int tries = 0; status == MID_OK && tries < MID_DICT_TRIES; tries++) {
        const mid_dict *d = mid_dict_at(thread, handle);
        if (shrink && d->live == 0) {
            mid_dict_empty(thread, handle);
            return MID_OK;
        }
        if (shrink ? mid_dict_can_shrink(d, set) : entries > (size_t)d->live + mid_dict_room(d, set))
            status = mid_dict_rebuild(thread, handle, set, shrink ? d->live : entries, 0);
        if (status != MID_ECHANGED)
            return status;
        status = MID_OK;
    }
    return status == MID_OK ? MID_ECHANGED : status;
}
static inline mid_status mid_dict_clear_in(mid_thread *thread, mid_handle handle, unsigned set)
{
    mid_status status = mid_dict_open_to_change(thread, handle, set);
    if (status == MID_OK)
        mid_dict_empty(thread, handle);
    return status;
}
static inline mid_status mid_dict_copy_in(mid_thread *thread, mid_handle handle, unsigned set, mid_handle *out)
{
    mid_status status;
    const mid_dict *d = mid_dict_open(thread, handle, set, &status);
    if (out != NULL)
        *out = 0;
    if (d == NULL || out == NULL)
        return d == NULL ? status : MID_ENULL;
    return mid_dict_copy_of(thread, handle, set, out);
}
static inline mid_status mid_dict_update_in(mid_thread *thread, mid_handle handle, mid_handle from, unsigned set)
{
    mid_status status = mid_dict_open_to_change(thread, handle, set);
    if (status != MID_OK || mid_dict_open(thread, from, set, &status) == NULL || handle == from)
        return status;
    return mid_dict_update_from(thread, handle, from, set);
}

#endif
