/* work.pml: dead objects on the list of a thread that goes to sleep, and messages for one that sleeps: somebody sees to them.
 *
 * Models leave_work, mid_blocked_enter (gc/thread.c), mid_exchange_news, mid_serve (gc/safepoint.c), mid_visit_idle, work_for,
 * deliver, mid_outbox_flush (gc/share.c). X has dead objects when it goes to sleep; one of them holds what Z owns, who sleeps
 * already. Two others attach, and only poll; one of them may let go of an object of Z's, and flush that message outside a
 * safepoint.
 *
 *   X       state := BLOCKED; if it leaves work: orphans := 1, then asks everybody who is attached.
 *   poller  attached := 1, then looks at orphans.
 *   poller  asked, with a visit of its own due or orphans: with `lock`: orphans := 0 (seen by all before it looks at anybody);
 *           each thread with messages or work that is BLOCKED: CLAIMED, merges, frees one, BLOCKED. What is left: orphans := 1. A
 *           message for one that does not run: a visit is due, and it asks itself.
 *
 * In the end nothing is left with anybody who sleeps.
 *
 * live:
 * refute: BUG_ASKED_BEFORE_ASLEEP
 * refute: BUG_VISIT_UNASKED
 * refute: BUG_CLEARED_LATE
 * refute: BUG_LEFT_UNSAID
 * refute: BUG_SERVED_ONCE
 * refute: BUG_ATTACH_BLIND */
#include "entry.inc"

mtype = { RUNNING, BLOCKED, CLAIMED };

#define X 0 /* threads with objects; pollers are processes 0 and 1 */
#define Z 1

mtype state[2] = BLOCKED;
byte work[2], news[2];
bool holds_zs;            /* X's next dead object */
bool lock, orphans, attached[2], ask[2], visit[2];

inline due(me) {
    visit[me] = 1;
#ifndef BUG_VISIT_UNASKED
    ask[me] = 1
#endif
}

/* A dead object of `of` is freed. */
inline free_one(me, whose) {
    work[whose]--;
    if
    :: whose == X && holds_zs -> holds_zs = 0; news[Z]++; due(me)
    :: else
    fi
}

inline work_for(me, whose, ok) {
    if
    :: news[whose] || work[whose] ->
        CAS(ok, state[whose], BLOCKED, CLAIMED);
        if
        :: ok ->
            work[whose] = work[whose] + news[whose]; news[whose] = 0;
            free_one(me, whose);
#ifndef BUG_LEFT_UNSAID
            if :: work[whose] -> orphans = 1 :: else fi;
#endif
            state[whose] = BLOCKED
        :: else
        fi
    :: else
    fi
}

inline visit_idle(me, ok) {
    LOCK(lock);
    visit[me] = 0;
#ifdef BUG_CLEARED_LATE
    work_for(me, X, ok); work_for(me, Z, ok); orphans = 0;
#else
    orphans = 0; work_for(me, X, ok); work_for(me, Z, ok);
#endif
    UNLOCK(lock)
}

active [2] proctype poller() {
    bool ok, done = _pid;
    if :: done = 1 :: skip fi;
    attached[_pid] = 1;
#ifndef BUG_ATTACH_BLIND
    if :: orphans -> ask[_pid] = 1 :: else fi;
#endif
end:
    do
    :: ask[_pid] ->
        ask[_pid] = 0;
        if
        :: visit[_pid] || orphans -> visit_idle(_pid, ok)
        :: else
        fi;
#ifndef BUG_SERVED_ONCE
        if :: orphans -> ask[_pid] = 1 :: else fi
#endif
    :: !done -> done = 1;
        atomic { news[Z]++ };
        due(_pid)
    od
}

#define ASK(i) if :: attached[i] -> ask[i] = 1 :: else fi
inline leave_work() { orphans = 1; ASK(0); ASK(1) }

active proctype x() {
    bool ok;
    d_step { state[X] = RUNNING; work[X] = 3; holds_zs = 1 };
    if :: d_step { work[X]--; holds_zs = 0 } :: skip fi;
#ifdef BUG_ASKED_BEFORE_ASLEEP
    leave_work();
    state[X] = BLOCKED;
#else
    state[X] = BLOCKED;
    leave_work();
#endif
    if
    :: goto sleeps
    :: do
        :: CAS(ok, state[X], BLOCKED, RUNNING); if :: ok -> break :: else -> state[X] != CLAIMED fi
        od
    fi;
    do
    :: work[X] -> work[X]--
    :: else -> break
    od;
sleeps:
end_asleep:
    false
}

active proctype rest() {
    timeout -> assert(work[X] == 0 && work[Z] == 0 && news[Z] == 0)
}
