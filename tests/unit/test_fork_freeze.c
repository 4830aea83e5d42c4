/* Frozen, a heap stays shared with the children of its process: they read everything, take counts and drop them, and next to none
 * of its pages are copied. Without freezing most are. The kernel counts (smaps), in the child.
 *
 * Left out under ThreadSanitizer as test_fork is; under the other sanitizers, and valgrind, whose own memory comes and goes in
 * the same process, everything is done but counting pages. */
#include "child.h"
#include "peer.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>

#include "midden/daemon.h"

#define COUNTS_PAGES (!UNIT_SANITIZED && !RUNNING_ON_VALGRIND)
#define MOST_PERCENT 2

struct pages {
    uint64_t resident, own; /* KiB: there; and not shared with anybody */
};

/* Of all anonymous memory but the stack. */
static struct pages pages_now(void)
{
    struct pages sum = {0};
    char line[512];
    bool ours = false;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    NEED(smaps != NULL);
    while (fgets(line, sizeof line, smaps) != NULL) {
        uint64_t from, to, kib, inode;
        char flags[8];
        int name = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*x %*s %" SCNu64 " %n", &from, &to, flags, &inode, &name) >= 4)
            ours = inode == 0 && line[name] == '\0';
        else if (ours && sscanf(line, "Rss: %" SCNu64, &kib) == 1)
            sum.resident += kib;
        else if (ours && (sscanf(line, "Private_Dirty: %" SCNu64, &kib) == 1 || sscanf(line, "Private_Clean: %" SCNu64, &kib) == 1))
            sum.own += kib;
    }
    fclose(smaps);
    return sum;
}

/* As a program reads it: a count for as long as it looks. */
static uint64_t read_all(mid_thread *thread, mid_handle at)
{
    uint64_t sum = ((struct node *)mid_get(thread, at))->value;
    for (unsigned side = LEFT; side <= RIGHT; side++) {
        mid_handle child = mid_load(thread, at, side);
        if (mid_is_object_(child))
            sum += read_all(thread, child);
        mid_release(thread, child);
    }
    return sum;
}

static uint64_t expected;
static mid_handle tree(struct unit *u, unsigned depth)
{
    mid_handle made;
    ok(mid_new(u->thread, u->node, &made));
    ((struct node *)mid_get(u->thread, made))->value = ++expected % 1000;
    mid_init(u->thread, made, LEFT, depth == 0 ? 0 : tree(u, depth - 1));
    mid_init(u->thread, made, RIGHT, depth == 0 ? 0 : tree(u, depth - 1));
    return made;
}

/* Percent of its pages that the child has for itself after reading. */
static double child_reads(struct unit *u, mid_handle root, uint64_t sum)
{
    double *told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        alarm(RUNNING_ON_VALGRIND ? 200 : 60);
        struct pages before = pages_now();
        for (int times = 0; times < 2; times++) {
            NEED(read_all(u->thread, root) == sum);
            NEED(mid_safepoint(u->thread) == MID_OK);
            NEED(mid_collect(u->thread, NULL) == MID_OK);
        }
        struct pages after = pages_now();
        *told = 100.0 * (double)(after.own - before.own) / (double)after.resident;
        NEED(mid_heap_check(u->heap) == MID_OK);
        NEED(mid_unfreeze(u->thread) == MID_OK);
        mid_release(u->thread, root);
        NEED(mid_heap_close(u->heap) == MID_OK);
        _exit(0);
    }
    child_ends(child);
    double percent = *told;
    munmap(told, sizeof *told);
    return percent;
}

static mid_handle large_tree(struct unit *u, uint64_t *sum)
{
    expected = 0;
    mid_handle root = tree(u, COUNTS_PAGES ? 18 : 12);
    *sum = read_all(u->thread, root);
    return root;
}

TEST(a_child_shares_what_is_frozen)
{
    struct unit u;
    uint64_t sum;
    unit_open(&u, "");
    mid_handle root = large_tree(&u, &sum);
    double thawed = child_reads(&u, root, sum);
    ok(mid_freeze(u.thread));
    double frozen = child_reads(&u, root, sum);
    printf("copied: %.2f %% frozen, %.1f %% not frozen\n", frozen, thawed);
    if (COUNTS_PAGES) {
        assert_true(frozen <= MOST_PERCENT);
        assert_true(thawed > 10 * MOST_PERCENT);
    }
    assert_int_equal(read_all(u.thread, root), sum);
    ok(mid_unfreeze(u.thread));
    mid_release(u.thread, root);
    unit_close(&u);
}

TEST(with_daemons_in_both)
{
    struct unit u;
    uint64_t sum;
    mid_daemon *daemon;
    unit_open(&u, "heartbeat=1ms,idle=1ms");
    mid_handle root = large_tree(&u, &sum);
    ok(mid_daemon_start(u.heap, &daemon));
    ok(mid_freeze(u.thread));
    pid_t child = fork();
    if (child == 0) {
        alarm(RUNNING_ON_VALGRIND ? 200 : 60);
        for (int i = 0; i < 20000; i++) { /* garbage, for which its daemon comes */
            mid_handle a, b;
            NEED(mid_new(u.thread, u.node, &a) == MID_OK && mid_new(u.thread, u.node, &b) == MID_OK);
            mid_init(u.thread, a, LEFT, mid_retain(u.thread, b));
            mid_store(u.thread, b, LEFT, a);
            mid_store(u.thread, b, RIGHT, root);
            mid_release(u.thread, a);
            mid_release(u.thread, b);
            NEED(mid_safepoint(u.thread) == MID_OK);
        }
        NEED(read_all(u.thread, root) == sum);
        NEED(mid_collect(u.thread, NULL) == MID_OK);
        uint32_t count;
        NEED(mid_count_of(u.thread, root, &count) == MID_OK && count == 1);
        NEED(mid_heap_check(u.heap) == MID_OK);
        mid_daemon_stop(daemon);
        mid_release(u.thread, root);
        NEED(mid_heap_close(u.heap) == MID_OK); /* it thaws */
        _exit(0);
    }
    assert_true(child > 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(read_all(u.thread, mid_peek(u.thread, root, LEFT)) != 0, 1);
        ok(mid_safepoint(u.thread));
    }
    child_ends(child);
    mid_daemon_stop(daemon);
    unit_check(&u);
    ok(mid_unfreeze(u.thread));
    mid_release(u.thread, root);
    unit_close(&u);
}

/* Other threads count when the process forks: whatever lock of the side table they had, the child has it free. */
static struct {
    struct unit u;
    mid_handle root;
    uint32_t stop;
} busy;

static void *count_on(void *context)
{
    mid_thread *thread;
    (void)context;
    if (mid_thread_attach(busy.u.heap, &thread) != MID_OK)
        return NULL;
    while (!__atomic_load_n(&busy.stop, __ATOMIC_SEQ_CST)) {
        for (int i = 0; i < 1000; i++)
            mid_release(thread, mid_load(thread, busy.root, LEFT));
        mid_safepoint(thread);
    }
    mid_thread_detach(thread);
    return &busy;
}

TEST(others_count_while_it_forks)
{
    uint64_t sum;
    pthread_t thread[2];
    memset(&busy, 0, sizeof busy);
    unit_open(&busy.u, "fork-wait=1s");
    busy.root = large_tree(&busy.u, &sum);
    ok(mid_freeze(busy.u.thread));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count_on, NULL), 0);
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(RUNNING_ON_VALGRIND ? 200 : 60);
            NEED(read_all(busy.u.thread, busy.root) == sum);
            NEED(mid_unfreeze(busy.u.thread) == MID_OK);
            NEED(mid_heap_check(busy.u.heap) == MID_OK);
            _exit(0);
        }
        child_ends(child);
    }
    __atomic_store_n(&busy.stop, 1, __ATOMIC_SEQ_CST);
    ok(mid_blocked_enter(busy.u.thread));
    for (int i = 0; i < 2; i++) {
        void *result;
        pthread_join(thread[i], &result);
        assert_ptr_equal(result, &busy);
    }
    ok(mid_blocked_leave(busy.u.thread));
    ok(mid_unfreeze(busy.u.thread));
    mid_release(busy.u.thread, busy.root);
    unit_close(&busy.u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_shares_what_is_frozen),
        cmocka_unit_test(with_daemons_in_both),
        cmocka_unit_test(others_count_while_it_forks),
    };
    return UNIT_RUN(tests);
}
