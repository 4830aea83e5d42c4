/* transfer.pml: an object changes its owner (mid_transfer) while others come with its name, and while others let go of it.
 *
 * Models hand_over (gc/transfer.c), mid_load of the new owner (inline.h), mid_uncount_other, put, fold and mid_inbox_merge
 * (gc/share.c). X makes one object after the other under one name, each in a slot that others see too. The first it takes out
 * again, and frees. Of the second it holds a reference besides; it makes Y its owner, and gives that reference to Y.
 *
 *   X    reads shared; LIVE exactly: count := Y and what X counted (one store). What it finds in its inbox and does not own, it
 *        passes on to who does: who sent it had read the count before.
 *   Y    loads: reads the slot, reads count; if it is its own, reads the slot again, and counts with a plain store.
 *   L    takes what is in a slot (exchange) and lets go of it: shared := shared - 1 and QUEUED, then reads count for the owner,
 *        then puts the name into the owner's inbox.
 *
 * First loads, which count in `shared`, are load.pml's.
 *
 * live:
 * refute: BUG_NO_SECOND_READING
 * refute: BUG_NOT_PASSED_ON */
#include "entry.inc"

#define X 1
#define Y 2

short shared = FREE;
byte owner, counted; /* the two parts of `count`: read together, written together */
byte slot[2];
byte hand;           /* X's reference on its way to Y */
byte inbox[4];
byte object;         /* which of the two has the name */
byte held;           /* references of threads, whatever the counts say */

inline died() {
    assert(held + slot[0] + slot[1] + hand == 0);
    shared = FREE; owner = 0; counted = 0
}

/* mid_release by the owner `me`; its reference is gone from here on. */
inline release_own(me, s) {
    if
    :: atomic { counted > 1 -> assert(owner == me); held-- }; counted--
    :: atomic { counted == 1 -> assert(owner == me); held-- };
        s = shared;
        assert(s == LIVE); /* nobody here counts up in shared */
        d_step { died() }
    fi
}

/* By who is not the owner. The owner is looked up after the exchange, and told later. */
inline release_shared(s, ok, to) {
    atomic { assert(held > 0); held--; ok = 0 };
    do
    :: ok -> break
    :: else ->
        s = shared;
        assert(s & LIVE);
        if
        :: OTHERS(s) <= 0 && !(s & QUEUED) ->
            CAS(ok, shared, s, (s - ONE) | QUEUED);
            if :: ok -> to = owner; if :: to == X || to == Y -> inbox[to]++ :: else fi :: else fi
        :: else -> CAS(ok, shared, s, s - ONE)
        fi
    od
}

/* By the owner: the others' half comes over. */
inline fold(me, s, ok) {
    ok = 0;
    do
    :: ok || owner != me || !(shared & LIVE) || !(shared & QUEUED) -> break
    :: else ->
        s = shared;
        if
        :: !(s & LIVE) || !(s & QUEUED) -> break
        :: else ->
            if
            :: counted * ONE + OTHERS(s) <= 0 -> atomic { if :: shared == s -> ok = 1; died() :: else fi }
            :: else -> CAS(ok, shared, s, FLAGS(s) & ~QUEUED);
                if :: ok -> counted = counted + OTHERS(s) / ONE :: else fi
            fi
        fi
    od
}

inline merge(me, s, ok) {
    inbox[me]--;
    if
    :: owner == me -> fold(me, s, ok)
#ifndef BUG_NOT_PASSED_ON
    :: (owner == X || owner == Y) && owner != me -> inbox[owner]++
#endif
    :: else
    fi
}

active proctype x() {
    short s; bool ok;
    /* the first object */
    d_step { owner = X; counted = 1 }; shared = LIVE;
    slot[0] = 1;
    do
    :: atomic { slot[0] -> slot[0] = 0; held++ }; release_own(X, s)
    :: inbox[X] -> merge(X, s, ok)
    :: !(shared & LIVE) -> break
    od;
    /* the second */
    object = 1;
    d_step { owner = X; counted = 2; held++ }; shared = LIVE;
    slot[1] = 1;
    s = shared;
    if
    :: s == LIVE && owner == X -> owner = Y
    :: else
    fi;
    atomic { held--; hand = 1 };
end:
    do
    :: inbox[X] -> merge(X, s, ok)
    od
}

active proctype y() {
    byte at, value, to; short s; bool ok;
    if :: at = 0 :: at = 1 fi;
    value = slot[at];
    if
    :: value && owner == Y ->
#ifndef BUG_NO_SECOND_READING
        value = slot[at];
#endif
        if
        :: value -> assert(object == at); atomic { counted++; held++ }; release_own(Y, s)
        :: else
        fi
    :: else
    fi;
    atomic { hand -> hand = 0; held++ };
    if
    :: owner == Y -> release_own(Y, s)
    :: else -> release_shared(s, ok, to)
    fi;
end:
    do
    :: inbox[Y] -> merge(Y, s, ok)
    od
}

active proctype l() {
    byte to; short s; bool ok;
end:
    do
    :: atomic { slot[0] -> slot[0] = 0; held++ }; release_shared(s, ok, to)
    :: atomic { slot[1] -> slot[1] = 0; held++ }; release_shared(s, ok, to)
    od
}

/* When nothing goes on any more, nothing may be left. */
active proctype rest() {
    timeout -> assert(shared == FREE && held + hand == 0)
}
