/* daemon/reply_heap.c: what a heap looks like: figures, size classes, types, pauses. Each figure is of some moment. */
#include <stdio.h>
#include <string.h>

#include "daemon/reply.h"
#include "midden/stats.h"

#define MMU_WINDOWS 4
#define TYPES_MOST 1000
#define NAME_MOST 64
static const uint64_t windows[MMU_WINDOWS] = {1000, 5000, 10000, 50000};

#define FIGURES(X)                                                                                                     \
    X(live_objects) X(live_slot_bytes) X(pool_bytes) X(empty_bytes) X(run_bytes) X(mapping_bytes) X(table_bytes)       \
    X(metadata_bytes) X(committed_bytes) X(peak_committed_bytes) X(waiting_objects) X(finalizers_waiting)              \
    X(pinned_objects) X(weak_references) X(allocated_objects) X(allocated_bytes) X(freed_objects) X(collections)       \
    X(collected_objects) X(collect_micros) X(compactions) X(moved_objects) X(moved_bytes) X(compact_micros)            \
    X(returned_bytes) X(stops) X(stop_micros) X(stop_micros_max) X(finalized_objects) X(resurrected_objects)           \
    X(attached_threads) X(merged_objects) X(escapes_forced) X(postponed_stops) X(condemned_objects) X(pool_size)       \
    X(block_bytes) X(foreign_bytes) X(peak_foreign_bytes) X(frozen_objects) X(frozen_counts) X(frozen_written)

#define ONE(field) +1
_Static_assert((0 FIGURES(ONE)) * sizeof(uint64_t) == sizeof(mid_stats), "a figure of midden/stats.h is left out");
#undef ONE

static int put(json_t *object, const char *name, uint64_t value)
{
    return json_object_set_new(object, name, mid_json_number(value));
}

static json_t *figures(mid_heap *heap)
{
    mid_stats stats;
    memset(&stats, 0, sizeof stats);
    mid_stats_get(heap, &stats, sizeof stats);
    json_t *o = json_object();
    int failed = 0;
#define PUT(field) failed |= put(o, #field, stats.field);
    FIGURES(PUT)
#undef PUT
    return mid_json_whole(o, failed);
}

static json_t *classes(mid_heap *heap)
{
    mid_class_stats c;
    json_t *list = json_array();
    int failed = 0;
    for (unsigned i = 0; mid_stats_class(heap, i, &c) == MID_OK; i++) {
        if (c.pools == 0)
            continue;
        json_t *o = json_object();
        failed |= put(o, "slot_size", c.slot_size);
        failed |= put(o, "slots_per_pool", c.slots_per_pool);
        failed |= put(o, "pools", c.pools);
        failed |= put(o, "live_slots", c.live_slots);
        failed |= put(o, "free_slots", c.free_slots);
        failed |= put(o, "optimal_pools", c.optimal_pools);
        failed |= json_array_append_new(list, o);
    }
    return mid_json_whole(list, failed);
}

/* By name: how many objects there are of each would take a walk of the table. Both are bounded, since an answer is. */
static json_t *types(mid_heap *heap)
{
    const char *name;
    json_t *list = json_array();
    int failed = 0;
    for (mid_type type = 1; type <= TYPES_MOST && (name = mid_type_name(heap, type)) != NULL; type++)
        failed |= json_array_append_new(list, mid_json_text(name, strnlen(name, NAME_MOST)));
    return mid_json_whole(list, failed);
}

/* Up to the last that is not 0. */
static json_t *histogram(const uint64_t counts[MID_STOP_BUCKETS])
{
    unsigned used = MID_STOP_BUCKETS;
    json_t *list = json_array();
    int failed = 0;
    while (used > 0 && counts[used - 1] == 0)
        used--;
    for (unsigned i = 0; i < used; i++)
        failed |= json_array_append_new(list, mid_json_number(counts[i]));
    return mid_json_whole(list, failed);
}

static json_t *pauses(mid_heap *heap)
{
    mid_pause_stats p;
    json_t *all = json_object();
    int failed = 0;
    for (mid_pause_cause cause = 0; mid_stats_pauses(heap, cause, &p) == MID_OK; cause++) {
        if (p.count == 0)
            continue;
        json_t *o = json_object();
        failed |= put(o, "count", p.count);
        failed |= put(o, "wall_nanos", p.wall_nanos);
        failed |= put(o, "wall_nanos_max", p.wall_nanos_max);
        failed |= put(o, "cpu_nanos", p.cpu_nanos);
        failed |= put(o, "cpu_nanos_max", p.cpu_nanos_max);
        failed |= json_object_set_new(o, "wall_histogram", histogram(p.wall_histogram));
        failed |= json_object_set_new(o, "cpu_histogram", histogram(p.cpu_histogram));
        failed |= json_object_set_new(all, mid_pause_name(cause), o);
    }
    return mid_json_whole(all, failed);
}

static json_t *utilisation(mid_heap *heap)
{
    char name[24];
    double least;
    json_t *o = json_object();
    int failed = 0;
    for (unsigned i = 0; i < MMU_WINDOWS; i++) {
        snprintf(name, sizeof name, "%u_micros", (unsigned)windows[i]);
        if (mid_stats_mmu(heap, windows[i], &least) == MID_OK)
            failed |= json_object_set_new(o, name, json_real(least));
    }
    return mid_json_whole(o, failed);
}

json_t *mid_reply_stats(mid_heap *heap, mid_daemon *daemon)
{
    uint64_t stops[MID_STOP_BUCKETS] = {0}, waits[MID_STOP_BUCKETS] = {0};
    mid_stats_stops(heap, stops);
    mid_stats_waits(heap, waits);
    json_t *o = json_object(), *loop = json_object();
    int failed = json_object_set_new(o, "ok", json_true());
    failed |= json_object_set_new(o, "stats", figures(heap));
    failed |= json_object_set_new(o, "classes", classes(heap));
    failed |= json_object_set_new(o, "types", types(heap));
    failed |= json_object_set_new(o, "stop_histogram", histogram(stops));
    failed |= json_object_set_new(o, "wait_histogram", histogram(waits));
    failed |= json_object_set_new(o, "pauses", pauses(heap));
    failed |= json_object_set_new(o, "utilisation", utilisation(heap));
    failed |= put(loop, "cpu_micros", mid_daemon_cpu_micros(daemon));
    failed |= put(loop, "wakeups", mid_daemon_wakeups(daemon));
    failed |= json_object_set_new(o, "daemon", loop);
    return mid_json_whole(o, failed);
}
