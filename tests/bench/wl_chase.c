/* wl_chase.c: a walk from node to node, nanoseconds a hop, over nodes that one array object holds. Fresh: as allocated.
 * Churned: every node was replaced, in random order, among others that then died. Compacted: the heap was told to compact,
 * where it can. In each state the nodes are linked once in the array's order and once at random. Deep: after each linking the
 * heap was told to lay out objects and references in the order of a walk. */
#include "worker.h"

struct node {
    be_slot next;
    uint32_t value;
};
#define NEXT BE_SLOT(struct node, next)

enum { POLL_EVERY = 256, IDLE_POLL = 4096 };

static uint32_t *order;   /* a permutation of the nodes */
static be_ref *passing;   /* nodes that live between the others for a while */

static void prepare(struct run *run)
{
    order = driver_array(run_param(run, "nodes"), sizeof *order);
    passing = driver_array(run_param(run, "nodes"), sizeof *passing);
}

static void shuffle(uint32_t nodes, struct random *random)
{
    for (uint32_t i = 0; i < nodes; i++)
        order[i] = i;
    for (uint32_t i = nodes; i > 1; i--) {
        uint32_t other = random_below(random, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static be_ref make(be_heap *h, be_type type, uint32_t value)
{
    be_ref made = be_new(h, type);
    be_init_none(h, made, NEXT);
    ((struct node *)be_at(h, made))->value = value;
    return made;
}

static void churn(be_heap *h, be_type type, be_ref root, uint32_t nodes, struct random *random)
{
    shuffle(nodes, random);
    for (uint32_t i = 0; i < nodes; i++)
        be_store(h, be_peek(h, root, BE_ARRAY_SLOT(i)), NEXT, 0); /* so that a replaced node is held by nothing */
    for (uint32_t i = 0; i < nodes; i++) {
        passing[i] = make(h, type, i);
        be_replace(h, root, BE_ARRAY_SLOT(order[i]), make(h, type, order[i]));
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
    for (uint32_t i = 0; i < nodes; i++) {
        be_discard(h, passing[i]);
        passing[i] = 0;
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

/* Link order[0], order[1], ... into one round. */
static void link_round(be_heap *h, be_ref root, uint32_t nodes)
{
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t from = order[i], to = order[i + 1 < nodes ? i + 1 : 0];
        be_store(h, be_peek(h, root, BE_ARRAY_SLOT(from)), NEXT, be_peek(h, root, BE_ARRAY_SLOT(to)));
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

static void walk(struct run *run, be_ref root, uint64_t hops, uint32_t nodes, const char *phase)
{
    be_heap *h = run->heap;
    uint64_t sum = 0;
    be_ref node = be_peek(h, root, BE_ARRAY_SLOT(0));
    phase_begin(run);
    for (uint64_t left = hops; left > 0;) {
        uint64_t stretch = left < IDLE_POLL ? left : IDLE_POLL;
        left -= stretch;
        for (; stretch > 0; stretch--) {
            node = be_peek(h, node, NEXT);
            sum += ((struct node *)be_at(h, node))->value;
        }
        be_store(h, root, BE_ARRAY_SLOT(nodes), node); /* where the walk stands: a poll may give references anew */
        be_poll(h);
        node = be_peek(h, root, BE_ARRAY_SLOT(nodes));
    }
    phase_end(run, phase, hops, nodes * (uint64_t)(sizeof(struct node) + sizeof(be_slot)));
    be_store(h, root, BE_ARRAY_SLOT(nodes), 0);
    run_checksum(run, sum);
}

static void both_walks(struct run *run, be_ref root, uint32_t nodes, const char *in_order, const char *at_random,
                       bool deep, struct random *random)
{
    be_heap *h = run->heap;
    uint64_t hops = run_param(run, "hops");
    for (uint32_t i = 0; i < nodes; i++)
        order[i] = i;
    link_round(h, root, nodes);
    if (deep)
        be_compact(h, true);
    walk(run, root, hops, nodes, in_order);
    shuffle(nodes, random);
    link_round(h, root, nodes);
    if (deep)
        be_compact(h, true);
    walk(run, root, hops, nodes, at_random);
}

static void run_chase(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "node", sizeof(struct node), 1);
    uint32_t nodes = (uint32_t)run_param(run, "nodes");
    struct random random = run_random(run);
    be_roots(h, passing, nodes);
    be_ref root = be_array(h, be_array_type(h), (size_t)nodes + 1); /* and the walk's place */
    for (uint32_t i = 0; i < nodes; i++) {
        be_init(h, root, BE_ARRAY_SLOT(i), make(h, type, i));
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
    both_walks(run, root, nodes, "fresh-ordered", "fresh-random", false, &random);
    churn(h, type, root, nodes, &random);
    both_walks(run, root, nodes, "churned-ordered", "churned-random", false, &random);
    uint64_t checksum = run->checksum; /* phases that not every heap has do not take part */
    if (BE_MOVES) {
        be_compact(h, false);
        both_walks(run, root, nodes, "compacted-ordered", "compacted-random", false, &random);
        both_walks(run, root, nodes, "deep-ordered", "deep-random", true, &random);
    }
    run->checksum = checksum;
}

const struct workload wl_chase = {"chase", prepare, run_chase};
