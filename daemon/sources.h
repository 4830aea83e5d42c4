/* daemon/sources.h: the descriptors and files through which a daemon hears of pressure.
 *
 *     loop.c ── mid_sources_open, _look, _close ──> sources.c ──> stalls.c    PSI, in a private epoll set
 *                                                           ├──> cgroup.c    usage, limits, memory.events
 *                                                           ├──> watch.c     MEMORY_PRESSURE_WATCH
 *                                                           └──> signals.c   SIGUSR1, SIGUSR2
 *
 * Everything runs on the loop's thread, open and close excepted. Nothing here fails: what cannot be had is noted in the log, once,
 * and done without. Descriptors that have had something to say are not listened to for a moment, so that a flood costs no more
 * than a look now and then. */
#ifndef MIDDEN_DAEMON_SOURCES_H
#define MIDDEN_DAEMON_SOURCES_H

#include <limits.h>

#include "daemon/log.h"
#include "daemon/pressure.h"
#include "gc/service.h"

struct event;
struct event_base;
typedef struct mid_sources mid_sources;

/* A descriptor that libevent watches. `hear` takes what there is; false: it is over with it. */
typedef struct mid_ear {
    mid_sources *sources;
    struct event *event;
    int fd; /* -1: none */
    bool (*hear)(mid_sources *sources, struct mid_ear *ear);
} mid_ear;

enum { MID_EAR_PRIORITY, MID_EAR_EVENTS, MID_EAR_WATCH, MID_EAR_SIGNALS, MID_EARS };

#define MID_TRIGGERS 3
#define MID_EVENT_KINDS 6

typedef struct mid_stalls {
    int set;                    /* the private epoll set, or -1 */
    int triggers[MID_TRIGGERS]; /* of a level each, or -1 */
    int watched;                /* the service manager's file, in the same set, or -1 */
    int totals;                 /* read where triggers are refused, or -1 */
} mid_stalls;

typedef struct mid_cgroup {
    char path[PATH_MAX]; /* empty: none */
    bool v1, events_seen;
    bool bounded;   /* it had a file of its limit */
    uint64_t where; /* what /proc/self/cgroup said, as a number; 0: it was not asked */
    uint64_t events[MID_EVENT_KINDS];
} mid_cgroup;

struct mid_sources {
    mid_heap *heap;
    const mid_options *options;
    mid_log *log;
    struct event_base *base;
    void (*wake)(void *context);
    void *context;
    mid_daemon_paths paths; /* copies, or null */
    mid_ear ears[MID_EARS];
    struct event *rest; /* the end of the moment in which nobody listens */
    mid_stalls stalls;
    mid_cgroup cgroup;
    int signal_slot;    /* -1: none */
    uint32_t told;      /* bits of enum mid_telling: what was said in the log once */
    mid_reading heard;
    bool any;           /* something came since the last look */
    bool read_ever;
    mid_trigger last_why;
    uint64_t read_at, read_committed; /* when, and what the heap had then */
    mid_gauge gauge;
};

enum mid_telling { MID_TOLD_TOTALS = 1, MID_TOLD_USAGE = 2, MID_TOLD_FREE = 4, MID_TOLD_EVENTS = 8 };

/* --- for loop.c ------------------------------------------------------------------------------------------------ */

/* Before open; also reads the environment. MID_EINVAL: struct_size; MID_ESYSTEM: no memory. */
mid_status mid_sources_init(mid_sources *sources, mid_heap *heap, mid_log *log, const mid_daemon_paths *paths);
/* `wake` is called on the loop's thread: a look is due. */
void mid_sources_open(mid_sources *sources, struct event_base *base, void (*wake)(void *context), void *context);
void mid_sources_close(mid_sources *sources);  /* may be opened again */
void mid_sources_free(mid_sources *sources);
void mid_sources_forked(mid_sources *sources); /* in the child, in the handler: signals there are not for the parent */
/* Is there no limit that a program could reach within a rest or two? */
bool mid_sources_roomy(const mid_sources *sources);
mid_strain mid_sources_look(mid_sources *sources, const mid_snapshot *snapshot, uint64_t now);

/* --- among themselves ------------------------------------------------------------------------------------------ */

/* False: libevent cannot have it; noted. The descriptor is still the caller's then. */
bool mid_ear_open(mid_sources *sources, unsigned which, int fd, enum mid_source source,
                  bool (*hear)(mid_sources *sources, mid_ear *ear));
void mid_ear_close(mid_ear *ear);
void mid_heard(mid_sources *sources, enum mid_source source, mid_pressure_level level, bool measured);
__attribute__((format(printf, 3, 4))) void mid_say(mid_sources *sources, enum mid_source source, const char *format, ...);
/* The same once, for each bit. */
__attribute__((format(printf, 4, 5))) void mid_say_once(mid_sources *sources, enum mid_telling what, enum mid_source source,
                                                        const char *format, ...);
/* At most `room` bytes of a file from its beginning; -1: errno. */
long mid_file_read(const char *path, char *into, size_t room);

void mid_stalls_open(mid_sources *sources);
void mid_stalls_listen(mid_sources *sources);
void mid_stalls_follow(mid_sources *sources); /* the cgroup is another one */
void mid_stalls_close(mid_sources *sources);
void mid_stalls_read(mid_sources *sources, mid_reading *into);
/* Polls for priority, as for PSI; takes `fd`. */
bool mid_stalls_watch(mid_sources *sources, int fd);

void mid_cgroup_open(mid_sources *sources);
void mid_cgroup_read(mid_sources *sources, mid_reading *into);
void mid_cgroup_free(mid_sources *sources, mid_reading *into);

void mid_watch_open(mid_sources *sources);

/* A descriptor to which the handlers write, or -1; errno EBUSY: the program handles one of them itself. */
int mid_signals_open(int *slot);
void mid_signals_close(int slot); /* before the descriptor */
void mid_signals_forked(int slot);
bool mid_signals_hear(mid_sources *sources, mid_ear *ear);

#endif
