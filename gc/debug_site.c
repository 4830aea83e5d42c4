/* gc/debug_site.c: a record for each entry of a debug heap's table, and tracebacks, each kept once. */
#include <string.h>

#include "gc/debug.h"
#include "gc/traceback.h"

#define RESERVED_BY ((size_t)64 << 10)
#define BLOCK_BYTES (MID_TABLE_BLOCK * sizeof(mid_site))
#define OWN_FRAMES 2u /* of this file: the program's come after */

mid_status mid_debug_open(mid_heap *heap)
{
    mid_array memory = {0};
    mid_status status = mid_array_grow(&heap->alloc, &memory, sizeof(mid_debug));
    if (status != MID_OK)
        return status;
    heap->watch = memory.data;
    heap->watch->memory = memory;
    mid_debug_forked(heap);
    return MID_OK;
}

/* Whoever held it is gone; so it begins, too. */
void mid_debug_forked(mid_heap *heap)
{
    if (heap->watch != NULL)
        pthread_mutex_init(&heap->watch->stores, NULL);
}

mid_status mid_debug_reserve(mid_heap *heap)
{
    mid_debug *w = heap->watch;
    const uint32_t least = 1u << 13;
    for (;;) {
        w->reserved = mid_round((size_t)mid_round(heap->max_index, MID_TABLE_BLOCK) * sizeof(mid_site), RESERVED_BY);
        w->sites = heap->os.reserve(heap->os.ctx, w->reserved, RESERVED_BY);
        if (w->sites != NULL || heap->max_index / 2 < least || heap->max_index / 4 < heap->first_index)
            break;
        heap->max_index /= 2; /* a smaller table serves a smaller heap */
    }
    return w->sites != NULL ? MID_OK : MID_ENOMEM;
}

mid_status mid_debug_commit(mid_heap *heap, uint32_t first, uint32_t end)
{
    mid_debug *w = heap->watch;
    size_t bytes = (end - first) * BLOCK_BYTES;
    mid_status status = mid_book(&heap->alloc, MID_IN_META, bytes);
    if (status != MID_OK)
        return status;
    if (!heap->os.commit(heap->os.ctx, (char *)w->sites + first * BLOCK_BYTES, bytes)) {
        mid_unbook(&heap->alloc, MID_IN_META, bytes);
        return MID_ENOMEM;
    }
    w->committed += bytes;
    return MID_OK;
}

void mid_debug_decommit(mid_heap *heap, uint32_t block)
{
    mid_debug *w = heap->watch;
    heap->os.decommit(heap->os.ctx, (char *)w->sites + block * BLOCK_BYTES, BLOCK_BYTES);
    mid_unbook(&heap->alloc, MID_IN_META, BLOCK_BYTES);
    w->committed -= BLOCK_BYTES;
}

void mid_debug_close(mid_heap *heap)
{
    mid_debug *w = heap->watch;
    if (w == NULL)
        return;
    mid_array memory = w->memory;
    if (w->sites != NULL)
        heap->os.release(heap->os.ctx, w->sites, w->reserved);
    mid_unbook(&heap->alloc, MID_IN_META, w->committed);
    mid_array_free(&heap->alloc, &w->stacks);
    mid_array_free(&heap->alloc, &w->cells);
    pthread_mutex_destroy(&w->stores);
    mid_array_free(&heap->alloc, &memory);
    heap->watch = NULL;
}

void mid_debug_exchange(mid_heap *heap, mid_handle a, mid_handle b)
{
    if (!heap->debug)
        return;
    mid_site *one = mid_site_of(heap, a), *other = mid_site_of(heap, b), kept = *one;
    *one = *other;
    *other = kept;
}

/* --- tracebacks ------------------------------------------------------------------------------------------------------ */

/* A stack in heap->watch->stacks: its number of frames, then they. Its number is where it begins, in words; 0 is none. */
static uint64_t *stack_at(const mid_debug *w, uint32_t stack)
{
    return (uint64_t *)w->stacks.data + stack;
}

static uint32_t hash_of(void *const *frames, unsigned count)
{
    uint64_t h = count;
    for (unsigned i = 0; i < count; i++)
        h = (h ^ (uintptr_t)frames[i]) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32);
}

/* Where its number is, or is to be. */
static uint32_t *cell_of(const mid_debug *w, uint32_t hash, void *const *frames, unsigned count)
{
    uint32_t *cells = w->cells.data, i = hash & w->cells_mask;
    for (; cells[i] != 0; i = (i + 1) & w->cells_mask)
        if (*stack_at(w, cells[i]) == count && memcmp(stack_at(w, cells[i]) + 1, frames, count * sizeof *frames) == 0)
            break;
    return &cells[i];
}

/* Room for another in the hash table: at most half of it is used. */
static bool cells_ready(mid_heap *heap)
{
    mid_debug *w = heap->watch;
    if (w->cells.data != NULL && w->stacks_count * 2 <= w->cells_mask)
        return true;
    mid_array before = w->cells;
    uint32_t size = before.data == NULL ? 1024 : (w->cells_mask + 1) * 2;
    w->cells = (mid_array){0};
    if (size == 0 || mid_array_grow(&heap->alloc, &w->cells, size * sizeof(uint32_t)) != MID_OK) {
        w->cells = before;
        return false;
    }
    uint32_t was = before.data == NULL ? 0 : w->cells_mask + 1;
    w->cells_mask = size - 1;
    for (uint32_t i = 0; i < was; i++) {
        uint32_t stack = ((uint32_t *)before.data)[i];
        if (stack == 0)
            continue;
        void **frames = (void **)(stack_at(w, stack) + 1);
        unsigned count = (unsigned)*stack_at(w, stack);
        *cell_of(w, hash_of(frames, count), frames, count) = stack;
    }
    mid_array_free(&heap->alloc, &before);
    return true;
}

static uint32_t keep(mid_heap *heap, void *const *frames, unsigned count)
{
    mid_debug *w = heap->watch;
    if (!cells_ready(heap))
        return 0;
    uint32_t *cell = cell_of(w, hash_of(frames, count), frames, count);
    if (*cell != 0)
        return *cell;
    uint32_t at = w->stacks_used == 0 ? 1 : w->stacks_used;
    if (at > UINT32_MAX - 64 || mid_array_grow(&heap->alloc, &w->stacks, (at + count + (size_t)1) * sizeof(uint64_t)) != MID_OK)
        return 0;
    *stack_at(w, at) = count;
    memcpy(stack_at(w, at) + 1, frames, count * sizeof *frames);
    w->stacks_used = at + count + 1;
    w->stacks_count++;
    return *cell = at;
}

__attribute__((noinline)) uint32_t mid_debug_stack(mid_heap *heap)
{
    void *frames[MID_DEBUG_FRAMES];
    if (heap->options.debug_frames == 0)
        return 0;
    unsigned count = mid_traceback(frames, (unsigned)heap->options.debug_frames, OWN_FRAMES);
    mid_lock(heap);
    uint32_t stack = count == 0 ? 0 : keep(heap, frames, count);
    mid_unlock(heap);
    return stack;
}

unsigned mid_debug_frames(mid_heap *heap, uint32_t stack, void **frames)
{
    if (stack == 0)
        return 0;
    mid_lock(heap);
    unsigned count = (unsigned)*stack_at(heap->watch, stack);
    memcpy(frames, stack_at(heap->watch, stack) + 1, count * sizeof *frames);
    mid_unlock(heap);
    return count;
}

unsigned mid_debug_here(mid_heap *heap, void **frames)
{
    unsigned most = heap == NULL ? 8 : (unsigned)heap->options.debug_frames;
    return most == 0 ? 0 : mid_traceback(frames, most, OWN_FRAMES);
}
