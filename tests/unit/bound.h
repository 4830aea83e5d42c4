/* tests/unit/bound.h: a heap whose service (gc/service.h) is the test: it counts how often it is called for. */
#ifndef BOUND_H
#define BOUND_H

#include "unit.h"

#include "gc/service.h"

static size_t kicks;

static inline void kick(void *context)
{
    (void)context;
    __atomic_fetch_add(&kicks, 1, __ATOMIC_RELAXED);
}

static inline void open_bound(struct unit *u, const char *options)
{
    unit_open(u, options);
    __atomic_store_n(&kicks, 0, __ATOMIC_RELAXED);
    ok(mid_service_bind(u->heap, kick, NULL));
}

static inline void close_bound(struct unit *u)
{
    mid_service_unbind(u->heap);
    unit_close(u);
}

#endif
