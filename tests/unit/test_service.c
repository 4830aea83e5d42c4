/* What may go on at once: the service's slices, looks at a heap to which no thread is attached, a mutator that wants to run
 * on, and callbacks that call back. A deadlock here is a program that never ends: run.sh counts it as a failure. */
#include "bound.h"

#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

/* --- a heap that nobody is attached to ------------------------------------------------------------------------------- */

TEST(a_heap_of_nobody_can_be_looked_at)
{
    struct unit u;
    mid_class_stats class_stats;
    uint64_t objects, bytes, stops[MID_STOP_BUCKETS];
    unit_open(&u, "");
    mid_handle node = unit_new(&u, u.node);
    ok(mid_thread_detach(u.thread));
    unit_check(&u);
    assert_int_equal(unit_live(&u), 1);
    ok(mid_stats_class(u.heap, 0, &class_stats));
    ok(mid_stats_type(u.heap, u.node, &objects, &bytes));
    assert_int_equal(objects, 1);
    ok(mid_stats_stops(u.heap, stops));
    ok(mid_thread_attach(u.heap, &u.thread));
    mid_release(u.thread, node);
    unit_close(&u);
}

/* Slice after slice, as a daemon with much to do. */
struct slices {
    mid_heap *heap;
    int done;
    size_t count, failed;
};

static void *slice_thread(void *argument)
{
    struct slices *s = argument;
    while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE)) {
        mid_collect_result collected;
        mid_compact_result compacted;
        uint64_t returned;
        if (mid_service_stop(s->heap, NULL, 1000, NULL) != MID_OK)
            continue;
        s->failed += mid_service_collect(s->heap, &collected) != MID_OK;
        mid_service_compact(s->heap, 100, &compacted);
        mid_service_trim(s->heap, 0, 0, &returned);
        mid_service_resume(s->heap);
        s->count++;
    }
    return NULL;
}

TEST(looks_and_types_between_slices)
{
    struct unit u;
    struct slices slices = {0};
    static mid_handle objects[20000];
    const size_t count = unit_scale(20000), types = unit_scale(3000) < 200 ? 200 : unit_scale(3000);
    mid_type last = 0, first = 0;
    open_bound(&u, "reserve=0");
    slices.heap = u.heap;
    mid_type type = unit_plain_type(u.heap, "object", 256);
    for (size_t i = 0; i < count; i++)
        objects[i] = unit_new(&u, type);
    for (size_t i = 0; i < count; i++)
        if (i % 8 != 0)
            mid_release(u.thread, objects[i]);
    ok(mid_thread_detach(u.thread));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, slice_thread, &slices), 0);
    static const uint32_t apart[] = {0, 8};
    size_t refused = 0, bad = 0;
    for (size_t i = 0; i < types; i++) { /* cmocka must not jump out while the thread runs */
        mid_type_desc desc = {.struct_size = sizeof desc, .name = "late", .size = 16, .ref_offsets = apart, .ref_count = 2};
        mid_type made = 0;
        refused += mid_type_register(u.heap, &desc, &made) != MID_OK;
        bad += i != 0 && made != last + 1;
        first = i == 0 ? made : first;
        last = made;
        if (i % 16 == 0) {
            uint64_t number, bytes;
            bad += mid_heap_check(u.heap) != MID_OK;
            bad += mid_stats_type(u.heap, type, &number, &bytes) != MID_OK || number != (count + 7) / 8;
        }
    }
    __atomic_store_n(&slices.done, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_int_equal(refused, 0);
    assert_int_equal(bad, 0);
    assert_int_equal(slices.failed, 0);
    ok(mid_thread_attach(u.heap, &u.thread));
    unit_check(&u);
    for (mid_type made = first; made <= last; made++) {
        mid_handle holder = unit_new(&u, made);
        mid_store(u.thread, holder, 2, objects[0]);
        mid_release(u.thread, holder);
    }
    assert_int_equal(unit_count(&u, objects[0]), 1);
    for (size_t i = 0; i < count; i += 8)
        mid_release(u.thread, objects[i]);
    close_bound(&u);
}

/* --- callbacks of a stop --------------------------------------------------------------------------------------------- */

static struct {
    mid_heap *heap;
    mid_type type;
    size_t calls, wrong;
} called;

static void stop_begin(void *context)
{
    (void)context;
    mid_thread *thread = NULL;
    mid_class_stats class_stats;
    uint64_t objects, bytes;
    called.calls++;
    called.wrong += mid_thread_attach(called.heap, &thread) != MID_EBUSY || thread != NULL;
    called.wrong += mid_stats_class(called.heap, 0, &class_stats) != MID_OK;
    called.wrong += mid_stats_type(called.heap, called.type, &objects, &bytes) != MID_OK || objects != 1;
}

TEST(a_listener_of_a_service_calls_back)
{
    struct unit u;
    mid_listener l = {.struct_size = sizeof l, .stop_begin = stop_begin};
    open_bound(&u, "");
    mid_handle node = unit_new(&u, u.node);
    memset(&called, 0, sizeof called);
    called.heap = u.heap;
    called.type = u.node;
    ok(mid_listener_add(u.heap, &l));
    ok(mid_thread_detach(u.thread));
    ok(mid_service_stop(u.heap, NULL, 0, NULL));
    mid_service_resume(u.heap);
    assert_int_equal(called.calls, 1);
    assert_int_equal(called.wrong, 0);
    ok(mid_thread_attach(u.heap, &u.thread));
    mid_release(u.thread, node);
    close_bound(&u);
}

/* --- a mutator that wants out ---------------------------------------------------------------------------------------- */

/* The service holds its claim until the mutator sleeps in mid_blocked_leave, lets go, and asks for the next slice at once:
 * it must not get it before the mutator has run. */
struct greed {
    mid_heap *heap;
    pid_t mutator;
    cpu_set_t processors;
    int claimed, leaving, asked, done;
    size_t again;
};

/* Of a thread of this process: R runs, S sleeps. */
static char state_of(pid_t thread)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 'S';
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = 0;
    const char *at = strrchr(text, ')');
    for (at = at == NULL ? text : at + 1; isspace((unsigned char)*at);)
        at++;
    return *at;
}

/* On one processor a thread that wakes often comes before the one that woke it: give each its own, if there are two. */
static void use_processor(const cpu_set_t *all, int last)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0, found = 0; i < CPU_SETSIZE && found <= last; i++)
        if (CPU_ISSET(i, all)) {
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            found++;
        }
    (void)sched_setaffinity(0, sizeof one, &one);
}

static void *greedy_thread(void *argument)
{
    struct greed *g = argument;
    use_processor(&g->processors, 1);
    while (!__atomic_load_n(&g->done, __ATOMIC_ACQUIRE)) {
        if (__atomic_load_n(&g->claimed, __ATOMIC_ACQUIRE) || mid_service_stop(g->heap, NULL, 0, NULL) != MID_OK) {
            sched_yield();
            continue;
        }
        __atomic_store_n(&g->claimed, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&g->leaving, __ATOMIC_ACQUIRE) || state_of(g->mutator) != 'S')
            sched_yield();
        mid_service_resume(g->heap);
        if (mid_service_stop(g->heap, NULL, 0, NULL) == MID_OK) {
            g->again++;
            mid_service_resume(g->heap);
        }
        __atomic_store_n(&g->asked, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

TEST(leaving_a_region_waits_for_one_slice)
{
    if (RUNNING_ON_VALGRIND)
        skip(); /* its threads sleep while another runs */
    struct unit u;
    struct greed greed = {.mutator = (pid_t)syscall(SYS_gettid)};
    pthread_t thread;
    open_bound(&u, "");
    greed.heap = u.heap;
    assert_int_equal(sched_getaffinity(0, sizeof greed.processors, &greed.processors), 0);
    use_processor(&greed.processors, 0);
    ok(mid_blocked_enter(u.thread));
    assert_int_equal(pthread_create(&thread, NULL, greedy_thread, &greed), 0);
    size_t failed = 0;
    for (int round = 0; round < 40; round++) {
        while (!__atomic_load_n(&greed.claimed, __ATOMIC_ACQUIRE))
            sched_yield();
        __atomic_store_n(&greed.leaving, 1, __ATOMIC_RELEASE);
        failed += mid_blocked_leave(u.thread) != MID_OK;
        while (!__atomic_load_n(&greed.asked, __ATOMIC_ACQUIRE))
            sched_yield();
        __atomic_store_n(&greed.asked, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&greed.leaving, 0, __ATOMIC_RELEASE);
        failed += mid_blocked_enter(u.thread) != MID_OK;
        __atomic_store_n(&greed.claimed, 0, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&greed.done, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&greed.leaving, 1, __ATOMIC_RELEASE);
    failed += mid_blocked_leave(u.thread) != MID_OK; /* asleep there, or out: it ends either way */
    pthread_join(thread, NULL);
    (void)sched_setaffinity(0, sizeof greed.processors, &greed.processors);
    assert_int_equal(failed, 0);
    assert_int_equal(greed.again, 0);
    close_bound(&u);
}

/* --- kicks ----------------------------------------------------------------------------------------------------------- */

/* Grown so far that it should collect by itself, a mutator that goes to sleep leaves that to the service. */
TEST(entering_a_region_after_growth_kicks)
{
    struct unit u;
    open_bound(&u, "");
    mid_service_set_growth(u.heap, 100 << 10, 0);
    static mid_handle objects[240];
    mid_type type = unit_plain_type(u.heap, "kilobyte", 1000);
    for (int i = 0; i < 240; i++) /* less than a credit */
        objects[i] = unit_new(&u, type);
    size_t before = kicks;
    ok(mid_blocked_enter(u.thread));
    assert_true(kicks > before);
    ok(mid_blocked_leave(u.thread));
    for (int i = 0; i < 240; i++)
        mid_release(u.thread, objects[i]);
    close_bound(&u);
}

/* What was freed is worth a look as well: no allocation, no safepoint has to come before it. */
TEST(frees_kick_as_allocations_do)
{
    enum { MANY = 100000 };
    struct unit u;
    static mid_handle objects[MANY];
    open_bound(&u, "");
    for (size_t i = 0; i < MANY; i++)
        objects[i] = unit_new(&u, u.node);
    size_t before = kicks;
    for (size_t i = 0; i < MANY; i++)
        if (i % 10 != 0)
            mid_release(u.thread, objects[i]);
    assert_true(kicks > before);
    mid_snapshot shown;
    mid_service_snapshot(u.heap, &shown);
    assert_true(shown.live_slot_bytes < unit_stats(&u).live_slot_bytes + (1u << 19)); /* not much older than a credit */
    for (size_t i = 0; i < MANY; i += 10)
        mid_release(u.thread, objects[i]);
    close_bound(&u);
}

/* What waits is told as it is now; and whether the program has come to the end of it since the last look. */
TEST(a_list_that_is_not_worked_off_is_told)
{
    enum { MANY = 5000 };
    struct unit u;
    mid_snapshot shown;
    mid_handle kept = 0;
    open_bound(&u, "free-batch=64,credit=1G");
    for (int i = 0; i < MANY; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, kept);
        kept = next;
    }
    mid_service_snapshot(u.heap, &shown);
    assert_false(shown.unfinished);
    mid_release(u.thread, kept);
    mid_service_snapshot(u.heap, &shown);
    assert_int_equal(shown.waiting_objects, 1);
    for (int i = 0; i < 10; i++) {
        ok(mid_safepoint(u.thread));
        mid_service_snapshot(u.heap, &shown);
        assert_true(shown.unfinished);
    }
    unit_drain(&u);
    mid_service_snapshot(u.heap, &shown);
    assert_int_equal(shown.waiting_objects, 0);
    assert_false(shown.unfinished);
    mid_handle chains[2] = {0};
    for (int i = 0; i < 2 * MANY; i++) {
        mid_handle next = unit_new(&u, u.node);
        mid_give(u.thread, next, LEFT, chains[i % 2]);
        chains[i % 2] = next;
    }
    mid_release(u.thread, chains[0]);
    mid_service_snapshot(u.heap, &shown);
    unit_drain(&u);
    mid_release(u.thread, chains[1]); /* another one waits now */
    mid_service_snapshot(u.heap, &shown);
    assert_int_equal(shown.waiting_objects, 1);
    assert_false(shown.unfinished);
    unit_drain(&u);
    close_bound(&u);
}

TEST(the_greatest_credit_is_never_used_up)
{
    struct unit u;
    mid_options options;
    mid_options_init(&options);
    mid_heap *none = NULL;
    options.credit = (uint64_t)INT64_MAX + 1; /* would pass for a debt */
    assert_int_not_equal(mid_heap_open(&none, &options), MID_OK);
    assert_null(none);
    options.credit = INT64_MAX;
    unit_open_with(&u, &options);
    kicks = 0;
    ok(mid_service_bind(u.heap, kick, NULL));
    for (int i = 0; i < 20000; i++)
        mid_release(u.thread, unit_array(&u, u.bytes, 1000));
    mid_release(u.thread, unit_array(&u, u.bytes, 3u << 20));
    assert_int_equal(kicks, 0);
    close_bound(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heap_of_nobody_can_be_looked_at),
        cmocka_unit_test(looks_and_types_between_slices),
        cmocka_unit_test(a_listener_of_a_service_calls_back),
        cmocka_unit_test(leaving_a_region_waits_for_one_slice),
        cmocka_unit_test(entering_a_region_after_growth_kicks),
        cmocka_unit_test(frees_kick_as_allocations_do),
        cmocka_unit_test(a_list_that_is_not_worked_off_is_told),
        cmocka_unit_test(the_greatest_credit_is_never_used_up),
    };
    return UNIT_RUN(tests);
}
