/* gc/kinds/dict.h: how dictionaries and sets lie in the heap, and searches in them. docs/design/dict.md says why.
 *
 * The dictionary is one object of variable size: what is below, then its entries, a key and a value each (of a set, a key), dense
 * and in order of insertion: a plain array of references, which collectors read fast and deep compaction rewrites. A key of 0 is an
 * entry that was deleted.
 *
 * SMALL, up to ten entries: no index, but six bits of each hash, side by side in one word, which is compared at once. Only where the hash of
 * a key can be had from the key without asking the program: of "names" (integers and identities), and of strings that keep it.
 *
 * LARGER: the index is a leaf object: cells, a power of two of them, and behind them a hash for each position, but of names.
 * A cell is 0 (empty), 1 (its entry was deleted) or position + 2 in its low bits, as many as number the cells, and above them the same
 * bits of the hash. So most keys that are not the one sought are told apart without a look at the entry. At most two thirds of
 * the cells are ever not empty, so every search ends, and position + 2 fits. */
#ifndef MID_GC_KINDS_DICT_H
#define MID_GC_KINDS_DICT_H

#include "gc/heap.h"
#include "midden/dict.h"

/* Threads that read the same dictionary may write WALKED at the same time. OTHERS: not every key is a name or a string that keeps its hash. */
enum { MID_DICT_SEALED = 1, MID_DICT_WALKED = 2, MID_DICT_MIXED = 4, MID_DICT_NAMES = 8, MID_DICT_INTS = 16, MID_DICT_OTHERS = 32 };

typedef struct mid_dict {
    uint32_t length;     /* slots of entries, the heap's */
    mid_slot index;      /* none while it is small */
    uint32_t live;       /* entries */
    uint32_t used;       /* positions that are or were an entry's; behind them the slots are empty */
    uint32_t version;    /* keys came or went, or anything moved */
    uint32_t packed;     /* entries took other positions, or positions other entries */
    union {
        uint64_t tags;   /* small: six bits of the hash at each position; what is behind `used` is nothing */
        struct {
            uint32_t first; /* else: no entry is before this position */
            uint32_t room;  /* cells that may still be filled */
        };
    };
    uint32_t keys_low;   /* the address of the mid_keys */
    uint16_t keys_high;
    uint8_t flags;
    uint8_t bits;        /* of the number of a cell; 0: it is small */
    mid_slot items[];
} mid_dict;

typedef struct mid_dict_index {
    uint32_t length, spare;
    uint32_t words[];
} mid_dict_index;

_Static_assert(sizeof(mid_dict) == 40 && offsetof(mid_dict, items) == 40 && offsetof(mid_dict, index) == 4, "five words, then entries");
_Static_assert(offsetof(mid_dict, items) / sizeof(mid_slot) % 2 == 0, "keys of dictionaries have even slot numbers: heap.h, identity_even");

/* Registered side by side, from heap.dict_base + MID_DICT_OFF on: is one a dictionary? Without types of their own nothing is. */
enum { MID_DICT_OFF = MID_TYPES_MAX + 1, MID_DICT_KIND_DICT = 0, MID_DICT_KIND_IDENTITY, MID_DICT_KIND_SET, MID_DICT_KIND_SET_IDENTITY, MID_DICT_KIND_INDEX, MID_DICT_KINDS };

static inline uint32_t mid_dict_kind(const mid_heap *heap, mid_type type)
{
    return type - MID_DICT_OFF - MID_READ_(heap->dict_base);
}

#define MID_NOWHERE UINT32_MAX
#define MID_DICT_LEAST 8u    /* cells */
#define MID_DICT_SMALL 10u   /* entries of a small one */
#define MID_DICT_FEW 5u      /* ... of its first growth */
#define MID_DICT_SOME UINT32_MAX
#define MID_DICT_BIRTHS 16u
#define MID_DICT_STEPS 64u   /* of a search among names, before they are thought to be chosen to collide */

/* Where a key is (position MID_NOWHERE: it is not there, and would go into that cell). */
typedef struct mid_spot {
    uint32_t position, cell, hash, steps;
    uint32_t kept; /* the hash can be had from the key at any time: a small dictionary may take it */
} mid_spot;

/* --- dict_find.c */
mid_status mid_dict_refuse(mid_thread *thread, mid_handle handle, unsigned set);
mid_status mid_dict_find_value(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place);
/* A string whose hash is known and not 0, in a dictionary with an index. False: only the program can tell. */
bool mid_dict_find_string(mid_thread *thread, const mid_dict *d, mid_handle key, mid_spot *place);
bool mid_set_find_string(mid_thread *thread, const mid_dict *d, mid_handle key, mid_spot *place);
mid_status mid_dict_find_hashed(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, mid_spot *place);
/* --- dict_room.c */
mid_status mid_dict_types(mid_heap *heap);
mid_status mid_dict_make(mid_thread *thread, const mid_keys *keys, unsigned set, uint32_t entries, mid_handle *out);
/* Room for that many entries, no more cells than that takes. MID_ECHANGED: a finalizer that ran meanwhile changed it. */
mid_status mid_dict_rebuild(mid_thread *thread, mid_handle handle, unsigned set, uint64_t entries, uint8_t flags);
/* Room for one more, which is a key with its hash or not. */
mid_status mid_dict_grow(mid_thread *thread, mid_handle handle, unsigned set, bool kept);
void mid_dict_pack_small(mid_dict *d, unsigned set);
mid_status mid_dict_mix(mid_thread *thread, mid_handle handle, unsigned set);
mid_status mid_dict_copy_of(mid_thread *thread, mid_handle handle, unsigned set, mid_handle *out);
void mid_dict_empty(mid_thread *thread, mid_handle handle);
void mid_dict_shrink_some(mid_thread *thread, mid_handle handle, unsigned set);
/* --- dict_check.c: what is wrong, or null; the world stands */
const char *mid_dict_check(mid_heap *heap, const mid_entry *entry);
/* --- dict_change.c */
mid_status mid_dict_update_from(mid_thread *thread, mid_handle handle, mid_handle from, unsigned set);
mid_status mid_dict_put_hashed(mid_thread *thread, mid_handle handle, unsigned set, mid_handle key, uint32_t hash, mid_handle value);

static inline mid_dict_index *mid_dict_index_of(mid_thread *thread, const mid_dict *d)
{
    return (mid_dict_index *)mid_get(thread, d->index.bits_);
}
static inline uint32_t mid_dict_mask(const mid_dict *d)
{
    return (1u << d->bits) - 1;
}
static inline unsigned mid_dict_width(const mid_dict *d) /* bytes of a cell */
{
    return d->bits <= 8 ? 1 : d->bits <= 16 ? 2 : 4;
}
static inline uint32_t *mid_dict_hashes(const mid_dict *d, mid_dict_index *index)
{
    return (uint32_t *)((char *)index->words + ((size_t)mid_dict_width(d) << d->bits));
}
static inline uint32_t mid_dict_usable(uint32_t mask)
{
    return mask == 0 ? 0 : (uint32_t)(((uint64_t)mask + 1) * 2 / 3);
}
static inline bool mid_dict_is(const mid_dict *d, unsigned flag)
{
    return (MID_READ_(d->flags) & flag) != 0;
}
static inline const mid_keys *mid_dict_keys(const mid_dict *d)
{
    return (const mid_keys *)(uintptr_t)((uint64_t)d->keys_high << 32 | d->keys_low);
}
/* Of a small one: how many entries it has room for as it is. */
static inline uint32_t mid_dict_few(const mid_dict *d, unsigned set)
{
    uint32_t slots = d->length >> !set;
    return slots < MID_DICT_SMALL ? slots : MID_DICT_SMALL;
}
static inline uint32_t mid_dict_first(const mid_dict *d)
{
    return d->bits != 0 ? d->first : 0;
}

/* --- tags. Those that are equal are found as bytes of 0 are (A. Mycroft 1987): x - 1 borrows from the highest bit of a lane that was 0. What
 * is above the lowest one found may be found wrongly, and so may a tag of another hash: the key has the last word. */
#define MID_TAG_BITS 6u
#define MID_TAG_ONES UINT64_C(0x0041041041041041)
#define MID_TAG_OF(hash) ((uint64_t)((hash) & ((1u << MID_TAG_BITS) - 1)))
_Static_assert(MID_TAG_BITS * MID_DICT_SMALL < 64, "all tags fit a word");

static inline uint64_t mid_tags_like(uint64_t tags, uint32_t used, uint32_t hash)
{
    uint64_t x = tags ^ MID_TAG_OF(hash) * MID_TAG_ONES;
    return (x - MID_TAG_ONES) & ~x & MID_TAG_ONES << (MID_TAG_BITS - 1) & ((UINT64_C(1) << used * MID_TAG_BITS) - 1);
}
static inline uint32_t mid_tag_position(uint64_t found)
{
    return (uint32_t)__builtin_ctzll(found) * 43 >> 8; /* divided by six */
}
static inline void mid_tag_put(mid_dict *d, uint32_t position, uint32_t hash)
{
    d->tags = (d->tags & ((UINT64_C(1) << position * MID_TAG_BITS) - 1)) | MID_TAG_OF(hash) << position * MID_TAG_BITS;
}
/* Above the tags four bits are over: who deletes writes there where that was, for who packs. It is a hint: an entry that is put in drops it,
 * and what is not so is seen at once. */
#define MID_HOLE_SHIFT (MID_TAG_BITS * MID_DICT_SMALL)
static inline void mid_hole_note(mid_dict *d, uint32_t position)
{
    d->tags = (d->tags & ((UINT64_C(1) << MID_HOLE_SHIFT) - 1)) | (uint64_t)position << MID_HOLE_SHIFT;
}

/* --- strings that keep their hash */

/* Another thread may be taking it: it writes a word that is right. */
static inline uint32_t mid_kept_hash_in(const mid_keys *keys, uint64_t word)
{
    const uint32_t *at = (const uint32_t *)((const char *)(uintptr_t)(word & MID_ADDRESS_MASK_) + keys->hash_offset);
    return MID_READ_(*at) >> keys->hash_shift;
}
static inline uint32_t mid_kept_hash(mid_thread *thread, const mid_keys *keys, mid_handle key)
{
    return mid_kept_hash_in(keys, MID_READ_(mid_entry_(thread, key)->word));
}
static inline bool mid_is_string(mid_thread *thread, const mid_keys *keys, mid_handle key)
{
    return keys->strings != 0 && mid_is_object_(key) && MID_READ_(mid_entry_(thread, key)->word) >> MID_TYPE_SHIFT_ == keys->strings;
}

/* What may be put in. */
static inline bool mid_dict_value_ok(mid_thread *thread, mid_handle value)
{
    return !mid_is_object_(value) || (mid_in_table(mid_impl_of(thread)->heap, value) && mid_entry_live(mid_entry_(thread, value)));
}

/* Of a dictionary that no other thread can know what is put in need not be marked as known either: as mid_init. */
static inline bool mid_dict_private(mid_thread *thread, mid_handle handle)
{
    return thread->alone || !(MID_READ_(mid_entry_(thread, handle)->shared) & (MID_ESCAPED_ | MID_MERGED_));
}

/* As mid_swap, but that nobody else changes the slot of this dictionary. */
static inline mid_handle mid_dict_swap(mid_thread *thread, mid_handle handle, mid_slot *at, mid_handle value)
{
    mid_handle old = at->bits_;
    if (mid_is_object_(value) && !(MID_READ_(mid_entry_(thread, value)->shared) & (MID_ESCAPED_ | MID_MERGED_)) && !mid_dict_private(thread, handle))
        mid_escape_(thread, value);
    __atomic_store_n(&at->bits_, value, __ATOMIC_RELEASE);
    thread->moved |= value;
    return old;
}

/* The hash of a name: itself, so that numbers in sequence lie in sequence; of a dictionary in which they collided too often a
 * mixture that is not to be foreseen (the finalizer of MurmurHash3, A. Appleby), by where the system has put the table. */
static inline uint32_t mid_name_hash(mid_thread *thread, const mid_dict *d, mid_handle key)
{
    uint32_t hash = key >> 1;
    if (MID_UNLIKELY_(mid_dict_is(d, MID_DICT_MIXED))) {
        hash = (hash ^ (uint32_t)((uintptr_t)thread->table >> 12)) * 0x85EBCA6Bu;
        hash = (hash ^ hash >> 13 ^ (uint32_t)((uintptr_t)thread->table >> 20)) * 0xC2B2AE35u;
        hash ^= hash >> 16;
    }
    return hash;
}

static inline __attribute__((always_inline)) uint32_t mid_cell(const void *cells, unsigned width, uint32_t i)
{
    return width == 1 ? ((const uint8_t *)cells)[i] : width == 2 ? ((const uint16_t *)cells)[i] : ((const uint32_t *)cells)[i];
}
static inline __attribute__((always_inline)) void mid_cell_write(void *cells, unsigned width, uint32_t i, uint32_t value)
{
    if (width == 1)
        ((uint8_t *)cells)[i] = (uint8_t)value;
    else if (width == 2)
        ((uint16_t *)cells)[i] = (uint16_t)value;
    else
        ((uint32_t *)cells)[i] = value;
}
static inline __attribute__((always_inline)) uint32_t mid_width_mask(unsigned width)
{
    return width == 1 ? 0xFFu : width == 2 ? 0xFFFFu : 0xFFFFFFFFu;
}
/* The order in which cells are tried is CPython's: i = 5 i + 1 + what is left of the hash, which goes through all of them. */
#define MID_PROBE(i, perturb, mask) ((perturb) >>= 5, (i) = ((i) * 5 + (perturb) + 1) & (mask))

/* The dictionary (set), or null, and why is in *status. */
static inline __attribute__((always_inline)) mid_dict *mid_dict_open(mid_thread *thread, mid_handle handle, unsigned set,
                                                                     mid_status *status)
{
    mid_impl *me = mid_impl_of(thread);
    if (MID_LIKELY_(me != NULL && mid_here(me) && mid_in_table(me->heap, handle))) {
        const mid_entry *entry = mid_entry_(thread, handle);
        uint64_t word = MID_READ_(entry->word);
        if (MID_LIKELY_(mid_dict_kind(me->heap, (mid_type)(word >> MID_TYPE_SHIFT_)) - 2 * set < 2 && mid_entry_live(entry))) {
            *status = MID_OK;
            return (mid_dict *)(uintptr_t)(word & MID_ADDRESS_MASK_);
        }
    }
    *status = mid_dict_refuse(thread, handle, set);
    return NULL;
}
static inline mid_dict *mid_dict_at(mid_thread *thread, mid_handle handle)
{
    return mid_get(thread, handle);
}
static inline __attribute__((always_inline)) mid_slot *mid_dict_key(mid_dict *d, unsigned set, uint32_t position)
{
    return d->items + ((size_t)position << !set);
}

/* Of a small one that has lost one entry, and no more: where that was. Else MID_NOWHERE. */
static inline uint32_t mid_dict_hole(mid_dict *d, unsigned set)
{
    const uint32_t hole = (uint32_t)(d->tags >> MID_HOLE_SHIFT);
    return d->live + 1 == d->used && hole < d->used && mid_dict_key(d, set, hole)->bits_ == 0 ? hole : MID_NOWHERE;
}

/* The hash of the entry at a position. */
static inline uint32_t mid_dict_hash_at(mid_thread *thread, mid_dict *d, unsigned set, uint32_t position)
{
    if (mid_dict_is(d, MID_DICT_NAMES))
        return mid_name_hash(thread, d, mid_dict_key(d, set, position)->bits_);
    return d->bits != 0 ? mid_dict_hashes(d, mid_dict_index_of(thread, d))[position]
                        : mid_kept_hash(thread, mid_dict_keys(d), mid_dict_key(d, set, position)->bits_);
}

#endif
