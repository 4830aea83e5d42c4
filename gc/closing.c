/* gc/closing.c: what the program wants done before a heap closes, and which objects are left when it has. */
#include <dlfcn.h>
#include <stdio.h>

#include "gc/freeze.h"
#include "gc/inspect.h"
#include "gc/refs.h"

/* --- hooks --------------------------------------------------------------------------------------------------------------- */

static mid_status may_hook(mid_heap *heap, const void *fn)
{
    if (heap == NULL || fn == NULL)
        return MID_ENULL;
    if (!mid_is_mutator(heap))
        return MID_ETHREAD;
    return mid_busy(heap) ? MID_EBUSY : MID_OK;
}

mid_status mid_close_hook(mid_heap *heap, void (*fn)(void *, mid_thread *), void *context)
{
    mid_status status = may_hook(heap, (const void *)fn);
    if (status != MID_OK)
        return status;
    mid_collector *c = &heap->collector;
    mid_lock(heap);
    status = mid_array_grow(&heap->alloc, &c->hooks, (c->hook_count + 1) * sizeof(mid_close_call));
    if (status == MID_OK)
        ((mid_close_call *)c->hooks.data)[c->hook_count++] = (mid_close_call){fn, context};
    mid_unlock(heap);
    return status;
}

mid_status mid_close_unhook(mid_heap *heap, void (*fn)(void *, mid_thread *), void *context)
{
    mid_status status = may_hook(heap, (const void *)fn);
    if (status != MID_OK)
        return status;
    mid_collector *c = &heap->collector;
    mid_lock(heap);
    mid_close_call *calls = c->hooks.data;
    uint32_t at = c->hook_count;
    while (at != 0 && (calls[at - 1].fn != fn || calls[at - 1].context != context))
        at--;
    for (uint32_t i = at; at != 0 && i < c->hook_count; i++)
        calls[i - 1] = calls[i];
    c->hook_count -= at != 0;
    mid_unlock(heap);
    return at != 0 ? MID_OK : MID_EINVAL;
}

/* A hook may have detached the thread. */
mid_status mid_close_call_hooks(mid_heap *heap, mid_thread **thread)
{
    mid_collector *c = &heap->collector;
    mid_status status = MID_OK;
    while (status == MID_OK && c->hook_count != 0) {
        mid_lock(heap);
        mid_close_call call = ((const mid_close_call *)c->hooks.data)[--c->hook_count];
        mid_unlock(heap);
        c->closing = true;
        call.fn(call.context, *thread);
        c->closing = false;
        *thread = mid_thread_current(heap);
        if (*thread != NULL && mid_impl_of(*thread)->in_region)
            status = MID_ETHREAD;
        if (*thread == NULL)
            status = mid_thread_attach(heap, thread);
    }
    return status;
}

/* --- what is left ---------------------------------------------------------------------------------------------------------- */

mid_status mid_leaks_tell(mid_heap *heap, size_t objects, const char *(*where)(void *, mid_heap *, mid_handle), void *context)
{
    if (heap == NULL)
        return MID_ENULL;
    mid_lock(heap);
    heap->collector.leak_objects = objects;
    heap->collector.leak_where = where;
    heap->collector.leak_context = context;
    mid_unlock(heap);
    return MID_OK;
}

/* This thread is alone, and nothing else works on the heap. */
typedef struct report {
    mid_heap *heap;
    mid_array references; /* uint32_t[], by index: slots that refer to it */
    mid_array left;       /* mid_leak_object[] */
    mid_map numbers;      /* index -> 1 + which of those */
    uint32_t count, most;
    mid_handle holder;
    const void *object;
} report;

static void count_slot(void *context, mid_slot *slot)
{
    report *r = context;
    if (mid_is_object_(slot->bits_))
        ((uint32_t *)r->references.data)[slot->bits_ / 2]++;
}

static void note_slot(void *context, mid_slot *slot)
{
    report *r = context;
    uint32_t number = mid_is_object_(slot->bits_) ? mid_map_get(&r->numbers, slot->bits_ / 2) : 0;
    if (number == 0)
        return;
    mid_leak_object *o = (mid_leak_object *)r->left.data + number - 1;
    if (o->referrers < MID_LEAK_REFERRERS) {
        o->by[o->referrers] = r->holder;
        o->slot[o->referrers] = (uint32_t)(((const char *)slot - (const char *)r->object) / (ptrdiff_t)sizeof *slot);
    }
    o->referrers++;
}

static void each_reference(report *r, mid_ref_fn *fn)
{
    for (uint32_t i = r->heap->first_index; i < r->heap->next_index; i++) {
        const mid_entry *entry = r->heap->table + i;
        if (!mid_inspectable(r->heap, entry))
            continue;
        r->holder = i * 2;
        r->object = mid_address(entry);
        mid_refs(r->heap, mid_type_of_entry(r->heap, entry), mid_address(entry), fn, r);
    }
}

static void choose(report *r, bool held)
{
    mid_heap *heap = r->heap;
    for (uint32_t i = heap->first_index; i < heap->next_index && r->count < r->most; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_inspectable(heap, entry))
            continue;
        uint32_t references = ((const uint32_t *)r->references.data)[i];
        uint32_t count = mid_forever(entry) ? UINT32_MAX : (uint32_t)mid_total_of(heap, i);
        uint32_t outside = count == UINT32_MAX ? 1 : count > references ? count - references : 0;
        if ((outside != 0) != held || mid_map_set(heap, &r->numbers, i, r->count + 1) != MID_OK)
            continue;
        const mid_type_info *type = mid_type_of_entry(heap, entry);
        ((mid_leak_object *)r->left.data)[r->count++] = (mid_leak_object){
            .object = i * 2, .type = type->name, .bytes = mid_object_size(type, mid_address(entry)), .count = count, .outside = outside};
    }
}

static void print(const mid_leak_object *o)
{
    fprintf(stderr, "midden: still held: handle %u, %s, %llu bytes, count %u, %u of it from outside", o->object, o->type,
            (unsigned long long)o->bytes, o->count, o->outside);
    for (uint32_t i = 0; i < o->referrers && i < MID_LEAK_REFERRERS; i++)
        fprintf(stderr, "%s %u.%u", i == 0 ? "; referred to by" : ",", o->by[i], o->slot[i]);
    fprintf(stderr, "%s\n", o->referrers > MID_LEAK_REFERRERS ? ", ..." : "");
    if (o->where != NULL)
        fprintf(stderr, "%s\n", o->where);
}

/* Where it was allocated, as far as tracing knows: a call in each line, innermost first. */
static const char *traced_at(mid_heap *heap, mid_handle object, char *into, size_t room)
{
    mid_trace_record record;
    size_t used = 0;
    if (!heap->trace.on || mid_trace_where(mid_thread_current(heap), object, &record) != MID_OK)
        return NULL;
    for (unsigned i = 0; i < record.depth && used < room; i++) {
        Dl_info info;
        const char *at = record.frames[i];
        bool known = dladdr(at, &info) != 0 && info.dli_fname != NULL, named = known && info.dli_sname != NULL;
        int more = !known  ? snprintf(into + used, room - used, "%s    %p", i == 0 ? "" : "\n", (const void *)at)
                   : named ? snprintf(into + used, room - used, "%s    %s(%s+0x%zx)", i == 0 ? "" : "\n", info.dli_fname, info.dli_sname,
                                      (size_t)(at - (const char *)info.dli_saddr))
                           : snprintf(into + used, room - used, "%s    %s(+0x%zx)", i == 0 ? "" : "\n", info.dli_fname,
                                      (size_t)(at - (const char *)info.dli_fbase));
        used += more < 0 ? 0 : (size_t)more;
    }
    return into;
}

static void tell(report *r)
{
    mid_heap *heap = r->heap;
    bool told = false;
    for (unsigned i = 0; i < heap->listener_count; i++)
        told |= heap->listeners[i].leak_object != NULL;
    for (uint32_t i = 0; i < r->count; i++) {
        mid_leak_object *o = (mid_leak_object *)r->left.data + i;
        mid_callback frame;
        char text[2048];
        o->where = traced_at(heap, o->object, text, sizeof text);
        mid_callback_begin(&frame, heap);
        if (heap->collector.leak_where != NULL)
            o->where = heap->collector.leak_where(heap->collector.leak_context, heap, o->object);
        mid_callback_end(&frame);
        MID_EMIT(heap, leak_object, o);
        if (!told && (heap->debug || heap->trace.on))
            print(o);
        o->where = NULL;
    }
}

void mid_leaks_report(mid_heap *heap, uint64_t live)
{
    report r = {.heap = heap};
    uint64_t most = heap->collector.leak_objects < live ? heap->collector.leak_objects : live;
    r.most = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    if (r.most == 0)
        return;
    if (mid_array_grow(&heap->alloc, &r.references, (size_t)heap->next_index * sizeof(uint32_t)) == MID_OK &&
        mid_array_grow(&heap->alloc, &r.left, r.most * sizeof(mid_leak_object)) == MID_OK) {
        each_reference(&r, count_slot);
        choose(&r, true);
        choose(&r, false);
        each_reference(&r, note_slot);
        tell(&r);
    }
    mid_array_free(&heap->alloc, &r.references);
    mid_array_free(&heap->alloc, &r.left);
    mid_array_free(&heap->alloc, &r.numbers.cells);
}
