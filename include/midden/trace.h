/* midden/trace.h: who allocated what is there. (Of recorded allocations for the laboratory, docs/design/trace.md, this knows nothing.)
 *
 * While tracing is on, each object that is made, or each sampled one, is remembered with the calls that led there, until it dies.
 * Objects that were there before are not known. A resize that gives an object other memory is an allocation like any
 * other: the object is then known by the calls that led to the resize. Memory that is not the heap's can be tracked beside it,
 * and what is charged (mid_charge) is.
 *
 * SAMPLING. With `sample` R, an object of s bytes (of its slot) is remembered with probability 1 - exp(-s/R): on average one each
 * R bytes, wherever they are allocated. Each stands for as many as were not remembered, so that all figures here are unbiased
 * estimates of what is there; `samples` says on how many they rest. (Charges without a block are all remembered.) With R = 0 every object is remembered, and figures are exact.
 *
 * COSTS. Off: nothing. On, a record takes 16 bytes, at most half of the places for them being in use, and each
 * different traceback 8 bytes a frame; all of it is the heap's own memory, charged to its limit as metadata. Where there is none, the
 * object is made all the same, and counted in `missed`.
 *
 * THREADS. Unless a call says otherwise: a thread that is attached to the heap, outside blocked regions, or any while none is;
 * MID_ETHREAD else. From callbacks of the heap: MID_EBUSY. Snapshots are for one thread at a time, any. */
#ifndef MIDDEN_TRACE_H
#define MIDDEN_TRACE_H

#include "heap.h"

#define MID_TRACE_FRAMES_MOST 64

/* Whose memory a record is about. */
typedef enum mid_trace_domain {
    MID_TRACE_OBJECT,  /* the heap's objects */
    MID_TRACE_FOREIGN, /* whatever the program tracks */
    MID_TRACE_RAW,     /* blocks of the domain raw (domain.h), without being tracked; both are known by address, */
    MID_TRACE_MEM,     /* ... and of the domain mem: made by malloc, calloc, and a realloc that moves */
    MID_TRACE_CHARGED, /* what mid_charge is told of (domain.h), without an address */
    MID_TRACE_DOMAINS
} mid_trace_domain;

typedef struct mid_trace_options {
    size_t struct_size; /* sizeof(mid_trace_options) */
    uint32_t frames;    /* calls remembered, innermost first: 1 to 64 */
    uint64_t sample;    /* bytes between two samples, on average, to 1 << 40; 0: every object */
} mid_trace_options;

typedef struct mid_trace_figures {
    uint64_t bytes;     /* traced now, of all domains */
    uint64_t peak;      /* the most since the start, or mid_trace_reset_peak */
    uint64_t domain_bytes[MID_TRACE_DOMAINS];
    uint64_t objects;   /* and other blocks, traced now */
    uint64_t records;   /* what these figures rest on */
    uint64_t stacks;    /* different tracebacks (of a type and domain), ever */
    uint64_t missed;    /* not remembered for want of memory, ever */
    uint64_t own_bytes; /* that tracing takes */
    uint64_t sample;
    uint32_t frames;    /* 0: tracing is off, and all else is 0 */
} mid_trace_figures;

typedef struct mid_trace_record {
    mid_trace_domain domain;
    mid_type type;       /* 0 but for objects */
    uint64_t bytes;
    uint32_t depth;      /* frames there are */
    void *frames[MID_TRACE_FRAMES_MOST]; /* return addresses, innermost first */
} mid_trace_record;

#ifdef __cplusplus
extern "C" {
#endif

/* Trace from here on. Null options: every object, 16 frames. Stops the world; a safepoint. MID_ENULL, MID_EINVAL (struct_size, frames,
 * sample; it is on), MID_ENOMEM, MID_ELIMIT, MID_EPOSTPONED (another thread did not come within 100 ms). */
MID_API mid_status mid_trace_start(mid_heap *heap, const mid_trace_options *options);
/* Forget all records. Snapshots stay. Stops the world; a safepoint. MID_ENULL, MID_EINVAL (it is off), MID_EPOSTPONED. */
MID_API mid_status mid_trace_stop(mid_heap *heap);
/* Any thread; 0 for null. */
MID_API int mid_trace_is_on(mid_heap *heap);
/* The first `size` bytes. Any thread, listeners too. MID_ENULL. */
MID_API mid_status mid_trace_figures_get(mid_heap *heap, mid_trace_figures *figures, size_t size);
/* From now on the peak is counted from what is traced now. Any thread. MID_ENULL, MID_EINVAL (it is off). */
MID_API mid_status mid_trace_reset_peak(mid_heap *heap);

/* Where `object` [borrowed] was allocated. MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_EHANDLE; MID_EUNTRACED: nothing is known of it.
 * Attached thread; no safepoint. */
MID_API mid_status mid_trace_where(mid_thread *thread, mid_handle object, mid_trace_record *record);

/* Remember a block that is not an object of the heap: `bytes` at `pointer`, a name rather than an address, below 1 << 48, allocated by who called this.
 * Another record of the same domain and pointer is replaced. Sampled like objects. With tracing off nothing happens (MID_OK). Any thread, attached or not,
 * listeners and finalizers too. MID_ENULL (heap, pointer), MID_EINVAL (domain, MID_TRACE_OBJECT and MID_TRACE_CHARGED among them; pointer), MID_ESIZE (1 << 40 and more), MID_ENOMEM, MID_ELIMIT: it is
 * not remembered, nor what was there before. */
MID_API mid_status mid_trace_track(mid_heap *heap, mid_trace_domain domain, const void *pointer, size_t bytes);
/* Forget it. What is not known is no error, for it may not have been sampled. MID_ENULL, MID_EINVAL. As mid_trace_track. */
MID_API mid_status mid_trace_untrack(mid_heap *heap, mid_trace_domain domain, const void *pointer);
/* Where it was allocated. MID_EUNTRACED. As mid_trace_track. */
MID_API mid_status mid_trace_where_tracked(mid_heap *heap, mid_trace_domain domain, const void *pointer, mid_trace_record *record);

/* --- snapshots ----------------------------------------------------------------------------------------------------- */

/* What is traced at a moment, by domain, type and traceback, and which modules (program and shared libraries) are loaded. It takes as long and as
 * much memory (the heap's) as there are different ones, however many objects. It stays when tracing stops and ends with
 * mid_trace_drop, or the heap. */
typedef struct mid_trace_snapshot mid_trace_snapshot;

/* *out is the caller's. Any thread that may call for the heap's figures, but not from callbacks: MID_EBUSY. Not a safepoint. MID_ENULL, MID_EINVAL (tracing is off), MID_ENOMEM,
 * MID_ELIMIT: *out is null. */
MID_API mid_status mid_trace_take(mid_heap *heap, mid_trace_snapshot **out);
/* [consumed]; null is nothing. */
MID_API void mid_trace_drop(mid_trace_snapshot *snapshot);
/* Figures as of then. MID_ENULL. */
MID_API mid_status mid_trace_snapshot_figures(const mid_trace_snapshot *snapshot, mid_trace_figures *figures, size_t size);

/* What a filter matches: all of what it names. */
typedef struct mid_trace_filter {
    size_t struct_size;   /* sizeof(mid_trace_filter) */
    uint32_t exclude;     /* not 0: what matches is left out */
    uint32_t domains;     /* bits 1 << domain; 0: any */
    const char *type;     /* name of a type, * and ? as in fnmatch(3); null: any, and what has none */
    const char *module;   /* file name of a module, without folders, * and ?; null: any */
    const void *low, *high; /* a call from an address in [low, high); both null: any */
    uint32_t any_frame;   /* module and addresses are looked for in all frames; 0: in the innermost alone */
} mid_trace_filter;

/* Another snapshot, *out the caller's: what an including filter matches, if there is one, and no excluding one does.
 * MID_ENULL, MID_EINVAL (struct_size, low above high), MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_trace_select(const mid_trace_snapshot *snapshot, const mid_trace_filter *filters, size_t count,
                                    mid_trace_snapshot **out);

typedef enum mid_trace_by {
    MID_TRACE_BY_DOMAIN,
    MID_TRACE_BY_TYPE,  /* and domain */
    MID_TRACE_BY_SITE,  /* the innermost frame */
    MID_TRACE_BY_STACK, /* the whole traceback */
    MID_TRACE_BY_FRAME, /* any frame: what was allocated there or in what was called from there; the sum of rows is more than all */
    MID_TRACE_BYS
} mid_trace_by;

/* A row of a grouping. Fields that are no key of it are 0 (domain and type: the number of domains, and 0). */
typedef struct mid_trace_row {
    mid_trace_domain domain;
    mid_type type;
    const char *type_name;  /* null: none */
    void *const *frames;    /* valid during the callback */
    uint32_t depth;
    uint64_t bytes, objects;        /* now */
    uint64_t before_bytes, before_objects; /* in the other snapshot; 0 without one */
    uint64_t samples;       /* records behind `bytes` */
} mid_trace_row;

/* Rows, the largest first: by bytes, or, with `before` not null, by how much bytes differ (what does not differ in bytes and objects is no row).
 * `before` and `now` may be of different heaps or sessions if types and code are the same. The callback returns 0 to go on. MID_ENULL, MID_EINVAL, MID_ENOMEM, MID_ELIMIT: nothing is said. */
MID_API mid_status mid_trace_group(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by,
                                   int (*fn)(void *context, const mid_trace_row *row), void *context);

/* The module whose code is at a return address: its path and the offset of the call in the file as linked (what addr2line takes).
 * Null: none known. Valid as long as the snapshot. */
MID_API const char *mid_trace_module(const mid_trace_snapshot *snapshot, const void *address, uint64_t *offset);

/* As text, the `most` largest rows (0: all), addresses as module+offset. MID_ENULL, MID_EINVAL, MID_ENOMEM, MID_ELIMIT; MID_ESYSTEM: the write failed, errno says why. */
MID_API mid_status mid_trace_write_text(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most, int fd);
/* Folded stacks, for flamegraph.pl, speedscope and their like: a line each, outermost call first, then the type; bytes. */
MID_API mid_status mid_trace_write_folded(const mid_trace_snapshot *snapshot, int fd);

#ifdef __cplusplus
}
#endif
#endif
