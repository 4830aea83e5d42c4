/* midden/domain.h: memory by the block, in three domains of a heap, after those of Python's memory manager (PEP 445); and memory
 * outside of it that belongs to its objects.
 *
 *   raw     the system's: libc's malloc. Any thread, whatever it is at; never touches an object.
 *   mem     pooled memory for a program's own structures, from the heap's arenas: a block stays where it is until it is resized,
 *           has no header, no handle and no count. By threads that are attached. No lock on the fast path.
 *   object  blocks of bytes as managed objects: counted handles, moved by compaction, of a leaf type of the heap's own.
 *
 * Each counts its blocks (mid_stats_domain), and lets a program put an allocator of its own in front of it, or in its place
 * (mid_domain_set_allocator). None of these calls is a safepoint. docs/design/domains.md has the reasons.
 *
 * SIZES are bytes. A block of 0 bytes is a block like others, with an address of its own. Blocks of raw are aligned to 16. Blocks of mem
 * are aligned to 16 if the size asked for is a multiple of 16, or above 128, else to 8 (also one of 0 bytes, and one that could not
 * be moved when it shrank): enough for any C type without a flexible array that itself asks for 16. A block keeps nothing of its content past its free.
 *
 * LIMITS. mem and object are part of what heap-limit bounds, raw is not: it is libc's memory, which the heap cannot give back. At the
 * limit calls return MID_ELIMIT, after what waits to be freed has been freed and empty pools given back; where the system refuses,
 * MID_ENOMEM. A program that is told so may call mid_reclaim and try again. */
#ifndef MIDDEN_DOMAIN_H
#define MIDDEN_DOMAIN_H

#include <stddef.h>
#include <stdint.h>

#include "heap.h"

typedef enum mid_domain { MID_DOMAIN_RAW, MID_DOMAIN_MEM, MID_DOMAIN_OBJECT, MID_DOMAIN_COUNT } mid_domain;

/* What a domain's own allocator has been asked for and holds. Only ever extended at the end. Peaks of mem are taken whenever a
 * thread's cache is filled or emptied, a large block comes, and figures are read: what caches held (16 KiB a class and thread) may be
 * missing from them. Exact otherwise, and while no other thread calls. What a replaced allocator serves by itself is not in here. */
typedef struct mid_domain_stats {
    uint64_t live_blocks;
    uint64_t asked_bytes;      /* of them, as asked for, */
    uint64_t taken_bytes;      /* ... and as slots, pages or libc's blocks, headers included */
    uint64_t peak_blocks, peak_asked_bytes, peak_taken_bytes;
    uint64_t allocations, reallocations, frees; /* calls that were served, ever */
    uint64_t refused;          /* ... and that found no memory */
} mid_domain_stats;

/* Who calls: `thread` is null in the domain raw, and from mid_mem_free_anywhere. */
typedef struct mid_caller {
    mid_heap *heap;
    mid_thread *thread;
} mid_caller;

/* An allocator of a domain. A block is an address; in the domain object, a handle. Each function may be called by several threads
 * at a time, returns what the domain's own calls return, and is called with arguments that have been checked: the thread
 * is the caller's, places for results are there; sizes may be absurd. calloc: `count` items of `size` bytes, cleared. realloc: *block may be 0
 * (then as malloc), and is unchanged on failure. free: block may be 0. They may call the heap like their caller.
 *
 * `wraps` says that each block of it is a block of the allocator which was set before, which this one calls: tracing, counting,
 * failing on purpose. Without it the allocator takes the place of the one before. */
typedef struct mid_allocator {
    void *context;
    mid_status (*malloc)(void *context, mid_caller caller, size_t size, uintptr_t *block);
    mid_status (*calloc)(void *context, mid_caller caller, size_t count, size_t size, uintptr_t *block);
    mid_status (*realloc)(void *context, mid_caller caller, uintptr_t *block, size_t size);
    mid_status (*free)(void *context, mid_caller caller, uintptr_t block);
    int wraps;
} mid_allocator;

#ifdef __cplusplus
extern "C" {
#endif

/* --- raw: any thread, at any time; also from listeners, finalizers, payload functions, and in blocked regions -------------------- */

/* A block of `size` bytes, not cleared, or `count` times `size`, cleared; *out is null on failure. MID_ENULL, MID_ESIZE,
 * MID_ENOMEM. Each has a header of 16 bytes. Blocks that were not freed outlive the heap (a debug heap tells of them as it closes).
 * In a debug heap each also has a record, which heap-limit counts; without memory for that: MID_ENOMEM. */
MID_API mid_status mid_raw_malloc(mid_heap *heap, size_t size, void **out);
MID_API mid_status mid_raw_calloc(mid_heap *heap, size_t count, size_t size, void **out);
/* Another size for *block, which may move; null: as malloc. On failure everything is as it was. As above, and MID_EBLOCK. */
MID_API mid_status mid_raw_realloc(mid_heap *heap, void **block, size_t size);
/* null: nothing happens. MID_ENULL: heap is. MID_EBLOCK: not a block of this domain and heap, as its header shows; the address must be
 * one that libc's malloc, or this heap, has given out. */
MID_API mid_status mid_raw_free(mid_heap *heap, void *block);

/* --- mem: the thread's own; not from callbacks, nor in blocked regions (MID_EBUSY, MID_ETHREAD) --------------------------------------- */

/* As above; from the thread's cache, or the heap's arenas. Blocks above 32 KiB (half a pool, if that is less) are page runs, above
 * 1 MiB mappings of their own, and come cleared from malloc too. MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_ESIZE (2^46), MID_ELIMIT (also: a
 * large block that finds no place, see README), MID_ENOMEM. What fails has freed what waited to be freed first, but runs no finalizer. Blocks
 * end with their heap. */
MID_API mid_status mid_mem_malloc(mid_thread *thread, size_t size, void **out);
MID_API mid_status mid_mem_calloc(mid_thread *thread, size_t count, size_t size, void **out);
/* In place if its slot fits the new size by at least three quarters; page runs grow in place if what follows is free, mappings
 * by mremap. To shrink never fails. */
MID_API mid_status mid_mem_realloc(mid_thread *thread, void **block, size_t size);
/* By whatever thread; the slot then waits in the cache of the one that frees. MID_EBLOCK: no live block of this heap's mem begins
 * there (freed already, of another heap or domain, inside a block): nothing happens. Any address may be asked about, unless another
 * thread frees it meanwhile. */
MID_API mid_status mid_mem_free(mid_thread *thread, void *block);
/* The same through the heap's lock, by any thread, attached or not, in blocked regions, and from functions that free payloads:
 * what an object's payload is made of may be mem. MID_EBUSY: from any other callback. */
MID_API mid_status mid_mem_free_anywhere(mid_heap *heap, void *block);
/* The size last asked for. Any time the caller may use the block. MID_ENULL, MID_EBLOCK, and as mid_mem_free. */
MID_API mid_status mid_mem_size(mid_thread *thread, const void *block, size_t *size);

/* --- object: threads as for object.h ----------------------------------------------------------------------------------------------- */

/* A managed block of bytes, cleared; *out is a counted handle. It dies like any object, when nothing holds it, and is counted as
 * freed then. As mid_new_array; MID_ETYPES: the type could not be registered, which the first call does ("midden.block"). */
MID_API mid_status mid_object_malloc(mid_thread *thread, size_t size, mid_handle *out);
MID_API mid_status mid_object_calloc(mid_thread *thread, size_t count, size_t size, mid_handle *out);
/* As mid_resize: the handle stays, what others hold is this block too; *object null: as malloc. MID_ETYPE: not of this domain. */
MID_API mid_status mid_object_realloc(mid_thread *thread, mid_handle *object, size_t size);
/* As mid_release, checked: [consumed]. 0: nothing happens. MID_EHANDLE, MID_ETYPE, MID_ENULL, MID_ETHREAD, MID_EBUSY. */
MID_API mid_status mid_object_free(mid_thread *thread, mid_handle object);
/* [borrowed] Where its bytes are, aligned to 8, until the next safepoint; and how many (null: not asked). Null: not a block. */
MID_API void *mid_object_data(mid_thread *thread, mid_handle object, size_t *size);

/* --- figures, other allocators ------------------------------------------------------------------------------------------------------ */

/* Fill the first `size` bytes of *stats. Any thread, also in callbacks. MID_ENULL, MID_EINVAL. */
MID_API mid_status mid_stats_domain(mid_heap *heap, mid_domain domain, mid_domain_stats *stats, size_t size);

/* The allocator in force. What it was before anybody set one calls the domain's own, whatever is in force: the one to wrap, and to set again.
 * Any thread. MID_ENULL, MID_EINVAL. */
MID_API mid_status mid_domain_get_allocator(mid_heap *heap, mid_domain domain, mid_allocator *out);
/* Put *allocator (copied) in force for every call of the domain made after this one returns; calls of other threads under way may
 * still be with the one before, whose context has to outlive them. Once blocks live, only an allocator that wraps is safe, for the others are
 * handed blocks that they did not make: without `wraps` it is refused (MID_EHELD) while blocks live that are not its own: the domain's,
 * or those of another that has taken its place; so is the domain's own, while such live. To take a wrapper off again, set what it wraps. That a wrapper does as it says is
 * not checked, but raw and mem know their own blocks (MID_EBLOCK). Objects made by mid_new never come this way.
 * In a debug heap an allocator that replaces raw or mem is asked for 32 bytes more, and calloc for one of them all: fences lie around what the program has,
 * misuses are told as of other blocks (debug.h), and mid_domain_get_allocator has what watches it, to be wrapped or set again. It
 * gives back blocks as they are freed; if it refuses to, the block lives, but its contents are lost.
 * Attached thread or, while none is attached, any. MID_ENULL (also a function), MID_EINVAL, MID_ETHREAD, MID_EBUSY, MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_domain_set_allocator(mid_heap *heap, mid_domain domain, const mid_allocator *allocator);

/* --- foreign memory ------------------------------------------------------------------------------------------------------------------- */

/* `bytes` outside the heap belong to its objects from now on: payloads, buffers of libraries, blocks of raw. They are shown in the figures
 * (foreign_bytes), count as live where growth calls for a collection, and against the soft limit, whose pressure they can cause; not
 * against heap-limit, which bounds what the heap itself has. May ask for a collection at the next safepoint. The thread's own, not from callbacks.
 * One atomic addition. MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_ESIZE (2^62 in all: nothing is charged).
 *
 * While allocation is traced (trace.h) each charge is a record of the domain MID_TRACE_CHARGED, with its bytes and who called, sampled or not
 * (one of 2^40 bytes and more: of 2^40 - 1); without memory for it, it is charged and missed. What is uncharged does not say which charge it
 * was: the latest of the same size goes, or, if there is none, the latest of all give up so many bytes. What was charged
 * before tracing began has no record. A block that has an address is better charged by it: */
MID_API mid_status mid_charge(mid_thread *thread, uint64_t bytes);
/* No longer. Any thread, at any time, also from functions that free payloads. MID_EINVAL: more than is charged: nothing changes. MID_ENULL. */
MID_API mid_status mid_uncharge(mid_heap *heap, uint64_t bytes);
/* mid_charge for the block at `block`, which is a name and not read, and in one with it mid_trace_track in the domain MID_TRACE_FOREIGN: its record
 * is the block's, sampled like others, and goes with this block whatever else has its size. (Who calls mid_charge and mid_trace_track for
 * the same block has its bytes traced twice.) As mid_charge; MID_EINVAL: not below 1 << 48. Without memory for a record it is charged, and missed. */
MID_API mid_status mid_charge_block(mid_thread *thread, const void *block, uint64_t bytes);
/* No longer; `bytes` as they were charged. Call it before the block is freed: then the address may be another's. As mid_uncharge. */
MID_API mid_status mid_uncharge_block(mid_heap *heap, const void *block, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
