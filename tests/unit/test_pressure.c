/* Levels out of readings, figures out of the kernel's texts, what the rules do with a level: tables; and properties over simulated
 * heaps. No descriptor, no thread, no clock. */
#include "decide.h"

#include "daemon/figures.h"

/* --- the kernel's texts ------------------------------------------------------------------------------------------ */

/* Every text is also given in a block of its own length, so that a read past its end is found by the sanitizers. */
static char *exact(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length != 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    return copy;
}

TEST(stalls_text)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t some, full;
    } rows[] = {
        {"some avg10=0.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=45\n", true, 123, 45},
        {"some total=7\n", true, 7, 0},
        {"some total=7", true, 7, 0},
        {"some total=18446744073709551615\n", true, UINT64_MAX, 0},
        {"more total=1\nsome total=2\n\n", true, 2, 0},
        {"", false, 0, 0},
        {"\n\n", false, 0, 0},
        {"full total=1\n", false, 0, 0},
        {"some total=\n", false, 0, 0},
        {"some avg10=1\n", false, 0, 0},
        {"some total=-1\n", false, 0, 0},
        {"some total=1x\n", false, 0, 0},
        {"some total=18446744073709551616\n", false, 0, 0},
        {"some total=1\nfull total=\n", false, 0, 0},
        {"sometotal=1\n", false, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t some = 0, full = 0;
        char *text = exact(rows[i].text);
        if (mid_figure_stalls(text, strlen(rows[i].text), &some, &full) != rows[i].good || some != rows[i].some || full != rows[i].full)
            fail_msg("%s", rows[i].text);
        free(text);
    }
}

TEST(numbers_and_keys)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } numbers[] = {
        {"0\n", true, 0}, {"123", true, 123}, {" 5 \n", true, 5}, {"max\n", true, MID_UNLIMITED},
        {"9223372036854771712\n", true, MID_UNLIMITED}, {"", false, 0}, {"\n", false, 0}, {"1 2\n", false, 0},
        {"maximum\n", false, 0}, {"0x10\n", false, 0}, {"99999999999999999999\n", false, 0},
    };
    uint64_t value;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        value = 0;
        char *text = exact(numbers[i].text);
        if (mid_figure_number(text, strlen(numbers[i].text), &value) != numbers[i].good || value != numbers[i].value)
            fail_msg("%s", numbers[i].text);
        free(text);
    }
    static const char events[] = "low 0\nhigh 12\noom_kill 3\noom 4\nempty\nMemFree:   77 kB\nbad x1\n:\n";
    assert_true(mid_figure_keyed(events, sizeof events - 1, "high", &value) && value == 12);
    assert_true(mid_figure_keyed(events, sizeof events - 1, "oom", &value) && value == 4);
    assert_true(mid_figure_keyed(events, sizeof events - 1, "MemFree", &value) && value == 77);
    assert_false(mid_figure_keyed(events, sizeof events - 1, "empty", &value));
    assert_false(mid_figure_keyed(events, sizeof events - 1, "bad", &value));
    assert_false(mid_figure_keyed(events, sizeof events - 1, "hig", &value));
    assert_false(mid_figure_keyed(events, 8, "high", &value)); /* cut off */
}

TEST(own_cgroup_of_text)
{
    static const char v2[] = "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    static const char hybrid[] = "31 20 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                                 "32 20 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                                 "33 20 0:29 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    static const struct {
        const char *cgroup, *mounts, *path;
    } rows[] = {
        {"0::/user.slice/a.scope\n", v2, "/sys/fs/cgroup/user.slice/a.scope"},
        {"0::/\n", v2, "/sys/fs/cgroup"},
        {"5:memory:/docker/ab/c\n4:cpu:/x\n0::/y\n", hybrid, "/sys/fs/cgroup/memory/c"},
        {"5:memory:/docker/ab\n0::/y\n", hybrid, "/sys/fs/cgroup/memory"},
        {"5:memory:/docker/abc\n0::/y\n", hybrid, "/sys/fs/cgroup/memory"}, /* out of sight */
        {"5:cpu,memory:/docker/ab/c\n", hybrid, "/sys/fs/cgroup/memory/c"},
        {"4:cpu:/x\n0::/y\n", hybrid, "/sys/fs/cgroup/unified/y"},
        {"0::/a\n", "30 20 0:26 / /with\\040space rw - cgroup2 cgroup2 rw\n", "/with space/a"},
        {"0::/system.slice/a\\x2db.service\n", v2, "/sys/fs/cgroup/system.slice/a\\x2db.service"}, /* a name as it is, ... */
        {"0::/a\\040b\n", v2, "/sys/fs/cgroup/a\\040b"},
        {"0::/a\\x2db/c\n", "30 20 0:26 /a\\134x2db /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/c"}, /* ... and escaped */
        {"0::/a\n", "30 20 0:26 / /s\\x2d rw - cgroup2 cgroup2 rw\n", "/s\\x2d/a"},
        {"0::/a\n", "30 20 0:26 / /no/end rw\n", NULL},
        {"0::/a\n", "", NULL},
        {"", v2, NULL},
        {"0::\n", v2, NULL},
        {"0\n:\n::\n", v2, NULL},
        {"4:cpu:/x\n", v2, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char path[64] = "", *cgroup = exact(rows[i].cgroup), *mounts = exact(rows[i].mounts);
        bool found = mid_figure_cgroup(cgroup, strlen(rows[i].cgroup), mounts, strlen(rows[i].mounts), path, sizeof path);
        if (found != (rows[i].path != NULL) || (found && strcmp(path, rows[i].path) != 0))
            fail_msg("row %zu: %s", i, path);
        char small[8];
        assert_false(mid_figure_cgroup(cgroup, strlen(rows[i].cgroup), mounts, strlen(rows[i].mounts), small, sizeof small));
        free(cgroup);
        free(mounts);
    }
}

TEST(base64_text)
{
    static const struct {
        const char *text, *data;
    } rows[] = {{"", ""}, {"Zg==", "f"}, {"Zg", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"c29tZSAyMDAwMDAgMjAwMDAwMAA=", "some 200000 2000000"},
                {"Z", NULL}, {"Zm9v!", NULL}, {"Zg===", NULL}, {"Zm9v\n", NULL}, {"=", ""}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned char data[32] = "";
        long length = mid_figure_base64(rows[i].text, data, sizeof data);
        if (rows[i].data == NULL ? length != -1 : length < 0 || strcmp((char *)data, rows[i].data) != 0)
            fail_msg("%s: %ld %s", rows[i].text, length, data);
    }
    unsigned char two[2];
    assert_int_equal(mid_figure_base64("Zm9v", two, sizeof two), -1);
}

/* Whatever comes: no more than a refusal. The sanitizers look on. */
TEST(random_texts_are_refused_or_understood)
{
    static const char letters[] = "some full total=0123456789 max:\n\t/\\\xff,-cgroup2memory";
    uint64_t seed = 3, value, other;
    char path[32];
    for (unsigned round = 0; round < 20000; round++) {
        size_t length = unit_random(&seed) % 80;
        char *text = malloc(length + 1);
        assert_non_null(text);
        for (size_t i = 0; i < length; i++)
            text[i] = letters[unit_random(&seed) % (sizeof letters - 1)];
        char *end = malloc(length != 0 ? length : 1);
        memcpy(end, text, length);
        mid_figure_stalls(end, length, &value, &other);
        mid_figure_number(end, length, &value);
        mid_figure_keyed(end, length, "max", &value);
        size_t half = length / 2;
        if (mid_figure_cgroup(end, half, end + half, length - half, path, sizeof path))
            assert_true(strlen(path) < sizeof path);
        text[length] = 0;
        unsigned char data[16];
        assert_true(mid_figure_base64(text, data, sizeof data) <= 16);
        free(text);
        free(end);
    }
}

/* --- levels ------------------------------------------------------------------------------------------------------ */

#define CALM MID_PRESSURE_CALM
#define TRIM MID_PRESSURE_TRIM
#define COMPACT MID_PRESSURE_COMPACT
#define EVERYTHING MID_PRESSURE_EVERYTHING
#define SCARCE .free_known = true, .free = 40, .whole = 100
#define AMPLE .free_known = true, .free = 51, .whole = 100
#define SECONDS(n) ((uint64_t)((n) * 1000000.0))

/* Readings one after the other, and the level after each. */
struct reading {
    const char *name;
    uint64_t at;
    mid_reading r;
    mid_pressure_level level;
    mid_trigger why;
    bool urges; /* one more than before */
};

static void check_readings(const struct reading *rows, size_t count, const char *options, uint64_t committed)
{
    mid_options o = options_of(options);
    mid_gauge gauge = {0};
    uint64_t urges = 0;
    for (size_t i = 0; i < count; i++) {
        mid_strain strain = mid_gauge_read(&gauge, &rows[i].r, &o, committed, T + rows[i].at);
        if (strain.level != rows[i].level || strain.why != rows[i].why || strain.urges != urges + rows[i].urges)
            fail_msg("%s: level %d why %d urges %d", rows[i].name, strain.level, strain.why, (int)(strain.urges - urges));
        urges = strain.urges;
    }
}

TEST(levels_of_events)
{
    static const struct reading rows[] = {
        {"nothing", 0, {SCARCE}, CALM, MID_WHY_NOTHING, false},
        {"stalls", SECONDS(1), {SCARCE, .came[MID_STALLS] = TRIM, .measured[MID_STALLS] = true}, TRIM, MID_WHY_STALLS, false},
        {"holds", SECONDS(4.9), {SCARCE}, TRIM, MID_WHY_STALLS, false},
        {"is over", SECONDS(5), {SCARCE}, CALM, MID_WHY_NOTHING, false},
        {"more", SECONDS(6), {SCARCE, .came[MID_STALLS] = COMPACT, .measured[MID_STALLS] = true}, COMPACT, MID_WHY_STALLS, true},
        {"less does not lower it", SECONDS(8), {SCARCE, .came[MID_STALLS] = TRIM}, COMPACT, MID_WHY_STALLS, false},
        {"nor lengthen it", SECONDS(10), {SCARCE}, CALM, MID_WHY_NOTHING, false},
        {"as much does", SECONDS(11), {SCARCE, .came[MID_CGROUP] = COMPACT}, COMPACT, MID_WHY_CGROUP, true},
        {"again", SECONDS(14), {SCARCE, .came[MID_CGROUP] = COMPACT}, COMPACT, MID_WHY_CGROUP, false},
        {"still", SECONDS(17.9), {SCARCE}, COMPACT, MID_WHY_CGROUP, false},
        {"somebody else, higher", SECONDS(17.9), {SCARCE, .came[MID_SIGNALS] = EVERYTHING}, EVERYTHING, MID_WHY_SIGNAL, true},
        {"and again: urges", SECONDS(18), {SCARCE, .came[MID_SIGNALS] = EVERYTHING}, EVERYTHING, MID_WHY_SIGNAL, true},
        {"the clock leaps", SECONDS(100000), {SCARCE}, CALM, MID_WHY_NOTHING, false},
        {"manager", SECONDS(100001), {AMPLE, .came[MID_WATCH] = COMPACT}, COMPACT, MID_WHY_WATCH, true},
        {"the clock goes back", 0, {AMPLE}, CALM, MID_WHY_NOTHING, false},
    };
    check_readings(rows, COUNT(rows), NULL, 0);
}

TEST(levels_and_the_gate)
{
    static const struct reading rows[] = {
        {"ample: stalls", 0, {AMPLE, .came[MID_STALLS] = COMPACT, .measured[MID_STALLS] = true}, CALM, MID_WHY_NOTHING, false},
        {"ample: cgroup", 1, {AMPLE, .came[MID_CGROUP] = TRIM, .measured[MID_CGROUP] = true}, CALM, MID_WHY_NOTHING, false},
        {"a word", 2, {AMPLE, .came[MID_WATCH] = TRIM}, TRIM, MID_WHY_WATCH, false},
        {"half is not more than half", 3, {.free_known = true, .free = 50, .whole = 100, .came[MID_STALLS] = TRIM, .measured[MID_STALLS] = true},
         TRIM, MID_WHY_STALLS, false},
        {"unknown is not ample", 4, {.came[MID_STALLS] = COMPACT, .measured[MID_STALLS] = true}, COMPACT, MID_WHY_STALLS, true},
        {"everything passes", 5, {AMPLE, .came[MID_STALLS] = EVERYTHING, .measured[MID_STALLS] = true}, EVERYTHING, MID_WHY_STALLS, true},
    };
    check_readings(rows, COUNT(rows), NULL, 0);
}

#define TOTALS(some, full) .stalls_known = true, .some_total = (some), .full_total = (full)

TEST(levels_of_totals)
{
    static const struct reading rows[] = {
        {"first: whatever was", 0, {SCARCE, TOTALS(SECONDS(900), SECONDS(900))}, CALM, MID_WHY_NOTHING, false},
        {"70 ms at once", SECONDS(0.1), {SCARCE, TOTALS(SECONDS(900) + 70000, SECONDS(900))}, TRIM, MID_WHY_STALLS, false},
        {"100 ms in the window", SECONDS(1.9), {SCARCE, TOTALS(SECONDS(900) + 100000, SECONDS(900))}, COMPACT, MID_WHY_STALLS, true},
        {"window over", SECONDS(2), {SCARCE, TOTALS(SECONDS(900) + 100000, SECONDS(900))}, COMPACT, MID_WHY_STALLS, false},
        {"quiet", SECONDS(7), {SCARCE, TOTALS(SECONDS(900) + 100000, SECONDS(900))}, CALM, MID_WHY_NOTHING, false},
        {"nobody looked for 100 s: 3.4 s of stalls are 68 ms in 2 s", SECONDS(107), {SCARCE, TOTALS(SECONDS(903.5), SECONDS(900))}, CALM,
         MID_WHY_NOTHING, false},
        {"full", SECONDS(108), {SCARCE, TOTALS(SECONDS(903.7), SECONDS(900.1))}, EVERYTHING, MID_WHY_STALLS, true},
        {"counted anew", SECONDS(115), {SCARCE, TOTALS(1, 1)}, CALM, MID_WHY_NOTHING, false},
        {"and on", SECONDS(116), {SCARCE, TOTALS(70001, 1)}, TRIM, MID_WHY_STALLS, false},
    };
    check_readings(rows, COUNT(rows), NULL, 0);
}

TEST(levels_of_the_program_and_limits)
{
    static const struct reading program[] = {
        {"said before", 0, {.came[MID_PROGRAM] = TRIM, .said = 3}, TRIM, MID_WHY_PROGRAM, false},
        {"stays", SECONDS(1000), {.came[MID_PROGRAM] = TRIM, .said = 3}, TRIM, MID_WHY_PROGRAM, false},
        {"more", SECONDS(1001), {.came[MID_PROGRAM] = COMPACT, .said = 4}, COMPACT, MID_WHY_PROGRAM, true},
        {"again", SECONDS(1002), {.came[MID_PROGRAM] = COMPACT, .said = 5}, COMPACT, MID_WHY_PROGRAM, true},
        {"no more", SECONDS(1003), {.came[MID_PROGRAM] = CALM, .said = 6}, CALM, MID_WHY_NOTHING, false},
    };
    check_readings(program, COUNT(program), NULL, 0);
    static const struct {
        uint64_t committed;
        mid_pressure_level level;
    } limits[] = {{MB(90), CALM}, {MB(101), COMPACT}, {MB(95), COMPACT}, {MB(93), CALM}, {MB(151), EVERYTHING}, {MB(145), EVERYTHING},
                  {MB(139), COMPACT}, {MB(50), CALM}};
    mid_options o = options_of("soft-limit=100M,heap-limit=160M");
    mid_gauge gauge = {0};
    for (size_t i = 0; i < COUNT(limits); i++) {
        mid_strain strain = mid_gauge_read(&gauge, &(mid_reading){AMPLE}, &o, limits[i].committed, T);
        assert_int_equal(strain.level, limits[i].level);
        assert_int_equal(strain.soft, MB(100));
        assert_int_equal(strain.hard, MB(150));
    }
    uint64_t soft, hard;
    o = options_of("soft-limit=100M,soft-share=10,hard-share=50");
    mid_limits(&o, MB(500), &soft, &hard);
    assert_true(soft == MB(50) && hard == MB(250));
    mid_limits(&o, MID_UNLIMITED, &soft, &hard);
    assert_true(soft == MB(100) && hard == 0);
}

/* A figure that wanders about a threshold must not make the level flicker. */
TEST(usage_about_a_threshold_changes_the_level_once)
{
    mid_options o = options_of(NULL);
    for (unsigned percent = 80; percent <= 95; percent += percent == 80 ? 10 : 5) {
        mid_gauge gauge = {0};
        uint64_t seed = percent, changes = 0;
        mid_pressure_level was = CALM;
        for (unsigned round = 0; round < 5000; round++) {
            uint64_t usage = percent * 10 - 20 + unit_random(&seed) % 40;
            mid_reading r = {SCARCE, .usage_known = true, .usage = usage, .limit = 1000};
            mid_strain strain = mid_gauge_read(&gauge, &r, &o, 0, T + round * 1000);
            changes += strain.level != was;
            was = strain.level;
        }
        assert_in_range(changes, 1, 2);
    }
}

/* --- the square-root rule ------------------------------------------------------------------------------------------ */

TEST(balance_is_the_papers_rule)
{
    mid_rates none = {0}, r = {0};
    assert_int_equal(mid_balance_growth(&none, MB(100), MB(1)), 0);
    mid_rate_allocation(&r, 100000000, 1000000); /* g: 100 MB a second */
    assert_int_equal(mid_balance_growth(&r, MB(100), MB(1)), 0);
    mid_rate_collection(&r, 1000000000, 1000000); /* s: 1 GB a second */
    assert_int_equal(mid_balance_growth(&r, MB(100), 0), 0);
    /* E = sqrt(L g / (c s)), c = 0.01 / worth: sqrt(1e8 · 0.1 · 1e6 / 0.01) = 31.6e6 */
    uint64_t growth = mid_balance_growth(&r, 100000000, 1000000);
    assert_in_range(growth, 31600000, 31630000);
    /* Four times the live bytes, or the worth: twice the growth. A hundredth of the trace speed: ten times, and no more than 4 L. */
    assert_in_range(mid_balance_growth(&r, 400000000, 1000000), 2 * growth - 100000, 2 * growth + 100000);
    assert_in_range(mid_balance_growth(&r, 100000000, 4000000), 2 * growth - 100000, 2 * growth + 100000);
    mid_rates slow = {0};
    mid_rate_allocation(&slow, 100000000, 1000000);
    mid_rate_collection(&slow, 10000000, 1000000);
    assert_in_range(mid_balance_growth(&slow, 100000000, 1000000), 10 * growth - 500000, 10 * growth + 500000);
    mid_rate_collection(&slow, 1, SECONDS(1000));
    assert_int_equal(mid_balance_growth(&slow, 100000000, MB(100)), 400000000);
    assert_int_equal(mid_balance_growth(&r, 100000000, 1), 10000000);
    /* Extremes neither overflow nor divide by nothing. */
    mid_rates wild = {0};
    for (unsigned i = 0; i < 200; i++) {
        mid_rate_allocation(&wild, UINT64_MAX, i % 2);
        mid_rate_collection(&wild, i % 3, UINT64_MAX);
        uint64_t most = mid_balance_growth(&wild, UINT64_MAX, UINT64_MAX);
        assert_true(most == 0 || (most >= (UINT64_C(1) << 48) / 10 && most <= UINT64_C(1) << 50));
    }
}

TEST(balance_sets_the_growth_that_is_enough)
{
    mid_options o = options_of("balance=1M,growth-min=1M,collect-stop=60s");
    mid_pacer p = fresh();
    mid_snapshot s = {RUNNING, .live_slot_bytes = 100000000, .live_at_collection = 100000000, .allocated_bytes = 1};
    mid_decide(&p, &s, &o, T + 1000);
    assert_int_equal(mid_collect_growth(&p, &o).least, 75000000); /* nothing is known yet */
    mid_rate_collection(&p.rates, 1000000000, 1000000);
    p.rates.allocated_bytes = 100000000;
    p.rates.allocated_micros = 1000000;
    mid_growth growth = mid_collect_growth(&p, &o);
    assert_in_range(growth.least, 32300000, 32420000); /* 1 MiB is more than the million above */
    assert_int_equal(growth.percent, 0);
    /* Rates are learnt from looks and collections. */
    mid_pacer learns = fresh();
    for (unsigned i = 1; i <= 60; i++) {
        s.allocated_bytes += 10000000;
        mid_decide(&learns, &s, &o, T + i * 100000);
    }
    assert_in_range(learns.rates.allocated_bytes * 1000 / learns.rates.allocated_micros, 95000, 105000);
    mid_own_collections own = {.times = 1, .micros = 100000, .longest = 100000, .live_at_collection = 1, .live_before = 200000000, .live_after = 100000000};
    mid_decide_collected(&learns, &own, &o);
    assert_int_equal(learns.rates.traced_bytes, 100000000);
    assert_int_equal(learns.rates.traced_micros, 100000);
}

/* --- what the rules do with a level -------------------------------------------------------------------------------- */

struct pressed {
    const char *name, *options;
    mid_pressure_level level;
    bool urged;
    mid_snapshot s;
    mid_action action;
    mid_pressure_level threshold;
    uint64_t keep;
};

TEST(table_of_pressed_looks)
{
    static const struct pressed rows[] = {
        {"calm: empty pools wait for decay", NULL, CALM, false, {RUNNING, .empty_bytes = MB(3)}, MID_ACT_NONE, CALM, 0},
        {"trim: they go at once", NULL, TRIM, false, {RUNNING, .empty_bytes = MB(3)}, MID_ACT_TRIM, TRIM, MB(1)},
        {"trim: down to the reserve", NULL, TRIM, false, {RUNNING, .empty_bytes = MB(1)}, MID_ACT_NONE, CALM, 0},
        {"everything: the reserve, too", NULL, EVERYTHING, false, {RUNNING, .empty_bytes = MB(1)}, MID_ACT_TRIM, EVERYTHING, 0},
        {"trim does not collect", NULL, TRIM, true, {RUNNING, .live_slot_bytes = MB(100), .live_at_collection = MB(90)}, MID_ACT_NONE, CALM, 0},
        {"compact: a sixteenth of growth, twice while it runs", NULL, COMPACT, false,
         {RUNNING, .live_slot_bytes = MB(91), .live_at_collection = MB(80)}, MID_ACT_COLLECT, COMPACT, 0},
        {"... not less", NULL, COMPACT, false, {RUNNING, .live_slot_bytes = MB(85), .live_at_collection = MB(80)}, MID_ACT_NONE, CALM, 0},
        {"... once, however little", NULL, COMPACT, true, {RUNNING, .live_slot_bytes = MB(80), .live_at_collection = MB(80)},
         MID_ACT_COLLECT, COMPACT, 0},
        {"compact: pools are packed for less", NULL, COMPACT, false,
         {RUNNING, .live_slot_bytes = MB(100), .live_at_collection = MB(100), .pool_bytes = MB(103), .gain_bytes = MB(2)}, MID_ACT_COMPACT, COMPACT, 0},
        {"... but not for little, as long as it lasts", NULL, EVERYTHING, false,
         {RUNNING, .live_slot_bytes = MB(100), .live_at_collection = MB(100), .pool_bytes = MB(103), .gain_bytes = MB(2) - 1}, MID_ACT_NONE, CALM, 0},
        {"compact leaves what waits", NULL, COMPACT, false, {RUNNING, .waiting_objects = 5}, MID_ACT_NONE, CALM, 0},
        {"everything frees it", NULL, EVERYTHING, false, {RUNNING, .waiting_objects = 5}, MID_ACT_DRAIN, EVERYTHING, 0},
        {"everything: deep if it may be", "deep=table", EVERYTHING, false, {RUNNING, .table_bytes = MB(8), .table_waste = MB(4)}, MID_ACT_DEEP, EVERYTHING, 0},
        {"... only then", NULL, EVERYTHING, false, {RUNNING, .table_bytes = MB(8), .table_waste = MB(4)}, MID_ACT_NONE, CALM, 0},
        {"compact: not deep", "deep=table", COMPACT, false, {RUNNING, .table_bytes = MB(8), .table_waste = MB(4)}, MID_ACT_NONE, CALM, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        mid_options o = options_of(rows[i].options);
        mid_pacer p = fresh();
        mid_strain strain = {.level = rows[i].level, .why = rows[i].level != CALM ? MID_WHY_STALLS : MID_WHY_NOTHING, .urges = rows[i].urged};
        mid_decide_strain(&p, &strain);
        mid_snapshot s = rows[i].s;
        s.allocated_bytes = 1;
        mid_work_plan plan = mid_decide(&p, &s, &o, T), again = mid_decide(&p, &s, &o, T);
        assert_memory_equal(&plan, &again, sizeof plan);
        if (plan.action != rows[i].action || plan.keep != rows[i].keep)
            fail_msg("%s: action %d keep %llu", rows[i].name, plan.action, (unsigned long long)plan.keep);
        if (plan.action != MID_ACT_NONE && (plan.trigger != MID_WHY_STALLS || plan.value != rows[i].level || plan.threshold != rows[i].threshold))
            fail_msg("%s: why %d value %d threshold %d", rows[i].name, plan.trigger, (int)plan.value, (int)plan.threshold);
    }
}

/* An urge: first the garbage, then the pools, for a few at `compact`, for a single one at `everything`; and then no more. */
TEST(urge_packs_pools_once)
{
    static const struct {
        mid_pressure_level level;
        uint64_t gain;
        bool packs;
    } rows[] = {{COMPACT, KB(256), true}, {COMPACT, KB(192), false}, {EVERYTHING, KB(64), true}, {EVERYTHING, 0, false}};
    mid_options o = options_of(NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        mid_pacer p = fresh();
        mid_snapshot s = {RUNNING, .live_slot_bytes = MB(100), .live_at_collection = MB(100), .pool_bytes = MB(101),
                          .gain_bytes = rows[i].gain, .allocated_bytes = 1};
        mid_decide_strain(&p, &(mid_strain){.level = rows[i].level, .why = MID_WHY_SIGNAL, .urges = 1});
        mid_work_plan plan = mid_decide(&p, &s, &o, T);
        assert_int_equal(plan.action, MID_ACT_COLLECT);
        mid_outcome out = {.stopped = true, .status = MID_OK, .took = 100, .before = s, .after = s};
        mid_decide_done(&p, &plan, &out, &o, T + 100);
        plan = mid_decide(&p, &s, &o, T + 100);
        assert_int_equal(plan.action, rows[i].packs ? MID_ACT_COMPACT : MID_ACT_NONE);
        if (!rows[i].packs)
            continue;
        assert_int_equal(plan.trigger, MID_WHY_SIGNAL);
        out.pools_emptied = 1;
        out.after.gain_bytes = 0;
        mid_decide_done(&p, &plan, &out, &o, T + 200);
        assert_int_equal(mid_decide(&p, &out.after, &o, T + 100000).action, MID_ACT_NONE);
        assert_int_equal(mid_decide(&p, &s, &o, T + 200000).action, MID_ACT_NONE); /* the same gain again */
    }
}

TEST(large_heap_is_swept_once_for_an_urge)
{
    mid_options o = options_of(NULL);
    mid_pacer p = fresh();
    p.large = true;
    mid_snapshot s = {RUNNING, .live_slot_bytes = MB(900), .live_at_collection = MB(900), .live_objects = 30000000, .allocated_bytes = 1};
    mid_strain strain = {.level = COMPACT, .why = MID_WHY_WATCH, .urges = 1};
    mid_decide_strain(&p, &strain);
    mid_work_plan plan = mid_decide(&p, &s, &o, T);
    assert_int_equal(plan.action, MID_ACT_SWEEP);
    assert_int_equal(plan.trigger, MID_WHY_WATCH);
    mid_outcome out = {.stopped = true, .status = MID_MORE, .took = 1000, .before = s, .after = s};
    out.after.sweeping = s.sweeping = MID_SWEEPS_RUNNING;
    mid_decide_done(&p, &plan, &out, &o, T + 1000);
    plan = mid_decide(&p, &s, &o, T + 3000); /* at half a processor it goes on after as long */
    assert_int_equal(plan.action, MID_ACT_SWEEP);
    out = (mid_outcome){.stopped = true, .status = MID_OK, .took = 1000, .before = s, .after = s};
    out.after.sweeping = s.sweeping = MID_SWEEPS_NOT;
    mid_decide_done(&p, &plan, &out, &o, T + 4000);
    assert_int_equal(mid_decide(&p, &s, &o, T + 1000000 / 5).action, MID_ACT_NONE);
    mid_decide_strain(&p, &strain); /* the same urge is none */
    assert_int_equal(mid_decide(&p, &s, &o, T + 1000000 / 5).action, MID_ACT_NONE);
}

TEST(limits_make_collections_sooner)
{
    mid_options o = options_of("collect-stop=60s");
    mid_pacer p = fresh();
    mid_snapshot s = {RUNNING, .live_slot_bytes = MB(100), .live_at_collection = MB(100), .committed_bytes = MB(120), .allocated_bytes = 1};
    mid_decide(&p, &s, &o, T);
    assert_int_equal(mid_collect_growth(&p, &o).percent, 75);
    mid_decide_strain(&p, &(mid_strain){.soft = MB(160)});
    assert_int_equal(mid_collect_growth(&p, &o).least, MB(35)); /* seven eighths of 40 */
    mid_decide_strain(&p, &(mid_strain){.soft = MB(160), .hard = MB(136)});
    assert_int_equal(mid_collect_growth(&p, &o).least, MB(14));
    mid_decide_strain(&p, &(mid_strain){.soft = MB(110)});
    assert_int_equal(mid_collect_growth(&p, &o).least, MB(100) / 16); /* never for nothing */
    p.backoff = 8;
    assert_int_equal(mid_collect_growth(&p, &o).least, MB(100) / 2);
}

/* --- properties over simulated heaps -------------------------------------------------------------------------------- */

/* A heap as figures: what is garbage is known here and not to the rules. */
struct sim {
    mid_options o;
    mid_pacer p;
    mid_gauge gauge;
    mid_snapshot s;
    uint64_t garbage, now, seed, used, collects, compacts;
    bool gainless; /* passes move nothing */
};

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

static void commit(struct sim *sim)
{
    if (sim->s.pool_bytes < sim->s.live_slot_bytes) { /* from the empty ones first */
        take(&sim->s.empty_bytes, sim->s.live_slot_bytes + KB(64) - sim->s.pool_bytes);
        sim->s.pool_bytes = sim->s.live_slot_bytes + KB(64);
    }
    sim->s.gain_bytes = sim->gainless ? KB(640) : (sim->s.pool_bytes - sim->s.live_slot_bytes) / KB(64) * KB(64);
    sim->s.committed_bytes = sim->s.pool_bytes + sim->s.empty_bytes;
}

static struct sim sim_open(const char *options, uint64_t seed)
{
    struct sim sim = {.o = options_of(options), .now = T, .seed = seed, .s = {RUNNING}};
    mid_pacer_init(&sim.p, &sim.s, sim.now);
    return sim;
}

static void sim_act(struct sim *sim, const mid_work_plan *plan, mid_outcome *out)
{
    mid_snapshot *s = &sim->s;
    out->status = MID_OK;
    switch (plan->action) {
    case MID_ACT_DRAIN:
        out->done = take(&s->waiting_objects, 20 * out->took);
        out->status = s->waiting_objects == 0 ? MID_OK : MID_MORE;
        break;
    case MID_ACT_COLLECT:
        s->live_slot_bytes -= take(&sim->garbage, UINT64_MAX);
        s->live_at_collection = s->live_slot_bytes;
        sim->collects++;
        break;
    case MID_ACT_COMPACT:
        out->done = sim->gainless ? 0 : take(&s->gain_bytes, KB(2) * out->took / KB(64) * KB(64));
        out->pools_emptied = out->done / KB(64);
        s->pool_bytes -= out->done;
        s->empty_bytes += out->done;
        out->status = s->gain_bytes == 0 ? MID_OK : MID_MORE;
        sim->compacts++;
        break;
    default:
        out->done = s->empty_bytes > plan->keep ? take(&s->empty_bytes, KB(64) * (out->took / 6 + 1)) : 0;
        out->status = s->empty_bytes <= plan->keep ? MID_OK : MID_MORE;
    }
    commit(sim);
}

static uint64_t sim_look(struct sim *sim, const mid_reading *r)
{
    mid_strain strain = mid_gauge_read(&sim->gauge, r, &sim->o, sim->s.committed_bytes, sim->now);
    mid_decide_strain(&sim->p, &strain);
    mid_work_plan plan = mid_decide(&sim->p, &sim->s, &sim->o, sim->now);
    if (plan.action == MID_ACT_NONE) {
        assert_true(plan.look_in > 0);
        return plan.look_in;
    }
    mid_outcome out = {.stopped = true, .before = sim->s};
    out.took = plan.budget + below(sim, plan.budget / 10 + 1);
    sim_act(sim, &plan, &out);
    out.after = sim->s;
    sim->now += out.took;
    sim->used += plan.action == MID_ACT_COLLECT ? 0 : out.took;
    mid_decide_done(&sim->p, &plan, &out, &sim->o, sim->now);
    return 0;
}

static mid_reading any_reading(struct sim *sim)
{
    mid_reading r = {.free_known = below(sim, 2), .free = below(sim, 100), .whole = 100, .said = below(sim, 3)};
    for (unsigned i = 0; i < MID_LIMIT; i++) {
        r.came[i] = below(sim, 8) == 0 ? (mid_pressure_level)below(sim, 4) : CALM;
        r.measured[i] = below(sim, 2);
    }
    return r;
}

TEST(never_more_than_the_raised_share)
{
    static const char *const settings[] = {"idle=3600s", "idle=3600s,share=1", "idle=3600s,share=5,soft-limit=10M", "idle=3600s,share=75,heap-limit=64M"};
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct sim sim = sim_open(settings[i], i + 1);
        uint64_t share = sim.o.share > 50 ? sim.o.share : 50;
        for (unsigned round = 0; round < 3000; round++) {
            sim.s.allocated_bytes += below(&sim, MB(2)) + 1;
            sim.s.live_slot_bytes += below(&sim, MB(2));
            take(&sim.s.live_slot_bytes, below(&sim, MB(2)));
            sim.garbage = below(&sim, sim.s.live_slot_bytes + 1);
            sim.s.waiting_objects += below(&sim, 8) == 0 ? below(&sim, 60000) : 0;
            sim.s.pool_bytes = sim.s.live_slot_bytes + below(&sim, MB(20));
            sim.s.empty_bytes = below(&sim, 16) * MB(1);
            commit(&sim);
            uint64_t end = sim.now + 1 + below(&sim, 5000);
            while (sim.now < end) {
                mid_reading r = any_reading(&sim);
                uint64_t wait = sim_look(&sim, &r);
                sim.now = wait < end - sim.now ? sim.now + wait : sim.now < end ? end : sim.now;
            }
            assert_in_range(sim.used, 0, (sim.now - T) * share / 100 + sim.o.slice * 11 / 10);
        }
        assert_true(sim.used > (sim.now - T) / 10); /* it was not by doing nothing */
    }
}

/* Constant load under constant pressure: what can be gained is gained, and then it is quiet. */
TEST(constant_load_under_pressure_does_not_oscillate)
{
    for (unsigned level = TRIM; level <= EVERYTHING; level++)
        for (unsigned gainless = 0; gainless < 2; gainless++) {
            struct sim sim = sim_open("idle=3600s", level);
            sim.gainless = gainless;
            sim.s.live_slot_bytes = sim.s.live_at_collection = MB(100);
            sim.s.pool_bytes = MB(104);
            sim.s.empty_bytes = MB(10);
            mid_reading r = {SCARCE, .came[MID_PROGRAM] = (mid_pressure_level)level, .said = 1};
            uint64_t settled = 0;
            for (unsigned round = 0; round < 3000; round++) {
                sim.s.allocated_bytes += KB(100);
                sim.s.live_slot_bytes = MB(100) + below(&sim, MB(1));
                commit(&sim);
                uint64_t end = sim.now + 10000;
                while (sim.now < end) {
                    uint64_t wait = sim_look(&sim, &r);
                    sim.now = wait < end - sim.now ? sim.now + wait : sim.now < end ? end : sim.now;
                }
                if (round == 1000)
                    settled = sim.used;
            }
            assert_in_range(sim.collects, 0, 1);
            assert_in_range(sim.compacts, 0, gainless ? 64 : 200);
            assert_true(sim.used - settled <= (sim.now - T) / 50); /* 2 % at most */
        }
}

static uint64_t most_gain(const struct sim *sim)
{
    uint64_t few = sim->o.waste_min / 4, part = sim->s.live_slot_bytes / 50;
    return few > part ? few : part;
}

/* Above the hard limit nothing that could go stays, once the looks that are due have been had. */
TEST(never_above_the_hard_limit_while_garbage_waits)
{
    unsigned saved = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct sim sim = sim_open("idle=3600s,heap-limit=64M", seed);
        mid_reading calm = {.free_known = true, .free = 90, .whole = 100};
        sim.s.mutator = (mid_mutator_state)below(&sim, 3);
        for (unsigned round = 0; round < 20; round++) {
            uint64_t live = MB(10) + below(&sim, MB(60));
            sim.garbage = below(&sim, live);
            sim.s.live_slot_bytes = live;
            sim.s.live_at_collection = live - sim.garbage - (below(&sim, 2) ? 0 : below(&sim, live - sim.garbage));
            sim.s.pool_bytes = live + below(&sim, MB(10));
            sim.s.empty_bytes = below(&sim, MB(10));
            sim.s.waiting_objects = below(&sim, 1000);
            sim.s.allocated_bytes++;
            commit(&sim);
            bool was_above = sim.s.committed_bytes > MB(60);
            uint64_t wait;
            for (unsigned looks = 0; looks < 20000 && (wait = sim_look(&sim, &calm)) < sim.o.heartbeat; looks++)
                sim.now += wait;
            bool above = sim.s.committed_bytes > MB(60);
            if (above) { /* then all of it is live */
                uint64_t floor = sim.s.live_at_collection / 16 * sim.p.backoff * 2;
                assert_true(sim.garbage <= (floor > KB(64) * 16 ? floor : KB(64) * 16));
                assert_int_equal(sim.s.waiting_objects, 0);
                assert_int_equal(sim.s.empty_bytes, 0);
                assert_in_range(sim.s.gain_bytes, 0, most_gain(&sim));
            }
            saved += was_above && !above;
            sim.now += SECONDS(5);
        }
    }
    assert_true(saved > 1000);
}

/* Growing under a soft limit, with enough garbage: it is not passed by more than the room that was left in pools. */
TEST(soft_limit_is_kept_where_garbage_allows_it)
{
    struct sim sim = sim_open("idle=3600s,soft-limit=100M,growth=400%", 9);
    mid_reading calm = {.free_known = true, .free = 90, .whole = 100};
    uint64_t highest = 0;
    sim.s.live_slot_bytes = sim.s.live_at_collection = MB(40);
    sim.s.mutator = MID_MUTATOR_BLOCKED;
    for (unsigned round = 0; round < 5000; round++) {
        sim.s.allocated_bytes += KB(200);
        sim.s.live_slot_bytes += KB(200);
        sim.garbage += KB(200);
        commit(&sim);
        highest = sim.s.committed_bytes > highest ? sim.s.committed_bytes : highest;
        for (uint64_t end = sim.now + 10000; sim.now < end;) {
            uint64_t wait = sim_look(&sim, &calm);
            sim.now = wait < end - sim.now ? sim.now + wait : sim.now < end ? end : sim.now;
        }
    }
    assert_in_range(highest, MB(60), MB(100));
    assert_in_range(sim.collects, 10, 100);
}

TEST(idle_heap_stops_waking_under_any_level)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim sim = sim_open("soft-limit=10M", seed);
        mid_reading r = any_reading(&sim);
        sim.gainless = below(&sim, 2);
        sim.s.mutator = (mid_mutator_state)below(&sim, 3);
        sim.s.live_slot_bytes = below(&sim, MB(100));
        sim.garbage = below(&sim, sim.s.live_slot_bytes + 1);
        sim.s.pool_bytes = sim.s.live_slot_bytes + below(&sim, MB(20));
        sim.s.empty_bytes = below(&sim, 16) * MB(1);
        sim.s.waiting_objects = below(&sim, 100000);
        commit(&sim);
        uint64_t looks = 0, wait;
        while ((wait = sim_look(&sim, &r)) != MID_NEVER) {
            for (unsigned i = 0; i < MID_PROGRAM; i++)
                r.came[i] = CALM; /* it came once */
            sim.now += wait;
            assert_true(++looks < 20000);
        }
        assert_int_equal(sim.s.waiting_objects, 0);
        assert_in_range(sim.s.empty_bytes, 0, sim.o.reserve);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stalls_text),
        cmocka_unit_test(numbers_and_keys),
        cmocka_unit_test(own_cgroup_of_text),
        cmocka_unit_test(base64_text),
        cmocka_unit_test(random_texts_are_refused_or_understood),
        cmocka_unit_test(levels_of_events),
        cmocka_unit_test(levels_and_the_gate),
        cmocka_unit_test(levels_of_totals),
        cmocka_unit_test(levels_of_the_program_and_limits),
        cmocka_unit_test(usage_about_a_threshold_changes_the_level_once),
        cmocka_unit_test(balance_is_the_papers_rule),
        cmocka_unit_test(balance_sets_the_growth_that_is_enough),
        cmocka_unit_test(table_of_pressed_looks),
        cmocka_unit_test(urge_packs_pools_once),
        cmocka_unit_test(large_heap_is_swept_once_for_an_urge),
        cmocka_unit_test(limits_make_collections_sooner),
        cmocka_unit_test(never_more_than_the_raised_share),
        cmocka_unit_test(constant_load_under_pressure_does_not_oscillate),
        cmocka_unit_test(never_above_the_hard_limit_while_garbage_waits),
        cmocka_unit_test(soft_limit_is_kept_where_garbage_allows_it),
        cmocka_unit_test(idle_heap_stops_waking_under_any_level),
    };
    return UNIT_RUN(tests);
}
