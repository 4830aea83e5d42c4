/* cmd_catalog.c: the tables of catalog.h. */
#include "catalog.h"

#include <string.h>

#define SEED {"seed", "1", "1", "of the random numbers", 0, 1000000000000}

const struct bench_workload bench_workloads[] = {
    {"binary-trees", "the benchmarks game's: a stretch tree, a long-lived tree, trees of depth 4 to N by 2", WL_NODES,
     {{"depth", "18", "8", "N", 1, 30}}},
    {"gcbench", "Ellis, Kovac and Boehm's: trees top-down and bottom-up beside a long-lived tree and array", WL_NODES | WL_LEAVES,
     {{"stretch-depth", "18", "8", "of the tree that stretches the heap", 1, 30},
      {"long-lived-depth", "16", "6", "of the tree that stays", 1, 30},
      {"array-size", "500000", "2000", "doubles in the array that stays", 4, 100000000},
      {"min-depth", "4", "4", "of the trees that come and go", 1, 30},
      {"max-depth", "16", "6", "of the trees that come and go", 1, 30}}},
    {"churn", "random replacement of leaf objects of 16-256 bytes, log-uniform", WL_LEAVES | WL_PER_OP,
     {{"live", "4000000", "5000", "objects", 1, 1000000000},
      {"operations", "8000000", "20000", "replacements", 1, 1000000000000},
      SEED}},
    {"r1", "a store under an LRU limit, small values, then larger ones under other keys", WL_LEAVES,
     {{"limit", "100000000", "200000", "bytes kept", 1000, 1000000000000},
      {"first", "700000", "1400", "values of 240 bytes", 1, 1000000000},
      {"second", "170000", "340", "values of 492 bytes, then", 1, 1000000000},
      {"idle", "2000", "40", "most milliseconds waited for memory to go back", 1, 3600000},
      SEED}},
    {"r3", "objects of 16-512 bytes, a random 90 % freed, then objects of 1-2 KiB", WL_LEAVES,
     {{"bytes", "536870912", "1000000", "filled, and filled again", 1, 1000000000000},
      {"idle", "2000", "40", "most milliseconds waited for memory to go back", 1, 3600000},
      SEED}},
    {"r4", "three sizes, 19 of 20 freed, idle, then filled again", WL_LEAVES,
     {{"objects", "300000", "900", "half of 512 bytes, a third of 1 KiB, a sixth of 2 KiB", 1, 1000000000},
      {"keep", "20", "20", "one in so many stays", 1, 1000000000},
      {"idle", "10000", "40", "most milliseconds waited for memory to go back", 1, 3600000},
      SEED}},
    {"rings", "doubly linked rings, built and dropped", WL_CYCLES | WL_PER_OP,
     {{"size", "10,100,1000", "10,100", "nodes of a ring", 1, 1000000000},
      {"nodes", "20000000", "40000", "in all", 1, 1000000000},
      {"live", "0", "0", "nodes of rings that stay until another takes their place", 0, 1000000000},
      SEED}},
    {"list-drop", "a long list, released at once", WL_NODES | WL_PER_OP,
     {{"nodes", "10000000", "50000", "of the list", 1, 1000000000}}},
    {"chase", "a walk over nodes held by one root, in allocation order and at random", WL_PAUSES | WL_PER_OP,
     {{"nodes", "4000000", "4000", "linked into one round", 1, 1000000000},
      {"hops", "8000000", "20000", "of each walk", 1, 1000000000000},
      SEED}},
    {"steady", "a large live graph, constant garbage, stores into old objects; every call timed", WL_CYCLES | WL_PAUSES | WL_PER_OP,
     {{"live", "10000000", "5000", "objects with two random references each", 1, 1000000000},
      {"operations", "20000000", "60000", "allocations", 1, 1000000000000},
      {"store-every", "16", "16", "operations between two stores into an old object", 1, 1000000000},
      {"cycle-every", "2", "2", "pairs of garbage objects between two that refer to each other", 1, 1000000000},
      SEED}},
    {"micro", "single calls on a few objects in the cache", WL_PER_OP,
     {{"operations", "20000000", "20000", "of each kind", 1, 1000000000000}}},
    {NULL, NULL, 0, {{NULL, NULL, NULL, NULL, 0, 0}}},
};

const struct bench_variant bench_variants[] = {
    {"midden", "default", 0, 0, ~0u},
    {"midden", "acyclic", WL_NODES, WL_CYCLES, WL_NODES},
    {"midden", "daemon=off", 0, WL_CYCLES, 0},
    {"boehm", "plain", 0, 0, ~0u},
    {"boehm", "atomic", WL_LEAVES, 0, WL_LEAVES},
    {"boehm", "no-interior", 0, 0, 0},
    {"boehm", "incremental", 0, 0, 0},
    {"boehm", "markers=1", 0, 0, 0},
    {"boehm", "markers=2", 0, 0, 0},
    {"malloc", "default", 0, 0, ~0u},
    {"mimalloc", "default", 0, 0, ~0u},
    {"jemalloc", "default", 0, 0, ~0u},
    {NULL, NULL, 0, 0, 0},
};

const struct bench_plan bench_table_set[] = {
    {"binary-trees", "depth=18,21", NULL, false},
    {"gcbench", "", NULL, false},
    {"churn", "", NULL, false},
    {"r1", "", NULL, false},
    {"r3", "", NULL, false},
    {"r4", "", NULL, false},
    {"rings", "size=10,100,1000", NULL, false},
    {"list-drop", "", NULL, false},
    {"chase", "", NULL, false},
    {"steady", "live=1000000 operations=12000000", NULL, false},
    {"steady", "live=10000000 operations=20000000", "midden boehm malloc", true},
    {NULL, NULL, NULL, false},
};

const char *const bench_heaps[] = {"midden", "boehm", "malloc", "mimalloc", "jemalloc", NULL};

const struct bench_workload *bench_workload_find(const char *name)
{
    const struct bench_workload *w = bench_workloads;
    while (w->name && strcmp(w->name, name) != 0)
        w++;
    return w->name ? w : NULL;
}

bool bench_heap_known(const char *name)
{
    const char *const *heap = bench_heaps;
    while (*heap && strcmp(*heap, name) != 0)
        heap++;
    return *heap != NULL;
}

bool bench_variant_fits(const struct bench_variant *variant, const struct bench_workload *workload)
{
    return (variant->needs == 0 || (variant->needs & workload->kind) != 0) && (variant->forbids & workload->kind) == 0;
}

int bench_param_find(const struct bench_workload *workload, const char *name)
{
    for (int i = 0; i < BENCH_PARAMS_MAX && workload->params[i].name; i++)
        if (strcmp(workload->params[i].name, name) == 0)
            return i;
    return -1;
}
