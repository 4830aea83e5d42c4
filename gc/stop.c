/* gc/stop.c: stopping the world.
 *
 * impl.state says who may use a thread's structure: RUNNING its thread; BLOCKED and ABSENT (detached) nobody yet; CLAIMED who
 * took it. Claims are made with `lock` held, and the world is stopped when every attached thread is claimed.
 *
 *   mutator   RUNNING -> BLOCKED (a store)   parks at a safepoint, or enters a blocked region; then looks at stop_wanted
 *             BLOCKED -> RUNNING (compare-and-swap)   fails while CLAIMED: wait for `lock`
 *   stopper   lock; stop_wanted, then the request in each thread; then as each blocks BLOCKED -> CLAIMED (compare-and-swap);
 *             ... CLAIMED -> BLOCKED (a store), broadcast; unlock
 *
 * There is one stopper at a time (heap.stopping), in the order of heap.turns. A mutator that wants to be one counts as parked
 * while it waits, so that two of them cannot wait for each other. A stopper that gives up lets go of all; its request stands
 * for the thread that was late: that one kicks when it comes, and waits a moment for the service to come back. */
#include <errno.h>
#include <time.h>

#include "gc/heap.h"

#define SPINS 100u /* a few microseconds: `memory` is mostly held for less, and to sleep and be woken takes tens */

static inline void spin(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void mid_lock_wait(mid_heap *heap)
{
    for (unsigned n = 0; n < SPINS; n++) {
        spin();
        if (pthread_mutex_trylock(&heap->memory) == 0)
            return;
    }
    pthread_mutex_lock(&heap->memory);
}

#define PARK_MICROS 5000 /* a mutator's wait for a service that was late */

static struct timespec after_micros(uint64_t micros)
{
    uint64_t at = mid_clock_micros() + micros;
    return (struct timespec){(time_t)(at / 1000000), (long)(at % 1000000 * 1000)};
}

/* Until something changes, or the deadline (null: none). False: it is past. No cancellation point: with `lock` held a thread
 * must not end. */
bool mid_await_change(mid_heap *heap, const struct timespec *deadline)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    int error = deadline == NULL ? pthread_cond_wait(&heap->changed, &heap->lock)
                                 : pthread_cond_timedwait(&heap->changed, &heap->lock, deadline);
    pthread_setcancelstate(before, NULL);
    return error != ETIMEDOUT;
}

static bool run_again(mid_impl *impl)
{
    uint32_t blocked = MID_T_BLOCKED;
    return __atomic_compare_exchange_n(&impl->state, &blocked, MID_T_RUNNING, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* --- the mutator's side --------------------------------------------------------------------------------------------- */

void mid_block(mid_impl *impl)
{
    mid_heap *heap = impl->heap;
    __atomic_store_n(&impl->state, MID_T_BLOCKED, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&heap->stop_wanted, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&heap->lock);
        pthread_cond_broadcast(&heap->changed);
        pthread_mutex_unlock(&heap->lock);
    }
}

/* Who sent it a message while it did not run has not asked it to look. */
static void running(mid_impl *impl)
{
    __atomic_store_n(&impl->returning, 0, __ATOMIC_RELAXED);
    if (mid_has_news(impl))
        mid_ask(impl, MID_ASK_MERGE);
}

/* With `lock` held. */
static void run_on(mid_impl *impl)
{
    while (!run_again(impl)) /* a stopper holds it, and waits for others */
        mid_await_change(impl->heap, NULL);
    running(impl);
}

void mid_unblock(mid_impl *impl)
{
    __atomic_store_n(&impl->returning, 1, __ATOMIC_SEQ_CST); /* first, or a service could slip in twice */
    if (run_again(impl)) {
        running(impl);
        return;
    }
    mid_part part = mid_pause_begin(impl, MID_PAUSE_PARKED);
    pthread_mutex_lock(&impl->heap->lock); /* who claims holds it to the end of the slice */
    run_on(impl);
    pthread_mutex_unlock(&impl->heap->lock);
    mid_pause_end(&part);
}

/* A stop is wanted: park until it is over, or until it turns out that nobody comes. */
void mid_park(mid_impl *impl)
{
    mid_heap *heap = impl->heap;
    mid_part part = mid_pause_begin(impl, MID_PAUSE_PARKED);
    mid_block(impl);
    pthread_mutex_lock(&heap->lock);
    impl->asked = 0;
    if (heap->late == impl->id) {
        heap->late = 0;
        pthread_mutex_unlock(&heap->lock);
        mid_kick(heap);
        pthread_mutex_lock(&heap->lock);
    }
    struct timespec deadline = after_micros(PARK_MICROS);
    while ((__atomic_load_n(&heap->stop_wanted, __ATOMIC_RELAXED) && !impl->returning) || impl->held)
        if (impl->held)
            mid_await_change(heap, NULL);
        else if (!mid_await_change(heap, &deadline))
            break;
    if (!heap->stopping) { /* else the next stop has been asked for already, and this thread is to come back for it */
        mid_unask(impl, MID_ASK_STOP);
        __atomic_store_n(&heap->stop_wanted, 0, __ATOMIC_RELAXED);
    }
    run_on(impl);
    pthread_mutex_unlock(&heap->lock);
    mid_pause_end(&part);
}

/* With `lock` held: let go by one stopper, it waits on, and is to be claimed by the next. */
static void claim_me(mid_impl *impl)
{
    if (!impl->returning)
        return;
    __atomic_store_n(&impl->returning, 0, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&impl->heap->changed);
}

/* --- the stopper's side ------------------------------------------------------------------------------------------------ */

/* With `lock` held: claim who can be claimed. Null: the world stands; else who runs and was asked first. */
static mid_impl *claim_all(mid_heap *heap, const mid_impl *self)
{
    mid_impl *runs = NULL;
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_impl *impl = heap->threads[id];
        if (impl == self || impl->held || !impl->attached)
            continue;
        bool returning = __atomic_load_n(&impl->returning, __ATOMIC_SEQ_CST); /* it had one slice, and is to run first */
        impl->held = !returning && mid_claim(impl, MID_T_BLOCKED);
        if (impl->held)
            impl->asked = 0;
        else if (runs == NULL || impl->asked < runs->asked)
            runs = impl;
    }
    return runs;
}

static void ask_running(mid_heap *heap, const mid_impl *self)
{
    __atomic_store_n(&heap->stop_wanted, 1, __ATOMIC_SEQ_CST);
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_impl *impl = heap->threads[id];
        if (impl == self || !impl->attached || impl->held)
            continue;
        if (impl->asked == 0)
            impl->asked = mid_clock_micros();
        mid_ask(impl, MID_ASK_STOP);
    }
}

/* Who was held and does not run now may have messages, which nobody could deliver meanwhile. */
static void let_go(mid_heap *heap)
{
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_impl *impl = heap->threads[id];
        if (!impl->held)
            continue;
        impl->held = false;
        mid_unask(impl, MID_ASK_STOP);
        if (!impl->in_region && !impl->waits) { /* it parks at a safepoint */
            __atomic_store_n(&impl->returning, 1, __ATOMIC_RELAXED);
        } else {
            if (mid_has_news(impl))
                mid_inbox_merge(impl, impl);
            if (impl->pending_count != 0)
                mid_orphaned(heap);
        }
        __atomic_store_n(&impl->state, MID_T_BLOCKED, __ATOMIC_SEQ_CST);
    }
}

/* With `lock` held, which is given up while waiting. Null: the world stands. */
static mid_impl *claim_within(mid_heap *heap, const mid_impl *self, uint64_t wait_micros, bool *asked)
{
    mid_impl *runs = claim_all(heap, self);
    if (runs == NULL)
        return NULL;
    /* Wanted first, then the request: a mutator that blocks in between sees the one or is seen by the other. */
    ask_running(heap, self);
    *asked = true;
    struct timespec deadline = after_micros(wait_micros);
    bool late = wait_micros == 0;
    while ((runs = claim_all(heap, self)) != NULL && !late) {
        late = !mid_await_change(heap, &deadline);
        ask_running(heap, self); /* one that had waited long enough for a stop before may have taken its request away */
    }
    return runs;
}

/* A place in the queue of those who want to stop the world; in its caller's frame. Without a queue who asks again and again
 * would be first each time, for it has the lock when the others wake. */
struct mid_turn {
    mid_turn *next;
};

static void queue_up(mid_heap *heap, mid_turn *turn)
{
    mid_turn **end = &heap->turns;
    while (*end != NULL)
        end = &(*end)->next;
    turn->next = NULL;
    *end = turn;
}

static void step_out(mid_heap *heap, mid_turn *turn)
{
    mid_turn **link = &heap->turns;
    while (*link != turn)
        link = &(*link)->next;
    *link = turn->next;
    pthread_cond_broadcast(&heap->changed); /* the next one may be first now */
}

/* Wait until nobody stops the world, or wants to and came first. `parked` (BLOCKED) or null waits; false: the deadline is past. */
static bool take_turn(mid_heap *heap, mid_impl *parked, const struct timespec *deadline)
{
    mid_turn turn;
    bool first, in_time = true;
    queue_up(heap, &turn);
    while (!(first = !heap->stopping && heap->turns == &turn) && in_time) {
        if (parked != NULL)
            claim_me(parked);
        in_time = mid_await_change(heap, deadline);
    }
    step_out(heap, &turn);
    return first;
}

void mid_wait_turn(mid_heap *heap, mid_impl *me)
{
    take_turn(heap, me, NULL);
}

/* The one stopper, or nobody. A mutator that is in the middle of something cannot be parked: it waits as it is. */
static bool become_stopper(mid_heap *heap, mid_impl *self, uint64_t wait_micros)
{
    mid_impl *parked = self != NULL && !mid_midway(self) ? self : NULL;
    struct timespec deadline = after_micros(wait_micros);
    if (parked != NULL)
        mid_block(parked);
    pthread_mutex_lock(&heap->lock);
    bool first = take_turn(heap, parked, &deadline);
    if (first)
        heap->stopping = true;
    if (parked != NULL)
        run_on(parked); /* no stopper holds it: this one is it, or the other has gone on */
    return first;
}

static void stands(mid_heap *heap, bool it_does)
{
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        heap->threads[id]->world = it_does;
}

static void stop_over(mid_heap *heap)
{
    heap->stopping = false;
    __atomic_store_n(&heap->stop_wanted, 0, __ATOMIC_SEQ_CST);
    let_go(heap);
    pthread_cond_broadcast(&heap->changed);
    pthread_mutex_unlock(&heap->lock);
}

mid_status mid_world_stop(mid_heap *heap, mid_impl *self, uint64_t wait_micros, uint64_t *waited)
{
    uint64_t start = mid_clock_nanos();
    mid_impl *late = NULL;
    bool ours = become_stopper(heap, self, wait_micros), asked = false;
    if (ours)
        late = claim_within(heap, self, wait_micros, &asked);
    uint64_t nanos = mid_clock_nanos() - start;
    if (waited != NULL)
        *waited = nanos / 1000;
    if (ours && late == NULL) {
        if (asked)
            mid_histogram_add(heap->wait_histogram, nanos);
        __atomic_store_n(&heap->claimer, pthread_self(), __ATOMIC_RELAXED);
        __atomic_store_n(&heap->claimed, true, __ATOMIC_RELEASE);
        mid_lock(heap); /* nobody has it; but callbacks and whoever comes from outside may ask for figures */
        stands(heap, true);
        return MID_OK;
    }
    MID_COUNT(heap, postponed_stops, 1);
    if (ours) {
        heap->last_late = late->id;
        if (self == NULL)
            heap->late = late->id;
        stop_over(heap);
        if (self == NULL && __atomic_load_n(&late->state, __ATOMIC_SEQ_CST) == MID_T_RUNNING) {
            __atomic_store_n(&heap->stop_wanted, 1, __ATOMIC_SEQ_CST); /* the service's request stands */
            mid_ask(late, MID_ASK_STOP);
        }
    } else {
        pthread_mutex_unlock(&heap->lock);
    }
    return MID_EPOSTPONED;
}

void mid_world_hold(mid_heap *heap)
{
    pthread_mutex_lock(&heap->lock);
    take_turn(heap, NULL, NULL);
    heap->stopping = true;
    heap->late = 0; /* nobody comes back for it */
    claim_all(heap, NULL);
}

void mid_world_resume(mid_heap *heap)
{
    mid_unlock(heap);
    if (heap->claimed) /* not so for a fork that could not stop it: threads run */
        stands(heap, false);
    __atomic_store_n(&heap->claimed, false, __ATOMIC_RELEASE);
    stop_over(heap);
}

mid_impl *mid_actor(mid_heap *heap, mid_impl *self)
{
    if (self != NULL)
        return self;
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (heap->threads[id]->attached)
            return heap->threads[id];
    mid_impl *any = heap->threads[1];
    for (uint32_t id = 2; id <= heap->thread_count && mid_lost(any); id++)
        any = heap->threads[id];
    return any;
}

static bool has_stopped(const mid_heap *heap)
{
    return __atomic_load_n(&heap->claimed, __ATOMIC_ACQUIRE) &&
           pthread_equal(__atomic_load_n(&heap->claimer, __ATOMIC_RELAXED), pthread_self());
}

mid_status mid_look_begin(mid_heap *heap, bool *stopped)
{
    *stopped = false;
    if (has_stopped(heap))
        return MID_OK;
    mid_thread *thread = mid_thread_current(heap);
    mid_impl *self = thread == NULL ? NULL : mid_impl_of(thread);
    if ((self == NULL && __atomic_load_n(&heap->attached, __ATOMIC_ACQUIRE) != 0) || (self != NULL && self->in_region))
        return MID_ETHREAD;
    if (mid_busy(heap)) /* it may hold `memory`, which comes after `lock` */
        return MID_EBUSY;
    mid_part part = mid_pause_begin(self, MID_PAUSE_LOOK);
    mid_status status = mid_world_stop(heap, self, MID_PATIENCE, NULL);
    *stopped = status == MID_OK;
    if (*stopped)
        heap->stopper = part;
    else
        mid_pause_end(&part);
    return status;
}

void mid_look_end(mid_heap *heap, bool stopped)
{
    if (!stopped)
        return;
    mid_part part = heap->stopper;
    mid_world_resume(heap);
    mid_pause_end(&part);
}
