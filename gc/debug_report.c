/* gc/debug_report.c: a misuse as a report: who is concerned, where it was allocated and freed, and the same as text. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gc/debug.h"

static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*report_to)(const mid_report *, void *);
static void *report_context;
static int report_abort;
static __thread bool telling; /* what a report's function does wrong is not told in its turn */

void mid_debug_reports(void (*report)(const mid_report *, void *), void *context, int abort_after)
{
    pthread_mutex_lock(&report_lock);
    report_to = report;
    report_context = context;
    report_abort = abort_after;
    pthread_mutex_unlock(&report_lock);
}

static const char *type_name(const mid_heap *heap, mid_handle handle)
{
    mid_type type = (mid_type)(MID_READ_(mid_entry_at(heap, handle)->word) >> MID_TYPE_SHIFT_);
    return type == 0 || type > mid_type_count(heap) ? NULL : mid_type_at(heap, type)->name;
}

const char *mid_fault_name(const mid_heap *heap, mid_handle handle, char *into, size_t room)
{
    if (handle == 0)
        snprintf(into, room, "nothing");
    else if (handle & 1)
        snprintf(into, room, "the integer %d", mid_to_int(handle));
    else if (!mid_in_table(heap, handle))
        snprintf(into, room, "%u, which is no handle of this heap", handle);
    else if (type_name(heap, handle) == NULL)
        snprintf(into, room, "handle %u (free)", handle);
    else if (heap->watch == NULL)
        snprintf(into, room, "handle %u (type %s)", handle, type_name(heap, handle));
    else
        snprintf(into, room, "handle %u (type %s, %llu bytes%s)", handle, type_name(heap, handle),
                 (unsigned long long)mid_site_of(heap, handle)->size,
                 mid_entry_live(mid_entry_at(heap, handle)) ? "" : ", freed");
    return into;
}

static const char *const domains[] = {"raw", "mem", "object"};

const char *mid_fault_block_name(const mid_heap *heap, uint32_t number, char *into, size_t room)
{
    const mid_block_site *b = mid_block_site_at(heap, number);
    if (b->domain == MID_DOMAIN_OBJECT)
        snprintf(into, room, "handle %u (type %s, %zu bytes)", b->handle, b->type == 0 ? "?" : mid_type_at(heap, b->type)->name, b->size);
    else
        snprintf(into, room, "block %llu of %s (%zu bytes at %p)", (unsigned long long)b->serial, domains[b->domain], b->size, (void *)b->at);
    return into;
}

/* --- as text --------------------------------------------------------------------------------------------------------- */

typedef struct text {
    size_t used;
    char at[8192];
} text;

static __attribute__((format(printf, 2, 3))) void append(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int more = vsnprintf(t->at + t->used, sizeof t->at - t->used, format, args);
    va_end(args);
    t->used += more < 0 ? 0 : (size_t)more;
    if (t->used >= sizeof t->at)
        t->used = sizeof t->at - 1;
}

/* As backtrace_symbols_fd, without its allocations. */
static void append_address(text *t, const void *address)
{
    Dl_info info;
    if (dladdr(address, &info) == 0 || info.dli_fname == NULL)
        append(t, "      %p\n", address);
    else if (info.dli_sname != NULL)
        append(t, "      %s(%s+0x%zx)\n", info.dli_fname, info.dli_sname, (size_t)((const char *)address - (const char *)info.dli_saddr));
    else
        append(t, "      %s(+0x%zx)\n", info.dli_fname, (size_t)((const char *)address - (const char *)info.dli_fbase));
}

static void append_stack(text *t, const char *what, unsigned thread, void *const *frames, unsigned count)
{
    if (thread == 0 && count == 0)
        return;
    append(t, "    %s", what);
    if (thread != 0)
        append(t, " by thread %u", thread);
    append(t, "%s\n", count == 0 ? "" : ":");
    for (unsigned i = 0; i < count; i++)
        append_address(t, frames[i]);
}

static void append_side(text *t, const char *which, const mid_report_side *side)
{
    if (side->handle == 0)
        return;
    append(t, "  %s: handle %u", which, side->handle);
    if (side->type != NULL)
        append(t, ", type %s, %llu bytes", side->type, (unsigned long long)side->size);
    if (side->address != NULL)
        append(t, ", at %p", side->address);
    append(t, "%s\n", side->live ? "" : ", freed");
    append_stack(t, "allocated", side->made_by, side->made, side->made_count);
    append_stack(t, "freed", side->freed_by, side->freed, side->freed_count);
    if (side->borrowed != NULL) {
        append(t, "    its address or handle was last borrowed at:\n");
        append_address(t, side->borrowed);
    }
}

static void append_block(text *t, const char *which, const mid_report_block *block)
{
    static const char *const ends[] = {"freed", "moved"};
    if (block->address == NULL)
        return;
    append(t, "  %s: %s of %s", which, block->domain == MID_DOMAIN_OBJECT ? "memory" : "block", domains[block->domain]);
    if (block->serial != 0)
        append(t, ", number %llu", (unsigned long long)block->serial);
    append(t, ", %llu bytes, at %p%s%s\n", (unsigned long long)block->size, block->address, block->live ? "" : ", ",
           block->live ? "" : ends[block->moved != 0]);
    append_stack(t, "allocated", block->made_by, block->made, block->made_count);
    append_stack(t, ends[block->moved != 0], block->freed_by, block->freed, block->freed_count);
}

/* --- the report ------------------------------------------------------------------------------------------------------ */

typedef struct stacks {
    void *made[MID_DEBUG_FRAMES], *freed[MID_DEBUG_FRAMES];
} stacks;

static void take_side(mid_heap *heap, mid_handle handle, mid_report_side *side, stacks *stacks)
{
    *side = (mid_report_side){.handle = handle};
    if (heap == NULL || heap->watch == NULL || handle == 0 || !mid_in_table(heap, handle))
        return;
    const mid_site *site = mid_site_of(heap, handle);
    const mid_entry *entry = mid_entry_at(heap, handle);
    side->live = mid_entry_live(entry);
    side->type = type_name(heap, handle);
    side->size = site->size;
    side->address = mid_address(entry);
    side->made = stacks->made;
    side->made_count = mid_debug_frames(heap, site->made, stacks->made);
    side->made_by = site->made_by;
    side->freed = stacks->freed;
    if (!side->live) {
        side->freed_count = mid_debug_frames(heap, site->gone, stacks->freed);
        side->freed_by = site->gone_by;
    }
    side->borrowed = site->got;
}

static void take_block(mid_heap *heap, uint32_t number, mid_report_block *block, stacks *stacks)
{
    *block = (mid_report_block){.address = NULL};
    if (number == 0)
        return;
    mid_lock(heap);
    const mid_block_site b = *mid_block_site_at(heap, number);
    mid_unlock(heap);
    *block = (mid_report_block){.address = b.at, .live = b.state == MID_BLOCK_LIVE, .moved = b.state == MID_BLOCK_MOVED,
                                .domain = (mid_domain)b.domain, .size = b.size, .serial = b.serial, .made_by = b.made_by,
                                .freed_by = b.gone_by, .made = stacks->made, .freed = stacks->freed};
    block->made_count = mid_debug_frames(heap, b.made, stacks->made);
    block->freed_count = mid_debug_frames(heap, b.gone, stacks->freed);
}

static void deliver(mid_fault *fault, mid_report *report)
{
    pthread_mutex_lock(&report_lock);
    void (*to)(const mid_report *, void *) = report_to;
    void *context = report_context;
    int then_abort = report_abort;
    pthread_mutex_unlock(&report_lock);
    if (to != NULL) {
        mid_callback frame;
        if (fault->heap != NULL)
            mid_callback_begin(&frame, fault->heap);
        to(report, context);
        if (fault->heap != NULL)
            mid_callback_end(&frame);
    } else {
        fputs(report->text, stderr);
    }
    if (then_abort)
        abort();
}

void mid_fault_tell(mid_fault *fault)
{
    static const char *const reasons[] = MID_MISUSE_NAMES;
    stacks object, other, block, other_block;
    void *here[MID_DEBUG_FRAMES];
    text t = {.used = 0};
    if (telling)
        return;
    telling = true;
    mid_report report = {.call = fault->call, .status = fault->status, .detail = fault->detail, .thread = fault->thread,
                         .handle = fault->handle, .kind = fault->kind};
    take_side(fault->heap, fault->handle, &report.object, &object);
    take_side(fault->heap, fault->other, &report.other, &other);
    take_block(fault->heap, fault->block, &report.block, &block);
    take_block(fault->heap, fault->other_block, &report.other_block, &other_block);
    report.address = fault->address;
    report.here = here;
    report.here_count = mid_debug_here(fault->heap, here);
    append(&t, "midden: %s: %s (%s, %s)\n", fault->call, fault->detail, reasons[fault->kind], mid_status_name(fault->status));
    append_side(&t, "object", &report.object);
    append_side(&t, "other", &report.other);
    append_block(&t, "block", &report.block);
    append_block(&t, "beside it", &report.other_block);
    mid_thread *by = fault->heap == NULL ? NULL : mid_thread_current(fault->heap);
    append_stack(&t, "told", by == NULL ? 0 : mid_impl_of(by)->id, here, report.here_count);
    report.text = t.at;
    deliver(fault, &report);
    telling = false;
}

void mid_fault_of_block(mid_fault *fault, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fault->detail, sizeof fault->detail, format, args);
    va_end(args);
    if (fault->status == MID_ECORRUPT)
        __atomic_fetch_add(&fault->heap->watch->faults, 1, __ATOMIC_RELAXED);
    mid_fault_tell(fault);
}
