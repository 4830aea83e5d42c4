/* alloc/arena.c: 16 MiB of address space at a time, handed out in units of a pool's size, lowest first.
 *
 * An arena begins with the descriptors of all its units, in the first, or the first four. Memory behind units is charged and committed by who
 * takes them. */
#include <string.h>

#include "alloc/alloc.h"

static mid_arena *arena_at(mid_alloc *a, uint32_t i)
{
    return (mid_arena *)a->arenas.data + i;
}

static bool unit_is_free(const mid_arena *arena, unsigned unit)
{
    return arena->free[unit / 64] >> (unit % 64) & 1;
}

static mid_arena *arena_new(mid_alloc *a, mid_status *status)
{
    *status = mid_array_grow(a, &a->arenas, (a->arena_count + 1) * sizeof(mid_arena));
    if (*status != MID_OK)
        return NULL;
    const size_t header = a->units * sizeof(mid_pool);
    *status = mid_book(a, MID_IN_META, header);
    if (*status != MID_OK)
        return NULL;
    *status = MID_ENOMEM;
    char *base = a->os.reserve(a->os.ctx, MID_ARENA_SIZE, MID_ARENA_SIZE);
    if (base != NULL && !a->os.commit(a->os.ctx, base, header)) {
        a->os.release(a->os.ctx, base, MID_ARENA_SIZE);
        base = NULL;
    }
    if (base == NULL) {
        mid_unbook(a, MID_IN_META, header);
        return NULL;
    }
    *status = MID_OK;
    mid_arena *arena = arena_at(a, a->arena_count++);
    arena->base = base;
    arena->looked_at = 0;
    arena->free_units = a->units - a->first_unit;
    memset(arena->free, 0, sizeof arena->free);
    memset(arena->free, 0xff, a->units / 8);
    arena->free[0] &= UINT64_MAX << a->first_unit;
    for (unsigned i = 0; i < a->units; i++)
        ((mid_pool *)base)[i].state = MID_UNIT_FREE;
    ((mid_pool *)base)->reached = (uint16_t)a->pool_shift;
    return arena;
}

/* First unit of `count` free ones at a multiple of `align`; 0: none (unit 0 is never free). */
static unsigned arena_find(const mid_alloc *a, const mid_arena *arena, unsigned count, unsigned align)
{
    if (count == 1) {
        for (unsigned w = 0; w < a->units / 64; w++)
            if (arena->free[w] != 0)
                return w * 64 + (unsigned)__builtin_ctzll(arena->free[w]);
        return 0;
    }
    for (unsigned at = align; at + count <= a->units; at += align) {
        unsigned n = 0;
        while (n < count && unit_is_free(arena, at + n))
            n++;
        if (n == count)
            return at;
    }
    return 0;
}

static mid_pool *take(mid_arena *arena, unsigned at, unsigned count)
{
    for (unsigned i = at; i < at + count; i++)
        arena->free[i / 64] &= ~((uint64_t)1 << (i % 64));
    arena->free_units -= count;
    return (mid_pool *)arena->base + at;
}

mid_pool *mid_unit_take_in(mid_alloc *a, mid_arena *arena)
{
    return arena->free_units == 0 ? NULL : take(arena, arena_find(a, arena, 1, 1), 1);
}

mid_pool *mid_units_take(mid_alloc *a, unsigned count, unsigned align, mid_status *status)
{
    mid_arena *arena = NULL;
    unsigned at = 0;
    if (count == 1) /* nothing below the hint has a free unit */
        while (a->arena_hint < a->arena_count && arena_at(a, a->arena_hint)->free_units == 0)
            a->arena_hint++;
    for (uint32_t i = a->arena_hint; i < a->arena_count && at == 0; i++) {
        arena = arena_at(a, i);
        if (arena->free_units >= count)
            at = arena_find(a, arena, count, align);
    }
    if (at == 0) {
        arena = arena_new(a, status);
        if (arena == NULL)
            return NULL;
        at = arena_find(a, arena, count, align);
        assert(at != 0);
    }
    *status = MID_OK;
    return take(arena, at, count);
}

static void release_if_free(mid_alloc *a, mid_arena *arena)
{
    if (arena->free_units != a->units - a->first_unit || a->arena_count == 1)
        return;
    a->os.release(a->os.ctx, arena->base, MID_ARENA_SIZE);
    mid_unbook(a, MID_IN_META, a->units * sizeof(mid_pool));
    *arena = *arena_at(a, --a->arena_count);
    a->arena_hint = 0;
    __atomic_store_n(&a->arenas_released, a->arenas_released + 1, __ATOMIC_RELEASE); /* threads that look see no more than that */
}

void mid_units_give(mid_alloc *a, mid_pool *first, unsigned count)
{
    char *base = mid_arena_of(first);
    unsigned at = (unsigned)(first - (mid_pool *)base);
    uint32_t i = 0;
    while (arena_at(a, i)->base != base)
        i++;
    mid_arena *arena = arena_at(a, i);
    for (unsigned u = at; u < at + count; u++) {
        arena->free[u / 64] |= (uint64_t)1 << (u % 64);
        ((mid_pool *)base)[u].state = MID_UNIT_FREE;
    }
    arena->free_units += count;
    if (i < a->arena_hint)
        a->arena_hint = i;
    if (!a->arenas_held)
        release_if_free(a, arena);
}

mid_pool *mid_unit_new(mid_alloc *a, enum mid_kind kind, mid_status *status)
{
    *status = mid_book(a, kind, a->pool_size);
    if (*status != MID_OK)
        return NULL;
    mid_pool *unit = mid_units_take(a, 1, 1, status);
    if (unit != NULL && !a->os.commit(a->os.ctx, mid_pool_base(unit), a->pool_size)) {
        mid_units_give(a, unit, 1);
        unit = NULL;
        *status = MID_ENOMEM;
    }
    if (unit == NULL)
        mid_unbook(a, kind, a->pool_size);
    return unit;
}

bool mid_arena_known(const mid_alloc *a, const void *base)
{
    for (uint32_t i = 0; i < a->arena_count; i++)
        if (((const mid_arena *)a->arenas.data)[i].base == base)
            return true;
    return false;
}

char *mid_arena_above(const mid_alloc *a, const char *base)
{
    char *next = NULL;
    for (uint32_t i = 0; i < a->arena_count; i++) {
        char *at = ((const mid_arena *)a->arenas.data)[i].base;
        if ((uintptr_t)at > (uintptr_t)base && (next == NULL || (uintptr_t)at < (uintptr_t)next))
            next = at;
    }
    return next;
}

void mid_arenas_hold(mid_alloc *a, bool hold)
{
    a->arenas_held = hold;
    for (uint32_t i = a->arena_count; !hold && i-- != 0;)
        release_if_free(a, arena_at(a, i));
}

const char *mid_arenas_check(mid_alloc *a)
{
    for (uint32_t i = 0; i < a->arena_count; i++) {
        mid_arena *arena = arena_at(a, i);
        uint32_t free_units = 0, empty = 0;
        for (unsigned u = a->first_unit; u < a->units; u++) {
            bool is_free = unit_is_free(arena, u);
            free_units += is_free;
            empty += ((mid_pool *)arena->base)[u].state == MID_POOL_EMPTY;
            if (is_free != (((mid_pool *)arena->base)[u].state == MID_UNIT_FREE))
                return "an arena's map of free units contradicts a descriptor";
        }
        if (free_units != arena->free_units)
            return "an arena's number of free units is wrong";
        if (empty != ((mid_pool *)arena->base)->live)
            return "an arena's number of empty pools is wrong";
        if (i < a->arena_hint && free_units != 0)
            return "an arena below the hint has free units";
    }
    return NULL;
}
