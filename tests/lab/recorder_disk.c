/* recorder_disk.c: the file itself: its name, its descriptor, its growth. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorder.h"

#define PATH_ROOM 4096

static char base_path[PATH_ROOM], path[PATH_ROOM + 32];
static int file = -1;
static dev_t file_dev;
static ino_t file_ino;

const char *recorder_path(void)
{
    return path;
}

/* Extend the file by the chunk at `offset`. 0 or an errno. */
static int grow(off_t offset)
{
    int status;
    do
        status = fallocate(file, 0, offset, TRACE_CHUNK) == 0 ? 0 : errno;
    while (status == EINTR);
    if (status != EOPNOTSUPP && status != ENOSYS)
        return status;
    static const char zeros[TRACE_CHUNK];
    for (size_t done = 0; done < TRACE_CHUNK;) {
        ssize_t wrote = pwrite(file, zeros + done, TRACE_CHUNK - done, offset + (off_t)done);
        if (wrote < 0 && errno != EINTR)
            return errno;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

/* A file that outgrows RLIMIT_FSIZE raises SIGXFSZ in the thread that extends it; the program must not see it. */
static int grow_quietly(off_t offset)
{
    sigset_t xfsz, before, pending;
    sigemptyset(&xfsz);
    sigaddset(&xfsz, SIGXFSZ);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &xfsz, &before);
    int status = grow(offset);
    if (status == EFBIG && !sigismember(&pending, SIGXFSZ)) {
        static const struct timespec none;
        while (sigtimedwait(&xfsz, NULL, &none) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* Move the descriptor out of the way of programs that expect low numbers. */
static int keep_high(int fd)
{
    struct rlimit limit;
    int floor = 900;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1024)
        floor = (int)(limit.rlim_cur * 3 / 4);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, floor);
    if (high < 0)
        return fd;
    close(fd);
    return high;
}

/* The program may have closed the descriptor, or put another file in its place. */
static bool still_ours(void)
{
    struct stat found;
    return file >= 0 && fstat(file, &found) == 0 && found.st_dev == file_dev && found.st_ino == file_ino;
}

static bool have_file(void)
{
    struct stat found;
    if (still_ours())
        return true;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    if (fstat(fd, &found) != 0 || found.st_dev != file_dev || found.st_ino != file_ino) {
        close(fd);
        errno = ESTALE;
        return false;
    }
    file = keep_high(fd);
    return true;
}

void *recorder_chunk(uint64_t number, int *error)
{
    off_t offset = (off_t)(number * TRACE_CHUNK);
    *error = have_file() ? grow_quietly(offset) : errno;
    if (*error != 0)
        return NULL;
    void *at = mmap(NULL, TRACE_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
    *error = at != MAP_FAILED ? 0 : errno;
    return at != MAP_FAILED ? at : NULL;
}

/* The name is the one asked for, for the first process; for the others it ends in their process number, and in
 * a further number after each exec. */
int recorder_create(bool first)
{
    if (still_ours())
        close(file); /* a parent's */
    struct stat made;
    for (unsigned attempt = 0; attempt < 10000; attempt++) {
        if (first && attempt == 0)
            snprintf(path, sizeof path, "%s", base_path);
        else if (attempt <= 1)
            snprintf(path, sizeof path, "%s.%d", base_path, (int)getpid());
        else
            snprintf(path, sizeof path, "%s.%d.%u", base_path, (int)getpid(), attempt - 1);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd >= 0 && fstat(fd, &made) == 0) {
            file = keep_high(fd);
            file_dev = made.st_dev;
            file_ino = made.st_ino;
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    return errno;
}

/* libc's environment is not set up yet when the first allocations of a process come from its loader. */
static bool path_from_kernel(void)
{
    static char text[65536];
    static const char key[] = "MIDDEN_RECORD=";
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t length = 0;
    for (ssize_t got; length < sizeof text - 1; length += (size_t)got)
        if ((got = read(fd, text + length, sizeof text - 1 - length)) <= 0)
            break;
    close(fd);
    for (const char *item = text; item < text + length; item += strlen(item) + 1)
        if (strncmp(item, key, sizeof key - 1) == 0)
            return snprintf(base_path, sizeof base_path, "%s", item + sizeof key - 1) < PATH_ROOM;
    return false;
}

bool recorder_wanted(void)
{
    const char *wanted = environ != NULL ? getenv("MIDDEN_RECORD") : NULL;
    if (wanted != NULL)
        return snprintf(base_path, sizeof base_path, "%s", wanted) < PATH_ROOM && base_path[0] != 0;
    return path_from_kernel() && base_path[0] != 0;
}
