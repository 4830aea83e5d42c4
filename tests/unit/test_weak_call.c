/* Weak references that call back. Bad input to all of weak.h, and refused memory. */
#include "fault_os.h"
#include "maps.h"

/* --- callbacks ---------------------------------------------------------------------------------------------------------------- */

static struct {
    size_t calls;
    const void *contexts[64];
    mid_handle owners[64];
    mid_weak gone[64];
    mid_handle made;
    mid_type type;
    mid_status collect;
} called;

static void note(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    assert_int_equal(mid_weak_get(thread, gone), 0);
    if (called.calls < 64) {
        called.contexts[called.calls] = context;
        called.owners[called.calls] = owner;
        called.gone[called.calls] = gone;
    }
    called.calls++;
}

static void work(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    note(thread, gone, owner, context);
    called.collect = mid_collect(thread, NULL);
    ok(mid_new(thread, called.type, &called.made));
    mid_handle another;
    ok(mid_new(thread, called.type, &another));
    mid_release(thread, another);
    ok(mid_safepoint(thread));
    ok(mid_weak_drop(thread, gone));
}

TEST(a_callback_runs_once_at_the_end_of_the_release)
{
    struct unit u;
    mid_weak one, two, dropped, worker;
    int a, b, c;
    memset(&called, 0, sizeof called);
    unit_open(&u, "");
    called.type = u.node;
    mid_handle object = unit_new(&u, u.node);
    ok(mid_weak_new_with(u.thread, object, 0, note, &a, &one));
    ok(mid_weak_new_with(u.thread, object, 0, note, &b, &two));
    ok(mid_weak_new_with(u.thread, object, 0, note, &b, &dropped));
    ok(mid_weak_new_with(u.thread, object, 0, work, &c, &worker));
    assert_int_equal(unit_stats(&u).weak_references, 4);
    ok(mid_weak_drop(u.thread, dropped));
    mid_handle same = mid_weak_get(u.thread, one);
    assert_int_equal(same, object);
    mid_release(u.thread, same);
    assert_int_equal(called.calls, 0);
    mid_release(u.thread, object);
    assert_int_equal(called.calls, 3);
    assert_ptr_equal(called.contexts[0], &c); /* the newest first */
    assert_ptr_equal(called.contexts[1], &b);
    assert_ptr_equal(called.contexts[2], &a);
    assert_int_equal(called.collect, MID_EBUSY);
    mid_release(u.thread, called.made);
    ok(mid_collect(u.thread, NULL));
    ok(mid_safepoint(u.thread));
    assert_int_equal(called.calls, 3);
    expect(MID_EHANDLE, mid_weak_drop(u.thread, worker));
    ok(mid_weak_drop(u.thread, one));
    ok(mid_weak_drop(u.thread, two));
    assert_int_equal(unit_stats(&u).weak_references, 0);
    unit_close(&u);
}

TEST(an_owner_that_is_garbage_or_gone_is_not_told)
{
    struct unit u;
    mid_weak weak, kept;
    memset(&called, 0, sizeof called);
    unit_open(&u, "");
    mid_handle object = unit_new(&u, u.node), owner = unit_new(&u, u.node);
    ok(mid_weak_new_with(u.thread, object, owner, note, NULL, &weak));
    mid_release(u.thread, owner); /* it goes first, and the reference with it */
    assert_int_equal(unit_stats(&u).weak_references, 0);
    expect(MID_EHANDLE, mid_weak_drop(u.thread, weak));
    mid_release(u.thread, object);
    assert_int_equal(called.calls, 0);
    mid_handle ring = unit_ring(&u, u.node, 4);
    owner = mid_retain(u.thread, mid_peek(u.thread, ring, LEFT));
    ok(mid_weak_new_with(u.thread, ring, owner, note, NULL, &weak)); /* both in the ring */
    ok(mid_weak_new_with(u.thread, ring, ring, note, NULL, &weak));  /* its own */
    mid_release(u.thread, owner);
    mid_release(u.thread, ring);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(called.calls, 0);
    assert_int_equal(unit_live(&u), 0);
    owner = unit_new(&u, u.node);
    object = unit_ring(&u, u.node, 2);
    ok(mid_weak_new_with(u.thread, object, owner, note, &u, &kept));
    mid_release(u.thread, object);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(called.calls, 1);
    assert_int_equal(called.owners[0], owner);
    assert_int_equal(unit_count(&u, owner), 1);
    mid_release(u.thread, owner);
    ok(mid_weak_drop(u.thread, kept)); /* it outlives its owner once it has been told */
    unit_close(&u);
}

static mid_weak victim;
static void drop_victim(mid_thread *thread, mid_weak gone, mid_handle owner, void *context)
{
    note(thread, gone, owner, context);
    ok(mid_weak_drop(thread, victim));
    assert_int_equal(mid_weak_drop(thread, victim), MID_EHANDLE);
}

TEST(a_callback_may_drop_one_that_is_due)
{
    struct unit u;
    mid_weak first;
    memset(&called, 0, sizeof called);
    unit_open(&u, "");
    mid_handle object = unit_new(&u, u.node);
    ok(mid_weak_new_with(u.thread, object, 0, note, NULL, &victim));
    ok(mid_weak_new_with(u.thread, object, 0, drop_victim, NULL, &first));
    mid_release(u.thread, object);
    assert_int_equal(called.calls, 1);
    ok(mid_weak_drop(u.thread, first));
    for (int i = 0; i < 10; i++) { /* its cell is used again */
        object = unit_new(&u, u.node);
        ok(mid_weak_new_with(u.thread, object, 0, note, NULL, &first));
        mid_release(u.thread, object);
        ok(mid_weak_drop(u.thread, first));
    }
    assert_int_equal(called.calls, 11);
    assert_int_equal(unit_stats(&u).weak_references, 0);
    unit_close(&u);
}

/* --- bad input, no memory, threads -------------------------------------------------------------------------------------------- */

TEST(bad_handles_and_kinds)
{
    struct unit u;
    mid_weak weak;
    mid_handle out = 77, v = 77, e;
    size_t n, cursor = 0;
    unit_open(&u, "");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), values = map_new(&u, MID_WEAK_VALUES), node = unit_new(&u, u.node), dead = unit_new(&u, u.node);
    ok(mid_ephemeron_new(u.thread, node, 0, &e));
    mid_release(u.thread, dead);
    expect(MID_ENULL, mid_weak_map_new(u.thread, MID_WEAK_KEYS, NULL));
    expect(MID_ENULL, mid_weak_map_new(NULL, MID_WEAK_KEYS, &out));
    expect(MID_EINVAL, mid_weak_map_new(u.thread, (mid_weak_kind)2, &out));
    expect(MID_EINVAL, mid_weak_map_new(u.thread, (mid_weak_kind)99, &out));
    const mid_handle wrong[] = {0, mid_from_int(4), dead, 0xFFFFFFFE};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect(MID_EHANDLE, mid_weak_map_set(u.thread, wrong[i], node, node));
        expect(MID_EHANDLE, mid_weak_map_get(u.thread, wrong[i], node, &v));
        expect(MID_EHANDLE, mid_weak_map_count(u.thread, wrong[i], &n));
        expect(MID_EHANDLE, mid_weak_map_next(u.thread, wrong[i], &cursor, &v, &out));
        expect(MID_EHANDLE, mid_weak_map_set(u.thread, map, wrong[i], node));
        expect(MID_EHANDLE, mid_weak_map_get(u.thread, map, wrong[i], &v));
        if (wrong[i] != 0)
            expect(MID_EHANDLE, mid_weak_map_set(u.thread, values, node, wrong[i]));
        expect(MID_EHANDLE, mid_ephemeron_new(u.thread, wrong[i], node, &out));
        expect(MID_EHANDLE, mid_ephemeron_get(u.thread, wrong[i], &out, &v));
        expect(MID_EHANDLE, mid_ephemeron_set(u.thread, wrong[i], node));
        expect(MID_EHANDLE, mid_weak_new_with(u.thread, wrong[i], 0, note, NULL, &weak));
        if (wrong[i] != 0)
            expect(MID_EHANDLE, mid_weak_new_with(u.thread, node, wrong[i], note, NULL, &weak));
    }
    expect(MID_EHANDLE, mid_weak_map_set(u.thread, map, node, dead));
    expect(MID_EHANDLE, mid_ephemeron_set(u.thread, e, dead));
    expect(MID_EHANDLE, mid_weak_map_set(u.thread, values, 0, node));
    expect(MID_ETYPE, mid_weak_map_set(u.thread, node, node, node));
    expect(MID_ETYPE, mid_weak_map_set(u.thread, e, node, node));
    expect(MID_ETYPE, mid_ephemeron_get(u.thread, map, &out, &v));
    expect(MID_ENULL, mid_ephemeron_new(u.thread, node, node, NULL));
    expect(MID_ENULL, mid_weak_map_get(u.thread, map, node, NULL));
    expect(MID_ENULL, mid_weak_map_count(u.thread, map, NULL));
    expect(MID_ENULL, mid_weak_map_next(u.thread, map, NULL, &v, &out));
    expect(MID_ENULL, mid_weak_new_with(u.thread, node, 0, NULL, NULL, &weak));
    expect(MID_ENULL, mid_weak_new_with(u.thread, node, 0, note, NULL, NULL));
    mid_type type;
    ok(mid_type_of(u.thread, map, &type));
    expect(MID_ETYPE, mid_resize(u.thread, map, 100));
    expect(MID_ETYPE, mid_new_array(u.thread, type, 8, &out));
    expect(MID_ETYPE, mid_new(u.thread, type, &out));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_weak_map_set(u.thread, map, node, node));
    expect(MID_ETHREAD, mid_weak_map_get(u.thread, map, node, &v));
    ok(mid_blocked_leave(u.thread));
    for (uint32_t cell = 0; cell < 20; cell++) /* cells of maps and pairs are nobody's to drop */
        for (uint32_t generation = 0; generation < 4; generation++) {
            expect(MID_EHANDLE, mid_weak_drop(u.thread, (mid_weak){cell, generation}));
            assert_int_equal(mid_weak_get(u.thread, (mid_weak){cell, generation}), 0);
        }
    unit_check(&u);
    mid_release(u.thread, e);
    mid_release(u.thread, map);
    mid_release(u.thread, values);
    mid_release(u.thread, node);
    unit_close(&u);
}

/* Maps fill until the memory ends: what was said to be in is in, the rest is not. */
TEST(without_memory_maps_stay_whole)
{
    struct unit u;
    enum { MOST = 200000 };
    static mid_handle keys[MOST];
    unit_open(&u, "heap-limit=4M");
    mid_handle map = map_new(&u, MID_WEAK_KEYS), values = map_new(&u, MID_WEAK_VALUES), e;
    size_t in = 0, in_values = 0, made = 0;
    mid_status status = MID_OK, other = MID_OK;
    for (; made < MOST && (status == MID_OK || other == MID_OK); made++) {
        if (mid_new(u.thread, u.node, &keys[made]) != MID_OK)
            break;
        status = mid_weak_map_set(u.thread, map, keys[made], mid_from_int((int32_t)made));
        other = mid_weak_map_set(u.thread, values, mid_from_int((int32_t)made), keys[made]);
        in += status == MID_OK;
        in_values += other == MID_OK;
    }
    assert_true(made < MOST && made > 1000);
    unit_check(&u);
    assert_int_equal(count(&u, map), in);
    assert_int_equal(count(&u, values), in_values);
    while (mid_ephemeron_new(u.thread, keys[0], keys[1], &e) == MID_OK)
        mid_release(u.thread, mid_swap(u.thread, keys[1], LEFT, e));
    unit_check(&u);
    for (size_t i = 0; i < made; i++)
        mid_release(u.thread, keys[i]);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(count(&u, map) + count(&u, values), 0);
    mid_release(u.thread, map);
    mid_release(u.thread, values);
    unit_close(&u);
}

/* Tried again after a refusal, which is honest and leaves everything whole. */
#define INSIST(call)                                                                                                   \
    do {                                                                                                               \
        mid_status status_ = (call);                                                                                   \
        if (status_ != MID_OK) {                                                                                       \
            assert_int_equal(status_, MID_ENOMEM);                                                                     \
            assert_true(fault.failed != 0);                                                                            \
            fault.fail_at = 0;                                                                                         \
            unit_check(&u);                                                                                            \
            assert_int_equal(unit_stats(&u).weak_references, weak);                                                    \
            ok(call);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* The system refuses the nth request, for every n until nothing is refused any more. */
TEST(every_refusal_leaves_maps_whole)
{
    enum { PAIRS = 1500 };
    static mid_handle keys[PAIRS];
    memset(&called, 0, sizeof called);
    size_t n = 1;
    for (size_t refused = 1; refused != 0; n++) {
        struct unit u;
        struct fault_os fault;
        mid_weak note_of;
        mid_handle map, values, e;
        uint64_t weak = 0;
        fault_open(&u, &fault, "");
        fault.fail_at = fault.calls + n;
        INSIST(mid_weak_map_new(u.thread, MID_WEAK_KEYS, &map));
        INSIST(mid_weak_map_new(u.thread, MID_WEAK_VALUES, &values));
        for (int i = 0; i < PAIRS; i++) {
            INSIST(mid_new(u.thread, u.node, &keys[i]));
            INSIST(mid_ephemeron_new(u.thread, keys[i], mid_from_int(i), &e));
            mid_give(u.thread, keys[i], LEFT, e);
            INSIST(mid_weak_map_set(u.thread, map, keys[i], keys[i]));
            INSIST(mid_weak_map_set(u.thread, values, mid_from_int(i / 2), keys[i]));
            INSIST(mid_weak_new_with(u.thread, keys[i], map, note, NULL, &note_of));
            weak++;
        }
        refused = fault.failed;
        fault.fail_at = 0;
        unit_check(&u);
        assert_int_equal(count(&u, map), PAIRS);
        assert_int_equal(count(&u, values), PAIRS / 2);
        for (int i = 0; i < PAIRS; i++)
            mid_release(u.thread, keys[i]);
        ok(mid_collect(u.thread, NULL));
        assert_int_equal(unit_live(&u), 2);
        assert_int_equal(called.calls, n * PAIRS);
        mid_release(u.thread, map);
        mid_release(u.thread, values);
        fault_close(&u, &fault);
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_runs_once_at_the_end_of_the_release),
        cmocka_unit_test(an_owner_that_is_garbage_or_gone_is_not_told),
        cmocka_unit_test(a_callback_may_drop_one_that_is_due),
        cmocka_unit_test(bad_handles_and_kinds),
        cmocka_unit_test(without_memory_maps_stay_whole),
        cmocka_unit_test(every_refusal_leaves_maps_whole),
    };
    return UNIT_RUN(tests);
}
