/* alloc/pack.c: page runs moved together, so that regions come free.
 *
 * Free pages of a region give their memory back by themselves. What comes free with a region are the pages of its head, its
 * address space, and the arena, sooner or later; so a run is moved only out of a region that can be emptied.
 *
 * The sparsest is emptied first, its largest runs first (those that might find no room), each into the fullest region that has
 * room. Runs only ever move into fuller regions, or such as cannot be emptied. This is first fit decreasing, not the optimum: to
 * pack runs into the fewest regions is bin packing, and holes between runs that stay are as they are. */
#include <string.h>

#include "alloc/region.h"

typedef struct run {
    unsigned page;
    size_t size;
} run;

/* Not both ways round for two regions. */
static bool fuller(const mid_region *region, const mid_region *than)
{
    return region->free_pages != than->free_pages ? region->free_pages < than->free_pages : region < than;
}

static bool looked_at(const mid_alloc *a, const mid_region *region)
{
    return region->looked_at == a->packings;
}

static mid_region *sparsest(mid_alloc *a)
{
    mid_region *found = NULL;
    for (mid_region *region = a->regions; region != NULL; region = region->next)
        if (mid_region_used(region) != 0 && !looked_at(a, region) && (found == NULL || fuller(found, region)))
            found = region;
    return found;
}

static bool may_receive(const mid_alloc *a, const mid_region *region, const mid_region *from)
{
    return region != from && mid_region_used(region) != 0 &&
           (fuller(region, from) || (looked_at(a, region) && region->stays));
}

static bool pages_enough(const mid_alloc *a, const mid_region *from)
{
    uint64_t pages = 0;
    for (const mid_region *region = a->regions; region != NULL; region = region->next)
        pages += may_receive(a, region, from) ? region->free_pages : 0;
    return pages >= mid_region_used(from);
}

static mid_region *room_for(mid_alloc *a, const mid_region *from, unsigned count, unsigned *page)
{
    mid_region *found = NULL;
    for (mid_region *region = a->regions; region != NULL; region = region->next) {
        if (region->free_pages < count || region->longest < count || !may_receive(a, region, from) ||
            (found != NULL && fuller(found, region)))
            continue;
        unsigned at = mid_region_find(region, count);
        if (at == 0)
            continue;
        *page = at;
        found = region;
    }
    return found;
}

/* False: something in it stays. */
static bool largest(mid_alloc *a, mid_region *region, run *found)
{
    *found = (run){0};
    for (unsigned p = MID_REGION_HEAD; p < MID_REGION_PAGES;) {
        bool stays = false;
        if (!mid_bit(region->used, p)) {
            p++;
            continue;
        }
        size_t size = a->run_size(a->owner, region->name[p], mid_page_at(region, p), &stays);
        if (size == 0 || stays)
            return false;
        if (size > found->size)
            *found = (run){p, size};
        p += mid_pages_of(size);
    }
    return true;
}

static void move(mid_alloc *a, mid_region *from, const run *r, mid_region *to, unsigned page)
{
    uint32_t name = from->name[r->page];
    memcpy(mid_page_at(to, page), mid_page_at(from, r->page), r->size);
    to->name[page] = name;
    a->run_moved(a->owner, name, mid_page_at(to, page));
    mid_run_free(a, mid_page_at(from, r->page), r->size);
}

void mid_runs_pack_begin(mid_alloc *a)
{
    a->packings++;
}

size_t mid_runs_pack(mid_alloc *a)
{
    for (;;) {
        mid_region *from = sparsest(a), *to = NULL;
        unsigned page = 0;
        run r;
        if (from == NULL)
            return 0;
        from->stays = !largest(a, from, &r);
        if (!from->stays && pages_enough(a, from))
            to = room_for(a, from, mid_pages_of(r.size), &page);
        if (to != NULL && mid_region_claim(a, to, page, mid_pages_of(r.size)) == MID_OK) {
            move(a, from, &r, to, page);
            return r.size;
        }
        from->looked_at = a->packings;
    }
}

void mid_runs_count(const mid_alloc *a, uint64_t *regions, uint64_t *least)
{
    uint64_t pages = 0;
    const uint64_t whole = MID_REGION_PAGES - MID_REGION_HEAD;
    *regions = 0;
    for (const mid_region *region = a->regions; region != NULL; region = region->next) {
        *regions += mid_region_used(region) != 0;
        pages += mid_region_used(region);
    }
    *least = (pages + whole - 1) / whole;
}
