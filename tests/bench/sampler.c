/* sampler.c: see sampler.h. Between phases the thread sleeps. */
#include "sampler.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "spinner.h"

enum { EVERY_NS = 4000000, POINTS = 1 << 14 };

struct point {
    uint64_t at, resident; /* nanoseconds since the phase began */
    uint64_t cpu;          /* of the background, since the process began */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool started, looking;
static clockid_t clock_of, clock_of_program;
static struct point *curve;
static size_t points;
static uint64_t every, begin, peak, peak_of_process;

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A phase that outlasts the curve gets a coarser one: every other point goes, and half as many come. */
static void look(void)
{
    if (points == POINTS) {
        for (points = 0; points < POINTS / 2; points++)
            curve[points] = curve[2 * points];
        every *= 2;
    }
    uint64_t resident = resident_bytes();
    uint64_t others = read_clock(clock_of) + read_clock(clock_of_program) + spinner_cpu_ns();
    curve[points++] = (struct point){now_ns() - begin, resident, read_clock(CLOCK_PROCESS_CPUTIME_ID) - others};
    peak = resident > peak ? resident : peak;
}

static void *sample(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!looking)
            pthread_cond_wait(&changed, &lock);
        look();
        const struct timespec step = {.tv_sec = (time_t)(every / 1000000000), .tv_nsec = (long)(every % 1000000000)};
        pthread_mutex_unlock(&lock);
        nanosleep(&step, NULL);
    }
    return NULL;
}

void sampler_start(void)
{
    pthread_t thread;
    curve = driver_array(POINTS, sizeof *curve);
    if (pthread_create(&thread, NULL, sample, NULL) != 0 || pthread_getcpuclockid(thread, &clock_of) != 0 ||
        pthread_getcpuclockid(pthread_self(), &clock_of_program) != 0) {
        fprintf(stderr, "worker: the sampler could not be started\n");
        exit(3);
    }
    started = true;
}

void sampler_begin(void)
{
    if (!started)
        return;
    pthread_mutex_lock(&lock);
    every = EVERY_NS;
    points = 0;
    peak = 0;
    peak_of_process = peak_rss_bytes();
    begin = now_ns();
    look();
    looking = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static uint64_t net_of(uint64_t resident, uint64_t baseline)
{
    return resident > baseline ? resident - baseline : 0;
}

/* Clocks are read one after the other, so that what is left for the background may go back by some microseconds. */
static void summarise(uint64_t baseline, uint64_t more_ns, struct sampled *sampled)
{
    uint64_t last = curve[points - 1].resident, near = net_of(last, baseline) / 50;
    double sum = (double)net_of(last, baseline) * (double)more_ns;
    for (size_t i = 1; i < points; i++)
        sum += (double)(net_of(curve[i - 1].resident, baseline) + net_of(curve[i].resident, baseline)) / 2 *
               (double)(curve[i].at - curve[i - 1].at);
    size_t settled = points - 1;
    while (settled > 0 && curve[settled - 1].resident <= last + near && curve[settled - 1].resident + near >= last)
        settled--;
    *sampled = (struct sampled){.peak = net_of(peak, baseline), .byte_seconds = sum / 1e9};
    if (settled > 0) {
        sampled->settle_ns = curve[settled].at;
        sampled->settle_cpu = curve[settled].cpu > curve[0].cpu ? curve[settled].cpu - curve[0].cpu : 0;
    }
}

/* The kernel knows of a peak between two looks, if it is the process's highest. */
bool sampler_end(uint64_t baseline, uint64_t more_ns, struct sampled *sampled)
{
    if (!started)
        return false;
    pthread_mutex_lock(&lock);
    look();
    looking = false;
    uint64_t highest = peak_rss_bytes();
    if (highest > peak_of_process && highest > peak)
        peak = highest;
    summarise(baseline, more_ns, sampled);
    pthread_mutex_unlock(&lock);
    return true;
}

uint64_t sampler_cpu_ns(void)
{
    return started ? read_clock(clock_of) : 0;
}
