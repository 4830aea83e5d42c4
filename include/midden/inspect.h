/* midden/inspect.h: what is in a heap, who refers to whom, and why it is still there.
 *
 * HELD FROM OUTSIDE is an object that has more counts than there are references to it in slots, or that is immortal: the program has a
 * counted handle of it, in a variable, a scope, or memory that the heap does not know. What nothing held reaches is garbage that was
 * not collected yet. References of what has died and waits to be freed, and the counts by which garbage is kept for its
 * finalizers, hold nothing here. A large set of garbage that is just being freed in slices is passed over as if it had gone, and
 * what it refers to may seem held; so may, from inside a finalizer, what a release under way has not come to.
 *
 * THREADS. By an attached thread, outside blocked regions. Each call (but mid_is_tracked and mid_is_finalized) stops the world as mid_heap_check does, and is a
 * safepoint. mid_inspect_objects, _referents, _referrers have it stopped while the callback runs; the others only while
 * they copy the graph, some 24 bytes an object and 8 a reference, in memory of the heap's own, and reckon, write and
 * call while other threads go on: what they say was so at the stop. Unbudgeted: all but _referents visit everything.
 *
 * ERRORS of all: MID_ENULL; MID_ETHREAD; MID_EBUSY (from a callback); MID_EPOSTPONED (another thread did not come within 100 ms);
 * those that take an object, MID_EHANDLE. Nothing is said then, and the heap is as before.
 *
 * CALLBACKS return 0 to go on, anything else to end the call, which is MID_OK then. What they are given is theirs until they return;
 * the structures are only ever extended at the end. They must return, and not end their thread or close the heap. */
#ifndef MIDDEN_INSPECT_H
#define MIDDEN_INSPECT_H

#include "heap.h"

typedef struct mid_inspected_object {
    mid_handle object; /* borrowed */
    mid_type type;
    uint64_t bytes;    /* as mid_size_of */
    uint64_t items;    /* as mid_items_of */
    uint32_t count;    /* as mid_count_of */
    const void *at;    /* where it is, while the callback runs; its bytes may be read */
} mid_inspected_object;

/* Slot `slot` of `holder` refers to `target`. */
typedef struct mid_reference {
    mid_handle holder;
    uint32_t slot;
    mid_handle target;
} mid_reference;

typedef struct mid_inspected_type {
    mid_type type;
    const char *name;  /* until the heap closes */
    uint64_t objects, bytes;
} mid_inspected_type;

/* What would go if an object went: it, and all that is held only through it. */
typedef struct mid_retention {
    mid_handle object;    /* borrowed; may have died since the stop */
    mid_type type;
    uint64_t bytes;       /* of the object itself */
    uint64_t retained;    /* with all that it alone keeps; 0: garbage */
    mid_handle dominator; /* the nearest object without which it would go, too; 0: none, or garbage */
    uint32_t held;        /* 1: it is held from outside */
} mid_retention;

#ifdef __cplusplus
extern "C" {
#endif

/* The three that follow call back with the world stopped: calls that can say so return MID_EBUSY. Allowed are mid_type_name,
 * mid_stats_get, and, unless MIDDEN_DEBUG is defined, mid_peek of what the callback was given. */

/* Every live object, in the order of handles. */
MID_API mid_status mid_inspect_objects(mid_thread *thread, int (*fn)(void *context, const mid_inspected_object *object), void *context);

/* Every slot of `object` that refers to an object / every slot of a live object that refers to `object`. Twice if twice. */
MID_API mid_status mid_inspect_referents(mid_thread *thread, mid_handle object,
                                         int (*fn)(void *context, const mid_reference *reference), void *context);
MID_API mid_status mid_inspect_referrers(mid_thread *thread, mid_handle object,
                                         int (*fn)(void *context, const mid_reference *reference), void *context);

/* May a collection find `object` [borrowed] to be garbage: its type has references and is not MID_ACYCLIC, and it is neither immortal nor
 * frozen? What is not tracked dies by its count alone. (As gc.is_tracked of Python; here the type decides, not what is in the object. A
 * leaf that is a key of a weak map is looked at in the map's cycles all the same.) Has its finalizer run, so that it will not run
 * again? Answer: 1 or 0; 0 also for what mid_is_live says 0 of. Attached thread; no safepoint, stops nobody, not from callbacks. */
MID_API int mid_is_tracked(mid_thread *thread, mid_handle object);
MID_API int mid_is_finalized(mid_thread *thread, mid_handle object);

/* Each type of which there are objects, in the order of registration. MID_ENOMEM, MID_ELIMIT: no room to count. */
MID_API mid_status mid_inspect_types(mid_thread *thread, int (*fn)(void *context, const mid_inspected_type *type), void *context);

/* Why is `object` alive: the shortest chain of references to it from an object that is held from outside. path[0].holder is that one,
 * each target the next holder, the last target `object`. *length: how many there are; the first `room` of them are in `path`
 * (null if room is 0). Length 0: `object` itself is held, by whoever asks if he counted it: ask with a borrowed handle (mid_peek).
 * MID_EUNHELD: nothing holds it, it is garbage. MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_inspect_why(mid_thread *thread, mid_handle object, mid_reference *path, size_t room, size_t *length);

/* Retained bytes of every live object, in the order of handles, by the dominator tree. The callback may use the heap, but not close
 * it or detach the thread. Needs some 56 bytes an object and 4 a reference more. MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_inspect_retained(mid_thread *thread, int (*fn)(void *context, const mid_retention *retention), void *context);

/* Write the heap as a snapshot that the memory panel of Chrome's developer tools loads (give the file the suffix .heapsnapshot):
 * classes are types, ids handles, properties fields that have a name (mid_field), elements slot numbers; "(not held)" has the garbage. A new file has mode 0600, an old one is
 * replaced; what could not be written whole is removed. Or to a descriptor, which stays open.
 * MID_ESYSTEM: see errno (no such folder, permission, a full disk, nobody reads; EAGAIN: a pipe that does not wait). MID_EINVAL:
 * the path is empty, or the descriptor negative. MID_ENOMEM, MID_ELIMIT. Raises no SIGPIPE. */
MID_API mid_status mid_inspect_snapshot(mid_thread *thread, const char *path);
MID_API mid_status mid_inspect_snapshot_fd(mid_thread *thread, int fd);

#ifdef __cplusplus
}
#endif
#endif
