/* gc/scope.c: temporaries that are released together. Open scopes are marks among the handles they keep. */
#include "gc/heap.h"

/* A mark holds the depth of the scope that begins there; tagged so that it is no handle that is ever kept. */
#define MARK (1ull << 32)

static mid_status push(mid_impl *impl, uint64_t value)
{
    mid_status status = MID_OK;
    size_t need = (impl->scope_height + 1) * sizeof(uint64_t);
    if (need > impl->scope_handles.bytes) {
        mid_lock(impl->heap);
        status = mid_array_grow(&impl->heap->alloc, &impl->scope_handles, need);
        mid_unlock(impl->heap);
    }
    if (status == MID_OK)
        ((uint64_t *)impl->scope_handles.data)[impl->scope_height++] = value;
    return status;
}

mid_status mid_scope_open(mid_thread *thread, mid_scope *scope)
{
    if (scope == NULL)
        return MID_ENULL;
    mid_status status = mid_thread_check(thread);
    if (status != MID_OK)
        return status;
    mid_impl *impl = mid_impl_of(thread);
    scope->height_ = SIZE_MAX;
    status = push(impl, MARK);
    if (status != MID_OK)
        return status;
    impl->scope_depth++;
    scope->height_ = impl->scope_height - 1;
    return MID_OK;
}

mid_handle mid_keep(mid_thread *thread, mid_handle value)
{
    mid_status status = mid_thread_check(thread);
    if (status == MID_ENULL || status == MID_ETHREAD)
        return 0;
    mid_impl *impl = mid_impl_of(thread);
    if (status == MID_OK && impl->scope_depth == 0)
        status = MID_EINVAL;
    if (status == MID_OK && mid_is_object_(value))
        status = push(impl, value);
    thread->status = status;
    if (status == MID_OK)
        return value;
    (mid_release)(thread, value);
    return 0;
}

static void close_to(mid_impl *impl, size_t height)
{
    while (impl->scope_height > height) {
        uint64_t value = ((uint64_t *)impl->scope_handles.data)[--impl->scope_height];
        if (value == MARK)
            impl->scope_depth--;
        else
            (mid_release)(&impl->pub, (mid_handle)value); /* may run a finalizer that opens scopes of its own */
    }
}

#define MANY 64u /* temporaries: to let go of them may take long enough to be a pause */

mid_handle mid_scope_close(mid_thread *thread, mid_scope *scope, mid_handle result)
{
    mid_status status = scope == NULL ? MID_ENULL : mid_thread_check(thread);
    if (status == MID_ENULL || status == MID_ETHREAD)
        return 0;
    mid_impl *impl = mid_impl_of(thread);
    const uint64_t *handles = impl->scope_handles.data;
    if (status == MID_OK && (scope->height_ >= impl->scope_height || handles[scope->height_] != MARK))
        status = MID_EINVAL;
    thread->status = status;
    if (status != MID_OK)
        return 0;
    (mid_retain)(thread, result);
    mid_part part = {0};
    if (impl->scope_height - scope->height_ > MANY)
        part = mid_pause_begin(impl, MID_PAUSE_DRAIN);
    close_to(impl, scope->height_);
    mid_pause_end(&part);
    return result;
}

void mid_scopes_close(mid_impl *me)
{
    close_to(me, 0);
}
