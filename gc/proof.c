/* gc/proof.c: what is done about proposals while the world stands, a slice at a time.
 *
 * Whatever was proposed is counted again, exactly, and only then freed (cycle.c, mid_cycles_prove). The cost is that of the
 * proposed sets, whatever the heap; what does not fit into a slice stays garbage, and waits. */
#include "gc/propose.h"

#include "gc/count.h"

#define CLOCK_EVERY 64u
#define AHEAD 8u
#define CHUNK 512u /* members proved together, if their sets are smaller */

static bool late(uint64_t deadline)
{
    return mid_clock_micros() >= deadline;
}

/* No suspect any more, so that it is logged when its count falls again; after the third time it stays one. If its count has
 * changed since it was found alive, it is looked at again. */
static void age(mid_heap *heap, mid_handle noted, uint32_t seen)
{
    mid_handle suspect = noted & ~1u;
    mid_entry *entry = mid_entry_at(heap, suspect);
    if (!mid_in_table(heap, suspect) || !mid_entry_live(entry) || mid_immortal(entry) ||
        !mid_type_of_entry(heap, entry)->cyclic)
        return;
    if (mid_total(entry) != seen) {
        mid_list *todo = &heap->proposer->todo[0];
        if (mid_list_room(heap, todo, 1) == MID_OK)
            *mid_list_at(todo, todo->count++) = suspect;
        return;
    }
    mid_grow_older(entry, noted & 1);
}

static bool age_suspects(mid_heap *heap, uint64_t deadline)
{
    mid_proposer *p = heap->proposer;
    for (uint32_t n = 1; p->alive_next < p->alive.count; p->alive_next += 2, n++) {
        if (p->alive_next + 2 * AHEAD < p->alive.count)
            __builtin_prefetch(mid_entry_at(heap, *mid_list_at(&p->alive, p->alive_next + 2 * AHEAD)), 1);
        age(heap, *mid_list_at(&p->alive, p->alive_next), *mid_list_at(&p->alive, p->alive_next + 1));
        if (n % CLOCK_EVERY == 0 && late(deadline)) {
            p->alive_next += 2;
            return false;
        }
    }
    p->alive.count = p->alive_next = 0;
    return true;
}

/* Suspects that reach what is traced only now. They are few, or else their types should say that they race. */
static bool walk_still(mid_heap *heap, uint64_t deadline)
{
    mid_proposer *p = heap->proposer;
    p->walk.still = true;
    while (p->still.count != 0 && !late(deadline))
        mid_propose_one(heap, *mid_list_at(&p->still, --p->still.count), MID_TIERS - 2);
    p->walk.still = false;
    return p->still.count == 0;
}

static bool prove_sets(mid_impl *me, uint64_t deadline, mid_collecting *piece)
{
    mid_heap *heap = me->heap;
    mid_proposer *p = heap->proposer;
    while (p->sizes_next < p->sizes.count) {
        if (late(deadline))
            return false;
        MID_DELAY(PROOF);
        uint32_t count = 0;
        uint64_t gone = 0;
        while (p->sizes_next < p->sizes.count && (count == 0 || count + *mid_list_at(&p->sizes, p->sizes_next) <= CHUNK))
            count += *mid_list_at(&p->sizes, p->sizes_next++);
        /* No room for the marks: it is garbage still, and no suspect of anybody's but the sweep's. */
        mid_cycles_prove(me, mid_list_at(&p->members, p->members_next), count, &gone);
        p->members_next += count;
        piece->is.candidates += count;
        piece->is.freed += gone;
    }
    p->members.count = p->members_next = p->sizes.count = p->sizes_next = 0;
    return true;
}

static uint64_t sweep_some(mid_impl *me, uint64_t deadline)
{
    mid_heap *heap = me->heap;
    const mid_sweep *s = &heap->proposer->sweep;
    mid_collecting piece = mid_collecting_begin(heap, MID_COLLECTOR_SWEEP, false);
    piece.is.candidates = -s->looked;
    piece.is.garbage = -s->found;
    piece.is.freed = mid_sweep_still(me, deadline);
    MID_COUNT(heap, collected_objects, piece.is.freed);
    piece.is.candidates += s->looked;
    piece.is.garbage += s->found;
    mid_collecting_end(heap, &piece, MID_READ_(heap->sweeps) == MID_SWEEPS_NOT ? MID_OK : MID_MORE);
    return piece.is.freed;
}

mid_status mid_prove_held(mid_impl *me, uint64_t budget_micros, uint64_t *freed)
{
    mid_heap *heap = me->heap;
    uint64_t deadline = mid_clock_micros() + budget_micros;
    bool all = true;
    *freed = 0;
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (!mid_lost(heap->threads[id]))
            mid_suspects_give(heap->threads[id]);
    if (heap->proposer != NULL) {
        mid_collecting piece = mid_collecting_begin(heap, MID_COLLECTOR_SUSPECTS, false);
        all = age_suspects(heap, deadline - budget_micros / 4 * 3);
        all = prove_sets(me, deadline, &piece) && all && walk_still(heap, deadline);
        *freed = piece.is.freed;
        mid_collecting_end(heap, &piece, all ? MID_OK : MID_MORE);
        if (all && MID_READ_(heap->sweeps) >= MID_SWEEPS_STOPPED)
            *freed += sweep_some(me, deadline);
    }
    mid_proposer_count(heap);
    return all ? MID_OK : MID_MORE;
}

mid_status mid_prove(mid_impl *me, uint64_t budget_micros, uint64_t *freed)
{
    *freed = 0;
    if (pthread_mutex_trylock(&me->heap->proposing) != 0)
        return MID_EBUSY;
    mid_status status = mid_prove_held(me, budget_micros, freed);
    pthread_mutex_unlock(&me->heap->proposing);
    return status;
}
