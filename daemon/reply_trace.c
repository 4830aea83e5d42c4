/* daemon/reply_trace.c: allocation tracing, switched on and off and looked at by the control socket. */
#include <stdio.h>
#include <string.h>

#include "daemon/reply.h"
#include "daemon/trace_export.h"
#include "midden/options.h"

#define FRAMES 16u
#define SAMPLE (512u << 10)
#define TOP 20u        /* with names */
#define SNAPSHOT 50u
#define FRAMES_MOST 800u /* of at most 256 bytes: what fits into an answer */

static json_t *reply_status(mid_status status)
{
    if (status != MID_OK)
        return mid_reply_error(status, NULL);
    json_t *o = json_object();
    return mid_json_whole(o, json_object_set_new(o, "ok", json_true()));
}

/* The world has to be stopped for it, as for any other work of the daemon. */
static json_t *with_world_stopped(mid_heap *heap, uint64_t wait, const mid_trace_options *options)
{
    mid_status status = mid_service_stop(heap, mid_thread_current(heap), wait, NULL);
    if (status != MID_OK)
        return mid_reply_error(status, NULL);
    status = options != NULL ? mid_trace_start(heap, options) : mid_trace_stop(heap);
    mid_service_resume(heap);
    return reply_status(status);
}

/* "512K 16": bytes between samples (all: every allocation), frames. */
static bool read_on(const char *text, mid_trace_options *options)
{
    unsigned long long sample = SAMPLE;
    unsigned frames = FRAMES;
    char unit = 0;
    int used = 0;
    if (strncmp(text, "all", 3) == 0) {
        sample = 0;
        used = 3;
    } else if (sscanf(text, "%12llu%n", &sample, &used) == 1) {
        unit = text[used];
        if (unit == 'K' || unit == 'M' || unit == 'G') {
            sample <<= unit == 'K' ? 10 : unit == 'M' ? 20 : 30;
            used++;
        }
        if (sample == 0)
            return false;
    }
    text += used;
    used = 0;
    if (*text != 0 && (sscanf(text, " %9u%n", &frames, &used) != 1 || text[used] != 0))
        return false;
    *options = (mid_trace_options){sizeof *options, frames, sample};
    return true;
}

static json_t *look(mid_heap *heap, mid_trace_by by, size_t most, bool names)
{
    mid_trace_snapshot *snapshot;
    mid_symbols *symbols = NULL;
    mid_status status = mid_trace_take(heap, &snapshot);
    if (status != MID_OK)
        return mid_reply_error(status, status == MID_EINVAL ? "tracing is off" : NULL);
    mid_trace_figures f;
    mid_trace_snapshot_figures(snapshot, &f, sizeof f);
    if (most > FRAMES_MOST / f.frames)
        most = FRAMES_MOST / f.frames;
    if (names)
        mid_symbols_open(&symbols); /* without names there are addresses */
    json_t *answer = mid_trace_json(snapshot, NULL, by, most, symbols);
    mid_symbols_close(symbols);
    mid_trace_drop(snapshot);
    return answer;
}

static bool by_name(const char *name, mid_trace_by *by)
{
    static const char *const names[] = {"domain", "type", "site", "stack", "frame"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *by = (mid_trace_by)i;
            return true;
        }
    return *name == 0;
}

static const char *after(const char *text, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(text, word, length) != 0 || (text[length] != 0 && text[length] != ' '))
        return NULL;
    for (text += length; *text == ' '; text++)
        continue;
    return text;
}

json_t *mid_reply_trace(mid_heap *heap, uint64_t stop_wait, const char *text)
{
    mid_trace_options options;
    mid_trace_by by = MID_TRACE_BY_SITE;
    const char *rest;
    if ((rest = after(text, "on")) != NULL && read_on(rest, &options))
        return with_world_stopped(heap, stop_wait, &options);
    if ((rest = after(text, "off")) != NULL && *rest == 0)
        return with_world_stopped(heap, stop_wait, NULL);
    if ((rest = after(text, "top")) != NULL && by_name(rest, &by))
        return look(heap, by, TOP, true);
    if ((rest = after(text, "snapshot")) != NULL && *rest == 0)
        return look(heap, MID_TRACE_BY_STACK, SNAPSHOT, false);
    return mid_reply_error(MID_EINVAL, "trace takes on [BYTES|all [FRAMES]], off, top [domain|type|site|stack|frame] or snapshot");
}
