/* daemon/json.h: making answers with jansson, in which one failure of memory fails the whole. */
#ifndef MIDDEN_DAEMON_JSON_H
#define MIDDEN_DAEMON_JSON_H

#include <event2/buffer.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Puts `value` there, which is then the object's or array's also if that fails. */
static inline bool mid_put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}
static inline bool mid_append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0;
}
static inline json_t *mid_number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}
static inline json_t *mid_address_text(uintptr_t at)
{
    return json_sprintf("%llx", (unsigned long long)at); /* a number of JavaScript's would be rounded */
}

static int mid_json_out_(const char *text, size_t length, void *out)
{
    return evbuffer_add(out, text, length);
}

/* Takes `root` away; null, or what could not be made whole: false. */
static inline bool mid_json_write(json_t *root, bool good, struct evbuffer *out)
{
    good = good && root != NULL && json_dump_callback(root, mid_json_out_, out, JSON_COMPACT) == 0;
    json_decref(root);
    return good;
}

#endif
