/* trial.pml: a set too large for one stop is proved to be garbage by watching it.
 *
 * W   in several stops: members are tagged. T0 is the end of the last one.
 *     From its tag on, who is about to change a member's count (retain, release, load, upgrade) or to put it into a slot (give,
 *     swap, store) touches it: takes the tag off, then changes `touched`. No hook: to take it out of a slot, to read slots, to
 *     write what is no member into slots of members, and mid_init, into an object made since the mutator's last safepoint.
 * C   while mutators run: each slot of each member is read once; found(x) of them held x.
 * J   drops who is not tagged, or whose count is not found; then C again, from nothing, with what remains.
 * K   in one stop: nobody has been touched since the round began: one store commits the set, and weak references to it are
 *     not made strong any more. Else another round.
 * F   in several stops: what members hold of others is released, they are freed. A name that was freed may be in use again.
 *
 * After T0 no slot gains an untouched member, so found(x) is at most what slots of members held of x at T0; and x's count is what
 * it was then, or more. Equal for all: nothing else held any of them, and what is garbage stays so.
 *
 * With RETAIN_UNSEEN, retain and load do not touch: counts only grow unseen, which never makes one equal what was found.
 * With SNAPSHOT_LATE, `touched` is read after C: who was touched before is without a tag in J. With GARBAGE: what is closed
 * garbage at T0 and not touched is committed, whatever is done to others.
 *
 * also: RETAIN_UNSEEN SMALL
 * also: SNAPSHOT_LATE SMALL
 * also: GARBAGE SMALL
 * also: MUTATORS=2 SLOTS=1 WIDTH=1
 * refute: BUG_GIVE_UNSEEN SMALL
 * refute: BUG_RELEASE_UNSEEN SMALL
 * refute: BUG_UPGRADE_UNSEEN SMALL
 * refute: BUG_INIT_OLD
 * refute: BUG_TAG_RUNNING SMALL
 * refute: BUG_TAGS_LATE SMALL
 * refute: BUG_TOUCHED_FIRST SMALL
 * refute: BUG_SUBTRACT SMALL
 * refute: BUG_SNAPSHOT_AFTER_J SMALL
 * refute: BUG_TOUCHED_UNREAD SMALL
 * refute: BUG_COMMIT_RUNNING SMALL
 * refute: BUG_COMMIT_RUNNING NO_UPGRADES MUTATORS=2 SLOTS=1 WIDTH=1
 * refute: BUG_UPGRADE_AFTER SMALL
 * refute: BUG_MEMBER_BY_TAG SMALL
 * refute: BUG_ONE_ROUND GARBAGE SMALL */
#include "graph.inc"

byte watched;
bool touched; /* whether the counter has changed since it was read */
bool committed;

#if defined(BUG_GIVE_UNSEEN)
#define UNSEEN(call) (call == GIVE)
#elif defined(BUG_RELEASE_UNSEEN)
#define UNSEEN(call) (call == RELEASE)
#elif defined(BUG_UPGRADE_UNSEEN)
#define UNSEEN(call) (call == UPGRADE)
#elif defined(RETAIN_UNSEEN)
#define UNSEEN(call) (call == RETAIN || call == LOAD)
#else
#define UNSEEN(call) 0
#endif
#define HOOKED(call, v) (HAS(watched, v) && call != INIT && !UNSEEN(call))

#define UNTAG(v) watched = watched & ~BIT(v)
#ifdef BUG_TOUCHED_FIRST
#define TOUCH(v) touched = 1; UNTAG(v)
#elif defined(GARBAGE)
byte closed; /* what was garbage at T0, and has not been touched: it must be found */
#define TOUCH(v) atomic { UNTAG(v); if :: HAS(closed, v) -> closed = 0 :: else fi }; touched = 1
#else
#define TOUCH(v) UNTAG(v); touched = 1
#endif

#if defined(NO_UPGRADES)
#define UPGRADABLE(v) 0
#elif defined(BUG_UPGRADE_AFTER)
#define UPGRADABLE(v) HAS(cells, v)
#else
#define UPGRADABLE(v) (HAS(cells, v) && !(committed && HAS(watched, v)))
#endif

#ifdef BUG_INIT_OLD
#define INITABLE(x) 1
#else
#define INITABLE(x) HAS(fresh, x)
#endif

#ifdef BUG_TAG_RUNNING
#define TAG_STILL 1
#define ACTS unhooked
#else
#define TAG_STILL STILL
#define ACTS acts
#endif
#include "mutator.inc"

/* One stop of W. */
inline tag(members, x) {
    atomic { TAG_STILL -> fresh = 0;
        if
        :: HAS(live, x) -> watched = watched | BIT(x); members = members | BIT(x)
        :: skip /* left out, for any reason */
        fi;
        x++;
#ifdef GARBAGE
        if
        :: x > OBJECTS -> d_step { closed = members & watched; prove(closed, s, x); x = OBJECTS + 1 }
        :: else
        fi
#endif
    }
}

#ifdef BUG_TOUCHED_UNREAD
#define AS_IT_WAS 1
#else
#define AS_IT_WAS !touched
#endif

inline commit(members, set, s) {
    d_step {
        committed = 1; gone = members; forget_found();
        reachable(set, s); assert(!(set & members)); set = 0
    }
}

/* Whose references are not released in F, since they were within the set. */
#ifdef BUG_MEMBER_BY_TAG
#define INSIDE watched
#else
#define INSIDE members
#endif

#ifdef BUG_SUBTRACT
/* Instead of another C: what the dropped one holds by now is taken off. */
inline take_off(x, s) {
    s = (x - 1) * WIDTH;
    do
    :: s < x * WIDTH && s < ROOT -> if :: slot[s] && found[slot[s]] -> found[slot[s]]-- :: else fi; s++
    :: else -> break
    od;
    s = 0
}
#endif

#ifdef BUG_TAGS_LATE
#define WATCHED_FIRST OBJECTS
#define READ_OF ALL
#else
#define WATCHED_FIRST OBJECTS + 1
#define READ_OF members
#endif

/* After a drop. */
#if defined(BUG_SUBTRACT)
#define AGAIN dropped = 0; goto judge
#elif defined(BUG_ONE_ROUND)
#define AGAIN members = 0
#else
#define AGAIN dropped = 0
#endif

active proctype collector() {
    byte members, s, x, set; bool dropped;
    atomic { any_heap(s, x); ready = 1; x = 1 };
    do
    :: x < WATCHED_FIRST -> tag(members, x)
    :: else -> break
    od;
    do
    :: atomic { members == 0 -> break }
    :: else ->
        atomic { touched = 0; dropped = 0; d_step { forget_found() } };
        read_slots(READ_OF, s);
#ifdef BUG_TAGS_LATE
        x = OBJECTS;
        if
        :: !HAS(members, x) -> tag(members, x)
        :: else
        fi;
#endif
#ifdef SNAPSHOT_LATE
        touched = 0;
#endif
judge:  x = 1;
        do
        :: atomic { x <= OBJECTS && !HAS(members, x) -> x++ }
        :: x <= OBJECTS && HAS(members, x) ->
            if
            :: HAS(watched, x) ->
                if
                :: atomic { count[x] == found[x] -> x++ }
                :: atomic { else -> goto drops }
                fi
            :: atomic { else ->
drops:          dropped = 1; members = members & ~BIT(x); UNTAG(x);
#ifdef BUG_SUBTRACT
                take_off(x, s);
#endif
                x++ }
            fi
        :: x > OBJECTS -> x = 0; break
        od;
#ifdef BUG_SNAPSHOT_AFTER_J
        touched = 0;
#endif
        if
        :: dropped -> AGAIN
#ifdef BUG_COMMIT_RUNNING
        :: !dropped && !touched -> commit(members, set, s); break
        :: !dropped && touched
#else
        :: !dropped -> atomic { STILL -> fresh = 0; if :: AS_IT_WAS -> commit(members, set, s); break :: else fi }
#endif
        fi
    od;
#ifdef GARBAGE
    atomic { assert(!(closed & ~members)); closed = 0 };
#endif
    x = 1;
    do
    :: atomic { x <= OBJECTS && !HAS(members, x) -> x++ }
    :: atomic { x <= OBJECTS && HAS(members, x) && STILL -> fresh = 0; d_step { free_one(x, INSIDE, s, set); UNTAG(x) }; x++ }
    :: x > OBJECTS -> break
    od;
    atomic { committed = 0; members = 0; last = 1 }
}
