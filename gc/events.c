/* gc/events.c: listeners. The built-in statistics of stops are kept where stops end. */
#include <string.h>

#include "gc/heap.h"

mid_status mid_listener_add(mid_heap *heap, const mid_listener *listener)
{
    if (heap == NULL || listener == NULL)
        return MID_ENULL;
    if (listener->struct_size != sizeof *listener)
        return MID_EINVAL;
    if (!mid_is_mutator(heap))
        return MID_ETHREAD;
    if (mid_busy(heap))
        return MID_EBUSY;
    mid_lock(heap); /* held wherever something is emitted */
    bool room = heap->listener_count < MID_LISTENERS_MAX;
    if (room) {
        heap->listeners[heap->listener_count] = *listener;
        MID_WRITE_(heap->listener_count, heap->listener_count + 1);
    }
    mid_unlock(heap);
    return room ? MID_OK : MID_ELIMIT;
}

mid_status mid_listener_remove(mid_heap *heap, void *context)
{
    if (heap == NULL)
        return MID_ENULL;
    if (!mid_is_mutator(heap))
        return MID_ETHREAD;
    if (mid_busy(heap))
        return MID_EBUSY;
    mid_status status = MID_EINVAL;
    mid_lock(heap);
    for (unsigned i = 0; i < heap->listener_count && status != MID_OK; i++)
        if (heap->listeners[i].context == context) {
            memmove(&heap->listeners[i], &heap->listeners[i + 1],
                    (--heap->listener_count - i) * sizeof heap->listeners[0]);
            status = MID_OK;
        }
    mid_unlock(heap);
    return status;
}

void mid_histogram_add(uint64_t histogram[MID_STOP_BUCKETS], uint64_t value)
{
    unsigned bucket = value < 2 ? 0 : 63 - (unsigned)__builtin_clzll(value);
    __atomic_fetch_add(&histogram[bucket < MID_STOP_BUCKETS ? bucket : MID_STOP_BUCKETS - 1], 1, __ATOMIC_RELAXED);
}

void mid_stop_begins(mid_heap *heap)
{
    MID_EMIT(heap, stop_begin);
    heap->stop_began = mid_thread_cpu_nanos();
}

void mid_stop_ends(mid_heap *heap)
{
    uint64_t micros = (mid_thread_cpu_nanos() - heap->stop_began) / 1000;
    mid_histogram_add(heap->stop_histogram, micros);
    heap->counts.stops++;
    heap->counts.stop_micros += micros;
    if (micros > heap->counts.stop_micros_max)
        heap->counts.stop_micros_max = micros;
    MID_EMIT(heap, stop_end, micros);
}
