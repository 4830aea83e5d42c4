/* What a thread leaves behind that detaches or ends without: its objects, caches, counts, work and finalizers are the heap's
 * and belong to the next thread that comes. */
#include "peer.h"

/* --- ending without detaching ------------------------------------------------------------------------------------ */

static void keep_in_scopes(struct peer *peer)
{
    static __thread mid_scope outer, inner;
    mid_handle made;
    peer->wrong = mid_scope_open(peer->thread, &outer) != MID_OK;
    for (int i = 0; i < 10; i++) {
        if (i == 5)
            peer->wrong += mid_scope_open(peer->thread, &inner) != MID_OK;
        peer->wrong += mid_new(peer->thread, peer->unit->node, &made) != MID_OK;
        peer->wrong += mid_keep(peer->thread, made) != made;
    }
}

TEST(a_thread_that_ends_is_detached)
{
    struct unit u;
    unit_open(&u, "");
    for (int round = 0; round < 3; round++) {
        struct peer *peer = peer_new(&u);
        mid_handle made = peer_make(peer, u.node);
        if (round != 0) {
            peer_do(peer, keep_in_scopes);
            assert_int_equal(peer->wrong, 0);
            assert_int_equal(unit_live(&u), 11);
        }
        if (round == 2)
            peer_block(peer);
        peer_lost(peer);
        assert_int_equal(unit_stats(&u).attached_threads, 1);
        assert_int_equal(unit_live(&u), 1); /* scopes are closed; what was only held is held still */
        unit_check(&u);
        mid_release(u.thread, made);
        peer_settle(&u, NULL, NULL, 0);
    }
    unit_close(&u);
}

static void attach_and_exit(struct peer *peer)
{
    struct unit *u = peer->data;
    for (int i = 0; i < 4; i++) {
        mid_thread *thread = NULL;
        mid_handle made = 0;
        peer->wrong += mid_thread_attach(u[i].heap, &thread) != MID_OK;
        peer->wrong += mid_new(thread, u[i].node, &made) != MID_OK;
        mid_release(thread, made);
    }
}

TEST(a_thread_that_ends_is_detached_from_every_heap)
{
    struct unit u[4];
    for (int i = 0; i < 4; i++)
        unit_open(&u[i], "max-objects=100K");
    struct peer *peer = peer_unattached(NULL);
    peer->data = u;
    peer_do(peer, attach_and_exit);
    assert_int_equal(peer->wrong, 0);
    ok(mid_thread_detach(u[2].thread));
    expect(MID_ETHREAD, mid_heap_close(u[2].heap));
    ok(mid_thread_attach(u[2].heap, &u[2].thread));
    peer_lost(peer);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(unit_stats(&u[i]).attached_threads, 1);
        unit_close(&u[i]);
    }
}

/* A heap that closes before a thread ends that was attached to it once. */
TEST(a_thread_outlives_its_heaps)
{
    struct peer *peer = peer_unattached(NULL);
    for (int i = 0; i < 20; i++) {
        struct unit u;
        unit_open(&u, "max-objects=100K");
        peer->heap = u.heap;
        peer_attach(peer);
        peer_release(peer, peer_make(peer, u.node));
        peer_detach(peer);
        unit_close(&u);
    }
    peer_lost(peer);
}

struct sleeper {
    mid_heap *heap;
    mid_type type;
    int asleep[2];
    mid_handle made;
};

/* Cancellation leaves the stack without telling AddressSanitizer. */
static __attribute__((no_sanitize("address"))) void *sleep_in_region(void *argument)
{
    struct sleeper *s = argument;
    mid_thread *thread;
    char byte = 1;
    if (mid_thread_attach(s->heap, &thread) == MID_OK && mid_new(thread, s->type, &s->made) == MID_OK &&
        mid_blocked_enter(thread) == MID_OK && write(s->asleep[1], &byte, 1) == 1)
        for (;;)
            pause(); /* a cancellation point */
    return NULL;
}

TEST(a_thread_cancelled_in_a_blocked_region_is_detached)
{
    struct unit u;
    pthread_t thread;
    char byte = 0;
    unit_open(&u, "");
    struct sleeper s = {.heap = u.heap, .type = u.node};
    assert_int_equal(pipe(s.asleep), 0);
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_region, &s), 0);
    assert_int_equal(read(s.asleep[0], &byte, 1), 1);
    assert_int_equal(unit_stats(&u).attached_threads, 2);
    assert_int_equal(pthread_cancel(thread), 0);
    pthread_join(thread, NULL);
    close(s.asleep[0]);
    close(s.asleep[1]);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    mid_release(u.thread, s.made);
    peer_settle(&u, NULL, NULL, 0);
    unit_close(&u);
}

/* --- adoption ---------------------------------------------------------------------------------------------------- */

TEST(the_next_thread_owns_what_an_absent_one_made)
{
    struct unit u;
    unit_open(&u, "");
    for (int lost = 0; lost < 2; lost++) {
        struct peer *first = peer_new(&u);
        mid_handle made = peer_make(first, u.node), shared = peer_make(first, u.node);
        mid_retain(u.thread, shared);
        assert_int_equal(peer_owner(u.thread, made), first->thread->bias);
        if (lost)
            peer_lost(first);
        else
            peer_end(first);
        struct peer *next = peer_new(&u);
        assert_int_equal(peer_owner(u.thread, made), next->thread->bias);
        uint64_t merged = unit_stats(&u).merged_objects;
        peer_retain(next, made);
        assert_int_equal(peer_count(next, made), 2);
        peer_release(next, made);
        peer_release(next, made); /* as if it had made it: dead, and nothing was merged */
        assert_int_equal(unit_stats(&u).merged_objects, merged);
        assert_int_equal(unit_live(&u), 1);
        assert_int_equal(peer_count(next, shared), 2);
        peer_release(next, shared);
        mid_release(u.thread, shared);
        assert_int_equal(unit_live(&u), 0);
        peer_end(next);
    }
    unit_close(&u);
}

static void hold_some(struct peer *peer)
{
    enum { HELD = 400 };
    static __thread mid_handle held[HELD];
    for (int i = 0; i < HELD; i++)
        peer->wrong += mid_new_array(peer->thread, peer->unit->bytes, (size_t)(i % 40) * 20, &held[i]) != MID_OK;
    for (int i = 0; i < HELD; i++)
        mid_release(peer->thread, held[i]);
}

TEST(caches_of_absent_threads_are_used_again)
{
    struct unit u;
    unit_open(&u, "");
    uint64_t committed = 0;
    for (int round = 0; round < 60; round++) {
        struct peer *peer = peer_new(&u);
        peer_do(peer, hold_some);
        assert_int_equal(peer->wrong, 0);
        if (round % 2)
            peer_lost(peer);
        else
            peer_end(peer);
        if (round == 5)
            committed = unit_stats(&u).committed_bytes;
    }
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).committed_bytes, committed);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0);
    assert_int_equal(unit_stats(&u).pool_bytes, 0);
    unit_close(&u);
}

static void make_chain(struct peer *peer)
{
    mid_handle head = 0, next;
    for (uint64_t i = 0; i < peer->number; i++) {
        peer->wrong += mid_new(peer->thread, peer->type, &next) != MID_OK;
        mid_init(peer->thread, next, LEFT, head);
        head = next;
    }
    peer->a = head;
}

static void drop_a_list(struct peer *peer)
{
    peer->number = 20000;
    make_chain(peer);
    mid_release(peer->thread, peer->a);
}

/* The next thread goes on where the last one stopped. */
static void take_over(struct unit *u)
{
    struct peer *next = peer_new(u);
    for (int i = 0; unit_live(u) != 0 || unit_stats(u).waiting_objects != 0; i++) {
        assert_true(i < 100000);
        peer_safepoint(next);
    }
    peer_end(next);
}

TEST(work_that_waits_does_not_go_with_its_thread)
{
    struct unit u;
    unit_open(&u, "free-batch=32");
    for (int lost = 0; lost < 2; lost++) {
        struct peer *peer = peer_new(&u);
        peer->type = u.node;
        peer_do(peer, drop_a_list);
        assert_int_equal(peer->wrong, 0);
        assert_true(unit_stats(&u).waiting_objects > 0);
        if (lost)
            peer_lost(peer);
        else
            peer_end(peer);
        unit_check(&u);
        take_over(&u);
        mid_stats stats = unit_stats(&u);
        assert_int_equal(stats.allocated_objects, stats.freed_objects);
    }
    struct peer *last = peer_new(&u); /* and if no thread comes any more, closing does it */
    last->type = u.node;
    peer_do(last, drop_a_list);
    peer_lost(last);
    unit_close(&u);
}

static uint32_t finalized; /* atomic */

static void finalize(mid_thread *thread, mid_handle object)
{
    (void)thread;
    (void)object;
    __atomic_fetch_add(&finalized, 1, __ATOMIC_RELAXED);
}

TEST(finalizers_that_wait_do_not_go_with_their_thread)
{
    struct unit u;
    unit_open(&u, "free-batch=32");
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "finalized", .finalize = finalize});
    for (int lost = 0; lost < 2; lost++) {
        finalized = 0;
        struct peer *peer = peer_new(&u);
        peer->type = type;
        peer_do(peer, drop_a_list);
        if (lost)
            peer_lost(peer);
        else
            peer_end(peer);
        take_over(&u);
        assert_int_equal(finalized, 20000);
    }
    unit_close(&u);
}

/* A release frees `free-batch` objects at most, and so does each safepoint after it; it need not free fewer because their
 * owner has gone. */
TEST(a_list_of_an_absent_owner_dies_in_batches)
{
    struct unit u;
    enum { LINKS = 20000, BATCH = 512 };
    unit_open(&u, "");
    for (int asleep = 0; asleep < 2; asleep++) {
        struct peer *owner = peer_new(&u);
        owner->type = u.node;
        owner->number = LINKS;
        peer_do(owner, make_chain);
        mid_handle head = owner->a;
        if (asleep)
            peer_block(owner);
        else
            peer_detach(owner);
        mid_release(u.thread, head);
        for (int i = 0; i < 4 * (LINKS / BATCH); i++)
            ok(mid_safepoint(u.thread));
        assert_int_equal(unit_live(&u), 0);
        if (asleep)
            peer_unblock(owner);
        peer_end(owner);
    }
    unit_close(&u);
}

static void release_foreign(struct peer *peer)
{
    mid_handle *handles = peer->data;
    for (size_t i = 0; i < peer->number; i++)
        mid_release(peer->thread, handles[i]);
}

/* Others' objects of which it let go, and whose owners it has not told yet. */
TEST(what_a_thread_let_go_of_dies_although_it_ended)
{
    struct unit u;
    mid_handle handles[40];
    unit_open(&u, "");
    for (int lost = 0; lost < 2; lost++) {
        for (size_t i = 0; i < 40; i++)
            handles[i] = unit_new(&u, u.node);
        struct peer *peer = peer_new(&u);
        peer->data = handles;
        peer->number = 40;
        peer_do(peer, release_foreign);
        if (lost)
            peer_lost(peer);
        else
            peer_end(peer);
        ok(mid_safepoint(u.thread));
        assert_int_equal(unit_live(&u), 0);
    }
    unit_close(&u);
}

/* A chain whose owner has gone dies link by link through messages to that owner; the one who let go ends in the middle. */
TEST(what_a_thread_let_go_of_and_did_not_finish)
{
    struct unit u;
    enum { LINKS = 3000 };
    unit_open(&u, "free-batch=32");
    for (int round = 0; round < 3; round++) {
        struct peer *owner = peer_new(&u), *other = peer_new(&u);
        owner->type = u.node;
        owner->number = LINKS;
        peer_do(owner, make_chain);
        mid_handle head = owner->a;
        assert_int_equal(unit_live(&u), LINKS);
        peer_end(owner);
        peer_release(other, head);
        peer_lost(other);
        if (round == 0) { /* as many threads as have gone, and so all their places */
            struct peer *next = peer_new(&u), *last = peer_new(&u);
            peer_settle(&u, next, last, 0);
            peer_end(next);
            peer_end(last);
        } else if (round == 1) {
            ok(mid_collect(u.thread, NULL));
            struct peer *next = peer_new(&u), *last = peer_new(&u);
            peer_settle(&u, next, last, 0);
            peer_end(next);
            peer_end(last);
        }
    }
    unit_close(&u);
}

/* Nobody is left to merge for it when the last thread comes: objects of many that have gone, let go of by others. */
TEST(objects_of_many_absent_threads)
{
    enum { PEERS = 12 };
    struct unit u;
    struct peer *peers[PEERS];
    mid_handle made[PEERS];
    unit_open(&u, "");
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(&u);
        made[i] = peer_make(peers[i], u.node);
    }
    for (int i = 0; i < PEERS; i++) /* let go of by a neighbour, who ends before or after the owner */
        peer_release(peers[i], made[(i + 1) % PEERS]);
    for (int i = 0; i < PEERS; i++)
        if (i % 2)
            peer_lost(peers[i]);
        else
            peer_end(peers[i]);
    ok(mid_safepoint(u.thread));
    unit_close_empty(&u);
}

TEST(a_heap_closes_after_all_its_threads_have_gone)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    mid_handle made = unit_new(&u, u.node);
    peer_release(peer, made);
    ok(mid_thread_detach(u.thread));
    peer_lost(peer);
    ok(mid_heap_check(u.heap));
    ok(mid_heap_close(u.heap));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_ends_is_detached),
        cmocka_unit_test(a_thread_that_ends_is_detached_from_every_heap),
        cmocka_unit_test(a_thread_outlives_its_heaps),
        cmocka_unit_test(a_thread_cancelled_in_a_blocked_region_is_detached),
        cmocka_unit_test(the_next_thread_owns_what_an_absent_one_made),
        cmocka_unit_test(caches_of_absent_threads_are_used_again),
        cmocka_unit_test(work_that_waits_does_not_go_with_its_thread),
        cmocka_unit_test(finalizers_that_wait_do_not_go_with_their_thread),
        cmocka_unit_test(what_a_thread_let_go_of_dies_although_it_ended),
        cmocka_unit_test(what_a_thread_let_go_of_and_did_not_finish),
        cmocka_unit_test(a_list_of_an_absent_owner_dies_in_batches),
        cmocka_unit_test(objects_of_many_absent_threads),
        cmocka_unit_test(a_heap_closes_after_all_its_threads_have_gone),
    };
    return UNIT_RUN(tests);
}
