/* tests/unit/kernel_os.c: see kernel_os.h. */
#include "kernel_os.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "alloc/alloc.h"

#define GUARD ((size_t)MID_PAGE)

static struct kernel_range *range_of(struct kernel_os *kernel, const void *at)
{
    for (size_t i = 0; i < kernel->count; i++)
        if (kernel->ranges[i].at == at)
            return &kernel->ranges[i];
    abort();
}

/* Address space that can be touched nowhere, with a guard on both sides of what is returned. */
static char *fenced(struct kernel_os *kernel, size_t size, size_t align, int reserved)
{
    const size_t span = size + align + 2 * GUARD;
    char *raw = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED || kernel->count == KERNEL_RANGES)
        return NULL;
    char *at = (char *)(((uintptr_t)raw + GUARD + align - 1) & ~(uintptr_t)(align - 1)), *end = at + size + GUARD;
    if (at - GUARD > raw)
        munmap(raw, (size_t)(at - GUARD - raw));
    if (raw + span > end)
        munmap(end, (size_t)(raw + span - end));
    kernel->ranges[kernel->count++] = (struct kernel_range){at, size, reserved};
    return at;
}

static void *os_reserve(void *ctx, size_t size, size_t align)
{
    return fenced(ctx, size, align, 1);
}

static void *os_map(void *ctx, size_t size)
{
    char *at = fenced(ctx, size, MID_PAGE, 0);
    return at != NULL && mprotect(at, size, PROT_READ | PROT_WRITE) == 0 ? at : NULL;
}

static void os_unmap(void *ctx, void *at, size_t size)
{
    struct kernel_os *kernel = ctx;
    struct kernel_range *range = range_of(kernel, at);
    munmap((char *)at - GUARD, size + 2 * GUARD);
    *range = kernel->ranges[--kernel->count];
}

static void *os_remap(void *ctx, void *at, size_t old_size, size_t new_size)
{
    char *to = os_map(ctx, new_size);
    if (to == NULL || mremap(at, old_size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
        return NULL;
    os_unmap(ctx, at, old_size);
    return to;
}

static bool os_commit(void *ctx, void *at, size_t size)
{
    (void)ctx;
    return mid_os_default.commit(NULL, at, size);
}

static void os_decommit(void *ctx, void *at, size_t size)
{
    (void)ctx;
    mid_os_default.decommit(NULL, at, size);
}

void kernel_os_init(struct kernel_os *kernel)
{
    kernel->count = 0;
    kernel->os = (mid_os){.reserve = os_reserve, .commit = os_commit, .decommit = os_decommit, .release = os_unmap,
                          .map = os_map, .remap = os_remap, .unmap = os_unmap, .ctx = kernel};
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        abort();
}

/* Of an area's bytes, how many are the heap's. */
static size_t owned(const struct kernel_os *kernel, uintptr_t from, uintptr_t to)
{
    size_t bytes = 0;
    for (size_t i = 0; i < kernel->count; i++) {
        const uintptr_t at = (uintptr_t)kernel->ranges[i].at, end = at + kernel->ranges[i].size;
        if (at < to && from < end)
            bytes += (to < end ? to : end) - (from > at ? from : at);
    }
    return bytes;
}

/* An area that nobody can touch may go on into a guard. */
struct kernel_figures kernel_os_figures(const struct kernel_os *kernel)
{
    struct kernel_figures figures = {0};
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[4096], rights[8];
    size_t from, to, kilobytes, mine = 0;
    if (file == NULL)
        abort();
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%zx-%zx %7s", &from, &to, rights) == 3) {
            mine = owned(kernel, from, to);
            figures.areas += mine != 0;
            figures.foreign += mine != 0 && mine != to - from && rights[0] != '-';
        } else if (mine != 0 && (sscanf(line, "Rss: %zu", &kilobytes) == 1 || sscanf(line, "Swap: %zu", &kilobytes) == 1)) {
            figures.resident += kilobytes * 1024;
        }
    }
    fclose(file);
    return figures;
}
