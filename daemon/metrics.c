/* daemon/metrics.c: /metrics, figures as Prometheus's text format 0.0.4: base units, counters that end in _total. */
#include <inttypes.h>

#include "daemon/metrics.h"
#include "daemon/http.h"
#include "daemon/pressure.h"
#include "midden/version.h"

#define NAMED(name, type, help) "# HELP " name " " help "\n# TYPE " name " " type "\n"

static const struct figure {
    const char *name, *type, *help;
    size_t offset;
    uint64_t divisor;
} figures[] = {
#define MID_X(field, metric, type, divisor, help) {metric, type, help, offsetof(mid_stats, field), divisor},
    MID_FIGURES(MID_X)
#undef MID_X
};
_Static_assert(sizeof figures / sizeof *figures == sizeof(mid_stats) / sizeof(uint64_t), "each figure has its row");

static bool put_figures(mid_heap *heap, struct evbuffer *out)
{
    mid_stats stats;
    bool good = true;
    mid_stats_get(heap, &stats, sizeof stats);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct figure *f = &figures[i];
        uint64_t value = *(const uint64_t *)((const char *)&stats + f->offset);
        good &= evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type) > 0;
        good &= (f->divisor == 1 ? evbuffer_add_printf(out, "%s %" PRIu64 "\n", f->name, value)
                                 : evbuffer_add_printf(out, "%s %.6f\n", f->name, (double)value / (double)f->divisor)) > 0;
    }
    return good;
}

/* A family of lines stands together, so each figure of a class is a round over the classes. */
static bool put_classes(mid_heap *heap, struct evbuffer *out)
{
    static const char *const heads[] = {NAMED("midden_class_pools", "gauge", "Pools of a size class with at least one object."),
                                        NAMED("midden_class_live_slots", "gauge", "Slots of a size class with an object in them."),
                                        NAMED("midden_class_free_slots", "gauge", "Free slots in those pools.")};
    static const char *const names[] = {"midden_class_pools", "midden_class_live_slots", "midden_class_free_slots"};
    bool good = true;
    for (unsigned which = 0; which < 3; which++) {
        mid_class_stats c;
        good &= evbuffer_add_printf(out, "%s", heads[which]) > 0;
        for (unsigned i = 0; mid_stats_class(heap, i, &c) == MID_OK; i++)
            good &= evbuffer_add_printf(out, "%s{slot_bytes=\"%u\"} %" PRIu64 "\n", names[which], c.slot_size,
                                        which == 0 ? c.pools : which == 1 ? c.live_slots : c.free_slots) > 0;
    }
    return good;
}

/* Bucket i holds what took 2^i to 2^(i+1) - 1 of a unit of which there are `per_second`; the last, everything above. The sum
 * is in seconds. */
static bool put_histogram(struct evbuffer *out, const char *name, const char *help, const uint64_t *buckets, double per_second,
                          double sum)
{
    uint64_t below = 0;
    bool good = evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name) > 0;
    for (unsigned i = 0; i + 1 < MID_STOP_BUCKETS; i++) {
        below += buckets[i];
        good &= evbuffer_add_printf(out, "%s_bucket{le=\"%.9g\"} %" PRIu64 "\n", name, (double)(2ull << i) / per_second, below) > 0;
    }
    below += buckets[MID_STOP_BUCKETS - 1];
    good &= evbuffer_add_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9g\n%s_count %" PRIu64 "\n", name, below,
                                name, sum, name, below) > 0;
    return good;
}

static bool put_pauses(mid_heap *heap, struct evbuffer *out)
{
    static const uint64_t windows[] = {1000, 5000, 10000, 50000};
    mid_pause_stats all[MID_PAUSE_CAUSE_COUNT];
    bool good = evbuffer_add_printf(out, NAMED("midden_pauses_total", "counter", "Pauses of the program's threads, by cause.")) > 0;
    for (unsigned i = 0; i < MID_PAUSE_CAUSE_COUNT; i++) {
        mid_stats_pauses(heap, (mid_pause_cause)i, &all[i]);
        good &= evbuffer_add_printf(out, "midden_pauses_total{cause=\"%s\"} %" PRIu64 "\n", mid_pause_name((mid_pause_cause)i), all[i].count) > 0;
    }
    good &= evbuffer_add_printf(out, NAMED("midden_pause_seconds_total", "counter", "Time in them, of the clock on the wall.")) > 0;
    for (unsigned i = 0; i < MID_PAUSE_CAUSE_COUNT; i++)
        good &= evbuffer_add_printf(out, "midden_pause_seconds_total{cause=\"%s\"} %.9f\n", mid_pause_name((mid_pause_cause)i),
                                    (double)all[i].wall_nanos / 1e9) > 0;
    good &= evbuffer_add_printf(out, NAMED("midden_mutator_utilisation_ratio", "gauge",
                                           "Least part of a window that a thread had to itself.")) > 0;
    for (unsigned i = 0; i < sizeof windows / sizeof *windows; i++) {
        double part = 1;
        mid_stats_mmu(heap, windows[i], &part);
        good &= evbuffer_add_printf(out, "midden_mutator_utilisation_ratio{window_seconds=\"%.3f\"} %.6f\n", (double)windows[i] / 1e6, part) > 0;
    }
    return good;
}

bool mid_view_metrics(const mid_view *view, struct evbuffer *out)
{
    uint64_t stops[MID_STOP_BUCKETS];
    mid_stats stats;
    const mid_strain *strain = mid_daemon_inside(view->daemon).strain;
    mid_stats_get(view->heap, &stats, sizeof stats);
    mid_stats_stops(view->heap, stops);
    bool good = evbuffer_add_printf(out, NAMED("midden_build_info", "gauge", "The version.") "midden_build_info{version=\"%s\"} 1\n",
                                    MID_VERSION_STRING) > 0;
    good = put_figures(view->heap, out) && good;
    good = put_classes(view->heap, out) && good;
    good = put_histogram(out, "midden_stop_seconds", "Stops of the world, in processor time.", stops, 1e6,
                         (double)stats.stop_micros / 1e6) && good;
    good = put_pauses(view->heap, out) && good;
    return (evbuffer_add_printf(out,
                                NAMED("midden_daemon_cpu_seconds_total", "counter", "Processor time of the daemon.")
                                "midden_daemon_cpu_seconds_total %.6f\n"
                                NAMED("midden_daemon_wakeups_total", "counter", "Times the daemon woke up.")
                                "midden_daemon_wakeups_total %" PRIu64 "\n"
                                NAMED("midden_pressure_level", "gauge", "How short memory is: 0 calm, 1 trim, 2 compact, 3 everything.")
                                "midden_pressure_level %d\n"
                                NAMED("midden_soft_limit_bytes", "gauge", "Above it the heap is pressed; 0 without.")
                                "midden_soft_limit_bytes %" PRIu64 "\n"
                                NAMED("midden_hard_limit_bytes", "gauge", "Above it, more so; 0 without.")
                                "midden_hard_limit_bytes %" PRIu64 "\n",
                                (double)mid_daemon_cpu_micros(view->daemon) / 1e6, mid_daemon_wakeups(view->daemon), (int)strain->level, strain->soft,
                                strain->hard) > 0) && good;
}
