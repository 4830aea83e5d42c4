/* backend_midden.h: midden, as a program that embeds it would call it. */
#ifndef BENCH_BACKEND_MIDDEN_H
#define BENCH_BACKEND_MIDDEN_H

#include "midden/midden.h"

#define BE_EXPLICIT 0
#define BE_MOVES 1
#define BE_COUNTS 1
#define BE_ARRAY_SLOT(i) ((unsigned)(i) + 1u) /* the length comes first */

typedef mid_thread be_heap;
typedef mid_handle be_ref;
typedef mid_slot be_slot;
typedef mid_type be_type;
typedef mid_weak be_watch;

static inline be_ref be_new(be_heap *h, be_type type)
{
    mid_handle made;
    mid_status status = mid_new(h, type, &made);
    if (__builtin_expect(status != MID_OK, 0))
        be_die("mid_new", mid_status_text(status));
    return made;
}

static inline be_ref be_array(be_heap *h, be_type type, size_t items)
{
    mid_handle made;
    mid_status status = mid_new_array(h, type, items, &made);
    if (__builtin_expect(status != MID_OK, 0))
        be_die("mid_new_array", mid_status_text(status));
    return made;
}

static inline be_ref be_bytes(be_heap *h, be_type type, size_t size)
{
    return be_array(h, type, size - BLOB_HEAD);
}

static inline void *be_at(be_heap *h, be_ref ref)
{
    return mid_get(h, ref);
}

static inline be_ref be_peek(be_heap *h, be_ref node, unsigned slot)
{
    return mid_peek(h, node, slot);
}

static inline void be_init(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    mid_init(h, node, slot, value);
}

static inline be_ref be_share(be_heap *h, be_ref value)
{
    return mid_retain(h, value);
}

/* mid_new clears. */
static inline void be_init_none(be_heap *h, be_ref node, unsigned slot)
{
    (void)h, (void)node, (void)slot;
}

static inline void be_store(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    mid_store(h, node, slot, value);
}

static inline void be_replace(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    mid_give(h, node, slot, value);
}

static inline void be_discard(be_heap *h, be_ref ref)
{
    mid_release(h, ref);
}

static inline be_ref be_load(be_heap *h, be_ref node, unsigned slot)
{
    return mid_load(h, node, slot);
}

static inline void be_unload(be_heap *h, be_ref ref)
{
    mid_release(h, ref);
}

static inline void be_put(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    mid_give(h, node, slot, value);
}

static inline be_ref be_swap(be_heap *h, be_ref node, unsigned slot, be_ref value)
{
    return mid_swap(h, node, slot, value);
}

static inline void be_transfer(be_heap *h, be_heap *to, be_ref root)
{
    mid_status status = mid_transfer(h, to, root, 0);
    if (__builtin_expect(status != MID_OK, 0))
        be_die("mid_transfer", mid_status_text(status));
}

static inline void be_poll(be_heap *h)
{
    mid_safepoint(h);
}

#endif
