/* gc/save.c: garbage that is kept instead of freed, for who looks for leaks. */
#include "gc/count.h"

mid_status mid_save_room(mid_heap *heap, uint64_t more)
{
    mid_collector *c = &heap->collector;
    mid_lock(heap);
    mid_status status = mid_array_grow(&heap->alloc, &c->saved, (c->saved_count + more) * sizeof(mid_handle));
    mid_unlock(heap);
    return status;
}

void mid_save(mid_heap *heap, mid_handle object)
{
    mid_collector *c = &heap->collector;
    mid_entry *entry = mid_entry_at(heap, object);
    ((mid_handle *)c->saved.data)[c->saved_count++] = object;
    MID_WRITE_(entry->shared, entry->shared + MID_SHARED_ONE_);
    __atomic_fetch_add(&c->stats[c->now].saved, 1, __ATOMIC_RELAXED);
}

mid_status mid_collect_save(mid_thread *thread, int on)
{
    mid_status status = mid_work_begin(thread);
    if (status != MID_OK)
        return status;
    mid_impl *me = mid_impl_of(thread);
    mid_part part = mid_pause_begin(me, MID_PAUSE_COLLECT);
    status = mid_whole_enter(me); /* sets on trial would be freed in slices: none is */
    if (status == MID_OK) {
        me->heap->collector.saving = on != 0;
        mid_whole_leave(me);
    }
    mid_pause_end(&part);
    return status;
}

mid_status mid_collect_saved(mid_thread *thread, mid_handle *into, size_t room, size_t *count)
{
    if (count == NULL || (into == NULL && room != 0))
        return MID_ENULL;
    *count = 0;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_heap *heap = mid_impl_of(thread)->heap;
    mid_collector *c = &heap->collector;
    mid_lock(heap);
    while (*count < room && c->saved_count != 0)
        into[(*count)++] = ((const mid_handle *)c->saved.data)[--c->saved_count];
    bool more = c->saved_count != 0;
    if (!more)
        mid_array_free(&heap->alloc, &c->saved);
    mid_unlock(heap);
    return more ? MID_MORE : MID_OK;
}

/* The heap closes, and this thread is alone. */
void mid_saved_let_go(mid_thread *thread)
{
    mid_handle some[64];
    size_t count;
    mid_impl_of(thread)->heap->collector.saving = false;
    do {
        mid_collect_saved(thread, some, sizeof some / sizeof *some, &count);
        for (size_t i = 0; i < count; i++)
            (mid_release)(thread, some[i]);
    } while (count != 0);
}
