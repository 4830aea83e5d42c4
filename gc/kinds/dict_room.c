/* gc/kinds/dict_room.c: the types, and the memory of dictionaries: growth, packing, the index. */
#include <string.h>

#include "gc/kinds/dict.h"

#define MOST_CELLS (1u << 31)

static mid_status register_types(mid_heap *heap)
{
    static const char *const names[] = {"dict", "dict by identity", "set", "set by identity"};
    static const uint32_t slots[] = {offsetof(mid_dict, index)};
    mid_type first = 0, made;
    mid_status status = MID_OK;
    if (heap->type_count + MID_DICT_KINDS > MID_TYPES_MAX)
        return MID_ETYPES;
    for (unsigned kind = 0; kind < MID_DICT_KINDS && status == MID_OK; kind++) {
        mid_type_desc desc = {.struct_size = sizeof desc, .name = kind == MID_DICT_KIND_INDEX ? "dict index" : names[kind]};
        desc.item_size = 4;
        if (kind == MID_DICT_KIND_INDEX) {
            desc.size = sizeof(mid_dict_index);
            desc.length_offset = offsetof(mid_dict_index, length);
            desc.flags = MID_UNCLEARED;
        } else {
            desc.size = sizeof(mid_dict);
            desc.length_offset = offsetof(mid_dict, length);
            desc.items_are_refs = 1;
            desc.ref_offsets = slots;
            desc.ref_count = 1;
            desc.flags = kind == MID_DICT_KIND_IDENTITY || kind == MID_DICT_KIND_SET_IDENTITY ? MID_IDENTITY : 0;
        }
        status = mid_type_register(heap, &desc, &made);
        if (status == MID_OK && kind == MID_DICT_KIND_IDENTITY)
            mid_type_at(heap, made)->identity_even = true;
        first = first == 0 ? made : first;
    }
    if (status == MID_OK)
        MID_WRITE_(heap->dict_base, first - MID_DICT_OFF);
    return status;
}

/* Once a heap, by whoever makes the first. If memory fails in the middle, what was registered stays, unused. */
mid_status mid_dict_types(mid_heap *heap)
{
    mid_lock(heap);
    mid_status status = heap->dict_base != 0 ? MID_OK : register_types(heap);
    mid_unlock(heap);
    return status;
}

static mid_type type_of(const mid_heap *heap, unsigned kind)
{
    return MID_READ_(heap->dict_base) + MID_DICT_OFF + kind;
}

static bool are_strings(const mid_heap *heap, const mid_keys *keys)
{
    if (keys->strings > mid_type_count(heap))
        return false;
    const mid_type_info *type = mid_type_at(heap, keys->strings);
    return type->item_size != 0 && !type->items_are_refs && type->slot_count == 0 && type->trace == NULL && keys->hash_offset % 4 == 0 &&
           keys->hash_shift < 32 && keys->hash_offset <= type->size && type->size - keys->hash_offset >= sizeof(uint32_t);
}

/* Many dictionaries stay empty, and to resize costs more than to make. So they are born as large as their like become soon: the first of
 * each sixteen is born empty, and as far as any has grown meanwhile, the next sixteen are born. */
static uint32_t born(mid_impl *me, unsigned set)
{
    mid_dict_births *b = &me->dict_births[set];
    if (MID_UNLIKELY_(b->left-- == 0)) {
        *b = (mid_dict_births){.left = MID_DICT_BIRTHS - 1, .room = b->grown};
        return 0;
    }
    return b->room;
}

static void has_grown(mid_thread *thread, unsigned set, uint32_t to)
{
    mid_dict_births *b = &mid_impl_of(thread)->dict_births[set];
    if (b->grown < to)
        b->grown = (uint8_t)to;
}

/* With room for so many entries; MID_DICT_SOME: as its like. */
mid_status mid_dict_make(mid_thread *thread, const mid_keys *keys, unsigned set, uint32_t entries, mid_handle *out)
{
    mid_status status = mid_thread_check(thread);
    if (out != NULL)
        *out = 0;
    if (status != MID_OK)
        return status;
    if (keys == NULL || out == NULL || keys->hash == NULL || keys->equal == NULL)
        return MID_ENULL;
    mid_heap *heap = mid_impl_of(thread)->heap;
    if ((keys->strings != 0 && !are_strings(heap, keys)) || (uint64_t)(uintptr_t)keys >> 48 != 0)
        return MID_EINVAL;
    if (MID_READ_(heap->dict_base) == 0 && (status = mid_dict_types(heap)) != MID_OK)
        return status;
    unsigned identity = keys == &mid_keys_identity;
    if (entries == MID_DICT_SOME)
        entries = keys->strings != 0 || keys == &mid_keys_int || identity ? born(mid_impl_of(thread), set) : 0;
    status = mid_new_array(thread, type_of(heap, set * MID_DICT_KIND_SET + identity), (size_t)entries << !set, out);
    if (status != MID_OK)
        return status;
    mid_dict *d = mid_dict_at(thread, *out);
    d->keys_low = (uint32_t)(uintptr_t)keys;
    d->keys_high = (uint16_t)((uint64_t)(uintptr_t)keys >> 32);
    d->flags = (uint8_t)((keys == &mid_keys_int ? MID_DICT_INTS | MID_DICT_NAMES : identity ? MID_DICT_NAMES : 0));
    return MID_OK;
}

/* --- the index -------------------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void fill(mid_thread *thread, mid_dict *d, mid_dict_index *index, unsigned width, unsigned set)
{
    const uint32_t mask = mid_dict_mask(d), *hashes = mid_dict_hashes(d, index);
    const bool names = mid_dict_is(d, MID_DICT_NAMES);
    void *cells = index->words;
    for (uint32_t position = 0; position < d->used; position++) {
        uint32_t hash = names ? mid_name_hash(thread, d, mid_dict_key(d, set, position)->bits_) : hashes[position];
        uint32_t i = hash & mask, perturb = hash;
        while (mid_cell(cells, width, i) != 0)
            MID_PROBE(i, perturb, mask);
        mid_cell_write(cells, width, i, (hash & ~mask) | (position + 2));
    }
}

/* All entries are live, and all cells empty; or it is small. */
static void fill_index(mid_thread *thread, mid_dict *d, unsigned set)
{
    if (d->bits == 0) {
        d->tags = 0;
        for (uint32_t position = 0; position < d->used; position++)
            mid_tag_put(d, position, mid_dict_hash_at(thread, d, set, position));
        return;
    }
    mid_dict_index *index = mid_dict_index_of(thread, d);
    if (d->bits <= 8)
        fill(thread, d, index, 1, set);
    else if (d->bits <= 16)
        fill(thread, d, index, 2, set);
    else
        fill(thread, d, index, 4, set);
    d->first = 0;
    d->room = mid_dict_usable(mid_dict_mask(d)) - d->used;
}

/* Large blocks come cleared, from the system: not to be written twice. */
static mid_status new_index(mid_thread *thread, const mid_dict *d, unsigned bits, mid_handle *out)
{
    size_t bytes = (size_t)(bits <= 8 ? 1 : bits <= 16 ? 2 : 4) << bits;
    size_t hashes = mid_dict_is(d, MID_DICT_NAMES) ? 0 : mid_dict_usable((1u << bits) - 1);
    mid_status status = mid_new_array(thread, type_of(mid_impl_of(thread)->heap, MID_DICT_KIND_INDEX), bytes / 4 + hashes, out);
    if (status == MID_OK && !(MID_READ_(mid_entry_(thread, *out)->word) & MID_F_LARGE))
        memset(((mid_dict_index *)mid_get(thread, *out))->words, 0, bytes);
    return status;
}

static inline void move_entry(mid_dict *d, unsigned set, uint32_t from, uint32_t to)
{
    mid_slot *key = mid_dict_key(d, set, from), *goal = mid_dict_key(d, set, to);
    for (unsigned i = 0; goal != key && i < 2 - set; i++) {
        MID_WRITE_(goal[i].bits_, key[i].bits_);
        MID_WRITE_(key[i].bits_, 0);
    }
}

/* Entries move up to where deleted ones were; hashes (of names and of a small one: none) from `from` go to `to`, which may be the same.
 * References stay in their holder, so nothing is counted, and who reads at the same time proves later what it has seen. */
static void pack(mid_dict *d, unsigned set, const uint32_t *from, uint32_t *to)
{
    if (d->live == d->used) {
        if (from != NULL && to != NULL && from != to)
            memcpy(to, from, (size_t)d->used * sizeof *to);
        return;
    }
    uint32_t n = 0;
    for (uint32_t at = 0; at < d->used; at++) {
        if (mid_dict_key(d, set, at)->bits_ == 0)
            continue;
        if (from != NULL && to != NULL)
            to[n] = from[at];
        move_entry(d, set, at, n++);
    }
    d->used = n;
    d->packed++;
}

/* One entry is missing, and where it was is known: what is behind moves up by one. Which one is not to be foreseen, so all are written, as they
 * were or from the next, and the loop is as long for any. */
static inline __attribute__((always_inline)) void close_gap(mid_dict *d, unsigned set, uint32_t hole)
{
    const uint64_t below = (UINT64_C(1) << hole * MID_TAG_BITS) - 1;
    const uint32_t last = --d->used;
    d->tags = (d->tags & below) | (d->tags >> MID_TAG_BITS & ~below);
    if (set) {
        for (uint32_t at = 0; at < last; at++)
            MID_WRITE_(d->items[at].bits_, d->items[at + (at >= hole)].bits_);
        MID_WRITE_(d->items[last].bits_, 0);
    } else {
        mid_word_ *entries = (mid_word_ *)d->items; /* key and value in one */
        for (uint32_t at = 0; at < last; at++)
            MID_WRITE_(entries[at], entries[at + (at >= hole)]);
        MID_WRITE_(entries[last], 0);
    }
}

/* As it is, with its tags. What moves up is written over what went before, so that at any time it is somewhere. Where several are missing is
 * not to be foreseen: no branch depends on it. */
static __attribute__((noinline)) void close_gaps(mid_dict *d, unsigned set)
{
    uint32_t n = 0;
    uint64_t tags = 0;
    for (uint32_t at = 0; at < d->used; at++) {
        const mid_slot *key = mid_dict_key(d, set, at);
        mid_slot *goal = mid_dict_key(d, set, n);
        const uint64_t live = key->bits_ != 0;
        tags |= (MID_TAG_OF(d->tags >> at * MID_TAG_BITS) & -live) << n * MID_TAG_BITS;
        MID_WRITE_(goal[0].bits_, key[0].bits_);
        if (!set)
            MID_WRITE_(goal[1].bits_, key[1].bits_);
        n += (uint32_t)live;
    }
    for (mid_slot *slot = mid_dict_key(d, set, n), *end = mid_dict_key(d, set, d->used); slot < end; slot++)
        MID_WRITE_(slot->bits_, 0);
    d->tags = tags;
    d->used = n;
}

void mid_dict_pack_small(mid_dict *d, unsigned set)
{
    const uint32_t hole = mid_dict_hole(d, set);
    if (MID_UNLIKELY_(hole == MID_NOWHERE))
        close_gaps(d, set);
    else if (set)
        close_gap(d, 1, hole);
    else
        close_gap(d, 0, hole);
    d->packed++;
    d->version++;
}

/* Into the index `made` (0: the one that it has, or none), of so many cells (bits of 0: small). There is room. */
static void settle(mid_thread *thread, mid_handle handle, unsigned set, mid_handle made, unsigned bits, uint8_t flags)
{
    mid_dict *d = mid_dict_at(thread, handle);
    const bool names = mid_dict_is(d, MID_DICT_NAMES), was_small = d->bits == 0;
    const uint32_t *from = names || was_small ? NULL : mid_dict_hashes(d, mid_dict_index_of(thread, d));
    mid_dict_index *index = made != 0 ? mid_get(thread, made) : was_small ? NULL : mid_dict_index_of(thread, d);
    d->bits = (uint8_t)bits;
    uint32_t *to = names || bits == 0 ? NULL : mid_dict_hashes(d, index);
    pack(d, set, from, to);
    if (was_small && to != NULL)
        for (uint32_t at = 0; at < d->used; at++)
            to[at] = mid_kept_hash(thread, mid_dict_keys(d), mid_dict_key(d, set, at)->bits_);
    if (made != 0 || bits == 0)
        made = mid_dict_swap(thread, handle, &d->index, made);
    else
        memset(index->words, 0, (size_t)mid_dict_width(d) << bits);
    d->flags = (uint8_t)((d->flags | flags) & ~MID_DICT_WALKED);
    d->version++;
    fill_index(thread, d, set);
    mid_release(thread, made);
}

/* Least number of cells for so many entries: its logarithm. */
static unsigned bits_for(uint64_t entries)
{
    unsigned bits = 3;
    while (((uint64_t)1 << bits) * 2 / 3 < entries)
        bits++;
    return bits;
}

mid_status mid_dict_rebuild(mid_thread *thread, mid_handle handle, unsigned set, uint64_t entries, uint8_t flags)
{
    if (entries > MID_DICT_MOST)
        return MID_ESIZE;
    mid_dict *d = mid_dict_at(thread, handle);
    uint32_t version = d->version;
    bool small = entries <= MID_DICT_SMALL && !((d->flags | flags) & MID_DICT_OTHERS);
    unsigned bits = small ? 0 : bits_for(entries);
    size_t slots = (size_t)(small ? entries : mid_dict_usable((1u << bits) - 1)) << !set;
    mid_status status = MID_OK;
    mid_handle made = 0;
    if (bits != d->bits && bits != 0)
        status = new_index(thread, d, bits, &made);
    if (status == MID_OK && slots > mid_dict_at(thread, handle)->length)
        status = mid_resize(thread, handle, slots);
    if (status == MID_OK && mid_dict_at(thread, handle)->version != version)
        status = MID_ECHANGED; /* a finalizer has been at it */
    if (status != MID_OK) {
        mid_release(thread, made);
        return status;
    }
    settle(thread, handle, set, made, bits, flags);
    if (slots < mid_dict_at(thread, handle)->length)
        mid_resize(thread, handle, slots); /* or it stays as large as it is */
    return MID_OK;
}

static mid_status grow_small(mid_thread *thread, mid_handle handle, unsigned set, uint32_t to)
{
    mid_status status = mid_dict_rebuild(thread, handle, set, to, 0);
    if (status == MID_OK)
        has_grown(thread, set, to);
    return status;
}

/* As CPython: for three times what lives, so that the next time is as many insertions away, and doubled where nothing was deleted. */
mid_status mid_dict_grow(mid_thread *thread, mid_handle handle, unsigned set, bool kept)
{
    const mid_dict *d = mid_dict_at(thread, handle);
    uint64_t live = d->live, cells = MID_DICT_LEAST;
    if (live >= MID_DICT_MOST)
        return MID_ESIZE;
    if (live < MID_DICT_SMALL && kept && !mid_dict_is(d, MID_DICT_OTHERS))
        return grow_small(thread, handle, set, live < MID_DICT_FEW ? MID_DICT_FEW : MID_DICT_SMALL);
    while (cells <= live * 3 - (live != 0) && cells < MOST_CELLS)
        cells *= 2;
    uint64_t entries = cells * 2 / 3;
    return mid_dict_rebuild(thread, handle, set, entries < MID_DICT_MOST ? entries : MID_DICT_MOST, kept ? 0 : MID_DICT_OTHERS);
}

/* Its names collide more often than chance does it. */
mid_status mid_dict_mix(mid_thread *thread, mid_handle handle, unsigned set)
{
    return mid_dict_rebuild(thread, handle, set, mid_dict_usable(mid_dict_mask(mid_dict_at(thread, handle))), MID_DICT_MIXED);
}

/* After a deletion. Without memory it stays as it is, and one of the next deletions tries again. */
void mid_dict_shrink_some(mid_thread *thread, mid_handle handle, unsigned set)
{
    mid_dict *d = mid_dict_at(thread, handle);
    if (d->length < 256 || d->live % 16 != 0 || (d->flags & MID_DICT_WALKED) || d->live >= (d->length >> !set) / 8)
        return;
    mid_dict_rebuild(thread, handle, set, (uint64_t)d->live * 2, 0);
}

/* --- all at once --------------------------------------------------------------------------------------------------------------- */

static void drop_slots(mid_impl *me, mid_dict *d)
{
    for (size_t i = 0, slots = d->length; i < slots; i++) {
        mid_handle old = d->items[i].bits_;
        MID_WRITE_(d->items[i].bits_, 0);
        if (old != 0)
            mid_drop_ref(me, old);
    }
}

/* What they hold goes when nothing of it is in the dictionary any more: finalizers find it empty. Of a large one it is left
 * behind by mid_resize (shed.c), which is refused where it is pinned or memory is short. */
void mid_dict_empty(mid_thread *thread, mid_handle handle)
{
    mid_impl *me = mid_impl_of(thread);
    mid_dict *d = mid_dict_at(thread, handle);
    bool was_draining = me->draining;
    me->draining = true;
    mid_handle index = d->index.bits_;
    MID_WRITE_(d->index.bits_, 0);
    mid_drop_ref(me, index);
    d->live = d->used = 0;
    d->tags = 0;
    d->bits = 0;
    d->flags &= (uint8_t)~(MID_DICT_WALKED | MID_DICT_MIXED | MID_DICT_OTHERS);
    d->version++;
    d->packed++;
    bool whole = mid_resize(thread, handle, 0) != MID_OK;
    if (whole)
        drop_slots(me, mid_dict_at(thread, handle));
    me->draining = was_draining;
    if (whole)
        mid_resize(thread, handle, 0); /* or it stays as large as it is; also frees some of what died */
    else if (me->pending != 0 || me->credit < 0)
        mid_drain_timed(me, me->heap->options.free_batch, MID_DRAIN_FINALIZE);
}

mid_status mid_dict_copy_of(mid_thread *thread, mid_handle handle, unsigned set, mid_handle *out)
{
    mid_dict *from = mid_dict_at(thread, handle), *to;
    bool small = from->live <= MID_DICT_SMALL && !(from->flags & MID_DICT_OTHERS);
    uint32_t version = from->version;
    mid_status status = mid_dict_make(thread, mid_dict_keys(from), set, small ? from->live : 0, out);
    from = mid_dict_at(thread, handle);
    if (status != MID_OK || (from->live == 0 && from->version == version))
        return status;
    if (!small)
        status = mid_dict_rebuild(thread, *out, set, from->live, from->flags & (MID_DICT_MIXED | MID_DICT_OTHERS));
    from = mid_dict_at(thread, handle);
    if (status == MID_OK && from->version != version)
        status = MID_ECHANGED;
    if (status != MID_OK) {
        mid_release(thread, *out);
        *out = 0;
        return status;
    }
    to = mid_dict_at(thread, *out);
    uint32_t *copied = to->bits == 0 || mid_dict_is(to, MID_DICT_NAMES) ? NULL : mid_dict_hashes(to, mid_dict_index_of(thread, to));
    for (uint32_t at = mid_dict_first(from); at < from->used; at++) {
        const mid_slot *entry = mid_dict_key(from, set, at);
        if (entry->bits_ == 0)
            continue;
        mid_slot *goal = mid_dict_key(to, set, to->used);
        for (unsigned i = 0; i < 2 - set; i++)
            mid_dict_swap(thread, *out, goal + i, mid_load(thread, handle, (unsigned)((const mid_slot *)(entry + i) - (mid_slot *)from)));
        if (copied != NULL)
            copied[to->used] = mid_dict_hash_at(thread, from, set, at);
        to->used++;
    }
    to->live = to->used;
    fill_index(thread, to, set);
    return MID_OK;
}
