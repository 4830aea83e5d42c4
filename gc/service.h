/* gc/service.h: what the daemon may ask of a heap; its only way in.
 *
 * daemon/ includes this header and nothing else of gc/. The functions are exported from libmidden for
 * libmidden-daemon alone and are no part of the public interface. A heap has at most one service: bind takes the
 * place, everything else is for the thread that holds it.
 *
 *   snapshot            any time; figures as of the mutator's last refill or the last stop's begin or end
 *   stop ... resume     in between the world stands still and the heap's figures are exact
 *   drain, collect, compact, trim   only in between
 */
#ifndef MIDDEN_GC_SERVICE_H
#define MIDDEN_GC_SERVICE_H

#include <stdbool.h>

#include "midden/heap.h"
#include "midden/pressure.h"

typedef enum mid_mutator_state { MID_MUTATOR_NONE, MID_MUTATOR_RUNNING, MID_MUTATOR_BLOCKED } mid_mutator_state;

/* Is a sweep under way, and what would it have next: a slice while the program runs, one in a stop (mid_service_prove), or
 * nothing before the finalizers of another set have run? */
typedef enum mid_sweeping { MID_SWEEPS_NOT, MID_SWEEPS_RUNNING, MID_SWEEPS_STOPPED, MID_SWEEPS_WAITING } mid_sweeping;

/* Is a deep compaction under way, and what would it have next: a slice of reading, while the program runs, or one in a stop? */
typedef enum mid_deepening { MID_DEEPENS_NOT, MID_DEEPENS_RUNNING, MID_DEEPENS_STOPPED } mid_deepening;

typedef struct mid_snapshot {
    mid_mutator_state mutator;
    uint64_t allocated_bytes;    /* ever; stands still while the program is idle */
    uint64_t live_slot_bytes;    /* in pools */
    uint64_t large_bytes;        /* live blocks outside pools */
    uint64_t live_at_collection; /* live_slot_bytes + large_bytes + foreign_bytes after the last collection */
    uint64_t pool_bytes;         /* pools with at least one object */
    uint64_t empty_bytes;        /* empty pools held */
    uint64_t gain_bytes;         /* pools that a full evacuation would empty, pinned ones ignored */
    uint64_t waiting_objects;    /* on the work lists, now */
    bool unfinished;             /* a list with something on it was not worked off since the last snapshot */
    uint64_t finalizers_waiting; /* they need the mutator; the daemon cannot run them */
    uint64_t committed_bytes;
    uint64_t live_objects;       /* those outside pools not counted */
    uint64_t suspects;           /* logged and not yet walked from */
    uint64_t suspects_held;      /* of them, in the threads' own logs: a stop brings them in */
    uint64_t proposals;          /* what a stop has to prove, or to put straight */
    uint64_t array_slots;        /* references in large blocks, at most */
    uint64_t unresolved;         /* suspects of which no walk could tell: a sweep can */
    mid_sweeping sweeping;
    uint64_t table_bytes;        /* of the handle table, ... */
    uint64_t table_waste;        /* ... and what of it no object needs */
    mid_deepening deepening;
    uint64_t foreign_bytes;      /* outside the heap: mid_charge */
} mid_snapshot;

/* Take the place. `kick` is called by the mutator, from anywhere in the heap's code, when it has allocated `credit`
 * bytes (or freed as much) since the last call, enters a blocked region after something changed, detaches, collected by itself,
 * or reaches a safepoint while a stop is wanted; it must only signal (an eventfd). MID_EINVAL: taken. MID_ENULL. unbind waits
 * for a kick that is under way. */
MID_API mid_status mid_service_bind(mid_heap *heap, void (*kick)(void *context), void *context);
MID_API void mid_service_unbind(mid_heap *heap);
/* Called in the child of a fork, in the handler: no thread but the one that forked is there. After bind. */
MID_API void mid_service_on_fork(mid_heap *heap, void (*forked)(void *context));

MID_API const mid_options *mid_service_options(mid_heap *heap);
MID_API void mid_service_snapshot(mid_heap *heap, mid_snapshot *into);

/* Does the program let it collect, but for what was asked for? (mid_collect_disable) How often has it set thresholds? Any time. */
MID_API bool mid_service_collects(mid_heap *heap);
MID_API uint32_t mid_service_thresholds_set(mid_heap *heap);

/* The level of pressure that the program said last, and how often it has said one. Any time. */
MID_API mid_pressure_level mid_service_pressure(mid_heap *heap, uint64_t *times);

/* Stop the world: at once if no mutator runs; otherwise they are asked, and waited for at most
 * `wait_micros`. MID_OK: stopped, resume must follow. MID_EPOSTPONED: not in time; the request stands, and the mutator that
 * was late kicks when it reaches a safepoint and waits there a moment for the service to come back. `self`: the caller is this mutator and
 * at a safepoint (an attached event loop); else null. *waited (may be null): microseconds of wall time. */
MID_API mid_status mid_service_stop(mid_heap *heap, mid_thread *self, uint64_t wait_micros, uint64_t *waited);
MID_API void mid_service_resume(mid_heap *heap);
/* For which thread the last stop was postponed: its number and name. False: none was since this was last asked. */
MID_API bool mid_service_late(mid_heap *heap, char name[32]);

/* A running mutator need not be stopped to collect: when its live bytes (slots and large blocks) have grown by `least` and by
 * `percent` of what the last collection left, whoever made that, or suspects are many for so small a heap, it does so itself at its next safepoint, while what it just
 * dropped is still in its cache, and kicks afterwards. A `least` of UINT64_MAX, as at first: never. Any time. */
MID_API void mid_service_set_growth(mid_heap *heap, uint64_t least, uint64_t percent);

/* What it collected by itself since this was last asked; a snapshot taken afterwards shows it. The sizes are of the last
 * time, `longest` (micros) is of the longest. */
typedef struct mid_own_collections {
    uint64_t times, freed, micros, longest;
    uint64_t live_at_collection; /* after the collection before */
    uint64_t live_before, live_after;
    uint64_t suspects, suspects_most; /* the former may have been what called for it */
    mid_status status;
} mid_own_collections;
MID_API mid_own_collections mid_service_collected(mid_heap *heap);

/* Free what waits on the work list, except objects whose finalizers need the mutator. MID_OK, MID_MORE. */
MID_API mid_status mid_service_drain(mid_heap *heap, uint64_t budget_micros, uint64_t *freed);
/* As mid_collect (`result` is required, here and below); garbage with finalizers is queued for the mutator's next safepoint. */
MID_API mid_status mid_service_collect(mid_heap *heap, mid_collect_result *result);
/* As mid_compact, without the trim at its end. */
MID_API mid_status mid_service_compact(mid_heap *heap, uint64_t budget_micros, mid_compact_result *result);
/* Log suspects, for mid_service_propose, or not, but from `from` live bytes on: who logs them sees first that the heap is so large
 * (0: not by itself). A thread that finds `help_at` objects proposed and not proved, a suspect counting for eight, when its credit is
 * used up does a slice of this service's work at its next safepoint (0: never). Any time. */
MID_API void mid_service_log(mid_heap *heap, bool on, uint32_t help_at, uint64_t from);
/* Look for garbage cycles among what suspects reach, while the program runs; any time, not stopped. MID_OK: no suspect is left;
 * MID_MORE; MID_EBUSY: a mutator is at it; MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_service_propose(mid_heap *heap, uint64_t budget_micros, uint64_t *walked, uint64_t *proposed);
/* Begin a sweep of the whole heap (`start`), or go on with it, while the program runs. As mid_service_propose; MID_OK: it is
 * finished. */
MID_API mid_status mid_service_sweep(mid_heap *heap, uint64_t budget_micros, bool start);
/* Free what was proposed and is garbage; and take in what the threads have logged. MID_OK, MID_MORE, MID_EBUSY. */
MID_API mid_status mid_service_prove(mid_heap *heap, uint64_t budget_micros, uint64_t *freed);
/* Deep compaction, in the order of the option `deep`. What can be done while the program runs; any time, not stopped. Begins a pass if
 * none is under way. MID_OK: the rest needs stops; MID_MORE; MID_EBUSY: a mutator is at it; MID_ENOMEM, MID_ELIMIT: given up. */
MID_API mid_status mid_service_deep_read(mid_heap *heap, uint64_t budget_micros);
/* The rest. MID_OK: the pass is through; MID_MORE, MID_EBUSY (also: garbage is proposed, or a sweep under way), MID_ENOMEM,
 * MID_ELIMIT: given up. */
MID_API mid_status mid_service_deep(mid_heap *heap, uint64_t budget_micros, uint64_t *renamed);
/* Give empty pools beyond `keep_bytes` back, then move pools out of sparse arenas. */
MID_API mid_status mid_service_trim(mid_heap *heap, uint64_t budget_micros, uint64_t keep_bytes, uint64_t *returned);

/* What 64 KiB of an arena are used for. */
typedef enum mid_unit_use { MID_UNIT_UNUSED, MID_UNIT_EMPTY, MID_UNIT_PARTLY, MID_UNIT_FULL, MID_UNIT_OWNED, MID_UNIT_RUNS, MID_UNIT_LARGE, MID_UNIT_MEM } mid_unit_use;

/* MEM are pools of the domain mem, which stay where they are: class, live (those in caches included) and slots are filled in. EMPTY to
 * OWNED are pools of objects, with the rest of the figures. `live` are slots handed out, those in threads' caches included; `age`:
 * how many pools have been taken for objects since this one was; 0 for pools of six slots, whose descriptors have no room for it. */
typedef struct mid_unit {
    uint8_t use, size_class;
    uint16_t live, slots, pins;
    uint32_t age;
} mid_unit;

#define MID_UNITS 1024u /* of an arena, at most; the first hold its descriptors and are unused */
typedef struct mid_units {
    uintptr_t at;                /* of the arena: 16 MiB */
    uint32_t count, size;        /* units, bytes of one: those of a pool; known before the first arena too */
    uintptr_t table, table_size; /* the handle table: its address, bytes of address space */
    mid_unit units[MID_UNITS];
} mid_units;

/* The arena above the one that *into describes (`at` 0: the lowest). False: there is none; table and its size are filled in. Any
 * thread, any time; the heap's lock is held for one arena, so a map of several is of several moments. */
MID_API bool mid_service_units(mid_heap *heap, mid_units *into);

#endif
