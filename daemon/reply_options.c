/* daemon/reply_options.c: which options may change while the heap lives; help. */
#include <string.h>

#include "daemon/reply.h"

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
    json_t *o = mid_reply_error(MID_EOPTION, why);
    return mid_json_whole(o, o != NULL && mid_json_put(o, "option", mid_json_text(item, length)));
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
    bool good = true;
    for (unsigned row = 0; mid_options_describe(row, &info); row++)
        if (may_change(info.name, strlen(info.name)))
            good &= mid_json_put_number(o, info.name, mid_options_value(options, row));
    return mid_json_whole(o, good);
}

json_t *mid_reply_set(mid_options *options, const char *said)
{
    size_t at = 0;
    mid_options chosen = *options;
    json_t *refused = refuse_fixed(said);
    if (refused != NULL)
        return refused;
    if (mid_options_parse(&chosen, said, &at) != MID_OK)
        return refuse(said + at, strcspn(said + at, ","), mid_status_text(MID_EOPTION));
    if (chosen.frag_stop > chosen.frag_start || chosen.waiting_stop > chosen.waiting_start)
        return mid_reply_error(MID_EINVAL, "it would stop above where it starts");
    json_t *o = json_object();
    bool good = mid_json_put(o, "ok", json_true());
    good &= mid_json_put(o, "options", options_now(&chosen));
    if (good)
        *options = chosen;
    return mid_json_whole(o, good);
}

json_t *mid_reply_help(const mid_options *options)
{
    const char *word, *argument, *meaning;
    json_t *o = json_object(), *list = json_array();
    bool good = mid_json_put(o, "ok", json_true());
    for (unsigned kind = 0; (word = mid_request_word(kind, &argument, &meaning)) != NULL; kind++)
        good &= mid_json_append(list, json_pack("{s:s, s:s, s:s}", "request", word, "argument", argument, "meaning", meaning));
    good &= mid_json_put(o, "requests", list);
    good &= mid_json_put(o, "options", options_now(options));
    return mid_json_whole(o, good);
}
