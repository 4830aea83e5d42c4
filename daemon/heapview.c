/* daemon/heapview.c: /heap.json: figures, classes, stops, footprint over time, the process's memory and what each pool holds.
 *
 * THE MAP is compact, since it is asked for again and again: an arena is its address, a string of 256 letters, one a unit, and, for
 * those of them that are pools, a string of 8 letters each: class (2), slots in use (3), age (3), numbers to the base 64, least
 * letter last; an age that 3 do not hold is the greatest they do. Pins are listed beside it, since there are few. */
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/http.h"
#include "daemon/process.h"
#include "midden/stats.h"
#include "midden/version.h"

#define POOL_LETTERS 8u

static void put_letters(char *into, unsigned letters, uint32_t value)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    uint32_t most = (1u << 6 * letters) - 1;
    if (value > most)
        value = most;
    for (unsigned i = letters; i-- != 0; value /= 64)
        into[i] = alphabet[value % 64];
}

static json_t *arena(const mid_units *units)
{
    static const char uses[] = {[MID_UNIT_UNUSED] = '.', [MID_UNIT_EMPTY] = 'e', [MID_UNIT_PARTLY] = 'p', [MID_UNIT_FULL] = 'f',
                                [MID_UNIT_OWNED] = 'o', [MID_UNIT_RUNS] = 'r', [MID_UNIT_LARGE] = 'l', [MID_UNIT_MEM] = 'm'};
    char use[MID_UNITS], pools[MID_UNITS * POOL_LETTERS], *at = pools;
    json_t *all = json_object(), *pins = json_array();
    bool good = true;
    for (unsigned i = 0; i < units->count; i++) {
        const mid_unit *u = &units->units[i];
        use[i] = uses[u->use];
        if (u->slots == 0 || u->use == MID_UNIT_MEM)
            continue;
        put_letters(at, 2, u->size_class);
        put_letters(at + 2, 3, u->live);
        put_letters(at + 5, 3, u->age);
        at += POOL_LETTERS;
        if (u->pins != 0)
            good &= mid_json_append(pins, json_pack("[ii]", (int)i, (int)u->pins));
    }
    good &= mid_json_put(all, "at", mid_json_address(units->at));
    good &= mid_json_put(all, "units", json_stringn_nocheck(use, units->count));
    good &= mid_json_put(all, "pools", json_stringn_nocheck(pools, (size_t)(at - pools)));
    good &= mid_json_put(all, "pins", pins);
    return mid_json_whole(all, good);
}

static json_t *map(mid_heap *heap, mid_ranges *ours)
{
    mid_units units = {0};
    json_t *all = json_object(), *arenas = json_array();
    bool good = mid_json_put(all, "arenas", arenas);
    while (good && mid_service_units(heap, &units))
        good = mid_json_append(arenas, arena(&units)) && mid_ranges_add(ours, units.at, (uintptr_t)units.count * units.size, "arena");
    good = good && mid_json_put(all, "unit", json_integer(units.size));
    good = good && mid_ranges_add(ours, units.table, units.table_size, "table");
    return mid_json_whole(all, good);
}

/* A class's number is its place. */
static json_t *classes(mid_heap *heap)
{
    mid_class_stats c;
    json_t *all = json_array();
    for (unsigned i = 0; mid_stats_class(heap, i, &c) == MID_OK; i++)
        mid_json_append(all, json_pack("{si si sI sI sI sI}", "slot", (int)c.slot_size, "slots", (int)c.slots_per_pool, "pools",
                                  (json_int_t)c.pools, "live", (json_int_t)c.live_slots, "free", (json_int_t)c.free_slots, "optimal",
                                  (json_int_t)c.optimal_pools));
    return all;
}

static json_t *stops(mid_heap *heap)
{
    uint64_t buckets[MID_STOP_BUCKETS];
    json_t *all = json_array();
    mid_stats_stops(heap, buckets);
    for (unsigned i = 0; i < MID_STOP_BUCKETS; i++)
        mid_json_append(all, mid_json_number(buckets[i]));
    return all;
}

static json_t *past(const mid_history *history)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < history->count; i++) {
        const mid_sample *s = &history->samples[i];
        mid_json_append(all, json_pack("[IIIII]", (json_int_t)s->at, (json_int_t)s->committed, (json_int_t)s->pools,
                                  (json_int_t)s->empty, (json_int_t)s->live));
    }
    return all;
}

bool mid_view_heap(const mid_view *view, struct evbuffer *out)
{
    mid_ranges ours = {0};
    json_t *root = json_object();
    bool good = mid_json_put(root, "version", json_string(MID_VERSION_STRING));
    good &= mid_json_put(root, "pid", json_integer(getpid()));
    good &= mid_json_put_number(root, "now", mid_daemon_clock());
    good &= mid_json_put(root, "stats", mid_json_figures(view->heap));
    good &= mid_json_put(root, "classes", classes(view->heap));
    good &= mid_json_put(root, "stops", stops(view->heap));
    good &= mid_json_put(root, "history", past(view->history));
    good &= mid_json_put(root, "daemon", json_pack("{sIsI}", "cpu_micros", (json_int_t)mid_daemon_cpu_micros(view->daemon), "wakeups",
                                              (json_int_t)mid_daemon_wakeups(view->daemon)));
    good = good && mid_json_put(root, "map", map(view->heap, &ours));
    good = good && mid_json_put(root, "process", mid_process_json(&ours));
    mid_ranges_free(&ours);
    return mid_view_write(root, good, out);
}
