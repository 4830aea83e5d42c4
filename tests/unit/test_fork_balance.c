/* fork() while a heap shares a budget: the connection is the parent's alone, and a child whose daemon starts again joins for itself. A
 * child uses no cmocka. Not built under ThreadSanitizer, as test_fork.c. */
#include "child.h"
#include "talk.h"

#include "midden/balance.h"

static talk *parent, *childs; /* not on the stack: what a child no longer needs would pass for leaked */
static char *path;

static talk *accept_need(int listening)
{
    talk *t = talk_accept(listening);
    assert_memory_equal(t->bytes, "need ", 5);
    t->length = 0;
    return t;
}

/* Its heap is used, and its daemon starts again, until it is told a limit; then it lives until the parent is through. */
static void child_joins(struct unit *u, mid_daemon *daemon, int through)
{
    char byte;
    mid_handle made = 0;
    close(parent->fd);
    NEED(mid_daemon_kick(daemon) == MID_OK);
    while (mid_balance_limit(daemon) != 22222222) {
        NEED(mid_new(u->thread, u->node, &made) == MID_OK);
        mid_release(u->thread, made);
        NEED(mid_safepoint(u->thread) == MID_OK);
        usleep(1000);
    }
    NEED(read(through, &byte, 1) == 0);
    NEED(mid_daemon_stop(daemon) == MID_OK);
}

static void child_leaves(struct unit *u, mid_daemon *daemon, int through)
{
    (void)u, (void)through;
    NEED(mid_balance_leave(daemon) == MID_OK);
    NEED(mid_balance_limit(daemon) == 0);
}

static void child_stops(struct unit *u, mid_daemon *daemon, int through)
{
    (void)u, (void)through;
    NEED(mid_daemon_stop(daemon) == MID_OK);
}

static pid_t fork_with(struct unit *u, mid_daemon *daemon, int ends[2], void child(struct unit *, mid_daemon *, int))
{
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        alarm(100);
        child(u, daemon, ends[0]);
        _exit(0);
    }
    close(ends[0]);
    return pid;
}

static void wait_for(mid_daemon *daemon, uint64_t limit)
{
    for (int i = 0; mid_balance_limit(daemon) != limit; i++) {
        assert_true(i < TALK_PATIENCE);
        usleep(1000);
    }
}

TEST(a_child_joins_for_itself)
{
    struct unit u;
    mid_daemon *daemon;
    int ends[2];
    unit_open(&u, "heartbeat=1ms");
    ok(mid_daemon_start(u.heap, &daemon));
    char *folder = talk_folder();
    path = talk_path(folder, "balance");
    int listening = talk_listen(path);
    ok(mid_balance_join(daemon, path));
    parent = accept_need(listening);
    talk_say(parent, "limit 11111111\n");
    wait_for(daemon, 11111111);
    pid_t child = fork_with(&u, daemon, ends, child_joins);
    childs = accept_need(listening);
    talk_say(childs, "limit 22222222\n");
    talk_say(parent, "limit 33333333\n"); /* the parent's, untouched */
    wait_for(daemon, 33333333);
    ok(mid_balance_leave(daemon));
    while (talk_more(parent)) { /* its end: though the child lives */
    }
    close(ends[1]);
    child_ends(child);
    while (talk_more(childs)) {
    }
    talk_close(parent);
    talk_close(childs);
    ok(mid_balance_join(daemon, path));
    parent = accept_need(listening);
    child_ends(fork_with(&u, daemon, ends, child_leaves));
    close(ends[1]);
    child_ends(fork_with(&u, daemon, ends, child_stops));
    close(ends[1]);
    talk_say(parent, "limit 44444444\n");
    wait_for(daemon, 44444444);
    ok(mid_daemon_stop(daemon));
    talk_close(parent);
    close(listening);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    free(path);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_child_joins_for_itself)};
    return UNIT_RUN(tests);
}
