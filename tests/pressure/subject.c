/* subject.c MODE [OPTIONS [MIB [RATE BUDGET]]]: programs that are short of memory, or could be; run by show.py.
 *
 * survive: keeps MIB alive and replaces it again and again, in sizes that change, with cycles of garbage beside, and a rest now and then. The size of what lives
 * is printed at the begin; then it waits for a line, so that it can be given a limit.
 * storm: the same, without a rest: a third of a gigabyte of cycles a second.
 * press: keeps MIB alive and makes garbage in bursts, slowly, until its input ends. Prints its daemon's log, and what of its heap was resident when.
 * idle: fills the heap, lets go of nine objects in ten, and sleeps. Prints what is committed and what is needed when a line comes.
 * steady: replaces leaves by leaves of the same sizes, as fast as it can: nothing needs doing. Prints how long that took, by turns with and
 * without a daemon.
 * share: keeps MIB alive and drops RATE MB of cycles a second, with the limit that who listens at the path BUDGET tells it. Prints the time in collections.
 * OPTIONS are those of the heap; with daemon=off there is none. */
#include "subject.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "midden/stats.h"

#define POOL (64u << 10)
#define BANDS 4u
#define RING 50u
#define POLL_EVERY 64u
#define REST_EVERY 256u
#define LOG_MOST 65536 /* of all that a run decides, nothing is forgotten: the first signal may be 20 s before the end */

mid_daemon *keeper;
static void begin(const char *text)
{
    mid_options options;
    mid_options_init(&options);
    options.log_entries = LOG_MOST;
    must(mid_options_parse(&options, text, NULL), text);
    open_heap(&options);
    if (options.daemon)
        must(mid_daemon_start(heap, &keeper), "mid_daemon_start");
}

static mid_handle make(uint32_t size)
{
    mid_handle made;
    must(mid_new_array(thread, bytes_type, size, &made), "mid_new_array");
    struct bytes *b = mid_get(thread, made);
    memset(b->data, (int)(size & 255), size);
    b->tag = size;
    return made;
}

void put(mid_handle all, uint32_t at, uint32_t size)
{
    mid_handle old = mid_take(thread, all, MID_SLOT(struct vec, items) + at);
    if (old != 0)
        mid_release(thread, old);
    mid_give(thread, all, MID_SLOT(struct vec, items) + at, make(size));
    if (at % POLL_EVERY == 0)
        mid_safepoint(thread);
}

uint32_t size_in(uint32_t band)
{
    return 150 + band * 40 + random_below(300 - band * 80 + 1);
}

uint64_t micros(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void line_in(void)
{
    char byte;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
}

static void report(const char *word)
{
    mid_stats s;
    uint64_t needed = 0;
    mid_class_stats c;
    mid_stats_get(heap, &s, sizeof s);
    for (unsigned i = 0; mid_stats_class(heap, i, &c) == MID_OK; i++)
        needed += c.optimal_pools * POOL;
    needed += s.run_bytes + s.mapping_bytes + s.live_objects * 16 + s.metadata_bytes;
    printf("%s live %" PRIu64 " objects %" PRIu64 " committed %" PRIu64 " needed %" PRIu64 " returned %" PRIu64 "\n", word, s.live_slot_bytes,
           s.live_objects, s.committed_bytes, needed, s.returned_bytes);
    fflush(stdout);
}

static void print_log(void)
{
    static mid_decision log[LOG_MOST];
    char text[512];
    size_t count = mid_daemon_log(keeper, log, LOG_MOST);
    for (size_t i = 0; i < count; i++) {
        mid_decision_text(&log[i], text, sizeof text);
        printf("log %" PRIu64 " %" PRIu64 " %s\n", log[i].at_micros, log[i].action == MID_ACT_TRIM ? log[i].bytes : 0, text);
    }
}

static void replace(uint64_t mib, bool rests)
{
    mid_handle all;
    uint32_t count = (uint32_t)((mib << 20) / 300);
    must(mid_new_array(thread, vec_type, count, &all), "mid_new_array");
    for (uint32_t i = 0; i < count; i++)
        put(all, i, size_in(0));
    report("ready");
    line_in();
    uint64_t begun = micros();
    for (uint32_t round = 1; round <= 12; round++) {
        for (uint32_t i = 0; i < count; i++) {
            put(all, random_below(count), size_in(round % BANDS));
            if (i % 8 == 0)
                drop_ring(RING);
            if (rests && i % REST_EVERY == 0)
                rest(1000);
        }
        printf("round %u at %" PRIu64 " ms\n", round, (micros() - begun) / 1000);
        report("now");
    }
    if (keeper != NULL)
        print_log();
    report("done");
}

static void survive(uint64_t mib)
{
    replace(mib, true);
}

static void storm(uint64_t mib)
{
    replace(mib, false);
}

/* In bursts, so that there is always something that no rule minds: garbage below the growth that asks for a look, or what has become of
 * it, empty pools that are kept while the program allocates. */
static void press(uint64_t mib)
{
    mid_handle all;
    uint32_t count = (uint32_t)((mib << 20) / 300);
    struct pollfd input = {.fd = 0, .events = POLLIN};
    must(mid_new_array(thread, vec_type, count, &all), "mid_new_array");
    for (uint32_t i = 0; i < count; i++)
        put(all, i, size_in(0));
    report("ready");
    ranges_watch();
    for (uint32_t i = 0; poll(&input, 1, 0) == 0; i++) {
        for (unsigned n = 0; n < 20; n++)
            put(all, random_below(count), size_in(0));
        for (uint32_t n = 0; i % 500 == 0 && n < count / 50; n++)
            drop_ring(RING);
        mid_safepoint(thread);
        rest(1000);
    }
    report("done");
    print_log();
    ranges_print();
}

/* r4 of the benchmark. */
static void idle(uint64_t mib)
{
    mid_handle all;
    uint32_t count = (uint32_t)(mib << 10);
    must(mid_new_array(thread, vec_type, count, &all), "mid_new_array");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t draw = random_below(6);
        put(all, i, (draw < 3 ? 512 : draw < 5 ? 1024 : 2048) - (uint32_t)sizeof(struct bytes));
    }
    for (uint32_t i = 0; i < count; i++)
        if (i % 10 != 0)
            mid_release(thread, mid_take(thread, all, MID_SLOT(struct vec, items) + i));
    mid_safepoint(thread);
    report("ready");
    must(mid_blocked_enter(thread), "mid_blocked_enter");
    line_in();
    report("done");
    printf("cpu %" PRIu64 " wakeups %" PRIu64 "\n", mid_daemon_cpu_micros(keeper), mid_daemon_wakeups(keeper));
    must(mid_blocked_leave(thread), "mid_blocked_leave");
}

static void run(const char *mode, uint64_t mib, uint64_t rate, const char *budget)
{
    if (strcmp(mode, "survive") == 0)
        survive(mib);
    else if (strcmp(mode, "storm") == 0)
        storm(mib);
    else if (strcmp(mode, "press") == 0)
        press(mib);
    else if (strcmp(mode, "idle") == 0)
        idle(mib);
    else if (strcmp(mode, "steady") == 0)
        steady(mib);
    else
        share(mib, rate, budget);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"survive", "storm", "press", "idle", "steady", "share"};
    uint64_t mib = argc > 3 ? strtoull(argv[3], NULL, 10) : 32, rate = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
    for (size_t i = 0; argc > 1 && mib > 0 && mib < 4096 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i]) != 0 || (strcmp(modes[i], "share") == 0 && (rate == 0 || rate > 10000 || argc < 6)))
            continue;
        begin(argc > 2 ? argv[2] : "");
        run(modes[i], mib, rate, argc > 5 ? argv[5] : NULL);
        fflush(stdout);
        if (keeper != NULL)
            must(mid_daemon_stop(keeper), "mid_daemon_stop");
        must(mid_heap_destroy(heap), "mid_heap_destroy");
        return 0;
    }
    fprintf(stderr, "subject: survive, storm, press, idle, steady or share [OPTIONS [MIB [RATE BUDGET]]]\n");
    return 2;
}
