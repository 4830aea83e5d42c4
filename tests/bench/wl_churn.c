/* wl_churn.c: a table of leaf objects of 16 to 256 bytes, log-uniform, replaced at random. */
#include <math.h>

#include "blob.h"

enum { SIZES = 4096, POLL_EVERY = 256 };

static be_ref *table;
static uint16_t sizes[SIZES]; /* drawn from once, so that no logarithm is timed */

static void prepare(struct run *run)
{
    table = driver_array(run_param(run, "live"), sizeof *table);
    for (int i = 0; i < SIZES; i++)
        sizes[i] = (uint16_t)(16.0 * exp2(4.0 * (i + 0.5) / SIZES) + 0.5);
}

static size_t draw(struct random *random)
{
    return sizes[random_next(random) >> 32 & (SIZES - 1)];
}

static uint64_t check_all(struct run *run, size_t live)
{
    return blob_check_all(run, run->heap, table, live);
}

static void run_churn(struct run *run)
{
    be_heap *h = run->heap;
    be_type bytes = be_bytes_type(h);
    uint32_t live = (uint32_t)run_param(run, "live");
    uint64_t operations = run_param(run, "operations"), asked = 0;
    struct random random = run_random(run);
    be_roots(h, table, live);
    phase_begin(run);
    for (uint32_t i = 0; i < live; i++) {
        size_t size = draw(&random);
        asked += size;
        table[i] = blob_make(h, bytes, size, i);
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
    phase_end(run, "fill", live, asked);
    phase_begin(run);
    for (uint64_t i = 0; i < operations; i++) {
        be_ref *at = &table[random_below(&random, live)];
        be_discard(h, *at);
        *at = 0;
        *at = blob_make(h, bytes, draw(&random), (uint32_t)i);
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
    uint64_t took = now_ns();
    uint64_t now_live = check_all(run, live);
    run->phase.wall_end = took;
    phase_end(run, "churn", operations, now_live);
}

const struct workload wl_churn = {"churn", prepare, run_churn};
