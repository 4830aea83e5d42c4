/* daemon/trace_request.h: what follows the word `trace` on the control socket. Pure; tests/fuzz feeds it anything. */
#ifndef MIDDEN_DAEMON_TRACE_REQUEST_H
#define MIDDEN_DAEMON_TRACE_REQUEST_H

#include <stdbool.h>

#include "midden/trace.h"

typedef enum mid_trace_ask { MID_TRACE_ON, MID_TRACE_OFF, MID_TRACE_TOP, MID_TRACE_SNAPSHOT } mid_trace_ask;

typedef struct mid_trace_request {
    mid_trace_ask ask;
    mid_trace_by by;           /* top: by what */
    mid_trace_options options; /* on: bytes between samples, 0: every allocation; frames, which mid_trace_start checks */
} mid_trace_request;

/* on [BYTES|all [FRAMES]], off, top [domain|type|site|stack|frame], snapshot; words apart by blanks. BYTES are above 0, with K, M or G
 * of 1024, and less than 2^63. False: it is none of these, and *into is as it was. */
bool mid_trace_request_parse(const char *text, mid_trace_request *into);

#endif
