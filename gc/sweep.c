/* gc/sweep.c: every garbage cycle there is, proposed from one pass over the table while the program runs.
 *
 * References between possibly cyclic objects are counted up in an array of marks; what has more counts than that is held from
 * elsewhere, and keeps alive all it reaches; the rest is proposed. It is the algorithm of cycle.c on racing readings: objects
 * made since are none of its business, so what they hold has a count too many and lives. What is garbage when the sweep begins is
 * not changed by anybody, and is found; so nothing is missed for ever, whatever suspects led to. */
#include "gc/propose.h"

#include "gc/racing.h"

#define PIECE 64u
#define MARKS_A_PAGE 1024u

void mid_sweep_next(mid_sweep *s, mid_sweep_step step)
{
    s->step = step;
    s->at = step == MID_SWEEP_SUBTRACT || step == MID_SWEEP_REVIVE || step == MID_SWEEP_GATHER ? s->heap->first_index : 0;
    s->item = 0;
    s->current = 0;
}

void mid_sweep_end(mid_sweep *s)
{
    mid_heap *heap = s->heap;
    mid_array_drop(heap, &s->marks);
    mid_array_drop(heap, &s->stretches);
    mid_list_free(heap, &s->set);
    mid_list_free(heap, &s->dropped);
    mid_list_free(heap, &s->later);
    mid_sweep_next(s, MID_SWEEP_NONE);
}

mid_status mid_sweep_open(mid_sweep *s)
{
    mid_heap *heap = s->heap;
    mid_lock(heap);
    s->end = heap->next_index;
    mid_status status = mid_array_grow(&heap->alloc, &s->marks, (size_t)s->end * sizeof(uint32_t));
    if (status == MID_OK)
        status = mid_array_grow(&heap->alloc, &s->stretches, s->end / MARKS_A_PAGE / 8 + 1);
    if (status != MID_OK)
        mid_array_free(&heap->alloc, &s->marks);
    mid_unlock(heap);
    s->stack = MID_SWEEP_END;
    s->rounds = 0;
    s->cramped = s->rejudged = s->waits = s->large = false;
    s->later_item = 0;
    s->set.count = s->dropped.count = s->later.count = 0;
    return status;
}

static void begin(mid_sweep *s)
{
    mid_heap *heap = s->heap;
    MID_WRITE_(heap->unresolved, 0);
    s->live_bytes = mid_live_bytes(heap);
    s->live_objects = s->array_slots = 0;
    mid_lock(heap);
    s->large_bytes = heap->alloc.large_live;
    for (unsigned i = 0; i < MID_CLASSES; i++)
        s->live_objects += mid_live_slots(heap, i);
    mid_unlock(heap);
    mid_sweep_next(s, MID_SWEEP_SUBTRACT);
}

/* To be traced when the world stands. Without room for it what it refers to seems to be held, and lives. */
static void trace_later(mid_sweep *s, uint32_t index)
{
    if (mid_list_room(s->heap, &s->later, 1) == MID_OK)
        *mid_list_at(&s->later, s->later.count++) = index;
}

/* A piece of an object's references; true: it has no more. */
static inline __attribute__((always_inline)) bool piece_of(mid_sweep *s, uint32_t index, mid_racing_fn *fn)
{
    mid_racing state = mid_racing_piece(s->heap, index, s->me != NULL, &s->item, fn, s);
    if (state == MID_RACING_MORE)
        return false;
    if (state == MID_RACING_NOT_NOW)
        trace_later(s, index);
    s->item = 0;
    return true;
}

/* --- subtract ------------------------------------------------------------------------------------------------------------- */

static bool cyclic(const mid_heap *heap, const mid_entry *entry)
{
    const mid_type_info *type = mid_racing_type(heap, MID_READ_(entry->word));
    return mid_entry_live(entry) && !mid_frozen(MID_READ_(entry->count)) && type != NULL && type->cyclic;
}

static inline bool expects_marks(const mid_sweep *s, uint32_t index)
{
    uint32_t page = index / MARKS_A_PAGE;
    return (((unsigned char *)s->stretches.data)[page / 8] >> page % 8 & 1) != 0;
}

static inline void expect_marks(mid_sweep *s, uint32_t index)
{
    uint32_t page = index / MARKS_A_PAGE;
    ((unsigned char *)s->stretches.data)[page / 8] |= (unsigned char)(1u << page % 8);
}

/* What cannot be on a cycle is no member, and needs no mark. So the marks of a stretch of strings are never touched, and take no
 * memory; in others it is not asked, since the look at the entry costs as much as the mark. */
static bool count_one(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_sweep *s = context;
    uint32_t index = value / 2;
    if (index >= s->end)
        return true;
    if (!expects_marks(s, index)) {
        if (!cyclic(s->heap, s->heap->table + index))
            return true;
        expect_marks(s, index);
    }
    uint32_t *mark = mid_sweep_mark(s, index);
    if ((*mark & MID_SWEEP_INSIDE) != MID_SWEEP_INSIDE)
        ++*mark;
    return true;
}

static void subtract(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE && s->at < s->end; n++) {
        const mid_entry *entry = s->heap->table + s->at;
        if (s->item == 0 && !cyclic(s->heap, entry)) {
            s->at++;
            continue;
        }
        expect_marks(s, s->at);
        *mid_sweep_mark(s, s->at) |= MID_SWEEP_MEMBER;
        s->looked += s->item == 0;
        s->array_slots += MID_READ_(entry->word) & MID_F_LARGE ? MID_RACING_PIECE : 0;
        if (!piece_of(s, s->at, count_one))
            return;
        s->at++;
    }
    if (s->at < s->end || s->later.count != 0)
        return;
    mid_sweep_next(s, MID_SWEEP_REVIVE);
    MID_DELAY(SWEEP);
}

/* --- revive --------------------------------------------------------------------------------------------------------------- */

static void revive(mid_sweep *s, uint32_t index)
{
    *mid_sweep_mark(s, index) = s->stack | MID_SWEEP_ALIVE;
    s->stack = index;
    __builtin_prefetch(s->heap->table + index);
}

static bool revive_one(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_sweep *s = context;
    if (mid_sweep_member(s, value))
        revive(s, value / 2);
    return true;
}

static bool held(const mid_sweep *s, uint32_t index)
{
    const mid_entry *entry = s->heap->table + index;
    return mid_immortal(entry) || mid_total(entry) != (int64_t)(*mid_sweep_mark(s, index) & MID_SWEEP_INSIDE);
}

static void revive_some(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE; n++) {
        if (s->current == 0 && s->stack != MID_SWEEP_END) {
            s->current = s->stack;
            s->stack = *mid_sweep_mark(s, s->current) & ~MID_SWEEP_ALIVE;
            if (s->stack != MID_SWEEP_END)
                __builtin_prefetch(mid_address(s->heap->table + s->stack));
        }
        if (s->current != 0) {
            if (piece_of(s, s->current, revive_one))
                s->current = 0;
        } else if (s->at >= s->end) {
            if (s->later.count == 0)
                mid_sweep_next(s, MID_SWEEP_GATHER);
            return;
        } else {
            if (mid_sweep_member(s, s->at * 2) && held(s, s->at))
                revive(s, s->at);
            s->at++;
        }
    }
}

/* --- gather --------------------------------------------------------------------------------------------------------------- */

/* A small set goes the way of those that suspects led to. */
static void propose(mid_sweep *s)
{
    mid_proposer *p = s->heap->proposer;
    if (mid_list_room(s->heap, &p->members, s->set.count) != MID_OK || mid_list_room(s->heap, &p->sizes, 1) != MID_OK)
        return;
    for (uint32_t i = 0; i < s->set.count; i++)
        *mid_list_at(&p->members, p->members.count++) = *mid_list_at(&s->set, i);
    *mid_list_at(&p->sizes, p->sizes.count++) = s->set.count;
}

static void gather(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE && s->at < s->end; n++, s->at++) {
        if (!mid_sweep_member(s, s->at * 2))
            continue;
        s->large |= (MID_READ_(s->heap->table[s->at].word) & MID_F_LARGE) != 0;
        if (mid_entry_live(s->heap->table + s->at) && mid_list_room(s->heap, &s->set, 1) == MID_OK)
            *mid_list_at(&s->set, s->set.count++) = s->at * 2;
        else
            *mid_sweep_mark(s, s->at) = 0;
    }
    if (s->at < s->end)
        return;
    /* Growth counts from what was alive when it began: what has become garbage since is the next one's. */
    uint64_t garbage = s->live_objects == 0 ? 0 : (uint64_t)((unsigned __int128)s->live_bytes * s->set.count / s->live_objects);
    MID_WRITE_(s->heap->live_at_collection, garbage < s->live_bytes ? s->live_bytes - garbage : 0);
    MID_WRITE_(s->heap->array_slots, s->array_slots);
    MID_WRITE_(s->heap->array_bytes, s->large_bytes);
    MID_COUNT(s->heap, collections, 1);
    s->found += s->set.count;
    if ((s->set.count > MID_SWEEP_SMALL || s->large) && !s->heap->collector.saving) { /* what is saved is proved at once */
        mid_sweep_next(s, MID_SWEEP_WATCH);
        return;
    }
    if (s->set.count != 0)
        propose(s);
    mid_sweep_next(s, MID_SWEEP_CLOSE);
}

/* --- steps ---------------------------------------------------------------------------------------------------------------- */

/* What could not be traced while mutators run, a piece of one object. */
static void trace_now(mid_sweep *s)
{
    uint32_t index = *mid_list_at(&s->later, s->later.count - 1);
    mid_racing_fn *fn = s->step == MID_SWEEP_REVIVE ? revive_one : count_one;
    if (s->step == MID_SWEEP_COUNT)
        fn = mid_trial_count_one;
    mid_racing state = mid_racing_piece(s->heap, index, true, &s->later_item, fn, s);
    if (state == MID_RACING_MORE)
        return;
    s->later_item = 0;
    s->later.count--;
}

/* Is a stop needed before it can go on? */
static bool needs_stop(const mid_sweep *s)
{
    bool at_end = s->step == MID_SWEEP_SUBTRACT ? s->at >= s->end
                  : s->step == MID_SWEEP_REVIVE ? s->at >= s->end && s->stack == MID_SWEEP_END && s->current == 0
                                                : s->at >= s->set.count;
    return mid_sweep_stops(s->step) || (s->later.count != 0 && at_end);
}

static void piece(mid_sweep *s)
{
    if (s->later.count != 0 && s->me != NULL)
        trace_now(s);
    else if (s->step == MID_SWEEP_SUBTRACT)
        subtract(s);
    else if (s->step == MID_SWEEP_REVIVE)
        revive_some(s);
    else if (s->step == MID_SWEEP_GATHER)
        gather(s);
    else
        mid_trial_piece(s);
}

/* Steps that this caller may do, until the deadline. */
static mid_status run(mid_sweep *s, mid_impl *me, uint64_t deadline)
{
    s->me = me;
    while (s->step != MID_SWEEP_NONE && needs_stop(s) == (me != NULL)) {
        piece(s);
        if (s->waits || mid_clock_micros() >= deadline)
            break;
    }
    s->me = NULL;
    mid_heap *heap = s->heap;
    MID_WRITE_(heap->sweeps, s->step == MID_SWEEP_NONE ? MID_SWEEPS_NOT
                             : s->waits                ? MID_SWEEPS_WAITING
                             : needs_stop(s)           ? MID_SWEEPS_STOPPED
                                                       : MID_SWEEPS_RUNNING);
    return s->step == MID_SWEEP_NONE ? MID_OK : MID_MORE;
}

mid_status mid_sweep_run(mid_heap *heap, uint64_t budget_micros, bool start)
{
    if (pthread_mutex_trylock(&heap->proposing) != 0)
        return MID_EBUSY;
    mid_status status = mid_proposer_open(heap);
    if (status == MID_OK && start && heap->proposer->sweep.step == MID_SWEEP_NONE)
        status = mid_sweep_open(&heap->proposer->sweep);
    if (status == MID_OK) {
        mid_sweep *s = &heap->proposer->sweep;
        mid_collecting piece = mid_collecting_begin(heap, MID_COLLECTOR_SWEEP, true);
        piece.is.candidates = -s->looked;
        piece.is.garbage = -s->found;
        if (start && s->step == MID_SWEEP_NONE)
            begin(s);
        mid_hold_memory(heap, true);
        status = run(s, NULL, mid_clock_micros() + budget_micros);
        mid_hold_memory(heap, false);
        piece.is.candidates += s->looked;
        piece.is.garbage += s->found;
        mid_collecting_end(heap, &piece, status);
        mid_proposer_count(heap);
    }
    pthread_mutex_unlock(&heap->proposing);
    return status;
}

bool mid_sweep_due(mid_heap *heap)
{
    uint64_t live = mid_live_bytes(heap), was = MID_READ_(heap->live_at_collection);
    return live > was && live - was >= MID_READ_(heap->options.growth_min) &&
           live - was >= (unsigned __int128)was * MID_READ_(heap->options.growth) / 100;
}

uint64_t mid_sweep_still(mid_impl *me, uint64_t deadline)
{
    mid_sweep *s = &me->heap->proposer->sweep;
    uint64_t before = s->freed;
    run(s, me, deadline);
    return s->freed - before;
}

void mid_sweep_finish(mid_impl *me)
{
    mid_sweep *s = me->heap->proposer == NULL ? NULL : &me->heap->proposer->sweep;
    if (s == NULL || s->step == MID_SWEEP_NONE)
        return;
    s->me = me;
    if (s->step < MID_SWEEP_RELEASE)
        mid_sweep_end(s);
    else
        mid_trial_stop(s);
    s->me = NULL;
    MID_WRITE_(me->heap->sweeps, MID_SWEEPS_NOT);
}
