/* wl_mstress.c: after mstress of mimalloc-bench. Threads make objects of many sizes, drop some at random, keep some to the end,
 * and exchange some with entries of an array that all share: so an object may die on any thread, long after its own has ended.
 * Each round has fresh threads. Every word of an object is written, and looked at when it is dropped; what all threads dropped
 * must be what all threads made. Other than in the original all threads do the same amount of work. */
#include "crew.h"

enum { POLL_EVERY = 64, SHIFTS = 5, KEPT_SHIFTS = 7, LARGE = 100 };
#define COOKIE 0xBF58476D1CE4E5B9ull

/* An object: a blob whose stamp says which it is, followed by words that count down. */
struct item {
    uint32_t length, stamp;
    uint64_t word[];
};

static struct tally {
    uint64_t made, dropped; /* sums of item_sum */
    uint32_t stamp;
    struct random random; /* goes on from round to round */
} __attribute__((aligned(64))) tallies[CREW_MAX + 1];

static be_ref *objects, *kept_objects, shared;
static be_type bytes_type;
static size_t each; /* objects a thread makes in a round, beside half as many that it keeps */
static uint32_t transfers;

static void prepare(struct run *run)
{
    size_t threads = run_param(run, "threads");
    each = run_param(run, "objects") / threads;
    transfers = (uint32_t)run_param(run, "transfers");
    objects = driver_array(each * threads + 1, sizeof *objects);
    kept_objects = driver_array(each * threads + 1, sizeof *kept_objects);
}

static int chance(struct random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

static uint64_t item_sum(uint32_t stamp, uint64_t words)
{
    return checksum_of((uint64_t)stamp << 32 | words);
}

static be_ref make(be_heap *h, struct tally *tally, unsigned shifts)
{
    uint32_t words = 1u << random_below(&tally->random, shifts);
    if (chance(&tally->random, 1))
        words *= LARGE;
    be_ref made = be_bytes(h, bytes_type, sizeof(struct item) + words * sizeof(uint64_t));
    struct item *item = be_at(h, made);
    item->stamp = tally->stamp++;
    for (uint32_t i = 0; i < words; i++)
        item->word[i] = (words - i) ^ COOKIE;
    tally->made += item_sum(item->stamp, words);
    return made;
}

static void drop(be_heap *h, struct tally *tally, be_ref ref)
{
    if (!ref)
        return;
    const struct item *item = be_at(h, ref);
    uint64_t words = (item->length + BLOB_HEAD - sizeof *item) / sizeof(uint64_t);
    for (uint64_t i = 0; i < words; i++)
        if (item->word[i] != ((words - i) ^ COOKIE))
            be_die("mstress", "an object is not what was stored");
    tally->dropped += item_sum(item->stamp, words);
    be_discard(h, ref);
}

/* Half of the objects come and go, a quarter stays; two of three times one that came goes, one of four times one is exchanged. */
static void churn(struct member *m, struct tally *tally, be_ref *data, be_ref *kept)
{
    be_heap *h = m->heap;
    struct random *random = &tally->random;
    size_t made = 0, stay = 0, keep = each / 2;
    for (uint64_t step = 0; made < each || stay < keep; step++) {
        if (stay == keep || (made < each && chance(random, 50)))
            data[made++] = make(h, tally, SHIFTS);
        else
            kept[stay++] = make(h, tally, KEPT_SHIFTS);
        if (made > 0 && chance(random, 66)) {
            be_ref *at = &data[random_below(random, (uint32_t)made)];
            drop(h, tally, *at);
            *at = 0;
        }
        if (made > 0 && chance(random, 25)) {
            be_ref *at = &data[random_below(random, (uint32_t)made)];
            *at = be_swap(h, shared, BE_ARRAY_SLOT(random_below(random, transfers)), *at);
        }
        if (step % POLL_EVERY == 0)
            be_poll(h);
    }
    m->operations += made + stay;
}

static void drop_all(be_heap *h, struct tally *tally, be_ref *refs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        drop(h, tally, refs[i]);
        refs[i] = 0;
        if (i % POLL_EVERY == 0)
            be_poll(h);
    }
}

static void work(struct member *m)
{
    struct tally *tally = &tallies[m->id];
    be_ref *data = objects + m->id * each, *kept = kept_objects + m->id * each;
    churn(m, tally, data, kept);
    drop_all(m->heap, tally, kept, each / 2);
    drop_all(m->heap, tally, data, each);
}

/* Between two rounds half of what is exchanged goes, in the end all of it. */
static void thin_out(be_heap *h, uint32_t percent)
{
    struct tally *tally = &tallies[CREW_MAX];
    for (uint32_t i = 0; i < transfers; i++)
        if (chance(&tally->random, percent))
            drop(h, tally, be_swap(h, shared, BE_ARRAY_SLOT(i), 0));
}

static void balance(struct run *run)
{
    uint64_t made = 0, dropped = 0;
    for (unsigned i = 0; i <= CREW_MAX; i++) {
        made += tallies[i].made;
        dropped += tallies[i].dropped;
    }
    if (made != dropped)
        be_die("mstress", "the objects dropped are not those that were made");
    run_checksum(run, made);
}

static void run_mstress(struct run *run)
{
    be_heap *h = run->heap;
    unsigned threads = (unsigned)run_param(run, "threads");
    uint64_t rounds = run_param(run, "rounds"), operations = 0;
    bytes_type = be_bytes_type(h);
    be_roots(h, objects, each * threads);
    be_roots(h, kept_objects, each * threads);
    shared = be_array(h, be_array_type(h), transfers);
    for (unsigned i = 0; i <= CREW_MAX; i++)
        tallies[i].random = crew_random(run, i);
    phase_begin(run);
    for (uint64_t i = 1; i <= rounds; i++) {
        operations += crew_run(run, threads, work);
        thin_out(h, i == rounds ? 100 : 50);
    }
    phase_end(run, "run", operations, 0);
    balance(run);
    be_discard(h, shared);
    shared = 0;
    be_check_empty(h);
}

const struct workload wl_mstress = {"mstress", prepare, run_mstress};
