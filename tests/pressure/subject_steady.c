/* subject_steady.c: what a daemon costs a program for which nothing needs doing.
 *
 * On and off within one process and one heap, by turns, the same number of operations each: so both have the same pools, the same pages
 * and the same neighbours on the machine. Time is that of the thread's processor, which who else runs cannot add to but by the caches. */
#include "subject.h"

#include <time.h>

#define TURNS 41u      /* off, on, off, ...: each `on` lies between two `off` */
#define TURN 600000u
#define SETTLE 30000   /* the daemon reads its sources once */

static uint64_t own_nanos(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void turn(mid_handle all, uint32_t count, const char *name)
{
    rest(SETTLE);
    uint64_t daemon = mid_daemon_cpu_micros(keeper), wakeups = mid_daemon_wakeups(keeper), begun = micros(), used = own_nanos();
    for (uint32_t i = 0; i < TURN; i++)
        put(all, random_below(count), size_in(0));
    used = own_nanos() - used;
    printf("turn-%s nanos %" PRIu64 " wall %" PRIu64 " daemon %" PRIu64 " wakeups %" PRIu64 "\n", name, used, micros() - begun,
           mid_daemon_cpu_micros(keeper) - daemon, mid_daemon_wakeups(keeper) - wakeups);
}

void steady(uint64_t mib)
{
    mid_handle all;
    uint32_t count = (uint32_t)((mib << 20) / 300);
    must(mid_new_array(thread, vec_type, count, &all), "mid_new_array");
    for (uint32_t i = 0; i < count; i++)
        put(all, i, size_in(0));
    for (uint32_t i = 0; i < 2 * TURN; i++) /* until holes are where they will be */
        put(all, random_below(count), size_in(0));
    for (unsigned i = 0; i < TURNS; i++) {
        bool on = i % 2 == 1;
        if (on)
            must(mid_daemon_start(heap, &keeper), "mid_daemon_start");
        if (!on) {
            must(mid_daemon_stop(keeper), "mid_daemon_stop");
            keeper = NULL;
        }
        turn(all, count, on ? "on" : "off");
    }
    printf("done turns %u\n", TURNS);
}
