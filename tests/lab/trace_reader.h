/* trace_reader.h: a trace file, checked and in the order in which things happened.
 *
 * Everything is verified before anything is handed out: magic, version, byte order, sizes, every record, and that no
 * sequence number is missing or there twice. A file that fails is refused with the offset and the reason. */
#ifndef MIDDEN_LAB_TRACE_READER_H
#define MIDDEN_LAB_TRACE_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "trace.h"

typedef struct trace_event {
    uint64_t address, size;
    uint64_t offset;      /* of the record in the file; never 0 */
    uint32_t thread;
    uint8_t op, align;    /* align: log2, 0 if none was asked for */
} trace_event;

typedef struct trace {
    trace_header header;
    trace_event *events;
    uint64_t count;
    uint32_t threads;     /* highest thread number */
    bool cut;             /* not whole: events end before the first missing record */
    char error[512];
} trace;

/* Read `path`. `partial`: a trace that was cut short (the program killed, the disk full, the file truncated) yields
 * what comes before the first missing record. False: trace->error says at what offset and why. */
bool trace_open(trace *trace, const char *path, bool partial);
void trace_close(trace *trace);

/* Write "path: offset N: reason" into trace->error; returns false. */
__attribute__((format(printf, 4, 5)))
bool trace_refuse(trace *trace, const char *path, uint64_t offset, const char *reason, ...);

#endif
