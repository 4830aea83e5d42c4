/* gc/kinds/string.c: byte strings and text: making, hashing, interning. What is cut and joined: string_parts.c. */
#include <stdio.h>
#include <string.h>

#include "gc/kinds/string.h"
#include "gc/policy.h"

_Static_assert(offsetof(struct mid_string_object, content) == 8, "the content follows at once");

/* --- hash: 16 bytes a step, multiplied and folded (the scheme of Wang Yi's wyhash), with the seed of these kinds -------------- */

static uint64_t word_at(const char *at, size_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, at, bytes);
    return word;
}

static uint32_t hash_bytes(uint64_t seed, const char *at, size_t bytes)
{
    uint64_t hash = seed ^ bytes * UINT64_C(0x9e3779b97f4a7c15), a, b;
    for (; bytes > 16; bytes -= 16, at += 16)
        hash = kind_mix(hash ^ word_at(at, 8), word_at(at + 8, 8));
    if (bytes >= 8) {
        a = word_at(at, 8);
        b = word_at(at + bytes - 8, 8);
    } else if (bytes >= 4) {
        a = word_at(at, 4);
        b = word_at(at + bytes - 4, 4);
    } else {
        a = bytes == 0 ? 0 : (uint64_t)(unsigned char)at[0] << 16 | (uint64_t)(unsigned char)at[bytes / 2] << 8 | (unsigned char)at[bytes - 1];
        b = bytes;
    }
    hash = kind_mix(hash ^ a, b ^ seed);
    uint32_t folded = (uint32_t)(hash ^ hash >> 32);
    return folded > 1 ? folded & ~KIND_NARROW : 2; /* 0: not taken yet */
}

uint32_t kind_string_hash(const mid_kinds *kinds, struct mid_string_object *string)
{
    uint32_t hash = MID_READ_(string->hash);
    if (MID_UNLIKELY_(hash <= KIND_NARROW)) {
        hash |= hash_bytes(kinds->seed, string->content, string->length);
        MID_WRITE_(string->hash, hash); /* whoever does it finds the same */
    }
    return hash & ~KIND_NARROW;
}

/* For the table of what is interned: the hash has been taken. */
static uint32_t interned_hash(const void *object, void *context)
{
    (void)context;
    return MID_READ_(((const struct mid_string_object *)object)->hash) & ~KIND_NARROW;
}

bool kind_string_same(const struct mid_string_object *a, const struct mid_string_object *b)
{
    return a->length == b->length && memcmp(a->content, b->content, a->length) == 0;
}

static int interned_equal(const void *a, const void *b, void *context)
{
    (void)context;
    return kind_string_same(a, b);
}

mid_status kind_string_register(mid_heap *heap, mid_kinds *kinds)
{
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "bytes", .size = offsetof(struct mid_string_object, content), .item_size = 1,
                          .flags = MID_UNCLEARED | MID_INTERNED, .hash = interned_hash, .equal = interned_equal};
    mid_status status = mid_type_register(heap, &desc, &kinds->bytes);
    if (status != MID_OK)
        return status;
    kinds->shown[kinds->bytes] = MID_KIND_BYTES;
    desc.name = "text";
    status = mid_type_register(heap, &desc, &kinds->text);
    if (status == MID_OK)
        kinds->shown[kinds->text] = MID_KIND_TEXT;
    return status;
}

/* Its content is the caller's to write. */
mid_status kind_string_make(mid_thread *thread, const mid_kinds *kinds, mid_kind kind, size_t bytes, bool narrow, mid_handle *out)
{
    if (bytes > KIND_STRING_MOST)
        return MID_ESIZE;
    mid_status status = mid_new_array(thread, kind == MID_KIND_TEXT ? kinds->text : kinds->bytes, bytes, out);
    if (status == MID_OK)
        kind_string_at(thread, *out)->hash = narrow;
    return status;
}

mid_status mid_bytes_new(mid_thread *thread, const mid_kinds *kinds, const void *content, size_t bytes, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status == MID_OK)
        status = kind_string_make(thread, kinds, MID_KIND_BYTES, bytes, true, out);
    if (status == MID_OK && content != NULL)
        memcpy(kind_string_at(thread, *out)->content, content, bytes);
    return status;
}

mid_status mid_text_new(mid_thread *thread, const mid_kinds *kinds, const char *content, size_t bytes, mid_handle *out)
{
    size_t chars = 0;
    mid_status status = kind_begin(thread, kinds, out);
    if (status != MID_OK)
        return status;
    if (content == NULL && bytes != 0)
        return MID_ENULL;
    if (bytes > KIND_STRING_MOST)
        return MID_ESIZE;
    if (!kind_utf8(content, bytes, &chars))
        return MID_EINVAL;
    status = kind_string_make(thread, kinds, MID_KIND_TEXT, bytes, chars == bytes, out);
    if (status == MID_OK)
        kind_copy(kind_string_at(thread, *out)->content, content, bytes);
    return status;
}

mid_status mid_text_format_list(mid_thread *thread, const mid_kinds *kinds, mid_handle *out, const char *format, va_list arguments)
{
    if (out == NULL || format == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = kind_ready(thread, kinds);
    if (status != MID_OK)
        return status;
    char few[256];
    va_list again;
    va_copy(again, arguments);
    int bytes = vsnprintf(few, sizeof few, format, again);
    va_end(again);
    if (bytes < 0)
        return MID_EINVAL;
    if ((size_t)bytes < sizeof few)
        return mid_text_new(thread, kinds, few, (size_t)bytes, out);
    mid_handle made; /* printf wants to end it with a zero */
    status = kind_string_make(thread, kinds, MID_KIND_TEXT, (size_t)bytes + 1, false, &made);
    if (status != MID_OK)
        return status;
    size_t chars;
    vsnprintf(kind_string_at(thread, made)->content, (size_t)bytes + 1, format, arguments);
    status = kind_utf8(kind_string_at(thread, made)->content, (size_t)bytes, &chars) ? mid_resize(thread, made, (size_t)bytes) : MID_EINVAL;
    if (status != MID_OK) {
        mid_release(thread, made);
        return status;
    }
    kind_string_at(thread, made)->hash = chars == (size_t)bytes;
    *out = made;
    return MID_OK;
}

mid_status mid_text_format(mid_thread *thread, const mid_kinds *kinds, mid_handle *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    mid_status status = mid_text_format_list(thread, kinds, out, format, arguments);
    va_end(arguments);
    return status;
}

mid_status mid_string_look(mid_thread *thread, const mid_kinds *kinds, mid_handle string, const char **content, size_t *bytes)
{
    mid_kind kind;
    if (content == NULL)
        return MID_ENULL;
    *content = NULL;
    mid_status status = kind_string_check(thread, kinds, string, &kind);
    if (status != MID_OK)
        return status;
    *content = kind_string_at(thread, string)->content;
    if (bytes != NULL)
        *bytes = kind_string_at(thread, string)->length;
    return MID_OK;
}

mid_status mid_string_length(mid_thread *thread, const mid_kinds *kinds, mid_handle string, size_t *length)
{
    mid_kind kind;
    if (length == NULL)
        return MID_ENULL;
    *length = 0;
    mid_status status = kind_string_check(thread, kinds, string, &kind);
    if (status == MID_OK)
        *length = kind_string_chars(kind_string_at(thread, string));
    return status;
}

mid_status mid_string_hash(mid_thread *thread, const mid_kinds *kinds, mid_handle string, uint32_t *hash)
{
    mid_kind kind;
    if (hash == NULL)
        return MID_ENULL;
    *hash = 0;
    mid_status status = kind_string_check(thread, kinds, string, &kind);
    if (status == MID_OK)
        *hash = kind_string_hash(kinds, kind_string_at(thread, string));
    return status;
}

/* --- interning ------------------------------------------------------------------------------------------------------------ */

typedef struct wanted {
    const char *content;
    size_t bytes;
    uint32_t hash;
    mid_type type;
    bool text;
} wanted;

static int matches(const void *object, const void *key)
{
    const struct mid_string_object *string = object;
    const wanted *want = key;
    return string->length == want->bytes && memcmp(string->content, want->content, want->bytes) == 0;
}

/* From the cache, or not at all: nothing else may be freed, refused or traced while the table waits. */
static mid_handle make_at_once(mid_impl *me, const void *key)
{
    const wanted *want = key;
    size_t chars = want->bytes, size = offsetof(struct mid_string_object, content) + want->bytes;
    mid_handle made;
    if (me->heap->debug || me->heap->trace.on || size > MID_POOLED_MAX || me->pub.head[mid_size_class(size)] == 0)
        return 0;
    if (want->text && !kind_utf8(want->content, want->bytes, &chars))
        return 0;
    if (mid_new_array(&me->pub, want->type, want->bytes, &made) != MID_OK)
        return 0;
    struct mid_string_object *string = kind_string_at(&me->pub, made);
    string->hash = want->hash | (chars == want->bytes ? KIND_NARROW : 0);
    kind_copy(string->content, want->content, want->bytes);
    return made;
}

mid_status mid_string_intern(mid_thread *thread, const mid_kinds *kinds, mid_handle string, mid_handle *out)
{
    uint32_t hash;
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = mid_string_hash(thread, kinds, string, &hash); /* it is kept: the table asks for it */
    return status == MID_OK ? mid_intern(thread, string, out) : status;
}

static mid_status intern(mid_thread *thread, const mid_kinds *kinds, mid_kind kind, const char *content, size_t bytes, mid_handle *out)
{
    mid_status status = kind_begin(thread, kinds, out);
    if (status != MID_OK)
        return status;
    if (content == NULL && bytes != 0)
        return MID_ENULL;
    const char *from = bytes == 0 ? "" : content;
    const bool text = kind == MID_KIND_TEXT;
    const uint32_t hash = hash_bytes(kinds->seed, from, bytes);
    const wanted want = {from, bytes, hash, text ? kinds->text : kinds->bytes, text};
    status = mid_intern_or_make(mid_impl_of(thread), want.type, hash, matches, make_at_once, &want, out);
    if (status != MID_OK || *out != 0)
        return status;
    mid_handle made;
    status = kind == MID_KIND_TEXT ? mid_text_new(thread, kinds, want.content, bytes, &made) : mid_bytes_new(thread, kinds, want.content, bytes, &made);
    if (status != MID_OK)
        return status;
    kind_string_at(thread, made)->hash |= hash;
    status = mid_intern(thread, made, out); /* another thread may have been quicker */
    if (status != MID_OK)
        mid_release(thread, made);
    return status;
}

mid_status mid_bytes_intern(mid_thread *thread, const mid_kinds *kinds, const void *content, size_t bytes, mid_handle *out)
{
    return intern(thread, kinds, MID_KIND_BYTES, content, bytes, out);
}

mid_status mid_text_intern(mid_thread *thread, const mid_kinds *kinds, const char *content, size_t bytes, mid_handle *out)
{
    return intern(thread, kinds, MID_KIND_TEXT, content, bytes, out);
}
