/* gc/service.c: the daemon's side of a heap (service.h). */
#include <stdio.h>

#include "gc/policy.h"

mid_status mid_service_bind(mid_heap *heap, void (*kick)(void *), void *context)
{
    if (heap == NULL || kick == NULL)
        return MID_ENULL;
    pthread_mutex_lock(&heap->kick_lock);
    mid_status status = heap->kick != NULL ? MID_EINVAL : MID_OK;
    if (status == MID_OK) {
        heap->kick_context = context;
        __atomic_store_n(&heap->kick, kick, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&heap->kick_lock);
    return status;
}

void mid_service_unbind(mid_heap *heap)
{
    mid_service_set_growth(heap, UINT64_MAX, 0);
    mid_service_log(heap, false, 0, 0);
    pthread_mutex_lock(&heap->lock);
    if (!heap->stopping) /* a request that stands is nobody's now */
        __atomic_store_n(&heap->stop_wanted, 0, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&heap->changed);
    pthread_mutex_unlock(&heap->lock);
    pthread_mutex_lock(&heap->kick_lock);
    __atomic_store_n(&heap->kick, NULL, __ATOMIC_RELAXED);
    heap->forked = NULL;
    pthread_mutex_unlock(&heap->kick_lock);
}

void mid_service_on_fork(mid_heap *heap, void (*forked)(void *))
{
    pthread_mutex_lock(&heap->kick_lock);
    heap->forked = forked;
    pthread_mutex_unlock(&heap->kick_lock);
}

void mid_service_set_growth(mid_heap *heap, uint64_t least, uint64_t percent)
{
    __atomic_store_n(&heap->growth_percent, percent, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->growth_least, least, __ATOMIC_RELAXED);
}

mid_own_collections mid_service_collected(mid_heap *heap)
{
    pthread_mutex_lock(&heap->lock);
    mid_own_collections own = heap->own;
    heap->own = (mid_own_collections){0};
    pthread_mutex_unlock(&heap->lock);
    return own;
}

const mid_options *mid_service_options(mid_heap *heap)
{
    return &heap->options;
}

mid_status mid_service_stop(mid_heap *heap, mid_thread *self, uint64_t wait_micros, uint64_t *waited)
{
    mid_impl *me = self == NULL ? NULL : mid_impl_of(self);
    if (me != NULL && (me->in_region || mid_thread_current(heap) != self))
        me = NULL; /* it sleeps, or is gone: claimed like others */
    if (me != NULL && (mid_midway(me) || mid_busy(heap))) {
        if (waited != NULL)
            *waited = 0;
        return MID_EBUSY;
    }
    mid_part part = mid_pause_begin(me, MID_PAUSE_SERVICE);
    mid_status status = mid_world_stop(heap, me, wait_micros, waited);
    if (status != MID_OK) {
        mid_pause_end(&part);
        return status;
    }
    heap->stopper = part;
    heap->actor = mid_actor(heap, me);
    mid_stop_begins(heap);
    mid_publish(heap->actor, false);
    return MID_OK;
}

void mid_service_resume(mid_heap *heap)
{
    mid_part part = heap->stopper;
    mid_stop_ends(heap);
    mid_publish(heap->actor, false);
    mid_world_resume(heap);
    mid_pause_end(&part);
}

bool mid_service_late(mid_heap *heap, char name[32])
{
    pthread_mutex_lock(&heap->lock);
    const mid_impl *late = heap->last_late == 0 ? NULL : heap->threads[heap->last_late];
    if (late != NULL && late->attached) {
        char known[16] = "";
        pthread_getname_np(late->owner, known, sizeof known);
        snprintf(name, 32, "%u (%s)", late->id, known);
    } else if (late != NULL) {
        snprintf(name, 32, "%u", late->id); /* gone since */
    }
    heap->last_late = 0;
    pthread_mutex_unlock(&heap->lock);
    return late != NULL;
}

/* Each thread's list in turn, with that thread's structure. */
mid_status mid_service_drain(mid_heap *heap, uint64_t budget_micros, uint64_t *freed)
{
    uint64_t deadline = mid_clock_micros() + budget_micros, total = 0;
    bool late = false;
    for (uint32_t id = 1; id <= heap->thread_count && !late; id++) {
        mid_impl *impl = heap->threads[id];
        uint64_t n = 0;
        if (mid_lost(impl))
            continue;
        while (!late && (n = mid_drain(impl, 64, 0)) != 0) {
            total += n;
            late = budget_micros != 0 && mid_clock_micros() >= deadline;
        }
    }
    *freed = total;
    return mid_waiting(heap) == 0 ? MID_OK : MID_MORE;
}

mid_status mid_service_collect(mid_heap *heap, mid_collect_result *result)
{
    return mid_cycles_collect(heap->actor, result);
}

mid_status mid_service_compact(mid_heap *heap, uint64_t budget_micros, mid_compact_result *result)
{
    return mid_compact_run(heap->actor, budget_micros, result);
}

void mid_service_log(mid_heap *heap, bool on, uint32_t help_at, uint64_t from)
{
    __atomic_store_n(&heap->help_at, help_at, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->log_from, from, __ATOMIC_RELAXED);
    mid_suspects_log(heap, on);
}

/* It stops nobody, but whoever turns the service on his own thread does nothing else meanwhile. */
static mid_part part_beside(mid_heap *heap)
{
    mid_thread *thread = mid_thread_current(heap);
    mid_impl *me = thread == NULL || mid_impl_of(thread)->in_region ? NULL : mid_impl_of(thread);
    mid_part part = mid_pause_begin(me, MID_PAUSE_SERVICE);
    part.stop = false;
    return part;
}

mid_status mid_service_propose(mid_heap *heap, uint64_t budget_micros, uint64_t *walked, uint64_t *proposed)
{
    mid_part part = part_beside(heap);
    mid_status status = mid_propose(heap, budget_micros, walked, proposed);
    mid_pause_end(&part);
    return status;
}

mid_status mid_service_sweep(mid_heap *heap, uint64_t budget_micros, bool start)
{
    mid_part part = part_beside(heap);
    mid_status status = mid_sweep_run(heap, budget_micros, start);
    mid_pause_end(&part);
    return status;
}

mid_status mid_service_deep_read(mid_heap *heap, uint64_t budget_micros)
{
    mid_part part = part_beside(heap);
    mid_status status = mid_deep_look(heap, budget_micros);
    mid_pause_end(&part);
    return status;
}

mid_status mid_service_deep(mid_heap *heap, uint64_t budget_micros, uint64_t *renamed)
{
    *renamed = 0;
    if (pthread_mutex_trylock(&heap->proposing) != 0)
        return MID_EBUSY;
    mid_status status = MID_EBUSY;
    if (MID_READ_(heap->found_count) == 0 && MID_READ_(heap->sweeps) == MID_SWEEPS_NOT)
        status = mid_deep_run(heap->actor, (mid_deep_order)heap->options.deep, mid_clock_micros() + budget_micros, renamed);
    pthread_mutex_unlock(&heap->proposing);
    return status;
}

mid_status mid_service_prove(mid_heap *heap, uint64_t budget_micros, uint64_t *freed)
{
    return mid_prove(heap->actor, budget_micros, freed);
}

mid_status mid_service_trim(mid_heap *heap, uint64_t budget_micros, uint64_t keep_bytes, uint64_t *returned)
{
    uint64_t begun = mid_clock_micros();
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (!mid_lost(heap->threads[id]))
            mid_mem_flush(heap->threads[id]);
    if (keep_bytes <= heap->options.reserve && mid_policies_empty(heap->actor, false)) /* the program is idle, or memory is short */
        while (mid_drain(heap->actor, 64, 0) != 0 && (budget_micros == 0 || mid_clock_micros() - begun < budget_micros / 2))
            ; /* what is left is its thread's, which has been asked */
    uint64_t took = mid_clock_micros() - begun;
    mid_status status = mid_trim_run(heap, budget_micros == 0 ? 0 : took < budget_micros ? budget_micros - took : 1, keep_bytes, returned);
    took = mid_clock_micros() - begun;
    if (status == MID_OK) /* at least one; what is left of it waits for the next time */
        mid_gather_run(heap, took < budget_micros ? budget_micros - took : budget_micros != 0, &(uint64_t){0});
    return status;
}

#define PUBLISHED(X)                                                                                                   \
    X(allocated_bytes) X(live_slot_bytes) X(live_at_collection) X(pool_bytes) X(empty_bytes) X(gain_bytes)             \
    X(finalizers_waiting) X(committed_bytes) X(large_bytes) X(live_objects) X(table_bytes) X(table_waste)             \
    X(foreign_bytes)

static uint64_t owned_pools(const mid_heap *heap, unsigned size_class)
{
    uint64_t pools = 0;
    for (const mid_pool *pool = heap->alloc.classes[size_class].list[MID_POOL_OWNED]; pool != NULL; pool = pool->next)
        pools++;
    return pools;
}

static void fill_snapshot(mid_heap *heap, mid_snapshot *into)
{
    const mid_alloc *a = &heap->alloc;
    *into = (mid_snapshot){0};
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        const mid_class *c = &a->classes[i];
        uint64_t live = mid_live_slots(heap, i);
        into->allocated_bytes += (live + mid_freed_slots(heap, i)) * c->slot_size;
        into->live_slot_bytes += live * c->slot_size;
        into->live_objects += live;
        uint64_t movable = live - (c->frozen_live < live ? c->frozen_live : live), pools = c->pools - c->frozen;
        uint64_t gain = (movable + c->slots - 1) / c->slots;
        gain = gain < pools ? pools - gain : 0;
        uint64_t owned = owned_pools(heap, i); /* the mutators would take them again */
        gain -= owned < gain ? owned : gain;
        into->gain_bytes += gain * a->pool_size;
    }
    into->allocated_bytes += heap->large_allocated;
    into->large_bytes = a->large_live;
    into->live_at_collection = MID_READ_(heap->live_at_collection);
    into->pool_bytes = a->bytes[MID_IN_POOLS];
    into->empty_bytes = a->bytes[MID_IN_EMPTY];
    into->finalizers_waiting = MID_READ_(heap->final_count);
    into->committed_bytes = a->committed;
    into->foreign_bytes = MID_READ_(heap->domains.foreign);
    into->table_bytes = a->bytes[MID_IN_TABLE];
    uint64_t needed = (into->live_objects + heap->large_objects - heap->large_freed) * sizeof(mid_entry);
    into->table_waste = into->table_bytes > needed ? into->table_bytes - needed : 0;
}

/* Has enough happened since the last kick that a daemon should look before the mutator sleeps? */
bool mid_worth_a_kick(mid_heap *heap)
{
    if (__atomic_load_n(&heap->kick, __ATOMIC_RELAXED) == NULL)
        return false;
    uint64_t live = mid_live_bytes(heap), was = MID_READ_(heap->live_at_kick);
    return mid_waiting(heap) != 0 || MID_READ_(heap->final_count) != 0 ||
           (live > was ? live - was : was - live) >= heap->options.credit / 2;
}

bool mid_grown(const mid_heap *heap, uint64_t live)
{
    uint64_t was = MID_READ_(heap->live_at_collection);
    unsigned __int128 part = (unsigned __int128)was * __atomic_load_n(&heap->growth_percent, __ATOMIC_RELAXED) / 100;
    return live > was && live - was >= __atomic_load_n(&heap->growth_least, __ATOMIC_RELAXED) && live - was >= part;
}

/* Grown enough, the mutator collects at its next safepoint and kicks then; if it has not yet come to one since it was asked,
 * the service should know. */
void mid_credit_used(mid_impl *me)
{
    bool asked = MID_READ_(me->pub.stop) & MID_ASK_COLLECT;
    mid_part part = mid_pause_begin(me, MID_PAUSE_NEWS);
    bool grown = mid_grown(me->heap, mid_live_bytes(me->heap));
    if (grown)
        mid_ask(me, MID_ASK_COLLECT);
    if (mid_help_wanted(me->heap))
        mid_ask(me, MID_ASK_HELP);
    mid_publish(me, asked || !grown);
    mid_pause_end(&part);
}

/* It writes to a descriptor: a cancellation point. */
void mid_kick(mid_heap *heap)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&heap->kick_lock);
    if (heap->kick != NULL)
        heap->kick(heap->kick_context);
    pthread_mutex_unlock(&heap->kick_lock);
    pthread_setcancelstate(before, NULL);
}

void mid_publish(mid_impl *me, bool kick)
{
    mid_heap *heap = me->heap;
    mid_snapshot now;
    mid_lock(heap);
    fill_snapshot(heap, &now);
#define MID_X(field) __atomic_store_n(&heap->published.field, now.field, __ATOMIC_RELAXED);
    PUBLISHED(MID_X)
#undef MID_X
    mid_unlock(heap);
    if (me->credit < 0 || kick)
        me->credit = (int64_t)heap->options.credit;
    if (!kick)
        return;
    MID_WRITE_(heap->live_at_kick, now.live_slot_bytes + now.large_bytes + now.foreign_bytes);
    mid_kick(heap);
}

/* The heap has mutators that run; else one sleeps; else there is none. */
static mid_mutator_state mutators(mid_heap *heap)
{
    mid_mutator_state state = MID_MUTATOR_NONE;
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++) {
        mid_impl *impl = heap->threads[id];
        if (!__atomic_load_n(&impl->attached, __ATOMIC_ACQUIRE))
            continue;
        if (__atomic_load_n(&impl->state, __ATOMIC_RELAXED) == MID_T_RUNNING)
            return MID_MUTATOR_RUNNING;
        state = MID_MUTATOR_BLOCKED;
    }
    return state;
}

/* Threads that go on dropping things always have something waiting; not so to its end. */
static bool unfinished(mid_heap *heap)
{
    bool any = false;
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++) {
        mid_impl *impl = heap->threads[id];
        uint64_t emptied = MID_READ_(impl->emptied);
        any |= MID_READ_(impl->pending_count) != 0 && emptied == MID_READ_(impl->emptied_seen);
        MID_WRITE_(impl->emptied_seen, emptied);
    }
    return any;
}

/* What a sweep has not seen yet may be nothing but references. */
uint64_t mid_array_slots(const mid_heap *heap)
{
    uint64_t large = MID_READ_(heap->published.large_bytes), seen = MID_READ_(heap->array_bytes);
    return MID_READ_(heap->array_slots) + (large > seen ? large - seen : 0) / sizeof(mid_slot);
}

void mid_service_snapshot(mid_heap *heap, mid_snapshot *into)
{
#define MID_X(field) into->field = __atomic_load_n(&heap->published.field, __ATOMIC_RELAXED);
    PUBLISHED(MID_X)
#undef MID_X
    into->suspects_held = 0;
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
        into->suspects_held += MID_READ_(heap->threads[id]->suspect_count);
    into->suspects = MID_READ_(heap->logged_count) + MID_READ_(heap->todo_count) + into->suspects_held;
    into->proposals = MID_READ_(heap->found_count);
    into->array_slots = mid_array_slots(heap);
    into->unresolved = MID_READ_(heap->unresolved);
    into->sweeping = (mid_sweeping)MID_READ_(heap->sweeps);
    into->deepening = (mid_deepening)MID_READ_(heap->deepening);
    into->mutator = mutators(heap);
    into->waiting_objects = mid_waiting(heap);
    into->unfinished = unfinished(heap);
}
