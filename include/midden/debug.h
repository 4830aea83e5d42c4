/* midden/debug.h: the checked forms of the inline calls.
 *
 * A program that defines MIDDEN_DEBUG before it includes midden gets, from the same library, calls that check
 * every argument: null thread, wrong thread, null, immediate, out-of-range, foreign and stale handles, slot
 * numbers that the holder's type does not declare, releases of what is not held. mid_init and mid_swap_if have no checked form. A misuse is reported with the
 * call's name and has no other effect (calls that return a handle return 0). Heaps opened by such a program are
 * *debug heaps*: freed handles stay in quarantine (option `quarantine`), and each heap numbers its objects from
 * a base of its own, so that stale and foreign handles are told from live ones. */
#ifndef MIDDEN_DEBUG_H
#define MIDDEN_DEBUG_H

#include "object.h"

typedef struct mid_report {
    const char *call;    /* "mid_store" */
    mid_status status;   /* what is wrong */
    const char *detail;  /* "handle 24 was freed (type node)"; valid during the callback */
    mid_thread *thread;  /* as passed; may be null or foreign */
    mid_handle handle;   /* the handle concerned, or 0 */
} mid_report;

#ifdef __cplusplus
extern "C" {
#endif

/* Where reports go, for the whole process: null restores the default, which prints one line on stderr and
 * carries on. `abort_after` not 0: abort() after each report. Any thread. */
MID_API void mid_debug_reports(void (*report)(const mid_report *report, void *context), void *context,
                               int abort_after);

MID_API mid_status mid_debug_new(mid_thread *thread, mid_type type, mid_handle *out);
MID_API mid_handle mid_debug_retain(mid_thread *thread, mid_handle value);
MID_API void mid_debug_release(mid_thread *thread, mid_handle value);
MID_API mid_handle mid_debug_load(mid_thread *thread, mid_handle holder, unsigned slot);
MID_API mid_handle mid_debug_peek(mid_thread *thread, mid_handle holder, unsigned slot);
MID_API void mid_debug_store(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
MID_API void mid_debug_give(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
MID_API mid_handle mid_debug_swap(mid_thread *thread, mid_handle holder, unsigned slot, mid_handle value);
MID_API mid_handle mid_debug_take(mid_thread *thread, mid_handle holder, unsigned slot);
MID_API void *mid_debug_get(mid_thread *thread, mid_handle object);
MID_API mid_status mid_debug_safepoint(mid_thread *thread);

#ifdef __cplusplus
}
#endif

#ifdef MIDDEN_DEBUG
#define mid_new(thread, type, out) mid_debug_new(thread, type, out)
#define mid_retain(thread, value) mid_debug_retain(thread, value)
#define mid_release(thread, value) mid_debug_release(thread, value)
#define mid_load(thread, holder, slot) mid_debug_load(thread, holder, slot)
#define mid_peek(thread, holder, slot) mid_debug_peek(thread, holder, slot)
#define mid_store(thread, holder, slot, value) mid_debug_store(thread, holder, slot, value)
#define mid_give(thread, holder, slot, value) mid_debug_give(thread, holder, slot, value)
#define mid_swap(thread, holder, slot, value) mid_debug_swap(thread, holder, slot, value)
#define mid_take(thread, holder, slot) mid_debug_take(thread, holder, slot)
#define mid_get(thread, object) mid_debug_get(thread, object)
#define mid_safepoint(thread) mid_debug_safepoint(thread)
#endif

#endif
