/* gc/collector.h: what a heap remembers of its collector; heap.h has one. */
#ifndef MID_GC_COLLECTOR_H
#define MID_GC_COLLECTOR_H

#include "midden/collector.h"

typedef struct mid_close_call {
    void (*fn)(void *, mid_thread *);
    void *context;
} mid_close_call;

typedef struct mid_collector {
    uint32_t disabled;  /* atomic: times */
    uint32_t thresholds_set; /* atomic: times; the service looks at it */
    mid_collector_stats stats[MID_COLLECTOR_KINDS]; /* figures atomic */

    bool saving;        /* changed while the world stands */
    mid_array saved;    /* handles, each with a count; with `memory`, or while the world stands */
    uint32_t saved_count;
    mid_collector_kind now; /* what is being proved: whose garbage is saved; while the world stands */

    mid_array hooks;    /* mid_close_call[], with `memory` */
    uint32_t hook_count;
    bool closing;       /* a hook runs */

    bool traces_told;      /* at close */
    size_t leak_objects;
    const char *(*leak_where)(void *, mid_heap *, mid_handle);
    void *leak_context;
} mid_collector;

#endif
