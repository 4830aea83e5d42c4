/* tests/kinds/main.c: runs the cases, ours and CPython's in turn, and writes one table. Arguments: a part of the names of those to run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/kinds/kinds.h"
#include "tests/kinds/tables.h"

#define ROUNDS 21

#define X(times, holds) extern const struct timed times[]; extern const struct held holds[];
CASE_TABLES(X)
#undef X

mid_heap *heap;
mid_thread *thread;
mid_kinds kinds;

void case_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
    if (PyErr_Occurred())
        PyErr_Print();
    exit(1);
}

static void *touched(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED);
    memset(at, 1, bytes);
    return at;
}

/* One room serves all: it is never given back. */
static void *room(size_t bytes)
{
    static void *at;
    static size_t have;
    if (bytes > have) {
        at = touched(bytes);
        have = bytes;
    }
    return at;
}

mid_handle *handles(size_t count)
{
    return room(count * sizeof(mid_handle));
}

PyObject **pointers(size_t count)
{
    return room(count * sizeof(PyObject *));
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double once(const struct side *side, size_t count)
{
    if (side->before != NULL)
        side->before(count);
    double began = now();
    side->run(count);
    double took = now() - began;
    if (side->after != NULL)
        side->after(count);
    must(!PyErr_Occurred());
    mid_safepoint(thread);
    return took / (double)count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static void row(const char *name, const char *unit, double ours, double theirs)
{
    printf("| %-34s | %7s | %8.2f | %8.2f | %6.2f |\n", name, unit, ours, theirs, ours / theirs);
    fflush(stdout);
}

static void time_case(const struct timed *c)
{
    double ours[ROUNDS], theirs[ROUNDS];
    once(&c->ours, c->count);
    once(&c->theirs, c->count);
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = once(&c->ours, c->count);
        theirs[i] = once(&c->theirs, c->count);
    }
    row(c->name, "ns", median(ours), median(theirs));
}

static double resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    must(file != NULL && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* In a child, so that nothing which was freed before is used again. */
static double weigh(void (*hold)(size_t), size_t count)
{
    int ends[2];
    double bytes = 0;
    must(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        pointers(count); /* before: and all of what the parent had is there already */
        double before = resident();
        hold(count);
        bytes = (resident() - before) / (double)count;
        must(write(ends[1], &bytes, sizeof bytes) == (ssize_t)sizeof bytes);
        _exit(0);
    }
    close(ends[1]);
    must(read(ends[0], &bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    close(ends[0]);
    must(waitpid(child, NULL, 0) == child);
    return bytes;
}

static void time_table(const struct timed *timed, const char *part)
{
    for (; timed->name != NULL; timed++)
        if (strstr(timed->name, part) != NULL)
            time_case(timed);
}

static void weigh_table(const struct held *held, const char *part)
{
    for (; held->name != NULL; held++)
        if (strstr(held->name, part) != NULL)
            row(held->name, "bytes", weigh(held->ours, held->count), weigh(held->theirs, held->count));
}

int main(int count, char **arguments)
{
    const char *part = count > 1 ? arguments[1] : "";
    mid_options options;
    mid_options_init(&options);
    must(mid_options_parse(&options, getenv("KINDS_OPTIONS") != NULL ? getenv("KINDS_OPTIONS") : "", NULL) == MID_OK);
    Py_InitializeEx(0);
    PyGC_Disable(); /* both sides are measured without their collectors */
    must(mid_heap_open(&heap, &options) == MID_OK && mid_thread_attach(heap, &thread) == MID_OK && mid_kinds_open(heap, &kinds) == MID_OK);
    printf("| %-34s | %7s | %8s | %8s | %6s |\n|:---|---:|---:|---:|---:|\n", "", "", "midden", "CPython", "ratio");
#define X(times, holds) weigh_table(holds, part); /* first: while there is nothing yet that could be given back meanwhile */
    CASE_TABLES(X)
#undef X
#define X(times, holds) time_table(times, part);
    CASE_TABLES(X)
#undef X
    return mid_heap_close(heap) == MID_OK ? 0 : 1;
}
