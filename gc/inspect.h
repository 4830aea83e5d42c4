/* gc/inspect.h: the graph as it was at a stop, for what takes longer to find out than the world should stand.
 *
 *   inspect.c           the calls that only walk
 *   inspect_graph.c     the copy: who is there, who refers to whom, who is held from outside
 *   inspect_why.c       what is reached from outside, and by which way
 *   inspect_retained.c  dominators
 *   inspect_snapshot.c  the file for Chrome's developer tools */
#ifndef MID_GC_INSPECT_H
#define MID_GC_INSPECT_H

#include "gc/heap.h"

typedef struct mid_node {
    mid_handle handle;
    mid_type type;
    uint64_t bytes;
    uint32_t first;   /* its references begin there; the next node's, and it has no more */
    int32_t outside;  /* counts that are not references; MID_EVER: immortal */
} mid_node;
#define MID_EVER INT32_MAX

typedef struct mid_edge {
    uint32_t to, slot;
} mid_edge;

/* Nodes are numbered from 1, in the order of the table; 0 stands for all that is outside. */
typedef struct mid_graph {
    mid_heap *heap;
    mid_array nodes, edges;
    mid_array numbers;    /* uint32_t, by index from first_index: of a node, or 0 */
    mid_array parents;    /* uint32_t[node_count + 1]: by which node it was reached first; itself: from outside; 0: not at all */
    mid_array queue;      /* uint32_t[node_count]: the order in which they were reached */
    uint32_t first_index, end_index;
    uint32_t node_count, edge_count;
    uint32_t type_count;
    mid_status status;    /* why it is not whole */
    const void *object;   /* in hand, while it is read */
    bool in_region;
    int cancel;           /* the thread's state of cancellation before */
} mid_graph;

static inline mid_node *mid_node_at(const mid_graph *g, uint32_t n)
{
    return (mid_node *)g->nodes.data + n;
}
static inline mid_edge *mid_edge_at(const mid_graph *g, uint32_t n)
{
    return (mid_edge *)g->edges.data + n;
}
static inline bool mid_node_held(const mid_node *node)
{
    return node->outside > 0;
}
/* Is it there to be looked at? Of what is being freed after a trial half is gone, its names others'. */
bool mid_inspectable(const mid_heap *heap, const mid_entry *entry);
static inline uint32_t mid_slot_number(const void *object, const mid_slot *slot)
{
    return (uint32_t)((size_t)((const char *)slot - (const char *)object) / sizeof *slot);
}

/* --- inspect_graph.c */
/* Copy it in a stop; the caller is then in a blocked region, if it can be. *object (null, or a handle) becomes the number of its node.
 * If MID_OK, to be followed by mid_graph_resume, when everything is reckoned, and mid_graph_done. */
mid_status mid_graph_take(mid_graph *g, mid_thread *thread, uint32_t *object);
/* The same; `during` (may be null) is called while the world still stands, after the copy, which is not made unless `copied`. */
mid_status mid_graph_take_with(mid_graph *g, mid_thread *thread, uint32_t *object, bool copied, mid_status (*during)(mid_graph *, void *),
                               void *context);
void mid_graph_resume(mid_graph *g, mid_thread *thread);
void mid_graph_done(mid_graph *g);
mid_status mid_graph_room(mid_graph *g, mid_array *array, size_t bytes);

/* --- inspect_why.c */
/* Breadth first from all that is held, until `wanted` (0: everything) is reached. */
mid_status mid_graph_reach(mid_graph *g, uint32_t wanted);

#endif
