/* cmd_replay.c: `midden replay`: check a trace, replay it in a worker process, write what was measured as JSON.
 *
 * The worker runs twice: once for time, footprint and pauses, and once more with a clock around every call for the
 * calls' latencies, because reading the clock costs about as much as a call. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"
#include "plan.h"
#include "replay_json.h"

static const struct heap {
    const char *name, *variants; /* the first is the default */
} heaps[] = {{"midden", ""}, {"boehm", "atomic plain"}, {"malloc", ""}, {"mimalloc", ""}, {"jemalloc", ""}};

typedef struct request {
    const char *trace, *heap, *variant, *touch, *idle, *json;
    char first_variant[32];
    bool partial, check;
} request;

static const struct heap *find_heap(const char *name)
{
    for (size_t i = 0; i < sizeof heaps / sizeof *heaps; i++)
        if (strcmp(heaps[i].name, name) == 0)
            return &heaps[i];
    return NULL;
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; *at != 0; at += strcspn(at, " "), at += strspn(at, " "))
        if (strcspn(at, " ") == length && strncmp(at, word, length) == 0)
            return true;
    return length == 0 && *words == 0;
}

static bool is_number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return *end == 0 && end != text && value >= 0 && value <= 1000;
}

static int parse_values(request *to)
{
    if (!is_number(to->touch) || !is_number(to->idle))
        return lab_usage("replay: --touch and --idle take numbers from 0 to 1000");
    if (to->trace == NULL)
        return lab_usage("replay: which trace?");
    if (to->check)
        return to->heap == NULL && to->json == NULL ? 0 : lab_usage("replay: --check replays nothing");
    if (to->heap == NULL)
        return lab_usage("replay: --heap NAME is missing");
    const struct heap *heap = find_heap(to->heap);
    if (heap == NULL)
        return lab_usage("replay: no heap is called %s", to->heap);
    if (to->variant == NULL) {
        snprintf(to->first_variant, sizeof to->first_variant, "%.*s", (int)strcspn(heap->variants, " "), heap->variants);
        to->variant = to->first_variant;
    }
    return has_word(heap->variants, to->variant) ? 0
                                                 : lab_usage("replay: %s has no variant %s", to->heap, to->variant);
}

static int parse(request *to, int argc, char **argv)
{
    to->touch = "1";
    to->idle = "0";
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at], **value = NULL;
        if (strcmp(word, "--heap") == 0)
            value = &to->heap;
        else if (strcmp(word, "--variant") == 0)
            value = &to->variant;
        else if (strcmp(word, "--touch") == 0)
            value = &to->touch;
        else if (strcmp(word, "--idle") == 0)
            value = &to->idle;
        else if (strcmp(word, "--json") == 0)
            value = &to->json;
        else if (strcmp(word, "--partial") == 0)
            to->partial = true;
        else if (strcmp(word, "--check") == 0)
            to->check = true;
        else if (word[0] == '-' || to->trace != NULL)
            return lab_usage("replay: %s is not understood", word);
        else
            to->trace = word;
        if (value != NULL && (*value = lab_value(argc, argv, &at)) == NULL)
            return 2;
    }
    return parse_values(to);
}

/* The worker's standard output as a stream; its process in *child. */
static FILE *start_worker(const request *of, int plan_fd, const char *mode, pid_t *child)
{
    char name[64], path[PATH_MAX], fd[16];
    int ends[2];
    snprintf(name, sizeof name, "replay-%s", of->heap);
    snprintf(fd, sizeof fd, "%d", plan_fd);
    if (lab_find(name, "lab", "../libexec/midden", path, sizeof path) == NULL)
        return NULL;
    if (pipe(ends) != 0 || (*child = fork()) < 0) {
        lab_error("cannot start a process: %s", strerror(errno));
        return NULL;
    }
    if (*child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(path, path, fd, of->touch, of->idle, of->variant, mode, (char *)NULL);
        fprintf(stderr, "midden: %s: %s\n", path, strerror(errno));
        _exit(126);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

static bool run_worker(const request *of, int plan_fd, const char *mode, replay_result *into)
{
    pid_t child;
    FILE *lines = start_worker(of, plan_fd, mode, &child);
    if (lines == NULL)
        return false;
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    while (getline(&line, &room, lines) > 0)
        if (ok && !replay_result_line(into, line)) {
            lab_error("the worker said: %s", line);
            ok = false;
        }
    free(line);
    fclose(lines);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ok;
    lab_error("%s: the replay %s %d", of->heap, WIFSIGNALED(status) ? "was ended by signal" : "failed with status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

static void print_check(const trace *trace, const plan *plan)
{
    printf("operations %" PRIu64 "\nallocations %" PRIu64 "\nresizes %" PRIu64 "\nfrees %" PRIu64 "\nunknown %" PRIu64
           "\nthreads %" PRIu32 "\npeak_live_bytes %" PRIu64 "\npeak_live_blocks %" PRIu64 "\nend_live_bytes %" PRIu64
           "\nend_live_blocks %" PRIu64 "\nforked %d\ndropped %" PRIu64 "\nwhole %d\ncommand",
           trace->count, plan->allocations, plan->resizes, plan->frees, plan->unknown, plan->threads,
           plan->peak_live_bytes, plan->peak_live_blocks, plan->end_live_bytes, plan->end_live_blocks,
           (trace->header.flags & TRACE_FORKED) != 0, trace->header.dropped, !trace->cut);
    for (uint32_t at = 0; at < trace->header.command_bytes; at += (uint32_t)strlen(trace->header.command + at) + 1)
        printf(" %s", trace->header.command + at);
    putchar('\n');
}

static int replay(const request *of, const trace *trace, const plan *plan, int plan_fd)
{
    replay_result result = {.trace = trace, .plan = plan, .file = of->trace, .heap = of->heap,
                            .variant = of->variant, .touch = atof(of->touch)};
    if (!replay_result_open(&result))
        return lab_error("no memory");
    bool ok = run_worker(of, plan_fd, "run", &result) && run_worker(of, plan_fd, "calls", &result);
    if (ok)
        ok = replay_result_finish(&result, of->json);
    replay_result_close(&result);
    return ok ? 0 : 1;
}

int cmd_replay(int argc, char **argv)
{
    request wanted = {0};
    int status = parse(&wanted, argc, argv);
    if (status != 0)
        return status;
    trace trace;
    plan plan;
    if (!trace_open(&trace, wanted.trace, wanted.partial))
        return lab_error("%s", trace.error);
    int fd = plan_make(&trace, wanted.trace, &plan);
    bool ok = fd >= 0 && (!wanted.check || plan_check_overlap(&trace, wanted.trace));
    if (!ok)
        status = lab_error("%s", trace.error);
    else if (wanted.check)
        print_check(&trace, &plan);
    else
        status = replay(&wanted, &trace, &plan, fd);
    if (fd >= 0)
        close(fd);
    trace_close(&trace);
    return status;
}
