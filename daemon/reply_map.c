/* daemon/reply_map.c: the heap map: what each size class's pools are filled to, what is pinned, what each arena's units are used
 * for. Read an arena at a time, so that no thread waits for longer than that takes; the whole is of several moments. */
#include <stdio.h>
#include <string.h>

#include "daemon/reply.h"
#include "midden/stats.h"

#define CLASSES_MOST 256  /* more than a byte can number there are not */
#define ARENAS_MOST 512u  /* in full: 8 GiB, 128 KiB of text */
#define EIGHTHS 8

typedef struct tally {
    uint64_t empty, full, owned, pinned_pools, pins, live;
    uint64_t partly[EIGHTHS];
} tally;

typedef struct map {
    tally classes[CLASSES_MOST];
    uint64_t uses[MID_UNIT_MEM + 1];
    uint64_t arenas;
} map;

/* One character for a unit: how full a pool is in eighths, or what else it is. */
static char sign(const mid_unit *unit)
{
    static const char signs[] = {'.', 'e', '0', 'F', 'o', 'R', 'L', 'M'};
    if (unit->use == MID_UNIT_PARTLY && unit->slots != 0)
        return (char)('0' + unit->live * EIGHTHS / unit->slots);
    return unit->use < sizeof signs ? signs[unit->use] : '?';
}

static void count(map *m, const mid_unit *unit)
{
    tally *t = &m->classes[unit->size_class];
    m->uses[unit->use <= MID_UNIT_MEM ? unit->use : 0]++;
    if (unit->use < MID_UNIT_EMPTY || unit->use > MID_UNIT_OWNED)
        return;
    t->empty += unit->use == MID_UNIT_EMPTY;
    t->full += unit->use == MID_UNIT_FULL;
    t->owned += unit->use == MID_UNIT_OWNED;
    if (unit->use == MID_UNIT_PARTLY && unit->slots > unit->live)
        t->partly[unit->live * EIGHTHS / unit->slots]++;
    t->pinned_pools += unit->pins != 0;
    t->pins += unit->pins;
    t->live += unit->live;
}

static json_t *class_of(uint64_t slot_size, const tally *t)
{
    json_t *partly = json_array();
    bool good = true;
    for (unsigned i = 0; i < EIGHTHS; i++)
        good &= mid_json_append(partly, mid_json_number(t->partly[i]));
    json_t *o = json_pack("{s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I}", "slot_size", (json_int_t)slot_size, "live_slots", (json_int_t)t->live,
                     "empty", (json_int_t)t->empty, "eighths", partly, "full", (json_int_t)t->full, "owned", (json_int_t)t->owned,
                     "pinned_pools", (json_int_t)t->pinned_pools, "pins", (json_int_t)t->pins);
    return mid_json_whole(o, good);
}

static json_t *classes(mid_heap *heap, const map *m)
{
    static const tally nothing;
    mid_class_stats c;
    json_t *list = json_array();
    bool good = true;
    for (unsigned i = 0; i < CLASSES_MOST && mid_stats_class(heap, i, &c) == MID_OK; i++)
        if (memcmp(&m->classes[i], &nothing, sizeof nothing) != 0)
            good &= mid_json_append(list, class_of(c.slot_size, &m->classes[i]));
    return mid_json_whole(list, good);
}

static json_t *arenas(mid_heap *heap, map *m)
{
    mid_units arena = {.at = 0};
    char line[MID_UNITS + 1], at[24];
    json_t *list = json_array();
    bool good = true;
    for (; mid_service_units(heap, &arena); m->arenas++) {
        for (unsigned i = 0; i < arena.count; i++) {
            count(m, &arena.units[i]);
            line[i] = sign(&arena.units[i]);
        }
        line[arena.count] = 0;
        snprintf(at, sizeof at, "0x%llx", (unsigned long long)arena.at);
        if (m->arenas < ARENAS_MOST)
            good &= mid_json_append(list, json_pack("{s:s, s:s}", "at", at, "units", line));
    }
    return mid_json_whole(list, good);
}

json_t *mid_reply_dump(mid_heap *heap)
{
    static const char *const names[] = {"unused", "empty", "partly", "full", "owned", "runs", "large", "mem"};
    map m = {0};
    json_t *o = json_object(), *uses = json_object(), *list = arenas(heap, &m);
    bool good = mid_json_put(o, "ok", json_true());
    good &= mid_json_put(o, "classes", classes(heap, &m));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        good &= mid_json_put_number(uses, names[i], m.uses[i]);
    good &= mid_json_put(o, "units", uses);
    good &= mid_json_put_number(o, "arena_count", m.arenas);
    good &= mid_json_put(o, "arenas", list);
    return mid_json_whole(o, good);
}
