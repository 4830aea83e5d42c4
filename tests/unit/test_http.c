/* The heap served by HTTP: who is answered, over real sockets. What the answers say is test_http_views.c's matter, what the page does
 * in a browser tests/page's. Nothing depends on how fast: a read waits for as long as only a failure takes. */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "midden/control.h"

/* --- addresses ----------------------------------------------------------------------------------------------------- */

TEST(addresses)
{
    static const char *const bad[] = {"", "7007", ":7007", "localhost", "localhost:", "localhost:65536", "localhost:1x", "localhost:-1",
                                      "localhost: 1", "0.0.0.0:0", "[::]:0", "example.com:80", "::1:80", "relative/path", "unix:/x"};
    struct served s;
    uint16_t port = 7;
    char longest[200] = "/";
    serve(&s, "");
    expect(MID_ENULL, mid_http_listen(NULL, "localhost:0", &port));
    expect(MID_ENULL, mid_http_listen(s.daemon, NULL, &port));
    expect(MID_ENULL, mid_http_stop(NULL));
    expect(MID_EBUSY, mid_http_listen(s.daemon, "localhost:0", &port));
    ok(mid_http_stop(s.daemon));
    expect(MID_EINVAL, mid_http_stop(s.daemon));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect(MID_EINVAL, mid_http_listen(s.daemon, bad[i], &port));
    memset(longest + 1, 'x', 150);
    expect(MID_EINVAL, mid_http_listen(s.daemon, longest, &port));
    expect(MID_ESYSTEM, mid_http_listen(s.daemon, "/nowhere/at/all/socket", &port));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(port, 7);
    ok(mid_http_listen(s.daemon, "127.0.0.1:0", NULL));
    ok(mid_http_stop(s.daemon));
    size_t before = descriptors();
    for (int i = 0; i < 20; i++) {
        ok(mid_http_listen(s.daemon, "localhost:0", &port));
        assert_int_equal(status_for(port, GET("/metrics")), 200);
        ok(mid_http_stop(s.daemon));
    }
    for (int looks = 0; descriptors() > before; looks++) { /* the loop closes them in its next turn */
        assert_true(looks < 100000);
        usleep(1000);
    }
    serve_end(&s);
}

TEST(port_in_use)
{
    struct served one, other;
    char address[40];
    serve(&one, "");
    serve(&other, "");
    ok(mid_http_stop(other.daemon));
    snprintf(address, sizeof address, "localhost:%u", one.port);
    expect(MID_EBUSY, mid_http_listen(other.daemon, address, NULL));
    ok(mid_http_stop(one.daemon));
    ok(mid_http_listen(other.daemon, address, NULL));
    assert_int_equal(status_for(one.port, GET("/")), 200);
    serve_end(&other);
    serve_end(&one);
}

TEST(paths)
{
    char folder[80], path[100];
    struct served one, other;
    struct stat there;
    make_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    serve(&one, "");
    serve(&other, "");
    ok(mid_http_stop(one.daemon));
    ok(mid_http_stop(other.daemon));
    int file = open(path, O_CREAT | O_RDWR, 0644);
    expect(MID_EBUSY, mid_http_listen(one.daemon, path, NULL)); /* not ours to remove */
    assert_int_equal(lstat(path, &there), 0);
    assert_true(S_ISREG(there.st_mode));
    close(file);
    unlink(path);
    uint16_t port = 7;
    ok(mid_http_listen(one.daemon, path, &port));
    assert_int_equal(port, 0);
    assert_int_equal(lstat(path, &there), 0);
    assert_true(S_ISSOCK(there.st_mode));
    assert_int_equal(there.st_mode & 0777, 0600);
    int fd = dial_path(path);
    assert_true(say(fd, GET("/heap.json")));
    char *answer = hear(fd);
    assert_int_equal(status_of(answer), 200);
    free(answer);
    expect(MID_EBUSY, mid_http_listen(other.daemon, path, NULL)); /* somebody listens */
    ok(mid_http_stop(one.daemon));
    assert_int_equal(lstat(path, &there), -1);
    /* One that nobody listens to any more is replaced. */
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strcpy(name.sun_path, path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&name, sizeof name), 0);
    close(stale);
    ok(mid_http_listen(other.daemon, path, NULL));
    /* What somebody else has put there since is not removed. */
    unlink(path);
    file = open(path, O_CREAT | O_RDWR, 0600);
    serve_end(&other);
    assert_int_equal(lstat(path, &there), 0);
    close(file);
    unlink(path);
    rmdir(folder);
    serve_end(&one);
}

/* Who has not come round to taking connections in is there all the same: its socket must not be taken for a stale one. */
TEST(path_of_somebody_busy)
{
    enum { MOST = 64 };
    char folder[80], path[100];
    struct served s;
    int guests[MOST], count = 0, busy = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct stat there;
    make_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/socket", folder);
    strcpy(name.sun_path, path);
    assert_int_equal(bind(busy, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(busy, 0), 0);
    for (bool full = false; !full; count++) {
        assert_true(count < MOST);
        guests[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        full = connect(guests[count], (struct sockaddr *)&name, sizeof name) != 0;
        assert_true(!full || errno == EAGAIN);
    }
    serve(&s, "");
    ok(mid_http_stop(s.daemon));
    expect(MID_EBUSY, mid_http_listen(s.daemon, path, NULL));
    expect(MID_EBUSY, mid_control_listen(s.daemon, path));
    assert_int_equal(lstat(path, &there), 0);
    serve_end(&s);
    while (count > 0)
        close(guests[--count]);
    close(busy);
    unlink(path);
    rmdir(folder);
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

TEST(methods)
{
    static const char *const others[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"};
    static const char *const there[] = {"/", "/metrics", "/heap.json", "/log.json", "/trace.json"};
    struct served s;
    char request[200];
    serve(&s, "");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(request, sizeof request, "%s /heap.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", others[i]);
        char *answer = ask_raw(s.port, request);
        assert_int_equal(status_of(answer), 405);
        assert_non_null(strstr(answer, "Allow: GET, HEAD\r\n"));
        free(answer);
    }
    assert_true(status_for(s.port, "BREW / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") >= 400);
    assert_int_equal(status_for(s.port, GET("/nothing")), 404);
    assert_int_equal(status_for(s.port, GET("/..//metrics")), 404);
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", there[i]);
        char *answer = ask_raw(s.port, request), *length = strstr(answer, "Content-Length: ");
        assert_int_equal(status_of(answer), 200);
        assert_true(length != NULL && atoi(length + strlen("Content-Length: ")) > 20);
        assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
        free(answer);
    }
    serve_end(&s);
}

TEST(hosts)
{
    static const char *const good[] = {"localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:7007", "[::1]", "[::1]:7007"};
    static const char *const bad[] = {"", "evil.example", "localhost.evil.example", "localhost:", "localhost:x", "localhost:80.evil", "127.0.0.1.evil",
                                      "127.0.0.2", "::1", "localhost@evil", "127.0.0.1:7007/x"};
    struct served s;
    char request[300];
    serve(&s, "");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(request, sizeof request, "GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", good[i]);
        assert_int_equal(status_for(s.port, request), 200);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(request, sizeof request, "GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", bad[i]);
        assert_int_equal(status_for(s.port, request), 403);
    }
    assert_int_equal(status_for(s.port, "GET /metrics HTTP/1.0\r\n\r\n"), 403);
    assert_int_equal(status_for(s.port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"), 403);
    assert_int_equal(status_for(s.port, "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 403);
    serve_end(&s);
}

/* Scripts and styles of the page have a nonce that is another one each time, and nothing of it comes from elsewhere. */
TEST(headers)
{
    static const char *const wanted[] = {"X-Content-Type-Options: nosniff\r\n", "Cache-Control: no-store\r\n", "Cross-Origin-Resource-Policy: same-origin\r\n",
                                         "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'"};
    static const char *const paths[] = {GET("/"), GET("/metrics"), GET("/heap.json"), GET("/nothing")};
    struct served s;
    char nonces[2][33];
    serve(&s, "");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char *answer = ask_raw(s.port, paths[i]);
        for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++)
            assert_non_null(strstr(answer, wanted[w]));
        assert_null(strstr(answer, "unsafe"));
        free(answer);
    }
    for (int i = 0; i < 2; i++) {
        char *answer = ask_raw(s.port, GET("/")), *in_policy = strstr(answer, "script-src 'nonce-"), element[100];
        assert_non_null(in_policy);
        memcpy(nonces[i], in_policy + strlen("script-src 'nonce-"), 32);
        nonces[i][32] = 0;
        snprintf(element, sizeof element, "<script nonce=\"%s\">", nonces[i]);
        assert_non_null(strstr(answer, element));
        assert_null(strstr(answer, "@NONCE@"));
        assert_null(strstr(answer, "https://"));
        free(answer);
    }
    assert_string_not_equal(nonces[0], nonces[1]);
    serve_end(&s);
}

TEST(bad_requests)
{
    static const char *const bad[] = {"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02", "GET / HTTP/1.1\r\n: x\r\n\r\n",
                                      "GET / HTTP/1.1\r\nHost\r\n\r\n", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                                      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                                      "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                                      "GET /%00%ff%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET  HTTP/1.1\r\n\r\n"};
    struct served s;
    serve(&s, "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = dial(s.port);
        say(fd, bad[i]);
        shutdown(fd, SHUT_WR);
        char *answer = hear(fd);
        assert_true(status_of(answer) != 200);
        free(answer);
    }
    assert_int_equal(status_for(s.port, GET("/metrics")), 200);
    serve_end(&s);
}

/* Neither headers without end nor a body are taken in. */
TEST(floods)
{
    struct served s;
    char piece[4096];
    serve(&s, "");
    memset(piece, 'a', sizeof piece - 1);
    piece[sizeof piece - 1] = 0;
    for (int kind = 0; kind < 3; kind++) {
        int fd = dial(s.port);
        assert_true(say(fd, kind == 0   ? "GET / HTTP/1.1\r\nHost: localhost\r\nX: "
                            : kind == 1 ? "GET /"
                                        : "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"));
        int pieces = 0;
        while (pieces < 20000 && say(fd, piece)) /* 80 MB, if it were let */
            pieces++;
        assert_true(pieces < 20000);
        close(fd);
    }
    assert_int_equal(status_for(s.port, GET("/metrics")), 200);
    serve_end(&s);
}

/* A hundred come and say nothing, or half of something. Few of them are let in, and when they go the next is answered. */
TEST(many_connections)
{
    enum { GUESTS = 100, SEATS = 16 };
    struct served s;
    int guests[GUESTS];
    serve(&s, "");
    size_t before = descriptors();
    for (int i = 0; i < GUESTS; i++) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        guests[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(guests[i] >= 0);
        assert_true(connect(guests[i], (struct sockaddr *)&name, sizeof name) == 0 || errno == EINPROGRESS);
        if (i % 2 == 0)
            send(guests[i], "GET / HT", 8, MSG_NOSIGNAL);
    }
    for (int looks = 0; descriptors() < before + GUESTS + SEATS; looks++) {
        assert_true(looks < 100000);
        usleep(1000);
    }
    expect(MID_EBUSY, mid_http_listen(s.daemon, "localhost:0", NULL)); /* the loop has come round: it takes in all it will */
    assert_int_equal(descriptors(), before + GUESTS + SEATS);
    for (int i = 0; i < GUESTS; i++)
        close(guests[i]);
    for (int i = 0; i < 40; i++)
        assert_int_equal(status_for(s.port, GET("/metrics")), 200);
    serve_end(&s);
}

/* Who comes while there is no descriptor for him waits; the loop does not turn in a circle meanwhile, and answers when there is one. */
TEST(no_descriptor_left)
{
    struct served s;
    struct rlimit before;
    serve(&s, "idle=1ms");
    int fd = dial(s.port), waiting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(say(fd, "GET / HT"));
    expect(MID_EBUSY, mid_http_listen(s.daemon, "localhost:0", NULL)); /* the first is in */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int connected = connect(waiting, (struct sockaddr *)&name, sizeof name);
    bool said = say(waiting, GET("/metrics"));
    for (int i = 0; i < 5; i++)
        expect(MID_ESYSTEM, mid_http_listen(s.daemon, "localhost:0", NULL));
    uint64_t used = mid_daemon_cpu_micros(s.daemon);
    usleep(300000);
    used = mid_daemon_cpu_micros(s.daemon) - used;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(connected == 0 && said);
    assert_true(used < 200000);
    char *answer = hear(waiting);
    assert_int_equal(status_of(answer), 200);
    free(answer);
    close(fd);
    serve_end(&s);
}

/* Who asks for more and more and takes nothing in holds up nobody but himself. Some go in the middle. */
TEST(never_reads)
{
    static const char again[] = "GET /heap.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct served s;
    int deaf[8];
    serve(&s, "");
    for (int i = 0; i < 8; i++) {
        deaf[i] = dial(s.port);
        for (int n = 0; n < 300; n++)
            if (send(deaf[i], again, strlen(again), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)strlen(again))
                break;
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(status_for(s.port, GET("/heap.json")), 200);
        if (i < 4)
            close(deaf[i]);
    }
    serve_end(&s); /* with four of them there */
    for (int i = 4; i < 8; i++)
        close(deaf[i]);
}

TEST(one_connection_many_requests)
{
    struct served s;
    serve(&s, "");
    int fd = dial(s.port);
    for (int i = 0; i < 50; i++)
        assert_true(say(fd, "GET /log.json HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_true(say(fd, GET("/log.json")));
    char *all = hear(fd), *at = all;
    int answers = 0;
    while ((at = strstr(at, "HTTP/1.1 200 OK\r\n")) != NULL) {
        answers++;
        at++;
    }
    assert_int_equal(answers, 51);
    free(all);
    serve_end(&s);
}

/* --- with a program's own loop ------------------------------------------------------------------------------ */

static void *ask_from_outside(void *port)
{
    char *body = get(*(uint16_t *)port, "/heap.json");
    return body;
}

static void on_wish(evutil_socket_t fd, short what, void *granted)
{
    (void)fd, (void)what;
    ++*(int *)granted;
}

/* Descriptors that the program opens after connections have ended, with their numbers perhaps: each is heard. */
static void the_loop_hears_others(struct event_base *base)
{
    enum { WISHES = 8 };
    struct event *wishes[WISHES];
    int fds[WISHES], granted = 0;
    for (int i = 0; i < WISHES; i++) {
        fds[i] = eventfd(1, EFD_CLOEXEC);
        wishes[i] = event_new(base, fds[i], EV_READ, on_wish, &granted);
        assert_int_equal(event_add(wishes[i], NULL), 0);
    }
    for (int i = 0; i < 100; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(granted, WISHES);
    for (int i = 0; i < WISHES; i++) {
        event_free(wishes[i]);
        close(fds[i]);
    }
}

TEST(on_the_programs_loop)
{
    struct unit u;
    mid_daemon *daemon;
    uint16_t port;
    pthread_t asker;
    void *body;
    unit_open(&u, "");
    struct event_base *base = event_base_new();
    ok(mid_daemon_attach(u.heap, base, u.thread, &daemon));
    signal(SIGPIPE, SIG_DFL);
    expect(MID_EINVAL, mid_http_listen(daemon, "localhost:0", &port));
    signal(SIGPIPE, SIG_IGN);
    ok(mid_http_listen(daemon, "localhost:0", &port));
    int gone = dial(port); /* asks, and does not wait */
    for (int i = 0; i < 50; i++)
        say(gone, GET("/heap.json"));
    close(gone);
    pthread_create(&asker, NULL, ask_from_outside, &port);
    while (pthread_tryjoin_np(asker, &body) != 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
    free(body);
    the_loop_hears_others(base);
    ok(mid_daemon_stop(daemon));
    event_base_free(base);
    signal(SIGPIPE, SIG_DFL);
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(port_in_use),
        cmocka_unit_test(paths),
        cmocka_unit_test(path_of_somebody_busy),
        cmocka_unit_test(methods),
        cmocka_unit_test(hosts),
        cmocka_unit_test(headers),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(floods),
        cmocka_unit_test(many_connections),
        cmocka_unit_test(no_descriptor_left),
        cmocka_unit_test(never_reads),
        cmocka_unit_test(one_connection_many_requests),
        cmocka_unit_test(on_the_programs_loop),
    };
    unsetenv("MIDDEN_OPTIONS");
    return UNIT_RUN(tests);
}
