/* gc/refs.h: every reference of an object, to an inlined function. One way to look into objects. */
#ifndef MID_GC_REFS_H
#define MID_GC_REFS_H

#include "gc/heap.h"

typedef void mid_ref_fn(void *context, mid_slot *slot);

typedef struct mid_ref_visitor {
    mid_visitor base;
    mid_ref_fn *fn;
    void *context;
} mid_ref_visitor;

static void mid_refs_visit_(mid_visitor *visitor, const mid_slot *slot)
{
    mid_ref_visitor *v = (mid_ref_visitor *)visitor;
    v->fn(v->context, (mid_slot *)slot);
}

static inline uint32_t mid_items(const mid_type_info *type, const void *object)
{
    return *(const uint32_t *)((const char *)object + type->length_offset);
}

static inline mid_slot *mid_item_slots(const mid_type_info *type, void *object)
{
    return (mid_slot *)((char *)object + type->size);
}

/* Declared slots and those a trace function names; not the items. */
static inline __attribute__((always_inline)) void mid_refs_fixed(mid_heap *heap, const mid_type_info *type, void *object,
                                                                 mid_ref_fn *fn, void *context)
{
    mid_slot *slots = object;
    if (type->slots == NULL)
        for (uint32_t i = 0; i < type->slot_count; i++)
            fn(context, slots + type->first_slot + i);
    else
        for (uint32_t i = 0; i < type->slot_count; i++)
            fn(context, slots + type->slots[i]);
    if (type->trace != NULL) {
        mid_ref_visitor visitor = {{mid_refs_visit_}, fn, context};
        mid_callback frame; /* it is not to call the heap */
        mid_callback_begin(&frame, heap);
        type->trace(object, &visitor.base);
        mid_callback_end(&frame);
    }
}

static inline __attribute__((always_inline)) void mid_refs(mid_heap *heap, const mid_type_info *type, void *object,
                                                           mid_ref_fn *fn, void *context)
{
    mid_refs_fixed(heap, type, object, fn, context);
    if (type->items_are_refs) {
        mid_slot *items = mid_item_slots(type, object);
        for (uint32_t i = 0, n = mid_items(type, object); i < n; i++)
            fn(context, items + i);
    }
}

#endif
