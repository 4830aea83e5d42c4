/* recorder.c: malloc and its kin as a program loaded with libmidden-record.so sees them.
 *
 * Every call goes to the next definition in the process (libc's, or an allocator's that the program links with) and
 * leaves a record. A block's record is numbered after the allocator returned it and before it is given up: see
 * trace.h for why that orders all threads. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "recorder.h"

#define EXPORT __attribute__((visibility("default")))

typedef struct next_table {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
} next_table;

static next_table next;
static enum { UNRESOLVED, RESOLVING, RESOLVED } resolved;

/* What dlsym itself allocates before the next malloc is known. Never recorded, never reused. */
static _Alignas(64) char early[32768];
static size_t early_used;

static void *early_alloc(size_t size, size_t align)
{
    size_t at = (early_used + align - 1) & ~(align - 1);
    if (at > sizeof early || size > sizeof early - at) {
        errno = ENOMEM;
        return NULL;
    }
    early_used = at + size;
    return early + at;
}

static bool is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + sizeof early;
}

#define RESOLVE(name) *(void **)&next.name = dlsym(RTLD_NEXT, #name)

/* The first call of a process comes while it has one thread. */
static bool ready(void)
{
    if (__builtin_expect(resolved == RESOLVED, 1))
        return true;
    if (resolved == RESOLVING)
        return false;
    resolved = RESOLVING;
    RESOLVE(malloc);
    RESOLVE(calloc);
    RESOLVE(realloc);
    RESOLVE(free);
    RESOLVE(posix_memalign);
    RESOLVE(aligned_alloc);
    RESOLVE(memalign);
    RESOLVE(valloc);
    RESOLVE(pvalloc);
    resolved = RESOLVED;
    return true;
}

static void *made(trace_op op, void *block, size_t size, size_t align)
{
    if (block != NULL)
        recorder_append(op, (uintptr_t)block, size, align != 0 ? (unsigned)__builtin_ctzll(align) : 0);
    return block;
}

EXPORT void *malloc(size_t size)
{
    if (!ready())
        return early_alloc(size, 16);
    return made(TRACE_ALLOC, next.malloc(size), size, 0);
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!ready())
        return early_alloc(count * size, 16); /* static memory is zero, and never reused */
    return made(TRACE_CALLOC, next.calloc(count, size), count * size, 0);
}

EXPORT void free(void *block)
{
    if (block == NULL || is_early(block) || !ready())
        return;
    recorder_append(TRACE_FREE, (uintptr_t)block, 0, 0);
    next.free(block);
}

static void *realloc_early(void *block, size_t size)
{
    size_t most = (size_t)(early + sizeof early - (char *)block);
    void *copy = malloc(size);
    if (copy != NULL)
        memcpy(copy, block, size < most ? size : most);
    return copy;
}

EXPORT void *realloc(void *block, size_t size)
{
    if (block == NULL)
        return malloc(size);
    if (is_early(block) || !ready())
        return realloc_early(block, size);
    recorder_append(TRACE_RESIZE_BEGIN, (uintptr_t)block, 0, 0);
    void *moved = next.realloc(block, size);
    recorder_append(TRACE_RESIZE_END, (uintptr_t)moved, size, 0);
    return moved;
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
    if (!ready()) {
        *out = early_alloc(size, align);
        return *out != NULL ? 0 : ENOMEM;
    }
    int failed = next.posix_memalign(out, align, size);
    if (failed == 0)
        made(TRACE_ALIGNED, *out, size, align);
    return failed;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    return ready() ? made(TRACE_ALIGNED, next.aligned_alloc(align, size), size, align) : early_alloc(size, align);
}

EXPORT void *memalign(size_t align, size_t size)
{
    return ready() ? made(TRACE_ALIGNED, next.memalign(align, size), size, align) : early_alloc(size, align);
}

EXPORT void *valloc(size_t size)
{
    return ready() ? made(TRACE_ALIGNED, next.valloc(size), size, 4096) : early_alloc(size, 4096);
}

EXPORT void *pvalloc(size_t size)
{
    return ready() ? made(TRACE_ALIGNED, next.pvalloc(size), size, 4096) : early_alloc(size, 4096);
}
