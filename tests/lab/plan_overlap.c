/* plan_overlap.c: plan_check_overlap, with a search tree in which overlapping ranges compare equal. */
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>

#include "plan.h"

typedef struct range {
    uint64_t from, to; /* at least one byte: the addresses of empty blocks differ too */
} range;

static int compare(const void *a, const void *b)
{
    const range *left = a, *right = b;
    return left->to <= right->from ? -1 : left->from >= right->to;
}

static range *find(void **tree, uint64_t address)
{
    range key = {address, address + 1};
    void *node = tfind(&key, tree, compare);
    return node != NULL ? *(range **)node : NULL;
}

static bool insert(void **tree, uint64_t address, uint64_t size, const range **other)
{
    range *made = malloc(sizeof *made);
    if (made == NULL)
        abort(); /* a check that cannot be made must not pass */
    *made = (range){address, address + (size != 0 ? size : 1)};
    range **node = tsearch(made, tree, compare);
    if (node == NULL)
        abort();
    if (*node == made)
        return true;
    *other = *node;
    free(made);
    return false;
}

static void erase(void **tree, range *gone)
{
    tdelete(gone, tree, compare);
    free(gone);
}

/* The ranges that reallocs have in hand, by thread. */
static bool step(void **tree, range **in_flight, const trace_event *event, const range **other)
{
    range *old;
    switch (event->op) {
    case TRACE_FREE:
    case TRACE_RESIZE_BEGIN:
        old = find(tree, event->address);
        if (event->op == TRACE_RESIZE_BEGIN) {
            if (old != NULL)
                tdelete(old, tree, compare);
            in_flight[event->thread] = old;
        } else if (old != NULL) {
            erase(tree, old);
        }
        return true;
    case TRACE_RESIZE_END:
        old = in_flight[event->thread];
        in_flight[event->thread] = NULL;
        bool ok = true;
        if (event->address != 0)
            ok = insert(tree, event->address, event->size, other);
        else if (event->size != 0 && old != NULL)
            ok = insert(tree, old->from, old->to - old->from, other);
        free(old);
        return ok;
    default:
        return insert(tree, event->address, event->size, other);
    }
}

bool plan_check_overlap(trace *trace, const char *path)
{
    void *tree = NULL;
    range **in_flight = calloc((size_t)trace->threads + 1, sizeof(range *));
    bool ok = in_flight != NULL;
    for (uint64_t i = 0; ok && i < trace->count; i++) {
        const trace_event *event = &trace->events[i];
        const range *other = NULL;
        ok = step(&tree, in_flight, event, &other);
        if (!ok)
            trace_refuse(trace, path, event->offset, "%" PRIu64 " bytes at 0x%" PRIx64 " overlap the live block 0x%"
                         PRIx64 "-0x%" PRIx64, event->size, event->address, other->from, other->to);
    }
    if (in_flight == NULL)
        trace_refuse(trace, path, 0, "no memory");
    for (uint32_t i = 0; in_flight != NULL && i <= trace->threads; i++)
        free(in_flight[i]);
    tdestroy(tree, free);
    free(in_flight);
    return ok;
}
