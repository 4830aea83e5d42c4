/* graph.h: nodes of two references: a live graph of them, held by one root, and the structures that become garbage beside it. A
 * structure is a chain along B, built a node at a time; A is whatever the workload makes of it. */
#ifndef BENCH_GRAPH_H
#define BENCH_GRAPH_H

#include "worker.h"

struct node {
    be_slot a, b;
    uint32_t id;
};
#define A BE_SLOT(struct node, a)
#define B BE_SLOT(struct node, b)

enum { GRAPH_POLL_EVERY = 256 };

static inline be_ref node_make(be_heap *h, be_type type, uint32_t id)
{
    be_ref made = be_new(h, type);
    be_init_none(h, made, A);
    be_init_none(h, made, B);
    ((struct node *)be_at(h, made))->id = id;
    return made;
}

static inline be_ref graph_pick(be_heap *h, be_ref root, struct random *random, uint32_t count)
{
    return be_peek(h, root, BE_ARRAY_SLOT(random_below(random, count)));
}

/* An array of `live` nodes, each with two references to nodes drawn at random: live + 1 objects. */
be_ref graph_build(be_heap *h, be_type type, uint32_t live, struct random *random);
/* Takes every node and what it refers to into the checksum. */
void graph_check(struct run *run, be_ref root, uint32_t live);
static inline uint64_t graph_bytes(uint32_t live)
{
    return live * (uint64_t)(sizeof(struct node) + sizeof(be_slot));
}

/* The program holds `first`, each other node is held by the one before it. */
struct chain {
    be_ref first, last;
    uint32_t count;
};

static inline void chain_add(be_heap *h, struct chain *chain, be_ref node)
{
    if (chain->count++ == 0)
        chain->first = node;
    else
        be_init(h, chain->last, B, node);
    chain->last = node;
}

/* The last refers to the first: a ring, of one node too. */
static inline void chain_close(be_heap *h, const struct chain *chain)
{
    be_init(h, chain->last, B, be_share(h, chain->first));
}

/* `count` nodes from `first` on are let go of. */
static inline void chain_discard(be_heap *h, be_ref first, uint32_t count)
{
    if (BE_EXPLICIT) {
        be_ref next = first;
        for (; count > 1; count--) {
            be_ref node = next;
            next = be_peek(h, node, B);
            be_discard(h, node);
        }
        first = next;
    }
    be_discard(h, first);
}

#endif
