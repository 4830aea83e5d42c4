/* The daemon's decisions: a table of looks, what a plan's outcome changes, and properties over simulated programs.
 * No thread, no clock, no heap: see daemon/decide.h. */
#include "decide.h"

static const struct look looks[] = {
    /* idle clock and heartbeat */
    {"fresh heap", .s = {RUNNING}, .look_in = 100000},
    {"idle clock almost over", .still = 250000, .s = {RUNNING}, .look_in = 50000},
    {"idle, nothing to do: no wakeup", IDLE, .s = {RUNNING}, .look_in = MID_NEVER},
    {"idle, nobody attached", IDLE, .s = {0}, .look_in = MID_NEVER},
    {"allocation restarts the idle clock", IDLE, .allocates = true, .s = {RUNNING}, .look_in = 100000},
    {"heartbeat bounds the wait", "heartbeat=10ms", .s = {RUNNING}, .look_in = 10000},
    {"idle clock of its own length", "idle=20ms", .still = 5000, .step = 5000, .s = {RUNNING}, .look_in = 10000},

    /* what waits */
    {"waiting, below start", .s = {RUNNING, .waiting_objects = 19999}, .look_in = 100000},
    {"waiting, at start, running", .s = {RUNNING, .waiting_objects = 20000}, .action = MID_ACT_DRAIN, .why = MID_WHY_WAITING,
     .value = 20000, .threshold = 20000, .budget = 500},
    {"waiting, at start, blocked", "slice=200us", .s = {BLOCKED, .waiting_objects = 20000}, .action = MID_ACT_DRAIN,
     .why = MID_WHY_WAITING, .value = 20000, .threshold = 1, .budget = 200},
    {"waiting, blocked: any number", .s = {BLOCKED, .waiting_objects = 1}, .action = MID_ACT_DRAIN, .why = MID_WHY_WAITING,
     .value = 1, .threshold = 1, .budget = 500},
    {"waiting, nobody attached: any number", .s = {.waiting_objects = 1}, .action = MID_ACT_DRAIN, .why = MID_WHY_WAITING,
     .value = 1, .threshold = 1, .budget = 500},
    {"waiting, blocked, the rest needs the mutator", .p = {.dry = 7}, .s = {BLOCKED, .waiting_objects = 7}, .look_in = 100000},
    {"draining, above stop", .p = {.draining = true}, .s = {RUNNING, .waiting_objects = 1001}, .action = MID_ACT_DRAIN,
     .why = MID_WHY_WAITING, .value = 1001, .threshold = 1001, .budget = 500},
    {"draining, at stop", .p = {.draining = true}, .s = {RUNNING, .waiting_objects = 1000}, .look_in = 100000},
    {"waiting-stop above waiting-start", "waiting-start=10,waiting-stop=50", .p = {.draining = true},
     .s = {RUNNING, .waiting_objects = 10}, .action = MID_ACT_DRAIN, .why = MID_WHY_WAITING, .value = 10, .threshold = 10,
     .budget = 500},
    {"idle drains the last one", IDLE, .s = {RUNNING, .waiting_objects = 1}, .action = MID_ACT_DRAIN, .why = MID_WHY_IDLE,
     .value = 300000, .threshold = 300000, .budget = 500},
    {"idle, the rest needs the mutator", IDLE, .p = {.dry = 5}, .s = {RUNNING, .waiting_objects = 5}, .look_in = MID_NEVER},
    {"more came after the rest that needs the mutator", IDLE, .p = {.dry = 5}, .s = {RUNNING, .waiting_objects = 6},
     .action = MID_ACT_DRAIN, .why = MID_WHY_IDLE, .value = 300000, .threshold = 300000, .budget = 500},
    {"not worked off for long, running: any number", .p = {.waits = true, .waits_at = T - 300000},
     .s = {RUNNING, .waiting_objects = 1, .unfinished = true}, .action = MID_ACT_DRAIN, .why = MID_WHY_WAITING, .value = 1,
     .threshold = 1, .budget = 500},
    {"not worked off, but not for long", .p = {.waits = true, .waits_at = T - 250000},
     .s = {RUNNING, .waiting_objects = 1, .unfinished = true}, .look_in = 50000},
    {"worked off since, and more was dropped", .p = {.waits = true, .waits_at = T - 300000},
     .s = {RUNNING, .waiting_objects = 1}, .look_in = 100000},
    {"not worked off for long: what needs the mutator", .p = {.waits = true, .waits_at = T - 300000, .dry = 1},
     .s = {RUNNING, .waiting_objects = 1, .unfinished = true}, .look_in = 100000},
    {"not worked off for long: the drain rests", .p = {.waits = true, .waits_at = T - 300000, .work_at = T, .work_took = 500},
     .s = {RUNNING, .waiting_objects = 1, .unfinished = true}, .look_in = 1500},
    {"drain rests, running", .p = {.work_at = T, .work_took = 500}, .s = {RUNNING, .waiting_objects = 30000},
     .look_in = 1500},
    {"drain rests, blocked", .p = {.work_at = T, .work_took = 500}, .s = {BLOCKED, .waiting_objects = 30000}, .look_in = 500},
    {"drain rested, blocked", .step = 500, .p = {.work_at = T, .work_took = 500}, .s = {BLOCKED, .waiting_objects = 30000},
     .action = MID_ACT_DRAIN, .why = MID_WHY_WAITING, .value = 30000, .threshold = 1, .budget = 500},
    {"drain rests after compaction too", .step = 100, .p = {.compact_at = T, .compact_took = 500},
     .s = {RUNNING, .waiting_objects = 30000}, .look_in = 1400},

    /* growth */
    {"growth below the least", "growth-min=16M", .s = {BLOCKED, .live_slot_bytes = MB(16) - 1}, .look_in = 100000},
    {"growth at the least", "growth-min=16M", .s = {BLOCKED, .live_slot_bytes = MB(16)}, .action = MID_ACT_COLLECT,
     .why = MID_WHY_GROWTH, .value = MB(16), .threshold = MB(16)},
    {"growth at the least, nobody attached", .s = {.live_slot_bytes = MB(1)}, .action = MID_ACT_COLLECT, .why = MID_WHY_GROWTH,
     .value = MB(1), .threshold = MB(1)},
    {"growth in large blocks", "growth-min=16M",
     .s = {BLOCKED, .live_slot_bytes = MB(4), .large_bytes = MB(13), .live_at_collection = MB(1)}, .action = MID_ACT_COLLECT,
     .why = MID_WHY_GROWTH, .value = MB(16), .threshold = MB(16)},
    {"growth below its part", .s = {BLOCKED, .live_slot_bytes = MB(175) - 1, .live_at_collection = MB(100)}, .look_in = 100000},
    {"growth at its part", .s = {BLOCKED, .live_slot_bytes = MB(175), .live_at_collection = MB(100)}, .action = MID_ACT_COLLECT,
     .why = MID_WHY_GROWTH, .value = MB(75), .threshold = MB(75)},
    {"growth, backed off", .p = {.backoff = 4}, .s = {BLOCKED, .live_slot_bytes = MB(399), .live_at_collection = MB(100)},
     .look_in = 100000},
    {"growth beyond the backoff", .p = {.backoff = 4}, .s = {BLOCKED, .live_slot_bytes = MB(400), .live_at_collection = MB(100)},
     .action = MID_ACT_COLLECT, .why = MID_WHY_GROWTH, .value = MB(300), .threshold = MB(300)},
    {"a running program collects by itself", .s = {RUNNING, .live_slot_bytes = MB(175), .live_at_collection = MB(100)},
     .look_in = 100000},
    {"... and is almost overdue", .s = {RUNNING, .live_slot_bytes = MB(250) - 1, .live_at_collection = MB(100)},
     .look_in = 100000},
    {"overdue: it comes to no safepoint", .s = {RUNNING, .live_slot_bytes = MB(250), .live_at_collection = MB(100)},
     .action = MID_ACT_COLLECT, .why = MID_WHY_GROWTH, .value = MB(150), .threshold = MB(150)},
    {"almost overdue, backed off", .p = {.backoff = 8}, .s = {RUNNING, .live_slot_bytes = MB(1300) - 1,
     .live_at_collection = MB(100)}, .look_in = 100000},
    {"overdue, backed off", .p = {.backoff = 8}, .s = {RUNNING, .live_slot_bytes = MB(1300), .live_at_collection = MB(100)},
     .action = MID_ACT_COLLECT, .why = MID_WHY_GROWTH, .value = MB(1200), .threshold = MB(1200)},
    {"idle before it is overdue", IDLE, .s = {RUNNING, .live_slot_bytes = MB(250) - 1, .live_at_collection = MB(100)},
     .action = MID_ACT_COLLECT, .why = MID_WHY_IDLE, .value = 300000, .threshold = 300000},
    {"shrunk heap", .s = {RUNNING, .live_slot_bytes = MB(1), .live_at_collection = MB(100)}, .look_in = 100000},
    {"growth after a failed collection counts from there", "growth-min=16M", .p = {.refused_at = MB(40)},
     .s = {BLOCKED, .live_slot_bytes = MB(56) - 1}, .look_in = 100000},
    {"idle, grown by a mebibyte", "growth-min=16M", IDLE, .s = {BLOCKED, .live_slot_bytes = MB(1)}, .look_in = MID_NEVER},
    {"idle, grown by more", "growth-min=16M", IDLE, .s = {BLOCKED, .live_slot_bytes = MB(1) + 1}, .action = MID_ACT_COLLECT,
     .why = MID_WHY_IDLE, .value = 300000, .threshold = 300000},
    {"idle, grown by a sixteenth", IDLE, .s = {BLOCKED, .live_slot_bytes = MB(170), .live_at_collection = MB(160)},
     .look_in = MID_NEVER},
    {"idle, grown by more than a sixteenth", IDLE, .s = {BLOCKED, .live_slot_bytes = MB(170) + 1, .live_at_collection = MB(160)},
     .action = MID_ACT_COLLECT, .why = MID_WHY_IDLE, .value = 300000, .threshold = 300000},
    {"idle, grown again by a sixteenth", IDLE, .p = {.low = MB(40), .low_since = MB(160)},
     .s = {BLOCKED, .live_slot_bytes = MB(50), .live_at_collection = MB(160)}, .look_in = MID_NEVER},
    {"idle, shrunk and grown again by more", IDLE, .p = {.low = MB(40), .low_since = MB(160)},
     .s = {BLOCKED, .live_slot_bytes = MB(50) + 1, .live_at_collection = MB(160)}, .action = MID_ACT_COLLECT,
     .why = MID_WHY_IDLE, .value = 300000, .threshold = 300000},
    {"idle, shrunk, but collected since", IDLE, .p = {.low = MB(40), .low_since = MB(150)},
     .s = {BLOCKED, .live_slot_bytes = MB(165), .live_at_collection = MB(160)}, .look_in = MID_NEVER},
    {"shrunk and grown again, not idle", .p = {.low = MB(1), .low_since = MB(160)},
     .s = {BLOCKED, .live_slot_bytes = MB(160), .live_at_collection = MB(160)}, .look_in = 100000},
    {"no growth is no growth", "growth-min=0", .s = {RUNNING}, .look_in = 100000},
    {"growth threshold out of range", "growth=10000%", .p = {.backoff = 8},
     .s = {RUNNING, .live_slot_bytes = UINT64_MAX, .live_at_collection = UINT64_MAX - MB(900), .pool_bytes = UINT64_MAX},
     .look_in = 100000},

    /* fragmentation */
    {"fragmented, below start", .s = {RUNNING, FRAGMENTED(109)}, .look_in = 100000},
    {"fragmented, at start", .s = {RUNNING, FRAGMENTED(110)}, .action = MID_ACT_COMPACT, .why = MID_WHY_FRAGMENTATION,
     .value = 110, .threshold = 110, .budget = 500},
    {"fragmented, too few bytes", .s = {RUNNING, .live_slot_bytes = MB(1), .pool_bytes = MB(2) - 1, .gain_bytes = KB(64)},
     .look_in = 100000},
    {"fragmented, enough bytes", .s = {RUNNING, .live_slot_bytes = MB(1), .pool_bytes = MB(2), .gain_bytes = KB(64)},
     .action = MID_ACT_COMPACT, .why = MID_WHY_FRAGMENTATION, .value = 200, .threshold = 110, .budget = 500},
    {"fragmented, less than 2 % of live", "frag-start=101",
     .s = {RUNNING, .live_slot_bytes = MB(1000), .live_at_collection = MB(1000), .pool_bytes = MB(1015), .gain_bytes = MB(9)},
     .look_in = 100000},
    {"fragmented, nothing to gain", .s = {RUNNING, .live_slot_bytes = MB(1), .pool_bytes = MB(9)}, .look_in = 100000},
    {"compacting, above stop", .p = {.compacting = true}, .s = {RUNNING, FRAGMENTED(106)}, .action = MID_ACT_COMPACT,
     .why = MID_WHY_FRAGMENTATION, .value = 106, .threshold = 105, .budget = 500},
    {"compacting, at stop", .p = {.compacting = true}, .s = {RUNNING, FRAGMENTED(105)}, .look_in = 100000},
    {"compacting, nothing to gain", .p = {.compacting = true}, .s = {RUNNING, .live_slot_bytes = MB(1), .pool_bytes = MB(9)},
     .look_in = 100000},
    {"frag-stop above frag-start", "frag-start=110,frag-stop=150", .p = {.compacting = true}, .s = {RUNNING, FRAGMENTED(110)},
     .action = MID_ACT_COMPACT, .why = MID_WHY_FRAGMENTATION, .value = 110, .threshold = 109, .budget = 500},
    {"cooling, figures as they were", .p = {.cooling = true, .cool_live = MB(96), .cool_pool = MB(199)},
     .s = {RUNNING, FRAGMENTED(200)}, .look_in = 100000},
    {"cooling is over: live changed", .p = {.cooling = true, .cool_live = MB(95), .cool_pool = MB(200)},
     .s = {RUNNING, FRAGMENTED(200)}, .action = MID_ACT_COMPACT, .why = MID_WHY_FRAGMENTATION, .value = 200, .threshold = 110,
     .budget = 500},
    {"cooling is over: pools changed", .p = {.cooling = true, .cool_live = MB(100), .cool_pool = MB(220)},
     .s = {RUNNING, FRAGMENTED(200)}, .action = MID_ACT_COMPACT, .why = MID_WHY_FRAGMENTATION, .value = 200, .threshold = 110,
     .budget = 500},
    {"little waste: 1 %", .p = {.compact_at = T, .compact_took = 500}, .s = {RUNNING, FRAGMENTED(110)}, .look_in = 49500},
    {"all waste: the share", .p = {.compact_at = T, .compact_took = 500}, .s = {RUNNING, FRAGMENTED(200)}, .look_in = 1500},
    {"half waste: between them", .p = {.compact_at = T, .compact_took = 500}, .s = {RUNNING, FRAGMENTED(155)}, .look_in = 3347},
    {"more waste than all: the share", "share=50", .p = {.compact_at = T, .compact_took = 500}, .s = {RUNNING, FRAGMENTED(900)},
     .look_in = 500},
    {"a whole processor", "share=100", .p = {.compact_at = T, .compact_took = 500}, .s = {RUNNING, FRAGMENTED(200)},
     .action = MID_ACT_COMPACT, .why = MID_WHY_FRAGMENTATION, .value = 200, .threshold = 110, .budget = 500},
    {"blocked: every other moment", .p = {.compact_at = T, .compact_took = 500}, .s = {BLOCKED, FRAGMENTED(110)}, .look_in = 500},
    {"idle: every other moment", IDLE, .p = {.compact_at = T, .compact_took = 500}, .s = {RUNNING, FRAGMENTED(110)},
     .look_in = 500},
    {"a rest longer than the heartbeat", .p = {.compact_at = T, .compact_took = 2000}, .s = {RUNNING, FRAGMENTED(110)},
     .look_in = 100000},
    {"a rest out of range", .p = {.compact_at = T, .compact_took = UINT64_MAX}, .s = {RUNNING, FRAGMENTED(110)},
     .look_in = 100000},
    {"shrunk budget", .p = {.slice = 300}, .s = {BLOCKED, FRAGMENTED(150)}, .action = MID_ACT_COMPACT,
     .why = MID_WHY_FRAGMENTATION, .value = 150, .threshold = 110, .budget = 300},
    {"pools without live bytes", .s = {RUNNING, .pool_bytes = MB(2), .gain_bytes = MB(2)}, .action = MID_ACT_COMPACT,
     .why = MID_WHY_FRAGMENTATION, .value = 1000000, .threshold = 110, .budget = 500},

    /* empty pools */
    {"empty pools up to the reserve", .s = {RUNNING, .empty_bytes = MB(1)}, .look_in = 100000},
    {"decay begins", "idle=3600s,heartbeat=60s", .s = {RUNNING, .empty_bytes = MB(3)}, .look_in = 10000000},
    {"decay goes on", "idle=3600s,heartbeat=60s", .p = {.excess = true, .excess_at = T - 9000000},
     .s = {RUNNING, .empty_bytes = MB(3)}, .look_in = 1000000},
    {"decay is over", .p = {.excess = true, .excess_at = T - 10000000}, .s = {RUNNING, .empty_bytes = MB(3)},
     .action = MID_ACT_TRIM, .why = MID_WHY_DECAY, .value = MB(3), .threshold = MB(1), .budget = 500, .keep = MB(1)},
    {"decay keeps a tenth of the pools", .p = {.excess = true, .excess_at = T - 10000000},
     .s = {RUNNING, .live_slot_bytes = MB(200), .live_at_collection = MB(200), .pool_bytes = MB(200), .empty_bytes = MB(21)},
     .action = MID_ACT_TRIM, .why = MID_WHY_DECAY, .value = MB(21), .threshold = MB(20), .budget = 500, .keep = MB(20)},
    {"decay was interrupted", .p = {.excess = true, .excess_at = T - 10000000}, .s = {RUNNING, .empty_bytes = MB(1)},
     .look_in = 100000},
    {"trim rests", .p = {.excess = true, .excess_at = T - 10000000, .work_at = T, .work_took = 500},
     .s = {RUNNING, .empty_bytes = MB(3)}, .look_in = 1500},
    {"idle trims at once, to the reserve", IDLE,
     .s = {RUNNING, .live_slot_bytes = MB(200), .live_at_collection = MB(200), .pool_bytes = MB(200), .empty_bytes = MB(2)},
     .action = MID_ACT_TRIM, .why = MID_WHY_IDLE, .value = 300000, .threshold = 300000, .budget = 500, .keep = MB(1)},
    {"idle, but pools are evacuated: what stands beside them comes free", IDLE,
     .p = {.compacting = true, .compact_at = T, .compact_took = 500}, .s = {RUNNING, FRAGMENTED(200), .empty_bytes = MB(9)},
     .look_in = 500},
    {"pools are evacuated at leisure, and memory is short", .p = {.compacting = true, .compact_at = T - 600, .compact_took = 500,
     .strain = {.level = MID_PRESSURE_TRIM, .why = MID_WHY_STALLS}}, .s = {RUNNING, FRAGMENTED(110), .empty_bytes = MB(9)},
     .action = MID_ACT_TRIM, .why = MID_WHY_STALLS, .value = MID_PRESSURE_TRIM, .threshold = MID_PRESSURE_TRIM, .budget = 500,
     .keep = MB(1)},
    {"idle, no reserve", "reserve=0", IDLE, .s = {0, .empty_bytes = KB(64)}, .action = MID_ACT_TRIM, .why = MID_WHY_IDLE,
     .value = 300000, .threshold = 300000, .budget = 500},
    {"idle, the rest cannot be returned", IDLE, .p = {.stuck = MB(3)}, .s = {RUNNING, .empty_bytes = MB(3)},
     .look_in = MID_NEVER},

    /* precedence */
    {"drain first", IDLE, .s = {BLOCKED, .waiting_objects = 9, .live_slot_bytes = MB(90), .pool_bytes = MB(190),
     .gain_bytes = MB(9), .empty_bytes = MB(9)}, .action = MID_ACT_DRAIN, .why = MID_WHY_WAITING, .value = 9, .threshold = 1,
     .budget = 500},
    {"then collect", IDLE, .s = {BLOCKED, .live_slot_bytes = MB(90), .pool_bytes = MB(190), .gain_bytes = MB(9),
     .empty_bytes = MB(9)}, .action = MID_ACT_COLLECT, .why = MID_WHY_GROWTH, .value = MB(90), .threshold = MB(1)},
    {"then compact", IDLE, .s = {BLOCKED, FRAGMENTED(190), .empty_bytes = MB(9)}, .action = MID_ACT_COMPACT,
     .why = MID_WHY_FRAGMENTATION, .value = 190, .threshold = 110, .budget = 500},
    {"a drain at rest does not hold up a collection", .p = {.work_at = T, .work_took = 500},
     .s = {RUNNING, .waiting_objects = 30000, .live_slot_bytes = MB(20)}, .action = MID_ACT_COLLECT, .why = MID_WHY_GROWTH,
     .value = MB(20), .threshold = MB(2)},

    /* the clock */
    {"clock goes back", .still = 200000, .step = (uint64_t)-1000000, .s = {RUNNING}, .look_in = 100000},
    {"clock goes back to nothing, at rest", .step = -T, .p = {.work_at = T, .work_took = 500},
     .s = {RUNNING, .waiting_objects = 30000}, .look_in = 1500},
    {"clock jumps ahead", .step = UINT64_MAX - T, .s = {RUNNING}, .look_in = MID_NEVER},
    {"clock stands", .still = 299999, .s = {RUNNING}, .look_in = 1},
};

TEST(table_of_looks)
{
    check_looks(looks, COUNT(looks));
    assert_true(COUNT(looks) >= 30);
}

/* --- what outcomes change ------------------------------------------------------------------------------------------ */

static void finish_collect(mid_pacer *pacer, mid_trigger why, mid_status status, uint64_t growth, uint64_t freed)
{
    mid_snapshot before = {.live_slot_bytes = MB(100) + growth, .live_at_collection = MB(100)};
    mid_snapshot after = {.live_slot_bytes = before.live_slot_bytes - freed};
    after.live_at_collection = status == MID_OK ? after.live_slot_bytes : before.live_at_collection;
    uint64_t look_in = finish(pacer, MID_ACT_COLLECT, why,
                              (mid_outcome){.stopped = true, .status = status, .before = before, .after = after});
    assert_int_equal(look_in, 0);
}

TEST(collections_that_free_little_back_off)
{
    static const struct {
        uint64_t freed; /* of 100 MiB of growth */
        mid_trigger why;
        uint64_t backoff;
    } steps[] = {
        {0, MID_WHY_GROWTH, 2},      {MB(10) - 1, MID_WHY_GROWTH, 4}, {MB(9), MID_WHY_IDLE, 4}, {MB(10), MID_WHY_GROWTH, 4},
        {MB(9), MID_WHY_GROWTH, 8},  {MB(0), MID_WHY_GROWTH, 8},      {MB(50) - 1, MID_WHY_GROWTH, 8},
        {MB(50), MID_WHY_GROWTH, 1}, {MB(2), MID_WHY_GROWTH, 2},      {MB(90), MID_WHY_IDLE, 1},
    };
    mid_pacer pacer = fresh();
    for (size_t i = 0; i < COUNT(steps); i++) {
        finish_collect(&pacer, steps[i].why, MID_OK, MB(100), steps[i].freed);
        assert_int_equal(pacer.backoff, steps[i].backoff);
        assert_int_equal(pacer.refused_at, 0);
    }
}

TEST(collections_beside_a_running_program)
{
    /* `before` and `after` are not of one moment: the program may have allocated or freed in between. */
    mid_pacer pacer = fresh();
    mid_outcome out = {.stopped = true, .status = MID_OK, .before = {.live_slot_bytes = MB(120), .live_at_collection = MB(100)}};
    out.after = (mid_snapshot){.live_slot_bytes = MB(121), .live_at_collection = MB(119)};
    finish(&pacer, MID_ACT_COLLECT, MID_WHY_GROWTH, out);
    assert_true(pacer.backoff == 2 && pacer.refused_at == 0);
    out.after = (mid_snapshot){.live_slot_bytes = MB(101), .live_at_collection = MB(102)};
    finish(&pacer, MID_ACT_COLLECT, MID_WHY_GROWTH, out);
    assert_true(pacer.backoff == 1 && pacer.refused_at == 0);
}

TEST(failed_collection_is_not_repeated_at_once)
{
    mid_pacer pacer = fresh();
    mid_options options = options_of(NULL);
    mid_snapshot s = {BLOCKED, .live_slot_bytes = MB(200), .live_at_collection = MB(100)};
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_COLLECT);
    finish_collect(&pacer, MID_WHY_GROWTH, MID_ELIMIT, MB(100), 0);
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_NONE);
    s.live_slot_bytes = MB(275);
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_COLLECT);
    finish_collect(&pacer, MID_WHY_GROWTH, MID_OK, MB(175), MB(100));
    assert_int_equal(pacer.refused_at, 0);
    /* One that says it succeeded and changed nothing is not repeated either. */
    mid_outcome idle_talk = {.stopped = true, .status = MID_OK, .before = s, .after = s};
    finish(&pacer, MID_ACT_COLLECT, MID_WHY_GROWTH, idle_talk);
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_NONE);
}

static void finish_compact(mid_pacer *pacer, mid_status status, uint64_t emptied)
{
    mid_snapshot s = {RUNNING, FRAGMENTED(200)};
    finish(pacer, MID_ACT_COMPACT, MID_WHY_FRAGMENTATION,
           (mid_outcome){.stopped = true, .status = status, .took = 500, .done = 9, .pools_emptied = emptied, .before = s,
                         .after = s});
}

TEST(slices_that_empty_no_pool_shrink)
{
    mid_pacer pacer = fresh();
    static const uint64_t budgets[] = {450, 405, 364, 327, 294, 264, 237, 213, 191, 171, 153, 137, 123, 110, 99, 89, 80, 72, 64,
                                       57, 51, 50, 50};
    for (size_t i = 0; i < COUNT(budgets); i++) {
        finish_compact(&pacer, MID_MORE, 0);
        assert_int_equal(pacer.slice, budgets[i]);
        assert_true(pacer.compacting);
    }
    finish_compact(&pacer, MID_MORE, 1);
    assert_int_equal(pacer.slice, 0);
}

TEST(slices_that_return_pools_do_not_shrink)
{
    mid_pacer pacer = fresh();
    mid_outcome out = {.stopped = true, .status = MID_MORE, .took = 500, .before.empty_bytes = MB(9), .after.empty_bytes = MB(8)};
    finish_compact(&pacer, MID_MORE, 0);
    for (int i = 0; i < 100; i++) {
        finish(&pacer, MID_ACT_COMPACT, MID_WHY_FRAGMENTATION, out);
        assert_int_equal(pacer.slice, 0);
        assert_true(pacer.compacting && !pacer.cooling);
    }
    out.after.empty_bytes = MB(9);
    finish(&pacer, MID_ACT_COMPACT, MID_WHY_FRAGMENTATION, out);
    assert_int_equal(pacer.slice, 450);
}

TEST(pass_that_empties_no_pool_cools)
{
    mid_pacer pacer = fresh();
    finish_compact(&pacer, MID_MORE, 1);
    finish_compact(&pacer, MID_OK, 0);
    assert_true(pacer.compacting && !pacer.cooling); /* it did empty one */
    finish_compact(&pacer, MID_MORE, 0);
    finish_compact(&pacer, MID_OK, 0);
    assert_true(!pacer.compacting && pacer.cooling);
    pacer = fresh();
    finish_compact(&pacer, MID_ENOMEM, 1);
    assert_true(!pacer.compacting && pacer.cooling);
    /* A pass that never ends and never empties a pool is given up. */
    pacer = fresh();
    for (unsigned i = 0; i < 63; i++)
        finish_compact(&pacer, MID_MORE, 0);
    assert_true(pacer.compacting && !pacer.cooling);
    finish_compact(&pacer, MID_MORE, 0);
    assert_true(!pacer.compacting && pacer.cooling);
}

TEST(refused_stops_are_retried_ever_later)
{
    mid_pacer pacer = fresh();
    mid_options options = options_of(NULL);
    mid_outcome refused = {.status = MID_EPOSTPONED};
    mid_snapshot s = {RUNNING, .live_slot_bytes = MB(200)};
    for (uint64_t i = 0; i < 10; i++) {
        mid_work_plan plan = mid_decide(&pacer, &s, &options, T);
        assert_int_equal(plan.action, MID_ACT_COLLECT);
        assert_int_equal(plan.stop_wait, i == 0 ? 2000 : 100);
        assert_int_equal(finish(&pacer, MID_ACT_COLLECT, MID_WHY_GROWTH, refused), options.heartbeat << (i < 6 ? i : 6));
    }
    finish_collect(&pacer, MID_WHY_GROWTH, MID_OK, MB(100), MB(90));
    assert_int_equal(finish(&pacer, MID_ACT_DRAIN, MID_WHY_IDLE, refused), options.heartbeat);
    assert_int_equal(finish(&pacer, MID_ACT_DRAIN, MID_WHY_IDLE, refused), 2 * options.heartbeat);
    /* One that has collected by itself has come to a safepoint. */
    mid_own_collections own = {.times = 1, .freed = 1, .live_before = MB(200), .live_after = MB(100)};
    mid_decide_collected(&pacer, &own, &options);
    assert_int_equal(mid_decide(&pacer, &s, &options, T).stop_wait, 2000);
    assert_int_equal(finish(&pacer, MID_ACT_DRAIN, MID_WHY_IDLE, refused), options.heartbeat);
}

/* --- collections of a running program's own ------------------------------------------------------------------------- */

TEST(growth_of_a_running_program)
{
    static const struct {
        const char *options;
        uint64_t backoff;
        mid_growth growth;
    } rows[] = {
        {NULL, 1, {MB(1), 75}},
        {"growth-min=16M,growth=200%", 1, {MB(16), 200}},
        {"growth-min=16M", 4, {MB(64), 300}},
        {"growth-min=0", 1, {1, 75}}, /* no growth is no growth */
        {"growth-min=0,growth=10000%", 8, {8, 80000}},
        {"growth-min=18446744073709551615", 8, {UINT64_MAX, 600}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        mid_options options = options_of(rows[i].options);
        options.collect_stop = 60000000;
        mid_pacer pacer = fresh();
        pacer.backoff = rows[i].backoff;
        mid_growth growth = mid_collect_growth(&pacer, &options);
        assert_int_equal(growth.least, rows[i].growth.least);
        assert_int_equal(growth.percent, rows[i].growth.percent);
    }
}

static mid_work_plan own_collection(mid_pacer *pacer, mid_status status, uint64_t growth, uint64_t freed)
{
    mid_options options = options_of(NULL);
    mid_own_collections own = {.times = 1, .live_at_collection = MB(100), .live_before = MB(100) + growth, .status = status};
    own.live_after = own.live_before - freed;
    return mid_decide_collected(pacer, &own, &options);
}

TEST(own_collections_back_off)
{
    static const struct {
        uint64_t growth, freed;
        uint64_t threshold, backoff; /* before it, after it */
    } steps[] = {
        {MB(100), MB(10), MB(75), 1},       {MB(100), MB(10) - 1, MB(75), 2},   {MB(200), 0, MB(150), 4},
        {MB(400), MB(100), MB(300), 4},     {MB(400), 0, MB(300), 8},           {MB(900), MB(89), MB(600), 8},
        {MB(800), MB(400) - 1, MB(600), 8}, {MB(800), MB(400), MB(600), 1},     {MB(80), MB(150), MB(75), 1},
    };
    mid_pacer pacer = fresh();
    for (size_t i = 0; i < COUNT(steps); i++) {
        mid_work_plan plan = own_collection(&pacer, MID_OK, steps[i].growth, steps[i].freed);
        assert_true(plan.action == MID_ACT_COLLECT && plan.trigger == MID_WHY_GROWTH);
        assert_int_equal(plan.value, steps[i].growth);
        assert_int_equal(plan.threshold, steps[i].threshold);
        assert_int_equal(pacer.backoff, steps[i].backoff);
        assert_int_equal(pacer.refused_at, 0);
    }
}

TEST(own_collection_that_fails_counts_from_there)
{
    mid_pacer pacer = fresh();
    mid_options options = options_of(NULL);
    own_collection(&pacer, MID_ENOMEM, MB(100), 0);
    assert_true(pacer.backoff == 1 && pacer.refused_at == MB(200));
    mid_snapshot s = {RUNNING, .live_slot_bytes = MB(200), .live_at_collection = MB(100)};
    s.live_slot_bytes = MB(350) - 1;
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_NONE);
    s.live_slot_bytes = MB(350);
    assert_int_equal(mid_decide(&pacer, &s, &options, T).action, MID_ACT_COLLECT);
    own_collection(&pacer, MID_OK, MB(100), MB(90));
    assert_int_equal(pacer.refused_at, 0);
}

TEST(drain_and_trim_remember_what_they_cannot_do)
{
    mid_pacer pacer = fresh();
    mid_snapshot s = {RUNNING, .waiting_objects = 40, .empty_bytes = MB(7)};
    mid_outcome more = {.stopped = true, .status = MID_MORE, .done = 100, .before = s, .after = s};
    mid_outcome nothing = {.stopped = true, .status = MID_MORE, .before = s, .after = s};
    mid_outcome end = {.stopped = true, .status = MID_OK, .before = s, .after = s};
    finish(&pacer, MID_ACT_DRAIN, MID_WHY_WAITING, more);
    assert_true(pacer.draining && pacer.dry == 0);
    finish(&pacer, MID_ACT_DRAIN, MID_WHY_WAITING, nothing);
    assert_int_equal(pacer.dry, 40);
    pacer = fresh();
    finish(&pacer, MID_ACT_DRAIN, MID_WHY_IDLE, end);
    assert_true(!pacer.draining && pacer.dry == 40);
    finish(&pacer, MID_ACT_TRIM, MID_WHY_IDLE, more);
    assert_int_equal(pacer.stuck, 0);
    finish(&pacer, MID_ACT_TRIM, MID_WHY_IDLE, end);
    assert_int_equal(pacer.stuck, MB(7));
    end.after.empty_bytes = MB(1); /* as much as was to be kept */
    finish(&pacer, MID_ACT_TRIM, MID_WHY_IDLE, end);
    assert_int_equal(pacer.stuck, 0);
}

/* --- simulated programs -------------------------------------------------------------------------------------------- */

/* A heap as figures, and a loop around the decisions whose clock is a number. */
struct sim {
    mid_options o;
    mid_pacer p;
    mid_snapshot s;
    uint64_t now, seed;
    uint64_t used;             /* micros spent in slices of drain, compaction and trim */
    uint64_t slices, collects, starts; /* starts: compactions that began */
    bool useless;              /* actions change nothing, whatever they say */
};

static struct sim sim_open(const char *options, uint64_t seed)
{
    struct sim sim = {.o = options_of(options), .now = T, .seed = seed};
    sim.s.mutator = MID_MUTATOR_RUNNING;
    mid_pacer_init(&sim.p, &sim.s, sim.now);
    return sim;
}

static uint64_t below(struct sim *sim, uint64_t limit)
{
    return unit_random(&sim->seed) % limit;
}

static uint64_t take(uint64_t *from, uint64_t amount)
{
    amount = amount < *from ? amount : *from;
    *from -= amount;
    return amount;
}

/* What a heap would do in one slice: 20 objects, or 2 KiB of evacuation, or one pool's trim a microsecond. */
static mid_status sim_act(struct sim *sim, const mid_work_plan *plan, mid_outcome *out)
{
    mid_snapshot *s = &sim->s;
    if (sim->useless) {
        out->done = below(sim, 2);
        return below(sim, 2) ? MID_OK : MID_MORE;
    }
    switch (plan->action) {
    case MID_ACT_DRAIN:
        out->done = take(&s->waiting_objects, 20 * out->took);
        return s->waiting_objects == 0 ? MID_OK : MID_MORE;
    case MID_ACT_COLLECT:
        s->live_slot_bytes -= s->live_slot_bytes / 8;
        s->live_at_collection = s->live_slot_bytes;
        return MID_OK;
    case MID_ACT_COMPACT:
        out->done = take(&s->gain_bytes, KB(2) * out->took / KB(64) * KB(64));
        out->pools_emptied = out->done / KB(64);
        s->pool_bytes -= out->done;
        s->empty_bytes += out->done;
        return s->gain_bytes == 0 ? MID_OK : MID_MORE;
    default:
        out->done = s->empty_bytes > plan->keep ? take(&s->empty_bytes, KB(64) * (out->took / 6 + 1)) : 0;
        return s->empty_bytes <= plan->keep ? MID_OK : MID_MORE;
    }
}

/* One look; returns when to look again. A slice overruns its budget by up to a tenth. */
static uint64_t sim_look(struct sim *sim)
{
    bool was_compacting = sim->p.compacting;
    mid_work_plan plan = mid_decide(&sim->p, &sim->s, &sim->o, sim->now);
    if (plan.action == MID_ACT_NONE) {
        assert_true(plan.look_in > 0);
        assert_true(plan.look_in == MID_NEVER || plan.look_in <= sim->o.heartbeat);
        return plan.look_in;
    }
    mid_outcome out = {.stopped = true, .before = sim->s};
    out.took = plan.budget + below(sim, plan.budget / 10 + 1);
    out.status = sim_act(sim, &plan, &out);
    out.after = sim->s;
    sim->now += out.took;
    if (plan.action == MID_ACT_COLLECT) {
        sim->collects++;
    } else {
        sim->used += out.took;
        sim->slices++;
        assert_true(plan.budget >= 50 && plan.budget <= sim->o.slice);
    }
    if (plan.action == MID_ACT_COMPACT && !was_compacting)
        sim->starts++;
    mid_decide_done(&sim->p, &plan, &out, &sim->o, sim->now);
    return 0;
}

/* Let `micros` pass for a loop that looks when it asked to and at every kick. */
static void sim_run(struct sim *sim, uint64_t micros)
{
    uint64_t end = sim->now + micros;
    while (sim->now < end) {
        uint64_t wait = sim_look(sim);
        sim->now = wait < end - sim->now ? sim->now + wait : end;
    }
}

/* A program that allocates, fragments and frees at random for `micros` of running. */
static void sim_program(struct sim *sim, uint64_t micros)
{
    mid_snapshot *s = &sim->s;
    s->allocated_bytes += below(sim, MB(2)) + 1;
    s->live_slot_bytes += below(sim, MB(2));
    take(&s->live_slot_bytes, below(sim, MB(2)));
    s->waiting_objects += below(sim, 8) == 0 ? below(sim, 60000) : 0;
    s->unfinished = below(sim, 2) == 0;
    s->gain_bytes = below(sim, 1024) * KB(64);
    s->pool_bytes = s->live_slot_bytes + s->gain_bytes + below(sim, MB(1));
    s->empty_bytes = below(sim, 16) * MB(1);
    sim_run(sim, micros);
}

TEST(running_program_loses_no_more_than_the_share)
{
    static const char *const settings[] = {"", "share=1", "share=50,slice=100us", "share=5,slice=20ms,decay=0us",
                                           "share=25,waiting-start=100,waiting-stop=0"};
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct sim sim = sim_open(settings[i], i + 1);
        for (unsigned round = 0; round < 4000; round++) {
            sim_program(&sim, 1 + below(&sim, 5000));
            uint64_t fair = (sim.now - T) * sim.o.share / 100;
            assert_in_range(sim.used, 0, fair + sim.o.slice * 11 / 10);
        }
        assert_true(sim.slices > 15); /* it was not by doing nothing */
    }
}

TEST(constant_load_does_not_oscillate)
{
    struct sim sim = sim_open("", 7);
    sim.s = (mid_snapshot){RUNNING, FRAGMENTED(107)};
    for (unsigned round = 0; round < 2000; round++) {
        sim.s.allocated_bytes += KB(100);
        sim.s.live_slot_bytes = MB(100) + below(&sim, MB(1));
        sim.s.pool_bytes = MB(107) + below(&sim, MB(1));
        sim_run(&sim, 10000);
    }
    assert_int_equal(sim.slices + sim.collects, 0);
    /* The same above the threshold, with pools that cannot be emptied: one attempt, then quiet. */
    sim.useless = true;
    sim.s.pool_bytes = MB(150);
    for (unsigned round = 0; round < 2000; round++) {
        sim.s.allocated_bytes += KB(100);
        sim.s.live_slot_bytes = MB(100) + below(&sim, MB(1));
        sim_run(&sim, 10000);
    }
    assert_int_equal(sim.starts, 1);
    assert_in_range(sim.slices, 1, 64);
}

TEST(compaction_has_hysteresis)
{
    struct sim sim = sim_open("share=100,idle=3600s", 11);
    uint64_t compactions = 0;
    bool on = false;
    sim.s = (mid_snapshot){RUNNING, FRAGMENTED(100)};
    for (unsigned look = 0; look < 200000; look++) {
        uint64_t percent = 100 + below(&sim, 13);
        sim.s.pool_bytes = MB(percent);
        sim.s.gain_bytes = MB(5);
        mid_work_plan plan = mid_decide(&sim.p, &sim.s, &sim.o, sim.now += 10000);
        bool compacts = plan.action == MID_ACT_COMPACT;
        assert_true(percent < 110 || compacts);
        assert_true(percent > 105 || !compacts);
        if (percent > 105 && percent < 110)
            assert_int_equal(compacts, on);
        compactions += compacts && !on;
        on = compacts;
        if (compacts) {
            mid_outcome out = {.stopped = true, .status = MID_MORE, .pools_emptied = 1, .before = sim.s, .after = sim.s};
            mid_decide_done(&sim.p, &plan, &out, &sim.o, sim.now);
        }
    }
    assert_true(compactions > 1000);
}

/* From any state: once the program has stopped, the looks come to an end, whatever the heap's answers are worth. */
static void settles(struct sim *sim)
{
    uint64_t looks = 0, wait;
    while ((wait = sim_look(sim)) != MID_NEVER) {
        sim->now += wait;
        assert_true(++looks < 5000);
    }
    assert_int_equal(sim_look(sim), MID_NEVER); /* and a kick changes nothing */
}

TEST(idle_heap_settles_without_wakeups)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct sim sim = sim_open("", seed);
        for (uint64_t round = below(&sim, 100); round > 0; round--)
            sim_program(&sim, 1 + below(&sim, 50000));
        sim.useless = seed % 3 == 0;
        sim.s.mutator = (mid_mutator_state)below(&sim, 3);
        settles(&sim);
        if (!sim.useless) {
            assert_int_equal(sim.s.waiting_objects, 0);
            assert_in_range(sim.s.empty_bytes, 0, sim.o.reserve);
            uint64_t part = sim.s.live_at_collection / 16;
            assert_true(sim.s.live_slot_bytes <= sim.p.low + (part > MB(1) ? part : MB(1)));
            assert_true(sim.p.low <= sim.s.live_at_collection);
        }
    }
}

TEST(jumping_clock_neither_hangs_nor_spins)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct sim sim = sim_open("", seed);
        for (unsigned round = 0; round < 400; round++) {
            static const unsigned shifts[] = {0, 10, 20, 40, 63};
            uint64_t jump = unit_random(&sim.seed) >> shifts[below(&sim, COUNT(shifts))];
            sim.now = below(&sim, 2) ? sim.now + jump : sim.now - jump;
            sim.s.waiting_objects += below(&sim, 30000);
            sim.s.allocated_bytes += below(&sim, 3);
            for (unsigned look = 0; look < 5; look++)
                sim_look(&sim); /* its own assertions bound every wait */
        }
        sim.now = seed % 2 != 0 ? 0 : T;
        settles(&sim);
        assert_int_equal(sim.s.waiting_objects, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_looks),
        cmocka_unit_test(collections_that_free_little_back_off),
        cmocka_unit_test(collections_beside_a_running_program),
        cmocka_unit_test(failed_collection_is_not_repeated_at_once),
        cmocka_unit_test(slices_that_empty_no_pool_shrink),
        cmocka_unit_test(slices_that_return_pools_do_not_shrink),
        cmocka_unit_test(pass_that_empties_no_pool_cools),
        cmocka_unit_test(refused_stops_are_retried_ever_later),
        cmocka_unit_test(drain_and_trim_remember_what_they_cannot_do),
        cmocka_unit_test(growth_of_a_running_program),
        cmocka_unit_test(own_collections_back_off),
        cmocka_unit_test(own_collection_that_fails_counts_from_there),
        cmocka_unit_test(running_program_loses_no_more_than_the_share),
        cmocka_unit_test(constant_load_does_not_oscillate),
        cmocka_unit_test(compaction_has_hysteresis),
        cmocka_unit_test(idle_heap_settles_without_wakeups),
        cmocka_unit_test(jumping_clock_neither_hangs_nor_spins),
    };
    return UNIT_RUN(tests);
}
