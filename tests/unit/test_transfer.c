/* mid_transfer: a graph that one thread holds becomes another's to count. Graphs are built with mid_init, since what a store
 * has published may be anybody's. */
#include "peer.h"

enum { NODES = 1000 };

/* A list through `left`, each also reachable by `right` of the one before the last: nodes[0] is the root. */
static void make_list(struct unit *u, mid_handle *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nodes[i] = unit_new(u, u->node);
        unit_node(u, nodes[i])->value = i;
        if (i > 0)
            mid_init(u->thread, nodes[i - 1], LEFT, nodes[i]);
        if (i > 1)
            mid_init(u->thread, nodes[i - 2], RIGHT, mid_retain(u->thread, nodes[i]));
    }
}

static size_t owned_by(struct unit *u, mid_thread *thread, const mid_handle *nodes, size_t count)
{
    size_t owned = 0;
    for (size_t i = 0; i < count; i++)
        owned += peer_owner(u->thread, nodes[i]) == thread->bias;
    return owned;
}

TEST(the_whole_graph_changes_hands)
{
    struct unit u;
    static mid_handle nodes[NODES];
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    make_list(&u, nodes, NODES);
    ok(mid_transfer(u.thread, peer->thread, nodes[0], 0));
    assert_int_equal(owned_by(&u, peer->thread, nodes, NODES), NODES);
    for (size_t i = 0; i < NODES; i++) {
        assert_int_equal(unit_count(&u, nodes[i]), i < 2 ? 1 : 2);
        assert_int_equal(unit_node(&u, nodes[i])->value, i);
    }
    for (size_t i = 1; i < NODES; i++) /* loads and releases of its own: nothing forced, nothing merged */
        peer_release(peer, peer_load(peer, nodes[i - 1], LEFT));
    peer_release(peer, nodes[0]);
    peer_settle(&u, peer, NULL, 0);
    assert_int_equal(unit_stats(&u).merged_objects, 0);
    assert_int_equal(unit_stats(&u).escapes_forced, 0);
    peer_end(peer);
    unit_close(&u);
}

TEST(cycles_and_every_shape_change_hands)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle first = unit_new(&u, u.node), vec = unit_array(&u, u.vec, 300), big = unit_array(&u, u.vec, 20000),
               bytes = unit_array(&u, u.bytes, 2u << 20);
    mid_init(u.thread, first, LEFT, vec);
    mid_init(u.thread, first, RIGHT, first); /* itself */
    mid_retain(u.thread, first);
    for (unsigned i = 0; i < 300; i++)
        mid_init(u.thread, vec, ITEM(i), i % 3 == 0 ? mid_from_int((int)i) : i % 3 == 1 ? 0 : unit_new(&u, u.node));
    mid_init(u.thread, vec, ITEM(1), big);
    mid_init(u.thread, big, ITEM(19999), mid_retain(u.thread, first)); /* back */
    mid_init(u.thread, big, ITEM(7), bytes);
    ok(mid_transfer(u.thread, peer->thread, first, 0));
    const mid_handle all[] = {first, vec, big, bytes, mid_peek(u.thread, vec, ITEM(299))};
    assert_int_equal(owned_by(&u, peer->thread, all, 5), 5);
    assert_int_equal(unit_count(&u, first), 3);
    assert_int_equal(unit_count(&u, big), 1);
    peer_block(peer);
    unit_check(&u);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 4 + 100);
    peer_unblock(peer);
    peer_release(peer, first);
    peer_block(peer);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    peer_unblock(peer);
    peer_end(peer);
    unit_close(&u);
}

/* What the sender still holds a count of it may go on using; that is another's object then. */
TEST(the_sender_may_keep_a_hold)
{
    struct unit u;
    mid_handle nodes[10];
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    make_list(&u, nodes, 10);
    mid_retain(u.thread, nodes[5]);
    mid_weak weak;
    ok(mid_weak_new(u.thread, nodes[7], &weak));
    ok(mid_transfer(u.thread, peer->thread, nodes[0], 0));
    assert_int_equal(unit_count(&u, nodes[5]), 3);
    mid_retain(u.thread, nodes[5]);
    assert_int_equal(peer_count(peer, nodes[5]), 4);
    peer_release(peer, nodes[0]);
    peer_settle(&u, peer, NULL, 5); /* from the fifth on */
    mid_handle got = mid_weak_get(u.thread, weak);
    assert_int_equal(got, nodes[7]);
    mid_release(u.thread, got);
    mid_release(u.thread, nodes[5]);
    mid_release(u.thread, nodes[5]);
    peer_settle(&u, peer, NULL, 0);
    ok(mid_weak_drop(u.thread, weak));
    peer_end(peer);
    unit_close(&u);
}

/* --- what stays ---------------------------------------------------------------------------------------------------- */

TEST(what_others_may_have_seen_stays)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u), *third = peer_new(&u);
    mid_handle root = unit_array(&u, u.vec, 6), shelf = unit_new(&u, u.node);
    mid_handle stored = unit_new(&u, u.node), below = unit_new(&u, u.node), counted = unit_new(&u, u.node),
               forever = unit_new(&u, u.node), nobodys = unit_new(&u, u.node), plain = unit_new(&u, u.node);
    mid_handle others = peer_make(third, u.node);
    mid_init(u.thread, stored, LEFT, below);   /* whoever finds the one finds the other */
    mid_store(u.thread, shelf, LEFT, stored);  /* published */
    peer_retain(third, counted);               /* counted by another */
    ok(mid_immortalize(u.thread, forever));
    peer_retain(third, nobodys);
    mid_release(u.thread, nobodys); /* and that is third's hold now */
    mid_init(u.thread, root, ITEM(0), stored);
    mid_init(u.thread, root, ITEM(1), counted);
    mid_init(u.thread, root, ITEM(2), forever);
    mid_init(u.thread, root, ITEM(3), nobodys);
    mid_init(u.thread, root, ITEM(4), others);
    mid_init(u.thread, root, ITEM(5), plain);
    ok(mid_transfer(u.thread, peer->thread, root, 0));
    assert_int_equal(peer_owner(u.thread, root), peer->thread->bias);
    assert_int_equal(peer_owner(u.thread, plain), peer->thread->bias);
    assert_int_equal(peer_owner(u.thread, stored), u.thread->bias);
    assert_int_equal(peer_owner(u.thread, below), u.thread->bias);
    assert_int_equal(peer_owner(u.thread, nobodys), MID_UNOWNED_);
    assert_int_equal(peer_owner(u.thread, others), third->thread->bias);
    assert_int_equal(unit_count(&u, stored), 2);
    assert_int_equal(unit_count(&u, counted), 2);
    assert_int_equal(unit_count(&u, forever), UINT32_MAX);
    peer_release(third, counted);
    peer_release(peer, root); /* works the same, only slower */
    peer_settle(&u, peer, third, 4); /* shelf, what is stored there, what is below, and the immortal */
    mid_release(u.thread, shelf);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 1);
    peer_end(peer);
    peer_end(third);
    unit_destroy(&u);
}

TEST(a_budget_that_runs_out)
{
    struct unit u;
    enum { MANY = 200000 };
    static mid_handle nodes[MANY];
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    make_list(&u, nodes, MANY);
    expect(MID_MORE, mid_transfer(u.thread, peer->thread, nodes[0], 1));
    size_t moved = owned_by(&u, peer->thread, nodes, MANY), wrong = 0;
    assert_true(moved > 0 && moved < MANY);
    assert_int_equal(peer_owner(u.thread, nodes[0]), peer->thread->bias);
    assert_int_equal(moved + owned_by(&u, u.thread, nodes, MANY), MANY);
    for (size_t i = 0; i < MANY; i++)
        wrong += unit_count(&u, nodes[i]) != (i < 2 ? 1 : 2) || unit_node(&u, nodes[i])->value != i;
    assert_int_equal(wrong, 0);
    peer_block(peer);
    unit_check(&u);
    peer_unblock(peer);
    peer_release(peer, nodes[0]);
    peer_settle(&u, peer, NULL, 0);
    peer_end(peer);
    unit_close(&u);
}

TEST(a_wide_object_changes_hands)
{
    struct unit u;
    enum { MANY = 50000 };
    static mid_handle nodes[MANY];
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle root = unit_array(&u, u.vec, MANY);
    for (unsigned i = 0; i < MANY; i++)
        mid_init(u.thread, root, ITEM(i), nodes[i] = unit_new(&u, u.node));
    ok(mid_transfer(u.thread, peer->thread, root, 0));
    assert_int_equal(owned_by(&u, peer->thread, nodes, MANY), MANY);
    peer_release(peer, root);
    peer_settle(&u, peer, NULL, 0);
    assert_int_equal(unit_stats(&u).merged_objects, 0);
    peer_end(peer);
    unit_close(&u);
}

/* --- what is refused ----------------------------------------------------------------------------------------------- */

static void transfer_anothers(struct peer *peer)
{
    peer->status = mid_transfer(peer->data, peer->thread, peer->a, 0);
}

static void transfer_in_region(struct peer *peer)
{
    peer->wrong = mid_blocked_enter(peer->thread) != MID_OK;
    peer->status = mid_transfer(peer->thread, peer->data, peer->a, 0);
    peer->wrong += mid_blocked_leave(peer->thread) != MID_OK;
}

TEST(transfers_that_are_refused)
{
    struct unit u, other;
    unit_open(&u, "");
    unit_open(&other, "");
    struct peer *peer = peer_new(&u), *gone = peer_new(&u);
    mid_thread *was = gone->thread;
    mid_handle node = unit_new(&u, u.node), dead = unit_new(&u, u.node);
    mid_release(u.thread, dead);
    peer_end(gone);
    expect(MID_ENULL, mid_transfer(NULL, peer->thread, node, 0));
    expect(MID_ENULL, mid_transfer(u.thread, NULL, node, 0));
    expect(MID_ETHREAD, mid_transfer(u.thread, other.thread, node, 0));
    expect(MID_ETHREAD, mid_transfer(u.thread, was, node, 0));
    const mid_handle bad[] = {0, mid_from_int(4), dead, 0xFFFFFFFE};
    for (int i = 0; i < 4; i++)
        expect(MID_EHANDLE, mid_transfer(u.thread, peer->thread, bad[i], 0));
    peer->a = node;
    peer->data = u.thread;
    peer_do(peer, transfer_anothers); /* with main's mid_thread */
    expect(MID_ETHREAD, peer->status);
    peer_do(peer, transfer_in_region);
    expect(MID_ETHREAD, peer->status);
    assert_int_equal(peer->wrong, 0);
    assert_int_equal(peer_owner(u.thread, node), u.thread->bias);
    ok(mid_transfer(u.thread, u.thread, node, 0)); /* to itself: nothing to do */
    assert_int_equal(peer_owner(u.thread, node), u.thread->bias);
    assert_int_equal(unit_count(&u, node), 1);
    mid_release(u.thread, node);
    peer_end(peer);
    unit_close(&u);
    unit_close(&other);
}

static struct {
    struct unit *u;
    mid_thread *to;
    mid_handle node;
    mid_status status;
} asked;

static void transfer_in_callback(void *context)
{
    (void)context;
    asked.status = mid_transfer(asked.u->thread, asked.to, asked.node, 0);
}

TEST(a_callback_cannot_transfer)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    peer_block(peer);
    asked.u = &u;
    asked.to = peer->thread;
    asked.node = unit_new(&u, u.node);
    asked.status = MID_OK;
    mid_listener l = {.struct_size = sizeof l, .collect_begin = transfer_in_callback};
    ok(mid_listener_add(u.heap, &l));
    ok(mid_collect(u.thread, NULL));
    ok(mid_listener_remove(u.heap, NULL));
    expect(MID_EBUSY, asked.status);
    mid_release(u.thread, asked.node);
    peer_unblock(peer);
    peer_end(peer);
    unit_close(&u);
}

/* --- messages ------------------------------------------------------------------------------------------------------ */

static void send_back(struct peer *peer)
{
    size_t length = 0;
    mid_handle at = mid_retain(peer->thread, peer->a);
    while (at != 0) {
        struct node *node = mid_get(peer->thread, at);
        peer->wrong += node->value != length++ + peer->number;
        node->value++;
        mid_handle next = mid_load(peer->thread, at, LEFT);
        mid_release(peer->thread, at);
        at = next;
    }
    peer->wrong += length != 100;
    peer->wrong += mid_transfer(peer->thread, peer->data, peer->a, 0) != MID_OK;
}

TEST(a_message_goes_to_and_fro)
{
    struct unit u;
    mid_handle nodes[100];
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    make_list(&u, nodes, 100);
    peer->a = nodes[0];
    peer->data = u.thread;
    for (unsigned round = 0; round < 50; round++) {
        peer->number = round;
        ok(mid_transfer(u.thread, peer->thread, nodes[0], 0));
        assert_int_equal(owned_by(&u, peer->thread, nodes, 100), 100);
        peer_do(peer, send_back);
        assert_int_equal(peer->wrong, 0);
        assert_int_equal(owned_by(&u, u.thread, nodes, 100), 100);
    }
    mid_release(u.thread, nodes[0]);
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).merged_objects, 0);
    assert_int_equal(unit_stats(&u).escapes_forced, 0);
    peer_end(peer);
    unit_close(&u);
}

TEST(a_transfer_to_a_thread_that_sleeps_and_then_ends)
{
    struct unit u;
    mid_handle nodes[100];
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    make_list(&u, nodes, 100);
    peer_block(peer);
    ok(mid_transfer(u.thread, peer->thread, nodes[0], 0));
    assert_int_equal(owned_by(&u, peer->thread, nodes, 100), 100);
    peer_lost(peer);
    mid_release(u.thread, nodes[0]); /* of an absent owner: children in turn are merged where it dies */
    peer_settle(&u, NULL, NULL, 0);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_graph_changes_hands),
        cmocka_unit_test(cycles_and_every_shape_change_hands),
        cmocka_unit_test(the_sender_may_keep_a_hold),
        cmocka_unit_test(what_others_may_have_seen_stays),
        cmocka_unit_test(a_budget_that_runs_out),
        cmocka_unit_test(a_wide_object_changes_hands),
        cmocka_unit_test(transfers_that_are_refused),
        cmocka_unit_test(a_callback_cannot_transfer),
        cmocka_unit_test(a_message_goes_to_and_fro),
        cmocka_unit_test(a_transfer_to_a_thread_that_sleeps_and_then_ends),
    };
    return UNIT_RUN(tests);
}
