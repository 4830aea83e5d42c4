/* Where a daemon hears of pressure: files, FIFOs, sockets and folders of the test's own, on a loop that the test turns; and at the
 * end one daemon, from the FIFO to the bytes returned. Nothing depends on how fast: what must come is waited for. */
#include "ears.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- the service manager's protocol -------------------------------------------------------------------------------- */

static int full_fifo(struct place *p, const char *name)
{
    assert_int_equal(mkfifo(place_path(p, name), 0644), 0);
    int fd = open(p->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

TEST(fifo_is_read_and_drained)
{
    struct ears e;
    char left[8];
    place_open(&e.place);
    int fd = full_fifo(&e.place, "fifo");
    char path[160];
    strcpy(path, e.place.path);
    ears_open(&e, "", (mid_daemon_paths){.watch = path, .meminfo = place_file(&e.place, "meminfo", PLENTY)});
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    for (unsigned round = 1; round <= 3; round++) {
        assert_int_equal(write(fd, "pressure", 8), 8);
        turn_until_woken(&e);
        assert_int_equal(e.woken, round);
        assert_int_equal(read(fd, left, sizeof left), -1);
        level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_WATCH); /* somebody's word: no gate */
        e.now += MID_HOLD_MICROS;
        level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    }
    assert_int_equal(said(&e.log, "watch, calm -> compact"), 3);
    assert_int_equal(said(&e.log, "watch, compact -> calm"), 3);
    assert_int_equal(said(&e.log, "not heard"), 0);
    close(fd);
    ears_close(&e);
    place_close(&e.place);
}

/* A turn takes at most so much, and then nobody listens until a timer is over, whatever comes. */
TEST(fifo_that_is_flooded_costs_a_turn_now_and_then)
{
    struct ears e;
    static const char flood[4096];
    int left = 0;
    place_open(&e.place);
    int fd = full_fifo(&e.place, "fifo");
    char path[160];
    strcpy(path, e.place.path);
    ears_open(&e, "", (mid_daemon_paths){.watch = path});
    int room = fcntl(fd, F_SETPIPE_SZ, 256 << 10);
    while (write(fd, flood, sizeof flood) > 0) {
    }
    turn_until_woken(&e);
    assert_false(event_pending(e.s.ears[MID_EAR_WATCH].event, EV_READ, NULL));
    assert_true(event_pending(e.s.rest, EV_TIMEOUT, NULL));
    assert_int_equal(ioctl(fd, FIONREAD, &left), 0);
    if (room >= 256 << 10)
        assert_int_equal(left, room - (64 << 10));
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_WATCH);
    while (left > 0) { /* the rest is heard, too */
        turn_until_woken(&e);
        assert_int_equal(ioctl(fd, FIONREAD, &left), 0);
    }
    close(fd);
    ears_close(&e);
    place_close(&e.place);
}

/* A stream that the manager listens on; what is written to it is what was asked for. */
TEST(socket_is_greeted_read_and_given_up_when_it_closes)
{
    struct ears e;
    char greeting[16] = "";
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    place_open(&e.place);
    snprintf(name.sun_path, sizeof name.sun_path, "%.100s", place_path(&e.place, "socket"));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 1), 0);
    ears_open(&e, "", (mid_daemon_paths){.watch = name.sun_path, .watch_write = "c29tZSAx"});
    int fd = accept(listener, NULL, NULL);
    assert_int_equal(read(fd, greeting, sizeof greeting), 6);
    assert_string_equal(greeting, "some 1");
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    assert_int_equal(write(fd, "x", 1), 1);
    turn_until_woken(&e);
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_WATCH);
    close(fd);
    for (time_t begun = time(NULL); e.s.ears[MID_EAR_WATCH].fd >= 0 && time(NULL) < begun + 60;)
        event_base_loop(e.base, EVLOOP_NONBLOCK);
    assert_int_equal(said(&e.log, "watch, not heard any more: the other end is closed"), 1);
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_WATCH);
    close(listener);
    ears_close(&e);
    place_close(&e.place);
}

TEST(watch_that_cannot_be_had_is_said_once)
{
    static const struct {
        const char *name, *write, *note;
    } rows[] = {
        {"/dev/null", NULL, NULL},
        {"", NULL, NULL},
        {"relative", NULL, "watch, not heard (Invalid argument)"},
        {"/no/such/place", NULL, "watch, not heard (No such file or directory)"},
        {"/dev/zero", NULL, "watch, not heard (Invalid argument)"},
        {"/proc/self/status", NULL, "watch, not heard (Operation not permitted)"}, /* cannot be polled */
        {"/proc/self/clear_refs", "not*base64", "watch, not heard (Bad message)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ears e;
        place_open(&e.place);
        ears_open(&e, "", (mid_daemon_paths){.watch = rows[i].name, .watch_write = rows[i].write});
        assert_int_equal(said(&e.log, "watch"), rows[i].note != NULL);
        if (rows[i].note != NULL && said(&e.log, rows[i].note) != 1) {
            mid_decision all[1];
            char line[300];
            mid_log_read(&e.log, all, 1);
            mid_decision_text(all, line, sizeof line);
            fail_msg("%s: %s", rows[i].name, line);
        }
        level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
        ears_close(&e);
        place_close(&e.place);
    }
}

TEST(environment_is_asked_if_nothing_is_given)
{
    struct ears e;
    setenv("MEMORY_PRESSURE_WATCH", "/no/such/place", 1);
    place_open(&e.place);
    ears_open(&e, "", (mid_daemon_paths){0});
    assert_int_equal(said(&e.log, "watch"), 0); /* "" is nowhere */
    ears_close(&e);
    mid_log log;
    mid_sources s;
    unit_open(&e.u, "");
    ok(mid_log_open(&log, LOG_MOST));
    ok(mid_sources_init(&s, e.u.heap, &log, NULL));
    assert_string_equal(s.paths.watch, "/no/such/place");
    mid_sources_free(&s);
    mid_daemon_paths wrong = {.struct_size = 1};
    expect(MID_EINVAL, mid_sources_init(&s, e.u.heap, &log, &wrong));
    mid_log_close(&log);
    unit_close(&e.u);
    unsetenv("MEMORY_PRESSURE_WATCH");
    place_close(&e.place);
}

/* --- PSI -------------------------------------------------------------------------------------------------------- */

#define STALLS(some, full) "some avg10=0.00 avg60=0.00 avg300=0.00 total=" #some "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=" #full "\n"

TEST(totals_are_read_where_triggers_are_refused)
{
    struct ears e;
    place_open(&e.place);
    char path[160];
    strcpy(path, place_file(&e.place, "memory", STALLS(1000, 500)));
    ears_open(&e, "", (mid_daemon_paths){.stalls = path});
    assert_int_equal(said(&e.log, "stalls, read at each heartbeat, triggers refused"), 1);
    char now[256] = "";
    assert_int_equal(mid_file_read(path, now, sizeof now - 1), (long)strlen(STALLS(1000, 500)));
    assert_string_equal(now, STALLS(1000, 500)); /* no trigger was written into it */
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    place_file(&e.place, "memory", STALLS(72000, 500));
    level_is(&e, MID_PRESSURE_TRIM, MID_WHY_STALLS);
    place_file(&e.place, "memory", STALLS(120000, 500));
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_STALLS);
    place_file(&e.place, "memory", STALLS(140000, 101000));
    level_is(&e, MID_PRESSURE_EVERYTHING, MID_WHY_STALLS);
    e.now += 10 * MID_HOLD_MICROS;
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    for (unsigned i = 0; i < 3; i++) {
        place_file(&e.place, "memory", "gibberish\n");
        level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    }
    assert_int_equal(said(&e.log, "totals cannot be read"), 1);
    ears_close(&e);
    place_close(&e.place);
}

TEST(ample_memory_keeps_measurements_from_counting)
{
    struct ears e;
    char path[160], meminfo[160];
    place_open(&e.place);
    strcpy(path, place_file(&e.place, "memory", STALLS(0, 0)));
    strcpy(meminfo, place_file(&e.place, "meminfo", PLENTY));
    ears_open(&e, "", (mid_daemon_paths){.stalls = path, .meminfo = meminfo});
    look(&e);
    place_file(&e.place, "memory", STALLS(500000, 90000));
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    place_file(&e.place, "memory", STALLS(900000, 500000)); /* nothing at all goes on: that is no trifle */
    level_is(&e, MID_PRESSURE_EVERYTHING, MID_WHY_STALLS);
    ears_close(&e);
    /* How much is free is not to be had: then nothing is ample. */
    strcpy(path, place_file(&e.place, "memory", STALLS(0, 0)));
    place_file(&e.place, "meminfo", "MemTotal: many\n");
    ears_open(&e, "", (mid_daemon_paths){.stalls = path, .meminfo = meminfo});
    look(&e);
    place_file(&e.place, "memory", STALLS(120000, 0));
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_STALLS);
    look(&e);
    assert_int_equal(said(&e.log, "how much is free cannot be understood"), 1);
    ears_close(&e);
    place_close(&e.place);
}

TEST(stalls_missing_malformed_or_forbidden)
{
    struct ears e;
    char path[160];
    place_open(&e.place);
    ears_open(&e, "", (mid_daemon_paths){.stalls = "/no/such/file"});
    assert_int_equal(said(&e.log, "stalls, not heard (No such file or directory): /no/such/file"), 1);
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    ears_close(&e);
    strcpy(path, place_file(&e.place, "memory", "some total=\n"));
    ears_open(&e, "", (mid_daemon_paths){.stalls = path});
    assert_int_equal(said(&e.log, "stalls, not heard (Bad message)"), 1);
    ears_close(&e);
    assert_int_equal(chmod(path, 0), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    if (open(path, O_RDONLY) < 0) {
        ears_open(&e, "", (mid_daemon_paths){.stalls = path, .meminfo = ""});
        assert_int_equal(said(&e.log, "stalls, not heard (Permission denied)"), 1);
        level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
        ears_close(&e);
    }
    if (root)
        assert_int_equal(seteuid(0), 0);
    place_close(&e.place);
}

/* The kernel's own file: triggers or, where it refuses them, totals; but nothing worse. */
TEST(the_machines_own_stalls)
{
    struct ears e;
    place_open(&e.place);
    ears_open(&e, "", (mid_daemon_paths){.stalls = "/proc/pressure/memory"});
    bool there = access("/proc/pressure/memory", R_OK) == 0;
    size_t notes = said(&e.log, "stalls");
    assert_true(notes <= 1);
    if (e.s.stalls.triggers[0] >= 0) {
        assert_true(there && notes == 0 && e.s.stalls.triggers[1] >= 0 && e.s.stalls.triggers[2] >= 0);
        assert_true(e.s.ears[MID_EAR_PRIORITY].event != NULL);
    }
    look(&e);
    ears_close(&e);
    place_close(&e.place);
}

/* Somebody closes what is ours. */
TEST(closed_descriptors_are_given_up)
{
    struct ears e;
    char path[160];
    place_open(&e.place);
    int fd = full_fifo(&e.place, "fifo");
    strcpy(path, e.place.path);
    ears_open(&e, "", (mid_daemon_paths){.watch = path});
    mid_ear *ear = &e.s.ears[MID_EAR_WATCH];
    int stolen = ear->fd;
    close(stolen);
    assert_false(ear->hear(&e.s, ear));
    assert_int_equal(said(&e.log, "watch, not heard any more: Bad file descriptor"), 1);
    ear->fd = -1;
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    close(fd);
    ears_close(&e);
    place_close(&e.place);
}

/* --- signals, and the program's own word -------------------------------------------------------------------------- */

static void own_handler(int number)
{
    (void)number;
}

TEST(user_signals_if_they_are_asked_for)
{
    struct ears e;
    struct sigaction now;
    place_open(&e.place);
    ears_open(&e, "", (mid_daemon_paths){0});
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == SIG_DFL); /* not asked for */
    ears_close(&e);
    ears_open(&e, "user-signals=on", (mid_daemon_paths){.meminfo = place_file(&e.place, "meminfo", PLENTY)});
    raise(SIGUSR1);
    turn_until_woken(&e);
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_SIGNAL);
    raise(SIGUSR2);
    turn_until_woken(&e);
    level_is(&e, MID_PRESSURE_EVERYTHING, MID_WHY_SIGNAL);
    ears_close(&e);
    sigaction(SIGUSR2, NULL, &now);
    assert_true(now.sa_handler == SIG_DFL);
    signal(SIGUSR2, own_handler);
    ears_open(&e, "user-signals=on", (mid_daemon_paths){0});
    assert_int_equal(said(&e.log, "signal, not heard: the program handles"), 1);
    sigaction(SIGUSR2, NULL, &now);
    assert_true(now.sa_handler == own_handler);
    ears_close(&e);
    signal(SIGUSR2, SIG_DFL);
    place_close(&e.place);
}

TEST(signals_reach_all_that_listen)
{
    struct ears one, other;
    place_open(&one.place);
    other.place = one.place;
    ears_open(&one, "user-signals=on", (mid_daemon_paths){0});
    ears_open(&other, "user-signals=on", (mid_daemon_paths){0});
    raise(SIGUSR1);
    turn_until_woken(&one);
    turn_until_woken(&other);
    ears_close(&one);
    raise(SIGUSR2); /* still handled */
    turn_until_woken(&other);
    level_is(&other, MID_PRESSURE_EVERYTHING, MID_WHY_SIGNAL);
    ears_close(&other);
    place_close(&one.place);
}

/* Options that contradict each other are told, with the one that counts; those that do not are not. */
TEST(contradictions_are_said)
{
    static const struct {
        const char *options, *note;
    } rows[] = {
        {"soft-limit=1G,heap-limit=500M", "limit, soft-limit is above 15/16 of heap-limit"},
        {"soft-share=90,hard-share=50", "limit, soft-share is above hard-share"},
        {"soft-share=50,pressure=off", "limit, soft-share and hard-share are of no effect"},
        {"soft-limit=400M,heap-limit=500M,soft-share=50,hard-share=90", NULL},
        {"soft-limit=1G,soft-share=90", NULL},
        {"heap-limit=500M", NULL},
    };
    struct ears e;
    place_open(&e.place);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ears_open(&e, rows[i].options, (mid_daemon_paths){0});
        assert_int_equal(said(&e.log, "note: limit"), rows[i].note != NULL);
        assert_true(rows[i].note == NULL || said(&e.log, rows[i].note) == 1);
        ears_close(&e);
    }
    place_close(&e.place);
}

TEST(program_says_a_level)
{
    struct ears e;
    place_open(&e.place);
    ears_open(&e, "pressure=off", (mid_daemon_paths){0});
    expect(MID_ENULL, mid_pressure(NULL, MID_PRESSURE_TRIM));
    expect(MID_EINVAL, mid_pressure(e.u.heap, MID_PRESSURE_EVERYTHING + 1));
    expect(MID_EINVAL, mid_pressure(e.u.heap, (mid_pressure_level)-1));
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    ok(mid_pressure(e.u.heap, MID_PRESSURE_COMPACT));
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_PROGRAM);
    uint64_t urges = look(&e).urges;
    assert_int_equal(look(&e).urges, urges);
    ok(mid_pressure(e.u.heap, MID_PRESSURE_COMPACT));
    assert_int_equal(look(&e).urges, urges + 1);
    ok(mid_pressure(e.u.heap, MID_PRESSURE_CALM));
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    assert_int_equal(said(&e.log, "program, calm -> compact"), 1);
    ears_close(&e);
    place_close(&e.place);
}

/* --- from end to end ---------------------------------------------------------------------------------------------- */

/* Entries of one action that a source of pressure called for; the bytes they returned or moved. */
static size_t acted(mid_daemon *daemon, mid_action action, mid_trigger why, uint64_t *bytes)
{
    static mid_decision log[256];
    size_t found = 0;
    *bytes = 0;
    for (size_t i = mid_daemon_log(daemon, log, 256); i > 0; i--)
        if (log[i - 1].action == action && log[i - 1].trigger == why && (log[i - 1].status == MID_OK || log[i - 1].status == MID_MORE)) {
            found++;
            *bytes += log[i - 1].bytes;
        }
    return found;
}

static void fragment(struct unit *u, mid_handle kept, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mid_give(u->thread, kept, ITEM(i), unit_array(u, u->bytes, 200));
    for (size_t i = 0; i < count; i++)
        if (i % 10 != 0)
            mid_release(u->thread, mid_take(u->thread, kept, ITEM(i)));
}

/* Neither idle nor fragmented nor grown as the options have it: nothing is done but for the signal. */
#define QUIET "idle=3600s,decay=3600s,frag-start=100000%,growth-min=1G,reserve=64K,waste-min=64K,"

static void say_so(int fd)
{
    assert_true(write(fd, "x", 1) == 1 || errno == EAGAIN);
}

TEST(fifo_signal_makes_a_blocked_program_give_back)
{
    struct unit u;
    struct place place;
    mid_daemon *daemon;
    uint64_t bytes;
    place_open(&place);
    int fd = full_fifo(&place, "fifo");
    mid_daemon_paths paths = {.struct_size = sizeof paths, .cgroup = "", .stalls = "", .watch = place.path};
    unit_open(&u, QUIET);
    ok(mid_daemon_start_with(u.heap, NULL, NULL, &paths, &daemon));
    const size_t count = 20000;
    mid_handle kept = unit_array(&u, u.vec, count);
    fragment(&u, kept, count);
    uint64_t living = unit_live(&u);
    mid_release(u.thread, unit_ring(&u, u.node, 1000));
    ok(mid_blocked_enter(u.thread));
    EVENTUALLY(unit_stats(&u).waiting_objects == 0, SLEEP);
    mid_stats before = unit_stats(&u);
    assert_int_equal(acted(daemon, MID_ACT_TRIM, MID_WHY_WATCH, &bytes), 0);
    /* Said again and again: on a slow machine the level might be over before all is done. */
    EVENTUALLY(acted(daemon, MID_ACT_COLLECT, MID_WHY_WATCH, &bytes) > 0, (say_so(fd), SLEEP));
    EVENTUALLY(acted(daemon, MID_ACT_COMPACT, MID_WHY_WATCH, &bytes) > 0 && bytes > 0, (say_so(fd), SLEEP));
    EVENTUALLY(acted(daemon, MID_ACT_TRIM, MID_WHY_WATCH, &bytes) > 0 && bytes >= before.pool_bytes / 2, (say_so(fd), SLEEP));
    ok(mid_blocked_leave(u.thread));
    assert_int_equal(unit_live(&u), living);
    assert_true(unit_stats(&u).committed_bytes + bytes <= before.committed_bytes + (64 << 10));
    ok(mid_daemon_stop(daemon));
    mid_release(u.thread, kept);
    unit_drain(&u);
    close(fd);
    unit_close(&u);
    place_close(&place);
}

/* The same while it runs, and by its own word. */
TEST(own_word_reaches_a_running_program)
{
    struct unit u;
    mid_daemon *daemon;
    uint64_t bytes;
    mid_daemon_paths nowhere = {.struct_size = sizeof nowhere, .cgroup = "", .stalls = "", .watch = ""};
    unit_open(&u, QUIET "stop-wait=100ms");
    ok(mid_daemon_start_with(u.heap, NULL, NULL, &nowhere, &daemon));
    mid_release(u.thread, unit_ring(&u, u.node, 1000));
    ok(mid_pressure(u.heap, MID_PRESSURE_EVERYTHING));
    for (time_t begun = time(NULL); unit_live(&u) != 0 && time(NULL) < begun + 100;)
        ok(mid_safepoint(u.thread));
    assert_int_equal(unit_live(&u), 0);
    for (time_t begun = time(NULL); unit_stats(&u).empty_bytes != 0 && time(NULL) < begun + 100;)
        ok(mid_safepoint(u.thread));
    assert_int_equal(unit_stats(&u).empty_bytes, 0); /* the reserve, too */
    EVENTUALLY(acted(daemon, MID_ACT_COLLECT, MID_WHY_PROGRAM, &bytes) > 0, SLEEP);
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

TEST(start_with_bad_arguments)
{
    struct unit u;
    mid_daemon *daemon = NULL;
    mid_daemon_paths paths = {.struct_size = sizeof paths - 1};
    unit_open(&u, "");
    expect(MID_ENULL, mid_daemon_start_with(NULL, NULL, NULL, NULL, &daemon));
    expect(MID_ENULL, mid_daemon_start_with(u.heap, NULL, NULL, NULL, NULL));
    expect(MID_EINVAL, mid_daemon_start_with(u.heap, NULL, NULL, &paths, &daemon));
    expect(MID_EINVAL, mid_daemon_start_with(u.heap, NULL, u.thread, NULL, &daemon));
    assert_null(daemon);
    ok(mid_daemon_start_with(u.heap, NULL, NULL, NULL, &daemon));
    ok(mid_daemon_stop(daemon));
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifo_is_read_and_drained),
        cmocka_unit_test(fifo_that_is_flooded_costs_a_turn_now_and_then),
        cmocka_unit_test(socket_is_greeted_read_and_given_up_when_it_closes),
        cmocka_unit_test(watch_that_cannot_be_had_is_said_once),
        cmocka_unit_test(environment_is_asked_if_nothing_is_given),
        cmocka_unit_test(totals_are_read_where_triggers_are_refused),
        cmocka_unit_test(ample_memory_keeps_measurements_from_counting),
        cmocka_unit_test(stalls_missing_malformed_or_forbidden),
        cmocka_unit_test(the_machines_own_stalls),
        cmocka_unit_test(closed_descriptors_are_given_up),
        cmocka_unit_test(user_signals_if_they_are_asked_for),
        cmocka_unit_test(signals_reach_all_that_listen),
        cmocka_unit_test(contradictions_are_said),
        cmocka_unit_test(program_says_a_level),
        cmocka_unit_test(fifo_signal_makes_a_blocked_program_give_back),
        cmocka_unit_test(own_word_reaches_a_running_program),
        cmocka_unit_test(start_with_bad_arguments),
    };
    return UNIT_RUN(tests);
}
