/* main.c: the program `midden`. */
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab.h"
#include "midden/version.h"

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage, *meaning;
} commands[] = {
    {"bench", cmd_bench, "--workload NAME --heap NAME ...", "run workloads on heaps; see bench --help"},
    {"record", cmd_record, "-o TRACE -- COMMAND...", "record a program's allocations"},
    {"replay", cmd_replay, "TRACE --heap NAME [--json FILE]", "replay a trace on a heap: midden, boehm, malloc, "
                                                              "mimalloc, jemalloc"},
    {"explain", cmd_explain, "TRACE [--until PERCENT]", "replay a trace and compact: what moved, what had to, what was left"},
    {"report", cmd_report, "--replay FILE ... --bench FILE ... [-o PAGE]", "one table, and a page with curves"},
    {"ctl", cmd_ctl, "[--json] SOCKET REQUEST", "watch and steer the daemon of a program that runs; SOCKET help lists requests"},
    {"balance", cmd_balance, "--budget BYTES [--socket PATH]", "divide a budget of memory between the heaps that join it"},
    {"simulate", cmd_simulate, "RECORDING [--options TEXT] [--times N] [--csv [--every SECONDS]]",
     "what the daemon's rules would do with a recorded signal"},
    {"options", cmd_options, "[--man]", "the options of a heap and its daemon"},
    {"version", cmd_version, "", "the version"},
    {"help", cmd_help, "", "this text"},
};

#define COMMANDS (sizeof commands / sizeof *commands)

int lab_usage(const char *reason, ...)
{
    va_list args;
    va_start(args, reason);
    fputs("midden: ", stderr);
    vfprintf(stderr, reason, args);
    fputs(" (midden help shows the commands)\n", stderr);
    va_end(args);
    return 2;
}

int lab_error(const char *reason, ...)
{
    va_list args;
    va_start(args, reason);
    fputs("midden: ", stderr);
    vfprintf(stderr, reason, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

char *lab_find(const char *name, const char *built, const char *installed, char *into, size_t room)
{
    const char *const places[] = {built, installed};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = 0;
    const char *folder = dirname(self);
    for (size_t i = 0; i < 2; i++)
        if (snprintf(into, room, "%s/%s/%s", folder, places[i], name) < (int)room && access(into, R_OK) == 0)
            return into;
    lab_error("%s is neither in the build tree nor installed", name);
    return NULL;
}

const char *lab_value(int argc, char **argv, int *at)
{
    if (*at + 1 < argc)
        return argv[++*at];
    lab_usage("%s: %s needs a value", argv[0], argv[*at]);
    return NULL;
}

static int cmd_version(int argc, char **argv)
{
    if (argc > 1)
        return lab_usage("version: %s is not understood", argv[1]);
    int version = mid_version();
    printf("midden %d.%d.%d\n", version / 10000, version / 100 % 100, version % 100);
    return 0;
}

static int cmd_help(int argc, char **argv)
{
    if (argc > 1)
        return lab_usage("help: %s is not understood", argv[1]);
    puts("midden: a managed heap that moves; its benchmark and its laboratory\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  midden %s %s\n      %s\n", commands[i].name, commands[i].usage, commands[i].meaning);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return lab_usage("which command?");
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) {
            int status = commands[i].run(argc - 1, argv + 1);
            if (fflush(stdout) != 0 || ferror(stdout))
                return lab_error("cannot write to standard output");
            return status;
        }
    return lab_usage("no command is called %s", name);
}
