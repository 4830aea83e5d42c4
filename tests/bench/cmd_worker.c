/* cmd_worker.c: one run: a worker program is started in a process of its own, and its report collected. */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { REPORT_MAX = 64 << 10, WORDS_MAX = 5 + BENCH_PARAMS_MAX + 1 };

/* In the build tree the workers are beside the program, installed they are in libexec. */
bool bench_worker_find(char *directory, size_t room)
{
    static const char *const places[] = {"bench", "../libexec/midden"};
    char self[4096], probe[8192];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return false;
    self[length] = 0;
    const char *home = dirname(self);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(probe, sizeof probe, "%s/%s/worker-malloc", home, places[i]);
        if (access(probe, X_OK) == 0)
            return (size_t)snprintf(directory, room, "%s/%s", home, places[i]) < room;
    }
    fprintf(stderr, "midden bench: there are no worker programs in %s/bench or %s/../libexec/midden\n", home, home);
    return false;
}

static pid_t start(const char *directory, const struct bench_request *request, const struct bench_run *run, int *from)
{
    char path[4200], words[BENCH_PARAMS_MAX][80];
    char *argv[WORDS_MAX + 1] = {path, (char *)run->workload->name, (char *)run->variant->name,
                                 request->check ? "check" : "nocheck", request->spinner ? "spinner" : "nospinner"};
    int ends[2];
    snprintf(path, sizeof path, "%s/worker-%s", directory, run->variant->heap);
    for (int i = 0; i < BENCH_PARAMS_MAX && run->workload->params[i].name; i++) {
        int length = snprintf(words[i], sizeof words[i], "%s=", run->workload->params[i].name);
        bench_param_write(run->workload->params[i].name, run->params[i], words[i] + length, sizeof words[i] - (size_t)length);
        argv[5 + i] = words[i];
    }
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(path, argv);
        fprintf(stderr, "midden bench: %s: %s\n", path, strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    *from = ends[0];
    if (child < 0)
        close(ends[0]);
    return child;
}

static int64_t milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* All that the worker writes until it ends; false: it took too long. */
static bool collect(int from, char *report, unsigned timeout_seconds)
{
    int64_t until = milliseconds() + (int64_t)timeout_seconds * 1000;
    size_t length = 0;
    for (;;) {
        int64_t left = until - milliseconds();
        struct pollfd wait = {.fd = from, .events = POLLIN};
        if (left <= 0)
            return false;
        if (poll(&wait, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        ssize_t got = read(from, report + length, REPORT_MAX - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return true;
        length += (size_t)got;
        report[length] = 0;
    }
}

void bench_worker_run(const char *directory, const struct bench_request *request, const struct bench_run *run, unsigned repeat,
                struct run_outcome *outcome)
{
    static char report[REPORT_MAX];
    int from, status = 0;
    *outcome = (struct run_outcome){.results = json_array()};
    report[0] = 0;
    pid_t child = start(directory, request, run, &from);
    if (child < 0) {
        snprintf(outcome->trouble, sizeof outcome->trouble, "it could not be started: %s", strerror(errno));
        return;
    }
    bool in_time = collect(from, report, request->timeout_seconds);
    close(from);
    if (!in_time)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!in_time)
        snprintf(outcome->trouble, sizeof outcome->trouble, "stopped: not done after %u s", request->timeout_seconds);
    else if (WIFSIGNALED(status))
        snprintf(outcome->trouble, sizeof outcome->trouble, "crashed: %s", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        snprintf(outcome->trouble, sizeof outcome->trouble, "failed with status %d", WEXITSTATUS(status));
    else
        bench_report_read(report, run, repeat, outcome);
}
