/* tests/stress/threads/graph.c: operations on slots that all threads use at once: those of the objects that the array `top`
 * holds, and of whatever hangs below them; and a stack that is changed with mid_swap_if alone. */
#include "threads.h"

/* A slot under the roots. The holder is counted. */
struct place {
    mid_handle holder;
    unsigned slot, kind;
};

/* Few roots are visited most, so that threads meet. */
static unsigned any_root(void)
{
    return FIRST_ITEM + (one_in(2) ? pick(4) : pick(ROOTS));
}

static mid_handle load_object(struct mutator *m, mid_handle holder, unsigned slot)
{
    mid_handle value = mid_load(m->thread, holder, slot);
    if (value == 0 || mid_is_int(value))
        return 0;
    verify(m, value, 0);
    return value;
}

static bool place_open(struct mutator *m, struct place *p)
{
    p->holder = load_object(m, m->world->top, any_root());
    while (p->holder != 0 && any_slot(m, p->holder, &p->slot)) {
        mid_handle below = one_in(2) ? load_object(m, p->holder, p->slot) : 0;
        unsigned slot;
        if (below == 0 || !any_slot(m, below, &slot)) {
            if (below != 0)
                mid_release(m->thread, below);
            p->kind = kind_of(m, p->holder);
            return true;
        }
        mid_release(m->thread, p->holder);
        p->holder = below;
    }
    if (p->holder != 0)
        mid_release(m->thread, p->holder);
    return false;
}

static void place_close(struct mutator *m, struct place *p)
{
    mid_release(m->thread, p->holder);
}

void op_load(struct mutator *m)
{
    struct place p;
    if (!place_open(m, &p))
        return;
    hold_if_object(m, mid_load(m->thread, p.holder, p.slot));
    place_close(m, &p);
}

/* Down from a root, with everything on the way in hand. */
void op_walk(struct mutator *m)
{
    struct item way[12];
    unsigned depth = 0, slot = any_root();
    mid_handle at = m->world->top;
    while (depth < sizeof way / sizeof way[0]) {
        mid_handle next = mid_load(m->thread, at, slot);
        if (next == 0 || mid_is_int(next))
            break;
        way[depth++] = (struct item){next, verify(m, next, 0), false};
        at = next;
        if (!any_slot(m, at, &slot))
            break;
    }
    while (depth != 0)
        let_go(m, way[--depth]);
}

void store_at_random(struct mutator *m, mid_handle value)
{
    struct place p;
    if (!place_open(m, &p))
        return;
    if (may_hold(m, p.kind, value))
        mid_store(m->thread, p.holder, p.slot, value);
    place_close(m, &p);
}

void op_store(struct mutator *m)
{
    struct item *item = any_held(m);
    if (item == NULL)
        return;
    item->mine = false;
    store_at_random(m, item->handle);
}

/* A held handle to be consumed by slot `p`, or an immediate integer. */
static mid_handle for_slot(struct mutator *m, const struct place *p, struct item *from)
{
    struct item *item = any_held(m);
    *from = (struct item){0, 0, false};
    if (item == NULL || one_in(12) || !may_hold(m, p->kind, item->handle))
        return one_in(4) ? 0 : mid_from_int((int32_t)pick(1000) - 500);
    *from = take_held(m, item);
    return from->handle;
}

void op_give(struct mutator *m)
{
    struct place p;
    struct item item;
    if (!place_open(m, &p))
        return;
    mid_give(m->thread, p.holder, p.slot, for_slot(m, &p, &item));
    place_close(m, &p);
}

void op_swap(struct mutator *m)
{
    struct place p;
    struct item item;
    if (!place_open(m, &p))
        return;
    hold_if_object(m, mid_swap(m->thread, p.holder, p.slot, for_slot(m, &p, &item)));
    place_close(m, &p);
}

void op_swap_if(struct mutator *m)
{
    struct place p;
    struct item item;
    if (!place_open(m, &p))
        return;
    mid_handle expected = mid_load(m->thread, p.holder, p.slot);
    mid_handle value = for_slot(m, &p, &item);
    int swapped = mid_swap_if(m->thread, p.holder, p.slot, expected, value);
    if (swapped && expected != 0 && !mid_is_int(expected))
        mid_release(m->thread, expected); /* the slot's count; ours is below */
    hold_if_object(m, expected);
    if (!swapped && item.handle != 0)
        hold(m, item.handle, item.id, item.mine);
    place_close(m, &p);
}

void op_take(struct mutator *m)
{
    struct place p;
    if (!place_open(m, &p))
        return;
    hold_if_object(m, mid_take(m->thread, p.holder, p.slot));
    place_close(m, &p);
}

/* Between held objects, wherever they are from. */
void op_link(struct mutator *m)
{
    struct item *holder = any_held(m), *value = any_held(m);
    unsigned slot;
    if (holder == NULL || !any_slot(m, holder->handle, &slot) || !may_hold(m, kind_of(m, holder->handle), value->handle))
        return;
    value->mine = false;
    if (holder == value)
        holder->mine = false;
    mid_store(m->thread, holder->handle, slot, value->handle);
}

/* Drops what hangs below the old one. */
void op_replace_root(struct mutator *m)
{
    struct item item;
    unsigned kind = any_kind_with_slots(), root = any_root();
    if (!make(m, kind, is_variable(kind) ? 4 + pick(12) : 0, &item))
        return;
    if (one_in(2)) {
        mid_give(m->thread, m->world->top, root, item.handle);
        return;
    }
    mid_handle old = mid_swap(m->thread, m->world->top, root, item.handle);
    if (old == 0)
        return;
    verify(m, old, 0);
    mid_release(m->thread, old);
}

/* An object that is only mid_init'ed into its holder becomes visible with it, and others may load it the first time while its
 * owner takes it out again and lets go of it. */
void op_first_load(struct mutator *m)
{
    struct item holder, value;
    unsigned slot, kind = any_kind();
    if (!make(m, KIND_NODE, 0, &holder))
        return;
    if (!make(m, kind, is_variable(kind) ? pick(4) : 0, &value)) {
        let_go(m, holder);
        return;
    }
    slots_of(m, holder.handle, 0, &slot);
    mid_init(m->thread, holder.handle, slot, value.handle);
    store_at_random(m, holder.handle);
    for (unsigned spin = pick(200); spin != 0; spin--)
        __asm__ volatile("");
    if (one_in(3)) {
        mid_give(m->thread, holder.handle, slot, 0);
    } else if (one_in(2)) {
        mid_handle taken = mid_take(m->thread, holder.handle, slot);
        if (taken != 0 && !mid_is_int(taken))
            mid_release(m->thread, taken);
    }
    let_go(m, holder);
}

/* --- the stack: a pop that succeeds is the only one of that node, though nobody locks ----------------------------- */

enum { NEXT = 2 }; /* slot of a node */

void op_push(struct mutator *m)
{
    struct item item;
    if (!make(m, KIND_NODE, 0, &item))
        return;
    atomic_fetch_add_explicit(&m->world->pushed, item.id, memory_order_relaxed);
    for (;;) {
        mid_handle first = mid_load(m->thread, m->world->stack, NEXT);
        mid_give(m->thread, item.handle, NEXT, first);
        /* The slot's count of `first` comes back to us when its holder is now the new node. */
        if (mid_swap_if(m->thread, m->world->stack, NEXT, first, item.handle)) {
            mid_release(m->thread, first);
            return;
        }
    }
}

/* A node is pushed once: while we hold it, nobody else can have made its name the first again. */
void op_pop(struct mutator *m)
{
    for (unsigned n = 1 + pick(2); n != 0; n--) {
        mid_handle first = mid_load(m->thread, m->world->stack, NEXT);
        if (first == 0)
            return;
        uint32_t id = verify(m, first, 0);
        mid_handle next = mid_load(m->thread, first, NEXT);
        if (mid_swap_if(m->thread, m->world->stack, NEXT, first, next)) {
            atomic_fetch_add_explicit(&m->world->popped, id, memory_order_relaxed);
            mid_release(m->thread, first); /* the slot's */
        } else if (next != 0) {
            mid_release(m->thread, next);
        }
        verify(m, first, id);
        mid_release(m->thread, first);
    }
}
