/* gc/large.c: the blocks of the domain mem that are no slots: page runs and mappings that stay where they are.
 *
 * alloc/ is told a block's size again when it goes, and the program does not say it: so each has a row. Its number is the block's
 * name (odd, so that it is no object's), by which it is found: alloc/ tells what name is at an address, and the row whether it is true. */
#include "gc/heap.h"

static mid_mem_row *row_at(const mid_heap *heap, uint32_t number)
{
    return (mid_mem_row *)heap->domains.rows.data + number - 1;
}

static uint32_t number_of(const mid_heap *heap, const mid_mem_row *row)
{
    return (uint32_t)(row - (mid_mem_row *)heap->domains.rows.data) + 1;
}

static uint32_t name_of(const mid_heap *heap, const mid_mem_row *row)
{
    return number_of(heap, row) * 2 + 1;
}

static mid_status row_take(mid_heap *heap, uint32_t *number)
{
    mid_domains *d = &heap->domains;
    *number = d->row_free;
    if (*number != 0) {
        d->row_free = (uint32_t)row_at(heap, *number)->size;
        return MID_OK;
    }
    if (d->row_count == INT32_MAX - 1)
        return MID_ELIMIT;
    mid_status status = mid_array_grow(&heap->alloc, &d->rows, (d->row_count + (size_t)1) * sizeof(mid_mem_row));
    if (status == MID_OK)
        *number = ++d->row_count;
    return status;
}

static void row_give(mid_heap *heap, mid_mem_row *row)
{
    *row = (mid_mem_row){.size = heap->domains.row_free};
    heap->domains.row_free = number_of(heap, row);
}

mid_status mid_mem_large_new(mid_heap *heap, size_t asked, size_t size, void **out)
{
    uint32_t number;
    mid_status status = row_take(heap, &number);
    if (status != MID_OK)
        return status;
    mid_mem_row *row = row_at(heap, number);
    *out = mid_large_new(&heap->alloc, size, name_of(heap, row), &status);
    if (*out == NULL)
        row_give(heap, row);
    else
        *row = (mid_mem_row){*out, size, asked};
    return *out == NULL ? status : MID_OK;
}

mid_status mid_mem_large_adopt(mid_heap *heap, void *at, size_t size, uint32_t name)
{
    uint32_t number;
    mid_status status = row_take(heap, &number);
    if (status != MID_OK)
        return status;
    mid_mem_row *row = row_at(heap, number);
    *row = (mid_mem_row){at, size, MID_MEM_WITHDRAWN};
    mid_large_pass(&heap->alloc, at, size, name, name_of(heap, row));
    return MID_OK;
}

mid_mem_row *mid_mem_large_find(mid_heap *heap, const void *at)
{
    uint32_t name = mid_large_name(&heap->alloc, at), number = name / 2;
    if (at == NULL || !(name & 1) || number == 0 || number > heap->domains.row_count || row_at(heap, number)->at != at)
        return NULL;
    return row_at(heap, number);
}

void mid_mem_large_free(mid_heap *heap, mid_mem_row *row)
{
    mid_large_free(&heap->alloc, row->at, row->size, name_of(heap, row));
    row_give(heap, row);
}

mid_status mid_mem_large_resize(mid_heap *heap, mid_mem_row *row, size_t asked, size_t size, void **out)
{
    mid_status status;
    const size_t needed = size != 0 ? size : 1; /* it keeps a page */
    void *to = mid_large_resize(&heap->alloc, row->at, row->size, needed, name_of(heap, row), false, &status);
    if (to != NULL) {
        row->at = to;
        row->size = needed;
    } else if (size > row->size) {
        return status;
    }
    row->asked = asked; /* what could not be moved to a smaller place keeps the one it has */
    *out = row->at;
    return MID_OK;
}

const char *mid_mem_large_check(const mid_heap *heap, int64_t *blocks, int64_t *asked, int64_t *taken)
{
    uint64_t bytes = 0, empty = 0;
    for (uint32_t number = 1; number <= heap->domains.row_count; number++) {
        const mid_mem_row *row = row_at(heap, number);
        if (row->at == NULL) {
            empty++;
            continue;
        }
        const bool live = row->asked != MID_MEM_WITHDRAWN;
        if ((live && row->asked > row->size) || mid_large_name(&heap->alloc, row->at) != name_of(heap, row))
            return "a large block of mem is not what its row says";
        bytes += mid_large_bytes(row->size);
        *blocks += live;
        *asked += live ? (int64_t)row->asked : 0;
        *taken += live ? (int64_t)mid_large_bytes(row->size) : 0;
    }
    for (uint32_t number = heap->domains.row_free; number != 0 && empty != UINT64_MAX; number = (uint32_t)row_at(heap, number)->size)
        empty--;
    if (empty != 0)
        return "the list of free rows is not as long as they are many";
    return bytes == heap->alloc.large_blocks ? NULL : "bytes of large blocks of mem are wrong";
}
