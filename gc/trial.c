/* gc/trial.c: the proof of a set that is too large for one stop.
 *
 * Each member is *watched*: a bit of its count word, where every fast path takes it for something that is not its own, and `shared`
 * without the flags that say that others know it, so that mid_swap asks before it puts it anywhere. Whatever counts a watched
 * object, or puts it into a slot, first sets those flags again, and counts one up in mid_heap.touched (count.h, mid_touch).
 * Once all are watched (T0) no slot can gain an untouched member, and no untouched member's count changes. So of references from
 * members' slots, each read once, later, by racing readings, no more can be found than there were at T0; and where as many are
 * found as the count says, nothing else held that member at T0. If that holds for all, the set was closed garbage at T0, and
 * garbage stays garbage. What was touched, or has more counts, is dropped with what it reaches, and the rest counted again, from
 * nothing: what the dropped held may have been taken out of their slots since. One store commits the set, in a stop, if nothing was
 * touched since the round began; then it is freed in slices. A member that its user resizes is touched; compaction beside a reader
 * counts as a touch of all.
 *
 * tests/models/trial.pml explores this; docs/design/proposals.md tells it at length. */
#include "gc/propose.h"

#include "gc/batch.h"
#include "gc/debug.h"
#include "gc/racing.h"

#define PIECE 64u
#define AHEAD 12u
#define ROUNDS_MOST 8u

static void prefetch(const mid_sweep *s, const mid_list *list)
{
    if (s->at + 2 * AHEAD < list->count)
        __builtin_prefetch(mid_entry_at(s->heap, *mid_list_at(list, s->at + 2 * AHEAD)));
    if (s->at + AHEAD < list->count)
        __builtin_prefetch(mid_address(mid_entry_at(s->heap, *mid_list_at(list, s->at + AHEAD))));
}

static bool untouched(const mid_entry *entry)
{
    return mid_watched(MID_READ_(entry->count)) && !(MID_READ_(entry->shared) & (MID_ESCAPED_ | MID_MERGED_));
}

/* Without room to remember it nobody would follow it to what it keeps alive: the trial is given up. */
static void drop(mid_sweep *s, mid_handle value)
{
    MID_DELAY(DROP);
    *mid_sweep_mark(s, value / 2) = 0;
    if (s->rejudged && (MID_READ_(mid_entry_at(s->heap, value)->word) & MID_F_FINALIZED))
        MID_COUNT(s->heap, resurrected_objects, 1);
    if (mid_list_room(s->heap, &s->dropped, 1) == MID_OK)
        *mid_list_at(&s->dropped, s->dropped.count++) = value;
    else
        s->cramped = true;
}

/* --- tags, while the world stands ------------------------------------------------------------------------------------------- */

static bool watch(mid_sweep *s, mid_handle value)
{
    mid_entry *entry = mid_entry_at(s->heap, value);
    uint32_t count = entry->count, shared = entry->shared;
    if (!mid_entry_live(entry) || !mid_type_of_entry(s->heap, entry)->cyclic || mid_immortal(entry) || (shared & MID_QUEUED_))
        return false;
    MID_WRITE_(entry->shared, shared & ~(MID_ESCAPED_ | MID_MERGED_ | MID_ESCAPING_));
    MID_WRITE_(entry->count, count | MID_WATCHED_);
    return true;
}

static void watch_some(mid_sweep *s)
{
    if (s->at == 0)
        mid_watch_all(s->heap, true);
    for (uint32_t n = 0; n < PIECE && s->at < s->set.count; n++, s->at++) {
        prefetch(s, &s->set);
        mid_handle value = *mid_list_at(&s->set, s->at);
        if (!watch(s, value))
            *mid_sweep_mark(s, value / 2) = 0;
    }
    if (s->at != s->set.count)
        return;
    mid_sweep_next(s, MID_SWEEP_RESET);
    MID_DELAY(TAGGED);
}

static void untag_some(mid_sweep *s, const mid_list *list, mid_sweep_step next)
{
    for (uint32_t n = 0; n < PIECE && s->at < list->count; n++, s->at++) {
        prefetch(s, list);
        mid_untag(mid_entry_at(s->heap, *mid_list_at(list, s->at)));
    }
    if (s->at != list->count)
        return;
    s->dropped.count = 0;
    mid_sweep_next(s, next);
}

/* --- a round ------------------------------------------------------------------------------------------------------------------ */

static void reset_some(mid_sweep *s)
{
    if (s->at == 0)
        s->touched = __atomic_load_n(&s->heap->touched, __ATOMIC_SEQ_CST);
    MID_DELAY(ROUND);
    for (uint32_t n = 0; n < 16 * PIECE && s->at < s->set.count; n++, s->at++) {
        uint32_t *mark = mid_sweep_mark(s, *mid_list_at(&s->set, s->at) / 2);
        *mark &= MID_SWEEP_MEMBER;
    }
    if (s->at == s->set.count)
        mid_sweep_next(s, MID_SWEEP_COUNT);
}

bool mid_trial_count_one(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_sweep *s = context;
    if (mid_sweep_member(s, value))
        ++*mid_sweep_mark(s, value / 2); /* more than 2^30 of them would seem to be none: it is dropped */
    return true;
}

static void count_some(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE && s->at < s->set.count; n++) {
        mid_handle value = *mid_list_at(&s->set, s->at);
        prefetch(s, &s->set);
        if (mid_sweep_member(s, value)) {
            mid_racing state = mid_racing_piece(s->heap, value / 2, s->me != NULL, &s->item, mid_trial_count_one, s);
            if (state == MID_RACING_MORE)
                return;
            if (state == MID_RACING_NOT_NOW && mid_list_room(s->heap, &s->later, 1) == MID_OK)
                *mid_list_at(&s->later, s->later.count++) = value / 2;
        }
        s->item = 0;
        s->at++;
    }
    if (s->at >= s->set.count && s->later.count == 0)
        mid_sweep_next(s, MID_SWEEP_JUDGE);
}

static void judge_some(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE && s->at < s->set.count; n++, s->at++) {
        mid_handle value = *mid_list_at(&s->set, s->at);
        if (s->at + AHEAD < s->set.count)
            __builtin_prefetch(mid_entry_at(s->heap, *mid_list_at(&s->set, s->at + AHEAD)));
        if (!mid_sweep_member(s, value))
            continue;
        const mid_entry *entry = mid_entry_at(s->heap, value);
        int64_t total = mid_total(entry); /* before its flags: who changes it has set them before that */
        mid_read_before();
        MID_DELAY(JUDGE);
        if (!untouched(entry) || total != (int64_t)(*mid_sweep_mark(s, value / 2) & MID_SWEEP_INSIDE))
            drop(s, value);
    }
    MID_DELAY(JUDGED);
    if (s->at == s->set.count)
        mid_sweep_next(s, s->dropped.count == 0 && !s->cramped ? MID_SWEEP_COMMIT : MID_SWEEP_FOLLOW);
}

static bool drop_one(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_sweep *s = context;
    if (mid_sweep_member(s, value))
        drop(s, value);
    return true;
}

/* So that there are few rounds. What is traced only while the world stands is not followed. */
static void follow_some(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE && s->at < s->dropped.count; n++) {
        mid_handle value = *mid_list_at(&s->dropped, s->at);
        if (mid_racing_piece(s->heap, value / 2, false, &s->item, drop_one, s) == MID_RACING_MORE)
            return;
        s->item = 0;
        s->at++;
    }
    if (s->at == s->dropped.count)
        mid_sweep_next(s, MID_SWEEP_UNTAG);
}

/* The dropped lose their tags; so does everybody, if that goes on for too long. */
static void untag_dropped(mid_sweep *s)
{
    bool enough = s->rounds >= ROUNDS_MOST || s->cramped;
    untag_some(s, &s->dropped, enough ? MID_SWEEP_ABANDON : MID_SWEEP_RESET);
    s->rounds += s->step == MID_SWEEP_RESET;
}

static void trial_over(mid_sweep *s)
{
    MID_WRITE_(s->heap->committed, false);
    mid_watch_all(s->heap, false);
    mid_sweep_next(s, MID_SWEEP_CLOSE); /* to unmap what may be large is nothing to stop for */
}

static void abandon_some(mid_sweep *s)
{
    MID_DELAY(ABANDON);
    untag_some(s, &s->set, MID_SWEEP_CLOSE);
    if (s->step != MID_SWEEP_CLOSE)
        return;
    __atomic_fetch_add(&s->heap->unresolved, 1, __ATOMIC_RELAXED);
    s->me->pub.moved |= 1; /* a whole collection that passed over a committed set may have left no other sign of it */
    trial_over(s);
}

static void commit(mid_sweep *s)
{
    if (__atomic_load_n(&s->heap->touched, __ATOMIC_SEQ_CST) != s->touched) {
        MID_DELAY(AGAIN);
        mid_sweep_next(s, ++s->rounds > ROUNDS_MOST ? MID_SWEEP_ABANDON : MID_SWEEP_RESET);
        return;
    }
    MID_WRITE_(s->heap->committed, true);
    MID_DELAY(COMMIT);
    s->dropped.count = s->followed = 0;
    s->finals = 0;
    mid_sweep_next(s, MID_READ_(s->heap->any_finalizer) ? MID_SWEEP_HOLD : MID_SWEEP_DISPOSE);
}

/* --- disposal, while the world stands ----------------------------------------------------------------------------------------- */

static bool hold_one(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_sweep *s = context;
    if (!mid_sweep_member(s, value))
        return true;
    if (mid_list_room(s->heap, &s->dropped, 1) != MID_OK) {
        mid_sweep_next(s, MID_SWEEP_ABANDON); /* it stays garbage */
        return false;
    }
    *mid_list_at(&s->dropped, s->dropped.count++) = value;
    *mid_sweep_mark(s, value / 2) = 0;
    mid_entry *entry = mid_entry_at(s->heap, value);
    if (entry->word & MID_F_WEAK)
        mid_weak_clear(s->me, value, entry, false);
    return true;
}

/* First those whose finalizers are due, each with what it reaches. */
static void hold_some(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE && s->step == MID_SWEEP_HOLD; n++) {
        if (s->followed < s->dropped.count) {
            mid_handle value = *mid_list_at(&s->dropped, s->followed);
            if (mid_racing_piece(s->heap, value / 2, true, &s->item, hold_one, s) == MID_RACING_MORE)
                return;
            s->item = 0;
            s->followed++;
        } else if (s->at < s->set.count) {
            prefetch(s, &s->set);
            mid_handle value = *mid_list_at(&s->set, s->at);
            if (mid_sweep_member(s, value) && mid_final_due(s->heap, mid_entry_at(s->heap, value)) && !hold_one(s, value, 0))
                return;
            s->at++;
        } else {
            mid_sweep_next(s, MID_SWEEP_CONDEMN);
        }
    }
}

static void hold(mid_sweep *s, mid_handle value)
{
    mid_entry *entry = mid_entry_at(s->heap, value);
    mid_untag(entry);
    MID_WRITE_(entry->shared, entry->shared + MID_SHARED_ONE_);
    s->finals += mid_final_due(s->heap, entry);
}

/* Their finalizers run once all are held. One set at a time is condemned: this one waits for another's finalizers. */
static void condemn_some(mid_sweep *s)
{
    mid_heap *heap = s->heap;
    if (s->dropped.count == 0) {
        mid_sweep_next(s, MID_SWEEP_DISPOSE); /* another's condemned stay as they are */
        return;
    }
    s->waits = heap->condemned_count != 0;
    if (s->waits)
        return;
    for (uint32_t n = 0; n < PIECE && s->at < s->dropped.count; n++, s->at++) {
        prefetch(s, &s->dropped);
        hold(s, *mid_list_at(&s->dropped, s->at));
    }
    if (s->at < s->dropped.count)
        return;
    mid_array was = heap->condemned;
    heap->condemned = s->dropped.memory;
    heap->condemned_next = 0;
    MID_WRITE_(heap->condemned_count, s->dropped.count);
    MID_WRITE_(heap->final_count, heap->final_count + s->finals);
    s->dropped = (mid_list){was, 0};
    mid_ask_all(heap, MID_ASK_FINALIZE);
    mid_sweep_next(s, MID_SWEEP_DISPOSE);
}

static bool drop_outward(void *context, mid_handle value, uint32_t slot)
{
    (void)slot;
    mid_sweep *s = context;
    if (!mid_sweep_member(s, value))
        mid_drop_ref(s->me, value);
    return true;
}

static void drop_and_clear(void *context, mid_slot *slot)
{
    mid_sweep *s = context;
    mid_handle value = slot->bits_;
    slot->bits_ = 0;
    if (mid_is_object_(value))
        drop_outward(s, value, 0);
}

/* A block outside pools may be long, and long to unmap: it loses its references in pieces, and dies like others do. */
static bool dispose_large(mid_sweep *s, mid_handle value, mid_entry *entry)
{
    const mid_type_info *type = mid_type_of_entry(s->heap, entry);
    void *object = mid_address(entry);
    uint32_t items = type->items_are_refs ? mid_items(type, object) : 0, end = s->item + MID_RACING_PIECE;
    if (s->item == 0)
        mid_refs_fixed(s->heap, type, object, drop_and_clear, s);
    for (; s->item < items && s->item < end; s->item++)
        drop_and_clear(s, mid_item_slots(type, object) + s->item);
    if (s->item < items)
        return false;
    MID_WRITE_(entry->count, MID_DYING_);
    mid_died(s->me, value, entry);
    s->freed++;
    return true;
}

/* A freed member keeps its mark, for others may still refer to it. Whoever has its index since is not watched. */
static void dispose_some(mid_sweep *s)
{
    mid_heap *heap = s->heap;
    mid_batch batch = {0};
    for (uint32_t n = 0; n < PIECE && s->at < s->set.count; n++, s->item = 0, s->at++) {
        mid_handle value = *mid_list_at(&s->set, s->at);
        mid_entry *entry = mid_entry_at(heap, value);
        prefetch(s, &s->set);
        if (!mid_watched(entry->count) || !mid_sweep_member(s, value))
            continue;
        if (s->item == 0 && entry->word & MID_F_WEAK)
            mid_weak_clear(s->me, value, entry, true);
        if (s->item == 0 && heap->debug)
            mid_debug_dies(s->me, value);
        if (entry->word & MID_F_LARGE) {
            if (!dispose_large(s, value, entry))
                break;
            continue;
        }
        if (mid_racing_piece(heap, value / 2, true, &s->item, drop_outward, s) == MID_RACING_MORE)
            break;
        s->freed++;
        if ((entry->word & MID_F_ALL) == 0 && mid_type_of_entry(heap, entry)->plain && !heap->debug) {
            mid_batch_add(s->me, &batch, value, entry);
            continue;
        }
        mid_batch_flush(s->me, &batch);
        batch = (mid_batch){0};
        mid_free_entry(s->me, value, entry);
    }
    mid_batch_flush(s->me, &batch);
    if (s->at == s->set.count)
        trial_over(s);
}

/* --- a set whose finalizers have run -------------------------------------------------------------------------------------------- */

bool mid_trial_rejudge(mid_impl *me)
{
    mid_heap *heap = me->heap;
    bool served = MID_READ_(heap->logging) && heap->proposer != NULL; /* somebody goes on with it */
    if (heap->collector.saving || heap->condemned_count <= MID_SWEEP_SMALL || me->whole || !served || pthread_mutex_trylock(&heap->proposing) != 0)
        return false;
    mid_sweep *s = &heap->proposer->sweep;
    bool taken = s->step == MID_SWEEP_NONE && mid_sweep_open(s) == MID_OK;
    if (taken) {
        mid_array was = s->set.memory;
        s->set = (mid_list){heap->condemned, heap->condemned_count};
        heap->condemned = was;
        MID_WRITE_(heap->condemned_count, 0);
        heap->condemned_next = 0;
        s->rejudged = true;
        mid_sweep_next(s, MID_SWEEP_RELEASE);
        MID_WRITE_(heap->sweeps, MID_SWEEPS_STOPPED);
    }
    pthread_mutex_unlock(&heap->proposing);
    return taken;
}

static void release_some(mid_sweep *s)
{
    for (uint32_t n = 0; n < PIECE && s->at < s->set.count; n++, s->at++) {
        prefetch(s, &s->set);
        mid_handle value = *mid_list_at(&s->set, s->at);
        *mid_sweep_mark(s, value / 2) = MID_SWEEP_MEMBER;
        mid_drop_ref(s->me, value);
    }
    if (s->at == s->set.count)
        mid_sweep_next(s, MID_SWEEP_WATCH);
}

void mid_trial_piece(mid_sweep *s)
{
    static void (*const pieces[])(mid_sweep *) = {
        [MID_SWEEP_RELEASE] = release_some, [MID_SWEEP_WATCH] = watch_some,     [MID_SWEEP_RESET] = reset_some,
        [MID_SWEEP_COUNT] = count_some,     [MID_SWEEP_JUDGE] = judge_some,     [MID_SWEEP_FOLLOW] = follow_some,
        [MID_SWEEP_UNTAG] = untag_dropped,  [MID_SWEEP_COMMIT] = commit,        [MID_SWEEP_HOLD] = hold_some,
        [MID_SWEEP_CONDEMN] = condemn_some, [MID_SWEEP_DISPOSE] = dispose_some, [MID_SWEEP_ABANDON] = abandon_some,
        [MID_SWEEP_CLOSE] = mid_sweep_end,
    };
    pieces[s->step](s);
}

void mid_trial_stop(mid_sweep *s)
{
    while (s->step == MID_SWEEP_RELEASE) /* those that are still held would be for ever */
        mid_trial_piece(s);
    if (s->step == MID_SWEEP_CONDEMN) /* those before `at` are held; they come to no finalizer so */
        while (s->at != 0) {
            s->at--;
            mid_drop_ref(s->me, *mid_list_at(&s->dropped, s->at));
        }
    if (s->step != MID_SWEEP_DISPOSE)
        mid_sweep_next(s, MID_SWEEP_ABANDON);
    while (s->step != MID_SWEEP_NONE)
        mid_trial_piece(s);
}
