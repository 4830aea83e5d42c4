/* gc/inspect_graph.c: a copy of the graph, made while the world stands.
 *
 * To tell what is held from outside all references are counted, as gc/check.c does: those of the dead that wait, too. */
#include "gc/inspect.h"

#include "gc/freeze.h"
#include "gc/refs.h"

bool mid_inspectable(const mid_heap *heap, const mid_entry *entry)
{
    return mid_entry_live(entry) && !(heap->committed && mid_watched(entry->count));
}

mid_status mid_graph_room(mid_graph *g, mid_array *array, size_t bytes)
{
    mid_lock(g->heap);
    mid_status status = mid_array_grow(&g->heap->alloc, array, bytes);
    mid_unlock(g->heap);
    return status;
}

static uint32_t number_of(const mid_graph *g, mid_handle value)
{
    uint32_t index = value / 2;
    bool inside = mid_is_object_(value) && index >= g->first_index && index < g->end_index;
    return inside ? ((const uint32_t *)g->numbers.data)[index - g->first_index] : 0;
}

static uint32_t uncount(mid_graph *g, mid_handle value)
{
    uint32_t to = number_of(g, value);
    mid_node *node = mid_node_at(g, to);
    if (to != 0 && node->outside != MID_EVER)
        node->outside--;
    return to;
}

static void forget_ref(void *context, mid_slot *slot)
{
    uncount(context, slot->bits_);
}

static void add_edge(void *context, mid_slot *slot)
{
    mid_graph *g = context;
    uint32_t to = uncount(g, slot->bits_);
    if (to == 0 || g->status != MID_OK)
        return;
    const size_t need = ((size_t)g->edge_count + 1) * sizeof(mid_edge);
    if (g->edge_count == UINT32_MAX)
        g->status = MID_ELIMIT;
    else if (need > g->edges.bytes)
        g->status = mid_graph_room(g, &g->edges, need);
    if (g->status == MID_OK)
        *mid_edge_at(g, g->edge_count++) = (mid_edge){to, mid_slot_number(g->object, slot)};
}

static mid_status number_nodes(mid_graph *g)
{
    mid_heap *heap = g->heap;
    g->first_index = heap->first_index;
    g->end_index = heap->next_index;
    mid_status status = mid_graph_room(g, &g->numbers, (size_t)(g->end_index - g->first_index) * sizeof(uint32_t));
    if (status != MID_OK)
        return status;
    uint32_t *numbers = g->numbers.data;
    for (uint32_t i = g->first_index; i < g->end_index; i++)
        numbers[i - g->first_index] = mid_inspectable(heap, heap->table + i) ? ++g->node_count : 0;
    return mid_graph_room(g, &g->nodes, ((size_t)g->node_count + 2) * sizeof(mid_node));
}

/* All of them before any reference is read, which takes from the counts. */
static void enter_nodes(mid_graph *g)
{
    mid_heap *heap = g->heap;
    mid_node *node = g->nodes.data;
    *node = (mid_node){0};
    for (uint32_t i = g->first_index; i < g->end_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_inspectable(heap, entry))
            continue;
        const mid_type type = (mid_type)(entry->word >> MID_TYPE_SHIFT_);
        *++node = (mid_node){.handle = i * 2,
                             .type = type,
                             .bytes = mid_object_size(mid_type_at(heap, type), mid_address(entry)),
                             .outside = mid_forever(entry) ? MID_EVER : (int32_t)mid_total_of(heap, i)};
    }
    *++node = (mid_node){0};
}

static void read_edges(mid_graph *g)
{
    for (uint32_t n = 1; n <= g->node_count && g->status == MID_OK; n++) {
        mid_node *node = mid_node_at(g, n);
        void *object = mid_address(mid_entry_at(g->heap, node->handle));
        node->first = g->edge_count;
        g->object = object;
        mid_refs(g->heap, mid_type_at(g->heap, node->type), object, add_edge, g);
    }
    mid_node_at(g, g->node_count + 1)->first = g->edge_count;
}

static void forget_list(mid_graph *g, mid_handle head, uint64_t most)
{
    for (uint64_t n = 0; head != 0 && n < most; n++) {
        mid_entry *entry = mid_entry_at(g->heap, head);
        mid_refs(g->heap, mid_type_of_entry(g->heap, entry), mid_address(entry), forget_ref, g);
        head = entry->shared;
    }
}

/* An array of which a piece of the items has been released. */
static void forget_partial(mid_graph *g, const mid_impl *of)
{
    if (of->partial == 0 || of->partial_next == MID_ONLY_MEMORY)
        return;
    mid_entry *entry = mid_entry_at(g->heap, of->partial);
    const mid_type_info *type = mid_type_of_entry(g->heap, entry);
    mid_refs_fixed(g->heap, type, mid_address(entry), forget_ref, g);
    for (size_t i = of->partial_next; i < mid_items(type, mid_address(entry)); i++)
        forget_ref(g, mid_item_slots(type, mid_address(entry)) + i);
}

/* What the dead that wait refer to, and the heap itself keeps for finalizers, is counted, but not for the program. */
static void forget_waiting(mid_graph *g)
{
    mid_heap *heap = g->heap;
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        const mid_impl *of = heap->threads[id];
        if (mid_lost(of))
            continue;
        forget_list(g, of->pending, of->pending_count);
        forget_partial(g, of);
    }
    forget_list(g, heap->final_head, heap->final_dead);
    for (uint32_t i = 0; i < heap->condemned_count; i++)
        uncount(g, ((const mid_handle *)heap->condemned.data)[i]);
}

static mid_status copy(mid_graph *g, uint32_t *object)
{
    g->status = number_nodes(g);
    if (g->status != MID_OK)
        return g->status;
    g->type_count = g->heap->type_count;
    if (object != NULL && (*object = number_of(g, *object)) == 0)
        return MID_EHANDLE;
    enter_nodes(g);
    read_edges(g);
    forget_waiting(g);
    return g->status;
}

mid_status mid_graph_take(mid_graph *g, mid_thread *thread, uint32_t *object)
{
    return mid_graph_take_with(g, thread, object, true, NULL, NULL);
}

mid_status mid_graph_take_with(mid_graph *g, mid_thread *thread, uint32_t *object, bool copied, mid_status (*during)(mid_graph *, void *),
                               void *context)
{
    *g = (mid_graph){0};
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    g->heap = mid_impl_of(thread)->heap;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &g->cancel); /* nobody else would give the arrays back */
    bool stopped;
    status = mid_look_begin(g->heap, &stopped);
    if (status == MID_OK) {
        status = copied ? copy(g, object) : MID_OK;
        if (status == MID_OK && during != NULL)
            status = during(g, context);
        mid_look_end(g->heap, stopped);
    }
    if (status != MID_OK) {
        mid_graph_done(g);
        return status;
    }
    mid_array_drop(g->heap, &g->numbers);
    g->in_region = mid_blocked_enter(thread) == MID_OK; /* not so from a finalizer */
    return MID_OK;
}

void mid_graph_resume(mid_graph *g, mid_thread *thread)
{
    if (g->in_region)
        mid_blocked_leave(thread);
    g->in_region = false;
}

void mid_graph_done(mid_graph *g)
{
    mid_array *all[] = {&g->nodes, &g->edges, &g->numbers, &g->parents, &g->queue};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        mid_array_drop(g->heap, all[i]);
    pthread_setcancelstate(g->cancel, NULL);
}
