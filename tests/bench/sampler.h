/* sampler.h: a thread of the worker that reads resident memory every few milliseconds of a phase, whatever the program does: its
 * peak, its integral over time, and when it settled. It is no thread of the heap's. For workloads with one thread. */
#ifndef BENCH_SAMPLER_H
#define BENCH_SAMPLER_H

#include <stdbool.h>

#include "measure.h"

struct sampled {
    uint64_t peak;       /* bytes beyond the baseline, like the next */
    double byte_seconds;
    uint64_t settle_ns;  /* from the begin until they were within 2 % of where they end, and stayed so */
    uint64_t settle_cpu; /* processor time until then of threads that are neither the program's nor the worker's own */
};

/* Once, by the thread that runs the workload, before the heap is open. Without it the other calls do nothing. */
void sampler_start(void);
void sampler_begin(void);
/* False: nobody looked. `more_ns`: time beyond now that counts into the integral as if memory stayed what it is. */
bool sampler_end(uint64_t baseline, uint64_t more_ns, struct sampled *sampled);
/* Processor time it has taken, to be subtracted from the program's. */
uint64_t sampler_cpu_ns(void);

#endif
