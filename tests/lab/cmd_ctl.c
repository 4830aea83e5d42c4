/* cmd_ctl.c: `midden ctl`: one request to the control socket of a program's daemon (docs/design/control.md). */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lab.h"

#define INDENT 2

/* --- the connection ---------------------------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        lab_error("ctl: %s: longer than a socket's path can be", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    lab_error("ctl: %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The words as a line; null: no memory. */
static char *join(int argc, char **argv)
{
    size_t length = 1;
    for (int i = 0; i < argc; i++)
        length += strlen(argv[i]) + 1;
    char *line = malloc(length), *at = line;
    for (int i = 0; line != NULL && i < argc; i++)
        at += sprintf(at, "%s%c", argv[i], i + 1 < argc ? ' ' : '\n');
    return line;
}

static bool send_line(int fd, const char *line)
{
    for (size_t left = strlen(line); left != 0;) {
        ssize_t sent = send(fd, line, left, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        line += sent > 0 ? sent : 0;
        left -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

/* Without its end; null: the connection ended before. */
static char *receive_line(int fd)
{
    FILE *in = fdopen(dup(fd), "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t length = in == NULL ? -1 : getline(&line, &room, in);
    if (in != NULL)
        fclose(in);
    if (length > 0 && line[length - 1] == '\n') {
        line[length - 1] = 0;
        return line;
    }
    free(line);
    return NULL;
}

/* --- an answer, for people ------------------------------------------------------------------------------------------------- */

static bool scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

static void print_scalar(const json_t *value, int width)
{
    if (json_is_string(value))
        printf("%-*s", width, json_string_value(value));
    else if (json_is_integer(value))
        printf("%*" JSON_INTEGER_FORMAT, width, json_integer_value(value));
    else if (json_is_real(value))
        printf("%*.4f", width, json_real_value(value));
    else
        printf("%*s", width, json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
}

static void print_list(const json_t *list)
{
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) {
        putchar(' ');
        print_scalar(item, 0);
    }
}

/* Objects that are alike, a row each. */
static void print_table(const json_t *list, int indent)
{
    json_t *row, *value;
    const char *name;
    size_t i;
    json_array_foreach(list, i, row) {
        if (i == 0) {
            printf("%*s", indent, "");
            json_object_foreach(row, name, value)
                printf(json_is_integer(value) ? "%14s " : "%-14s ", name);
            putchar('\n');
        }
        printf("%*s", indent, "");
        json_object_foreach(row, name, value) {
            if (json_is_array(value))
                print_list(value);
            else
                print_scalar(value, 14);
            putchar(' ');
        }
        putchar('\n');
    }
}

static void print_object(json_t *object, int indent)
{
    json_t *value;
    const char *name;
    json_object_foreach(object, name, value) {
        if (indent == 0 && strcmp(name, "ok") == 0)
            continue;
        printf("%*s%-24s", indent, "", name);
        if (scalar(value)) {
            putchar(' ');
            print_scalar(value, 0);
        } else if (json_is_array(value) && (json_array_size(value) == 0 || scalar(json_array_get(value, 0)))) {
            print_list(value);
        }
        putchar('\n');
        if (json_is_object(value))
            print_object(value, indent + INDENT);
        else if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
            print_table(value, indent + INDENT);
    }
}

static void print_log(const json_t *log)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(log, i, entry)
        printf("%s\n", json_string_value(json_object_get(entry, "text")));
}

static int refused(const json_t *answer)
{
    const char *text = json_string_value(json_object_get(answer, "text")), *error = json_string_value(json_object_get(answer, "error"));
    const char *option = json_string_value(json_object_get(answer, "option")), *late = json_string_value(json_object_get(answer, "late"));
    return lab_error("ctl: %s%s%s%s%s (%s)", option != NULL ? option : "", option != NULL ? ": " : "", text != NULL ? text : "refused",
                     late != NULL ? ": thread " : "", late != NULL ? late : "", error != NULL ? error : "?");
}

static int show(const char *line, bool raw)
{
    json_error_t where;
    json_t *answer = json_loads(line, 0, &where);
    if (!json_is_object(answer)) {
        json_decref(answer);
        return lab_error("ctl: the answer is not understood: %s", where.text);
    }
    bool good = json_is_true(json_object_get(answer, "ok"));
    int status = good ? 0 : 1;
    if (raw)
        puts(line);
    else if (!good)
        status = refused(answer);
    else if (json_is_array(json_object_get(answer, "log")))
        print_log(json_object_get(answer, "log"));
    else
        print_object(answer, 0);
    json_decref(answer);
    return status;
}

/* --- the command ----------------------------------------------------------------------------------------------------------- */

int cmd_ctl(int argc, char **argv)
{
    bool raw = argc > 1 && strcmp(argv[1], "--json") == 0;
    int first = raw ? 2 : 1;
    if (argc > first && argv[first][0] == '-')
        return lab_usage("ctl: %s is not understood", argv[first]);
    if (argc < first + 2)
        return lab_usage("ctl: which socket, and which request? (help lists them)");
    for (int i = first + 1; i < argc; i++)
        if (strchr(argv[i], '\n') != NULL)
            return lab_usage("ctl: a request is one line");
    int fd = connect_to(argv[first]);
    if (fd < 0)
        return 1;
    char *line = join(argc - first - 1, argv + first + 1);
    char *answer = line != NULL && send_line(fd, line) ? receive_line(fd) : NULL;
    int status = answer != NULL ? show(answer, raw) : lab_error("ctl: %s: no answer", argv[first]);
    free(line);
    free(answer);
    close(fd);
    return status;
}
