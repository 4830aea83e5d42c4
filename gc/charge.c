/* gc/charge.c: memory outside the heap that belongs to its objects. It counts as live (mid_live_bytes), so that growth of it calls for a
 * collection as growth of the heap does. */
#include "gc/heap.h"

#define FOREIGN_MOST ((uint64_t)1 << 62)

mid_status mid_charge(mid_thread *thread, uint64_t bytes)
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

mid_status mid_uncharge(mid_heap *heap, uint64_t bytes)
{
    if (heap == NULL)
        return MID_ENULL;
    uint64_t was = MID_READ_(heap->domains.foreign);
    do
        if (bytes > was)
            return MID_EINVAL;
    while (!__atomic_compare_exchange_n(&heap->domains.foreign, &was, was - bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return MID_OK;
}
