/* alloc/gather.c: whole pools moved out of sparse arenas, so that arenas come free.
 *
 * An arena takes 16 KiB of descriptors (with pools of 64 KiB), a page table for each 2 MiB that was touched, and one of the kernel's areas. To move a
 * pool costs its slots' bytes and a store for each name. So an arena is emptied only if few of its units are in use, and others
 * have as many to spare: the sparsest first, into the fullest. Empty pools are kept for a reason, and an arena
 * with many of them is not sparse; a few go with it. */
#include <string.h>

#include "alloc/alloc.h"

static mid_arena *arena_at(const mid_alloc *a, uint32_t i)
{
    return (mid_arena *)a->arenas.data + i;
}

/* Units that are not free. */
static unsigned taken_in(const mid_alloc *a, const mid_arena *arena)
{
    return a->units - a->first_unit - arena->free_units;
}

/* The same without those of empty pools. */
static unsigned used_in(const mid_alloc *a, const mid_arena *arena)
{
    return taken_in(a, arena) - ((const mid_pool *)arena->base)->live;
}

static bool sparse(const mid_alloc *a, const mid_arena *arena)
{
    return taken_in(a, arena) <= (a->units - a->first_unit) / 4;
}

/* Not both ways round for two arenas. */
static bool fuller(const mid_alloc *a, const mid_arena *arena, const mid_arena *than)
{
    unsigned used = used_in(a, arena), used_than = used_in(a, than);
    return used != used_than ? used > used_than : arena->base < than->base;
}

static mid_arena *sparsest(const mid_alloc *a)
{
    mid_arena *found = NULL;
    for (uint32_t i = 0; i < a->arena_count; i++) {
        mid_arena *arena = arena_at(a, i);
        if (used_in(a, arena) != 0 && sparse(a, arena) && arena->looked_at != a->gatherings && (found == NULL || fuller(a, found, arena)))
            found = arena;
    }
    return found;
}

/* The fullest of those that are fuller and have room; null: they have too little for all that is in it. */
static mid_arena *receiver(const mid_alloc *a, const mid_arena *from)
{
    mid_arena *found = NULL;
    uint64_t room = 0;
    for (uint32_t i = 0; i < a->arena_count; i++) {
        mid_arena *arena = arena_at(a, i);
        if (arena == from || !fuller(a, arena, from) || arena->free_units == 0)
            continue;
        room += arena->free_units;
        if (found == NULL || fuller(a, arena, found))
            found = arena;
    }
    return room >= used_in(a, from) ? found : NULL;
}

/* A pool in it; null: something in it does not move. */
static mid_pool *movable(const mid_alloc *a, const mid_arena *arena)
{
    mid_pool *units = (mid_pool *)arena->base, *found = NULL;
    for (unsigned u = 1; u < a->units; u++) {
        if (units[u].state == MID_UNIT_FREE || units[u].state == MID_POOL_EMPTY)
            continue;
        if (units[u].state > MID_POOL_FULL || units[u].pins != 0)
            return NULL;
        found = &units[u];
    }
    return found;
}

static void relocate(mid_alloc *a, mid_pool *pool, mid_pool *to)
{
    const mid_class *c = &a->classes[pool->size_class];
    char *old = mid_pool_base(pool), *at = mid_pool_base(to);
    if (pool->slots > MID_NAMES_INLINE && pool->first_name == 0)
        memcpy(at, old, pool->bound * sizeof(uint32_t));
    memcpy(at + c->first, old + c->first, (size_t)pool->bound * c->slot_size);
    *to = *pool;
    if (to->prev != NULL)
        to->prev->next = to;
    else
        a->classes[to->size_class].list[to->state] = to;
    if (to->next != NULL)
        to->next->prev = to;
    a->os.decommit(a->os.ctx, old, a->pool_size);
    mid_units_give(a, pool, 1);
}

/* Its last pool has left: empty ones would hold it. */
static void leave(mid_alloc *a, char *base)
{
    mid_pool *units = (mid_pool *)base;
    for (unsigned u = 1; u < a->units; u++)
        if (units[u].state == MID_POOL_EMPTY) {
            bool last = units->live == 1;
            mid_pool_return(a, &units[u]);
            if (last)
                return; /* and the arena with it */
        }
}

/* With memory charged for a pool. */
static mid_pool *gather_one(mid_alloc *a)
{
    for (mid_arena *from = sparsest(a); from != NULL; from = sparsest(a)) {
        mid_pool *pool = movable(a, from);
        mid_arena *into = pool == NULL ? NULL : receiver(a, from);
        if (into == NULL) {
            from->looked_at = a->gatherings;
            continue;
        }
        mid_pool *to = mid_unit_take_in(a, into);
        if (!a->os.commit(a->os.ctx, mid_pool_base(to), a->pool_size)) {
            mid_units_give(a, to, 1);
            return NULL;
        }
        char *base = from->base;
        bool last = used_in(a, from) == 1, empty = ((const mid_pool *)base)->live != 0;
        relocate(a, pool, to);
        if (last && empty)
            leave(a, base);
        return to;
    }
    return NULL;
}

void mid_pools_gather_begin(mid_alloc *a)
{
    a->gatherings++;
}

mid_pool *mid_pools_gather(mid_alloc *a)
{
    if (sparsest(a) == NULL || mid_book(a, MID_IN_POOLS, a->pool_size) != MID_OK)
        return NULL;
    mid_pool *moved = gather_one(a);
    mid_unbook(a, MID_IN_POOLS, a->pool_size); /* of where it was, or it did not move */
    return moved;
}
