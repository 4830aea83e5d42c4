/* midden/dict.h: dictionaries and sets that keep the order of insertion.
 *
 * A dictionary is an object like any other: it is counted, is held by slots, takes part in cycles, moves. So is a set. An entry takes
 * 8 bytes (of a set 4) and, beyond ten entries, 1 to 6 of index, and 4 more where the hash is kept; docs/design/dict.md has the layout.
 * After R. Hettinger's compact dictionary (PyPy 2015, CPython 3.6): entries lie densely, in order, and an index of 1, 2 or 4 bytes a
 * cell finds them.
 *
 * KEYS are compared by what a mid_keys says: by value (functions of the program's), as immediate integers, or by identity. A key is
 * any handle but 0, a value any, 0 too. Whatever is passed in is borrowed; what is put in is counted by the dictionary.
 *
 * THREADS. Every call is for attached threads, outside blocked regions and callbacks; none is a safepoint. Any number of threads may
 * read a dictionary (get, peek, contains, next, length) while none changes it; who changes it is alone with it: the program's lock
 * sees to that, as with the data in any object.
 *
 * TIME. A search takes some 1.5 looks at the index on average: it is at most two thirds full. Growth by doubling copies the entries,
 * and so does an insertion where deleted entries fill the room: one call in n takes time in proportion to n. mid_dict_reserve does it
 * beforehand. Nothing depends on the size of the heap. Hashes that are all equal make a search as long as the dictionary; integers
 * and identities that were chosen to collide are noticed at the insertion, and from then on hashed with a seed.
 *
 * CALLBACKS may use the heap, and the dictionary too: a search whose dictionary was changed meanwhile begins again, at most
 * MID_DICT_TRIES times, then it is MID_ECHANGED. They may reach a safepoint if the caller holds the dictionary and what he passes
 * counted. Values and keys that go are released last, when the dictionary is whole again.
 *
 * ERRORS of every call: MID_ENULL (thread, or a pointer that is required), MID_EHANDLE (no live object; as a key: 0), MID_ETYPE
 * (not a dictionary, or not a set; a key that is no immediate integer where they must be; a set that is sealed), MID_ETHREAD, MID_EBUSY
 * (from a callback of the heap). Of what inserts: MID_ENOMEM, MID_ELIMIT, MID_EPINNED (it would have to move, and is pinned), MID_ESIZE
 * (more than MID_DICT_MOST entries). Of what compares keys: MID_ECHANGED, and whatever status a callback returns, passed on.
 * After any of them the dictionary is as it was. */
#ifndef MIDDEN_DICT_H
#define MIDDEN_DICT_H

#include "object.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MID_DICT_MOST 1000000000u
#define MID_DICT_TRIES 64

/* How keys are hashed and compared. Equal keys must have equal hashes, and a key that is in a dictionary keeps its hash. The low bits of
 * a hash should differ; where keys come from strangers it should depend on a secret. Both return MID_OK, or what the call is to return. The structure must last as long as the heap. */
typedef struct mid_keys {
    mid_status (*hash)(mid_thread *thread, void *context, mid_handle key, uint32_t *hash);
    mid_status (*equal)(mid_thread *thread, void *context, mid_handle a, mid_handle b, int *equal); /* not called for a == b */
    void *context;
    /* Where keys are mostly objects of one type whose items are what they are compared by, byte by byte (strings), and which keep
     * their hash: that type, and the offset of the hash (a uint32_t; 0: not taken yet, `hash` is asked, and may write it there). Two
     * such keys are hashed and compared without a callback; `hash` and `equal` must agree with that, and serve all other keys. 0: none.
     * The hash is what is there shifted right by hash_shift, below 32: where low bits say something else. */
    mid_type strings;
    uint32_t hash_offset, hash_shift;
} mid_keys;

/* Immediate integers, and nothing else. */
MID_API extern const mid_keys mid_keys_int;
/* Handles: two keys are equal if they are the same object, or the same immediate integer. What such a dictionary holds as a key
 * keeps its handle in a deep compaction (as with MID_IDENTITY); its values need not. */
MID_API extern const mid_keys mid_keys_identity;

struct mid_kinds;
/* The kinds of kinds.h by value: numbers, strings, tuples by mid_kind_hash and mid_kind_equal, other objects by identity (which must be of
 * types with MID_IDENTITY then). Text is compared without a callback, interned text mostly by its handle. Written to *keys, which must, as
 * *kinds must, last as long as the heap, in its place. Any thread. MID_ENULL. A list, cell or record as a key: MID_ETYPE. */
MID_API mid_status mid_kinds_keys(const struct mid_kinds *kinds, mid_keys *keys);

/* --- dictionaries -------------------------------------------------------------------------------------------------- */

/* An empty dictionary; *out is counted. MID_ENULL also for a mid_keys that lacks a function;
 * MID_EINVAL: `strings` is no variable type without references, or the hash lies outside it. MID_ETYPES (the first in a heap registers
 * five types). */
MID_API mid_status mid_dict_new(mid_thread *thread, const mid_keys *keys, mid_handle *out);

/* The value of a key, counted. MID_EKEY: it is not there; *value is 0 then, and after every other error. */
MID_API mid_status mid_dict_get(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle *value);
/* The same [borrowed until the entry changes]; 0 also for what is not there, and mid_thread_status says why. */
MID_API mid_handle mid_dict_peek(mid_thread *thread, mid_handle dict, mid_handle key);
MID_API mid_status mid_dict_contains(mid_thread *thread, mid_handle dict, mid_handle key, int *there);

/* Let the key have that value. A key that is there stays, in its place, and only its value is replaced. */
MID_API mid_status mid_dict_set(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle value);
/* The same only if the key is not there. *there (may be null): the value that it has now, counted; *added (may be null): is it
 * the one that was passed in? One search. */
MID_API mid_status mid_dict_add(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle value, mid_handle *there, int *added);

/* Without the entry of a key. pop: its value, counted. MID_EKEY. Where less than an eighth of the room is in use afterwards, and
 * nobody is going through it, most of it is given back, if that can be done. */
MID_API mid_status mid_dict_delete(mid_thread *thread, mid_handle dict, mid_handle key);
MID_API mid_status mid_dict_pop(mid_thread *thread, mid_handle dict, mid_handle key, mid_handle *value);
/* The oldest or the youngest entry, both handles counted; `value` may be null. MID_EKEY: it is empty. Each in constant time, amortised: a
 * dictionary is a queue as well. No key is compared. */
MID_API mid_status mid_dict_pop_first(mid_thread *thread, mid_handle dict, mid_handle *key, mid_handle *value);
MID_API mid_status mid_dict_pop_last(mid_thread *thread, mid_handle dict, mid_handle *key, mid_handle *value);

MID_API mid_status mid_dict_length(mid_thread *thread, mid_handle dict, size_t *length);
/* Without entries; what they held is released. Of many they are released in pieces, here and at
 * safepoints, as what dies is; only where it is pinned, in a debug heap or without memory for 40 bytes all of them are let go of at once. */
MID_API mid_status mid_dict_clear(mid_thread *thread, mid_handle dict);
/* A dictionary of the same keys and values, in the same order, as small as it can be; *out is counted. */
MID_API mid_status mid_dict_copy(mid_thread *thread, mid_handle dict, mid_handle *out);
/* mid_dict_set of all entries of `from`, in its order. An error in between leaves those set that were. MID_ECHANGED: a callback changed `from`. */
MID_API mid_status mid_dict_update(mid_thread *thread, mid_handle dict, mid_handle from);

/* Room for `entries` in all: until there are as many, insertions need no memory. shrink: for no more than there are. */
MID_API mid_status mid_dict_reserve(mid_thread *thread, mid_handle dict, size_t entries);
MID_API mid_status mid_dict_shrink(mid_thread *thread, mid_handle dict);

/* Another number whenever an entry was added or went, or entries took other places (it wraps after 2^32 changes). Not when a value
 * was replaced. What was found under a number holds as long as it does. */
MID_API mid_status mid_dict_version(mid_thread *thread, mid_handle dict, uint32_t *version);

/* --- going through, in the order of insertion ------------------------------------------------------------------------ */

/* Begin with all zero: mid_dict_cursor cursor = {0}. */
typedef struct mid_dict_cursor {
    uint32_t at_, packed_;
} mid_dict_cursor;

/* The next entry, both handles [borrowed]; `value` may be null. MID_EKEY: there is no other. The dictionary may be changed meanwhile: values may
 * be replaced; what is deleted and was not reached yet does not come; what is added comes. To delete while going through is always
 * possible. MID_ECHANGED: entries have taken other places since (an insertion that had to make room where entries had been deleted;
 * clear, reserve, shrink), so that there is no telling where it was. Who wants to know of every change compares mid_dict_version. */
MID_API mid_status mid_dict_next(mid_thread *thread, mid_handle dict, mid_dict_cursor *cursor, mid_handle *key, mid_handle *value);

/* --- sets: keys without values ---------------------------------------------------------------------------------------- */

/* As their namesakes above. Calls of dictionaries take no set, and the other way round (MID_ETYPE). */
MID_API mid_status mid_set_new(mid_thread *thread, const mid_keys *keys, mid_handle *out);
MID_API mid_status mid_set_add(mid_thread *thread, mid_handle set, mid_handle key, int *added); /* `added` may be null */
MID_API mid_status mid_set_remove(mid_thread *thread, mid_handle set, mid_handle key);
MID_API mid_status mid_set_contains(mid_thread *thread, mid_handle set, mid_handle key, int *there);
MID_API mid_status mid_set_pop_first(mid_thread *thread, mid_handle set, mid_handle *key);
MID_API mid_status mid_set_pop_last(mid_thread *thread, mid_handle set, mid_handle *key);
MID_API mid_status mid_set_length(mid_thread *thread, mid_handle set, size_t *length);
MID_API mid_status mid_set_clear(mid_thread *thread, mid_handle set);
MID_API mid_status mid_set_copy(mid_thread *thread, mid_handle set, mid_handle *out); /* not sealed, whatever `set` is */
MID_API mid_status mid_set_update(mid_thread *thread, mid_handle set, mid_handle from);
MID_API mid_status mid_set_reserve(mid_thread *thread, mid_handle set, size_t entries);
MID_API mid_status mid_set_shrink(mid_thread *thread, mid_handle set);
MID_API mid_status mid_set_version(mid_thread *thread, mid_handle set, uint32_t *version);
MID_API mid_status mid_set_next(mid_thread *thread, mid_handle set, mid_dict_cursor *cursor, mid_handle *key);

/* A new set, *out counted, in the order of `a`, then of `b`. Both must have the same mid_keys (MID_ETYPE); nothing is hashed anew.
 * MID_ECHANGED: a callback changed `a` or `b`. */
MID_API mid_status mid_set_union(mid_thread *thread, mid_handle a, mid_handle b, mid_handle *out);
MID_API mid_status mid_set_intersection(mid_thread *thread, mid_handle a, mid_handle b, mid_handle *out);
MID_API mid_status mid_set_difference(mid_thread *thread, mid_handle a, mid_handle b, mid_handle *out);
/* Do both have the same keys, in whatever order? Is each of a's in b? As above. */
MID_API mid_status mid_set_equal(mid_thread *thread, mid_handle a, mid_handle b, int *equal);
MID_API mid_status mid_set_subset(mid_thread *thread, mid_handle a, mid_handle b, int *subset);

/* From now on it cannot be changed: a frozen set, which may be a key. Calls that would change it give MID_ETYPE. */
MID_API mid_status mid_set_seal(mid_thread *thread, mid_handle set);
/* Of all keys, whatever their order: sets that are equal have it in common. With mid_set_equal it makes a mid_keys of sealed sets.
 * MID_ETYPE: it is not sealed. Time grows with the entries. */
MID_API mid_status mid_set_hash(mid_thread *thread, mid_handle set, uint32_t *hash);

#ifdef __cplusplus
}
#endif
#endif
