/* gc/freeze.h: frozen objects, and where their counts are kept.
 *
 *   freeze.c  freezing, thawing, the check      side.c  counts meanwhile
 *
 * A frozen object's count word is MID_FROZEN_; what it was is in `was`, by index, written when the object is frozen and read
 * when it thaws. `shared` stays what it was, with ESCAPED, so that no store has to say so. The count is the sum of both
 * halves, as they were, and of what the side table has. docs/design/freeze.md has the whole. */
#ifndef MID_GC_FREEZE_H
#define MID_GC_FREEZE_H

#include "gc/count.h"

#define MID_SIDES 16u /* parts of the side table, so that threads seldom meet; a page each once they are used */

/* What a count is more (or less: two's complement) than it was, by index; none is 0. Taken with `memory` held or not, and
 * nothing is taken after it. */
typedef struct mid_side {
    pthread_mutex_t lock;
    mid_map more;
} mid_side;

typedef struct mid_freezer {
    mid_side sides[MID_SIDES];
    mid_array was;     /* uint32_t[], by index: count words; MID_WAS_ALONE in those that had no ESCAPED */
    uint64_t objects;
} mid_freezer;

#define MID_WAS_ALONE 0x80000000u /* nothing that is frozen was watched */

static inline uint32_t mid_was(const mid_heap *heap, uint32_t index)
{
    return ((const uint32_t *)heap->freezer->was.data)[index];
}

/* --- side.c */
/* A frozen object's count goes up or down by one. Any thread that is no further than its next safepoint; never fails. */
void mid_side_count(mid_heap *heap, mid_handle object, int32_t by);
int32_t mid_side_more(mid_heap *heap, mid_handle object); /* what it has come to */
uint64_t mid_side_objects(const mid_heap *heap);                /* with a count that is not what it was */
void mid_sides_open(mid_freezer *freezer);
void mid_sides_close(mid_heap *heap);
void mid_sides_hold(mid_heap *heap);                      /* around fork: all of it */
void mid_sides_let_go(mid_heap *heap);
void mid_sides_in_child(mid_heap *heap);                  /* whoever held them is gone */

/* --- freeze.c */
int64_t mid_total_frozen(mid_heap *heap, uint32_t index); /* exact while the world stands */
/* As mid_total, and of the frozen, too; of what is not there for ever. */
static inline int64_t mid_total_of(mid_heap *heap, uint32_t index)
{
    const mid_entry *entry = heap->table + index;
    return mid_frozen(MID_READ_(entry->count)) ? mid_total_frozen(heap, index) : mid_total(entry);
}
const char *mid_freeze_check(mid_heap *heap);             /* null, or what is wrong; the world stands */
void mid_freezer_close(mid_heap *heap);                   /* what it holds is given back */

#endif
