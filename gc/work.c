/* gc/work.c: what programs ask for: mid_collect, mid_compact, mid_trim, mid_reclaim. Each begins as a safepoint does. */
#include "gc/debug.h"
#include "gc/policy.h"
#include "gc/weak.h"

/* --- the world, and all that waits ---------------------------------------------------------------------------------- */

static mid_status world_enter(mid_impl *me)
{
    mid_status status = mid_world_stop(me->heap, me, MID_PATIENCE, NULL);
    if (status != MID_OK)
        return status;
    mid_stop_begins(me->heap);
    return MID_OK;
}

static void world_leave(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_stop_ends(heap);
    mid_publish(me, false);
    mid_world_resume(heap);
}

/* Finalizers and callbacks, ever. */
static uint64_t ran(const mid_heap *heap)
{
    return MID_READ_(heap->counts.finalized_objects) + MID_READ_(heap->weak_called);
}

/* Free all that waits, finalizers included; returns the garbage that a recount after them freed. What other threads have under
 * way is theirs. */
static uint64_t settle(mid_impl *me)
{
    uint64_t freed = 0, before;
    me->whole = true;
    do {
        mid_exchange_news(me);
        before = ran(me->heap) + freed;
        mid_final_run(me, UINT64_MAX);
        freed += mid_judge(me, MID_PATIENCE);
        while (mid_drain(me, 4096, MID_DRAIN_FINALIZE) != 0)
            ;
    } while (me->outbox_count != 0 || mid_has_news(me) ||
             (mid_final_waits(me->heap) && ran(me->heap) + freed != before));
    me->whole = false;
    return freed;
}

/* Before the world stops: its holder may be waiting for `memory`, or for this thread to stand. */
void mid_propose_lock(mid_heap *heap)
{
    if (pthread_mutex_trylock(&heap->proposing) == 0)
        return;
    mid_mine_block();
    pthread_mutex_lock(&heap->proposing);
    mid_mine_unblock();
}

mid_status mid_whole_enter(mid_impl *me)
{
    mid_propose_lock(me->heap);
    mid_status status = world_enter(me);
    if (status == MID_OK)
        mid_sweep_finish(me);
    else
        pthread_mutex_unlock(&me->heap->proposing);
    return status;
}

void mid_whole_leave(mid_impl *me)
{
    world_leave(me);
    pthread_mutex_unlock(&me->heap->proposing);
}

/* --- collect -------------------------------------------------------------------------------------------------------- */

/* What others condemn between the settling and the stop is held, and with it all it reaches: seen alive, which it is not. So is what
 * dies only in the stop, because its owner had not been told, and waits for its finalizer. */
#define COLLECT_TRIES 5u

static mid_status collect(mid_impl *me, mid_collect_result *result)
{
    mid_status status = MID_OK;
    bool held = true;
    settle(me);
    for (unsigned tries = COLLECT_TRIES; held && status == MID_OK && tries != 0; tries--) {
        mid_collect_result one;
        status = mid_whole_enter(me);
        if (status != MID_OK)
            break;
        mid_settle(me);
        held = MID_READ_(me->heap->condemned_count) != 0 || MID_READ_(me->heap->final_dead) != 0;
        status = mid_cycles_collect(me, &one);
        mid_whole_leave(me);
        result->candidates = one.candidates;
        result->garbage += one.garbage;
        result->freed += one.freed + settle(me);
        result->micros += one.micros;
    }
    return status;
}

mid_status mid_collect(mid_thread *thread, mid_collect_result *result)
{
    mid_collect_result local = {0};
    mid_status status = mid_work_begin(thread);
    if (status != MID_OK)
        return status;
    mid_part part = mid_pause_begin(mid_impl_of(thread), MID_PAUSE_COLLECT);
    status = collect(mid_impl_of(thread), &local);
    mid_pause_end(&part);
    if (result != NULL && status != MID_EPOSTPONED)
        *result = local;
    return status;
}

/* --- compact, trim -------------------------------------------------------------------------------------------------- */

/* Of a budget, at least a microsecond: 0 is none. */
static uint64_t left_of(uint64_t deadline)
{
    uint64_t now = mid_clock_micros();
    return deadline == 0 ? 0 : now < deadline ? deadline - now : 1;
}

/* What was proposed as garbage would go by other numbers, and so would suspects: they are on lists. Who has all the time takes them off, and
 * puts them on again. */
static mid_status rename_some(mid_impl *me, uint64_t deadline, uint64_t *renamed)
{
    mid_heap *heap = me->heap;
    uint64_t freed, order = heap->options.deep;
    while (MID_READ_(heap->found_count) != 0)
        if (mid_prove_held(me, deadline == 0 ? 1000 : left_of(deadline), &freed) != MID_OK && deadline != 0)
            return MID_MORE;
    heap->unlisted = deadline == 0;
    if (heap->unlisted)
        mid_suspects_unlist(heap);
    mid_status status = mid_deep_run(me, order == MID_DEEP_OFF ? MID_DEEP_DEPTH : (mid_deep_order)order, deadline, renamed);
    if (heap->unlisted)
        mid_suspects_relist(heap);
    heap->unlisted = false;
    return status;
}

mid_status mid_compact(mid_thread *thread, mid_compact_kind kind, uint64_t budget_micros, mid_compact_result *result)
{
    mid_compact_result local;
    mid_status status = mid_work_begin(thread);
    if (status == MID_OK && kind > MID_COMPACT_DEEP)
        status = MID_EINVAL;
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    bool deep = kind == MID_COMPACT_DEEP;
    uint64_t deadline = budget_micros == 0 ? 0 : mid_clock_micros() + budget_micros;
    mid_part part = mid_pause_begin(me, MID_PAUSE_COMPACT);
    status = deep ? mid_whole_enter(me) : world_enter(me);
    if (status != MID_OK) {
        mid_pause_end(&part);
        return status;
    }
    bool goes_on = deep && budget_micros != 0 && MID_READ_(me->heap->deepening) != MID_DEEPENS_NOT;
    if (goes_on) /* the pools were packed when it began */
        mid_passed_nothing(me->heap, &local);
    else
        status = mid_compact_run(me, budget_micros, &local);
    if (status == MID_OK && deep)
        status = rename_some(me, deadline, &local.renamed_objects);
    if (status == MID_OK)
        status = mid_trim_run(me->heap, left_of(deadline), me->heap->options.reserve, &local.returned_bytes);
    if (status == MID_OK)
        status = mid_gather_run(me->heap, left_of(deadline), &local.moved_pools);
    local.arenas_after = me->heap->alloc.arena_count;
    world_leave(me);
    if (deep) {
        mid_deep_finish(me->heap);
        pthread_mutex_unlock(&me->heap->proposing);
    }
    mid_pause_end(&part);
    if (result != NULL && (status == MID_OK || status == MID_MORE))
        *result = local;
    return status;
}

mid_status mid_trim(mid_thread *thread, uint64_t budget_micros, uint64_t *returned)
{
    uint64_t bytes = 0;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_part part = mid_pause_begin(mid_impl_of(thread), MID_PAUSE_TRIM);
    if (mid_policies_empty(mid_impl_of(thread), false))
        mid_drain_timed(mid_impl_of(thread), heap->options.free_batch, 0); /* no finalizer runs in here */
    mid_lock(heap);
    mid_pairs_shrink(heap);
    mid_debug_held_flush(mid_impl_of(thread)->heap);
    mid_mem_flush(mid_impl_of(thread));
    status = mid_trim_run(heap, budget_micros, heap->options.reserve, &bytes);
    mid_unlock(heap);
    mid_pause_end(&part);
    if (returned != NULL)
        *returned = bytes;
    return status;
}

/* --- reclaim -------------------------------------------------------------------------------------------------------- */

/* Garbage that finalizers make of what they were given is followed so far, lest they keep it from ending. */
#define GENERATIONS 8

/* Every cycle, with all that comes to light when finalizers have run. */
static mid_status collect_all(mid_impl *me)
{
    mid_status status = MID_OK;
    for (unsigned n = 0; status == MID_OK && n < GENERATIONS && (n == 0 || mid_final_waits(me->heap)); n++) {
        settle(me);
        mid_drain_all(me);
        status = mid_whole_enter(me);
        if (status != MID_OK)
            break;
        status = mid_collect_overdrawn(me);
        if (status != MID_OK) { /* the system has nothing for the marks, until it is given something */
            mid_squeeze(me);
            status = mid_collect_overdrawn(me);
        }
        mid_whole_leave(me);
    }
    settle(me);
    mid_drain_all(me); /* what was garbage may wait to be new */
    return status;
}

typedef struct holding {
    uint64_t live, committed;
} holding;

static holding look(mid_heap *heap)
{
    mid_lock(heap);
    holding now = {mid_live_bytes(heap), heap->alloc.committed};
    mid_unlock(heap);
    return now;
}

static bool came_free(mid_heap *heap, holding before)
{
    holding now = look(heap);
    return now.committed < before.committed || now.live < before.live;
}

static mid_status reclaim(mid_impl *me, holding before)
{
    mid_heap *heap = me->heap;
    mid_status status = collect_all(me);
    mid_status stopped = status == MID_EPOSTPONED ? status : mid_whole_enter(me), had;
    mid_lock(heap);
    if (stopped == MID_OK) {
        mid_proposer_close(heap);
        mid_deep_close(heap);
        mid_squeeze(me);
    } else {
        mid_caches_flush(me);
        mid_mem_flush(me);
        mid_trim_run(heap, 0, 0, &(uint64_t){0});
    }
    if (me->refused != 0)
        had = mid_try(me, me->refused);
    else
        had = came_free(heap, before) ? MID_OK : heap->options.heap_limit != 0 ? MID_ELIMIT : MID_ENOMEM;
    me->refused = 0;
    mid_unlock(heap);
    if (stopped == MID_OK)
        mid_whole_leave(me);
    if (had == MID_OK)
        return MID_OK;
    return status != MID_OK ? status : stopped != MID_OK ? stopped : had;
}

mid_status mid_reclaim(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    holding before = look(me->heap);
    status = mid_work_begin(thread);
    if (status != MID_OK)
        return status;
    mid_part part = mid_pause_begin(me, MID_PAUSE_RECLAIM);
    status = reclaim(me, before);
    mid_pause_end(&part);
    return status;
}
