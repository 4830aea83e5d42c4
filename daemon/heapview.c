/* daemon/heapview.c: /heap.json: figures, classes, stops, footprint and pressure over time, the process's memory and what each pool holds.
 *
 * THE MAP is compact, since it is asked for again and again: an arena is its address, a string of 256 letters, one a unit, and, for
 * those of them that are pools, a string of 8 letters each: class (2), slots in use (3), age (3), numbers to the base 64, least
 * letter last; an age that 3 do not hold is the greatest they do. Pins are listed beside it, since there are few. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/act.h"
#include "daemon/http.h"
#include "daemon/log.h"
#include "daemon/pressure.h"
#include "daemon/process.h"
#include "midden/stats.h"
#include "midden/version.h"

#define POOL_LETTERS 8u
#define ROWS_MOST 64u /* of the history, in a step */

static void put_letters(char *into, unsigned letters, uint32_t value)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
    uint32_t most = (1u << 6 * letters) - 1;
    if (value > most)
        value = most;
    for (unsigned i = letters; i-- != 0; value /= 64)
        into[i] = alphabet[value % 64];
}

/* An arena's letters are none that JSON would have to escape. */
static bool put_arena(struct evbuffer *out, const mid_units *units, bool first)
{
    static const char uses[] = {[MID_UNIT_UNUSED] = '.', [MID_UNIT_EMPTY] = 'e', [MID_UNIT_PARTLY] = 'p', [MID_UNIT_FULL] = 'f',
                                [MID_UNIT_OWNED] = 'o', [MID_UNIT_RUNS] = 'r', [MID_UNIT_LARGE] = 'l', [MID_UNIT_MEM] = 'm'};
    char use[MID_UNITS], pools[MID_UNITS * POOL_LETTERS], *at = pools;
    for (unsigned i = 0; i < units->count; i++) {
        const mid_unit *u = &units->units[i];
        use[i] = uses[u->use];
        if (u->slots == 0 || u->use == MID_UNIT_MEM)
            continue;
        put_letters(at, 2, u->size_class);
        put_letters(at + 2, 3, u->live);
        put_letters(at + 5, 3, u->age);
        at += POOL_LETTERS;
    }
    bool good = evbuffer_add_printf(out, "%s{\"at\":\"%" PRIxPTR "\",\"units\":\"%.*s\",\"pools\":\"%.*s\",\"pins\":[", first ? "" : ",",
                                    units->at, (int)units->count, use, (int)(at - pools), pools) > 0;
    for (unsigned i = 0, pins = 0; i < units->count && good; i++)
        if (units->units[i].slots != 0 && units->units[i].use != MID_UNIT_MEM && units->units[i].pins != 0)
            good = evbuffer_add_printf(out, "%s[%u,%u]", pins++ == 0 ? "" : ",", i, (unsigned)units->units[i].pins) > 0;
    return good && evbuffer_add(out, "]}", 2) == 0;
}

/* A class's number is its place. */
static json_t *classes(mid_heap *heap)
{
    mid_class_stats c;
    json_t *all = json_array();
    bool good = true;
    for (unsigned i = 0; mid_stats_class(heap, i, &c) == MID_OK; i++)
        good &= mid_json_append(all, json_pack("{si si sI sI sI sI}", "slot", (int)c.slot_size, "slots", (int)c.slots_per_pool, "pools",
                                  (json_int_t)c.pools, "live", (json_int_t)c.live_slots, "free", (json_int_t)c.free_slots, "optimal",
                                  (json_int_t)c.optimal_pools));
    return mid_json_whole(all, good);
}

static json_t *stops(mid_heap *heap)
{
    uint64_t buckets[MID_STOP_BUCKETS];
    json_t *all = json_array();
    bool good = true;
    mid_stats_stops(heap, buckets);
    for (unsigned i = 0; i < MID_STOP_BUCKETS; i++)
        good &= mid_json_append(all, mid_json_number(buckets[i]));
    return mid_json_whole(all, good);
}

/* What holds, who says so, and the limits that go with it. */
static json_t *pressure(const mid_strain *strain)
{
    return json_pack("{ss ss sI sI}", "level", mid_level_name(strain->level), "why", mid_trigger_name(strain->why), "soft",
                     (json_int_t)strain->soft, "hard", (json_int_t)strain->hard);
}

static json_t *figures(const mid_view *view)
{
    json_t *root = json_object();
    bool good = mid_json_put(root, "version", json_string(MID_VERSION_STRING));
    good &= mid_json_put(root, "pid", json_integer(getpid()));
    good &= mid_json_put_number(root, "now", mid_daemon_clock());
    good &= mid_json_put(root, "stats", mid_json_figures(view->heap));
    good &= mid_json_put(root, "classes", classes(view->heap));
    good &= mid_json_put(root, "stops", stops(view->heap));
    good &= mid_json_put(root, "pressure", pressure(mid_daemon_inside(view->daemon).strain));
    good &= mid_json_put(root, "daemon", json_pack("{sIsI}", "cpu_micros", (json_int_t)mid_daemon_cpu_micros(view->daemon), "wakeups",
                                                   (json_int_t)mid_daemon_wakeups(view->daemon)));
    return mid_json_whole(root, good);
}

/* --- in steps --------------------------------------------------------------------------------------------------------- */

typedef struct telling {
    enum { FIGURES, HISTORY, ARENAS, REGIONS } at;
    uint64_t sampled; /* when the last sample was taken that is told */
    mid_units units;
    bool some; /* an arena was told */
    mid_ranges ours;
    mid_regions regions;
} telling;

/* An object without its end: the rest of it comes. */
static bool put_figures(const mid_view *view, struct evbuffer *out)
{
    json_t *root = figures(view);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    bool good = text != NULL && evbuffer_add(out, text, strlen(text) - 1) == 0 && evbuffer_add_printf(out, ",\"history\":[") > 0;
    free(text);
    json_decref(root);
    return good;
}

static mid_told put_history(telling *t, const mid_history *history, struct evbuffer *out)
{
    for (unsigned i = 0; i < ROWS_MOST; i++) {
        const mid_sample *s = mid_history_after(history, t->sampled);
        if (s == NULL) {
            t->at = ARENAS;
            return evbuffer_add_printf(out, "],\"map\":{\"arenas\":[") > 0 ? MID_TOLD_MORE : MID_TOLD_FAILED;
        }
        if (evbuffer_add_printf(out, "%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d]", t->sampled == 0 ? "" : ",", s->at,
                                s->committed, s->pools, s->empty, s->live, (int)s->level) < 0)
            return MID_TOLD_FAILED;
        t->sampled = s->at;
    }
    return MID_TOLD_MORE;
}

/* The last of the arenas was told. */
static mid_told turn_to_regions(telling *t, struct evbuffer *out)
{
    bool good = mid_ranges_add(&t->ours, t->units.table, t->units.table_size, "table") &&
                evbuffer_add_printf(out, "],\"unit\":%u},\"process\":", (unsigned)t->units.size) > 0;
    t->at = REGIONS;
    if (!good)
        return MID_TOLD_FAILED;
    if (!mid_regions_open(&t->regions, &t->ours))
        return errno != ENOMEM && evbuffer_add_printf(out, "null}") > 0 ? MID_TOLD_ALL : MID_TOLD_FAILED;
    return evbuffer_add_printf(out, "{\"resident\":%" PRIu64 ",\"regions\":[", mid_process_resident()) > 0 ? MID_TOLD_MORE : MID_TOLD_FAILED;
}

static mid_told tell(const mid_view *view, void *state, struct evbuffer *out)
{
    telling *t = state;
    bool more = true;
    if (t->at == FIGURES) {
        t->at = HISTORY;
        return put_figures(view, out) ? MID_TOLD_MORE : MID_TOLD_FAILED;
    }
    if (t->at == HISTORY)
        return put_history(t, view->history, out);
    if (t->at == ARENAS) {
        if (!mid_service_units(view->heap, &t->units))
            return turn_to_regions(t, out);
        bool good = put_arena(out, &t->units, !t->some) &&
                    mid_ranges_add(&t->ours, t->units.at, (uintptr_t)t->units.count * t->units.size, "arena");
        t->some = true;
        return good ? MID_TOLD_MORE : MID_TOLD_FAILED;
    }
    if (!mid_regions_next(&t->regions, &t->ours, out, &more))
        return MID_TOLD_FAILED;
    return more ? MID_TOLD_MORE : evbuffer_add(out, "]}}", 3) == 0 ? MID_TOLD_ALL : MID_TOLD_FAILED;
}

static void end(void *state)
{
    telling *t = state;
    mid_regions_close(&t->regions);
    mid_ranges_free(&t->ours);
}

const mid_story mid_story_heap = {sizeof(telling), tell, end};
