/* gc/side.c: counts of frozen objects, beside the table.
 *
 * Only differences are kept: who takes a count and drops it again leaves nothing behind, so that a child that reads a frozen graph
 * writes to a page of each part and no other. The parts are chosen by a hash of the index. Where there is no memory for one more
 * difference, the count goes to the entry's own half for others: that page is shared no more, and nothing is lost. */
#include "gc/freeze.h"

static mid_side *side_of(mid_heap *heap, mid_handle object)
{
    return &heap->freezer->sides[(object / 2 * 2654435769u) >> 28];
}
_Static_assert(MID_SIDES == 1u << 4, "the four highest bits of a hash choose");

/* False: it is a new one, and there is no room. */
static bool add(mid_heap *heap, mid_map *map, uint32_t key, int32_t by)
{
    uint32_t was = mid_map_get(map, key), now = was + (uint32_t)by;
    if (was == 0 && !mid_map_room(map))
        return false;
    if (now == 0)
        mid_map_remove(map, key);
    else
        mid_map_set(heap, map, key, now);
    return true;
}

static void write_to_entry(mid_heap *heap, mid_handle object, int32_t by)
{
    __atomic_fetch_add(&mid_entry_at(heap, object)->shared, (uint32_t)by * MID_SHARED_ONE_, __ATOMIC_RELAXED);
    MID_COUNT(heap, frozen_written, 1);
}

/* Memory is taken with `memory` held, which comes first. */
static void add_with_room(mid_heap *heap, mid_side *side, mid_handle object, int32_t by)
{
    mid_lock(heap);
    pthread_mutex_lock(&side->lock);
    bool room = mid_map_room(&side->more) || mid_map_grow(heap, &side->more) == MID_OK;
    bool added = room && add(heap, &side->more, object / 2, by);
    pthread_mutex_unlock(&side->lock);
    mid_unlock(heap);
    if (!added)
        write_to_entry(heap, object, by);
}

void mid_side_count(mid_heap *heap, mid_handle object, int32_t by)
{
    mid_side *side = side_of(heap, object);
    pthread_mutex_lock(&side->lock);
    bool added = add(heap, &side->more, object / 2, by);
    pthread_mutex_unlock(&side->lock);
    if (!added)
        add_with_room(heap, side, object, by);
}

int32_t mid_side_more(mid_heap *heap, mid_handle object)
{
    mid_side *side = side_of(heap, object);
    pthread_mutex_lock(&side->lock);
    uint32_t more = mid_map_get(&side->more, object / 2);
    pthread_mutex_unlock(&side->lock);
    return (int32_t)more;
}

uint64_t mid_side_objects(const mid_heap *heap)
{
    uint64_t objects = 0;
    for (unsigned i = 0; heap->freezer != NULL && i < MID_SIDES; i++)
        objects += MID_READ_(heap->freezer->sides[i].more.count);
    return objects;
}

void mid_sides_open(mid_freezer *freezer)
{
    for (unsigned i = 0; i < MID_SIDES; i++)
        pthread_mutex_init(&freezer->sides[i].lock, NULL);
}

void mid_sides_close(mid_heap *heap)
{
    for (unsigned i = 0; i < MID_SIDES; i++) {
        mid_array_drop(heap, &heap->freezer->sides[i].more.cells);
        pthread_mutex_destroy(&heap->freezer->sides[i].lock);
    }
}

void mid_sides_hold(mid_heap *heap)
{
    for (unsigned i = 0; heap->freezer != NULL && i < MID_SIDES; i++)
        pthread_mutex_lock(&heap->freezer->sides[i].lock);
}

void mid_sides_let_go(mid_heap *heap)
{
    for (unsigned i = 0; heap->freezer != NULL && i < MID_SIDES; i++)
        pthread_mutex_unlock(&heap->freezer->sides[i].lock);
}

void mid_sides_in_child(mid_heap *heap)
{
    for (unsigned i = 0; heap->freezer != NULL && i < MID_SIDES; i++)
        pthread_mutex_init(&heap->freezer->sides[i].lock, NULL);
}
