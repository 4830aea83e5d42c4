/* daemon/tell.h: what heaps and the process that divides a budget say to each other: lines of text through a Unix socket, both ways
 * bounded.
 *
 *     need LIVE HELD RATE SPEED     a heap, when its figures have changed (divide.h)
 *     limit BYTES                   the other, when its limit has
 *
 * Only the newest line of each counts. Whoever says anything else is not listened to any longer. */
#ifndef MIDDEN_DAEMON_TELL_H
#define MIDDEN_DAEMON_TELL_H

#include "daemon/divide.h"

#define MID_TELL_MOST 128u /* bytes of a line, with its end */

typedef struct mid_line_in { /* what has come of a line */
    size_t length;
    char bytes[MID_TELL_MOST];
} mid_line_in;

typedef struct mid_line_out { /* a line on its way */
    size_t length, sent;
    char bytes[MID_TELL_MOST];
} mid_line_out;

/* Pure. Decimal numbers, one space between them, nothing else. False: it is not such a line, and *into is as it was. */
bool mid_tell_read_need(const char *line, mid_need *into);
bool mid_tell_read_limit(const char *line, uint64_t *into);
/* Only while nothing is under way. */
void mid_tell_need(mid_line_out *out, const mid_need *need);
void mid_tell_limit(mid_line_out *out, uint64_t limit);
/* Take `length` bytes in, at most as many as there is room for; `each` is called for every whole line, without its end. False: a line
 * is too long, or holds a zero, or `each` said so. */
bool mid_tell_take(mid_line_in *in, const char *bytes, size_t length, bool (*each)(void *context, const char *line), void *context);

/* What has come, but no more than 64 KiB; does not wait. False: the connection is over, or ought to be. */
bool mid_tell_hear(mid_line_in *in, int fd, bool (*each)(void *context, const char *line), void *context);
/* As much as goes. False: the connection is over. */
bool mid_tell_send(mid_line_out *out, int fd);
static inline bool mid_tell_silent(const mid_line_out *out)
{
    return out->sent == out->length;
}

#endif
