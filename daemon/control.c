/* daemon/control.c: the control socket: who is connected, whose turn it is, what is answered.
 *
 * FAIRNESS. In one iteration of the loop each connection has at most one request answered; the others wait for the next, in which
 * the daemon's own timer and eventfd have had their turn. Answers are bounded, and nothing here waits: not for a client, not for
 * the program. What takes longer than an answer is a goal, which the daemon's turns work on.
 *
 * PLACES. There are 64. When one more comes, who has been silent for longest and waits for nothing makes room: idle connections, and
 * those that never read, cost no timer and keep nobody out. */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/reply.h"
#include "daemon/client.h"
#include "daemon/endpoint.h"
#include "daemon/loop.h"
#include "midden/collector.h"
#include "midden/stats.h"

#define PLACES 64
#define ACCEPT_MOST 8 /* at a time */

struct mid_control {
    mid_daemon *daemon;
    mid_endpoint at;
    struct event *accepting, *again; /* again: requests are left from this iteration, or accept failed */
    mid_client *clients[PLACES];
    int fds[PLACES];    /* theirs, for a fork in the midst of anything; -1 */
    unsigned next;      /* of those who wait for goals, the first to be looked at */
    int asker;          /* whose goal is worked on; -1: nobody's, any more */
    uint64_t time;      /* counts requests and connections */
    bool busy;          /* atomic: in a callback */
    bool lost;          /* in the child of a fork */
    mid_control *left;  /* the one left alone before this one */
};

static const struct timeval at_once = {0, 0}, a_second = {1, 0};

/* --- places ------------------------------------------------------------------------------------------------------------ */

static void drop(mid_control *c, unsigned place)
{
    __atomic_store_n(&c->fds[place], -1, __ATOMIC_RELAXED);
    mid_client_free(c->clients[place]);
    c->clients[place] = NULL;
    if (c->asker == (int)place)
        c->asker = -1; /* the goal is pursued all the same: half a pass is no use to anybody */
}

static int free_place(mid_control *c)
{
    int oldest = -1;
    for (int i = 0; i < PLACES; i++) {
        if (c->clients[i] == NULL)
            return i;
        if (!c->clients[i]->waits && (oldest < 0 || c->clients[i]->heard < c->clients[oldest]->heard))
            oldest = i;
    }
    if (oldest >= 0)
        drop(c, (unsigned)oldest);
    return oldest;
}

static int place_of(const mid_control *c, evutil_socket_t fd)
{
    for (int i = 0; i < PLACES; i++)
        if (c->clients[i] != NULL && c->fds[i] == fd)
            return i;
    return -1;
}

/* --- goals ------------------------------------------------------------------------------------------------------------- */

static mid_action goal_of(mid_request_kind kind)
{
    switch (kind) {
    case MID_ASK_FOR_COLLECT:
        return MID_ACT_COLLECT;
    case MID_ASK_FOR_COMPACT:
        return MID_ACT_COMPACT;
    case MID_ASK_FOR_DEEP:
        return MID_ACT_DEEP;
    case MID_ASK_FOR_TRIM:
        return MID_ACT_TRIM;
    default:
        return MID_ACT_NONE;
    }
}

static uint64_t committed(mid_heap *heap)
{
    mid_stats now = {0};
    mid_stats_get(heap, &now, sizeof now);
    return now.committed_bytes;
}

/* If nothing is pursued, the next who waits has his. In turn, so that nobody asks the others away. */
static void begin_next(mid_control *c)
{
    mid_inside in = mid_daemon_inside(c->daemon);
    for (unsigned i = 0; i < PLACES && in.goal->action == MID_ACT_NONE; i++) {
        unsigned place = (c->next + i) % PLACES;
        if (c->clients[place] == NULL || !c->clients[place]->waits)
            continue;
        mid_goal_begin(in.goal, goal_of(c->clients[place]->request.kind), committed(in.heap));
        c->asker = (int)place;
        c->next = place + 1;
        mid_daemon_kick(c->daemon);
    }
}

static void go_on(mid_control *c, unsigned place);

void mid_control_reached(mid_control *c)
{
    const char *argument, *meaning;
    mid_inside in = mid_daemon_inside(c->daemon);
    int asker = c->asker;
    __atomic_store_n(&c->busy, true, __ATOMIC_RELAXED);
    mid_goal reached = *in.goal;
    *in.goal = (mid_goal){.action = MID_ACT_NONE};
    c->asker = -1;
    if (asker >= 0) {
        mid_client *client = c->clients[asker];
        const char *word = mid_request_word(client->request.kind, &argument, &meaning);
        client->waits = false;
        if (mid_client_answer(client, mid_reply_goal(word, &reached, committed(in.heap))))
            go_on(c, (unsigned)asker);
        else
            drop(c, (unsigned)asker);
    }
    begin_next(c);
    __atomic_store_n(&c->busy, false, __ATOMIC_RELAXED);
}

/* --- requests ---------------------------------------------------------------------------------------------------------- */

/* Thresholds are the heap's as well: it collects by itself, and the program may ask for them. */
static json_t *tell_heap(mid_heap *heap, const mid_options *o, json_t *reply)
{
    mid_thresholds t = {.struct_size = sizeof t};
    if (mid_thresholds_get(heap, &t) == MID_OK) {
        bool changed = t.growth_min != o->growth_min || t.growth != o->growth || t.collect_stop != o->collect_stop;
        t.growth_min = o->growth_min;
        t.growth = o->growth;
        t.collect_stop = o->collect_stop;
        if (changed)
            mid_thresholds_set(heap, &t);
    }
    return reply;
}

static json_t *answer(mid_control *c, const mid_request *request)
{
    mid_inside in = mid_daemon_inside(c->daemon);
    switch (request->kind) {
    case MID_ASK_STATS:
        return mid_reply_stats(in.heap, c->daemon);
    case MID_ASK_LOG:
        return mid_reply_log(c->daemon, request->count);
    case MID_ASK_SET:
        mid_daemon_kick(c->daemon); /* it may decide otherwise now */
        return tell_heap(in.heap, in.options, mid_reply_set(in.options, request->argument));
    case MID_ASK_DUMP:
        return mid_reply_dump(in.heap);
    case MID_ASK_TRACE:
        return mid_reply_trace(in.heap, in.options->stop_wait, request->argument);
    default:
        return mid_reply_help(in.options);
    }
}

/* Who holds borrowed handles over a safepoint may do so for as long as the program has not chosen deep compaction. */
static bool may_have(mid_control *c, const mid_request *request)
{
    return request->kind != MID_ASK_FOR_DEEP || mid_daemon_inside(c->daemon).options->deep != MID_DEEP_OFF;
}

/* False: the client is to be ended. */
static bool work_on(mid_control *c, mid_client *client)
{
    mid_status status = MID_OK;
    const char *what = NULL;
    if (!mid_inbox_next(&client->inbox, &client->request, &status, &what))
        return true;
    client->heard = ++c->time;
    if (status != MID_OK)
        return mid_client_answer(client, mid_reply_error(status, what));
    if (goal_of(client->request.kind) == MID_ACT_NONE)
        return mid_client_answer(client, answer(c, &client->request));
    if (!may_have(c, &client->request))
        return mid_client_answer(client, mid_reply_error(MID_EINVAL, "the program has not chosen deep compaction (the option deep)"));
    client->waits = true;
    return true;
}

/* After anything that happened to a client: send, watch, and have the rest done in the next iteration. */
static void go_on(mid_control *c, unsigned place)
{
    mid_client *client = c->clients[place];
    if (!mid_client_send(client))
        drop(c, place);
    else if (mid_client_ready(client))
        event_add(c->again, &at_once);
}

static void serve(mid_control *c, unsigned place)
{
    mid_client *client = c->clients[place];
    if (mid_client_ready(client) && !work_on(c, client)) {
        drop(c, place);
        return;
    }
    go_on(c, place);
    begin_next(c);
}

/* --- events ------------------------------------------------------------------------------------------------------------ */

/* In a forked child that runs the parent's base nothing is done. */
static bool enter(mid_control *c)
{
    __atomic_store_n(&c->busy, !c->lost, __ATOMIC_RELAXED);
    return !c->lost;
}

static void leave(mid_control *c)
{
    __atomic_store_n(&c->busy, false, __ATOMIC_RELAXED);
}

static void on_read(evutil_socket_t fd, short what, void *context)
{
    mid_control *c = context;
    int place = place_of(c, fd);
    (void)what;
    if (place < 0 || !enter(c))
        return;
    if (mid_client_read(c->clients[place]))
        serve(c, (unsigned)place);
    else
        drop(c, (unsigned)place);
    leave(c);
}

static void on_write(evutil_socket_t fd, short what, void *context)
{
    mid_control *c = context;
    int place = place_of(c, fd);
    (void)what;
    if (place < 0 || !enter(c))
        return;
    go_on(c, (unsigned)place);
    leave(c);
}

static void take_in(mid_control *c, int fd)
{
    int place = free_place(c);
    if (place < 0) { /* all wait for an answer */
        close(fd);
        return;
    }
    mid_client *client = mid_client_new(c->daemon, fd, on_read, on_write, c);
    if (client == NULL)
        return;
    client->heard = ++c->time;
    c->clients[place] = client;
    __atomic_store_n(&c->fds[place], fd, __ATOMIC_RELAXED);
}

/* Without descriptors or memory the connection that waits would call again and again: look away for a second. */
static void on_accept(evutil_socket_t fd, short what, void *context)
{
    mid_control *c = context;
    (void)fd, (void)what;
    if (!enter(c))
        return;
    for (int i = 0; i < ACCEPT_MOST; i++) {
        int taken = mid_endpoint_accept(&c->at);
        if (taken >= 0) {
            take_in(c, taken);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            event_del(c->accepting);
            if (!event_pending(c->again, EV_TIMEOUT, NULL))
                event_add(c->again, &a_second);
            break;
        } else if (errno == EAGAIN) {
            break;
        }
    }
    leave(c);
}

static void on_again(evutil_socket_t fd, short what, void *context)
{
    mid_control *c = context;
    (void)fd, (void)what;
    if (!enter(c))
        return;
    if (!event_pending(c->accepting, EV_READ, NULL))
        event_add(c->accepting, NULL);
    for (unsigned i = 0; i < PLACES; i++)
        if (c->clients[i] != NULL && mid_client_ready(c->clients[i]))
            serve(c, i);
    leave(c);
}

/* --- beginning and end --------------------------------------------------------------------------------------------------- */

void mid_control_discard(mid_control *c)
{
    static mid_control *left_alone; /* reachable, so that it does not pass for a leak */
    if (c == NULL)
        return;
    if (c->lost && c->busy) { /* half done, by a thread that is not there */
        c->left = left_alone;
        left_alone = c;
        return;
    }
    for (unsigned i = 0; i < PLACES; i++)
        if (c->clients[i] != NULL)
            drop(c, i);
    mid_event_free(mid_daemon_inside(c->daemon).base, c->accepting);
    mid_event_free(mid_daemon_inside(c->daemon).base, c->again);
    mid_endpoint_close(&c->at, !c->lost);
    free(c);
}

/* The descriptors are the parent's too, and so is the epoll set they are in: nothing of libevent may be called, and closed numbers
 * would be given to other files. Each gets something in its place at which nothing happens. */
void mid_control_forked(mid_control *c)
{
    if (c == NULL)
        return;
    int still = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->lost = true;
    for (unsigned i = 0; i <= PLACES; i++) {
        int fd = i < PLACES ? c->fds[i] : c->at.fd;
        if (fd >= 0 && (still < 0 || dup3(still, fd, O_CLOEXEC) < 0))
            close(fd);
    }
    if (still >= 0)
        close(still);
}

typedef struct opening {
    mid_daemon *daemon;
    const char *path;
} opening;

static mid_status open_in(const mid_inside *in, mid_control *c)
{
    c->accepting = event_new(in->base, c->at.fd, EV_READ | EV_PERSIST, on_accept, c);
    c->again = evtimer_new(in->base, on_again, c);
    if (c->accepting == NULL || c->again == NULL)
        return MID_ENOMEM;
    return event_add(c->accepting, NULL) == 0 ? MID_OK : MID_ESYSTEM;
}

static mid_status open_here(void *context)
{
    const opening *o = context;
    mid_inside in = mid_daemon_inside(o->daemon);
    if (*in.control != NULL)
        return MID_EINVAL;
    mid_control *c = calloc(1, sizeof *c);
    if (c == NULL)
        return MID_ENOMEM;
    c->daemon = o->daemon;
    c->asker = -1;
    for (unsigned i = 0; i < PLACES; i++)
        c->fds[i] = -1;
    mid_status status = mid_endpoint_open(&c->at, o->path);
    if (status != MID_OK) {
        free(c);
        return status;
    }
    status = open_in(&in, c);
    if (status == MID_OK)
        *in.control = c;
    else
        mid_control_discard(c);
    return status;
}

mid_status mid_control_listen(mid_daemon *daemon, const char *path)
{
    opening o = {.daemon = daemon, .path = path};
    return daemon == NULL || path == NULL ? MID_ENULL : mid_daemon_on_loop(daemon, open_here, &o);
}

static mid_status close_here(void *context)
{
    mid_inside in = mid_daemon_inside(context);
    if (*in.control == NULL)
        return MID_EINVAL;
    mid_control_discard(*in.control);
    *in.control = NULL;
    *in.goal = (mid_goal){.action = MID_ACT_NONE};
    return MID_OK;
}

mid_status mid_control_close(mid_daemon *daemon)
{
    return daemon == NULL ? MID_ENULL : mid_daemon_on_loop(daemon, close_here, daemon);
}
