/* gc/kinds/kinds.c: registering the kinds; which kind a value is. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "gc/kinds/own.h"

typedef struct plan {
    mid_type_desc desc;
    mid_kind kind;
    size_t type; /* where its number goes in mid_kinds */
} plan;

static const uint32_t slots[MID_TUPLE_FIXED] = {0, 4, 8, 12, 16, 20, 24, 28};

static const plan plans[] = {
    {{.name = "int", .size = sizeof(int64_t), .flags = MID_UNCLEARED}, MID_KIND_INT, offsetof(mid_kinds, integer)},
    {{.name = "float", .size = sizeof(double), .flags = MID_UNCLEARED}, MID_KIND_FLOAT, offsetof(mid_kinds, real)},
    {{.name = "list", .size = offsetof(struct mid_list_object, items), .item_size = sizeof(mid_slot), .items_are_refs = 1,
      .length_offset = offsetof(struct mid_list_object, room)}, MID_KIND_LIST, offsetof(mid_kinds, list)},
    {{.name = "tuple", .size = sizeof(uint32_t), .item_size = sizeof(mid_slot), .items_are_refs = 1}, MID_KIND_TUPLE, offsetof(mid_kinds, tuple)},
    {{.name = "cell", .size = sizeof(mid_slot), .ref_offsets = slots, .ref_count = 1}, MID_KIND_CELL, offsetof(mid_kinds, cell)},
    /* its name, then those of the fields: text, so there is no way back */
    {{.name = "shape", .size = 2 * sizeof(uint32_t), .ref_offsets = slots + 1, .ref_count = 1, .item_size = sizeof(mid_slot), .items_are_refs = 1,
      .flags = MID_ACYCLIC}, MID_KIND_SHAPE, offsetof(mid_kinds, shape)},
    {{.name = "record", .size = 2 * sizeof(uint32_t), .ref_offsets = slots + 1, .ref_count = 1, .item_size = sizeof(mid_slot), .items_are_refs = 1},
     MID_KIND_RECORD, offsetof(mid_kinds, record)},
};

static mid_status enter(mid_heap *heap, mid_kinds *kinds, mid_type_desc desc, unsigned shown, mid_type *type)
{
    desc.struct_size = sizeof desc;
    mid_status status = mid_type_register(heap, &desc, type);
    if (status == MID_OK)
        kinds->shown[*type] = (unsigned char)shown;
    return status;
}

static mid_status register_all(mid_heap *heap, mid_kinds *kinds)
{
    mid_status status = MID_OK;
    for (size_t i = 0; i < sizeof plans / sizeof plans[0] && status == MID_OK; i++)
        status = enter(heap, kinds, plans[i].desc, plans[i].kind, (mid_type *)((char *)kinds + plans[i].type));
    for (unsigned n = 1; n <= MID_TUPLE_FIXED && status == MID_OK; n++) {
        char name[sizeof "tuple of 4294967295"];
        snprintf(name, sizeof name, "tuple of %u", n);
        status = enter(heap, kinds, (mid_type_desc){.name = name, .size = n * sizeof(mid_slot), .ref_offsets = slots, .ref_count = n},
                       MID_KIND_TUPLE | n << KIND_BITS, &kinds->tuple[n]);
    }
    return status;
}

mid_status mid_kinds_open(mid_heap *heap, mid_kinds *kinds)
{
    if (heap == NULL || kinds == NULL)
        return MID_ENULL;
    memset(kinds, 0, sizeof *kinds);
    kinds->heap = heap;
    if (getrandom(&kinds->seed, sizeof kinds->seed, GRND_NONBLOCK) != (ssize_t)sizeof kinds->seed)
        kinds->seed = kind_mix((uintptr_t)kinds, (uint64_t)time(NULL)); /* the system has no entropy yet: better than none */
    mid_status status = register_all(heap, kinds);
    return status == MID_OK ? kind_string_register(heap, kinds) : status;
}

mid_kind mid_kind_of(mid_thread *thread, const mid_kinds *kinds, mid_handle value)
{
    mid_kind kind = kind_ready(thread, kinds) == MID_OK ? kind_of(kinds, value) : MID_KIND_NONE;
    return kind < MID_KIND_COUNT ? kind : MID_KIND_NONE;
}

const char *mid_kind_name(mid_kind kind)
{
    static const char *const names[MID_KIND_COUNT] = {"object", "nothing", "int", "float", "bytes", "text", "tuple", "list", "cell", "shape", "record"};
    return (unsigned)kind < MID_KIND_COUNT ? names[kind] : "object";
}
