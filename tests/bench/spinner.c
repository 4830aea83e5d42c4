/* spinner.c: see spinner.h. Between phases the thread sleeps. */
#include "spinner.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_bool wanted, spinning;
static bool started;
static clockid_t clock_of;
static struct histogram gaps;

static void *spin(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!atomic_load(&wanted))
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        histogram_clear(&gaps);
        atomic_store(&spinning, true);
        uint64_t last = now_ns();
        while (atomic_load_explicit(&wanted, memory_order_relaxed)) {
            uint64_t now = now_ns();
            if (now - last >= SPINNER_GAP_NS)
                histogram_add(&gaps, now - last);
            last = now;
        }
        atomic_store(&spinning, false);
    }
    return NULL;
}

void spinner_start(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, spin, NULL) != 0 || pthread_getcpuclockid(thread, &clock_of) != 0) {
        fprintf(stderr, "worker: the spinner could not be started\n");
        exit(3);
    }
    started = true;
}

void spinner_begin(void)
{
    if (!started)
        return;
    pthread_mutex_lock(&lock);
    atomic_store(&wanted, true);
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    while (!atomic_load(&spinning))
        sched_yield();
}

const struct histogram *spinner_end(void)
{
    if (!started)
        return NULL;
    atomic_store(&wanted, false);
    while (atomic_load(&spinning))
        sched_yield();
    return &gaps;
}

uint64_t spinner_cpu_ns(void)
{
    struct timespec t = {0};
    if (started)
        clock_gettime(clock_of, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
