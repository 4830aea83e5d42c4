/* daemon/bind.c: sockets to listen on: of the loopback interface, or Unix sockets of mode 0600. */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/http.h"

#define BACKLOG 16

static int stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static mid_status refused(mid_bound *into)
{
    int error = errno;
    if (into->fd >= 0)
        close(into->fd);
    into->fd = -1;
    errno = error;
    return error == EADDRINUSE ? MID_EBUSY : MID_ESYSTEM;
}

/* --- a path -------------------------------------------------------------------------------------------------------- */

/* A socket whose owner is gone refuses connections. */
static bool abandoned(const struct sockaddr_un *name)
{
    struct stat there;
    if (lstat(name->sun_path, &there) != 0 || !S_ISSOCK(there.st_mode))
        return false;
    int fd = stream(AF_UNIX);
    bool nobody = fd >= 0 && connect(fd, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return nobody;
}

static int bind_and_listen(int fd, const void *name, socklen_t size)
{
    return bind(fd, name, size) == 0 ? listen(fd, BACKLOG) : -1;
}

/* The mode that the socket itself has is that of what appears at the path: there is no moment at which others could connect. */
static mid_status bind_path(const char *path, mid_bound *into)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct stat made;
    if (strlen(path) >= sizeof name.sun_path)
        return MID_EINVAL;
    strcpy(name.sun_path, path);
    into->fd = stream(AF_UNIX);
    if (into->fd < 0 || fchmod(into->fd, S_IRUSR | S_IWUSR) != 0)
        return refused(into);
    if (bind_and_listen(into->fd, &name, sizeof name) != 0) {
        if (errno != EADDRINUSE || !abandoned(&name)) {
            errno = errno == ECONNREFUSED || errno == ENOTSOCK ? EADDRINUSE : errno;
            return refused(into);
        }
        if (unlink(path) != 0 || bind_and_listen(into->fd, &name, sizeof name) != 0)
            return refused(into);
    }
    strcpy(into->path, path);
    if (stat(path, &made) == 0) {
        into->device = made.st_dev;
        into->inode = made.st_ino;
    }
    return MID_OK;
}

/* --- a port of the loopback interface -------------------------------------------------------------------------------- */

/* "HOST:PORT": past the colon; null: it does not begin so. */
static const char *after_host(const char *address, const char *host)
{
    size_t length = strlen(host);
    return strncmp(address, host, length) == 0 && address[length] == ':' ? address + length + 1 : NULL;
}

static bool read_port(const char *text, uint16_t *port)
{
    char *end;
    if (text == NULL || !isdigit((unsigned char)*text))
        return false;
    unsigned long number = strtoul(text, &end, 10);
    *port = (uint16_t)number;
    return *end == 0 && number <= UINT16_MAX;
}

static mid_status bind_port(int family, const void *name, socklen_t size, mid_bound *into)
{
    struct sockaddr_storage got;
    socklen_t room = sizeof got;
    int on = 1;
    into->fd = stream(family);
    if (into->fd < 0 || setsockopt(into->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind_and_listen(into->fd, name, size) != 0 || getsockname(into->fd, (struct sockaddr *)&got, &room) != 0)
        return refused(into);
    into->port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&got)->sin_port : ((struct sockaddr_in6 *)&got)->sin6_port);
    return MID_OK;
}

mid_status mid_http_bind(const char *address, mid_bound *into)
{
    uint16_t port;
    *into = (mid_bound){.fd = -1};
    if (address[0] == '/')
        return bind_path(address, into);
    if (read_port(after_host(address, "[::1]"), &port)) {
        struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        return bind_port(AF_INET6, &name, sizeof name, into);
    }
    if (read_port(after_host(address, "localhost"), &port) || read_port(after_host(address, "127.0.0.1"), &port)) {
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        return bind_port(AF_INET, &name, sizeof name, into);
    }
    return MID_EINVAL;
}

void mid_http_unbind(mid_bound *bound, bool remove)
{
    struct stat there;
    if (bound->fd >= 0)
        close(bound->fd);
    bound->fd = -1;
    if (remove && bound->path[0] != 0 && stat(bound->path, &there) == 0 && there.st_dev == bound->device &&
        there.st_ino == bound->inode)
        unlink(bound->path);
}
