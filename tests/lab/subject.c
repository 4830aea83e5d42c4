/* subject.c: a program to be recorded, not a test by itself.
 *
 *   subject threads  8 threads (each replaced once) that hand blocks to each other, resize, align, free; then a child of
 *                    fork that frees blocks of its parent's, and one that executes `subject steps`
 *   subject steps    one thread, a fixed sequence
 *   subject sparse   frees most of many blocks, and ends with the rest
 *   subject endless  says "ready", then allocates until it is killed
 *   subject closed   closes every descriptor from 3 up, allocates, then exits without running exit handlers
 *   subject aborts   allocates, then abort()
 *   subject execs    allocates, then becomes `subject steps`
 *   subject bare     as `threads`, the child made by a bare clone that runs no fork handlers */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARED 256
#define ROUNDS 4000
#define THREADS 8

static void *shared[SHARED]; /* taken and put with atomic exchanges, so that blocks change threads */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void *make(uint64_t random)
{
    size_t size = 1 + (random >> 16) % 2000;
    void *made = NULL;
    switch (random % 8) {
    case 0:
        return calloc(size, 1 + random % 3);
    case 1:
        return aligned_alloc(64, (size + 63) / 64 * 64);
    case 2:
        return posix_memalign(&made, 256, size) == 0 ? made : NULL;
    case 3:
        return random % 1024 == 3 ? malloc(300000) : memalign(32, size);
    default:
        return malloc(size);
    }
}

static void *work(void *seed)
{
    uint64_t random = (uintptr_t)seed * 0x9E3779B97F4A7C15ull + 1;
    for (int i = 0; i < ROUNDS; i++) {
        void **cell = &shared[next_random(&random) % SHARED];
        void *mine = __atomic_exchange_n(cell, NULL, __ATOMIC_ACQ_REL);
        if (mine != NULL && random % 3 == 0)
            mine = realloc(mine, 1 + (random >> 20) % 3000);
        else if (mine != NULL && random % 3 == 1)
            free(mine), mine = NULL;
        if (mine == NULL)
            mine = make(next_random(&random));
        free(__atomic_exchange_n(cell, mine, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    for (int round = 0; round < 2; round++) {
        for (intptr_t i = 0; i < THREADS; i++)
            if (pthread_create(&threads[i], NULL, work, (void *)(i + 1 + round * THREADS)) != 0)
                abort();
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
}

static void steps(void)
{
    char *kept[100];
    for (int i = 0; i < 100; i++)
        if ((kept[i] = malloc(1000 + (size_t)i)) == NULL)
            abort();
    for (int i = 0; i < 100; i += 2)
        free(kept[i]);
    for (int i = 1; i < 100; i += 4)
        kept[i] = realloc(kept[i], 5000);
    free(realloc(NULL, 77));
    char *volatile gone = realloc(malloc(10), 0); /* glibc frees it */
    char *volatile refused = realloc(kept[3], (size_t)PTRDIFF_MAX); /* and keeps this one as it was */
    if (gone != NULL || refused != NULL)
        abort();
    memset(kept[3], 1, 1000);
}

static void child_frees(void)
{
    for (int i = 0; i < SHARED; i++) {
        free(shared[i]);
        shared[i] = malloc(100);
    }
    for (int i = 0; i < SHARED; i += 2)
        free(shared[i]);
    _exit(0);
}

static void become(const char *self)
{
    execl(self, self, "steps", (char *)NULL);
    _exit(1);
}

static int finish(pid_t child)
{
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int threads_and_children(const char *self, int bare)
{
    run_threads();
    pid_t child = bare ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
    if (child == 0)
        child_frees();
    if (child < 0 || finish(child) != 0)
        return 1;
    if ((child = fork()) == 0)
        become(self);
    return finish(child);
}

static int endless(void)
{
    uint64_t random = 1;
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        return 1;
    for (;;) {
        void **cell = &shared[next_random(&random) % SHARED];
        free(*cell);
        *cell = malloc(next_random(&random) % 500);
    }
}

static int closed(void)
{
    free(malloc(10));
    for (int fd = 3; fd < 65536; fd++)
        close(fd);
    int other = dup(STDOUT_FILENO);
    run_threads(); /* more than one chunk */
    if (dup2(other, 900) != 900)
        return 1;
    run_threads();
    _exit(7);
}

static void sparse(void)
{
    enum { SMALL = 20000, LARGE = 300 };
    static void *volatile block[SMALL + LARGE];
    for (size_t i = 0; i < SMALL + LARGE; i++)
        block[i] = malloc(i < SMALL ? 600 + i % 3000 : 40000 + i * 997 % 300000);
    for (size_t i = 0; i < SMALL + LARGE; i++)
        if (i % 20 != 0)
            free(block[i]);
}

int main(int argc, char **argv)
{
    const char *mode = argc == 2 ? argv[1] : "";
    if (strcmp(mode, "threads") == 0)
        return threads_and_children(argv[0], 0);
    if (strcmp(mode, "bare") == 0)
        return threads_and_children(argv[0], 1);
    if (strcmp(mode, "endless") == 0)
        return endless();
    if (strcmp(mode, "closed") == 0)
        return closed();
    if (strcmp(mode, "sparse") == 0) {
        sparse();
        return 0;
    }
    if (strcmp(mode, "steps") == 0) {
        steps();
        return 0;
    }
    run_threads();
    if (strcmp(mode, "execs") == 0)
        become(argv[0]);
    if (strcmp(mode, "aborts") == 0)
        abort();
    return 2;
}
