/* worker.c: main of the worker programs: runs one workload and writes what it measured to standard output, a line at a time
 * (see README.md). Lines are put together on the stack and written with write(): stdio would use the measured heap. */
#include "worker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog.h"
#include "sampler.h"
#include "spinner.h"

static const struct workload *const workloads[] = {
    &wl_binary_trees, &wl_gcbench, &wl_churn, &wl_r1, &wl_r2, &wl_r3, &wl_r4, &wl_rings, &wl_list_drop, &wl_chase,
    &wl_steady, &wl_micro, &wl_larson, &wl_xmalloc, &wl_mstress, &wl_mt_gcbench, &wl_shared_map, &wl_messages,
    &wl_grid, &wl_small_cycles, &wl_actors, &wl_old_root, &wl_idle,
#if defined(BENCH_MIDDEN)
    &wl_stops, &wl_evacuate,
#endif
};

void be_die(const char *what, const char *why)
{
    fprintf(stderr, "worker: %s: %s\n", what, why);
    exit(3);
}

static atomic_ullong mutators_ended; /* processor time of threads that have ended */

void say(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof line || write(STDOUT_FILENO, line, (size_t)length) != length)
        be_die("write", "the report could not be written");
}

void mutator_ends(void)
{
    atomic_fetch_add(&mutators_ended, thread_cpu_ns());
}

static uint64_t mutator_cpu_ns(void)
{
    return thread_cpu_ns() + atomic_load(&mutators_ended);
}

uint64_t run_param(const struct run *run, const char *name)
{
    int at = bench_param_find(run->entry, name);
    if (at < 0)
        be_die("no such parameter", name);
    return run->params[at];
}

struct random run_random(const struct run *run)
{
    return (struct random){run_param(run, "seed") * 0x9E3779B97F4A7C15ull + 1};
}

static uint64_t beside_cpu_ns(void)
{
    return spinner_cpu_ns() + sampler_cpu_ns();
}

void phase_begin(struct run *run)
{
    struct histogram *pauses = be_pauses(run->heap);
    if (pauses)
        histogram_clear(pauses);
    histogram_clear(&run->calls);
    run->long_calls.count = run->long_calls.ns = 0;
    struct be_world before;
    be_world(run->heap, &before); /* its maxima are of the phase from here on */
    spinner_begin();
    be_account(run->heap, &run->account);
    sampler_begin();
    run->phase = (struct phase){
        .cpu = cpu_ns(), .mutator_cpu = mutator_cpu_ns(), .beside_cpu = beside_cpu_ns(), .wall = now_ns()};
}

static void say_calls(const struct histogram *h)
{
    if (h->count == 0)
        say(" calls=-");
    else
        say(" calls=%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, histogram_quantile(h, 0.5), histogram_quantile(h, 0.99),
            histogram_quantile(h, 0.999), h->max);
}

static void say_pauses(const struct histogram *h)
{
    if (h == NULL)
        say(" pauses=-");
    else
        say(" pauses=%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, h->count, histogram_quantile(h, 0.5),
            histogram_quantile(h, 0.999), h->max);
}

void run_times_calls(struct run *run)
{
    run->long_calls.ends = driver_array(MANY_CALLS, sizeof *run->long_calls.ends);
}

static void say_long_calls(const struct run *run)
{
    const struct long_calls *calls = &run->long_calls;
    if (run->calls.count == 0 || calls->ends == NULL) {
        say(" long=- mmu=-");
        return;
    }
    say(" long=%" PRIu64 ",%" PRIu64 " mmu=", calls->count, calls->ns);
    if (calls->count > MANY_CALLS)
        say("-");
    for (unsigned i = 0; i < BE_WINDOWS && calls->count <= MANY_CALLS; i++)
        say("%s%.6f", i == 0 ? "" : ",", long_calls_mmu(calls, be_windows_ms[i] * 1000000ull));
}

/* The heap's own account: of each cause how many in this phase and what they took, and the longest there ever was. */
static void say_account(struct run *run)
{
    struct be_account now;
    if (!be_account(run->heap, &now)) {
        say(" heap=- heapmmu=-\n");
        return;
    }
    say(" heap=");
    for (unsigned i = 0; i < now.count; i++)
        say("%s:%" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%" PRIu64 ",", now.causes[i].name,
            now.causes[i].count - run->account.causes[i].count, now.causes[i].ns - run->account.causes[i].ns, now.causes[i].max,
            now.causes[i].cpu_max);
    say(" heapmmu=%.6f,%.6f,%.6f,%.6f\n", now.mmu[0], now.mmu[1], now.mmu[2], now.mmu[3]);
}

static void say_memory(struct run *run, const struct sampled *sampled)
{
    struct be_world world;
    say("resident peak=%" PRIu64 " integral=%.0f settle=%" PRIu64 ",%" PRIu64 "\n", sampled->peak,
        sampled->byte_seconds, sampled->settle_ns, sampled->settle_cpu);
    if (be_world(run->heap, &world))
        say("world stops=%" PRIu64 ",%" PRIu64 ",%" PRIu64 " evacuation=%" PRIu64 " pools=%" PRIu64 ",%" PRIu64 "\n", world.stops,
            world.wall_max, world.cpu_max, world.evacuation_cpu, world.pools, world.optimal_pools);
}

void phase_end(struct run *run, const char *name, uint64_t operations, uint64_t live)
{
    uint64_t wall = (run->phase.wall_end ? run->phase.wall_end : now_ns()) - run->phase.wall;
    uint64_t beside = beside_cpu_ns() - run->phase.beside_cpu, cpu = cpu_ns() - run->phase.cpu - beside;
    uint64_t mutator = mutator_cpu_ns() - run->phase.mutator_cpu;
    struct sampled sampled;
    bool was_sampled = sampler_end(run->baseline, run->phase.unwaited, &sampled);
    const struct histogram *gaps = spinner_end();
    int64_t net = (int64_t)rss_bytes() - (int64_t)run->baseline;
    say("phase %s wall=%" PRIu64 " cpu=%" PRIu64 " operations=%" PRIu64 " live=%" PRIu64 " peak=%" PRIu64 " net=%" PRId64, name,
        wall, cpu, operations, live, peak_rss_bytes(), net);
    say_calls(&run->calls);
    say_pauses(be_pauses(run->heap));
    say_long_calls(run);
    say_account(run);
    say("mutator cpu=%" PRIu64 "\n", mutator);
    if (gaps)
        say("gaps %" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", gaps->count, histogram_quantile(gaps, 0.5),
            histogram_quantile(gaps, 0.999), gaps->max);
    if (was_sampled)
        say_memory(run, &sampled);
}

void phase_settle(struct run *run, uint64_t milliseconds)
{
    enum { QUIET_MS = 800, STEP_MS = 20, NOISE = 256 << 10 };
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000};
    be_shrink(run->heap);
    be_idle_enter(run->heap);
    uint64_t changed = now_ns(), start = changed, last = resident_bytes(), now = start;
    while (now - start < milliseconds * 1000000 && now - changed < QUIET_MS * 1000000ull) {
        nanosleep(&step, NULL);
        uint64_t rss = resident_bytes();
        now = now_ns();
        if (rss + NOISE < last || rss > last + NOISE)
            last = rss, changed = now;
    }
    be_idle_leave(run->heap);
    run->phase.wall_end = changed;
    run->phase.unwaited = now - start < milliseconds * 1000000 ? milliseconds * 1000000 - (now - start) : 0;
}

static void set_param(struct run *run, const char *assignment)
{
    char name[64];
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || (size_t)(equals - assignment) >= sizeof name)
        be_die("not name=value", assignment);
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = 0;
    int at = bench_param_find(run->entry, name);
    if (at < 0)
        be_die("no such parameter", name);
    const char *end = bench_param_read(name, equals + 1, &run->params[at]);
    if (end == NULL || *end != 0)
        be_die("not a value", assignment);
}

static const struct workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(workloads[i]->name, name) == 0)
            return workloads[i];
    be_die("no such workload", name);
}

/* worker WORKLOAD VARIANT CHECK SPINNER name=value ...   CHECK: check or nocheck, SPINNER: spinner or nospinner */
int main(int argc, char **argv)
{
    static struct run run;
    if (argc < 5)
        be_die("usage", "worker WORKLOAD VARIANT check|nocheck spinner|nospinner name=value ...");
    const struct workload *workload = find(argv[1]);
    run.entry = bench_workload_find(argv[1]);
    for (int i = 0; i < BENCH_PARAMS_MAX && run.entry->params[i].name; i++)
        bench_param_read(run.entry->params[i].name, run.entry->params[i].value, &run.params[i]); /* the first of a list */
    for (int i = 5; i < argc; i++)
        set_param(&run, argv[i]);
    run.check = strcmp(argv[3], "check") == 0;
    workload->prepare(&run);
    memset(&run.calls, 0, sizeof run.calls);
    if (strcmp(argv[4], "spinner") == 0)
        spinner_start();
    if (run.entry->kind & WL_MEMORY)
        sampler_start();
    run.baseline = rss_bytes();
    run.heap = be_open(argv[2]);
    say("heap %s %s\n", be_name(), be_version());
    workload->run(&run);
    if (run.check)
        be_check(run.heap);
    be_close(run.heap);
    say("done %" PRIx64 "\n", run.checksum);
    return 0;
}
