/* daemon/process.c: regions of the process's address space by kind, from /proc/self/maps; what of it is the heap's, the heap
 * knows (process.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/process.h"

#define REGIONS_MOST 1000u
#define LINES_MOST 16u /* in a step */

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

static bool finish(mid_regions *r, struct evbuffer *out)
{
    const char *kind = r->kind;
    r->kind = NULL;
    if (kind == NULL || r->count == REGIONS_MOST)
        return true;
    return evbuffer_add_printf(out, "%s[\"%s\",\"%" PRIxPTR "\",\"%" PRIxPTR "\",%" PRIuPTR "]", r->count++ == 0 ? "" : ",", kind, r->from,
                               r->to, r->bytes) > 0;
}

static bool add(mid_regions *r, const char *kind, uintptr_t from, uintptr_t to, struct evbuffer *out)
{
    if (r->kind != NULL && strcmp(r->kind, kind) == 0) {
        r->to = to;
        r->bytes += to - from;
        return true;
    }
    bool good = finish(r, out);
    r->kind = kind;
    r->from = from;
    r->to = to;
    r->bytes = to - from;
    return good;
}

/* What is the heap's is cut out of a mapping: the kernel joins adjacent ones. */
static bool cut(mid_regions *r, const mid_ranges *ours, const char *kind, uintptr_t from, uintptr_t to, struct evbuffer *out)
{
    bool good = true;
    while (from < to && good) {
        while (r->next < ours->count && ours->all[r->next].to <= from)
            r->next++;
        const mid_range *mine = r->next < ours->count ? &ours->all[r->next] : NULL;
        bool in = mine != NULL && mine->from <= from;
        uintptr_t until = mine == NULL ? to : in ? mine->to : mine->from;
        until = until < to ? until : to;
        good = add(r, in ? mine->kind : kind, from, until, out);
        from = until;
    }
    return good;
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

uint64_t mid_process_resident(void)
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

bool mid_regions_open(mid_regions *r, mid_ranges *ours)
{
    *r = (mid_regions){.file = fopen("/proc/self/maps", "re")};
    if (ours->count != 0)
        qsort(ours->all, ours->count, sizeof *ours->all, by_address);
    return r->file != NULL;
}

/* A name may be as long as a path; only its beginning says anything here. */
bool mid_regions_next(mid_regions *r, const mid_ranges *ours, struct evbuffer *out, bool *more)
{
    char line[512];
    bool good = true;
    *more = true;
    for (unsigned i = 0; i < LINES_MOST && good && *more; i++) {
        *more = fgets(line, sizeof line, r->file) != NULL;
        if (!*more)
            break;
        unsigned long from, to;
        char access[8] = "", name[16] = "";
        bool begins = !r->inside;
        r->inside = strchr(line, '\n') == NULL;
        if (begins && sscanf(line, "%lx-%lx %7s %*s %*s %*s %15s", &from, &to, access, name) >= 3)
            good = cut(r, ours, kind_of(access, name), from, to, out);
    }
    return *more ? good : good && finish(r, out);
}

void mid_regions_close(mid_regions *r)
{
    if (r->file != NULL)
        fclose(r->file);
    r->file = NULL;
}
