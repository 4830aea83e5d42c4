/* test_daemon_debug.c: a daemon on a debug heap (this file is compiled with MIDDEN_DEBUG), while objects and blocks come, go and move; and
 * free slots that are written to. */
#include <pthread.h>

#include "midden/daemon.h"
#include "unit.h"

static struct {
    unsigned count;
    mid_misuse kind;
    char call[64], detail[320];
} got;

static void on_report(const mid_report *report, void *context)
{
    (void)context;
    __atomic_fetch_add(&got.count, 1, __ATOMIC_RELAXED);
    got.kind = report->kind;
    snprintf(got.call, sizeof got.call, "%s", report->call);
    snprintf(got.detail, sizeof got.detail, "%s", report->detail);
}

static __attribute__((noinline, no_sanitize("address"))) void poke(void *at)
{
    *(volatile unsigned char *)at = 1;
}

static void debug_open(struct unit *u, const char *options)
{
    memset(&got, 0, sizeof got);
    mid_debug_reports(on_report, NULL, 0);
    unit_open(u, options);
}

static void debug_close(struct unit *u)
{
    unit_close(u);
    if (got.count != 0)
        fail_msg("told of %s: %s", got.call, got.detail);
    mid_debug_reports(NULL, NULL, 0);
}

/* --- a daemon ------------------------------------------------------------------------------------------------------------------ */

struct worker {
    struct unit *u;
    uint64_t seed;
    unsigned wrong;
};

enum { HELD = 200 };

/* Objects that hold each other, in rings that nobody holds in the end, large arrays, blocks. */
static void churn(struct worker *w, struct unit *u, mid_handle *held, void **block)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    unsigned at = (unsigned)(w->seed >> 33) % HELD, other = (unsigned)(w->seed >> 43) % HELD;
    mid_release(u->thread, held[at]);
    held[at] = 0;
    w->wrong += mid_new(u->thread, u->node, &held[at]) != MID_OK;
    unit_node(u, held[at])->value = at;
    if (held[other] != 0 && w->seed >> 62 != 0) {
        mid_store(u->thread, held[at], LEFT, held[other]);
        mid_store(u->thread, held[other], RIGHT, held[at]);
    }
    if (w->seed >> 58 == 1) {
        mid_handle array;
        w->wrong += mid_new_array(u->thread, u->vec, 5000, &array) != MID_OK;
        mid_store(u->thread, array, ITEM(7), held[at]);
        mid_store(u->thread, held[at], LEFT, array);
        mid_release(u->thread, array);
    }
    w->wrong += mid_mem_free(u->thread, block[other]) != MID_OK;
    w->wrong += mid_mem_malloc(u->thread, (w->seed >> 20) % 3000, &block[other]) != MID_OK;
}

static void work(struct worker *w, struct unit *u, unsigned rounds, void (*now_and_then)(struct unit *, unsigned))
{
    mid_handle held[HELD] = {0};
    void *block[HELD] = {NULL};
    for (unsigned i = 0; i < rounds; i++) {
        churn(w, u, held, block);
        w->wrong += mid_safepoint(u->thread) != MID_OK;
        if (i % 500 == 499 && now_and_then != NULL)
            now_and_then(u, i / 500);
    }
    for (unsigned i = 0; i < HELD; i++) {
        w->wrong += held[i] != 0 && unit_node(u, held[i])->value != i;
        mid_release(u->thread, held[i]);
        w->wrong += mid_mem_free(u->thread, block[i]) != MID_OK;
    }
}

static void look_and_move(struct unit *u, unsigned round)
{
    ok(mid_debug_check(u->heap));
    mid_status status = mid_compact(u->thread, round % 3 == 0 ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL);
    assert_true(status == MID_OK || status == MID_EPOSTPONED || status == MID_EBUSY);
}

static void *other_thread(void *argument)
{
    struct worker *w = argument;
    struct unit u = *w->u;
    if (mid_thread_attach(u.heap, &u.thread) != MID_OK)
        return argument;
    work(w, &u, 4000, NULL);
    return mid_thread_detach(u.thread) == MID_OK && w->wrong == 0 ? NULL : argument;
}

static void with_a_daemon(const char *options)
{
    struct unit u;
    mid_daemon *daemon;
    struct worker w[3] = {{.u = &u, .seed = 1}, {.u = &u, .seed = 2}, {.u = &u, .seed = 3}};
    pthread_t id[2];
    void *bad;
    debug_open(&u, options);
    ok(mid_daemon_start(u.heap, &daemon));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&id[i], NULL, other_thread, &w[i + 1]), 0);
    work(&w[0], &u, 6000, look_and_move);
    ok(mid_blocked_enter(u.thread));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(id[i], &bad), 0);
        assert_null(bad);
    }
    ok(mid_blocked_leave(u.thread));
    ok(mid_daemon_stop(daemon));
    assert_int_equal(w[0].wrong, 0);
    ok(mid_debug_check(u.heap));
    ok(mid_collect(u.thread, NULL));
    unit_drain(&u);
    assert_int_equal(unit_live(&u), 0);
    debug_close(&u);
}

TEST(a_daemon_beside_correct_use) { with_a_daemon("growth-min=1M"); }
TEST(a_daemon_that_compacts_deeply) { with_a_daemon("growth-min=1M,deep=breadth,waste-min=64K,quarantine=100"); }

/* It tells of a misuse as without a daemon, whoever looks first: once. */
TEST(a_misuse_beside_a_daemon)
{
    struct unit u;
    mid_daemon *daemon;
    void *at;
    debug_open(&u, "");
    ok(mid_daemon_start(u.heap, &daemon));
    ok(mid_mem_malloc(u.thread, 40, &at));
    struct worker w = {.u = &u, .seed = 5};
    work(&w, &u, 500, NULL);
    poke((char *)at + 40);
    work(&w, &u, 500, NULL);
    ok(mid_mem_free(u.thread, at));
    assert_int_equal(got.count, 1);
    assert_int_equal(got.kind, MID_MISUSE_OVERFLOW);
    got.count = 0;
    ok(mid_daemon_stop(daemon));
    debug_close(&u);
}

/* --- free slots ---------------------------------------------------------------------------------------------------------------- */

static void told(const char *call)
{
    if (got.count != 1 || got.kind != MID_MISUSE_WRITE_AFTER_FREE || strcmp(got.call, call) != 0)
        fail_msg("expected one write after free, found by %s: %u, the last kind %d by %s: %s", call, got.count, got.kind, got.call, got.detail);
    got.count = 0;
}

TEST(free_slots_that_are_written_to)
{
    struct unit u;
    debug_open(&u, "quarantine=0");
    for (size_t byte = sizeof(void *); byte < sizeof(struct node); byte++) { /* the first word is the allocator's */
        mid_handle node = unit_new(&u, u.node), next = unit_new(&u, u.node);
        char *at = (char *)unit_node(&u, node);
        mid_release(u.thread, node);
        poke(at + byte);
        expect(MID_ECORRUPT, mid_debug_check(u.heap));
        told("mid_debug_check");
        ok(mid_debug_check(u.heap)); /* it was filled again */
        poke(at + byte);
        mid_handle made[64];
        unsigned n = 0;
        while (got.count == 0 && n < 64) /* who is given the slot */
            made[n++] = unit_new(&u, u.node);
        assert_int_equal(got.count, 1);
        assert_int_equal(got.kind, MID_MISUSE_WRITE_AFTER_FREE);
        got.count = 0;
        while (n != 0)
            mid_release(u.thread, made[--n]);
        mid_release(u.thread, next);
    }
    debug_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_daemon_beside_correct_use),
        cmocka_unit_test(a_daemon_that_compacts_deeply),
        cmocka_unit_test(a_misuse_beside_a_daemon),
        cmocka_unit_test(free_slots_that_are_written_to),
    };
    return UNIT_RUN(tests);
}
