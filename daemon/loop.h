/* daemon/loop.h: what else in this folder may ask of a daemon. */
#ifndef MIDDEN_DAEMON_LOOP_H
#define MIDDEN_DAEMON_LOOP_H

#include "daemon/errand.h"
#include "daemon/goal.h"

struct event_base;
struct mid_control;
struct mid_http;
struct mid_log;
struct mid_member;

/* Run `run` where nothing else of the loop runs: on the loop's thread, or, on a base of the program's, at once. MID_EBUSY: the
 * caller is in the daemon's turn; MID_ESYSTEM: there is no loop; else what it returned. */
mid_status mid_daemon_on_loop(mid_daemon *daemon, mid_errand_fn *run, void *context);

/* The following in there alone. */
typedef struct mid_inside {
    mid_heap *heap;
    struct event_base *base;
    bool guest;           /* of a base of the program's */
    mid_options *options; /* the daemon's own copy */
    mid_goal *goal;
    struct mid_control **control; /* null: nobody listens */
    struct mid_http **http;       /* null: nobody may watch */
    struct mid_member **member;   /* null: it shares no budget */
    uint64_t *told;               /* atomic: what mid_balance_limit says */
    struct mid_log *log;
    const struct mid_strain *strain; /* as at the last look */
} mid_inside;
mid_inside mid_daemon_inside(mid_daemon *daemon);

/* Free an event of the daemon's. Not event_free: if the program has freed its base under the daemon, `base` is another that takes the
 * event in first, or null, and then what libevent has of it is lost. Null: nothing. */
struct event;
void mid_event_free(struct event_base *base, struct event *event);

#endif
