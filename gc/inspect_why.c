/* gc/inspect_why.c: what is reached from outside, and the shortest way to one object. */
#include "gc/inspect.h"

static uint32_t *parent_at(const mid_graph *g, uint32_t n)
{
    return (uint32_t *)g->parents.data + n;
}

mid_status mid_graph_reach(mid_graph *g, uint32_t wanted)
{
    mid_status status = mid_graph_room(g, &g->parents, ((size_t)g->node_count + 1) * sizeof(uint32_t));
    if (status == MID_OK)
        status = mid_graph_room(g, &g->queue, ((size_t)g->node_count + 1) * sizeof(uint32_t));
    if (status != MID_OK)
        return status;
    uint32_t *queue = g->queue.data, in = 0;
    for (uint32_t n = 0; n <= g->node_count; n++) {
        bool held = n != 0 && mid_node_held(mid_node_at(g, n));
        *parent_at(g, n) = held ? n : 0;
        if (held)
            queue[in++] = n;
    }
    for (uint32_t out = 0; out < in && (wanted == 0 || *parent_at(g, wanted) == 0); out++) {
        const mid_node *node = mid_node_at(g, queue[out]);
        for (uint32_t e = node->first; e < node[1].first; e++) {
            uint32_t to = mid_edge_at(g, e)->to;
            if (*parent_at(g, to) != 0)
                continue;
            *parent_at(g, to) = queue[out];
            queue[in++] = to;
        }
    }
    return MID_OK;
}

/* The first slot of `from` that refers to `to`. */
static mid_reference reference(const mid_graph *g, uint32_t from, uint32_t to)
{
    const mid_node *node = mid_node_at(g, from);
    uint32_t e = node->first;
    while (mid_edge_at(g, e)->to != to)
        e++;
    return (mid_reference){node->handle, mid_edge_at(g, e)->slot, mid_node_at(g, to)->handle};
}

static size_t tell_way(const mid_graph *g, uint32_t to, mid_reference *path, size_t room)
{
    size_t length = 0;
    for (uint32_t n = to; *parent_at(g, n) != n; n = *parent_at(g, n))
        length++;
    size_t at = length;
    for (uint32_t n = to, up; (up = *parent_at(g, n)) != n; n = up)
        if (--at < room)
            path[at] = reference(g, up, n);
    return length;
}

mid_status mid_inspect_why(mid_thread *thread, mid_handle object, mid_reference *path, size_t room, size_t *length)
{
    mid_graph g;
    if (length == NULL || (path == NULL && room != 0))
        return MID_ENULL;
    mid_status status = mid_graph_take(&g, thread, &object);
    if (status != MID_OK)
        return status;
    status = mid_graph_reach(&g, object);
    if (status == MID_OK && *parent_at(&g, object) == 0)
        status = MID_EUNHELD;
    if (status == MID_OK)
        *length = tell_way(&g, object, path, room);
    mid_graph_resume(&g, thread);
    mid_graph_done(&g);
    return status;
}
