/* gc/kinds/dict.c: the calls of dictionaries. */
#include "gc/kinds/dict_change.h"
#include "gc/kinds/dict_rest.h"

mid_status mid_dict_new(mid_thread *thread, const mid_keys *keys, mid_handle *out)
{
    return mid_dict_make(thread, keys, 0, MID_DICT_SOME, out);
}

static mid_status find(mid_thread *thread, mid_handle dict, mid_handle key, unsigned *slot)
{
    mid_status status;
    mid_spot place = {.position = MID_NOWHERE};
    const mid_dict *d = mid_dict_open(thread, dict, 0, &status);
    if (MID_UNLIKELY_(d == NULL))
        return status;
    status = mid_dict_find(thread, dict, d, 0, key, &place);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    *slot = (unsigned)(offsetof(mid_dict, items) / sizeof(mid_slot)) + place.position * 2 + 1;
    return place.position == MID_NOWHERE ? MID_EKEY : MID_OK;
}

static __attribute__((noinline)) mid_status get(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle *value)
{
    unsigned slot = 0;
    if (value == NULL)
        return thread == NULL || mid_thread_check(thread) == MID_OK ? MID_ENULL : mid_thread_check(thread);
    *value = 0;
    mid_status status = find(thread, dict, key, &slot);
    if (status == MID_OK)
        *value = mid_load(thread, dict, slot);
    return status;
}

mid_status mid_dict_get(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle *value)
{
    mid_quick q;
    uint32_t hash;
    mid_dict *d;
    if (MID_UNLIKELY_(value == NULL || !mid_quick_begin(thread, &q) || (d = mid_quick_open(thread, &q, dict, 0)) == NULL))
        return get(thread, dict, key, value);
    uint32_t position = mid_quick_find(thread, &q, d, 0, key, &hash);
    if (MID_UNLIKELY_(position == MID_ASK))
        return get(thread, dict, key, value);
    mid_handle found = 0;
    if (position != MID_NOWHERE) {
        found = __atomic_load_n(&d->items[(size_t)position * 2 + 1].bits_, __ATOMIC_ACQUIRE);
        if (mid_is_object_(found)) { /* as mid_load */
            mid_entry *entry = mid_entry_(thread, found);
            uint32_t count = __atomic_load_n(&entry->count, __ATOMIC_ACQUIRE);
            if (MID_UNLIKELY_(mid_mine_(thread, count) >= MID_LOCAL_ - MID_ONE_))
                return get(thread, dict, key, value);
            MID_WRITE_(entry->count, count + MID_ONE_);
        }
    }
    *value = found;
    return position == MID_NOWHERE ? MID_EKEY : MID_OK;
}

mid_handle mid_dict_peek(mid_thread *thread, mid_handle dict, mid_handle key)
{
    unsigned slot = 0;
    mid_status status = find(thread, dict, key, &slot);
    if (MID_LIKELY_(status == MID_OK)) {
        thread->status = MID_OK;
        return mid_peek(thread, dict, slot);
    }
    if (thread != NULL && status != MID_ETHREAD)
        thread->status = status;
    return 0;
}

mid_status mid_dict_contains(mid_thread *thread, mid_handle dict, mid_handle key, int *there)
{
    return mid_dict_contains_in(thread, dict, 0, key, there);
}

mid_status mid_dict_set(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle value)
{
    return mid_dict_put(thread, dict, 0, MID_PUT_SET, key, value, NULL, NULL, NULL);
}

mid_status mid_dict_add(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle value, mid_handle *there, int *added)
{
    if (there != NULL)
        *there = 0;
    if (added != NULL)
        *added = 0;
    return mid_dict_put(thread, dict, 0, MID_PUT_ADD, key, value, NULL, there, added);
}

mid_status mid_dict_delete(mid_thread *thread, mid_handle dict, mid_handle key)
{
    return mid_dict_remove(thread, dict, 0, key, NULL);
}

mid_status mid_dict_pop(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle *value)
{
    mid_status status = value == NULL ? mid_dict_open_to_change(thread, dict, 0) : MID_OK;
    if (value == NULL)
        return status == MID_OK ? MID_ENULL : status;
    return mid_dict_remove(thread, dict, 0, key, value);
}

mid_status mid_dict_pop_first(mid_thread *thread, mid_handle dict, mid_handle *key, mid_handle *value)
{
    return mid_dict_pop_end(thread, dict, 0, false, key, value);
}

mid_status mid_dict_pop_last(mid_thread *thread, mid_handle dict, mid_handle *key, mid_handle *value)
{
    return mid_dict_pop_end(thread, dict, 0, true, key, value);
}

static __attribute__((noinline)) mid_status next(mid_thread *thread, mid_handle dict, mid_dict_cursor *cursor, mid_handle *key, mid_handle *value)
{
    return mid_dict_next_in(thread, dict, 0, cursor, key, value);
}

mid_status mid_dict_next(mid_thread *thread, mid_handle dict, mid_dict_cursor *cursor, mid_handle *key, mid_handle *value)
{
    mid_status status = mid_dict_next_quick(thread, dict, 0, cursor, key, value);
    return MID_LIKELY_(status != MID_ECHANGED) ? status : next(thread, dict, cursor, key, value);
}

mid_status mid_dict_length(mid_thread *thread, mid_handle dict, size_t *length)
{
    return mid_dict_length_of(thread, dict, 0, length);
}

mid_status mid_dict_version(mid_thread *thread, mid_handle dict, uint32_t *version)
{
    return mid_dict_version_of(thread, dict, 0, version);
}

mid_status mid_dict_clear(mid_thread *thread, mid_handle dict)
{
    return mid_dict_clear_in(thread, dict, 0);
}

mid_status mid_dict_copy(mid_thread *thread, mid_handle dict, mid_handle *out)
{
    return mid_dict_copy_in(thread, dict, 0, out);
}

mid_status mid_dict_reserve(mid_thread *thread, mid_handle dict, size_t entries)
{
    return mid_dict_reserve_in(thread, dict, 0, entries, false);
}

mid_status mid_dict_shrink(mid_thread *thread, mid_handle dict)
{
    return mid_dict_reserve_in(thread, dict, 0, 0, true);
}

mid_status mid_dict_put_hashed(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, uint32_t hash, mid_handle value)
{
    return set ? mid_dict_put(thread, handle, 1, MID_PUT_ADD, key, 0, &hash, NULL, NULL)
               : mid_dict_put(thread, handle, 0, MID_PUT_SET, key, value, &hash, NULL, NULL);
}

/* Hashes are taken over where both hash alike. A callback may change `from`: what is in hand is held, and the version told. */
mid_status mid_dict_update_from(mid_thread *thread, mid_handle handle, mid_handle from, unsigned set)
{
    const mid_dict *source = mid_dict_at(thread, from);
    const uint32_t version = source->version;
    const bool alike = mid_dict_keys(source) == mid_dict_keys(mid_dict_at(thread, handle)) && !mid_dict_is(source, MID_DICT_NAMES);
    mid_status status = MID_OK;
    for (uint32_t at = mid_dict_first(source); status == MID_OK && at < source->used; at++) {
        unsigned slot = (unsigned)(mid_dict_key((mid_dict *)source, set, at) - (mid_slot *)source);
        if (mid_peek(thread, from, slot) == 0)
            continue;
        uint32_t hash = alike ? mid_dict_hash_at(thread, (mid_dict *)source, set, at) : 0;
        mid_handle key = mid_load(thread, from, slot), value = set ? 0 : mid_load(thread, from, slot + 1);
        if (alike)
            status = mid_dict_put_hashed(thread, handle, set, key, hash, value);
        else if (set)
            status = mid_set_add(thread, handle, key, NULL);
        else
            status = mid_dict_set(thread, handle, key, value);
        mid_release(thread, value);
        mid_release(thread, key);
        source = mid_dict_at(thread, from);
        if (status == MID_OK && source->version != version)
            status = MID_ECHANGED;
    }
    return status;
}

mid_status mid_dict_update(mid_thread *thread, mid_handle dict, mid_handle from)
{
    return mid_dict_update_in(thread, dict, from, 0);
}
