/* midden/kind_number.h: integers of 64 bits and floats. What kinds.h says of threads and errors holds here. */
#ifndef MIDDEN_KIND_NUMBER_H
#define MIDDEN_KIND_NUMBER_H

#include "kinds.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An integer: immediate between MID_INT_MIN and MID_INT_MAX, which takes no memory (and leaves nothing for a cache of small
 * integers to save); else an object of 8 bytes. */
static inline mid_status mid_int_new(mid_thread *thread, const mid_kinds *kinds, int64_t value, mid_handle *out);
/* Its value, immediate or not. */
MID_API mid_status mid_int_get(mid_thread *thread, const mid_kinds *kinds, mid_handle integer, int64_t *out);

/* A float: an object of 8 bytes. */
static inline mid_status mid_float_new(mid_thread *thread, const mid_kinds *kinds, double value, mid_handle *out);
MID_API mid_status mid_float_get(mid_thread *thread, const mid_kinds *kinds, mid_handle real, double *out);

/* In line, but for checked programs (MIDDEN_DEBUG). */
MID_API mid_status mid_int_new_(mid_thread *thread, const mid_kinds *kinds, int64_t value, mid_handle *out);
MID_API mid_status mid_float_new_(mid_thread *thread, const mid_kinds *kinds, double value, mid_handle *out);

static inline mid_status mid_int_new(mid_thread *thread, const mid_kinds *kinds, int64_t value, mid_handle *out)
{
#ifndef MIDDEN_DEBUG
    if (value >= MID_INT_MIN && value <= MID_INT_MAX) {
        *out = mid_from_int((int32_t)value);
        return MID_OK;
    }
    mid_status status = mid_new(thread, kinds->integer, out);
    if (MID_LIKELY_(status == MID_OK))
        *(int64_t *)mid_get(thread, *out) = value;
    return status;
#else
    return mid_int_new_(thread, kinds, value, out);
#endif
}

static inline mid_status mid_float_new(mid_thread *thread, const mid_kinds *kinds, double value, mid_handle *out)
{
#ifndef MIDDEN_DEBUG
    mid_status status = mid_new(thread, kinds->real, out);
    if (MID_LIKELY_(status == MID_OK))
        *(double *)mid_get(thread, *out) = value;
    return status;
#else
    return mid_float_new_(thread, kinds, value, out);
#endif
}

#ifdef __cplusplus
}
#endif
#endif
