/* daemon/request.c: bytes to lines to requests. */
#include "daemon/request.h"

#include <string.h>

#define LOG_DEFAULT 100u

static const struct word {
    const char *word, *argument, *meaning;
} words[] = {
#define MID_X(name, word, argument, meaning) {word, argument, meaning},
    MID_REQUESTS(MID_X)
#undef MID_X
};

const char *mid_request_word(unsigned kind, const char **argument, const char **meaning)
{
    if (kind >= MID_REQUEST_COUNT)
        return NULL;
    *argument = words[kind].argument;
    *meaning = words[kind].meaning;
    return words[kind].word;
}

static bool blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static void trim(const char **line, size_t *length)
{
    while (*length > 0 && blank(**line)) {
        ++*line;
        --*length;
    }
    while (*length > 0 && blank((*line)[*length - 1]))
        --*length;
}

/* --- the inbox --------------------------------------------------------------------------------------------------- */

static const char *line_end(const mid_inbox *inbox)
{
    return memchr(inbox->bytes, '\n', inbox->length);
}

static void drop(mid_inbox *inbox, size_t bytes)
{
    inbox->length -= bytes;
    memmove(inbox->bytes, inbox->bytes + bytes, inbox->length);
}

size_t mid_inbox_take(mid_inbox *inbox, const char *bytes, size_t length)
{
    size_t taken = 0;
    if (inbox->skipping) {
        const char *end = memchr(bytes, '\n', length);
        taken = end == NULL ? length : (size_t)(end - bytes) + 1;
        inbox->skipping = end == NULL;
    }
    if (mid_inbox_ready(inbox))
        return taken;
    size_t room = sizeof inbox->bytes - inbox->length;
    size_t more = length - taken < room ? length - taken : room;
    memcpy(inbox->bytes + inbox->length, bytes + taken, more);
    inbox->length += more;
    return taken + more;
}

bool mid_inbox_ready(const mid_inbox *inbox)
{
    return inbox->length == sizeof inbox->bytes || (inbox->length != 0 && line_end(inbox) != NULL);
}

bool mid_inbox_next(mid_inbox *inbox, mid_request *into, mid_status *status, const char **what)
{
    for (const char *end; (end = line_end(inbox)) != NULL;) {
        const char *line = inbox->bytes;
        size_t whole = (size_t)(end - inbox->bytes) + 1, length = whole - 1;
        trim(&line, &length);
        if (length != 0)
            *status = mid_request_parse(line, length, into, what);
        drop(inbox, whole);
        if (length != 0)
            return true;
    }
    if (inbox->length < sizeof inbox->bytes)
        return false;
    inbox->length = 0;
    inbox->skipping = true;
    *status = MID_ESIZE;
    *what = "a line of more than 4096 bytes";
    return true;
}

/* --- one line ------------------------------------------------------------------------------------------------------ */

static bool parse_count(const char *text, size_t length, uint64_t *count)
{
    *count = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || *count > UINT32_MAX)
            return false;
        *count = *count * 10 + (uint64_t)(text[i] - '0');
    }
    return length != 0;
}

static mid_status refuse(const char **what, const char *why)
{
    *what = why;
    return MID_EINVAL;
}

static mid_status take_argument(mid_request *into, const char *text, size_t length, const char **what)
{
    switch (into->kind) {
    case MID_ASK_SET:
        if (length == 0)
            return refuse(what, "set needs OPTION=VALUE");
        memcpy(into->argument, text, length);
        into->argument[length] = 0;
        return MID_OK;
    case MID_ASK_TRACE:
        memcpy(into->argument, text, length);
        into->argument[length] = 0;
        return MID_OK;
    case MID_ASK_LOG:
        into->count = LOG_DEFAULT;
        return length == 0 || parse_count(text, length, &into->count) ? MID_OK : refuse(what, "log takes a number");
    default:
        return length == 0 ? MID_OK : refuse(what, "this request takes no argument");
    }
}

mid_status mid_request_parse(const char *line, size_t length, mid_request *into, const char **what)
{
    into->count = 0;
    into->argument[0] = 0;
    trim(&line, &length);
    if (length > MID_LINE_MOST)
        return refuse(what, "a line of more than 4096 bytes");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' && line[i] != '\t')
            return refuse(what, "not a line of text");
    size_t word = 0;
    while (word < length && !blank(line[word]))
        word++;
    for (unsigned kind = 0; kind < MID_REQUEST_COUNT; kind++) {
        if (strlen(words[kind].word) != word || memcmp(words[kind].word, line, word) != 0)
            continue;
        into->kind = (mid_request_kind)kind;
        const char *argument = line + word;
        size_t rest = length - word;
        trim(&argument, &rest);
        return take_argument(into, argument, rest, what);
    }
    return refuse(what, "no such request; help lists them");
}
