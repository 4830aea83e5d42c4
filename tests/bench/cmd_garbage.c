/* cmd_garbage.c: the table of what garbage was outstanding, and of what threads other than the program's took of the processor.
 * Variant by variant: Boehm's best of one figure is not its best of another. Of malloc's family, where there is nothing to
 * collect, one heap is shown as the floor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static struct figure figure(const json_t *document, const struct figure_row *row, const struct bench_variant *v, const char *key)
{
    return bench_figure(document, row->workload, row->params, row->phase, v->heap, v->name, key);
}

static void put(struct bench_grid *grid, struct figure figure, double scale, int digits)
{
    if (figure.count)
        bench_grid_cell(grid, "%.*f", digits, figure.median * scale);
    else
        bench_grid_cell(grid, "-");
}

static bool shown(const struct figure_row *row, const struct bench_variant *v)
{
    const struct bench_workload *workload = bench_workload_find(row->workload);
    bool floor = strcmp(v->heap, "mimalloc") != 0 && strcmp(v->heap, "jemalloc") != 0;
    return workload && (workload->kind & WL_GARBAGE) && floor && strcmp(row->phase, "build") != 0;
}

static void put_row(struct bench_grid *grid, const json_t *document, const struct figure_row *row, const struct bench_variant *v)
{
    struct figure seconds = figure(document, row, v, "seconds"), all = figure(document, row, v, "cpu_seconds");
    struct figure own = figure(document, row, v, "mutator_cpu_seconds");
    if (own.count == 0)
        return;
    bench_grid_row(grid);
    bench_grid_cell(grid, "%s %.*s", row->workload, 100 - (int)strlen(row->workload), row->params);
    bench_grid_cell(grid, "%s", row->phase);
    bench_grid_cell(grid, "%s %s", v->heap, v->name);
    put(grid, figure(document, row, v, "garbage.most"), 1, 0);
    put(grid, figure(document, row, v, "peak_rss_bytes"), 1e-6, 1);
    put(grid, figure(document, row, v, "call_ns.p99.9"), 1e-3, 2);
    put(grid, figure(document, row, v, "pause_ns.max"), 1e-6, 2);
    put(grid, figure(document, row, v, "gap_ns.max"), 1e-6, 2);
    double others = all.median > own.median ? all.median - own.median : 0;
    bench_grid_cell(grid, "%.1f", seconds.median > 0 ? 100 * others / seconds.median : 0);
}

void bench_print_garbage(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style)
{
    static const char *const columns[] = {"workload", "phase", "heap", "most uncollected", "peak MB", "call p99.9, µs",
                                          "longest stop, ms", "spinner's gap, ms", "others' CPU, %"};
    struct bench_grid grid = {0};
    bench_grid_row(&grid);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        bench_grid_cell(&grid, "%s", columns[i]);
    for (size_t r = 0; r < count; r++)
        for (const struct bench_variant *v = bench_variants; v->name; v++)
            if (shown(&rows[r], v))
                put_row(&grid, document, &rows[r], v);
    if (grid.rows > 1) {
        puts(style == BENCH_MARKDOWN ? "\n**Garbage** (the most objects dropped and not freed at a time, counted by the driver; "
                                       "others' CPU: of threads that are not the program's, in proportion to wall time)\n"
                                     : "\nGarbage: the most objects dropped and not freed; the processor time of threads that are "
                                       "not the program's, over wall time");
        bench_grid_print(&grid, style, 3);
    }
    bench_grid_free(&grid);
}
