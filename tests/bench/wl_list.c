/* wl_list.c: list-drop: a long singly linked list, released at once. The drop phase ends when all of it is freed; the longest
 * single call in it is in call_ns. With Boehm, dropping is one collection. */
#include "worker.h"

struct item {
    be_slot next;
    uint32_t value;
};
#define NEXT BE_SLOT(struct item, next)

enum { POLL_EVERY = 256 };

static void prepare(struct run *run)
{
    run_times_calls(run);
}

static be_ref build(be_heap *h, be_type type, uint32_t nodes)
{
    be_ref list = 0;
    for (uint32_t i = 0; i < nodes; i++) {
        be_ref item = be_new(h, type);
        be_init(h, item, NEXT, list);
        ((struct item *)be_at(h, item))->value = i;
        list = item;
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
    return list;
}

static void walk(struct run *run, be_heap *h, be_ref list)
{
    for (be_ref item = list; item; item = be_peek(h, item, NEXT))
        run_checksum(run, ((struct item *)be_at(h, item))->value);
}

static void drop(be_heap *h, be_ref list)
{
    if (BE_EXPLICIT) {
        while (list) {
            be_ref next = be_peek(h, list, NEXT);
            be_discard(h, list);
            list = next;
        }
    } else {
        be_discard(h, list);
    }
}

static void run_list(struct run *run)
{
    be_heap *h = run->heap;
    be_type type = be_node_type(h, "item", sizeof(struct item), 1);
    uint32_t nodes = (uint32_t)run_param(run, "nodes");
    phase_begin(run);
    be_ref list = build(h, type, nodes);
    phase_end(run, "build", nodes, (uint64_t)nodes * sizeof(struct item));
    walk(run, h, list);
    phase_begin(run);
    uint64_t start = now_ns();
    drop(h, list);
    list = 0;
    run_called(run, start, now_ns());
    be_finish_frees(h);
    phase_end(run, "drop", nodes, 0);
}

const struct workload wl_list_drop = {"list-drop", prepare, run_list};
