/* alloc/pool.c: pools of equal slots, allocated from fullest first.
 *
 * Taking from the fullest pool lets the emptiest drain and become free (Evan Jones, "Improving Python's memory
 * allocator", 2005; CPython's arenas). "Fullest" is by eighths: a pool moves between lists only when its live count
 * crosses one, which `low` tells with one comparison on the free path. Empty pools are kept, up to an allowance, and then
 * returned one for each that empties. */
#include "alloc/alloc.h"

#define HUGE_PAGE ((size_t)2 << 20)

static void list_add(mid_alloc *a, mid_pool *pool, unsigned list)
{
    mid_pool **head = &a->classes[pool->size_class].list[list];
    pool->prev = NULL;
    pool->next = *head;
    if (*head != NULL)
        (*head)->prev = pool;
    *head = pool;
    pool->state = (uint8_t)list;
}

static void list_remove(mid_alloc *a, mid_pool *pool)
{
    if (pool->prev != NULL)
        pool->prev->next = pool->next;
    else
        a->classes[pool->size_class].list[pool->state] = pool->next;
    if (pool->next != NULL)
        pool->next->prev = pool->prev;
}

/* Empty pools in an arena are counted in its first descriptor, which is no pool's. */
static void count_empty_in_arena(mid_pool *pool, int one)
{
    mid_pool *first = (mid_pool *)mid_arena_of(pool);
    first->live = (uint16_t)(first->live + one);
}

static void count_empty(mid_alloc *a, mid_pool *pool, bool becomes_empty)
{
    enum mid_kind from = becomes_empty ? MID_IN_POOLS : MID_IN_EMPTY;
    enum mid_kind to = becomes_empty ? MID_IN_EMPTY : MID_IN_POOLS;
    int64_t one = becomes_empty ? 1 : -1;
    a->bytes[from] -= a->pool_size;
    a->bytes[to] += a->pool_size;
    count_empty_in_arena(pool, (int)one);
    a->empty_pools += (uint64_t)one;
    a->used_pools -= (uint64_t)one;
    a->classes[pool->size_class].pools -= (uint64_t)one;
}

/* Empty pools that stand side by side go in one call: 64 KiB at a time cost half as much again as 512 KiB or more. */
static void return_pools(mid_alloc *a, mid_pool *first, unsigned count)
{
    const size_t bytes = count * (size_t)a->pool_size;
    for (unsigned i = 0; i < count; i++) {
        list_remove(a, &first[i]);
        a->unbind(a->owner, &first[i]);
    }
    count_empty_in_arena(first, -(int)count);
    a->os.decommit(a->os.ctx, mid_pool_base(first), bytes);
    a->empty_pools -= count;
    a->returned += bytes;
    mid_unbook(a, MID_IN_EMPTY, bytes);
    mid_units_give(a, first, count);
    if (a->moved != NULL)
        a->moved(a->owner, -(int64_t)bytes);
}

uint64_t mid_pools_allowed(const mid_alloc *a)
{
    uint64_t recent = a->recent_pools / 1024;
    uint64_t used = a->used_pools + a->block_pools, pools = recent > used ? recent : used;
    return pools * a->pool_size / 100 * a->spare_percent + a->reserve;
}

/* Bytes of empty pools worth keeping: a program that fills and empties its heap again and again should find its memory, one
 * that has dropped it for good should not hold it. At most 64 MiB / e are kept on account of the past alone. */
uint64_t mid_pools_allowance(mid_alloc *a)
{
    a->recent_pools -= (a->recent_pools << a->pool_shift) >> 26;
    return mid_pools_allowed(a);
}

/* Of all in a piece, or of this one alone. */
static bool returnable(const mid_alloc *a, mid_pool *pool, mid_pool **first, unsigned *count)
{
    *count = a->piece != 0 ? a->piece : 1;
    *first = (mid_pool *)((uintptr_t)pool & ~(*count * sizeof(mid_pool) - 1));
    for (unsigned i = 0; i < *count; i++)
        if ((*first)[i].state != MID_POOL_EMPTY)
            return false;
    return true;
}

static void file_pool(mid_alloc *a, mid_pool *pool)
{
    unsigned list = mid_pool_list(pool);
    if (list != MID_POOL_EMPTY) {
        list_add(a, pool, list);
        pool->low = mid_pool_low(pool, list);
        return;
    }
    list_add(a, pool, MID_POOL_EMPTY);
    count_empty(a, pool, true);
    mid_pool *first;
    unsigned count;
    if (a->bytes[MID_IN_EMPTY] > mid_pools_allowance(a) && !a->pools_held && returnable(a, pool, &first, &count))
        return_pools(a, first, count);
}

uint32_t *mid_pool_names(mid_pool *pool)
{
    uint32_t *names = mid_pool_index(pool), first = pool->first_name;
    unsigned bound = first != 0 ? pool->bound : 0;
    for (unsigned slot = 0; slot < bound; slot++)
        names[slot] = first + MID_NAME_STEP * slot;
    pool->first_name = 0;
    return names;
}

static void format(mid_alloc *a, mid_pool *pool, unsigned size_class)
{
    pool->chain = pool->first_name = 0;
    pool->live = pool->bound = pool->pins = pool->long_pins = pool->low = 0;
    pool->slots = (uint16_t)a->classes[size_class].slots;
    pool->size_class = (uint8_t)size_class;
}

/* From the begin of the pool to the end of its last slot that has a name. */
static uint32_t reach(const mid_alloc *a, const mid_pool *pool)
{
    const mid_class *c = &a->classes[pool->size_class];
    uint32_t own = pool->bound != 0 ? c->first + pool->bound * c->slot_size : 0;
    return own > pool->reached * MID_PAGE ? own : pool->reached * MID_PAGE;
}

void mid_pool_unbind(mid_alloc *a, mid_pool *pool)
{
    pool->reached = (uint16_t)((reach(a, pool) + MID_PAGE - 1) / MID_PAGE);
    a->unbind(a->owner, pool);
}

static mid_pool *take_empty(mid_alloc *a, unsigned size_class)
{
    if (a->empty_pools == 0)
        return NULL;
    mid_pool *pool = a->classes[size_class].list[MID_POOL_EMPTY];
    for (unsigned c = 0; pool == NULL && c < MID_CLASSES; c++)
        pool = a->classes[c].list[MID_POOL_EMPTY];
    list_remove(a, pool);
    if (pool->size_class != size_class) {
        mid_pool_unbind(a, pool);
        format(a, pool, size_class);
    }
    count_empty(a, pool, false);
    return pool;
}

static mid_pool *take_new(mid_alloc *a, unsigned size_class, mid_status *status)
{
    mid_pool *pool = mid_unit_new(a, MID_IN_POOLS, status);
    if (pool == NULL)
        return NULL;
    format(a, pool, size_class);
    pool->reached = 0;
    a->used_pools++;
    a->classes[size_class].pools++;
    if (a->moved != NULL)
        a->moved(a->owner, a->pool_size);
    return pool;
}

void mid_pools_recent(mid_alloc *a)
{
    if ((a->used_pools + a->block_pools) * 1024 > a->recent_pools)
        a->recent_pools = (a->used_pools + a->block_pools) * 1024;
}

mid_pool *mid_pool_take(mid_alloc *a, unsigned size_class, mid_status *status)
{
    *status = MID_OK;
    mid_pool *pool = NULL;
    for (int list = 7; list >= 0 && pool == NULL; list--)
        pool = a->classes[size_class].list[list];
    if (pool != NULL)
        list_remove(a, pool);
    else
        pool = take_empty(a, size_class);
    if (pool == NULL)
        pool = take_new(a, size_class, status);
    if (pool != NULL && pool->live == 0 && mid_pool_taken(pool) != NULL)
        *mid_pool_taken(pool) = ++a->taken;
    mid_pools_recent(a);
    if (pool != NULL) {
        list_add(a, pool, MID_POOL_OWNED);
        pool->low = 0;
    }
    return pool;
}

void mid_pool_freeze(mid_alloc *a, mid_pool *pool)
{
    mid_class *c = &a->classes[pool->size_class];
    list_remove(a, pool);
    list_add(a, pool, MID_POOL_FROZEN);
    pool->low = 0;
    c->frozen++;
    c->frozen_live += pool->live;
}

void mid_pool_put(mid_alloc *a, mid_pool *pool)
{
    mid_class *c = &a->classes[pool->size_class];
    list_remove(a, pool);
    if (pool->state == MID_POOL_FROZEN && --c->frozen == 0)
        c->frozen_live = 0;
    file_pool(a, pool);
}

void mid_pool_fell(mid_alloc *a, mid_pool *pool)
{
    list_remove(a, pool);
    file_pool(a, pool);
}

void mid_pool_rose(mid_alloc *a, mid_pool *pool)
{
    unsigned list = mid_pool_list(pool);
    if (list == pool->state)
        return;
    list_remove(a, pool);
    list_add(a, pool, list);
    pool->low = mid_pool_low(pool, list);
}

/* An empty pool and the empty ones beside it, at most `most`, within 2 MiB: a huge page goes at once where it can. */
static unsigned empty_around(const mid_alloc *a, mid_pool **first, unsigned most)
{
    const size_t units = HUGE_PAGE >> a->pool_shift, group = units * sizeof(mid_pool);
    mid_pool *begin = (mid_pool *)((uintptr_t)*first & ~(group - 1)), *end = begin + units, *last = *first + 1;
    while (*first > begin && (*first)[-1].state == MID_POOL_EMPTY && last - *first < most)
        --*first;
    while (last < end && last->state == MID_POOL_EMPTY && last - *first < most)
        last++;
    return (unsigned)(last - *first);
}

unsigned mid_pools_return(mid_alloc *a, unsigned most)
{
    for (unsigned c = 0; c < MID_CLASSES && a->empty_pools != 0; c++) {
        mid_pool *pool = a->classes[c].list[MID_POOL_EMPTY];
        if (pool != NULL) {
            unsigned count = empty_around(a, &pool, most);
            return_pools(a, pool, count);
            return count;
        }
    }
    return mid_block_pools_return(a, most);
}

void mid_pool_return(mid_alloc *a, mid_pool *pool)
{
    return_pools(a, pool, 1);
}

bool mid_pool_return_one(mid_alloc *a)
{
    return mid_pools_return(a, 1) != 0;
}

/* An implied back index is not written, unless the pool had another class before. */
static uint64_t untouched(const mid_alloc *a, const mid_pool *pool)
{
    uint64_t behind = a->pool_size - mid_round(reach(a, pool), MID_PAGE);
    return behind + (pool->reached == 0 && pool->first_name != 0 ? a->classes[pool->size_class].first / MID_PAGE * MID_PAGE : 0);
}

uint64_t mid_pools_untouched(const mid_alloc *a)
{
    uint64_t bytes = mid_block_pools_untouched(a);
    for (unsigned c = 0; c < MID_CLASSES; c++)
        for (unsigned list = 0; list < MID_POOL_LISTS; list++)
            for (const mid_pool *pool = a->classes[c].list[list]; pool != NULL; pool = pool->next)
                bytes += untouched(a, pool);
    return bytes;
}

static const char *check_frozen(const mid_class *c)
{
    uint64_t pools = 0;
    for (const mid_pool *pool = c->list[MID_POOL_FROZEN]; pool != NULL; pool = pool->next)
        pools++;
    return pools == c->frozen ? NULL : "the number of frozen pools is wrong";
}

static const char *check_list(mid_alloc *a, unsigned size_class, unsigned list, uint64_t *used, uint64_t *live)
{
    mid_pool *before = NULL;
    for (mid_pool *pool = a->classes[size_class].list[list]; pool != NULL; before = pool, pool = pool->next) {
        if (pool->prev != before || pool->state != list || pool->size_class != size_class)
            return "a pool is on the wrong list";
        if (pool->live > pool->bound || pool->bound > pool->slots)
            return "a pool's counts contradict each other";
        if (list != MID_POOL_OWNED && list != MID_POOL_FROZEN && (mid_pool_list(pool) != list || (list < 9 && pool->low != mid_pool_low(pool, list))))
            return "a pool's live count contradicts its list";
        if (list == MID_POOL_EMPTY)
            continue;
        *used += 1;
        *live += pool->live;
    }
    return NULL;
}

const char *mid_pools_check(mid_alloc *a)
{
    uint64_t all_used = 0, all_empty = 0;
    for (unsigned c = 0; c < MID_CLASSES; c++) {
        uint64_t used = 0, live = 0;
        for (unsigned list = 0; list < MID_POOL_LISTS; list++) {
            const char *wrong = check_list(a, c, list, &used, &live);
            if (wrong != NULL)
                return wrong;
        }
        const char *frozen = check_frozen(&a->classes[c]);
        if (frozen != NULL)
            return frozen;
        for (mid_pool *pool = a->classes[c].list[MID_POOL_EMPTY]; pool != NULL; pool = pool->next)
            all_empty++;
        if (used != a->classes[c].pools || live != a->classes[c].handed - a->classes[c].freed)
            return "a class's totals contradict its pools";
        all_used += used;
    }
    return all_used == a->used_pools && all_empty == a->empty_pools ? NULL : "the number of pools is wrong";
}
