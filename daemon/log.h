/* daemon/log.h: the ring of the newest decisions. Written by the daemon's loop, read by any thread.
 *
 * A run of slices is one decision: what was added last grows while what follows has its action and trigger, and
 * either both did work or both failed with one status. So the log holds as many changes of mind as it has room for. */
#ifndef MIDDEN_DAEMON_LOG_H
#define MIDDEN_DAEMON_LOG_H

#include <pthread.h>
#include <stdbool.h>

#include "midden/daemon.h"

typedef struct mid_log {
    pthread_mutex_t lock;
    mid_decision *ring;
    size_t room;
    uint64_t written; /* ever; the newest is at (written - 1) % room */
} mid_log;

/* MID_ESYSTEM: no memory, or no mutex. */
mid_status mid_log_open(mid_log *log, size_t room);
void mid_log_close(mid_log *log);
void mid_log_forked(mid_log *log); /* in the child of a fork: whoever held its lock is not there */
void mid_log_add(mid_log *log, const mid_decision *decision);
/* An entry that is no action; cut to what an entry has room for. The same text again adds to it. */
__attribute__((format(printf, 4, 5))) void mid_log_note(mid_log *log, mid_trigger trigger, uint64_t at_micros,
                                                        const char *format, ...);
size_t mid_log_read(mid_log *log, mid_decision *into, size_t room);
/* Entries are numbered from 0, and this is the next one's number. */
uint64_t mid_log_end(mid_log *log);
/* That of number *at, or the oldest there is if that has gone; *at becomes the number behind it. False: there is none yet. */
bool mid_log_next(mid_log *log, uint64_t *at, mid_decision *into);

/* One word; "?" for what is none. */
const char *mid_action_name(mid_action action);
const char *mid_trigger_name(mid_trigger trigger);

#endif
