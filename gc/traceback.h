/* gc/traceback.h: who called, and a table of the answers. */
#ifndef MID_GC_TRACEBACK_H
#define MID_GC_TRACEBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc/alloc.h"

#define MID_FRAMES_MOST 64u

/* traceback.c: the return addresses on the calling thread's stack, innermost first, at most `most`; the first `skip` are left out,
 * and with skip 0 the first is in the function that calls this. Returns how many there are. Any thread, any time but in a signal
 * handler; takes no memory. Ends early at code of which the unwind tables say nothing. */
unsigned mid_traceback(void **frames, unsigned most, unsigned skip);
/* The same, from the frame that has this return address on; all if none has. For calls of the program into the library:
 * __builtin_return_address(0) of the outermost function of ours. */
unsigned mid_traceback_at(void **frames, unsigned most, const void *from);

/* unwind.c: how to come from a frame to its caller's, 28 bits: how its CFA is found, how far, where its caller's rbp is. */
enum { MID_CFA_NONE, MID_CFA_RSP, MID_CFA_RBP, MID_CFA_AT_RBP }; /* the last: *(rbp + offset) */
#define MID_RULE(kind, eighths, rbp) ((uint32_t)(kind) | ((uint32_t)(eighths) & 0xFFFFFu) << 2 | (uint32_t)(rbp) << 22)
#define MID_RULE_KIND(rule) ((rule) & 3u)
#define MID_RULE_OFFSET(rule) ((int64_t)((int32_t)((rule) << 10) >> 12) * 8)
#define MID_RULE_RBP(rule) ((rule) >> 22 & 63u) /* 0: unchanged; n: at CFA - 8n; MID_RBP_THERE: at rbp */
#define MID_RBP_THERE 63u
/* `subs`: how many objects were unloaded so far, of the process. */
uint32_t mid_unwind_rule(uintptr_t pc, unsigned long long *subs);

/* stacks.c: each different traceback once. Its number stays its own until the table is closed; 0 is none. Used under whatever lock
 * the owner has, which `alloc` needs as well. */
typedef struct mid_stacks {
    mid_array words;   /* of each stack: its hash and depth, then its frames */
    mid_array offsets; /* by number: where in words */
    mid_array cells;   /* numbers, open addressing */
    uint32_t used;     /* words; word 0 is none */
    uint32_t count, mask;
} mid_stacks;

#define MID_STACKS_MOST ((1u << 24) - 1)
/* 0: no memory, or no room for more. */
uint32_t mid_stacks_enter(mid_alloc *alloc, mid_stacks *stacks, void *const *frames, unsigned depth);
unsigned mid_stacks_frames(const mid_stacks *stacks, uint32_t stack, void *const **frames); /* valid until the next is entered */
void mid_stacks_close(mid_alloc *alloc, mid_stacks *stacks);
const char *mid_stacks_check(const mid_stacks *stacks); /* null, or what is wrong */

#endif
