/* tests/stress/act.h: the heap's calls, each made on the model and on the heap.
 *
 * The model goes first, since the heap calls finalizers back from inside; where the heap may refuse, the model waits
 * until the call has begun to act (run.commit). Used by the random operations and by finalizers. */
#ifndef STRESS_ACT_H
#define STRESS_ACT_H

#include "kinds.h"
#include "model.h"
#include "run.h"

mid_stats stats_now(void);
bool quiet(const mid_stats *stats); /* nothing waits in the heap */

/* Around a call that may run finalizers. */
struct guard {
    bool before;
};
struct guard guard_begin(void);
void guard_end(struct guard guard);

/* Whether `status` is one that a heap near its limit may return; any other but MID_OK is a failure of the run. */
bool refused(mid_status status, const char *call);

/* An object's address, checked against what is known of it. */
void *address_of(struct obj *o);
/* The whole object against the model: contents all or in samples, slots through mid_peek. */
void verify_object(struct obj *o, bool all);

struct obj *act_new(const struct kind *kind, uint32_t items); /* held (run.root); null: refused */
void act_hold(struct obj *o);
/* Held beside run.root, where no finalizer lets go of it: around several calls on one object. */
void protect(struct obj *o);
void unprotect(struct obj *o);
void act_release(size_t root);
void act_store(struct obj *holder, uint32_t slot, val v);
void act_give(struct obj *holder, uint32_t slot, size_t root);
void act_swap(struct obj *holder, uint32_t slot, size_t root);
void act_take(struct obj *holder, uint32_t slot);
void act_load(struct obj *holder, uint32_t slot);
void act_resize(struct obj *o, uint32_t items);
void act_weak_new(struct obj *o);
void act_weak_get(struct weak *w);
void act_scope_open(void);
void act_keep(size_t root);
void act_scope_close(struct obj *result);

/* Whether the types allow `holder` to refer to `o` without breaking an acyclic promise. */
bool may_refer(const struct obj *holder, const struct obj *o);
/* Make a slot of a protected K_MASK object one (true) or data again; what it held is released. */
void act_mask(struct obj *o, uint32_t slot, bool on);

/* A random object that the tester may touch, reached from what it holds; a random slot that is one now (false: none). */
struct obj *random_object(void);
bool random_slot(const struct obj *o, uint32_t *slot);
val random_value(const struct obj *holder);

#endif
