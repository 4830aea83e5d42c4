/* gc/count.h: the two halves of an object's count, and taking one away.
 *
 *   count   written by the owner, or by who holds the owner claimed or the world stopped; plain (relaxed) loads and stores
 *   shared  of a live object: by everybody, with compare-and-swap; of a free or dying one: by whoever has it on his list
 *
 * The last count of the owner goes without an atomic instruction if nobody else can know the object (`shared` is MID_LIVE_
 * and nothing else). That this reading and the store that follows it are not one step is what mid_thread.dying is for: a thread
 * that wants to count such an object up for the first time marks it, makes every thread pass a barrier, and then waits until
 * no thread is deciding its death (share.c, forced escape; the asymmetry is that of hazard pointers with membarrier(2)). */
#ifndef MID_GC_COUNT_H
#define MID_GC_COUNT_H

#include "gc/heap.h"

/* From here up the others' count sticks: what reached it is immortal (a sticky band, so that racing threads agree). */
#define MID_BAND (1 << 24)

static inline int32_t mid_others(uint32_t shared)
{
    return (int32_t)shared >> 6;
}
static inline uint32_t mid_local(uint32_t count)
{
    return (count & (MID_LOCAL_ - 1)) >> 1;
}
static inline uint32_t mid_owner(uint32_t count) /* id; 1023 for none */
{
    return count >> MID_OWNER_SHIFT_;
}
static inline bool mid_immortal(const mid_entry *entry)
{
    return mid_sticky(MID_READ_(entry->count)) || mid_others(MID_READ_(entry->shared)) >= MID_BAND;
}
/* Of a live, mortal object; exact while the world stands. */
static inline int64_t mid_total(const mid_entry *entry)
{
    return (int64_t)mid_local(MID_READ_(entry->count)) + mid_others(MID_READ_(entry->shared));
}
static inline bool mid_suspect(const mid_entry *entry)
{
    return (entry->count & MID_SUSPECT_) || (entry->shared & MID_SHARED_SUSPECT_);
}
static inline void mid_not_suspect(mid_entry *entry) /* the world stands */
{
    if (!mid_sticky(entry->count))
        MID_WRITE_(entry->count, entry->count & ~MID_SUSPECT_);
    MID_WRITE_(entry->shared, entry->shared & ~MID_SHARED_SUSPECT_);
}

/* With `others` replaced. */
static inline uint32_t mid_with_others(uint32_t shared, int64_t others)
{
    return (shared & (MID_SHARED_ONE_ - 1)) | (uint32_t)others << 6;
}

/* In the three that follow `mine` is the object's count word, exclusive-or the owner's bias. */

/* Is it the owner's last count of an object that nobody else can know? */
static inline __attribute__((always_inline)) bool mid_is_last(mid_impl *me, mid_handle value, const mid_entry *entry,
                                                              uint32_t mine)
{
    if (mine - MID_ONE_ >= MID_ONE_)
        return false;
    __atomic_store_n(&me->pub.dying, value, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&entry->shared, __ATOMIC_ACQUIRE) == MID_LIVE_;
}

/* One of several of the owner's? Then it is gone. Not while the world stands: it is the sum that counts then. */
static inline __attribute__((always_inline)) bool mid_kept(mid_entry *entry, uint32_t count, uint32_t mine, bool still)
{
    if (mine - 2 * MID_ONE_ >= MID_LOCAL_ - 2 * MID_ONE_ || still)
        return false;
    MID_WRITE_(entry->count, (count - MID_ONE_) | MID_SUSPECT_);
    return true;
}

/* Does it die of this? The caller then owns it, and stores the link of a list over `shared` at once. */
static inline __attribute__((always_inline)) bool mid_uncount(mid_impl *me, mid_handle value, mid_entry *entry)
{
    uint32_t count = MID_READ_(entry->count), mine = mid_mine_(&me->pub, count);
    if (mid_kept(entry, count, mine, me->world))
        return false;
    if (mid_is_last(me, value, entry, mine)) {
        MID_WRITE_(entry->count, MID_DYING_);
        return true;
    }
    return mine - MID_ONE_ < MID_ONE_ && !me->world ? mid_last_shared(me, entry) : mid_uncount_other(me, value, entry);
}

/* After the last of a series: no death is being decided. */
static inline void mid_decided(mid_impl *me)
{
    __atomic_store_n(&me->pub.dying, 0, __ATOMIC_RELEASE);
}

#endif
