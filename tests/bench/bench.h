/* bench.h: the parts of `midden bench` (cmd_*.c; the program links them, with libjansson).
 *
 *   cmd_bench.c    the command line        cmd_plan.c   which runs, in which order
 *   cmd_worker.c   one run in a process    cmd_report.c  what it wrote, as results
 *   cmd_json.c     JSON, and the file      cmd_figures.c medians of results
 *   cmd_grid.c, cmd_table.c, cmd_threads.c, cmd_garbage.c, cmd_memory.c, cmd_targets.c   what is printed of them */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog.h"

int cmd_bench(int argc, char **argv);

enum { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_USAGE = 2 };

/* --- the command line (cmd_bench.c) ---------------------------------------------------------------------- */

#define BENCH_CHOICES_MAX 32
struct choice {
    const char *name[BENCH_CHOICES_MAX];
    size_t count;
};
struct bench_request {
    struct choice workloads, heaps, variants;
    struct choice assignments; /* "depth=12", as given */
    unsigned repeat;
    unsigned timeout_seconds;
    bool quick, check, spinner;
    const char *json_path;
};
bool bench_choice_has(const struct choice *choice, const char *name);

/* --- the plan (cmd_plan.c) --------------------------------------------------------------------------------- */

struct bench_run {
    const struct bench_workload *workload;
    const struct bench_variant *variant;
    uint64_t params[BENCH_PARAMS_MAX];
    bool once;
};
struct bench_runs {
    struct bench_run *run;
    size_t count, room;
};
/* What the request asks for, in the order of one round. False: said on stderr why not. */
bool bench_plan_make(const struct bench_request *request, struct bench_runs *runs);
void bench_plan_free(struct bench_runs *runs);
/* What identifies a run's parameters to a reader: the workload's first one, and those that are not the default;
 * "depth=18". Cut to `room`. */
void bench_describe(const struct bench_workload *workload, const uint64_t *values, char *text, size_t room);

/* --- one run (cmd_worker.c, cmd_report.c) --------------------------------------------------------------------------------- */

struct run_outcome {
    json_t *results;     /* array of result objects, one a phase; owned by the caller */
    char version[64];    /* of the heap, as it says itself */
    char checksum[32];
    double seconds;      /* sum over the phases */
    char trouble[256];   /* empty: all went well */
};
/* Where worker-midden and its like are; false: nowhere. */
bool bench_worker_find(char *directory, size_t room);
void bench_worker_run(const char *directory, const struct bench_request *request, const struct bench_run *run, unsigned repeat,
                struct run_outcome *outcome);
/* The report, which is cut up, into outcome->results and the rest; what is wrong with it into outcome->trouble. */
void bench_report_read(char *report, const struct bench_run *run, unsigned repeat, struct run_outcome *outcome);

/* --- JSON (cmd_json.c) ---------------------------------------------------------------------------------------- */

json_t *bench_machine(void);
/* The file is tried when it is opened and takes its name when it is saved, which may be done again and again; a device or a
 * pipe has no `working` file and is written once. */
struct bench_file {
    const char *path;
    char *working; /* what is written to; null: path itself */
};
bool bench_file_open(struct bench_file *file, const char *path);
bool bench_file_save(struct bench_file *file, const json_t *document);
void bench_file_close(struct bench_file *file);
/* Read and validate a file of results; null: said on stderr why not. */
json_t *bench_results_read(const char *path);

/* --- figures (cmd_figures.c) ---------------------------------------------------------------------------------- */

/* Median and spread of one figure of one workload, phase, heap and variant over the repeats. */
struct figure {
    double median, least, most;
    size_t count; /* 0: there is none */
};
/* `params` as bench_describe says them; `key` "seconds", "net_rss_bytes", "call_ns.max" ... */
struct figure bench_figure(const json_t *document, const char *workload, const char *params, const char *phase, const char *heap,
                         const char *variant, const char *key);
/* The best (least; of utilisations, greatest) median over the variants of a heap that count as its own default use; acyclic never does.
 * *variant (may be null) says which. */
struct figure bench_figure_best(const json_t *document, const char *workload, const char *params, const char *phase,
                                const char *heap, const char *key, const char **variant);
/* One line of a table: results of the same workload, parameters and phase. */
struct figure_row {
    char workload[32], params[160], phase[32];
};
/* Rows in order of appearance; to be freed by the caller. */
struct figure_row *bench_rows(const json_t *document, size_t *count);

/* --- tables (cmd_grid.c, cmd_table.c, cmd_threads.c, cmd_garbage.c, cmd_memory.c, cmd_targets.c) ------------------------------------------------------ */

enum bench_style { BENCH_TEXT, BENCH_MARKDOWN };
enum { GRID_COLUMNS = 12, GRID_CELL = 112 };
struct bench_grid {
    char (*cells)[GRID_COLUMNS][GRID_CELL];
    size_t rows, room, columns;
};
/* Start a row, then fill its cells from left to right. The first row is the heading. */
void bench_grid_row(struct bench_grid *grid);
void bench_grid_cell(struct bench_grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print and free. `left` columns are text and aligned left. */
void bench_grid_print(struct bench_grid *grid, enum bench_style style, size_t left);
void bench_grid_free(struct bench_grid *grid);

void bench_print_tables(const json_t *document, enum bench_style style);
/* The part of it on the workloads with threads. */
void bench_print_threads(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style);
/* ... on the garbage outstanding, and what collecting takes beside the program. */
void bench_print_garbage(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style);
/* ... on what giving memory back takes, and how soon it has gone. */
void bench_print_memory(const json_t *document, const struct figure_row *rows, size_t count, enum bench_style style);
/* A line on where and with what the results were obtained, Markdown. */
void bench_print_machine(const json_t *document);
/* The targets that the results can decide, and whether they hold. */
void bench_print_targets(const json_t *document, enum bench_style style);

#endif
