/* backend_boehm.c: Boehm's collector in its variants, and how long it stops the program.
 *
 * plain: GC_MALLOC for everything. atomic: leaf data by GC_MALLOC_ATOMIC. markers=N: N marker threads in place of one a
 * processor. no-interior: a pointer into the middle of an object does not keep it, so that objects need no byte more than asked
 * for; a promise that a C program rarely can give, these workloads can. incremental: GC_enable_incremental, leaf data atomic. */
#include "backend.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool leaf_is_atomic, incremental;
static struct histogram pauses;
static uint64_t began;

/* A whole collection runs on the thread whose allocation asked for it, and that is the pause. An incremental one is spread
 * over many allocations: there only the part with the world stopped is counted. */
static void on_event(GC_EventType event)
{
    GC_EventType first = incremental ? GC_EVENT_PRE_STOP_WORLD : GC_EVENT_START;
    GC_EventType last = incremental ? GC_EVENT_POST_START_WORLD : GC_EVENT_END;
    if (event == first) {
        began = now_ns();
    } else if (event == last && began != 0) {
        histogram_add(&pauses, now_ns() - began);
        began = 0;
    }
}

be_heap *be_open(const char *variant)
{
    if (strncmp(variant, "markers=", 8) == 0)
        GC_set_markers_count((unsigned)strtoul(variant + 8, NULL, 10));
    else if (strcmp(variant, "no-interior") == 0)
        GC_set_all_interior_pointers(0);
    else if (strcmp(variant, "incremental") == 0)
        incremental = true;
    else if (strcmp(variant, "atomic") != 0 && strcmp(variant, "plain") != 0)
        be_die("no such variant", variant);
    leaf_is_atomic = strcmp(variant, "plain") != 0;
    GC_INIT();
    GC_allow_register_threads();
    if (incremental)
        GC_enable_incremental();
    GC_set_on_collection_event(on_event);
    return NULL;
}

/* Registered, a thread has free lists of its own, and its stack is scanned. */
be_heap *be_thread_enter(void)
{
    struct GC_stack_base base;
    if (GC_get_stack_base(&base) != GC_SUCCESS || GC_register_my_thread(&base) != GC_SUCCESS)
        be_die("GC_register_my_thread", "refused");
    return NULL;
}

void be_thread_leave(be_heap *h)
{
    (void)h;
    GC_unregister_my_thread();
}

const char *be_name(void)
{
    return "boehm";
}

const char *be_version(void)
{
    static char text[32];
    unsigned v = GC_get_version();
    snprintf(text, sizeof text, "%u.%u.%u", v >> 16, v >> 8 & 255, v & 255);
    return text;
}

be_type be_node_type(be_heap *h, const char *name, size_t size, unsigned refs)
{
    (void)h, (void)name, (void)refs;
    return size;
}

be_type be_bytes_type(be_heap *h)
{
    (void)h;
    return leaf_is_atomic;
}

be_type be_array_type(be_heap *h)
{
    (void)h;
    return 0;
}

void be_roots(be_heap *h, be_ref *array, size_t count)
{
    (void)h;
    GC_add_roots(array, array + count);
}

/* One call does not do it: blocks are unmapped once they have been free for several collections. */
void be_shrink(be_heap *h)
{
    (void)h;
    for (int i = 0; i < 4; i++)
        GC_gcollect_and_unmap();
}

/* What was dropped is found by a collection; sweeping is lazy and belongs to whoever allocates next. */
void be_finish_frees(be_heap *h)
{
    (void)h;
    GC_gcollect();
}

/* It keeps no count of objects: the link is cleared by the collection that finds that nothing else refers to the object. */
void be_watch_begin(be_heap *h, be_ref ref, be_watch *watch)
{
    (void)h;
    *watch = ref;
    if (GC_general_register_disappearing_link(watch, ref) != GC_SUCCESS)
        be_die("GC_general_register_disappearing_link", "refused");
}

bool be_watch_over(be_heap *h, be_watch *watch)
{
    (void)h;
    return __atomic_load_n(watch, __ATOMIC_ACQUIRE) == NULL;
}

uint64_t be_epoch(void)
{
    return GC_get_gc_no();
}

struct histogram *be_pauses(be_heap *h)
{
    (void)h;
    return &pauses;
}

/* It neither works in the background nor compacts nor checks itself, stops threads wherever they are, and ends with the
 * process. */
void be_close(be_heap *h)
{
    (void)h;
}

void be_check(be_heap *h)
{
    (void)h;
}

void be_check_empty(be_heap *h)
{
    (void)h;
}

void be_wait_enter(be_heap *h)
{
    (void)h;
}

void be_wait_leave(be_heap *h)
{
    (void)h;
}

void be_idle_enter(be_heap *h)
{
    (void)h;
}

void be_idle_leave(be_heap *h)
{
    (void)h;
}

void be_compact(be_heap *h, bool deep)
{
    (void)h, (void)deep;
}

uint64_t be_objects(be_heap *h)
{
    (void)h;
    return 0;
}

void be_collect(be_heap *h)
{
    (void)h;
}

int be_account(be_heap *h, struct be_account *account)
{
    (void)h, (void)account;
    return 0;
}

bool be_world(be_heap *h, struct be_world *world)
{
    (void)h, (void)world;
    return false;
}
