/* gc/kinds/record.c: cells, shapes and records. A shape is an object, not a type: shapes may come and go by the thousand. */
#include <string.h>

#include "gc/kinds/own.h"

#define OWNER 1u /* a shape's name, a record's shape: slot 1, after the length */
#define FIRST 2u
#define FIELDS_MOST 65535u

mid_status mid_cell_new(mid_thread *thread, const mid_kinds *kinds, mid_handle value, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status != MID_OK)
        return status;
    if (!kind_value(kinds, value))
        return MID_EHANDLE;
    status = mid_new(thread, kinds->cell, out);
    if (status == MID_OK)
        mid_init(thread, *out, 0, mid_retain(thread, value));
    return status;
}

mid_status mid_cell_get(mid_thread *thread, const mid_kinds *kinds, mid_handle cell, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_check(thread, kinds, cell, MID_KIND_CELL);
    if (status == MID_OK)
        *out = mid_load(thread, cell, 0);
    return status;
}

mid_status mid_cell_set(mid_thread *thread, const mid_kinds *kinds, mid_handle cell, mid_handle value)
{
    mid_status status = kind_check(thread, kinds, cell, MID_KIND_CELL);
    if (status != MID_OK)
        return status;
    if (!kind_value(kinds, value))
        return MID_EHANDLE;
    mid_store(thread, cell, 0, value);
    return MID_OK;
}

/* --- shapes ----------------------------------------------------------------------------------------------------------------- */

static uint32_t length(mid_thread *thread, mid_handle object)
{
    return *(const uint32_t *)mid_get(thread, object);
}

/* Interned: one name is one handle. */
static mid_status name_field(mid_thread *thread, const mid_kinds *kinds, mid_handle shape, unsigned slot, const char *name)
{
    mid_handle text;
    if (name == NULL)
        return MID_ENULL;
    mid_status status = mid_text_intern(thread, kinds, name, strlen(name), &text);
    if (status != MID_OK)
        return status;
    for (unsigned i = FIRST; i < slot && status == MID_OK; i++)
        if (mid_peek(thread, shape, i) == text)
            status = MID_EINVAL;
    if (status == MID_OK)
        mid_init(thread, shape, slot, text);
    else
        mid_release(thread, text);
    return status;
}

mid_status mid_shape_new(mid_thread *thread, const mid_kinds *kinds, const char *name, const char *const *fields, size_t count, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status != MID_OK)
        return status;
    if (name == NULL || (fields == NULL && count != 0))
        return MID_ENULL;
    if (count > FIELDS_MOST)
        return MID_ESIZE;
    mid_handle shape;
    status = mid_new_array(thread, kinds->shape, count, &shape);
    if (status != MID_OK)
        return status;
    status = name_field(thread, kinds, shape, OWNER, name);
    for (size_t i = 0; i < count && status == MID_OK; i++)
        status = name_field(thread, kinds, shape, FIRST + (unsigned)i, fields[i]);
    if (status == MID_OK)
        *out = shape;
    else
        mid_release(thread, shape);
    return status;
}

mid_status mid_shape_length(mid_thread *thread, const mid_kinds *kinds, mid_handle shape, size_t *count)
{
    if (count == NULL)
        return MID_ENULL;
    *count = 0;
    mid_status status = kind_check(thread, kinds, shape, MID_KIND_SHAPE);
    if (status == MID_OK)
        *count = length(thread, shape);
    return status;
}

mid_status mid_shape_find(mid_thread *thread, const mid_kinds *kinds, mid_handle shape, mid_handle name, size_t *field)
{
    if (field == NULL)
        return MID_ENULL;
    *field = SIZE_MAX;
    mid_status status = kind_check(thread, kinds, shape, MID_KIND_SHAPE);
    if (status == MID_OK)
        status = kind_check(thread, kinds, name, MID_KIND_TEXT);
    if (status != MID_OK)
        return status;
    const uint32_t count = length(thread, shape);
    for (uint32_t i = 0; i < count; i++)
        if (mid_peek(thread, shape, FIRST + i) == name) {
            *field = i;
            return MID_OK;
        }
    for (uint32_t i = 0; i < count; i++) { /* a text that is not interned */
        int equal;
        status = mid_kind_equal(thread, kinds, mid_peek(thread, shape, FIRST + i), name, &equal);
        if (status == MID_OK && equal) {
            *field = i;
            return MID_OK;
        }
    }
    return MID_EINVAL;
}

/* --- records ---------------------------------------------------------------------------------------------------------------- */

mid_status mid_record_new(mid_thread *thread, const mid_kinds *kinds, mid_handle shape, const mid_handle *values, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_check(thread, kinds, shape, MID_KIND_SHAPE);
    if (status != MID_OK)
        return status;
    const uint32_t count = length(thread, shape);
    for (uint32_t i = 0; i < count && values != NULL; i++)
        if (!kind_value(kinds, values[i]))
            return MID_EHANDLE;
    status = mid_new_array(thread, kinds->record, count, out);
    if (status != MID_OK)
        return status;
    mid_init(thread, *out, OWNER, mid_retain(thread, shape));
    for (uint32_t i = 0; i < count && values != NULL; i++)
        mid_init(thread, *out, FIRST + i, mid_retain(thread, values[i]));
    return MID_OK;
}

mid_status mid_record_shape(mid_thread *thread, const mid_kinds *kinds, mid_handle record, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_check(thread, kinds, record, MID_KIND_RECORD);
    if (status == MID_OK)
        *out = mid_load(thread, record, OWNER);
    return status;
}

mid_status mid_record_get(mid_thread *thread, const mid_kinds *kinds, mid_handle record, size_t field, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_check(thread, kinds, record, MID_KIND_RECORD);
    if (status != MID_OK)
        return status;
    if (field >= length(thread, record))
        return MID_EINVAL;
    *out = mid_load(thread, record, FIRST + (unsigned)field);
    return MID_OK;
}

mid_status mid_record_set(mid_thread *thread, const mid_kinds *kinds, mid_handle record, size_t field, mid_handle value)
{
    mid_status status = kind_check(thread, kinds, record, MID_KIND_RECORD);
    if (status != MID_OK)
        return status;
    if (!kind_value(kinds, value))
        return MID_EHANDLE;
    if (field >= length(thread, record))
        return MID_EINVAL;
    mid_store(thread, record, FIRST + (unsigned)field, value);
    return MID_OK;
}
