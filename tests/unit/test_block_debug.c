/* Blocks of raw and mem in debug heaps (this file is compiled with MIDDEN_DEBUG): each misuse is told once as what it is, with both
 * sides, and has no other effect; correct use is told of nothing, and figures are those of other heaps. */
#include "reports.h"

#include <pthread.h>

#include "child.h"
#include "fault_os.h"

static void told(const char *call, mid_misuse kind, const char *file, int line)
{
    if (got.count != 1 || got.kind != kind || strcmp(got.call, call) != 0) {
        print_error("expected one report of %s, kind %d; %zu, the last of %s, kind %d: %s\n", call, kind, got.count, got.call, got.kind,
                    got.detail);
        _fail(file, line);
    }
    memset(&got, 0, sizeof got.count);
}
#define TOLD(call, kind) told(call, kind, __FILE__, __LINE__)

/* Behind the back of a sanitizer, which knows what is out of bounds. */
static __attribute__((noinline, no_sanitize("address"))) void poke(void *at, size_t count)
{
    for (volatile unsigned char *byte = at; count != 0; count--)
        *byte++ = 1;
}

static __attribute__((noinline, no_sanitize("address"))) unsigned peek(const volatile unsigned char *at)
{
    return *at;
}

/* Either domain, by the same calls. */
struct domain {
    const char *name, *free, *realloc;
    mid_domain domain;
};
static const struct domain domains[] = {{"raw", "mid_raw_free", "mid_raw_realloc", MID_DOMAIN_RAW},
                                        {"mem", "mid_mem_free", "mid_mem_realloc", MID_DOMAIN_MEM}};

static __attribute__((noinline)) unsigned char *make(struct unit *u, const struct domain *d, size_t size)
{
    void *at = NULL;
    mid_status status = d->domain == MID_DOMAIN_RAW ? mid_raw_malloc(u->heap, size, &at) : mid_mem_malloc(u->thread, size, &at);
    assert_int_equal(status, MID_OK);
    return at;
}

static __attribute__((noinline)) mid_status give(struct unit *u, const struct domain *d, void *at)
{
    mid_status status = d->domain == MID_DOMAIN_RAW ? mid_raw_free(u->heap, at) : mid_mem_free(u->thread, at);
    __asm__ volatile("" ::: "memory");
    return status;
}

static mid_status resize(struct unit *u, const struct domain *d, void **at, size_t size)
{
    return d->domain == MID_DOMAIN_RAW ? mid_raw_realloc(u->heap, at, size) : mid_mem_realloc(u->thread, at, size);
}

static void within(const void *frame, const void *function)
{
    ptrdiff_t into = (const char *)frame - (const char *)function;
    assert_true(into > 0 && into < 1000);
}

#define EACH(d) for (const struct domain *d = domains; d != domains + 2; d++)
static const size_t sizes[] = {0, 1, 7, 16, 100, 128, 1000, 4096, 32 << 10, 33 << 10, 200 << 10, 3 << 20};
#define SIZES (sizeof sizes / sizeof sizes[0])

TEST(bytes_are_those_of_cpython)
{
    struct unit u;
    debug_open(&u, "");
    EACH(d)
        for (size_t n = 0; n < SIZES; n++) {
            unsigned char *at = make(&u, d, sizes[n]);
            assert_int_equal((uintptr_t)at % (sizes[n] % 16 == 0 || sizes[n] > 128 ? 16 : 8), sizes[n] == 0 ? (uintptr_t)at % 16 : 0);
            for (size_t i = 0; i < 16; i++) {
                assert_int_equal(peek(at - 1 - i), 0xFD);
                assert_int_equal(peek(at + sizes[n] + i), 0xFD);
            }
            for (size_t i = 0; i < sizes[n]; i++) /* large blocks of mem come cleared in every heap */
                assert_int_equal(at[i], d->domain == MID_DOMAIN_MEM && sizes[n] > 32 << 10 ? 0 : 0xCD);
            memset(at, 0x11, sizes[n]);
            ok(give(&u, d, at));
            for (size_t i = 0; i < sizes[n] + 32; i++)
                assert_int_equal(peek(at - 16 + i), 0xDD);
        }
    void *cleared;
    ok(mid_mem_calloc(u.thread, 10, 10, &cleared));
    for (int i = 0; i < 100; i++)
        assert_int_equal(((char *)cleared)[i], 0);
    ok(mid_mem_free(u.thread, cleared));
    ok(mid_raw_calloc(u.heap, 10, 10, &cleared));
    for (int i = 0; i < 100; i++)
        assert_int_equal(((char *)cleared)[i], 0);
    ok(mid_raw_free(u.heap, cleared));
    debug_close(&u);
}

TEST(written_beyond_and_before)
{
    struct unit u;
    debug_open(&u, "");
    EACH(d)
        for (size_t n = 0; n < SIZES; n++) {
            unsigned char *at = make(&u, d, sizes[n]);
            poke(at + sizes[n], 3);
            expect(MID_ECORRUPT, mid_debug_check(u.heap));
            TOLD("mid_debug_check", MID_MISUSE_OVERFLOW);
            assert_ptr_equal(got.block.address, at);
            assert_true(got.block.live);
            assert_int_equal(got.block.domain, d->domain);
            assert_int_equal(got.block.size, sizes[n]);
            assert_true(got.block.serial != 0);
            within(got.made, (const void *)make);
            ok(mid_heap_check(u.heap)); /* it was put right */
            poke(at - 1, 1);
            expect(MID_ECORRUPT, mid_heap_check(u.heap));
            TOLD("mid_heap_check", MID_MISUSE_UNDERFLOW);
            poke(at + sizes[n] + 15, 1);
            ok(give(&u, d, at)); /* told, and freed all the same */
            TOLD(d->free, MID_MISUSE_OVERFLOW);
            within(got.here, (const void *)give);
        }
    debug_close(&u);
}

TEST(freed_twice_written_after_and_in_another_domain)
{
    struct unit u;
    debug_open(&u, "");
    EACH(d)
        for (size_t n = 0; n < SIZES; n++) {
            const struct domain *other = d == domains ? domains + 1 : domains;
            unsigned char *at = make(&u, d, sizes[n]);
            void *again = at;
            expect(MID_EBLOCK, give(&u, other, at));
            TOLD(other->free, MID_MISUSE_DOMAIN);
            assert_int_equal(got.block.domain, d->domain);
            expect(MID_EBLOCK, resize(&u, other, &again, 5));
            TOLD(other->realloc, MID_MISUSE_DOMAIN);
            assert_ptr_equal(again, at);
            expect(MID_EBLOCK, give(&u, d, at + 8)); /* inside, or in the fence behind */
            TOLD(d->free, MID_MISUSE_ADDRESS);
            assert_ptr_equal(got.block.address, at);
            ok(give(&u, d, at));
            expect(MID_EBLOCK, give(&u, d, at));
            TOLD(d->free, MID_MISUSE_FREED);
            assert_int_equal(got.status, MID_EBLOCK);
            assert_false(got.block.live);
            within(got.made, (const void *)make);
            within(got.freed, (const void *)give);
            within(got.here, (const void *)give);
            assert_non_null(strstr(got.text, "told"));
            expect(MID_EBLOCK, resize(&u, d, &again, 5));
            TOLD(d->realloc, MID_MISUSE_FREED);
            poke(at + sizes[n] / 2, 1);
            expect(MID_ECORRUPT, mid_debug_check(u.heap));
            TOLD("mid_debug_check", MID_MISUSE_WRITE_AFTER_FREE);
            within(got.freed, (const void *)give);
            ok(mid_debug_check(u.heap));
        }
    debug_close(&u);
}

TEST(told_when_memory_is_used_again)
{
    struct unit u;
    debug_open(&u, "quarantine=4");
    EACH(d) {
        unsigned char *at = make(&u, d, 64);
        ok(give(&u, d, at));
        poke(at + 9, 2);
        for (int i = 0; i < 4; i++)
            ok(give(&u, d, make(&u, d, 64)));
        TOLD("giving memory back", MID_MISUSE_WRITE_AFTER_FREE);
        assert_ptr_equal(got.block.address, at);
    }
    unit_close(&u);
    assert_int_equal(got.count, 0);
    debug_open(&u, "quarantine=0"); /* nothing waits, and nothing is told of what is used again */
    EACH(d) {
        unsigned char *at = make(&u, d, 64);
        ok(give(&u, d, at));
        ok(give(&u, d, make(&u, d, 64)));
    }
    debug_close(&u);
    debug_open(&u, "");
    unsigned char *at = make(&u, &domains[1], 300 << 10);
    ok(give(&u, &domains[1], at));
    poke(at + 100000, 1);
    ok(mid_heap_close(u.heap)); /* what still waits is looked at */
    assert_int_equal(got.count, 1);
    assert_int_equal(got.kind, MID_MISUSE_WRITE_AFTER_FREE);
    mid_debug_reports(NULL, NULL, 0);
}

TEST(foreign_addresses)
{
    struct unit u, v;
    debug_open(&u, "");
    unit_open(&v, "");
    int local;
    char *libc = malloc(100);
    mid_handle node = unit_new(&u, u.node);
    EACH(d) {
        unsigned char *at = make(&v, d, 100);
        expect(MID_EBLOCK, give(&u, d, at));
        TOLD(d->free, MID_MISUSE_ADDRESS);
        assert_null(got.block.address);
        ok(give(&v, d, at));
        expect(MID_EBLOCK, give(&u, d, &local));
        TOLD(d->free, MID_MISUSE_ADDRESS);
        expect(MID_EBLOCK, give(&u, d, libc + 16));
        TOLD(d->free, MID_MISUSE_ADDRESS);
        expect(MID_EBLOCK, give(&u, d, (void *)(uintptr_t)0x123456789000)); /* not even mapped */
        TOLD(d->free, MID_MISUSE_ADDRESS);
        expect(MID_EBLOCK, give(&u, d, mid_get(u.thread, node)));
        TOLD(d->free, MID_MISUSE_ADDRESS);
        assert_int_equal(got.object.handle, node);
        at = make(&u, d, 100);
        assert_true(mid_debug_address(u.thread, at)); /* C's free is no better */
        TOLD("free", MID_MISUSE_ADDRESS);
        assert_ptr_equal(got.block.address, at);
        ok(give(&u, d, at));
    }
    free(libc);
    mid_release(u.thread, node);
    unit_close(&v);
    debug_close(&u);
}

TEST(resized_blocks_move)
{
    struct unit u;
    debug_open(&u, "");
    EACH(d)
        for (size_t n = 0; n + 1 < SIZES; n++) {
            void *at = make(&u, d, sizes[n]), *was = at;
            memset(at, 0x22, sizes[n]);
            ok(resize(&u, d, &at, sizes[n + 1]));
            assert_ptr_not_equal(at, was);
            for (size_t i = 0; i < sizes[n]; i++)
                assert_int_equal(((unsigned char *)at)[i], 0x22);
            expect(MID_EBLOCK, give(&u, d, was));
            TOLD(d->free, MID_MISUSE_FREED);
            assert_true(got.block.moved);
            memset(at, 0x33, sizes[n + 1]);
            ok(resize(&u, d, &at, sizes[n]));
            for (size_t i = 0; i < sizes[n]; i++)
                assert_int_equal(((unsigned char *)at)[i], 0x33);
            poke((unsigned char *)at + sizes[n], 1);
            ok(resize(&u, d, &at, sizes[n] + 5));
            TOLD(d->realloc, MID_MISUSE_OVERFLOW);
            ok(give(&u, d, at));
        }
    void *none = NULL;
    EACH(d) {
        expect(MID_ESIZE, resize(&u, d, &none, SIZE_MAX));
        expect(MID_ESIZE, resize(&u, d, &none, SIZE_MAX - 40));
        assert_null(none);
        ok(resize(&u, d, &none, 50));
        void *kept = none;
        expect(MID_ESIZE, resize(&u, d, &none, SIZE_MAX - 20));
        assert_ptr_equal(none, kept);
        ok(give(&u, d, none));
        none = NULL;
    }
    debug_close(&u);
}

TEST(figures_are_those_of_other_heaps)
{
    struct unit u;
    void *at[SIZES];
    mid_domain_stats s;
    debug_open(&u, "");
    EACH(d) {
        uint64_t asked = 0;
        for (size_t n = 0; n < SIZES; n++) {
            at[n] = make(&u, d, sizes[n]);
            asked += sizes[n];
        }
        ok(mid_stats_domain(u.heap, d->domain, &s, sizeof s));
        assert_int_equal(s.live_blocks, SIZES);
        assert_int_equal(s.asked_bytes, asked);
        for (size_t n = 0; n < SIZES; n++) {
            size_t size = 0;
            if (d->domain == MID_DOMAIN_MEM) {
                ok(mid_mem_size(u.thread, at[n], &size));
                assert_int_equal(size, sizes[n]);
            }
            ok(give(&u, d, at[n]));
            if (d->domain == MID_DOMAIN_MEM)
                expect(MID_EBLOCK, mid_mem_size(u.thread, at[n], &size));
        }
        ok(mid_stats_domain(u.heap, d->domain, &s, sizeof s));
        assert_int_equal(s.live_blocks, 0);
        assert_int_equal(s.asked_bytes, 0);
        assert_int_equal(s.taken_bytes, 0);
        assert_int_equal(s.allocations, SIZES);
        assert_int_equal(s.frees, SIZES);
        assert_int_equal(s.reallocations, 0);
        unit_check(&u);
    }
    debug_close(&u);
}

TEST(large_objects_are_watched)
{
    struct unit u;
    debug_open(&u, "");
    for (int n = 0; n < 2; n++) {
        mid_handle large = unit_array(&u, u.bytes, n == 0 ? 100000 : 2 << 20);
        struct bytes *at = mid_get(u.thread, large);
        mid_release(u.thread, large);
        poke(at->data + 70000, 1);
        expect(MID_ECORRUPT, mid_heap_check(u.heap));
        TOLD("mid_heap_check", MID_MISUSE_WRITE_AFTER_FREE);
        assert_int_equal(got.object.handle, large);
        assert_ptr_equal(got.block.address, at);
        assert_int_equal(got.block.domain, MID_DOMAIN_OBJECT);
        ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
        ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
        ok(mid_heap_check(u.heap));
    }
    debug_close(&u);
    debug_open(&u, "debug-move=1");
    mid_handle large = unit_array(&u, u.bytes, 100000);
    struct bytes *at = mid_get(u.thread, large);
    mid_safepoint(u.thread);
    assert_ptr_not_equal(mid_get(u.thread, large), at);
    poke(at->data + 70000, 1);
    expect(MID_ECORRUPT, mid_heap_check(u.heap));
    TOLD("mid_heap_check", MID_MISUSE_STALE_ADDRESS);
    assert_int_equal(got.object.handle, large);
    mid_release(u.thread, large);
    debug_close(&u);
}

TEST(left_at_close)
{
    struct unit u;
    debug_open(&u, "");
    unsigned char *raw = make(&u, &domains[0], 33);
    uintptr_t was = (uintptr_t)raw;
    ok(mid_heap_close(u.heap));
    TOLD("mid_heap_close", MID_MISUSE_LEAK);
    assert_int_equal((uintptr_t)got.block.address, was);
    within(got.made, (const void *)make);
    poke(raw, 33); /* it outlives the heap */
    free(raw - 32);
    debug_open(&u, "");
    make(&u, &domains[1], 33);
    ok(mid_heap_close(u.heap));
    TOLD("mid_heap_close", MID_MISUSE_LEAK);
    mid_debug_reports(NULL, NULL, 0);
}

TEST(at_the_limit_what_waits_is_freed)
{
    struct unit u;
    static void *at[8000];
    int n = 0;
    mid_status status = MID_OK;
    debug_open(&u, "heap-limit=16M");
    for (int round = 0; round < 5; round++) {
        for (n = 0; n < 8000 && (status = mid_mem_malloc(u.thread, 3000, &at[n])) == MID_OK; n++)
            memset(at[n], 1, 3000);
        expect(MID_ELIMIT, status);
        assert_true(n > 1500); /* nothing of the rounds before is in the way */
        void *kept = at[0];
        ok(mid_mem_realloc(u.thread, &at[0], 100)); /* to shrink never fails */
        assert_ptr_equal(at[0], kept);
        poke((char *)at[0] + 100, 1);
        expect(MID_ECORRUPT, mid_debug_check(u.heap));
        TOLD("mid_debug_check", MID_MISUSE_OVERFLOW);
        while (n-- != 0)
            ok(mid_mem_free(u.thread, at[n]));
        unit_check(&u);
    }
    debug_close(&u);
}

static void use_blocks(struct unit *u)
{
    void *at[40] = {NULL};
    for (int n = 0; n < 40; n++) {
        const struct domain *d = &domains[n % 2];
        mid_status status = d->domain == MID_DOMAIN_RAW ? mid_raw_malloc(u->heap, 1u << n / 2, &at[n]) : mid_mem_malloc(u->thread, 1u << n / 2, &at[n]);
        if (status == MID_OK)
            memset(at[n], 1, 1u << n / 2);
        else
            assert_true(status == MID_ENOMEM || status == MID_ELIMIT);
        if (at[n] != NULL && resize(u, d, &at[n], 3u << n / 2) == MID_OK)
            memset(at[n], 2, 3u << n / 2);
    }
    for (int n = 0; n < 40; n++)
        ok(give(u, &domains[n % 2], at[n]));
    mid_handle large;
    if (mid_new_array(u->thread, u->bytes, 50000, &large) == MID_OK)
        mid_release(u->thread, large);
}

TEST(each_request_of_memory_is_refused_once)
{
    struct fault_os fault;
    reports_begin();
    for (int forever = 0; forever < 2; forever++)
        for (size_t from = 1;; from++) {
            struct unit u;
            fault_open(&u, &fault, "");
            fault.fail_at = fault.calls + from;
            fault.for_good = forever;
            use_blocks(&u);
            bool failed = fault.failed != 0;
            fault.fail_at = 0;
            unit_check(&u);
            fault_close(&u, &fault);
            if (got.count != 0)
                fail_msg("request %zu: %s", from, got.detail);
            if (!failed)
                break;
        }
    mid_debug_reports(NULL, NULL, 0);
}

struct worker {
    struct unit *u;
    unsigned seed;
    int bad;
};

static void *work(void *argument)
{
    struct worker *w = argument;
    struct unit mine = *w->u;
    void *at[64] = {NULL};
    w->bad = mid_thread_attach(mine.heap, &mine.thread) != MID_OK;
    for (size_t i = 0; i < unit_scale(20000) && !w->bad; i++) {
        unsigned n = rand_r(&w->seed) % 64, size = rand_r(&w->seed) % 400;
        const struct domain *d = &domains[n % 2];
        if (at[n] != NULL && i % 3 != 0) {
            w->bad |= give(&mine, d, at[n]) != MID_OK;
            at[n] = NULL;
        } else {
            w->bad |= resize(&mine, d, &at[n], size) != MID_OK;
            memset(at[n], (int)n, size);
        }
        if (i % 50 == 0)
            w->bad |= mid_safepoint(mine.thread) != MID_OK;
        if (i % 500 == 0)
            w->bad |= mid_debug_check(mine.heap) != MID_OK;
    }
    for (unsigned n = 0; n < 64; n++)
        w->bad |= give(&mine, &domains[n % 2], at[n]) != MID_OK;
    w->bad |= mid_thread_detach(mine.thread) != MID_OK;
    return NULL;
}

TEST(many_threads)
{
    struct unit u;
    pthread_t threads[4];
    struct worker workers[4];
    debug_open(&u, "quarantine=100");
    for (unsigned n = 0; n < 4; n++) {
        workers[n] = (struct worker){&u, n + 1, 0};
        assert_int_equal(pthread_create(&threads[n], NULL, work, &workers[n]), 0);
    }
    UNIT_JOIN(&u, n, 4, threads[n]);
    for (unsigned n = 0; n < 4; n++)
        assert_false(workers[n].bad);
    debug_close(&u);
}

/* Two threads free the same block: one of them is told. */
static void *free_too(void *argument)
{
    struct worker *w = argument;
    w->bad = mid_mem_free_anywhere(w->u->heap, got.object.type == NULL ? (void *)(uintptr_t)w->seed : NULL) != MID_OK;
    return NULL;
}

TEST(who_is_not_attached)
{
    struct unit u;
    pthread_t thread;
    debug_open(&u, "");
    struct worker w = {&u, 16, 0};
    assert_int_equal(pthread_create(&thread, NULL, free_too, &w), 0);
    pthread_join(thread, NULL);
    assert_true(w.bad);
    TOLD("mid_mem_free", MID_MISUSE_ADDRESS);
    void *at;
    ok(mid_mem_malloc(u.thread, 10, &at));
    ok(mid_blocked_enter(u.thread));
    expect(MID_ETHREAD, mid_mem_free(u.thread, at));
    ok(mid_mem_free_anywhere(u.heap, at));
    expect(MID_EBLOCK, mid_mem_free_anywhere(u.heap, at));
    TOLD("mid_mem_free", MID_MISUSE_FREED);
    ok(mid_blocked_leave(u.thread));
    debug_close(&u);
}

#ifndef __SANITIZE_THREAD__ /* which does not follow locks across a fork */
TEST(a_forked_child_knows_its_blocks)
{
    struct unit u;
    debug_open(&u, "");
    unsigned char *live = make(&u, &domains[1], 100), *dead = make(&u, &domains[1], 100), *raw = make(&u, &domains[0], 100);
    ok(give(&u, &domains[1], dead));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        NEED(mid_mem_free(u.thread, dead) == MID_EBLOCK && got.count == 1 && got.kind == MID_MISUSE_FREED);
        poke(live + 100, 1);
        NEED(mid_heap_check(u.heap) == MID_ECORRUPT && got.count == 2 && got.kind == MID_MISUSE_OVERFLOW);
        poke(dead, 1);
        NEED(mid_mem_free(u.thread, live) == MID_OK && mid_raw_free(u.heap, raw) == MID_OK);
        NEED(mid_heap_check(u.heap) == MID_ECORRUPT && got.count == 3 && got.kind == MID_MISUSE_WRITE_AFTER_FREE);
        NEED(mid_heap_close(u.heap) == MID_OK && got.count == 3);
        _exit(0);
    }
    child_ends(child);
    ok(give(&u, &domains[1], live));
    ok(give(&u, &domains[0], raw));
    debug_close(&u);
}
#endif

/* A wrapper sees what the program asks for, and the program's call is the site still. */
static mid_allocator below;
static uint64_t wrapped;

static mid_status wrap_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)
{
    (void)context;
    wrapped += size;
    return below.malloc(below.context, caller, size, block);
}

TEST(allocators_may_be_wrapped)
{
    struct unit u;
    debug_open(&u, "");
    EACH(d) {
        wrapped = 0;
        ok(mid_domain_get_allocator(u.heap, d->domain, &below));
        mid_allocator wrapper = below;
        wrapper.malloc = wrap_malloc;
        ok(mid_domain_set_allocator(u.heap, d->domain, &wrapper));
        unsigned char *at = make(&u, d, 77);
        assert_int_equal(wrapped, 77);
        poke(at + 77, 1);
        ok(give(&u, d, at));
        TOLD(d->free, MID_MISUSE_OVERFLOW);
        within(got.made, (const void *)make);
        ok(mid_domain_set_allocator(u.heap, d->domain, &below));
        at = make(&u, d, 78); /* still watched */
        assert_int_equal(wrapped, 77);
        poke(at - 1, 1);
        ok(give(&u, d, at));
        TOLD(d->free, MID_MISUSE_UNDERFLOW);
    }
    ok(mid_trace_start(u.heap, NULL));
    unsigned char *at = make(&u, &domains[1], 10);
    mid_trace_record record;
    ok(mid_trace_where_tracked(u.heap, MID_TRACE_MEM, at, &record));
    within(record.frames[0], (const void *)make);
    ok(mid_trace_stop(u.heap));
    ok(give(&u, &domains[1], at));
    expect(MID_EBLOCK, give(&u, &domains[1], at)); /* tracing has left what it found */
    TOLD("mid_mem_free", MID_MISUSE_FREED);
    debug_close(&u);
}

TEST(compactions_in_between)
{
    struct unit u;
    void *at[60];
    debug_open(&u, "");
    for (int round = 0; round < 6; round++) {
        for (int n = 0; n < 60; n++) {
            at[n] = make(&u, &domains[n % 2], (size_t)n * 97 * (n % 7 == 0 ? 40 : 1));
            mid_release(u.thread, unit_array(&u, u.bytes, (size_t)n * 1000));
        }
        if (round % 2 == 0)
            ok(mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL));
        else
            ok(mid_compact(u.thread, MID_COMPACT_DEEP, 0, NULL));
        for (int n = 0; n < 60; n += 2)
            ok(give(&u, &domains[n % 2], at[n]));
        ok(round == 2 ? mid_reclaim(u.thread) : mid_trim(u.thread, 0, NULL));
        poke(at[1], 90);
        for (int n = 1; n < 60; n += 2)
            ok(give(&u, &domains[n % 2], at[n]));
        ok(mid_heap_check(u.heap));
    }
    debug_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_cpython),
        cmocka_unit_test(written_beyond_and_before),
        cmocka_unit_test(freed_twice_written_after_and_in_another_domain),
        cmocka_unit_test(told_when_memory_is_used_again),
        cmocka_unit_test(foreign_addresses),
        cmocka_unit_test(resized_blocks_move),
        cmocka_unit_test(figures_are_those_of_other_heaps),
        cmocka_unit_test(large_objects_are_watched),
        cmocka_unit_test(left_at_close),
        cmocka_unit_test(at_the_limit_what_waits_is_freed),
        cmocka_unit_test(each_request_of_memory_is_refused_once),
        cmocka_unit_test(many_threads),
        cmocka_unit_test(who_is_not_attached),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test(a_forked_child_knows_its_blocks),
#endif
        cmocka_unit_test(allocators_may_be_wrapped),
        cmocka_unit_test(compactions_in_between),
    };
    return UNIT_RUN(tests);
}
