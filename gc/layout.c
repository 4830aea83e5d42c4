/* gc/layout.c: no code. It pins the layouts that programs compile in (midden/inline.h). */
#include <stddef.h>

#include "gc/heap.h"

_Static_assert(sizeof(mid_entry) == 16, "a handle times eight is an entry's offset");
_Static_assert(offsetof(mid_entry, word) == 0 && offsetof(mid_entry, count) == 8 && offsetof(mid_entry, shared) == 12,
               "entry layout is ABI");
_Static_assert(sizeof(mid_slot) == 4, "slots are counted in fours");
_Static_assert(sizeof(mid_fast_type) == 4, "thread layout is ABI");
_Static_assert(offsetof(mid_thread, table) == 0 && offsetof(mid_thread, types) == sizeof(void *) &&
                   offsetof(mid_thread, bias) == 2 * sizeof(void *) &&
                   offsetof(mid_thread, twice) == 2 * sizeof(void *) + 8 &&
                   offsetof(mid_thread, stop) == 2 * sizeof(void *) + 16 &&
                   offsetof(mid_thread, moved) == 2 * sizeof(void *) + 24 &&
                   offsetof(mid_thread, head) == 2 * sizeof(void *) + 40,
               "thread layout is ABI");
_Static_assert(MID_THREADS_MAX < MID_UNOWNED_ >> MID_OWNER_SHIFT_, "every thread has a number that fits beside a count");
_Static_assert((MID_UNOWNED_ & ~(MID_LOCAL_ - 1)) == MID_UNOWNED_ && (MID_STICKY_ & 0x80000000u) != 0,
               "a count word has an owner, none, or sticks");
_Static_assert((MID_FROZEN_ & (MID_LOCAL_ - 1)) == 0 && (MID_FROZEN_ & MID_STICKY_) == MID_STICKY_ && MID_FROZEN_ != MID_STICKY_,
               "no owner counts a frozen object, watched or not");
_Static_assert(MID_CLASSES_ == MID_CLASSES, "one cache a size class");
_Static_assert(offsetof(mid_impl, pub) == 0, "mid_impl_of is a cast");
_Static_assert(sizeof(mid_impl) <= MID_PAGE, "a thread's structure is one page, its pauses are behind it");
_Static_assert(MID_PLACE_ASIDE % 64 == 0 && MID_PLACE_ASIDE + MID_PAGE + sizeof(mid_pauses) <= MID_PLACE_BYTES, "what is put aside fits what was over");
_Static_assert(MID_PAUSE_LOOK == 5 && MID_PAUSE_TRIM == 8, "stops come first, then what has the processor's clock read");
_Static_assert(sizeof(mid_pause_stats) % sizeof(uint64_t) == 0, "pauses are copied figure by figure");
_Static_assert(MID_TYPES_MAX < 1u << (64 - MID_TYPE_SHIFT_), "types fit above the flags");
_Static_assert((MID_F_ALL & MID_ADDRESS_MASK_) == 0 && MID_F_ALL < 1ull << MID_TYPE_SHIFT_, "flags have their own bits");
_Static_assert(sizeof(mid_weak) == 8 && sizeof(mid_weak_cell) == 16, "weak handles are two words of 32 bits");
