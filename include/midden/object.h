/* midden/object.h: objects and the handles that name them.
 *
 * OWNERSHIP. A *counted* handle is one that the caller holds: it keeps the object alive and must be released
 * once, or consumed by a call that says so. A *borrowed* handle is only looked at: it names an object that
 * something else keeps alive, and ends when that something lets go (a release, store or resize of its
 * holder). A deep compaction, at a safepoint, may give another handle to what nothing but slots holds: there a borrowed one
 * ends as well. Parameters are borrowed unless marked [consumed]; results are counted unless marked [borrowed].
 * 0 and immediate integers may be passed wherever a value is expected and need no counting.
 *
 * ERRORS. The inline calls check nothing (a stale handle is undefined behaviour, as a stale pointer is);
 * the same calls compiled with MIDDEN_DEBUG check everything and report (debug.h). Calls that return a
 * mid_status check their arguments always.
 *
 * THREADS. Every call here is for attached threads, each with its own mid_thread, outside blocked regions; none is a
 * safepoint. Any thread may retain, release, load and store any object; the thread that made it (its owner) counts without
 * atomic instructions, the others with them. A handle reaches another thread through a slot (store and swap publish, load
 * acquires: what was written to the object before the store is seen after the load), or by any means of the program's that
 * orders memory (a mutex, a queue), with the count that goes with it. Immutable and immortal objects are free to share;
 * data inside objects is the program's to protect. In a heap with the option shared=off one thread is attached at a time
 * and nothing here costs an atomic instruction.
 * Counting is immediate (Collins 1960), biased to the owner (Choi, Shull, Torrellas, PACT 2018; PEP 703), frees through a
 * work list, never by recursion (Weizenbaum 1963). An object of which other threads release what its owner counted is
 * freed when they, and then the owner, have reached a safepoint or refilled a cache; when they have, if the owner sleeps in
 * a blocked region or is gone. */
#ifndef MIDDEN_OBJECT_H
#define MIDDEN_OBJECT_H

#include "heap.h"
#include "inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- making objects ---------------------------------------------------------------------------------- */

/* A new object of a fixed-size type, zero-filled (but see MID_UNCLEARED), its slots empty; *out is counted.
 * MID_ENOMEM, MID_ELIMIT: *out is 0, the heap is intact; mid_reclaim and try again (see there).
 * MID_ETYPE: not registered, or of variable size. MID_EBUSY, MID_ETHREAD: where it is noticed, which costs nothing only when
 * the thread's cache of the class is empty. `out` must not be null. */
static inline mid_status mid_new(mid_thread *thread, mid_type type, mid_handle *out);

/* The same for a variable-size type, with `items` items. MID_ESIZE: more than 2^40 bytes in all. */
MID_API mid_status mid_new_array(mid_thread *thread, mid_type type, size_t items, mid_handle *out);

/* Give a variable-size object another number of items; the handle stays, the address may change (this object's only), so no other
 * thread may use the object meanwhile. New items are zero; references in items that go are released. MID_EPINNED: it is pinned and would have to move. MID_EHANDLE, MID_ETYPE, MID_ESIZE, MID_ENOMEM,
 * MID_ELIMIT (unchanged then), MID_EBUSY, MID_ENULL. */
MID_API mid_status mid_resize(mid_thread *thread, mid_handle object, size_t items);

/* --- counting ---------------------------------------------------------------------------------------- */

/* One more reference held by the caller. Returns `value`, counted. A count that would overflow sticks: the
 * object is then immortal. */
static inline mid_handle mid_retain(mid_thread *thread, mid_handle value);

/* One reference less [consumed]. The last one frees the object: its finalizer runs, its references are
 * released in turn, at most `free-batch` objects at once (fewer, if memory goes back to the system for them: a page counts as
 * an object); the rest waits on a work list that later allocations, safepoints and the daemon continue. */
static inline void mid_release(mid_thread *thread, mid_handle value);

/* Exempt the object from counting for the rest of the heap's life. MID_EHANDLE, MID_ENULL. */
MID_API mid_status mid_immortalize(mid_thread *thread, mid_handle object);

/* --- references inside objects ------------------------------------------------------------------------ */

/* What slot `slot` of `holder` refers to: counted / [borrowed until the slot changes or the holder dies]. The holder must be
 * held by the caller or by something that lasts. A load finds the object alive whatever other threads store meanwhile, without
 * a lock: it reads the slot, counts, and reads the slot again. A peek is for slots that no other thread changes. The first load
 * of an object that another thread has only put into a slot with mid_init costs a membarrier(2), some microseconds. */
static inline mid_handle mid_load(mid_thread *thread, mid_handle holder, unsigned slot);
static inline mid_handle mid_peek(mid_thread *thread, mid_handle holder, unsigned slot);

/* Let the slot refer to `value`, which stays the caller's too (store) or passes into the slot [consumed]
 * (give). What the slot referred to is released. Atomic to all threads. */
static inline void mid_store(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
static inline void mid_give(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);

/* Put `value` [consumed] into the slot and return what was there; take puts 0. */
static inline mid_handle mid_swap(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
static inline mid_handle mid_take(mid_thread *thread, mid_handle holder, unsigned slot);

/* Put `value` [consumed if 1 is returned] into the slot if `expected` is there, which then belongs to the caller, counted.
 * 0: something else is there, nothing happened. For structures that threads change without a lock. */
static inline int mid_swap_if(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle expected, mid_handle value);

/* Put `value` [consumed] into an empty slot of an object that no other thread can reach yet: a new one, until a handle of it
 * is stored or handed out. The value or the object must have been made since this thread's last safepoint. The cheap way to fill
 * what was just made; anything else is mid_swap's. */
static inline void mid_init(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);

/* Make `to` (attached to the same heap) the owner of `root` and of all it reaches that the calling thread owns and no other
 * thread can have seen, so that counting is free there: for messages. Handles and counts are as before; pass the handle on
 * afterwards. What is not handed over (also what only a trace function would name) works the same, only slower. MID_MORE: budget_micros (0: none) ran out, or there was
 * no memory to remember the way; the rest stays. MID_EHANDLE, MID_ENULL, MID_EBUSY, MID_ETHREAD (`thread` is not the
 * caller's, or `to` is of another heap or not attached). */
MID_API mid_status mid_transfer(mid_thread *thread, mid_thread *to, mid_handle root, uint64_t budget_micros);

/* --- addresses --------------------------------------------------------------------------------------- */

/* The object's address, valid until this thread's next safepoint or a mid_resize of the object, and only
 * while something counted holds it. Null for handle 0. Not for immediate integers. */
static inline void *mid_get(mid_thread *thread, mid_handle object);

/* Keep the object where it is, across safepoints, until unpinned as often as pinned. *address (may be null)
 * is good for as long. A pin does not keep the object alive. A pinned object keeps its whole pool (`pool-size`)
 * from being evacuated: pin briefly. MID_EHANDLE, MID_ENULL, MID_ENOMEM, MID_ELIMIT; unpin: MID_EPINNED. */
MID_API mid_status mid_pin(mid_thread *thread, mid_handle object, void **address);
MID_API mid_status mid_unpin(mid_thread *thread, mid_handle object);

/* The same for long: the object, unless it is pinned already, is first moved to where others of its class are that were pinned so,
 * in exchange for another object if need be. So n of them hold about n / (slots a pool) pools, not n. Blocks above 32 KiB, or half a pool, hold no
 * pool and stay where they are. Unlike mid_pin a safepoint, which stops the world while it moves: every address from mid_get ends,
 * this object's too. Undone by mid_unpin. As mid_pin, and MID_ETHREAD, MID_EBUSY (from a callback or a finalizer), MID_EPOSTPONED:
 * another thread did not come within 100 ms, the object is not pinned. */
MID_API mid_status mid_pin_long(mid_thread *thread, mid_handle object, void **address);

/* --- questions --------------------------------------------------------------------------------------- */

/* The object's type / bytes asked for / number of items (0 for a fixed size); checked.
 * MID_EHANDLE, MID_ENULL. */
MID_API mid_status mid_type_of(mid_thread *thread, mid_handle object, mid_type *type);
MID_API mid_status mid_size_of(mid_thread *thread, mid_handle object, size_t *bytes);
MID_API mid_status mid_items_of(mid_thread *thread, mid_handle object, size_t *items);
/* The reference count as it stands; UINT32_MAX for an immortal object. For tests and debugging. */
MID_API mid_status mid_count_of(mid_thread *thread, mid_handle object, uint32_t *count);
/* Whether the handle names a live object of this heap (an index that was freed and used again does). */
MID_API int mid_is_live(mid_thread *thread, mid_handle value);

/* --- immediate integers: 31 bits, no memory ------------------------------------------------------------- */

#define MID_INT_MIN (-1073741824)
#define MID_INT_MAX 1073741823
/* Values outside the range wrap. */
static inline mid_handle mid_from_int(int32_t value)
{
    return ((uint32_t)value << 1) | 1u;
}
static inline int mid_is_int(mid_handle value)
{
    return (value & 1u) != 0;
}
static inline int32_t mid_to_int(mid_handle value)
{
    return (int32_t)value >> 1;
}

/* --- scopes: counted handles that are released together --------------------------------------------------- */

/* Scopes nest and must be closed in the reverse order; a scope lives in the caller's frame.
 *   mid_scope scope;
 *   mid_scope_open(thread, &scope);
 *   mid_handle a = mid_keep(thread, make(thread));     // [consumed] by the scope, stays borrowed to us
 *   ...
 *   result = mid_scope_close(thread, &scope, a);       // releases all, keeps `a` counted for the caller */
typedef struct mid_scope {
    size_t height_;
} mid_scope;

/* MID_ENULL, MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_scope_open(mid_thread *thread, mid_scope *scope);
/* `value` [consumed] now belongs to the innermost scope; returned [borrowed]. If the scope cannot grow
 * (MID_ENOMEM, MID_ELIMIT) or none is open (MID_EINVAL) it is released, 0 returned, mid_thread_status says why. */
MID_API mid_handle mid_keep(mid_thread *thread, mid_handle value);
/* Release what the scope keeps; `result` (0 for none) is retained first and returned counted.
 * Inner scopes that are still open are closed too. A scope that is not open: 0 and MID_EINVAL. */
MID_API mid_handle mid_scope_close(mid_thread *thread, mid_scope *scope, mid_handle result);

/* --- weak references -------------------------------------------------------------------------------------- */

/* A weak handle names a weak cell, never an entry: it can be kept anywhere, for any time, and tells when its
 * object has gone. It is copied freely by value, but dropped once. All zero: refers to nothing. */
typedef struct mid_weak {
    uint32_t cell, generation;
} mid_weak;

/* MID_EHANDLE, MID_ENULL, MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_weak_new(mid_thread *thread, mid_handle object, mid_weak *out);
/* The object, counted; 0 once it is dying or dead, or for a weak handle that was dropped. */
MID_API mid_handle mid_weak_get(mid_thread *thread, mid_weak weak);
/* Give a weak handle up. MID_EHANDLE: it was dropped already or is not of this heap. MID_ENULL. */
MID_API mid_status mid_weak_drop(mid_thread *thread, mid_weak weak);

#ifdef __cplusplus
}
#endif

#include "debug.h"
#endif
