/* gc/links.c: of every object who refers to it, read as the sweeps read (racing.h). */
#include "gc/deep.h"

#include "gc/racing.h"

#define CLOCK_EVERY 64u
#define AHEAD 8u

bool mid_deep_room(mid_deep *d, mid_array *array, size_t bytes)
{
    mid_lock(d->heap);
    d->status = mid_array_grow(&d->heap->alloc, array, bytes);
    mid_unlock(d->heap);
    return d->status == MID_OK;
}

static bool attach(mid_deep *d, const mid_link *late)
{
    uint32_t *first = mid_deep_cell(&d->first, late->next);
    if (d->link_count == UINT32_MAX)
        d->status = MID_ELIMIT;
    else if (((size_t)d->link_count + 1) * sizeof(mid_link) > d->links.bytes)
        mid_deep_room(d, &d->links, ((size_t)d->link_count + 1) * sizeof(mid_link));
    if (d->status != MID_OK)
        return false;
    *mid_link_at(d, d->link_count) = (mid_link){late->holder, late->slot, *first};
    *first = d->link_count++;
    return true;
}

/* First the cell is fetched, and a few links later written to. Between two pieces of its items the object may have become another,
 * whose items begin elsewhere. */
static bool link_one(void *context, mid_handle value, uint32_t slot)
{
    mid_deep *d = context;
    if (d->item != 0 && slot <= d->last)
        return true;
    d->last = d->last > slot ? d->last : slot;
    mid_link *late = &d->late[d->late_in++ % MID_LINKS_AHEAD];
    bool go_on = late->next == 0 || attach(d, late);
    late->next = 0;
    if (value / 2 >= d->end || value / 2 < d->heap->first_index)
        return go_on;
    *late = (mid_link){d->at, mid_keeps_number(d->type, slot) ? MID_LINK_NEVER : slot, value / 2};
    __builtin_prefetch(mid_deep_cell(&d->first, value / 2), 1);
    return go_on;
}

void mid_link_flush(mid_deep *d)
{
    for (unsigned i = 0; i < MID_LINKS_AHEAD; i++) {
        if (d->late[i].next != 0 && d->status == MID_OK)
            attach(d, &d->late[i]);
        d->late[i].next = 0;
    }
}

/* Of the object in hand, a piece at a time. False: the clock, or no memory. */
static bool read_one(mid_deep *d, bool still, uint64_t deadline)
{
    mid_heap *heap = d->heap;
    const mid_type_info *type = mid_racing_type(heap, MID_READ_(heap->table[d->at].word));
    d->type = type != NULL ? type : mid_type_at(heap, 0);
    d->last = d->item == 0 ? 0 : d->last;
    mid_racing state;
    while ((state = mid_racing_piece(heap, d->at, still, &d->item, link_one, d)) == MID_RACING_MORE)
        if (deadline != 0 && mid_clock_micros() >= deadline)
            return false;
    if (state == MID_RACING_NOT_NOW && d->item == 0) { /* or part of what was there has been read */
        d->status = mid_list_room(heap, &d->later, 1);
        if (d->status == MID_OK)
            *mid_list_at(&d->later, d->later.count++) = d->at;
    }
    d->item = 0;
    return d->status == MID_OK;
}

bool mid_links_read(mid_deep *d, bool still, uint64_t deadline)
{
    for (uint32_t n = 1; d->at < d->end; d->at++, n++) {
        if (d->at + AHEAD < d->end)
            __builtin_prefetch(mid_address(&d->heap->table[d->at + AHEAD]));
        if (!read_one(d, still, deadline))
            return false;
        if (n % CLOCK_EVERY == 0 && deadline != 0 && mid_clock_micros() >= deadline) {
            d->at++;
            return d->at == d->end;
        }
    }
    return true;
}

bool mid_links_read_still(mid_deep *d, uint64_t deadline)
{
    while (d->later.count != 0) {
        d->at = *mid_list_at(&d->later, d->later.count - 1);
        if (!read_one(d, true, deadline))
            return false;
        d->later.count--;
        if (deadline != 0 && mid_clock_micros() >= deadline)
            return d->later.count == 0;
    }
    return true;
}
