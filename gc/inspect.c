/* gc/inspect.c: the calls that only walk, while the world stands. */
#include "gc/inspect.h"

#include "gc/count.h"
#include "gc/freeze.h"
#include "gc/refs.h"

/* The one callback under way, and whether it wants no more. */
typedef struct walk {
    mid_heap *heap;
    int (*fn)(void *, const mid_reference *);
    void *context;
    const void *object;  /* in hand */
    mid_handle holder;
    mid_handle wanted;   /* whose referrers; 0: every referent */
    bool over;
} walk;

static mid_status begin(mid_thread *thread, const void *fn, mid_heap **heap)
{
    if (fn == NULL)
        return MID_ENULL;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    bool stopped;
    *heap = mid_impl_of(thread)->heap;
    return mid_look_begin(*heap, &stopped);
}

static bool is_there(const mid_heap *heap, mid_handle object)
{
    return mid_in_table(heap, object) && mid_inspectable(heap, mid_entry_at(heap, object));
}

mid_status mid_inspect_objects(mid_thread *thread, int (*fn)(void *, const mid_inspected_object *), void *context)
{
    mid_heap *heap;
    mid_callback frame;
    mid_status status = begin(thread, (const void *)fn, &heap);
    if (status != MID_OK)
        return status;
    mid_callback_begin(&frame, heap);
    bool over = false;
    for (uint32_t i = heap->first_index; i < heap->next_index && !over; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_inspectable(heap, entry))
            continue;
        const mid_type_info *type = mid_type_of_entry(heap, entry);
        const void *at = mid_address(entry);
        mid_inspected_object seen = {.object = i * 2,
                                     .type = (mid_type)(entry->word >> MID_TYPE_SHIFT_),
                                     .bytes = mid_object_size(type, at),
                                     .items = type->item_size == 0 ? 0 : mid_items(type, at),
                                     .count = mid_forever(entry) ? UINT32_MAX : (uint32_t)mid_total_of(heap, i),
                                     .at = at};
        over = fn(context, &seen) != 0;
    }
    mid_callback_end(&frame);
    mid_look_end(heap, true);
    return MID_OK;
}

static void tell_slot(void *context, mid_slot *slot)
{
    walk *w = context;
    mid_handle target = slot->bits_;
    if (w->over || !mid_is_object_(target) || (w->wanted != 0 ? target != w->wanted : !is_there(w->heap, target)))
        return;
    mid_reference reference = {w->holder, mid_slot_number(w->object, slot), target};
    w->over = w->fn(w->context, &reference) != 0;
}

static void tell_object(walk *w, mid_handle holder)
{
    const mid_entry *entry = mid_entry_at(w->heap, holder);
    w->holder = holder;
    w->object = mid_address(entry);
    mid_refs(w->heap, mid_type_of_entry(w->heap, entry), mid_address(entry), tell_slot, w);
}

static mid_status references(mid_thread *thread, mid_handle object, bool to, int (*fn)(void *, const mid_reference *), void *context)
{
    walk w = {.fn = fn, .context = context, .wanted = to ? object : 0};
    mid_callback frame;
    mid_status status = begin(thread, (const void *)fn, &w.heap);
    if (status != MID_OK)
        return status;
    mid_callback_begin(&frame, w.heap);
    if (!is_there(w.heap, object))
        status = MID_EHANDLE;
    else if (!to)
        tell_object(&w, object);
    else
        for (uint32_t i = w.heap->first_index; i < w.heap->next_index && !w.over; i++)
            if (mid_inspectable(w.heap, w.heap->table + i))
                tell_object(&w, i * 2);
    mid_callback_end(&frame);
    mid_look_end(w.heap, true);
    return status;
}

mid_status mid_inspect_referents(mid_thread *thread, mid_handle object, int (*fn)(void *, const mid_reference *), void *context)
{
    return references(thread, object, false, fn, context);
}

mid_status mid_inspect_referrers(mid_thread *thread, mid_handle object, int (*fn)(void *, const mid_reference *), void *context)
{
    return references(thread, object, true, fn, context);
}

static mid_inspected_type *count_types(mid_heap *heap, mid_array *array, uint32_t *count, mid_status *status)
{
    *count = heap->type_count;
    *status = mid_array_grow(&heap->alloc, array, ((size_t)*count + 1) * sizeof(mid_inspected_type));
    if (*status != MID_OK)
        return NULL;
    mid_inspected_type *types = array->data;
    for (mid_type type = 0; type <= *count; type++)
        types[type] = (mid_inspected_type){.type = type, .name = mid_type_at(heap, type)->name};
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_inspectable(heap, entry))
            continue;
        mid_type type = (mid_type)(entry->word >> MID_TYPE_SHIFT_);
        types[type].objects++;
        types[type].bytes += mid_object_size(mid_type_at(heap, type), mid_address(entry));
    }
    return types;
}

mid_status mid_inspect_types(mid_thread *thread, int (*fn)(void *, const mid_inspected_type *), void *context)
{
    mid_heap *heap;
    mid_array array = {0};
    uint32_t count;
    mid_status status = begin(thread, (const void *)fn, &heap);
    if (status != MID_OK)
        return status;
    const mid_inspected_type *types = count_types(heap, &array, &count, &status);
    mid_look_end(heap, true);
    if (status != MID_OK)
        return status;
    bool over = false;
    for (mid_type type = 1; type <= count && !over; type++)
        over = types[type].objects != 0 && fn(context, &types[type]) != 0;
    mid_array_drop(heap, &array);
    return MID_OK;
}

/* --- of one object, without a stop ----------------------------------------------------------------------------------------- */

int mid_is_tracked(mid_thread *thread, mid_handle object)
{
    mid_status status;
    const mid_entry *entry = mid_checked(thread, object, &status);
    return entry != NULL && mid_type_of_entry(mid_impl_of(thread)->heap, entry)->cyclic && !mid_forever(entry) &&
           !mid_frozen(MID_READ_(entry->count));
}

int mid_is_finalized(mid_thread *thread, mid_handle object)
{
    mid_status status;
    const mid_entry *entry = mid_checked(thread, object, &status);
    return entry != NULL && (MID_READ_(entry->word) & MID_F_FINALIZED) != 0;
}
