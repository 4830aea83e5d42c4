/* wl_frag.c: r3 and r4: fill, free most at random, wait idle, fill again with other sizes. Phases: full, shrunk, refilled. */
#include "blob.h"

enum { POLL_EVERY = 256 };

/* Objects of the first and of the second fill. Where a reference is null the object was freed. */
static be_ref *before, *after;
static size_t before_count, after_most;

static void make(struct run *run, be_type bytes, be_ref *into, size_t at, size_t size)
{
    into[at] = blob_make(run->heap, bytes, size, (uint32_t)at);
    if (at % POLL_EVERY == 0)
        be_poll(run->heap);
}

static uint64_t discard(struct run *run, size_t at)
{
    uint64_t size = blob_check(run, run->heap, before[at]);
    be_discard(run->heap, before[at]);
    before[at] = 0;
    if (at % POLL_EVERY == 0)
        be_poll(run->heap);
    return size;
}

static void register_roots(struct run *run)
{
    be_roots(run->heap, before, before_count);
    be_roots(run->heap, after, after_most);
}

static void check_live(struct run *run, size_t after_count, uint64_t live)
{
    uint64_t bytes = blob_check_all(run, run->heap, before, before_count);
    bytes += blob_check_all(run, run->heap, after, after_count);
    if (bytes != live)
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
    after_most = bytes / R3_LARGE_LEAST + 1;
    before = driver_array(before_count, sizeof *before);
    after = driver_array(after_most, sizeof *after);
}

static void run_r3(struct run *run)
{
    be_heap *h = run->heap;
    be_type bytes = be_bytes_type(h);
    struct random random = run_random(run);
    uint64_t live = 0, wanted = run_param(run, "bytes");
    register_roots(run);
    phase_begin(run);
    for (size_t i = 0; i < before_count; i++) {
        size_t size = r3_small(&random);
        make(run, bytes, before, i, size);
        live += size;
    }
    phase_end(run, "full", before_count, live);
    phase_begin(run);
    uint64_t freed = 0;
    for (size_t i = 0; i < before_count; i++)
        if (random_below(&random, 10) != 0) {
            live -= discard(run, i);
            freed++;
        }
    phase_settle(run, run_param(run, "idle"));
    phase_end(run, "shrunk", freed, live);
    phase_begin(run);
    size_t made = 0;
    for (; live < wanted; made++) {
        size_t size = R3_LARGE_LEAST + random_below(&random, R3_LARGE_MOST - R3_LARGE_LEAST + 1);
        make(run, bytes, after, made, size);
        live += size;
    }
    phase_end(run, "refilled", made, live);
    check_live(run, made, live);
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
    after_most = before_count;
    before = driver_array(before_count, sizeof *before);
    after = driver_array(after_most, sizeof *after);
}

static uint64_t r4_fill(struct run *run, be_type bytes, be_ref *into, size_t count, struct random *random)
{
    uint64_t sum = 0;
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
    register_roots(run);
    phase_begin(run);
    uint64_t live = r4_fill(run, bytes, before, before_count, &random);
    phase_end(run, "full", before_count, live);
    phase_begin(run);
    for (size_t i = 0; i < before_count; i++)
        if (i % keep != 0) {
            live -= discard(run, i);
            freed++;
        }
    phase_settle(run, run_param(run, "idle"));
    phase_end(run, "shrunk", freed, live);
    phase_begin(run);
    live += r4_fill(run, bytes, after, freed, &random);
    phase_end(run, "refilled", freed, live);
    check_live(run, freed, live);
}

const struct workload wl_r3 = {"r3", r3_prepare, run_r3};
const struct workload wl_r4 = {"r4", r4_prepare, run_r4};
