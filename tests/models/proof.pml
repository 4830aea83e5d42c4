/* proof.pml: a set is proposed as garbage while mutators run, and proved and freed in one stop.
 *
 *   collector  while they run: adds up what the slots of a set refer to, drops whose count is not that, begins again with what
 *              remains. Then in one stop, for what is left: references recounted from current slots, dropped whose count is not
 *              that, until nothing drops; weak references cleared; freed. Who has a finalizer is not: it and what it reaches get
 *              a count each. When the finalizers have run, in another stop, those are given back, and the set is proved again.
 *   finalizer  any number of a mutator's calls, with its object besides: it may store it, take out what it holds, make weak
 *              references to it.
 *
 * With ANY_SET the proposal is any set at all: soundness is the recount's alone. When all is quiet, one more proof of all there is
 * leaves nothing but what somebody can reach.
 *
 * also: ANY_SET HANDS=2
 * also: MUTATORS=2 SMALL
 * refute: BUG_PROPOSAL_FREED
 * refute: BUG_COUNT_UNCHANGED
 * refute: BUG_NO_STOP
 * refute: BUG_WEAK_KEPT
 * refute: BUG_NO_RECOUNT
 * refute: BUG_JUDGED_EARLY
 * refute: BUG_HOLDS_KEPT */
#include "graph.inc"

byte due; /* whose finalizers have not run */

#define ACTS acts
#define INITABLE(x) HAS(fresh, x)
#define UPGRADABLE(v) HAS(cells, v)
#define OWN_CALLS \
    :: _pid == 0 && s && s <= OBJECTS && HAS(due, s) && !dying -> dying = s; due = due & ~BIT(s); goto done \
    :: _pid == 0 && s == 0 && dying -> dying = 0; goto done \
    :: _pid == 0 && s == 0 && dying && !HAS(cells, dying) -> cells = cells | BIT(dying); goto done \
    :: _pid == 0 && s == 0 && dying && !MINE(h) -> call = RETAIN; v = dying
#include "mutator.inc"

#ifdef BUG_WEAK_KEPT
#define KEEP_WEAK(x) cells = cells | BIT(x)
#else
#define KEEP_WEAK(x) skip
#endif

#ifdef BUG_COUNT_UNCHANGED
/* What was balanced when it was proposed, and is counted as often now. */
inline unchanged(set, x) {
    x = 1;
    do
    :: x <= OBJECTS && HAS(set, x) && count[x] != found[x] -> set = 0
    :: x <= OBJECTS && !(HAS(set, x) && count[x] != found[x]) -> x++
    :: else -> break
    od;
    x = 0
}
#endif

inline free_all(set, s, x, v) {
    reachable(v, s); assert(!(v & set));
    gone = set; x = 1;
    do
    :: x <= OBJECTS -> if :: HAS(set, x) -> free_one(x, set, s, v); KEEP_WEAK(x) :: else fi; x++
    :: else -> break
    od;
    x = 0
}

inline hold(set, more, x) {
    x = 1;
    do
    :: x <= OBJECTS -> if :: HAS(set, x) -> count[x] = count[x] + more :: else fi; x++
    :: else -> break
    od;
    x = 0
}

active proctype collector() {
    byte members, held, s, x, v; bool dropped;
    atomic { any_heap(s, x); ready = 1 };
#ifdef ANY_SET
    pick(members, ALL);
#else
    members = live;
    do
    :: atomic { d_step { forget_found(); dropped = 0 }; x = 1 };
        read_slots(members, s);
        do
        :: x <= OBJECTS ->
            atomic {
                if
                :: HAS(members, x) && count[x] != found[x] -> members = members & ~BIT(x); dropped = 1
                :: else
                fi;
                x++ }
        :: else -> break
        od;
        if :: !dropped -> break :: else fi
    od;
#endif
#ifdef BUG_NO_STOP
    prove(members, s, x);
#endif
    atomic { STILL -> fresh = 0;
        members = members & live;
#if defined(BUG_COUNT_UNCHANGED)
        d_step { unchanged(members, x) };
#elif defined(BUG_PROPOSAL_FREED)
#elif !defined(BUG_NO_STOP)
        d_step { prove(members, s, x) };
#endif
        d_step { forget_found() };
        pick(held, ALL); held = held & members;
        d_step {
            due = held; close_over(held, s); held = held & members;
            cells = cells & ~held;
            hold(held, 1, x);
            members = members & ~held;
            free_all(members, s, x, v); members = 0
        }
    };
    /* the finalizers run */
#ifdef BUG_JUDGED_EARLY
    atomic { STILL && !due -> fresh = 0;
#else
    atomic { STILL && !due && !dying -> fresh = 0;
#endif
        d_step {
#ifndef BUG_HOLDS_KEPT
            hold(held, -1, x);
#endif
#ifndef BUG_NO_RECOUNT
            prove(held, s, x);
#endif
            free_all(held, s, x, v); held = 0;
            last = 1
        }
    };
    /* when all is quiet: nothing is left but what somebody can reach */
    atomic { ended == MUTATORS ->
        d_step {
            members = live; prove(members, s, x); free_all(members, s, x, v);
            reachable(members, s); assert(live == (members & ~1)); members = 0
        }
    }
}
