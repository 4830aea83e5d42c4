/* gc/pairs.c: pairs of a strong and a weak half, found by map and key; what the collector asks about them.
 *
 * The table has the numbers of their cells: open addressing, linear probing, deletion by moving back (Knuth, TAOCP 3, 6.4,
 * algorithm R). A key that is given another handle is entered anew (weak.c). */
#include <string.h>

#include "gc/count.h"
#include "gc/pairs.h"
#include "gc/weak.h"

static uint32_t *slots(const mid_heap *heap)
{
    return heap->pairs.data;
}

static uint32_t home(const mid_heap *heap, uint32_t map_cell, uint32_t key)
{
    uint64_t both = ((uint64_t)map_cell << 32 | key) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(both >> 32) & heap->pairs_mask;
}

static uint32_t home_of(const mid_heap *heap, uint32_t cell)
{
    const mid_weak_extra *extra = mid_weak_extra_at(heap, cell);
    return home(heap, extra->other, extra->key);
}

static void insert(mid_heap *heap, uint32_t cell)
{
    uint32_t i = home_of(heap, cell);
    while (slots(heap)[i] != 0)
        i = (i + 1) & heap->pairs_mask;
    slots(heap)[i] = cell;
}

static mid_status rebuild(mid_heap *heap, size_t bytes)
{
    mid_array other = {0}, was = heap->pairs;
    mid_status status = mid_array_grow(&heap->alloc, &other, bytes);
    if (status != MID_OK)
        return status;
    heap->pairs = other;
    heap->pairs_mask = (uint32_t)((size_t)1 << (63 - __builtin_clzll(other.bytes / sizeof(uint32_t)))) - 1;
    for (size_t i = 0; i < was.bytes / sizeof(uint32_t); i++)
        if (((const uint32_t *)was.data)[i] != 0)
            insert(heap, ((const uint32_t *)was.data)[i]);
    mid_array_free(&heap->alloc, &was);
    return MID_OK;
}

/* At most three quarters are in use. */
mid_status mid_pairs_room(mid_heap *heap)
{
    if (heap->pairs.data != NULL && (heap->pairs_count + (uint64_t)1) * 4 <= (heap->pairs_mask + (uint64_t)1) * 3)
        return MID_OK;
    return rebuild(heap, heap->pairs.bytes == 0 ? MID_PAGE : heap->pairs.bytes * 2);
}

/* To a quarter of it in use at most, so that it does not grow again at once. Without memory it stays. */
void mid_pairs_shrink(mid_heap *heap)
{
    size_t bytes = heap->pairs.bytes;
    while (bytes > MID_PAGE && heap->pairs_count < bytes / sizeof(uint32_t) / 8)
        bytes /= 2;
    if (bytes < heap->pairs.bytes)
        rebuild(heap, bytes);
}

static uint32_t place_of(const mid_heap *heap, uint32_t cell)
{
    uint32_t i = home_of(heap, cell);
    while (slots(heap)[i] != cell)
        i = (i + 1) & heap->pairs_mask;
    return i;
}

uint32_t mid_pair_find(const mid_heap *heap, uint32_t map_cell, uint32_t key)
{
    if (heap->pairs.data == NULL)
        return 0;
    for (uint32_t i = home(heap, map_cell, key);; i = (i + 1) & heap->pairs_mask) {
        uint32_t cell = slots(heap)[i];
        if (cell == 0)
            return 0;
        const mid_weak_extra *extra = mid_weak_extra_at(heap, cell);
        if (extra->other == map_cell && extra->key == key)
            return cell;
    }
}

void mid_pair_enter(mid_heap *heap, uint32_t cell)
{
    insert(heap, cell);
    MID_WRITE_(heap->pairs_count, heap->pairs_count + 1);
}

void mid_pair_leave(mid_heap *heap, uint32_t cell)
{
    const uint32_t mask = heap->pairs_mask;
    uint32_t hole = place_of(heap, cell);
    for (uint32_t i = (hole + 1) & mask; slots(heap)[i] != 0; i = (i + 1) & mask) {
        uint32_t wants = home_of(heap, slots(heap)[i]);
        if (((i - wants) & mask) >= ((i - hole) & mask)) {
            slots(heap)[hole] = slots(heap)[i];
            hole = i;
        }
    }
    slots(heap)[hole] = 0;
    MID_WRITE_(heap->pairs_count, heap->pairs_count - 1);
}

/* --- ends of pairs -------------------------------------------------------------------------------------------------------- */

static void forget(mid_heap *heap, uint32_t cell)
{
    const mid_weak_extra *extra = mid_weak_extra_at(heap, cell);
    mid_pair_leave(heap, cell);
    if (extra->role == MID_CELL_KEY && extra->leaf)
        MID_WRITE_(heap->leaf_pairs, heap->leaf_pairs - 1);
    mid_weak_give(heap, cell);
}

mid_handle mid_pair_end(mid_heap *heap, uint32_t cell)
{
    mid_handle map = mid_pair_map(heap, cell);
    uint32_t at = mid_weak_extra_at(heap, cell)->at;
    mid_weak_map *m = mid_weak_map_at(heap, map);
    mid_slot *half = m->items + 2 * (size_t)at;
    mid_handle strong = 0;
    /* Of a set that is being freed, part by part, what its members refer to may be gone: they let go of it themselves. */
    if (!heap->committed || !mid_watched(MID_READ_(mid_entry_at(heap, map)->count))) {
        strong = __atomic_exchange_n(&half->bits_, mid_from_int(m->free), __ATOMIC_ACQ_REL);
        m->free = (int32_t)at;
    }
    MID_WRITE_(half[1].bits_, 0);
    m->count--;
    forget(heap, cell);
    return strong;
}

void mid_pairs_orphan(mid_heap *heap, mid_handle map)
{
    mid_lock(heap);
    mid_weak_map *m = mid_weak_map_at(heap, map);
    for (uint32_t at = 0; m->self != 0 && at < m->length / 2; at++) {
        uint32_t cell = mid_pair_cell(m->items, at);
        if (cell == 0)
            continue;
        MID_WRITE_(m->items[2 * (size_t)at + 1].bits_, 0);
        forget(heap, cell);
    }
    if (m->self != 0)
        mid_weak_give(heap, m->self);
    m->self = m->count = 0;
    mid_unlock(heap);
}

/* --- for the collector ---------------------------------------------------------------------------------------------------- */

bool mid_pairs_key(const mid_heap *heap, uint32_t index)
{
    for (uint32_t cell = mid_map_get(&heap->weak_heads, index); cell != 0; cell = mid_weak_cell_at(heap, cell)->next)
        if (mid_weak_role_of(heap, cell) == MID_CELL_KEY)
            return true;
    return false;
}

void mid_pairs_of_key(mid_heap *heap, uint32_t index, mid_pair_fn *fn, void *context)
{
    for (uint32_t cell = mid_map_get(&heap->weak_heads, index); cell != 0; cell = mid_weak_cell_at(heap, cell)->next)
        if (mid_weak_role_of(heap, cell) == MID_CELL_KEY)
            fn(context, mid_pair_map(heap, cell), mid_pair_slot(heap, cell));
}

void mid_pairs_of_map(mid_heap *heap, const void *object, mid_pair_fn *fn, void *context)
{
    const mid_weak_map *m = object;
    for (uint32_t at = 0; at < m->length / 2; at++) {
        uint32_t cell = mid_pair_cell(m->items, at);
        /* Without a cell it is the strong half of a pair that has ended, or the number of a free place. */
        mid_handle key = cell == 0 ? 0 : mid_weak_cell_at(heap, cell)->target;
        fn(context, key, (mid_slot *)m->items + 2 * (size_t)at);
    }
}

void mid_pairs_sever(mid_heap *heap, mid_handle handle, mid_severed_fn *fn, void *context)
{
    uint32_t cell = mid_map_get(&heap->weak_heads, handle / 2), next;
    for (; cell != 0; cell = next) {
        next = mid_weak_cell_at(heap, cell)->next;
        if (mid_weak_role_of(heap, cell) >= MID_CELL_KEY)
            fn(context, mid_pair_end(heap, cell));
    }
}

#ifndef MID_PAIRS_MANY
#define MID_PAIRS_MANY 1024u
#endif

bool mid_pairs_due(const mid_heap *heap)
{
    return MID_READ_(heap->pairs_count) >= MID_PAIRS_MANY + 2 * (uint64_t)MID_READ_(heap->pairs_alive);
}

/* --- check ---------------------------------------------------------------------------------------------------------------- */

static const char *check_map(const mid_heap *heap, mid_handle map, uint32_t self, uint64_t *pairs)
{
    const mid_weak_map *m = mid_weak_map_at(heap, map);
    uint32_t used = 0;
    if (m->self != self || !mid_type_of_entry(heap, mid_entry_at(heap, map))->pairs)
        return "a weak map does not know its cell";
    for (uint32_t at = 0; at < m->length / 2; at++) {
        uint32_t cell = mid_pair_cell(m->items, at);
        if (cell == 0)
            continue;
        used++;
        if (cell > heap->weak_used || mid_weak_role_of(heap, cell) < MID_CELL_KEY)
            return "a weak map has a pair without a cell";
        const mid_weak_extra *extra = mid_weak_extra_at(heap, cell);
        if (extra->other != self || extra->at != at || mid_pair_find(heap, self, extra->key) != cell)
            return "a pair is not where it is looked for";
        if (extra->key != (extra->role == MID_CELL_KEY ? mid_weak_cell_at(heap, cell)->target : m->items[2 * (size_t)at].bits_))
            return "a pair is found by another key than its own";
    }
    for (int32_t at = m->free; at != -1; used++) {
        if (at < 0 || (uint32_t)at >= m->length / 2 || used > m->length / 2 || mid_pair_cell(m->items, (uint32_t)at) != 0)
            return "the list of a weak map's free positions is wrong";
        at = mid_to_int(m->items[2 * (size_t)at].bits_);
    }
    *pairs += m->count;
    return used > m->length / 2 ? "a weak map has more positions than items" : NULL;
}

const char *mid_pairs_check(const mid_heap *heap)
{
    uint64_t pairs = 0, leaf = 0;
    const char *wrong = NULL;
    for (uint32_t cell = 1; cell <= heap->weak_used && wrong == NULL; cell++) {
        const mid_weak_role role = mid_weak_role_of(heap, cell);
        if (role == MID_CELL_MAP)
            wrong = check_map(heap, mid_weak_cell_at(heap, cell)->target, cell, &pairs);
        leaf += role == MID_CELL_KEY && mid_weak_extra_at(heap, cell)->leaf;
    }
    if (wrong == NULL && (pairs != heap->pairs_count || leaf != heap->leaf_pairs))
        wrong = "the number of pairs in weak maps is wrong";
    return wrong;
}
