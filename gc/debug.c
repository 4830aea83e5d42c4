/* gc/debug.c: the checked forms of the inline calls (midden/debug.h), and where reports go. */
#include <stdio.h>
#include <stdlib.h>

#include "gc/refs.h"

static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*report_to)(const mid_report *, void *);
static void *report_context;
static int report_abort;

void mid_debug_reports(void (*report)(const mid_report *, void *), void *context, int abort_after)
{
    pthread_mutex_lock(&report_lock);
    report_to = report;
    report_context = context;
    report_abort = abort_after;
    pthread_mutex_unlock(&report_lock);
}

static mid_status complain(mid_thread *thread, const char *call, mid_handle handle, mid_status status, const char *detail)
{
    mid_report report = {call, status, detail, thread, handle};
    pthread_mutex_lock(&report_lock);
    void (*to)(const mid_report *, void *) = report_to;
    void *context = report_context;
    int then_abort = report_abort;
    pthread_mutex_unlock(&report_lock);
    if (to != NULL)
        to(&report, context);
    else
        fprintf(stderr, "midden: %s: %s (%s)\n", call, detail, mid_status_name(status));
    if (then_abort)
        abort();
    return status;
}

/* What is wrong with a handle that is not live. */
static void describe(const mid_heap *heap, mid_handle handle, char *into, size_t room)
{
    if (handle == 0)
        snprintf(into, room, "handle 0 names no object");
    else if (handle & 1)
        snprintf(into, room, "handle %u is the immediate integer %d", handle, mid_to_int(handle));
    else if (!mid_in_table(heap, handle))
        snprintf(into, room, "handle %u is not of this heap", handle);
    else {
        mid_type type = (mid_type)(mid_entry_at(heap, handle)->word >> MID_TYPE_SHIFT_);
        const char *name = type == 0 || type > mid_type_count(heap) ? NULL : mid_type_at(heap, type)->name;
        snprintf(into, room, name == NULL ? "handle %u was freed" : "handle %u was freed (type %s)", handle, name);
    }
}

static bool thread_ok(mid_thread *thread, const char *call)
{
    mid_status status = mid_thread_check(thread);
    if (status == MID_OK)
        return true;
    complain(thread, call, 0, status,
             status == MID_ENULL    ? "the thread is null"
             : status == MID_EBUSY  ? "called from a callback"
                                    : "called by a thread that is not attached, or inside a blocked region");
    return false;
}

static bool object_ok(mid_thread *thread, const char *call, mid_handle handle)
{
    mid_heap *heap = mid_impl_of(thread)->heap;
    if (mid_in_table(heap, handle) && mid_entry_live(mid_entry_at(heap, handle)))
        return true;
    char detail[160];
    describe(heap, handle, detail, sizeof detail);
    complain(thread, call, handle, MID_EHANDLE, detail);
    return false;
}

/* A value may also be null or an integer. */
static bool value_ok(mid_thread *thread, const char *call, mid_handle value)
{
    return !mid_is_object_(value) || object_ok(thread, call, value);
}

typedef struct slot_search {
    const mid_slot *wanted;
    bool found;
} slot_search;

static void compare_slot(void *context, mid_slot *slot)
{
    slot_search *search = context;
    search->found |= slot == search->wanted;
}

static bool slot_ok(mid_thread *thread, const char *call, mid_handle holder, unsigned slot)
{
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_entry *entry = mid_entry_at(heap, holder);
    const mid_type_info *type = mid_type_of_entry(heap, entry);
    char *object = mid_address(entry);
    slot_search search = {(mid_slot *)object + slot, false};
    size_t offset = slot * sizeof(mid_slot);
    if (type->items_are_refs && offset >= type->size)
        search.found = (offset - type->size) / sizeof(mid_slot) < mid_items(type, object);
    else
        mid_refs_fixed(heap, type, object, compare_slot, &search);
    if (search.found)
        return true;
    char detail[160];
    snprintf(detail, sizeof detail, "slot %u is no reference of handle %u (type %s)", slot, holder, type->name);
    complain(thread, call, holder, MID_ESLOT, detail);
    return false;
}

static bool holder_ok(mid_thread *thread, const char *call, mid_handle holder, unsigned slot)
{
    return thread_ok(thread, call) && object_ok(thread, call, holder) && slot_ok(thread, call, holder, slot);
}

mid_status mid_debug_new(mid_thread *thread, mid_type type, mid_handle *out)
{
    if (!thread_ok(thread, "mid_new"))
        return mid_thread_check(thread);
    if (out == NULL)
        return complain(thread, "mid_new", 0, MID_ENULL, "no place for the handle");
    mid_heap *heap = mid_impl_of(thread)->heap;
    *out = 0;
    if (type == 0 || type > mid_type_count(heap))
        return complain(thread, "mid_new", 0, MID_ETYPE, "the type is not registered");
    if (mid_type_at(heap, type)->item_size != 0)
        return complain(thread, "mid_new", 0, MID_ETYPE, "the type is of variable size");
    mid_impl *me = mid_impl_of(thread);
    const void *outer = me->called_from;
    if (outer == NULL)
        me->called_from = __builtin_return_address(0); /* that is where a traceback begins, not here */
    mid_status status = (mid_new)(thread, type, out);
    me->called_from = outer;
    return status;
}

mid_handle mid_debug_retain(mid_thread *thread, mid_handle value)
{
    if (!thread_ok(thread, "mid_retain") || !value_ok(thread, "mid_retain", value))
        return 0;
    return (mid_retain)(thread, value);
}

void mid_debug_release(mid_thread *thread, mid_handle value)
{
    if (thread_ok(thread, "mid_release") && value_ok(thread, "mid_release", value))
        (mid_release)(thread, value);
}

mid_handle mid_debug_load(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return holder_ok(thread, "mid_load", holder, slot) ? (mid_load)(thread, holder, slot) : 0;
}

mid_handle mid_debug_peek(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return holder_ok(thread, "mid_peek", holder, slot) ? (mid_peek)(thread, holder, slot) : 0;
}

void mid_debug_store(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    if (holder_ok(thread, "mid_store", holder, slot) && value_ok(thread, "mid_store", value))
        (mid_store)(thread, holder, slot, value);
}

void mid_debug_give(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    if (holder_ok(thread, "mid_give", holder, slot) && value_ok(thread, "mid_give", value))
        (mid_give)(thread, holder, slot, value);
}

mid_handle mid_debug_swap(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    if (!holder_ok(thread, "mid_swap", holder, slot) || !value_ok(thread, "mid_swap", value))
        return 0;
    return (mid_swap)(thread, holder, slot, value);
}

mid_handle mid_debug_take(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return holder_ok(thread, "mid_take", holder, slot) ? (mid_take)(thread, holder, slot) : 0;
}

void *mid_debug_get(mid_thread *thread, mid_handle object)
{
    if (!thread_ok(thread, "mid_get") || object == 0 || !object_ok(thread, "mid_get", object))
        return NULL;
    return (mid_get)(thread, object);
}

mid_status mid_debug_safepoint(mid_thread *thread)
{
    return thread_ok(thread, "mid_safepoint") ? (mid_safepoint)(thread) : mid_thread_check(thread);
}
