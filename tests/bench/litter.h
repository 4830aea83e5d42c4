/* litter.h: the garbage that a workload has dropped and that the heap still keeps, counted by the driver, who knows what it
 * dropped and what is reachable.
 *
 * Where the heap says how many objects it has (BE_COUNTS), outstanding is that less what the driver knows to be reachable. Where
 * it does not, a weak reference watches one of every few structures that are dropped, and what it tells of stands for the
 * others; a structure dies as a whole. Midden is counted, and watched too if the run is to be checked: a look through a weak
 * handle takes a count, which would change how the garbage dies. What a program frees by itself is not outstanding. */
#ifndef BENCH_LITTER_H
#define BENCH_LITTER_H

#include <stdbool.h>

#include "worker.h"

/* Before the heap is open: at most so many structures will be dropped. */
void litter_prepare(const struct run *run, uint64_t structures);
/* A phase of so many operations begins, with nothing outstanding. */
void litter_begin(uint64_t operations);
/* After phase_end: `reachable` objects are left. Reports the phase's garbage; then has the heap collect and dies if it keeps
 * anything else. Every other thread has left the heap. */
void litter_end(struct run *run, uint64_t operations, uint64_t reachable);

extern uint64_t litter_below; /* the share of structures that is watched, in 2^-64; 0: none */
extern uint64_t litter_next;  /* operations until the next look */
void litter_watch(be_heap *h, be_ref ref, uint64_t objects);
void litter_look_now(be_heap *h, uint64_t operations, uint64_t reachable);

/* The program is about to let go of a structure of `objects`, of which it holds `ref`; `count` is its number, from 0. Any thread.
 * Those watched are spread evenly, but not at even distances: every other pair of nodes is a cycle. */
static inline void litter_drop(be_heap *h, be_ref ref, uint64_t objects, uint64_t count)
{
    if (count * 0x9E3779B97F4A7C15ull < litter_below)
        litter_watch(h, ref, objects);
}

/* After each operation, on one thread: true if a look was taken, which takes time. `reachable`: objects that are now. */
static inline bool litter_look(be_heap *h, uint64_t operations, uint64_t reachable)
{
    if (operations < litter_next)
        return false;
    litter_look_now(h, operations, reachable);
    return true;
}

#endif
