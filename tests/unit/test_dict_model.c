/* tests/unit/test_dict_model.c: random operations on dictionaries and sets beside a plain model, with compaction, plain and deep, in
 * between. The seed is printed when something differs; DICT_SEED in the environment repeats it. */
#include "dict.h"

enum { NUMBERS = 600, KINDS = 3 };

/* Key n of the model. `order` is when it was inserted; 0: not there. */
struct model {
    uint64_t order[NUMBERS], next;
    int32_t value[NUMBERS];
    size_t live;
};

struct run {
    struct unit u;
    struct disturb d;
    struct model m;
    mid_handle keys;       /* an array of all keys, held: by identity they must be the same objects */
    mid_handle holder;     /* an array that holds the dictionary: nothing else does, so that its number may change */
    unsigned kind, range;
    uint64_t seed, step;
};

static mid_handle dict_of(struct run *r)
{
    return mid_peek(r->u.thread, r->holder, ITEM(0));
}

/* Counted. By value: another object of the same content, half the time. */
static mid_handle key_of(struct run *r, unsigned n)
{
    if (r->kind == 0)
        return mid_from_int((int32_t)(n * 37) - 5000);
    if (r->kind == 1 && unit_random(&r->seed) % 2 == 0)
        return dict_text(&r->u, n);
    return mid_load(r->u.thread, r->keys, ITEM(n));
}

static mid_handle oldest(struct run *r, bool last, unsigned *which)
{
    *which = NUMBERS;
    for (unsigned n = 0; n < NUMBERS; n++)
        if (r->m.order[n] != 0 && (*which == NUMBERS || (r->m.order[n] > r->m.order[*which]) == last))
            *which = n;
    return *which == NUMBERS ? 0 : 1;
}

static void put(struct model *m, unsigned n, int32_t value, bool only_new)
{
    if (m->order[n] == 0) {
        m->order[n] = ++m->next;
        m->live++;
        m->value[n] = value;
    } else if (!only_new) {
        m->value[n] = value;
    }
}

static void drop(struct model *m, unsigned n)
{
    m->order[n] = 0;
    m->live--;
}

static bool is_key(struct run *r, mid_handle key, unsigned n)
{
    if (r->kind == 0)
        return key == mid_from_int((int32_t)(n * 37) - 5000);
    mid_handle mine = mid_peek(r->u.thread, r->keys, ITEM(n));
    int equal = key == mine;
    if (r->kind == 1 && !equal)
        ok(dict_equal(r->u.thread, &r->d, key, mine, &equal));
    return equal != 0;
}

/* Everything, in order. */
static void compare(struct run *r)
{
    mid_dict_cursor cursor = {0};
    mid_handle key, value;
    uint64_t last = 0;
    size_t seen = 0;
    mid_status status;
    assert_int_equal(dict_length(&r->u, dict_of(r)), r->m.live);
    static unsigned by_order[1 << 16];
    assert_true(r->m.next < 1 << 16);
    memset(by_order, 0, sizeof by_order);
    for (unsigned n = 0; n < NUMBERS; n++)
        if (r->m.order[n] != 0)
            by_order[r->m.order[n]] = n + 1;
    while ((status = mid_dict_next(r->u.thread, dict_of(r), &cursor, &key, &value)) == MID_OK) {
        while (by_order[++last] == 0)
            assert_true(last <= r->m.next);
        unsigned n = by_order[last] - 1;
        assert_true(is_key(r, key, n));
        assert_int_equal(mid_to_int(value), r->m.value[n]);
        seen++;
    }
    expect(MID_EKEY, status);
    assert_int_equal(seen, r->m.live);
}

static void change(struct run *r, unsigned what, unsigned n)
{
    mid_thread *thread = r->u.thread;
    struct model *m = &r->m;
    mid_handle dict = dict_of(r), key = key_of(r, n), value = 0, there = 0;
    int32_t with = (int32_t)(unit_random(&r->seed) % 1000);
    int yes;
    if (what < 35) {
        ok(mid_dict_set(thread, dict, key, mid_from_int(with)));
        put(m, n, with, false);
    } else if (what < 45) {
        ok(mid_dict_add(thread, dict, key, mid_from_int(with), &there, &yes));
        assert_int_equal(yes, m->order[n] == 0);
        put(m, n, with, true);
        assert_int_equal(mid_to_int(there), m->value[n]);
    } else if (what < 65) {
        expect(m->order[n] != 0 ? MID_OK : MID_EKEY, mid_dict_delete(thread, dict, key));
        if (m->order[n] != 0)
            drop(m, n);
    } else if (what < 70) {
        expect(m->order[n] != 0 ? MID_OK : MID_EKEY, mid_dict_pop(thread, dict, key, &value));
        if (m->order[n] != 0) {
            assert_int_equal(mid_to_int(value), m->value[n]);
            drop(m, n);
        }
    } else if (what < 90) {
        expect(m->order[n] != 0 ? MID_OK : MID_EKEY, mid_dict_get(thread, dict, key, &value));
        assert_int_equal(value, m->order[n] != 0 ? mid_from_int(m->value[n]) : 0);
        ok(mid_dict_contains(thread, dict, key, &yes));
        assert_int_equal(yes, m->order[n] != 0);
        assert_int_equal(mid_dict_peek(thread, dict, key), value);
    } else {
        unsigned which;
        mid_handle popped = 0;
        bool last = what % 2 == 0;
        mid_status status = last ? mid_dict_pop_last(thread, dict, &popped, &value) : mid_dict_pop_first(thread, dict, &popped, &value);
        expect(oldest(r, last, &which) ? MID_OK : MID_EKEY, status);
        if (status == MID_OK) {
            assert_true(is_key(r, popped, which));
            assert_int_equal(mid_to_int(value), m->value[which]);
            drop(m, which);
        }
        mid_release(thread, popped);
    }
    mid_release(thread, key);
}

static void seldom(struct run *r, unsigned what)
{
    mid_thread *thread = r->u.thread;
    mid_handle copy;
    switch (what) {
    case 0: ok(mid_compact(thread, MID_COMPACT_PLAIN, 0, NULL)); break;
    case 1: ok(mid_compact(thread, MID_COMPACT_DEEP, 0, NULL)); break;
    case 2: ok(mid_dict_shrink(thread, dict_of(r))); break;
    case 3: ok(mid_dict_reserve(thread, dict_of(r), unit_random(&r->seed) % 2000)); break;
    case 4:
        ok(mid_dict_copy(thread, dict_of(r), &copy));
        mid_give(thread, r->holder, ITEM(0), copy);
        break;
    case 5:
        ok(mid_dict_new(thread, r->kind == 0 ? &mid_keys_int : r->kind == 1 ? &r->d.keys : &mid_keys_identity, &copy));
        ok(mid_dict_update(thread, copy, dict_of(r)));
        mid_give(thread, r->holder, ITEM(0), copy);
        break;
    case 6:
        if (unit_random(&r->seed) % 4 == 0) {
            ok(mid_dict_clear(thread, dict_of(r)));
            memset(r->m.order, 0, sizeof r->m.order);
            r->m.live = 0;
        }
        break;
    case 7: r->range = 1u << unit_random(&r->seed) % 10; break;
    default: ok(mid_collect(thread, NULL)); break;
    }
    unit_check(&r->u);
    compare(r);
}

static void play(struct run *r, unsigned kind, bool alike)
{
    const char *given = getenv("DICT_SEED");
    unit_open(&r->u, "deep=table");
    mid_thread *thread = r->u.thread;
    dict_disturb(&r->d, &r->u);
    r->d.all_alike = alike;
    memset(&r->m, 0, sizeof r->m);
    r->kind = kind;
    r->range = 64;
    r->seed = given != NULL ? strtoull(given, NULL, 0) : 20261120 + kind;
    print_message("keys %u, DICT_SEED=%llu\n", kind, (unsigned long long)r->seed);
    r->keys = unit_array(&r->u, r->u.vec, NUMBERS);
    r->holder = unit_array(&r->u, r->u.vec, 1);
    for (unsigned n = 0; n < NUMBERS; n++)
        mid_give(thread, r->keys, ITEM(n), dict_text(&r->u, n));
    mid_handle dict;
    ok(mid_dict_new(thread, kind == 0 ? &mid_keys_int : kind == 1 ? &r->d.keys : &mid_keys_identity, &dict));
    mid_give(thread, r->holder, ITEM(0), dict);
    size_t steps = unit_scale(alike ? 16000 : 60000);
    for (r->step = 0; r->step < steps && r->m.next < 60000; r->step++) {
        unsigned range = r->range > NUMBERS ? NUMBERS : r->range;
        change(r, (unsigned)(unit_random(&r->seed) % 100), (unsigned)(unit_random(&r->seed) % range));
        if (unit_random(&r->seed) % 100 == 0)
            seldom(r, (unsigned)(unit_random(&r->seed) % 9));
    }
    compare(r);
    mid_release(thread, r->holder);
    mid_release(thread, r->keys);
    unit_drain(&r->u);
    unit_close_empty(&r->u);
}

static struct run run;

TEST(integers) { play(&run, 0, false); }
TEST(by_value) { play(&run, 1, false); }
TEST(by_value_with_one_hash) { play(&run, 1, true); }
TEST(by_identity) { play(&run, 2, false); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(by_value),
        cmocka_unit_test(by_value_with_one_hash),
        cmocka_unit_test(by_identity),
    };
    return UNIT_RUN(tests);
}
