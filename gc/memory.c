/* gc/memory.c: where every byte is. What is alive is found by a walk over the table, what is not by subtraction, so that the
 * figures add up whatever an object is in the middle of. */
#include <string.h>

#include "gc/refs.h"

/* What objects take: of each class in slots, of large ones in bytes of whole pages. */
struct census {
    uint64_t slots[MID_CLASSES];
    uint64_t large_bytes;
};

static void take_object(const mid_heap *heap, const mid_entry *entry, struct census *live, mid_memory *m)
{
    const size_t size = mid_object_size(mid_type_of_entry(heap, entry), mid_address(entry));
    m->live_bytes += size;
    if (entry->word & MID_F_LARGE)
        live->large_bytes += mid_large_bytes(size + heap->fence);
    else
        live->slots[mid_pool_in(&heap->alloc, mid_address(entry))->size_class]++;
}

static void walk_table(const mid_heap *heap, struct census *live, mid_memory *m)
{
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (entry->count != 0)
            m->entry_bytes += sizeof *entry;
        else if (entry->word != 0)
            m->bound_entry_bytes += sizeof *entry;
        if (mid_entry_live(entry))
            take_object(heap, entry, live, m);
    }
    m->free_entry_bytes = heap->alloc.bytes[MID_IN_TABLE] - m->entry_bytes - m->bound_entry_bytes;
}

static void add_classes(const mid_heap *heap, const struct census *live, mid_memory *m)
{
    for (unsigned i = 0; i < MID_CLASSES; i++) {
        const mid_class *c = &heap->alloc.classes[i];
        const uint64_t used = mid_live_slots(heap, i), index = c->first != 0 ? c->slots * 4u : 0;
        m->rounding_bytes += live->slots[i] * c->slot_size;
        m->dead_bytes += (used - live->slots[i]) * c->slot_size;
        m->free_slot_bytes += (c->pools * c->slots - used) * c->slot_size;
        m->index_bytes += c->pools * index;
        m->tail_bytes += c->pools * (heap->alloc.pool_size - index - c->slots * c->slot_size);
    }
}

/* Large blocks in spans round to whole units, which is shown with those of objects. */
static void add_mem(mid_heap *heap, mid_memory *m)
{
    const mid_alloc *a = &heap->alloc;
    mid_domain_stats s;
    mid_stats_domain(heap, MID_DOMAIN_MEM, &s, sizeof s);
    m->mem_live_bytes = s.asked_bytes;
    m->mem_rounding_bytes = s.taken_bytes - s.asked_bytes;
    for (unsigned i = 0; i < a->class_count; i++) {
        const uint64_t slots = a->blocks[i].slots * (uint64_t)a->classes[i].slot_size;
        m->mem_free_bytes += a->blocks[i].pools * slots;
        m->mem_index_bytes += a->blocks[i].pools * (a->pool_size - slots);
    }
    m->mem_free_bytes -= s.taken_bytes - a->large_blocks;
}

static void fill(mid_heap *heap, mid_memory *m)
{
    const mid_alloc *a = &heap->alloc;
    struct census live = {0};
    walk_table(heap, &live, m);
    add_classes(heap, &live, m);
    m->empty_bytes = a->bytes[MID_IN_EMPTY];
    m->free_page_bytes = a->dirty_pages * MID_PAGE;
    const uint64_t maps = mid_runs_maps(a), blocks = a->bytes[MID_IN_RUNS] + a->bytes[MID_IN_MAPPINGS] - m->free_page_bytes - maps - a->large_blocks;
    m->dead_bytes += a->large_live - live.large_bytes;
    m->rounding_bytes += blocks - (a->large_live - live.large_bytes) - m->live_bytes;
    const uint64_t descriptors = a->arena_count * (uint64_t)a->units * sizeof(mid_pool);
    m->descriptor_bytes = descriptors + maps;
    m->metadata_bytes = a->bytes[MID_IN_META] - descriptors;
    m->committed_bytes = a->committed;
    add_mem(heap, m);
    m->touched_bytes = a->committed - mid_pools_untouched(a) - (a->bytes[MID_IN_TABLE] - mid_table_touched(heap));
}

mid_status mid_stats_memory(mid_heap *heap, mid_memory *memory, size_t size)
{
    if (heap == NULL || memory == NULL)
        return MID_ENULL;
    mid_memory m = {0};
    bool stopped;
    mid_status status = mid_look_begin(heap, &stopped);
    if (status == MID_OK)
        fill(heap, &m);
    mid_look_end(heap, stopped);
    if (status == MID_OK)
        memcpy(memory, &m, size < sizeof m ? size : sizeof m);
    return status;
}
