/* daemon/cgroup.c: the process's cgroup, v2 or v1, and those above it: usage, limits, memory.events.
 *
 * The page cache that has not been used lately does not count as used: the kernel drops it before it troubles anybody. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/figures.h"
#include "daemon/sources.h"

#define TEXT_MOST 16384
#define LEVELS_MOST 32 /* of nesting that are looked at */

/* What the number's going up means. `max`: the cgroup came to its limit, which a page cache does every moment without any harm; near
 * the limit usage says more. */
static const struct {
    const char *key;
    mid_pressure_level level;
} kinds[MID_EVENT_KINDS] = {
    {"low", MID_PRESSURE_TRIM},        {"high", MID_PRESSURE_COMPACT},        {"max", MID_PRESSURE_COMPACT},
    {"oom", MID_PRESSURE_EVERYTHING},  {"oom_kill", MID_PRESSURE_EVERYTHING}, {"oom_group_kill", MID_PRESSURE_EVERYTHING},
};

static bool path_in(char *into, size_t room, const char *folder, const char *name)
{
    return (size_t)snprintf(into, room, "%s/%s", folder, name) < room;
}

static const char *limit_file(bool v1)
{
    return v1 ? "memory.limit_in_bytes" : "memory.max";
}

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX + 64];
    return path_in(path, sizeof path, folder, name) && access(path, F_OK) == 0;
}

/* 1: read; 0: there is no such file; -1: errno. */
static int read_number(const char *folder, const char *name, uint64_t *value)
{
    char path[PATH_MAX + 64], text[64];
    if (!path_in(path, sizeof path, folder, name))
        return 0;
    long length = mid_file_read(path, text, sizeof text);
    if (length < 0)
        return errno == ENOENT ? 0 : -1;
    errno = EBADMSG;
    return mid_figure_number(text, (size_t)length, value) ? 1 : -1;
}

/* --- finding it ----------------------------------------------------------------------------------------------- */

static bool find(mid_sources *s, char *text)
{
    char *mounts = text + TEXT_MOST / 4;
    const size_t room = TEXT_MOST - TEXT_MOST / 4;
    long length = mid_file_read("/proc/self/cgroup", text, TEXT_MOST / 4);
    long mounts_length = length < 0 ? -1 : mid_file_read("/proc/self/mountinfo", mounts, room);
    if (mounts_length < 0)
        return false;
    errno = ENOENT;
    if (!mid_figure_cgroup(text, (size_t)length, mounts, (size_t)mounts_length, s->cgroup.path, sizeof s->cgroup.path)) {
        s->cgroup.path[0] = 0;
        return false;
    }
    struct stat is; /* in a namespace of another process the path may lead nowhere */
    return stat(s->cgroup.path, &is) == 0 && S_ISDIR(is.st_mode);
}

/* FNV-1a of what the kernel says; 0: it says nothing. */
static uint64_t where_now(void)
{
    char text[TEXT_MOST / 4];
    long length = mid_file_read("/proc/self/cgroup", text, sizeof text);
    uint64_t sum = length > 0 ? UINT64_C(0xcbf29ce484222325) : 0;
    for (long i = 0; i < length; i++)
        sum = (sum ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* --- memory.events -------------------------------------------------------------------------------------------- */

static bool read_events(mid_sources *s)
{
    char path[PATH_MAX + 64], text[512];
    uint64_t count[MID_EVENT_KINDS] = {0};
    bool any = false;
    long length = path_in(path, sizeof path, s->cgroup.path, "memory.events") ? mid_file_read(path, text, sizeof text) : -1;
    for (unsigned i = 0; length >= 0 && i < MID_EVENT_KINDS; i++)
        any |= mid_figure_keyed(text, (size_t)length, kinds[i].key, &count[i]);
    if (!any) {
        mid_say_once(s, MID_TOLD_EVENTS, MID_CGROUP, "memory.events cannot be %s", length < 0 ? "read" : "understood");
        return false;
    }
    for (unsigned i = 0; i < MID_EVENT_KINDS; i++) {
        if (s->cgroup.events_seen && count[i] > s->cgroup.events[i])
            mid_heard(s, MID_CGROUP, kinds[i].level, true);
        s->cgroup.events[i] = count[i];
    }
    return s->cgroup.events_seen = true;
}

static bool hear(mid_sources *s, mid_ear *ear)
{
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t got;
    bool gone = false;
    for (unsigned turn = 0; turn < 16 && (got = read(ear->fd, buffer, sizeof buffer)) > 0; turn++)
        for (char *at = buffer; at < buffer + got; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len)
            gone |= (((struct inotify_event *)at)->mask & IN_IGNORED) != 0;
    read_events(s);
    if (gone)
        mid_say(s, MID_CGROUP, "memory.events has gone");
    return !gone;
}

static void open_events(mid_sources *s)
{
    char path[PATH_MAX + 64];
    if (!path_in(path, sizeof path, s->cgroup.path, "memory.events") || access(path, F_OK) != 0) {
        mid_say(s, MID_CGROUP, "no memory.events in %s", s->cgroup.path);
        return;
    }
    s->cgroup.events_seen = false;
    if (!read_events(s))
        return;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    bool good = fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) >= 0;
    if (!good)
        mid_say(s, MID_CGROUP, "memory.events not heard: %s", strerror(errno));
    if (fd >= 0 && (!good || !mid_ear_open(s, MID_EAR_EVENTS, fd, MID_CGROUP, hear)))
        close(fd);
}

void mid_cgroup_open(mid_sources *s)
{
    char text[TEXT_MOST];
    const char *given = s->paths.cgroup;
    s->cgroup = (mid_cgroup){.where = given == NULL ? where_now() : 0};
    if (given != NULL && given[0] == 0)
        return;
    bool found = true;
    if (given == NULL)
        found = find(s, text);
    else
        snprintf(s->cgroup.path, sizeof s->cgroup.path, "%s", strlen(given) < sizeof s->cgroup.path ? given : "");
    if (!found || s->cgroup.path[0] == 0 || access(s->cgroup.path, R_OK | X_OK) != 0) {
        mid_say(s, MID_CGROUP, "not heard (%s): %s", strerror(s->cgroup.path[0] == 0 && given != NULL ? ENAMETOOLONG : errno),
                given != NULL ? given : s->cgroup.path[0] != 0 ? s->cgroup.path : "no cgroup of the process found");
        s->cgroup.path[0] = 0;
        return;
    }
    s->cgroup.v1 = has(s->cgroup.path, "memory.usage_in_bytes");
    s->cgroup.bounded = has(s->cgroup.path, limit_file(s->cgroup.v1));
    if (!s->cgroup.v1)
        open_events(s);
}

/* --- usage and limits ----------------------------------------------------------------------------------------- */

/* One cgroup: 1: it has a limit and usage; 0: it has none; -1: errno. */
static int read_one(bool v1, const char *folder, uint64_t *usage, uint64_t *limit)
{
    char path[PATH_MAX + 64], text[TEXT_MOST];
    uint64_t high = MID_UNLIMITED, cache = 0;
    *limit = MID_UNLIMITED;
    int got = read_number(folder, limit_file(v1), limit);
    if (got < 0 || (!v1 && read_number(folder, "memory.high", &high) < 0))
        return -1;
    *limit = high < *limit ? high : *limit;
    if (*limit == MID_UNLIMITED)
        return 0;
    got = read_number(folder, v1 ? "memory.usage_in_bytes" : "memory.current", usage);
    errno = got == 0 ? ENOENT : errno;
    if (got <= 0)
        return -1;
    /* The cache is asked for only where it could matter: below half, the level is calm and the room ample in any case; and the
     * kernel adds that file up over all processors. */
    if (*usage > *limit / 2 && path_in(path, sizeof path, folder, "memory.stat")) {
        long length = mid_file_read(path, text, sizeof text);
        if (length > 0 && mid_figure_keyed(text, (size_t)length, v1 ? "total_inactive_file" : "inactive_file", &cache))
            *usage -= cache < *usage ? cache : *usage;
    }
    return 1;
}

/* To the folder above, if that is a cgroup as well. */
static bool up(char *folder)
{
    char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
        return false;
    *slash = 0;
    return has(folder, "cgroup.procs");
}

/* a / b < c / d */
static bool less(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (unsigned __int128)a * d < (unsigned __int128)c * b;
}

/* A process can be put into another cgroup while it runs, and its own be renamed. */
static void follow(mid_sources *s)
{
    uint64_t now = s->cgroup.where == 0 ? 0 : where_now();
    if (now == 0 || now == s->cgroup.where)
        return;
    mid_ear_close(&s->ears[MID_EAR_EVENTS]);
    s->told &= ~(uint32_t)(MID_TOLD_USAGE | MID_TOLD_EVENTS);
    mid_cgroup_open(s);
    if (s->cgroup.path[0] != 0)
        mid_say(s, MID_CGROUP, "moved to %s", s->cgroup.path);
    mid_stalls_follow(s);
}

/* Of all above the process, the one nearest to its limit; it has the tightest room, too. */
void mid_cgroup_read(mid_sources *s, mid_reading *into)
{
    char folder[PATH_MAX];
    uint64_t usage, limit;
    into->usage_known = false;
    follow(s);
    if (s->cgroup.path[0] == 0)
        return;
    memcpy(folder, s->cgroup.path, sizeof folder);
    for (unsigned n = 0; n < LEVELS_MOST && (n == 0 || up(folder)); n++) {
        int got = read_one(s->cgroup.v1, folder, &usage, &limit);
        if (got == 0 && n == 0 && s->cgroup.bounded && !has(folder, limit_file(s->cgroup.v1))) {
            errno = ENOENT; /* it had one: the cgroup has gone, or its controller */
            got = -1;
        }
        if (got < 0)
            mid_say_once(s, MID_TOLD_USAGE, MID_CGROUP, "usage and limit cannot be read (%s): %s", strerror(errno), folder);
        if (got <= 0 || (into->usage_known && !less(into->usage, into->limit, usage, limit)))
            continue;
        into->usage_known = true;
        into->usage = usage;
        into->limit = limit;
    }
}

void mid_cgroup_free(mid_sources *s, mid_reading *into)
{
    char text[4096];
    uint64_t free, whole;
    const char *path = s->paths.meminfo != NULL ? s->paths.meminfo : "/proc/meminfo";
    into->free_known = false;
    if (path[0] == 0)
        return;
    long length = mid_file_read(path, text, sizeof text);
    into->free_known = length > 0 && mid_figure_keyed(text, (size_t)length, "MemTotal", &whole) &&
                       mid_figure_keyed(text, (size_t)length, "MemAvailable", &free);
    if (!into->free_known) {
        mid_say_once(s, MID_TOLD_FREE, MID_STALLS, "how much is free cannot be %s: %s", length < 0 ? "read" : "understood", path);
        return;
    }
    into->free = free;
    into->whole = whole;
    if (!into->usage_known)
        return;
    uint64_t room = into->limit > into->usage ? into->limit - into->usage : 0;
    if (less(room, into->limit, free, whole)) {
        into->free = room;
        into->whole = into->limit;
    }
}
