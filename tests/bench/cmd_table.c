/* cmd_table.c: the tables that are printed of results: time, resident memory, stops. Where Boehm has several variants its
 * best one is shown, figure by figure; midden's acyclic variant is listed beside and enters no ratio. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char *const ratio_heaps[] = {"boehm", "malloc", "mimalloc"};

static struct figure best(const json_t *document, const struct figure_row *row, const char *heap, const char *key,
                          const char **variant)
{
    return bench_figure_best(document, row->workload, row->params, row->phase, heap, key, variant);
}

/* The median and, on a terminal, the spread. `scale` multiplies. */
static void put(struct bench_grid *grid, enum bench_style style, struct figure figure, double scale, const char *variant)
{
    double median = figure.median * scale;
    int digits = median < 1 ? 3 : median < 10 ? 2 : median < 100 ? 1 : 0;
    const char *note = variant && strcmp(variant, "plain") != 0 && strcmp(variant, "default") != 0 ? variant : NULL;
    char spread[48] = "";
    if (figure.count > 1 && style == BENCH_TEXT)
        snprintf(spread, sizeof spread, " (%.*f-%.*f)", digits, figure.least * scale, digits, figure.most * scale);
    if (figure.count == 0)
        bench_grid_cell(grid, "-");
    else
        bench_grid_cell(grid, "%.*f%s%s%s", digits, median, spread, note ? " " : "", note ? note : "");
}

static void heading(struct bench_grid *grid, const char *unit)
{
    bench_grid_row(grid);
    bench_grid_cell(grid, "workload");
    bench_grid_cell(grid, "phase");
    if (unit)
        bench_grid_cell(grid, "%s", unit);
    for (const char *const *heap = bench_heaps; *heap; heap++)
        bench_grid_cell(grid, "%s", *heap);
}

static void row_name(struct bench_grid *grid, const struct figure_row *row)
{
    bench_grid_row(grid);
    bench_grid_cell(grid, "%s %.*s", row->workload, 100 - (int)strlen(row->workload), row->params);
    bench_grid_cell(grid, "%s", row->phase);
}

static unsigned kind_of(const struct figure_row *row)
{
    const struct bench_workload *workload = bench_workload_find(row->workload);
    return workload ? workload->kind : 0;
}

static bool per_op(const struct figure_row *row)
{
    return (kind_of(row) & WL_PER_OP) != 0;
}

static bool is_micro(const struct figure_row *row)
{
    return strcmp(row->workload, "micro") == 0;
}

static void finish(struct bench_grid *grid, enum bench_style style, const char *text, const char *markdown)
{
    if (grid->rows > 1) {
        puts(style == BENCH_MARKDOWN ? markdown : text);
        bench_grid_print(grid, style, 2);
    }
    bench_grid_free(grid);
}

static void time_table(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style)
{
    struct bench_grid grid = {0};
    heading(&grid, "unit");
    bench_grid_cell(&grid, "acyclic");
    for (size_t i = 0; i < 3; i++)
        bench_grid_cell(&grid, "÷ %s", ratio_heaps[i]);
    for (size_t r = 0; r < count; r++) {
        const struct figure_row *row = &rows[r];
        if (is_micro(row) || (kind_of(row) & (WL_THREADS | WL_OWN)))
            continue;
        const char *key = per_op(row) ? "ns_per_op" : "seconds";
        row_name(&grid, row);
        bench_grid_cell(&grid, per_op(row) ? "ns/op" : "s");
        for (const char *const *heap = bench_heaps; *heap; heap++) {
            const char *variant = NULL;
            struct figure figure = best(document, row, *heap, key, &variant);
            put(&grid, style, figure, 1, variant);
        }
        put(&grid, style, bench_figure(document, row->workload, row->params, row->phase, "midden", "acyclic", key), 1, NULL);
        struct figure own = best(document, row, "midden", key, NULL);
        for (size_t i = 0; i < 3; i++) {
            struct figure peer = best(document, row, ratio_heaps[i], key, NULL);
            /* To shrink is one call for some heaps and a time to settle for others. */
            if (own.count && peer.count && peer.median > 0 && strcmp(row->phase, "shrunk") != 0)
                bench_grid_cell(&grid, "%.2f", own.median / peer.median);
            else
                bench_grid_cell(&grid, "-");
        }
    }
    finish(&grid, style, "\nTime, median (least-most); the last columns: midden's in proportion to the peer's",
           "**Time** (medians; the last columns: midden's in proportion to the peer's)\n");
}

static bool same_parameters(const struct figure_row *a, const struct figure_row *b)
{
    return strcmp(a->workload, b->workload) == 0 && strcmp(a->params, b->params) == 0;
}

/* The peak at the end of the last phase that this heap has. */
static struct figure peak(const json_t *document, const struct figure_row *rows, size_t last, const char *heap)
{
    struct figure figure = best(document, &rows[last], heap, "peak_rss_bytes", NULL);
    while (figure.count == 0 && last > 0 && same_parameters(&rows[last], &rows[last - 1]))
        figure = best(document, &rows[--last], heap, "peak_rss_bytes", NULL);
    return figure;
}

/* Where live bytes are the same for every heap, as with leaf data, net resident memory over them, phase by phase; for nodes,
 * which are smaller with handles than with pointers, the peak of the process, which its last phase knows. The peak, too, of the
 * workloads with threads, whose live bytes are few; with most threads. */
static void memory_table(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style)
{
    struct bench_grid grid = {0};
    heading(&grid, "unit");
    for (size_t r = 0; r < count; r++) {
        const struct figure_row *row = &rows[r];
        bool leaves = (kind_of(row) & WL_LEAVES) && !(kind_of(row) & (WL_NODES | WL_THREADS));
        bool last = r + 1 == count || !same_parameters(row, &row[1]);
        bool fewer = (kind_of(row) & WL_THREADS) && r + 1 < count && strcmp(row->workload, row[1].workload) == 0;
        if (is_micro(row) || (kind_of(row) & WL_OWN) || (!leaves && !last) || fewer)
            continue;
        row_name(&grid, row);
        bench_grid_cell(&grid, leaves ? "net / live" : "peak MB");
        for (const char *const *heap = bench_heaps; *heap; heap++) {
            const char *variant = NULL;
            if (leaves) {
                struct figure net = best(document, row, *heap, "net_rss_bytes", &variant);
                struct figure live = best(document, row, *heap, "live_bytes", NULL);
                put(&grid, style, net, live.median > 0 ? 1 / live.median : 0, variant);
            } else {
                put(&grid, style, peak(document, rows, r, *heap), 1e-6, NULL);
            }
        }
    }
    finish(&grid, style, "\nResident memory: net of what the process had before its heap, over live bytes; or peak",
           "\n**Memory** (net: resident beyond what the process had before its heap, at the end of the phase, in proportion to "
           "live bytes; peak: the process's)\n");
}

static bool any_heap_has(const json_t *document, const struct figure_row *row, const char *key)
{
    for (const char *const *heap = bench_heaps; *heap; heap++) {
        struct figure figure = best(document, row, *heap, key, NULL);
        if (figure.median > 0 || (figure.count != 0 && strncmp(key, "mmu.", 4) == 0)) /* of those 0 is a figure */
            return true;
    }
    return false;
}

static void pause_table(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style)
{
    static const struct {
        const char *key, *name;
        double scale;
    } lines[] = {{"pause_ns.max", "longest stop, ms", 1e-6},
                 {"gap_ns.max", "spinner's longest gap, ms", 1e-6},
                 {"call_ns.p50", "call p50, ns", 1},
                 {"call_ns.p99.9", "call p99.9, µs", 1e-3},
                 {"call_ns.max", "call max, ms", 1e-6},
                 {"heap_longest_ns.wall", "longest pause by its own account, ms", 1e-6},
                 {"heap_longest_ns.cpu", "the same, processor time, ms", 1e-6},
                 {"mmu.1", "least share of 1 ms", 1},
                 {"mmu.5", "least share of 5 ms", 1},
                 {"mmu.10", "least share of 10 ms", 1},
                 {"mmu.50", "least share of 50 ms", 1}};
    struct bench_grid grid = {0};
    heading(&grid, "figure");
    for (size_t r = 0; r < count; r++) {
        for (size_t k = 0; k < sizeof lines / sizeof *lines; k++) {
            const struct figure_row *row = &rows[r];
            if (!(kind_of(row) & WL_PAUSES) || !any_heap_has(document, row, lines[k].key))
                continue;
            row_name(&grid, row);
            bench_grid_cell(&grid, "%s", lines[k].name);
            for (const char *const *heap = bench_heaps; *heap; heap++)
                put(&grid, style, best(document, row, *heap, lines[k].key, NULL), lines[k].scale, NULL);
        }
    }
    finish(&grid, style, "\nStops and latencies, wall time", "\n**Stops and latencies** (wall time)\n");
}

static void micro_table(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style)
{
    struct bench_grid grid = {0};
    bench_grid_row(&grid);
    bench_grid_cell(&grid, "call");
    bench_grid_cell(&grid, "unit");
    for (const char *const *heap = bench_heaps; *heap; heap++)
        bench_grid_cell(&grid, "%s", *heap);
    for (size_t r = 0; r < count; r++) {
        if (!is_micro(&rows[r]))
            continue;
        bench_grid_row(&grid);
        bench_grid_cell(&grid, "%s", rows[r].phase);
        bench_grid_cell(&grid, "ns");
        for (const char *const *heap = bench_heaps; *heap; heap++)
            put(&grid, style, best(document, &rows[r], *heap, "ns_per_op", NULL), 1, NULL);
    }
    finish(&grid, style, "\nSingle calls, objects in the cache", "\n**Single calls** (objects in the cache)\n");
}

void bench_print_tables(const json_t *document, enum bench_style style)
{
    size_t count;
    struct figure_row *rows = bench_rows(document, &count);
    if (rows == NULL || count == 0) {
        puts("no results");
    } else {
        time_table(document, rows, count, style);
        bench_print_threads(document, rows, count, style);
        memory_table(document, rows, count, style);
        bench_print_memory(document, rows, count, style);
        pause_table(document, rows, count, style);
        bench_print_garbage(document, rows, count, style);
        micro_table(document, rows, count, style);
    }
    free(rows);
}

void bench_print_machine(const json_t *document)
{
    const json_t *machine = json_object_get(document, "machine"), *version;
    const char *heap, *text;
    const char *cpu = json_string_value(json_object_get(machine, "cpu"));
    printf("%s, %d processors", cpu && *cpu ? cpu : "unknown processor",
           (int)json_integer_value(json_object_get(machine, "processors")));
    if ((text = json_string_value(json_object_get(machine, "kernel"))))
        printf(", Linux %s", text);
    if (json_is_integer(json_object_get(machine, "clock_ns")))
        printf(", a reading of the clock %d ns", (int)json_integer_value(json_object_get(machine, "clock_ns")));
    json_object_foreach(json_object_get(machine, "heaps"), heap, version)
        printf(", %s %.10s", heap, json_string_value(version));
    printf(".\n\n");
}
