/* The control socket: every request, every kind of client that is none, and what is at the path already. The heap's own thread is
 * the one that asks: where the daemon has to stop it, it says so (mid_blocked_enter). */
#include "talk.h"

#include <event2/event.h>
#include <pthread.h>
#include <sys/resource.h>

#define QUIET "growth-min=1000G,suspect-min=4G,collect-stop=60s,idle=3600s,heartbeat=1ms"

struct served {
    struct unit u;
    mid_daemon *daemon;
    char *folder, *path;
    talk *t;
};

static void serve_with(struct served *s, const char *options)
{
    unit_open(&s->u, options);
    ok(mid_daemon_start(s->u.heap, &s->daemon));
    s->folder = talk_folder();
    s->path = talk_path(s->folder, "control");
    ok(mid_control_listen(s->daemon, s->path));
    s->t = talk_open(s->path);
}

static void finish(struct served *s)
{
    talk_close(s->t);
    ok(mid_daemon_stop(s->daemon));
    assert_int_equal(rmdir(s->folder), 0); /* the socket is gone */
    free(s->path);
    unit_close(&s->u);
}

/* A request for which the world has to be stopped. */
static json_t *ask_away(struct served *s, const char *line)
{
    ok(mid_blocked_enter(s->u.thread));
    json_t *answer = talk_ask(s->t, line);
    ok(mid_blocked_leave(s->u.thread));
    return answer;
}

static void good(json_t *answer)
{
    if (!talk_good(answer))
        print_error("%s\n", json_dumps(answer, 0));
    assert_true(talk_good(answer));
    json_decref(answer);
}

/* --- every request --------------------------------------------------------------------------------------------------------- */

TEST(stats_are_the_heaps)
{
    struct served s;
    serve_with(&s, QUIET);
    mid_handle kept = unit_array(&s.u, s.u.vec, 100);
    json_t *answer = ask_away(&s, "stats\n");
    assert_true(talk_good(answer));
    json_t *stats = json_object_get(answer, "stats"), *classes = json_object_get(answer, "classes"), *one;
    mid_stats mine = unit_stats(&s.u);
    assert_int_equal(talk_number(stats, "live_objects"), 1);
    assert_int_equal(talk_number(stats, "allocated_objects"), mine.allocated_objects);
    assert_int_equal(talk_number(stats, "committed_bytes"), mine.committed_bytes);
    assert_int_equal(talk_number(stats, "attached_threads"), 1);
    uint64_t live = 0, index;
    json_array_foreach(classes, index, one)
        live += talk_number(one, "live_slots") * talk_number(one, "slot_size");
    assert_int_equal(live, mine.live_slot_bytes);
    assert_string_equal(json_string_value(json_array_get(json_object_get(answer, "types"), 0)), "node");
    assert_int_equal(json_array_size(json_object_get(answer, "types")), 3);
    assert_true(json_is_object(json_object_get(answer, "pauses")));
    assert_true(talk_number(json_object_get(answer, "daemon"), "wakeups") > 0);
    json_decref(answer);
    mid_release(s.u.thread, kept);
    finish(&s);
}

TEST(a_type_with_a_name_that_is_no_text)
{
    struct served s;
    serve_with(&s, QUIET);
    unit_plain_type(s.u.heap, "caf\xe9", 16);
    json_t *answer = talk_ask(s.t, "stats\n");
    assert_string_equal(json_string_value(json_array_get(json_object_get(answer, "types"), 3)), "caf?");
    json_decref(answer);
    finish(&s);
}

TEST(collect_frees_rings)
{
    struct served s;
    serve_with(&s, QUIET);
    unit_drop_rings(&s.u, s.u.node, 1000, 10);
    assert_int_equal(unit_live(&s.u), 10000);
    json_t *answer = ask_away(&s, "collect\n");
    assert_int_equal(talk_number(answer, "objects"), 10000);
    assert_string_equal(json_string_value(json_object_get(answer, "done")), "collect");
    good(answer);
    assert_int_equal(unit_live(&s.u), 0);
    finish(&s);
}

/* By a sweep, in slices, since a whole collection would take longer than no time. */
TEST(collect_frees_rings_of_a_large_heap)
{
    struct served s;
    serve_with(&s, "growth-min=1000G,collect-stop=0us,idle=3600s,heartbeat=1ms");
    mid_handle kept = unit_array(&s.u, s.u.vec, 20000);
    for (unsigned i = 0; i < 20000; i++)
        mid_give(s.u.thread, kept, ITEM(i), unit_new(&s.u, s.u.node));
    unit_drop_rings(&s.u, s.u.node, unit_scale(10000), 10);
    good(ask_away(&s, "collect\n"));
    assert_int_equal(unit_live(&s.u), 20001);
    json_t *answer = ask_away(&s, "log\n"), *entry;
    size_t index, sweeps = 0;
    json_array_foreach(json_object_get(answer, "log"), index, entry)
        sweeps += strcmp(json_string_value(json_object_get(entry, "action")), "sweep") == 0 &&
                  strcmp(json_string_value(json_object_get(entry, "trigger")), "asked") == 0;
    assert_true(sweeps != 0);
    json_decref(answer);
    mid_release(s.u.thread, kept);
    unit_drain(&s.u);
    finish(&s);
}

TEST(compact_and_trim)
{
    struct served s;
    serve_with(&s, QUIET ",frag-start=100000%,frag-stop=100000%,reserve=0,spare=0%,decay=3600s");
    size_t count = unit_scale(200000);
    mid_handle kept = unit_array(&s.u, s.u.vec, count);
    for (size_t i = 0; i < count; i++)
        mid_give(s.u.thread, kept, ITEM(i), unit_new(&s.u, s.u.node));
    for (size_t i = 0; i < count; i++)
        if (i % 8 != 0)
            mid_release(s.u.thread, mid_take(s.u.thread, kept, ITEM(i)));
    json_t *answer = ask_away(&s, "compact\n");
    assert_true(talk_number(answer, "objects") > 0);
    assert_true(talk_number(answer, "pools_after") < talk_number(answer, "pools_before"));
    good(answer);
    answer = ask_away(&s, "trim\n");
    good(answer);
    assert_int_equal(unit_stats(&s.u).empty_bytes, 0);
    mid_release(s.u.thread, kept);
    unit_drain(&s.u);
    finish(&s);
}

TEST(deep_is_the_programs_choice)
{
    struct served s;
    serve_with(&s, QUIET);
    talk_say(s.t, "deep\n");
    talk_expect_error(s.t, "MID_EINVAL");
    finish(&s);
    serve_with(&s, QUIET ",deep=depth");
    mid_handle list = 0;
    for (int i = 0; i < 20000; i++) {
        mid_handle node = unit_new(&s.u, s.u.node);
        mid_give(s.u.thread, node, LEFT, list);
        mid_release(s.u.thread, unit_new(&s.u, s.u.node));
        list = node;
    }
    json_t *answer = ask_away(&s, "deep\n");
    assert_true(talk_number(answer, "objects") > 0);
    good(answer);
    mid_release(s.u.thread, list);
    unit_drain(&s.u);
    finish(&s);
}

TEST(set_changes_what_the_daemon_does)
{
    struct served s;
    serve_with(&s, QUIET);
    unit_drop_rings(&s.u, s.u.node, 20000, 10); /* 4 MB, which only the idle rule can want */
    assert_int_equal(unit_live(&s.u), 200000);
    json_t *answer = ask_away(&s, "set idle = 1ms, slice=2ms\n");
    assert_int_equal(talk_number(json_object_get(answer, "options"), "idle"), 1000);
    assert_int_equal(talk_number(json_object_get(answer, "options"), "slice"), 2000);
    good(answer);
    ok(mid_blocked_enter(s.u.thread));
    while (unit_live(&s.u) != 0)
        usleep(1000);
    ok(mid_blocked_leave(s.u.thread));
    finish(&s);
}

TEST(set_refuses)
{
    static const char *const bad[] = {"set heap-limit=1G\n", "set slice=1ms,deep=depth\n", "set nothing=1\n", "set slice=0\n",
                                      "set slice\n", "set slice=1%\n", "set log-entries=20, slice=1ms\n"};
    struct served s;
    serve_with(&s, QUIET);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        talk_say(s.t, bad[i]);
        talk_expect_error(s.t, "MID_EOPTION");
    }
    talk_say(s.t, "set heap-limit=1G\n");
    json_t *answer = talk_next(s.t);
    assert_string_equal(json_string_value(json_object_get(answer, "option")), "heap-limit");
    json_decref(answer);
    talk_say(s.t, "set frag-start=120%,frag-stop=130%\n");
    talk_expect_error(s.t, "MID_EINVAL");
    talk_say(s.t, "set\n");
    talk_expect_error(s.t, "MID_EINVAL");
    answer = talk_ask(s.t, "help\n");
    assert_int_equal(talk_number(json_object_get(answer, "options"), "slice"), 500);
    good(answer);
    finish(&s);
}

TEST(the_map_adds_up)
{
    struct served s;
    serve_with(&s, QUIET);
    mid_handle kept = unit_array(&s.u, s.u.vec, 20000), pinned = unit_new(&s.u, s.u.node);
    for (unsigned i = 0; i < 20000; i++)
        mid_give(s.u.thread, kept, ITEM(i), unit_array(&s.u, s.u.bytes, i % 500));
    ok(mid_pin(s.u.thread, pinned, NULL));
    json_t *answer = ask_away(&s, "dump\n"), *one;
    mid_stats mine = unit_stats(&s.u);
    json_t *units = json_object_get(answer, "units");
    uint64_t pools = talk_number(units, "partly") + talk_number(units, "full") + talk_number(units, "owned"), pins = 0, index;
    assert_int_equal(pools * 65536, mine.pool_bytes);
    assert_int_equal(talk_number(units, "empty") * 65536, mine.empty_bytes);
    json_array_foreach(json_object_get(answer, "classes"), index, one)
        pins += talk_number(one, "pins");
    assert_int_equal(pins, 1);
    assert_int_equal(json_array_size(json_object_get(answer, "arenas")), talk_number(answer, "arena_count"));
    one = json_array_get(json_object_get(answer, "arenas"), 0);
    assert_int_equal(strlen(json_string_value(json_object_get(one, "units"))), 256);
    good(answer);
    ok(mid_unpin(s.u.thread, pinned));
    mid_release(s.u.thread, pinned);
    mid_release(s.u.thread, kept);
    unit_drain(&s.u);
    finish(&s);
}

TEST(trace_on_top_snapshot_off)
{
    struct served s;
    serve_with(&s, QUIET);
    static const char *const wrong[] = {"trace\n", "trace maybe\n", "trace on x\n", "trace on 0\n", "trace on 5 6 7\n", "trace on -5\n", "trace on +5\n", "trace on 999999999999G\n", "trace on 9223372036854775807K\n",
                                        "trace on 512K16\n", "trace onall\n", "trace on 512k\n", "trace on K\n", "trace on all -1\n", "trace on all 4294967312\n", "trace top colour\n", "trace snapshot 3\n",
                                        "trace off now\n", "trace on all 65\n", "trace top\n", "trace snapshot\n", "trace off\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *answer = ask_away(&s, wrong[i]);
        assert_false(talk_good(answer));
        assert_string_equal(json_string_value(json_object_get(answer, "error")), "MID_EINVAL");
        json_decref(answer);
    }
    good(ask_away(&s, "trace on all 12\n"));
    assert_true(mid_trace_is_on(s.u.heap));
    mid_handle made = unit_new(&s.u, s.u.node);
    json_t *answer = ask_away(&s, "trace top type\n"), *row = json_array_get(json_object_get(answer, "top"), 0);
    assert_true(talk_good(answer));
    assert_int_equal(talk_number(answer, "traced"), sizeof(struct node));
    assert_string_equal(json_string_value(json_object_get(row, "type")), "node");
    json_decref(answer);
    answer = ask_away(&s, "trace top\n");
    const char *frame = json_string_value(json_array_get(json_object_get(json_array_get(json_object_get(answer, "top"), 0), "frames"), 0));
    assert_non_null(strstr(frame, "(unit.h:"));
    json_decref(answer);
    answer = ask_away(&s, "trace snapshot\n");
    row = json_array_get(json_object_get(answer, "top"), 0);
    assert_true(json_array_size(json_object_get(row, "frames")) > 3);
    assert_non_null(strstr(json_string_value(json_array_get(json_object_get(row, "frames"), 0)), "test_control+0x"));
    json_decref(answer);
    answer = ask_away(&s, "trace on\n"); /* it is */
    assert_false(talk_good(answer));
    json_decref(answer);
    good(ask_away(&s, "trace off\n"));
    good(ask_away(&s, "trace on 64K\n"));
    mid_trace_figures f;
    ok(mid_trace_figures_get(s.u.heap, &f, sizeof f));
    assert_int_equal(f.sample, 64 << 10);
    assert_int_equal(f.frames, 16);
    good(ask_away(&s, "trace off\n"));
    assert_false(mid_trace_is_on(s.u.heap));
    mid_release(s.u.thread, made);
    finish(&s);
}

TEST(log_has_what_was_asked_for)
{
    struct served s;
    serve_with(&s, QUIET);
    good(ask_away(&s, "collect\n"));
    json_t *answer = talk_ask(s.t, "log 1\n"), *log = json_object_get(answer, "log");
    assert_int_equal(json_array_size(log), 1);
    json_t *entry = json_array_get(log, 0);
    assert_string_equal(json_string_value(json_object_get(entry, "action")), "collect");
    assert_string_equal(json_string_value(json_object_get(entry, "trigger")), "asked");
    assert_non_null(strstr(json_string_value(json_object_get(entry, "text")), "collect: asked"));
    good(answer);
    answer = talk_ask(s.t, "log 0\n");
    assert_int_equal(json_array_size(json_object_get(answer, "log")), 0);
    good(answer);
    good(talk_ask(s.t, "log 4000000000\n"));
    talk_say(s.t, "log many\n");
    talk_expect_error(s.t, "MID_EINVAL");
    finish(&s);
}

/* It is refused again and again, and then says for whom. */
TEST(a_thread_that_does_not_come)
{
    struct served s;
    serve_with(&s, QUIET);
    pthread_setname_np(pthread_self(), "does-not-come");
    unit_drop_rings(&s.u, s.u.node, 10, 10);
    talk_say(s.t, "collect\n");
    json_t *answer = talk_next(s.t);
    assert_false(talk_good(answer));
    assert_string_equal(json_string_value(json_object_get(answer, "error")), "MID_EPOSTPONED");
    assert_non_null(strstr(json_string_value(json_object_get(answer, "late")), "does-not-come"));
    json_decref(answer);
    good(ask_away(&s, "collect\n")); /* and the next is not the worse for it */
    assert_int_equal(unit_live(&s.u), 0);
    finish(&s);
}

/* --- clients that are none ------------------------------------------------------------------------------------------------- */

TEST(lines_come_in_any_pieces)
{
    struct served s;
    serve_with(&s, QUIET);
    for (const char *at = "\n\r\n  help \r\nlog 1\nhelp\n"; *at != 0; at++)
        talk_bytes(s.t, at, 1);
    for (int i = 0; i < 3; i++)
        good(talk_next(s.t));
    talk_say(s.t, "log 1\nset slice=1ms\nhelp\nhe");
    for (int i = 0; i < 3; i++)
        good(talk_next(s.t));
    talk_say(s.t, "lp\n");
    good(talk_next(s.t));
    finish(&s);
}

TEST(garbage_is_answered_for)
{
    struct served s;
    char line[10000], every[257];
    serve_with(&s, QUIET);
    talk_say(s.t, "GET / HTTP/1.1\n");
    talk_expect_error(s.t, "MID_EINVAL");
    for (int i = 0; i < 256; i++)
        every[i] = i == '\n' ? 1 : (char)i;
    every[256] = '\n';
    talk_bytes(s.t, every, sizeof every);
    talk_expect_error(s.t, "MID_EINVAL");
    talk_bytes(s.t, "help\0\n", 6);
    talk_expect_error(s.t, "MID_EINVAL");
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    talk_bytes(s.t, line, sizeof line);
    talk_expect_error(s.t, "MID_ESIZE");
    line[4096] = '\n'; /* just short enough */
    talk_bytes(s.t, line, 4097);
    talk_expect_error(s.t, "MID_EINVAL");
    line[4096] = 'x';
    line[4097] = '\n'; /* just too long */
    talk_bytes(s.t, line, 4098);
    talk_expect_error(s.t, "MID_ESIZE");
    talk_say(s.t, "collect now\n");
    talk_expect_error(s.t, "MID_EINVAL");
    good(talk_ask(s.t, "help\n"));
    finish(&s);
}

TEST(noise_of_all_kinds)
{
    struct served s;
    uint64_t seed = 7;
    serve_with(&s, QUIET);
    for (size_t round = 0; round < unit_scale(200); round++) {
        talk *noisy = talk_open(s.path);
        char bytes[3000];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)unit_random(&seed);
        send(noisy->fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        talk_close(noisy); /* with answers under way */
    }
    good(talk_ask(s.t, "help\n"));
    finish(&s);
}

/* What it sends is left unread once 64 KiB of answers are; the others are served; and when it reads, each is there. */
TEST(a_client_that_does_not_read)
{
    struct served s;
    serve_with(&s, QUIET);
    talk *deaf = talk_open(s.path);
    const char line[] = "stats\n";
    size_t sent = 0, refused = 0;
    /* It gets no more in, however long the others talk: for longer than it takes to work off what is in its inbox. */
    while (refused < 1500) {
        assert_true(sent < 1 << 20);
        ssize_t got = send(deaf->fd, line + sent % 6, 6 - sent % 6, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += got > 0 ? (size_t)got : 0;
        refused = got > 0 ? 0 : refused + 1;
        if (got < 0)
            good(talk_ask(s.t, "help\n"));
    }
    for (size_t answers = sent / 6; answers != 0; answers--)
        good(talk_next(deaf));
    talk_close(deaf);
    finish(&s);
}

TEST(a_hundred_idle_clients)
{
    struct served s;
    talk *idle[100];
    serve_with(&s, QUIET);
    good(talk_ask(s.t, "help\n"));
    for (int i = 0; i < 100; i++) {
        idle[i] = talk_open(s.path);
        if (i == 50)
            good(talk_ask(s.t, "help\n")); /* who speaks stays */
        if (i % 8 == 7)
            good(talk_ask(idle[i], "help\n")); /* all so far are taken in */
    }
    good(talk_ask(s.t, "help\n"));
    good(talk_ask(idle[99], "help\n"));
    assert_null(talk_next(idle[0])); /* who was silent for longest is gone */
    good(talk_ask(idle[60], "help\n"));
    for (int i = 0; i < 100; i++)
        talk_close(idle[i]);
    finish(&s);
}

TEST(a_request_and_then_the_end)
{
    struct served s;
    serve_with(&s, QUIET);
    talk *t = talk_open(s.path);
    unit_drop_rings(&s.u, s.u.node, 10, 10);
    talk_say(t, "help\ncollect\nstats\nhal");
    shutdown(t->fd, SHUT_WR);
    ok(mid_blocked_enter(s.u.thread));
    for (int i = 0; i < 3; i++)
        good(talk_next(t));
    assert_null(talk_next(t));
    ok(mid_blocked_leave(s.u.thread));
    talk_close(t);
    finish(&s);
}

/* Many want something done; some do not wait for it. */
TEST(goals_take_turns)
{
    struct served s;
    talk *askers[30];
    static const char *const wishes[] = {"collect\n", "compact\n", "trim\n"};
    serve_with(&s, QUIET);
    unit_drop_rings(&s.u, s.u.node, 1000, 10);
    for (int i = 0; i < 30; i++) {
        askers[i] = talk_open(s.path);
        talk_say(askers[i], wishes[i % 3]);
    }
    for (int i = 0; i < 30; i += 4)
        talk_close(askers[i]);
    ok(mid_blocked_enter(s.u.thread));
    for (int i = 0; i < 30; i++)
        if (i % 4 != 0) {
            json_t *answer = talk_next(askers[i]);
            assert_int_equal(strncmp(json_string_value(json_object_get(answer, "done")), wishes[i % 3], 4), 0);
            good(answer);
        }
    ok(mid_blocked_leave(s.u.thread));
    for (int i = 0; i < 30; i++)
        if (i % 4 != 0)
            talk_close(askers[i]);
    assert_int_equal(unit_live(&s.u), 0);
    finish(&s);
}

TEST(no_descriptors_for_a_while)
{
    struct served s;
    struct rlimit before, few;
    if (RUNNING_ON_VALGRIND)
        skip(); /* it has limits of its own */
    serve_with(&s, QUIET);
    talk *late = calloc(1, sizeof *late);
    late->fd = talk_connect(s.path); /* accepted, or about to be */
    good(talk_ask(late, "help\n"));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    talk *later = calloc(1, sizeof *later);
    later->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    few = before;
    few.rlim_cur = (rlim_t)later->fd + 1; /* what is open stays so; the next is refused */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", s.path);
    assert_int_equal(connect(later->fd, (struct sockaddr *)&address, sizeof address), 0);
    talk_say(later, "help\n");
    for (int i = 0; i < 100; i++)
        good(talk_ask(s.t, "help\n"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    good(talk_next(later));
    talk_close(late);
    talk_close(later);
    finish(&s);
}

/* --- paths ----------------------------------------------------------------------------------------------------------------- */

TEST(what_is_at_the_path)
{
    struct served s;
    char longer[200];
    struct stat made;
    mode_t mask = umask(0);
    serve_with(&s, QUIET);
    umask(mask);
    assert_int_equal(stat(s.path, &made), 0);
    assert_int_equal(made.st_mode & 0777, 0600);
    expect(MID_EINVAL, mid_control_listen(s.daemon, s.path)); /* it does already */
    ok(mid_control_close(s.daemon));
    assert_null(talk_next(s.t));
    expect(MID_EINVAL, mid_control_close(s.daemon));
    expect(MID_ENULL, mid_control_listen(s.daemon, NULL));
    expect(MID_ENULL, mid_control_listen(NULL, s.path));
    expect(MID_ENULL, mid_control_close(NULL));
    expect(MID_EINVAL, mid_control_listen(s.daemon, ""));
    memset(longer, 'x', sizeof longer);
    longer[108] = 0;
    expect(MID_ESIZE, mid_control_listen(s.daemon, longer));
    expect(MID_EINVAL, mid_control_listen(s.daemon, s.folder)); /* a folder */
    char *missing = talk_path(s.folder, "none/control"), *file = talk_path(s.folder, "file");
    errno = 0;
    expect(MID_ESYSTEM, mid_control_listen(s.daemon, missing));
    assert_int_equal(errno, ENOENT);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    close(fd);
    expect(MID_EINVAL, mid_control_listen(s.daemon, file));
    assert_int_equal(unlink(file), 0); /* it is still there */
    free(missing);
    free(file);
    ok(mid_control_listen(s.daemon, s.path));
    finish(&s);
}

TEST(a_stale_socket_is_replaced_and_a_live_one_is_not)
{
    struct served s, other;
    serve_with(&s, QUIET);
    unit_open(&other.u, QUIET);
    ok(mid_daemon_start(other.u.heap, &other.daemon));
    expect(MID_EBUSY, mid_control_listen(other.daemon, s.path));
    good(talk_ask(s.t, "help\n"));
    char *stale = talk_path(s.folder, "stale");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", stale);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
    ok(mid_control_listen(other.daemon, stale));
    talk *t = talk_open(stale);
    good(talk_ask(t, "help\n"));
    talk_close(t);
    /* What somebody else has put in its place is not removed. */
    assert_int_equal(unlink(stale), 0);
    fd = open(stale, O_CREAT | O_WRONLY, 0600);
    close(fd);
    ok(mid_daemon_stop(other.daemon));
    unit_close(&other.u);
    assert_int_equal(unlink(stale), 0);
    free(stale);
    finish(&s);
}

/* --- heaps and loops ------------------------------------------------------------------------------------------------------- */

TEST(two_heaps_two_sockets)
{
    struct served s, other;
    serve_with(&s, QUIET);
    char *folder = strdup(s.folder); /* talk_folder has one place */
    s.folder = folder;
    serve_with(&other, QUIET);
    mid_handle one = unit_new(&s.u, s.u.node);
    json_t *answer = talk_ask(other.t, "stats\n");
    assert_int_equal(talk_number(json_object_get(answer, "stats"), "allocated_objects"), 0);
    good(answer);
    unit_drop_rings(&s.u, s.u.node, 5, 10);
    unit_drop_rings(&other.u, other.u.node, 7, 10);
    answer = ask_away(&other, "collect\n");
    assert_int_equal(talk_number(answer, "objects"), 70);
    good(answer);
    assert_int_equal(unit_live(&s.u), 51);
    good(ask_away(&s, "collect\n"));
    mid_release(s.u.thread, one);
    finish(&other);
    finish(&s);
    free(folder);
}

/* The program's base, on the mutator's thread: one iteration at a time until an answer is there. */
static json_t *run_until_answer(struct event_base *base, talk *t)
{
    while (memchr(t->bytes, '\n', t->length) == NULL) {
        struct pollfd wanted = {.fd = t->fd, .events = POLLIN};
        assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
        if (poll(&wanted, 1, 1) == 1)
            assert_true(talk_more(t));
    }
    return talk_next(t);
}

TEST(on_a_base_of_the_programs)
{
    struct unit u;
    mid_daemon *daemon;
    unit_open(&u, QUIET);
    struct event_base *base = event_base_new();
    ok(mid_daemon_attach(u.heap, base, u.thread, &daemon));
    char *folder = talk_folder(), *path = talk_path(folder, "control");
    ok(mid_control_listen(daemon, path));
    talk *t = talk_open(path);
    unit_drop_rings(&u, u.node, 100, 10);
    talk_say(t, "help\ncollect\nstats\n");
    good(run_until_answer(base, t));
    good(run_until_answer(base, t));
    assert_int_equal(unit_live(&u), 0);
    good(run_until_answer(base, t));
    /* A connection that is gone while much is unsent: the program's thread must not get SIGPIPE. */
    for (int i = 0; i < 100; i++)
        talk_say(t, "stats\n");
    for (int i = 0; i < 50; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    talk_close(t);
    for (int i = 0; i < 50; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    t = talk_open(path);
    talk_say(t, "stats\n");
    good(run_until_answer(base, t));
    talk_close(t);
    ok(mid_control_close(daemon));
    ok(mid_control_listen(daemon, path));
    ok(mid_daemon_stop(daemon));
    assert_int_equal(rmdir(folder), 0);
    free(path);
    event_base_free(base);
    unit_close(&u);
}

TEST(stopped_while_clients_wait)
{
    struct served s;
    talk *t[5];
    serve_with(&s, "growth-min=1000G,collect-stop=60s,idle=3600s,heartbeat=60s");
    for (int i = 0; i < 5; i++) {
        t[i] = talk_open(s.path);
        talk_say(t[i], i % 2 == 0 ? "collect\n" : "he"); /* refused: nobody says that he is away */
    }
    good(talk_ask(s.t, "stats\n"));
    ok(mid_daemon_stop(s.daemon));
    for (int i = 0; i < 5; i++) {
        while (talk_more(t[i])) {
        }
        talk_close(t[i]);
    }
    assert_int_equal(access(s.path, F_OK), -1);
    ok(mid_daemon_start(s.u.heap, &s.daemon)); /* and again */
    ok(mid_control_listen(s.daemon, s.path));
    talk_close(s.t);
    s.t = talk_open(s.path);
    good(talk_ask(s.t, "stats\n"));
    finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stats_are_the_heaps),
        cmocka_unit_test(a_type_with_a_name_that_is_no_text),
        cmocka_unit_test(collect_frees_rings),
        cmocka_unit_test(collect_frees_rings_of_a_large_heap),
        cmocka_unit_test(compact_and_trim),
        cmocka_unit_test(deep_is_the_programs_choice),
        cmocka_unit_test(set_changes_what_the_daemon_does),
        cmocka_unit_test(set_refuses),
        cmocka_unit_test(the_map_adds_up),
        cmocka_unit_test(trace_on_top_snapshot_off),
        cmocka_unit_test(log_has_what_was_asked_for),
        cmocka_unit_test(a_thread_that_does_not_come),
        cmocka_unit_test(lines_come_in_any_pieces),
        cmocka_unit_test(garbage_is_answered_for),
        cmocka_unit_test(noise_of_all_kinds),
        cmocka_unit_test(a_client_that_does_not_read),
        cmocka_unit_test(a_hundred_idle_clients),
        cmocka_unit_test(a_request_and_then_the_end),
        cmocka_unit_test(goals_take_turns),
        cmocka_unit_test(no_descriptors_for_a_while),
        cmocka_unit_test(what_is_at_the_path),
        cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(two_heaps_two_sockets),
        cmocka_unit_test(on_a_base_of_the_programs),
        cmocka_unit_test(stopped_while_clients_wait),
    };
    return UNIT_RUN(tests);
}
