/* backend_midden.c: a midden heap with its daemon, and the stops that the program notices.
 *
 * default: nodes may be on cycles. acyclic: node types declare that they are not. daemon=off: no background loop; only for
 * workloads that leave no cycles. traced: every allocation, with ten frames; sampled: one each 512 KiB. deep: the daemon also gives handles anew while the program is idle, and shrinks the table. */
#include "backend.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "midden/daemon.h"

static mid_heap *heap;
static mid_daemon *keeper;
static uint32_t node_flags;
static struct histogram pauses;
static uint64_t began;
static atomic_bool idle;
static atomic_ullong stops, stop_wall_max, stop_cpu_max; /* since be_world asked; the last two in nanoseconds */

static void must(mid_status status, const char *call)
{
    if (status != MID_OK)
        be_die(call, mid_status_text(status));
}

/* Wall time, as the program sees it; while it sits in a blocked region it sees none. */
static void stop_begin(void *context)
{
    (void)context;
    began = now_ns();
}

static void stop_end(void *context, uint64_t micros)
{
    (void)context;
    uint64_t took = now_ns() - began;
    if (!atomic_load(&idle))
        histogram_add(&pauses, took);
    atomic_fetch_add(&stops, 1);
    if (took > atomic_load(&stop_wall_max))
        atomic_store(&stop_wall_max, took);
    if (micros * 1000 > atomic_load(&stop_cpu_max))
        atomic_store(&stop_cpu_max, micros * 1000);
}

be_heap *be_open(const char *variant)
{
    uint64_t sample = UINT64_MAX; /* no tracing */
    bool with_daemon = strcmp(variant, "daemon=off") != 0;
    mid_options options;
    mid_options_init(&options);
    if (strcmp(variant, "acyclic") == 0)
        node_flags = MID_ACYCLIC;
    else if (strcmp(variant, "deep") == 0)
        options.deep = MID_DEEP_TABLE;
    else if (strcmp(variant, "traced") == 0 || strcmp(variant, "sampled") == 0)
        sample = *variant == 't' ? 0 : 512 << 10;
    else if (with_daemon && strcmp(variant, "default") != 0)
        be_die("no such variant", variant);
    mid_thread *thread;
    must(mid_heap_open(&heap, &options), "mid_heap_open");
    must(mid_thread_attach(heap, &thread), "mid_thread_attach");
    const mid_listener listener = {
        .struct_size = sizeof listener, .context = &pauses, .stop_begin = stop_begin, .stop_end = stop_end};
    must(mid_listener_add(heap, &listener), "mid_listener_add");
    const mid_trace_options tracing = {sizeof tracing, 10, sample};
    if (sample != UINT64_MAX)
        must(mid_trace_start(heap, &tracing), "mid_trace_start");
    if (with_daemon)
        must(mid_daemon_start(heap, &keeper), "mid_daemon_start");
    return thread;
}

void be_close(be_heap *h)
{
    if (keeper)
        must(mid_daemon_stop(keeper), "mid_daemon_stop");
    must(mid_thread_detach(h), "mid_thread_detach");
    must(mid_heap_destroy(heap), "mid_heap_destroy");
}

be_heap *be_thread_enter(void)
{
    mid_thread *thread;
    must(mid_thread_attach(heap, &thread), "mid_thread_attach");
    return thread;
}

void be_thread_leave(be_heap *h)
{
    must(mid_thread_detach(h), "mid_thread_detach");
}

void be_wait_enter(be_heap *h)
{
    must(mid_blocked_enter(h), "mid_blocked_enter");
}

void be_wait_leave(be_heap *h)
{
    must(mid_blocked_leave(h), "mid_blocked_leave");
}

const char *be_name(void)
{
    return "midden";
}

const char *be_version(void)
{
    return MID_VERSION_STRING;
}

void be_check(be_heap *h)
{
    (void)h;
    if (mid_heap_check(heap) != MID_OK)
        be_die("mid_heap_check", mid_heap_check_text(heap));
}

/* A release may have to go from thread to thread before it frees: a collection waits for that. It is to find no cycle. */
void be_check_empty(be_heap *h)
{
    mid_collect_result found;
    mid_stats stats;
    char text[96];
    must(mid_collect(h, &found), "mid_collect");
    mid_stats_get(heap, &stats, sizeof stats);
    snprintf(text, sizeof text, "%llu objects that nobody holds are alive, %llu were",
             (unsigned long long)stats.live_objects, (unsigned long long)found.garbage);
    if (stats.live_objects != 0 || found.garbage != 0)
        be_die("midden", text);
}

static be_type registered(const mid_type_desc *desc)
{
    mid_type type;
    must(mid_type_register(heap, desc, &type), "mid_type_register");
    return type;
}

be_type be_node_type(be_heap *h, const char *name, size_t size, unsigned refs)
{
    (void)h;
    static const uint32_t offsets[] = {0, 4, 8, 12};
    return registered(&(mid_type_desc){.struct_size = sizeof(mid_type_desc), .name = name, .size = size,
                                       .flags = node_flags, .ref_offsets = offsets, .ref_count = refs});
}

be_type be_bytes_type(be_heap *h)
{
    (void)h;
    return registered(&(mid_type_desc){.struct_size = sizeof(mid_type_desc), .name = "bytes", .flags = MID_UNCLEARED,
                                       .size = BLOB_HEAD, .item_size = 1, .length_offset = 0});
}

be_type be_array_type(be_heap *h)
{
    (void)h;
    return registered(&(mid_type_desc){.struct_size = sizeof(mid_type_desc), .name = "array", .flags = node_flags,
                                       .size = sizeof(uint32_t), .item_size = sizeof(mid_slot),
                                       .length_offset = 0, .items_are_refs = 1});
}

/* A counted handle is a root wherever it is kept. */
void be_roots(be_heap *h, be_ref *array, size_t count)
{
    (void)h, (void)array, (void)count;
}

/* The daemon sees that the program is idle: nothing is asked for. */
void be_shrink(be_heap *h)
{
    (void)h;
}

void be_idle_enter(be_heap *h)
{
    atomic_store(&idle, true);
    must(mid_blocked_enter(h), "mid_blocked_enter");
}

void be_idle_leave(be_heap *h)
{
    must(mid_blocked_leave(h), "mid_blocked_leave");
    atomic_store(&idle, false);
}

void be_finish_frees(be_heap *h)
{
    mid_stats stats;
    do {
        must(mid_safepoint(h), "mid_safepoint");
        mid_stats_get(heap, &stats, sizeof stats);
    } while (stats.waiting_objects != 0);
}

uint64_t be_objects(be_heap *h)
{
    (void)h;
    mid_stats stats;
    mid_stats_get(heap, &stats, sizeof stats);
    return stats.live_objects + stats.waiting_objects;
}

void be_watch_begin(be_heap *h, be_ref ref, be_watch *watch)
{
    must(mid_weak_new(h, ref, watch), "mid_weak_new");
}

bool be_watch_over(be_heap *h, be_watch *watch)
{
    mid_handle there = mid_weak_get(h, *watch);
    if (there != 0)
        mid_release(h, there);
    else
        must(mid_weak_drop(h, *watch), "mid_weak_drop");
    return there == 0;
}

/* An object may go at any time. */
uint64_t be_epoch(void)
{
    static uint64_t asked;
    return ++asked;
}

void be_collect(be_heap *h)
{
    be_finish_frees(h);
    must(mid_collect(h, NULL), "mid_collect");
    be_finish_frees(h);
}

void be_compact(be_heap *h, bool deep)
{
    must(mid_compact(h, deep ? MID_COMPACT_DEEP : MID_COMPACT_PLAIN, 0, NULL), "mid_compact");
}

struct histogram *be_pauses(be_heap *h)
{
    (void)h;
    return &pauses;
}

int be_account(be_heap *h, struct be_account *account)
{
    (void)h;
    mid_pause_stats s;
    account->count = MID_PAUSE_CAUSE_COUNT;
    for (unsigned i = 0; i < account->count; i++) {
        must(mid_stats_pauses(heap, (mid_pause_cause)i, &s), "mid_stats_pauses");
        account->causes[i] = (struct be_cause){mid_pause_name((mid_pause_cause)i), s.count, s.wall_nanos, s.wall_nanos_max,
                                               s.cpu_nanos_max};
    }
    for (unsigned i = 0; i < BE_WINDOWS; i++)
        must(mid_stats_mmu(heap, be_windows_ms[i] * 1000u, &account->mmu[i]), "mid_stats_mmu");
    return 1;
}

/* By the daemon's log; what it began before `micros` is not in it. */
static uint64_t evacuation_cpu(uint64_t micros)
{
    static mid_decision log[256]; /* as many as it remembers */
    uint64_t sum = 0;
    size_t count = keeper ? mid_daemon_log(keeper, log, sizeof log / sizeof *log) : 0;
    for (size_t i = 0; i < count; i++)
        if (log[i].at_micros >= micros && (log[i].action == MID_ACT_COMPACT || log[i].action == MID_ACT_TRIM))
            sum += log[i].took_micros * 1000;
    return sum;
}

bool be_world(be_heap *h, struct be_world *world)
{
    (void)h;
    static uint64_t asked;
    mid_class_stats s;
    *world = (struct be_world){.stops = atomic_exchange(&stops, 0), .wall_max = atomic_exchange(&stop_wall_max, 0),
                               .cpu_max = atomic_exchange(&stop_cpu_max, 0), .evacuation_cpu = evacuation_cpu(asked)};
    asked = now_ns() / 1000;
    for (unsigned i = 0; mid_stats_class(heap, i, &s) == MID_OK; i++) {
        world->pools += s.pools;
        world->optimal_pools += s.optimal_pools;
    }
    return true;
}

_Static_assert((int)MID_PAUSE_CAUSE_COUNT <= (int)BE_CAUSES_MAX, "room for every cause");
