/* gc/kinds/string.h: what the two files about strings share. */
#ifndef MID_GC_KINDS_STRING_H
#define MID_GC_KINDS_STRING_H

#include "gc/kinds/own.h"
#include "gc/kinds/utf8.h"
#include "midden/policy.h"

#define KIND_STRING_MOST ((size_t)0x7fffffff)

static inline struct mid_string_object *kind_string_at(mid_thread *thread, mid_handle string)
{
    return mid_get(thread, string);
}
mid_status kind_string_check(mid_thread *thread, const mid_kinds *kinds, mid_handle string, mid_kind *kind);
mid_status kind_string_make(mid_thread *thread, const mid_kinds *kinds, mid_kind kind, size_t bytes, size_t chars, mid_handle *out);
bool kind_string_same(const struct mid_string_object *a, const struct mid_string_object *b);

#endif
