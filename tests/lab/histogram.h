/* histogram.h: durations in nanoseconds, in buckets an eighth of a power of two wide. No allocation. */
#ifndef MIDDEN_LAB_HISTOGRAM_H
#define MIDDEN_LAB_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 496

typedef struct histogram {
    uint64_t count, total, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram;

static inline unsigned histogram_bucket(uint64_t nanos)
{
    if (nanos < 8)
        return (unsigned)nanos;
    unsigned power = 63u - (unsigned)__builtin_clzll(nanos);
    return (power - 2) * 8 + (unsigned)(nanos >> (power - 3) & 7);
}

/* The first duration that is beyond the bucket. */
static inline uint64_t histogram_end(unsigned bucket)
{
    if (bucket < 8)
        return bucket + 1;
    return (uint64_t)(9 + bucket % 8) << (bucket / 8 - 1);
}

static inline void histogram_add(histogram *to, uint64_t nanos)
{
    to->count++;
    to->total += nanos;
    if (to->max < nanos)
        to->max = nanos;
    to->buckets[histogram_bucket(nanos)]++;
}

/* No more than `permille` of a thousand durations are above the result, which is off by an eighth at most. */
static inline uint64_t histogram_quantile(const histogram *of, unsigned permille)
{
    uint64_t above = of->count * (1000 - permille) / 1000, seen = 0;
    for (unsigned i = HISTOGRAM_BUCKETS; i-- > 0;) {
        seen += of->buckets[i];
        if (seen > above) {
            uint64_t end = histogram_end(i) - 1;
            return end < of->max ? end : of->max;
        }
    }
    return 0;
}

#endif
