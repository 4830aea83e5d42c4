/* daemon/loop.h: what else in this folder may ask of a daemon. */
#ifndef MIDDEN_DAEMON_LOOP_H
#define MIDDEN_DAEMON_LOOP_H

#include "daemon/errand.h"
#include "midden/daemon.h"

typedef struct mid_http mid_http;

/* Run `run` where nothing else of the loop runs: on the loop's thread, or, on a base of the program's, at once. MID_EBUSY: the
 * caller is in the daemon's turn; MID_ESYSTEM: there is no loop; else what it returned. */
mid_status mid_daemon_on_loop(mid_daemon *daemon, mid_errand_fn *run, void *context);

/* The following in there alone. */
struct event_base *mid_daemon_base(mid_daemon *daemon);
mid_http **mid_daemon_http(mid_daemon *daemon);

mid_heap *mid_daemon_heap(mid_daemon *daemon);
bool mid_daemon_is_guest(const mid_daemon *daemon); /* on a base of the program's */

#endif
