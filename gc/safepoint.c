/* gc/safepoint.c: what every safepoint does, asked for or not: collecting by itself, standing still, helping, news, finalizers. */
#include "gc/debug.h"
#include "gc/pairs.h"

#define SUSPECT_FACTOR_MOST 8u
#define JUDGE_TRIES 5u

/* --- collecting by itself ------------------------------------------------------------------------------------------- */

/* Did they lead to as much garbage as there were of them? */
static void weigh_suspects(mid_heap *heap, uint64_t suspects, uint64_t freed)
{
    if (freed >= suspects)
        heap->suspect_factor -= heap->suspect_factor != 0;
    else if (suspects >= mid_suspects_most(heap))
        heap->suspect_factor += heap->suspect_factor < SUSPECT_FACTOR_MOST;
}

/* With the world stopped by it. */
static void collect_now(mid_impl *me, uint64_t live_before)
{
    mid_heap *heap = me->heap;
    mid_collect_result result;
    mid_own_collections now = {.times = heap->own.times + 1, .live_at_collection = heap->live_at_collection};
    now.live_before = live_before;
    now.suspects = MID_READ_(heap->suspected);
    now.suspects_most = mid_suspects_most(heap);
    mid_stop_begins(heap);
    now.status = mid_cycles_collect(me, &result);
    mid_stop_ends(heap);
    now.live_after = mid_live_bytes(heap);
    weigh_suspects(heap, now.suspects, result.freed);
    now.freed = heap->own.freed + result.freed;
    now.micros = heap->own.micros + result.micros;
    now.longest = heap->own.longest > result.micros ? heap->own.longest : result.micros;
    heap->own = now;
    mid_publish(me, true); /* before a service can ask: what it looks at next is of now */
}

/* Arrays may take longer than the service would allow; then it is for the service. */
#define ARRAY_SLOTS_A_MICRO 600u

static bool due(const mid_heap *heap, uint64_t live)
{
    bool served = MID_READ_(heap->growth_least) != UINT64_MAX;
    if (mid_collector_off(heap))
        return false;
    if (served && mid_pairs_due(heap))
        return true;
    if (served && mid_array_slots(heap) / ARRAY_SLOTS_A_MICRO > MID_READ_(heap->options.collect_stop))
        return false;
    return mid_grown(heap, live) || (served && MID_READ_(heap->suspected) >= mid_suspects_most(heap));
}

/* It has grown by what a service set, or suspects are many. If a thread does not come, the service will see to it. */
static void collect_by_itself(mid_impl *me)
{
    mid_heap *heap = me->heap;
    if (!due(heap, mid_live_bytes(heap)))
        return; /* enough has died since */
    mid_part part = mid_pause_begin(me, MID_PAUSE_COLLECT);
    if (mid_world_stop(heap, me, heap->options.stop_wait, NULL) == MID_OK) {
        uint64_t live = mid_live_bytes(heap);
        if (due(heap, live)) /* nobody else was first */
            collect_now(me, live);
        mid_world_resume(heap);
    }
    mid_pause_end(&part);
}

/* --- what is left by finalizers and by others ----------------------------------------------------------------------- */

/* After the finalizers of condemned garbage its counts are taken again, which needs the world to stand. */
uint64_t mid_judge(mid_impl *me, uint64_t patience)
{
    mid_heap *heap = me->heap;
    uint64_t freed = 0;
    mid_lock(heap);
    bool due = heap->condemned_count != 0 && heap->condemned_next == heap->condemned_count && heap->finals_running == 0;
    mid_unlock(heap);
    if (!due)
        return 0;
    mid_part part = mid_pause_begin(me, MID_PAUSE_COLLECT);
    bool goes_on = false, judged = false;
    for (unsigned tries = me->whole ? JUDGE_TRIES : 1; !judged && tries != 0; tries--) { /* who collects wants to be done with it */
        judged = mid_world_stop(heap, me, patience, NULL) == MID_OK;
        if (!judged)
            continue;
        freed = mid_final_judge(me);
        goes_on = MID_READ_(heap->sweeps) == MID_SWEEPS_STOPPED; /* a sweep that waited for this, or has taken the set over */
        mid_world_resume(heap);
    }
    mid_pause_end(&part);
    if (goes_on)
        mid_kick(heap);
    return freed;
}

void mid_exchange_news(mid_impl *me)
{
    if (mid_has_news(me))
        mid_inbox_merge(me, me);
    if (me->outbox_count != 0)
        mid_outbox_flush(me);
    if (me->visit || MID_READ_(me->heap->orphans))
        mid_visit_idle(me);
}

/* `free-batch` objects. What dies may have held what others own, and the other way round: they are told, and told again. */
static void drain_batch(mid_impl *me)
{
    uint64_t left = me->heap->options.free_batch, done = 1;
    while (me->pending_count != 0 && left != 0 && done != 0) {
        done = mid_drain_timed(me, left, MID_DRAIN_FINALIZE);
        left -= done < left ? done : left;
        if (me->outbox_count == 0)
            break;
        mid_exchange_news(me);
    }
}

/* --- the safepoint -------------------------------------------------------------------------------------------------- */

/* What every safepoint does, asked for or not. */
void mid_serve(mid_impl *me)
{
    mid_heap *heap = me->heap;
    if (mid_midway(me)) /* a finalizer calls: the heap is in the middle of something */
        return;
    uint32_t asked = MID_READ_(me->pub.stop);
    mid_part part = {0};
    if ((asked & ~(uint32_t)MID_ASK_DRAIN) != 0 || me->outbox_count != 0 || mid_has_news(me))
        part = mid_pause_begin(me, MID_PAUSE_NEWS);
    if (asked & MID_ASK_COLLECT) {
        mid_unask(me, MID_ASK_COLLECT);
        collect_by_itself(me);
    }
    if (asked & MID_ASK_STOP)
        mid_park(me);
    if (asked & MID_ASK_HELP) {
        mid_unask(me, MID_ASK_HELP);
        mid_help(me);
    }
    mid_unask(me, MID_ASK_FINALIZE | MID_ASK_DRAIN | MID_ASK_MERGE | MID_ASK_FLUSH); /* set again by what is left */
    mid_exchange_news(me);
    drain_batch(me);
    if (mid_final_waits(heap)) {
        mid_final_run(me, 64);
        mid_judge(me, heap->options.stop_wait);
        if (mid_final_waits(heap))
            mid_ask(me, MID_ASK_FINALIZE);
    }
    if (MID_READ_(heap->orphans) || me->visit || me->pending_count != 0)
        mid_ask(me, MID_ASK_DRAIN);
    if (me->credit < 0)
        mid_credit_used(me);
    mid_pause_end(&part);
}

mid_status mid_safepoint_slow_(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status == MID_OK)
        mid_serve(mid_impl_of(thread));
    return status;
}

mid_status mid_work_begin(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    if (mid_midway(me))
        return MID_EBUSY;
    if (me->heap->debug)
        mid_debug_point(me, "a safepoint");
    mid_serve(me);
    return MID_OK;
}
