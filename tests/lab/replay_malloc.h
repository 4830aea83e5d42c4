/* replay_malloc.h: malloc's family, explicitly freed; of libc, or of the allocator that the worker is linked with. */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static bool replay_open(const char *variant)
{
    return strcmp(variant, "") == 0;
}

static bool replay_alloc(replay_slot *slot, const plan_op *op)
{
    void *made = NULL;
    if (op->align > 4) {
        if (posix_memalign(&made, (size_t)1 << op->align, op->size) != 0)
            return false;
    } else {
        made = malloc(op->size);
    }
    slot->reference = (uintptr_t)made;
    return made != NULL;
}

static bool replay_resize(replay_slot *slot, uint64_t size)
{
    void *moved = realloc((void *)(uintptr_t)slot->reference, size != 0 ? size : 1);
    if (moved == NULL)
        return false;
    slot->reference = (uintptr_t)moved;
    return true;
}

static void replay_drop(replay_slot *slot)
{
    free((void *)(uintptr_t)slot->reference);
    slot->reference = 0;
}

static unsigned char *replay_bytes(const replay_slot *slot)
{
    return (unsigned char *)(uintptr_t)slot->reference;
}

static void replay_poll(void)
{
}

static void replay_sleep_begin(void)
{
}

static void replay_sleep_end(void)
{
}

static bool replay_figures(void)
{
    return true;
}
