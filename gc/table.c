/* gc/table.c: the handle table, one reserved range of 16-byte entries.
 *
 * It never moves and, so far, never shrinks: an address in it stays readable while the heap is open. */
#include "gc/heap.h"

#define STEP ((size_t)64 << 10)
#define HUGE ((size_t)2 << 20)
#define HUGE_FROM ((size_t)64 << 20)

static mid_status commit_to(mid_heap *heap, size_t bytes)
{
    size_t step = heap->table_committed >= HUGE_FROM ? HUGE : STEP;
    size_t want = mid_round(bytes, step);
    if (want > heap->table_reserved)
        want = heap->table_reserved;
    size_t more = want - heap->table_committed;
    mid_status status = mid_charge(&heap->alloc, MID_IN_TABLE, more);
    if (status != MID_OK)
        return status;
    char *at = (char *)heap->table + heap->table_committed;
    if (!heap->os.commit(heap->os.ctx, at, more)) {
        mid_uncharge(&heap->alloc, MID_IN_TABLE, more);
        return MID_ENOMEM;
    }
    if (step == HUGE && heap->options.huge_table && heap->os.advise_huge != NULL)
        heap->os.advise_huge(heap->os.ctx, at, more);
    heap->table_committed = want;
    return MID_OK;
}

/* A limit on address space may refuse what the option asks for; a smaller table serves a smaller heap. */
mid_status mid_table_open(mid_heap *heap)
{
    size_t bytes = mid_round((size_t)heap->options.max_objects * sizeof(mid_entry), HUGE);
    const size_t least = (size_t)1 << 20;
    while ((heap->table = heap->os.reserve(heap->os.ctx, bytes, HUGE)) == NULL && bytes / 4 >= least)
        bytes = mid_round(bytes / 4, HUGE);
    if (heap->table == NULL)
        return MID_ENOMEM;
    heap->table_reserved = bytes;
    heap->max_index = (uint32_t)(bytes / sizeof(mid_entry) < heap->options.max_objects ? bytes / sizeof(mid_entry)
                                                                                       : heap->options.max_objects);
    heap->first_index = heap->next_index = 1;
    if (heap->debug) { /* handles of one debug heap are out of range, mostly, in the next */
        static uint32_t serial;
        uint32_t base = 1 + (__atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED) % 61) * 4093;
        if (base < heap->max_index / 4)
            heap->first_index = heap->next_index = base;
    }
    mid_status status = commit_to(heap, (heap->first_index + 1) * sizeof(mid_entry));
    if (status != MID_OK) {
        heap->os.release(heap->os.ctx, heap->table, heap->table_reserved);
        heap->table = NULL;
        return status;
    }
    heap->table[0].count = MID_STICKY_; /* null: address 0, never counted */
    return MID_OK;
}

void mid_table_close(mid_heap *heap)
{
    if (heap->table == NULL)
        return;
    heap->os.release(heap->os.ctx, heap->table, heap->table_reserved);
    mid_uncharge(&heap->alloc, MID_IN_TABLE, heap->table_committed);
    heap->table = NULL;
}

mid_handle mid_entry_take(mid_heap *heap, mid_status *status)
{
    mid_handle handle = heap->free_entries;
    if (handle != 0) {
        mid_entry *entry = mid_entry_at(heap, handle);
        heap->free_entries = MID_READ_(entry->shared);
        heap->free_entry_count--;
        MID_WRITE_(entry->shared, 0);
        return handle;
    }
    if (heap->next_index >= heap->max_index) {
        *status = MID_ELIMIT;
        return 0;
    }
    if ((heap->next_index + (size_t)1) * sizeof(mid_entry) > heap->table_committed) {
        *status = commit_to(heap, (heap->next_index + (size_t)1) * sizeof(mid_entry));
        if (*status != MID_OK)
            return 0;
    }
    uint32_t index = heap->next_index;
    __atomic_store_n(&heap->next_index, index + 1, __ATOMIC_RELEASE); /* once there is memory behind it: readers race */
    return index * 2;
}

void mid_entry_give(mid_heap *heap, mid_handle handle)
{
    mid_entry *entry = mid_entry_at(heap, handle);
    MID_WRITE_(entry->word, 0);
    MID_WRITE_(entry->count, 0);
    MID_WRITE_(entry->shared, heap->free_entries);
    heap->free_entries = handle;
    heap->free_entry_count++;
}

mid_entry *mid_checked(mid_thread *thread, mid_handle object, mid_status *status)
{
    *status = mid_thread_check(thread);
    if (*status != MID_OK)
        return NULL;
    mid_heap *heap = mid_impl_of(thread)->heap;
    *status = MID_EHANDLE;
    if (!mid_in_table(heap, object))
        return NULL;
    mid_entry *entry = mid_entry_at(heap, object);
    if (!mid_entry_live(entry))
        return NULL;
    *status = MID_OK;
    return entry;
}
