/* gc/type.c: registering types; what an object's size is. */
#include <string.h>

#include "gc/freeze.h"
#include "gc/policy.h"
#include "gc/refs.h"

#define SIZE_LIMIT ((size_t)1 << 40)

#define RESERVED_BY ((size_t)64 << 10) /* midden/os.h */
#define TYPES_BYTES mid_round((MID_TYPES_MAX + 1) * sizeof(mid_type_info), RESERVED_BY)

static mid_status types_commit(mid_heap *heap, size_t need)
{
    size_t more = need <= heap->types_committed ? 0 : mid_round(need - heap->types_committed, MID_PAGE);
    if (more == 0)
        return MID_OK;
    mid_status status = mid_book(&heap->alloc, MID_IN_META, more);
    if (status != MID_OK)
        return status;
    if (!heap->os.commit(heap->os.ctx, (char *)heap->types + heap->types_committed, more)) {
        mid_unbook(&heap->alloc, MID_IN_META, more);
        return MID_ENOMEM;
    }
    heap->types_committed += more;
    return MID_OK;
}

mid_status mid_types_open(mid_heap *heap)
{
    mid_status status = mid_array_grow(&heap->alloc, &heap->fast_types, (MID_TYPES_MAX + 1) * sizeof(mid_fast_type));
    if (status != MID_OK)
        return status;
    mid_fast_type *fast = heap->fast_types.data;
    for (unsigned i = 0; i <= MID_TYPES_MAX; i++)
        fast[i].size_class = MID_CLASSES; /* whose cache is always empty */
    heap->types = heap->os.reserve(heap->os.ctx, TYPES_BYTES, RESERVED_BY);
    return heap->types == NULL ? MID_ENOMEM : MID_OK;
}

static void drop_slots(mid_heap *heap, mid_type_info *info)
{
    mid_array list = {(void *)info->slots, info->slots_bytes};
    mid_array_free(&heap->alloc, &list);
    mid_array_free(&heap->alloc, &info->fields);
    info->slots = NULL;
    info->slots_bytes = 0;
}

void mid_types_close(mid_heap *heap)
{
    if (heap->types != NULL) {
        for (mid_type type = 1; type <= heap->type_count; type++) {
            drop_slots(heap, mid_type_at(heap, type));
            mid_policy_close(heap, mid_type_at(heap, type)->policy);
        }
        heap->os.release(heap->os.ctx, heap->types, TYPES_BYTES);
        mid_unbook(&heap->alloc, MID_IN_META, heap->types_committed);
    }
    heap->types = NULL;
    mid_array_free(&heap->alloc, &heap->fast_types);
}

static bool inside(size_t offset, size_t bytes, size_t size)
{
    return offset <= size && bytes <= size - offset;
}

static bool overlaps_refs(const mid_type_desc *desc, size_t offset, size_t bytes)
{
    for (size_t i = 0; i < desc->ref_count; i++)
        if (desc->ref_offsets[i] < offset + bytes && offset < desc->ref_offsets[i] + sizeof(mid_slot))
            return true;
    return false;
}

static mid_status check_refs(const mid_type_desc *desc)
{
    if (desc->ref_count > desc->size / sizeof(mid_slot) || (desc->ref_count != 0 && desc->ref_offsets == NULL))
        return MID_EINVAL;
    uint32_t last = 0;
    bool sorted = true;
    for (size_t i = 0; i < desc->ref_count; i++) {
        uint32_t offset = desc->ref_offsets[i];
        if (offset % sizeof(mid_slot) != 0 || !inside(offset, sizeof(mid_slot), desc->size))
            return MID_EINVAL;
        sorted = sorted && (i == 0 || offset > last);
        last = offset;
    }
    for (size_t i = 0; !sorted && i < desc->ref_count; i++)
        for (size_t j = 0; j < i; j++)
            if (desc->ref_offsets[i] == desc->ref_offsets[j])
                return MID_EINVAL;
    return MID_OK;
}

static mid_status check_desc(const mid_type_desc *desc)
{
    if ((desc->flags & ~(uint32_t)(MID_ACYCLIC | MID_UNCLEARED | MID_TRACE_RACES | MID_IDENTITY | MID_IMMORTAL | MID_INTERNED)) != 0)
        return MID_EINVAL;
    if (desc->align != 0 && desc->align != 8 && desc->align != 16 && desc->align != 32 && desc->align != 64)
        return MID_EINVAL;
    if (desc->size > SIZE_LIMIT || desc->item_size > SIZE_LIMIT)
        return MID_ESIZE;
    if (desc->size == 0 && desc->item_size == 0)
        return MID_EINVAL;
    mid_status status = check_refs(desc);
    if (status != MID_OK)
        return status;
    if ((desc->flags & MID_TRACE_RACES) && desc->trace == NULL)
        return MID_EINVAL;
    if ((desc->flags & MID_UNCLEARED) && (desc->ref_count != 0 || desc->items_are_refs || desc->trace != NULL || desc->payload_free != NULL))
        return MID_EINVAL;
    if (desc->item_size != 0 &&
        (desc->length_offset > UINT32_MAX || desc->length_offset % sizeof(uint32_t) != 0 || !inside(desc->length_offset, sizeof(uint32_t), desc->size) ||
         overlaps_refs(desc, desc->length_offset, sizeof(uint32_t))))
        return MID_EINVAL;
    if (desc->items_are_refs && (desc->item_size != sizeof(mid_slot) || desc->size % sizeof(mid_slot) != 0))
        return MID_EINVAL;
    if (desc->payload_free != NULL &&
        (desc->payload_offset % sizeof(void *) != 0 || !inside(desc->payload_offset, sizeof(void *), desc->size) ||
         overlaps_refs(desc, desc->payload_offset, sizeof(void *)) ||
         (desc->item_size != 0 && desc->length_offset < desc->payload_offset + sizeof(void *) &&
          desc->payload_offset < desc->length_offset + sizeof(uint32_t))))
        return MID_EINVAL;
    return mid_policy_check_desc(desc);
}

/* A program compiled against an older header gives less: what it does not know of is not there. */
static mid_status read_desc(mid_type_desc *desc, const mid_type_desc *given)
{
    const size_t bytes = given->struct_size;
    if (bytes < offsetof(mid_type_desc, fields) || bytes > sizeof *desc || bytes % sizeof(void *) != 0)
        return MID_EINVAL;
    *desc = (mid_type_desc){0};
    memcpy(desc, given, bytes);
    return desc->name == NULL ? MID_ENULL : MID_OK;
}

/* Slots that stand side by side need no list, which is what most objects have. */
static mid_status take_refs(mid_heap *heap, mid_type_info *info, const mid_type_desc *desc)
{
    info->slot_count = (uint32_t)desc->ref_count;
    if (desc->ref_count == 0)
        return MID_OK;
    info->first_slot = desc->ref_offsets[0] / (uint32_t)sizeof(mid_slot);
    size_t i = 1;
    while (i < desc->ref_count && desc->ref_offsets[i] == desc->ref_offsets[i - 1] + sizeof(mid_slot))
        i++;
    if (i == desc->ref_count)
        return MID_OK;
    mid_array list = {0};
    mid_status status = mid_array_grow(&heap->alloc, &list, desc->ref_count * sizeof(uint32_t));
    if (status != MID_OK)
        return status;
    uint32_t *slots = list.data;
    for (i = 0; i < desc->ref_count; i++)
        slots[i] = desc->ref_offsets[i] / (uint32_t)sizeof(mid_slot);
    info->slots = slots;
    info->slots_bytes = list.bytes;
    return MID_OK;
}

/* Of variable size, items and all of modest size, no alignment. */
static bool small_items(const mid_heap *heap, const mid_type_info *info)
{
    return info->item_size != 0 && info->item_size <= MID_POOLED_MAX && info->size <= MID_POOLED_MAX && info->align_shift == 3 &&
           !heap->debug && !info->immortal && !info->pairs;
}

static void serve_fast(mid_heap *heap, const mid_type_info *info, mid_type type)
{
    mid_fast_type *fast = (mid_fast_type *)heap->fast_types.data + type;
    size_t words = (info->size + 7) / 8;
    if (small_items(heap, info))
        *fast = (mid_fast_type){.size_class = MID_CLASSES, .born = info->born, .words = MID_FAST_ITEMS_};
    if (info->item_size != 0 || info->size > heap->alloc.pooled_max || info->immortal || info->keeps || heap->debug)
        return;
    fast->words = (uint16_t)(info->uncleared ? 0 : words);
    fast->born = info->born;
    fast->size_class = (uint8_t)mid_class_for(info->size, info->align_shift);
}

void mid_type_aside(mid_heap *heap, mid_type type)
{
    ((mid_fast_type *)heap->fast_types.data)[type] = (mid_fast_type){.size_class = MID_CLASSES};
}

static mid_status enter_checked(mid_heap *heap, const mid_type_desc *desc, mid_type *out)
{
    mid_status status = check_desc(desc);
    if (status == MID_OK)
        status = mid_fields_check(desc);
    if (status != MID_OK)
        return status;
    if (heap->type_count == MID_TYPES_MAX)
        return MID_ETYPES;
    status = types_commit(heap, (heap->type_count + 2) * sizeof(mid_type_info));
    if (status != MID_OK)
        return status;
    mid_type type = heap->type_count + 1;
    mid_type_info *info = mid_type_at(heap, type);
    *info = (mid_type_info){
        .size = desc->size,
        .item_size = desc->item_size,
        .length_offset = (uint32_t)desc->length_offset,
        .items_are_refs = desc->items_are_refs != 0,
        .identity = (desc->flags & MID_IDENTITY) != 0,
        .races = (desc->flags & MID_TRACE_RACES) != 0,
        .uncleared = (desc->flags & MID_UNCLEARED) != 0,
        .align_shift = (uint8_t)(desc->align == 0 ? 3 : __builtin_ctzll(desc->align)),
        .trace = desc->trace,
        .finalize = desc->finalize,
        .payload_free = desc->payload_free,
        .payload_offset = desc->payload_offset,
        .payload_context = desc->payload_context,
    };
    strncpy(info->name, desc->name, sizeof info->name - 1);
    status = take_refs(heap, info, desc);
    if (status != MID_OK)
        return status;
    status = mid_fields_take(heap, info, desc);
    if (status != MID_OK) {
        drop_slots(heap, info);
        return status;
    }
    bool refs = desc->ref_count != 0 || desc->items_are_refs || desc->trace != NULL;
    info->cyclic = refs && (desc->flags & MID_ACYCLIC) == 0;
    info->born = (uint8_t)(MID_ONE_ | (info->cyclic ? 0 : MID_SUSPECT_));
    info->plain = info->slots == NULL && !desc->items_are_refs && !desc->trace && !desc->finalize && !desc->payload_free;
    info->leaf = !refs && !desc->finalize && !desc->payload_free && !heap->debug;
    status = mid_policy_open(heap, info, desc, type);
    if (status != MID_OK) {
        drop_slots(heap, info);
        return status;
    }
    MID_WRITE_(heap->any_policy, heap->any_policy || info->policy != NULL);
    MID_WRITE_(heap->any_finalizer, heap->any_finalizer || desc->finalize != NULL);
    MID_WRITE_(heap->any_payload, heap->any_payload || desc->payload_free != NULL);
    serve_fast(heap, info, type);
    __atomic_store_n(&heap->type_count, type, __ATOMIC_RELEASE); /* whole before other threads can check its number */
    *out = type;
    return MID_OK;
}

/* With the lock still held, so that nobody has registered another. */
static mid_status fill_type(mid_heap *heap, mid_type type)
{
    mid_thread *thread = mid_thread_current(heap);
    mid_status status = thread == NULL ? MID_ETHREAD : mid_thread_check(thread);
    if (status == MID_OK) {
        mid_impl *me = mid_impl_of(thread);
        bool was_draining = me->draining;
        me->draining = true; /* so that nobody else's place is worked on: `lock` comes before `memory` */
        status = mid_policy_fill(me, type);
        me->draining = was_draining;
    }
    if (status == MID_OK || heap->type_count != type)
        return status;
    mid_type_info *info = mid_type_at(heap, type);
    if (thread != NULL)
        mid_policy_abandon(mid_impl_of(thread), info->policy);
    mid_policy_close(heap, info->policy);
    info->policy = NULL;
    drop_slots(heap, info);
    mid_type_aside(heap, type);
    __atomic_store_n(&heap->type_count, type - 1, __ATOMIC_RELEASE);
    return status;
}

static mid_status enter_type(mid_heap *heap, const mid_type_desc *given, mid_type *out)
{
    mid_type_desc desc;
    mid_array offsets = {0};
    mid_type type;
    mid_status status = read_desc(&desc, given);
    if (status == MID_OK)
        status = mid_fields_refs(heap, &desc, &offsets);
    if (status == MID_OK)
        status = enter_checked(heap, &desc, &type);
    mid_array_free(&heap->alloc, &offsets);
    if (status == MID_OK && desc.ahead != 0)
        status = fill_type(heap, type);
    if (status == MID_OK)
        *out = type;
    return status;
}

mid_status mid_type_register(mid_heap *heap, const mid_type_desc *desc, mid_type *out)
{
    if (heap == NULL || desc == NULL || out == NULL)
        return MID_ENULL;
    if (mid_busy(heap))
        return MID_EBUSY;
    if (!mid_is_mutator(heap))
        return MID_ETHREAD;
    mid_lock(heap);
    mid_status status = enter_type(heap, desc, out);
    mid_unlock(heap);
    return status;
}

const char *mid_type_name(mid_heap *heap, mid_type type)
{
    return heap == NULL || type == 0 || type > mid_type_count(heap) ? NULL : mid_type_at(heap, type)->name;
}

size_t mid_object_size(const mid_type_info *type, const void *object)
{
    return type->item_size == 0 ? type->size : type->size + mid_items(type, object) * type->item_size;
}

mid_status mid_type_of(mid_thread *thread, mid_handle object, mid_type *type)
{
    if (type == NULL)
        return MID_ENULL;
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry != NULL)
        *type = (mid_type)(MID_READ_(entry->word) >> MID_TYPE_SHIFT_);
    return status;
}

mid_status mid_size_of(mid_thread *thread, mid_handle object, size_t *bytes)
{
    if (bytes == NULL)
        return MID_ENULL;
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry != NULL)
        *bytes = mid_object_size(mid_type_of_entry(mid_impl_of(thread)->heap, entry), mid_address(entry));
    return status;
}

mid_status mid_items_of(mid_thread *thread, mid_handle object, size_t *items)
{
    if (items == NULL)
        return MID_ENULL;
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry != NULL) {
        const mid_type_info *type = mid_type_of_entry(mid_impl_of(thread)->heap, entry);
        *items = type->item_size == 0 ? 0 : mid_items(type, mid_address(entry));
    }
    return status;
}

mid_status mid_count_of(mid_thread *thread, mid_handle object, uint32_t *count)
{
    if (count == NULL)
        return MID_ENULL;
    mid_status status;
    mid_entry *entry = mid_checked(thread, object, &status);
    if (entry != NULL)
        *count = mid_forever(entry) ? UINT32_MAX : (uint32_t)mid_total_of(mid_impl_of(thread)->heap, object / 2);
    return status;
}

int mid_is_live(mid_thread *thread, mid_handle value)
{
    mid_status status;
    return mid_checked(thread, value, &status) != NULL;
}
