/* gc/place.c: deep compaction's places: numbers from the lowest up, slots from the lowest address up, one object after another.
 *
 * The order of the table: what has the highest number gets the lowest free one, until they meet. The order of a walk: the next object
 * in it gets the next number, and, if it is small, the next slot of its class; who is there goes where that object was. What
 * cannot have another number stays, and numbers that others cannot give up are passed over. */
#include "gc/deep.h"

#include <string.h>

#include "gc/count.h"

#define CLOCK_EVERY 16u
#define PIECE 256u       /* entries looked at in a row */
#define SMALL 512u       /* larger objects lie where they are: the next one is another cache line anyway */
#define AHEAD 5u         /* from stage to stage of mid_deep_fetch */

/* --- numbers that are ours to give ----------------------------------------------------------------------------------------- */

/* The free entries of one block at a time are ours. */
void mid_deep_settle(mid_deep *d)
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
        mid_deep_settle(d);
        uint32_t end = mid_table_block_end(d->heap, d->to);
        if (end != 0) {
            d->claimed_used = mid_table_claim(d->heap, d->to);
            d->claimed = end;
            return true;
        }
        d->to = (d->to / MID_TABLE_BLOCK + 1) * MID_TABLE_BLOCK;
    }
    return false;
}

/* --- the order of the table ------------------------------------------------------------------------------------------------ */

/* A block that is claimed is looked at as a whole. */
static bool late(const mid_deep *d, uint32_t n, uint64_t deadline)
{
    bool look = n % CLOCK_EVERY == 0 || (n > 1 && d->to % MID_TABLE_BLOCK == 0);
    return look && deadline != 0 && mid_clock_micros() >= deadline;
}

bool mid_place_packed(mid_deep *d, uint64_t deadline)
{
    const mid_entry *table = d->heap->table;
    bool taken;
    for (uint32_t n = 1; advance(d); n++) {
        if (late(d, n, deadline))
            return false;
        for (unsigned i = 0; i < PIECE && d->to < d->claimed && !mid_vacant(&table[d->to]); i++)
            d->to++;
        for (unsigned i = 0; i < PIECE && d->from > d->to && !mid_entry_live(&table[d->from - 1]); i++)
            d->from--;
        if (d->from <= d->to)
            return true;
        if (d->to >= d->claimed || !mid_vacant(&table[d->to]) || !mid_entry_live(&table[d->from - 1]))
            continue;
        for (unsigned stage = 0; d->from > MID_FETCH_STAGES * AHEAD && stage < MID_FETCH_STAGES; stage++)
            mid_deep_fetch(d, d->from - (MID_FETCH_STAGES - stage) * AHEAD, stage);
        d->to += mid_rename_to(d, --d->from, d->to, &taken);
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
            if (pool->state > MID_POOL_FULL || pool->size_class != size_class || pool->pins != 0)
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
}

static void lay(mid_deep *d, uint32_t index)
{
    const mid_entry *entry = &d->heap->table[index];
    if (entry->word & MID_F_LARGE)
        return;
    char *at = mid_address(entry);
    mid_pool *pool = mid_pool_of(at), *target;
    const mid_class *c = &d->heap->alloc.classes[pool->size_class];
    if (c->slot_size > SMALL || pool->pins != 0 || pool->state > MID_POOL_FULL || (target = next_slot(d, pool->size_class)) == NULL)
        return;
    uint32_t slot = d->cursors[pool->size_class].slot++;
    mid_handle there = mid_pool_name(target, slot);
    if (there != index * 2)
        exchange_slots(d, c, index * 2, there);
}

/* The next in the sequence, and those whose numbers they will have. */
static void fetch_soon(const mid_deep *d)
{
    uint32_t at = d->next + MID_FETCH_STAGES * AHEAD;
    if (at + AHEAD >= d->sequence.count)
        return;
    __builtin_prefetch(mid_deep_cell(&d->now, *mid_list_at(&d->sequence, at + AHEAD)));
    for (unsigned stage = 0; stage < MID_FETCH_STAGES; stage++, at -= AHEAD) {
        uint32_t index = mid_deep_now(d, *mid_list_at(&d->sequence, at));
        mid_deep_fetch(d, index, stage);
        mid_deep_fetch(d, d->to + (MID_FETCH_STAGES - stage) * AHEAD, stage);
        __builtin_prefetch(&d->heap->table[index]);
        if (stage == MID_FETCH_STAGES - 1)
            __builtin_prefetch(mid_address(&d->heap->table[index]), 1);
    }
}

bool mid_place_in_order(mid_deep *d, uint64_t deadline)
{
    bool taken;
    for (uint32_t n = 1; d->next < d->sequence.count && advance(d); n++) {
        if (late(d, n, deadline))
            return false;
        fetch_soon(d);
        uint32_t index = mid_deep_now(d, *mid_list_at(&d->sequence, d->next));
        bool live = mid_entry_live(&d->heap->table[index]);
        if (live && !d->laid)
            lay(d, index);
        taken = false;
        if (live && (index == d->to || mid_rename_to(d, index, d->to, &taken)))
            d->to++;
        d->to += taken; /* passed over: the next may be free */
        d->next += !taken;
        d->laid = taken;
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

bool mid_place_unbind(mid_heap *heap, uint64_t deadline)
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

bool mid_place_free(mid_deep *d, uint64_t deadline)
{
    const mid_alloc *a = &d->heap->alloc;
    struct mid_deep_cursor *c = &d->cursors[0];
    while (c->arena < a->arena_count) { /* to take an entry may give one back */
        if (++c->unit == d->heap->alloc.units) {
            *c = (struct mid_deep_cursor){.arena = c->arena + 1};
            continue;
        }
        mid_pool *pool = (mid_pool *)((mid_arena *)a->arenas.data)[c->arena].base + c->unit;
        if (pool->state < MID_POOL_FULL)
            lower_chain(d->heap, pool);
        if (deadline != 0 && mid_clock_micros() >= deadline)
            return false;
    }
    return true;
}
