/* gc/weakmap.c: ephemerons and weak maps, as programs call them. A map is an object of variable size, two items a pair (weak.h);
 * an ephemeron is a map with room for one. */
#include "gc/count.h"
#include "gc/pairs.h"
#include "gc/resize.h"
#include "gc/weak.h"

enum { KIND_EPHEMERON = 2 };
#define FIRST_PAIRS 4u
#define PAIRS_MOST (1u << 29)

static const char *const names[] = {"weak-keyed map", "weak-valued map", "ephemeron"};

/* Registered when the first is made. The collector knows their pairs from their first object on. */
static mid_status type_of(mid_heap *heap, unsigned kind, mid_type *out)
{
    mid_type_desc desc = {.struct_size = sizeof desc,
                          .name = names[kind],
                          .size = sizeof(mid_weak_map),
                          .flags = kind == MID_WEAK_VALUES ? MID_IDENTITY : 0,
                          .item_size = sizeof(mid_slot),
                          .length_offset = offsetof(mid_weak_map, length),
                          .items_are_refs = 1};
    mid_status status = MID_OK;
    mid_lock(heap);
    if (heap->map_types[kind] == 0) {
        status = mid_type_register(heap, &desc, &heap->map_types[kind]);
        if (status == MID_OK) {
            mid_type_info *info = mid_type_at(heap, heap->map_types[kind]);
            info->pairs = true;
            info->ephemeral = kind != MID_WEAK_VALUES;
            mid_type_aside(heap, heap->map_types[kind]); /* only from here */
        }
    }
    *out = heap->map_types[kind];
    mid_unlock(heap);
    return status;
}

/* Positions from `from` to the end, free; the list ends with what was free before. */
static void open_positions(mid_weak_map *m, uint32_t from)
{
    for (uint32_t at = m->length / 2; at-- > from;) {
        MID_WRITE_(m->items[2 * (size_t)at].bits_, mid_from_int(m->free));
        MID_WRITE_(m->items[2 * (size_t)at + 1].bits_, 0);
        m->free = (int32_t)at;
    }
}

/* Not by mid_release: that might run finalizers. */
static void unmake(mid_impl *me, mid_handle made)
{
    mid_drop_ref(me, made);
    mid_drain_timed(me, me->heap->options.free_batch, 0);
}

static mid_status make_map(mid_thread *thread, unsigned kind, uint32_t pairs, mid_handle *out)
{
    mid_type type;
    mid_status status = mid_thread_check(thread);
    *out = 0;
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    mid_heap *heap = me->heap;
    mid_handle made = 0;
    status = type_of(heap, kind, &type);
    if (status == MID_OK)
        status = mid_make_own(me, type, 2 * (size_t)pairs, &made);
    if (status != MID_OK)
        return status;
    mid_lock(heap);
    mid_weak_map *m = mid_weak_map_at(heap, made);
    m->free = -1;
    open_positions(m, 0);
    status = mid_weak_make(heap, made, MID_CELL_MAP, &m->self);
    mid_unlock(heap);
    if (status != MID_OK)
        unmake(me, made);
    else
        *out = made;
    return status;
}

/* --- one pair, with `memory` held ------------------------------------------------------------------------------------------ */

typedef struct map {
    mid_thread *thread;
    mid_heap *heap;
    mid_handle handle;
    bool weak_keys;
} map;

static mid_status checked_map(mid_thread *thread, mid_handle handle, bool ephemeron, map *out)
{
    mid_status status;
    mid_entry *entry = mid_checked(thread, handle, &status);
    if (entry == NULL)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_type type = (mid_type)(MID_READ_(entry->word) >> MID_TYPE_SHIFT_);
    const mid_type_info *info = mid_type_at(heap, type);
    if (!info->pairs || (type == heap->map_types[KIND_EPHEMERON]) != ephemeron)
        return MID_ETYPE;
    *out = (map){thread, heap, handle, info->ephemeral};
    return MID_OK;
}

static mid_weak_map *at(const map *m)
{
    return mid_weak_map_at(m->heap, m->handle);
}

static uint32_t find(const map *m, mid_handle key)
{
    return mid_pair_find(m->heap, at(m)->self, key);
}

static mid_handle weak_half(const map *m, uint32_t cell)
{
    mid_handle target = mid_weak_cell_at(m->heap, cell)->target;
    return mid_weak_count_up(m->thread, target, mid_entry_at(m->heap, target)) ? target : 0;
}

/* Both counted, or both 0: the weak half is dying. */
static bool both(const map *m, uint32_t cell, mid_handle *key, mid_handle *value)
{
    mid_handle weak = weak_half(m, cell);
    mid_handle strong = weak == 0 ? 0 : mid_retain(m->thread, mid_pair_slot(m->heap, cell)->bits_);
    *key = m->weak_keys ? weak : strong;
    *value = m->weak_keys ? strong : weak;
    return weak != 0;
}

/* Other threads will find it without having been given it. Before the lock, which nobody may hold who waits for another's death. */
static void escape(mid_thread *thread, mid_handle value)
{
    if (!thread->alone && mid_is_object_(value) && !(MID_READ_(mid_entry_(thread, value)->shared) & (MID_ESCAPED_ | MID_MERGED_)))
        mid_escape_(thread, value);
}

/* [consumed]; returns what was there. A cycle may have lost its last holder to itself so, as by any store. */
static mid_handle put(const map *m, uint32_t pair, mid_handle strong)
{
    m->thread->moved |= strong;
    return __atomic_exchange_n(&mid_pair_slot(m->heap, pair)->bits_, strong, __ATOMIC_ACQ_REL);
}

/* Room for one more. It is grown only while it is held, and has no free position. */
static mid_status room(const map *m)
{
    uint32_t pairs = at(m)->length / 2;
    mid_status status = mid_pairs_room(m->heap);
    if (status != MID_OK || at(m)->free != -1)
        return status;
    if (pairs > PAIRS_MOST / 2)
        return MID_ELIMIT;
    status = mid_resize_held(mid_impl_of(m->thread), m->handle, 4 * (size_t)pairs);
    if (status == MID_OK)
        open_positions(at(m), pairs);
    return status;
}

/* --- fewer pairs than an eighth of the positions ---------------------------------------------------------------------------- */

#define SHRINKS_FROM 64u

/* Pairs at `from` and behind take free positions before it, which there are. References stay in their holder. */
static void move_down(const map *m, uint32_t from)
{
    mid_slot *items = at(m)->items;
    uint32_t to = 0;
    for (uint32_t pos = from; pos < at(m)->length / 2; pos++) {
        const uint32_t cell = mid_pair_cell(items, pos);
        if (cell != 0) {
            while (mid_pair_cell(items, to) != 0)
                to++;
            MID_WRITE_(items[2 * (size_t)to].bits_, items[2 * (size_t)pos].bits_);
            MID_WRITE_(items[2 * (size_t)to + 1].bits_, items[2 * (size_t)pos + 1].bits_);
            mid_weak_extra_at(m->heap, cell)->at = to;
        }
        MID_WRITE_(items[2 * (size_t)pos].bits_, 0);
        MID_WRITE_(items[2 * (size_t)pos + 1].bits_, 0);
    }
}

/* All that have no pair. */
static void list_free(mid_weak_map *m)
{
    m->free = -1;
    for (uint32_t pos = m->length / 2; pos-- > 0;)
        if (mid_pair_cell(m->items, pos) == 0) {
            MID_WRITE_(m->items[2 * (size_t)pos].bits_, mid_from_int(m->free));
            m->free = (int32_t)pos;
        }
}

/* Not while somebody goes through it, who would miss a pair that moves to where he has been. Without memory it stays as large. */
static void shrink(const map *m)
{
    const mid_weak_map *now = at(m);
    uint32_t pairs = now->length / 2;
    const mid_entry *entry = mid_entry_at(m->heap, m->handle);
    if (pairs < SHRINKS_FROM || now->count >= pairs / 8 || now->self == 0 || mid_weak_extra_at(m->heap, now->self)->key != 0 ||
        (MID_READ_(entry->word) & MID_F_PINNED) || (mid_watched(MID_READ_(entry->count)) && m->heap->committed))
        return;
    while (pairs > FIRST_PAIRS && now->count < pairs / 4)
        pairs /= 2;
    move_down(m, pairs);
    mid_resize_held(mid_impl_of(m->thread), m->handle, 2 * (size_t)pairs);
    list_free(at(m));
    mid_pairs_shrink(m->heap);
}

/* `strong` [consumed on MID_OK]. */
static mid_status add(const map *m, mid_handle key, mid_handle weak, mid_handle strong)
{
    uint32_t cell;
    mid_status status = room(m);
    if (status == MID_OK)
        status = mid_weak_make(m->heap, weak, m->weak_keys ? MID_CELL_KEY : MID_CELL_VALUE, &cell);
    if (status != MID_OK)
        return status;
    mid_weak_map *into = at(m);
    mid_weak_extra *extra = mid_weak_extra_at(m->heap, cell);
    extra->other = into->self;
    extra->key = key;
    extra->at = (uint32_t)into->free;
    extra->leaf = m->weak_keys && !mid_type_of_entry(m->heap, mid_entry_at(m->heap, weak))->cyclic;
    into->free = mid_to_int(into->items[2 * (size_t)extra->at].bits_);
    into->count++;
    MID_WRITE_(into->items[2 * (size_t)extra->at + 1].bits_, cell << 1 | 1);
    put(m, cell, strong);
    mid_pair_enter(m->heap, cell);
    if (extra->leaf)
        MID_WRITE_(m->heap->leaf_pairs, m->heap->leaf_pairs + 1);
    return MID_OK;
}

/* So many pairs that some of them may be garbage which is only found exactly: see mid_pairs_due. */
static void consider_collecting(const map *m)
{
    if (mid_pairs_due(m->heap))
        mid_ask(mid_impl_of(m->thread), MID_ASK_COLLECT);
}

static mid_status set_some(const map *m, mid_handle key, mid_handle value, mid_handle *old)
{
    mid_handle weak = m->weak_keys ? key : value, strong = m->weak_keys ? value : key;
    uint32_t cell = find(m, key);
    *old = 0;
    if (value == 0) {
        *old = cell == 0 ? 0 : mid_pair_end(m->heap, cell);
        return MID_OK;
    }
    if (cell != 0 && m->weak_keys) {
        *old = put(m, cell, mid_retain(m->thread, strong));
        return MID_OK;
    }
    mid_status status = MID_OK;
    if (cell != 0 && mid_weak_cell_at(m->heap, cell)->target == weak)
        return MID_OK;
    if (cell != 0) { /* the pair's place is kept until the new one is sure */
        status = mid_pairs_room(m->heap);
        uint32_t fresh;
        if (status == MID_OK)
            status = mid_weak_make(m->heap, weak, MID_CELL_VALUE, &fresh);
        if (status != MID_OK)
            return status;
        mid_weak_extra *extra = mid_weak_extra_at(m->heap, fresh);
        *extra = *mid_weak_extra_at(m->heap, cell);
        mid_pair_leave(m->heap, cell);
        mid_weak_give(m->heap, cell);
        MID_WRITE_(at(m)->items[2 * (size_t)extra->at + 1].bits_, fresh << 1 | 1);
        mid_pair_enter(m->heap, fresh);
        return MID_OK;
    }
    status = add(m, key, weak, mid_retain(m->thread, strong));
    if (status != MID_OK)
        *old = strong;
    return status;
}

static mid_status set(const map *m, mid_handle key, mid_handle value)
{
    mid_impl *me = mid_impl_of(m->thread);
    mid_status status;
    mid_handle old;
    escape(m->thread, key);
    escape(m->thread, value);
    do {
        bool was_draining = me->draining;
        mid_lock(m->heap);
        me->draining = true; /* nothing is freed before the lock is free */
        status = set_some(m, key, value, &old);
        if (status == MID_OK)
            shrink(m);
        me->draining = was_draining;
        mid_unlock(m->heap);
        mid_release(m->thread, old);
    } while (mid_resize_again(me, status));
    if (me->pending != 0 || me->credit < 0)
        mid_drain_timed(me, m->heap->options.free_batch, MID_DRAIN_FINALIZE);
    consider_collecting(m);
    return status;
}

/* A value may be 0 or an immediate; if it is an object it must be one. */
static mid_status check_value(mid_thread *thread, mid_handle value)
{
    mid_status status = MID_OK;
    if (mid_is_object_(value))
        mid_checked(thread, value, &status);
    return status;
}

/* --- ephemerons -------------------------------------------------------------------------------------------------------------- */

mid_status mid_ephemeron_new(mid_thread *thread, mid_handle key, mid_handle value, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status;
    mid_handle made;
    if (mid_checked(thread, key, &status) == NULL || (status = check_value(thread, value)) != MID_OK)
        return status;
    status = make_map(thread, KIND_EPHEMERON, 1, &made);
    if (status != MID_OK)
        return status;
    map m = {thread, mid_impl_of(thread)->heap, made, true};
    status = set(&m, key, value == 0 ? mid_from_int(0) : value);
    if (status == MID_OK && value == 0)
        status = mid_ephemeron_set(thread, made, 0);
    if (status != MID_OK)
        unmake(mid_impl_of(thread), made);
    else
        *out = made;
    return status;
}

mid_status mid_ephemeron_get(mid_thread *thread, mid_handle ephemeron, mid_handle *key, mid_handle *value)
{
    map m;
    mid_handle k = 0, v = 0;
    mid_status status = checked_map(thread, ephemeron, true, &m);
    if (status == MID_OK) {
        mid_lock(m.heap);
        uint32_t cell = mid_pair_cell(at(&m)->items, 0);
        if (cell != 0)
            both(&m, cell, &k, &v);
        mid_unlock(m.heap);
    }
    if (key != NULL)
        *key = k;
    else
        mid_release(thread, k);
    if (value != NULL)
        *value = v;
    else
        mid_release(thread, v);
    return status;
}

mid_status mid_ephemeron_set(mid_thread *thread, mid_handle ephemeron, mid_handle value)
{
    map m;
    mid_handle old = 0;
    mid_status status = checked_map(thread, ephemeron, true, &m);
    if (status == MID_OK)
        status = check_value(thread, value);
    if (status != MID_OK)
        return status;
    escape(thread, value);
    mid_lock(m.heap);
    uint32_t cell = mid_pair_cell(at(&m)->items, 0);
    mid_handle key = cell == 0 ? 0 : weak_half(&m, cell); /* held until the value is in */
    if (key != 0)
        old = put(&m, cell, mid_retain(thread, value));
    mid_unlock(m.heap);
    mid_release(thread, old);
    mid_release(thread, key);
    return key != 0 ? MID_OK : MID_EHANDLE;
}

/* --- maps -------------------------------------------------------------------------------------------------------------------- */

mid_status mid_weak_map_new(mid_thread *thread, mid_weak_kind kind, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    if (kind != MID_WEAK_KEYS && kind != MID_WEAK_VALUES)
        return MID_EINVAL;
    return make_map(thread, kind, FIRST_PAIRS, out);
}

mid_status mid_weak_map_set(mid_thread *thread, mid_handle handle, mid_handle key, mid_handle value)
{
    map m;
    mid_status status = checked_map(thread, handle, false, &m);
    if (status != MID_OK)
        return status;
    if (m.weak_keys || key == 0)
        mid_checked(thread, key, &status);
    else
        status = check_value(thread, key);
    if (status == MID_OK && !m.weak_keys && value != 0)
        mid_checked(thread, value, &status);
    else if (status == MID_OK)
        status = check_value(thread, value);
    return status == MID_OK ? set(&m, key, value) : status;
}

mid_status mid_weak_map_get(mid_thread *thread, mid_handle handle, mid_handle key, mid_handle *value)
{
    map m;
    mid_handle k = 0;
    if (value == NULL)
        return MID_ENULL;
    *value = 0;
    mid_status status = checked_map(thread, handle, false, &m);
    if (status == MID_OK && (m.weak_keys || key == 0))
        mid_checked(thread, key, &status);
    else if (status == MID_OK)
        status = check_value(thread, key);
    if (status != MID_OK)
        return status;
    mid_lock(m.heap);
    uint32_t cell = find(&m, key);
    if (cell != 0)
        both(&m, cell, &k, value);
    mid_unlock(m.heap);
    mid_release(thread, k);
    return MID_OK;
}

mid_status mid_weak_map_count(mid_thread *thread, mid_handle handle, size_t *count)
{
    map m;
    if (count == NULL)
        return MID_ENULL;
    *count = 0;
    mid_status status = checked_map(thread, handle, false, &m);
    if (status != MID_OK)
        return status;
    mid_lock(m.heap);
    *count = at(&m)->count;
    mid_unlock(m.heap);
    return MID_OK;
}

mid_status mid_weak_map_next(mid_thread *thread, mid_handle handle, size_t *cursor, mid_handle *key, mid_handle *value)
{
    map m;
    if (cursor == NULL || key == NULL || value == NULL)
        return MID_ENULL;
    *key = *value = 0;
    mid_status status = checked_map(thread, handle, false, &m);
    if (status != MID_OK)
        return status;
    mid_lock(m.heap);
    uint32_t none = UINT32_MAX, *walkers = at(&m)->self != 0 ? &mid_weak_extra_at(m.heap, at(&m)->self)->key : &none;
    bool found = false;
    *walkers += *cursor == 0 && *walkers != UINT32_MAX;
    while (!found && *cursor < at(&m)->length / 2) {
        uint32_t cell = mid_pair_cell(at(&m)->items, (uint32_t)(*cursor)++);
        found = cell != 0 && both(&m, cell, key, value);
    }
    if (!found && *cursor != SIZE_MAX) {
        *cursor = SIZE_MAX; /* over, once */
        *walkers -= *walkers != 0 && *walkers != UINT32_MAX;
    }
    mid_unlock(m.heap);
    return MID_OK;
}
