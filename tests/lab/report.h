/* report.h: the parts of `midden report`: figures read from JSON files (report_load.c), one table of them
 * (report_table.c), charts drawn by gnuplot (report_plot.c, report_charts.c), the page (report_page.c). */
#ifndef MIDDEN_LAB_REPORT_H
#define MIDDEN_LAB_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef enum report_column {
    COLUMN_SECONDS, COLUMN_CPU, COLUMN_NS, COLUMN_LIVE, COLUMN_NET, COLUMN_RATIO, COLUMN_PEAK, COLUMN_STOP, COLUMNS
} report_column;

extern const char *const report_column_names[COLUMNS];

/* One line of the table: the medians over the repeats of a heap in a phase of a workload. NAN: no such figure. */
typedef struct report_row {
    char work[160], phase[40], heap[48];
    double value[COLUMNS];
} report_row;

typedef struct report {
    json_t *replays; /* array of the replay files' contents */
    json_t *results; /* array of all results of the bench files */
    json_t *machine; /* of the first bench file, or null */
    report_row *rows;
    size_t row_count;
    bool no_gnuplot; /* the charts could not be drawn */
} report;

bool report_open(report *to);
bool report_add_replay(report *to, const char *path);
bool report_add_bench(report *to, const char *path);
/* After everything was added. */
bool report_make_rows(report *to);
void report_close(report *of);

/* A figure as text, "" for none. */
const char *report_figure(const report_row *row, report_column column, char into[32]);
void report_print_table(const report *of, FILE *to);

/* Have gnuplot draw `script` and write the SVG into the page under `title`. */
void report_draw(report *of, FILE *page, const char *title, const char *script);
/* gnuplot's settings for a heap's line or bars: colour, dash and name. */
void report_style(FILE *script, const char *heap, const char *variant);
void report_charts(report *of, FILE *page);
void report_escape(FILE *page, const char *text);
bool report_page(report *of, const char *path);

/* A member's text, "" if it has none; its number, NAN if it has none. */
const char *report_text(const json_t *object, const char *key);
double report_number(const json_t *object, const char *key);
/* "boehm atomic", "midden" */
void report_heap_name(const json_t *result, char into[48]);

#endif
