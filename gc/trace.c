/* gc/trace.c: tracing on and off, what an allocation and a death do about it, and the calls about single records.
 *
 * To trace everything, the inline path is told of no type (thread->types is another table, of which every class is the empty one),
 * and mid_new_array of no small items: all allocations come by new.c, and tell us. A traced object has the flag of those with weak cells,
 * by which the fast ways of dying pass it on to mid_free_entry; so nobody else pays for its death. Both are changed while the world stands. */
#include <unistd.h>

#include "gc/heap.h"

#define DEFAULT_FRAMES 16u
#define TOP_LEAKS 10u

static bool everything(const mid_tracer *t)
{
    return t->on && t->sample == 0;
}

const mid_fast_type *mid_trace_types(const mid_heap *heap)
{
    return everything(&heap->trace) ? heap->trace.slow_types.data : heap->fast_types.data;
}

static void switch_types(mid_heap *heap)
{
    for (uint32_t id = 1; id <= mid_thread_places(heap); id++)
        heap->threads[id]->pub.types = mid_trace_types(heap);
}

static mid_status slow_types(mid_heap *heap)
{
    mid_tracer *t = &heap->trace;
    mid_status status = mid_array_grow(&heap->alloc, &t->slow_types, (MID_TYPES_MAX + 1) * sizeof(mid_fast_type));
    mid_fast_type *types = t->slow_types.data;
    for (unsigned i = 0; status == MID_OK && i <= MID_TYPES_MAX; i++)
        types[i].size_class = MID_CLASSES;
    return status;
}

static mid_status start(mid_heap *heap, const mid_trace_options *options)
{
    mid_tracer *t = &heap->trace;
    if (t->on)
        return MID_EINVAL;
    mid_status status = options->sample == 0 ? slow_types(heap) : MID_OK;
    if (status != MID_OK)
        return status;
    t->frames = options->frames;
    t->sample = options->sample;
    MID_WRITE_(t->on, 1); /* who is not attached may track blocks meanwhile */
    mid_trace_blocks_begin(heap);
    t->dice = MID_TRACE_DICE; /* not of an address: a program that does the same again has the same samples */
    if (t->sample == 0)
        switch_types(heap);
    else {
        t->until = mid_trace_draw(&t->dice, t->sample);
        mid_sampling_begin(heap);
    }
    return MID_OK;
}

mid_status mid_trace_start(mid_heap *heap, const mid_trace_options *options)
{
    const mid_trace_options all = {sizeof all, DEFAULT_FRAMES, 0};
    if (heap == NULL)
        return MID_ENULL;
    if (options == NULL)
        options = &all;
    if (options->struct_size != sizeof *options || options->frames == 0 || options->frames > MID_TRACE_FRAMES_MOST ||
        options->sample > MID_TRACE_BYTES_MOST)
        return MID_EINVAL;
    bool stopped;
    mid_status status = mid_look_begin(heap, &stopped);
    if (status != MID_OK)
        return status;
    mid_lock(heap);
    status = start(heap, options);
    mid_unlock(heap);
    mid_look_end(heap, stopped);
    return status;
}

static void unflag(mid_heap *heap, mid_handle handle)
{
    if (mid_map_get(&heap->weak_heads, handle / 2) == 0 && !mid_interned_here(heap, handle))
        __atomic_fetch_and(&mid_entry_at(heap, handle)->word, ~MID_F_WEAK, __ATOMIC_RELAXED);
}

static void stop(mid_heap *heap)
{
    mid_tracer *t = &heap->trace;
    const mid_trace_cell *cells = t->cells.data;
    for (uint64_t i = 0; cells != NULL && i <= t->mask; i++)
        if (cells[i].which >> 48 == MID_TRACE_OBJECT + 1)
            unflag(heap, (mid_handle)cells[i].which * 2);
    if (t->sampling)
        mid_sampling_end(heap);
    MID_WRITE_(t->on, 0);
    mid_trace_blocks_end(heap);
    switch_types(heap);
    mid_trace_records_close(heap);
    mid_array_free(&heap->alloc, &t->slow_types);
}

mid_status mid_trace_stop(mid_heap *heap)
{
    if (heap == NULL)
        return MID_ENULL;
    bool stopped;
    mid_status status = mid_look_begin(heap, &stopped);
    if (status != MID_OK)
        return status;
    mid_lock(heap);
    if (heap->trace.on)
        stop(heap);
    else
        status = MID_EINVAL;
    mid_unlock(heap);
    mid_look_end(heap, stopped);
    return status;
}

int mid_trace_is_on(mid_heap *heap)
{
    return heap != NULL && MID_READ_(heap->trace.on) != 0;
}

void mid_trace_close(mid_heap *heap)
{
    mid_trace_records_close(heap);
    mid_trace_snapshots_close(heap);
    mid_array_free(&heap->alloc, &heap->trace.slow_types);
}

mid_status mid_trace_figures_get(mid_heap *heap, mid_trace_figures *figures, size_t size)
{
    mid_trace_figures f;
    if (heap == NULL || figures == NULL)
        return MID_ENULL;
    mid_lock(heap);
    mid_trace_figures_fill(heap, &f);
    mid_unlock(heap);
    __builtin_memcpy(figures, &f, size < sizeof f ? size : sizeof f);
    return MID_OK;
}

mid_status mid_trace_reset_peak(mid_heap *heap)
{
    if (heap == NULL)
        return MID_ENULL;
    mid_lock(heap);
    mid_status status = heap->trace.on ? MID_OK : MID_EINVAL;
    heap->trace.peak = heap->trace.bytes;
    mid_unlock(heap);
    return status;
}

/* --- objects ----------------------------------------------------------------------------------------------------------- */

bool mid_traced(const mid_heap *heap, mid_handle handle)
{
    return heap->trace.objects_known != 0 && mid_trace_find(&heap->trace, MID_TRACE_OBJECT, handle / 2) != NULL;
}

static bool is_sample(mid_impl *me, const mid_entry *entry, uint64_t bytes)
{
    const uint64_t sample = me->heap->trace.sample;
    if (sample == 0)
        return true;
    if (MID_READ_(entry->word) & MID_F_LARGE)
        return mid_trace_due(&me->until, &me->dice, sample, bytes);
    bool due = me->due;
    me->due = false;
    if (due)
        me->until = mid_trace_draw(&me->dice, sample);
    return due;
}

void mid_trace_made(mid_impl *me, mid_handle handle, const void *from)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, handle);
    uint64_t word = MID_READ_(entry->word);
    mid_type type = (mid_type)(word >> MID_TYPE_SHIFT_);
    uint64_t bytes = mid_object_size(mid_type_at(heap, type), mid_address(entry));
    if (is_sample(me, entry, bytes)) {
        void *frames[MID_TRACE_FRAMES_MOST + 1];
        unsigned depth = mid_traceback_at(frames + 1, heap->trace.frames, me->called_from != NULL ? me->called_from : from);
        mid_lock(heap);
        if (mid_trace_enter(heap, MID_TRACE_OBJECT, type, handle / 2, bytes, frames, depth) == MID_OK && !(word & MID_F_WEAK))
            __atomic_fetch_or(&entry->word, MID_F_WEAK, __ATOMIC_RELAXED);
        mid_unlock(heap);
    } else if (word & MID_F_WEAK) { /* what it was known by is gone */
        mid_lock(heap);
        if (mid_trace_leave(heap, MID_TRACE_OBJECT, handle / 2))
            unflag(heap, handle);
        mid_unlock(heap);
    }
}

/* Its bytes count as any, but no cache has shown them. If the slot that is to be remembered is shown already, nothing is known of what lies
 * before it but that the process has no memory. */
void mid_trace_reused(mid_impl *me, mid_handle handle, const void *from)
{
    const mid_entry *entry = mid_entry_at(me->heap, handle);
    const uint64_t sample = me->heap->trace.sample;
    const bool due = me->due;
    if (sample != 0 && !(MID_READ_(entry->word) & MID_F_LARGE)) {
        uint64_t bytes = mid_class_size(mid_pool_in(&me->heap->alloc, mid_address(entry))->size_class);
        me->due = due ? mid_trace_draw(&me->dice, sample) < (int64_t)bytes : mid_trace_due(&me->until, &me->dice, sample, bytes);
    }
    mid_trace_made(me, handle, from);
    me->due = due;
}

void mid_trace_resized(mid_impl *me, mid_handle handle, const void *from, bool moved)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, handle);
    if (moved) {
        mid_trace_made(me, handle, from);
        return;
    }
    mid_lock(heap);
    mid_trace_again(heap, handle / 2, mid_object_size(mid_type_of_entry(heap, entry), mid_address(entry)));
    mid_unlock(heap);
}

void mid_trace_died(mid_heap *heap, mid_handle handle)
{
    mid_lock(heap);
    if (heap->trace.on && mid_trace_leave(heap, MID_TRACE_OBJECT, handle / 2))
        __atomic_fetch_and(&mid_entry_at(heap, handle)->word, ~MID_F_WEAK, __ATOMIC_RELAXED);
    mid_unlock(heap);
}

/* --- single records ------------------------------------------------------------------------------------------------------ */

static mid_status tell(const mid_heap *heap, mid_trace_domain domain, uint64_t key, mid_trace_record *record)
{
    const mid_trace_cell *cell = heap->trace.on ? mid_trace_find(&heap->trace, domain, key) : NULL;
    void *const *frames = NULL;
    if (cell == NULL)
        return MID_EUNTRACED;
    unsigned depth = mid_stacks_frames(&heap->trace.stacks, (uint32_t)(cell->what & MID_STACKS_MOST), &frames);
    *record = (mid_trace_record){.domain = domain,
                                 .type = MID_TRACE_TAG_TYPE((uintptr_t)frames[0]),
                                 .bytes = cell->what >> MID_TRACE_GROUP_BITS,
                                 .depth = depth - 1};
    for (unsigned i = 1; i < depth; i++)
        record->frames[i - 1] = frames[i];
    return MID_OK;
}

mid_status mid_trace_where(mid_thread *thread, mid_handle object, mid_trace_record *record)
{
    if (record == NULL)
        return MID_ENULL;
    mid_status status;
    if (mid_checked(thread, object, &status) == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    status = tell(heap, MID_TRACE_OBJECT, object / 2, record);
    mid_unlock(heap);
    return status;
}

static mid_status check_block(const mid_heap *heap, mid_trace_domain domain, const void *pointer)
{
    if (heap == NULL || pointer == NULL)
        return MID_ENULL;
    return (unsigned)domain >= MID_TRACE_DOMAINS || domain == MID_TRACE_OBJECT || domain == MID_TRACE_CHARGED || (uintptr_t)pointer >> 48 != 0 ? MID_EINVAL : MID_OK;
}

mid_status mid_trace_where_tracked(mid_heap *heap, mid_trace_domain domain, const void *pointer, mid_trace_record *record)
{
    mid_status status = record == NULL ? MID_ENULL : check_block(heap, domain, pointer);
    if (status != MID_OK)
        return status;
    mid_lock(heap);
    status = tell(heap, domain, (uintptr_t)pointer, record);
    mid_unlock(heap);
    return status;
}

mid_status mid_trace_track_from(mid_impl *me, mid_heap *heap, mid_trace_domain domain, uintptr_t at, size_t bytes, const void *from)
{
    mid_tracer *t = &heap->trace;
    void *frames[MID_TRACE_FRAMES_MOST + 1];
    /* what a thread samples by itself needs no lock: nothing is known of the block, for whoever freed what was there has said so */
    if (me != NULL && t->sample != 0 && !mid_trace_due(&me->until, &me->dice, t->sample, bytes))
        return MID_OK;
    mid_lock(heap);
    bool due = t->on && (me != NULL || t->sample == 0 || mid_trace_due(&t->until, &t->dice, t->sample, bytes));
    uint32_t most = t->frames;
    if (!due)
        mid_trace_leave(heap, domain, at);
    mid_unlock(heap);
    if (!due)
        return MID_OK;
    unsigned depth = mid_traceback_at(frames + 1, most, from); /* it may read tables: not with a lock */
    mid_status status = MID_OK;
    mid_lock(heap);
    if (t->on)
        status = mid_trace_enter(heap, domain, 0, at, bytes, frames, depth);
    if (status != MID_OK)
        mid_trace_leave(heap, domain, at);
    mid_unlock(heap);
    return status;
}

mid_status mid_trace_track(mid_heap *heap, mid_trace_domain domain, const void *pointer, size_t bytes)
{
    mid_status status = check_block(heap, domain, pointer);
    if (status != MID_OK || !MID_READ_(heap->trace.on))
        return status;
    if (bytes >= MID_TRACE_BYTES_MOST)
        return MID_ESIZE;
    return mid_trace_track_from(NULL, heap, domain, (uintptr_t)pointer, bytes, __builtin_return_address(0));
}

mid_status mid_trace_untrack(mid_heap *heap, mid_trace_domain domain, const void *pointer)
{
    mid_status status = check_block(heap, domain, pointer);
    if (status != MID_OK || !MID_READ_(heap->trace.on))
        return status;
    mid_lock(heap);
    if (heap->trace.on)
        mid_trace_leave(heap, domain, (uintptr_t)pointer);
    mid_unlock(heap);
    return MID_OK;
}

void mid_trace_leaks(mid_heap *heap, int fd)
{
    mid_trace_snapshot *snapshot;
    if (mid_trace_take(heap, &snapshot) != MID_OK)
        return;
    mid_trace_write_text(snapshot, NULL, MID_TRACE_BY_STACK, TOP_LEAKS, fd);
    mid_trace_drop(snapshot);
}
