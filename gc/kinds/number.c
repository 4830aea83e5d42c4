/* gc/kinds/number.c: integers and floats. Boxed numbers are leaves of 8 bytes, written at once: MID_UNCLEARED. */
#include "gc/kinds/own.h"

mid_status mid_int_new_(mid_thread *thread, const mid_kinds *kinds, int64_t value, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status != MID_OK)
        return status;
    if (value >= MID_INT_MIN && value <= MID_INT_MAX) {
        *out = mid_from_int((int32_t)value);
        return MID_OK;
    }
    status = mid_new(thread, kinds->integer, out);
    if (MID_LIKELY_(status == MID_OK))
        *(int64_t *)mid_get(thread, *out) = value;
    return status;
}

mid_status mid_int_get(mid_thread *thread, const mid_kinds *kinds, mid_handle integer, int64_t *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_check(thread, kinds, integer, MID_KIND_INT);
    if (status == MID_OK)
        *out = mid_is_int(integer) ? mid_to_int(integer) : *(const int64_t *)mid_get(thread, integer);
    return status;
}

mid_status mid_float_new_(mid_thread *thread, const mid_kinds *kinds, double value, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status == MID_OK)
        status = mid_new(thread, kinds->real, out);
    if (MID_LIKELY_(status == MID_OK))
        *(double *)mid_get(thread, *out) = value;
    return status;
}

mid_status mid_float_get(mid_thread *thread, const mid_kinds *kinds, mid_handle real, double *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_check(thread, kinds, real, MID_KIND_FLOAT);
    if (status == MID_OK)
        *out = *(const double *)mid_get(thread, real);
    return status;
}
