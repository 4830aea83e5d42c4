/* tests/stress/final.c: what the heap calls back: finalizers, which do as they like, and the end of payloads. */
#include "act.h"
#include "beside.h"

/* The call under way has begun to act, as only that explains what it does. */
static void begin_commit(void)
{
    void (*commit)(void) = run.commit;
    run.commit = NULL;
    if (commit != NULL)
        commit();
}

/* A heap that collects when it likes may finalize what cannot be reached, and everything found with it, even if one of
 * those finalizers makes it reachable again. */
static void expect_unreachable(const struct obj *o)
{
    model_mark_reachable();
    if (o->marked && !o->doubted && !o->pending)
        fail("the finalizer of reachable object %llu (%s) runs", (unsigned long long)o->id, o->kind->name);
    for (size_t n = 0; n < model.live.count; n++)
        model.live.at[n]->doubted |= !model.live.at[n]->marked;
}

static struct obj *check_call(mid_handle handle)
{
    struct obj *o = model_find(handle);
    if (run.dropping)
        fail("mid_heap_destroy runs a finalizer");
    if (!run.may_finalize)
        fail("a finalizer runs inside a call that may not run any");
    if (o == NULL)
        fail("a finalizer runs for the handle %u, which names nothing", handle);
    if ((o->kind->flags & K_FINAL) == 0 || o->finalized || o->in_call)
        fail("the finalizer of object %llu (%s) runs twice", (unsigned long long)o->id, o->kind->name);
    if (!o->pending)
        begin_commit();
    if (!o->pending && !run.loose)
        fail("the finalizer of object %llu (%s) runs although it is held: count %u", (unsigned long long)o->id,
             o->kind->name, o->count);
    if (run.loose)
        expect_unreachable(o);
    return o;
}

static void weaks_are_cleared(struct obj *o)
{
    model_clear_weaks(o);
    pairs_clear(o, false);
    for (size_t n = 0; n < model.weak_count; n++) {
        if (model.weak[n].id == o->id && mid_weak_get(run.thread, model.weak[n].handle) != 0)
            fail("object %llu (%s) is being finalized and a weak reference to it is not empty",
                 (unsigned long long)o->id, o->kind->name);
    }
}

static void allocate(struct obj *o)
{
    struct obj *made = act_new(&kinds[pick(kind_count) % 4 + (one_in(2) ? 0 : 10)], 0);
    uint32_t slot;
    if (made == NULL)
        return;
    if (random_slot(o, &slot) && may_refer(o, made))
        act_give(o, slot, run.root.count - 1);
    else
        act_release(run.root.count - 1);
}

/* A finalizer is code like any other, except that it may not collect, compact, detach or close. */
static void not_allowed(void)
{
    mid_heap *heap = run.heap;
    mid_status status[] = {mid_collect(run.thread, NULL), mid_compact(run.thread, MID_COMPACT_PLAIN, 0, NULL),
                           mid_thread_detach(run.thread), mid_heap_close(heap)};
    for (unsigned n = 0; n < sizeof status / sizeof status[0]; n++) {
        if (status[n] != MID_EBUSY)
            fail("call %u that finalizers may not make returned %s", n, mid_status_name(status[n]));
    }
}

static void scoped(struct obj *o)
{
    uint32_t slot;
    unsigned before = run.scope_count;
    act_scope_open();
    if (run.scope_count == before)
        return;
    if (random_slot(o, &slot) && val_obj(o->slots[slot]) != NULL) {
        act_load(o, slot);
        act_keep(run.root.count - 1);
    }
    act_scope_close(NULL);
}

static void store_away(struct obj *o)
{
    struct obj *holder = random_object();
    uint32_t slot;
    if (holder != NULL && may_refer(holder, o) && random_slot(holder, &slot))
        act_store(holder, slot, (val)o);
}

static void behave(struct obj *o)
{
    uint32_t slot;
    switch (pick(run.closing ? 3 : 12)) {
    case 0:
        return;
    case 1:
        for (slot = 0; slot < o->slot_count; slot++)
            act_store(o, slot, 0);
        return;
    case 2:
        allocate(o);
        return;
    case 3:
        act_hold(o);
        return;
    case 4:
        store_away(o);
        return;
    case 5:
        if (random_slot(o, &slot))
            act_load(o, slot);
        return;
    case 6:
        if (run.root.count != 0)
            act_release(pick((uint32_t)run.root.count));
        return;
    case 7:
        not_allowed();
        return;
    case 8:
        act_weak_new(o);
        return;
    case 9:
        scoped(o);
        return;
    case 10: /* to itself, and out */
        if (random_slot(o, &slot))
            act_store(o, slot, (val)o);
        return;
    case 11:
        if (run.depth == 1) {
            run.epoch++;
            if (mid_safepoint(run.thread) != MID_OK)
                fail("mid_safepoint in a finalizer failed");
            run.epoch++;
        }
        return;
    }
}

/* Finalizers of garbage are followed by a recount, and others may run before it or after: as the model cannot tell which of
 * its objects those still save or doom, it lets the heap be ahead until the next collection has brought them together. */
void on_finalize(mid_thread *thread, mid_handle handle)
{
    mid_thread *before = run.thread;
    run.thread = thread;
    struct obj *o = check_call(handle);
    if (o->pending) {
        o->pending = false;
        model.pending--;
    }
    if (model.collecting && (run.loose || model.finals_left == 0))
        run.loose = run.ambiguous = true;
    o->finalized = true;
    o->in_call = true;
    run.finalized++;
    run.depth++;
    weaks_are_cleared(o);
    verify_object(o, true);
    behave(o);
    run.depth--;
    o->in_call = false;
    model_collect_settle(o);
    model_kill_if_unheld(o);
    run.thread = before;
}

void on_payload_free(void *payload, void *context)
{
    struct payload *p = payload;
    if (context != &model)
        fail("payload_free is called with another context");
    if (__atomic_add_fetch(&p->freed, 1, __ATOMIC_SEQ_CST) != 1)
        fail("the payload of object %llu is freed twice", (unsigned long long)p->id);
    __atomic_add_fetch(&model.freed, 1, __ATOMIC_SEQ_CST);
    if (run.loose)
        return;
    if (!p->due)
        begin_commit();
    if (!p->due && !run.dropping)
        fail("the payload of live object %llu is freed", (unsigned long long)p->id);
}
