/* gc/leaf.c: the domain object: blocks of bytes as objects, of a type of the heap's own.
 *
 * An object dies wherever its last count goes, and nobody is told but the function that frees its payload. So that is what tells the
 * domain: the "payload" of a block is its size, plus one. */
#include <string.h>

#include "gc/heap.h"

typedef struct leaf {
    uint32_t length, spare;
    void *payload; /* not an address: the size last asked for, plus one */
    char data[];
} leaf;

static int64_t taken_by(const mid_heap *heap, size_t size)
{
    size += sizeof(leaf);
    return (int64_t)(size > heap->alloc.pooled_max ? mid_large_bytes(size) : mid_class_size(mid_size_class(size)));
}

static void died(void *payload, void *context)
{
    mid_heap *heap = context;
    mid_tally *tally = &heap->domains.tally[MID_DOMAIN_OBJECT];
    size_t size = (uintptr_t)payload - 1;
    mid_tally_add(tally, -1, -(int64_t)size, -taken_by(heap, size));
    mid_tally_count(&tally->freed, 1);
}

static mid_status block_type(mid_heap *heap, mid_type *type)
{
    const mid_type_desc desc = {.struct_size = sizeof desc, .name = "midden.block", .size = sizeof(leaf), .item_size = 1,
                                .length_offset = offsetof(leaf, length), .payload_free = died,
                                .payload_offset = offsetof(leaf, payload), .payload_context = heap};
    *type = __atomic_load_n(&heap->domains.block_type, __ATOMIC_ACQUIRE);
    if (*type != 0)
        return MID_OK;
    mid_lock(heap);
    *type = heap->domains.block_type;
    mid_status status = *type != 0 ? MID_OK : mid_type_register(heap, &desc, type);
    if (status == MID_OK)
        __atomic_store_n(&heap->domains.block_type, *type, __ATOMIC_RELEASE);
    mid_unlock(heap);
    return status;
}

static void refused(mid_heap *heap, mid_status status)
{
    if (status == MID_ENOMEM || status == MID_ELIMIT)
        mid_tally_count(&heap->domains.tally[MID_DOMAIN_OBJECT].refused, 1);
}

/* Objects come cleared. */
static mid_status own_malloc(void *context, mid_caller caller, size_t size, uintptr_t *block)
{
    (void)context;
    mid_type type;
    mid_handle made = 0;
    mid_status status = mid_thread_check(caller.thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(caller.thread)->heap;
    status = block_type(heap, &type);
    if (status == MID_OK)
        status = mid_new_array(caller.thread, type, size, &made);
    if (status != MID_OK) {
        refused(heap, status);
        return status;
    }
    ((leaf *)mid_get(caller.thread, made))->payload = (void *)(size + 1);
    mid_tally_add(&heap->domains.tally[MID_DOMAIN_OBJECT], 1, (int64_t)size, taken_by(heap, size));
    mid_tally_count(&heap->domains.tally[MID_DOMAIN_OBJECT].made, 1);
    *block = made;
    return MID_OK;
}

static mid_status own_calloc(void *context, mid_caller caller, size_t count, size_t size, uintptr_t *block)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? MID_ESIZE : own_malloc(context, caller, bytes, block);
}

/* The block behind a handle, checked; null: *status. */
static leaf *checked(mid_thread *thread, uintptr_t object, mid_status *status)
{
    mid_entry *entry = mid_checked(thread, (mid_handle)object, status);
    if (entry != NULL && object > UINT32_MAX)
        *status = MID_EHANDLE;
    if (*status == MID_OK && MID_READ_(entry->word) >> MID_TYPE_SHIFT_ != MID_READ_(mid_impl_of(thread)->heap->domains.block_type))
        *status = MID_ETYPE;
    return *status == MID_OK ? mid_address(entry) : NULL;
}

static mid_status own_realloc(void *context, mid_caller caller, uintptr_t *block, size_t size)
{
    mid_status status;
    if (*block == 0)
        return own_malloc(context, caller, size, block);
    leaf *at = checked(caller.thread, *block, &status);
    if (at == NULL)
        return status;
    mid_heap *heap = mid_impl_of(caller.thread)->heap;
    size_t was = (uintptr_t)at->payload - 1;
    status = mid_resize(caller.thread, (mid_handle)*block, size);
    if (status != MID_OK) {
        refused(heap, status);
        return status;
    }
    ((leaf *)mid_get(caller.thread, (mid_handle)*block))->payload = (void *)(size + 1);
    mid_tally *tally = &heap->domains.tally[MID_DOMAIN_OBJECT];
    mid_tally_add(tally, 0, (int64_t)size - (int64_t)was, taken_by(heap, size) - taken_by(heap, was));
    mid_tally_count(&tally->resized, 1);
    return MID_OK;
}

static mid_status own_free(void *context, mid_caller caller, uintptr_t block)
{
    mid_status status = MID_OK;
    (void)context;
    if (block != 0 && checked(caller.thread, block, &status) != NULL)
        (mid_release)(caller.thread, (mid_handle)block);
    return status;
}

const mid_allocator mid_object_own = {NULL, own_malloc, own_calloc, own_realloc, own_free, 1};

/* Where tracebacks of what a call allocates begin: with the program's call, as those of mid_new. Returns what it was. */
static const void *enter(mid_thread *thread, const void *from)
{
    mid_impl *me = mid_impl_of(thread);
    const void *outer = me->called_from;
    if (outer == NULL)
        me->called_from = from;
    return outer;
}

static mid_status object_some(mid_thread *thread, size_t count, size_t size, bool clear, mid_handle *out, const void *from)
{
    uintptr_t block = 0;
    if (out == NULL)
        return MID_ENULL;
    *out = 0;
    mid_status status = mid_thread_check(thread);
    if (status == MID_OK) {
        const void *outer = enter(thread, from);
        status = mid_domain_new((mid_caller){mid_impl_of(thread)->heap, thread}, MID_DOMAIN_OBJECT, count, size, clear, &block);
        mid_impl_of(thread)->called_from = outer;
    }
    *out = (mid_handle)block;
    return status;
}

mid_status mid_object_malloc(mid_thread *thread, size_t size, mid_handle *out)
{
    return object_some(thread, 1, size, false, out, __builtin_return_address(0));
}

mid_status mid_object_calloc(mid_thread *thread, size_t count, size_t size, mid_handle *out)
{
    return object_some(thread, count, size, true, out, __builtin_return_address(0));
}

mid_status mid_object_realloc(mid_thread *thread, mid_handle *object, size_t size)
{
    if (object == NULL)
        return MID_ENULL;
    uintptr_t block = *object;
    mid_status status = mid_thread_check(thread);
    if (status == MID_OK) {
        const void *outer = enter(thread, __builtin_return_address(0));
        status = mid_domain_resize((mid_caller){mid_impl_of(thread)->heap, thread}, MID_DOMAIN_OBJECT, &block, size);
        mid_impl_of(thread)->called_from = outer;
    }
    *object = (mid_handle)block;
    return status;
}

mid_status mid_object_free(mid_thread *thread, mid_handle object)
{
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK || object == 0)
        return status;
    const void *outer = enter(thread, __builtin_return_address(0));
    status = mid_domain_free((mid_caller){mid_impl_of(thread)->heap, thread}, MID_DOMAIN_OBJECT, object);
    mid_impl_of(thread)->called_from = outer;
    return status;
}

void *mid_object_data(mid_thread *thread, mid_handle object, size_t *size)
{
    mid_status status;
    leaf *at = checked(thread, object, &status);
    if (at != NULL && size != NULL)
        *size = at->length;
    return at == NULL ? NULL : at->data;
}
