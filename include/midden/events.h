/* midden/events.h: named callbacks for what a heap does.
 *
 * Callbacks run on the thread that does the work, one at a time for a heap, possibly while the world is stopped, where the heap's
 * structures are whole; of an operation under way the figures may show a part. Other threads may have to wait for them. They may call mid_stats_get, mid_stats_class and mid_type_name; every other call that can say so
 * returns MID_EBUSY. Any of them may be null. */
#ifndef MIDDEN_EVENTS_H
#define MIDDEN_EVENTS_H

#include "collector.h"
#include "heap.h"

typedef struct mid_leak {
    const char *type;
    uint64_t objects, bytes;
} mid_leak;

typedef struct mid_listener {
    size_t struct_size; /* sizeof(mid_listener) */
    void *context;      /* first argument of every callback */
    void (*stop_begin)(void *context);  /* the world has stopped */
    void (*stop_end)(void *context, uint64_t micros);
    void (*collect_begin)(void *context); /* of a full collection; of all kinds: collecting, below */
    void (*collect_end)(void *context, const mid_collect_result *result);
    void (*compact_begin)(void *context);
    void (*compact_end)(void *context, const mid_compact_result *result);
    void (*pool_committed)(void *context, size_t bytes);  /* memory came from the system for objects */
    void (*pool_returned)(void *context, size_t bytes);   /* ... and went back */
    void (*refused)(void *context, mid_status why, size_t bytes); /* an allocation is about to fail */
    void (*leak)(void *context, const mid_leak *leak);    /* from mid_heap_close, once a type */
    /* In a deep compaction: what was `from` is `to`, and if something was `to`, it is `from`. For who keeps a record by handles.
     * The world stands. */
    void (*renamed)(void *context, mid_handle from, mid_handle to);
    /* Before and after each piece of work of the collector, of whatever kind, and whoever does it: the program, a thread at its
     * safepoint, the daemon; in a stop, or beside the program. */
    void (*collecting)(void *context, const mid_collection *piece);
    void (*collected)(void *context, const mid_collection *piece);
    void (*leak_object)(void *context, const mid_leak_object *object); /* after the types, if mid_leaks_tell wants them */
} mid_listener;

#ifdef __cplusplus
extern "C" {
#endif

/* Add a listener (copied); callbacks of several are called in the order added. At most 8: MID_ELIMIT.
 * MID_ENULL, MID_EINVAL (struct_size), MID_EBUSY. Attached thread, or any while none is. */
MID_API mid_status mid_listener_add(mid_heap *heap, const mid_listener *listener);
/* Remove the listener that was added with this context. MID_EINVAL: none was. */
MID_API mid_status mid_listener_remove(mid_heap *heap, void *context);

#ifdef __cplusplus
}
#endif
#endif
