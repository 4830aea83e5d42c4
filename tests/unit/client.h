/* tests/unit/client.h: a heap that is served by HTTP, and a client for it that says what it is told, raw. A read waits for as long as
 * only a failure takes. */
#ifndef UNIT_CLIENT_H
#define UNIT_CLIENT_H

#include "unit.h"

#include <jansson.h>
#include <stdbool.h>

#include "midden/http.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

struct served {
    struct unit u;
    mid_daemon *daemon;
    uint16_t port;
};
void serve(struct served *s, const char *options);
void serve_end(struct served *s);

int dial(uint16_t port);
int dial_path(const char *path);
bool say(int fd, const char *text); /* false: the other side has closed */
char *hear(int fd);                 /* all that comes until the end, to be freed; closes. A reset is an end */

int status_of(const char *answer);
bool dechunk(char *body); /* in place; false: it is cut short */
char *ask_raw(uint16_t port, const char *request);
int status_for(uint16_t port, const char *request);
char *get(uint16_t port, const char *path); /* the body of a GET that goes well, to be freed */
json_t *get_json(uint16_t port, const char *path);
uint64_t number(const json_t *object, const char *key);
size_t descriptors(void); /* that are open */
void make_folder(char *into, size_t room); /* of its own, for sockets: a short path */

#endif
