/* gc/kinds/utf8.c: is it UTF-8, and how many characters? As Unicode 15, table 3-7: no overlong forms, no surrogates, up to U+10FFFF. */
#include <string.h>

#include "gc/kinds/utf8.h"

/* Bytes from `at` that are ASCII, by words. */
static size_t ascii(const unsigned char *at, size_t bytes)
{
    size_t n = 0;
    for (uint64_t word; n + sizeof word <= bytes; n += sizeof word) {
        memcpy(&word, at + n, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    while (n < bytes && at[n] < 0x80)
        n++;
    return n;
}

/* Bytes of the character that begins here; 0: none does. */
static size_t character(const unsigned char *at, size_t bytes)
{
    unsigned lead = at[0], low = 0x80, high = 0xBF;
    size_t length = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
    if (length == 0 || length > bytes)
        return 0;
    low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : low;
    high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : high;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xBF)
        if (at[i] < low || at[i] > high)
            return 0;
    return length;
}

bool kind_utf8(const char *content, size_t bytes, size_t *chars)
{
    const unsigned char *at = (const unsigned char *)content;
    size_t count = 0;
    for (size_t i = 0; i < bytes;) {
        size_t n = ascii(at + i, bytes - i);
        i += n;
        count += n;
        if (i == bytes)
            break;
        n = character(at + i, bytes - i);
        if (n == 0)
            return false;
        i += n;
        count++;
    }
    *chars = count;
    return true;
}

size_t kind_utf8_offset(const char *content, size_t bytes, size_t chars)
{
    size_t i = 0;
    for (; chars != 0 && i < bytes; chars--)
        do
            i++;
        while (i < bytes && ((unsigned char)content[i] & 0xC0) == 0x80);
    return i;
}

size_t kind_utf8_count(const char *content, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += ((unsigned char)content[i] & 0xC0) != 0x80;
    return count;
}
