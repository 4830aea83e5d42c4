/* gc/deep.c: deep compaction, slice by slice. See deep.h.
 *
 * The order of the table: what has the highest number gets the lowest free one, until they meet. The order of a walk: the next object
 * in it gets the next number, and, if it is small, the next slot of its class; who is there goes where that object was. What
 * cannot have another number stays, and numbers that others cannot give up are passed over. */
#include "gc/deep.h"

#include <string.h>

#include "gc/count.h"
#include "gc/propose.h"
#include "gc/refs.h"

#define CLOCK_EVERY 16u
#define LINKS_MOST 1024u /* an object with more keeps its number: what is done at once is bounded */
#define SMALL 512u       /* larger objects lie where they are: the next one is another cache line anyway */
#define STAGES 4u        /* of prefetching, so many objects apart: */
#define AHEAD 5u
#define LINKS_FETCHED 2u

/* --- who refers to it ------------------------------------------------------------------------------------------------------ */

static uint32_t now(const mid_deep *d, uint32_t index)
{
    uint32_t at = *mid_deep_cell(&d->now, index);
    return at == 0 ? index : at;
}

static uint32_t was(const mid_deep *d, uint32_t index)
{
    uint32_t at = *mid_deep_cell(&d->was, index);
    return at == 0 ? index : at;
}

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
    const mid_entry *entry = &d->heap->table[now(d, link->holder)];
    if (!mid_entry_live(entry))
        return NULL;
    const mid_type_info *type = mid_type_of_entry(d->heap, entry);
    char *object = mid_address(entry);
    if (type->identity || !is_slot(d->heap, type, object, link->slot))
        return NULL;
    mid_slot *slot = (mid_slot *)object + link->slot;
    return slot->bits_ == value ? slot : NULL;
}

typedef struct referrers {
    mid_slot *slots[LINKS_MOST];
    uint32_t count;
} referrers;

/* A suspect is on a list, by its number; or, where nobody keeps such lists, it is only marked. */
static bool listed(const mid_heap *heap, const mid_entry *entry)
{
    bool suspect = (entry->count & MID_SUSPECT_) || (entry->shared & MID_SHARED_SUSPECT_);
    return suspect && (MID_READ_(heap->logging) || heap->proposer != NULL) && mid_type_of_entry(heap, entry)->cyclic;
}

/* All that refer to what has this index; false: there may be others. */
static bool known(const mid_deep *d, uint32_t index, referrers *r)
{
    mid_heap *heap = d->heap;
    const mid_entry *entry = &heap->table[index];
    r->count = 0;
    if (index >= d->end || !mid_entry_live(entry) || mid_immortal(entry) || (entry->word & MID_F_PINNED) || listed(heap, entry))
        return false;
    int64_t total = mid_total(entry);
    if (total > LINKS_MOST)
        return false;
    for (uint32_t n = *mid_deep_cell(&d->first, was(d, index)); n != 0; n = mid_link_at(d, n)->next) {
        mid_slot *slot = holds(d, mid_link_at(d, n), index * 2);
        if (slot == NULL)
            continue;
        if (r->count == total)
            return false;
        r->slots[r->count++] = slot;
    }
    return r->count == total;
}

static void rewrite(const referrers *r, mid_handle value)
{
    for (uint32_t i = 0; i < r->count; i++)
        MID_WRITE_(r->slots[i]->bits_, value);
}

/* --- numbers --------------------------------------------------------------------------------------------------------------- */

static bool vacant(const mid_entry *entry)
{
    return entry->count == 0 && entry->word == 0;
}

static void exchanged(mid_deep *d, uint32_t a, uint32_t b)
{
    uint32_t was_a = was(d, a), was_b = was(d, b);
    *mid_deep_cell(&d->was, a) = was_b;
    *mid_deep_cell(&d->was, b) = was_a;
    *mid_deep_cell(&d->now, was_a) = b;
    *mid_deep_cell(&d->now, was_b) = a;
}

/* What has the index `from` gets `to`, whose own goes there. False: it stays, or (`taken`) who has `to` does. */
static bool rename_to(mid_deep *d, uint32_t from, uint32_t to, bool *taken)
{
    static __thread referrers one, other;
    mid_heap *heap = d->heap;
    *taken = false;
    if (!known(d, from, &one))
        return false;
    other.count = 0;
    bool empty = vacant(&heap->table[to]);
    if (!empty && !known(d, to, &other)) {
        *taken = true;
        return false;
    }
    rewrite(&one, to * 2);
    rewrite(&other, from * 2);
    mid_exchange(heap, from * 2, to * 2);
    exchanged(d, from, to);
    if (empty && mid_table_block_end(heap, from) != d->claimed)
        mid_entry_give(heap, from * 2);
    d->renamed++;
    return true;
}

/* The free entries of one block at a time are ours. */
static void settle(mid_deep *d)
{
    if (d->claimed != 0)
        mid_table_settle(d->heap, d->claimed - 1, d->claimed_used);
    d->claimed = 0;
}

/* The next index from `to` on in a block with memory behind it, which is then claimed. */
static bool advance(mid_deep *d)
{
    while (d->to < d->end) {
        if (d->to < d->claimed)
            return true;
        settle(d);
        uint32_t end = mid_table_block_end(d->heap, d->to);
        if (end != 0) {
            d->claimed_used = mid_table_claim(d->heap, d->to);
            d->claimed = end;
            return true;
        }
        d->to = (d->to / 4096 + 1) * 4096;
    }
    return false;
}

/* --- the order of the table ------------------------------------------------------------------------------------------------ */

/* What will be asked about an index soon is fetched in stages, each of which needs what the one before has brought: its first link's
 * place, the link, who holds, the slot. */
static void fetch(const mid_deep *d, uint32_t index, unsigned stage)
{
    if (index >= d->end)
        return;
    const uint32_t *first = mid_deep_cell(&d->first, was(d, index));
    __builtin_prefetch(first);
    if (stage == 0)
        return;
    const mid_link *link = mid_link_at(d, *first);
    for (unsigned n = 0; n < LINKS_FETCHED && link != mid_link_at(d, 0); n++, link = mid_link_at(d, link->next)) {
        __builtin_prefetch(link);
        if (stage == 1)
            return;
        const mid_entry *holder = &d->heap->table[now(d, link->holder)];
        __builtin_prefetch(holder);
        if (stage == 3 && link->slot != MID_LINK_NEVER && mid_entry_live(holder))
            __builtin_prefetch((mid_slot *)mid_address(holder) + link->slot, 1);
    }
}

static bool pack(mid_deep *d, uint64_t deadline)
{
    const mid_entry *table = d->heap->table;
    bool taken;
    for (uint32_t n = 1; advance(d); n++) {
        if (n % CLOCK_EVERY == 0 && deadline != 0 && mid_clock_micros() >= deadline)
            return false;
        while (d->to < d->claimed && !vacant(&table[d->to]))
            d->to++;
        if (d->to >= d->claimed)
            continue;
        while (d->from > d->to && !mid_entry_live(&table[d->from - 1]))
            d->from--;
        if (d->from <= d->to)
            return true;
        for (unsigned stage = 0; d->from > STAGES * AHEAD && stage < STAGES; stage++)
            fetch(d, d->from - (STAGES - stage) * AHEAD, stage);
        d->to += rename_to(d, --d->from, d->to, &taken);
    }
    return true;
}

/* --- the order of a walk --------------------------------------------------------------------------------------------------- */

/* The next slot of a class with an object that can be moved. */
static mid_pool *next_slot(mid_deep *d, unsigned size_class)
{
    mid_alloc *a = &d->heap->alloc;
    struct mid_deep_cursor *c = &d->cursors[size_class];
    for (; c->arena < a->arena_count; c->arena++, c->unit = 0)
        for (; c->unit < a->units; c->unit++, c->slot = 0) {
            mid_pool *pool = (mid_pool *)((mid_arena *)a->arenas.data)[c->arena].base + c->unit;
            if (c->unit == 0 || pool->state > MID_POOL_FULL || pool->size_class != size_class || pool->pins != 0)
                continue;
            for (; c->slot < pool->bound; c->slot++)
                if (mid_entry_at(d->heap, mid_pool_name(pool, c->slot))->count != 0)
                    return pool;
        }
    return NULL;
}

static void exchange_slots(mid_deep *d, const mid_class *c, mid_handle a, mid_handle b)
{
    mid_entry *ends[2] = {mid_entry_at(d->heap, a), mid_entry_at(d->heap, b)};
    char *one = mid_address(ends[0]), *other = mid_address(ends[1]), kept[SMALL];
    memcpy(kept, one, c->slot_size);
    memcpy(one, other, c->slot_size);
    memcpy(other, kept, c->slot_size);
    uint64_t difference = (ends[0]->word ^ ends[1]->word) & MID_ADDRESS_MASK_;
    MID_WRITE_(ends[0]->word, ends[0]->word ^ difference);
    MID_WRITE_(ends[1]->word, ends[1]->word ^ difference);
    mid_pool *pool = mid_pool_of(one);
    mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), one)] = b;
    pool = mid_pool_of(other);
    mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), other)] = a;
    d->relocated += 2;
}

static void lay(mid_deep *d, uint32_t index)
{
    const mid_entry *entry = &d->heap->table[index];
    if (entry->word & MID_F_LARGE)
        return;
    char *at = mid_address(entry);
    mid_pool *pool = mid_pool_of(at), *target;
    const mid_class *c = &d->heap->alloc.classes[pool->size_class];
    if (c->slot_size > SMALL || pool->pins != 0 || (target = next_slot(d, pool->size_class)) == NULL)
        return;
    uint32_t slot = d->cursors[pool->size_class].slot++;
    mid_handle there = mid_pool_name(target, slot);
    if (there != index * 2)
        exchange_slots(d, c, index * 2, there);
}

/* The next in the sequence, and those whose numbers they will have. */
static void fetch_soon(const mid_deep *d)
{
    uint32_t at = d->next + STAGES * AHEAD;
    if (at + AHEAD >= d->sequence.count)
        return;
    __builtin_prefetch(mid_deep_cell(&d->now, *mid_list_at(&d->sequence, at + AHEAD)));
    for (unsigned stage = 0; stage < STAGES; stage++, at -= AHEAD) {
        uint32_t index = now(d, *mid_list_at(&d->sequence, at));
        fetch(d, index, stage);
        fetch(d, d->to + (STAGES - stage) * AHEAD, stage);
        __builtin_prefetch(&d->heap->table[index]);
        if (stage == STAGES - 1)
            __builtin_prefetch(mid_address(&d->heap->table[index]), 1);
    }
}

static bool place(mid_deep *d, uint64_t deadline)
{
    bool taken;
    for (uint32_t n = 1; d->next < d->sequence.count; n++) {
        if (n % CLOCK_EVERY == 0 && deadline != 0 && mid_clock_micros() >= deadline)
            return false;
        fetch_soon(d);
        uint32_t index = now(d, *mid_list_at(&d->sequence, d->next++));
        if (!mid_entry_live(&d->heap->table[index]))
            continue;
        lay(d, index);
        do {
            if (!advance(d))
                return true;
            if (index == d->to || rename_to(d, index, d->to, &taken)) {
                d->to++;
                break;
            }
            d->to += taken;
        } while (taken);
    }
    return true;
}

/* --- the entries of free slots --------------------------------------------------------------------------------------------- */

/* They are on no other list than their pool's. */
static void lower_chain(mid_heap *heap, mid_pool *pool)
{
    const mid_class *c = &heap->alloc.classes[pool->size_class];
    mid_handle *link = &pool->chain, next;
    mid_status status;
    for (mid_handle name = pool->chain; name != 0; name = next) {
        mid_entry *entry = mid_entry_at(heap, name);
        next = MID_READ_(entry->shared);
        mid_handle lower = heap->free_entry_count == 0 ? 0 : mid_entry_take(heap, &status);
        if (lower != 0 && lower < name) {
            mid_entry *other = mid_entry_at(heap, lower);
            char *at = mid_address(entry);
            MID_WRITE_(other->word, entry->word);
            mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), at)] = lower;
            mid_entry_give(heap, name);
            name = lower;
        } else if (lower != 0) {
            mid_entry_give(heap, lower);
        }
        MID_WRITE_(*link, name);
        link = &mid_entry_at(heap, name)->shared;
    }
    MID_WRITE_(*link, 0);
}

static bool unbind_empty(mid_heap *heap, uint64_t deadline)
{
    for (unsigned i = 0; i < MID_CLASSES; i++)
        for (mid_pool *pool = heap->alloc.classes[i].list[MID_POOL_EMPTY]; pool != NULL; pool = pool->next) {
            if (pool->bound == 0)
                continue;
            mid_pool_unbind(&heap->alloc, pool);
            if (deadline != 0 && mid_clock_micros() >= deadline)
                return false;
        }
    return true;
}

static bool lower_free(mid_deep *d, uint64_t deadline)
{
    mid_heap *heap = d->heap;
    for (; d->at < MID_CLASSES; d->at++) {
        if (deadline != 0 && mid_clock_micros() >= deadline)
            return false;
        mid_class *c = &heap->alloc.classes[d->at];
        for (unsigned list = 0; list < MID_POOL_FULL; list++)
            for (mid_pool *pool = c->list[list]; pool != NULL; pool = pool->next)
                lower_chain(heap, pool);
    }
    return true;
}

/* --- a pass ---------------------------------------------------------------------------------------------------------------- */

static void close_pass(mid_deep *d)
{
    mid_heap *heap = d->heap;
    mid_array *arrays[] = {&d->first, &d->links, &d->seen, &d->now, &d->was};
    mid_list *lists[] = {&d->later, &d->stack, &d->sequence};
    for (unsigned i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        mid_array_drop(heap, arrays[i]);
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++)
        mid_list_free(heap, lists[i]);
    *d = (mid_deep){.heap = heap, .status = d->status, .renamed = d->renamed, .relocated = d->relocated};
}

static mid_status open_pass(mid_heap *heap, mid_deep_order order)
{
    if (heap->deep == NULL) {
        mid_array memory = {0};
        mid_lock(heap);
        mid_status status = mid_array_grow(&heap->alloc, &memory, sizeof(mid_deep));
        mid_unlock(heap);
        if (status != MID_OK)
            return status;
        heap->deep = memory.data;
        heap->deep->heap = heap;
    }
    mid_deep *d = heap->deep;
    d->status = MID_OK;
    if (d->step != MID_DEEP_NONE)
        return MID_OK;
    d->order = order;
    d->end = d->from = __atomic_load_n(&heap->next_index, __ATOMIC_ACQUIRE);
    d->at = d->to = heap->first_index;
    size_t words = (size_t)d->end * sizeof(uint32_t);
    d->link_count = 1;
    bool room = mid_deep_room(d, &d->first, words) && mid_deep_room(d, &d->now, words) && mid_deep_room(d, &d->was, words) &&
                (order == MID_DEEP_TABLE || mid_deep_room(d, &d->seen, (size_t)d->end / 8 + 8));
    d->step = MID_DEEP_LINK;
    return room ? MID_OK : d->status;
}

static mid_deep_step next_step(mid_deep *d)
{
    mid_heap *heap = d->heap;
    switch (d->step) {
    case MID_DEEP_LINK:
        mid_link_flush(d);
        d->at = heap->first_index;
        return d->order == MID_DEEP_TABLE ? MID_DEEP_STILL : MID_DEEP_ORDER;
    case MID_DEEP_ORDER:
        return MID_DEEP_STILL;
    case MID_DEEP_STILL:
        mid_link_flush(d);
        return MID_DEEP_UNBIND;
    case MID_DEEP_UNBIND:
        return MID_DEEP_PLACE;
    case MID_DEEP_PLACE:
        d->at = 0;
        return MID_DEEP_FREE;
    case MID_DEEP_FREE:
        return MID_DEEP_TRIM;
    default:
        return MID_DEEP_CLOSE;
    }
}

static bool step(mid_deep *d, bool still, uint64_t deadline)
{
    switch (d->step) {
    case MID_DEEP_LINK:
        return mid_links_read(d, still, deadline);
    case MID_DEEP_ORDER:
        return mid_order_find(d, still, deadline);
    case MID_DEEP_STILL:
        return mid_links_read_still(d, deadline);
    case MID_DEEP_UNBIND:
        return unbind_empty(d->heap, deadline);
    case MID_DEEP_PLACE:
        return d->order == MID_DEEP_TABLE ? pack(d, deadline) : place(d, deadline);
    case MID_DEEP_FREE:
        return lower_free(d, deadline);
    case MID_DEEP_TRIM:
        return mid_table_trim(d->heap, deadline) == MID_OK;
    default:
        return true;
    }
}

/* What was read is given back beside the program: to unmap it takes long. */
static void publish(mid_heap *heap)
{
    mid_deep_step at = heap->deep == NULL ? MID_DEEP_NONE : heap->deep->step;
    bool beside = at < MID_DEEP_STILL || at == MID_DEEP_CLOSE;
    MID_WRITE_(heap->deepening, at == MID_DEEP_NONE ? MID_DEEPENS_NOT : beside ? MID_DEEPENS_RUNNING : MID_DEEPENS_STOPPED);
}

/* Up to the step that is not its caller's. */
static mid_status go_on(mid_heap *heap, mid_deep_order order, bool still, uint64_t deadline)
{
    mid_status status = open_pass(heap, order);
    mid_deep *d = heap->deep;
    while (status == MID_OK && d->step != MID_DEEP_CLOSE && (still || d->step < MID_DEEP_STILL)) {
        if (step(d, still, deadline))
            d->step = next_step(d);
        else
            status = d->status != MID_OK ? d->status : MID_MORE;
    }
    if (d != NULL && d->claimed != 0)
        settle(d);
    if (d != NULL && status != MID_OK && status != MID_MORE)
        close_pass(d);
    publish(heap);
    return status;
}

void mid_deep_finish(mid_heap *heap)
{
    if (heap->deep != NULL && heap->deep->step == MID_DEEP_CLOSE)
        close_pass(heap->deep);
    publish(heap);
}

mid_status mid_deep_look(mid_heap *heap, uint64_t budget_micros)
{
    if (pthread_mutex_trylock(&heap->proposing) != 0)
        return MID_EBUSY;
    mid_status status = MID_OK;
    if (heap->deep != NULL && heap->deep->step == MID_DEEP_CLOSE) {
        mid_deep_finish(heap);
    } else {
        mid_hold_memory(heap, true);
        status = go_on(heap, (mid_deep_order)heap->options.deep, false, mid_clock_micros() + budget_micros);
        mid_hold_memory(heap, false);
    }
    pthread_mutex_unlock(&heap->proposing);
    return status;
}

mid_status mid_deep_run(mid_impl *me, mid_deep_order order, uint64_t deadline, uint64_t *renamed)
{
    mid_heap *heap = me->heap;
    *renamed = 0;
    if (heap->any_lost) /* what a lost thread holds nobody knows */
        return MID_OK;
    mid_deep_finish(heap);
    if (deadline == 0 && heap->deep != NULL) /* what was read a while ago is less than can be known */
        close_pass(heap->deep);
    mid_boxes_settle(me); /* messages name objects */
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_suspects_give(heap->threads[id]);
        mid_caches_flush(heap->threads[id]);
    }
    mid_status status = go_on(heap, order, true, deadline);
    if (heap->deep != NULL) {
        *renamed = heap->deep->renamed;
        heap->deep->renamed = 0;
    }
    return status;
}

void mid_deep_close(mid_heap *heap)
{
    if (heap->deep == NULL)
        return;
    close_pass(heap->deep);
    MID_WRITE_(heap->deepening, MID_DEEPENS_NOT);
    mid_array memory = {heap->deep, mid_round(sizeof(mid_deep), MID_PAGE)};
    mid_array_drop(heap, &memory);
    heap->deep = NULL;
}
