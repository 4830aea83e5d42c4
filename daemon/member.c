/* daemon/member.c: join, say what is needed, hear the limit, and try again when the other end is gone.
 *
 *     APART --path can be connected to--> JOINED      (else a pause, twice as long each time)
 *     JOINED --end, error, or nonsense--> APART       (the limit stays)
 *
 * One timer: while apart, for the next try; while joined, for the end of a rest. After a line was heard nobody listens for a moment, or for
 * seconds if the heap is idle, so that what happens in other heaps does not wake this one; and lines are said at most a few times a
 * second. Without anything heard or owed the timer is not set. */
#include "daemon/member.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/tell.h"

#define PAUSE_LEAST 2u /* seconds */
#define PAUSE_MOST 64u
#define SAY_MICROS 200000u

static const struct timeval a_rest = {.tv_usec = SAY_MICROS}, an_idle_rest = {.tv_sec = 3};

struct mid_member {
    mid_daemon *daemon;
    mid_log *log;
    struct event_base *base;
    struct sockaddr_un at;
    int fd; /* atomic, for the handler of forks; -1: apart */
    struct event *readable, *writable, *timer;
    bool lost;      /* in the child of a fork, until its own loop runs */
    unsigned pause; /* before the next try */
    mid_line_in in;
    mid_line_out out;
    bool idle, owes, ever; /* as last seen; a line that had to wait; the log was told how it is */
    bool said_any;
    mid_need said;
    uint64_t said_at;
    uint64_t limit; /* 0: none */
    uint64_t *told; /* atomic; the same, for anybody */
};

/* --- apart --------------------------------------------------------------------------------------------------------- */

static void note(mid_member *m, const char *what)
{
    mid_log_note(m->log, MID_WHY_LIMIT, mid_daemon_clock(), "balance, %s: %s", what, m->at.sun_path);
    m->ever = true;
}

static void hang_up(mid_member *m)
{
    int fd = m->fd;
    mid_event_free(mid_daemon_inside(m->daemon).base, m->readable);
    mid_event_free(mid_daemon_inside(m->daemon).base, m->writable);
    m->readable = m->writable = NULL;
    __atomic_store_n(&m->fd, -1, __ATOMIC_RELAXED);
    if (fd >= 0)
        close(fd);
}

static void try_later(mid_member *m)
{
    struct timeval pause = {.tv_sec = m->pause};
    m->pause = m->pause * 2 < PAUSE_MOST ? m->pause * 2 : PAUSE_MOST;
    event_add(m->timer, &pause);
}

static void part(mid_member *m, const char *why)
{
    hang_up(m);
    note(m, why);
    try_later(m);
}

/* Limits are taken of oneself and of root: a path that others can write to may be anybody's. */
static bool trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0 || (errno = EACCES, false));
}

/* --- joined -------------------------------------------------------------------------------------------------------- */

static bool on_line(void *context, const char *line)
{
    mid_member *m = context;
    uint64_t limit;
    if (!mid_tell_read_limit(line, &limit) || limit == 0)
        return false;
    if (limit != m->limit)
        mid_daemon_kick(m->daemon);
    m->limit = limit;
    __atomic_store_n(m->told, limit, __ATOMIC_RELAXED);
    m->pause = PAUSE_LEAST;
    return true;
}

static void on_read(evutil_socket_t fd, short what, void *context)
{
    mid_member *m = context;
    (void)what;
    if (m->lost)
        return;
    if (mid_tell_hear(&m->in, fd, on_line, m))
        event_add(m->timer, m->idle ? &an_idle_rest : &a_rest); /* and then it is listened to again */
    else
        part(m, "lost");
}

static void send_on(mid_member *m)
{
    if (!mid_tell_send(&m->out, m->fd) || (!mid_tell_silent(&m->out) && event_add(m->writable, NULL) != 0))
        part(m, "lost");
}

static void on_write(evutil_socket_t fd, short what, void *context)
{
    mid_member *m = context;
    (void)fd, (void)what;
    if (!m->lost)
        send_on(m);
}

static void join(mid_member *m)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool there = fd >= 0 && connect(fd, (struct sockaddr *)&m->at, sizeof m->at) == 0 && trusted(fd);
    __atomic_store_n(&m->fd, fd, __ATOMIC_RELAXED);
    if (there) {
        m->readable = event_new(m->base, fd, EV_READ, on_read, m);
        m->writable = event_new(m->base, fd, EV_WRITE, on_write, m);
        there = m->readable != NULL && m->writable != NULL && event_add(m->readable, NULL) == 0;
    }
    if (!there) {
        int error = errno;
        hang_up(m);
        if (!m->ever)
            note(m, strerror(error));
        try_later(m);
        return;
    }
    m->in.length = m->out.length = m->out.sent = 0;
    m->said_any = false;
    note(m, "joined");
    mid_daemon_kick(m->daemon); /* the look says what is needed */
}

/* A rest need not be over for a line that is owed: it was a shorter one then. */
static void on_timer(evutil_socket_t fd, short what, void *context)
{
    mid_member *m = context;
    (void)fd, (void)what;
    if (m->lost)
        return;
    if (m->fd < 0) {
        join(m);
        return;
    }
    event_add(m->readable, NULL);
    if (m->owes)
        mid_daemon_kick(m->daemon);
    m->owes = false;
}

/* --- looks --------------------------------------------------------------------------------------------------------- */

static void say(mid_member *m, const mid_need *need, uint64_t now)
{
    bool early = m->said_any && now - m->said_at < SAY_MICROS;
    if (m->said_any && !mid_need_changed(need, &m->said))
        return;
    if (early || !mid_tell_silent(&m->out)) {
        m->owes = true;
        if (!event_pending(m->timer, EV_TIMEOUT, NULL))
            event_add(m->timer, &a_rest);
        return;
    }
    m->said = *need;
    m->said_at = now;
    m->said_any = true;
    mid_tell_need(&m->out, need);
    send_on(m);
}

void mid_member_say(mid_member *m, const mid_need *need, bool idle, uint64_t now)
{
    if (m == NULL || m->lost)
        return;
    m->idle = idle;
    if (m->fd >= 0)
        say(m, need, now);
}

uint64_t mid_member_limit(const mid_member *m, const mid_need *need)
{
    if (m == NULL || m->limit == 0)
        return 0;
    uint64_t least = mid_need_least(need);
    return m->limit > least ? m->limit : least;
}

/* --- beginning and end --------------------------------------------------------------------------------------------- */

void mid_member_open(mid_member *m, struct event_base *base)
{
    const struct timeval at_once = {0, 0};
    if (m == NULL)
        return;
    m->base = base;
    m->lost = false;
    m->pause = PAUSE_LEAST;
    m->timer = evtimer_new(base, on_timer, m);
    if (m->timer == NULL || event_add(m->timer, &at_once) != 0)
        note(m, "not joined, for want of memory");
}

void mid_member_close(mid_member *m)
{
    if (m == NULL)
        return;
    hang_up(m);
    mid_event_free(mid_daemon_inside(m->daemon).base, m->timer);
    m->timer = NULL;
}

void mid_member_free(mid_member *m)
{
    mid_member_close(m);
    free(m);
}

/* The connection is the parent's, and so is the epoll set it is in: as in mid_control_forked. */
void mid_member_forked(mid_member *m)
{
    if (m == NULL)
        return;
    int fd = m->fd, still = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->lost = true;
    if (fd >= 0 && (still < 0 || dup3(still, fd, O_CLOEXEC) < 0))
        close(fd);
    if (still >= 0)
        close(still);
}

typedef struct joining {
    mid_daemon *daemon;
    const char *path;
} joining;

static mid_status join_here(void *context)
{
    const joining *j = context;
    mid_inside in = mid_daemon_inside(j->daemon);
    size_t length = strlen(j->path);
    if (*in.member != NULL || length == 0)
        return MID_EINVAL;
    mid_member *m = calloc(1, sizeof *m);
    if (length >= sizeof m->at.sun_path || m == NULL) {
        free(m);
        return length >= sizeof m->at.sun_path ? MID_ESIZE : MID_ENOMEM;
    }
    *m = (mid_member){.daemon = j->daemon, .log = in.log, .told = in.told, .fd = -1, .at.sun_family = AF_UNIX};
    memcpy(m->at.sun_path, j->path, length + 1);
    mid_member_open(m, in.base);
    *in.member = m;
    return MID_OK;
}

mid_status mid_balance_join(mid_daemon *daemon, const char *path)
{
    joining j = {.daemon = daemon, .path = path};
    return daemon == NULL || path == NULL ? MID_ENULL : mid_daemon_on_loop(daemon, join_here, &j);
}

static mid_status leave_here(void *context)
{
    mid_inside in = mid_daemon_inside(context);
    if (*in.member == NULL)
        return MID_EINVAL;
    mid_member_free(*in.member);
    *in.member = NULL;
    __atomic_store_n(in.told, 0, __ATOMIC_RELAXED);
    mid_daemon_kick(context);
    return MID_OK;
}

mid_status mid_balance_leave(mid_daemon *daemon)
{
    return daemon == NULL ? MID_ENULL : mid_daemon_on_loop(daemon, leave_here, daemon);
}
