/* daemon/json.h: making answers with jansson, in which one failure of memory fails the whole: for HTTP and the control socket. */
#ifndef MIDDEN_DAEMON_JSON_H
#define MIDDEN_DAEMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "midden/daemon.h"

/* Puts `value` there, which is then the object's or array's also if that fails. False: no memory, or either is null. */
static inline bool mid_json_put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}
static inline bool mid_json_append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0;
}
/* What is above 2^63 - 1 is written as that. */
static inline json_t *mid_json_number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}
static inline bool mid_json_put_number(json_t *object, const char *key, uint64_t value)
{
    return mid_json_put(object, key, mid_json_number(value));
}
static inline json_t *mid_json_address(uintptr_t at)
{
    return json_sprintf("%llx", (unsigned long long)at); /* a number of JavaScript's would be rounded */
}
/* Takes `value` over; null if what it was to have could not all be put into it. */
static inline json_t *mid_json_whole(json_t *value, bool good)
{
    if (good)
        return value;
    json_decref(value);
    return NULL;
}

/* json.c: text that may be no UTF-8, such as a thread's name; then the bytes above 127 become question marks. */
json_t *mid_json_text(const char *text, size_t length);

/* describe.c: an entry of the log, and each figure of mid_stats by its name. Null: no memory. */
json_t *mid_json_decision(const mid_decision *decision);
json_t *mid_json_figures(mid_heap *heap);

#endif
