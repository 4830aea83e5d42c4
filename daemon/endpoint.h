/* daemon/endpoint.h: a listening Unix socket that only its owner may use, and its file. */
#ifndef MIDDEN_DAEMON_ENDPOINT_H
#define MIDDEN_DAEMON_ENDPOINT_H

#include <sys/stat.h>
#include <sys/un.h>

#include "midden/status.h"

typedef struct mid_endpoint {
    int fd;                     /* -1: none */
    struct sockaddr_un address;
    dev_t device;               /* of the file, so that no other one is removed */
    ino_t inode;
} mid_endpoint;

/* Statuses: mid_control_listen. On failure nothing is left behind, and errno is kept. */
mid_status mid_endpoint_open(mid_endpoint *endpoint, const char *path);
/* `remove`: the file, too, if it is still this socket's. */
void mid_endpoint_close(mid_endpoint *endpoint, int remove);
/* A connection, non-blocking; -1: there is none (errno EAGAIN), it was somebody else's (EACCES), or it failed. */
int mid_endpoint_accept(const mid_endpoint *endpoint);

#endif
