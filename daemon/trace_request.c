/* daemon/trace_request.c: the argument of `trace` (trace_request.h). */
#include "daemon/trace_request.h"

#include <string.h>

#define FRAMES 16u
#define SAMPLE (UINT64_C(512) << 10)

static bool blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* The next word; its length is 0 at the end. */
static const char *next(const char **text, size_t *length)
{
    while (blank(**text))
        ++*text;
    const char *word = *text;
    while (**text != 0 && !blank(**text))
        ++*text;
    *length = (size_t)(*text - word);
    return word;
}

static bool is(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

/* Digits, and perhaps a unit: neither a sign nor more than 63 bits. */
static bool read_number(const char *word, size_t length, bool units, uint64_t *number)
{
    static const char names[] = "KMG";
    unsigned shift = 0;
    const char *unit = units && length > 1 ? memchr(names, word[length - 1], sizeof names - 1) : NULL;
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - names + 1);
        length--;
    }
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        if (word[i] < '0' || word[i] > '9' || *number > ((uint64_t)INT64_MAX - 9) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(word[i] - '0');
    }
    if (*number > (uint64_t)INT64_MAX >> shift)
        return false;
    *number <<= shift;
    return length != 0 && *number != 0;
}

static bool read_on(const char **text, mid_trace_options *options)
{
    uint64_t sample = SAMPLE, frames = FRAMES;
    size_t length;
    const char *word = next(text, &length);
    if (is(word, length, "all"))
        sample = 0;
    else if (length != 0 && !read_number(word, length, true, &sample))
        return false;
    word = next(text, &length);
    if (length != 0 && (!read_number(word, length, false, &frames) || frames > UINT32_MAX))
        return false;
    *options = (mid_trace_options){sizeof *options, (uint32_t)frames, sample};
    return true;
}

static bool read_by(const char **text, mid_trace_by *by)
{
    static const char *const names[] = {"domain", "type", "site", "stack", "frame"};
    size_t length;
    const char *word = next(text, &length);
    *by = MID_TRACE_BY_SITE;
    for (unsigned i = 0; length != 0 && i < sizeof names / sizeof *names; i++)
        if (is(word, length, names[i])) {
            *by = (mid_trace_by)i;
            return true;
        }
    return length == 0;
}

bool mid_trace_request_parse(const char *text, mid_trace_request *into)
{
    mid_trace_request found = {.by = MID_TRACE_BY_SITE};
    size_t length;
    const char *word = next(&text, &length);
    if (is(word, length, "on")) {
        found.ask = MID_TRACE_ON;
        if (!read_on(&text, &found.options))
            return false;
    } else if (is(word, length, "off")) {
        found.ask = MID_TRACE_OFF;
    } else if (is(word, length, "top")) {
        found.ask = MID_TRACE_TOP;
        if (!read_by(&text, &found.by))
            return false;
    } else if (is(word, length, "snapshot")) {
        found.ask = MID_TRACE_SNAPSHOT;
    } else {
        return false;
    }
    next(&text, &length);
    if (length != 0)
        return false;
    *into = found;
    return true;
}
