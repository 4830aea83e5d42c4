/* gc/heap.h: the structures of a heap, and what its parts may call of each other. Not for daemon/ (see service.h).
 *
 *   table.c    entries: reserve, take, give back            new.c      allocation behind the fast path
 *   release.c  counts to zero, the work list                resize.c   another number of items
 *   share.c    counts of several threads, first loads       transfer.c another owner for a graph
 *   cycle.c    garbage cycles                               compact.c  evacuation
 *   suspect.c, walk.c, propose.c, proof.c, sweep.c, trial.c: the same while mutators run (propose.h)    step.c  on request
 *   finalize.c queue of finalizers, recount after them      weak.c     weak cells
 *   pairs.c    pairs with a weak half                       weakmap.c  maps of them
 *   pin.c      pins                                         scope.c    temporaries
 *   thread.c   attach, blocked regions, who may call        stop.c     stop and resume the world
 *   safepoint.c: what threads do when asked                 work.c     what programs ask for
 *   fork.c     fork                                         service.c  what the daemon asks
 *   links.c, order.c, place.c, renumber.c, rename.c, deep.c: deep compaction (deep.h)
 *   freeze.c, side.c  frozen objects, and their counts (freeze.h)
 *   collector.c, save.c  the collector in the program's hands    closing.c  hooks and leaks (collector.h)
 *   reclaim.c  all that can be done for memory
 *   policy.c, intern.c: how the memory of a type's objects is kept (policy.h)
 *   kinds/dict.c and its kin: dictionaries and sets (kinds/dict.h)
 *   trace.c and its kin: who allocated it (tracer.h)
 *   inspect.c, inspect_graph.c, inspect_why.c, inspect_retained.c, inspect_snapshot.c: what is there, and why (inspect.h)
 *   pause.c    pauses as the program sees them (pause.h)    units.c    what a map of the arenas shows
 *   domain.c, leaf.c, mem.c, cache.c, large.c, charge.c: blocks, and foreign memory (domain.h, mem.h)
 *   field.c    fields by name   dump.c, dump_text.c, dump_dot.c, dump_value.c, writer.c: objects and graphs as text (dump.h)
 *   debug.c, debug_*.c: debug heaps (debug.h)
 *   type.c, stats.c, memory.c, events.c, options.c, check.c, status.c, map.c: what their names say
 *
 * WHO WRITES WHAT. A mid_impl belongs to its thread while that runs, and to whoever has claimed it while it does not
 * (stop.c). Pools, the table's free entries, types, weak cells, pins, finalizers, listeners and everything in mid_alloc
 * are changed with `memory` held, or while the world stands. Entries: count.h. Lock order: proposing, lock, escapes,
 * memory, a thread's inbox_lock. kick_lock is taken with any of them and takes none. */
#ifndef MID_GC_HEAP_H
#define MID_GC_HEAP_H

#include <pthread.h>

#include "alloc/alloc.h"
#include "gc/collector.h"
#include "gc/delay.h"
#include "gc/domain.h"
#include "midden/midden.h"
#include "gc/pause.h"
#include "gc/service.h"
#include "gc/tracer.h"

/* Flags of an entry, bits 48-51 of its word. */
#define MID_F_LARGE (1ull << 48)     /* not in a pool: alloc/large.c */
#define MID_F_WEAK (1ull << 49)      /* has weak cells, is traced or interned: somebody is told when it dies: weak.c, trace.c, intern.c */
#define MID_F_FINALIZED (1ull << 50) /* its finalizer has run */
#define MID_F_PINNED (1ull << 51)    /* pin.c */
#define MID_F_ALL (15ull << 48)

#define MID_PINNED_LONG (1u << 31)   /* with a number of pins: the first was for long */

/* What a thread is asked at its next safepoint, bits of mid_thread.stop. */
enum { MID_ASK_STOP = 1, MID_ASK_FINALIZE = 2, MID_ASK_DRAIN = 4, MID_ASK_COLLECT = 8, MID_ASK_MERGE = 16, MID_ASK_FLUSH = 32, MID_ASK_HELP = 64 };

typedef struct mid_type_info {
    size_t size, item_size;
    uint32_t length_offset;
    uint8_t align_shift;
    bool leaf;                       /* dies like memory: no references, no finalizer, no payload; never in debug heaps */
    bool uncleared, races;
    bool shadowed;                   /* registered by a checked call: what its slots hold is known (debug_slots.c) */
    bool identity;                   /* what its slots refer to keeps its number */
    bool identity_even;              /* ... but only if the slot's number is even: keys, and not values */
    uint8_t born;                    /* the low bits of a first count: MID_ONE_, and the suspect bit if it cannot be in a cycle */
    uint32_t first_slot, slot_count; /* declared slots that are adjacent: no list needed */
    const uint32_t *slots;           /* else their numbers, slot_count of them */
    size_t slots_bytes;              /* behind that list */
    bool items_are_refs, plain;      /* plain: dies without ceremony (no items, trace, finalizer, payload, list) */
    bool cyclic;                     /* has references and is not declared acyclic */
    bool immortal;                   /* its objects are born so */
    bool keeps;                      /* births and deaths come by its policy */
    struct mid_policy *policy;       /* null: none; policy.h */
    bool pairs, ephemeral;           /* a weak map (weak.h); of which the values depend on their keys */
    void (*trace)(const void *, mid_visitor *);
    void (*finalize)(mid_thread *, mid_handle);
    void (*payload_free)(void *, void *);
    size_t payload_offset;
    void *payload_context;
    char name[64];
    mid_array fields;                /* field.c: mid_field[field_count], and their names behind them */
    uint32_t field_count;
    uint32_t fields_before;          /* of all types registered before this one */
} __attribute__((aligned(256))) mid_type_info; /* found by a shift */

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

/* LOST: did not survive a fork. */
typedef enum { MID_T_RUNNING, MID_T_BLOCKED, MID_T_CLAIMED, MID_T_ABSENT, MID_T_LOST } mid_thread_state;

#define MID_OUTBOX 64u
#define MID_SUSPECTS 256u
#define MID_ONLY_MEMORY SIZE_MAX

/* How large a thread's dictionaries are born (kinds/dict_room.c): the entries of those of this window, how many of them are to come, and how
 * large any has become in it. */
typedef struct mid_dict_births {
    uint8_t room, left, grown;
} mid_dict_births;

/* A thread's place in a heap. Detached, it is ABSENT and keeps its number, its objects and what waits in it, until the next
 * thread that attaches takes it over. */
struct mid_impl {
    mid_thread pub; /* first: a mid_thread * is a mid_impl * */
    mid_heap *heap;
    const void *here;    /* atomic: what only its thread has, while that may call: see mid_here */
    pthread_t owner;
    uint32_t attached;   /* atomic: `owner` is a thread's */
    uint32_t id;         /* as in the counts of what it owns; from 1 */
    uint32_t state;      /* mid_thread_state; atomic, see stop.c */
    bool in_region;      /* between mid_blocked_enter and leave */
    bool waits;          /* it waits for something else than a stop, BLOCKED */
    bool held;           /* under `lock`: claimed by the stopper */
    uint64_t asked;      /* under `lock`: microseconds; since when a stop waits for it, 0: none does */
    bool world;          /* the world stands: who works with this structure has stopped it */
    uint32_t returning;  /* atomic: it waits for `lock` to run on; nobody claims it again before it has */
    struct mid_impl *next_mine; /* of the same thread, in other heaps */

    /* new.c, release.c */
    mid_pool *owned[MID_CLASSES];
    mid_handle kept[MID_CLASSES];   /* heads of the caches while nobody is attached: what the last one still calls finds none. While somebody is: what
                                     * is free and not shown in pub.head (trace_sample.c) */
    uint64_t recycled[MID_CLASSES]; /* slots freed into the cache, ever */
    int64_t credit;          /* bytes to allocate until the next kick */
    size_t refused;          /* the size of an allocation that was, since mid_reclaim last looked; 0: none */
    uint64_t turned, told;   /* bytes that came and went, ever; when it last told the service before it slept */
    uint64_t given;          /* bytes of large blocks and of pools that it gave back, ever */
    mid_handle pending;      /* dying entries, linked */
    uint64_t pending_count;
    uint64_t emptied;        /* atomic: times that list was worked off, ... */
    uint64_t emptied_seen;   /* ... when a service last looked; atomic */
    mid_handle partial;      /* a dying array of which items up to partial_next are released, or MID_ONLY_MEMORY is left */
    size_t partial_next;
    bool draining;
    uint32_t finalizing;     /* inside finalizers: collection, compaction, detach and close are refused */
    mid_handle finalizes;    /* the object whose finalizer runs, ... */
    bool condemned;          /* ... and whether it is one of the condemned */
    mid_handle owner_told;   /* of the weak reference whose callback runs: counted */
    bool whole;              /* it settles everything now: nothing is left to a trial */
    uint32_t shut;           /* of heap->shut: policy.c */

    /* share.c */
    mid_handle outbox[MID_OUTBOX]; /* others' objects of which this thread released more than the others had counted */
    uint32_t outbox_count;
    bool visit;                    /* some of them belong to threads that do not run */
    pthread_mutex_t inbox_lock;
    mid_array inbox;               /* handles from others' outboxes, under inbox_lock */
    uint32_t inbox_count;          /* written under inbox_lock; atomic */

    mid_handle suspects[MID_SUSPECTS]; /* suspect.c */
    uint32_t suspect_count;            /* read by others */

    mid_dict_births dict_births[2];    /* of dictionaries, of sets */

    mid_mem *mem;        /* domain.h; null: it has not called mem yet. Atomic for others */
    /* trace_sample.c */
    uint16_t aside_count[MID_CLASSES]; /* of pub.left, in `kept` */
    bool due;                /* the only slot in the cache that was filled last is to be remembered */
    int64_t until;           /* bytes to be shown before the next is */
    uint64_t dice;
    const void *called_from; /* the program's call, of a call of the library's own that allocates; null: the innermost */

    mid_array way;       /* transfer.c */
    mid_array scope_handles;
    size_t scope_height; /* handles kept; marks of open scopes among them */
    size_t scope_depth;
};

/* A thread's structure does not begin with its page, as large objects do: a processor that compares the low bits of addresses first takes
 * a store to the head of such an object for one to thread->table, and the next load waits (a list's append: 4.3 ns instead of 1.5). */
#define MID_PLACE_ASIDE 128u
#define MID_PLACE_BYTES (MID_PAGE + (sizeof(mid_pauses) + MID_PAGE - 1) / MID_PAGE * MID_PAGE) /* with its pauses behind it */

/* Callbacks under way on the calling thread, of whatever heap. */
typedef struct mid_callback {
    const mid_heap *heap;
    struct mid_callback *outer;
    bool payload;        /* it frees one: what that is made of may go, too */
} mid_callback;
extern __thread mid_callback *mid_callbacks __attribute__((tls_model("initial-exec")));

#define MID_LISTENERS_MAX 8

/* Handles, or other words, in the heap's own memory. */
typedef struct mid_list {
    mid_array memory;
    uint32_t count;
} mid_list;

typedef struct mid_policy mid_policy; /* policy.h */
typedef struct mid_proposer mid_proposer; /* propose.c */
typedef struct mid_plan mid_plan; /* compact.c */
typedef struct mid_turn mid_turn; /* stop.c */

struct mid_heap {
    mid_alloc alloc;
    mid_options options;
    mid_os os;
    bool debug;
    uint32_t fence;          /* bytes behind each object that are nobody's: 0, but in debug heaps */
    struct mid_debug *watch; /* of a debug heap: gc/debug.h */

    /* table.c */
    mid_entry *table;
    size_t table_reserved;  /* bytes */
    uint32_t first_index, next_index; /* indices in use are in [first, next); the latter atomic */
    uint32_t max_index;
    mid_array table_blocks;
    uint32_t block_count, lowest_block; /* no block below has a free entry */
    uint64_t free_entry_count; /* bound to no slot, with memory behind them */
    uint64_t taken_entries;

    /* type.c */
    mid_type_info *types;    /* 1-based; reserved whole, so that names and infos never move */
    size_t types_committed;
    mid_array fast_types;    /* mid_fast_type[MID_TYPES_MAX + 1] */
    uint32_t type_count;     /* atomic */
    bool any_finalizer, any_payload, any_policy; /* atomic */
    uint32_t shut;              /* how many want that no type keeps what dies now: policy.c */
    uint32_t dict_base;      /* kinds/dict.h: where the types of dictionaries begin; written once */

    /* release.c */
    uint16_t cache_room[MID_CLASSES]; /* free slots that may wait in a thread's cache; no division at each free */
    uint16_t block_room[MID_CLASSES];  /* the same for blocks of the domain mem, which are not sampled so: cache.c */
    uint16_t aside_room[MID_CLASSES];  /* while allocations are sampled: what that is otherwise, and it is 0 */
    mid_array quarantine;    /* debug heaps: handles, a ring */
    uint32_t quarantine_at, quarantine_count;

    /* finalize.c */
    mid_handle final_head, final_tail; /* dead objects, linked */
    uint64_t final_count;    /* finalizers due, of the dead and of the condemned; atomic */
    uint64_t final_dead;     /* on that list; atomic */
    mid_array condemned;     /* handles of garbage that waits for its finalizers; each holds a count */
    uint32_t condemned_count, condemned_next;
    uint32_t finals_running; /* finalizers of condemned objects under way */

    /* weak.c, pin.c */
    mid_array weak_cells;
    uint32_t weak_used, weak_free, weak_live;
    mid_map weak_heads;      /* entry index -> first cell */
    mid_array weak_extras;   /* weak.h: what cells are besides */
    uint32_t weak_due_first, weak_due_last;
    uint64_t weak_due;       /* callbacks in that queue; atomic */
    uint64_t weak_called;    /* ... that have run, ever; atomic */
    mid_array pairs;         /* pairs.c: cells, by map and key */
    uint32_t pairs_mask, pairs_count; /* the latter atomic */
    uint32_t leaf_pairs;     /* of which the key is of a type that is in no cycle; atomic */
    uint32_t pairs_alive;    /* when they were last collected exactly; atomic */
    mid_type map_types[3];   /* weakmap.c */
    mid_map pins;            /* entry index -> number of pins, MID_PINNED_LONG */
    mid_pool *long_pools[MID_CLASSES]; /* where what is pinned for long is brought together; null: nowhere yet */

    mid_tracer trace;        /* trace.c */

    mid_array marks;         /* cycle.c: kept for the next collection while small, all zero */

    /* suspect.c, propose.c */
    bool logging;            /* atomic: somebody looks at what is logged */
    uint64_t log_from;       /* atomic: live bytes from which on somebody will, 0: none */
    uint64_t suspected;      /* atomic: suspects logged since the last collection, about, ... */
    uint32_t candidates_left; /* possibly cyclic objects that the last collection left alive */
    uint32_t suspect_factor; /* ... and how reluctantly that calls for one */
    mid_list logged;         /* suspects that threads have handed over, */
    uint32_t logged_count;   /* ... and how many, atomic */
    uint32_t sweeps;         /* atomic: mid_sweeping */
    uint32_t help_at;        /* atomic: proposals at which mutators lend the service a hand; 0: never */
    uint64_t array_slots, array_bytes; /* atomic: references in blocks outside pools, when a sweep last saw them, and their bytes then */
    uint32_t unresolved;     /* atomic: suspects of which walks could not tell or that nobody listed, sets given up, since a sweep began */
    uint32_t touched;        /* atomic: watched objects that somebody counted or stored */
    bool watching;           /* objects are watched: no thread is `alone` */
    bool committed;          /* the watched set is garbage, and is being freed */
    uint32_t todo_count, found_count; /* atomic: suspects taken from there and not yet walked from; what waits for a proof */
    uint32_t doubt_count;    /* atomic: of todo_count, those that looked alive, and are in no hurry */
    pthread_mutex_t proposing; /* whoever proposes, or takes what was proposed; only ever tried for */
    mid_proposer *proposer;

    /* compact.c, deep.c */
    mid_plan *plan;
    mid_array plan_memory;
    struct mid_deep *deep; /* with `proposing` */
    uint32_t deepening;    /* atomic: mid_deepening */
    bool unlisted;         /* suspects are on no list for the moment */

    mid_collector collector; /* collector.c, save.c, closing.c */
    struct mid_freezer *freezer; /* freeze.c: null if nothing was ever frozen, or it has thawed */

    /* thread.c, safepoint.c, stop.c, fork.c */
    pthread_mutex_t memory;  /* recursive: see the head of this file */
    pthread_mutex_t lock;    /* attach, detach, claims, and the whole of a stop; signalled through `changed` */
    pthread_cond_t changed;
    mid_impl *threads[MID_THREADS_MAX + 1]; /* by id; kept for the heap's life: a stale mid_thread is told, not followed */
    uint32_t thread_count;   /* ids given out; atomic */
    uint32_t attached;       /* threads attached; atomic */
    mid_turn *turns;         /* under lock: who wants to stop the world next, in that order */
    bool stopping;           /* under lock: somebody waits for the world to stand, or has stopped it */
    uint32_t stop_wanted;    /* atomic: somebody waits, or a request stands */
    uint32_t late, last_late; /* under lock: the thread for which the service's stop was postponed, until it comes / is asked */
    mid_impl *actor;         /* of a service's stop: mid_actor */
    uint64_t stop_began;     /* thread CPU nanoseconds */
    pthread_t claimer;       /* atomic: the stopper's thread, while `claimed`; only its own thread finds itself here */
    bool claimed;            /* atomic: the world stands */
    mid_heap *next_heap, *prev_heap; /* fork.c: all heaps of the process */
    bool any_lost;           /* in the child: of what lost threads were at, anything may be half done */
    void (*forked)(void *);  /* under kick_lock: the service's, with kick_context, in the child */

    /* share.c */
    pthread_mutex_t escapes; /* one forced escape at a time */
    uint32_t fresh;          /* mid_thread.fresh */
    uint32_t orphans;        /* atomic: a thread went to sleep, or left, with dead objects on its work list */
    uint32_t lost_merges;    /* atomic: no memory for an inbox; a sweep finds what it would have told */

    /* service.c */
    pthread_mutex_t kick_lock; /* held while a kick is under way */
    void (*kick)(void *);
    void *kick_context;
    uint64_t live_at_kick;   /* atomic */
    uint64_t growth_least, growth_percent; /* atomic: when a mutator collects by itself, see service.h */
    uint64_t pressure;       /* atomic: what the program said, see pressure.c */
    mid_own_collections own; /* under lock: what was collected so since the service last asked */
    mid_snapshot published;  /* every field atomic, relaxed */

    mid_domains domains;

    /* events.c, stats.c, check.c */
    mid_listener listeners[MID_LISTENERS_MAX];
    unsigned listener_count;
    mid_stats counts;        /* the cumulative part */
    mid_pause_record pauses; /* pause.c */
    mid_part stopper;        /* while the world stands for the service, or for a look: the pause of who stopped it */
    uint64_t large_objects, large_freed, large_allocated; /* objects, objects, bytes; ever */
    uint64_t stop_histogram[MID_STOP_BUCKETS], wait_histogram[MID_STOP_BUCKETS];
    uint64_t live_at_collection; /* atomic */
    char check_text[200];
};

static inline mid_impl *mid_impl_of(mid_thread *thread)
{
    return (mid_impl *)thread;
}
static inline mid_pauses *mid_pauses_of(mid_impl *impl)
{
    return (mid_pauses *)((char *)impl + MID_PAGE);
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
    return (void *)(uintptr_t)(MID_READ_(entry->word) & MID_ADDRESS_MASK_);
}
static inline mid_type_info *mid_type_at(const mid_heap *heap, mid_type type)
{
    return heap->types + type;
}
static inline mid_type_info *mid_type_of_entry(const mid_heap *heap, const mid_entry *entry)
{
    return mid_type_at(heap, (mid_type)(MID_READ_(entry->word) >> MID_TYPE_SHIFT_));
}
/* Does what this slot refers to keep its number? */
static inline bool mid_keeps_number(const mid_type_info *type, uint32_t slot)
{
    return type->identity && !(type->identity_even && (slot & 1));
}
static inline bool mid_entry_live(const mid_entry *entry)
{
    return MID_READ_(entry->count) > MID_DYING_;
}
/* A frozen object's whole count word (freeze.c): no fast path takes it for its own, and no thread's objects have it, not even
 * watched ones, which its owner counts at least once. It is sticky, so that what is about counts passes it over. */
#define MID_FROZEN_ 0xE0000000u
static inline bool mid_frozen(uint32_t count)
{
    return count == MID_FROZEN_;
}
static inline bool mid_sticky(uint32_t count)
{
    return (count | (MID_STICKY_ ^ MID_FROZEN_)) == MID_FROZEN_;
}
/* An even number inside the part of the table that was given out. */
static inline bool mid_in_table(const mid_heap *heap, mid_handle value)
{
    return (value & 1) == 0 && value / 2 >= heap->first_index &&
           value / 2 < __atomic_load_n(&heap->next_index, __ATOMIC_ACQUIRE);
}
void mid_lock_wait(mid_heap *heap); /* stop.c */
static inline void mid_lock(mid_heap *heap)
{
    if (MID_UNLIKELY_(pthread_mutex_trylock(&heap->memory) != 0))
        mid_lock_wait(heap);
}
static inline void mid_unlock(mid_heap *heap)
{
    pthread_mutex_unlock(&heap->memory);
}
/* The same by a thread that need not have begun a part: it has if it had to wait. */
static inline void mid_lock_part(mid_impl *me, mid_part *part, mid_pause_cause cause)
{
    if (MID_LIKELY_(pthread_mutex_trylock(&me->heap->memory) == 0))
        return;
    mid_pause_late(me, part, cause);
    mid_lock(me->heap);
}
/* Is the calling thread inside a callback of this heap? */
static inline bool mid_busy(const mid_heap *heap)
{
    for (const mid_callback *c = mid_callbacks; c != NULL; c = c->outer)
        if (c->heap == heap)
            return true;
    return false;
}
/* Is this the calling thread's, attached, outside blocked regions, and no callback under way anywhere? One comparison: a thread stands
 * where its mid_impls say it is, except in callbacks. */
extern __thread char mid_myself __attribute__((tls_model("initial-exec")));
extern __thread const void *mid_stands __attribute__((tls_model("initial-exec")));
static inline bool mid_here(const mid_impl *impl)
{
    return MID_LIKELY_(MID_READ_(impl->here) == mid_stands);
}
static inline void mid_callbacks_are(mid_callback *innermost)
{
    mid_callbacks = innermost;
    mid_stands = innermost == NULL ? (const void *)&mid_myself : (const void *)&mid_callbacks; /* which no mid_impl says */
}
static inline void mid_callback_begin(mid_callback *frame, const mid_heap *heap)
{
    *frame = (mid_callback){heap, mid_callbacks, false};
    mid_callbacks_are(frame);
}
static inline void mid_callback_end(const mid_callback *frame)
{
    mid_callbacks_are(frame->outer);
}
static inline bool mid_domain_replaced(const mid_heap *heap, mid_domain domain)
{
    return __atomic_load_n(&heap->domains.set[domain], __ATOMIC_ACQUIRE) != NULL;
}
/* How much of a new object of `size` bytes is cleared: what is before items, always. */
static inline size_t mid_cleared(const mid_type_info *info, size_t size)
{
    return !info->uncleared ? size : info->item_size != 0 ? info->size : 0;
}

/* The low bits of a new object's count. */
static inline uint32_t mid_type_count(const mid_heap *heap)
{
    return __atomic_load_n(&heap->type_count, __ATOMIC_ACQUIRE);
}
/* In the middle of a drain or a finalizer: it can be parked nowhere, and works on nothing else. */
static inline bool mid_midway(const mid_impl *impl)
{
    return impl->draining || impl->finalizing != 0;
}
/* With `lock` held. False: it is not in that state (any more). To give back: a store of the state it had. */
static inline bool mid_claim(mid_impl *impl, uint32_t from)
{
    return __atomic_compare_exchange_n(&impl->state, &from, MID_T_CLAIMED, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}
static inline bool mid_lost(const mid_impl *impl)
{
    return MID_READ_(impl->state) == MID_T_LOST;
}
static inline bool mid_has_news(const mid_impl *impl)
{
    return __atomic_load_n(&impl->inbox_count, __ATOMIC_SEQ_CST) != 0;
}
/* Cumulative figures, by any thread. */
#define MID_COUNT(heap, figure, more) __atomic_fetch_add(&(heap)->counts.figure, (more), __ATOMIC_RELAXED)
/* For loops over all places, attached or not. */
static inline uint32_t mid_thread_places(const mid_heap *heap)
{
    return __atomic_load_n(&heap->thread_count, __ATOMIC_ACQUIRE);
}

/* layout.c has no code: it pins what inline.h shares. */

/* --- table.c */
mid_status mid_table_open(mid_heap *heap);
#define MID_TABLE_BLOCK 4096u /* entries that come from the system, and go back, together: 64 KiB */
void mid_table_close(mid_heap *heap);
mid_handle mid_entry_take(mid_heap *heap, mid_status *status); /* count 0, word 0 */
void mid_entry_give(mid_heap *heap, mid_handle handle);
mid_status mid_table_trim(mid_heap *heap, uint64_t deadline); /* empty blocks to the system; 0: no deadline. MID_MORE */
const char *mid_table_check(const mid_heap *heap);
/* All free entries of an index's block are the caller's, who knows them by their being zero; until he settles it. */
uint32_t mid_table_claim(mid_heap *heap, uint32_t index); /* returns how far it had been used */
void mid_table_settle(mid_heap *heap, uint32_t index, uint32_t used);
uint64_t mid_table_touched(const mid_heap *heap); /* bytes of pages that were written */
uint32_t mid_table_block_end(const mid_heap *heap, uint32_t index); /* past its block; 0: no memory is behind it */
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
void mid_type_aside(mid_heap *heap, mid_type type); /* neither mid_new nor mid_new_array serves it itself */
/* What it asks of the allocator. */
static inline size_t mid_fenced_size(const mid_heap *heap, const mid_type_info *type, const void *object)
{
    return mid_object_size(type, object) + heap->fence;
}

/* --- field.c: with `memory` held, or for good once the type is registered */
mid_status mid_fields_check(const mid_type_desc *desc);
/* Their slots, if the description leaves it to them: desc->ref_offsets are then in `offsets`, to be freed by the caller. */
mid_status mid_fields_refs(mid_heap *heap, mid_type_desc *desc, mid_array *offsets);
mid_status mid_fields_take(mid_heap *heap, mid_type_info *info, const mid_type_desc *desc);
/* The field of references that has a slot; null: none. *element: which of its elements, or items. */
const mid_field *mid_field_of_slot(const mid_type_info *info, uint32_t slot, uint64_t *element);
const char *mid_fields_whole(const mid_heap *heap); /* null, or what is wrong */
static inline const mid_field *mid_fields_of(const mid_type_info *info)
{
    return (const mid_field *)info->fields.data;
}
static inline bool mid_field_is_items(const mid_type_info *info, const mid_field *field)
{
    return info->item_size != 0 && field->offset == info->size;
}

/* --- new.c */
/* Where the head of a place's cache of a class is. */
static inline mid_handle *mid_cache_head(mid_impl *impl, unsigned size_class)
{
    return impl->attached ? &impl->pub.head[size_class] : &impl->kept[size_class];
}
void mid_caches_flush(mid_impl *me); /* into the pools; it owns none then */
void mid_unbind(void *heap, mid_pool *pool);
mid_status mid_bind(mid_heap *heap, mid_pool *pool); /* more free slots with entries on the pool's chain */
mid_status mid_make_own(mid_impl *me, mid_type type, size_t items, mid_handle *out); /* without looking whether it may be */
mid_status mid_slot_new(mid_impl *me, size_t size, unsigned align_shift, mid_handle *out); /* unzeroed, count 0 */
mid_status mid_make_new(mid_impl *me, mid_type type, mid_handle *out); /* of a fixed-size type, whatever its policy */
void mid_large_made(mid_impl *me, size_t bytes);
mid_status mid_try(mid_impl *me, size_t size); /* with `memory` held: could it be had? A slot is then in the cache */
uint64_t mid_live_slots(const mid_heap *heap, unsigned size_class);
uint64_t mid_live_bytes(mid_heap *heap); /* slots, large blocks, and what was charged */

static inline void mid_spend(mid_impl *me, uint64_t bytes)
{
    me->credit -= (int64_t)bytes;
    me->turned += bytes;
}

/* --- release.c */
void mid_caches_open(mid_heap *heap);
enum {
    MID_DRAIN_FINALIZE = 1, /* may run finalizers: only on a mutator's thread, outside the collector */
    MID_DRAIN_BRIEFLY = 2   /* the beginning of mid_drain_timed */
};
/* Free up to `limit` objects of the work list; pieces of arrays and pages given back count, too. */
uint64_t mid_drain(mid_impl *me, uint64_t limit, unsigned flags);
uint64_t mid_drain_timed(mid_impl *me, uint64_t limit, unsigned flags); /* on its own thread: a pause, if it turns out to be long */
bool mid_work_off(mid_impl *me);  /* who allocates: a bounded part of what waits; was there anything? (new.c) */
bool mid_drain_all(mid_impl *me); /* short of memory: everything, quarantine too; was there anything? (new.c) */
void mid_drop_ref(mid_impl *me, mid_handle value); /* uncounts; may queue on the work list, frees nothing */
void mid_died(mid_impl *me, mid_handle value, mid_entry *entry); /* put what has just died on the work list */
void mid_free_entry(mid_impl *me, mid_handle handle, mid_entry *entry); /* weak, pin, payload, memory */
void mid_slot_free(mid_impl *me, mid_handle handle, mid_entry *entry);
void mid_slots_fell(mid_impl *me, mid_pool *pool); /* mid_pool_fell, and perhaps a kick */
void mid_slot_return(mid_impl *me, mid_handle handle, mid_entry *entry); /* to its pool's chain; counts no free */
void mid_slots_return(mid_impl *me, mid_handle handle); /* the same for a list of them */
void mid_quarantine_flush(mid_impl *me);

/* --- share.c */
bool mid_last_shared(mid_impl *me, mid_handle value, mid_entry *entry); /* the owner's last count goes, others know the object; died? */
bool mid_uncount_other(mid_impl *me, mid_handle value, mid_entry *entry); /* not the owner; died? */
uint32_t mid_touched(mid_impl *me, mid_entry *entry, uint32_t count);     /* count.h, mid_touch */
void mid_watch_all(mid_heap *heap, bool on);                              /* the world stands: whether objects are watched */
void mid_outbox_flush(mid_impl *me);
void mid_inbox_merge(mid_impl *me, mid_impl *of); /* `of` is me, or claimed */
void mid_visit_idle(mid_impl *me);                     /* threads that do not run: their inboxes, a batch of their work */
void mid_boxes_settle(mid_impl *me);              /* the world stands: all of them */
void mid_orphaned(mid_heap *heap);                /* somebody is to go on with work that its thread has left */
bool mid_reclaim_idle(mid_impl *me);              /* short of memory: all that threads which do not run have; was there any? */

/* --- suspect.c */
void mid_suspects_give(mid_impl *me);             /* what it logged; only counted if nobody looks at it */
void mid_suspects_log(mid_heap *heap, bool on);   /* somebody looks at it from now on, or nobody */
uint64_t mid_suspects_most(const mid_heap *heap);  /* so many call for a collection of a small heap */
mid_status mid_list_room(mid_heap *heap, mid_list *list, uint32_t more); /* takes `memory` */
void mid_list_free(mid_heap *heap, mid_list *list);
void mid_array_drop(mid_heap *heap, mid_array *array);
static inline uint32_t *mid_list_at(const mid_list *list, uint32_t i)
{
    return (uint32_t *)list->memory.data + i;
}

/* --- step.c */
bool mid_help_wanted(const mid_heap *heap); /* the service falls behind */
void mid_help(mid_impl *me);                /* a slice of its work, at a safepoint */

/* --- sweep.c, trial.c */
bool mid_sweep_due(mid_heap *heap); /* without a service: has the heap grown enough? */
/* Go on with a sweep, or start one; as mid_propose. */
mid_status mid_sweep_run(mid_heap *heap, uint64_t budget_micros, bool start);
/* The world stands, and the caller has `proposing`. */
uint64_t mid_sweep_still(mid_impl *me, uint64_t deadline); /* what only then can be done; returns objects freed */
void mid_sweep_finish(mid_impl *me);                       /* bring it to an end, or give it up */
bool mid_trial_rejudge(mid_impl *me); /* the world stands: take over the condemned, if they are many */

/* --- propose.c, proof.c */
/* Walk from suspects for so long. Any thread, whatever runs. MID_OK: from all; MID_MORE; MID_EBUSY: another thread is at it. */
mid_status mid_propose(mid_heap *heap, uint64_t budget_micros, uint64_t *walked, uint64_t *proposed);
/* The world stands: free what was proposed and is garbage. As mid_propose. */
mid_status mid_prove(mid_impl *me, uint64_t budget_micros, uint64_t *freed);
mid_status mid_prove_held(mid_impl *me, uint64_t budget_micros, uint64_t *freed); /* the caller has `proposing` */
void mid_proposer_close(mid_heap *heap);
/* The world stands, and the caller has `proposing`: nobody is on a list as a suspect; all who are suspects are. */
void mid_suspects_unlist(mid_heap *heap);
void mid_suspects_relist(mid_heap *heap);

/* --- cycle.c */
mid_status mid_cycles_collect(mid_impl *me, mid_collect_result *result);
void mid_settle(mid_impl *me); /* the world stands: news of counts, and all work lists */
/* Free what is garbage among these handles, proved by an exact recount. One that is there again becomes 0. */
mid_status mid_cycles_prove(mid_impl *me, mid_handle *set, uint32_t count, uint64_t *freed);

/* --- collector.c, save.c, closing.c */
static inline bool mid_collector_off(const mid_heap *heap)
{
    return __atomic_load_n(&heap->collector.disabled, __ATOMIC_SEQ_CST) != 0;
}
#define MID_AGES_OF_TIME (UINT64_MAX / 8) /* a budget that is never used up, and to which a time can be added */
typedef struct mid_collecting {
    mid_collection is; /* to be filled in before its end */
    uint64_t began, freed;
} mid_collecting;
/* Around each piece of work of the collector: what listeners are told, and the figures of its kind. */
mid_collecting mid_collecting_begin(mid_heap *heap, mid_collector_kind kind, bool beside);
void mid_collecting_end(mid_heap *heap, mid_collecting *now, mid_status status);
mid_status mid_save_room(mid_heap *heap, uint64_t more); /* the world stands: for so much more garbage to be kept */
void mid_save(mid_heap *heap, mid_handle object);
void mid_saved_let_go(mid_thread *thread);
mid_status mid_close_call_hooks(mid_heap *heap, mid_thread **thread);
void mid_leaks_report(mid_heap *heap, uint64_t live); /* objects, to who wants them */

/* --- finalize.c */
void mid_final_push(mid_heap *heap, mid_handle handle); /* dead, its finalizer due */
void mid_final_run(mid_impl *me, uint64_t limit);      /* on its own thread only */
void mid_final_run_due(mid_impl *me, uint64_t limit); /* callbacks of weak references; on its own thread only */
bool mid_final_waits(const mid_heap *heap);
void mid_final_abandon(mid_impl *me);
uint64_t mid_final_judge(mid_impl *me);                /* the world stands; returns garbage freed by the recount */
void mid_final_call(mid_impl *me, mid_handle handle, mid_entry *entry);
bool mid_final_due(const mid_heap *heap, const mid_entry *entry);

/* --- weak.c, pin.c, map.c, scope.c */
void mid_slots_swap(mid_heap *heap, mid_handle handle, mid_handle other); /* resize.c: each lives where the other did */
/* `for_good`: it is being freed, not only about to be finalized. What only its death ends is dropped. */
void mid_weak_clear(mid_impl *me, mid_handle handle, mid_entry *entry, bool for_good);
bool mid_weak_call(mid_impl *me); /* the callback of one whose object has gone; was there any? */
void mid_pairs_orphan(mid_heap *heap, mid_handle map); /* pairs.c: a map dies; what it refers to is the caller's to drop */
void mid_weak_exchange(mid_heap *heap, mid_handle a, mid_handle b); /* the cells of each are the other's */
void mid_pin_forget(mid_heap *heap, mid_handle handle, mid_entry *entry);
void mid_policies_in_child(mid_heap *heap, const mid_impl *self); /* policy.c */
bool mid_interned_here(mid_heap *heap, mid_handle object); /* intern.c: is it in its type's table? */
bool mid_intern_leave(mid_heap *heap, mid_handle object);  /* it dies; was it there? */
void mid_intern_exchange(mid_heap *heap, mid_handle a, mid_handle b); /* their entries have been exchanged */
bool mid_map_room(const mid_map *map); /* for one key more, without memory */
mid_status mid_map_grow(mid_heap *heap, mid_map *map);
uint32_t mid_map_get(const mid_map *map, uint32_t key);
mid_status mid_map_set(mid_heap *heap, mid_map *map, uint32_t key, uint32_t value); /* cannot fail for a key it has */
void mid_map_remove(mid_map *map, uint32_t key);
void mid_scopes_close(mid_impl *me); /* all of them */

/* --- compact.c */
/* The world stands, and objects are about to move; what begin returns is for end. */
bool mid_moving_begin(mid_heap *heap);
void mid_moving_end(mid_heap *heap, bool unread);
/* The object in a slot of `from`, whose names these are, to the first free slot with an entry of `to`. */
void mid_slot_move(mid_heap *heap, mid_pool *from, uint32_t *names, unsigned slot, mid_pool *to);
void mid_passed_nothing(mid_heap *heap, mid_compact_result *result); /* passed.c: of a slice without evacuation */
mid_status mid_compact_run(mid_impl *me, uint64_t budget_micros, mid_compact_result *result);
size_t mid_run_size(void *heap, uint32_t name, const void *at, bool *stays); /* pack.c: for mid_alloc */
void mid_run_moved(void *heap, uint32_t name, void *to);
mid_status mid_trim_run(mid_heap *heap, uint64_t budget_micros, uint64_t keep, uint64_t *returned);
/* Move whole pools out of sparse arenas, when empty ones have been given back: what they keep they keep for use. */
mid_status mid_gather_run(mid_heap *heap, uint64_t budget_micros, uint64_t *pools); /* pack.c */
mid_status mid_compact_ready(mid_heap *heap); /* memory for the plan of any class */
void mid_compact_forget(mid_heap *heap);      /* between full passes: that memory */

/* --- deep.c: with `proposing` held, and nothing proposed, on trial or being swept */
/* What can be done while mutators run; takes `proposing`. MID_OK: the rest needs a stop; MID_MORE, MID_EBUSY, MID_ENOMEM, MID_ELIMIT. */
mid_status mid_deep_look(mid_heap *heap, uint64_t budget_micros);
/* The world stands. 0: no deadline. MID_OK: the pass is through; MID_MORE; MID_ENOMEM, MID_ELIMIT: it was given up. */
mid_status mid_deep_run(mid_impl *me, mid_deep_order order, uint64_t deadline, uint64_t *renamed);
void mid_deep_finish(mid_heap *heap); /* of a pass that is through: what it needed is given back */
void mid_deep_close(mid_heap *heap);

/* --- reclaim.c: the world stands */
mid_status mid_collect_overdrawn(mid_impl *me); /* as mid_cycles_collect, beyond the limit if need be */
void mid_squeeze(mid_impl *me);                 /* to the system what no object needs */

/* --- thread.c */
void mid_ask(mid_impl *impl, uint32_t what);
void mid_unask(mid_impl *impl, uint32_t what);
void mid_ask_all(mid_heap *heap, uint32_t what); /* under lock, or while nobody can attach */
bool mid_is_mutator(mid_heap *heap);             /* the caller may work on this heap: attached, or nobody is */
mid_status mid_thread_check(mid_thread *thread); /* MID_OK, or why a call cannot be served */
mid_status mid_place_new(mid_heap *heap);        /* with `memory` held, or while nobody can attach */
void mid_mine_block(void);                       /* the calling thread waits: it is parked in all its heaps */
void mid_mine_unblock(void);
void mid_threads_forget(mid_heap *heap);         /* it closes */

/* --- safepoint.c */
mid_status mid_work_begin(mid_thread *thread);       /* as a safepoint; MID_OK, or why the caller may not work on the heap now */
void mid_serve(mid_impl *me);                        /* what every safepoint does */
void mid_exchange_news(mid_impl *me);                /* what others have told it, and what it has for them */
uint64_t mid_judge(mid_impl *me, uint64_t patience); /* condemned garbage whose finalizers have run; objects freed */

/* --- work.c */
/* For the whole heap, and alone: the world stands, nobody proposes, no set is on trial. */
mid_status mid_whole_enter(mid_impl *me);
void mid_whole_leave(mid_impl *me);
void mid_propose_lock(mid_heap *heap); /* `proposing`; the caller, if attached, is at a safepoint */

/* --- stop.c */
/* Stop the world: every attached thread but `self` (which is the caller's, or null). MID_EPOSTPONED. Until resume the
 * caller holds `lock`. While it waits, `self` counts as parked unless it is in the middle of a drain. */
mid_status mid_world_stop(mid_heap *heap, mid_impl *self, uint64_t wait_micros, uint64_t *waited);
void mid_world_resume(mid_heap *heap);
/* For a fork that could not stop it: nobody else stops it, and who sleeps is held, until resume. `lock` is held afterwards;
 * `memory` is for the caller to take. */
void mid_world_hold(mid_heap *heap);
#define MID_PATIENCE 100000u /* microseconds a call that was asked for waits for other threads */
/* With whose structure does work go on that is nobody's, while the world stands? */
mid_impl *mid_actor(mid_heap *heap, mid_impl *self);
void mid_block(mid_impl *impl);
void mid_unblock(mid_impl *impl);
void mid_park(mid_impl *impl);
bool mid_await_change(mid_heap *heap, const struct timespec *deadline); /* with `lock` held; false: past the deadline */
void mid_wait_turn(mid_heap *heap, mid_impl *me); /* with `lock` held: nobody stops the world; `me` (BLOCKED) or null waits */
/* To look at everything: stops the world, unless the caller has. MID_OK: until mid_look_end nothing changes. */
mid_status mid_look_begin(mid_heap *heap, bool *stopped);
void mid_look_end(mid_heap *heap, bool stopped);

/* --- fork.c */
mid_status mid_fork_enroll(mid_heap *heap);
void mid_fork_dismiss(mid_heap *heap);
mid_status mid_locks_open(mid_heap *heap);
void mid_locks_close(mid_heap *heap);

/* --- service.c */
void mid_publish(mid_impl *me, bool kick);
void mid_kick(mid_heap *heap);
void mid_credit_used(mid_impl *me);                  /* wherever it has become negative */
bool mid_grown(const mid_heap *heap, uint64_t live); /* enough to collect */
uint64_t mid_array_slots(const mid_heap *heap);       /* references in blocks outside pools, at most; any thread */
bool mid_worth_a_kick(mid_heap *heap);

/* --- events.c, stats.c, check.c */
#define MID_EMIT(heap, event, ...)                                                                                     \
    do {                                                                                                               \
        if (MID_READ_((heap)->listener_count) == 0)                                                                    \
            break;                                                                                                     \
        mid_lock(heap); /* some work beside the program, and beside who has stopped it */                              \
        mid_callback frame_;                                                                                           \
        mid_callback_begin(&frame_, heap);                                                                             \
        for (unsigned i_ = 0; i_ < (heap)->listener_count; i_++)                                                       \
            if ((heap)->listeners[i_].event != NULL)                                                                   \
                (heap)->listeners[i_].event((heap)->listeners[i_].context, ##__VA_ARGS__);                             \
        mid_callback_end(&frame_);                                                                                     \
        mid_unlock(heap);                                                                                              \
    } while (0)
void mid_histogram_add(uint64_t histogram[MID_STOP_BUCKETS], uint64_t value); /* by powers of two; any thread */
void mid_stop_begins(mid_heap *heap); /* the world stands: from here to the other is what a stop is recorded to have taken */
void mid_stop_ends(mid_heap *heap);
void mid_stats_fill(const mid_heap *heap, mid_stats *into); /* with `memory` held */
uint64_t mid_waiting(const mid_heap *heap); /* on work lists */
uint64_t mid_freed_slots(const mid_heap *heap, unsigned size_class); /* ever, into caches too; with those that live: all handed out */

#endif
