/* gc/trace_charge.c: charges (charge.c) while tracing is on. A charge is a number, and what is uncharged does not say which it was. So it
 * is the latest of the same size; if there is none, the latest of all give up as many bytes. What a program keeps is then
 * not taken for what it turns over, whichever of both has the size in common.
 *
 * Each is a record of the tracer, named by its number here; all are on one list, the latest first, those of one size on another. Sizes
 * are found by open addressing; one of which there is no charge any more stays until the table grows. Sampled or not, all are
 * recorded: a sample of what has no name could not be found again when it goes. */
#include "gc/heap.h"

static mid_trace_charge *at(const mid_tracer *t, uint32_t number)
{
    return (mid_trace_charge *)t->charges.data + number;
}

static mid_trace_size *size_at(const mid_array *sizes, uint64_t bytes)
{
    mid_trace_size *all = sizes->data;
    const uint64_t mask = sizes->bytes / sizeof *all - 1;
    uint64_t i = bytes * 0x9E3779B97F4A7C15u >> 32 & mask;
    while (all[i].bytes != 0 && all[i].bytes != bytes)
        i = (i + 1) & mask;
    return &all[i];
}

/* For one size more. */
static mid_status more_sizes(mid_heap *heap)
{
    mid_tracer *t = &heap->trace;
    const mid_trace_size *was = t->charge_sizes.data;
    const size_t places = t->charge_sizes.bytes / sizeof *was;
    size_t in_use = 0, wanted = MID_PAGE / sizeof *was;
    mid_array bigger = {0};
    if (was != NULL && (t->sizes_known + 1) * 2 <= places)
        return MID_OK;
    for (size_t i = 0; i < places; i++)
        in_use += was[i].latest != 0;
    while (wanted < (in_use + 1) * 4)
        wanted *= 2;
    mid_status status = mid_array_grow(&heap->alloc, &bigger, wanted * sizeof *was);
    if (status != MID_OK)
        return status;
    for (size_t i = 0; i < places; i++)
        if (was[i].latest != 0)
            *size_at(&bigger, was[i].bytes) = was[i];
    mid_array_free(&heap->alloc, &t->charge_sizes);
    t->charge_sizes = bigger;
    t->sizes_known = in_use;
    return MID_OK;
}

/* The latest of its size from now on: there is room. */
static void push(mid_tracer *t, uint32_t number, uint64_t bytes)
{
    mid_trace_size *size = size_at(&t->charge_sizes, bytes);
    t->sizes_known += size->bytes == 0;
    size->bytes = bytes;
    at(t, number)->bytes = bytes;
    at(t, number)->same = size->latest;
    size->latest = number;
}

/* Which has to be the latest of its size. */
static void pop(mid_tracer *t, uint32_t number)
{
    mid_trace_size *size = size_at(&t->charge_sizes, at(t, number)->bytes);
    assert(size->latest == number);
    size->latest = at(t, number)->same;
}

static void forget(mid_heap *heap, uint32_t number)
{
    mid_tracer *t = &heap->trace;
    mid_trace_charge *c = at(t, number);
    pop(t, number);
    if (c->newer != 0)
        at(t, c->newer)->older = c->older;
    else
        t->latest_charge = c->older;
    if (c->older != 0)
        at(t, c->older)->newer = c->newer;
    *c = (mid_trace_charge){.older = t->unused_charge};
    t->unused_charge = number;
    mid_trace_leave(heap, MID_TRACE_CHARGED, number);
}

static uint64_t recorded(uint64_t bytes)
{
    return bytes < MID_TRACE_BYTES_MOST ? bytes : MID_TRACE_BYTES_MOST - 1;
}

static mid_status remember(mid_heap *heap, uint64_t bytes, void **frames, unsigned depth)
{
    mid_tracer *t = &heap->trace;
    uint32_t number = t->unused_charge != 0 ? t->unused_charge : t->charge_count + 1;
    mid_status status = number == UINT32_MAX ? MID_ELIMIT : mid_array_grow(&heap->alloc, &t->charges, ((size_t)number + 1) * sizeof(mid_trace_charge));
    if (status == MID_OK)
        status = more_sizes(heap);
    if (status != MID_OK) {
        t->missed++;
        return status;
    }
    status = mid_trace_enter(heap, MID_TRACE_CHARGED, 0, number, bytes, frames, depth);
    if (status != MID_OK)
        return status;
    if (number == t->unused_charge)
        t->unused_charge = at(t, number)->older;
    else
        t->charge_count = number;
    *at(t, number) = (mid_trace_charge){.older = t->latest_charge};
    if (t->latest_charge != 0)
        at(t, t->latest_charge)->newer = number;
    t->latest_charge = number;
    push(t, number, bytes);
    return MID_OK;
}

void mid_trace_charge_made(mid_heap *heap, uint64_t bytes, const void *from)
{
    void *frames[MID_TRACE_FRAMES_MOST + 1];
    if (bytes == 0 || !MID_READ_(heap->trace.on))
        return;
    mid_lock(heap);
    uint32_t most = heap->trace.on ? heap->trace.frames : 0;
    mid_unlock(heap);
    if (most == 0)
        return;
    unsigned depth = mid_traceback_at(frames + 1, most, from); /* it may read tables: not with a lock */
    mid_lock(heap);
    if (heap->trace.on)
        (void)remember(heap, recorded(bytes), frames, depth); /* without memory for it: counted as missed */
    mid_unlock(heap);
}

/* It stays the latest of all; `bytes` are fewer than it has. */
static void lessen(mid_heap *heap, uint32_t number, uint64_t bytes)
{
    mid_tracer *t = &heap->trace;
    if (more_sizes(heap) != MID_OK) {
        t->missed++;
        forget(heap, number);
        return;
    }
    pop(t, number);
    push(t, number, at(t, number)->bytes - bytes);
    mid_trace_restore(heap, MID_TRACE_CHARGED, number, mid_trace_find(t, MID_TRACE_CHARGED, number)->what, at(t, number)->bytes);
}

void mid_trace_charge_gone(mid_heap *heap, uint64_t bytes)
{
    mid_tracer *t = &heap->trace;
    if (bytes == 0 || MID_READ_(t->known[MID_TRACE_CHARGED]) == 0)
        return;
    mid_lock(heap);
    uint32_t same = t->latest_charge == 0 ? 0 : size_at(&t->charge_sizes, recorded(bytes))->latest;
    if (same != 0) {
        forget(heap, same);
        bytes = 0;
    }
    while (bytes != 0 && t->latest_charge != 0) {
        uint64_t of_it = at(t, t->latest_charge)->bytes;
        if (of_it > bytes)
            lessen(heap, t->latest_charge, bytes);
        else
            forget(heap, t->latest_charge);
        bytes -= of_it < bytes ? of_it : bytes;
    }
    mid_unlock(heap);
}

void mid_trace_charges_close(mid_heap *heap)
{
    mid_tracer *t = &heap->trace;
    mid_array_free(&heap->alloc, &t->charges);
    mid_array_free(&heap->alloc, &t->charge_sizes);
    t->sizes_known = 0;
    t->charge_count = t->unused_charge = t->latest_charge = 0;
}

const char *mid_trace_charges_check(const mid_heap *heap)
{
    const mid_tracer *t = &heap->trace;
    const mid_trace_size *sizes = t->charge_sizes.data;
    uint64_t known = 0, of_sizes = 0, unused = 0;
    for (uint32_t number = t->latest_charge, newer = 0; number != 0 && known <= t->charge_count; newer = number, number = at(t, number)->older) {
        const mid_trace_cell *cell = mid_trace_find(t, MID_TRACE_CHARGED, number);
        known++;
        if (cell == NULL || at(t, number)->newer != newer || cell->what >> MID_TRACE_GROUP_BITS != at(t, number)->bytes)
            return "a charge has no record, or one of other bytes";
    }
    for (size_t i = 0; i < t->charge_sizes.bytes / sizeof *sizes; i++)
        for (uint32_t number = sizes[i].latest; number != 0 && of_sizes <= known; number = at(t, number)->same) {
            of_sizes++;
            if (at(t, number)->bytes != sizes[i].bytes || size_at(&t->charge_sizes, sizes[i].bytes) != &sizes[i])
                return "a charge is not where charges of its size are looked for";
        }
    for (uint32_t number = t->unused_charge; number != 0 && unused <= t->charge_count; number = at(t, number)->older)
        unused++;
    return known == of_sizes && known == t->known[MID_TRACE_CHARGED] && known + unused == t->charge_count ? NULL
               : "charges that are traced are missing";
}
