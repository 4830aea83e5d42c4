/* gc/kinds/dict_check.c: is a dictionary whole? For mid_heap_check; the world stands. */
#include "gc/kinds/dict.h"

static uint32_t hash_of(const mid_heap *heap, mid_dict *d, const mid_dict_index *index, unsigned set, uint32_t position)
{
    mid_thread reader = {.table = heap->table};
    mid_handle key = mid_dict_key(d, set, position)->bits_;
    return mid_dict_is(d, MID_DICT_NAMES) ? mid_name_hash(&reader, d, key)
           : index != NULL                ? mid_dict_hashes(d, (mid_dict_index *)index)[position]
                                          : mid_kept_hash(&reader, mid_dict_keys(d), key);
}

static const char *check_small(const mid_heap *heap, mid_dict *d, unsigned set)
{
    if (d->used > MID_DICT_SMALL || (d->used != 0 && mid_dict_is(d, MID_DICT_OTHERS)))
        return "a dictionary should have an index";
    for (uint32_t at = 0; at < d->used; at++)
        if (mid_dict_key(d, set, at)->bits_ != 0 &&
            MID_TAG_OF(d->tags >> at * MID_TAG_BITS) != MID_TAG_OF(hash_of(heap, d, NULL, set, at)))
            return "a tag of a small dictionary is wrong";
    return NULL;
}

static const char *check_cells(const mid_heap *heap, mid_dict *d, const mid_dict_index *index, unsigned set)
{
    const uint32_t mask = mid_dict_mask(d);
    const unsigned width = mid_dict_width(d);
    uint32_t cells = 0, filled = 0;
    for (uint32_t i = 0; i <= mask; i++) {
        uint32_t cell = mid_cell(index->words, width, i), position = (cell & mask) - 2;
        filled += cell != 0;
        if (cell == 0 || cell == 1)
            continue;
        if (position >= d->used || mid_dict_key(d, set, position)->bits_ == 0)
            return "a cell of a dictionary names no entry";
        uint32_t hash = hash_of(heap, d, index, set, position), at = hash & mask, perturb = hash;
        while (at != i && mid_cell(index->words, width, at) != 0)
            MID_PROBE(at, perturb, mask);
        if (at != i || ((cell ^ hash) & ~mask & mid_width_mask(width)) != 0)
            return "a key of a dictionary is not where its hash leads";
        cells++;
    }
    if (cells != d->live)
        return "a dictionary has not one cell for each entry";
    return filled + d->room != mid_dict_usable(mask) ? "the room of a dictionary is wrong" : NULL;
}

const char *mid_dict_check(mid_heap *heap, const mid_entry *entry)
{
    mid_dict *d = mid_address(entry);
    unsigned set = mid_dict_kind(heap, (mid_type)(entry->word >> MID_TYPE_SHIFT_)) >= MID_DICT_KIND_SET;
    uint32_t live = 0, slots = d->length >> !set;
    if (mid_dict_keys(d) == NULL || d->live > d->used || mid_dict_first(d) > d->used || d->used > slots ||
        (d->bits != 0 && d->used > mid_dict_usable(mid_dict_mask(d))) || (d->bits == 0) != (d->index.bits_ == 0))
        return mid_dict_keys(d) == NULL && d->length == 0 ? NULL : "the figures of a dictionary contradict each other"; /* or it is being made */
    for (uint32_t at = 0; at < slots; at++) {
        mid_handle key = mid_dict_key(d, set, at)->bits_;
        if (key != 0 && (at >= d->used || at < mid_dict_first(d)))
            return "a dictionary has an entry where none can be";
        if (!set && key == 0 && mid_dict_key(d, set, at)[1].bits_ != 0)
            return "a dictionary has a value without a key";
        live += key != 0;
    }
    if (live != d->live)
        return "a dictionary has another number of entries than it says";
    if (d->bits == 0)
        return check_small(heap, d, set);
    const mid_dict_index *index = mid_address(mid_entry_at(heap, d->index.bits_));
    size_t bytes = ((size_t)mid_dict_width(d) << d->bits) + (mid_dict_is(d, MID_DICT_NAMES) ? 0 : (size_t)mid_dict_usable(mid_dict_mask(d)) * 4);
    return index->length < bytes / 4 ? "the index of a dictionary is too short" : check_cells(heap, d, index, set);
}
