/* tests/stress/act.c: calls on references, and what every call needs; see act.h. */
#include "act.h"

mid_stats stats_now(void)
{
    mid_stats stats;
    if (mid_stats_get(run.heap, &stats, sizeof stats) != sizeof stats)
        fail("mid_stats_get did not fill the structure");
    return stats;
}

bool quiet(const mid_stats *stats)
{
    return stats->waiting_objects == 0 && stats->finalizers_waiting == 0 && stats->condemned_objects == 0;
}

struct guard guard_begin(void)
{
    struct guard guard = {run.may_finalize};
    run.may_finalize = true;
    return guard;
}

void guard_end(struct guard guard)
{
    run.may_finalize = guard.before;
}

bool refused(mid_status status, const char *call)
{
    if (status == MID_OK)
        return false;
    if ((status != MID_ELIMIT && status != MID_ENOMEM) || run.heap_limit == 0)
        fail("%s returned %s", call, mid_status_name(status));
    run.refused++;
    return true;
}

void *address_of(struct obj *o)
{
    void *at = mid_get(run.thread, o->handle);
    if (at == NULL)
        fail("mid_get of live object %llu (%s) is null", (unsigned long long)o->id, o->kind->name);
    if (o->epoch == run.epoch && o->address != at)
        fail("object %llu (%s) moved from %p to %p outside a safepoint", (unsigned long long)o->id, o->kind->name,
             o->address, at);
    if (o->pins != 0 && o->address != at)
        fail("pinned object %llu (%s) moved", (unsigned long long)o->id, o->kind->name);
    if ((uintptr_t)at % (o->kind->align != 0 ? o->kind->align : 8) != 0)
        fail("object %llu (%s) is misaligned at %p", (unsigned long long)o->id, o->kind->name, at);
    o->address = at;
    o->epoch = run.epoch;
    return at;
}

static void verify_window(struct obj *o, const void *at, size_t from, size_t to)
{
    size_t wrong = verify(o, at, from, to);
    if (wrong != SIZE_MAX)
        fail("object %llu (%s, handle %u, %zu bytes): contents differ at byte %zu", (unsigned long long)o->id,
             o->kind->name, o->handle, kind_bytes(o->kind, o->items), wrong);
}

void verify_object(struct obj *o, bool all)
{
    const void *at = address_of(o);
    size_t bytes = kind_bytes(o->kind, o->items);
    if (all || bytes <= 512) {
        verify_window(o, at, 0, bytes);
    } else {
        verify_window(o, at, 0, 128);
        verify_window(o, at, bytes - 128, bytes);
        size_t middle = pick((uint32_t)bytes - 128);
        verify_window(o, at, middle, middle + 64);
    }
    uint32_t first = all || o->slot_count <= 64 ? 0 : pick(o->slot_count - 32);
    uint32_t last = all || o->slot_count <= 64 ? o->slot_count : first + 32;
    for (uint32_t i = first; i < last; i++) {
        if (!slot_active(o, i))
            continue;
        mid_handle found = mid_peek(run.thread, o->handle, kind_slot_number(o->kind, i));
        if (found != val_handle(o->slots[i]))
            fail("object %llu (%s, handle %u): slot %u of %u holds %u, expected %u", (unsigned long long)o->id,
                 o->kind->name, o->handle, i, o->slot_count, found, val_handle(o->slots[i]));
    }
}

/* --- holding ----------------------------------------------------------------------------------------------------- */

static void hold(struct obj *o)
{
    o->held++;
    pointers_add(&run.root, o);
}

/* The root entry goes, the reference it stood for stays with whoever gets it. */
static struct obj *unhold(size_t root)
{
    struct obj *o = run.root.at[root];
    run.root.at[root] = run.root.at[--run.root.count];
    o->held--;
    return o;
}

void act_hold(struct obj *o)
{
    model_ref(o);
    hold(o);
    if (mid_retain(run.thread, o->handle) != o->handle)
        fail("mid_retain returned another handle");
}

void protect(struct obj *o)
{
    model_ref(o);
    o->held++;
    mid_retain(run.thread, o->handle);
}

static void let_go(struct obj *o)
{
    mid_handle handle = o->handle;
    struct guard guard = guard_begin();
    model_unref(o);
    mid_release(run.thread, handle);
    guard_end(guard);
}

void unprotect(struct obj *o)
{
    o->held--;
    let_go(o);
}

void act_release(size_t root)
{
    let_go(unhold(root));
}

/* --- slots --------------------------------------------------------------------------------------------------------- */

static void unref_value(val v)
{
    if (val_obj(v) != NULL)
        model_unref(val_obj(v));
}

void act_store(struct obj *holder, uint32_t slot, val v)
{
    mid_handle h = holder->handle, value = val_handle(v);
    struct guard guard = guard_begin();
    if (val_obj(v) != NULL)
        model_ref(val_obj(v));
    unref_value(model_swap(holder, slot, v));
    mid_store(run.thread, h, kind_slot_number(holder->kind, slot), value);
    guard_end(guard);
}

void act_give(struct obj *holder, uint32_t slot, size_t root)
{
    mid_handle h = holder->handle;
    struct obj *o = unhold(root);
    mid_handle value = o->handle;
    struct guard guard = guard_begin();
    unref_value(model_swap(holder, slot, (val)o));
    mid_give(run.thread, h, kind_slot_number(holder->kind, slot), value);
    guard_end(guard);
}

static void got(val old, mid_handle found, const char *call)
{
    if (found != val_handle(old))
        fail("%s returned %u, expected %u", call, found, val_handle(old));
    if (val_obj(old) != NULL)
        hold(val_obj(old));
}

void act_swap(struct obj *holder, uint32_t slot, size_t root)
{
    struct obj *o = unhold(root);
    val old = model_swap(holder, slot, (val)o);
    got(old, mid_swap(run.thread, holder->handle, kind_slot_number(holder->kind, slot), o->handle), "mid_swap");
}

void act_take(struct obj *holder, uint32_t slot)
{
    val old = model_swap(holder, slot, 0);
    got(old, mid_take(run.thread, holder->handle, kind_slot_number(holder->kind, slot)), "mid_take");
}

void act_load(struct obj *holder, uint32_t slot)
{
    val v = holder->slots[slot];
    if (val_obj(v) != NULL)
        model_ref(val_obj(v));
    got(v, mid_load(run.thread, holder->handle, kind_slot_number(holder->kind, slot)), "mid_load");
}

bool may_refer(const struct obj *holder, const struct obj *o)
{
    uint32_t flags = o->kind->flags;
    if ((flags & K_TOP) != 0)
        return false;
    if ((holder->kind->flags & K_LOW) != 0)
        return (flags & (K_CYCLIC | K_LOW)) == 0 || ((flags & K_LOW) != 0 && o->id < holder->id);
    return true;
}

void act_mask(struct obj *o, uint32_t slot, bool on)
{
    uint32_t bit = 1u << (slot - o->kind->ref_count);
    unsigned word = kind_slot_number(o->kind, slot);
    if (!on)
        act_store(o, slot, 0);
    uint32_t *words = address_of(o);
    o->mask = on ? o->mask | bit : o->mask & ~bit;
    words[word] = 0;
    words[o->kind->mask_word] = o->mask;
    if (!on)
        paint(o, words, word * 4, word * 4 + 4);
}

/* --- choosing ------------------------------------------------------------------------------------------------------ */

bool random_slot(const struct obj *o, uint32_t *slot)
{
    for (unsigned tries = 0; o->slot_count != 0 && tries < 4; tries++) {
        *slot = pick(o->slot_count);
        if (slot_active(o, *slot))
            return true;
    }
    return false;
}

struct obj *random_object(void)
{
    size_t held = run.root.count + run.kept.count;
    if (held == 0)
        return NULL;
    size_t n = pick((uint32_t)held);
    struct obj *o = n < run.root.count ? run.root.at[n] : run.kept.at[n - run.root.count];
    for (uint32_t steps = pick(7); steps != 0; steps--) {
        uint32_t slot;
        if (!random_slot(o, &slot) || val_obj(o->slots[slot]) == NULL)
            break;
        mid_handle found = mid_peek(run.thread, o->handle, kind_slot_number(o->kind, slot));
        if (found != val_handle(o->slots[slot]))
            fail("mid_peek of object %llu (%s) slot %u is %u, expected %u", (unsigned long long)o->id, o->kind->name,
                 slot, found, val_handle(o->slots[slot]));
        o = val_obj(o->slots[slot]);
    }
    return o;
}

val random_value(const struct obj *holder)
{
    switch (pick(8)) {
    case 0:
        return 0;
    case 1:
        return mid_from_int((int32_t)random64());
    }
    struct obj *o = random_object();
    return o != NULL && may_refer(holder, o) ? (val)o : 0;
}
