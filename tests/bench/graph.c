/* graph.c: see graph.h. */
#include "graph.h"

be_ref graph_build(be_heap *h, be_type type, uint32_t live, struct random *random)
{
    be_ref root = be_array(h, be_array_type(h), live);
    for (uint32_t i = 0; i < live; i++) {
        be_ref node = node_make(h, type, i);
        be_init(h, root, BE_ARRAY_SLOT(i), node);
        be_init(h, node, A, be_share(h, graph_pick(h, root, random, i + 1)));
        be_init(h, node, B, be_share(h, graph_pick(h, root, random, i + 1)));
        if (i % GRAPH_POLL_EVERY == 0)
            be_poll(h);
    }
    return root;
}

void graph_check(struct run *run, be_ref root, uint32_t live)
{
    be_heap *h = run->heap;
    for (uint32_t i = 0; i < live; i++) {
        be_ref node = be_peek(h, root, BE_ARRAY_SLOT(i));
        uint64_t a = ((struct node *)be_at(h, be_peek(h, node, A)))->id;
        uint64_t b = ((struct node *)be_at(h, be_peek(h, node, B)))->id;
        run_checksum(run, (a << 32 | b) ^ ((struct node *)be_at(h, node))->id);
    }
}
