/* gc/field.c: the fields of a type by name. For whoever looks at objects; nothing that runs a heap reads them. */
#include <string.h>

#include "gc/heap.h"

#define NAME_MOST 63u

static uint64_t elements(const mid_field *field)
{
    return field->count == 0 ? 1 : field->count;
}

static bool kind_fits(uint32_t kind, uint32_t size)
{
    const bool power = size != 0 && (size & (size - 1)) == 0;
    switch (kind) {
    case MID_FIELD_REF:
        return size == sizeof(mid_slot);
    case MID_FIELD_INT:
    case MID_FIELD_UINT:
        return power && size <= 8;
    case MID_FIELD_FLOAT:
        return size == sizeof(float) || size == sizeof(double) || size == sizeof(long double);
    case MID_FIELD_TEXT:
        return size == 1;
    case MID_FIELD_POINTER:
        return size == sizeof(void *);
    case MID_FIELD_BYTES:
        return size != 0;
    default:
        return false;
    }
}

/* *at: where the one before was found; the next is mostly behind it. */
static bool is_slot(const mid_type_desc *desc, uint64_t offset, size_t *at)
{
    if (++*at < desc->ref_count && desc->ref_offsets[*at] == offset)
        return true;
    for (*at = 0; *at < desc->ref_count; ++*at)
        if (desc->ref_offsets[*at] == offset)
            return true;
    return false;
}

static bool lies_inside(const mid_type_desc *desc, const mid_field *field)
{
    if (desc->item_size != 0 && field->offset == desc->size)
        return field->size == desc->item_size && elements(field) == 1 && (field->kind == MID_FIELD_REF) == (desc->items_are_refs != 0);
    return field->offset + elements(field) * field->size <= desc->size;
}

/* A reference that is shown as one is one. What a trace function names it cannot be asked before there are objects. */
static bool slots_are_told(const mid_type_desc *desc, const mid_field *field, size_t *at)
{
    if (field->kind != MID_FIELD_REF || desc->trace != NULL || (desc->item_size != 0 && field->offset == desc->size))
        return true;
    for (uint64_t i = 0; i < elements(field); i++)
        if (!is_slot(desc, field->offset + i * sizeof(mid_slot), at))
            return false;
    return true;
}

mid_status mid_fields_check(const mid_type_desc *desc)
{
    size_t at = SIZE_MAX;
    if (desc->field_count > MID_FIELDS_MAX || (desc->field_count != 0 && desc->fields == NULL))
        return MID_EINVAL;
    for (size_t i = 0; i < desc->field_count; i++) {
        const mid_field *field = desc->fields + i;
        if (field->name == NULL || *field->name == '\0' || !kind_fits(field->kind, field->size) || !lies_inside(desc, field) ||
            !slots_are_told(desc, field, &at))
            return MID_EINVAL;
    }
    return MID_OK;
}

static bool gives_slots(const mid_type_desc *desc, const mid_field *field)
{
    return field->kind == MID_FIELD_REF && field->offset < desc->size;
}

mid_status mid_fields_refs(mid_heap *heap, mid_type_desc *desc, mid_array *offsets)
{
    uint64_t count = 0, n = 0;
    if (desc->ref_count != 0 || desc->ref_offsets != NULL || desc->trace != NULL || desc->fields == NULL || desc->field_count > MID_FIELDS_MAX)
        return MID_OK;
    for (size_t i = 0; i < desc->field_count; i++)
        if (gives_slots(desc, desc->fields + i))
            count += elements(desc->fields + i);
    if (count == 0)
        return MID_OK;
    if (count > desc->size / sizeof(mid_slot)) /* before there is memory for them */
        return MID_EINVAL;
    mid_status status = mid_array_grow(&heap->alloc, offsets, count * sizeof(uint32_t));
    if (status != MID_OK)
        return status;
    for (size_t i = 0; i < desc->field_count; i++)
        for (uint64_t e = 0; gives_slots(desc, desc->fields + i) && e < elements(desc->fields + i); e++)
            ((uint32_t *)offsets->data)[n++] = desc->fields[i].offset + (uint32_t)(e * sizeof(mid_slot));
    desc->ref_offsets = offsets->data;
    desc->ref_count = count;
    return MID_OK;
}

/* In one block: the fields, and behind them their names. */
mid_status mid_fields_take(mid_heap *heap, mid_type_info *info, const mid_type_desc *desc)
{
    const mid_type_info *before = info - 1; /* of type 0, which none is, all is zero */
    size_t bytes = desc->field_count * sizeof(mid_field);
    info->fields_before = before->fields_before + before->field_count;
    if (desc->field_count == 0)
        return MID_OK;
    for (size_t i = 0; i < desc->field_count; i++)
        bytes += strnlen(desc->fields[i].name, NAME_MOST) + 1;
    mid_status status = mid_array_grow(&heap->alloc, &info->fields, bytes);
    if (status != MID_OK)
        return status;
    mid_field *fields = info->fields.data;
    char *name = (char *)(fields + desc->field_count);
    for (size_t i = 0; i < desc->field_count; i++) {
        const size_t length = strnlen(desc->fields[i].name, NAME_MOST);
        memcpy(name, desc->fields[i].name, length); /* the block is zero */
        fields[i] = desc->fields[i];
        fields[i].count = (uint32_t)elements(desc->fields + i);
        fields[i].name = name;
        name += length + 1;
    }
    info->field_count = (uint32_t)desc->field_count;
    return MID_OK;
}

const mid_field *mid_field_of_slot(const mid_type_info *info, uint32_t slot, uint64_t *element)
{
    const uint64_t at = (uint64_t)slot * sizeof(mid_slot);
    const bool item = info->items_are_refs && at >= info->size;
    for (uint32_t i = 0; i < info->field_count; i++) {
        const mid_field *field = mid_fields_of(info) + i;
        if (field->kind != MID_FIELD_REF || field->offset > at || mid_field_is_items(info, field) != item)
            continue;
        *element = (at - field->offset) / sizeof(mid_slot);
        if (item || *element < field->count)
            return field;
    }
    return NULL;
}

const char *mid_fields_whole(const mid_heap *heap)
{
    uint64_t before = 0;
    for (mid_type type = 1; type <= mid_type_count(heap); type++) {
        const mid_type_info *info = mid_type_at(heap, type);
        const char *first = (const char *)(mid_fields_of(info) + info->field_count);
        if (info->fields_before != (uint32_t)before || info->field_count * sizeof(mid_field) > info->fields.bytes)
            return "a type's fields are not counted as they are";
        before += info->field_count;
        for (uint32_t i = 0; i < info->field_count; i++) {
            const mid_field *field = mid_fields_of(info) + i;
            if (field->name < first || field->name >= (const char *)info->fields.data + info->fields.bytes || !kind_fits(field->kind, field->size))
                return "a type's fields are not what was registered";
        }
    }
    return NULL;
}

mid_status mid_type_field(mid_heap *heap, mid_type type, size_t index, mid_field *out)
{
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    if (type == 0 || type > mid_type_count(heap))
        return MID_ETYPE;
    if (index >= mid_type_at(heap, type)->field_count)
        return MID_EINVAL;
    *out = mid_fields_of(mid_type_at(heap, type))[index];
    return MID_OK;
}
