/* daemon/watch.c: the service manager's protocol, MEMORY_PRESSURE_WATCH and MEMORY_PRESSURE_WRITE.
 *
 * A plain file is polled for priority and never read. A FIFO or a socket says "short of memory" by having something to read,
 * which is thrown away. /dev/null: the manager does not want us to listen. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/figures.h"
#include "daemon/sources.h"

#define READ_MOST 16 /* buffers in a turn */
#define WRITE_MOST 4096

static int fail_with(int fd, int error)
{
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

/* For reading and writing: a FIFO that nobody else has open would be at its end all the time. */
static int open_fifo(const char *path)
{
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 ? fd : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static int open_socket(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path)
        return fail_with(-1, ENAMETOOLONG);
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) != 0)
        return fail_with(fd, errno);
    return fd;
}

/* A FIFO that may only be read is at its end when nobody writes; opened anew it is not before somebody has. */
static bool reopened(mid_sources *s, int fd)
{
    struct stat is;
    if (fstat(fd, &is) != 0 || !S_ISFIFO(is.st_mode))
        return false;
    int next = open(s->paths.watch, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool good = next >= 0 && dup3(next, fd, O_CLOEXEC) >= 0;
    if (next >= 0)
        close(next);
    return good;
}

static bool hear(mid_sources *s, mid_ear *ear)
{
    char thrown_away[4096];
    ssize_t got = 1;
    bool any = false;
    for (unsigned i = 0; i < READ_MOST && got > 0; i++) {
        got = read(ear->fd, thrown_away, sizeof thrown_away);
        any = any || got > 0;
    }
    if (any)
        mid_heard(s, MID_WATCH, MID_PRESSURE_COMPACT, false);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    if (got == 0 && reopened(s, ear->fd))
        return true;
    mid_say(s, MID_WATCH, "not heard any more: %s", got == 0 ? "the other end is closed" : strerror(errno));
    return false;
}

/* What is to be written, right after opening. Not into a FIFO: it would come back. -1: errno. */
static int greet(mid_sources *s, int fd)
{
    unsigned char data[WRITE_MOST];
    if (s->paths.watch_write == NULL || s->paths.watch_write[0] == 0)
        return fd;
    long length = mid_figure_base64(s->paths.watch_write, data, sizeof data);
    if (length < 0)
        return fail_with(fd, EBADMSG);
    /* MSG_NOSIGNAL is for sockets; a kernel file takes all of it or nothing. */
    ssize_t sent = send(fd, data, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == ENOTSOCK)
        sent = write(fd, data, (size_t)length);
    return sent == length ? fd : fail_with(fd, sent < 0 ? errno : EIO);
}

static int open_plain(mid_sources *s, const char *path)
{
    bool writes = s->paths.watch_write != NULL && s->paths.watch_write[0] != 0;
    int fd = open(path, (writes ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
    fd = fd < 0 ? fd : greet(s, fd);
    return fd >= 0 && mid_stalls_watch(s, fd) ? 0 : -1;
}

void mid_watch_open(mid_sources *s)
{
    const char *path = s->paths.watch;
    struct stat is;
    int fd = -1;
    if (path == NULL || path[0] == 0)
        return;
    errno = ENOENT;
    if (path[0] != '/') {
        errno = EINVAL; /* the protocol's paths are absolute */
    } else if (stat(path, &is) == 0) {
        if (S_ISCHR(is.st_mode) && is.st_rdev == makedev(1, 3))
            return;
        errno = EINVAL;
        if (S_ISREG(is.st_mode) && (fd = open_plain(s, path)) == 0)
            return;
        if (S_ISFIFO(is.st_mode))
            fd = open_fifo(path);
        if (S_ISSOCK(is.st_mode) && (fd = open_socket(path)) >= 0)
            fd = greet(s, fd);
    }
    if (fd < 0)
        mid_say(s, MID_WATCH, "not heard (%s): %s", strerror(errno), path);
    else if (!mid_ear_open(s, MID_EAR_WATCH, fd, MID_WATCH, hear))
        close(fd);
}
