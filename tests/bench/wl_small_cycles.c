/* wl_small_cycles.c: rings of a few nodes, made and dropped one after the other beside a small live graph: the most objects
 * that are ever uncollected. Each node refers to a live one besides. */
#include "graph.h"
#include "litter.h"

static void prepare(struct run *run)
{
    litter_prepare(run, run_param(run, "cycles"));
}

static uint32_t draw(struct random *random, uint32_t least, uint32_t most)
{
    return least + random_below(random, most - least + 1);
}

/* Returns the nodes there were in all. */
static uint64_t cycles(struct run *run, be_type type, be_ref root, uint32_t live, struct random *random)
{
    be_heap *h = run->heap;
    uint64_t count = run_param(run, "cycles"), nodes = 0, next_poll = 0;
    uint32_t least = (uint32_t)run_param(run, "least"), most = (uint32_t)run_param(run, "most");
    for (uint64_t i = 0; i < count; i++) {
        struct chain chain = {0};
        uint64_t began = now_ns();
        for (uint32_t size = draw(random, least, most < least ? least : most); size > 0; size--) {
            be_ref node = node_make(h, type, size);
            be_init(h, node, A, be_share(h, graph_pick(h, root, random, live)));
            chain_add(h, &chain, node);
        }
        nodes += chain.count;
        chain_close(h, &chain);
        litter_drop(h, chain.first, chain.count, i);
        chain_discard(h, chain.first, chain.count);
        if (nodes >= next_poll) {
            be_poll(h);
            next_poll = nodes + GRAPH_POLL_EVERY;
        }
        histogram_add(&run->calls, now_ns() - began);
        litter_look(h, i + 1, live + 1u);
    }
    return nodes;
}

static void run_small_cycles(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "node", sizeof(struct node), 2);
    uint32_t live = (uint32_t)run_param(run, "live");
    struct random random = run_random(run);
    be_ref root = graph_build(h, type, live, &random);
    phase_begin(run);
    litter_begin(run_param(run, "cycles"));
    uint64_t nodes = cycles(run, type, root, live, &random);
    phase_end(run, "run", nodes, graph_bytes(live));
    run_checksum(run, nodes);
    graph_check(run, root, live);
    litter_end(run, run_param(run, "cycles"), live + 1u);
}

const struct workload wl_small_cycles = {"small-cycles", prepare, run_small_cycles};
