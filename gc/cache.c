/* gc/cache.c: the caches of the domain mem, and the pools behind them (alloc/block.c).
 *
 * Where a block is freed it goes into the cache of the thread that frees, whosever pool it is of; a cache that is full gives half to the
 * pools, in one visit. So between threads nothing is handed over but by the heap's lock, and that rarely. An address is looked
 * up only after its arena has been found to be one of the heap's: the thread remembers those, until one is given back. */
#include <string.h>

#include "gc/mem.h"

static void learn(const mid_heap *heap, mid_mem *mem, char *arena)
{
    if (mem->released != heap->alloc.arenas_released)
        memset(mem->known, 0, sizeof mem->known);
    mem->released = heap->alloc.arenas_released;
    *mid_mem_place(mem, arena) = (uintptr_t)arena + 1;
}

static uint64_t left(const mid_heap *heap, const mid_mem *mem, unsigned size_class)
{
    const mid_mem_bin *bin = &mem->bins[size_class];
    return bin->freed - bin->made + heap->block_room[size_class] - (uint64_t)bin->until;
}

static void set_left(const mid_heap *heap, mid_mem *mem, unsigned size_class, uint32_t count)
{
    mid_mem_bin *bin = &mem->bins[size_class];
    bin->until = (int64_t)(bin->freed - bin->made) + heap->block_room[size_class] - count;
}

/* The tally hears of one class at a time, when that comes here anyway: to add up all would take longer than what is done here. */
static void tell(mid_heap *heap, mid_mem *mem, unsigned size_class)
{
    mid_mem_bin *bin = &mem->bins[size_class];
    int64_t blocks = (int32_t)((uint32_t)(bin->made - bin->freed) - bin->told);
    mid_tally_add(&heap->domains.tally[MID_DOMAIN_MEM], blocks, bin->asked - bin->asked_told, blocks * heap->alloc.classes[size_class].slot_size);
    MID_WRITE_(bin->told, (uint32_t)(bin->made - bin->freed));
    MID_WRITE_(bin->asked_told, bin->asked);
}

static mid_status fill(mid_impl *me, unsigned size_class)
{
    mid_heap *heap = me->heap;
    mid_mem *mem = me->mem;
    mid_status status = MID_OK;
    for (;;) {
        mid_pool *pool = mem->owned[size_class];
        mid_mem_bin *bin = &mem->bins[size_class];
        uint32_t count = 0;
        bin->head = pool == NULL ? NULL : mid_blocks_hand(&heap->alloc, pool, heap->block_room[size_class], &count);
        if (bin->head != NULL) {
            set_left(heap, mem, size_class, count);
            mid_spend(me, (uint64_t)count * heap->alloc.classes[size_class].slot_size);
            return MID_OK;
        }
        if (pool != NULL)
            mid_block_pool_put(&heap->alloc, pool);
        mem->owned[size_class] = mid_block_pool_take(&heap->alloc, size_class, &status);
        if (mem->owned[size_class] == NULL)
            return status;
        learn(heap, mem, mid_arena_of(mem->owned[size_class]));
    }
}

/* All but the first `keep`, which were freed last. */
static void spill(mid_heap *heap, mid_mem *mem, unsigned size_class, uint32_t keep)
{
    mid_mem_bin *bin = &mem->bins[size_class];
    void **link = &bin->head;
    uint32_t kept = 0;
    for (; kept < keep && *link != NULL; kept++)
        link = *link;
    void *block = *link, *next;
    *link = NULL;
    set_left(heap, mem, size_class, kept);
    for (; block != NULL; block = next) {
        next = *(void **)block;
        mid_block_return(&heap->alloc, block);
    }
    tell(heap, mem, size_class);
}

void mid_mem_flush(mid_impl *me)
{
    mid_mem *mem = me->mem;
    if (mem == NULL)
        return;
    mid_lock(me->heap);
    for (unsigned c = 0; c < me->heap->alloc.class_count; c++) {
        spill(me->heap, mem, c, 0);
        if (mem->owned[c] != NULL)
            mid_block_pool_put(&me->heap->alloc, mem->owned[c]);
        mem->owned[c] = NULL;
    }
    mid_unlock(me->heap);
}

void mid_mem_forget(mid_impl *me)
{
    mid_array memory = {me->mem, mid_round(sizeof(mid_mem), MID_PAGE)};
    if (me->mem != NULL)
        mid_array_free(&me->heap->alloc, &memory);
    me->mem = NULL;
}

mid_status mid_mem_open(mid_impl *me)
{
    mid_array memory = {0};
    mid_lock(me->heap);
    mid_status status = mid_array_grow(&me->heap->alloc, &memory, sizeof(mid_mem));
    for (unsigned c = 0; status == MID_OK && c < me->heap->alloc.class_count; c++) {
        const mid_class *shape = &me->heap->alloc.classes[c];
        const mid_block_class *b = &me->heap->alloc.blocks[c];
        ((mid_mem *)memory.data)->bins[c] = (mid_mem_bin){.until = me->heap->block_room[c], .first = b->first, .inverse = shape->inverse,
                                                          .slot_size = (uint16_t)shape->slot_size, .slots = (uint16_t)b->slots};
    }
    __atomic_store_n(&me->mem, memory.data, __ATOMIC_RELEASE); /* others read its figures */
    mid_unlock(me->heap);
    return status;
}

mid_status mid_mem_obtain(mid_impl *me, size_t size, size_t room, void **out)
{
    mid_heap *heap = me->heap;
    mid_part part = {0};
    mid_status status = MID_OK;
    mid_lock_part(me, &part, MID_PAUSE_REFILL);
    if (room > heap->alloc.pooled_max) {
        status = mid_mem_large_new(heap, size, room, out);
        if (status == MID_OK) {
            mid_tally_add(&heap->domains.tally[MID_DOMAIN_MEM], 1, (int64_t)size, (int64_t)mid_large_bytes(room));
            mid_tally_count(&heap->domains.tally[MID_DOMAIN_MEM].made, 1);
            mid_spend(me, mid_large_bytes(room));
        }
    } else {
        tell(heap, me->mem, mid_size_class(room));
        if (me->mem->bins[mid_size_class(room)].head == NULL)
            status = fill(me, mid_size_class(room));
    }
    mid_unlock(heap);
    if (me->credit < 0)
        mid_credit_used(me);
    mid_pause_end(&part);
    return status;
}

/* As mid_mem_size_at, for who has no caches. */
static uint16_t *size_at(const mid_heap *heap, const void *at, unsigned *size_class)
{
    const mid_pool *pool = mid_pool_in(&heap->alloc, at);
    if (pool->state != MID_UNIT_BLOCKS)
        return NULL;
    *size_class = pool->size_class;
    const mid_block_class *b = &heap->alloc.blocks[*size_class];
    char *base = mid_pool_begin(&heap->alloc, at);
    uint32_t offset = (uint32_t)((const char *)at - base) - b->first, size = heap->alloc.classes[*size_class].slot_size;
    if ((const char *)at < base + b->first || offset % size != 0 || offset / size >= b->slots)
        return NULL;
    uint16_t *found = mid_block_size_of(b, base, offset / size);
    return *found == 0 ? NULL : found;
}

bool mid_mem_find(mid_heap *heap, mid_mem *mem, void *at, uint16_t **size, unsigned *size_class, mid_mem_row **row)
{
    *row = NULL;
    *size = NULL;
    if (mid_arena_known(&heap->alloc, mid_arena_of(at))) {
        if (mem != NULL)
            learn(heap, mem, mid_arena_of(at));
        *size = size_at(heap, at, size_class);
    }
    if (*size == NULL)
        *row = mid_mem_large_find(heap, at);
    return *size != NULL || *row != NULL;
}

/* No longer counted; it keeps its memory. */
static void discount(mid_heap *heap, size_t asked, size_t taken)
{
    mid_tally *tally = &heap->domains.tally[MID_DOMAIN_MEM];
    mid_tally_add(tally, -1, -(int64_t)asked, -(int64_t)taken);
    mid_tally_count(&tally->freed, 1);
}

static void free_large(mid_heap *heap, mid_mem_row *row)
{
    discount(heap, row->asked, mid_large_bytes(row->size));
    mid_mem_large_free(heap, row);
}

bool mid_mem_withdraw(mid_heap *heap, void *block)
{
    uint16_t *size;
    unsigned size_class = 0;
    mid_mem_row *row;
    bool found = mid_mem_find(heap, NULL, block, &size, &size_class, &row);
    if (row != NULL) {
        discount(heap, row->asked, mid_large_bytes(row->size));
        row->asked = MID_MEM_WITHDRAWN;
    } else if (found) {
        discount(heap, *size - 1u, heap->alloc.classes[size_class].slot_size);
        *size = 0;
    }
    return found;
}

void mid_mem_put_back(mid_heap *heap, void *block)
{
    mid_mem_row *row = mid_mem_large_find(heap, block);
    if (row != NULL)
        mid_mem_large_free(heap, row);
    else
        mid_block_return(&heap->alloc, block);
}

mid_status mid_mem_free_to_pool(mid_heap *heap, void *block)
{
    mid_lock(heap);
    bool found = mid_mem_withdraw(heap, block);
    if (found)
        mid_mem_put_back(heap, block);
    mid_unlock(heap);
    return found ? MID_OK : MID_EBLOCK;
}

mid_status mid_mem_free_slow(mid_impl *me, void *block)
{
    mid_heap *heap = me->heap;
    uint16_t *size;
    unsigned size_class = 0;
    mid_mem_row *row;
    mid_part part = {0};
    mid_lock_part(me, &part, MID_PAUSE_REFILL);
    bool found = mid_mem_find(heap, me->mem, block, &size, &size_class, &row);
    if (row != NULL) {
        free_large(heap, row);
    } else if (found) {
        if (mid_mem_full(&me->mem->bins[size_class])) {
            spill(heap, me->mem, size_class, heap->block_room[size_class] / 2u);
            mid_spend(me, heap->block_room[size_class] / 2u * (uint64_t)heap->alloc.classes[size_class].slot_size);
        }
        mid_mem_take_back(&me->mem->bins[size_class], block, size);
    }
    mid_unlock(heap);
    if (me->credit < 0)
        mid_credit_used(me);
    mid_pause_end(&part);
    return found ? MID_OK : MID_EBLOCK;
}

/* --- figures ----------------------------------------------------------------------------------------------------------------------- */

void mid_mem_sum(const mid_heap *heap, mid_domain_stats *into)
{
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++) {
        const mid_mem *mem = __atomic_load_n(&heap->threads[id]->mem, __ATOMIC_ACQUIRE);
        for (unsigned c = 0; mem != NULL && c < heap->alloc.class_count; c++) {
            uint64_t made = MID_READ_(mem->bins[c].made), freed = MID_READ_(mem->bins[c].freed);
            int64_t blocks = (int32_t)((uint32_t)(made - freed) - MID_READ_(mem->bins[c].told));
            into->live_blocks += (uint64_t)blocks;
            into->taken_bytes += (uint64_t)(blocks * heap->alloc.classes[c].slot_size);
            into->allocations += made;
            into->frees += freed;
            into->asked_bytes += (uint64_t)(MID_READ_(mem->bins[c].asked) - MID_READ_(mem->bins[c].asked_told));
        }
        into->reallocations += mem == NULL ? 0 : MID_READ_(mem->resized);
    }
}

/* Slots in use, and what was asked of them, by the sizes in the pools. */
static void census(mid_heap *heap, int64_t *blocks, int64_t *asked, int64_t *taken)
{
    for (unsigned c = 0; c < heap->alloc.class_count; c++)
        for (unsigned list = 0; list < MID_POOL_LISTS; list++)
            for (mid_pool *pool = heap->alloc.blocks[c].list[list]; pool != NULL; pool = pool->next)
                for (unsigned slot = 0; slot < pool->slots; slot++) {
                    uint16_t size = *mid_block_size_of(&heap->alloc.blocks[c], mid_pool_base(pool), slot);
                    *blocks += size != 0;
                    *asked += size != 0 ? size - 1 : 0;
                    *taken += size != 0 ? heap->alloc.classes[c].slot_size : 0;
                }
}

static const char *check_caches(const mid_heap *heap)
{
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++) {
        const mid_mem *mem = heap->threads[id]->mem;
        for (unsigned c = 0; mem != NULL && c < heap->alloc.class_count; c++) {
            uint32_t n = 0;
            for (void *block = mem->bins[c].head; block != NULL && n <= left(heap, mem, c); block = *(void **)block) {
                unsigned size_class;
                const mid_pool *pool = mid_arena_known(&heap->alloc, mid_arena_of(block)) ? mid_pool_in(&heap->alloc, block) : NULL;
                if (pool == NULL || pool->state != MID_UNIT_BLOCKS || pool->size_class != c || size_at(heap, block, &size_class) != NULL)
                    return "a cache of mem leads astray: a block was written to after it was freed";
                n++;
            }
            if (n != left(heap, mem, c))
                return "a cache of mem is not as long as it says";
        }
    }
    return NULL;
}

const char *mid_mem_check(mid_heap *heap)
{
    int64_t blocks = 0, asked = 0, taken = 0;
    mid_domain_stats s;
    const char *wrong = check_caches(heap);
    if (wrong == NULL)
        wrong = mid_mem_large_check(heap, &blocks, &asked, &taken);
    if (wrong != NULL)
        return wrong;
    census(heap, &blocks, &asked, &taken);
    mid_stats_domain(heap, MID_DOMAIN_MEM, &s, sizeof s);
    bool agrees = s.live_blocks == (uint64_t)blocks && s.asked_bytes == (uint64_t)asked && s.taken_bytes == (uint64_t)taken;
    return agrees ? NULL : "the figures of mem are not those of its blocks";
}
