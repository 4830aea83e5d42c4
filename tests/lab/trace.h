/* trace.h: the trace file, as the recorder writes it and the reader reads it; docs/design/trace.md describes it.
 *
 * A row of 64 KiB chunks. Chunk 0 is the header; every other holds records of one lane in the order of their sequence
 * numbers. A sequence number is given to every operation of the process, without gaps: free and the first half
 * of realloc take theirs before the allocator is called, everything that yields a block takes its own after, so
 * sorted by them no block is freed before it was made or made where another still lives. */
#ifndef MIDDEN_LAB_TRACE_H
#define MIDDEN_LAB_TRACE_H

#include <stdint.h>

#define TRACE_MAGIC "MIDTRACE"
#define TRACE_VERSION 1u
#define TRACE_ORDER 0x01020304u
#define TRACE_CHUNK 65536u
#define TRACE_CHUNK_MAGIC 0x4344494du /* "MIDC" */
#define TRACE_COMMAND_MAX 4096u
/* Two op bytes and five varints of ten bytes: no record, with the thread record before it, is longer. */
#define TRACE_RECORD_MAX 52u

/* The process was made by fork: it may free blocks that its parent allocated. */
#define TRACE_FORKED 1u

typedef struct trace_header {
    char magic[8];
    uint32_t version, order;
    uint32_t chunk_size, pointer_bytes;
    uint64_t start_nanos;   /* real-time clock */
    uint32_t pid, parent;
    uint32_t flags;
    uint32_t stopped;       /* errno of what ended the recording early, or 0 */
    uint64_t chunks;        /* in the file, this one included */
    uint64_t operations;    /* sequence numbers given out */
    uint64_t dropped;       /* operations inside a signal handler that interrupted the recorder */
    uint32_t command_bytes; /* of command: the arguments, each ended by a zero byte */
    uint32_t reserved;
    char command[TRACE_COMMAND_MAX];
} trace_header;

typedef struct trace_chunk {
    uint32_t magic;
    uint32_t used;          /* bytes of records that follow */
    uint64_t sequence;      /* the first record's is counted from here */
    uint64_t nanos;         /* since start_nanos, when the chunk was begun */
    uint32_t lane, reserved;
} trace_chunk;

/* A record is an op byte and varints (little-endian base 128). THREAD is followed by the thread's number and
 * applies to what comes after it in the chunk. Every other op is followed by the distance of its
 * sequence number from the record's before, and of its address (zigzag) from the address before; then: */
typedef enum trace_op {
    TRACE_NONE,
    TRACE_ALLOC,        /* size: malloc, and realloc of null */
    TRACE_CALLOC,       /* size */
    TRACE_ALIGNED,      /* size, log2 of the alignment */
    TRACE_FREE,
    TRACE_RESIZE_BEGIN, /* address: of the block handed to realloc */
    TRACE_RESIZE_END,   /* address returned and size; 0 and 0: freed; 0 and a size: refused, the block stays.
                           Belongs to the same thread's last RESIZE_BEGIN */
    TRACE_THREAD,
    TRACE_OPS
} trace_op;

#endif
