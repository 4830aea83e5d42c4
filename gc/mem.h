/* gc/mem.h: the fast paths of the domain mem, and what mem.c and cache.c share. */
#ifndef MID_GC_MEM_H
#define MID_GC_MEM_H

#include "gc/heap.h"

static inline uintptr_t *mid_mem_place(mid_mem *mem, const char *arena)
{
    return &mem->known[(uintptr_t)arena / MID_ARENA_SIZE % MID_MEM_KNOWN];
}

/* May the descriptor for this address be read? False: perhaps. */
static inline bool mid_mem_knows(const mid_heap *heap, mid_mem *mem, const void *at)
{
    char *arena = mid_arena_of(at);
    return *mid_mem_place(mem, arena) == (uintptr_t)arena + 1 && mem->released == MID_READ_(heap->alloc.arenas_released);
}

/* The size of the live block at an address in one of the heap's arenas; null: there is none. */
static inline uint16_t *mid_mem_size_at(const mid_heap *heap, const mid_mem *mem, void *at, unsigned *size_class)
{
    const mid_pool *pool = mid_pool_in(&heap->alloc, at);
    if (MID_UNLIKELY_(pool->state != MID_UNIT_BLOCKS))
        return NULL;
    *size_class = pool->size_class;
    const mid_mem_bin *bin = &mem->bins[*size_class];
    char *first = mid_pool_begin(&heap->alloc, at) + bin->first;
    uint32_t offset = (uint32_t)((char *)at - first);
    uint32_t slot = (uint32_t)(((uint64_t)offset * bin->inverse) >> MID_INVERSE_SHIFT);
    if (MID_UNLIKELY_(slot >= bin->slots || slot * bin->slot_size != offset))
        return NULL;
    uint16_t *size = (uint16_t *)first - 1 - slot;
    return MID_UNLIKELY_(*size == 0) ? NULL : size;
}

static inline void mid_mem_hand_out(mid_heap *heap, mid_mem_bin *bin, size_t size, void **out)
{
    void *block = bin->head;
    char *first = mid_pool_begin(&heap->alloc, block) + bin->first;
    uint32_t slot = (uint32_t)(((uint64_t)(uint32_t)((char *)block - first) * bin->inverse) >> MID_INVERSE_SHIFT);
    bin->head = *(void **)block;
    MID_WRITE_(bin->made, bin->made + 1);
    MID_WRITE_(bin->asked, bin->asked + (int64_t)size);
    *((uint16_t *)first - 1 - slot) = (uint16_t)(size + 1);
    *out = block;
}

static inline bool mid_mem_full(const mid_mem_bin *bin)
{
    return (int64_t)(bin->freed - bin->made) >= bin->until;
}

static inline void mid_mem_take_back(mid_mem_bin *bin, void *block, uint16_t *size)
{
    MID_WRITE_(bin->asked, bin->asked - (*size - 1));
    *size = 0;
    *(void **)block = bin->head;
    bin->head = block;
    MID_WRITE_(bin->freed, bin->freed + 1);
}

/* --- cache.c */
mid_status mid_mem_open(mid_impl *me); /* a thread's first call */
/* A slot of the class in the cache, or a large block; of `room` bytes, of which `size` were asked for. Once: what failed may be
 * worth another try. */
mid_status mid_mem_obtain(mid_impl *me, size_t size, size_t room, void **out);
/* With `memory` held: a live block at any address? Its size, or its row; `mem` may be null. */
bool mid_mem_find(mid_heap *heap, mid_mem *mem, void *at, uint16_t **size, unsigned *size_class, mid_mem_row **row);
mid_status mid_mem_free_slow(mid_impl *me, void *block);         /* large, the first of its arena, none of ours; or the cache is full */
mid_status mid_mem_free_to_pool(mid_heap *heap, void *block);    /* by whatever thread */

#endif
