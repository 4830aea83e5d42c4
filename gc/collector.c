/* gc/collector.c: the program's hands on the collector: whether, by which kind, from when on; what came of it. */
#include <string.h>

#include "gc/heap.h"

#define TIMES_MOST 0x80000000u

/* --- whether --------------------------------------------------------------------------------------------------------------- */

/* By so much, if it is in these bounds. */
static bool move(uint32_t *times, uint32_t by, uint32_t never)
{
    uint32_t now = MID_READ_(*times);
    do
        if (now == never)
            return false;
    while (!__atomic_compare_exchange_n(times, &now, now + by, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

mid_status mid_collect_disable(mid_heap *heap)
{
    if (heap == NULL)
        return MID_ENULL;
    return move(&heap->collector.disabled, 1, TIMES_MOST) ? MID_OK : MID_ELIMIT;
}

/* What has grown meanwhile is seen when somebody's credit is used up, or the daemon looks next. */
mid_status mid_collect_enable(mid_heap *heap)
{
    if (heap == NULL)
        return MID_ENULL;
    if (!move(&heap->collector.disabled, UINT32_MAX, 0))
        return MID_EINVAL;
    if (!mid_collector_off(heap) && !mid_busy(heap))
        mid_kick(heap);
    return MID_OK;
}

int mid_collect_is_enabled(mid_heap *heap)
{
    return heap != NULL && !mid_collector_off(heap);
}

/* --- what it does ---------------------------------------------------------------------------------------------------------- */

mid_collecting mid_collecting_begin(mid_heap *heap, mid_collector_kind kind, bool beside)
{
    mid_collecting now = {.began = mid_thread_cpu_nanos(), .freed = MID_READ_(heap->counts.collected_objects)};
    now.is = (mid_collection){.kind = kind, .beside = beside};
    if (!beside)
        heap->collector.now = kind;
    MID_EMIT(heap, collecting, &now.is);
    return now;
}

#define ADD(figure, more) __atomic_fetch_add(&s->figure, (more), __ATOMIC_RELAXED)

void mid_collecting_end(mid_heap *heap, mid_collecting *now, mid_status status)
{
    mid_collector_stats *s = &heap->collector.stats[now->is.kind];
    now->is.status = status;
    now->is.micros = (mid_thread_cpu_nanos() - now->began) / 1000;
    ADD(runs, status == MID_OK);
    ADD(pieces, 1);
    ADD(candidates, now->is.candidates);
    ADD(garbage, now->is.garbage);
    ADD(freed, now->is.freed);
    ADD(micros, now->is.micros);
    uint64_t longest = MID_READ_(s->longest_micros);
    while (longest < now->is.micros && !__atomic_compare_exchange_n(&s->longest_micros, &longest, now->is.micros, false,
                                                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    MID_EMIT(heap, collected, &now->is);
}

size_t mid_collector_stats_get(mid_heap *heap, mid_collector_kind kind, mid_collector_stats *stats, size_t size)
{
    mid_collector_stats s = {0};
    if (heap == NULL || stats == NULL || (unsigned)kind >= MID_COLLECTOR_KINDS)
        return 0;
    const uint64_t *from = (const uint64_t *)&heap->collector.stats[kind];
    for (size_t i = 0; i < sizeof s / sizeof *from; i++)
        ((uint64_t *)&s)[i] = MID_READ_(from[i]);
    size = size < sizeof s ? size : sizeof s;
    memcpy(stats, &s, size);
    return size;
}
_Static_assert(sizeof(mid_collector_stats) % sizeof(uint64_t) == 0, "it is copied figure by figure");

const char *mid_collector_name(mid_collector_kind kind)
{
    static const char *const names[] = {
#define MID_X(name, word, text) word,
        MID_COLLECTOR_KINDS_(MID_X)
#undef MID_X
    };
    return (unsigned)kind < MID_COLLECTOR_KINDS ? names[kind] : "none";
}

/* --- by kind --------------------------------------------------------------------------------------------------------------- */

/* One stop: what was proposed. */
static mid_status prove(mid_impl *me, uint64_t *freed)
{
    mid_heap *heap = me->heap;
    mid_status status = mid_world_stop(heap, me, MID_PATIENCE, NULL);
    *freed = 0;
    if (status != MID_OK)
        return status;
    mid_stop_begins(heap);
    status = mid_prove(me, MID_AGES_OF_TIME, freed);
    mid_stop_ends(heap);
    mid_publish(me, false);
    mid_world_resume(heap);
    if (me->pending_count != 0)
        mid_ask(me, MID_ASK_DRAIN);
    mid_serve(me); /* what only garbage held; finalizers */
    return status;
}

/* The first proof brings in what threads have logged and not handed over. */
static mid_status by_suspects(mid_impl *me, mid_collect_result *sum)
{
    mid_heap *heap = me->heap;
    uint64_t walked = 0, proposed = 0, freed;
    mid_status status = prove(me, &freed);
    sum->freed += freed;
    while (status == MID_OK || status == MID_MORE) {
        status = mid_propose(heap, MID_AGES_OF_TIME, &walked, &proposed);
        if (status != MID_OK && status != MID_MORE)
            break;
        sum->candidates += walked;
        sum->garbage += proposed;
        if (MID_READ_(heap->found_count) == 0)
            break;
        status = prove(me, &freed);
        sum->freed += freed;
    }
    return status;
}

/* One that somebody else has begun may have passed what is garbage now: it is finished, and another is begun. */
static mid_status by_sweep(mid_impl *me, mid_collect_result *sum)
{
    mid_heap *heap = me->heap;
    const mid_collector_stats *all = &heap->collector.stats[MID_COLLECTOR_SWEEP];
    uint64_t freed, garbage = MID_READ_(all->garbage), candidates = MID_READ_(all->candidates);
    mid_status status = MID_OK;
    for (unsigned sweeps = MID_READ_(heap->sweeps) == MID_SWEEPS_NOT ? 1 : 2; sweeps != 0; sweeps--) {
        status = mid_sweep_run(heap, MID_AGES_OF_TIME, true);
        while (status == MID_MORE && MID_READ_(heap->sweeps) != MID_SWEEPS_NOT) {
            if (MID_READ_(heap->sweeps) == MID_SWEEPS_RUNNING) {
                status = mid_sweep_run(heap, MID_AGES_OF_TIME, false);
                continue;
            }
            status = prove(me, &freed); /* also where it waits for finalizers, which run then */
            sum->freed += freed;
            status = status == MID_OK && MID_READ_(heap->sweeps) != MID_SWEEPS_NOT ? MID_MORE : status;
        }
        if (status != MID_OK && status != MID_MORE)
            return status;
    }
    status = prove(me, &freed); /* a small set goes the way of suspects' */
    sum->freed += freed;
    sum->candidates += MID_READ_(all->candidates) - candidates;
    sum->garbage += MID_READ_(all->garbage) - garbage;
    return status;
}

static mid_status by_kinds(mid_impl *me, unsigned kinds, mid_collect_result *sum)
{
    mid_status status = MID_OK;
    uint64_t began = mid_thread_cpu_nanos();
    if (kinds & (MID_COLLECT_SUSPECTS | MID_COLLECT_SWEEP))
        mid_suspects_log(me->heap, true);
    if (kinds & MID_COLLECT_SUSPECTS)
        status = by_suspects(me, sum);
    if (status == MID_OK && (kinds & MID_COLLECT_SWEEP))
        status = by_sweep(me, sum);
    if (status == MID_OK && (kinds & MID_COLLECT_FULL)) {
        mid_collect_result full;
        status = mid_collect(&me->pub, &full);
        if (status == MID_OK) {
            sum->candidates += full.candidates;
            sum->garbage += full.garbage;
            sum->freed += full.freed;
        }
    }
    sum->micros = (mid_thread_cpu_nanos() - began) / 1000;
    return status;
}

mid_status mid_collect_kinds(mid_thread *thread, unsigned kinds, mid_collect_result *result)
{
    mid_collect_result sum = {0};
    mid_status status = mid_work_begin(thread);
    if (status != MID_OK)
        return status;
    if (kinds == 0 || (kinds & ~(MID_COLLECT_SUSPECTS | MID_COLLECT_SWEEP | MID_COLLECT_FULL)) != 0)
        return MID_EINVAL;
    mid_impl *me = mid_impl_of(thread);
    mid_part part = mid_pause_begin(me, MID_PAUSE_COLLECT);
    status = by_kinds(me, kinds, &sum);
    mid_pause_end(&part);
    if (result != NULL)
        *result = sum;
    return status;
}

/* --- from when on ---------------------------------------------------------------------------------------------------------- */

#define THRESHOLDS(X) X(growth_min, "growth-min") X(growth, "growth") X(suspect_min, "suspect-min") X(collect_stop, "collect-stop")

static bool in_bounds(const char *name, uint64_t value)
{
    mid_option_info info;
    for (unsigned row = 0; mid_options_describe(row, &info); row++)
        if (strcmp(info.name, name) == 0)
            return value >= info.least && value <= info.most;
    return false;
}

mid_status mid_thresholds_get(mid_heap *heap, mid_thresholds *t)
{
    if (heap == NULL || t == NULL)
        return MID_ENULL;
    if (t->struct_size != sizeof *t)
        return MID_EINVAL;
    mid_lock(heap);
#define MID_X(field, name) t->field = heap->options.field;
    THRESHOLDS(MID_X)
#undef MID_X
    mid_unlock(heap);
    return MID_OK;
}

mid_status mid_thresholds_set(mid_heap *heap, const mid_thresholds *t)
{
    if (heap == NULL || t == NULL)
        return MID_ENULL;
    if (t->struct_size != sizeof *t)
        return MID_EINVAL;
#define MID_X(field, name)            \
    if (!in_bounds(name, t->field))   \
        return MID_EINVAL;
    THRESHOLDS(MID_X)
#undef MID_X
    mid_lock(heap);
#define MID_X(field, name) MID_WRITE_(heap->options.field, t->field);
    THRESHOLDS(MID_X)
#undef MID_X
    __atomic_fetch_add(&heap->collector.thresholds_set, 1, __ATOMIC_RELEASE);
    mid_unlock(heap);
    if (!mid_busy(heap))
        mid_kick(heap);
    return MID_OK;
}

uint32_t mid_service_thresholds_set(mid_heap *heap)
{
    return __atomic_load_n(&heap->collector.thresholds_set, __ATOMIC_ACQUIRE);
}

bool mid_service_collects(mid_heap *heap)
{
    return !mid_collector_off(heap);
}
