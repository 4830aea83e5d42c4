/* tests/stress/threads/world.c: a heap for many threads: its beginning, and its end, at which nothing may be left. By the main
 * thread alone. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "midden/events.h"
#include "threads.h"
#include "tests/stress/daemon.h"

enum { ROUNDS_MAX = 1000 };

/* What is not asked for follows from the seed. */
static mid_options options_for(struct world *world)
{
    static const uint64_t batches[] = {32, 64, 512}, reserves[] = {0, 256 << 10, 1 << 20};
    mid_options options;
    mid_options_init(&options);
    options.max_objects = 1 << 18;
    options.free_batch = batches[pick(3)];
    options.reserve = reserves[pick(3)];
    options.spare = one_in(2) ? 0 : 100;
    options.deep = pick(4);
    options.pool_size = (uint64_t)(16 << 10) << (many.seed + world->number) % 3 * 2;
    options.evacuate = many.seed / 3 % 3;
    options.heap_limit = world->number == 0 ? many.heap_limit : one_in(2) ? 0 : 12 << 20;
    if (many.mode == MODE_DAEMON) {
        daemon_options(&options);
        options.stop_wait = 20000; /* the threads are more than the processors */
    }
    if (many.mode == MODE_STEPS)
        steps_options(&options);
    return options;
}

static void make_shared(struct mutator *m)
{
    struct item item;
    if (!make(m, KIND_ARRAY, ROOTS, &item))
        fail("no room for the roots");
    m->world->top = item.handle;
    for (unsigned n = 0; n < ROOTS; n++) {
        if (make(m, KIND_ARRAY, 8, &item))
            mid_give(m->thread, m->world->top, FIRST_ITEM + n, item.handle);
    }
    if (!make(m, KIND_NODE, 0, &item))
        fail("no room for the stack");
    m->world->stack = item.handle;
}

void world_open(struct world *world)
{
    struct mutator *m = &self->on[world->number];
    mid_options options = options_for(world);
    pthread_mutex_init(&world->lock, NULL);
    world->destroy = world->number == 1 && one_in(3);
    mid_status status = mid_heap_open(&world->heap, &options);
    if (status != MID_OK)
        fail("mid_heap_open returned %s", mid_status_name(status));
    attach(m);
    if (m->thread == NULL)
        fail("no room for the first thread");
    kinds_open(world);
    make_shared(m);
    if (many.mode == MODE_DAEMON)
        world->daemon = daemon_begin(world->heap);
    if (one_in(2))
        detach(m);
    else
        op_blocked(m);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* What a thread that has ended held becomes the main thread's. */
static void inherit(struct mutator *m, struct mutator *from)
{
    while (from->held_count != 0)
        let_go(m, from->held[--from->held_count]);
    memcpy(m->pins, from->pins, sizeof m->pins);
    m->pin_count = from->pin_count;
    from->pin_count = 0;
    unpin_all(m);
}

static void let_go_of_world(struct mutator *m)
{
    struct world *world = m->world;
    struct item item;
    for (unsigned n = 0; n < many.threads; n++)
        inherit(m, &many.workers[n].on[world->number]);
    for (unsigned n = 0; n <= THREADS_MAX; n++) {
        while (fetch(world, n, &item))
            let_go(m, item);
    }
    for (unsigned n = 0; n < WEAKS; n++) {
        if (world->weaks[n].weak.generation != 0 && mid_weak_drop(m->thread, world->weaks[n].weak) != MID_OK)
            fail("a weak handle cannot be dropped at the end");
        world->weaks[n].weak = (mid_weak){0, 0};
    }
    while (mid_peek(m->thread, world->stack, 2) != 0)
        op_pop(m);
    if (atomic_load(&world->pushed) != atomic_load(&world->popped))
        fail("numbers pushed on the stack add up to %" PRIu64 ", popped %" PRIu64, (uint64_t)atomic_load(&world->pushed),
             (uint64_t)atomic_load(&world->popped));
    mid_release(m->thread, world->stack);
    mid_release(m->thread, world->top);
    let_go_of_all(m);
}

static void report_left(struct mutator *m, uint64_t live)
{
    uint64_t objects, bytes;
    for (unsigned n = 0; n < atomic_load(&m->world->type_count); n++) {
        mid_type type = m->world->types[n].type;
        if (mid_stats_type(m->world->heap, type, &objects, &bytes) == MID_OK && objects != 0)
            printf("  left: %" PRIu64 " of type %s\n", objects, mid_type_name(m->world->heap, type));
    }
    fail("%" PRIu64 " objects are left when nothing is held", live);
}

static void check_empty(struct mutator *m)
{
    mid_collect_result result;
    mid_stats stats;
    unsigned rounds = 0;
    do {
        mid_status status = mid_collect(m->thread, &result);
        if (status == MID_ELIMIT) { /* no room for the marks */
            mid_reclaim(m->thread);
            status = mid_collect(m->thread, &result);
        }
        if (status != MID_OK)
            fail("the last mid_collect returned %s", mid_status_name(status));
        mid_stats_get(m->world->heap, &stats, sizeof stats);
        if (++rounds > ROUNDS_MAX)
            fail("collections find garbage for ever");
        mid_trim(m->thread, 0, NULL); /* what types keep */
        mid_stats_get(m->world->heap, &stats, sizeof stats);
    } while (result.freed != 0 || stats.waiting_objects != 0 || stats.finalizers_waiting != 0);
    if (stats.live_objects != 0 && !m->world->destroy)
        report_left(m, stats.live_objects);
    if (stats.pinned_objects != 0 || stats.weak_references != 0)
        fail("%" PRIu64 " pins and %" PRIu64 " weak references are left", stats.pinned_objects, stats.weak_references);
}

static void on_leak(void *context, const mid_leak *leak)
{
    (void)context;
    printf("  held at close: %" PRIu64 " of type %s\n", leak->objects, leak->type);
}

static void check_heap(struct world *world)
{
    mid_status status = mid_heap_check(world->heap);
    if (status == MID_ECORRUPT)
        fail("mid_heap_check at the end: %s", mid_heap_check_text(world->heap));
    if (status != MID_OK)
        fail("mid_heap_check at the end returned %s", mid_status_name(status));
}

static void print_stops(struct world *world)
{
    mid_stats stats;
    mid_stats_get(world->heap, &stats, sizeof stats);
    printf("  heap %u: %" PRIu64 " allocated, %" PRIu64 " merged, %" PRIu64 " forced to escape, %" PRIu64 " stops, %" PRIu64
           " postponed, %" PRIu64 " resurrected\n",
           world->number, stats.allocated_objects, stats.merged_objects, stats.escapes_forced, stats.stops, stats.postponed_stops,
           stats.resurrected_objects);
}

void world_close(struct world *world)
{
    struct mutator *m = &self->on[world->number];
    const mid_listener listener = {.struct_size = sizeof listener, .context = world, .leak = on_leak};
    if (world->daemon != NULL)
        daemon_end(world->daemon);
    if (m->blocked)
        op_leave(m);
    if (m->thread == NULL)
        attach(m);
    if (m->thread == NULL)
        fail("no room for the last thread");
    check_heap(world);
    if (!world->destroy || one_in(2)) {
        switch_back(m);
        let_go_of_world(m);
        check_empty(m);
        check_heap(world);
    }
    print_stops(world);
    mid_listener_add(world->heap, &listener);
    mid_status status = world->destroy ? mid_heap_destroy(world->heap) : mid_heap_close(world->heap);
    if (status != MID_OK)
        fail("the end of the heap returned %s", mid_status_name(status));
    m->thread = NULL;
    lives_check(world);
    pthread_mutex_destroy(&world->lock);
}
