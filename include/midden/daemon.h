/* midden/daemon.h: the background loop that decides when to collect, compact and give memory back.
 *
 * Link with libmidden-daemon (libevent_core, libevent_extra, libevent_pthreads, jansson). The daemon works on a heap only while every attached thread
 * is stopped at a safepoint or sits in a blocked region (or none is attached), a slice at a time. What it did and why is in
 * its log. The rules are pure functions: docs/design/daemon.md.
 *
 * FORK. In the child a daemon with a thread of its own starts anew when the heap next has something for it. One that is attached to
 * a base of the program's does not: stop it there, and attach another once the base is reinitialised. */
#ifndef MIDDEN_DAEMON_H
#define MIDDEN_DAEMON_H

#include "heap.h"
#include "pressure.h"

struct event_base;
typedef struct mid_daemon mid_daemon;

typedef enum mid_action {
    MID_ACT_NONE,
    MID_ACT_DRAIN,   /* free what waits on the work list */
    MID_ACT_COLLECT, /* look for garbage cycles */
    MID_ACT_COMPACT, /* a slice of evacuation */
    MID_ACT_TRIM,    /* give empty pools back */
    MID_ACT_PROPOSE, /* walk from suspects, while the program runs */
    MID_ACT_PROVE,   /* free the cycles that were proposed and are garbage */
    MID_ACT_SWEEP,   /* look for all there are, while the program runs */
    MID_ACT_DEEP,    /* a slice of deep compaction: first read who refers to what, while the program runs, then rename */
    MID_ACT_NOTE     /* nothing was done: something was heard, or cannot be heard; `note` says what */
} mid_action;

typedef enum mid_trigger {
    MID_WHY_NOTHING,
    MID_WHY_WAITING,       /* dead objects on the work list */
    MID_WHY_GROWTH,        /* live bytes since the last collection */
    MID_WHY_FRAGMENTATION, /* committed pool bytes / live slot bytes */
    MID_WHY_DECAY,         /* empty pools unused for `decay` */
    MID_WHY_IDLE,          /* the program has stopped allocating */
    MID_WHY_SUSPECTS,      /* objects whose count fell without reaching zero */
    MID_WHY_PROPOSALS,     /* objects proposed as garbage, or to be put straight */
    MID_WHY_TABLE,         /* bytes of the handle table that no object needs, while idle */
    MID_WHY_ASKED,         /* by a request at the control socket */
    /* Pressure, by who said so; of an action, value and threshold are levels (mid_pressure_level): that which holds, that which
     * the action takes. */
    MID_WHY_STALLS,        /* the kernel: tasks stalled for want of memory (PSI) */
    MID_WHY_CGROUP,        /* the kernel: the cgroup's memory.events, or how near it is to its limit */
    MID_WHY_WATCH,         /* the service manager, by MEMORY_PRESSURE_WATCH */
    MID_WHY_SIGNAL,        /* SIGUSR1, SIGUSR2 */
    MID_WHY_PROGRAM,       /* mid_pressure */
    MID_WHY_LIMIT          /* the heap is above its soft limit, or near its hard one */
} mid_trigger;

/* One decision and what came of it: a run of slices with one action and trigger, with nothing else in between. Time, value,
 * threshold and pools_before are of the first slice, status, pools_after and pools_pinned of the last, budget and longest the
 * greatest, the others sums. Proposing and proving by turns make one run each. A refused stop (MID_EPOSTPONED, MID_EBUSY) or a failure ends a run; its like add up, too. */
typedef struct mid_decision {
    uint64_t at_micros;     /* monotonic clock */
    mid_action action;
    mid_trigger trigger;
    uint64_t value;         /* what was measured, in the trigger's unit: objects, bytes, percent, bytes, micros */
    uint64_t threshold;     /* what it was compared with */
    uint64_t budget_micros; /* of a slice; 0: none */
    mid_status status;      /* MID_OK, MID_MORE, MID_EPOSTPONED, ... */
    uint64_t objects;       /* freed, moved, proposed or renamed */
    uint64_t bytes;         /* moved (compact) or returned (trim) */
    uint64_t pools_before, pools_after;
    uint64_t pools_pinned;  /* sparse pools that were skipped because something in them is pinned */
    uint64_t took_micros;   /* processor time */
    uint64_t waited_micros; /* until all threads had stopped; 0 also when one of them collected by itself */
    uint64_t slices;        /* stops, or refusals of one */
    uint64_t longest_micros; /* processor time of the longest of them */
    char late[32];          /* MID_EPOSTPONED: the thread that did not come, "3 (worker)": its number in the heap and its name */
    char note[96];          /* MID_ACT_NOTE */
} mid_decision;

#ifdef __cplusplus
extern "C" {
#endif

/* Start a daemon for `heap` on a thread of its own. MID_ENULL; MID_EINVAL: the heap has one already, or its option
 * `daemon` is off; MID_ESYSTEM: libevent or the thread could not be had. Any thread. */
MID_API mid_status mid_daemon_start(mid_heap *heap, mid_daemon **out);

/* The same on an event_base of the program's own, whose loop the program runs. If that loop runs on a thread that is attached to
 * the heap, pass that mid_thread: the daemon's callbacks are then safepoints of it (unless it is inside a blocked region, or has
 * detached). Otherwise pass null; the base must then have been made after evthread_use_pthreads(). The base must outlive the
 * daemon. If the program frees it all the same, the daemon does nothing any more, the heap goes on as without one, and what would have been
 * done in the loop is MID_ESYSTEM; mid_daemon_stop frees the daemon then as ever, but for what evhttp had of it (midden/http.h). */
MID_API mid_status mid_daemon_attach(mid_heap *heap, struct event_base *base, mid_thread *loop_thread,
                                     mid_daemon **out);

/* Where the daemon hears of pressure, for programs that know better than what it finds by itself, and for tests. In each, null
 * stands for what is found, "" for nowhere. Copied. */
typedef struct mid_daemon_paths {
    size_t struct_size;      /* sizeof(mid_daemon_paths) */
    const char *cgroup;      /* directory of the process's cgroup, v2 or v1; found: through /proc/self */
    const char *stalls;      /* PSI; found: the cgroup's memory.pressure, or else /proc/pressure/memory */
    const char *meminfo;     /* found: /proc/meminfo */
    const char *watch;       /* found: MEMORY_PRESSURE_WATCH in the environment */
    const char *watch_write; /* base64; found: MEMORY_PRESSURE_WRITE there, if `watch` is null as well */
} mid_daemon_paths;

/* Both of the above, with paths (null: all are found). `base` null: a thread of its own. What cannot be opened, read or
 * understood is no error: it is said once in the log, and the daemon does without. MID_EINVAL also: struct_size. */
MID_API mid_status mid_daemon_start_with(mid_heap *heap, struct event_base *base, mid_thread *loop_thread,
                                         const mid_daemon_paths *paths, mid_daemon **out);

/* Stop it and free it; waits for the slice it is in. Before the heap closes. From any thread except the daemon's own; with
 * an attached base, from the thread that runs the base or while nothing runs it. MID_ENULL; MID_EBUSY: called from
 * inside the daemon's own turn. */
MID_API mid_status mid_daemon_stop(mid_daemon *daemon);

/* Ask for a look now. Any thread. MID_ENULL. */
MID_API mid_status mid_daemon_kick(mid_daemon *daemon);

/* Copy the newest decisions, oldest first, at most `room`; returns how many. Looks that decided nothing are not logged; the
 * newest may still grow. Any thread. */
MID_API size_t mid_daemon_log(mid_daemon *daemon, mid_decision *into, size_t room);

/* One decision as a line of text without newline ("+1.204s compact: fragmentation 412 % >= 110 %, ..."), cut to `room`
 * bytes; returns the length it wanted, like snprintf. */
MID_API int mid_decision_text(const mid_decision *decision, char *into, size_t room);

/* Processor time the daemon has used, and times it woke up. Any thread. */
MID_API uint64_t mid_daemon_cpu_micros(mid_daemon *daemon);
MID_API uint64_t mid_daemon_wakeups(mid_daemon *daemon);

#ifdef __cplusplus
}
#endif
#endif
