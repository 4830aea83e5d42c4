/* Attaching and detaching: from any thread, to any number of heaps, as often as there are identifiers; what those may not do
 * who are not attached, and what goes on meanwhile. Threads that end without detaching: test_adopt.c. */
#include "peer.h"

TEST(threads_are_told_apart)
{
    enum { PEERS = 8 };
    struct unit u;
    struct peer *peers[PEERS];
    unit_open(&u, "");
    assert_ptr_equal(mid_thread_current(u.heap), u.thread);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(&u);
        assert_int_equal(unit_stats(&u).attached_threads, 2 + i);
        assert_ptr_equal(mid_thread_heap(peers[i]->thread), u.heap);
        assert_ptr_not_equal(peers[i]->thread, u.thread);
        for (int k = 0; k < i; k++) {
            assert_ptr_not_equal(peers[i]->thread, peers[k]->thread);
            assert_int_not_equal(peers[i]->thread->bias, peers[k]->thread->bias);
        }
    }
    for (int i = 0; i < PEERS; i++)
        peer_end(peers[i]);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    unit_close(&u);
}

/* --- current ----------------------------------------------------------------------------------------------------- */

static void ask_current(struct peer *peer)
{
    peer->data = mid_thread_current(peer->heap);
}

static mid_thread *seen_by_finalizer;

static void note_current(mid_thread *thread, mid_handle object)
{
    (void)object;
    seen_by_finalizer = mid_thread_current(mid_thread_heap(thread));
}

TEST(the_current_thread_is_the_callers)
{
    struct unit u, other;
    unit_open(&u, "");
    unit_open(&other, "");
    struct peer *peer = peer_unattached(u.heap);
    assert_null(mid_thread_current(NULL));
    assert_ptr_equal(mid_thread_current(other.heap), other.thread);
    peer_do(peer, ask_current);
    assert_null(peer->data);
    peer_attach(peer);
    peer_do(peer, ask_current);
    assert_ptr_equal(peer->data, peer->thread);
    assert_ptr_equal(mid_thread_current(u.heap), u.thread);
    mid_type type = unit_node_type(u.heap, (mid_type_desc){.name = "asks", .finalize = note_current});
    peer_release(peer, peer_make(peer, type));
    assert_ptr_equal(seen_by_finalizer, peer->thread);
    peer_detach(peer);
    peer_do(peer, ask_current);
    assert_null(peer->data);
    peer_end(peer);
    ok(mid_thread_detach(u.thread));
    assert_null(mid_thread_current(u.heap));
    ok(mid_thread_attach(u.heap, &u.thread));
    unit_close(&u);
    unit_close(&other);
}

/* --- what is refused --------------------------------------------------------------------------------------------- */

static void attach_again(struct peer *peer)
{
    mid_thread *second = NULL;
    peer->status = mid_thread_attach(peer->heap, &second);
    peer->data = second;
}

TEST(attaching_twice_is_refused)
{
    struct unit u;
    unit_open(&u, "");
    mid_thread *second = NULL;
    expect(MID_ETHREAD, mid_thread_attach(u.heap, &second));
    assert_null(second);
    expect(MID_ENULL, mid_thread_attach(NULL, &second));
    expect(MID_ENULL, mid_thread_attach(u.heap, NULL));
    struct peer *peer = peer_new(&u);
    peer_do(peer, attach_again);
    expect(MID_ETHREAD, peer->status);
    assert_null(peer->data);
    peer_block(peer);
    peer_do(peer, attach_again); /* in a region it is attached all the same */
    expect(MID_ETHREAD, peer->status);
    peer_unblock(peer);
    peer_safepoint(peer);
    assert_int_equal(unit_stats(&u).attached_threads, 2);
    peer_end(peer);
    unit_close(&u);
}

/* A thread that is not attached, with a mid_thread that is another's: each refusal that is none counts as wrong. */
static void use_anothers(struct peer *peer)
{
    mid_thread *thread = peer->data;
    mid_handle out = 1;
    mid_type type;
    size_t size;
    uint32_t count;
    mid_weak weak;
    mid_scope scope;
    uint64_t objects, bytes;
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "late", .size = 8};
    mid_listener listener = {.struct_size = sizeof listener};
    const mid_status refused[] = {
        mid_new_array(thread, peer->type, 3, &out),
        mid_resize(thread, peer->a, 3),
        mid_immortalize(thread, peer->a),
        mid_pin(thread, peer->a, NULL),
        mid_type_of(thread, peer->a, &type),
        mid_size_of(thread, peer->a, &size),
        mid_count_of(thread, peer->a, &count),
        mid_weak_new(thread, peer->a, &weak),
        mid_scope_open(thread, &scope),
        mid_transfer(thread, thread, peer->a, 0),
        mid_safepoint_slow_(thread),
        mid_collect(thread, NULL),
        mid_compact(thread, MID_COMPACT_PLAIN, 0, NULL),
        mid_trim(thread, 0, NULL),
        mid_blocked_enter(thread),
        mid_blocked_leave(thread),
        mid_thread_detach(thread),
        mid_heap_check(peer->heap),
        mid_heap_close(peer->heap),
        mid_heap_destroy(peer->heap),
        mid_type_register(peer->heap, &desc, &type),
        mid_stats_type(peer->heap, 1, &objects, &bytes),
        mid_listener_add(peer->heap, &listener),
    };
    peer->wrong = 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i] != MID_ETHREAD) {
            print_error("call %zu: %s\n", i, mid_status_name(refused[i]));
            peer->wrong++;
        }
    peer->wrong += mid_weak_get(thread, peer->weak) != 0;
}

TEST(calls_of_a_thread_that_is_not_attached)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_unattached(u.heap);
    peer->data = u.thread;
    peer->type = u.vec;
    peer->a = unit_array(&u, u.vec, 2);
    ok(mid_weak_new(u.thread, peer->a, &peer->weak));
    peer_do(peer, use_anothers);
    assert_int_equal(peer->wrong, 0);
    ok(mid_blocked_enter(u.thread));
    peer_do(peer, use_anothers);
    assert_int_equal(peer->wrong, 0);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(unit_count(&u, peer->a), 1);
    mid_release(u.thread, peer->a);
    ok(mid_weak_drop(u.thread, peer->weak));
    peer_end(peer);
    unit_close(&u);
}

static void ask_anyone(struct peer *peer)
{
    mid_stats stats;
    mid_class_stats class_stats;
    mid_pause_stats pauses;
    double share;
    uint64_t buckets[MID_STOP_BUCKETS];
    peer->wrong = mid_stats_get(peer->heap, &stats, sizeof stats) != sizeof stats;
    peer->wrong += stats.attached_threads != 1;
    peer->wrong += mid_stats_class(peer->heap, 0, &class_stats) != MID_OK;
    peer->wrong += mid_stats_stops(peer->heap, buckets) != MID_OK;
    peer->wrong += mid_stats_waits(peer->heap, buckets) != MID_OK;
    peer->wrong += mid_stats_waits(peer->heap, NULL) != MID_ENULL;
    peer->wrong += mid_stats_waits(NULL, buckets) != MID_ENULL;
    peer->wrong += mid_stats_pauses(peer->heap, MID_PAUSE_PARKED, &pauses) != MID_OK;
    peer->wrong += mid_stats_mmu(peer->heap, 1000, &share) != MID_OK;
}

TEST(figures_are_for_any_thread)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_unattached(u.heap);
    peer_do(peer, ask_anyone);
    assert_int_equal(peer->wrong, 0);
    peer_end(peer);
    unit_close(&u);
}

static void detach_in_region(struct peer *peer)
{
    mid_scope scope;
    peer->wrong = mid_blocked_enter(peer->thread) != MID_OK;
    peer->wrong += mid_thread_detach(peer->thread) != MID_ETHREAD;
    peer->wrong += mid_blocked_leave(peer->thread) != MID_OK;
    peer->wrong += mid_scope_open(peer->thread, &scope) != MID_OK;
    peer->wrong += mid_thread_detach(peer->thread) != MID_ETHREAD;
    mid_scope_close(peer->thread, &scope, 0);
}

TEST(detaching_in_a_region_or_a_scope_is_refused)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    peer_do(peer, detach_in_region);
    assert_int_equal(peer->wrong, 0);
    mid_handle made = peer_make(peer, u.node); /* it is as attached as before */
    peer_release(peer, made);
    peer_end(peer);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    unit_close(&u);
}

TEST(closing_while_others_are_attached_is_refused)
{
    struct unit u;
    unit_open(&u, "");
    struct peer *peer = peer_new(&u);
    for (int asleep = 0; asleep < 2; asleep++) {
        expect(MID_ETHREAD, mid_heap_close(u.heap));
        expect(MID_ETHREAD, mid_heap_destroy(u.heap));
        if (!asleep)
            peer_block(peer);
    }
    ok(mid_thread_detach(u.thread));
    expect(MID_ETHREAD, mid_heap_close(u.heap));
    expect(MID_ETHREAD, mid_heap_destroy(u.heap));
    ok(mid_thread_attach(u.heap, &u.thread));
    mid_release(u.thread, unit_new(&u, u.node));
    unit_check(&u);
    peer_unblock(peer);
    peer_end(peer);
    unit_close(&u);
}

/* --- as many as there are identifiers ---------------------------------------------------------------------------- */

TEST(thread_identifiers_are_exhausted_and_used_again)
{
    if (RUNNING_ON_VALGRIND)
        skip(); /* which has 500 threads */
    struct unit u;
    static struct peer *peers[MID_THREADS_MAX];
    unit_open(&u, "");
    for (int i = 0; i < MID_THREADS_MAX - 1; i++)
        peers[i] = peer_new(&u);
    assert_int_equal(unit_stats(&u).attached_threads, MID_THREADS_MAX);
    struct peer *late = peer_unattached(u.heap);
    for (int round = 0; round < 3; round++) {
        peer_do(late, attach_again);
        expect(MID_ELIMIT, late->status);
        assert_null(late->data);
        peer_detach(peers[round * 333]);
        peer_attach(late);
        peer_release(late, peer_make(late, u.node));
        peer_detach(late);
        peer_attach(peers[round * 333]);
    }
    for (int i = 0; i < MID_THREADS_MAX - 1; i++)
        peer_end(peers[i]);
    peer_end(late);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    unit_close(&u);
}

TEST(more_threads_than_identifiers_one_after_the_other)
{
    struct unit u;
    unit_open(&u, "");
    for (size_t i = 0; i < unit_scale(2 * MID_THREADS_MAX); i++) {
        struct peer *peer = peer_new(&u);
        peer_release(peer, peer_make(peer, u.node));
        peer_end(peer);
    }
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    unit_close(&u);
}

/* --- several heaps ----------------------------------------------------------------------------------------------- */

enum { HEAPS = 6 };

struct heaps {
    struct unit u[HEAPS];
    mid_thread *thread[HEAPS];
    mid_handle made[HEAPS];
};

static void attach_to_all(struct peer *peer)
{
    struct heaps *h = peer->data;
    peer->wrong = 0;
    for (int i = 0; i < HEAPS; i++)
        peer->wrong += mid_thread_attach(h->u[i].heap, &h->thread[i]) != MID_OK;
    for (int i = 0; i < HEAPS; i++) {
        peer->wrong += mid_thread_current(h->u[i].heap) != h->thread[i];
        peer->wrong += mid_new(h->thread[i], h->u[i].node, &h->made[i]) != MID_OK;
        ((struct node *)mid_get(h->thread[i], h->made[i]))->value = (uint64_t)i + 100;
    }
}

static void detach_from_all(struct peer *peer)
{
    struct heaps *h = peer->data;
    for (int i = HEAPS - 1; i >= 0; i--) {
        mid_release(h->thread[i], h->made[i]);
        peer->wrong += mid_thread_detach(h->thread[i]) != MID_OK;
        peer->wrong += mid_thread_current(h->u[i].heap) != NULL;
    }
}

TEST(a_thread_has_as_many_heaps_as_it_wants)
{
    static struct heaps h;
    for (int i = 0; i < HEAPS; i++)
        unit_open(&h.u[i], "max-objects=100K");
    struct peer *peer = peer_unattached(NULL);
    peer->data = &h;
    peer_do(peer, attach_to_all);
    assert_int_equal(peer->wrong, 0);
    for (int i = 0; i < HEAPS; i++) {
        assert_int_equal(unit_live(&h.u[i]), 1);
        assert_int_equal(unit_node(&h.u[i], h.made[i])->value, i + 100);
        assert_int_equal(unit_stats(&h.u[i]).attached_threads, 2);
    }
    peer_do(peer, detach_from_all);
    assert_int_equal(peer->wrong, 0);
    peer_end(peer);
    for (int i = 0; i < HEAPS; i++) {
        assert_int_equal(unit_live(&h.u[i]), 0);
        unit_close(&h.u[i]);
    }
}

/* --- one at a time ----------------------------------------------------------------------------------------------- */

TEST(an_unshared_heap_has_one_thread_at_a_time)
{
    struct unit u;
    unit_open(&u, "shared=off");
    struct peer *peer = peer_unattached(u.heap);
    peer_do(peer, attach_again);
    expect(MID_ETHREAD, peer->status);
    assert_null(peer->data);
    mid_handle ring = unit_ring(&u, u.node, 10), vec = unit_array(&u, u.vec, 4);
    mid_give(u.thread, vec, ITEM(0), unit_new(&u, u.node));
    ok(mid_thread_detach(u.thread));
    peer_attach(peer);
    expect(MID_ETHREAD, mid_thread_attach(u.heap, &u.thread));
    peer_store(peer, vec, ITEM(1), ring);
    peer_release(peer, ring);
    peer_store(peer, vec, ITEM(0), 0);
    peer_detach(peer);
    ok(mid_thread_attach(u.heap, &u.thread));
    assert_int_equal(unit_live(&u), 11);
    mid_release(u.thread, vec);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).escapes_forced, 0);
    peer_end(peer);
    unit_close(&u);
}

/* --- meanwhile --------------------------------------------------------------------------------------------------- */

enum { LATE_TYPES = 600 };

/* Objects of the newest type there is, which `vec` of the unit names, while more are registered. */
static void make_of_the_newest(struct peer *peer)
{
    while (peer_goes_on(peer)) {
        mid_handle made = 0;
        mid_type type = __atomic_load_n(&peer->unit->vec, __ATOMIC_ACQUIRE);
        peer->wrong += mid_new(peer->thread, type, &made) != MID_OK;
        if (made != 0) {
            mid_init(peer->thread, made, 0, mid_from_int(5));
            peer->wrong += mid_load(peer->thread, made, 0) != mid_from_int(5);
            mid_release(peer->thread, made);
        }
        peer->wrong += mid_safepoint(peer->thread) != MID_OK;
    }
}

TEST(types_are_registered_while_others_run)
{
    struct unit u;
    unit_open(&u, "");
    static const uint32_t slots[] = {0};
    mid_type_desc desc = {.name = "first", .size = 16, .ref_offsets = slots, .ref_count = 1};
    u.vec = unit_type(u.heap, desc);
    struct peer *peers[2] = {peer_new(&u), peer_new(&u)};
    for (int i = 0; i < 2; i++)
        peer_begin(peers[i], make_of_the_newest);
    for (int i = 0; i < LATE_TYPES; i++) {
        char name[32];
        snprintf(name, sizeof name, "late %d", i);
        desc.name = name;
        desc.size = 16 + 8 * (size_t)(i % 100);
        mid_type made = unit_type(u.heap, desc);
        __atomic_store_n(&u.vec, made, __ATOMIC_RELEASE);
        if (i % 50 == 0)
            peer_wait_rounds(peers[i % 2], 2);
    }
    for (int i = 0; i < 2; i++) {
        peer_finish_polling(peers[i], u.thread);
        assert_int_equal(peers[i]->wrong, 0);
        peer_end(peers[i]);
    }
    assert_string_equal(mid_type_name(u.heap, u.vec), "late 599");
    unit_close_empty(&u);
}

static void come_and_go(struct peer *peer)
{
    mid_handle kept = 0;
    for (size_t i = 0; i < unit_scale(800); i++) {
        mid_thread *thread = NULL;
        if (mid_thread_attach(peer->heap, &thread) != MID_OK) {
            peer->wrong++;
            continue;
        }
        mid_release(thread, kept); /* of an owner that is gone, or of the next that took its place */
        peer->wrong += mid_new(thread, peer->type, &kept) != MID_OK;
        if (i % 3 == 0)
            peer->wrong += mid_safepoint(thread) != MID_OK;
        if (i % 7 == 0) {
            mid_release(thread, kept);
            kept = 0;
        }
        peer->wrong += mid_thread_detach(thread) != MID_OK;
    }
    peer->a = kept;
}

TEST(threads_come_and_go_at_once)
{
    enum { PEERS = 4 };
    struct unit u;
    struct peer *peers[PEERS];
    unit_open(&u, "");
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_unattached(u.heap);
        peers[i]->type = u.node;
        peer_begin(peers[i], come_and_go);
    }
    for (int i = 0; i < PEERS; i++) {
        peer_wait_polling(peers[i], u.thread);
        assert_int_equal(peers[i]->wrong, 0);
        mid_release(u.thread, peers[i]->a);
        peer_end(peers[i]);
    }
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).attached_threads, 1);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_told_apart),
        cmocka_unit_test(the_current_thread_is_the_callers),
        cmocka_unit_test(attaching_twice_is_refused),
        cmocka_unit_test(calls_of_a_thread_that_is_not_attached),
        cmocka_unit_test(figures_are_for_any_thread),
        cmocka_unit_test(detaching_in_a_region_or_a_scope_is_refused),
        cmocka_unit_test(closing_while_others_are_attached_is_refused),
        cmocka_unit_test(thread_identifiers_are_exhausted_and_used_again),
        cmocka_unit_test(more_threads_than_identifiers_one_after_the_other),
        cmocka_unit_test(a_thread_has_as_many_heaps_as_it_wants),
        cmocka_unit_test(an_unshared_heap_has_one_thread_at_a_time),
        cmocka_unit_test(types_are_registered_while_others_run),
        cmocka_unit_test(threads_come_and_go_at_once),
    };
    return UNIT_RUN(tests);
}
