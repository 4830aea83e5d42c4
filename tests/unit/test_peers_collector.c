/* The cases of CPython's test_gc that are about the collector's switches: freezing, callbacks, off and on, thresholds. */
#include "peers.h"

/* What is frozen is nobody's candidate; thawed it is found as ever. */
TEST(cpython_test_gc_freeze)
{
    struct unit u;
    mid_collect_result result;
    peers_open(&u, "", NULL);
    mid_handle ring = unit_ring(&u, u.node, 20);
    ok(mid_freeze(u.thread));
    assert_int_equal(unit_stats(&u).frozen_objects, 20);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, &result));
    assert_int_equal(result.candidates, 0);
    assert_int_equal(unit_live(&u), 20);
    ok(mid_unfreeze(u.thread));
    assert_int_equal(unit_stats(&u).frozen_objects, 0);
    assert_int_equal(peers_collect(&u), 20);
    peers_end(&u);
}

/* GCCallbackTests: before and after each collection, with what it found; after they are removed, not. */
static struct {
    size_t before, after;
    uint64_t candidates, garbage, freed;
} heard;

static void hear_before(void *context, const mid_collection *piece)
{
    (void)context;
    heard.before += piece->kind == MID_COLLECTOR_FULL && heard.before == heard.after;
}

static void hear_after(void *context, const mid_collection *piece)
{
    (void)context;
    if (piece->kind != MID_COLLECTOR_FULL)
        return;
    heard.after++;
    heard.candidates += piece->candidates;
    heard.garbage += piece->garbage;
    heard.freed += piece->freed;
}

TEST(cpython_test_gc_callbacks)
{
    struct unit u;
    mid_listener listener = {.struct_size = sizeof listener, .context = &heard, .collecting = hear_before, .collected = hear_after};
    peers_open(&u, "", NULL);
    memset(&heard, 0, sizeof heard);
    ok(mid_listener_add(u.heap, &listener));
    peers_collect(&u);
    assert_true(heard.before == 1 && heard.after == 1 && heard.garbage == 0);
    mid_release(u.thread, unit_ring(&u, u.node, 6));
    mid_handle held = peers_self(&u, u.node);
    peers_collect(&u);
    assert_true(heard.before == 2 && heard.after == 2);
    assert_int_equal(heard.candidates, 7);
    assert_int_equal(heard.garbage, 6);
    assert_int_equal(heard.freed, 6);
    ok(mid_listener_remove(u.heap, &heard));
    peers_collect(&u);
    assert_int_equal(heard.after, 2);
    mid_release(u.thread, held);
    peers_end(&u);
}

/* GCTogglingTests: switched off, garbage stays, whatever is stepped through; what is asked for is done. Switched on, it goes. */
static void litter(struct unit *u)
{
    for (int i = 0; i < 20000; i++) {
        mid_release(u->thread, peers_self(u, u->node));
        ok(mid_safepoint(u->thread));
    }
    for (int i = 0; i < 50; i++) {
        mid_status status = mid_step(u->thread, 5000);
        assert_true(status == MID_OK || status == MID_MORE);
    }
}

TEST(cpython_test_gc_disable)
{
    struct unit u;
    peers_open(&u, "growth-min=64K", NULL);
    ok(mid_collect_disable(u.heap));
    assert_false(mid_collect_is_enabled(u.heap));
    litter(&u);
    assert_int_equal(unit_live(&u), 20000);
    assert_int_equal(peers_collect(&u), 20000);
    ok(mid_collect_enable(u.heap));
    litter(&u);
    assert_true(unit_live(&u) < 20000);
    peers_end(&u);
}

TEST(cpython_test_gc_get_threshold)
{
    struct unit u;
    mid_thresholds set = {.struct_size = sizeof set}, got = set;
    peers_open(&u, "", NULL);
    ok(mid_thresholds_get(u.heap, &set));
    set.growth_min = 1u << 20;
    set.growth = 33;
    ok(mid_thresholds_set(u.heap, &set));
    ok(mid_thresholds_get(u.heap, &got));
    assert_memory_equal(&set, &got, sizeof set);
    peers_end(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpython_test_gc_freeze),
        cmocka_unit_test(cpython_test_gc_callbacks),
        cmocka_unit_test(cpython_test_gc_disable),
        cmocka_unit_test(cpython_test_gc_get_threshold),
    };
    return UNIT_RUN(tests);
}
