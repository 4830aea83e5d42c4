/* The log of suspects: who gets into it, how often, and what becomes of those who are found alive. */
#include "cycles.h"
#include "peer.h"

static uint64_t logged(struct unit *u)
{
    return cycles_shown(u).suspects;
}

/* Its count falls, and it lives. */
static void let_go(struct unit *u, mid_handle object)
{
    mid_release(u->thread, mid_retain(u->thread, object));
}

/* --- once ------------------------------------------------------------------------------------------------------------- */

TEST(a_suspect_is_logged_once)
{
    struct unit u;
    cycles_open(&u, "");
    mid_handle node = unit_new(&u, u.node), other = unit_new(&u, u.node);
    assert_int_equal(logged(&u), 0);
    for (int i = 0; i < 10; i++)
        let_go(&u, node);
    assert_int_equal(logged(&u), 1);
    let_go(&u, other);
    assert_int_equal(logged(&u), 2);
    assert_int_equal(cycles_shown(&u).suspects_held, 2);
    cycles_prove(&u, AMPLE);
    assert_int_equal(logged(&u), 2);
    assert_int_equal(cycles_shown(&u).suspects_held, 0); /* handed over */
    let_go(&u, node);
    assert_int_equal(logged(&u), 2);
    mid_release(u.thread, node);
    mid_release(u.thread, other);
    assert_int_equal(cycles_find(&u), 0);
    cycles_close(&u);
}

TEST(what_is_on_no_cycle_is_never_logged)
{
    static const uint32_t slots[] = {0};
    struct unit u;
    cycles_open(&u, "");
    mid_type acyclic = unit_type(u.heap, (mid_type_desc){.name = "acyclic", .size = 16, .flags = MID_ACYCLIC, .ref_offsets = slots,
                                                         .ref_count = 1});
    mid_handle objects[] = {unit_new(&u, acyclic), unit_array(&u, u.bytes, 10), unit_array(&u, u.bytes, 100000),
                            unit_new(&u, unit_plain_type(u.heap, "plain", 40))};
    struct peer *peer = peer_new(&u);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        let_go(&u, objects[i]);
        mid_retain(u.thread, objects[i]);
        peer_release(peer, objects[i]); /* what main has counted: main is to merge */
        peer_retain(peer, objects[i]);
        peer_release(peer, objects[i]);
    }
    peer_settle(&u, peer, NULL, 4);
    assert_int_equal(logged(&u), 0);
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        mid_release(u.thread, objects[i]);
    peer_end(peer);
    cycles_close(&u);
}

TEST(who_takes_the_count_away_logs_it)
{
    struct unit u;
    cycles_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle mine = unit_new(&u, u.node), told = unit_new(&u, u.node), its = peer_make(peer, u.node);
    peer_retain(peer, mine);
    peer_retain(peer, mine);
    peer_release(peer, mine);
    assert_int_equal(logged(&u), 1);
    let_go(&u, mine); /* the owner's half does not know: that costs no more than another look */
    assert_true(logged(&u) <= 2);
    uint64_t before = logged(&u);
    mid_retain(u.thread, told);
    peer_release(peer, told); /* the others' half falls below zero */
    assert_int_equal(logged(&u), before + 1);
    peer_settle(&u, peer, NULL, 3);
    assert_int_equal(logged(&u), before + 1); /* and the merge knew it */
    let_go(&u, its);
    assert_int_equal(logged(&u), before + 2);
    mid_release(u.thread, mine);
    peer_release(peer, mine);
    mid_release(u.thread, told);
    peer_release(peer, its);
    peer_settle(&u, peer, NULL, 0);
    peer_block(peer);
    assert_int_equal(cycles_find(&u), 0);
    peer_unblock(peer);
    peer_end(peer);
    cycles_close(&u);
}

/* Its last owner's count goes while others hold it: from then on it has no owner, and is a suspect. */
TEST(an_object_that_its_owner_gives_up_is_logged)
{
    struct unit u;
    cycles_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle node = unit_new(&u, u.node);
    mid_store(u.thread, node, LEFT, node);
    peer_retain(peer, node);
    mid_release(u.thread, mid_take(u.thread, node, LEFT));
    assert_int_equal(logged(&u), 1);
    assert_int_equal(peer_owner(u.thread, node), u.thread->bias);
    mid_release(u.thread, node);
    assert_int_equal(peer_owner(u.thread, node), MID_UNOWNED_);
    assert_int_equal(logged(&u), 1);
    mid_handle ring = unit_ring(&u, u.node, 2);
    peer_retain(peer, ring);
    mid_release(u.thread, ring);
    assert_int_equal(logged(&u), 2);
    peer_release(peer, ring); /* without an owner, by the last who held it */
    peer_release(peer, node);
    peer_settle(&u, peer, NULL, 2);
    peer_block(peer);
    assert_int_equal(cycles_find(&u), 2);
    peer_unblock(peer);
    peer_end(peer);
    cycles_close(&u);
}

TEST(a_full_log_goes_to_the_heap)
{
    static mid_handle nodes[2 * MID_SUSPECTS + 10];
    enum { MANY = sizeof nodes / sizeof *nodes };
    struct unit u;
    cycles_open(&u, "");
    for (int i = 0; i < MANY; i++)
        let_go(&u, nodes[i] = unit_new(&u, u.node));
    mid_snapshot shown = cycles_shown(&u);
    assert_int_equal(shown.suspects, MANY);
    assert_int_equal(shown.suspects_held, 10);
    uint64_t walked, proposed;
    ok(mid_service_propose(u.heap, AMPLE, &walked, &proposed));
    assert_int_equal(walked, MANY - 10);
    assert_int_equal(proposed, 0);
    for (int i = 0; i < MANY; i++)
        mid_release(u.thread, nodes[i]);
    assert_int_equal(cycles_find(&u), 0);
    cycles_close(&u);
}

/* Without anybody to look at them they are only counted; a collection finds what they were all the same, and whoever looks from
 * now on is told that a sweep would. */
TEST(what_was_not_logged_is_collected)
{
    struct unit u;
    cycles_open(&u, "");
    mid_service_log(u.heap, false, 0, 0);
    unit_drop_rings(&u, u.node, 1000, 3);
    cycles_prove(&u, AMPLE);
    assert_int_equal(logged(&u), 0);
    assert_int_equal(cycles_shown(&u).unresolved, 0);
    mid_service_log(u.heap, true, 0, 0);
    assert_int_equal(cycles_shown(&u).unresolved, 1000);
    mid_service_log(u.heap, true, 0, 0);
    assert_int_equal(cycles_shown(&u).unresolved, 1000);
    assert_int_equal(cycles_find(&u), 0);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

/* A heap may grow large before the service looks: whoever has a log full of suspects sees it. */
TEST(a_heap_that_is_large_logs_by_itself)
{
    struct unit u;
    cycles_open(&u, "");
    mid_service_log(u.heap, false, 0, UINT64_C(1) << 40);
    for (unsigned i = 0; i < 2 * MID_SUSPECTS; i++)
        mid_release(u.thread, unit_ring(&u, u.node, 3));
    assert_int_equal(cycles_shown(&u).suspects, cycles_shown(&u).suspects_held);
    mid_service_log(u.heap, false, 0, 1);
    for (unsigned i = 0; i < 2 * MID_SUSPECTS; i++)
        mid_release(u.thread, unit_ring(&u, u.node, 3));
    assert_true(cycles_shown(&u).suspects > cycles_shown(&u).suspects_held);
    assert_true(cycles_find(&u) >= 3 * MID_SUSPECTS);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

/* What looked alive waits long for its patient walk, and asks nobody to help; nor does one such walk keep the next suspects waiting. */
TEST(doubts_are_no_arrears)
{
    enum { MANY = 1024, MOST = 512 };
    static mid_handle nodes[MANY];
    struct unit u;
    uint64_t walked, proposed, all = 0;
    cycles_open(&u, "");
    mid_service_log(u.heap, true, 8 * MOST, 0);
    for (int i = 0; i < MANY; i++) {
        nodes[i] = unit_new(&u, u.node);
        for (int more = 0; more < 4; more++)
            mid_retain(u.thread, nodes[i]);
        let_go(&u, nodes[i]);
    }
    assert_true(mid_help_wanted(u.heap));
    while (all < MANY - 256) {
        assert_int_equal(mid_service_propose(u.heap, 0, &walked, &proposed), MID_MORE);
        all += walked;
    }
    assert_true(cycles_shown(&u).suspects > MOST);
    assert_false(mid_help_wanted(u.heap));
    for (int i = 0; i < MANY; i++)
        for (int more = 0; more < 5; more++)
            mid_release(u.thread, nodes[i]);
    cycles_close(&u);
}

/* --- ages --------------------------------------------------------------------------------------------------------- */

/* How often it is looked at, if its count falls again and again. */
static int looks_at(struct unit *u, mid_handle object)
{
    int looks = 0;
    for (int i = 0; i < 20; i++) {
        let_go(u, object);
        looks += logged(u) != 0;
        assert_int_equal(cycles_find(u), 0);
    }
    return looks;
}

TEST(what_is_found_alive_again_and_again_is_left_to_sweeps)
{
    struct unit u;
    cycles_open(&u, "");
    mid_handle node = unit_ring(&u, u.node, 1);
    assert_int_equal(looks_at(&u, node), 4); /* logged anew after each of three */
    assert_int_equal(looks_at(&u, node), 0);
    ok(mid_collect(u.thread, NULL)); /* a whole collection makes it young again */
    assert_int_equal(looks_at(&u, node), 4);
    mid_release(u.thread, node);
    assert_int_equal(logged(&u), 0);
    assert_int_equal(cycles_find(&u), 0);
    assert_int_equal(unit_live(&u), 1);
    cycles_begin(&u);
    cycles_finish(&u);
    assert_int_equal(cycles_prove(&u, AMPLE), 1);
    assert_int_equal(unit_live(&u), 0);
    cycles_close(&u);
}

/* Between the walk and the stop its count changed: the walk says nothing any more. */
TEST(a_suspect_that_has_changed_is_looked_at_again)
{
    struct unit u;
    cycles_open(&u, "");
    mid_handle ring = unit_ring(&u, u.node, 3);
    let_go(&u, ring);
    assert_int_equal(cycles_propose(&u), 0);
    assert_int_equal(cycles_shown(&u).proposals, 1); /* to be put straight */
    mid_release(u.thread, ring);
    assert_int_equal(logged(&u), 0); /* it is a suspect still */
    assert_int_equal(cycles_prove(&u, AMPLE), 0);
    assert_int_equal(logged(&u), 1);
    assert_int_equal(cycles_find(&u), 3);
    cycles_close(&u);
}

/* A walk goes no further than MID_WALK_MOST objects: what is larger passes for alive, but not to a collection. */
TEST(a_collection_finds_what_walks_gave_up)
{
    for (int close = 0; close < 2; close++) {
        struct unit u;
        cycles_open(&u, "");
        mid_handle ring = unit_ring(&u, u.node, MID_WALK_MOST + 1);
        ok(mid_collect(u.thread, NULL)); /* nothing was moved since */
        mid_release(u.thread, ring);
        assert_int_equal(cycles_find(&u), 0);
        assert_int_equal(unit_live(&u), MID_WALK_MOST + 1);
        if (!close) {
            ok(mid_collect(u.thread, NULL));
            assert_int_equal(unit_live(&u), 0);
        }
        cycles_close(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suspect_is_logged_once),
        cmocka_unit_test(what_is_on_no_cycle_is_never_logged),
        cmocka_unit_test(who_takes_the_count_away_logs_it),
        cmocka_unit_test(an_object_that_its_owner_gives_up_is_logged),
        cmocka_unit_test(a_full_log_goes_to_the_heap),
        cmocka_unit_test(what_was_not_logged_is_collected),
        cmocka_unit_test(a_heap_that_is_large_logs_by_itself),
        cmocka_unit_test(doubts_are_no_arrears),
        cmocka_unit_test(what_is_found_alive_again_and_again_is_left_to_sweeps),
        cmocka_unit_test(a_suspect_that_has_changed_is_looked_at_again),
        cmocka_unit_test(a_collection_finds_what_walks_gave_up),
    };
    return UNIT_RUN(tests);
}
