/* The collector in the program's hands: off and on, by kind, thresholds, what listeners and figures say, garbage that is kept,
 * hooks and leaks at the end. */
#include "peer.h"

#include "fault_os.h"
#include "midden/daemon.h"

static mid_collector_stats figures(struct unit *u, mid_collector_kind kind)
{
    mid_collector_stats stats;
    assert_int_equal(mid_collector_stats_get(u->heap, kind, &stats, sizeof stats), sizeof stats);
    return stats;
}

/* Two objects that hold each other; `first` is theirs who ask, borrowed. */
static mid_handle ring(struct unit *u, mid_type type)
{
    mid_handle a = unit_new(u, type), b = unit_new(u, type);
    mid_init(u->thread, a, LEFT, mid_retain(u->thread, b));
    mid_store(u->thread, b, LEFT, a);
    mid_release(u->thread, b);
    mid_release(u->thread, a);
    return a;
}

static void rings(struct unit *u, int count)
{
    for (int i = 0; i < count; i++)
        ring(u, u->node);
}

/* --- listeners ------------------------------------------------------------------------------------------------------------------ */

static struct {
    uint64_t before[MID_COLLECTOR_KINDS], after[MID_COLLECTOR_KINDS], freed, garbage, beside, depth, wrong;
    mid_leak_object leaks[8];
    char where[8][32];
    unsigned leak_count;
} heard;

static void on_collecting(void *context, const mid_collection *piece)
{
    (void)context;
    heard.wrong += heard.depth++ != 0 || piece->kind >= MID_COLLECTOR_KINDS || piece->freed != 0;
    heard.before[piece->kind]++;
}

static void on_collected(void *context, const mid_collection *piece)
{
    mid_collector_stats stats;
    heard.wrong += --heard.depth != 0 || mid_collector_stats_get(context, piece->kind, &stats, sizeof stats) != sizeof stats;
    heard.after[piece->kind]++;
    heard.freed += piece->freed;
    heard.garbage += piece->garbage;
    heard.beside += piece->beside != 0;
}

static void on_leak(void *context, const mid_leak_object *object)
{
    (void)context;
    heard.leaks[heard.leak_count % 8] = *object;
    snprintf(heard.where[heard.leak_count++ % 8], sizeof heard.where[0], "%s", object->where == NULL ? "" : object->where);
}

static void listen_to(struct unit *u)
{
    mid_listener listener = {.struct_size = sizeof listener, .context = u->heap, .collecting = on_collecting,
                             .collected = on_collected, .leak_object = on_leak};
    memset(&heard, 0, sizeof heard);
    ok(mid_listener_add(u->heap, &listener));
}

TEST(each_kind_collects_and_says_so)
{
    static const struct {
        unsigned kinds;
        mid_collector_kind kind;
    } ways[] = {{MID_COLLECT_SUSPECTS, MID_COLLECTOR_SUSPECTS}, {MID_COLLECT_SWEEP, MID_COLLECTOR_SWEEP}, {MID_COLLECT_FULL, MID_COLLECTOR_FULL}};
    for (unsigned way = 0; way < 3; way++) {
        struct unit u;
        mid_collect_result result;
        unit_open(&u, "");
        listen_to(&u);
        mid_handle kept = unit_new(&u, u.node);
        ok(mid_collect_kinds(u.thread, MID_COLLECT_SUSPECTS, NULL)); /* from here on they are logged */
        heard.freed = 0;
        rings(&u, 2000);
        ok(mid_collect_kinds(u.thread, ways[way].kinds, &result));
        assert_int_equal(result.freed, 4000);
        assert_int_equal(result.garbage, 4000);
        assert_true(result.candidates >= 2000);
        assert_int_equal(unit_live(&u), 1);
        mid_collector_stats stats = figures(&u, ways[way].kind);
        assert_true(stats.runs != 0 && stats.pieces >= stats.runs);
        assert_int_equal(heard.freed, 4000);
        assert_int_equal(heard.wrong, 0);
        assert_true(heard.after[ways[way].kind] != 0);
        for (unsigned kind = 0; kind < MID_COLLECTOR_KINDS; kind++) {
            assert_int_equal(heard.before[kind], heard.after[kind]);
            assert_int_equal(heard.after[kind], figures(&u, (mid_collector_kind)kind).pieces);
        }
        assert_int_equal(heard.beside != 0, 1); /* suspects were looked for at first */
        mid_release(u.thread, kept);
        unit_close(&u);
    }
}

/* Larger than what is proved at once: watched, and freed in pieces. */
TEST(a_sweep_frees_a_large_set)
{
    struct unit u;
    mid_collect_result result;
    unit_open(&u, "");
    mid_handle first = unit_new(&u, u.node), last = mid_retain(u.thread, first);
    for (int i = 0; i < 20000; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_store(u.thread, last, LEFT, next);
        mid_release(u.thread, last);
        last = next;
    }
    mid_give(u.thread, last, LEFT, first); /* the list bites its tail, */
    mid_release(u.thread, last);           /* and nobody holds it */
    ok(mid_collect_kinds(u.thread, MID_COLLECT_SWEEP, &result));
    unit_drain(&u);
    assert_int_equal(result.freed, 20001);
    assert_int_equal(figures(&u, MID_COLLECTOR_SWEEP).freed, 20001);
    unit_close_empty(&u);
}

static void resurrect(mid_thread *thread, mid_handle object)
{
    mid_handle *kept = mid_get(thread, object);
    (void)kept;
    mid_retain(thread, object); /* whoever wants it again: the test */
}

TEST(a_recount_tells_of_who_came_back)
{
    struct unit u;
    unit_open(&u, "");
    listen_to(&u);
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "phoenix", .finalize = resurrect});
    mid_handle a = ring(&u, type), b = mid_peek(u.thread, a, LEFT);
    ok(mid_collect(u.thread, NULL));
    mid_collector_stats stats = figures(&u, MID_COLLECTOR_RECOUNT);
    assert_int_equal(stats.resurrected, 2);
    assert_int_equal(stats.candidates, 2);
    assert_int_equal(stats.freed, 0);
    assert_int_equal(heard.after[MID_COLLECTOR_RECOUNT], stats.pieces);
    mid_release(u.thread, a);
    mid_release(u.thread, b);
    ok(mid_collect(u.thread, NULL));
    unit_close_empty(&u);
}

/* --- off and on -------------------------------------------------------------------------------------------------------------------- */

static void grow(struct unit *u)
{
    for (int i = 0; i < 300; i++) {
        rings(u, 1000);
        ok(mid_safepoint(u->thread));
    }
}

TEST(nothing_is_collected_while_it_is_off)
{
    struct unit u;
    mid_daemon *daemon;
    unit_open(&u, "heartbeat=1ms,idle=2ms,growth-min=64K,stop-wait=1s");
    listen_to(&u);
    ok(mid_daemon_start(u.heap, &daemon));
    assert_true(mid_collect_is_enabled(u.heap));
    ok(mid_collect_disable(u.heap));
    ok(mid_collect_disable(u.heap));
    grow(&u);
    ok(mid_step(u.thread, 20000));
    for (int i = 0; i < 10; i++) {
        ok(mid_blocked_enter(u.thread));
        usleep(5000); /* the daemon may do what it likes; no more depends on it */
        ok(mid_blocked_leave(u.thread));
    }
    ok(mid_collect_enable(u.heap));
    assert_false(mid_collect_is_enabled(u.heap));
    assert_int_equal(unit_live(&u), 600000);
    for (unsigned kind = 0; kind < MID_COLLECTOR_KINDS; kind++)
        assert_int_equal(figures(&u, (mid_collector_kind)kind).freed, 0);
    mid_collect_result result;
    ok(mid_collect(u.thread, &result)); /* asked for */
    assert_int_equal(result.freed, 600000);
    ok(mid_collect_enable(u.heap));
    assert_true(mid_collect_is_enabled(u.heap));
    expect(MID_EINVAL, mid_collect_enable(u.heap));
    while (figures(&u, MID_COLLECTOR_FULL).freed + figures(&u, MID_COLLECTOR_SUSPECTS).freed + figures(&u, MID_COLLECTOR_SWEEP).freed <= 600000) {
        rings(&u, 1000);
        ok(mid_safepoint(u.thread));
    }
    ok(mid_daemon_stop(daemon));
    assert_int_equal(heard.wrong, 0);
    for (unsigned kind = 0; kind < MID_COLLECTOR_KINDS; kind++)
        assert_int_equal(heard.after[kind], figures(&u, (mid_collector_kind)kind).pieces);
    unit_close(&u);
}

TEST(thresholds_change_at_once_and_in_bounds)
{
    struct unit u;
    unit_open(&u, "");
    mid_thresholds was = {.struct_size = sizeof was}, now;
    ok(mid_thresholds_get(u.heap, &was));
    assert_int_equal(was.growth_min, 1u << 20);
    assert_int_equal(was.growth, 75);
    now = was;
    now.growth_min = 123456;
    now.suspect_min = 77;
    ok(mid_thresholds_set(u.heap, &now));
    now.growth = 0; /* at least 1 */
    now.growth_min = 1;
    expect(MID_EINVAL, mid_thresholds_set(u.heap, &now));
    now.struct_size = 1;
    expect(MID_EINVAL, mid_thresholds_set(u.heap, &now));
    expect(MID_EINVAL, mid_thresholds_get(u.heap, &now));
    expect(MID_ENULL, mid_thresholds_set(u.heap, NULL));
    expect(MID_ENULL, mid_thresholds_get(NULL, &was));
    ok(mid_thresholds_get(u.heap, &was));
    assert_int_equal(was.growth_min, 123456);
    assert_int_equal(was.suspect_min, 77);
    assert_int_equal(was.growth, 75);
    unit_close(&u);
}

/* The daemon has its own: with a threshold that is never reached nobody collects, with a low one somebody does. */
TEST(the_daemon_goes_by_new_thresholds)
{
    struct unit u;
    mid_daemon *daemon;
    mid_thresholds t = {.struct_size = sizeof t};
    unit_open(&u, "growth-min=18446744073709551615,suspect-min=4G,heartbeat=1ms,idle=3600s,pressure=off");
    ok(mid_daemon_start(u.heap, &daemon));
    for (int i = 0; i < 100; i++) {
        rings(&u, 1000);
        ok(mid_safepoint(u.thread));
    }
    assert_int_equal(figures(&u, MID_COLLECTOR_FULL).freed, 0);
    ok(mid_thresholds_get(u.heap, &t));
    t.growth_min = 64u << 10;
    ok(mid_thresholds_set(u.heap, &t));
    while (figures(&u, MID_COLLECTOR_FULL).freed + figures(&u, MID_COLLECTOR_SUSPECTS).freed + figures(&u, MID_COLLECTOR_SWEEP).freed == 0) {
        rings(&u, 100);
        ok(mid_safepoint(u.thread));
    }
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

/* --- garbage kept -------------------------------------------------------------------------------------------------------------- */

static int finalized;
static void on_death(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
    finalized++;
}

TEST(garbage_is_kept_and_taken)
{
    for (unsigned kinds = MID_COLLECT_SUSPECTS; kinds <= MID_COLLECT_FULL; kinds <<= 1) {
        struct unit u;
        mid_handle taken[3], found;
        size_t count, all = 0;
        unit_open(&u, "");
        mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "mortal", .finalize = on_death});
        finalized = 0;
        ok(mid_collect_save(u.thread, 1));
        ok(mid_collect_kinds(u.thread, MID_COLLECT_SUSPECTS, NULL));
        mid_handle lost = ring(&u, type);
        rings(&u, 3);
        mid_weak weak;
        ok(mid_weak_new(u.thread, lost, &weak));
        ok(mid_collect_kinds(u.thread, kinds, NULL));
        assert_int_equal(unit_live(&u), 8);
        assert_int_equal(finalized, 0);
        ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL)); /* handles on the list stay */
        unit_check(&u);
        ok(mid_collect(u.thread, NULL)); /* they are held now: none is found twice */
        found = mid_weak_get(u.thread, weak);
        assert_int_equal(found, lost);
        mid_release(u.thread, found);
        ok(mid_collect_save(u.thread, 0));
        mid_status status;
        do {
            status = mid_collect_saved(u.thread, taken, 3, &count);
            for (size_t i = 0; i < count; i++) {
                uint32_t held;
                ok(mid_count_of(u.thread, taken[i], &held));
                assert_int_equal(held, 2); /* ours, and the ring's */
                mid_release(u.thread, taken[i]);
            }
            all += count;
        } while (status == MID_MORE);
        ok(status);
        assert_int_equal(all, 8);
        assert_int_equal(figures(&u, MID_COLLECTOR_SUSPECTS).saved + figures(&u, MID_COLLECTOR_FULL).saved, 8);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(finalized, 2);
        assert_int_equal(unit_live(&u), 0);
        ok(mid_weak_drop(u.thread, weak));
        unit_close(&u);
    }
}

TEST(what_is_on_the_list_goes_when_the_heap_closes)
{
    struct unit u;
    unit_open(&u, "");
    ok(mid_collect_save(u.thread, 1));
    rings(&u, 5000); /* more than a proof of one stop */
    ok(mid_collect_kinds(u.thread, MID_COLLECT_SWEEP, NULL));
    assert_int_equal(unit_live(&u), 10000);
    unit_close(&u);
}

TEST(without_memory_for_the_list_it_stays_garbage)
{
    for (size_t n = 1; n < 8; n++) {
        struct fault_os fault;
        struct unit u;
        mid_collect_result result;
        size_t count;
        fault_open(&u, &fault, "");
        ok(mid_collect_save(u.thread, 1));
        rings(&u, 2000);
        fault.fail_at = fault.calls + n;
        fault.for_good = 1;
        mid_status status = mid_collect(u.thread, &result);
        assert_true(status == MID_OK || status == MID_ENOMEM);
        fault.fail_at = 0;
        fault.for_good = 0;
        unit_check(&u);
        assert_int_equal(unit_live(&u), 4000);
        ok(mid_collect(u.thread, &result));
        mid_handle one;
        expect(MID_MORE, mid_collect_saved(u.thread, &one, 1, &count));
        mid_release(u.thread, one);
        fault_close(&u, &fault);
    }
}

/* --- the end ------------------------------------------------------------------------------------------------------------------------ */

static struct {
    struct unit *u;
    int order[4], calls;
    mid_status closing;
} closing;

static void hook(void *context, mid_thread *thread)
{
    mid_handle made;
    closing.order[closing.calls++ % 4] = (int)(intptr_t)context;
    assert_ptr_equal(thread, mid_thread_current(closing.u->heap));
    ok(mid_new(thread, closing.u->node, &made)); /* it works */
    mid_release(thread, made);
    closing.closing = mid_heap_close(closing.u->heap);
    if (context == (void *)2)
        ok(mid_close_hook(closing.u->heap, hook, (void *)7));
}

static void leaves(void *context, mid_thread *thread)
{
    (void)context;
    ok(mid_thread_detach(thread));
}

static void sleeps(void *context, mid_thread *thread)
{
    (void)context;
    ok(mid_blocked_enter(thread));
}

TEST(hooks_run_in_reverse_while_it_works)
{
    struct unit u;
    unit_open(&u, "");
    closing.u = &u;
    closing.calls = 0;
    expect(MID_ENULL, mid_close_hook(u.heap, NULL, NULL));
    expect(MID_ENULL, mid_close_hook(NULL, hook, NULL));
    expect(MID_EINVAL, mid_close_unhook(u.heap, hook, NULL));
    ok(mid_close_hook(u.heap, hook, (void *)1));
    ok(mid_close_hook(u.heap, hook, (void *)9));
    ok(mid_close_hook(u.heap, hook, (void *)2));
    ok(mid_close_hook(u.heap, leaves, NULL));
    ok(mid_close_unhook(u.heap, hook, (void *)9));
    ok(mid_close_hook(u.heap, sleeps, NULL));
    expect(MID_ETHREAD, mid_heap_close(u.heap));
    ok(mid_blocked_leave(u.thread));
    unit_close(&u);
    assert_int_equal(closing.calls, 3);
    assert_int_equal(closing.order[0], 2);
    assert_int_equal(closing.order[1], 7);
    assert_int_equal(closing.order[2], 1);
    assert_int_equal(closing.closing, MID_EBUSY);
}

static const char *where(void *context, mid_heap *heap, mid_handle object)
{
    static char text[32];
    (void)heap;
    snprintf(text, sizeof text, "%s %u", (const char *)context, object);
    return text;
}

TEST(leaks_are_told_object_by_object)
{
    struct unit u;
    unit_open(&u, "");
    listen_to(&u);
    mid_handle child = unit_new(&u, u.node), root = unit_new(&u, u.node), forever = unit_new(&u, u.node), vec;
    ok(mid_new_array(u.thread, u.vec, 20, &vec));
    for (int i = 0; i < 20; i++)
        mid_store(u.thread, vec, ITEM(i), child);
    mid_init(u.thread, root, LEFT, vec);
    mid_store(u.thread, root, RIGHT, child);
    mid_release(u.thread, child);
    mid_retain(u.thread, root);
    ok(mid_immortalize(u.thread, forever));
    ok(mid_leaks_tell(u.heap, 3, where, "made at"));
    expect(MID_ENULL, mid_leaks_tell(NULL, 3, NULL, NULL));
    expect(MID_EHELD, mid_heap_close(u.heap));
    assert_int_equal(heard.leak_count, 3);
    char expected[32];
    snprintf(expected, sizeof expected, "made at %u", root);
    assert_int_equal(heard.leaks[0].object, root); /* held from outside comes first */
    assert_int_equal(heard.leaks[0].count, 2);
    assert_int_equal(heard.leaks[0].outside, 2);
    assert_int_equal(heard.leaks[0].referrers, 0);
    assert_string_equal(heard.where[0], expected);
    assert_int_equal(heard.leaks[1].object, forever);
    assert_int_equal(heard.leaks[1].count, UINT32_MAX);
    assert_int_equal(heard.leaks[2].object, child);
    assert_int_equal(heard.leaks[2].outside, 0);
    assert_int_equal(heard.leaks[2].count, 21);
    assert_int_equal(heard.leaks[2].referrers, 21);
    assert_int_equal(heard.leaks[2].bytes, sizeof(struct node));
    bool from_root = false;
    for (int i = 0; i < MID_LEAK_REFERRERS; i++) {
        assert_true(heard.leaks[2].by[i] == vec || heard.leaks[2].by[i] == root);
        from_root |= heard.leaks[2].by[i] == root && heard.leaks[2].slot[i] == RIGHT;
    }
    assert_true(from_root || heard.leaks[2].by[0] == vec);
}

TEST(bad_calls_are_told)
{
    struct unit u;
    mid_collector_stats stats;
    mid_handle one;
    size_t count = 1;
    unit_open(&u, "");
    expect(MID_ENULL, mid_collect_disable(NULL));
    expect(MID_ENULL, mid_collect_enable(NULL));
    assert_false(mid_collect_is_enabled(NULL));
    expect(MID_EINVAL, mid_collect_enable(u.heap));
    expect(MID_ENULL, mid_collect_kinds(NULL, MID_COLLECT_FULL, NULL));
    expect(MID_EINVAL, mid_collect_kinds(u.thread, 0, NULL));
    expect(MID_EINVAL, mid_collect_kinds(u.thread, 1u << MID_COLLECTOR_RECOUNT, NULL));
    expect(MID_EINVAL, mid_collect_kinds(u.thread, UINT32_MAX, NULL));
    expect(MID_ENULL, mid_collect_save(NULL, 1));
    expect(MID_ENULL, mid_collect_saved(u.thread, NULL, 1, &count));
    expect(MID_ENULL, mid_collect_saved(u.thread, &one, 1, NULL));
    ok(mid_collect_saved(u.thread, &one, 1, &count));
    assert_int_equal(count, 0);
    assert_int_equal(mid_collector_stats_get(u.heap, MID_COLLECTOR_KINDS, &stats, sizeof stats), 0);
    assert_int_equal(mid_collector_stats_get(NULL, MID_COLLECTOR_FULL, &stats, sizeof stats), 0);
    assert_int_equal(mid_collector_stats_get(u.heap, MID_COLLECTOR_FULL, &stats, 8), 8);
    assert_string_equal(mid_collector_name(MID_COLLECTOR_SWEEP), "sweep");
    assert_string_equal(mid_collector_name((mid_collector_kind)99), "none");
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_collect_kinds(u.thread, MID_COLLECT_FULL, NULL));
    expect(MID_ETHREAD, mid_collect_save(u.thread, 1));
    expect(MID_ETHREAD, mid_collect_saved(u.thread, &one, 1, &count));
    ok(mid_blocked_leave(u.thread));
    unit_close(&u);
}

static uint64_t found_after(unsigned way)
{
    struct unit u;
    mid_collect_result result;
    unit_open(&u, "");
    if (way == 1)
        ok(mid_collect_kinds(u.thread, MID_COLLECT_SUSPECTS, NULL));
    if (way == 2)
        ok(mid_collect_kinds(u.thread, MID_COLLECT_SWEEP, NULL));
    if (way == 3)
        ok(mid_step(u.thread, 1000000));
    if (way == 4) {
        ok(mid_collect_kinds(u.thread, MID_COLLECT_SWEEP, NULL));
        mid_daemon *daemon;
        ok(mid_daemon_start(u.heap, &daemon));
        ok(mid_daemon_stop(daemon));
    }
    rings(&u, 20000);
    ok(mid_collect_kinds(u.thread, MID_COLLECT_SUSPECTS, &result));
    unit_drain(&u);
    unit_check(&u);
    uint64_t left = unit_live(&u);
    ok(mid_collect(u.thread, NULL));
    unit_close(&u);
    return 40000 - left;
}

/* SUSPECTS, SWEEP and mid_step have them logged from then on; nothing else does, and a daemon that ends takes it back. */
TEST(who_has_suspects_logged)
{
    assert_true(found_after(0) < 40000 / 2);
    assert_int_equal(found_after(1), 40000);
    assert_int_equal(found_after(2), 40000);
    assert_int_equal(found_after(3), 40000);
    assert_true(found_after(4) < 40000 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_suspects_logged),
        cmocka_unit_test(each_kind_collects_and_says_so),
        cmocka_unit_test(a_sweep_frees_a_large_set),
        cmocka_unit_test(a_recount_tells_of_who_came_back),
        cmocka_unit_test(nothing_is_collected_while_it_is_off),
        cmocka_unit_test(thresholds_change_at_once_and_in_bounds),
        cmocka_unit_test(the_daemon_goes_by_new_thresholds),
        cmocka_unit_test(garbage_is_kept_and_taken),
        cmocka_unit_test(what_is_on_the_list_goes_when_the_heap_closes),
        cmocka_unit_test(without_memory_for_the_list_it_stays_garbage),
        cmocka_unit_test(hooks_run_in_reverse_while_it_works),
        cmocka_unit_test(leaks_are_told_object_by_object),
        cmocka_unit_test(bad_calls_are_told),
    };
    return UNIT_RUN(tests);
}
