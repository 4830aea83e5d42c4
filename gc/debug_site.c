/* gc/debug_site.c: a record for each entry of a debug heap's table, and tracebacks, each kept once (stacks.c). */
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
    mid_debug_blocks_drop(heap);
    mid_stacks_close(&heap->alloc, &w->stacks);
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

__attribute__((noinline)) uint32_t mid_debug_stack(mid_heap *heap, const void *from)
{
    void *frames[MID_DEBUG_FRAMES];
    if (heap->options.debug_frames == 0)
        return 0;
    const unsigned most = (unsigned)heap->options.debug_frames;
    unsigned count = from != NULL ? mid_traceback_at(frames, most, from) : mid_traceback(frames, most, OWN_FRAMES);
    mid_lock(heap);
    uint32_t stack = count == 0 ? 0 : mid_stacks_enter(&heap->alloc, &heap->watch->stacks, frames, count);
    mid_unlock(heap);
    return stack;
}

unsigned mid_debug_frames(mid_heap *heap, uint32_t stack, void **frames)
{
    if (stack == 0)
        return 0;
    void *const *found = NULL;
    mid_lock(heap);
    unsigned count = mid_stacks_frames(&heap->watch->stacks, stack, &found);
    if (count != 0)
        memcpy(frames, found, count * sizeof *frames);
    mid_unlock(heap);
    return count;
}

unsigned mid_debug_here(mid_heap *heap, void **frames)
{
    unsigned most = heap == NULL ? 8 : (unsigned)heap->options.debug_frames;
    if (most == 0)
        return 0;
    return mid_called_by != NULL ? mid_traceback_at(frames, most, mid_called_by) : mid_traceback(frames, most, OWN_FRAMES);
}
