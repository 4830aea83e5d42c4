/* gc/rename.c: objects change numbers, in a deep compaction.
 *
 * Slots that refer to them are the business of who knows all of those (deep.c). Here is everybody else that keeps numbers and can
 * have that of an object which only slots hold. Who keeps counted handles (scopes, the condemned) or numbers of dead ones
 * (work lists, quarantine, the queue of finalizers), what is pinned and what is logged as a suspect has no part in it: such an
 * object keeps its number. */
#include "gc/debug.h"

static void exchange_entries(mid_heap *heap, mid_handle a, mid_handle b)
{
    mid_entry *one = mid_entry_at(heap, a), *other = mid_entry_at(heap, b), kept = *one;
    *one = *other;
    *other = kept;
}

/* Its memory knows it: the back index of a pool, the head of a large block. */
static void tell_memory(mid_heap *heap, mid_handle name)
{
    const mid_entry *entry = mid_entry_at(heap, name);
    char *at = mid_address(entry);
    if (at == NULL)
        return; /* a free entry */
    if (entry->word & MID_F_LARGE) {
        mid_large_rename(&heap->alloc, at, mid_fenced_size(heap, mid_type_of_entry(heap, entry), at), name);
        return;
    }
    mid_pool *pool = mid_pool_of(at);
    const mid_class *c = &heap->alloc.classes[pool->size_class];
    mid_pool_names(pool)[mid_slot_of(c, mid_pool_base(pool), at)] = name;
}

static void exchange_memory(mid_heap *heap, mid_handle a, mid_handle b)
{
    tell_memory(heap, a);
    tell_memory(heap, b);
}

static void tell_listeners(mid_heap *heap, mid_handle a, mid_handle b)
{
    if (heap->listener_count != 0)
        MID_EMIT(heap, renamed, a, b);
}

void mid_exchange(mid_heap *heap, mid_handle a, mid_handle b)
{
    static void (*const holders[])(mid_heap *, mid_handle, mid_handle) = {
        exchange_entries, /* first: the others ask them */
        exchange_memory,
        mid_weak_exchange,
        mid_intern_exchange,
        mid_debug_exchange,
        mid_trace_exchange,
        tell_listeners,
    };
    for (unsigned i = 0; i < sizeof holders / sizeof holders[0]; i++)
        holders[i](heap, a, b);
}
