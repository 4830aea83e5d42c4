/* daemon/describe.c: decisions and figures as JSON (json.h), the same by HTTP and by the control socket. */
#include <string.h>

#include "daemon/json.h"
#include "daemon/log.h"
#include "daemon/metrics.h"

#define TEXT_MOST 512

json_t *mid_json_decision(const mid_decision *d)
{
    char line[TEXT_MOST];
    mid_decision_text(d, line, sizeof line);
    json_t *o = json_object();
    bool good = mid_json_put_number(o, "at_micros", d->at_micros);
    good &= mid_json_put(o, "action", json_string(mid_action_name(d->action)));
    good &= mid_json_put(o, "trigger", json_string(mid_trigger_name(d->trigger)));
    good &= mid_json_put(o, "status", json_string(mid_status_name(d->status)));
    good &= mid_json_put_number(o, "value", d->value);
    good &= mid_json_put_number(o, "threshold", d->threshold);
    good &= mid_json_put_number(o, "budget_micros", d->budget_micros);
    good &= mid_json_put_number(o, "objects", d->objects);
    good &= mid_json_put_number(o, "bytes", d->bytes);
    good &= mid_json_put_number(o, "pools_before", d->pools_before);
    good &= mid_json_put_number(o, "pools_after", d->pools_after);
    good &= mid_json_put_number(o, "pools_pinned", d->pools_pinned);
    good &= mid_json_put_number(o, "took_micros", d->took_micros);
    good &= mid_json_put_number(o, "waited_micros", d->waited_micros);
    good &= mid_json_put_number(o, "slices", d->slices);
    good &= mid_json_put_number(o, "longest_micros", d->longest_micros);
    good &= mid_json_put(o, "late", mid_json_text(d->late, strlen(d->late)));
    good &= mid_json_put(o, "text", mid_json_text(line, strlen(line)));
    return mid_json_whole(o, good);
}

json_t *mid_json_figures(mid_heap *heap)
{
    mid_stats stats;
    json_t *o = json_object();
    bool good = true;
    memset(&stats, 0, sizeof stats);
    mid_stats_get(heap, &stats, sizeof stats);
#define MID_X(field, metric, type, divisor, help) good &= mid_json_put_number(o, #field, stats.field);
    MID_FIGURES(MID_X)
#undef MID_X
    return mid_json_whole(o, good);
}
