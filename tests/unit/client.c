/* tests/unit/client.c: a raw HTTP client (client.h). */
#include "client.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void serve(struct served *s, const char *options)
{
    unit_open(&s->u, options);
    ok(mid_daemon_start(s->u.heap, &s->daemon));
    s->port = 0;
    ok(mid_http_listen(s->daemon, "localhost:0", &s->port));
    assert_true(s->port != 0);
}

void serve_end(struct served *s)
{
    ok(mid_daemon_stop(s->daemon));
    unit_close(&s->u);
}

static int patient(int fd)
{
    struct timeval most = {.tv_sec = 100};
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most), 0);
    return fd;
}

int dial(uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = patient(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

int dial_path(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = patient(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    strcpy(name.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

bool say(int fd, const char *text)
{
    size_t length = strlen(text);
    return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

char *hear(int fd)
{
    size_t room = 1 << 16, length = 0;
    char *all = malloc(room);
    ssize_t got;
    while ((got = recv(fd, all + length, room - 1 - length, 0)) > 0) {
        length += (size_t)got;
        if (room - length < 1 << 15)
            all = realloc(all, room *= 2);
    }
    if (got < 0 && errno != ECONNRESET)
        fail_msg("no answer: %s", strerror(errno));
    close(fd);
    all[length] = 0;
    return all;
}

char *ask_raw(uint16_t port, const char *request)
{
    int fd = dial(port);
    say(fd, request);
    return hear(fd);
}

int status_of(const char *answer)
{
    int status = 0;
    return sscanf(answer, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

bool dechunk(char *body)
{
    char *into = body, *end;
    for (;;) {
        unsigned long length = strtoul(body, &end, 16);
        if (end == body || strncmp(end, "\r\n", 2) != 0 || strlen(end + 2) < length)
            return false;
        memmove(into, end + 2, length);
        into += length;
        body = end + 2 + length;
        if (length == 0)
            break;
        if (strncmp(body, "\r\n", 2) != 0)
            return false;
        body += 2;
    }
    *into = 0;
    return true;
}

int status_for(uint16_t port, const char *request)
{
    char *answer = ask_raw(port, request);
    int code = status_of(answer);
    free(answer);
    return code;
}

char *get(uint16_t port, const char *path)
{
    char request[200];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    char *answer = ask_raw(port, request);
    assert_int_equal(status_of(answer), 200);
    char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    *body = 0;
    if (strstr(answer, "Transfer-Encoding: chunked") != NULL)
        assert_true(dechunk(body + 4));
    memmove(answer, body + 4, strlen(body + 4) + 1);
    return answer;
}

json_t *get_json(uint16_t port, const char *path)
{
    char *body = get(port, path);
    json_error_t error;
    json_t *root = json_loads(body, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s: %s", path, error.text);
    free(body);
    return root;
}

uint64_t number(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        fail_msg("no number %s", key);
    return (uint64_t)json_integer_value(value);
}

size_t descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

void make_folder(char *into, size_t room)
{
    const char *top = getenv("TMPDIR");
    snprintf(into, room, "%s/midden-XXXXXX", top != NULL && strlen(top) < 40 ? top : P_tmpdir);
    assert_non_null(mkdtemp(into));
}
