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

/* COUNTS ARE BIASED to the thread that made the object, its *owner* (Choi, Shull, Torrellas, "Biased reference counting",
 * PACT 2018; PEP 703): the owner counts in `count` with plain loads and stores, all others in `shared`, atomically; an
 * object's count is the sum. docs/design/threads.md has the protocol.
 *
 * count. Bit 0: the owner dropped a reference and others stayed, so the object may have become part of a garbage cycle (it is
 * a *suspect*, and was logged when it became one; what cannot be in a cycle is born with the bit; see also mid_thread.moved).
 * Bits 1-2: how often it was looked at as a suspect, and was alive. Bits 3-20: the owner's count, never 0 while it is the
 * owner. Bits 21-30: the owner. Bit 31: sticky. As a whole: 0 is a free entry, 1 one that is dying, MID_UNOWNED_ (but for the age)
 * an object without an owner, whose count is all in `shared`. */
#define MID_SUSPECT_ 1u
#define MID_AGE_ONE_ 2u
#define MID_AGES_ 6u
#define MID_ONE_ 8u
#define MID_DYING_ 1u
#define MID_OWNER_SHIFT_ 21
#define MID_LOCAL_ (1u << MID_OWNER_SHIFT_)
#define MID_UNOWNED_ (1023u << MID_OWNER_SHIFT_)
#define MID_STICKY_ 0xC0000000u

/* shared. Of a live object odd: flags, and above them the signed count of the others. Of any other even: the next handle on
 * the list that it is on. So nobody can count up what has died, whatever he last read. */
#define MID_LIVE_ 1u
#define MID_ESCAPED_ 2u        /* other threads may find it in a slot: its death takes an atomic operation */
#define MID_MERGED_ 4u         /* it has no owner any more */
#define MID_QUEUED_ 8u         /* its owner was told that others let go of more than they held */
#define MID_SHARED_SUSPECT_ 16u
#define MID_ESCAPING_ 32u      /* a thread that loads it for the first time is making sure of its owner */
#define MID_SHARED_ONE_ 64u

#define MID_ADDRESS_MASK_ 0x0000FFFFFFFFFFFFull
#define MID_TYPE_SHIFT_ 52

/* word: address in bits 0-47, flags in 48-51, type in 52-63. */
typedef struct mid_entry {
    uint64_t word;
    uint32_t count;
    uint32_t shared;
} mid_entry;

/* What mid_new needs of a type: the class whose cache serves it, the low bits of its objects' first count, and the words to
 * clear. Types that mid_new does not serve, and numbers that are no type, name the class MID_CLASSES_, whose cache is always
 * empty. Those of small items, which mid_new_array serves, are marked by MID_FAST_ITEMS_ instead of words. */
typedef struct mid_fast_type {
    uint8_t size_class;
    uint8_t born; /* MID_ONE_, and the suspect bit if it cannot be in a cycle */
    uint16_t words;
} mid_fast_type;

#define MID_FAST_ITEMS_ 0x8000u

#define MID_CLASSES_ 80

/* Objects are the program's, of whatever type. */
typedef uint64_t __attribute__((may_alias)) mid_word_;

struct mid_thread {
    mid_entry *table;
    const mid_fast_type *types; /* MID_TYPES_MAX + 1 of them */
    uint64_t bias;              /* this thread as an owner, in place; of a type no count has, so that it is not reloaded after each */
    uint64_t twice;             /* the count word of a suspect that it owns and counts twice: what mid_release serves begins there */
    uint32_t stop;              /* not 0: mid_safepoint has something to do */
    uint32_t status;            /* mid_thread_status */
    uint32_t moved;             /* not 0: a counted handle went into a slot since the last collection */
    uint32_t alone;             /* not 0: no other thread can be attached (option `shared` is off) */
    uint32_t fresh;             /* `shared` of an object just made */
    uint32_t dying;             /* the object whose death this thread is deciding: see gc/count.h */
    /* Free slots of each size class that this thread may use: a list of handles through mid_entry.shared (a free
     * slot keeps its entry, so one list serves both), and how many are on it. */
    uint32_t head[MID_CLASSES_ + 1];
    uint32_t left[MID_CLASSES_ + 1];
};

/* Accesses that race with other threads' and order nothing: one instruction each, of a word of 32 or 64 bits. gcc takes a relaxed
 * atomic access for one that may touch all memory, and loads thread->table and the bias anew after each; so they are volatile
 * ones (as READ_ONCE and WRITE_ONCE of Linux), which compile to the same instruction. A race detector gets the atomic ones. */
#if defined(__SANITIZE_THREAD__)
#define MID_ATOMICS_
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MID_ATOMICS_
#endif
#endif
#ifdef MID_ATOMICS_
#define MID_READ_(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)
#define MID_WRITE_(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELAXED)
#else
#define MID_READ_(place) (*(const volatile __typeof__(place) *)&(place))
#define MID_WRITE_(place, value) ((void)(*(volatile __typeof__(place) *)&(place) = (value)))
#endif

#ifdef __cplusplus
extern "C" {
#endif

MID_API mid_handle mid_new_slow_(mid_thread *thread, mid_type type);
MID_API void mid_retain_slow_(mid_thread *thread, mid_handle value);
MID_API void mid_release_slow_(mid_thread *thread, mid_handle value);
MID_API mid_handle mid_load_slow_(mid_thread *thread, mid_handle holder, unsigned slot);
MID_API void mid_escape_(mid_thread *thread, mid_handle value);
MID_API mid_status mid_safepoint_slow_(mid_thread *thread);

/* Below MID_LOCAL_ for what this thread owns: the owner's count, and the suspect bit. */
static inline uint32_t mid_mine_(const mid_thread *thread, uint32_t count)
{
    return count ^ (uint32_t)thread->bias;
}

static inline int mid_is_object_(mid_handle value)
{
    return value != 0 && (value & 1u) == 0;
}

static inline mid_entry *mid_entry_(mid_thread *thread, mid_handle object)
{
    return (mid_entry *)((char *)thread->table + (size_t)object * (sizeof(mid_entry) / 2));
}

/* Another thread may set a flag (weak, pinned) while this reads the address beside it. Both are single 64-bit accesses, and the
 * flags are masked out, so an ordinary load will do, which the compiler may share between neighbouring calls. */
#ifdef MID_ATOMICS_
#define MID_WORD_(entry) MID_READ_((entry)->word)
#else
#define MID_WORD_(entry) ((entry)->word)
#endif

static inline void *mid_get(mid_thread *thread, mid_handle object)
{
    return (void *)(uintptr_t)(MID_WORD_(mid_entry_(thread, object)) & MID_ADDRESS_MASK_);
}

static inline mid_status mid_safepoint(mid_thread *thread)
{
    if (MID_LIKELY_(MID_READ_(thread->stop) == 0))
        return MID_OK;
    return mid_safepoint_slow_(thread);
}

static inline mid_handle mid_retain(mid_thread *thread, mid_handle value)
{
    if (mid_is_object_(value)) {
        mid_entry *entry = mid_entry_(thread, value);
        uint32_t count = MID_READ_(entry->count);
        /* Free, dying, sticky, unowned and others' objects differ from the bias above the local part. */
        if (MID_LIKELY_(mid_mine_(thread, count) < MID_LOCAL_ - MID_ONE_))
            MID_WRITE_(entry->count, count + MID_ONE_);
        else
            mid_retain_slow_(thread, value);
    }
    return value;
}

static inline void mid_release(mid_thread *thread, mid_handle value)
{
    if (mid_is_object_(value)) {
        mid_entry *entry = mid_entry_(thread, value);
        uint32_t count = MID_READ_(entry->count), more = count - (uint32_t)thread->twice;
        /* More than one of its owner's, and a suspect already: rotated right, what is none has the highest bit set. */
        if (MID_LIKELY_((more >> 1 | more << 31) < (MID_LOCAL_ - 2 * MID_ONE_) / 2))
            MID_WRITE_(entry->count, count - MID_ONE_);
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
    const mid_slot *at = mid_slot_(thread, holder, slot);
    mid_handle value = __atomic_load_n(&at->bits_, __ATOMIC_ACQUIRE);
    if (mid_is_object_(value)) {
        mid_entry *entry = mid_entry_(thread, value);
        uint32_t count = __atomic_load_n(&entry->count, __ATOMIC_ACQUIRE);
        /* Only the owner ends the life of what has an owner, and is here. The slot is read again because the object may have
         * come to this thread (mid_transfer), under a name that was another's, after the slot was read. */
        if (MID_UNLIKELY_(mid_mine_(thread, count) >= MID_LOCAL_ - MID_ONE_ || MID_READ_(at->bits_) != value))
            return mid_load_slow_(thread, holder, slot);
        MID_WRITE_(entry->count, count + MID_ONE_);
    }
    return value;
}

static inline mid_handle mid_swap(mid_thread *thread, mid_handle holder, unsigned slot,
                                  mid_handle value)
{
    mid_slot *at = mid_slot_(thread, holder, slot);
    mid_handle old;
    if (thread->alone) {
        old = at->bits_;
        at->bits_ = value;
    } else {
        if (mid_is_object_(value) && !(MID_READ_(mid_entry_(thread, value)->shared) & (MID_ESCAPED_ | MID_MERGED_)))
            mid_escape_(thread, value);
        old = __atomic_exchange_n(&at->bits_, value, __ATOMIC_ACQ_REL);
    }
    /* A cycle may lose its last holder to itself so, and no count tells. */
    thread->moved |= value;
    return old;
}

static inline int mid_swap_if(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle expected,
                              mid_handle value)
{
    mid_slot *at = mid_slot_(thread, holder, slot);
    if (!thread->alone && mid_is_object_(value) &&
        !(MID_READ_(mid_entry_(thread, value)->shared) & (MID_ESCAPED_ | MID_MERGED_)))
        mid_escape_(thread, value);
    thread->moved |= value;
    return __atomic_compare_exchange_n(&at->bits_, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
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

static inline void mid_init(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value)
{
    MID_WRITE_(mid_slot_(thread, holder, slot)->bits_, value);
    thread->moved |= value;
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
    uint64_t address = MID_READ_(entry->word) & MID_ADDRESS_MASK_;
    thread->head[fast.size_class] = MID_READ_(entry->shared);
    MID_WRITE_(thread->left[fast.size_class], thread->left[fast.size_class] - 1);
    mid_word_ *words = (mid_word_ *)(uintptr_t)address;
    for (unsigned i = fast.words; i != 0; i--) {
        *words++ = 0;
        /* Objects are mostly of a few words: keep the compiler from calling memset. */
        __asm__ volatile("" : "+r"(words));
    }
    MID_WRITE_(entry->word, address | (uint64_t)type << MID_TYPE_SHIFT_);
    MID_WRITE_(entry->count, (uint32_t)thread->bias | fast.born);
    /* Who counts it up on the strength of an old reading must find its owner. */
    __atomic_store_n(&entry->shared, thread->fresh, __ATOMIC_RELEASE);
    *out = made;
    return MID_OK;
}

#ifdef __cplusplus
}
#endif
#endif
