/* The program frees its event_base while a daemon is attached to it, with all that a daemon can have there: a mistake, after which the
 * daemon does nothing any more, says so where it can, and can be stopped; the heap goes on, and another daemon can be started. */
#include "client.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "midden/balance.h"
#include "midden/control.h"

/* libevent's memory, which is spoilt when it is freed: what still reads it does not go on as if nothing were. */
static void *spoilt[1 << 16]; /* and not given to others */
static unsigned spoilt_count;

static void spoil(void *old)
{
    assert_true(spoilt_count < sizeof spoilt / sizeof *spoilt);
    memset(old, 0xdb, ((size_t *)old)[-2]);
    spoilt[spoilt_count++] = (size_t *)old - 2;
}

static void *again(void *old, size_t size)
{
    size_t *made = malloc(size + 16), before = old == NULL ? 0 : ((size_t *)old)[-2];
    assert_non_null(made);
    *made = size;
    if (old != NULL) {
        memcpy(made + 2, old, before < size ? before : size);
        spoil(old);
    }
    return made + 2;
}

static void *fresh(size_t size)
{
    return again(NULL, size);
}

struct laid_out {
    struct unit u;
    struct event_base *base;
    mid_daemon *daemon;
    char folder[80], control[100], http[100], fifo[100];
    int asking, watching, halfway;
};

static void lay_out(struct laid_out *l)
{
    unit_open(&l->u, "user-signals=on,log-entries=2048,idle=1ms");
    make_folder(l->folder, sizeof l->folder);
    snprintf(l->control, sizeof l->control, "%s/control", l->folder);
    snprintf(l->http, sizeof l->http, "%s/http", l->folder);
    snprintf(l->fifo, sizeof l->fifo, "%s/fifo", l->folder);
    assert_int_equal(mkfifo(l->fifo, 0600), 0);
    const mid_daemon_paths paths = {.struct_size = sizeof paths, .watch = l->fifo};
    l->base = event_base_new();
    ok(mid_daemon_start_with(l->u.heap, l->base, l->u.thread, &paths, &l->daemon));
    ok(mid_control_listen(l->daemon, l->control));
    ok(mid_http_listen(l->daemon, l->http, NULL));
    ok(mid_balance_join(l->daemon, "/nowhere/midden-balance"));
    l->asking = dial_path(l->control);
    l->watching = dial_path(l->http);
    l->halfway = dial_path(l->http);
    say(l->asking, "stats\ncollect\nsta");
    for (int i = 0; i < 60; i++)
        say(l->watching, "GET /heap.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
    say(l->halfway, "GET / HT");
    for (int i = 0; i < 30; i++)
        event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void clear_up(struct laid_out *l)
{
    char byte[4096];
    int *fds[] = {&l->asking, &l->watching, &l->halfway};
    for (int i = 0; i < 3; i++) { /* who was connected is not left waiting */
        ssize_t got;
        while ((got = recv(*fds[i], byte, sizeof byte, 0)) > 0) {
        }
        close(*fds[i]);
    }
    assert_int_equal(access(l->control, F_OK), -1);
    assert_int_equal(access(l->http, F_OK), -1);
    unlink(l->fifo);
    assert_int_equal(rmdir(l->folder), 0);
}

TEST(stopped_when_the_base_is_gone)
{
    struct laid_out l;
    mid_daemon *another;
    lay_out(&l);
    size_t before = descriptors();
    event_base_free(l.base);
    ok(mid_daemon_kick(l.daemon));
    mid_release(l.u.thread, unit_new(&l.u, l.u.node));
    ok(mid_collect(l.u.thread, NULL));
    ok(mid_daemon_stop(l.daemon));
    assert_true(descriptors() < before);
    clear_up(&l);
    ok(mid_daemon_start(l.u.heap, &another));
    ok(mid_daemon_stop(another));
    unit_close(&l.u);
}

TEST(asked_when_the_base_is_gone)
{
    static mid_decision log[2048];
    struct laid_out l;
    bool said = false;
    lay_out(&l);
    event_base_free(l.base);
    expect(MID_ESYSTEM, mid_control_close(l.daemon));
    expect(MID_ESYSTEM, mid_control_listen(l.daemon, l.control));
    expect(MID_ESYSTEM, mid_http_stop(l.daemon));
    expect(MID_ESYSTEM, mid_balance_leave(l.daemon));
    for (size_t i = mid_daemon_log(l.daemon, log, 2048); i-- > 0;)
        said = said || strstr(log[i].note, "event_base") != NULL;
    assert_true(said);
    ok(mid_daemon_stop(l.daemon));
    clear_up(&l);
    unit_close(&l.u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_when_the_base_is_gone),
        cmocka_unit_test(asked_when_the_base_is_gone),
    };
    event_set_mem_functions(fresh, again, spoil);
    signal(SIGPIPE, SIG_IGN);
    unsetenv("MIDDEN_OPTIONS");
    return UNIT_RUN(tests);
}
