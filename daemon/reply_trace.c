/* daemon/reply_trace.c: allocation tracing, switched on and off and looked at by the control socket. */
#include "daemon/reply.h"
#include "daemon/trace_export.h"
#include "daemon/trace_request.h"
#include "midden/options.h"

#define TOP 20u        /* with names */
#define SNAPSHOT 50u
#define FRAMES_MOST 800u /* of at most 256 bytes: what fits into an answer */

static json_t *reply_status(mid_status status)
{
    if (status != MID_OK)
        return mid_reply_error(status, NULL);
    json_t *o = json_object();
    return mid_json_whole(o, mid_json_put(o, "ok", json_true()));
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

json_t *mid_reply_trace(mid_heap *heap, uint64_t stop_wait, const char *text)
{
    mid_trace_request request;
    if (!mid_trace_request_parse(text, &request))
        return mid_reply_error(MID_EINVAL, "trace takes on [BYTES|all [FRAMES]], off, top [domain|type|site|stack|frame] or snapshot");
    switch (request.ask) {
    case MID_TRACE_ON:
        return with_world_stopped(heap, stop_wait, &request.options);
    case MID_TRACE_OFF:
        return with_world_stopped(heap, stop_wait, NULL);
    case MID_TRACE_TOP:
        return look(heap, request.by, TOP, true);
    default:
        return look(heap, MID_TRACE_BY_STACK, SNAPSHOT, false);
    }
}
