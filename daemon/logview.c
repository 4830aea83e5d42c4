/* daemon/logview.c: /log.json, the daemon's decisions, and /trace.json, the same as trace events.
 *
 * A decision is a run of slices; what is known of its length is the processor time of them all. So that is a slice's length on the
 * timeline, and `slices` among its arguments says how often it paused in between. Each action has a track of its own: runs of two
 * actions can be under way by turns. */
#include <stdlib.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/http.h"
#include "daemon/log.h"

#define NEWEST 4096u

/* The newest decisions, to be freed; null: no memory. */
static mid_decision *read_log(const mid_view *view, size_t *count)
{
    size_t room = mid_service_options(view->heap)->log_entries;
    room = room < NEWEST ? room : NEWEST;
    mid_decision *all = malloc(room * sizeof *all);
    *count = all == NULL ? 0 : mid_daemon_log(view->daemon, all, room);
    return all;
}

static int add(const char *text, size_t length, void *out)
{
    return evbuffer_add(out, text, length);
}

bool mid_view_write(json_t *root, bool good, struct evbuffer *out)
{
    good = good && root != NULL && json_dump_callback(root, add, out, JSON_COMPACT) == 0;
    json_decref(root);
    return good;
}

bool mid_view_log(const mid_view *view, struct evbuffer *out)
{
    size_t count;
    mid_decision *log = read_log(view, &count);
    json_t *root = json_object(), *all = json_array();
    bool good = log != NULL && mid_json_put_number(root, "now", mid_daemon_clock());
    for (size_t i = 0; i < count; i++)
        good = good && mid_json_append(all, mid_json_decision(&log[i]));
    free(log);
    good = mid_json_put(root, "decisions", all) && good;
    return mid_view_write(root, good, out);
}

/* --- the timeline (Chrome's trace event format) ------------------------------------------------------------------------ */

static bool put_counter(json_t *events, const char *name, uint64_t at, json_t *values)
{
    return mid_json_append(events, json_pack("{ss ss si si sI so}", "name", name, "ph", "C", "pid", (int)getpid(), "tid", 0, "ts", (json_int_t)at,
                                        "args", values));
}

static bool put_slice(json_t *events, const mid_decision *d)
{
    uint64_t length = d->took_micros != 0 ? d->took_micros : 1;
    return mid_json_append(events, json_pack("{so ss ss si si sI sI so}", "name",
                                        json_sprintf("%s: %s", mid_action_name(d->action), mid_trigger_name(d->trigger)), "cat", "midden",
                                        "ph", "X", "pid", (int)getpid(), "tid", (int)d->action, "ts",
                                        (json_int_t)d->at_micros, "dur", (json_int_t)length, "args", mid_json_decision(d))) &&
           (d->pools_after == 0 || put_counter(events, "pools after an action", d->at_micros + length, json_pack("{sI}", "pools", (json_int_t)d->pools_after)));
}

static bool put_name(json_t *events, const char *what, int track, const char *name)
{
    return mid_json_append(events, json_pack("{ss ss si si s{ss}}", "name", what, "ph", "M", "pid", (int)getpid(), "tid", track, "args", "name", name));
}

bool mid_view_trace(const mid_view *view, struct evbuffer *out)
{
    size_t count;
    mid_decision *log = read_log(view, &count);
    json_t *root = json_object(), *events = json_array();
    bool good = log != NULL && put_name(events, "process_name", 0, "midden");
    for (int action = MID_ACT_DRAIN; mid_action_name((mid_action)action)[0] != '?'; action++)
        good = good && put_name(events, "thread_name", action, mid_action_name((mid_action)action));
    for (size_t i = 0; i < count; i++)
        good = good && put_slice(events, &log[i]);
    for (unsigned i = 0; i < view->history->count; i++) {
        const mid_sample *s = &view->history->samples[i];
        good = good && put_counter(events, "bytes", s->at, json_pack("{sI sI sI sI}", "committed", (json_int_t)s->committed, "pools",
                                   (json_int_t)s->pools, "empty", (json_int_t)s->empty, "live", (json_int_t)s->live));
    }
    free(log);
    good = mid_json_put(root, "traceEvents", events) && mid_json_put(root, "displayTimeUnit", json_string("ms")) && good;
    return mid_view_write(root, good, out);
}
