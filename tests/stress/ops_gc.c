/* tests/stress/ops_gc.c: safepoints, collections, compaction, blocked regions, threads; see ops.h. */
#include <pthread.h>
#include <time.h>

#include "act.h"
#include "audit.h"
#include "beside.h"
#include "ops.h"

/* Around a safepoint: addresses end, finalizers may run. */
static struct guard safepoint_begin(void)
{
    run.epoch++;
    return guard_begin();
}

static void safepoint_end(struct guard guard)
{
    guard_end(guard);
    run.epoch++;
}

static void safepoint(void)
{
    struct guard guard = safepoint_begin();
    mid_status status = mid_safepoint(run.thread);
    safepoint_end(guard);
    if (status != MID_OK)
        fail("mid_safepoint returned %s", mid_status_name(status));
}

void drain(void)
{
    for (unsigned tries = 0; tries < 100000; tries++) {
        mid_stats stats = stats_now();
        if (quiet(&stats))
            return;
        safepoint();
    }
    fail("100000 safepoints do not empty the work list");
}

void op_safepoint(void)
{
    safepoint();
}

/* --- collection --------------------------------------------------------------------------------------------------- */

static mid_status collect_heap(mid_collect_result *result)
{
    struct guard guard = safepoint_begin();
    mid_status status = mid_collect(run.thread, result);
    safepoint_end(guard);
    return status;
}

/* A heap that was ahead of the model has finalized part of the garbage before. What those finalizers saved of the rest is not due any
 * more, and what others let go of again is found the next time. */
static void collect_rest(void)
{
    mid_collect_result result;
    for (unsigned tries = 0; run.loose && model.finals_left != 0 && tries < 8; tries++) {
        run.ambiguous = true;
        if (model_collect_resurrect() != 0)
            continue;
        if (collect_heap(&result) != MID_OK)
            return;
        drain();
    }
}

/* Whether heap and model have the same garbage: not while a heap that is ahead has no room, at its limit, to collect. */
static bool together;

static void collect_once(bool exact)
{
    mid_collect_result result = {0};
    size_t garbage = model_collect_begin();
    run.commit = model_collect_commit;
    mid_status status = collect_heap(&result);
    run.commit = NULL;
    together = !refused(status, "mid_collect") || result.garbage == garbage; /* else what waits for finalizers was left, and no more */
    if (!together) {
        together = result.garbage == 0 && !run.loose && !model.committed;
        model_collect_end();
        return;
    }
    model_collect_commit();
    if (run.heap_limit != 0 && model.finals_left != 0)
        model_collect_abandon();
    if (model.finals_left != 0 && exact)
        fail("mid_collect left %zu finalizers of garbage to run", model.finals_left);
    if (result.garbage != garbage && exact)
        fail("mid_collect found %llu garbage objects, expected %zu", (unsigned long long)result.garbage, garbage);
    run.collected += result.garbage;
    drain();
    collect_rest();
    if (model.finals_left != 0)
        fail("%zu finalizers of garbage did not run", model.finals_left);
    model_collect_end();
}

/* The end of a time in which the heap could be ahead: ask it which weak references it has cleared. Did one of them hold something, as a
 * pair does? The model is behind with what that held. */
static bool settle_doubts(void)
{
    for (size_t n = 0; n < model.weak_count; n++) {
        struct weak *w = &model.weak[n];
        if (w->target == NULL || !w->target->doubted)
            continue;
        mid_handle found = mid_weak_get(run.thread, w->handle);
        mid_release(run.thread, found);
        if (found == 0) {
            w->target->weaks--;
            w->target = NULL;
        }
    }
    bool behind = pairs_settle();
    for (size_t n = 0; n < model.live.count; n++)
        model.live.at[n]->doubted = false;
    return behind;
}

static mid_status compact(uint64_t budget)
{
    mid_compact_result result;
    struct guard guard = safepoint_begin();
    run.may_rename = run.mode == MODE_GC || one_in(2);
    mid_status status = mid_compact(run.thread, run.may_rename ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, budget, &result);
    run.may_rename = false;
    safepoint_end(guard);
    if ((status != MID_MORE || budget == 0) && refused(status, "mid_compact"))
        return status;
    run.moved += result.moved_objects;
    return status;
}

static bool more_than_expected(void)
{
    uint64_t objects, bytes;
    beside_live(&objects, &bytes);
    return stats_now().live_objects > model.live.count + objects;
}

/* Near its limit the heap may lack room to recount what its finalizers left: it is garbage until there is room. */
static void catch_up(void)
{
    for (unsigned tries = 0; more_than_expected(); tries++) {
        for (unsigned n = 0; n < 32 && run.root.count != 0; n++)
            act_release(pick((uint32_t)run.root.count));
        run.loose = true;
        compact(0);
        collect_once(false);
        if (tries == 100)
            fail("%llu live objects, expected %zu, and a hundred collections do not help",
                 (unsigned long long)stats_now().live_objects, model.live.count);
    }
}

/* Collect while nothing waits. `exact`: the heap has not collected behind the model's back, so it finds what the model finds;
 * in any case both are in the same state after. */
static void collect(bool exact)
{
    collect_once(exact);
    for (unsigned tries = 0; run.ambiguous || settle_doubts(); tries++) {
        run.ambiguous = false;
        collect_once(false);
        if (run.heap_limit != 0)
            catch_up();
        if (tries == 100)
            fail("a hundred collections in a row ran finalizers after finalizers");
    }
    if (run.heap_limit != 0) {
        catch_up();
        settle_doubts();
    }
    run.loose = run.mode >= MODE_DAEMON || !together;
}

void sync_loose(void)
{
    drain();
    collect(false);
    run.loose = false;
    audit();
    run.loose = run.mode >= MODE_DAEMON;
}

/* It may say that nothing came free. */
static void reclaim(void)
{
    mid_status status = mid_reclaim(run.thread);
    mid_stats stats = stats_now();
    if (status != MID_OK && status != MID_ELIMIT && status != MID_ENOMEM)
        fail("mid_reclaim returned %s", mid_status_name(status));
    if (run.heap_limit != 0 && stats.committed_bytes > run.heap_limit)
        fail("mid_reclaim left %llu bytes committed, heap-limit %llu", (unsigned long long)stats.committed_bytes,
             (unsigned long long)run.heap_limit);
}

void op_collect(void)
{
    mid_stats stats = stats_now();
    if (run.mode >= MODE_DAEMON) {
        sync_loose();
        return;
    }
    bool behind = run.loose || (!quiet(&stats) && one_in(2));
    if (behind) {
        /* A collection on top of a full work list: how much it finds is its own affair. */
        run.loose = true;
        struct guard guard = safepoint_begin();
        if (one_in(2))
            refused(mid_collect(run.thread, NULL), "mid_collect");
        else
            reclaim();
        safepoint_end(guard);
        drain();
    }
    drain();
    collect(!behind);
}

/* --- compaction --------------------------------------------------------------------------------------------------- */

static uint64_t pinned_pools(void)
{
    uint64_t seen[64];
    unsigned count = 0;
    for (size_t n = 0; n < model.live.count && count < 64; n++) {
        if (model.live.at[n]->pins == 0)
            continue;
        uint64_t pool = (uintptr_t)model.live.at[n]->address / run.pool_size;
        unsigned i = 0;
        while (i < count && seen[i] != pool)
            i++;
        if (i == count)
            seen[count++] = pool;
    }
    return count;
}

/* The promise of a pass that ended: ceil(L/k) pools a class, or those with something pinned, + 1. */
static void check_packed(void)
{
    mid_class_stats stats;
    mid_stats all = stats_now();
    uint64_t pinned = pinned_pools();
    if (run.heap_limit != 0 && all.committed_bytes + (1u << 20) > run.heap_limit)
        return; /* no memory for a plan */
    for (unsigned n = 0; mid_stats_class(run.heap, n, &stats) == MID_OK; n++) {
        if (stats.pools > (stats.optimal_pools > pinned ? stats.optimal_pools : pinned) + 1)
            fail("after mid_compact, class %u (%u bytes) has %llu pools for %llu slots, optimal %llu, pinned %llu", n,
                 stats.slot_size, (unsigned long long)stats.pools, (unsigned long long)stats.live_slots,
                 (unsigned long long)stats.optimal_pools, (unsigned long long)pinned);
    }
}

static void compact_fully(void)
{
    if (compact(0) == MID_OK && run.mode < MODE_DAEMON)
        check_packed();
}

mid_status pin_long(struct obj *o, void **at)
{
    struct guard guard = safepoint_begin();
    mid_status status = mid_pin_long(run.thread, o->handle, at);
    safepoint_end(guard);
    return status;
}

/* Counts that come and go while all is frozen: as many as before when it has thawed, and what died meanwhile is dead. */
static void count_frozen(void)
{
    for (unsigned n = 0; n < 64 && run.root.count != 0; n++) {
        mid_handle held = run.root.at[pick((uint32_t)run.root.count)]->handle;
        mid_retain(run.thread, held);
        if (one_in(4))
            mid_retain(run.thread, held), mid_release(run.thread, held);
        mid_release(run.thread, held);
    }
}

/* Until finalizers have left nothing more. */
static bool no_garbage(void)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        drain();
        collect(false);
        size_t garbage = model_collect_begin();
        model_collect_end();
        if (garbage == 0)
            return true;
    }
    return false;
}

/* Nothing is garbage, and nothing waits, so that freezing finds nothing to collect. */
void op_freeze(void)
{
    if (!no_garbage())
        return;
    struct guard guard = safepoint_begin();
    mid_status status = mid_freeze(run.thread);
    safepoint_end(guard);
    if (refused(status, "mid_freeze"))
        return;
    count_frozen();
    pairs_add_frozen();
    if (one_in(2))
        op_trace();
    compact(0);
    audit();
    unsigned held = 0;
    for (struct obj *o; held < 32 && (o = random_object()) != NULL; held++)
        act_hold(o);
    for (unsigned n = 0; n < held / 2; n++) /* they were alive before, and are */
        act_release(run.root.count - 1);
    audit();
    guard = safepoint_begin();
    status = mid_unfreeze(run.thread);
    safepoint_end(guard);
    if (status != MID_OK)
        fail("mid_unfreeze returned %s", mid_status_name(status));
    drain();
    audit();
}

/* Proposals and proofs, cut short anywhere. */
void op_step(void)
{
    struct guard guard = safepoint_begin();
    mid_status status = mid_step(run.thread, one_in(8) ? 2000 : pick(60));
    safepoint_end(guard);
    if (status != MID_MORE)
        refused(status, "mid_step");
}

void op_compact(void)
{
    /* Where a budget ends depends on the clock, and so would what a heap near its limit refuses. */
    if (run.heap_limit != 0 || one_in(2)) {
        compact_fully();
        return;
    }
    uint64_t budget = 1 + pick(60);
    bool once = one_in(2);
    for (unsigned calls = 0; compact(budget) == MID_MORE && !once; calls++) {
        if (calls == 100000)
            fail("100000 calls of mid_compact do not end a pass");
    }
    /* A pass in slices goes on where an earlier one stopped, and the program ran in between: it promises nothing. */
}

/* What page runs may take when no free page keeps its memory: their pages, and the head of each region (4 MiB). */
static void check_runs(const mid_stats *stats)
{
    uint64_t most = 65536 + mem_pages();
    for (size_t n = 0; n < model.live.count; n++) {
        size_t bytes = kind_bytes(model.live.at[n]->kind, model.live.at[n]->items);
        if (is_large(bytes) && bytes <= 1u << 20)
            most += (bytes + FENCE + 4095) / 4096 * 4096 + 16384;
    }
    if (stats->run_bytes > most)
        fail("after mid_trim page runs take %llu bytes, expected %llu at most", (unsigned long long)stats->run_bytes,
             (unsigned long long)most);
}

void op_trim(void)
{
    uint64_t returned;
    mid_status status = mid_trim(run.thread, 0, &returned);
    mid_stats stats = stats_now();
    if (status != MID_OK)
        fail("mid_trim returned %s", mid_status_name(status));
    if (stats.empty_bytes > run.reserve + run.pool_size)
        fail("mid_trim left %llu bytes of empty pools, reserve %llu", (unsigned long long)stats.empty_bytes,
             (unsigned long long)run.reserve);
    if (quiet(&stats) && !run.loose)
        check_runs(&stats);
}

/* --- blocked regions and threads -------------------------------------------------------------------------------------- */

void op_blocked(void)
{
    struct guard guard = safepoint_begin();
    if (mid_blocked_enter(run.thread) != MID_OK)
        fail("mid_blocked_enter failed");
    if (run.mode == MODE_DAEMON && one_in(4)) {
        struct timespec nap = {0, 200000};
        nanosleep(&nap, NULL);
    }
    if (mid_blocked_leave(run.thread) != MID_OK)
        fail("mid_blocked_leave failed");
    safepoint_end(guard);
}

static void detach(void)
{
    struct guard guard = safepoint_begin();
    mid_status status = mid_thread_detach(run.thread);
    safepoint_end(guard);
    if (status != MID_OK)
        fail("mid_thread_detach returned %s", mid_status_name(status));
    run.thread = NULL;
}

static void attach(void)
{
    mid_status status = mid_thread_attach(run.heap, &run.thread);
    if (status != MID_OK)
        fail("mid_thread_attach returned %s", mid_status_name(status));
}

/* Another thread is the mutator for a while. */
static void *elsewhere(void *unused)
{
    (void)unused;
    attach();
    for (uint32_t n = pick(4); n != 0; n--) {
        struct obj *o = random_object();
        if (o != NULL)
            act_hold(o);
        if (run.root.count != 0)
            act_release(pick((uint32_t)run.root.count));
        act_new(&kinds[pick(3)], 0);
    }
    detach();
    return NULL;
}

void op_detach(void)
{
    if (run.scope_count != 0) {
        if (mid_thread_detach(run.thread) != MID_ETHREAD)
            fail("mid_thread_detach with an open scope is not refused");
        return;
    }
    detach();
    if (one_in(2))
        audit_heap_check();
    if (one_in(2)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, elsewhere, NULL) != 0 || pthread_join(thread, NULL) != 0)
            fail("the tester itself got no thread");
    }
    attach();
}
