/* litter.c: see litter.h. */
#include "litter.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LOOKS = 16000, POINTS = 200, FEW = 1 << 16, ONE_IN = 64, SLACK = 1024 };

struct watched {
    be_watch watch;
    atomic_uint objects; /* 0: not entered yet */
    atomic_bool there;
};

struct point {
    uint64_t operations, outstanding, watched, rss, reachable;
};

uint64_t litter_below, litter_next;
static uint64_t every; /* one structure in so many is watched; 0: none */
static struct watched *watched;
static uint64_t room, first; /* all before `first` have gone */
static atomic_ullong used, watched_objects;
static uint64_t seen; /* the heap's epoch at the last search */
static uint64_t most, look_step, point_step, point_next;
static struct point points[POINTS + 2];
static unsigned point_count;

void litter_prepare(const struct run *run, uint64_t structures)
{
    if (BE_EXPLICIT || (BE_COUNTS && !run->check))
        return;
    every = structures > FEW ? ONE_IN : 1;
    litter_below = UINT64_MAX / every;
    room = structures / every + SLACK;
    watched = driver_array(room, sizeof *watched);
}

void litter_watch(be_heap *h, be_ref ref, uint64_t objects)
{
    uint64_t at = atomic_fetch_add(&used, 1);
    if (at >= room)
        be_die("litter", "more was dropped than was said");
    be_watch_begin(h, ref, &watched[at].watch);
    atomic_fetch_add(&watched_objects, objects);
    atomic_store(&watched[at].there, true);
    atomic_store(&watched[at].objects, (unsigned)objects);
}

/* What has gone since the last time. One that another thread is about to enter is not there yet, and not passed over. */
static void search(be_heap *h)
{
    uint64_t end = atomic_load(&used);
    bool all_gone = true;
    for (uint64_t i = first; i < end; i++) {
        struct watched *w = &watched[i];
        unsigned objects = atomic_load(&w->objects);
        if (objects != 0 && atomic_load(&w->there) && be_watch_over(h, &w->watch)) {
            atomic_store(&w->there, false);
            atomic_fetch_sub(&watched_objects, objects);
        }
        all_gone &= objects != 0 && !atomic_load(&w->there);
        if (all_gone)
            first = i + 1;
    }
}

static uint64_t estimate(void)
{
    return atomic_load(&watched_objects) * every;
}

static uint64_t outstanding(be_heap *h, uint64_t reachable)
{
    if (BE_EXPLICIT)
        return 0;
    if (BE_COUNTS) {
        uint64_t objects = be_objects(h);
        return objects > reachable ? objects - reachable : 0;
    }
    uint64_t epoch = be_epoch();
    if (epoch != seen)
        search(h);
    seen = epoch;
    return estimate();
}

static void look(be_heap *h, uint64_t operations, uint64_t reachable, bool point)
{
    uint64_t objects = outstanding(h, reachable);
    most = objects > most ? objects : most;
    if (!point || point_count == sizeof points / sizeof *points)
        return;
    if (BE_COUNTS && every)
        search(h);
    uint64_t alive = BE_COUNTS ? estimate() : objects;
    points[point_count++] = (struct point){operations, objects, alive, resident_bytes(), reachable};
}

void litter_look_now(be_heap *h, uint64_t operations, uint64_t reachable)
{
    bool point = operations >= point_next;
    look(h, operations, reachable, point);
    if (point)
        point_next = operations + point_step;
    litter_next = operations + look_step;
    litter_next = litter_next < point_next ? litter_next : point_next;
}

void litter_begin(uint64_t operations)
{
    most = 0;
    point_count = 0;
    look_step = (operations + LOOKS - 1) / LOOKS;
    point_step = (operations + POINTS - 1) / POINTS;
    litter_next = point_next = 0;
}

static void report(void)
{
    say("garbage most=%" PRIu64 " every=%" PRIu64 "\n", most, every);
    for (unsigned i = 0; i < point_count; i++) {
        const struct point *p = &points[i];
        say("point %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", p->operations, p->outstanding, p->watched,
            p->rss, p->reachable);
    }
}

void litter_end(struct run *run, uint64_t operations, uint64_t reachable)
{
    be_heap *h = run->heap;
    look(h, operations, reachable, true);
    report();
    if (!BE_COUNTS)
        return;
    char text[96];
    be_collect(h);
    search(h);
    snprintf(text, sizeof text, "%" PRIu64 " objects are reachable, the heap has %" PRIu64 "; %" PRIu64 " watched ones are left",
             reachable, be_objects(h), estimate());
    if (be_objects(h) != reachable || estimate() != 0)
        be_die("litter", text);
}
