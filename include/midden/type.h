/* midden/type.h: types tell the heap the shape of objects: their size, where their references are, and
 * what has to happen when they die. Types are per heap and live as long as the heap.
 *
 * Objects have no header. A reference inside an object is a mid_slot, four bytes, which only the calls of
 * object.h write; slots are numbered by their place in the object: slot n is at byte 4 n, and
 * MID_SLOT(struct node, left) gives the number of a field. */
#ifndef MIDDEN_TYPE_H
#define MIDDEN_TYPE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct mid_heap mid_heap;
typedef struct mid_thread mid_thread;

/* An object, named for as long as it lives. 0 names nothing; odd values are immediate integers. */
typedef uint32_t mid_handle;
/* A reference inside an object. Zero-filled it is empty. Not to be assigned: see object.h. */
typedef struct mid_slot {
    mid_handle bits_;
} mid_slot;
/* A registered type: 1 to MID_TYPES_MAX. */
typedef uint32_t mid_type;
#define MID_TYPES_MAX 4095u

#define MID_SLOT(type, member) ((unsigned)(offsetof(type, member) / sizeof(mid_slot)))

/* Handed to trace functions; see mid_visit. */
typedef struct mid_visitor {
    void (*visit)(struct mid_visitor *visitor, const mid_slot *slot);
} mid_visitor;

enum {
    /* No object of this type can be on a cycle of references, whatever a program does: the cycle
     * collector never looks at it. A type without references is acyclic without saying so. A false
     * claim leaks. */
    MID_ACYCLIC = 1u << 0,
    /* New objects of this type, or new items, are not cleared: they hold whatever was in memory, for leaf data that is written
     * at once. Of a variable type the part before the items is cleared all the same. Only for types without references. */
    MID_UNCLEARED = 1u << 1,
    /* The trace function may run at any time on any thread, while mutators change the object, and even after it has died: it reads
     * nothing but the object's own bytes, each slot once, trusts none of them (a number of slots is to be bounded), and calls
     * nothing but mid_visit. Cycles through such objects are then found without stopping the program; through other traced objects
     * only while it is stopped. Not checked. */
    MID_TRACE_RACES = 1u << 2,
    /* The slots hold identities: the program has hashed or ordered objects of this type's slots by their handles. What they refer
     * to keeps its handle, also in a deep compaction, as long as they do. */
    MID_IDENTITY = 1u << 3,
    /* New objects of this type are immortal: never counted, never freed while the heap is open, free to share. */
    MID_IMMORTAL = 1u << 4,
    /* Equal objects can be made one: mid_intern, in policy.h. `hash` and `equal` say what is equal. */
    MID_INTERNED = 1u << 5,
};

/* What a field holds. Integers and floating point of the usual sizes; anything else is shown as bytes. */
typedef enum mid_field_kind {
    MID_FIELD_REF = 1, /* a mid_slot */
    MID_FIELD_INT, MID_FIELD_UINT, MID_FIELD_FLOAT,
    MID_FIELD_TEXT,    /* characters; the first zero byte, if there is one, ends them */
    MID_FIELD_POINTER, /* the address is shown, and never followed */
    MID_FIELD_BYTES,
} mid_field_kind;

/* A field of objects, by name, for whoever looks at a heap: dumps (dump.h), snapshots (inspect.h), the debugger. A field at
 * `size` of a type of variable size is its items. midden/local.h writes these from a table. */
typedef struct mid_field {
    const char *name; /* copied, at most 63 bytes are kept; required */
    uint32_t offset;  /* bytes into the object */
    uint32_t size;    /* bytes of one element */
    uint32_t count;   /* elements, of an array; else 1 (also if 0). Of items: 1, their number is the object's */
    uint32_t kind;    /* mid_field_kind */
} mid_field;
#define MID_FIELDS_MAX 1024u

typedef struct mid_type_desc {
    size_t struct_size;   /* sizeof(mid_type_desc); a program compiled before a member was added at the end gives what it knew */
    const char *name;     /* for reports; copied, at most 63 bytes are kept. Required. */
    size_t size;          /* bytes of an object; of a variable one, of the part before its items */
    size_t align;         /* of objects: 8 (also if 0), 16, 32 or 64 */
    uint32_t flags;       /* MID_ACYCLIC, MID_UNCLEARED, MID_TRACE_RACES, MID_IDENTITY, MID_IMMORTAL, MID_INTERNED */

    /* Reference slots at fixed places: byte offsets, multiples of 4, inside `size`. Copied. */
    const uint32_t *ref_offsets;
    size_t ref_count;

    /* Variable size: items of this many bytes follow `size` (0: fixed size). The heap keeps the number of
     * items in the uint32_t at length_offset, inside `size`; the program reads it and never writes it. */
    size_t item_size;
    size_t length_offset;
    int items_are_refs;   /* the items are mid_slots; item_size is 4 and size a multiple of 4 */

    /* Instead of (or on top of) declared slots: call mid_visit for every other slot of the object. Runs on any thread: while the
     * world is stopped, the object is dying, or one thread alone uses it (mid_resize); in checked calls (debug.h) also
     * while other threads use the object (see also MID_TRACE_RACES). It may read this object, and
     * nothing else of the heap. Each slot is visited exactly once. */
    void (*trace)(const void *object, mid_visitor *visitor);

    /* Runs once in an object's life, when nothing holds it any more, on any attached thread (`thread` is its), inside
     * mid_release and its kin, mid_resize, or a safepoint call. `object` is borrowed and whole, its references
     * too. Weak references to it are already cleared. A finalizer that stores `object` somewhere
     * resurrects it; the next time it dies without a call. It must not end its thread. It may use the heap freely, except mid_collect,
     * mid_compact, blocked regions, detach and close (MID_EBUSY); a safepoint in it is none. */
    void (*finalize)(mid_thread *thread, mid_handle object);

    /* Memory outside the heap that belongs to an object: the void * at payload_offset (8-aligned), if it is
     * not null, is handed to payload_free when the object is freed (mid_heap_destroy included), after the
     * finalizer, on any thread, possibly while the world is stopped. It must not call the heap, but for mid_mem_free_anywhere, mid_uncharge, mid_uncharge_block and mid_raw_*. */
    void (*payload_free)(void *payload, void *context);
    size_t payload_offset;
    void *payload_context;

    /* Names and kinds of fields; copied. All or some, in any order; they do not change what objects are, with one exception: if
     * ref_offsets is null and ref_count 0, the fields of kind MID_FIELD_REF inside `size` are the slots, and need not be
     * listed again. Otherwise each of them must be among ref_offsets, or named by a trace function. */
    const mid_field *fields;
    size_t field_count;   /* at most MID_FIELDS_MAX */

    /* HOW ITS MEMORY IS KEPT (policy.h); all of it may be 0. A program compiled before there was any passes its smaller struct_size.
     *
     * Up to `keep` objects that have died (finalizer run, references released, weak references cleared) wait to be new ones, in
     * place of being freed, and their payload stays with them: a new object may have one already, for its maker to use again. For
     * types whose payload, or size above 32 KiB, costs more to make than to keep. `ahead`: so many are made with the type, and wait from
     * the beginning; `keep` is at least that. Fixed size, no trace function, not MID_IMMORTAL. At most 2^20 of each. They count as
     * live objects in statistics. A debug heap makes ahead, and keeps nothing that was used. */
    uint32_t keep, ahead;
    /* Up to so many interned objects that nothing holds any more stay whole, to be found again; the oldest goes first. Of MID_INTERNED
     * types without a finalizer, for objects up to 32 KiB. A weak reference to such an object may find it again, too. */
    uint32_t cached;
    /* All that is kept or cached, but for what was made ahead, is given up by mid_trim, mid_reclaim, an allocation that would
     * otherwise fail, and a daemon's trimming of an idle program or under pressure. */

    /* With MID_INTERNED, both: of an object's own bytes, the same for as long as it is interned. On any thread, with a lock held: they may
     * not call the heap, nor block. */
    uint32_t (*hash)(const void *object, void *context);
    int (*equal)(const void *a, const void *b, void *context);
    void *policy_context;
} mid_type_desc;

#ifdef __cplusplus
extern "C" {
#endif

/* Register a type; *out is its number. Attached thread or, while none is attached, any. Not a safepoint.
 * MID_ENULL: heap, desc, name or out is null. MID_EINVAL: a slot outside the object, misaligned or
 * declared twice, a length outside, an unknown flag, MID_UNCLEARED with references or a payload, MID_TRACE_RACES without a trace function, an align or a struct_size that is none,
 * a field without a name, outside the object, of no kind, or of a size that its kind cannot have, a field of references that are no slots, a policy that
 * does not fit the type. MID_ETHREAD: also if objects are to be made ahead and the caller is not attached.
 * MID_ESIZE: size above 2^40, more than 2^20 objects kept. MID_ETYPES: MID_TYPES_MAX are registered. MID_ENOMEM, MID_ELIMIT. */
MID_API mid_status mid_type_register(mid_heap *heap, const mid_type_desc *desc, mid_type *out);

/* The name under which a type was registered; null if it was not. Valid until the heap closes. */
MID_API const char *mid_type_name(mid_heap *heap, mid_type type);

/* Field `index` (from 0) of a type, in the order of registration: *out's name is valid until the heap closes. Any thread.
 * MID_ENULL; MID_ETYPE: not registered; MID_EINVAL: there are not as many. */
MID_API mid_status mid_type_field(mid_heap *heap, mid_type type, size_t index, mid_field *out);

/* From a trace function: this is one of the object's slots. */
static inline void mid_visit(mid_visitor *visitor, const mid_slot *slot)
{
    visitor->visit(visitor, slot);
}

#ifdef __cplusplus
}
#endif
#endif
