/* gc/suspect.c: the log of suspects.
 *
 * An object whose count falls without reaching zero may have become part of a garbage cycle (Bacon and Rajan, "Concurrent cycle
 * collection in reference counted systems", ECOOP 2001: possible roots). Whoever takes the count away logs it, once: the suspect
 * bit says that it is logged, or was found alive so often that only a sweep will look at it again (propose.c). A log that is
 * full goes to the heap's; what there is no room for is left to the sweep as well. */
#include <string.h>

#include "gc/heap.h"

#define LOGGED_MOST (1u << 20)

mid_status mid_list_room(mid_heap *heap, mid_list *list, uint32_t more)
{
    size_t need = ((size_t)list->count + more) * sizeof(uint32_t);
    if (need <= list->memory.bytes)
        return MID_OK;
    mid_lock(heap);
    mid_status status = mid_array_grow(&heap->alloc, &list->memory, need);
    mid_unlock(heap);
    return status;
}

void mid_list_free(mid_heap *heap, mid_list *list)
{
    mid_lock(heap);
    mid_array_free(&heap->alloc, &list->memory);
    mid_unlock(heap);
    list->count = 0;
}

void mid_suspects_give(mid_impl *me)
{
    mid_heap *heap = me->heap;
    uint32_t n = me->suspect_count;
    MID_WRITE_(me->suspect_count, 0);
    if (n == 0 || !MID_READ_(heap->logging))
        return;
    mid_part part = mid_pause_begin(me, MID_PAUSE_NEWS);
    mid_lock(heap);
    if (heap->logged.count < LOGGED_MOST && mid_list_room(heap, &heap->logged, n) == MID_OK) {
        memcpy(mid_list_at(&heap->logged, heap->logged.count), me->suspects, n * sizeof(mid_handle));
        heap->logged.count += n;
        MID_WRITE_(heap->logged_count, heap->logged.count);
    }
    mid_unlock(heap);
    mid_pause_end(&part);
}
