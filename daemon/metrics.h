/* daemon/metrics.h: every figure of mid_stats, by the name Prometheus gets, in one table for metrics.c and describe.c.
 *
 * X(field, metric, type, divisor, help): counters end in _total and only rise; the metric is the field / divisor, in base units. */
#ifndef MIDDEN_DAEMON_METRICS_H
#define MIDDEN_DAEMON_METRICS_H

#include "midden/stats.h"

#define MID_FIGURES(X)                                                                                                             \
    X(live_objects, "midden_live_objects", "gauge", 1, "Objects alive, dying ones excluded.")                                      \
    X(live_slot_bytes, "midden_live_bytes", "gauge", 1, "Of live objects, rounded up to their size classes.")                      \
    X(pool_bytes, "midden_pool_bytes", "gauge", 1, "Pools with at least one object.")                                              \
    X(empty_bytes, "midden_empty_pool_bytes", "gauge", 1, "Pools without an object, kept for reuse.")                              \
    X(run_bytes, "midden_run_bytes", "gauge", 1, "Page runs, for objects of 32 KiB to 1 MiB, their regions whole.")                \
    X(mapping_bytes, "midden_mapping_bytes", "gauge", 1, "Objects above 1 MiB.")                                                   \
    X(table_bytes, "midden_table_bytes", "gauge", 1, "The handle table, its committed part.")                                      \
    X(metadata_bytes, "midden_metadata_bytes", "gauge", 1, "The heap's own structures.")                                           \
    X(committed_bytes, "midden_committed_bytes", "gauge", 1, "All that was obtained from the system and not given back.")          \
    X(peak_committed_bytes, "midden_peak_committed_bytes", "gauge", 1, "The most of it there ever was.")                           \
    X(waiting_objects, "midden_waiting_objects", "gauge", 1, "Dead objects not yet freed.")                                        \
    X(finalizers_waiting, "midden_waiting_finalizers", "gauge", 1, "Finalizers that are due.")                                     \
    X(pinned_objects, "midden_pinned_objects", "gauge", 1, "Objects that may not be moved.")                                       \
    X(weak_references, "midden_weak_references", "gauge", 1, "Weak references to objects alive.")                                  \
    X(allocated_objects, "midden_allocated_objects_total", "counter", 1, "Objects made.")                                          \
    X(allocated_bytes, "midden_allocated_bytes_total", "counter", 1, "Bytes of objects made.")                                     \
    X(freed_objects, "midden_freed_objects_total", "counter", 1, "Objects freed.")                                                 \
    X(collections, "midden_collections_total", "counter", 1, "Collections of cycles.")                                             \
    X(collected_objects, "midden_collected_objects_total", "counter", 1, "Objects freed as garbage on cycles.")                    \
    X(collect_micros, "midden_collect_seconds_total", "counter", 1000000, "Time in collections.")                                  \
    X(compactions, "midden_compactions_total", "counter", 1, "Passes of compaction.")                                              \
    X(moved_objects, "midden_moved_objects_total", "counter", 1, "Objects moved by compaction.")                                   \
    X(moved_bytes, "midden_moved_bytes_total", "counter", 1, "Bytes moved by compaction.")                                         \
    X(compact_micros, "midden_compact_seconds_total", "counter", 1000000, "Time in compaction.")                                   \
    X(returned_bytes, "midden_returned_bytes_total", "counter", 1, "Bytes given back to the system.")                              \
    X(stops, "midden_stops_total", "counter", 1, "Times the world was stopped.")                                                   \
    X(stop_micros, "midden_stopped_seconds_total", "counter", 1000000, "Time for which it was.")                                   \
    X(stop_micros_max, "midden_longest_stop_seconds", "gauge", 1000000, "The longest stop so far.")                                \
    X(finalized_objects, "midden_finalized_objects_total", "counter", 1, "Finalizers run.")                                        \
    X(resurrected_objects, "midden_resurrected_objects_total", "counter", 1, "Objects that their finalizers brought back.")        \
    X(attached_threads, "midden_attached_threads", "gauge", 1, "Threads attached.")                                                \
    X(merged_objects, "midden_merged_objects_total", "counter", 1, "Objects whose owner handed its count over.")                   \
    X(escapes_forced, "midden_forced_escapes_total", "counter", 1, "First loads that took a membarrier.")                          \
    X(postponed_stops, "midden_postponed_stops_total", "counter", 1, "Stops for which a thread did not come in time.")             \
    X(condemned_objects, "midden_condemned_objects", "gauge", 1, "Garbage that waits for its finalizers.")                       \
    X(pool_size, "midden_pool_size_bytes", "gauge", 1, "Of one pool, an option.")                                        \
    X(block_bytes, "midden_mem_pool_bytes", "gauge", 1, "Pools of the domain mem with at least one block.")                        \
    X(foreign_bytes, "midden_foreign_bytes", "gauge", 1, "Memory outside the heap that belongs to its objects.")                   \
    X(peak_foreign_bytes, "midden_peak_foreign_bytes", "gauge", 1, "The most of it there ever was.")                     \
    X(frozen_objects, "midden_frozen_objects", "gauge", 1, "Frozen: mid_freeze.")                                              \
    X(frozen_counts, "midden_frozen_differing_objects", "gauge", 1, "Of them, with a count that is not what it was.")                     \
    X(frozen_written, "midden_frozen_writes_total", "counter", 1, "Their counts for which the side table had no memory.")

#endif
