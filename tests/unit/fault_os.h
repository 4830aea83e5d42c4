/* tests/unit/fault_os.h: a mid_os that keeps account of every byte and fails on demand.
 *
 * Decommitted memory can only be read, so that writing to it crashes the test. A request that breaks the rules of
 * os.h (alignment, parts outside a reservation, two calls at once) is counted in `violations`. */
#ifndef FAULT_OS_H
#define FAULT_OS_H

#include "midden/os.h"

#define FAULT_REGIONS 64
#define FAULT_GRANULE ((size_t)4096) /* page runs commit and decommit by the page */

struct fault_region {
    char *at;
    size_t size;
    unsigned char *committed; /* one byte a granule */
};

struct fault_os {
    mid_os os;
    size_t calls;   /* of those that can fail */
    size_t fail_at; /* the call that fails, from 1; 0: none */
    int for_good;   /* ... and every one after it */
    size_t failed;
    size_t reserved, committed, mapped; /* bytes now */
    size_t mappings, remaps;
    size_t violations;
    int inside;
    struct fault_region regions[FAULT_REGIONS];
};

void fault_os_init(struct fault_os *fault);
/* Give the bookkeeping back; the heap must have returned everything. */
void fault_os_done(struct fault_os *fault);

#endif
