/* gc/tracer.h: who allocated what (midden/trace.h). Not to be confused with the laboratory's recorder.
 *
 *   trace.c           start, stop, what an allocation and a death do, the calls about single records
 *   trace_block.c     blocks of the domains raw and mem
 *   trace_charge.c    charges, which have no address
 *   trace_records.c   the records, and what they add up to
 *   trace_sample.c    which allocations are remembered, and how they are caught without the fast paths knowing
 *   trace_snapshot.c  copies, and filters on them           trace_group.c  groups, differences
 *   trace_write.c     text and folded stacks */
#ifndef MID_GC_TRACER_H
#define MID_GC_TRACER_H

#include "gc/traceback.h"
#include "midden/inline.h"
#include "midden/trace.h"

typedef struct mid_impl mid_impl;

/* A record is two words. Which: the index of an object's entry, a pointer, or the number of a charge, above it the domain + 1 (a word of 0 is free). What: a
 * group, and above it the bytes. */
typedef struct mid_trace_cell {
    uint64_t which, what;
} mid_trace_cell;
#define MID_TRACE_GROUP_BITS 24
#define MID_TRACE_BYTES_MOST ((uint64_t)1 << 40)

/* What has the same domain, type and traceback. Its number is that of the stack whose innermost "frame" says domain and type.
 * Estimates are kept whole, and objects in 256ths, so that what is taken off is what was put on. */
typedef struct mid_trace_group_sums {
    uint64_t records, bytes, objects;
} mid_trace_group_sums;
#define MID_TRACE_TAG(domain, type) (((uintptr_t)(domain) << 16 | (type)) + 1)
#define MID_TRACE_TAG_DOMAIN(tag) ((mid_trace_domain)(((tag) - 1) >> 16))
#define MID_TRACE_TAG_TYPE(tag) ((mid_type)(((tag) - 1) & 0xFFFF))
#define MID_TRACE_PARTS 256u

/* A charge that is known, and the latest of a size: trace_charge.c. Numbers are from 1. */
typedef struct mid_trace_charge {
    uint64_t bytes;              /* 0: it is free, `older` the next that is */
    uint32_t same, older, newer; /* the one before of its size; its neighbours among all */
} mid_trace_charge;
typedef struct mid_trace_size {
    uint64_t bytes; /* 0: none */
    uint32_t latest;
} mid_trace_size;

/* With `memory` held, or while the world stands; `on` and `sampling` change only while it does. */
typedef struct mid_tracer {
    uint32_t on, sampling;  /* read without a lock */
    uint32_t frames;
    uint64_t sample;
    mid_stacks stacks;
    mid_array groups;       /* mid_trace_group_sums, by stack */
    mid_array cells;        /* mid_trace_cell[]: open addressing, at most half full */
    uint64_t mask, count;
    uint64_t objects_known; /* of the records, those of objects; atomic */
    mid_array charges;      /* mid_trace_charge, by number */
    mid_array charge_sizes; /* mid_trace_size[] */
    uint64_t sizes_known;
    uint32_t charge_count, unused_charge, latest_charge;
    mid_array slow_types;   /* mid_fast_type[]: none is served by the inline path */
    uint64_t missed, bytes, peak, objects;
    uint64_t domain_bytes[MID_TRACE_DOMAINS];
    uint64_t known[MID_TRACE_DOMAINS]; /* records of each; atomic */
    int64_t until;          /* to the next sample, of what no thread of the heap allocates */
    uint64_t dice;
    mid_trace_snapshot *snapshots;
} mid_tracer;

/* --- trace_block.c: blocks of the domains raw and mem, by the address the program has. `from`: its call of ours */
/* As tracing begins and ends, the world standing: the fast paths of mem find an allocator set, and take the long way. */
void mid_trace_blocks_begin(mid_heap *heap);
void mid_trace_blocks_end(mid_heap *heap);
void mid_trace_block_made(mid_impl *me, mid_heap *heap, mid_trace_domain domain, uintptr_t at, size_t bytes, const void *from);
void mid_trace_block_freed(mid_heap *heap, mid_trace_domain domain, uintptr_t at); /* before it is: then it may be another's */
/* Around a realloc: the record's second word, or 0, is kept by the caller; `to` is 0 if it failed. */
uint64_t mid_trace_block_lift(mid_heap *heap, mid_trace_domain domain, uintptr_t at);
void mid_trace_block_moved(mid_impl *me, mid_heap *heap, mid_trace_domain domain, uintptr_t at, uint64_t lifted, uintptr_t to, size_t bytes,
                           const void *from);
/* trace.c: as mid_trace_track, arguments checked; me: null, or whose sample it may be */
mid_status mid_trace_track_from(mid_impl *me, mid_heap *heap, mid_trace_domain domain, uintptr_t at, size_t bytes, const void *from);

/* --- trace_charge.c */
void mid_trace_charge_made(mid_heap *heap, uint64_t bytes, const void *from);
void mid_trace_charge_gone(mid_heap *heap, uint64_t bytes);
void mid_trace_charges_close(mid_heap *heap);
const char *mid_trace_charges_check(const mid_heap *heap); /* the world stands */

/* --- trace_records.c */
/* A record that was taken out, with so many bytes; if its traceback is still known. With `memory` held. */
void mid_trace_restore(mid_heap *heap, mid_trace_domain domain, uint64_t key, uint64_t what, uint64_t bytes);
/* Of one that is there: replaced. The stack is in frames[1..depth]; frames[0] is for the tag. */
mid_status mid_trace_enter(mid_heap *heap, mid_trace_domain domain, mid_type type, uint64_t key, uint64_t bytes, void **frames, unsigned depth);
bool mid_trace_leave(mid_heap *heap, mid_trace_domain domain, uint64_t key);
void mid_trace_again(mid_heap *heap, uint64_t key, uint64_t bytes); /* an object, if it is known: it has so many now */
const mid_trace_cell *mid_trace_find(const mid_tracer *t, mid_trace_domain domain, uint64_t key);
void mid_trace_exchange(mid_heap *heap, uint32_t a, uint32_t b); /* handles: the record of each is the other's */
void mid_trace_records_close(mid_heap *heap);
const char *mid_trace_check(mid_heap *heap); /* the world stands: null, or what is wrong */

/* --- trace.c */
void mid_trace_made(mid_impl *me, uint32_t handle, const void *from); /* an object came by the slow path, or its memory is new; tracing is on */
void mid_trace_reused(mid_impl *me, uint32_t handle, const void *from); /* likewise, and its memory was not taken for it: policy.c */
void mid_trace_resized(mid_impl *me, uint32_t handle, const void *from, bool moved); /* tracing is on; moved: its memory is new */
void mid_trace_died(mid_heap *heap, uint32_t handle);
const mid_fast_type *mid_trace_types(const mid_heap *heap); /* for mid_thread.types */
bool mid_traced(const mid_heap *heap, uint32_t handle);
void mid_trace_close(mid_heap *heap);
void mid_trace_leaks(mid_heap *heap, int fd); /* what is traced, by traceback, the largest first: a few */

/* --- trace_sample.c */
#define MID_ASIDE_LEAST 16u /* slots that are worth being shown again */
double mid_trace_chance(uint64_t bytes, uint64_t sample); /* that a block of so many is remembered */
#define MID_TRACE_DICE 0x9E3779B97F4A7C15u
int64_t mid_trace_draw(uint64_t *dice, uint64_t sample);  /* bytes to the next sample */
bool mid_trace_due(int64_t *until, uint64_t *dice, uint64_t sample, uint64_t bytes); /* is a block of so many the next? */
void mid_sampling_begin(mid_heap *heap); /* the world stands */
void mid_sampling_end(mid_heap *heap);
void mid_sampling_attach(mid_impl *me);   /* its cache has been filled while nobody was attached */
void mid_sampling_detach(mid_impl *me);   /* all free slots are in the cache again */
/* `count` free slots, linked: as many as may be allocated before the next sample, or the one that is it, are shown in the empty cache. */
void mid_sampling_show(mid_impl *me, unsigned size_class, uint32_t head, uint32_t count);
bool mid_sampling_show_aside(mid_impl *me, unsigned size_class); /* what was freed; false: too few, and none are shown */

/* --- trace_snapshot.c, trace_group.c, trace_write.c */
typedef struct mid_trace_entry { /* of a snapshot: a group of which something is there */
    uint64_t at;                 /* its frames, in words */
    uint32_t depth;
    mid_type type;
    mid_trace_domain domain;
    mid_trace_group_sums sums;
} mid_trace_entry;

typedef struct mid_trace_module_entry {
    uintptr_t low, high, base;
    size_t name; /* in names */
} mid_trace_module_entry;

/* Its arrays are the heap's, and it lies in the first of them. */
struct mid_trace_snapshot {
    mid_array self;
    mid_heap *heap;
    mid_trace_snapshot *next, *prev;
    mid_trace_figures figures;
    mid_array entries, words, modules, names;
    uint64_t count, word_count;
    uint32_t module_count;
};

static inline mid_trace_entry *mid_trace_entries(const mid_trace_snapshot *s)
{
    return s->entries.data;
}
static inline void *const *mid_trace_entry_frames(const mid_trace_snapshot *s, const mid_trace_entry *e)
{
    return (void *const *)s->words.data + e->at;
}
void mid_trace_snapshots_close(mid_heap *heap);
void mid_trace_figures_fill(const mid_heap *heap, mid_trace_figures *f); /* with `memory` held */

#endif
