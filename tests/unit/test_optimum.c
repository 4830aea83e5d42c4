/* What evacuation reaches, against a search of all that it could have done: the fewest pools, and of all ways to get there
 * the one that moves least, or, in another order, what that order comes to. Small heaps of one class, random in what lives and
 * what is pinned, with pools of each size. */
#include <stdbool.h>

#include "unit.h"

enum { POOLS = 8, OBJECTS = POOLS * 32 };

static const unsigned pool_shifts[] = {16, 14, 18};

struct small {
    struct unit u;
    unsigned pool_shift;
    mid_evacuate_order order;
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

static void small_open(struct small *s, unsigned pool_shift, mid_evacuate_order order, size_t size)
{
    static const char *const orders[] = {"fullest", "address", "first"};
    mid_class_stats stats;
    char options[96];
    memset(s, 0, sizeof *s);
    s->pool_shift = pool_shift;
    s->order = order;
    snprintf(options, sizeof options, "pool-size=%u,evacuate=%s,reserve=%u", 1u << pool_shift, orders[order], POOLS << pool_shift); /* so that no slice has to trim */
    unit_open(&s->u, options);
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
        uint64_t at = (uintptr_t)mid_get(s->u.thread, s->object[i]) >> s->pool_shift;
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

/* What stays in front. Of pools in the same eighth it may be either: the dearer way round. */
static bool before(const struct small *s, const struct pools *p, unsigned a, unsigned b)
{
    if ((p->pinned[a] != 0) != (p->pinned[b] != 0))
        return p->pinned[a] != 0;
    if (s->order == MID_EVACUATE_ADDRESS)
        return p->at[a] < p->at[b];
    unsigned of_a = p->live[a] * 8 / s->slots, of_b = p->live[b] * 8 / s->slots;
    return of_a != of_b ? of_a > of_b : p->live[a] != p->live[b] ? p->live[a] < p->live[b] : a < b;
}

/* How many objects the order moves, at most, where so many pools stay. */
static unsigned moved_by(const struct small *s, const struct pools *p, unsigned stay)
{
    unsigned moved = 0;
    for (unsigned a = 0; a < p->count; a++) {
        unsigned rank = 0;
        for (unsigned b = 0; b < p->count; b++)
            rank += b != a && before(s, p, b, a);
        moved += rank >= stay ? p->live[a] : 0;
    }
    return moved;
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
    struct pools was = look(s);
    struct best best = search(&was, s->slots);
    mid_compact_result result = pass(s, budget);
    struct pools after = look(s);
    uint64_t needed = (was.all + s->slots - 1) / s->slots, most = moved_by(s, &was, best.pools);
    assert_int_equal(after.count, best.pools);
    assert_int_equal(result.pools_after, best.pools);
    assert_int_equal(result.pools_optimal, needed);
    if (s->order == MID_EVACUATE_FULLEST)
        assert_int_equal(result.moved_objects, best.moved);
    else if (s->order == MID_EVACUATE_ADDRESS)
        assert_int_equal(result.moved_objects, most);
    else
        assert_in_range(result.moved_objects, best.moved, most);
    assert_int_equal(result.moved_bytes, result.moved_objects * s->slot_size);
    assert_int_equal(result.least_bytes, best.moved * s->slot_size);
    uint64_t left = best.pools > needed ? result.left[MID_LEFT_PINNED] : result.left[MID_LEFT_GAIN];
    assert_int_equal(left, sparse(&after, s->slots));
    assert_int_equal(result.left[MID_LEFT_GAIN] + result.left[MID_LEFT_PINNED], left);
    assert_int_equal(result.pools_pinned, result.left[MID_LEFT_PINNED]);
    mid_class_pass of;
    ok(mid_stats_pass(s->u.heap, s->class_index, &of));
    assert_int_equal(of.pools_before, was.count);
    assert_int_equal(of.pools_optimal, needed);
    assert_int_equal(of.pools_after, after.count);
    assert_int_equal(of.moved_bytes, result.moved_bytes);
    assert_int_equal(of.least_bytes, result.least_bytes);
    assert_memory_equal(of.left, result.left, sizeof of.left);
    unit_check(&s->u);
}

static void many(mid_evacuate_order order, unsigned pin_percent, uint64_t budget, uint64_t seed)
{
    static const size_t parts[] = {32, 8, 4, 2}; /* of a pool; above half of one, or 32 KiB, there are none */
    size_t rounds = unit_scale(200) + 4;
    for (size_t round = 0; round < rounds; round++) {
        struct small s;
        unsigned shift = pool_shifts[round / 4 % 3];
        size_t size = ((size_t)1 << shift) / parts[round % 4 % (shift == 18 ? 2 : 4)];
        small_open(&s, shift, order, size);
        small_fill(&s, unit_plain_type(s.u.heap, "slot", size), pin_percent, &seed);
        compare(&s, budget);
        small_close(&s);
    }
}

TEST(the_fewest_pools_with_the_fewest_bytes)
{
    many(MID_EVACUATE_FULLEST, 0, 0, 1);
}

TEST(pinned_pools_stay_and_are_filled_first)
{
    many(MID_EVACUATE_FULLEST, 5, 0, 2);
    many(MID_EVACUATE_FULLEST, 25, 0, 3);
}

TEST(in_slices_the_same)
{
    many(MID_EVACUATE_FULLEST, 0, 1, 4);
    many(MID_EVACUATE_FULLEST, 10, 1, 5);
}

TEST(by_address_as_few_pools_remain)
{
    many(MID_EVACUATE_ADDRESS, 0, 0, 6);
    many(MID_EVACUATE_ADDRESS, 10, 0, 7);
    many(MID_EVACUATE_ADDRESS, 10, 1, 8);
}

TEST(as_allocation_takes_them_as_few_pools_remain)
{
    many(MID_EVACUATE_FIRST, 0, 0, 9);
    many(MID_EVACUATE_FIRST, 10, 0, 10);
    many(MID_EVACUATE_FIRST, 10, 1, 11);
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
        cmocka_unit_test(by_address_as_few_pools_remain),
        cmocka_unit_test(as_allocation_takes_them_as_few_pools_remain),
        cmocka_unit_test(questions_about_a_pass),
    };
    return UNIT_RUN(tests);
}
