/* wl_rings.c: doubly linked rings, built and dropped. With malloc each node is freed by a walk; elsewhere the heap has to
 * find out by itself that the ring is garbage. With --live a new ring takes the place of one drawn at random from a table,
 * without it is dropped as soon as it is built. */
#include <stdbool.h>

#include "worker.h"

struct link {
    be_slot next, prev;
};
#define NEXT BE_SLOT(struct link, next)
#define PREV BE_SLOT(struct link, prev)

enum { POLL_EVERY = 256, WALK_EVERY = 64 };

static be_ref *table;
static uint32_t places;

static void prepare(struct run *run)
{
    uint64_t size = run_param(run, "size");
    places = (uint32_t)(run_param(run, "live") / size);
    if (places == 0)
        places = 1;
    table = driver_array(places, sizeof *table);
}

/* The ring is held by the reference returned, each node beside that by its two neighbours. */
static be_ref build(be_heap *h, be_type type, uint32_t size)
{
    be_ref first = be_new(h, type), last = first;
    be_init_none(h, first, NEXT);
    be_init_none(h, first, PREV);
    for (uint32_t i = 1; i < size; i++) {
        be_ref node = be_new(h, type);
        be_init_none(h, node, NEXT);
        be_init_none(h, node, PREV);
        be_init(h, node, PREV, be_share(h, last));
        be_init(h, last, NEXT, node);
        last = node;
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
    be_init(h, last, NEXT, be_share(h, first));
    be_init(h, first, PREV, be_share(h, last));
    return first;
}

static uint64_t walk(be_heap *h, be_ref first)
{
    uint64_t nodes = 0;
    be_ref node = first;
    do {
        be_ref next = be_peek(h, node, NEXT);
        nodes += be_peek(h, next, PREV) == node;
        node = next;
    } while (node != first);
    return nodes;
}

static void drop(be_heap *h, be_ref first)
{
    if (BE_EXPLICIT) {
        for (be_ref node = be_peek(h, first, NEXT); node != first;) {
            be_ref next = be_peek(h, node, NEXT);
            be_discard(h, node);
            node = next;
        }
    }
    be_discard(h, first);
}

static void run_rings(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "link", sizeof(struct link), 2);
    uint32_t size = (uint32_t)run_param(run, "size");
    uint64_t rings = run_param(run, "nodes") / size, nodes = 0;
    bool keep = run_param(run, "live") != 0;
    struct random random = run_random(run);
    be_roots(h, table, places);
    phase_begin(run);
    for (uint64_t i = 0; i < rings; i++) {
        be_ref *place = &table[i < places ? i : random_below(&random, places)];
        if (*place)
            drop(h, *place);
        *place = build(h, type, size);
        if (i % WALK_EVERY == 0)
            run_checksum(run, walk(h, *place));
        if (!keep) {
            drop(h, *place);
            *place = 0;
        }
        nodes += size;
        if (size < POLL_EVERY && nodes % POLL_EVERY < size)
            be_poll(h);
    }
    phase_end(run, "run", nodes, keep ? (uint64_t)places * size * sizeof(struct link) : 0);
}

const struct workload wl_rings = {"rings", prepare, run_rings};
