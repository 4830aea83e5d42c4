/* midden/kind_sequence.h: tuples, which never change, and lists, which grow. What kinds.h says of threads and errors holds here. */
#ifndef MIDDEN_KIND_SEQUENCE_H
#define MIDDEN_KIND_SEQUENCE_H

#include "kinds.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- tuples ------------------------------------------------------------------------------------------------------- */

/* A tuple of `count` values, which it counts; `values` may be null if count is 0. */
static inline mid_status mid_tuple_new(mid_thread *thread, const mid_kinds *kinds, const mid_handle *values, size_t count, mid_handle *out);
/* The same of values [consumed], after success only. */
MID_API mid_status mid_tuple_give(mid_thread *thread, const mid_kinds *kinds, const mid_handle *values, size_t count, mid_handle *out);
MID_API mid_status mid_tuple_length(mid_thread *thread, const mid_kinds *kinds, mid_handle tuple, size_t *length);
/* Value `index`, counted. MID_EINVAL: there are not as many. */
MID_API mid_status mid_tuple_get(mid_thread *thread, const mid_kinds *kinds, mid_handle tuple, size_t index, mid_handle *out);
/* Value `index` [borrowed from the tuple]; nothing is checked, the index neither. */
static inline mid_handle mid_tuple_peek(mid_thread *thread, const mid_kinds *kinds, mid_handle tuple, size_t index)
{
    (void)kinds;
    mid_type type = (mid_type)(mid_entry_(thread, tuple)->word >> MID_TYPE_SHIFT_);
    return mid_peek(thread, tuple, (unsigned)index + (type == kinds->tuple[0]));
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

/* One object: `room` is the heap's, items from `length` on are empty. Its handle stays when it grows; its address changes. */
struct mid_list_object {
    uint32_t room, length; /* length UINT32_MAX: it is being sorted */
    mid_slot items[];
};
#define MID_LIST_MOST 0x7fffffffu /* values in a list */

/* An empty list, with room for so many values. MID_ESIZE: more than MID_LIST_MOST. */
MID_API mid_status mid_list_new(mid_thread *thread, const mid_kinds *kinds, size_t room, mid_handle *out);
MID_API mid_status mid_list_length(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t *length);

/* All of these: MID_EBUSY while the list is being sorted, MID_EINVAL for an index that is not there. */

/* Put a value at the end, counted by the list. Room grows by a quarter: the time is constant over many. MID_ESIZE: full. */
static inline mid_status mid_list_append(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle value);
/* Before value `index`; at the end if index is the length. Time grows with what is behind it. */
MID_API mid_status mid_list_insert(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle value);
/* Value `index`, counted; in the place of value `index`. */
static inline mid_status mid_list_get(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle *out);
MID_API mid_status mid_list_set(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle value);
/* Take the last value out, or value `index`; it is the caller's, counted. Room is given back when three quarters are unused. Pop of
 * an empty list: MID_EINVAL. */
static inline mid_status mid_list_pop(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle *out);
MID_API mid_status mid_list_remove(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle *out);
/* Put the values of a list or tuple, which may be the list itself, at the end: all or none. */
MID_API mid_status mid_list_extend(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle from);
/* A new list of the values from `from` up to, and without, `to`. MID_EINVAL: from > to, or to is beyond the end. */
MID_API mid_status mid_list_slice(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t from, size_t to, mid_handle *out);
/* Nothing is in it afterwards, and it has room for nothing. */
MID_API mid_status mid_list_clear(mid_thread *thread, const mid_kinds *kinds, mid_handle list);
/* Sort: stable, by merging, at most n log2 n comparisons and 2 n more, n - 1 if it is sorted already. `compare` gets [borrowed]
 * values, returns a negative number, 0 or a positive one, and may use the heap freely, safepoints too, but finds the list busy; it must return, and not let another thread have it. Null:
 * mid_kind_compare, and MID_ETYPE if two values have no order: the list is as it was then. Takes 8 bytes a value while it lasts. */
typedef int mid_list_compare(mid_thread *thread, mid_handle a, mid_handle b, void *context);
MID_API mid_status mid_list_sort(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_list_compare *compare, void *context);
/* Value number *at, counted, and one more in *at, which begins at 0. 1: there was one; 0: at the end, or an argument is bad. The list
 * may change meanwhile: what counts is the number. Also of a tuple. */
MID_API int mid_list_next(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t *at, mid_handle *out);

/* Value `index` [borrowed from the list, until it changes]; nothing is checked, the index neither. */
static inline mid_handle mid_list_peek(mid_thread *thread, mid_handle list, size_t index)
{
    return mid_peek(thread, list, MID_SLOT(struct mid_list_object, items) + (unsigned)index);
}

/* --- in line: what is done most. The rest, and every error, is the library's, which checks all arguments -------------------- */

MID_API mid_status mid_tuple_new_(mid_thread *thread, const mid_kinds *kinds, const mid_handle *values, size_t count, mid_handle *out);
MID_API mid_status mid_list_append_(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle value);
MID_API mid_status mid_list_get_(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle *out);
MID_API mid_status mid_list_pop_(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle *out);

static inline mid_status mid_tuple_new(mid_thread *thread, const mid_kinds *kinds, const mid_handle *values, size_t count, mid_handle *out)
{
#ifndef MIDDEN_DEBUG
    if (__builtin_constant_p(count) && count - 1 < 4) {
        mid_status status = mid_new(thread, kinds->tuple[count], out);
        if (MID_LIKELY_(status == MID_OK))
            for (size_t i = 0; i < count; i++)
                mid_init(thread, *out, (unsigned)i, mid_retain(thread, values[i]));
        return status;
    }
#endif
    return mid_tuple_new_(thread, kinds, values, count, out);
}

/* Null: it is no list. */
static inline struct mid_list_object *mid_list_at_(mid_thread *thread, const mid_kinds *kinds, mid_handle list)
{
    if (MID_UNLIKELY_(list & 1u))
        return NULL;
    uint64_t word = MID_WORD_(mid_entry_(thread, list));
    if (MID_UNLIKELY_(word >> MID_TYPE_SHIFT_ != kinds->list))
        return NULL;
    struct mid_list_object *at = (struct mid_list_object *)(uintptr_t)(word & MID_ADDRESS_MASK_);
    if (at == NULL)
        __builtin_unreachable(); /* so that nobody asks again */
    return at;
}

/* Put a value that something else keeps alive into an empty slot of an object that no other thread changes: cheaper than mid_store.
 * Counting takes it out of any set that is on trial; that others may find it in a slot is said as mid_swap says it. */
static inline void mid_put_(mid_thread *thread, mid_slot *at, mid_handle value)
{
    (mid_retain)(thread, value);
    if (!thread->alone && mid_is_object_(value) && !(MID_READ_(mid_entry_(thread, value)->shared) & (MID_ESCAPED_ | MID_MERGED_)))
        mid_escape_(thread, value);
    if (MID_UNLIKELY_(thread->moved == 0)) /* it is only asked whether it is 0; to write it each time would be what appending waits for */
        thread->moved = value;
    __atomic_store_n(&at->bits_, value, __ATOMIC_RELEASE);
}

static inline mid_status mid_list_append(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle value)
{
#ifndef MIDDEN_DEBUG
    struct mid_list_object *l = mid_list_at_(thread, kinds, list);
    uint32_t length = l != NULL ? l->length : UINT32_MAX;
    if (MID_LIKELY_(l != NULL && length < l->room)) {
        l->length = length + 1; /* before: nobody else looks at the list, and nothing here fails */
        mid_put_(thread, &l->items[length], value);
        return MID_OK;
    }
#endif
    return mid_list_append_(thread, kinds, list, value);
}

static inline mid_status mid_list_get(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle *out)
{
#ifndef MIDDEN_DEBUG
    const struct mid_list_object *l = mid_list_at_(thread, kinds, list);
    const uint32_t length = l != NULL ? l->length : UINT32_MAX;
    if (MID_LIKELY_(l != NULL && index < length && length != UINT32_MAX)) { /* as mid_load, which would look where the list is again */
        mid_entry *const table = thread->table;
        const mid_slot *at = &l->items[index];
        mid_handle value = __atomic_load_n(&at->bits_, __ATOMIC_ACQUIRE);
        *out = value;
        if (mid_is_object_(value)) {
            mid_entry *entry = (mid_entry *)((char *)table + (size_t)value * (sizeof(mid_entry) / 2));
            uint32_t count = __atomic_load_n(&entry->count, __ATOMIC_ACQUIRE);
            if (MID_UNLIKELY_(mid_mine_(thread, count) >= MID_LOCAL_ - MID_ONE_ || MID_READ_(at->bits_) != value))
                *out = mid_load_slow_(thread, list, MID_SLOT(struct mid_list_object, items) + (unsigned)index);
            else
                MID_WRITE_(entry->count, count + MID_ONE_);
        }
        return MID_OK;
    }
#endif
    return mid_list_get_(thread, kinds, list, index, out);
}

static inline mid_status mid_list_pop(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle *out)
{
#ifndef MIDDEN_DEBUG
    struct mid_list_object *l = mid_list_at_(thread, kinds, list);
    /* A list of which three quarters would be unused gives room back. */
    if (MID_LIKELY_(l != NULL && l->length - 1 < UINT32_MAX - 1 && (l->length > l->room / 4 || l->room <= 16))) {
        mid_slot *last = &l->items[--l->length];
        *out = last->bits_;
        MID_WRITE_(last->bits_, 0);
        return MID_OK;
    }
#endif
    return mid_list_pop_(thread, kinds, list, out);
}

#ifdef __cplusplus
}
#endif
#endif
