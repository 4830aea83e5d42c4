/* Weak maps of which most pairs have gone. */
#include "deep.h"
#include "fault_os.h"
#include "gc/weak.h"

#include "midden/weak.h"

enum { PAIRS = 3000, EVERY = 40 };

struct maps {
    struct unit u;
    mid_weak_kind kind;
    mid_handle map;
    mid_handle weak[PAIRS]; /* counted: what decides how long a pair lives */
};

static mid_handle half(struct maps *m, uint64_t value)
{
    mid_handle made = unit_new(&m->u, m->u.node);
    unit_node(&m->u, made)->value = value;
    return made;
}

/* Pair i: node i and node i + PAIRS; of weak values the key is the integer i. */
static void put(struct maps *m, unsigned i)
{
    m->weak[i] = half(m, i);
    if (m->kind == MID_WEAK_KEYS) {
        mid_handle value = half(m, i + PAIRS);
        ok(mid_weak_map_set(m->u.thread, m->map, m->weak[i], value));
        mid_release(m->u.thread, value);
    } else {
        ok(mid_weak_map_set(m->u.thread, m->map, mid_from_int((int32_t)i), m->weak[i]));
    }
}

static void expect_pair(struct maps *m, unsigned i)
{
    mid_handle found, key = m->kind == MID_WEAK_KEYS ? m->weak[i] : mid_from_int((int32_t)i);
    ok(mid_weak_map_get(m->u.thread, m->map, key, &found));
    assert_int_not_equal(found, 0);
    assert_int_equal(unit_node(&m->u, found)->value, m->kind == MID_WEAK_KEYS ? i + PAIRS : i);
    mid_release(m->u.thread, found);
}

static void fill(struct maps *m, mid_weak_kind kind)
{
    m->kind = kind;
    ok(mid_weak_map_new(m->u.thread, kind, &m->map));
    for (unsigned i = 0; i < PAIRS; i++)
        put(m, i);
}

static void most_die(struct maps *m)
{
    for (unsigned i = 0; i < PAIRS; i++)
        if (i % EVERY != 0) {
            mid_release(m->u.thread, m->weak[i]);
            m->weak[i] = 0;
        }
    unit_drain(&m->u);
}

static size_t items(struct maps *m)
{
    size_t count;
    ok(mid_items_of(m->u.thread, m->map, &count));
    return count;
}

static void change(struct maps *m) /* one pair, as it was */
{
    mid_release(m->u.thread, m->weak[0]);
    put(m, 0);
}

static void finish(struct maps *m)
{
    unit_check(&m->u);
    for (unsigned i = 0; i < PAIRS; i++)
        mid_release(m->u.thread, m->weak[i]);
    mid_release(m->u.thread, m->map);
    unit_drain(&m->u);
    unit_close_empty(&m->u);
}

static void shrinks(mid_weak_kind kind, const char *options, mid_compact_kind compact)
{
    static struct maps m;
    memset(&m, 0, sizeof m);
    unit_open(&m.u, options);
    fill(&m, kind);
    size_t before = items(&m);
    size_t table = m.u.heap->pairs.bytes;
    most_die(&m);
    assert_int_equal(items(&m), before);
    change(&m);
    assert_true(items(&m) <= before / 8);
    unit_check(&m.u);
    ok(mid_compact(m.u.thread, compact, 0, NULL));
    unit_check(&m.u);
    for (unsigned i = 0; i < PAIRS; i += EVERY)
        expect_pair(&m, i);
    for (unsigned i = 1; i < PAIRS; i++) /* and grows again */
        if (i % EVERY != 0)
            put(&m, i);
    assert_int_equal(items(&m), before);
    for (unsigned i = 0; i < PAIRS; i++)
        expect_pair(&m, i);
    most_die(&m);
    ok(mid_trim(m.u.thread, 0, NULL)); /* the table of all pairs */
    assert_true(m.u.heap->pairs.bytes < table);
    for (unsigned i = 0; i < PAIRS; i += EVERY)
        expect_pair(&m, i);
    finish(&m);
}

TEST(weak_keys) { shrinks(MID_WEAK_KEYS, "", MID_COMPACT_PLAIN); }
TEST(weak_values) { shrinks(MID_WEAK_VALUES, "", MID_COMPACT_PLAIN); }
TEST(weak_keys_renamed) { shrinks(MID_WEAK_KEYS, "deep=table", MID_COMPACT_DEEP); }
TEST(weak_values_renamed) { shrinks(MID_WEAK_VALUES, "deep=table", MID_COMPACT_DEEP); }

/* Whoever is under way meets each that stays once, so it waits for him, and for each of two. */
TEST(not_while_somebody_goes_through_it)
{
    static struct maps m;
    static unsigned met[2][PAIRS];
    memset(met, 0, sizeof met);
    memset(&m, 0, sizeof m);
    unit_open(&m.u, "");
    fill(&m, MID_WEAK_KEYS);
    size_t before = items(&m), cursor[2] = {0, 0};
    bool over[2] = {false, false};
    for (unsigned step = 0; !over[0] || !over[1]; step++) {
        if (step == 20) {
            most_die(&m);
            change(&m);
        }
        for (unsigned who = 0; who < 2; who++) {
            mid_handle key, value;
            if (over[who] || (who == 1 && step % 3 != 0))
                continue;
            ok(mid_weak_map_next(m.u.thread, m.map, &cursor[who], &key, &value));
            over[who] = key == 0;
            if (key != 0)
                met[who][unit_node(&m.u, key)->value]++;
            mid_release(m.u.thread, key);
            mid_release(m.u.thread, value);
        }
        if (step >= 20 && !(over[0] && over[1])) {
            change(&m);
            assert_int_equal(items(&m), before);
        }
    }
    for (unsigned i = EVERY; i < PAIRS; i += EVERY) {
        assert_int_equal(met[0][i], 1);
        assert_int_equal(met[1][i], 1);
    }
    for (int again = 0; again < 3; again++) { /* over stays over */
        mid_handle key, value;
        ok(mid_weak_map_next(m.u.thread, m.map, &cursor[0], &key, &value));
        assert_int_equal(key, 0);
    }
    change(&m);
    assert_true(items(&m) <= before / 8);
    finish(&m);
}

TEST(pinned_or_without_memory_it_stays_and_is_whole)
{
    static struct maps m;
    for (int pinned = 0; pinned < 2; pinned++) {
        struct fault_os fault;
        memset(&m, 0, sizeof m);
        fault_open(&m.u, &fault, "reserve=0");
        fill(&m, MID_WEAK_KEYS);
        most_die(&m);
        if (pinned)
            ok(mid_pin(m.u.thread, m.map, NULL));
        fault.calls = 0;
        fault.for_good = 1;
        fault.fail_at = pinned ? 0 : 1;
        ok(mid_weak_map_set(m.u.thread, m.map, m.weak[0], m.map));
        fault.fail_at = 0;
        unit_check(&m.u);
        if (pinned)
            ok(mid_unpin(m.u.thread, m.map));
        for (unsigned i = EVERY; i < PAIRS; i += EVERY)
            expect_pair(&m, i);
        change(&m);
        for (unsigned i = 0; i < PAIRS; i += EVERY)
            expect_pair(&m, i);
        finish(&m);
        fault_os_done(&fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weak_keys),
        cmocka_unit_test(weak_values),
        cmocka_unit_test(weak_keys_renamed),
        cmocka_unit_test(weak_values_renamed),
        cmocka_unit_test(not_while_somebody_goes_through_it),
        cmocka_unit_test(pinned_or_without_memory_it_stays_and_is_whole),
    };
    return UNIT_RUN(tests);
}
