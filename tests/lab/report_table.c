/* report_table.c: the rows as one table of text. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "report.h"

const char *report_figure(const report_row *row, report_column column, char into[32])
{
    double value = row->value[column];
    into[0] = 0;
    if (isnan(value))
        return into;
    bool fine = column == COLUMN_SECONDS || column == COLUMN_CPU || column == COLUMN_STOP;
    int digits = fine ? 3 : column == COLUMN_RATIO ? 2 : 1;
    snprintf(into, 32, "%.*f", digits, value);
    return into;
}

static int widest(const report *of, size_t offset, int least)
{
    int widest = least;
    for (size_t i = 0; i < of->row_count; i++) {
        int length = (int)strlen((const char *)&of->rows[i] + offset);
        if (widest < length)
            widest = length;
    }
    return widest;
}

static int width(report_column column)
{
    int length = (int)strlen(report_column_names[column]);
    return length > 8 ? length : 8;
}

void report_print_table(const report *of, FILE *to)
{
    int work = widest(of, offsetof(report_row, work), 8), phase = widest(of, offsetof(report_row, phase), 5),
        heap = widest(of, offsetof(report_row, heap), 4);
    char figure[32];
    fprintf(to, "%-*s  %-*s  %-*s", work, "workload", phase, "phase", heap, "heap");
    for (int column = 0; column < COLUMNS; column++)
        fprintf(to, "  %*s", width(column), report_column_names[column]);
    fputc('\n', to);
    for (size_t i = 0; i < of->row_count; i++) {
        const report_row *row = &of->rows[i], *above = i != 0 ? row - 1 : NULL;
        bool same_work = above != NULL && strcmp(above->work, row->work) == 0;
        bool same_phase = same_work && strcmp(above->phase, row->phase) == 0;
        fprintf(to, "%-*s  %-*s  %-*s", work, same_work ? "" : row->work, phase, same_phase ? "" : row->phase, heap,
                row->heap);
        for (int column = 0; column < COLUMNS; column++)
            fprintf(to, "  %*s", width(column), report_figure(row, column, figure));
        fputc('\n', to);
    }
}
