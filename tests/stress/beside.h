/* tests/stress/beside.h: what is in the heap beside the random graph: weak maps and ephemerons on its objects, interned words, blocks of
 * the domain mem, dead objects that their types keep; and tracing, switched on and off. */
#ifndef STRESS_BESIDE_H
#define STRESS_BESIDE_H

#include "model.h"

void beside_begin(void); /* types are registered */
void beside_end(void);   /* all of it is let go of */

/* beside.c */
void release(mid_handle handle); /* pairs.c: as mid_release, where what waits may be freed, too */
void op_word(void);
void op_mem(void);
void op_trace(void);
void trace_audit(struct obj *o);                 /* of a live object */
void beside_audit(bool exact);                   /* exact: nothing waits */
void beside_live(uint64_t *objects, uint64_t *bytes); /* that the model does not know */
void beside_certain(uint64_t *objects, uint64_t *bytes); /* of that, what a daemon may not take */
uint64_t reused_ever(void);                      /* and are again */
uint64_t kept_of(unsigned kind);                 /* dead objects that wait to be new ones */
bool beside_has(mid_handle handle);              /* a live handle that no object of the model has: may it be one of those? */
size_t mem_pages(void);                          /* bytes of blocks that no pool holds, in pages at most */
void trace_made(struct obj *o);
void trace_forget(struct obj *o);                /* it has another size: whether it is traced follows from where it lies */

/* pairs.c: the first three are the model's */
struct obj *pair_value(const struct obj *key, unsigned *at); /* the next; null: no more */
void pairs_clear(struct obj *key, bool count_only); /* its pairs end, as weak references to it do; count_only: of garbage */
void pairs_forget(void);                         /* all of them, uncounted */
bool pairs_settle(void);                         /* loose: which have gone? */
void op_pair(void);
void pairs_add_frozen(void);                     /* some, to objects that have none */
void pairs_audit(bool exact);
void pairs_end(void);
void pairs_live(uint64_t *objects, uint64_t *bytes);

#endif
