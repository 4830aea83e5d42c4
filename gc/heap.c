/* gc/heap.c: opening and closing heaps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gc/debug.h"
#include "gc/freeze.h"
#include "gc/policy.h"
#include "midden/freeze.h"

static mid_status take_options(mid_options *into, const mid_options *from)
{
    mid_options_init(into);
    if (from != NULL) {
        if (from->struct_size != sizeof *from)
            return MID_EINVAL;
        *into = *from;
    }
    const char *text = getenv("MIDDEN_OPTIONS");
    mid_status status = text == NULL ? MID_OK : mid_options_parse(into, text, NULL);
    if (status != MID_OK)
        return status;
    for (unsigned row = 0;; row++) { /* a structure filled in by hand is held to the same bounds */
        mid_option_info info;
        if (!mid_options_describe(row, &info))
            break;
        uint64_t value = mid_options_value(into, row);
        if (value < info.least || value > info.most)
            return MID_EINVAL;
    }
    bool contradicts = into->frag_stop > into->frag_start || into->waiting_stop > into->waiting_start ||
                       (into->heap_limit != 0 && into->reserve > into->heap_limit) || !mid_pool_size_fits(into->pool_size);
    return contradicts ? MID_EINVAL : MID_OK;
}

/* Everything but the structure itself, which the caller maps. */
static mid_status fill(mid_heap *heap)
{
    mid_status status = mid_book(&heap->alloc, MID_IN_META, mid_round(sizeof *heap, MID_PAGE));
    if (status == MID_OK)
        status = mid_types_open(heap);
    if (status == MID_OK && heap->debug)
        status = mid_debug_open(heap);
    if (status == MID_OK)
        status = mid_table_open(heap);
    if (status == MID_OK && heap->debug && heap->options.quarantine != 0)
        status = mid_array_grow(&heap->alloc, &heap->quarantine, heap->options.quarantine * sizeof(mid_handle));
    /* Without barriers every object counts as one that other threads may find. */
    heap->fresh = !heap->options.shared || mid_barriers_open() ? MID_LIVE_ : MID_LIVE_ | MID_ESCAPED_;
    if (status == MID_OK)
        status = mid_place_new(heap); /* so that who closes the heap can attach */
    return status;
}

static void drop_all(mid_heap *heap)
{
    mid_array *arrays[] = {&heap->collector.saved,  &heap->collector.hooks, &heap->quarantine,       &heap->condemned,
                           &heap->weak_cells,       &heap->marks,           &heap->weak_heads.cells, &heap->pins.cells,
                           &heap->weak_extras,      &heap->pairs};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        mid_array_free(&heap->alloc, arrays[i]);
    mid_debug_lift(heap); /* memory that goes to the system is anybody's */
    mid_trace_close(heap);
    mid_compact_forget(heap);
    mid_domains_close(heap);
    mid_threads_forget(heap);
    mid_types_close(heap);
    mid_alloc_finish(&heap->alloc);
    mid_table_close(heap);
    mid_debug_close(heap);
    mid_os os = heap->os;
    os.unmap(os.ctx, heap, mid_round(sizeof *heap, MID_PAGE));
}

static void pool_moved(void *owner, int64_t bytes)
{
    mid_heap *heap = owner;
    if (bytes > 0)
        MID_EMIT(heap, pool_committed, (size_t)bytes);
    else
        MID_EMIT(heap, pool_returned, (size_t)-bytes);
}

mid_status mid_heap_open_abi(mid_heap **out, const mid_options *options, uint32_t debug)
{
    if (out == NULL)
        return MID_ENULL;
    *out = NULL;
    mid_options chosen;
    mid_status status = take_options(&chosen, options);
    if (status != MID_OK)
        return status;
    const mid_os *os = chosen.os != NULL ? chosen.os : &mid_os_default;
    if (os->reserve == NULL || os->commit == NULL || os->decommit == NULL || os->release == NULL || os->map == NULL ||
        os->remap == NULL || os->unmap == NULL)
        return MID_ENULL;
    if (os == &mid_os_default && !mid_pages_fit())
        return MID_ESYSTEM;
    mid_heap *heap = os->map(os->ctx, mid_round(sizeof *heap, MID_PAGE));
    if (heap == NULL)
        return MID_ENOMEM;
    heap->options = chosen;
    heap->os = *os;
    heap->debug = debug != 0;
    heap->fence = heap->debug ? MID_FENCE : 0;
    heap->growth_least = UINT64_MAX;
    mid_alloc_init(&heap->alloc, os, (uint32_t)chosen.pool_size, chosen.heap_limit, chosen.reserve, chosen.spare);
    heap->alloc.unbind = mid_unbind;
    heap->alloc.moved = pool_moved;
    heap->alloc.run_size = mid_run_size;
    heap->alloc.run_moved = mid_run_moved;
    heap->alloc.owner = heap;
    if (heap->debug)
        heap->alloc.unused = mid_debug_pool_unused;
    for (int domain = MID_DOMAIN_RAW; domain < MID_DOMAIN_COUNT; domain++) /* in debug heaps the fast paths take the long way */
        heap->domains.set[domain] = mid_domain_unset(heap, (mid_domain)domain);
    mid_caches_open(heap);
    status = mid_locks_open(heap);
    if (status != MID_OK) {
        os->unmap(os->ctx, heap, mid_round(sizeof *heap, MID_PAGE));
        return status;
    }
    status = fill(heap);
    if (status == MID_OK)
        status = mid_fork_enroll(heap);
    if (status != MID_OK) {
        mid_locks_close(heap);
        drop_all(heap);
        return status;
    }
    *out = heap;
    return MID_OK;
}

/* May this heap be closed by this thread, now? */
static mid_status closable(mid_heap *heap)
{
    if (heap == NULL)
        return MID_ENULL;
    mid_thread *thread = mid_thread_current(heap);
    mid_impl *me = thread == NULL ? NULL : mid_impl_of(thread);
    if (mid_busy(heap) || heap->collector.closing || (me != NULL && mid_midway(me)))
        return MID_EBUSY;
    pthread_mutex_lock(&heap->kick_lock);
    bool served = heap->kick != NULL;
    pthread_mutex_unlock(&heap->kick_lock);
    if (served || (me != NULL && me->in_region))
        return MID_ETHREAD;
    pthread_mutex_lock(&heap->lock); /* who detaches holds it until it has let go of the heap */
    bool alone = heap->attached == (me != NULL);
    pthread_mutex_unlock(&heap->lock);
    return alone ? MID_OK : MID_ETHREAD;
}

static void report_leaks(mid_heap *heap)
{
    bool told = false;
    if (heap->debug)
        mid_debug_leaks(heap);
    for (unsigned i = 0; i < heap->listener_count; i++)
        told |= heap->listeners[i].leak != NULL;
    for (mid_type type = 1; type <= heap->type_count; type++) {
        mid_leak leak = {.type = mid_type_name(heap, type)};
        mid_stats_type(heap, type, &leak.objects, &leak.bytes);
        if (leak.objects == 0)
            continue;
        MID_EMIT(heap, leak, &leak);
        if (!told && (heap->debug || heap->trace.on))
            fprintf(stderr, "midden: still held at close: %llu %s, %llu bytes\n", (unsigned long long)leak.objects,
                    leak.type, (unsigned long long)leak.bytes);
    }
    const bool sites = heap->collector.leak_objects != 0 || (heap->debug && heap->options.debug_frames != 0); /* each has its own */
    if (!told && heap->trace.on && !sites) {
        heap->collector.traces_told = true;
        fflush(stderr);
        mid_trace_leaks(heap, STDERR_FILENO);
    }
}

static void free_payloads(mid_heap *heap)
{
    if (!MID_READ_(heap->any_payload))
        return;
    mid_callback frame;
    mid_callback_begin(&frame, heap);
    frame.payload = true;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        bool dying = entry->count == MID_DYING_ && entry->word >> MID_TYPE_SHIFT_ != 0;
        if (!mid_entry_live(entry) && !dying)
            continue;
        const mid_type_info *type = mid_type_of_entry(heap, entry);
        void *payload = type->payload_free == NULL ? NULL
                                                   : *(void **)((char *)mid_address(entry) + type->payload_offset);
        if (payload != NULL)
            type->payload_free(payload, type->payload_context);
    }
    mid_callback_end(&frame);
}

/* What is in quarantine has no payload any more. */
static void forget_quarantine(mid_heap *heap)
{
    const mid_handle *ring = heap->quarantine.data;
    uint32_t size = (uint32_t)heap->options.quarantine;
    for (; heap->quarantine_count != 0; heap->quarantine_count--)
        mid_entry_at(heap, ring[(heap->quarantine_at + size - heap->quarantine_count) % size])->count = 0;
}

/* What payloads were made of has been freed. Told once: by a debug heap where each was made, else by what is traced. */
static void report_blocks(mid_heap *heap, bool closes)
{
    if (!mid_domains_leak(heap) || !closes)
        return;
    if (heap->debug)
        mid_debug_blocks_leak(heap);
    const bool sites = heap->collector.traces_told || (heap->debug && heap->options.debug_frames != 0);
    if (heap->trace.on && !sites) {
        fflush(stderr);
        mid_trace_leaks(heap, STDERR_FILENO);
    }
}

static void destroy(mid_heap *heap, bool closes)
{
    mid_fork_dismiss(heap);
    forget_quarantine(heap);
    free_payloads(heap);
    report_blocks(heap, closes);
    mid_debug_held_flush(heap);
    mid_proposer_close(heap);
    mid_deep_close(heap);
    mid_freezer_close(heap);
    mid_locks_close(heap);
    drop_all(heap);
}

mid_status mid_heap_destroy(mid_heap *heap)
{
    mid_status status = closable(heap);
    if (status == MID_OK)
        destroy(heap, false);
    return status;
}

/* Nothing of what threads left behind may be taken for held. */
static mid_status collect_all(mid_thread *thread)
{
    mid_status status;
    mid_stats before, after;
    mid_stats_get(mid_impl_of(thread)->heap, &after, sizeof after);
    do { /* finalizers may drop what makes more garbage */
        before = after;
        status = mid_collect(thread, NULL);
        mid_stats_get(mid_impl_of(thread)->heap, &after, sizeof after);
    } while (status == MID_OK && after.freed_objects != before.freed_objects);
    return status;
}

/* Scopes that are still open are closed; what only cycles hold goes; what is left was held. */
mid_status mid_heap_close(mid_heap *heap)
{
    mid_status status = closable(heap);
    if (status != MID_OK)
        return status;
    mid_thread *thread = mid_thread_current(heap);
    if (thread == NULL)
        status = mid_thread_attach(heap, &thread);
    if (status != MID_OK)
        return status;
    status = mid_close_call_hooks(heap, &thread);
    if (status == MID_OK)
        status = closable(heap); /* still */
    if (status != MID_OK)
        return status;
    heap->alloc.limit = 0; /* the marks of this last collection may pass it */
    mid_saved_let_go(thread);
    mid_scopes_close(mid_impl_of(thread));
    mid_unfreeze(thread);
    mid_policies_shut(mid_impl_of(thread)); /* for good */
    mid_policies_empty(mid_impl_of(thread), true);
    collect_all(thread);
    mid_quarantine_flush(mid_impl_of(thread));
    mid_stats stats;
    mid_stats_get(heap, &stats, sizeof stats);
    bool held = stats.live_objects != 0;
    if (held) {
        report_leaks(heap);
        mid_leaks_report(heap, stats.live_objects);
    }
    destroy(heap, true);
    return held ? MID_EHELD : MID_OK;
}
