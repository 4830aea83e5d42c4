/* gc/cycle.c: garbage cycles, exactly.
 *
 * Candidates are the live entries of possibly cyclic types: all of the table, or a given set. References between
 * candidates are subtracted from their counts (here: counted up in a side array of marks); what has more counts than
 * references is held from outside, keeps all it reaches alive, and the rest is garbage. This is CPython's collector
 * (gcmodule.c; Christopher, "Reference count garbage collection", 1984) run linearly over a dense table, the marks beside
 * it, so that a reference to anywhere touches 4 bytes. The world stands still, and everything is exact.
 *
 * A cycle can have become garbage only if the count of a member fell without reaching zero since the last collection (such
 * entries carry the suspect bit, or an age), or if its last holder gave it into one of its own slots (mid_swap notes that something was
 * moved). Where neither happened a look at the table is all the work. */
#include <string.h>

#include "gc/batch.h"
#include "gc/count.h"
#include "gc/debug.h"
#include "gc/pairs.h"
#include "gc/refs.h"

/* A mark. Bit 30: a candidate, and below it the references from candidates; or ALIVE and the next index on the stack. When
 * all that is alive has been found, the candidates that are left are garbage. */
#define ALIVE 0x80000000u
#define CANDIDATE 0x40000000u
#define INSIDE (CANDIDATE - 1)
#define END 0x7fffffffu

/* What the last object's type said, in one register, because the passes are bound by instructions: the type in the bits where
 * an entry has it, the first declared slot and their number if they are adjacent and all there is. */
typedef uint64_t shape;
#define CYCLIC (1ull << 32)
#define SIMPLE (1ull << 33)
#define PLAIN (1ull << 34)
#define EPHEMERAL (1ull << 35) /* a map whose values depend on their keys */
#define NO_SHAPE 0 /* of type 0, which no object has */

#define AHEAD 16u /* prefetched */

typedef struct sweep {
    mid_heap *heap;
    mid_impl *me;
    uint32_t *marks;
    mid_handle *list; /* null: the whole table */
    uint32_t count;
    uint32_t stack;
    bool pairs;             /* there are pairs in weak maps: their values are alive only if map and key are */
    uint64_t candidates, garbage;
    uint64_t edges;         /* references from candidates, ... */
    uint64_t alive_edges;   /* ... and of them, from those alive */
    mid_status left;        /* why garbage was left that is neither free nor remembered; MID_OK: none was */
} sweep;

static inline uint32_t index_at(const mid_handle *list, uint32_t i)
{
    return list == NULL ? i : list[i] / 2;
}

/* Where in the table, or in the set, a pass starts. */
static inline uint32_t start(const sweep *s)
{
    return s->list == NULL ? s->heap->first_index : 0;
}

static inline mid_entry *entry_of(const sweep *s, uint32_t index)
{
    return s->heap->table + index;
}

static __attribute__((noinline)) shape shape_of(const mid_heap *heap, uint64_t word)
{
    const mid_type_info *info = mid_type_at(heap, (mid_type)(word >> MID_TYPE_SHIFT_));
    shape shape = word >> MID_TYPE_SHIFT_ << MID_TYPE_SHIFT_;
    shape |= (info->cyclic ? CYCLIC : 0) | (info->plain ? PLAIN : 0) | (info->ephemeral ? EPHEMERAL : 0);
    if (info->slots == NULL && info->trace == NULL && !info->items_are_refs && info->first_slot <= UINT16_MAX &&
        info->slot_count <= UINT16_MAX)
        shape |= SIMPLE | (uint64_t)info->first_slot << 16 | info->slot_count;
    return shape;
}

static inline __attribute__((always_inline)) shape take_shape(const mid_heap *heap, shape last, uint64_t word)
{
    return MID_LIKELY_((word ^ last) >> MID_TYPE_SHIFT_ == 0) ? last : shape_of(heap, word);
}

static inline __attribute__((always_inline)) void each_ref(sweep *s, shape shape, uint64_t word, mid_ref_fn *fn)
{
    void *object = (void *)(uintptr_t)(word & MID_ADDRESS_MASK_);
    if (MID_UNLIKELY_(!(shape & SIMPLE))) {
        mid_refs(s->heap, mid_type_at(s->heap, (mid_type)(word >> MID_TYPE_SHIFT_)), object, fn, s);
        return;
    }
    mid_slot *slot = (mid_slot *)object + (uint16_t)(shape >> 16);
    if ((uint16_t)shape == 2) { /* links: no loop */
        fn(s, slot);
        fn(s, slot + 1);
        return;
    }
    for (unsigned n = (uint16_t)shape; n != 0; n--)
        fn(s, slot++);
}

/* What is in no cycle of references can be in one of pairs: as a key that only its own value holds. */
static inline bool may_be_garbage(const sweep *s, uint32_t index, uint64_t word, bool cyclic)
{
    return MID_LIKELY_(cyclic) || (MID_UNLIKELY_(word & MID_F_WEAK) && s->pairs && mid_pairs_key(s->heap, index));
}

static mid_status sweep_open(sweep *s)
{
    mid_status status =
        mid_array_grow(&s->heap->alloc, &s->heap->marks, (size_t)s->heap->next_index * sizeof(uint32_t));
    if (status != MID_OK)
        return status;
    s->marks = s->heap->marks.data;
    s->stack = END;
    s->pairs = s->heap->pairs_count != 0;
    if (s->list == NULL)
        s->count = s->heap->next_index;
    for (uint32_t i = 0; s->list != NULL && i < s->count; i++) {
        const mid_entry *entry = entry_of(s, s->list[i] / 2);
        if (i + AHEAD < s->count)
            __builtin_prefetch(entry_of(s, s->list[i + AHEAD] / 2));
        if (!mid_entry_live(entry) || mid_watched(entry->count) || mid_frozen(entry->count) ||
            !may_be_garbage(s, s->list[i] / 2, entry->word, mid_type_of_entry(s->heap, entry)->cyclic))
            continue;
        if (s->marks[s->list[i] / 2] == CANDIDATE)
            s->list[i] = 0; /* of two proposals: what it refers to would be counted twice, and it freed twice */
        else
            s->marks[s->list[i] / 2] = CANDIDATE;
    }
    return MID_OK;
}

static bool any_suspect(const mid_heap *heap)
{
    for (uint32_t id = 1; id <= heap->thread_count; id++)
        if (heap->threads[id]->pub.moved != 0)
            return true;
    if (heap->leaf_pairs != 0) /* nobody notes what happens to the counts of such keys */
        return true;
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (mid_suspect(entry) && mid_entry_live(entry) && mid_type_of_entry(heap, entry)->cyclic)
            return true;
    }
    return false;
}

/* Of the whole table, what is no candidate is counted as well, null too: nobody looks at those marks. At its top the number
 * sticks: that is more than a count can hold, so the object will pass for alive. */
static inline void subtract_one(void *context, mid_slot *slot)
{
    sweep *s = context;
    mid_handle value = slot->bits_;
    if (value & 1)
        return;
    s->edges += value != 0;
    uint32_t *mark = &s->marks[value / 2];
    if (s->list != NULL && !(*mark & CANDIDATE)) {
        __builtin_prefetch(entry_of(s, value / 2), 1); /* when it is garbage that refers to it, this is where it tells */
        return;
    }
    if (MID_LIKELY_((*mark & INSIDE) != INSIDE))
        ++*mark;
}

/* The value of a candidate key is referred to from within the set, whether its map is in it or not. Of the whole table only what is
 * frozen is not in it. */
static void subtract_pair(void *context, mid_handle map, mid_slot *value)
{
    sweep *s = context;
    if (map == 0 || !mid_is_object_(value->bits_))
        return;
    if (s->list != NULL ? !(s->marks[map / 2] & CANDIDATE) : mid_frozen(entry_of(s, map / 2)->count))
        subtract_one(s, value);
}

static inline __attribute__((always_inline)) void subtract(sweep *s, const mid_handle *list)
{
    mid_entry *const table = s->heap->table;
    uint32_t *const marks = s->marks;
    shape shape = NO_SHAPE;
    uint64_t candidates = 0;
    const bool committed = s->heap->committed; /* those are being freed already */
    for (uint32_t i = start(s), end = s->count; i < end; i++) {
        uint32_t index = index_at(list, i);
        uint64_t word = table[index].word;
        if (list != NULL && i + AHEAD / 2 < end)
            __builtin_prefetch(mid_address(&table[index_at(list, i + AHEAD / 2)]));
        if (list != NULL && !(marks[index] & CANDIDATE))
            continue;
        shape = take_shape(s->heap, shape, word);
        if (!may_be_garbage(s, index, word, (shape & CYCLIC) != 0) || !mid_entry_live(&table[index]) || mid_frozen(table[index].count) ||
            (committed && mid_watched(table[index].count)))
            continue;
        marks[index] |= CANDIDATE;
        candidates++;
        each_ref(s, shape, word, subtract_one);
        if (MID_UNLIKELY_(word & MID_F_WEAK) && s->pairs && (list != NULL || s->heap->freezer != NULL))
            mid_pairs_of_key(s->heap, index, subtract_pair, s);
    }
    s->candidates = candidates;
}

/* A candidate that is not, or not yet, found alive. */
static inline bool is_garbage(const sweep *s, uint32_t index)
{
    return (s->marks[index] & (ALIVE | CANDIDATE)) == CANDIDATE;
}

static inline void revive(sweep *s, uint32_t index)
{
    s->marks[index] = s->stack | ALIVE;
    s->stack = index;
}

static inline void revive_ref(void *context, mid_slot *slot)
{
    sweep *s = context;
    mid_handle value = slot->bits_;
    if (!mid_is_object_(value))
        return;
    s->alive_edges++;
    if (is_garbage(s, value / 2))
        revive(s, value / 2);
}

/* An edge from two objects, of which the one is found alive now: it holds if the other is. It is not counted as an edge of what is
 * alive, for it may come up from either side: then garbage that is closed passes for open, which costs another look at it. */
static void revive_pair(void *context, mid_handle other, mid_slot *value)
{
    sweep *s = context;
    mid_handle to = value->bits_;
    if (mid_is_object_(to) && (other == 0 || !is_garbage(s, other / 2)) && is_garbage(s, to / 2))
        revive(s, to / 2);
}

/* Follow what was put on the stack to all it reaches. `visit` sees each object once, before its references are followed.
 *
 * Between the stack and the visit objects pass through a short queue, where first their entry and then their memory is
 * prefetched, so that misses overlap (Cher, Hosking, Vitek, "Software prefetching for mark-sweep garbage collection",
 * ASPLOS 2004). */

static inline __attribute__((always_inline)) void follow(sweep *s,
                                                         void (*visit)(sweep *s, uint32_t index, mid_entry *entry))
{
    shape shape = NO_SHAPE;
    uint32_t queue[AHEAD], in = 0, out = 0;
    for (;;) {
        while (s->stack != END && in - out < AHEAD) {
            uint32_t next = s->stack;
            s->stack = s->marks[next] & ~ALIVE;
            __builtin_prefetch(entry_of(s, next));
            queue[in++ % AHEAD] = next;
        }
        if (in == out)
            return;
        if (in - out > AHEAD / 2)
            __builtin_prefetch(mid_address(entry_of(s, queue[(out + AHEAD / 2) % AHEAD])));
        uint32_t next = queue[out++ % AHEAD];
        mid_entry *entry = entry_of(s, next);
        visit(s, next, entry);
        const uint64_t word = entry->word;
        shape = take_shape(s->heap, shape, word);
        if (MID_UNLIKELY_(word & MID_F_WEAK) && s->pairs)
            mid_pairs_of_key(s->heap, next, revive_pair, s);
        if (MID_UNLIKELY_(shape & EPHEMERAL) && s->pairs)
            mid_pairs_of_map(s->heap, mid_address(entry), revive_pair, s);
        else
            each_ref(s, shape, word, revive_ref);
    }
}

static inline void no_suspect(sweep *s, uint32_t index, mid_entry *entry)
{
    (void)index;
    if (!mid_type_of_entry(s->heap, entry)->cyclic)
        return;
    if (s->list == NULL)
        mid_not_suspect(entry);
    else
        mid_grow_older(entry, false); /* what it loses later is to be logged */
}

/* What is held from outside, and all it reaches, is alive, and no suspect any more. */
static inline __attribute__((always_inline)) void revive_held(sweep *s, const mid_handle *list)
{
    mid_entry *const table = s->heap->table;
    uint32_t *const marks = s->marks;
    for (uint32_t i = start(s), end = s->count; i < end; i++) {
        uint32_t index = index_at(list, i), mark = marks[index];
        if ((mark & (ALIVE | CANDIDATE)) != CANDIDATE)
            continue;
        const mid_entry *entry = &table[index];
        /* Fewer counts than references is a corrupt heap: mid_heap_check tells, and nothing is freed on its word. */
        if (mid_total(entry) == (int64_t)(mark & INSIDE) && !mid_immortal(entry))
            continue;
        revive(s, index);
        follow(s, no_suspect);
    }
}

/* How much is garbage; and whether it is closed: all its references are to garbage, so that nobody need look at them again.
 * Nothing alive refers to garbage, so the references it has are as many as it receives, unless some lead out. */
static bool tally(sweep *s)
{
    uint64_t received = 0;
    for (uint32_t i = start(s); i < s->count; i++) {
        uint32_t index = index_at(s->list, i);
        if (!is_garbage(s, index))
            continue;
        s->garbage++;
        received += s->marks[index] & INSIDE;
    }
    return s->edges - s->alive_edges == received;
}

/* The world stands, and the halves of the count stay as owners know them: their own is not 0, and others hold less than nothing only until
 * what is left of the garbage is held or let go. */
static void lose_one(mid_entry *entry)
{
    if (!(entry->shared & MID_MERGED_) && mid_others(entry->shared) <= 0 && mid_local(entry->count) > 1)
        MID_WRITE_(entry->count, entry->count - MID_ONE_);
    else
        MID_WRITE_(entry->shared, entry->shared - MID_SHARED_ONE_);
}

/* The strong half of a pair whose weak half is garbage. Of garbage the count alone falls: it is freed, or held, as garbage is. */
static void severed(void *context, mid_handle strong)
{
    sweep *s = context;
    if (!mid_is_object_(strong))
        return;
    mid_entry *entry = mid_entry_at(s->heap, strong);
    if (!is_garbage(s, strong / 2))
        mid_drop_ref(s->me, strong);
    else if (!mid_immortal(entry))
        lose_one(entry);
}

/* Clear weak references to garbage; true if some of it wants to be finalized. */
static bool sentence(sweep *s)
{
    bool finalizable = false;
    for (uint32_t i = start(s); i < s->count; i++) {
        uint32_t index = index_at(s->list, i);
        if (!is_garbage(s, index))
            continue;
        mid_entry *entry = entry_of(s, index);
        if ((entry->word & MID_F_WEAK) && s->pairs)
            mid_pairs_sever(s->heap, index * 2, severed, s);
        if (entry->word & MID_F_WEAK)
            mid_weak_clear(s->me, index * 2, entry, false);
        finalizable |= mid_final_due(s->heap, entry);
    }
    return finalizable;
}

static inline void hold(sweep *s, uint32_t index, mid_entry *entry)
{
    mid_heap *heap = s->heap;
    ((mid_handle *)heap->condemned.data)[heap->condemned_count] = index * 2;
    MID_WRITE_(heap->condemned_count, heap->condemned_count + 1);
    MID_WRITE_(entry->shared, entry->shared + MID_SHARED_ONE_);
    if (mid_final_due(heap, entry))
        MID_WRITE_(heap->final_count, heap->final_count + 1);
}

/* It stays garbage, for the next collection to find. */
static inline void spare(sweep *s, uint32_t index, mid_entry *entry)
{
    (void)s, (void)index;
    MID_WRITE_(entry->shared, entry->shared | MID_SHARED_SUSPECT_);
}

/* The same where pairs were severed, of which the count alone fell: now as its owner has to see it. What only pairs held dies. */
static inline void let_go(sweep *s, uint32_t index, mid_entry *entry)
{
    spare(s, index, entry);
    if (mid_immortal(entry))
        return;
    MID_WRITE_(entry->shared, entry->shared + MID_SHARED_ONE_);
    mid_drop_ref(s->me, index * 2);
}

/* Garbage with finalizers and what it reaches is set aside, whole, until they have run; if there is no room to remember it,
 * until there is. */
static void condemn(sweep *s)
{
    mid_heap *heap = s->heap;
    size_t room = (heap->condemned_count + s->garbage) * sizeof(mid_handle);
    s->left = mid_array_grow(&heap->alloc, &heap->condemned, room);
    for (uint32_t i = start(s); i < s->count; i++) {
        uint32_t index = index_at(s->list, i);
        if (!is_garbage(s, index) || !mid_final_due(heap, entry_of(s, index)))
            continue;
        revive(s, index);
        if (s->left == MID_OK)
            follow(s, hold);
        else
            follow(s, let_go);
    }
    if (heap->condemned_count != 0)
        mid_ask_all(heap, MID_ASK_FINALIZE);
}

/* References from garbage to what is no garbage. */
static inline void drop_outward(void *context, mid_slot *slot)
{
    sweep *s = context;
    mid_handle value = slot->bits_;
    if (mid_is_object_(value) && !is_garbage(s, value / 2))
        mid_drop_ref(s->me, value);
}

static inline __attribute__((always_inline)) uint64_t free_garbage(sweep *s, const mid_handle *list,
                                                                   bool closed)
{
    mid_heap *const heap = s->heap;
    mid_entry *const table = heap->table;
    const bool checked = heap->debug;
    shape shape = NO_SHAPE;
    mid_batch batch = {0};
    uint64_t freed = 0;
    for (uint32_t i = start(s), end = s->count; i < end; i++) {
        uint32_t index = index_at(list, i);
        if (!is_garbage(s, index))
            continue;
        mid_entry *entry = &table[index];
        uint64_t word = entry->word;
        shape = take_shape(heap, shape, word);
        if (checked)
            mid_debug_dies(s->me, index * 2);
        if (!closed)
            each_ref(s, shape, word, drop_outward);
        freed++;
        if ((word & MID_F_ALL) == 0 && (shape & PLAIN) && !checked) {
            mid_batch_add(s->me, &batch, index * 2, entry);
            continue;
        }
        mid_batch_flush(s->me, &batch); /* it may free into the same pool */
        batch = (mid_batch){0};
        mid_free_entry(s->me, index * 2, entry);
    }
    mid_batch_flush(s->me, &batch);
    return freed;
}

/* Collections that follow one another, of a small heap, should not fault the same pages in each time. */
#define MARKS_KEPT ((size_t)1 << 20)

/* What would be freed is kept. Without room it stays garbage. */
static void save(sweep *s)
{
    s->left = mid_save_room(s->heap, s->garbage);
    for (uint32_t i = start(s); i < s->count; i++) {
        uint32_t index = index_at(s->list, i);
        if (!is_garbage(s, index))
            continue;
        s->marks[index] |= ALIVE;
        if (s->left == MID_OK) {
            no_suspect(s, index, entry_of(s, index));
            mid_save(s->heap, index * 2);
        } else {
            spare(s, index, entry_of(s, index));
        }
    }
}

static void sweep_close(sweep *s)
{
    for (uint32_t i = 0; s->list != NULL && i < s->count; i++)
        s->marks[s->list[i] / 2] = 0;
    if (s->list != NULL)
        return;
    size_t used = (size_t)s->heap->next_index * sizeof(uint32_t);
    if (used <= MARKS_KEPT)
        memset(s->marks, 0, used);
    else
        mid_array_free(&s->heap->alloc, &s->heap->marks);
}

static mid_status sweep_run(sweep *s, uint64_t *freed)
{
    mid_status status = sweep_open(s);
    if (status != MID_OK)
        return status;
    if (s->list == NULL) {
        subtract(s, NULL);
        revive_held(s, NULL);
    } else {
        subtract(s, s->list);
        revive_held(s, s->list);
    }
    bool closed = tally(s);
    if (s->garbage != 0 && s->heap->collector.saving) {
        save(s);
        closed = false;
    } else if (s->garbage != 0 && (s->heap->weak_live != 0 || s->pairs || MID_READ_(s->heap->any_finalizer)) && sentence(s)) {
        condemn(s);
        closed = false;
    }
    *freed = 0;
    if (s->garbage != 0)
        *freed = s->list == NULL ? free_garbage(s, NULL, closed) : free_garbage(s, s->list, closed);
    sweep_close(s);
    return MID_OK;
}

/* What waits anywhere: news of counts, and dead objects. */
void mid_settle(mid_impl *me)
{
    mid_heap *heap = me->heap;
    mid_boxes_settle(me);
    for (uint32_t id = 1; id <= heap->thread_count; id++) {
        mid_impl *impl = heap->threads[id];
        if (mid_lost(impl))
            continue;
        while (mid_drain(impl, 4096, 0) != 0)
            ;
    }
}

mid_status mid_cycles_collect(mid_impl *me, mid_collect_result *result)
{
    mid_heap *heap = me->heap;
    uint64_t began = mid_thread_cpu_nanos();
    mid_status status = MID_OK;
    *result = (mid_collect_result){0};
    mid_collecting piece = mid_collecting_begin(heap, MID_COLLECTOR_FULL, false);
    MID_EMIT(heap, collect_begin);
    if (heap->debug)
        mid_debug_verify(heap, "mid_collect"); /* what is no reference is not to be followed */
    mid_settle(me);
    if (any_suspect(heap)) {
        sweep s = {.heap = heap, .me = me};
        status = sweep_run(&s, &result->freed);
        for (uint32_t id = 1; status == MID_OK && id <= heap->thread_count; id++)
            heap->threads[id]->pub.moved = 0;
        MID_WRITE_(heap->candidates_left, (uint32_t)(s.candidates - s.garbage));
        result->candidates = s.candidates;
        result->garbage = s.garbage;
        if (status == MID_OK) {
            MID_WRITE_(heap->pairs_alive, heap->pairs_count);
            status = s.left;
        }
        mid_settle(me);
    }
    result->micros = (mid_thread_cpu_nanos() - began) / 1000;
    heap->touched += result->garbage != 0;
    MID_WRITE_(heap->suspected, 0); /* whoever collects, they are dealt with */
    MID_COUNT(heap, collections, 1);
    MID_COUNT(heap, collected_objects, result->freed);
    MID_COUNT(heap, collect_micros, result->micros);
    MID_WRITE_(heap->live_at_collection, mid_live_bytes(heap));
    MID_EMIT(heap, collect_end, result);
    piece.is.candidates = result->candidates;
    piece.is.garbage = result->garbage;
    piece.is.freed = result->freed;
    mid_collecting_end(heap, &piece, status);
    return status;
}

mid_status mid_cycles_prove(mid_impl *me, mid_handle *set, uint32_t count, uint64_t *freed)
{
    mid_heap *heap = me->heap;
    sweep s = {.heap = heap, .me = me, .list = set, .count = count};
    mid_status status = sweep_run(&s, freed);
    MID_COUNT(heap, collected_objects, *freed); /* the daemon reads it beside */
    heap->touched += s.garbage != 0; /* freed or condemned: members of a set on trial, perhaps */
    return status == MID_OK ? s.left : status;
}
