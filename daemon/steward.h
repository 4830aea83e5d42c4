/* daemon/steward.h: divides a budget between heaps that connect to a Unix socket: `midden balance`. On a base of its caller's.
 *
 * A heap that has said its figures (tell.h) is told its limit, and again when it has changed; its connection's end gives its part
 * back. What each may cost is bounded: MID_SEATS connections, a line in and a line out of each, a tenth of a second between two
 * readings. One that has said nothing yet loses its seat to a newcomer when all are taken. */
#ifndef MIDDEN_DAEMON_STEWARD_H
#define MIDDEN_DAEMON_STEWARD_H

#include <stddef.h>
#include <stdint.h>

#include "midden/status.h"

#define MID_SEATS 256

struct event_base;
typedef struct mid_steward mid_steward;

/* Statuses as of mid_control_listen; MID_ENOMEM. */
mid_status mid_steward_open(struct event_base *base, const char *path, uint64_t budget, mid_steward **out);
void mid_steward_close(mid_steward *steward);

/* Heaps that have said their figures, and what they have been given together. */
size_t mid_steward_heaps(const mid_steward *steward, uint64_t *given);

#endif
