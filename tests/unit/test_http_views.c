/* What the heap says of itself by HTTP: metrics by the rules of Prometheus, and that the map, the log and the timeline agree with the
 * figures they are made of. */
#include "client.h"

#include <ctype.h>
#include <pthread.h>
#include <time.h>

#include "daemon/history.h"
#include "midden/pressure.h"

/* --- what is said -------------------------------------------------------------------------------------------------- */

static mid_handle fragment(struct unit *u, size_t count)
{
    uint64_t seed = 5;
    mid_handle kept = unit_array(u, u->vec, count);
    for (size_t i = 0; i < count; i++)
        mid_give(u->thread, kept, ITEM(i), unit_array(u, u->bytes, unit_random(&seed) % 496));
    for (size_t i = 0; i < count; i++)
        if (unit_random(&seed) % 10 != 0)
            mid_release(u->thread, mid_take(u->thread, kept, ITEM(i)));
    unit_drain(u);
    return kept;
}

/* Rules of promtool check metrics, and of the format: each family has a HELP, then a TYPE, then its lines, together; counters end in
 * _total and nothing else does; base units; a histogram's buckets rise to +Inf, which is its count. */
struct family {
    char name[80], type[20];
    int lines;
};

static bool ends(const char *text, const char *with)
{
    size_t length = strlen(text), tail = strlen(with);
    return length >= tail && strcmp(text + length - tail, with) == 0;
}

static void check_name(const struct family *f)
{
    static const char *const no_units[] = {"_micros", "_us", "_ms", "_milliseconds", "_microseconds", "_nanos", "_kib", "_mib", "_percent", "_count"};
    for (const char *c = f->name; *c != 0; c++)
        assert_true(islower((unsigned char)*c) || *c == '_' || isdigit((unsigned char)*c));
    assert_int_equal(strcmp(f->type, "counter") == 0, ends(f->name, "_total"));
    assert_null(strstr(f->name, "gauge"));
    assert_null(strstr(f->name, "counter"));
    for (size_t i = 0; i < sizeof no_units / sizeof *no_units; i++)
        assert_null(strstr(f->name, no_units[i]));
    assert_int_equal(strncmp(f->name, "midden_", 7), 0);
}

static void check_line(char *line, struct family *f, double *bucket, double *infinite)
{
    char name[80], *end_of_number;
    size_t length = strcspn(line, "{ ");
    assert_true(length != 0 && length < sizeof name);
    memcpy(name, line, length);
    name[length] = 0;
    assert_int_equal(strncmp(name, f->name, strlen(f->name)), 0);
    const char *suffix = name + strlen(f->name);
    char *value = line + length;
    if (*value == '{') {
        value = strchr(value, '}');
        assert_non_null(value);
        value++;
    }
    assert_int_equal(*value, ' ');
    double number = strtod(value, &end_of_number);
    assert_true(*end_of_number == 0 && number >= 0);
    f->lines++;
    if (strcmp(f->type, "histogram") != 0) {
        assert_string_equal(suffix, "");
    } else if (strcmp(suffix, "_bucket") == 0) {
        assert_true(number >= *bucket);
        *bucket = number;
        if (strstr(line, "le=\"+Inf\"") != NULL)
            *infinite = number;
    } else if (strcmp(suffix, "_count") == 0) {
        assert_true(number == *infinite);
    } else {
        assert_string_equal(suffix, "_sum");
    }
}

static int check_metrics(char *text)
{
    static struct family families[200];
    int count = 0;
    double bucket = 0, infinite = -1;
    assert_true(ends(text, "\n"));
    for (char *save, *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        struct family *f = &families[count];
        char help[20] = "";
        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_true(count == 0 || families[count - 1].lines > 0);
            memset(f, 0, sizeof *f);
            assert_int_equal(sscanf(line, "# HELP %79s %19s", f->name, help), 2);
            for (int i = 0; i < count; i++)
                assert_string_not_equal(families[i].name, f->name);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            char name[80];
            assert_int_equal(sscanf(line, "# TYPE %79s %19s", name, f->type), 2);
            assert_string_equal(name, f->name);
            check_name(f);
            bucket = 0;
            infinite = -1;
            count++;
        } else {
            assert_true(count > 0);
            check_line(line, &families[count - 1], &bucket, &infinite);
        }
    }
    assert_true(families[count - 1].lines > 0);
    return count;
}

static double metric(const char *text, const char *name)
{
    char start[100];
    snprintf(start, sizeof start, "\n%s ", name);
    const char *at = strstr(text, start);
    if (at == NULL)
        fail_msg("no metric %s", name);
    return atof(at + strlen(start));
}

TEST(metrics)
{
    struct served s;
    serve(&s, "");
    mid_handle kept = fragment(&s.u, 5000);
    ok(mid_collect(s.u.thread, NULL));
    ok(mid_blocked_enter(s.u.thread));
    ok(mid_http_stop(s.daemon)); /* nothing is in the middle of a turn after that, */
    ok(mid_http_listen(s.daemon, "localhost:0", &s.port));
    char *text = get(s.port, "/metrics");
    mid_stats stats = unit_stats(&s.u);
    assert_true(metric(text, "midden_live_objects") == (double)stats.live_objects); /* and counting goes by itself */
    assert_true(metric(text, "midden_allocated_bytes_total") == (double)stats.allocated_bytes);
    assert_true(metric(text, "midden_stops_total") >= 1);
    assert_true(metric(text, "midden_stop_seconds_count") >= 1);
    assert_true(metric(text, "midden_collections_total") >= 1);
    assert_true(metric(text, "midden_daemon_wakeups_total") >= 1);
    assert_true(check_metrics(text) > 40);
    free(text);
    ok(mid_blocked_leave(s.u.thread));
    mid_release(s.u.thread, kept);
    serve_end(&s);
}

static unsigned letters(const char **at, unsigned count)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    unsigned n = 0;
    for (; count-- != 0; ++*at) {
        const char *letter = strchr(alphabet, **at);
        assert_true(letter != NULL && *letter != 0);
        n = n * 64 + (unsigned)(letter - alphabet);
    }
    return n;
}

/* What a map's tiles say together. */
struct sums {
    uint64_t used, empty, runs, large, pins;
    uint64_t pools[256], live[256];
    unsigned oldest, youngest;
};

static void add_arena(const json_t *arena, struct sums *sums)
{
    const char *units = json_string_value(json_object_get(arena, "units")), *at = json_string_value(json_object_get(arena, "pools"));
    json_t *pin;
    size_t i;
    assert_true(units != NULL && at != NULL && strlen(units) == 256 && units[0] == '.');
    for (; *units != 0; units++) {
        assert_non_null(strchr(".epforl", *units));
        sums->runs += *units == 'r';
        sums->large += *units == 'l';
        if (strchr("epfo", *units) == NULL)
            continue;
        unsigned class = letters(&at, 2), live = letters(&at, 3), age = letters(&at, 3);
        sums->empty += *units == 'e';
        sums->used += *units != 'e';
        assert_true(*units != 'e' || live == 0);
        sums->pools[class] += *units != 'e';
        sums->live[class] += live;
        sums->oldest = age > sums->oldest ? age : sums->oldest;
        sums->youngest = age < sums->youngest ? age : sums->youngest;
    }
    assert_int_equal(*at, 0);
    json_array_foreach(json_object_get(arena, "pins"), i, pin)
        sums->pins += (uint64_t)json_integer_value(json_array_get(pin, 1));
}

/* The program stands still, and so does the daemon: it is off when the heap is asked. So the sums are the heap's figures. */
TEST(the_map_adds_up)
{
    struct served s;
    json_t *arena;
    size_t i;
    serve(&s, "idle=3600s,frag-start=1000,decay=3600s,growth-min=1G");
    mid_handle kept = fragment(&s.u, unit_scale(40000)), large = unit_array(&s.u, s.u.bytes, 300000), pinned = 0;
    for (unsigned n = 0; pinned == 0; n++)
        pinned = mid_load(s.u.thread, kept, ITEM(n));
    ok(mid_pin(s.u.thread, pinned, NULL));
    json_t *root = get_json(s.port, "/heap.json"), *map = json_object_get(root, "map");
    struct sums sums = {.youngest = UINT32_MAX};
    json_array_foreach(json_object_get(map, "arenas"), i, arena)
        add_arena(arena, &sums);
    mid_stats stats = unit_stats(&s.u);
    assert_int_equal(number(map, "unit"), 65536);
    assert_int_equal(sums.used * 65536, stats.pool_bytes);
    assert_int_equal(sums.empty * 65536, stats.empty_bytes);
    assert_true(sums.runs != 0 && sums.large == 0);
    assert_int_equal(sums.pins, 1);
    assert_true(sums.oldest + 1 >= sums.used && sums.youngest == 0);
    assert_int_equal(number(json_object_get(root, "stats"), "live_objects"), stats.live_objects);
    json_t *classes = json_object_get(root, "classes");
    mid_class_stats c;
    uint64_t cached = 0;
    for (unsigned n = 0; mid_stats_class(s.u.heap, n, &c) == MID_OK; n++) {
        assert_int_equal(sums.pools[n], c.pools);
        assert_true(sums.live[n] >= c.live_slots); /* some are in the thread's cache */
        cached += sums.live[n] - c.live_slots;
        assert_int_equal(number(json_array_get(classes, n), "pools"), c.pools);
        assert_int_equal(number(json_array_get(classes, n), "live"), c.live_slots);
        assert_int_equal(number(json_array_get(classes, n), "optimal"), c.optimal_pools);
    }
    assert_true(cached < 20000);
    json_decref(root);
    ok(mid_unpin(s.u.thread, pinned));
    mid_release(s.u.thread, pinned);
    mid_release(s.u.thread, large);
    mid_release(s.u.thread, kept);
    serve_end(&s);
}

/* Every figure of mid_stats is there, and what the process consists of. */
TEST(the_frame)
{
    struct served s;
    bool seen[4] = {false};
    static const char *const kinds[] = {"code", "stack", "arena", "table"};
    serve(&s, "");
    mid_release(s.u.thread, unit_new(&s.u, s.u.node));
    json_t *root = get_json(s.port, "/heap.json"), *process = json_object_get(root, "process"), *region;
    assert_int_equal(json_object_size(json_object_get(root, "stats")), sizeof(mid_stats) / sizeof(uint64_t));
    assert_int_equal(json_array_size(json_object_get(root, "stops")), MID_STOP_BUCKETS);
    assert_true(json_array_size(json_object_get(root, "history")) >= 1);
    assert_true(number(process, "resident") != 0);
    uint64_t table = 0, arenas = 0;
    size_t i;
    json_array_foreach(json_object_get(process, "regions"), i, region) {
        const char *kind = json_string_value(json_array_get(region, 0));
        uint64_t bytes = (uint64_t)json_integer_value(json_array_get(region, 3));
        for (int k = 0; k < 4; k++)
            seen[k] |= strcmp(kind, kinds[k]) == 0;
        table += strcmp(kind, "table") == 0 ? bytes : 0;
        arenas += strcmp(kind, "arena") == 0 ? bytes : 0;
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
    assert_true(table >= (uint64_t)4 << 30);
    assert_int_equal(arenas, 16 << 20);
    json_decref(root);
    serve_end(&s);
}

TEST(log_and_trace)
{
    struct served s;
    mid_decision log[256];
    serve(&s, "idle=10ms");
    mid_handle kept = fragment(&s.u, unit_scale(40000));
    ok(mid_blocked_enter(s.u.thread));
    for (int looks = 0; ; looks++) {
        size_t count = mid_daemon_log(s.daemon, log, 256);
        if (count > 1 && log[count - 1].action == MID_ACT_TRIM && log[count - 1].status == MID_OK)
            break; /* comes last */
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
        assert_true(looks < 100000);
    }
    size_t count = mid_daemon_log(s.daemon, log, 256), i;
    json_t *root = get_json(s.port, "/log.json"), *decisions = json_object_get(root, "decisions"), *entry, *trace = get_json(s.port, "/trace.json");
    assert_int_equal(json_array_size(decisions), count);
    json_array_foreach(decisions, i, entry) {
        char text[400];
        mid_decision_text(&log[i], text, sizeof text);
        assert_string_equal(json_string_value(json_object_get(entry, "text")), text);
        assert_int_equal(number(entry, "at_micros"), log[i].at_micros);
        assert_int_equal(number(entry, "bytes"), log[i].bytes);
        assert_string_not_equal(json_string_value(json_object_get(entry, "action")), "?");
        assert_string_not_equal(json_string_value(json_object_get(entry, "trigger")), "?");
    }
    size_t slices = 0, counters = 0;
    bool compaction = false;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, entry) {
        const char *phase = json_string_value(json_object_get(entry, "ph"));
        assert_non_null(json_string_value(json_object_get(entry, "name")));
        assert_int_equal(number(entry, "pid"), getpid());
        if (strcmp(phase, "X") == 0) {
            assert_int_equal(number(entry, "ts"), log[slices].at_micros);
            assert_true(number(entry, "dur") >= log[slices].took_micros);
            compaction |= strcmp(json_string_value(json_object_get(entry, "name")), "compact: fragmentation") == 0 &&
                          number(json_object_get(entry, "args"), "pools_before") > number(json_object_get(entry, "args"), "pools_after");
            slices++;
        } else if (strcmp(phase, "C") == 0) {
            assert_true(json_object_size(json_object_get(entry, "args")) != 0);
            counters++;
        } else {
            assert_string_equal(phase, "M");
        }
    }
    assert_int_equal(slices, count);
    assert_true(compaction && counters >= 2);
    json_decref(root);
    json_decref(trace);
    ok(mid_blocked_leave(s.u.thread));
    mid_release(s.u.thread, kept);
    serve_end(&s);
}

static bool pressed(const json_t *root)
{
    const json_t *now = json_object_get(root, "pressure"), *history = json_object_get(root, "history");
    const char *level = json_string_value(json_object_get(now, "level")), *why = json_string_value(json_object_get(now, "why"));
    const json_t *newest = json_array_get(history, json_array_size(history) - 1);
    assert_int_equal(json_array_size(newest), 6);
    return strcmp(level, "compact") == 0 && strcmp(why, "program") == 0 && json_integer_value(json_array_get(newest, 5)) == MID_PRESSURE_COMPACT;
}

/* How short memory is: now, over time, as a metric and on the timeline. */
TEST(pressure_is_shown)
{
    struct served s;
    json_t *entry;
    size_t i, counters = 0;
    serve(&s, "pressure=off");
    char *text = get(s.port, "/metrics");
    assert_true(metric(text, "midden_pressure_level") == 0);
    free(text);
    ok(mid_pressure(s.u.heap, MID_PRESSURE_COMPACT));
    for (bool seen = false; !seen;) {
        json_t *root = get_json(s.port, "/heap.json");
        seen = pressed(root);
        json_decref(root);
    }
    text = get(s.port, "/metrics");
    assert_true(metric(text, "midden_pressure_level") == MID_PRESSURE_COMPACT);
    assert_true(check_metrics(text) > 40);
    free(text);
    json_t *trace = get_json(s.port, "/trace.json");
    json_array_foreach(json_object_get(trace, "traceEvents"), i, entry)
        counters += strcmp(json_string_value(json_object_get(entry, "name")), "pressure") == 0 &&
                    number(json_object_get(entry, "args"), "level") == MID_PRESSURE_COMPACT;
    assert_true(counters > 0);
    json_decref(trace);
    serve_end(&s);
}

TEST(samples_cover_all_time)
{
    static mid_history history;
    mid_snapshot now = {0};
    for (uint64_t at = 1000000; at < 4000000000u; at += 7000) {
        now.committed_bytes = at;
        mid_history_add(&history, &now, at == 71000000 ? MID_PRESSURE_COMPACT : MID_PRESSURE_CALM, at);
    }
    assert_true(history.count > MID_HISTORY / 2 - 1 && history.count <= MID_HISTORY);
    assert_int_equal(history.samples[0].at, 1000000);
    assert_true(history.samples[history.count - 1].committed > 4000000000u - 7001);
    for (unsigned i = 1; i < history.count; i++)
        assert_true(history.samples[i].at > history.samples[i - 1].at);
    unsigned pressed = 0; /* a moment's, kept although most samples of that time have gone */
    for (unsigned i = 0; i < history.count; i++) {
        pressed += history.samples[i].level == MID_PRESSURE_COMPACT;
        assert_true(mid_history_after(&history, history.samples[i].at - 1) == &history.samples[i]);
    }
    assert_int_equal(pressed, 1);
    assert_null(mid_history_after(&history, 4000000000u));
    mid_history_add(&history, &now, MID_PRESSURE_CALM, 5); /* a clock that goes back */
    assert_true(history.samples[history.count - 1].at > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics),
        cmocka_unit_test(the_map_adds_up),
        cmocka_unit_test(the_frame),
        cmocka_unit_test(log_and_trace),
        cmocka_unit_test(pressure_is_shown),
        cmocka_unit_test(samples_cover_all_time),
    };
    unsetenv("MIDDEN_OPTIONS");
    return UNIT_RUN(tests);
}
