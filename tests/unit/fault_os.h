/* tests/unit/fault_os.h: a mid_os that keeps account of every byte and fails on demand.
 *
 * Decommitted memory can only be read, so that writing to it crashes the test. A request that breaks the rules of
 * os.h (alignment, parts outside a reservation, two calls at once) is counted in `violations`. */
#ifndef FAULT_OS_H
#define FAULT_OS_H

#include "unit.h"

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
/* Give the bookkeeping back. Insists that the heap returned everything, and kept to the rules. */
void fault_os_done(struct fault_os *fault);

/* A unit on a system of its own that fails on demand; `text`: its options. */
static inline void fault_open(struct unit *u, struct fault_os *fault, const char *text)
{
    mid_options options;
    mid_options_init(&options);
    ok(mid_options_parse(&options, text, NULL));
    fault_os_init(fault);
    options.os = &fault->os;
    unit_open_with(u, &options);
}

static inline void fault_close(struct unit *u, struct fault_os *fault)
{
    unit_close(u);
    fault_os_done(fault);
}

#endif
