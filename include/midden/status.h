/* midden/status.h: what calls return. One table yields the enumeration, the names and the texts.
 *
 * A call that returns anything but MID_OK or MID_MORE has changed nothing that the caller can see,
 * unless its own description says otherwise, and the heap is intact. */
#ifndef MIDDEN_STATUS_H
#define MIDDEN_STATUS_H

#include "version.h"

/* X(name, text) */
#define MID_STATUSES(X)                                                                            \
    X(MID_OK, "done")                                                                              \
    X(MID_MORE, "the budget ran out and work is left; call again")                                 \
    X(MID_ENOMEM, "the system refused memory")                                                     \
    X(MID_ELIMIT, "the heap's own hard limit (heap-limit, max-objects) is reached")                \
    X(MID_ENULL, "a required pointer is null")                                                     \
    X(MID_EINVAL, "an argument is out of its range or contradicts another")                        \
    X(MID_EHANDLE, "the handle is null, immediate, freed or not of this heap")                     \
    X(MID_ETYPE, "the type is not registered, or not of the kind this call needs")                 \
    X(MID_ETYPES, "no more types can be registered in this heap")                                  \
    X(MID_ESLOT, "the object has no reference slot of that number")                                \
    X(MID_ESIZE, "the size cannot be represented")                                                 \
    X(MID_EBUSY, "called back into the heap from a listener, trace or payload function")           \
    X(MID_ETHREAD, "the thread is not attached, attached already, or in the wrong state")          \
    X(MID_EPINNED, "the object is pinned and cannot move; or it is not pinned")                    \
    X(MID_EOPTION, "an option's name, value or unit is not understood")                            \
    X(MID_EHELD, "objects were still held when the heap closed; they were reported and dropped")   \
    X(MID_EPOSTPONED, "a thread did not reach a safepoint in time; nothing was done")           \
    X(MID_ECORRUPT, "a check found the heap inconsistent")                                         \
    X(MID_ESYSTEM, "a system service other than memory failed; see errno")                         \
    X(MID_EUNHELD, "nothing outside the heap holds the object: it is garbage, not collected yet")   \
    X(MID_EBLOCK, "no live block of this domain and heap begins at the address")                    \
    X(MID_EKEY, "there is no such key, or no further entry")                                       \
    X(MID_ECHANGED, "a container was changed while it was searched or gone through")                             \
    X(MID_EUNTRACED, "nothing is known of where it was allocated")

typedef enum mid_status {
#define MID_X(name, text) name,
    MID_STATUSES(MID_X)
#undef MID_X
    MID_STATUS_COUNT
} mid_status;

#ifdef __cplusplus
extern "C" {
#endif

/* The name ("MID_ELIMIT") and the text of a status; never null, also for a value that is none.
 * Any thread; safe in a signal handler. */
MID_API const char *mid_status_name(mid_status status);
MID_API const char *mid_status_text(mid_status status);

#ifdef __cplusplus
}
#endif
#endif
