/* tests/stress/model.c: see model.h. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "beside.h"
#include "kinds.h"
#include "run.h"

struct model model;

void pointers_add(struct pointers *list, struct obj *o)
{
    if (list->count == list->room) {
        list->room = list->room != 0 ? list->room * 2 : 256;
        list->at = must(realloc(list->at, list->room * sizeof *list->at));
    }
    list->at[list->count++] = o;
}

/* --- handles to objects ---------------------------------------------------------------------------------- */

static struct obj **bucket(mid_handle handle)
{
    return &model.map[(handle * 2654435761u) >> 18];
}

struct obj *model_find(mid_handle handle)
{
    struct obj *o = *bucket(handle);
    while (o != NULL && o->handle != handle)
        o = o->chain;
    return o;
}

void model_unmap(struct obj *o)
{
    struct obj **at = bucket(o->handle);
    while (*at != NULL && *at != o)
        at = &(*at)->chain;
    if (*at != NULL)
        *at = o->chain;
}

static void model_map(struct obj *o)
{
    o->chain = *bucket(o->handle);
    *bucket(o->handle) = o;
}

void model_rename(mid_handle from, mid_handle to)
{
    struct obj *one = model_find(from), *other = model_find(to);
    if (one != NULL)
        model_unmap(one);
    if (other != NULL)
        model_unmap(other);
    if (one != NULL) {
        one->handle = to;
        model_map(one);
    }
    if (other != NULL) {
        other->handle = from;
        model_map(other);
    }
}

struct obj *model_add(mid_handle handle, const struct kind *kind, uint32_t items)
{
    struct obj *o = must(calloc(1, sizeof *o));
    o->id = ++model.next_id;
    o->handle = handle;
    o->kind = kind;
    o->items = items;
    model_map(o);
    o->index = model.live.count;
    pointers_add(&model.live, o);
    model_set_slots(o, kind_slots(kind, items));
    model.bytes += kind_bytes(kind, items);
    model.big += is_large(kind_bytes(kind, items));
    model.made++;
    return o;
}

void model_set_slots(struct obj *o, uint32_t count)
{
    if (count == o->slot_count)
        return;
    o->slots = must(realloc(o->slots, (count != 0 ? count : 1) * sizeof *o->slots));
    if (count > o->slot_count)
        memset(o->slots + o->slot_count, 0, (count - o->slot_count) * sizeof *o->slots);
    o->slot_count = count;
}

/* --- counts and deaths -------------------------------------------------------------------------------------- */

void model_clear_weaks(struct obj *o)
{
    for (size_t i = 0; o->weaks != 0 && i < model.weak_count; i++) {
        if (model.weak[i].target == o) {
            model.weak[i].target = NULL;
            o->weaks--;
        }
    }
}

static void forget(struct obj *o)
{
    struct obj *last = model.live.at[--model.live.count];
    model.live.at[o->index] = last;
    last->index = o->index;
    if (!o->gone)
        model_unmap(o);
    model_clear_weaks(o);
    pairs_clear(o, false);
    model.bytes -= kind_bytes(o->kind, o->items);
    model.big -= is_large(kind_bytes(o->kind, o->items));
    model.pinned -= o->pins != 0;
    model.tomb[model.tomb_at++ % 64] = o->handle;
    if (o->payload != NULL) {
        o->payload->due = true;
        model.due++;
    }
    pointers_add(&model.grave, o);
}

/* Of the work list, at most: pages of a large block count like objects, and what goes with its end first a little more. */
uint64_t model_steps(const struct obj *o)
{
    size_t bytes = kind_bytes(o->kind, o->items);
    return 1 + o->slot_count / 8 + (is_large(bytes) ? bytes / 4096 + bytes / (32 * 4096) : 0);
}

/* The object has no references left: dead, or pending when its finalizer has not run. */
static void unheld(struct obj *o)
{
    if (o->dead || o->sticky || o->in_call || o->pending)
        return;
    model.killed += model_steps(o);
    if ((o->kind->flags & K_FINAL) != 0 && !o->finalized) {
        o->pending = true;
        model.pending++;
        model_clear_weaks(o);
        pairs_clear(o, false);
        return;
    }
    o->dead = true;
    pointers_add(&model.work, o);
}

static void work(void)
{
    if (model.working)
        return;
    model.working = true;
    while (model.work.count != 0) {
        struct obj *o = model.work.at[--model.work.count];
        for (uint32_t i = 0; i < o->slot_count; i++) {
            struct obj *child = val_obj(o->slots[i]);
            if (child != NULL && --child->count == 0)
                unheld(child);
        }
        forget(o);
    }
    model.working = false;
}

void model_ref(struct obj *o)
{
    o->count++;
}

void model_unref(struct obj *o)
{
    if (o->count == 0)
        fail("the tester's own count of object %llu fell below 0", (unsigned long long)o->id);
    if (--o->count == 0) {
        unheld(o);
        work();
    }
}

void model_kill_if_unheld(struct obj *o)
{
    if (o->count == 0) {
        unheld(o);
        work();
    }
}

val model_swap(struct obj *holder, uint32_t slot, val v)
{
    val old = holder->slots[slot];
    holder->slots[slot] = v;
    return old;
}

struct weak *model_weak_add(mid_weak handle, struct obj *target)
{
    if (model.weak_count == model.weak_room) {
        model.weak_room = model.weak_room != 0 ? model.weak_room * 2 : 64;
        model.weak = must(realloc(model.weak, model.weak_room * sizeof *model.weak));
    }
    struct weak *w = &model.weak[model.weak_count++];
    w->handle = handle;
    w->target = target;
    w->id = target->id;
    target->weaks++;
    return w;
}

void model_weak_remove(struct weak *w)
{
    if (w->target != NULL)
        w->target->weaks--;
    *w = model.weak[--model.weak_count];
}

void model_bury(void)
{
    for (size_t i = 0; i < model.grave.count; i++) {
        free(model.grave.at[i]->slots);
        free(model.grave.at[i]);
    }
    model.grave.count = 0;
}

void model_drop_all(void)
{
    pairs_forget();
    while (model.live.count != 0) {
        struct obj *o = model.live.at[model.live.count - 1];
        o->dead = true;
        forget(o);
    }
    model.pending = 0;
    model_bury();
}

/* --- cyclic garbage ----------------------------------------------------------------------------------------- */

static void mark_from(struct pointers *grey, bool pairs)
{
    while (grey->count != 0) {
        struct obj *o = grey->at[--grey->count];
        unsigned pair = 0;
        for (struct obj *value; pairs && (value = pair_value(o, &pair)) != NULL;) {
            if (!value->marked) {
                value->marked = true;
                pointers_add(grey, value);
            }
        }
        for (uint32_t i = 0; i < o->slot_count; i++) {
            struct obj *child = val_obj(o->slots[i]);
            if (child != NULL && !child->marked) {
                child->marked = true;
                pointers_add(grey, child);
            }
        }
    }
}

/* Of `set`, mark what references from outside of the set keep alive. The caller has set gc = count of each member. */
static void mark_kept(const struct pointers *set, bool (*member)(const struct obj *))
{
    static struct pointers grey;
    for (size_t n = 0; n < set->count; n++) {
        struct obj *o = set->at[n];
        o->marked = false;
        for (uint32_t i = 0; member(o) && i < o->slot_count; i++) {
            struct obj *child = val_obj(o->slots[i]);
            if (child != NULL && member(child))
                child->gc--;
        }
        unsigned pair = 0;
        for (struct obj *value; member(o) && (value = pair_value(o, &pair)) != NULL;) {
            if (member(value))
                value->gc--;
        }
    }
    for (size_t n = 0; n < set->count; n++) {
        struct obj *o = set->at[n];
        if (!member(o) || o->gc != 0 || o->sticky || o->pending) {
            o->marked = true;
            pointers_add(&grey, o);
        }
    }
    mark_from(&grey, true);
}

/* Acyclic objects are not looked at: what they refer to counts as held. */
static bool is_candidate(const struct obj *o)
{
    return !o->dead && (o->kind->flags & K_CYCLIC) != 0;
}

static bool is_garbage(const struct obj *o)
{
    return !o->dead && o->in_garbage;
}

size_t model_collect_begin(void)
{
    for (size_t n = 0; n < model.live.count; n++)
        model.live.at[n]->gc = model.live.at[n]->count;
    mark_kept(&model.live, is_candidate);
    model.garbage.count = 0;
    model.finals_left = 0;
    for (size_t n = 0; n < model.live.count; n++) {
        struct obj *o = model.live.at[n];
        o->in_garbage = !o->marked;
        o->in_final = !o->marked && (o->kind->flags & K_FINAL) != 0 && !o->finalized;
        if (o->in_garbage)
            pointers_add(&model.garbage, o);
        model.finals_left += o->in_final;
    }
    model.collecting = true;
    model.committed = false;
    return model.garbage.count;
}

/* The members of the garbage that are not marked die together; the others stay members if they are to `stay`. */
static void kill_unmarked(bool stay)
{
    size_t kept = 0;
    for (size_t n = 0; n < model.garbage.count; n++) {
        struct obj *o = model.garbage.at[n];
        if (o->dead)
            continue;
        o->in_garbage = o->marked && stay;
        if (o->marked) {
            model.garbage.at[kept++] = o;
            continue;
        }
        o->dead = true;
        model.killed += model_steps(o);
        pointers_add(&model.work, o);
    }
    model.garbage.count = stay ? kept : 0;
    work();
}

/* What finalizers, or nothing, have not saved. */
static void kill_garbage(void)
{
    size_t alive = 0;
    for (size_t n = 0; n < model.garbage.count; n++) {
        struct obj *o = model.garbage.at[n];
        o->gc = o->count;
        if (!o->dead)
            model.garbage.at[alive++] = o;
    }
    model.garbage.count = alive;
    mark_kept(&model.garbage, is_garbage);
    kill_unmarked(false);
}

/* Finalizers cannot reach it: it dies before they run. */
static void kill_unreached(void)
{
    static struct pointers grey;
    for (size_t n = 0; n < model.garbage.count; n++) {
        struct obj *o = model.garbage.at[n];
        o->marked = o->in_final;
        if (o->marked)
            pointers_add(&grey, o);
    }
    mark_from(&grey, true);
    kill_unmarked(true);
}

void model_collect_commit(void)
{
    if (!model.collecting || model.committed)
        return;
    model.committed = true;
    for (size_t n = 0; n < model.garbage.count; n++) {
        struct obj *o = model.garbage.at[n];
        if (run.loose)
            o->doubted = true; /* see model_collect_resurrect: then they were not cleared */
        else
            model_clear_weaks(o);
        if (o->in_final && !o->pending) {
            o->pending = true;
            model.pending++;
        }
    }
    for (size_t n = 0; n < model.garbage.count && !run.loose; n++)
        pairs_clear(model.garbage.at[n], true);
    if (model.finals_left == 0)
        kill_garbage();
    else
        kill_unreached();
}

void model_collect_settle(struct obj *finalized)
{
    if (!finalized->in_final)
        return;
    finalized->in_final = false;
    if (model.collecting && --model.finals_left == 0)
        kill_garbage();
}

void model_collect_abandon(void)
{
    for (size_t n = 0; n < model.garbage.count; n++) {
        struct obj *o = model.garbage.at[n];
        if (o->in_final && o->pending && o->count != 0) {
            o->pending = false;
            model.pending--;
        }
    }
    model.finals_left = 0;
}

void model_collect_end(void)
{
    for (size_t n = 0; n < model.live.count; n++)
        model.live.at[n]->in_garbage = model.live.at[n]->in_final = false;
    model.garbage.count = 0;
    model.collecting = false;
}

static bool is_held(const struct obj *o)
{
    return o->held != 0 || o->sticky || o->in_call;
}

static bool is_held_or_pending(const struct obj *o)
{
    return is_held(o) || o->pending;
}

static void mark_from_all(bool (*root)(const struct obj *))
{
    static struct pointers grey;
    for (size_t n = 0; n < model.live.count; n++) {
        struct obj *o = model.live.at[n];
        o->marked = root(o);
        if (o->marked)
            pointers_add(&grey, o);
    }
    mark_from(&grey, false); /* who holds a value by a pair alone is not sure of it */
}

size_t model_mark_reachable(void)
{
    size_t marked = 0;
    mark_from_all(is_held_or_pending);
    for (size_t n = 0; n < model.live.count; n++)
        marked += model.live.at[n]->marked;
    return model.live.count - marked;
}

size_t model_collect_resurrect(void)
{
    size_t saved = 0;
    mark_from_all(is_held);
    for (size_t n = 0; n < model.garbage.count; n++) {
        struct obj *o = model.garbage.at[n];
        if (o->dead || !o->in_final || !o->marked)
            continue;
        o->in_final = o->pending = false;
        model.pending--;
        saved++;
    }
    model.finals_left -= saved;
    if (saved != 0 && model.finals_left == 0)
        kill_garbage();
    return saved;
}
