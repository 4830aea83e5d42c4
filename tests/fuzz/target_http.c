/* tests/fuzz/target_http.c: a heap served by HTTP on a Unix socket, and both ends of each connection in this thread. */
#include "targets.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "midden/http.h"
#include "midden/midden.h"

#define TURNS_MOST 5000 /* of the loop, for one connection: each of them finds something to do */

/* Made with the first input, and kept. */
static struct served {
    mid_heap *heap;
    mid_daemon *daemon;
    struct event_base *base;
    struct sockaddr_un address;
} served;

/* The socket's name is removed at once, so that nothing is left whichever way the process ends: who holds the file can still connect. */
static void open_served(struct served *s)
{
    const char *top = getenv("TMPDIR");
    char folder[60], path[80];
    mid_options options;
    const mid_daemon_paths nowhere = {
        .struct_size = sizeof nowhere, .cgroup = "", .stalls = "", .meminfo = "", .watch = "", .watch_write = ""};
    signal(SIGPIPE, SIG_IGN);
    snprintf(folder, sizeof folder, "%s/midden-XXXXXX", top != NULL && strlen(top) < 40 ? top : P_tmpdir);
    NEED(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/socket", folder);
    mid_options_init(&options);
    s->base = event_base_new();
    NEED(s->base != NULL && mid_heap_open(&s->heap, &options) == MID_OK);
    NEED(mid_daemon_start_with(s->heap, s->base, NULL, &nowhere, &s->daemon) == MID_OK);
    NEED(mid_http_listen(s->daemon, path, NULL) == MID_OK);
    int fd = open(path, O_PATH | O_CLOEXEC);
    NEED(fd >= 0 && unlink(path) == 0 && rmdir(folder) == 0);
    s->address.sun_family = AF_UNIX;
    snprintf(s->address.sun_path, sizeof s->address.sun_path, "/proc/self/fd/%d", fd);
}

static void close_served(void)
{
    if (served.heap == NULL)
        return;
    mid_daemon_stop(served.daemon);
    mid_heap_close(served.heap);
    event_base_free(served.base);
}

typedef struct heard {
    size_t length;
    bool over;
    char bytes[1 << 17]; /* the rest is read, and not kept */
} heard;

static void hear(int fd, heard *h)
{
    static char nowhere[1 << 16];
    for (ssize_t got = 1; got > 0;) {
        size_t room = sizeof h->bytes - 1 - h->length;
        got = room != 0 ? recv(fd, h->bytes + h->length, room, MSG_DONTWAIT) : recv(fd, nowhere, sizeof nowhere, MSG_DONTWAIT);
        if (got > 0 && room != 0)
            h->length += (size_t)got;
        h->over = h->over || got == 0 || (got < 0 && errno != EAGAIN);
    }
    h->bytes[h->length] = 0;
}

static int dial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NEED(fd >= 0 && connect(fd, (const struct sockaddr *)&served.address, sizeof served.address) == 0);
    return fd;
}

/* In pieces, as `cut` has it; then no more. It has to end, and by itself. */
static void converse(const uint8_t *data, size_t size, unsigned cut, heard *h)
{
    int fd = dial();
    unsigned turns = 0;
    h->length = 0;
    h->over = false;
    for (size_t at = 0; at < size && !h->over;) {
        size_t piece = cut == 0 || cut > size - at ? size - at : cut;
        ssize_t sent = send(fd, data + at, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        at += sent > 0 ? (size_t)sent : 0;
        event_base_loop(served.base, EVLOOP_NONBLOCK);
        hear(fd, h);
    }
    shutdown(fd, SHUT_WR);
    for (; !h->over && turns < TURNS_MOST; turns++) {
        event_base_loop(served.base, EVLOOP_NONBLOCK);
        hear(fd, h);
    }
    NEED(h->over);
    close(fd);
}

/* As text, zeros aside. */
static bool says(const uint8_t *data, size_t size, const char *word)
{
    for (size_t at = 0, length = strlen(word); at + length <= size; at++)
        if (strncasecmp((const char *)data + at, word, length) == 0)
            return true;
    return false;
}

static void check_answer(const heard *h, const uint8_t *data, size_t size)
{
    unsigned major, minor;
    int status;
    if (h->length == 0)
        return;
    NEED(sscanf(h->bytes, "HTTP/%u.%u %d ", &major, &minor, &status) == 3 && status >= 100 && status < 600);
    if (status != 200 && status != 403 && status != 404 && status != 405)
        return; /* evhttp's own */
    const char *end = strstr(h->bytes, "\r\n\r\n");
    NEED(end != NULL);
    size_t headers = (size_t)(end - h->bytes);
    NEED(says((const uint8_t *)h->bytes, headers, "\r\nX-Content-Type-Options: nosniff\r\n"));
    NEED(says((const uint8_t *)h->bytes, headers, "\r\nContent-Security-Policy: default-src 'none'"));
    bool ours = says(data, size, "localhost") || says(data, size, "127.0.0.1") || says(data, size, "[::1]");
    NEED(status == 403 || (ours && says(data, size, "host")));
}

static void still_there(heard *h)
{
    static const char ask[] = "GET /nothing HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n";
    converse((const uint8_t *)ask, sizeof ask - 1, 0, h);
    NEED(strncmp(h->bytes, "HTTP/1.1 404 ", 13) == 0);
}

/* The first byte: the size of pieces, 0 for one. */
void fuzz_http(const uint8_t *data, size_t size)
{
    static heard h;
    if (size == 0)
        return;
    if (served.heap == NULL) {
        open_served(&served);
        atexit(close_served);
    }
    converse(data + 1, size - 1, data[0], &h);
    check_answer(&h, data + 1, size - 1);
    still_there(&h);
}
