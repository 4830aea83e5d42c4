/* gc/finalize.c: finalizers that could not run where their objects died, and what follows them.
 *
 * The queue is of dead objects, linked as dying ones are. Garbage found by the collector that has finalizers, with all that it
 * can reach, is *condemned*: each member is held by one more count until the finalizers have run, which they do in the order of
 * that array; then the set is counted again (cycle.c) and what is still garbage is freed. The order of PEP 442: weak references
 * are cleared, finalizers run, the set is recounted, the rest is freed. Any mutator runs them, one at a time each; the queue and
 * the array are taken from with `memory` held, finalizers run without. */
#include "gc/count.h"

bool mid_final_due(const mid_heap *heap, const mid_entry *entry)
{
    return mid_type_of_entry(heap, entry)->finalize != NULL && !(MID_READ_(entry->word) & MID_F_FINALIZED);
}

bool mid_final_waits(const mid_heap *heap)
{
    return MID_READ_(heap->final_count) != 0 || MID_READ_(heap->condemned_count) != 0 || MID_READ_(heap->weak_due) != 0;
}

static void call(mid_impl *me, mid_handle handle, mid_entry *entry)
{
    mid_heap *heap = me->heap;
    __atomic_fetch_or(&entry->word, MID_F_FINALIZED, __ATOMIC_RELAXED);
    mid_part part = mid_pause_begin(me, MID_PAUSE_FINALIZE);
    me->finalizing++;
    me->finalizes = handle;
    mid_type_of_entry(heap, entry)->finalize(&me->pub, handle);
    me->finalizes = 0;
    me->finalizing--;
    mid_pause_end(&part);
    MID_COUNT(heap, finalized_objects, 1);
}

/* A dead object lives again while its finalizer runs, with one count, which the caller then takes away. */
void mid_final_call(mid_impl *me, mid_handle handle, mid_entry *entry)
{
    MID_WRITE_(entry->count, (uint32_t)me->pub.bias | mid_type_of_entry(me->heap, entry)->born);
    __atomic_store_n(&entry->shared, me->pub.fresh, __ATOMIC_RELEASE);
    call(me, handle, entry);
}

void mid_final_push(mid_heap *heap, mid_handle handle)
{
    mid_lock(heap);
    MID_WRITE_(mid_entry_at(heap, handle)->shared, 0);
    if (heap->final_head == 0)
        heap->final_head = handle;
    else
        MID_WRITE_(mid_entry_at(heap, heap->final_tail)->shared, handle);
    heap->final_tail = handle;
    MID_WRITE_(heap->final_count, heap->final_count + 1);
    MID_WRITE_(heap->final_dead, heap->final_dead + 1);
    mid_unlock(heap);
    mid_ask_all(heap, MID_ASK_FINALIZE);
}

static mid_handle pop(mid_heap *heap)
{
    mid_lock(heap);
    mid_handle handle = heap->final_head;
    if (handle != 0) {
        heap->final_head = MID_READ_(mid_entry_at(heap, handle)->shared);
        if (heap->final_head == 0)
            heap->final_tail = 0;
        MID_WRITE_(heap->final_count, heap->final_count - 1);
        MID_WRITE_(heap->final_dead, heap->final_dead - 1);
    }
    mid_unlock(heap);
    return handle;
}

static bool run_dead(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_handle handle = pop(heap);
    if (handle == 0)
        return false;
    mid_entry *entry = mid_entry_at(heap, handle);
    mid_final_call(me, handle, entry);
    bool died = mid_uncount(me, handle, entry);
    if (died)
        mid_died(me, handle, entry);
    mid_decided(me);
    MID_COUNT(heap, resurrected_objects, !died);
    return true;
}

/* The next of the condemned whose finalizer is due. */
static mid_handle next_condemned(mid_heap *heap)
{
    mid_handle found = 0;
    mid_lock(heap);
    while (found == 0 && heap->condemned_next < heap->condemned_count) {
        mid_handle handle = ((mid_handle *)heap->condemned.data)[heap->condemned_next++];
        if (mid_final_due(heap, mid_entry_at(heap, handle)))
            found = handle;
    }
    MID_WRITE_(heap->final_count, heap->final_count - (found != 0));
    heap->finals_running += found != 0;
    mid_unlock(heap);
    return found;
}

static void condemned_ran(mid_impl *me)
{
    me->condemned = false;
    mid_lock(me->heap);
    me->heap->finals_running--;
    mid_unlock(me->heap);
}

static bool run_condemned(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_handle handle = next_condemned(heap);
    if (handle == 0)
        return false;
    me->condemned = true;
    call(me, handle, mid_entry_at(heap, handle));
    condemned_ran(me);
    return true;
}

/* The thread ended inside a finalizer, or a callback, which counts as having run. */
void mid_final_abandon(mid_impl *me)
{
    mid_handle handle = me->finalizes, owner = me->owner_told;
    me->finalizes = me->owner_told = 0;
    me->finalizing = 0;
    me->draining = false;
    if (me->condemned) {
        condemned_ran(me);
    } else if (handle != 0) {
        mid_drop_ref(me, handle);
        MID_COUNT(me->heap, finalized_objects, 1);
    }
    if (owner != 0)
        mid_drop_ref(me, owner);
}

void mid_final_run_due(mid_impl *me, uint64_t limit)
{
    if (me->finalizing || me->draining || mid_busy(me->heap))
        return;
    while (limit != 0 && mid_weak_call(me))
        limit--;
}

void mid_final_run(mid_impl *me, uint64_t limit)
{
    if (me->finalizing)
        return;
    mid_final_run_due(me, limit); /* who is told of a death learns it before the dead one's finalizer can undo it */
    for (uint64_t n = 0; n < limit; n++)
        if (!run_dead(me) && !run_condemned(me))
            return;
}

uint64_t mid_final_judge(mid_impl *me)
{
    mid_heap *heap = me->heap;
    if (heap->condemned_next < heap->condemned_count || heap->finals_running != 0)
        return 0;
    if (mid_trial_rejudge(me))
        return 0;
    uint32_t count = heap->condemned_count;
    mid_handle *set = heap->condemned.data;
    MID_WRITE_(heap->condemned_count, 0);
    heap->condemned_next = 0;
    if (MID_READ_(heap->sweeps) == MID_SWEEPS_WAITING)
        MID_WRITE_(heap->sweeps, MID_SWEEPS_STOPPED);
    for (uint32_t i = 0; i < count; i++)
        mid_drop_ref(me, set[i]);
    mid_collecting piece = mid_collecting_begin(heap, MID_COLLECTOR_RECOUNT, false);
    mid_settle(me); /* what their finalizers let go must not count as a holder */
    piece.is.candidates = count;
    mid_status status = mid_cycles_prove(me, set, count, &piece.is.freed);
    uint64_t freed = piece.is.garbage = piece.is.freed, alive = 0;
    for (uint32_t i = 0; status == MID_OK && i < count; i++) {
        const mid_entry *entry = mid_entry_at(heap, set[i]);
        alive += mid_entry_live(entry) && mid_type_of_entry(heap, entry)->finalize != NULL;
    }
    MID_COUNT(heap, resurrected_objects, alive);
    __atomic_fetch_add(&heap->collector.stats[MID_COLLECTOR_RECOUNT].resurrected, alive, __ATOMIC_RELAXED);
    mid_collecting_end(heap, &piece, status);
    return freed; /* without memory for marks, who is resurrected and who is garbage the next collection tells */
}
