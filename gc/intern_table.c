/* gc/intern_table.c: the places of what is interned, and how a table of them grows.
 *
 * A table that is full is not copied in one go: there are two then, and each look-up and each insertion moves a few from the old one to the
 * new (as Redis's dict does), the last place first, taken out as deaths take out. So at any time each place of either names what is there and
 * is found by its hash, and what lies behind the last is given back to the system by and by. */
#include "gc/intern.h"

#define TABLE_LEAST 256u
#define STEP_MOVES 8u             /* of those a full table has, 12 places; and 1.5 would do before the next is full */
#define STEP_PLACES 32u
#define GIVE_BACK ((size_t)128 << 10)

void mid_intern_take_out(mid_intern_table *table, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & table->mask; mid_place_taken(table, i); i = (i + 1) & table->mask)
        if (((i - mid_place_at(table, i)->hash) & table->mask) >= ((i - hole) & table->mask)) {
            *mid_place_at(table, hole) = *mid_place_at(table, i);
            hole = i;
        }
    *mid_place_at(table, hole) = (mid_interned){0};
}

/* What is behind its end goes back to the system, in pieces: all of it at once would take as long as there is of it. */
static void give_back(mid_heap *heap, mid_intern_table *table)
{
    mid_alloc *a = &heap->alloc;
    size_t bytes = mid_round((size_t)table->end * sizeof(mid_interned), MID_PAGE);
    if (bytes == 0 || table->places.bytes - bytes < GIVE_BACK)
        return;
    void *data = a->os.remap(a->os.ctx, table->places.data, table->places.bytes, bytes);
    if (data == NULL)
        return; /* refused: it goes with the rest */
    mid_unbook(a, MID_IN_META, table->places.bytes - bytes);
    table->places = (mid_array){.data = data, .bytes = bytes};
}

/* So many, or so many places, whichever comes first: the last place of the old table, until it is empty, and then the one before. */
static void step(mid_heap *heap, mid_policy *policy, uint64_t moves, uint64_t places)
{
    mid_intern_table *old = &policy->old;
    while (moves != 0 && places != 0 && old->end != 0) {
        uint32_t last = (uint32_t)(old->end - 1);
        if (mid_place_taken(old, last)) {
            mid_interned moved = *mid_place_at(old, last);
            mid_intern_take_out(old, last); /* only the first of all may have one move up, around the end */
            *mid_place_at(&policy->table, mid_intern_end_of(&policy->table, moved.hash)) = moved;
            moves--;
        } else {
            old->end = last;
            places--;
        }
    }
    give_back(heap, old);
    if (old->end == 0) {
        mid_array_free(&heap->alloc, &old->places);
        *old = (mid_intern_table){0};
    }
}

void mid_intern_finish(mid_heap *heap, mid_policy *policy)
{
    if (policy->old.places.data != NULL)
        step(heap, policy, UINT64_MAX, UINT64_MAX);
}

mid_status mid_intern_begin(mid_heap *heap, mid_policy *policy, size_t places)
{
    mid_intern_table next = {.mask = (uint32_t)places - 1, .end = places};
    mid_status status = mid_array_grow(&heap->alloc, &next.places, places * sizeof(mid_interned));
    if (status != MID_OK)
        return status;
    mid_intern_finish(heap, policy); /* has happened long ago, unless it has been full for want of memory */
    policy->old = policy->table;
    policy->table = next;
    return MID_OK;
}

void mid_intern_go_on_slow(mid_heap *heap, mid_policy *policy)
{
    step(heap, policy, STEP_MOVES, STEP_PLACES);
}

size_t mid_intern_places_for(uint64_t live)
{
    size_t places = TABLE_LEAST;
    while (live * 2 >= places) /* at most half full: the next time is as many insertions away */
        places *= 2;
    return places;
}

void mid_intern_close(mid_heap *heap, mid_policy *policy)
{
    mid_array_free(&heap->alloc, &policy->table.places);
    mid_array_free(&heap->alloc, &policy->old.places);
    mid_array_free(&heap->alloc, &policy->hashes.cells);
    policy->hashes = (mid_map){0};
    policy->table = policy->old = (mid_intern_table){0};
    policy->used = 0;
}

/* Memory is wanted now: in one go. */
void mid_intern_purge(mid_heap *heap, mid_policy *policy)
{
    if (policy->used == 0) {
        mid_intern_close(heap, policy);
        return;
    }
    mid_intern_finish(heap, policy);
    if (mid_intern_places_for(policy->used) <= policy->table.mask && mid_intern_begin(heap, policy, mid_intern_places_for(policy->used)) == MID_OK)
        mid_intern_finish(heap, policy); /* without memory for it all stays */
}
