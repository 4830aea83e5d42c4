/* daemon/process.h: the whole process's memory, as the frame around the heap's. */
#ifndef MIDDEN_DAEMON_PROCESS_H
#define MIDDEN_DAEMON_PROCESS_H

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Ranges of addresses that are the heap's, in the order in which they are added. */
typedef struct mid_range {
    uintptr_t from, to;
    const char *kind;
} mid_range;

typedef struct mid_ranges {
    mid_range *all;
    size_t count, room;
} mid_ranges;

bool mid_ranges_add(mid_ranges *ranges, uintptr_t at, uintptr_t size, const char *kind);
void mid_ranges_free(mid_ranges *ranges);

/* What /proc/self/maps lists, neighbours of a kind as one, in order, some lines at a time: a process may have 65,000 of them. */
typedef struct mid_regions {
    FILE *file;
    const char *kind; /* of the region that grows at the end; null: none */
    uintptr_t from, to, bytes;
    size_t next;      /* of the ranges */
    unsigned count;   /* regions told */
    bool inside;      /* a line */
} mid_regions;

/* Sorts the ranges. False: errno; ENOENT or the like: there is no /proc. */
bool mid_regions_open(mid_regions *regions, mid_ranges *ours);
/* Appends [kind, from, to, bytes] of regions that are complete, with a comma in front of all but the first; addresses are text, to base 16. *more:
 * there are others. False: no memory. */
bool mid_regions_next(mid_regions *regions, const mid_ranges *ours, struct evbuffer *out, bool *more);
void mid_regions_close(mid_regions *regions);

uint64_t mid_process_resident(void); /* bytes; 0: not known */

#endif
