/* alloc/os.c: the system calls of the library, and nothing else. The default mid_os, and the clocks. */
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "alloc/alloc.h"

static void *sys_reserve(void *ctx, size_t size, size_t align)
{
    (void)ctx;
    if (size > SIZE_MAX - align)
        return NULL;
    size_t span = size + align - MID_PAGE;
    char *at = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    char *start = (char *)(((uintptr_t)at + align - 1) & ~(uintptr_t)(align - 1));
    if (start > at)
        munmap(at, (size_t)(start - at));
    if (at + span > start + size)
        munmap(start + size, (size_t)(at + span - (start + size)));
    return start;
}

static bool sys_commit(void *ctx, void *at, size_t size)
{
    (void)ctx;
    return mprotect(at, size, PROT_READ | PROT_WRITE) == 0;
}

/* MADV_DONTNEED and not MADV_FREE: memory that has gone should be seen to have gone (Go's scavenger turned back from
 * the latter for that reason). The range stays accessible, so that neighbouring ranges stay one area of the kernel's. */
static void sys_decommit(void *ctx, void *at, size_t size)
{
    (void)ctx;
    if (madvise(at, size, MADV_DONTNEED) == 0)
        return;
    /* Locked memory (mlockall) refuses; what is committed again must read as zero all the same. */
    mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

static void sys_release(void *ctx, void *at, size_t size)
{
    (void)ctx;
    munmap(at, size);
}

static void *sys_map(void *ctx, size_t size)
{
    (void)ctx;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static void *sys_remap(void *ctx, void *at, size_t old_size, size_t new_size)
{
#ifdef __SANITIZE_THREAD__ /* which does not see mremap: what another heap's threads did at an address before passes for a race */
    void *to = sys_map(ctx, new_size);
    if (to == NULL)
        return NULL;
    memcpy(to, at, old_size < new_size ? old_size : new_size);
    munmap(at, old_size);
    return to;
#else
    (void)ctx;
    void *to = mremap(at, old_size, new_size, MREMAP_MAYMOVE);
    return to == MAP_FAILED ? NULL : to;
#endif
}

static void sys_huge(void *ctx, void *at, size_t size)
{
    (void)ctx;
    madvise(at, size, MADV_HUGEPAGE);
}

const mid_os mid_os_default = {
    .reserve = sys_reserve,
    .commit = sys_commit,
    .decommit = sys_decommit,
    .release = sys_release,
    .map = sys_map,
    .remap = sys_remap,
    .unmap = sys_release,
    .advise_huge = sys_huge,
};

static int membarrier(int command)
{
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

bool mid_barriers_open(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

void mid_all_threads_barrier(void)
{
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void mid_yield(void)
{
    sched_yield();
}

bool mid_pages_fit(void)
{
    return sysconf(_SC_PAGESIZE) <= (long)MID_PAGE;
}

static uint64_t nanos(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mid_clock_nanos(void)
{
    return nanos(CLOCK_MONOTONIC);
}

uint64_t mid_clock_micros(void)
{
    return mid_clock_nanos() / 1000;
}

uint64_t mid_thread_cpu_nanos(void)
{
    return nanos(CLOCK_THREAD_CPUTIME_ID);
}
