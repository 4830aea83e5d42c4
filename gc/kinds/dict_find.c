/* gc/kinds/dict_find.c: who may call, and searches by value, in which the program compares. */
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
const mid_keys mid_keys_int = {int_hash, same, NULL};
const mid_keys mid_keys_identity = {int_hash, same, NULL};

__attribute__((noinline)) mid_status mid_dict_refuse(mid_thread *thread, mid_handle handle, unsigned set)
{
    mid_status status;
    const mid_entry *entry = mid_checked(thread, handle, &status);
    (void)set;
    return entry == NULL ? status : MID_ETYPE;
}

/* What may be put in. */
bool mid_dict_value_ok(mid_thread *thread, mid_handle value)
{
    return !mid_is_object_(value) || (mid_in_table(mid_impl_of(thread)->heap, value) && mid_entry_live(mid_entry_(thread, value)));
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

mid_status mid_dict_find_value(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place)
{
    const mid_keys *keys = mid_dict_at(thread, handle)->keys;
    if (key == 0 || !mid_dict_value_ok(thread, key))
        return MID_EHANDLE;
    mid_status status = keys->hash(thread, keys->context, key, &place->hash);
    return status != MID_OK ? status : mid_dict_find_hashed(thread, handle, set, key, place);
}
