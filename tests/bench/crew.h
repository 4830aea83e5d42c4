/* crew.h: the threads of a workload, each a user of the heap, and what they wait for.
 *
 * A thread that waits does so between be_wait_enter and be_wait_leave, so that the heap need not wait for it, and takes no
 * lock into be_wait_leave: that may have to wait for the heap, which may wait for a thread that wants the lock. */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <pthread.h>

#include "worker.h"

#define CREW_MAX 256 /* as many as the catalog admits */

/* One thread. Results are added up when all have ended. Lines of the cache are not shared. */
struct member {
    unsigned id, count;   /* 0 to count - 1 */
    struct run *run;
    be_heap *heap;        /* this thread's */
    struct random random; /* this thread's, from --seed */
    uint64_t operations, checksum;
    void (*work)(struct member *);
    pthread_t thread;
} __attribute__((aligned(64)));

/* Run `work` on `count` threads at once, all of which have entered the heap before the first begins. Returns the sum of
 * their operations and adds their checksums to the run's. */
uint64_t crew_run(struct run *run, unsigned count, void (*work)(struct member *));
/* Another thread of the same crew. */
const struct member *crew_member(unsigned id);
/* Wait until all members are here. */
void crew_barrier(struct member *member);

/* Start a thread that nobody joins. */
void crew_start_detached(void *(*start)(void *), void *argument);
struct random crew_random(const struct run *run, unsigned id);

/* What a thread works off of `total`, and which part of a pair it is in the workloads where one thread gives to another: 0 and
 * 1 are a pair, 2 and 3, ...; an odd one out, and so the only one, is both by turns. A pair gets the work of two. */
enum crew_part { CREW_GIVES, CREW_TAKES, CREW_BOTH };
static inline enum crew_part crew_part(const struct member *member)
{
    if (member->id + 1 == member->count && member->count % 2 == 1)
        return CREW_BOTH;
    return member->id % 2 == 0 ? CREW_GIVES : CREW_TAKES;
}
static inline uint64_t crew_share(const struct member *member, uint64_t total)
{
    return crew_part(member) == CREW_BOTH ? total / member->count : 2 * total / member->count;
}

/* A bounded queue, first in first out, of numbers or references. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed_full, changed_empty;
    unsigned wait_full, wait_empty; /* threads that wait for room, for an item */
    size_t room, first, count;
    uintptr_t *item;
};

/* Before the heap is open. */
void queue_prepare(struct queue *queue, size_t room);
/* The items are references: let the heap know. */
void queue_roots(be_heap *h, struct queue *queue);
void queue_put(be_heap *h, struct queue *queue, uintptr_t item);
uintptr_t queue_take(be_heap *h, struct queue *queue);

#endif
