/* Several threads and a system that refuses memory: attaching, messages about counts, transfers. What could not be done then is
 * not lost, and the system is never asked by two threads at once. */
#include "peer.h"

#include "fault_os.h"

static void refuse(struct fault_os *fault, int on)
{
    fault->fail_at = on ? fault->calls + 1 : 0;
    fault->for_good = on;
}

static void try_to_attach(struct peer *peer)
{
    peer->status = mid_thread_attach(peer->heap, &peer->thread);
}

TEST(attaching_without_memory)
{
    struct unit u;
    struct fault_os fault;
    fault_open(&u, &fault, "max-objects=1M");
    struct peer *peer = peer_unattached(u.heap);
    refuse(&fault, 1);
    peer_do(peer, try_to_attach);
    expect(MID_ENOMEM, peer->status);
    assert_null(peer->thread);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    refuse(&fault, 0);
    unit_check(&u);
    peer_attach(peer);
    peer_detach(peer);
    refuse(&fault, 1);
    peer_attach(peer); /* there is a place now */
    refuse(&fault, 0);
    peer_end(peer);
    fault_close(&u, &fault);
}

/* Each new place takes a little of what the last refused pool left. */
TEST(attaching_at_the_limit)
{
    enum { MOST = 200 };
    struct unit u;
    struct fault_os fault;
    struct peer *peers[MOST];
    static mid_handle held[4096];
    mid_handle made;
    size_t count = 0, attached = 0;
    fault_open(&u, &fault, "max-objects=1M,heap-limit=4M,reserve=0");
    for (size_t size = 4000; size != 0; size /= 20)
        while (count < 4096 && mid_new_array(u.thread, u.bytes, size, &made) == MID_OK)
            held[count++] = made;
    assert_true(count < 4096);
    for (;; attached++) {
        assert_true(attached < MOST);
        peers[attached] = peer_unattached(u.heap);
        peer_do(peers[attached], try_to_attach);
        if (peers[attached]->status != MID_OK)
            break;
    }
    expect(MID_ELIMIT, peers[attached]->status);
    assert_null(peers[attached]->thread);
    assert_int_equal(unit_stats(&u).attached_threads, 1 + attached);
    assert_true(unit_stats(&u).committed_bytes <= 4u << 20);
    while (count != 0)
        mid_release(u.thread, held[--count]);
    ok(mid_trim(u.thread, 0, NULL));
    peer_attach(peers[attached]);
    for (size_t i = 0; i <= attached; i++)
        peer_end(peers[i]);
    fault_close(&u, &fault);
}

static void release_all(struct peer *peer)
{
    mid_handle *handles = peer->data;
    for (size_t i = 0; i < peer->number; i++)
        mid_release(peer->thread, handles[i]);
}

/* The owner cannot be told, for want of memory for the message: a collection finds what it was about. */
TEST(messages_without_memory)
{
    struct unit u;
    struct fault_os fault;
    enum { MANY = 5000 };
    static mid_handle handles[MANY];
    fault_open(&u, &fault, "max-objects=1M");
    struct peer *peer = peer_new(&u);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY; i++)
            handles[i] = unit_new(&u, u.node);
        mid_retain(u.thread, handles[0]);
        peer->data = handles;
        peer->number = MANY;
        refuse(&fault, 1);
        peer_do(peer, release_all);
        peer_safepoint(peer);
        for (int i = 0; i < 20; i++)
            ok(mid_safepoint(u.thread));
        refuse(&fault, 0);
        assert_true(unit_live(&u) > 1);
        assert_int_equal(unit_count(&u, handles[0]), 1);
        peer_block(peer);
        ok(mid_collect(u.thread, NULL));
        unit_check(&u);
        assert_int_equal(unit_live(&u), 1);
        peer_unblock(peer);
        mid_release(u.thread, handles[0]);
        assert_int_equal(unit_live(&u), 0);
    }
    peer_end(peer);
    fault_close(&u, &fault);
}

TEST(a_transfer_without_memory)
{
    struct unit u;
    struct fault_os fault;
    enum { MANY = 5000 };
    fault_open(&u, &fault, "max-objects=1M");
    struct peer *peer = peer_new(&u);
    mid_handle root = unit_array(&u, u.vec, MANY);
    for (unsigned i = 0; i < MANY; i++)
        mid_init(u.thread, root, ITEM(i), unit_new(&u, u.node));
    refuse(&fault, 1);
    expect(MID_MORE, mid_transfer(u.thread, peer->thread, root, 0));
    refuse(&fault, 0);
    size_t wrong = 0;
    for (unsigned i = 0; i < MANY; i++) {
        uint32_t owner = peer_owner(u.thread, mid_peek(u.thread, root, ITEM(i)));
        wrong += owner != u.thread->bias && owner != peer->thread->bias;
    }
    assert_int_equal(wrong, 0);
    peer_block(peer);
    unit_check(&u);
    peer_unblock(peer);
    peer_release(peer, root);
    peer_settle(&u, peer, NULL, 0);
    peer_end(peer);
    fault_close(&u, &fault);
}

/* --- every request in turn ------------------------------------------------------------------------------------------------ */

static void make_some(struct peer *peer)
{
    mid_handle *vec = peer->data;
    *vec = 0;
    if (mid_new_array(peer->thread, peer->unit->vec, 600, vec) != MID_OK)
        return;
    for (unsigned i = 0; i < 600; i++) {
        mid_handle made = 0;
        mid_status status = i % 8 == 7 ? mid_new_array(peer->thread, peer->unit->bytes, i * 20, &made)
                                       : mid_new(peer->thread, peer->unit->node, &made);
        peer->wrong += status != MID_OK && status != MID_ENOMEM;
        peer->wrong += (status == MID_OK) != (made != 0);
        mid_init(peer->thread, *vec, ITEM(i), made);
    }
}

static void drop_some(struct peer *peer)
{
    mid_release(peer->thread, *(mid_handle *)peer->data);
}

/* Two threads make objects, swap and release them. Returns how many requests were refused. */
static size_t scenario(struct fault_os *fault, size_t fail_at)
{
    struct unit u;
    mid_handle made[2] = {0, 0};
    fault_open(&u, fault, "max-objects=1M,reserve=128K");
    struct peer *peers[2] = {peer_new(&u), peer_unattached(u.heap)};
    fault->fail_at = fault->calls + fail_at;
    peer_do(peers[1], try_to_attach);
    if (peers[1]->status != MID_OK) {
        expect(MID_ENOMEM, peers[1]->status);
        peer_attach(peers[1]);
    }
    for (int i = 0; i < 2; i++) {
        peers[i]->unit = &u;
        peers[i]->data = &made[i];
        peer_do(peers[i], make_some);
    }
    for (int i = 0; i < 2; i++) {
        peers[i]->data = &made[!i];
        peer_do(peers[i], drop_some);
        peer_safepoint(peers[i]);
    }
    peer_block(peers[0]);
    peer_unblock(peers[0]);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(peers[i]->wrong, 0);
        peer_end(peers[i]);
    }
    size_t failed = fault->failed;
    fault->fail_at = 0;
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    fault_close(&u, fault);
    return failed;
}

TEST(each_request_is_refused_once)
{
    struct fault_os fault;
    size_t n = 1;
    while (scenario(&fault, n) != 0)
        assert_true(++n < 1000);
    assert_true(n > 5);
}

/* --- one at a time ---------------------------------------------------------------------------------------------------------- */

static void grow_and_shrink(struct peer *peer)
{
    uint64_t seed = peer->slot;
    mid_handle held[32] = {0};
    for (size_t i = 0; i < unit_scale(4000); i++) {
        uint64_t r = unit_random(&seed);
        mid_handle *at = &held[r % 32];
        mid_release(peer->thread, *at);
        *at = 0;
        size_t size = r >> 40 & 1 ? r >> 8 & 0xFFFFF : r >> 8 & 0xFFF;
        peer->wrong += mid_new_array(peer->thread, peer->unit->bytes, size, at) != MID_OK;
        if (i % 8 == 0)
            peer->wrong += mid_resize(peer->thread, *at, size * 2) != MID_OK;
        if (i % 64 == 0)
            peer->wrong += mid_safepoint(peer->thread) != MID_OK;
        if (i % 256 == 0)
            peer->wrong += mid_trim(peer->thread, 0, NULL) != MID_OK;
    }
    for (int i = 0; i < 32; i++)
        mid_release(peer->thread, held[i]);
}

TEST(the_system_is_asked_by_one_at_a_time)
{
    enum { PEERS = 3 };
    struct unit u;
    struct fault_os fault;
    struct peer *peers[PEERS];
    fault_open(&u, &fault, "max-objects=1M,reserve=0,spare=0");
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(&u);
        peers[i]->slot = 11 + (unsigned)i;
    }
    for (int i = 0; i < PEERS; i++)
        peer_begin(peers[i], grow_and_shrink);
    for (int i = 0; i < PEERS; i++) {
        peer_wait_polling(peers[i], u.thread);
        assert_int_equal(peers[i]->wrong, 0);
        peer_end(peers[i]);
    }
    assert_int_equal(unit_live(&u), 0);
    fault_close(&u, &fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attaching_without_memory),
        cmocka_unit_test(attaching_at_the_limit),
        cmocka_unit_test(messages_without_memory),
        cmocka_unit_test(a_transfer_without_memory),
        cmocka_unit_test(each_request_is_refused_once),
        cmocka_unit_test(the_system_is_asked_by_one_at_a_time),
    };
    return UNIT_RUN(tests);
}
