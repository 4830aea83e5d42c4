/* daemon/reply.c: what all answers are made of; errors, and what came of a goal. */
#include "daemon/reply.h"

#include <string.h>

json_t *mid_reply_error(mid_status status, const char *what)
{
    json_t *o = json_object();
    bool good = mid_json_put(o, "ok", json_false());
    good &= mid_json_put(o, "error", json_string(mid_status_name(status)));
    good &= mid_json_put(o, "text", json_string(what != NULL ? what : mid_status_text(status)));
    return mid_json_whole(o, good);
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
    bool good = mid_json_put(o, "ok", json_true());
    good &= mid_json_put(o, "done", json_string(word));
    good &= mid_json_put_number(o, "objects", sum->objects);
    good &= mid_json_put_number(o, "bytes", sum->bytes);
    good &= mid_json_put_number(o, "slices", sum->slices);
    good &= mid_json_put_number(o, "took_micros", sum->took_micros);
    good &= mid_json_put_number(o, "longest_micros", sum->longest_micros);
    good &= mid_json_put_number(o, "waited_micros", sum->waited_micros);
    good &= mid_json_put_number(o, "committed_before", goal->committed);
    good &= mid_json_put_number(o, "committed_after", committed);
    if (goal->action == MID_ACT_COMPACT) {
        good &= mid_json_put_number(o, "pools_before", sum->pools_before);
        good &= mid_json_put_number(o, "pools_after", sum->pools_after);
        good &= mid_json_put_number(o, "pools_pinned", sum->pools_pinned);
    }
    return mid_json_whole(o, good);
}
