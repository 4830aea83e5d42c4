/* mid_reclaim: a heap that is full of garbage is worth something again, and says so when it is not. */
#include "peer.h"

#include "fault_os.h"
#include "midden/daemon.h"

#define LIMIT (8u << 20)
#define TINY "heap-limit=8M,max-objects=1M"

/* The loop of heap.h. */
static mid_status insist(struct unit *u, mid_type type, mid_handle *out)
{
    mid_status status;
    while ((status = mid_new(u->thread, type, out)) == MID_ELIMIT || status == MID_ENOMEM)
        if (mid_reclaim(u->thread) != MID_OK)
            break;
    return status;
}

static mid_status insist_array(struct unit *u, mid_type type, size_t items, mid_handle *out)
{
    mid_status status;
    while ((status = mid_new_array(u->thread, type, items, out)) == MID_ELIMIT || status == MID_ENOMEM)
        if (mid_reclaim(u->thread) != MID_OK)
            break;
    return status;
}

static void drop_ring(struct unit *u, const mid_handle *ring, int count)
{
    for (int i = 0; i < count; i++)
        mid_store(u->thread, ring[i], LEFT, ring[(i + 1) % count]);
    for (int i = 0; i < count; i++)
        mid_release(u->thread, ring[i]);
}

/* Rings of three that nobody holds, until there is no room; returns how many objects that were. */
static size_t fill_with_rings(struct unit *u, mid_type type)
{
    size_t made = 0;
    for (;;) {
        mid_handle ring[3];
        int count = 0;
        while (count < 3 && mid_new(u->thread, type, &ring[count]) == MID_OK)
            count++;
        if (count < 3)
            expect(MID_ELIMIT, mid_thread_status(u->thread));
        drop_ring(u, ring, count);
        made += (size_t)count;
        if (count < 3)
            return made;
    }
}

static void within_limit(struct unit *u)
{
    mid_stats stats = unit_stats(u);
    assert_true(stats.committed_bytes <= LIMIT);
    assert_int_equal(stats.empty_bytes, 0);
    assert_int_equal(stats.waiting_objects, 0);
}

/* --- cyclic garbage and nothing else -------------------------------------------------------------------------- */

TEST(a_heap_full_of_rings_is_emptied)
{
    struct unit u;
    unit_open(&u, TINY);
    mid_handle keep = unit_new(&u, u.node), made;
    for (int round = 0; round < 5; round++) {
        size_t rings = fill_with_rings(&u, u.node);
        assert_true(rings > 100000);
        expect(MID_ELIMIT, mid_collect(u.thread, NULL)); /* no room for its marks */
        ok(insist(&u, u.node, &made));
        within_limit(&u);
        assert_int_equal(unit_live(&u), 2);
        unit_check(&u);
        mid_release(u.thread, made);
    }
    mid_release(u.thread, keep);
    unit_close(&u);
}

TEST(what_it_passes_the_limit_by_is_told)
{
    struct unit u;
    unit_open(&u, TINY);
    size_t rings = fill_with_rings(&u, u.node);
    mid_stats before = unit_stats(&u);
    assert_true(before.peak_committed_bytes <= LIMIT);
    ok(mid_reclaim(u.thread));
    mid_stats stats = unit_stats(&u);
    assert_true(stats.peak_committed_bytes > LIMIT);
    assert_true(stats.peak_committed_bytes <= LIMIT + before.table_bytes / 2 + (80u << 10));
    assert_true(stats.committed_bytes <= LIMIT / 8 && stats.table_bytes == 1u << 16);
    assert_int_equal(stats.collected_objects, rings);
    unit_close(&u);
}

TEST(objects_of_another_size_follow)
{
    struct unit u;
    static const size_t sizes[] = {100, 30000, 100000, 3000000};
    unit_open(&u, TINY);
    for (int i = 0; i < 4; i++) {
        mid_handle made = 0;
        fill_with_rings(&u, u.node);
        ok(insist_array(&u, u.bytes, sizes[i], &made));
        unit_check(&u);
        assert_int_equal(unit_live(&u), 1);
        mid_release(u.thread, made);
    }
    unit_close(&u);
}

/* --- finalizers ------------------------------------------------------------------------------------------------- */

static size_t finalized;
static mid_type litter; /* what `litters` makes */

static void count_final(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
    finalized++;
}

TEST(rings_with_finalizers)
{
    struct unit u;
    unit_open(&u, TINY);
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = count_final});
    for (int round = 0; round < 3; round++) {
        mid_handle made = 0;
        finalized = 0;
        size_t rings = fill_with_rings(&u, type);
        ok(insist(&u, u.node, &made));
        assert_int_equal(finalized, rings);
        within_limit(&u);
        assert_int_equal(unit_live(&u), 1);
        unit_check(&u);
        mid_release(u.thread, made);
    }
    unit_close(&u);
}

/* The garbage of the next generation is known only when the finalizers have run. */
static void litters(mid_thread *thread, mid_handle object)
{
    mid_handle made;
    finalized++;
    if (((struct node *)mid_get(thread, object))->value != 0)
        return;
    if (mid_new(thread, litter, &made) != MID_OK)
        return;
    ((struct node *)mid_get(thread, made))->value = 1;
    mid_store(thread, made, LEFT, made);
    mid_release(thread, made);
}

TEST(garbage_that_finalizers_make)
{
    struct unit u;
    enum { COUNT = 1000 };
    unit_open(&u, TINY);
    litter = unit_node_type(u.heap, (mid_type_desc){.name = "litter", .finalize = litters});
    finalized = 0;
    unit_drop_rings(&u, litter, COUNT, 1);
    ok(mid_reclaim(u.thread));
    assert_int_equal(finalized, 2 * COUNT);
    unit_close_empty(&u);
}

static mid_handle saved;

static void save(mid_thread *thread, mid_handle object)
{
    finalized++;
    if (saved == 0)
        saved = mid_retain(thread, object);
}

TEST(one_that_is_resurrected_keeps_its_ring)
{
    struct unit u;
    unit_open(&u, TINY);
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "saved", .finalize = save});
    saved = 0;
    size_t rings = fill_with_rings(&u, type);
    ok(mid_reclaim(u.thread));
    assert_true(saved != 0);
    assert_int_equal(unit_live(&u), 3);
    assert_true(rings > 3);
    within_limit(&u);
    mid_release(u.thread, saved);
    ok(mid_reclaim(u.thread));
    unit_close_empty(&u);
}

/* --- nothing to be had --------------------------------------------------------------------------------------------- */

TEST(a_heap_full_of_what_is_held_says_so)
{
    struct unit u;
    unit_open(&u, TINY);
    mid_handle list = 0, made = 0;
    while (mid_new(u.thread, u.node, &made) == MID_OK) {
        mid_give(u.thread, made, LEFT, list);
        list = made;
    }
    uint64_t live = unit_live(&u);
    for (int i = 0; i < 3; i++)
        expect(MID_ELIMIT, insist(&u, u.node, &made));
    expect(MID_ELIMIT, insist_array(&u, u.bytes, 3000000, &made));
    assert_int_equal(made, 0);
    expect(MID_ELIMIT, mid_reclaim(u.thread)); /* nothing was refused, and nothing came free */
    assert_int_equal(unit_live(&u), live);
    unit_check(&u);
    mid_release(u.thread, list);
    ok(insist_array(&u, u.bytes, 3000000, &made));
    mid_release(u.thread, made);
    unit_close(&u);
}

TEST(more_than_the_limit_is_not_to_be_had)
{
    struct unit u;
    unit_open(&u, TINY);
    mid_handle made = 0;
    fill_with_rings(&u, u.node);
    expect(MID_ELIMIT, insist_array(&u, u.bytes, 2 * LIMIT, &made));
    assert_int_equal(unit_live(&u), 0); /* all was done that could be */
    unit_close(&u);
}

/* Every handle is given out: the table is what is full. */
TEST(handles_come_free_too)
{
    struct unit u;
    unit_open(&u, "max-objects=10000");
    mid_handle made = 0;
    for (int i = 0; i < 3; i++) {
        fill_with_rings(&u, u.node);
        ok(insist_array(&u, u.bytes, 2000, &made)); /* of another class */
        mid_release(u.thread, made);
        unit_check(&u);
    }
    unit_close(&u);
}

TEST(without_a_refusal_it_counts_what_came_free)
{
    struct unit u;
    unit_open(&u, "");
    expect(MID_ENOMEM, mid_reclaim(u.thread));
    mid_release(u.thread, unit_ring(&u, u.node, 10));
    ok(mid_reclaim(u.thread));
    expect(MID_ENOMEM, mid_reclaim(u.thread));
    assert_int_equal(unit_stats(&u).empty_bytes + unit_stats(&u).pool_bytes, 0);
    unit_close(&u);
}

/* --- sparse pools ---------------------------------------------------------------------------------------------------- */

TEST(sparse_pools_are_emptied_at_the_limit)
{
    struct unit u;
    enum { COUNT = 10000 };
    static mid_handle objects[COUNT];
    unit_open(&u, TINY);
    size_t made = 0;
    while (made < COUNT && mid_new_array(u.thread, u.bytes, 984, &objects[made]) == MID_OK)
        made++;
    assert_in_range(made, 4000, COUNT - 1);
    for (size_t i = 0; i < made; i++)
        if (i % 8 != 0)
            mid_release(u.thread, objects[i]);
    mid_handle large = 0;
    expect(MID_ELIMIT, mid_new_array(u.thread, u.bytes, 4u << 20, &large));
    ok(mid_reclaim(u.thread));
    ok(mid_new_array(u.thread, u.bytes, 4u << 20, &large));
    unit_check(&u);
    mid_release(u.thread, large);
    for (size_t i = 0; i < made; i += 8)
        mid_release(u.thread, objects[i]);
    unit_close(&u);
}

/* --- other threads ---------------------------------------------------------------------------------------------------- */

TEST(others_sleep)
{
    struct unit u;
    unit_open(&u, TINY);
    struct peer *peer = peer_new(&u);
    for (int round = 0; round < 3; round++) {
        mid_handle mine = 0;
        mid_handle theirs = peer_make(peer, u.node); /* its cache is full then */
        peer_block(peer);
        fill_with_rings(&u, u.node);
        ok(insist(&u, u.node, &mine));
        assert_int_equal(unit_live(&u), 2);
        within_limit(&u);
        unit_check(&u);
        mid_release(u.thread, mine);
        peer_unblock(peer);
        peer_release(peer, theirs);
    }
    peer_end(peer);
    unit_close(&u);
}

TEST(others_poll)
{
    struct unit u;
    unit_open(&u, TINY);
    struct peer *peer = peer_new(&u);
    mid_handle made = 0;
    fill_with_rings(&u, u.node);
    peer_begin(peer, peer_polls);
    ok_in_time(mid_reclaim(u.thread));
    ok(mid_new(u.thread, u.node, &made));
    peer_finish_polling(peer, u.thread);
    assert_int_equal(unit_live(&u), 1);
    mid_release(u.thread, made);
    peer_end(peer);
    unit_close(&u);
}

TEST(one_that_does_not_come_postpones_it)
{
    struct unit u;
    unit_open(&u, TINY);
    struct peer *peer = peer_new(&u);
    mid_handle made = 0;
    size_t rings = fill_with_rings(&u, u.node);
    expect(MID_ELIMIT, mid_new_array(u.thread, u.bytes, 1u << 20, &made));
    expect(MID_EPOSTPONED, mid_reclaim(u.thread));
    assert_true(unit_live(&u) >= rings);
    peer_block(peer);
    unit_check(&u);
    expect(MID_ELIMIT, mid_new_array(u.thread, u.bytes, 1u << 20, &made));
    ok(mid_reclaim(u.thread));
    assert_int_equal(unit_live(&u), 0);
    peer_unblock(peer);
    peer_end(peer);
    unit_close(&u);
}

/* What waits, and what is cached, needs nobody to stand still. */
TEST(without_the_others_it_does_what_it_can)
{
    struct unit u;
    enum { COUNT = 20000 };
    unit_open(&u, "free-batch=32");
    struct peer *peer = peer_new(&u);
    mid_handle list = 0;
    for (int i = 0; i < COUNT; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, list);
        list = next;
    }
    mid_release(u.thread, list);
    ok(mid_reclaim(u.thread));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).empty_bytes + unit_stats(&u).pool_bytes, 0);
    peer_end(peer);
    unit_close(&u);
}

TEST(with_a_daemon)
{
    struct unit u;
    mid_daemon *daemon;
    unit_open(&u, TINY);
    ok(mid_daemon_start(u.heap, &daemon));
    for (int round = 0; round < 3; round++) {
        mid_handle made = 0;
        fill_with_rings(&u, u.node);
        ok(insist_array(&u, u.bytes, 2000000, &made));
        mid_release(u.thread, made);
    }
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

/* --- misuse ----------------------------------------------------------------------------------------------------------- */

static mid_status from_inside;
static mid_thread *inside;

static void reclaims(mid_thread *thread, mid_handle object)
{
    (void)object;
    from_inside = mid_reclaim(thread);
}

static void listens(void *context)
{
    (void)context;
    from_inside = mid_reclaim(inside);
}

static void by_another(struct peer *peer)
{
    peer->status = mid_reclaim(peer->unit->thread);
}

TEST(misuse_is_told)
{
    struct unit u;
    unit_open(&u, "");
    expect(MID_ENULL, mid_reclaim(NULL));
    struct peer *peer = peer_unattached(u.heap);
    peer->unit = &u;
    peer_do(peer, by_another);
    expect(MID_ETHREAD, peer->status);
    peer_end(peer);
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_reclaim(u.thread));
    ok(mid_blocked_leave(u.thread));
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "reclaims", .finalize = reclaims});
    from_inside = MID_OK;
    mid_release(u.thread, unit_new(&u, type));
    expect(MID_EBUSY, from_inside);
    int context;
    mid_listener listener = {.struct_size = sizeof listener, .context = &context, .collect_begin = listens};
    ok(mid_listener_add(u.heap, &listener));
    inside = u.thread;
    from_inside = MID_OK;
    ok(mid_collect(u.thread, NULL));
    expect(MID_EBUSY, from_inside);
    ok(mid_listener_remove(u.heap, &context));
    mid_thread *gone = u.thread;
    ok(mid_thread_detach(gone));
    expect(MID_ETHREAD, mid_reclaim(gone));
    ok(mid_thread_attach(u.heap, &u.thread));
    unit_close(&u);
}

/* --- a system that refuses -------------------------------------------------------------------------------------------- */

/* Held lists, rings with and without finalizers, a sleeping thread; every nth request inside mid_reclaim is refused. */
static size_t refused_at(size_t n, int for_good)
{
    struct unit u;
    struct fault_os fault;
    enum { HELD = 3000, EVERY = 20 };
    static mid_handle held[HELD];
    fault_open(&u, &fault, "heap-limit=6M,max-objects=1M");
    mid_type final = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = count_final});
    for (int i = 0; i < HELD; i++)
        held[i] = unit_array(&u, u.bytes, 200);
    for (int i = 0; i < HELD; i++)
        if (i % EVERY != 0)
            mid_release(u.thread, held[i]);
    mid_release(u.thread, unit_ring(&u, final, 1000));
    fill_with_rings(&u, u.node);
    fault.fail_at = n == 0 ? 0 : fault.calls + n;
    fault.for_good = for_good;
    mid_status status = mid_reclaim(u.thread);
    assert_true(status == MID_OK || status == MID_ENOMEM);
    size_t failed = fault.failed;
    fault.fail_at = 0;
    unit_check(&u);
    if (failed == 0)
        ok(status);
    status = mid_reclaim(u.thread); /* the rest, if there was any */
    assert_true(status == MID_OK || status == MID_ELIMIT);
    assert_int_equal(unit_live(&u), HELD / EVERY);
    for (int i = 0; i < HELD; i += EVERY)
        mid_release(u.thread, held[i]);
    fault_close(&u, &fault);
    return failed;
}

TEST(the_system_refuses_each_request_in_turn)
{
    for (int for_good = 0; for_good < 2; for_good++) {
        size_t n = 1;
        while (refused_at(n, for_good) != 0)
            assert_true(++n < 200);
        assert_true(n > 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heap_full_of_rings_is_emptied),
        cmocka_unit_test(what_it_passes_the_limit_by_is_told),
        cmocka_unit_test(objects_of_another_size_follow),
        cmocka_unit_test(rings_with_finalizers),
        cmocka_unit_test(garbage_that_finalizers_make),
        cmocka_unit_test(one_that_is_resurrected_keeps_its_ring),
        cmocka_unit_test(a_heap_full_of_what_is_held_says_so),
        cmocka_unit_test(more_than_the_limit_is_not_to_be_had),
        cmocka_unit_test(handles_come_free_too),
        cmocka_unit_test(without_a_refusal_it_counts_what_came_free),
        cmocka_unit_test(sparse_pools_are_emptied_at_the_limit),
        cmocka_unit_test(others_sleep),
        cmocka_unit_test(others_poll),
        cmocka_unit_test(one_that_does_not_come_postpones_it),
        cmocka_unit_test(without_the_others_it_does_what_it_can),
        cmocka_unit_test(with_a_daemon),
        cmocka_unit_test(misuse_is_told),
        cmocka_unit_test(the_system_refuses_each_request_in_turn),
    };
    return UNIT_RUN(tests);
}
