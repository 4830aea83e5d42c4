/* midden/debug.h: debug heaps, and the checked forms of the inline calls.
 *
 * A program that defines MIDDEN_DEBUG before it includes midden gets both from the same library; one that does not pays for
 * neither. Define it for all of the program: what a part without it stores into objects of types that a part with it has registered
 * is told as written without mid_store.
 *
 * CHECKED CALLS. The inline calls check every argument: null thread, wrong thread, null, immediate, out-of-range, foreign and stale
 * handles, slots that the holder's type does not declare or visit, values given away that the caller does not hold. A misuse is
 * reported with the call's name and has no other effect (calls that return a handle return 0). `(mid_get)(t, h)` in parentheses is
 * the unchecked call.
 *
 * DEBUG HEAPS. A heap opened by such a program knows more of its objects:
 *   - freed handles stay in quarantine (option `quarantine`), and each heap numbers its objects from a base of its own, so that
 *     stale and foreign handles are told from live ones;
 *   - behind each object are at least 16 bytes 0xFD; what is freed is filled with 0xDD, what MID_UNCLEARED leaves with 0xCD. Written
 *     fences and freed slots are told when the object dies, is resized or moved, when the slot is used again, when all is checked,
 *     and, of objects whose address was asked for, at the next safepoint;
 *   - blocks of raw and mem (domain.h) have 16 bytes 0xFD before them, too; what mem or raw give uncleared is 0xCD (but what comes
 *     cleared in every heap), what is freed 0xDD, and held back. A second free, a free in the wrong domain or of no block returns MID_EBLOCK as
 *     ever, and is reported; so are written fences and freed blocks, when the block is freed, resized or used again, and when all is checked.
 *     A realloc moves. Any address may be given to any of these calls. Large objects that are freed are held back, too;
 *   - what slots hold is known: a slot that was written without mid_store is told, and put back; so is a trace function that visits
 *     fewer slots than before, more, or one twice;
 *   - with `debug-move` everything that is not pinned moves at each safepoint (or each nth), and an address kept past one is 0xDD;
 *   - each object remembers where it was allocated and where it was freed, `debug-frames` callers each;
 *   - ASan and valgrind, if the program runs under them, know fences and free slots as out of bounds.
 * A word of an object may begin and cease to be a slot (by a trace function) only while it holds null. */
#ifndef MIDDEN_DEBUG_H
#define MIDDEN_DEBUG_H

#include "domain.h"
#include "object.h"

/* What is wrong. */
typedef enum mid_misuse {
    MID_MISUSE_ARGUMENT,         /* null, immediate, no type, no slot */
    MID_MISUSE_THREAD,           /* null, another thread's, from a callback or in a blocked region */
    MID_MISUSE_STALE,            /* a handle whose object was freed: released before, or a borrow that outlived it */
    MID_MISUSE_FOREIGN,          /* a handle of another heap */
    MID_MISUSE_UNHELD,           /* given away, and all counts are of slots: a release too many */
    MID_MISUSE_OVERFLOW,         /* written beyond the end */
    MID_MISUSE_UNDERFLOW,        /* the last bytes of what lies before `other`, and not the first: written before its beginning */
    MID_MISUSE_WRITE_AFTER_FREE,
    MID_MISUSE_STALE_ADDRESS,    /* written where an object was before a safepoint moved it */
    MID_MISUSE_SLOT_WRITTEN,     /* a slot, without mid_store */
    MID_MISUSE_EDGE,             /* a trace function visits less, more, or twice */
    MID_MISUSE_ADDRESS,          /* given to a free that it is not for */
    MID_MISUSE_LEAK,             /* still held at close */
    MID_MISUSE_FREED,            /* a block that was freed before, or moved by a resize */
    MID_MISUSE_DOMAIN            /* a block of one domain, given to the free or realloc of another */
} mid_misuse;
#define MID_MISUSE_NAMES                                                                                               \
    {"argument", "thread", "stale handle", "foreign handle", "not held", "overflow", "underflow", "write after free",  \
     "stale address", "slot written", "trace function", "wrong free", "leak", "freed twice", "wrong domain"}

/* One of the objects concerned. */
typedef struct mid_report_side {
    mid_handle handle;       /* 0: there is none, and nothing else is set */
    int live;
    const char *type;        /* null: not known */
    uint64_t size;           /* bytes */
    const void *address;     /* where it is, or was when it was freed; null: not known */
    void *const *made;       /* return addresses, innermost first: where it was allocated, ... */
    unsigned made_count, made_by; /* ... how many, and by which thread: its place in the heap, from 1; 0: not known */
    void *const *freed;      /* the same of its free; of what a collection freed, who collected */
    unsigned freed_count, freed_by;
    const void *borrowed;    /* the call of mid_get or mid_peek that last returned its address or handle; null: none did */
} mid_report_side;

/* One of the blocks of raw or mem concerned; or the memory of a large object that was freed. */
typedef struct mid_report_block {
    const void *address;     /* where the program's bytes begin; null: there is none, and nothing else is set */
    int live, moved;         /* moved: it was freed by a resize, or was an object's until debug-move moved that */
    mid_domain domain;
    uint64_t size;           /* bytes asked for */
    uint64_t serial;         /* the how manieth block of its heap, from 1: the same in each run of a program that does the same; 0: an object's */
    void *const *made;       /* return addresses, innermost first: who made it, by a resize too, ... */
    unsigned made_count, made_by; /* ... how many, and by which thread: its place in the heap, from 1; 0: one that is not attached */
    void *const *freed;      /* the same of its free */
    unsigned freed_count, freed_by;
} mid_report_block;

/* All of it, texts and frames too, is valid during the callback. It only grows at the end. */
typedef struct mid_report {
    const char *call;    /* "mid_store"; of what was found by looking: "a free", "a compaction", "mid_heap_check", ... */
    mid_status status;   /* what is wrong; MID_ECORRUPT: found by looking at memory */
    const char *detail;  /* "handle 24 was freed (type node)" */
    mid_thread *thread;  /* as passed; may be null or foreign */
    mid_handle handle;   /* the handle concerned, or 0 */
    mid_misuse kind;
    mid_report_side object; /* what `handle` names, ... */
    mid_report_side other;  /* ... and the other side of the conflict: its neighbour, what a slot held, who holds it */
    const void *address; /* the address concerned, or null */
    void *const *here;   /* where it was told, innermost first */
    unsigned here_count;
    const char *text;    /* all of this in several lines, with the names of functions that the dynamic linker knows (-rdynamic) */
    mid_report_block block;       /* the block concerned, ... */
    mid_report_block other_block; /* ... and the one whose memory lies where it was overwritten from; rarely known */
} mid_report;

#ifdef __cplusplus
extern "C" {
#endif

/* Where reports go, for the whole process: null restores the default, which prints `text` on stderr and
 * carries on. `abort_after` not 0: abort() after each report. Any thread.
 * The function runs on whichever thread finds the misuse, perhaps the daemon's, perhaps while the world is stopped: calls of that
 * heap return MID_EBUSY, and what it does wrong is not reported. */
MID_API void mid_debug_reports(void (*report)(const mid_report *report, void *context), void *context,
                               int abort_after);

/* Look at all fences, freed slots and slots of a debug heap now; what is wrong is reported, each once, and put right. Stops the
 * world as mid_heap_check does, which looks at the same. MID_OK: nothing was found. MID_ECORRUPT: something was, and reported.
 * MID_EINVAL: it is no debug heap. MID_ENULL, MID_ETHREAD, MID_EBUSY, MID_EPOSTPONED. */
MID_API mid_status mid_debug_check(mid_heap *heap);

/* For who is about to free `pointer` with something that is not for handles: 1, and a report that tells whose memory it is, if
 * the heap is a debug heap and the pointer is not null; else 0. (A C free of an object's address needs no call: glibc aborts.)
 * Attached thread. Walks the table. */
MID_API int mid_debug_address(mid_thread *thread, const void *pointer);

MID_API mid_status mid_debug_type_register(mid_heap *heap, const mid_type_desc *desc, mid_type *out);
MID_API mid_status mid_debug_new(mid_thread *thread, mid_type type, mid_handle *out);
MID_API mid_handle mid_debug_retain(mid_thread *thread, mid_handle value);
MID_API void mid_debug_release(mid_thread *thread, mid_handle value);
MID_API mid_handle mid_debug_load(mid_thread *thread, mid_handle holder, unsigned slot);
MID_API mid_handle mid_debug_peek(mid_thread *thread, mid_handle holder, unsigned slot);
MID_API void mid_debug_store(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
MID_API void mid_debug_give(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
MID_API mid_handle mid_debug_swap(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
MID_API int mid_debug_swap_if(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle expected, mid_handle value);
MID_API mid_handle mid_debug_take(mid_thread *thread, mid_handle holder, unsigned slot);
MID_API void mid_debug_init(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
MID_API void *mid_debug_get(mid_thread *thread, mid_handle object);
MID_API mid_status mid_debug_safepoint(mid_thread *thread);

#ifdef __cplusplus
}
#endif

#ifdef MIDDEN_DEBUG
#define mid_type_register(heap, desc, out) mid_debug_type_register(heap, desc, out)
#define mid_new(thread, type, out) mid_debug_new(thread, type, out)
#define mid_retain(thread, value) mid_debug_retain(thread, value)
#define mid_release(thread, value) mid_debug_release(thread, value)
#define mid_load(thread, holder, slot) mid_debug_load(thread, holder, slot)
#define mid_peek(thread, holder, slot) mid_debug_peek(thread, holder, slot)
#define mid_store(thread, holder, slot, value) mid_debug_store(thread, holder, slot, value)
#define mid_give(thread, holder, slot, value) mid_debug_give(thread, holder, slot, value)
#define mid_swap(thread, holder, slot, value) mid_debug_swap(thread, holder, slot, value)
#define mid_swap_if(thread, holder, slot, expected, value) mid_debug_swap_if(thread, holder, slot, expected, value)
#define mid_take(thread, holder, slot) mid_debug_take(thread, holder, slot)
#define mid_init(thread, holder, slot, value) mid_debug_init(thread, holder, slot, value)
#define mid_get(thread, object) mid_debug_get(thread, object)
#define mid_safepoint(thread) mid_debug_safepoint(thread)
#endif

#endif
