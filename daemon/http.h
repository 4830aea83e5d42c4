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
/* The base has been freed, or the thread that ran it is not there (in the child of a fork). Its socket and connections are closed here;
 * evhttp's part stays: it cannot be freed without the base, nor half changed. */
void mid_http_abandon(mid_http *http);
/* The daemon has taken a snapshot, and knows how short memory is. */
void mid_http_look(mid_http *http, const mid_snapshot *now, mid_pressure_level level, uint64_t clock);

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
mid_view_fn mid_view_page;    /* pageview.c */

/* What may be long is told in steps, each of which takes some ten microseconds: the next one is appended to `out`. `state` is the
 * story's own, all zero at first; `end` frees what it holds, whenever that is. */
typedef enum mid_told { MID_TOLD_MORE, MID_TOLD_ALL, MID_TOLD_FAILED } mid_told;
typedef struct mid_story {
    size_t size; /* of the state */
    mid_told (*step)(const mid_view *view, void *state, struct evbuffer *out);
    void (*end)(void *state); /* null: it holds nothing */
} mid_story;
extern const mid_story mid_story_heap;  /* heapview.c */
extern const mid_story mid_story_log;   /* logview.c */
extern const mid_story mid_story_trace; /* logview.c */

/* --- pieces.c: a story as the body of an answer */

typedef struct mid_pieces mid_pieces;

/* The first piece of it, into `out`; null unless *told is MID_TOLD_MORE. */
mid_pieces *mid_pieces_begin(const mid_view *view, const mid_story *story, struct evbuffer *out, mid_told *told);
/* Send what `out` has, and the others each when the one before has gone. Takes `pieces` over. */
void mid_pieces_send(mid_pieces *pieces, struct evhttp_request *request, struct evbuffer *out);
void mid_pieces_drop(mid_pieces *pieces);

#endif
