/* measure.h: clocks, resident memory, a histogram, random numbers. Used by every worker program; nothing here allocates
 * from a heap, so that reading a figure does not change it. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Processor time of every thread of the process, user and system; and of the calling one. */
uint64_t cpu_ns(void);
uint64_t thread_cpu_ns(void);
/* Resident bytes now, exact where the kernel has smaps_rollup; and the most there ever were (VmHWM). */
uint64_t rss_bytes(void);
uint64_t peak_rss_bytes(void);
/* Resident bytes now, within some hundred KiB, in a time that does not grow with them: for curves. */
uint64_t resident_bytes(void);

/* A driver's own array: mapped, touched, and never part of what a heap is charged for. */
void *driver_array(size_t count, size_t item_size);

/* Log-linear: below 32 exact, above 32 steps to each power of two (3 % wide). */
#define HISTOGRAM_BUCKETS (60 * 32)
struct histogram {
    uint64_t count, max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    unsigned at = (unsigned)value;
    if (value >= 32) {
        unsigned power = 63u - (unsigned)__builtin_clzll(value);
        at = (power - 4) * 32 + (unsigned)((value >> (power - 5)) & 31);
    }
    h->bucket[at]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

/* The smallest recorded step that at least `share` (0 to 1) of the values do not exceed; its upper end. */
uint64_t histogram_quantile(const struct histogram *h, double share);
void histogram_clear(struct histogram *h);

/* Calls of one thread that took LONG_CALL or more, in order of time, and the sum of what they took. Room for MANY_CALLS: if there are more,
 * what depends on each of them is not known. */
enum { LONG_CALL = 10000, MANY_CALLS = 1 << 16 };
struct long_calls {
    uint64_t count, ns;
    uint64_t (*ends)[2]; /* begin and end of each */
};

void long_calls_add(struct long_calls *calls, uint64_t from, uint64_t to);
/* The least part of any `window` nanoseconds that was not spent in them. */
double long_calls_mmu(const struct long_calls *calls, uint64_t window);

/* xorshift64*: every back end sees the same sequence. */
struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * 0x2545F4914F6CDD1Dull;
}

static inline uint32_t random_below(struct random *r, uint32_t bound)
{
    return (uint32_t)(((random_next(r) >> 32) * bound) >> 32);
}

#endif
