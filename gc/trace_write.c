/* gc/trace_write.c: a snapshot as text, and as folded stacks. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gc/heap.h"

typedef struct writer {
    const mid_trace_snapshot *now;
    bool differs;
    size_t left;     /* rows that may still be written */
    int fd, error;   /* errno of the write that failed; the rest is dropped */
    size_t used;
    char buffer[4096];
    sigset_t signals;
    bool was_pending;
} writer;

static void flush(writer *w)
{
    for (size_t done = 0; done < w->used && w->error == 0;) {
        ssize_t n = write(w->fd, w->buffer + done, w->used - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            w->error = n == 0 ? EIO : errno;
    }
    w->used = 0;
}

static void put_text(writer *w, const char *text)
{
    for (; *text != '\0'; text++) {
        if (w->used == sizeof w->buffer)
            flush(w);
        w->buffer[w->used++] = *text;
    }
}

static __attribute__((format(printf, 2, 3))) void put(writer *w, const char *format, ...)
{
    char line[160];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    put_text(w, line);
}

/* A pipe that nobody reads any more is an error like others: the signal it comes with is taken back. */
static void begin(writer *w)
{
    sigset_t pipe, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    w->was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &w->signals);
}

static mid_status end(writer *w, mid_status status)
{
    sigset_t pipe;
    flush(w);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (w->error == EPIPE && !w->was_pending)
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &w->signals, NULL);
    if (w->error == 0 || status != MID_OK)
        return status;
    errno = w->error;
    return MID_ESYSTEM;
}

static const char *domain_name(mid_trace_domain domain)
{
    static const char *const names[] = {"object", "foreign", "raw", "mem", "charged"};
    return names[domain];
}

static void put_frame(writer *w, void *frame)
{
    uint64_t offset;
    const char *path = mid_trace_module(w->now, frame, &offset), *last = path == NULL ? NULL : strrchr(path, '/');
    if (path == NULL) {
        put(w, "0x%" PRIxPTR, (uintptr_t)frame);
        return;
    }
    put_text(w, last != NULL ? last + 1 : path);
    put(w, "+0x%" PRIx64, offset);
}

static int text_row(void *context, const mid_trace_row *row)
{
    writer *w = context;
    if (w->left-- == 0)
        return 1;
    if (w->differs)
        put(w, "%+14" PRId64 " %+10" PRId64 " ", (int64_t)(row->bytes - row->before_bytes), (int64_t)(row->objects - row->before_objects));
    put(w, "%14" PRIu64 " %10" PRIu64 "  ", row->bytes, row->objects);
    if (row->domain != MID_TRACE_DOMAINS)
        put_text(w, domain_name(row->domain));
    if (row->type_name != NULL) {
        put_text(w, " ");
        put_text(w, row->type_name);
    }
    for (uint32_t i = 0; i < row->depth; i++) {
        put_text(w, i == 0 ? "" : w->differs ? "\n                                                      " : "\n                           ");
        put_frame(w, row->frames[i]);
    }
    put_text(w, row->domain == MID_TRACE_DOMAINS && row->depth == 0 ? "(nobody knows)\n" : "\n");
    return w->error != 0;
}

mid_status mid_trace_write_text(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most, int fd)
{
    if (now == NULL)
        return MID_ENULL;
    if (fd < 0 || (unsigned)by >= MID_TRACE_BYS)
        return MID_EINVAL;
    writer w = {.now = now, .differs = before != NULL, .left = most == 0 ? SIZE_MAX : most, .fd = fd};
    const mid_trace_figures *f = &now->figures;
    begin(&w);
    put(&w, "traced: %" PRIu64 " bytes in %" PRIu64 " blocks, at most %" PRIu64 " bytes", f->bytes, f->objects, f->peak);
    if (f->sample != 0)
        put(&w, "; estimated from %" PRIu64 " samples, one each %" PRIu64 " bytes", f->records, f->sample);
    put(&w, "\n%s         bytes     blocks\n", w.differs ? "     more bytes     blocks" : "");
    return end(&w, mid_trace_group(now, before, by, text_row, &w));
}

/* Semicolons and line ends would be read as what they are between frames. */
static void put_name(writer *w, const char *name)
{
    for (; *name != '\0'; name++)
        put_text(w, (char[]){*name == ';' || (unsigned char)*name < ' ' ? '_' : *name, '\0'});
}

mid_status mid_trace_write_folded(const mid_trace_snapshot *snapshot, int fd)
{
    if (snapshot == NULL)
        return MID_ENULL;
    if (fd < 0)
        return MID_EINVAL;
    writer w = {.now = snapshot, .fd = fd};
    begin(&w);
    for (uint64_t i = 0; i < snapshot->count && w.error == 0; i++) {
        const mid_trace_entry *e = &mid_trace_entries(snapshot)[i];
        for (uint32_t n = e->depth; n-- != 0;) {
            put_frame(&w, mid_trace_entry_frames(snapshot, e)[n]);
            put_text(&w, ";");
        }
        put_name(&w, e->type != 0 ? mid_type_name(snapshot->heap, e->type) : domain_name(e->domain));
        put(&w, " %" PRIu64 "\n", e->sums.bytes);
    }
    return end(&w, MID_OK);
}
