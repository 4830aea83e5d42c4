/* daemon/act.h: carry a plan out: stop the world, do one slice, let it go on; to propose, to sweep and to read stops nobody. The only caller of
 * the heap's service calls that change anything. On the thread of the loop. */
#ifndef MIDDEN_DAEMON_ACT_H
#define MIDDEN_DAEMON_ACT_H

#include "daemon/decide.h"

/* CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID */
uint64_t mid_daemon_clock(void);
uint64_t mid_daemon_thread_clock(void);

/* `self`: the mutator, if the caller is it and at a safepoint; else null. `seen`: what the plan was made from. *outcome and
 * *decision are filled in completely. False: the growth that a collection was for is gone since `seen`, and the plan void. */
bool mid_act(mid_heap *heap, mid_thread *self, const mid_snapshot *seen, const mid_work_plan *plan, mid_outcome *outcome,
             mid_decision *decision);

/* Nobody is stopped for it. */
bool mid_beside(const mid_snapshot *seen, const mid_work_plan *plan);

/* The mutator was asked to stop in vain, and there is nothing to do any more: let it go on if it has arrived. False: it has
 * not yet; it will kick. */
bool mid_act_release(mid_heap *heap, mid_thread *self);

#endif
