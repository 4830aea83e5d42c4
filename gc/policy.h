/* gc/policy.h: how the memory of a type's objects is kept, beyond what every type has (midden/policy.h).
 *
 *   policy.c  free lists, objects made ahead, the cache of what was interned     intern.c  the table of what is interned
 *   intern_table.c  how it grows
 *
 * Everything here is read and changed with `memory` held, or while the world stands. What is kept is alive for the rest of the heap,
 * with one count that the heap has: so nothing else need know. */
#ifndef MID_GC_POLICY_H
#define MID_GC_POLICY_H

#include "gc/count.h"
#include "midden/policy.h"

typedef struct mid_interned {
    mid_handle object; /* 0: empty */
    uint32_t hash;
} mid_interned;

/* Open addressing, linear probing. Of one that its objects are leaving, places from `end` on are empty, and may be gone. */
typedef struct mid_intern_table {
    mid_array places;           /* mid_interned[mask + 1] */
    uint32_t mask;
    uint64_t end;
} mid_intern_table;

struct mid_policy {
    mid_array memory;           /* of this structure */
    mid_type type;
    bool interned, empties;     /* empties: it was given up before it was a type: what dies is to die */
    uint32_t keep, ahead, cache;
    uint32_t leaving;           /* objects that the cache has let go of for memory, and that still wait to die */
    mid_list kept;              /* handles of objects without references; room for all was obtained with the type */
    mid_list cached;            /* a ring of `cache` handles, */
    uint32_t cached_at;         /* ... the next place in it; `count` are in use */
    uint32_t (*hash)(const void *, void *);
    int (*equal)(const void *, const void *, void *);
    void *context;
    mid_intern_table table, old; /* old: of which some are not in `table` yet; data null: none */
    uint32_t used;              /* of both */
    bool asks;                  /* an object can be asked for its hash when it dies: it refers to nothing */
    mid_map hashes;             /* else: entry index -> hash of what is in the table */
    mid_policy_stats stats;
};

/* --- policy.c */
mid_status mid_policy_check_desc(const mid_type_desc *desc);
mid_status mid_policy_open(mid_heap *heap, mid_type_info *info, const mid_type_desc *desc, mid_type type);
void mid_policy_close(mid_heap *heap, mid_policy *policy);
mid_status mid_policy_fill(mid_impl *me, mid_type type); /* what is to be made ahead */
void mid_policy_abandon(mid_impl *me, mid_policy *policy); /* what was made ahead, again, when not all could be */
mid_handle mid_policy_reuse(mid_impl *me, mid_policy *policy); /* one that was kept, as a new object; 0 */
/* Its references are gone, and who knew it weakly has been told. True: it is kept. */
bool mid_policy_keep(mid_impl *me, const mid_type_info *info, mid_handle handle, mid_entry *entry);
/* Nothing holds it any more, it is whole. True: the cache does. */
bool mid_policy_cache(mid_impl *me, mid_policy *policy, mid_handle handle, mid_entry *entry);
/* Give up what is kept and cached, but for what was made ahead (that too if `all`). It dies on `me`'s work list. Was there any? */
bool mid_policies_empty(mid_impl *me, bool all);
/* What dies is to die, whatever its type keeps: so while they are emptied, frozen, and when the heap closes. Each undoes its own. */
void mid_policies_shut(mid_impl *me);
void mid_policies_open(mid_impl *me);
void mid_policies_refill(mid_impl *me);          /* what was made ahead, again, as far as there is memory for it */
const char *mid_policies_check(mid_heap *heap); /* the world stands */

/* --- intern.c: an object in the table has MID_F_WEAK, but what is frozen learns of it when it thaws */
typedef mid_handle mid_intern_make(mid_impl *me, const void *key); /* with `memory` held: in a few steps, or not (0) */
/* As mid_intern_find, and where there is none it is made and put there. *out 0: it could not be made so; nothing has changed. */
mid_status mid_intern_or_make(mid_impl *me, mid_type type, uint32_t hash, mid_intern_match *matches, mid_intern_make *make, const void *key, mid_handle *out);
bool mid_intern_again(mid_heap *heap, mid_policy *policy, mid_handle handle); /* is it in the table, and nothing alive equals it? */
void mid_intern_purge(mid_heap *heap, mid_policy *policy); /* smaller, if it can be */
void mid_intern_close(mid_heap *heap, mid_policy *policy);
const char *mid_intern_check(mid_heap *heap, mid_policy *policy);
/* mid_interned_here, mid_intern_leave, mid_intern_exchange: heap.h */

#endif
