/* tests/stress/ops.h: the random operations. */
#ifndef STRESS_OPS_H
#define STRESS_OPS_H

#include <stdbool.h>

#include "model.h"

/* One random operation, and what belongs after each. */
void random_operation(void);

/* ops_gc.c: safepoints and what happens in them. */
void drain(void); /* safepoints until nothing waits in the heap */
void sync_loose(void); /* a heap that collects when it likes: bring it and the model together, and audit */
void op_safepoint(void);
void op_collect(void);
mid_status pin_long(struct obj *o, void **at); /* as mid_pin_long: a safepoint */
void op_compact(void);
void op_step(void);
void op_freeze(void);
void op_trim(void);
void op_blocked(void);
void op_detach(void);

/* shapes.c: many objects at once. */
void op_list(void);
void op_ring(void);
void op_knot(void);
void op_clique(void);
void op_rope(void);
void op_scatter(void);
void op_wide(void);
void op_large(void);

/* misuse.c: calls that must be refused, and change nothing. */
void op_misuse(void);
void misuse_begin(void);

/* wrong.c, in debug builds: misuses that only a debug heap tells. */
void wrong_begin(void);
void wrong_once(void);
void wrong_end(void);

#endif
