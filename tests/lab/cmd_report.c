/* cmd_report.c: `midden report`: one table on standard output, and with -o a page. */
#include <string.h>

#include "lab.h"
#include "report.h"

/* 0, or the exit status. */
static int read_arguments(report *to, int argc, char **argv, const char **page)
{
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        bool replay = strcmp(word, "--replay") == 0, bench = strcmp(word, "--bench") == 0;
        if (!replay && !bench && strcmp(word, "-o") != 0)
            return lab_usage("report: %s is not understood", word);
        const char *value = lab_value(argc, argv, &at);
        if (value == NULL)
            return 2;
        if (!replay && !bench)
            *page = value;
        else if (!(replay ? report_add_replay(to, value) : report_add_bench(to, value)))
            return 1;
    }
    if (json_array_size(to->replays) + json_array_size(to->results) == 0)
        return lab_usage("report: of what? --replay FILE and --bench FILE say it");
    return 0;
}

int cmd_report(int argc, char **argv)
{
    report all;
    const char *page = NULL;
    if (!report_open(&all))
        return lab_error("no memory");
    int status = read_arguments(&all, argc, argv, &page);
    if (status == 0 && !report_make_rows(&all))
        status = lab_error("no memory");
    if (status == 0) {
        report_print_table(&all, stdout);
        if (page != NULL && !report_page(&all, page))
            status = 1;
    }
    report_close(&all);
    return status;
}
