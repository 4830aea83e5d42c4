/* gc/kinds/dict_find.c: who may call, and searches by value, in which the program compares. */
#include <string.h>

#include "gc/kinds/dict.h"

#define ENOUGH_ABOVE 0xFF000000u /* so many bits of the hash in a cell: comparing is cheaper than a look at the hash */

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
const mid_keys mid_keys_int = {int_hash, same, NULL, 0, 0};
const mid_keys mid_keys_identity = {int_hash, same, NULL, 0, 0};

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
    const mid_keys *keys = d->keys;
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

static outcome search(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place, mid_status *status)
{
    mid_dict *d = mid_dict_at(thread, handle);
    mid_dict_index *index = mid_dict_index_of(thread, d);
    const uint32_t mask = d->mask, hash = place->hash, above = ~mask & mid_width_mask(d->width);
    uint32_t i = hash & mask, perturb = hash;
    for (;; MID_PROBE(i, perturb, mask)) {
        uint32_t cell = mid_cell(index->words, d->width, i), position = (cell & mask) - 2;
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
    place->steps = 0;
    for (int tries = 0; tries < MID_DICT_TRIES; tries++) {
        if (mid_dict_at(thread, handle)->mask == 0) {
            place->position = MID_NOWHERE;
            return MID_OK;
        }
        outcome out = search(thread, handle, set, key, place, &status);
        if (out == FAILED)
            return status;
        if (out != AGAIN)
            return MID_OK;
    }
    return MID_ECHANGED;
}

/* --- strings: no callback, so nothing moves, and nothing changes meanwhile ---------------------------------------------------- */

static inline bool same_content(const mid_type_info *type, const char *one, const char *other)
{
    uint32_t items = *(const uint32_t *)(one + type->length_offset);
    return items == *(const uint32_t *)(other + type->length_offset) && memcmp(one + type->size, other + type->size, items * type->item_size) == 0;
}

/* False: it met a key of another type, which only the program can compare. */
static inline __attribute__((always_inline)) bool search_strings(mid_thread *thread, const mid_dict *d, unsigned width, unsigned set, mid_type type,
                                                                 mid_handle key, mid_spot *place)
{
    mid_dict_index *index = mid_dict_index_of(thread, d);
    const uint32_t mask = d->mask, hash = place->hash, above = ~mask & mid_width_mask(width);
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
            if (above < ENOUGH_ABOVE && mid_dict_hashes(d, index)[position] != hash)
                continue;
            if (mid_is_int(there))
                return false;
            uint64_t word = MID_READ_(mid_entry_(thread, there)->word);
            if (word >> MID_TYPE_SHIFT_ != type)
                return false;
            if (!same_content(mid_type_at(mid_impl_of(thread)->heap, type), (char *)(uintptr_t)(word & MID_ADDRESS_MASK_), mid_get(thread, key)))
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
    mid_type type = d->keys->strings;
    return d->width == 1   ? search_strings(thread, d, 1, 0, type, key, place)
           : d->width == 2 ? search_strings(thread, d, 2, 0, type, key, place)
                           : search_strings(thread, d, 4, 0, type, key, place);
}

bool mid_set_find_string(mid_thread *thread, const mid_dict *d, mid_handle key, mid_spot *place)
{
    mid_type type = d->keys->strings;
    return d->width == 1   ? search_strings(thread, d, 1, 1, type, key, place)
           : d->width == 2 ? search_strings(thread, d, 2, 1, type, key, place)
                           : search_strings(thread, d, 4, 1, type, key, place);
}

/* Whatever the key is. */
mid_status mid_dict_find_value(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place)
{
    const mid_dict *d = mid_dict_at(thread, handle);
    const mid_keys *keys = d->keys;
    if (key == 0 || !mid_dict_value_ok(thread, key))
        return MID_EHANDLE;
    mid_status status = keys->hash(thread, keys->context, key, &place->hash);
    if (status != MID_OK)
        return status;
    d = mid_dict_at(thread, handle);
    bool string = keys->strings != 0 && !mid_is_int(key) && MID_READ_(mid_entry_(thread, key)->word) >> MID_TYPE_SHIFT_ == keys->strings;
    if (string && d->mask != 0 && (set ? mid_set_find_string(thread, d, key, place) : mid_dict_find_string(thread, d, key, place)))
        return MID_OK;
    return mid_dict_find_hashed(thread, handle, set, key, place);
}
