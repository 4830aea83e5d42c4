/* gc/suspect.c: the log of suspects.
 *
 * An object whose count falls without reaching zero may have become part of a garbage cycle (Bacon and Rajan, "Concurrent cycle
 * collection in reference counted systems", ECOOP 2001: possible roots). Whoever takes the count away logs it, once: the suspect
 * bit says that it is logged, or was found alive so often that only a sweep will look at it again (propose.c). A log that is
 * full goes to the heap's; what there is no room for is left to the sweep as well. In a small heap, where nobody walks from them, so
 * many suspects call for a collection, or twice as many as long as that finds little. */
#include <string.h>

#include "gc/heap.h"

#define LOGGED_MOST (1u << 20)
#define UNMAP_PIECE ((size_t)1 << 20)

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

/* In pieces: to unmap much takes long, and `memory` is wanted by all. */
void mid_array_drop(mid_heap *heap, mid_array *array)
{
    mid_alloc *a = &heap->alloc;
    while (array->bytes > UNMAP_PIECE) {
        mid_lock(heap);
        size_t less = array->bytes - UNMAP_PIECE;
        void *data = a->os.remap(a->os.ctx, array->data, array->bytes, less);
        if (data != NULL) {
            mid_unbook(a, MID_IN_META, UNMAP_PIECE);
            *array = (mid_array){data, less};
        }
        mid_unlock(heap);
        if (data == NULL)
            break;
    }
    mid_lock(heap);
    mid_array_free(a, array);
    mid_unlock(heap);
}

void mid_list_free(mid_heap *heap, mid_list *list)
{
    mid_array_drop(heap, &list->memory);
    list->count = 0;
}

/* A collection costs about as much as it leaves, and what the suspects led to. */
uint64_t mid_suspects_most(const mid_heap *heap)
{
    uint64_t part = MID_READ_(heap->candidates_left) / 8u;
    uint64_t least = MID_READ_(heap->options.suspect_min);
    return (part > least ? part : least) * (1u << heap->suspect_factor);
}

/* Those that nobody listed while nobody looked at lists are left to a sweep, and one is due. */
void mid_suspects_log(mid_heap *heap, bool on)
{
    bool was = __atomic_exchange_n(&heap->logging, on, __ATOMIC_RELAXED);
    uint64_t missed = on && !was ? __atomic_exchange_n(&heap->suspected, 0, __ATOMIC_RELAXED) : 0;
    if (missed != 0)
        __atomic_fetch_add(&heap->unresolved, missed < LOGGED_MOST ? (uint32_t)missed : LOGGED_MOST, __ATOMIC_RELAXED);
}

void mid_suspects_give(mid_impl *me)
{
    mid_heap *heap = me->heap;
    uint32_t n = me->suspect_count;
    MID_WRITE_(me->suspect_count, 0);
    if (n == 0)
        return;
    if (!MID_READ_(heap->logging) && MID_READ_(heap->log_from) != 0 && mid_live_bytes(heap) >= MID_READ_(heap->log_from))
        mid_suspects_log(heap, true);
    if (!MID_READ_(heap->logging)) {
        uint64_t all = __atomic_add_fetch(&heap->suspected, n, __ATOMIC_RELAXED);
        if (MID_READ_(heap->growth_least) != UINT64_MAX && all >= mid_suspects_most(heap))
            mid_ask(me, MID_ASK_COLLECT);
        return;
    }
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
