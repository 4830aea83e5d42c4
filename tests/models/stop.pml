/* stop.pml: the world is stopped, by the service or by a mutator, while others park, sleep, wake up, leave.
 *
 * Models mid_block, mid_unblock, run_on, mid_park, claim_all, ask_running, claim_within, become_stopper, let_go, stop_over,
 * mid_world_stop, mid_world_resume (gc/stop.c), and `leave` (gc/thread.c). Two mutators; each stops the world itself, parks,
 * sleeps, or computes without a safepoint, then polls or leaves. The service stops it once; if it gave up, again when it is kicked.
 *
 *   mutator   state := BLOCKED, then looks at stop_wanted: signals, with `lock`. BLOCKED -> RUNNING by compare-and-swap, or with
 *             `lock` once nobody holds it. A request (`ask`) is taken away by who made it, or by the parked one if nobody waits.
 *   stopper   with `lock`: stopping; claims who is BLOCKED; if one is not: stop_wanted, then asks, then claims again, then waits.
 *             Goes on with `lock` held; lets go: who is in no region is `returning`: not claimed again before it has run,
 *             unless it finds that it has to wait for the next stop, and takes that back.
 *
 * Nobody touches the heap while it stands for another; who wants to run on waits for one stop at most. Deadlines may pass at any
 * time. With LAST_RESORT they pass when nothing else can happen, and then a thread must be computing, or the service have stayed
 * away: no wake-up and no request is lost.
 *
 * also: LAST_RESORT
 * live: LAST_RESORT
 * refute: BUG_LOOK_FIRST LAST_RESORT
 * refute: BUG_CLAIM_ONCE LAST_RESORT
 * refute: BUG_SIGNAL_UNLOCKED LAST_RESORT
 * refute: BUG_PARKED_UNASKS LAST_RESORT
 * refute: BUG_STOPPER_RETURNS LAST_RESORT
 * refute: BUG_LEAVER_RETURNS LAST_RESORT
 * refute: BUG_WAIT_RUNNING LAST_RESORT
 * refute: BUG_SILENT_RESUME
 * refute: BUG_NO_DEADLINE LAST_RESORT
 * refute: BUG_NO_RETURNING
 * refute: BUG_STORE_RUNNING
 * refute: BUG_TWO_STOPPERS LAST_RESORT
 * refute live: BUG_ASK_KEPT LAST_RESORT */
#include "entry.inc"

#define N 2
#define SERVICE 2
#define NOBODY 3

mtype = { RUNNING, BLOCKED, CLAIMED, ABSENT };
mtype state[N + 1] = RUNNING;
bool ask[N + 1], returning[N + 1], held[N + 1], in_region[N + 1];
bool lock, stopping, stop_wanted, kicked;
byte late = NOBODY;

bool waits[N + 1];            /* on the condition variable */
byte stands = NOBODY;         /* for whom */
bool computes[N], gave_up;
#define COMPUTES (computes[0] || computes[1])
#ifndef ROUNDS
#define ROUNDS 1
#define STOPS 1
#endif
bool parks[N + 1];
byte slices[N + 1];               /* stops that it saw since it wanted to run on */

#define BROADCAST() d_step { waits[0] = 0; waits[1] = 0; waits[SERVICE] = 0 }
#define WAIT(me) atomic { waits[me] = 1; lock = 0 }; atomic { !waits[me] && !lock -> lock = 1 }

#ifndef LAST_RESORT
#define DEADLINE waits[me]
#define EXCUSED(why) skip
#else
#define DEADLINE timeout
#define EXCUSED(why) assert(why)
#endif

/* `why` the deadline may pass. */
inline wait_until(me, passed, why) {
    atomic { waits[me] = 1; lock = 0 };
    if
    :: atomic { !waits[me] -> passed = 0 }
#ifndef BUG_NO_DEADLINE
    :: atomic { DEADLINE -> EXCUSED(why); waits[me] = 0; passed = 1 }
#endif
    fi;
    LOCK(lock)
}

inline touch(me) { assert(stands == NOBODY || stands == me) }

inline block(me, seen) {
#ifdef BUG_LOOK_FIRST
    seen = stop_wanted; state[me] = BLOCKED;
#else
    state[me] = BLOCKED; seen = stop_wanted;
#endif
    if
    :: seen ->
#ifndef BUG_SIGNAL_UNLOCKED
        LOCK(lock);
#endif
        BROADCAST();
#ifndef BUG_SIGNAL_UNLOCKED
        UNLOCK(lock)
#endif
    :: else
    fi
}

inline runs(me) { returning[me] = 0; slices[me] = 0; touch(me) }

/* With `lock`. */
inline run_on(me) {
    do
    :: atomic { state[me] == BLOCKED -> state[me] = RUNNING }; break
    :: atomic { state[me] != BLOCKED -> waits[me] = 1; lock = 0 }; atomic { !waits[me] && !lock -> lock = 1 }
    od;
    runs(me)
}

/* returning first, or a stopper could slip in twice. */
inline unblock(me, ok) {
#ifndef BUG_NO_RETURNING
    returning[me] = 1;
#endif
#ifdef BUG_STORE_RUNNING
    state[me] = RUNNING; ok = 1;
#else
    CAS(ok, state[me], BLOCKED, RUNNING);
#endif
    if
    :: ok -> runs(me)
    :: else -> LOCK(lock); run_on(me); UNLOCK(lock)
    fi
}

inline park(me, ok) {
    block(me, ok);
    LOCK(lock);
    if
    :: late == me -> late = NOBODY; UNLOCK(lock); kicked = 1; LOCK(lock)
    :: else
    fi;
    parks[me] = 1;
    do
    :: held[me] -> WAIT(me)
    :: !held[me] && stop_wanted && !returning[me] -> wait_until(me, ok, !stopping || COMPUTES); if :: ok -> break :: else fi
    :: else -> break
    od;
    parks[me] = 0;
#ifdef BUG_PARKED_UNASKS
    ask[me] = 0;
#endif
    if
#ifdef BUG_ASK_KEPT
    :: !stopping -> stop_wanted = 0
#else
    :: !stopping -> ask[me] = 0; stop_wanted = 0
#endif
    :: else
    fi;
    run_on(me);
    UNLOCK(lock)
}

/* One thread of claim_all; `runs_on` is one that could not be claimed. */
inline claim(me, i, runs_on) {
    if
    :: i == me || held[i] || state[i] == ABSENT
    :: else ->
        if
        :: returning[i] -> runs_on = i
        :: else -> CAS(held[i], state[i], BLOCKED, CLAIMED); if :: held[i] :: else -> runs_on = i fi
        fi
    fi
}

inline claim_all(me, runs_on) { runs_on = NOBODY; claim(me, 0, runs_on); claim(me, 1, runs_on) }

#define ASK(me, i) if :: i != me && state[i] != ABSENT && !held[i] -> ask[i] = 1 :: else fi
inline ask_running(me) { stop_wanted = 1; ASK(me, 0); ASK(me, 1) }

/* Null: the world stands. `lock` is given up while it waits. */
inline claim_within(me, runs_on, passed) {
    claim_all(me, runs_on);
    if
    :: runs_on != NOBODY ->
        ask_running(me);
        passed = 0;
#ifdef BUG_CLAIM_ONCE
        wait_until(me, passed, COMPUTES);
#endif
        do
        :: claim_all(me, runs_on);
            if
            :: runs_on == NOBODY || passed -> break
            :: else -> wait_until(me, passed, COMPUTES); ask_running(me)
            fi
        od
    :: else
    fi
}

inline let_go(i) {
    if
    :: held[i] ->
        held[i] = 0; ask[i] = 0;
#ifndef BUG_NO_RETURNING
        if :: !in_region[i] -> returning[i] = 1 :: else fi;
#endif
        state[i] = BLOCKED
    :: else
    fi
}

inline stop_over() {
    stopping = 0; stop_wanted = 0;
    let_go(0); let_go(1);
#ifndef BUG_SILENT_RESUME
    BROADCAST();
#endif
    UNLOCK(lock)
}

/* Let go by one stopper, and not to run before the next. */
inline claimable(me) {
    if
    :: me != SERVICE && returning[me] -> returning[me] = 0; BROADCAST()
    :: else
    fi
}

inline become_stopper(me, first, passed) {
#ifndef BUG_WAIT_RUNNING
    if :: me != SERVICE -> block(me, passed) :: else fi;
#endif
    LOCK(lock);
    passed = 0;
    do
    :: stopping && !passed ->
#ifndef BUG_STOPPER_RETURNS
        claimable(me);
#endif
        wait_until(me, passed, COMPUTES)
    :: else -> break
    od;
#ifdef BUG_TWO_STOPPERS
    first = 1;
#else
    first = !stopping;
#endif
    if :: first -> stopping = 1 :: else fi;
#ifndef BUG_WAIT_RUNNING
    if :: me != SERVICE -> run_on(me) :: else fi
#endif
}

#define STILL(me, i) (i == me || state[i] == ABSENT || (held[i] && state[i] == CLAIMED))
#define SAW(i) if :: held[i] && (parks[i] || returning[i]) -> slices[i]++; assert(slices[i] <= 1) :: else fi

/* mid_world_stop, what it is for, mid_world_resume. */
inline stop(me, first, passed, runs_on) {
    become_stopper(me, first, passed);
    if
    :: !first -> UNLOCK(lock)
    :: else ->
        claim_within(me, runs_on, passed);
        if
        :: runs_on == NOBODY ->
            d_step { assert(stands == NOBODY && STILL(me, 0) && STILL(me, 1)); stands = me };
            d_step { assert(stands == me && STILL(me, 0) && STILL(me, 1)); SAW(0); SAW(1); stands = NOBODY };
            stop_over()
        :: else ->
            if :: me == SERVICE -> late = runs_on :: else fi;
            stop_over();
            gave_up = 1;
            if
            :: me == SERVICE && state[runs_on] == RUNNING -> stop_wanted = 1; ask[runs_on] = 1 /* its request stands */
            :: else
            fi
        fi
    fi
}

inline leave(me, passed) {
    block(me, passed);
    LOCK(lock);
    do
    :: stopping || held[me] ->
#ifndef BUG_LEAVER_RETURNS
        claimable(me);
#endif
        WAIT(me)
    :: else -> break
    od;
    returning[me] = 0;
    state[me] = ABSENT;
    BROADCAST();
    UNLOCK(lock)
}

active [N] proctype mutator() {
    byte rounds; bool stopped, first, passed; byte runs_on;
    do
    :: rounds < ROUNDS -> rounds++;
        touch(_pid);
        if
        :: ask[_pid] -> park(_pid, passed)
        :: in_region[_pid] = 1; block(_pid, passed); unblock(_pid, passed); in_region[_pid] = 0
        :: !stopped -> stopped = 1; stop(_pid, first, passed, runs_on)
#ifdef LAST_RESORT
        :: computes[_pid] = 1;
end_computes:
            gave_up -> computes[_pid] = 0
#endif
        fi
    :: break
    od;
    if
    :: leave(_pid, passed)
    :: skip;
end:
        do
        :: ask[_pid] -> touch(_pid); park(_pid, passed)
        od
    fi
}

active proctype service() {
    byte times; bool first, passed; byte runs_on;
    do
    :: times < STOPS -> times++; stop(SERVICE, first, passed, runs_on)
    :: times == STOPS && kicked -> times++; stop(SERVICE, first, passed, runs_on)
    :: times >= STOPS -> break
    od
}
