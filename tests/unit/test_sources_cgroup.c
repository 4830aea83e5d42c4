/* Limits, usage and events of the cgroups above a daemon's process: folders of the test's own, and the machine's. */
#include "ears.h"

#include <errno.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_of_the_tightest_cgroup_above),
        cmocka_unit_test(events_of_the_cgroup_come_by_themselves),
        cmocka_unit_test(cgroups_of_v1_have_usage_and_limit),
        cmocka_unit_test(cgroup_that_is_not_there),
        cmocka_unit_test(cgroup_that_goes),
        cmocka_unit_test(cgroup_of_its_own_that_is_another_one),
        cmocka_unit_test(found_by_itself_on_this_machine),
    };
    return UNIT_RUN(tests);
}
