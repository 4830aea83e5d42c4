/* tests/stress/misuse.c: calls that must be refused and change nothing, between operations that may. The checked inline
 * calls of a MIDDEN_DEBUG build must each report what is wrong, and report nothing else in a whole run. */
#include <stdint.h>
#include <string.h>

#include "act.h"
#include "midden/debug.h"
#include "ops.h"

static void expect(const char *call, mid_status found, mid_status expected)
{
    if (found != expected)
        fail("%s returned %s, expected %s", call, mid_status_name(found), mid_status_name(expected));
}

static void handles(void)
{
    mid_type type;
    size_t size;
    uint32_t count;
    mid_weak weak;
    mid_handle wrong[] = {0, mid_from_int(7), 0xFFFFFFF0u};
    for (unsigned n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
        expect("mid_resize", mid_resize(run.thread, wrong[n], 1), MID_EHANDLE);
        expect("mid_pin", mid_pin(run.thread, wrong[n], NULL), MID_EHANDLE);
        expect("mid_type_of", mid_type_of(run.thread, wrong[n], &type), MID_EHANDLE);
        expect("mid_size_of", mid_size_of(run.thread, wrong[n], &size), MID_EHANDLE);
        expect("mid_count_of", mid_count_of(run.thread, wrong[n], &count), MID_EHANDLE);
        expect("mid_weak_new", mid_weak_new(run.thread, wrong[n], &weak), MID_EHANDLE);
        if (mid_is_live(run.thread, wrong[n]))
            fail("mid_is_live(%u)", wrong[n]);
    }
}

static void sizes(void)
{
    mid_handle out;
    const struct kind *fixed = &kinds[0], *bytes = &kinds[0];
    while ((bytes->flags & K_VARIABLE) == 0)
        bytes++;
    expect("mid_new_array of a fixed size", mid_new_array(run.thread, run.types[fixed - kinds], 1, &out), MID_ETYPE);
    expect("mid_new_array", mid_new_array(run.thread, run.types[bytes - kinds], SIZE_MAX, &out), MID_ESIZE);
    expect("mid_new_array of no type", mid_new_array(run.thread, MID_TYPES_MAX, 1, &out), MID_ETYPE);
    run.expect_report = true;
    expect("mid_new of a variable size", mid_new(run.thread, run.types[bytes - kinds], &out), MID_ETYPE);
    expect("mid_new of no type", mid_new(run.thread, MID_TYPES_MAX, &out), MID_ETYPE);
    run.expect_report = false;
}

static void states(void)
{
    mid_thread *other;
    struct obj *o = random_object();
    mid_weak none = {0, 0};
    expect("mid_thread_attach twice", mid_thread_attach(run.heap, &other), MID_ETHREAD);
    expect("mid_blocked_leave", mid_blocked_leave(run.thread), MID_ETHREAD);
    if (mid_weak_get(run.thread, none) != 0)
        fail("an empty weak handle gives an object");
    expect("mid_weak_drop", mid_weak_drop(run.thread, none), MID_EHANDLE);
    if (o == NULL)
        return;
    if (o->pins == 0)
        expect("mid_unpin", mid_unpin(run.thread, o->handle), MID_EPINNED);
    if ((o->kind->flags & K_VARIABLE) == 0)
        expect("mid_resize of a fixed size", mid_resize(run.thread, o->handle, 1), MID_ETYPE);
    else
        expect("mid_resize", mid_resize(run.thread, o->handle, SIZE_MAX), MID_ESIZE);
}

/* What no domain has given out; of a debug heap each is told. */
static void no_blocks(void)
{
    static uint64_t nowhere[8];
    void *at = &nowhere[4], *null = NULL;
    size_t size;
    run.expect_report = true;
    expect("mid_mem_free", mid_mem_free(run.thread, at), MID_EBLOCK);
    expect("mid_raw_free", mid_raw_free(run.heap, at), MID_EBLOCK);
    expect("mid_mem_realloc", mid_mem_realloc(run.thread, &at, 10), MID_EBLOCK);
    expect("mid_raw_realloc", mid_raw_realloc(run.heap, &at, 10), MID_EBLOCK);
    run.expect_report = false;
    expect("mid_mem_size", mid_mem_size(run.thread, at, &size), MID_EBLOCK);
    expect("mid_mem_malloc", mid_mem_malloc(run.thread, SIZE_MAX, &null), MID_ESIZE);
    expect("mid_raw_malloc", mid_raw_malloc(run.heap, SIZE_MAX, &null), MID_ESIZE);
    expect("mid_mem_calloc", mid_mem_calloc(run.thread, SIZE_MAX / 2, 3, &null), MID_ESIZE);
}

#ifdef MIDDEN_DEBUG
static void on_report(const mid_report *report, void *context)
{
    (void)context;
    run.reports++;
    run.last_report = (int)report->kind;
    if (!run.expect_report)
        fail("%s reports %s (%s) for handle %u", report->call, mid_status_name(report->status), report->detail,
             report->handle);
}

static void expect_one(const char *call, uint64_t before)
{
    if (run.reports != before + 1)
        fail("misused %s made %llu reports", call, (unsigned long long)(run.reports - before));
}

/* The latest dead are in quarantine: their handles are stale, and told as such. */
static void reports(void)
{
    mid_handle stale = model.tomb[pick(64)];
    struct obj *o = random_object();
    mid_stats stats = stats_now();
    if (stale == 0 || model_find(stale) != NULL || o == NULL || !quiet(&stats))
        return;
    run.expect_report = true;
    uint64_t before = run.reports;
    mid_retain(run.thread, stale);
    expect_one("mid_retain", before++);
    mid_release(run.thread, stale);
    expect_one("mid_release", before++);
    if (mid_get(run.thread, stale) != NULL)
        fail("mid_get of a stale handle gives an address");
    expect_one("mid_get", before++);
    mid_peek(run.thread, o->handle, 1u << 20);
    expect_one("mid_peek", before++);
    mid_store(run.thread, o->handle, 1u << 20, 0);
    expect_one("mid_store", before++);
    uint32_t slot;
    if (random_slot(o, &slot)) {
        mid_store(run.thread, o->handle, kind_slot_number(o->kind, slot), stale);
        expect_one("mid_store", before);
    }
    run.expect_report = false;
}

void misuse_begin(void)
{
    mid_debug_reports(on_report, NULL, 0);
}
#else
static void reports(void)
{
}

void misuse_begin(void)
{
}
#endif

void op_misuse(void)
{
    handles();
    sizes();
    states();
    no_blocks();
    reports();
}
