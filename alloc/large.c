/* alloc/large.c: blocks that are too large for pools, whatever their shape. The size alone decides between a page run and a mapping. */
#include <string.h>

#include "alloc/region.h"

size_t mid_large_bytes(size_t size)
{
    return mid_round(size, MID_PAGE);
}

/* What the layer above never moves has an odd name. */
static uint64_t *live_of(mid_alloc *a, uint32_t name)
{
    return name & 1 ? &a->large_blocks : &a->large_live;
}

uint32_t mid_large_name(const mid_alloc *a, const void *at)
{
    if ((uintptr_t)at % MID_PAGE != 0)
        return 0;
    if (!mid_arena_known(a, mid_arena_of(at)))
        return mid_mapping_name(a, at);
    const mid_pool *unit = mid_pool_in(a, at);
    if (unit->state == MID_UNIT_SPAN)
        return mid_pool_begin(a, at) == at ? unit->inline_names[0] : 0;
    if (unit->state != MID_UNIT_REGION)
        return 0;
    const mid_region *region = mid_region_of(at);
    const unsigned page = mid_page_in(region, at);
    return page >= MID_REGION_HEAD && mid_bit(region->used, page) ? region->name[page] : 0;
}

void *mid_large_new(mid_alloc *a, size_t size, uint32_t name, mid_status *status)
{
    void *at = size <= MID_RUN_MAX ? mid_run_new(a, size, name, status) : mid_mapping_new(a, size, name, status);
    if (at != NULL)
        *live_of(a, name) += mid_large_bytes(size);
    return at;
}

void mid_large_free(mid_alloc *a, void *at, size_t size, uint32_t name)
{
    *live_of(a, name) -= mid_large_bytes(size);
    if (size <= MID_RUN_MAX)
        mid_run_free(a, at, size);
    else
        mid_mapping_free(a, at, name);
}

void mid_large_rename(mid_alloc *a, void *at, size_t size, uint32_t name)
{
    if (size <= MID_RUN_MAX)
        mid_run_rename(a, at, name);
    else
        mid_mapping_rename(a, at, name);
}

void mid_large_pass(mid_alloc *a, void *at, size_t size, uint32_t from, uint32_t to)
{
    *live_of(a, from) -= mid_large_bytes(size);
    *live_of(a, to) += mid_large_bytes(size);
    mid_large_rename(a, at, size, to);
}

static void *resize_in_place(mid_alloc *a, void *at, size_t old_size, size_t new_size, uint32_t name, bool stay,
                             mid_status *status)
{
    *status = MID_EPINNED;
    if (old_size <= MID_RUN_MAX && new_size <= MID_RUN_MAX) {
        if (!mid_run_resize_in_place(a, at, old_size, new_size))
            return NULL;
        *status = MID_OK;
        return at;
    }
    if (old_size > MID_RUN_MAX && new_size > MID_RUN_MAX)
        return mid_mapping_resize(a, at, new_size, name, stay, status);
    return NULL;
}

static void *moved(mid_alloc *a, void *at, size_t old_size, size_t new_size, uint32_t name, mid_status *status)
{
    const size_t kept = old_size < new_size ? old_size : new_size;
    void *to;
    if (old_size <= MID_RUN_MAX && new_size <= MID_RUN_MAX) {
        to = mid_run_larger(a, at, kept, new_size, name, status);
        if (to != NULL)
            *live_of(a, name) += mid_large_bytes(new_size);
    } else {
        to = mid_large_new(a, new_size, name, status);
        if (to != NULL)
            memcpy(to, at, kept);
    }
    if (to != NULL)
        mid_large_free(a, at, old_size, name);
    return to;
}

void *mid_large_resize(mid_alloc *a, void *at, size_t old_size, size_t new_size, uint32_t name, bool stay,
                       mid_status *status)
{
    size_t kept = old_size < new_size ? old_size : new_size;
    size_t page_end = mid_round(kept, MID_PAGE);
    void *to = resize_in_place(a, at, old_size, new_size, name, stay, status);
    if (to != NULL) {
        *live_of(a, name) += mid_large_bytes(new_size) - mid_large_bytes(old_size);
    } else {
        if (stay || *status == MID_ENOMEM || *status == MID_ELIMIT) {
            if (stay)
                *status = MID_EPINNED;
            return NULL;
        }
        return moved(a, at, old_size, new_size, name, status);
    }
    /* Pages that stay keep what stood behind the old end; a later growth must find zeros there. */
    memset((char *)to + kept, 0, page_end - kept);
    return to;
}
