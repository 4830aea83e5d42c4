/* test_trace_charge.c: memory that is charged is traced: by its block, or as a number of its own. */
#include <pthread.h>

#include "fault_os.h"
#include "unit.h"

static mid_trace_figures figures(struct unit *u)
{
    mid_trace_figures f;
    ok(mid_trace_figures_get(u->heap, &f, sizeof f));
    return f;
}

static void start(struct unit *u, uint64_t sample)
{
    mid_trace_options o = {sizeof o, 10, sample};
    ok(mid_trace_start(u->heap, &o));
}

#define CHARGER(name)                                                                                                                   \
    static __attribute__((noinline, aligned(1024))) void name(struct unit *u, uint64_t bytes)                                                       \
    {                                                                                                                                   \
        ok(mid_charge(u->thread, bytes));                                                                                               \
        __asm__ volatile("/* " #name " */" ::: "memory"); /* two functions, whatever the compiler thinks of it */                       \
    }
CHARGER(charge_here)
CHARGER(charge_there)

static __attribute__((noinline)) void charge_block(struct unit *u, void *block, uint64_t bytes)
{
    ok(mid_charge_block(u->thread, block, bytes));
    __asm__ volatile("" ::: "memory");
}

/* Bytes of charges that were made in a function. */
struct place {
    const char *function;
    uint64_t bytes, objects;
};

static int add_row(void *context, const mid_trace_row *row)
{
    struct place *p = context;
    ptrdiff_t into = (const char *)row->frames[0] - p->function;
    if (into > 0 && into < 1024) {
        p->bytes += row->bytes;
        p->objects += row->objects;
    }
    return 0;
}

static struct place made_in(struct unit *u, void (*function)(struct unit *, uint64_t))
{
    struct place p = {(const char *)function, 0, 0};
    mid_trace_snapshot *s;
    ok(mid_trace_take(u->heap, &s));
    ok(mid_trace_group(s, NULL, MID_TRACE_BY_STACK, add_row, &p));
    mid_trace_drop(s);
    return p;
}

TEST(a_charge_is_traced_until_it_is_taken_back)
{
    struct unit u;
    unit_open(&u, "");
    charge_here(&u, 5000); /* before: unknown */
    start(&u, 0);
    assert_int_equal(figures(&u).records, 0);
    charge_here(&u, 4096);
    charge_there(&u, 4096);
    charge_here(&u, 100);
    charge_here(&u, 0);
    assert_int_equal(figures(&u).records, 3);
    assert_int_equal(figures(&u).domain_bytes[MID_TRACE_CHARGED], 8292);
    assert_int_equal(made_in(&u, charge_here).bytes, 4196);
    assert_int_equal(made_in(&u, charge_there).bytes, 4096);
    unit_check(&u);
    ok(mid_uncharge(u.heap, 4096)); /* the latest of its size, not what came last */
    assert_int_equal(made_in(&u, charge_there).objects, 0);
    assert_int_equal(made_in(&u, charge_here).bytes, 4196);
    ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
    ok(mid_uncharge(u.heap, 200)); /* of no size that there is: the latest, and part of the one before */
    assert_int_equal(made_in(&u, charge_here).bytes, 3996);
    assert_int_equal(made_in(&u, charge_here).objects, 1);
    unit_check(&u);
    expect(MID_EINVAL, mid_uncharge(u.heap, 1 << 20));
    assert_int_equal(figures(&u).bytes, 3996);
    ok(mid_uncharge(u.heap, 3996));
    ok(mid_uncharge(u.heap, 5000)); /* which nobody has seen come */
    assert_int_equal(figures(&u).records, 0);
    assert_int_equal(figures(&u).bytes, 0);
    unit_check(&u);
    charge_here(&u, 64);
    ok(mid_trace_stop(u.heap));
    ok(mid_uncharge(u.heap, 64));
    start(&u, 0);
    assert_int_equal(figures(&u).records, 0);
    ok(mid_charge(u.thread, (uint64_t)1 << 50)); /* a record has room for 2^40 - 1 */
    assert_int_equal(figures(&u).bytes, ((uint64_t)1 << 40) - 1);
    ok(mid_uncharge(u.heap, (uint64_t)1 << 50));
    assert_int_equal(figures(&u).records, 0);
    unit_close(&u);
}

/* What is kept, and as large as what is turned over elsewhere, stays where it came from. */
TEST(what_is_kept_is_not_taken_for_what_is_turned_over)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 0);
    charge_here(&u, 65536);
    for (int i = 0; i < 1000; i++) {
        charge_there(&u, 65536);
        ok(mid_uncharge(u.heap, 65536));
    }
    assert_int_equal(made_in(&u, charge_here).bytes, 65536);
    assert_int_equal(made_in(&u, charge_there).bytes, 0);
    unit_close(&u);
}

TEST(a_block_is_charged_by_its_name)
{
    static char a[10], b[10];
    struct unit u;
    mid_trace_record r;
    unit_open(&u, "");
    start(&u, 0);
    charge_block(&u, a, 300);
    charge_block(&u, b, 300);
    assert_int_equal(unit_stats(&u).foreign_bytes, 600);
    assert_int_equal(figures(&u).domain_bytes[MID_TRACE_FOREIGN], 600);
    assert_int_equal(figures(&u).domain_bytes[MID_TRACE_CHARGED], 0);
    ok(mid_uncharge_block(u.heap, a, 300)); /* this one, and not the latest */
    expect(MID_EUNTRACED, mid_trace_where_tracked(u.heap, MID_TRACE_FOREIGN, a, &r));
    ok(mid_trace_where_tracked(u.heap, MID_TRACE_FOREIGN, b, &r));
    assert_int_equal(r.bytes, 300);
    assert_in_range((uintptr_t)r.frames[0], (uintptr_t)charge_block, (uintptr_t)charge_block + 1024);
    ok(mid_uncharge_block(u.heap, b, 300));
    assert_int_equal(figures(&u).records, 0);
    assert_int_equal(unit_stats(&u).foreign_bytes, 0);
    unit_check(&u);
    ok(mid_trace_stop(u.heap));
    charge_block(&u, a, 300);
    ok(mid_uncharge_block(u.heap, a, 300));
    unit_close(&u);
}

TEST(bad_input)
{
    struct unit u;
    mid_trace_record r;
    char c;
    unit_open(&u, "");
    start(&u, 0);
    expect(MID_ENULL, mid_charge_block(NULL, &c, 1));
    expect(MID_ENULL, mid_charge_block(u.thread, NULL, 1));
    expect(MID_EINVAL, mid_charge_block(u.thread, (void *)(UINTPTR_MAX - 7), 1));
    expect(MID_ESIZE, mid_charge_block(u.thread, &c, UINT64_MAX));
    expect(MID_ENULL, mid_uncharge_block(NULL, &c, 1));
    expect(MID_ENULL, mid_uncharge_block(u.heap, NULL, 1));
    expect(MID_EINVAL, mid_uncharge_block(u.heap, (void *)(UINTPTR_MAX - 7), 1));
    expect(MID_EINVAL, mid_uncharge_block(u.heap, &c, 1));
    expect(MID_EINVAL, mid_trace_track(u.heap, MID_TRACE_CHARGED, (void *)8, 1)); /* names there are ours */
    expect(MID_EINVAL, mid_trace_untrack(u.heap, MID_TRACE_CHARGED, (void *)8));
    expect(MID_EINVAL, mid_trace_where_tracked(u.heap, MID_TRACE_CHARGED, (void *)8, &r));
    assert_int_equal(figures(&u).records, 0);
    assert_int_equal(unit_stats(&u).foreign_bytes, 0);
    unit_close(&u);
}

/* Sampled or not, charges without a block are whole: 1 byte of them would be one sample in half a million else. */
TEST(charges_are_whole_when_others_are_sampled)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 512 << 10);
    for (int i = 1; i <= 3000; i++)
        charge_here(&u, (uint64_t)i);
    assert_int_equal(made_in(&u, charge_here).bytes, 3000 * 3001 / 2);
    assert_int_equal(made_in(&u, charge_here).objects, 3000);
    unit_check(&u);
    for (int i = 3000; i > 0; i--)
        ok(mid_uncharge(u.heap, (uint64_t)(i * 7 % 3001)));
    assert_int_equal(figures(&u).bytes, 0);
    unit_check(&u);
    unit_close(&u);
}

/* Random numbers, beside a plain list of them. */
TEST(as_a_list_of_them_says)
{
    static uint64_t list[4000];
    struct unit u;
    size_t count = 0;
    uint64_t sum = 0, seed = 7;
    unit_open(&u, "");
    start(&u, 0);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bytes = 1 + (seed >> 40) % (i % 3000 < 1500 ? 20 : 100000);
        if (count < 4000 && seed >> 63) {
            charge_here(&u, bytes);
            list[count++] = bytes;
            sum += bytes;
        } else if (bytes <= sum) {
            size_t at = count;
            while (at != 0 && list[at - 1] != bytes)
                at--;
            ok(mid_uncharge(u.heap, bytes));
            sum -= bytes;
            if (at != 0) {
                memmove(list + at - 1, list + at, (count - at) * sizeof *list);
                count--;
                bytes = 0;
            }
            for (; count != 0 && bytes != 0 && list[count - 1] <= bytes; count--)
                bytes -= list[count - 1];
            if (bytes != 0)
                list[count - 1] -= bytes;
        }
        assert_int_equal(figures(&u).records, count);
        assert_int_equal(figures(&u).bytes, sum);
        if (i % 1000 == 0)
            unit_check(&u);
    }
    ok(mid_uncharge(u.heap, sum));
    assert_int_equal(figures(&u).records, 0);
    unit_close(&u);
}

TEST(no_memory_for_a_record)
{
    size_t missed = 0;
    for (size_t n = 1; n < 60; n++) {
        struct unit u;
        struct fault_os os;
        uint64_t sum = 0;
        fault_os_init(&os);
        mid_options options;
        mid_options_init(&options);
        options.os = &os.os;
        unit_open_with(&u, &options);
        start(&u, 0);
        os.calls = 0;
        os.fail_at = n;
        os.for_good = 1;
        for (uint64_t i = 1; i <= 2000; i++) {
            charge_here(&u, i * 3);
            sum += i * 3;
        }
        missed += figures(&u).missed != 0;
        assert_int_equal(unit_stats(&u).foreign_bytes, sum);
        for (uint64_t i = 1; i <= 1000; i++)
            ok(mid_uncharge(u.heap, i * 5 + 1));
        os.fail_at = 0;
        unit_check(&u);
        ok(mid_uncharge(u.heap, unit_stats(&u).foreign_bytes));
        assert_int_equal(figures(&u).records, 0);
        unit_close(&u);
        fault_os_done(&os);
    }
    assert_true(missed != 0);
}

static void *work(void *argument)
{
    struct unit u = *(struct unit *)argument;
    if (mid_thread_attach(u.heap, &u.thread) != MID_OK)
        return argument;
    for (uint64_t i = 1; i <= 3000; i++) {
        if (mid_charge(u.thread, i % 100 * 8 + 8) != MID_OK || mid_uncharge(u.heap, i % 100 * 8 + 8) != MID_OK)
            return argument;
        if (i % 64 == 0 && mid_safepoint(u.thread) != MID_OK)
            return argument;
    }
    return mid_thread_detach(u.thread) == MID_OK ? NULL : argument;
}

TEST(many_threads)
{
    struct unit u;
    pthread_t id[4];
    void *bad;
    unit_open(&u, "");
    start(&u, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&id[i], NULL, work, &u), 0);
    ok(mid_blocked_enter(u.thread));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(id[i], &bad), 0);
        assert_null(bad);
    }
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(figures(&u).bytes, 0);
    assert_int_equal(figures(&u).records, 0);
    unit_check(&u);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_charge_is_traced_until_it_is_taken_back),
        cmocka_unit_test(what_is_kept_is_not_taken_for_what_is_turned_over),
        cmocka_unit_test(a_block_is_charged_by_its_name),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(charges_are_whole_when_others_are_sampled),
        cmocka_unit_test(as_a_list_of_them_says),
        cmocka_unit_test(no_memory_for_a_record),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
