/* gc/map.c: small maps from entry indices to numbers: open addressing, linear probing, deletion by moving back
 * (Knuth, TAOCP 3, 6.4, algorithm R). */
#include "gc/heap.h"

typedef struct cell {
    uint32_t key, value;
} cell;

static cell *cells(const mid_map *map)
{
    return map->cells.data;
}

static uint32_t home(const mid_map *map, uint32_t key)
{
    return (key * 2654435769u) >> 7 & map->mask;
}

static cell *find(const mid_map *map, uint32_t key)
{
    if (map->cells.data == NULL)
        return NULL;
    for (uint32_t i = home(map, key);; i = (i + 1) & map->mask) {
        if (cells(map)[i].key == key)
            return &cells(map)[i];
        if (cells(map)[i].key == 0)
            return NULL;
    }
}

static void insert(mid_map *map, uint32_t key, uint32_t value)
{
    uint32_t i = home(map, key);
    while (cells(map)[i].key != 0)
        i = (i + 1) & map->mask;
    cells(map)[i] = (cell){key, value};
    MID_WRITE_(map->count, map->count + 1); /* for figures it is read without what guards the map */
}

mid_status mid_map_grow(mid_heap *heap, mid_map *map)
{
    mid_map bigger = {0};
    size_t bytes = map->cells.bytes == 0 ? MID_PAGE : map->cells.bytes * 2;
    mid_status status = mid_array_grow(&heap->alloc, &bigger.cells, bytes);
    if (status != MID_OK)
        return status;
    bigger.mask = (uint32_t)(bigger.cells.bytes / sizeof(cell)) - 1;
    for (uint32_t i = 0; map->cells.data != NULL && i <= map->mask; i++)
        if (cells(map)[i].key != 0)
            insert(&bigger, cells(map)[i].key, cells(map)[i].value);
    mid_array_free(&heap->alloc, &map->cells);
    map->cells = bigger.cells; /* as many are in it as were */
    map->mask = bigger.mask;
    return MID_OK;
}

bool mid_map_room(const mid_map *map)
{
    return map->cells.data != NULL && (map->count + 1) * (uint64_t)4 <= (map->mask + (uint64_t)1) * 3;
}

uint32_t mid_map_get(const mid_map *map, uint32_t key)
{
    cell *c = find(map, key);
    return c == NULL ? 0 : c->value;
}

mid_status mid_map_set(mid_heap *heap, mid_map *map, uint32_t key, uint32_t value)
{
    cell *c = find(map, key);
    if (c != NULL) {
        c->value = value;
        return MID_OK;
    }
    if (!mid_map_room(map)) {
        mid_status status = mid_map_grow(heap, map);
        if (status != MID_OK)
            return status;
    }
    insert(map, key, value);
    return MID_OK;
}

void mid_map_remove(mid_map *map, uint32_t key)
{
    cell *c = find(map, key);
    if (c == NULL)
        return;
    MID_WRITE_(map->count, map->count - 1);
    uint32_t hole = (uint32_t)(c - cells(map));
    for (uint32_t i = (hole + 1) & map->mask; cells(map)[i].key != 0; i = (i + 1) & map->mask) {
        uint32_t wants = home(map, cells(map)[i].key);
        if (((i - wants) & map->mask) >= ((i - hole) & map->mask)) {
            cells(map)[hole] = cells(map)[i];
            hole = i;
        }
    }
    cells(map)[hole].key = 0;
}
