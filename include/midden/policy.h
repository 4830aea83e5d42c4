/* midden/policy.h: how the memory of a type's objects is kept, chosen in its description (mid_type_desc in type.h: `keep`, `ahead`,
 * `cached`, `hash`, `equal`, MID_INTERNED, MID_IMMORTAL), and the calls that go with it. What each is for, and what it costs, is in
 * docs/design/policies.md.
 *
 * Small objects need none of it: each thread's cache of a size class is their free list, and making and dropping one takes some
 * nanoseconds. */
#ifndef MIDDEN_POLICY_H
#define MIDDEN_POLICY_H

#include "heap.h"

/* Only ever extended at the end. */
typedef struct mid_policy_stats {
    uint64_t kept, kept_most;         /* dead objects that wait to be new ones, now / at most (`keep`) */
    uint64_t reused, made;            /* objects handed out from there / made because none waited */
    uint64_t interned;                /* objects in the table, now; what is dead is in it until it is freed */
    uint64_t hits, misses;            /* of mid_intern and mid_intern_find */
    uint64_t cached, cached_most;     /* interned objects that nothing but the cache holds, or that came back from it, now / at most */
    uint64_t evicted;                 /* that left the cache for another */
    uint64_t emptied;                 /* objects kept or cached that were given up for memory */
    uint64_t table_bytes;             /* of the table of interned objects */
} mid_policy_stats;

#ifdef __cplusplus
extern "C" {
#endif

/* The one object of its type (which has MID_INTERNED) that equals `object` [consumed after success]: *out, counted, is that which is
 * in the type's table, or `object` itself, which is then put there. The table holds it weakly: it dies as any other. The parts of it
 * that `hash` and `equal` look at must not change afterwards. Attached thread, any number at once; not a safepoint.
 * MID_ENULL, MID_EHANDLE, MID_ETYPE, MID_ETHREAD, MID_EBUSY, MID_ENOMEM, MID_ELIMIT: `object` is still the caller's. */
MID_API mid_status mid_intern(mid_thread *thread, mid_handle object, mid_handle *out);

/* The interned object of `type` with this hash for which `matches` says 1; *out, counted, is 0 if there is none. So an object need
 * not be made to be looked for. `matches` may not call the heap. Errors as above, and MID_ETYPE for a type that is not interned. */
typedef int mid_intern_match(const void *object, const void *key);
MID_API mid_status mid_intern_find(mid_thread *thread, mid_type type, uint32_t hash, mid_intern_match *matches, const void *key, mid_handle *out);

/* Fill the first `size` bytes of *stats. Attached thread, or any while none is. MID_ENULL, MID_ETYPE (not registered), MID_ETHREAD. All
 * zero for a type without a policy. */
MID_API mid_status mid_policy_stats_get(mid_heap *heap, mid_type type, mid_policy_stats *stats, size_t size);

#ifdef __cplusplus
}
#endif
#endif
