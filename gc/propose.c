/* gc/propose.c: which suspects are walked from, and how far.
 *
 * In batches. A walk explores at most 16 objects; where that was not enough there is another, up to 256 and up to 4096 objects,
 * and where the structure looked alive one that is more patient, as far as these take no more than a share of the work. Larger sets
 * are the sweep's. Whatever a walk met without finding garbage need not be walked from in the same batch: the set that proves a
 * successor to be garbage contains the one that proves its predecessor.
 *
 * A suspect that was alive is no suspect any more, so that it is logged again if its count falls once more (proof.c sees to it,
 * for counts are the owner's to write). After the third time it stays one, logged nowhere: what lives long and is counted up
 * and down all the time is left to the sweep. */
#include <string.h>

#include "gc/propose.h"

#include "gc/count.h"

#define CLOCK_EVERY 256u /* objects and items looked at */
#define BATCH 4096u
#define BATCH_OF_DOUBTS 128u /* patient walks take long, and meanwhile what is likelier to be garbage waits */
#define ALIVE_MOST (1u << 18)
#define SHIFT_LEAST 16384u
#define AHEAD 4u

/* How far a walk goes, how much its set may lack, and how much of the work its kind may be: each tier in turn, as
 * `explored * weight` is least. */
static const struct tier {
    uint32_t limit, slack, weight;
} tiers[MID_TIERS] = {{MID_WALK_LEAST, 1, 1}, {256, 8, 1}, {MID_WALK_MOST, 8, 1}, {64, 16, 32}};
enum { DOUBTS = MID_TIERS - 1 };
#define DOUBTS_MOST 65536u

mid_status mid_proposer_open(mid_heap *heap)
{
    if (heap->proposer != NULL)
        return MID_OK;
    size_t bytes = mid_round(sizeof(mid_proposer), MID_PAGE);
    mid_lock(heap);
    mid_status status = mid_book(&heap->alloc, MID_IN_META, bytes);
    if (status == MID_OK) {
        heap->proposer = heap->os.map(heap->os.ctx, bytes);
        if (heap->proposer == NULL) {
            mid_unbook(&heap->alloc, MID_IN_META, bytes);
            status = MID_ENOMEM;
        } else {
            heap->proposer->walk.heap = heap;
            heap->proposer->sweep.heap = heap;
        }
    }
    mid_unlock(heap);
    return status;
}

void mid_proposer_close(mid_heap *heap)
{
    mid_proposer *p = heap->proposer;
    mid_list_free(heap, &heap->logged);
    MID_WRITE_(heap->logged_count, 0);
    if (p == NULL)
        return;
    size_t bytes = mid_round(sizeof(mid_proposer), MID_PAGE);
    for (unsigned tier = 0; tier < MID_TIERS; tier++)
        mid_list_free(heap, &p->todo[tier]);
    mid_list *others[] = {&p->batch, &p->still, &p->members, &p->sizes, &p->alive};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        mid_list_free(heap, others[i]);
    mid_sweep_end(&p->sweep);
    mid_lock(heap);
    heap->os.unmap(heap->os.ctx, p, bytes);
    mid_unbook(&heap->alloc, MID_IN_META, bytes);
    mid_unlock(heap);
    heap->proposer = NULL;
    mid_proposer_count(heap);
    MID_WRITE_(heap->sweeps, MID_SWEEPS_NOT);
}

/* --- what comes of a walk --------------------------------------------------------------------------------------------- */

/* What finds no room is left to the sweep. */
static bool push(mid_heap *heap, mid_list *list, uint32_t value)
{
    if (mid_list_room(heap, list, 1) != MID_OK)
        return false;
    *mid_list_at(list, list->count++) = value;
    return true;
}

static void was_alive(mid_heap *heap, mid_handle suspect, uint32_t count)
{
    mid_list *alive = &heap->proposer->alive;
    if (alive->count >= 2 * ALIVE_MOST || mid_list_room(heap, alive, 2) != MID_OK)
        return; /* it stays a suspect, and is left to the sweep */
    *mid_list_at(alive, alive->count) = suspect;
    *mid_list_at(alive, alive->count + 1) = count;
    alive->count += 2;
}

static void propose_set(mid_heap *heap)
{
    mid_proposer *p = heap->proposer;
    mid_walk *w = &p->walk;
    if (mid_list_room(heap, &p->members, w->explored) != MID_OK || mid_list_room(heap, &p->sizes, 1) != MID_OK)
        return;
    uint32_t size = 0;
    for (uint32_t i = 0; i < w->seen; i++) {
        const mid_walk_node *n = &w->nodes[i];
        if (n->state != MID_NODE_EXPLORED)
            continue;
        *mid_list_at(&p->members, p->members.count + size++) = n->index * 2;
        *mid_memo_of(&p->walk, n->index) = n->index * 2 + 1;
    }
    p->members.count += size;
    *mid_list_at(&p->sizes, p->sizes.count) = size;
    p->sizes.count++;
    p->proposed += size;
    MID_DELAY(PROPOSED);
}

static void met(mid_walk *w)
{
    for (uint32_t i = 0; i < w->seen; i++)
        *mid_memo_of(w, w->nodes[i].index) = w->nodes[i].index * 2;
}

/* Once more, and further. False: that was it. */
static bool walk_later(mid_heap *heap, mid_handle suspect, unsigned tier, mid_verdict verdict)
{
    mid_proposer *p = heap->proposer;
    if (verdict == MID_WALK_DOUBT)
        return tier == 0 && p->todo[DOUBTS].count < DOUBTS_MOST && push(heap, &p->todo[DOUBTS], suspect);
    if (tier + 1 < DOUBTS)
        return push(heap, &p->todo[tier + 1], suspect);
    __atomic_fetch_add(&heap->unresolved, 1, __ATOMIC_RELAXED);
    return false;
}

void mid_propose_one(mid_heap *heap, mid_handle suspect, unsigned tier)
{
    mid_proposer *p = heap->proposer;
    uint32_t memo = *mid_memo_of(&p->walk, suspect / 2);
    if (memo / 2 == suspect / 2) {
        if (memo % 2 == 0)
            was_alive(heap, suspect, (uint32_t)mid_total(mid_entry_at(heap, suspect)));
        return;
    }
    mid_verdict verdict = mid_walk_from(&p->walk, suspect, tiers[tier].limit, tiers[tier].slack);
    uint32_t count = p->walk.seen == 0 ? 0 : p->walk.nodes[0].count;
    p->walked++;
    p->explored[tier] += p->walk.explored;
    if (verdict == MID_WALK_GARBAGE)
        propose_set(heap);
    else if (verdict == MID_WALK_STILL)
        push(heap, &p->still, suspect);
    else if (verdict != MID_WALK_GONE)
        met(&p->walk);
    if (verdict == MID_WALK_ALIVE || ((verdict == MID_WALK_MORE || verdict == MID_WALK_DOUBT) && !walk_later(heap, suspect, tier, verdict)))
        was_alive(heap, suspect | (verdict == MID_WALK_DOUBT), count);
    mid_walk_clear(&p->walk);
}

void mid_proposer_count(mid_heap *heap)
{
    const mid_proposer *p = heap->proposer;
    if (p == NULL) {
        MID_WRITE_(heap->todo_count, 0);
        MID_WRITE_(heap->doubt_count, 0);
        MID_WRITE_(heap->found_count, 0);
        return;
    }
    uint32_t batch = p->batch.count - p->batch_next, todo = batch;
    for (unsigned tier = 0; tier < MID_TIERS; tier++)
        todo += p->todo[tier].count;
    MID_WRITE_(heap->todo_count, todo);
    MID_WRITE_(heap->doubt_count, p->todo[DOUBTS].count + (p->tier == DOUBTS ? batch : 0));
    MID_WRITE_(heap->found_count, p->members.count - p->members_next + (p->alive.count - p->alive_next) / 2 + p->still.count);
}

/* --- batches ------------------------------------------------------------------------------------------------------------ */

/* What threads have handed over since, if all that was taken before is done. */
static void take_logged(mid_heap *heap)
{
    mid_list *todo = &heap->proposer->todo[0];
    if (todo->count != 0)
        return;
    mid_lock(heap);
    mid_list was = *todo;
    *todo = heap->logged;
    heap->logged = was;
    MID_WRITE_(heap->logged_count, 0);
    mid_unlock(heap);
}

/* The next batch: of the tier that has work, and has had least of its share; the latest of it, which may still be cached. */
static bool next_batch(mid_heap *heap)
{
    mid_proposer *p = heap->proposer;
    unsigned tier = MID_TIERS;
    p->batch.count = p->batch_next = 0;
    take_logged(heap);
    for (unsigned t = 0; t < MID_TIERS; t++)
        if (p->todo[t].count != 0 && (tier == MID_TIERS || p->explored[t] * tiers[t].weight < p->explored[tier] * tiers[tier].weight))
            tier = t;
    if (tier == MID_TIERS || mid_list_room(heap, &p->batch, BATCH) != MID_OK)
        return false;
    mid_list *todo = &p->todo[tier];
    uint32_t most = tier == DOUBTS ? BATCH_OF_DOUBTS : BATCH;
    p->batch.count = todo->count < most ? todo->count : most;
    todo->count -= p->batch.count;
    memcpy(mid_list_at(&p->batch, 0), mid_list_at(todo, todo->count), p->batch.count * sizeof(mid_handle));
    p->tier = tier;
    memset(p->walk.memo, 0, sizeof p->walk.memo);
    return true;
}

/* So many hold it that the walk ends where it begins. */
static bool doubtful(mid_heap *heap, const mid_proposer *p, mid_handle suspect)
{
    return mid_total(mid_entry_at(heap, suspect)) > 1 + (int64_t)tiers[p->tier].slack;
}

/* Suspects come in the order in which they were logged, and mostly out of the blue: their entries are fetched first, then their
 * objects, then the entries of what they refer to, each some suspects ahead. */
static void prefetch(mid_heap *heap, mid_proposer *p)
{
    const mid_handle *at = mid_list_at(&p->batch, p->batch_next);
    uint32_t left = p->batch.count - p->batch_next;
    if (left > 3 * AHEAD)
        __builtin_prefetch(mid_entry_at(heap, at[3 * AHEAD]));
    if (left > 2 * AHEAD && !doubtful(heap, p, at[2 * AHEAD]))
        __builtin_prefetch(mid_address(mid_entry_at(heap, at[2 * AHEAD])));
    if (left > AHEAD && !doubtful(heap, p, at[AHEAD]))
        mid_walk_prepare(&p->walk, at[AHEAD]);
}

/* Where proofs never quite catch up the lists are never empty: what is done with makes room for what comes. */
static void shift(mid_list *list, uint32_t *next)
{
    if (*next < SHIFT_LEAST || *next < list->count / 2)
        return;
    list->count -= *next;
    memmove(mid_list_at(list, 0), mid_list_at(list, *next), list->count * sizeof(uint32_t));
    *next = 0;
}

void mid_hold_memory(mid_heap *heap, bool hold)
{
    mid_lock(heap);
    mid_arenas_hold(&heap->alloc, hold);
    mid_unlock(heap);
}

/* Whatever was proposed has been proved. */
void mid_suspects_unlist(mid_heap *heap)
{
    mid_proposer *p = heap->proposer;
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        MID_WRITE_(heap->threads[id]->suspect_count, 0);
    heap->logged.count = 0;
    MID_WRITE_(heap->logged_count, 0);
    if (p == NULL)
        return;
    for (unsigned tier = 0; tier < MID_TIERS; tier++)
        p->todo[tier].count = 0;
    p->batch.count = p->batch_next = p->still.count = 0;
    p->alive.count = p->alive_next = 0;
    mid_proposer_count(heap);
}

/* Those that there is no room for are left to a sweep. */
void mid_suspects_relist(mid_heap *heap)
{
    for (uint32_t i = heap->first_index; MID_READ_(heap->logging) && i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        bool suspect = (entry->count & MID_SUSPECT_) || (entry->shared & MID_SHARED_SUSPECT_);
        if (!suspect || !mid_entry_live(entry) || mid_immortal(entry) || !mid_type_of_entry(heap, entry)->cyclic)
            continue;
        if (mid_list_room(heap, &heap->logged, 1) == MID_OK)
            *mid_list_at(&heap->logged, heap->logged.count++) = i * 2;
        else
            MID_WRITE_(heap->unresolved, MID_READ_(heap->unresolved) + 1);
    }
    MID_WRITE_(heap->logged_count, heap->logged.count);
}

mid_status mid_propose(mid_heap *heap, uint64_t budget_micros, uint64_t *walked, uint64_t *proposed)
{
    *walked = *proposed = 0;
    if (pthread_mutex_trylock(&heap->proposing) != 0)
        return MID_EBUSY;
    mid_status status = mid_proposer_open(heap);
    mid_proposer *p = heap->proposer;
    uint64_t deadline = mid_clock_micros() + budget_micros;
    if (status == MID_OK) {
        mid_collecting piece = mid_collecting_begin(heap, MID_COLLECTOR_SUSPECTS, true);
        *walked = p->walked;
        *proposed = p->proposed;
        shift(&p->members, &p->members_next);
        shift(&p->sizes, &p->sizes_next);
        shift(&p->alive, &p->alive_next);
        mid_hold_memory(heap, true);
        while (p->batch_next < p->batch.count || next_batch(heap)) {
            prefetch(heap, p);
            mid_propose_one(heap, *mid_list_at(&p->batch, p->batch_next++), p->tier);
            if (++p->walk.looked < CLOCK_EVERY)
                continue;
            p->walk.looked = 0;
            if (mid_clock_micros() >= deadline) {
                status = MID_MORE;
                break;
            }
        }
        mid_hold_memory(heap, false);
        mid_proposer_count(heap);
        *walked = p->walked - *walked;
        *proposed = p->proposed - *proposed;
        piece.is.candidates = *walked;
        piece.is.garbage = *proposed;
        mid_collecting_end(heap, &piece, status);
    }
    pthread_mutex_unlock(&heap->proposing);
    return status;
}
