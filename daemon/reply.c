/* daemon/reply.c: what all answers are made of; errors, and what came of a goal. */
#include "daemon/reply.h"

#include <stdlib.h>
#include <string.h>

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

json_t *mid_json_whole(json_t *object, int failed)
{
    if (failed == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *mid_reply_error(mid_status status, const char *what)
{
    json_t *o = json_object();
    int failed = json_object_set_new(o, "ok", json_false());
    failed |= json_object_set_new(o, "error", json_string(mid_status_name(status)));
    failed |= json_object_set_new(o, "text", json_string(what != NULL ? what : mid_status_text(status)));
    return mid_json_whole(o, failed);
}

json_t *mid_reply_goal(const char *word, const mid_goal *goal, uint64_t committed)
{
    const mid_decision *sum = &goal->sum;
    if (goal->status != MID_OK) {
        json_t *error = mid_reply_error(goal->status, NULL);
        if (error != NULL && sum->late[0] != 0)
            json_object_set_new(error, "late", mid_json_text(sum->late, strlen(sum->late)));
        return error;
    }
    json_t *o = json_object();
    int failed = json_object_set_new(o, "ok", json_true());
    failed |= json_object_set_new(o, "done", json_string(word));
    MID_JSON_PUT("objects", sum->objects);
    MID_JSON_PUT("bytes", sum->bytes);
    MID_JSON_PUT("slices", sum->slices);
    MID_JSON_PUT("took_micros", sum->took_micros);
    MID_JSON_PUT("longest_micros", sum->longest_micros);
    MID_JSON_PUT("waited_micros", sum->waited_micros);
    MID_JSON_PUT("committed_before", goal->committed);
    MID_JSON_PUT("committed_after", committed);
    if (goal->action == MID_ACT_COMPACT) {
        MID_JSON_PUT("pools_before", sum->pools_before);
        MID_JSON_PUT("pools_after", sum->pools_after);
        MID_JSON_PUT("pools_pinned", sum->pools_pinned);
    }
    return mid_json_whole(o, failed);
}
