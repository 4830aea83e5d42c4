/* wl_gcbench.c: GCBench by John Ellis, Pete Kovac and Hans Boehm. Trees of several depths are built top-down and bottom-up
 * and dropped, while one tree and one array of doubles stay. Its parameters are the defaults. mt-gcbench is the same on several
 * threads at once, each with trees and an array of its own, all on one heap. */
#include "crew.h"

struct node {
    be_slot left, right;
    int i, j;
};
#define LEFT BE_SLOT(struct node, left)
#define RIGHT BE_SLOT(struct node, right)
#define POLL_DEPTH 8

static void prepare(struct run *run)
{
    (void)run;
}

static uint64_t tree_size(int depth)
{
    return (1ull << (depth + 1)) - 1;
}

static be_ref new_node(be_heap *h, be_type type)
{
    be_ref node = be_new(h, type);
    be_init_none(h, node, LEFT);
    be_init_none(h, node, RIGHT);
    struct node *at = be_at(h, node);
    at->i = at->j = 0;
    return node;
}

static void populate(be_heap *h, be_type type, int depth, be_ref node)
{
    if (depth <= 0)
        return;
    if (depth == POLL_DEPTH)
        be_poll(h);
    be_ref left = new_node(h, type), right = new_node(h, type);
    be_init(h, node, LEFT, left);
    be_init(h, node, RIGHT, right);
    populate(h, type, depth - 1, left);
    populate(h, type, depth - 1, right);
}

static be_ref make_tree(be_heap *h, be_type type, int depth)
{
    if (depth <= 0)
        return new_node(h, type);
    if (depth == POLL_DEPTH)
        be_poll(h);
    be_ref left = make_tree(h, type, depth - 1);
    be_ref right = make_tree(h, type, depth - 1);
    be_ref node = new_node(h, type);
    be_init(h, node, LEFT, left);
    be_init(h, node, RIGHT, right);
    return node;
}

static void drop(be_heap *h, be_ref node)
{
    if (BE_EXPLICIT) {
        be_ref left = be_peek(h, node, LEFT), right = be_peek(h, node, RIGHT);
        if (left)
            drop(h, left);
        if (right)
            drop(h, right);
    }
    be_discard(h, node);
}

static uint64_t count(be_heap *h, be_ref node)
{
    be_ref left = be_peek(h, node, LEFT), right = be_peek(h, node, RIGHT);
    return 1 + (left ? count(h, left) : 0) + (right ? count(h, right) : 0);
}

static uint64_t time_construction(be_heap *h, be_type type, int depth, int stretch_depth)
{
    uint64_t rounds = 2 * tree_size(stretch_depth) / tree_size(depth);
    for (uint64_t i = 0; i < rounds; i++) {
        be_ref tree = new_node(h, type);
        populate(h, type, depth, tree);
        drop(h, tree);
        be_poll(h);
    }
    for (uint64_t i = 0; i < rounds; i++) {
        drop(h, make_tree(h, type, depth));
        be_poll(h);
    }
    return 2 * rounds * tree_size(depth);
}

static be_ref make_array(be_heap *h, be_type type, size_t size)
{
    be_ref array = be_bytes(h, type, sizeof(struct blob) + size * sizeof(double));
    double *values = (double *)((struct blob *)be_at(h, array))->data;
    for (size_t i = 0; i < size / 2; i++)
        values[i] = 1.0 / (double)(i + 1);
    return array;
}

static be_type node_type, bytes_type;

struct result {
    uint64_t nodes, checksum;
    be_ref long_lived, array;
};

static void bench(const struct run *run, be_heap *h, struct result *result)
{
    int stretch = (int)run_param(run, "stretch-depth"), kept = (int)run_param(run, "long-lived-depth");
    size_t array_size = run_param(run, "array-size");
    drop(h, make_tree(h, node_type, stretch));
    result->nodes = tree_size(stretch) + tree_size(kept);
    result->long_lived = new_node(h, node_type);
    populate(h, node_type, kept, result->long_lived);
    result->array = make_array(h, bytes_type, array_size);
    for (int d = (int)run_param(run, "min-depth"); d <= (int)run_param(run, "max-depth"); d += 2)
        result->nodes += time_construction(h, node_type, d, stretch);
    const double *values = (double *)((struct blob *)be_at(h, result->array))->data;
    result->checksum = checksum_of((uint64_t)(values[array_size / 4] * 1e12));
    result->checksum += checksum_of(count(h, result->long_lived));
}

static void let_go(be_heap *h, struct result *result)
{
    drop(h, result->long_lived);
    be_discard(h, result->array);
    result->long_lived = result->array = 0;
}

static void register_types(struct run *run)
{
    node_type = be_node_type(run->heap, "node", sizeof(struct node), 2);
    bytes_type = be_bytes_type(run->heap);
}

static void run_gcbench(struct run *run)
{
    struct result result;
    register_types(run);
    phase_begin(run);
    bench(run, run->heap, &result);
    run->checksum += result.checksum;
    phase_end(run, "run", result.nodes, tree_size((int)run_param(run, "long-lived-depth")) * sizeof(struct node) +
                                            run_param(run, "array-size") * sizeof(double));
    let_go(run->heap, &result);
}

static void work(struct member *m)
{
    struct result result;
    bench(m->run, m->heap, &result);
    m->operations = result.nodes;
    m->checksum = result.checksum;
    let_go(m->heap, &result);
}

static void run_mt_gcbench(struct run *run)
{
    register_types(run);
    phase_begin(run);
    uint64_t operations = crew_run(run, (unsigned)run_param(run, "threads"), work);
    phase_end(run, "run", operations, 0);
    be_check_empty(run->heap);
}

const struct workload wl_gcbench = {"gcbench", prepare, run_gcbench};
const struct workload wl_mt_gcbench = {"mt-gcbench", prepare, run_mt_gcbench};
