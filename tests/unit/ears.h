/* Where a daemon hears of pressure, on a loop that the test turns: a folder for files, and mid_sources that listen to them. */
#ifndef MIDDEN_UNIT_EARS_H
#define MIDDEN_UNIT_EARS_H

#include <event2/event.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/sources.h"
#include "eventually.h"

#define LOG_MOST 64
#define PLENTY "MemTotal: 1000 kB\nMemAvailable:  900 kB\n"
#define SCARCE "MemTotal: 1000 kB\nMemAvailable:  100 kB\n"

/* --- a place for files ------------------------------------------------------------------------------------------- */

struct place {
    char folder[64];
    char path[160]; /* the last that was asked for */
};

static inline void place_open(struct place *p)
{
    const char *temp = getenv("TMPDIR");
    snprintf(p->folder, sizeof p->folder, "%.32s/midden-sources-XXXXXX", temp != NULL ? temp : "/tm" "p");
    assert_non_null(mkdtemp(p->folder));
    assert_int_equal(chmod(p->folder, 0755), 0);
}

static inline const char *place_path(struct place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->folder, name);
    return p->path;
}

/* Written over, not made anew: whoever watches the file goes on watching it. */
static inline const char *place_file(struct place *p, const char *name, const char *text)
{
    const char *path = place_path(p, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static inline void place_close(struct place *p)
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

static inline void count_wake(void *context)
{
    ++*(unsigned *)context;
}

/* Paths that are null are nowhere; unless the test says otherwise memory is scarce. */
static inline void ears_open(struct ears *e, const char *options, mid_daemon_paths paths)
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

static inline void ears_close(struct ears *e)
{
    mid_sources_close(&e->s);
    mid_sources_free(&e->s);
    event_base_free(e->base);
    mid_log_close(&e->log);
    unit_close(&e->u);
}

static inline mid_strain look(struct ears *e)
{
    mid_snapshot heap = {.committed_bytes = 1 << 20};
    event_base_loop(e->base, EVLOOP_NONBLOCK);
    return mid_sources_look(&e->s, &heap, e->now += e->s.options->heartbeat);
}

static inline void turn_until_woken(struct ears *e)
{
    time_t begun = time(NULL);
    for (unsigned was = e->woken; e->woken == was && time(NULL) < begun + 60;)
        event_base_loop(e->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Entries of the log that say so; a note that came again counts as often. */
static inline size_t said(mid_log *log, const char *text)
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

static inline void level_is(struct ears *e, mid_pressure_level level, mid_trigger why)
{
    mid_strain strain = look(e);
    assert_int_equal(strain.level, level);
    assert_int_equal(strain.why, why);
}

#endif
