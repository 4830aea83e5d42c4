/* test_trace_block.c: blocks of the domains raw and mem are traced while tracing is on, and cost nothing else while it is off. */
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

static __attribute__((noinline)) void *mem_block(struct unit *u, size_t size)
{
    void *at = NULL;
    ok(mid_mem_malloc(u->thread, size, &at));
    __asm__ volatile("" ::: "memory");
    return at;
}

static __attribute__((noinline)) void *raw_block(struct unit *u, size_t size)
{
    void *at = NULL;
    ok(mid_raw_malloc(u->heap, size, &at));
    __asm__ volatile("" ::: "memory");
    return at;
}

static void begins_in(struct unit *u, mid_trace_domain domain, void *at, void *(*function)(struct unit *, size_t), size_t bytes)
{
    mid_trace_record r;
    ok(mid_trace_where_tracked(u->heap, domain, at, &r));
    ptrdiff_t into = (char *)r.frames[0] - (char *)function;
    assert_true(r.depth > 1 && into > 0 && into < 400);
    assert_int_equal(r.bytes, bytes);
    assert_int_equal(r.domain, domain);
}

TEST(made_moved_freed)
{
    struct unit u;
    mid_trace_record r;
    unit_open(&u, "");
    void *before = mem_block(&u, 100);
    start(&u, 0);
    expect(MID_EUNTRACED, mid_trace_where_tracked(u.heap, MID_TRACE_MEM, before, &r));
    for (int i = 0; i < 3; i++) { /* by whatever path */
        void *small = mem_block(&u, 100), *large = mem_block(&u, 3 << 20), *raw = raw_block(&u, 50), *was = small;
        begins_in(&u, MID_TRACE_MEM, small, mem_block, 100);
        begins_in(&u, MID_TRACE_MEM, large, mem_block, 3 << 20);
        begins_in(&u, MID_TRACE_RAW, raw, raw_block, 50);
        ok(mid_mem_realloc(u.thread, &small, 101));
        assert_ptr_equal(small, was);
        begins_in(&u, MID_TRACE_MEM, small, mem_block, 101); /* it is the same block */
        ok(mid_mem_realloc(u.thread, &small, 5000));
        assert_ptr_not_equal(small, was);
        expect(MID_EUNTRACED, mid_trace_where_tracked(u.heap, MID_TRACE_MEM, was, &r));
        ok(mid_trace_where_tracked(u.heap, MID_TRACE_MEM, small, &r));
        ok(mid_raw_realloc(u.heap, &raw, 1 << 20));
        assert_int_equal(figures(&u).records, 3);
        assert_int_equal(figures(&u).domain_bytes[MID_TRACE_MEM], 5000 + (3 << 20));
        assert_int_equal(figures(&u).domain_bytes[MID_TRACE_RAW], 1 << 20);
        expect(MID_ESIZE, mid_mem_realloc(u.thread, &small, (size_t)1 << 60)); /* it stays known */
        expect(MID_ESIZE, mid_raw_realloc(u.heap, &raw, SIZE_MAX));
        assert_int_equal(figures(&u).records, 3);
        expect(MID_EBLOCK, mid_mem_free(u.thread, (char *)large + 8));
        ok(mid_compact(u.thread, i == 1 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
        unit_check(&u);
        ok(mid_mem_free(u.thread, small));
        expect(MID_EBLOCK, mid_mem_free(u.thread, small));
        ok(mid_mem_free_anywhere(u.heap, large));
        ok(mid_raw_free(u.heap, raw));
        assert_int_equal(figures(&u).records, 0);
        assert_int_equal(figures(&u).bytes, 0);
    }
    ok(mid_mem_free(u.thread, before));
    void *left = mem_block(&u, 64);
    ok(mid_trace_stop(u.heap));
    ok(mid_mem_free(u.thread, left));
    unit_close(&u);
}

static unsigned wrapped;
static mid_allocator inner;
static mid_status counting(void *context, mid_caller caller, size_t size, uintptr_t *block)
{
    (void)context;
    wrapped++;
    return (inner.malloc)(inner.context, caller, size, block);
}

/* Who asks for the allocator, sets another or takes it off again sees nothing of the tracing, and ends none. */
TEST(with_other_allocators)
{
    struct unit u;
    unit_open(&u, "");
    start(&u, 0);
    ok(mid_domain_get_allocator(u.heap, MID_DOMAIN_MEM, &inner));
    mid_allocator mine = inner;
    mine.malloc = counting;
    mine.wraps = 1;
    wrapped = 0;
    ok(mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &mine));
    void *first = mem_block(&u, 40);
    assert_int_equal(wrapped, 1);
    begins_in(&u, MID_TRACE_MEM, first, mem_block, 40);
    ok(mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &inner));
    void *second = mem_block(&u, 40);
    assert_int_equal(wrapped, 1);
    begins_in(&u, MID_TRACE_MEM, second, mem_block, 40);
    ok(mid_mem_free(u.thread, first));
    ok(mid_mem_free(u.thread, second));
    assert_int_equal(figures(&u).records, 0);
    ok(mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &mine));
    ok(mid_trace_stop(u.heap));
    first = mem_block(&u, 40);
    assert_int_equal(wrapped, 2);
    ok(mid_mem_free(u.thread, first));
    ok(mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &inner));
    unit_close(&u);
}

/* 20,000 blocks of 400 bytes at one sample in 8 KiB: 977 are expected, with a deviation of 31. */
TEST(sampled_by_bytes)
{
    static void *block[20000];
    struct unit u;
    unit_open(&u, "");
    start(&u, 8192);
    for (int raw = 0; raw < 2; raw++) {
        for (int i = 0; i < 20000; i++)
            block[i] = raw ? raw_block(&u, 400) : mem_block(&u, 400);
        mid_trace_figures f = figures(&u);
        assert_in_range(f.records, 977 - 250, 977 + 250);
        assert_in_range(f.bytes, 6000000, 10000000);
        unit_check(&u);
        for (int i = 0; i < 20000; i++)
            ok(raw ? mid_raw_free(u.heap, block[i]) : mid_mem_free(u.thread, block[i]));
        assert_int_equal(figures(&u).records, 0);
    }
    unit_close(&u);
}

TEST(no_memory)
{
    static struct fault_os fault;
    for (size_t at = 1; at < 12; at++) {
        struct unit u;
        void *block[200];
        fault_open(&u, &fault, "");
        start(&u, 0);
        fault.fail_at = fault.calls + at;
        for (int i = 0; i < 200; i++) {
            mid_status status = mid_mem_malloc(u.thread, 3000, &block[i]);
            assert_true(status == MID_OK || (status == MID_ENOMEM && block[i] == NULL));
        }
        mid_trace_figures f = figures(&u);
        mid_domain_stats s;
        ok(mid_stats_domain(u.heap, MID_DOMAIN_MEM, &s, sizeof s));
        assert_int_equal(f.records + f.missed, s.live_blocks);
        unit_check(&u);
        for (int i = 0; i < 200; i++)
            ok(mid_mem_free(u.thread, block[i]));
        assert_int_equal(figures(&u).records, 0);
        fault_close(&u, &fault);
    }
}

static pthread_barrier_t together;
static unsigned long failures;

static void *worker(void *argument)
{
    mid_heap *heap = ((struct unit *)argument)->heap;
    mid_type node = ((struct unit *)argument)->node;
    mid_thread *thread;
    unsigned long bad = mid_thread_attach(heap, &thread) != MID_OK;
    pthread_barrier_wait(&together);
    for (size_t i = 0; i < unit_scale(40000); i++) {
        void *mem = NULL, *raw = NULL;
        mid_handle made = 0;
        bad += mid_mem_malloc(thread, 16 + i % 300, &mem) != MID_OK;
        bad += mid_raw_malloc(heap, 16 + i % 300, &raw) != MID_OK;
        bad += mid_new(thread, node, &made) != MID_OK;
        bad += mid_mem_realloc(thread, &mem, 700 + i % 200) != MID_OK;
        bad += mid_mem_free(thread, mem) != MID_OK;
        bad += mid_raw_free(heap, raw) != MID_OK;
        mid_release(thread, made);
        if (i % 64 == 0)
            bad += mid_safepoint(thread) != MID_OK;
    }
    bad += mid_thread_detach(thread) != MID_OK;
    __atomic_fetch_add(&failures, bad, __ATOMIC_RELAXED);
    return NULL;
}

/* Each gets its turn of the lock, and comes to its end, while a third stops the world. */
TEST(threads_come_to_an_end)
{
    for (uint64_t sample = 0; sample <= 4096; sample += 4096) {
        struct unit u;
        pthread_t thread[2];
        unit_open(&u, "");
        start(&u, sample);
        failures = 0;
        pthread_barrier_init(&together, NULL, 3);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, worker, &u), 0);
        pthread_barrier_wait(&together);
        for (int i = 0; i < 10; i++) {
            mid_status status = mid_collect(u.thread, NULL);
            assert_true(status == MID_OK || status == MID_EPOSTPONED);
        }
        UNIT_JOIN(&u, i, 2, thread[i]);
        pthread_barrier_destroy(&together);
        assert_int_equal(failures, 0);
        assert_int_equal(figures(&u).records, 0);
        unit_close(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_moved_freed), cmocka_unit_test(with_other_allocators), cmocka_unit_test(sampled_by_bytes),
        cmocka_unit_test(no_memory),        cmocka_unit_test(threads_come_to_an_end),
    };
    return UNIT_RUN(tests);
}
