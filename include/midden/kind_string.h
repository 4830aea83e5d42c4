/* midden/kind_string.h: byte strings, and text in UTF-8. What kinds.h says of threads and errors holds here.
 *
 * A string is one object of 12 bytes and its content, without a zero at the end. It never changes, but for mid_string_append with its only
 * holder. Calls named mid_string_ are for both kinds. Positions of byte strings count bytes, those of text characters (code
 * points); text that is all ASCII finds them at once, other text by reading up to them. */
#ifndef MIDDEN_KIND_STRING_H
#define MIDDEN_KIND_STRING_H

#include <stdarg.h>

#include "kinds.h"

struct mid_string_object {
    uint32_t length; /* bytes; the heap's */
    uint32_t hash;   /* 0: not taken yet */
    uint32_t chars;  /* of text: code points */
    char content[];
};

#ifdef __cplusplus
extern "C" {
#endif

/* A string with a copy of these bytes (null: they are the caller's to write before anybody else sees the string, of a byte string only).
 * Text: MID_EINVAL if they are no UTF-8 (overlong forms, surrogates and numbers above U+10FFFF are none). MID_ESIZE: 2^31 and more. */
MID_API mid_status mid_bytes_new(mid_thread *thread, const mid_kinds *kinds, const void *content, size_t bytes, mid_handle *out);
MID_API mid_status mid_text_new(mid_thread *thread, const mid_kinds *kinds, const char *content, size_t bytes, mid_handle *out);
/* As printf; the result must be UTF-8. MID_EINVAL: it is not, or printf refuses. */
MID_API mid_status mid_text_format(mid_thread *thread, const mid_kinds *kinds, mid_handle *out, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
MID_API mid_status mid_text_format_list(mid_thread *thread, const mid_kinds *kinds, mid_handle *out, const char *format, va_list arguments);

/* Where the content is, until this thread's next safepoint, and how many bytes; `bytes` may be null. */
MID_API mid_status mid_string_look(mid_thread *thread, const mid_kinds *kinds, mid_handle string, const char **content, size_t *bytes);
/* Bytes of a byte string, characters of text. */
MID_API mid_status mid_string_length(mid_thread *thread, const mid_kinds *kinds, mid_handle string, size_t *length);
/* Taken once, and kept in the string. Any number of threads may ask. */
MID_API mid_status mid_string_hash(mid_thread *thread, const mid_kinds *kinds, mid_handle string, uint32_t *hash);

/* The one object of this content in the heap: every call with the same content returns the same handle, counted. The heap holds it
 * weakly, and up to 1024 of each kind whose last holder has let go, until memory is wanted (type.h, `cached`). MID_EINVAL as for new. */
MID_API mid_status mid_bytes_intern(mid_thread *thread, const mid_kinds *kinds, const void *content, size_t bytes, mid_handle *out);
MID_API mid_status mid_text_intern(mid_thread *thread, const mid_kinds *kinds, const char *content, size_t bytes, mid_handle *out);
/* The same of a string that there is [consumed after success]: itself, or the one that was there. */
MID_API mid_status mid_string_intern(mid_thread *thread, const mid_kinds *kinds, mid_handle string, mid_handle *out);

/* A new string: a, then b, of the same kind (MID_ETYPE). */
MID_API mid_status mid_string_concat(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, mid_handle *out);
/* Replace *string [consumed, counted afterwards] by itself and `more` (which may be the same). The same object grows, without a copy if
 * its slot has room, if the caller is its only holder and it is neither interned nor pinned; else it is a new one. */
MID_API mid_status mid_string_append(mid_thread *thread, const mid_kinds *kinds, mid_handle *string, mid_handle more);
/* A new string of what is from `from` up to, and without, `to`. MID_EINVAL: from > to, or to is beyond the end. */
MID_API mid_status mid_string_slice(mid_thread *thread, const mid_kinds *kinds, mid_handle string, size_t from, size_t to, mid_handle *out);
/* Where `part` is first found from `from` on; SIZE_MAX: nowhere. The empty string is found at `from`. MID_EINVAL: beyond the end. */
MID_API mid_status mid_string_find(mid_thread *thread, const mid_kinds *kinds, mid_handle string, mid_handle part, size_t from, size_t *at);

#ifdef __cplusplus
}
#endif
#endif
