/* daemon/logview.c: /log.json, the daemon's decisions, and /trace.json, the same as trace events.
 *
 * A decision is a run of slices; what is known of its length is the processor time of them all. So that is a slice's length on the
 * timeline, and `slices` among its arguments says how often it paused in between. Each action has a track of its own: runs of two
 * actions can be under way by turns. */
#include <stdlib.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/http.h"
#include "daemon/json.h"
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

/* A thread's name is any bytes at all. */
static json_t *text(const char *bytes)
{
    json_t *as_is = json_string(bytes);
    if (as_is != NULL)
        return as_is;
    char plain[400];
    size_t i = 0;
    for (; bytes[i] != 0 && i + 1 < sizeof plain; i++)
        plain[i] = (unsigned char)bytes[i] < 0x80 ? bytes[i] : '?';
    plain[i] = 0;
    return json_string(plain);
}

/* What an entry of the log and a slice of the timeline both say. */
static json_t *details(const mid_decision *d)
{
    json_t *all = json_pack("{ss ss sI sI sI sI sI sI sI sI sI sI}", "trigger", mid_trigger_name(d->trigger), "status",
                            mid_status_name(d->status), "value", (json_int_t)d->value, "threshold", (json_int_t)d->threshold, "objects",
                            (json_int_t)d->objects, "bytes", (json_int_t)d->bytes, "pools_before", (json_int_t)d->pools_before,
                            "pools_after", (json_int_t)d->pools_after, "pools_pinned", (json_int_t)d->pools_pinned, "slices",
                            (json_int_t)d->slices, "longest_micros", (json_int_t)d->longest_micros, "waited_micros",
                            (json_int_t)d->waited_micros);
    if (all != NULL && mid_put(all, "late", text(d->late)))
        return all;
    json_decref(all);
    return NULL;
}

static json_t *entry(const mid_decision *d)
{
    char line[400];
    json_t *all = details(d);
    mid_decision_text(d, line, sizeof line);
    if (all != NULL && mid_put(all, "at", mid_number(d->at_micros)) && mid_put(all, "action", json_string(mid_action_name(d->action))) &&
        mid_put(all, "took_micros", mid_number(d->took_micros)) && mid_put(all, "text", text(line)))
        return all;
    json_decref(all);
    return NULL;
}

bool mid_view_log(const mid_view *view, struct evbuffer *out)
{
    size_t count;
    mid_decision *log = read_log(view, &count);
    json_t *root = json_object(), *all = json_array();
    bool good = log != NULL && mid_put(root, "now", mid_number(mid_daemon_clock()));
    for (size_t i = 0; i < count; i++)
        good = good && mid_append(all, entry(&log[i]));
    free(log);
    good = mid_put(root, "decisions", all) && good;
    return mid_json_write(root, good, out);
}

/* --- the timeline (Chrome's trace event format) ------------------------------------------------------------------------ */

static bool put_counter(json_t *events, const char *name, uint64_t at, json_t *values)
{
    return mid_append(events, json_pack("{ss ss si si sI so}", "name", name, "ph", "C", "pid", (int)getpid(), "tid", 0, "ts", (json_int_t)at,
                                        "args", values));
}

static bool put_slice(json_t *events, const mid_decision *d)
{
    uint64_t length = d->took_micros != 0 ? d->took_micros : 1;
    return mid_append(events, json_pack("{so ss ss si si sI sI so}", "name",
                                        json_sprintf("%s: %s", mid_action_name(d->action), mid_trigger_name(d->trigger)), "cat", "midden",
                                        "ph", "X", "pid", (int)getpid(), "tid", (int)d->action, "ts",
                                        (json_int_t)d->at_micros, "dur", (json_int_t)length, "args", details(d))) &&
           (d->pools_after == 0 || put_counter(events, "pools after an action", d->at_micros + length, json_pack("{sI}", "pools", (json_int_t)d->pools_after)));
}

static bool put_name(json_t *events, const char *what, int track, const char *name)
{
    return mid_append(events, json_pack("{ss ss si si s{ss}}", "name", what, "ph", "M", "pid", (int)getpid(), "tid", track, "args", "name", name));
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
    good = mid_put(root, "traceEvents", events) && mid_put(root, "displayTimeUnit", json_string("ms")) && good;
    return mid_json_write(root, good, out);
}
