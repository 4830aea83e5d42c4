/* gc/intern.h: the tables of what is interned, as their two files know them: intern_table.c, and intern.c. With `memory` held. */
#ifndef MID_GC_INTERN_H
#define MID_GC_INTERN_H

#include "gc/heap.h"
#include "gc/policy.h"

static inline mid_interned *mid_place_at(const mid_intern_table *table, uint32_t place)
{
    return (mid_interned *)table->places.data + place;
}

static inline bool mid_place_taken(const mid_intern_table *table, uint32_t place)
{
    return place < table->end && mid_place_at(table, place)->object != 0;
}

/* The empty place at the end of a hash's chain. */
static inline uint32_t mid_intern_end_of(const mid_intern_table *table, uint32_t hash)
{
    uint32_t i = hash & table->mask;
    while (mid_place_taken(table, i))
        i = (i + 1) & table->mask;
    return i;
}

void mid_intern_take_out(mid_intern_table *table, uint32_t hole);
size_t mid_intern_places_for(uint64_t live);
/* Another table of so many places, which are enough for all: the one there is becomes the old one. */
mid_status mid_intern_begin(mid_heap *heap, mid_policy *policy, size_t places);
void mid_intern_finish(mid_heap *heap, mid_policy *policy); /* all are in one table */
void mid_intern_go_on_slow(mid_heap *heap, mid_policy *policy);
/* A few move to the table that is not the old one, if there are two. */
static inline void mid_intern_go_on(mid_heap *heap, mid_policy *policy)
{
    if (MID_UNLIKELY_(policy->old.places.data != NULL))
        mid_intern_go_on_slow(heap, policy);
}

#endif
