/* alloc/alloc.h: memory for the layer above, in three shapes.
 *
 *   pools     64 KiB (or 16, or 256) of equal slots, for sizes up to 32 KiB or half a pool (pool.c, sizeclass.c)
 *   large     page runs up to 1 MiB, mappings of their own above (run.c, mapping.c, large.c)
 *   blocks    pools of slots without names, for what is never moved (block.c)
 *   metadata  growable arrays for the heap's own structures (account.c)
 *
 * This layer knows no objects. A slot or a large block carries a *name*, 32 bits that mean something to the layer
 * above (an index into its table) and let it find who lives there. Free slots of a pool are on a list of names whose
 * links the layer above keeps; here only its head is stored (mid_pool.chain).
 *
 * Nothing here locks: one mid_alloc is used by one thread at a time (the layer above has a lock for it).
 * Every byte is charged to one of the kinds below before it is obtained, and the hard limit is checked there. */
#ifndef MID_ALLOC_H
#define MID_ALLOC_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "midden/os.h"
#include "midden/status.h"
#include "alloc/sizeclass.h"

#define MID_PAGE 4096u
#define MID_ARENA_SIZE ((size_t)16 << 20)
#define MID_REGION_SIZE ((size_t)4 << 20)
#define MID_POOL_LEAST 16384u           /* 4 and 16 times that are the other sizes of pools */
#define MID_UNITS_MOST (MID_ARENA_SIZE / MID_POOL_LEAST)
#define MID_RUN_MAX ((size_t)1 << 20)   /* largest page run */
#define MID_MAPPINGS_MAX 1000u          /* mappings of their own; the kernel's map count is finite */
#define MID_NAMES_INLINE 6u
#define MID_INVERSE_SHIFT 34u

enum mid_kind { MID_IN_POOLS, MID_IN_EMPTY, MID_IN_RUNS, MID_IN_MAPPINGS, MID_IN_TABLE, MID_IN_META, MID_IN_BLOCKS, MID_KINDS };

/* Where a pool is. 0-7: partly used, by eighths of its slots, on that list of its class; allocation takes from the
 * highest list first. */
enum {
    MID_POOL_FULL = 8,
    MID_POOL_OWNED = 9,   /* a thread allocates from it */
    MID_POOL_EMPTY = 10,  /* no live slot, memory kept; slots may still be named */
    MID_POOL_FROZEN = 11, /* nobody allocates from it, and nothing is moved into it or out of it */
    MID_POOL_LISTS = 12,
    MID_UNIT_FREE = 12,   /* no memory behind it */
    MID_UNIT_REGION = 13, /* part of a region of page runs */
    MID_UNIT_SPAN = 14,   /* part of a large block that found no mapping */
    MID_UNIT_BLOCKS = 15  /* a pool of blocks without names, which stay where they are: block.c */
};

/* Descriptor of a unit of an arena, which has the size of a pool. They stand at the arena's begin, 64 bytes each. The first is
 * no unit's: there `live` counts the arena's empty pools, and `reached` is the shift that makes an address a unit. */
typedef struct mid_pool {
    uint32_t chain;      /* names of free slots: head of a list that the layer above links */
    uint16_t live;       /* slots handed out */
    uint16_t low;        /* live below this: call mid_pool_fell */
    uint16_t bound;      /* slots that have a name; the rest was never used */
    uint16_t slots;
    uint8_t size_class;
    uint8_t state;
    uint16_t pins;       /* pinned objects in it */
    struct mid_pool *next, *prev;
    uint32_t inline_names[MID_NAMES_INLINE]; /* back index of pools with few slots; a span's name and length */
    uint32_t first_name; /* not 0: names are consecutive from here, and not written down */
    uint16_t long_pins;  /* of `pins`, for long */
    uint16_t reached;    /* behind this many pages of the pool nothing was written before it had its class */
} mid_pool;
_Static_assert(sizeof(mid_pool) == 64, "descriptors are found by a shift");

typedef struct mid_class {
    uint32_t slot_size, slots;
    uint32_t first;      /* offset of slot 0 in a pool */
    uint32_t inverse;    /* ceil(2^34 / slot_size): slot index without a division, exact to the end of the largest pool */
    uint64_t pools;      /* with at least one live slot, or owned */
    uint64_t frozen, frozen_live; /* of them, frozen ones; slots handed out there when they were frozen */
    uint64_t handed, freed; /* slots, ever; live = handed - freed (- what a thread's cache still holds) */
    mid_pool *list[MID_POOL_LISTS];
} mid_class;

/* Pools of blocks: their classes have the sizes of mid_class, and another shape. */
typedef struct mid_block_class {
    uint32_t slots, first; /* the first slot's offset in a pool; before it the size of each, in two bytes */
    uint32_t end;          /* ... and what is behind the last */
    uint64_t pools;        /* with at least one slot handed out, or owned */
    uint64_t handed;       /* slots, now: in caches, or in use */
    mid_pool *list[MID_POOL_LISTS];
} mid_block_class;

typedef struct mid_mapping {
    void *at;
    size_t size;
    uint32_t name;
} mid_mapping;

typedef struct mid_arena {
    char *base;
    uint32_t free_units;
    uint32_t looked_at; /* a->gatherings when it was found that it cannot be emptied */
    uint64_t free[MID_UNITS_MOST / 64];
} mid_arena;

/* A growable array obtained from the system, zero beyond what was written. */
typedef struct mid_array {
    void *data;
    size_t bytes;
} mid_array;

typedef struct mid_alloc {
    mid_os os;
    uint64_t limit;                /* 0: none */
    uint64_t bytes[MID_KINDS];
    uint64_t committed, peak, returned;
    uint64_t reserve, spare_percent;
    uint32_t pool_size, pool_shift;
    uint32_t pooled_max;           /* larger blocks are no slots */
    uint32_t class_count;          /* classes up to that; of those behind it there never is a pool */
    uint32_t units, first_unit;    /* of an arena; the first behind the descriptors */
    mid_class classes[MID_CLASSES];
    uint64_t empty_pools, used_pools;
    bool pools_held;               /* pools that empty keep their memory: many go at once later, and together */
    uint32_t piece;                /* pools that go together, side by side; those that empty wait for the others. 0: each alone */
    uint64_t recent_pools;         /* 1024 times the most pools used lately: falls by 1/1024 with each 64 KiB that empty */
    mid_array arenas;              /* mid_arena[] */
    uint32_t arena_count, arena_hint;
    uint32_t arenas_released;      /* changes when descriptors have gone */
    bool arenas_held;
    uint32_t taken;                /* pools taken that were empty, ever; may wrap around: mid_pool_taken */
    struct mid_region *regions;
    struct mid_region *idle_region; /* without a run: one is kept */
    mid_array mappings;            /* mid_mapping[] */
    uint32_t mapping_count;
    uint64_t large_live;           /* bytes of live runs, mappings and spans with a name that is even, ... */
    uint64_t large_blocks;         /* ... and of those that the layer above never moves, whose names are odd */
    mid_block_class blocks[MID_CLASSES];
    uint64_t block_pools, empty_block_pools;
    uint64_t dirty_pages;          /* free pages in regions that still have memory */
    uint32_t packings, gatherings; /* passes of pack.c and gather.c, ever */
    /* Take the names off a pool that is about to change class or lose its memory. */
    void (*unbind)(void *owner, mid_pool *pool);
    void (*unused)(void *owner, mid_pool *pool); /* null, or told: an empty pool of blocks ceases to be one, or changes its class */
    /* Of the page run with this name, at this place: its bytes, and whether it stays there. 0: it is not known there. And: it has
     * moved. Needed for mid_runs_pack only. */
    size_t (*run_size)(void *owner, uint32_t name, const void *at, bool *stays);
    void (*run_moved)(void *owner, uint32_t name, void *to);
    /* Memory came (bytes > 0) or went. May be null. */
    void (*moved)(void *owner, int64_t bytes);
    void *owner;
} mid_alloc;

/* Can pools be of this size? */
bool mid_pool_size_fits(uint64_t bytes);
void mid_alloc_init(mid_alloc *a, const mid_os *os, uint32_t pool_size, uint64_t limit, uint64_t reserve, uint64_t spare_percent);
void mid_alloc_finish(mid_alloc *a); /* everything back to the system */
/* Every structure consistent? Null, or what is wrong. */
const char *mid_alloc_check(mid_alloc *a);

/* --- account.c: charging, metadata --------------------------------------------------------------------------- */

extern const mid_os mid_os_default;
bool mid_pages_fit(void);               /* the system's pages are no larger than MID_PAGE */
uint64_t mid_clock_micros(void);        /* monotonic */
uint64_t mid_clock_nanos(void);         /* the same clock */
uint64_t mid_thread_cpu_nanos(void);
/* Can every running thread of the process be made to pass a memory barrier? (membarrier(2); also needed again after fork.) */
bool mid_barriers_open(void);
void mid_all_threads_barrier(void);
void mid_yield(void);

/* Charge before obtaining; MID_ELIMIT when the hard limit would be passed even after empty pools were given back. */
mid_status mid_book(mid_alloc *a, enum mid_kind kind, size_t bytes);
void mid_unbook(mid_alloc *a, enum mid_kind kind, size_t bytes);
/* Room for at least `need` bytes; contents kept, may move. MID_ENOMEM, MID_ELIMIT: unchanged. */
mid_status mid_array_grow(mid_alloc *a, mid_array *array, size_t need);
void mid_array_free(mid_alloc *a, mid_array *array);

/* --- arena.c: units -------------------------------------------------------------------------------------------- */

/* `count` adjacent units, the first at a multiple of `align` units, without memory behind them. Null: *status. */
mid_pool *mid_units_take(mid_alloc *a, unsigned count, unsigned align, mid_status *status);
void mid_units_give(mid_alloc *a, mid_pool *first, unsigned count);
/* One unit with memory behind it, booked as `kind`. Null: *status. */
mid_pool *mid_unit_new(mid_alloc *a, enum mid_kind kind, mid_status *status);
/* The arena next above `base` (null: the lowest); null: there is none. Its first unit is its descriptors. */
char *mid_arena_above(const mid_alloc *a, const char *base);
/* Arenas that become free stay mapped, for somebody reads them without a lock, until that ends. */
void mid_arenas_hold(mid_alloc *a, bool hold);
const char *mid_arenas_check(mid_alloc *a);
/* A free unit of this very arena, as mid_units_take; null: it has none. */
mid_pool *mid_unit_take_in(mid_alloc *a, mid_arena *arena);

static inline char *mid_arena_of(const void *at)
{
    return (char *)((uintptr_t)at & ~(uintptr_t)(MID_ARENA_SIZE - 1));
}
/* With the allocator at hand: the arena's own descriptor is a line that all arenas have in the same set of the cache. */
static inline mid_pool *mid_pool_in(const mid_alloc *a, const void *at)
{
    return (mid_pool *)mid_arena_of(at) + (((uintptr_t)at & (MID_ARENA_SIZE - 1)) >> a->pool_shift);
}
static inline mid_pool *mid_pool_of(const void *at)
{
    mid_pool *first = (mid_pool *)mid_arena_of(at);
    return first + (((uintptr_t)at & (MID_ARENA_SIZE - 1)) >> first->reached);
}
static inline char *mid_pool_base(const mid_pool *pool)
{
    mid_pool *first = (mid_pool *)mid_arena_of(pool);
    return (char *)first + ((size_t)(pool - first) << first->reached);
}

/* The list that a pool's live count asks for, and what live falls below when it leaves that list. */
static inline unsigned mid_pool_list(const mid_pool *pool)
{
    if (pool->live == pool->slots)
        return MID_POOL_FULL;
    return pool->live == 0 ? MID_POOL_EMPTY : pool->live * 8u / pool->slots;
}
static inline uint16_t mid_pool_low(const mid_pool *pool, unsigned list)
{
    if (list == MID_POOL_FULL)
        return pool->slots;
    return list == 0 ? 1 : (uint16_t)((list * pool->slots + 7) / 8);
}

/* --- pool.c ------------------------------------------------------------------------------------------------------ */

/* A pool of the class for a thread to allocate from: the fullest partly used one, else an empty one, else a new one.
 * Its state is then MID_POOL_OWNED. Null: *status is MID_ENOMEM or MID_ELIMIT. */
mid_pool *mid_pool_take(mid_alloc *a, unsigned size_class, mid_status *status);
/* An owned pool, or a frozen one, goes back to the list its live count asks for. */
void mid_pool_put(mid_alloc *a, mid_pool *pool);
/* A pool with a live slot, that nobody owns, stays as it is until it is put back (mid_pool_put). */
void mid_pool_freeze(mid_alloc *a, mid_pool *pool);
/* live fell below low: move to the right list; an empty pool beyond reserve and spare goes back to the system. */
void mid_pool_fell(mid_alloc *a, mid_pool *pool);
/* The same after live rose (a pool that receives evacuated objects). */
void mid_pool_rose(mid_alloc *a, mid_pool *pool);
void mid_pool_return(mid_alloc *a, mid_pool *pool); /* an empty one */
void mid_pool_unbind(mid_alloc *a, mid_pool *pool); /* an empty one, that keeps its memory: its slots lose their names */
/* Give one empty pool back. False: there is none. */
bool mid_pool_return_one(mid_alloc *a);
/* Give one back with its empty neighbours, at most `most` and 2 MiB in all. Returns how many; 0: there is none. */
unsigned mid_pools_return(mid_alloc *a, unsigned most);
uint64_t mid_pools_allowed(const mid_alloc *a); /* bytes of empty ones that are kept, unless somebody asks */
uint64_t mid_pools_allowance(mid_alloc *a);     /* the same for one that has just become empty: what the past justifies decays */
void mid_pools_recent(mid_alloc *a);            /* one has come into use */
/* Bytes of pools, used and empty, that were never written to: whole pages. */
uint64_t mid_pools_untouched(const mid_alloc *a);
const char *mid_pools_check(mid_alloc *a);

/* Move whole pools out of sparse arenas that others have room for (gather.c): after begin, each call moves one, from the sparsest
 * into the fullest with a unit to spare, and returns it as it is now; its names are for the caller to follow. Null: no more arenas
 * come free. What lives in pools must not be in use. */
void mid_pools_gather_begin(mid_alloc *a);
mid_pool *mid_pools_gather(mid_alloc *a);

/* The back index. The names of a pool that was never rearranged are mostly consecutive, a step apart; they are then implied by
 * the first, and the memory that would hold them is not touched. */
#define MID_NAME_STEP 2u
static inline uint32_t *mid_pool_index(mid_pool *pool)
{
    return pool->slots <= MID_NAMES_INLINE ? pool->inline_names : (uint32_t *)mid_pool_base(pool);
}
static inline uint32_t mid_pool_name(mid_pool *pool, unsigned slot)
{
    return pool->first_name != 0 ? pool->first_name + MID_NAME_STEP * slot : mid_pool_index(pool)[slot];
}
/* Which of all pools taken it was, where a name does not need the place: null for pools of exactly so many slots. */
static inline uint32_t *mid_pool_taken(mid_pool *pool)
{
    return pool->slots == MID_NAMES_INLINE ? NULL : &pool->inline_names[MID_NAMES_INLINE - 1];
}
/* The names, written down, to be changed. */
uint32_t *mid_pool_names(mid_pool *pool);
/* Name the next slot. */
static inline void mid_pool_bind(mid_pool *pool, uint32_t name)
{
    if (pool->bound == 0)
        pool->first_name = name;
    else if (pool->first_name + MID_NAME_STEP * pool->bound != name || pool->first_name == 0)
        mid_pool_names(pool)[pool->bound] = name;
    pool->bound++;
}
static inline char *mid_slot_at(const mid_class *c, char *base, unsigned slot)
{
    return base + c->first + (size_t)slot * c->slot_size;
}
static inline unsigned mid_slot_of(const mid_class *c, const char *base, const char *at)
{
    return (unsigned)(((uint64_t)(uint32_t)(at - base - c->first) * c->inverse) >> MID_INVERSE_SHIFT);
}

/* --- block.c: pools of slots without names. What is not handed out is linked through itself ------------------------------ */

/* A pool of the class, as mid_pool_take; and back. */
mid_pool *mid_block_pool_take(mid_alloc *a, unsigned size_class, mid_status *status);
void mid_block_pool_put(mid_alloc *a, mid_pool *pool);
/* Free slots of a pool that was taken, linked, at most `most`; if it has none, the next that were never used. *count of them.
 * Null: all are handed out. */
void *mid_blocks_hand(mid_alloc *a, mid_pool *pool, uint32_t most, uint32_t *count);
/* One that was handed out is free again. */
void mid_block_return(mid_alloc *a, void *block);
/* As mid_pools_return. */
unsigned mid_block_pools_return(mid_alloc *a, unsigned most);
uint64_t mid_block_pools_untouched(const mid_alloc *a);
const char *mid_blocks_check(mid_alloc *a);
/* Is there an arena of this allocator at this address, which is a multiple of its size? */
bool mid_arena_known(const mid_alloc *a, const void *base);

static inline char *mid_pool_begin(const mid_alloc *a, const void *at)
{
    return (char *)((uintptr_t)at & ~((uintptr_t)a->pool_size - 1));
}
/* Of the slot with this number in the pool at `base`: what was asked for, plus one; 0: it is free. They go down from the first
 * slot, so that those in use of several classes are not all in one set of the cache. */
static inline uint16_t *mid_block_size_of(const mid_block_class *b, char *base, uint32_t slot)
{
    return (uint16_t *)(base + b->first) - 1 - slot;
}
/* The same for a block that is known to be one. */
static inline uint16_t *mid_block_size(const mid_alloc *a, unsigned size_class, void *block)
{
    char *base = mid_pool_begin(a, block);
    uint32_t offset = (uint32_t)((char *)block - base) - a->blocks[size_class].first;
    return mid_block_size_of(&a->blocks[size_class], base, (uint32_t)(((uint64_t)offset * a->classes[size_class].inverse) >> MID_INVERSE_SHIFT));
}

/* --- raw.c: libc's malloc. Null: it refuses ------------------------------------------------------------------------------ */

void *mid_libc_new(size_t size, bool clear);
void *mid_libc_resize(void *at, size_t size);
void mid_libc_free(void *at);
size_t mid_libc_bytes(void *at); /* what a block really takes */

/* --- large.c, run.c, mapping.c: blocks above pooled_max bytes ------------------------------------------------------- */

/* A block of `size` bytes, zero-filled, 4 KiB-aligned. Its size decides its shape, so it is given again later. */
void *mid_large_new(mid_alloc *a, size_t size, uint32_t name, mid_status *status);
void mid_large_free(mid_alloc *a, void *at, size_t size, uint32_t name);
/* Another size, both above pooled_max; bytes beyond the old size are zero. May move unless `stay`.
 * Null: *status (MID_EPINNED: it would have to move), the block is unchanged. */
void *mid_large_resize(mid_alloc *a, void *at, size_t old_size, size_t new_size, uint32_t name, bool stay,
                       mid_status *status);
/* The same block, by another name. */
void mid_large_rename(mid_alloc *a, void *at, size_t size, uint32_t name);
/* ... and of the other kind: odd names are of blocks that the layer above never moves, even ones of objects. */
void mid_large_pass(mid_alloc *a, void *at, size_t size, uint32_t from, uint32_t to);
/* Bytes the block really takes. */
size_t mid_large_bytes(size_t size);
/* The name of the large block that begins there, which may be any address; 0: none does. */
uint32_t mid_large_name(const mid_alloc *a, const void *at);
/* Give memory behind free pages of runs back; at most `pages`, 0: all. Returns bytes. */
size_t mid_runs_trim(mid_alloc *a, size_t pages);
uint64_t mid_runs_maps(const mid_alloc *a); /* bytes of the regions' page maps */

void *mid_run_new(mid_alloc *a, size_t size, uint32_t name, mid_status *status);
/* A larger one with what is at `at`. What grew once will mostly grow again: it goes where twice as much is free, if that is anywhere. */
void *mid_run_larger(mid_alloc *a, const void *at, size_t kept, size_t size, uint32_t name, mid_status *status);
void mid_run_free(mid_alloc *a, void *at, size_t size);
bool mid_run_resize_in_place(mid_alloc *a, void *at, size_t old_size, size_t new_size);
void mid_run_rename(mid_alloc *a, void *at, uint32_t name);
/* Pack runs into few regions: after begin, each call moves one, out of the sparsest region that can be emptied into the fullest
 * that has room. Returns its bytes; 0: no more regions come free. What lives in runs must not be in use. */
void mid_runs_pack_begin(mid_alloc *a);
size_t mid_runs_pack(mid_alloc *a);
/* Regions with a run, and the pages of runs; how many regions those would fill. */
void mid_runs_count(const mid_alloc *a, uint64_t *regions, uint64_t *least);
void mid_runs_finish(mid_alloc *a);
const char *mid_runs_check(mid_alloc *a);

void *mid_mapping_new(mid_alloc *a, size_t size, uint32_t name, mid_status *status);
void mid_mapping_free(mid_alloc *a, void *at, uint32_t name);
void *mid_mapping_resize(mid_alloc *a, void *at, size_t new_size, uint32_t name, bool stay, mid_status *status);
void mid_mapping_rename(mid_alloc *a, void *at, uint32_t name);
void mid_mappings_finish(mid_alloc *a);
const char *mid_mappings_check(mid_alloc *a);
uint32_t mid_mapping_name(const mid_alloc *a, const void *at); /* 0: none begins there */

static inline size_t mid_round(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

#endif
