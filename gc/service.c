/* gc/service.c: the daemon's side of a heap (service.h). */
#include <errno.h>
#include <time.h>

#include "gc/heap.h"

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
    pthread_mutex_lock(&heap->lock);
    __atomic_store_n(&heap->stop_wanted, 0, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&heap->changed);
    pthread_mutex_unlock(&heap->lock);
    pthread_mutex_lock(&heap->kick_lock);
    __atomic_store_n(&heap->kick, NULL, __ATOMIC_RELAXED);
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

/* With `lock` held: is the world ours, or can it be taken? */
static bool claim(mid_heap *heap, mid_thread *self)
{
    mid_impl *impl = heap->mutator;
    if (impl == NULL || (self != NULL && mid_impl_of(self) == impl))
        return true;
    if (__atomic_load_n(&impl->returning, __ATOMIC_SEQ_CST))
        return false; /* one slice at most */
    uint32_t blocked = MID_T_BLOCKED;
    return __atomic_compare_exchange_n(&impl->state, &blocked, MID_T_CLAIMED, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool claim_within(mid_heap *heap, mid_thread *self, uint64_t wait_micros)
{
    if (claim(heap, self))
        return true;
    /* Wanted first, then the request: a mutator that blocks in between sees the one or is seen by the other. */
    __atomic_store_n(&heap->stop_wanted, 1, __ATOMIC_SEQ_CST);
    mid_ask(heap, MID_ASK_STOP);
    uint64_t at = mid_clock_micros() + wait_micros;
    struct timespec deadline = {(time_t)(at / 1000000), (long)(at % 1000000 * 1000)};
    bool late = wait_micros == 0;
    while (!claim(heap, self)) {
        if (late)
            return false;
        late = pthread_cond_timedwait(&heap->changed, &heap->lock, &deadline) == ETIMEDOUT;
    }
    return true;
}

static void release_claim(mid_heap *heap, mid_thread *self)
{
    mid_impl *impl = heap->mutator;
    __atomic_store_n(&heap->claimed, false, __ATOMIC_RELEASE);
    __atomic_store_n(&heap->stop_wanted, 0, __ATOMIC_SEQ_CST);
    if (impl != NULL && (self == NULL || mid_impl_of(self) != impl)) {
        if (!impl->in_region) /* it parks at a safepoint */
            __atomic_store_n(&impl->returning, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&impl->state, MID_T_BLOCKED, __ATOMIC_SEQ_CST);
    }
    pthread_cond_broadcast(&heap->changed);
    pthread_mutex_unlock(&heap->lock);
}

mid_status mid_service_stop(mid_heap *heap, mid_thread *self, uint64_t wait_micros, uint64_t *waited)
{
    uint64_t start = mid_clock_micros();
    pthread_mutex_lock(&heap->lock);
    bool stopped = claim_within(heap, self, wait_micros);
    if (waited != NULL)
        *waited = mid_clock_micros() - start;
    if (!stopped) {
        pthread_mutex_unlock(&heap->lock);
        return MID_EPOSTPONED;
    }
    if (heap->busy || heap->draining || heap->finalizing) { /* `self` called from inside a callback */
        release_claim(heap, self);
        return MID_EBUSY;
    }
    __atomic_store_n(&heap->claimer, pthread_self(), __ATOMIC_RELAXED);
    __atomic_store_n(&heap->claimed, true, __ATOMIC_RELEASE);
    mid_publish(heap, false);
    MID_EMIT(heap, stop_begin);
    heap->stop_began = mid_thread_cpu_nanos();
    return MID_OK;
}

void mid_service_resume(mid_heap *heap, mid_thread *self)
{
    mid_stop_recorded(heap, (mid_thread_cpu_nanos() - heap->stop_began) / 1000);
    mid_publish(heap, false);
    release_claim(heap, self);
}

mid_status mid_service_drain(mid_heap *heap, uint64_t budget_micros, uint64_t *freed)
{
    uint64_t deadline = mid_clock_micros() + budget_micros, n = 0, total = 0;
    while ((n = mid_drain(heap, 64, 0)) != 0) {
        total += n;
        if (budget_micros != 0 && mid_clock_micros() >= deadline)
            break;
    }
    *freed = total;
    return heap->pending_count == 0 ? MID_OK : MID_MORE;
}

mid_status mid_service_collect(mid_heap *heap, mid_collect_result *result)
{
    return mid_cycles_collect(heap, result);
}

mid_status mid_service_compact(mid_heap *heap, uint64_t budget_micros, mid_compact_result *result)
{
    return mid_compact_run(heap, budget_micros, result);
}

mid_status mid_service_trim(mid_heap *heap, uint64_t budget_micros, uint64_t keep_bytes, uint64_t *returned)
{
    return mid_trim_run(heap, budget_micros, keep_bytes, returned);
}

#define PUBLISHED(X)                                                                                                   \
    X(allocated_bytes) X(live_slot_bytes) X(live_at_collection) X(pool_bytes) X(empty_bytes) X(gain_bytes)             \
    X(waiting_objects) X(finalizers_waiting) X(committed_bytes) X(large_bytes)

static void fill_snapshot(mid_heap *heap, mid_snapshot *into)
{
    const mid_alloc *a = &heap->alloc;
    *into = (mid_snapshot){0};
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        const mid_class *c = &a->classes[i];
        uint64_t live = mid_live_slots(heap, i);
        into->allocated_bytes += (c->handed - (heap->mutator ? heap->mutator->pub.left[i] : 0)) * c->slot_size;
        into->live_slot_bytes += live * c->slot_size;
        uint64_t gain = c->pools - (live + c->slots - 1) / c->slots;
        if (gain != 0 && heap->owned[i] != NULL) /* the mutator would take it again */
            gain--;
        into->gain_bytes += gain * MID_POOL_SIZE;
    }
    into->allocated_bytes += heap->large_allocated;
    into->large_bytes = a->large_live;
    into->live_at_collection = heap->live_at_collection;
    into->pool_bytes = a->bytes[MID_IN_POOLS];
    into->empty_bytes = a->bytes[MID_IN_EMPTY];
    into->waiting_objects = heap->pending_count;
    into->finalizers_waiting = heap->final_count;
    into->committed_bytes = a->committed;
}

/* Has enough happened since the last kick that a daemon should look before the mutator sleeps? */
bool mid_worth_a_kick(mid_heap *heap)
{
    if (__atomic_load_n(&heap->kick, __ATOMIC_RELAXED) == NULL)
        return false;
    uint64_t live = mid_live_bytes(heap), was = heap->live_at_kick;
    return heap->pending_count != 0 || heap->final_count != 0 ||
           (live > was ? live - was : was - live) >= heap->options.credit / 2;
}

bool mid_grown(const mid_heap *heap, uint64_t live)
{
    uint64_t was = heap->live_at_collection;
    unsigned __int128 part = (unsigned __int128)was * __atomic_load_n(&heap->growth_percent, __ATOMIC_RELAXED) / 100;
    return live > was && live - was >= __atomic_load_n(&heap->growth_least, __ATOMIC_RELAXED) && live - was >= part;
}

/* Grown enough, the mutator collects at its next safepoint and kicks then; if it has not yet come to one since it was asked,
 * the service should know. */
void mid_credit_used(mid_heap *heap)
{
    bool asked = __atomic_load_n(&heap->mutator->pub.stop, __ATOMIC_RELAXED) & MID_ASK_COLLECT;
    bool grown = mid_grown(heap, mid_live_bytes(heap));
    if (grown)
        mid_ask(heap, MID_ASK_COLLECT);
    mid_publish(heap, asked || !grown);
}

void mid_publish(mid_heap *heap, bool kick)
{
    mid_snapshot now;
    fill_snapshot(heap, &now);
#define MID_X(field) __atomic_store_n(&heap->published.field, now.field, __ATOMIC_RELAXED);
    PUBLISHED(MID_X)
#undef MID_X
    pthread_mutex_lock(&heap->stats_lock);
    mid_stats_fill(heap, &heap->shown);
    pthread_mutex_unlock(&heap->stats_lock);
    if (heap->credit < 0 || kick)
        heap->credit = (int64_t)heap->options.credit;
    if (!kick)
        return;
    heap->live_at_kick = now.live_slot_bytes + now.large_bytes;
    pthread_mutex_lock(&heap->kick_lock);
    if (heap->kick != NULL)
        heap->kick(heap->kick_context);
    pthread_mutex_unlock(&heap->kick_lock);
}

void mid_service_snapshot(mid_heap *heap, mid_snapshot *into)
{
#define MID_X(field) into->field = __atomic_load_n(&heap->published.field, __ATOMIC_RELAXED);
    PUBLISHED(MID_X)
#undef MID_X
    mid_impl *impl = __atomic_load_n(&heap->mutator, __ATOMIC_ACQUIRE); /* its structure lives as long as the heap */
    into->mutator = impl == NULL ? MID_MUTATOR_NONE
                    : __atomic_load_n(&impl->state, __ATOMIC_RELAXED) == MID_T_RUNNING ? MID_MUTATOR_RUNNING
                                                                                       : MID_MUTATOR_BLOCKED;
}
