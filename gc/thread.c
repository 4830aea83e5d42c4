/* gc/thread.c: threads of a heap: asking them, who may call, blocked regions, attaching. What they do when asked is in safepoint.c,
 * how they are stopped in stop.c. */
#include <stdlib.h>
#include <string.h>

#include "gc/heap.h"

__thread mid_callback *mid_callbacks;
__thread char mid_myself;
static const char nowhere;
__thread const void *mid_stands = &nowhere; /* until it is attached to something */

/* This thread's places, in whatever heaps. The key is for its destructor: it runs when the thread ends. */
static __thread mid_impl *mine __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;

/* --- asking ------------------------------------------------------------------------------------------------------------- */

void mid_ask(mid_impl *impl, uint32_t what)
{
    if ((__atomic_load_n(&impl->pub.stop, __ATOMIC_SEQ_CST) & what) != what)
        __atomic_fetch_or(&impl->pub.stop, what, __ATOMIC_SEQ_CST);
}

void mid_unask(mid_impl *impl, uint32_t what)
{
    if (MID_READ_(impl->pub.stop) & what)
        __atomic_fetch_and(&impl->pub.stop, ~what, __ATOMIC_SEQ_CST);
}

void mid_ask_all(mid_heap *heap, uint32_t what)
{
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
        if (__atomic_load_n(&heap->threads[id]->attached, __ATOMIC_SEQ_CST))
            mid_ask(heap->threads[id], what);
}

/* --- who may call ----------------------------------------------------------------------------------------------------------- */

mid_thread *mid_thread_current(mid_heap *heap)
{
    for (mid_impl *impl = mine; impl != NULL; impl = impl->next_mine)
        if (impl->heap == heap)
            return &impl->pub;
    return NULL;
}

bool mid_is_mutator(mid_heap *heap)
{
    return mid_thread_current(heap) != NULL || __atomic_load_n(&heap->attached, __ATOMIC_ACQUIRE) == 0;
}

mid_status mid_thread_check(mid_thread *thread)
{
    if (thread == NULL)
        return MID_ENULL;
    mid_impl *impl = mid_impl_of(thread);
    if (mid_here(impl))
        return MID_OK;
    if (!__atomic_load_n(&impl->attached, __ATOMIC_RELAXED) ||
        !pthread_equal(__atomic_load_n(&impl->owner, __ATOMIC_RELAXED), pthread_self()) || impl->in_region)
        return MID_ETHREAD;
    return mid_callbacks != NULL && mid_busy(impl->heap) ? MID_EBUSY : MID_OK;
}

mid_heap *mid_thread_heap(mid_thread *thread)
{
    return thread == NULL ? NULL : mid_impl_of(thread)->heap;
}

mid_status mid_thread_status(mid_thread *thread)
{
    return thread == NULL ? MID_ENULL : (mid_status)thread->status;
}

static bool can_park(const mid_impl *impl)
{
    return !impl->in_region && !mid_midway(impl);
}

void mid_mine_block(void)
{
    for (mid_impl *impl = mine; impl != NULL; impl = impl->next_mine)
        if (can_park(impl)) {
            impl->waits = true;
            mid_block(impl);
        }
}

void mid_mine_unblock(void)
{
    for (mid_impl *impl = mine; impl != NULL; impl = impl->next_mine)
        if (impl->waits) {
            mid_unblock(impl);
            impl->waits = false;
        }
}

/* --- blocked regions ------------------------------------------------------------------------------------------------------------- */

/* Before it sleeps, if something has changed: to add up the figures takes longer than to enter a region. */
static void tell_service(mid_impl *me)
{
    if (me->pending_count == 0 && !mid_final_waits(me->heap) && me->turned - me->told < me->heap->options.credit / 8)
        return;
    me->told = me->turned;
    mid_part part = mid_pause_begin(me, MID_PAUSE_NEWS);
    mid_publish(me, mid_worth_a_kick(me->heap));
    mid_pause_end(&part);
}

/* Others may go on with what is undone, and who comes for it must find this thread asleep. */
static void sleep_with_work(mid_impl *me)
{
    bool work = me->pending_count != 0;
    mid_block(me);
    if (work)
        mid_orphaned(me->heap);
}

mid_status mid_blocked_enter(mid_thread *thread)
{
    mid_status status = mid_work_begin(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    mid_exchange_news(me); /* what serving led to */
    tell_service(me);
    me->in_region = true;
    MID_WRITE_(me->here, NULL);
    sleep_with_work(me);
    while (mid_has_news(me)) { /* who told it may have found it running */
        mid_unblock(me);
        mid_inbox_merge(me, me);
        mid_drain_timed(me, me->heap->options.free_batch, 0);
        mid_exchange_news(me);
        sleep_with_work(me);
    }
    return MID_OK;
}

mid_status mid_blocked_leave(mid_thread *thread)
{
    if (thread == NULL)
        return MID_ENULL;
    mid_impl *me = mid_impl_of(thread);
    if (!__atomic_load_n(&me->attached, __ATOMIC_RELAXED) ||
        !pthread_equal(__atomic_load_n(&me->owner, __ATOMIC_RELAXED), pthread_self()) || !me->in_region)
        return MID_ETHREAD;
    mid_unblock(me);
    me->in_region = false;
    MID_WRITE_(me->here, &mid_myself);
    if (MID_READ_(me->pub.stop) != 0 || mid_has_news(me))
        mid_serve(me);
    return MID_OK;
}

/* --- attaching --------------------------------------------------------------------------------------------------------------------- */

#define LEAVING_BATCHES 64 /* of `free-batch` objects each; what is left waits for the next thread, or the daemon */

/* The place keeps its pools and caches for the next thread, which finds them as they are: given back, the free slots among one
 * thread's objects would soon be another's, and their entries shared lines (larson at two threads took 1.4 times the processor
 * time). A compaction empties them. */
static void leave(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_part part = mid_pause_begin(me, MID_PAUSE_DRAIN);
    mid_exchange_news(me);
    for (unsigned n = 0; n < LEAVING_BATCHES && mid_drain(me, heap->options.free_batch, MID_DRAIN_FINALIZE) != 0; n++)
        mid_exchange_news(me);
    mid_exchange_news(me);
    mid_block(me); /* a stopper may be waiting for this thread */
    pthread_mutex_lock(&heap->lock);
    mid_wait_turn(heap, me);
    mid_lock(heap);
    mid_array_free(&heap->alloc, &me->scope_handles);
    mid_mem_flush(me); /* these have no entries, and go to others' pools as they are */
    mid_unlock(heap);
    mid_pause_end(&part);
    for (mid_impl **link = &mine; *link != NULL; link = &(*link)->next_mine)
        if (*link == me) {
            *link = me->next_mine;
            break;
        }
    me->in_region = false;
    MID_WRITE_(me->here, NULL);
    if (heap->trace.sampling)
        mid_sampling_detach(me);
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        me->kept[i] = me->pub.head[i];
        me->pub.head[i] = 0;
    }
    __atomic_store_n(&me->returning, 0, __ATOMIC_RELAXED);
    me->asked = 0;
    __atomic_store_n(&me->attached, 0, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&heap->attached, 1, __ATOMIC_RELEASE);
    mid_publish(me, true);
    __atomic_store_n(&me->state, MID_T_ABSENT, __ATOMIC_SEQ_CST);
    if (mid_has_news(me))
        mid_inbox_merge(me, me);
    mid_outbox_flush(me); /* what that passed on */
    if (me->pending_count != 0 || me->visit)
        mid_orphaned(heap);
    me->visit = false;
    pthread_cond_broadcast(&heap->changed);
    pthread_mutex_unlock(&heap->lock);
}

/* The thread ends, and was attached to these. */
static void thread_ends(void *list)
{
    (void)list;
    mid_callbacks_are(NULL);
    while (mine != NULL) {
        mid_impl *me = mine;
        if (me->in_region) {
            mid_unblock(me);
            me->in_region = false;
            MID_WRITE_(me->here, &mid_myself);
        }
        mid_final_abandon(me);
        mid_scopes_close(me);
        leave(me);
    }
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, thread_ends) == 0;
}

mid_status mid_place_new(mid_heap *heap)
{
    mid_array memory = {0};
    if (heap->thread_count == MID_THREADS_MAX)
        return MID_ELIMIT;
    mid_status status = mid_array_grow(&heap->alloc, &memory, MID_PLACE_BYTES);
    if (status != MID_OK)
        return status;
    mid_impl *impl = (mid_impl *)((char *)memory.data + MID_PLACE_ASIDE);
    impl->heap = heap;
    impl->id = heap->thread_count + 1;
    impl->pub.table = heap->table;
    impl->pub.types = mid_trace_types(heap);
    impl->pub.bias = (uint64_t)impl->id << MID_OWNER_SHIFT_;
    impl->pub.twice = impl->pub.bias + 2 * MID_ONE_ + MID_SUSPECT_;
    impl->pub.alone = !heap->options.shared && !heap->watching;
    impl->pub.fresh = heap->fresh;
    impl->state = MID_T_ABSENT;
    pthread_mutex_init(&impl->inbox_lock, NULL);
    heap->threads[impl->id] = impl;
    __atomic_store_n(&heap->thread_count, impl->id, __ATOMIC_RELEASE);
    return MID_OK;
}

/* With `lock` held: the place that a thread left, or a new one. */
static mid_status find_place(mid_heap *heap, mid_impl **out)
{
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (MID_READ_(heap->threads[id]->state) == MID_T_ABSENT) {
            *out = heap->threads[id];
            return MID_OK;
        }
    mid_lock(heap);
    mid_status status = mid_place_new(heap);
    mid_unlock(heap);
    *out = heap->threads[heap->thread_count];
    return status;
}

static void enter(mid_heap *heap, mid_impl *me)
{
    me->credit = (int64_t)heap->options.credit;
    me->draining = false;
    mid_pauses_clear(mid_pauses_of(me));
    memcpy(me->pub.head, me->kept, sizeof me->kept);
    memset(me->kept, 0, sizeof me->kept); /* after a fork nobody takes them from there again */
    me->called_from = NULL;
    if (heap->trace.sampling)
        mid_sampling_attach(me);
    me->next_mine = mine;
    mine = me;
    MID_WRITE_(me->here, &mid_myself);
    mid_callbacks_are(mid_callbacks);
    __atomic_store_n(&me->owner, pthread_self(), __ATOMIC_RELAXED);
    __atomic_store_n(&me->pub.stop,
                     (mid_final_waits(heap) ? MID_ASK_FINALIZE : 0) | (me->pending_count != 0 ? MID_ASK_DRAIN : 0),
                     __ATOMIC_RELAXED);
    __atomic_store_n(&me->state, MID_T_RUNNING, __ATOMIC_SEQ_CST);
    if (mid_has_news(me)) /* who told it since has found the place empty */
        mid_ask(me, MID_ASK_MERGE);
    __atomic_store_n(&me->attached, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&heap->attached, 1, __ATOMIC_RELEASE);
    if (__atomic_load_n(&heap->orphans, __ATOMIC_SEQ_CST)) /* who left work before has asked those who were here */
        mid_ask(me, MID_ASK_DRAIN);
}

mid_status mid_thread_attach(mid_heap *heap, mid_thread **out)
{
    if (heap == NULL || out == NULL)
        return MID_ENULL;
    *out = NULL;
    if (mid_busy(heap))
        return MID_EBUSY; /* from a listener: this thread may hold the lock */
    if (mid_thread_current(heap) != NULL)
        return MID_ETHREAD;
    pthread_once(&key_once, make_key);
    if (!key_made || pthread_setspecific(key, heap) != 0)
        return MID_ESYSTEM;
    mid_impl *me = NULL;
    pthread_mutex_lock(&heap->lock);
    mid_wait_turn(heap, NULL);
    mid_status status = !heap->options.shared && heap->attached != 0 ? MID_ETHREAD : find_place(heap, &me);
    if (status == MID_OK) {
        enter(heap, me);
        *out = &me->pub;
    }
    pthread_mutex_unlock(&heap->lock);
    if (status == MID_OK)
        mid_scopes_close(me); /* of a thread that did not survive a fork */
    return status;
}

mid_status mid_thread_detach(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    if (mid_midway(me))
        return MID_EBUSY;
    if (me->scope_depth != 0)
        return MID_ETHREAD;
    status = mid_work_begin(thread);
    if (status == MID_OK)
        leave(me);
    return status;
}

void mid_threads_forget(mid_heap *heap)
{
    for (mid_impl **link = &mine; *link != NULL;)
        if ((*link)->heap == heap)
            *link = (*link)->next_mine;
        else
            link = &(*link)->next_mine;
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_impl *impl = heap->threads[id];
        mid_array memory = {(char *)impl - MID_PLACE_ASIDE, MID_PLACE_BYTES};
        mid_array_free(&heap->alloc, &impl->scope_handles);
        mid_array_free(&heap->alloc, &impl->inbox);
        mid_array_free(&heap->alloc, &impl->way);
        mid_mem_forget(impl);
        pthread_mutex_destroy(&impl->inbox_lock);
        mid_array_free(&heap->alloc, &memory);
    }
    heap->thread_count = 0;
}
