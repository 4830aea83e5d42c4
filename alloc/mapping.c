/* alloc/mapping.c: blocks above 1 MiB, each a mapping of its own that grows and moves with mremap.
 *
 * The kernel bounds the number of a process's mappings, so at most MID_MAPPINGS_MAX exist; blocks beyond that are spans
 * of adjacent units in arenas, up to what an arena holds. */
#include <string.h>

#include "alloc/alloc.h"

static mid_mapping *mappings(mid_alloc *a)
{
    return a->mappings.data;
}

/* The block's row; null: it is a span. At most 1,000 rows against blocks of a megabyte: a search is nothing. */
static mid_mapping *find(mid_alloc *a, const void *at)
{
    for (uint32_t i = 0; i < a->mapping_count; i++)
        if (mappings(a)[i].at == at)
            return &mappings(a)[i];
    return NULL;
}

uint32_t mid_mapping_name(const mid_alloc *a, const void *at)
{
    for (uint32_t i = 0; i < a->mapping_count; i++)
        if (((const mid_mapping *)a->mappings.data)[i].at == at)
            return ((const mid_mapping *)a->mappings.data)[i].name;
    return 0;
}

static void *span_new(mid_alloc *a, size_t size, uint32_t name, mid_status *status)
{
    size_t count = mid_round(size, a->pool_size) / a->pool_size;
    *status = MID_ELIMIT;
    if (count > a->units - a->first_unit)
        return NULL;
    *status = mid_book(a, MID_IN_RUNS, count * a->pool_size);
    if (*status != MID_OK)
        return NULL;
    mid_pool *unit = mid_units_take(a, (unsigned)count, 1, status);
    if (unit != NULL && !a->os.commit(a->os.ctx, mid_pool_base(unit), count * a->pool_size)) {
        mid_units_give(a, unit, (unsigned)count);
        unit = NULL;
        *status = MID_ENOMEM;
    }
    if (unit == NULL) {
        mid_unbook(a, MID_IN_RUNS, count * a->pool_size);
        return NULL;
    }
    for (size_t u = 0; u < count; u++)
        unit[u].state = MID_UNIT_SPAN;
    unit->inline_names[0] = name;
    unit->inline_names[1] = (uint32_t)count;
    return mid_pool_base(unit);
}

static void span_free(mid_alloc *a, void *at)
{
    mid_pool *unit = mid_pool_of(at);
    uint32_t count = unit->inline_names[1];
    a->os.decommit(a->os.ctx, at, (size_t)count * a->pool_size);
    a->returned += (uint64_t)count * a->pool_size;
    mid_unbook(a, MID_IN_RUNS, (size_t)count * a->pool_size);
    mid_units_give(a, unit, count);
}

void *mid_mapping_new(mid_alloc *a, size_t size, uint32_t name, mid_status *status)
{
    if (a->mapping_count == MID_MAPPINGS_MAX)
        return span_new(a, size, name, status);
    *status = mid_array_grow(a, &a->mappings, (a->mapping_count + 1) * sizeof(mid_mapping));
    if (*status != MID_OK)
        return NULL;
    size = mid_round(size, MID_PAGE);
    *status = mid_book(a, MID_IN_MAPPINGS, size);
    if (*status != MID_OK)
        return NULL;
    void *at = a->os.map(a->os.ctx, size);
    if (at == NULL) {
        mid_unbook(a, MID_IN_MAPPINGS, size);
        *status = MID_ENOMEM;
        return NULL;
    }
    mappings(a)[a->mapping_count++] = (mid_mapping){at, size, name};
    return at;
}

void mid_mapping_free(mid_alloc *a, void *at, uint32_t name)
{
    mid_mapping *m = find(a, at);
    if (m == NULL) {
        span_free(a, at);
        return;
    }
    assert(m->name == name);
    (void)name;
    a->os.unmap(a->os.ctx, at, m->size);
    a->returned += m->size;
    mid_unbook(a, MID_IN_MAPPINGS, m->size);
    *m = mappings(a)[--a->mapping_count];
}

void mid_mapping_rename(mid_alloc *a, void *at, uint32_t name)
{
    mid_mapping *m = find(a, at);
    if (m != NULL)
        m->name = name;
    else
        mid_pool_of(at)->inline_names[0] = name;
}

static void *span_resize(mid_alloc *a, char *at, size_t new_size)
{
    mid_pool *unit = mid_pool_of(at);
    uint32_t have = unit->inline_names[1];
    size_t want = mid_round(new_size, a->pool_size) / a->pool_size;
    if (want > have)
        return NULL;
    memset(at + new_size, 0, want * a->pool_size - new_size);
    if (want < have) {
        size_t gone = (have - want) * a->pool_size;
        a->os.decommit(a->os.ctx, at + want * a->pool_size, gone);
        a->returned += gone;
        mid_unbook(a, MID_IN_RUNS, gone);
        mid_units_give(a, unit + want, (unsigned)(have - want));
        unit->inline_names[1] = (uint32_t)want;
    }
    return at;
}

/* Shrinking always succeeds. Null and MID_EINVAL: a span that has to grow; the caller copies it. */
void *mid_mapping_resize(mid_alloc *a, void *at, size_t new_size, uint32_t name, bool stay, mid_status *status)
{
    mid_mapping *m = find(a, at);
    (void)name;
    *status = MID_EINVAL;
    if (m == NULL) {
        void *span = span_resize(a, at, new_size);
        if (span != NULL)
            *status = MID_OK;
        return span;
    }
    new_size = mid_round(new_size, MID_PAGE);
    *status = MID_OK;
    if (new_size == m->size)
        return at;
    *status = MID_EPINNED;
    if (stay && new_size > m->size)
        return NULL;
    *status = MID_OK;
    if (stay) { /* a pinned block keeps its end: an embedder's remap might move it */
        memset((char *)at + new_size, 0, m->size - new_size);
        return at;
    }
    size_t more = new_size > m->size ? new_size - m->size : 0;
    *status = mid_book(a, MID_IN_MAPPINGS, more);
    if (*status != MID_OK)
        return NULL;
    void *to = a->os.remap(a->os.ctx, at, m->size, new_size);
    if (to == NULL && more == 0) { /* it keeps more than it needs */
        memset((char *)at + new_size, 0, m->size - new_size);
        *status = MID_OK;
        return at;
    }
    if (to == NULL) {
        mid_unbook(a, MID_IN_MAPPINGS, more);
        *status = MID_ENOMEM;
        return NULL;
    }
    *status = MID_OK;
    if (new_size < m->size) {
        a->returned += m->size - new_size;
        mid_unbook(a, MID_IN_MAPPINGS, m->size - new_size);
    }
    m->at = to;
    m->size = new_size;
    return to;
}

void mid_mappings_finish(mid_alloc *a)
{
    for (uint32_t i = 0; i < a->mapping_count; i++)
        a->os.unmap(a->os.ctx, mappings(a)[i].at, mappings(a)[i].size);
    a->mapping_count = 0;
}

const char *mid_mappings_check(mid_alloc *a)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < a->mapping_count; i++)
        sum += mappings(a)[i].size;
    return sum == a->bytes[MID_IN_MAPPINGS] ? NULL : "bytes of mappings are wrong";
}
