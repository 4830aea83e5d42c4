/* One budget and several heaps: the division, on figures of every kind; the lines in which heaps say them; and how much collecting it
 * saves, in a model of heaps that allocate and collect. */
#include "unit.h"

#include "daemon/balance.h"
#include "daemon/divide.h"
#include "daemon/tell.h"

#define MB UINT64_C(1000000)
#define GB UINT64_C(1000000000)
#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t divided(uint64_t budget, mid_portion *p, size_t count)
{
    uint64_t sum = 0;
    mid_divide(budget, p, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(p[i].limit >= mid_need_least(&p[i].need));
        sum += p[i].limit;
    }
    return sum;
}

static mid_portion heap_of(uint64_t live, uint64_t rate, uint64_t speed)
{
    return (mid_portion){.need = {.live = live, .held = live, .rate = rate, .speed = speed}};
}

/* --- the division -------------------------------------------------------------------------------------------------- */

TEST(sixteen_times_the_rate_four_times_the_extra)
{
    mid_portion p[] = {heap_of(100 * MB, 160 * MB, GB), heap_of(100 * MB, 10 * MB, GB)};
    assert_int_equal(divided(700 * MB, p, 2), 700 * MB);
    assert_in_range(p[0].limit, 500 * MB - 10, 500 * MB + 10);
    assert_in_range(p[1].limit, 200 * MB - 10, 200 * MB + 10);
    p[0].need.speed = 16 * GB; /* what is collected faster needs less */
    assert_int_equal(divided(700 * MB, p, 2), 700 * MB);
    assert_in_range(p[0].limit, 350 * MB - 10, 350 * MB + 10);
}

TEST(what_is_held_counts_and_not_only_what_lives)
{
    mid_portion p[] = {heap_of(100 * MB, 10 * MB, GB), heap_of(100 * MB, 10 * MB, GB)};
    p[0].need.held = 300 * MB;
    assert_int_equal(divided(600 * MB, p, 2), 600 * MB);
    assert_in_range(p[0].limit, 400 * MB - 1, 400 * MB + 1);
}

TEST(an_idle_heap_gives_back_and_so_does_one_that_is_gone)
{
    mid_portion p[] = {heap_of(80 * MB, 10 * MB, GB), heap_of(80 * MB, 10 * MB, GB), heap_of(80 * MB, 10 * MB, GB)};
    assert_int_equal(divided(600 * MB, p, 3), 600 * MB);
    assert_in_range(p[0].limit, 200 * MB - 2, 200 * MB + 2);
    p[2].need.rate = 0;
    assert_int_equal(divided(600 * MB, p, 3), 600 * MB);
    assert_int_equal(p[2].limit, mid_need_least(&p[2].need));
    assert_int_equal(p[2].limit, 90 * MB);
    assert_in_range(p[0].limit, 255 * MB - 2, 255 * MB + 2);
    assert_int_equal(divided(600 * MB, p, 2), 600 * MB);
    assert_int_equal(p[0].limit, 300 * MB);
    assert_int_equal(divided(600 * MB, p, 1), 600 * MB);
}

TEST(nobody_allocates)
{
    mid_portion p[] = {heap_of(100 * MB, 0, GB), heap_of(10 * MB, 0, 0)};
    assert_int_equal(divided(210 * MB, p, 2), 210 * MB);
    assert_int_equal(p[0].limit, 150 * MB);
}

TEST(a_heap_that_has_not_collected_is_like_the_mean)
{
    mid_portion p[] = {heap_of(100 * MB, 10 * MB, GB), heap_of(100 * MB, 90 * MB, GB), heap_of(0, 1 * MB, 0)};
    assert_int_equal(divided(800 * MB, p, 3), 800 * MB);
    assert_in_range(p[2].limit, 200 * MB - 2, 200 * MB + 2); /* 1 : 3 : 2 */
    p[0].need.speed = p[1].need.speed = 0;
    assert_int_equal(divided(800 * MB, p, 3), 800 * MB);
    assert_in_range(p[2].limit, 200 * MB - 2, 200 * MB + 2); /* all alike */
}

TEST(too_small_a_budget_is_passed_by_what_is_least)
{
    mid_portion p[] = {heap_of(100 * MB, 10 * MB, GB), heap_of(80 * MB, 90 * MB, GB)};
    uint64_t least = mid_need_least(&p[0].need) + mid_need_least(&p[1].need);
    assert_int_equal(divided(0, p, 2), least);
    assert_int_equal(divided(100 * MB, p, 2), least);
    assert_int_equal(divided(least - 1, p, 2), least);
    assert_int_equal(divided(least, p, 2), least);
    assert_int_equal(divided(least + 1, p, 2), least + 1);
    mid_divide(GB, NULL, 0);
}

TEST(absurd_figures)
{
    static const uint64_t odd[] = {0, 1, 2, 4095, MB, GB, UINT64_C(1) << 47, UINT64_C(1) << 48, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    uint64_t seed = 1;
    for (size_t round = 0; round < unit_scale(20000) + 100; round++) {
        mid_portion p[9];
        size_t count = 1 + unit_random(&seed) % COUNT(p);
        uint64_t budget = odd[unit_random(&seed) % COUNT(odd)], least = 0, most = 0;
        for (size_t i = 0; i < count; i++) {
            p[i] = heap_of(odd[unit_random(&seed) % COUNT(odd)], odd[unit_random(&seed) % COUNT(odd)], odd[unit_random(&seed) % COUNT(odd)]);
            p[i].need.held = odd[unit_random(&seed) % COUNT(odd)];
            least += mid_need_least(&p[i].need);
        }
        uint64_t sum = divided(budget, p, count);
        most = budget < UINT64_C(1) << 56 ? budget : UINT64_C(1) << 56;
        assert_int_equal(sum, least > most ? least : most);
    }
}

/* No limit goes down when there is more to divide. */
TEST(a_larger_budget_is_less_for_nobody)
{
    uint64_t seed = 2;
    for (size_t round = 0; round < unit_scale(300) + 10; round++) {
        mid_portion p[6];
        uint64_t before[6] = {0};
        for (size_t i = 0; i < COUNT(p); i++)
            p[i] = heap_of(unit_random(&seed) % (200 * MB), unit_random(&seed) % GB, 1 + unit_random(&seed) % GB);
        for (uint64_t budget = 0; budget < 4 * GB; budget += 100 * MB) {
            divided(budget, p, COUNT(p));
            for (size_t i = 0; i < COUNT(p); i++) {
                assert_true(p[i].limit + COUNT(p) >= before[i]);
                before[i] = p[i].limit;
            }
        }
    }
}

TEST(what_is_worth_saying_again)
{
    mid_need then = {100 * MB, 110 * MB, 10 * MB, GB}, now = then;
    assert_false(mid_need_changed(&now, &then));
    now.rate = 11 * MB;
    assert_false(mid_need_changed(&now, &then));
    now.rate = 11 * MB + 1;
    assert_true(mid_need_changed(&now, &then));
    now = then, now.live = 89 * MB;
    assert_true(mid_need_changed(&now, &then));
    now = then, now.speed = 0;
    assert_true(mid_need_changed(&now, &then));
    then.held = 0, now = then, now.held = 1;
    assert_true(mid_need_changed(&now, &then));
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

static bool keep(void *context, const char *line)
{
    snprintf(context, 200, "%s", line);
    return strcmp(line, "no") != 0;
}

TEST(lines_are_read_or_refused)
{
    static const char *const bad[] = {"", "need", "need 1 2 3", "need 1 2 3 ", "need 1 2 3 4 ", "need 1 2 3 4 5", "need  1 2 3 4", "need 1 2 3 -4",
                                      "need 1 2 3 18446744073709551616", "need 1 2 3 99999999999999999999999", "Need 1 2 3 4", "need 0x1 2 3 4",
                                      "limit 5", "need 1\t2 3 4", "need +1 2 3 4", "need 1 2 3 4\r"};
    static const char *const bad_limits[] = {"", "limit", "limit ", "limit 1 2", "limit -1", "limit 1.5", "limit18", "limit 18446744073709551616", "need 1 2 3 4"};
    mid_need need = {7, 7, 7, 7};
    uint64_t limit = 7;
    assert_true(mid_tell_read_need("need 1 20 0 18446744073709551615", &need));
    assert_true(need.live == 1 && need.held == 20 && need.rate == 0 && need.speed == UINT64_MAX);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(mid_tell_read_need(bad[i], &need));
        assert_int_equal(need.held, 20);
    }
    for (size_t i = 0; i < COUNT(bad_limits); i++)
        assert_false(mid_tell_read_limit(bad_limits[i], &limit));
    assert_int_equal(limit, 7);
    mid_line_out out = {0};
    mid_line_in in = {0};
    char last[200] = "";
    assert_true(mid_tell_silent(&out));
    mid_tell_need(&out, &(mid_need){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX});
    assert_false(mid_tell_silent(&out));
    assert_true(mid_tell_take(&in, out.bytes, out.length, keep, last));
    assert_true(mid_tell_read_need(last, &need) && need.speed == UINT64_MAX);
    mid_tell_limit(&out, UINT64_MAX);
    for (size_t i = 0; i < out.length; i++) /* in any pieces */
        assert_true(mid_tell_take(&in, out.bytes + i, 1, keep, last));
    assert_true(mid_tell_read_limit(last, &limit) && limit == UINT64_MAX);
}

TEST(lines_that_are_none)
{
    char many[2 * MID_TELL_MOST], last[200] = "";
    mid_line_in in = {0};
    memset(many, 'x', sizeof many);
    assert_true(mid_tell_take(&in, many, MID_TELL_MOST - 1, keep, last));
    assert_true(mid_tell_take(&in, "\n", 1, keep, last));
    assert_int_equal(strlen(last), MID_TELL_MOST - 1);
    assert_true(mid_tell_take(&in, many, MID_TELL_MOST - 1, keep, last));
    assert_false(mid_tell_take(&in, many, 1, keep, last));
    in.length = 0;
    assert_false(mid_tell_take(&in, many, sizeof many, keep, last));
    in.length = 0;
    assert_false(mid_tell_take(&in, "a\0b\n", 4, keep, last));
    in.length = 0;
    assert_false(mid_tell_take(&in, "a\nno\nb\n", 7, keep, last));
    assert_string_equal(last, "no");
}

/* --- how much it saves: heaps that allocate, collect when they are full, and measure themselves ----------------------- */

#define STEP_MICROS 100000u
#define STEPS 6000 /* ten minutes */
#define HEAPS_MOST 16

struct model {
    uint64_t live, rate, speed; /* what is so */
    uint64_t limit, used;       /* live and what has been allocated since the last collection */
    mid_rates rates;            /* what is measured */
    uint64_t collecting;        /* micros */
};

static mid_need measured(const struct model *m)
{
    const mid_rates *r = &m->rates;
    return (mid_need){.live = m->live, .held = m->live, .rate = r->allocated_micros == 0 ? 0 : r->allocated_bytes * 1000000 / r->allocated_micros,
                      .speed = r->traced_micros == 0 ? 0 : r->traced_bytes * 1000000 / r->traced_micros};
}

/* A tenth of a second: what is allocated in it is uneven, and a collection is made whenever the limit is reached. */
static void step(struct model *m, uint64_t *seed)
{
    uint64_t bytes = m->rate * STEP_MICROS / 1000000 * (50 + unit_random(seed) % 101) / 100, left = bytes;
    while (m->used + left > m->limit) {
        uint64_t room = m->limit > m->used ? m->limit - m->used : 0, micros = m->live * 1000000 / m->speed;
        left -= room;
        m->used = m->live;
        m->collecting += micros;
        mid_rate_collection(&m->rates, m->live, micros);
        assert_true(m->limit > m->live);
    }
    m->used += left;
    mid_rate_allocation(&m->rates, bytes, STEP_MICROS);
}

/* Time in collections of them all. Evenly: each the same above what lives, which is kinder than the same limit for each. */
static uint64_t run(const struct model *heaps, size_t count, uint64_t budget, bool evenly)
{
    struct model m[HEAPS_MOST];
    mid_portion p[HEAPS_MOST];
    uint64_t seed = 3, live = 0, sum = 0;
    memcpy(m, heaps, count * sizeof *m);
    for (size_t i = 0; i < count; i++) {
        m[i].used = m[i].live;
        live += m[i].live;
    }
    for (int at = 0; at < STEPS; at++) {
        for (size_t i = 0; i < count; i++)
            p[i] = (mid_portion){.need = measured(&m[i])};
        assert_int_equal(divided(budget, p, count), budget);
        for (size_t i = 0; i < count; i++) {
            m[i].limit = evenly ? m[i].live + (budget - live) / count : p[i].limit;
            step(&m[i], &seed);
        }
    }
    for (size_t i = 0; i < count; i++)
        sum += m[i].collecting;
    return sum;
}

static void saves(const char *what, const struct model *heaps, size_t count, uint64_t budget)
{
    uint64_t even = run(heaps, count, budget, true), rule = run(heaps, count, budget, false);
    print_message("%s: %.3f of the time in collections that an even division takes (%.1f s)\n", what, (double)rule / (double)even, (double)even / 1e6);
    assert_true(rule * 100 <= even * 85);
}

TEST(two_heaps_collect_less)
{
    const struct model heaps[] = {{.live = 100 * MB, .rate = 160 * MB, .speed = GB}, {.live = 100 * MB, .rate = 10 * MB, .speed = GB}};
    saves("2 heaps, 16:1", heaps, 2, 400 * MB);
    saves("2 heaps, 16:1, more memory", heaps, 2, 1000 * MB);
}

TEST(sixteen_heaps_collect_less)
{
    struct model heaps[16];
    for (size_t i = 0; i < 16; i++) /* rates 1 to 64, sizes and speeds mixed */
        heaps[i] = (struct model){.live = (20 + 15 * (i * 5 % 16)) * MB, .rate = MB << i % 7, .speed = (400 + 100 * (i * 3 % 8)) * MB};
    saves("16 heaps, 64:1", heaps, 16, 4500 * MB);
    for (size_t i = 0; i < 16; i++)
        heaps[i].live = 100 * MB, heaps[i].rate = (i % 4 == 0 ? 80 : 5) * MB, heaps[i].speed = GB;
    saves("16 heaps, 16:1", heaps, 16, 4000 * MB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_times_the_rate_four_times_the_extra),
        cmocka_unit_test(what_is_held_counts_and_not_only_what_lives),
        cmocka_unit_test(an_idle_heap_gives_back_and_so_does_one_that_is_gone),
        cmocka_unit_test(nobody_allocates),
        cmocka_unit_test(a_heap_that_has_not_collected_is_like_the_mean),
        cmocka_unit_test(too_small_a_budget_is_passed_by_what_is_least),
        cmocka_unit_test(absurd_figures),
        cmocka_unit_test(a_larger_budget_is_less_for_nobody),
        cmocka_unit_test(what_is_worth_saying_again),
        cmocka_unit_test(lines_are_read_or_refused),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(two_heaps_collect_less),
        cmocka_unit_test(sixteen_heaps_collect_less),
    };
    return UNIT_RUN(tests);
}
