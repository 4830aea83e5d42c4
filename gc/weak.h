/* gc/weak.h: weak cells, and what some of them are besides: references that call back, and halves of pairs.
 *
 * A pair is a position in a map: two items, the strong half and, as an immediate integer, the number of its weak cell, whose target
 * is the other half. The cell knows its map by the number of a cell of the map's own, so that a map may be given another handle.
 * All of it with `memory` held, or while the world stands. */
#ifndef MID_GC_WEAK_H
#define MID_GC_WEAK_H

#include "gc/heap.h"

typedef enum mid_weak_role {
    MID_CELL_PLAIN,
    MID_CELL_CALLS,   /* mid_weak_new_with */
    MID_CELL_DUE,     /* its object has gone: it is in the queue */
    MID_CELL_OVER,    /* dropped while it was in the queue */
    MID_CELL_OWNER,   /* on the owner of `other` */
    MID_CELL_MAP,     /* on a map */
    MID_CELL_KEY,     /* a pair whose value depends on the target */
    MID_CELL_VALUE    /* a pair whose value is the target */
} mid_weak_role;

typedef struct mid_weak_extra {
    uint32_t role;
    uint32_t next_due;     /* DUE, OVER */
    uint32_t other;        /* CALLS, DUE: the cell on the owner, 0: none; OWNER: that of the reference; KEY, VALUE: that on the map */
    uint32_t key;          /* KEY, VALUE: what the pair is found by; MAP: how many go through it */
    union {
        struct {
            uint32_t at;   /* KEY, VALUE: position in the map */
            uint32_t leaf; /* KEY: of a type that is in no cycle, as it thinks */
        };
        struct {
            mid_weak_fn *callback;
            void *context;
        };
    };
} mid_weak_extra;
_Static_assert(sizeof(mid_weak_extra) == 32, "two a cache line");

/* A map, or an ephemeron, which has room for one pair. Items: the halves of position n at 2n and 2n + 1. Free ones have 0 there, and
 * before it the next free position, as an integer; -1 is none. */
typedef struct mid_weak_map {
    uint32_t length;
    uint32_t self;         /* its own cell; 0: it is dying */
    uint32_t count;
    int32_t free;
    mid_slot items[];
} mid_weak_map;
_Static_assert(sizeof(mid_weak_map) == 16, "before the items");

static inline mid_weak_cell *mid_weak_cell_at(const mid_heap *heap, uint32_t cell)
{
    return (mid_weak_cell *)heap->weak_cells.data + cell;
}
/* Only a cell that was more than plain at some time need have one. */
static inline mid_weak_extra *mid_weak_extra_at(const mid_heap *heap, uint32_t cell)
{
    return (mid_weak_extra *)heap->weak_extras.data + cell;
}
static inline mid_weak_role mid_weak_role_of(const mid_heap *heap, uint32_t cell)
{
    return (cell + (size_t)1) * sizeof(mid_weak_extra) > heap->weak_extras.bytes ? MID_CELL_PLAIN : (mid_weak_role)mid_weak_extra_at(heap, cell)->role;
}
/* The map of a pair. */
static inline mid_handle mid_pair_map(const mid_heap *heap, uint32_t cell)
{
    return mid_weak_cell_at(heap, mid_weak_extra_at(heap, cell)->other)->target;
}
static inline mid_weak_map *mid_weak_map_at(const mid_heap *heap, mid_handle map)
{
    return mid_address(mid_entry_at(heap, map));
}
static inline mid_slot *mid_pair_slot(const mid_heap *heap, uint32_t cell)
{
    return mid_weak_map_at(heap, mid_pair_map(heap, cell))->items + 2 * (size_t)mid_weak_extra_at(heap, cell)->at;
}
static inline uint32_t mid_pair_cell(const mid_slot *items, uint32_t at) /* 0: that position is free */
{
    return items[2 * (size_t)at + 1].bits_ >> 1;
}

/* --- weak.c */
mid_status mid_weak_make(mid_heap *heap, mid_handle object, mid_weak_role role, uint32_t *cell);
void mid_weak_give(mid_heap *heap, uint32_t cell);  /* it is free, whatever it refers to */
bool mid_weak_count_up(mid_thread *thread, mid_handle object, mid_entry *entry); /* if it is alive */

/* --- pairs.c */
mid_status mid_pairs_room(mid_heap *heap); /* for one more */
void mid_pairs_shrink(mid_heap *heap);     /* the table, if most of it is empty */
uint32_t mid_pair_find(const mid_heap *heap, uint32_t map_cell, uint32_t key);
void mid_pair_enter(mid_heap *heap, uint32_t cell);
void mid_pair_leave(mid_heap *heap, uint32_t cell);
mid_handle mid_pair_end(mid_heap *heap, uint32_t cell); /* its position and its cell are free; returns the strong half, which is the caller's */
void mid_pairs_orphan(mid_heap *heap, mid_handle map);  /* it dies: its pairs are none, what it refers to stays to be dropped */

#endif
