/* midden/inline.h: the layout that the fast paths share with the library, and the fast paths.
 *
 * Not for direct use: object.h and heap.h document these calls. Names that end in an underscore are the
 * library's own. Layouts are pinned by static assertions in gc/layout.c; changing one changes the ABI. */
#ifndef MIDDEN_INLINE_H
#define MIDDEN_INLINE_H

#include <stddef.h>
#include <stdint.h>

#include "type.h"

#define MID_LIKELY_(x) __builtin_expect(!!(x), 1)
#define MID_UNLIKELY_(x) __builtin_expect(!!(x), 0)

/* The count word. Bit 0: a reference to the object was dropped since the last collection and others stayed,
 * so it may have become part of a garbage cycle (it is a *suspect*; see also mid_thread.moved). Bits 1-30: the count. Bit 31: sticky.
 * 0 is a free entry, 1 one that is dying (on the work list, its references not yet released). */
#define MID_SUSPECT_ 1u
#define MID_ONE_ 2u
#define MID_DYING_ 1u
#define MID_STICKY_ 0xC0000000u

#define MID_ADDRESS_MASK_ 0x0000FFFFFFFFFFFFull
#define MID_TYPE_SHIFT_ 52

/* word: address in bits 0-47, flags in 48-51, type in 52-63.
 * link: of a free or dying entry, and of one queued for its finalizer, the next on its list; of other live ones, the place
 * for the count that threads other than the owner hold (always 0 while a heap has one mutator). */
typedef struct mid_entry {
    uint64_t word;
    uint32_t count;
    uint32_t link;
} mid_entry;

/* What mid_new needs of a type: the class whose cache serves it, and the words to clear. Types that mid_new
 * does not serve, and numbers that are no type, name the class MID_CLASSES_, whose cache is always empty. */
typedef struct mid_fast_type {
    uint16_t size_class;
    uint16_t words;
} mid_fast_type;

#define MID_CLASSES_ 80

/* Objects are the program's, of whatever type. */
typedef uint64_t __attribute__((may_alias)) mid_word_;

struct mid_thread {
    mid_entry *table;
    const mid_fast_type *types; /* MID_TYPES_MAX + 1 of them */
    uint32_t stop;              /* not 0: mid_safepoint has something to do */
    uint32_t status;            /* mid_thread_status */
    uint32_t moved;             /* not 0: a counted handle went into a slot since the last collection */
    uint32_t reserved_;
    /* Free slots of each size class that this thread may use: a list of handles through mid_entry.link (a free
     * slot keeps its entry, so one list serves both), and how many are on it. */
    uint32_t head[MID_CLASSES_ + 1];
    uint32_t left[MID_CLASSES_ + 1];
};

#ifdef __cplusplus
extern "C" {
#endif

MID_API mid_handle mid_new_slow_(mid_thread *thread, mid_type type);
MID_API void mid_retain_slow_(mid_thread *thread, mid_handle value);
MID_API void mid_release_slow_(mid_thread *thread, mid_handle value);
MID_API mid_status mid_safepoint_slow_(mid_thread *thread);

static inline int mid_is_object_(mid_handle value)
{
    return value != 0 && (value & 1u) == 0;
}

static inline mid_entry *mid_entry_(mid_thread *thread, mid_handle object)
{
    return (mid_entry *)((char *)thread->table + (size_t)object * (sizeof(mid_entry) / 2));
}

static inline void *mid_get(mid_thread *thread, mid_handle object)
{
    return (void *)(uintptr_t)(mid_entry_(thread, object)->word & MID_ADDRESS_MASK_);
}

static inline mid_status mid_safepoint(mid_thread *thread)
{
    if (MID_LIKELY_(__atomic_load_n(&thread->stop, __ATOMIC_RELAXED) == 0))
        return MID_OK;
    return mid_safepoint_slow_(thread);
}

static inline mid_handle mid_retain(mid_thread *thread, mid_handle value)
{
    if (mid_is_object_(value)) {
        mid_entry *entry = mid_entry_(thread, value);
        uint32_t count = entry->count;
        if (MID_LIKELY_((int32_t)count >= (int32_t)MID_ONE_))
            entry->count = count + MID_ONE_;
        else
            mid_retain_slow_(thread, value);
    }
    return value;
}

static inline void mid_release(mid_thread *thread, mid_handle value)
{
    if (mid_is_object_(value)) {
        mid_entry *entry = mid_entry_(thread, value);
        uint32_t count = entry->count;
        if (MID_LIKELY_((int32_t)count >= (int32_t)(2 * MID_ONE_)))
            entry->count = (count - MID_ONE_) | MID_SUSPECT_;
        else
            mid_release_slow_(thread, value);
    }
}

static inline mid_slot *mid_slot_(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return (mid_slot *)mid_get(thread, holder) + slot;
}

static inline mid_handle mid_peek(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return mid_slot_(thread, holder, slot)->bits_;
}

static inline mid_handle mid_load(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return mid_retain(thread, mid_peek(thread, holder, slot));
}

static inline mid_handle mid_swap(mid_thread *thread, mid_handle holder, unsigned slot,
                                  mid_handle value)
{
    mid_slot *at = mid_slot_(thread, holder, slot);
    mid_handle old = at->bits_;
    at->bits_ = value;
    /* A cycle may lose its last holder to itself so, and no count tells. */
    thread->moved |= value;
    return old;
}

static inline mid_handle mid_take(mid_thread *thread, mid_handle holder, unsigned slot)
{
    return mid_swap(thread, holder, slot, 0);
}

static inline void mid_give(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    mid_release(thread, mid_swap(thread, holder, slot, value));
}

static inline void mid_store(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    mid_give(thread, holder, slot, mid_retain(thread, value));
}

static inline mid_status mid_new(mid_thread *thread, mid_type type, mid_handle *out)
{
    if (MID_UNLIKELY_(type > MID_TYPES_MAX))
        type = 0; /* which no type is */
    const mid_fast_type fast = thread->types[type];
    mid_handle made = thread->head[fast.size_class];
    if (MID_UNLIKELY_(made == 0)) {
        *out = made = mid_new_slow_(thread, type);
        return made != 0 ? MID_OK : (mid_status)thread->status;
    }
    mid_entry *entry = mid_entry_(thread, made);
    uint64_t address = entry->word & MID_ADDRESS_MASK_;
    thread->head[fast.size_class] = entry->link;
    thread->left[fast.size_class]--;
    entry->word = address | (uint64_t)type << MID_TYPE_SHIFT_;
    entry->count = MID_ONE_;
    entry->link = 0;
    mid_word_ *words = (mid_word_ *)(uintptr_t)address;
    for (unsigned i = fast.words; i != 0; i--) {
        *words++ = 0;
        /* Objects are mostly of a few words: keep the compiler from calling memset. */
        __asm__ volatile("" : "+r"(words));
    }
    *out = made;
    return MID_OK;
}

#ifdef __cplusplus
}
#endif
#endif
