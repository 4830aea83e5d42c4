/* tests/unit/fault_os.c: see fault_os.h. */
#include "fault_os.h"

#include <sys/mman.h>

static void enter(struct fault_os *fault)
{
    if (__atomic_exchange_n(&fault->inside, 1, __ATOMIC_ACQUIRE) != 0)
        fault->violations++;
}

static void leave(struct fault_os *fault)
{
    __atomic_store_n(&fault->inside, 0, __ATOMIC_RELEASE);
}

static int refused(struct fault_os *fault)
{
    fault->calls++;
    int now = fault->fail_at != 0 && (fault->for_good ? fault->calls >= fault->fail_at : fault->calls == fault->fail_at);
    fault->failed += (size_t)now;
    return now;
}

static struct fault_region *region_of(struct fault_os *fault, const char *at, size_t size)
{
    for (size_t i = 0; i < FAULT_REGIONS; i++) {
        struct fault_region *region = &fault->regions[i];
        if (region->size != 0 && at >= region->at && at + size <= region->at + region->size)
            return region;
    }
    fault->violations++;
    return NULL;
}

static void *os_reserve(void *ctx, size_t size, size_t align)
{
    struct fault_os *fault = ctx;
    enter(fault);
    char *at = NULL;
    struct fault_region *free_region = NULL;
    for (size_t i = 0; i < FAULT_REGIONS && free_region == NULL; i++)
        if (fault->regions[i].size == 0)
            free_region = &fault->regions[i];
    if (size == 0 || size % (64u << 10) != 0 || align % (64u << 10) != 0)
        fault->violations++;
    if (!refused(fault) && free_region != NULL) {
        char *raw = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (raw != MAP_FAILED) {
            size_t before = align != 0 ? (align - (uintptr_t)raw % align) % align : 0;
            at = raw + before;
            if (before != 0)
                munmap(raw, before);
            if (align - before != 0)
                munmap(at + size, align - before);
            *free_region = (struct fault_region){at, size, calloc(size / FAULT_GRANULE, 1)};
            fault->reserved += size;
        }
    }
    leave(fault);
    return at;
}

/* Note granules as committed or not; returns how many bytes changed. */
static size_t note(struct fault_os *fault, struct fault_region *region, char *at, size_t size, unsigned char state)
{
    size_t changed = 0, first = (size_t)(at - region->at) / FAULT_GRANULE;
    if ((size_t)(at - region->at) % FAULT_GRANULE != 0 || size % FAULT_GRANULE != 0)
        fault->violations++;
    for (size_t i = first; i < first + size / FAULT_GRANULE; i++) {
        changed += region->committed[i] != state ? FAULT_GRANULE : 0;
        region->committed[i] = state;
    }
    return changed;
}

static bool os_commit(void *ctx, void *at, size_t size)
{
    struct fault_os *fault = ctx;
    enter(fault);
    struct fault_region *region = region_of(fault, at, size);
    bool done = !refused(fault) && region != NULL && mprotect(at, size, PROT_READ | PROT_WRITE) == 0;
    if (done)
        fault->committed += note(fault, region, at, size, 1);
    leave(fault);
    return done;
}

static void os_decommit(void *ctx, void *at, size_t size)
{
    struct fault_os *fault = ctx;
    enter(fault);
    struct fault_region *region = region_of(fault, at, size);
    if (region != NULL) {
        fault->committed -= note(fault, region, at, size, 0);
        if (madvise(at, size, MADV_DONTNEED) != 0 || mprotect(at, size, PROT_READ) != 0)
            fault->violations++;
    }
    leave(fault);
}

static void os_release(void *ctx, void *at, size_t size)
{
    struct fault_os *fault = ctx;
    enter(fault);
    struct fault_region *region = region_of(fault, at, size);
    if (region != NULL && region->at == at && region->size == size) {
        fault->committed -= note(fault, region, at, size, 0);
        fault->reserved -= size;
        munmap(at, size);
        free(region->committed);
        memset(region, 0, sizeof *region);
    } else {
        fault->violations++;
    }
    leave(fault);
}

static void *os_map(void *ctx, size_t size)
{
    struct fault_os *fault = ctx;
    enter(fault);
    void *at = NULL;
    if (size == 0 || size % 4096 != 0)
        fault->violations++;
    if (!refused(fault)) {
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        at = at == MAP_FAILED ? NULL : at;
        fault->mapped += at != NULL ? size : 0;
        fault->mappings += at != NULL;
    }
    leave(fault);
    return at;
}

static void *os_remap(void *ctx, void *at, size_t old_size, size_t new_size)
{
    struct fault_os *fault = ctx;
    enter(fault);
    void *moved = NULL;
    if (old_size % 4096 != 0 || new_size % 4096 != 0 || new_size == 0)
        fault->violations++;
    if (!refused(fault)) {
        moved = mremap(at, old_size, new_size, MREMAP_MAYMOVE);
        moved = moved == MAP_FAILED ? NULL : moved;
        fault->mapped += moved != NULL ? new_size - old_size : 0;
        fault->remaps += moved != NULL;
    }
    leave(fault);
    return moved;
}

static void os_unmap(void *ctx, void *at, size_t size)
{
    struct fault_os *fault = ctx;
    enter(fault);
    munmap(at, size);
    fault->mapped -= size;
    fault->mappings--;
    leave(fault);
}

void fault_os_init(struct fault_os *fault)
{
    memset(fault, 0, sizeof *fault);
    fault->os = (mid_os){.reserve = os_reserve, .commit = os_commit, .decommit = os_decommit, .release = os_release,
                         .map = os_map, .remap = os_remap, .unmap = os_unmap, .ctx = fault};
}

void fault_os_done(struct fault_os *fault)
{
    assert_int_equal(fault->reserved, 0);
    assert_int_equal(fault->committed, 0);
    assert_int_equal(fault->mapped, 0);
    assert_int_equal(fault->mappings, 0);
    assert_int_equal(fault->violations, 0);
    for (size_t i = 0; i < FAULT_REGIONS; i++)
        free(fault->regions[i].committed);
    memset(fault, 0, sizeof *fault);
}
