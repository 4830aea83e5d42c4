/* gc/debug.h: what a debug heap knows of its objects, and where the rest of gc/ tells it (docs/design/debug.md).
 *
 *   debug.c        the checked calls                      debug_report.c  a misuse as text
 *   debug_site.c   a record for each entry, tracebacks    debug_fence.c   patterns, fences, what is addressable
 *   debug_slots.c  what slots hold, who is counted by them
 *   debug_block.c  a record for each block of raw and mem   debug_mem.c     the allocators of both that watch
 *   debug_replaced.c  the same before a program's allocator
 *   debug_held.c   blocks and large objects that are freed, and held back
 *   debug_check.c  everything checked, the world standing debug_move.c    everything moved at safepoints; leaks; addresses
 *
 * Every function here is called for debug heaps only (heap->debug), but for those that say otherwise. LOCKS. `stores` (of a
 * debug heap) makes the exchange of a slot and the account of it one step; it comes before `escapes` and `memory`. Stacks and
 * fences are used with `memory`. Who has stopped the world needs neither: a thread is stopped between steps. */
#ifndef MID_GC_DEBUG_H
#define MID_GC_DEBUG_H

#include "gc/heap.h"

#define MID_FENCE 16u
#define MID_FILL_FRESH 0xCD
#define MID_FILL_FREED 0xDD
#define MID_FILL_FENCE 0xFD
#define MID_DEBUG_FRAMES 32u
#define MID_LATELY 64u

enum mid_site_state { MID_SITE_NONE, MID_SITE_LIVE, MID_SITE_SETTLED }; /* settled: it dies, and was looked at for the last time */

/* Of what an entry names, or named last. */
typedef struct mid_site {
    uint64_t sum;             /* of what its slots hold: debug_slots.c */
    uint64_t size;            /* bytes */
    const void *got;          /* who last asked for its address, or borrowed it by mid_peek */
    uint32_t made, gone;      /* tracebacks: allocated; freed, or moved away from the slot */
    uint32_t held;            /* references from slots whose stores are checked; atomic */
    uint32_t was;             /* of a free slot: the object that a safepoint moved away */
    uint16_t made_by, gone_by; /* threads */
    uint8_t state;
    bool filled;              /* its slot is free, and bears MID_FILL_FREED from end to end */
    bool told;                /* its slots were reported, and cannot be put right */
} mid_site;
_Static_assert(sizeof(mid_site) == 48 && MID_TABLE_BLOCK * sizeof(mid_site) % MID_PAGE == 0, "committed with a block of the table");

/* Of a block of raw or mem, or the memory of a large object that was freed. Its number stays the same; records are looked up by address. */
enum mid_block_state { MID_BLOCK_NONE, MID_BLOCK_COMING, MID_BLOCK_LIVE, MID_BLOCK_FREED, MID_BLOCK_MOVED };
typedef struct mid_block_site {
    char *at;                 /* null: remembered, but another's now; what the program has; before it are `heap->fence` bytes, of an object none */
    size_t size, room;        /* asked for; all that it has, with both fences; 0: it was freed, and is its allocator's again */
    uint64_t serial;          /* the how manieth block of this heap */
    uint32_t made, gone;      /* tracebacks */
    uint32_t next;            /* among those held back, the one freed next; of those not in use, another; 0: none */
    mid_handle handle;        /* an object's: what was its name */
    uint16_t made_by, gone_by;
    mid_type type;
    uint8_t domain, state;
} mid_block_site;
_Static_assert(sizeof(mid_block_site) == 64, "a block's record");

#define MID_HELD_BYTES ((size_t)32 << 20) /* held back at most, of blocks; an eighth of heap-limit, if that is less */

typedef struct mid_blocks {
    mid_array records;        /* mid_block_site[], by number, from 1 */
    mid_array cells;          /* numbers, by address: open addressing, at most half full */
    uint32_t count, unused;   /* numbers that were given, the first of those not in use */
    uint32_t used;            /* in use */
    uint32_t oldest, newest, held; /* held back: the ends of the list, and how many */
    size_t held_bytes;
    uint64_t serial;
} mid_blocks;

typedef struct mid_debug {
    mid_array memory;         /* of this structure */
    mid_site *sites;          /* by entry */
    size_t reserved, committed;
    mid_stacks stacks;        /* tracebacks, each once */
    pthread_mutex_t stores;
    mid_handle lately[MID_LATELY]; /* objects whose address was asked for since the last safepoint; under `stores` */
    unsigned lately_count;
    uint32_t points;          /* safepoints, atomic */
    uint64_t faults;          /* misuses found by looking at memory, ever; atomic */
    mid_blocks blocks;        /* with `memory` held */
    unsigned still;           /* within mid_debug_still_begin: everything is addressable */
    bool doubtful;            /* `held` is no longer exact */
} mid_debug;

static inline mid_site *mid_site_of(const mid_heap *heap, mid_handle handle)
{
    return &heap->watch->sites[handle / 2];
}

/* --- debug_site.c */
mid_status mid_debug_open(mid_heap *heap);
void mid_debug_close(mid_heap *heap);   /* any heap */
void mid_debug_forked(mid_heap *heap);
mid_status mid_debug_reserve(mid_heap *heap); /* records for max_index entries, which may become fewer */
mid_status mid_debug_commit(mid_heap *heap, uint32_t first, uint32_t end); /* blocks of the table */
void mid_debug_decommit(mid_heap *heap, uint32_t block);
void mid_debug_exchange(mid_heap *heap, mid_handle a, mid_handle b); /* any heap: two names change places */
/* Of the caller, from the call of the program that returns to `from`, if that is not null. 0: none, or no memory for it. */
uint32_t mid_debug_stack(mid_heap *heap, const void *from);
unsigned mid_debug_frames(mid_heap *heap, uint32_t stack, void **frames);
unsigned mid_debug_here(mid_heap *heap, void **frames);

/* --- debug_report.c */
typedef struct mid_fault {
    mid_misuse kind;
    mid_status status;
    const char *call;
    mid_thread *thread; /* as passed; may be anything */
    mid_heap *heap;     /* null: not known, or no debug heap */
    mid_handle handle, other;
    uint32_t block, other_block; /* records */
    const void *address;
    char detail[320];
} mid_fault;
void mid_fault_tell(mid_fault *fault);
/* A mid_fault that is filled in but for its detail; of what was found by looking at memory if its status is MID_ECORRUPT. */
__attribute__((format(printf, 2, 3))) void mid_fault_of_block(mid_fault *fault, const char *format, ...);
/* "block 17 of mem (100 bytes at 0x7f...)" */
const char *mid_fault_block_name(const mid_heap *heap, uint32_t number, char *into, size_t room);
/* "handle 24 (type node, 32 bytes)" */
const char *mid_fault_name(const mid_heap *heap, mid_handle handle, char *into, size_t room);
/* A fault that was found by looking at memory. */
#define MID_FAULT(heap_, kind_, call_, handle_, other_, ...)                                                           \
    do {                                                                                                               \
        mid_fault fault_ = {.kind = (kind_), .status = MID_ECORRUPT, .call = (call_), .heap = (heap_),                 \
                            .handle = (handle_), .other = (other_)};                                                   \
        snprintf(fault_.detail, sizeof fault_.detail, __VA_ARGS__);                                                    \
        __atomic_fetch_add(&(heap_)->watch->faults, 1, __ATOMIC_RELAXED);                                              \
        mid_fault_tell(&fault_);                                                                                       \
    } while (0)

/* --- debug_fence.c: with `memory` held, or the world stopped */
void mid_debug_made(mid_impl *me, mid_handle made, const mid_type_info *type, size_t size, const void *from); /* not yet cleared, no type yet */
bool mid_debug_differs(const char *at, size_t size, unsigned char fill, size_t *first, size_t *last); /* from `fill`: from where to where */
void mid_debug_fence(mid_heap *heap, char *object, size_t size, size_t room);
bool mid_debug_fence_whole(mid_heap *heap, mid_handle handle, const char *call); /* else it is told, and put right */
bool mid_debug_freed_whole(mid_heap *heap, mid_handle handle, const char *call); /* the same for a free slot */
void mid_debug_taken(mid_heap *heap, mid_handle handle);  /* a free slot, by who writes to it next */
void mid_debug_vacated(mid_impl *me, mid_handle handle);  /* a slot that is free now */
void mid_debug_spoil(char *at, size_t size);              /* a block outside pools that is given back; any heap */
void mid_debug_unbound(mid_heap *heap, mid_pool *pool);   /* its slots lose their names */
void mid_debug_unnamed(mid_heap *heap, mid_handle handle);
void mid_debug_resizes(mid_heap *heap, mid_handle handle);
void mid_debug_resized(mid_heap *heap, mid_handle handle, size_t old_size); /* whether it succeeded or not */
void mid_debug_seal(mid_heap *heap, mid_handle handle, bool refill);        /* of debug_check.c: not addressable again */
void mid_debug_unseal(mid_heap *heap, mid_handle handle);

/* --- debug_slots.c */
void mid_debug_stored(mid_heap *heap, mid_handle holder, unsigned slot, mid_handle old, mid_handle value); /* with `stores` held */
bool mid_debug_slots_whole(mid_heap *heap, mid_handle handle, const char *call); /* else it is told, and put right */
void mid_debug_dies(mid_impl *me, mid_handle handle);            /* before its references go; once for each object */
void mid_debug_dropped(mid_heap *heap, mid_handle value);        /* a slot that held it goes */
void mid_debug_resum(mid_heap *heap, mid_handle handle);
void mid_debug_recount(mid_heap *heap);                          /* the world stands: `held` anew */
unsigned mid_debug_slot_count(const mid_type_info *type, const void *object); /* a trace function's count for as many as fit */
mid_handle mid_debug_holder(mid_heap *heap, mid_handle value);   /* some object whose slots hold it; 0 */

/* --- debug_block.c: with `memory` held */
mid_status mid_debug_block_take(mid_heap *heap, uint32_t *number); /* a record, and room for its address */
void mid_debug_block_give(mid_heap *heap, uint32_t number);
void mid_debug_block_enter(mid_heap *heap, uint32_t number, char *at); /* found by its address from now on */
uint32_t mid_debug_block_find(const mid_heap *heap, const void *at); /* 0: none begins there */
uint32_t mid_debug_block_around(const mid_heap *heap, const void *at); /* whose memory it is, fences too; 0: none's. Walks */
const char *mid_debug_blocks_check(const mid_heap *heap);
void mid_debug_blocks_drop(mid_heap *heap);
static inline mid_block_site *mid_block_site_at(const mid_heap *heap, uint32_t number)
{
    return (mid_block_site *)heap->watch->blocks.records.data + number - 1;
}

void mid_debug_block_withdraw(mid_heap *heap, uint32_t number); /* no more, until it is entered again, for which there is room */
void mid_debug_block_superseded(mid_heap *heap, const void *at); /* what is only remembered there is found no more */

/* --- debug_replaced.c: raw or mem, and what was set without wrapping is kept; from now on it is called by what watches its blocks */
void mid_debug_replaces(mid_kept_allocator *kept, mid_domain domain);

/* --- debug_mem.c */
unsigned mid_debug_place(mid_caller caller); /* the thread's number; 0: none of this heap */
mid_status mid_debug_block_record(mid_heap *heap, uint32_t *number);
/* The live block of this domain that begins there; 0: there is none, and it is told. With `memory` held. */
uint32_t mid_debug_block_live(mid_caller caller, mid_domain domain, const void *at, const char *call);
mid_status mid_debug_block_size(mid_heap *heap, const void *at, size_t *size);

/* --- debug_held.c: with `memory` held, or the world stopped */
bool mid_debug_block_whole(mid_heap *heap, uint32_t number, const char *call); /* its fences; or its filling; else told, and put right */
void mid_debug_block_fence(mid_heap *heap, uint32_t number);
void mid_debug_block_open(mid_heap *heap, uint32_t number); /* all of it addressable */
void mid_debug_hold(mid_heap *heap, uint32_t number);       /* it is freed, and held back */
void mid_debug_recall(mid_heap *heap, uint32_t number);     /* likewise, but its memory has gone already: the record alone */
bool mid_debug_hold_object(mid_impl *me, mid_handle handle, char *at, size_t size, bool moved); /* false: its memory is to be freed */
void mid_debug_held_flush(mid_heap *heap);                  /* any heap */
static inline bool mid_debug_holds(const mid_heap *heap)    /* any heap */
{
    return heap->watch != NULL && heap->watch->blocks.held != 0;
}
void mid_debug_blocks_verify(mid_heap *heap, const char *call);
void mid_debug_blocks_leak(mid_heap *heap);                 /* it closes: told of what is live */
void mid_debug_blocks_lift(mid_heap *heap);                 /* it closes: all addressable */
void mid_debug_pool_unused(void *heap, mid_pool *pool);     /* of blocks: to be anything else */

/* --- debug_check.c */
uint64_t mid_debug_verify(mid_heap *heap, const char *call); /* the world stands; returns misuses found */
void mid_debug_still_begin(mid_heap *heap);                  /* the world stands: all is checked, and addressable until ... */
void mid_debug_still_end(mid_heap *heap);
/* Any heap, after mid_debug_still_begin: a slice that was to end then, and began `budget` before, is to get as far as it would
 * have, and to work for as long as it was looked at. */
uint64_t mid_debug_deadline(const mid_heap *heap, uint64_t deadline, uint64_t budget);
void mid_debug_lift(mid_heap *heap);                         /* any heap: it closes */
void mid_debug_point(mid_impl *me, const char *call);        /* a safepoint, before anything is done */
void mid_debug_lately(mid_heap *heap, mid_handle handle);    /* its address was asked for */

/* --- debug_move.c */
void mid_debug_move(mid_impl *me);
void mid_debug_leaks(mid_heap *heap);
/* What it is that is no block; the fault is filled in but for that, and told. `domain`: null, or whose free it was given to. */
void mid_debug_foreign(mid_heap *heap, const void *pointer, const char *domain, mid_fault *fault);
/* For who frees by address: if the address is none that `free` may be given, tell what it is, and return true. */
bool mid_debug_foreign_address(mid_heap *heap, const void *pointer);

#endif
