/* adopt.pml: a thread detaches, and another takes over its place, its number and its objects, while others send it messages.
 *
 * Models leave, find_place, enter, mid_thread_attach (gc/thread.c), deliver, mid_visit_idle, fold (gc/share.c), mid_uncount of the
 * owner (gc/count.h) and the claims of a stopper (gc/stop.c). X's object has three references: two are R's, one is in a slot, where
 * the next owner of the place may take it. X counted them all.
 *
 *   X    merges, state := BLOCKED; with `lock`, once no stopper holds it: ABSENT, then looks at its inbox.
 *   N    with `lock`: a place that is ABSENT: ask (by the inbox), RUNNING, then looks at the inbox; from then on it is the owner.
 *   R    releases: counts below zero in `shared`, the message into the inbox, then looks at the state. RUNNING: asks; else, with
 *        `lock`: BLOCKED or ABSENT -> CLAIMED (compare-and-swap), merges, puts the state back.
 *   S    claims X if it finds it BLOCKED, gives `lock` up while it waits for others, and lets X go: BLOCKED.
 *
 * `count` is written by one at a time; the object dies once, when nobody holds it; and it does, whether N comes or not.
 *
 * live:
 * refute: BUG_ATTACH_BLIND
 * refute: BUG_LEAVE_BLIND
 * refute: BUG_LEAVE_HELD
 * refute: BUG_RUNNING_VISITED
 * refute: BUG_ABSENT_LEFT_ALONE
 * refute: BUG_ATTACH_WITHOUT_LOCK */
#include "entry.inc"

mtype = { RUNNING, BLOCKED, CLAIMED, ABSENT };
mtype state = RUNNING;
bool lock, ask, held, attached = 1;

short shared = LIVE | ESCAPED;
byte counted = 3;         /* the owner's half */
bool slot = 1, freed;
byte inbox;

byte references = 3;      /* what is true */
bool writing;             /* `count` */

#define WRITE(statement) atomic { assert(!writing); writing = 1 }; statement; writing = 0

inline died() { assert(references == 0 && !freed); freed = 1; shared = FREE }

inline fold(s, own, ok) {
    ok = 0;
    do
    :: ok -> break
    :: else ->
        s = shared; own = counted;
        if
        :: !(s & LIVE) || !(s & QUEUED) -> break
        :: else ->
            if
            :: own * ONE + OTHERS(s) <= 0 -> atomic { if :: shared == s -> ok = 1; died() :: else fi }
            :: else -> CAS(ok, shared, s, FLAGS(s) & ~QUEUED); if :: ok -> counted = own + OTHERS(s) / ONE :: else fi
            fi
        fi
    od
}

/* As the owner, or with its rights. */
inline merge(s, own, ok) {
    WRITE(inbox = 0; fold(s, own, ok))
}

active proctype x() {
    short s; byte own; bool ok;
    do
    :: ask -> ask = 0; merge(s, own, ok)
    :: break
    od;
    if :: inbox -> merge(s, own, ok) :: else fi;
    state = BLOCKED;
    LOCK(lock);
#ifndef BUG_LEAVE_HELD
    do
    :: held -> UNLOCK(lock); !held; LOCK(lock)
    :: else -> break
    od;
#endif
    attached = 0;
    state = ABSENT;
#ifndef BUG_LEAVE_BLIND
    if :: inbox -> merge(s, own, ok) :: else fi;
#endif
    UNLOCK(lock)
}

active proctype n() {
    short s; byte own; bool ok;
    if :: goto stays_away :: skip fi;
#ifndef BUG_ATTACH_WITHOUT_LOCK
    LOCK(lock);
#endif
    if
    :: state == ABSENT ->
        ask = (inbox != 0);
        state = RUNNING;
#ifndef BUG_ATTACH_BLIND
        if :: inbox -> ask = 1 :: else fi;
#endif
        attached = 1
    :: else -> ok = 1 /* a place of its own */
    fi;
#ifndef BUG_ATTACH_WITHOUT_LOCK
    UNLOCK(lock);
#endif
    if :: ok -> goto stays_away :: else fi;
end:
    do
    :: ask -> ask = 0; merge(s, own, ok)
    :: atomic { slot -> slot = 0; references-- };
        own = counted;
        if
        :: own > 1 -> WRITE(counted = own - 1)
        :: else -> /* the last: R's are in `shared`, none of them held */
            s = shared;
            assert(own == 1 && OTHERS(s) == 0);
            CAS(ok, shared, s, FREE);
            assert(ok && references == 0 && !freed);
            freed = 1
        fi
    od;
stays_away:
    skip
}

active proctype r() {
    short s; byte own, times; bool ok, told; mtype seen;
    do
    :: times < 2 ->
        times++;
        atomic { references--; ok = 0 };
        do
        :: ok -> break
        :: else -> s = shared; told = !(s & QUEUED); CAS(ok, shared, s, (s - ONE) | QUEUED)
        od;
        if
        :: told ->
            inbox++; seen = state;
            if
            :: seen == RUNNING -> ask = 1
            :: else -> goto visit
            fi
        :: else
        fi;
on:
        skip
    :: else -> break
    od;
    goto out;
visit:
    LOCK(lock);
    seen = state;
    if
    :: inbox == 0 || seen == CLAIMED /* who holds it looks after it */
#ifdef BUG_RUNNING_VISITED
    :: inbox && seen == RUNNING -> merge(s, own, ok)
#else
    :: inbox && seen == RUNNING
#endif
    :: inbox && (seen == BLOCKED || seen == ABSENT) ->
#ifdef BUG_ABSENT_LEFT_ALONE
        if :: seen == ABSENT -> ok = 0 :: else -> CAS(ok, state, seen, CLAIMED) fi;
#else
        CAS(ok, state, seen, CLAIMED);
#endif
        if :: ok -> merge(s, own, ok); state = seen :: else fi
    fi;
    UNLOCK(lock);
    goto on;
out:
    skip
}

active proctype s() {
    LOCK(lock);
    if
    :: attached -> CAS(held, state, BLOCKED, CLAIMED)
    :: else
    fi;
    UNLOCK(lock);
    LOCK(lock);
    if
    :: held -> held = 0; state = BLOCKED
    :: else
    fi;
    UNLOCK(lock)
}

/* When nothing goes on any more: the slot's reference is left, or nothing. */
active proctype rest() {
    timeout -> assert((state == ABSENT || state == RUNNING) && inbox == 0 && freed == !slot);
    assert(freed || counted * ONE + OTHERS(shared) == ONE)
}
