/* wl_idle.c: a heap that nobody uses: what its background takes of the processor and, with --spinner, which gaps the machine
 * makes by itself. */
#include "worker.h"

static void prepare(struct run *run)
{
    (void)run;
}

static void run_idle(struct run *run)
{
    uint64_t milliseconds = run_param(run, "idle");
    const struct timespec pause = {.tv_sec = (time_t)(milliseconds / 1000), .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    phase_begin(run);
    be_idle_enter(run->heap);
    nanosleep(&pause, NULL);
    be_idle_leave(run->heap);
    phase_end(run, "idle", 0, 0);
}

const struct workload wl_idle = {"idle", prepare, run_idle};
