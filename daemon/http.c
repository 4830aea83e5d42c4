/* daemon/http.c: evhttp on the daemon's loop: who is answered, with what, and how many at a time (midden/http.h).
 *
 * SEATS. evhttp bounds neither the number of connections nor how long one may take over a request as long as a byte comes now
 * and then, and does not say when one has ended. So each connection's bufferevent is made here and held a second time, on one of
 * SEATS seats. evhttp takes its callbacks off one it lets go of; that is how a seat is known to be free. Only then is the descriptor
 * closed: its events are the bufferevent's, and a base must not be left with events of a descriptor that is another's by now. While
 * all are taken the listener is off, and who comes waits in the queue of the kernel. Once a second, while anybody is seated, seats are swept: who has
 * had no answer for PATIENCE is shut down, and evhttp then finds its end. Nobody there: no timer. */
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/http.h"
#include "midden/http.h"

#define SEATS 16u
#define PATIENCE 10000000u /* microseconds */
#define SILENCE 5          /* seconds without a byte either way */
#define HEADERS_MOST 8192
#define BODY_MOST 1024     /* none is wanted */
#define UNREAD_MOST 32768
#define NONCE_BYTES 16u

typedef struct seat {
    struct bufferevent *bev; /* null: free */
    uint64_t since;
} seat;

struct mid_http {
    mid_daemon *daemon;
    struct evhttp *server;
    struct evconnlistener *listener;
    struct event *tick;
    mid_bound bound;
    pid_t pid; /* whose it is: not a child's */
    seat seats[SEATS];
    mid_history history;
};

/* --- seats --------------------------------------------------------------------------------------------------------- */

/* Seats that are taken. */
static unsigned sweep(mid_http *http)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < SEATS; i++) {
        seat *s = &http->seats[i];
        bufferevent_event_cb on_event = NULL;
        if (s->bev != NULL)
            bufferevent_getcb(s->bev, NULL, NULL, &on_event, NULL);
        if (s->bev != NULL && on_event == NULL) {
            bufferevent_decref(s->bev);
            s->bev = NULL;
        }
        taken += s->bev != NULL;
    }
    return taken;
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    mid_http *http = context;
    const struct timeval second = {1, 0};
    uint64_t now = mid_daemon_clock();
    (void)fd, (void)what;
    unsigned taken = sweep(http);
    for (unsigned i = 0; i < SEATS; i++)
        if (http->seats[i].bev != NULL && now - http->seats[i].since > PATIENCE)
            shutdown(bufferevent_getfd(http->seats[i].bev), SHUT_RDWR);
    if (taken < SEATS)
        evconnlistener_enable(http->listener);
    if (taken != 0)
        event_add(http->tick, &second);
}

/* A connection has been accepted. */
static struct bufferevent *on_guest(struct event_base *base, void *context)
{
    mid_http *http = context;
    const struct timeval second = {1, 0};
    unsigned taken = sweep(http);
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    for (unsigned i = 0; i < SEATS && bev != NULL; i++)
        if (http->seats[i].bev == NULL) {
            bufferevent_incref(bev);
            bufferevent_setwatermark(bev, EV_READ, 0, UNREAD_MOST); /* it goes on reading until its seat is swept */
            http->seats[i] = (seat){bev, mid_daemon_clock()};
            break;
        }
    if (taken + 1 >= SEATS)
        evconnlistener_disable(http->listener);
    if (!event_pending(http->tick, EV_TIMEOUT, NULL))
        event_add(http->tick, &second);
    return bev;
}

/* No descriptor is left, say: try again with the next tick, and not in a circle. */
static void on_refusal(struct evconnlistener *listener, void *context)
{
    mid_http *http = context;
    const struct timeval second = {1, 0};
    evconnlistener_disable(listener);
    event_add(http->tick, &second);
}

static void renew(mid_http *http, struct evhttp_request *request)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct bufferevent *bev = connection == NULL ? NULL : evhttp_connection_get_bufferevent(connection);
    for (unsigned i = 0; i < SEATS && bev != NULL; i++)
        if (http->seats[i].bev == bev)
            http->seats[i].since = mid_daemon_clock();
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

/* A page from elsewhere whose name has been made to mean this machine (DNS rebinding) still names itself. */
static bool names_us(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (evutil_ascii_strncasecmp(host, names[i], length) != 0)
            continue;
        const char *rest = host + length;
        if (*rest == 0)
            return true;
        return *rest == ':' && rest[1] != 0 && strspn(rest + 1, "0123456789") == strlen(rest + 1);
    }
    return false;
}

static bool host_is_ours(struct evhttp_request *request)
{
    const struct evkeyval *header;
    const char *in_uri = evhttp_uri_get_host(evhttp_request_get_evhttp_uri(request));
    unsigned hosts = 0;
    TAILQ_FOREACH(header, evhttp_request_get_input_headers(request), next)
    {
        if (evutil_ascii_strcasecmp(header->key, "Host") != 0)
            continue;
        hosts++;
        if (!names_us(header->value))
            return false;
    }
    return hosts == 1 && (in_uri == NULL || names_us(in_uri));
}

static void add_headers(struct evhttp_request *request, const char *type, const char *policy)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Content-Security-Policy", policy);
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Cross-Origin-Resource-Policy", "same-origin");
    evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
    evhttp_add_header(headers, "Cache-Control", "no-store");
}

#define NOTHING_ELSE "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

static void refuse(struct evhttp_request *request, int code, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    add_headers(request, "text/plain; charset=utf-8", NOTHING_ELSE);
    if (body != NULL)
        evbuffer_add_printf(body, "%s\n", text);
    evhttp_send_reply(request, code, text, body);
    if (body != NULL)
        evbuffer_free(body);
}

static void make_nonce(char into[2 * NONCE_BYTES + 1])
{
    unsigned char bytes[NONCE_BYTES];
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != sizeof bytes)
        evutil_secure_rng_get_bytes(bytes, sizeof bytes);
    for (unsigned i = 0; i < NONCE_BYTES; i++)
        evutil_snprintf(into + 2 * i, 3, "%02x", bytes[i]);
}

static const struct path {
    const char *path, *type;
    mid_view_fn *view;
} paths[] = {
    {"/", "text/html; charset=utf-8", mid_view_page},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", mid_view_metrics},
    {"/heap.json", "application/json", mid_view_heap},
    {"/log.json", "application/json", mid_view_log},
    {"/trace.json", "application/json", mid_view_trace},
};

static void answer(mid_http *http, struct evhttp_request *request, const struct path *path)
{
    char nonce[2 * NONCE_BYTES + 1], policy[300], length[24];
    make_nonce(nonce);
    const mid_view view = {http->daemon, mid_daemon_heap(http->daemon), &http->history, nonce};
    struct evbuffer *body = evbuffer_new();
    if (body == NULL || !path->view(&view, body)) {
        if (body != NULL)
            evbuffer_free(body);
        refuse(request, 503, "No memory");
        return;
    }
    evutil_snprintf(policy, sizeof policy,
                    NOTHING_ELSE "; connect-src 'self'; img-src data:; script-src 'nonce-%s'; style-src 'nonce-%s'", nonce, nonce);
    add_headers(request, path->type, path->view == mid_view_page ? policy : NOTHING_ELSE);
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
        evutil_snprintf(length, sizeof length, "%zu", evbuffer_get_length(body));
        evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Length", length);
        evbuffer_drain(body, evbuffer_get_length(body));
    }
    evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

static void on_request(struct evhttp_request *request, void *context)
{
    mid_http *http = context;
    const struct path *found = NULL;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    renew(http, request);
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
        if (path != NULL && strcmp(paths[i].path, path) == 0)
            found = &paths[i];
    if (!host_is_ours(request)) {
        refuse(request, 403, "Host is not of this machine");
    } else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
        refuse(request, 405, "Method not allowed");
    } else if (found == NULL) {
        refuse(request, 404, "Not found");
    } else {
        answer(http, request, found);
    }
}

/* --- begin and end --------------------------------------------------------------------------------------------------- */

static bool open_server(mid_http *http, struct event_base *base)
{
    http->server = evhttp_new(base);
    http->tick = evtimer_new(base, on_tick, http);
    if (http->server == NULL || http->tick == NULL)
        return false;
    evhttp_set_max_headers_size(http->server, HEADERS_MOST);
    evhttp_set_max_body_size(http->server, BODY_MOST);
    evhttp_set_timeout(http->server, SILENCE);
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                                 EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
    evhttp_set_bevcb(http->server, on_guest, http);
    evhttp_set_gencb(http->server, on_request, http);
    struct evhttp_bound_socket *socket = evhttp_accept_socket_with_handle(http->server, http->bound.fd);
    if (socket == NULL)
        return false;
    http->listener = evhttp_bound_socket_get_listener(socket);
    evconnlistener_set_error_cb(http->listener, on_refusal);
    return true;
}

/* evhttp shuts down what it closes. In a child these are the parent's connections: a socket of nobody's takes their place first. */
static void spare_parents(mid_http *http)
{
    int nothing = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (unsigned i = 0; i < SEATS && nothing >= 0; i++)
        if (http->seats[i].bev != NULL)
            dup3(nothing, bufferevent_getfd(http->seats[i].bev), O_CLOEXEC);
    if (nothing >= 0)
        close(nothing);
}

static void close_server(mid_http *http)
{
    sweep(http);
    if (http->pid != getpid())
        spare_parents(http);
    if (http->server != NULL)
        evhttp_free(http->server);
    if (http->listener != NULL)
        http->bound.fd = -1; /* closed with it */
    sweep(http);
    if (http->tick != NULL)
        event_free(http->tick);
    http->server = NULL;
    http->listener = NULL;
    http->tick = NULL;
}

void mid_http_close(mid_http *http)
{
    close_server(http);
    mid_http_unbind(&http->bound, http->pid == getpid());
    free(http);
}

void mid_http_look(mid_http *http, const mid_snapshot *now, uint64_t clock)
{
    mid_history_add(&http->history, now, clock);
}

/* --- the public calls ------------------------------------------------------------------------------------------------ */

static mid_status begin(void *context)
{
    mid_http *http = context;
    mid_http **place = mid_daemon_http(http->daemon);
    if (*place != NULL)
        return MID_EBUSY;
    if (!open_server(http, mid_daemon_base(http->daemon))) {
        close_server(http); /* on this thread: the rest may be closed anywhere */
        return MID_ESYSTEM;
    }
    *place = http;
    return MID_OK;
}

static mid_status end(void *context)
{
    mid_http **place = mid_daemon_http(context);
    if (*place == NULL)
        return MID_EINVAL;
    mid_http_close(*place);
    *place = NULL;
    return MID_OK;
}

/* On its own thread the daemon has every signal blocked. On another's, to write to who has gone would end the program. */
static bool pipe_would_kill(void)
{
    struct sigaction pipe;
    sigset_t blocked;
    return sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL &&
           (pthread_sigmask(SIG_SETMASK, NULL, &blocked) != 0 || !sigismember(&blocked, SIGPIPE));
}

mid_status mid_http_listen(mid_daemon *daemon, const char *address, uint16_t *port)
{
    if (daemon == NULL || address == NULL)
        return MID_ENULL;
    if (mid_daemon_is_guest(daemon) && pipe_would_kill())
        return MID_EINVAL;
    mid_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return MID_ESYSTEM;
    *http = (mid_http){.daemon = daemon, .pid = getpid()};
    mid_status status = mid_http_bind(address, &http->bound);
    uint16_t bound = http->bound.port;
    if (status == MID_OK)
        status = mid_daemon_on_loop(daemon, begin, http);
    if (status != MID_OK) {
        int error = errno;
        mid_http_close(http);
        errno = error;
    } else if (port != NULL) {
        *port = bound;
    }
    return status;
}

mid_status mid_http_stop(mid_daemon *daemon)
{
    return daemon == NULL ? MID_ENULL : mid_daemon_on_loop(daemon, end, daemon);
}
