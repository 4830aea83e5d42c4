/* wl_trees.c: binary-trees, the benchmarks game's program. Objects are two references and nothing else. */
#include "worker.h"

struct tree {
    be_slot left, right;
};
#define LEFT BE_SLOT(struct tree, left)
#define RIGHT BE_SLOT(struct tree, right)
#define POLL_DEPTH 8 /* a poll to each 511 nodes */

static void prepare(struct run *run)
{
    (void)run;
}

/* A node before its children, as in the game's program "gcc #3". */
static be_ref make(be_heap *h, be_type type, int depth)
{
    be_ref node = be_new(h, type);
    if (depth == 0) {
        be_init_none(h, node, LEFT);
        be_init_none(h, node, RIGHT);
        return node;
    }
    if (depth == POLL_DEPTH)
        be_poll(h);
    be_init_none(h, node, RIGHT);
    be_init(h, node, LEFT, make(h, type, depth - 1));
    be_init(h, node, RIGHT, make(h, type, depth - 1));
    return node;
}

static uint64_t item_check(be_heap *h, be_ref node)
{
    be_ref left = be_peek(h, node, LEFT), right = be_peek(h, node, RIGHT);
    if (!left)
        return 1;
    return 1 + item_check(h, left) + item_check(h, right);
}

static void drop(be_heap *h, be_ref node)
{
    if (BE_EXPLICIT) {
        be_ref left = be_peek(h, node, LEFT), right = be_peek(h, node, RIGHT);
        if (left) {
            drop(h, left);
            drop(h, right);
        }
    }
    be_discard(h, node);
}

static uint64_t build_and_drop(be_heap *h, be_type type, int depth)
{
    be_ref tree = make(h, type, depth);
    uint64_t nodes = item_check(h, tree);
    drop(h, tree);
    be_poll(h);
    return nodes;
}

static void run_trees(struct run *run)
{
    enum { MIN_DEPTH = 4 };
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "tree", sizeof(struct tree), 2);
    int depth = (int)run_param(run, "depth");
    phase_begin(run);
    uint64_t nodes = build_and_drop(h, type, depth + 1);
    run_checksum(run, nodes);
    be_ref long_lived = make(h, type, depth);
    for (int d = MIN_DEPTH; d <= depth; d += 2) {
        uint64_t sum = 0;
        for (long i = 1l << (depth - d + MIN_DEPTH); i > 0; i--)
            sum += build_and_drop(h, type, d);
        run_checksum(run, sum * (unsigned)d);
        nodes += sum;
    }
    uint64_t kept = item_check(h, long_lived);
    run_checksum(run, kept);
    phase_end(run, "run", nodes + kept, kept * sizeof(struct tree));
    drop(h, long_lived);
}

const struct workload wl_binary_trees = {"binary-trees", prepare, run_trees};
