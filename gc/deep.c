/* gc/deep.c: a pass of deep compaction, step by step and slice by slice. See deep.h. */
#include "gc/debug.h"
#include "gc/deep.h"

#include "gc/propose.h"

static void close_pass(mid_deep *d)
{
    mid_heap *heap = d->heap;
    mid_array *arrays[] = {&d->first, &d->links, &d->seen, &d->now, &d->was};
    mid_list *lists[] = {&d->later, &d->stack, &d->sequence};
    for (unsigned i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        mid_array_drop(heap, arrays[i]);
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++)
        mid_list_free(heap, lists[i]);
    *d = (mid_deep){.heap = heap, .status = d->status, .renamed = d->renamed};
}

static mid_status open_pass(mid_heap *heap, mid_deep_order order)
{
    if (heap->deep == NULL) {
        mid_array memory = {0};
        mid_lock(heap);
        mid_status status = mid_array_grow(&heap->alloc, &memory, sizeof(mid_deep));
        mid_unlock(heap);
        if (status != MID_OK)
            return status;
        heap->deep = memory.data;
        heap->deep->heap = heap;
    }
    mid_deep *d = heap->deep;
    d->status = MID_OK;
    if (d->step != MID_DEEP_NONE)
        return MID_OK;
    d->order = order;
    d->end = d->from = __atomic_load_n(&heap->next_index, __ATOMIC_ACQUIRE);
    d->at = d->to = heap->first_index;
    size_t words = (size_t)d->end * sizeof(uint32_t);
    d->link_count = 1;
    bool room = mid_deep_room(d, &d->first, words) && mid_deep_room(d, &d->now, words) && mid_deep_room(d, &d->was, words) &&
                (order == MID_DEEP_TABLE || mid_deep_room(d, &d->seen, (size_t)d->end / 8 + 8));
    d->step = MID_DEEP_LINK;
    return room ? MID_OK : d->status;
}

static mid_deep_step next_step(mid_deep *d)
{
    mid_heap *heap = d->heap;
    switch (d->step) {
    case MID_DEEP_LINK:
        mid_link_flush(d);
        d->at = heap->first_index;
        return d->order == MID_DEEP_TABLE ? MID_DEEP_STILL : MID_DEEP_ORDER;
    case MID_DEEP_ORDER:
        return MID_DEEP_STILL;
    case MID_DEEP_STILL:
        mid_link_flush(d);
        return MID_DEEP_UNBIND;
    case MID_DEEP_UNBIND:
        return MID_DEEP_PLACE;
    case MID_DEEP_PLACE:
        mid_deep_settle(d); /* they are to be taken */
        d->cursors[0] = (struct mid_deep_cursor){0};
        return MID_DEEP_FREE;
    case MID_DEEP_FREE:
        return MID_DEEP_TRIM;
    default:
        return MID_DEEP_CLOSE;
    }
}

static bool step(mid_deep *d, bool still, uint64_t deadline)
{
    switch (d->step) {
    case MID_DEEP_LINK:
        return mid_links_read(d, still, deadline);
    case MID_DEEP_ORDER:
        return mid_order_find(d, still, deadline);
    case MID_DEEP_STILL:
        return mid_links_read_still(d, deadline);
    case MID_DEEP_UNBIND:
        return mid_place_unbind(d->heap, deadline);
    case MID_DEEP_PLACE:
        return d->order == MID_DEEP_TABLE ? mid_place_packed(d, deadline) : mid_place_in_order(d, deadline);
    case MID_DEEP_FREE:
        return mid_place_free(d, deadline);
    case MID_DEEP_TRIM:
        return mid_table_trim(d->heap, deadline) == MID_OK;
    default:
        return true;
    }
}

/* What was read is given back beside the program: to unmap it takes long. */
static void publish(mid_heap *heap)
{
    mid_deep_step at = heap->deep == NULL ? MID_DEEP_NONE : heap->deep->step;
    bool beside = at < MID_DEEP_STILL || at == MID_DEEP_CLOSE;
    MID_WRITE_(heap->deepening, at == MID_DEEP_NONE ? MID_DEEPENS_NOT : beside ? MID_DEEPENS_RUNNING : MID_DEEPENS_STOPPED);
}

/* Up to the step that is not its caller's. */
static mid_status go_on(mid_heap *heap, mid_deep_order order, bool still, uint64_t deadline)
{
    mid_status status = open_pass(heap, order);
    mid_deep *d = heap->deep;
    while (status == MID_OK && d->step != MID_DEEP_CLOSE && (still || d->step < MID_DEEP_STILL)) {
        if (step(d, still, deadline))
            d->step = next_step(d);
        else
            status = d->status != MID_OK ? d->status : MID_MORE;
    }
    if (d != NULL && d->claimed != 0)
        mid_deep_settle(d);
    if (d != NULL && status != MID_OK && status != MID_MORE)
        close_pass(d);
    publish(heap);
    return status;
}

void mid_deep_finish(mid_heap *heap)
{
    if (heap->deep != NULL && heap->deep->step == MID_DEEP_CLOSE)
        close_pass(heap->deep);
    publish(heap);
}

mid_status mid_deep_look(mid_heap *heap, uint64_t budget_micros)
{
    if (pthread_mutex_trylock(&heap->proposing) != 0)
        return MID_EBUSY;
    mid_status status = MID_OK;
    if (heap->deep != NULL && heap->deep->step == MID_DEEP_CLOSE) {
        mid_deep_finish(heap);
    } else {
        mid_hold_memory(heap, true);
        status = go_on(heap, (mid_deep_order)heap->options.deep, false, mid_clock_micros() + budget_micros);
        mid_hold_memory(heap, false);
    }
    pthread_mutex_unlock(&heap->proposing);
    return status;
}

mid_status mid_deep_run(mid_impl *me, mid_deep_order order, uint64_t deadline, uint64_t *renamed)
{
    mid_heap *heap = me->heap;
    *renamed = 0;
    mid_deep_finish(heap);
    if (heap->any_lost) { /* what a lost thread holds nobody knows */
        if (heap->deep != NULL)
            close_pass(heap->deep);
        publish(heap);
        return MID_OK;
    }
    if (deadline == 0 && heap->deep != NULL) /* what was read a while ago is less than can be known */
        close_pass(heap->deep);
    mid_boxes_settle(me); /* messages name objects */
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_suspects_give(heap->threads[id]);
        mid_caches_flush(heap->threads[id]);
    }
    uint64_t left = deadline == 0 ? 0 : deadline - mid_clock_micros();
    if (heap->debug)
        mid_debug_still_begin(heap);
    deadline = mid_debug_deadline(heap, deadline, left);
    mid_status status = go_on(heap, order, true, deadline);
    if (heap->debug)
        mid_debug_still_end(heap);
    if (heap->deep != NULL) {
        *renamed = heap->deep->renamed;
        heap->deep->renamed = 0;
    }
    return status;
}

void mid_deep_close(mid_heap *heap)
{
    if (heap->deep == NULL)
        return;
    close_pass(heap->deep);
    MID_WRITE_(heap->deepening, MID_DEEPENS_NOT);
    mid_array memory = {heap->deep, mid_round(sizeof(mid_deep), MID_PAGE)};
    mid_array_drop(heap, &memory);
    heap->deep = NULL;
}
