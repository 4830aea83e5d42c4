/* report_load.c: reads the JSON of `midden replay` and `midden bench`, and makes the rows of the table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "report.h"

const char *const report_column_names[COLUMNS] = {
    "seconds", "cpu s", "ns/op", "live MB", "resident MB", "res/live", "peak MB", "longest stop ms"};

bool report_open(report *to)
{
    *to = (report){.replays = json_array(), .results = json_array()};
    return to->replays != NULL && to->results != NULL;
}

void report_close(report *of)
{
    json_decref(of->replays);
    json_decref(of->results);
    json_decref(of->machine);
    free(of->rows);
}

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL)
        lab_error("%s:%d: %s", path, error.line, error.text);
    return root;
}

bool report_add_replay(report *to, const char *path)
{
    json_t *root = load(path);
    if (root == NULL)
        return false;
    if (!json_is_object(json_object_get(root, "trace")) || !json_is_array(json_object_get(root, "samples")) ||
        !json_is_string(json_object_get(root, "heap"))) {
        json_decref(root);
        lab_error("%s: not written by midden replay", path);
        return false;
    }
    return json_array_append_new(to->replays, root) == 0;
}

bool report_add_bench(report *to, const char *path)
{
    json_t *root = load(path);
    if (root == NULL)
        return false;
    json_t *results = json_object_get(root, "results");
    bool ok = json_is_array(results);
    if (ok) {
        json_array_extend(to->results, results);
        if (to->machine == NULL)
            to->machine = json_incref(json_object_get(root, "machine"));
    } else {
        lab_error("%s: not written by midden bench", path);
    }
    json_decref(root);
    return ok;
}

const char *report_text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? value : "";
}

double report_number(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

void report_heap_name(const json_t *result, char into[48])
{
    const char *variant = report_text(result, "variant");
    if (strcmp(variant, "default") == 0)
        variant = "";
    snprintf(into, 48, "%s%s%s", report_text(result, "heap"), variant[0] != 0 ? " " : "", variant);
}

/* Whether a parameter differs between two results of the workload: only those are worth a place in the label. */
static bool varies(const json_t *results, const char *workload, const char *key, const json_t *value)
{
    size_t i;
    json_t *other;
    json_array_foreach(results, i, other)
        if (strcmp(report_text(other, "workload"), workload) == 0 &&
            !json_equal(json_object_get(json_object_get(other, "params"), key), value))
            return true;
    return false;
}

static void label_work(const json_t *results, json_t *result, char *into, size_t room)
{
    const char *workload = report_text(result, "workload"), *key;
    json_t *value;
    snprintf(into, room, "%s", workload);
    json_object_foreach(json_object_get(result, "params"), key, value) {
        if (!varies(results, workload, key, value))
            continue;
        char *shown = json_dumps(value, JSON_ENCODE_ANY);
        size_t length = strlen(into);
        snprintf(into + length, room - length, " %s=%s", key, shown != NULL ? shown : "?");
        free(shown);
    }
}

static report_row *add_row(report *to)
{
    report_row *rows = realloc(to->rows, (to->row_count + 1) * sizeof *rows);
    if (rows == NULL)
        return NULL;
    to->rows = rows;
    report_row *row = &rows[to->row_count++];
    memset(row, 0, sizeof *row);
    for (int i = 0; i < COLUMNS; i++)
        row->value[i] = NAN;
    return row;
}

static void fill_memory(report_row *row, double live, double net, double peak)
{
    row->value[COLUMN_LIVE] = live / 1e6;
    row->value[COLUMN_NET] = net / 1e6;
    row->value[COLUMN_RATIO] = live > 0 ? net / live : NAN;
    row->value[COLUMN_PEAK] = peak / 1e6;
}

static bool add_bench_row(report *to, json_t *result)
{
    report_row *row = add_row(to);
    if (row == NULL)
        return false;
    label_work(to->results, result, row->work, sizeof row->work);
    snprintf(row->phase, sizeof row->phase, "%s", report_text(result, "phase"));
    report_heap_name(result, row->heap);
    row->value[COLUMN_SECONDS] = report_number(result, "seconds");
    row->value[COLUMN_CPU] = report_number(result, "cpu_seconds");
    row->value[COLUMN_NS] = report_number(result, "ns_per_op");
    fill_memory(row, report_number(result, "live_bytes"), report_number(result, "net_rss_bytes"),
                report_number(result, "peak_rss_bytes"));
    row->value[COLUMN_STOP] = report_number(json_object_get(result, "pause_ns"), "max") / 1e6;
    return true;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A replay gives two rows: its peak, and what is left at its end (after the idle time, if there was any). */
static bool add_replay_rows(report *to, json_t *replay)
{
    json_t *trace = json_object_get(replay, "trace");
    for (int at_end = 0; at_end < 2; at_end++) {
        report_row *row = add_row(to);
        if (row == NULL)
            return false;
        snprintf(row->work, sizeof row->work, "replay %s", file_name(report_text(trace, "file")));
        snprintf(row->phase, sizeof row->phase, "%s", at_end ? "end" : "peak");
        report_heap_name(replay, row->heap);
        if (at_end) {
            fill_memory(row, report_number(replay, "live_bytes"), report_number(replay, "net_rss_bytes"), NAN);
            continue;
        }
        row->value[COLUMN_SECONDS] = report_number(replay, "seconds");
        row->value[COLUMN_CPU] = report_number(replay, "cpu_seconds");
        row->value[COLUMN_NS] = report_number(replay, "ns_per_op");
        fill_memory(row, report_number(trace, "peak_live_bytes"), report_number(replay, "peak_net_rss_bytes"),
                    report_number(replay, "peak_net_rss_bytes"));
        json_t *pause = json_object_get(replay, "pause_ns");
        if (report_number(pause, "count") > 0)
            row->value[COLUMN_STOP] = report_number(pause, "max") / 1e6;
    }
    return true;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static bool same(const report_row *a, const report_row *b)
{
    return strcmp(a->work, b->work) == 0 && strcmp(a->phase, b->phase) == 0 && strcmp(a->heap, b->heap) == 0;
}

/* The median of a column over the rows that are repeats of `of`; figures that some repeats lack are left out. */
static double median(const report *in, const report_row *of, int column)
{
    double *values = malloc(in->row_count * sizeof *values), result = NAN;
    size_t count = 0;
    for (size_t i = 0; values != NULL && i < in->row_count; i++)
        if (same(&in->rows[i], of) && !isnan(in->rows[i].value[column]))
            values[count++] = in->rows[i].value[column];
    if (count != 0) {
        qsort(values, count, sizeof *values, by_value);
        result = (values[(count - 1) / 2] + values[count / 2]) / 2;
    }
    free(values);
    return result;
}

static bool seen(const report_row *rows, size_t count, const report_row *row)
{
    for (size_t i = 0; i < count; i++)
        if (same(&rows[i], row))
            return true;
    return false;
}

/* Repeats become one row; rows of one phase of one workload come together, in the order of their first appearance. */
static bool merge(report *of)
{
    report_row *merged = calloc(of->row_count + 1, sizeof *merged);
    size_t count = 0;
    if (merged == NULL)
        return false;
    for (size_t first = 0; first < of->row_count; first++)
        for (size_t i = first; i < of->row_count; i++) {
            const report_row *row = &of->rows[i], *lead = &of->rows[first];
            if (strcmp(row->work, lead->work) != 0 || strcmp(row->phase, lead->phase) != 0 || seen(merged, count, row))
                continue;
            merged[count] = *row;
            for (int column = 0; column < COLUMNS; column++)
                merged[count].value[column] = median(of, row, column);
            count++;
        }
    free(of->rows);
    of->rows = merged;
    of->row_count = count;
    return true;
}

bool report_make_rows(report *to)
{
    size_t i;
    json_t *item;
    json_array_foreach(to->replays, i, item)
        if (!add_replay_rows(to, item))
            return false;
    json_array_foreach(to->results, i, item)
        if (!add_bench_row(to, item))
            return false;
    return to->row_count == 0 || merge(to);
}
