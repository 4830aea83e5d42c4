/* midden/http.h: a heap to be watched, by HTTP from the same machine. Off unless a program, or mid_http_listen, asks for it.
 *
 * Served by the daemon's loop, read-only, to whoever can reach the address: a Unix socket of mode 0600, or a port of the loopback
 * interface, which any user of the machine can reach. GET and HEAD of:
 *
 *   /            a page: map of the heap, footprint, pressure, stops, decisions; it asks nothing of other places
 *   /heap.json   figures, classes, stops, pressure, footprint and pressure over time, the process's memory, and what each pool holds
 *   /log.json    the daemon's decisions
 *   /trace.json  the same as trace events, for Perfetto or chrome://tracing
 *   /metrics     figures for Prometheus
 *
 * Addresses and thread names are in them, contents of objects are not. A request must name localhost, 127.0.0.1 or [::1] as its
 * host. The loop is held for a piece of an answer, 16 KiB, and not for the whole. At most 16 connections are served at a time, each for 10 s after its last request. docs/design/watching.md. */
#ifndef MIDDEN_HTTP_H
#define MIDDEN_HTTP_H

#include "daemon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Listen until the daemon stops, or mid_http_stop. `address`: the path of a Unix socket, beginning with '/'; or "localhost:PORT",
 * "127.0.0.1:PORT", "[::1]:PORT", PORT 0 for any that is free. *port (may be null): which it is; 0 for a path. A socket at the path
 * that nobody listens to any more is replaced; it goes when the listening ends.
 *
 * Any thread but the daemon's own in its turn; waits for the slice it is in. On a base of the program's: from the thread that runs it, or
 * while nothing runs it, and the program must ignore SIGPIPE. After a fork the parent goes on listening, the child does not.
 *
 * MID_ENULL; MID_EINVAL: the address is none of these, or too long, or SIGPIPE would end the program; MID_EBUSY: it listens
 * already, somebody else listens there, something that is no socket is at the path, or the call came from the daemon's turn;
 * MID_ESYSTEM: see errno (EMFILE: 256 heaps of the process are served already). */
MID_API mid_status mid_http_listen(mid_daemon *daemon, const char *address, uint16_t *port);

/* Close it and every connection. As above. MID_ENULL; MID_EINVAL: it does not listen; MID_EBUSY. */
MID_API mid_status mid_http_stop(mid_daemon *daemon);

#ifdef __cplusplus
}
#endif
#endif
