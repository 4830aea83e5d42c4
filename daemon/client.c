/* daemon/client.c: reading, answering and sending of one connection. */
#include "daemon/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/loop.h"

static const char no_memory[] = "{\"ok\": false, \"error\": \"MID_ENOMEM\", \"text\": \"no memory for the answer\"}\n";
static const char too_long[] = "{\"ok\": false, \"error\": \"MID_ESIZE\", \"text\": \"the answer is too long; ask for less\"}\n";

mid_client *mid_client_new(mid_daemon *daemon, int fd, event_callback_fn on_read, event_callback_fn on_write, void *context)
{
    struct event_base *base = mid_daemon_inside(daemon).base;
    mid_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        close(fd);
        return NULL;
    }
    client->daemon = daemon;
    client->fd = fd;
    client->out = evbuffer_new();
    client->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_read, context);
    client->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_write, context);
    if (client->out != NULL && client->readable != NULL && client->writable != NULL && event_add(client->readable, NULL) == 0)
        return client;
    mid_client_free(client);
    return NULL;
}

void mid_client_free(mid_client *client)
{
    struct event_base *base = mid_daemon_inside(client->daemon).base;
    mid_event_free(base, client->readable);
    mid_event_free(base, client->writable);
    if (client->out != NULL)
        evbuffer_free(client->out);
    close(client->fd);
    free(client);
}

bool mid_client_ready(const mid_client *client)
{
    return !client->waits && evbuffer_get_length(client->out) <= MID_UNSENT_MOST && mid_inbox_ready(&client->inbox);
}

/* Its end may come behind its last request, as a pipe's does: that is answered. */
bool mid_client_read(mid_client *client)
{
    char bytes[1024];
    if (mid_inbox_ready(&client->inbox))
        return true;
    size_t room = client->inbox.skipping ? sizeof bytes : sizeof client->inbox.bytes - client->inbox.length;
    ssize_t got = recv(client->fd, bytes, room < sizeof bytes ? room : sizeof bytes, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        client->ended = true;
    mid_inbox_take(&client->inbox, bytes, (size_t)got);
    return true;
}

bool mid_client_answer(mid_client *client, json_t *answer)
{
    char *line = answer == NULL ? NULL : json_dumps(answer, JSON_PRESERVE_ORDER);
    json_decref(answer);
    if (line == NULL)
        return evbuffer_add(client->out, no_memory, sizeof no_memory - 1) == 0;
    size_t length = strlen(line);
    line[length] = '\n'; /* in place of the zero */
    int failed = length >= MID_ANSWER_MOST ? evbuffer_add(client->out, too_long, sizeof too_long - 1)
                                           : evbuffer_add(client->out, line, length + 1);
    free(line);
    return failed == 0;
}

static bool flush(mid_client *client)
{
    struct evbuffer_iovec piece;
    while (evbuffer_peek(client->out, -1, NULL, &piece, 1) > 0) {
        ssize_t sent = send(client->fd, piece.iov_base, piece.iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        evbuffer_drain(client->out, (size_t)sent);
    }
    return true;
}

static bool watch(struct event *event, bool on)
{
    return on ? event_add(event, NULL) == 0 : event_del(event) == 0;
}

bool mid_client_send(mid_client *client)
{
    if (!flush(client))
        return false;
    size_t unsent = evbuffer_get_length(client->out);
    bool idle = unsent == 0 && !client->waits && !mid_inbox_ready(&client->inbox);
    if (client->ended && idle)
        return false;
    bool listens = !client->ended && !client->waits && unsent <= MID_UNSENT_MOST && !mid_inbox_ready(&client->inbox);
    return watch(client->readable, listens) && watch(client->writable, unsent != 0);
}
