/* measure.c: see measure.h. Reads /proc with plain read(): stdio would allocate from the heap that is measured. */
#include "measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

uint64_t cpu_ns(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000u;
}

uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The number of kB on the line of a /proc file that starts with `key`; 0 if it cannot be had. */
static uint64_t proc_kb(const char *path, const char *key)
{
    char text[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = 0;
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

uint64_t rss_bytes(void)
{
    uint64_t kb = proc_kb("/proc/self/smaps_rollup", "\nRss:");
    if (kb == 0)
        kb = proc_kb("/proc/self/status", "\nVmRSS:");
    return kb * 1024;
}

uint64_t peak_rss_bytes(void)
{
    return proc_kb("/proc/self/status", "\nVmHWM:") * 1024;
}

uint64_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    const char *resident = strchr(text, ' '); /* the second of its figures, in pages */
    return resident ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void *driver_array(size_t count, size_t item_size)
{
    size_t bytes = (count * item_size + 4095) & ~(size_t)4095;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        fprintf(stderr, "cannot map %zu bytes for the driver's own arrays\n", bytes);
        exit(3);
    }
    memset(at, 0, bytes);
    return at;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)((double)h->count * share), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (h->bucket[i] == 0 || seen < wanted)
            continue;
        uint64_t top = i < 32 ? i : (((uint64_t)(32 + i % 32 + 1)) << (i / 32 - 1)) - 1;
        return top < h->max ? top : h->max;
    }
    return h->max;
}

void long_calls_add(struct long_calls *calls, uint64_t from, uint64_t to)
{
    if (calls->count < MANY_CALLS) {
        calls->ends[calls->count][0] = from;
        calls->ends[calls->count][1] = to;
    }
    calls->count++;
    calls->ns += to - from;
}

/* The worst window ends with one of them: one that ends in the middle gets no better when it is moved on to the end, one that ends
 * outside gets no better when it is moved back to the end of the last. `in` is what those from `first` on took, up to this one. */
double long_calls_mmu(const struct long_calls *calls, uint64_t window)
{
    uint64_t worst = 0, in = 0, first = 0;
    for (uint64_t i = 0; i < calls->count; i++) {
        uint64_t end = calls->ends[i][1], begin = end - window;
        in += end - calls->ends[i][0];
        for (; calls->ends[first][1] <= begin; first++)
            in -= calls->ends[first][1] - calls->ends[first][0];
        uint64_t before = calls->ends[first][0] < begin ? begin - calls->ends[first][0] : 0;
        if (in - before > worst)
            worst = in - before;
    }
    return 1 - (double)worst / (double)window;
}

void histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}
