/* fork() with a control socket: the child serves nobody and keeps nobody waiting; it may listen somewhere of its own. A child uses no
 * cmocka. Not built under ThreadSanitizer, as test_fork.c. */
#include "child.h"
#include "talk.h"

#include <signal.h>

static void good(json_t *answer)
{
    assert_non_null(answer);
    assert_true(talk_good(answer));
    json_decref(answer);
}

/* Without cmocka: is "help" answered? */
static bool helped(const char *path)
{
    char bytes[4];
    int fd = talk_connect(path);
    bool answered = fd >= 0 && send(fd, "help\n", 5, MSG_NOSIGNAL) == 5 && recv(fd, bytes, 4, MSG_WAITALL) == 4;
    close(fd);
    return answered && memcmp(bytes, "{\"ok", 4) == 0;
}

static talk *t; /* not on the stack: what a child no longer needs would pass for leaked */
static char *path, *own;

typedef void child_fn(struct unit *u, mid_daemon *daemon, const char *at, const char *elsewhere);

/* Of the parent's it has nothing; it uses its heap, and listens somewhere else. */
static void child_listens(struct unit *u, mid_daemon *daemon, const char *at, const char *elsewhere)
{
    mid_handle made = 0;
    NEED(helped(at)); /* by the parent */
    for (int i = 0; i < 10000; i++) {
        NEED(mid_new(u->thread, u->node, &made) == MID_OK);
        mid_release(u->thread, made);
        NEED(mid_safepoint(u->thread) == MID_OK);
    }
    NEED(mid_control_listen(daemon, elsewhere) == MID_OK);
    NEED(helped(elsewhere));
    NEED(helped(at));
    NEED(mid_daemon_stop(daemon) == MID_OK);
    NEED(access(elsewhere, F_OK) != 0);
    NEED(access(at, F_OK) == 0);
}

static void child_stops(struct unit *u, mid_daemon *daemon, const char *at, const char *elsewhere)
{
    (void)u, (void)elsewhere;
    NEED(mid_daemon_stop(daemon) == MID_OK);
    NEED(helped(at));
}

static void child_closes(struct unit *u, mid_daemon *daemon, const char *at, const char *elsewhere)
{
    (void)u, (void)elsewhere;
    NEED(mid_control_close(daemon) == MID_EINVAL); /* it has none */
    NEED(helped(at));
}

TEST(the_child_serves_nothing)
{
    static child_fn *const children[] = {child_listens, child_stops, child_closes};
    struct unit u;
    mid_daemon *daemon;
    unit_open(&u, "heartbeat=1ms");
    ok(mid_daemon_start(u.heap, &daemon));
    char *folder = talk_folder();
    path = talk_path(folder, "parent");
    own = talk_path(folder, "child");
    ok(mid_control_listen(daemon, path));
    t = talk_open(path);
    good(talk_ask(t, "help\n"));
    for (int i = 0; i < 9; i++) {
        if (!RUNNING_ON_VALGRIND) /* which would report what the thread that is not there was at */
            talk_say(t, "stats\nhelp\n");
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            children[i % 3](&u, daemon, path, own);
            _exit(0);
        }
        child_ends(child);
        if (RUNNING_ON_VALGRIND)
            talk_say(t, "stats\nhelp\n");
        good(talk_next(t));
        good(talk_next(t));
    }
    talk_close(t);
    ok(mid_daemon_stop(daemon));
    assert_int_equal(rmdir(folder), 0);
    free(path);
    free(own);
    unit_close(&u);
}

/* The parent ends the connections, and they are ended, though a child lives that was there at the time. */
TEST(a_child_that_lives_keeps_nothing_open)
{
    struct unit u;
    mid_daemon *daemon;
    int ends[2];
    char byte;
    unit_open(&u, "heartbeat=1ms");
    ok(mid_daemon_start(u.heap, &daemon));
    char *folder = talk_folder();
    path = talk_path(folder, "parent");
    ok(mid_control_listen(daemon, path));
    t = talk_open(path);
    good(talk_ask(t, "help\n"));
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(t->fd);
        close(ends[1]);
        alarm(60);
        NEED(read(ends[0], &byte, 1) == 0); /* until the parent is through */
        _exit(0);
    }
    close(ends[0]);
    ok(mid_control_close(daemon));
    assert_null(talk_next(t));
    assert_int_equal(talk_connect(path), -1);
    close(ends[1]);
    child_ends(child);
    talk_close(t);
    ok(mid_daemon_stop(daemon));
    assert_int_equal(rmdir(folder), 0);
    free(path);
    unit_close(&u);
}

/* Somebody else: not answered, though he gets in; and where he may not write, he cannot listen. */
static void child_of_another_user(struct unit *u, mid_daemon *daemon, const char *at, const char *elsewhere)
{
    char byte;
    (void)u;
    NEED(setgid(65534) == 0 && setuid(65534) == 0);
    int fd = talk_connect(at);
    NEED(fd >= 0);
    send(fd, "help\n", 5, MSG_NOSIGNAL);
    NEED(recv(fd, &byte, 1, 0) <= 0);
    errno = 0;
    NEED(mid_control_listen(daemon, elsewhere) == MID_ESYSTEM && errno == EACCES);
}

TEST(only_the_same_user_is_answered)
{
    struct unit u;
    mid_daemon *daemon;
    if (geteuid() != 0)
        skip(); /* nobody else can be had */
    unit_open(&u, "heartbeat=1ms");
    ok(mid_daemon_start(u.heap, &daemon));
    char *folder = talk_folder();
    path = talk_path(folder, "parent");
    own = talk_path(folder, "child");
    ok(mid_control_listen(daemon, path));
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(path, 0666), 0); /* as if the mode did not keep him out */
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        child_of_another_user(&u, daemon, path, own);
        _exit(0);
    }
    child_ends(child);
    t = talk_open(path);
    good(talk_ask(t, "help\n"));
    talk_close(t);
    ok(mid_daemon_stop(daemon));
    assert_int_equal(rmdir(folder), 0);
    free(path);
    free(own);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_serves_nothing),
        cmocka_unit_test(a_child_that_lives_keeps_nothing_open),
        cmocka_unit_test(only_the_same_user_is_answered),
    };
    return UNIT_RUN(tests);
}
