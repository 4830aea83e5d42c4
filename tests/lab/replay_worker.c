/* replay_worker.c: replays a plan on the one back end that it is compiled with (REPLAY_BACK_END) and prints what it
 * measured, a line a figure, for `midden replay` to put together.
 *
 * One thread, in recorded order. A program touches its memory: every 64-byte line of a block is written when it is
 * made, and TOUCH blocks chosen by a fixed generator are read after each operation. The first and the last byte of a
 * block are stamped with its number and checked whenever it is read or let go, so a replay also shows that
 * blocks arrive whole where they are moved. Then, for IDLE seconds, the program sleeps and is only watched. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include REPLAY_BACK_END

#define LINE 64
#define SAMPLES 2000
#define IDLE_SAMPLES 200

typedef struct sample {
    uint64_t operation, nanos, live_bytes, resident;
} sample;

typedef struct run {
    double touch, idle;
    bool time_calls;
    uint64_t live_bytes, baseline, peak_net, seed, reads;
    uint64_t wall_from, cpu_from;
    size_t samples;
    int statm;
} run;

replay_state replay;
static sample samples[SAMPLES + IDLE_SAMPLES + 2];

static uint64_t nanos(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t replay_wall(void)
{
    return nanos(CLOCK_MONOTONIC);
}

void replay_pause_begin(void)
{
    replay.pause_wall_from = replay_wall();
    replay.pause_cpu_from = nanos(CLOCK_THREAD_CPUTIME_ID);
}

void replay_pause_end(void)
{
    histogram_add(&replay.pause_cpu, nanos(CLOCK_THREAD_CPUTIME_ID) - replay.pause_cpu_from);
    histogram_add(&replay.pause_wall, replay_wall() - replay.pause_wall_from);
}

__attribute__((noreturn)) static void die(const char *what, uint64_t operation)
{
    fprintf(stderr, "midden replay: operation %" PRIu64 ": %s\n", operation, what);
    exit(1);
}

static uint64_t resident(const run *of)
{
    char text[128] = "";
    unsigned long long total, pages = 0;
    if (pread(of->statm, text, sizeof text - 1, 0) <= 0 || sscanf(text, "%llu %llu", &total, &pages) != 2)
        die("cannot read the process's size", 0);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void take_sample(run *of, uint64_t operation)
{
    uint64_t now = resident(of), net = now > of->baseline ? now - of->baseline : 0;
    if (of->peak_net < net)
        of->peak_net = net;
    samples[of->samples++] = (sample){operation, replay_wall() - of->wall_from, of->live_bytes, net};
}

static unsigned char stamp(uint32_t block)
{
    return (unsigned char)(block * 167u + 13u);
}

static void write_lines(unsigned char *bytes, uint64_t from, uint64_t size, unsigned char value)
{
    for (uint64_t at = from; at < size; at += LINE)
        bytes[at] = value;
    if (size != 0)
        bytes[0] = bytes[size - 1] = value;
}

static bool is_stamped(const replay_slot *slot, uint32_t block)
{
    const unsigned char *bytes = replay_bytes(slot);
    return slot->size == 0 || (bytes[0] == stamp(block) && bytes[slot->size - 1] == stamp(block));
}

static void read_some(run *of, uint64_t operation)
{
    static double owed;
    for (owed += of->touch; owed >= 1; owed -= 1) {
        of->seed ^= of->seed << 13;
        of->seed ^= of->seed >> 7;
        of->seed ^= of->seed << 17;
        uint32_t block = (uint32_t)((of->seed >> 32) * replay.plan->blocks >> 32);
        if (replay.slots[block].reference == 0)
            continue;
        of->reads++;
        if (!is_stamped(&replay.slots[block], block))
            die("a block does not hold what was written to it", operation);
    }
}

static void call(replay_slot *slot, const plan_op *op, uint64_t operation)
{
    bool ok = true;
    if (op->kind == PLAN_ALLOC)
        ok = replay_alloc(slot, op);
    else if (op->kind == PLAN_RESIZE)
        ok = replay_resize(slot, op->size);
    else
        replay_drop(slot);
    if (!ok)
        die("the heap has no memory for it", operation);
}

static void timed_call(replay_slot *slot, const plan_op *op, uint64_t operation)
{
    uint64_t from = replay_wall();
    replay_poll();
    call(slot, op, operation);
    histogram_add(&replay.call, replay_wall() - from);
}

static void step(run *of, uint64_t operation)
{
    const plan_op *op = &replay.plan->ops[operation];
    replay_slot *slot = &replay.slots[op->block];
    uint64_t old = slot->size;
    if (op->kind != PLAN_ALLOC && !is_stamped(slot, op->block))
        die("a block does not hold what was written to it", operation);
    if (of->time_calls) {
        timed_call(slot, op, operation);
    } else {
        replay_poll();
        call(slot, op, operation);
    }
    of->live_bytes += op->size - old;
    slot->size = op->size;
    if (op->kind != PLAN_FREE)
        write_lines(replay_bytes(slot), old < op->size ? old : op->size, op->size, stamp(op->block));
    read_some(of, operation);
}

static void run_plan(run *of)
{
    uint64_t count = replay.plan->operations, every = (count + SAMPLES - 1) / SAMPLES, next = every;
    of->cpu_from = nanos(CLOCK_PROCESS_CPUTIME_ID);
    of->wall_from = replay_wall();
    take_sample(of, 0);
    for (uint64_t i = 0; i < count; i++) {
        step(of, i);
        if (i + 1 == next) {
            take_sample(of, next);
            next += every;
        }
    }
    if (samples[of->samples - 1].operation != count)
        take_sample(of, count);
}

/* What a heap does of its own accord while the program waits for something. */
static void idle(run *of)
{
    uint64_t length = (uint64_t)(of->idle * 1e9), from = replay_wall();
    struct timespec step = {(time_t)(length / IDLE_SAMPLES / 1000000000u), (long)(length / IDLE_SAMPLES % 1000000000u)};
    if (length == 0)
        return;
    replay_sleep_begin();
    for (int i = 0; i < IDLE_SAMPLES && replay_wall() - from < length; i++) {
        nanosleep(&step, NULL);
        take_sample(of, replay.plan->operations);
    }
    replay_sleep_end();
}

static void print_histogram(const char *name, const histogram *of)
{
    printf("quantiles %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", name, of->count,
           of->total, histogram_quantile(of, 500), histogram_quantile(of, 990), histogram_quantile(of, 999), of->max);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (of->buckets[i] != 0)
            printf("bucket %s %" PRIu64 " %" PRIu64 "\n", name, histogram_end(i), of->buckets[i]);
}

static bool print_run(const run *of, uint64_t wall, uint64_t cpu)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (of->time_calls) {
        print_histogram("call", &replay.call);
        return true;
    }
    for (size_t i = 0; i < of->samples; i++)
        printf("sample %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", samples[i].operation, samples[i].nanos,
               samples[i].live_bytes, samples[i].resident);
    printf("time %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", wall, cpu, (uint64_t)(of->idle * 1e9));
    printf("memory %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", of->live_bytes, of->peak_net,
           (uint64_t)usage.ru_maxrss * 1024);
    printf("reads %" PRIu64 "\n", of->reads);
    print_histogram("pause", &replay.pause_wall);
    print_histogram("pause_cpu", &replay.pause_cpu);
    return replay_figures();
}

/* Everything that is not the heap is mapped and touched before the heap is opened. */
static bool map_plan(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0 || (uint64_t)found.st_size < sizeof(plan))
        return false;
    void *at = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        return false;
    replay.plan = at;
    size_t bytes = ((size_t)replay.plan->blocks + 1) * sizeof(replay_slot);
    replay.slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return replay.slots != MAP_FAILED;
}

int main(int argc, char **argv)
{
    if (argc != 6 || !map_plan(atoi(argv[1]))) {
        fprintf(stderr, "%s is run by `midden replay`: PLAN-FD TOUCH IDLE VARIANT run|calls\n", argv[0]);
        return 2;
    }
    run now = {.touch = atof(argv[2]), .idle = atof(argv[3]), .time_calls = strcmp(argv[5], "calls") == 0,
               .seed = 0x9E3779B97F4A7C15u};
    memset(samples, 0, sizeof samples);
    now.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    resident(&now); /* stdio's own pages come before the baseline */
    now.baseline = resident(&now);
    if (!replay_open(argv[4])) {
        fprintf(stderr, "midden replay: the heap has no variant \"%s\", or did not open\n", argv[4]);
        return 1;
    }
    run_plan(&now);
    uint64_t wall = replay_wall() - now.wall_from, cpu = nanos(CLOCK_PROCESS_CPUTIME_ID) - now.cpu_from;
    if (!now.time_calls)
        idle(&now);
    return print_run(&now, wall, cpu) && fflush(stdout) == 0 ? 0 : 1;
}
