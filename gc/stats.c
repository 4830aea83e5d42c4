/* gc/stats.c: what the heap says of itself. Sums over the 80 classes; nothing here grows with the heap but
 * mid_stats_type. */
#include <string.h>

#include "gc/refs.h"

static void fill_objects(const mid_heap *heap, mid_stats *s)
{
    uint64_t dead = heap->pending_count + heap->quarantine_count;
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        const mid_class *c = &heap->alloc.classes[i];
        uint64_t cached = heap->mutator == NULL ? 0 : heap->mutator->pub.left[i];
        s->live_objects += mid_live_slots(heap, i);
        s->live_slot_bytes += mid_live_slots(heap, i) * c->slot_size;
        s->allocated_objects += c->handed - cached;
        s->allocated_bytes += (c->handed - cached) * c->slot_size;
        s->freed_objects += c->freed;
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
    mid_stats s = heap->counts;
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
    s.waiting_objects = heap->pending_count;
    s.finalizers_waiting = heap->final_count;
    s.pinned_objects = heap->pins.count;
    s.weak_references = heap->weak_live;
    s.returned_bytes = a->returned;
    *into = s;
}

size_t mid_stats_get(mid_heap *heap, mid_stats *stats, size_t size)
{
    if (heap == NULL || stats == NULL)
        return 0;
    mid_stats s;
    bool locked;
    if (mid_look_begin(heap, &locked) == MID_OK) {
        mid_stats_fill(heap, &s);
        mid_look_end(heap, locked);
    } else {
        pthread_mutex_lock(&heap->stats_lock);
        s = heap->shown;
        pthread_mutex_unlock(&heap->stats_lock);
    }
    if (size > sizeof s)
        size = sizeof s;
    memcpy(stats, &s, size);
    return size;
}

mid_status mid_stats_class(mid_heap *heap, unsigned size_class, mid_class_stats *stats)
{
    if (heap == NULL || stats == NULL)
        return MID_ENULL;
    if (size_class >= MID_CLASSES)
        return MID_EINVAL;
    bool locked;
    mid_status status = mid_look_begin(heap, &locked);
    if (status != MID_OK)
        return status;
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
    mid_look_end(heap, locked);
    return MID_OK;
}

mid_status mid_stats_type(mid_heap *heap, mid_type type, uint64_t *objects, uint64_t *bytes)
{
    if (heap == NULL || objects == NULL || bytes == NULL)
        return MID_ENULL;
    bool locked;
    mid_status status = mid_look_begin(heap, &locked);
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
    mid_look_end(heap, locked);
    return status;
}

mid_status mid_stats_stops(mid_heap *heap, uint64_t stop_histogram[MID_STOP_BUCKETS])
{
    if (heap == NULL || stop_histogram == NULL)
        return MID_ENULL;
    bool locked;
    mid_status status = mid_look_begin(heap, &locked);
    if (status == MID_OK)
        memcpy(stop_histogram, heap->stop_histogram, sizeof heap->stop_histogram);
    mid_look_end(heap, locked);
    return status;
}
