/* subject_ranges.c: what of the heap's own ranges is resident, by the kernel: the heap map names the arenas, /proc/self/pagemap says of
 * each page of them whether it is there. (smaps has sums of whole areas, in which an arena and what lies beside it may be one.) */
#include "subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "gc/service.h"

#define SAMPLES_MOST 4000u
#define EVERY 20000000
#define PAGE 4096u
#define PRESENT (UINT64_C(1) << 63)
#define PAGES_MOST (16384u)

static struct sample {
    uint64_t at, bytes;
} samples[SAMPLES_MOST];
static unsigned count;
static bool ends;
static pthread_t watcher;

/* False: the kernel does not say. */
static bool resident(int pagemap, uint64_t *bytes)
{
    static uint64_t entries[PAGES_MOST];
    static mid_units units;
    *bytes = 0;
    units = (mid_units){0};
    while (mid_service_units(heap, &units)) {
        size_t pages = (size_t)units.count * units.size / PAGE, length = pages * sizeof *entries;
        if (pages > PAGES_MOST || pread(pagemap, entries, length, (off_t)(units.at / PAGE * sizeof *entries)) != (ssize_t)length)
            return false;
        for (size_t i = 0; i < pages; i++)
            *bytes += entries[i] & PRESENT ? PAGE : 0;
    }
    return true;
}

static void *watch(void *nothing)
{
    const struct timespec length = {.tv_nsec = EVERY};
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    for (; pagemap >= 0 && count < SAMPLES_MOST && !__atomic_load_n(&ends, __ATOMIC_ACQUIRE); nanosleep(&length, NULL)) {
        uint64_t at = micros(), bytes;
        if (!resident(pagemap, &bytes))
            break;
        samples[count++] = (struct sample){at, bytes};
    }
    if (pagemap >= 0)
        close(pagemap);
    return nothing;
}

void ranges_watch(void)
{
    if (pthread_create(&watcher, NULL, watch, NULL) != 0)
        exit(1);
}

void ranges_print(void)
{
    __atomic_store_n(&ends, true, __ATOMIC_RELEASE);
    pthread_join(watcher, NULL);
    for (unsigned i = 0; i < count; i++)
        printf("resident %" PRIu64 " %" PRIu64 "\n", samples[i].at, samples[i].bytes);
}
