/* trace_reader.c: see trace_reader.h. Since sequence numbers are dense, records go straight to their place in one
 * array, and an empty place is a missing record. */
#include "trace_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct source {
    trace *trace;
    const char *path;
    const unsigned char *bytes;
    uint64_t size;
    bool partial;
} source;

/* Where in a chunk decoding stands. */
typedef struct cursor {
    uint64_t at, end; /* offsets in the file */
    uint64_t sequence, address;
    uint32_t thread;
} cursor;

bool trace_refuse(trace *trace, const char *path, uint64_t offset, const char *reason, ...)
{
    char text[300];
    va_list args;
    va_start(args, reason);
    vsnprintf(text, sizeof text, reason, args);
    va_end(args);
    snprintf(trace->error, sizeof trace->error, "%s: offset %" PRIu64 ": %s", path, offset, text);
    return false;
}

#define REFUSE(in, offset, ...) trace_refuse((in)->trace, (in)->path, offset, __VA_ARGS__)

static bool check_header(source *in)
{
    trace_header *header = &in->trace->header;
    size_t magic = in->size < sizeof header->magic ? (size_t)in->size : sizeof header->magic;
    if (magic != 0 && memcmp(in->bytes, TRACE_MAGIC, magic) != 0)
        return REFUSE(in, 0, "no trace: the file does not begin with " TRACE_MAGIC);
    if (in->size < sizeof *header)
        return REFUSE(in, in->size, "truncated: the file ends inside the header");
    memcpy(header, in->bytes, sizeof *header);
    if (header->order != TRACE_ORDER)
        return REFUSE(in, offsetof(trace_header, order), "recorded on a machine of another byte order");
    if (header->version != TRACE_VERSION)
        return REFUSE(in, offsetof(trace_header, version), "version %" PRIu32 ", this program reads %u",
                      header->version, TRACE_VERSION);
    if (header->chunk_size != TRACE_CHUNK)
        return REFUSE(in, offsetof(trace_header, chunk_size), "chunks of %" PRIu32 " bytes, not %u",
                      header->chunk_size, TRACE_CHUNK);
    if (header->pointer_bytes != 8)
        return REFUSE(in, offsetof(trace_header, pointer_bytes), "addresses of %" PRIu32 " bytes, not 8",
                      header->pointer_bytes);
    if (header->command_bytes > TRACE_COMMAND_MAX)
        return REFUSE(in, offsetof(trace_header, command_bytes), "a command of %" PRIu32 " bytes",
                      header->command_bytes);
    if (header->chunks == 0 || header->chunks > UINT64_MAX / TRACE_CHUNK)
        return REFUSE(in, offsetof(trace_header, chunks), "%" PRIu64 " chunks", header->chunks);
    return true;
}

/* A file may be longer by the chunk that was being added when the program was killed. */
static bool check_size(source *in)
{
    trace_header *header = &in->trace->header;
    uint64_t wanted = header->chunks * TRACE_CHUNK;
    if (in->size < wanted && !in->partial)
        return REFUSE(in, in->size, "truncated: the file should have %" PRIu64 " bytes", wanted);
    if (in->size > wanted + TRACE_CHUNK)
        return REFUSE(in, wanted, "the file should end here, and has %" PRIu64 " bytes more", in->size - wanted);
    /* No record has less than three bytes. */
    if (header->operations > (wanted - TRACE_CHUNK) / 3 && !in->partial)
        return REFUSE(in, offsetof(trace_header, operations), "%" PRIu64 " operations cannot be in %" PRIu64 " bytes",
                      header->operations, wanted);
    if (header->stopped != 0 && !in->partial)
        return REFUSE(in, offsetof(trace_header, stopped), "recording ended early: %s (--partial reads what is there)",
                      strerror((int)header->stopped));
    return true;
}

static bool varint(const source *in, cursor *at, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; at->at < at->end && shift < 64; shift += 7) {
        uint64_t byte = in->bytes[at->at++];
        value |= (byte & 127) << shift;
        if (byte < 128) {
            *out = value;
            return shift != 63 || byte <= 1;
        }
    }
    return false;
}

static bool fields(const source *in, cursor *at, unsigned op, trace_event *event)
{
    uint64_t distance, step, align = 0;
    if (!varint(in, at, &distance) || !varint(in, at, &step))
        return false;
    at->sequence += distance;
    at->address += step >> 1 ^ -(step & 1);
    event->address = at->address;
    if (op != TRACE_FREE && op != TRACE_RESIZE_BEGIN && !varint(in, at, &event->size))
        return false;
    if (op == TRACE_ALIGNED && (!varint(in, at, &align) || align > 62))
        return false;
    event->op = (uint8_t)op;
    event->align = (uint8_t)align;
    event->thread = at->thread;
    return true;
}

static bool record(source *in, cursor *at, uint64_t room)
{
    trace *trace = in->trace;
    uint64_t from = at->at, thread;
    unsigned op = in->bytes[at->at++];
    if (op == TRACE_THREAD) {
        if (!varint(in, at, &thread) || thread == 0 || thread > room)
            return REFUSE(in, from, "not a thread's number");
        at->thread = (uint32_t)thread;
        if (trace->threads < at->thread)
            trace->threads = at->thread;
        return true;
    }
    if (op == TRACE_NONE || op >= TRACE_OPS)
        return REFUSE(in, from, "op %u does not exist", op);
    trace_event event = {.offset = from};
    if (!fields(in, at, op, &event))
        return REFUSE(in, from, "a malformed record");
    if (at->thread == 0)
        return REFUSE(in, from, "a record of no thread");
    if (at->sequence >= trace->header.operations)
        return REFUSE(in, from, "operation %" PRIu64 " of %" PRIu64, at->sequence, trace->header.operations);
    if (at->sequence >= room)
        return true; /* more operations than the cut file can hold: a missing one comes before this */
    if (trace->events[at->sequence].offset != 0)
        return REFUSE(in, from, "operation %" PRIu64 " is at offset %" PRIu64 " already", at->sequence,
                      trace->events[at->sequence].offset);
    trace->events[at->sequence] = event;
    return true;
}

static bool chunk(source *in, uint64_t number, uint64_t room)
{
    uint64_t from = number * TRACE_CHUNK;
    trace_chunk head;
    if (from + sizeof head > in->size)
        return true; /* only reached with partial */
    memcpy(&head, in->bytes + from, sizeof head);
    if (head.magic != TRACE_CHUNK_MAGIC)
        return REFUSE(in, from, "no chunk begins here");
    if (head.used > TRACE_CHUNK - sizeof head)
        return REFUSE(in, from + offsetof(trace_chunk, used), "%" PRIu32 " bytes of records in a chunk of %u",
                      head.used, TRACE_CHUNK);
    cursor at = {.at = from + sizeof head, .sequence = head.sequence};
    at.end = at.at + head.used;
    bool short_of_some = at.end > in->size;
    if (short_of_some)
        at.end = in->size;
    while (at.at < at.end) {
        /* The last record of a truncated chunk may be cut anywhere: nothing near the end is trusted. */
        if (short_of_some && at.end - at.at < TRACE_RECORD_MAX)
            return true;
        if (!record(in, &at, room))
            return false;
    }
    return true;
}

static bool check_complete(source *in, uint64_t room)
{
    trace *trace = in->trace;
    uint64_t last = TRACE_CHUNK;
    while (trace->count < room && trace->events[trace->count].offset != 0)
        last = trace->events[trace->count++].offset;
    trace->cut = trace->count < trace->header.operations || trace->header.stopped != 0;
    if (trace->count < trace->header.operations && !in->partial)
        return REFUSE(in, last, "operation %" PRIu64 " of %" PRIu64 ", due after this one, is missing: the program was "
                      "killed while it recorded (--partial reads what is there)", trace->count, trace->header.operations);
    return true;
}

static bool read_all(source *in)
{
    trace *trace = in->trace;
    if (!check_header(in) || !check_size(in))
        return false;
    uint64_t room = trace->header.operations, most = in->size / 3;
    if (room > most)
        room = most;
    trace->events = calloc(room + 1, sizeof *trace->events);
    if (trace->events == NULL)
        return REFUSE(in, offsetof(trace_header, operations), "no memory for %" PRIu64 " operations", room);
    for (uint64_t i = 1; i < trace->header.chunks && i * TRACE_CHUNK < in->size; i++)
        if (!chunk(in, i, room))
            return false;
    return check_complete(in, room);
}

bool trace_open(trace *trace, const char *path, bool partial)
{
    memset(trace, 0, sizeof *trace);
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) {
        snprintf(trace->error, sizeof trace->error, "%s: %s", path, fd < 0 ? strerror(errno) : "not a regular file");
        if (fd >= 0)
            close(fd);
        return false;
    }
    source in = {.trace = trace, .path = path, .size = (uint64_t)found.st_size, .partial = partial};
    void *bytes = NULL;
    if (in.size != 0)
        bytes = mmap(NULL, in.size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED) {
        snprintf(trace->error, sizeof trace->error, "%s: %s", path, strerror(errno));
        return false;
    }
    in.bytes = bytes;
    bool ok = read_all(&in);
    if (bytes != NULL)
        munmap(bytes, in.size);
    if (!ok)
        trace_close(trace);
    return ok;
}

void trace_close(trace *trace)
{
    free(trace->events);
    trace->events = NULL;
}
