/* blocks_midden.h: the blocks of a plan as objects of a midden heap, for the replay and for `midden explain`. They are leaves.
 * One that is never resized and small is of a fixed-size type, one a size in steps of eight bytes, as a program's structures
 * would be; any other is a variable-size object whose items are bytes. Alignment above 64, which an object cannot have, is
 * not kept. */
#ifndef MIDDEN_LAB_BLOCKS_MIDDEN_H
#define MIDDEN_LAB_BLOCKS_MIDDEN_H

#include "midden/midden.h"
#include "replay.h"

#define FIXED_MOST 512u
#define ALIGNS 4 /* 8, 16, 32, 64 */

static mid_heap *heap;
static mid_thread *thread;
static mid_type fixed_types[FIXED_MOST / 8 + 1], byte_types[ALIGNS];

/* reference: the handle, and above it how far into the object the block begins. */
#define REFERENCE(handle, offset) ((uint64_t)(handle) | (uint64_t)(offset) << 32)
#define HANDLE(slot) ((mid_handle)(slot)->reference)

static bool register_types(void)
{
    for (unsigned i = 1; i <= FIXED_MOST / 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "block%u", i * 8);
        mid_type_desc type = {.struct_size = sizeof type, .name = name, .size = i * 8, .flags = MID_ACYCLIC};
        if (mid_type_register(heap, &type, &fixed_types[i]) != MID_OK)
            return false;
    }
    for (unsigned i = 0; i < ALIGNS; i++) {
        mid_type_desc type = {.struct_size = sizeof type, .name = "bytes", .size = i == 0 ? 4 : 8u << i,
                              .align = 8u << i, .flags = MID_ACYCLIC, .item_size = 1};
        if (mid_type_register(heap, &type, &byte_types[i]) != MID_OK)
            return false;
    }
    return true;
}

static bool replay_alloc(replay_slot *slot, const plan_op *op)
{
    mid_handle made;
    mid_status status;
    unsigned align = op->align <= 4 ? 0 : op->align >= 6 ? 3 : op->align - 3u, offset = 0;
    if (op->size <= FIXED_MOST && !op->resizable && align == 0) {
        status = mid_new(thread, fixed_types[op->size != 0 ? (op->size + 7) / 8 : 1], &made);
    } else {
        offset = align == 0 ? 4 : 8u << align;
        status = mid_new_array(thread, byte_types[align], op->size, &made);
    }
    slot->reference = REFERENCE(made, offset);
    if (status != MID_OK)
        fprintf(stderr, "midden: %s\n", mid_status_text(status));
    return status == MID_OK;
}

static bool replay_resize(replay_slot *slot, uint64_t size)
{
    mid_status status = mid_resize(thread, HANDLE(slot), size);
    if (status != MID_OK)
        fprintf(stderr, "midden: %s\n", mid_status_text(status));
    return status == MID_OK;
}

static void replay_drop(replay_slot *slot)
{
    mid_release(thread, HANDLE(slot));
    slot->reference = 0;
}

#endif
