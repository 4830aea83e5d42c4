/* cmd_bench.c: `midden bench`: the command line, the rounds, and what is said at the end. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char usage_text[] =
    "usage: midden bench [options] [--PARAMETER VALUE[,VALUE...] ...]\n"
    "  --list             workloads with their parameters, heaps with their variants\n"
    "  --workload NAME    run this one (repeatable); without any, the set behind the table\n"
    "  --heap NAME        on this heap only (repeatable)\n"
    "  --variant NAME     in this variant only (repeatable); also those that do not run by default\n"
    "  --repeat N         N interleaved rounds (3 for the table, else 1)\n"
    "  --json FILE        write all results there\n"
    "  --table FILE       run nothing: print the tables of a file of results as Markdown\n"
    "  --micro            single calls (the workload micro), shorthand for --workload micro\n"
    "  --quick            tiny sizes, to see that everything works\n"
    "  --check            midden verifies its heap at the end of each run\n"
    "  --spinner          a thread beside the workload does nothing but look for gaps in its own running\n"
    "  --timeout SECONDS  for one run (600)\n";

enum { OPT_LIST = 1, OPT_WORKLOAD, OPT_HEAP, OPT_VARIANT, OPT_REPEAT, OPT_JSON, OPT_TABLE, OPT_MICRO, OPT_QUICK, OPT_CHECK,
       OPT_TIMEOUT, OPT_SPINNER, OPT_HELP, OPT_PARAMETER };

struct command {
    struct bench_request request;
    const char *table;
    bool list, micro, help;
    char assignment[BENCH_CHOICES_MAX][128];
};

static bool usage_error(const char *what, const char *which)
{
    fprintf(stderr, "midden bench: %s%s; see midden bench --help\n", what, which);
    return false;
}

static bool choose(struct choice *choice, const char *name)
{
    if (bench_choice_has(choice, name))
        return true;
    if (choice->count == BENCH_CHOICES_MAX)
        return usage_error("too many options before ", name);
    choice->name[choice->count++] = name;
    return true;
}

static bool positive(const char *text, unsigned *value)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || number == 0 || number > 1000000)
        return usage_error("not a number from 1 to 1000000: ", text);
    *value = (unsigned)number;
    return true;
}

static bool variant_known(const char *name)
{
    for (const struct bench_variant *v = bench_variants; v->name; v++)
        if (strcmp(v->name, name) == 0)
            return true;
    return false;
}

/* --depth 12 and the like: the parameters of all workloads are options. Returns false if it is none of them. */
static bool take_parameter(struct command *command, const char *name, const char *value)
{
    struct choice *assignments = &command->request.assignments;
    if (assignments->count == BENCH_CHOICES_MAX)
        return usage_error("too many options before --", name);
    char *text = command->assignment[assignments->count];
    if ((size_t)snprintf(text, sizeof command->assignment[0], "%s=%s", name, value) >= sizeof command->assignment[0])
        return usage_error("too long: --", name);
    assignments->name[assignments->count++] = text;
    return true;
}

static bool take_option(struct command *command, int option, const char *name, const char *value)
{
    struct bench_request *request = &command->request;
    switch (option) {
    case OPT_LIST: return command->list = true;
    case OPT_MICRO: return command->micro = true;
    case OPT_QUICK: return request->quick = true;
    case OPT_SPINNER: return request->spinner = true;
    case OPT_CHECK: return request->check = true;
    case OPT_HELP: return command->help = true;
    case OPT_REPEAT: return positive(value, &request->repeat);
    case OPT_TIMEOUT: return positive(value, &request->timeout_seconds);
    case OPT_JSON: request->json_path = value; return true;
    case OPT_TABLE: command->table = value; return true;
    case OPT_WORKLOAD:
        return bench_workload_find(value) ? choose(&request->workloads, value) : usage_error("no such workload: ", value);
    case OPT_HEAP: return bench_heap_known(value) ? choose(&request->heaps, value) : usage_error("no such heap: ", value);
    case OPT_VARIANT: return variant_known(value) ? choose(&request->variants, value) : usage_error("no such variant: ", value);
    default: return take_parameter(command, name, value);
    }
}

/* The fixed options, then one for every name of a parameter. */
static void all_options(struct option *options, size_t room)
{
    static const struct option fixed[] = {
        {"list", no_argument, NULL, OPT_LIST},           {"workload", required_argument, NULL, OPT_WORKLOAD},
        {"heap", required_argument, NULL, OPT_HEAP},     {"variant", required_argument, NULL, OPT_VARIANT},
        {"repeat", required_argument, NULL, OPT_REPEAT}, {"json", required_argument, NULL, OPT_JSON},
        {"table", required_argument, NULL, OPT_TABLE},   {"micro", no_argument, NULL, OPT_MICRO},
        {"quick", no_argument, NULL, OPT_QUICK},         {"check", no_argument, NULL, OPT_CHECK},
        {"timeout", required_argument, NULL, OPT_TIMEOUT}, {"spinner", no_argument, NULL, OPT_SPINNER},
        {"help", no_argument, NULL, OPT_HELP}};
    size_t count = sizeof fixed / sizeof *fixed;
    memcpy(options, fixed, sizeof fixed);
    for (const struct bench_workload *w = bench_workloads; w->name; w++) {
        for (int i = 0; i < BENCH_PARAMS_MAX && w->params[i].name; i++) {
            size_t k = 0;
            while (k < count && strcmp(options[k].name, w->params[i].name) != 0)
                k++;
            if (k == count && count + 1 < room) {
                options[count] = (struct option){w->params[i].name, required_argument, NULL, OPT_PARAMETER};
                count++;
            }
        }
    }
    options[count] = (struct option){0};
}

static bool parse(int argc, char **argv, struct command *command)
{
    struct option options[128];
    int at, option;
    all_options(options, sizeof options / sizeof *options);
    command->request.timeout_seconds = 600;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", options, &at)) != -1) {
        if (option == '?' || option == ':')
            return usage_error(option == ':' ? "a value is missing after " : "unknown option ", argv[optind - 1]);
        if (!take_option(command, option, options[at].name, optarg))
            return false;
    }
    if (optind < argc)
        return usage_error("unexpected: ", argv[optind]);
    if (command->micro && !choose(&command->request.workloads, "micro"))
        return false;
    if (command->request.repeat == 0)
        command->request.repeat = command->request.workloads.count == 0 && !command->request.quick ? 3 : 1;
    return true;
}

static void print_list(void)
{
    puts("workloads and their parameters");
    for (const struct bench_workload *w = bench_workloads; w->name; w++) {
        printf("  %-14s %s\n", w->name, w->summary);
        for (int i = 0; i < BENCH_PARAMS_MAX && w->params[i].name; i++)
            printf("      --%-18s %-12s %s\n", w->params[i].name, w->params[i].value, w->params[i].meaning);
        printf("      variants:");
        for (const struct bench_variant *v = bench_variants; v->name; v++)
            if (bench_variant_fits(v, w))
                printf(bench_variant_by_default(v, w) ? " %s:%s" : " (%s:%s)", v->heap, v->name);
        puts("");
    }
    printf("heaps\n ");
    for (const char *const *heap = bench_heaps; *heap; heap++)
        printf(" %s", *heap);
    puts("\nvariants in parentheses run only when named with --variant");
}

/* Every heap must have computed the same from the same workload and parameters. */
static bool checksum_agrees(const struct bench_runs *runs, size_t at, char (*checksums)[32])
{
    const struct bench_run *run = &runs->run[at];
    for (size_t i = 0; i < runs->count; i++) {
        const struct bench_run *other = &runs->run[i];
        if (i == at || checksums[i][0] == 0 || other->workload != run->workload ||
            memcmp(other->params, run->params, sizeof run->params) != 0)
            continue;
        if (strcmp(checksums[i], checksums[at]) != 0) {
            fprintf(stderr, "midden bench: %s: %s and %s disagree: %s, %s\n", run->workload->name, run->variant->heap,
                    other->variant->heap, checksums[at], checksums[i]);
            return false;
        }
    }
    return true;
}

/* One run of the plan; its results go into the document. Returns whether all was well. */
static bool one(const char *directory, const struct bench_request *request, const struct bench_runs *runs, size_t at,
                unsigned repeat, json_t *document, char (*checksums)[32])
{
    const struct bench_run *run = &runs->run[at];
    struct run_outcome outcome;
    char params[160];
    bench_describe(run->workload, run->params, params, sizeof params);
    fprintf(stderr, "[round %u of %u, %3zu/%zu] %-12s %-24s %-9s %-10s ", repeat, request->repeat, at + 1, runs->count,
            run->workload->name, params, run->variant->heap, run->variant->name);
    bench_worker_run(directory, request, run, repeat, &outcome);
    bool ok = outcome.trouble[0] == 0;
    if (ok) {
        fprintf(stderr, "%8.3f s\n", outcome.seconds);
        json_array_extend(json_object_get(document, "results"), outcome.results);
        json_object_set_new(json_object_get(json_object_get(document, "machine"), "heaps"), run->variant->heap,
                            json_string(outcome.version));
        memcpy(checksums[at], outcome.checksum, sizeof outcome.checksum);
        ok = checksum_agrees(runs, at, checksums);
    } else {
        fprintf(stderr, "%s\n", outcome.trouble);
    }
    json_decref(outcome.results);
    return ok;
}

/* Rounds are interleaved: A B C A B C. A file of results is brought up to date after each. */
static int rounds(const char *directory, const struct bench_request *request, const struct bench_runs *runs,
                  struct bench_file *file, json_t *document)
{
    size_t troubles = 0;
    char(*checksums)[32] = calloc(runs->count, sizeof *checksums);
    if (checksums == NULL)
        return BENCH_FAILED;
    for (unsigned repeat = 1; repeat <= request->repeat; repeat++) {
        for (size_t i = 0; i < runs->count; i++)
            if (!runs->run[i].once || repeat == 1)
                troubles += !one(directory, request, runs, i, repeat, document, checksums);
        bool save = file->working || (file->path && repeat == request->repeat);
        if (save && !bench_file_save(file, document)) {
            free(checksums);
            return BENCH_USAGE;
        }
    }
    free(checksums);
    if (troubles)
        fprintf(stderr, "midden bench: %zu runs failed\n", troubles);
    return troubles ? BENCH_FAILED : BENCH_OK;
}

static int run_all(const struct command *command, const struct bench_runs *runs)
{
    char directory[4200];
    struct bench_file file = {0};
    if (!bench_worker_find(directory, sizeof directory))
        return BENCH_USAGE;
    if (command->request.json_path && !bench_file_open(&file, command->request.json_path))
        return BENCH_USAGE;
    json_t *document = json_pack("{s:o,s:[]}", "machine", bench_machine(), "results");
    int status = document ? rounds(directory, &command->request, runs, &file, document) : BENCH_FAILED;
    bench_file_close(&file);
    if (document) {
        bench_print_tables(document, BENCH_TEXT);
        bench_print_targets(document, BENCH_TEXT);
    }
    json_decref(document);
    return status;
}

static int print_file(const char *path)
{
    json_t *document = bench_results_read(path);
    if (document == NULL)
        return BENCH_USAGE;
    bench_print_machine(document);
    bench_print_tables(document, BENCH_MARKDOWN);
    bench_print_targets(document, BENCH_MARKDOWN);
    json_decref(document);
    return BENCH_OK;
}

int cmd_bench(int argc, char **argv)
{
    static struct command command;
    struct bench_runs runs = {0};
    if (!parse(argc, argv, &command))
        return BENCH_USAGE;
    if (command.help) {
        fputs(usage_text, stdout);
        return BENCH_OK;
    }
    if (command.list) {
        print_list();
        return BENCH_OK;
    }
    if (command.table)
        return print_file(command.table);
    int status = bench_plan_make(&command.request, &runs) ? run_all(&command, &runs) : BENCH_USAGE;
    bench_plan_free(&runs);
    return status;
}
