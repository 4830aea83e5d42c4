/* tests/stress/threads/hold.c: what a thread holds outside the heap: handles, scopes, pins; and the mail, by which handles go
 * from thread to thread without the heap knowing. */
#include <string.h>

#include "threads.h"

void let_go(struct mutator *m, struct item item)
{
    verify(m, item.handle, item.id);
    mid_release(m->thread, item.handle);
}

void hold(struct mutator *m, mid_handle handle, uint32_t id, bool mine)
{
    struct item item = {handle, id, mine};
    if (m->held_count < HELD_MAX) {
        m->held[m->held_count++] = item;
        return;
    }
    unsigned n = pick(HELD_MAX);
    struct item old = m->held[n];
    m->held[n] = item;
    let_go(m, old);
}

void hold_if_object(struct mutator *m, mid_handle value)
{
    if (value != 0 && !mid_is_int(value))
        hold(m, value, verify(m, value, 0), false);
}

struct item *any_held(struct mutator *m)
{
    return m->held_count == 0 ? NULL : &m->held[pick(m->held_count)];
}

struct item take_held(struct mutator *m, struct item *item)
{
    struct item taken = *item;
    *item = m->held[--m->held_count];
    return taken;
}

void let_go_of_all(struct mutator *m)
{
    while (m->held_count != 0)
        let_go(m, take_held(m, &m->held[m->held_count - 1]));
}

/* --- mail -------------------------------------------------------------------------------------------------------- */

bool post(struct world *world, unsigned box, struct item item)
{
    pthread_mutex_lock(&world->lock);
    struct mailbox *b = &world->boxes[box];
    bool room = b->count < MAIL_MAX;
    if (room)
        b->items[b->count++] = item;
    pthread_mutex_unlock(&world->lock);
    return room;
}

bool fetch(struct world *world, unsigned box, struct item *out)
{
    pthread_mutex_lock(&world->lock);
    struct mailbox *b = &world->boxes[box];
    bool found = b->count != 0;
    if (found) {
        unsigned n = (unsigned)(self->rng >> 20) % b->count;
        *out = b->items[n];
        b->items[n] = b->items[--b->count];
    }
    pthread_mutex_unlock(&world->lock);
    return found;
}

static unsigned any_box(void)
{
    return one_in(2) ? THREADS_MAX : pick(many.threads);
}

void op_post(struct mutator *m)
{
    struct item *item = any_held(m);
    if (item == NULL)
        return;
    struct item taken = take_held(m, item);
    if (!post(m->world, any_box(), taken))
        hold(m, taken.handle, taken.id, taken.mine);
}

void op_fetch(struct mutator *m)
{
    struct item item;
    if (!fetch(m->world, self->number, &item) && !fetch(m->world, THREADS_MAX, &item))
        return;
    verify(m, item.handle, item.id);
    hold(m, item.handle, item.id, item.mine);
}

/* --- one object -------------------------------------------------------------------------------------------------- */

static uint32_t any_items(void)
{
    if (one_in(2000))
        return pick(400000); /* runs of pages, mappings */
    return one_in(60) ? pick(4000) : pick(12);
}

void op_make(struct mutator *m)
{
    struct item item;
    unsigned kind = any_kind();
    if (make(m, kind, is_variable(kind) ? any_items() : 0, &item))
        hold(m, item.handle, item.id, true);
}

void op_drop(struct mutator *m)
{
    struct item *item = any_held(m);
    if (item != NULL)
        let_go(m, take_held(m, item));
}

/* Counts taken by one thread and let go of by others: some are sent away. */
void op_burst(struct mutator *m)
{
    struct item *held = any_held(m);
    if (held == NULL)
        return;
    unsigned n = 1 + pick(12), sent = 0;
    struct item item = {held->handle, held->id, false};
    held->mine = false;
    for (unsigned i = 0; i < n; i++) {
        if (mid_retain(m->thread, item.handle) != item.handle)
            fail("mid_retain returned another handle");
    }
    while (sent < n && one_in(2) && post(m->world, any_box(), item))
        sent++;
    for (; sent < n; sent++)
        let_go(m, item);
}

void op_look(struct mutator *m)
{
    struct item *item = any_held(m);
    size_t bytes, items;
    uint32_t count;
    if (item == NULL)
        return;
    verify(m, item->handle, item->id);
    if (m->world->destroy && one_in(100)) {
        item->mine = false;
        if (mid_immortalize(m->thread, item->handle) != MID_OK)
            fail("object %u cannot be made immortal", item->id);
    }
    if (!mid_is_live(m->thread, item->handle) || mid_size_of(m->thread, item->handle, &bytes) != MID_OK || bytes < 12 ||
        mid_items_of(m->thread, item->handle, &items) != MID_OK || mid_count_of(m->thread, item->handle, &count) != MID_OK)
        fail("object %u is held, and a question about it is refused", item->id);
    if (item->mine && count != 1)
        fail("object %u has one reference, and its count is %u", item->id, count);
}

/* --- scopes ------------------------------------------------------------------------------------------------------ */

static void close_scope(struct mutator *m)
{
    struct open_scope *s = &m->scopes[m->scope_count - 1];
    struct item result = {0, 0, false};
    for (unsigned n = s->base; n < m->kept_count; n++)
        verify(m, m->kept[n].handle, m->kept[n].id);
    if (m->kept_count != 0 && one_in(2))
        result = m->kept[pick(m->kept_count)];
    if (mid_scope_close(m->thread, &s->scope, result.handle) != result.handle)
        fail("mid_scope_close returned another handle");
    m->kept_count = s->base;
    m->scope_count--;
    if (result.handle != 0)
        hold(m, result.handle, result.id, false);
}

void close_scopes(struct mutator *m, unsigned down_to)
{
    while (m->scope_count > down_to)
        close_scope(m);
}

void op_scope(struct mutator *m)
{
    if (m->scope_count < SCOPES_DEEP && (m->scope_count == 0 || one_in(6))) {
        struct open_scope *s = &m->scopes[m->scope_count];
        mid_status status = mid_scope_open(m->thread, &s->scope);
        if (status == MID_OK) {
            s->base = m->kept_count;
            m->scope_count++;
        } else if (status != MID_ENOMEM && status != MID_ELIMIT) {
            fail("mid_scope_open returned %s", mid_status_name(status));
        }
    } else if (m->kept_count == KEPT_MAX || m->held_count == 0 || one_in(8)) {
        close_scope(m);
    } else {
        struct item item = take_held(m, any_held(m));
        mid_handle kept = mid_keep(m->thread, item.handle);
        if (kept == item.handle)
            m->kept[m->kept_count++] = item;
        else if (kept != 0 || mid_thread_status(m->thread) == MID_EINVAL)
            fail("mid_keep returned %u for %u", kept, item.handle);
    }
}

/* --- pins -------------------------------------------------------------------------------------------------------- */

static void unpin(struct mutator *m, unsigned n)
{
    struct item item = m->pins[n].item;
    if (mid_get(m->thread, item.handle) != m->pins[n].address)
        fail("object %u moved while it was pinned", item.id);
    verify(m, item.handle, item.id);
    mid_status status = mid_unpin(m->thread, item.handle);
    if (status != MID_OK)
        fail("mid_unpin of object %u returned %s", item.id, mid_status_name(status));
    m->pins[n] = m->pins[--m->pin_count];
    let_go(m, item);
}

void unpin_all(struct mutator *m)
{
    while (m->pin_count != 0)
        unpin(m, m->pin_count - 1);
}

void op_pin(struct mutator *m)
{
    struct item *item = any_held(m);
    if (item == NULL || m->pin_count == PINS_MAX || (m->pin_count != 0 && one_in(2))) {
        if (m->pin_count != 0)
            unpin(m, pick(m->pin_count));
        return;
    }
    void *address;
    bool for_long = self->depth == 0 && one_in(2);
    mid_status status = for_long ? pin_long(m, item->handle, &address) : mid_pin(m->thread, item->handle, &address);
    if (status == MID_ENOMEM || status == MID_ELIMIT || (for_long && status == MID_EPOSTPONED))
        return;
    if (status != MID_OK)
        fail("mid_pin of object %u returned %s", item->id, mid_status_name(status));
    item->mine = false;
    m->pins[m->pin_count].item = (struct item){mid_retain(m->thread, item->handle), item->id, false};
    m->pins[m->pin_count++].address = address;
}
