/* tests/unit/child.h: what a forked child needs. It must not use cmocka, or it would go on as a second test program: it says what it
 * needs, and ends with status 1 if it does not have it. */
#ifndef MIDDEN_UNIT_CHILD_H
#define MIDDEN_UNIT_CHILD_H

#include <stdio.h>
#include <unistd.h>

#define NEED(condition)                                                           \
    do {                                                                          \
        if (!(condition)) {                                                       \
            dprintf(STDERR_FILENO, "child, line %d: %s\n", __LINE__, #condition); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)

#endif
