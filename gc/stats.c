/* gc/stats.c: what the heap says of itself. Sums over the 80 classes; nothing here grows with the heap but
 * mid_stats_type. */
#include <string.h>

#include "gc/freeze.h"
#include "gc/refs.h"

/* What goes into a cache counts as freed, and handed out again. */
uint64_t mid_freed_slots(const mid_heap *heap, unsigned size_class)
{
    uint64_t slots = heap->alloc.classes[size_class].freed;
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
        slots += MID_READ_(heap->threads[id]->recycled[size_class]);
    return slots;
}

uint64_t mid_waiting(const mid_heap *heap)
{
    uint64_t objects = 0;
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
        objects += MID_READ_(heap->threads[id]->pending_count);
    return objects;
}

static void fill_objects(const mid_heap *heap, mid_stats *s)
{
    uint64_t dead = mid_waiting(heap) + heap->quarantine_count + MID_READ_(heap->final_dead);
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        const mid_class *c = &heap->alloc.classes[i];
        uint64_t live = mid_live_slots(heap, i), freed = mid_freed_slots(heap, i);
        s->live_objects += live;
        s->live_slot_bytes += live * c->slot_size;
        s->allocated_objects += live + freed;
        s->allocated_bytes += (live + freed) * c->slot_size;
        s->freed_objects += freed;
    }
    s->live_objects += heap->large_objects - heap->large_freed;
    /* From inside a drain, which counts at its end, the list may seem longer than it is. */
    s->live_objects -= dead < s->live_objects ? dead : s->live_objects;
    s->live_slot_bytes += heap->alloc.large_live;
    s->allocated_objects += heap->large_objects;
    s->allocated_bytes += heap->large_allocated;
    s->freed_objects += heap->large_freed;
}

void mid_stats_fill(const mid_heap *heap, mid_stats *into)
{
    mid_stats s;
    const uint64_t *counts = (const uint64_t *)&heap->counts; /* some are added to without the lock */
    for (size_t i = 0; i < sizeof s / sizeof *counts; i++)
        ((uint64_t *)&s)[i] = MID_READ_(counts[i]);
    const mid_alloc *a = &heap->alloc;
    fill_objects(heap, &s);
    s.pool_bytes = a->bytes[MID_IN_POOLS];
    s.empty_bytes = a->bytes[MID_IN_EMPTY];
    s.run_bytes = a->bytes[MID_IN_RUNS];
    s.mapping_bytes = a->bytes[MID_IN_MAPPINGS];
    s.table_bytes = a->bytes[MID_IN_TABLE];
    s.metadata_bytes = a->bytes[MID_IN_META];
    s.committed_bytes = a->committed;
    s.peak_committed_bytes = a->peak;
    s.waiting_objects = mid_waiting(heap);
    s.finalizers_waiting = MID_READ_(heap->final_count);
    s.condemned_objects = MID_READ_(heap->condemned_count);
    s.pinned_objects = heap->pins.count;
    s.weak_references = heap->weak_live;
    s.returned_bytes = a->returned;
    s.attached_threads = MID_READ_(heap->attached);
    s.pool_size = a->pool_size;
    s.block_bytes = a->bytes[MID_IN_BLOCKS];
    s.foreign_bytes = MID_READ_(heap->domains.foreign);
    s.peak_foreign_bytes = MID_READ_(heap->domains.peak_foreign);
    s.frozen_objects = heap->freezer == NULL ? 0 : heap->freezer->objects;
    s.frozen_counts = mid_side_objects(heap);
    *into = s;
}

size_t mid_stats_get(mid_heap *heap, mid_stats *stats, size_t size)
{
    if (heap == NULL || stats == NULL)
        return 0;
    mid_stats s;
    mid_lock(heap);
    mid_stats_fill(heap, &s);
    mid_unlock(heap);
    if (size > sizeof s)
        size = sizeof s;
    memcpy(stats, &s, size);
    return size;
}

mid_status mid_stats_class(mid_heap *heap, unsigned size_class, mid_class_stats *stats)
{
    if (heap == NULL || stats == NULL)
        return MID_ENULL;
    if (size_class >= heap->alloc.class_count)
        return MID_EINVAL;
    mid_lock(heap);
    const mid_class *c = &heap->alloc.classes[size_class];
    uint64_t live = mid_live_slots(heap, size_class);
    *stats = (mid_class_stats){
        .slot_size = c->slot_size,
        .slots_per_pool = c->slots,
        .pools = c->pools,
        .live_slots = live,
        .free_slots = c->pools * c->slots - live,
        .optimal_pools = (live + c->slots - 1) / c->slots,
    };
    mid_unlock(heap);
    return MID_OK;
}

mid_status mid_stats_type(mid_heap *heap, mid_type type, uint64_t *objects, uint64_t *bytes)
{
    if (heap == NULL || objects == NULL || bytes == NULL)
        return MID_ENULL;
    bool stopped;
    mid_status status = mid_look_begin(heap, &stopped);
    if (status == MID_OK && (type == 0 || type > heap->type_count))
        status = MID_ETYPE;
    *objects = *bytes = 0;
    for (uint32_t i = heap->first_index; status == MID_OK && i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_entry_live(entry) || entry->word >> MID_TYPE_SHIFT_ != type)
            continue;
        ++*objects;
        *bytes += mid_object_size(mid_type_at(heap, type), mid_address(entry));
    }
    mid_look_end(heap, stopped);
    return status;
}

static mid_status copy(mid_heap *heap, const uint64_t *from, uint64_t *into)
{
    if (heap == NULL || into == NULL)
        return MID_ENULL;
    mid_lock(heap);
    for (unsigned i = 0; i < MID_STOP_BUCKETS; i++)
        into[i] = MID_READ_(from[i]);
    mid_unlock(heap);
    return MID_OK;
}

mid_status mid_stats_stops(mid_heap *heap, uint64_t stop_histogram[MID_STOP_BUCKETS])
{
    return copy(heap, heap == NULL ? NULL : heap->stop_histogram, stop_histogram);
}

mid_status mid_stats_waits(mid_heap *heap, uint64_t wait_histogram[MID_STOP_BUCKETS])
{
    return copy(heap, heap == NULL ? NULL : heap->wait_histogram, wait_histogram);
}
