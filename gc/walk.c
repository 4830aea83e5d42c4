/* gc/walk.c: from a suspect outwards, to the smallest set of objects that hold each other and that nothing else holds.
 *
 * Such a set is closed under predecessors: every count of a member is a reference from a member. So the walk compares each
 * object's count with the references to it that it has come across. Where they agree the object is *closed*: all its holders
 * are explored, and what it refers to is looked at first. While the objects explored so far lack holders the walk goes on
 * with one that is not closed, the latest that lacks few (down a list, not across it), and only for want of anything else with
 * one that lacks many: most of those are long-lived and shared. So what the garbage refers to need not be explored, only glanced
 * at. When nothing is missing, what was explored is garbage: trial deletion (Christopher 1984; Lins 1992) without writing to
 * any object. Whatever is alive makes its successors live, so if the suspect lacks holders in the end nothing else explored
 * can be garbage either. */
#include <string.h>

#include "gc/walk.h"

#include "gc/pairs.h"
#include "gc/racing.h"

#define ITEMS_MOST 16384u /* an array of more is left to the sweep, and what holds it */
#define ANNOUNCED 4u
#define NEAR_MOST 3u /* holders that a near object lacks at most */

/* Where the hash table has, or is to have, an index. */
static uint32_t *slot_of(mid_walk *w, uint32_t index)
{
    uint32_t mask = w->limit * 8 - 1, i = index * 2654435761u >> 7 & mask;
    while (w->slots[i] != 0 && w->nodes[w->slots[i] - 1].index != index)
        i = (i + 1) & mask;
    return &w->slots[i];
}

static uint32_t missing_of(const mid_walk_node *n)
{
    return n->count - n->found;
}

/* The node of a live, mortal, possibly cyclic object; null for anything else. A new one is not yet on a stack. */
static mid_walk_node *see(mid_walk *w, mid_handle value, bool *is_new)
{
    uint32_t *slot = slot_of(w, value / 2);
    *is_new = *slot == 0;
    if (!*is_new)
        return &w->nodes[*slot - 1];
    if (!mid_in_table(w->heap, value))
        return NULL;
    const mid_entry *entry = mid_entry_at(w->heap, value);
    const mid_type_info *type = mid_racing_type(w->heap, MID_READ_(entry->word));
    if (!mid_entry_live(entry) || type == NULL || !type->cyclic || mid_immortal(entry))
        return NULL;
    int64_t count = mid_total(entry);
    if (count <= 0)
        return NULL;
    w->nodes[w->seen] = (mid_walk_node){value / 2, 0, (uint32_t)count, MID_NODE_SEEN};
    *slot = ++w->seen;
    return &w->nodes[w->seen - 1];
}

/* By a walk before this one, to which nothing came of it: what it belongs to is that one's to find. */
static bool was_met(mid_walk *w, const mid_walk_node *n)
{
    return *mid_memo_of(w, n->index) == n->index * 2;
}

static bool meet(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_walk *w = context;
    bool is_new;
    mid_walk_node *n = see(w, value, &is_new);
    if (n == NULL)
        return true;
    if (is_new)
        __builtin_prefetch(mid_address(mid_entry_at(w->heap, value)));
    uint32_t at = (uint32_t)(n - w->nodes);
    n->found++;
    if (n->found > n->count) {
        w->odd = true; /* it changed meanwhile */
        return false;
    }
    if (n->state == MID_NODE_EXPLORED)
        w->missing--;
    else if (n->found == n->count)
        w->closed[w->closed_count++] = at;
    else if (is_new && missing_of(n) <= NEAR_MOST && !was_met(w, n))
        w->near[w->near_count++] = at;
    else if (is_new)
        w->far[w->far_count++] = at;
    return w->seen < w->limit * 4;
}

static inline __attribute__((always_inline)) bool refs_of(mid_walk *w, uint32_t index, mid_racing_fn *fn)
{
    uint32_t item = 0;
    mid_racing state;
    do
        state = mid_racing_piece(w->heap, index, w->still, &item, fn, w);
    while (state == MID_RACING_MORE && item < ITEMS_MOST);
    w->looked += 1 + item;
    w->needs_still |= state == MID_RACING_NOT_NOW;
    return state == MID_RACING_DONE;
}

static uint32_t pop(const mid_walk *w, const uint32_t *stack, uint32_t *count)
{
    while (*count != 0) {
        uint32_t at = stack[--*count];
        if (w->nodes[at].state == MID_NODE_SEEN)
            return at;
    }
    return UINT32_MAX;
}

static mid_walk_node *next(mid_walk *w)
{
    uint32_t at = pop(w, w->closed, &w->closed_count);
    if (at == UINT32_MAX)
        at = pop(w, w->near, &w->near_count);
    if (at == UINT32_MAX)
        at = pop(w, w->far, &w->far_count);
    return at == UINT32_MAX ? NULL : &w->nodes[at];
}

/* Its entry, soon to be looked at. */
static bool announce(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_walk *w = context;
    __builtin_prefetch(mid_entry_at(w->heap, value)); /* of a number that is none this does no harm */
    return --w->announced != 0;
}

void mid_walk_prepare(mid_walk *w, mid_handle suspect)
{
    const mid_entry *entry = mid_entry_at(w->heap, suspect);
    if (MID_READ_(entry->word) & MID_F_LARGE)
        return;
    w->announced = ANNOUNCED;
    refs_of(w, suspect / 2, announce);
    w->needs_still = false;
}

static void meet_value(void *context, mid_handle map, mid_slot *value)
{
    mid_walk *w = context;
    mid_handle to = mid_racing_read(value);
    uint32_t slot = *slot_of(w, map / 2);
    bool met = slot != 0 && w->nodes[slot - 1].state == MID_NODE_EXPLORED; /* then the map's reference was */
    if (mid_is_object_(to) && !met && !w->odd && w->seen < w->limit * 4)
        meet(w, to, 0);
}

/* What its maps hold for a key they hold only while it lives: as good as a reference of its own. */
static void meet_values(mid_walk *w, uint32_t index)
{
    if (!(MID_READ_(w->heap->table[index].word) & MID_F_WEAK) || MID_READ_(w->heap->pairs_count) == 0)
        return;
    mid_lock(w->heap);
    mid_pairs_of_key(w->heap, index, meet_value, w);
    mid_unlock(w->heap);
}

static bool explore(mid_walk *w, mid_walk_node *n)
{
    n->state = MID_NODE_EXPLORED;
    w->explored++;
    MID_DELAY(WALK);
    w->missing += missing_of(n);
    const uint32_t index = n->index;
    if (!refs_of(w, index, meet))
        return false;
    meet_values(w, index);
    return !w->odd && w->seen < w->limit * 4;
}

/* What is held from elsewhere holds what it refers to. Of what it referred to when it was explored: if that has changed since,
 * the proof will tell. */
static bool hold(void *context, mid_handle value, uint32_t number)
{
    (void)number;
    mid_walk *w = context;
    uint32_t slot = *slot_of(w, value / 2);
    if (slot != 0 && w->nodes[slot - 1].state == MID_NODE_EXPLORED) {
        w->nodes[slot - 1].state = MID_NODE_HELD;
        w->near[w->near_count++] = slot - 1;
    }
    return true;
}

/* Is the suspect garbage, though some of what was explored is not? */
static bool judge(mid_walk *w)
{
    w->near_count = 0;
    for (uint32_t i = 0; i < w->seen; i++) {
        mid_walk_node *n = &w->nodes[i];
        if (n->state == MID_NODE_EXPLORED && n->found != n->count) {
            n->state = MID_NODE_HELD;
            w->near[w->near_count++] = i;
        }
    }
    while (w->near_count != 0)
        refs_of(w, w->nodes[w->near[--w->near_count]].index, hold);
    return w->nodes[0].state == MID_NODE_EXPLORED;
}

static mid_verdict outcome(mid_walk *w, bool exhausted)
{
    if (w->needs_still)
        return MID_WALK_STILL;
    if (w->odd)
        return MID_WALK_ALIVE;
    const mid_walk_node *first = &w->nodes[0];
    if (first->found == first->count && (w->missing == 0 || judge(w)))
        return MID_WALK_GARBAGE;
    return exhausted ? MID_WALK_ALIVE : MID_WALK_MORE;
}

/* Where nearly everything is accounted for (a long list, and not the middle of a graph), more of the same will do. */
static bool go_further(mid_walk *w)
{
    if (w->limit == MID_WALK_MOST || w->credit <= 0 || w->missing * 4 > w->explored)
        return false;
    memset(w->slots, 0, w->limit * 8 * sizeof *w->slots);
    w->limit = w->limit * 16 < MID_WALK_MOST ? w->limit * 16 : MID_WALK_MOST;
    for (uint32_t i = 0; i < w->seen; i++)
        *slot_of(w, w->nodes[i].index) = i + 1;
    return true;
}

static mid_verdict walk(mid_walk *w, mid_handle suspect, uint32_t slack)
{
    bool is_new;
    mid_walk_node *n = see(w, suspect, &is_new);
    if (n == NULL)
        return MID_WALK_GONE;
    while (n != NULL) {
        if (w->missing + missing_of(n) > w->explored + 1 + slack)
            return MID_WALK_DOUBT;
        if ((w->explored == w->limit && !go_further(w)) || !explore(w, n))
            return outcome(w, false);
        if (w->missing == 0)
            return MID_WALK_GARBAGE;
        n = next(w);
        if (n != NULL && was_met(w, n))
            return MID_WALK_ALIVE;
    }
    return outcome(w, true);
}

mid_verdict mid_walk_from(mid_walk *w, mid_handle suspect, uint32_t limit, uint32_t slack)
{
    w->limit = limit;
    w->explored = 0;
    w->missing = 0;
    w->odd = w->needs_still = false;
    w->closed_count = w->near_count = w->far_count = 0;
    mid_verdict verdict = walk(w, suspect, slack);
    w->credit += w->explored <= limit ? 2 * (int64_t)w->explored : (int64_t)limit - w->explored;
    if (w->credit > (int64_t)MID_WALK_MOST)
        w->credit = MID_WALK_MOST;
    return verdict;
}

void mid_walk_clear(mid_walk *w)
{
    memset(w->slots, 0, w->limit * 8 * sizeof *w->slots);
    w->seen = 0;
}
