/* tests/unit/dict.h: keys by value for the tests of dictionaries: bytes of the heap, compared by content, in ways that can be disturbed. */
#ifndef DICT_H
#define DICT_H

#include "unit.h"

/* What hash and equal do besides, and how often they were called. */
struct disturb {
    struct unit *u;
    mid_status hash_fails, equal_fails; /* instead of an answer */
    bool all_alike;                     /* every hash is the same */
    void (*meanwhile)(struct disturb *); /* in equal */
    mid_handle dict, other;
    int budget;                         /* for `meanwhile` */
    size_t hashed, compared;
    mid_keys keys;
};

static inline uint32_t dict_bytes_hash(const unsigned char *at, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * 16777619u;
    return hash;
}

static inline mid_status dict_hash(mid_thread *thread, void *context, mid_handle key, uint32_t *hash)
{
    struct disturb *d = context;
    d->hashed++;
    if (d->hash_fails != MID_OK)
        return d->hash_fails;
    const struct bytes *bytes = mid_is_int(key) ? NULL : mid_get(thread, key);
    *hash = d->all_alike ? 7 : bytes == NULL ? (uint32_t)mid_to_int(key) : dict_bytes_hash(bytes->data, bytes->length);
    return MID_OK;
}

static inline mid_status dict_equal(mid_thread *thread, void *context, mid_handle a, mid_handle b, int *equal)
{
    struct disturb *d = context;
    d->compared++;
    if (d->equal_fails != MID_OK)
        return d->equal_fails;
    *equal = 0;
    if (!mid_is_int(a) && !mid_is_int(b)) {
        const struct bytes *one = mid_get(thread, a), *other = mid_get(thread, b);
        *equal = one->length == other->length && memcmp(one->data, other->data, one->length) == 0;
    }
    if (d->meanwhile != NULL)
        d->meanwhile(d);
    return MID_OK;
}

static inline void dict_disturb(struct disturb *d, struct unit *u)
{
    memset(d, 0, sizeof *d);
    d->u = u;
    d->keys = (mid_keys){.hash = dict_hash, .equal = dict_equal, .context = d};
}

/* A new object each time, of the same content for the same number. */
static inline mid_handle dict_text(struct unit *u, unsigned number)
{
    char text[24];
    int length = snprintf(text, sizeof text, "key %u", number);
    mid_handle made = unit_array(u, u->bytes, (size_t)length);
    memcpy(((struct bytes *)mid_get(u->thread, made))->data, text, (size_t)length);
    return made;
}

static inline size_t dict_length(struct unit *u, mid_handle dict)
{
    size_t length = SIZE_MAX;
    ok(mid_dict_length(u->thread, dict, &length));
    return length;
}

#endif
