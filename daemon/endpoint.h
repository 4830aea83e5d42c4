/* daemon/endpoint.h: a listening Unix socket that only its owner may use, and its file. */
#ifndef MIDDEN_DAEMON_ENDPOINT_H
#define MIDDEN_DAEMON_ENDPOINT_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "midden/status.h"

typedef struct mid_endpoint {
    int fd;                     /* -1: none */
    struct sockaddr_un address;
    dev_t device;               /* of the file, so that no other one is removed */
    ino_t inode;
} mid_endpoint;

/* MID_EINVAL: no path, or something that is no socket is there; MID_ESIZE: it is too long; MID_EBUSY: somebody listens there;
 * MID_ESYSTEM. A socket at which nobody does is replaced. On failure nothing is left behind, and errno is kept. */
mid_status mid_endpoint_open(mid_endpoint *endpoint, const char *path);
/* `remove`: the file, too, if it is still this socket's. Twice is as once. */
void mid_endpoint_close(mid_endpoint *endpoint, bool remove);
/* A connection, non-blocking; -1: there is none (errno EAGAIN), it was somebody else's (EACCES), or it failed. */
int mid_endpoint_accept(const mid_endpoint *endpoint);

#endif
