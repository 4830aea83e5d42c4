/* What evacuation reaches, against a search of all that it could have done: the fewest pools, and of all ways to get there
 * the one that moves least. Small heaps of one class, random in what lives and what is pinned. */
#include <stdbool.h>

#include "unit.h"

enum { POOLS = 8, OBJECTS = POOLS * 32 };

struct small {
    struct unit u;
    mid_handle object[OBJECTS];
    uint64_t at[OBJECTS];      /* the address, of those that are pinned */
    unsigned class_index, slots;
    size_t slot_size, count;
};

struct pools {
    unsigned count, live[POOLS], pinned[POOLS], all;
    uint64_t at[POOLS];
};

struct best {
    unsigned pools, moved;
};

static void small_open(struct small *s, size_t size)
{
    mid_class_stats stats;
    memset(s, 0, sizeof *s);
    unit_open(&s->u, "");
    while (mid_stats_class(s->u.heap, s->class_index, &stats) == MID_OK && stats.slot_size < size)
        s->class_index++;
    s->slots = stats.slots_per_pool;
    s->slot_size = stats.slot_size;
    assert_true(stats.slot_size == size && s->slots * POOLS <= OBJECTS);
}

/* Fill some pools, then let each keep a random part of its objects, and pin a few. */
static void small_fill(struct small *s, mid_type type, unsigned pin_percent, uint64_t *seed)
{
    s->count = (1 + unit_random(seed) % POOLS) * s->slots;
    for (size_t i = 0; i < s->count; i++)
        s->object[i] = unit_new(&s->u, type);
    for (size_t first = 0; first < s->count; first += s->slots) {
        unsigned keep = (unsigned)(unit_random(seed) % 101);
        for (size_t i = first; i < first + s->slots; i++)
            if (unit_random(seed) % 100 >= keep) {
                mid_release(s->u.thread, s->object[i]);
                s->object[i] = 0;
            } else {
                *(uint64_t *)mid_get(s->u.thread, s->object[i]) = i;
                if (unit_random(seed) % 100 < pin_percent) {
                    void *at;
                    ok(mid_pin(s->u.thread, s->object[i], &at));
                    s->at[i] = (uintptr_t)at;
                }
            }
    }
}

static void small_close(struct small *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->object[i] == 0)
            continue;
        assert_int_equal(*(uint64_t *)mid_get(s->u.thread, s->object[i]), i);
        if (s->at[i] != 0) {
            assert_int_equal((uintptr_t)mid_get(s->u.thread, s->object[i]), s->at[i]);
            ok(mid_unpin(s->u.thread, s->object[i]));
        }
        mid_release(s->u.thread, s->object[i]);
    }
    unit_close(&s->u);
}

static struct pools look(struct small *s)
{
    struct pools p = {0};
    for (size_t i = 0; i < s->count; i++) {
        if (s->object[i] == 0)
            continue;
        uint64_t at = (uintptr_t)mid_get(s->u.thread, s->object[i]) >> 16;
        unsigned n = 0;
        while (n < p.count && p.at[n] != at)
            n++;
        assert_true(n < POOLS);
        p.count += n == p.count;
        p.at[n] = at;
        p.live[n]++;
        p.pinned[n] += s->at[i] != 0;
        p.all++;
    }
    return p;
}

/* Every set of pools that could remain. */
static struct best search(const struct pools *p, unsigned slots)
{
    struct best best = {UINT32_MAX, UINT32_MAX};
    for (unsigned set = 0; set < 1u << p->count; set++) {
        struct best now = {0, p->all};
        bool may = true;
        for (unsigned n = 0; n < p->count; n++)
            if (set >> n & 1) {
                now.pools++;
                now.moved -= p->live[n];
            } else {
                may &= p->pinned[n] == 0;
            }
        if (may && now.pools * slots >= p->all &&
            (now.pools < best.pools || (now.pools == best.pools && now.moved < best.moved)))
            best = now;
    }
    return best;
}

/* Pools with free slots, by the objects in them. */
static unsigned sparse(const struct pools *p, unsigned slots)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->count; i++)
        n += p->live[i] < slots;
    return n;
}

/* One pass, in as many slices as the budget makes of it; the figures added up. */
static mid_compact_result pass(struct small *s, uint64_t budget)
{
    mid_compact_result sum = {0}, one;
    mid_status status;
    do {
        status = mid_compact(s->u.thread, MID_COMPACT_PLAIN, budget, &one);
        assert_true(status == MID_OK || status == MID_MORE);
        sum.moved_objects += one.moved_objects;
        sum.moved_bytes += one.moved_bytes;
        sum.least_bytes += one.least_bytes;
        sum.pools_pinned += one.pools_pinned;
        sum.pools_after = one.pools_after;
        sum.pools_optimal = one.pools_optimal;
        for (unsigned i = 0; i < MID_LEFT_COUNT; i++)
            sum.left[i] += i == MID_LEFT_BUDGET ? 0 : one.left[i];
        bool done = sum.left[MID_LEFT_GAIN] + sum.left[MID_LEFT_PINNED] != 0; /* with the class */
        assert_int_equal(one.left[MID_LEFT_BUDGET], done ? 0 : one.pools_after - one.pools_optimal);
    } while (status == MID_MORE);
    return sum;
}

static void compare(struct small *s, uint64_t budget)
{
    struct pools before = look(s);
    struct best best = search(&before, s->slots);
    mid_compact_result result = pass(s, budget);
    struct pools after = look(s);
    uint64_t needed = (before.all + s->slots - 1) / s->slots;
    assert_int_equal(after.count, best.pools);
    assert_int_equal(result.pools_after, best.pools);
    assert_int_equal(result.pools_optimal, needed);
    assert_int_equal(result.moved_objects, best.moved);
    assert_int_equal(result.moved_bytes, best.moved * s->slot_size);
    assert_int_equal(result.least_bytes, best.moved * s->slot_size);
    uint64_t left = best.pools > needed ? result.left[MID_LEFT_PINNED] : result.left[MID_LEFT_GAIN];
    assert_int_equal(left, sparse(&after, s->slots));
    assert_int_equal(result.left[MID_LEFT_GAIN] + result.left[MID_LEFT_PINNED], left);
    assert_int_equal(result.pools_pinned, result.left[MID_LEFT_PINNED]);
    mid_class_pass of;
    ok(mid_stats_pass(s->u.heap, s->class_index, &of));
    assert_int_equal(of.pools_before, before.count);
    assert_int_equal(of.pools_optimal, needed);
    assert_int_equal(of.pools_after, after.count);
    assert_int_equal(of.moved_bytes, result.moved_bytes);
    assert_int_equal(of.least_bytes, result.least_bytes);
    assert_memory_equal(of.left, result.left, sizeof of.left);
    unit_check(&s->u);
}

static void many(unsigned pin_percent, uint64_t budget, uint64_t seed)
{
    static const size_t sizes[] = {2048, 8192, 16384, 32768};
    size_t rounds = unit_scale(200) + 4;
    for (size_t round = 0; round < rounds; round++) {
        struct small s;
        size_t size = sizes[round % 4];
        small_open(&s, size);
        small_fill(&s, unit_plain_type(s.u.heap, "slot", size), pin_percent, &seed);
        compare(&s, budget);
        small_close(&s);
    }
}

TEST(the_fewest_pools_with_the_fewest_bytes)
{
    many(0, 0, 1);
}

TEST(pinned_pools_stay_and_are_filled_first)
{
    many(5, 0, 2);
    many(25, 0, 3);
}

TEST(in_slices_the_same)
{
    many(0, 1, 4);
    many(10, 1, 5);
}

TEST(questions_about_a_pass)
{
    struct unit u;
    mid_class_pass pass;
    unsigned classes = 0;
    unit_open(&u, "");
    expect(MID_ENULL, mid_stats_pass(NULL, 0, &pass));
    expect(MID_ENULL, mid_stats_pass(u.heap, 0, NULL));
    for (; mid_stats_pass(u.heap, classes, &pass) == MID_OK; classes++)
        assert_int_equal(pass.pools_before + pass.pools_after, 0);
    expect(MID_EINVAL, mid_stats_pass(u.heap, classes, &pass));
    assert_true(classes > 40);
    for (unsigned i = 0; i < MID_LEFT_COUNT; i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(mid_left_name(i), mid_left_name(k));
    assert_string_equal(mid_left_name(MID_LEFT_PINNED), "pinned");
    assert_string_equal(mid_left_name(MID_LEFT_COUNT), "none");
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fewest_pools_with_the_fewest_bytes),
        cmocka_unit_test(pinned_pools_stay_and_are_filled_first),
        cmocka_unit_test(in_slices_the_same),
        cmocka_unit_test(questions_about_a_pass),
    };
    return UNIT_RUN(tests);
}
