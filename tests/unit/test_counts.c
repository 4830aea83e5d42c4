/* Biased counts: what the owner and the others count adds up, and an object dies when the sum is 0, whoever let go last and
 * whatever its owner is doing meanwhile. */
#include "peer.h"

#include "gc/heap.h"

static uint64_t merged(struct unit *u)
{
    return unit_stats(u).merged_objects;
}

/* What the owner's next safepoint frees has gone. */
static void settle(struct unit *u)
{
    ok(mid_safepoint(u->thread));
    unit_drain(u);
}

TEST(the_count_is_the_sum)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u), *third = peer_new(&u);
    mid_handle node = unit_new(&u, u.node);
    for (uint32_t i = 0; i < 50; i++) {
        peer_retain(peer, node);
        peer_retain(third, node);
        mid_retain(u.thread, node);
        assert_int_equal(unit_count(&u, node), 1 + 3 * (i + 1));
        assert_int_equal(peer_count(peer, node), 1 + 3 * (i + 1));
    }
    for (uint32_t i = 0; i < 50; i++) {
        mid_release(u.thread, node);
        peer_release(third, node);
        peer_release(peer, node);
        assert_int_equal(peer_count(third, node), 1 + 3 * (49 - i));
        assert_int_equal(unit_count(&u, node), 1 + 3 * (49 - i));
    }
    assert_int_equal(merged(&u), 0);
    mid_release(u.thread, node);
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(merged(&u), 0); /* it died its owner's */
    peer_end(peer);
    peer_end(third);
    unit_close(&u);
}

TEST(others_hold_on_when_the_owner_lets_go)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u), *third = peer_new(&u);
    mid_handle node = unit_new(&u, u.node);
    peer_retain(peer, node);
    mid_release(u.thread, node);
    assert_int_equal(merged(&u), 1);
    assert_int_equal(peer_owner(u.thread, node), MID_UNOWNED_);
    assert_int_equal(unit_count(&u, node), 1);
    for (int i = 0; i < 10; i++) { /* nobody's: everybody counts alike, who made it too */
        mid_retain(u.thread, node);
        peer_retain(third, node);
    }
    assert_int_equal(peer_count(peer, node), 21);
    for (int i = 0; i < 10; i++) {
        mid_release(u.thread, node);
        peer_release(third, node);
    }
    assert_int_equal(unit_live(&u), 1);
    peer_release(peer, node);
    assert_int_equal(unit_live(&u), 0); /* without any safepoint */
    assert_int_equal(merged(&u), 1);
    peer_end(peer);
    peer_end(third);
    unit_close(&u);
}

/* --- others let go of what the owner counted --------------------------------------------------------------------- */

TEST(the_owner_merges_at_a_safepoint)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle given = unit_new(&u, u.node), held = unit_new(&u, u.node);
    mid_retain(u.thread, held);
    peer_release(peer, given); /* the test hands it over, and with it the count */
    peer_release(peer, held);
    assert_true(mid_is_live(u.thread, given));
    assert_int_equal(unit_count(&u, held), 1);
    peer_safepoint(peer); /* now the owner knows */
    settle(&u);
    assert_int_equal(unit_live(&u), 1);
    assert_int_equal(unit_count(&u, held), 1);
    assert_int_equal(merged(&u), 2);
    mid_release(u.thread, held);
    assert_int_equal(unit_live(&u), 0);
    peer_end(peer);
    unit_close(&u);
}

TEST(the_owner_merges_when_it_allocates)
{
    struct unit u;
    enum { MANY = 200000 };
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle vec = unit_array(&u, u.vec, MANY), given = unit_new(&u, u.node);
    peer_release(peer, given);
    peer_safepoint(peer);
    size_t made = 0;
    while (merged(&u) == 0 && made < MANY)
        mid_init(u.thread, vec, ITEM(made++), unit_new(&u, u.node));
    assert_int_equal(merged(&u), 1); /* without a safepoint */
    assert_int_equal(unit_live(&u), 1 + made);
    mid_release(u.thread, vec);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 0);
    peer_end(peer);
    unit_close(&u);
}

static void release_all(struct peer *peer)
{
    mid_handle *handles = peer->data;
    for (size_t i = 0; i < peer->number; i++)
        mid_release(peer->thread, handles[i]);
}

TEST(a_full_outbox_needs_no_safepoint_of_the_releaser)
{
    struct unit u;
    enum { MANY = 1000 };
    static mid_handle handles[MANY];
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    for (size_t i = 0; i < MANY; i++)
        handles[i] = unit_new(&u, u.node);
    peer->data = handles;
    peer->number = MANY;
    peer_do(peer, release_all);
    settle(&u);
    assert_true(unit_live(&u) < 100); /* what is in the last box may be there still */
    peer_safepoint(peer);
    settle(&u);
    assert_int_equal(unit_live(&u), 0);
    peer_end(peer);
    unit_close(&u);
}

TEST(blocking_or_detaching_tells_the_owner)
{
    struct unit u;
    unit_open(&u, "");
    for (int detach = 0; detach < 2; detach++) {
        struct peer *peer = peer_new(&u);
        mid_handle given = unit_new(&u, u.node);
        peer_release(peer, given);
        if (detach)
            peer_detach(peer);
        else
            peer_block(peer);
        settle(&u);
        assert_int_equal(unit_live(&u), 0);
        if (!detach)
            peer_unblock(peer);
        peer_end(peer);
    }
    unit_close(&u);
}

TEST(nobody_waits_for_an_owner_that_sleeps)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *owner = peer_new(&u);
    mid_handle before = peer_make(owner, u.node), given = peer_make(owner, u.node), held = peer_make(owner, u.node);
    peer_retain(owner, held);
    mid_release(u.thread, before); /* the owner was awake then */
    peer_block(owner);
    mid_release(u.thread, given);
    mid_release(u.thread, held);
    settle(&u);
    assert_int_equal(unit_live(&u), 1);
    assert_int_equal(unit_count(&u, held), 1);
    assert_int_equal(merged(&u), 3);
    peer_unblock(owner);
    peer_release(owner, held);
    assert_int_equal(unit_live(&u), 0);
    peer_end(owner);
    unit_close(&u);
}

TEST(nobody_waits_for_an_owner_that_has_gone)
{
    struct unit u;
    unit_open(&u, "");
    for (int lost = 0; lost < 2; lost++) {
        struct peer *owner = peer_new(&u);
        mid_handle given = peer_make(owner, u.node), held = peer_make(owner, u.node);
        peer_retain(owner, held);
        if (lost)
            peer_lost(owner);
        else
            peer_end(owner);
        mid_release(u.thread, given);
        mid_release(u.thread, held);
        settle(&u);
        assert_int_equal(unit_live(&u), 1);
        assert_int_equal(unit_count(&u, held), 1);
        mid_release(u.thread, held);
        settle(&u);
        assert_int_equal(unit_live(&u), 0);
    }
    unit_close(&u);
}

/* Let go of while its owner was there, merged by whoever took the owner's place. */
TEST(the_next_owner_merges)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *owner = peer_new(&u);
    mid_handle given = peer_make(owner, u.node);
    peer_end(owner);
    struct peer *next = peer_new(&u);
    assert_int_equal(peer_owner(u.thread, given), next->thread->bias);
    mid_release(u.thread, given);
    peer_settle(&u, next, NULL, 0);
    peer_end(next);
    unit_close(&u);
}

/* --- the ends of the counts -------------------------------------------------------------------------------------- */

enum { LOCAL_MOST = MID_LOCAL_ / MID_ONE_ - 1 };

TEST(an_owners_count_that_is_full_spills)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle node = unit_new(&u, u.node);
    uint32_t count = 1, most = LOCAL_MOST + 5;
    for (int round = 0; round < 2; round++) {
        for (; count < most; count++) {
            mid_retain(u.thread, node);
            if (count > LOCAL_MOST - 4)
                assert_int_equal(unit_count(&u, node), count + 1);
        }
        peer_retain(peer, node);
        assert_int_equal(peer_count(peer, node), most + 1);
        peer_release(peer, node);
        peer_block(peer);
        unit_check(&u);
        peer_unblock(peer);
        for (; count > 1; count--) {
            mid_release(u.thread, node);
            if (count > LOCAL_MOST - 4)
                assert_int_equal(unit_count(&u, node), count - 1);
        }
        assert_int_equal(unit_count(&u, node), 1);
    }
    mid_release(u.thread, node);
    assert_int_equal(unit_live(&u), 0);
    peer_end(peer);
    unit_close(&u);
}

/* As if others held `count`; nobody else looks. */
static void set_shared(struct unit *u, mid_handle object, int32_t count)
{
    mid_entry *entry = mid_entry_(u->thread, object);
    uint32_t flags = MID_READ_(entry->shared) & (MID_SHARED_ONE_ - 1);
    MID_WRITE_(entry->shared, flags + (uint32_t)count * MID_SHARED_ONE_);
}

/* The others' half sticks from the middle of its range on: racing threads may then be late to see it. */
enum { ALMOST_STICKY = INT32_MAX / MID_SHARED_ONE_ / 2 - 3 };

static void retain_many(struct peer *peer)
{
    for (uint64_t i = 0; i < peer->number; i++)
        mid_retain(peer->thread, peer->a);
}

static void release_many(struct peer *peer)
{
    for (uint64_t i = 0; i < peer->number; i++)
        mid_release(peer->thread, peer->a);
}

TEST(a_count_that_would_overflow_sticks)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle others = unit_new(&u, u.node), owners = unit_new(&u, u.node), nobodys = unit_new(&u, u.node);
    const mid_handle all[] = {others, owners, nobodys};
    for (int i = 0; i < 3; i++) {
        set_shared(&u, all[i], ALMOST_STICKY);
        assert_int_equal(unit_count(&u, all[i]), ALMOST_STICKY + 1);
    }
    mid_release(u.thread, nobodys);
    assert_int_equal(unit_count(&u, nobodys), ALMOST_STICKY);
    for (uint32_t i = 0; i < LOCAL_MOST + 100; i++)
        mid_retain(u.thread, owners); /* spills */
    peer->number = 100;
    peer->a = others;
    peer_do(peer, retain_many);
    peer->a = nobodys;
    peer_do(peer, retain_many);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unit_count(&u, all[i]), UINT32_MAX);
        peer->a = all[i];
        peer->number = 200;
        peer_do(peer, release_many);
        for (int k = 0; k < 200; k++)
            mid_release(u.thread, all[i]);
        assert_int_equal(peer_count(peer, all[i]), UINT32_MAX);
        assert_true(mid_is_live(u.thread, all[i]));
    }
    peer_end(peer);
    settle(&u);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 3);
    unit_destroy(&u);
}

/* The owner is told of a release too many, and before it looks others have counted further than its own half goes. */
TEST(a_merge_of_more_than_the_owner_can_count)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle node = unit_new(&u, u.node);
    mid_retain(u.thread, node);
    peer_release(peer, node);
    peer_safepoint(peer);
    peer->number = LOCAL_MOST + 1000;
    peer->a = node;
    peer_do(peer, retain_many);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unit_count(&u, node), 1 + peer->number);
        peer_settle(&u, peer, NULL, 1);
    }
    mid_retain(u.thread, node);
    mid_release(u.thread, node);
    peer->a = node;
    peer_do(peer, release_many);
    peer_settle(&u, peer, NULL, 1);
    assert_int_equal(unit_count(&u, node), 1);
    peer_block(peer);
    unit_check(&u);
    peer_unblock(peer);
    mid_release(u.thread, node);
    peer_settle(&u, peer, NULL, 0);
    peer_end(peer);
    unit_close(&u);
}

/* --- immortal ---------------------------------------------------------------------------------------------------- */

static void immortalize(struct peer *peer)
{
    peer->status = mid_immortalize(peer->thread, peer->a);
}

static void retain_and_release(struct peer *peer)
{
    while (peer_goes_on(peer))
        for (int i = 0; i < 100; i++)
            mid_release(peer->thread, mid_retain(peer->thread, peer->a));
}

TEST(others_may_immortalize)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *owner = peer_new(&u), *other = peer_new(&u);
    mid_handle owned = peer_make(owner, u.node), merged_one = peer_make(owner, u.node), counted = peer_make(owner, u.node);
    mid_retain(u.thread, merged_one);
    peer_release(owner, merged_one);
    owner->a = counted; /* while its owner counts it */
    peer_begin(owner, retain_and_release);
    peer_wait_rounds(owner, 10);
    const mid_handle all[] = {owned, merged_one, counted};
    for (int i = 0; i < 3; i++) {
        other->a = all[i];
        peer_do(other, immortalize);
        ok(other->status);
    }
    peer_wait_rounds(owner, 10);
    peer_finish(owner);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unit_count(&u, all[i]), UINT32_MAX);
        for (int k = 0; k < 50; k++) {
            mid_release(u.thread, all[i]);
            peer_release(owner, all[i]);
            peer_release(other, all[i]);
        }
        peer_retain(owner, all[i]);
        assert_int_equal(peer_count(owner, all[i]), UINT32_MAX);
        assert_true(mid_is_live(u.thread, all[i]));
    }
    peer_end(other);
    peer_end(owner);
    settle(&u);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 3);
    unit_destroy(&u);
}

/* --- cycles of several owners ------------------------------------------------------------------------------------ */

/* Each held by main once: rings of nodes that two threads made. */
TEST(cycles_of_several_owners_are_garbage)
{
    struct unit u;
    enum { RING = 40 };
    mid_handle ring[RING];
    mid_collect_result result;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < RING; i++)
            ring[i] = i % 2 ? unit_new(&u, u.node) : peer_make(peer, u.node);
        for (int i = 0; i < RING; i++) {
            mid_store(u.thread, ring[i], LEFT, ring[(i + 1) % RING]);
            peer_store(peer, ring[i], RIGHT, ring[(i + 7) % RING]);
        }
        for (int i = 1; i < RING; i++) /* in turn by owners and others */
            if (i % 3)
                mid_release(u.thread, ring[i]);
            else
                peer_release(peer, ring[i]);
        peer_block(peer);
        ok(mid_collect(u.thread, &result));
        assert_int_equal(result.garbage, 0);
        assert_int_equal(unit_live(&u), RING);
        peer_unblock(peer);
        if (round == 0) /* the last holder is the owner, another, or the slot of another's object */
            peer_release(peer, ring[0]);
        else if (round == 1)
            mid_release(u.thread, ring[0]);
        else {
            mid_handle holder = unit_new(&u, u.node);
            mid_give(u.thread, holder, LEFT, ring[0]);
            peer_store(peer, holder, LEFT, 0);
            mid_release(u.thread, holder);
        }
        peer_block(peer);
        ok(mid_collect(u.thread, &result));
        assert_int_equal(result.freed, RING);
        assert_int_equal(unit_live(&u), 0);
        peer_unblock(peer);
    }
    peer_end(peer);
    unit_close(&u);
}

static void comes_when_stopped(struct peer *peer)
{
    while (!(__atomic_load_n(&peer->thread->stop, __ATOMIC_ACQUIRE) & MID_ASK_STOP))
        sched_yield();
    peer_polls(peer);
}

static void says_nothing(mid_thread *thread, mid_handle object)
{
    (void)thread;
    (void)object;
}

/* What dies only when the world has stopped, and waits for its finalizer, holds a cycle as long: a collection sees to that, too. */
TEST(a_collection_finds_what_hung_on_the_last_to_die)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle dies = peer_make(peer, unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = says_nothing}));
    mid_give(u.thread, dies, 0, unit_ring(&u, u.node, 3));
    mid_release(u.thread, dies); /* its owner will be told */
    peer_begin(peer, comes_when_stopped);
    ok_in_time(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).finalized_objects, 1);
    peer_finish_polling(peer, u.thread);
    peer_end(peer);
    unit_check(&u);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_count_is_the_sum),
        cmocka_unit_test(others_hold_on_when_the_owner_lets_go),
        cmocka_unit_test(the_owner_merges_at_a_safepoint),
        cmocka_unit_test(the_owner_merges_when_it_allocates),
        cmocka_unit_test(a_full_outbox_needs_no_safepoint_of_the_releaser),
        cmocka_unit_test(blocking_or_detaching_tells_the_owner),
        cmocka_unit_test(nobody_waits_for_an_owner_that_sleeps),
        cmocka_unit_test(nobody_waits_for_an_owner_that_has_gone),
        cmocka_unit_test(the_next_owner_merges),
        cmocka_unit_test(an_owners_count_that_is_full_spills),
        cmocka_unit_test(a_count_that_would_overflow_sticks),
        cmocka_unit_test(a_merge_of_more_than_the_owner_can_count),
        cmocka_unit_test(others_may_immortalize),
        cmocka_unit_test(cycles_of_several_owners_are_garbage),
        cmocka_unit_test(a_collection_finds_what_hung_on_the_last_to_die),
    };
    return UNIT_RUN(tests);
}
