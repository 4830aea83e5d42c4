/* wl_frag.c: r3 and r4: fill, free most at random, wait idle, fill again with other sizes. Phases: full, shrunk, refilled. */
#include "hold.h"

enum { POLL_EVERY = 256 };

/* Objects of the first and of the second fill. Where a reference is null the object was freed. */
static struct hold before, after;
static size_t before_count;

static void make(struct run *run, be_type bytes, struct hold *into, size_t at, size_t size)
{
    hold_put(run->heap, into, at, blob_make(run->heap, bytes, size, (uint32_t)at));
    if (at % POLL_EVERY == 0)
        be_poll(run->heap);
}

static uint64_t discard(struct run *run, size_t at)
{
    uint64_t size = blob_check(run, run->heap, hold_peek(run->heap, &before, at));
    hold_drop(run->heap, &before, at);
    if (at % POLL_EVERY == 0)
        be_poll(run->heap);
    return size;
}

static void end_phase(struct run *run, const char *name, uint64_t operations, uint64_t live)
{
    phase_end(run, name, operations, live + hold_bytes(&before) + hold_bytes(&after));
}

static void check_live(struct run *run, uint64_t live)
{
    if (hold_check_all(run, &before) + hold_check_all(run, &after) != live)
        be_die(run->entry->name, "the objects do not add up to what was stored");
}

/* --- r3 ---------------------------------------------------------------------------------------------- */

enum { R3_LEAST = 16, R3_MOST = 512, R3_LARGE_LEAST = 1024, R3_LARGE_MOST = 2048 };

static size_t r3_small(struct random *random)
{
    return R3_LEAST + random_below(random, R3_MOST - R3_LEAST + 1);
}

static void r3_prepare(struct run *run)
{
    struct random random = run_random(run);
    uint64_t bytes = run_param(run, "bytes");
    for (uint64_t sum = 0; sum < bytes; before_count++)
        sum += r3_small(&random);
    hold_prepare(run, &before, before_count);
    hold_prepare(run, &after, bytes / R3_LARGE_LEAST + 1);
}

static size_t r3_large(struct random *random)
{
    return R3_LARGE_LEAST + random_below(random, R3_LARGE_MOST - R3_LARGE_LEAST + 1);
}

/* How many it takes: an array that is live is to be no longer than that. */
static size_t r3_count_large(struct random ahead, uint64_t live, uint64_t wanted)
{
    size_t count = 0;
    for (; live < wanted; count++)
        live += r3_large(&ahead);
    return count;
}

static void run_r3(struct run *run)
{
    be_heap *h = run->heap;
    be_type bytes = be_bytes_type(h);
    struct random random = run_random(run);
    uint64_t live = 0, wanted = run_param(run, "bytes");
    phase_begin(run);
    hold_open(run, &before, before_count);
    for (size_t i = 0; i < before_count; i++) {
        size_t size = r3_small(&random);
        make(run, bytes, &before, i, size);
        live += size;
    }
    end_phase(run, "full", before_count, live);
    phase_begin(run);
    uint64_t freed = 0;
    for (size_t i = 0; i < before_count; i++)
        if (random_below(&random, 10) != 0) {
            live -= discard(run, i);
            freed++;
        }
    phase_settle(run, run_param(run, "idle"));
    end_phase(run, "shrunk", freed, live);
    phase_begin(run);
    hold_open(run, &after, r3_count_large(random, live, wanted));
    for (size_t i = 0; i < after.count; i++) {
        size_t size = r3_large(&random);
        make(run, bytes, &after, i, size);
        live += size;
    }
    end_phase(run, "refilled", after.count, live);
    check_live(run, live);
}

/* --- r4 ---------------------------------------------------------------------------------------------- */

static size_t r4_size(struct random *random)
{
    uint32_t draw = random_below(random, 6);
    return draw < 3 ? 512 : draw < 5 ? 1024 : 2048;
}

static void r4_prepare(struct run *run)
{
    before_count = run_param(run, "objects");
    hold_prepare(run, &before, before_count);
    hold_prepare(run, &after, before_count);
}

static uint64_t r4_fill(struct run *run, be_type bytes, struct hold *into, size_t count, struct random *random)
{
    uint64_t sum = 0;
    hold_open(run, into, count);
    for (size_t i = 0; i < count; i++) {
        size_t size = r4_size(random);
        make(run, bytes, into, i, size);
        sum += size;
    }
    return sum;
}

static void run_r4(struct run *run)
{
    be_heap *h = run->heap;
    be_type bytes = be_bytes_type(h);
    struct random random = run_random(run);
    uint64_t keep = run_param(run, "keep"), freed = 0;
    phase_begin(run);
    uint64_t live = r4_fill(run, bytes, &before, before_count, &random);
    end_phase(run, "full", before_count, live);
    phase_begin(run);
    for (size_t i = 0; i < before_count; i++)
        if (i % keep != 0) {
            live -= discard(run, i);
            freed++;
        }
    phase_settle(run, run_param(run, "idle"));
    end_phase(run, "shrunk", freed, live);
    phase_begin(run);
    live += r4_fill(run, bytes, &after, freed, &random);
    end_phase(run, "refilled", freed, live);
    check_live(run, live);
}

const struct workload wl_r3 = {"r3", r3_prepare, run_r3};
const struct workload wl_r4 = {"r4", r4_prepare, run_r4};
