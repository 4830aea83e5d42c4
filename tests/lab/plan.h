/* plan.h: a trace turned into what a replay does, with blocks numbered instead of named by address, so that the
 * measured loop looks nothing up. Numbers of freed blocks are used again: there are as many as ever lived at once.
 *
 * A plan lies in one file (a memfd of `midden replay`): the header, then the operations. */
#ifndef MIDDEN_LAB_PLAN_H
#define MIDDEN_LAB_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "trace_reader.h"

typedef enum plan_kind { PLAN_ALLOC, PLAN_RESIZE, PLAN_FREE } plan_kind;

typedef struct plan_op {
    uint32_t block;
    uint8_t kind;
    uint8_t align;     /* log2; 0: none asked for */
    uint8_t resizable; /* an allocation that a later operation resizes */
    uint8_t reserved;
    uint64_t size;
} plan_op;

typedef struct plan {
    uint64_t operations;
    uint32_t blocks;    /* numbers in use: 0 ... blocks - 1 */
    uint32_t threads;
    uint64_t allocations, resizes, frees;
    uint64_t unknown;   /* frees and resizes, in a forked child, of blocks that its parent made: left out */
    uint64_t peak_live_bytes, peak_live_blocks;
    uint64_t end_live_bytes, end_live_blocks;
    plan_op ops[];
} plan;

/* Make the plan of `trace` in a new memfd. -1: trace->error says why: outside a forked child every free and every
 * resize must name a live block, and no block may begin where another lives. */
int plan_make(trace *trace, const char *path, plan *summary);

/* Whether, besides, no two live blocks ever overlapped; else false, with trace->error. Slower. */
bool plan_check_overlap(trace *trace, const char *path);

#endif
