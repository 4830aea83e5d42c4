/* gc/finalize.c: finalizers that could not run where their objects died, and what follows them.
 *
 * The queue is linked through entries and holds one count of each. Garbage found by the collector that has finalizers,
 * with all that they can reach, is *condemned*: each member is held by one more count until the finalizers have run; then
 * the set is counted again (cycle.c) and what is still garbage is freed. The order of PEP 442: weak references are cleared,
 * finalizers run, the set is recounted, the rest is freed. */
#include "gc/heap.h"

bool mid_final_due(const mid_heap *heap, const mid_entry *entry)
{
    return mid_type_of_entry(heap, entry)->finalize != NULL && !(entry->word & MID_F_FINALIZED);
}

void mid_final_call(mid_heap *heap, mid_handle handle, mid_entry *entry)
{
    entry->word |= MID_F_FINALIZED;
    heap->finalizing++;
    mid_type_of_entry(heap, entry)->finalize(&heap->mutator->pub, handle);
    heap->finalizing--;
    heap->counts.finalized_objects++;
}

void mid_final_push(mid_heap *heap, mid_handle handle)
{
    mid_entry_at(heap, handle)->link = 0;
    if (heap->final_head == 0)
        heap->final_head = handle;
    else
        mid_entry_at(heap, heap->final_tail)->link = handle;
    heap->final_tail = handle;
    heap->final_count++;
    mid_ask(heap, MID_ASK_FINALIZE);
}

static void run_one(mid_heap *heap)
{
    mid_handle handle = heap->final_head;
    mid_entry *entry = mid_entry_at(heap, handle);
    heap->final_head = entry->link;
    if (heap->final_head == 0)
        heap->final_tail = 0;
    heap->final_count--;
    entry->link = 0;
    mid_final_call(heap, handle, entry);
    if (heap->condemned_count == 0 && entry->count >= 2 * MID_ONE_)
        heap->counts.resurrected_objects++;
    mid_drop_ref(heap, handle);
}

static uint64_t judge(mid_heap *heap)
{
    uint32_t count = heap->condemned_count;
    mid_handle *set = heap->condemned.data;
    heap->condemned_count = 0;
    for (uint32_t i = 0; i < count; i++)
        mid_drop_ref(heap, set[i]);
    while (mid_drain(heap, 4096, 0) != 0) /* what their finalizers let go must not count as a holder */
        ;
    uint64_t freed = 0;
    mid_cycles_prove(heap, set, count, &freed);
    for (uint32_t i = 0; i < count; i++) {
        mid_entry *entry = mid_entry_at(heap, set[i]);
        heap->counts.resurrected_objects += mid_entry_live(entry) && mid_type_of_entry(heap, entry)->finalize != NULL;
    }
    return freed;
}

uint64_t mid_final_run(mid_heap *heap, uint64_t limit)
{
    if (heap->finalizing)
        return 0;
    uint64_t freed = 0;
    for (uint64_t n = 0; heap->final_head != 0 && n < limit; n++)
        run_one(heap);
    if (heap->final_head == 0 && heap->condemned_count != 0)
        freed = judge(heap);
    if (heap->final_head != 0)
        mid_ask(heap, MID_ASK_FINALIZE);
    return freed;
}
