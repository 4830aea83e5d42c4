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
    return (count & (MID_LOCAL_ - 1)) / MID_ONE_;
}
static inline uint32_t mid_owner(uint32_t count) /* id; 1023 for none; of a sticky one 512 */
{
    return count >> MID_OWNER_SHIFT_ & 1023;
}
/* Watched (trial.c): no fast path takes it for its own. A count of its owner's is not 0, so it is not taken for sticky. */
#define MID_WATCHED_ 0x80000000u
static inline bool mid_watched(uint32_t count)
{
    return (count & MID_WATCHED_) && !mid_sticky(count);
}
static inline bool mid_immortal(const mid_entry *entry)
{
    return mid_sticky(MID_READ_(entry->count)) || mid_others(MID_READ_(entry->shared)) >= MID_BAND;
}
/* For good, whatever is thawed. */
static inline bool mid_forever(const mid_entry *entry)
{
    return mid_immortal(entry) && (!mid_frozen(MID_READ_(entry->count)) || mid_others(MID_READ_(entry->shared)) >= MID_BAND);
}
/* Of a live, mortal object, that is not frozen; exact while the world stands. */
static inline int64_t mid_total(const mid_entry *entry)
{
    return (int64_t)mid_local(MID_READ_(entry->count)) + mid_others(MID_READ_(entry->shared));
}
/* Since the last whole collection. An age tells it as well: a walk gave it up as alive, and may have been wrong (walk.c goes no
 * further than MID_WALK_MOST). */
static inline bool mid_suspect(const mid_entry *entry)
{
    return (entry->count & (MID_SUSPECT_ | MID_AGES_)) || (entry->shared & MID_SHARED_SUSPECT_);
}
static inline void mid_not_suspect(mid_entry *entry) /* the world stands; of what may be in a cycle */
{
    if (!mid_sticky(entry->count) && (entry->count & (MID_SUSPECT_ | MID_AGES_)))
        MID_WRITE_(entry->count, entry->count & ~(MID_SUSPECT_ | MID_AGES_));
    if (entry->shared & MID_SHARED_SUSPECT_)
        MID_WRITE_(entry->shared, entry->shared & ~MID_SHARED_SUSPECT_);
}

/* The world stands: it was looked at, and was alive; or looked so much alive that it need not be looked at as often. */
static inline void mid_grow_older(mid_entry *entry, bool doubted)
{
    uint32_t count = entry->count, age = count & MID_AGES_;
    if (mid_sticky(count) || age == MID_AGES_)
        return;
    age = doubted && age < 2 * MID_AGE_ONE_ ? 2 * MID_AGE_ONE_ : age + MID_AGE_ONE_;
    MID_WRITE_(entry->count, (count & ~(MID_SUSPECT_ | MID_AGES_)) | age);
    MID_WRITE_(entry->shared, entry->shared & ~MID_SHARED_SUSPECT_);
}

/* What says that others know it, or all count it; a tag hides these. That others know it can be said of anything. */
static inline uint32_t mid_known(uint32_t count)
{
    return MID_ESCAPED_ | (mid_owner(count) == MID_UNOWNED_ >> MID_OWNER_SHIFT_ ? MID_MERGED_ : 0);
}
/* The world stands. */
static inline void mid_untag(mid_entry *entry)
{
    if (!mid_entry_live(entry) || !mid_watched(entry->count))
        return;
    MID_WRITE_(entry->shared, entry->shared | mid_known(entry->count));
    MID_WRITE_(entry->count, entry->count & ~MID_WATCHED_);
}
/* Before anything is done to its count, or it is put into a slot. Returns its count word as if it were not watched. */
static inline uint32_t mid_touch(mid_impl *me, mid_entry *entry, uint32_t count)
{
    return MID_LIKELY_(!mid_watched(count)) ? count : mid_touched(me, entry, count);
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

/* It has become a suspect. Where nobody collects them in time, the oldest are forgotten: a sweep finds what they were. */
static inline void mid_suspected(mid_impl *me, mid_handle value)
{
    if (MID_UNLIKELY_(me->suspect_count == MID_SUSPECTS))
        mid_suspects_give(me);
    me->suspects[me->suspect_count] = value;
    MID_WRITE_(me->suspect_count, me->suspect_count + 1);
}

/* One of several of the owner's? Then it is gone. Not while the world stands: it is the sum that counts then. */
static inline __attribute__((always_inline)) bool mid_kept(mid_impl *me, mid_handle value, mid_entry *entry, uint32_t count,
                                                           uint32_t mine, bool still)
{
    if (mine - 2 * MID_ONE_ >= MID_LOCAL_ - 2 * MID_ONE_ || still)
        return false;
    if (MID_UNLIKELY_(!(count & MID_SUSPECT_)))
        mid_suspected(me, value);
    MID_WRITE_(entry->count, (count - MID_ONE_) | MID_SUSPECT_);
    return true;
}

/* Does it die of this? The caller then owns it, and stores the link of a list over `shared` at once. */
static inline __attribute__((always_inline)) bool mid_uncount(mid_impl *me, mid_handle value, mid_entry *entry)
{
    uint32_t count = mid_touch(me, entry, MID_READ_(entry->count)), mine = mid_mine_(&me->pub, count);
    if (mid_kept(me, value, entry, count, mine, me->world))
        return false;
    if (mid_is_last(me, value, entry, mine)) {
        MID_WRITE_(entry->count, MID_DYING_);
        return true;
    }
    return mine - MID_ONE_ < MID_ONE_ && !me->world ? mid_last_shared(me, value, entry) : mid_uncount_other(me, value, entry);
}

/* After the last of a series: no death is being decided. */
static inline void mid_decided(mid_impl *me)
{
    __atomic_store_n(&me->pub.dying, 0, __ATOMIC_RELEASE);
}

#endif
