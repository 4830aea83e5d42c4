/* gc/traceback.c: the calls that led here.
 *
 * Frame pointers are not to be had: the C library keeps none, nor do we, nor does a program unless it was asked to. glibc's
 * backtrace() reads the unwind tables anew for each frame, and takes a lock and a microsecond for it. So what those tables
 * say of a return address (unwind.c) is read once, packed into 28 bits and kept in a cache of one word an address; a step
 * is then a load, an addition and a comparison. (As libunwind's trace cache and framehop do it.)
 *
 * Nothing outside the calling thread's stack is read: a rule that was kept of a library that is gone, and whose place
 * another has taken, gives a wrong frame at worst. */
#include "gc/traceback.h"

#if defined(__x86_64__)
#include <pthread.h>

#define LINES 4096u
/* Bit 0-28: rule + 1 (0: none), 29-63: the address from bit 12 on; the index holds what else there is of it. */
static uint64_t cache[LINES];
static unsigned long long unloaded; /* as of the last rule read */

extern void *__libc_stack_end;

typedef struct place {
    uintptr_t pc, sp, bp, top;
} place;

static inline uint64_t *line_of(uintptr_t pc)
{
    return &cache[(pc ^ pc >> 12 ^ pc >> 24) % LINES];
}

static __attribute__((noinline)) uint32_t learn(uintptr_t pc)
{
    unsigned long long subs = 0;
    uint32_t rule = mid_unwind_rule(pc, &subs);
    if (__atomic_exchange_n(&unloaded, subs, __ATOMIC_RELAXED) != subs)
        for (unsigned i = 0; i < LINES; i++) /* other code may be where it was */
            __atomic_store_n(&cache[i], 0, __ATOMIC_RELAXED);
    __atomic_store_n(line_of(pc), (uint64_t)(pc >> 12) << 29 | (rule + 1), __ATOMIC_RELAXED);
    return rule;
}

static inline uint32_t rule_of(uintptr_t pc)
{
    uint64_t line = __atomic_load_n(line_of(pc), __ATOMIC_RELAXED);
    return (line & 0x1FFFFFFFu) != 0 && line >> 29 == pc >> 12 ? (uint32_t)(line & 0x1FFFFFFFu) - 1 : learn(pc);
}

static inline __attribute__((always_inline)) bool on_stack(const place *at, uintptr_t word)
{
    return word >= at->sp && word < at->top && word % sizeof(void *) == 0;
}

static inline __attribute__((always_inline)) bool step(place *at)
{
    if (at->pc >> 47 != 0 || at->pc < 4096)
        return false;
    uint32_t rule = rule_of(at->pc);
    uintptr_t cfa = (rule & 3u) == MID_CFA_RSP ? at->sp : at->bp;
    if (MID_RULE_KIND(rule) == MID_CFA_NONE)
        return false;
    cfa += (uintptr_t)MID_RULE_OFFSET(rule);
    if (MID_RULE_KIND(rule) == MID_CFA_AT_RBP) {
        if (!on_stack(at, cfa))
            return false;
        cfa = *(uintptr_t *)cfa;
    }
    if (!on_stack(at, cfa - 8))
        return false;
    uintptr_t saved = MID_RULE_RBP(rule), where = saved == MID_RBP_THERE ? at->bp : cfa - saved * 8;
    if (saved != 0) {
        if (!on_stack(at, where))
            return false;
        at->bp = *(uintptr_t *)where;
    }
    at->pc = *(uintptr_t *)(cfa - 8);
    at->sp = cfa;
    return true;
}

/* The end of the stack that `sp` is on: glibc puts a thread's own structure there; the first thread's is where the program began. */
static uintptr_t top_above(uintptr_t sp)
{
    uintptr_t self = (uintptr_t)pthread_self(), first = (uintptr_t)__libc_stack_end;
    uintptr_t top = first > sp ? first : (uintptr_t)1 << 47;
    return self > sp && self < top ? self : top;
}

/* The frame address of a function that has one makes its caller's registers known. */
#define CALLER(frame) \
    {((uintptr_t *)(frame))[1], (uintptr_t)(frame) + 16, ((uintptr_t *)(frame))[0], top_above((uintptr_t)(frame))}

__attribute__((noinline, no_sanitize("address"))) unsigned mid_traceback(void **frames, unsigned most, unsigned skip)
{
    place at = CALLER(__builtin_frame_address(0));
    unsigned n = 0;
    while (n < most) {
        if (skip != 0)
            skip--;
        else
            frames[n++] = (void *)at.pc;
        if (!step(&at))
            break;
    }
    return n;
}

#define INSIDE 16u /* calls within the library, at most */

__attribute__((noinline, no_sanitize("address"))) unsigned mid_traceback_at(void **frames, unsigned most, const void *from)
{
    const place begin = CALLER(__builtin_frame_address(0));
    place at = begin;
    unsigned n = 0;
    for (unsigned i = 0; at.pc != (uintptr_t)from; i++)
        if (i == INSIDE || !step(&at)) {
            at = begin;
            break;
        }
    while (n < most) {
        frames[n++] = (void *)at.pc;
        if (!step(&at))
            break;
    }
    return n;
}

#else /* another processor: slower, and the same */
#include <execinfo.h>
#include <string.h>

#define INSIDE 16u

static __attribute__((noinline)) unsigned all(void **frames, unsigned most)
{
    int n = backtrace(frames, (int)most);
    return n < 0 ? 0 : (unsigned)n;
}

__attribute__((noinline)) unsigned mid_traceback(void **frames, unsigned most, unsigned skip)
{
    void *found[MID_FRAMES_MOST + INSIDE];
    unsigned n = all(found, MID_FRAMES_MOST + INSIDE);
    skip += 2;
    n = n <= skip ? 0 : n - skip;
    n = n < most ? n : most;
    memcpy(frames, found + skip, n * sizeof *frames);
    return n;
}

__attribute__((noinline)) unsigned mid_traceback_at(void **frames, unsigned most, const void *from)
{
    void *found[MID_FRAMES_MOST + INSIDE];
    unsigned n = all(found, MID_FRAMES_MOST + INSIDE), first = 0;
    while (first < n && found[first] != from)
        first++;
    first = first == n ? 0 : first;
    n = n - first < most ? n - first : most;
    memcpy(frames, found + first, n * sizeof *frames);
    return n;
}
#endif
