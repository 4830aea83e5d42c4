/* gc/racing.h: to look into objects while their mutators run.
 *
 * Entries and slots are read once each, as they happen to be. The object may have died, its slot may belong to another one, its
 * pool to another class: its memory stays readable all the same (mid_arenas_hold), and what is read there only ever proposes. A
 * large block may be unmapped, so it is read with `memory` held, after another look at its entry. */
#ifndef MID_GC_RACING_H
#define MID_GC_RACING_H

#include "gc/count.h"
#include "gc/refs.h"

/* A race detector would report these readings, rightly: they are meant. */
#ifdef MID_ATOMICS_
static __attribute__((noinline, no_sanitize("thread"))) uint32_t mid_racing_read(const void *at)
{
    return *(const volatile uint32_t *)at;
}
#else
static inline uint32_t mid_racing_read(const void *at)
{
    return *(const volatile uint32_t *)at;
}
#endif

/* What was read so far was read before what is read from here on. gcc's race detector does not know such fences. */
static inline void mid_read_before(void)
{
#ifdef MID_ATOMICS_
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

/* The type of what lives at an entry whose word is `word`; null: nothing does, or its number is none. */
static inline const mid_type_info *mid_racing_type(const mid_heap *heap, uint64_t word)
{
    mid_type type = (mid_type)(word >> MID_TYPE_SHIFT_);
    return type == 0 || type > mid_type_count(heap) ? NULL : mid_type_at(heap, type);
}

/* How many items there may be: no more than fit between the object and the end of its pool. */
static inline uint32_t mid_racing_items(const mid_heap *heap, const mid_type_info *type, const char *object, bool large)
{
    uint32_t items = mid_racing_read(object + type->length_offset);
    size_t room = heap->alloc.pool_size - (uintptr_t)object % heap->alloc.pool_size;
    size_t most = room < type->size ? 0 : (room - type->size) / sizeof(mid_slot);
    return large || items <= most ? items : (uint32_t)most;
}

/* What is in a slot, and which it is: words from the beginning of the object. False: enough. */
typedef bool mid_racing_fn(void *context, mid_handle value, uint32_t slot);

typedef struct mid_racing_visitor {
    mid_visitor base;
    mid_racing_fn *fn;
    void *context;
    const char *object;
    bool enough;
} mid_racing_visitor;

static inline uint32_t mid_slot_number(const char *object, const void *slot)
{
    return (uint32_t)(((const char *)slot - object) / (ptrdiff_t)sizeof(mid_slot));
}

static void mid_racing_visit_(mid_visitor *visitor, const mid_slot *slot)
{
    mid_racing_visitor *v = (mid_racing_visitor *)visitor;
    mid_handle value = mid_racing_read(slot);
    if (!v->enough && mid_is_object_(value))
        v->enough = !v->fn(v->context, value, mid_slot_number(v->object, slot));
}

static inline __attribute__((always_inline)) bool mid_racing_slot(const char *object, const void *slot, mid_racing_fn *fn, void *context)
{
    mid_handle value = mid_racing_read(slot);
    return !mid_is_object_(value) || fn(context, value, mid_slot_number(object, slot));
}

/* Declared slots and those a trace function names. False: enough. */
static inline __attribute__((always_inline)) bool mid_racing_fixed(mid_heap *heap, const mid_type_info *type, char *object,
                                                                   mid_racing_fn *fn, void *context)
{
    for (uint32_t i = 0; i < type->slot_count; i++)
        if (!mid_racing_slot(object, (mid_slot *)object + (type->slots == NULL ? type->first_slot + i : type->slots[i]), fn, context))
            return false;
    if (type->trace == NULL)
        return true;
    mid_racing_visitor visitor = {{mid_racing_visit_}, fn, context, object, false};
    mid_callback frame;
    mid_callback_begin(&frame, heap);
    type->trace(object, &visitor.base);
    mid_callback_end(&frame);
    return !visitor.enough;
}

typedef enum mid_racing { MID_RACING_DONE, MID_RACING_MORE, MID_RACING_ENOUGH, MID_RACING_NOT_NOW } mid_racing;
#define MID_RACING_PIECE 1024u

/* The references of the object at an index, to `fn`: from *item on (0 at first) a piece of its items, before the first the
 * rest. DONE: that was all (or it is no object any more). NOT_NOW: its type is traced only while the world stands (`still`). */
static inline __attribute__((always_inline)) mid_racing mid_racing_piece(mid_heap *heap, uint32_t index, bool still,
                                                                         uint32_t *item, mid_racing_fn *fn, void *context)
{
    const mid_entry *entry = heap->table + index;
    uint64_t word = MID_READ_(entry->word);
    const mid_type_info *type = mid_racing_type(heap, word);
    bool large = (word & MID_F_LARGE) != 0, locked = large || heap->debug, go_on = true; /* what dies in a debug heap is filled */
    char *object = (char *)(uintptr_t)(word & MID_ADDRESS_MASK_);
    if (type == NULL || !mid_entry_live(entry))
        return MID_RACING_DONE;
    if (type->trace != NULL && !type->races && !still)
        return MID_RACING_NOT_NOW;
    MID_DELAY(READ);
    if (locked)
        mid_lock(heap);
    if (locked && (MID_READ_(entry->word) != word || !mid_entry_live(entry))) {
        mid_unlock(heap);
        return MID_RACING_DONE;
    }
    if (*item == 0)
        go_on = mid_racing_fixed(heap, type, object, fn, context);
    uint32_t items = type->items_are_refs ? mid_racing_items(heap, type, object, large) : 0, i = *item;
    for (; go_on && i < items && i - *item < MID_RACING_PIECE; i++)
        go_on = mid_racing_slot(object, object + type->size + (size_t)i * sizeof(mid_slot), fn, context);
    if (locked)
        mid_unlock(heap);
    *item = i;
    if (go_on && i < items)
        MID_DELAY(ITEM);
    return !go_on ? MID_RACING_ENOUGH : i < items ? MID_RACING_MORE : MID_RACING_DONE;
}

#endif
