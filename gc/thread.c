/* gc/thread.c: the mutator, safepoints, blocked regions, and stopping the world.
 *
 * impl.state says who may touch the heap: RUNNING the mutator; BLOCKED nobody yet; CLAIMED the service that took it.
 *
 *   mutator   RUNNING -> BLOCKED (release)   parks at a safepoint, or enters a blocked region
 *             BLOCKED -> RUNNING (compare-and-swap, acquire)   fails while CLAIMED: wait for `lock`, which the claimer holds
 *   service   lock; BLOCKED -> CLAIMED (compare-and-swap, acquire) ... CLAIMED -> BLOCKED (release); unlock
 *
 * A service that finds the mutator RUNNING sets stop_wanted and MID_ASK_STOP under `lock` and waits on `changed`; the mutator
 * sees the request at its next safepoint. A service that gives up leaves the request standing: the mutator then kicks, and
 * waits a moment for the service to come back. */
#include <errno.h>
#include <time.h>

#include "gc/heap.h"

#define PARK_MICROS 5000 /* a mutator's wait for a service that was late */

void mid_ask(mid_heap *heap, uint32_t what)
{
    if (heap->mutator != NULL)
        __atomic_fetch_or(&heap->mutator->pub.stop, what, __ATOMIC_RELAXED);
}

static void unask(mid_impl *impl, uint32_t what)
{
    __atomic_fetch_and(&impl->pub.stop, ~what, __ATOMIC_RELAXED);
}

static bool change_state(mid_impl *impl, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&impl->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool mid_is_mutator(const mid_heap *heap)
{
    const mid_impl *impl = __atomic_load_n(&heap->mutator, __ATOMIC_ACQUIRE);
    return impl == NULL || pthread_equal(impl->owner, pthread_self());
}

mid_status mid_look_begin(mid_heap *heap, bool *locked)
{
    const mid_impl *impl = __atomic_load_n(&heap->mutator, __ATOMIC_ACQUIRE);
    *locked = false;
    if (impl != NULL && pthread_equal(impl->owner, pthread_self()) && !impl->in_region)
        return MID_OK;
    if (__atomic_load_n(&heap->claimed, __ATOMIC_ACQUIRE) && pthread_equal(__atomic_load_n(&heap->claimer, __ATOMIC_RELAXED), pthread_self()))
        return MID_OK;
    if (impl != NULL)
        return MID_ETHREAD;
    pthread_mutex_lock(&heap->lock); /* keeps services and attaching threads away */
    *locked = heap->mutator == NULL;
    if (*locked) { /* and what this call calls may look, too */
        __atomic_store_n(&heap->claimer, pthread_self(), __ATOMIC_RELAXED);
        __atomic_store_n(&heap->claimed, true, __ATOMIC_RELEASE);
        return MID_OK;
    }
    pthread_mutex_unlock(&heap->lock);
    return MID_ETHREAD;
}

void mid_look_end(mid_heap *heap, bool locked)
{
    if (!locked)
        return;
    __atomic_store_n(&heap->claimed, false, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&heap->lock);
}

mid_status mid_thread_check(mid_thread *thread)
{
    if (thread == NULL)
        return MID_ENULL;
    mid_impl *impl = mid_impl_of(thread);
    if (impl->heap->mutator != impl || !pthread_equal(impl->owner, pthread_self()) || impl->in_region)
        return MID_ETHREAD;
    return impl->heap->busy ? MID_EBUSY : MID_OK;
}

static struct timespec after_micros(uint64_t micros)
{
    uint64_t at = mid_clock_micros() + micros;
    return (struct timespec){(time_t)(at / 1000000), (long)(at % 1000000 * 1000)};
}

/* Give the heap up, to whoever waits for it. */
static void block(mid_impl *impl)
{
    mid_heap *heap = impl->heap;
    __atomic_store_n(&impl->state, MID_T_BLOCKED, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&heap->stop_wanted, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&heap->lock);
        pthread_cond_broadcast(&heap->changed);
        pthread_mutex_unlock(&heap->lock);
    }
}

static void unblock(mid_impl *impl)
{
    __atomic_store_n(&impl->returning, 1, __ATOMIC_SEQ_CST); /* first, or a service could slip in twice */
    if (change_state(impl, MID_T_BLOCKED, MID_T_RUNNING)) {
        __atomic_store_n(&impl->returning, 0, __ATOMIC_RELAXED);
        return;
    }
    pthread_mutex_lock(&impl->heap->lock); /* whoever claims holds it to the end of the slice */
    change_state(impl, MID_T_BLOCKED, MID_T_RUNNING);
    __atomic_store_n(&impl->returning, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&impl->heap->lock);
}

/* A stop is wanted: park until it is over, or until it turns out that nobody comes. */
static void park(mid_impl *impl)
{
    mid_heap *heap = impl->heap;
    mid_publish(heap, true);
    block(impl);
    pthread_mutex_lock(&heap->lock);
    struct timespec deadline = after_micros(PARK_MICROS);
    while (__atomic_load_n(&heap->stop_wanted, __ATOMIC_RELAXED))
        if (pthread_cond_timedwait(&heap->changed, &heap->lock, &deadline) == ETIMEDOUT)
            __atomic_store_n(&heap->stop_wanted, 0, __ATOMIC_RELAXED);
    unask(impl, MID_ASK_STOP);
    change_state(impl, MID_T_BLOCKED, MID_T_RUNNING);
    __atomic_store_n(&impl->returning, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&heap->lock);
}

/* It has grown by what a service set. */
static void collect_by_itself(mid_heap *heap)
{
    mid_collect_result result;
    mid_own_collections now = {.times = 1, .live_at_collection = heap->live_at_collection};
    now.live_before = mid_live_bytes(heap);
    if (!mid_grown(heap, now.live_before))
        return; /* enough has died since */
    MID_EMIT(heap, stop_begin);
    heap->stop_began = mid_thread_cpu_nanos();
    now.status = mid_cycles_collect(heap, &result);
    mid_stop_recorded(heap, (mid_thread_cpu_nanos() - heap->stop_began) / 1000);
    now.live_after = mid_live_bytes(heap);
    pthread_mutex_lock(&heap->lock);
    now.times += heap->own.times;
    now.freed = heap->own.freed + result.freed;
    now.micros = heap->own.micros + result.micros;
    now.longest = heap->own.longest > result.micros ? heap->own.longest : result.micros;
    heap->own = now;
    mid_publish(heap, true); /* before a service can ask: what it looks at next is of now */
    pthread_mutex_unlock(&heap->lock);
}

/* What every safepoint does, asked for or not. */
static void serve(mid_impl *impl)
{
    mid_heap *heap = impl->heap;
    if (heap->finalizing || heap->draining) /* a finalizer calls: the heap is in the middle of something */
        return;
    uint32_t asked = __atomic_load_n(&impl->pub.stop, __ATOMIC_RELAXED);
    if (asked & MID_ASK_COLLECT) {
        unask(impl, MID_ASK_COLLECT);
        collect_by_itself(heap);
    }
    if (asked & MID_ASK_STOP)
        park(impl);
    unask(impl, MID_ASK_FINALIZE | MID_ASK_DRAIN); /* set again by what is left */
    if (heap->final_head != 0 || heap->condemned_count != 0)
        mid_final_run(heap, 64);
    if (heap->pending_count != 0)
        mid_drain(heap, heap->options.free_batch, MID_DRAIN_FINALIZE);
}

mid_status mid_safepoint_slow_(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status == MID_OK)
        serve(mid_impl_of(thread));
    return status;
}

/* The mutator works on its own heap: a stop by itself. */
static mid_status world_enter(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *impl = mid_impl_of(thread);
    if (impl->heap->finalizing || impl->heap->draining)
        return MID_EBUSY;
    serve(impl);
    MID_EMIT(impl->heap, stop_begin);
    impl->heap->stop_began = mid_thread_cpu_nanos();
    return MID_OK;
}

static void world_leave(mid_thread *thread)
{
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_stop_recorded(heap, (mid_thread_cpu_nanos() - heap->stop_began) / 1000);
    mid_publish(heap, false);
}

/* Free all that waits, finalizers included; returns the garbage that a recount after them freed. */
static uint64_t settle(mid_heap *heap)
{
    uint64_t freed = 0;
    do {
        freed += mid_final_run(heap, UINT64_MAX);
        while (mid_drain(heap, 4096, MID_DRAIN_FINALIZE) != 0)
            ;
    } while (heap->final_head != 0 || heap->condemned_count != 0);
    return freed;
}

mid_status mid_collect(mid_thread *thread, mid_collect_result *result)
{
    mid_collect_result local;
    mid_status status = world_enter(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    settle(heap);
    status = mid_cycles_collect(heap, &local);
    world_leave(thread);
    local.freed += settle(heap);
    if (result != NULL)
        *result = local;
    return status;
}

mid_status mid_compact(mid_thread *thread, uint64_t budget_micros, mid_compact_result *result)
{
    mid_compact_result local;
    mid_status status = world_enter(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    status = mid_compact_run(heap, budget_micros, &local);
    if (status == MID_OK) {
        /* What is left of the budget, at least a microsecond of it: 0 would be none. */
        uint64_t left = local.micros < budget_micros ? budget_micros - local.micros : budget_micros != 0;
        status = mid_trim_run(heap, left, heap->options.reserve, &local.returned_bytes);
    }
    world_leave(thread);
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
    status = mid_trim_run(heap, budget_micros, heap->options.reserve, &bytes);
    if (returned != NULL)
        *returned = bytes;
    return status;
}

mid_status mid_blocked_enter(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *impl = mid_impl_of(thread);
    if (impl->heap->finalizing || impl->heap->draining)
        return MID_EBUSY;
    serve(impl);
    impl->in_region = true;
    mid_publish(impl->heap, mid_worth_a_kick(impl->heap));
    block(impl);
    return MID_OK;
}

mid_status mid_blocked_leave(mid_thread *thread)
{
    if (thread == NULL)
        return MID_ENULL;
    mid_impl *impl = mid_impl_of(thread);
    if (!pthread_equal(impl->owner, pthread_self()) || !impl->in_region)
        return MID_ETHREAD;
    unblock(impl);
    impl->in_region = false;
    if (__atomic_load_n(&impl->pub.stop, __ATOMIC_RELAXED) != 0)
        serve(impl);
    return MID_OK;
}

mid_status mid_thread_attach(mid_heap *heap, mid_thread **out)
{
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    *out = NULL;
    if (__atomic_load_n(&heap->claimed, __ATOMIC_ACQUIRE) && pthread_equal(__atomic_load_n(&heap->claimer, __ATOMIC_RELAXED), pthread_self()))
        return MID_EBUSY; /* from a listener: this thread holds the lock */
    pthread_mutex_lock(&heap->lock);
    mid_status status = heap->mutator != NULL ? MID_ETHREAD : heap->busy ? MID_EBUSY : MID_OK;
    if (status == MID_OK) {
        mid_impl *impl = heap->thread; /* kept for the heap's life: a stale mid_thread is told, not followed */
        impl->owner = pthread_self();
        impl->state = MID_T_RUNNING;
        impl->returning = 0;
        impl->pub.stop = (heap->final_count != 0 || heap->condemned_count != 0 ? MID_ASK_FINALIZE : 0) |
                         (heap->pending_count != 0 ? MID_ASK_DRAIN : 0);
        __atomic_store_n(&heap->mutator, impl, __ATOMIC_RELEASE);
        *out = &impl->pub;
    }
    pthread_mutex_unlock(&heap->lock);
    return status;
}

mid_status mid_thread_detach(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *impl = mid_impl_of(thread);
    mid_heap *heap = impl->heap;
    if (heap->finalizing || heap->draining)
        return MID_EBUSY;
    if (impl->scope_depth != 0)
        return MID_ETHREAD;
    serve(impl);
    block(impl); /* a service that holds the lock may be waiting for this thread */
    pthread_mutex_lock(&heap->lock);
    change_state(impl, MID_T_BLOCKED, MID_T_RUNNING);
    mid_caches_flush(heap);
    mid_array_free(&heap->alloc, &impl->scope_handles);
    mid_publish(heap, true);
    __atomic_store_n(&heap->mutator, NULL, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&heap->changed);
    pthread_mutex_unlock(&heap->lock);
    return MID_OK;
}

mid_heap *mid_thread_heap(mid_thread *thread)
{
    return thread == NULL ? NULL : mid_impl_of(thread)->heap;
}

mid_status mid_thread_status(mid_thread *thread)
{
    return thread == NULL ? MID_ENULL : (mid_status)thread->status;
}
