/* daemon/balance.c: MemBalancer's rule.
 *
 * A heap that grows by E between collections of L live bytes spends g/E · L/s of a processor on them: g bytes allocated and s
 * bytes traced a second. Memory that costs c a byte makes the sum g L / (s E) + c E least at E = sqrt(L g / (c s)): the limit is
 * M = L + E. The c is *under* the root's fraction line: dear memory, small heaps. */
#include "daemon/balance.h"

#define RATIO_BITS 16u
#define RATIO_MOST (UINT64_C(1) << 36) /* a million times faster allocated than traced */
#define LIVE_MOST (UINT64_C(1) << 48)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t mid_root(unsigned __int128 x)
{
    uint64_t r = 0;
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t with = r | UINT64_C(1) << bit;
        if ((unsigned __int128)with * with <= x)
            r = with;
    }
    return r;
}

void mid_rate_allocation(mid_rates *r, uint64_t bytes, uint64_t micros)
{
    r->allocated_bytes = r->allocated_bytes - r->allocated_bytes / 20 + least(bytes, LIVE_MOST);
    r->allocated_micros = r->allocated_micros - r->allocated_micros / 20 + least(micros, LIVE_MOST);
}

void mid_rate_collection(mid_rates *r, uint64_t bytes, uint64_t micros)
{
    r->traced_bytes = r->traced_bytes / 2 + least(bytes, LIVE_MOST);
    r->traced_micros = r->traced_micros / 2 + least(micros, LIVE_MOST);
}

uint64_t mid_balance_growth(const mid_rates *r, uint64_t live, uint64_t worth)
{
    if (worth == 0 || r->allocated_micros == 0 || r->traced_micros == 0 || r->traced_bytes == 0)
        return 0;
    live = least(live, LIVE_MOST);
    /* g / s = (allocated_bytes / allocated_micros) · (traced_micros / traced_bytes), every factor below 2^53. */
    unsigned __int128 over = (unsigned __int128)r->allocated_bytes * r->traced_micros;
    unsigned __int128 under = (unsigned __int128)r->allocated_micros * r->traced_bytes;
    uint64_t ratio = over / under >= RATIO_MOST >> RATIO_BITS ? RATIO_MOST : (uint64_t)((over << RATIO_BITS) / under);
    /* L / c = L · worth · 100 < 2^95, so what the ratio adds must stay below 2^33: of what is larger, the last bits are nothing. */
    unsigned __int128 square = (unsigned __int128)live * least(worth, LIVE_MOST >> 8) * 100;
    uint64_t growth = mid_root(ratio >> 32 != 0 ? square * (ratio >> RATIO_BITS) : square * ratio >> RATIO_BITS);
    return growth < live / 10 ? live / 10 : least(growth, 4 * live);
}
