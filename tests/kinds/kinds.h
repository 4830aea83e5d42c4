/* tests/kinds/kinds.h: cases in which the kinds of midden and those of CPython do the same, in one process.
 *
 * A file of cases has a table of them, and is named in tables.h. A side of a case is timed as a whole: `run` does `count`
 * operations; `before` and `after`, if there are any, are not timed. Of memory, `hold` builds `count` objects in a child of its own
 * and keeps them: what the child then has resident beyond before, by count, is the bytes an object. */
#ifndef TESTS_KINDS_H
#define TESTS_KINDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "midden/kinds.h"

struct side {
    void (*before)(size_t count);
    void (*run)(size_t count);
    void (*after)(size_t count);
};

struct timed {
    const char *name; /* "list append" */
    size_t count;     /* operations a run: some milliseconds' worth */
    struct side ours, theirs;
};

struct held {
    const char *name; /* "tuple of 2" */
    size_t count;
    void (*ours)(size_t count), (*theirs)(size_t count);
};

/* Ours: opened before any case runs, attached to the thread that runs them all. */
extern mid_heap *heap;
extern mid_thread *thread;
extern mid_kinds kinds;

/* Room for so many handles or pointers, written to already, so that holding on to objects is not measured. */
mid_handle *handles(size_t count);
PyObject **pointers(size_t count);

/* Something refused that never should: says where, and ends. */
#define must(good) ((good) ? (void)0 : case_failed(#good, __FILE__, __LINE__))
void case_failed(const char *what, const char *file, int line);

/* Keeps the compiler from leaving out what is only computed. */
static inline void used(const void *pointer)
{
    __asm__ volatile("" : : "g"(pointer) : "memory");
}

#endif
