/* cmd_explain.c: `midden explain`: replay a trace up to some operation, compact once, and print class by class what that had to
 * do, what it did, and why a sparse pool was left. In this process, with no daemon and nothing measured but the pass. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocks_midden.h"
#include "lab.h"

#define PAGE 4096u

typedef struct request {
    const char *trace, *until;
    bool partial;
    double percent;
} request;

static int parse(request *to, int argc, char **argv)
{
    char *end;
    to->until = "100";
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--until") == 0) {
            if ((to->until = lab_value(argc, argv, &at)) == NULL)
                return 2;
        } else if (strcmp(argv[at], "--partial") == 0) {
            to->partial = true;
        } else if (argv[at][0] == '-' || to->trace != NULL) {
            return lab_usage("explain: %s is not understood", argv[at]);
        } else {
            to->trace = argv[at];
        }
    }
    if (to->trace == NULL)
        return lab_usage("explain: which trace?");
    to->percent = strtod(to->until, &end);
    if (*end != 0 || end == to->until || !(to->percent >= 0 && to->percent <= 100))
        return lab_usage("explain: --until takes a percentage of the operations");
    return 0;
}

static bool open_heap(void)
{
    return mid_heap_open(&heap, NULL) == MID_OK && mid_thread_attach(heap, &thread) == MID_OK && register_types();
}

static bool step(replay_slot *slots, const plan_op *op)
{
    bool ok = true;
    mid_safepoint(thread);
    if (op->kind == PLAN_ALLOC)
        ok = replay_alloc(&slots[op->block], op);
    else if (op->kind == PLAN_RESIZE)
        ok = replay_resize(&slots[op->block], op->size);
    else
        replay_drop(&slots[op->block]);
    return ok;
}

static bool run(const plan *of, uint64_t operations)
{
    replay_slot *slots = calloc((size_t)of->blocks + 1, sizeof *slots);
    bool ok = slots != NULL && open_heap();
    for (uint64_t i = 0; ok && i < operations; i++)
        ok = step(slots, &of->ops[i]);
    free(slots);
    return ok;
}

static void print_left(const uint64_t left[MID_LEFT_COUNT])
{
    for (unsigned i = 0; i < MID_LEFT_COUNT; i++)
        if (left[i] != 0)
            printf("  %s %" PRIu64, mid_left_name(i), left[i]);
    putchar('\n');
}

static void print_classes(void)
{
    mid_class_stats stats;
    mid_class_pass pass;
    printf("%7s %10s %8s %8s %8s %12s %12s  %s\n", "slot", "live", "pools", "optimal", "after", "moved", "least", "left");
    for (unsigned i = 0; mid_stats_class(heap, i, &stats) == MID_OK && mid_stats_pass(heap, i, &pass) == MID_OK; i++) {
        if (pass.pools_before == 0)
            continue;
        printf("%7" PRIu32 " %10" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %12" PRIu64 " %12" PRIu64, stats.slot_size,
               stats.live_slots, pass.pools_before, pass.pools_optimal, pass.pools_after, pass.moved_bytes, pass.least_bytes);
        print_left(pass.left);
    }
}

static void print_total(const mid_compact_result *r)
{
    mid_stats stats;
    mid_stats_get(heap, &stats, sizeof stats);
    const uint64_t pool_pages = stats.pool_size / PAGE;
    printf("%7s %10s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %12" PRIu64 " %12" PRIu64, "all", "", r->pools_before,
           r->pools_optimal, r->pools_after, r->moved_bytes, r->least_bytes);
    print_left(r->left);
    printf("%7s %10s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %12" PRIu64 "\n", "pages", "", r->pools_before * pool_pages,
           r->pools_optimal * pool_pages, r->pools_after * pool_pages, r->moved_bytes / PAGE);
    printf("%7s %10s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %12" PRIu64 "\n", "regions", "", r->regions_before,
           r->regions_optimal, r->regions_after, r->moved_run_bytes);
    printf("%7s %10s %8" PRIu64 " %8s %8" PRIu64 " %12" PRIu64 "\n", "arenas", "", r->arenas_before, "", r->arenas_after,
           r->moved_pools * stats.pool_size);
    printf("%" PRIu64 " us; given back %" PRIu64 " bytes; the heap has %" PRIu64 " bytes, of them live %" PRIu64 "\n", r->micros,
           r->returned_bytes, stats.committed_bytes, stats.live_slot_bytes);
}

static int explain(void)
{
    mid_compact_result result;
    mid_status status = mid_compact(thread, MID_COMPACT_PLAIN, 0, &result);
    if (status != MID_OK)
        return lab_error("mid_compact: %s", mid_status_text(status));
    print_classes();
    print_total(&result);
    if (mid_heap_check(heap) != MID_OK)
        return lab_error("%s", mid_heap_check_text(heap));
    return 0;
}

static int explain_plan(const request *of, int fd)
{
    struct stat found;
    void *at = fstat(fd, &found) != 0 ? MAP_FAILED : mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return lab_error("no memory");
    const plan *plan = at;
    uint64_t operations = (uint64_t)((double)plan->operations * of->percent / 100);
    printf("%s, %" PRIu64 " of %" PRIu64 " operations\n", of->trace, operations, plan->operations);
    int status = run(plan, operations) ? explain() : lab_error("the heap did not open, or has no memory for it");
    munmap(at, (size_t)found.st_size);
    if (heap != NULL)
        mid_heap_destroy(heap);
    return status;
}

int cmd_explain(int argc, char **argv)
{
    request wanted = {0};
    int status = parse(&wanted, argc, argv);
    if (status != 0)
        return status;
    trace trace;
    plan summary;
    if (!trace_open(&trace, wanted.trace, wanted.partial))
        return lab_error("%s", trace.error);
    int fd = plan_make(&trace, wanted.trace, &summary);
    status = fd < 0 ? lab_error("%s", trace.error) : explain_plan(&wanted, fd);
    if (fd >= 0)
        close(fd);
    trace_close(&trace);
    return status;
}
