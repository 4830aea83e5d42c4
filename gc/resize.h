/* gc/resize.h: resize.c and shed.c: objects of variable size that grow and shrink. */
#ifndef MIDDEN_GC_RESIZE_H
#define MIDDEN_GC_RESIZE_H

#include "gc/heap.h"

/* With `memory` held; nothing is freed. The caller knows that it is alive, and of variable size. */
mid_status mid_resize_held(mid_impl *me, mid_handle handle, size_t items);
/* Fewer items, many fewer: what the others refer to is released as the work list gets to it. False: that is not for this object. */
bool mid_shed(mid_impl *me, mid_handle object, const mid_type_info *type, size_t items, size_t size);
bool mid_resize_again(mid_impl *me, mid_status status); /* without it: is it worth another try? */
/* Without it: has its slot, or its last page, room for that size, which is no smaller? Not in debug heaps: there is a fence in the slot. */
static inline bool mid_room_in_place(const mid_heap *heap, uint64_t word, const void *at, size_t old_size, size_t size)
{
    if (word & MID_F_LARGE)
        return (old_size - 1) / MID_PAGE == (size - 1) / MID_PAGE;
    return size <= mid_class_size(mid_pool_in(&heap->alloc, at)->size_class);
}

#endif
