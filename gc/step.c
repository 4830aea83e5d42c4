/* gc/step.c: the collector's work on mutators' own threads: asked for (mid_step), and where the service falls behind. */
#include "gc/heap.h"

static bool proposals_wait(const mid_heap *heap)
{
    return MID_READ_(heap->found_count) != 0 || MID_READ_(heap->sweeps) == MID_SWEEPS_STOPPED;
}

/* One slice with the world stopped. MID_OK: nothing is left to prove. */
static mid_status prove(mid_impl *me, mid_part *part, uint64_t budget_micros, uint64_t *freed)
{
    mid_heap *heap = me->heap;
    part->stop = true;
    mid_status status = mid_world_stop(heap, me, heap->options.stop_wait, NULL);
    if (status != MID_OK)
        return status;
    MID_EMIT(heap, stop_begin);
    heap->stop_began = mid_thread_cpu_nanos();
    status = mid_prove(me, budget_micros, freed);
    mid_stop_recorded(heap, (mid_thread_cpu_nanos() - heap->stop_began) / 1000);
    mid_publish(me, false);
    mid_world_resume(heap);
    if (me->pending_count != 0) /* what only garbage held */
        mid_ask(me, MID_ASK_DRAIN);
    return status;
}

#define SUSPECT_OBJECTS 8u /* that one may stand for */

static uint64_t suspects(const mid_heap *heap)
{
    return (uint64_t)MID_READ_(heap->logged_count) + MID_READ_(heap->todo_count);
}

bool mid_help_wanted(const mid_heap *heap)
{
    uint32_t most = MID_READ_(heap->help_at);
    return most != 0 && MID_READ_(heap->found_count) + SUSPECT_OBJECTS * suspects(heap) >= most;
}

void mid_help(mid_impl *me)
{
    mid_heap *heap = me->heap;
    uint64_t one, other;
    mid_part part = mid_pause_begin(me, MID_PAUSE_HELP);
    me->credit = (int64_t)heap->options.credit / 8; /* soon again, if this was not enough */
    bool busy = pthread_mutex_trylock(&heap->proposing) != 0;
    if (!busy)
        pthread_mutex_unlock(&heap->proposing);
    if (busy)
        mid_yield(); /* the service is at it; but perhaps it waits for this processor */
    else if (MID_READ_(heap->found_count) >= SUSPECT_OBJECTS * suspects(heap))
        prove(me, &part, heap->options.slice, &one);
    else
        mid_propose(heap, heap->options.slice, &one, &other);
    mid_pause_end(&part);
}

/* --- asked for -------------------------------------------------------------------------------------------------------------- */

static uint64_t left_of(uint64_t deadline)
{
    uint64_t now = mid_clock_micros();
    return now < deadline ? deadline - now : 0;
}

/* As a service would: whole if that fits, else piece by piece. */
static mid_status collect_some(mid_impl *me, mid_part *part, uint64_t deadline)
{
    mid_heap *heap = me->heap;
    uint64_t one, other, left;
    mid_status status = MID_OK;
    mid_suspects_give(me);
    while ((left = left_of(deadline)) != 0) {
        if (MID_READ_(heap->found_count) != 0 && (suspects(heap) == 0 || MID_READ_(heap->found_count) >= 4096))
            status = prove(me, part, left, &one);
        else if (suspects(heap) != 0)
            status = mid_propose(heap, left, &one, &other);
        else if (MID_READ_(heap->sweeps) == MID_SWEEPS_STOPPED)
            status = prove(me, part, left, &one);
        else if (MID_READ_(heap->sweeps) == MID_SWEEPS_RUNNING)
            status = mid_sweep_run(heap, left, false);
        else if (MID_READ_(heap->sweeps) == MID_SWEEPS_NOT && mid_sweep_due(heap))
            status = mid_sweep_run(heap, left, true);
        else
            return MID_OK;
        if (status != MID_OK && status != MID_MORE)
            return status;
    }
    return proposals_wait(heap) || suspects(heap) != 0 || MID_READ_(heap->sweeps) != MID_SWEEPS_NOT || mid_sweep_due(heap) ? MID_MORE : MID_OK;
}

/* Only where a pool would come free, and enough is wasted: the daemon's rule. */
static bool fragmented(mid_heap *heap)
{
    mid_snapshot now;
    mid_service_snapshot(heap, &now);
    uint64_t waste = now.pool_bytes - (now.live_slot_bytes < now.pool_bytes ? now.live_slot_bytes : now.pool_bytes);
    return now.gain_bytes != 0 && waste >= heap->options.waste_min && waste >= now.live_slot_bytes / 50 &&
           (unsigned __int128)now.pool_bytes * 100 >= (unsigned __int128)now.live_slot_bytes * heap->options.frag_start;
}

/* Further deadlines are counted from it. */
#define BUDGET_MOST (UINT64_MAX / 4)

static bool undone(const mid_impl *me)
{
    return me->pending_count != 0 || mid_final_waits(me->heap) || MID_READ_(me->heap->sweeps) != MID_SWEEPS_NOT;
}

static mid_status step(mid_impl *me, mid_part *part, uint64_t deadline)
{
    mid_heap *heap = me->heap;
    __atomic_store_n(&heap->logging, true, __ATOMIC_RELAXED);
    while (me->pending_count != 0 && left_of(deadline) != 0)
        mid_drain(me, 64, MID_DRAIN_FINALIZE);
    mid_status status = collect_some(me, part, deadline);
    uint64_t left = left_of(deadline);
    if (status == MID_OK && left != 0) {
        mid_publish(me, false);
        status = fragmented(heap) ? mid_compact(&me->pub, left, NULL) : mid_trim(&me->pub, left, NULL);
    } else if (status == MID_OK && fragmented(heap)) {
        status = MID_MORE;
    }
    return status == MID_OK && undone(me) ? MID_MORE : status;
}

mid_status mid_step(mid_thread *thread, uint64_t budget_micros)
{
    uint64_t deadline = mid_clock_micros() + (budget_micros < BUDGET_MOST ? budget_micros : BUDGET_MOST);
    mid_status status = mid_work_begin(thread);
    if (status != MID_OK)
        return status;
    mid_part part = mid_pause_begin(mid_impl_of(thread), MID_PAUSE_STEP);
    status = step(mid_impl_of(thread), &part, deadline);
    mid_pause_end(&part);
    return status;
}
