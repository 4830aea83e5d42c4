/* replay_json.c: see replay_json.h. The keys are described in docs/design/trace.md. */
#include "replay_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lab.h"

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *describe_trace(const replay_result *of)
{
    char command[TRACE_COMMAND_MAX + 1];
    uint32_t length = of->trace->header.command_bytes;
    memcpy(command, of->trace->header.command, length);
    while (length > 0 && command[length - 1] == 0)
        length--;
    for (uint32_t i = 0; i < length; i++)
        if (command[i] == 0)
            command[i] = ' ';
    command[length] = 0;
    json_t *text = json_string(command);
    json_t *trace = json_pack("{s:s, s:o}", "file", of->file, "command", text != NULL ? text : json_string("?"));
    json_object_set_new(trace, "operations", integer(of->plan->operations));
    json_object_set_new(trace, "allocations", integer(of->plan->allocations));
    json_object_set_new(trace, "resizes", integer(of->plan->resizes));
    json_object_set_new(trace, "frees", integer(of->plan->frees));
    json_object_set_new(trace, "unknown", integer(of->plan->unknown));
    json_object_set_new(trace, "threads", integer(of->plan->threads));
    json_object_set_new(trace, "peak_live_bytes", integer(of->plan->peak_live_bytes));
    json_object_set_new(trace, "peak_live_blocks", integer(of->plan->peak_live_blocks));
    json_object_set_new(trace, "end_live_bytes", integer(of->plan->end_live_bytes));
    json_object_set_new(trace, "partial", json_boolean(of->trace->cut));
    return trace;
}

bool replay_result_open(replay_result *of)
{
    of->root = json_object();
    of->samples = json_array();
    of->figures = json_object();
    json_object_set_new(of->root, "trace", describe_trace(of));
    json_object_set_new(of->root, "heap", json_string(of->heap));
    json_object_set_new(of->root, "variant", of->variant[0] != 0 ? json_string(of->variant) : json_null());
    json_object_set_new(of->root, "touch", json_real(of->touch));
    json_object_set_new(of->root, "operations", integer(of->plan->operations));
    json_object_set_new(of->root, "histogram", json_array());
    json_object_set_new(of->root, "call_histogram", json_array());
    return of->root != NULL && of->samples != NULL && of->figures != NULL;
}

static void take_sample(replay_result *of, uint64_t operation, double seconds, double live, double net)
{
    double step = seconds - of->last_seconds;
    of->net_area += step * (net + of->last_net) / 2;
    of->live_area += step * (live + of->last_live) / 2;
    of->last_seconds = seconds;
    of->last_net = net;
    of->last_live = live;
    json_t *sample = json_object();
    json_object_set_new(sample, "op", integer(operation));
    json_object_set_new(sample, "seconds", json_real(seconds));
    json_object_set_new(sample, "live_bytes", integer((uint64_t)live));
    json_object_set_new(sample, "net_rss_bytes", integer((uint64_t)net));
    json_array_append_new(of->samples, sample);
}

static void take_quantiles(replay_result *of, const char *name, const uint64_t value[6])
{
    char key[80];
    json_t *quantiles = json_object();
    json_object_set_new(quantiles, "count", integer(value[0]));
    json_object_set_new(quantiles, "total", integer(value[1]));
    json_object_set_new(quantiles, "p50", integer(value[2]));
    json_object_set_new(quantiles, "p99", integer(value[3]));
    json_object_set_new(quantiles, "p99.9", integer(value[4]));
    json_object_set_new(quantiles, "max", integer(value[5]));
    snprintf(key, sizeof key, "%s_ns", name);
    json_object_set_new(of->root, key, quantiles);
}

static bool take_bucket(replay_result *of, const char *name, uint64_t end, uint64_t count)
{
    const char *key = strcmp(name, "pause") == 0 ? "histogram" : strcmp(name, "call") == 0 ? "call_histogram" : NULL;
    json_t *bucket = json_object();
    json_object_set_new(bucket, "below_ns", integer(end));
    json_object_set_new(bucket, "count", integer(count));
    if (key != NULL)
        json_array_append_new(json_object_get(of->root, key), bucket);
    else
        json_decref(bucket);
    return key != NULL || strcmp(name, "pause_cpu") == 0;
}

bool replay_result_line(replay_result *of, const char *line)
{
    uint64_t v[6];
    char name[64];
    if (sscanf(line, "sample %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, v, v + 1, v + 2, v + 3) == 4) {
        take_sample(of, v[0], (double)v[1] / 1e9, (double)v[2], (double)v[3]);
    } else if (sscanf(line, "time %" SCNu64 " %" SCNu64 " %" SCNu64, v, v + 1, v + 2) == 3) {
        of->seconds = (double)v[0] / 1e9;
        json_object_set_new(of->root, "seconds", json_real(of->seconds));
        json_object_set_new(of->root, "cpu_seconds", json_real((double)v[1] / 1e9));
        json_object_set_new(of->root, "idle_seconds", json_real((double)v[2] / 1e9));
    } else if (sscanf(line, "memory %" SCNu64 " %" SCNu64 " %" SCNu64, v, v + 1, v + 2) == 3) {
        json_object_set_new(of->root, "live_bytes", integer(v[0]));
        json_object_set_new(of->root, "peak_net_rss_bytes", integer(v[1]));
        json_object_set_new(of->root, "peak_rss_bytes", integer(v[2]));
    } else if (sscanf(line, "reads %" SCNu64, v) == 1) {
        json_object_set_new(of->root, "reads", integer(v[0]));
    } else if (sscanf(line, "quantiles %63s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, name,
                      v, v + 1, v + 2, v + 3, v + 4, v + 5) == 7) {
        take_quantiles(of, name, v);
    } else if (sscanf(line, "bucket %63s %" SCNu64 " %" SCNu64, name, v, v + 1) == 3) {
        return take_bucket(of, name, v[0], v[1]);
    } else if (sscanf(line, "figure %63s %" SCNu64, name, v) == 2) {
        json_object_set_new(of->figures, name, integer(v[0]));
    } else {
        return false;
    }
    return true;
}

static json_t *ratio(double above, double below)
{
    return below > 0 ? json_real(above / below) : json_null();
}

/* A replay too short for the clock has no ns_per_op; one without live bytes no fragmentation: null. */
static void complete(replay_result *of)
{
    double peak_net = (double)json_integer_value(json_object_get(of->root, "peak_net_rss_bytes"));
    json_t *fragmentation = json_object();
    json_object_set_new(fragmentation, "peak", ratio(peak_net, (double)of->plan->peak_live_bytes));
    json_object_set_new(fragmentation, "mean", ratio(of->net_area, of->live_area));
    json_object_set_new(fragmentation, "end", ratio(of->last_net, of->last_live));
    json_object_set_new(of->root, "fragmentation", fragmentation);
    json_object_set_new(of->root, "net_rss_bytes", integer((uint64_t)of->last_net));
    json_object_set_new(of->root, "ns_per_op", ratio(of->seconds * 1e9, (double)of->plan->operations));
    json_object_set(of->root, "heap_figures", of->figures);
    json_object_set(of->root, "samples", of->samples);
}

static double number(const replay_result *of, const char *key, const char *inner)
{
    json_t *value = json_object_get(of->root, key);
    return json_number_value(inner != NULL ? json_object_get(value, inner) : value);
}

bool replay_result_finish(replay_result *of, const char *path)
{
    complete(of);
    printf("%s%s%s: %" PRIu64 " operations in %.3f s (%.3f s of processor), peak %.1f MiB for %.1f MiB live, at the end "
           "%.1f for %.1f, longest stop %.3f ms, longest call %.3f ms\n",
           of->heap, of->variant[0] != 0 ? " " : "", of->variant, of->plan->operations, of->seconds,
           number(of, "cpu_seconds", NULL), number(of, "peak_net_rss_bytes", NULL) / 1048576,
           (double)of->plan->peak_live_bytes / 1048576, of->last_net / 1048576, of->last_live / 1048576,
           number(of, "pause_ns", "max") / 1e6, number(of, "call_ns", "max") / 1e6);
    if (path != NULL && json_dump_file(of->root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0) {
        lab_error("%s cannot be written", path);
        return false;
    }
    return true;
}

void replay_result_close(replay_result *of)
{
    json_decref(of->root);
    json_decref(of->samples);
    json_decref(of->figures);
}
