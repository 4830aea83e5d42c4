/* cmd_figures.c: medians over the repeats. Results are few (a thousand), so each question walks them all. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char *text_of(const json_t *result, const char *key)
{
    const char *text = json_string_value(json_object_get(result, key));
    return text ? text : "";
}

/* One that the result does not name was not there yet when it was obtained: the default is what was done then. */
static uint64_t param_of(const json_t *result, const struct bench_param *param)
{
    const json_t *value = json_object_get(json_object_get(result, "params"), param->name);
    uint64_t number = (uint64_t)json_integer_value(value);
    if (!json_is_integer(value))
        bench_param_read(param->name, json_is_string(value) ? json_string_value(value) : param->value, &number);
    return number;
}

/* The row a result belongs to; the parameters in the short form of bench_describe. */
static void row_of(const json_t *result, struct figure_row *row)
{
    const struct bench_workload *workload = bench_workload_find(text_of(result, "workload"));
    uint64_t values[BENCH_PARAMS_MAX] = {0};
    memset(row, 0, sizeof *row);
    strncpy(row->workload, text_of(result, "workload"), sizeof row->workload - 1);
    strncpy(row->phase, text_of(result, "phase"), sizeof row->phase - 1);
    if (workload == NULL)
        return;
    for (int i = 0; i < BENCH_PARAMS_MAX && workload->params[i].name; i++)
        values[i] = param_of(result, &workload->params[i]);
    bench_describe(workload, values, row->params, sizeof row->params);
}

/* "seconds", or "call_ns.max" for one inside. */
static const json_t *value_of(const json_t *result, const char *key)
{
    const char *dot = strchr(key, '.');
    if (dot == NULL)
        return json_object_get(result, key);
    char outer[32] = "";
    memcpy(outer, key, (size_t)(dot - key) < sizeof outer ? (size_t)(dot - key) : sizeof outer - 1);
    return json_object_get(json_object_get(result, outer), dot + 1);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct figure summary(double *values, size_t count)
{
    if (count == 0)
        return (struct figure){0};
    qsort(values, count, sizeof *values, ascending);
    return (struct figure){.median = (values[(count - 1) / 2] + values[count / 2]) / 2, .least = values[0],
                           .most = values[count - 1], .count = count};
}

struct figure bench_figure(const json_t *document, const char *workload, const char *params, const char *phase, const char *heap,
                         const char *variant, const char *key)
{
    const json_t *result, *results = json_object_get(document, "results");
    double *values = calloc(json_array_size(results) + 1, sizeof *values);
    size_t i, count = 0;
    if (values == NULL)
        return (struct figure){0};
    json_array_foreach(results, i, result) {
        struct figure_row row;
        if (strcmp(text_of(result, "heap"), heap) != 0 || strcmp(text_of(result, "variant"), variant) != 0 ||
            strcmp(text_of(result, "workload"), workload) != 0 || strcmp(text_of(result, "phase"), phase) != 0)
            continue;
        row_of(result, &row);
        const json_t *value = value_of(result, key);
        if (strcmp(row.params, params) == 0 && json_is_number(value))
            values[count++] = json_number_value(value);
    }
    struct figure figure = summary(values, count);
    free(values);
    return figure;
}

struct figure bench_figure_best(const json_t *document, const char *workload, const char *params, const char *phase,
                                const char *heap, const char *key, const char **variant)
{
    struct figure best = {0};
    for (const struct bench_variant *v = bench_variants; v->name; v++) {
        bool own = strcmp(v->heap, "midden") != 0 || strcmp(v->name, "default") == 0;
        if (strcmp(v->heap, heap) != 0 || !own)
            continue;
        struct figure figure = bench_figure(document, workload, params, phase, heap, v->name, key);
        bool better = strstr(key, "mmu.") != NULL ? figure.median > best.median : figure.median < best.median;
        if (figure.count == 0 || (best.count != 0 && !better))
            continue;
        best = figure;
        if (variant)
            *variant = v->name;
    }
    return best;
}

struct figure_row *bench_rows(const json_t *document, size_t *count)
{
    const json_t *result, *results = json_object_get(document, "results");
    struct figure_row *rows = calloc(json_array_size(results) + 1, sizeof *rows);
    size_t i;
    *count = 0;
    if (rows == NULL)
        return NULL;
    json_array_foreach(results, i, result) {
        struct figure_row row;
        size_t k = 0;
        row_of(result, &row);
        while (k < *count && memcmp(&rows[k], &row, sizeof row) != 0)
            k++;
        if (k == *count)
            rows[(*count)++] = row;
    }
    return rows;
}
