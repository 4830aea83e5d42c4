/* table.pml: the table of entries grows while others look into it with whatever number they have.
 *
 * Models mid_entry_take, commit_to, mid_entry_give (gc/table.c), mid_in_table (gc/heap.h) and mid_checked's look at the entry.
 * Two threads take entries and give them back, until the table is full or memory is refused; a third has a number, good or bad.
 *
 *   taker    with `memory`: an entry of the free list; or the next one: commits the page behind it if there is none (which may be
 *            refused), then next_index := index + 1 (release).
 *   reader   next_index (acquire) for the bound, then the entry, without a lock.
 *
 * A taker's plain stores reach others late, in order, and at the latest when it gives `memory` back.
 *
 * refute: BUG_PUBLISHED_FIRST
 * refute: BUG_REFUSED_PUBLISHED
 * refute: BUG_COMMIT_SHORT
 * refute: BUG_NO_BOUND
 * refute: BUG_NO_LOCK
 * refute: BUG_GIVEN_LATE */
#include "entry.inc"

#define STEP 2 /* entries a page */
#define MAX 5  /* [1, 5) may be given out */
#define TAKES 3

bool memory;
byte committed = STEP; /* entries that can be touched without a fault */
byte next_index = 1, free_entries, free_link[MAX];
bool taken[MAX];       /* what is true */

chan buffer = [2] of { byte };
#define DRAINED empty(buffer)

active proctype store_buffer() {
    byte value;
end:
    do
    :: atomic { buffer ? value -> next_index = value }
    od
}

inline commit(want, ok) {
    if
    :: want > committed -> committed = committed + STEP; ok = 1
#ifndef BUG_PUBLISHED_FIRST
    :: want > committed -> ok = 0 /* refused */
#endif
    :: else -> ok = 1
    fi
}

inline take(at, ok) {
#ifndef BUG_NO_LOCK
    LOCK(memory);
#endif
    at = free_entries;
    if
    :: at != 0 -> free_entries = free_link[at]
    :: else ->
        at = next_index;
        if
        :: at >= MAX -> at = 0
        :: else ->
#ifdef BUG_PUBLISHED_FIRST
            buffer ! at + 1;
#endif
#ifdef BUG_COMMIT_SHORT
            commit(at, ok);
#else
            commit(at + 1, ok);
#endif
#ifdef BUG_REFUSED_PUBLISHED
            buffer ! at + 1;
#endif
            if
            :: !ok -> at = 0
            :: else ->
#if !defined BUG_PUBLISHED_FIRST && !defined BUG_REFUSED_PUBLISHED
                buffer ! at + 1
#endif
            fi
        fi
    fi;
    if
    :: at != 0 -> d_step { assert(at < committed && !taken[at]); taken[at] = 1 }
    :: else
    fi;
#ifndef BUG_NO_LOCK
    DRAINED;
    UNLOCK(memory)
#endif
}

inline give(at) {
    LOCK(memory);
#ifndef BUG_GIVEN_LATE
    taken[at] = 0;
#endif
    free_link[at] = free_entries;
    free_entries = at;
    DRAINED;
    UNLOCK(memory);
#ifdef BUG_GIVEN_LATE
    taken[at] = 0
#endif
}

active [2] proctype taker() {
    byte at, n; bool ok;
    do
    :: n < TAKES ->
        n++;
        take(at, ok);
        if
        :: at != 0 -> give(at)
        :: skip
        fi
    :: else -> break
    od
}

active proctype reader() {
    byte number;
    do
    :: number < MAX -> number++
    :: number > 0 -> break
    od;
    if
#ifdef BUG_NO_BOUND
    :: skip ->
#else
    :: number < next_index ->
#endif
        assert(number < committed)
    :: else
    fi
}
