/* gc/kinds/dict_search.h: searches that need no callback, inlined into whoever searches. */
#ifndef MID_GC_KINDS_DICT_SEARCH_H
#define MID_GC_KINDS_DICT_SEARCH_H

#include <string.h>

#include "gc/kinds/dict.h"

/* Most are short: two words that overlap, and no call. */
static inline __attribute__((always_inline)) bool mid_same_bytes(const char *a, const char *b, size_t bytes)
{
    uint64_t x[2], y[2];
    if (MID_UNLIKELY_(bytes > 16))
        return memcmp(a, b, bytes) == 0;
    if (bytes >= 8) {
        memcpy(x, a, 8), memcpy(y, b, 8);
        memcpy(x + 1, a + bytes - 8, 8), memcpy(y + 1, b + bytes - 8, 8);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }
    if (bytes >= 4) {
        uint32_t p[2], q[2];
        memcpy(p, a, 4), memcpy(q, b, 4);
        memcpy(p + 1, a + bytes - 4, 4), memcpy(q + 1, b + bytes - 4, 4);
        return ((p[0] ^ q[0]) | (p[1] ^ q[1])) == 0;
    }
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            return false;
    return true;
}
static inline __attribute__((always_inline)) bool mid_same_content(const mid_type_info *type, const char *one, const char *other)
{
    uint32_t items = *(const uint32_t *)(one + type->length_offset);
    return items == *(const uint32_t *)(other + type->length_offset) && mid_same_bytes(one + type->size, other + type->size, (size_t)items * type->item_size);
}

/* --- searches */

static inline __attribute__((always_inline)) void mid_find_name(const mid_dict *d, const void *cells, unsigned width, unsigned set,
                                                                mid_handle key, mid_spot *place)
{
    const uint32_t mask = mid_dict_mask(d), hash = place->hash, above = ~mask & mid_width_mask(width);
    uint32_t i = hash & mask, perturb = hash, steps = 0;
    for (;;) {
        uint32_t cell = mid_cell(cells, width, i), position = (cell & mask) - 2;
        if (((cell ^ hash) & above) == 0 && position < d->used && d->items[(size_t)position << !set].bits_ == key) {
            place->position = position;
            break;
        }
        if (cell == 0) {
            place->position = MID_NOWHERE;
            break;
        }
        steps++;
        MID_PROBE(i, perturb, mask);
    }
    place->cell = i;
    place->steps = steps;
}

/* Of a small one of names. */
static inline __attribute__((always_inline)) void mid_small_find_name(const mid_dict *d, unsigned set, mid_handle key, mid_spot *place)
{
    place->position = MID_NOWHERE;
    for (uint64_t like = mid_tags_like(d->tags, d->used, place->hash); like != 0; like &= like - 1) {
        uint32_t position = mid_tag_position(like);
        if (MID_LIKELY_(d->items[(size_t)position << !set].bits_ == key)) {
            place->position = position;
            return;
        }
    }
}

/* Of a small one of strings, the address of whose content is at hand. */
static inline __attribute__((always_inline)) void mid_small_find_string(mid_thread *thread, const mid_dict *d, unsigned set, const mid_keys *keys,
                                                                        mid_handle key, const char *at, mid_spot *place)
{
    place->position = MID_NOWHERE;
    for (uint64_t like = mid_tags_like(d->tags, d->used, place->hash); like != 0; like &= like - 1) {
        uint32_t position = mid_tag_position(like);
        mid_handle there = d->items[(size_t)position << !set].bits_;
        if (there != key) {
            if (there == 0)
                continue;
            const char *other = mid_get(thread, there);
            if (mid_kept_hash_in(keys, (uintptr_t)other) != place->hash ||
                !mid_same_content(mid_type_at(mid_impl_of(thread)->heap, keys->strings), other, at))
                continue;
        }
        place->position = position;
        return;
    }
}

/* Of a dictionary of names. */
static inline __attribute__((always_inline)) mid_status mid_dict_find_name(mid_thread *thread, const mid_dict *d, unsigned set,
                                                                           mid_handle key, mid_spot *place)
{
    if (MID_UNLIKELY_(key == 0))
        return MID_EHANDLE;
    if (MID_UNLIKELY_(!mid_is_int(key) && mid_dict_is(d, MID_DICT_INTS)))
        return MID_ETYPE;
    place->hash = mid_name_hash(thread, d, key);
    place->kept = 1;
    if (d->bits == 0) {
        mid_small_find_name(d, set, key, place);
        return MID_OK;
    }
    const void *cells = mid_dict_index_of(thread, d)->words;
    if (d->bits <= 8)
        mid_find_name(d, cells, 1, set, key, place);
    else if (d->bits <= 16)
        mid_find_name(d, cells, 2, set, key, place);
    else
        mid_find_name(d, cells, 4, set, key, place);
    return MID_OK;
}

/* After it addresses are to be had anew. */
static inline __attribute__((always_inline)) mid_status mid_dict_find(mid_thread *thread, mid_handle handle, const mid_dict *d,
                                                                      unsigned set, mid_handle key, mid_spot *place)
{
    if (mid_dict_is(d, MID_DICT_NAMES))
        return mid_dict_find_name(thread, d, set, key, place);
    const mid_keys *keys = mid_dict_keys(d);
    if (MID_LIKELY_(mid_is_object_(key) && mid_dict_value_ok(thread, key))) {
        uint64_t word = MID_READ_(mid_entry_(thread, key)->word);
        if (MID_LIKELY_(word >> MID_TYPE_SHIFT_ == keys->strings)) { /* no object has type 0 */
            place->hash = mid_kept_hash_in(keys, word);
            place->kept = 1;
            if (MID_LIKELY_(place->hash != 0)) {
                if (d->bits == 0) {
                    mid_small_find_string(thread, d, set, keys, key, (const char *)(uintptr_t)(word & MID_ADDRESS_MASK_), place);
                    return MID_OK;
                }
                if (set ? mid_set_find_string(thread, d, key, place) : mid_dict_find_string(thread, d, key, place))
                    return MID_OK;
            }
        }
    }
    return mid_dict_find_value(thread, handle, set, key, place);
}

#endif
