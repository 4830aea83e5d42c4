/* gc/step.c: the collector's work on mutators' own threads: asked for (mid_step), and where the service falls behind. */
#include "gc/heap.h"
#include "gc/pairs.h"

/* One slice with the world stopped. MID_OK: nothing is left to prove. */
static mid_status prove(mid_impl *me, mid_part *part, uint64_t budget_micros)
{
    mid_heap *heap = me->heap;
    uint64_t freed;
    part->stop = true;
    mid_status status = mid_world_stop(heap, me, heap->options.stop_wait, NULL);
    if (status != MID_OK)
        return status;
    mid_stop_begins(heap);
    status = mid_prove(me, budget_micros, &freed);
    mid_stop_ends(heap);
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

/* What they may come to. Those that looked alive are no arrears: at 65,536 of them mutators would help for ever, and never prove. */
static uint64_t suspected_objects(const mid_heap *heap)
{
    uint64_t all = suspects(heap), doubts = MID_READ_(heap->doubt_count);
    return SUSPECT_OBJECTS * (all > doubts ? all - doubts : 0);
}

bool mid_help_wanted(const mid_heap *heap)
{
    uint32_t most = MID_READ_(heap->help_at);
    return most != 0 && !mid_collector_off(heap) && MID_READ_(heap->found_count) + suspected_objects(heap) >= most;
}

void mid_help(mid_impl *me)
{
    mid_heap *heap = me->heap;
    uint64_t walked, proposed;
    mid_part part = mid_pause_begin(me, MID_PAUSE_HELP);
    me->credit = (int64_t)heap->options.credit / 8; /* soon again, if this was not enough */
    bool busy = pthread_mutex_trylock(&heap->proposing) != 0;
    if (!busy)
        pthread_mutex_unlock(&heap->proposing);
    if (busy)
        mid_yield(); /* the service is at it; but perhaps it waits for this processor */
    else if (MID_READ_(heap->found_count) >= suspected_objects(heap))
        prove(me, &part, heap->options.slice);
    else
        mid_propose(heap, heap->options.slice, &walked, &proposed);
    mid_pause_end(&part);
}

/* --- asked for -------------------------------------------------------------------------------------------------------------- */

static uint64_t left_of(uint64_t deadline)
{
    uint64_t now = mid_clock_micros();
    return now < deadline ? deadline - now : 0;
}

#define FOUND_MANY 4096u /* proposals that are proved at once */

/* As a service would, piece by piece. */
static mid_status collect_some(mid_impl *me, mid_part *part, uint64_t deadline)
{
    mid_heap *heap = me->heap;
    uint64_t walked, proposed, left;
    mid_status status = MID_OK;
    mid_suspects_give(me);
    if (mid_collector_off(heap))
        return MID_OK;
    while ((left = left_of(deadline)) != 0) {
        uint32_t found = MID_READ_(heap->found_count), sweeps = MID_READ_(heap->sweeps);
        bool walked_all = suspects(heap) == 0;
        if (found >= FOUND_MANY || (walked_all && (found != 0 || sweeps == MID_SWEEPS_STOPPED)))
            status = prove(me, part, left);
        else if (!walked_all)
            status = mid_propose(heap, left, &walked, &proposed);
        else if (sweeps == MID_SWEEPS_RUNNING || (sweeps == MID_SWEEPS_NOT && mid_sweep_due(heap)))
            status = mid_sweep_run(heap, left, sweeps == MID_SWEEPS_NOT);
        else if (mid_pairs_due(heap))
            status = mid_collect(&me->pub, NULL); /* at once: nothing less finds what only pairs hold */
        else
            return MID_OK;
        if (status != MID_OK && status != MID_MORE)
            return status;
    }
    bool more = MID_READ_(heap->found_count) != 0 || suspects(heap) != 0 || MID_READ_(heap->sweeps) != MID_SWEEPS_NOT;
    return more || mid_sweep_due(heap) ? MID_MORE : MID_OK;
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
    return me->pending_count != 0 || mid_final_waits(me->heap) ||
           (MID_READ_(me->heap->sweeps) != MID_SWEEPS_NOT && !mid_collector_off(me->heap));
}

static mid_status step(mid_impl *me, mid_part *part, uint64_t deadline)
{
    mid_heap *heap = me->heap;
    mid_suspects_log(heap, true);
    while (me->pending_count != 0 && left_of(deadline) != 0)
        mid_drain(me, 64, MID_DRAIN_FINALIZE);
    mid_status status = collect_some(me, part, deadline);
    uint64_t left = left_of(deadline);
    if (status == MID_OK && left != 0) {
        mid_publish(me, false);
        status = fragmented(heap) ? mid_compact(&me->pub, MID_COMPACT_PLAIN, left, NULL) : mid_trim(&me->pub, left, NULL);
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
