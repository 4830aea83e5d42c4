/* daemon/endpoint.c: make the socket, find out whether a file in its place is stale, accept who may connect. */
#include "daemon/endpoint.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 16

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Does anybody answer there? -1: that cannot be told. A full backlog is somebody's. */
static int answered(const struct sockaddr_un *address)
{
    int fd = new_socket();
    if (fd < 0)
        return -1;
    int failed = connect(fd, (const struct sockaddr *)address, sizeof *address), error = errno;
    close(fd);
    errno = error;
    if (failed == 0 || error == EAGAIN || error == EINPROGRESS)
        return 1;
    return error == ECONNREFUSED || error == ENOENT ? 0 : -1;
}

static mid_status make_way(const struct sockaddr_un *address)
{
    struct stat there;
    if (lstat(address->sun_path, &there) != 0)
        return errno == ENOENT ? MID_OK : MID_ESYSTEM;
    if (!S_ISSOCK(there.st_mode))
        return MID_EINVAL;
    int alive = answered(address);
    if (alive != 0)
        return alive > 0 ? MID_EBUSY : MID_ESYSTEM;
    return unlink(address->sun_path) == 0 || errno == ENOENT ? MID_OK : MID_ESYSTEM;
}

/* The file gets the mode that the socket has, less the umask, when it is bound: no moment in which others could connect. */
static mid_status bind_to(int fd, const struct sockaddr_un *address)
{
    if (fchmod(fd, 0600) != 0)
        return MID_ESYSTEM;
    for (int tries = 0; bind(fd, (const struct sockaddr *)address, sizeof *address) != 0; tries++) {
        if (errno != EADDRINUSE || tries == 2) /* another one was quicker, twice */
            return errno == EADDRINUSE ? MID_EBUSY : MID_ESYSTEM;
        mid_status status = make_way(address);
        if (status != MID_OK)
            return status;
    }
    return MID_OK;
}

mid_status mid_endpoint_open(mid_endpoint *e, const char *path)
{
    struct stat made;
    size_t length = strlen(path);
    *e = (mid_endpoint){.fd = -1, .address = {.sun_family = AF_UNIX}};
    if (length == 0)
        return MID_EINVAL;
    if (length >= sizeof e->address.sun_path)
        return MID_ESIZE;
    memcpy(e->address.sun_path, path, length + 1);
    e->fd = new_socket();
    mid_status status = e->fd < 0 ? MID_ESYSTEM : bind_to(e->fd, &e->address);
    if (status == MID_OK && lstat(path, &made) == 0) {
        e->device = made.st_dev;
        e->inode = made.st_ino;
        if (listen(e->fd, BACKLOG) == 0)
            return MID_OK;
    }
    int error = errno;
    mid_endpoint_close(e, status == MID_OK);
    errno = error;
    return status == MID_OK ? MID_ESYSTEM : status;
}

void mid_endpoint_close(mid_endpoint *e, bool remove)
{
    struct stat there;
    if (remove && lstat(e->address.sun_path, &there) == 0 && S_ISSOCK(there.st_mode) && there.st_dev == e->device &&
        there.st_ino == e->inode)
        unlink(e->address.sun_path);
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
    e->address.sun_path[0] = 0;
}

int mid_endpoint_accept(const mid_endpoint *e)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = accept4(e->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0))
        return fd;
    close(fd);
    errno = EACCES;
    return -1;
}
