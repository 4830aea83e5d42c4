/* gc/trace_sample.c: which allocations are remembered, and how they are caught without the fast paths knowing.
 *
 * Samples are the points of a Poisson process on the bytes allocated, as in gperftools, jemalloc and Go. The inline path takes
 * slots from the thread's cache and counts nothing. So a cache never has more slots in it than may be allocated before the next sample:
 * they are paid for when they are shown, and the one that is the sample comes by the slow path. For that, what is freed must not
 * become visible at once: while sampling, it is put *aside* (a list of its own for each class), and shown, paid for,
 * when the cache is empty. Slots that were paid for and not used, because a cache is flushed, are paid back: no sample lies in them. */
#include "gc/heap.h"

/* 1 - exp(-x). */
static double chance(double x)
{
    if (x > 0.125) {
        double half = x > 64 ? 1 : chance(x / 2);
        return half * (2 - half);
    }
    return x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))));
}

double mid_trace_chance(uint64_t bytes, uint64_t sample)
{
    return sample == 0 ? 1 : chance((double)(bytes == 0 ? 1 : bytes) / (double)sample);
}

/* -ln of a number in (0, 1], by its mantissa m and ln m = 2 artanh((m - 1) / (m + 1)). */
static double minus_log(uint64_t mantissa)
{
    double m = (double)mantissa / 9007199254740992.0, log = 0;
    while (m < 0.5) {
        m *= 2;
        log += 0.69314718055994530942;
    }
    double t = (m - 1) / (m + 1), power = t, sum = 0;
    for (int n = 1; n < 30; n += 2, power *= t * t)
        sum += power / n;
    return log - 2 * sum;
}

/* xorshift64* (Vigna 2016). */
int64_t mid_trace_draw(uint64_t *dice, uint64_t sample)
{
    *dice ^= *dice >> 12;
    *dice ^= *dice << 25;
    *dice ^= *dice >> 27;
    uint64_t number = (*dice * 0x2545F4914F6CDD1Du >> 11) + 1;
    return (int64_t)(minus_log(number) * (double)sample);
}

bool mid_trace_due(int64_t *until, uint64_t *dice, uint64_t sample, uint64_t bytes)
{
    if (*until >= 0 && (uint64_t)*until >= bytes) {
        *until -= (int64_t)bytes;
        return false;
    }
    *until = mid_trace_draw(dice, sample);
    return true;
}

/* --- caches ------------------------------------------------------------------------------------------------------------------ */

/* Cut a list behind its first `keep` (at least one); what is left. */
static mid_handle cut(const mid_heap *heap, mid_handle head, uint32_t keep)
{
    while (--keep != 0)
        head = MID_READ_(mid_entry_at(heap, head)->shared);
    mid_handle rest = MID_READ_(mid_entry_at(heap, head)->shared);
    MID_WRITE_(mid_entry_at(heap, head)->shared, 0);
    return rest;
}

static mid_handle join(const mid_heap *heap, mid_handle list, mid_handle behind)
{
    if (list == 0)
        return behind;
    mid_handle last = list, next;
    while ((next = MID_READ_(mid_entry_at(heap, last)->shared)) != 0)
        last = next;
    MID_WRITE_(mid_entry_at(heap, last)->shared, behind);
    return list;
}

void mid_sampling_show(mid_impl *me, unsigned size_class, mid_handle head, uint32_t count)
{
    const uint64_t size = mid_class_size(size_class);
    const uint64_t may = me->until > 0 ? (uint64_t)me->until / size : 0;
    const uint32_t shown = may == 0 ? 1 : may < count ? (uint32_t)may : count;
    me->due = may == 0;
    if (may != 0)
        me->until -= (int64_t)(shown * size);
    if (shown < count) {
        mid_handle rest = cut(me->heap, head, shown);
        me->kept[size_class] = join(me->heap, rest, me->kept[size_class]);
        me->aside_count[size_class] = (uint16_t)(me->aside_count[size_class] + count - shown);
    }
    me->pub.head[size_class] = head;
}

bool mid_sampling_show_aside(mid_impl *me, unsigned size_class)
{
    uint32_t count = me->aside_count[size_class];
    mid_handle head = me->kept[size_class];
    if (count < MID_ASIDE_LEAST && me->heap->aside_room[size_class] >= MID_ASIDE_LEAST)
        return false;
    if (count == 0)
        return false;
    me->kept[size_class] = 0;
    me->aside_count[size_class] = 0;
    mid_sampling_show(me, size_class, head, count);
    return true;
}

void mid_sampling_detach(mid_impl *me)
{
    if (!me->attached)
        return;
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        me->until += (int64_t)(me->pub.left[i] - me->aside_count[i]) * mid_class_size(i);
        me->pub.head[i] = join(me->heap, me->kept[i], me->pub.head[i]);
        me->kept[i] = 0;
        me->aside_count[i] = 0;
    }
}

/* Nothing that is in the cache has been paid for. What there is no room for aside goes back to the pools. */
void mid_sampling_attach(mid_impl *me)
{
    mid_heap *heap = me->heap;
    if (me->dice == 0)
        me->dice = MID_TRACE_DICE * (2 * (uint64_t)me->id + 1);
    me->until = mid_trace_draw(&me->dice, heap->trace.sample);
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        uint32_t count = me->pub.left[i], most = UINT16_MAX;
        if (count > most) {
            mid_lock(heap);
            heap->alloc.classes[i].handed -= count - most;
            mid_slots_return(me, cut(heap, me->pub.head[i], most));
            mid_unlock(heap);
            count = most;
            MID_WRITE_(me->pub.left[i], count);
        }
        me->kept[i] = me->pub.head[i];
        me->aside_count[i] = (uint16_t)count;
        me->pub.head[i] = 0;
    }
}

void mid_sampling_begin(mid_heap *heap)
{
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        heap->aside_room[i] = heap->cache_room[i];
        heap->cache_room[i] = 0; /* who frees finds no room, and looks further */
    }
    heap->trace.sampling = 1;
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
        if (heap->threads[id]->attached && !mid_lost(heap->threads[id]))
            mid_sampling_attach(heap->threads[id]);
}

void mid_sampling_end(mid_heap *heap)
{
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
        if (heap->threads[id]->attached && !mid_lost(heap->threads[id]))
            mid_sampling_detach(heap->threads[id]);
    heap->trace.sampling = 0;
    for (unsigned i = 0; i < MID_CLASSES; i++)
        heap->cache_room[i] = heap->aside_room[i];
}
