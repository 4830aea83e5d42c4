/* alloc/run.c: page runs, for blocks above what pools serve up to 1 MiB.
 *
 * A region is 4 MiB of an arena with its page maps in its first pages; runs are placed first-fit from the
 * lowest page. A freed run keeps its memory (dirty pages) while less than the reserve, or half the spare, is held so; then it
 * gives it back. */
#include <string.h>

#include "alloc/region.h"

static mid_region *region_new(mid_alloc *a, mid_status *status)
{
    *status = mid_book(a, MID_IN_RUNS, MID_REGION_HEAD * MID_PAGE);
    if (*status != MID_OK)
        return NULL;
    const unsigned units = (unsigned)MID_REGION_SIZE >> a->pool_shift;
    mid_pool *unit = mid_units_take(a, units, units, status);
    char *base = unit == NULL ? NULL : mid_pool_base(unit);
    if (base != NULL && !a->os.commit(a->os.ctx, base, MID_REGION_HEAD * (size_t)MID_PAGE)) {
        mid_units_give(a, unit, units);
        *status = MID_ENOMEM;
        base = NULL;
    }
    if (base == NULL) {
        mid_unbook(a, MID_IN_RUNS, MID_REGION_HEAD * MID_PAGE);
        return NULL;
    }
    for (unsigned u = 0; u < units; u++)
        unit[u].state = MID_UNIT_REGION;
    mid_region *region = (mid_region *)base;
    mid_bits_set(region->used, 0, MID_REGION_HEAD, true);
    region->free_pages = region->longest = MID_REGION_PAGES - MID_REGION_HEAD;
    region->prev = NULL;
    region->next = a->regions;
    if (a->regions != NULL)
        a->regions->prev = region;
    a->regions = region;
    return region;
}

static void region_give(mid_alloc *a, mid_region *region)
{
    unsigned dirty = mid_bits_count(region->dirty, 0, MID_REGION_PAGES);
    if (region->prev != NULL)
        region->prev->next = region->next;
    else
        a->regions = region->next;
    if (region->next != NULL)
        region->next->prev = region->prev;
    if (a->idle_region == region)
        a->idle_region = NULL;
    a->os.decommit(a->os.ctx, region, MID_REGION_SIZE);
    a->dirty_pages -= dirty;
    a->returned += (MID_REGION_HEAD + dirty) * (uint64_t)MID_PAGE;
    mid_unbook(a, MID_IN_RUNS, (MID_REGION_HEAD + dirty) * (size_t)MID_PAGE);
    mid_units_give(a, mid_pool_of(region), (unsigned)MID_REGION_SIZE >> a->pool_shift);
}

void mid_region_left(mid_alloc *a, mid_region *region)
{
    if (region->free_pages != MID_REGION_PAGES - MID_REGION_HEAD)
        return;
    if (a->idle_region != NULL && a->idle_region != region)
        region_give(a, region);
    else
        a->idle_region = region;
}

/* Free pages whose memory is worth keeping, in bytes. */
static uint64_t dirty_allowance(const mid_alloc *a)
{
    uint64_t used = a->bytes[MID_IN_RUNS] - a->dirty_pages * MID_PAGE;
    uint64_t spare = used / 200 * a->spare_percent;
    return spare > a->reserve ? spare : a->reserve;
}

unsigned mid_region_find(mid_region *region, unsigned count)
{
    unsigned run = 0, longest = 0;
    for (unsigned p = MID_REGION_HEAD; p < MID_REGION_PAGES; p++) {
        if (region->used[p / 64] == UINT64_MAX) {
            p |= 63;
            run = 0;
            continue;
        }
        run = mid_bit(region->used, p) ? 0 : run + 1;
        if (run == count)
            return p + 1 - count;
        if (run > longest)
            longest = run;
    }
    region->longest = longest;
    return 0;
}

/* Of those, the first `written` are overwritten at once: they need not be cleared. */
static mid_status claim(mid_alloc *a, mid_region *region, unsigned page, unsigned count, unsigned written)
{
    unsigned dirty;
    for (;;) {
        dirty = mid_bits_count(region->dirty, page, count);
        mid_status status = mid_book(a, MID_IN_RUNS, (count - dirty) * (size_t)MID_PAGE);
        if (status != MID_OK)
            return status;
        if (mid_bits_count(region->dirty, page, count) == dirty)
            break;
        mid_unbook(a, MID_IN_RUNS, (count - dirty) * (size_t)MID_PAGE); /* charging trimmed some of them */
    }
    char *at = mid_page_at(region, page);
    if (dirty != count && !a->os.commit(a->os.ctx, at, (size_t)count * MID_PAGE)) {
        mid_unbook(a, MID_IN_RUNS, (count - dirty) * (size_t)MID_PAGE);
        return MID_ENOMEM;
    }
    for (unsigned p = page + written; dirty != 0 && p < page + count; p++)
        if (mid_bit(region->dirty, p))
            memset(mid_page_at(region, p), 0, MID_PAGE);
    mid_bits_set(region->used, page, count, true);
    mid_bits_set(region->dirty, page, count, false);
    a->dirty_pages -= dirty;
    region->free_pages -= count;
    return MID_OK;
}

mid_status mid_region_claim(mid_alloc *a, mid_region *region, unsigned page, unsigned count)
{
    return claim(a, region, page, count, 0);
}

void mid_region_unclaim(mid_alloc *a, mid_region *region, unsigned page, unsigned count)
{
    mid_bits_set(region->used, page, count, false);
    region->free_pages += count;
    region->longest = MID_REGION_PAGES;
    if ((a->dirty_pages + count) * MID_PAGE <= dirty_allowance(a)) {
        mid_bits_set(region->dirty, page, count, true);
        a->dirty_pages += count;
        return;
    }
    a->os.decommit(a->os.ctx, mid_page_at(region, page), (size_t)count * MID_PAGE);
    a->returned += (uint64_t)count * MID_PAGE;
    mid_unbook(a, MID_IN_RUNS, (size_t)count * MID_PAGE);
}

/* The first place with room for so many pages, in the regions that there are. */
static mid_region *find_place(mid_alloc *a, unsigned count, unsigned *page)
{
    mid_region *region = a->regions;
    for (; region != NULL; region = region->next)
        if (region->free_pages >= count && region->longest >= count && (*page = mid_region_find(region, count)) != 0)
            break;
    return region;
}

/* Where `room` pages are free, if they are anywhere. */
static void *run_new(mid_alloc *a, unsigned count, unsigned room, unsigned written, uint32_t name, mid_status *status)
{
    unsigned page = 0;
    mid_region *region = find_place(a, room, &page);
    if (region == NULL && room != count)
        region = find_place(a, count, &page);
    if (region == NULL) {
        region = region_new(a, status);
        if (region == NULL)
            return NULL;
        page = mid_region_find(region, count);
    }
    if (region == a->idle_region) /* the charge may trim, and give the idle one back */
        a->idle_region = NULL;
    *status = claim(a, region, page, count, written);
    if (*status != MID_OK) {
        mid_region_left(a, region);
        return NULL;
    }
    region->name[page] = name;
    return mid_page_at(region, page);
}

void *mid_run_new(mid_alloc *a, size_t size, uint32_t name, mid_status *status)
{
    unsigned count = mid_pages_of(size);
    return run_new(a, count, count, 0, name, status);
}

void *mid_run_larger(mid_alloc *a, const void *at, size_t kept, size_t size, uint32_t name, mid_status *status)
{
    unsigned count = mid_pages_of(size);
    char *to = run_new(a, count, 2 * count, (unsigned)(kept / MID_PAGE), name, status);
    if (to != NULL)
        memcpy(to, at, kept);
    return to;
}

void mid_run_free(mid_alloc *a, void *at, size_t size)
{
    mid_region *region = mid_region_of(at);
    mid_region_unclaim(a, region, mid_page_in(region, at), mid_pages_of(size));
    mid_region_left(a, region);
}

void mid_run_rename(mid_alloc *a, void *at, uint32_t name)
{
    (void)a;
    mid_region_of(at)->name[mid_page_in(mid_region_of(at), at)] = name;
}

bool mid_run_resize_in_place(mid_alloc *a, void *at, size_t old_size, size_t new_size)
{
    mid_region *region = mid_region_of(at);
    unsigned page = mid_page_in(region, at), had = mid_pages_of(old_size), want = mid_pages_of(new_size);
    if (want < had)
        mid_region_unclaim(a, region, page + want, had - want);
    if (want > had) {
        if (page + want > MID_REGION_PAGES || mid_bits_count(region->used, page + had, want - had) != 0 ||
            mid_region_claim(a, region, page + had, want - had) != MID_OK)
            return false;
    }
    return true;
}

size_t mid_runs_trim(mid_alloc *a, size_t pages)
{
    size_t given = 0;
    for (mid_region *region = a->regions; region != NULL && a->dirty_pages != 0; region = region->next)
        for (unsigned p = MID_REGION_HEAD; p < MID_REGION_PAGES && (pages == 0 || given < pages); p++) {
            unsigned end = p;
            while (end < MID_REGION_PAGES && mid_bit(region->dirty, end))
                end++;
            if (end == p)
                continue;
            a->os.decommit(a->os.ctx, mid_page_at(region, p), (size_t)(end - p) * MID_PAGE);
            mid_bits_set(region->dirty, p, end - p, false);
            given += end - p;
            a->dirty_pages -= end - p;
            mid_unbook(a, MID_IN_RUNS, (size_t)(end - p) * MID_PAGE);
            p = end;
        }
    a->returned += given * MID_PAGE;
    if (a->idle_region != NULL && (pages == 0 || given < pages)) {
        uint64_t before = a->returned;
        region_give(a, a->idle_region);
        return given * MID_PAGE + (size_t)(a->returned - before);
    }
    return given * MID_PAGE;
}

uint64_t mid_runs_maps(const mid_alloc *a)
{
    uint64_t bytes = 0;
    for (const mid_region *region = a->regions; region != NULL; region = region->next)
        bytes += MID_REGION_HEAD * (uint64_t)MID_PAGE;
    return bytes;
}

const char *mid_runs_check(mid_alloc *a)
{
    uint64_t dirty = 0, held = 0;
    for (mid_region *region = a->regions, *before = NULL; region != NULL; before = region, region = region->next) {
        if (region->prev != before || mid_pool_of(region)->state != MID_UNIT_REGION)
            return "the list of regions is broken";
        unsigned used = mid_bits_count(region->used, 0, MID_REGION_PAGES);
        if (used + region->free_pages != MID_REGION_PAGES)
            return "a region's number of free pages is wrong";
        for (unsigned w = 0; w < MID_REGION_PAGES / 64; w++)
            if ((region->used[w] & region->dirty[w]) != 0)
                return "a used page is marked as free memory";
        dirty += mid_bits_count(region->dirty, 0, MID_REGION_PAGES);
        held += used;
    }
    uint64_t spans = 0;
    for (uint32_t i = 0; i < a->arena_count; i++) {
        mid_pool *units = (mid_pool *)((mid_arena *)a->arenas.data)[i].base;
        for (unsigned u = 1; u < a->units; u++)
            spans += units[u].state == MID_UNIT_SPAN;
    }
    if (dirty != a->dirty_pages)
        return "the number of dirty pages is wrong";
    return (held + dirty) * MID_PAGE + spans * a->pool_size == a->bytes[MID_IN_RUNS] ? NULL : "bytes of page runs are wrong";
}
