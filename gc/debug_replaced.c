/* gc/debug_replaced.c: in debug heaps, what stands before an allocator of the program's that has taken the place of raw's or mem's.
 *
 * It is asked for as much more as two fences take, and blocks have records, as those of debug_mem.c. But what is freed cannot wait: nobody
 * else may say how long memory of another's is kept, nor call it with a lock held. So it is filled, and goes at once, as with CPython's
 * hooks; the record stays as long as if it waited, with a `room` of 0, so that who frees again is told. It gives way when the
 * allocator hands the address out anew. A resize is one of the allocator's: while it is under way, the block has no address. */
#include <string.h>

#include "gc/addressable.h"
#include "gc/debug.h"

static const mid_allocator *inner_of(void *context)
{
    return &((const mid_kept_allocator *)context)->inner;
}

/* It hands out what lives. With `memory` held. */
static bool given_twice(mid_heap *heap, mid_domain domain, const char *at)
{
    char name[128];
    uint32_t number = mid_debug_block_find(heap, at);
    if (number == 0 || mid_block_site_at(heap, number)->room == 0)
        return false;
    mid_fault fault = {.kind = MID_MISUSE_ADDRESS, .status = MID_ECORRUPT, .call = domain == MID_DOMAIN_RAW ? "mid_raw_malloc" : "mid_mem_malloc",
                       .heap = heap, .block = number, .address = at};
    mid_fault_of_block(&fault, "the allocator of %s gave out %p, which is %s", domain == MID_DOMAIN_RAW ? "raw" : "mem", (const void *)at,
                       mid_fault_block_name(heap, number, name, sizeof name));
    return true;
}

/* With `memory` held. */
static void enter(mid_caller caller, uint32_t number, mid_domain domain, char *begin, size_t size, uint32_t made)
{
    mid_heap *heap = caller.heap;
    char *at = begin + heap->fence;
    *mid_block_site_at(heap, number) = (mid_block_site){.size = size, .room = size + 2 * heap->fence, .serial = ++heap->watch->blocks.serial,
                                              .made = made, .made_by = (uint16_t)mid_debug_place(caller), .domain = (uint8_t)domain};
    mid_debug_block_superseded(heap, at);
    mid_debug_block_enter(heap, number, at);
    mid_debug_block_open(heap, number);
}

static void fresh(char *at, size_t size)
{
    memset(at, MID_FILL_FRESH, size);
    mid_unwritten(at, size);
}

static mid_status make(void *context, mid_caller caller, mid_domain domain, size_t size, bool clear, uintptr_t *block)
{
    mid_heap *heap = caller.heap;
    const mid_allocator *a = inner_of(context);
    uint32_t number;
    uintptr_t begin = 0;
    mid_status status = domain == MID_DOMAIN_MEM ? mid_thread_check(caller.thread) : MID_OK;
    if (status == MID_OK && size > (size_t)PTRDIFF_MAX - 2 * heap->fence)
        status = MID_ESIZE;
    if (status != MID_OK)
        return status;
    status = mid_debug_block_record(heap, &number);
    if (status != MID_OK)
        return domain == MID_DOMAIN_RAW ? MID_ENOMEM : status;
    const size_t room = size + 2 * heap->fence;
    uint32_t made = mid_debug_stack(heap, mid_called_by);
    status = clear ? (a->calloc)(a->context, caller, 1, room, &begin) : (a->malloc)(a->context, caller, room, &begin);
    if (status == MID_OK && begin == 0)
        status = MID_ENOMEM;
    mid_lock(heap);
    if (status == MID_OK && given_twice(heap, domain, (char *)begin + heap->fence))
        status = MID_ECORRUPT;
    if (status != MID_OK) {
        mid_debug_block_give(heap, number);
    } else {
        *block = begin + heap->fence;
        enter(caller, number, domain, (char *)begin, size, made);
        if (!clear)
            fresh((char *)*block, size);
        mid_debug_block_fence(heap, number);
    }
    mid_unlock(heap);
    return status;
}

static mid_status give(void *context, mid_caller caller, mid_domain domain, uintptr_t block, const char *call)
{
    mid_heap *heap = caller.heap;
    const mid_allocator *a = inner_of(context);
    if (block == 0)
        return MID_OK;
    mid_status status = domain == MID_DOMAIN_MEM && caller.thread != NULL ? mid_thread_check(caller.thread) : MID_OK;
    if (status != MID_OK)
        return status;
    uint32_t gone = mid_debug_stack(heap, mid_called_by);
    mid_lock(heap);
    uint32_t number = mid_debug_block_live(caller, domain, (void *)block, call);
    size_t room = 0;
    if (number != 0) {
        mid_debug_block_whole(heap, number, call);
        mid_debug_block_open(heap, number);
        mid_block_site *b = mid_block_site_at(heap, number);
        room = b->room;
        memset(b->at - heap->fence, MID_FILL_FREED, room);
        b->gone = gone;
        b->gone_by = (uint16_t)mid_debug_place(caller);
        b->state = MID_BLOCK_FREED;
        b->room = 0;
    }
    mid_unlock(heap);
    if (number == 0)
        return MID_EBLOCK;
    status = (a->free)(a->context, caller, block - heap->fence);
    mid_lock(heap);
    mid_block_site *b = mid_block_site_at(heap, number);
    if (status == MID_OK) {
        mid_debug_recall(heap, number);
    } else if (b->at == NULL) { /* refused, and handed out all the same */
        mid_debug_block_give(heap, number);
    } else { /* it keeps it: a block whose contents are lost */
        b->state = MID_BLOCK_LIVE;
        b->room = room;
        b->gone = b->gone_by = 0;
        mid_debug_block_fence(heap, number);
    }
    mid_unlock(heap);
    return status;
}

/* Who frees the old address is told that it has moved, unless it is somebody else's by now. With `memory` held. */
static void recall_moved(mid_caller caller, const mid_block_site *was, uint32_t gone)
{
    mid_heap *heap = caller.heap;
    uint32_t number;
    if (mid_debug_block_find(heap, was->at) != 0 || mid_debug_block_take(heap, &number) != MID_OK)
        return;
    mid_block_site *b = mid_block_site_at(heap, number);
    *b = *was;
    b->room = 0;
    b->gone = gone;
    b->gone_by = (uint16_t)mid_debug_place(caller);
    mid_debug_block_enter(heap, number, was->at);
    b->state = MID_BLOCK_MOVED;
    mid_debug_recall(heap, number);
}

static mid_status resize(void *context, mid_caller caller, mid_domain domain, uintptr_t *block, size_t size, const char *call)
{
    mid_heap *heap = caller.heap;
    const mid_allocator *a = inner_of(context);
    if (*block == 0)
        return make(context, caller, domain, size, false, block);
    mid_status status = domain == MID_DOMAIN_MEM ? mid_thread_check(caller.thread) : MID_OK;
    if (status == MID_OK && size > (size_t)PTRDIFF_MAX - 2 * heap->fence)
        status = MID_ESIZE;
    if (status != MID_OK)
        return status;
    uint32_t stack = mid_debug_stack(heap, mid_called_by);
    mid_block_site was = {.at = NULL};
    mid_lock(heap);
    uint32_t number = mid_debug_block_live(caller, domain, (void *)*block, call);
    if (number != 0) {
        mid_debug_block_whole(heap, number, call);
        mid_debug_block_open(heap, number);
        was = *mid_block_site_at(heap, number);
        mid_debug_block_withdraw(heap, number);
    }
    mid_unlock(heap);
    if (number == 0)
        return MID_EBLOCK;
    uintptr_t to = *block - heap->fence;
    status = (a->realloc)(a->context, caller, &to, size + 2 * heap->fence);
    if (status == MID_OK && to == 0)
        status = MID_ENOMEM;
    mid_lock(heap);
    if (status == MID_OK) {
        *block = to + heap->fence;
        enter(caller, number, domain, (char *)to, size, stack);
        if (size > was.size)
            fresh((char *)*block + was.size, size - was.size);
        if ((char *)*block != was.at)
            recall_moved(caller, &was, stack);
    } else {
        *mid_block_site_at(heap, number) = was;
        mid_debug_block_enter(heap, number, was.at);
    }
    mid_debug_block_fence(heap, number);
    mid_unlock(heap);
    return status;
}

/* --- the allocators ------------------------------------------------------------------------------------------------------------------- */

#define BEFORE(name, domain)                                                                                                            \
    static mid_status name##_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)                                    \
    {                                                                                                                                   \
        return make(context, caller, domain, size, false, block);                                                                       \
    }                                                                                                                                   \
    static mid_status name##_calloc(void *context, mid_caller caller, size_t count, size_t size, uintptr_t *block)                      \
    {                                                                                                                                   \
        size_t bytes;                                                                                                                   \
        return __builtin_mul_overflow(count, size, &bytes) ? MID_ESIZE : make(context, caller, domain, bytes, true, block);             \
    }                                                                                                                                   \
    static mid_status name##_realloc(void *context, mid_caller caller, uintptr_t *block, size_t size)                                   \
    {                                                                                                                                   \
        return resize(context, caller, domain, block, size, "mid_" #name "_realloc");                                                   \
    }                                                                                                                                   \
    static mid_status name##_free(void *context, mid_caller caller, uintptr_t block)                                                    \
    {                                                                                                                                   \
        return give(context, caller, domain, block, "mid_" #name "_free");                                                              \
    }
BEFORE(raw, MID_DOMAIN_RAW)
BEFORE(mem, MID_DOMAIN_MEM)

static bool stands_before(const mid_allocator *allocator)
{
    return (allocator->malloc == raw_malloc && allocator->free == raw_free) || (allocator->malloc == mem_malloc && allocator->free == mem_free);
}

void mid_debug_replaces(mid_kept_allocator *kept, mid_domain domain)
{
    if (stands_before(&kept->allocator)) { /* as it was handed out by mid_domain_get_allocator */
        kept->inner = *inner_of(kept->allocator.context);
        return;
    }
    kept->inner = kept->allocator;
    kept->allocator = domain == MID_DOMAIN_RAW ? (mid_allocator){kept, raw_malloc, raw_calloc, raw_realloc, raw_free, 0}
                                               : (mid_allocator){kept, mem_malloc, mem_calloc, mem_realloc, mem_free, 0};
}
