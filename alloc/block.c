/* alloc/block.c: pools of slots without names, for memory that stays where it is.
 *
 * They are cut from the same units as the pools of pool.c and filed by the same eighths, fullest first; but nobody finds an object
 * by a slot's name, and compaction leaves them alone (MID_UNIT_BLOCKS). A free slot is linked through itself. Before the first
 * are two bytes for each slot: how much was asked for, plus one; 0 as long as it is free. So what is freed twice, or was never
 * given out, is told, and no block needs a header. Empty ones share the allowance of pool.c. */
#include <string.h>

#include "alloc/alloc.h"

/* The state says only what kind of pool it is: which list it is on is kept here. */
#define LIST(pool) ((pool)->inline_names[0])
#define FRESH_BYTES 4096u /* of slots that are linked at once */

static void list_add(mid_alloc *a, mid_pool *pool, unsigned list)
{
    mid_pool **head = &a->blocks[pool->size_class].list[list];
    pool->prev = NULL;
    pool->next = *head;
    if (*head != NULL)
        (*head)->prev = pool;
    *head = pool;
    LIST(pool) = list;
}

static void list_remove(mid_alloc *a, mid_pool *pool)
{
    if (pool->prev != NULL)
        pool->prev->next = pool->next;
    else
        a->blocks[pool->size_class].list[LIST(pool)] = pool->next;
    if (pool->next != NULL)
        pool->next->prev = pool->prev;
}

static void count_empty(mid_alloc *a, mid_pool *pool, bool becomes_empty)
{
    enum mid_kind from = becomes_empty ? MID_IN_BLOCKS : MID_IN_EMPTY;
    enum mid_kind to = becomes_empty ? MID_IN_EMPTY : MID_IN_BLOCKS;
    uint64_t one = becomes_empty ? 1 : UINT64_MAX;
    a->bytes[from] -= a->pool_size;
    a->bytes[to] += a->pool_size;
    a->empty_block_pools += one;
    a->block_pools -= one;
    a->blocks[pool->size_class].pools -= one;
}

static void return_pool(mid_alloc *a, mid_pool *pool)
{
    list_remove(a, pool);
    if (a->unused != NULL)
        a->unused(a->owner, pool);
    a->empty_block_pools--;
    a->os.decommit(a->os.ctx, mid_pool_base(pool), a->pool_size);
    a->returned += a->pool_size;
    mid_unbook(a, MID_IN_EMPTY, a->pool_size);
    mid_units_give(a, pool, 1);
    if (a->moved != NULL)
        a->moved(a->owner, -(int64_t)a->pool_size);
}

static void file_pool(mid_alloc *a, mid_pool *pool)
{
    unsigned list = mid_pool_list(pool);
    list_add(a, pool, list);
    if (list != MID_POOL_EMPTY) {
        pool->low = mid_pool_low(pool, list);
        return;
    }
    count_empty(a, pool, true);
    if (a->bytes[MID_IN_EMPTY] > mid_pools_allowance(a) && !a->pools_held)
        return_pool(a, pool);
}

unsigned mid_block_pools_return(mid_alloc *a, unsigned most)
{
    unsigned count = 0;
    for (unsigned c = 0; c < a->class_count && a->empty_block_pools != 0; c++) {
        mid_pool *pool;
        while (count < most && (pool = a->blocks[c].list[MID_POOL_EMPTY]) != NULL) {
            return_pool(a, pool);
            count++;
        }
    }
    return count;
}

/* How far it was ever written, in pages. */
static uint32_t reached(const mid_alloc *a, const mid_pool *pool)
{
    uint32_t own = pool->bound == 0 ? 0 : a->blocks[pool->size_class].first + pool->bound * a->classes[pool->size_class].slot_size;
    own = (own + MID_PAGE - 1) / MID_PAGE;
    return own > pool->reached ? own : pool->reached;
}

/* All slots unused, in their order; where sizes were or will be is zero. */
static void format(mid_alloc *a, mid_pool *pool, unsigned size_class)
{
    pool->chain = 0;
    pool->live = pool->bound = pool->pins = pool->long_pins = pool->low = 0;
    pool->slots = (uint16_t)a->blocks[size_class].slots;
    pool->size_class = (uint8_t)size_class;
    pool->first_name = 0;
}

static mid_pool *take_empty(mid_alloc *a, unsigned size_class)
{
    if (a->empty_block_pools == 0)
        return NULL;
    mid_pool *pool = a->blocks[size_class].list[MID_POOL_EMPTY];
    for (unsigned c = 0; pool == NULL; c++)
        pool = a->blocks[c].list[MID_POOL_EMPTY];
    list_remove(a, pool);
    if (a->unused != NULL)
        a->unused(a->owner, pool);
    if (pool->size_class != size_class) { /* slots were where sizes will be */
        uint32_t first = a->blocks[size_class].first;
        pool->reached = (uint16_t)reached(a, pool);
        memset(mid_pool_base(pool), 0, first < pool->reached * MID_PAGE ? first : pool->reached * MID_PAGE);
    } else {
        pool->reached = (uint16_t)reached(a, pool);
    }
    format(a, pool, size_class);
    count_empty(a, pool, false);
    return pool;
}

static mid_pool *take_new(mid_alloc *a, unsigned size_class, mid_status *status)
{
    mid_pool *pool = mid_unit_new(a, MID_IN_BLOCKS, status);
    if (pool == NULL)
        return NULL;
    pool->state = MID_UNIT_BLOCKS;
    format(a, pool, size_class);
    pool->reached = 0;
    a->block_pools++;
    a->blocks[size_class].pools++;
    if (a->moved != NULL)
        a->moved(a->owner, a->pool_size);
    return pool;
}

mid_pool *mid_block_pool_take(mid_alloc *a, unsigned size_class, mid_status *status)
{
    *status = MID_OK;
    mid_pool *pool = NULL;
    for (int list = 7; list >= 0 && pool == NULL; list--)
        pool = a->blocks[size_class].list[list];
    if (pool != NULL)
        list_remove(a, pool);
    else
        pool = take_empty(a, size_class);
    if (pool == NULL)
        pool = take_new(a, size_class, status);
    mid_pools_recent(a);
    if (pool != NULL) {
        list_add(a, pool, MID_POOL_OWNED);
        pool->low = 0;
    }
    return pool;
}

void mid_block_pool_put(mid_alloc *a, mid_pool *pool)
{
    list_remove(a, pool);
    file_pool(a, pool);
}

/* A page's worth of slots that were never used, linked in their order. */
static void *link_fresh(mid_alloc *a, mid_pool *pool)
{
    const uint32_t size = a->classes[pool->size_class].slot_size;
    char *first = mid_pool_base(pool) + a->blocks[pool->size_class].first + (size_t)pool->bound * size, *at = first;
    unsigned count = FRESH_BYTES / size < 8 ? 8 : FRESH_BYTES / size;
    if (count > (unsigned)pool->slots - pool->bound)
        count = (unsigned)pool->slots - pool->bound;
    for (unsigned i = 1; i < count; i++, at += size)
        *(void **)at = at + size;
    *(void **)at = NULL;
    pool->bound = (uint16_t)(pool->bound + count);
    return first;
}

/* Cut a list off behind its first `most`; *count of them. What follows, or null. */
static void *cut(void *head, uint32_t most, uint32_t *count)
{
    void **link = head;
    for (*count = 1; *count < most && *link != NULL; ++*count)
        link = *link;
    void *rest = *link;
    *link = NULL;
    return rest;
}

void *mid_blocks_hand(mid_alloc *a, mid_pool *pool, uint32_t most, uint32_t *count)
{
    char *base = mid_pool_base(pool), *head = NULL, *rest = NULL;
    *count = 0;
    if (pool->chain == 0 && pool->bound < pool->slots)
        head = link_fresh(a, pool);
    else if (pool->chain != 0)
        head = base + pool->chain;
    if (head != NULL)
        rest = cut(head, most, count);
    pool->chain = rest == NULL ? 0 : (uint32_t)(rest - base);
    pool->live = (uint16_t)(pool->live + *count);
    a->blocks[pool->size_class].handed += *count;
    return head;
}

void mid_block_return(mid_alloc *a, void *block)
{
    mid_pool *pool = mid_pool_in(a, block);
    char *base = mid_pool_base(pool);
    *(void **)block = pool->chain == 0 ? NULL : base + pool->chain;
    pool->chain = (uint32_t)((char *)block - base);
    a->blocks[pool->size_class].handed--;
    if (--pool->live < pool->low) {
        list_remove(a, pool);
        file_pool(a, pool);
    }
}

/* Of the sizes, as far as they have been needed; and behind the last slot that was. */
uint64_t mid_block_pools_untouched(const mid_alloc *a)
{
    uint64_t bytes = 0;
    for (unsigned c = 0; c < a->class_count; c++)
        for (unsigned list = 0; list < MID_POOL_LISTS; list++)
            for (const mid_pool *pool = a->blocks[c].list[list]; pool != NULL; pool = pool->next) {
                uint64_t whole = (a->blocks[c].first - pool->bound * 2u) / MID_PAGE;
                bytes += a->pool_size - reached(a, pool) * (uint64_t)MID_PAGE;
                bytes += pool->reached == 0 && pool->bound != 0 ? whole * MID_PAGE : 0;
            }
    return bytes;
}

static const char *check_chain(const mid_alloc *a, mid_pool *pool)
{
    const mid_block_class *b = &a->blocks[pool->size_class];
    char *base = mid_pool_base(pool);
    uint32_t n = 0, size = a->classes[pool->size_class].slot_size;
    for (char *at = pool->chain == 0 ? NULL : base + pool->chain; at != NULL; at = *(char **)at) {
        uint32_t offset = (uint32_t)(at - base) - b->first;
        if (++n > pool->bound || at < base + b->first || at >= base + b->end || offset % size != 0 ||
            *mid_block_size_of(b, base, offset / size) != 0)
            return "a list of free blocks leads astray: one was written to after it was freed";
    }
    return n == (uint32_t)pool->bound - pool->live ? NULL : "a pool's list of free blocks is not as long as they are many";
}

static const char *check_list(const mid_alloc *a, unsigned size_class, unsigned list, uint64_t *pools, uint64_t *live)
{
    const mid_pool *before = NULL;
    for (mid_pool *pool = a->blocks[size_class].list[list]; pool != NULL; before = pool, pool = pool->next) {
        if (pool->prev != before || pool->state != MID_UNIT_BLOCKS || LIST(pool) != list || pool->size_class != size_class)
            return "a pool of blocks is on the wrong list";
        if (pool->live > pool->bound || pool->bound > pool->slots)
            return "the counts of a pool of blocks contradict each other";
        if (list != MID_POOL_OWNED && (mid_pool_list(pool) != list || (list < 9 && pool->low != mid_pool_low(pool, list))))
            return "a pool of blocks is not where its count asks for";
        const char *wrong = check_chain(a, pool);
        if (wrong != NULL)
            return wrong;
        *pools += 1;
        *live += pool->live;
    }
    return NULL;
}

const char *mid_blocks_check(mid_alloc *a)
{
    uint64_t all_used = 0, all_empty = 0;
    for (unsigned c = 0; c < a->class_count; c++) {
        uint64_t used = 0, empty = 0, live = 0;
        for (unsigned list = 0; list < MID_POOL_LISTS; list++) {
            const char *wrong = check_list(a, c, list, list == MID_POOL_EMPTY ? &empty : &used, &live);
            if (wrong != NULL)
                return wrong;
        }
        if (used != a->blocks[c].pools || live != a->blocks[c].handed)
            return "the totals of a class of blocks contradict its pools";
        all_used += used;
        all_empty += empty;
    }
    return all_used == a->block_pools && all_empty == a->empty_block_pools ? NULL : "the number of pools of blocks is wrong";
}
