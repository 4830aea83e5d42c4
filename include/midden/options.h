/* midden/options.h: every option of a heap and of its daemon, in one table.
 *
 * The table yields the structure with its defaults, the parser of "heap-limit=64M,slice=500us", the
 * environment variable MIDDEN_OPTIONS (read by mid_heap_open over whatever the program chose, so that a
 * person can steer a program that is already built) and the manual page. */
#ifndef MIDDEN_OPTIONS_H
#define MIDDEN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os.h"
#include "status.h"

/* X(field, name, unit, default, least, most, meaning)
 * unit: BYTES (suffixes K M G), COUNT (K M G: thousands), MICROS (us ms s), PERCENT (%), SWITCH (on off),
 * ORDER (off table depth breadth: mid_deep_order), EVACUATE (fullest address first: mid_evacuate_order) */
typedef enum mid_deep_order { MID_DEEP_OFF, MID_DEEP_TABLE, MID_DEEP_DEPTH, MID_DEEP_BREADTH } mid_deep_order;
typedef enum mid_evacuate_order { MID_EVACUATE_FULLEST, MID_EVACUATE_ADDRESS, MID_EVACUATE_FIRST } mid_evacuate_order;

#define MID_OPTIONS(X)                                                                             \
    X(heap_limit, "heap-limit", BYTES, 0, 0, UINT64_MAX,                                           \
      "hard limit on committed bytes, table and side arrays included (mid_reclaim: see there); 0: none")                    \
    X(max_objects, "max-objects", COUNT, 1u << 28, 1u << 13, 2147483647u,                          \
      "handles that can exist at once, those of free slots included; 16 bytes of address space each")               \
    X(pool_size, "pool-size", BYTES, 64u << 10, 16u << 10, 256u << 10,                             \
      "size of a pool, 16K, 64K or 256K (mid_heap_open: MID_EINVAL if it is none of them); objects up to half of it, and to 32K, live in pools") \
    X(reserve, "reserve", BYTES, 512u << 10, 0, UINT64_MAX,                                          \
      "empty pools kept for reuse, so that evacuation never waits for the system")                 \
    X(spare, "spare", PERCENT, 100, 0, 1000,                                                       \
      "empty pools kept while the program runs, of those in use now or lately; 0: the reserve alone")      \
    X(huge_table, "huge-table", SWITCH, 1, 0, 1,                                                   \
      "ask for huge pages behind the handle table once it exceeds 64 MiB")                          \
    X(shared, "shared", SWITCH, 1, 0, 1,                                                           \
      "several threads may be attached at once; off: one at a time, and no store costs an atomic instruction") \
    X(fork_wait, "fork-wait", MICROS, 100000, 0, 60000000,                                         \
      "how long fork() waits for other threads to reach a safepoint")                             \
    X(free_batch, "free-batch", COUNT, 512, 32, 1u << 20,                                          \
      "objects (or pages, of large ones) that one release frees at most; the rest waits on the work list")                   \
    X(quarantine, "quarantine", COUNT, 4096, 0, 1u << 24,                                          \
      "debug heaps: freed handles kept out of use, so that stale ones are told")                   \
    X(daemon, "daemon", SWITCH, 1, 0, 1, "mid_daemon_start starts the background loop at all")     \
    X(credit, "credit", BYTES, 1u << 18, 1u << 14, INT64_MAX,                                     \
      "bytes a thread allocates between two kicks of the daemon")                                  \
    X(heartbeat, "heartbeat", MICROS, 100000, 1000, 60000000,                                      \
      "between two looks of the daemon while there is something to wait for")                      \
    X(slice, "slice", MICROS, 500, 50, 1000000, "longest stop for compaction or freeing")          \
    X(share, "share", PERCENT, 25, 1, 100,                                                         \
      "most of one processor the daemon uses for compaction while the program runs")               \
    X(stop_wait, "stop-wait", MICROS, 2000, 0, 1000000,                                            \
      "how long the daemon waits for a mutator to reach a safepoint before it postpones")          \
    X(growth_min, "growth-min", BYTES, 1u << 20, 0, UINT64_MAX,                                   \
      "growth in live bytes since the last collection below which none is considered")                   \
    X(growth, "growth", PERCENT, 75, 1, 10000,                                                     \
      "growth over what the last collection left alive that asks for a collection")                \
    X(collect_stop, "collect-stop", MICROS, 500, 0, 60000000,                                      \
      "longest stop expected of a whole collection; where half of it is not enough for what one leaves, cycles are proposed while the program runs") \
    X(suspect_min, "suspect-min", COUNT, 256, 1, UINT32_MAX,                                       \
      "objects let go of, but not by all, at which a small heap looks for cycles; more if they led to little before") \
    X(waiting_start, "waiting-start", COUNT, 20000, 1, 1u << 30,                                   \
      "dead objects on the work list at which the daemon stops a running program to free them; "    \
      "while the program is blocked it frees any number")                                          \
    X(waiting_stop, "waiting-stop", COUNT, 1000, 0, 1u << 30,                                      \
      "dead objects on the work list at which it leaves the rest to the program")                  \
    X(frag_start, "frag-start", PERCENT, 110, 100, 100000,                                         \
      "committed pool bytes / live slot bytes at which compaction starts")                         \
    X(frag_stop, "frag-stop", PERCENT, 105, 100, 100000, "the same, at which it stops")            \
    X(deep, "deep", ORDER, 0, 0, 3,                                                                \
      "whether the daemon, while the program is idle, gives handles anew that only the heap itself holds, so that the table "  \
      "shrinks: in the order of the table, or that of a walk, depth or breadth first, with objects laid out in it; MID_COMPACT_DEEP does so too, " \
      "depth first if off") \
    X(evacuate, "evacuate", EVACUATE, 0, 0, 2,                                                     \
      "which pools compaction keeps: the fullest, so that the least is moved; those of the lowest addresses; or the first that " \
      "it comes across. As many remain in each case, beside pinned ones") \
    X(waste_min, "waste-min", BYTES, 1u << 20, 0, UINT64_MAX,                                      \
      "free bytes in pools below which compaction does not start (or 2 % of live, if more)")       \
    X(decay, "decay", MICROS, 10000000, 0, 3600000000u,                                            \
      "how long empty pools are kept while the program allocates")                                 \
    X(idle, "idle", MICROS, 300000, 1000, 3600000000u,                                             \
      "without allocation for this long the program counts as idle: memory goes back at once")     \
    X(pressure, "pressure", SWITCH, 1, 0, 1,                                                       \
      "the daemon listens to what the system says of memory: see docs/design/pressure.md")         \
    X(user_signals, "user-signals", SWITCH, 0, 0, 1,                                               \
      "SIGUSR1 asks the daemon to collect and compact, SIGUSR2 for everything, unless the program handles them")   \
    X(soft_limit, "soft-limit", BYTES, 0, 0, UINT64_MAX,                                           \
      "committed bytes above which the daemon acts as at the level `compact`, and short of which it collects sooner; 0: none") \
    X(soft_share, "soft-share", PERCENT, 0, 0, 100,                                                \
      "the same as a share of the tightest limit among the process's cgroups; 0: none")            \
    X(hard_share, "hard-share", PERCENT, 0, 0, 100,                                                \
      "share of that limit above which the daemon acts as at the level `everything`, as it does at 15/16 of heap-limit; 0: none") \
    X(balance, "balance", BYTES, 0, 0, UINT64_C(1) << 40,                                          \
      "memory worth a hundredth of a processor: the growth that asks for a collection then follows from how fast the program " \
      "allocates and the heap is collected, instead of from `growth`; 0: off")                     \
    X(log_entries, "log-entries", COUNT, 256, 8, 1u << 20, "decisions the daemon's log remembers") \
    X(debug_frames, "debug-frames", COUNT, 8, 0, 32,                                               \
      "debug heaps: callers remembered of each allocation and each free; 0: none")                 \
    X(debug_check, "debug-check", COUNT, 0, 0, UINT32_MAX,                                         \
      "debug heaps: safepoints between two checks of everything; 0: only what was lately in use is checked there") \
    X(debug_move, "debug-move", COUNT, 0, 0, UINT32_MAX,                                           \
      "debug heaps: safepoints between two moves of everything, so that addresses kept past one are told; 0: never")

typedef struct mid_options {
    size_t struct_size;
#define MID_X(field, name, unit, def, least, most, meaning) uint64_t field;
    MID_OPTIONS(MID_X)
#undef MID_X
    const mid_os *os; /* null: the system's memory. Copied by mid_heap_open. */
} mid_options;

#ifdef __cplusplus
extern "C" {
#endif

/* Fill `options` with the defaults (a null pointer is ignored). Any thread. */
MID_API void mid_options_init(mid_options *options);

/* Parse "name=value,name=value" over what `options` holds. White space around names and values is
 * ignored, and so are empty items. On MID_EOPTION nothing has changed and *error_at (if not null) is the
 * offset of the item that was refused: unknown name, malformed number, wrong unit, out of range.
 * MID_ENULL: a null options or text. Any thread. */
MID_API mid_status mid_options_parse(mid_options *options, const char *text, size_t *error_at);

/* One row of the table, for manuals and tools; null past the end. The strings are static. */
typedef struct mid_option_info {
    const char *name, *unit, *meaning;
    uint64_t def, least, most;
} mid_option_info;
MID_API bool mid_options_describe(unsigned row, mid_option_info *info);

/* The value of row `row` of the table in `options`; 0 past the end. */
MID_API uint64_t mid_options_value(const mid_options *options, unsigned row);

#ifdef __cplusplus
}
#endif
#endif
