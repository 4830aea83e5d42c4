/* test_traceback.c: who called, beside what glibc finds; each different answer once. */
#include <execinfo.h>
#include <pthread.h>

#include "fault_os.h"
#include "gc/traceback.h"
#include "unit.h"

static unsigned walks, differences;

static __attribute__((noinline)) int compare(void)
{
    void *ours[MID_FRAMES_MOST], *theirs[MID_FRAMES_MOST + 4];
    unsigned n = mid_traceback(ours, MID_FRAMES_MOST, 0);
    int m = backtrace(theirs, MID_FRAMES_MOST + 4), more = 0;
    while (more < 3 && ours[1] != theirs[1 + more]) /* a sanitizer's own frames */
        more++;
    differences += n < 3 || (unsigned)(m - more) < n; /* a thread's last frames may be told differently */
    for (unsigned i = 1; i < n && i < (unsigned)(m - more); i++)
        differences += ours[i] != theirs[i + (unsigned)more];
    walks++;
    return (int)n;
}

static __attribute__((noinline)) int plain(int depth)
{
    return depth == 0 ? compare() : plain(depth - 1) + 1;
}

/* Frames whose size is known only when they run are counted from the frame pointer. */
static __attribute__((noinline)) int varying(int depth)
{
    volatile char room[depth * 24 + 1];
    room[depth] = 1;
    return (depth == 0 ? compare() : varying(depth - 1)) + room[depth];
}

/* ... and aligned ones by way of it. */
static __attribute__((noinline)) int aligned(int depth)
{
    volatile _Alignas(64) char room[depth * 8 + 64];
    room[0] = (char)depth;
    return (depth == 0 ? compare() : aligned(depth - 1)) + room[0];
}

static int by_library(const void *a, const void *b)
{
    (void)a, (void)b;
    return compare() == 0;
}

static void *all_shapes(void *unused)
{
    int two[] = {1, 2};
    (void)unused;
    for (int depth = 0; depth < 30; depth++) {
        plain(depth);
        varying(depth);
        aligned(depth);
    }
    qsort(two, 2, sizeof two[0], by_library);
    return NULL;
}

TEST(finds_what_glibc_finds)
{
    walks = differences = 0;
    all_shapes(NULL);
    assert_int_equal(differences, 0);
    assert_true(walks > 90);
}

TEST(on_other_threads_too)
{
    pthread_t thread;
    walks = differences = 0;
    assert_int_equal(pthread_create(&thread, NULL, all_shapes, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(differences, 0);
    assert_true(walks > 90);
}

static void *returns_to;

static __attribute__((noinline)) unsigned inner(void **frames, unsigned most, unsigned skip)
{
    returns_to = __builtin_return_address(0);
    unsigned n = skip == 99 ? mid_traceback_at(frames, most, returns_to) : mid_traceback(frames, most, skip);
    __asm__ volatile("" ::"r"(frames) : "memory");
    return n;
}

TEST(as_many_as_asked_for_and_from_where)
{
    void *all[MID_FRAMES_MOST], *some[MID_FRAMES_MOST];
    unsigned n = inner(all, MID_FRAMES_MOST, 0);
    assert_ptr_equal(all[1], returns_to);
    for (unsigned most = 0; most <= n; most++) {
        assert_int_equal(inner(some, most, 0), most);
        if (most > 2)
            assert_ptr_equal(some[2], all[2]);
    }
    for (unsigned skip = 2; skip <= n; skip++) {
        assert_int_equal(inner(some, MID_FRAMES_MOST, skip), n - skip);
        if (skip < n)
            assert_ptr_equal(some[0], all[skip]);
    }
    assert_int_equal(inner(some, MID_FRAMES_MOST, 1000), 0);
    assert_int_equal(inner(some, MID_FRAMES_MOST, 99), n - 1);
    assert_ptr_equal(some[0], returns_to);
    assert_ptr_equal(some[1], all[2]);
    assert_true(mid_traceback_at(some, MID_FRAMES_MOST, (void *)1) > 0); /* nowhere to be found: all */
}

static mid_alloc alloc;

static void open_alloc(struct fault_os *fault)
{
    fault_os_init(fault);
    mid_alloc_init(&alloc, &fault->os, 65536, 0, 0, 0);
}

TEST(each_stack_once)
{
    struct fault_os fault;
    mid_stacks stacks = {0};
    open_alloc(&fault);
    enum { MANY = 20000 };
    for (int round = 0; round < 2; round++)
        for (uintptr_t i = 0; i < MANY; i++) {
            void *frames[3] = {(void *)(0x400000 + i * 8), (void *)0x500000, (void *)(i % 7)};
            assert_int_equal(mid_stacks_enter(&alloc, &stacks, frames, i % 3 + 1), i + 1);
        }
    assert_int_equal(mid_stacks_enter(&alloc, &stacks, NULL, 0), MANY + 1);
    assert_null(mid_stacks_check(&stacks));
    void *const *frames;
    assert_int_equal(mid_stacks_frames(&stacks, 12, &frames), 3);
    assert_ptr_equal(frames[0], 0x400000 + 11 * 8);
    assert_ptr_equal(frames[2], 4);
    assert_int_equal(mid_stacks_frames(&stacks, 0, &frames), 0);
    assert_int_equal(mid_stacks_frames(&stacks, MANY + 2, &frames), 0);
    ((uint64_t *)stacks.words.data)[5] ^= 1;
    assert_non_null(mid_stacks_check(&stacks));
    mid_stacks_close(&alloc, &stacks);
    mid_alloc_finish(&alloc);
    fault_os_done(&fault);
}

TEST(without_memory_none_is_lost)
{
    for (unsigned nth = 1; nth < 12; nth++) {
        struct fault_os fault;
        mid_stacks stacks = {0};
        open_alloc(&fault);
        fault.fail_at = nth;
        uint32_t refused = 0;
        for (uintptr_t i = 1; i <= 5000; i++) {
            void *frames[2] = {(void *)i, (void *)i};
            refused += mid_stacks_enter(&alloc, &stacks, frames, 2) == 0;
        }
        assert_int_equal(stacks.count + refused, 5000);
        assert_true(refused <= 1);
        assert_null(mid_stacks_check(&stacks));
        mid_stacks_close(&alloc, &stacks);
        mid_alloc_finish(&alloc);
        fault_os_done(&fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_glibc_finds),    cmocka_unit_test(on_other_threads_too),
        cmocka_unit_test(as_many_as_asked_for_and_from_where), cmocka_unit_test(each_stack_once),
        cmocka_unit_test(without_memory_none_is_lost),
    };
    return UNIT_RUN(tests);
}
