/* daemon/answer.c: errors, the log, options, help, and what came of a goal. */
#include "daemon/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

json_t *mid_json_number(uint64_t number)
{
    return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

json_t *mid_json_text(const char *text, size_t length)
{
    json_t *made = json_stringn(text, length);
    if (made != NULL)
        return made;
    char *plain = malloc(length + 1);
    if (plain == NULL)
        return NULL;
    for (size_t i = 0; i < length; i++)
        plain[i] = (char)((unsigned char)text[i] < 128 ? text[i] : '?');
    made = json_stringn(plain, length);
    free(plain);
    return made;
}

static json_t *text(const char *of)
{
    return mid_json_text(of, strlen(of));
}

/* A null value makes the set fail; so an object that lacks something is none. */
static json_t *whole(json_t *object, int failed)
{
    if (failed == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *mid_answer_error(mid_status status, const char *what)
{
    json_t *o = json_object();
    int failed = json_object_set_new(o, "ok", json_false());
    failed |= json_object_set_new(o, "error", json_string(mid_status_name(status)));
    failed |= json_object_set_new(o, "text", text(what != NULL ? what : mid_status_text(status)));
    return whole(o, failed);
}

/* --- goals ----------------------------------------------------------------------------------------------------------- */

json_t *mid_answer_goal(const char *word, const mid_goal *goal, uint64_t committed)
{
    const mid_decision *sum = &goal->sum;
    if (goal->status != MID_OK) {
        json_t *error = mid_answer_error(goal->status, NULL);
        if (error != NULL && sum->late[0] != 0)
            json_object_set_new(error, "late", text(sum->late));
        return error;
    }
    json_t *o = json_object();
    int failed = json_object_set_new(o, "ok", json_true());
    failed |= json_object_set_new(o, "done", json_string(word));
#define PUT(name, value) failed |= json_object_set_new(o, name, mid_json_number(value))
    PUT("objects", sum->objects);
    PUT("bytes", sum->bytes);
    PUT("slices", sum->slices);
    PUT("took_micros", sum->took_micros);
    PUT("longest_micros", sum->longest_micros);
    PUT("waited_micros", sum->waited_micros);
    PUT("committed_before", goal->committed);
    PUT("committed_after", committed);
    if (goal->action == MID_ACT_COMPACT) {
        PUT("pools_before", sum->pools_before);
        PUT("pools_after", sum->pools_after);
        PUT("pools_pinned", sum->pools_pinned);
    }
    return whole(o, failed);
}

/* --- the log --------------------------------------------------------------------------------------------------------- */

static json_t *decision(const mid_decision *d)
{
    char line[512];
    mid_decision_text(d, line, sizeof line);
    json_t *o = json_object();
    int failed = 0;
    PUT("at_micros", d->at_micros);
    failed |= json_object_set_new(o, "action", json_string(mid_action_name(d->action)));
    failed |= json_object_set_new(o, "trigger", json_string(mid_trigger_name(d->trigger)));
    PUT("value", d->value);
    PUT("threshold", d->threshold);
    PUT("budget_micros", d->budget_micros);
    failed |= json_object_set_new(o, "status", json_string(mid_status_name(d->status)));
    PUT("objects", d->objects);
    PUT("bytes", d->bytes);
    PUT("pools_before", d->pools_before);
    PUT("pools_after", d->pools_after);
    PUT("pools_pinned", d->pools_pinned);
    PUT("took_micros", d->took_micros);
    PUT("waited_micros", d->waited_micros);
    PUT("slices", d->slices);
    PUT("longest_micros", d->longest_micros);
    failed |= json_object_set_new(o, "late", text(d->late));
    failed |= json_object_set_new(o, "text", text(line));
    return whole(o, failed);
}

json_t *mid_answer_log(mid_daemon *daemon, uint64_t count)
{
    size_t room = count < 1u << 20 ? (size_t)count : 1u << 20; /* as many as an option can ask for */
    mid_decision *log = calloc(room + 1, sizeof *log);
    json_t *o = json_object(), *list = json_array();
    int failed = log == NULL;
    size_t found = failed ? 0 : mid_daemon_log(daemon, log, room);
    for (size_t i = 0; i < found; i++)
        failed |= json_array_append_new(list, decision(&log[i]));
    free(log);
    failed |= json_object_set_new(o, "ok", json_true());
    failed |= json_object_set_new(o, "log", list);
    return whole(o, failed);
}

/* --- options --------------------------------------------------------------------------------------------------------- */

/* Read by the rules alone, at each look. What the heap or the allocator read was fixed when the heap was opened. */
static const char *const changeable[] = {"heartbeat", "slice", "share", "stop-wait", "growth-min", "growth", "collect-stop",
                                         "waiting-start", "waiting-stop", "frag-start", "frag-stop", "waste-min", "decay", "idle"};

static bool may_change(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof changeable / sizeof *changeable; i++)
        if (strlen(changeable[i]) == length && memcmp(changeable[i], name, length) == 0)
            return true;
    return false;
}

static bool is_option(const char *name, size_t length)
{
    mid_option_info info;
    for (unsigned row = 0; mid_options_describe(row, &info); row++)
        if (strlen(info.name) == length && memcmp(info.name, name, length) == 0)
            return true;
    return false;
}

static json_t *refuse(const char *item, size_t length, const char *why)
{
    json_t *o = mid_answer_error(MID_EOPTION, why);
    return whole(o, o == NULL ? -1 : json_object_set_new(o, "option", mid_json_text(item, length)));
}

/* Null: each item that names an option names one that may change. */
static json_t *refuse_fixed(const char *at)
{
    for (size_t length; *at != 0; at += length + (at[length] == ',')) {
        length = strcspn(at, ",");
        const char *name = at + strspn(at, " \t");
        size_t name_length = strcspn(name, "=, \t");
        if (is_option(name, name_length) && !may_change(name, name_length))
            return refuse(name, name_length, "is the heap's, and was fixed when it was opened");
    }
    return NULL;
}

static json_t *options_now(const mid_options *options)
{
    mid_option_info info;
    json_t *o = json_object();
    int failed = 0;
    for (unsigned row = 0; mid_options_describe(row, &info); row++)
        if (may_change(info.name, strlen(info.name)))
            PUT(info.name, mid_options_value(options, row));
    return whole(o, failed);
}

json_t *mid_answer_set(mid_options *options, const char *said)
{
    size_t at = 0;
    mid_options chosen = *options;
    json_t *refused = refuse_fixed(said);
    if (refused != NULL)
        return refused;
    if (mid_options_parse(&chosen, said, &at) != MID_OK)
        return refuse(said + at, strcspn(said + at, ","), mid_status_text(MID_EOPTION));
    if (chosen.frag_stop > chosen.frag_start || chosen.waiting_stop > chosen.waiting_start)
        return mid_answer_error(MID_EINVAL, "it would stop above where it starts");
    json_t *o = json_object();
    int failed = json_object_set_new(o, "ok", json_true());
    failed |= json_object_set_new(o, "options", options_now(&chosen));
    if (failed == 0)
        *options = chosen;
    return whole(o, failed);
}

json_t *mid_answer_help(const mid_options *options)
{
    const char *word, *argument, *meaning;
    json_t *o = json_object(), *list = json_array();
    int failed = json_object_set_new(o, "ok", json_true());
    for (unsigned kind = 0; (word = mid_request_word(kind, &argument, &meaning)) != NULL; kind++)
        failed |= json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "request", word, "argument", argument, "meaning", meaning));
    failed |= json_object_set_new(o, "requests", list);
    failed |= json_object_set_new(o, "options", options_now(options));
    return whole(o, failed);
}
