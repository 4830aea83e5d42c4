/* cmd_report.c: what a worker wrote, turned into results. The lines are described in README.md. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

/* Four numbers with commas, or "-" for none. `count`: the first is a count, not the median. */
static json_t *latencies(const char *text, bool count)
{
    uint64_t v[4];
    if (sscanf(text, "%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64, &v[0], &v[1], &v[2], &v[3]) != 4)
        return json_null();
    if (!count)
        return json_pack("{s:I,s:I,s:I,s:I}", "p50", (json_int_t)v[0], "p99", (json_int_t)v[1], "p99.9", (json_int_t)v[2], "max",
                         (json_int_t)v[3]);
    return json_pack("{s:I,s:I,s:I,s:I}", "count", (json_int_t)v[0], "p50", (json_int_t)v[1], "p99.9", (json_int_t)v[2], "max",
                     (json_int_t)v[3]);
}

static json_t *long_calls(const char *text)
{
    uint64_t count, ns;
    if (sscanf(text, "%" SCNu64 ",%" SCNu64, &count, &ns) != 2)
        return json_null();
    return json_pack("{s:I,s:I}", "count", (json_int_t)count, "ns", (json_int_t)ns);
}

/* By the length of the window in milliseconds. */
static json_t *utilisation(const char *text)
{
    double v[4];
    if (sscanf(text, "%lf,%lf,%lf,%lf", &v[0], &v[1], &v[2], &v[3]) != 4)
        return json_null();
    return json_pack("{s:f,s:f,s:f,s:f}", "1", v[0], "5", v[1], "10", v[2], "50", v[3]);
}

/* "collect:2:300:200:200,drain:..." */
static json_t *account(char *text)
{
    char *rest = NULL;
    json_t *causes = json_object();
    if (strcmp(text, "-") == 0)
        return json_decref(causes), json_null();
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        char name[32];
        uint64_t v[4];
        if (sscanf(word, "%31[a-z]:%" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64, name, &v[0], &v[1], &v[2], &v[3]) != 5)
            return json_decref(causes), NULL;
        if (v[3] != 0 || v[0] != 0)
            json_object_set_new(causes, name, json_pack("{s:I,s:I,s:I,s:I}", "count", (json_int_t)v[0], "ns", (json_int_t)v[1],
                                                        "max", (json_int_t)v[2], "cpu_max", (json_int_t)v[3]));
    }
    return causes;
}

/* The longest of all causes. */
static json_t *account_longest(json_t *causes)
{
    const char *name;
    json_t *cause;
    json_int_t wall = 0, cpu = 0;
    json_object_foreach(causes, name, cause) {
        json_int_t max = json_integer_value(json_object_get(cause, "max"));
        json_int_t cpu_max = json_integer_value(json_object_get(cause, "cpu_max"));
        wall = max > wall ? max : wall;
        cpu = cpu_max > cpu ? cpu_max : cpu;
    }
    return json_is_object(causes) ? json_pack("{s:I,s:I}", "wall", wall, "cpu", cpu) : json_null();
}

static json_t *params_object(const struct bench_run *run)
{
    json_t *params = json_object();
    for (int i = 0; i < BENCH_PARAMS_MAX && run->workload->params[i].name; i++) {
        const char *name = run->workload->params[i].name, *word = bench_param_word(name, run->params[i]);
        json_object_set_new(params, name, word ? json_string(word) : json_integer((json_int_t)run->params[i]));
    }
    return params;
}

static bool take_phase(const char *line, const struct bench_run *run, unsigned repeat, struct run_outcome *outcome)
{
    char phase[64], calls[128], pauses[128], longs[64], mmu[64], causes[2048], heap_mmu[64];
    uint64_t wall, cpu, operations, live, peak;
    int64_t net;
    if (sscanf(line,
               "phase %63s wall=%" SCNu64 " cpu=%" SCNu64 " operations=%" SCNu64 " live=%" SCNu64 " peak=%" SCNu64
               " net=%" SCNd64 " calls=%127s pauses=%127s long=%63s mmu=%63s heap=%2047s heapmmu=%63s",
               phase, &wall, &cpu, &operations, &live, &peak, &net, calls, pauses, longs, mmu, causes, heap_mmu) != 13)
        return false;
    json_t *by_cause = account(causes);
    outcome->seconds += (double)wall / 1e9;
    json_t *result = json_pack(
        "{s:s,s:o,s:s,s:s,s:s,s:i,s:f,s:f,s:I,s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n}", "workload",
        run->workload->name, "params", params_object(run), "phase", phase, "heap", run->variant->heap, "variant",
        run->variant->name, "repeat", (int)repeat, "seconds", (double)wall / 1e9, "cpu_seconds", (double)cpu / 1e9,
        "operations", (json_int_t)operations, "ns_per_op",
        operations ? json_real((double)wall / (double)operations) : json_null(), "live_bytes", (json_int_t)live,
        "peak_rss_bytes", (json_int_t)peak, "net_rss_bytes", (json_int_t)net, "call_ns", latencies(calls, false), "pause_ns",
        latencies(pauses, true), "long_calls", long_calls(longs), "mmu", utilisation(mmu), "heap_longest_ns",
        account_longest(by_cause), "heap_pauses", by_cause, "heap_mmu", utilisation(heap_mmu), "mutator_cpu_seconds",
        "background_cpu_seconds", "gap_ns", "garbage", "resident", "stops",
        "evacuation_cpu_seconds", "pools");
    return result != NULL && json_array_append_new(outcome->results, result) == 0;
}

/* The clocks of the process and of its threads are not read at one moment: the rest may come out a little below zero. */
static bool set_mutator(json_t *result, double seconds)
{
    double rest = json_real_value(json_object_get(result, "cpu_seconds")) - seconds;
    return json_object_set_new(result, "mutator_cpu_seconds", json_real(seconds)) == 0 &&
           json_object_set_new(result, "background_cpu_seconds", json_real(rest > 0 ? rest : 0)) == 0;
}

static bool take_world(const char *line, json_t *result)
{
    uint64_t v[6];
    if (sscanf(line, "world stops=%" SCNu64 ",%" SCNu64 ",%" SCNu64 " evacuation=%" SCNu64 " pools=%" SCNu64 ",%" SCNu64, &v[0],
               &v[1], &v[2], &v[3], &v[4], &v[5]) != 6)
        return false;
    return json_object_set_new(result, "stops", json_pack("{s:I,s:I,s:I}", "count", (json_int_t)v[0], "max", (json_int_t)v[1],
                                                          "cpu_max", (json_int_t)v[2])) == 0 &&
           json_object_set_new(result, "evacuation_cpu_seconds", json_real((double)v[3] / 1e9)) == 0 &&
           json_object_set_new(result, "pools", json_pack("{s:I,s:I}", "in_use", (json_int_t)v[4], "optimal", (json_int_t)v[5])) == 0;
}

/* What a phase's line does not say is on lines of its own that follow it. */
static bool take_addition(const char *line, struct run_outcome *outcome)
{
    static const char *const columns[] = {"operations", "outstanding", "watched", "rss_bytes", "reachable"};
    json_t *result = json_array_get(outcome->results, json_array_size(outcome->results) - 1);
    uint64_t v[5];
    char gaps[128];
    if (result == NULL)
        return false;
    if (sscanf(line, "mutator cpu=%" SCNu64, &v[0]) == 1)
        return set_mutator(result, (double)v[0] / 1e9);
    if (sscanf(line, "resident peak=%" SCNu64 " integral=%" SCNu64 " settle=%" SCNu64 ",%" SCNu64, &v[0], &v[1], &v[2],
               &v[3]) == 4)
        return json_object_set_new(result, "resident",
                                   json_pack("{s:I,s:I,s:f,s:f}", "peak", (json_int_t)v[0], "byte_seconds", (json_int_t)v[1],
                                             "settle_seconds", (double)v[2] / 1e9, "settle_background_seconds",
                                             (double)v[3] / 1e9)) == 0;
    if (strncmp(line, "world ", 6) == 0)
        return take_world(line, result);
    if (sscanf(line, "gaps %127s", gaps) == 1)
        return json_object_set_new(result, "gap_ns", latencies(gaps, true)) == 0;
    if (sscanf(line, "garbage most=%" SCNu64 " every=%" SCNu64, &v[0], &v[1]) == 2)
        return json_object_set_new(result, "garbage",
                                   json_pack("{s:I,s:I,s:{s:[],s:[],s:[],s:[],s:[]}}", "most", (json_int_t)v[0], "watched_every",
                                             (json_int_t)v[1], "curve", columns[0], columns[1], columns[2], columns[3],
                                             columns[4])) == 0;
    if (sscanf(line, "point %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &v[0], &v[1], &v[2], &v[3], &v[4]) != 5)
        return false;
    json_t *curve = json_object_get(json_object_get(result, "garbage"), "curve");
    for (int i = 0; i < 5; i++)
        if (json_array_append_new(json_object_get(curve, columns[i]), json_integer((json_int_t)v[i])) != 0)
            return false;
    return true;
}

void bench_report_read(char *report, const struct bench_run *run, unsigned repeat, struct run_outcome *outcome)
{
    char heap[32] = "";
    char *rest = NULL;
    for (char *line = strtok_r(report, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        bool understood = sscanf(line, "heap %31s %63[^\n]", heap, outcome->version) == 2 ||
                          sscanf(line, "done %31s", outcome->checksum) == 1 || take_phase(line, run, repeat, outcome) ||
                          take_addition(line, outcome);
        if (!understood) {
            snprintf(outcome->trouble, sizeof outcome->trouble, "it wrote what is no report: %.100s", line);
            return;
        }
    }
    if (outcome->checksum[0] == 0)
        snprintf(outcome->trouble, sizeof outcome->trouble, "its report is incomplete");
    else if (strcmp(heap, run->variant->heap) != 0)
        snprintf(outcome->trouble, sizeof outcome->trouble, "it ran on %s", heap);
}
