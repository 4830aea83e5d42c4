/* gc/kinds/tuple.c: tuples. Short ones are of fixed size, a type for each length, so that they are made in line and carry no
 * length. A thread's cache of each size class is their free list. */
#include "gc/kinds/own.h"

static inline mid_status make(mid_thread *thread, const mid_kinds *kinds, size_t count, mid_handle *out)
{
    if (count - 1 < MID_TUPLE_FIXED)
        return mid_new(thread, kinds->tuple[count], out);
    return mid_new_array(thread, kinds->tuple[0], count, out);
}

static inline __attribute__((always_inline)) mid_status tuple(mid_thread *thread, const mid_kinds *kinds, const mid_handle *values,
                                                              size_t count, bool consumed, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status != MID_OK)
        return status;
    if (values == NULL && count != 0)
        return MID_ENULL;
    for (size_t i = 0; i < count; i++)
        if (MID_UNLIKELY_(!kind_value(kinds, values[i])))
            return MID_EHANDLE;
    status = make(thread, kinds, count, out);
    if (status != MID_OK)
        return status;
    unsigned first = count - 1 >= MID_TUPLE_FIXED;
    for (size_t i = 0; i < count; i++)
        mid_init(thread, *out, first + (unsigned)i, consumed ? values[i] : mid_retain(thread, values[i]));
    return MID_OK;
}

mid_status mid_tuple_new_(mid_thread *thread, const mid_kinds *kinds, const mid_handle *values, size_t count, mid_handle *out)
{
    return tuple(thread, kinds, values, count, false, out);
}

mid_status mid_tuple_give(mid_thread *thread, const mid_kinds *kinds, const mid_handle *values, size_t count, mid_handle *out)
{
    return tuple(thread, kinds, values, count, true, out);
}

mid_status mid_tuple_length(mid_thread *thread, const mid_kinds *kinds, mid_handle tuple, size_t *length)
{
    if (length == NULL)
        return MID_ENULL;
    *length = 0;
    mid_status status = kind_check(thread, kinds, tuple, MID_KIND_TUPLE);
    if (status == MID_OK)
        kind_items(kinds, thread, tuple, length);
    return status;
}

mid_status mid_tuple_get(mid_thread *thread, const mid_kinds *kinds, mid_handle tuple, size_t index, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_check(thread, kinds, tuple, MID_KIND_TUPLE);
    if (status != MID_OK)
        return status;
    size_t count;
    unsigned first = kind_items(kinds, thread, tuple, &count);
    if (index >= count)
        return MID_EINVAL;
    *out = mid_load(thread, tuple, first + (unsigned)index);
    return MID_OK;
}
