/* What is proposed while the program runs is freed on an exact proof: sets that were proposed twice, and objects that get another
 * address while the proof of a large set is reading them. Made and proved step by step, below the service. */
#include <semaphore.h>

#include "gc/propose.h"
#include "peer.h"

#define FOREVER 1000000000u

static void open_logging(struct unit *u)
{
    unit_open(u, "");
    __atomic_store_n(&u->heap->logging, true, __ATOMIC_RELAXED);
}

/* From what was handed over. */
static void propose(struct unit *u)
{
    uint64_t walked, proposed;
    ok(mid_propose(u->heap, FOREVER, &walked, &proposed));
}

static uint64_t prove(struct unit *u)
{
    mid_impl *me = mid_impl_of(u->thread);
    uint64_t freed;
    ok(mid_world_stop(u->heap, me, FOREVER, NULL));
    mid_prove(me, FOREVER, &freed);
    mid_world_resume(u->heap);
    return freed;
}

/* --- proposed twice ------------------------------------------------------------------------------------------------ */

/* Where a log is full between the two releases, each of the pair is a suspect of its own time, and leads to both. */
static void propose_pair_twice(struct unit *u, mid_weak weak[2])
{
    mid_handle a = unit_ring(u, u->node, 2), b = mid_load(u->thread, a, LEFT);
    ok(mid_weak_new(u->thread, a, &weak[0]));
    ok(mid_weak_new(u->thread, b, &weak[1]));
    mid_release(u->thread, b);
    mid_suspects_give(mid_impl_of(u->thread));
    mid_release(u->thread, a);
    propose(u);
    mid_suspects_give(mid_impl_of(u->thread));
    propose(u);
    assert_int_equal(u->heap->found_count, 4);
}

static void drop_weak(struct unit *u, const mid_weak weak[2])
{
    ok(mid_weak_drop(u->thread, weak[0]));
    ok(mid_weak_drop(u->thread, weak[1]));
}

TEST(what_is_proposed_twice_is_freed)
{
    struct unit u;
    mid_weak weak[2];
    open_logging(&u);
    propose_pair_twice(&u, weak);
    assert_int_equal(prove(&u), 2);
    drop_weak(&u, weak);
    unit_close(&u);
}

/* As many references as counts, if each were counted twice. */
TEST(what_is_proposed_twice_and_held_again_lives)
{
    struct unit u;
    mid_weak weak[2];
    mid_handle held[2];
    open_logging(&u);
    propose_pair_twice(&u, weak);
    for (unsigned i = 0; i < 2; i++)
        held[i] = mid_weak_get(u.thread, weak[i]);
    assert_int_equal(prove(&u), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(unit_count(&u, held[i]), 2);
        mid_release(u.thread, held[i]);
    }
    drop_weak(&u, weak);
    unit_close(&u);
}

/* --- another address, while it is read ----------------------------------------------------------------------------- */

enum { LARGE = MID_SWEEP_SMALL + 100, BULK = 2000, NEIGHBOURS = 200 };

/* One slot, which only the trace function tells of; it can be made to wait before it looks. */
struct traced {
    uint32_t length, spare;
    mid_slot slot;
    char more[];
};

#define ACTOR MID_SLOT(struct traced, slot)

static struct pause {
    const void *at; /* atomic: where it waits; null: nowhere */
    sem_t here, go;
} pauses;

static void trace_slowly(const void *object, mid_visitor *visitor)
{
    const struct traced *t = object;
    const void *here = object;
    if (__atomic_compare_exchange_n(&pauses.at, &here, NULL, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        sem_post(&pauses.here);
        sem_wait(&pauses.go);
    }
    mid_visit(visitor, &t->slot);
}

static void sweep(struct peer *peer)
{
    peer->status = mid_sweep_run(peer->heap, FOREVER, peer->number != 0);
}

/* A sweep, on a thread of its own, as far as it comes; main acts in the middle of its reading of `object`. */
static void sweep_until(struct unit *u, struct peer *peer, bool start, mid_handle object)
{
    peer->number = start;
    __atomic_store_n(&pauses.at, mid_get(u->thread, object), __ATOMIC_RELEASE);
    peer_begin(peer, sweep);
    sem_wait(&pauses.here);
}

static void sweep_on(struct peer *peer)
{
    sem_post(&pauses.go);
    peer_wait(peer);
}

/* ring -> stage -> actor; and so much other garbage that the proof is a trial. `lamp` is read last. */
struct scene {
    struct peer *sweeper;
    mid_type type;
    mid_handle ring, stage, actor, lamp, usurper;
    mid_handle near[NEIGHBOURS];
};

static mid_handle traced(struct unit *u, mid_type type)
{
    return unit_array(u, type, BULK);
}

static void open_scene(struct unit *u, struct scene *s)
{
    *s = (struct scene){0};
    open_logging(u);
    sem_init(&pauses.here, 0, 0);
    sem_init(&pauses.go, 0, 0);
    s->sweeper = peer_unattached(u->heap);
    s->type = unit_type(u->heap, (mid_type_desc){.name = "traced", .size = sizeof(struct traced), .item_size = 1,
                                                 .flags = MID_TRACE_RACES, .trace = trace_slowly});
    s->ring = unit_ring(u, u->node, 1);
    s->actor = unit_new(u, u->node);
    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        s->near[i] = traced(u, s->type);
        if (i == NEIGHBOURS / 2)
            s->stage = traced(u, s->type);
    }
    mid_give(u->thread, s->ring, RIGHT, s->stage);
    mid_give(u->thread, s->stage, ACTOR, s->actor);
    mid_release(u->thread, unit_ring(u, u->node, LARGE));
    s->lamp = traced(u, s->type);
}

/* The pool of `stage` is the emptiest, and there is room for it elsewhere. */
static void make_room(struct unit *u, struct scene *s)
{
    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        unsigned far = i < NEIGHBOURS / 2 ? NEIGHBOURS / 2 - i : i - NEIGHBOURS / 2;
        if (far < NEIGHBOURS / 4 || i % 8 == 0) {
            mid_release(u->thread, s->near[i]);
            s->near[i] = 0;
        }
    }
}

/* Who is new where `stage` was holds `actor` from now on: put there without a count, or a look at it. */
static void usurp(struct unit *u, struct scene *s, const void *at)
{
    assert_ptr_not_equal(mid_get(u->thread, s->stage), at);
    mid_handle others[4 * NEIGHBOURS];
    unsigned n = 0;
    while (s->usurper == 0) {
        assert_true(n < 4 * NEIGHBOURS);
        others[n] = traced(u, s->type);
        if (mid_get(u->thread, others[n]) == at)
            s->usurper = others[n];
        else
            n++;
    }
    mid_init(u->thread, s->usurper, ACTOR, s->actor);
    while (n != 0)
        mid_release(u->thread, others[--n]);
}

static void finish_sweep(struct unit *u)
{
    for (unsigned n = 0; u->heap->sweeps != MID_SWEEPS_NOT; n++) {
        assert_true(n < 1000);
        mid_sweep_run(u->heap, FOREVER, false);
        prove(u);
    }
}

static void close_scene(struct unit *u, struct scene *s)
{
    assert_int_equal(mid_peek(u->thread, s->usurper, ACTOR), s->actor);
    assert_int_equal(unit_count(u, s->actor), 1);
    mid_release(u->thread, s->usurper);
    mid_release(u->thread, s->lamp);
    for (unsigned i = 0; i < NEIGHBOURS; i++)
        mid_release(u->thread, s->near[i]);
    ok(mid_collect(u->thread, NULL));
    assert_int_equal(unit_live(u), 0);
    peer_end(s->sweeper);
    sem_destroy(&pauses.here);
    sem_destroy(&pauses.go);
    unit_close(u);
}

TEST(what_moves_while_it_is_read_is_read_again)
{
    struct unit u;
    struct scene s;
    open_scene(&u, &s);
    make_room(&u, &s);
    sweep_until(&u, s.sweeper, true, s.lamp); /* what it has read by now is not so any more: */
    mid_take(u.thread, s.stage, ACTOR);
    mid_release(u.thread, s.ring);
    sweep_on(s.sweeper);
    prove(&u);
    const void *at = mid_get(u.thread, s.stage);
    sweep_until(&u, s.sweeper, false, s.stage);
    ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
    unit_compacted(&u, 0);
    usurp(&u, &s, at);
    sweep_on(s.sweeper);
    finish_sweep(&u);
    close_scene(&u, &s);
}

TEST(what_is_resized_while_it_is_read_is_read_again)
{
    struct unit u;
    struct scene s;
    open_scene(&u, &s);
    sweep_until(&u, s.sweeper, true, s.lamp);
    mid_take(u.thread, s.stage, ACTOR);
    mid_give(u.thread, s.actor, LEFT, mid_take(u.thread, s.ring, RIGHT));
    mid_release(u.thread, s.ring);
    sweep_on(s.sweeper);
    prove(&u);
    const void *at = mid_get(u.thread, s.stage);
    sweep_until(&u, s.sweeper, false, s.stage);
    ok(mid_resize(u.thread, s.stage, 4 * BULK));
    usurp(&u, &s, at);
    sweep_on(s.sweeper);
    finish_sweep(&u);
    close_scene(&u, &s);
}

/* --- many finalizers ----------------------------------------------------------------------------------------------- */

static void on_finalize(mid_thread *thread, mid_handle object)
{
    (void)thread, (void)object;
}

/* Their proof after the finalizers is a trial as well; a collection that comes in between ends it. */
TEST(a_collection_takes_over_what_was_finalized)
{
    struct unit u;
    open_logging(&u);
    mid_type final = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = on_finalize});
    mid_release(u.thread, unit_ring(&u, final, LARGE));
    mid_sweep_run(u.heap, FOREVER, true);
    finish_sweep(&u);
    assert_int_equal(u.heap->condemned_count, LARGE);
    while (u.heap->sweeps == MID_SWEEPS_NOT)
        ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).finalized_objects, LARGE);
    ok(mid_collect(u.thread, NULL));
    unit_close_empty(&u);
}

/* One set at a time is condemned. */
TEST(a_large_set_waits_for_the_finalizers_of_another)
{
    struct unit u;
    open_logging(&u);
    mid_type final = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = on_finalize});
    mid_release(u.thread, unit_ring(&u, final, LARGE)); /* larger than a walk goes */
    mid_release(u.thread, unit_ring(&u, final, 2));
    mid_suspects_give(mid_impl_of(u.thread));
    propose(&u);
    prove(&u);
    assert_int_equal(u.heap->condemned_count, 2);
    mid_sweep_run(u.heap, FOREVER, true);
    for (unsigned n = 0; u.heap->sweeps != MID_SWEEPS_WAITING; n++) {
        assert_true(n < 1000);
        prove(&u);
        mid_sweep_run(u.heap, FOREVER, false);
    }
    assert_int_equal(unit_live(&u), LARGE + 2);
    for (unsigned n = 0; n < LARGE && unit_live(&u) != 0; n++) {
        mid_status status = mid_step(u.thread, FOREVER);
        assert_true(status == MID_OK || status == MID_MORE);
    }
    unit_close_empty(&u);
}

/* What has no finalizers left is freed at once, and takes nothing from those who wait for theirs. */
TEST(a_large_set_forgets_no_other)
{
    struct unit u;
    open_logging(&u);
    mid_type final = unit_node_type(u.heap, (mid_type_desc){.name = "final", .finalize = on_finalize});
    mid_release(u.thread, unit_ring(&u, final, LARGE));
    mid_sweep_run(u.heap, FOREVER, true);
    finish_sweep(&u);
    while (u.heap->sweeps == MID_SWEEPS_NOT)
        ok(mid_safepoint(u.thread));
    mid_release(u.thread, unit_ring(&u, final, 2));
    mid_suspects_give(mid_impl_of(u.thread));
    propose(&u);
    prove(&u);
    assert_int_equal(u.heap->condemned_count, 2);
    finish_sweep(&u);
    assert_int_equal(unit_live(&u), 2);
    ok(mid_safepoint(u.thread));
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(unit_live(&u), 0);
    assert_int_equal(unit_stats(&u).finalized_objects, LARGE + 2);
    unit_close(&u);
}

/* --- what only garbage held ---------------------------------------------------------------------------------------- */

TEST(what_a_step_sets_free_goes_at_the_next_safepoint)
{
    struct unit u;
    open_logging(&u);
    mid_handle ring = unit_ring(&u, u.node, 2);
    mid_give(u.thread, ring, RIGHT, unit_array(&u, u.bytes, 10));
    mid_release(u.thread, ring);
    mid_step(u.thread, FOREVER);
    ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).waiting_objects, 0);
    unit_close_empty(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_proposed_twice_is_freed),
        cmocka_unit_test(what_is_proposed_twice_and_held_again_lives),
        cmocka_unit_test(what_moves_while_it_is_read_is_read_again),
        cmocka_unit_test(what_is_resized_while_it_is_read_is_read_again),
        cmocka_unit_test(a_collection_takes_over_what_was_finalized),
        cmocka_unit_test(a_large_set_waits_for_the_finalizers_of_another),
        cmocka_unit_test(a_large_set_forgets_no_other),
        cmocka_unit_test(what_a_step_sets_free_goes_at_the_next_safepoint),
    };
    return UNIT_RUN(tests);
}
