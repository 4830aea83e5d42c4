/* gc/kinds/own.h: what the kinds share: how arguments are checked, and a stack for walks over nested values.
 *
 * The one place that looks behind the public headers, for the check of a handle in line. A program's own kinds call mid_type_of,
 * which does the same by a call. */
#ifndef MID_GC_KINDS_OWN_H
#define MID_GC_KINDS_OWN_H

#include "gc/heap.h"
#include "midden/kinds.h"

#define KIND_BITS 4
#define KIND_MASK ((1u << KIND_BITS) - 1)
_Static_assert(MID_KIND_COUNT <= 1 << KIND_BITS && MID_TUPLE_FIXED < 1 << (8 - KIND_BITS), "kind and length fit a byte");

/* May this thread use these kinds? */
static inline mid_status kind_ready(mid_thread *thread, const mid_kinds *kinds)
{
    if (MID_UNLIKELY_(thread == NULL || kinds == NULL))
        return MID_ENULL;
    if (MID_UNLIKELY_(!mid_here(mid_impl_of(thread)))) {
        mid_status status = mid_thread_check(thread);
        if (status != MID_OK)
            return status;
    }
    return MID_LIKELY_(mid_impl_of(thread)->heap == kinds->heap) ? MID_OK : MID_EINVAL;
}

/* Is it an object that lives? Then its kind, with the length of a short tuple above it; else MID_KIND_COUNT. */
static inline unsigned kind_shown(const mid_kinds *kinds, mid_handle object)
{
    const mid_heap *heap = kinds->heap;
    if (MID_UNLIKELY_(!mid_in_table(heap, object)))
        return MID_KIND_COUNT;
    const mid_entry *entry = mid_entry_at(heap, object);
    return MID_LIKELY_(mid_entry_live(entry)) ? kinds->shown[MID_READ_(entry->word) >> MID_TYPE_SHIFT_] : MID_KIND_COUNT;
}

static inline mid_kind kind_of(const mid_kinds *kinds, mid_handle value)
{
    if (value & 1u)
        return MID_KIND_INT;
    return value == 0 ? MID_KIND_NOTHING : (mid_kind)(kind_shown(kinds, value) & KIND_MASK);
}

/* The beginning of what makes a value: there is none yet. */
static inline mid_status kind_begin(mid_thread *thread, const mid_kinds *kinds, mid_handle *out)
{
    if (MID_UNLIKELY_(out == NULL))
        return MID_ENULL;
    *out = 0;
    return kind_ready(thread, kinds);
}

/* Nothing, an immediate integer, or an object that lives: may it be stored? */
static inline bool kind_value(const mid_kinds *kinds, mid_handle value)
{
    return !mid_is_object_(value) || kind_shown(kinds, value) != MID_KIND_COUNT;
}

/* The beginning of most calls: thread and kinds, and an object of that kind. */
static inline mid_status kind_check(mid_thread *thread, const mid_kinds *kinds, mid_handle object, mid_kind kind)
{
    mid_status status = kind_ready(thread, kinds);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    unsigned shown = object & 1u ? MID_KIND_INT : kind_shown(kinds, object);
    if (MID_LIKELY_((shown & KIND_MASK) == (unsigned)kind))
        return MID_OK;
    return shown == MID_KIND_COUNT ? MID_EHANDLE : MID_ETYPE;
}

/* A tuple's, list's, record's or shape's slots: where the first is, and how many. */
static inline unsigned kind_items(const mid_kinds *kinds, mid_thread *thread, mid_handle object, size_t *count)
{
    unsigned shown = kind_shown(kinds, object);
    uint32_t *words = mid_get(thread, object);
    switch (shown & KIND_MASK) {
    case MID_KIND_TUPLE:
        *count = shown >> KIND_BITS != 0 ? shown >> KIND_BITS : words[0];
        return shown >> KIND_BITS == 0;
    case MID_KIND_LIST:
        *count = words[1] == UINT32_MAX ? 0 : words[1];
        return 2;
    case MID_KIND_CELL:
        *count = 1;
        return 0;
    case MID_KIND_RECORD:
    case MID_KIND_SHAPE:
        *count = words[0];
        return 2;
    default:
        *count = 0;
        return 0;
    }
}

mid_status kind_string_register(mid_heap *heap, mid_kinds *kinds);
uint32_t kind_string_hash(const mid_kinds *kinds, struct mid_string_object *string);
static inline uint64_t kind_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ UINT64_C(0xa0761d6478bd642f)) * (b ^ UINT64_C(0xe7037ed1a0b428db));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* --- stack.c: frames of a walk, in the heap once they are many; a set of numbers that are not 0 */
#define KIND_FRAMES 32u
typedef struct kind_frame {
    mid_handle a, b;
    uint32_t at;
} kind_frame;
typedef struct kind_walk {
    mid_thread *thread;
    const mid_kinds *kinds;
    mid_handle more, seen; /* byte strings: frames, and keys in open addressing; 0: none yet */
    size_t height, used, room;
    kind_frame few[KIND_FRAMES];
} kind_walk;
mid_status kind_push(kind_walk *walk, kind_frame frame);
kind_frame *kind_top(kind_walk *walk); /* until the next push */
mid_status kind_note(kind_walk *walk, uint64_t key, bool *known); /* remember it; was it there? */
void kind_forget(kind_walk *walk, uint64_t key);
void kind_walk_end(kind_walk *walk);

#endif
