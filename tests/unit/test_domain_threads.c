/* The domain mem with several threads: blocks made by one and freed by another, threads that come and go, the world that stops
 * meanwhile, fork. cmocka's assertions are for the main thread: the others count what is wrong. */
#include <pthread.h>
#include <sys/wait.h>

#include "gc/heap.h"
#include "unit.h"

#define WORKERS 4
#define SHELF 512

struct shared {
    mid_heap *heap;
    void *shelf[SHELF]; /* atomic; each block begins with its size */
    unsigned wrong;     /* atomic */
    size_t rounds;
};

struct worker {
    struct shared *s;
    pthread_t thread;
    uint64_t seed;
};

static void wrong_if(struct shared *s, bool wrong)
{
    if (wrong)
        __atomic_fetch_add(&s->wrong, 1, __ATOMIC_RELAXED);
}

static size_t some_size(uint64_t *seed)
{
    return sizeof(size_t) + unit_random(seed) % (unit_random(seed) % 200 == 0 ? 200000 : 700);
}

static void *make_block(struct shared *s, mid_thread *thread, uint64_t *seed)
{
    void *block = NULL;
    size_t size = some_size(seed);
    wrong_if(s, mid_mem_malloc(thread, size, &block) != MID_OK);
    memset(block, (int)(size & 255), size);
    *(size_t *)block = size;
    return block;
}

static bool spoiled(const void *block)
{
    size_t size = *(const size_t *)block;
    for (size_t i = sizeof(size_t); i < size; i++)
        if (((const unsigned char *)block)[i] != (size & 255))
            return true;
    return false;
}

/* Puts a block on the shelf, frees the one that was there, whoever made it. */
static void *work(void *context)
{
    struct worker *w = context;
    struct shared *s = w->s;
    mid_thread *thread;
    wrong_if(s, mid_thread_attach(s->heap, &thread) != MID_OK);
    for (size_t n = 0; n < s->rounds; n++) {
        void *block = make_block(s, thread, &w->seed);
        void *old = __atomic_exchange_n(&s->shelf[unit_random(&w->seed) % SHELF], block, __ATOMIC_ACQ_REL);
        if (old != NULL) {
            wrong_if(s, spoiled(old));
            if (unit_random(&w->seed) % 16 == 0)
                wrong_if(s, mid_mem_free_anywhere(s->heap, old) != MID_OK);
            else
                wrong_if(s, mid_mem_free(thread, old) != MID_OK);
        }
        wrong_if(s, mid_safepoint(thread) != MID_OK);
        if (n % 5000 == 4999) { /* another in its place */
            wrong_if(s, mid_thread_detach(thread) != MID_OK);
            wrong_if(s, mid_thread_attach(s->heap, &thread) != MID_OK);
        }
    }
    wrong_if(s, mid_thread_detach(thread) != MID_OK);
    return NULL;
}

static void start(struct shared *s, struct worker *w, unsigned count, mid_heap *heap, size_t rounds)
{
    memset(s, 0, sizeof *s);
    s->heap = heap;
    s->rounds = rounds;
    for (unsigned i = 0; i < count; i++) {
        w[i] = (struct worker){.s = s, .seed = 11 + i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
}

static void clear(struct unit *u, struct shared *s)
{
    mid_domain_stats d;
    for (unsigned i = 0; i < SHELF; i++) {
        ok(mid_mem_free(u->thread, s->shelf[i]));
        s->shelf[i] = NULL;
    }
    ok(mid_stats_domain(u->heap, MID_DOMAIN_MEM, &d, sizeof d));
    assert_int_equal(d.live_blocks, 0);
    assert_int_equal(d.asked_bytes, 0);
    assert_int_equal(d.taken_bytes, 0);
    assert_int_equal(d.allocations, d.frees);
    assert_true(d.peak_blocks > 0);
    unit_check(u);
}

TEST(made_here_and_freed_there)
{
    static struct shared s;
    struct worker w[WORKERS];
    struct unit u;
    unit_open(&u, "");
    start(&s, w, WORKERS, u.heap, unit_scale(80000));
    for (int i = 0; i < 20; i++) { /* the world stops, and pools are taken away beneath them */
        mid_domain_stats d;
        mid_status status = i % 4 == 0 ? mid_heap_check(u.heap) : i % 4 == 1 ? mid_compact(u.thread, MID_COMPACT_PLAIN, 0, NULL) :
                            i % 4 == 2 ? mid_trim(u.thread, 0, NULL) : (mid_reclaim(u.thread), MID_OK); /* which says whether it gained anything */
        if (status != MID_OK && status != MID_EPOSTPONED)
            fail_msg("%s %s", mid_status_name(status), mid_heap_check_text(u.heap));
        ok(mid_stats_domain(u.heap, MID_DOMAIN_MEM, &d, sizeof d));
    }
    UNIT_JOIN(&u, i, WORKERS, w[i].thread);
    assert_int_equal(s.wrong, 0);
    clear(&u, &s);
    ok(mid_trim(u.thread, 0, NULL));
    assert_int_equal(unit_stats(&u).block_bytes, 0);
    unit_close(&u);
}

struct counter {
    mid_allocator inner;
    uint64_t calls; /* atomic */
};
static mid_status count_malloc(void *c, mid_caller caller, size_t size, uintptr_t *block)
{
    struct counter *n = c;
    __atomic_fetch_add(&n->calls, 1, __ATOMIC_RELAXED);
    return n->inner.malloc(n->inner.context, caller, size, block);
}
static mid_status count_calloc(void *c, mid_caller caller, size_t count, size_t size, uintptr_t *block)
{
    struct counter *n = c;
    return n->inner.calloc(n->inner.context, caller, count, size, block);
}
static mid_status count_realloc(void *c, mid_caller caller, uintptr_t *block, size_t size)
{
    struct counter *n = c;
    return n->inner.realloc(n->inner.context, caller, block, size);
}
static mid_status count_free(void *c, mid_caller caller, uintptr_t block)
{
    struct counter *n = c;
    return n->inner.free(n->inner.context, caller, block);
}

TEST(wrappers_come_and_go_while_others_allocate)
{
    static struct shared s;
    static struct counter n;
    struct worker w[2];
    struct unit u;
    unit_open(&u, "");
    memset(&n, 0, sizeof n);
    ok(mid_domain_get_allocator(u.heap, MID_DOMAIN_MEM, &n.inner));
    mid_allocator wrapper = {&n, count_malloc, count_calloc, count_realloc, count_free, 1};
    start(&s, w, 2, u.heap, unit_scale(80000));
    for (int i = 0; i < 100; i++) {
        ok(mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &wrapper));
        ok(mid_safepoint(u.thread));
        ok(mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &n.inner));
    }
    ok(mid_domain_set_allocator(u.heap, MID_DOMAIN_MEM, &wrapper));
    void *block;
    ok(mid_mem_malloc(u.thread, 10, &block));
    assert_true(__atomic_load_n(&n.calls, __ATOMIC_RELAXED) >= 1);
    ok(mid_mem_free(u.thread, block));
    UNIT_JOIN(&u, i, 2, w[i].thread);
    assert_int_equal(s.wrong, 0);
    clear(&u, &s);
    unit_close(&u);
}

/* Many charge, and each takes its own back. */
static void *charge(void *context)
{
    struct worker *w = context;
    mid_thread *thread;
    wrong_if(w->s, mid_thread_attach(w->s->heap, &thread) != MID_OK);
    for (size_t n = 0; n < w->s->rounds; n++) {
        wrong_if(w->s, mid_charge(thread, 1000) != MID_OK);
        wrong_if(w->s, mid_uncharge(w->s->heap, 999) != MID_OK);
        wrong_if(w->s, mid_safepoint(thread) != MID_OK);
    }
    wrong_if(w->s, mid_thread_detach(thread) != MID_OK);
    return NULL;
}

TEST(charges_by_many_add_up)
{
    struct shared s = {.rounds = unit_scale(50000)};
    struct worker w[WORKERS];
    struct unit u;
    unit_open(&u, "");
    s.heap = u.heap;
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){.s = &s};
        assert_int_equal(pthread_create(&w[i].thread, NULL, charge, &w[i]), 0);
    }
    UNIT_JOIN(&u, i, WORKERS, w[i].thread);
    assert_int_equal(s.wrong, 0);
    assert_int_equal(unit_stats(&u).foreign_bytes, WORKERS * s.rounds);
    ok(mid_uncharge(u.heap, WORKERS * s.rounds));
    expect(MID_EINVAL, mid_uncharge(u.heap, 1));
    unit_close(&u);
}

/* A thread that ends without detaching leaves its caches to the pools. */
static void *leave_behind(void *context)
{
    struct shared *s = context;
    mid_thread *thread;
    uint64_t seed = 3;
    wrong_if(s, mid_thread_attach(s->heap, &thread) != MID_OK);
    for (unsigned i = 0; i < SHELF; i++)
        s->shelf[i] = make_block(s, thread, &seed);
    return NULL;
}

TEST(a_thread_that_ends_leaves_its_blocks)
{
    static struct shared s;
    struct unit u;
    pthread_t thread;
    unit_open(&u, "");
    memset(&s, 0, sizeof s);
    s.heap = u.heap;
    assert_int_equal(pthread_create(&thread, NULL, leave_behind, &s), 0);
    ok(mid_blocked_enter(u.thread));
    pthread_join(thread, NULL);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(s.wrong, 0);
    unit_check(&u);
    for (unsigned i = 0; i < SHELF; i++)
        assert_false(spoiled(s.shelf[i]));
    clear(&u, &s);
    unit_close(&u);
}

#if !defined(__SANITIZE_THREAD__)
TEST(the_child_of_a_fork_goes_on)
{
    static struct shared s;
    struct worker w[2];
    struct unit u;
    unit_open(&u, "");
    start(&s, w, 2, u.heap, unit_scale(80000));
    pid_t child = fork();
    if (child == 0) {
        uint64_t seed = 9;
        for (unsigned i = 0; i < SHELF; i++) {
            void *old = __atomic_exchange_n(&s.shelf[i], NULL, __ATOMIC_ACQ_REL);
            if ((old != NULL && (spoiled(old) || mid_mem_free(u.thread, old) != MID_OK)))
                _exit(1);
            s.shelf[i] = make_block(&s, u.thread, &seed);
        }
        _exit(s.wrong != 0 ? 2 : mid_heap_check(u.heap) != MID_OK ? 3 : 0);
    }
    int status = -1;
    ok(mid_blocked_enter(u.thread));
    assert_int_equal(waitpid(child, &status, 0), child);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(w[i].thread, NULL);
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(status, 0);
    assert_int_equal(s.wrong, 0);
    clear(&u, &s);
    unit_close(&u);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_here_and_freed_there),
        cmocka_unit_test(wrappers_come_and_go_while_others_allocate),
        cmocka_unit_test(charges_by_many_add_up),
        cmocka_unit_test(a_thread_that_ends_leaves_its_blocks),
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(the_child_of_a_fork_goes_on),
#endif
    };
    return UNIT_RUN(tests);
}
