/* daemon/reply.h: what the control socket answers, as one line of JSON each. */
#ifndef MIDDEN_DAEMON_REPLY_H
#define MIDDEN_DAEMON_REPLY_H

#include <jansson.h>

#include "daemon/goal.h"
#include "daemon/request.h"

/* Each returns an object, or null for want of memory. Numbers above 2^63 - 1 are written as that; bytes of foreign text that are no
 * UTF-8 as question marks. */
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

json_t *mid_json_number(uint64_t number);
json_t *mid_json_text(const char *text, size_t length);
/* To set what is null fails: an object that lacks something for want of memory is none. Takes `object` over. */
json_t *mid_json_whole(json_t *object, int failed);
/* object[name] = number, for where `o` and `failed` are. */
#define MID_JSON_PUT(name, value) failed |= json_object_set_new(o, name, mid_json_number(value))

#endif
