/* midden/control.h: a Unix socket at which a heap's daemon can be watched and steered while the program runs.
 *
 * Off unless a program asks for it. One request a line, one JSON object a line in answer, in order: docs/design/control.md; `midden
 * ctl SOCKET REQUEST` speaks it. Only processes of the same user, and root, are answered. Link with libmidden-daemon.
 *
 * FORK. The child serves nobody: it lets go of the socket and its connections, which stay the parent's. */
#ifndef MIDDEN_CONTROL_H
#define MIDDEN_CONTROL_H

#include "daemon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Listen at `path`, in the daemon's loop. The socket has mode 0600 from the start; one that is left over, and at which nobody
 * answers, is replaced. One for each daemon.
 * MID_ENULL; MID_EINVAL: this daemon listens already, the path is empty, or something that is no socket is there; MID_ESIZE: the
 * path is longer than a socket's can be (107 bytes); MID_EBUSY: somebody answers at that path, or called from inside the daemon's own
 * turn; MID_ENOMEM; MID_ESYSTEM: see errno (permission, no such folder, a full disk, no more descriptors), or the daemon's
 * thread does not run. Any thread; with an attached base as for mid_daemon_stop. */
MID_API mid_status mid_control_listen(mid_daemon *daemon, const char *path);

/* Remove the socket and end its connections. mid_daemon_stop does so, too. MID_ENULL; MID_EINVAL: it does not listen; MID_EBUSY as
 * above. */
MID_API mid_status mid_control_close(mid_daemon *daemon);

#ifdef __cplusplus
}
#endif
#endif
