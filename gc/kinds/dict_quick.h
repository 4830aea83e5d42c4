/* gc/kinds/dict_quick.h: searches in a straight line, without a call and without a frame: integers and identities, and strings that keep their
 * hash in small dictionaries. What is anything else than in order is left to the calls that take their time (MID_ASK). */
#ifndef MID_GC_KINDS_DICT_QUICK_H
#define MID_GC_KINDS_DICT_QUICK_H

#include "gc/kinds/dict_search.h"

#define MID_ASK (UINT32_MAX - 1)
#define MID_INLINE_BYTES 16u /* of strings that are compared here */

/* What may be called now: how far the table goes. What comes before the first entry of a debug heap reads as free. */
typedef struct mid_quick {
    const mid_heap *heap;
    uint32_t next;
} mid_quick;

static inline __attribute__((always_inline)) bool mid_quick_begin(mid_thread *thread, mid_quick *q)
{
    mid_impl *me = mid_impl_of(thread);
    if (MID_UNLIKELY_(me == NULL || !mid_here(me)))
        return false;
    q->heap = me->heap;
    q->next = __atomic_load_n(&q->heap->next_index, __ATOMIC_ACQUIRE);
    return true;
}

/* Does it name an object that lives, or is it null? Rotated, what is odd is too large. */
static inline __attribute__((always_inline)) bool mid_quick_live(mid_thread *thread, const mid_quick *q, mid_handle value)
{
    return (value >> 1 | value << 31) < q->next && mid_entry_live(mid_entry_(thread, value));
}

static inline __attribute__((always_inline)) mid_dict *mid_quick_open(mid_thread *thread, const mid_quick *q, mid_handle handle, unsigned set)
{
    if (MID_UNLIKELY_(!mid_quick_live(thread, q, handle)))
        return NULL;
    uint64_t word = MID_READ_(mid_entry_(thread, handle)->word);
    if (MID_UNLIKELY_(mid_dict_kind(q->heap, (mid_type)(word >> MID_TYPE_SHIFT_)) - 2 * set >= 2))
        return NULL;
    return (mid_dict *)(uintptr_t)(word & MID_ADDRESS_MASK_);
}

/* With an index. */
static inline __attribute__((always_inline)) uint32_t mid_quick_large(mid_thread *thread, const mid_quick *q, const mid_dict *d, unsigned set,
                                                                      mid_handle key)
{
    if (MID_UNLIKELY_(key == 0 || !mid_quick_live(thread, q, key)))
        return MID_ASK;
    const mid_keys *keys = mid_dict_keys(d);
    uint64_t word = MID_READ_(mid_entry_(thread, key)->word);
    mid_spot place = {.hash = 0};
    if (MID_UNLIKELY_(word >> MID_TYPE_SHIFT_ != keys->strings || (place.hash = mid_kept_hash_in(keys, word)) == 0))
        return MID_ASK;
    if (MID_UNLIKELY_(!(set ? mid_set_find_string(thread, d, key, &place) : mid_dict_find_string(thread, d, key, &place))))
        return MID_ASK;
    return place.position;
}

static inline __attribute__((always_inline)) uint32_t mid_quick_string(mid_thread *thread, const mid_quick *q, const mid_dict *d, unsigned set,
                                                                       mid_handle key, uint32_t *hash)
{
    if (MID_UNLIKELY_(key == 0 || !mid_quick_live(thread, q, key)))
        return MID_ASK;
    const mid_keys *keys = mid_dict_keys(d);
    uint64_t word = MID_READ_(mid_entry_(thread, key)->word);
    if (MID_UNLIKELY_(word >> MID_TYPE_SHIFT_ != keys->strings))
        return MID_ASK;
    const char *at = (const char *)(uintptr_t)(word & MID_ADDRESS_MASK_);
    *hash = mid_kept_hash_in(keys, word);
    if (MID_UNLIKELY_(*hash == 0))
        return MID_ASK;
    for (uint64_t like = mid_tags_like(d->tags, d->used, *hash); like != 0; like &= like - 1) {
        uint32_t position = mid_tag_position(like);
        mid_handle there = d->items[(size_t)position << !set].bits_;
        if (there == key)
            return position;
        if (there == 0)
            continue;
        const char *other = mid_get(thread, there);
        if (mid_kept_hash_in(keys, (uintptr_t)other) != *hash)
            continue;
        const mid_type_info *type = mid_type_at(q->heap, keys->strings);
        uint32_t length = *(const uint32_t *)(at + type->length_offset);
        size_t bytes = (size_t)length * type->item_size;
        if (length != *(const uint32_t *)(other + type->length_offset))
            continue;
        if (MID_UNLIKELY_(bytes > MID_INLINE_BYTES))
            return MID_ASK;
        if (MID_LIKELY_(mid_same_bytes(at + type->size, other + type->size, bytes)))
            return position;
    }
    return MID_NOWHERE;
}

/* The same of a small one, whatever its keys are. */
static inline __attribute__((always_inline)) uint32_t mid_quick_small(mid_thread *thread, const mid_quick *q, const mid_dict *d, unsigned set,
                                                                      mid_handle key, uint32_t *hash)
{
    const unsigned flags = MID_READ_(d->flags);
    if (!(flags & MID_DICT_NAMES))
        return mid_is_int(key) ? MID_ASK : mid_quick_string(thread, q, d, set, key, hash);
    if (MID_UNLIKELY_((flags & MID_DICT_MIXED) || key == 0 || (!mid_is_int(key) && ((flags & MID_DICT_INTS) || !mid_quick_live(thread, q, key)))))
        return MID_ASK;
    mid_spot place = {.hash = *hash = key >> 1};
    mid_small_find_name(d, set, key, &place);
    return place.position;
}

/* Where the key is, or MID_NOWHERE; with its hash. */
static inline __attribute__((always_inline)) uint32_t mid_quick_find(mid_thread *thread, const mid_quick *q, const mid_dict *d, unsigned set,
                                                                     mid_handle key, uint32_t *hash)
{
    const unsigned flags = MID_READ_(d->flags), bits = d->bits;
    if (!(flags & MID_DICT_NAMES))
        return bits == 0 ? mid_quick_string(thread, q, d, set, key, hash) : mid_quick_large(thread, q, d, set, key);
    if (MID_UNLIKELY_((flags & MID_DICT_MIXED) || key == 0 || ((flags & MID_DICT_INTS) && !mid_is_int(key))))
        return MID_ASK;
    *hash = key >> 1;
    mid_spot place = {.hash = *hash};
    if (bits == 0)
        mid_small_find_name(d, set, key, &place);
    else if (bits <= 8)
        mid_find_name(d, mid_dict_index_of(thread, d)->words, 1, set, key, &place);
    else if (bits <= 16)
        mid_find_name(d, mid_dict_index_of(thread, d)->words, 2, set, key, &place);
    else
        mid_find_name(d, mid_dict_index_of(thread, d)->words, 4, set, key, &place);
    return place.position;
}

#endif
