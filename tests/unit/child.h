/* tests/unit/child.h: what a forked child needs, and its parent. It must not use cmocka, or it would go on as a second test program: it says what it
 * needs, and ends with status 1 if it does not have it. */
#ifndef MIDDEN_UNIT_CHILD_H
#define MIDDEN_UNIT_CHILD_H

#include "unit.h"

#include <sys/wait.h>

#define NEED(condition)                                                           \
    do {                                                                          \
        if (!(condition)) {                                                       \
            dprintf(STDERR_FILENO, "child, line %d: %s\n", __LINE__, #condition); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)

/* In the parent: it has ended, and had what it needed. */
static inline void child_ends(pid_t child)
{
    int status = 0;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        print_error("the child was ended by signal %d\n", WTERMSIG(status));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#endif
