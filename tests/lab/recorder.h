/* recorder.h: the recorder's three parts: the wrappers of malloc and its kin (recorder.c), the records and their lanes
 * (recorder_file.c), the file on disk (recorder_disk.c). */
#ifndef MIDDEN_LAB_RECORDER_H
#define MIDDEN_LAB_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

/* Append one record, numbered now. Never fails as far as the caller is concerned, allocates nothing and keeps
 * errno: when the file cannot grow, recording ends with one line on stderr. */
void recorder_append(trace_op op, uintptr_t address, size_t size, unsigned align_log2);

/* recorder_disk.c, for recorder_file.c alone; one thread at a time. */

/* Whether MIDDEN_RECORD names a file. Before the first recorder_create. */
bool recorder_wanted(void);
/* Make this process's file; `first`: it is the process that was asked for, or one it became by exec. 0 or an errno. */
int recorder_create(bool first);
const char *recorder_path(void);
/* Extend the file by chunk `number` and map it; null and *error if that cannot be. */
void *recorder_chunk(uint64_t number, int *error);

#endif
