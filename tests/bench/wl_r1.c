/* wl_r1.c: a store of values under an LRU limit: many small ones, then larger ones under other keys, which evict some of the
 * small ones here and there. As in Redis, the entry evicted is the least recently used of five drawn at random. Phases: full
 * (the small ones are in), refilled (the large ones too), shrunk (memory asked back). */
#include "hold.h"

enum { FIRST_SIZE = 240, SECOND_SIZE = 492, SAMPLES = 5, POLL_EVERY = 256 };

static struct hold values;
static uint32_t *used_at; /* logical clock of the last use */
static uint16_t *sizes;
static size_t count, most;
static uint64_t used;

static void prepare(struct run *run)
{
    most = run_param(run, "first") + run_param(run, "second");
    if (most > run_param(run, "limit") / FIRST_SIZE + 1)
        most = run_param(run, "limit") / FIRST_SIZE + 1;
    hold_prepare(run, &values, most);
    used_at = driver_array(most, sizeof *used_at);
    sizes = driver_array(most, sizeof *sizes);
}

static void evict(be_heap *h, struct random *random)
{
    size_t oldest = random_below(random, (uint32_t)count);
    for (int i = 1; i < SAMPLES; i++) {
        size_t other = random_below(random, (uint32_t)count);
        if (used_at[other] < used_at[oldest])
            oldest = other;
    }
    used -= sizes[oldest];
    hold_drop(h, &values, oldest);
    count--;
    if (oldest != count)
        hold_move(h, &values, count, oldest);
    used_at[oldest] = used_at[count];
    sizes[oldest] = sizes[count];
}

static void insert(struct run *run, be_type bytes, uint64_t entries, uint16_t size, uint32_t first_stamp, struct random *random)
{
    be_heap *h = run->heap;
    uint64_t limit = run_param(run, "limit");
    for (uint32_t i = 0; i < entries; i++) {
        hold_put(h, &values, count, blob_make(h, bytes, size, first_stamp + i));
        used_at[count] = first_stamp + i;
        sizes[count] = size;
        count++;
        used += size;
        while (used > limit)
            evict(h, random);
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

static void run_r1(struct run *run)
{
    be_heap *h = run->heap;
    be_type bytes = be_bytes_type(h);
    uint64_t first = run_param(run, "first"), second = run_param(run, "second");
    struct random random = run_random(run);
    phase_begin(run);
    hold_open(run, &values, most);
    insert(run, bytes, first, FIRST_SIZE, 0, &random);
    phase_end(run, "full", first, used + hold_bytes(&values));
    phase_begin(run);
    insert(run, bytes, second, SECOND_SIZE, (uint32_t)first, &random);
    phase_end(run, "refilled", second, used + hold_bytes(&values));
    phase_begin(run);
    phase_settle(run, run_param(run, "idle"));
    phase_end(run, "shrunk", 0, used + hold_bytes(&values));
    if (hold_check_all(run, &values) != used)
        be_die("r1", "the values do not add up to what was stored");
}

const struct workload wl_r1 = {"r1", prepare, run_r1};
