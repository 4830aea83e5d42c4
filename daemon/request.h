/* daemon/request.h: the control protocol as it comes in: bytes, lines, requests. Pure; tests/fuzz feeds it anything.
 *
 * A request is one line of at most MID_LINE_MOST bytes, its end not counted: a word, and perhaps one argument. Blank lines are
 * none. What comes is bounded by the inbox: a line that is longer is answered for once and skipped to its end. */
#ifndef MIDDEN_DAEMON_REQUEST_H
#define MIDDEN_DAEMON_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "midden/status.h"

#define MID_LINE_MOST 4096u

/* X(name, word, argument, meaning) */
#define MID_REQUESTS(X)                                                                                                \
    X(MID_ASK_STATS, "stats", "", "figures of the heap, its size classes, types, stops and pauses, and of the daemon") \
    X(MID_ASK_LOG, "log", "[COUNT]", "the newest decisions, oldest first: 100, or as many as are given, at most 400")  \
    X(MID_ASK_FOR_COLLECT, "collect", "", "find and free garbage cycles; answered when it is done")                    \
    X(MID_ASK_FOR_COMPACT, "compact", "", "one pass of compaction; answered when it is done")                          \
    X(MID_ASK_FOR_DEEP, "deep", "", "one pass of deep compaction, if the option deep allows it")                       \
    X(MID_ASK_FOR_TRIM, "trim", "", "give empty pools beyond the reserve back")                                        \
    X(MID_ASK_SET, "set", "OPTION=VALUE,...", "change options that only the daemon reads")                             \
    X(MID_ASK_DUMP, "dump", "", "the heap map: pools by class and occupancy, pins, each arena's units")                \
    X(MID_ASK_TRACE, "trace", "on|off|top|snapshot ...", "who allocated what is there: on [BYTES|all [FRAMES]], off, top [BY], snapshot") \
    X(MID_ASK_HELP, "help", "", "the requests")

typedef enum mid_request_kind {
#define MID_X(name, word, argument, meaning) name,
    MID_REQUESTS(MID_X)
#undef MID_X
    MID_REQUEST_COUNT
} mid_request_kind;

typedef struct mid_request {
    mid_request_kind kind;
    uint64_t count;                    /* log: how many */
    char argument[MID_LINE_MOST + 1];  /* set: its options; trace: what about it; else empty */
} mid_request;

/* What one end of a connection has sent and is not yet worked off. */
typedef struct mid_inbox {
    size_t length;
    bool skipping; /* to the end of a line that was too long */
    char bytes[MID_LINE_MOST + 1];
} mid_inbox;

/* Take in at most `length` bytes, as many as there is room for; returns how many that were. None while a line is there. */
size_t mid_inbox_take(mid_inbox *inbox, const char *bytes, size_t length);

/* Whether mid_inbox_next would find something. */
bool mid_inbox_ready(const mid_inbox *inbox);

/* The next request. False: there is no whole line. Otherwise *status is MID_OK; MID_ESIZE (the line was too long); MID_EINVAL (no
 * such request, or not such an argument), and then *what (static) says so. */
bool mid_inbox_next(mid_inbox *inbox, mid_request *into, mid_status *status, const char **what);

/* One line, without its end. MID_OK or MID_EINVAL, as above. */
mid_status mid_request_parse(const char *line, size_t length, mid_request *into, const char **what);

/* The words, for help; null past the last. */
const char *mid_request_word(unsigned kind, const char **argument, const char **meaning);

#endif
