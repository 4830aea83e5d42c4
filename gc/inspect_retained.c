/* gc/inspect_retained.c: retained bytes, by the dominator tree of what is held from outside.
 *
 * T. Lengauer and R. E. Tarjan, A fast algorithm for finding dominators in a flowgraph, TOPLAS 1 (1979), in its simple form (path
 * compression, no balancing): O(references × log objects) whatever the graph looks like. Cooper, Harvey and Kennedy's iteration is
 * shorter, but takes quadratic time on a long list with something behind it that both its ends refer to. Nothing recurs. */
#include "gc/inspect.h"

/* Vertices are numbered as a depth-first walk comes to them, from the root, which is 0. */
typedef struct tree {
    mid_graph *g;
    mid_array memory, sums;
    uint32_t count;     /* vertices, the root too */
    uint32_t *into;     /* by node: where those begin that refer to it, in `from`; ... */
    uint32_t *from;     /* ... nodes */
    uint32_t *vertex;   /* by node; 0: garbage */
    uint32_t *node, *parent, *semi, *ancestor, *label, *dominator; /* by vertex */
    uint32_t *bucket, *next; /* vertices whose semidominator it is */
    uint32_t *stack;
    uint64_t *retained; /* by vertex */
} tree;

#define NONE UINT32_MAX

static mid_status tree_room(tree *t)
{
    uint32_t **parts[] = {&t->vertex, &t->node, &t->parent, &t->semi, &t->ancestor, &t->label, &t->dominator, &t->bucket, &t->next, &t->stack, &t->into};
    const size_t each = (size_t)t->g->node_count + 2, some = sizeof parts / sizeof *parts;
    mid_status status = mid_graph_room(t->g, &t->memory, (each * some + t->g->edge_count) * sizeof(uint32_t));
    if (status == MID_OK)
        status = mid_graph_room(t->g, &t->sums, each * sizeof(uint64_t));
    if (status != MID_OK)
        return status;
    for (size_t i = 0; i < some; i++)
        *parts[i] = (uint32_t *)t->memory.data + i * each;
    t->from = (uint32_t *)t->memory.data + some * each;
    t->retained = t->sums.data;
    for (size_t i = 0; i < each; i++)
        t->vertex[i] = t->into[i] = 0;
    return MID_OK;
}

/* into[n] counts, then is where the next one goes, and in the end where the first is. */
static void turn_round(tree *t)
{
    const mid_graph *g = t->g;
    for (uint32_t e = 0; e < g->edge_count; e++)
        t->into[mid_edge_at(g, e)->to]++;
    for (uint32_t n = 1; n <= g->node_count + 1; n++)
        t->into[n] += t->into[n - 1];
    for (uint32_t n = g->node_count; n != 0; n--)
        for (uint32_t e = mid_node_at(g, n)->first; e < mid_node_at(g, n + 1)->first; e++)
            t->from[--t->into[mid_edge_at(g, e)->to]] = n;
}

static void enter(tree *t, uint32_t n, uint32_t parent)
{
    uint32_t v = t->count++;
    t->vertex[n] = v;
    t->node[v] = n;
    t->parent[v] = parent;
    t->semi[v] = t->label[v] = v;
    t->ancestor[v] = t->bucket[v] = NONE;
    t->next[v] = mid_node_at(t->g, n)->first; /* the walk's place in it, until the buckets need it */
}

static void walk_from(tree *t, uint32_t n)
{
    const mid_graph *g = t->g;
    uint32_t height = 0;
    enter(t, n, 0);
    t->stack[height++] = t->vertex[n];
    while (height != 0) {
        uint32_t v = t->stack[height - 1];
        if (t->next[v] == mid_node_at(g, t->node[v] + 1)->first) {
            height--;
            continue;
        }
        uint32_t to = mid_edge_at(g, t->next[v]++)->to;
        if (t->vertex[to] != 0)
            continue;
        enter(t, to, v);
        t->stack[height++] = t->vertex[to];
    }
}

static void number_vertices(tree *t)
{
    enter(t, 0, 0);
    for (uint32_t n = 1; n <= t->g->node_count; n++)
        if (mid_node_held(mid_node_at(t->g, n)) && t->vertex[n] == 0)
            walk_from(t, n);
}

/* The vertex of least semidominator between v and the root of its tree in the forest; the way is made short. */
static uint32_t eval(tree *t, uint32_t v)
{
    uint32_t height = 0;
    if (t->ancestor[v] == NONE)
        return v;
    for (uint32_t at = v; t->ancestor[t->ancestor[at]] != NONE; at = t->ancestor[at])
        t->stack[height++] = at;
    while (height != 0) {
        uint32_t at = t->stack[--height], up = t->ancestor[at];
        if (t->semi[t->label[up]] < t->semi[t->label[at]])
            t->label[at] = t->label[up];
        t->ancestor[at] = t->ancestor[up];
    }
    return t->label[v];
}

static void find_semi(tree *t, uint32_t v)
{
    const uint32_t n = t->node[v];
    if (mid_node_held(mid_node_at(t->g, n)))
        t->semi[v] = 0;
    for (uint32_t i = t->into[n]; i < t->into[n + 1]; i++) {
        uint32_t from = t->vertex[t->from[i]];
        if (from == 0) /* garbage */
            continue;
        uint32_t least = t->semi[eval(t, from)];
        if (least < t->semi[v])
            t->semi[v] = least;
    }
}

static void find_dominators(tree *t)
{
    for (uint32_t v = t->count - 1; v != 0; v--) {
        find_semi(t, v);
        t->next[v] = t->bucket[t->semi[v]];
        t->bucket[t->semi[v]] = v;
        const uint32_t parent = t->parent[v];
        t->ancestor[v] = parent;
        for (uint32_t w = t->bucket[parent]; w != NONE; w = t->next[w]) {
            uint32_t u = eval(t, w);
            t->dominator[w] = t->semi[u] < t->semi[w] ? u : parent;
        }
        t->bucket[parent] = NONE;
    }
    t->dominator[0] = 0;
    for (uint32_t v = 1; v < t->count; v++)
        if (t->dominator[v] != t->semi[v])
            t->dominator[v] = t->dominator[t->dominator[v]];
}

static void add_up(tree *t)
{
    for (uint32_t v = 0; v < t->count; v++)
        t->retained[v] = v == 0 ? 0 : mid_node_at(t->g, t->node[v])->bytes;
    for (uint32_t v = t->count - 1; v != 0; v--)
        t->retained[t->dominator[v]] += t->retained[v];
}

static void tell_all(const tree *t, int (*fn)(void *, const mid_retention *), void *context)
{
    bool over = false;
    for (uint32_t n = 1; n <= t->g->node_count && !over; n++) {
        const mid_node *node = mid_node_at(t->g, n);
        const uint32_t v = t->vertex[n];
        mid_retention retention = {.object = node->handle, .type = node->type, .bytes = node->bytes, .held = mid_node_held(node)};
        if (v != 0) {
            retention.retained = t->retained[v];
            retention.dominator = mid_node_at(t->g, t->node[t->dominator[v]])->handle;
        }
        over = fn(context, &retention) != 0;
    }
}

mid_status mid_inspect_retained(mid_thread *thread, int (*fn)(void *, const mid_retention *), void *context)
{
    mid_graph g;
    tree t = {.g = &g};
    if (fn == NULL)
        return MID_ENULL;
    mid_status status = mid_graph_take(&g, thread, NULL);
    if (status != MID_OK)
        return status;
    status = tree_room(&t);
    if (status == MID_OK) {
        turn_round(&t);
        number_vertices(&t);
        find_dominators(&t);
        add_up(&t);
    }
    mid_graph_resume(&g, thread);
    if (status == MID_OK)
        tell_all(&t, fn, context);
    mid_array_drop(g.heap, &t.memory);
    mid_array_drop(g.heap, &t.sums);
    mid_graph_done(&g);
    return status;
}
