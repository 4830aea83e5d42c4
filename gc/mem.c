/* gc/mem.c: the domain mem: the calls of programs, and the domain's own allocator.
 *
 * To allocate is a pop, to free a push, and a store to the two bytes that the pool has for each slot. What a fast path does not serve,
 * another allocator being set among it, goes the long way through the table. */
#include <string.h>

#include "gc/debug.h"
#include "gc/mem.h"

#define MEM_MOST ((size_t)1 << 46)

/* What waits to be freed may have held the memory; a bounded part of it first. */
static bool freed_some(mid_impl *me, bool *all)
{
    if (mid_work_off(me))
        return true;
    bool any = !*all && mid_drain_all(me);
    *all = true;
    return any;
}

static bool short_of(mid_status status)
{
    return status == MID_ENOMEM || status == MID_ELIMIT;
}

/* mid_reclaim looks at what came free, then: to try for a block would take it. */
static mid_status refused(mid_impl *me, mid_status status, size_t size)
{
    mid_heap *heap = me->heap;
    me->refused = 0;
    mid_tally_count(&heap->domains.tally[MID_DOMAIN_MEM].refused, 1);
    mid_lock(heap);
    MID_EMIT(heap, refused, status, size);
    mid_unlock(heap);
    return status;
}

/* A thread's first call has its caches made first. */
static mid_status opened(mid_impl *me)
{
    return me->mem != NULL ? MID_OK : mid_mem_open(me);
}

static mid_status obtain(mid_impl *me, size_t size, size_t room, void **out)
{
    mid_status status = opened(me);
    return status == MID_OK ? mid_mem_obtain(me, size, room, out) : status;
}

static mid_status allocate(mid_impl *me, size_t size, size_t room, void **out)
{
    bool all = false;
    if (size > MEM_MOST)
        return MID_ESIZE;
    mid_status status = obtain(me, size, room, out);
    while (short_of(status) && freed_some(me, &all))
        status = obtain(me, size, room, out);
    if (status == MID_OK && room <= me->heap->alloc.pooled_max)
        mid_mem_hand_out(me->heap, &me->mem->bins[mid_size_class(room)], size, out);
    return status;
}

mid_status mid_mem_room_new(mid_impl *me, size_t size, size_t room, void **out)
{
    mid_status status = allocate(me, size, room, out);
    return short_of(status) ? refused(me, status, size) : status;
}

/* --- the domain's own allocator ----------------------------------------------------------------------------------------------------------- */

static mid_status own_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)
{
    (void)context;
    mid_status status = mid_thread_check(caller.thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(caller.thread);
    void *out = NULL;
    if (size <= me->heap->alloc.pooled_max && me->mem != NULL && me->mem->bins[mid_size_class(size)].head != NULL)
        mid_mem_hand_out(me->heap, &me->mem->bins[mid_size_class(size)], size, &out);
    else
        status = allocate(me, size, size, &out);
    *block = (uintptr_t)out;
    return short_of(status) ? refused(me, status, size) : status;
}

static mid_status own_calloc(void *context, mid_caller caller, size_t count, size_t size, uintptr_t *block)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return MID_ESIZE;
    mid_status status = own_malloc(context, caller, bytes, block);
    if (status == MID_OK && bytes <= mid_impl_of(caller.thread)->heap->alloc.pooled_max)
        memset((void *)*block, 0, bytes);
    return status;
}

/* Into the cache, if it has room. */
static inline bool free_fast(mid_impl *me, void *block)
{
    unsigned size_class;
    mid_mem *mem = me->mem;
    if (MID_UNLIKELY_(mem == NULL || !mid_mem_knows(me->heap, mem, block)))
        return false;
    uint16_t *size = mid_mem_size_at(me->heap, mem, block, &size_class);
    if (MID_UNLIKELY_(size == NULL || mid_mem_full(&mem->bins[size_class])))
        return false;
    mid_mem_take_back(&mem->bins[size_class], block, size);
    return true;
}

static mid_status own_free(void *context, mid_caller caller, uintptr_t block)
{
    (void)context;
    if (block == 0)
        return MID_OK;
    if (caller.thread == NULL)
        return mid_mem_free_to_pool(caller.heap, (void *)block);
    mid_status status = mid_thread_check(caller.thread);
    if (status == MID_OK && free_fast(mid_impl_of(caller.thread), (void *)block))
        return MID_OK;
    if (status == MID_OK && mid_impl_of(caller.thread)->mem == NULL)
        status = mid_mem_open(mid_impl_of(caller.thread));
    if (short_of(status))
        return mid_mem_free_to_pool(mid_impl_of(caller.thread)->heap, (void *)block);
    return status == MID_OK ? mid_mem_free_slow(mid_impl_of(caller.thread), (void *)block) : status;
}

/* It stays where it is if a smaller slot would save less than a quarter, and none is needed that is aligned better. */
static bool fits(size_t size, uint32_t slot_size)
{
    if (size != 0 && size % 16 == 0 && slot_size % 16 != 0)
        return false;
    return size <= slot_size && (size > slot_size / 4 * 3 || slot_size <= 16);
}

static mid_status resize_large(mid_impl *me, mid_mem_row *row, size_t size, uintptr_t *block)
{
    mid_heap *heap = me->heap;
    int64_t asked = (int64_t)row->asked, taken = (int64_t)mid_large_bytes(row->size);
    void *to = NULL;
    mid_status status = mid_mem_large_resize(heap, row, size, size, &to);
    if (status != MID_OK)
        return status;
    int64_t takes = (int64_t)mid_large_bytes(row->size);
    mid_tally_add(&heap->domains.tally[MID_DOMAIN_MEM], 0, (int64_t)size - asked, takes - taken);
    if (takes > taken)
        mid_spend(me, (uint64_t)(takes - taken));
    *block = (uintptr_t)to;
    return MID_OK;
}

static void resize_slot(mid_impl *me, unsigned size_class, uint16_t *slot, size_t size)
{
    mid_mem_bin *bin = &me->mem->bins[size_class];
    MID_WRITE_(bin->asked, bin->asked + (int64_t)size - (*slot - 1));
    *slot = (uint16_t)(size + 1);
}

/* The same by who has no bins to count it in, with `memory` held. */
static mid_status shrink_here(mid_heap *heap, uint16_t *slot, size_t size)
{
    mid_tally_add(&heap->domains.tally[MID_DOMAIN_MEM], 0, (int64_t)size - (*slot - 1), 0);
    *slot = (uint16_t)(size + 1);
    return MID_OK;
}

/* To another place: copied, and freed. What cannot be had to shrink is not needed: a large block keeps its first pages. */
static mid_status move(mid_impl *me, uintptr_t *block, size_t had, size_t size, mid_mem_row *row, uint16_t *slot,
                       unsigned size_class)
{
    void *to = NULL;
    uintptr_t row_number = row == NULL ? 0 : (uintptr_t)(row - (mid_mem_row *)me->heap->domains.rows.data);
    mid_status status = allocate(me, size, size, &to);
    if (status != MID_OK && size > had)
        return status;
    if (status == MID_OK) {
        memcpy(to, (void *)*block, had < size ? had : size);
        mid_status freed = mid_mem_free_slow(me, (void *)*block);
        assert(freed == MID_OK);
        (void)freed;
        *block = (uintptr_t)to;
    } else if (slot != NULL) {
        resize_slot(me, size_class, slot, size);
    } else {
        mid_lock(me->heap);
        status = resize_large(me, (mid_mem_row *)me->heap->domains.rows.data + row_number, size, block);
        mid_unlock(me->heap);
        return status;
    }
    return MID_OK;
}

static mid_status resize(mid_impl *me, uintptr_t *block, size_t size)
{
    mid_heap *heap = me->heap;
    uint16_t *slot;
    unsigned size_class = 0;
    mid_mem_row *row;
    mid_status status = opened(me);
    mid_lock(heap);
    bool found = mid_mem_find(heap, me->mem, (void *)*block, &slot, &size_class, &row);
    size_t had = row != NULL ? row->asked : slot != NULL ? *slot - 1u : 0;
    bool here = status != MID_OK && size <= had; /* without caches it can be shrunk all the same */
    bool large = row != NULL && (here || size > heap->alloc.pooled_max || size >= had); /* it may have shrunk to a page, and grow in it */
    if (!found)
        status = MID_EBLOCK;
    else if (large)
        status = resize_large(me, row, size, block);
    else if (here)
        status = shrink_here(heap, slot, size);
    mid_unlock(heap);
    if (status != MID_OK || large || here)
        return status;
    if (slot != NULL && fits(size, heap->alloc.classes[size_class].slot_size)) {
        resize_slot(me, size_class, slot, size);
        return MID_OK;
    }
    return move(me, block, had, size, row, slot, size_class);
}

static mid_status own_realloc(void *context, mid_caller caller, uintptr_t *block, size_t size)
{
    if (*block == 0)
        return own_malloc(context, caller, size, block);
    mid_status status = mid_thread_check(caller.thread);
    if (status == MID_OK && size > MEM_MOST)
        status = MID_ESIZE;
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(caller.thread);
    bool all = false;
    status = resize(me, block, size);
    while (short_of(status) && freed_some(me, &all))
        status = resize(me, block, size);
    if (status == MID_OK && me->mem != NULL)
        MID_WRITE_(me->mem->resized, me->mem->resized + 1);
    else if (status == MID_OK)
        mid_tally_count(&me->heap->domains.tally[MID_DOMAIN_MEM].resized, 1);
    return short_of(status) ? refused(me, status, size) : status;
}

const mid_allocator mid_mem_own = {NULL, own_malloc, own_calloc, own_realloc, own_free, 1};
const mid_kept_allocator mid_mem_marked = {.allocator = {NULL, own_malloc, own_calloc, own_realloc, own_free, 1}};

/* --- the calls ------------------------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) mid_status malloc_long(mid_thread *thread, size_t count, size_t size, bool clear, void **out,
                                                       const void *from)
{
    uintptr_t block = 0;
    if (out == NULL)
        return MID_ENULL;
    *out = NULL;
    mid_status status = mid_thread_check(thread);
    const void *outer = mid_called_from(from);
    if (status == MID_OK)
        status = mid_domain_new((mid_caller){mid_impl_of(thread)->heap, thread}, MID_DOMAIN_MEM, count, size, clear, &block);
    mid_called_by = outer;
    if (status == MID_OK)
        mid_trace_block_made(mid_impl_of(thread), mid_impl_of(thread)->heap, MID_TRACE_MEM, block, count * size, from);
    *out = (void *)block;
    return status;
}

/* Above what the table of classes tells the way is a little longer, and takes no lock either. */
mid_status mid_mem_malloc(mid_thread *thread, size_t size, void **out)
{
    if (MID_UNLIKELY_(thread == NULL || out == NULL || size > MID_CLASS_TABLE_MAX || !mid_here(mid_impl_of(thread))))
        return malloc_long(thread, 1, size, false, out, __builtin_return_address(0));
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_mem *mem = mid_impl_of(thread)->mem;
    if (MID_UNLIKELY_(mem == NULL || mid_domain_replaced(heap, MID_DOMAIN_MEM)))
        return malloc_long(thread, 1, size, false, out, __builtin_return_address(0));
    mid_mem_bin *bin = &mem->bins[mid_class_table[(size + 7) / 8]];
    if (MID_UNLIKELY_(bin->head == NULL))
        return malloc_long(thread, 1, size, false, out, __builtin_return_address(0));
    mid_mem_hand_out(heap, bin, size, out);
    return MID_OK;
}

mid_status mid_mem_calloc(mid_thread *thread, size_t count, size_t size, void **out)
{
    return malloc_long(thread, count, size, true, out, __builtin_return_address(0));
}

static __attribute__((noinline)) mid_status free_long(mid_thread *thread, void *block, const void *from)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK || block == NULL)
        return status;
    mid_trace_block_freed(mid_impl_of(thread)->heap, MID_TRACE_MEM, (uintptr_t)block);
    const void *outer = mid_called_from(from);
    status = mid_domain_free((mid_caller){mid_impl_of(thread)->heap, thread}, MID_DOMAIN_MEM, (uintptr_t)block);
    mid_called_by = outer;
    return status;
}

mid_status mid_mem_free(mid_thread *thread, void *block)
{
    if (MID_UNLIKELY_(thread == NULL || !mid_here(mid_impl_of(thread)) || mid_domain_replaced(mid_impl_of(thread)->heap, MID_DOMAIN_MEM) ||
                      !free_fast(mid_impl_of(thread), block)))
        return free_long(thread, block, __builtin_return_address(0));
    return MID_OK;
}

mid_status mid_mem_realloc(mid_thread *thread, void **block, size_t size)
{
    if (block == NULL)
        return MID_ENULL;
    mid_status status = mid_thread_check(thread);
    uintptr_t at = (uintptr_t)*block, was = at;
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    uint64_t lifted = mid_trace_block_lift(me->heap, MID_TRACE_MEM, at);
    const void *outer = mid_called_from(__builtin_return_address(0));
    status = mid_domain_resize((mid_caller){me->heap, thread}, MID_DOMAIN_MEM, &at, size);
    mid_called_by = outer;
    mid_trace_block_moved(me, me->heap, MID_TRACE_MEM, was, lifted, status == MID_OK ? at : 0, size, __builtin_return_address(0));
    *block = (void *)at;
    return status;
}

mid_status mid_mem_free_anywhere(mid_heap *heap, void *block)
{
    if (heap == NULL)
        return MID_ENULL;
    for (const mid_callback *c = mid_callbacks; c != NULL; c = c->outer)
        if (c->heap == heap && !c->payload)
            return MID_EBUSY;
    if (block == NULL)
        return MID_OK;
    mid_trace_block_freed(heap, MID_TRACE_MEM, (uintptr_t)block);
    const void *outer = mid_called_from(__builtin_return_address(0));
    mid_status status = mid_domain_free((mid_caller){heap, NULL}, MID_DOMAIN_MEM, (uintptr_t)block);
    mid_called_by = outer;
    return status;
}

mid_status mid_mem_size(mid_thread *thread, const void *block, size_t *size)
{
    if (block == NULL || size == NULL)
        return MID_ENULL;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    if (heap->debug)
        return mid_debug_block_size(heap, block, size);
    uint16_t *slot;
    unsigned size_class;
    mid_mem_row *row;
    mid_lock(heap);
    bool found = mid_mem_find(heap, mid_impl_of(thread)->mem, (void *)(uintptr_t)block, &slot, &size_class, &row);
    if (found)
        *size = row != NULL ? row->asked : *slot - 1u;
    mid_unlock(heap);
    return found ? MID_OK : MID_EBLOCK;
}
