/* Types that keep objects and what is interned, in a forked child: alone, frozen, and where a thread was lost that was emptying them. A
 * child must not use cmocka (test_fork.c says why). */
#include "child.h"
#include "peer.h"

#include "midden/freeze.h"
#include "midden/kinds.h"
#include "midden/policy.h"

enum { WORDS = 400, KEPT = 8 };

struct buffer {
    uint64_t number;
    void *data;
};

static struct unit u;
static mid_kinds kinds;
static mid_type kept;
static mid_handle words[WORDS];
static uint32_t waits, goes_on; /* atomic */

static void slow_free(void *payload, void *context)
{
    (void)context;
    if (payload == &waits && __atomic_exchange_n(&waits, 1, __ATOMIC_ACQ_REL) == 0)
        while (__atomic_load_n(&goes_on, __ATOMIC_ACQUIRE) == 0)
            sched_yield();
}

static mid_handle word(mid_thread *thread, unsigned number)
{
    char content[24];
    mid_handle found = 0;
    mid_text_intern(thread, &kinds, content, (size_t)snprintf(content, sizeof content, "word %u", number), &found);
    return found;
}

static void keep_some(void *payload)
{
    mid_handle made[KEPT];
    for (unsigned i = 0; i < KEPT; i++) {
        mid_new(u.thread, kept, &made[i]);
        ((struct buffer *)mid_get(u.thread, made[i]))->data = payload;
    }
    for (unsigned i = 0; i < KEPT; i++)
        mid_release(u.thread, made[i]);
}

static uint64_t now_kept(void)
{
    mid_policy_stats stats = {0};
    mid_policy_stats_get(u.heap, kept, &stats, sizeof stats);
    return stats.kept;
}

static void begin(void)
{
    unit_open(&u, "fork-wait=1ms");
    ok(mid_kinds_open(u.heap, &kinds));
    kept = unit_type(u.heap, (mid_type_desc){.name = "buffer", .size = sizeof(struct buffer), .payload_free = slow_free,
                                             .payload_offset = offsetof(struct buffer, data), .keep = KEPT});
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = word(u.thread, i);
}

/* All are found, some die, are made again; and objects are kept. */
static void in_the_child(void)
{
    for (unsigned i = 0; i < WORDS; i++) {
        mid_handle again = word(u.thread, i);
        NEED(again == words[i]);
        mid_release(u.thread, again);
    }
    for (unsigned i = 0; i < WORDS; i += 2) {
        mid_release(u.thread, words[i]);
        words[i] = word(u.thread, i);
        NEED(words[i] != 0);
    }
    for (unsigned i = WORDS; i < 3 * WORDS; i++)
        mid_release(u.thread, word(u.thread, i));
    keep_some(NULL);
    NEED(now_kept() == KEPT);
    NEED(mid_trim(u.thread, 0, NULL) == MID_OK);
    NEED(now_kept() == 0);
    keep_some(NULL);
    NEED(now_kept() == KEPT);
    NEED(mid_heap_check(u.heap) == MID_OK);
    NEED(mid_collect(u.thread, NULL) == MID_OK);
    NEED(mid_heap_check(u.heap) == MID_OK);
    _exit(0);
}

static void fork_it(void)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        in_the_child();
    }
    child_ends(child);
}

static void finish(void)
{
    for (unsigned i = 0; i < WORDS; i++) {
        mid_handle again = word(u.thread, i);
        assert_int_equal(again, words[i]);
        mid_release(u.thread, again);
        mid_release(u.thread, words[i]);
    }
    unit_drain(&u);
    unit_close(&u);
}

TEST(a_child_goes_on_with_them)
{
    begin();
    keep_some(NULL);
    fork_it();
    assert_int_equal(now_kept(), KEPT);
    finish();
}

TEST(a_child_goes_on_with_frozen_ones)
{
    begin();
    ok(mid_freeze(u.thread));
    fork_it();
    ok(mid_unfreeze(u.thread));
    finish();
}

static void peer_trims(struct peer *peer)
{
    peer->status = mid_trim(peer->thread, 0, NULL);
}

/* In the child nobody is emptying them any more: they are kept as before. */
TEST(a_child_that_lost_who_emptied_them_keeps_some)
{
    begin();
    waits = goes_on = 0;
    keep_some(&waits);
    struct peer *other = peer_new(&u);
    peer_begin(other, peer_trims);
    while (__atomic_load_n(&waits, __ATOMIC_ACQUIRE) == 0)
        sched_yield();
    fork_it();
    __atomic_store_n(&goes_on, 1, __ATOMIC_RELEASE);
    peer_wait(other);
    assert_int_equal(other->status, MID_OK);
    peer_end(other);
    keep_some(NULL);
    assert_int_equal(now_kept(), KEPT);
    finish();
}

/* One that interns and does not come: what it held stays, and is found. */
static void peer_interns(struct peer *peer)
{
    for (unsigned i = 0; i < 50; i++)
        peer->wrong += word(peer->thread, i) != words[i];
    peer->a = word(peer->thread, 10 * WORDS);
}

TEST(a_child_finds_what_a_lost_thread_interned)
{
    begin();
    struct peer *other = peer_new(&u);
    peer_do(other, peer_interns);
    assert_int_equal(other->wrong, 0);
    mid_handle found = word(u.thread, 10 * WORDS);
    assert_int_equal(found, other->a);
    fork_it();
    mid_release(u.thread, found);
    for (unsigned i = 0; i < 50; i++)
        peer_release(other, words[i]);
    peer_release(other, found);
    peer_end(other);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_goes_on_with_them),
        cmocka_unit_test(a_child_goes_on_with_frozen_ones),
        cmocka_unit_test(a_child_that_lost_who_emptied_them_keeps_some),
        cmocka_unit_test(a_child_finds_what_a_lost_thread_interned),
    };
    return UNIT_RUN(tests);
}
