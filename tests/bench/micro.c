/* micro.c: single calls on objects that stay in the cache: the least that each costs. Nanoseconds a call are the phase's
 * ns_per_op; the loop around the call is included. */
#include "worker.h"

struct node {
    be_slot a, b;
};
#define A BE_SLOT(struct node, a)
#define B BE_SLOT(struct node, b)

enum { NODES = 1024 };

static be_ref nodes[NODES];

static void prepare(struct run *run)
{
    (void)run;
}

static be_ref make(be_heap *h, be_type type)
{
    be_ref made = be_new(h, type);
    be_init_none(h, made, A);
    be_init_none(h, made, B);
    return made;
}

/* Keeps the compiler from dropping or hoisting what computes the value. */
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")

static void alloc_one(be_heap *h, be_type type, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        be_ref made = make(h, type);
        KEEP(made);
        be_discard(h, made);
    }
}

static void alloc_many(be_heap *h, be_type type, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += NODES) {
        for (int k = 0; k < NODES; k++)
            nodes[k] = make(h, type);
        for (int k = 0; k < NODES; k++) {
            be_discard(h, nodes[k]);
            nodes[k] = 0;
        }
        be_poll(h);
    }
}

#if defined(BENCH_MIDDEN)
static void retain_release(be_heap *h, be_type type, uint64_t n)
{
    (void)type;
    for (uint64_t i = 0; i < n; i++) {
        be_ref node = nodes[i % NODES];
        mid_retain(h, node);
        KEEP(node);
        mid_release(h, node);
    }
}

static void load_release(be_heap *h, be_type type, uint64_t n)
{
    (void)type;
    for (uint64_t i = 0; i < n; i++) {
        be_ref child = mid_load(h, nodes[i % NODES], A);
        KEEP(child);
        mid_release(h, child);
    }
}
#endif

static void get(be_heap *h, be_type type, uint64_t n)
{
    (void)type;
    for (uint64_t i = 0; i < n; i++)
        KEEP(be_at(h, nodes[i % NODES]));
}

static void peek(be_heap *h, be_type type, uint64_t n)
{
    (void)type;
    for (uint64_t i = 0; i < n; i++)
        KEEP(be_peek(h, nodes[i % NODES], A));
}

static void store(be_heap *h, be_type type, uint64_t n)
{
    (void)type;
    for (uint64_t i = 0; i < n; i++)
        be_store(h, nodes[i % NODES], B, nodes[(i + 1) % NODES]);
}

static void time_calls(struct run *run, const char *name, be_type type, void (*calls)(be_heap *, be_type, uint64_t))
{
    uint64_t n = run_param(run, "operations");
    phase_begin(run);
    calls(run->heap, type, n);
    phase_end(run, name, n, 0);
}

static void run_micro(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "node", sizeof(struct node), 2);
    time_calls(run, "alloc+release", type, alloc_one);
    time_calls(run, "alloc+release-1024", type, alloc_many);
    be_ref child = make(h, type);
    for (int k = 0; k < NODES; k++) {
        nodes[k] = make(h, type);
        be_store(h, nodes[k], A, child);
    }
    be_discard(h, BE_EXPLICIT ? 0 : child);
#if defined(BENCH_MIDDEN)
    time_calls(run, "retain+release", type, retain_release);
    time_calls(run, "load+release", type, load_release);
#endif
    time_calls(run, "get", type, get);
    time_calls(run, "peek", type, peek);
    time_calls(run, "store", type, store);
    run_checksum(run, NODES);
}

const struct workload wl_micro = {"micro", prepare, run_micro};
