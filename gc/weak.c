/* gc/weak.c: weak cells. A weak handle names a cell and the cell's generation; the cell names the object until it dies.
 *
 * Cells of one object are linked, and a map finds the first, so that death visits exactly them. A generation is odd while
 * the cell is in use; a cell whose generation would wrap is retired. Cells are used with `memory` held. A reference made
 * strong while other threads let go of the object counts up only what is alive, and death clears the cells before the name
 * can be another's. */
#include "gc/count.h"

static mid_weak_cell *cell_at(mid_heap *heap, uint32_t cell)
{
    return (mid_weak_cell *)heap->weak_cells.data + cell;
}

static mid_status cell_take(mid_heap *heap, uint32_t *out)
{
    if (heap->weak_free != 0) {
        *out = heap->weak_free;
        heap->weak_free = cell_at(heap, *out)->next;
        return MID_OK;
    }
    mid_status status = mid_array_grow(&heap->alloc, &heap->weak_cells,
                                       ((size_t)heap->weak_used + 2) * sizeof(mid_weak_cell));
    if (status == MID_OK)
        *out = ++heap->weak_used; /* cell 0 is none */
    return status;
}

static void cell_give(mid_heap *heap, uint32_t cell)
{
    mid_weak_cell *c = cell_at(heap, cell);
    c->target = 0;
    if (++c->generation == UINT32_MAX - 1)
        return;
    c->next = heap->weak_free;
    heap->weak_free = cell;
}

static mid_weak_cell *checked(mid_heap *heap, mid_weak weak)
{
    if (weak.cell == 0 || weak.cell > heap->weak_used)
        return NULL;
    mid_weak_cell *c = cell_at(heap, weak.cell);
    return c->generation == weak.generation && (weak.generation & 1) ? c : NULL;
}

static mid_status make(mid_heap *heap, mid_handle object, mid_entry *entry, mid_weak *out)
{
    uint32_t cell, head = mid_map_get(&heap->weak_heads, object / 2);
    mid_status status = cell_take(heap, &cell);
    if (status != MID_OK)
        return status;
    status = mid_map_set(heap, &heap->weak_heads, object / 2, cell);
    if (status != MID_OK) {
        cell_at(heap, cell)->next = heap->weak_free; /* never used: its generation stays */
        heap->weak_free = cell;
        return status;
    }
    mid_weak_cell *c = cell_at(heap, cell);
    *c = (mid_weak_cell){object, c->generation + 1, head, 0};
    if (head != 0)
        cell_at(heap, head)->prev = cell;
    __atomic_fetch_or(&entry->word, MID_F_WEAK, __ATOMIC_RELAXED);
    heap->weak_live++;
    *out = (mid_weak){cell, c->generation};
    return MID_OK;
}

mid_status mid_weak_new(mid_thread *thread, mid_handle object, mid_weak *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = (mid_weak){0, 0};
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    status = make(heap, object, entry, out);
    mid_unlock(heap);
    if (status == MID_OK && !thread->alone)
        mid_escape_(thread, object);
    return status;
}

/* Only the owner ends what it owns without an atomic instruction, and that is not for what has weak references. */
static bool count_up_if_alive(mid_thread *thread, mid_entry *entry)
{
    uint32_t count = MID_READ_(entry->count);
    if (mid_watched(count) && MID_READ_(mid_impl_of(thread)->heap->committed))
        return false; /* garbage that is being freed */
    MID_DELAY(UPGRADE);
    count = mid_touch(mid_impl_of(thread), entry, count);
    if (mid_sticky(count))
        return true;
    if (mid_mine_(thread, count) - MID_ONE_ < MID_LOCAL_ - 2 * MID_ONE_) {
        MID_WRITE_(entry->count, count + MID_ONE_);
        return true;
    }
    uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
    do
        if (!(seen & MID_LIVE_) || mid_others(seen) >= MID_BAND)
            return (seen & MID_LIVE_) != 0;
    while (!__atomic_compare_exchange_n(&entry->shared, &seen, seen + MID_SHARED_ONE_, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return true;
}

mid_handle mid_weak_get(mid_thread *thread, mid_weak weak)
{
    mid_status status = mid_thread_check(thread);
    if (thread != NULL && status != MID_ETHREAD)
        thread->status = status;
    if (status != MID_OK)
        return 0;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    mid_weak_cell *c = checked(heap, weak);
    /* What waits on the work list still has its cells, and is gone all the same. */
    mid_handle found = c != NULL && c->target != 0 && count_up_if_alive(thread, mid_entry_at(heap, c->target)) ? c->target : 0;
    mid_unlock(heap);
    return found;
}

/* It has no cells any more. */
static void unflag(mid_heap *heap, mid_handle object, mid_entry *entry)
{
    if (!mid_traced(heap, object))
        __atomic_fetch_and(&entry->word, ~MID_F_WEAK, __ATOMIC_RELAXED);
}

static void unlink_cell(mid_heap *heap, mid_weak_cell *c)
{
    if (c->next != 0)
        cell_at(heap, c->next)->prev = c->prev;
    if (c->prev != 0) {
        cell_at(heap, c->prev)->next = c->next;
    } else if (c->next != 0) {
        mid_map_set(heap, &heap->weak_heads, c->target / 2, c->next);
    } else {
        mid_map_remove(&heap->weak_heads, c->target / 2);
        unflag(heap, c->target, mid_entry_at(heap, c->target));
    }
}

mid_status mid_weak_drop(mid_thread *thread, mid_weak weak)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    mid_weak_cell *c = checked(heap, weak);
    if (c != NULL) {
        if (c->target != 0)
            unlink_cell(heap, c);
        heap->weak_live--;
        cell_give(heap, weak.cell);
    }
    mid_unlock(heap);
    return c != NULL ? MID_OK : MID_EHANDLE;
}

void mid_weak_clear(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    mid_lock(heap);
    uint32_t cell = mid_map_get(&heap->weak_heads, handle / 2);
    while (cell != 0) {
        mid_weak_cell *c = cell_at(heap, cell);
        cell = c->next;
        c->target = c->next = c->prev = 0;
    }
    mid_map_remove(&heap->weak_heads, handle / 2);
    unflag(heap, handle, entry);
    mid_unlock(heap);
}

static void retarget(mid_heap *heap, uint32_t cell, mid_handle target)
{
    for (; cell != 0; cell = cell_at(heap, cell)->next)
        cell_at(heap, cell)->target = target;
}

void mid_weak_exchange(mid_heap *heap, mid_handle a, mid_handle b)
{
    uint32_t of_a = mid_map_get(&heap->weak_heads, a / 2), of_b = mid_map_get(&heap->weak_heads, b / 2);
    if (of_a == 0 && of_b == 0)
        return;
    retarget(heap, of_a, b);
    retarget(heap, of_b, a);
    mid_map_remove(&heap->weak_heads, a / 2);
    mid_map_remove(&heap->weak_heads, b / 2);
    if (of_a != 0)
        mid_map_set(heap, &heap->weak_heads, b / 2, of_a); /* there is room: no more than were taken out */
    if (of_b != 0)
        mid_map_set(heap, &heap->weak_heads, a / 2, of_b);
}
