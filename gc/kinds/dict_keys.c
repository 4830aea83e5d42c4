/* gc/kinds/dict_keys.c: the kinds as keys of dictionaries, by value. */
#include <stddef.h>

#include "gc/kinds/own.h"
#include "midden/dict.h"

#define HASH_SHIFT 1u /* bit 0 of what a string keeps is no part of its hash */

/* Text that keeps its hash is hashed by the dictionary itself, so others must come to the same. */
static mid_status hash_of(mid_thread *thread, void *context, mid_handle key, uint32_t *hash)
{
    mid_status status = mid_kind_hash(thread, context, key, hash);
    if (status == MID_OK && kind_of(context, key) == MID_KIND_TEXT)
        *hash >>= HASH_SHIFT;
    return status;
}

static mid_status equal(mid_thread *thread, void *context, mid_handle a, mid_handle b, int *same)
{
    return mid_kind_equal(thread, context, a, b, same);
}

mid_status mid_kinds_keys(const mid_kinds *kinds, mid_keys *keys)
{
    if (kinds == NULL || keys == NULL)
        return MID_ENULL;
    *keys = (mid_keys){
        .hash = hash_of,
        .equal = equal,
        .context = (void *)(uintptr_t)kinds,
        .strings = kinds->text,
        .hash_offset = offsetof(struct mid_string_object, hash),
        .hash_shift = HASH_SHIFT,
    };
    return MID_OK;
}
