/* tests/stress/wrong.c: misuses of a debug heap that no status can refuse, in the middle of a random run. Each is done to an object
 * of the graph or beside it, must be told once as what it is, and must leave heap and model as they were: the run goes on. Built
 * with MIDDEN_DEBUG only. */
#include "ops.h"

#ifdef MIDDEN_DEBUG
#include <pthread.h>
#include <string.h>

#include "act.h"
#include "midden/debug.h"

static mid_heap *foreign_heap;
static mid_thread *foreign_thread;
static mid_type foreign_type;

/* Behind the back of a sanitizer, which knows what is out of bounds. */
static __attribute__((noinline, no_sanitize("address"))) void poke(void *at, size_t count)
{
    for (volatile unsigned char *byte = at; count != 0; count--)
        *byte++ = 0x5A;
}

static void told(const char *what, mid_misuse expected, uint64_t before)
{
    if (run.reports != before + 1 || run.last_report != (int)expected)
        fail("%s made %llu reports, the last of kind %d, expected one of kind %d", what, (unsigned long long)(run.reports - before),
             run.last_report, (int)expected);
}

static void look(void)
{
    mid_status status = mid_debug_check(run.heap);
    if (status != MID_ECORRUPT && status != MID_OK)
        fail("mid_debug_check returned %s", mid_status_name(status));
}

/* An object beside the graph, of a fixed size, with at least one slot. */
static mid_handle beside(const struct kind **kind)
{
    mid_handle made;
    const struct kind *k;
    do
        k = &kinds[pick(kind_count)];
    while ((k->flags & (K_VARIABLE | K_FINAL | K_PAYLOAD | K_HUGE | K_MASK | K_LOW | K_TOP)) != 0 || k->ref_count == 0);
    if (mid_new(run.thread, run.types[k - kinds], &made) != MID_OK)
        fail("mid_new is refused");
    if (kind != NULL)
        *kind = k;
    return made;
}

static bool overflow(void)
{
    struct obj *o = random_object();
    if (o == NULL)
        return false;
    uint64_t before = run.reports;
    unsigned char *end = (unsigned char *)address_of(o) + kind_bytes(o->kind, o->items);
    poke(end, 1 + pick(8));
    look();
    told("an overflow", MID_MISUSE_OVERFLOW, before);
    return true;
}

/* The slot before is a fence, or free. */
static bool underflow(void)
{
    mid_handle one = beside(NULL), other = beside(NULL);
    char *at = mid_get(run.thread, one), *to = mid_get(run.thread, other);
    uint64_t before = run.reports;
    bool near = to > at && to - at <= 256 && (uintptr_t)at / run.pool_size == (uintptr_t)to / run.pool_size;
    if (near) {
        poke(to - 1, 1);
        look();
        if (run.reports != before + 1 || (run.last_report != MID_MISUSE_UNDERFLOW && run.last_report != MID_MISUSE_WRITE_AFTER_FREE))
            fail("an underflow made %llu reports, the last of kind %d", (unsigned long long)(run.reports - before), run.last_report);
    }
    mid_release(run.thread, one);
    mid_release(run.thread, other);
    return near;
}

static bool write_after_free(void)
{
    const struct kind *kind;
    mid_handle object = beside(&kind);
    unsigned char *at = mid_get(run.thread, object);
    uint64_t before = run.reports;
    mid_release(run.thread, object);
    mid_stats stats = stats_now();
    if (!quiet(&stats)) /* it waits on the work list, and is not yet freed */
        return false;
    poke(at + pick(kind->size), 1);
    look();
    told("a write after a free", MID_MISUSE_WRITE_AFTER_FREE, before);
    return true;
}

static bool stale_handle(void)
{
    mid_handle object = beside(NULL), holder = beside(NULL);
    const unsigned call = pick(6);
    uint64_t before = run.reports;
    mid_release(run.thread, object);
    switch (call) {
    case 0: mid_release(run.thread, object); break;
    case 1: mid_retain(run.thread, object); break;
    case 2: mid_get(run.thread, object); break;
    case 3: mid_take(run.thread, object, 0); break;
    case 4: mid_swap_if(run.thread, object, 0, 0, 0); break;
    default: mid_init(run.thread, object, 0, holder); break;
    }
    told("a stale handle", MID_MISUSE_STALE, before);
    mid_release(run.thread, holder);
    return true;
}

/* Only slots hold it: what is released is theirs. */
static bool unheld(void)
{
    const struct kind *kind;
    mid_handle holder = beside(&kind), object = beside(NULL);
    unsigned slot = kind->refs[pick(kind->ref_count)] / 4;
    mid_give(run.thread, holder, slot, object);
    uint64_t before = run.reports;
    if (one_in(2))
        mid_release(run.thread, mid_peek(run.thread, holder, slot));
    else
        mid_give(run.thread, holder, slot, object);
    told("a release of what slots hold", MID_MISUSE_UNHELD, before);
    mid_release(run.thread, holder);
    return true;
}

static bool slot_written(void)
{
    struct obj *o = random_object();
    uint32_t slot;
    if (o == NULL || !random_slot(o, &slot) || (o->kind->flags & (K_MASK | K_PAIRS)) != 0)
        return false;
    mid_handle was = val_handle(o->slots[slot]), now = was + 2 * (1 + pick(100));
    mid_handle *at = (mid_handle *)address_of(o) + kind_slot_number(o->kind, slot);
    uint64_t before = run.reports;
    memcpy(at, &now, sizeof now);
    if (one_in(2))
        mid_peek(run.thread, o->handle, kind_slot_number(o->kind, slot));
    look();
    told("a slot written by hand", MID_MISUSE_SLOT_WRITTEN, before);
    return true;
}

static void *elsewhere(void *argument)
{
    mid_retain(run.thread, *(mid_handle *)argument);
    return NULL;
}

static bool wrong_thread(void)
{
    pthread_t thread;
    mid_handle object = beside(NULL);
    uint64_t before = run.reports;
    if (pthread_create(&thread, NULL, elsewhere, &object) != 0)
        fail("no thread");
    pthread_join(thread, NULL);
    told("another thread's call", MID_MISUSE_THREAD, before);
    mid_release(run.thread, object);
    return true;
}

static bool foreign_handle(void)
{
    mid_handle object = 0, wrong = 0;
    for (unsigned n = pick(50); wrong == 0 && n < 20000; n++) { /* one whose number this heap does not have in use */
        if (mid_new(foreign_thread, foreign_type, &object) != MID_OK)
            fail("mid_new is refused in the other heap");
        if (!mid_is_live(run.thread, object))
            wrong = object;
        mid_release(foreign_thread, object);
    }
    if (wrong == 0)
        return false;
    uint64_t before = run.reports;
    mid_release(run.thread, wrong);
    if (run.reports != before + 1 || (run.last_report != MID_MISUSE_FOREIGN && run.last_report != MID_MISUSE_STALE))
        fail("a foreign handle made %llu reports", (unsigned long long)(run.reports - before));
    return true;
}

static bool no_slot(void)
{
    struct obj *o = random_object();
    if (o == NULL)
        return false;
    uint64_t before = run.reports;
    mid_store(run.thread, o->handle, (unsigned)(kind_bytes(o->kind, o->items) / 4 + pick(1000)), 0);
    told("a store beyond the object", MID_MISUSE_ARGUMENT, before);
    return true;
}

static bool stale_address(void)
{
    const struct kind *kind;
    mid_handle object = beside(&kind);
    unsigned char *at = mid_get(run.thread, object);
    mid_stats stats = stats_now();
    if (!run.moves || !quiet(&stats)) {
        mid_release(run.thread, object);
        return false;
    }
    run.expect_report = false;
    bool moved = false;
    for (unsigned n = 0; n < MOVES_EVERY && !moved; n++) {
        op_safepoint();
        moved = mid_get(run.thread, object) != at;
    }
    run.expect_report = true;
    uint64_t before = run.reports;
    if (moved) {
        poke(at + pick(kind->size), 1);
        look();
        told("a write to where an object was", MID_MISUSE_STALE_ADDRESS, before);
    }
    mid_release(run.thread, object);
    return moved;
}

/* --- blocks: of raw or of mem ------------------------------------------------------------------------------------------------- */

struct block {
    bool raw;
    size_t size;
    unsigned char *at;
};

static bool make_block(struct block *b)
{
    void *made = NULL;
    b->raw = one_in(2);
    b->size = one_in(8) ? pick(60000) : pick(300);
    mid_status status = b->raw ? mid_raw_malloc(run.heap, b->size, &made) : mid_mem_malloc(run.thread, b->size, &made);
    b->at = made;
    if (status != MID_OK && status != MID_ENOMEM && status != MID_ELIMIT)
        fail("a block of %zu bytes is refused: %s", b->size, mid_status_name(status));
    return status == MID_OK;
}

static mid_status block_free(bool raw, void *at)
{
    return raw ? mid_raw_free(run.heap, at) : mid_mem_free(run.thread, at);
}

static void free_block(const struct block *b)
{
    if (block_free(b->raw, b->at) != MID_OK)
        fail("a block is not freed");
}

/* Freed where it should not be, and told so. */
static void free_wrong(bool raw, void *at, const char *what, mid_misuse misuse)
{
    uint64_t before = run.reports;
    if (block_free(raw, at) != MID_EBLOCK)
        fail("%s is let pass", what);
    told(what, misuse, before);
}

static bool block_fence(void)
{
    struct block b;
    bool under = one_in(2);
    if (!make_block(&b))
        return false;
    uint64_t before = run.reports;
    poke(under ? b.at - 1 - pick(16) : b.at + b.size + pick(16), 1);
    if (one_in(2)) {
        look();
        told("a written fence", under ? MID_MISUSE_UNDERFLOW : MID_MISUSE_OVERFLOW, before);
    }
    free_block(&b);
    told("a written fence", under ? MID_MISUSE_UNDERFLOW : MID_MISUSE_OVERFLOW, before); /* once, and put right */
    return true;
}

static bool block_freed_twice(void)
{
    struct block b;
    if (!make_block(&b))
        return false;
    free_block(&b);
    free_wrong(b.raw, b.at, "a block freed twice", MID_MISUSE_FREED);
    return true;
}

static bool block_written_after_free(void)
{
    struct block b;
    if (!make_block(&b))
        return false;
    free_block(&b);
    uint64_t before = run.reports;
    poke(b.at + (b.size == 0 ? 0 : pick(b.size)), 1);
    look();
    told("a write to a freed block", MID_MISUSE_WRITE_AFTER_FREE, before);
    return true;
}

static bool block_of_another_domain(void)
{
    struct block b;
    if (!make_block(&b))
        return false;
    free_wrong(!b.raw, b.at, "a free in the wrong domain", MID_MISUSE_DOMAIN);
    free_block(&b);
    return true;
}

static bool no_block(void)
{
    static uint64_t nowhere[8];
    struct obj *o = random_object();
    bool inside = one_in(3);
    struct block b;
    if (!make_block(&b))
        return false;
    void *wrong = inside ? b.at + 8 : o != NULL && one_in(2) ? address_of(o) : (void *)&nowhere[pick(8)];
    free_wrong(b.raw, wrong, "a free of what is no block", MID_MISUSE_ADDRESS);
    free_block(&b);
    return true;
}

static bool (*const wrongs[])(void) = {block_fence, block_freed_twice, block_written_after_free, block_of_another_domain, no_block,
                                       overflow,     underflow,    write_after_free, stale_handle, unheld,
                                       slot_written, wrong_thread, foreign_handle,   no_slot,      stale_address};

void wrong_begin(void)
{
    mid_type_desc desc = {.struct_size = sizeof desc, .name = "foreign", .size = 32};
    if (mid_heap_open(&foreign_heap, NULL) != MID_OK || mid_thread_attach(foreign_heap, &foreign_thread) != MID_OK ||
        mid_type_register(foreign_heap, &desc, &foreign_type) != MID_OK)
        fail("the other heap does not open");
}

/* One misuse, of whatever kind applies now. */
void wrong_once(void)
{
    run.doing = "wrong";
    struct guard guard = guard_begin(); /* who allocates frees some of what waits */
    run.expect_report = true;
    for (unsigned n = 0; !wrongs[pick(sizeof wrongs / sizeof wrongs[0])](); n++)
        if (n == 1000)
            fail("no misuse applies");
    run.expect_report = false;
    guard_end(guard);
    run.wrongs++;
    uint64_t before = run.reports;
    if (mid_debug_check(run.heap) != MID_OK || mid_heap_check(run.heap) != MID_OK || run.reports != before)
        fail("a misuse that was told is told again: %s", mid_heap_check_text(run.heap));
}

void wrong_end(void)
{
    if (mid_heap_destroy(foreign_heap) != MID_OK)
        fail("the other heap does not close");
}
#endif
