/* gc/trace_records.c: the records of a tracer, and what they add up to.
 *
 * Each record belongs to a group (domain, type, traceback), whose sums are kept with every change: a snapshot copies the groups
 * and never looks at the objects. Open addressing, linear probing, deletion by moving back (Knuth, TAOCP 3, 6.4, algorithm R);
 * eight neighbouring entries of the handle table have neighbouring places, for they are mostly allocated one after another. */
#include <string.h>

#include "gc/heap.h"

static mid_trace_cell *cells(const mid_tracer *t)
{
    return t->cells.data;
}

static uint64_t which_of(mid_trace_domain domain, uint64_t key)
{
    return (uint64_t)(domain + 1) << 48 | key;
}

static uint64_t home(uint64_t mask, uint64_t which)
{
    return ((which >> 3) * 0x9E3779B97F4A7C15u >> 24 << 3 | (which & 7)) & mask;
}

static mid_trace_cell *find(const mid_tracer *t, uint64_t which)
{
    if (t->cells.data == NULL)
        return NULL;
    for (uint64_t i = home(t->mask, which);; i = (i + 1) & t->mask) {
        if (cells(t)[i].which == which)
            return &cells(t)[i];
        if (cells(t)[i].which == 0)
            return NULL;
    }
}

const mid_trace_cell *mid_trace_find(const mid_tracer *t, mid_trace_domain domain, uint64_t key)
{
    return find(t, which_of(domain, key));
}

static void put(mid_trace_cell *into, uint64_t mask, mid_trace_cell cell)
{
    uint64_t i = home(mask, cell.which);
    while (into[i].which != 0)
        i = (i + 1) & mask;
    into[i] = cell;
}

static mid_status room(mid_heap *heap)
{
    mid_tracer *t = &heap->trace;
    mid_array bigger = {0};
    if (t->cells.data != NULL && (t->count + 1) * 2 <= t->mask + 1)
        return MID_OK;
    mid_status status = mid_array_grow(&heap->alloc, &bigger, t->cells.data == NULL ? MID_PAGE * 4 : t->cells.bytes * 2);
    if (status != MID_OK)
        return status;
    uint64_t mask = bigger.bytes / sizeof(mid_trace_cell) - 1;
    for (uint64_t i = 0; t->cells.data != NULL && i <= t->mask; i++)
        if (cells(t)[i].which != 0)
            put(bigger.data, mask, cells(t)[i]);
    mid_array_free(&heap->alloc, &t->cells);
    t->cells = bigger;
    t->mask = mask;
    return MID_OK;
}

static void take_out(mid_tracer *t, mid_trace_cell *cell)
{
    uint64_t hole = (uint64_t)(cell - cells(t));
    for (uint64_t i = (hole + 1) & t->mask; cells(t)[i].which != 0; i = (i + 1) & t->mask) {
        uint64_t wants = home(t->mask, cells(t)[i].which);
        if (((i - wants) & t->mask) >= ((i - hole) & t->mask)) {
            cells(t)[hole] = cells(t)[i];
            hole = i;
        }
    }
    cells(t)[hole].which = 0;
    t->count--;
}

/* --- what they add up to ------------------------------------------------------------------------------------------------ */

static mid_trace_group_sums *group_at(const mid_tracer *t, uint64_t what)
{
    return (mid_trace_group_sums *)t->groups.data + (what & ((1u << MID_TRACE_GROUP_BITS) - 1));
}

/* For how many objects it stands, in 256ths, and for how many bytes: the same whenever it is asked. Charges are no samples. */
static void worth(const mid_heap *heap, mid_trace_cell cell, uint64_t *objects, uint64_t *bytes)
{
    const mid_tracer *t = &heap->trace;
    void *const *frames;
    *bytes = cell.what >> MID_TRACE_GROUP_BITS;
    *objects = MID_TRACE_PARTS;
    if (t->sample == 0 || cell.which >> 48 == MID_TRACE_CHARGED + 1 || mid_stacks_frames(&t->stacks, (uint32_t)(cell.what & MID_STACKS_MOST), &frames) == 0)
        return;
    uint64_t slot = *bytes;
    mid_type type = MID_TRACE_TAG_TYPE((uintptr_t)frames[0]);
    if (cell.which >> 48 == MID_TRACE_OBJECT + 1 && slot <= heap->alloc.pooled_max)
        slot = mid_class_size(mid_class_for(slot, mid_type_at(heap, type)->align_shift));
    double times = 1 / mid_trace_chance(slot, t->sample);
    *objects = (uint64_t)(times * MID_TRACE_PARTS + 0.5);
    *bytes = (uint64_t)((double)*bytes * times + 0.5);
}

static void add(mid_heap *heap, mid_trace_cell cell)
{
    mid_tracer *t = &heap->trace;
    mid_trace_group_sums *group = group_at(t, cell.what);
    uint64_t objects, bytes;
    worth(heap, cell, &objects, &bytes);
    group->records++;
    group->bytes += bytes;
    group->objects += objects;
    t->objects += objects;
    t->bytes += bytes;
    t->domain_bytes[(cell.which >> 48) - 1] += bytes;
    if (t->bytes > t->peak)
        t->peak = t->bytes;
    t->objects_known += cell.which >> 48 == MID_TRACE_OBJECT + 1;
    MID_WRITE_(t->known[(cell.which >> 48) - 1], t->known[(cell.which >> 48) - 1] + 1);
}

static void subtract(mid_heap *heap, mid_trace_cell cell)
{
    mid_tracer *t = &heap->trace;
    mid_trace_group_sums *group = group_at(t, cell.what);
    uint64_t objects, bytes;
    worth(heap, cell, &objects, &bytes);
    group->records--;
    group->bytes -= bytes;
    group->objects -= objects;
    t->objects -= objects;
    t->bytes -= bytes;
    t->domain_bytes[(cell.which >> 48) - 1] -= bytes;
    t->objects_known -= cell.which >> 48 == MID_TRACE_OBJECT + 1;
    MID_WRITE_(t->known[(cell.which >> 48) - 1], t->known[(cell.which >> 48) - 1] - 1);
}

/* --- in and out --------------------------------------------------------------------------------------------------------------- */

mid_status mid_trace_enter(mid_heap *heap, mid_trace_domain domain, mid_type type, uint64_t key, uint64_t bytes, void **frames, unsigned depth)
{
    mid_tracer *t = &heap->trace;
    frames[0] = (void *)MID_TRACE_TAG(domain, type);
    uint32_t group = mid_stacks_enter(&heap->alloc, &t->stacks, frames, depth + 1);
    mid_status status = group == 0 ? MID_ENOMEM : mid_array_grow(&heap->alloc, &t->groups, ((size_t)group + 1) * sizeof(mid_trace_group_sums));
    if (status == MID_OK)
        status = room(heap);
    if (status != MID_OK) {
        t->missed++;
        return status;
    }
    mid_trace_leave(heap, domain, key);
    if (bytes >= MID_TRACE_BYTES_MOST)
        bytes = MID_TRACE_BYTES_MOST - 1;
    mid_trace_cell cell = {which_of(domain, key), bytes << MID_TRACE_GROUP_BITS | group};
    put(cells(t), t->mask, cell);
    t->count++;
    add(heap, cell);
    return MID_OK;
}

bool mid_trace_leave(mid_heap *heap, mid_trace_domain domain, uint64_t key)
{
    mid_trace_cell *cell = find(&heap->trace, which_of(domain, key));
    if (cell == NULL)
        return false;
    subtract(heap, *cell);
    take_out(&heap->trace, cell);
    return true;
}

void mid_trace_again(mid_heap *heap, uint64_t key, uint64_t bytes)
{
    mid_trace_cell *cell = find(&heap->trace, which_of(MID_TRACE_OBJECT, key));
    if (cell == NULL)
        return;
    subtract(heap, *cell);
    cell->what = bytes << MID_TRACE_GROUP_BITS | (cell->what & MID_STACKS_MOST);
    add(heap, *cell);
}

void mid_trace_restore(mid_heap *heap, mid_trace_domain domain, uint64_t key, uint64_t what, uint64_t bytes)
{
    mid_tracer *t = &heap->trace;
    void *const *frames;
    uint32_t group = (uint32_t)(what & MID_STACKS_MOST);
    /* tracing may have ended since, and begun anew */
    if (mid_stacks_frames(&t->stacks, group, &frames) == 0 || MID_TRACE_TAG_DOMAIN((uintptr_t)frames[0]) != domain)
        return;
    mid_trace_leave(heap, domain, key);
    if (room(heap) != MID_OK) {
        t->missed++;
        return;
    }
    if (bytes >= MID_TRACE_BYTES_MOST)
        bytes = MID_TRACE_BYTES_MOST - 1;
    mid_trace_cell cell = {which_of(domain, key), bytes << MID_TRACE_GROUP_BITS | group};
    put(cells(t), t->mask, cell);
    t->count++;
    add(heap, cell);
}

/* There is room: no more than are taken out. */
void mid_trace_exchange(mid_heap *heap, mid_handle a, mid_handle b)
{
    mid_tracer *t = &heap->trace;
    if (t->objects_known == 0)
        return;
    uint64_t names[2] = {which_of(MID_TRACE_OBJECT, a / 2), which_of(MID_TRACE_OBJECT, b / 2)}, what[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        mid_trace_cell *cell = find(t, names[i]);
        if (cell == NULL)
            continue;
        what[i] = cell->what;
        take_out(t, cell);
    }
    for (int i = 0; i < 2; i++)
        if (what[i] != 0) {
            put(cells(t), t->mask, (mid_trace_cell){names[1 - i], what[i]});
            t->count++;
        }
}

void mid_trace_records_close(mid_heap *heap)
{
    mid_tracer *t = &heap->trace;
    mid_trace_charges_close(heap);
    mid_stacks_close(&heap->alloc, &t->stacks);
    mid_array_free(&heap->alloc, &t->groups);
    mid_array_free(&heap->alloc, &t->cells);
    t->mask = t->count = t->objects_known = 0;
    t->missed = t->bytes = t->peak = t->objects = 0;
    memset(t->domain_bytes, 0, sizeof t->domain_bytes);
    memset(t->known, 0, sizeof t->known);
}

/* --- are they as they should be? --------------------------------------------------------------------------------------------- */

static const char *check_cell(const mid_heap *heap, mid_trace_cell cell)
{
    uint64_t key = cell.which & ((1ull << 48) - 1), domain = (cell.which >> 48) - 1;
    void *const *frames;
    if (domain >= MID_TRACE_DOMAINS || mid_stacks_frames(&heap->trace.stacks, (uint32_t)(cell.what & MID_STACKS_MOST), &frames) == 0)
        return "a record of the tracer has no traceback";
    if (domain != MID_TRACE_OBJECT)
        return NULL;
    const mid_entry *entry = heap->table + key;
    if (key < heap->first_index || key >= heap->next_index || entry->count == 0 || !(entry->word & MID_F_WEAK))
        return "a traced object is not there, or does not know that it is traced";
    return entry->word >> MID_TYPE_SHIFT_ != MID_TRACE_TAG_TYPE((uintptr_t)frames[0]) ? "a traced object is of another type" : NULL;
}

const char *mid_trace_check(mid_heap *heap)
{
    const mid_tracer *t = &heap->trace;
    const char *wrong = mid_stacks_check(&t->stacks);
    if (wrong == NULL)
        wrong = mid_trace_charges_check(heap);
    uint64_t found = 0, bytes = 0, records = 0, domains = 0, sum = 0;
    for (uint64_t i = 0; wrong == NULL && t->cells.data != NULL && i <= t->mask; i++) {
        if (cells(t)[i].which == 0)
            continue;
        uint64_t objects, worth_bytes;
        wrong = check_cell(heap, cells(t)[i]);
        if (wrong != NULL)
            break;
        worth(heap, cells(t)[i], &objects, &worth_bytes);
        found++;
        bytes += worth_bytes;
    }
    if (wrong != NULL)
        return wrong;
    for (uint32_t group = 1; group <= t->stacks.count && (group + 1ull) * sizeof(mid_trace_group_sums) <= t->groups.bytes; group++) {
        records += group_at(t, group)->records;
        sum += group_at(t, group)->bytes;
    }
    for (unsigned i = 0; i < MID_TRACE_DOMAINS; i++)
        domains += t->domain_bytes[i];
    return found != t->count || records != found || bytes != t->bytes || sum != bytes || domains != bytes || t->peak < t->bytes
               ? "what the tracer says in sum is not the sum of its records" : NULL;
}
