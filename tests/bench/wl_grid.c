/* wl_grid.c: rings with leaf data on their first node, of every size and payload, in place of one drawn at random from a table of
 * live ones, or dropped as soon as they are built. Every cell of the grid allocates the same number of bytes, a node taken for
 * NODE of them whatever the heap makes of it: a small ring drags a large payload along, or a large ring none. */
#include "blob.h"
#include "graph.h"
#include "litter.h"

enum { NODE = 32 };

static be_ref *table;
static uint32_t places, size;
static uint64_t payload, count;
static be_type node_type, bytes_type;

static void prepare(struct run *run)
{
    size = (uint32_t)run_param(run, "size");
    payload = run_param(run, "payload");
    if (payload && payload < sizeof(struct blob))
        payload = sizeof(struct blob);
    uint64_t bytes = (uint64_t)size * NODE + payload;
    count = run_param(run, "bytes") / bytes;
    count = count ? count : 1;
    places = (uint32_t)(run_param(run, "live") / bytes);
    table = driver_array(places ? places : 1, sizeof *table);
    litter_prepare(run, count);
}

static be_ref build(be_heap *h, uint64_t number)
{
    struct chain ring = {0};
    for (uint32_t i = 0; i < size; i++) {
        chain_add(h, &ring, node_make(h, node_type, (uint32_t)number + i));
        if (i == 0 && payload)
            be_init(h, ring.first, A, blob_make(h, bytes_type, payload, (uint32_t)number));
        if (i % GRAPH_POLL_EVERY == GRAPH_POLL_EVERY - 1)
            be_poll(h);
    }
    chain_close(h, &ring);
    return ring.first;
}

static uint64_t objects_of_one(void)
{
    return (uint64_t)size + (payload != 0);
}

static void drop(be_heap *h, be_ref ring, uint64_t number)
{
    litter_drop(h, ring, objects_of_one(), number);
    if (BE_EXPLICIT && payload)
        be_discard(h, be_peek(h, ring, A));
    chain_discard(h, ring, size);
}

static uint64_t fill(struct run *run)
{
    for (uint32_t i = 0; i < places; i++) {
        table[i] = build(run->heap, i);
        be_poll(run->heap);
    }
    return places * ((uint64_t)size * sizeof(struct node) + payload);
}

static void cells(struct run *run)
{
    be_heap *h = run->heap;
    uint64_t since_poll = 0, reachable = places * objects_of_one();
    struct random random = run_random(run);
    for (uint64_t i = 0; i < count; i++) {
        be_ref ring = build(h, i);
        if (places > 0) {
            be_ref *place = &table[random_below(&random, places)];
            be_ref old = *place;
            *place = ring;
            ring = old;
        }
        drop(h, ring, i);
        since_poll += size;
        if (since_poll >= GRAPH_POLL_EVERY) {
            be_poll(h);
            since_poll = 0;
        }
        litter_look(h, i + 1, reachable);
    }
}

static void check(struct run *run)
{
    be_heap *h = run->heap;
    for (uint32_t i = 0; i < places; i++) {
        uint32_t nodes = 1;
        for (be_ref node = be_peek(h, table[i], B); node != table[i]; node = be_peek(h, node, B))
            nodes++;
        run_checksum(run, (uint64_t)((struct node *)be_at(h, table[i]))->id << 32 | nodes);
        if (payload)
            blob_check(run, h, be_peek(h, table[i], A));
    }
    run_checksum(run, count);
}

static void run_grid(struct run *run)
{
    be_heap *h = run->heap;
    node_type = be_node_type(h, "node", sizeof(struct node), 2);
    bytes_type = be_bytes_type(h);
    be_roots(h, table, places ? places : 1);
    uint64_t live = fill(run);
    phase_begin(run);
    litter_begin(count);
    cells(run);
    phase_end(run, "run", count * size, live);
    check(run);
    litter_end(run, count, places * objects_of_one());
}

const struct workload wl_grid = {"grid", prepare, run_grid};
