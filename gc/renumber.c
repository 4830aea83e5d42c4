/* gc/renumber.c: an object gets another number, if everybody who refers to it is known: what was read is looked at again, in the
 * stop, and must be as much as the object has counts. */
#include "gc/deep.h"

#include "gc/count.h"
#include "gc/refs.h"

#define OLD_MOST 1024u   /* so it does if more of them are found out of date */
#define TRACED_MOST 8192u /* bytes; each slot takes a call of the trace function: what a larger object refers to keeps its number */
#define LINKS_FETCHED 2u

typedef struct sought {
    mid_visitor base;
    const mid_slot *slot;
    bool found;
} sought;

static void look_for(mid_visitor *visitor, const mid_slot *slot)
{
    sought *s = (sought *)visitor;
    s->found |= slot == s->slot;
}

static bool is_slot(mid_heap *heap, const mid_type_info *type, char *object, uint32_t number)
{
    size_t size = mid_object_size(type, object), from = type->size / sizeof(mid_slot);
    if (number >= size / sizeof(mid_slot))
        return false;
    if (type->items_are_refs && number >= from)
        return true;
    if (type->slots == NULL && number - type->first_slot < type->slot_count)
        return true;
    for (uint32_t i = 0; type->slots != NULL && i < type->slot_count; i++)
        if (type->slots[i] == number)
            return true;
    if (type->trace == NULL)
        return false;
    sought s = {{look_for}, (mid_slot *)object + number, false};
    mid_callback frame;
    mid_callback_begin(&frame, heap);
    type->trace(object, &s.base);
    mid_callback_end(&frame);
    return s.found;
}

/* The slot of a link, if the reference is there still. */
static mid_slot *holds(const mid_deep *d, const mid_link *link, mid_handle value)
{
    if (link->slot == MID_LINK_NEVER)
        return NULL;
    const mid_entry *entry = &d->heap->table[mid_deep_now(d, link->holder)];
    if (!mid_entry_live(entry) || mid_frozen(entry->count)) /* nobody writes to what is frozen */
        return NULL;
    const mid_type_info *type = mid_type_of_entry(d->heap, entry);
    char *object = mid_address(entry);
    if (mid_keeps_number(type, link->slot) || (type->trace != NULL && mid_object_size(type, object) > TRACED_MOST) ||
        !is_slot(d->heap, type, object, link->slot))
        return NULL;
    mid_slot *slot = (mid_slot *)object + link->slot;
    return slot->bits_ == value ? slot : NULL;
}

/* A suspect is on a list, by its number; or, where nobody keeps such lists, it is only marked. */
static bool listed(const mid_heap *heap, const mid_entry *entry)
{
    bool suspect = (entry->count & MID_SUSPECT_) || (entry->shared & MID_SHARED_SUSPECT_);
    return suspect && !heap->unlisted && (MID_READ_(heap->logging) || heap->proposer != NULL) && mid_type_of_entry(heap, entry)->cyclic;
}

/* All that refer to what has this index; false: there may be others. */
static bool known(const mid_deep *d, uint32_t index, mid_referrers *r)
{
    mid_heap *heap = d->heap;
    const mid_entry *entry = &heap->table[index];
    r->count = 0;
    if (index >= d->end || !mid_entry_live(entry) || mid_immortal(entry) || (entry->word & MID_F_PINNED) || listed(heap, entry))
        return false;
    int64_t total = mid_total(entry);
    if (total > MID_REFERRERS_MOST)
        return false;
    uint32_t old = 0;
    for (uint32_t n = *mid_deep_cell(&d->first, mid_deep_was(d, index)); n != 0; n = mid_link_at(d, n)->next) {
        mid_slot *slot = holds(d, mid_link_at(d, n), index * 2);
        if (slot == NULL && ++old <= OLD_MOST)
            continue;
        if (slot == NULL || r->count == total)
            return false;
        r->slots[r->count++] = slot;
    }
    return r->count == total;
}

static void rewrite(const mid_referrers *r, mid_handle value)
{
    for (uint32_t i = 0; i < r->count; i++)
        MID_WRITE_(r->slots[i]->bits_, value);
}

static void exchanged(mid_deep *d, uint32_t a, uint32_t b)
{
    uint32_t was_a = mid_deep_was(d, a), was_b = mid_deep_was(d, b);
    *mid_deep_cell(&d->was, a) = was_b;
    *mid_deep_cell(&d->was, b) = was_a;
    *mid_deep_cell(&d->now, was_a) = b;
    *mid_deep_cell(&d->now, was_b) = a;
}

/* What has the index `from` gets `to`, whose own goes there. False: who has `to` stays (`taken`), or `from` does. */
bool mid_rename_to(mid_deep *d, uint32_t from, uint32_t to, bool *taken)
{
    mid_referrers *one = &d->one, *other = &d->other;
    mid_heap *heap = d->heap;
    other->count = 0;
    bool empty = mid_vacant(&heap->table[to]);
    *taken = !empty && !known(d, to, other);
    if (*taken || !known(d, from, one))
        return false;
    rewrite(one, to * 2);
    rewrite(other, from * 2);
    mid_exchange(heap, from * 2, to * 2);
    exchanged(d, from, to);
    if (empty && mid_table_block_end(heap, from) != d->claimed)
        mid_entry_give(heap, from * 2);
    d->renamed++;
    return true;
}

/* What will be asked about an index soon is fetched in stages, each of which needs what the one before has brought: its first link's
 * place, the link, who holds, the slot. */
void mid_deep_fetch(const mid_deep *d, uint32_t index, unsigned stage)
{
    if (index >= d->end)
        return;
    const uint32_t *first = mid_deep_cell(&d->first, mid_deep_was(d, index));
    __builtin_prefetch(first);
    if (stage == 0)
        return;
    const mid_link *link = mid_link_at(d, *first);
    for (unsigned n = 0; n < LINKS_FETCHED && link != mid_link_at(d, 0); n++, link = mid_link_at(d, link->next)) {
        __builtin_prefetch(link);
        if (stage == 1)
            return;
        const mid_entry *holder = &d->heap->table[mid_deep_now(d, link->holder)];
        __builtin_prefetch(holder);
        if (stage == 3 && link->slot != MID_LINK_NEVER && mid_entry_live(holder))
            __builtin_prefetch((mid_slot *)mid_address(holder) + link->slot, 1);
    }
}
