/* tests/pressure/subject.h: what the programs of subject.c share: one heap, one thread, a daemon unless the options say none. */
#ifndef MIDDEN_PRESSURE_SUBJECT_H
#define MIDDEN_PRESSURE_SUBJECT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "midden/daemon.h"
#include "midden/midden.h"

struct bytes {
    uint64_t tag;
    uint32_t length, spare;
    unsigned char data[];
};
struct vec {
    uint32_t length, spare;
    mid_slot items[];
};
struct node {
    mid_slot next, other;
    uint64_t load[6];
};

extern mid_heap *heap;
extern mid_thread *thread;
extern mid_daemon *keeper; /* null: none */
extern mid_type bytes_type, vec_type, node_type;

void must(mid_status status, const char *what); /* or the program ends */
uint32_t random_below(uint32_t most);
uint64_t micros(void); /* of the clock that the daemon's log has */
void line_in(void);    /* wait for a line */
void rest(long micros);
void drop_ring(unsigned length);
/* all[at] = new bytes. */
void put(mid_handle all, uint32_t at, uint32_t size);
/* Means of 300 bytes in each band, so that what lives is as much; but in other size classes. */
uint32_t size_in(uint32_t band);

void steady(uint64_t mib);                                    /* subject_steady.c */
void share(uint64_t mib, uint64_t rate, const char *budget);  /* subject_share.c */

/* subject_ranges.c: pages of the heap's own arenas that are resident, by the kernel, every 20 ms from now on, from a thread of its own. */
void ranges_watch(void);
/* Ends it, and prints `resident MICROS BYTES` for each. */
void ranges_print(void);

#endif
