/* worker.h: what a workload is given. A worker program runs one workload once, on the one heap it was compiled for. */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include "backend.h"
#include "catalog.h"

/* One measured stretch. Filled by phase_begin, reported by phase_end. */
struct phase {
    uint64_t wall, cpu, mutator_cpu, beside_cpu; /* the last: of the spinner and the sampler */
    uint64_t wall_end; /* not 0: the stretch ended then, and what followed was waiting (phase_settle) */
    uint64_t unwaited; /* nanoseconds that the wait did not take as memory stood still */
};

struct run {
    be_heap *heap;
    const struct bench_workload *entry;
    bool check; /* the heap is verified at the end */
    uint64_t params[BENCH_PARAMS_MAX];
    uint64_t baseline; /* resident bytes before the heap was opened */
    uint64_t checksum; /* of the workload's data: every heap must come to the same */
    struct phase phase;
    struct histogram calls; /* latencies of the phase's calls; reported if there are any */
    struct long_calls long_calls; /* of them; if the workload has said run_times_calls */
    struct be_account account;    /* when the phase began */
};

struct workload {
    const char *name;
    void (*prepare)(struct run *run); /* maps the driver's own arrays; the heap is not open yet */
    void (*run)(struct run *run);
};

extern const struct workload wl_binary_trees, wl_gcbench, wl_churn, wl_r1, wl_r2, wl_r3, wl_r4, wl_rings, wl_list_drop, wl_chase,
    wl_steady, wl_micro, wl_larson, wl_xmalloc, wl_mstress, wl_mt_gcbench, wl_shared_map, wl_messages, wl_grid,
    wl_small_cycles, wl_actors, wl_old_root, wl_idle;
#if defined(BENCH_MIDDEN)
extern const struct workload wl_stops, wl_evacuate;
#endif

uint64_t run_param(const struct run *run, const char *name);

/* Part of the report, to standard output. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A thread of the workload's own is about to end: what it took of the processor is the program's, not the heap's. */
void mutator_ends(void);

void phase_begin(struct run *run);
/* Report the phase: `operations` done in it, `live` bytes asked for that are live now. */
void phase_end(struct run *run, const char *name, uint64_t operations, uint64_t live);
/* Ask for memory back, then wait until resident memory stands still, at most `milliseconds`. The quiet stretch at the end
 * counts as waiting and not as time of the phase. */
void phase_settle(struct run *run, uint64_t milliseconds);

/* For `prepare`: one thread calls the heap, and times its calls with run_called: one call, or a few. */
void run_times_calls(struct run *run);
static inline void run_called(struct run *run, uint64_t from, uint64_t to)
{
    histogram_add(&run->calls, to - from);
    if (__builtin_expect(to - from >= LONG_CALL, 0))
        long_calls_add(&run->long_calls, from, to);
}

/* The two used by all: mix a value into the checksum, order-independent; a random-number state from --seed. */
static inline uint64_t checksum_of(uint64_t value)
{
    value = (value + 1) * 0x9E3779B97F4A7C15ull;
    return (value ^ value >> 29) * 0xBF58476D1CE4E5B9ull;
}
static inline void run_checksum(struct run *run, uint64_t value)
{
    run->checksum += checksum_of(value);
}
struct random run_random(const struct run *run);

#endif
