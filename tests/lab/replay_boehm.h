/* replay_boehm.h: Boehm GC, which finds out by itself what was let go. The table of slots is its only root that
 * matters. What a recorded block held is not known: blocks are leaves (variant "atomic", its best case); variant
 * "plain" lets it scan them, as it must where the program cannot say. */
#include <string.h>

#include <gc.h>

#include "replay.h"

static bool boehm_plain;

static void boehm_event(GC_EventType event)
{
    if (event == GC_EVENT_PRE_STOP_WORLD)
        replay_pause_begin();
    else if (event == GC_EVENT_POST_START_WORLD)
        replay_pause_end();
}

static bool replay_open(const char *variant)
{
    boehm_plain = strcmp(variant, "plain") == 0;
    if (!boehm_plain && strcmp(variant, "atomic") != 0)
        return false;
    GC_INIT();
    GC_set_on_collection_event(boehm_event);
    GC_add_roots(replay.slots, replay.slots + replay.plan->blocks);
    return true;
}

static bool replay_alloc(replay_slot *slot, const plan_op *op)
{
    void *made;
    if (op->align > 4)
        made = GC_memalign((size_t)1 << op->align, op->size);
    else if (boehm_plain)
        made = GC_malloc(op->size);
    else
        made = GC_malloc_atomic(op->size);
    slot->reference = (uintptr_t)made;
    return made != NULL;
}

/* GC_realloc does not know that a block of GC_memalign begins inside its object, and lets it run over the end. */
static void *resize_aligned(const replay_slot *slot, uint64_t size)
{
    void *moved = boehm_plain ? GC_malloc(size) : GC_malloc_atomic(size);
    if (moved != NULL)
        memcpy(moved, (void *)(uintptr_t)slot->reference, size < slot->size ? size : slot->size);
    return moved;
}

static bool replay_resize(replay_slot *slot, uint64_t size)
{
    void *old = (void *)(uintptr_t)slot->reference;
    void *moved = GC_base(old) == old ? GC_realloc(old, size != 0 ? size : 1) : resize_aligned(slot, size);
    if (moved == NULL)
        return false;
    slot->reference = (uintptr_t)moved;
    return true;
}

static void replay_drop(replay_slot *slot)
{
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
    printf("figure collections %llu\n", (unsigned long long)GC_get_gc_no());
    printf("figure heap_bytes %llu\n", (unsigned long long)GC_get_heap_size());
    return true;
}
