/* test_trace.c: who allocated what is there: records, what becomes of them, bad input, no memory, many threads. */
#include <pthread.h>

#include "deep.h"
#include "child.h"
#include "fault_os.h"

/* Two places to allocate from; what they return to is what is expected first in a traceback. */
static void *sites[3];
#define SITE(name, n) \
    static __attribute__((noinline)) mid_handle name(struct unit *u) \
    { \
        mid_handle made = unit_new(u, u->node); \
        sites[n] = __builtin_return_address(0); \
        __asm__ volatile("" ::: "memory"); \
        return made; \
    }
SITE(here, 0)
SITE(there, 1)

static mid_trace_figures figures(struct unit *u)
{
    mid_trace_figures f;
    ok(mid_trace_figures_get(u->heap, &f, sizeof f));
    return f;
}

static void start(struct unit *u, uint32_t frames, uint64_t sample)
{
    const mid_trace_options options = {sizeof options, frames, sample};
    ok(mid_trace_start(u->heap, &options));
}

TEST(knows_where_until_it_dies)
{
    struct unit u;
    unit_open(&u, "");
    mid_handle before = here(&u);
    assert_int_equal(figures(&u).frames, 0);
    start(&u, 10, 0);
    assert_true(mid_trace_is_on(u.heap));
    expect(MID_EINVAL, mid_trace_start(u.heap, NULL));
    mid_trace_record a, b;
    mid_handle one = here(&u), other = there(&u), again = here(&u), items = unit_array(&u, u.vec, 10);
    expect(MID_EUNTRACED, mid_trace_where(u.thread, before, &a));
    ok(mid_trace_where(u.thread, one, &a));
    ok(mid_trace_where(u.thread, other, &b));
    assert_int_equal(a.bytes, sizeof(struct node));
    assert_int_equal(a.type, u.node);
    assert_true(a.depth >= 3 && a.depth <= 10);
    assert_ptr_not_equal(a.frames[0], b.frames[0]);
    assert_ptr_equal(a.frames[1], b.frames[1] == sites[1] ? a.frames[1] : sites[0]);
    ok(mid_trace_where(u.thread, items, &b));
    assert_int_equal(b.bytes, sizeof(struct vec) + 40);
    mid_trace_figures f = figures(&u);
    assert_int_equal(f.records, 4);
    assert_int_equal(f.objects, 4);
    assert_int_equal(f.bytes, 3 * sizeof(struct node) + sizeof(struct vec) + 40);
    assert_int_equal(f.domain_bytes[MID_TRACE_OBJECT], f.bytes);
    unit_check(&u);
    ok(mid_resize(u.thread, items, 4000));
    ok(mid_trace_where(u.thread, items, &b));
    assert_int_equal(b.bytes, sizeof(struct vec) + 16000);
    ok(mid_resize(u.thread, items, 3));
    ok(mid_resize(u.thread, items, 4));
    ok(mid_resize(u.thread, items, 100000));
    ok(mid_trace_where(u.thread, items, &b));
    assert_int_equal(b.bytes, sizeof(struct vec) + 400000);
    assert_int_equal(figures(&u).peak, b.bytes + 3 * sizeof(struct node));
    unit_check(&u);
    mid_release(u.thread, items);
    unit_drain(&u);
    ok(mid_trace_reset_peak(u.heap));
    assert_int_equal(figures(&u).peak, 3 * sizeof(struct node));
    mid_weak weak;
    ok(mid_weak_new(u.thread, one, &weak));
    ok(mid_weak_drop(u.thread, weak));
    ok(mid_trace_where(u.thread, one, &a));
    ok(mid_weak_new(u.thread, other, &weak));
    ok(mid_trace_stop(u.heap));
    unit_check(&u);
    expect(MID_EINVAL, mid_trace_stop(u.heap));
    expect(MID_EUNTRACED, mid_trace_where(u.thread, one, &a));
    ok(mid_trace_start(u.heap, NULL));
    mid_handle last = here(&u);
    mid_handle all[] = {before, one, other, again, last};
    for (int i = 0; i < 5; i++)
        mid_release(u.thread, all[i]);
    assert_int_equal(mid_weak_get(u.thread, weak), 0);
    ok(mid_weak_drop(u.thread, weak));
    assert_int_equal(figures(&u).records, 0);
    assert_int_equal(figures(&u).bytes, 0);
    unit_close(&u);
}

/* Garbage of all forms, finalized and resurrected, resized, compacted. */
static mid_handle kept;
static void keep(mid_thread *thread, mid_handle dying)
{
    if (kept == 0)
        kept = mid_retain(thread, dying);
}

static void churn(struct unit *u, mid_type special, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        mid_handle a = here(u), b = there(u), c = unit_new(u, special);
        mid_store(u->thread, a, LEFT, b);
        mid_store(u->thread, b, LEFT, a);
        if (i % 3 == 0)
            mid_store(u->thread, c, RIGHT, a);
        mid_handle big = unit_array(u, u->vec, i % 50 == 0 ? 20000 : i % 70);
        if (i % 5 == 0)
            ok(mid_resize(u->thread, big, i % 7 * 30));
        mid_release(u->thread, big);
        mid_release(u->thread, a);
        mid_release(u->thread, b);
        mid_release(u->thread, c);
        if (i % 64 == 0)
            ok(mid_collect(u->thread, NULL));
        if (i % 128 == 0)
            ok(mid_compact(u->thread, MID_COMPACT_PLAIN, 0, NULL));
    }
}

static void nothing_is_left(const char *options, uint64_t sample)
{
    struct unit u;
    unit_open(&u, options);
    mid_type special = unit_node_type(u.heap, (mid_type_desc){.name = "special", .finalize = keep});
    kept = 0;
    for (int round = 0; round < 3; round++) {
        start(&u, 5 + (uint32_t)round, sample);
        churn(&u, special, 700);
        unit_check(&u);
        if (round == 1)
            ok(mid_trace_stop(u.heap));
        else {
            ok(mid_collect(u.thread, NULL));
            unit_drain(&u);
            mid_release(u.thread, kept);
            kept = 0;
            unit_drain(&u);
            ok(mid_collect(u.thread, NULL));
            unit_drain(&u);
            assert_int_equal(figures(&u).records, 0);
            assert_int_equal(figures(&u).bytes, 0);
            assert_int_equal(figures(&u).missed, 0);
            ok(mid_trace_stop(u.heap));
        }
        unit_check(&u);
    }
    mid_release(u.thread, kept);
    unit_drain(&u);
    unit_close(&u);
}

TEST(nothing_is_left_of_what_died) { nothing_is_left("", 0); }
TEST(nor_of_samples) { nothing_is_left("", 512); }
TEST(nor_of_rare_samples) { nothing_is_left("", 65536); }

TEST(renamed_objects_are_still_known)
{
    static struct deep d;
    for (unsigned n = 0; n < 3; n++) {
        deep_open(&d, orders[n]);
        start(&d.u, 4, 0);
        void *expected[SLOTS];
        mid_trace_record r;
        for (unsigned i = 0; i < SLOTS; i++) {
            mid_handle made = i % 2 ? here(&d.u) : there(&d.u);
            ok(mid_trace_where(d.u.thread, made, &r));
            expected[i] = r.frames[0];
            mid_give(d.u.thread, d.root, ITEM(i), made);
        }
        mid_handle first = deep_item(&d, 0);
        deep_settle(&d);
        ok(mid_compact(d.u.thread, MID_COMPACT_DEEP, 0, NULL));
        assert_int_not_equal(deep_item(&d, 0), first);
        for (unsigned i = 0; i < SLOTS; i++) {
            ok(mid_trace_where(d.u.thread, deep_item(&d, i), &r));
            assert_ptr_equal(r.frames[0], expected[i]);
        }
        assert_int_equal(figures(&d.u).records, SLOTS);
        mid_release(d.u.thread, d.root);
        unit_drain(&d.u);
        assert_int_equal(figures(&d.u).records, 0);
        unit_close(&d.u);
    }
}

/* --- samples --------------------------------------------------------------------------------------------------------------- */

/* Of 64 MiB one each 16 KiB: 4096, give or take 64. Six times that is allowed. */
TEST(samples_tell_of_the_whole)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 3, 16384);
    size_t nodes = unit_scale(1600000), arrays = unit_scale(40000);
    double tolerance = 0.1 * (UNIT_SANITIZED ? 3 : RUNNING_ON_VALGRIND ? 8 : 1);
    mid_handle root = unit_array(&u, u.vec, nodes), more = unit_array(&u, u.vec, arrays);
    for (size_t i = 0; i < nodes; i++) {
        mid_release(u.thread, here(&u)); /* what is used again at once is counted, too */
        mid_give(u.thread, root, ITEM(i), here(&u));
    }
    for (size_t i = 0; i < arrays; i++)
        mid_give(u.thread, more, ITEM(i), unit_array(&u, u.bytes, 600));
    unit_check(&u);
    mid_trace_figures f = figures(&u);
    uint64_t large = nodes * 4 + arrays * 4, bytes = nodes * sizeof(struct node) + arrays * (sizeof(struct bytes) + 600) + large;
    assert_true((double)f.bytes > (double)bytes * (1 - tolerance) - 65536 && (double)f.bytes < (double)bytes * (1 + tolerance) + 65536);
    assert_true(f.objects > (double)(nodes + arrays) * (1 - tolerance * 2) && f.objects < (double)(nodes + arrays) * (1 + tolerance * 2));
    mid_release(u.thread, root);
    mid_release(u.thread, more);
    unit_drain(&u);
    assert_int_equal(figures(&u).records, 0);
    unit_check(&u);
    unit_close(&u);
}

/* One slot, used over and over: each use is as likely to be the sample. */
TEST(a_slot_that_is_used_again_is_sampled_as_often)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 3, 4096);
    size_t times = unit_scale(1000000), found = 0;
    for (size_t i = 0; i < times; i++) {
        mid_handle made = here(&u);
        found += figures(&u).records != 0;
        mid_release(u.thread, made);
    }
    double expected = (double)times * sizeof(struct node) / 4096;
    assert_true((double)found > expected * 0.6 && (double)found < expected * 1.4);
    unit_check(&u);
    unit_close(&u);
}

/* --- what is not the heap's --------------------------------------------------------------------------------------------------- */

TEST(foreign_memory)
{
    struct unit u;
    static char block[100], other[100];
    mid_trace_record r;
    unit_open(&u, "");
    ok(mid_trace_track(u.heap, MID_TRACE_FOREIGN, block, 100)); /* off */
    start(&u, 8, 0);
    expect(MID_EUNTRACED, mid_trace_where_tracked(u.heap, MID_TRACE_FOREIGN, block, &r));
    ok(mid_trace_track(u.heap, MID_TRACE_FOREIGN, block, 100));
    ok(mid_trace_track(u.heap, MID_TRACE_RAW, block, 30));
    ok(mid_trace_track(u.heap, MID_TRACE_FOREIGN, other, 0));
    ok(mid_trace_track(u.heap, MID_TRACE_FOREIGN, block, 200)); /* again: replaced */
    ok(mid_trace_where_tracked(u.heap, MID_TRACE_FOREIGN, block, &r));
    assert_int_equal(r.bytes, 200);
    assert_int_equal(r.domain, MID_TRACE_FOREIGN);
    assert_true(r.depth > 2);
    mid_trace_figures f = figures(&u);
    assert_int_equal(f.bytes, 230);
    assert_int_equal(f.domain_bytes[MID_TRACE_FOREIGN], 200);
    assert_int_equal(f.domain_bytes[MID_TRACE_RAW], 30);
    assert_int_equal(f.records, 3);
    ok(mid_trace_untrack(u.heap, MID_TRACE_FOREIGN, block));
    ok(mid_trace_untrack(u.heap, MID_TRACE_FOREIGN, block));
    ok(mid_trace_untrack(u.heap, MID_TRACE_MEM, other));
    assert_int_equal(figures(&u).bytes, 30);
    expect(MID_ENULL, mid_trace_track(NULL, MID_TRACE_FOREIGN, block, 1));
    expect(MID_ENULL, mid_trace_track(u.heap, MID_TRACE_FOREIGN, NULL, 1));
    expect(MID_EINVAL, mid_trace_track(u.heap, MID_TRACE_OBJECT, block, 1));
    expect(MID_EINVAL, mid_trace_track(u.heap, MID_TRACE_DOMAINS, block, 1));
    expect(MID_EINVAL, mid_trace_track(u.heap, MID_TRACE_RAW, (void *)UINTPTR_MAX, 1));
    expect(MID_ESIZE, mid_trace_track(u.heap, MID_TRACE_RAW, block, SIZE_MAX));
    expect(MID_EINVAL, mid_trace_untrack(u.heap, MID_TRACE_OBJECT, block));
    unit_check(&u);
    unit_close(&u);
}

TEST(bad_input)
{
    struct unit u;
    mid_trace_record r;
    mid_trace_figures f;
    mid_trace_options o = {sizeof o, 10, 0};
    unit_open(&u, "");
    expect(MID_ENULL, mid_trace_start(NULL, NULL));
    expect(MID_ENULL, mid_trace_stop(NULL));
    expect(MID_ENULL, mid_trace_figures_get(u.heap, NULL, 1));
    expect(MID_ENULL, mid_trace_figures_get(NULL, &f, sizeof f));
    expect(MID_ENULL, mid_trace_reset_peak(NULL));
    expect(MID_EINVAL, mid_trace_reset_peak(u.heap));
    assert_false(mid_trace_is_on(NULL));
    for (int i = 0; i < 4; i++) {
        mid_trace_options bad = o;
        *(i == 0 ? &bad.struct_size : &(size_t){0}) = 1;
        bad.frames = i == 1 ? 0 : i == 2 ? 65 : 10;
        bad.sample = i == 3 ? UINT64_MAX : 0;
        expect(MID_EINVAL, mid_trace_start(u.heap, &bad));
    }
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_trace_start(u.heap, &o));
    ok(mid_blocked_leave(u.thread));
    ok(mid_trace_start(u.heap, &o));
    expect(MID_EHANDLE, mid_trace_where(u.thread, 0, &r));
    expect(MID_EHANDLE, mid_trace_where(u.thread, 3, &r));
    expect(MID_EHANDLE, mid_trace_where(u.thread, 1u << 30, &r));
    expect(MID_ENULL, mid_trace_where(NULL, 2, &r));
    expect(MID_ENULL, mid_trace_where(u.thread, 2, NULL));
    mid_handle made;
    expect(MID_ETYPE, mid_new(u.thread, u.vec, &made));
    expect(MID_ETYPE, mid_new(u.thread, 4095, &made));
    expect(MID_ETYPE, mid_new_array(u.thread, u.node, 3, &made));
    mid_type later = unit_plain_type(u.heap, "later", 24); /* registered while tracing */
    made = unit_new(&u, later);
    ok(mid_trace_where(u.thread, made, &r));
    mid_release(u.thread, made);
    unit_close(&u);
}

TEST(without_memory_objects_are_made_all_the_same)
{
    for (unsigned nth = 1; nth < 30; nth++) {
        struct fault_os fault;
        struct unit u;
        fault_open(&u, &fault, "");
        fault.fail_at = fault.calls + nth;
        fault.for_good = nth % 2;
        mid_status status = mid_trace_start(u.heap, &(mid_trace_options){sizeof(mid_trace_options), 5, nth % 3 == 0 ? 256 : 0});
        assert_true(status == MID_OK || status == MID_ENOMEM);
        mid_handle made[3000];
        unsigned n = 0;
        while (n < 3000 && mid_new(u.thread, u.node, &made[n]) == MID_OK)
            n++;
        mid_trace_snapshot *s = NULL;
        mid_trace_figures f = figures(&u);
        if (status == MID_OK && fault.for_good && f.sample == 0)
            assert_int_equal(f.records + f.missed, n);
        if (status == MID_OK) {
            status = mid_trace_take(u.heap, &s);
            assert_true((status == MID_OK) == (s != NULL));
            mid_trace_drop(s);
        }
        fault.fail_at = 0;
        unit_check(&u);
        while (n != 0)
            mid_release(u.thread, made[--n]);
        unit_drain(&u);
        assert_int_equal(figures(&u).records, 0);
        fault_close(&u, &fault);
    }
}

/* --- many threads ------------------------------------------------------------------------------------------------------------ */

static unsigned wrong;

static void *work(void *context)
{
    struct unit *u = context;
    unsigned bad = 0;
    for (int round = 0; round < 4; round++) {
        mid_thread *thread;
        mid_handle held[64] = {0}, made;
        bad += mid_thread_attach(u->heap, &thread) != MID_OK;
        for (size_t i = 0; i < unit_scale(40000); i++) {
            size_t at = i * 7 % 64;
            mid_release(thread, held[at]);
            bad += (i % 8 ? mid_new(thread, u->node, &made) : mid_new_array(thread, u->bytes, i % 200, &made)) != MID_OK;
            held[at] = made;
            if (i % 16 == 0)
                mid_safepoint(thread);
        }
        for (int i = 0; i < 64; i++)
            mid_release(thread, held[i]);
        bad += mid_thread_detach(thread) != MID_OK;
    }
    __atomic_fetch_add(&wrong, bad, __ATOMIC_RELAXED);
    return NULL;
}

TEST(switched_while_threads_allocate)
{
    struct unit u;
    pthread_t threads[3];
    unit_open(&u, "");
    wrong = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &u), 0);
    for (unsigned n = 0; n < 60; n++) {
        const mid_trace_options options = {sizeof options, 1 + n % 8, n % 3 == 0 ? 0 : n % 3 * 5000};
        mid_status status = mid_trace_start(u.heap, &options);
        if (status == MID_EPOSTPONED)
            continue;
        ok(status);
        mid_release(u.thread, here(&u));
        mid_status checked = mid_heap_check(u.heap);
        if (checked == MID_ECORRUPT)
            print_error("%s\n", mid_heap_check_text(u.heap));
        assert_int_not_equal(checked, MID_ECORRUPT);
        mid_status compacted = mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL);
        assert_true(compacted == MID_OK || compacted == MID_EPOSTPONED);
        while ((status = mid_trace_stop(u.heap)) == MID_EPOSTPONED)
            mid_safepoint(u.thread);
        ok(status);
    }
    start(&u, 4, 1000);
    UNIT_JOIN(&u, i, 3, threads[i]);
    assert_int_equal(wrong, 0);
    unit_drain(&u);
    ok(mid_collect(u.thread, NULL));
    assert_int_equal(figures(&u).records, 0);
    unit_close(&u);
}

TEST(a_forked_child_goes_on)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 6, 0);
    mid_handle made = here(&u);
    pid_t child = fork();
    if (child == 0) {
        mid_trace_record r;
        mid_handle more = 0;
        alarm(60);
        int bad = mid_trace_where(u.thread, made, &r) != MID_OK || mid_new(u.thread, u.node, &more) != MID_OK ||
                  mid_trace_where(u.thread, more, &r) != MID_OK || mid_heap_check(u.heap) != MID_OK || mid_trace_stop(u.heap) != MID_OK;
        _exit(bad);
    }
    child_ends(child);
    mid_release(u.thread, made);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_where_until_it_dies),
        cmocka_unit_test(nothing_is_left_of_what_died),
        cmocka_unit_test(nor_of_samples),
        cmocka_unit_test(nor_of_rare_samples),
        cmocka_unit_test(renamed_objects_are_still_known),
        cmocka_unit_test(samples_tell_of_the_whole),
        cmocka_unit_test(a_slot_that_is_used_again_is_sampled_as_often),
        cmocka_unit_test(foreign_memory),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(without_memory_objects_are_made_all_the_same),
        cmocka_unit_test(switched_while_threads_allocate),
        cmocka_unit_test(a_forked_child_goes_on),
    };
    return UNIT_RUN(tests);
}
