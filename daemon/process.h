/* daemon/process.h: the whole process's memory, as the frame around the heap's. */
#ifndef MIDDEN_DAEMON_PROCESS_H
#define MIDDEN_DAEMON_PROCESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

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

/* {"resident": bytes, "regions": [[kind, from, to, bytes], ...]}: what /proc/self/maps lists, neighbours of a kind as one; addresses
 * are text, to base 16. JSON's null if there is no /proc; a null pointer: no memory. Sorts the ranges. */
json_t *mid_process_json(mid_ranges *ours);

#endif
