/* plan.c: see plan.h. Blocks are looked up by address in an open-addressed table. */
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOWHERE UINT32_MAX
#define PARENTS (UINT32_MAX - 1) /* in flight: a block that the trace does not know */

typedef struct block {
    uint64_t address, size;
    uint64_t made;    /* index of its allocation in the plan */
    uint32_t next;    /* on the list of free numbers */
} block;

typedef struct maker {
    trace *trace;
    const char *path;
    plan *plan;
    block *blocks;
    uint32_t room, free;      /* blocks: allocated, head of the free list */
    uint32_t *table;          /* of block numbers, by address */
    uint64_t mask, live, live_bytes;
    uint32_t *in_flight;      /* by thread: the block that its realloc has in hand */
} maker;

static uint64_t slot_of(const maker *make, uint64_t address)
{
    return (address >> 3) * 0x9E3779B97F4A7C15ull >> 20 & make->mask;
}

static uint64_t find(const maker *make, uint64_t address)
{
    uint64_t at = slot_of(make, address);
    while (make->table[at] != NOWHERE && make->blocks[make->table[at]].address != address)
        at = (at + 1) & make->mask;
    return at;
}

static bool grow_table(maker *make)
{
    uint64_t size = (make->mask + 1) * 2;
    uint32_t *old = make->table, *fresh = malloc(size * sizeof *fresh);
    uint64_t old_size = old != NULL ? make->mask + 1 : 0;
    if (fresh == NULL)
        return false;
    memset(fresh, 0xff, size * sizeof *fresh);
    make->table = fresh;
    make->mask = size - 1;
    for (uint64_t i = 0; i < old_size; i++)
        if (old[i] != NOWHERE)
            fresh[find(make, make->blocks[old[i]].address)] = old[i];
    free(old);
    return true;
}

/* Deletion shifts back what probing had pushed on. */
static void forget(maker *make, uint64_t at)
{
    uint64_t hole = at;
    for (uint64_t i = (at + 1) & make->mask; make->table[i] != NOWHERE; i = (i + 1) & make->mask) {
        uint64_t home = slot_of(make, make->blocks[make->table[i]].address);
        if (((i - home) & make->mask) >= ((i - hole) & make->mask)) {
            make->table[hole] = make->table[i];
            hole = i;
        }
    }
    make->table[hole] = NOWHERE;
}

static bool no_memory(maker *make, const trace_event *event)
{
    return trace_refuse(make->trace, make->path, event->offset, "no memory to replay up to here");
}

static bool enter(maker *make, uint32_t number, const trace_event *event)
{
    if ((make->live + 1) * 2 > make->mask && !grow_table(make))
        return no_memory(make, event);
    uint64_t at = find(make, make->blocks[number].address);
    if (make->table[at] != NOWHERE)
        return trace_refuse(make->trace, make->path, event->offset, "a block at 0x%" PRIx64 ", where another lives",
                            event->address);
    make->table[at] = number;
    make->live++;
    return true;
}

static plan_op *add(maker *make, plan_kind kind, uint32_t number, uint64_t size)
{
    plan_op *op = &make->plan->ops[make->plan->operations++];
    *op = (plan_op){.block = number, .kind = (uint8_t)kind, .size = size};
    return op;
}

static void account(maker *make, uint64_t old_size, uint64_t new_size)
{
    plan *plan = make->plan;
    make->live_bytes += new_size - old_size;
    if (plan->peak_live_bytes < make->live_bytes)
        plan->peak_live_bytes = make->live_bytes;
    if (plan->peak_live_blocks < make->live)
        plan->peak_live_blocks = make->live;
}

static bool alloc(maker *make, const trace_event *event)
{
    uint32_t number = make->free;
    if (number != NOWHERE) {
        make->free = make->blocks[number].next;
    } else {
        number = make->plan->blocks;
        if (number == make->room) {
            uint32_t room = make->room != 0 ? make->room * 2 : 1024;
            block *grown = realloc(make->blocks, (size_t)room * sizeof *grown);
            if (grown == NULL || room < make->room)
                return no_memory(make, event);
            make->blocks = grown;
            make->room = room;
        }
        make->plan->blocks++;
    }
    make->blocks[number] = (block){event->address, event->size, make->plan->operations, NOWHERE};
    if (!enter(make, number, event))
        return false;
    add(make, PLAN_ALLOC, number, event->size)->align = event->align;
    make->plan->allocations++;
    account(make, 0, event->size);
    return true;
}

static void drop(maker *make, uint32_t number)
{
    add(make, PLAN_FREE, number, 0);
    make->plan->frees++;
    account(make, make->blocks[number].size, 0);
    make->blocks[number].next = make->free;
    make->free = number;
}

/* Blocks may be unknown that a parent made, or that were made while the recorder was interrupted. */
static bool is_lenient(const maker *make)
{
    return (make->trace->header.flags & TRACE_FORKED) != 0 || make->trace->header.dropped != 0;
}

/* Take the block out of the table. *number: NOWHERE for a block of a parent's. */
static bool take(maker *make, const trace_event *event, uint32_t *number)
{
    uint64_t at = find(make, event->address);
    *number = make->table[at];
    if (*number != NOWHERE) {
        forget(make, at);
        make->live--;
        return true;
    }
    if (!is_lenient(make))
        return trace_refuse(make->trace, make->path, event->offset, "no block lives at 0x%" PRIx64, event->address);
    make->plan->unknown++;
    return true;
}

static bool resize_begin(maker *make, const trace_event *event)
{
    uint32_t *number = &make->in_flight[event->thread];
    if (*number != NOWHERE)
        return trace_refuse(make->trace, make->path, event->offset, "a second realloc inside a thread's first");
    if (!take(make, event, number))
        return false;
    if (*number == NOWHERE)
        *number = PARENTS;
    return true;
}

static bool resize_end(maker *make, const trace_event *event)
{
    uint32_t number = make->in_flight[event->thread];
    make->in_flight[event->thread] = NOWHERE;
    if (number == NOWHERE && !is_lenient(make))
        return trace_refuse(make->trace, make->path, event->offset, "a realloc returns that was not called");
    if (number == NOWHERE || number == PARENTS)
        return event->address == 0 || alloc(make, event);
    block *of = &make->blocks[number];
    if (event->address == 0 && event->size == 0) {
        drop(make, number);
        return true;
    }
    if (event->address == 0) /* refused: the block stays what it was */
        return enter(make, number, event);
    of->address = event->address;
    if (!enter(make, number, event))
        return false;
    make->plan->ops[of->made].resizable = 1;
    add(make, PLAN_RESIZE, number, event->size);
    make->plan->resizes++;
    account(make, of->size, event->size);
    of->size = event->size;
    return true;
}

static bool step(maker *make, const trace_event *event)
{
    uint32_t number;
    switch (event->op) {
    case TRACE_FREE:
        if (!take(make, event, &number))
            return false;
        if (number != NOWHERE)
            drop(make, number);
        return true;
    case TRACE_RESIZE_BEGIN:
        return resize_begin(make, event);
    case TRACE_RESIZE_END:
        return resize_end(make, event);
    default:
        return alloc(make, event);
    }
}

static bool run(maker *make)
{
    trace *trace = make->trace;
    make->mask = 511;
    make->in_flight = malloc(((size_t)trace->threads + 1) * sizeof *make->in_flight);
    if (make->in_flight == NULL || !grow_table(make))
        return trace_refuse(trace, make->path, 0, "no memory");
    memset(make->in_flight, 0xff, ((size_t)trace->threads + 1) * sizeof *make->in_flight);
    for (uint64_t i = 0; i < trace->count; i++)
        if (!step(make, &trace->events[i]))
            return false;
    /* A realloc that never came back leaves its block as it was. */
    make->plan->end_live_bytes = make->live_bytes;
    make->plan->end_live_blocks = make->plan->allocations - make->plan->frees;
    make->plan->threads = trace->threads;
    return true;
}

int plan_make(trace *trace, const char *path, plan *summary)
{
    size_t size = sizeof(plan) + trace->count * sizeof(plan_op);
    int fd = memfd_create("midden-plan", 0);
    void *at = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        trace_refuse(trace, path, 0, "no memory for the plan: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    maker make = {.trace = trace, .path = path, .plan = at, .free = NOWHERE};
    bool ok = run(&make);
    *summary = *make.plan;
    size_t used = sizeof(plan) + summary->operations * sizeof(plan_op);
    munmap(at, size);
    free(make.blocks);
    free(make.table);
    free(make.in_flight);
    if (ok && ftruncate(fd, (off_t)used) == 0)
        return fd;
    close(fd);
    return -1;
}
