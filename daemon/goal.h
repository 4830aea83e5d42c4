/* daemon/goal.h: what somebody asked the daemon for, as plans of one slice each. Pure, as decide.h is.
 *
 * There is at most one goal at a time. It goes before the rules, except while it rests after a slice; then they are heard. It ends
 * when it is reached, when it can get no further, or when it was refused GOAL_REFUSALS times in a row, a heartbeat apart. */
#ifndef MIDDEN_DAEMON_GOAL_H
#define MIDDEN_DAEMON_GOAL_H

#include "daemon/decide.h"

typedef struct mid_goal {
    mid_action action;  /* MID_ACT_COLLECT, COMPACT, DEEP or TRIM; NONE: there is no goal */
    bool over;          /* reached, or not to be: `status` says which */
    bool begun;         /* collect: a sweep that began after this was asked for */
    bool looked;        /* collect: all that is garbage has been found, and only frees are left */
    uint64_t ready_at;  /* resting until then */
    uint64_t refusals;  /* in a row */
    uint64_t barren;    /* slices in a row that got nowhere */
    mid_status status;
    mid_decision sum;   /* of what was done for it */
    uint64_t committed; /* bytes when it began */
} mid_goal;

void mid_goal_begin(mid_goal *goal, mid_action action, uint64_t committed_bytes);

/* Replace *plan if the goal wants a slice now. Returns when it wants to be asked again: 0 for now, MID_NEVER if there is none. */
uint64_t mid_goal_plan(mid_goal *goal, const mid_snapshot *s, const mid_options *o, bool large, uint64_t now, mid_work_plan *plan);

/* The same, without a plan. */
uint64_t mid_goal_wait(const mid_goal *goal, uint64_t now);

/* What came of its plan. */
void mid_goal_done(mid_goal *goal, const mid_work_plan *plan, const mid_outcome *out, const mid_decision *d, const mid_options *o,
                   uint64_t now);

#endif
