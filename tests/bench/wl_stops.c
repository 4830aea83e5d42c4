/* wl_stops.c: how long it takes to stop threads that run and poll every microsecond. A further thread asks for a collection of
 * a heap with nothing on it, again and again. Phase to-stop: from its call to the moment at which the world stands, taken in a
 * listener. Phase waits: the heap's own histogram of the same, in powers of two. Both are in the phase's call_ns. */
#include "crew.h"

#if defined(BENCH_MIDDEN)
#include <stdatomic.h>

static atomic_bool over;
static pthread_t asker;
static uint64_t stood; /* when the world stood still for the asker; 0: not yet */

static void prepare(struct run *run)
{
    (void)run;
}

/* A stop of the daemon's is not one that was asked for. */
static void on_stop(void *context)
{
    (void)context;
    if (pthread_equal(pthread_self(), asker) && stood == 0)
        stood = now_ns();
}

static void ask(struct member *m)
{
    uint64_t stops = run_param(m->run, "stops");
    const struct timespec interval = {.tv_nsec = (long)run_param(m->run, "interval") * 1000};
    while (m->operations < stops) {
        be_wait_enter(m->heap);
        nanosleep(&interval, NULL);
        be_wait_leave(m->heap);
        stood = 0;
        uint64_t asked = now_ns();
        mid_status status = mid_collect(m->heap, NULL);
        if (status == MID_EPOSTPONED) /* the machine is busy elsewhere */
            stood = now_ns();
        else if (status != MID_OK || stood == 0)
            be_die("mid_collect", status != MID_OK ? mid_status_text(status) : "it stopped nobody");
        histogram_add(&m->run->calls, stood - asked);
        m->operations++;
    }
    atomic_store(&over, true);
}

static void poll(struct member *m)
{
    uint64_t every = run_param(m->run, "poll-every");
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        uint64_t until = now_ns() + every;
        while (now_ns() < until)
            ;
        be_poll(m->heap);
        m->checksum++;
    }
}

static void work(struct member *m)
{
    if (m->id == 0) {
        asker = pthread_self();
        ask(m);
    } else {
        poll(m);
        if (m->checksum == 0)
            be_die("stops", "a thread never ran");
        m->checksum = 0;
    }
}

static void take_waits(struct run *run, mid_heap *heap)
{
    uint64_t waits[MID_STOP_BUCKETS];
    if (mid_stats_waits(heap, waits) != MID_OK)
        be_die("mid_stats_waits", "refused");
    for (unsigned i = 0; i < MID_STOP_BUCKETS; i++)
        for (uint64_t k = 0; k < waits[i]; k++)
            histogram_add(&run->calls, (2ull << i) - 1);
    if (run->calls.count == 0)
        be_die("stops", "no stop had anybody to wait for");
}

static void run_stops(struct run *run)
{
    mid_heap *heap = mid_thread_heap(run->heap);
    const mid_listener listener = {.struct_size = sizeof listener, .context = &stood, .stop_begin = on_stop};
    if (mid_listener_add(heap, &listener) != MID_OK)
        be_die("mid_listener_add", "refused");
    phase_begin(run);
    uint64_t stops = crew_run(run, (unsigned)run_param(run, "threads") + 1, work);
    phase_end(run, "to-stop", stops, 0);
    phase_begin(run);
    take_waits(run, heap);
    phase_end(run, "waits", run->calls.count, 0);
    mid_listener_remove(heap, &stood);
}

const struct workload wl_stops = {"stops", prepare, run_stops};
#endif
