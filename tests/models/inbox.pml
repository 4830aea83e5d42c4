/* inbox.pml: a message to an owner that may run, sleep, be claimed, or stop the world itself.
 *
 * Models deliver, mid_inboxes_visit (gc/share.c), mid_blocked_enter, mid_blocked_leave (gc/thread.c), mid_serve (gc/safepoint.c), mid_block,
 * mid_unblock, run_on, become_stopper, let_go (gc/stop.c). Messages are counted; that one is merged twice does no harm (merge.pml).
 *
 *   X   the owner: enters a region: state := BLOCKED, then looks at its inbox; leaves it: BLOCKED -> RUNNING by compare-and-swap,
 *       else waits with `lock` until nobody claims it, then looks at its inbox. To stop the world it is BLOCKED for a moment in the
 *       same way. At a safepoint it merges if it was asked to.
 *   R   puts the message into the inbox, then looks at X's state. RUNNING: asks. Else, with `lock`: BLOCKED -> CLAIMED, merges,
 *       -> BLOCKED; claimed by another: once more before it sleeps itself.
 *   S   with `lock`: claims X if it is BLOCKED, gives `lock` up while it waits for others; lets X go with `lock`, having merged
 *       for it if it is in a region.
 *
 * At the end X polls, or sleeps for good, and no message may be left.
 *
 * live:
 * refute: BUG_LOOK_BEFORE_PUSH
 * refute: BUG_BLOCK_BLIND
 * refute: BUG_RUN_BLIND
 * refute: BUG_LET_GO_BLIND
 * refute: BUG_VISIT_WITHOUT_LOCK */
#include "entry.inc"

mtype = { RUNNING, BLOCKED, CLAIMED };
mtype state = RUNNING;
bool lock, ask, in_region, r_sleeps;
byte inbox;

inline merge() { inbox = 0 }

/* state: BLOCKED -> RUNNING; `lock` is given up while somebody else has the claim. */
inline run_on(ok) {
    LOCK(lock);
    do
    :: CAS(ok, state, BLOCKED, RUNNING); if :: ok -> break :: else fi;
        UNLOCK(lock);
        state != CLAIMED;
        LOCK(lock)
    od;
    UNLOCK(lock);
#ifndef BUG_RUN_BLIND
    if :: inbox -> ask = 1 :: else fi
#endif
}

inline unblock(ok) {
    CAS(ok, state, BLOCKED, RUNNING);
    if :: !ok -> run_on(ok) :: else fi
}

active proctype x() {
    byte rounds; bool ok;
    do
    :: rounds < 2 -> rounds++;
        if
        :: in_region = 1;
            state = BLOCKED;
#ifndef BUG_BLOCK_BLIND
            do
            :: inbox -> unblock(ok); merge(); state = BLOCKED
            :: else -> break
            od;
#endif
            if :: rounds == 2 -> goto sleeps :: skip fi;
            unblock(ok);
            in_region = 0;
            if :: ask || inbox -> ask = 0; merge() :: else fi
        :: state = BLOCKED; run_on(ok)
        :: ask -> ask = 0; merge()
        fi
    :: rounds == 2 -> goto polls
    od;
polls:
end:
    do
    :: ask -> ask = 0; merge()
    od;
sleeps:
end_asleep:
    false
}

inline visit(ok, again) {
#ifndef BUG_VISIT_WITHOUT_LOCK
    LOCK(lock);
#endif
    again = 0;
    if
    :: inbox -> CAS(ok, state, BLOCKED, CLAIMED);
        if
        :: ok -> merge(); state = BLOCKED
        :: !ok -> again = (state == CLAIMED)
        fi
    :: else
    fi;
#ifndef BUG_VISIT_WITHOUT_LOCK
    UNLOCK(lock)
#endif
}

active proctype r() {
    mtype seen; bool ok, again;
#ifdef BUG_LOOK_BEFORE_PUSH
    seen = state; inbox++;
#else
    inbox++; seen = state;
#endif
    if
    :: seen == RUNNING -> ask = 1
    :: else -> visit(ok, again); if :: again -> visit(ok, again) :: else fi
    fi;
    r_sleeps = 1
}

active proctype s() {
    bool held;
    LOCK(lock);
    CAS(held, state, BLOCKED, CLAIMED);
    UNLOCK(lock);
    if :: r_sleeps :: skip fi; /* comes, or is late */
    LOCK(lock);
    if
    :: held ->
#ifndef BUG_LET_GO_BLIND
        if :: in_region && inbox -> merge() :: else fi;
#endif
        state = BLOCKED
    :: else
    fi;
    UNLOCK(lock)
}

active proctype rest() {
    timeout -> assert(inbox == 0)
}
