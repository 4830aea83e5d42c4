/* gc/debug_block.c: a record for each block of the domains raw and mem in a debug heap, found by address.
 *
 * Nothing about a block is kept in front of it: what the program overwrites is not asked what it was, and any address can be looked
 * up without being read. Open addressing (Knuth, TAOCP 3, 6.4, algorithm R to delete), keyed by where the program's bytes begin. */
#include "gc/debug.h"

static uint32_t *cells(const mid_heap *heap)
{
    return heap->watch->blocks.cells.data;
}

static uint32_t mask(const mid_heap *heap)
{
    return (uint32_t)(heap->watch->blocks.cells.bytes / sizeof(uint32_t)) - 1;
}

static uint32_t home_of(const mid_heap *heap, const void *at)
{
    return (uint32_t)(((uintptr_t)at >> 3) * 0x9E3779B97F4A7C15u >> 32) & mask(heap);
}

static void put(mid_heap *heap, uint32_t number)
{
    uint32_t i = home_of(heap, mid_block_site_at(heap, number)->at);
    while (cells(heap)[i] != 0)
        i = (i + 1) & mask(heap);
    cells(heap)[i] = number;
}

static bool entered(const mid_block_site *b)
{
    return b->state > MID_BLOCK_COMING && b->at != NULL;
}

static mid_status more_cells(mid_heap *heap)
{
    mid_blocks *b = &heap->watch->blocks;
    mid_array bigger = {0};
    if ((b->used + (uint64_t)1) * 2 * sizeof(uint32_t) <= b->cells.bytes)
        return MID_OK;
    mid_status status = mid_array_grow(&heap->alloc, &bigger, b->cells.bytes == 0 ? MID_PAGE : b->cells.bytes * 2);
    if (status != MID_OK)
        return status;
    mid_array_free(&heap->alloc, &b->cells);
    b->cells = bigger;
    for (uint32_t number = 1; number <= b->count; number++)
        if (entered(mid_block_site_at(heap, number)))
            put(heap, number);
    return MID_OK;
}

mid_status mid_debug_block_take(mid_heap *heap, uint32_t *number)
{
    mid_blocks *b = &heap->watch->blocks;
    mid_status status = more_cells(heap);
    *number = b->unused;
    if (status == MID_OK && *number == 0) {
        if (b->count == INT32_MAX)
            return MID_ELIMIT;
        status = mid_array_grow(&heap->alloc, &b->records, (b->count + (size_t)1) * sizeof(mid_block_site));
        if (status == MID_OK)
            *number = ++b->count;
    } else if (status == MID_OK) {
        b->unused = mid_block_site_at(heap, *number)->next;
    }
    if (status != MID_OK)
        return status;
    b->used++;
    *mid_block_site_at(heap, *number) = (mid_block_site){.state = MID_BLOCK_COMING};
    return MID_OK;
}

void mid_debug_block_enter(mid_heap *heap, uint32_t number, char *at)
{
    mid_block_site_at(heap, number)->at = at;
    mid_block_site_at(heap, number)->state = MID_BLOCK_LIVE;
    put(heap, number);
}

/* What stood behind it moves up, if that is nearer to where it belongs. */
static void leave(mid_heap *heap, uint32_t number)
{
    uint32_t hole = home_of(heap, mid_block_site_at(heap, number)->at);
    while (cells(heap)[hole] != number)
        hole = (hole + 1) & mask(heap);
    for (uint32_t i = (hole + 1) & mask(heap); cells(heap)[i] != 0; i = (i + 1) & mask(heap)) {
        uint32_t home = home_of(heap, mid_block_site_at(heap, cells(heap)[i])->at);
        if (((i - home) & mask(heap)) < ((i - hole) & mask(heap)))
            continue;
        cells(heap)[hole] = cells(heap)[i];
        hole = i;
    }
    cells(heap)[hole] = 0;
}

void mid_debug_block_withdraw(mid_heap *heap, uint32_t number)
{
    leave(heap, number);
    mid_block_site_at(heap, number)->state = MID_BLOCK_COMING;
}

void mid_debug_block_superseded(mid_heap *heap, const void *at)
{
    uint32_t number = mid_debug_block_find(heap, at);
    if (number == 0 || mid_block_site_at(heap, number)->room != 0)
        return;
    leave(heap, number);
    mid_block_site_at(heap, number)->at = NULL;
}

void mid_debug_block_give(mid_heap *heap, uint32_t number)
{
    mid_blocks *b = &heap->watch->blocks;
    if (entered(mid_block_site_at(heap, number)))
        leave(heap, number);
    *mid_block_site_at(heap, number) = (mid_block_site){.next = b->unused};
    b->unused = number;
    b->used--;
}

uint32_t mid_debug_block_find(const mid_heap *heap, const void *at)
{
    if (at == NULL || heap->watch->blocks.cells.data == NULL)
        return 0;
    uint32_t i = home_of(heap, at);
    while (cells(heap)[i] != 0 && mid_block_site_at(heap, cells(heap)[i])->at != at)
        i = (i + 1) & mask(heap);
    return cells(heap)[i];
}

uint32_t mid_debug_block_around(const mid_heap *heap, const void *at)
{
    for (uint32_t number = 1; number <= heap->watch->blocks.count; number++) {
        const mid_block_site *b = mid_block_site_at(heap, number);
        if (!entered(b))
            continue;
        const char *begin = b->at - (b->domain == MID_DOMAIN_OBJECT ? 0 : heap->fence);
        if ((const char *)at >= begin && (const char *)at < begin + b->room)
            return number;
    }
    return 0;
}

const char *mid_debug_blocks_check(const mid_heap *heap)
{
    const mid_blocks *b = &heap->watch->blocks;
    uint32_t used = 0, unused = 0, held = 0;
    size_t bytes = 0;
    for (uint32_t number = 1; number <= b->count; number++) {
        const mid_block_site *block = mid_block_site_at(heap, number);
        used += block->state != MID_BLOCK_NONE;
        if (entered(block) && mid_debug_block_find(heap, block->at) != number)
            return "a block is not found by its address";
    }
    for (uint32_t number = b->unused; number != 0 && unused <= b->count; number = mid_block_site_at(heap, number)->next)
        unused++;
    for (uint32_t number = b->oldest; number != 0 && held <= b->count; number = mid_block_site_at(heap, number)->next) {
        held++;
        bytes += mid_block_site_at(heap, number)->room;
        if (mid_block_site_at(heap, number)->state < MID_BLOCK_FREED)
            return "a block that is held back has not been freed";
    }
    if (held != b->held || bytes != b->held_bytes)
        return "the list of blocks that are held back is not as long as they are many";
    return used == b->used && used + unused == b->count ? NULL : "records of blocks are missing";
}

void mid_debug_blocks_drop(mid_heap *heap)
{
    mid_array_free(&heap->alloc, &heap->watch->blocks.records);
    mid_array_free(&heap->alloc, &heap->watch->blocks.cells);
}
