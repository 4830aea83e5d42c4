/* daemon/reply_heap.c: what a heap looks like: figures, size classes, types, pauses. Each figure is of some moment. */
#include <stdio.h>
#include <string.h>

#include "daemon/reply.h"
#include "midden/stats.h"

#define MMU_WINDOWS 4
#define TYPES_MOST 1000
#define NAME_MOST 64
static const uint64_t windows[MMU_WINDOWS] = {1000, 5000, 10000, 50000};

static json_t *classes(mid_heap *heap)
{
    mid_class_stats c;
    json_t *list = json_array();
    bool good = true;
    for (unsigned i = 0; mid_stats_class(heap, i, &c) == MID_OK; i++) {
        if (c.pools == 0)
            continue;
        json_t *o = json_object();
        good &= mid_json_put_number(o, "slot_size", c.slot_size);
        good &= mid_json_put_number(o, "slots_per_pool", c.slots_per_pool);
        good &= mid_json_put_number(o, "pools", c.pools);
        good &= mid_json_put_number(o, "live_slots", c.live_slots);
        good &= mid_json_put_number(o, "free_slots", c.free_slots);
        good &= mid_json_put_number(o, "optimal_pools", c.optimal_pools);
        good &= mid_json_append(list, o);
    }
    return mid_json_whole(list, good);
}

/* By name: how many objects there are of each would take a walk of the table. Both are bounded, since an answer is. */
static json_t *types(mid_heap *heap)
{
    const char *name;
    json_t *list = json_array();
    bool good = true;
    for (mid_type type = 1; type <= TYPES_MOST && (name = mid_type_name(heap, type)) != NULL; type++)
        good &= mid_json_append(list, mid_json_text(name, strnlen(name, NAME_MOST)));
    return mid_json_whole(list, good);
}

/* Up to the last that is not 0. */
static json_t *histogram(const uint64_t counts[MID_STOP_BUCKETS])
{
    unsigned used = MID_STOP_BUCKETS;
    json_t *list = json_array();
    bool good = true;
    while (used > 0 && counts[used - 1] == 0)
        used--;
    for (unsigned i = 0; i < used; i++)
        good &= mid_json_append(list, mid_json_number(counts[i]));
    return mid_json_whole(list, good);
}

static json_t *pauses(mid_heap *heap)
{
    mid_pause_stats p;
    json_t *all = json_object();
    bool good = true;
    for (mid_pause_cause cause = 0; mid_stats_pauses(heap, cause, &p) == MID_OK; cause++) {
        if (p.count == 0)
            continue;
        json_t *o = json_object();
        good &= mid_json_put_number(o, "count", p.count);
        good &= mid_json_put_number(o, "wall_nanos", p.wall_nanos);
        good &= mid_json_put_number(o, "wall_nanos_max", p.wall_nanos_max);
        good &= mid_json_put_number(o, "cpu_nanos", p.cpu_nanos);
        good &= mid_json_put_number(o, "cpu_nanos_max", p.cpu_nanos_max);
        good &= mid_json_put(o, "wall_histogram", histogram(p.wall_histogram));
        good &= mid_json_put(o, "cpu_histogram", histogram(p.cpu_histogram));
        good &= mid_json_put(all, mid_pause_name(cause), o);
    }
    return mid_json_whole(all, good);
}

static json_t *utilisation(mid_heap *heap)
{
    char name[24];
    double least;
    json_t *o = json_object();
    bool good = true;
    for (unsigned i = 0; i < MMU_WINDOWS; i++) {
        snprintf(name, sizeof name, "%u_micros", (unsigned)windows[i]);
        if (mid_stats_mmu(heap, windows[i], &least) == MID_OK)
            good &= mid_json_put(o, name, json_real(least));
    }
    return mid_json_whole(o, good);
}

json_t *mid_reply_stats(mid_heap *heap, mid_daemon *daemon)
{
    uint64_t stops[MID_STOP_BUCKETS] = {0}, waits[MID_STOP_BUCKETS] = {0};
    mid_stats_stops(heap, stops);
    mid_stats_waits(heap, waits);
    json_t *o = json_object(), *loop = json_object();
    bool good = mid_json_put(o, "ok", json_true());
    good &= mid_json_put(o, "stats", mid_json_figures(heap));
    good &= mid_json_put(o, "classes", classes(heap));
    good &= mid_json_put(o, "types", types(heap));
    good &= mid_json_put(o, "stop_histogram", histogram(stops));
    good &= mid_json_put(o, "wait_histogram", histogram(waits));
    good &= mid_json_put(o, "pauses", pauses(heap));
    good &= mid_json_put(o, "utilisation", utilisation(heap));
    good &= mid_json_put_number(loop, "cpu_micros", mid_daemon_cpu_micros(daemon));
    good &= mid_json_put_number(loop, "wakeups", mid_daemon_wakeups(daemon));
    good &= mid_json_put(o, "daemon", loop);
    return mid_json_whole(o, good);
}
