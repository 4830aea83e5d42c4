/* tests/stress/ops.c: one operation at a time, chosen by weight; see ops.h. */
#include "ops.h"

#include <stdio.h>
#include <string.h>

#include "act.h"
#include "audit.h"
#include "beside.h"

static const struct kind *random_kind(bool variable)
{
    for (;;) {
        const struct kind *k = &kinds[pick(kind_count)];
        if (((k->flags & K_VARIABLE) != 0) != variable)
            continue;
        if ((k->flags & K_HUGE) != 0 && (!one_in(8) || model.big >= 12 || model.bytes > (12u << 20)))
            continue;
        return k;
    }
}

/* Mostly few items; now and then a run of pages or a mapping of its own. */
static uint32_t random_items(const struct kind *k)
{
    if (one_in(600) && model.big < 12 && model.bytes < (12u << 20))
        return pick((k->flags & (K_ITEM_SLOTS | K_PAIRS)) != 0 ? 30000 : (3u << 20) / k->item_size);
    if (one_in(60))
        return pick(k->item_size == 1 ? 40000 : 1500);
    return one_in(5) ? pick(200) : pick(12);
}

/* A new object is held; as often as not it moves into the graph. */
static void place(struct obj *o)
{
    uint32_t slot;
    struct obj *holder = random_object();
    size_t root = o == NULL ? 0 : run.root.count; /* null: refused */
    while (root != 0 && run.root.at[root - 1] != o)
        root--;
    if (root != 0 && !one_in(3) && holder != NULL && may_refer(holder, o) && random_slot(holder, &slot))
        act_give(holder, slot, root - 1);
}

static void op_new(void)
{
    place(act_new(random_kind(false), 0));
}

static void op_new_array(void)
{
    const struct kind *k = random_kind(true);
    struct obj *o = act_new(k, random_items(k));
    if (o == NULL)
        return;
    protect(o);
    for (uint32_t i = 0; i < o->slot_count && i < 8; i++)
        act_store(o, i, random_value(o));
    place(o);
    unprotect(o);
}

static void op_retain(void)
{
    struct obj *o = random_object();
    if (o != NULL)
        act_hold(o);
}

static void op_release(void)
{
    for (size_t spare = run.root.count / 256 + 1; spare != 0 && run.root.count != 0; spare--)
        act_release(pick((uint32_t)run.root.count));
}

static void op_store(void)
{
    struct obj *holder = random_object();
    uint32_t slot;
    if (holder != NULL && random_slot(holder, &slot))
        act_store(holder, slot, random_value(holder));
}

static void op_give_or_swap(void)
{
    struct obj *holder = random_object();
    uint32_t slot;
    if (holder == NULL || run.root.count == 0 || !random_slot(holder, &slot))
        return;
    size_t root = pick((uint32_t)run.root.count);
    if (!may_refer(holder, run.root.at[root]))
        return;
    if (one_in(2))
        act_give(holder, slot, root);
    else
        act_swap(holder, slot, root);
}

static void op_take_or_load(void)
{
    struct obj *holder = random_object();
    uint32_t slot;
    if (holder == NULL || !random_slot(holder, &slot))
        return;
    if (one_in(2))
        act_take(holder, slot);
    else
        act_load(holder, slot);
}

static void op_contents(void)
{
    struct obj *o = random_object();
    if (o == NULL)
        return;
    size_t bytes = kind_bytes(o->kind, o->items);
    verify_object(o, bytes <= 65536 || one_in(8));
    if (one_in(2) && bytes <= 65536) {
        o->pattern = (uint32_t)random64();
        paint(o, address_of(o), 0, bytes);
    }
}

static void op_resize(void)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        struct obj *o = random_object();
        if (o == NULL || (o->kind->flags & K_VARIABLE) == 0)
            continue;
        uint32_t items = one_in(3) ? random_items(o->kind) : o->items + pick(8) - (o->items >= 4 ? 4 : 0);
        act_resize(o, items);
        return;
    }
}

static void op_mask(void)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        struct obj *o = random_object();
        if (o == NULL || (o->kind->flags & K_MASK) == 0)
            continue;
        uint32_t slot = o->kind->ref_count + pick(o->slot_count - o->kind->ref_count);
        protect(o);
        act_mask(o, slot, !slot_active(o, slot));
        if (slot_active(o, slot))
            act_store(o, slot, random_value(o));
        unprotect(o);
        return;
    }
}

static void op_pin(void)
{
    struct obj *o = random_object();
    if (o == NULL)
        return;
    void *at = NULL;
    if (o->pins == 0 ? model.pinned < 24 : o->pins < 3 && one_in(2)) {
        bool for_long = o->id % 2 == 0 && run.depth == 0; /* without a number of its own: what follows stays the same */
        protect(o);
        if (!refused(for_long ? pin_long(o, &at) : mid_pin(run.thread, o->handle, &at), "mid_pin")) {
            if (at != address_of(o))
                fail("mid_pin gave another address than mid_get");
            model.pinned += o->pins++ == 0;
        }
        unprotect(o);
        return;
    }
    for (size_t n = 0; n < model.live.count; n++) {
        o = model.live.at[n];
        if (o->pins != 0 && o->held != 0) {
            if (mid_unpin(run.thread, o->handle) != MID_OK)
                fail("mid_unpin of pinned object %llu is refused", (unsigned long long)o->id);
            model.pinned -= --o->pins == 0;
            return;
        }
    }
}

static void op_weak(void)
{
    struct obj *o = random_object();
    if (o != NULL && model.weak_count < 100 && one_in(2)) {
        act_weak_new(o);
    } else if (model.weak_count != 0) {
        struct weak *w = &model.weak[pick((uint32_t)model.weak_count)];
        if (!one_in(3)) {
            act_weak_get(w);
            return;
        }
        if (mid_weak_drop(run.thread, w->handle) != MID_OK)
            fail("mid_weak_drop is refused");
        model.dropped[model.dropped_at++ % DROPPED] = w->handle;
        model_weak_remove(w);
    }
    /* Handles that were dropped stay empty, whatever their cells are used for since. */
    mid_weak old = model.dropped[pick(DROPPED)];
    if (mid_weak_get(run.thread, old) != 0 || mid_weak_drop(run.thread, old) != MID_EHANDLE)
        fail("a weak handle that was dropped is good again");
}

static void op_scope(void)
{
    switch (pick(3)) {
    case 0:
        act_scope_open();
        return;
    case 1:
        for (uint32_t n = pick(6); run.scope_count != 0 && run.root.count != 0 && n != 0; n--)
            act_keep(pick((uint32_t)run.root.count));
        return;
    case 2:
        if (run.scope_count != 0)
            act_scope_close(one_in(2) ? random_object() : NULL);
        return;
    }
}

static void op_immortal(void)
{
    static unsigned made;
    struct obj *o = random_object();
    if (!run.immortals || o == NULL || o->sticky || made == 8 || model.big != 0)
        return;
    made++;
    if (mid_immortalize(run.thread, o->handle) != MID_OK)
        fail("mid_immortalize is refused");
    o->sticky = true;
}

static const struct operation {
    const char *name;
    uint32_t weight;
    void (*run)(void);
} operations[] = {
    {"new", 900, op_new},
    {"new_array", 300, op_new_array},
    {"retain", 200, op_retain},
    {"release", 900, op_release},
    {"store", 900, op_store},
    {"give or swap", 500, op_give_or_swap},
    {"take or load", 300, op_take_or_load},
    {"contents", 400, op_contents},
    {"resize", 250, op_resize},
    {"mask", 150, op_mask},
    {"pin", 60, op_pin},
    {"weak", 250, op_weak},
    {"scope", 100, op_scope},
    {"pair", 150, op_pair},
    {"word", 150, op_word},
    {"mem", 150, op_mem},
    {"trace", 6, op_trace},
    {"immortal", 8, op_immortal},
    {"list", 4, op_list},
    {"ring", 8, op_ring},
    {"knot", 4, op_knot},
    {"clique", 6, op_clique},
    {"rope", 4, op_rope},
    {"scatter", 12, op_scatter},
    {"wide", 6, op_wide},
    {"large", 6, op_large},
    {"safepoint", 150, op_safepoint},
    {"collect", 8, op_collect},
    {"compact", 16, op_compact},
    {"freeze", 3, op_freeze},
    {"step", 0, op_step},
    {"trim", 8, op_trim},
    {"blocked", 25, op_blocked},
    {"detach", 4, op_detach},
    {"misuse", 20, op_misuse},
};

/* Everything a release kills goes at once as long as it fits a batch. Only a resize, which allocates, may leave finalizers
 * to the next safepoint. */
static void check_promptness(const mid_stats *before, uint64_t killed, bool resize)
{
    mid_stats after = stats_now();
    uint64_t waits = after.waiting_objects + (resize ? 0 : after.finalizers_waiting);
    uint64_t returned = (after.returned_bytes - before->returned_bytes) / 4096; /* pages of pools count, too */
    if (!run.loose && quiet(before) && waits != 0 && model.killed - killed + returned <= run.free_batch)
        fail("%llu objects wait on the work list and %llu for finalizers after %llu steps of dying",
             (unsigned long long)after.waiting_objects, (unsigned long long)after.finalizers_waiting,
             (unsigned long long)(model.killed - killed));
}

static void perform(const struct operation *operation)
{
    mid_stats before = stats_now();
    uint64_t killed = model.killed;
    run.doing = operation->name;
    if (run.op >= run.trace_from)
        fprintf(stderr, "%llu %s: live %zu, held %zu\n", (unsigned long long)run.op, operation->name, model.live.count,
                run.root.count);
    operation->run();
    check_promptness(&before, killed, operation->run == op_resize);
    model_bury();
}

static void perform_named(const char *name)
{
    unsigned n = 0;
    while (strcmp(operations[n].name, name) != 0)
        n++;
    perform(&operations[n]);
}

/* Keep the graph near its size, and the mode's promise. */
static void follow_up(void)
{
    if (model.live.count < run.live_target / 2) {
        perform_named("new");
        perform_named("new_array");
    }
    if (model.live.count > run.live_target) {
        for (unsigned n = 0; n < 16; n++)
            perform_named("release");
    }
    if (model.live.count > run.live_target && (run.root.count == 0 || one_in(16)))
        perform_named("collect");
    if (run.mode == MODE_GC) {
        perform_named("safepoint");
        if (one_in(2))
            perform_named("collect");
        perform_named("compact"); /* deeply, each time */
    }
    if (run.mode == MODE_STEPS)
        perform_named("step");
    if (run.mode == MODE_DAEMON) {
        perform_named("safepoint");
        if (one_in(8))
            perform_named("blocked");
    }
}

void random_operation(void)
{
    static uint32_t total;
    const unsigned count = sizeof operations / sizeof operations[0];
    for (unsigned n = 0; run.op == 1 && n < count; n++)
        total += operations[n].weight;
    uint32_t at = pick(total);
    unsigned n = 0;
    while (at >= operations[n].weight)
        at -= operations[n++].weight;
    perform(&operations[n]);
    follow_up();
}
