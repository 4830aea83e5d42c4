/* wl_steady.c: a large live graph under constant garbage, a node an operation, of the form that --garbage names. Every 16
 * operations an old object's reference is overwritten. The time between two readings of the clock, one after each operation, goes
 * into a histogram: that is the latency of the call, the reading included, and whatever else had to be done at that point.
 *
 * pairs: of every few pairs one is a cycle of two. acyclic: chains, which die by counting. rings: closed chains. lists: doubly
 * linked, of 1000. giant: rings of a hundredth of the live graph. Pairs and
 * giants refer to a live node with each node, rings and what is acyclic with every eighth (--refer-every): each such reference costs
 * a heap that counts a miss when it is made and one when it goes, whatever else it does. */
#include "graph.h"
#include "litter.h"

enum { LIST = 1000, GIANTS = 100 };

/* The garbage that is being built, and how much there was. */
struct churn {
    enum garbage form;
    uint32_t size; /* of a structure */
    uint64_t cycle_every, refer_every, dropped;
    struct chain chain;
};

static struct churn churn_of(const struct run *run)
{
    enum garbage form = (enum garbage)run_param(run, "garbage");
    uint32_t giant = (uint32_t)(run_param(run, "live") / GIANTS), ring = (uint32_t)run_param(run, "ring");
    uint32_t size = form == GARBAGE_PAIRS ? 2 : form == GARBAGE_LISTS ? LIST : form == GARBAGE_GIANT ? giant : ring;
    return (struct churn){.form = form, .size = size ? size : 1, .cycle_every = run_param(run, "cycle-every"),
                          .refer_every = run_param(run, "refer-every")};
}

static void prepare(struct run *run)
{
    run_times_calls(run);
    litter_prepare(run, run_param(run, "operations") / churn_of(run).size + 1);
}

/* What is built is dropped, in whatever state it is. */
static inline void drop(be_heap *h, struct churn *c)
{
    struct chain *chain = &c->chain;
    if (chain->count == 0)
        return;
    litter_drop(h, chain->first, chain->count, c->dropped++);
    chain_discard(h, chain->first, chain->count);
    *chain = (struct chain){0};
}

/* The second refers to the first, and if they are a cycle the first to the second. */
static inline void add_to_pair(be_heap *h, struct churn *c, be_ref node, uint64_t i)
{
    struct chain *chain = &c->chain;
    if (chain->count++ == 0) {
        chain->first = node;
        return;
    }
    be_ref first = chain->first;
    be_init(h, node, B, be_share(h, first));
    if (i / 2 % c->cycle_every == 0)
        be_init(h, first, B, be_share(h, node));
    litter_drop(h, node, 2, c->dropped++);
    be_discard(h, first);
    be_discard(h, node);
    *chain = (struct chain){0};
}

static inline void add(be_heap *h, struct churn *c, be_ref node)
{
    if (c->form == GARBAGE_LISTS && c->chain.count > 0)
        be_init(h, node, A, be_share(h, c->chain.last));
    chain_add(h, &c->chain, node);
    if (c->chain.count < c->size)
        return;
    if (c->form == GARBAGE_RINGS || c->form == GARBAGE_GIANT)
        chain_close(h, &c->chain);
    drop(h, c);
}

/* Does the next node refer to a live one? */
static int refers(const struct churn *c)
{
    if (c->form == GARBAGE_RINGS || c->form == GARBAGE_ACYCLIC)
        return c->chain.count % c->refer_every == 0;
    return c->form != GARBAGE_LISTS;
}

static void churn(struct run *run, be_type type, be_ref root, uint32_t live, struct random *random)
{
    be_heap *h = run->heap;
    struct churn of = churn_of(run), *c = &of;
    uint64_t operations = run_param(run, "operations"), store_every = run_param(run, "store-every");
    uint64_t last = now_ns();
    for (uint64_t i = 1; i <= operations; i++) {
        be_ref node = node_make(h, type, (uint32_t)i);
        if (refers(c))
            be_init(h, node, A, be_share(h, graph_pick(h, root, random, live)));
        if (c->form == GARBAGE_PAIRS)
            add_to_pair(h, c, node, i);
        else
            add(h, c, node);
        if (i % store_every == 0)
            be_store(h, graph_pick(h, root, random, live), A, graph_pick(h, root, random, live));
        if (i % GRAPH_POLL_EVERY == 0)
            be_poll(h);
        uint64_t now = now_ns();
        run_called(run, last, now);
        last = litter_look(h, i, live + 1u + c->chain.count) ? now_ns() : now;
    }
    drop(h, c);
}

static void run_steady(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "node", sizeof(struct node), 2);
    uint32_t live = (uint32_t)run_param(run, "live");
    uint64_t operations = run_param(run, "operations");
    struct random random = run_random(run);
    phase_begin(run);
    be_ref root = graph_build(h, type, live, &random);
    phase_end(run, "build", live, graph_bytes(live));
    phase_begin(run);
    litter_begin(operations);
    churn(run, type, root, live, &random);
    phase_end(run, "steady", operations, graph_bytes(live));
    graph_check(run, root, live);
    litter_end(run, operations, live + 1u);
}

const struct workload wl_steady = {"steady", prepare, run_steady};
