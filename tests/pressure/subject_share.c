/* subject_share.c: one of the heaps that share a budget: what lives stays, and cycles are dropped at a given rate. The work is the same however
 * long it takes: so many megabytes. */
#include "subject.h"

#include <time.h>

#include "midden/balance.h"
#include "midden/collector.h"
#include "midden/stats.h"

#define RING 100u
#define LINK 32u        /* of the size class, and its entry in the handle table */
#define WARM_SECONDS 4u /* until both have been collected and told */
#define SECONDS 12u
#define SLICE 5000u     /* micros: how evenly it allocates */

/* What lives is small, so that there is much of it to look at; what is dropped is `struct node`, and freeing that costs the same however the budget is
 * divided. */
struct link {
    mid_slot next, other;
    uint64_t load;
};

/* All kinds of collections together. */
static uint64_t collecting(uint64_t *times, uint64_t *looked_at)
{
    mid_collector_stats s;
    uint64_t sum = 0;
    *times = *looked_at = 0;
    for (unsigned kind = 0; mid_collector_stats_get(heap, (mid_collector_kind)kind, &s, sizeof s) != 0; kind++) {
        sum += s.micros;
        *times += s.runs;
        *looked_at += s.candidates;
    }
    return sum;
}

static void work(uint64_t rate, uint64_t seconds)
{
    uint64_t begun = micros(), rings = rate * seconds * 1000000 / (RING * sizeof(struct node)), slices = seconds * 1000000 / SLICE, made = 0;
    for (uint64_t slice = 1; slice <= slices; slice++) {
        for (; made < rings * slice / slices; made++) {
            drop_ring(RING);
            mid_safepoint(thread);
        }
        uint64_t due = begun + slice * SLICE, now = micros();
        if (now < due)
            rest((long)(due - now));
    }
}

void share(uint64_t mib, uint64_t rate, const char *budget)
{
    static const uint32_t slots[] = {offsetof(struct link, next), offsetof(struct link, other)};
    mid_type_desc link = {.struct_size = sizeof link, .name = "link", .size = sizeof(struct link), .ref_offsets = slots, .ref_count = 2};
    mid_handle all, made;
    mid_type type;
    mid_stats s;
    uint64_t times, before, looked, looked_before;
    uint32_t count = (uint32_t)((mib << 20) / LINK);
    must(mid_type_register(heap, &link, &type), "mid_type_register");
    must(mid_new_array(thread, vec_type, count, &all), "mid_new_array");
    for (uint32_t i = 0; i < count; i++) {
        must(mid_new(thread, type, &made), "mid_new");
        if (i != 0)
            mid_store(thread, made, MID_SLOT(struct link, other), mid_peek(thread, all, MID_SLOT(struct vec, items) + random_below(i)));
        mid_give(thread, all, MID_SLOT(struct vec, items) + i, made);
    }
    must(mid_balance_join(keeper, budget), "mid_balance_join");
    printf("ready objects %u\n", count);
    fflush(stdout);
    line_in();
    work(rate, WARM_SECONDS);
    uint64_t at_first = collecting(&before, &looked_before), begun = micros(), stats_at_first;
    mid_stats_get(heap, &s, sizeof s);
    stats_at_first = s.collect_micros;
    work(rate, SECONDS);
    uint64_t at_last = collecting(&times, &looked);
    mid_stats_get(heap, &s, sizeof s);
    printf("done collecting %" PRIu64 " times %" PRIu64 " stopped %" PRIu64 " took %" PRIu64 " limit %" PRIu64 " committed %" PRIu64 " peak %" PRIu64 " looked %" PRIu64 "\n",
           at_last - at_first, times - before, s.collect_micros - stats_at_first, micros() - begun, mid_balance_limit(keeper), s.committed_bytes,
           s.peak_committed_bytes, looked - looked_before);
}
