/* daemon/tell.c: lines of two kinds, and their way through a socket. */
#include "daemon/tell.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HEAR_MOST 16 /* times: the end of who has talked much is behind all of it */

/* The number behind one space; null: there is none, or it does not fit. */
static const char *number(const char *at, uint64_t *into)
{
    uint64_t value = 0;
    if (at == NULL || *at++ != ' ' || *at < '0' || *at > '9')
        return NULL;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return NULL;
    *into = value;
    return at;
}

static const char *behind(const char *line, const char *word)
{
    size_t length = strlen(word);
    return strncmp(line, word, length) == 0 ? line + length : NULL;
}

bool mid_tell_read_need(const char *line, mid_need *into)
{
    mid_need need;
    const char *at = number(number(number(number(behind(line, "need"), &need.live), &need.held), &need.rate), &need.speed);
    if (at == NULL || *at != 0)
        return false;
    *into = need;
    return true;
}

bool mid_tell_read_limit(const char *line, uint64_t *into)
{
    uint64_t limit;
    const char *at = number(behind(line, "limit"), &limit);
    if (at == NULL || *at != 0)
        return false;
    *into = limit;
    return true;
}

void mid_tell_need(mid_line_out *out, const mid_need *n)
{
    int length = snprintf(out->bytes, sizeof out->bytes, "need %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", n->live, n->held,
                          n->rate, n->speed);
    out->length = (size_t)length; /* four numbers of at most 20 digits */
    out->sent = 0;
}

void mid_tell_limit(mid_line_out *out, uint64_t limit)
{
    out->length = (size_t)snprintf(out->bytes, sizeof out->bytes, "limit %" PRIu64 "\n", limit);
    out->sent = 0;
}

bool mid_tell_take(mid_line_in *in, const char *bytes, size_t length, bool (*each)(void *, const char *), void *context)
{
    for (size_t i = 0; i < length; i++) {
        bool whole = bytes[i] == '\n';
        if (in->length == sizeof in->bytes - 1 && !whole)
            return false;
        in->bytes[in->length++] = whole ? 0 : bytes[i];
        if (!whole && bytes[i] == 0)
            return false;
        if (whole) {
            in->length = 0;
            if (!each(context, in->bytes))
                return false;
        }
    }
    return true;
}

bool mid_tell_hear(mid_line_in *in, int fd, bool (*each)(void *, const char *), void *context)
{
    char bytes[4096];
    for (int i = 0; i < HEAR_MOST; i++) {
        ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
        if (got == 0 || !mid_tell_take(in, bytes, (size_t)got, each, context))
            return false;
    }
    return true;
}

bool mid_tell_send(mid_line_out *out, int fd)
{
    while (!mid_tell_silent(out)) {
        ssize_t sent = send(fd, out->bytes + out->sent, out->length - out->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EINTR)
            return errno == EAGAIN;
        out->sent += sent > 0 ? (size_t)sent : 0;
    }
    return true;
}
