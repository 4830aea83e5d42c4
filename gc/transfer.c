/* gc/transfer.c: another owner for what one thread alone knows, for message passing.
 *
 * The owner of an object that no other thread can have seen (`shared` is MID_LIVE_ and nothing else) writes the new owner's
 * number into its count. The new owner finds the handle later, by a way that orders memory; a load of its own that raced with
 * this by an old reading reads its slot again (mid_load). Marking and walking are one: what has the new owner was seen. */
#include "gc/count.h"
#include "gc/refs.h"

#define CLOCK_EVERY 32u

typedef struct transfer {
    mid_impl *me;
    uint32_t bias; /* of the new owner */
    mid_array way; /* handles whose references are still to be followed, ... */
    size_t height; /* ... and how many */
    bool dropped;  /* there was no room for part of the way */
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
    if (need <= t->way.bytes)
        return true;
    mid_lock(t->me->heap);
    mid_status status = mid_array_grow(&t->me->heap->alloc, &t->way, need);
    mid_unlock(t->me->heap);
    t->dropped |= status != MID_OK;
    return status == MID_OK;
}

/* An object is handed over when it is put on the way; what finds no room stays, with all that is only behind it. */
static void go(transfer *t, mid_handle value)
{
    if (room(t) && hand_over(t, value))
        ((mid_handle *)t->way.data)[t->height++] = value;
}

static void consider(void *context, mid_slot *slot)
{
    mid_handle value = MID_READ_(slot->bits_);
    if (mid_is_object_(value))
        go(context, value);
}

static void follow(transfer *t, uint64_t deadline)
{
    mid_heap *heap = t->me->heap;
    for (unsigned n = 1; t->height != 0; n++) {
        mid_entry *entry = mid_entry_at(heap, ((mid_handle *)t->way.data)[--t->height]);
        mid_refs(heap, mid_type_of_entry(heap, entry), mid_address(entry), consider, t);
        if (deadline != 0 && n % CLOCK_EVERY == 0 && mid_clock_micros() >= deadline)
            return;
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
    uint64_t deadline = budget_micros == 0 ? 0 : mid_clock_micros() + budget_micros;
    go(&t, root);
    follow(&t, deadline);
    mid_lock(t.me->heap);
    mid_array_free(&t.me->heap->alloc, &t.way);
    mid_unlock(t.me->heap);
    return t.dropped || t.height != 0 ? MID_MORE : MID_OK;
}
