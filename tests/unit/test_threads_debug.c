/* The checked calls (this file is compiled with MIDDEN_DEBUG) where threads are concerned: another's mid_thread, handles that
 * another thread freed or that another heap named, and a program without misuse, which gets no report. */
#include "peer.h"
#include "reports.h"

/* In a peer: exactly one report since the last, of this call and status; the handle may be left out. */
static size_t not_reported(const char *call, mid_status status, mid_handle handle)
{
    size_t wrong = got.count != 1 || strcmp(got.call, call) != 0 || got.status != status ||
                   (got.handle != 0 && got.handle != handle);
    if (wrong)
        print_error("expected one report of %s: %s; got %zu, the last of %s: %s\n", call, mid_status_name(status), got.count,
                    got.call, mid_status_name(got.status));
    memset(&got, 0, sizeof got);
    return wrong;
}

/* Every checked call with `data` for its mid_thread and `a` for its object, `number` being what it must say. */
static void misuse(struct peer *peer)
{
    mid_thread *t = peer->data;
    mid_handle a = peer->a, none = 1;
    mid_status why = (mid_status)peer->number;
    size_t wrong = 0;
    wrong += mid_retain(t, a) != 0;
    wrong += not_reported("mid_retain", why, a);
    mid_release(t, a);
    wrong += not_reported("mid_release", why, a);
    wrong += mid_load(t, a, LEFT) != 0;
    wrong += not_reported("mid_load", why, a);
    wrong += mid_peek(t, a, LEFT) != 0;
    wrong += not_reported("mid_peek", why, a);
    mid_store(t, a, LEFT, 0);
    wrong += not_reported("mid_store", why, a);
    mid_give(t, a, LEFT, 0);
    wrong += not_reported("mid_give", why, a);
    wrong += mid_swap(t, a, LEFT, 0) != 0;
    wrong += not_reported("mid_swap", why, a);
    wrong += mid_take(t, a, LEFT) != 0;
    wrong += not_reported("mid_take", why, a);
    wrong += mid_get(t, a) != NULL;
    wrong += not_reported("mid_get", why, a);
    if (why == MID_ETHREAD) {
        wrong += mid_new(t, peer->unit->node, &none) != MID_ETHREAD;
        wrong += not_reported("mid_new", why, 0);
        wrong += mid_safepoint(t) != MID_ETHREAD;
        wrong += not_reported("mid_safepoint", why, 0);
    }
    peer->wrong += wrong;
}

TEST(anothers_mid_thread_is_told)
{
    struct unit u;
    debug_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle node = unit_new(&u, u.node), below = unit_new(&u, u.node);
    mid_give(u.thread, node, LEFT, below);
    peer->data = u.thread;
    peer->a = node;
    peer->number = MID_ETHREAD;
    peer_do(peer, misuse); /* attached itself */
    assert_int_equal(peer->wrong, 0);
    peer_block(peer);
    ok(mid_blocked_enter(u.thread)); /* that the other sleeps makes it no better */
    peer_do(peer, misuse);
    ok(mid_blocked_leave(u.thread));
    peer->data = peer->thread; /* its own, in a blocked region */
    peer_do(peer, misuse);
    assert_int_equal(peer->wrong, 0);
    peer_unblock(peer);
    peer_detach(peer);
    peer->data = u.thread;
    peer_do(peer, misuse); /* not attached at all */
    assert_int_equal(peer->wrong, 0);
    assert_int_equal(unit_count(&u, node), 1);
    assert_int_equal(mid_peek(u.thread, node, LEFT), below);
    mid_release(u.thread, node);
    peer_end(peer);
    debug_close(&u);
}

TEST(what_another_thread_freed_is_told)
{
    struct unit u;
    debug_open(&u, "");
    struct peer *peer = peer_new(&u);
    peer->data = peer->thread;
    peer->number = MID_EHANDLE;
    for (int i = 0; i < 10; i++) {
        peer->a = unit_new(&u, u.node);
        mid_release(u.thread, peer->a);
        mid_handle next = unit_new(&u, u.node); /* quarantine keeps the number out of use */
        assert_int_not_equal(next, peer->a);
        peer_do(peer, misuse);
        assert_int_equal(peer->wrong, 0);
        mid_release(u.thread, next);
    }
    peer_end(peer);
    debug_close(&u);
}

TEST(what_another_heap_named_is_told)
{
    struct unit u, other;
    debug_open(&u, "");
    unit_open(&other, "");
    struct peer *peer = peer_new(&u);
    peer->data = peer->thread;
    peer->number = MID_EHANDLE;
    peer->a = unit_new(&other, other.node);
    peer_do(peer, misuse);
    assert_int_equal(peer->wrong, 0);
    mid_release(other.thread, peer->a);
    peer_end(peer);
    unit_close(&other);
    debug_close(&u);
}

/* The sum counts: a release of what another holds is fine, one more is told. */
TEST(a_release_too_many_by_another_is_told)
{
    struct unit u;
    debug_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle node = unit_new(&u, u.node);
    mid_retain(u.thread, node);
    peer_retain(peer, node);
    peer_release(peer, node);
    peer_release(peer, node);
    peer_safepoint(peer);
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_count(&u, node), 1);
    mid_release(u.thread, node);
    assert_int_equal(got.count, 0);
    peer->data = peer->thread;
    peer->a = node;
    peer->number = MID_EHANDLE;
    peer_do(peer, misuse);
    assert_int_equal(peer->wrong, 0);
    peer_end(peer);
    debug_close(&u);
}

static void use_well(struct peer *peer)
{
    mid_thread *t = peer->thread;
    uint64_t seed = peer->slot;
    for (size_t i = 0; i < unit_scale(20000); i++) {
        uint64_t r = unit_random(&seed);
        mid_handle made = 0, found = mid_load(t, peer->a, ITEM(r % 8));
        peer->wrong += mid_new(t, peer->type, &made) != MID_OK;
        if (found != 0)
            mid_store(t, made, RIGHT, found);
        mid_release(t, found);
        if (r >> 40 & 1)
            mid_give(t, peer->a, ITEM(r >> 8 & 7), made);
        else
            mid_release(t, made);
        if (r >> 41 & 1)
            mid_store(t, peer->a, ITEM(r >> 16 & 7), 0);
        if (i % 16 == 0)
            peer->wrong += mid_safepoint(t) != MID_OK;
    }
}

TEST(threads_that_do_nothing_wrong)
{
    struct unit u;
    debug_open(&u, "");
    mid_handle vec = unit_array(&u, u.vec, 8);
    struct peer *peers[3];
    for (int i = 0; i < 3; i++) {
        peers[i] = peer_new(&u);
        peers[i]->a = vec;
        peers[i]->type = u.node;
        peers[i]->slot = 3 + (unsigned)i;
    }
    for (int i = 0; i < 3; i++)
        peer_begin(peers[i], use_well);
    for (int i = 0; i < 3; i++)
        peer_wait_polling(peers[i], u.thread);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(peers[i]->wrong, 0);
        peer_end(peers[i]);
    }
    mid_release(u.thread, vec);
    ok(mid_collect(u.thread, NULL)); /* what the others had still to free is nobody's now */
    assert_int_equal(unit_live(&u), 0);
    debug_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anothers_mid_thread_is_told),
        cmocka_unit_test(what_another_thread_freed_is_told),
        cmocka_unit_test(what_another_heap_named_is_told),
        cmocka_unit_test(a_release_too_many_by_another_is_told),
        cmocka_unit_test(threads_that_do_nothing_wrong),
    };
    return UNIT_RUN(tests);
}
