/* midden/weak.h: weak references that tell when their object has gone, ephemerons, weak maps. Plain weak references are in
 * object.h.
 *
 * An *ephemeron* is a pair of which the value is held only while the key is alive (Hayes, "Ephemerons: a new finalization
 * mechanism", OOPSLA 1997): its reference to the value is good for nothing once nothing else leads to the key, even if the value
 * itself refers to the key. A map with weak keys is a table of such pairs. In a counting heap the value is counted by its map like
 * any reference; the pair ends when the key dies, and the collector follows the reference only where map and key are both alive
 * (docs/design/weak.md).
 *
 * Ephemerons and maps are objects: counted handles, stored in slots, freed by their last count; collected in cycles. Keys are told
 * apart by identity, which compaction of any kind honours. Their slots and their size are the library's: not to be stored to, and
 * mid_resize refuses them (MID_ETYPE).
 *
 * THREADS. Attached threads, outside blocked regions and callbacks; no call is a safepoint. Any thread may use any map at any time,
 * each call is atomic to the others (one lock, the heap's). Calls that store may free what was there, and so run finalizers and
 * callbacks, as mid_release does.
 * ERRORS of every call: MID_ENULL, MID_ETHREAD, MID_EBUSY; MID_EHANDLE: a handle that is needed names no live object; MID_ETYPE: the
 * object is no map (no ephemeron). Those that store: MID_ENOMEM, MID_ELIMIT; then nothing has changed. */
#ifndef MIDDEN_WEAK_H
#define MIDDEN_WEAK_H

#include "object.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- weak references with callbacks ------------------------------------------------------------------------ */

/* `gone` refers to nothing any more; it is still to be dropped (mid_weak_drop), here or later. `owner` is borrowed, 0 if there is
 * none. It may use the heap as finalizers may (type.h), what is refused to them is refused here. */
typedef void mid_weak_fn(mid_thread *thread, mid_weak gone, mid_handle owner, void *context);

/* As mid_weak_new; and when the object has become unreachable and all weak references to it are cleared, `callback` runs, once, on an
 * attached thread: at the end of the mid_release (or the like) by which the object died, or in a safepoint call; never while the world
 * is stopped. Not if the reference is dropped before. Of an object with a finalizer it may run before that does, and it runs though the
 * finalizer resurrects. Callbacks of one object run in the order of the newest reference first.
 *
 * `owner` (0: nobody) is the object that the reference belongs to, as a weak reference of Python's is an object. It is not held. If
 * it dies, or becomes garbage in the same collection, the reference is dropped with it, and the callback does not run: what is
 * called belongs to garbage as much as the referent does. `context` is the program's, and outlives the reference. MID_EHANDLE: the
 * object, or an owner that is not 0, is not alive. MID_ENULL: callback or out. */
MID_API mid_status mid_weak_new_with(mid_thread *thread, mid_handle object, mid_handle owner, mid_weak_fn *callback, void *context,
                                     mid_weak *out);

/* --- ephemerons -------------------------------------------------------------------------------------------- */

/* `key`: an object; `value`: anything; both borrowed. *out is counted. */
MID_API mid_status mid_ephemeron_new(mid_thread *thread, mid_handle key, mid_handle value, mid_handle *out);
/* Key and value, both counted (either pointer may be null); both 0 once the key is dying or dead. */
MID_API mid_status mid_ephemeron_get(mid_thread *thread, mid_handle ephemeron, mid_handle *key, mid_handle *value);
/* Another value, while the key lives; MID_EHANDLE after that. */
MID_API mid_status mid_ephemeron_set(mid_thread *thread, mid_handle ephemeron, mid_handle value);

/* --- maps -------------------------------------------------------------------------------------------------- */

typedef enum mid_weak_kind {
    MID_WEAK_KEYS,   /* keys are objects, not held; values anything but 0, held while their key lives */
    MID_WEAK_VALUES, /* keys anything but 0, held, and their handles do not change (MID_IDENTITY); values are objects, not held: the
                      * pair goes when the value does */
} mid_weak_kind;

/* *out is counted. MID_EINVAL: no such kind. */
MID_API mid_status mid_weak_map_new(mid_thread *thread, mid_weak_kind kind, mid_handle *out);
/* Let `value` be what `key` leads to; both borrowed. A value of 0: nothing, the pair goes. MID_EPINNED: the map is pinned and would have
 * to grow. */
MID_API mid_status mid_weak_map_set(mid_thread *thread, mid_handle map, mid_handle key, mid_handle value);
/* What `key` leads to, counted; 0: nothing. */
MID_API mid_status mid_weak_map_get(mid_thread *thread, mid_handle map, mid_handle key, mid_handle *value);
/* Pairs; of those whose weak half is dying some may be counted. */
MID_API mid_status mid_weak_map_count(mid_thread *thread, mid_handle map, size_t *count);
/* The next pair, both halves counted; *cursor is 0 at first and the call's own between. At the end MID_OK, and key and value are 0.
 * Pairs may come and go meanwhile: each that stays is met once, one that comes or is set anew meanwhile perhaps. A map of which less than an
 * eighth is in use gives most of its memory back when it is next changed, but not while somebody is going through it who has not come to
 * the end: who stops before leaves it as large as it is. */
MID_API mid_status mid_weak_map_next(mid_thread *thread, mid_handle map, size_t *cursor, mid_handle *key, mid_handle *value);

#ifdef __cplusplus
}
#endif
#endif
