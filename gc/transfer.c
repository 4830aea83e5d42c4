/* gc/transfer.c: another owner for what one thread alone knows, for message passing.
 *
 * The owner of an object that no other thread can have seen (`shared` is MID_LIVE_ and nothing else) writes the new owner's
 * number into its count. The new owner finds the handle later, by a way that orders memory; a load of its own that raced with
 * this by an old reading reads its slot again (mid_load). Marking and walking are one: what has the new owner was seen. */
#include "gc/count.h"
#include "gc/refs.h"

#define WAY_KEPT MID_PAGE /* for the next message: to map it anew each time took 20 times as long as the transfer */
#define CLOCK_EVERY 32u
#define PIECE 32u /* of an array's items, for one look at the clock in so many */

typedef struct transfer {
    mid_impl *me;
    uint32_t bias; /* of the new owner */
    size_t height; /* of me->way: handles whose references are still to be followed */
    uint64_t deadline;
    unsigned calls;
    bool stopped;  /* it is over */
    bool dropped;  /* there was no room for part of the way */
    mid_part part; /* once it has looked at the clock */
} transfer;

/* Acquire: others may have counted it, and let go. */
static bool hand_over(transfer *t, mid_handle value)
{
    mid_entry *entry = mid_entry_at(t->me->heap, value);
    uint32_t count = MID_READ_(entry->count);
    if ((mid_mine_(&t->me->pub, count)) >= MID_LOCAL_ || __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE) != MID_LIVE_)
        return false;
    __atomic_store_n(&entry->count, (mid_mine_(&t->me->pub, count)) | t->bias, __ATOMIC_RELEASE);
    return true;
}

static bool room(transfer *t)
{
    size_t need = (t->height + 1) * sizeof(mid_handle);
    if (need <= t->me->way.bytes)
        return true;
    mid_lock(t->me->heap);
    mid_status status = mid_array_grow(&t->me->heap->alloc, &t->me->way, need);
    mid_unlock(t->me->heap);
    t->dropped |= status != MID_OK;
    return status == MID_OK;
}

/* An object is handed over when it is put on the way; what finds no room stays, with all that is only behind it. */
static void go(transfer *t, mid_handle value)
{
    if (room(t) && hand_over(t, value))
        ((mid_handle *)t->me->way.data)[t->height++] = value;
}

static void consider(transfer *t, const mid_slot *slot)
{
    mid_handle value = MID_READ_(slot->bits_);
    if (mid_is_object_(value))
        go(t, value);
}

/* Is there time left? The clock is read every so many calls. */
static bool in_time(transfer *t)
{
    if (++t->calls % CLOCK_EVERY != 0)
        return !t->stopped;
    if (t->calls == CLOCK_EVERY)
        t->part = mid_pause_begin(t->me, MID_PAUSE_TRANSFER);
    if (t->deadline != 0 && mid_clock_micros() >= t->deadline)
        t->stopped = true;
    return !t->stopped;
}

/* Declared slots and items; what a trace function would name stays, for it runs only while the world is stopped. */
static void follow_one(transfer *t, const mid_type_info *type, void *object)
{
    mid_slot *slots = object;
    for (uint32_t i = 0; i < type->slot_count; i++)
        consider(t, slots + (type->slots == NULL ? type->first_slot + i : type->slots[i]));
    mid_slot *items = mid_item_slots(type, object);
    uint32_t count = type->items_are_refs ? mid_items(type, object) : 0;
    for (uint32_t i = 0; i < count && (i % PIECE != 0 || in_time(t)); i++)
        consider(t, items + i);
}

static void follow(transfer *t)
{
    mid_heap *heap = t->me->heap;
    while (t->height != 0 && in_time(t)) {
        mid_entry *entry = mid_entry_at(heap, ((mid_handle *)t->me->way.data)[--t->height]);
        follow_one(t, mid_type_of_entry(heap, entry), mid_address(entry));
    }
}

static mid_status check(mid_thread *thread, mid_thread *to, mid_handle root)
{
    if (thread == NULL || to == NULL)
        return MID_ENULL;
    mid_status status;
    if (mid_checked(thread, root, &status) == NULL)
        return status;
    const mid_impl *receiver = mid_impl_of(to);
    bool fits = receiver->heap == mid_impl_of(thread)->heap && __atomic_load_n(&receiver->attached, __ATOMIC_ACQUIRE);
    return fits ? MID_OK : MID_ETHREAD;
}

mid_status mid_transfer(mid_thread *thread, mid_thread *to, mid_handle root, uint64_t budget_micros)
{
    mid_status status = check(thread, to, root);
    if (status != MID_OK || thread == to)
        return status;
    transfer t = {.me = mid_impl_of(thread), .bias = (uint32_t)to->bias};
    uint64_t now = mid_clock_micros();
    t.deadline = budget_micros == 0 || budget_micros > UINT64_MAX - now ? 0 : now + budget_micros;
    go(&t, root);
    follow(&t);
    if (t.me->way.bytes > WAY_KEPT) {
        mid_lock(t.me->heap);
        mid_array_free(&t.me->heap->alloc, &t.me->way);
        mid_unlock(t.me->heap);
    }
    mid_pause_end(&t.part);
    return t.dropped || t.stopped ? MID_MORE : MID_OK;
}
