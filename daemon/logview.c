/* daemon/logview.c: /log.json, the daemon's decisions, and /trace.json, the same as trace events.
 *
 * A decision is a run of slices; what is known of its length is the processor time of them all. So that is a slice's length on the
 * timeline, and `slices` among its arguments says how often it paused in between. Each action has a track of its own: runs of two
 * actions can be under way by turns. */
#include <inttypes.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/http.h"
#include "daemon/log.h"

#define NEWEST 4096u

static int add(const char *text, size_t length, void *out)
{
    return evbuffer_add(out, text, length);
}

/* Append `value`, behind a comma if it is not the first, and take it away. Null: no memory. */
static mid_told put(struct evbuffer *out, bool *more, json_t *value)
{
    bool good = value != NULL && (!*more || evbuffer_add(out, ",", 1) == 0) && json_dump_callback(value, add, out, JSON_COMPACT) == 0;
    json_decref(value);
    *more = true;
    return good ? MID_TOLD_MORE : MID_TOLD_FAILED;
}

/* The newest decisions, by number. Those that come while they are told are not waited for, and those that went meanwhile are gone. */
typedef struct pages {
    uint64_t at, end;
    bool begun, more; /* more: something was put already */
} pages;

static void begin(pages *p, mid_log *log)
{
    p->end = mid_log_end(log);
    p->at = p->end > NEWEST ? p->end - NEWEST : 0;
    p->begun = true;
}

static bool next(pages *p, mid_log *log, mid_decision *into)
{
    return p->at < p->end && mid_log_next(log, &p->at, into) && p->at <= p->end;
}

static mid_told tell_log(const mid_view *view, void *state, struct evbuffer *out)
{
    pages *p = state;
    mid_decision d;
    mid_log *log = mid_daemon_inside(view->daemon).log;
    if (!p->begun) {
        begin(p, log);
        return evbuffer_add_printf(out, "{\"now\":%" PRIu64 ",\"decisions\":[", mid_daemon_clock()) > 0 ? MID_TOLD_MORE : MID_TOLD_FAILED;
    }
    if (next(p, log, &d))
        return put(out, &p->more, mid_json_decision(&d));
    return evbuffer_add(out, "]}", 2) == 0 ? MID_TOLD_ALL : MID_TOLD_FAILED;
}

const mid_story mid_story_log = {sizeof(pages), tell_log, NULL};

/* --- the timeline (Chrome's trace event format) ------------------------------------------------------------------------ */

static json_t *counter(const char *name, uint64_t at, json_t *values)
{
    return json_pack("{ss ss si si sI so}", "name", name, "ph", "C", "pid", (int)getpid(), "tid", 0, "ts", (json_int_t)at,
                     "args", values);
}

static json_t *slice(const mid_decision *d, uint64_t length)
{
    return json_pack("{so ss ss si si sI sI so}", "name", json_sprintf("%s: %s", mid_action_name(d->action), mid_trigger_name(d->trigger)),
                     "cat", "midden", "ph", "X", "pid", (int)getpid(), "tid", (int)d->action, "ts", (json_int_t)d->at_micros, "dur",
                     (json_int_t)length, "args", mid_json_decision(d));
}

static mid_told put_slice(struct evbuffer *out, bool *more, const mid_decision *d)
{
    uint64_t length = d->took_micros != 0 ? d->took_micros : 1;
    mid_told told = put(out, more, slice(d, length));
    if (told == MID_TOLD_FAILED || d->pools_after == 0)
        return told;
    return put(out, more, counter("pools after an action", d->at_micros + length, json_pack("{sI}", "pools", (json_int_t)d->pools_after)));
}

static json_t *name_of(const char *what, int track, const char *name)
{
    return json_pack("{ss ss si si s{ss}}", "name", what, "ph", "M", "pid", (int)getpid(), "tid", track, "args", "name", name);
}

static mid_told put_names(struct evbuffer *out, bool *more)
{
    mid_told told = put(out, more, name_of("process_name", 0, "midden"));
    for (int action = MID_ACT_DRAIN; told == MID_TOLD_MORE && mid_action_name((mid_action)action)[0] != '?'; action++)
        told = put(out, more, name_of("thread_name", action, mid_action_name((mid_action)action)));
    return told;
}

typedef struct timeline {
    pages pages;
    uint64_t sampled; /* when the last sample was taken that is told: they are thinned out meanwhile */
} timeline;

/* As a curve of its own: it is no number of bytes. */
static mid_told put_sample(struct evbuffer *out, bool *more, const mid_sample *s)
{
    mid_told told = put(out, more, counter("bytes", s->at, json_pack("{sI sI sI sI}", "committed", (json_int_t)s->committed, "pools",
                                           (json_int_t)s->pools, "empty", (json_int_t)s->empty, "live", (json_int_t)s->live)));
    return told == MID_TOLD_FAILED ? told : put(out, more, counter("pressure", s->at, json_pack("{si}", "level", (int)s->level)));
}

static mid_told tell_trace(const mid_view *view, void *state, struct evbuffer *out)
{
    timeline *t = state;
    mid_decision d;
    mid_log *log = mid_daemon_inside(view->daemon).log;
    if (!t->pages.begun) {
        begin(&t->pages, log);
        if (evbuffer_add_printf(out, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[") < 0)
            return MID_TOLD_FAILED;
        return put_names(out, &t->pages.more);
    }
    if (next(&t->pages, log, &d))
        return put_slice(out, &t->pages.more, &d);
    const mid_sample *s = mid_history_after(view->history, t->sampled);
    if (s == NULL)
        return evbuffer_add(out, "]}", 2) == 0 ? MID_TOLD_ALL : MID_TOLD_FAILED;
    t->sampled = s->at;
    return put_sample(out, &t->pages.more, s);
}

const mid_story mid_story_trace = {sizeof(timeline), tell_trace, NULL};
