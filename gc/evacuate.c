/* gc/evacuate.c: one pool's objects into another's free slots, as fast as memory can be had.
 *
 * A move waits for the object's slot and entry, the free slot and its entry, none of which is in a cache. So objects are paired with
 * free slots a batch ahead, and what the next batch touches is fetched while this one moves. */
#include <string.h>

#include "gc/plan.h"

#define CLOCK_EVERY 32u
#define EXPECTED 512u /* bytes of a slot that are fetched ahead */

static bool has_room(const mid_plan *plan, const mid_pool *pool)
{
    return pool->size_class == plan->size_class && pool->state < MID_POOL_FULL;
}

void mid_slot_move(mid_heap *heap, mid_pool *from, uint32_t *names, unsigned slot, mid_pool *to)
{
    const mid_class *c = &heap->alloc.classes[from->size_class];
    mid_handle object = names[slot], vacant = to->chain;
    mid_entry *entry = mid_entry_at(heap, object), *free_entry = mid_entry_at(heap, vacant);
    char *source = mid_address(entry), *target = mid_address(free_entry);
    memcpy(target, source, c->slot_size);
    to->chain = MID_READ_(free_entry->shared);
    mid_pool_names(to)[mid_slot_of(c, mid_pool_base(to), target)] = object;
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)target);
    MID_WRITE_(free_entry->word, (uint64_t)(uintptr_t)source);
    MID_WRITE_(free_entry->shared, from->chain);
    from->chain = vacant;
    names[slot] = vacant;
    from->live--;
    to->live++;
}

void mid_pool_refile(mid_heap *heap, mid_pool *pool)
{
    if (pool->live == 0)
        mid_pool_fell(&heap->alloc, pool);
    else
        mid_pool_rose(&heap->alloc, pool);
}

/* The next destination with a free slot that has an entry; null: none is left. */
mid_pool *mid_destination(mid_heap *heap, mid_plan *plan)
{
    for (; plan->lo < plan->keep && plan->lo < plan->hi - 1; plan->lo++) {
        mid_pool *pool = mid_plan_pools(heap)[plan->lo];
        if (!has_room(plan, pool))
            continue;
        bool bound = pool->chain != 0 || mid_bind(heap, pool) == MID_OK;
        plan->refused |= !bound;
        if (plan->arenas_released != heap->alloc.arenas_released)
            return NULL; /* the charge for new entries gave pools back, and descriptors with them */
        if (bound)
            return pool;
    }
    return NULL;
}

/* One source, one destination. */
struct way {
    mid_pool *from, *to;
    mid_entry *table;
    uint32_t *from_names, *to_names;
    char *from_slots, *to_slots;
    const uint32_t *next_names; /* of the source that follows, */
    unsigned next_last;         /* ... and its last slot that has one */
    unsigned size, batch;       /* of a slot; most that move between two looks at the clock */
    uint32_t inverse;           /* of `size`, see mid_class */
};

/* What is about to move: from the slot at `source`, the source's `slot`, to the one at `target`, which is `vacant`. */
struct pair {
    mid_handle object, vacant;
    unsigned slot;
    char *source, *target;
};
struct batch {
    unsigned count;
    struct pair pair[CLOCK_EVERY];
};

/* The beginning of a slot; how a longer one goes on the processor sees by itself. */
static inline void expect_slot(const char *slot, size_t size)
{
    for (size_t at = 0; at < size && at < EXPECTED; at += 64)
        __builtin_prefetch(slot + at);
}

/* All entries of a pool that is about to take: its chain leads from one to the next, so that on the way none could be fetched
 * ahead. */
static void expect_entries(mid_heap *heap, mid_pool *pool)
{
    const uint32_t *names = mid_pool_names(pool);
    for (unsigned slot = 0; slot < pool->bound; slot++)
        __builtin_prefetch(mid_entry_at(heap, names[slot]));
}

/* The pool that is emptied next; if there is none, `from`. It has objects, so that its descriptor stays. */
static mid_pool *next_source(mid_heap *heap, const mid_plan *plan, mid_pool *from)
{
    mid_pool *next = plan->hi - 1 > plan->keep ? mid_plan_pools(heap)[plan->hi - 2] : from;
    return mid_is_source(plan, next) && next->live != 0 ? next : from;
}

/* The source's next slots that are taken. No branch depends on whether one is: which ones are cannot be guessed. The entries of
 * the source that follows are fetched on the way. */
static unsigned find_objects(mid_plan *plan, const struct way *way, uint16_t *slots)
{
    const uint32_t *names = way->from_names, *ahead = way->next_names;
    unsigned count = 0, slot = plan->slot, end = way->from->bound, last = way->next_last, most = way->batch;
    mid_entry *table = way->table;
    for (; slot < end && count < most; slot++) {
        __builtin_prefetch(mid_entry_in(table, ahead[slot < last ? slot : last]));
        slots[count] = (uint16_t)slot;
        count += mid_entry_in(table, names[slot])->count != 0; /* dying ones move like live ones */
    }
    plan->slot = slot;
    return count;
}

/* Pair the source's next objects with free slots of `to`, which leave its chain. An empty batch: there are no more such pairs. */
static void find_pairs(mid_heap *heap, mid_plan *plan, const struct way *way, struct batch *batch)
{
    mid_pool *to = way->to;
    uint16_t slots[CLOCK_EVERY + 1];
    unsigned found = find_objects(plan, way, slots), n = 0;
    for (; n < found; n++) {
        if (to->chain == 0 && (to->bound == to->slots || mid_bind(heap, to) != MID_OK)) {
            plan->slot = slots[n];
            break;
        }
        const mid_entry *free_entry = mid_entry_in(way->table, to->chain);
        char *source = way->from_slots + slots[n] * (size_t)way->size;
        batch->pair[n] = (struct pair){way->from_names[slots[n]], to->chain, slots[n], source, mid_address(free_entry)};
        to->chain = MID_READ_(free_entry->shared);
    }
    batch->count = n;
}

/* Both pools are whole again, but for their counts. */
static inline void move(const struct way *way, const struct pair *pair)
{
    mid_entry *entry = mid_entry_in(way->table, pair->object), *free_entry = mid_entry_in(way->table, pair->vacant);
    memcpy(pair->target, pair->source, way->size);
    way->to_names[((uint64_t)(uint32_t)(pair->target - way->to_slots) * way->inverse) >> MID_INVERSE_SHIFT] = pair->object;
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)pair->target);
    MID_WRITE_(free_entry->word, (uint64_t)(uintptr_t)pair->source);
    MID_WRITE_(free_entry->shared, way->from->chain);
    way->from->chain = pair->vacant;
    way->from_names[pair->slot] = pair->vacant;
}

/* Move a batch. The memory of the next one is fetched meanwhile, a pair for each that moves. */
static void move_all(mid_plan *plan, const struct way *way, const struct batch *batch, const struct batch *next)
{
    for (unsigned i = 0; i < batch->count || i < next->count; i++) {
        if (i < next->count) {
            expect_slot(next->pair[i].source, way->size);
            expect_slot(next->pair[i].target, way->size);
        }
        if (i < batch->count)
            move(way, &batch->pair[i]);
    }
    way->from->live -= (uint16_t)batch->count;
    way->to->live += (uint16_t)batch->count;
    plan->result.moved_objects += batch->count;
    plan->result.moved_bytes += batch->count * (uint64_t)way->size;
    plan->classes[plan->size_class].moved_bytes += batch->count * (uint64_t)way->size;
}

static struct way way_between(mid_heap *heap, const mid_plan *plan, mid_pool *from, mid_pool *to)
{
    const mid_class *c = &heap->alloc.classes[plan->size_class];
    mid_pool *next = next_source(heap, plan, from);
    unsigned stride = 4096 / c->slot_size + 1;
    return (struct way){
        .from = from,
        .to = to,
        .table = heap->table,
        .from_names = mid_pool_names(from),
        .to_names = mid_pool_names(to),
        .from_slots = mid_slot_at(c, mid_pool_base(from), 0),
        .to_slots = mid_slot_at(c, mid_pool_base(to), 0),
        .next_names = mid_pool_names(next),
        .next_last = next->bound - 1u,
        .size = c->slot_size,
        .batch = stride < CLOCK_EVERY ? stride : CLOCK_EVERY,
        .inverse = c->inverse,
    };
}

/* Fill `to` from the source. False: the clock says stop. What has left the chain by then moves all the same. */
bool mid_evacuate(mid_heap *heap, mid_plan *plan, mid_pool *from, mid_pool *to, uint64_t deadline)
{
    const struct way way = way_between(heap, plan, from, to);
    struct batch batches[2], *now = &batches[0], *next = &batches[1], *moved;
    bool time_left = true;
    if (plan->expected != to)
        expect_entries(heap, to);
    plan->expected = to;
    now->count = 0;
    do {
        next->count = 0;
        if (time_left)
            find_pairs(heap, plan, &way, next);
        move_all(plan, &way, now, next);
        time_left = deadline == 0 || mid_clock_micros() < deadline;
        moved = now;
        now = next;
        next = moved;
    } while (now->count != 0);
    mid_pool_refile(heap, to);
    return time_left;
}

