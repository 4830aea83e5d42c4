/* gc/debug_mem.c: the allocators of raw and mem in debug heaps: those of other heaps, for blocks that have fences and a record each.
 *
 * Figures are of what was asked for, as in other heaps: fences are rounding, and what is held back is free memory. A block that is
 * resized moves, so that who keeps its old address is told; only if there is no memory for that it is resized where it is. */
#include <stdio.h>
#include <string.h>

#include "gc/addressable.h"
#include "gc/debug.h"
#include "gc/mem.h"

static const char *const domains[] = {"raw", "mem", "object"};

static bool short_of(mid_status status)
{
    return status == MID_ENOMEM || status == MID_ELIMIT;
}

unsigned mid_debug_place(mid_caller caller)
{
    mid_thread *thread = caller.thread != NULL ? caller.thread : mid_thread_current(caller.heap);
    return thread == NULL ? 0 : mid_impl_of(thread)->id;
}

/* What is held back may be what is missing. */
mid_status mid_debug_block_record(mid_heap *heap, uint32_t *number)
{
    mid_lock(heap);
    mid_status status = mid_debug_block_take(heap, number);
    if (short_of(status) && heap->watch->blocks.held != 0) {
        mid_debug_held_flush(heap);
        status = mid_debug_block_take(heap, number);
    }
    mid_unlock(heap);
    return status;
}

static mid_status obtain(mid_caller caller, mid_domain domain, size_t size, bool clear, char **begin, size_t *room)
{
    mid_heap *heap = caller.heap;
    void *got = NULL;
    mid_status status;
    *room = size + 2 * heap->fence;
    if (domain == MID_DOMAIN_MEM) {
        status = mid_mem_room_new(mid_impl_of(caller.thread), size, *room, &got);
        if (*room <= heap->alloc.pooled_max)
            *room = mid_class_size(mid_size_class(*room));
    } else {
        status = mid_raw_room_new(heap, size, *room, clear, &got);
        if (status == MID_ENOMEM && heap->watch->blocks.held != 0) {
            mid_debug_held_flush(heap);
            status = mid_raw_room_new(heap, size, *room, clear, &got);
        }
    }
    *begin = got;
    return status;
}

/* Bytes `from` on are the program's, and new. Large blocks of mem come cleared, and are to do so here, too. */
static void fill(const mid_heap *heap, mid_domain domain, char *at, size_t from, size_t size, size_t room, bool clear)
{
    if (from >= size)
        return;
    if (clear) {
        if (domain == MID_DOMAIN_MEM && room <= heap->alloc.pooled_max)
            memset(at + from, 0, size - from);
    } else if (domain == MID_DOMAIN_RAW || size <= heap->alloc.pooled_max) {
        memset(at + from, MID_FILL_FRESH, size - from);
        mid_unwritten(at + from, size - from);
    }
}

static mid_status make(mid_caller caller, mid_domain domain, size_t size, bool clear, uint32_t *number, uintptr_t *at)
{
    mid_heap *heap = caller.heap;
    char *begin;
    size_t room;
    if (size > (size_t)PTRDIFF_MAX - 2 * heap->fence)
        return MID_ESIZE;
    mid_status status = mid_debug_block_record(heap, number); /* what has none is no block */
    if (status != MID_OK) {
        mid_tally_count(&heap->domains.tally[domain].refused, 1);
        return domain == MID_DOMAIN_RAW ? MID_ENOMEM : status;
    }
    uint32_t made = mid_debug_stack(heap, mid_called_by);
    status = obtain(caller, domain, size, clear, &begin, &room);
    mid_lock(heap);
    if (status == MID_OK) {
        mid_addressable(begin, room);
        *mid_block_site_at(heap, *number) = (mid_block_site){.size = size, .room = room, .serial = ++heap->watch->blocks.serial, .made = made,
                                                   .made_by = (uint16_t)mid_debug_place(caller), .domain = (uint8_t)domain};
        mid_debug_block_enter(heap, *number, begin + heap->fence);
        fill(heap, domain, begin + heap->fence, 0, size, room, clear);
        mid_debug_block_fence(heap, *number);
        *at = (uintptr_t)begin + heap->fence;
    } else {
        mid_debug_block_give(heap, *number);
    }
    mid_unlock(heap);
    return status;
}

static mid_status make_block(mid_caller caller, mid_domain domain, size_t size, bool clear, uintptr_t *block)
{
    uint32_t number;
    mid_status status = domain == MID_DOMAIN_MEM ? mid_thread_check(caller.thread) : MID_OK;
    if (status == MID_OK)
        status = make(caller, domain, size, clear, &number, block);
    return status;
}

/* --- what is no block ----------------------------------------------------------------------------------------------------------- */

/* With `memory` held. */
static void tell_wrong(mid_caller caller, mid_domain domain, uint32_t number, const void *at, const char *call)
{
    mid_heap *heap = caller.heap;
    char name[128];
    mid_fault fault = {.kind = MID_MISUSE_ADDRESS, .status = MID_EBLOCK, .call = call, .thread = caller.thread, .heap = heap,
                       .block = number, .address = at};
    const mid_block_site *b = number == 0 ? NULL : mid_block_site_at(heap, number);
    if (number != 0)
        (void)mid_fault_block_name(heap, number, name, sizeof name);
    if (b != NULL && b->domain == MID_DOMAIN_OBJECT) {
        fault.kind = MID_MISUSE_DOMAIN;
        mid_fault_of_block(&fault, "%p was %s, no block of %s", at, name, domains[domain]);
    } else if (b != NULL && b->state != MID_BLOCK_LIVE) {
        fault.kind = MID_MISUSE_FREED;
        mid_fault_of_block(&fault, "%s was %s before", name, b->state == MID_BLOCK_MOVED ? "moved by a resize" : "freed");
    } else if (b != NULL) {
        fault.kind = MID_MISUSE_DOMAIN;
        mid_fault_of_block(&fault, "%s is not of %s", name, domains[domain]);
    } else if ((fault.block = mid_debug_block_around(heap, at)) != 0) {
        ptrdiff_t inside = (const char *)at - mid_block_site_at(heap, fault.block)->at;
        mid_fault_of_block(&fault, "%p is byte %td of %s, not its beginning", at, inside,
                           mid_fault_block_name(heap, fault.block, name, sizeof name));
    } else {
        mid_debug_foreign(heap, at, domains[domain], &fault);
    }
}

uint32_t mid_debug_block_live(mid_caller caller, mid_domain domain, const void *at, const char *call)
{
    uint32_t number = mid_debug_block_find(caller.heap, at);
    const mid_block_site *b = number == 0 ? NULL : mid_block_site_at(caller.heap, number);
    if (b != NULL && b->state == MID_BLOCK_LIVE && b->domain == domain)
        return number;
    tell_wrong(caller, domain, number, at, call);
    return 0;
}

mid_status mid_debug_block_size(mid_heap *heap, const void *at, size_t *size)
{
    mid_lock(heap);
    uint32_t number = mid_debug_block_find(heap, at);
    const mid_block_site *b = number == 0 ? NULL : mid_block_site_at(heap, number);
    bool found = b != NULL && b->state == MID_BLOCK_LIVE && b->domain == MID_DOMAIN_MEM;
    if (found)
        *size = b->size;
    mid_unlock(heap);
    return found ? MID_OK : MID_EBLOCK;
}

/* --- free and realloc --------------------------------------------------------------------------------------------------------------- */

/* With `memory` held. */
static void bury(mid_caller caller, uint32_t number, uint32_t gone, bool moved)
{
    mid_heap *heap = caller.heap;
    mid_block_site *b = mid_block_site_at(heap, number);
    char *begin = b->at - heap->fence;
    mid_debug_block_open(heap, number);
    if (b->domain == MID_DOMAIN_RAW)
        mid_raw_withdraw(heap, begin);
    else
        mid_mem_withdraw(heap, begin);
    b->gone = gone;
    b->gone_by = (uint16_t)mid_debug_place(caller);
    b->state = moved ? MID_BLOCK_MOVED : MID_BLOCK_FREED;
    mid_debug_hold(heap, number);
}

static mid_status free_block(mid_caller caller, mid_domain domain, uintptr_t block, const char *call)
{
    mid_heap *heap = caller.heap;
    if (block == 0)
        return MID_OK;
    mid_status status = domain == MID_DOMAIN_MEM && caller.thread != NULL ? mid_thread_check(caller.thread) : MID_OK;
    if (status != MID_OK)
        return status;
    uint32_t gone = mid_debug_stack(heap, mid_called_by);
    mid_lock(heap);
    uint32_t number = mid_debug_block_live(caller, domain, (void *)block, call);
    if (number != 0) {
        mid_debug_block_whole(heap, number, call);
        bury(caller, number, gone, false);
    }
    mid_unlock(heap);
    return number != 0 ? MID_OK : MID_EBLOCK;
}

/* With `memory` held. A slot that it has not outgrown, or what alloc/ and libc make of it. */
static mid_status resize_mem(mid_heap *heap, char **begin, size_t size, size_t room)
{
    mid_tally *tally = &heap->domains.tally[MID_DOMAIN_MEM];
    uint16_t *slot;
    unsigned size_class = 0;
    mid_mem_row *row;
    void *to = *begin;
    if (!mid_mem_find(heap, NULL, *begin, &slot, &size_class, &row))
        return MID_EBLOCK;
    if (slot != NULL && room > heap->alloc.classes[size_class].slot_size)
        return MID_ELIMIT;
    int64_t asked = slot != NULL ? (int64_t)*slot - 1 : (int64_t)row->asked, taken = slot != NULL ? 0 : (int64_t)mid_large_bytes(row->size);
    mid_status status = MID_OK;
    if (slot != NULL)
        *slot = (uint16_t)(size + 1);
    else
        status = mid_mem_large_resize(heap, row, size, room, &to);
    if (status == MID_OK)
        mid_tally_add(tally, 0, (int64_t)size - asked, slot != NULL ? 0 : (int64_t)mid_large_bytes(row->size) - taken);
    if (status == MID_OK)
        mid_tally_count(&tally->resized, 1);
    *begin = to;
    return status;
}

/* With `memory` held: in place, if there is room, or as the system does it. */
static mid_status resize_here(mid_caller caller, uint32_t number, size_t size, uint32_t made)
{
    mid_heap *heap = caller.heap;
    mid_block_site b = *mid_block_site_at(heap, number);
    char *begin = b.at - heap->fence;
    size_t room = size + 2 * heap->fence;
    mid_debug_block_open(heap, number);
    mid_status status = b.domain == MID_DOMAIN_MEM ? resize_mem(heap, &begin, size, room)
                                                   : mid_raw_room_resize(heap, (void **)&begin, size, room);
    if (status == MID_OK) {
        const bool slot = b.domain == MID_DOMAIN_MEM && b.room <= heap->alloc.pooled_max;
        mid_debug_block_give(heap, number); /* and at once another: its record is there, and so is a cell */
        mid_status again = mid_debug_block_take(heap, &number);
        assert(again == MID_OK);
        (void)again;
        *mid_block_site_at(heap, number) = (mid_block_site){.size = size, .room = slot ? b.room : room, .serial = ++heap->watch->blocks.serial,
                                                  .made = made, .made_by = (uint16_t)mid_debug_place(caller), .domain = b.domain};
        mid_debug_block_enter(heap, number, begin + heap->fence);
        mid_addressable(begin, mid_block_site_at(heap, number)->room);
        fill(heap, (mid_domain)b.domain, begin + heap->fence, b.size, size, room, false);
        if (!slot && b.domain == MID_DOMAIN_MEM && size > heap->alloc.pooled_max && size > b.size) /* all is zero but the fence */
            memset(begin + heap->fence + b.size, 0, size - b.size < heap->fence ? size - b.size : heap->fence);
    }
    mid_debug_block_fence(heap, number);
    return status;
}

/* What libc does is one call; mem counts a move as both of its own, too. */
static void count_resize(mid_heap *heap, mid_domain domain)
{
    mid_tally *tally = &heap->domains.tally[domain];
    mid_tally_count(&tally->resized, 1);
    if (domain == MID_DOMAIN_RAW) {
        __atomic_fetch_sub(&tally->made, 1, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&tally->freed, 1, __ATOMIC_RELAXED);
    }
}

static mid_status resize_block(mid_caller caller, mid_domain domain, uintptr_t *block, size_t size, const char *call)
{
    mid_heap *heap = caller.heap;
    uint32_t other = 0;
    uintptr_t moved = 0;
    if (*block == 0)
        return make_block(caller, domain, size, false, block);
    mid_status status = domain == MID_DOMAIN_MEM ? mid_thread_check(caller.thread) : MID_OK;
    if (status != MID_OK)
        return status;
    mid_lock(heap);
    uint32_t number = mid_debug_block_live(caller, domain, (void *)*block, call);
    if (number != 0)
        mid_debug_block_whole(heap, number, call);
    mid_unlock(heap);
    if (number == 0)
        return MID_EBLOCK;
    uint32_t stack = mid_debug_stack(heap, mid_called_by);
    status = make(caller, domain, size, false, &other, &moved); /* only who has the block may free it meanwhile, and that is the caller */
    mid_lock(heap);
    if (status == MID_OK) {
        const mid_block_site *from = mid_block_site_at(heap, number);
        memcpy((void *)moved, from->at, from->size < size ? from->size : size);
        *block = moved;
        bury(caller, number, stack, true);
        count_resize(heap, domain);
    } else if (short_of(status) && (status = resize_here(caller, number, size, stack)) == MID_OK) {
        *block = (uintptr_t)mid_block_site_at(heap, number)->at;
    }
    mid_unlock(heap);
    return status;
}

/* --- the allocators ------------------------------------------------------------------------------------------------------------------- */

#define ALLOCATOR(name, domain)                                                                                                         \
    static mid_status name##_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)                                    \
    {                                                                                                                                   \
        (void)context;                                                                                                                  \
        return make_block(caller, domain, size, false, block);                                                                          \
    }                                                                                                                                   \
    static mid_status name##_calloc(void *context, mid_caller caller, size_t count, size_t size, uintptr_t *block)                      \
    {                                                                                                                                   \
        size_t bytes;                                                                                                                   \
        (void)context;                                                                                                                  \
        return __builtin_mul_overflow(count, size, &bytes) ? MID_ESIZE : make_block(caller, domain, bytes, true, block);                \
    }                                                                                                                                   \
    static mid_status name##_realloc(void *context, mid_caller caller, uintptr_t *block, size_t size)                                   \
    {                                                                                                                                   \
        (void)context;                                                                                                                  \
        return resize_block(caller, domain, block, size, "mid_" #name "_realloc");                                                      \
    }                                                                                                                                   \
    static mid_status name##_free(void *context, mid_caller caller, uintptr_t block)                                                    \
    {                                                                                                                                   \
        (void)context;                                                                                                                  \
        return free_block(caller, domain, block, "mid_" #name "_free");                                                                 \
    }
ALLOCATOR(raw, MID_DOMAIN_RAW)
ALLOCATOR(mem, MID_DOMAIN_MEM)

const mid_kept_allocator mid_raw_watched = {.allocator = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free, 1}};
const mid_kept_allocator mid_mem_watched = {.allocator = {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free, 1}};
