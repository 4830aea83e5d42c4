/* gc/debug.c: the checked forms of the inline calls (midden/debug.h). Here the names without mid_debug_ are the unchecked calls. */
#include <stdio.h>

#include "gc/count.h"
#include "gc/debug.h"
#include "gc/refs.h"

#define SLOTS_MOST 64u /* an object with more is not looked at as a whole by each call */
#define CALLER __builtin_return_address(0)

static mid_heap *heap_of(mid_thread *thread)
{
    return mid_impl_of(thread)->heap;
}

/* Told, and nothing is done. */
static mid_status complain(mid_thread *thread, mid_heap *heap, const char *call, mid_misuse kind, mid_handle handle, mid_status status,
                           const char *detail)
{
    mid_fault fault = {.kind = kind, .status = status, .call = call, .thread = thread, .heap = heap, .handle = handle};
    snprintf(fault.detail, sizeof fault.detail, "%s", detail);
    mid_fault_tell(&fault);
    return status;
}

/* What is wrong with a handle that is not live. */
static mid_misuse describe(const mid_heap *heap, mid_handle handle, char *into, size_t room)
{
    if (handle == 0)
        snprintf(into, room, "handle 0 names no object");
    else if (handle & 1)
        snprintf(into, room, "handle %u is the immediate integer %d", handle, mid_to_int(handle));
    else if (!mid_in_table(heap, handle)) {
        snprintf(into, room, "handle %u is not of this heap", handle);
        return MID_MISUSE_FOREIGN;
    } else {
        mid_type type = (mid_type)(MID_READ_(mid_entry_at(heap, handle)->word) >> MID_TYPE_SHIFT_);
        const char *name = type == 0 || type > mid_type_count(heap) ? NULL : mid_type_at(heap, type)->name;
        if (heap->debug && mid_site_of(heap, handle)->made == 0 && name == NULL) {
            snprintf(into, room, "handle %u is not of this heap, or was freed long ago", handle);
            return MID_MISUSE_FOREIGN;
        }
        snprintf(into, room, name == NULL ? "handle %u was freed" : "handle %u was freed (type %s)", handle, name);
        return MID_MISUSE_STALE;
    }
    return MID_MISUSE_ARGUMENT;
}

static bool thread_ok(mid_thread *thread, const char *call)
{
    mid_status status = mid_thread_check(thread);
    if (status == MID_OK)
        return true;
    complain(thread, NULL, call, MID_MISUSE_THREAD, 0, status,
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
    mid_misuse kind = describe(heap, handle, detail, sizeof detail);
    complain(thread, heap, call, kind, handle, MID_EHANDLE, detail);
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
    complain(thread, heap, call, MID_MISUSE_ARGUMENT, holder, MID_ESLOT, detail);
    return false;
}

/* The holder as a whole, where that takes little time and nobody else can be storing. */
static void look_at(mid_heap *heap, const char *call, mid_handle holder)
{
    const mid_entry *entry = mid_entry_at(heap, holder);
    if (!heap->debug || __atomic_load_n(&heap->attached, __ATOMIC_ACQUIRE) != 1)
        return;
    mid_lock(heap);
    mid_debug_fence_whole(heap, holder, call);
    if (mid_debug_slot_count(mid_type_of_entry(heap, entry), mid_address(entry)) <= SLOTS_MOST)
        mid_debug_slots_whole(heap, holder, call);
    mid_unlock(heap);
}

static bool holder_ok(mid_thread *thread, const char *call, mid_handle holder, unsigned slot)
{
    if (!thread_ok(thread, call) || !object_ok(thread, call, holder) || !slot_ok(thread, call, holder, slot))
        return false;
    look_at(heap_of(thread), call, holder);
    return true;
}

/* Has somebody this to give away? Its counts are exact while one thread is attached; those that are slots' are not the caller's. */
static bool held_ok(mid_thread *thread, const char *call, mid_handle value)
{
    mid_heap *heap = heap_of(thread);
    if (!value_ok(thread, call, value))
        return false;
    if (!mid_is_object_(value) || !heap->debug || heap->watch->doubtful || __atomic_load_n(&heap->attached, __ATOMIC_ACQUIRE) != 1)
        return true;
    const mid_entry *entry = mid_entry_at(heap, value);
    uint32_t held = __atomic_load_n(&mid_site_of(heap, value)->held, __ATOMIC_RELAXED);
    if (held == 0 || mid_immortal(entry) || mid_total(entry) > (int64_t)held)
        return true;
    char name[128];
    mid_fault fault = {.kind = MID_MISUSE_UNHELD, .status = MID_EHANDLE, .call = call, .thread = thread, .heap = heap, .handle = value,
                       .other = mid_debug_holder(heap, value)};
    snprintf(fault.detail, sizeof fault.detail, "%s has %lld counts, all of slots: the caller holds none to give away",
             mid_fault_name(heap, value, name, sizeof name), (long long)mid_total(entry));
    mid_fault_tell(&fault);
    return false;
}

/* The exchange of a slot, and the account of it. */
static mid_handle swap(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    mid_heap *heap = heap_of(thread);
    if (!heap->debug)
        return mid_swap(thread, holder, slot, value);
    pthread_mutex_lock(&heap->watch->stores);
    mid_handle old = mid_swap(thread, holder, slot, value);
    mid_debug_stored(heap, holder, slot, old, value);
    pthread_mutex_unlock(&heap->watch->stores);
    return old;
}

/* Who has its address, or its handle without a count, from here on. */
static void borrowed(mid_heap *heap, mid_handle value, const void *caller)
{
    if (heap->debug && mid_is_object_(value) && mid_in_table(heap, value))
        MID_WRITE_(mid_site_of(heap, value)->got, caller);
}

mid_status mid_debug_type_register(mid_heap *heap, const mid_type_desc *desc, mid_type *out)
{
    mid_status status = mid_type_register(heap, desc, out);
    if (status == MID_OK && heap->debug)
        mid_type_at(heap, *out)->shadowed = true;
    return status;
}

mid_status mid_debug_new(mid_thread *thread, mid_type type, mid_handle *out)
{
    if (!thread_ok(thread, "mid_new"))
        return mid_thread_check(thread);
    mid_heap *heap = heap_of(thread);
    if (out == NULL)
        return complain(thread, heap, "mid_new", MID_MISUSE_ARGUMENT, 0, MID_ENULL, "no place for the handle");
    *out = 0;
    if (type == 0 || type > mid_type_count(heap))
        return complain(thread, heap, "mid_new", MID_MISUSE_ARGUMENT, 0, MID_ETYPE, "the type is not registered");
    if (mid_type_at(heap, type)->item_size != 0)
        return complain(thread, heap, "mid_new", MID_MISUSE_ARGUMENT, 0, MID_ETYPE, "the type is of variable size");
    mid_impl *me = mid_impl_of(thread);
    const void *outer = me->called_from;
    if (outer == NULL)
        me->called_from = __builtin_return_address(0); /* that is where a traceback begins, not here */
    mid_status status = mid_new(thread, type, out);
    me->called_from = outer;
    return status;
}

mid_handle mid_debug_retain(mid_thread *thread, mid_handle value)
{
    if (!thread_ok(thread, "mid_retain") || !value_ok(thread, "mid_retain", value))
        return 0;
    return mid_retain(thread, value);
}

void mid_debug_release(mid_thread *thread, mid_handle value)
{
    if (thread_ok(thread, "mid_release") && held_ok(thread, "mid_release", value))
        mid_release(thread, value);
}

mid_handle mid_debug_load(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return holder_ok(thread, "mid_load", holder, slot) ? mid_load(thread, holder, slot) : 0;
}

mid_handle mid_debug_peek(mid_thread *thread, mid_handle holder, unsigned slot)
{
    if (!holder_ok(thread, "mid_peek", holder, slot))
        return 0;
    mid_handle value = mid_peek(thread, holder, slot);
    borrowed(heap_of(thread), value, CALLER);
    return value;
}

void mid_debug_store(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    if (holder_ok(thread, "mid_store", holder, slot) && value_ok(thread, "mid_store", value))
        mid_release(thread, swap(thread, holder, slot, mid_retain(thread, value)));
}

void mid_debug_give(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    if (holder_ok(thread, "mid_give", holder, slot) && held_ok(thread, "mid_give", value))
        mid_release(thread, swap(thread, holder, slot, value));
}

mid_handle mid_debug_swap(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    if (!holder_ok(thread, "mid_swap", holder, slot) || !held_ok(thread, "mid_swap", value))
        return 0;
    return swap(thread, holder, slot, value);
}

int mid_debug_swap_if(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle expected, mid_handle value)
{
    if (!holder_ok(thread, "mid_swap_if", holder, slot) || !held_ok(thread, "mid_swap_if", value))
        return 0;
    mid_heap *heap = heap_of(thread);
    if (!heap->debug)
        return mid_swap_if(thread, holder, slot, expected, value);
    pthread_mutex_lock(&heap->watch->stores);
    int done = mid_swap_if(thread, holder, slot, expected, value);
    if (done)
        mid_debug_stored(heap, holder, slot, expected, value);
    pthread_mutex_unlock(&heap->watch->stores);
    return done;
}

mid_handle mid_debug_take(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return holder_ok(thread, "mid_take", holder, slot) ? swap(thread, holder, slot, 0) : 0;
}

/* Of an object that only its maker knows; a slot that holds something would lose it. */
void mid_debug_init(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    if (!holder_ok(thread, "mid_init", holder, slot) || !held_ok(thread, "mid_init", value))
        return;
    mid_heap *heap = heap_of(thread);
    mid_handle old = mid_peek(thread, holder, slot);
    if (mid_is_object_(old)) {
        complain(thread, heap, "mid_init", MID_MISUSE_ARGUMENT, holder, MID_ESLOT, "the slot is not new: it holds an object, which would be lost");
        return;
    }
    if (heap->debug)
        pthread_mutex_lock(&heap->watch->stores);
    mid_init(thread, holder, slot, value);
    if (heap->debug) {
        mid_debug_stored(heap, holder, slot, old, value);
        pthread_mutex_unlock(&heap->watch->stores);
    }
}

void *mid_debug_get(mid_thread *thread, mid_handle object)
{
    if (!thread_ok(thread, "mid_get") || object == 0 || !object_ok(thread, "mid_get", object))
        return NULL;
    mid_heap *heap = heap_of(thread);
    borrowed(heap, object, CALLER);
    if (heap->debug)
        mid_debug_lately(heap, object);
    return mid_get(thread, object);
}

mid_status mid_debug_safepoint(mid_thread *thread)
{
    if (!thread_ok(thread, "mid_safepoint"))
        return mid_thread_check(thread);
    if (heap_of(thread)->debug)
        mid_debug_point(mid_impl_of(thread), "mid_safepoint");
    return mid_safepoint(thread);
}
