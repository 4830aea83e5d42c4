/* gc/kinds/string_parts.c: strings joined, cut and searched. */
#include <string.h>

#include "gc/kinds/string.h"
#include "gc/resize.h"

/* Both strings, of one kind. */
static inline mid_status both(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, mid_kind *kind)
{
    mid_kind other = MID_KIND_NONE;
    mid_status status = kind_string_check(thread, kinds, a, kind);
    if (MID_LIKELY_(status == MID_OK))
        status = kind_string_kind(kinds, b, &other);
    return MID_UNLIKELY_(status == MID_OK && *kind != other) ? MID_ETYPE : status;
}

mid_status mid_string_concat(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, mid_handle *out)
{
    mid_kind kind;
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = both(thread, kinds, a, b, &kind);
    if (status != MID_OK)
        return status;
    const struct mid_string_object *one = kind_string_at(thread, a), *other = kind_string_at(thread, b);
    status = kind_string_make(thread, kinds, kind, (size_t)one->length + other->length, kind_string_narrow(one) && kind_string_narrow(other), out);
    if (status != MID_OK)
        return status;
    char *to = kind_string_at(thread, *out)->content;
    kind_copy(to, one->content, one->length);
    kind_copy(to + one->length, other->content, other->length);
    return MID_OK;
}

/* Is the caller its only holder, so that nobody can see it change? What is interned has a weak cell. */
static inline bool mine_alone(mid_thread *thread, const mid_entry *entry, uint64_t word)
{
    uint32_t mine = mid_mine_(thread, MID_READ_(entry->count));
    if (mine - MID_ONE_ >= MID_ONE_ || (word & (MID_F_WEAK | MID_F_PINNED)) != 0)
        return false;
    return (__atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE) & ~(MID_ESCAPED_ | MID_SHARED_SUSPECT_)) == MID_LIVE_;
}

/* It has the room. */
static inline void put_behind(struct mid_string_object *to, size_t before, const struct mid_string_object *from)
{
    kind_copy(to->content + before, from->content, from->length);
    to->hash = kind_string_narrow(to) && kind_string_narrow(from);
}

static __attribute__((noinline)) mid_status append_anew(mid_thread *thread, const mid_kinds *kinds, mid_handle *string, mid_handle more)
{
    mid_handle made;
    mid_status status = mid_string_concat(thread, kinds, *string, more, &made);
    if (status != MID_OK)
        return status;
    mid_release(thread, *string);
    *string = made;
    return MID_OK;
}

static __attribute__((noinline)) mid_status append_larger(mid_thread *thread, mid_handle string, mid_handle more, size_t before, size_t added)
{
    mid_status status = before + added > KIND_STRING_MOST ? MID_ESIZE : mid_resize(thread, string, before + added);
    if (status == MID_OK)
        put_behind(kind_string_at(thread, string), before, kind_string_at(thread, more));
    return status;
}

mid_status mid_string_append(mid_thread *thread, const mid_kinds *kinds, mid_handle *string, mid_handle more)
{
    mid_kind kind;
    if (MID_UNLIKELY_(string == NULL))
        return MID_ENULL;
    mid_status status = both(thread, kinds, *string, more, &kind);
    if (MID_UNLIKELY_(status != MID_OK))
        return status;
    const mid_entry *entry = mid_entry_(thread, *string);
    const uint64_t word = MID_READ_(entry->word);
    if (MID_UNLIKELY_(!mine_alone(thread, entry, word) || *string == more))
        return append_anew(thread, kinds, string, more);
    struct mid_string_object *to = (struct mid_string_object *)(uintptr_t)(word & MID_ADDRESS_MASK_);
    const struct mid_string_object *from = kind_string_at(thread, more);
    const size_t head = offsetof(struct mid_string_object, content), before = to->length, added = from->length;
    /* As mid_resize where nothing moves. Nobody watches it: it would not be ours then. */
    if (MID_UNLIKELY_(before + added > KIND_STRING_MOST || kinds->heap->debug || kinds->heap->trace.on ||
                      !mid_room_in_place(kinds->heap, word, to, head + before, head + before + added)))
        return append_larger(thread, *string, more, before, added);
    put_behind(to, before, from);
    to->length = (uint32_t)(before + added);
    return MID_OK;
}

/* Where character `at` begins; in what is all ASCII, as in byte strings, characters are bytes. */
static size_t offset(const struct mid_string_object *string, size_t at)
{
    return kind_string_narrow(string) ? at : kind_utf8_offset(string->content, string->length, at);
}

mid_status mid_string_slice(mid_thread *thread, const mid_kinds *kinds, mid_handle string, size_t from, size_t to, mid_handle *out)
{
    mid_kind kind;
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_string_check(thread, kinds, string, &kind);
    if (status != MID_OK)
        return status;
    const struct mid_string_object *whole = kind_string_at(thread, string);
    if (from > to || to > kind_string_chars(whole))
        return MID_EINVAL;
    size_t begin = offset(whole, from), end = begin + (kind_string_narrow(whole) ? to - from : kind_utf8_offset(whole->content + begin, whole->length - begin, to - from));
    status = kind_string_make(thread, kinds, kind, end - begin, end - begin == to - from, out);
    if (status == MID_OK)
        memcpy(kind_string_at(thread, *out)->content, kind_string_at(thread, string)->content + begin, end - begin);
    return status;
}

mid_status mid_string_find(mid_thread *thread, const mid_kinds *kinds, mid_handle string, mid_handle part, size_t from, size_t *at)
{
    mid_kind kind;
    if (at == NULL)
        return MID_ENULL;
    *at = SIZE_MAX;
    mid_status status = both(thread, kinds, string, part, &kind);
    if (status != MID_OK)
        return status;
    const struct mid_string_object *whole = kind_string_at(thread, string), *wanted = kind_string_at(thread, part);
    if (from > kind_string_chars(whole))
        return MID_EINVAL;
    size_t begin = offset(whole, from);
    const char *found = wanted->length == 0 ? whole->content + begin
                                            : memmem(whole->content + begin, whole->length - begin, wanted->content, wanted->length);
    if (found != NULL)
        *at = kind_string_narrow(whole) ? (size_t)(found - whole->content) : from + kind_utf8_count(whole->content + begin, (size_t)(found - whole->content) - begin);
    return MID_OK;
}
