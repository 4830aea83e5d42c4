/* alloc/region.h: regions of page runs; run.c allocates in them, pack.c empties sparse ones. */
#ifndef MID_ALLOC_REGION_H
#define MID_ALLOC_REGION_H

#include "alloc/alloc.h"

#define MID_REGION_PAGES (MID_REGION_SIZE / MID_PAGE)

typedef struct mid_region {
    struct mid_region *next, *prev;
    uint32_t free_pages;
    uint32_t longest;            /* no free run is longer; exact after a search that failed */
    uint32_t looked_at;          /* a->packings when it was found that it cannot be emptied, ... */
    bool stays;                  /* ... for something in it does not move */
    uint64_t used[MID_REGION_PAGES / 64];
    uint64_t dirty[MID_REGION_PAGES / 64]; /* free, with memory behind it */
    uint32_t name[MID_REGION_PAGES];       /* at a run's first page */
} mid_region;

#define MID_REGION_HEAD ((unsigned)((sizeof(mid_region) + MID_PAGE - 1) / MID_PAGE))

static inline bool mid_bit(const uint64_t *map, unsigned page)
{
    return map[page / 64] >> (page % 64) & 1;
}

static inline void mid_bits_set(uint64_t *map, unsigned page, unsigned count, bool value)
{
    for (unsigned p = page; p < page + count; p++)
        if (value)
            map[p / 64] |= (uint64_t)1 << (p % 64);
        else
            map[p / 64] &= ~((uint64_t)1 << (p % 64));
}

static inline unsigned mid_bits_count(const uint64_t *map, unsigned page, unsigned count)
{
    unsigned n = 0;
    for (unsigned p = page; p < page + count; p++)
        n += mid_bit(map, p);
    return n;
}

static inline unsigned mid_pages_of(size_t size)
{
    return (unsigned)((size + MID_PAGE - 1) / MID_PAGE);
}

static inline mid_region *mid_region_of(const void *at)
{
    return (mid_region *)((uintptr_t)at & ~(uintptr_t)(MID_REGION_SIZE - 1));
}

static inline unsigned mid_page_in(const mid_region *region, const void *at)
{
    return (unsigned)(((const char *)at - (const char *)region) / MID_PAGE);
}

static inline char *mid_page_at(mid_region *region, unsigned page)
{
    return (char *)region + (size_t)page * MID_PAGE;
}

/* Pages of runs in it. */
static inline unsigned mid_region_used(const mid_region *region)
{
    return MID_REGION_PAGES - MID_REGION_HEAD - region->free_pages;
}

/* First page of `count` free ones; 0: none, and `longest` is then exact. */
unsigned mid_region_find(mid_region *region, unsigned count);
/* Make pages used; those that are not dirty are charged. Dirty ones are cleared. */
mid_status mid_region_claim(mid_alloc *a, mid_region *region, unsigned page, unsigned count);
/* Make them free, with memory behind them or without. */
void mid_region_unclaim(mid_alloc *a, mid_region *region, unsigned page, unsigned count);
/* A region that its last run has left waits for the next; of two, one goes. */
void mid_region_left(mid_alloc *a, mid_region *region);

#endif
