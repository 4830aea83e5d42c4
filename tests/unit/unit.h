/* tests/unit/unit.h: what the unit tests share. A test is a TEST(name) listed in its file's main().
 *
 * Every test opens a heap of its own and closes it with unit_close, which insists that the heap checks out and
 * that nothing is held any more. cmocka's assertions may only be used on the thread that runs main(). */
#ifndef UNIT_H
#define UNIT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "midden/midden.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNIT_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_SANITIZED 1
#endif
#ifndef UNIT_SANITIZED
#define UNIT_SANITIZED 0
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

#define TEST(name) static void name(__attribute__((unused)) void **state)
/* UNIT_FILTER and UNIT_SKIP in the environment pick tests by name, with * and ?. */
#define UNIT_RUN(tests) \
    (cmocka_set_test_filter(getenv("UNIT_FILTER")), cmocka_set_skip_filter(getenv("UNIT_SKIP")), \
     cmocka_run_group_tests(tests, NULL, NULL))

/* A status that is not the expected one fails the test with both names. */
#define expect(want, call) unit_expect((want), (call), #call, __FILE__, __LINE__)
#define ok(call) expect(MID_OK, call)

static inline void unit_expect(mid_status want, mid_status got, const char *call, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s: %s, expected %s\n", call, mid_status_name(got), mid_status_name(want));
    _fail(file, line);
}

struct node {
    mid_slot left, right;
    uint64_t value;
};
struct vec { /* a trailing array of references: item i is slot 2 + i */
    uint32_t length, spare;
    mid_slot items[];
};
struct bytes {
    uint64_t tag;
    uint32_t length, spare;
    unsigned char data[];
};
#define LEFT MID_SLOT(struct node, left)
#define RIGHT MID_SLOT(struct node, right)
#define ITEM(i) (MID_SLOT(struct vec, items) + (unsigned)(i))

struct unit {
    mid_heap *heap;
    mid_thread *thread;
    mid_type node, vec, bytes;
};

/* Work of a size that makes sense natively, cut down where every instruction is watched. */
static inline size_t unit_scale(size_t natively)
{
    size_t cut = RUNNING_ON_VALGRIND ? natively / 50 : UNIT_SANITIZED ? natively / 8 : natively;
    return cut != 0 ? cut : 1;
}

static inline mid_type unit_type(mid_heap *heap, mid_type_desc desc)
{
    mid_type type = 0;
    desc.struct_size = sizeof desc;
    ok(mid_type_register(heap, &desc, &type));
    return type;
}

/* struct node with whatever else `more` says (finalizer, payload, flags, a greater size). */
static inline mid_type unit_node_type(mid_heap *heap, mid_type_desc more)
{
    static const uint32_t slots[] = {offsetof(struct node, left), offsetof(struct node, right)};
    if (more.name == NULL)
        more.name = "node";
    if (more.size == 0)
        more.size = sizeof(struct node);
    more.ref_offsets = slots;
    more.ref_count = 2;
    return unit_type(heap, more);
}

static inline mid_type unit_plain_type(mid_heap *heap, const char *name, size_t size)
{
    return unit_type(heap, (mid_type_desc){.name = name, .size = size});
}

static inline void unit_open_with(struct unit *u, const mid_options *options)
{
    memset(u, 0, sizeof *u);
    ok(mid_heap_open(&u->heap, options));
    assert_non_null(u->heap);
    ok(mid_thread_attach(u->heap, &u->thread));
    u->node = unit_node_type(u->heap, (mid_type_desc){0});
    u->vec = unit_type(u->heap, (mid_type_desc){.name = "vec", .size = sizeof(struct vec), .item_size = 4,
                                                .length_offset = offsetof(struct vec, length), .items_are_refs = 1});
    u->bytes = unit_type(u->heap, (mid_type_desc){.name = "bytes", .size = sizeof(struct bytes), .item_size = 1,
                                                  .length_offset = offsetof(struct bytes, length)});
}

static inline void unit_open(struct unit *u, const char *text)
{
    mid_options options;
    mid_options_init(&options);
    ok(mid_options_parse(&options, text, NULL));
    unit_open_with(u, &options);
}

static inline void unit_check(struct unit *u)
{
    mid_status status = mid_heap_check(u->heap);
    if (status != MID_OK)
        print_error("mid_heap_check: %s: %s\n", mid_status_name(status), mid_heap_check_text(u->heap));
    assert_int_equal(status, MID_OK);
}

static inline mid_stats unit_stats(struct unit *u)
{
    mid_stats stats;
    assert_int_equal(mid_stats_get(u->heap, &stats, sizeof stats), sizeof stats);
    return stats;
}

static inline uint64_t unit_live(struct unit *u)
{
    return unit_stats(u).live_objects;
}

/* Let safepoints finish what releases left on the work list. */
static inline void unit_drain(struct unit *u)
{
    for (size_t i = 0; unit_stats(u).waiting_objects != 0; i++) {
        assert_true(i < 10000000);
        ok(mid_safepoint(u->thread));
    }
}

/* After a full pass (docs/design/compaction.md, "What it promises"): pools = ceil(L/k), + 1 for each attached thread, + those of
 * `pinned` pinned objects, which are in all classes together. */
static inline void unit_compacted(struct unit *u, uint64_t pinned)
{
    mid_class_stats stats;
    uint64_t beyond = 0, threads = unit_stats(u).attached_threads;
    unsigned classes = 0;
    for (; mid_stats_class(u->heap, classes, &stats) == MID_OK; classes++) {
        uint64_t most = stats.optimal_pools + threads;
        assert_int_equal(stats.optimal_pools, (stats.live_slots + stats.slots_per_pool - 1) / stats.slots_per_pool);
        assert_true(stats.pools >= stats.optimal_pools);
        beyond += stats.pools > most ? stats.pools - most : 0;
    }
    assert_true(classes > 40);
    assert_true(beyond <= pinned);
}

static inline void unit_close(struct unit *u)
{
    unit_check(u);
    ok(mid_heap_close(u->heap));
    memset(u, 0, sizeof *u);
}

/* ... in which nothing is left, no garbage either. */
static inline void unit_close_empty(struct unit *u)
{
    assert_int_equal(unit_live(u), 0);
    unit_close(u);
}

static inline void unit_destroy(struct unit *u)
{
    unit_check(u);
    ok(mid_heap_destroy(u->heap));
    memset(u, 0, sizeof *u);
}

static inline mid_handle unit_new(struct unit *u, mid_type type)
{
    mid_handle made = 0;
    ok(mid_new(u->thread, type, &made));
    assert_true(made != 0 && (made & 1) == 0);
    return made;
}

static inline mid_handle unit_array(struct unit *u, mid_type type, size_t items)
{
    mid_handle made = 0;
    ok(mid_new_array(u->thread, type, items, &made));
    assert_true(made != 0 && (made & 1) == 0);
    return made;
}

static inline struct node *unit_node(struct unit *u, mid_handle object)
{
    return mid_get(u->thread, object);
}

/* A ring of `count` nodes through `left`; the handle of one of them, counted by the caller. */
static inline mid_handle unit_ring(struct unit *u, mid_type type, size_t count)
{
    mid_handle first = unit_new(u, type), last = first;
    for (size_t i = 1; i < count; i++) {
        mid_handle next = unit_new(u, type);
        mid_give(u->thread, last, LEFT, next);
        last = next;
    }
    mid_store(u->thread, last, LEFT, first);
    return first;
}

/* Garbage: `rings` of them. */
static inline void unit_drop_rings(struct unit *u, mid_type type, size_t rings, size_t count)
{
    while (rings-- != 0)
        mid_release(u->thread, unit_ring(u, type, count));
}

/* ... of so many bytes, in rings of 100 nodes. */
static inline void unit_drop_bytes(struct unit *u, mid_type type, uint64_t bytes)
{
    unit_drop_rings(u, type, (bytes + 1599) / 1600, 100);
}

static inline uint32_t unit_count(struct unit *u, mid_handle object)
{
    uint32_t count = 0;
    ok(mid_count_of(u->thread, object, &count));
    return count;
}

/* Other threads of the test end, `count` of them, the nth `thread_n`; the test's own lets the world stop meanwhile. */
#define UNIT_JOIN(u, n, count, thread_n)                       \
    do {                                                       \
        ok(mid_blocked_enter((u)->thread));                    \
        for (size_t n = 0; n < (size_t)(count); n++)           \
            assert_int_equal(pthread_join(thread_n, NULL), 0); \
        ok(mid_blocked_leave((u)->thread));                    \
    } while (0)

/* splitmix64: the same numbers on every run. */
static inline uint64_t unit_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Resident bytes of this process, from the kernel. */
static inline size_t unit_resident(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    int got = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    assert_int_equal(got, 2);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

#endif
