/* tests/unit/talk.h: the other end of a control socket, for tests. Nothing depends on how fast: what is waited for comes, or a
 * deadline that only a failure reaches passes. */
#ifndef UNIT_TALK_H
#define UNIT_TALK_H

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "midden/control.h"

#define TALK_PATIENCE (RUNNING_ON_VALGRIND || UNIT_SANITIZED ? 200000 : 30000) /* ms */

typedef struct talk {
    int fd;
    size_t length;
    char bytes[512 << 10];
} talk;

/* -1: nobody listens. */
static inline int talk_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline talk *talk_open(const char *path)
{
    talk *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->fd = talk_connect(path);
    assert_true(t->fd >= 0);
    return t;
}

static inline void talk_close(talk *t)
{
    close(t->fd);
    free(t);
}

static inline void talk_bytes(talk *t, const void *bytes, size_t length)
{
    assert_int_equal(send(t->fd, bytes, length, MSG_NOSIGNAL), length);
}

static inline void talk_say(talk *t, const char *line)
{
    talk_bytes(t, line, strlen(line));
}

/* True: more has come. False: the other end has closed. */
static inline bool talk_more(talk *t)
{
    struct pollfd wanted = {.fd = t->fd, .events = POLLIN};
    assert_int_equal(poll(&wanted, 1, TALK_PATIENCE), 1);
    assert_true(t->length < sizeof t->bytes);
    ssize_t got = recv(t->fd, t->bytes + t->length, sizeof t->bytes - t->length, 0);
    t->length += got > 0 ? (size_t)got : 0;
    return got > 0;
}

/* The other side: a socket that heaps connect to. */
static inline int talk_listen(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

/* Who comes, and has said a line at least. */
static inline talk *talk_accept(int listening)
{
    struct pollfd wanted = {.fd = listening, .events = POLLIN};
    assert_int_equal(poll(&wanted, 1, TALK_PATIENCE), 1);
    talk *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(t->fd >= 0);
    while (memchr(t->bytes, '\n', t->length) == NULL)
        assert_true(talk_more(t));
    return t;
}

/* The next answer; null: the other end has closed. */
static inline json_t *talk_next(talk *t)
{
    char *end;
    while ((end = memchr(t->bytes, '\n', t->length)) == NULL)
        if (!talk_more(t))
            return NULL;
    json_t *answer = json_loadb(t->bytes, (size_t)(end - t->bytes), 0, NULL);
    assert_true(json_is_object(answer));
    t->length -= (size_t)(end + 1 - t->bytes);
    memmove(t->bytes, end + 1, t->length);
    return answer;
}

static inline bool talk_good(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "ok"));
}

/* An answer that has to be an error of this name. */
static inline void talk_expect_error(talk *t, const char *error)
{
    json_t *answer = talk_next(t);
    assert_non_null(answer);
    assert_false(talk_good(answer));
    assert_string_equal(json_string_value(json_object_get(answer, "error")), error);
    assert_true(json_is_string(json_object_get(answer, "text")));
    json_decref(answer);
}

static inline json_t *talk_ask(talk *t, const char *line)
{
    talk_say(t, line);
    json_t *answer = talk_next(t);
    assert_non_null(answer);
    return answer;
}

static inline uint64_t talk_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value))
        fail_msg("no number: %s", name);
    return (uint64_t)json_integer_value(value);
}

/* A folder of its own, which has to be empty at the end. */
static inline char *talk_folder(void)
{
    static char folder[64];
    snprintf(folder, sizeof folder, "%s/midden-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static inline char *talk_path(const char *folder, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

#endif
