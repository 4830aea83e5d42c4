/* Handles that reach other threads through slots and weak cells: loads against stores, the first load of what was only put
 * into place, compare and swap, upgrades against the last release. */
#include "peer.h"

/* --- escaping ---------------------------------------------------------------------------------------------------- */

static uint64_t forced(struct unit *u)
{
    return unit_stats(u).escapes_forced;
}

/* root -> stored -> (left) child and (right) of it another, both only mid_init'ed. */
TEST(the_first_load_of_what_was_put_into_place)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u), *third = peer_new(&u);
    mid_handle root = unit_new(&u, u.node), stored = unit_new(&u, u.node), child = unit_new(&u, u.node),
               grandchild = unit_new(&u, u.node);
    mid_init(u.thread, child, RIGHT, grandchild);
    mid_init(u.thread, stored, LEFT, child);
    mid_give(u.thread, root, LEFT, stored);
    assert_int_equal(peer_load(peer, root, LEFT), stored);
    assert_int_equal(forced(&u), 0); /* a store has told already */
    assert_int_equal(peer_load(peer, stored, LEFT), child);
    assert_int_equal(forced(&u), 1);
    assert_int_equal(unit_count(&u, child), 2);
    assert_int_equal(peer_load(third, stored, LEFT), child);
    assert_int_equal(peer_load(peer, stored, LEFT), child);
    assert_int_equal(mid_load(u.thread, stored, LEFT), child);
    assert_int_equal(forced(&u), 1);
    assert_int_equal(unit_count(&u, child), 5);
    assert_int_equal(mid_load(u.thread, child, RIGHT), grandchild); /* its owner needs no such thing */
    assert_int_equal(forced(&u), 1);
    assert_int_equal(peer_load(third, child, RIGHT), grandchild);
    assert_int_equal(forced(&u), 2);
    mid_release(u.thread, root); /* everything else is held by the loads */
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 3);
    for (int i = 0; i < 2; i++)
        peer_release(peer, child);
    peer_release(peer, stored);
    peer_release(third, child);
    mid_release(u.thread, child);
    peer_release(third, grandchild);
    mid_release(u.thread, grandchild);
    peer_settle(&u, peer, third, 0);
    peer_end(peer);
    peer_end(third);
    unit_close(&u);
}

/* Loading an immortal, an immediate, nothing, or what nobody owns never takes the long way. */
TEST(loads_that_force_nothing)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle vec = unit_array(&u, u.vec, 4), forever = unit_new(&u, u.node), nobodys = peer_make(peer, u.node);
    ok(mid_immortalize(u.thread, forever));
    mid_retain(u.thread, nobodys);
    peer_release(peer, nobodys);
    mid_init(u.thread, vec, ITEM(0), forever);
    mid_init(u.thread, vec, ITEM(1), nobodys);
    mid_init(u.thread, vec, ITEM(2), mid_from_int(-7));
    assert_int_equal(peer_load(peer, vec, ITEM(0)), forever);
    assert_int_equal(peer_load(peer, vec, ITEM(1)), nobodys);
    assert_int_equal(peer_load(peer, vec, ITEM(2)), mid_from_int(-7));
    assert_int_equal(peer_load(peer, vec, ITEM(3)), 0);
    assert_int_equal(forced(&u), 0);
    assert_int_equal(unit_count(&u, nobodys), 2);
    peer_release(peer, nobodys);
    peer_end(peer);
    unit_destroy(&u);
}

/* --- compare and swap -------------------------------------------------------------------------------------------- */

TEST(swap_if_swaps_only_what_is_expected)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle root = unit_new(&u, u.node), a = unit_new(&u, u.node), b = unit_new(&u, u.node);
    assert_true(mid_swap_if(u.thread, root, LEFT, 0, a));
    assert_false(mid_swap_if(u.thread, root, LEFT, 0, b));
    assert_false(mid_swap_if(u.thread, root, LEFT, b, b));
    assert_int_equal(mid_peek(u.thread, root, LEFT), a);
    assert_int_equal(unit_count(&u, a), 1);
    assert_int_equal(unit_count(&u, b), 1);
    assert_true(mid_swap_if(u.thread, root, LEFT, a, b)); /* `a` is the caller's again */
    mid_release(u.thread, a);
    assert_int_equal(unit_live(&u), 2);
    assert_true(mid_swap_if(u.thread, root, LEFT, b, mid_from_int(3)));
    assert_true(mid_swap_if(u.thread, root, LEFT, mid_from_int(3), 0));
    mid_release(u.thread, b);
    mid_release(u.thread, root);
    unit_close_empty(&u);
}

/* A stack (Treiber 1986) in the slot `left` of `a`. Who holds a node keeps its number from being used again, and nothing is
 * pushed twice: so no A-B-A. */
static void push(struct peer *peer, uint64_t value)
{
    mid_handle node = 0;
    peer->wrong += mid_new(peer->thread, peer->type, &node) != MID_OK;
    ((struct node *)mid_get(peer->thread, node))->value = value;
    for (;;) {
        mid_handle top = mid_load(peer->thread, peer->a, LEFT);
        mid_handle old = mid_swap(peer->thread, node, LEFT, top);
        mid_release(peer->thread, old);
        if (mid_swap_if(peer->thread, peer->a, LEFT, top, node)) {
            mid_release(peer->thread, top); /* the slot's, which the node has taken over */
            return;
        }
    }
}

static uint64_t pop(struct peer *peer)
{
    for (;;) {
        mid_handle top = mid_load(peer->thread, peer->a, LEFT);
        if (top == 0)
            return 0;
        mid_handle next = mid_load(peer->thread, top, LEFT);
        if (mid_swap_if(peer->thread, peer->a, LEFT, top, next)) {
            uint64_t value = ((struct node *)mid_get(peer->thread, top))->value;
            mid_release(peer->thread, top);
            mid_release(peer->thread, top);
            return value;
        }
        mid_release(peer->thread, next);
        mid_release(peer->thread, top);
    }
}

static void push_and_pop(struct peer *peer)
{
    uint64_t seed = peer->slot, pushed = 0, popped = 0;
    for (size_t i = 0; i < unit_scale(40000); i++) {
        if (unit_random(&seed) % 2) {
            push(peer, i + 1);
            pushed += i + 1;
        } else {
            popped += pop(peer);
        }
        if (i % 64 == 0)
            peer->wrong += mid_safepoint(peer->thread) != MID_OK;
    }
    peer->number = pushed - popped;
}

TEST(a_stack_without_locks)
{
    enum { PEERS = 4 };
    struct unit u;
    struct peer *peers[PEERS];
    unit_open(&u, "");
    mid_handle root = unit_new(&u, u.node);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(&u);
        peers[i]->a = root;
        peers[i]->type = u.node;
        peers[i]->slot = 100 + (unsigned)i;
    }
    for (int i = 0; i < PEERS; i++)
        peer_begin(peers[i], push_and_pop);
    uint64_t left = 0, found = 0;
    for (int i = 0; i < PEERS; i++) {
        peer_wait_polling(peers[i], u.thread);
        assert_int_equal(peers[i]->wrong, 0);
        left += peers[i]->number;
    }
    for (int i = 0; i < PEERS; i++)
        peer_block(peers[i]);
    unit_check(&u);
    mid_handle node = mid_load(u.thread, root, LEFT);
    while (node != 0) {
        found += unit_node(&u, node)->value;
        mid_handle next = mid_load(u.thread, node, LEFT);
        mid_release(u.thread, node);
        node = next;
    }
    assert_int_equal(found, left);
    mid_release(u.thread, root);
    for (int i = 0; i < PEERS; i++) {
        peer_unblock(peers[i]);
        peer_end(peers[i]);
    }
    ok(mid_collect(u.thread, NULL)); /* what the others had still to free is nobody's now */
    unit_close_empty(&u);
}

/* --- slots that all change at once ------------------------------------------------------------------------------- */

enum { SLOTS = 8 };

/* Every load must give a whole object that stays so, whoever stores meanwhile. */
static void load_and_store(struct peer *peer)
{
    mid_thread *t = peer->thread;
    uint64_t seed = peer->slot;
    for (size_t i = 0; i < unit_scale(60000); i++) {
        uint64_t r = unit_random(&seed);
        unsigned slot = ITEM(r % SLOTS);
        if (r >> 32 & 1) {
            mid_handle made = 0;
            peer->wrong += mid_new(t, peer->type, &made) != MID_OK;
            struct node *node = mid_get(t, made);
            node->value = ~(uint64_t)made;
            if (r >> 33 & 1)
                mid_give(t, peer->a, slot, made);
            else
                mid_release(t, mid_swap(t, peer->a, slot, made));
        } else {
            mid_handle found = mid_load(t, peer->a, slot);
            if (found != 0) {
                peer->wrong += ((struct node *)mid_get(t, found))->value != ~(uint64_t)found;
                mid_store(t, peer->a, ITEM((r >> 8) % SLOTS), found);
                mid_release(t, found);
            }
        }
        if (i % 32 == 0)
            peer->wrong += mid_safepoint(t) != MID_OK;
    }
}

TEST(loads_against_stores)
{
    enum { PEERS = 3 };
    struct unit u;
    struct peer *peers[PEERS];
    unit_open(&u, "");
    mid_handle vec = unit_array(&u, u.vec, SLOTS);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(&u);
        peers[i]->a = vec;
        peers[i]->type = u.node;
        peers[i]->slot = 7 + (unsigned)i;
    }
    for (int i = 0; i < PEERS; i++)
        peer_begin(peers[i], load_and_store);
    for (int i = 0; i < PEERS; i++)
        peer_wait_polling(peers[i], u.thread);
    for (int i = 0; i < PEERS; i++)
        peer_block(peers[i]);
    ok(mid_collect(u.thread, NULL));
    unit_check(&u);
    assert_true(unit_live(&u) <= 1 + SLOTS);
    mid_release(u.thread, vec);
    for (int i = 0; i < PEERS; i++) {
        assert_int_equal(peers[i]->wrong, 0);
        peer_unblock(peers[i]);
        peer_end(peers[i]);
    }
    ok(mid_collect(u.thread, NULL)); /* what the others had still to free is nobody's now */
    unit_close_empty(&u);
}

/* --- weak references --------------------------------------------------------------------------------------------- */

static void upgrade(struct peer *peer)
{
    peer->b = mid_weak_get(peer->thread, peer->weak);
}

TEST(others_upgrade_weak_references)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle node = unit_new(&u, u.node);
    ok(mid_weak_new(u.thread, node, &peer->weak));
    peer_do(peer, upgrade);
    assert_int_equal(peer->b, node);
    assert_int_equal(unit_count(&u, node), 2);
    mid_release(u.thread, node);
    peer_do(peer, upgrade);
    assert_int_equal(unit_count(&u, node), 2);
    peer_release(peer, node);
    assert_int_equal(mid_weak_get(u.thread, peer->weak), node);
    peer_release(peer, node);
    mid_release(u.thread, node);
    peer_settle(&u, peer, NULL, 0);
    peer_do(peer, upgrade);
    assert_int_equal(peer->b, 0);
    assert_int_equal(mid_weak_get(u.thread, peer->weak), 0);
    ok(mid_weak_drop(u.thread, peer->weak));
    peer_end(peer);
    unit_close(&u);
}

/* What main hands out, one weak handle a round. The counters are atomic. */
static struct {
    mid_weak weak;
    uint64_t ready, begun, over; /* rounds: published, taken up, ended by the upgrader */
} cell;

static void upgrade_each(struct peer *peer)
{
    for (uint64_t round = 1; round <= peer->slot; round++) {
        while (__atomic_load_n(&cell.ready, __ATOMIC_ACQUIRE) < round)
            peer->wrong += mid_safepoint(peer->thread) != MID_OK;
        mid_weak weak = cell.weak;
        __atomic_store_n(&cell.begun, round, __ATOMIC_RELEASE);
        mid_handle got;
        while ((got = mid_weak_get(peer->thread, weak)) != 0) { /* until the owner's last release has won */
            peer->wrong += ((struct node *)mid_get(peer->thread, got))->value != round;
            mid_release(peer->thread, got);
            peer->wrong += mid_safepoint(peer->thread) != MID_OK;
        }
        __atomic_store_n(&cell.over, round, __ATOMIC_RELEASE);
    }
}

static void poll_until(struct unit *u, const uint64_t *counter, uint64_t round)
{
    while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < round)
        ok(mid_safepoint(u->thread));
}

TEST(upgrades_race_with_the_last_release)
{
    struct unit u;
    unit_open(&u, "");
    memset(&cell, 0, sizeof cell);
    struct peer *peer = peer_new(&u);
    unsigned rounds = (unsigned)unit_scale(2000);
    peer->slot = rounds;
    peer_begin(peer, upgrade_each);
    for (uint64_t round = 1; round <= rounds; round++) {
        mid_handle node = unit_new(&u, u.node);
        unit_node(&u, node)->value = round;
        mid_weak weak;
        ok(mid_weak_new(u.thread, node, &weak));
        cell.weak = weak;
        __atomic_store_n(&cell.ready, round, __ATOMIC_RELEASE);
        poll_until(&u, &cell.begun, round);
        mid_release(u.thread, node);
        poll_until(&u, &cell.over, round);
        ok(mid_weak_drop(u.thread, weak));
        if (round % 2) /* the next takes its number, or another */
            continue;
        ok(mid_safepoint(u.thread));
        assert_int_equal(unit_live(&u), 0);
    }
    peer_wait_polling(peer, u.thread);
    assert_int_equal(peer->wrong, 0);
    peer_end(peer);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_load_of_what_was_put_into_place),
        cmocka_unit_test(loads_that_force_nothing),
        cmocka_unit_test(swap_if_swaps_only_what_is_expected),
        cmocka_unit_test(a_stack_without_locks),
        cmocka_unit_test(loads_against_stores),
        cmocka_unit_test(others_upgrade_weak_references),
        cmocka_unit_test(upgrades_race_with_the_last_release),
    };
    return UNIT_RUN(tests);
}
