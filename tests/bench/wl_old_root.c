/* wl_old_root.c: the root of a large live graph is retained and let go of, again and again, and nothing else happens: what each
 * release to non-zero costs a heap that counts, and what its collector makes of it. The thread rests after each burst, so that
 * there is a time in which something could be done in the background; what was done is `cpu_seconds` less
 * `mutator_cpu_seconds`. Other heaps have no count: for them the bursts are empty, and what shows is what resting takes. */
#include "graph.h"

static void prepare(struct run *run)
{
    (void)run;
}

static void retain_and_release(struct run *run, be_ref root)
{
    be_heap *h = run->heap;
    uint64_t operations = run_param(run, "operations"), burst = run_param(run, "burst"), rest = run_param(run, "rest");
    const struct timespec pause = {.tv_sec = (time_t)(rest / 1000000), .tv_nsec = (long)(rest % 1000000) * 1000};
    for (uint64_t i = 1; i <= operations; i++) {
        uint64_t began = now_ns();
        be_ref more = be_share(h, root);
        if (!BE_EXPLICIT)
            be_discard(h, more);
        if (i % GRAPH_POLL_EVERY == 0)
            be_poll(h);
        histogram_add(&run->calls, now_ns() - began);
        if (i % burst == 0) {
            be_wait_enter(h);
            nanosleep(&pause, NULL);
            be_wait_leave(h);
        }
    }
}

/* A microsecond for each object: what is still to be done about the build is none of the root's doing. */
static void settle(be_heap *h, uint32_t live)
{
    const struct timespec pause = {.tv_sec = live / 1000000, .tv_nsec = live % 1000000 * 1000L};
    be_wait_enter(h);
    nanosleep(&pause, NULL);
    be_wait_leave(h);
}

static void run_old_root(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "node", sizeof(struct node), 2);
    uint32_t live = (uint32_t)run_param(run, "live");
    struct random random = run_random(run);
    phase_begin(run);
    be_ref root = graph_build(h, type, live, &random);
    phase_end(run, "build", live, graph_bytes(live));
    settle(h, live);
    phase_begin(run);
    retain_and_release(run, root);
    phase_end(run, "old-root", run_param(run, "operations"), graph_bytes(live));
    graph_check(run, root, live);
}

const struct workload wl_old_root = {"old-root", prepare, run_old_root};
