/* midden/balance.h: several heaps, of one process or of many, share one budget of memory.
 *
 * `midden balance --budget 2G` listens at a Unix socket and divides the budget between the heaps that join there, so that all of them
 * together spend the least time on collections: docs/design/pressure.md. A heap that has joined says how much of it lives, how fast it
 * allocates and how fast it is collected, when one of these has changed by more than a tenth, and is told its limit. Its daemon
 * takes that for its soft limit, and lets it grow so far before it looks for garbage, whatever the options `growth` and `balance` say; limits that
 * the options set hold as well. It is never less than what the heap holds and a little, and it refuses no memory.
 *
 * Nobody waits for the other end. If it is not there, or ends, the heap keeps the limit that it was told last, and tries again
 * after 2, 4, ... 64 seconds. An idle heap is woken by it at most once in 3 seconds. What happens is noted in the daemon's log. Link
 * with libmidden-daemon.
 *
 * FORK. The child has no part in its parent's connection; where its daemon starts again, it joins for itself. */
#ifndef MIDDEN_BALANCE_H
#define MIDDEN_BALANCE_H

#include "daemon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Join whoever divides a budget at `path`, now or when he comes. Each heap for itself, those of one process as well.
 * MID_ENULL; MID_EINVAL: this daemon has joined already, or the path is empty; MID_ESIZE: it is longer than a socket's can be (107
 * bytes); MID_EBUSY: called from inside the daemon's own turn; MID_ENOMEM; MID_ESYSTEM: the daemon's thread does not run. Any
 * thread; with an attached base as for mid_daemon_stop. */
MID_API mid_status mid_balance_join(mid_daemon *daemon, const char *path);

/* Leave, and be limited by the options alone. mid_daemon_stop does so, too. MID_ENULL; MID_EINVAL: it has not joined; MID_EBUSY,
 * MID_ESYSTEM as above. */
MID_API mid_status mid_balance_leave(mid_daemon *daemon);

/* The limit in bytes that the heap was told last. 0: none, or it has not joined. Any thread. */
MID_API uint64_t mid_balance_limit(mid_daemon *daemon);

#ifdef __cplusplus
}
#endif
#endif
