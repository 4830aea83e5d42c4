/* gc/pause.c: see pause.h.
 *
 * MINIMUM MUTATOR UTILISATION. Of every window of a length, how much of it was paused? As a window moves to the right by a little, that
 * grows by what comes in at its end, if that is in a pause, and shrinks by what goes out at its beginning, if that is. Take any
 * window. If its end is in a pause, move it to the right until the pause ends: as much comes in as moves, and no more goes out.
 * If its end is not, move it to the left until it meets the end of a pause: nothing goes out. So the worst of all windows is one
 * that ends with a pause, and it is enough to look at those, when a pause ends. A window that begins at the beginning of a pause is
 * no worse than the one found from it, which may reach into a pause that was still to come, and is looked at when that ends.
 * A window that begins before the thread was attached counts that time as the thread's own: it is no worse than the window that
 * begins with the thread, which the argument covers as soon as the thread has lived so long.
 *
 * Pauses are kept for the length of the longest window, MID_PAUSES_KEPT at most. Where more are wanted, which is one to each
 * 100 µs for 50 ms, the two that are nearest to each other become one, with what is between them: then the figure is a bound, and
 * never too good. */
#include <string.h>

#include "gc/heap.h"

const uint64_t mid_mmu_windows[MID_MMU_WINDOWS] = {1000000, 5000000, 10000000, 50000000};

#define LONGEST mid_mmu_windows[MID_MMU_WINDOWS - 1]

void mid_pauses_clear(mid_pauses *p)
{
    p->depth = p->count = 0;
}

/* --- windows ------------------------------------------------------------------------------------------------------------ */

static void remove_at(mid_pauses *p, uint32_t at, uint32_t count)
{
    p->count -= count;
    memmove(p->recent + at, p->recent + at + count, (p->count - at) * sizeof p->recent[0]);
}

static void make_room(mid_pauses *p, uint64_t now)
{
    uint32_t old = 0, nearest = 0;
    while (old < p->count && p->recent[old].to + LONGEST <= now)
        old++;
    remove_at(p, 0, old);
    if (p->count < MID_PAUSES_KEPT)
        return;
    for (uint32_t i = 1; i + 1 < p->count; i++)
        if (p->recent[i + 1].from - p->recent[i].to < p->recent[nearest + 1].from - p->recent[nearest].to)
            nearest = i;
    p->recent[nearest + 1].from = p->recent[nearest].from;
    remove_at(p, nearest, 1);
}

void mid_pauses_add(mid_pauses *p, uint64_t from, uint64_t to, uint64_t worst[MID_MMU_WINDOWS])
{
    if (p->count == MID_PAUSES_KEPT)
        make_room(p, to);
    p->recent[p->count++] = (mid_pause){from, to};
    uint64_t paused = 0;
    unsigned w = 0;
    for (uint32_t n = p->count; n-- != 0 && w < MID_MMU_WINDOWS;) {
        const mid_pause *pause = &p->recent[n];
        for (; w < MID_MMU_WINDOWS && pause->from + mid_mmu_windows[w] <= to; w++) { /* the window begins in it, or later */
            uint64_t reaches = pause->to + mid_mmu_windows[w];
            worst[w] = paused + (reaches > to ? reaches - to : 0);
        }
        paused += pause->to - pause->from;
    }
    for (; w < MID_MMU_WINDOWS; w++)
        worst[w] = paused;
}

/* --- parts -------------------------------------------------------------------------------------------------------------- */

static bool own(mid_impl *me)
{
    return me != NULL && __atomic_load_n(&me->attached, __ATOMIC_RELAXED) &&
           pthread_equal(__atomic_load_n(&me->owner, __ATOMIC_RELAXED), pthread_self());
}

mid_part mid_pause_begin(mid_impl *me, mid_pause_cause cause)
{
    if (!own(me))
        return (mid_part){0};
    mid_pauses *p = mid_pauses_of(me);
    if (p->depth++ == 0) {
        p->stop = false;
        p->most = p->inside = p->idle = 0;
        p->cause = (uint8_t)cause;
    }
    mid_part part = {.me = me, .cause = cause, .stop = mid_pause_stops(cause), .inside = p->inside, .idle = p->idle, .from = mid_clock_nanos()};
    if (mid_pause_counts_cpu(cause))
        part.cpu = mid_thread_cpu_nanos();
    p->inside = 0;
    return part;
}

static void raise_to(uint64_t *figure, uint64_t value)
{
    uint64_t was = __atomic_load_n(figure, __ATOMIC_RELAXED);
    while (was < value && !__atomic_compare_exchange_n(figure, &was, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void record(mid_impl *me, uint64_t from, uint64_t to)
{
    mid_pauses *p = mid_pauses_of(me);
    mid_pause_stats *s = &me->heap->pauses.causes[p->cause];
    uint64_t wall = to - from, cpu = wall - (p->idle < wall ? p->idle : wall), worst[MID_MMU_WINDOWS];
    __atomic_fetch_add(&s->count, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->wall_nanos, wall, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->cpu_nanos, cpu, __ATOMIC_RELAXED);
    raise_to(&s->wall_nanos_max, wall);
    raise_to(&s->cpu_nanos_max, cpu);
    mid_histogram_add(s->wall_histogram, wall);
    mid_histogram_add(s->cpu_histogram, cpu);
    mid_pauses_add(p, from, to, worst);
    for (unsigned i = 0; i < MID_MMU_WINDOWS; i++)
        raise_to(&me->heap->pauses.worst[i], worst[i]);
}

void mid_pause_end(const mid_part *part)
{
    if (part->me == NULL)
        return;
    mid_pauses *p = mid_pauses_of(part->me);
    bool stop = part->stop;
    if (mid_pause_counts_cpu(part->cause)) { /* what was known of its parts is in it */
        uint64_t cpu = mid_thread_cpu_nanos() - part->cpu, wall = mid_clock_nanos() - part->from;
        p->idle = part->idle + (wall > cpu ? wall - cpu : 0);
    }
    uint64_t now = mid_clock_nanos(), length = now - part->from, alone = length - p->inside;
    if (stop > p->stop || (stop == p->stop && alone > p->most)) {
        p->stop = stop;
        p->most = alone;
        p->cause = (uint8_t)part->cause;
    }
    p->inside = part->inside + length;
    if (--p->depth == 0 && (p->stop || length >= MID_PAUSE_LEAST))
        record(part->me, part->from, now);
}

/* --- figures ------------------------------------------------------------------------------------------------------------ */

const char *mid_pause_name(mid_pause_cause cause)
{
    static const char *const names[] = {
#define MID_X(name, word, text) word,
        MID_PAUSE_CAUSES(MID_X)
#undef MID_X
    };
    return (unsigned)cause < MID_PAUSE_CAUSE_COUNT ? names[cause] : "?";
}

mid_status mid_stats_pauses(mid_heap *heap, mid_pause_cause cause, mid_pause_stats *stats)
{
    if (heap == NULL || stats == NULL)
        return MID_ENULL;
    if ((unsigned)cause >= MID_PAUSE_CAUSE_COUNT)
        return MID_EINVAL;
    const uint64_t *from = (const uint64_t *)&heap->pauses.causes[cause];
    for (size_t i = 0; i < sizeof *stats / sizeof *from; i++)
        ((uint64_t *)stats)[i] = MID_READ_(from[i]);
    return MID_OK;
}

mid_status mid_stats_mmu(mid_heap *heap, uint64_t window_micros, double *utilisation)
{
    if (heap == NULL || utilisation == NULL)
        return MID_ENULL;
    for (unsigned i = 0; i < MID_MMU_WINDOWS; i++)
        if (mid_mmu_windows[i] / 1000 == window_micros) {
            *utilisation = 1 - (double)MID_READ_(heap->pauses.worst[i]) / (double)mid_mmu_windows[i];
            return MID_OK;
        }
    return MID_EINVAL;
}
