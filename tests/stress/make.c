/* tests/stress/make.c: calls that make, resize and keep objects, and weak references; see act.h. */
#include <string.h>

#include "act.h"
#include "beside.h"
#include "ops.h"

/* A new object: zero, then painted; a payload where its type has one. */
static void dress(struct obj *o)
{
    size_t bytes = kind_bytes(o->kind, o->items);
    unsigned char *at = address_of(o);
    size_t wrong = verify_zero(o, at, 0, bytes);
    if (wrong != SIZE_MAX)
        fail("new object %llu (%s, %zu bytes) is not zero at byte %zu", (unsigned long long)o->id, o->kind->name, bytes,
             wrong);
    o->pattern = (uint32_t)random64();
    paint(o, at, 0, bytes);
    if ((o->kind->flags & K_PAYLOAD) != 0 && !one_in(4)) {
        struct payload *p = must(calloc(1, sizeof *p));
        p->id = o->id;
        p->next = model.payloads;
        model.payloads = o->payload = p;
        memcpy(at + o->kind->payload_offset, &p, sizeof p);
    }
    verify_object(o, bytes <= 65536);
}

/* The heap handed out `handle`: with a heap that collects when it likes, an unreachable object may have had it. */
static void reuse(mid_handle handle)
{
    struct obj *old = model_find(handle);
    if (handle == 0 || (handle & 1u) != 0)
        fail("a new object has the handle %u", handle);
    if (old == NULL)
        return;
    if (run.loose)
        model_mark_reachable();
    if (!run.loose || old->marked)
        fail("the handle %u of live object %llu (%s) was given to a new object", handle, (unsigned long long)old->id,
             old->kind->name);
    if ((old->kind->flags & K_FINAL) != 0 && !old->finalized)
        fail("object %llu (%s) was freed without its finalizer", (unsigned long long)old->id, old->kind->name);
    model_unmap(old);
    old->gone = true;
}

struct obj *act_new(const struct kind *kind, uint32_t items)
{
    mid_type type = run.types[kind - kinds];
    mid_handle handle = 0xFFFFFFFFu;
    bool variable = (kind->flags & K_VARIABLE) != 0, before = run.may_finalize;
    run.may_finalize = false;
    mid_status status = variable ? mid_new_array(run.thread, type, items, &handle) : mid_new(run.thread, type, &handle);
    run.may_finalize = before;
    if (refused(status, variable ? "mid_new_array" : "mid_new")) {
        if (handle != 0)
            fail("a refused allocation left the handle %u", handle);
        return NULL;
    }
    reuse(handle);
    struct obj *o = model_add(handle, kind, variable ? items : 0);
    model_ref(o);
    o->held++;
    pointers_add(&run.root, o);
    trace_made(o);
    dress(o);
    return o;
}

/* --- resize ------------------------------------------------------------------------------------------------------- */

static struct obj *resized;
static uint32_t resized_to;

/* The model's part of a resize: items that go release what they refer to. */
static void commit_resize(void)
{
    struct obj *o = resized;
    uint32_t before = o->slot_count, after = kind_slots(o->kind, resized_to);
    val *gone = NULL;
    if (after < before) {
        gone = must(malloc((before - after) * sizeof *gone));
        memcpy(gone, o->slots + after, (before - after) * sizeof *gone);
    }
    model.bytes += kind_bytes(o->kind, resized_to) - kind_bytes(o->kind, o->items);
    model.big += is_large(kind_bytes(o->kind, resized_to)) - (size_t)is_large(kind_bytes(o->kind, o->items));
    model_set_slots(o, after);
    o->items = resized_to;
    o->resized = true;
    trace_forget(o);
    o->epoch = 0;
    for (uint32_t i = 0; gone != NULL && i < before - after; i++) {
        if (val_obj(gone[i]) != NULL)
            model_unref(val_obj(gone[i]));
    }
    free(gone);
}

void act_resize(struct obj *o, uint32_t items)
{
    size_t before = kind_bytes(o->kind, o->items);
    mid_handle handle = o->handle;
    protect(o);
    if (o->pins != 0 && run.depth == 0)
        drain(); /* it may be refused: no finalizer that waits is to take it for done */
    resized = o;
    resized_to = items;
    run.commit = commit_resize;
    if (items < o->items) /* what a large block leaves behind dies as it would have */
        model.killed += model_steps(o);
    uint64_t finalized = run.finalized;
    struct guard guard = guard_begin();
    mid_status status = mid_resize(run.thread, handle, items);
    guard_end(guard);
    bool pinned = status == MID_EPINNED && o->pins != 0;
    if (!pinned && !refused(status, "mid_resize") && run.commit != NULL)
        run.commit();
    run.commit = NULL;
    if (status == MID_OK && o->items == items) { /* otherwise a finalizer has resized it once more */
        unsigned char *at = address_of(o);
        size_t after = kind_bytes(o->kind, items);
        bool fresh = after > before && run.finalized == finalized; /* a finalizer may have stored to it */
        size_t wrong = fresh ? verify_zero(o, at, before, after) : SIZE_MAX;
        if (wrong != SIZE_MAX)
            fail("object %llu (%s) resized from %zu to %zu bytes: byte %zu is not zero", (unsigned long long)o->id,
                 o->kind->name, before, after, wrong);
        if (after > before)
            paint(o, at, before, after);
    }
    verify_object(o, kind_bytes(o->kind, o->items) <= 65536);
    unprotect(o);
}

/* --- weak references ------------------------------------------------------------------------------------------------ */

void act_weak_new(struct obj *o)
{
    mid_weak w;
    if (!refused(mid_weak_new(run.thread, o->handle, &w), "mid_weak_new"))
        model_weak_add(w, o);
}

void act_weak_get(struct weak *w)
{
    mid_handle found = mid_weak_get(run.thread, w->handle);
    struct obj *o = w->target;
    if (found == 0) {
        if (o != NULL && run.loose)
            model_mark_reachable();
        if (o != NULL && !(run.loose && (!o->marked || o->doubted)))
            fail("a weak reference to live object %llu (%s) is empty", (unsigned long long)o->id, o->kind->name);
        return;
    }
    if (o == NULL) {
        /* The heap is behind: something dead that waits on its work list still refers to the object. */
        mid_stats stats = stats_now();
        if (!quiet(&stats) && mid_is_live(run.thread, found)) {
            struct guard guard = guard_begin();
            mid_release(run.thread, found);
            guard_end(guard);
            return;
        }
    }
    if (o == NULL || o->gone || o->handle != found)
        fail("a weak reference to object %llu gave the handle %u, expected %u", (unsigned long long)w->id, found,
             o != NULL ? o->handle : 0);
    model_ref(o);
    o->held++;
    pointers_add(&run.root, o);
    verify_object(o, false);
}

/* --- scopes ---------------------------------------------------------------------------------------------------------- */

void act_scope_open(void)
{
    if (run.scope_count == SCOPES_MAX)
        return;
    struct scope *s = &run.scopes[run.scope_count];
    s->base = run.kept.count;
    if (!refused(mid_scope_open(run.thread, &s->scope), "mid_scope_open"))
        run.scope_count++;
}

void act_keep(size_t root)
{
    struct obj *o = run.root.at[root];
    mid_handle handle = o->handle;
    act_hold(o); /* so that a refusal, which releases it, needs no case of its own */
    size_t extra = run.root.count - 1;
    struct guard guard = guard_begin();
    mid_handle kept = mid_keep(run.thread, handle);
    guard_end(guard);
    run.root.count = extra;
    if (kept == 0) {
        refused(mid_thread_status(run.thread), "mid_keep");
        o->held--;
        model_unref(o);
        return;
    }
    if (kept != handle)
        fail("mid_keep returned %u, expected %u", kept, handle);
    pointers_add(&run.kept, o);
}

void act_scope_close(struct obj *result)
{
    struct scope *s = &run.scopes[--run.scope_count];
    mid_scope scope = s->scope; /* a finalizer may open one in the same place */
    size_t count = run.kept.count - s->base;
    struct obj **members = must(malloc((count + 1) * sizeof *members));
    mid_handle handle = result != NULL ? result->handle : 0;
    for (size_t n = 0; n < count; n++)
        members[n] = run.kept.at[s->base + n];
    run.kept.count = s->base;
    if (result != NULL) {
        model_ref(result);
        result->held++;
        pointers_add(&run.root, result);
    }
    struct guard guard = guard_begin();
    for (size_t n = 0; n < count; n++) {
        members[n]->held--;
        model_unref(members[n]);
    }
    mid_handle closed = mid_scope_close(run.thread, &scope, handle);
    guard_end(guard);
    free(members);
    if (closed != handle)
        fail("mid_scope_close returned %u, expected %u", closed, handle);
}
