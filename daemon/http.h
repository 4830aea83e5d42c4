/* daemon/http.h: the daemon's side of midden/http.h. All of it on the loop's thread. */
#ifndef MIDDEN_DAEMON_HTTP_H
#define MIDDEN_DAEMON_HTTP_H

#include <event2/buffer.h>

#include "daemon/endpoint.h"
#include "daemon/history.h"
#include "daemon/json.h"
#include "daemon/loop.h"

/* End it, with its connections. In the child of a fork the parent's are left alone; the base must be reinitialised by then. */
typedef struct mid_http mid_http;

void mid_http_close(mid_http *http);
/* The daemon has taken a snapshot. */
void mid_http_look(mid_http *http, const mid_snapshot *now, uint64_t clock);

/* --- bind.c: addresses; any thread */

typedef struct mid_bound {
    mid_endpoint at; /* of a port, the descriptor alone */
    uint16_t port;
} mid_bound;

/* MID_EINVAL, MID_EBUSY, MID_ESYSTEM: as mid_http_listen. mid_endpoint_close ends it. */
mid_status mid_http_bind(const char *address, mid_bound *into);

/* --- what there is to see */

typedef struct mid_view {
    mid_daemon *daemon;
    mid_heap *heap;
    const mid_history *history;
    const char *nonce; /* pageview.c: of the page's own script and style */
} mid_view;

/* answer.c: answer a request, whatever it is. */
struct evhttp_request;
void mid_http_answer(const mid_view *view, struct evhttp_request *request);

/* Append it to `out`. False: no memory; what was appended is of no use. */
typedef bool mid_view_fn(const mid_view *view, struct evbuffer *out);
mid_view_fn mid_view_metrics; /* metrics.c */
mid_view_fn mid_view_heap;    /* heapview.c */
mid_view_fn mid_view_log;     /* logview.c */
mid_view_fn mid_view_trace;   /* logview.c */
mid_view_fn mid_view_page;    /* pageview.c */

/* logview.c: append `root` and take it away; null, or what could not be made whole: false. */
bool mid_view_write(json_t *root, bool good, struct evbuffer *out);

#endif
