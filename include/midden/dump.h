/* midden/dump.h: objects, and what they refer to, as text for people and as a graph for Graphviz.
 *
 * Fields are shown by the names and kinds that types have been registered with (mid_field in type.h; local.h makes them from a
 * table); of what has none, references are, by the number of the slot.
 *
 * THREADS, ERRORS. By an attached thread, outside blocked regions and callbacks, or from a finalizer; each call stops the world as
 * mid_heap_check does, and is a safepoint. The text is made in the heap's own memory while the world stands, so that it is of one
 * moment, and written when other threads run again, the caller in a blocked region. MID_ENULL; MID_ETHREAD; MID_EBUSY (from a callback);
 * MID_EPOSTPONED (another thread did not come within 100 ms); MID_EHANDLE: an object, or a root, that is not live; MID_EINVAL: a negative
 * descriptor, an unknown format, a struct_size that is none; MID_ENOMEM, MID_ELIMIT: no room for the text, nothing was written;
 * MID_ESYSTEM: see errno, what could be written was. The descriptor stays open. Raises no SIGPIPE. For a stdio stream: fflush it,
 * and give its fileno. */
#ifndef MIDDEN_DUMP_H
#define MIDDEN_DUMP_H

#include "heap.h"

typedef enum mid_dump_format {
    /* A line for each object, indented below the one by which it was found; depth first; an object's plain fields come before its
     * references. "(cycle)" marks a reference to an object that stands on the way to it, "(above)" one to an object that was shown
     * before, "..." one that is beyond a limit. */
    MID_DUMP_TEXT,
    /* A directed graph for Graphviz: dot -Tsvg. Breadth first. An object is a box of its figures and plain fields, a reference an
     * arrow with the field's name. Bold: held from outside; dashed: garbage that was not collected yet (both only when the whole heap is
     * dumped); dotted: referred to, and left out for a limit. */
    MID_DUMP_DOT,
    MID_DUMP_FORMATS_ /* how many there are */
} mid_dump_format;

typedef struct mid_dump_options {
    size_t struct_size;       /* sizeof(mid_dump_options); only ever extended at the end */
    mid_dump_format format;
    /* Where to begin: borrowed; 0 and integers are passed over. Null, with root_count 0: the whole heap, first all that is held
     * from outside (see inspect.h), then garbage. */
    const mid_handle *roots;
    size_t root_count;
    uint64_t objects_most;    /* objects shown; 0: 1000 */
    uint32_t depth_most;      /* references from a root to what is shown; 0: 64 */
    uint32_t items_most;      /* items, or elements of a field, shown and followed; 0: 16 */
    uint32_t text_most;       /* characters of a text, or bytes of others, shown; 0: 64 */
} mid_dump_options;

#ifdef __cplusplus
extern "C" {
#endif

/* One object, with its fields, address, owner and flags, to `fd`. What it refers to is named, not shown. */
MID_API mid_status mid_dump_object(mid_thread *thread, mid_handle object, int fd);

/* A graph, as `options` say (null: the whole heap, as text, with the limits given there) to `fd`. Costs memory for the text, and up
 * to 16 bytes a reference that waits to be followed; the whole heap a copy of its graph as well (see mid_inspect_why). What the limits
 * of objects and depth cut off is said at the end of the text. */
MID_API mid_status mid_dump_graph(mid_thread *thread, const mid_dump_options *options, int fd);

#ifdef __cplusplus
}
#endif
#endif
