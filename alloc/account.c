/* alloc/account.c: what the heap has from the system, by kind, and its growable arrays. */
#include <string.h>

#include "alloc/alloc.h"

bool mid_pool_size_fits(uint64_t bytes)
{
    return bytes == MID_POOL_LEAST || bytes == MID_POOL_LEAST * 4 || bytes == MID_POOL_LEAST * 16;
}

/* How many slots, and where they begin. Of a class that is too large for pools there is one, in none. */
static void shape_class(mid_class *c, uint32_t slot_size, uint32_t pool_size)
{
    c->slot_size = slot_size;
    c->inverse = (uint32_t)((((uint64_t)1 << MID_INVERSE_SHIFT) + slot_size - 1) / slot_size);
    c->slots = slot_size > pool_size ? 1 : pool_size / slot_size;
    if (c->slots > MID_NAMES_INLINE) {
        c->slots = pool_size / (slot_size + 4);
        while (mid_round(c->slots * 4u, 64) + c->slots * slot_size > pool_size)
            c->slots--;
        c->first = (uint32_t)mid_round(c->slots * 4u, 64);
    }
}

/* The same for blocks: a size for each slot in two bytes, whatever their number. */
static void shape_blocks(mid_block_class *b, uint32_t slot_size, uint32_t pool_size)
{
    b->slots = pool_size / (slot_size + 2);
    while (b->slots != 0 && mid_round(b->slots * 2u, 64) + b->slots * slot_size > pool_size)
        b->slots--;
    b->first = (uint32_t)mid_round(b->slots * 2u, 64);
    b->end = b->first + b->slots * slot_size;
}

void mid_alloc_init(mid_alloc *a, const mid_os *os, uint32_t pool_size, uint64_t limit, uint64_t reserve, uint64_t spare_percent)
{
    memset(a, 0, sizeof *a);
    a->os = *os;
    a->limit = limit;
    a->reserve = reserve;
    a->spare_percent = spare_percent;
    a->pool_size = pool_size;
    a->pool_shift = (uint32_t)__builtin_ctz(pool_size);
    a->pooled_max = pool_size / 2 < MID_POOLED_MAX ? pool_size / 2 : MID_POOLED_MAX;
    a->class_count = mid_size_class(a->pooled_max) + 1;
    a->units = (uint32_t)(MID_ARENA_SIZE / pool_size);
    a->first_unit = (uint32_t)((a->units * sizeof(mid_pool) + pool_size - 1) / pool_size);
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        shape_class(&a->classes[i], mid_class_size(i), pool_size);
        shape_blocks(&a->blocks[i], mid_class_size(i), pool_size);
    }
}

void mid_alloc_finish(mid_alloc *a)
{
    mid_mappings_finish(a);
    for (uint32_t i = 0; i < a->arena_count; i++)
        a->os.release(a->os.ctx, ((mid_arena *)a->arenas.data)[i].base, MID_ARENA_SIZE);
    a->arena_count = 0;
    mid_array_free(a, &a->arenas);
    mid_array_free(a, &a->mappings);
}

mid_status mid_book(mid_alloc *a, enum mid_kind kind, size_t bytes)
{
    while (a->limit != 0 && (a->committed > a->limit || bytes > a->limit - a->committed))
        if (!mid_pool_return_one(a) && mid_runs_trim(a, 256) == 0)
            return MID_ELIMIT;
    a->bytes[kind] += bytes;
    a->committed += bytes;
    if (a->committed > a->peak)
        a->peak = a->committed;
    return MID_OK;
}

void mid_unbook(mid_alloc *a, enum mid_kind kind, size_t bytes)
{
    assert(a->bytes[kind] >= bytes);
    a->bytes[kind] -= bytes;
    a->committed -= bytes;
}

mid_status mid_array_grow(mid_alloc *a, mid_array *array, size_t need)
{
    if (need <= array->bytes)
        return MID_OK;
    if (need > SIZE_MAX / 2)
        return MID_ESIZE;
    size_t bytes = mid_round(need > array->bytes * 2 ? need : array->bytes * 2, MID_PAGE);
    mid_status status = mid_book(a, MID_IN_META, bytes - array->bytes);
    if (status != MID_OK)
        return status;
    void *data = array->data ? a->os.remap(a->os.ctx, array->data, array->bytes, bytes) : a->os.map(a->os.ctx, bytes);
    if (data == NULL) {
        mid_unbook(a, MID_IN_META, bytes - array->bytes);
        return MID_ENOMEM;
    }
    array->data = data;
    array->bytes = bytes;
    return MID_OK;
}

void mid_array_free(mid_alloc *a, mid_array *array)
{
    if (array->data == NULL)
        return;
    a->os.unmap(a->os.ctx, array->data, array->bytes);
    mid_unbook(a, MID_IN_META, array->bytes);
    array->data = NULL;
    array->bytes = 0;
}

const char *mid_alloc_check(mid_alloc *a)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < MID_KINDS; kind++)
        sum += a->bytes[kind];
    if (sum != a->committed)
        return "committed bytes are not the sum of their kinds";
    if (a->bytes[MID_IN_EMPTY] != (a->empty_pools + a->empty_block_pools) * a->pool_size)
        return "bytes of empty pools differ from their number";
    if (a->bytes[MID_IN_POOLS] != a->used_pools * a->pool_size)
        return "bytes of used pools differ from their number";
    if (a->bytes[MID_IN_BLOCKS] != a->block_pools * a->pool_size)
        return "bytes of pools of blocks differ from their number";
    const char *wrong = mid_arenas_check(a);
    if (wrong == NULL)
        wrong = mid_pools_check(a);
    if (wrong == NULL)
        wrong = mid_blocks_check(a);
    if (wrong == NULL)
        wrong = mid_runs_check(a);
    if (wrong == NULL)
        wrong = mid_mappings_check(a);
    return wrong;
}
