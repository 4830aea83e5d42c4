/* tests/stress/threads/threads.h: many threads on two heaps, at random. What is shared, what belongs to one thread, and what
 * is checked; README.md of the folder above says how to run it.
 *
 * There is no model: what one thread may expect is what it holds. Every object bears a stamp that is written before any
 * other thread can see the object and never changes, so whoever holds a counted handle can tell whether it is the object it
 * was; whoever got the handle with its number (from a mailbox, through a weak handle) can tell which one. Payloads and
 * finalizers count lives. At the end everything is let go of, and nothing may be left.
 *
 * No call of the heap is made under a lock of this program, mid_transfer excepted: finalizers run in most of them. */
#ifndef STRESS_THREADS_H
#define STRESS_THREADS_H

#include <pthread.h>
#include <stdatomic.h>

#include "midden/midden.h"
#include "tests/stress/run.h"

enum {
    WORLDS = 2,
    THREADS_MAX = 64,
    ROOTS = 256,        /* slots of `top`, of which the first are visited most */
    HELD_MAX = 48,
    PINS_MAX = 4,
    SCOPES_DEEP = 3,
    KEPT_MAX = 24,
    MAIL_MAX = 48,
    WEAKS = 64, BLOCKS = 64,
    TYPES_AT_WILL = 400, /* registered while the threads run */
};

/* A counted handle, and the object's number. */
struct item {
    mid_handle handle;
    uint32_t id;
    bool mine; /* no other reference exists anywhere */
};

struct mailbox {
    struct item items[MAIL_MAX];
    unsigned count;
};

/* What a payload pointer names. Kept until the end of the run, so that a second death is seen. */
struct life {
    atomic_uint state; /* enum life_state */
    atomic_uint finalized;
    uint32_t id;
    bool has_finalizer;
};
enum life_state { LIFE_NONE, LIFE_ALIVE, LIFE_FREED };

struct lives {
    struct lives *next;
    unsigned used;
    struct life life[1022];
};

struct block {
    uint8_t *at;
    size_t size; /* and its low byte is in all of it */
};

/* A heap, and what its threads share. */
struct world {
    unsigned number;
    mid_heap *heap;
    struct mid_daemon *daemon;
    bool destroy;   /* ends with mid_heap_destroy */
    mid_handle top; /* array of objects with slots; held by the main thread from begin to end */
    mid_handle stack; /* its one slot is the top of a stack that threads push on and pop from without a lock */
    atomic_uint next_id;
    atomic_uint type_count;
    struct {
        mid_type type;
        unsigned kind;
    } types[TYPES_AT_WILL + KINDS_MAX]; /* [0, type_count) is complete */
    uint8_t kind_of[MID_TYPES_MAX + 1];
    _Atomic(struct lives *) lives;
    atomic_uint_fast64_t pushed, popped; /* sums of the numbers of what was */
    pthread_mutex_t lock; /* of all below */
    struct mailbox boxes[THREADS_MAX + 1]; /* one a thread, one for whoever comes */
    mid_thread *attached[THREADS_MAX];     /* whom mid_transfer may name: detaches only after it is taken out */
    struct {
        mid_weak weak;
        uint32_t id;
    } weaks[WEAKS];
    struct block blocks[BLOCKS];
};

struct open_scope {
    mid_scope scope;
    unsigned base; /* of `kept` */
};

/* One thread on one heap. The next thread of the same number finds it as the last one left it, scopes and the blocked
 * region excepted: those end with a thread. */
struct mutator {
    struct world *world;
    mid_thread *thread; /* null while detached */
    bool blocked;
    struct item held[HELD_MAX];
    unsigned held_count;
    struct {
        struct item item;
        void *address;
    } pins[PINS_MAX];
    unsigned pin_count;
    struct open_scope scopes[SCOPES_DEEP];
    unsigned scope_count;
    struct item kept[KEPT_MAX]; /* by the scopes; not counted by us */
    unsigned kept_count;
    struct lives *lives;
    uint32_t next_id, end_id;
};

enum tally { T_MADE, T_FINALIZED, T_RESURRECTED, T_COLLECTED, T_MOVED, T_STOPS, T_POSTPONED, T_REFUSED, T_KILLED, T_DETACHED,
             T_CHECKED, T_TRANSFERRED, T_WEAK_HITS, T_TALLIES };

struct worker {
    unsigned number;
    pthread_t id;
    uint64_t rng;
    atomic_uint_fast64_t op;        /* of all the threads that had this number */
    _Atomic(const char *) doing;
    uint64_t tally[T_TALLIES];
    unsigned depth;                 /* finalizers we are in */
    atomic_bool over;               /* it has ended, or is ending: to be joined */
    struct mutator on[WORLDS];
};

struct many {
    uint64_t seed, ops, seconds, heap_limit; /* ops: of a thread and its successors; 0: no bound */
    uint64_t until; /* of the monotonic clock */
    unsigned threads;
    enum mode mode;
    atomic_bool stop;    /* threads are to end for good */
    atomic_bool closing; /* finalizers are to let go */
    struct world worlds[WORLDS];
    struct worker workers[THREADS_MAX + 1]; /* the last is the main thread */
    pthread_mutex_t lock;  /* of `over` of all workers, with: */
    pthread_cond_t ended;
};
extern struct many many;
extern _Thread_local struct worker *self;

/* --- main.c (pick and one_in of run.h draw from the calling thread's numbers) */
struct mutator *mutator_of(mid_thread *thread); /* the calling thread's */

/* --- kinds.c: types, stamps */
extern const unsigned object_kinds;
void kinds_open(struct world *world);
/* One more type, of any kind; false: enough, or refused. */
bool kinds_register_one(struct mutator *m);
/* A counted new object, stamped, its slots empty. */
bool make(struct mutator *m, unsigned kind, uint32_t items, struct item *out);
unsigned any_kind(void);
unsigned any_kind_with_slots(void);
enum { KIND_NODE = 1, KIND_LOW = 5, KIND_ARRAY = 6, KIND_BYTES = 7, KIND_FINAL = 11, KIND_FINAL_ARRAY = 12 };
enum { FIRST_ITEM = 3 }; /* slot of an array */
/* Is it the object it was? `id` 0: any. Returns its number. */
uint32_t verify(struct mutator *m, mid_handle object, uint32_t id);
unsigned kind_of(struct mutator *m, mid_handle object);
bool is_variable(unsigned kind);
/* May this kind's slots hold that object? Acyclic ones hold only what has no slots. */
bool may_hold(struct mutator *m, unsigned kind, mid_handle object);
/* A slot of the object at random; false: it has none. */
bool any_slot(struct mutator *m, mid_handle object, unsigned *slot);
/* All of them, in turn; returns their number. */
unsigned slots_of(struct mutator *m, mid_handle object, unsigned n, unsigned *slot);
/* mid_resize of an object that is ours alone, its bytes checked before and after. */
void resize(struct mutator *m, struct item *item, uint32_t items);
struct life *life_of(struct mutator *m, mid_handle object); /* of a kind that has a payload */
void lives_check(struct world *world);

/* --- hold.c: what a thread holds, scopes, pins, mail */
void hold(struct mutator *m, mid_handle handle, uint32_t id, bool mine);
void hold_if_object(struct mutator *m, mid_handle value); /* verifies it first */
struct item *any_held(struct mutator *m);  /* null: none */
struct item take_held(struct mutator *m, struct item *item);
void let_go(struct mutator *m, struct item item);
void let_go_of_all(struct mutator *m);
bool post(struct world *world, unsigned box, struct item item); /* false: full, the item stays the caller's */
bool fetch(struct world *world, unsigned box, struct item *out);
void close_scopes(struct mutator *m, unsigned down_to);
void unpin_all(struct mutator *m);
void op_make(struct mutator *m);
void op_drop(struct mutator *m);
void op_burst(struct mutator *m);
void op_scope(struct mutator *m);
void op_pin(struct mutator *m);
void op_post(struct mutator *m);
void op_fetch(struct mutator *m);
void op_look(struct mutator *m);

/* --- graph.c: slots that all threads use */
void op_load(struct mutator *m);
void op_walk(struct mutator *m);
void op_store(struct mutator *m);
void op_give(struct mutator *m);
void op_swap(struct mutator *m);
void op_swap_if(struct mutator *m);
void op_take(struct mutator *m);
void op_link(struct mutator *m);
void op_replace_root(struct mutator *m);
void op_first_load(struct mutator *m);
void op_push(struct mutator *m);
void op_pop(struct mutator *m);
void store_at_random(struct mutator *m, mid_handle value); /* somewhere under the roots; the caller keeps its count */

/* --- shapes.c: several objects at once, weak handles */
void op_cycle(struct mutator *m);
void op_web(struct mutator *m);
void op_message(struct mutator *m);
void op_private(struct mutator *m);
void op_flood(struct mutator *m);
void op_weak_new(struct mutator *m);
void op_weak_get(struct mutator *m);
void op_weak_drop(struct mutator *m);
void on_finalize(mid_thread *thread, mid_handle object);

/* --- halt.c: safepoints, blocked regions, coming and going */
mid_status pin_long(struct mutator *m, mid_handle object, void **address); /* as mid_pin_long */
void attach(struct mutator *m); /* may be refused: m->thread stays null */
void detach(struct mutator *m);
void abandon(struct mutator *m); /* the thread ends without detaching */
void poll(struct mutator *m);
void collect(struct mutator *m);
void keep_small(struct mutator *m); /* collects and drops roots if too much is alive */
void op_blocked(struct mutator *m);
void op_leave(struct mutator *m);
void op_detach(struct mutator *m);
void op_register(struct mutator *m);
void op_ask(struct mutator *m);
struct mutator *step_aside(struct mutator *m); /* around calls that may wait for others */
void step_back(struct mutator *first);

/* switch.c: for all threads at once; blocks */
void op_switch(struct mutator *m);
void op_mem(struct mutator *m);
void switch_back(struct mutator *m); /* nobody else runs any more */
void op_check(struct mutator *m);

/* --- worker.c: a thread's life */
void *worker_main(void *worker);

/* --- world.c: begin and end of a heap */
void world_open(struct world *world);
void world_close(struct world *world);

#endif
