/* The log of the daemon's decisions: what makes one entry, what is kept, and how an entry reads. No thread, no clock, no
 * heap: see daemon/log.h. */
#include "unit.h"

#include "daemon/log.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void add(mid_log *log, uint64_t at, mid_action action, mid_trigger trigger, mid_status status)
{
    mid_log_add(log, &(mid_decision){.at_micros = at, .action = action, .trigger = trigger, .status = status, .slices = 1});
}

#define ADD(at, action, trigger, status) add(&log, at, MID_ACT_##action, MID_WHY_##trigger, status)

TEST(slices_add_up)
{
    mid_log log;
    ok(mid_log_open(&log, 8));
    static const mid_decision parts[] = {
        {.at_micros = 1000, .action = MID_ACT_COMPACT, .trigger = MID_WHY_FRAGMENTATION, .value = 400, .threshold = 110,
         .budget_micros = 450, .status = MID_MORE, .objects = 10, .bytes = 1000, .pools_before = 90, .pools_after = 80,
         .pools_pinned = 3, .took_micros = 440, .waited_micros = 7, .slices = 1, .longest_micros = 440},
        {.at_micros = 2000, .action = MID_ACT_COMPACT, .trigger = MID_WHY_FRAGMENTATION, .value = 300, .threshold = 105,
         .budget_micros = 500, .status = MID_MORE, .objects = 20, .bytes = 2000, .pools_before = 80, .pools_after = 60,
         .pools_pinned = 2, .took_micros = 510, .slices = 1, .longest_micros = 510},
        {.at_micros = 3000, .action = MID_ACT_COMPACT, .trigger = MID_WHY_FRAGMENTATION, .value = 200, .threshold = 105,
         .budget_micros = 405, .status = MID_OK, .objects = 1, .bytes = 500, .pools_before = 60, .pools_after = 55,
         .pools_pinned = 1, .took_micros = 50, .waited_micros = 4, .slices = 3, .longest_micros = 25},
    };
    for (size_t i = 0; i < COUNT(parts); i++)
        mid_log_add(&log, &parts[i]);
    static const mid_decision whole = {
        .at_micros = 1000, .action = MID_ACT_COMPACT, .trigger = MID_WHY_FRAGMENTATION, .value = 400, .threshold = 110,
        .budget_micros = 500, .status = MID_OK, .objects = 31, .bytes = 3500, .pools_before = 90, .pools_after = 55,
        .pools_pinned = 1, .took_micros = 1000, .waited_micros = 11, .slices = 5, .longest_micros = 510};
    mid_decision read[8];
    assert_int_equal(mid_log_read(&log, read, COUNT(read)), 1);
    assert_memory_equal(&read[0], &whole, sizeof whole);
    mid_log_close(&log);
}

TEST(what_ends_a_run)
{
    static const struct {
        mid_action action;
        mid_trigger trigger;
        mid_status status;
        bool begins; /* a new entry */
    } steps[] = {
        {MID_ACT_DRAIN, MID_WHY_WAITING, MID_MORE, true},
        {MID_ACT_DRAIN, MID_WHY_WAITING, MID_OK, false},
        {MID_ACT_DRAIN, MID_WHY_WAITING, MID_MORE, false}, /* the next time */
        {MID_ACT_DRAIN, MID_WHY_IDLE, MID_OK, true},
        {MID_ACT_TRIM, MID_WHY_IDLE, MID_OK, true},
        {MID_ACT_TRIM, MID_WHY_IDLE, MID_EPOSTPONED, true},
        {MID_ACT_TRIM, MID_WHY_IDLE, MID_EPOSTPONED, false},
        {MID_ACT_TRIM, MID_WHY_IDLE, MID_EBUSY, true},
        {MID_ACT_TRIM, MID_WHY_DECAY, MID_EBUSY, true},
        {MID_ACT_TRIM, MID_WHY_DECAY, MID_OK, true},
        {MID_ACT_COLLECT, MID_WHY_GROWTH, MID_OK, true},
        {MID_ACT_COLLECT, MID_WHY_GROWTH, MID_ENOMEM, true},
        {MID_ACT_COLLECT, MID_WHY_GROWTH, MID_ENOMEM, false},
        {MID_ACT_COLLECT, MID_WHY_GROWTH, MID_ELIMIT, true},
        {MID_ACT_COLLECT, MID_WHY_GROWTH, MID_OK, true},
    };
    mid_log log;
    mid_decision read[16];
    size_t entries = 0;
    ok(mid_log_open(&log, 16));
    for (size_t i = 0; i < COUNT(steps); i++) {
        add(&log, i, steps[i].action, steps[i].trigger, steps[i].status);
        entries += steps[i].begins;
        assert_int_equal(mid_log_read(&log, read, COUNT(read)), entries);
        assert_int_equal(read[entries - 1].status, steps[i].status);
        assert_int_equal(read[entries - 1].at_micros == i, steps[i].begins);
    }
    uint64_t slices = 0;
    for (size_t i = 0; i < entries; i++)
        slices += read[i].slices;
    assert_int_equal(slices, COUNT(steps));
    mid_log_close(&log);
}

/* Proposing and proving hundreds of times a second are two entries; what comes between ends both. */
TEST(what_is_done_by_turns_is_two_runs)
{
    mid_log log;
    mid_decision read[16];
    ok(mid_log_open(&log, 16));
    for (uint64_t at = 0; at < 100; at++) {
        ADD(2 * at, PROPOSE, SUSPECTS, at % 3 == 0 ? MID_MORE : MID_OK);
        ADD(2 * at + 1, PROVE, PROPOSALS, MID_OK);
    }
    assert_int_equal(mid_log_read(&log, read, COUNT(read)), 2);
    assert_true(read[0].action == MID_ACT_PROPOSE && read[0].slices == 100 && read[0].at_micros == 0);
    assert_true(read[1].action == MID_ACT_PROVE && read[1].slices == 100 && read[1].at_micros == 1);
    ADD(300, PROVE, PROPOSALS, MID_EPOSTPONED);
    ADD(301, PROPOSE, SUSPECTS, MID_OK); /* a refusal stands between */
    ADD(302, PROVE, PROPOSALS, MID_OK);
    ADD(303, SWEEP, GROWTH, MID_MORE);
    ADD(304, PROVE, GROWTH, MID_MORE); /* for another reason */
    ADD(305, SWEEP, GROWTH, MID_OK);
    ADD(306, DRAIN, WAITING, MID_OK);
    ADD(307, SWEEP, GROWTH, MID_OK);
    static const uint64_t begun[] = {0, 1, 300, 301, 302, 303, 304, 306, 307};
    assert_int_equal(mid_log_read(&log, read, COUNT(read)), COUNT(begun));
    for (size_t i = 0; i < COUNT(begun); i++)
        assert_int_equal(read[i].at_micros, begun[i]);
    assert_int_equal(read[5].slices, 2);
    mid_log_close(&log);
}

TEST(newest_are_kept_in_order)
{
    mid_log log;
    mid_decision read[16];
    ok(mid_log_open(&log, 8));
    assert_int_equal(mid_log_read(&log, read, COUNT(read)), 0);
    for (uint64_t at = 0; at < 50; at++) {
        ADD(at, DRAIN, WAITING, MID_OK);
        ADD(at, COLLECT, GROWTH, MID_OK);
        ADD(at, COLLECT, GROWTH, MID_OK); /* also across the end of the ring, also when it is full */
        size_t count = mid_log_read(&log, read, COUNT(read)), all = 2 * (at + 1);
        assert_int_equal(count, all < 8 ? all : 8);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(read[i].at_micros, (all - count + i) / 2);
            assert_int_equal(read[i].action, i % 2 == 0 ? MID_ACT_DRAIN : MID_ACT_COLLECT);
            assert_int_equal(read[i].slices, 1 + i % 2);
        }
    }
    assert_int_equal(mid_log_read(&log, read, 3), 3);
    assert_true(read[0].at_micros == 48 && read[0].action == MID_ACT_COLLECT);
    assert_int_equal(mid_log_read(&log, read, 0), 0);
    mid_log_close(&log);
}

TEST(decisions_as_text)
{
    static const struct {
        mid_decision d;
        const char *text;
    } rows[] = {
        {{.at_micros = 1204567, .action = MID_ACT_COMPACT, .trigger = MID_WHY_FRAGMENTATION, .value = 412, .threshold = 110,
          .budget_micros = 500, .status = MID_MORE, .objects = 3120, .bytes = 1258291, .pools_before = 812, .pools_after = 640,
          .took_micros = 498, .waited_micros = 3},
         "+1.204s compact: fragmentation 412 % >= 110 %, 3120 objects, 1.2 MiB moved, pools 812 -> 640, 498 us of 500 us, "
         "waited 3 us, more to do"},
        {{.at_micros = 61000000, .action = MID_ACT_COLLECT, .trigger = MID_WHY_GROWTH, .value = 16 << 20, .threshold = 1000,
          .objects = 7, .took_micros = 20},
         "+61.000s collect: growth 16.0 MiB >= 1000 B, 7 objects freed, 20 us"},
        {{.action = MID_ACT_COMPACT, .trigger = MID_WHY_FRAGMENTATION, .value = 412, .threshold = 110, .budget_micros = 500,
          .objects = 3120, .bytes = 1258291, .pools_before = 812, .pools_after = 640, .pools_pinned = 2, .took_micros = 130870,
          .slices = 261, .longest_micros = 612},
         "+0.000s compact: fragmentation 412 % >= 110 %, 3120 objects, 1.2 MiB moved, pools 812 -> 640, 2 pinned ones skipped, "
         "130870 us in 261 slices, longest 612 us of 500 us"},
        {{.action = MID_ACT_COLLECT, .trigger = MID_WHY_GROWTH, .value = 2 << 20, .threshold = 1 << 20, .objects = 70,
          .took_micros = 50, .slices = 4, .longest_micros = 20},
         "+0.000s collect: growth 2.0 MiB >= 1.0 MiB, 70 objects freed, 50 us in 4 slices, longest 20 us"},
        {{.action = MID_ACT_COLLECT, .trigger = MID_WHY_GROWTH, .value = 2 << 20, .threshold = 1 << 20, .status = MID_ENOMEM,
          .took_micros = 5, .slices = 1, .longest_micros = 5},
         "+0.000s collect: growth 2.0 MiB >= 1.0 MiB, 0 objects freed, 5 us, the system refused memory"},
        {{.action = MID_ACT_DRAIN, .trigger = MID_WHY_WAITING, .value = 20000, .threshold = 20000, .budget_micros = 500,
          .status = MID_EPOSTPONED, .slices = 1, .waited_micros = 2000},
         "+0.000s drain: waiting 20000 >= 20000 objects, skipped, waited 2000 us, a thread did not reach a safepoint in time; "
         "nothing was done"},
        {{.action = MID_ACT_COLLECT, .trigger = MID_WHY_GROWTH, .value = 2 << 20, .threshold = 2 << 20, .status = MID_EPOSTPONED,
          .slices = 7, .waited_micros = 2600},
         "+0.000s collect: growth 2.0 MiB >= 2.0 MiB, skipped 7 times, waited 2600 us, a thread did not reach a safepoint in "
         "time; nothing was done"},
        {{.action = MID_ACT_TRIM, .trigger = MID_WHY_DECAY, .value = 3 << 20, .threshold = 1 << 20, .bytes = 2 << 20},
         "+0.000s trim: decay, empty 3.0 MiB > 1.0 MiB, 2.0 MiB returned, 0 us"},
        {{.action = MID_ACT_TRIM, .trigger = MID_WHY_IDLE, .value = 301000, .threshold = 300000, .bytes = UINT64_C(5) << 40},
         "+0.000s trim: idle 0.301 s >= 0.300 s, 5.0 TiB returned, 0 us"},
        {{.at_micros = 5000, .action = MID_ACT_PROPOSE, .trigger = MID_WHY_SUSPECTS, .value = 700, .threshold = 512,
          .budget_micros = 1000, .status = MID_MORE, .objects = 123, .took_micros = 1900, .slices = 2, .longest_micros = 1001},
         "+0.005s propose: 700 suspects >= 512, 123 objects proposed, 1900 us in 2 slices, longest 1001 us of 1000 us, more to do"},
        {{.action = MID_ACT_PROVE, .trigger = MID_WHY_PROPOSALS, .value = 4096, .threshold = 4096, .budget_micros = 500,
          .objects = 4000, .took_micros = 300, .waited_micros = 12, .slices = 1, .longest_micros = 300},
         "+0.000s prove: 4096 proposals >= 4096, 4000 objects freed, 300 us of 500 us, waited 12 us"},
        {{.action = MID_ACT_PROVE, .trigger = MID_WHY_SUSPECTS, .value = 3, .threshold = 1, .budget_micros = 500,
          .status = MID_EPOSTPONED, .slices = 2, .waited_micros = 2100, .late = "3 (worker)"},
         "+0.000s prove: 3 suspects >= 1, skipped 2 times for thread 3 (worker), waited 2100 us, a thread did not reach a safepoint "
         "in time; nothing was done"},
        {{.action = MID_ACT_SWEEP, .trigger = MID_WHY_GROWTH, .value = 3 << 20, .threshold = 2 << 20, .budget_micros = 1000,
          .took_micros = 700, .slices = 1, .longest_micros = 700},
         "+0.000s sweep: growth 3.0 MiB >= 2.0 MiB, 700 us of 1000 us"},
        {{.action = MID_ACT_SWEEP, .trigger = MID_WHY_IDLE, .value = 300000, .threshold = 300000, .status = MID_ELIMIT},
         "+0.000s sweep: idle 0.300 s >= 0.300 s, 0 us, the heap's own hard limit (heap-limit, max-objects) is reached"},
        {{.at_micros = 2000000, .action = MID_ACT_DEEP, .trigger = MID_WHY_TABLE, .value = 3 << 20, .threshold = 1 << 20, .budget_micros = 500,
          .status = MID_MORE, .objects = 1234, .took_micros = 2100, .waited_micros = 9, .slices = 5, .longest_micros = 501},
         "+2.000s deep: idle, unused table 3.0 MiB >= 1.0 MiB, 1234 objects renamed, 2100 us in 5 slices, longest 501 us of 500 us, "
         "waited 9 us, more to do"},
        {{.action = MID_ACT_DEEP, .trigger = MID_WHY_TABLE, .value = 300 << 10, .threshold = 256 << 10, .budget_micros = 500,
          .status = MID_EBUSY, .slices = 1},
         "+0.000s deep: idle, unused table 300.0 KiB >= 256.0 KiB, skipped, waited 0 us, "
         "called back into the heap from a listener, trace or payload function"},
        {{.action = (mid_action)99}, "+0.000s ?: nothing, 0 us"},
    };
    char text[400];
    for (size_t i = 0; i < COUNT(rows); i++) {
        int wanted = (int)strlen(rows[i].text);
        assert_int_equal(mid_decision_text(&rows[i].d, text, sizeof text), wanted);
        assert_string_equal(text, rows[i].text);
        for (size_t room = 0; room < 40; room++) {
            memset(text, '#', sizeof text);
            assert_int_equal(mid_decision_text(&rows[i].d, text, room), wanted);
            assert_int_equal(text[room], '#');
            if (room > 0) {
                size_t fits = (size_t)wanted < room - 1 ? (size_t)wanted : room - 1;
                assert_int_equal(strlen(text), fits);
                assert_memory_equal(text, rows[i].text, fits);
            }
        }
    }
    assert_int_equal(mid_decision_text(NULL, text, sizeof text), 0);
    assert_int_equal(mid_decision_text(&rows[0].d, NULL, 0), (int)strlen(rows[0].text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_add_up),
        cmocka_unit_test(what_ends_a_run),
        cmocka_unit_test(what_is_done_by_turns_is_two_runs),
        cmocka_unit_test(newest_are_kept_in_order),
        cmocka_unit_test(decisions_as_text),
    };
    return UNIT_RUN(tests);
}
