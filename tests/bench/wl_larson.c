/* wl_larson.c: Larson and Krishnan's server (ISMM 1998). Each thread holds an array of blocks and replaces them at random; after
 * some rounds it starts a thread that inherits the array and ends itself. So most blocks of a new thread were made by one that
 * is gone. A fixed number of replacements is timed; the thread that makes the first blocks is a third one. */
#include "blob.h"
#include "crew.h"

enum { POLL_EVERY = 256, WARM_UP = 4 };

/* What one thread hands to the next. */
struct seat {
    be_ref *blocks;
    uint64_t *marks; /* of each block: stamp and size */
    uint32_t count;
    struct random random;
    uint64_t left, lifetime; /* replacements yet to be done; those of one thread */
} __attribute__((aligned(64)));

static struct seat seats[CREW_MAX];
static be_ref *all_blocks;
static uint64_t *all_marks;
static be_type bytes_type;
static uint32_t least, span;

static unsigned busy;
static pthread_mutex_t busy_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t nobody_busy = PTHREAD_COND_INITIALIZER;

static void prepare(struct run *run)
{
    size_t blocks = run_param(run, "threads") * run_param(run, "blocks");
    if (run_param(run, "most") < run_param(run, "least"))
        be_die("larson", "the least size exceeds the greatest");
    least = (uint32_t)run_param(run, "least");
    span = (uint32_t)run_param(run, "most") - least + 1;
    all_blocks = driver_array(blocks, sizeof *all_blocks);
    all_marks = driver_array(blocks, sizeof *all_marks);
}

/* Another block in place of the one at `at`, if there is one. As in the original a few bytes are written, not all. */
static void replace(be_heap *h, be_ref *block, uint64_t *mark, uint32_t stamp, struct random *random)
{
    uint32_t size = least + random_below(random, span);
    if (*block) {
        be_discard(h, *block);
        *block = 0;
    }
    *block = be_bytes(h, bytes_type, size);
    ((struct blob *)be_at(h, *block))->stamp = stamp;
    *mark = (uint64_t)stamp << 32 | size;
}

static void check(be_heap *h, be_ref block, uint64_t mark)
{
    const struct blob *blob = be_at(h, block);
    if (blob->stamp != mark >> 32 || blob->length + BLOB_HEAD != (uint32_t)mark)
        be_die("larson", "a block is not what was stored");
}

static void seat_empty(void)
{
    pthread_mutex_lock(&busy_lock);
    if (--busy == 0)
        pthread_cond_signal(&nobody_busy);
    pthread_mutex_unlock(&busy_lock);
}

static void *life(void *argument)
{
    struct seat *seat = argument;
    be_heap *h = be_thread_enter();
    uint64_t work = seat->left < seat->lifetime ? seat->left : seat->lifetime;
    for (uint32_t i = 0; i < seat->count; i++)
        check(h, seat->blocks[i], seat->marks[i]);
    for (uint64_t i = 0; i < work; i++) {
        uint32_t at = random_below(&seat->random, seat->count);
        replace(h, &seat->blocks[at], &seat->marks[at], (uint32_t)i, &seat->random);
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
    be_thread_leave(h);
    mutator_ends();
    seat->left -= work;
    if (seat->left > 0)
        crew_start_detached(life, seat);
    else
        seat_empty();
    return NULL;
}

/* As in the original: fill, shuffle, then replace four times as many. */
static void warm_up(be_heap *h, uint32_t count, struct random *random)
{
    for (uint32_t i = 0; i < count; i++)
        replace(h, &all_blocks[i], &all_marks[i], i, random);
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = random_below(random, i);
        be_ref block = all_blocks[other];
        uint64_t mark = all_marks[other];
        all_blocks[other] = all_blocks[i - 1], all_marks[other] = all_marks[i - 1];
        all_blocks[i - 1] = block, all_marks[i - 1] = mark;
    }
    for (uint64_t i = 0; i < WARM_UP * (uint64_t)count; i++) {
        uint32_t at = random_below(random, count);
        replace(h, &all_blocks[at], &all_marks[at], (uint32_t)i, random);
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

/* Returns the replacements that will be done. */
static uint64_t take_seats(struct run *run, unsigned threads, uint32_t blocks)
{
    uint64_t each = run_param(run, "operations") / threads;
    for (unsigned i = 0; i < threads; i++)
        seats[i] = (struct seat){.blocks = all_blocks + (size_t)i * blocks, .marks = all_marks + (size_t)i * blocks,
                                 .count = blocks, .random = crew_random(run, i), .left = each,
                                 .lifetime = run_param(run, "rounds") * blocks};
    busy = threads;
    return threads * each;
}

static void check_and_drop(struct run *run, uint32_t count)
{
    be_heap *h = run->heap;
    for (uint32_t i = 0; i < count; i++) {
        check(h, all_blocks[i], all_marks[i]);
        run_checksum(run, all_marks[i]);
        be_discard(h, all_blocks[i]);
        all_blocks[i] = 0;
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

static void run_larson(struct run *run)
{
    be_heap *h = run->heap;
    unsigned threads = (unsigned)run_param(run, "threads");
    uint32_t blocks = (uint32_t)run_param(run, "blocks"), all = threads * blocks;
    struct random random = run_random(run);
    bytes_type = be_bytes_type(h);
    be_roots(h, all_blocks, all);
    warm_up(h, all, &random);
    uint64_t operations = take_seats(run, threads, blocks), live = 0;
    phase_begin(run);
    for (unsigned i = 0; i < threads; i++)
        crew_start_detached(life, &seats[i]);
    be_wait_enter(h);
    pthread_mutex_lock(&busy_lock);
    while (busy > 0)
        pthread_cond_wait(&nobody_busy, &busy_lock);
    pthread_mutex_unlock(&busy_lock);
    be_wait_leave(h);
    for (uint32_t i = 0; i < all; i++)
        live += (uint32_t)all_marks[i];
    phase_end(run, "run", operations, live);
    check_and_drop(run, all);
    be_check_empty(h);
}

const struct workload wl_larson = {"larson", prepare, run_larson};
