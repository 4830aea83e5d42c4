/* tests/stress/daemon.c: see daemon.h. Only the programs whose names end in -daemon are built with STRESS_DAEMON and
 * linked with the daemon. */
#include "daemon.h"

#include "run.h"

void steps_options(mid_options *options)
{
    options->growth_min = 0;
    options->growth = 1;
    options->slice = 50;
}

#ifdef STRESS_DAEMON

#include <stdio.h>

#include "midden/daemon.h"

void daemon_options(mid_options *options)
{
    if (mid_options_parse(options,
                          "credit=64K, heartbeat=1ms, slice=50us, share=100%, stop-wait=200us, growth-min=0, growth=1%,"
                          "waiting-start=1, waiting-stop=0, frag-start=101%, frag-stop=100%, waste-min=0, decay=0us,"
                          "idle=1ms, reserve=0, spare=0%",
                          NULL) != MID_OK)
        fail("the daemon's options are refused");
    if (one_in(2))
        options->collect_stop = 0; /* however small the heap, collected while it runs */
}

struct mid_daemon *daemon_begin(mid_heap *heap)
{
    mid_daemon *daemon;
    mid_status status = mid_daemon_start(heap, &daemon);
    if (status != MID_OK)
        fail("mid_daemon_start returned %s", mid_status_name(status));
    return daemon;
}

void daemon_end(struct mid_daemon *daemon)
{
    mid_decision log[64];
    size_t count = mid_daemon_log(daemon, log, 64), seen[MID_ACT_NOTE + 1] = {0};
    for (size_t n = 0; n < count; n++)
        seen[log[n].action]++;
    printf("  daemon: %llu wakeups; of its last %zu decisions %zu drain, %zu collect, %zu compact, %zu trim, %zu propose, "
           "%zu prove, %zu sweep, %zu deep\n",
           (unsigned long long)mid_daemon_wakeups(daemon), count, seen[MID_ACT_DRAIN], seen[MID_ACT_COLLECT],
           seen[MID_ACT_COMPACT], seen[MID_ACT_TRIM], seen[MID_ACT_PROPOSE], seen[MID_ACT_PROVE], seen[MID_ACT_SWEEP],
           seen[MID_ACT_DEEP]);
    if (mid_daemon_stop(daemon) != MID_OK)
        fail("mid_daemon_stop failed");
}

#else

void daemon_options(mid_options *options)
{
    (void)options;
}

struct mid_daemon *daemon_begin(mid_heap *heap)
{
    (void)heap;
    return NULL;
}

void daemon_end(struct mid_daemon *daemon)
{
    (void)daemon;
}

#endif
