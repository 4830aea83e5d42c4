/* midden/kinds.h: the kinds of values that most runtimes need, written on top of types: the library that is also the example of how
 * to write types (gc/kinds/README.md). Integers and floats: kind_number.h; byte strings and text: kind_string.h; tuples and
 * lists: kind_sequence.h; cells, shapes and records: kind_record.h. Here: how they are opened, and what works on all of them.
 *
 * A value is a handle: 0 is *nothing* (None, nil), an odd one is an integer by itself, anything else names an object.
 *
 * THREADS, ERRORS. Every call is for an attached thread, with its own mid_thread, outside blocked regions and callbacks; none is a
 * safepoint but where it says so. A call that returns a mid_status checks its arguments and changes nothing when it fails:
 * MID_ENULL (thread, kinds or a required pointer is null), MID_ETHREAD, MID_EBUSY (as in object.h), MID_EINVAL (the thread is of
 * another heap than the kinds; an index or a bound is out of range), MID_EHANDLE (stale, foreign, nothing where something
 * is needed), MID_ETYPE (a value of another kind), MID_ESIZE, MID_ENOMEM, MID_ELIMIT. `*out` is 0 after a failure, and counted
 * after success unless marked [borrowed]. Values handed in are borrowed unless marked [consumed]. The inline calls check nothing
 * about the handle, as those of object.h. Numbers, strings and tuples never change once made, so any thread may read
 * them; lists, cells and records are the program's to protect against threads that change them at the same time. */
#ifndef MIDDEN_KINDS_H
#define MIDDEN_KINDS_H

#include "object.h"

typedef enum mid_value_kind {
    MID_KIND_NONE,    /* an object of a type that is none of these */
    MID_KIND_NOTHING, /* handle 0 */
    MID_KIND_INT,     /* an immediate integer, or a boxed int64_t */
    MID_KIND_FLOAT,
    MID_KIND_BYTES,
    MID_KIND_TEXT,
    MID_KIND_TUPLE,
    MID_KIND_LIST,
    MID_KIND_CELL,
    MID_KIND_SHAPE,
    MID_KIND_RECORD,
    MID_KIND_COUNT
} mid_kind;

/* Tuples of up to so many values are fixed-size objects without a length of their own, a type for each length. */
#define MID_TUPLE_FIXED 8

/* What mid_kinds_open found out: the caller's memory, to be kept for as long as it is used, and read only. It holds no handle, so
 * it may be copied. `shown` gives a type's kind, with the length of a short tuple in the upper four bits. */
typedef struct mid_kinds {
    mid_heap *heap;
    uint64_t seed; /* of hashes: another for each opening, so that nobody can prepare keys that collide */
    mid_type integer, real, bytes, text, list, cell, shape, record;
    mid_type tuple[MID_TUPLE_FIXED + 1]; /* by length; [0]: of any length */
    unsigned char shown[MID_TYPES_MAX + 1];
} mid_kinds;

#ifdef __cplusplus
extern "C" {
#endif

/* Register the kinds' types in a heap. Attached thread or, while none is attached, any. Opened twice they are two sets of kinds. Not
 * a safepoint. Errors as for mid_type_register; types registered before a failure stay. */
MID_API mid_status mid_kinds_open(mid_heap *heap, mid_kinds *kinds);

/* A value's kind; MID_KIND_NONE also for what is no value of this heap, and for null arguments. */
MID_API mid_kind mid_kind_of(mid_thread *thread, const mid_kinds *kinds, mid_handle value);
/* "int", "text" ...; never null, also for a value that is none. Any thread. */
MID_API const char *mid_kind_name(mid_kind kind);

/* A hash: equal values have the same. Of numbers by value (1 and 1.0 are equal), strings by content, tuples by their
 * values, other objects of no kind by identity: their handle, so protect it (MID_IDENTITY). MID_ETYPE: a list, cell, record or shape,
 * which may change; also inside a tuple. Time grows with the value, but for strings whose hash was taken before. */
MID_API mid_status mid_kind_hash(mid_thread *thread, const mid_kinds *kinds, mid_handle value, uint32_t *hash);

/* Are they equal? Numbers by value, a NaN to nothing but the same object; strings by content, byte strings and text never;
 * tuples, lists, cells and records (of the same shape) by what is in them; anything else if it is the same object. Structures that
 * contain themselves are equal if no difference can be found. No recursion; takes memory from the heap for nested values. */
MID_API mid_status mid_kind_equal(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, int *equal);

/* The order of two numbers, strings, tuples or lists: *order is negative, 0 or positive. Nothing comes before everything.
 * MID_ETYPE: they have none (other kinds, different kinds, a NaN). Of structures that contain themselves as for mid_kind_equal. */
MID_API mid_status mid_kind_compare(mid_thread *thread, const mid_kinds *kinds, mid_handle a, mid_handle b, int *order);

/* Write a value as text: 1, 2.5, b"\x00", "text", (1, 2), [1, 2], <cell 1>, <point x=1 y=2>. A value that is inside
 * itself is written as [...], (...) or <...>. `write` gets pieces, in order; it is a callback and may not call the heap (MID_EBUSY there).
 * No recursion; takes memory from the heap for nested values. */
typedef void mid_kind_write(void *context, const char *text, size_t bytes);
MID_API mid_status mid_kind_print(mid_thread *thread, const mid_kinds *kinds, mid_handle value, mid_kind_write *write, void *context);

#ifdef __cplusplus
}
#endif

#include "kind_number.h"
#include "kind_record.h"
#include "kind_sequence.h"
#include "kind_string.h"
#endif
