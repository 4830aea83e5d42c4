/* fork() with a heap: the child has it with one thread, whatever the others were doing; the parent goes on.
 *
 * A child must not use cmocka, or it would go on as a second test program: it says what it needs with NEED and ends by _exit.
 * This program is left out under ThreadSanitizer, which does not follow threads across fork (rules.mk). */
#include "child.h"
#include "peer.h"

#include <signal.h>
#include <sys/wait.h>

#include "gc/service.h"
#include "midden/daemon.h"

/* A child that hangs fails, and so does one that crashes: cmocka's handlers would have it go on with the next test. */
static void guard(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_DFL);
    alarm(RUNNING_ON_VALGRIND ? 200 : 60);
}

static void fork_and(void (*work)(struct unit *u), struct unit *u)
{
    pid_t child = fork();
    if (child == 0) {
        guard();
        work(u);
        _exit(0);
    }
    child_ends(child);
}

/* --- what a child does with its heap ------------------------------------------------------------------------------- */

static mid_stats stats_of(struct unit *u)
{
    mid_stats stats;
    memset(&stats, 0, sizeof stats);
    NEED(mid_stats_get(u->heap, &stats, sizeof stats) == sizeof stats);
    return stats;
}

static void need_intact(struct unit *u)
{
    mid_status status = mid_heap_check(u->heap);
    if (status != MID_OK)
        dprintf(STDERR_FILENO, "child: %s: %s\n", mid_status_name(status), mid_heap_check_text(u->heap));
    NEED(status == MID_OK);
}

static void settle(struct unit *u, uint64_t live)
{
    for (int i = 0; stats_of(u).live_objects != live; i++) {
        NEED(i < 1000000);
        NEED(mid_safepoint(u->thread) == MID_OK);
    }
}

/* Objects of every kind come and go; afterwards the heap is as it was. */
static void use_heap(struct unit *u)
{
    enum { MANY = 3000 };
    static mid_handle made[MANY];
    mid_thread *t = u->thread;
    need_intact(u);
    NEED(mid_collect(t, NULL) == MID_OK); /* with it what the others had let go of */
    uint64_t before = stats_of(u).live_objects;
    for (size_t i = 0; i < MANY; i++) {
        if (i % 50 == 0)
            NEED(mid_new_array(t, u->vec, i * 10, &made[i]) == MID_OK);
        else if (i % 7 == 0)
            NEED(mid_new_array(t, u->bytes, i, &made[i]) == MID_OK);
        else
            NEED(mid_new(t, u->node, &made[i]) == MID_OK);
    }
    for (size_t i = 3; i < MANY; i++) /* some of them are garbage cycles in the end */
        if (i % 50 != 0 && i % 7 != 0)
            mid_store(t, made[i], LEFT, made[(i * 31 + 7) % MANY]);
    for (size_t i = 0; i < MANY; i++)
        mid_release(t, made[i]);
    NEED(mid_collect(t, NULL) == MID_OK);
    NEED(mid_compact(t, MID_COMPACT_PLAIN, 0, NULL) == MID_OK);
    settle(u, before);
    need_intact(u);
}

static void *visit(void *argument)
{
    struct unit *u = argument;
    mid_thread *thread;
    mid_handle made;
    NEED(mid_thread_attach(u->heap, &thread) == MID_OK);
    NEED(mid_new(thread, u->node, &made) == MID_OK);
    mid_release(thread, made);
    NEED(mid_thread_detach(thread) == MID_OK);
    return NULL;
}

/* Threads of the child's own, while the one that forked sleeps. */
static void have_visitors(struct unit *u)
{
    pthread_t thread;
    for (int i = 0; i < 5; i++) {
        NEED(mid_blocked_enter(u->thread) == MID_OK);
        NEED(pthread_create(&thread, NULL, visit, u) == 0);
        NEED(pthread_join(thread, NULL) == 0);
        NEED(mid_blocked_leave(u->thread) == MID_OK);
    }
    NEED(stats_of(u).attached_threads == 1);
}

static void use_alone(struct unit *u)
{
    NEED(mid_thread_current(u->heap) == u->thread);
    NEED(stats_of(u).attached_threads == 1);
    use_heap(u);
    have_visitors(u);
}

static void use_and_close(struct unit *u)
{
    use_alone(u);
    NEED(mid_heap_close(u->heap) == MID_OK);
}

/* --- alone --------------------------------------------------------------------------------------------------------- */

TEST(a_single_thread_forks)
{
    static const char *const options[] = {"", "shared=off"};
    for (int i = 0; i < 2; i++) {
        struct unit u;
        unit_open(&u, options[i]);
        mid_handle ring = unit_ring(&u, u.node, 10);
        fork_and(use_heap, &u);
        mid_release(u.thread, ring);
        ok(mid_collect(u.thread, NULL));
        for (int round = 0; round < 3; round++)
            fork_and(i == 0 ? use_and_close : use_heap, &u);
        unit_close_empty(&u);
    }
}

static void leave_and_use(struct unit *u)
{
    NEED(mid_blocked_enter(u->thread) == MID_ETHREAD);
    NEED(mid_blocked_leave(u->thread) == MID_OK);
    use_and_close(u);
}

TEST(a_thread_forks_in_its_blocked_region)
{
    struct unit u;
    unit_open(&u, "");
    ok(mid_blocked_enter(u.thread));
    fork_and(leave_and_use, &u);
    ok(mid_blocked_leave(u.thread));
    unit_close(&u);
}

static void attach_and_use(struct unit *u)
{
    NEED(stats_of(u).attached_threads == 0);
    NEED(mid_thread_current(u->heap) == NULL);
    NEED(mid_thread_attach(u->heap, &u->thread) == MID_OK);
    use_and_close(u);
}

TEST(a_thread_forks_that_is_not_attached)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    peer_block(peer);
    ok(mid_thread_detach(u.thread));
    fork_and(attach_and_use, &u);
    peer_unblock(peer);
    peer_end(peer);
    fork_and(attach_and_use, &u);
    ok(mid_thread_attach(u.heap, &u.thread));
    unit_close(&u);
}

static void fork_again(struct unit *u)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        guard();
        use_and_close(u);
        _exit(0);
    }
    NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    use_and_close(u);
}

TEST(a_child_forks)
{
    struct unit u;
    unit_open(&u, "");
    fork_and(fork_again, &u);
    unit_close(&u);
}

static void use_others(struct unit *u)
{
    for (int i = 0; i < 3; i++)
        use_and_close(&u[i]);
    struct unit fresh = {0};
    NEED(mid_heap_open(&fresh.heap, NULL) == MID_OK);
    NEED(mid_heap_close(fresh.heap) == MID_OK);
}

TEST(a_thread_forks_with_several_heaps)
{
    struct unit u[3];
    for (int i = 0; i < 3; i++)
        unit_open(&u[i], "max-objects=100K");
    fork_and(use_others, u);
    for (int i = 0; i < 3; i++)
        unit_close(&u[i]);
}

/* --- while others allocate ----------------------------------------------------------------------------------------- */

enum { HELD = 64, PEERS = 3 };

/* Each has some handles, known whenever it is at a safepoint, and puts some into slots that all share. */
static struct {
    mid_handle vec;
    struct peer *peers[PEERS];
    mid_handle held[PEERS][HELD];
} work;

static void churn_once(struct peer *peer, uint64_t *seed)
{
    mid_handle *held = peer->data;
    mid_thread *t = peer->thread;
    for (int i = 0; i < 40; i++) {
        uint64_t r = unit_random(seed);
        mid_handle *at = &held[r % HELD];
        mid_release(t, *at);
        *at = 0;
        if (r >> 20 & 1)
            *at = mid_load(t, peer->a, ITEM(r >> 8 & 15));
        else if (r >> 21 & 1)
            peer->wrong += mid_new_array(t, peer->unit->bytes, r >> 32 & 255, at) != MID_OK;
        else
            peer->wrong += mid_new(t, peer->type, at) != MID_OK;
        if (r >> 22 & 1)
            mid_store(t, peer->a, ITEM(r >> 12 & 15), *at);
    }
}

static void churn(struct peer *peer)
{
    uint64_t seed = peer->slot;
    while (peer_goes_on(peer)) {
        churn_once(peer, &seed);
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
    }
}

static void churn_without_safepoints(struct peer *peer)
{
    uint64_t seed = peer->slot;
    while (peer_goes_on(peer))
        churn_once(peer, &seed);
}

static void begin_work(struct unit *u, peer_job job)
{
    memset(&work, 0, sizeof work);
    work.vec = unit_array(u, u->vec, 16);
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = work.peers[i] = peer_new(u);
        peer->data = work.held[i];
        peer->a = work.vec;
        peer->type = u->node;
        peer->slot = 50 + (unsigned)i;
        peer_begin(peer, job);
    }
    for (int i = 0; i < PEERS; i++)
        peer_wait_rounds(work.peers[i], 3);
}

static void end_work(struct unit *u)
{
    for (int i = 0; i < PEERS; i++) {
        peer_finish_polling(work.peers[i], u->thread);
        assert_int_equal(work.peers[i]->wrong, 0);
        peer_end(work.peers[i]);
        for (int k = 0; k < HELD; k++)
            mid_release(u->thread, work.held[i][k]);
    }
    mid_release(u->thread, work.vec);
    ok(mid_collect(u->thread, NULL));
    assert_int_equal(unit_live(u), 0);
}

/* In the child all that the others held can be let go, and then nothing is held. */
static void inherit(struct unit *u)
{
    use_alone(u);
    for (int i = 0; i < PEERS; i++)
        for (int k = 0; k < HELD; k++)
            mid_release(u->thread, work.held[i][k]);
    mid_release(u->thread, work.vec);
    NEED(mid_safepoint(u->thread) == MID_OK);
    NEED(mid_collect(u->thread, NULL) == MID_OK);
    need_intact(u);
    NEED(mid_heap_close(u->heap) == MID_OK);
}

TEST(others_poll_and_allocate)
{
    struct unit u;
    unit_open(&u, "fork-wait=20s");
    begin_work(&u, churn);
    for (size_t i = 0; i < unit_scale(40); i++) {
        fork_and(inherit, &u);
        peer_wait_rounds(work.peers[i % PEERS], 1); /* they go on */
        mid_release(u.thread, unit_new(&u, u.node));
        ok(mid_safepoint(u.thread));
    }
    end_work(&u);
    unit_close(&u);
}

TEST(others_sleep_in_blocked_regions)
{
    struct unit u;
    unit_open(&u, "fork-wait=0");
    begin_work(&u, churn);
    for (int i = 0; i < PEERS; i++) {
        peer_finish_polling(work.peers[i], u.thread);
        peer_block(work.peers[i]);
    }
    for (int i = 0; i < 3; i++)
        fork_and(inherit, &u);
    for (int i = 0; i < PEERS; i++) {
        peer_unblock(work.peers[i]);
        peer_begin(work.peers[i], churn);
    }
    fork_and(use_heap, &u); /* whoever came in time, and whoever did not */
    end_work(&u);
    unit_close(&u);
}

/* --- one that does not come ---------------------------------------------------------------------------------------- */

static mid_handle given, kept; /* of the peer that does not come; main holds a count of each */

static void do_without(struct unit *u)
{
    use_alone(u);
    uint64_t live = stats_of(u).live_objects;
    mid_retain(u->thread, kept);
    mid_release(u->thread, kept);
    NEED(((struct node *)mid_get(u->thread, kept))->value == 77);
    mid_release(u->thread, given); /* nobody merges what it owned */
    NEED(mid_safepoint(u->thread) == MID_OK);
    NEED(stats_of(u).live_objects == live);
    need_intact(u);
    NEED(mid_collect(u->thread, NULL) == MID_OK);
    NEED(mid_is_live(u->thread, kept));
    need_intact(u);
    NEED(mid_heap_close(u->heap) == MID_EHELD);
}

TEST(one_does_not_come)
{
    struct unit u;
    unit_open(&u, "fork-wait=1ms");
    struct peer *absent = peer_new(&u), *polling = peer_new(&u);
    given = peer_make(absent, u.node);
    kept = peer_make(absent, u.node);
    unit_node(&u, kept)->value = 77;
    peer_begin(polling, peer_polls);
    for (int i = 0; i < 3; i++)
        fork_and(do_without, &u);
    peer_finish_polling(polling, u.thread);
    peer_safepoint(absent); /* here it is as ever */
    mid_release(u.thread, given);
    mid_release(u.thread, kept);
    peer_settle(&u, absent, NULL, 0);
    peer_end(absent);
    peer_end(polling);
    unit_close(&u);
}

/* What the lost thread holds nobody knows: nothing is renamed, and the service is not to ask for it for ever. */
static void deep_comes_to_an_end(struct unit *u)
{
    uint64_t renamed = 1;
    mid_status status;
    while ((status = mid_service_deep_read(u->heap, 1000)) == MID_MORE)
        ;
    NEED(status == MID_OK);
    NEED(mid_service_stop(u->heap, u->thread, 1000000, NULL) == MID_OK);
    NEED(mid_service_deep(u->heap, 1000, &renamed) == MID_OK && renamed == 0);
    mid_service_resume(u->heap);
    mid_snapshot s;
    mid_service_snapshot(u->heap, &s);
    NEED(s.deepening == MID_DEEPENS_NOT);
    mid_compact_result result;
    NEED(mid_compact(u->thread, MID_COMPACT_DEEP, 0, &result) == MID_OK && result.renamed_objects == 0);
}

TEST(one_does_not_come_and_a_pass_is_under_way)
{
    struct unit u;
    unit_open(&u, "fork-wait=1ms,deep=table");
    struct peer *absent = peer_new(&u);
    fork_and(deep_comes_to_an_end, &u);
    ok(mid_service_deep_read(u.heap, 1000000000));
    fork_and(deep_comes_to_an_end, &u);
    peer_end(absent);
    unit_close(&u);
}

static void do_with_what_there_is(struct unit *u)
{
    use_alone(u);
    for (unsigned i = 0; i < 16; i++) { /* whatever is in the slots is alive */
        mid_handle found = mid_load(u->thread, work.vec, ITEM(i));
        mid_type type = 0;
        NEED(found == 0 || mid_type_of(u->thread, found, &type) == MID_OK);
        NEED(found == 0 || type == u->node || type == u->bytes);
        mid_store(u->thread, work.vec, ITEM(i), 0);
        mid_release(u->thread, found);
    }
    NEED(mid_collect(u->thread, NULL) == MID_OK);
    need_intact(u);
    NEED(mid_heap_destroy(u->heap) == MID_OK);
}

TEST(others_allocate_and_do_not_come)
{
    struct unit u;
    unit_open(&u, "fork-wait=0");
    begin_work(&u, churn_without_safepoints);
    for (size_t i = 0; i < unit_scale(60); i++) {
        fork_and(do_with_what_there_is, &u);
        peer_wait_rounds(work.peers[i % PEERS], 1);
    }
    end_work(&u);
    unit_close(&u);
}

/* --- several that fork, and one that collects ----------------------------------------------------------------------- */

static void fork_often(struct peer *peer)
{
    struct unit mine = *peer->unit;
    mine.thread = peer->thread;
    for (int i = 0; i < 8; i++) {
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            guard();
            NEED(mid_thread_current(mine.heap) == mine.thread);
            use_heap(&mine);
            _exit(0);
        }
        peer->wrong += mid_blocked_enter(peer->thread) != MID_OK;
        peer->wrong += child < 0 || waitpid(child, &status, 0) != child || status != 0;
        peer->wrong += mid_blocked_leave(peer->thread) != MID_OK;
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
    }
    peer_polls(peer);
}

static void collect_often(struct peer *peer)
{
    while (peer_goes_on(peer)) {
        mid_status status = mid_collect(peer->thread, NULL);
        peer->wrong += status != MID_OK && status != MID_EPOSTPONED;
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
    }
}

TEST(several_fork_while_one_collects)
{
    struct unit u;
    unit_open(&u, "fork-wait=20s");
    struct peer *forkers[2] = {peer_new(&u), peer_new(&u)}, *collector = peer_new(&u);
    peer_begin(collector, collect_often);
    for (int i = 0; i < 2; i++)
        peer_begin(forkers[i], fork_often);
    for (int i = 0; i < 2; i++)
        while (__atomic_load_n(&forkers[i]->rounds, __ATOMIC_RELAXED) == 0) {
            ok(mid_safepoint(u.thread));
            sched_yield();
        }
    for (int i = 0; i < 2; i++) {
        peer_finish_polling(forkers[i], u.thread);
        assert_int_equal(forkers[i]->wrong, 0);
        peer_end(forkers[i]);
    }
    peer_finish_polling(collector, u.thread);
    assert_int_equal(collector->wrong, 0);
    peer_end(collector);
    unit_close(&u);
}

/* --- with a daemon -------------------------------------------------------------------------------------------------- */

static mid_daemon *daemon_of;

static void drop_rings(struct unit *u)
{
    for (int ring = 0; ring < 100; ring++) {
        mid_handle first = 0, last = 0, next;
        for (int i = 0; i < 40; i++) {
            NEED(mid_new(u->thread, u->node, &next) == MID_OK);
            if (last == 0)
                first = next;
            else
                mid_give(u->thread, last, LEFT, next);
            last = next;
        }
        mid_store(u->thread, last, LEFT, first);
        mid_release(u->thread, first);
    }
}

/* It wakes up again, here, when there is something for it. */
static void work_with_daemon(struct unit *u)
{
    uint64_t before = mid_daemon_wakeups(daemon_of);
    for (int round = 0; mid_daemon_wakeups(daemon_of) == before || round < 5; round++) {
        drop_rings(u);
        NEED(mid_safepoint(u->thread) == MID_OK);
        NEED(mid_blocked_enter(u->thread) == MID_OK);
        sched_yield();
        NEED(mid_blocked_leave(u->thread) == MID_OK);
    }
    NEED(mid_daemon_stop(daemon_of) == MID_OK);
    use_and_close(u);
}

static void stop_daemon_at_once(struct unit *u)
{
    NEED(mid_daemon_stop(daemon_of) == MID_OK);
    use_and_close(u);
}

static void keep_to_the_heap(struct unit *u)
{
    for (int i = 0; i < 10; i++) {
        drop_rings(u);
        NEED(mid_safepoint(u->thread) == MID_OK);
    }
    NEED(mid_collect(u->thread, NULL) == MID_OK);
}

TEST(a_daemon_starts_again_in_the_child)
{
    struct unit u;
    unit_open(&u, "fork-wait=20s,growth-min=64K,heartbeat=1ms,credit=16K");
    ok(mid_daemon_start(u.heap, &daemon_of));
    for (size_t i = 0; i < unit_scale(24) + 3; i++) {
        drop_rings(&u);
        ok(mid_safepoint(u.thread));
        fork_and(i % 3 == 0 ? work_with_daemon : i % 3 == 1 ? stop_daemon_at_once : keep_to_the_heap, &u);
    }
    uint64_t before = mid_daemon_wakeups(daemon_of); /* the parent has kept its own */
    while (mid_daemon_wakeups(daemon_of) == before) {
        drop_rings(&u);
        ok(mid_safepoint(u.thread));
    }
    ok(mid_daemon_stop(daemon_of));
    ok(mid_collect(u.thread, NULL));
    unit_close_empty(&u);
}

static bool heard_a_signal(void)
{
    mid_decision log[32];
    for (size_t i = mid_daemon_log(daemon_of, log, 32); i > 0; i--)
        if (log[i - 1].trigger == MID_WHY_SIGNAL)
            return true;
    return false;
}

/* Until it has started again here, signals are for nobody; then for itself. */
static void hear_signals(struct unit *u)
{
    NEED(raise(SIGUSR1) == 0);
    NEED(!heard_a_signal());
    uint64_t before = mid_daemon_wakeups(daemon_of);
    NEED(mid_pressure(u->heap, MID_PRESSURE_TRIM) == MID_OK);
    while (mid_daemon_wakeups(daemon_of) == before)
        sched_yield();
    while (!heard_a_signal()) { /* it may still be about to listen */
        NEED(raise(SIGUSR1) == 0);
        sched_yield();
    }
    NEED(mid_daemon_stop(daemon_of) == MID_OK);
    use_and_close(u);
}

TEST(a_childs_signals_are_its_own)
{
    struct unit u;
    unit_open(&u, "fork-wait=20s,user-signals=on");
    ok(mid_daemon_start(u.heap, &daemon_of));
    for (unsigned i = 0; i < 6; i++) {
        fork_and(i % 3 == 0 ? hear_signals : i % 3 == 1 ? stop_daemon_at_once : keep_to_the_heap, &u);
        uint64_t before = mid_daemon_wakeups(daemon_of);
        ok(mid_daemon_kick(daemon_of));
        while (mid_daemon_wakeups(daemon_of) == before)
            ok(mid_safepoint(u.thread));
        assert_false(heard_a_signal());
    }
    ok(raise(SIGUSR2) == 0 ? MID_OK : MID_ESYSTEM);
    while (!heard_a_signal())
        ok(mid_safepoint(u.thread));
    ok(mid_daemon_stop(daemon_of));
    unit_close(&u);
}

/* --- a place that was left, taken again, and lost its thread in the fork ------------------------------------------------------ */

static struct unit *shared_unit;
static pthread_barrier_t parked;

static void *leave_free_slots(void *unused)
{
    mid_thread *thread;
    mid_handle made[200];
    ok(mid_thread_attach(shared_unit->heap, &thread));
    for (int i = 0; i < 200; i++)
        ok(mid_new(thread, shared_unit->node, &made[i]));
    for (int i = 0; i < 200; i++)
        mid_release(thread, made[i]);
    ok(mid_thread_detach(thread));
    return unused;
}

static void *take_the_place_and_sleep(void *unused)
{
    mid_thread *thread;
    ok(mid_thread_attach(shared_unit->heap, &thread));
    ok(mid_blocked_enter(thread));
    pthread_barrier_wait(&parked);
    pthread_barrier_wait(&parked);
    ok(mid_blocked_leave(thread));
    ok(mid_thread_detach(thread));
    return unused;
}

static void *allocate_in_the_child(void *unused)
{
    mid_thread *thread;
    mid_handle made;
    NEED(mid_thread_attach(shared_unit->heap, &thread) == MID_OK);
    for (int i = 0; i < 1000; i++) {
        NEED(mid_new(thread, shared_unit->node, &made) == MID_OK);
        mid_release(thread, made);
    }
    NEED(mid_thread_detach(thread) == MID_OK);
    return unused;
}

static void another_takes_it(struct unit *u)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, allocate_in_the_child, NULL) == 0);
    NEED(mid_blocked_enter(u->thread) == MID_OK);
    pthread_join(thread, NULL);
    NEED(mid_blocked_leave(u->thread) == MID_OK);
    NEED(mid_heap_check(u->heap) == MID_OK);
}

TEST(a_place_left_twice)
{
    struct unit u;
    pthread_t thread;
    unit_open(&u, "");
    shared_unit = &u;
    pthread_barrier_init(&parked, NULL, 2);
    ok(mid_blocked_enter(u.thread));
    pthread_create(&thread, NULL, leave_free_slots, NULL);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, take_the_place_and_sleep, NULL);
    pthread_barrier_wait(&parked);
    ok(mid_blocked_leave(u.thread));
    fork_and(another_takes_it, &u);
    ok(mid_blocked_enter(u.thread));
    pthread_barrier_wait(&parked);
    pthread_join(thread, NULL);
    ok(mid_blocked_leave(u.thread));
    pthread_barrier_destroy(&parked);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_left_twice),
        cmocka_unit_test(a_single_thread_forks),
        cmocka_unit_test(a_thread_forks_in_its_blocked_region),
        cmocka_unit_test(a_thread_forks_that_is_not_attached),
        cmocka_unit_test(a_child_forks),
        cmocka_unit_test(a_thread_forks_with_several_heaps),
        cmocka_unit_test(others_poll_and_allocate),
        cmocka_unit_test(others_sleep_in_blocked_regions),
        cmocka_unit_test(one_does_not_come),
        cmocka_unit_test(one_does_not_come_and_a_pass_is_under_way),
        cmocka_unit_test(others_allocate_and_do_not_come),
        cmocka_unit_test(several_fork_while_one_collects),
        cmocka_unit_test(a_daemon_starts_again_in_the_child),
        cmocka_unit_test(a_childs_signals_are_its_own),
    };
    return UNIT_RUN(tests);
}
