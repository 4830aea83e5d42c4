/* gc/domain.h: the domains of a heap (midden/domain.h), as their files know them: domain.c, leaf.c, mem.c, large.c, charge.c. Included
 * by heap.h, which has their place in the heap.
 *
 * A mid_mem is a thread's caches of the domain mem. It belongs to whom its mid_impl belongs to; rows of large blocks, pools and the list
 * of allocators are changed with `memory` held. Tallies and `foreign` are counted atomically, by anybody. */
#ifndef MID_GC_DOMAIN_H
#define MID_GC_DOMAIN_H

#include "alloc/alloc.h"
#include "midden/domain.h"

typedef struct mid_impl mid_impl;

/* Of a domain's own allocator. Of mem: without what threads have not told of yet. */
typedef struct mid_tally {
    int64_t blocks, asked, taken;
    int64_t peak_blocks, peak_asked, peak_taken;
    uint64_t made, resized, freed, refused;
} mid_tally;

/* One line of the cache, with what the fast paths need of the class. Counts only grow; what is in the cache is
 * freed - made + (room - until). */
typedef struct mid_mem_bin {
    void *head;            /* free blocks, linked through themselves */
    uint64_t made, freed;
    int64_t asked, asked_told; /* bytes of what was made, less of what was freed; when the tally was last told */
    int64_t until;         /* freed - made at which the cache is full */
    uint32_t told;         /* made - freed, then */
    uint32_t first, inverse;
    uint16_t slot_size, slots;
} mid_mem_bin;
_Static_assert(sizeof(mid_mem_bin) == 64, "one line of the cache");

#define MID_MEM_KNOWN 64u

typedef struct mid_mem {
    mid_mem_bin bins[MID_CLASSES];
    mid_pool *owned[MID_CLASSES];
    uintptr_t known[MID_MEM_KNOWN]; /* arenas of the heap, plus one, by their numbers: an address may be looked up there */
    uint32_t released;              /* mid_alloc.arenas_released, when they were */
    uint64_t resized;
} mid_mem;

/* A block that is no slot. Its name, for alloc/, is twice its number and one. */
typedef struct mid_mem_row {
    void *at;            /* null: the row is free */
    size_t size;         /* by which alloc/ knows it; of a free row: the next */
    size_t asked;
} mid_mem_row;

/* An allocator that was set; whose blocks it hands out, if it wraps: another that was set, or null, the domain's own. In a debug heap
 * what replaces raw or mem is `inner`, and `allocator` what watches it (debug_replaced.c). */
typedef struct mid_kept_allocator {
    mid_allocator allocator;
    const struct mid_kept_allocator *base;
    mid_allocator inner;
} mid_kept_allocator;

typedef struct mid_domains {
    const mid_kept_allocator *set[MID_DOMAIN_COUNT]; /* atomic; null: the domain's own */
    int64_t replaced[MID_DOMAIN_COUNT];         /* atomic: blocks that live of one which has taken its place */
    const mid_kept_allocator *replacement[MID_DOMAIN_COUNT]; /* ... and which */
    mid_array allocators;                       /* what was ever set: calls under way may be with any; a page, whose first word leads to the one before */
    uint32_t allocator_count;                   /* in that page */
    mid_tally tally[MID_DOMAIN_COUNT];
    mid_array rows;
    uint32_t row_count, row_free;               /* numbers from 1; 0: none is free */
    mid_type block_type;                        /* atomic; 0: not registered yet */
    uint64_t foreign, peak_foreign;             /* atomic */
} mid_domains;

/* The program's call that this thread is in, of raw or mem; null: of neither. What a wrapper calls is the program's call still. */
extern __thread const void *mid_called_by;
static inline const void *mid_called_from(const void *call)
{
    const void *outer = mid_called_by;
    if (outer == NULL)
        mid_called_by = call;
    return outer;
}

/* --- domain.c: through whatever allocator is in force. Arguments have been checked */
mid_status mid_domain_new(mid_caller caller, mid_domain domain, size_t count, size_t size, bool clear, uintptr_t *block);
mid_status mid_domain_resize(mid_caller caller, mid_domain domain, uintptr_t *block, size_t size);
mid_status mid_domain_free(mid_caller caller, mid_domain domain, uintptr_t block);
void mid_tally_add(mid_tally *tally, int64_t blocks, int64_t asked, int64_t taken); /* and its peaks */
void mid_domains_close(mid_heap *heap);
bool mid_domains_leak(mid_heap *heap); /* are there blocks? In a debug heap, and while tracing is on, it is said how many */
static inline void mid_tally_count(uint64_t *figure, uint64_t more)
{
    __atomic_fetch_add(figure, more, __ATOMIC_RELAXED);
}

/* --- leaf.c: the domain object; its own allocator */
extern const mid_allocator mid_object_own;

/* --- mem.c, cache.c (mem.h) */
extern const mid_allocator mid_mem_own;
extern const mid_kept_allocator mid_mem_marked; /* the same, set while tracing is on: trace_block.c */
void mid_mem_flush(mid_impl *me);  /* all it has cached, into the pools; its pools too. With `memory` held, or the world stopped */
void mid_mem_forget(mid_impl *me); /* the heap closes */
void mid_mem_sum(const mid_heap *heap, mid_domain_stats *into); /* with `memory` held */
const char *mid_mem_check(mid_heap *heap); /* the world stands */

/* For debug heaps, where blocks have fences, and wait when they are freed (debug_block.c). `room`: bytes with fences. */
bool mid_mem_withdraw(mid_heap *heap, void *block); /* with `memory` held: freed for the figures; false: no live block begins there */
void mid_mem_put_back(mid_heap *heap, void *block); /* with `memory` held: its memory too */
mid_status mid_mem_room_new(mid_impl *me, size_t size, size_t room, void **out);
/* Where it is, or a mapping by mremap. To shrink never fails. */
mid_status mid_mem_room_resize(mid_impl *me, void **block, size_t size, size_t room);
extern const mid_kept_allocator mid_mem_watched, mid_raw_watched; /* debug_mem.c: the domains' own there, set from the beginning */
const mid_kept_allocator *mid_domain_unset(const mid_heap *heap, mid_domain domain); /* what is in force when no program has set anything */
mid_status mid_raw_room_new(mid_heap *heap, size_t size, size_t room, bool clear, void **out); /* domain.c; the address after its head */
mid_status mid_raw_room_resize(mid_heap *heap, void **block, size_t size, size_t room);
void mid_raw_withdraw(mid_heap *heap, void *block);
void mid_raw_put_back(void *block);

/* --- large.c: blocks that are no slots; with `memory` held */
#define MID_MEM_WITHDRAWN SIZE_MAX /* asked: it has been freed, and waits */
mid_status mid_mem_large_new(mid_heap *heap, size_t asked, size_t size, void **out);
/* What objects had in `size` bytes under this name is a withdrawn block from now on; nothing has changed on failure. */
mid_status mid_mem_large_adopt(mid_heap *heap, void *at, size_t size, uint32_t name);
mid_mem_row *mid_mem_large_find(mid_heap *heap, const void *at); /* null: no such block begins there; any address */
void mid_mem_large_free(mid_heap *heap, mid_mem_row *row);
/* Both no slots; to shrink never fails. `size` is what is needed now, `asked` what of it was asked for. */
mid_status mid_mem_large_resize(mid_heap *heap, mid_mem_row *row, size_t asked, size_t size, void **out);
const char *mid_mem_large_check(const mid_heap *heap, int64_t *blocks, int64_t *asked, int64_t *taken); /* adds them up */

#endif
