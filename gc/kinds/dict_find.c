/* gc/kinds/dict_find.c: who may call, and searches by value, in which the program compares. */
#include "gc/kinds/dict_search.h"

/* So many bits of the hash in a cell, and comparing is cheaper than a look at the hash: by the program, or in line. */
#define ENOUGH_ABOVE 0xFF000000u
#define FEW_ABOVE 0xFu

static mid_status int_hash(mid_thread *thread, void *context, mid_handle key, uint32_t *hash)
{
    (void)thread, (void)context;
    *hash = key >> 1;
    return MID_OK;
}
static mid_status same(mid_thread *thread, void *context, mid_handle a, mid_handle b, int *equal)
{
    (void)thread, (void)context;
    *equal = a == b;
    return MID_OK;
}
const mid_keys mid_keys_int = {.hash = int_hash, .equal = same};
const mid_keys mid_keys_identity = {.hash = int_hash, .equal = same};

__attribute__((noinline)) mid_status mid_dict_refuse(mid_thread *thread, mid_handle handle, unsigned set)
{
    mid_status status;
    const mid_entry *entry = mid_checked(thread, handle, &status);
    (void)set;
    return entry == NULL ? status : MID_ETYPE;
}

typedef enum { GO_ON, FOUND, AGAIN, FAILED } outcome;

/* Is the key at this position the one sought? The program is asked, and may do anything: the dictionary is looked at anew then. */
static outcome compare(mid_thread *thread, mid_handle handle, mid_handle there, mid_handle key, mid_status *status)
{
    mid_dict *d = mid_dict_at(thread, handle);
    const mid_keys *keys = mid_dict_keys(d);
    uint32_t version = d->version;
    int equal = 0;
    mid_retain(thread, there); /* it may be deleted while it is compared */
    *status = keys->equal(thread, keys->context, there, key, &equal);
    mid_release(thread, there);
    if (*status != MID_OK)
        return FAILED;
    if (mid_dict_at(thread, handle)->version != version)
        return AGAIN;
    return equal ? FOUND : GO_ON;
}

static outcome search_small(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place, mid_status *status)
{
    const uint32_t hash = place->hash;
    outcome out = GO_ON;
    for (uint32_t position = 0; position < mid_dict_at(thread, handle)->used; position++) {
        mid_dict *d = mid_dict_at(thread, handle);
        mid_handle there = mid_dict_key(d, set, position)->bits_;
        if (there == 0 || (there != key && mid_dict_hash_at(thread, d, set, position) != hash))
            continue;
        out = there == key ? FOUND : compare(thread, handle, there, key, status);
        place->position = position;
        if (out != GO_ON)
            return out;
    }
    place->position = MID_NOWHERE;
    return FOUND;
}

static outcome search(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place, mid_status *status)
{
    mid_dict *d = mid_dict_at(thread, handle);
    if (d->bits == 0)
        return search_small(thread, handle, set, key, place, status);
    mid_dict_index *index = mid_dict_index_of(thread, d);
    const unsigned width = mid_dict_width(d);
    const uint32_t mask = mid_dict_mask(d), hash = place->hash, above = ~mask & mid_width_mask(width);
    uint32_t i = hash & mask, perturb = hash;
    for (;; MID_PROBE(i, perturb, mask)) {
        uint32_t cell = mid_cell(index->words, width, i), position = (cell & mask) - 2;
        if (cell == 0)
            break;
        if (((cell ^ hash) & above) != 0 || position >= d->used)
            continue;
        mid_handle there = mid_dict_key(d, set, position)->bits_;
        outcome out = FOUND;
        if (there != key) {
            if (above < ENOUGH_ABOVE && mid_dict_hashes(d, index)[position] != hash)
                continue;
            out = compare(thread, handle, there, key, status);
            d = mid_dict_at(thread, handle);
            index = mid_dict_index_of(thread, d);
        }
        if (out == GO_ON)
            continue;
        place->position = position;
        place->cell = i;
        return out;
    }
    place->position = MID_NOWHERE;
    place->cell = i;
    return FOUND;
}

/* The hash is known. */
mid_status mid_dict_find_hashed(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place)
{
    mid_status status;
    const mid_dict *d = mid_dict_at(thread, handle);
    place->steps = 0;
    if (mid_is_string(thread, mid_dict_keys(d), key)) {
        place->kept = place->hash != 0 && mid_kept_hash(thread, mid_dict_keys(d), key) == place->hash;
        if (d->bits == 0)
            mid_small_find_string(thread, d, set, mid_dict_keys(d), key, mid_get(thread, key), place);
        if (d->bits == 0 || (set ? mid_set_find_string(thread, d, key, place) : mid_dict_find_string(thread, d, key, place)))
            return MID_OK;
    }
    for (int tries = 0; tries < MID_DICT_TRIES; tries++) {
        outcome out = search(thread, handle, set, key, place, &status);
        if (out == FAILED)
            return status;
        if (out != AGAIN)
            return MID_OK;
    }
    return MID_ECHANGED;
}

/* --- strings: no callback, so nothing moves, and nothing changes meanwhile ---------------------------------------------------- */

/* False: it met a key of another type, which only the program can compare. */
static inline __attribute__((always_inline)) bool search_strings(mid_thread *thread, const mid_dict *d, unsigned width, unsigned set, mid_type type,
                                                                 mid_handle key, mid_spot *place)
{
    mid_dict_index *index = mid_dict_index_of(thread, d);
    const uint32_t mask = mid_dict_mask(d), hash = place->hash, above = ~mask & mid_width_mask(width);
    const char *at = mid_get(thread, key);
    uint32_t i = hash & mask, perturb = hash;
    place->position = MID_NOWHERE;
    for (;; MID_PROBE(i, perturb, mask)) {
        uint32_t cell = mid_cell(index->words, width, i), position = (cell & mask) - 2;
        if (cell == 0)
            break;
        if (((cell ^ hash) & above) != 0 || position >= d->used)
            continue;
        mid_handle there = d->items[(size_t)position << !set].bits_;
        if (there != key) {
            if (above >> d->bits < FEW_ABOVE && mid_dict_hashes(d, index)[position] != hash)
                continue;
            if (mid_is_int(there))
                return false;
            uint64_t word = MID_READ_(mid_entry_(thread, there)->word);
            if (word >> MID_TYPE_SHIFT_ != type)
                return false;
            if (!mid_same_content(mid_type_at(mid_impl_of(thread)->heap, type), (const char *)(uintptr_t)(word & MID_ADDRESS_MASK_), at))
                continue;
        }
        place->position = position;
        break;
    }
    place->cell = i;
    return true;
}

/* The hash is known, and not 0. */
bool mid_dict_find_string(mid_thread *thread, const mid_dict *d, mid_handle key, mid_spot *place)
{
    mid_type type = mid_dict_keys(d)->strings;
    return d->bits <= 8   ? search_strings(thread, d, 1, 0, type, key, place)
           : d->bits <= 16? search_strings(thread, d, 2, 0, type, key, place)
                           : search_strings(thread, d, 4, 0, type, key, place);
}

bool mid_set_find_string(mid_thread *thread, const mid_dict *d, mid_handle key, mid_spot *place)
{
    mid_type type = mid_dict_keys(d)->strings;
    return d->bits <= 8   ? search_strings(thread, d, 1, 1, type, key, place)
           : d->bits <= 16? search_strings(thread, d, 2, 1, type, key, place)
                           : search_strings(thread, d, 4, 1, type, key, place);
}

/* Whatever the key is. */
mid_status mid_dict_find_value(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place)
{
    const mid_keys *keys = mid_dict_keys(mid_dict_at(thread, handle));
    if (key == 0 || !mid_dict_value_ok(thread, key))
        return MID_EHANDLE;
    place->kept = 0;
    mid_status status = keys->hash(thread, keys->context, key, &place->hash);
    return status != MID_OK ? status : mid_dict_find_hashed(thread, handle, set, key, place);
}
