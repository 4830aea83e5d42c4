/* cmd_record.c: `midden record`: run a command with the recorder loaded into it. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"
#include "trace.h"

/* Only what is a trace, or empty, is ever removed. */
static bool is_trace(const char *path)
{
    char magic[8];
    struct stat found;
    if (lstat(path, &found) != 0 || !S_ISREG(found.st_mode))
        return false;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t got = fread(magic, 1, sizeof magic, file);
    fclose(file);
    return got == 0 || (got == sizeof magic && memcmp(magic, TRACE_MAGIC, sizeof magic) == 0);
}

/* NAME.PID or NAME.PID.N */
static bool is_childs(const char *entry, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(entry, name, length) != 0 || entry[length] != '.')
        return false;
    const char *rest = entry + length + 1;
    return *rest != 0 && rest[strspn(rest, "0123456789.")] == 0;
}

/* Visit the traces of children that lie beside `trace`; returns how many there are. */
static unsigned each_child(const char *trace, void (*visit)(const char *path))
{
    char folder[PATH_MAX], name[PATH_MAX], path[2 * PATH_MAX];
    unsigned count = 0;
    snprintf(folder, sizeof folder, "%s", trace);
    snprintf(name, sizeof name, "%s", trace);
    const char *base = basename(name), *where = dirname(folder);
    DIR *open = opendir(where);
    if (open == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", where, entry->d_name);
        if (is_childs(entry->d_name, base) && is_trace(path)) {
            count++;
            visit(path);
        }
    }
    closedir(open);
    return count;
}

static void remove_one(const char *path)
{
    unlink(path);
}

static void leave_alone(const char *path)
{
    (void)path;
}

/* The recorder makes the file itself; that it can is tried here, so that a bad name fails before the command runs. */
static bool prepare(const char *wanted, char *absolute)
{
    if (access(wanted, F_OK) == 0 && !is_trace(wanted)) {
        lab_error("%s exists and is no trace: it stays as it is", wanted);
        return false;
    }
    FILE *file = fopen(wanted, "ab");
    if (file == NULL || fclose(file) != 0 || realpath(wanted, absolute) == NULL) {
        lab_error("%s: %s", wanted, strerror(errno));
        return false;
    }
    unlink(absolute);
    each_child(absolute, remove_one);
    return true;
}

static bool set_environment(const char *recorder, const char *trace)
{
    char preload[2 * PATH_MAX];
    const char *before = getenv("LD_PRELOAD");
    if (strpbrk(recorder, " :") != NULL) {
        lab_error("%s: the loader takes no such name in LD_PRELOAD", recorder);
        return false;
    }
    snprintf(preload, sizeof preload, "%s%s%s", recorder, before != NULL ? ":" : "", before != NULL ? before : "");
    return setenv("LD_PRELOAD", preload, 1) == 0 && setenv("MIDDEN_RECORD", trace, 1) == 0;
}

static int run(char **command)
{
    int status;
    pid_t child = fork();
    if (child < 0)
        return lab_error("fork: %s", strerror(errno));
    if (child == 0) {
        execvp(command[0], command);
        fprintf(stderr, "midden: %s: %s\n", command[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }
    signal(SIGINT, SIG_IGN); /* the command's affair */
    signal(SIGQUIT, SIG_IGN);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return lab_error("waitpid: %s", strerror(errno));
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void tell(const char *trace)
{
    trace_header header;
    FILE *file = fopen(trace, "rb");
    bool ok = file != NULL && fread(&header, sizeof header, 1, file) == 1;
    if (file != NULL)
        fclose(file);
    if (!ok) {
        lab_error("nothing was recorded: is the command statically linked, set-user-ID, or did it not start?");
        return;
    }
    unsigned children = each_child(trace, leave_alone);
    fprintf(stderr, "midden: %s: %" PRIu64 " operations%s", trace, header.operations,
            header.stopped != 0 ? ", then recording ended" : "");
    if (children != 0)
        fprintf(stderr, "; %u more of its children beside it", children);
    fputc('\n', stderr);
}

int cmd_record(int argc, char **argv)
{
    const char *wanted = NULL;
    char trace[PATH_MAX], recorder[PATH_MAX];
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (strcmp(argv[at], "-o") != 0)
            return lab_usage("record: %s is not understood", argv[at]);
        if ((wanted = lab_value(argc, argv, &at)) == NULL)
            return 2;
    }
    if (wanted == NULL || at >= argc)
        return lab_usage("record: %s", wanted == NULL ? "-o TRACE is missing" : "which command?");
    if (lab_find("libmidden-record.so", ".", "../lib", recorder, sizeof recorder) == NULL ||
        !prepare(wanted, trace) || !set_environment(recorder, trace))
        return 1;
    int status = run(argv + at);
    tell(trace);
    return status;
}
