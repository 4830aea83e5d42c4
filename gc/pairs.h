/* gc/pairs.h: what the collector asks about weak maps (pairs.c). The world stands, or `memory` is held. */
#ifndef MID_GC_PAIRS_H
#define MID_GC_PAIRS_H

#include "gc/heap.h"

/* `other`: the map, or of a map the key; of what depends on none 0. */
typedef void mid_pair_fn(void *context, mid_handle other, mid_slot *value);
typedef void mid_severed_fn(void *context, mid_handle strong);

bool mid_pairs_key(const mid_heap *heap, uint32_t index); /* does any value depend on it? */
void mid_pairs_of_key(mid_heap *heap, uint32_t index, mid_pair_fn *fn, void *context);
void mid_pairs_of_map(mid_heap *heap, const void *map, mid_pair_fn *fn, void *context);
/* It is garbage: the pairs of which it is the weak half end, and their strong halves, counted, are fn's. */
void mid_pairs_sever(mid_heap *heap, mid_handle handle, mid_severed_fn *fn, void *context);
/* There are twice as many as were left the last time that they were collected exactly, which only a whole collection does: some may
 * be garbage that nothing else finds. */
bool mid_pairs_due(const mid_heap *heap);
const char *mid_pairs_check(const mid_heap *heap);

#endif
