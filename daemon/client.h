/* daemon/client.h: one connection to the control socket: bytes in, lines out, both bounded. On the loop's thread.
 *
 * libevent's bufferevents would write to a connection that is gone with SIGPIPE, which on a base of the program's own is the
 * program's end; so a client has two events and an evbuffer, and sends by itself. */
#ifndef MIDDEN_DAEMON_CLIENT_H
#define MIDDEN_DAEMON_CLIENT_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <jansson.h>

#include "daemon/request.h"
#include "midden/daemon.h"

#define MID_ANSWER_MOST (256u << 10) /* of one; a longer one is refused */
#define MID_UNSENT_MOST (64u << 10)  /* while more than this is unsent, nothing is read */

typedef struct mid_client {
    mid_daemon *daemon;
    int fd;
    struct event *readable, *writable;
    struct evbuffer *out;
    bool waits;     /* for a goal; what else it asks is left unread */
    bool ended;     /* it will send no more; what it asked is answered still */
    uint64_t heard; /* when it last said something, in requests and connections of all */
    mid_request request; /* the one at work */
    mid_inbox inbox;
} mid_client;

/* Takes the descriptor over, in any case. Null: no memory. */
mid_client *mid_client_new(mid_daemon *daemon, int fd, event_callback_fn on_read, event_callback_fn on_write, void *context);
void mid_client_free(mid_client *client);

/* Read once, at most what the inbox has room for. False: it is to be ended. */
bool mid_client_read(mid_client *client);
/* Put an answer (taken over; null: no memory for it) behind what is unsent. False: it is to be ended. */
bool mid_client_answer(mid_client *client, json_t *answer);
/* Send what goes, and watch what is to be watched. False: it is to be ended. */
bool mid_client_send(mid_client *client);
/* May the next of its requests be worked on? */
bool mid_client_ready(const mid_client *client);

#endif
