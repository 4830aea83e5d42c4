/* When a daemon reads how near its cgroup is to its limit: at heartbeats, and sooner where the heap takes what room there is. Time is
 * the test's. */
#include "unit.h"

#include <event2/event.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/sources.h"

static char folder[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void open_folder(void)
{
    const char *temp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.32s/midden-usage-XXXXXX", temp != NULL ? temp : "/tm" "p");
    assert_non_null(mkdtemp(folder));
    write_file("memory.limit_in_bytes", "1000000\n");
    write_file("memory.usage_in_bytes", "500000\n");
}

static void remove_folder(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", folder);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/memory.usage_in_bytes", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void wake(void *context)
{
    (void)context;
}

static mid_pressure_level level(mid_sources *s, uint64_t committed, uint64_t now)
{
    mid_snapshot heap = {.committed_bytes = committed};
    return mid_sources_look(s, &heap, now).level;
}

TEST(usage_is_read_again_when_the_heap_has_grown)
{
    const uint64_t now = UINT64_C(1000000000);
    struct unit u;
    mid_log log;
    mid_sources s;
    unit_open(&u, "");
    open_folder();
    mid_daemon_paths paths = {.struct_size = sizeof paths, .cgroup = folder, .stalls = "", .meminfo = "", .watch = ""};
    struct event_base *base = event_base_new();
    assert_non_null(base);
    ok(mid_log_open(&log, 16));
    ok(mid_sources_init(&s, u.heap, &log, &paths));
    mid_sources_open(&s, base, wake, NULL);
    assert_int_equal(level(&s, 300000, now), MID_PRESSURE_CALM);
    write_file("memory.usage_in_bytes", "900000\n");
    assert_int_equal(level(&s, 360000, now + 1), MID_PRESSURE_CALM); /* less than an eighth of the room */
    assert_int_equal(level(&s, 370000, now + 2), MID_PRESSURE_COMPACT);
    write_file("memory.usage_in_bytes", "500000\n");
    assert_int_equal(level(&s, 100000, now + 3), MID_PRESSURE_COMPACT); /* one that shrinks is in no hurry */
    assert_int_equal(level(&s, 100000, now + 2 + s.options->heartbeat), MID_PRESSURE_CALM);
    mid_sources_close(&s);
    mid_sources_free(&s);
    event_base_free(base);
    mid_log_close(&log);
    remove_folder();
    unit_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_is_read_again_when_the_heap_has_grown),
    };
    return UNIT_RUN(tests);
}
