/* cmd_threads.c: the table of the workloads with threads: operations a second, and how they grow with the threads. Where a heap
 * has several variants its best one is shown, line by line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char *const scaling_heaps[] = {"midden", "mimalloc"};
static const char *const ratio_heaps[] = {"boehm", "mimalloc"};

static double speed(const json_t *document, const struct figure_row *row, const char *heap)
{
    struct figure ns = bench_figure_best(document, row->workload, row->params, row->phase, heap, "ns_per_op", NULL);
    return ns.count && ns.median > 0 ? 1000 / ns.median : 0;
}

/* The row's parameters begin with the threads. Those after it, and the same with one thread. */
static const char *other_params(const struct figure_row *row)
{
    return row->params + strcspn(row->params, " ");
}

static struct figure_row with_one_thread(const struct figure_row *row)
{
    struct figure_row one = *row;
    snprintf(one.params, sizeof one.params, "threads=1%s", other_params(row));
    return one;
}

static void put_speed(struct bench_grid *grid, double millions)
{
    if (millions > 0)
        bench_grid_cell(grid, "%.*f", millions < 10 ? 2 : millions < 100 ? 1 : 0, millions);
    else
        bench_grid_cell(grid, "-");
}

static void put_ratio(struct bench_grid *grid, double own, double other)
{
    if (own > 0 && other > 0)
        bench_grid_cell(grid, "%.2f", own / other);
    else
        bench_grid_cell(grid, "-");
}

static void put_row(struct bench_grid *grid, const json_t *document, const struct figure_row *row)
{
    struct figure_row one = with_one_thread(row);
    bench_grid_row(grid);
    bench_grid_cell(grid, "%s%.90s", row->workload, other_params(row));
    bench_grid_cell(grid, "%u", (unsigned)strtoul(row->params + strlen("threads="), NULL, 10));
    for (const char *const *heap = bench_heaps; *heap; heap++)
        put_speed(grid, speed(document, row, *heap));
    for (size_t i = 0; i < sizeof scaling_heaps / sizeof *scaling_heaps; i++)
        put_ratio(grid, speed(document, row, scaling_heaps[i]), speed(document, &one, scaling_heaps[i]));
    for (size_t i = 0; i < sizeof ratio_heaps / sizeof *ratio_heaps; i++)
        put_ratio(grid, speed(document, row, "midden"), speed(document, row, ratio_heaps[i]));
}

void bench_print_threads(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style)
{
    struct bench_grid grid = {0};
    bench_grid_row(&grid);
    bench_grid_cell(&grid, "workload");
    bench_grid_cell(&grid, "threads");
    for (const char *const *heap = bench_heaps; *heap; heap++)
        bench_grid_cell(&grid, "%s", *heap);
    for (size_t i = 0; i < sizeof scaling_heaps / sizeof *scaling_heaps; i++)
        bench_grid_cell(&grid, "%s ÷ 1", scaling_heaps[i]);
    for (size_t i = 0; i < sizeof ratio_heaps / sizeof *ratio_heaps; i++)
        bench_grid_cell(&grid, "÷ %s", ratio_heaps[i]);
    for (size_t r = 0; r < count; r++) {
        const struct bench_workload *workload = bench_workload_find(rows[r].workload);
        if (workload && (workload->kind & WL_THREADS))
            put_row(&grid, document, &rows[r]);
    }
    if (grid.rows > 1) {
        puts(style == BENCH_MARKDOWN
                 ? "\n**Threads** (million operations a second, medians; ÷ 1: in proportion to the same heap with one thread; the "
                   "last columns: midden's in proportion to the peer's; higher is better)\n"
                 : "\nThreads: million operations a second; ÷ 1: over one thread's; then midden's over the peer's");
        bench_grid_print(&grid, style, 1);
    }
    bench_grid_free(&grid);
}
