/* gc/trace_write.c: a snapshot as text, and as folded stacks. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gc/heap.h"
#include "gc/writer.h"

typedef struct listing {
    const mid_trace_snapshot *now, *before;
    mid_trace_by by;
    size_t left;    /* rows that may still be written */
    mid_writer *to; /* while it is written */
    mid_status status;
} listing;

static __attribute__((format(printf, 2, 3))) void put(mid_writer *to, const char *format, ...)
{
    char line[160];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    mid_put_text(to, line);
}

static mid_status written(listing *l, int fd, void (*fill)(mid_writer *, const void *))
{
    const int error = mid_write_quietly(fd, fill, &l);
    if (error == 0 || l->status != MID_OK)
        return l->status;
    errno = error;
    return MID_ESYSTEM;
}

static const char *domain_name(mid_trace_domain domain)
{
    static const char *const names[] = {"object", "foreign", "raw", "mem", "charged"};
    return names[domain];
}

static void put_frame(mid_writer *to, const mid_trace_snapshot *now, void *frame)
{
    uint64_t offset;
    const char *path = mid_trace_module(now, frame, &offset), *last = path == NULL ? NULL : strrchr(path, '/');
    if (path == NULL) {
        put(to, "0x%" PRIxPTR, (uintptr_t)frame);
        return;
    }
    mid_put_text(to, last != NULL ? last + 1 : path);
    put(to, "+0x%" PRIx64, offset);
}

static int text_row(void *context, const mid_trace_row *row)
{
    listing *l = context;
    const bool differs = l->before != NULL;
    if (l->left-- == 0)
        return 1;
    if (differs)
        put(l->to, "%+14" PRId64 " %+10" PRId64 " ", (int64_t)(row->bytes - row->before_bytes), (int64_t)(row->objects - row->before_objects));
    put(l->to, "%14" PRIu64 " %10" PRIu64 "  ", row->bytes, row->objects);
    if (row->domain != MID_TRACE_DOMAINS)
        mid_put_text(l->to, domain_name(row->domain));
    if (row->type_name != NULL) {
        mid_put_text(l->to, " ");
        mid_put_text(l->to, row->type_name);
    }
    for (uint32_t i = 0; i < row->depth; i++) {
        mid_put_text(l->to, i == 0 ? "" : differs ? "\n                                                      " : "\n                           ");
        put_frame(l->to, l->now, row->frames[i]);
    }
    mid_put_text(l->to, row->domain == MID_TRACE_DOMAINS && row->depth == 0 ? "(nobody knows)\n" : "\n");
    return l->to->error != 0;
}

static void put_rows(mid_writer *to, const void *context)
{
    listing *l = *(listing *const *)context;
    const mid_trace_figures *f = &l->now->figures;
    l->to = to;
    put(to, "traced: %" PRIu64 " bytes in %" PRIu64 " blocks, at most %" PRIu64 " bytes", f->bytes, f->objects, f->peak);
    if (f->sample != 0)
        put(to, "; estimated from %" PRIu64 " samples, one each %" PRIu64 " bytes", f->records, f->sample);
    put(to, "\n%s         bytes     blocks\n", l->before != NULL ? "     more bytes     blocks" : "");
    l->status = mid_trace_group(l->now, l->before, l->by, text_row, l);
}

mid_status mid_trace_write_text(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most, int fd)
{
    if (now == NULL)
        return MID_ENULL;
    if (fd < 0 || (unsigned)by >= MID_TRACE_BYS)
        return MID_EINVAL;
    listing l = {.now = now, .before = before, .by = by, .left = most == 0 ? SIZE_MAX : most};
    return written(&l, fd, put_rows);
}

/* Semicolons and line ends would be read as what they are between frames. */
static void put_name(mid_writer *to, const char *name)
{
    for (; *name != '\0'; name++)
        mid_put(to, *name == ';' || (unsigned char)*name < ' ' ? "_" : name, 1);
}

static void put_folded(mid_writer *to, const void *context)
{
    const mid_trace_snapshot *now = (*(listing *const *)context)->now;
    for (uint64_t i = 0; i < now->count && to->error == 0; i++) {
        const mid_trace_entry *e = &mid_trace_entries(now)[i];
        for (uint32_t n = e->depth; n-- != 0;) {
            put_frame(to, now, mid_trace_entry_frames(now, e)[n]);
            mid_put_text(to, ";");
        }
        put_name(to, e->type != 0 ? mid_type_name(now->heap, e->type) : domain_name(e->domain));
        put(to, " %" PRIu64 "\n", e->sums.bytes);
    }
}

mid_status mid_trace_write_folded(const mid_trace_snapshot *snapshot, int fd)
{
    if (snapshot == NULL)
        return MID_ENULL;
    if (fd < 0)
        return MID_EINVAL;
    listing l = {.now = snapshot};
    return written(&l, fd, put_folded);
}
