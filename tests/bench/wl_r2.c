/* wl_r2.c: strings that are filtered again and again: fill, keep one in four at random, and fill up with strings of twice the
 * length. Phases: full (the first fill), refilled (the last of the rounds), shrunk (one in four kept once more, and waited). */
#include "hold.h"

enum { POLL_EVERY = 256 };

static struct hold strings;
static size_t count;
static uint64_t used;

static void prepare(struct run *run)
{
    hold_prepare(run, &strings, run_param(run, "bytes") / run_param(run, "length") + 1);
}

static uint64_t fill(struct run *run, be_type bytes, size_t length)
{
    uint64_t wanted = run_param(run, "bytes"), made = 0;
    for (; used + length <= wanted; made++) {
        hold_put(run->heap, &strings, count, blob_make(run->heap, bytes, length, (uint32_t)count));
        count++;
        used += length;
        if (made % POLL_EVERY == 0)
            be_poll(run->heap);
    }
    return made;
}

/* Those that are kept close up, as in a list that is filtered in place. */
static uint64_t filter(struct run *run, struct random *random)
{
    size_t kept = 0, all = count;
    for (size_t i = 0; i < all; i++) {
        if (random_below(random, 4) != 0) {
            used -= blob_check(run, run->heap, hold_peek(run->heap, &strings, i));
            hold_drop(run->heap, &strings, i);
        } else if (kept++ != i) {
            hold_move(run->heap, &strings, i, kept - 1);
        }
        if (i % POLL_EVERY == 0)
            be_poll(run->heap);
    }
    count = kept;
    return all - kept;
}

static void run_r2(struct run *run)
{
    be_type bytes = be_bytes_type(run->heap);
    struct random random = run_random(run);
    uint64_t rounds = run_param(run, "rounds"), operations = 0;
    size_t length = run_param(run, "length");
    phase_begin(run);
    hold_open(run, &strings, run_param(run, "bytes") / length + 1);
    operations = fill(run, bytes, length);
    phase_end(run, "full", operations, used + hold_bytes(&strings));
    phase_begin(run);
    for (operations = 0; rounds > 0; rounds--) {
        operations += filter(run, &random);
        length *= 2;
        operations += fill(run, bytes, length);
    }
    phase_end(run, "refilled", operations, used + hold_bytes(&strings));
    phase_begin(run);
    operations = filter(run, &random);
    phase_settle(run, run_param(run, "idle"));
    phase_end(run, "shrunk", operations, used + hold_bytes(&strings));
    if (hold_check_all(run, &strings) != used)
        be_die("r2", "the strings do not add up to what was stored");
}

const struct workload wl_r2 = {"r2", prepare, run_r2};
