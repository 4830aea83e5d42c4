/* midden/freeze.h: objects that stay, and pages that a forked child shares.
 *
 * A program that loads much and then forks (a server with workers) wants its children to share what was loaded. Moving,
 * collecting and counting write to memory, and each page written to is copied. mid_freeze makes all objects that are alive
 * *frozen*, until mid_unfreeze:
 *
 *   - no collection looks at them: what they refer to is alive, and they are;
 *   - nothing is moved into, out of or within their pools, by no kind of compaction; they keep their handles;
 *   - counts taken and dropped on them go to a side table, by any thread, and are merged when they thaw. Only differences are
 *     kept: who takes a count and drops it again leaves nothing behind.
 *
 * All calls work on them as on any object. What the program itself writes is written: into data and slots (mid_store to a frozen
 * holder), by mid_resize, mid_pin and mid_immortalize. A weak reference to one is not noted in it before it thaws.
 *
 * A frozen object whose last count is dropped dies when it thaws, not before: mid_is_live says 1, a weak reference still finds it,
 * its finalizer has not run. (To let it die at once would write to it and to all that it refers to.)
 *
 * COSTS. A count of a frozen object is a lock and a look into a hash table: some 40 ns instead of a few. Threads seldom meet, for
 * the table has sixteen parts. 4 bytes for each handle that was given out, written when the objects are frozen; 11 to 22 for each
 * difference. The fast paths of other objects are as before. */
#ifndef MIDDEN_FREEZE_H
#define MIDDEN_FREEZE_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Freeze all objects that are alive now, but immortal ones, which nobody counts or collects anyway, and which lie in frozen pools
 * afterwards, too. Before that garbage is collected as by mid_collect, finalizers included, what types keep or cache (policy.h) is given
 * up, and pools are compacted, so that few have holes; what types had ahead is made anew afterwards, as far as there is memory. Again: those made since are frozen as well. A safepoint; stops the world. Unbudgeted. MID_EPOSTPONED as for
 * mid_collect; MID_ENOMEM, MID_ELIMIT: no room for what the counts were, nothing more is frozen; MID_ENULL, MID_ETHREAD,
 * MID_EBUSY (from a callback or a finalizer). */
MID_API mid_status mid_freeze(mid_thread *thread);

/* Thaw all that is frozen: counts are what they would have been, to the object; what nothing holds dies, as in mid_release. Nothing
 * is frozen: MID_OK. mid_heap_close does so, too. A safepoint; stops the world. Unbudgeted. MID_EPOSTPONED, MID_ENULL,
 * MID_ETHREAD, MID_EBUSY: as it was. Needs no memory. */
MID_API mid_status mid_unfreeze(mid_thread *thread);

/* Whether the handle names a frozen object. Attached thread, outside callbacks; no safepoint. How many there are: mid_stats. */
MID_API int mid_is_frozen(mid_thread *thread, mid_handle object);

#ifdef __cplusplus
}
#endif
#endif
