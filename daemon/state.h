/* daemon/state.h: what a daemon consists of, for the two files that make it up: start.c and loop.c. The rest of the folder asks by loop.h. */
#ifndef MIDDEN_DAEMON_STATE_H
#define MIDDEN_DAEMON_STATE_H

#include <event2/event.h>
#include <sys/types.h>

#include "daemon/control.h"
#include "daemon/decide.h"
#include "daemon/http.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/member.h"
#include "daemon/sources.h"

enum { LISTENING, RESTING, KICKED }; /* ears: loop.c */

struct mid_daemon {
    mid_heap *heap;
    mid_options own; /* the heap's when it started, and what was changed since */
    const mid_options *options;
    uint32_t thresholds_set; /* by the program, when it was last looked */
    mid_thread *loop_thread; /* attached to a base that the mutator runs: the mutator; else null */
    struct event_base *base;
    struct event *kicked, *due;
    int eventfd;
    bool own_thread, running;
    pthread_t thread;
    int ears;      /* atomic */
    bool stopping; /* atomic */
    bool stranded; /* atomic; in the child of a fork: its thread is not there */
    pid_t in_turn; /* atomic; the thread that is in a turn, or 0 */
    bool owed;     /* the heap owes a stop: it was asked for one and has not come yet */
    unsigned quiet; /* looks in a row that found nothing to do, as far as they count */
    uint64_t live_seen; /* bytes, at the last look */
    bool rests;    /* the timer was set for the end of a rest, ... */
    uint64_t left; /* ... and so long after it a look is due */
    mid_pacer pacer;
    mid_log log;
    mid_http *http; /* null: nobody may watch */
    mid_sources sources;
    uint64_t cpu, wakeups; /* atomic; cpu: inside the callbacks */
    mid_goal goal;
    mid_control *control; /* null: nobody listens */
    mid_member *member; /* null: it shares no budget */
    uint64_t told;      /* atomic; the limit that it was told */
    mid_errand errand;
};

/* --- loop.c */
void mid_loop_wake(const mid_daemon *d);     /* any thread */
void mid_loop_kick(void *daemon);            /* any thread */
void mid_loop_set_growth(mid_daemon *d);     /* the pacer says when mutators are to collect */
void mid_loop_on_eventfd(evutil_socket_t fd, short what, void *daemon);
void mid_loop_on_timer(evutil_socket_t fd, short what, void *daemon);
void *mid_loop_thread(void *daemon);
bool mid_loop_base_gone(const mid_daemon *d); /* the program has freed it */

/* --- start.c */
void mid_daemon_restart(mid_daemon *d); /* in the child of a fork: without what is the parent's */

#endif
