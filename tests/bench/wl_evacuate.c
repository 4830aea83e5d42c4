/* wl_evacuate.c: how fast sparse pools are evacuated, beside the least that it could cost. A heap of its own, with no daemon, is
 * filled and thinned at random. Phase evacuate: mid_compact, with so great a reserve that nothing goes back to the system. Phase
 * bare: a loop that does the same copies once more, from the same places to the same places in the same order (pools that were
 * equally full by address), and a store of 8 bytes for each into an array as spread out as the handle table. The bytes it
 * copies are those that stand there already. Phase whole: another such heap with the options' defaults, so with what its
 * compaction gives back. An operation is an object that moves. */
#include "blob.h"

#if defined(BENCH_MIDDEN)
#include <stdio.h>
#include <stdlib.h>

enum { LEAST = 16, MOST = 512, ENTRY_WORDS = 2, AHEAD = 24, AHEAD_LONG = 6, LINE = 64, LINES_AHEAD = 4, COLD = 128 << 20 };

struct move {
    const char *from;
    char *to;
    uint32_t handle, bytes;
    uint32_t neighbours; /* objects that lived in the pool it left */
};

static be_ref *objects;
static const char **before;
static struct move *moves;
static uint64_t *table;
static size_t count;
static uint64_t pool_size;
static uint64_t *cold;

static size_t size_of(const struct run *run, struct random *random)
{
    uint64_t size = run_param(run, "size");
    return size != 0 ? size : LEAST + random_below(random, MOST - LEAST + 1);
}

static void prepare(struct run *run)
{
    struct random random = run_random(run);
    uint64_t bytes = run_param(run, "bytes");
    for (uint64_t sum = 0; sum < bytes; count++)
        sum += size_of(run, &random);
    cold = driver_array(COLD, 1);
    objects = driver_array(count, sizeof *objects);
    before = driver_array(count, sizeof *before);
    moves = driver_array(count, sizeof *moves);
    table = driver_array(2 * count + 65536, ENTRY_WORDS * sizeof *table);
}

static void must(mid_status status, const char *call)
{
    if (status != MID_OK)
        be_die(call, mid_status_text(status));
}

static mid_thread *open_thinned(struct run *run, const char *options_text)
{
    struct random random = run_random(run);
    const uint64_t keep = run_param(run, "keep");
    mid_options options;
    mid_heap *heap;
    mid_thread *thread;
    mid_type type;
    mid_options_init(&options);
    must(mid_options_parse(&options, options_text, NULL), "mid_options_parse");
    must(mid_heap_open(&heap, &options), "mid_heap_open");
    must(mid_thread_attach(heap, &thread), "mid_thread_attach");
    mid_stats stats;
    mid_stats_get(heap, &stats, sizeof stats);
    pool_size = stats.pool_size;
    const mid_type_desc bytes = {.struct_size = sizeof bytes, .name = "bytes", .flags = MID_UNCLEARED, .size = BLOB_HEAD,
                                 .item_size = 1, .length_offset = 0};
    must(mid_type_register(heap, &bytes, &type), "mid_type_register");
    for (size_t i = 0; i < count; i++)
        objects[i] = blob_make(thread, type, size_of(run, &random), (uint32_t)i);
    for (size_t i = 0; i < count; i++)
        if (random_below(&random, 100) >= keep) {
            mid_release(thread, objects[i]);
            objects[i] = 0;
        }
    must(mid_safepoint(thread), "mid_safepoint");
    return thread;
}

/* Neither phase finds in the processor's caches what another has left there. */
static void chill(void)
{
    for (size_t i = 0; i < COLD / sizeof *cold; i += LINE / sizeof *cold)
        cold[i]++;
}

static mid_compact_result compact(struct run *run, mid_thread *thread, const char *phase)
{
    mid_compact_result result;
    chill();
    phase_begin(run);
    must(mid_compact(thread, MID_COMPACT_PLAIN, 0, &result), "mid_compact");
    phase_end(run, phase, result.moved_objects, result.moved_bytes);
    return result;
}

static void close_heap(struct run *run, mid_thread *thread)
{
    mid_heap *heap = mid_thread_heap(thread);
    if (run->check && mid_heap_check(heap) != MID_OK)
        be_die("mid_heap_check", mid_heap_check_text(heap));
    for (size_t i = 0; i < count; i++)
        if (objects[i]) {
            run_checksum(run, blob_checksum(thread, objects[i]));
            mid_release(thread, objects[i]);
        }
    must(mid_thread_detach(thread), "mid_thread_detach");
    must(mid_heap_destroy(heap), "mid_heap_destroy");
}

static int by_source(const void *a, const void *b)
{
    const struct move *x = a, *y = b;
    if (x->neighbours != y->neighbours)
        return x->neighbours < y->neighbours ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

static int by_address(const void *a, const void *b)
{
    const struct move *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* What moved, in the order in which it did: the pools with the fewest objects came first. */
static size_t find_moves(mid_thread *thread, const mid_compact_result *result)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        char *now = objects[i] ? mid_get(thread, objects[i]) : NULL;
        if (now == NULL || now == before[i])
            continue;
        uint32_t bytes = (uint32_t)(BLOB_HEAD + ((const struct blob *)now)->length);
        moves[n++] = (struct move){before[i], now, objects[i], bytes, 0};
        if (objects[i] / 2 >= 2 * count + 65536 || memcmp(before[i], now, bytes) != 0)
            be_die("evacuate", "an object is not what it was");
    }
    if (n != result->moved_objects)
        be_die("evacuate", "more was said to have moved than did");
    qsort(moves, n, sizeof *moves, by_address);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && (uintptr_t)moves[end].from / pool_size == (uintptr_t)moves[i].from / pool_size; end++)
            ;
        for (size_t k = i; k < end; k++)
            moves[k].neighbours = (uint32_t)(end - i);
    }
    qsort(moves, n, sizeof *moves, by_source);
    return n;
}

/* Inlined for each size, so that the copy is the compiler's best. */
static inline __attribute__((always_inline)) void bare(size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) {
            const struct move *next = &moves[i + (size <= 256 ? AHEAD : AHEAD_LONG)];
            for (unsigned line = 0; line < LINES_AHEAD && line * LINE < next->bytes; line++) {
                __builtin_prefetch(next->from + line * LINE);
                __builtin_prefetch(next->to + line * LINE, 1);
            }
            __builtin_prefetch(&table[ENTRY_WORDS * (next->handle / 2)], 1);
        }
        const struct move *move = &moves[i];
        memcpy(move->to, move->from, size != 0 ? size : move->bytes);
        table[ENTRY_WORDS * (move->handle / 2)] = (uint64_t)(uintptr_t)move->to;
    }
    __asm__ volatile("" : : : "memory");
}

static void time_bare(struct run *run, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += moves[i].bytes;
    chill();
    phase_begin(run);
    switch (run_param(run, "size")) {
    case 64: bare(n, 64); break;
    case 256: bare(n, 256); break;
    case 1024: bare(n, 1024); break;
    case 4096: bare(n, 4096); break;
    default: bare(n, 0); break;
    }
    phase_end(run, "bare", n, bytes);
}

static void run_evacuate(struct run *run)
{
    char options[64];
    snprintf(options, sizeof options, "reserve=%llu", (unsigned long long)run_param(run, "bytes") * 4 + (64u << 20));
    mid_thread *thread = open_thinned(run, options);
    for (size_t i = 0; i < count; i++)
        before[i] = objects[i] ? mid_get(thread, objects[i]) : NULL;
    mid_compact_result result = compact(run, thread, "evacuate");
    if (result.returned_bytes != 0)
        be_die("evacuate", "what was evacuated is gone");
    time_bare(run, find_moves(thread, &result));
    close_heap(run, thread);
    thread = open_thinned(run, "");
    compact(run, thread, "whole");
    close_heap(run, thread);
}

const struct workload wl_evacuate = {"evacuate", prepare, run_evacuate};
#endif
