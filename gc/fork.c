/* gc/fork.c: the locks of a heap, and what becomes of it when the process forks.
 *
 * The process's heaps are on one list, for fork's handlers. Before a fork the world of each is stopped, as far as its threads
 * come within `fork-wait`, and every lock is held; so the child finds whole structures, and one thread. The others' places are
 * ABSENT there if they stood still, like those of threads that detached, and LOST if not: what a lost one had in its hands
 * (caches, work list, messages, a pool) may be half written and is left alone. */
#include "gc/debug.h"
#include "gc/freeze.h"

static pthread_mutex_t heaps_lock = PTHREAD_MUTEX_INITIALIZER;
static mid_heap *heaps;
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;
static bool handlers_set;

static bool locks_init(mid_heap *heap)
{
    pthread_condattr_t monotonic;
    pthread_mutexattr_t recursive;
    if (pthread_condattr_init(&monotonic) != 0 || pthread_mutexattr_init(&recursive) != 0)
        return false;
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    bool ok = pthread_mutex_init(&heap->lock, NULL) == 0 && pthread_mutex_init(&heap->kick_lock, NULL) == 0 &&
              pthread_mutex_init(&heap->escapes, NULL) == 0 && pthread_mutex_init(&heap->memory, &recursive) == 0 &&
              pthread_mutex_init(&heap->proposing, NULL) == 0 && pthread_cond_init(&heap->changed, &monotonic) == 0;
    if (heap->debug)
        mid_debug_forked(heap); /* its lock, as the others */
    pthread_condattr_destroy(&monotonic);
    pthread_mutexattr_destroy(&recursive);
    return ok;
}

mid_status mid_locks_open(mid_heap *heap)
{
    return locks_init(heap) ? MID_OK : MID_ESYSTEM;
}

void mid_locks_close(mid_heap *heap)
{
    pthread_cond_destroy(&heap->changed);
    pthread_mutex_destroy(&heap->escapes);
    pthread_mutex_destroy(&heap->proposing);
    pthread_mutex_destroy(&heap->kick_lock);
    pthread_mutex_destroy(&heap->lock);
    pthread_mutex_destroy(&heap->memory);
}

/* --- before, and after in the parent ------------------------------------------------------------------------------------ */

static mid_impl *current(mid_heap *heap)
{
    mid_thread *thread = mid_thread_current(heap);
    return thread == NULL ? NULL : mid_impl_of(thread);
}

/* Stopped or not, `lock`, `memory` and the rest are held afterwards. */
static void before_one(mid_heap *heap)
{
    mid_impl *self = current(heap);
    if (self != NULL && self->in_region)
        self = NULL; /* it sleeps, and is claimed like others */
    bool stands = mid_world_stop(heap, self, heap->options.fork_wait, NULL) == MID_OK;
    if (!stands)
        mid_world_hold(heap);
    pthread_mutex_lock(&heap->escapes); /* who has it may wait for one who waits for `memory` */
    if (!stands)
        mid_lock(heap);
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        pthread_mutex_lock(&heap->threads[id]->inbox_lock);
    mid_sides_hold(heap);
    pthread_mutex_lock(&heap->kick_lock);
}

static void before(void)
{
    mid_mine_block(); /* another thread forks, perhaps, and waits for this one */
    pthread_mutex_lock(&heaps_lock);
    mid_mine_unblock();
    for (mid_heap *heap = heaps; heap != NULL; heap = heap->next_heap)
        mid_propose_lock(heap); /* of all, before any stands: its holder may be wanted in another */
    for (mid_heap *heap = heaps; heap != NULL; heap = heap->next_heap)
        before_one(heap);
}

static void in_parent(void)
{
    for (mid_heap *heap = heaps; heap != NULL; heap = heap->next_heap) {
        pthread_mutex_unlock(&heap->kick_lock);
        mid_sides_let_go(heap);
        for (uint32_t id = 1; id <= heap->thread_count; id++)
            pthread_mutex_unlock(&heap->threads[id]->inbox_lock);
        pthread_mutex_unlock(&heap->escapes);
        mid_world_resume(heap);
        pthread_mutex_unlock(&heap->proposing);
    }
    pthread_mutex_unlock(&heaps_lock);
}

/* --- after, in the child --------------------------------------------------------------------------------------------------- */

/* The thread that called fork is the only one. */
static void place_in_child(mid_impl *impl, const mid_impl *self)
{
    impl->pub.dying = 0;
    impl->visit = impl->world = false;
    if (impl == self && impl->in_region)
        impl->state = MID_T_BLOCKED;
    if (impl == self || !impl->attached) {
        impl->held = false;
        return;
    }
    bool stood = impl->held || impl->state == MID_T_BLOCKED;
    impl->held = false;
    impl->in_region = false;
    impl->returning = 0;
    impl->here = NULL;
    impl->state = stood ? MID_T_ABSENT : MID_T_LOST;
    impl->heap->any_lost |= !stood;
    if (stood) {
        mid_caches_flush(impl);
        mid_mem_flush(impl);
        mid_outbox_flush(impl);
        impl->heap->orphans = 1; /* whatever it leaves */
    }
    impl->attached = 0;
}

static void child_one(mid_heap *heap)
{
    mid_impl *self = current(heap);
    locks_init(heap); /* whoever waited for them is gone */
    mid_sides_in_child(heap);
    heap->stopping = false;
    heap->turns = NULL;
    heap->claimed = false;
    heap->stop_wanted = 0;
    heap->finals_running = 0;
    heap->attached = self != NULL;
    if (heap->fresh == MID_LIVE_ && heap->options.shared)
        mid_barriers_open();
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        pthread_mutex_init(&heap->threads[id]->inbox_lock, NULL);
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        place_in_child(heap->threads[id], self);
    mid_policies_in_child(heap, self);
    if (heap->forked != NULL)
        heap->forked(heap->kick_context);
}

static void in_child(void)
{
    pthread_mutex_init(&heaps_lock, NULL);
    for (mid_heap *heap = heaps; heap != NULL; heap = heap->next_heap)
        child_one(heap);
}

/* --- which heaps -------------------------------------------------------------------------------------------------------------- */

static void set_handlers(void)
{
    handlers_set = pthread_atfork(before, in_parent, in_child) == 0;
}

mid_status mid_fork_enroll(mid_heap *heap)
{
    pthread_once(&handlers_once, set_handlers);
    if (!handlers_set)
        return MID_ESYSTEM;
    pthread_mutex_lock(&heaps_lock);
    heap->next_heap = heaps;
    if (heaps != NULL)
        heaps->prev_heap = heap;
    heaps = heap;
    pthread_mutex_unlock(&heaps_lock);
    return MID_OK;
}

void mid_fork_dismiss(mid_heap *heap)
{
    pthread_mutex_lock(&heaps_lock);
    if (heap->prev_heap != NULL)
        heap->prev_heap->next_heap = heap->next_heap;
    else
        heaps = heap->next_heap;
    if (heap->next_heap != NULL)
        heap->next_heap->prev_heap = heap->prev_heap;
    pthread_mutex_unlock(&heaps_lock);
}
