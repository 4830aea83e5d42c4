/* cmd_catalog.c: the tables of catalog.h. */
#include "catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED {"seed", "1", "1", "of the random numbers", 0, 1000000000000}
#define IDLE(value) {"idle", value, "40", "most milliseconds waited for memory to go back", 1, 3600000}
#define HOLD {"hold", "beside", "beside,array", "the references: beside the heap, or in an array of its own", 0, HOLD_ARRAY}
#define THREADS {"threads", "1,2,4,8", "1,3", "at a time", 1, 255} /* one less than CREW_MAX: stops has one more */

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
    {"r1", "a store under an LRU limit, small values, then larger ones under other keys", WL_LEAVES | WL_MEMORY,
     {{"limit", "100000000", "200000", "bytes kept", 1000, 1000000000000},
      {"first", "700000", "1400", "values of 240 bytes", 1, 1000000000},
      {"second", "170000", "340", "values of 492 bytes, then", 1, 1000000000},
      IDLE("2000"),
      SEED,
      HOLD}},
    {"r2", "strings of which one in four is kept, then filled up with ones twice as long, again and again", WL_LEAVES | WL_MEMORY,
     {{"bytes", "134217728", "400000", "filled in each round", 4096, 1000000000000},
      {"length", "64", "32", "bytes of a string at first", 16, 4096},
      {"rounds", "5", "3", "of filtering and filling up", 1, 16},
      IDLE("2000"),
      SEED,
      HOLD}},
    {"r3", "objects of 16-512 bytes, a random 90 % freed, then objects of 1-2 KiB", WL_LEAVES | WL_MEMORY,
     {{"bytes", "536870912", "1000000", "filled, and filled again", 1, 1000000000000},
      IDLE("2000"),
      SEED,
      HOLD}},
    {"r4", "three sizes, 19 of 20 freed, idle, then filled again", WL_LEAVES | WL_MEMORY,
     {{"objects", "300000", "900", "half of 512 bytes, a third of 1 KiB, a sixth of 2 KiB", 1, 1000000000},
      {"keep", "20", "20", "one in so many stays", 1, 1000000000},
      IDLE("10000"),
      SEED,
      HOLD}},
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
    {"steady", "a large live graph, constant garbage, stores into old objects; every call timed",
     WL_CYCLES | WL_PAUSES | WL_PER_OP | WL_GARBAGE,
     {{"live", "10000000", "5000", "objects with two random references each", 1, 1000000000},
      {"operations", "20000000", "60000", "allocations", 1, 1000000000000},
      {"store-every", "16", "16", "operations between two stores into an old object", 1, 1000000000},
      {"cycle-every", "2", "2", "pairs of garbage objects between two that refer to each other", 1, 1000000000},
      SEED,
      {"garbage", "pairs", "pairs,acyclic,rings,lists,giant", "its form: pairs, acyclic, rings, lists or giant", 0, GARBAGE_GIANT},
      {"ring", "8", "8", "nodes of a ring, or of what is acyclic", 1, 1000000000},
      {"refer-every", "8", "2", "nodes of rings and of what is acyclic, of which one refers to the live graph", 1, 1000000000}}},
    {"small-cycles", "rings of a few nodes made and dropped: the most ever uncollected",
     WL_CYCLES | WL_PAUSES | WL_PER_OP | WL_GARBAGE,
     {{"cycles", "1000000", "20000", "in all", 1, 1000000000},
      {"live", "1000", "100", "objects that stay", 1, 1000000000},
      {"least", "2", "2", "nodes of a ring", 1, 1000000},
      {"most", "8", "8", "nodes of a ring", 1, 1000000},
      SEED}},
    {"grid", "rings with leaf data, of every size, payload and live set; the same bytes in every cell",
     WL_CYCLES | WL_LEAVES | WL_GARBAGE,
     {{"size", "1,100,10000", "1,10", "nodes of a ring", 1, 100000000},
      {"payload", "0,65536", "100", "bytes of leaf data on a ring", 0, 1000000000},
      {"live", "0,67108864", "0,20000", "bytes of rings that stay until another takes their place", 0, 1000000000000},
      {"bytes", "268435456", "300000", "allocated in all, 32 a node", 1, 1000000000000},
      SEED}},
    {"old-root", "the root of a large live graph, retained and released a million times",
     WL_CYCLES | WL_PAUSES | WL_PER_OP | WL_GARBAGE,
     {{"live", "1000000", "5000", "objects with two random references each", 1, 1000000000},
      {"operations", "1000000", "3000", "times retained and released", 1, 1000000000000},
      {"burst", "1000", "1000", "times between two rests", 1, 1000000000},
      {"rest", "1000", "10", "microseconds", 0, 3600000000},
      SEED}},
    {"idle", "a heap that nobody uses, or with --spinner the machine alone", WL_GARBAGE,
     {{"idle", "2000", "10", "milliseconds", 1, 3600000}}},
    {"actors", "actors with mailboxes and behaviours, each on a cycle, that come and go",
     WL_CYCLES | WL_PER_OP | WL_GARBAGE | WL_THREADS,
     {THREADS,
      {"actors", "10000", "100", "of each thread", 1, 1000000},
      {"operations", "4000000", "20000", "messages, in all", 1, 1000000000000},
      {"turnover", "8", "8", "operations between two actors that go", 1, 1000000000},
      SEED}},
    {"larson", "blocks replaced at random, by threads that inherit them from others (Larson and Krishnan's)",
     WL_LEAVES | WL_PER_OP | WL_THREADS,
     {THREADS,
      {"blocks", "1000", "50", "of each thread", 1, 1000000},
      {"least", "10", "10", "bytes of a block", 8, 1000000},
      {"most", "500", "500", "bytes of a block", 8, 1000000},
      {"rounds", "100", "3", "a thread lives, each as many replacements as it has blocks", 1, 1000000},
      {"operations", "20000000", "3000", "replacements, in all", 1, 1000000000000},
      SEED}},
    {"xmalloc-test", "half of the threads allocate, the others free", WL_LEAVES | WL_PER_OP | WL_THREADS,
     {THREADS,
      {"size", "64", "64", "bytes of an object", 8, 1000000},
      {"batch", "4096", "64", "objects that are passed on together", 1, 1000000},
      {"batches", "100", "5", "at most, at a time", 1, 100000},
      {"operations", "8000000", "20000", "objects, in all", 1, 1000000000000}}},
    {"mstress", "objects of many sizes exchanged between threads that come and go (mimalloc's)", WL_LEAVES | WL_PER_OP | WL_THREADS,
     {THREADS,
      {"rounds", "10", "3", "each with fresh threads", 1, 1000000},
      {"objects", "200000", "2000", "in a round, and half as many that stay for it", 1, 1000000000},
      {"transfers", "1000", "50", "places where objects are exchanged", 1, 100000000},
      SEED}},
    {"mt-gcbench", "gcbench on each thread, all on one heap", WL_NODES | WL_LEAVES | WL_PER_OP | WL_THREADS,
     {THREADS,
      {"stretch-depth", "17", "8", "of the tree that stretches the heap", 1, 30},
      {"long-lived-depth", "15", "6", "of the tree that stays", 1, 30},
      {"array-size", "250000", "2000", "doubles in the array that stays", 4, 100000000},
      {"min-depth", "4", "4", "of the trees that come and go", 1, 30},
      {"max-depth", "15", "6", "of the trees that come and go", 1, 30}}},
    {"shared-map", "a hash map that threads read and change", WL_NODES | WL_LEAVES | WL_PER_OP | WL_THREADS,
     {THREADS,
      {"keys", "100000", "1000", "of which about half are in the map", 2, 1000000000},
      {"operations", "5000000", "20000", "in all", 1, 1000000000000},
      {"inserts", "5", "5", "of 100 operations", 0, 100},
      {"removes", "5", "5", "of 100 operations; the rest are lookups", 0, 100},
      {"epochs", "8", "3", "after which other threads change a key", 1, 1000000},
      SEED}},
    {"messages", "pairs of threads pass small graphs of objects through a queue", WL_NODES | WL_LEAVES | WL_PER_OP | WL_THREADS,
     {THREADS,
      {"messages", "500000", "2000", "in all", 1, 1000000000000},
      {"parts", "8", "8", "nodes of a message beside its root", 0, 1000000},
      {"blob", "64", "64", "bytes of a message's blob", 8, 1000000},
      {"queue", "64", "4", "messages in a queue at most", 1, 1000000}}},
    {"stops", "time until running threads stand still", WL_OWN | WL_PAUSES | WL_PER_OP,
     {{"threads", "2", "2", "that run", 1, 255},
      {"stops", "2000", "20", "asked for", 1, 1000000000},
      {"interval", "500", "500", "microseconds between two", 1, 999999},
      {"poll-every", "1000", "1000", "nanoseconds of a thread between two polls", 0, 1000000000}}},
    {"evacuate", "sparse pools evacuated, beside a bare loop that does the same copies", WL_OWN | WL_PER_OP,
     {{"size", "64,256,1024,4096", "64,0", "bytes of an object; 0: 16 to 512, at random", 0, 32768},
      {"bytes", "268435456", "1000000", "filled", 1, 1000000000000},
      {"keep", "25", "25", "of 100 objects that stay", 0, 100},
      SEED}},
    {"micro", "single calls on a few objects in the cache", WL_PER_OP,
     {{"operations", "20000000", "20000", "of each kind", 1, 1000000000000}}},
    {NULL, NULL, 0, {{NULL, NULL, NULL, NULL, 0, 0}}},
};

const struct bench_variant bench_variants[] = {
    {"midden", "default", 0, 0, ~0u, 0},
    {"midden", "acyclic", WL_NODES, WL_CYCLES, WL_NODES, WL_THREADS},
    {"midden", "daemon=off", 0, WL_CYCLES, 0, 0},
    {"midden", "deep", WL_MEMORY, 0, 0, 0},
    {"midden", "sampled", 0, 0, 0, 0},
    {"midden", "traced", 0, 0, 0, 0},
    {"boehm", "plain", 0, WL_OWN, ~0u, WL_THREADS},
    {"boehm", "atomic", WL_LEAVES, WL_OWN, WL_LEAVES, WL_THREADS},
    {"boehm", "no-interior", 0, WL_OWN, 0, 0},
    {"boehm", "incremental", 0, WL_OWN, 0, 0},
    {"boehm", "markers=1", 0, WL_OWN, WL_THREADS, 0},
    {"boehm", "markers=2", 0, WL_OWN, WL_THREADS, 0},
    {"malloc", "default", 0, WL_OWN, ~0u, 0},
    {"mimalloc", "default", 0, WL_OWN, ~0u, 0},
    {"jemalloc", "default", 0, WL_OWN, ~0u, 0},
    {NULL, NULL, 0, 0, 0, 0},
};

const struct bench_plan bench_table_set[] = {
    {"binary-trees", "depth=18,21", NULL, NULL, false},
    {"gcbench", "", NULL, NULL, false},
    {"churn", "", NULL, NULL, false},
    {"r1", "", NULL, NULL, false},
    {"r2", "", NULL, NULL, true},
    {"r3", "", NULL, NULL, false},
    {"r4", "", NULL, NULL, false},
    {"r1", "hold=array", "midden", "deep", false},
    {"r1", "hold=array", "boehm malloc mimalloc jemalloc", NULL, true},
    {"r2", "hold=array", "midden", "deep", true},
    {"r3", "hold=array", "midden", "deep", false},
    {"r3", "hold=array", "boehm malloc mimalloc jemalloc", NULL, true},
    {"r4", "hold=array", "midden", "deep", true},
    {"rings", "size=10,100,1000", NULL, NULL, false},
    {"list-drop", "", NULL, NULL, false},
    {"chase", "", NULL, NULL, false},
    {"steady", "live=1000000 operations=12000000", NULL, NULL, false},
    {"steady", "live=10000000 operations=20000000", "midden boehm malloc", NULL, true},
    {"steady", "live=1000000 operations=12000000 garbage=rings,giant", "midden boehm malloc", NULL, true},
    {"small-cycles", "", NULL, NULL, false},
    {"grid", "", "midden boehm malloc", NULL, true},
    {"old-root", "", "midden boehm malloc", NULL, true},
    {"actors", "threads=1,2", NULL, NULL, false},
    {"larson", "", NULL, NULL, false},
    {"xmalloc-test", "", NULL, NULL, false},
    {"mstress", "", NULL, NULL, false},
    {"mt-gcbench", "", NULL, NULL, false},
    {"shared-map", "", NULL, NULL, false},
    {"messages", "", NULL, NULL, false},
    {"stops", "", NULL, NULL, false},
    {"evacuate", "", NULL, NULL, false},
    {"evacuate", "size=0 bytes=536870912 keep=10", NULL, NULL, false},
    {NULL, NULL, NULL, NULL, false},
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

bool bench_variant_by_default(const struct bench_variant *variant, const struct bench_workload *workload)
{
    return (variant->by_default & workload->kind) != 0 && (variant->unless & workload->kind) == 0;
}

int bench_param_find(const struct bench_workload *workload, const char *name)
{
    for (int i = 0; i < BENCH_PARAMS_MAX && workload->params[i].name; i++)
        if (strcmp(workload->params[i].name, name) == 0)
            return i;
    return -1;
}

static const struct {
    const char *name, *word[8]; /* value 0, 1, ... */
} worded[] = {{"garbage", {"pairs", "acyclic", "rings", "lists", "giant", NULL}}, {"hold", {"beside", "array", NULL}}};

static const char *const *words_of(const char *name)
{
    for (size_t i = 0; i < sizeof worded / sizeof *worded; i++)
        if (strcmp(worded[i].name, name) == 0)
            return worded[i].word;
    return NULL;
}

const char *bench_param_read(const char *name, const char *text, uint64_t *value)
{
    const char *const *words = words_of(name);
    if (words == NULL) {
        char *end;
        *value = strtoull(text, &end, 10);
        return *text < '0' || *text > '9' ? NULL : end;
    }
    size_t length = strcspn(text, ", ");
    for (*value = 0; words[*value]; ++*value)
        if (strlen(words[*value]) == length && strncmp(words[*value], text, length) == 0)
            return text + length;
    return NULL;
}

const char *bench_param_word(const char *name, uint64_t value)
{
    const char *const *words = words_of(name);
    while (words && *words && value > 0)
        words++, value--;
    return words ? *words : NULL;
}

void bench_param_write(const char *name, uint64_t value, char *text, size_t room)
{
    const char *word = bench_param_word(name, value);
    if (word)
        snprintf(text, room, "%s", word);
    else
        snprintf(text, room, "%" PRIu64, value);
}
