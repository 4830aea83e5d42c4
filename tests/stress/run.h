/* tests/stress/run.h: the state of a run, its random numbers, and how it fails. */
#ifndef STRESS_RUN_H
#define STRESS_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "model.h"

#define KINDS_MAX 48u
#define SCOPES_MAX 6u
#define MOVES_EVERY 20u

enum mode { MODE_PLAIN, MODE_GC, MODE_DAEMON, MODE_STEPS };

struct scope {
    mid_scope scope;
    size_t base; /* of run.kept */
};

struct run {
    /* as asked for */
    uint64_t seed, ops, check_every, heap_limit, max_objects, free_batch, reserve, spare, pool_size, trace_from;
    enum mode mode;
    size_t live_target;
    bool destroy; /* end with mid_heap_destroy */
    bool immortals;

    mid_heap *heap;
    mid_thread *thread;
    struct mid_daemon *daemon; /* in mode daemon */
    mid_type types[KINDS_MAX];
    uint64_t rng;
    uint64_t op;
    const char *doing;
    uint64_t epoch;       /* counts safepoints: addresses hold within one */
    struct pointers root; /* one entry for each counted handle that the tester holds */
    struct pointers kept; /* the same, held by scopes */
    struct scope scopes[SCOPES_MAX];
    unsigned scope_count;
    unsigned depth;       /* finalizers we are in */
    bool may_finalize;    /* the call under way may run finalizers */
    bool loose;           /* the heap may collect when it likes */
    bool ambiguous;       /* loose for the rest of this collection only: see on_finalize */
    bool closing, dropping;
    bool may_rename;      /* the call under way is a deep compaction */
    uint64_t renamed;
    void (*commit)(void); /* what the model does once the call under way has begun to act */
    uint64_t finalized;   /* finalizers run */
    uint64_t refused, collected, moved, audits, reports;
    bool expect_report;
    int last_report;      /* its kind */
    uint64_t misuses, wrongs; /* asked for; done */
    bool moves;           /* everything moves at each MOVES_EVERY-th safepoint */
};

extern struct run run;

/* A debug heap asks for so much more. */
#ifdef MIDDEN_DEBUG
#define FENCE 16u
#else
#define FENCE 0u
#endif

/* Is a block of so many bytes a page run or a mapping, and no slot of a pool? */
static inline bool is_large(size_t bytes)
{
    bytes += FENCE;
    return bytes > 32768 || bytes > run.pool_size / 2;
}

/* A mismatch: prints seed, operation and the difference, and ends the program with 1. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static inline void *must(void *memory)
{
    if (memory == NULL)
        fail("the tester itself is out of memory");
    return memory;
}

uint64_t random64(void);
/* 0 ... below - 1 */
static inline uint32_t pick(uint32_t below)
{
    return (uint32_t)((random64() >> 32) * below >> 32);
}
static inline bool one_in(uint32_t n)
{
    return pick(n) == 0;
}

#endif
