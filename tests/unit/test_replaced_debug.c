/* A program's allocator in the place of raw's or mem's, in a debug heap (this file is compiled with MIDDEN_DEBUG): its blocks are
 * watched as others are, and it is asked for nothing but what they take with their fences. */
#include <pthread.h>
#include <stdlib.h>

#include "fault_os.h"
#include "unit.h"

static struct {
    unsigned count;
    mid_misuse kind;
    char call[64], detail[320];
    mid_report_block block;
} got;

static void on_report(const mid_report *report, void *context)
{
    (void)context;
    got.count++;
    got.kind = report->kind;
    snprintf(got.call, sizeof got.call, "%s", report->call);
    snprintf(got.detail, sizeof got.detail, "%s", report->detail);
    got.block = report->block;
}

static void told(const char *call, mid_misuse kind, const char *file, int line)
{
    if (got.count != 1 || got.kind != kind || strcmp(got.call, call) != 0) {
        print_error("expected one report of %s, kind %d; %u, the last of %s, kind %d: %s\n", call, kind, got.count, got.call, got.kind,
                    got.detail);
        _fail(file, line);
    }
    got.count = 0;
}
#define TOLD(call, kind) told(call, kind, __FILE__, __LINE__)

/* An allocator with a list of what it has handed out; the last size it was asked for. */
#define MOST 4096
static struct {
    pthread_mutex_t lock;
    void *at[MOST];
    size_t size[MOST], count, last, calls;
    int refuse;      /* frees and everything else */
    void *next;      /* handed out next, whatever it is */
} theirs = {.lock = PTHREAD_MUTEX_INITIALIZER};

static mid_status hand_out(size_t size, int clear, uintptr_t *block)
{
    if (theirs.refuse)
        return MID_ENOMEM;
    pthread_mutex_lock(&theirs.lock);
    void *at = theirs.next != NULL ? theirs.next : clear ? calloc(1, size) : malloc(size);
    theirs.next = NULL;
    assert_true(theirs.count < MOST);
    theirs.at[theirs.count] = at;
    theirs.size[theirs.count++] = size;
    theirs.last = size;
    theirs.calls++;
    pthread_mutex_unlock(&theirs.lock);
    *block = (uintptr_t)at;
    return MID_OK;
}

static mid_status take(uintptr_t block)
{
    size_t i = 0;
    while (i < theirs.count && theirs.at[i] != (void *)block)
        i++;
    if (i == theirs.count)
        return MID_EBLOCK;
    theirs.count--;
    theirs.at[i] = theirs.at[theirs.count];
    theirs.size[i] = theirs.size[theirs.count];
    theirs.calls++;
    return MID_OK;
}

static mid_status their_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)
{
    (void)caller;
    return context == &theirs ? hand_out(size, 0, block) : MID_EINVAL;
}
static mid_status their_calloc(void *context, mid_caller caller, size_t count, size_t size, uintptr_t *block)
{
    (void)caller;
    return context == &theirs ? hand_out(count * size, 1, block) : MID_EINVAL;
}
static mid_status their_realloc(void *context, mid_caller caller, uintptr_t *block, size_t size)
{
    (void)caller;
    if (context != &theirs || theirs.refuse)
        return MID_ENOMEM;
    pthread_mutex_lock(&theirs.lock);
    mid_status status = take(*block);
    if (status == MID_OK) {
        void *to = realloc((void *)*block, size);
        theirs.at[theirs.count] = to;
        theirs.size[theirs.count++] = size;
        *block = (uintptr_t)to;
        theirs.last = size;
    }
    pthread_mutex_unlock(&theirs.lock);
    return status;
}
static mid_status their_free(void *context, mid_caller caller, uintptr_t block)
{
    (void)caller;
    if (context != &theirs || theirs.refuse)
        return MID_EBUSY;
    pthread_mutex_lock(&theirs.lock);
    mid_status status = take(block);
    pthread_mutex_unlock(&theirs.lock);
    if (status == MID_OK)
        free((void *)block);
    return status;
}
static const mid_allocator their_allocator = {&theirs, their_malloc, their_calloc, their_realloc, their_free, 0};

struct domain {
    mid_domain domain;
    const char *free, *realloc;
};
static const struct domain domains[] = {{MID_DOMAIN_RAW, "mid_raw_free", "mid_raw_realloc"}, {MID_DOMAIN_MEM, "mid_mem_free", "mid_mem_realloc"}};
#define EACH(d) for (const struct domain *d = domains; d != domains + 2; d++)

static mid_allocator own[2];
static void replaced_open(struct unit *u, const mid_options *options)
{
    memset(&got, 0, sizeof got);
    mid_debug_reports(on_report, NULL, 0);
    if (options != NULL)
        unit_open_with(u, options);
    else
        unit_open(u, "");
    EACH(d) {
        ok(mid_domain_get_allocator(u->heap, d->domain, &own[d - domains]));
        ok(mid_domain_set_allocator(u->heap, d->domain, &their_allocator));
    }
}

static void replaced_close(struct unit *u)
{
    assert_int_equal(theirs.count, 0);
    EACH(d)
        ok(mid_domain_set_allocator(u->heap, d->domain, &own[d - domains]));
    if (got.count != 0)
        fail_msg("told of %s: %s", got.call, got.detail);
    unit_close(u);
    assert_int_equal(got.count, 0);
    mid_debug_reports(NULL, NULL, 0);
}

static mid_status try(struct unit *u, const struct domain *d, size_t size, void *out)
{
    void **at = out;
    return d->domain == MID_DOMAIN_RAW ? mid_raw_malloc(u->heap, size, at) : mid_mem_malloc(u->thread, size, at);
}
static unsigned char *make(struct unit *u, const struct domain *d, size_t size)
{
    void *at;
    ok(try(u, d, size, &at));
    return at;
}
static mid_status give(struct unit *u, const struct domain *d, void *at)
{
    return d->domain == MID_DOMAIN_RAW ? mid_raw_free(u->heap, at) : mid_mem_free(u->thread, at);
}
static mid_status resize(struct unit *u, const struct domain *d, void **at, size_t size)
{
    return d->domain == MID_DOMAIN_RAW ? mid_raw_realloc(u->heap, at, size) : mid_mem_realloc(u->thread, at, size);
}

static __attribute__((noinline, no_sanitize("address"))) void poke(void *at, size_t count)
{
    for (volatile unsigned char *byte = at; count != 0; count--)
        *byte++ = 1;
}
static __attribute__((noinline, no_sanitize("address"))) unsigned peek(const volatile unsigned char *at)
{
    return *at;
}

static const size_t sizes[] = {0, 1, 7, 16, 100, 4096, 33 << 10, 3 << 20};
#define SIZES (sizeof sizes / sizeof sizes[0])

TEST(fences_and_fillings)
{
    struct unit u;
    replaced_open(&u, NULL);
    EACH(d)
        for (size_t n = 0; n < SIZES; n++) {
            unsigned char *at = make(&u, d, sizes[n]);
            assert_int_equal(theirs.last, sizes[n] + 32);
            for (size_t i = 0; i < 16; i++) {
                assert_int_equal(peek(at - 1 - i), 0xFD);
                assert_int_equal(peek(at + sizes[n] + i), 0xFD);
            }
            for (size_t i = 0; i < sizes[n]; i++)
                assert_int_equal(at[i], 0xCD);
            poke(at + sizes[n] + 15, 1);
            expect(MID_ECORRUPT, mid_debug_check(u.heap));
            TOLD("mid_debug_check", MID_MISUSE_OVERFLOW);
            assert_ptr_equal(got.block.address, at);
            assert_int_equal(got.block.size, sizes[n]);
            assert_int_equal(got.block.domain, d->domain);
            unit_check(&u);
            poke(at - 16, 1);
            ok(give(&u, d, at));
            TOLD(d->free, MID_MISUSE_UNDERFLOW);
            assert_int_equal(theirs.count, 0); /* gone at once: how long it may wait is not ours to say */
        }
    void *cleared;
    ok(mid_mem_calloc(u.thread, 10, 10, &cleared));
    for (int i = 0; i < 100; i++)
        assert_int_equal(((char *)cleared)[i], 0);
    size_t size;
    ok(mid_mem_size(u.thread, cleared, &size));
    assert_int_equal(size, 100);
    ok(mid_mem_free_anywhere(u.heap, cleared));
    expect(MID_ESIZE, mid_mem_calloc(u.thread, SIZE_MAX / 2, 3, &cleared));
    expect(MID_ESIZE, mid_raw_malloc(u.heap, SIZE_MAX, &cleared));
    replaced_close(&u);
}

TEST(freed_twice_in_another_domain_and_inside)
{
    struct unit u;
    int local;
    replaced_open(&u, NULL);
    EACH(d) {
        const struct domain *other = d == domains ? domains + 1 : domains;
        unsigned char *at = make(&u, d, 100);
        size_t calls = theirs.calls;
        void *again = at;
        expect(MID_EBLOCK, give(&u, other, at));
        TOLD(other->free, MID_MISUSE_DOMAIN);
        expect(MID_EBLOCK, resize(&u, other, &again, 5));
        TOLD(other->realloc, MID_MISUSE_DOMAIN);
        expect(MID_EBLOCK, give(&u, d, at + 8));
        TOLD(d->free, MID_MISUSE_ADDRESS);
        expect(MID_EBLOCK, give(&u, d, &local));
        TOLD(d->free, MID_MISUSE_ADDRESS);
        assert_int_equal(theirs.calls, calls); /* it has heard of none of it */
        ok(give(&u, d, at));
        expect(MID_EBLOCK, give(&u, d, at));
        TOLD(d->free, MID_MISUSE_FREED);
        expect(MID_EBLOCK, resize(&u, d, &again, 5));
        TOLD(d->realloc, MID_MISUSE_FREED);
        assert_int_equal(theirs.calls, calls + 1);
        for (int i = 0; i < 10000; i++) /* the same address again and again */
            ok(give(&u, d, make(&u, d, 100)));
        unit_check(&u);
        void *twice = malloc(132);
        theirs.next = twice;
        at = make(&u, d, 100);
        theirs.next = twice;
        void *none;
        expect(MID_ECORRUPT, try(&u, d, 100, &none));
        TOLD(d == domains ? "mid_raw_malloc" : "mid_mem_malloc", MID_MISUSE_ADDRESS);
        assert_null(none);
        theirs.count--;
        ok(give(&u, d, at));
    }
    replaced_close(&u);
}

TEST(resized)
{
    struct unit u;
    replaced_open(&u, NULL);
    EACH(d) {
        void *at = make(&u, d, 40), *was = at;
        memset(at, 0x11, 40);
        ok(resize(&u, d, &at, 3 << 20));
        assert_int_equal(theirs.last, (3 << 20) + 32);
        assert_int_equal(((unsigned char *)at)[39], 0x11);
        for (size_t i = 40; i < 3 << 20; i++)
            assert_int_equal(((unsigned char *)at)[i], 0xCD);
        if (was != at) {
            expect(MID_EBLOCK, give(&u, d, was));
            TOLD(d->free, MID_MISUSE_FREED);
            assert_true(got.block.moved);
        }
        unit_check(&u);
        ok(resize(&u, d, &at, 20));
        assert_int_equal(((unsigned char *)at)[19], 0x11);
        poke((char *)at + 20, 1);
        theirs.refuse = 1;
        was = at;
        expect(MID_ENOMEM, resize(&u, d, &at, 50));
        TOLD(d->realloc, MID_MISUSE_OVERFLOW);
        assert_ptr_equal(at, was);
        unit_check(&u);
        assert_int_equal(((unsigned char *)at)[19], 0x11);
        expect(MID_EBUSY, give(&u, d, at)); /* not freed: a block still */
        unit_check(&u);
        void *none;
        expect(MID_ENOMEM, try(&u, d, 50, &none));
        assert_null(none);
        theirs.refuse = 0;
        poke((char *)at + 20, 1);
        ok(give(&u, d, at));
        TOLD(d->free, MID_MISUSE_OVERFLOW);
        at = NULL;
        ok(resize(&u, d, &at, 5));
        ok(give(&u, d, at));
    }
    replaced_close(&u);
}

static mid_allocator below;
static size_t wrapped;
static mid_status wrap_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)
{
    (void)context;
    wrapped += size;
    return (below.malloc)(below.context, caller, size, block);
}

/* Who asks is handed what watches, to wrap and to set again; the program's own may be set again too. */
TEST(wrapped_set_again_and_taken_off)
{
    struct unit u;
    replaced_open(&u, NULL);
    EACH(d) {
        unsigned char *at = make(&u, d, 10), *other;
        ok(mid_domain_get_allocator(u.heap, d->domain, &below));
        mid_allocator wrapper = below;
        wrapper.malloc = wrap_malloc;
        wrapper.wraps = 1;
        wrapped = 0;
        ok(mid_domain_set_allocator(u.heap, d->domain, &wrapper));
        other = make(&u, d, 77);
        assert_int_equal(wrapped, 77);
        assert_int_equal(theirs.last, 109);
        poke(other + 77, 1);
        ok(give(&u, d, other));
        TOLD(d->free, MID_MISUSE_OVERFLOW);
        expect(MID_EHELD, mid_domain_set_allocator(u.heap, d->domain, &own[d - domains]));
        ok(mid_domain_set_allocator(u.heap, d->domain, &below));
        other = make(&u, d, 5);
        assert_int_equal(theirs.last, 37); /* two fences, not four */
        ok(mid_domain_set_allocator(u.heap, d->domain, &their_allocator));
        ok(give(&u, d, other));
        other = make(&u, d, 5);
        assert_int_equal(theirs.last, 37);
        ok(give(&u, d, other));
        ok(give(&u, d, at));
        ok(mid_domain_set_allocator(u.heap, d->domain, &own[d - domains]));
        at = make(&u, d, 5);
        assert_int_equal(theirs.count, 0);
        expect(MID_EHELD, mid_domain_set_allocator(u.heap, d->domain, &their_allocator));
        ok(give(&u, d, at));
        ok(mid_domain_set_allocator(u.heap, d->domain, &their_allocator));
    }
    replaced_close(&u);
}

TEST(what_is_left_is_told_at_close)
{
    struct unit u;
    replaced_open(&u, NULL);
    unsigned char *at = make(&u, &domains[1], 10);
    unit_close(&u);
    TOLD("mid_heap_close", MID_MISUSE_LEAK);
    assert_ptr_equal(got.block.address, at);
    assert_int_equal(theirs.count, 1);
    memset(at - 16, 0, 42); /* all of it may be used again by who owns it */
    ok(their_free(&theirs, (mid_caller){0}, (uintptr_t)(at - 16)));
    mid_debug_reports(NULL, NULL, 0);
}

TEST(no_memory_for_records)
{
    for (size_t n = 1; n < 40; n++) {
        struct unit u;
        struct fault_os os;
        mid_options options;
        void *at[300];
        fault_os_init(&os);
        mid_options_init(&options);
        options.os = &os.os;
        replaced_open(&u, &options);
        os.calls = 0;
        os.fail_at = n;
        os.for_good = n % 2;
        for (size_t i = 0; i < 300; i++) {
            mid_status status = try(&u, &domains[i % 2], i, &at[i]);
            assert_true(status == MID_OK || status == MID_ENOMEM);
            assert_true((status == MID_OK) == (at[i] != NULL));
        }
        for (size_t i = 0; i < 300; i += 3)
            if (at[i] != NULL)
                ok(resize(&u, &domains[i % 2], &at[i], i * 3));
        for (size_t i = 0; i < 300; i++)
            ok(give(&u, &domains[i % 2], at[i]));
        os.fail_at = 0;
        unit_check(&u);
        replaced_close(&u);
        fault_os_done(&os);
    }
}

static void *work(void *argument)
{
    struct unit u = *(struct unit *)argument;
    void *at[50] = {NULL};
    if (mid_thread_attach(u.heap, &u.thread) != MID_OK)
        return argument;
    for (int i = 0; i < 4000; i++) {
        const struct domain *d = &domains[i % 2];
        void **place = &at[i * 7 % 25 * 2 + i % 2];
        if (i % 5 == 4 ? resize(&u, d, place, (size_t)(i % 300)) != MID_OK : give(&u, d, *place) != MID_OK || try(&u, d, (size_t)(i % 200), place) != MID_OK)
            return argument;
        if (i % 100 == 0 && mid_safepoint(u.thread) != MID_OK)
            return argument;
    }
    for (int i = 0; i < 50; i++)
        if (give(&u, &domains[i % 2], at[i]) != MID_OK)
            return argument;
    return mid_thread_detach(u.thread) == MID_OK ? NULL : argument;
}

TEST(many_threads)
{
    struct unit u;
    pthread_t id[4];
    void *bad;
    replaced_open(&u, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&id[i], NULL, work, &u), 0);
    for (int i = 0; i < 20; i++)
        ok(mid_compact(u.thread, i % 5 == 0 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL));
    ok(mid_blocked_enter(u.thread));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(id[i], &bad), 0);
        assert_null(bad);
    }
    ok(mid_blocked_leave(u.thread));
    unit_check(&u);
    replaced_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fences_and_fillings),
        cmocka_unit_test(freed_twice_in_another_domain_and_inside),
        cmocka_unit_test(resized),
        cmocka_unit_test(wrapped_set_again_and_taken_off),
        cmocka_unit_test(what_is_left_is_told_at_close),
        cmocka_unit_test(no_memory_for_records),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
