/* midden/collector.h: the collector in the program's hands: when it runs, which kind of it, what it did; garbage kept to be looked
 * at; what is left at the end, and hooks before it.
 *
 * Counting frees what nothing refers to at once, whatever is said here; the collector is for garbage cycles. It comes in kinds
 * (docs/design/cycles.md, proposals.md): */
#ifndef MIDDEN_COLLECTOR_H
#define MIDDEN_COLLECTOR_H

#include "heap.h"

/* X(name, word, text). */
#define MID_COLLECTOR_KINDS_(X)                                                                                         \
    X(MID_COLLECTOR_SUSPECTS, "suspects", "from objects whose count fell: walked while the program runs, proved in stops")  \
    X(MID_COLLECTOR_SWEEP, "sweep", "of the whole heap, while the program runs, for what no suspect led to")               \
    X(MID_COLLECTOR_FULL, "full", "of the whole heap in one stop, exact")                                                 \
    X(MID_COLLECTOR_RECOUNT, "recount", "of garbage whose finalizers have run: what they took out again lives on")

typedef enum mid_collector_kind {
#define MID_X(name, word, text) name,
    MID_COLLECTOR_KINDS_(MID_X)
#undef MID_X
    MID_COLLECTOR_KINDS
} mid_collector_kind;

/* Kinds for mid_collect_kinds, in the order in which they are done. */
#define MID_COLLECT_SUSPECTS (1u << MID_COLLECTOR_SUSPECTS)
#define MID_COLLECT_SWEEP (1u << MID_COLLECTOR_SWEEP)
#define MID_COLLECT_FULL (1u << MID_COLLECTOR_FULL)

/* One piece of work of a kind, as listeners are told of it (events.h). Only ever extended at the end. Before it, what follows
 * `beside` is 0. */
typedef struct mid_collection {
    mid_collector_kind kind;
    int beside;          /* 1: the program runs meanwhile; 0: the world stands */
    mid_status status;   /* MID_OK: nothing of this kind is left to do; MID_MORE; MID_ENOMEM, MID_ELIMIT: no room for it */
    uint64_t candidates; /* looked at: objects; of SUSPECTS beside the program, suspects */
    uint64_t garbage;    /* found, or beside the program proposed */
    uint64_t freed;
    uint64_t micros;     /* processor time */
} mid_collection;

/* Of one kind, since the heap was opened, whoever asked for it: the program, a thread by itself, the daemon. Only ever extended at
 * the end. */
typedef struct mid_collector_stats {
    uint64_t runs;        /* brought to an end */
    uint64_t pieces;      /* that was in so many pieces: slices, stops */
    uint64_t candidates, garbage, freed;
    uint64_t saved;       /* garbage that was kept instead (mid_collect_save) */
    uint64_t resurrected; /* RECOUNT: with a finalizer, and alive after it */
    uint64_t micros, longest_micros; /* processor time; of the longest piece */
} mid_collector_stats;

/* What calls for collections: options of these names (options.h). */
typedef struct mid_thresholds {
    size_t struct_size; /* sizeof(mid_thresholds) */
    uint64_t growth_min, growth, suspect_min, collect_stop;
} mid_thresholds;

#ifdef __cplusplus
extern "C" {
#endif

/* --- when -------------------------------------------------------------------------------------------------------------- */

/* From disable until it has been enabled as often, nothing is collected but what the program asks for (mid_collect,
 * mid_collect_kinds, mid_reclaim, mid_heap_close), or a person through the control socket: not at safepoints, by the daemon,
 * whatever the pressure, or in mid_step. What is under way stays as it is. Counting goes on, and compaction. Garbage that waits for its
 * finalizers is still counted again. Any thread, also inside callbacks; no safepoint. MID_ENULL; MID_ELIMIT: 2^31 times; enable: MID_EINVAL: it is not
 * disabled. */
MID_API mid_status mid_collect_disable(mid_heap *heap);
MID_API mid_status mid_collect_enable(mid_heap *heap);
/* 1, or 0 while it is disabled, or for null. Any thread. */
MID_API int mid_collect_is_enabled(mid_heap *heap);

/* Collect by one or more kinds, each to its end. SUSPECTS: the cheapest, its cost is that of what suspects lead to; it has them
 * logged from the first time on, so that the first finds but the latest. So do SWEEP, whose small sets go the same way, and mid_step: from
 * then on up to 2^20 suspects wait for the next SUSPECTS, mid_step or FULL, 4 bytes each, until a daemon that came later ends. FULL is mid_collect. `result` (may be null) is the
 * sum. A safepoint; other threads are stopped for proofs only, but for FULL. Unbudgeted. Finalizers run at this and later
 * safepoints, and what they leave is freed then. MID_EINVAL: no kind, or one that is none. MID_EPOSTPONED: another thread did not
 * come; MID_EBUSY: from a callback or a finalizer, or the daemon is at it; MID_ENULL, MID_ETHREAD, MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_collect_kinds(mid_thread *thread, unsigned kinds, mid_collect_result *result);

/* Thresholds of this heap, now; all at once, within the bounds of the options (MID_EINVAL, nothing is changed). The daemon goes by
 * them from its next look, which is at once; what the control socket's `set` changes is seen here. Any thread. MID_ENULL, MID_EINVAL
 * (struct_size). */
MID_API mid_status mid_thresholds_get(mid_heap *heap, mid_thresholds *thresholds);
MID_API mid_status mid_thresholds_set(mid_heap *heap, const mid_thresholds *thresholds);

/* --- what it did ------------------------------------------------------------------------------------------------------- */

/* Fill the first `size` bytes of *stats; returns how many, 0: an argument is null, or there is no such kind. Any thread, also from
 * a listener. */
MID_API size_t mid_collector_stats_get(mid_heap *heap, mid_collector_kind kind, mid_collector_stats *stats, size_t size);
/* The word for a kind ("sweep"); never null. Any thread; safe in a signal handler. */
MID_API const char *mid_collector_name(mid_collector_kind kind);

/* --- garbage kept, to find leaks ---------------------------------------------------------------------------------------- */

/* While it is on, garbage that a collection finds is not freed, nor finalized, nor are weak references to it cleared: it is put
 * on a list, with one count that the list holds. (As gc.DEBUG_SAVEALL of Python.) What has no memory on the list stays garbage, and
 * the collection says so (MID_ENOMEM, MID_ELIMIT).
 * Off: the list stays, to be taken; closing the heap lets it go. A safepoint, stops the world. Sweeps under way are given up.
 * MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_EPOSTPONED. */
MID_API mid_status mid_collect_save(mid_thread *thread, int on);

/* Take at most `room` handles from the list [counted: each is the caller's, to be released]; *count: how many. What is released
 * while it is on is found again. MID_MORE: there are others; MID_OK. Handles may be looked at with everything in inspect.h. Not
 * a safepoint. MID_ENULL, MID_ETHREAD, MID_EBUSY. */
MID_API mid_status mid_collect_saved(mid_thread *thread, mid_handle *into, size_t room, size_t *count);

/* --- the end ------------------------------------------------------------------------------------------------------------- */

/* Have `fn(context, thread)` called by mid_heap_close, before anything of the closing, on its thread, attached, outside
 * callbacks: everything of the heap works, but closing and destroying it (MID_EBUSY). Several: the latest first; a hook may add
 * hooks. Each is called once. If a hook leaves another thread attached, or its own in a blocked region, closing fails with
 * MID_ETHREAD; the next time those are called that were not. mid_heap_destroy calls none. Attached thread, or any while none is. MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_ENOMEM,
 * MID_ELIMIT. */
MID_API mid_status mid_close_hook(mid_heap *heap, void (*fn)(void *context, mid_thread *thread), void *context);
/* Take back the latest with this function and context. MID_EINVAL: there is none. */
MID_API mid_status mid_close_unhook(mid_heap *heap, void (*fn)(void *context, mid_thread *thread), void *context);

#define MID_LEAK_REFERRERS 8

/* Of an object that is left when the heap closes, to the listener (events.h, leak_object), while that runs. */
typedef struct mid_leak_object {
    mid_handle object;   /* borrowed */
    const char *type;
    uint64_t bytes;
    uint32_t count;      /* UINT32_MAX: immortal */
    uint32_t outside;    /* of it, not from slots of objects: somebody did not release them */
    uint32_t referrers;  /* slots that refer to it; the first are in `by` and `slot` */
    mid_handle by[MID_LEAK_REFERRERS];
    uint32_t slot[MID_LEAK_REFERRERS];
    const char *where;   /* what `where` of mid_leaks_tell said of it; else, if it is traced, the calls that allocated it; null: nothing is known */
} mid_leak_object;

/* How mid_heap_close reports: beside the types, up to `objects` objects (0, as at first: none), those that are held from outside
 * first. `where` (may be null) says where one was made, in text that is good until it is called again; it is called while the heap is busy, and must
 * not block. Without memory for it types alone are told. Without a listener a debug heap prints
 * them to stderr. Any thread while nobody closes. MID_ENULL. */
MID_API mid_status mid_leaks_tell(mid_heap *heap, size_t objects, const char *(*where)(void *context, mid_heap *heap, mid_handle object),
                                  void *context);

#ifdef __cplusplus
}
#endif
#endif
