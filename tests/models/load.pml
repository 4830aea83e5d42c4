/* load.pml: mid_load against mid_store, mid_swap and the death of what the slot referred to.
 *
 * Models mid_load, mid_swap (inline.h), mid_load_slow_, force_escape, mid_escape_, mid_uncount_other, mid_last_shared (gc/share.c),
 * mid_uncount and mid_decided (gc/count.h), and the reuse of an entry under the same name. One name, used for two objects in turn; a slot
 * for each of them, so that a loader may come with the first one's name when it is the second's.
 *
 *   owner    makes an object (shared := LIVE, plain), puts it into its slot (mid_init: as it is; mid_store: ESCAPED, then the
 *            exchange) or gives its count to the storer; takes it out of the slot (exchange) and drops it: dying := name
 *            (plain), read shared; LIVE exactly: shared := free link, then dying := 0 (both plain). Else atomically.
 *   storer   ESCAPED, then the exchange; or takes what is in a slot and drops it, which the owner may have counted: to its inbox.
 *   loader   reads the slot, reads shared. ESCAPED or MERGED: counts with compare-and-swap, reads the slot again, undoes it if
 *            that has changed. Neither: with the lock for it,
 *            sets ESCAPING, membarrier, waits until nobody's dying is the name, turns ESCAPING into ESCAPED; and begins again.
 *            The lock is because ESCAPING may only be turned on the object that it was set on, which may have died since.
 *
 * Plain stores of the owner go through a store buffer, in order; its locked operations, and anybody's membarrier, find that
 * empty. Everything else is interleaved as it stands.
 *
 * refute: BUG_NO_SECOND_READING
 * refute: BUG_PARITY
 * refute: BUG_NO_MEMBARRIER
 * refute: BUG_NO_WAIT
 * refute: BUG_DYING_CLEARED_FIRST
 * refute: BUG_DYING_KEPT
 * refute: BUG_ESCAPED_LATE
 * refute: BUG_ESCAPED_AT_ONCE
 * refute: BUG_NO_LOCK LOADERS=3 SMALL */
#include "entry.inc"

#ifndef LOADERS
#define LOADERS 2
#endif

#define AT_DYING 0
#define AT_SHARED 1
chan buffer = [4] of { byte, short };
#define DRAINED empty(buffer)

short shared = FREE;
byte dying;
byte slot[2];
byte hand;            /* an owner's count on its way to the storer: slot + 1 */
byte inbox;
bool escapes;         /* the lock */

/* What is true, whatever the counts say: references held by loaders, owner, storer. */
byte held;
byte object;           /* which of the two has the name */

inline died() { assert(held == 0 && slot[0] + slot[1] + hand == 0) }

#define DIE(ok, old) atomic { if :: shared == old -> died(); shared = FREE; ok = 1 :: else -> ok = 0 fi }


/* mid_release by one who is not the owner. The reference is no longer held from here on. */
inline release_shared(s, ok) {
    atomic { assert(held > 0); held--; ok = 0 };
    do
    :: ok -> break
    :: else ->
        s = shared;
        assert(s & LIVE);
        if
        :: (s & MERGED) && OTHERS(s) == ONE -> DIE(ok, s)
        :: !(s & MERGED) && OTHERS(s) == 0 && !(s & QUEUED) -> CAS(ok, shared, s, (s - ONE) | QUEUED); if :: ok -> inbox++ :: else fi
        :: else -> CAS(ok, shared, s, s - ONE)
        fi
    od
}

active proctype store_buffer() {
    byte at; short value;
end:
    do
    :: atomic { buffer ? at, value -> if :: at == AT_DYING -> dying = value :: else -> shared = value fi }
    od
}

/* count is UNOWNED: what the owner counted moves over. */
inline merge(s, ok, own) {
    ok = 0;
    do
    :: ok -> break
    :: else ->
        s = shared;
        if
        :: OTHERS(s) + own == 0 -> DIE(ok, s)
        :: else -> CAS(ok, shared, s, (s + own) | MERGED)
        fi
    od
}

inline die_plainly() {
    died();
#ifdef BUG_DYING_CLEARED_FIRST
    buffer ! AT_DYING, 0; buffer ! AT_SHARED, FREE
#else
    buffer ! AT_SHARED, FREE;
#ifndef BUG_DYING_KEPT
    buffer ! AT_DYING, 0
#endif
#endif
}

active proctype owner() {
    short s; bool ok;
    do
    :: object == 2 -> break
    :: else ->
        assert(shared == FREE);
        buffer ! AT_SHARED, LIVE;
        if
        :: DRAINED -> slot[object] = 1 /* mid_init; the holder is published */
#ifndef SMALL
        :: DRAINED -> ok = 0;
            do :: ok -> break :: else -> s = shared; CAS(ok, shared, s, s | ESCAPED) od;
            slot[object] = 1 /* mid_store */
        :: DRAINED -> hand = object + 1
#endif
        fi;
        do
        :: atomic { DRAINED && slot[object] -> slot[object] = 0 };
            buffer ! AT_DYING, 1;
            s = shared; /* which is not in the buffer */
            if
            :: s == LIVE -> die_plainly()
            :: else -> buffer ! AT_DYING, 0; DRAINED; merge(s, ok, 0)
            fi
        :: DRAINED && inbox -> inbox--; merge(s, ok, ONE)
        :: DRAINED && !(shared & LIVE) -> break
        od;
        object++
    od
}

#ifndef SMALL
active proctype storer() {
    byte at; short s; bool ok;
end:
    do
    :: hand ->
        at = hand - 1;
#ifdef BUG_ESCAPED_LATE
        atomic { hand = 0; slot[at] = 1 };
#endif
        ok = 0;
        do
        :: ok -> break
        :: else -> s = shared; if :: s & LIVE -> CAS(ok, shared, s, s | ESCAPED) :: else -> break fi
        od;
#ifndef BUG_ESCAPED_LATE
        atomic { hand = 0; slot[at] = 1 }
#endif
    :: atomic { slot[0] -> slot[0] = 0; held++ }; release_shared(s, ok)
    :: atomic { slot[1] -> slot[1] = 0; held++ }; release_shared(s, ok)
    od
}
#endif

active [LOADERS] proctype loader() {
    byte at; byte value; short s; bool ok;
    if :: at = 0 :: at = 1 fi;
again:
    value = slot[at];
    if :: value == 0 -> goto none :: else fi;
    s = shared;
    if
#ifndef BUG_PARITY
    :: !(s & LIVE) -> goto again
    :: (s & LIVE) && (s & (ESCAPED | MERGED)) ->
#else
    :: s & (ESCAPED | MERGED) ->
#endif
        CAS(ok, shared, s, s + ONE);
        if :: !ok -> goto again :: else fi;
#ifdef BUG_NO_SECOND_READING
        held++;
#else
        atomic { value = slot[at]; held++ };
#endif
        if :: value -> assert(object == at) /* the slot has held no other */ :: else fi;
        release_shared(s, ok);
        if :: value == 0 -> goto again :: else -> goto none fi
    :: else -> skip
    fi;
#ifdef BUG_ESCAPED_AT_ONCE
    CAS(ok, shared, s, s | ESCAPED);
    if :: ok -> DRAINED; !dying :: else fi;
    goto again;
#else
#ifndef BUG_NO_LOCK
    LOCK(escapes);
#endif
    s = shared;
    if
    :: (s & LIVE) && !(s & (ESCAPED | MERGED)) ->
        CAS(ok, shared, s, s | ESCAPING);
        if
        :: ok ->
#ifndef BUG_NO_MEMBARRIER
            DRAINED;
#endif
#ifndef BUG_NO_WAIT
            !dying;
#endif
            do
            :: s = shared;
                if
                :: (s & LIVE) && (s & ESCAPING) -> CAS(ok, shared, s, (s - ESCAPING) | ESCAPED); if :: ok -> break :: else fi
                :: else -> break
                fi
            od
        :: else
        fi
    :: else
    fi;
    UNLOCK(escapes);
    goto again;
#endif
none:
    skip
}
