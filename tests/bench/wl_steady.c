/* wl_steady.c: a large live graph under constant garbage. Garbage comes in pairs; of every few pairs one is a cycle of two.
 * Every 16 operations an old object's reference is overwritten. The time between two readings of the clock, one after each
 * operation, goes into a histogram: that is the latency of the call, the reading included. */
#include "worker.h"

struct node {
    be_slot a, b;
    uint32_t id;
};
#define A BE_SLOT(struct node, a)
#define B BE_SLOT(struct node, b)

enum { POLL_EVERY = 256 };

static void prepare(struct run *run)
{
    run_times_calls(run);
}

static be_ref pick(be_heap *h, be_ref root, struct random *random, uint32_t count)
{
    return be_peek(h, root, BE_ARRAY_SLOT(random_below(random, count)));
}

static be_ref make(be_heap *h, be_type type, uint32_t id)
{
    be_ref made = be_new(h, type);
    be_init_none(h, made, A);
    be_init_none(h, made, B);
    ((struct node *)be_at(h, made))->id = id;
    return made;
}

static void build(be_heap *h, be_type type, be_ref root, uint32_t live, struct random *random)
{
    for (uint32_t i = 0; i < live; i++) {
        be_ref node = make(h, type, i);
        be_init(h, root, BE_ARRAY_SLOT(i), node);
        be_init(h, node, A, be_share(h, pick(h, root, random, i + 1)));
        be_init(h, node, B, be_share(h, pick(h, root, random, i + 1)));
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

/* The second of two: join it to the first, as a cycle or not, and drop both. */
static void finish_pair(be_heap *h, be_ref first, be_ref second, int cycle)
{
    be_init(h, second, B, be_share(h, first));
    if (cycle)
        be_init(h, first, B, be_share(h, second));
    be_discard(h, first);
    be_discard(h, second);
}

static void churn(struct run *run, be_type type, be_ref root, uint32_t live, struct random *random)
{
    be_heap *h = run->heap;
    uint64_t operations = run_param(run, "operations"), store_every = run_param(run, "store-every");
    uint64_t cycle_every = run_param(run, "cycle-every");
    be_ref first = 0;
    uint64_t last = now_ns();
    for (uint64_t i = 1; i <= operations; i++) {
        be_ref node = make(h, type, (uint32_t)i);
        be_init(h, node, A, be_share(h, pick(h, root, random, live)));
        if (first) {
            finish_pair(h, first, node, i / 2 % cycle_every == 0);
            first = 0;
        } else {
            first = node;
        }
        if (i % store_every == 0)
            be_store(h, pick(h, root, random, live), A, pick(h, root, random, live));
        if (i % POLL_EVERY == 0)
            be_poll(h);
        uint64_t now = now_ns();
        run_called(run, last, now);
        last = now;
    }
    if (first)
        be_discard(h, first);
}

static void check(struct run *run, be_ref root, uint32_t live)
{
    be_heap *h = run->heap;
    for (uint32_t i = 0; i < live; i++) {
        be_ref node = be_peek(h, root, BE_ARRAY_SLOT(i));
        uint64_t a = ((struct node *)be_at(h, be_peek(h, node, A)))->id;
        uint64_t b = ((struct node *)be_at(h, be_peek(h, node, B)))->id;
        run_checksum(run, (a << 32 | b) ^ ((struct node *)be_at(h, node))->id);
    }
}

static void run_steady(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "node", sizeof(struct node), 2);
    uint32_t live = (uint32_t)run_param(run, "live");
    struct random random = run_random(run);
    uint64_t bytes = live * (uint64_t)(sizeof(struct node) + sizeof(be_slot));
    phase_begin(run);
    be_ref root = be_array(h, be_array_type(h), live);
    build(h, type, root, live, &random);
    phase_end(run, "build", live, bytes);
    phase_begin(run);
    churn(run, type, root, live, &random);
    phase_end(run, "steady", run_param(run, "operations"), bytes);
    check(run, root, live);
}

const struct workload wl_steady = {"steady", prepare, run_steady};
