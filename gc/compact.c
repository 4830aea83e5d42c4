/* gc/compact.c: evacuation of sparse pools, and giving empty ones back.
 *
 * For one class with L live slots and k slots a pool, ceil(L/k) pools stay, those with a pinned object and then the fullest,
 * and the others are evacuated into them. No other choice moves fewer bytes: at least that many pools must remain, every
 * object outside the remaining pools moves, and the fullest pools hold the most objects. A move is one copy and one store to the entry; nothing else refers to
 * an address. The free slot's entry takes the place of the object's, so both pools stay whole at every step.
 *
 * A pass may be spread over many slices. Its plan (the pools of one class by live count) is checked against what the
 * program did in between, pool by pool; if that made it less than optimal, the next pass is due sooner. */
#include "gc/debug.h"
#include "gc/plan.h"

#define PIECE (512u << 10) /* of empty pools that go between two looks at the clock: in smaller pieces they would cost more */

static mid_status plan_class(mid_heap *heap, mid_plan *plan)
{
    const mid_class *c = &heap->alloc.classes[plan->size_class];
    mid_status status = MID_OK;
    uint64_t least = 0;
    plan->planned = true;
    plan->lo = plan->hi = 0;
    plan->slot = 0;
    plan->refused = false;
    plan->need = plan->keep = (uint32_t)mid_pools_needed(heap, plan->size_class);
    if (c->pools > plan->need)
        status = mid_array_grow(&heap->alloc, &heap->plan_memory, mid_choice_bytes(c));
    plan->refused = status != MID_OK;
    plan->arenas_released = heap->alloc.arenas_released;
    if (c->pools > plan->need && status == MID_OK)
        least = mid_choose(heap, plan);
    mid_passed_least(heap, plan, least);
    return status;
}

/* Somebody may read, perhaps where an object was, and others are there by then: for a set on trial that is void. */
bool mid_moving_begin(mid_heap *heap)
{
    if (heap->debug)
        mid_debug_still_begin(heap);
    return pthread_mutex_trylock(&heap->proposing) == 0;
}

void mid_moving_end(mid_heap *heap, bool unread)
{
    if (heap->debug)
        mid_debug_still_end(heap);
    if (unread)
        pthread_mutex_unlock(&heap->proposing);
    else
        __atomic_fetch_add(&heap->touched, 1, __ATOMIC_SEQ_CST);
}

/* One class: MID_OK when nothing more can come free in it. */
static mid_status compact_class(mid_heap *heap, mid_plan *plan, uint64_t deadline)
{
    if (!plan->planned || plan->arenas_released != heap->alloc.arenas_released) {
        if (plan_class(heap, plan) != MID_OK)
            return MID_OK; /* no memory for a plan: the class stays as it is */
    }
    while (plan->hi > plan->keep) {
        mid_pool *from = mid_plan_pools(heap)[plan->hi - 1];
        if (!mid_is_source(plan, from) || from->live == 0) {
            plan->hi--;
            plan->slot = 0;
            continue;
        }
        mid_pool *to = mid_destination(heap, plan);
        if (plan->arenas_released != heap->alloc.arenas_released) {
            plan->planned = false;
            return MID_MORE;
        }
        if (to == NULL)
            return MID_OK;
        bool time_left = mid_evacuate(heap, plan, from, to, deadline);
        bool done = from->live == 0 || plan->slot >= from->bound;
        mid_pool_refile(heap, from);
        if (done) {
            plan->hi--;
            plan->slot = 0;
        }
        if (plan->arenas_released != heap->alloc.arenas_released) /* an arena went with its descriptors: plan again */
            plan->planned = false;
        if (!time_left || !plan->planned)
            return MID_MORE;
    }
    return MID_OK;
}

static mid_status open_plan(mid_heap *heap, bool whole)
{
    if (heap->plan == NULL) {
        mid_array memory = {0};
        mid_status status = mid_array_grow(&heap->alloc, &memory, sizeof(mid_plan));
        if (status != MID_OK)
            return status;
        heap->plan = memory.data;
    }
    if (!heap->plan->under_way || whole) {
        *heap->plan = (mid_plan){.under_way = true};
        mid_runs_pack_begin(&heap->alloc);
    }
    return MID_OK;
}

mid_status mid_compact_ready(mid_heap *heap)
{
    size_t most = 0;
    for (unsigned i = 0; i < MID_CLASSES; i++)
        if (mid_choice_bytes(&heap->alloc.classes[i]) > most)
            most = mid_choice_bytes(&heap->alloc.classes[i]);
    mid_status status = open_plan(heap, true);
    return status == MID_OK ? mid_array_grow(&heap->alloc, &heap->plan_memory, most) : status;
}

void mid_compact_forget(mid_heap *heap)
{
    mid_array plan = {heap->plan, mid_round(sizeof(mid_plan), MID_PAGE)};
    mid_array_free(&heap->alloc, &plan);
    heap->plan = NULL;
    mid_array_free(&heap->alloc, &heap->plan_memory);
}

/* Empty pools beyond `keep`: without a deadline up to 2 MiB at a time. False: the clock says stop. */
static bool return_beyond(mid_heap *heap, uint64_t keep, uint64_t deadline)
{
    mid_alloc *a = &heap->alloc;
    const unsigned piece = deadline == 0 ? a->units : PIECE >> a->pool_shift;
    while (a->bytes[MID_IN_EMPTY] > keep) {
        uint64_t beyond = (a->bytes[MID_IN_EMPTY] - keep + a->pool_size - 1) >> a->pool_shift;
        if (mid_pools_return(a, beyond < piece ? (unsigned)beyond : piece) == 0)
            break;
        if (deadline != 0 && a->bytes[MID_IN_EMPTY] > keep && mid_clock_micros() >= deadline)
            return false;
    }
    return true;
}

mid_status mid_compact_run(mid_impl *me, uint64_t budget_micros, mid_compact_result *result)
{
    mid_heap *heap = me->heap;
    uint64_t start = mid_thread_cpu_nanos();
    uint64_t deadline = budget_micros == 0 ? 0 : mid_clock_micros() + budget_micros;
    mid_status status = open_plan(heap, budget_micros == 0);
    if (status != MID_OK)
        return status;
    MID_EMIT(heap, compact_begin);
    bool unread = mid_moving_begin(heap);
    deadline = mid_debug_deadline(heap, deadline, budget_micros);
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (!mid_lost(heap->threads[id]))
            mid_caches_flush(heap->threads[id]);
    mid_plan *plan = heap->plan;
    mid_passed_begin(heap, plan);
    heap->alloc.pools_held = deadline == 0; /* a trim follows, which gives them back in large pieces */
    heap->alloc.piece = PIECE >> heap->alloc.pool_shift;
    while (plan->size_class < MID_CLASSES) {
        status = compact_class(heap, plan, deadline);
        if (status == MID_OK) {
            mid_passed_class(heap, plan);
            plan->size_class++;
            plan->begun = plan->planned = false;
        }
        if (deadline != 0 && mid_clock_micros() >= deadline)
            break;
    }
    if (plan->size_class == MID_CLASSES && (deadline == 0 || return_beyond(heap, mid_pools_allowed(&heap->alloc), deadline)))
        plan->under_way = !mid_pack_runs(heap, plan, deadline);
    heap->alloc.pools_held = false;
    heap->alloc.piece = 0;
    mid_moving_end(heap, unread);
    status = plan->under_way ? MID_MORE : MID_OK;
    mid_passed_end(heap, plan);
    plan->result.micros = (mid_thread_cpu_nanos() - start) / 1000;
    heap->counts.compactions += status == MID_OK;
    heap->counts.moved_objects += plan->result.moved_objects;
    heap->counts.moved_bytes += plan->result.moved_bytes;
    heap->counts.compact_micros += plan->result.micros;
    *result = plan->result;
    MID_EMIT(heap, compact_end, result);
    return status;
}

mid_status mid_trim_run(mid_heap *heap, uint64_t budget_micros, uint64_t keep, uint64_t *returned)
{
    uint64_t deadline = budget_micros == 0 ? 0 : mid_clock_micros() + budget_micros;
    uint64_t before = heap->alloc.returned;
    mid_status status = MID_OK;
    heap->alloc.recent_pools = (heap->alloc.used_pools + heap->alloc.block_pools) * 1024;
    mid_array_free(&heap->alloc, &heap->marks);
    if (heap->condemned_count == 0)
        mid_array_free(&heap->alloc, &heap->condemned);
    if (!return_beyond(heap, keep, deadline))
        status = MID_MORE;
    while (status == MID_OK && mid_runs_trim(&heap->alloc, 64) != 0)
        if (deadline != 0 && mid_clock_micros() >= deadline)
            status = MID_MORE;
    if (status == MID_OK)
        status = mid_table_trim(heap, deadline);
    *returned = heap->alloc.returned - before;
    return status;
}
