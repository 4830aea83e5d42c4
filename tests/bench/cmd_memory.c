/* cmd_memory.c: the table of how memory goes back once most of it is free: how much, how soon, and at what cost. Variant by
 * variant, as that of garbage. */
#include <stdio.h>
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

static void put_row(struct bench_grid *grid, const json_t *document, const struct figure_row *row, const struct bench_variant *v)
{
    struct figure live = figure(document, row, v, "live_bytes"), resident = figure(document, row, v, "resident.peak");
    struct figure pools = figure(document, row, v, "pools.in_use"), stop = figure(document, row, v, "stops.max");
    if (resident.count == 0)
        return;
    bench_grid_row(grid);
    bench_grid_cell(grid, "%s %.*s", row->workload, 100 - (int)strlen(row->workload), row->params);
    bench_grid_cell(grid, "%s", v->heap);
    bench_grid_cell(grid, "%s", v->name);
    put(grid, figure(document, row, v, "net_rss_bytes"), live.median > 0 ? 1 / live.median : 0, 2);
    put(grid, resident, 1e-6, 1);
    put(grid, figure(document, row, v, "resident.byte_seconds"), 1e-6, 1);
    put(grid, figure(document, row, v, "resident.settle_seconds"), 1, 3);
    put(grid, figure(document, row, v, "resident.settle_background_seconds"), 1e3, 1);
    put(grid, figure(document, row, v, "background_cpu_seconds"), 1e3, 1);
    put(grid, stop.count ? stop : figure(document, row, v, "pause_ns.max"), 1e-6, 2);
    put(grid, figure(document, row, v, "stops.cpu_max"), 1e-6, 2);
    if (pools.count)
        bench_grid_cell(grid, "%.0f / %.0f", pools.median, figure(document, row, v, "pools.optimal").median);
    else
        bench_grid_cell(grid, "-");
}

void bench_print_memory(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style)
{
    static const char *const columns[] = {"workload", "heap", "variant", "net / live", "peak MB", "MB·s", "settled, s", "of the background, ms",
                                          "background in all, ms", "longest stop, ms", "in CPU, ms", "pools / least"};
    struct bench_grid grid = {0};
    bench_grid_row(&grid);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        bench_grid_cell(&grid, "%s", columns[i]);
    for (size_t r = 0; r < count; r++)
        for (const struct bench_variant *v = bench_variants; v->name && strcmp(rows[r].phase, "shrunk") == 0; v++)
            put_row(&grid, document, &rows[r], v);
    if (grid.rows > 1) {
        puts(style == BENCH_MARKDOWN ? "\n**Memory given back** (the phase in which most is freed and the program then rests; peak "
                                       "and MB·s: net resident memory in it, its most and its integral up to the longest rest; "
                                       "settled: within 2 % of its end; background: processor time of threads that are not the "
                                       "program's, until then, and in the phase)\n"
                                     : "\nMemory given back, in the phase that frees most and then rests: net resident, its peak and "
                                       "integral, when it settled, what it took");
        bench_grid_print(&grid, style, 3);
    }
    bench_grid_free(&grid);
}
