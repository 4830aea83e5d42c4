/* tests/unit/deep.h: objects that only slots hold, far up in the handle table, with room below. */
#ifndef DEEP_H
#define DEEP_H

#include "unit.h"

#include "gc/service.h"

enum { FILLER = 20000, SLOTS = 64 };

static const char *const orders[] = {"deep=table", "deep=depth", "deep=breadth"};

/* `root`, which the test holds, has SLOTS items. Whatever is made before deep_settle has a high number that it need not keep. */
struct deep {
    struct unit u;
    mid_handle root;
    mid_handle filler[FILLER];
};

static inline void deep_open(struct deep *d, const char *options)
{
    unit_open(&d->u, options);
    for (size_t i = 0; i < FILLER; i++)
        d->filler[i] = unit_new(&d->u, d->u.node);
    d->root = unit_array(&d->u, d->u.vec, SLOTS);
}

/* The numbers below come free. */
static inline void deep_settle(struct deep *d)
{
    for (size_t i = 0; i < FILLER; i++)
        mid_release(d->u.thread, d->filler[i]);
    unit_drain(&d->u);
}

static inline mid_handle deep_item(struct deep *d, size_t i)
{
    return mid_peek(d->u.thread, d->root, ITEM(i));
}

/* It passes into the root. */
static inline mid_handle deep_put(struct deep *d, size_t i, mid_handle made)
{
    mid_give(d->u.thread, d->root, ITEM(i), made);
    return made;
}

static inline mid_handle deep_node(struct deep *d, size_t i, uint64_t value)
{
    mid_handle made = unit_new(&d->u, d->u.node);
    unit_node(&d->u, made)->value = value;
    return deep_put(d, i, made);
}

/* A whole pass; returns how many objects have another handle. */
static inline uint64_t deep_compact(struct deep *d)
{
    mid_compact_result result;
    ok(mid_compact(d->u.thread, MID_COMPACT_DEEP, 0, &result));
    unit_check(&d->u);
    return result.renamed_objects;
}

static inline void deep_close(struct deep *d)
{
    mid_release(d->u.thread, d->root);
    unit_drain(&d->u);
    assert_int_equal(unit_live(&d->u), 0);
    unit_close(&d->u);
}

/* --- as the service does it */

static inline mid_status deep_read(struct unit *u, uint64_t budget)
{
    return mid_service_deep_read(u->heap, budget);
}

/* One slice in a stop. */
static inline mid_status deep_slice(struct unit *u, uint64_t budget, uint64_t *renamed)
{
    ok(mid_service_stop(u->heap, u->thread, 1000000, NULL));
    mid_status status = mid_service_deep(u->heap, budget, renamed);
    mid_service_resume(u->heap);
    return status;
}

/* One slice, of whatever is next. */
static inline mid_status deep_next(struct unit *u, uint64_t budget)
{
    uint64_t renamed;
    mid_snapshot s;
    mid_service_snapshot(u->heap, &s);
    return s.deepening == MID_DEEPENS_STOPPED ? deep_slice(u, budget, &renamed) : deep_read(u, budget);
}

enum { SLICES_MOST = 10000000 };

/* Reading beside the program, to the end. */
static inline size_t deep_read_all(struct unit *u, uint64_t budget)
{
    size_t slices = 1;
    mid_status status;
    for (; (status = deep_read(u, budget)) == MID_MORE; slices++)
        assert_true(slices < SLICES_MOST);
    ok(status);
    return slices;
}

/* The rest, and what it needed is given back. */
static inline uint64_t deep_finish(struct unit *u, uint64_t budget, size_t *slices)
{
    uint64_t renamed, all = 0;
    mid_status status;
    for (*slices = 1; (status = deep_slice(u, budget, &renamed)) == MID_MORE; ++*slices) {
        all += renamed;
        assert_true(*slices < SLICES_MOST);
    }
    ok(status);
    ok(deep_read(u, budget));
    unit_check(u);
    return all + renamed;
}

#endif
