/* tests/unit/maps.h: what the tests of weak maps share. */
#ifndef MAPS_H
#define MAPS_H

#include "unit.h"

static inline mid_handle got(struct unit *u, mid_handle map, mid_handle key)
{
    mid_handle value;
    ok(mid_weak_map_get(u->thread, map, key, &value));
    return value;
}

static inline size_t count(struct unit *u, mid_handle map)
{
    size_t n;
    ok(mid_weak_map_count(u->thread, map, &n));
    return n;
}

static inline mid_handle map_new(struct unit *u, mid_weak_kind kind)
{
    mid_handle map;
    ok(mid_weak_map_new(u->thread, kind, &map));
    return map;
}

/* A node that the map leads from `key` to, whose left is `left` [consumed]. */
static inline mid_handle put_node(struct unit *u, mid_handle map, mid_handle key, mid_handle left)
{
    mid_handle value = unit_new(u, u->node);
    mid_give(u->thread, value, LEFT, left);
    ok(mid_weak_map_set(u->thread, map, key, value));
    mid_release(u->thread, value);
    return value;
}

#endif
