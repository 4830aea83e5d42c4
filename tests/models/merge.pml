/* merge.pml: an object that its owner and two others count, and let go of, while the owner runs, sleeps, and wakes up.
 *
 * Models mid_uncount of the owner (gc/count.h), mid_last_shared, mid_uncount_other, count_up, fold, mid_inbox_merge, deliver,
 * mid_visit_idle (gc/share.c). One name, for two objects in turn, so that a message may come late. X makes an object and counts
 * three references: one it holds, two are in slots, where the others take them. L2 may have one more, counted in `shared`.
 *
 *   X     its half: plain loads and stores. Its last: if `shared` is LIVE and nothing else, it is dead. Else count := UNOWNED, then
 *         in `shared`, in one step: zero: dead; more: MERGED. A message: if it still is the owner and QUEUED stands: sum of both
 *         halves zero: dead; else it takes the others' half over: `shared` first, if it has not changed, then count.
 *   L     `shared` - 1, in one step: MERGED and zero: dead. Not MERGED and below zero: QUEUED in the same step, then a message. If X
 *         does not run L merges in its place: BLOCKED -> CLAIMED, with `lock`.
 *
 * An object dies once, when nobody holds it, and does die, also if X sleeps for good. `count` has one writer at a time, and is that
 * of a dead object in the end. First loads and `dying` are load.pml's.
 *
 * also: ONE_OBJECT
 * refute: BUG_UNOWNED_LATE
 * refute: BUG_MERGED_STORED
 * refute: BUG_FOLD_STORE ONE_OBJECT
 * refute: BUG_FOLD_ANYBODYS ONE_OBJECT
 * refute: BUG_QUEUED_FOR_EVER ONE_OBJECT
 * refute: BUG_QUEUED_APART ONE_OBJECT
 * refute: BUG_TOLD_FIRST
 * refute: BUG_RUNNING_VISITED
 * refute: BUG_DIES_WITH_OWNER */
#include "entry.inc"

#ifdef ONE_OBJECT
#define OBJECTS 1
#define SLOTS 2
#define UPS 2
#define RESTS 1
#else
#define OBJECTS 2
#define SLOTS 1
#define UPS 1
#define RESTS 2
#endif

#define DEAD 0 /* owners */
#define SELF 1
#define UNOWNED 2

mtype = { RUNNING, BLOCKED, CLAIMED };
mtype state = RUNNING;
bool lock;

short shared = FREE;
byte owner, counted;   /* the two parts of `count` */
byte slots;             /* that refer to it */
byte inbox;

byte held[3];          /* what is true: references of L1, L2, X */
byte object;           /* how many there were */
bool alive, writing;   /* somebody has read `count` and is about to write it */

#define X 2

#define BEGIN() atomic { assert(!writing); writing = 1 }
#define END() writing = 0
#define COUNT(who, n) d_step { owner = who; counted = n }

inline died() { assert(alive && held[0] + held[1] + held[X] + slots == 0); alive = 0 }
#define DIE(ok, old) atomic { if :: shared == old -> died(); shared = FREE; ok = 1 :: else -> ok = 0 fi }
#define TRY(ok) ok = 0; do :: ok -> break :: else -> s = shared

inline count_up(s, ok) {
    TRY(ok);
        assert(s & LIVE);
        CAS(ok, shared, s, s + ONE)
    od
}

/* By who is not the owner, or no longer. */
inline uncount(s, ok, tell) {
    TRY(ok);
        assert(s & LIVE);
        tell = !(s & (MERGED | QUEUED)) && OTHERS(s) <= 0;
        if
#ifdef BUG_DIES_WITH_OWNER
        :: OTHERS(s) == ONE -> DIE(ok, s); if :: ok -> COUNT(DEAD, 0) :: else fi
#else
        :: (s & MERGED) && OTHERS(s) == ONE -> DIE(ok, s); if :: ok -> COUNT(DEAD, 0) :: else fi
#endif
        :: else ->
#ifdef BUG_TOLD_FIRST
            if :: tell -> inbox++ :: else fi;
#endif
#ifdef BUG_QUEUED_APART
            CAS(ok, shared, s, s - ONE);
            if :: ok && tell -> shared = s - ONE | QUEUED :: else fi
#else
            CAS(ok, shared, s, (tell -> (s - ONE) | QUEUED : s - ONE))
#endif
        fi
    od
}

/* As the owner, or with its rights. */
inline fold(s, ok, n, who) {
    BEGIN();
    d_step { who = owner; n = counted };
    if
#ifndef BUG_FOLD_ANYBODYS
    :: who != SELF
    :: who == SELF ->
#else
    :: 1 ->
#endif
        TRY(ok);
            if
            :: !(s & LIVE) || !(s & QUEUED) -> break
            :: (s & LIVE) && (s & QUEUED) && n * ONE + OTHERS(s) <= 0 -> DIE(ok, s); if :: ok -> COUNT(DEAD, 0) :: else fi
            :: (s & LIVE) && (s & QUEUED) && n * ONE + OTHERS(s) > 0 ->
#ifdef BUG_FOLD_STORE
                shared = FLAGS(s) & ~QUEUED; ok = 1;
#elif defined BUG_QUEUED_FOR_EVER
                CAS(ok, shared, s, FLAGS(s));
#else
                CAS(ok, shared, s, FLAGS(s) & ~QUEUED);
#endif
                if :: ok -> counted = n + OTHERS(s) / ONE :: else fi
            fi
        od
    fi;
    END()
}

inline merge(s, ok, n, who) {
    do
    :: inbox -> inbox--; fold(s, ok, n, who)
    :: else -> break
    od
}

inline visit(s, ok, n, who) {
    LOCK(lock);
#ifdef BUG_RUNNING_VISITED
    merge(s, ok, n, who);
#else
    CAS(ok, state, BLOCKED, CLAIMED);
    if :: ok -> merge(s, ok, n, who); state = BLOCKED :: else fi;
#endif
    UNLOCK(lock)
}

inline let_go(s, ok, tell, n, who) {
    uncount(s, ok, tell);
    if
    :: tell ->
#ifndef BUG_TOLD_FIRST
        inbox++;
#endif
        if
#ifndef BUG_RUNNING_VISITED
        :: state == RUNNING
#endif
        :: else -> visit(s, ok, n, who)
        fi
    :: else
    fi
}

/* --- the owner -------------------------------------------------------------------------------------------------------------- */

inline last(s, ok) {
    s = shared;
    if
    :: s == LIVE -> d_step { died(); owner = DEAD; counted = 0; shared = FREE }
    :: else ->
#ifndef BUG_UNOWNED_LATE
        COUNT(UNOWNED, 0);
#endif
        TRY(ok);
            if
#ifdef BUG_MERGED_STORED
            :: OTHERS(s) > 0 -> shared = s | MERGED; ok = 1
#else
            :: OTHERS(s) > 0 -> CAS(ok, shared, s, s | MERGED)
#endif
            :: else -> DIE(ok, s); if :: ok -> COUNT(DEAD, 0) :: else fi
            fi
        od;
#ifdef BUG_UNOWNED_LATE
        if :: s & LIVE -> COUNT(UNOWNED, 0) :: else fi
#endif
    fi
}

inline release_own(s, ok, n) {
    BEGIN();
    n = counted;
    if
    :: n > 1 -> counted = n - 1
    :: else -> last(s, ok)
    fi;
    END()
}

/* Fresh, perhaps put into a slot or two; or stored, and counted by L2. */
inline make() {
    d_step { object++; alive = 1; held[X] = 1; owner = SELF; counted = 1; shared = LIVE };
    if
    :: d_step { counted = 1 + SLOTS; slots = SLOTS }
    :: d_step { counted = 1 + SLOTS; slots = SLOTS; shared = LIVE | ESCAPED | ONE; held[1] = 1 }
    :: d_step { shared = LIVE | ESCAPED | ONE; held[1] = 1 }
    fi
}

active proctype l1() {
    short s; bool ok, tell; byte n, who, ups;
end:
    do
    :: atomic { slots -> slots--; held[0]++ }
    :: held[0] && ups < UPS -> ups++; count_up(s, ok); held[0]++
#ifdef ONE_OBJECT
    :: atomic { held[0] && slots < SLOTS -> held[0]--; slots++ }
#endif
    :: atomic { held[0] -> held[0]-- }; let_go(s, ok, tell, n, who)
    od
}

active proctype l2() {
    short s; bool ok, tell; byte n, who;
end:
    do
#ifndef ONE_OBJECT
    :: atomic { slots -> slots--; held[1]++ }
#endif
    :: atomic { held[1] -> held[1]-- }; let_go(s, ok, tell, n, who)
    od
}

active proctype x() {
    short s; bool ok, tell, more = 1; byte n, who, rests;
    do
    :: !alive && owner == DEAD && object < OBJECTS -> make()
    :: inbox -> inbox--; fold(s, ok, n, who)
#ifdef ONE_OBJECT
    :: atomic { slots -> slots--; held[X]++ }
#else
    :: held[X] && more -> more = 0;
        BEGIN(); n = counted; counted = n + 1; END(); /* what it holds here it owns */
        held[X]++
#endif
    :: atomic { held[X] -> held[X]-- };
        if
        :: owner == SELF -> release_own(s, ok, n)
#ifdef ONE_OBJECT
        :: else -> uncount(s, ok, tell); assert(!tell)
#endif
        fi
    :: rests < RESTS -> rests++;
        state = BLOCKED;
        do
        :: inbox -> atomic { state == BLOCKED -> state = RUNNING }; merge(s, ok, n, who); state = BLOCKED
        :: else -> break
        od;
        if
        :: object == OBJECTS && held[X] == 0 -> goto sleeps
        :: atomic { state == BLOCKED -> state = RUNNING }
        fi
    :: object == OBJECTS && held[X] == 0 -> break
    od;
end:
    do
    :: inbox -> inbox--; fold(s, ok, n, who)
    od;
sleeps:
end_asleep:
    false
}

/* When nothing goes on any more: */
active proctype rest() {
    timeout -> assert(!alive && object == OBJECTS && owner == DEAD && inbox == 0)
}
