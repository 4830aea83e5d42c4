/* daemon/reply.h: what the control socket answers, as one line of JSON each. */
#ifndef MIDDEN_DAEMON_REPLY_H
#define MIDDEN_DAEMON_REPLY_H

#include "daemon/goal.h"
#include "daemon/json.h"
#include "daemon/request.h"

/* Each returns an object, or null for want of memory. */
json_t *mid_reply_stats(mid_heap *heap, mid_daemon *daemon);
json_t *mid_reply_log(mid_daemon *daemon, uint64_t count);
json_t *mid_reply_dump(mid_heap *heap);
json_t *mid_reply_help(const mid_options *options);
json_t *mid_reply_goal(const char *word, const mid_goal *goal, uint64_t committed_bytes);
/* `what` (may be null): which part of the request, for people. */
json_t *mid_reply_error(mid_status status, const char *what);

/* Tracing of allocations: on, off, what there is. `text` is the request's argument. */
json_t *mid_reply_trace(mid_heap *heap, uint64_t stop_wait_micros, const char *text);

/* Change the daemon's own options: all that `text` says, or none. Refused are the heap's, by name. */
json_t *mid_reply_set(mid_options *options, const char *text);

#endif
