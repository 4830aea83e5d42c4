/* daemon/sources.c: who is listened to, what was heard, and what the log is told of it. */
#include "daemon/sources.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/loop.h"

#define REST_MICROS 50000
#define ROOM_PART 8u /* of what was left below a limit */

/* --- what the log is told ------------------------------------------------------------------------------------- */

static void say(mid_sources *s, enum mid_source source, const char *format, va_list args)
{
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    mid_log_note(s->log, (mid_trigger)(MID_WHY_STALLS + source), mid_daemon_clock(), "%s", text);
}

void mid_say(mid_sources *s, enum mid_source source, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(s, source, format, args);
    va_end(args);
}

void mid_say_once(mid_sources *s, enum mid_telling what, enum mid_source source, const char *format, ...)
{
    va_list args;
    if (s->told & what)
        return;
    s->told |= what;
    va_start(args, format);
    say(s, source, format, args);
    va_end(args);
}

long mid_file_read(const char *path, char *into, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    size_t used = 0;
    ssize_t got = 0;
    while (used < room && ((got = read(fd, into + used, room - used)) > 0 || (got < 0 && errno == EINTR)))
        used += got > 0 ? (size_t)got : 0;
    int error = errno;
    close(fd);
    errno = error;
    return got < 0 ? -1 : (long)used;
}

/* --- ears ----------------------------------------------------------------------------------------------------- */

void mid_ear_close(mid_ear *ear)
{
    if (ear->event != NULL)
        mid_event_free(ear->sources->base, ear->event);
    if (ear->fd >= 0)
        close(ear->fd);
    ear->event = NULL;
    ear->fd = -1;
}

/* Until the rest is over. Without a timer for it there is none. */
static void on_rest(evutil_socket_t fd, short what, void *context)
{
    mid_sources *s = context;
    (void)fd, (void)what;
    for (unsigned i = 0; i < MID_EARS; i++)
        if (s->ears[i].event != NULL)
            event_add(s->ears[i].event, NULL);
}

static void on_sound(evutil_socket_t fd, short what, void *context)
{
    const struct timeval rest = {.tv_usec = REST_MICROS};
    mid_ear *ear = context;
    mid_sources *s = ear->sources;
    (void)fd, (void)what;
    if (!ear->hear(s, ear))
        mid_ear_close(ear);
    else if (s->rest == NULL || event_add(s->rest, &rest) != 0)
        event_add(ear->event, NULL);
    if (s->any)
        s->wake(s->context);
}

bool mid_ear_open(mid_sources *s, unsigned which, int fd, enum mid_source source, bool (*hear)(mid_sources *, mid_ear *))
{
    mid_ear *ear = &s->ears[which];
    *ear = (mid_ear){.sources = s, .fd = fd, .hear = hear};
    ear->event = event_new(s->base, fd, EV_READ, on_sound, ear);
    if (ear->event != NULL && event_add(ear->event, NULL) == 0)
        return true;
    mid_say(s, source, "not heard: the loop cannot watch it");
    ear->fd = -1;
    mid_ear_close(ear);
    return false;
}

void mid_heard(mid_sources *s, enum mid_source source, mid_pressure_level level, bool measured)
{
    if (level > s->heard.came[source])
        s->heard.came[source] = level;
    s->heard.measured[source] = measured;
    s->any = true;
}

/* --- open and close ------------------------------------------------------------------------------------------- */

static bool copied(const char **into, const char *text)
{
    *into = text == NULL ? NULL : strdup(text);
    return text == NULL || *into != NULL;
}

mid_status mid_sources_init(mid_sources *s, mid_heap *heap, mid_log *log, const mid_daemon_paths *paths)
{
    static const mid_daemon_paths found = {.struct_size = sizeof found};
    const mid_daemon_paths *from = paths != NULL ? paths : &found;
    *s = (mid_sources){.heap = heap, .options = mid_service_options(heap), .log = log, .signal_slot = -1};
    s->stalls = (mid_stalls){.set = -1, .triggers = {-1, -1, -1}, .watched = -1, .totals = -1};
    for (unsigned i = 0; i < MID_EARS; i++)
        s->ears[i].fd = -1;
    if (from->struct_size != sizeof *from)
        return MID_EINVAL;
    bool environment = from->watch == NULL;
    const char *watch = environment ? getenv("MEMORY_PRESSURE_WATCH") : from->watch;
    const char *write = environment && from->watch_write == NULL ? getenv("MEMORY_PRESSURE_WRITE") : from->watch_write;
    if (copied(&s->paths.cgroup, from->cgroup) && copied(&s->paths.stalls, from->stalls) &&
        copied(&s->paths.meminfo, from->meminfo) && copied(&s->paths.watch, watch) && copied(&s->paths.watch_write, write))
        return MID_OK;
    mid_sources_free(s);
    return MID_ESYSTEM;
}

void mid_sources_free(mid_sources *s)
{
    const char **all[] = {&s->paths.cgroup, &s->paths.stalls, &s->paths.meminfo, &s->paths.watch, &s->paths.watch_write};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free((void *)*all[i]);
        *all[i] = NULL;
    }
}

static void open_signals(mid_sources *s)
{
    int fd = mid_signals_open(&s->signal_slot);
    if (fd < 0) {
        mid_say(s, MID_SIGNALS, "not heard: %s", errno == EBUSY ? "the program handles SIGUSR1 or SIGUSR2 itself" : strerror(errno));
    } else if (!mid_ear_open(s, MID_EAR_SIGNALS, fd, MID_SIGNALS, mid_signals_hear)) {
        mid_signals_close(s->signal_slot);
        s->signal_slot = -1;
        close(fd);
    }
}

/* Options that are in each other's way: which of them counts. */
static void say_contradictions(mid_sources *s)
{
    const mid_options *o = s->options;
    uint64_t hard = o->heap_limit - o->heap_limit / 16;
    if (hard != 0 && o->soft_limit > hard)
        mid_say(s, MID_LIMIT, "soft-limit is above 15/16 of heap-limit, which is reached first");
    if (o->hard_share != 0 && o->soft_share > o->hard_share)
        mid_say(s, MID_LIMIT, "soft-share is above hard-share, which is reached first");
    if (!o->pressure && (o->soft_share != 0 || o->hard_share != 0))
        mid_say(s, MID_LIMIT, "soft-share and hard-share are of no effect with pressure=off");
}

void mid_sources_open(mid_sources *s, struct event_base *base, void (*wake)(void *), void *context)
{
    s->base = base;
    s->wake = wake;
    s->context = context;
    s->gauge = (mid_gauge){0};
    s->heard = (mid_reading){0};
    s->any = s->read_ever = false;
    s->told = 0;
    say_contradictions(s);
    if (!s->options->pressure && !s->options->user_signals)
        return;
    s->rest = evtimer_new(base, on_rest, s);
    if (s->options->pressure) {
        mid_cgroup_open(s);
        mid_stalls_open(s);
        mid_watch_open(s);
        mid_stalls_listen(s); /* last: what is in the set may have something to say at once */
    }
    if (s->options->user_signals)
        open_signals(s);
}

void mid_sources_close(mid_sources *s)
{
    if (s->signal_slot >= 0)
        mid_signals_close(s->signal_slot);
    s->signal_slot = -1;
    if (s->rest != NULL)
        mid_event_free(s->base, s->rest);
    s->rest = NULL;
    for (unsigned i = 0; i < MID_EARS; i++)
        mid_ear_close(&s->ears[i]);
    mid_stalls_close(s);
}

void mid_sources_forked(mid_sources *s)
{
    if (s->signal_slot >= 0)
        mid_signals_forked(s->signal_slot);
}

/* --- a look --------------------------------------------------------------------------------------------------- */

/* The heap has taken so much of the room that there was that it might be over before the next heartbeat. */
static bool fills(const mid_sources *s, uint64_t committed)
{
    const mid_reading *r = &s->heard;
    uint64_t room = r->limit > r->usage ? r->limit - r->usage : 0;
    return r->usage_known && committed > s->read_committed && committed - s->read_committed > room / ROOM_PART;
}

#define ROOMY ((uint64_t)256 << 20)

bool mid_sources_roomy(const mid_sources *s)
{
    const mid_reading *r = &s->heard;
    return !r->usage_known || r->limit > r->usage + ROOMY;
}

/* Files are read when something came, and otherwise not more often than a heartbeat, unless room is short: a program that kicks
 * looks a thousand times a second. How much is free matters only to what was measured. */
static void read_files(mid_sources *s, uint64_t committed, uint64_t now)
{
    uint64_t passed = now > s->read_at ? now - s->read_at : 0;
    bool early = s->read_ever && passed < s->options->heartbeat && now >= s->read_at;
    if (!s->options->pressure || (early && !s->any && !fills(s, committed)))
        return;
    s->read_committed = committed;
    s->read_ever = true;
    s->read_at = now;
    mid_cgroup_read(s, &s->heard);
    mid_stalls_read(s, &s->heard);
    if (s->any || s->heard.stalls_known)
        mid_cgroup_free(s, &s->heard);
}

mid_strain mid_sources_look(mid_sources *s, const mid_snapshot *snapshot, uint64_t now)
{
    read_files(s, snapshot->committed_bytes, now);
    s->heard.came[MID_PROGRAM] = mid_service_pressure(s->heap, &s->heard.said);
    s->heard.foreign = snapshot->foreign_bytes;
    mid_pressure_level was = s->gauge.level;
    mid_strain strain = mid_gauge_read(&s->gauge, &s->heard, s->options, snapshot->committed_bytes, now);
    mid_trigger why = strain.why != MID_WHY_NOTHING ? strain.why : s->last_why;
    if (strain.level != was)
        mid_say(s, (enum mid_source)(why - MID_WHY_STALLS), "%s -> %s", mid_level_name(was), mid_level_name(strain.level));
    s->last_why = why;
    for (int i = 0; i < MID_SOURCES; i++)
        s->heard.came[i] = MID_PRESSURE_CALM;
    s->any = false;
    return strain;
}
