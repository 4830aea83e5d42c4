/* tests/stress/threads/shapes.c: several objects at once; objects that are one thread's alone; weak handles; finalizers. */
#include "threads.h"

/* A ring of new objects, perhaps with a way out and a way in. Dropped, it is garbage that only a collection finds. */
void op_cycle(struct mutator *m)
{
    struct item ring[10];
    unsigned n = 1 + pick(10), made = 0, slot;
    while (made < n) {
        unsigned kind = one_in(8) ? KIND_FINAL : any_kind_with_slots();
        if (!make(m, kind, is_variable(kind) ? 1 + pick(5) : 0, &ring[made]))
            break;
        made++;
    }
    for (unsigned i = 0; i < made; i++) {
        slots_of(m, ring[i].handle, 0, &slot);
        mid_init(m->thread, ring[i].handle, slot, mid_retain(m->thread, ring[(i + 1) % made].handle));
    }
    struct item *other = any_held(m);
    if (made != 0 && other != NULL && one_in(3)) {
        unsigned from = pick(made), count = slots_of(m, ring[from].handle, 1, &slot);
        if (count > 1)
            mid_store(m->thread, ring[from].handle, slot, other->handle);
        other->mine = other->mine && count <= 1;
    }
    if (made != 0 && one_in(3))
        store_at_random(m, ring[pick(made)].handle);
    while (made != 0)
        let_go(m, ring[--made]);
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

/* A tree that nobody else can have seen, filled with mid_init. */
static bool make_tree(struct mutator *m, unsigned depth, struct item *out)
{
    unsigned kind = depth == 0 ? any_kind() : any_kind_with_slots(), slot;
    if (!make(m, kind, is_variable(kind) ? 2 : 0, out))
        return false;
    unsigned count = depth == 0 ? 0 : slots_of(m, out->handle, 0, &slot);
    for (unsigned n = 0; n < count && n < 2; n++) {
        struct item child;
        slots_of(m, out->handle, n, &slot);
        if (make_tree(m, depth - 1, &child))
            mid_init(m->thread, out->handle, slot, child.handle);
    }
    return true;
}

static void transfer(struct mutator *m, unsigned to, mid_handle root)
{
    mid_status status = MID_OK;
    pthread_mutex_lock(&m->world->lock);
    if (m->world->attached[to] != NULL) {
        status = mid_transfer(m->thread, m->world->attached[to], root, one_in(2) ? 0 : 1 + pick(20));
        self->tally[T_TRANSFERRED]++;
    }
    pthread_mutex_unlock(&m->world->lock);
    if (status != MID_OK && status != MID_MORE)
        fail("mid_transfer returned %s", mid_status_name(status));
}

/* To a thread's own box; now and then of something that others have seen. */
void op_message(struct mutator *m)
{
    unsigned to = pick(many.threads);
    struct item item, *held = any_held(m);
    if (held != NULL && one_in(4))
        item = take_held(m, held);
    else if (!make_tree(m, pick(4), &item))
        return;
    transfer(m, to, item.handle);
    verify(m, item.handle, item.id);
    if (!post(m->world, to, item))
        hold(m, item.handle, item.id, item.mine);
}

/* --- private objects --------------------------------------------------------------------------------------------- */

static struct item *private_array(struct mutator *m)
{
    for (unsigned tries = 0; tries < 8 && m->held_count != 0; tries++) {
        struct item *item = any_held(m);
        if (item->mine && is_variable(kind_of(m, item->handle)))
            return item;
    }
    struct item item;
    unsigned kind = one_in(3) ? KIND_BYTES : one_in(3) ? KIND_FINAL_ARRAY : KIND_ARRAY;
    if (m->held_count == HELD_MAX || !make(m, kind, pick(8), &item))
        return NULL;
    hold(m, item.handle, item.id, true);
    return &m->held[m->held_count - 1];
}

static uint32_t any_new_size(void)
{
    return one_in(500) ? pick(300000) : one_in(20) ? pick(12000) : pick(40);
}

static void fill(struct mutator *m, struct item *array)
{
    unsigned slot;
    struct item *value = any_held(m);
    if (!any_slot(m, array->handle, &slot))
        return;
    mid_handle old = mid_peek(m->thread, array->handle, slot);
    if (old != 0 && !mid_is_int(old))
        verify(m, old, 0);
    if (value == array || one_in(4)) {
        mid_give(m->thread, array->handle, slot, mid_from_int((int32_t)pick(100)));
        return;
    }
    value->mine = false;
    if (old == 0)
        mid_init(m->thread, array->handle, slot, mid_retain(m->thread, value->handle));
    else
        mid_store(m->thread, array->handle, slot, value->handle);
}

void op_private(struct mutator *m)
{
    struct item *array = private_array(m);
    if (array == NULL)
        return;
    if (one_in(3))
        resize(m, array, any_new_size());
    else
        fill(m, array);
}

/* More counts than an owner's part of the count word has room for. */
void op_flood(struct mutator *m)
{
    struct item *held = any_held(m);
    if (held == NULL)
        return;
    struct item item = *held;
    uint32_t n = (1u << 20) + pick(1u << 12), count;
    held->mine = false;
    for (uint32_t i = 0; i < n; i++)
        mid_retain(m->thread, item.handle);
    verify(m, item.handle, item.id);
    if (mid_count_of(m->thread, item.handle, &count) != MID_OK || count <= n)
        fail("object %u was retained %u times, and its count is %u", item.id, n, count);
    for (uint32_t i = 0; i < n; i++)
        mid_release(m->thread, item.handle);
    verify(m, item.handle, item.id);
}

/* --- weak handles ------------------------------------------------------------------------------------------------ */

static void weak_drop(struct mutator *m, mid_weak weak)
{
    mid_status status = weak.generation == 0 ? MID_OK : mid_weak_drop(m->thread, weak);
    if (status != MID_OK)
        fail("mid_weak_drop returned %s", mid_status_name(status));
}

static mid_weak weak_exchange(struct world *world, unsigned n, mid_weak weak, uint32_t id)
{
    pthread_mutex_lock(&world->lock);
    mid_weak old = world->weaks[n].weak;
    world->weaks[n].weak = weak;
    world->weaks[n].id = id;
    pthread_mutex_unlock(&world->lock);
    return old;
}

/* Among the first half of all, or the second, which webs have to themselves. */
static void weak_to(struct mutator *m, struct item *item, bool web)
{
    mid_weak weak;
    mid_status status = mid_weak_new(m->thread, item->handle, &weak);
    if (status == MID_ENOMEM || status == MID_ELIMIT)
        return;
    if (status != MID_OK)
        fail("mid_weak_new of object %u returned %s", item->id, mid_status_name(status));
    item->mine = false;
    weak_drop(m, weak_exchange(m->world, WEAKS / 2 * web + pick(WEAKS / 2), weak, item->id));
}

void op_weak_new(struct mutator *m)
{
    struct item *item = any_held(m);
    if (item != NULL)
        weak_to(m, item, false);
}

/* Much garbage at once, which a walk does not see to its end, so that sweeps find it and trials prove it. Weak handles lead into
 * it, and what they find there is held, moved or linked like anything else. */
void op_web(struct mutator *m)
{
    struct item first, last, next;
    unsigned n = 50 + pick(500), slot;
    if (!make(m, KIND_NODE, 0, &first))
        return;
    last = first;
    mid_retain(m->thread, last.handle);
    while (n-- != 0) {
        unsigned kind = one_in(100) ? KIND_FINAL : one_in(8) ? any_kind_with_slots() : KIND_NODE;
        if (!make(m, kind, is_variable(kind) ? 2 + pick(4) : 0, &next))
            break;
        slots_of(m, next.handle, 0, &slot);
        mid_init(m->thread, next.handle, slot, last.handle);
        if (slots_of(m, next.handle, 1, &slot) > 1)
            mid_init(m->thread, next.handle, slot, mid_retain(m->thread, first.handle));
        last = next;
        if (one_in(40))
            weak_to(m, &last, true);
    }
    slots_of(m, first.handle, 0, &slot);
    mid_store(m->thread, first.handle, slot, last.handle);
    mid_release(m->thread, first.handle);
    let_go(m, last);
}

/* The weak handle may be dropped, its object die, and the name of either be used again, while we ask. */
void op_weak_get(struct mutator *m)
{
    unsigned n = pick(WEAKS);
    pthread_mutex_lock(&m->world->lock);
    mid_weak weak = m->world->weaks[n].weak;
    uint32_t id = m->world->weaks[n].id;
    pthread_mutex_unlock(&m->world->lock);
    mid_handle object = mid_weak_get(m->thread, weak);
    if (object == 0)
        return;
    verify(m, object, id);
    self->tally[T_WEAK_HITS]++;
    hold(m, object, id, false);
}

void op_weak_drop(struct mutator *m)
{
    weak_drop(m, weak_exchange(m->world, pick(WEAKS), (mid_weak){0, 0}, 0));
}

/* --- finalizers -------------------------------------------------------------------------------------------------- */

static void outlive(struct mutator *m, mid_handle object, uint32_t id)
{
    if (one_in(2)) {
        store_at_random(m, object);
        return;
    }
    struct item item = {mid_retain(m->thread, object), id, false};
    if (!post(m->world, THREADS_MAX, item))
        mid_release(m->thread, item.handle);
}

/* What the thread holds is not touched here: the operation that we are inside of is looking at it. */
void on_finalize(mid_thread *thread, mid_handle object)
{
    struct mutator *m = mutator_of(thread);
    mid_thread *before = m->thread;
    struct item item;
    m->thread = thread; /* a thread that ends has none by then */
    self->depth++;
    self->tally[T_FINALIZED]++;
    uint32_t id = verify(m, object, 0);
    struct life *life = life_of(m, object);
    if (atomic_fetch_add_explicit(&life->finalized, 1, memory_order_relaxed) != 0)
        fail("the finalizer of object %u runs again", id);
    if (!atomic_load_explicit(&many.closing, memory_order_relaxed) && self->depth < 3) {
        if (one_in(8) && mid_collect(thread, NULL) != MID_EBUSY)
            fail("mid_collect in a finalizer is not refused");
        if (one_in(4) && make(m, KIND_NODE, 0, &item))
            mid_release(thread, item.handle);
        if (one_in(4)) {
            self->tally[T_RESURRECTED]++;
            outlive(m, object, id);
        }
    }
    self->depth--;
    m->thread = before;
}
