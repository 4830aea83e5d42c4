/* recorder_file.c: the trace file of this process, and the lanes that its threads write to.
 *
 * The file is mapped shared, a chunk a lane, so that what was recorded is in the file at once: nothing has to be
 * flushed before exec, _exit, abort or SIGKILL. Space is allocated before it is mapped; a full disk is an
 * error here and never a SIGBUS. Threads share LANES lanes by their number, each under a spin lock.
 *
 * A child of fork (or of a bare clone) is told by a page that the kernel wipes on fork: it begins a file of its own. A
 * vfork child runs in its parent's memory and is rightly recorded there. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "recorder.h"

#define LANES 16

typedef struct lane {
    uint32_t lock;
    uint32_t thread;     /* of the last record */
    trace_chunk *chunk;  /* mapped; null: the lane has none yet */
    unsigned char *at;   /* where the next record goes */
    uint64_t sequence;   /* of the last record */
    uint64_t address;    /* of the last record */
} __attribute__((aligned(64))) lane;

/* Wiped to zero in a child. */
typedef struct fork_page {
    uint32_t alive; /* this process has begun its file */
    uint32_t lock;  /* beginning it */
} fork_page;

static fork_page *page;
static enum { UNDECIDED, ON, OFF } recording;
static bool began; /* this process or one that it was forked from has a file */
static trace_header *header;
static lane lanes[LANES];
static uint32_t file_lock, threads;
static uint64_t start_monotonic;

static __thread uint32_t thread_number __attribute__((tls_model("initial-exec")));
static __thread bool inside __attribute__((tls_model("initial-exec")));

static void lock(uint32_t *word)
{
    for (unsigned spins = 0; __atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE) != 0; spins++)
        if (spins > 100)
            sched_yield();
}

static void unlock(uint32_t *word)
{
    __atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

static uint64_t nanos(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void stop(const char *what, int error)
{
    if (__atomic_exchange_n(&recording, OFF, __ATOMIC_ACQ_REL) == OFF)
        return;
    char line[5000];
    int length = snprintf(line, sizeof line, "midden-record: %s %s: %s; recording stops here\n", what, recorder_path(),
                          strerrordesc_np(error));
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nobody is left to be told */
}

static void *add_chunk(uint64_t number)
{
    int error;
    void *at = recorder_chunk(number, &error);
    if (at != NULL)
        return at;
    if (header != NULL)
        header->stopped = (uint32_t)error;
    stop(number == 0 ? "cannot write" : "cannot extend", error);
    return NULL;
}

static void fill_header(void)
{
    memcpy(header->magic, TRACE_MAGIC, sizeof header->magic);
    header->version = TRACE_VERSION;
    header->order = TRACE_ORDER;
    header->chunk_size = TRACE_CHUNK;
    header->pointer_bytes = sizeof(void *);
    header->start_nanos = nanos(CLOCK_REALTIME);
    start_monotonic = nanos(CLOCK_MONOTONIC);
    header->pid = (uint32_t)getpid();
    header->parent = (uint32_t)getppid();
    header->flags = began ? TRACE_FORKED : 0;
    header->chunks = 1;
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, header->command, TRACE_COMMAND_MAX) : 0;
    header->command_bytes = got > 0 ? (uint32_t)got : 0;
    if (fd >= 0)
        close(fd);
}

static bool open_page(void)
{
    void *at = mmap(NULL, TRACE_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || madvise(at, TRACE_CHUNK, MADV_WIPEONFORK) != 0)
        return false;
    page = at;
    return true;
}

/* Begin this process's file. In a child of fork nothing of the parent's file is touched but its descriptor and its
 * mappings, which are dropped. */
static bool begin_locked(void)
{
    if (!began && !recorder_wanted()) {
        recording = OFF;
        return false;
    }
    for (unsigned i = 0; i < LANES; i++)
        if (lanes[i].chunk != NULL)
            munmap(lanes[i].chunk, TRACE_CHUNK);
    if (header != NULL)
        munmap(header, TRACE_CHUNK);
    memset(lanes, 0, sizeof lanes);
    header = NULL;
    file_lock = 0;
    int error = recorder_create(!began);
    if (error != 0)
        stop("cannot create", error);
    if (error != 0 || (header = add_chunk(0)) == NULL)
        return false;
    fill_header();
    began = true;
    recording = ON;
    return true;
}

static bool begin(void)
{
    if (page == NULL && !open_page()) {
        stop("cannot tell forks apart for", errno);
        return false;
    }
    lock(&page->lock);
    bool ok = page->alive != 0 || begin_locked();
    __atomic_store_n(&page->alive, ok, __ATOMIC_RELEASE);
    unlock(&page->lock);
    return ok;
}

static bool next_chunk(lane *to)
{
    lock(&file_lock);
    trace_chunk *fresh = NULL;
    if (recording == ON)
        fresh = add_chunk(header->chunks);
    if (fresh != NULL) {
        fresh->magic = TRACE_CHUNK_MAGIC;
        fresh->nanos = nanos(CLOCK_MONOTONIC) - start_monotonic;
        fresh->lane = (uint32_t)(to - lanes);
        fresh->sequence = __atomic_load_n(&header->operations, __ATOMIC_RELAXED);
        __atomic_store_n(&header->chunks, header->chunks + 1, __ATOMIC_RELEASE);
    }
    unlock(&file_lock);
    if (to->chunk != NULL)
        munmap(to->chunk, TRACE_CHUNK);
    to->chunk = fresh;
    if (fresh == NULL)
        return false;
    to->at = (unsigned char *)(fresh + 1);
    to->thread = 0;
    to->address = 0;
    to->sequence = fresh->sequence;
    return true;
}

static unsigned char *varint(unsigned char *at, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *at++ = (unsigned char)(value | 128);
    *at++ = (unsigned char)value;
    return at;
}

static void put(lane *to, trace_op op, uint64_t address, uint64_t size, unsigned align_log2)
{
    unsigned char *at = to->at;
    if (to->thread != thread_number) {
        *at++ = TRACE_THREAD;
        at = varint(at, thread_number);
        to->thread = thread_number;
    }
    uint64_t sequence = __atomic_fetch_add(&header->operations, 1, __ATOMIC_ACQ_REL);
    int64_t step = (int64_t)(address - to->address);
    *at++ = (unsigned char)op;
    at = varint(at, sequence - to->sequence);
    at = varint(at, (uint64_t)step << 1 ^ (uint64_t)(step >> 63));
    if (op != TRACE_FREE && op != TRACE_RESIZE_BEGIN)
        at = varint(at, size);
    if (op == TRACE_ALIGNED)
        at = varint(at, align_log2);
    to->sequence = sequence;
    to->address = address;
    to->at = at;
    __atomic_store_n(&to->chunk->used, (uint32_t)(at - (unsigned char *)(to->chunk + 1)), __ATOMIC_RELEASE);
}

static bool has_room(const lane *of)
{
    return of->chunk != NULL && of->at + TRACE_RECORD_MAX <= (unsigned char *)of->chunk + TRACE_CHUNK;
}

/* What the rare paths call must be neither seen by the program (errno) nor a place where its threads are cancelled. */
static bool rarely(bool (*step)(lane *), lane *with)
{
    int before, error = errno;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    bool ok = step(with);
    pthread_setcancelstate(before, NULL);
    errno = error;
    return ok;
}

static bool begin_step(lane *unused)
{
    (void)unused;
    return begin();
}

void recorder_append(trace_op op, uintptr_t address, size_t size, unsigned align_log2)
{
    if (__atomic_load_n(&recording, __ATOMIC_RELAXED) == OFF)
        return;
    if (inside) {
        if (header != NULL && page->alive)
            __atomic_fetch_add(&header->dropped, 1, __ATOMIC_RELAXED);
        return;
    }
    inside = true;
    if ((page != NULL && __atomic_load_n(&page->alive, __ATOMIC_ACQUIRE)) || rarely(begin_step, NULL)) {
        if (thread_number == 0)
            thread_number = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
        lane *mine = &lanes[thread_number % LANES];
        lock(&mine->lock);
        if (has_room(mine) || rarely(next_chunk, mine))
            put(mine, op, address, size, align_log2);
        unlock(&mine->lock);
    }
    inside = false;
}
