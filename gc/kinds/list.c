/* gc/kinds/list.c: lists. One object, resized in place: the handle stays, and there is no second object to reach items through.
 * Items from the length on are empty slots, so whatever looks at the object in between finds it whole. */
#include "gc/kinds/own.h"

_Static_assert(offsetof(struct mid_list_object, items) == 8, "kind_items counts on it");
#define FIRST MID_SLOT(struct mid_list_object, items)
#define ROOM_LEAST 4u

static inline struct mid_list_object *at(mid_thread *thread, mid_handle list)
{
    return mid_get(thread, list);
}

static inline mid_status check(mid_thread *thread, const mid_kinds *kinds, mid_handle list)
{
    mid_status status = kind_check(thread, kinds, list, MID_KIND_LIST);
    return MID_LIKELY_(status == MID_OK) && MID_UNLIKELY_(at(thread, list)->length == UINT32_MAX) ? MID_EBUSY : status;
}

mid_status mid_list_new(mid_thread *thread, const mid_kinds *kinds, size_t room, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status != MID_OK)
        return status;
    return room > MID_LIST_MOST ? MID_ESIZE : mid_new_array(thread, kinds->list, room, out);
}

mid_status mid_list_length(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t *length)
{
    if (length == NULL)
        return MID_ENULL;
    *length = 0;
    mid_status status = check(thread, kinds, list);
    if (status == MID_OK)
        *length = at(thread, list)->length;
    return status;
}

/* Room for `more` values beyond the length, a quarter in reserve: in bytes what CPython keeps with an eighth. */
static __attribute__((noinline)) mid_status grow(mid_thread *thread, mid_handle list, size_t more)
{
    const struct mid_list_object *l = at(thread, list);
    size_t need = (size_t)l->length + more, room = need + need / 4 + ROOM_LEAST;
    if (need > MID_LIST_MOST)
        return MID_ESIZE;
    if (need <= l->room)
        return MID_OK;
    room += room & 1; /* the object is of whole words */
    mid_status status = mid_resize(thread, list, room < MID_LIST_MOST ? room : MID_LIST_MOST);
    return status == MID_ENOMEM || status == MID_ELIMIT ? mid_resize(thread, list, need) : status;
}

mid_status mid_list_append_(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle value)
{
    mid_status status = check(thread, kinds, list);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    if (MID_UNLIKELY_(!kind_value(kinds, value)))
        return MID_EHANDLE;
    struct mid_list_object *l = at(thread, list);
    if (MID_UNLIKELY_(l->length >= l->room)) {
        status = grow(thread, list, 1);
        if (status != MID_OK)
            return status;
        l = at(thread, list);
    }
    mid_put_(thread, &l->items[l->length++], value);
    return MID_OK;
}

/* Values move to other slots of the same list: their counts with them. Each is in one slot or the other whenever another thread
 * looks, or in both for a moment, which who counts references racily may find, and who proves anything does not. */
static void shift(mid_thread *thread, struct mid_list_object *l, size_t from, size_t end, int by)
{
    mid_handle all = 0;
    for (size_t n = end - from, i = by > 0 ? end - 1 : from; n != 0; n--, i = (size_t)((ptrdiff_t)i - by)) {
        mid_handle value = MID_READ_(l->items[i].bits_);
        all |= value;
        __atomic_store_n(&l->items[(size_t)((ptrdiff_t)i + by)].bits_, value, __ATOMIC_RELEASE);
    }
    thread->moved |= all;
}

mid_status mid_list_insert(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle value)
{
    mid_status status = check(thread, kinds, list);
    if (status != MID_OK)
        return status;
    if (!kind_value(kinds, value))
        return MID_EHANDLE;
    if (index > at(thread, list)->length)
        return MID_EINVAL;
    status = grow(thread, list, 1);
    if (status != MID_OK)
        return status;
    struct mid_list_object *l = at(thread, list);
    if (index < l->length)
        shift(thread, l, index, l->length, 1);
    mid_put_(thread, &l->items[index], value); /* over a name that its neighbour has taken over */
    l->length++;
    return MID_OK;
}

mid_status mid_list_get_(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle *out)
{
    if (MID_UNLIKELY_(out == NULL))
        return MID_ENULL;
    *out = 0;
    mid_status status = check(thread, kinds, list);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    if (MID_UNLIKELY_(index >= at(thread, list)->length))
        return MID_EINVAL;
    *out = mid_load(thread, list, FIRST + (unsigned)index);
    return MID_OK;
}

mid_status mid_list_set(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle value)
{
    mid_status status = check(thread, kinds, list);
    if (status != MID_OK)
        return status;
    if (!kind_value(kinds, value))
        return MID_EHANDLE;
    if (index >= at(thread, list)->length)
        return MID_EINVAL;
    mid_store(thread, list, FIRST + (unsigned)index, value);
    return MID_OK;
}

/* What is unused for the most part is given back; where that is refused, or the list is pinned, it stays. */
static __attribute__((noinline)) void shrink(mid_thread *thread, mid_handle list)
{
    uint32_t length = at(thread, list)->length;
    mid_resize(thread, list, length + length / 4 + ROOM_LEAST);
}

static inline void shrunk(mid_thread *thread, mid_handle list)
{
    const struct mid_list_object *l = at(thread, list);
    if (MID_UNLIKELY_(l->length < l->room / 4 && l->room > 4 * ROOM_LEAST))
        shrink(thread, list);
}

mid_status mid_list_pop_(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle *out)
{
    if (MID_UNLIKELY_(out == NULL))
        return MID_ENULL;
    *out = 0;
    mid_status status = check(thread, kinds, list);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    struct mid_list_object *l = at(thread, list);
    if (l->length == 0)
        return MID_EINVAL;
    l->length--;
    *out = l->items[l->length].bits_;
    MID_WRITE_(l->items[l->length].bits_, 0);
    shrunk(thread, list);
    return MID_OK;
}

mid_status mid_list_remove(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t index, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = check(thread, kinds, list);
    if (status != MID_OK)
        return status;
    struct mid_list_object *l = at(thread, list);
    if (index >= l->length)
        return MID_EINVAL;
    *out = mid_take(thread, list, FIRST + (unsigned)index);
    shift(thread, l, index + 1, l->length, -1);
    l->length--;
    MID_WRITE_(l->items[l->length].bits_, 0); /* its neighbour has it */
    shrunk(thread, list);
    return MID_OK;
}

/* Where the values of a list or tuple are. */
static mid_status source(mid_thread *thread, const mid_kinds *kinds, mid_handle from, unsigned *first, size_t *count)
{
    mid_status status = kind_check(thread, kinds, from, MID_KIND_TUPLE);
    if (status == MID_ETYPE)
        status = check(thread, kinds, from);
    if (status == MID_OK)
        *first = kind_items(kinds, thread, from, count);
    return status;
}

static void copy(mid_thread *thread, mid_handle to, mid_handle from, unsigned first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mid_handle value = mid_load(thread, from, first + (unsigned)i);
        struct mid_list_object *l = at(thread, to);
        mid_put_(thread, &l->items[l->length++], value);
        mid_release(thread, value);
    }
}

mid_status mid_list_extend(mid_thread *thread, const mid_kinds *kinds, mid_handle list, mid_handle from)
{
    unsigned first;
    size_t count;
    mid_status status = check(thread, kinds, list);
    if (status == MID_OK)
        status = source(thread, kinds, from, &first, &count);
    if (status == MID_OK)
        status = grow(thread, list, count);
    if (status == MID_OK)
        copy(thread, list, from, first, count);
    return status;
}

mid_status mid_list_slice(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t from, size_t to, mid_handle *out)
{
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = check(thread, kinds, list);
    if (status != MID_OK)
        return status;
    if (from > to || to > at(thread, list)->length)
        return MID_EINVAL;
    status = mid_list_new(thread, kinds, to - from, out);
    if (status == MID_OK)
        copy(thread, *out, list, FIRST + (unsigned)from, to - from);
    return status;
}

mid_status mid_list_clear(mid_thread *thread, const mid_kinds *kinds, mid_handle list)
{
    mid_status status = check(thread, kinds, list);
    if (status != MID_OK)
        return status;
    uint32_t length = at(thread, list)->length;
    at(thread, list)->length = 0;
    status = mid_resize(thread, list, 0); /* releases all, in pieces if they are many */
    if (status != MID_OK)
        at(thread, list)->length = length;
    return status;
}

int mid_list_next(mid_thread *thread, const mid_kinds *kinds, mid_handle list, size_t *index, mid_handle *out)
{
    unsigned first;
    size_t count;
    if (out == NULL || index == NULL)
        return 0;
    *out = 0;
    if (source(thread, kinds, list, &first, &count) != MID_OK || *index >= count)
        return 0;
    *out = mid_load(thread, list, first + (unsigned)(*index)++);
    return 1;
}
