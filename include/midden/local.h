/* midden/local.h: comfort for C programs: handles that are released at the end of a block, typed access to objects and their
 * slots, and types declared from one table. Macros and inline calls over object.h and type.h: each costs what the call that it
 * becomes costs, and with MIDDEN_DEBUG it becomes the checked one.
 *
 * Threads, safepoints and errors are those of the calls named. A macro evaluates each of its arguments once. */
#ifndef MIDDEN_LOCAL_H
#define MIDDEN_LOCAL_H

#include "object.h"

/* --- locals ----------------------------------------------------------------------------------------------------------
 *
 * MID_LOCAL(thread, name) declares a mid_handle variable `name`, 0 at first, and releases what is in it when its block ends, be
 * that by falling off, return, break, continue or goto. MID_LOCAL_OF(thread, name, value) starts it with `value` [consumed].
 *
 *     MID_LOCAL(thread, note);
 *     if (mid_new(thread, note_type, &note) != MID_OK)
 *         return MID_ENOMEM;                       // nothing to release
 *     MID_LOCAL_OF(thread, text, make_text(thread, words));
 *     if (text == 0)
 *         return MID_ENOMEM;                       // the note is released
 *     mid_give(thread, note, WORDS, MID_KEEP(text));
 *     *out = MID_KEEP(note);                       // it is the caller's now
 *     return MID_OK;
 *
 * MID_KEEP(name) gives the handle up: its value, counted, belongs to whoever takes it, and `name` is 0. `return name;` alone
 * returns what has just been released. MID_RESET(name, value) puts another one there [consumed], once what was there is
 * released. `name` is an ordinary variable otherwise: what is assigned to it must be counted, and what it held before is not
 * released by that.
 *
 * Released in the reverse order of declaration. Blocks nest; a macro stands where a declaration may. The thread must still be attached when
 * the block ends, outside blocked regions. longjmp and exit run nothing of this; a thread that is cancelled, or a C++ exception,
 * does if the function was compiled with -fexceptions. A jump past the declaration into its block is an error that not every compiler
 * reports. */
typedef struct mid_local_handle {
    mid_thread *thread_;
    mid_handle *handle_;
} mid_local_handle;

#define MID_LOCAL_OF(thread, name, value)                                                                              \
    mid_handle name = (value);                                                                                         \
    __attribute__((cleanup(mid_local_end_), unused)) mid_local_handle name##_local_ = {(thread), &name}
#define MID_LOCAL(thread, name) MID_LOCAL_OF(thread, name, 0)
#define MID_KEEP(name) mid_local_take(&(name))
#define MID_RESET(name, value) mid_local_reset_(&name##_local_, (value))

/* The same for a typed handle (below): MID_LOCAL_TYPED(thread, note, head) declares `note_ref head`. */
#define MID_LOCAL_TYPED(thread, type, name)                                                                            \
    type##_ref name = {0};                                                                                             \
    __attribute__((cleanup(mid_local_end_), unused)) mid_local_handle name##_local_ = {(thread), &name.handle}

#ifdef __cplusplus
extern "C" {
#endif

/* What is in a handle variable, which becomes 0: MID_KEEP as a function, for any variable that holds a counted handle. */
static inline mid_handle mid_local_take(mid_handle *handle)
{
    mid_handle value = *handle;
    *handle = 0;
    return value;
}
static inline void mid_local_end_(mid_local_handle *local)
{
    if (*local->handle_ != 0)
        mid_release(local->thread_, mid_local_take(local->handle_));
}
static inline void mid_local_reset_(mid_local_handle *local, mid_handle value)
{
    mid_handle before = *local->handle_;
    *local->handle_ = value;
    if (before != 0)
        mid_release(local->thread_, before);
}

#ifdef __cplusplus
}
#endif

/* --- typed access -------------------------------------------------------------------------------------------------------
 *
 * MID_GET(thread, struct note, handle): mid_get, as a struct note *. */
#define MID_GET(thread, type, handle) ((type *)mid_get((thread), (handle)))

/* The slot of a field, and of item (or element) `index` of a field that is an array. A field that is no mid_slot does not compile. */
#define MID_SLOT_OF(type, field) (MID_SLOT(type, field) + 0 * (unsigned)sizeof(((type *)0)->field.bits_))
#define MID_ITEM_OF(type, field, index)                                                                                \
    (MID_SLOT(type, field) + 0 * (unsigned)sizeof(((type *)0)->field[0].bits_) + (unsigned)(index))

/* The calls of object.h, by the name of the field: MID_LOAD(thread, handle, struct note, next). The last group takes an item or
 * element: MID_LOAD_ITEM(thread, handle, struct board, notes, 3). */
#define MID_LOAD(thread, handle, type, field) mid_load((thread), (handle), MID_SLOT_OF(type, field))
#define MID_PEEK(thread, handle, type, field) mid_peek((thread), (handle), MID_SLOT_OF(type, field))
#define MID_STORE(thread, handle, type, field, value) mid_store((thread), (handle), MID_SLOT_OF(type, field), (value))
#define MID_GIVE(thread, handle, type, field, value) mid_give((thread), (handle), MID_SLOT_OF(type, field), (value))
#define MID_SWAP(thread, handle, type, field, value) mid_swap((thread), (handle), MID_SLOT_OF(type, field), (value))
#define MID_TAKE(thread, handle, type, field) mid_take((thread), (handle), MID_SLOT_OF(type, field))
#define MID_INIT(thread, handle, type, field, value) mid_init((thread), (handle), MID_SLOT_OF(type, field), (value))
#define MID_SWAP_IF(thread, handle, type, field, expected, value)                                                      \
    mid_swap_if((thread), (handle), MID_SLOT_OF(type, field), (expected), (value))

#define MID_LOAD_ITEM(thread, handle, type, field, index) mid_load((thread), (handle), MID_ITEM_OF(type, field, index))
#define MID_PEEK_ITEM(thread, handle, type, field, index) mid_peek((thread), (handle), MID_ITEM_OF(type, field, index))
#define MID_STORE_ITEM(thread, handle, type, field, index, value)                                                      \
    mid_store((thread), (handle), MID_ITEM_OF(type, field, index), (value))
#define MID_GIVE_ITEM(thread, handle, type, field, index, value)                                                       \
    mid_give((thread), (handle), MID_ITEM_OF(type, field, index), (value))
#define MID_SWAP_ITEM(thread, handle, type, field, index, value)                                                       \
    mid_swap((thread), (handle), MID_ITEM_OF(type, field, index), (value))
#define MID_TAKE_ITEM(thread, handle, type, field, index) mid_take((thread), (handle), MID_ITEM_OF(type, field, index))
#define MID_INIT_ITEM(thread, handle, type, field, index, value)                                                       \
    mid_init((thread), (handle), MID_ITEM_OF(type, field, index), (value))

#include "declare.h"

#endif
