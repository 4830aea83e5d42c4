/* midden/stats.h: what a heap can say of itself. All byte figures are bytes; times are microseconds, or
 * nanoseconds where that is said. */
#ifndef MIDDEN_STATS_H
#define MIDDEN_STATS_H

#include "heap.h"

/* Only ever extended at the end. `committed_bytes` = pool_bytes + run_bytes + mapping_bytes + empty_bytes +
 * table_bytes + metadata_bytes + block_bytes: everything obtained from the system and not given back. Runs, mappings and empty pools
 * may be those of the domain mem (domain.h); what objects are of is told by mid_stats_memory. */
typedef struct mid_stats {
    uint64_t live_objects;     /* dying ones excluded */
    uint64_t live_slot_bytes;  /* of them, with rounding to the size class */
    uint64_t pool_bytes;       /* pools with at least one object */
    uint64_t empty_bytes;      /* pools without, kept for reuse */
    uint64_t run_bytes;        /* page runs: objects of 32 KiB to 1 MiB, their regions whole */
    uint64_t mapping_bytes;    /* objects above 1 MiB */
    uint64_t table_bytes;      /* handle table, committed part */
    uint64_t metadata_bytes;   /* heap structures, pool descriptors, side arrays */
    uint64_t committed_bytes;
    uint64_t peak_committed_bytes;
    uint64_t waiting_objects;  /* dead, on the work list, not yet freed */
    uint64_t finalizers_waiting;
    uint64_t pinned_objects;
    uint64_t weak_references;
    uint64_t allocated_objects, allocated_bytes; /* since the heap was opened; not what a type kept and hands out again (policy.h: `reused`) */
    uint64_t freed_objects;
    uint64_t collections, collected_objects, collect_micros;
    uint64_t compactions, moved_objects, moved_bytes, compact_micros;
    uint64_t returned_bytes;   /* decommitted since the heap was opened */
    uint64_t stops, stop_micros, stop_micros_max; /* times the world was stopped, by a thread or the daemon */
    uint64_t finalized_objects, resurrected_objects;
    uint64_t attached_threads;
    uint64_t merged_objects;   /* whose owner handed its count over: the others had let go of it, or outlived its interest */
    uint64_t escapes_forced;   /* first loads that took a membarrier, see mid_load */
    uint64_t postponed_stops;  /* a thread did not reach a safepoint in time */
    uint64_t condemned_objects; /* garbage with finalizers and what it reaches: set aside until those have run and it is counted again */
    uint64_t pool_size;        /* bytes of a pool: the option, as the heap was opened */
    uint64_t block_bytes;      /* pools of the domain mem with at least one block */
    uint64_t foreign_bytes, peak_foreign_bytes; /* outside the heap, see mid_charge */
    uint64_t frozen_objects;   /* freeze.h */
    uint64_t frozen_counts;    /* of them, with a count that is not what it was when they were frozen */
    uint64_t frozen_written;   /* counts for which the side table had no memory, ever: each has touched a page of the table */
} mid_stats;

/* One size class. */
typedef struct mid_class_stats {
    uint32_t slot_size, slots_per_pool;
    uint64_t pools, live_slots, free_slots; /* pools with at least one object; free slots in them */
    uint64_t optimal_pools;                 /* ceil(live_slots / slots_per_pool) */
} mid_class_stats;

/* What a pass of compaction did in one size class: the last, or the one that is under way in slices. The least is what had to
 * be moved for the optimum when the class was planned. `left` as in mid_compact_result, without MID_LEFT_BUDGET. */
typedef struct mid_class_pass {
    uint64_t pools_before, pools_optimal, pools_after; /* after, and left: 0 until the class is done */
    uint64_t moved_bytes, least_bytes;
    uint64_t left[MID_LEFT_COUNT];
} mid_class_pass;
/* Where every byte of `committed_bytes` is. Only ever extended at the end. The first thirteen figures and the four of mem add up to
 * `committed_bytes`, exactly. `touched_bytes` is what of them the heap knows may have been written to, in whole pages: no more than that is resident,
 * but for huge pages, and no less where the program has written its objects all over. The rest has never cost memory: pages behind
 * the last slot of a pool that was ever used, tails, back indices that are implied, entries of the table never given out. */
typedef struct mid_memory {
    uint64_t live_bytes;       /* as asked for, of objects that live */
    uint64_t rounding_bytes;   /* from there to their slots, pages, and blocks of whole units */
    uint64_t dead_bytes;       /* slots and blocks of objects that wait to be freed, or for a finalizer; quarantine */
    uint64_t free_slot_bytes;  /* in pools with at least one object, those in threads' caches too */
    uint64_t index_bytes;      /* back indices of such pools */
    uint64_t tail_bytes;       /* what no slot of such pools fills */
    uint64_t empty_bytes;      /* pools without an object: reserve and spare */
    uint64_t free_page_bytes;  /* between page runs, kept */
    uint64_t entry_bytes;      /* of the handle table: of objects, dead ones too, */
    uint64_t bound_entry_bytes; /* ... of free slots, */
    uint64_t free_entry_bytes; /* ... and the rest, those never used too */
    uint64_t descriptor_bytes; /* of pools, and page maps of regions */
    uint64_t metadata_bytes;   /* everything else: the heap itself, types, side arrays, places of threads */
    uint64_t committed_bytes;
    uint64_t touched_bytes;
    uint64_t mem_live_bytes;     /* the domain mem: as asked for, of blocks that live */
    uint64_t mem_rounding_bytes; /* from there to their slots and pages */
    uint64_t mem_free_bytes;     /* free slots in pools with at least one block, in caches too */
    uint64_t mem_index_bytes;    /* ... the sizes at their begin, and their tails */
} mid_memory;

/* Stops of the world, by length in thread CPU time: stop_histogram[i] counts stops of 2^i to 2^(i+1) - 1 µs, the
 * first those below 2 µs, the last everything above. */
#define MID_STOP_BUCKETS 32

/* PAUSES, as the program sees them: calls in which an attached thread did the heap's work, or waited for it. Recorded are those
 * that stopped the world or waited for a stop, however short, and all others that took 10 µs or more behind the fast path. A
 * pause has one cause: if it stopped the world or waited for a stop, that; else what took longest. X(name, word, text); the first
 * six are of stops, but for turns of the daemon in which it works beside the program; the next two may be. */
#define MID_PAUSE_CAUSES(X)                                                                                            \
    X(MID_PAUSE_PARKED, "parked", "waited while another thread, or the daemon's, had stopped the world or wanted to")  \
    X(MID_PAUSE_COLLECT, "collect", "collected cycles, or counted again after finalizers")                             \
    X(MID_PAUSE_COMPACT, "compact", "mid_compact, mid_pin_long")                                                       \
    X(MID_PAUSE_SERVICE, "service", "a turn of the daemon on this thread")                                             \
    X(MID_PAUSE_RECLAIM, "reclaim", "mid_reclaim")                                                                     \
    X(MID_PAUSE_LOOK, "look", "stopped the world to look at it: mid_heap_check, mid_stats_type and _memory, mid_inspect_*") \
    X(MID_PAUSE_STEP, "step", "mid_step")                                                                              \
    X(MID_PAUSE_HELP, "help", "looked for garbage cycles at a safepoint, or proved some, as the daemon fell behind")   \
    X(MID_PAUSE_TRIM, "trim", "mid_trim")                                                                              \
    X(MID_PAUSE_DRAIN, "drain", "freed what had died: in a release, or at a safepoint")                                \
    X(MID_PAUSE_FINALIZE, "finalize", "ran the program's finalizers, or functions that free payloads")                 \
    X(MID_PAUSE_NEWS, "news", "exchanged messages with other threads, told the daemon")                                \
    X(MID_PAUSE_REFILL, "refill", "filled a cache of free slots, or emptied one")                                      \
    X(MID_PAUSE_LARGE, "large", "made, resized or freed an object above 32 KiB")                                       \
    X(MID_PAUSE_LOAD, "load", "the first load of another thread's object")                                             \
    X(MID_PAUSE_TRANSFER, "transfer", "mid_transfer")

typedef enum mid_pause_cause {
#define MID_X(name, word, text) name,
    MID_PAUSE_CAUSES(MID_X)
#undef MID_X
    MID_PAUSE_CAUSE_COUNT
} mid_pause_cause;

/* Pauses of one cause, of all threads, since the heap was opened. Nanoseconds; histogram[i] counts pauses of 2^i to 2^(i+1) - 1 ns,
 * the last everything above. Processor time is that of the paused thread. What was spent waiting for stops, and while the
 * world was stopped or memory was given back, is taken from it by the thread's clock; in other work the clock is not read, and a
 * thread that was not running then counts as if it were. */
typedef struct mid_pause_stats {
    uint64_t count;
    uint64_t wall_nanos, wall_nanos_max;
    uint64_t cpu_nanos, cpu_nanos_max;
    uint64_t wall_histogram[MID_STOP_BUCKETS], cpu_histogram[MID_STOP_BUCKETS];
} mid_pause_stats;

#ifdef __cplusplus
extern "C" {
#endif

/* Fill the first `size` bytes of *stats (a program compiled against an older header passes its smaller size) and
 * return how many were filled; 0: an argument is null. Any thread. Exact when no other thread runs; otherwise each figure is
 * of some moment during the call. Time does not grow with the heap. Objects that a resize moved count as allocated and freed. */
MID_API size_t mid_stats_get(mid_heap *heap, mid_stats *stats, size_t size);

/* Size class `size_class` (0 ...); MID_EINVAL past the last, MID_ENULL. Any thread, as above. Live slots include a debug
 * heap's quarantine. */
MID_API mid_status mid_stats_class(mid_heap *heap, unsigned size_class, mid_class_stats *stats);

/* Size class `size_class` in the last pass; all zero before the first, and after a mid_reclaim. MID_EINVAL past the last class,
 * MID_ENULL. Any thread, as above. */
MID_API mid_status mid_stats_pass(mid_heap *heap, unsigned size_class, mid_class_pass *pass);

/* Live objects and bytes of one type. Walks the table, with the world stopped as for mid_heap_check. MID_ETYPE, MID_ENULL,
 * MID_ETHREAD, MID_EPOSTPONED. */
MID_API mid_status mid_stats_type(mid_heap *heap, mid_type type, uint64_t *objects, uint64_t *bytes);

/* Fill the first `size` bytes of *memory. Walks the table and the pools, with the world stopped as for mid_heap_check.
 * MID_ENULL, MID_ETHREAD, MID_EPOSTPONED: *memory is as it was. */
MID_API mid_status mid_stats_memory(mid_heap *heap, mid_memory *memory, size_t size);

/* Lengths of stops. Any thread. MID_ENULL. */
MID_API mid_status mid_stats_stops(mid_heap *heap, uint64_t stop_histogram[MID_STOP_BUCKETS]);

/* How long stops waited for running threads, request to stillness, in nanoseconds of wall time: wait_histogram[i] counts waits
 * of 2^i to 2^(i+1) - 1 ns. Stops that had nobody to wait for are not in it. Any thread. MID_ENULL. */
MID_API mid_status mid_stats_waits(mid_heap *heap, uint64_t wait_histogram[MID_STOP_BUCKETS]);

/* Pauses of a cause, those that have ended. Any thread, also from a listener; takes no lock, so that each figure is of some moment
 * during the call. MID_EINVAL: no such cause; MID_ENULL. */
MID_API mid_status mid_stats_pauses(mid_heap *heap, mid_pause_cause cause, mid_pause_stats *stats);

/* The word for a cause ("parked"); never null, also for a value that is none. Any thread; safe in a signal handler. */
MID_API const char *mid_pause_name(mid_pause_cause cause);

/* The minimum mutator utilisation: of all windows of 1000, 5000, 10000 or 50000 µs in the life of any thread, detached ones too,
 * the least part (0 to 1) that was not taken by recorded pauses. Pauses count when they have ended; time before a thread was
 * attached, and in blocked regions, is its own. Exact as long as a thread has at most 500 pauses in 50 ms, else never too high.
 * Any thread, also from a listener; takes no lock. MID_EINVAL: another window; MID_ENULL. */
MID_API mid_status mid_stats_mmu(mid_heap *heap, uint64_t window_micros, double *utilisation);

#ifdef __cplusplus
}
#endif
#endif
