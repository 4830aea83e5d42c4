/* gc/weak.c: weak cells. A weak handle names a cell and the cell's generation; the cell names the object until it dies.
 *
 * Some cells do more than that (weak.h): they call back, or are halves of pairs. Cells of one object are linked, and a map finds the first, so that death visits exactly them. A generation is odd while
 * the cell is in use; a cell whose generation would wrap is retired. Cells are used with `memory` held. A reference made
 * strong while other threads let go of the object counts up only what is alive, and death clears the cells before the name
 * can be another's. */
#include "gc/count.h"
#include "gc/freeze.h"
#include "gc/weak.h"

static mid_weak_cell *cell_at(const mid_heap *heap, uint32_t cell)
{
    return mid_weak_cell_at(heap, cell);
}

static mid_status cell_take(mid_heap *heap, uint32_t *out)
{
    if (heap->weak_free != 0) {
        *out = heap->weak_free;
        heap->weak_free = cell_at(heap, *out)->next;
        return MID_OK;
    }
    mid_status status = mid_array_grow(&heap->alloc, &heap->weak_cells,
                                       ((size_t)heap->weak_used + 2) * sizeof(mid_weak_cell));
    if (status == MID_OK)
        *out = ++heap->weak_used; /* cell 0 is none */
    return status;
}

/* Its generation stays. */
static void cell_put_back(mid_heap *heap, uint32_t cell)
{
    cell_at(heap, cell)->next = heap->weak_free;
    heap->weak_free = cell;
}

static void cell_give(mid_heap *heap, uint32_t cell)
{
    mid_weak_cell *c = cell_at(heap, cell);
    c->target = 0;
    if (mid_weak_role_of(heap, cell) != MID_CELL_PLAIN)
        mid_weak_extra_at(heap, cell)->role = MID_CELL_PLAIN;
    if (++c->generation != UINT32_MAX - 1)
        cell_put_back(heap, cell);
}

/* What programs have: not the library's own cells, whatever numbers they are given. */
static mid_weak_cell *checked(mid_heap *heap, mid_weak weak)
{
    if (weak.cell == 0 || weak.cell > heap->weak_used || mid_weak_role_of(heap, weak.cell) > MID_CELL_DUE)
        return NULL;
    mid_weak_cell *c = cell_at(heap, weak.cell);
    return c->generation == weak.generation && (weak.generation & 1) ? c : NULL;
}

mid_status mid_weak_make(mid_heap *heap, mid_handle object, mid_weak_role role, uint32_t *out)
{
    uint32_t cell, head = mid_map_get(&heap->weak_heads, object / 2);
    mid_status status = cell_take(heap, &cell);
    if (status != MID_OK)
        return status;
    status = mid_map_set(heap, &heap->weak_heads, object / 2, head != 0 ? head : cell);
    if (status == MID_OK && role != MID_CELL_PLAIN) {
        status = mid_array_grow(&heap->alloc, &heap->weak_extras, (cell + (size_t)1) * sizeof(mid_weak_extra));
        if (status != MID_OK && head == 0)
            mid_map_remove(&heap->weak_heads, object / 2);
    }
    if (status != MID_OK) {
        cell_put_back(heap, cell);
        return status;
    }
    mid_map_set(heap, &heap->weak_heads, object / 2, cell);
    if (role != MID_CELL_PLAIN)
        *mid_weak_extra_at(heap, cell) = (mid_weak_extra){.role = role};
    mid_weak_cell *c = cell_at(heap, cell);
    *c = (mid_weak_cell){object, c->generation + 1, head, 0};
    if (head != 0)
        cell_at(heap, head)->prev = cell;
    if (!mid_frozen(MID_READ_(mid_entry_at(heap, object)->count))) /* it learns of it when it thaws, and does not die before */
        __atomic_fetch_or(&mid_entry_at(heap, object)->word, MID_F_WEAK, __ATOMIC_RELAXED);
    *out = cell;
    return MID_OK;
}

/* It has no cells any more. What is frozen learns of it when it thaws. */
static void unflag(mid_heap *heap, mid_handle object)
{
    mid_entry *entry = mid_entry_at(heap, object);
    if (!mid_traced(heap, object) && !mid_interned_here(heap, object) && !mid_frozen(MID_READ_(entry->count)))
        __atomic_fetch_and(&entry->word, ~MID_F_WEAK, __ATOMIC_RELAXED);
}

static void unlink_cell(mid_heap *heap, mid_weak_cell *c)
{
    if (c->next != 0)
        cell_at(heap, c->next)->prev = c->prev;
    if (c->prev != 0) {
        cell_at(heap, c->prev)->next = c->next;
    } else if (c->next != 0) {
        mid_map_set(heap, &heap->weak_heads, c->target / 2, c->next);
    } else {
        mid_map_remove(&heap->weak_heads, c->target / 2);
        unflag(heap, c->target);
    }
    c->target = c->next = c->prev = 0;
}

void mid_weak_give(mid_heap *heap, uint32_t cell)
{
    if (cell_at(heap, cell)->target != 0)
        unlink_cell(heap, cell_at(heap, cell));
    cell_give(heap, cell);
}

/* A program's own, dropped; the one on its owner too. In the queue it stays, as nobody's. */
static void drop(mid_heap *heap, uint32_t cell)
{
    mid_weak_role role = mid_weak_role_of(heap, cell);
    if (role != MID_CELL_PLAIN && mid_weak_extra_at(heap, cell)->other != 0)
        mid_weak_give(heap, mid_weak_extra_at(heap, cell)->other);
    heap->weak_live--;
    if (role == MID_CELL_DUE) {
        mid_weak_extra_at(heap, cell)->role = MID_CELL_OVER;
        mid_weak_extra_at(heap, cell)->other = 0;
    } else {
        mid_weak_give(heap, cell);
    }
}

static mid_status make(mid_heap *heap, mid_handle object, mid_handle owner, mid_weak_fn *callback, void *context, mid_weak *out)
{
    uint32_t cell = 0, other = 0;
    mid_status status = mid_weak_make(heap, object, callback == NULL ? MID_CELL_PLAIN : MID_CELL_CALLS, &cell);
    if (status == MID_OK && owner != 0)
        status = mid_weak_make(heap, owner, MID_CELL_OWNER, &other);
    if (status != MID_OK && owner != 0 && other == 0 && cell != 0)
        mid_weak_give(heap, cell);
    if (status != MID_OK)
        return status;
    if (callback != NULL) {
        mid_weak_extra *extra = mid_weak_extra_at(heap, cell);
        extra->other = other;
        extra->callback = callback;
        extra->context = context;
    }
    if (other != 0)
        mid_weak_extra_at(heap, other)->other = cell;
    heap->weak_live++;
    *out = (mid_weak){cell, cell_at(heap, cell)->generation};
    return MID_OK;
}

static mid_status new_weak(mid_thread *thread, mid_handle object, mid_handle owner, mid_weak_fn *callback, void *context, mid_weak *out)
{
    *out = (mid_weak){0, 0};
    mid_status status;
    if (mid_checked(thread, object, &status) == NULL || (owner != 0 && mid_checked(thread, owner, &status) == NULL))
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    status = make(heap, object, owner, callback, context, out);
    mid_unlock(heap);
    if (status == MID_OK && !thread->alone) {
        mid_escape_(thread, object);
        if (owner != 0)
            mid_escape_(thread, owner);
    }
    return status;
}

mid_status mid_weak_new(mid_thread *thread, mid_handle object, mid_weak *out)
{
    return out == NULL ? MID_ENULL : new_weak(thread, object, 0, NULL, NULL, out);
}

mid_status mid_weak_new_with(mid_thread *thread, mid_handle object, mid_handle owner, mid_weak_fn *callback, void *context, mid_weak *out)
{
    return out == NULL || callback == NULL ? MID_ENULL : new_weak(thread, object, owner, callback, context, out);
}

/* Only the owner ends what it owns without an atomic instruction, and that is not for what has weak references. */
bool mid_weak_count_up(mid_thread *thread, mid_handle object, mid_entry *entry)
{
    uint32_t count = MID_READ_(entry->count);
    if (mid_watched(count) && MID_READ_(mid_impl_of(thread)->heap->committed))
        return false; /* garbage that is being freed */
    MID_DELAY(UPGRADE);
    count = mid_touch(mid_impl_of(thread), entry, count);
    if (mid_frozen(count))
        mid_side_count(mid_impl_of(thread)->heap, object, 1);
    if (mid_sticky(count))
        return true;
    if (mid_mine_(thread, count) - MID_ONE_ < MID_LOCAL_ - 2 * MID_ONE_) {
        MID_WRITE_(entry->count, count + MID_ONE_);
        return true;
    }
    uint32_t seen = __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE);
    do
        if (!(seen & MID_LIVE_) || mid_others(seen) >= MID_BAND)
            return (seen & MID_LIVE_) != 0;
    while (!__atomic_compare_exchange_n(&entry->shared, &seen, seen + MID_SHARED_ONE_, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return true;
}

mid_handle mid_weak_get(mid_thread *thread, mid_weak weak)
{
    mid_status status = mid_thread_check(thread);
    if (thread != NULL && status != MID_ETHREAD)
        thread->status = status;
    if (status != MID_OK)
        return 0;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    mid_weak_cell *c = checked(heap, weak);
    /* What waits on the work list still has its cells, and is gone all the same. */
    mid_handle found = c != NULL && c->target != 0 && mid_weak_count_up(thread, c->target, mid_entry_at(heap, c->target)) ? c->target : 0;
    mid_unlock(heap);
    return found;
}

mid_status mid_weak_drop(mid_thread *thread, mid_weak weak)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_lock(heap);
    bool known = checked(heap, weak) != NULL;
    if (known)
        drop(heap, weak.cell);
    mid_unlock(heap);
    return known ? MID_OK : MID_EHANDLE;
}

/* --- death ------------------------------------------------------------------------------------------------------------------ */

static void enqueue(mid_heap *heap, uint32_t cell)
{
    mid_weak_extra *extra = mid_weak_extra_at(heap, cell);
    extra->role = MID_CELL_DUE;
    extra->next_due = 0;
    if (heap->weak_due_first == 0)
        heap->weak_due_first = cell;
    else
        mid_weak_extra_at(heap, heap->weak_due_last)->next_due = cell;
    heap->weak_due_last = cell;
    MID_WRITE_(heap->weak_due, heap->weak_due + 1);
    mid_ask_all(heap, MID_ASK_FINALIZE);
}

static void clear(mid_impl *me, uint32_t cell)
{
    mid_heap *heap = me->heap;
    switch (mid_weak_role_of(heap, cell)) {
    case MID_CELL_OWNER:
        drop(heap, mid_weak_extra_at(heap, cell)->other); /* and with it this one */
        return;
    case MID_CELL_MAP:
        mid_pairs_orphan(heap, cell_at(heap, cell)->target);
        return;
    case MID_CELL_KEY:
    case MID_CELL_VALUE:
        mid_drop_ref(me, mid_pair_end(heap, cell));
        return;
    case MID_CELL_CALLS:
        enqueue(heap, cell);
        break;
    default:
        break;
    }
    unlink_cell(heap, cell_at(heap, cell));
}

/* One cell may take another with it, so always from the beginning. */
void mid_weak_clear(mid_impl *me, mid_handle handle, mid_entry *entry, bool for_good)
{
    mid_heap *heap = me->heap;
    mid_lock(heap);
    if (mid_type_of_entry(heap, entry)->policy != NULL && mid_intern_leave(heap, handle) && !mid_traced(heap, handle) &&
        (heap->weak_heads.count == 0 || mid_map_get(&heap->weak_heads, handle / 2) == 0))
        __atomic_fetch_and(&entry->word, ~MID_F_WEAK, __ATOMIC_RELAXED);
    while (MID_READ_(entry->word) & MID_F_WEAK) {
        uint32_t cell = mid_map_get(&heap->weak_heads, handle / 2);
        if (!for_good && mid_weak_role_of(heap, cell) == MID_CELL_MAP)
            cell = cell_at(heap, cell)->next; /* a map that may be resurrected stays one */
        if (cell == 0)
            break;
        clear(me, cell);
    }
    mid_unlock(heap);
}

/* The next of those whose objects have gone, and its owner, counted. False: none. */
static bool next_due(mid_impl *me, mid_weak_extra *out, mid_weak *weak, mid_handle *owner)
{
    mid_heap *heap = me->heap;
    bool found = false;
    mid_lock(heap);
    while (!found && heap->weak_due_first != 0) {
        uint32_t cell = heap->weak_due_first;
        mid_weak_extra *extra = mid_weak_extra_at(heap, cell);
        *out = *extra;
        *weak = (mid_weak){cell, cell_at(heap, cell)->generation};
        *owner = 0;
        heap->weak_due_first = extra->next_due;
        MID_WRITE_(heap->weak_due, heap->weak_due - 1);
        found = extra->role == MID_CELL_DUE;
        extra->role = MID_CELL_PLAIN;
        extra->other = 0;
        if (!found) {
            cell_give(heap, cell);
        } else if (out->other != 0) {
            mid_handle of = cell_at(heap, out->other)->target;
            found = mid_weak_count_up(&me->pub, of, mid_entry_at(heap, of));
            *owner = found ? of : 0;
            mid_weak_give(heap, out->other);
            if (!found) /* it is dying, and the reference with it */
                drop(heap, cell);
        }
    }
    mid_unlock(heap);
    return found;
}

bool mid_weak_call(mid_impl *me)
{
    mid_weak_extra extra;
    mid_weak weak;
    mid_handle owner;
    if (MID_READ_(me->heap->weak_due) == 0 || !next_due(me, &extra, &weak, &owner))
        return false;
    mid_part part = mid_pause_begin(me, MID_PAUSE_FINALIZE);
    me->finalizing++;
    me->owner_told = owner;
    extra.callback(&me->pub, weak, owner, extra.context);
    me->owner_told = 0;
    me->finalizing--;
    mid_pause_end(&part);
    __atomic_fetch_add(&me->heap->weak_called, 1, __ATOMIC_RELAXED);
    mid_release(&me->pub, owner);
    return true;
}

/* --- deep compaction --------------------------------------------------------------------------------------------------------- */

/* Pairs found by it are found by its other name. */
static void retarget(mid_heap *heap, uint32_t cell, mid_handle target)
{
    for (; cell != 0; cell = cell_at(heap, cell)->next) {
        cell_at(heap, cell)->target = target;
        if (mid_weak_role_of(heap, cell) == MID_CELL_KEY)
            mid_weak_extra_at(heap, cell)->key = target;
    }
}

static void each_pair(mid_heap *heap, uint32_t cell, void (*fn)(mid_heap *, uint32_t))
{
    for (; cell != 0; cell = cell_at(heap, cell)->next)
        if (mid_weak_role_of(heap, cell) == MID_CELL_KEY)
            fn(heap, cell);
}

void mid_weak_exchange(mid_heap *heap, mid_handle a, mid_handle b)
{
    uint32_t of_a = mid_map_get(&heap->weak_heads, a / 2), of_b = mid_map_get(&heap->weak_heads, b / 2);
    if (of_a == 0 && of_b == 0)
        return;
    each_pair(heap, of_a, mid_pair_leave);
    each_pair(heap, of_b, mid_pair_leave);
    retarget(heap, of_a, b);
    retarget(heap, of_b, a);
    each_pair(heap, of_a, mid_pair_enter);
    each_pair(heap, of_b, mid_pair_enter);
    mid_map_remove(&heap->weak_heads, a / 2);
    mid_map_remove(&heap->weak_heads, b / 2);
    if (of_a != 0)
        mid_map_set(heap, &heap->weak_heads, b / 2, of_a); /* there is room: no more than were taken out */
    if (of_b != 0)
        mid_map_set(heap, &heap->weak_heads, a / 2, of_b);
}
