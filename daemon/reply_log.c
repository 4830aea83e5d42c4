/* daemon/reply_log.c: the newest decisions, in words and figures. */
#include <stdlib.h>
#include <string.h>

#include "daemon/reply.h"
#include "daemon/log.h"

#define LOG_MOST 400u /* what fits into an answer */

static json_t *decision(const mid_decision *d)
{
    char line[512];
    mid_decision_text(d, line, sizeof line);
    json_t *o = json_object();
    int failed = 0;
    MID_JSON_PUT("at_micros", d->at_micros);
    failed |= json_object_set_new(o, "action", json_string(mid_action_name(d->action)));
    failed |= json_object_set_new(o, "trigger", json_string(mid_trigger_name(d->trigger)));
    MID_JSON_PUT("value", d->value);
    MID_JSON_PUT("threshold", d->threshold);
    MID_JSON_PUT("budget_micros", d->budget_micros);
    failed |= json_object_set_new(o, "status", json_string(mid_status_name(d->status)));
    MID_JSON_PUT("objects", d->objects);
    MID_JSON_PUT("bytes", d->bytes);
    MID_JSON_PUT("pools_before", d->pools_before);
    MID_JSON_PUT("pools_after", d->pools_after);
    MID_JSON_PUT("pools_pinned", d->pools_pinned);
    MID_JSON_PUT("took_micros", d->took_micros);
    MID_JSON_PUT("waited_micros", d->waited_micros);
    MID_JSON_PUT("slices", d->slices);
    MID_JSON_PUT("longest_micros", d->longest_micros);
    failed |= json_object_set_new(o, "late", mid_json_text(d->late, strlen(d->late)));
    failed |= json_object_set_new(o, "text", mid_json_text(line, strlen(line)));
    return mid_json_whole(o, failed);
}

json_t *mid_reply_log(mid_daemon *daemon, uint64_t count)
{
    size_t room = count < LOG_MOST ? (size_t)count : LOG_MOST;
    mid_decision *log = calloc(room + 1, sizeof *log);
    json_t *o = json_object(), *list = json_array();
    int failed = log == NULL;
    size_t found = failed ? 0 : mid_daemon_log(daemon, log, room);
    for (size_t i = 0; i < found; i++)
        failed |= json_array_append_new(list, decision(&log[i]));
    free(log);
    failed |= json_object_set_new(o, "ok", json_true());
    failed |= json_object_set_new(o, "log", list);
    return mid_json_whole(o, failed);
}
