/* The daemon's loop on a real heap: on its own thread and on a base of the program's. What it decides is test_decide.c's
 * matter; here it is that it happens, when the mutator sleeps, runs or never arrives. Nothing depends on how fast: a
 * condition is polled until a deadline that only a failure reaches. */
#include "eventually.h"

#include <dirent.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/act.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NEVER_IDLE "idle=3600s,"
#define LOG_MOST 1024

/* How many entries of this kind the log has; `sum` (may be null): what they did together. */
static size_t logged(mid_daemon *daemon, mid_action action, mid_trigger trigger, mid_status status, mid_decision *sum)
{
    static mid_decision log[LOG_MOST];
    size_t found = 0, count = mid_daemon_log(daemon, log, LOG_MOST);
    mid_decision all = {0};
    for (size_t i = 0; i < count; i++)
        if (log[i].action == action && log[i].trigger == trigger && log[i].status == status) {
            found++;
            all.objects += log[i].objects;
            all.slices += log[i].slices;
            all.took_micros += log[i].took_micros;
            all.waited_micros += log[i].waited_micros;
        }
    if (sum != NULL)
        *sum = all;
    return found;
}

static uint64_t slices(mid_daemon *daemon, mid_action action, mid_trigger trigger, mid_status status)
{
    mid_decision sum;
    logged(daemon, action, trigger, status, &sum);
    return sum.slices;
}

#define LOGGED(daemon, action, trigger, status) (logged(daemon, MID_ACT_##action, MID_WHY_##trigger, status, NULL) > 0)

static size_t entries_of(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* --- things to do for a daemon ------------------------------------------------------------------------------------- */

/* An array of nodes, whose release leaves most of them on the work list. */
static void drop_many(struct unit *u, size_t nodes)
{
    mid_handle many = unit_array(u, u->vec, nodes);
    for (size_t i = 0; i < nodes; i++)
        mid_give(u->thread, many, ITEM(i), unit_new(u, u->node));
    mid_release(u->thread, many);
}

/* A list: of it, only one node at a time is on the work list. */
static void drop_list(struct unit *u, size_t nodes)
{
    mid_handle list = 0;
    for (size_t i = 0; i < nodes; i++) {
        mid_handle node = unit_new(u, u->node);
        mid_give(u->thread, node, LEFT, list);
        list = node;
    }
    mid_release(u->thread, list);
}

/* `bytes` in objects of 16 to 512, of which one in ten stays: in an array that the caller releases. */
static mid_handle fragment(struct unit *u, size_t bytes)
{
    uint64_t seed = 5;
    size_t count = bytes / 264;
    mid_handle kept = unit_array(u, u->vec, count);
    for (size_t i = 0; i < count; i++)
        mid_give(u->thread, kept, ITEM(i), unit_array(u, u->bytes, unit_random(&seed) % 496));
    for (size_t i = 0; i < count; i++)
        if (unit_random(&seed) % 10 != 0)
            mid_release(u->thread, mid_take(u->thread, kept, ITEM(i)));
    return kept;
}

static mid_daemon *start(struct unit *u)
{
    mid_daemon *daemon = NULL;
    ok(mid_daemon_start(u->heap, &daemon));
    assert_non_null(daemon);
    return daemon;
}

/* --- starting and stopping ----------------------------------------------------------------------------------------- */

TEST(arguments)
{
    struct unit u, other;
    mid_daemon *daemon = NULL, *second = NULL;
    mid_decision decision;
    struct event_base *base = event_base_new();
    assert_non_null(base);
    unit_open(&u, "");
    unit_open(&other, "daemon=off");
    expect(MID_ENULL, mid_daemon_start(NULL, &daemon));
    expect(MID_ENULL, mid_daemon_start(u.heap, NULL));
    expect(MID_ENULL, mid_daemon_attach(NULL, base, NULL, &daemon));
    expect(MID_ENULL, mid_daemon_attach(u.heap, NULL, NULL, &daemon));
    expect(MID_ENULL, mid_daemon_attach(u.heap, base, NULL, NULL));
    expect(MID_EINVAL, mid_daemon_attach(u.heap, base, other.thread, &daemon));
    expect(MID_EINVAL, mid_daemon_start(other.heap, &daemon));
    expect(MID_EINVAL, mid_daemon_attach(other.heap, base, NULL, &daemon));
    assert_null(daemon);
    expect(MID_ENULL, mid_daemon_stop(NULL));
    expect(MID_ENULL, mid_daemon_kick(NULL));
    assert_int_equal(mid_daemon_log(NULL, &decision, 1), 0);
    assert_int_equal(mid_daemon_cpu_micros(NULL), 0);
    assert_int_equal(mid_daemon_wakeups(NULL), 0);
    daemon = start(&u);
    assert_int_equal(mid_daemon_log(daemon, NULL, 1), 0);
    expect(MID_EINVAL, mid_daemon_start(u.heap, &second));
    expect(MID_EINVAL, mid_daemon_attach(u.heap, base, u.thread, &second));
    assert_null(second);
    expect(MID_ETHREAD, mid_heap_close(u.heap));
    expect(MID_ETHREAD, mid_heap_destroy(u.heap));
    ok(mid_daemon_stop(daemon));
    event_base_free(base);
    unit_close(&u);
    unit_close(&other);
}

TEST(starts_and_stops_without_a_trace)
{
    struct unit u;
    unit_open(&u, "");
    size_t files = entries_of("/proc/self/fd"), threads = entries_of("/proc/self/task");
    for (unsigned i = 0; i < 50; i++) {
        mid_daemon *daemon = start(&u);
        if (i % 2 == 0)
            ok(mid_daemon_kick(daemon));
        ok(mid_daemon_stop(daemon));
    }
    assert_int_equal(entries_of("/proc/self/fd"), files);
    assert_int_equal(entries_of("/proc/self/task"), threads);
    unit_close(&u);
}

static bool has_thread_named(const char *name)
{
    bool found = false;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[320], comm[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(comm, sizeof comm, file) != NULL)
            found = found || (strncmp(comm, name, strlen(name)) == 0 && comm[strlen(name)] == '\n');
        fclose(file);
    }
    closedir(dir);
    return found;
}

TEST(thread_has_a_name_and_takes_no_signals)
{
    struct unit u;
    sigset_t usr1, before, pending;
    unit_open(&u, "");
    mid_daemon *daemon = start(&u);
    EVENTUALLY(has_thread_named("midden"), SLEEP);
    /* This thread blocks the signal: if the daemon's took it, the program would end. */
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, &before);
    kill(getpid(), SIGUSR1);
    uint64_t woken = mid_daemon_wakeups(daemon);
    ok(mid_daemon_kick(daemon));
    EVENTUALLY(mid_daemon_wakeups(daemon) > woken, SLEEP);
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGUSR1));
    int signal_taken = 0;
    sigwait(&usr1, &signal_taken);
    assert_int_equal(signal_taken, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

/* libevent's allocations, the n-th of which can fail. */
static size_t event_allocations, event_fails_at;

static bool refuse(void)
{
    return ++event_allocations == event_fails_at;
}
static void *event_malloc(size_t size)
{
    return refuse() ? NULL : malloc(size);
}
static void *event_realloc(void *old, size_t size)
{
    return refuse() ? NULL : realloc(old, size);
}

static void ignore_warnings(int severity, const char *text)
{
    (void)severity, (void)text;
}

TEST(libevent_without_memory)
{
    struct unit u;
    size_t refusals = 0;
    unit_open(&u, "");
    size_t files = entries_of("/proc/self/fd");
    event_set_log_callback(ignore_warnings);
    for (event_fails_at = 1;; event_fails_at++) {
        mid_daemon *daemon = NULL;
        event_allocations = 0;
        mid_status status = mid_daemon_start(u.heap, &daemon);
        if (status == MID_OK)
            ok(mid_daemon_stop(daemon));
        else
            expect(MID_ESYSTEM, status);
        assert_int_equal(entries_of("/proc/self/fd"), files);
        if (event_allocations < event_fails_at)
            break;
        refusals += status != MID_OK;
    }
    event_fails_at = 0;
    event_set_log_callback(NULL);
    assert_true(refusals >= 3);
    unit_close(&u); /* which refuses while a daemon is bound */
}

/* --- on its own thread ---------------------------------------------------------------------------------------------- */

TEST(growth_collects_while_the_mutator_is_blocked)
{
    struct unit u;
    unit_open(&u, NEVER_IDLE "growth-min=1M,credit=64K");
    mid_daemon *daemon = start(&u);
    unit_drop_bytes(&u, u.node, 4 << 20);
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(LOGGED(daemon, COLLECT, GROWTH, MID_OK), SLEEP);
    ok(mid_blocked_leave(u.thread));
    mid_decision sum;
    logged(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_OK, &sum);
    assert_true(sum.objects >= (1 << 20) / 16);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

TEST(growth_collects_when_nobody_is_attached)
{
    struct unit u;
    unit_open(&u, NEVER_IDLE "growth-min=1M");
    unit_drop_bytes(&u, u.node, 4 << 20);
    mid_daemon *daemon = start(&u);
    ok(mid_thread_detach(u.thread));
    EVENTUALLY(LOGGED(daemon, COLLECT, GROWTH, MID_OK), SLEEP);
    ok(mid_thread_attach(u.heap, &u.thread));
    assert_int_equal(unit_live(&u), 0);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

/* Stops that were not the mutator's own. */
struct foreign {
    pthread_t mutator;
    unsigned stops;
};

static void count_foreign(void *context)
{
    struct foreign *f = context;
    f->stops += !pthread_equal(f->mutator, pthread_self());
}

TEST(running_program_collects_by_itself)
{
    struct unit u;
    struct foreign foreign = {.mutator = pthread_self()};
    mid_decision sum;
    unit_open(&u, NEVER_IDLE "growth-min=1M,credit=64K,waiting-start=1G,frag-start=100000%,decay=3600s");
    mid_listener listener = {.struct_size = sizeof listener, .context = &foreign, .stop_begin = count_foreign};
    ok(mid_listener_add(u.heap, &listener));
    mid_daemon *daemon = start(&u);
    uint64_t collections = 0;
    for (unsigned life = 0; life < 2; life++) { /* the limit outlives the thread that it was set for */
        EVENTUALLY(unit_stats(&u).collections > collections + 1, {
            mid_release(u.thread, unit_ring(&u, u.node, 100));
            ok(mid_safepoint(u.thread));
        });
        collections = unit_stats(&u).collections;
        EVENTUALLY(slices(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_OK) == collections, SLEEP);
        if (life == 0) {
            ok(mid_thread_detach(u.thread));
            ok(mid_thread_attach(u.heap, &u.thread));
        }
    }
    mid_stats stats = unit_stats(&u);
    assert_int_equal(logged(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_OK, &sum), 1); /* a run of them is one entry */
    assert_int_equal(sum.objects, stats.collected_objects);
    assert_int_equal(sum.took_micros, stats.collect_micros);
    assert_int_equal(sum.waited_micros, 0);
    mid_decision first;
    assert_int_equal(mid_daemon_log(daemon, &first, 1), 1);
    assert_true(first.value >= first.threshold && first.threshold >= 1 << 20);
    assert_true(first.longest_micros <= first.took_micros && first.longest_micros * first.slices + first.slices > first.took_micros);
    ok(mid_daemon_stop(daemon));
    assert_int_equal(foreign.stops, 0);
    ok(mid_listener_remove(u.heap, &foreign));
    unit_close(&u);
}

/* The mutator may collect by itself while the daemon waits for it to stop. */
TEST(what_was_collected_meanwhile_is_not_collected_again)
{
    struct unit u;
    mid_snapshot seen, later;
    mid_outcome outcome;
    mid_decision decision;
    mid_work_plan plan = {.action = MID_ACT_COLLECT, .trigger = MID_WHY_GROWTH};
    unit_open(&u, "");
    mid_handle kept = unit_new(&u, u.node);
    ok(mid_collect(u.thread, NULL));
    mid_service_snapshot(u.heap, &later);
    seen = later;
    seen.live_slot_bytes += 1 << 20;
    ok(mid_blocked_enter(u.thread));
    assert_false(mid_act(u.heap, NULL, &seen, &plan, &outcome, &decision));
    assert_true(outcome.stopped);
    assert_int_equal(unit_stats(&u).collections, 1);
    assert_true(mid_act(u.heap, NULL, &later, &plan, &outcome, &decision));
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(unit_stats(&u).collections, 2);
    mid_release(u.thread, kept);
    unit_close(&u);
}

/* A stop that is refused says nothing about what lives: the limit stays. */
TEST(refused_stop_leaves_the_limit)
{
    struct unit u;
    unit_open(&u, NEVER_IDLE "growth-min=1M,credit=64K,heartbeat=1ms,stop-wait=0us,waiting-start=100,waiting-stop=0");
    mid_handle kept = unit_array(&u, u.vec, 500000);
    for (unsigned i = 0; i < 500000; i++)
        mid_give(u.thread, kept, ITEM(i), unit_new(&u, u.node));
    ok(mid_collect(u.thread, NULL)); /* next at 10 MiB + 75 % */
    mid_daemon *daemon = start(&u);
    mid_handle held = unit_array(&u, u.vec, 5000);
    for (unsigned i = 0; i < 5000; i++)
        mid_give(u.thread, held, ITEM(i), unit_new(&u, u.node));
    mid_release(u.thread, held); /* most of it waits now; what follows shows that to the daemon */
    mid_release(u.thread, unit_array(&u, u.bytes, 2 << 20));
    EVENTUALLY(slices(daemon, MID_ACT_DRAIN, MID_WHY_WAITING, MID_EPOSTPONED) > 1, SLEEP);
    uint64_t collections = unit_stats(&u).collections;
    mid_release(u.thread, unit_array(&u, u.bytes, 2 << 20));
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).collections, collections);
    ok(mid_daemon_stop(daemon));
    mid_release(u.thread, kept);
    unit_drain(&u);
    unit_close(&u);
}

TEST(stop_that_never_comes_is_one_entry)
{
    struct unit u;
    mid_decision skipped;
    unit_open(&u, NEVER_IDLE "growth-min=1M,credit=64K,heartbeat=1ms,stop-wait=100us");
    mid_daemon *daemon = start(&u);
    unit_drop_bytes(&u, u.node, 4 << 20);
    EVENTUALLY(LOGGED(daemon, COLLECT, GROWTH, MID_EPOSTPONED), SLEEP);
    EVENTUALLY(slices(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_EPOSTPONED) > 3, SLEEP);
    assert_int_equal(logged(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_EPOSTPONED, &skipped), 1);
    assert_int_equal(skipped.objects + skipped.took_micros, 0);
    assert_false(LOGGED(daemon, COLLECT, GROWTH, MID_OK));
    /* It was overdue, twice its limit. Now it comes, and collects by itself. */
    mid_decision first;
    assert_int_equal(mid_daemon_log(daemon, &first, 1), 1);
    assert_true(first.value >= first.threshold && first.threshold == 2 << 20);
    EVENTUALLY(LOGGED(daemon, COLLECT, GROWTH, MID_OK), ok(mid_safepoint(u.thread)));
    assert_int_equal(unit_live(&u), 0);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

TEST(waiting_is_drained_while_blocked)
{
    struct unit u;
    unit_open(&u, NEVER_IDLE "growth-min=1G,log-entries=1024");
    mid_daemon *daemon = start(&u);
    for (unsigned list = 0; list < 2; list++) {
        (list ? drop_list : drop_many)(&u, 100000);
        mid_decision sum;
        uint64_t live = unit_live(&u);
        assert_true(unit_stats(&u).waiting_objects > 0 || live > 0);
        ok(mid_blocked_enter(u.thread));
        EVENTUALLY(LOGGED(daemon, DRAIN, WAITING, MID_OK), SLEEP);
        ok(mid_blocked_leave(u.thread));
        mid_stats stats = unit_stats(&u);
        assert_int_equal(stats.waiting_objects + stats.live_objects, 0);
        logged(daemon, MID_ACT_DRAIN, MID_WHY_WAITING, MID_OK, &sum);
        assert_true(sum.objects > 0);
        ok(mid_daemon_stop(daemon));
        daemon = start(&u);
    }
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

TEST(waiting_is_drained_at_safepoints)
{
    struct unit u;
    unit_open(&u, NEVER_IDLE "waiting-start=1000,waiting-stop=0,growth-min=1G");
    mid_daemon *daemon = start(&u);
    EVENTUALLY(LOGGED(daemon, DRAIN, WAITING, MID_OK) || LOGGED(daemon, DRAIN, WAITING, MID_MORE), {
        drop_many(&u, 20000);
        ok(mid_safepoint(u.thread));
    });
    ok(mid_daemon_stop(daemon));
    unit_drain(&u);
    unit_close(&u);
}

TEST(shrunk_heap_returns_memory_while_blocked)
{
    struct unit u;
    size_t before = unit_resident(), bytes = unit_scale(64 << 20) < (8 << 20) ? 8 << 20 : unit_scale(64 << 20);
    unit_open(&u, "idle=50ms,reserve=64K,log-entries=1024");
    mid_daemon *daemon = start(&u);
    mid_handle kept = fragment(&u, bytes);
    uint64_t live = unit_stats(&u).live_slot_bytes;
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(LOGGED(daemon, TRIM, IDLE, MID_OK), SLEEP); /* comes last */
    assert_true(LOGGED(daemon, COMPACT, FRAGMENTATION, MID_MORE) || LOGGED(daemon, COMPACT, FRAGMENTATION, MID_OK));
    if (!UNIT_SANITIZED && !RUNNING_ON_VALGRIND) /* whose own memory would drown it */
        EVENTUALLY(unit_resident() < before + live * 7 / 4 + (4 << 20), SLEEP);
    ok(mid_blocked_leave(u.thread));
    mid_stats stats = unit_stats(&u);
    assert_true(stats.pool_bytes <= live * 5 / 4 + (32 * 64 << 10)); /* a pool in each of the classes used */
    assert_true(stats.empty_bytes <= 64 << 10);
    unit_check(&u);
    mid_release(u.thread, kept);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

TEST(idle_program_is_collected)
{
    struct unit u;
    unit_open(&u, "idle=20ms,growth-min=1G");
    mid_daemon *daemon = start(&u);
    unit_drop_bytes(&u, u.node, 3 << 20);
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(LOGGED(daemon, COLLECT, IDLE, MID_OK), SLEEP);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(unit_live(&u), 0);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

/* What a program frees by counting makes room below the last collection's figure. Garbage must not hide there. */
TEST(shrunk_and_grown_again_is_collected_when_idle)
{
    struct unit u;
    unit_open(&u, "idle=20ms,heartbeat=5ms,growth-min=64M");
    mid_handle kept = unit_array(&u, u.bytes, 32 << 20);
    ok(mid_collect(u.thread, NULL));
    mid_daemon *daemon = start(&u);
    mid_release(u.thread, kept);
    ok(mid_blocked_enter(u.thread));
    uint64_t woken = mid_daemon_wakeups(daemon);
    ok(mid_daemon_kick(daemon));
    EVENTUALLY(mid_daemon_wakeups(daemon) > woken, SLEEP); /* it has seen that */
    ok(mid_blocked_leave(u.thread));
    unit_drop_bytes(&u, u.node, 4 << 20);
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(LOGGED(daemon, COLLECT, IDLE, MID_OK), SLEEP);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(unit_live(&u), 0);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

static bool wakes_within(mid_daemon *daemon, long micros)
{
    uint64_t before = mid_daemon_wakeups(daemon);
    pause_micros(micros);
    return mid_daemon_wakeups(daemon) != before;
}

TEST(settled_heap_lets_it_sleep)
{
    struct unit u;
    unit_open(&u, "idle=20ms,heartbeat=2ms");
    mid_daemon *daemon = start(&u);
    unit_drop_bytes(&u, u.node, 3 << 20);
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(!wakes_within(daemon, 300000), SLEEP);
    for (unsigned kick = 0; kick < 3; kick++) {
        uint64_t woken = mid_daemon_wakeups(daemon);
        ok(mid_daemon_kick(daemon));
        EVENTUALLY(mid_daemon_wakeups(daemon) > woken, SLEEP);
        EVENTUALLY(!wakes_within(daemon, 100000), SLEEP);
    }
    ok(mid_blocked_leave(u.thread));
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

/* A collection that the test can hold up. */
struct held_up {
    mid_daemon *daemon;
    mid_status stopped_inside; /* what stopping from inside the slice returned */
    bool begun, ended;         /* atomic */
};

static void hold_up(void *context)
{
    struct held_up *h = context;
    mid_daemon *daemon;
    while ((daemon = __atomic_load_n(&h->daemon, __ATOMIC_ACQUIRE)) == NULL)
        pause_micros(100);
    h->stopped_inside = mid_daemon_stop(daemon);
    __atomic_store_n(&h->begun, true, __ATOMIC_RELEASE);
    pause_micros(50000);
}

static void let_go(void *context, const mid_collect_result *result)
{
    struct held_up *h = context;
    (void)result;
    __atomic_store_n(&h->ended, true, __ATOMIC_RELEASE);
}

TEST(stopping_waits_for_the_slice_it_is_in)
{
    struct unit u;
    struct held_up held = {0};
    unit_open(&u, "growth-min=1M");
    mid_listener listener = {.struct_size = sizeof listener, .context = &held, .collect_begin = hold_up, .collect_end = let_go};
    ok(mid_listener_add(u.heap, &listener));
    unit_drop_bytes(&u, u.node, 2 << 20);
    ok(mid_blocked_enter(u.thread));
    __atomic_store_n(&held.daemon, start(&u), __ATOMIC_RELEASE);
    EVENTUALLY(__atomic_load_n(&held.begun, __ATOMIC_ACQUIRE), SLEEP);
    assert_false(__atomic_load_n(&held.ended, __ATOMIC_ACQUIRE));
    ok(mid_daemon_stop(held.daemon));
    assert_true(__atomic_load_n(&held.ended, __ATOMIC_ACQUIRE));
    expect(MID_EBUSY, held.stopped_inside);
    ok(mid_blocked_leave(u.thread));
    ok(mid_listener_remove(u.heap, &held));
    unit_close_empty(&u);
}

TEST(stopping_at_any_moment_leaves_the_heap_whole)
{
    struct unit u;
    uint64_t seed = 3;
    unit_open(&u, "idle=1ms,heartbeat=1ms,waiting-start=100,waiting-stop=0,growth-min=64K,slice=100us,reserve=0");
    for (unsigned round = 0; round < 40; round++) {
        mid_daemon *daemon = start(&u);
        mid_handle kept = fragment(&u, 1 << 20);
        unit_drop_bytes(&u, u.node, 1 << 18);
        drop_many(&u, 5000);
        ok(round % 3 == 0 ? mid_safepoint(u.thread) : mid_blocked_enter(u.thread));
        pause_micros((long)(unit_random(&seed) % 3000));
        if (round % 2 == 0)
            ok(mid_daemon_stop(daemon));
        if (round % 3 != 0)
            ok(mid_blocked_leave(u.thread));
        if (round % 2 != 0)
            ok(mid_daemon_stop(daemon));
        unit_check(&u);
        mid_release(u.thread, kept);
    }
    unit_close(&u);
}

/* --- on a base of the program's -------------------------------------------------------------------------------------- */

static unsigned finalized;

static void count_final(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
    finalized++;
}

TEST(attached_to_the_mutators_own_loop)
{
    struct unit u;
    mid_daemon *daemon = NULL;
    unit_open(&u, NEVER_IDLE "growth-min=1M,heartbeat=1ms");
    mid_type buried = unit_node_type(u.heap, (mid_type_desc){.name = "buried", .finalize = count_final});
    struct event_base *base = event_base_new();
    assert_non_null(base);
    ok(mid_daemon_attach(u.heap, base, u.thread, &daemon));
    unit_drop_bytes(&u, u.node, 2 << 20);
    unit_drop_bytes(&u, buried, 1 << 16);
    finalized = 0;
    /* The mutator is not blocked and calls no safepoint: the callbacks are its safepoints. */
    EVENTUALLY(LOGGED(daemon, COLLECT, GROWTH, MID_OK) && finalized > 0, event_base_loop(base, EVLOOP_ONCE));
    assert_int_equal(logged(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_EPOSTPONED, NULL), 0);
    assert_true(mid_daemon_cpu_micros(daemon) > 0);
    /* Once it is blocked or has gone, the daemon needs it no more. */
    mid_handle kept = fragment(&u, 4 << 20);
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(LOGGED(daemon, COMPACT, FRAGMENTATION, MID_OK) || LOGGED(daemon, COMPACT, FRAGMENTATION, MID_MORE),
               event_base_loop(base, EVLOOP_ONCE));
    ok(mid_blocked_leave(u.thread));
    mid_release(u.thread, kept);
    unit_drop_bytes(&u, u.node, 3 << 20);
    ok(mid_thread_detach(u.thread));
    uint64_t collections = slices(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_OK);
    EVENTUALLY(slices(daemon, MID_ACT_COLLECT, MID_WHY_GROWTH, MID_OK) > collections,
               event_base_loop(base, EVLOOP_ONCE));
    ok(mid_daemon_stop(daemon));
    event_base_free(base);
    ok(mid_thread_attach(u.heap, &u.thread));
    unit_close(&u);
}

/* A timer of the program's that is due in every iteration of its loop. */
struct ticker {
    mid_daemon *daemon;
    struct event *event;
    unsigned ticks;
    uint64_t slices;
    bool more_than_one;
};

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    static mid_decision log[LOG_MOST];
    struct ticker *t = context;
    (void)fd, (void)what;
    uint64_t done = 0;
    for (size_t i = mid_daemon_log(t->daemon, log, LOG_MOST); i > 0; i--)
        done += log[i - 1].slices;
    t->more_than_one = t->more_than_one || done > t->slices + 1;
    t->slices = done;
    if (++t->ticks % 3 == 0)
        mid_daemon_kick(t->daemon); /* timer and kick in one iteration are one turn */
    if (t->ticks < 600)
        event_add(t->event, &(struct timeval){0, 0});
    else
        event_base_loopbreak(event_get_base(t->event));
}

TEST(attached_daemon_does_one_slice_a_turn)
{
    struct unit u;
    struct ticker t = {0};
    unit_open(&u, NEVER_IDLE "waiting-start=1,waiting-stop=0,slice=50us,share=100,log-entries=1024,growth-min=1G");
    drop_many(&u, 200000);
    ok(mid_blocked_enter(u.thread)); /* shows the figures */
    ok(mid_blocked_leave(u.thread));
    struct event_base *base = event_base_new();
    assert_non_null(base);
    ok(mid_daemon_attach(u.heap, base, u.thread, &t.daemon));
    t.event = evtimer_new(base, on_tick, &t);
    event_add(t.event, &(struct timeval){0, 0});
    event_base_loop(base, 0);
    assert_int_equal(t.ticks, 600);
    assert_true(t.slices > 10);
    assert_false(t.more_than_one);
    ok(mid_daemon_stop(t.daemon));
    assert_int_equal(event_base_loop(base, 0), 1); /* the daemon has left nothing to wait for */
    event_free(t.event);
    event_base_free(base);
    unit_drain(&u);
    unit_close(&u);
}

static void *run_base(void *base)
{
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

TEST(attached_to_a_loop_in_another_thread)
{
    struct unit u;
    mid_daemon *daemon = NULL;
    pthread_t thread;
    assert_int_equal(evthread_use_pthreads(), 0);
    struct event_base *base = event_base_new();
    assert_non_null(base);
    unit_open(&u, NEVER_IDLE "growth-min=1M,credit=64K");
    assert_int_equal(pthread_create(&thread, NULL, run_base, base), 0);
    ok(mid_daemon_attach(u.heap, base, NULL, &daemon));
    unit_drop_bytes(&u, u.node, 4 << 20);
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(LOGGED(daemon, COLLECT, GROWTH, MID_OK), SLEEP);
    ok(mid_blocked_leave(u.thread));
    event_base_loopbreak(base);
    pthread_join(thread, NULL);
    ok(mid_daemon_stop(daemon));
    event_base_free(base);
    unit_close(&u);
}

int main(void)
{
    setenv("MIDDEN_OPTIONS", "collect-stop=60s,suspect-min=4294967295", 1); /* collections here are whole; test_propose.c has the others */
    event_set_mem_functions(event_malloc, event_realloc, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(starts_and_stops_without_a_trace),
        cmocka_unit_test(thread_has_a_name_and_takes_no_signals),
        cmocka_unit_test(libevent_without_memory),
        cmocka_unit_test(growth_collects_while_the_mutator_is_blocked),
        cmocka_unit_test(growth_collects_when_nobody_is_attached),
        cmocka_unit_test(running_program_collects_by_itself),
        cmocka_unit_test(what_was_collected_meanwhile_is_not_collected_again),
        cmocka_unit_test(refused_stop_leaves_the_limit),
        cmocka_unit_test(stop_that_never_comes_is_one_entry),
        cmocka_unit_test(waiting_is_drained_while_blocked),
        cmocka_unit_test(waiting_is_drained_at_safepoints),
        cmocka_unit_test(shrunk_heap_returns_memory_while_blocked),
        cmocka_unit_test(idle_program_is_collected),
        cmocka_unit_test(shrunk_and_grown_again_is_collected_when_idle),
        cmocka_unit_test(settled_heap_lets_it_sleep),
        cmocka_unit_test(stopping_waits_for_the_slice_it_is_in),
        cmocka_unit_test(stopping_at_any_moment_leaves_the_heap_whole),
        cmocka_unit_test(attached_to_the_mutators_own_loop),
        cmocka_unit_test(attached_daemon_does_one_slice_a_turn),
        /* evthread_use_pthreads is for good: the others have run without it. */
        cmocka_unit_test(attached_to_a_loop_in_another_thread),
    };
    return UNIT_RUN(tests);
}
