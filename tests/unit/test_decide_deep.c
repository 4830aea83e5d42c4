/* The daemon's decisions about deep compaction: when a pass begins, goes on, and is not tried again. */
#include "decide.h"

#define TABLE "deep=table"
/* A table of 4 MiB: from half a mebibyte on it is worth a pass. */
#define WASTED(bytes) .table_bytes = MB(4), .table_waste = (bytes)
#define DEEP(bytes, least) .action = MID_ACT_DEEP, .why = MID_WHY_TABLE, .value = (bytes), .threshold = (least), .budget = 500

static const struct look looks[] = {
    {"off", IDLE, .s = {RUNNING, WASTED(MB(4))}, .look_in = MID_NEVER},
    {"off, though one is under way", IDLE, .s = {RUNNING, WASTED(MB(4)), .deepening = MID_DEEPENS_STOPPED}, .look_in = MID_NEVER},
    {"not idle", TABLE, .s = {RUNNING, WASTED(MB(4))}, .look_in = 100000},
    {"almost idle", TABLE, .still = 299999, .s = {RUNNING, WASTED(MB(4))}, .look_in = 1},
    {"blocked, and not idle", TABLE, .s = {BLOCKED, WASTED(MB(4))}, .look_in = 100000},
    {"idle, waste below an eighth", TABLE, IDLE, .s = {RUNNING, WASTED(KB(512) - 1)}, .look_in = MID_NEVER},
    {"idle, waste of an eighth", TABLE, IDLE, .s = {RUNNING, WASTED(KB(512))}, DEEP(KB(512), KB(512))},
    {"idle, nobody attached", TABLE, IDLE, .s = {WASTED(MB(1))}, DEEP(MB(1), KB(512))},
    {"idle, a small table, below the least", TABLE, IDLE, .s = {RUNNING, .table_bytes = MB(1), .table_waste = KB(256) - 1},
     .look_in = MID_NEVER},
    {"idle, a small table, at the least", "slice=200us,deep=table", IDLE, .s = {RUNNING, .table_bytes = MB(1), .table_waste = KB(256)},
     .action = MID_ACT_DEEP, .why = MID_WHY_TABLE, .value = KB(256), .threshold = KB(256), .budget = 200},

    /* an order */
    {"an order, nothing allocated since", "deep=depth", IDLE, .s = {RUNNING, WASTED(0), .live_slot_bytes = MB(1),
     .live_at_collection = MB(1)}, .look_in = MID_NEVER},
    {"the order of the table is none to find anew", TABLE, IDLE,
     .s = {RUNNING, WASTED(0), .live_slot_bytes = MB(1), .live_at_collection = MB(1)}, .look_in = MID_NEVER},

    /* under way */
    {"reading goes on", TABLE, .s = {RUNNING, WASTED(0), .deepening = MID_DEEPENS_RUNNING}, DEEP(0, 0)},
    {"stops go on", TABLE, .s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED}, DEEP(MB(1), KB(512))},
    {"it rests, running", TABLE, .p = {.compact_at = T, .compact_took = 500},
     .s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED}, .look_in = 49500},
    {"it rests, idle", TABLE, IDLE, .p = {.compact_at = T, .compact_took = 500},
     .s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED}, .look_in = 500},
    {"it has rested, idle", TABLE, IDLE, .step = 500, .p = {.compact_at = T, .compact_took = 500},
     .s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED}, DEEP(MB(1), KB(512))},
    {"it rests after other work too", TABLE, IDLE, .p = {.work_at = T, .work_took = 500},
     .s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED}, .look_in = 500},
    {"refused just now: looked at again, though idle", TABLE, IDLE, .p = {.deep_after = T + 7},
     .s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED}, .look_in = 7},
    {"refused some time ago", TABLE, IDLE, .step = 7, .p = {.deep_after = T + 7},
     .s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED}, DEEP(MB(1), KB(512))},

    /* what a pass could not help */
    {"no more than was left", TABLE, IDLE, .p = {.deep_left = MB(1)}, .s = {RUNNING, WASTED(MB(1) + KB(512) - 1)},
     .look_in = MID_NEVER},
    {"an eighth more than was left", TABLE, IDLE, .p = {.deep_left = MB(1)}, .s = {RUNNING, WASTED(MB(1) + KB(512))},
     DEEP(MB(1) + KB(512), MB(1) + KB(512))},
    {"what was left has become less", TABLE, IDLE, .p = {.deep_left = MB(2)}, .s = {RUNNING, WASTED(KB(600))}, .look_in = MID_NEVER},

    /* what goes by numbers comes first */
    {"suspects first", TABLE, IDLE, .s = {RUNNING, WASTED(MB(1)), .live_objects = 166750, .suspects = 1}, .action = MID_ACT_PROPOSE,
     .why = MID_WHY_SUSPECTS, .value = 1, .threshold = 1, .budget = 1000},
    {"suspects that threads have not handed over", TABLE, IDLE, .s = {RUNNING, WASTED(MB(1)), .suspects = 1, .suspects_held = 1},
     DEEP(MB(1), KB(512))},
    {"proposals first", TABLE, IDLE, .s = {RUNNING, WASTED(MB(1)), .proposals = 1}, .action = MID_ACT_PROVE, .why = MID_WHY_PROPOSALS,
     .value = 1, .threshold = 1, .budget = 500},
    {"a sweep first", TABLE, IDLE, .s = {RUNNING, WASTED(MB(1)), .sweeping = MID_SWEEPS_RUNNING}, .action = MID_ACT_SWEEP,
     .why = MID_WHY_GROWTH, .budget = 1000},
    {"a sweep that waits for finalizers", TABLE, IDLE, .s = {RUNNING, WASTED(MB(1)), .sweeping = MID_SWEEPS_WAITING},
     .look_in = MID_NEVER},
    {"compaction first", TABLE, IDLE, .s = {RUNNING, WASTED(MB(1)), FRAGMENTED(200)}, .action = MID_ACT_COMPACT,
     .why = MID_WHY_FRAGMENTATION, .value = 200, .threshold = 110, .budget = 500},
    {"before what is empty goes back", TABLE, IDLE, .s = {RUNNING, WASTED(MB(1)), .empty_bytes = MB(9)}, DEEP(MB(1), KB(512))},
};

TEST(looks_at_the_table)
{
    check_looks(looks, COUNT(looks));
}

/* With so much allocated since the last pass, a quarter of what lives, an order is found anew. */
TEST(an_order_is_found_anew_when_much_is_new)
{
    static const char *const orders[] = {"deep=table", "deep=depth", "deep=breadth"};
    for (size_t i = 0; i < COUNT(orders); i++) {
        mid_options options = options_of(orders[i]);
        for (uint64_t since = MB(25) - 1; since <= MB(25); since++) {
            mid_pacer pacer = fresh();
            pacer.deep_allocated = MB(70);
            mid_snapshot s = {RUNNING, WASTED(0), .live_slot_bytes = MB(100), .live_at_collection = MB(100), .allocated_bytes = MB(70) + since};
            assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_NONE); /* it has just allocated */
            mid_action action = mid_decide(&pacer, &s, &options, T + 300000).action;
            assert_int_equal(action, i != 0 && since == MB(25) ? MID_ACT_DEEP : MID_ACT_NONE);
        }
    }
}

/* --- what outcomes change ----------------------------------------------------------------------------------------------- */

static mid_pacer idle_pacer(const mid_snapshot *s)
{
    mid_pacer pacer = fresh();
    pacer.time = T;
    pacer.active_at = T - 300000;
    pacer.allocated = s->allocated_bytes;
    return pacer;
}

static mid_action next(mid_pacer *pacer, const mid_snapshot *s)
{
    mid_options options = options_of("deep=table");
    return mid_decide(pacer, s, &options, pacer->clock + 1000000).action;
}

/* Through, or given up: what is wasted still is not looked at again before there is more. */
TEST(what_a_pass_could_not_help_is_not_tried_again)
{
    static const mid_status statuses[] = {MID_OK, MID_ENOMEM, MID_ELIMIT};
    for (size_t i = 0; i < COUNT(statuses); i++) {
        mid_snapshot s = {RUNNING, WASTED(MB(1))};
        mid_pacer pacer = idle_pacer(&s);
        assert_int_equal(next(&pacer, &s), MID_ACT_DEEP);
        mid_outcome out = {.stopped = true, .status = statuses[i], .before = s, .after = s};
        finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, out);
        assert_int_equal(next(&pacer, &s), MID_ACT_NONE);
        s.table_waste += KB(512);
        assert_int_equal(next(&pacer, &s), MID_ACT_DEEP);
    }
}

TEST(a_pass_goes_on_until_it_is_through)
{
    mid_snapshot s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_RUNNING};
    mid_pacer pacer = idle_pacer(&s);
    static const mid_deepening steps[] = {MID_DEEPENS_RUNNING, MID_DEEPENS_STOPPED, MID_DEEPENS_STOPPED, MID_DEEPENS_RUNNING};
    for (size_t i = 0; i < COUNT(steps); i++) {
        mid_snapshot before = s;
        s.deepening = steps[i];
        finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, (mid_outcome){.stopped = true, .status = MID_MORE, .before = before, .after = s});
        s.table_waste = KB(1); /* what there is still to do does not depend on it */
        assert_int_equal(next(&pacer, &s), MID_ACT_DEEP);
    }
    s.deepening = MID_DEEPENS_NOT;
    finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, (mid_outcome){.stopped = true, .status = MID_OK, .before = s, .after = s});
    assert_int_equal(next(&pacer, &s), MID_ACT_NONE);
}

TEST(a_refused_slice_waits_a_heartbeat)
{
    mid_options options = options_of("deep=table");
    mid_snapshot s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED};
    mid_pacer pacer = idle_pacer(&s);
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_DEEP);
    finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, (mid_outcome){.stopped = true, .status = MID_EBUSY, .before = s, .after = s});
    mid_work_plan plan = mid_decide(&pacer, &s, &options, T + 1000);
    assert_int_equal(plan.action, MID_ACT_NONE);
    assert_int_equal(plan.look_in, 99000);
    assert_int_equal(mid_decide(&pacer, &s, &options, T + 100000).action, MID_ACT_DEEP);
}

/* A stop that was refused counts; only one that was not ends that. */
TEST(stops_that_are_refused_are_retried_ever_later)
{
    mid_snapshot s = {RUNNING, WASTED(MB(1)), .deepening = MID_DEEPENS_STOPPED};
    mid_pacer pacer = idle_pacer(&s);
    mid_outcome refused = {.status = MID_EPOSTPONED, .before = s, .after = s}, done = {.stopped = true, .status = MID_MORE, .before = s, .after = s};
    assert_int_equal(finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, refused), 100000);
    assert_int_equal(finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, refused), 200000);
    done.before.deepening = MID_DEEPENS_RUNNING; /* nobody was stopped for it */
    assert_int_equal(finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, done), 0);
    assert_int_equal(finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, refused), 400000);
    done.before.deepening = MID_DEEPENS_STOPPED;
    assert_int_equal(finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, done), 0);
    assert_int_equal(finish(&pacer, MID_ACT_DEEP, MID_WHY_TABLE, refused), 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_at_the_table),
        cmocka_unit_test(an_order_is_found_anew_when_much_is_new),
        cmocka_unit_test(what_a_pass_could_not_help_is_not_tried_again),
        cmocka_unit_test(a_pass_goes_on_until_it_is_through),
        cmocka_unit_test(a_refused_slice_waits_a_heartbeat),
        cmocka_unit_test(stops_that_are_refused_are_retried_ever_later),
    };
    return UNIT_RUN(tests);
}
