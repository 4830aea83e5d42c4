/* tests/stress/model.h: a plain C model of the object graph, kept beside the heap.
 *
 * The model knows every object by an id, what its slots refer to, who holds it and how often, and applies the counting
 * semantics at once: an object without references is dead, and so is what only it referred to. The heap may be behind
 * (its work list is drained in batches), never ahead:
 *
 *   live in the model          => live in the heap, with at least as many references
 *   and nothing waits in heap  => the same objects, the same counts
 *
 * An object whose finalizer has not run when its count falls to 0 is *pending*: it keeps its references until the heap
 * calls the finalizer. Cyclic garbage stays until the model's own collection (collect_begin ... collect_commit).
 * When the daemon collects on its own (`loose`), only what is reachable from outside is certain. */
#ifndef STRESS_MODEL_H
#define STRESS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "midden/midden.h"

struct kind;

/* What a slot holds: 0, an immediate integer (odd: the handle's own bits), or a struct obj *. */
typedef uintptr_t val;

/* External memory of one object. The record outlives the object, so that a second free is seen. */
struct payload {
    struct payload *next;
    uint64_t id;
    bool due;  /* the model says that the object is dead */
    int freed; /* how often the heap has freed it; atomic: the daemon's thread may */
};

struct obj {
    uint64_t id;
    mid_handle handle;
    const struct kind *kind;
    struct obj *chain; /* of the handle map */
    size_t index;      /* in model.live */
    uint32_t items;
    uint32_t pattern; /* contents: a function of this and the place */
    uint32_t mask;    /* trace types: which words are references */
    uint32_t count;   /* references from slots + held */
    uint32_t held;    /* from outside */
    uint32_t pins;
    uint32_t weaks;
    uint32_t pairs, names; /* whose key, whose value it is: pairs.c */
    uint32_t traced;       /* by which session of tracing; 0: by none; UINT32_MAX: nobody knows */
    uint32_t gc; /* scratch of collections */
    bool sticky, finalized, pending, in_call, dead, marked;
    bool in_garbage; /* of the collection under way */
    bool in_final;   /* of it, with a finalizer to run */
    bool doubted;    /* loose: was unreachable once, so the daemon may have cleared weak references to it */
    bool gone;       /* loose: the heap gave its handle to another object */
    bool resized;
    void *address;   /* as last seen, good while epoch is the run's */
    uint64_t epoch;
    struct payload *payload;
    uint32_t slot_count;
    val *slots;
};

struct weak {
    mid_weak handle;
    struct obj *target; /* null: cleared */
    uint64_t id;
};

struct pointers {
    struct obj **at;
    size_t count, room;
};

#define MAP_SIZE 16384u
#define DROPPED 32u

struct model {
    struct pointers live;    /* everything that is not dead */
    struct pointers work;    /* count is 0, references not yet dropped */
    struct pointers grave;   /* dead, freed between two operations */
    struct pointers garbage; /* of the collection under way */
    struct obj *map[MAP_SIZE];
    struct weak *weak;
    size_t weak_count, weak_room;
    mid_weak dropped[DROPPED]; /* the latest */
    unsigned dropped_at;
    struct payload *payloads;
    uint64_t next_id;
    size_t bytes; /* asked for, of live objects */
    size_t big;   /* live objects that no pool holds */
    uint64_t made;
    uint64_t killed; /* steps of the work list: an object, 8 slots of an array, a page of a large block */
    size_t pending, pinned;
    size_t due, freed;  /* payloads of dead objects, payloads freed (atomic) */
    size_t finals_left;          /* finalizers that the collection under way still has to run */
    bool collecting, committed, working;
    mid_handle tomb[64]; /* handles of the latest dead */
    unsigned tomb_at;
};

extern struct model model;

static inline struct obj *val_obj(val v)
{
    return (v & 1u) != 0 ? NULL : (struct obj *)v;
}
static inline mid_handle val_handle(val v)
{
    struct obj *o = val_obj(v);
    return o != NULL ? o->handle : (mid_handle)v;
}

void pointers_add(struct pointers *list, struct obj *o);

/* A new object, live, with no references to it yet. */
struct obj *model_add(mid_handle handle, const struct kind *kind, uint32_t items);
struct obj *model_find(mid_handle handle);
void model_unmap(struct obj *o);
uint64_t model_steps(const struct obj *o);
/* What has one handle gets the other, and the other way round; either may have none. */
void model_rename(mid_handle from, mid_handle to);
/* One reference more or less; at 0 the object and what it alone held die, finalizers become pending. */
void model_ref(struct obj *o);
void model_unref(struct obj *o);
/* `v` into a slot, whose reference it takes over (the caller has counted it); returns what was there, counted. */
val model_swap(struct obj *holder, uint32_t slot, val v);
void model_set_slots(struct obj *o, uint32_t count);
void model_kill_if_unheld(struct obj *o);
void model_clear_weaks(struct obj *o);
struct weak *model_weak_add(mid_weak handle, struct obj *target);
void model_weak_remove(struct weak *w);
/* Free what died since; no struct obj of a dead object may be used after it. */
void model_bury(void);

/* A collection: begin computes what is garbage and changes nothing else; commit clears weak references, makes finalizers
 * pending and, if there are none, kills; settle is called after each finalizer and kills what is still garbage when the
 * last has run; end forgets. */
size_t model_collect_begin(void);
void model_collect_commit(void);
void model_collect_settle(struct obj *finalized);
void model_collect_end(void);
/* Short of memory the heap leaves garbage with finalizers, and what those reach, to the next collection. */
void model_collect_abandon(void);
/* Loose: the heap found part of the garbage earlier, and a finalizer of that part has made more of it reachable again before the
 * heap found that too, so its finalizers are not due any more. Returns how many. */
size_t model_collect_resurrect(void);

/* Mark what is reachable from outside; returns how many objects are not. */
size_t model_mark_reachable(void);
void model_drop_all(void);

#endif
