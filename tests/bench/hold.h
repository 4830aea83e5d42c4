/* hold.h: where a driver keeps its references. --hold beside: in an array of its own, which no heap is charged for. --hold array:
 * in an array that is an object of the heap, so that nothing but slots refers to what the driver keeps. Its bytes are then live
 * like any other's. A reference that was looked at is good until the next be_poll or be_idle_enter. */
#ifndef BENCH_HOLD_H
#define BENCH_HOLD_H

#include "blob.h"

struct hold {
    be_ref *beside; /* null: they are in `array` */
    be_ref array;
    size_t count;
};

/* For `prepare`: there will be at most `count`. */
static inline void hold_prepare(struct run *run, struct hold *hold, size_t count)
{
    if (run_param(run, "hold") == HOLD_BESIDE)
        hold->beside = driver_array(count, sizeof *hold->beside);
}

/* `count` references, all empty. */
static inline void hold_open(struct run *run, struct hold *hold, size_t count)
{
    hold->count = count;
    if (hold->beside)
        be_roots(run->heap, hold->beside, count);
    else
        hold->array = be_array(run->heap, be_array_type(run->heap), count);
}

/* Bytes that the program has asked of the heap for it. */
static inline uint64_t hold_bytes(const struct hold *hold)
{
    return hold->beside ? 0 : hold->count * sizeof(be_slot);
}

static inline be_ref hold_peek(be_heap *h, const struct hold *hold, size_t at)
{
    return hold->beside ? hold->beside[at] : be_peek(h, hold->array, BE_ARRAY_SLOT(at));
}

/* Into an empty place; takes the caller's reference over. */
static inline void hold_put(be_heap *h, struct hold *hold, size_t at, be_ref value)
{
    if (hold->beside)
        hold->beside[at] = value;
    else
        be_replace(h, hold->array, BE_ARRAY_SLOT(at), value);
}

/* The object there is given up. */
static inline void hold_drop(be_heap *h, struct hold *hold, size_t at)
{
    if (hold->beside) {
        be_discard(h, hold->beside[at]);
        hold->beside[at] = 0;
    } else {
        be_replace(h, hold->array, BE_ARRAY_SLOT(at), 0);
    }
}

/* From one place to another that is empty. */
static inline void hold_move(be_heap *h, struct hold *hold, size_t from, size_t to)
{
    be_ref moved = hold->beside ? hold->beside[from] : be_swap(h, hold->array, BE_ARRAY_SLOT(from), 0);
    if (hold->beside)
        hold->beside[from] = 0;
    hold_put(h, hold, to, moved);
}

/* Every blob there is; returns their bytes. */
static inline uint64_t hold_check_all(struct run *run, const struct hold *hold)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < hold->count; i++) {
        be_ref ref = hold_peek(run->heap, hold, i);
        if (ref)
            bytes += blob_check(run, run->heap, ref);
    }
    return bytes;
}

#endif
