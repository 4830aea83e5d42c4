/* Where a daemon hears of pressure: files, FIFOs, sockets and folders of the test's own, on a loop that the test turns; and at the
 * end one daemon, from the FIFO to the bytes returned. Nothing depends on how fast: what must come is waited for. */
#include "eventually.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/sources.h"

#define LOG_MOST 64
#define PLENTY "MemTotal: 1000 kB\nMemAvailable:  900 kB\n"
#define SCARCE "MemTotal: 1000 kB\nMemAvailable:  100 kB\n"

/* --- a place for files ------------------------------------------------------------------------------------------- */

struct place {
    char folder[64];
    char path[160]; /* the last that was asked for */
};

static void place_open(struct place *p)
{
    const char *temp = getenv("TMPDIR");
    snprintf(p->folder, sizeof p->folder, "%.32s/midden-sources-XXXXXX", temp != NULL ? temp : "/tm" "p");
    assert_non_null(mkdtemp(p->folder));
    assert_int_equal(chmod(p->folder, 0755), 0);
}

static const char *place_path(struct place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->folder, name);
    return p->path;
}

/* Written over, not made anew: whoever watches the file goes on watching it. */
static const char *place_file(struct place *p, const char *name, const char *text)
{
    const char *path = place_path(p, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void place_close(struct place *p)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
    assert_int_equal(system(command), 0);
}

/* --- sources on a loop that the test turns ------------------------------------------------------------------------ */

struct ears {
    struct unit u;
    struct place place;
    mid_log log;
    mid_sources s;
    struct event_base *base;
    unsigned woken;
    uint64_t now;
};

static void count_wake(void *context)
{
    ++*(unsigned *)context;
}

/* Paths that are null are nowhere; unless the test says otherwise memory is scarce. */
static void ears_open(struct ears *e, const char *options, mid_daemon_paths paths)
{
    memset(&e->s, 0, sizeof e->s);
    e->woken = 0;
    e->now = UINT64_C(1000000000);
    unit_open(&e->u, options);
    ok(mid_log_open(&e->log, LOG_MOST));
    paths.struct_size = sizeof paths;
    paths.cgroup = paths.cgroup != NULL ? paths.cgroup : "";
    paths.stalls = paths.stalls != NULL ? paths.stalls : "";
    paths.watch = paths.watch != NULL ? paths.watch : "";
    paths.meminfo = paths.meminfo != NULL ? paths.meminfo : place_file(&e->place, "meminfo", SCARCE);
    e->base = event_base_new();
    assert_non_null(e->base);
    ok(mid_sources_init(&e->s, e->u.heap, &e->log, &paths));
    mid_sources_open(&e->s, e->base, count_wake, &e->woken);
}

static void ears_close(struct ears *e)
{
    mid_sources_close(&e->s);
    mid_sources_free(&e->s);
    event_base_free(e->base);
    mid_log_close(&e->log);
    unit_close(&e->u);
}

static mid_strain look(struct ears *e)
{
    mid_snapshot heap = {.committed_bytes = 1 << 20};
    event_base_loop(e->base, EVLOOP_NONBLOCK);
    return mid_sources_look(&e->s, &heap, e->now += e->s.options->heartbeat);
}

static void turn_until_woken(struct ears *e)
{
    time_t begun = time(NULL);
    for (unsigned was = e->woken; e->woken == was && time(NULL) < begun + 60;)
        event_base_loop(e->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Entries of the log that say so; a note that came again counts as often. */
static size_t said(mid_log *log, const char *text)
{
    mid_decision all[LOG_MOST];
    char line[400];
    size_t found = 0;
    for (size_t i = mid_log_read(log, all, LOG_MOST); i > 0; i--) {
        mid_decision_text(&all[i - 1], line, sizeof line);
        found += strstr(line, text) != NULL ? (all[i - 1].slices != 0 ? all[i - 1].slices : 1) : 0;
    }
    return found;
}

static void level_is(struct ears *e, mid_pressure_level level, mid_trigger why)
{
    mid_strain strain = look(e);
    assert_int_equal(strain.level, level);
    assert_int_equal(strain.why, why);
}

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

/* --- cgroups ----------------------------------------------------------------------------------------------------- */

/* Two levels of v2: machine.slice has the limit, ours below has none. */
static void cgroups_of_v2(struct place *p, char ours[160])
{
    assert_int_equal(mkdir(place_path(p, "slice"), 0755), 0);
    assert_int_equal(mkdir(place_path(p, "slice/ours"), 0755), 0);
    strcpy(ours, p->path);
    place_file(p, "slice/cgroup.procs", "");
    place_file(p, "slice/memory.max", "1000000\n");
    place_file(p, "slice/memory.current", "600000\n");
    place_file(p, "slice/memory.stat", "anon 1\ninactive_file 100000\n");
    place_file(p, "slice/ours/cgroup.procs", "");
    place_file(p, "slice/ours/memory.max", "max\n");
    place_file(p, "slice/ours/memory.events", "low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\n");
}

TEST(usage_of_the_tightest_cgroup_above)
{
    struct ears e;
    char ours[160];
    place_open(&e.place);
    cgroups_of_v2(&e.place, ours);
    ears_open(&e, "soft-share=50,hard-share=90", (mid_daemon_paths){.cgroup = ours});
    mid_strain strain = look(&e);
    assert_int_equal(strain.soft, 500000);
    assert_int_equal(strain.hard, 900000);
    assert_int_equal(e.s.heard.usage, 500000);
    place_file(&e.place, "slice/memory.current", "500000\n");
    look(&e);
    assert_int_equal(e.s.heard.usage, 500000); /* whatever of it is cache, it is little */
    static const struct {
        const char *usage;
        mid_pressure_level level;
    } rows[] = {{"890000", MID_PRESSURE_CALM}, {"900000", MID_PRESSURE_TRIM}, {"860000", MID_PRESSURE_TRIM},
                {"1010000", MID_PRESSURE_COMPACT}, {"1050000", MID_PRESSURE_EVERYTHING}, {"1000000", MID_PRESSURE_EVERYTHING},
                {"960000", MID_PRESSURE_COMPACT}, {"840000", MID_PRESSURE_CALM}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mid_snapshot none = {0}; /* the heap itself is below its limits */
        place_file(&e.place, "slice/memory.current", rows[i].usage);
        strain = mid_sources_look(&e.s, &none, e.now += e.s.options->heartbeat);
        assert_int_equal(strain.level, rows[i].level);
        assert_int_equal(strain.why, strain.level == MID_PRESSURE_CALM ? MID_WHY_NOTHING : MID_WHY_CGROUP);
    }
    for (unsigned i = 0; i < 3; i++) {
        place_file(&e.place, "slice/memory.current", "a lot");
        look(&e);
    }
    assert_int_equal(said(&e.log, "usage and limit cannot be read (Bad message)"), 1);
    ears_close(&e);
    place_close(&e.place);
}

TEST(events_of_the_cgroup_come_by_themselves)
{
    struct ears e;
    char ours[160];
    place_open(&e.place);
    cgroups_of_v2(&e.place, ours);
    place_file(&e.place, "slice/memory.current", "790000\n");
    ears_open(&e, "", (mid_daemon_paths){.cgroup = ours});
    assert_int_equal(said(&e.log, "cgroup"), 0);
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING); /* what happened before does not count */
    place_file(&e.place, "slice/ours/memory.events", "low 0\nhigh 1\nmax 3\noom 0\noom_kill 0\n");
    turn_until_woken(&e);
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_CGROUP);
    place_file(&e.place, "slice/ours/memory.events", "low 0\nhigh 1\nmax 3\noom 1\noom_kill 0\n");
    turn_until_woken(&e);
    level_is(&e, MID_PRESSURE_EVERYTHING, MID_WHY_CGROUP);
    /* The cgroup goes: said, and nothing else. */
    assert_int_equal(unlink(place_path(&e.place, "slice/ours/memory.events")), 0);
    for (time_t begun = time(NULL); e.s.ears[MID_EAR_EVENTS].fd >= 0 && time(NULL) < begun + 60;)
        event_base_loop(e.base, EVLOOP_NONBLOCK);
    assert_int_equal(said(&e.log, "cgroup, memory.events has gone"), 1);
    look(&e);
    ears_close(&e);
    place_close(&e.place);
}

TEST(cgroups_of_v1_have_usage_and_limit)
{
    struct ears e;
    place_open(&e.place);
    char ours[64];
    strcpy(ours, e.place.folder);
    place_file(&e.place, "memory.limit_in_bytes", "9223372036854771712\n");
    place_file(&e.place, "memory.usage_in_bytes", "930000\n");
    place_file(&e.place, "memory.stat", "inactive_file 5\ntotal_inactive_file 10000\n");
    ears_open(&e, "", (mid_daemon_paths){.cgroup = ours});
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    assert_false(e.s.heard.usage_known);
    place_file(&e.place, "memory.limit_in_bytes", "1000000\n");
    level_is(&e, MID_PRESSURE_COMPACT, MID_WHY_CGROUP);
    assert_int_equal(e.s.heard.usage, 920000);
    assert_int_equal(said(&e.log, "not heard"), 0);
    ears_close(&e);
    place_close(&e.place);
}

TEST(cgroup_that_is_not_there)
{
    struct ears e;
    static char long_path[PATH_MAX + 10];
    place_open(&e.place);
    ears_open(&e, "", (mid_daemon_paths){.cgroup = "/no/such/cgroup"});
    assert_int_equal(said(&e.log, "cgroup, not heard (No such file or directory): /no/such/cgroup"), 1);
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    ears_close(&e);
    memset(long_path, '/', sizeof long_path - 1);
    ears_open(&e, "", (mid_daemon_paths){.cgroup = long_path});
    assert_int_equal(said(&e.log, "cgroup, not heard (File name too long)"), 1);
    ears_close(&e);
    ears_open(&e, "", (mid_daemon_paths){.cgroup = e.place.folder}); /* a folder, but no memory in it */
    assert_int_equal(said(&e.log, "cgroup, no memory.events in"), 1);
    level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
    ears_close(&e);
    place_file(&e.place, "memory.events", "\xff\xfe gibberish");
    ears_open(&e, "", (mid_daemon_paths){.cgroup = e.place.folder});
    assert_int_equal(said(&e.log, "cgroup, memory.events cannot be understood"), 1);
    ears_close(&e);
    place_close(&e.place);
}

/* What there was and is not any more is said once, and presses no longer; it may come back. */
TEST(cgroup_that_goes)
{
    struct ears e;
    char folder[160], other[160];
    for (int v1 = 0; v1 < 2; v1++) {
        place_open(&e.place);
        strcpy(folder, place_path(&e.place, "group"));
        strcpy(other, place_path(&e.place, "renamed"));
        mkdir(folder, 0755);
        place_file(&e.place, v1 ? "group/memory.limit_in_bytes" : "group/memory.max", "1000000\n");
        place_file(&e.place, v1 ? "group/memory.usage_in_bytes" : "group/memory.current", "960000\n");
        ears_open(&e, "", (mid_daemon_paths){.cgroup = folder});
        level_is(&e, MID_PRESSURE_EVERYTHING, MID_WHY_CGROUP);
        assert_int_equal(rename(folder, other), 0);
        for (int i = 0; i < 3; i++)
            level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
        assert_int_equal(said(&e.log, "usage and limit cannot be read (No such file or directory)"), 1);
        assert_int_equal(rename(other, folder), 0);
        level_is(&e, MID_PRESSURE_EVERYTHING, MID_WHY_CGROUP);
        ears_close(&e);
        /* A limit without usage is no less of a loss. */
        assert_int_equal(unlink(place_path(&e.place, v1 ? "group/memory.usage_in_bytes" : "group/memory.current")), 0);
        if (v1 == 0) {
            ears_open(&e, "", (mid_daemon_paths){.cgroup = folder});
            level_is(&e, MID_PRESSURE_CALM, MID_WHY_NOTHING);
            assert_int_equal(said(&e.log, "usage and limit cannot be read"), 1);
            ears_close(&e);
        }
        place_close(&e.place);
    }
}

static void write_in(const char *folder, const char *name, const char *text)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Where v1 has this process; empty: nowhere. */
static void own_folder(char into[600])
{
    char line[500];
    FILE *file = fopen("/proc/self/cgroup", "re");
    into[0] = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *path = strstr(line, ":memory:");
        if (path != NULL)
            snprintf(into, 600, "/sys/fs/cgroup/memory%.*s", (int)strcspn(path + 8, "\n"), path + 8);
    }
    if (file != NULL)
        fclose(file);
}

/* A process may be put into another cgroup while it runs, and its own may be renamed: where it is, /proc says. Only who may make
 * cgroups of v1 can see it here. */
TEST(cgroup_of_its_own_that_is_another_one)
{
    struct ears e;
    char was[600], pid[20], names[2][80];
    own_folder(was);
    for (int i = 0; i < 2; i++)
        snprintf(names[i], sizeof names[i], "/sys/fs/cgroup/memory/midden-%d-%d", getpid(), i);
    if (was[0] == 0 || access("/sys/fs/cgroup/memory/cgroup.procs", W_OK) != 0 || mkdir(names[0], 0755) != 0)
        skip();
    assert_int_equal(mkdir(names[1], 0755), 0);
    snprintf(pid, sizeof pid, "%d", getpid());
    write_in(names[0], "memory.limit_in_bytes", "536870912");
    write_in(names[1], "memory.limit_in_bytes", "1073741824");
    write_in(names[0], "cgroup.procs", pid);
    place_open(&e.place);
    ears_open(&e, "", (mid_daemon_paths){0});
    mid_sources_close(&e.s);
    free((void *)e.s.paths.cgroup);
    e.s.paths.cgroup = NULL; /* found */
    mid_sources_open(&e.s, e.base, count_wake, &e.woken);
    look(&e);
    uint64_t first = e.s.heard.limit;
    write_in(names[1], "cgroup.procs", pid);
    look(&e);
    look(&e);
    uint64_t second = e.s.heard.limit;
    char note[200];
    snprintf(note, sizeof note, "cgroup, moved to %s", names[1]);
    size_t times = said(&e.log, note);
    write_in(was, "cgroup.procs", pid);
    assert_int_equal(rmdir(names[0]) | rmdir(names[1]), 0);
    assert_int_equal(first, 536870912);
    assert_int_equal(second, 1073741824);
    assert_int_equal(times, 1);
    ears_close(&e);
    place_close(&e.place);
}

TEST(found_by_itself_on_this_machine)
{
    struct unit u;
    mid_sources s;
    mid_log log;
    mid_snapshot none = {0};
    unsigned woken = 0;
    struct event_base *base = event_base_new();
    assert_non_null(base);
    unit_open(&u, "");
    ok(mid_log_open(&log, LOG_MOST));
    ok(mid_sources_init(&s, u.heap, &log, NULL));
    mid_sources_open(&s, base, count_wake, &woken);
    mid_sources_look(&s, &none, 1);
    struct stat is;
    assert_true(s.cgroup.path[0] == 0 || (stat(s.cgroup.path, &is) == 0 && S_ISDIR(is.st_mode)));
    mid_sources_close(&s);
    mid_sources_open(&s, base, count_wake, &woken); /* and again */
    mid_sources_close(&s);
    mid_sources_free(&s);
    mid_log_close(&log);
    event_base_free(base);
    unit_close(&u);
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
        cmocka_unit_test(usage_of_the_tightest_cgroup_above),
        cmocka_unit_test(events_of_the_cgroup_come_by_themselves),
        cmocka_unit_test(cgroups_of_v1_have_usage_and_limit),
        cmocka_unit_test(cgroup_that_is_not_there),
        cmocka_unit_test(cgroup_that_goes),
        cmocka_unit_test(cgroup_of_its_own_that_is_another_one),
        cmocka_unit_test(found_by_itself_on_this_machine),
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
