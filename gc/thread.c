/* gc/thread.c: threads of a heap: attaching, safepoints, blocked regions, what they do when asked. stop.c has the protocol. */
#include <stdlib.h>
#include <string.h>

#include "gc/heap.h"

__thread mid_callback *mid_callbacks;
__thread char mid_myself;

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

#define SUSPECT_FACTOR_MOST 8u
#define JUDGE_TRIES 5u

/* --- safepoints --------------------------------------------------------------------------------------------------------------- */

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

/* Arrays that the service has not seen yet may take longer than it would allow. */
#define ARRAY_SLOTS_A_MICRO 600u

static bool due(const mid_heap *heap, uint64_t live)
{
    bool served = MID_READ_(heap->growth_least) != UINT64_MAX;
    if (served && heap->alloc.large_live / sizeof(mid_slot) / ARRAY_SLOTS_A_MICRO > heap->options.collect_stop)
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

/* After the finalizers of condemned garbage its counts are taken again, which needs the world to stand. */
static uint64_t judge(mid_impl *me, uint64_t patience)
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

static void exchange_news(mid_impl *me)
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
        exchange_news(me);
    }
}

/* What every safepoint does, asked for or not. */
static void serve(mid_impl *me)
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
    exchange_news(me);
    drain_batch(me);
    if (mid_final_waits(heap)) {
        mid_final_run(me, 64);
        judge(me, heap->options.stop_wait);
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
        serve(mid_impl_of(thread));
    return status;
}

/* --- work that was asked for --------------------------------------------------------------------------------------------------- */

mid_status mid_work_begin(mid_thread *thread)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    if (mid_midway(me))
        return MID_EBUSY;
    serve(me);
    return MID_OK;
}

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

/* Free all that waits, finalizers included; returns the garbage that a recount after them freed. What other threads have under
 * way is theirs. */
static uint64_t settle(mid_impl *me)
{
    uint64_t freed = 0, before;
    me->whole = true;
    do {
        exchange_news(me);
        before = MID_READ_(me->heap->counts.finalized_objects) + freed;
        mid_final_run(me, UINT64_MAX);
        freed += judge(me, MID_PATIENCE);
        while (mid_drain(me, 4096, MID_DRAIN_FINALIZE) != 0)
            ;
    } while (me->outbox_count != 0 || mid_has_news(me) ||
             (mid_final_waits(me->heap) && MID_READ_(me->heap->counts.finalized_objects) + freed != before));
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

/* For the whole heap, and alone: nobody proposes, no set is on trial. */
static mid_status whole_enter(mid_impl *me)
{
    mid_propose_lock(me->heap);
    mid_status status = world_enter(me);
    if (status == MID_OK)
        mid_sweep_finish(me);
    else
        pthread_mutex_unlock(&me->heap->proposing);
    return status;
}

static void whole_leave(mid_impl *me)
{
    world_leave(me);
    pthread_mutex_unlock(&me->heap->proposing);
}

/* What others condemn between the settling and the stop is held, and with it all it reaches: seen alive, which it is not. */
#define COLLECT_TRIES 5u

static mid_status collect(mid_impl *me, mid_collect_result *result)
{
    mid_status status = MID_OK;
    bool held = true;
    settle(me);
    for (unsigned tries = COLLECT_TRIES; held && status == MID_OK && tries != 0; tries--) {
        mid_collect_result one;
        status = whole_enter(me);
        if (status != MID_OK)
            break;
        held = MID_READ_(me->heap->condemned_count) != 0;
        status = mid_cycles_collect(me, &one);
        whole_leave(me);
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

/* Of a budget, at least a microsecond: 0 is none. */
static uint64_t left_of(uint64_t deadline)
{
    uint64_t now = mid_clock_micros();
    return deadline == 0 ? 0 : now < deadline ? deadline - now : 1;
}

/* What was proposed as garbage would go by other numbers. */
static mid_status rename_some(mid_impl *me, uint64_t deadline, uint64_t *renamed)
{
    mid_heap *heap = me->heap;
    uint64_t freed, order = heap->options.deep;
    while (MID_READ_(heap->found_count) != 0)
        if (mid_prove_held(me, deadline == 0 ? 1000 : left_of(deadline), &freed) != MID_OK && deadline != 0)
            return MID_MORE;
    return mid_deep_run(me, order == MID_DEEP_OFF ? MID_DEEP_DEPTH : (mid_deep_order)order, deadline, renamed);
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
    status = deep ? whole_enter(me) : world_enter(me);
    if (status != MID_OK) {
        mid_pause_end(&part);
        return status;
    }
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
    mid_lock(heap);
    status = mid_trim_run(heap, budget_micros, heap->options.reserve, &bytes);
    mid_unlock(heap);
    mid_pause_end(&part);
    if (returned != NULL)
        *returned = bytes;
    return status;
}

/* Garbage that finalizers make of what they were given is followed so far, lest they keep it from ending. */
#define GENERATIONS 8

/* Every cycle, with all that comes to light when finalizers have run. */
static mid_status collect_all(mid_impl *me)
{
    mid_status status = MID_OK;
    for (unsigned n = 0; status == MID_OK && n < GENERATIONS && (n == 0 || mid_final_waits(me->heap)); n++) {
        settle(me);
        mid_drain_all(me);
        status = whole_enter(me);
        if (status != MID_OK)
            break;
        status = mid_collect_overdrawn(me);
        if (status != MID_OK) { /* the system has nothing for the marks, until it is given something */
            mid_squeeze(me);
            status = mid_collect_overdrawn(me);
        }
        whole_leave(me);
    }
    settle(me);
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
    mid_status stopped = status == MID_EPOSTPONED ? status : whole_enter(me), had;
    mid_lock(heap);
    if (stopped == MID_OK) {
        mid_proposer_close(heap);
        mid_deep_close(heap);
        mid_squeeze(me);
    } else {
        mid_caches_flush(me);
        mid_trim_run(heap, 0, 0, &(uint64_t){0});
    }
    if (me->refused != 0)
        had = mid_try(me, me->refused);
    else
        had = came_free(heap, before) ? MID_OK : heap->options.heap_limit != 0 ? MID_ELIMIT : MID_ENOMEM;
    me->refused = 0;
    mid_unlock(heap);
    if (stopped == MID_OK)
        whole_leave(me);
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

/* --- blocked regions ------------------------------------------------------------------------------------------------------------- */

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
    exchange_news(me); /* what serving led to */
    tell_service(me);
    me->in_region = true;
    MID_WRITE_(me->here, NULL);
    sleep_with_work(me);
    while (mid_has_news(me)) { /* who told it may have found it running */
        mid_unblock(me);
        mid_inbox_merge(me, me);
        mid_drain_timed(me, me->heap->options.free_batch, 0);
        exchange_news(me);
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
        serve(me);
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
    exchange_news(me);
    for (unsigned n = 0; n < LEAVING_BATCHES && mid_drain(me, heap->options.free_batch, MID_DRAIN_FINALIZE) != 0; n++)
        exchange_news(me);
    exchange_news(me);
    mid_block(me); /* a stopper may be waiting for this thread */
    pthread_mutex_lock(&heap->lock);
    mid_wait_turn(heap, me);
    mid_lock(heap);
    mid_array_free(&heap->alloc, &me->scope_handles);
    mid_unlock(heap);
    mid_pause_end(&part);
    for (mid_impl **link = &mine; *link != NULL; link = &(*link)->next_mine)
        if (*link == me) {
            *link = me->next_mine;
            break;
        }
    me->in_region = false;
    MID_WRITE_(me->here, NULL);
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
    mid_callbacks = NULL;
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
    mid_impl *impl = memory.data;
    impl->heap = heap;
    impl->id = heap->thread_count + 1;
    impl->pub.table = heap->table;
    impl->pub.types = heap->fast_types.data;
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
    me->next_mine = mine;
    mine = me;
    MID_WRITE_(me->here, &mid_myself);
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
        mid_array memory = {impl, MID_PLACE_BYTES};
        mid_array_free(&heap->alloc, &impl->scope_handles);
        mid_array_free(&heap->alloc, &impl->inbox);
        mid_array_free(&heap->alloc, &impl->way);
        pthread_mutex_destroy(&impl->inbox_lock);
        mid_array_free(&heap->alloc, &memory);
    }
    heap->thread_count = 0;
}
