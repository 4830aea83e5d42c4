/* daemon/process.c: regions of the process's address space by kind, from /proc/self/maps; what of it is the heap's, the heap
 * knows (process.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/json.h"
#include "daemon/process.h"

#define REGIONS_MOST 1000u

bool mid_ranges_add(mid_ranges *ranges, uintptr_t at, uintptr_t size, const char *kind)
{
    if (ranges->count == ranges->room) {
        size_t room = ranges->room * 2 + 16;
        mid_range *all = realloc(ranges->all, room * sizeof *all);
        if (all == NULL)
            return false;
        ranges->all = all;
        ranges->room = room;
    }
    ranges->all[ranges->count++] = (mid_range){at, at + size, kind};
    return true;
}

void mid_ranges_free(mid_ranges *ranges)
{
    free(ranges->all);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t one = ((const mid_range *)a)->from, other = ((const mid_range *)b)->from;
    return (one > other) - (one < other);
}

/* The region that grows at the end of the list. */
typedef struct row {
    json_t *list;
    const char *kind;
    uintptr_t from, to, bytes;
    bool good;
} row;

static void finish(row *r)
{
    if (r->kind != NULL && json_array_size(r->list) < REGIONS_MOST)
        r->good &= mid_json_append(r->list, json_pack("[sooI]", r->kind, mid_json_address(r->from), mid_json_address(r->to), (json_int_t)r->bytes));
    r->kind = NULL;
}

static void add(row *r, const char *kind, uintptr_t from, uintptr_t to)
{
    if (r->kind != NULL && strcmp(r->kind, kind) == 0) {
        r->to = to;
        r->bytes += to - from;
        return;
    }
    finish(r);
    r->kind = kind;
    r->from = from;
    r->to = to;
    r->bytes = to - from;
}

/* What is the heap's is cut out of a mapping: the kernel joins adjacent ones. */
static void cut(row *r, const mid_ranges *ours, size_t *next, const char *kind, uintptr_t from, uintptr_t to)
{
    while (from < to) {
        while (*next < ours->count && ours->all[*next].to <= from)
            ++*next;
        const mid_range *mine = *next < ours->count ? &ours->all[*next] : NULL;
        bool in = mine != NULL && mine->from <= from;
        uintptr_t until = mine == NULL ? to : in ? mine->to : mine->from;
        until = until < to ? until : to;
        add(r, in ? mine->kind : kind, from, until);
        from = until;
    }
}

static const char *kind_of(const char *access, const char *name)
{
    if (strcmp(name, "[heap]") == 0)
        return "heap";
    if (strcmp(name, "[stack]") == 0)
        return "stack";
    if (name[0] == '[')
        return "system";
    if (access[2] == 'x')
        return "code";
    return name[0] == '/' ? "data" : "anonymous";
}

static uint64_t resident(void)
{
    unsigned long size, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &size, &pages) != 2)
        pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A name may be as long as a path; only its beginning says anything here. */
static void read_maps(FILE *file, const mid_ranges *ours, row *r)
{
    char line[512];
    size_t next = 0;
    bool fresh = true;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long from, to;
        char access[8] = "", name[16] = "";
        bool begins = fresh;
        fresh = strchr(line, '\n') != NULL;
        if (begins && sscanf(line, "%lx-%lx %7s %*s %*s %*s %15s", &from, &to, access, name) >= 3)
            cut(r, ours, &next, kind_of(access, name), from, to);
    }
    finish(r);
}

json_t *mid_process_json(mid_ranges *ours)
{
    FILE *file = fopen("/proc/self/maps", "re");
    if (file == NULL)
        return errno == ENOMEM ? NULL : json_null();
    if (ours->count != 0)
        qsort(ours->all, ours->count, sizeof *ours->all, by_address);
    json_t *all = json_object();
    row r = {.list = json_array(), .good = true};
    read_maps(file, ours, &r);
    fclose(file);
    r.good &= mid_json_put_number(all, "resident", resident());
    r.good &= mid_json_put(all, "regions", r.list);
    if (r.good)
        return all;
    json_decref(all);
    return NULL;
}
