/* tests/stress/daemon.h: the background thread beside the random operations. */
#ifndef STRESS_DAEMON_H
#define STRESS_DAEMON_H

#include "midden/midden.h"

/* Thresholds so small that the daemon always finds something to do. */
void daemon_options(mid_options *options);
/* For mid_step without a daemon: always growth enough for a sweep. */
void steps_options(mid_options *options);
/* Null: this program was built without it. */
struct mid_daemon *daemon_begin(mid_heap *heap);
/* Stops it and prints how often it acted. */
void daemon_end(struct mid_daemon *daemon);

#endif
