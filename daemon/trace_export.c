/* daemon/trace_export.c: snapshots of traces with names: JSON, folded stacks. */
#include "daemon/trace_export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/reply.h"

#define FRAME_TEXT 256 /* more is cut off */

static const char *last_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* "function (file:line)", "function (module+0x12)", "module+0x12", or the address. */
static void frame_text(const mid_trace_snapshot *s, mid_symbols *symbols, const void *frame, char *into, size_t room)
{
    mid_symbol symbol = {0};
    if (symbols != NULL)
        mid_symbols_find(symbols, frame, &symbol);
    if (symbol.module == NULL)
        symbol.module = mid_trace_module(s, frame, &symbol.offset);
    if (symbol.module == NULL)
        snprintf(into, room, "%p", frame);
    else if (symbol.function == NULL)
        snprintf(into, room, "%s+0x%" PRIx64, last_of(symbol.module), symbol.offset);
    else if (symbol.file != NULL)
        snprintf(into, room, "%s (%s:%d)", symbol.function, last_of(symbol.file), symbol.line);
    else
        snprintf(into, room, "%s (%s+0x%" PRIx64 ")", symbol.function, last_of(symbol.module), symbol.offset);
}

/* --- JSON ------------------------------------------------------------------------------------------------------------------ */

typedef struct listing {
    const mid_trace_snapshot *s;
    mid_symbols *symbols;
    json_t *list;
    size_t most, rows;
    bool differs;
    bool failed;
} listing;

static int add_row(void *context, const mid_trace_row *row)
{
    static const char *const domains[] = {"object", "foreign", "raw", "mem", "charged"};
    listing *l = context;
    char text[FRAME_TEXT];
    bool good = true;
    if (l->rows++ >= l->most)
        return 0;
    json_t *o = json_object(), *frames = row->depth != 0 ? json_array() : NULL;
    good &= mid_json_put_number(o, "bytes", row->bytes);
    good &= mid_json_put_number(o, "blocks", row->objects);
    if (l->differs) {
        good &= mid_json_put(o, "more_bytes", json_integer((json_int_t)(row->bytes - row->before_bytes)));
        good &= mid_json_put(o, "more_blocks", json_integer((json_int_t)(row->objects - row->before_objects)));
    }
    if (row->domain != MID_TRACE_DOMAINS)
        good &= mid_json_put(o, "domain", json_string(domains[row->domain]));
    if (row->type_name != NULL)
        good &= mid_json_put(o, "type", mid_json_text(row->type_name, strlen(row->type_name)));
    for (uint32_t i = 0; i < row->depth; i++) {
        frame_text(l->s, l->symbols, row->frames[i], text, sizeof text);
        good &= mid_json_append(frames, mid_json_text(text, strlen(text)));
    }
    if (row->depth != 0)
        good &= mid_json_put(o, "frames", frames);
    l->failed |= !(mid_json_append(l->list, o) && good);
    return l->failed;
}

json_t *mid_trace_json(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most, mid_symbols *symbols)
{
    static const char *const names[] = {"domain", "type", "site", "stack", "frame"};
    mid_trace_figures f;
    listing l = {.s = now, .symbols = symbols, .list = json_array(), .most = most == 0 ? SIZE_MAX : most, .differs = before != NULL};
    json_t *o = json_object();
    bool good = mid_trace_snapshot_figures(now, &f, sizeof f) == MID_OK && mid_trace_group(now, before, by, add_row, &l) == MID_OK && !l.failed;
    good &= mid_json_put(o, "ok", json_true());
    good &= mid_json_put_number(o, "traced", f.bytes);
    good &= mid_json_put_number(o, "peak", f.peak);
    good &= mid_json_put_number(o, "blocks", f.objects);
    good &= mid_json_put_number(o, "samples", f.records);
    good &= mid_json_put_number(o, "sample", f.sample);
    good &= mid_json_put_number(o, "missed", f.missed);
    good &= mid_json_put(o, "by", json_string(names[by]));
    good &= mid_json_put_number(o, "rows", l.rows);
    good &= mid_json_put(o, "top", l.list);
    return mid_json_whole(o, good);
}

static mid_status put(int fd, const char *text, size_t length)
{
    while (length != 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return MID_ESYSTEM;
        text += n;
        length -= (size_t)n;
    }
    return MID_OK;
}

static int put_json(const char *text, size_t length, void *context)
{
    return put(*(int *)context, text, length) == MID_OK ? 0 : -1;
}

mid_status mid_trace_write_json(const mid_trace_snapshot *now, const mid_trace_snapshot *before, mid_trace_by by, size_t most,
                                mid_symbols *symbols, int fd)
{
    if (now == NULL)
        return MID_ENULL;
    if (fd < 0 || (unsigned)by >= MID_TRACE_BYS)
        return MID_EINVAL;
    json_t *o = mid_trace_json(now, before, by, most, symbols);
    if (o == NULL)
        return MID_ENOMEM;
    errno = 0;
    int failed = json_dump_callback(o, put_json, &fd, JSON_COMPACT);
    json_decref(o);
    if (failed != 0)
        return errno != 0 ? MID_ESYSTEM : MID_ENOMEM;
    return put(fd, "\n", 1);
}

/* --- folded ------------------------------------------------------------------------------------------------------------------ */

typedef struct folding {
    const mid_trace_snapshot *s;
    mid_symbols *symbols;
    int fd;
    mid_status status;
} folding;

static int fold_row(void *context, const mid_trace_row *row)
{
    folding *f = context;
    char text[FRAME_TEXT + 2];
    for (uint32_t i = row->depth; i-- != 0 && f->status == MID_OK;) {
        frame_text(f->s, f->symbols, row->frames[i], text, FRAME_TEXT);
        for (char *at = text; *at != 0; at++)
            *at = *at == ';' ? '_' : *at;
        strcat(text, i != 0 ? ";" : "");
        f->status = put(f->fd, text, strlen(text));
    }
    snprintf(text, sizeof text, "%s %" PRIu64 "\n", row->depth == 0 ? "(nobody knows)" : "", row->bytes);
    if (f->status == MID_OK)
        f->status = put(f->fd, text, strlen(text));
    return f->status != MID_OK;
}

mid_status mid_trace_write_folded_names(const mid_trace_snapshot *snapshot, mid_symbols *symbols, int fd)
{
    folding f = {snapshot, symbols, fd, MID_OK};
    if (snapshot == NULL)
        return MID_ENULL;
    if (fd < 0)
        return MID_EINVAL;
    mid_status status = mid_trace_group(snapshot, NULL, MID_TRACE_BY_STACK, fold_row, &f);
    return f.status != MID_OK ? f.status : status;
}
