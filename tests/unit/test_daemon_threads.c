/* The daemon's loop on a heap of several mutators: what it does while they poll or sleep, and whom it names when one of them
 * does not come. Conditions are waited for until a deadline that only a failure reaches. */
#include "eventually.h"
#include "peer.h"

#include <time.h>

#include "midden/daemon.h"

enum { MANY = 150000, LOG_MOST = 256 };

/* Main polls while it waits. */
static void poll_main(struct unit *u)
{
    ok(mid_safepoint(u->thread));
    SLEEP;
}

struct held {
    mid_handle handles[MANY];
    size_t count;
};

/* A heap of holes: worth compacting. */
static void hold_one_in_ten(struct peer *peer)
{
    struct held *held = peer->data;
    for (size_t i = 0; i < held->count; i++) {
        peer->wrong += mid_new(peer->thread, peer->unit->node, &held->handles[i]) != MID_OK;
        ((struct node *)mid_get(peer->thread, held->handles[i]))->value = i;
    }
    for (size_t i = 0; i < held->count; i++)
        if (i % 10 != 0)
            mid_release(peer->thread, held->handles[i]);
}

static void verify_and_poll(struct peer *peer)
{
    struct held *held = peer->data;
    while (peer_goes_on(peer))
        for (size_t i = 0; i < held->count; i += 10) {
            peer->wrong += ((struct node *)mid_get(peer->thread, held->handles[i]))->value != i;
            if (i % 200 == 0)
                peer->wrong += mid_safepoint(peer->thread) != MID_OK;
        }
}

static void drop(struct peer *peer)
{
    struct held *held = peer->data;
    for (size_t i = 0; i < held->count; i += 10)
        mid_release(peer->thread, held->handles[i]);
}

static void take_name(struct peer *peer)
{
    peer->wrong += pthread_setname_np(pthread_self(), "latecomer") != 0;
}

/* The newest compaction in the log that was postponed, or that moved something. */
static int compacted(mid_daemon *daemon, int postponed, mid_decision *into)
{
    static mid_decision log[LOG_MOST];
    for (size_t n = mid_daemon_log(daemon, log, LOG_MOST); n != 0; n--)
        if (log[n - 1].action == MID_ACT_COMPACT &&
            (postponed ? log[n - 1].status == MID_EPOSTPONED : log[n - 1].objects != 0)) {
            *into = log[n - 1];
            return 1;
        }
    return 0;
}

static void open_with_holes(struct unit *u, struct peer *peers[2], struct held *held)
{
    unit_open(u, "reserve=0,heartbeat=1ms,idle=3600s,decay=3600s,stop-wait=50ms,growth-min=1G");
    for (int i = 0; i < 2; i++) {
        held[i].count = MANY; /* less would not be worth the daemon's while */
        peers[i] = peer_unattached(u->heap);
        peers[i]->unit = u;
        peers[i]->data = &held[i];
        if (i == 1)
            peer_do(peers[i], take_name);
        peer_attach(peers[i]);
        peer_do(peers[i], hold_one_in_ten);
        assert_int_equal(peers[i]->wrong, 0);
    }
}

static void close_all(struct unit *u, struct peer *peers[2])
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(peers[i]->wrong, 0);
        peer_do(peers[i], drop);
        peer_end(peers[i]);
    }
    unit_close_empty(u);
}

static struct held held[2];

TEST(it_compacts_what_several_use)
{
    struct unit u;
    struct peer *peers[2];
    mid_daemon *daemon = NULL;
    mid_decision done;
    open_with_holes(&u, peers, held);
    peer_begin(peers[0], verify_and_poll);
    peer_block(peers[1]);
    ok(mid_daemon_start(u.heap, &daemon));
    EVENTUALLY(compacted(daemon, 0, &done), poll_main(&u));
    assert_true(unit_stats(&u).moved_objects > 0);
    peer_wait_rounds(peers[0], 1);
    peer_finish_polling(peers[0], u.thread);
    peer_unblock(peers[1]);
    ok(mid_daemon_stop(daemon));
    close_all(&u, peers);
}

TEST(it_names_the_thread_that_does_not_come)
{
    struct unit u;
    struct peer *peers[2];
    mid_daemon *daemon = NULL;
    mid_decision late, done;
    char text[512];
    open_with_holes(&u, peers, held);
    peer_begin(peers[0], verify_and_poll); /* and the other has no job */
    ok(mid_daemon_start(u.heap, &daemon));
    EVENTUALLY(compacted(daemon, 1, &late) && strstr(late.late, "latecomer") != NULL, poll_main(&u));
    assert_true(late.waited_micros > 0);
    assert_true(strtoul(late.late, NULL, 10) == peers[1]->thread->bias >> MID_OWNER_SHIFT_);
    assert_true(mid_decision_text(&late, text, sizeof text) < (int)sizeof text);
    assert_non_null(strstr(text, "latecomer"));
    assert_int_equal(unit_stats(&u).moved_objects, 0);
    assert_true(unit_stats(&u).postponed_stops > 0);
    peer_wait_rounds(peers[0], 1); /* nobody is held up */
    peer_begin(peers[1], verify_and_poll);
    EVENTUALLY(compacted(daemon, 0, &done), poll_main(&u));
    assert_int_equal(done.late[0], 0);
    for (int i = 0; i < 2; i++)
        peer_finish_polling(peers[i], u.thread);
    ok(mid_daemon_stop(daemon));
    close_all(&u, peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_compacts_what_several_use),
        cmocka_unit_test(it_names_the_thread_that_does_not_come),
    };
    return UNIT_RUN(tests);
}
