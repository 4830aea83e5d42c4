/* report_page.c: the page: one file, nothing loaded from anywhere, light and dark. */
#include <errno.h>
#include <string.h>

#include "lab.h"
#include "midden/version.h"
#include "report.h"

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n<title>midden: report</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1c1c1c;--paper:#fff;--rule:#d0d0d0;--soft:#595959}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--rule:#444;--soft:#a8a8a8}}\n"
    "body{font:16px/1.5 sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;"
    "margin:2rem auto;padding:0 1rem}\n"
    "figure{margin:1.5rem 0}figcaption{font-weight:bold}\n"
    "svg{width:100%;height:auto}svg [color=black]{color:var(--ink)}svg [stroke=black]{stroke:var(--ink)}\n"
    "svg [fill=black]{fill:var(--ink)}\n"
    ".command{color:var(--soft);font:13px/1.4 monospace;overflow-wrap:anywhere}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}\n"
    "th:nth-child(-n+3),td:nth-child(-n+3){text-align:left}\n"
    "</style>\n</head>\n<body>\n<h1>midden: report</h1>\n";

static void write_machine(const report *of, FILE *page)
{
    const char *key;
    json_t *value;
    const char *between = "<p>Measured on: ";
    json_object_foreach(of->machine, key, value) {
        char number[32];
        const char *shown = json_string_value(value);
        if (json_is_number(value)) {
            snprintf(number, sizeof number, "%.15g", json_number_value(value));
            shown = number;
        }
        if (shown == NULL)
            continue;
        fputs(between, page);
        report_escape(page, key);
        fputc(' ', page);
        report_escape(page, shown);
        between = ", ";
    }
    if (between[0] == ',')
        fputs(".</p>\n", page);
}

static void cell(FILE *page, const char *text)
{
    fputs("<td>", page);
    report_escape(page, text);
    fputs("</td>", page);
}

static void write_table(const report *of, FILE *page)
{
    fputs("<h2>Figures</h2>\n<div class=\"wide\">\n<table>\n<caption>Medians over the repeats. Resident: resident memory "
          "less what it was before the heap was opened; peak: of a replay the same, of a benchmark the whole process's."
          "</caption>\n<thead><tr><th scope=\"col\">workload</th><th scope=\"col\">phase</th><th scope=\"col\">heap</th>",
          page);
    for (int column = 0; column < COLUMNS; column++)
        fprintf(page, "<th scope=\"col\">%s</th>", report_column_names[column]);
    fputs("</tr></thead>\n<tbody>\n", page);
    for (size_t i = 0; i < of->row_count; i++) {
        const report_row *row = &of->rows[i];
        char figure[32];
        fputs("<tr>", page);
        cell(page, row->work);
        cell(page, row->phase);
        cell(page, row->heap);
        for (int column = 0; column < COLUMNS; column++)
            cell(page, report_figure(row, column, figure));
        fputs("</tr>\n", page);
    }
    fputs("</tbody>\n</table>\n</div>\n", page);
}

bool report_page(report *of, const char *path)
{
    FILE *page = fopen(path, "w");
    if (page == NULL) {
        lab_error("%s: %s", path, strerror(errno));
        return false;
    }
    fputs(head, page);
    fprintf(page, "<p>midden %s</p>\n", MID_VERSION_STRING);
    write_machine(of, page);
    fputs("<h2>Charts</h2>\n", page);
    report_charts(of, page);
    write_table(of, page);
    fputs("</body>\n</html>\n", page);
    bool ok = ferror(page) == 0;
    if (fclose(page) == 0 && ok)
        return true;
    lab_error("%s cannot be written", path);
    return false;
}
