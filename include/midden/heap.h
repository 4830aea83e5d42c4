/* midden/heap.h: heaps, the threads that use them, safepoints, collection and compaction.
 *
 * A program may have any number of heaps; they share nothing. Any number of threads up to MID_THREADS_MAX are attached to a
 * heap at a time, its mutators, each to as many heaps as it wants; and a heap may have a daemon (daemon.h).
 *
 * SAFEPOINTS. Objects move, and cyclic garbage is freed, only inside mid_safepoint, mid_step, mid_collect, mid_compact,
 * mid_reclaim, mid_pin_long, mid_blocked_enter ... mid_blocked_leave, mid_thread_detach and mid_heap_close. Nothing else
 * is a safepoint: allocation, load, store and release never move an object.
 *
 * The world is stopped by a handshake: each attached thread is asked, and stands still from its next safepoint, or where it is
 * if that is in a blocked region, until the work is done. A thread that does neither postpones the work (MID_EPOSTPONED);
 * nobody waits for it for long.
 *
 * SIGNAL HANDLERS may call mid_status_name and mid_status_text and nothing else.
 *
 * FORK. fork() stops the world of every heap first, waiting at most `fork-wait`. The child has the heaps with one thread, the
 * one that forked (attached where it was). Other threads that stood still are detached in the child; what belonged to one that
 * did not (`fork-wait` was over) is left alone there: its caches are lost, what it owned never dies, slots it was storing to
 * may load as 0, and mid_heap_check looks at memory only. A daemon starts
 * again in the child when the heap next has something for it. Do not fork from callbacks or finalizers. */
#ifndef MIDDEN_HEAP_H
#define MIDDEN_HEAP_H

#include <stdint.h>

#include "options.h"
#include "type.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- heaps ------------------------------------------------------------------------------------------- */

/* Open a heap. `options` may be null (defaults); MIDDEN_OPTIONS in the environment is applied over them.
 * Under a limit on address space the reservation for the handle table shrinks to what can be had.
 * MID_ENULL (also a function missing in options->os), MID_EOPTION (the environment's text included), MID_EINVAL (struct_size,
 * contradicting options), MID_ENOMEM, MID_ELIMIT (heap-limit below what an empty heap takes), MID_ESYSTEM (no locks, or pages
 * of more than 4 KiB). Any thread. With MIDDEN_DEBUG defined the heap is a debug heap: see debug.h. */
MID_API mid_status mid_heap_open_abi(mid_heap **out, const mid_options *options, uint32_t debug);
static inline mid_status mid_heap_open(mid_heap **out, const mid_options *options)
{
#ifdef MIDDEN_DEBUG
    return mid_heap_open_abi(out, options, 1);
#else
    return mid_heap_open_abi(out, options, 0);
#endif
}

/* Close a heap: finish pending frees, collect cycles, run finalizers; report what is still held to the
 * listener, type by type (events.h; without a listener, to stderr in a debug heap); free everything.
 * MID_OK: nothing was held. MID_EHELD: something was; the heap is closed all the same. In every other case
 * it is still open: MID_ENULL, MID_EBUSY (from a callback), MID_ETHREAD (another thread is attached, or
 * a daemon still runs on it). A thread of the caller's that is attached is detached. Unbudgeted; finalizers that make new
 * garbage with finalizers for ever keep it from ending. */
MID_API mid_status mid_heap_close(mid_heap *heap);

/* Drop a heap with all its objects at once: payloads are freed, no finalizer runs, nothing is reported.
 * Errors as for mid_heap_close. Unbudgeted if any type has payloads: they are found by walking the table. */
MID_API mid_status mid_heap_destroy(mid_heap *heap);

/* Verify every structure of the heap, and count(entry) >= references from objects for every entry.
 * MID_ECORRUPT: the first finding is described by mid_heap_check_text (static buffer of the heap).
 * MID_ENOMEM: no room for the check's own counts. By an attached thread, or any while none is (MID_ETHREAD); MID_ENULL,
 * MID_EBUSY. Stops the world: MID_EPOSTPONED, and with other threads attached, or a daemon, a safepoint. Unbudgeted: visits everything. */
MID_API mid_status mid_heap_check(mid_heap *heap);
MID_API const char *mid_heap_check_text(mid_heap *heap);

/* --- threads ----------------------------------------------------------------------------------------- */

#define MID_THREADS_MAX 1000

/* Make the calling thread a mutator of this heap; any thread, any time. The mid_thread is for this thread alone until it
 * detaches. A thread that ends without detaching is detached then (by a destructor of thread-specific data): its scopes are
 * closed, a blocked region is left. It takes over what a thread that detached before has left: caches, objects, counts.
 * MID_ENULL; MID_ETHREAD: attached already, or the heap is opened with shared=off and another thread is; MID_ELIMIT:
 * MID_THREADS_MAX are attached, or no memory below the limit; MID_ENOMEM; MID_EBUSY (from a callback); MID_ESYSTEM. May
 * wait for a slice of the daemon, or of another thread's. */
MID_API mid_status mid_thread_attach(mid_heap *heap, mid_thread **out);

/* Stop being a mutator. Objects live on. Scopes must be closed. A safepoint.
 * MID_ENULL, MID_ETHREAD (not the attached thread, inside a blocked region, or a scope is open), MID_EBUSY. */
MID_API mid_status mid_thread_detach(mid_thread *thread);

/* The calling thread's mid_thread of this heap, null if it is not attached. For callbacks and libraries. */
MID_API mid_thread *mid_thread_current(mid_heap *heap);

MID_API mid_heap *mid_thread_heap(mid_thread *thread);

/* Why the last call on this thread that can only return a handle returned 0 (mid_new says it itself). */
MID_API mid_status mid_thread_status(mid_thread *thread);

/* A safepoint; call it often (it is one load while nothing is asked for). Here the daemon may stop the thread for a slice, or
 * another thread for what it was asked to do; pending finalizers run, and every raw address from mid_get becomes invalid. With a
 * daemon, a collection that has become due runs here, unbudgeted as mid_collect is, with all other threads stopped. The inline form
 * is in inline.h. Attached thread only. MID_OK, MID_EBUSY from a callback. */
static inline mid_status mid_safepoint(mid_thread *thread);

/* Between enter and leave the thread does not touch the heap: no call but mid_blocked_leave. The daemon and other threads may stop
 * the world meanwhile; leaving waits for the slice that is under way, one at most (a collection is one slice). Wrap what sleeps or
 * computes for long in a blocked region: a thread that does neither this nor reach a safepoint has the work of all postponed. Both
 * are safepoints; they do not nest (MID_ETHREAD). MID_ENULL, MID_EBUSY. */
MID_API mid_status mid_blocked_enter(mid_thread *thread);
MID_API mid_status mid_blocked_leave(mid_thread *thread);

/* --- collection and compaction, asked for ------------------------------------------------------------- */

typedef struct mid_collect_result {
    uint64_t candidates; /* possibly cyclic objects looked at */
    uint64_t garbage;    /* of them, found to be garbage */
    uint64_t freed;      /* freed; the rest waits for its finalizers or was resurrected by them */
    uint64_t micros;     /* processor time of the calling thread */
} mid_collect_result;

/* Find and free every garbage cycle, running finalizers. Exact: subtracts the references between possibly
 * cyclic objects from their counts, keeps what is reachable from the positive rest (the scheme of CPython's
 * gcmodule; Christopher 1984), frees the others. Unbudgeted: time is proportional to the table.
 * `result` may be null. A safepoint. Stops the world: MID_EPOSTPONED if a thread did not come within 100 ms. Finalizers that another
 * thread has under way are not waited for. MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_ENOMEM and MID_ELIMIT (no room
 * for the marks, 4 bytes an entry: no cycle was freed, but what waited was; or none to remember what waits for finalizers, 4 bytes
 * an object: that is left, all other garbage was freed). Then mid_reclaim finds the room. */
MID_API mid_status mid_collect(mid_thread *thread, mid_collect_result *result);

/* Why a pool that has free slots was left where it is. X(name, word, text). */
#define MID_LEFT_REASONS(X)                                                                                            \
    X(MID_LEFT_GAIN, "gain", "the class has no more pools than it needs: none would come free")                        \
    X(MID_LEFT_PINNED, "pinned", "something in it is pinned")                                                          \
    X(MID_LEFT_BUDGET, "budget", "the pass has not come to it: pools beyond what their class needs")                   \
    X(MID_LEFT_ROOM, "room", "no memory for the plan of the class, or no handle for a slot to move to")                \
    X(MID_LEFT_CHANGED, "changed", "the program changed the class between two slices")                                 \
    X(MID_LEFT_LOST, "lost", "it belongs to a thread that did not survive a fork")

typedef enum mid_left_reason {
#define MID_X(name, word, text) name,
    MID_LEFT_REASONS(MID_X)
#undef MID_X
    MID_LEFT_COUNT
} mid_left_reason;

/* Of one call. Over the slices of a pass, objects, runs, whole pools, bytes, micros, pools_pinned and `left` add up, but for
 * left[MID_LEFT_BUDGET], which is of the slice's end, and 0 when the pass is through. A call that finds it through, because only
 * the giving back had run out of its budget, begins another, which moves nothing but counts what is left again. */
typedef struct mid_compact_result {
    uint64_t pools_before, pools_after; /* pools in use */
    uint64_t pools_optimal;             /* sum over the classes of ceil(live slots / slots per pool) */
    uint64_t pools_pinned;              /* sparse pools left because something in them is pinned */
    uint64_t moved_objects, moved_bytes;
    uint64_t returned_bytes;            /* given back to the system */
    uint64_t micros;
    uint64_t renamed_objects;           /* deep: have another handle */
    uint64_t least_bytes;               /* the least that had to be moved in the classes that were planned */
    uint64_t left[MID_LEFT_COUNT];      /* pools with free slots at the end, by reason */
    uint64_t regions_before, regions_after; /* of 4 MiB, with objects above 32 KiB up to 1 MiB */
    uint64_t regions_optimal;           /* that their pages would fill */
    uint64_t moved_runs, moved_run_bytes; /* such objects; not among moved_objects and moved_bytes */
    uint64_t arenas_before, arenas_after; /* of 16 MiB, with pools and regions in them */
    uint64_t moved_pools;               /* whole, to empty an arena; not among moved_objects and moved_bytes */
} mid_compact_result;

typedef enum mid_compact_kind {
    MID_COMPACT_PLAIN, /* objects move, handles stay */
    MID_COMPACT_DEEP   /* then the handles that only the heap itself knows are given anew, in the order of the option `deep` */
} mid_compact_kind;

/* PLAIN: evacuate the sparsest pools of every class into the others: with L live slots and k slots a pool, those with a
 * pinned object and the fullest stay (option `evacuate`: or others, as many), ceil(L/k) in all, or as many as are pinned if that is more. That is optimal in bytes
 * moved for slots of equal size (a handle heap
 * needs no other order: the exchange argument is in docs/design/compaction.md). Then give empty pools
 * beyond the reserve back. Objects above 32 KiB (with pools of 16 KiB: above 8) up to 1 MiB are moved together where a region of 4 MiB comes free by it (heuristically:
 * regions may be more than their pages would fill); larger ones stay. Pools are moved whole where an arena of 16 MiB, a quarter
 * of it in use at most, comes free. A class in which no pool would come free is
 * left alone. budget_micros 0: no budget, the pass runs to its end. `result` may be null. A safepoint.
 * After MID_OK without a budget, pools in a class = ceil(L/k), or those with a pinned object, + 1 per attached thread.
 * MID_MORE: the budget ran out; a further call goes on, and may promise less if the program allocated in between. A class for
 * whose plan there is no memory is left as it is.
 * DEEP: then objects that only slots of other objects refer to get other handles, all those slots are rewritten, and the table is
 * packed into its lowest blocks and its end given back; in the order of the option `deep` (off: depth first), in which entries lie afterwards
 * and objects of up to 512 bytes as well. What is counted outside slots, pinned, immortal or protected by MID_IDENTITY keeps its handle; so
 * does what more than 1024 slots refer to, or a traced object above 8 KiB; suspects of garbage cycles that are to be looked at by a daemon until
 * they have been: see docs/design/deep.md. Handles that the program keeps without a count (peeked ones) are good for nothing afterwards; where
 * a daemon runs with the option `deep`, after any safepoint. Needs some 12 bytes for each index and 12 for each reference while it
 * lasts. Ends a sweep for garbage that is under way. Without a budget they have to wait for nothing. With one, calls after the one that began it evacuate nothing until it is through.
 * MID_EINVAL: no such kind. MID_EPOSTPONED as for mid_collect. MID_ENOMEM, MID_ELIMIT: not even the pass itself could be set up; of a deep
 * one, objects may have moved, but no more handles are given anew. MID_ENULL, MID_ETHREAD, MID_EBUSY. */
MID_API mid_status mid_compact(mid_thread *thread, mid_compact_kind kind, uint64_t budget_micros, mid_compact_result *result);

/* The word for a reason ("gain"); never null, also for a value that is none. Any thread; safe in a signal handler. */
MID_API const char *mid_left_name(mid_left_reason reason);

/* A safepoint that does the most useful work that fits into `budget_micros`: frees what waits, proposes and proves garbage cycles
 * (from suspects, and by sweeps of the heap as it grows by `growth`), compacts where `frag-start` says so, gives memory back. What a
 * daemon does in the background, for programs that have none, and call this when they have time; beside a daemon it shares the
 * work. Suspects are logged from the first call on, as by mid_collect_kinds (collector.h). Stops other threads only for proofs and compaction. The budget is kept to within a piece of work, some ten microseconds;
 * finalizers take what they take. MID_OK: nothing is left to do; MID_MORE; MID_EPOSTPONED: another thread did not come; MID_ENULL,
 * MID_ETHREAD, MID_EBUSY (also: the daemon is at it), MID_ENOMEM, MID_ELIMIT (no room for its side arrays). */
MID_API mid_status mid_step(mid_thread *thread, uint64_t budget_micros);

/* Give every empty pool beyond the `reserve` option back to the system, at most `budget_micros` long (0: no
 * budget). *returned (may be null): bytes given back. Moves nothing, not a safepoint.
 * MID_OK, MID_MORE, MID_ENULL, MID_ETHREAD, MID_EBUSY. */
MID_API mid_status mid_trim(mid_thread *thread, uint64_t budget_micros, uint64_t *returned);

/* Short of memory: do everything that can be done for it. Frees all that waits, runs finalizers that are due, collects every
 * cycle, also those that come to light when finalizers have run, takes back what threads have cached, empties sparse pools and
 * gives back every empty one, the reserve too. A safepoint; unbudgeted. The loop of a caller who would rather wait than fail:
 *
 *     while ((status = mid_new(thread, type, &object)) == MID_ELIMIT || status == MID_ENOMEM)
 *         if (mid_reclaim(thread) != MID_OK)
 *             break;      -- there is no more: give something up, or fail
 *
 * MID_OK: what this thread was last refused (mid_new, mid_new_array) is to be had now, unless another thread is quicker with it;
 * if nothing was refused since the last call, or it was something else (a resize to more than 32 KiB, a weak cell, a type): memory
 * came free. So the loop ends. MID_ELIMIT, MID_ENOMEM: it is not to be had, or nothing came free. MID_EPOSTPONED: not so either,
 * and another thread did not come within 100 ms, so that no cycle was collected or nothing was moved. MID_ENULL, MID_ETHREAD,
 * MID_EBUSY (from a callback or a finalizer).
 *
 * It works at the hard limit: while the world stands `heap-limit` may be passed by 8 bytes an entry of the table, for what a
 * collection must remember, and by 8 bytes a pool and 64 KiB (with pools of 256 KiB: 128) for the plan of a compaction. That is charged (peak_committed_bytes
 * shows it) and given back; of garbage with finalizers 4 bytes an object when they have run, in another thread perhaps. Finalizers
 * that need memory may be refused it. */
MID_API mid_status mid_reclaim(mid_thread *thread);

#ifdef __cplusplus
}
#endif

#include "inline.h"
#endif
