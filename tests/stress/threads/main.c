/* tests/stress/threads/main.c: the program: options, the threads and their successors, what a failure prints. */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "threads.h"
#include "tests/stress/delay.h"
#include "tests/stress/main.h"

enum { HANG_SECONDS = 120 };

struct many many = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
_Thread_local struct worker *self;

uint64_t random64(void)
{
    return random_next(&self->rng);
}

struct mutator *mutator_of(mid_thread *thread)
{
    mid_heap *heap = mid_thread_heap(thread);
    for (unsigned n = 0; n < WORLDS; n++) {
        if (many.worlds[n].heap == heap)
            return &self->on[n];
    }
    fail("a thread of no heap");
}

/* Where a sanitizer is linked in it can tell the way here. */
void __sanitizer_print_stack_trace(void) __attribute__((weak));

static int where(char *into, size_t room)
{
    return snprintf(into, room, "MISMATCH: seed %" PRIu64 ", mode %s, thread %u, operation %" PRIu64 " (%s): ", many.seed,
                    mode_names[many.mode], self->number, (uint64_t)atomic_load_explicit(&self->op, memory_order_relaxed),
                    atomic_load_explicit(&self->doing, memory_order_relaxed));
}

void fail(const char *format, ...)
{
    char line[600];
    int length = where(line, sizeof line);
    va_list args;
    va_start(args, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length, format, args);
    va_end(args);
    printf("%s\n", line);
    fflush(stdout);
    if (__sanitizer_print_stack_trace != NULL)
        __sanitizer_print_stack_trace();
    _exit(1);
}

static void on_crash(int number)
{
    char line[240];
    int length = where(line, sizeof line - 40);
    length += snprintf(line + length, 40, "%s\n", strsignal(number));
    if (write(STDOUT_FILENO, line, (size_t)length) != length)
        _exit(2);
    _exit(1);
}

/* --- options ----------------------------------------------------------------------------------------------------- */

static void usage(int status)
{
    fprintf(status == 0 ? stdout : stderr,
            "usage: stress-threads [--seed N] [--threads N] [--ops N] [--seconds N] [--mode plain|gc-every-safepoint|daemon|steps]\n"
            "                      [--heap-limit BYTES]\n");
    exit(status);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"threads", required_argument, NULL, 't'},
        {"ops", required_argument, NULL, 'o'},  {"seconds", required_argument, NULL, 'd'},
        {"mode", required_argument, NULL, 'm'}, {"heap-limit", required_argument, NULL, 'h'},
        {"help", no_argument, NULL, '?'},       {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's': many.seed = number(optarg); break;
        case 't': many.threads = (unsigned)number(optarg); break;
        case 'o': many.ops = number(optarg); break;
        case 'd': many.seconds = number(optarg); break;
        case 'm':
            if (!mode_of(optarg, &many.mode))
                usage(2);
            break;
        case 'h': many.heap_limit = number(optarg); break;
        default: usage(optopt != 0 ? 2 : 0);
        }
    }
    if (optind != argc || many.threads == 0 || many.threads > THREADS_MAX)
        usage(2);
    if (many.ops == 0 && many.seconds == 0)
        many.ops = 50000;
}

/* --- the threads ------------------------------------------------------------------------------------------------- */

static void spawn(struct worker *w)
{
    atomic_store_explicit(&w->over, false, memory_order_relaxed);
    if (pthread_create(&w->id, NULL, worker_main, w) != 0)
        fail("pthread_create failed");
}

static uint64_t operations(void)
{
    uint64_t sum = 0;
    for (unsigned n = 0; n < many.threads; n++)
        sum += atomic_load_explicit(&many.workers[n].op, memory_order_relaxed);
    return sum;
}

static uint64_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static void hung(void)
{
    for (unsigned n = 0; n < many.threads; n++)
        printf("  thread %u: operation %" PRIu64 " (%s)\n", n, (uint64_t)atomic_load(&many.workers[n].op),
               atomic_load(&many.workers[n].doing));
    fail("no operation for %d seconds", HANG_SECONDS);
}

/* Waits until a thread has ended, and joins it. Nobody gets on meanwhile: the run has failed. */
static struct worker *next_ended(void)
{
    struct worker *found = NULL;
    uint64_t seen = operations(), since = seconds();
    pthread_mutex_lock(&many.lock);
    while (found == NULL) {
        for (unsigned n = 0; n < many.threads && found == NULL; n++) {
            if (atomic_load_explicit(&many.workers[n].over, memory_order_relaxed))
                found = &many.workers[n];
        }
        if (found != NULL)
            break;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&many.ended, &many.lock, &until);
        if (many.seconds != 0 && seconds() >= many.until)
            atomic_store(&many.stop, true);
        if (operations() != seen) {
            seen = operations();
            since = seconds();
        } else if (seconds() - since > HANG_SECONDS) {
            hung();
        }
    }
    atomic_store_explicit(&found->over, false, memory_order_relaxed);
    pthread_mutex_unlock(&many.lock);
    pthread_join(found->id, NULL);
    return found;
}

static void run_threads(void)
{
    unsigned running = many.threads;
    many.until = seconds() + many.seconds;
    for (unsigned n = 0; n < many.threads; n++)
        spawn(&many.workers[n]);
    while (running != 0) {
        struct worker *w = next_ended();
        if (atomic_load(&many.stop) || (many.ops != 0 && atomic_load(&w->op) >= many.ops))
            running--;
        else
            spawn(w);
        if (many.seconds != 0 && seconds() >= many.until)
            atomic_store(&many.stop, true);
    }
}

static void print_tallies(void)
{
    static const char *const names[T_TALLIES] = {"made", "finalized", "resurrected", "collected", "moved", "stops", "postponed",
                                                 "refused", "killed", "detached", "checks", "transfers", "upgrades"};
    printf("  passed: %" PRIu64 " operations", operations());
    for (unsigned t = 0; t < T_TALLIES; t++) {
        uint64_t sum = 0;
        for (unsigned n = 0; n <= THREADS_MAX; n++)
            sum += many.workers[n].tally[t];
        printf(", %" PRIu64 " %s", sum, names[t]);
    }
    printf("\n");
}

static void prepare(void)
{
    for (unsigned n = 0; n < WORLDS; n++)
        many.worlds[n].number = n;
    for (unsigned n = 0; n <= THREADS_MAX; n++) {
        struct worker *w = &many.workers[n];
        w->number = n;
        w->rng = many.seed * 0xD1342543DE82EF95ull + n * 0x2545F4914F6CDD1Dull;
        atomic_init(&w->doing, "begin");
        for (unsigned i = 0; i < WORLDS; i++)
            w->on[i].world = &many.worlds[i];
    }
}

int main(int argc, char **argv)
{
    many.seed = (uint64_t)time(NULL);
    many.threads = 8;
    parse(argc, argv);
    prepare();
    self = &many.workers[THREADS_MAX];
    printf("stress-threads: --seed %" PRIu64 " --threads %u --ops %" PRIu64 " --seconds %" PRIu64
           " --mode %s --heap-limit %" PRIu64 "\n",
           many.seed, many.threads, many.ops, many.seconds, mode_names[many.mode], many.heap_limit);
    fflush(stdout);
    catch_crashes(on_crash);
    for (unsigned n = 0; n < WORLDS; n++)
        world_open(&many.worlds[n]);
    if (many.mode == MODE_DAEMON && many.worlds[0].daemon == NULL) {
        fprintf(stderr, "stress-threads: built without the daemon, use stress-threads-daemon\n");
        exit(2);
    }
    run_threads();
    atomic_store(&many.closing, true);
    atomic_store(&self->doing, "close");
    for (unsigned n = 0; n < WORLDS; n++)
        world_close(&many.worlds[n]);
    print_tallies();
    delays_end();
    return 0;
}
