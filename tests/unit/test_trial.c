/* The trial of a set that is too large for one stop: members that are touched at any of its steps, by anybody, live. */
#include "cycles.h"
#include "fault_os.h"
#include "peer.h"

#define LARGE (MID_SWEEP_SMALL + 500)

/* --- touches ------------------------------------------------------------------------------------------------------ */

/* Two large rings: garbage, but that one member of the first is held, as was not so when the set was gathered. */
struct trial {
    struct unit u;
    struct peer *peer; /* sleeps */
    mid_handle x, next, other, holder;
    mid_weak weak, others;
    bool lets_go;
    size_t wrong;
    uint32_t count; /* of x, as it should be */
};

static void trial_open(struct trial *t, const char *options, bool with_peer)
{
    memset(t, 0, sizeof *t);
    cycles_open(&t->u, options);
    t->x = unit_ring(&t->u, t->u.node, LARGE);
    t->next = mid_peek(t->u.thread, t->x, LEFT);
    t->other = unit_ring(&t->u, t->u.node, LARGE);
    t->holder = unit_new(&t->u, t->u.node);
    ok(mid_weak_new(t->u.thread, t->x, &t->weak));
    ok(mid_weak_new(t->u.thread, t->other, &t->others));
    t->peer = with_peer ? peer_new(&t->u) : NULL;
    if (with_peer) {
        t->peer->data = t;
        peer_block(t->peer);
    }
    mid_release(t->u.thread, t->x);
    mid_release(t->u.thread, t->other);
    cycles_begin(&t->u);
    cycles_to(&t->u, MID_SWEEP_WATCH);
    assert_int_equal(mid_weak_get(t->u.thread, t->weak), t->x); /* before anything is watched */
    t->count = 2;
}

static void trial_close(struct trial *t)
{
    ok(mid_weak_drop(t->u.thread, t->weak));
    ok(mid_weak_drop(t->u.thread, t->others));
    if (t->peer != NULL) {
        peer_unblock(t->peer);
        peer_end(t->peer);
    }
    cycles_close(&t->u);
}

/* Each leaves x held by the caller, once, as it was, unless it says otherwise. */
typedef void touch(struct trial *t, mid_thread *thread);

static void no_touch(struct trial *t, mid_thread *thread)
{
    (void)t, (void)thread;
}

static void by_retain(struct trial *t, mid_thread *thread)
{
    mid_release(thread, mid_retain(thread, t->x));
}

static void by_release(struct trial *t, mid_thread *thread)
{
    mid_release(thread, t->x);
    t->lets_go = true;
}

static void by_load(struct trial *t, mid_thread *thread)
{
    mid_release(thread, mid_load(thread, t->x, LEFT));
}

static void by_take(struct trial *t, mid_thread *thread)
{
    mid_give(thread, t->holder, LEFT, mid_take(thread, t->x, LEFT)); /* the row ends with x */
}

static void by_store(struct trial *t, mid_thread *thread)
{
    mid_store(thread, t->holder, LEFT, t->x);
    t->count++;
}

static void by_store_of_next(struct trial *t, mid_thread *thread)
{
    mid_handle next = mid_load(thread, t->x, LEFT);
    mid_store(thread, t->holder, LEFT, next);
    mid_release(thread, next);
}

static void by_swap(struct trial *t, mid_thread *thread)
{
    mid_release(thread, mid_swap(thread, t->holder, LEFT, t->x)); /* what the caller had is in the slot */
}

static void by_swap_if(struct trial *t, mid_thread *thread)
{
    t->wrong += !mid_swap_if(thread, t->holder, LEFT, 0, t->x);
}

static void by_init(struct trial *t, mid_thread *thread)
{
    mid_handle made = 0;
    if (mid_new(thread, t->u.node, &made) != MID_OK)
        return;
    mid_init(thread, made, LEFT, t->x);
    mid_give(thread, t->holder, LEFT, made);
}

static void by_weak_get(struct trial *t, mid_thread *thread)
{
    mid_release(thread, mid_weak_get(thread, t->weak));
}

static void by_other(struct trial *t, mid_thread *thread) /* the other ring, which nobody holds */
{
    mid_give(thread, t->holder, LEFT, mid_weak_get(thread, t->others));
}

static void by_immortality(struct trial *t, mid_thread *thread)
{
    (void)mid_immortalize(thread, t->x);
    t->count = UINT32_MAX;
}

static void by_transfer(struct trial *t, mid_thread *thread)
{
    (void)mid_transfer(thread, t->peer != NULL ? t->peer->thread : thread, t->x, 0);
}

static const struct {
    touch *touch;
    bool other; /* the other ring lives, too */
} touches[] = {{no_touch, 0},         {by_retain, 0}, {by_release, 0}, {by_load, 0}, {by_take, 0},     {by_store, 0},
               {by_store_of_next, 0}, {by_swap, 0},   {by_swap_if, 0}, {by_init, 0}, {by_weak_get, 0}, {by_immortality, 0},
               {by_transfer, 0},      {by_other, 1}};
#define TOUCHES (sizeof touches / sizeof *touches)
#define BY_OTHER (TOUCHES - 1)

static void peer_touches(struct peer *peer)
{
    struct trial *t = peer->data;
    peer->wrong += mid_blocked_leave(peer->thread) != MID_OK;
    touches[peer->number].touch(t, peer->thread);
    peer->wrong += mid_blocked_enter(peer->thread) != MID_OK;
}

static void touch_it(struct trial *t, size_t which, bool by_peer)
{
    if (by_peer) {
        t->peer->number = which;
        peer_do(t->peer, peer_touches);
        assert_int_equal(t->peer->wrong, 0);
    } else {
        touches[which].touch(t, t->u.thread);
    }
    assert_int_equal(t->wrong, 0);
}

/* What others released of main's is merged first. */
static void settle(struct trial *t)
{
    for (int i = 0; i < 3; i++)
        ok(mid_safepoint(t->u.thread));
    unit_drain(&t->u);
}

static void all_swept(struct trial *t)
{
    cycles_finish(&t->u);
    cycles_prove(&t->u, AMPLE);
    settle(t);
    unit_check(&t->u);
}

static void untagged(struct unit *u)
{
    for (uint32_t i = u->heap->first_index; i < u->heap->next_index; i++)
        assert_false(mid_entry_live(u->heap->table + i) && (u->heap->table[i].count & 0xC0000000u) == 0x80000000u);
}

static void one_trial(const char *options, bool with_peer, bool by_peer, mid_sweep_step step, bool later, size_t which)
{
    struct trial t;
    trial_open(&t, options, with_peer);
    cycles_to(&t.u, step);
    if (later)
        cycles_piece(&t.u);
    touch_it(&t, which, by_peer);
    unit_check(&t.u);
    all_swept(&t);
    untagged(&t.u);
    if (t.lets_go) { /* this sweep or the next may find it */
        cycles_begin(&t.u);
        all_swept(&t);
    } else {
        assert_int_equal(unit_count(&t.u, t.x), t.count);
    }
    uint64_t live = (t.lets_go ? 0 : LARGE) + (touches[which].other ? LARGE : 0) + (touches[which].touch == by_init) + 1;
    assert_int_equal(unit_live(&t.u), live);
    if (touches[which].touch != by_immortality) {
        if (!t.lets_go && touches[which].touch != by_swap && touches[which].touch != by_swap_if && touches[which].touch != by_init)
            mid_release(t.u.thread, t.x);
        mid_release(t.u.thread, t.holder);
        settle(&t);
        cycles_begin(&t.u);
        all_swept(&t);
        assert_int_equal(unit_live(&t.u), 0);
        assert_int_equal(mid_weak_get(t.u.thread, t.weak), 0);
        trial_close(&t);
        return;
    }
    mid_release(t.u.thread, t.holder);
    mid_service_unbind(t.u.heap);
    if (t.peer != NULL) {
        peer_unblock(t.peer);
        peer_end(t.peer);
    }
    unit_destroy(&t.u);
}

static const mid_sweep_step steps[] = {MID_SWEEP_WATCH, MID_SWEEP_RESET,  MID_SWEEP_COUNT,
                                       MID_SWEEP_JUDGE, MID_SWEEP_FOLLOW, MID_SWEEP_UNTAG};
#define STEPS (sizeof steps / sizeof *steps)

static void trials(const char *options, bool with_peer, bool by_peer)
{
    for (size_t step = 0; step < STEPS; step++)
        for (size_t which = 0; which < TOUCHES; which++)
            if (unit_scale(64) == 64 || (step + which) % 5 == 0) /* watched instruction by instruction it takes long */
                for (int later = 0; later < 2; later++)
                    one_trial(options, with_peer, by_peer, steps[step], later, which);
}

TEST(what_its_owner_touches_lives)
{
    trials("", false, false);
}

TEST(what_one_of_several_touches_lives)
{
    trials("", true, false);
}

TEST(what_another_thread_touches_lives)
{
    trials("", true, true);
}

TEST(what_the_only_thread_touches_lives)
{
    trials("shared=off", false, false);
}

/* Touched when all has been counted: the set is not committed, and counted again. */
TEST(a_touch_before_the_commit_is_seen)
{
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        struct trial t;
        trial_open(&t, "", by_peer);
        mid_release(t.u.thread, t.x); /* all of it is garbage */
        cycles_to(&t.u, MID_SWEEP_COMMIT);
        touch_it(&t, BY_OTHER, by_peer);
        cycles_piece(&t.u);
        assert_int_equal(cycles_step(&t.u), MID_SWEEP_RESET);
        assert_false(t.u.heap->committed);
        all_swept(&t);
        untagged(&t.u);
        assert_int_equal(unit_live(&t.u), LARGE + 1);
        assert_int_equal(unit_count(&t.u, t.other), 2);
        assert_int_equal(mid_weak_get(t.u.thread, t.weak), 0);
        mid_release(t.u.thread, t.holder);
        cycles_begin(&t.u);
        all_swept(&t);
        assert_int_equal(unit_live(&t.u), 0);
        trial_close(&t);
    }
}

/* From the commit on it is gone, though little of it is free. */
TEST(what_is_committed_cannot_be_had_any_more)
{
    for (int later = 0; later < 3; later++) {
        struct trial t;
        trial_open(&t, "", true);
        mid_release(t.u.thread, t.x);
        cycles_to(&t.u, MID_SWEEP_DISPOSE);
        for (int i = 0; i < later; i++)
            cycles_piece(&t.u);
        assert_true(unit_live(&t.u) > LARGE);
        assert_int_equal(mid_weak_get(t.u.thread, t.weak), 0);
        assert_int_equal(mid_weak_get(t.u.thread, t.others), 0);
        touch_it(&t, BY_OTHER, true); /* another thread has it no better */
        assert_int_equal(mid_peek(t.u.thread, t.holder, LEFT), 0);
        all_swept(&t);
        assert_int_equal(unit_live(&t.u), 1);
        mid_release(t.u.thread, t.holder);
        trial_close(&t);
    }
}

/* A program that goes on touching members is left alone in the end, and nothing is freed that lives. */
TEST(a_trial_that_is_disturbed_for_ever_is_given_up)
{
    struct trial t;
    trial_open(&t, "", false);
    mid_release(t.u.thread, t.x);
    size_t rounds = 0;
    while (cycles_step(&t.u) != MID_SWEEP_NONE) {
        mid_sweep_step before = cycles_step(&t.u);
        cycles_piece(&t.u);
        if (cycles_step(&t.u) == MID_SWEEP_COMMIT && before == MID_SWEEP_JUDGE) {
            mid_handle x = mid_weak_get(t.u.thread, rounds % 2 ? t.others : t.weak);
            for (size_t i = 0; i < rounds; i++) { /* always another one */
                mid_handle next = mid_load(t.u.thread, x, LEFT);
                mid_release(t.u.thread, x);
                x = next;
            }
            mid_release(t.u.thread, x);
            rounds++;
        }
        assert_true(rounds < 100);
    }
    assert_true(rounds > 1);
    unit_check(&t.u);
    untagged(&t.u);
    cycles_begin(&t.u);
    all_swept(&t);
    assert_int_equal(unit_live(&t.u), 1);
    mid_release(t.u.thread, t.holder);
    trial_close(&t);
}

/* No room to remember that a member was dropped: what it refers to must not be taken for garbage. */
TEST(without_memory_for_the_dropped_it_is_given_up)
{
    struct unit *u = &(struct unit){0};
    struct fault_os fault;
    mid_weak weak;
    fault_open(u, &fault, "max-objects=1M");
    ok(mid_service_bind(u->heap, cycles_kick, NULL));
    mid_service_log(u->heap, true, 0, 0);
    mid_handle ring = unit_ring(u, u->node, LARGE);
    ok(mid_weak_new(u->thread, ring, &weak));
    mid_release(u->thread, ring);
    cycles_begin(u);
    cycles_to(u, MID_SWEEP_WATCH);
    assert_int_equal(mid_weak_get(u->thread, weak), ring);
    cycles_to(u, MID_SWEEP_JUDGE);
    fault.fail_at = fault.calls + 1;
    fault.for_good = 1;
    cycles_finish(u);
    assert_true(fault.failed != 0);
    fault.fail_at = 0;
    assert_int_equal(unit_live(u), LARGE);
    unit_check(u);
    untagged(u);
    mid_release(u->thread, ring);
    mid_service_unbind(u->heap);
    ok(mid_collect(u->thread, NULL));
    assert_int_equal(unit_live(u), 0);
    ok(mid_weak_drop(u->thread, weak));
    fault_close(u, &fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_its_owner_touches_lives),
        cmocka_unit_test(what_one_of_several_touches_lives),
        cmocka_unit_test(what_another_thread_touches_lives),
        cmocka_unit_test(what_the_only_thread_touches_lives),
        cmocka_unit_test(a_touch_before_the_commit_is_seen),
        cmocka_unit_test(what_is_committed_cannot_be_had_any_more),
        cmocka_unit_test(a_trial_that_is_disturbed_for_ever_is_given_up),
        cmocka_unit_test(without_memory_for_the_dropped_it_is_given_up),
    };
    return UNIT_RUN(tests);
}
