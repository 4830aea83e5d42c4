/* Heaps that share a budget: what the limit they are told does, the other end when it is good, bad, killed or not there, and what the
 * process that divides has to bear. Processes are forked before anything has threads, and begin when told. Nothing depends on how
 * fast: what is waited for comes, or a deadline that only a failure reaches passes. */
#include "eventually.h"
#include "talk.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/decide.h"
#include "daemon/steward.h"
#include "daemon/tell.h"
#include "midden/balance.h"

#define QUIET "growth-min=1000G,suspect-min=4G,collect-stop=60s,idle=3600s,heartbeat=1ms,pressure=off"
#define MB (UINT64_C(1) << 20)
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define WITHIN(value, part, whole) ((value) <= (whole) && (value) >= (whole) / 100 * (part))

/* --- a process that divides ---------------------------------------------------------------------------------------------- */

struct divider {
    pid_t pid;
    int go, ready;
};

static char *folder, *path;

static void divide_when_told(uint64_t budget, int go, int ready)
{
    mid_steward *steward;
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(go, &byte, 1) != 1)
        _exit(0);
    struct event_base *base = event_base_new();
    if (mid_steward_open(base, path, budget, &steward) != MID_OK || write(ready, "r", 1) != 1)
        _exit(1);
    event_base_loop(base, 0);
    _exit(2);
}

static struct divider divider_new(uint64_t budget)
{
    int go[2], ready[2];
    assert_int_equal(pipe2(go, O_CLOEXEC) | pipe2(ready, O_CLOEXEC), 0);
    struct divider d = {.pid = fork(), .go = go[1], .ready = ready[0]};
    if (d.pid == 0) {
        close(go[1]);
        divide_when_told(budget, go[0], ready[1]);
    }
    close(go[0]);
    close(ready[1]);
    return d;
}

static void divider_go(struct divider *d)
{
    char byte;
    assert_int_equal(write(d->go, "g", 1), 1);
    assert_int_equal(read(d->ready, &byte, 1), 1);
}

static void divider_kill(struct divider *d)
{
    int status;
    kill(d->pid, SIGKILL);
    assert_int_equal(waitpid(d->pid, &status, 0), d->pid);
    assert_true(WIFSIGNALED(status)); /* it had not ended by itself */
    close(d->go);
    close(d->ready);
}

static void begin(void)
{
    folder = talk_folder();
    path = talk_path(folder, "balance");
}

static void end(void)
{
    unlink(path); /* who was killed left it */
    assert_int_equal(rmdir(folder), 0);
    free(path);
}

/* --- heaps --------------------------------------------------------------------------------------------------------------- */

struct joined {
    struct unit u;
    mid_daemon *daemon;
};

static void join_with(struct joined *j, const char *options)
{
    unit_open(&j->u, options);
    ok(mid_daemon_start(j->u.heap, &j->daemon));
    ok(mid_balance_join(j->daemon, path));
}

static void part(struct joined *j)
{
    ok(mid_daemon_stop(j->daemon));
    unit_close(&j->u);
}

/* Garbage rings, and few of them while nobody has said a limit: at its safepoints the program collects when it has grown as it may. */
static void work(struct joined *j, size_t rings)
{
    for (size_t i = 0; i < rings; i++) {
        mid_release(j->u.thread, unit_ring(&j->u, j->u.node, 100));
        ok(mid_safepoint(j->u.thread));
    }
}

static bool noted(mid_daemon *daemon, const char *text)
{
    static mid_decision log[512];
    size_t count = mid_daemon_log(daemon, log, COUNT(log));
    for (size_t i = 0; i < count; i++)
        if (log[i].action == MID_ACT_NOTE && strstr(log[i].note, text) != NULL)
            return true;
    return false;
}

static uint64_t collections(struct joined *j)
{
    return unit_stats(&j->u).collections;
}

TEST(two_heaps_share_and_give_back)
{
    struct joined a, b;
    begin();
    struct divider d = divider_new(256 * MB);
    divider_go(&d);
    join_with(&a, QUIET);
    EVENTUALLY(WITHIN(mid_balance_limit(a.daemon), 95, 256 * MB), (work(&a, 1), SLEEP));
    join_with(&b, QUIET);
    EVENTUALLY(mid_balance_limit(b.daemon) != 0 && mid_balance_limit(a.daemon) < 250 * MB, (work(&a, 1), work(&b, 1), SLEEP));
    EVENTUALLY(mid_balance_limit(a.daemon) + mid_balance_limit(b.daemon) <= 256 * MB / 64 * 65, (work(&a, 1), work(&b, 1), SLEEP));
    expect(MID_EINVAL, mid_balance_join(a.daemon, path));
    ok(mid_balance_leave(b.daemon));
    assert_int_equal(mid_balance_limit(b.daemon), 0);
    EVENTUALLY(WITHIN(mid_balance_limit(a.daemon), 95, 256 * MB), (work(&a, 1), SLEEP));
    expect(MID_EINVAL, mid_balance_leave(b.daemon));
    part(&b);
    part(&a);
    divider_kill(&d);
    end();
}

TEST(it_dies_and_another_comes)
{
    struct joined a, b;
    begin();
    struct divider first = divider_new(256 * MB), second = divider_new(512 * MB);
    join_with(&a, QUIET); /* nobody there yet */
    EVENTUALLY(noted(a.daemon, "No such file"), SLEEP);
    assert_int_equal(mid_balance_limit(a.daemon), 0);
    divider_go(&first);
    join_with(&b, QUIET);
    EVENTUALLY(mid_balance_limit(a.daemon) != 0 && mid_balance_limit(b.daemon) != 0, (work(&a, 1), work(&b, 1), SLEEP));
    divider_kill(&first);
    EVENTUALLY(noted(a.daemon, "lost") && noted(b.daemon, "lost"), (work(&a, 1), work(&b, 1), SLEEP));
    uint64_t limit = mid_balance_limit(a.daemon), before = collections(&a);
    assert_true(limit != 0 && limit <= 256 * MB);
    EVENTUALLY(collections(&a) > before + 1, work(&a, 1000)); /* it carries on, and keeps to its limit */
    assert_int_equal(mid_balance_limit(a.daemon), limit);
    assert_true(unit_stats(&a.u).committed_bytes < 2 * limit);
    divider_go(&second);
    EVENTUALLY(mid_balance_limit(a.daemon) + mid_balance_limit(b.daemon) > 480 * MB, (work(&a, 1), work(&b, 1), SLEEP));
    part(&a);
    EVENTUALLY(WITHIN(mid_balance_limit(b.daemon), 95, 512 * MB), (work(&b, 1), SLEEP));
    part(&b);
    divider_kill(&second);
    end();
}

/* Two daemons on one base, which the mutators' own thread runs. */
TEST(heaps_of_one_base)
{
    struct joined j[2];
    begin();
    struct divider d = divider_new(128 * MB);
    divider_go(&d);
    struct event_base *base = event_base_new();
    for (int i = 0; i < 2; i++) {
        unit_open(&j[i].u, QUIET);
        ok(mid_daemon_attach(j[i].u.heap, base, j[i].u.thread, &j[i].daemon));
        ok(mid_balance_join(j[i].daemon, path));
    }
#define TURN (work(&j[0], 1), work(&j[1], 1), event_base_loop(base, EVLOOP_NONBLOCK), SLEEP)
    EVENTUALLY(mid_balance_limit(j[0].daemon) != 0 && mid_balance_limit(j[1].daemon) != 0, TURN);
    EVENTUALLY(mid_balance_limit(j[0].daemon) + mid_balance_limit(j[1].daemon) <= 128 * MB / 64 * 65, TURN);
    ok(mid_balance_leave(j[0].daemon));
    EVENTUALLY(WITHIN(mid_balance_limit(j[1].daemon), 95, 128 * MB), TURN);
    divider_kill(&d);
    EVENTUALLY(noted(j[1].daemon, "lost"), TURN);
    part(&j[0]);
    work(&j[1], 10);
    event_base_loop(base, EVLOOP_NONBLOCK);
    part(&j[1]);
    event_base_free(base);
    end();
}

/* --- what a limit does, without a clock ------------------------------------------------------------------------------------ */

TEST(a_heap_grows_up_to_what_it_was_told)
{
    mid_options o;
    mid_options_init(&o);
    mid_snapshot s = {.allocated_bytes = 100 * MB, .live_slot_bytes = 100 * MB, .live_at_collection = 100 * MB, .pool_bytes = 100 * MB,
                      .committed_bytes = 100 * MB, .live_objects = 10};
    mid_pacer p;
    mid_gauge g = {0};
    mid_reading r = {.told = 900 * MB};
    bool idle;
    mid_pacer_init(&p, &s, 0);
    mid_decide(&p, &s, &o, 1);
    assert_int_equal(mid_collect_growth(&p, &o).percent, o.growth);
    mid_strain strain = mid_gauge_read(&g, &r, &o, s.committed_bytes, 1);
    assert_true(strain.told && strain.soft == 900 * MB && strain.level == MID_PRESSURE_CALM);
    mid_decide_strain(&p, &strain);
    assert_int_equal(mid_collect_growth(&p, &o).least, 700 * MB); /* seven eighths of what is left */
    assert_int_equal(mid_collect_growth(&p, &o).percent, 0);
    o.soft_limit = 260 * MB; /* what the options say holds as well */
    strain = mid_gauge_read(&g, &r, &o, s.committed_bytes, 2);
    mid_decide_strain(&p, &strain);
    assert_int_equal(mid_collect_growth(&p, &o).least, 140 * MB);
    o.soft_limit = 0;
    r.told = 50 * MB;
    strain = mid_gauge_read(&g, &r, &o, s.committed_bytes, 3);
    assert_true(strain.level == MID_PRESSURE_COMPACT && strain.why == MID_WHY_LIMIT);
    r.told = 0;
    strain = mid_gauge_read(&g, &r, &o, s.committed_bytes, 4);
    assert_true(!strain.told && strain.soft == 0 && strain.level == MID_PRESSURE_CALM);
    mid_need need = mid_decide_need(&p, &o, &idle);
    assert_true(!idle && need.live == 100 * MB && need.held == 100 * MB && need.speed == 0);
    s.allocated_bytes += 10 * MB;
    mid_decide(&p, &s, &o, 1000000);
    need = mid_decide_need(&p, &o, &idle);
    assert_true(need.rate > 9 * MB && need.rate < 11 * MB);
    mid_decide(&p, &s, &o, 1000000 + o.idle);
    need = mid_decide_need(&p, &o, &idle);
    assert_true(idle && need.rate == 0);
}

/* --- another end that is none ------------------------------------------------------------------------------------------------ */

/* The heap comes, and says what it needs. */
static talk *accept_need(int listening)
{
    mid_need need;
    talk *t = talk_accept(listening);
    *strchr(t->bytes, '\n') = 0;
    assert_true(mid_tell_read_need(t->bytes, &need));
    t->length = 0;
    return t;
}

static void end_of(talk *t)
{
    while (talk_more(t))
        t->length = 0;
    talk_close(t);
}

TEST(another_end_that_talks_nonsense)
{
    struct joined a;
    begin();
    int listening = talk_listen(path);
    join_with(&a, QUIET);
    talk *t = accept_need(listening);
    talk_say(t, "limit 123456789\n");
    EVENTUALLY(mid_balance_limit(a.daemon) == 123456789, SLEEP);
    talk_say(t, "limit 1\n"); /* less than is held: the daemon does not try */
    EVENTUALLY(mid_balance_limit(a.daemon) == 1, SLEEP);
    work(&a, 100);
    talk_say(t, "limit 0\n");
    end_of(t);
    t = accept_need(listening); /* it tries again */
    talk_say(t, "limit 77777777\nlimit 88888888\n");
    EVENTUALLY(mid_balance_limit(a.daemon) == 88888888, SLEEP);
    for (int i = 0; i < 1000; i++)
        if (send(t->fd, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 40, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    end_of(t);
    assert_int_equal(mid_balance_limit(a.daemon), 88888888);
    t = accept_need(listening);
    ok(mid_daemon_stop(a.daemon)); /* while joined to somebody who says nothing */
    end_of(t);
    ok(mid_daemon_start(a.u.heap, &a.daemon));
    ok(mid_balance_join(a.daemon, path));
    close(listening);
    part(&a);
    end();
}

TEST(paths_and_nulls)
{
    struct joined a;
    char longer[200];
    begin();
    unit_open(&a.u, QUIET);
    ok(mid_daemon_start(a.u.heap, &a.daemon));
    memset(longer, 'x', sizeof longer);
    longer[108] = 0;
    expect(MID_ENULL, mid_balance_join(NULL, path));
    expect(MID_ENULL, mid_balance_join(a.daemon, NULL));
    expect(MID_ENULL, mid_balance_leave(NULL));
    expect(MID_EINVAL, mid_balance_leave(a.daemon));
    expect(MID_EINVAL, mid_balance_join(a.daemon, ""));
    expect(MID_ESIZE, mid_balance_join(a.daemon, longer));
    assert_int_equal(mid_balance_limit(NULL), 0);
    assert_int_equal(mid_balance_limit(a.daemon), 0);
    ok(mid_balance_join(a.daemon, folder)); /* nobody will ever be there */
    EVENTUALLY(noted(a.daemon, "balance, "), SLEEP);
    ok(mid_balance_leave(a.daemon));
    ok(mid_balance_join(a.daemon, path));
    part(&a);
    end();
}

/* --- what the divider bears -------------------------------------------------------------------------------------------------- */

/* Sooner or later this connection is told that. */
static void comes(talk *t, uint64_t wanted)
{
    uint64_t limit = 0;
    for (bool more = true; more; more = limit != wanted && talk_more(t)) {
        char *end;
        while ((end = memchr(t->bytes, '\n', t->length)) != NULL) {
            *end = 0;
            assert_true(mid_tell_read_limit(t->bytes, &limit));
            t->length -= (size_t)(end + 1 - t->bytes);
            memmove(t->bytes, end + 1, t->length);
        }
    }
    assert_int_equal(limit, wanted);
}

TEST(clients_of_all_kinds)
{
    static const char *const nonsense[] = {"hello\n", "need 1 2 3\n", "\n", "need 1 1 1 18446744073709551616\n"};
    enum { IDLE = MID_SEATS + 20 };
    int idle[IDLE];
    begin();
    struct divider d = divider_new(1000 * MB);
    divider_go(&d);
    struct stat made;
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(made.st_mode & 0777, 0600);
    talk *good = talk_open(path);
    talk_say(good, "need 100000000 100000000 1000000 1000000000\n");
    comes(good, 1000 * MB);
    for (size_t i = 0; i < COUNT(nonsense); i++) {
        talk *t = talk_open(path);
        talk_say(t, nonsense[i]);
        end_of(t);
    }
    for (int i = 0; i < IDLE; i++) { /* more than there are seats */
        idle[i] = talk_connect(path);
        assert_true(idle[i] >= 0);
        assert_int_equal(send(idle[i], "ne", 2, MSG_NOSIGNAL), 2); /* half a line */
    }
    talk *other = talk_open(path); /* gets the seat of one of them */
    talk_say(other, "need 100000000 100000000 1000000 1000000000\n");
    comes(other, 500 * MB);
    comes(good, 500 * MB);
    talk_close(other); /* dies */
    comes(good, 1000 * MB);
    for (int i = 0; i < IDLE; i++)
        close(idle[i]);
    talk_close(good);
    divider_kill(&d);
    end();
}

/* It says more and more and reads nothing: of what it should be told, one line waits. */
TEST(a_client_that_floods_and_never_reads)
{
    begin();
    struct divider d = divider_new(1000 * MB);
    divider_go(&d);
    talk *good = talk_open(path), *bad = talk_open(path);
    char line[100];
    for (int i = 0; i < 20000; i++) {
        int length = snprintf(line, sizeof line, "need 100000000 100000000 %d 1000000000\n", (i % 2 + 1) * 450000000);
        if (send(bad->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break; /* it is not read any faster than it may */
    }
    talk_say(good, "need 100000000 100000000 0 1000000000\n");
    comes(good, 112500000); /* idle: the least */
    talk_close(bad); /* and what it has not been told is dropped */
    comes(good, 1000 * MB);
    talk_close(good);
    divider_kill(&d);
    end();
}

TEST(what_is_at_the_dividers_path)
{
    mid_steward *s, *t;
    uint64_t given;
    begin();
    struct event_base *base = event_base_new();
    ok(mid_steward_open(base, path, MB, &s));
    expect(MID_EBUSY, mid_steward_open(base, path, MB, &t));
    expect(MID_EINVAL, mid_steward_open(base, folder, MB, &t));
    assert_int_equal(mid_steward_heaps(s, &given), 0);
    assert_int_equal(given, 0);
    talk *one = talk_open(path);
    talk_say(one, "need 1 2 3 4\n");
    EVENTUALLY(mid_steward_heaps(s, &given) == 1 && given == MB + 2, event_base_loop(base, EVLOOP_ONCE));
    mid_steward_close(s);
    end_of(one);
    assert_int_equal(access(path, F_OK), -1);
    event_base_free(base);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_heaps_share_and_give_back),
        cmocka_unit_test(it_dies_and_another_comes),
        cmocka_unit_test(heaps_of_one_base),
        cmocka_unit_test(a_heap_grows_up_to_what_it_was_told),
        cmocka_unit_test(another_end_that_talks_nonsense),
        cmocka_unit_test(paths_and_nulls),
        cmocka_unit_test(clients_of_all_kinds),
        cmocka_unit_test(a_client_that_floods_and_never_reads),
        cmocka_unit_test(what_is_at_the_dividers_path),
    };
    return UNIT_RUN(tests);
}
