/* daemon/stalls.c: PSI, and the service manager's file, which is polled in the same way.
 *
 * libevent has no event for priority, so these descriptors sit in an epoll set of their own, and libevent watches the set. A window
 * of two seconds is what a process without privileges may ask for. Where triggers are refused the totals are read instead. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/figures.h"
#include "daemon/sources.h"

#define TEXT_MOST 512
#define WATCHED MID_TRIGGERS /* in the set, after the triggers */

static const struct {
    const char *kind;
    unsigned micros;
    mid_pressure_level level;
} triggers[MID_TRIGGERS] = {
    {"some", MID_TRIM_STALLS, MID_PRESSURE_TRIM},
    {"some", MID_COMPACT_STALLS, MID_PRESSURE_COMPACT},
    {"full", MID_EVERYTHING_STALLS, MID_PRESSURE_EVERYTHING},
};

static int add(int set, int fd, uint32_t number)
{
    struct epoll_event event = {.events = EPOLLPRI, .data.u32 = number};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd); /* not taken out of the set: in a forked child that would be the parent's */
    *fd = -1;
}

static void forget(mid_sources *s, uint32_t number)
{
    int *fd = number == WATCHED ? &s->stalls.watched : &s->stalls.triggers[number];
    if (*fd < 0)
        return;
    epoll_ctl(s->stalls.set, EPOLL_CTL_DEL, *fd, NULL);
    shut(fd);
    mid_say(s, number == WATCHED ? MID_WATCH : MID_STALLS, "not heard any more: the kernel has withdrawn the trigger");
}

static bool hear(mid_sources *s, mid_ear *ear)
{
    struct epoll_event events[MID_TRIGGERS + 1];
    int count = epoll_wait(ear->fd, events, MID_TRIGGERS + 1, 0);
    for (int i = 0; i < count; i++) {
        uint32_t number = events[i].data.u32;
        if (events[i].events & EPOLLERR)
            forget(s, number);
        else if (number == WATCHED)
            mid_heard(s, MID_WATCH, MID_PRESSURE_COMPACT, true);
        else
            mid_heard(s, MID_STALLS, triggers[number].level, true);
    }
    return count >= 0 || errno == EINTR;
}

static bool have_set(mid_sources *s)
{
    if (s->stalls.set < 0)
        s->stalls.set = epoll_create1(EPOLL_CLOEXEC);
    return s->stalls.set >= 0;
}

/* Whether it can be polled is asked before it is written to: a plain file would be spoilt. The zero belongs to the text. */
static bool set_trigger(mid_sources *s, const char *path, uint32_t number)
{
    char text[64];
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    int length = snprintf(text, sizeof text, "%s %u %u", triggers[number].kind, triggers[number].micros, MID_WINDOW_MICROS);
    bool good = add(s->stalls.set, fd, number) == 0 && epoll_ctl(s->stalls.set, EPOLL_CTL_DEL, fd, NULL) == 0 &&
                write(fd, text, (size_t)length + 1) > 0 && add(s->stalls.set, fd, number) == 0;
    if (good) {
        s->stalls.triggers[number] = fd;
        return true;
    }
    int error = errno;
    close(fd);
    errno = error;
    return false;
}

static bool read_totals(mid_sources *s, mid_reading *into)
{
    char text[TEXT_MOST];
    ssize_t length = pread(s->stalls.totals, text, sizeof text, 0);
    if (length < 0)
        return false;
    if (mid_figure_stalls(text, (size_t)length, &into->some_total, &into->full_total))
        return true;
    errno = EBADMSG;
    return false;
}

/* Triggers, or else totals. */
static bool open_at(mid_sources *s, const char *path)
{
    mid_reading first;
    bool good = have_set(s);
    uint32_t set = 0;
    while (good && set < MID_TRIGGERS && set_trigger(s, path, set))
        set++;
    if (set == MID_TRIGGERS)
        return true;
    int why = errno;
    for (uint32_t i = 0; i < set; i++)
        shut(&s->stalls.triggers[i]);
    s->stalls.totals = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (s->stalls.totals >= 0 && read_totals(s, &first)) {
        mid_say(s, MID_STALLS, "read at each heartbeat, triggers refused (%s): %s", strerror(why), path);
        return true;
    }
    mid_say(s, MID_STALLS, "not heard (%s): %s", strerror(errno), path);
    shut(&s->stalls.totals);
    return false;
}

void mid_stalls_open(mid_sources *s)
{
    char own[PATH_MAX + 32];
    if (s->paths.stalls != NULL) {
        if (s->paths.stalls[0] != 0)
            open_at(s, s->paths.stalls);
        return;
    }
    snprintf(own, sizeof own, "%s/memory.pressure", s->cgroup.path);
    bool has_own = s->cgroup.path[0] != 0 && !s->cgroup.v1 && access(own, F_OK) == 0;
    if (!has_own || !open_at(s, own))
        open_at(s, "/proc/pressure/memory");
}

bool mid_stalls_watch(mid_sources *s, int fd)
{
    if (have_set(s) && add(s->stalls.set, fd, WATCHED) == 0) {
        s->stalls.watched = fd;
        return true;
    }
    int error = errno;
    close(fd);
    errno = error;
    return false;
}

void mid_stalls_listen(mid_sources *s)
{
    if (s->stalls.triggers[0] >= 0 || s->stalls.watched >= 0) {
        int ears_own = fcntl(s->stalls.set, F_DUPFD_CLOEXEC, 0);
        if (ears_own >= 0 && !mid_ear_open(s, MID_EAR_PRIORITY, ears_own, MID_STALLS, hear))
            close(ears_own);
    }
}

void mid_stalls_follow(mid_sources *s)
{
    if (s->paths.stalls != NULL)
        return;
    for (unsigned i = 0; i < MID_TRIGGERS; i++)
        shut(&s->stalls.triggers[i]);
    shut(&s->stalls.totals);
    mid_stalls_open(s);
    if (s->ears[MID_EAR_PRIORITY].fd < 0)
        mid_stalls_listen(s);
}

void mid_stalls_close(mid_sources *s)
{
    for (unsigned i = 0; i < MID_TRIGGERS; i++)
        shut(&s->stalls.triggers[i]);
    shut(&s->stalls.watched);
    shut(&s->stalls.totals);
    shut(&s->stalls.set);
}

void mid_stalls_read(mid_sources *s, mid_reading *into)
{
    if (s->stalls.totals < 0)
        return;
    into->stalls_known = read_totals(s, into);
    if (!into->stalls_known)
        mid_say_once(s, MID_TOLD_TOTALS, MID_STALLS, "its totals cannot be read: %s", strerror(errno));
}
