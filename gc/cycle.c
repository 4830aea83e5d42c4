/* gc/cycle.c: garbage cycles, exactly.
 *
 * Candidates are the live entries of possibly cyclic types: all of the table, or a given set. References between
 * candidates are subtracted from their counts (here: counted up in a side array of marks); what has more counts than
 * references is held from outside, keeps all it reaches alive, and the rest is garbage. This is CPython's collector
 * (gcmodule.c; Christopher, "Reference count garbage collection", 1984) run linearly over a dense table, the marks beside
 * it, so that random references touch 4 bytes an object. The world stands still, and everything is exact.
 *
 * A cycle can have become garbage only if the count of a member fell without reaching zero since the last collection:
 * such entries carry the suspect bit, and where there is none a look at the table is all the work. */
#include "gc/refs.h"

#define CANDIDATE 0x80000000u /* low bits: references from candidates */
#define END 0x7fffffffu       /* alive: the next index on the stack, or END; never 0 */

typedef struct sweep {
    mid_heap *heap;
    uint32_t *marks;
    mid_array memory;
    const mid_handle *list; /* null: the whole table */
    uint32_t count;
    uint32_t stack;
    uint64_t candidates, garbage, freed;
    bool finalizable;
} sweep;

static mid_status sweep_open(sweep *s)
{
    mid_status status =
        mid_array_grow(&s->heap->alloc, &s->memory, (size_t)s->heap->next_index * sizeof(uint32_t));
    s->marks = s->memory.data;
    s->stack = END;
    if (s->list == NULL)
        s->count = s->heap->next_index;
    return status;
}

static inline uint32_t index_at(const sweep *s, uint32_t i)
{
    return s->list == NULL ? i : s->list[i] / 2;
}

static inline mid_entry *entry_of(const sweep *s, uint32_t index)
{
    return s->heap->table + index;
}

static inline void each_ref(sweep *s, uint32_t index, mid_ref_fn *fn)
{
    mid_entry *entry = entry_of(s, index);
    mid_refs(mid_type_of_entry(s->heap, entry), mid_address(entry), fn, s);
}

static bool any_suspect(const mid_heap *heap)
{
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if ((entry->count & MID_SUSPECT_) && mid_entry_live(entry) && mid_type_of_entry(heap, entry)->cyclic)
            return true;
    }
    return false;
}

static void mark_candidates(sweep *s)
{
    for (uint32_t i = s->list == NULL ? s->heap->first_index : 0; i < s->count; i++) {
        uint32_t index = index_at(s, i);
        const mid_entry *entry = entry_of(s, index);
        if (!mid_entry_live(entry) || !mid_type_of_entry(s->heap, entry)->cyclic)
            continue;
        s->marks[index] = CANDIDATE;
        s->candidates++;
    }
}

static inline void subtract_one(void *context, mid_slot *slot)
{
    sweep *s = context;
    mid_handle value = slot->bits_;
    if (mid_is_object_(value) && (s->marks[value / 2] & CANDIDATE))
        s->marks[value / 2]++;
}

static void subtract(sweep *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t index = index_at(s, i);
        if (s->marks[index] & CANDIDATE)
            each_ref(s, index, subtract_one);
    }
}

static inline void revive(sweep *s, uint32_t index)
{
    s->marks[index] = s->stack;
    s->stack = index;
}

static inline void revive_ref(void *context, mid_slot *slot)
{
    sweep *s = context;
    mid_handle value = slot->bits_;
    if (mid_is_object_(value) && (s->marks[value / 2] & CANDIDATE))
        revive(s, value / 2);
}

/* What is held from outside, and all it reaches, is alive. */
static void revive_held(sweep *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t index = index_at(s, i), mark = s->marks[index];
        if (!(mark & CANDIDATE))
            continue;
        uint32_t count = entry_of(s, index)->count, inside = mark & ~CANDIDATE;
        /* Fewer counts than references is a corrupt heap: mid_heap_check tells, and nothing is freed on its word. */
        if (!mid_sticky(count) && count / MID_ONE_ == inside)
            continue;
        revive(s, index);
        while (s->stack != END) {
            uint32_t next = s->stack;
            s->stack = s->marks[next];
            each_ref(s, next, revive_ref);
        }
    }
}

/* Take stock of the garbage: clear weak references to it, see whether any of it wants to be finalized. */
static void sentence(sweep *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t index = index_at(s, i);
        if (!(s->marks[index] & CANDIDATE))
            continue;
        mid_entry *entry = entry_of(s, index);
        s->garbage++;
        if (entry->word & MID_F_WEAK)
            mid_weak_clear(s->heap, index * 2, entry);
        s->finalizable |= s->heap->any_finalizer && mid_final_due(s->heap, entry);
    }
}

/* Garbage with finalizers and what it reaches is set aside, whole, until they have run. */
static void condemn(sweep *s)
{
    mid_heap *heap = s->heap;
    size_t room = (heap->condemned_count + s->garbage) * sizeof(mid_handle);
    bool hold = mid_array_grow(&heap->alloc, &heap->condemned, room) == MID_OK;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t index = index_at(s, i);
        if (!(s->marks[index] & CANDIDATE) || !mid_final_due(heap, entry_of(s, index)))
            continue;
        revive(s, index);
        while (s->stack != END) {
            uint32_t next = s->stack;
            mid_entry *entry = entry_of(s, next);
            s->stack = s->marks[next];
            each_ref(s, next, revive_ref);
            if (!hold) /* no room to remember it: it stays garbage, for the next collection to find */
                continue;
            ((mid_handle *)heap->condemned.data)[heap->condemned_count++] = next * 2;
            entry->count += MID_ONE_;
            if (mid_final_due(heap, entry)) {
                entry->count += MID_ONE_;
                mid_final_push(heap, next * 2);
            }
        }
    }
}

static inline void drop_outward(void *context, mid_slot *slot)
{
    sweep *s = context;
    mid_handle value = slot->bits_;
    if (mid_is_object_(value) && !(s->marks[value / 2] & CANDIDATE))
        mid_drop_ref(s->heap, value);
}

static void free_garbage(sweep *s)
{
    mid_heap *heap = s->heap;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t index = index_at(s, i);
        if (!(s->marks[index] & CANDIDATE))
            continue;
        mid_entry *entry = entry_of(s, index);
        each_ref(s, index, drop_outward);
        if ((entry->word & MID_F_ALL) == 0 && mid_type_of_entry(heap, entry)->plain)
            mid_slot_free(heap, index * 2, entry);
        else
            mid_free_entry(heap, index * 2, entry);
        s->freed++;
    }
}

static void forget_suspects(sweep *s)
{
    for (uint32_t i = s->heap->first_index; i < s->count; i++)
        if (s->marks[i] != 0 && !(s->marks[i] & CANDIDATE))
            entry_of(s, i)->count &= ~MID_SUSPECT_;
}

static mid_status sweep_run(sweep *s)
{
    mid_status status = sweep_open(s);
    if (status != MID_OK)
        return status;
    mark_candidates(s);
    subtract(s);
    revive_held(s);
    sentence(s);
    if (s->list == NULL)
        forget_suspects(s);
    if (s->finalizable)
        condemn(s);
    if (s->garbage != 0)
        free_garbage(s);
    mid_array_free(&s->heap->alloc, &s->memory);
    return MID_OK;
}

mid_status mid_cycles_collect(mid_heap *heap, mid_collect_result *result)
{
    uint64_t start = mid_thread_cpu_nanos();
    mid_status status = MID_OK;
    *result = (mid_collect_result){0};
    MID_EMIT(heap, collect_begin);
    while (mid_drain(heap, 4096, 0) != 0)
        ;
    if (any_suspect(heap)) {
        sweep s = {.heap = heap};
        status = sweep_run(&s);
        result->candidates = s.candidates;
        result->garbage = s.garbage;
        result->freed = s.freed;
        while (mid_drain(heap, 4096, 0) != 0)
            ;
    }
    result->micros = (mid_thread_cpu_nanos() - start) / 1000;
    heap->counts.collections++;
    heap->counts.collected_objects += result->freed;
    heap->counts.collect_micros += result->micros;
    heap->live_at_collection = mid_live_bytes(heap);
    MID_EMIT(heap, collect_end, result);
    return status;
}

mid_status mid_cycles_prove(mid_heap *heap, const mid_handle *set, uint32_t count, uint64_t *freed)
{
    sweep s = {.heap = heap, .list = set, .count = count};
    mid_status status = sweep_run(&s);
    *freed = s.freed;
    heap->counts.collected_objects += s.freed;
    return status;
}
