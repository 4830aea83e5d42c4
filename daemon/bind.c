/* daemon/bind.c: sockets to listen on: of the loopback interface; or at a path, where endpoint.c makes them. */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http.h"

#define BACKLOG 16

static mid_status refused(mid_bound *into)
{
    int error = errno;
    mid_endpoint_close(&into->at, false);
    errno = error;
    return error == EADDRINUSE ? MID_EBUSY : MID_ESYSTEM;
}

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
    int on = 1, fd = into->at.fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || bind(fd, name, size) != 0 ||
        listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&got, &room) != 0)
        return refused(into);
    into->port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&got)->sin_port : ((struct sockaddr_in6 *)&got)->sin6_port);
    return MID_OK;
}

/* An address that cannot be is one thing here, and what is in the way another. */
static mid_status bind_path(const char *path, mid_bound *into)
{
    mid_status status = mid_endpoint_open(&into->at, path);
    return status == MID_ESIZE ? MID_EINVAL : status == MID_EINVAL ? MID_EBUSY : status;
}

mid_status mid_http_bind(const char *address, mid_bound *into)
{
    uint16_t port;
    *into = (mid_bound){.at.fd = -1};
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
