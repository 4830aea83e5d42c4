/* backend.h: what a workload may ask of a heap. One back end is chosen at compile time; the calls that a workload makes
 * often are static inline functions of backend_<name>.h, written as a user of that heap would write them, the others are in
 * backend_<name>.c.
 *
 *   be_heap   first argument of every call (midden: the thread)
 *   be_ref    a reference held by the program; 0 for none
 *   be_slot   a reference inside an object; an object's references come first, slot n is the nth
 *   BE_EXPLICIT  1 where the program frees each object itself (malloc's family)
 *   BE_MOVES     1 where the heap can compact
 *   BE_COUNTS    1 where the heap can say how many objects it has
 *
 *   be_new(h, type)                 a node, owned by the caller; its slots are yet to be given a value
 *   be_bytes(h, type, size)         leaf data: a struct blob of `size` bytes in all
 *   be_array(h, type, items)        an array of `items` empty references
 *   be_init(h, node, slot, value)   first value of a slot; takes the caller's reference over
 *   be_init_none(h, node, slot)     the same, empty
 *   be_share(h, value)              a reference more, to be taken over by be_init
 *   be_store(h, node, slot, value)  another value, which stays the caller's too
 *   be_replace(h, node, slot, value) another value, taken over; the old one is let go (BE_EXPLICIT: freed)
 *   be_peek(h, node, slot)          look at a slot
 *   be_at(h, ref)                   the address, good until the next be_poll or be_idle
 *   be_discard(h, ref)              the program's reference is given up; BE_EXPLICIT: this one object is freed
 *   be_poll(h)                      called every few hundred operations
 *
 * Threads have a be_heap each. Slots that several threads use at a time:
 *
 *   be_load(h, node, slot)          what is there, and keep it alive until be_unload, whatever others put into the slot
 *   be_unload(h, ref)               ... where ref may be 0
 *   be_put(h, node, slot, value)    another value, taken over; what was there loses the slot's reference and is not freed
 *   be_swap(h, node, slot, value)   the same, and what was there becomes the caller's
 *   be_transfer(h, to, root)        what `root` reaches will from now on be used by the thread `to` */
#ifndef BENCH_BACKEND_H
#define BENCH_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"

/* Leaf data as a program keeps it: with its length, in bytes that follow the length. */
struct blob {
    uint32_t length;
    uint32_t stamp;
    unsigned char data[];
};
#define BLOB_HEAD (sizeof(uint32_t))

/* Prints to stderr and exits with 3: a benchmark on a heap that fails has nothing to report. */
void be_die(const char *what, const char *why) __attribute__((noreturn));

#if defined(BENCH_MIDDEN)
#include "backend_midden.h"
#elif defined(BENCH_BOEHM)
#include "backend_boehm.h"
#else
#include "backend_malloc.h"
#endif

#define BE_SLOT(type, member) ((unsigned)(offsetof(type, member) / sizeof(be_slot)))

/* Start the heap in one of its variants ("default", "acyclic", ...); die if it has none of that name. `daemon`: the heap's
 * background loop runs, where it has one. */
be_heap *be_open(const char *variant);
void be_close(be_heap *h);
/* A further thread of the program uses the heap, from here to there. */
be_heap *be_thread_enter(void);
void be_thread_leave(be_heap *h);
/* Between the two this thread waits for another, and does not touch the heap. */
void be_wait_enter(be_heap *h);
void be_wait_leave(be_heap *h);
/* The library's name and version, as it says itself. */
const char *be_name(void);
const char *be_version(void);
/* Verify the heap's structures where it can; die if they are damaged. */
void be_check(be_heap *h);
/* The program holds nothing any more: die if the heap does, as far as it can tell. Other threads have left. */
void be_check_empty(be_heap *h);

/* Types. A node has `refs` references and `size` bytes in all. */
be_type be_node_type(be_heap *h, const char *name, size_t size, unsigned refs);
be_type be_bytes_type(be_heap *h);
be_type be_array_type(be_heap *h);

/* References held in a driver's own array of `count`. */
void be_roots(be_heap *h, be_ref *array, size_t count);

/* Ask for memory back the way this heap is asked. A heap that does it by itself is not asked. */
void be_shrink(be_heap *h);
/* Between the two the program does nothing with the heap. */
void be_idle_enter(be_heap *h);
void be_idle_leave(be_heap *h);
/* Dropped structures may be worked off later: wait until they are, in the cheapest way the program has. */
void be_finish_frees(be_heap *h);
/* BE_MOVES: compact now. `deep`: what only slots refer to gets its references anew, in the order of a walk, and lies in it. */
void be_compact(be_heap *h, bool deep);

/* Objects that are alive, and dead ones that wait to be freed (BE_COUNTS). */
uint64_t be_objects(be_heap *h);
/* Whether an object is still there, without keeping it: a be_watch is a weak reference, and stays where it is in a driver's own
 * array. be_watch_over: it has gone, and the watch is given up. While be_epoch is the same nothing has gone. */
void be_watch_begin(be_heap *h, be_ref ref, be_watch *watch);
bool be_watch_over(be_heap *h, be_watch *watch);
uint64_t be_epoch(void);
/* BE_COUNTS: collect all garbage there is, now. */
void be_collect(be_heap *h);

/* What the heap says of the pauses it has caused, since it was opened; sums, and the longest of each. */
struct be_cause {
    const char *name;
    uint64_t count, ns, max, cpu_max;
};
enum { BE_CAUSES_MAX = 16, BE_WINDOWS = 4 };
static const unsigned be_windows_ms[BE_WINDOWS] = {1, 5, 10, 50};
struct be_account {
    struct be_cause causes[BE_CAUSES_MAX];
    unsigned count;
    double mmu[BE_WINDOWS];
};
/* False: it says nothing. */
int be_account(be_heap *h, struct be_account *account);
/* What the heap says of all its stops since the last call, with those that an idle program does not notice; of what moving
 * objects and giving memory back has taken in the background since then; and of its pools now, and how few would do for the objects
 * there are. False: it says nothing. */
struct be_world {
    uint64_t stops, wall_max, cpu_max; /* nanoseconds, like the next */
    uint64_t evacuation_cpu;
    uint64_t pools, optimal_pools;
};
bool be_world(be_heap *h, struct be_world *world);
/* Stops of the program since the last clear; null if this heap never stops it. */
struct histogram *be_pauses(be_heap *h);

#endif
