/* fork() while a heap is served by HTTP: the child has the parent's sockets too. Whether it stops its daemon, or starts it anew, the
 * parent's guests are left alone. Left out under ThreadSanitizer, as test_fork.c. */
#include "child.h"
#include "client.h"

#include <sys/socket.h>

/* A child must not use cmocka's assertions, or it would go on as a second test program. */
static void served_child(struct served *s, const char *path)
{
    alarm(RUNNING_ON_VALGRIND ? 200 : 60);
    int wrong = mid_daemon_kick(s->daemon) != MID_OK                   ? 1
                : mid_http_stop(s->daemon) != MID_EINVAL               ? 2
                : mid_http_listen(s->daemon, path, NULL) != MID_EBUSY  ? 3
                : mid_http_listen(s->daemon, "localhost:0", &s->port) != MID_OK ? 4
                : status_for(s->port, GET("/metrics")) != 200          ? 5
                : mid_daemon_stop(s->daemon) != MID_OK                 ? 6
                                                                       : 0;
    _exit(wrong);
}

static void idle_child(struct served *s)
{
    _exit(mid_daemon_stop(s->daemon) == MID_OK ? 0 : 1);
}

static void fork_keeps_the_parents(void (*in_child)(struct served *, const char *))
{
    char folder[80], path[100], first;
    struct served s;
    make_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    serve(&s, "");
    ok(mid_http_stop(s.daemon));
    ok(mid_http_listen(s.daemon, path, NULL));
    int guest = dial_path(path);
    assert_true(say(guest, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_int_equal(recv(guest, &first, 1, 0), 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0 && in_child != NULL)
        in_child(&s, path);
    else if (child == 0)
        idle_child(&s);
    child_ends(child);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(say(guest, GET("/metrics")));
    char *answer = hear(guest);
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
    free(answer);
    serve_end(&s);
    assert_int_equal(rmdir(folder), 0); /* the socket has gone with the daemon */
}

TEST(a_child_that_serves)
{
    fork_keeps_the_parents(served_child);
}

TEST(a_child_that_stops_its_daemon)
{
    fork_keeps_the_parents(NULL);
}

/* Whoever forks does so in the midst of answers: what the loop's thread was at in the parent is nobody's to free in the child. Not with
 * a sanitizer's malloc, whose locks that thread may have held. */
struct asker {
    unsigned short port;
    int stop; /* atomic */
};

static void *ask_on(void *context)
{
    struct asker *asker = context;
    while (!__atomic_load_n(&asker->stop, __ATOMIC_ACQUIRE))
        if (status_for(asker->port, GET("/heap.json")) != 200)
            return asker;
    return NULL;
}

TEST(children_in_the_midst_of_answers)
{
    struct served s;
    struct asker asker = {0};
    pthread_t thread;
    void *failed;
    if (UNIT_SANITIZED)
        skip();
    serve(&s, "");
    for (int i = 0; i < 20000; i++)
        mid_release(s.u.thread, unit_array(&s.u, s.u.bytes, (uint32_t)(16 + i % 3000)));
    asker.port = s.port;
    assert_int_equal(pthread_create(&thread, NULL, ask_on, &asker), 0);
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(RUNNING_ON_VALGRIND ? 200 : 60);
            if (i % 2 == 0)
                idle_child(&s);
            int wrong = mid_daemon_kick(s.daemon) != MID_OK || mid_http_listen(s.daemon, "localhost:0", &s.port) != MID_OK ||
                        status_for(s.port, GET("/metrics")) != 200 || mid_daemon_stop(s.daemon) != MID_OK;
            _exit(wrong);
        }
        child_ends(child);
    }
    __atomic_store_n(&asker.stop, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    serve_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_that_serves),
        cmocka_unit_test(a_child_that_stops_its_daemon),
        cmocka_unit_test(children_in_the_midst_of_answers),
    };
    unsetenv("MIDDEN_OPTIONS");
    return UNIT_RUN(tests);
}
