/* cmd_grid.c: a table of text, aligned for a terminal or as Markdown. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void bench_grid_row(struct bench_grid *grid)
{
    if (grid->rows == grid->room) {
        size_t room = grid->room ? 2 * grid->room : 32;
        void *grown = realloc(grid->cells, room * sizeof *grid->cells);
        if (grown == NULL) {
            fprintf(stderr, "midden bench: out of memory\n");
            exit(BENCH_FAILED);
        }
        grid->cells = grown;
        grid->room = room;
    }
    memset(grid->cells[grid->rows++], 0, sizeof *grid->cells);
    grid->columns = 0;
}

void bench_grid_cell(struct bench_grid *grid, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (grid->columns < GRID_COLUMNS)
        vsnprintf(grid->cells[grid->rows - 1][grid->columns++], GRID_CELL, format, args);
    va_end(args);
}

/* Display width: the cells hold UTF-8, of which only signs of one column are used. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_cell(const char *text, size_t width, bool left)
{
    int pad = (int)(width - width_of(text));
    if (left)
        printf("%s%*s", text, pad, "");
    else
        printf("%*s%s", pad, "", text);
}

static void print_rule(const size_t *width, size_t columns, size_t left)
{
    for (size_t c = 0; c < columns; c++) {
        printf("|%s", c < left ? " :" : " -");
        for (size_t i = 2; i < width[c]; i++)
            putchar('-');
        printf("%s", c < left ? "- " : ": ");
    }
    puts("|");
}

void bench_grid_print(struct bench_grid *grid, enum bench_style style, size_t left)
{
    size_t width[GRID_COLUMNS] = {0}, columns = 0;
    for (size_t r = 0; r < grid->rows; r++)
        for (size_t c = 0; c < GRID_COLUMNS; c++)
            if (width_of(grid->cells[r][c]) > width[c]) {
                width[c] = width_of(grid->cells[r][c]);
                columns = c + 1 > columns ? c + 1 : columns;
            }
    for (size_t c = 0; style == BENCH_MARKDOWN && c < columns; c++)
        width[c] = width[c] < 3 ? 3 : width[c];
    for (size_t r = 0; r < grid->rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            fputs(style == BENCH_MARKDOWN ? "| " : c ? "  " : "", stdout);
            print_cell(grid->cells[r][c], width[c], c < left);
            fputs(style == BENCH_MARKDOWN ? " " : "", stdout);
        }
        puts(style == BENCH_MARKDOWN ? "|" : "");
        if (r == 0 && style == BENCH_MARKDOWN)
            print_rule(width, columns, left);
    }
    bench_grid_free(grid);
}

void bench_grid_free(struct bench_grid *grid)
{
    free(grid->cells);
    *grid = (struct bench_grid){0};
}
