/* daemon/signals.c: SIGUSR1 and SIGUSR2, for all daemons of the process.
 *
 * A handler belongs to the process and a daemon to a heap, so the handler writes to a descriptor of each. A program that
 * has handlers of its own keeps them. A descriptor may be closed only when no handler can still be about to write to it: its
 * number might be somebody else's by then. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/sources.h"

#define SLOTS 64
#define SILENT (-1)
#define SECOND (UINT64_C(1) << 32) /* added for SIGUSR2; for SIGUSR1 it is 1 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int taken;            /* under lock */
static int slots[SLOTS];     /* atomic: descriptor + 1; 0: free; SILENT: taken, and without one */
static unsigned under_way;   /* atomic: handlers */
static const int numbers[] = {SIGUSR1, SIGUSR2};

static void on_signal(int number)
{
    int error = errno;
    uint64_t add = number == SIGUSR2 ? SECOND : 1;
    __atomic_fetch_add(&under_way, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < SLOTS; i++) {
        int fd = __atomic_load_n(&slots[i], __ATOMIC_SEQ_CST) - 1;
        if (fd >= 0 && write(fd, &add, sizeof add) < 0)
            continue; /* the counter is full: it has been heard */
    }
    __atomic_fetch_sub(&under_way, 1, __ATOMIC_SEQ_CST);
    errno = error;
}

/* Only where there is none. */
static int install(void)
{
    struct sigaction ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, theirs;
    sigemptyset(&ours.sa_mask);
    for (unsigned i = 0; i < 2; i++)
        if (sigaction(numbers[i], NULL, &theirs) != 0 || (theirs.sa_flags & SA_SIGINFO) != 0 || theirs.sa_handler != SIG_DFL) {
            errno = EBUSY;
            return -1;
        }
    for (unsigned i = 0; i < 2; i++)
        sigaction(numbers[i], &ours, NULL);
    return 0;
}

/* Unless the program has put its own there meanwhile. */
static void remove_ours(void)
{
    struct sigaction now, none = {.sa_handler = SIG_DFL};
    for (unsigned i = 0; i < 2; i++)
        if (sigaction(numbers[i], NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == on_signal)
            sigaction(numbers[i], &none, NULL);
}

int mid_signals_open(int *slot)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -1;
    pthread_mutex_lock(&lock);
    int free_one = 0;
    while (free_one < SLOTS && __atomic_load_n(&slots[free_one], __ATOMIC_SEQ_CST) != 0)
        free_one++;
    int error = free_one == SLOTS ? EMFILE : taken == 0 && install() != 0 ? errno : 0;
    if (error == 0) {
        taken++;
        __atomic_store_n(&slots[free_one], fd + 1, __ATOMIC_SEQ_CST);
        *slot = free_one;
    }
    pthread_mutex_unlock(&lock);
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

void mid_signals_close(int slot)
{
    pthread_mutex_lock(&lock);
    __atomic_store_n(&slots[slot], 0, __ATOMIC_SEQ_CST);
    if (--taken == 0)
        remove_ours();
    pthread_mutex_unlock(&lock);
    while (__atomic_load_n(&under_way, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
}

/* The slot stays taken until it is closed. What was under way was under way in other threads, which are not here; the lock may
 * have been theirs. */
void mid_signals_forked(int slot)
{
    pthread_mutex_init(&lock, NULL);
    __atomic_store_n(&under_way, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slots[slot], SILENT, __ATOMIC_SEQ_CST);
}

bool mid_signals_hear(mid_sources *s, mid_ear *ear)
{
    uint64_t count;
    if (read(ear->fd, &count, sizeof count) == sizeof count)
        mid_heard(s, MID_SIGNALS, count >= SECOND ? MID_PRESSURE_EVERYTHING : MID_PRESSURE_COMPACT, false);
    return true;
}
