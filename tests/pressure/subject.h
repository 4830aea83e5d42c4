/* tests/pressure/subject.h: what the programs of subject.c share: one heap, one thread, a daemon unless the options say none. */
#ifndef MIDDEN_PRESSURE_SUBJECT_H
#define MIDDEN_PRESSURE_SUBJECT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "midden/daemon.h"
#include "tests/demo/program.h"

extern mid_daemon *keeper; /* null: none */

uint64_t micros(void); /* of the clock that the daemon's log has */
void line_in(void);    /* wait for a line */
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
