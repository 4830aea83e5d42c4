/* gc/kinds/string.h: what the two files about strings share. */
#ifndef MID_GC_KINDS_STRING_H
#define MID_GC_KINDS_STRING_H

#include <string.h>

#include "gc/kinds/own.h"
#include "gc/kinds/utf8.h"
#include "midden/policy.h"

#define KIND_STRING_MOST ((size_t)0x7fffffff)
#define KIND_NARROW 1u /* in `hash`: every character is a byte */

static inline struct mid_string_object *kind_string_at(mid_thread *thread, mid_handle string)
{
    return mid_get(thread, string);
}
/* Of a thread that may call. */
static inline mid_status kind_string_kind(const mid_kinds *kinds, mid_handle string, mid_kind *kind)
{
    if (MID_UNLIKELY_(!mid_is_object_(string)))
        return string == 0 ? MID_EHANDLE : MID_ETYPE;
    const unsigned shown = kind_shown(kinds, string);
    *kind = (mid_kind)shown;
    if (MID_LIKELY_(shown == MID_KIND_TEXT || shown == MID_KIND_BYTES))
        return MID_OK;
    return shown == MID_KIND_COUNT ? MID_EHANDLE : MID_ETYPE;
}
static inline mid_status kind_string_check(mid_thread *thread, const mid_kinds *kinds, mid_handle string, mid_kind *kind)
{
    mid_status status = kind_ready(thread, kinds);
    return MID_LIKELY_(status == MID_OK) ? kind_string_kind(kinds, string, kind) : status;
}
mid_status kind_string_make(mid_thread *thread, const mid_kinds *kinds, mid_kind kind, size_t bytes, bool narrow, mid_handle *out);
bool kind_string_same(const struct mid_string_object *a, const struct mid_string_object *b);

static inline bool kind_string_narrow(const struct mid_string_object *string)
{
    return MID_READ_(string->hash) & KIND_NARROW;
}
static inline size_t kind_string_chars(const struct mid_string_object *string)
{
    return kind_string_narrow(string) ? string->length : kind_utf8_count(string->content, string->length);
}

/* Most strings are short: two words that overlap, and no call. */
static inline void kind_copy(char *to, const char *from, size_t bytes)
{
    if (bytes > 16) {
        memcpy(to, from, bytes);
    } else if (bytes >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + bytes - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + bytes - 8, &last, 8);
    } else if (bytes >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + bytes - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + bytes - 4, &last, 4);
    } else {
        for (size_t i = 0; i < bytes; i++)
            to[i] = from[i];
    }
}

#endif
