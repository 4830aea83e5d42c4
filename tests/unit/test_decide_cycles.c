/* The daemon's decisions where garbage cycles are proposed while the program runs: when to walk from suspects, to prove, to sweep. */
#include "decide.h"

/* A collection of so many would take four times `collect-stop`, whatever the last one left: cycles are proposed. */
#define LARGE .live_objects = 166750
#define JUST_NOW .proposed_at = T, .proved_at = T

static const struct look looks[] = {
    /* suspects */
    {"suspects of a heap that is not large", .s = {RUNNING, .live_objects = 166749, .suspects = 9999}, .look_in = 100000},
    {"one of which the last collection left half of what a stop has time for",
     .s = {RUNNING, .live_objects = 41750, .live_slot_bytes = MB(2), .live_at_collection = MB(1), .suspects = 9999}, .look_in = 100000},
    {"... and more", .s = {RUNNING, .live_objects = 41850, .live_slot_bytes = MB(2), .live_at_collection = MB(1), .suspects = 9999},
     .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS, .value = 9999, .threshold = 1, .budget = 1000},
    {"suspects of a large one", .s = {RUNNING, LARGE, .suspects = 9999}, .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS,
     .value = 9999, .threshold = 1, .budget = 1000},
    {"one that was large and has shrunk by half", .p = {.large = true}, .s = {RUNNING, .live_objects = 83417, .suspects = 1},
     .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS, .value = 1, .threshold = 1, .budget = 1000},
    {"... by more than half", .p = {.large = true}, .s = {RUNNING, .live_objects = 83416, .suspects = 9999}, .look_in = 100000},
    {"no stop for a collection", "collect-stop=0", .s = {RUNNING, .live_objects = 84, .suspects = 1}, .action = MID_ACT_PROPOSE,
     .why = MID_WHY_SUSPECTS, .value = 1, .threshold = 1, .budget = 1000},
    {"few suspects, and some were looked at just now", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 511}, .look_in = 100000},
    {"many suspects", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 512}, .action = MID_ACT_PROPOSE,
     .why = MID_WHY_SUSPECTS, .value = 512, .threshold = 512, .budget = 1000},
    {"many, but not handed over", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 600, .suspects_held = 89},
     .look_in = 100000},
    {"few suspects for long", "slice=200us", .p = {.proposed_at = T - 100000, .proved_at = T}, .s = {RUNNING, LARGE, .suspects = 3},
     .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS, .value = 3, .threshold = 1, .budget = 400},
    {"few suspects, idle", IDLE, .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 1}, .action = MID_ACT_PROPOSE,
     .why = MID_WHY_SUSPECTS, .value = 1, .threshold = 1, .budget = 1000},
    {"proposing failed just now", .p = {.propose_after = T + 1}, .s = {RUNNING, LARGE, .suspects = 9999}, .look_in = 100000},
    {"proposing failed some time ago", .step = 1, .p = {.propose_after = T + 1}, .s = {RUNNING, LARGE, .suspects = 9999},
     .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS, .value = 9999, .threshold = 1, .budget = 1000},
    {"nobody is stopped for it: no rest", .p = {.work_at = T, .work_took = 500}, .s = {RUNNING, LARGE, .suspects = 1},
     .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS, .value = 1, .threshold = 1, .budget = 1000},

    /* proposals */
    {"proposals, and no suspect is left", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .proposals = 1}, .action = MID_ACT_PROVE,
     .why = MID_WHY_PROPOSALS, .value = 1, .threshold = 1, .budget = 500},
    {"proposals of a heap that has become small", .s = {RUNNING, .proposals = 1}, .action = MID_ACT_PROVE,
     .why = MID_WHY_PROPOSALS, .value = 1, .threshold = 1, .budget = 500},
    {"few proposals, and there will be more", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 1, .proposals = 4095},
     .look_in = 100000},
    {"many proposals", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 1, .proposals = 4096}, .action = MID_ACT_PROVE,
     .why = MID_WHY_PROPOSALS, .value = 4096, .threshold = 4096, .budget = 500},
    {"few proposals for long", .p = {.proposed_at = T, .proved_at = T - 100000}, .s = {RUNNING, LARGE, .suspects = 1, .proposals = 2},
     .action = MID_ACT_PROVE, .why = MID_WHY_PROPOSALS, .value = 2, .threshold = 1, .budget = 500},
    {"few proposals, idle", IDLE, .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 1, .proposals = 2}, .action = MID_ACT_PROVE,
     .why = MID_WHY_PROPOSALS, .value = 2, .threshold = 1, .budget = 500},
    {"a proof rests, running", .p = {.work_at = T, .work_took = 500}, .s = {RUNNING, LARGE, .proposals = 9999}, .look_in = 1500},
    {"a proof rests, blocked", .p = {.work_at = T, .work_took = 500}, .s = {BLOCKED, LARGE, .proposals = 9999}, .look_in = 500},
    {"what threads have logged is brought in", .p = {.proposed_at = T, .proved_at = T - 100000},
     .s = {RUNNING, LARGE, .suspects = 5, .suspects_held = 5}, .action = MID_ACT_PROVE, .why = MID_WHY_SUSPECTS, .value = 5,
     .threshold = 1, .budget = 500},
    {"... not all the time", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 5, .suspects_held = 5}, .look_in = 100000},
    {"... and not where nobody asks", .s = {RUNNING, .suspects = 5, .suspects_held = 5}, .look_in = 100000},

    /* sweeps */
    {"growth of a large heap, running", .s = {RUNNING, LARGE, .live_slot_bytes = MB(175), .live_at_collection = MB(100)},
     .action = MID_ACT_SWEEP, .why = MID_WHY_GROWTH, .value = MB(75), .threshold = MB(75), .budget = 1000},
    {"growth of a large heap, below its part", .s = {BLOCKED, LARGE, .live_slot_bytes = MB(175) - 1, .live_at_collection = MB(100)},
     .look_in = 100000},
    {"idle growth of a large heap", IDLE, .s = {RUNNING, LARGE, .live_slot_bytes = MB(110), .live_at_collection = MB(100)},
     .action = MID_ACT_SWEEP, .why = MID_WHY_IDLE, .value = 300000, .threshold = 300000, .budget = 1000},
    {"growth that suspects may explain", .p = {.propose_after = T + 1},
     .s = {RUNNING, LARGE, .suspects = 512, .live_slot_bytes = MB(175), .live_at_collection = MB(100)}, .look_in = 100000},
    {"growth that proposals may explain", .p = {.work_at = T, .work_took = 500},
     .s = {RUNNING, LARGE, .proposals = 4096, .live_slot_bytes = MB(175), .live_at_collection = MB(100)}, .look_in = 1500},
    {"growth after a failed sweep counts from there", .p = {.refused_at = MB(175)},
     .s = {RUNNING, LARGE, .live_slot_bytes = MB(249), .live_at_collection = MB(100)}, .look_in = 100000},
    {"a sweep goes on", .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_RUNNING, .live_slot_bytes = MB(9), .live_at_collection = MB(4)},
     .action = MID_ACT_SWEEP, .why = MID_WHY_GROWTH, .value = MB(9), .threshold = MB(4), .budget = 1000},
    {"... though the heap has become small", .s = {RUNNING, .sweeping = MID_SWEEPS_RUNNING, .live_slot_bytes = MB(9)},
     .action = MID_ACT_SWEEP, .why = MID_WHY_GROWTH, .value = MB(9), .budget = 1000},
    {"a sweep needs a stop", .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_STOPPED, .live_slot_bytes = MB(9)},
     .action = MID_ACT_PROVE, .why = MID_WHY_GROWTH, .value = MB(9), .budget = 500},
    {"a sweep waits for finalizers", .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_WAITING, .live_slot_bytes = MB(9)},
     .look_in = 100000},
    {"a sweep rests", .p = {.swept_at = T, .swept_took = 1000}, .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_RUNNING},
     .look_in = 11001},
    {"a sweep rests, and the heap grows", .p = {.swept_at = T, .swept_took = 1000},
     .s = {BLOCKED, LARGE, .sweeping = MID_SWEEPS_RUNNING, .live_slot_bytes = MB(1)}, .look_in = 3000},
    {"a sweep rests, and few were missed", .p = {.swept_at = T, .swept_took = 1000, .sweep_missed = 3749},
     .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_RUNNING}, .look_in = 11001},
    {"a sweep rests, and many were missed", .p = {.swept_at = T, .swept_took = 1000, .sweep_missed = 3750},
     .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_RUNNING}, .look_in = 1000},
    {"a sweep rests, and nobody is there", .p = {.swept_at = T, .swept_took = 1000},
     .s = {.mutator = MID_MUTATOR_NONE, LARGE, .sweeping = MID_SWEEPS_RUNNING}, .look_in = 1000},
    {"a sweep rests after a stop, too", .p = {.work_at = T, .work_took = 500}, .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_RUNNING},
     .look_in = 1500},

    /* precedence */
    {"drain before a proof", .s = {RUNNING, LARGE, .waiting_objects = 20000, .proposals = 4096}, .action = MID_ACT_DRAIN,
     .why = MID_WHY_WAITING, .value = 20000, .threshold = 20000, .budget = 500},
    {"a proof before suspects", .s = {RUNNING, LARGE, .suspects = 9999, .proposals = 4096}, .action = MID_ACT_PROVE,
     .why = MID_WHY_PROPOSALS, .value = 4096, .threshold = 1, .budget = 500},
    {"suspects while a proof rests", .p = {.work_at = T, .work_took = 500}, .s = {RUNNING, LARGE, .suspects = 9999, .proposals = 4096},
     .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS, .value = 9999, .threshold = 1, .budget = 1000},
    {"suspects before a sweep", .p = {JUST_NOW}, .s = {RUNNING, LARGE, .suspects = 512, .sweeping = MID_SWEEPS_RUNNING},
     .action = MID_ACT_PROPOSE, .why = MID_WHY_SUSPECTS, .value = 512, .threshold = 512, .budget = 1000},
    {"a sweep before compaction", .s = {RUNNING, LARGE, .sweeping = MID_SWEEPS_RUNNING, FRAGMENTED(200)}, .action = MID_ACT_SWEEP,
     .why = MID_WHY_GROWTH, .value = MB(100), .threshold = MB(100), .budget = 1000},
};

TEST(looks_at_heaps_that_are_large)
{
    check_looks(looks, COUNT(looks));
}

/* --- what outcomes change -------------------------------------------------------------------------------------------- */

TEST(proposing_that_fails_waits_a_heartbeat)
{
    static const mid_status statuses[] = {MID_OK, MID_MORE, MID_EBUSY, MID_ENOMEM, MID_ELIMIT};
    mid_options options = options_of(NULL);
    mid_snapshot s = {RUNNING, LARGE, .suspects = 9999};
    for (size_t i = 0; i < COUNT(statuses); i++) {
        mid_pacer pacer = fresh();
        pacer.time = T;
        assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_PROPOSE);
        assert_int_equal(finish(&pacer, MID_ACT_PROPOSE, MID_WHY_SUSPECTS, (mid_outcome){.stopped = true, .status = statuses[i]}), 0);
        bool again = statuses[i] == MID_OK || statuses[i] == MID_MORE;
        assert_int_equal(mid_decide(&pacer, &s, &options, T).action, again ? MID_ACT_PROPOSE : MID_ACT_NONE);
        assert_int_equal(mid_decide(&pacer, &s, &options, T + 99999).action, again ? MID_ACT_PROPOSE : MID_ACT_NONE);
        assert_int_equal(mid_decide(&pacer, &s, &options, T + 100000).action, MID_ACT_PROPOSE);
    }
}

TEST(sweeps_that_fail_count_from_there)
{
    mid_pacer pacer = fresh();
    mid_options options = options_of(NULL);
    mid_snapshot s = {RUNNING, LARGE, .live_slot_bytes = MB(200), .live_at_collection = MB(100)};
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_SWEEP);
    finish(&pacer, MID_ACT_SWEEP, MID_WHY_GROWTH, (mid_outcome){.stopped = true, .status = MID_ENOMEM, .before = s, .after = s});
    assert_int_equal(pacer.refused_at, MB(200));
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_NONE);
    s.live_slot_bytes = MB(275);
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_SWEEP);
    s.sweeping = MID_SWEEPS_RUNNING; /* it has begun: nothing is decided yet */
    finish(&pacer, MID_ACT_SWEEP, MID_WHY_GROWTH, (mid_outcome){.stopped = true, .status = MID_MORE, .took = 9, .before = s, .after = s});
    assert_int_equal(pacer.refused_at, MB(200));
    assert_int_equal(pacer.swept_took, 9);
    s.sweeping = MID_SWEEPS_NOT;
    finish(&pacer, MID_ACT_SWEEP, MID_WHY_GROWTH, (mid_outcome){.stopped = true, .status = MID_OK, .before = s, .after = s});
    assert_int_equal(pacer.refused_at, 0);
}

TEST(proofs_rest_as_other_stops_do)
{
    mid_pacer pacer = fresh();
    mid_options options = options_of(NULL);
    mid_snapshot s = {RUNNING, LARGE, .proposals = 9999};
    finish(&pacer, MID_ACT_PROVE, MID_WHY_PROPOSALS, (mid_outcome){.stopped = true, .status = MID_MORE, .took = 400});
    mid_work_plan plan = mid_decide(&pacer, &s, &options, T);
    assert_true(plan.action == MID_ACT_NONE && plan.look_in == 1200);
    assert_int_equal(mid_decide(&pacer, &s, &options, T + 1200).action, MID_ACT_PROVE);
    finish(&pacer, MID_ACT_PROVE, MID_WHY_PROPOSALS, (mid_outcome){.stopped = true, .status = MID_MORE, .took = 0});
    assert_int_equal(mid_decide(&pacer, &s, &options, T + 1200).look_in, 60); /* a stop is not free */
}

TEST(in_a_large_heap_the_program_does_not_collect_by_itself)
{
    mid_pacer pacer = fresh();
    mid_options options = options_of(NULL);
    mid_snapshot s = {RUNNING, LARGE};
    assert_false(mid_proposes(&pacer));
    mid_decide(&pacer, &s, &options, T);
    assert_true(mid_proposes(&pacer));
    mid_growth growth = mid_collect_growth(&pacer, &options);
    assert_true(growth.least == UINT64_MAX && growth.percent == 0);
    assert_int_equal(mid_help_at(&pacer), 30000);
    s.live_objects = 5000000;
    mid_decide(&pacer, &s, &options, T);
    assert_int_equal(mid_help_at(&pacer), 50000);
    s.live_objects = UINT64_MAX;
    mid_decide(&pacer, &s, &options, T);
    assert_int_equal(mid_help_at(&pacer), UINT32_MAX);
    s.live_objects = 0;
    mid_decide(&pacer, &s, &options, T);
    assert_false(mid_proposes(&pacer));
    assert_int_equal(mid_collect_growth(&pacer, &options).least, 20833 * 16); /* half of what a stop has time for */
}

/* Near a limit that kills, and only there; a heap for which even that stop would be too short goes on beside the program. */
TEST(near_its_limit_the_program_collects_by_itself)
{
    static const struct {
        mid_strain strain;
        uint64_t objects;
        bool by_itself;
    } rows[] = {{{.level = MID_PRESSURE_EVERYTHING, .why = MID_WHY_CGROUP}, 500000, true}, {{.level = MID_PRESSURE_EVERYTHING, .why = MID_WHY_LIMIT}, 500000, true},
                {{.level = MID_PRESSURE_EVERYTHING, .why = MID_WHY_STALLS}, 500000, false}, {{.level = MID_PRESSURE_COMPACT, .why = MID_WHY_CGROUP}, 500000, false},
                {{.level = MID_PRESSURE_CALM}, 500000, false}, {{.level = MID_PRESSURE_EVERYTHING, .why = MID_WHY_CGROUP}, 50000000, false}};
    mid_options options = options_of(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mid_pacer pacer = fresh();
        mid_snapshot s = {RUNNING, .live_objects = rows[i].objects, .live_slot_bytes = rows[i].objects * 100, .live_at_collection = rows[i].objects * 100};
        mid_decide_strain(&pacer, &(mid_strain){.level = MID_PRESSURE_CALM});
        mid_decide(&pacer, &s, &options, T);
        assert_true(mid_proposes(&pacer));
        mid_decide_strain(&pacer, &rows[i].strain);
        mid_decide(&pacer, &s, &options, T + 1000);
        assert_int_equal(mid_proposes(&pacer), !rows[i].by_itself);
        assert_int_equal(mid_collect_growth(&pacer, &options).least != UINT64_MAX, rows[i].by_itself);
        mid_decide_strain(&pacer, &(mid_strain){.level = MID_PRESSURE_CALM});
        mid_decide(&pacer, &s, &options, T + 2000);
        assert_true(mid_proposes(&pacer));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_at_heaps_that_are_large),
        cmocka_unit_test(proposing_that_fails_waits_a_heartbeat),
        cmocka_unit_test(sweeps_that_fail_count_from_there),
        cmocka_unit_test(proofs_rest_as_other_stops_do),
        cmocka_unit_test(in_a_large_heap_the_program_does_not_collect_by_itself),
        cmocka_unit_test(near_its_limit_the_program_collects_by_itself),
    };
    return UNIT_RUN(tests);
}
