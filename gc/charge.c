/* gc/charge.c: memory outside the heap that belongs to its objects. It counts as live (mid_live_bytes), so that growth of it calls for a
 * collection as growth of the heap does. */
#include "gc/heap.h"

#define FOREIGN_MOST ((uint64_t)1 << 62)

static mid_status charge(mid_thread *thread, uint64_t bytes)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    mid_domains *d = &me->heap->domains;
    uint64_t was = MID_READ_(d->foreign), peak;
    do
        if (bytes > FOREIGN_MOST || was > FOREIGN_MOST - bytes)
            return MID_ESIZE;
    while (!__atomic_compare_exchange_n(&d->foreign, &was, was + bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    peak = MID_READ_(d->peak_foreign);
    while (was + bytes > peak && !__atomic_compare_exchange_n(&d->peak_foreign, &peak, was + bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    mid_spend(me, bytes);
    if (me->credit < 0)
        mid_credit_used(me);
    return MID_OK;
}

static mid_status uncharge(mid_heap *heap, uint64_t bytes)
{
    uint64_t was = MID_READ_(heap->domains.foreign);
    do
        if (bytes > was)
            return MID_EINVAL;
    while (!__atomic_compare_exchange_n(&heap->domains.foreign, &was, was - bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return MID_OK;
}

mid_status mid_charge(mid_thread *thread, uint64_t bytes)
{
    mid_status status = charge(thread, bytes);
    if (status == MID_OK)
        mid_trace_charge_made(mid_impl_of(thread)->heap, bytes, __builtin_return_address(0));
    return status;
}

mid_status mid_uncharge(mid_heap *heap, uint64_t bytes)
{
    if (heap == NULL)
        return MID_ENULL;
    mid_status status = uncharge(heap, bytes);
    if (status == MID_OK)
        mid_trace_charge_gone(heap, bytes);
    return status;
}

/* A block without a record is charged all the same. */
mid_status mid_charge_block(mid_thread *thread, const void *block, uint64_t bytes)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    if (block == NULL)
        return MID_ENULL;
    if ((uintptr_t)block >> 48 != 0)
        return MID_EINVAL;
    status = charge(thread, bytes);
    if (status == MID_OK)
        mid_trace_block_made(mid_impl_of(thread), mid_impl_of(thread)->heap, MID_TRACE_FOREIGN, (uintptr_t)block, bytes, __builtin_return_address(0));
    return status;
}

mid_status mid_uncharge_block(mid_heap *heap, const void *block, uint64_t bytes)
{
    if (heap == NULL || block == NULL)
        return MID_ENULL;
    if ((uintptr_t)block >> 48 != 0)
        return MID_EINVAL;
    mid_status status = uncharge(heap, bytes);
    if (status == MID_OK)
        mid_trace_block_freed(heap, MID_TRACE_FOREIGN, (uintptr_t)block);
    return status;
}
