/* tests/fuzz/target_control.c: the control protocol's bytes. */
#include "targets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/reply.h"
#include "daemon/request.h"
#include "daemon/trace_request.h"

/* What was understood, as a number that depends on all of it and its order. */
typedef struct heard {
    uint64_t hash, count;
    bool sets;
} heard;

static void mix(heard *h, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        h->hash = (h->hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
}

static void set(const char *said)
{
    mid_options options, before;
    mid_options_init(&options);
    before = options;
    json_t *answer = mid_reply_set(&options, said);
    NEED(answer != NULL);
    char *line = json_dumps(answer, 0);
    NEED(line != NULL && strchr(line, '\n') == NULL);
    if (!json_is_true(json_object_get(answer, "ok")))
        NEED(memcmp(&options, &before, sizeof before) == 0);
    NEED(options.heap_limit == before.heap_limit && options.deep == before.deep);
    free(line);
    json_decref(answer);
}

/* What is accepted is in range and the same when it is said in numbers; what is refused changes nothing. */
static void trace(const char *said)
{
    static const char *const by[] = {"domain", "type", "site", "stack", "frame"};
    mid_trace_request request, again;
    char line[80];
    memset(&request, 0xee, sizeof request);
    again = request;
    if (!mid_trace_request_parse(said, &request)) {
        NEED(memcmp(&request, &again, sizeof request) == 0);
        return;
    }
    NEED(request.ask <= MID_TRACE_SNAPSHOT && request.by < sizeof by / sizeof *by);
    const mid_trace_options *o = &request.options;
    if (request.ask == MID_TRACE_ON && o->sample == 0)
        snprintf(line, sizeof line, "on all %u", o->frames);
    else if (request.ask == MID_TRACE_ON)
        snprintf(line, sizeof line, " on\t%" PRIu64 "  %u ", o->sample, o->frames);
    else
        snprintf(line, sizeof line, "%s%s", request.ask == MID_TRACE_OFF ? "off" : request.ask == MID_TRACE_TOP ? "top " : "snapshot",
                 request.ask == MID_TRACE_TOP ? by[request.by] : "");
    NEED(mid_trace_request_parse(line, &again) && again.ask == request.ask && again.by == request.by);
    NEED(again.options.sample == o->sample && again.options.frames == o->frames);
    NEED(o->sample <= INT64_MAX && (request.ask == MID_TRACE_ON) == (o->frames != 0));
}

static void hear(heard *h, mid_inbox *inbox)
{
    mid_request request = {0};
    mid_status status = MID_OK;
    const char *what = NULL;
    while (mid_inbox_next(inbox, &request, &status, &what)) {
        h->count++;
        mix(h, &status, sizeof status);
        if (status != MID_OK) {
            NEED((status == MID_EINVAL || status == MID_ESIZE) && what != NULL);
            mix(h, what, strlen(what));
            continue;
        }
        NEED(request.kind < MID_REQUEST_COUNT && strlen(request.argument) <= MID_LINE_MOST);
        mix(h, &request.kind, sizeof request.kind);
        mix(h, &request.count, sizeof request.count);
        mix(h, request.argument, strlen(request.argument));
        if (request.kind == MID_ASK_SET && h->sets)
            set(request.argument);
        if (request.kind == MID_ASK_TRACE)
            trace(request.argument);
    }
    NEED(!mid_inbox_ready(inbox));
}

/* `pieces`: where to cut, a byte for each piece; null: nowhere but at every byte. */
static heard all(const uint8_t *data, size_t size, const uint8_t *pieces, size_t count)
{
    static mid_inbox inbox;
    heard h = {.hash = 0xcbf29ce484222325u, .sets = pieces != NULL};
    memset(&inbox, 0, sizeof inbox);
    for (size_t at = 0, piece = 0; at < size; piece++) {
        size_t length = pieces == NULL ? 1 : (size_t)pieces[piece % count] * 19 + 1;
        if (length > size - at)
            length = size - at;
        size_t taken = mid_inbox_take(&inbox, (const char *)data + at, length);
        NEED(taken <= length && inbox.length <= sizeof inbox.bytes);
        NEED(taken != 0); /* all that is there has been heard, so there is room */
        hear(&h, &inbox);
        at += taken;
    }
    return h;
}

/* The first byte says how many of the following are sizes of pieces. */
void fuzz_control(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    size_t count = data[0] % 16 + 1;
    if (size < count + 1)
        return;
    const uint8_t *pieces = data + 1, *bytes = pieces + count;
    size -= count + 1;
    heard once = all(bytes, size, pieces, count), again = all(bytes, size, NULL, 0);
    NEED(once.hash == again.hash && once.count == again.count);
}
