/* gc/kinds/utf8.h: UTF-8 as text keeps it. */
#ifndef MID_GC_KINDS_UTF8_H
#define MID_GC_KINDS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool kind_utf8(const char *content, size_t bytes, size_t *chars); /* is it? Then how many characters */
/* Of what is UTF-8: where character number `chars` begins, at most `bytes`; characters in so many bytes. */
size_t kind_utf8_offset(const char *content, size_t bytes, size_t chars);
size_t kind_utf8_count(const char *content, size_t bytes);

#endif
