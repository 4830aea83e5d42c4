/* gc/debug_held.c: what lies around blocks, and what lies in them when they are freed.
 *
 * A block of a debug heap has MID_FENCE bytes before it and at least as many behind, all MID_FILL_FENCE, as with CPython's debug hooks. When it
 * is freed it is filled with MID_FILL_FREED, fences too, and held back: the oldest go when more than `quarantine` blocks or
 * MID_HELD_BYTES wait, when memory is short, and as the heap closes. What was written meanwhile is told then, or when all is checked. So
 * are large objects that die or move: alloc/ is told that their memory is a block of mem. What is larger than all that may wait is
 * given back at once; what is not ours to keep leaves its record (debug_replaced.c). */
#include <stdio.h>
#include <string.h>

#include "gc/addressable.h"
#include "gc/debug.h"

#define LEAKS_MOST 16u

static size_t before(const mid_heap *heap, const mid_block_site *b)
{
    return b->domain == MID_DOMAIN_OBJECT ? 0 : heap->fence;
}

static size_t behind(const mid_heap *heap, const mid_block_site *b)
{
    return b->room - before(heap, b) - b->size;
}

void mid_debug_block_open(mid_heap *heap, uint32_t number)
{
    const mid_block_site *b = mid_block_site_at(heap, number);
    if (b->room != 0)
        mid_addressable(b->at - before(heap, b), b->room);
}

static void forbid(const mid_heap *heap, const mid_block_site *b)
{
    if (b->state >= MID_BLOCK_FREED) {
        mid_unaddressable(b->at - before(heap, b), b->room);
    } else {
        mid_unaddressable(b->at - before(heap, b), before(heap, b));
        mid_unaddressable(b->at + b->size, behind(heap, b));
    }
}

void mid_debug_block_fence(mid_heap *heap, uint32_t number)
{
    const mid_block_site *b = mid_block_site_at(heap, number);
    mid_addressable(b->at - before(heap, b), before(heap, b));
    mid_addressable(b->at + b->size, behind(heap, b));
    memset(b->at - before(heap, b), MID_FILL_FENCE, before(heap, b));
    memset(b->at + b->size, MID_FILL_FENCE, behind(heap, b));
    forbid(heap, b);
}

/* --- looking ----------------------------------------------------------------------------------------------------------- */

static bool fences_whole(mid_heap *heap, uint32_t number, const char *call)
{
    const mid_block_site b = *mid_block_site_at(heap, number);
    const size_t front = before(heap, &b), back = behind(heap, &b);
    size_t first = 0, last = 0, from = 0, to = 0;
    char name[128];
    mid_addressable(b.at - front, front);
    mid_addressable(b.at + b.size, back);
    bool under = mid_debug_differs(b.at - front, front, MID_FILL_FENCE, &first, &last);
    bool over = mid_debug_differs(b.at + b.size, back, MID_FILL_FENCE, &from, &to);
    mid_debug_block_fence(heap, number); /* whole again before anybody is told */
    if (under) {
        mid_fault fault = {.kind = MID_MISUSE_UNDERFLOW, .status = MID_ECORRUPT, .call = call, .heap = heap, .block = number,
                           .address = b.at - front + first, .other_block = mid_debug_block_around(heap, b.at - front - 1)};
        mid_fault_of_block(&fault, "bytes -%zu to -%zu of %s were written, before its beginning", front - first, front - last,
                           mid_fault_block_name(heap, number, name, sizeof name));
    }
    if (over) {
        mid_fault fault = {.kind = MID_MISUSE_OVERFLOW, .status = MID_ECORRUPT, .call = call, .heap = heap, .block = number,
                           .address = b.at + b.size + from, .other_block = mid_debug_block_around(heap, b.at + b.size + back)};
        mid_fault_of_block(&fault, "bytes %zu to %zu of %s were written, beyond its end", b.size + from, b.size + to,
                           mid_fault_block_name(heap, number, name, sizeof name));
    }
    return !under && !over;
}

/* Of an object, if that name has not been given to another since. */
static mid_handle name_of(const mid_heap *heap, const mid_block_site *b)
{
    const mid_site *site = b->handle == 0 || !mid_in_table(heap, b->handle) ? NULL : mid_site_of(heap, b->handle);
    const bool same = site != NULL && site->made == b->made && site->size + heap->fence == b->room;
    return same && (b->state == MID_BLOCK_MOVED || !mid_entry_live(mid_entry_at(heap, b->handle))) ? b->handle : 0;
}

static bool filling_whole(mid_heap *heap, uint32_t number, const char *call)
{
    const mid_block_site b = *mid_block_site_at(heap, number);
    const size_t front = before(heap, &b);
    char name[128];
    size_t first, last;
    if (b.room == 0)
        return true;
    char *begin = b.at - front;
    mid_addressable(begin, b.room);
    bool whole = !mid_debug_differs(begin, b.room, MID_FILL_FREED, &first, &last);
    if (!whole)
        memset(begin, MID_FILL_FREED, b.room);
    forbid(heap, &b);
    if (whole)
        return true;
    const bool moved = b.state == MID_BLOCK_MOVED && b.domain == MID_DOMAIN_OBJECT;
    mid_fault fault = {.kind = moved ? MID_MISUSE_STALE_ADDRESS : MID_MISUSE_WRITE_AFTER_FREE, .status = MID_ECORRUPT, .call = call,
                       .heap = heap, .handle = name_of(heap, &b), .block = number, .address = begin + first};
    mid_fault_of_block(&fault, "bytes %lld to %lld of %s were written after it was %s", (long long)(first - front), (long long)(last - front),
                       mid_fault_block_name(heap, number, name, sizeof name), b.state == MID_BLOCK_MOVED ? "moved away" : "freed");
    return false;
}

bool mid_debug_block_whole(mid_heap *heap, uint32_t number, const char *call)
{
    uint8_t state = mid_block_site_at(heap, number)->state;
    return state <= MID_BLOCK_COMING    ? true
           : state == MID_BLOCK_LIVE ? fences_whole(heap, number, call)
                                     : filling_whole(heap, number, call);
}

/* Who is told may make blocks of raw: there may be more than there were. */
void mid_debug_blocks_verify(mid_heap *heap, const char *call)
{
    mid_lock(heap);
    for (uint32_t number = 1; number <= heap->watch->blocks.count; number++)
        mid_debug_block_whole(heap, number, call);
    mid_unlock(heap);
}

/* --- held back ------------------------------------------------------------------------------------------------------------ */

static size_t most_bytes(const mid_heap *heap)
{
    uint64_t part = heap->options.heap_limit / 8;
    return part != 0 && part < MID_HELD_BYTES ? (size_t)part : MID_HELD_BYTES;
}

/* Of a slot all but the word by which the allocator links it stays out of bounds. */
static void put_back(mid_heap *heap, uint32_t number)
{
    const mid_block_site b = *mid_block_site_at(heap, number);
    mid_debug_block_open(heap, number);
    mid_debug_block_give(heap, number);
    if (b.room == 0)
        return;
    char *begin = b.at - before(heap, &b);
    if (b.domain == MID_DOMAIN_RAW) {
        mid_raw_put_back(begin);
        return;
    }
    if (b.room <= heap->alloc.pooled_max)
        mid_unaddressable(begin + sizeof(void *), b.room - sizeof(void *));
    mid_mem_put_back(heap, begin);
}

static void release_oldest(mid_heap *heap)
{
    mid_blocks *blocks = &heap->watch->blocks;
    uint32_t number = blocks->oldest;
    mid_block_site *b = mid_block_site_at(heap, number);
    blocks->oldest = b->next;
    if (blocks->oldest == 0)
        blocks->newest = 0;
    blocks->held--;
    blocks->held_bytes -= b->room;
    b->next = 0;
    filling_whole(heap, number, "giving memory back");
    put_back(heap, number);
}

/* The oldest make room, maybe this one among them. */
void mid_debug_recall(mid_heap *heap, uint32_t number)
{
    mid_blocks *blocks = &heap->watch->blocks;
    mid_block_site *b = mid_block_site_at(heap, number);
    b->next = 0;
    if (blocks->newest == 0)
        blocks->oldest = number;
    else
        mid_block_site_at(heap, blocks->newest)->next = number;
    blocks->newest = number;
    blocks->held++;
    blocks->held_bytes += b->room;
    while (blocks->held > heap->options.quarantine || blocks->held_bytes > most_bytes(heap))
        release_oldest(heap);
}

void mid_debug_hold(mid_heap *heap, uint32_t number)
{
    mid_block_site *b = mid_block_site_at(heap, number);
    char *begin = b->at - before(heap, b);
    const bool waits = heap->options.quarantine != 0 && b->room <= most_bytes(heap);
    mid_debug_block_open(heap, number);
    if (waits || b->room <= MID_RUN_MAX) /* else a mapping goes */
        memset(begin, MID_FILL_FREED, b->room);
    if (!waits) {
        put_back(heap, number);
        return;
    }
    forbid(heap, b);
    mid_debug_recall(heap, number);
}

/* Without memory for a record it is not watched. */
bool mid_debug_hold_object(mid_impl *me, mid_handle handle, char *at, size_t size, bool moved)
{
    mid_heap *heap = me->heap;
    const mid_site *site = mid_site_of(heap, handle);
    uint32_t number;
    if (heap->options.quarantine == 0 || size > most_bytes(heap) || mid_debug_block_take(heap, &number) != MID_OK)
        return false;
    if (mid_mem_large_adopt(heap, at, size, handle) != MID_OK) {
        mid_debug_block_give(heap, number);
        return false;
    }
    *mid_block_site_at(heap, number) = (mid_block_site){.size = site->size, .room = size, .made = site->made, .made_by = site->made_by,
                                              .gone = moved ? 0 : site->gone, .gone_by = site->gone_by, .handle = handle,
                                              .type = (mid_type)(mid_entry_at(heap, handle)->word >> MID_TYPE_SHIFT_),
                                              .domain = MID_DOMAIN_OBJECT};
    mid_debug_block_enter(heap, number, at);
    mid_block_site_at(heap, number)->state = moved ? MID_BLOCK_MOVED : MID_BLOCK_FREED;
    mid_debug_hold(heap, number);
    return true;
}

void mid_debug_held_flush(mid_heap *heap)
{
    if (heap->watch == NULL)
        return;
    mid_lock(heap);
    while (heap->watch->blocks.oldest != 0)
        release_oldest(heap);
    mid_unlock(heap);
}

void mid_debug_pool_unused(void *heap, mid_pool *pool)
{
    mid_addressable(mid_pool_base(pool), ((mid_heap *)heap)->alloc.pool_size);
}

/* --- the end --------------------------------------------------------------------------------------------------------------- */

void mid_debug_blocks_leak(mid_heap *heap)
{
    char name[128];
    unsigned told = 0;
    mid_lock(heap);
    for (uint32_t number = 1; number <= heap->watch->blocks.count && told < LEAKS_MOST; number++) {
        if (mid_block_site_at(heap, number)->state != MID_BLOCK_LIVE)
            continue;
        mid_fault fault = {.kind = MID_MISUSE_LEAK, .status = MID_EHELD, .call = "mid_heap_close", .heap = heap, .block = number};
        mid_fault_of_block(&fault, "%s is still held", mid_fault_block_name(heap, number, name, sizeof name));
        told++;
    }
    mid_unlock(heap);
}

void mid_debug_blocks_lift(mid_heap *heap)
{
    mid_alloc *a = &heap->alloc;
    for (uint32_t number = 1; number <= heap->watch->blocks.count; number++)
        if (mid_block_site_at(heap, number)->state > MID_BLOCK_COMING)
            mid_debug_block_open(heap, number);
    for (unsigned c = 0; c < a->class_count; c++)
        for (unsigned list = 0; list < MID_POOL_LISTS; list++)
            for (mid_pool *pool = a->blocks[c].list[list]; pool != NULL; pool = pool->next)
                mid_debug_pool_unused(heap, pool);
}
