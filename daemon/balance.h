/* daemon/balance.h: how much a heap may grow before it is worth a collection, by the square-root rule of MemBalancer (Kirisame,
 * Shenoy, Panchekha: Optimal heap limits for reducing browser memory use, OOPSLA 2022). Pure functions. */
#ifndef MIDDEN_DAEMON_BALANCE_H
#define MIDDEN_DAEMON_BALANCE_H

#include <stdint.h>

/* Sums that forget: by 5 % with each interval of allocation, by half with each collection, as in the paper. */
typedef struct mid_rates {
    uint64_t allocated_bytes, allocated_micros;
    uint64_t traced_bytes, traced_micros;
} mid_rates;

void mid_rate_allocation(mid_rates *rates, uint64_t bytes, uint64_t micros);
/* A collection that left `bytes` alive and took `micros` of processor time. */
void mid_rate_collection(mid_rates *rates, uint64_t bytes, uint64_t micros);

/* The growth over `live` bytes that is enough: sqrt(L g / (c s)), at least a tenth of them and at most four times as many. c is a
 * hundredth of a processor for `worth` bytes. 0: nothing is known yet, or `worth` is 0. */
uint64_t mid_balance_growth(const mid_rates *rates, uint64_t live, uint64_t worth);

/* Of the square root, the whole part. */
uint64_t mid_root(unsigned __int128 square);

#endif
