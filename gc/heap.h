/* gc/heap.h: the structures of a heap, and what its parts may call of each other. Not for daemon/ (see service.h).
 *
 *   table.c    entries: reserve, take, give back            new.c      allocation behind the fast path
 *   release.c  counts to zero, the work list                resize.c   another number of items
 *   cycle.c    garbage cycles                               compact.c  evacuation
 *   finalize.c queue of finalizers, recount after them      weak.c     weak cells
 *   pin.c      pins                                         scope.c    temporaries
 *   thread.c   attach, safepoints, stop and resume          service.c  what the daemon asks
 *   type.c, stats.c, events.c, options.c, check.c, debug.c, status.c, map.c: what their names say
 *
 * WHO WRITES WHAT. Everything in a heap belongs to its mutator while it runs, and to whoever has claimed it while it
 * stands (thread.c). Exceptions, written by one side and read by the other at any time, are atomic: mid_thread.stop,
 * impl.state, heap.published. */
#ifndef MID_GC_HEAP_H
#define MID_GC_HEAP_H

#include <pthread.h>

#include "alloc/alloc.h"
#include "midden/midden.h"
#include "gc/service.h"

/* Flags of an entry, bits 48-51 of its word. */
#define MID_F_LARGE (1ull << 48)     /* not in a pool: alloc/large.c */
#define MID_F_WEAK (1ull << 49)      /* has weak cells: weak.c */
#define MID_F_FINALIZED (1ull << 50) /* its finalizer has run */
#define MID_F_PINNED (1ull << 51)    /* pin.c */
#define MID_F_ALL (15ull << 48)

/* What a thread is asked at its next safepoint, bits of mid_thread.stop. */
enum { MID_ASK_STOP = 1, MID_ASK_FINALIZE = 2, MID_ASK_DRAIN = 4, MID_ASK_COLLECT = 8 };

typedef struct mid_type_info {
    size_t size, item_size;
    uint32_t length_offset;
    uint32_t first_slot, slot_count; /* declared slots that are adjacent: no list needed */
    const uint32_t *slots;           /* else their numbers, slot_count of them */
    size_t slots_bytes;              /* behind that list */
    bool items_are_refs, plain;      /* plain: dies without ceremony (no items, trace, finalizer, payload, list) */
    bool cyclic;                     /* has references and is not declared acyclic */
    uint8_t align_shift;
    void (*trace)(const void *, mid_visitor *);
    void (*finalize)(mid_thread *, mid_handle);
    void (*payload_free)(void *, void *);
    size_t payload_offset;
    void *payload_context;
    char name[64];
} mid_type_info;

/* 32-bit keys (entry indices, never 0) to 32-bit values: open addressing, at most 3/4 full. */
typedef struct mid_map {
    mid_array cells; /* struct { uint32_t key, value; }[] */
    uint32_t mask, count;
} mid_map;

typedef struct mid_weak_cell {
    uint32_t target;     /* handle; 0: dead, or the cell is free */
    uint32_t generation; /* odd: in use */
    uint32_t next, prev; /* cells of the same object; free list */
} mid_weak_cell;

typedef enum { MID_T_RUNNING, MID_T_BLOCKED, MID_T_CLAIMED } mid_thread_state;

typedef struct mid_impl {
    mid_thread pub; /* first: a mid_thread * is a mid_impl * */
    mid_heap *heap;
    pthread_t owner;
    uint32_t state;      /* mid_thread_state; atomic, see thread.c */
    bool in_region;      /* between mid_blocked_enter and leave */
    uint32_t returning;  /* atomic: it waits for `lock` to run on; no service claims it again before it has */
    mid_array scope_handles;
    size_t scope_height; /* handles kept; marks of open scopes among them */
    size_t scope_depth;
} mid_impl;

#define MID_LISTENERS_MAX 8

typedef struct mid_plan mid_plan; /* compact.c */

struct mid_heap {
    mid_alloc alloc;
    mid_options options;
    mid_os os;
    bool debug;
    uint32_t busy;       /* inside callbacks: every call is refused */
    uint32_t finalizing; /* inside finalizers: collection, compaction, detach and close are */

    /* table.c */
    mid_entry *table;
    size_t table_reserved;  /* bytes */
    size_t table_committed; /* bytes */
    uint32_t first_index, next_index; /* indices given out so far are [first, next) */
    uint32_t max_index;
    mid_handle free_entries; /* not bound to a slot */
    uint64_t free_entry_count;

    /* type.c */
    mid_type_info *types;    /* 1-based; reserved whole, so that names and infos never move */
    size_t types_committed;
    mid_array fast_types;    /* mid_fast_type[MID_TYPES_MAX + 1] */
    uint32_t type_count;
    bool any_finalizer, any_payload;

    /* new.c, release.c */
    mid_pool *owned[MID_CLASSES];
    uint16_t cache_room[MID_CLASSES]; /* free slots that may wait in the thread's cache; no division at each free */
    int64_t credit;
    mid_handle pending;      /* dying entries, linked */
    uint64_t pending_count;
    mid_handle partial;      /* a dying array of which items up to partial_next are released */
    size_t partial_next;
    bool draining;
    mid_array quarantine;    /* debug heaps: handles, a ring */
    uint32_t quarantine_at, quarantine_count;

    /* finalize.c */
    mid_handle final_head, final_tail;
    uint64_t final_count;
    mid_array condemned;     /* handles of garbage that waits for its finalizers; each holds a count */
    uint32_t condemned_count;

    /* weak.c, pin.c */
    mid_array weak_cells;
    uint32_t weak_used, weak_free, weak_live;
    mid_map weak_heads;      /* entry index -> first cell */
    mid_map pins;            /* entry index -> number of pins */

    mid_array marks;         /* cycle.c: kept for the next collection while small, all zero */

    /* compact.c */
    mid_plan *plan;
    mid_array plan_memory;

    /* thread.c, service.c */
    pthread_mutex_t lock;    /* attach, detach, bind, and the whole of a stop; signalled through `changed` */
    pthread_cond_t changed;
    mid_impl *thread;        /* the one there can be */
    mid_impl *mutator;       /* it, while attached; else null */
    uint32_t stop_wanted;    /* atomic: a service waits, or its request stands */
    pthread_mutex_t kick_lock; /* held while a kick is under way */
    void (*kick)(void *);
    void *kick_context;
    uint64_t stop_began;     /* thread CPU nanoseconds */
    pthread_t claimer;       /* atomic: the service's thread, while `claimed`; only its own thread finds itself here */
    bool claimed;            /* atomic */
    pthread_mutex_t stats_lock;
    mid_stats shown;         /* under stats_lock: for threads that may not look */
    uint64_t live_at_kick;
    uint64_t growth_least, growth_percent; /* atomic: when the mutator collects by itself, see service.h */
    mid_own_collections own; /* under lock: what it collected so since the service last asked */
    mid_snapshot published;  /* every field atomic, relaxed */

    /* events.c, stats.c, check.c */
    mid_listener listeners[MID_LISTENERS_MAX];
    unsigned listener_count;
    mid_stats counts;        /* the cumulative part */
    uint64_t large_objects, large_freed, large_allocated; /* objects, objects, bytes; ever */
    uint64_t stop_histogram[MID_STOP_BUCKETS];
    uint64_t live_at_collection;
    char check_text[200];
};

static inline mid_impl *mid_impl_of(mid_thread *thread)
{
    return (mid_impl *)thread;
}
static inline mid_entry *mid_entry_in(mid_entry *table, mid_handle object)
{
    return (mid_entry *)((char *)table + (size_t)object * (sizeof(mid_entry) / 2));
}
static inline mid_entry *mid_entry_at(const mid_heap *heap, mid_handle object)
{
    return mid_entry_in(heap->table, object);
}
static inline void *mid_address(const mid_entry *entry)
{
    return (void *)(uintptr_t)(entry->word & MID_ADDRESS_MASK_);
}
static inline mid_type_info *mid_type_at(const mid_heap *heap, mid_type type)
{
    return heap->types + type;
}
static inline mid_type_info *mid_type_of_entry(const mid_heap *heap, const mid_entry *entry)
{
    return mid_type_at(heap, (mid_type)(entry->word >> MID_TYPE_SHIFT_));
}
static inline bool mid_entry_live(const mid_entry *entry)
{
    return entry->count > MID_DYING_;
}
static inline bool mid_sticky(uint32_t count)
{
    return (int32_t)count < 0;
}
/* An even number inside the part of the table that was given out. */
static inline bool mid_in_table(const mid_heap *heap, mid_handle value)
{
    return (value & 1) == 0 && value / 2 >= heap->first_index && value / 2 < heap->next_index;
}

/* layout.c has no code: it pins what inline.h shares. */

/* --- table.c */
mid_status mid_table_open(mid_heap *heap);
void mid_table_close(mid_heap *heap);
mid_handle mid_entry_take(mid_heap *heap, mid_status *status); /* count 0, word 0 */
void mid_entry_give(mid_heap *heap, mid_handle handle);
/* Live entry for a checked call, or null with why in *status (MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_EHANDLE). */
mid_entry *mid_checked(mid_thread *thread, mid_handle object, mid_status *status);

/* --- type.c, refs.h */
mid_status mid_types_open(mid_heap *heap);
void mid_types_close(mid_heap *heap);
static inline unsigned mid_class_for(size_t size, unsigned align_shift)
{
    unsigned size_class = mid_size_class(size);
    while (align_shift > 3 && (mid_class_size(size_class) & ((1u << align_shift) - 1)))
        size_class++;
    return size_class;
}
size_t mid_object_size(const mid_type_info *type, const void *object);

/* --- new.c */
void mid_caches_flush(mid_heap *heap); /* pools' live counts are then exact, and none is owned */
void mid_unbind(void *heap, mid_pool *pool);
mid_status mid_bind(mid_heap *heap, mid_pool *pool); /* more free slots with entries on the pool's chain */
mid_status mid_slot_new(mid_heap *heap, size_t size, unsigned align_shift, mid_handle *out); /* unzeroed, count 0 */
void mid_large_made(mid_heap *heap, size_t bytes);
uint64_t mid_live_slots(const mid_heap *heap, unsigned size_class);
uint64_t mid_live_bytes(const mid_heap *heap); /* slots and large blocks */

/* --- release.c */
void mid_caches_open(mid_heap *heap);
enum { MID_DRAIN_FINALIZE = 1 }; /* may run finalizers: only on the mutator's thread, outside the collector */
/* Free up to `limit` objects of the work list. */
uint64_t mid_drain(mid_heap *heap, uint64_t limit, unsigned flags);
bool mid_drain_all(mid_heap *heap); /* short of memory: everything, quarantine too; was there anything? */
void mid_drop_ref(mid_heap *heap, mid_handle value); /* uncounts; may queue on the work list, frees nothing */
void mid_free_entry(mid_heap *heap, mid_handle handle, mid_entry *entry); /* weak, pin, payload, memory */
void mid_slot_free(mid_heap *heap, mid_handle handle, mid_entry *entry);
void mid_slots_fell(mid_heap *heap, mid_pool *pool); /* mid_pool_fell, and perhaps a kick */
void mid_slot_return(mid_heap *heap, mid_handle handle, mid_entry *entry); /* to its pool's chain; counts no free */
void mid_quarantine_flush(mid_heap *heap);

/* --- cycle.c */
mid_status mid_cycles_collect(mid_heap *heap, mid_collect_result *result);
/* Free what is garbage among these handles, proved by an exact recount. */
mid_status mid_cycles_prove(mid_heap *heap, const mid_handle *set, uint32_t count, uint64_t *freed);

/* --- finalize.c */
void mid_final_push(mid_heap *heap, mid_handle handle); /* the queue takes over one count */
uint64_t mid_final_run(mid_heap *heap, uint64_t limit); /* mutator only; returns garbage freed by the recount */
void mid_final_call(mid_heap *heap, mid_handle handle, mid_entry *entry);
bool mid_final_due(const mid_heap *heap, const mid_entry *entry);

/* --- weak.c, pin.c, map.c, scope.c */
void mid_weak_clear(mid_heap *heap, mid_handle handle, mid_entry *entry);
void mid_pin_forget(mid_heap *heap, mid_handle handle, mid_entry *entry);
uint32_t mid_map_get(const mid_map *map, uint32_t key);
mid_status mid_map_set(mid_heap *heap, mid_map *map, uint32_t key, uint32_t value); /* cannot fail for a key it has */
void mid_map_remove(mid_map *map, uint32_t key);

/* --- compact.c */
mid_status mid_compact_run(mid_heap *heap, uint64_t budget_micros, mid_compact_result *result);
mid_status mid_trim_run(mid_heap *heap, uint64_t budget_micros, uint64_t keep, uint64_t *returned);

/* --- thread.c */
void mid_ask(mid_heap *heap, uint32_t what);
void mid_publish(mid_heap *heap, bool kick);
void mid_credit_used(mid_heap *heap); /* by the mutator, wherever it has become negative */
bool mid_grown(const mid_heap *heap, uint64_t live); /* enough to collect */
bool mid_worth_a_kick(mid_heap *heap);
/* For calls that the attached thread may make, anybody while none is, and callbacks of who has stopped the world.
 * MID_OK: until mid_look_end nothing changes. MID_ETHREAD. */
mid_status mid_look_begin(mid_heap *heap, bool *locked);
void mid_look_end(mid_heap *heap, bool locked);
bool mid_is_mutator(const mid_heap *heap);      /* the caller may work on this heap: attached, or nobody is */
mid_status mid_thread_check(mid_thread *thread); /* MID_OK, or why a call cannot be served */

/* --- events.c, stats.c, check.c */
#define MID_EMIT(heap, event, ...)                                                                                     \
    do {                                                                                                               \
        for (unsigned i_ = 0; i_ < (heap)->listener_count; i_++)                                                       \
            if ((heap)->listeners[i_].event != NULL) {                                                                 \
                (heap)->busy += 1;                                                                                     \
                (heap)->listeners[i_].event((heap)->listeners[i_].context, ##__VA_ARGS__);                             \
                (heap)->busy -= 1;                                                                                     \
            }                                                                                                          \
    } while (0)
void mid_stop_recorded(mid_heap *heap, uint64_t micros);
void mid_stats_fill(const mid_heap *heap, mid_stats *into);
const char *mid_heap_verify(mid_heap *heap);

#endif
