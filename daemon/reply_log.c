/* daemon/reply_log.c: the newest decisions, in words and figures. */
#include <stdlib.h>

#include "daemon/reply.h"
#include "daemon/log.h"

#define LOG_MOST 400u /* what fits into an answer */

json_t *mid_reply_log(mid_daemon *daemon, uint64_t count)
{
    size_t room = count < LOG_MOST ? (size_t)count : LOG_MOST;
    mid_decision *log = calloc(room + 1, sizeof *log);
    json_t *o = json_object(), *list = json_array();
    bool good = log != NULL;
    size_t found = !good ? 0 : mid_daemon_log(daemon, log, room);
    for (size_t i = 0; i < found; i++)
        good &= mid_json_append(list, mid_json_decision(&log[i]));
    free(log);
    good &= mid_json_put(o, "ok", json_true());
    good &= mid_json_put(o, "log", list);
    return mid_json_whole(o, good);
}
