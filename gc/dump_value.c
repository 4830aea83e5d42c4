/* gc/dump_value.c: what is in an object's fields, by their kinds. */
#include <stdio.h>
#include <string.h>

#include "gc/dump.h"
#include "gc/refs.h"

void mid_dump_immediate(mid_dump *d, mid_handle value)
{
    if (value == 0)
        mid_dump_add(d, "empty");
    else
        mid_dump_add(d, "%d", mid_to_int(value));
}

static long long signed_of(const void *at, uint32_t size)
{
    int8_t a;
    int16_t b;
    int32_t c;
    int64_t e;
    switch (size) {
    case 1:
        return memcpy(&a, at, 1), a;
    case 2:
        return memcpy(&b, at, 2), b;
    case 4:
        return memcpy(&c, at, 4), c;
    default:
        return memcpy(&e, at, 8), e;
    }
}

static unsigned long long unsigned_of(const void *at, uint32_t size)
{
    const unsigned long long value = (unsigned long long)signed_of(at, size);
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

static void put_float(mid_dump *d, const void *at, uint32_t size)
{
    float a;
    double b;
    long double c;
    if (size == sizeof a)
        mid_dump_add(d, "%.9g", (memcpy(&a, at, sizeof a), (double)a));
    else if (size == sizeof b)
        mid_dump_add(d, "%.17g", (memcpy(&b, at, sizeof b), b));
    else
        mid_dump_add(d, "%.21Lg", (memcpy(&c, at, sizeof c), c));
}

static void put_bytes(mid_dump *d, const unsigned char *at, uint64_t size)
{
    const uint64_t some = size < d->limits.text_most ? size : d->limits.text_most;
    mid_dump_add(d, "<");
    for (uint64_t i = 0; i < some; i++)
        mid_dump_add(d, i == 0 ? "%02x" : " %02x", at[i]);
    if (some < size)
        mid_dump_add(d, " ... %llu more", (unsigned long long)(size - some));
    mid_dump_add(d, ">");
}

static void put_text(mid_dump *d, const char *at, uint64_t length)
{
    length = strnlen(at, length);
    uint64_t some = length < d->limits.text_most ? length : d->limits.text_most;
    while (some < length && some != 0 && ((unsigned char)at[some] & 0xC0) == 0x80) /* not within a character */
        some--;
    mid_dump_add(d, d->dot ? "\\\"" : "\"");
    mid_dump_quote(d, at, some);
    mid_dump_add(d, d->dot ? "\\\"" : "\"");
    if (some < length)
        mid_dump_add(d, " ... %llu more", (unsigned long long)(length - some));
}

static void put_element(mid_dump *d, const mid_field *field, const void *at)
{
    void *pointer;
    switch (field->kind) {
    case MID_FIELD_INT:
        mid_dump_add(d, "%lld", signed_of(at, field->size));
        break;
    case MID_FIELD_UINT:
        mid_dump_add(d, "%llu", unsigned_of(at, field->size));
        break;
    case MID_FIELD_FLOAT:
        put_float(d, at, field->size);
        break;
    case MID_FIELD_POINTER:
        memcpy(&pointer, at, sizeof pointer);
        mid_dump_add(d, pointer == NULL ? "null" : "%p", pointer);
        break;
    default:
        put_bytes(d, at, field->size);
    }
}

static void put_value(mid_dump *d, const mid_field *field, const char *at, uint64_t elements, bool array)
{
    const uint64_t some = elements < d->limits.items_most ? elements : d->limits.items_most;
    if (field->kind == MID_FIELD_TEXT) {
        put_text(d, at, elements);
        return;
    }
    if (!array) {
        put_element(d, field, at);
        return;
    }
    mid_dump_add(d, "{");
    for (uint64_t i = 0; i < some; i++) {
        mid_dump_add(d, i == 0 ? "" : ", ");
        put_element(d, field, at + i * field->size);
    }
    if (some < elements)
        mid_dump_add(d, ", ... %llu more", (unsigned long long)(elements - some));
    mid_dump_add(d, "}");
}

void mid_dump_fields(mid_dump *d, const char *before, unsigned indent)
{
    for (uint32_t i = 0; i < d->type->field_count && d->status == MID_OK; i++) {
        const mid_field *field = mid_fields_of(d->type) + i;
        const bool items = mid_field_is_items(d->type, field);
        if (field->kind == MID_FIELD_REF)
            continue;
        mid_dump_add(d, "%*s%s", (int)indent, "", before);
        mid_dump_quote(d, field->name, MID_NAME_ROOM);
        mid_dump_add(d, " = ");
        put_value(d, field, (const char *)d->object + field->offset, items ? mid_items(d->type, d->object) : field->count,
                  items || field->count > 1);
        mid_dump_line(d);
    }
}
