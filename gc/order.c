/* gc/order.c: the order in which a program walks its objects, as far as anybody can tell: from what is held from outside, depth
 * or breadth first; what that does not reach comes last.
 *
 * Depth first, an object is followed by all that its first reference reaches, and so on, so that a list lies as it is linked, and
 * a tree as it is descended. A large array is taken up a thousand items at a time, or its items would all wait on the stack. */
#include "gc/deep.h"

#include "gc/count.h"
#include "gc/racing.h"

#define CLOCK_EVERY 32u
#define LINKS_LOOKED_AT 16u

static bool seen(const mid_deep *d, uint32_t index)
{
    return ((const uint64_t *)d->seen.data)[index / 64] >> (index % 64) & 1;
}

static void mark(mid_deep *d, uint32_t index)
{
    ((uint64_t *)d->seen.data)[index / 64] |= (uint64_t)1 << (index % 64);
}

static bool put(mid_deep *d, mid_list *list, uint32_t word)
{
    if (((size_t)list->count + 1) * sizeof(uint32_t) > list->memory.bytes)
        d->status = mid_list_room(d->heap, list, 1);
    if (d->status != MID_OK)
        return false;
    *mid_list_at(list, list->count++) = word;
    return true;
}

static bool push(mid_deep *d, uint32_t index, uint32_t item)
{
    return put(d, &d->stack, index) && put(d, &d->stack, item);
}

static bool push_one(void *context, mid_handle value, uint32_t slot)
{
    mid_deep *d = context;
    (void)slot;
    if (value / 2 >= d->end || value / 2 < d->heap->first_index || seen(d, value / 2))
        return true;
    __builtin_prefetch(&d->heap->table[value / 2]);
    return push(d, value / 2, 0);
}

/* The last pushed would come first. */
static void reverse(mid_deep *d, uint32_t from)
{
    for (uint32_t lo = from, hi = d->stack.count - 2; d->stack.count - from > 2 && lo < hi; lo += 2, hi -= 2)
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t kept = *mid_list_at(&d->stack, lo + i);
            *mid_list_at(&d->stack, lo + i) = *mid_list_at(&d->stack, hi + i);
            *mid_list_at(&d->stack, hi + i) = kept;
        }
}

static bool descend(mid_deep *d, bool still)
{
    uint32_t item = *mid_list_at(&d->stack, d->stack.count - 1), index = *mid_list_at(&d->stack, d->stack.count - 2);
    if (item == 0 && seen(d, index)) {
        d->stack.count -= 2;
        return true;
    }
    if (item == 0 && mid_entry_live(&d->heap->table[index])) {
        mark(d, index);
        if (!put(d, &d->sequence, index))
            return false;
    }
    uint32_t top = d->stack.count;
    mid_racing state = mid_racing_piece(d->heap, index, still, &item, push_one, d);
    if (state == MID_RACING_MORE) { /* it stays, below its items */
        *mid_list_at(&d->stack, top - 1) = item;
        reverse(d, top);
    } else { /* the last of them is to be where it was */
        d->stack.count -= 2;
        for (uint32_t i = top - 2; i < d->stack.count; i++)
            *mid_list_at(&d->stack, i) = *mid_list_at(&d->stack, i + 2);
        reverse(d, top - 2);
    }
    return d->status == MID_OK;
}

static bool queue_one(void *context, mid_handle value, uint32_t slot)
{
    mid_deep *d = context;
    (void)slot;
    if (value / 2 >= d->end || value / 2 < d->heap->first_index || seen(d, value / 2))
        return true;
    mark(d, value / 2);
    return put(d, &d->sequence, value / 2);
}

static bool advance(mid_deep *d, bool still)
{
    uint32_t index = *mid_list_at(&d->sequence, d->head);
    if (mid_racing_piece(d->heap, index, still, &d->item, queue_one, d) != MID_RACING_MORE) {
        d->head++;
        d->item = 0;
    }
    return d->status == MID_OK;
}

/* More counts than links: somebody outside holds it. What has many links is taken for none; it is reached by them. */
static bool is_root(const mid_deep *d, uint32_t index)
{
    const mid_entry *entry = &d->heap->table[index];
    if (mid_immortal(entry))
        return true;
    int64_t links = 0;
    for (uint32_t n = *mid_deep_cell(&d->first, index); n != 0 && links < LINKS_LOOKED_AT; n = mid_link_at(d, n)->next)
        links++;
    return links < LINKS_LOOKED_AT && mid_total(entry) > links;
}

static bool begin_next(mid_deep *d)
{
    uint32_t index = d->at++;
    if (seen(d, index) || !mid_entry_live(&d->heap->table[index]) || (!d->roots_done && !is_root(d, index)))
        return true;
    if (d->order == MID_DEEP_DEPTH)
        return push(d, index, 0);
    return queue_one(d, index * 2, 0);
}

bool mid_order_find(mid_deep *d, bool still, uint64_t deadline)
{
    for (uint32_t n = 1; d->status == MID_OK; n++) {
        if (d->stack.count != 0)
            descend(d, still);
        else if (d->order == MID_DEEP_BREADTH && d->head < d->sequence.count)
            advance(d, still);
        else if (d->at < d->end)
            begin_next(d);
        else if (!d->roots_done) {
            d->roots_done = true;
            d->at = d->heap->first_index;
        } else
            return true;
        if (n % CLOCK_EVERY == 0 && deadline != 0 && mid_clock_micros() >= deadline)
            return false;
    }
    return false;
}
