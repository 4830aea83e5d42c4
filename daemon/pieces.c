/* daemon/pieces.c: a long answer, a piece at a time (http.h).
 *
 * A heap of 100,000 pools has a megabyte to tell of itself, which takes tens of milliseconds to write: for so long no decision could be
 * taken. So an answer is written in pieces of PIECE_BYTES, or STEPS_MOST steps, and the next one when the socket has taken the one
 * before. In between the loop has its other turns, and who does not read costs one piece. */
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/http.h"

#define PIECE_BYTES (16u << 10)
#define STEPS_MOST 32u

struct mid_pieces {
    mid_view view;
    const mid_story *story;
    struct evhttp_request *request;
    _Alignas(max_align_t) char state[];
};

static mid_told piece(mid_pieces *p, struct evbuffer *out)
{
    mid_told told = MID_TOLD_MORE;
    for (unsigned i = 0; i < STEPS_MOST && told == MID_TOLD_MORE && evbuffer_get_length(out) < PIECE_BYTES; i++)
        told = p->story->step(&p->view, p->state, out);
    /* Steps that had nothing to say: JSON's own blank, since an empty piece would be sent by nobody. */
    if (told == MID_TOLD_MORE && evbuffer_get_length(out) == 0 && evbuffer_add(out, " ", 1) != 0)
        return MID_TOLD_FAILED;
    return told;
}

void mid_pieces_drop(mid_pieces *p)
{
    if (p->story->end != NULL)
        p->story->end(p->state);
    free(p);
}

mid_pieces *mid_pieces_begin(const mid_view *view, const mid_story *story, struct evbuffer *out, mid_told *told)
{
    mid_pieces *p = calloc(1, sizeof *p + story->size);
    *told = MID_TOLD_FAILED;
    if (p == NULL)
        return NULL;
    p->view = *view;
    p->story = story;
    *told = piece(p, out);
    if (*told == MID_TOLD_MORE)
        return p;
    mid_pieces_drop(p);
    return NULL;
}

/* The connection goes with its answer half told. If evhttp has let the request go, it is ours to free, as ending it does; else evhttp
 * frees it. */
static void on_close(struct evhttp_connection *connection, void *context)
{
    mid_pieces *p = context;
    (void)connection;
    if (evhttp_request_get_connection(p->request) == NULL)
        evhttp_send_reply_end(p->request);
    mid_pieces_drop(p);
}

/* Whoever reads half an answer must not take it for the whole: its end is missing, and then the connection. */
static void cut_short(struct evhttp_connection *connection)
{
    shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)), SHUT_RDWR);
}

static void on_sent(struct evhttp_connection *connection, void *context)
{
    mid_pieces *p = context;
    struct evhttp_request *request = p->request;
    struct evbuffer *out = evbuffer_new();
    mid_told told = out == NULL ? MID_TOLD_FAILED : piece(p, out);
    if (told == MID_TOLD_FAILED) {
        cut_short(connection);
    } else if (told == MID_TOLD_MORE) {
        evhttp_send_reply_chunk_with_cb(request, out, on_sent, p);
    } else {
        evhttp_connection_set_closecb(connection, NULL, NULL);
        mid_pieces_drop(p);
        evhttp_send_reply_chunk(request, out);
        evhttp_send_reply_end(request);
    }
    if (out != NULL)
        evbuffer_free(out);
}

void mid_pieces_send(mid_pieces *p, struct evhttp_request *request, struct evbuffer *out)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    p->request = request;
    evhttp_connection_set_closecb(connection, on_close, p);
    evhttp_send_reply_start(request, 200, "OK");
    evhttp_send_reply_chunk_with_cb(request, out, on_sent, p);
}
