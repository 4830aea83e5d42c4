/* daemon/http.c: evhttp on the daemon's loop: who gets in, how many at a time, and the end of it (midden/http.h).
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
#include <event2/listener.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
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
    mid_http *left; /* the one abandoned before this one */
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

/* Whose a listener is, since its error callback is told evhttp's context and not ours. Entered, found and taken out on the thread of
 * the listener's loop; others only compare. */
static struct owner {
    struct evconnlistener *listener; /* atomic */
    mid_http *http;
} owners[256];

static struct owner *owner_of(const struct evconnlistener *listener)
{
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        if (__atomic_load_n(&owners[i].listener, __ATOMIC_RELAXED) == listener)
            return &owners[i];
    return NULL;
}

static bool enter(mid_http *http)
{
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        struct evconnlistener *nobody = NULL;
        if (!__atomic_compare_exchange_n(&owners[i].listener, &nobody, http->listener, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        owners[i].http = http;
        return true;
    }
    errno = EMFILE;
    return false;
}

static void take_out(mid_http *http)
{
    struct owner *owner = http->listener == NULL ? NULL : owner_of(http->listener);
    if (owner != NULL)
        __atomic_store_n(&owner->listener, NULL, __ATOMIC_RELEASE);
}

/* No descriptor is left, say: try again with the next tick, and not in a circle. */
static void on_refusal(struct evconnlistener *listener, void *context)
{
    const struct timeval second = {1, 0};
    struct owner *owner = owner_of(listener);
    (void)context;
    evconnlistener_disable(listener);
    if (owner != NULL)
        event_add(owner->http->tick, &second);
}

static void renew(mid_http *http, struct evhttp_request *request)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct bufferevent *bev = connection == NULL ? NULL : evhttp_connection_get_bufferevent(connection);
    for (unsigned i = 0; i < SEATS && bev != NULL; i++)
        if (http->seats[i].bev == bev)
            http->seats[i].since = mid_daemon_clock();
}

static void on_request(struct evhttp_request *request, void *context)
{
    mid_http *http = context;
    const mid_view view = {.daemon = http->daemon, .heap = mid_daemon_inside(http->daemon).heap, .history = &http->history};
    renew(http, request);
    mid_http_answer(&view, request);
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
    struct evhttp_bound_socket *socket = evhttp_accept_socket_with_handle(http->server, http->bound.at.fd);
    if (socket == NULL)
        return false;
    http->listener = evhttp_bound_socket_get_listener(socket);
    if (!enter(http))
        return false;
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
    take_out(http);
    sweep(http);
    if (http->pid != getpid())
        spare_parents(http);
    if (http->server != NULL)
        evhttp_free(http->server);
    if (http->listener != NULL)
        http->bound.at.fd = -1; /* closed with it */
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
    mid_endpoint_close(&http->bound.at, http->pid == getpid());
    free(http);
}

void mid_http_abandon(mid_http *http)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static mid_http *abandoned; /* reachable, so that it does not pass for a leak */
    take_out(http);
    for (unsigned i = 0; i < SEATS; i++)
        if (http->seats[i].bev != NULL && bufferevent_getfd(http->seats[i].bev) >= 0)
            close(bufferevent_getfd(http->seats[i].bev));
    mid_endpoint_close(&http->bound.at, http->pid == getpid());
    pthread_mutex_lock(&lock);
    http->left = abandoned;
    abandoned = http;
    pthread_mutex_unlock(&lock);
}

void mid_http_look(mid_http *http, const mid_snapshot *now, mid_pressure_level level, uint64_t clock)
{
    mid_history_add(&http->history, now, level, clock);
}

/* --- the public calls ------------------------------------------------------------------------------------------------ */

static mid_status begin(void *context)
{
    mid_http *http = context;
    mid_http **place = mid_daemon_inside(http->daemon).http;
    if (*place != NULL)
        return MID_EBUSY;
    if (!open_server(http, mid_daemon_inside(http->daemon).base)) {
        close_server(http); /* on this thread: the rest may be closed anywhere */
        return MID_ESYSTEM;
    }
    *place = http;
    return MID_OK;
}

static mid_status end(void *context)
{
    mid_http **place = mid_daemon_inside(context).http;
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
    if (mid_daemon_inside(daemon).guest && pipe_would_kill())
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
