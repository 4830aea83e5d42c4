/* Goals as plans: which slice follows which, when they rest, and that they end whatever a heap answers. */
#include "unit.h"

#include "daemon/goal.h"

static mid_options options;

/* A heap with something of everything. */
static mid_snapshot full(void)
{
    return (mid_snapshot){.mutator = MID_MUTATOR_RUNNING, .live_slot_bytes = 1 << 20, .pool_bytes = 1 << 22, .waiting_objects = 10,
                          .proposals = 10, .empty_bytes = 1 << 20, .gain_bytes = 1 << 20};
}

/* One slice: what it wanted, after which the heap is `after`, and this was done. */
static mid_action slice(mid_goal *goal, mid_snapshot *now, bool large, uint64_t *clock, mid_status status, uint64_t done,
                        mid_snapshot after)
{
    mid_work_plan plan = {.action = MID_ACT_NONE};
    *clock += mid_goal_wait(goal, *clock);
    assert_int_equal(mid_goal_plan(goal, now, &options, large, *clock, &plan), 0);
    if (goal->over)
        return MID_ACT_NONE;
    assert_int_equal(plan.trigger, MID_WHY_ASKED);
    mid_outcome out = {.stopped = status != MID_EPOSTPONED, .status = status, .took = 100, .done = done, .before = *now, .after = after};
    mid_decision d = {.action = plan.action, .objects = done, .slices = 1, .took_micros = 100};
    mid_goal_done(goal, &plan, &out, &d, &options, *clock);
    *now = after;
    return plan.action;
}

TEST(nothing_is_asked_for)
{
    mid_goal goal = {.action = MID_ACT_NONE};
    mid_snapshot now = full();
    mid_work_plan plan = {.action = MID_ACT_DRAIN};
    assert_true(mid_goal_plan(&goal, &now, &options, false, 0, &plan) == MID_NEVER);
    assert_int_equal(plan.action, MID_ACT_DRAIN);
}

TEST(a_small_heap_is_collected_in_one_stop)
{
    mid_goal goal;
    mid_snapshot now = full(), clean = full();
    uint64_t clock = 1000;
    clean.waiting_objects = clean.proposals = 0;
    mid_goal_begin(&goal, MID_ACT_COLLECT, 1);
    assert_int_equal(slice(&goal, &now, false, &clock, MID_OK, 7, full()), MID_ACT_COLLECT);
    assert_int_equal(slice(&goal, &now, false, &clock, MID_OK, 10, clean), MID_ACT_DRAIN);
    assert_true(goal.over && goal.status == MID_OK);
    assert_int_equal(goal.sum.objects, 17);
    assert_int_equal(goal.sum.slices, 2);
}

TEST(a_large_heap_is_swept_from_its_beginning)
{
    mid_goal goal;
    mid_snapshot running = full(), stopped = full(), none = full();
    uint64_t clock = 1000;
    running.sweeping = MID_SWEEPS_RUNNING;
    stopped.sweeping = MID_SWEEPS_STOPPED;
    none.proposals = none.waiting_objects = 0;
    mid_snapshot now = running; /* another's, half way through */
    mid_goal_begin(&goal, MID_ACT_COLLECT, 1);
    assert_int_equal(slice(&goal, &now, true, &clock, MID_MORE, 0, stopped), MID_ACT_SWEEP);
    assert_int_equal(slice(&goal, &now, true, &clock, MID_OK, 5, none), MID_ACT_PROVE);
    assert_int_equal(slice(&goal, &now, true, &clock, MID_MORE, 0, running), MID_ACT_SWEEP); /* its own */
    assert_int_equal(slice(&goal, &now, true, &clock, MID_MORE, 0, stopped), MID_ACT_SWEEP);
    assert_int_equal(slice(&goal, &now, true, &clock, MID_OK, 5, full()), MID_ACT_PROVE);
    assert_int_equal(slice(&goal, &now, true, &clock, MID_OK, 5, none), MID_ACT_PROVE);
    assert_int_equal(slice(&goal, &now, true, &clock, MID_OK, 0, none), MID_ACT_NONE);
    assert_true(goal.over && goal.status == MID_OK);
}

TEST(a_sweep_that_waits_for_finalizers_is_not_waited_for)
{
    mid_goal goal;
    mid_snapshot now = full();
    uint64_t clock = 1000;
    now.sweeping = MID_SWEEPS_WAITING;
    now.waiting_objects = 0;
    mid_goal_begin(&goal, MID_ACT_COLLECT, 1);
    assert_int_equal(slice(&goal, &now, true, &clock, MID_OK, 0, now), MID_ACT_NONE);
    assert_true(goal.over && goal.status == MID_OK);
}

TEST(it_rests_by_its_share)
{
    mid_goal goal;
    mid_snapshot now = full();
    mid_work_plan plan = {.action = MID_ACT_NONE};
    uint64_t clock = 1000;
    mid_goal_begin(&goal, MID_ACT_COMPACT, 1);
    slice(&goal, &now, false, &clock, MID_MORE, 1, full());
    assert_int_equal(mid_goal_plan(&goal, &now, &options, false, clock, &plan), 300); /* 100 us of work at 25 % */
    assert_int_equal(plan.action, MID_ACT_NONE);
    clock += 300;
    now.mutator = MID_MUTATOR_BLOCKED;
    slice(&goal, &now, false, &clock, MID_MORE, 1, now);
    assert_int_equal(mid_goal_wait(&goal, clock), 100);
}

TEST(refusals_end_it)
{
    mid_goal goal;
    mid_snapshot now = full();
    uint64_t clock = 1000;
    mid_goal_begin(&goal, MID_ACT_COMPACT, 1);
    unsigned tries = 0;
    for (; !goal.over && tries < 1000; tries++) {
        uint64_t before = clock;
        slice(&goal, &now, false, &clock, tries % 40 == 20 ? MID_MORE : MID_EPOSTPONED, 1, full());
        assert_true(tries == 0 || tries == 21 || clock == before + options.heartbeat);
    }
    assert_int_equal(tries, 21 + 32); /* in a row */
    assert_int_equal(goal.status, MID_EPOSTPONED);
}

TEST(failures_end_it)
{
    static const mid_action actions[] = {MID_ACT_COLLECT, MID_ACT_COMPACT, MID_ACT_DEEP, MID_ACT_TRIM};
    for (size_t i = 0; i < 4; i++) {
        mid_goal goal;
        mid_snapshot now = full();
        uint64_t clock = 1000;
        mid_goal_begin(&goal, actions[i], 1);
        slice(&goal, &now, i == 0, &clock, MID_ENOMEM, 0, full());
        assert_true(goal.over && goal.status == MID_ENOMEM);
    }
}

/* A heap that always says that there is more, and of which nothing changes. */
TEST(what_gets_nowhere_ends)
{
    static const mid_action actions[] = {MID_ACT_COLLECT, MID_ACT_COMPACT, MID_ACT_TRIM};
    for (size_t i = 0; i < 3; i++) {
        mid_goal goal;
        mid_snapshot now = full();
        uint64_t clock = 1000;
        unsigned slices = 0;
        mid_goal_begin(&goal, actions[i], 1);
        for (; !goal.over && slices < 200; slices++)
            slice(&goal, &now, true, &clock, MID_MORE, 0, full());
        assert_true(goal.over && goal.status == MID_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_for),
        cmocka_unit_test(a_small_heap_is_collected_in_one_stop),
        cmocka_unit_test(a_large_heap_is_swept_from_its_beginning),
        cmocka_unit_test(a_sweep_that_waits_for_finalizers_is_not_waited_for),
        cmocka_unit_test(it_rests_by_its_share),
        cmocka_unit_test(refusals_end_it),
        cmocka_unit_test(failures_end_it),
        cmocka_unit_test(what_gets_nowhere_ends),
    };
    mid_options_init(&options);
    return UNIT_RUN(tests);
}
