/* Pauses: what the heap says of the time it takes from a thread. The search for the worst window is tried without a clock. */
#include <time.h>

#include "alloc/alloc.h"
#include "gc/pause.h"
#include "gc/service.h"
#include "peer.h"
#include "unit.h"

/* --- windows ------------------------------------------------------------------------------------------------------------ */

#define SPAN 2000 /* units of time in a life */

/* All windows of whole units that end within the life; what was before it is the thread's own. */
static uint64_t worst_of_all(const unsigned char *paused, unsigned span, unsigned window)
{
    uint64_t sum = 0, worst = 0;
    for (unsigned end = 0; end < span; end++) {
        sum += paused[end];
        sum -= end >= window ? paused[end - window] : 0;
        worst = sum > worst ? sum : worst;
    }
    return worst;
}

/* Pauses and what is between them are of 1 to `pause` and `gap` units; ends with a pause. */
static unsigned draw_life(unsigned char paused[SPAN], unsigned pause, unsigned gap, uint64_t *seed)
{
    unsigned at = 0, end = 0;
    memset(paused, 0, SPAN);
    while (at < SPAN) {
        unsigned length = 1 + (unsigned)(unit_random(seed) % pause);
        at += 1 + (unsigned)(unit_random(seed) % gap);
        for (unsigned i = at; i < at + length && i < SPAN; i++)
            paused[i] = 1;
        at += length;
        end = at < SPAN ? at : SPAN;
    }
    return end;
}

static void most_of_life(mid_pauses *p, const unsigned char *paused, unsigned span, uint64_t unit, uint64_t most[MID_MMU_WINDOWS])
{
    const uint64_t birth = 12345678901;
    uint64_t worst[MID_MMU_WINDOWS];
    mid_pauses_clear(p);
    memset(most, 0, MID_MMU_WINDOWS * sizeof *most);
    for (unsigned from = 0, to; from < span; from = to) {
        for (to = from + 1; to < span && paused[to] == paused[from];)
            to++;
        if (!paused[from])
            continue;
        mid_pauses_add(p, birth + from * unit, birth + to * unit, worst);
        for (unsigned w = 0; w < MID_MMU_WINDOWS; w++)
            most[w] = worst[w] > most[w] ? worst[w] : most[w];
    }
}

TEST(the_worst_window_is_found)
{
    enum { UNIT = 250000 }; /* nanoseconds: 1 ms is 4 of them, 50 ms are 200 */
    static mid_pauses pauses;
    unsigned char paused[SPAN];
    uint64_t seed = 11, most[MID_MMU_WINDOWS];
    for (unsigned life = 0; life < unit_scale(2000); life++) {
        unsigned span = draw_life(paused, 1 + life % 9, 1 + life % 97, &seed);
        most_of_life(&pauses, paused, span, UNIT, most);
        for (unsigned w = 0; w < MID_MMU_WINDOWS; w++)
            assert_int_equal(most[w], UNIT * worst_of_all(paused, span, (unsigned)(mid_mmu_windows[w] / UNIT)));
    }
}

TEST(lives_shorter_than_the_window)
{
    static mid_pauses pauses;
    uint64_t worst[MID_MMU_WINDOWS];
    mid_pauses_add(&pauses, 500, 20500, worst);
    mid_pauses_add(&pauses, 30500, 60500, worst);
    for (unsigned w = 0; w < MID_MMU_WINDOWS; w++)
        assert_int_equal(worst[w], 50000);
    mid_pauses_add(&pauses, 1000000, 1020500, worst);
    assert_int_equal(worst[0], 30000 + 20500); /* the window begins as the first pause ends */
    assert_int_equal(worst[1], 50000 + 20500);
    mid_pauses_add(&pauses, 2000000, 202000000, worst);
    for (unsigned w = 0; w < MID_MMU_WINDOWS; w++)
        assert_int_equal(worst[w], mid_mmu_windows[w]);
}

TEST(more_pauses_than_are_kept_give_a_bound)
{
    enum { UNIT = 12500 }; /* some 1300 in 50 ms */
    static mid_pauses pauses;
    unsigned char paused[SPAN];
    uint64_t seed = 5, most[MID_MMU_WINDOWS];
    bool more = false;
    for (unsigned life = 0; life < unit_scale(300); life++) {
        unsigned span = draw_life(paused, 1, 1 + life % 4, &seed);
        most_of_life(&pauses, paused, span, UNIT, most);
        assert_true(pauses.count <= MID_PAUSES_KEPT);
        for (unsigned w = 0; w < MID_MMU_WINDOWS; w++) {
            uint64_t exact = UNIT * worst_of_all(paused, span, (unsigned)(mid_mmu_windows[w] / UNIT));
            assert_true(most[w] >= exact && most[w] <= mid_mmu_windows[w]);
            more |= most[w] > exact;
        }
    }
    assert_true(more); /* or this has tried nothing */
}

/* --- what is recorded --------------------------------------------------------------------------------------------------- */

static mid_pause_stats pauses_of(mid_heap *heap, mid_pause_cause cause)
{
    mid_pause_stats s;
    uint64_t wall = 0, cpu = 0;
    ok(mid_stats_pauses(heap, cause, &s));
    for (unsigned i = 0; i < MID_STOP_BUCKETS; i++) {
        wall += s.wall_histogram[i];
        cpu += s.cpu_histogram[i];
    }
    assert_int_equal(wall, s.count);
    assert_int_equal(cpu, s.count);
    assert_true(s.cpu_nanos <= s.wall_nanos && s.cpu_nanos_max <= s.wall_nanos_max && s.wall_nanos_max <= s.wall_nanos);
    return s;
}

static uint64_t paused_nanos(mid_heap *heap)
{
    uint64_t nanos = 0;
    for (int cause = 0; cause < MID_PAUSE_CAUSE_COUNT; cause++)
        nanos += pauses_of(heap, (mid_pause_cause)cause).wall_nanos;
    return nanos;
}

static double least_share(mid_heap *heap, uint64_t window)
{
    double share = -1;
    ok(mid_stats_mmu(heap, window, &share));
    assert_true(share >= 0 && share <= 1);
    return share;
}

static const uint64_t windows[] = {1000, 5000, 10000, 50000};

TEST(every_stop_has_its_cause)
{
    struct unit u;
    uint64_t objects, bytes;
    unit_open(&u, "");
    for (int i = 0; i < 25; i++)
        ok(mid_collect(u.thread, NULL));
    for (int i = 0; i < 3; i++) {
        ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
        unit_compacted(&u, 0);
    }
    ok(mid_heap_check(u.heap));
    ok(mid_stats_type(u.heap, u.node, &objects, &bytes));
    ok(mid_service_stop(u.heap, u.thread, 0, NULL));
    mid_service_resume(u.heap);
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_COLLECT).count, 25);
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_COMPACT).count, 3);
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_LOOK).count, 2);
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_SERVICE).count, 1);
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_PARKED).count, 0);
    assert_true(least_share(u.heap, 1000) < 1);
    expect(MID_EPOSTPONED, mid_service_stop(u.heap, NULL, 0, NULL)); /* as from another thread: for this one it is no pause ... */
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_SERVICE).count, 1);
    ok(mid_safepoint(u.thread)); /* ... before it waits for the service to come back */
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_PARKED).count, 1);
    unit_close(&u);
}

TEST(a_step_is_a_pause_and_so_is_help)
{
    struct unit u;
    uint64_t stopped = 0;
    unit_open(&u, "credit=64K");
    ok(mid_step(u.thread, 0)); /* from now on suspects are logged */
    for (int i = 0; i < 400; i++) {
        uint64_t before = pauses_of(u.heap, MID_PAUSE_STEP).count;
        mid_release(u.thread, unit_ring(&u, u.node, 4));
        ok(mid_step(u.thread, 10000000));
        stopped += pauses_of(u.heap, MID_PAUSE_STEP).count - before;
    }
    assert_int_equal(stopped, 400); /* each proved a ring to be garbage, in a stop, however short */
    mid_service_log(u.heap, true, 8, 0);
    for (int i = 0; i < 100000 && pauses_of(u.heap, MID_PAUSE_HELP).count == 0; i++) {
        mid_release(u.thread, unit_ring(&u, u.node, 100));
        ok(mid_safepoint(u.thread));
    }
    assert_true(pauses_of(u.heap, MID_PAUSE_HELP).count >= 1);
    ok(mid_reclaim(u.thread));
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_RECLAIM).count, 1);
    unit_close(&u);
}

/* The daemon on the loop of a mutator: what it does there is a pause, though it stops nobody. */
TEST(looking_for_cycles_on_the_own_thread_is_a_pause)
{
    struct unit u;
    uint64_t walked, proposed;
    unit_open(&u, "");
    mid_service_log(u.heap, true, 0, 0);
    unit_drop_rings(&u, u.node, unit_scale(20000), 10);
    ok(mid_service_propose(u.heap, 1000000000, &walked, &proposed));
    assert_true(walked != 0 && proposed != 0);
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_SERVICE).count, 1);
    unit_drop_rings(&u, u.node, unit_scale(20000), 10);
    ok(mid_blocked_enter(u.thread));
    ok(mid_service_propose(u.heap, 1000000000, &walked, &proposed));
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(pauses_of(u.heap, MID_PAUSE_SERVICE).count, 1); /* time in a region is the thread's own */
    unit_close(&u);
}

TEST(who_waits_for_a_stop_is_parked)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    peer_begin(peer, peer_polls);
    ok_in_time(mid_collect(u.thread, NULL));
    peer_finish(peer);
    assert_true(pauses_of(u.heap, MID_PAUSE_PARKED).count >= 1);
    peer_end(peer);
    unit_close(&u);
}

#define NAP 2000000 /* nanoseconds */

static void nap(void)
{
    const struct timespec nanos = {.tv_nsec = NAP};
    while (nanosleep(&nanos, NULL) != 0)
        ;
}

static void naps(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
    nap();
}

TEST(waiting_is_not_processor_time)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    peer_begin(peer, peer_polls);
    ok_in_time(mid_service_stop(u.heap, u.thread, 100000, NULL));
    nap();
    mid_service_resume(u.heap);
    peer_finish(peer);
    mid_pause_stats s = pauses_of(u.heap, MID_PAUSE_PARKED);
    assert_true(s.wall_nanos_max >= NAP && s.wall_nanos - s.cpu_nanos >= NAP / 2);
    s = pauses_of(u.heap, MID_PAUSE_SERVICE);
    assert_true(s.wall_nanos_max >= NAP && s.wall_nanos - s.cpu_nanos >= NAP / 2);
    peer_end(peer);
    unit_close(&u);
}

/* In a release that frees many, the last of which naps. An interruption may be longer than the nap, but not each time. */
TEST(the_cause_is_what_takes_longest_by_itself)
{
    struct unit u;
    unit_open(&u, "");
    mid_type dozer = unit_node_type(u.heap, (mid_type_desc){.name = "naps", .finalize = naps});
    for (int tries = 0; tries < 100 && pauses_of(u.heap, MID_PAUSE_FINALIZE).count == 0; tries++) {
        mid_handle list = unit_new(&u, dozer);
        for (int i = 0; i < 200; i++) {
            mid_handle made = unit_new(&u, u.node);
            mid_give(u.thread, made, LEFT, list);
            list = made;
        }
        mid_release(u.thread, list);
    }
    assert_true(pauses_of(u.heap, MID_PAUSE_FINALIZE).count == 1);
    unit_close(&u);
}

static void drop_one_that_naps(struct peer *peer)
{
    mid_handle object;
    peer->status = mid_new(peer->thread, peer->type, &object);
    if (peer->status == MID_OK)
        mid_release(peer->thread, object);
}

TEST(a_thread_that_has_gone_has_been_paused)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    peer->type = unit_node_type(u.heap, (mid_type_desc){.name = "naps", .finalize = naps});
    uint64_t before = mid_clock_nanos();
    peer_do(peer, drop_one_that_naps);
    uint64_t took = mid_clock_nanos() - before;
    ok(peer->status);
    peer_end(peer);
    mid_pause_stats s = pauses_of(u.heap, MID_PAUSE_FINALIZE);
    assert_int_equal(s.count, 1);
    assert_true(s.wall_nanos >= NAP && s.wall_nanos <= took);
    assert_true(least_share(u.heap, 1000) == 0);
    for (int i = 1; i < 4; i++)
        assert_true(least_share(u.heap, windows[i]) <= 1 - (double)NAP / 1000 / (double)windows[i]);
    unit_close(&u);
}

/* Memory that the system takes its time to give, and to take. */
static bool hesitates;

static bool slow_commit(void *context, void *at, size_t size)
{
    if (hesitates)
        nap();
    return mid_os_default.commit(context, at, size);
}

static void *slow_map(void *context, size_t size)
{
    if (hesitates)
        nap();
    return mid_os_default.map(context, size);
}

static void *slow_remap(void *context, void *at, size_t old_size, size_t new_size)
{
    if (hesitates)
        nap();
    return mid_os_default.remap(context, at, old_size, new_size);
}

TEST(waiting_for_memory_is_a_pause)
{
    struct unit u;
    mid_os slow = mid_os_default;
    mid_options options;
    slow.commit = slow_commit;
    slow.map = slow_map;
    slow.remap = slow_remap;
    mid_options_init(&options);
    options.os = &slow;
    unit_open_with(&u, &options);
    hesitates = true;
    mid_handle large = unit_array(&u, u.bytes, 2000000), small = unit_array(&u, u.bytes, 10);
    hesitates = false;
    mid_pause_stats s = pauses_of(u.heap, MID_PAUSE_LARGE);
    assert_true(s.count >= 1 && s.wall_nanos_max >= NAP);
    s = pauses_of(u.heap, MID_PAUSE_REFILL);
    assert_true(s.count >= 1 && s.wall_nanos_max >= NAP);
    mid_release(u.thread, large);
    mid_release(u.thread, small);
    large = unit_array(&u, u.bytes, 20000000);
    uint64_t before = paused_nanos(u.heap);
    hesitates = true;
    mid_release(u.thread, large); /* a piece of it */
    hesitates = false;
    assert_true(paused_nanos(u.heap) - before >= NAP);
    unit_close(&u);
}

/* By a clock outside: the heap's account lies within. */
#define WITHIN(heap, call)                                                                    \
    do {                                                                                      \
        uint64_t was_ = paused_nanos(heap), from_ = mid_clock_nanos();                        \
        call;                                                                                 \
        uint64_t took_ = mid_clock_nanos() - from_;                                           \
        assert_true(paused_nanos(heap) - was_ <= took_);                                      \
    } while (0)

TEST(a_call_takes_no_longer_than_it_seems)
{
    struct unit u;
    unit_open(&u, "");
    for (unsigned round = 0; round < 8; round++) {
        mid_handle list = 0, large;
        for (size_t i = 0; i < unit_scale(20000); i++) {
            mid_handle made = unit_new(&u, u.node);
            mid_give(u.thread, made, LEFT, list);
            list = made;
        }
        mid_handle ring = unit_ring(&u, u.node, 100);
        mid_release(u.thread, ring);
        WITHIN(u.heap, large = unit_array(&u, u.bytes, 3000000));
        WITHIN(u.heap, ok(mid_resize(u.thread, large, 100000)));
        WITHIN(u.heap, mid_release(u.thread, large));
        WITHIN(u.heap, mid_release(u.thread, list));
        WITHIN(u.heap, ok(mid_safepoint(u.thread)));
        WITHIN(u.heap, ok(mid_blocked_enter(u.thread)));
        WITHIN(u.heap, ok(mid_blocked_leave(u.thread)));
        WITHIN(u.heap, ok(mid_trim(u.thread, 0, NULL)));
    }
    unit_close(&u);
}

TEST(arguments_of_figures)
{
    struct unit u;
    mid_pause_stats s;
    double share;
    unit_open(&u, "");
    for (int i = 0; i < 4; i++)
        assert_true(least_share(u.heap, windows[i]) >= 0);
    expect(MID_EINVAL, mid_stats_mmu(u.heap, 0, &share));
    expect(MID_EINVAL, mid_stats_mmu(u.heap, 2000, &share));
    expect(MID_ENULL, mid_stats_mmu(NULL, 1000, &share));
    expect(MID_ENULL, mid_stats_mmu(u.heap, 1000, NULL));
    expect(MID_EINVAL, mid_stats_pauses(u.heap, MID_PAUSE_CAUSE_COUNT, &s));
    expect(MID_EINVAL, mid_stats_pauses(u.heap, (mid_pause_cause)-1, &s));
    expect(MID_ENULL, mid_stats_pauses(NULL, MID_PAUSE_DRAIN, &s));
    expect(MID_ENULL, mid_stats_pauses(u.heap, MID_PAUSE_DRAIN, NULL));
    assert_string_equal(mid_pause_name(MID_PAUSE_PARKED), "parked");
    assert_string_equal(mid_pause_name(MID_PAUSE_TRANSFER), "transfer");
    assert_string_equal(mid_pause_name(MID_PAUSE_CAUSE_COUNT), "?");
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_window_is_found),
        cmocka_unit_test(lives_shorter_than_the_window),
        cmocka_unit_test(more_pauses_than_are_kept_give_a_bound),
        cmocka_unit_test(every_stop_has_its_cause),
        cmocka_unit_test(a_step_is_a_pause_and_so_is_help),
        cmocka_unit_test(looking_for_cycles_on_the_own_thread_is_a_pause),
        cmocka_unit_test(who_waits_for_a_stop_is_parked),
        cmocka_unit_test(waiting_is_not_processor_time),
        cmocka_unit_test(the_cause_is_what_takes_longest_by_itself),
        cmocka_unit_test(a_thread_that_has_gone_has_been_paused),
        cmocka_unit_test(waiting_for_memory_is_a_pause),
        cmocka_unit_test(a_call_takes_no_longer_than_it_seems),
        cmocka_unit_test(arguments_of_figures),
    };
    return UNIT_RUN(tests);
}
