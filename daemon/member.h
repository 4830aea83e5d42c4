/* daemon/member.h: a heap's connection to who divides a budget (midden/balance.h), in the daemon's loop. */
#ifndef MIDDEN_DAEMON_MEMBER_H
#define MIDDEN_DAEMON_MEMBER_H

#include "daemon/divide.h"
#include "midden/balance.h"

struct event_base;
typedef struct mid_member mid_member;

/* On the loop's thread; null is nobody. The limit in force, 0: none. */
uint64_t mid_member_limit(const mid_member *member, const mid_need *need);
/* After each look: what the heap needs, and whether it is idle. */
void mid_member_say(mid_member *member, const mid_need *need, bool idle, uint64_t now);

/* In the child of a fork: in the handler; when the parent's base has been let go of; and on another base. Null is ignored. */
void mid_member_forked(mid_member *member);
void mid_member_close(mid_member *member);
void mid_member_open(mid_member *member, struct event_base *base);

/* The daemon ends. Null is ignored. */
void mid_member_free(mid_member *member);

#endif
