/* gc/debug_move.c: everything moved at safepoints, so that an address kept past one is no object's; what is still held at close;
 * what an address is. */
#include <stdio.h>
#include <string.h>

#include "gc/count.h"
#include "gc/debug.h"
#include "gc/refs.h"

/* --- moving ---------------------------------------------------------------------------------------------------------- */

/* To another slot. Its own goes to the quarantine, with its pattern, and remembers who was there. */
static bool move_slot(mid_impl *me, mid_handle handle)
{
    mid_heap *heap = me->heap;
    char *from = mid_address(mid_entry_at(heap, handle));
    size_t size = heap->alloc.classes[mid_pool_of(from)->size_class].slot_size;
    mid_handle other;
    if (mid_try(me, size) != MID_OK || mid_slot_new(me, size, 3, &other) != MID_OK)
        return false;
    memcpy(mid_address(mid_entry_at(heap, other)), from, size);
    mid_slots_swap(heap, handle, other);
    *mid_site_of(heap, other) = (mid_site){.was = handle};
    mid_slot_free(me, other, mid_entry_at(heap, other));
    return true;
}

static bool move_block(mid_impl *me, mid_handle handle)
{
    mid_heap *heap = me->heap;
    mid_entry *entry = mid_entry_at(heap, handle);
    char *from = mid_address(entry);
    size_t size = mid_fenced_size(heap, mid_type_of_entry(heap, entry), from);
    mid_status status;
    char *to = mid_large_new(&heap->alloc, size, handle, &status);
    if (to == NULL)
        return false;
    memcpy(to, from, size);
    MID_WRITE_(entry->word, (entry->word & ~MID_ADDRESS_MASK_) | (uint64_t)(uintptr_t)to);
    if (!mid_debug_hold_object(me, handle, from, size, true)) {
        mid_debug_spoil(from, size);
        mid_large_free(&heap->alloc, from, size, handle);
    }
    return true;
}

/* If the world does not stand in time, or memory is short, what is left moves at the next safepoint. */
void mid_debug_move(mid_impl *me)
{
    mid_heap *heap = me->heap;
    bool stopped, room = true;
    if (heap->any_lost || mid_look_begin(heap, &stopped) != MID_OK)
        return;
    bool unread = mid_moving_begin(heap);
    mid_lock(heap);
    for (uint32_t i = heap->first_index, end = heap->next_index; room && i < end; i++) {
        const mid_entry *entry = heap->table + i;
        if (mid_entry_live(entry) && !(entry->word & MID_F_PINNED) && !mid_frozen(entry->count))
            room = entry->word & MID_F_LARGE ? move_block(me, i * 2) : move_slot(me, i * 2);
    }
    mid_unlock(heap);
    mid_moving_end(heap, unread);
    mid_look_end(heap, stopped);
}

/* --- leaks ----------------------------------------------------------------------------------------------------------- */

#define LEAKS_MOST 16u

typedef struct word {
    const mid_slot *at;
    bool visited;
} word;

static void compare(void *context, mid_slot *slot)
{
    word *w = context;
    w->visited |= slot == w->at;
}

/* An object of which a word that is no slot has this number. */
static mid_handle undeclared(mid_heap *heap, mid_handle value, size_t *at)
{
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_entry_live(entry))
            continue;
        const mid_type_info *type = mid_type_of_entry(heap, entry);
        char *object = mid_address(entry);
        for (size_t n = 0; n < mid_object_size(type, object) / sizeof(mid_slot); n++) {
            word w = {.at = (mid_slot *)object + n};
            if (w.at->bits_ != value)
                continue;
            mid_refs(heap, type, object, compare, &w);
            *at = n * sizeof(mid_slot);
            if (!w.visited)
                return i * 2;
        }
    }
    return 0;
}

static void tell_leak(mid_heap *heap, mid_handle handle)
{
    char names[2][128];
    mid_fault fault = {.kind = MID_MISUSE_LEAK, .status = MID_EHELD, .call = "mid_heap_close", .heap = heap, .handle = handle};
    const char *name = mid_fault_name(heap, handle, names[0], sizeof names[0]);
    int64_t more = mid_total(mid_entry_at(heap, handle)) - mid_site_of(heap, handle)->held;
    size_t at = 0;
    fault.other = undeclared(heap, handle, &at);
    if (fault.other != 0)
        snprintf(fault.detail, sizeof fault.detail, "%s is still held, and only byte %zu of %s names it, where its type has no slot", name, at,
                 mid_fault_name(heap, fault.other, names[1], sizeof names[1]));
    else
        snprintf(fault.detail, sizeof fault.detail, "%s is still held: %lld counts are no slot's", name, (long long)more);
    mid_fault_tell(&fault);
}

/* Those that counts keep which are no slot's, and if there are none, those on cycles that no collection may look at. */
void mid_debug_leaks(mid_heap *heap)
{
    char name[128];
    unsigned told = 0;
    mid_handle some = 0;
    mid_debug_recount(heap);
    for (uint32_t i = heap->first_index; i < heap->next_index && told < LEAKS_MOST; i++) {
        const mid_entry *entry = heap->table + i;
        if (!mid_entry_live(entry) || mid_immortal(entry))
            continue;
        some = i * 2;
        if (!mid_type_of_entry(heap, entry)->shadowed || mid_total(entry) <= mid_site_of(heap, i * 2)->held)
            continue;
        tell_leak(heap, i * 2);
        told++;
    }
    if (told != 0 || some == 0)
        return;
    mid_fault fault = {.kind = MID_MISUSE_LEAK, .status = MID_EHELD, .call = "mid_heap_close", .heap = heap, .handle = some};
    snprintf(fault.detail, sizeof fault.detail, "%s is still held, by slots alone: on a cycle through a type that is declared MID_ACYCLIC",
             mid_fault_name(heap, some, name, sizeof name));
    mid_fault_tell(&fault);
}

/* --- addresses --------------------------------------------------------------------------------------------------------- */

/* Whose memory it is; 0: nobody's in this heap. */
static mid_handle owner_of(mid_heap *heap, const char *at)
{
    for (uint32_t i = heap->first_index; i < heap->next_index; i++) {
        const mid_entry *entry = heap->table + i;
        const char *object = mid_address(entry);
        if (object == NULL || at < object)
            continue;
        size_t size = entry->word & MID_F_LARGE ? mid_fenced_size(heap, mid_type_of_entry(heap, entry), object)
                                                : heap->alloc.classes[mid_pool_of(object)->size_class].slot_size;
        if (at < object + size)
            return i * 2;
    }
    return 0;
}

void mid_debug_foreign(mid_heap *heap, const void *pointer, const char *domain, mid_fault *fault)
{
    char name[128], block[32] = "a block";
    mid_lock(heap);
    fault->handle = owner_of(heap, pointer);
    const mid_entry *entry = mid_entry_at(heap, fault->handle);
    size_t inside = fault->handle == 0 ? 0 : (size_t)((const char *)pointer - (const char *)mid_address(entry));
    mid_unlock(heap);
    if (domain != NULL)
        snprintf(block, sizeof block, "a block of %s", domain);
    if (fault->handle == 0)
        mid_fault_of_block(fault, "%p is no memory of this heap: another allocator's, or not the beginning of %s", pointer, block);
    else if (inside == 0)
        mid_fault_of_block(fault, "%p is %s, which is released by its handle", pointer, mid_fault_name(heap, fault->handle, name, sizeof name));
    else
        mid_fault_of_block(fault, "%p is byte %zu of %s, which is released by its handle", pointer, inside,
                           mid_fault_name(heap, fault->handle, name, sizeof name));
}

bool mid_debug_foreign_address(mid_heap *heap, const void *pointer)
{
    char name[128];
    if (!heap->debug || pointer == NULL)
        return false;
    mid_fault fault = {.kind = MID_MISUSE_ADDRESS, .status = MID_EHANDLE, .call = "free", .heap = heap, .address = pointer};
    mid_lock(heap);
    fault.block = mid_debug_block_around(heap, pointer);
    if (fault.block != 0)
        mid_fault_of_block(&fault, "%p is byte %td of %s", pointer, (const char *)pointer - mid_block_site_at(heap, fault.block)->at,
                           mid_fault_block_name(heap, fault.block, name, sizeof name));
    mid_unlock(heap);
    if (fault.block == 0)
        mid_debug_foreign(heap, pointer, NULL, &fault);
    return true;
}

int mid_debug_address(mid_thread *thread, const void *pointer)
{
    return mid_thread_check(thread) == MID_OK && mid_debug_foreign_address(mid_impl_of(thread)->heap, pointer);
}
