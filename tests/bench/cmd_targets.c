/* cmd_targets.c: the figures that the project promises, and whether results keep them. Times are held to in both readings,
 * wall and processor. A target that the results do not cover (other parameters, a heap left out) is not shown. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

enum kind {
    TIME_OF_PEER,   /* seconds, and cpu_seconds, over the best variant's */
    BYTES_OF_PEER,  /* `key` over the peer's `variant`, or its best */
    BYTES_OF_LIVE,  /* net resident over live bytes */
    OF_PHASE,       /* `key` over the same in another phase, `peer` */
    OF_FIGURE,      /* `key` over `peer`, another figure */
    FIGURE,         /* `key` as it is */
    MILLIS,         /* `key`, in seconds, in milliseconds */
    NS_MILLIS,      /* `key`, in nanoseconds, in milliseconds */
    NS_PER_OP,      /* seconds, and cpu_seconds, over operations */
    TIME_OF_OTHER,  /* the greater of two times per operation over the smaller; `variant` is the other's parameters */
    CALL_MICROS,    /* `key`, of calls in nanoseconds, in microseconds */
    CPU_MILLIS,     /* `key`, in milliseconds */
    SPEED_OF_PHASE, /* held to from below: `key` of the phase `variant` over its own */
    /* Held to from below, in wall time: */
    SPEED_OF_PEER,  /* operations a second over the best variant's */
    SPEED_OF_OTHER, /* operations a second over those with the parameters `variant` */
    SCALING_OF_PEER /* that ratio over the peer's */
};

struct target {
    const char *workload, *params, *phase;
    enum kind kind;
    const char *key, *peer, *variant; /* from BYTES_OF_LIVE to NS_MILLIS: midden's own variant */
    double limit;
    const char *text;
};

static const struct target targets[] = {
    {"binary-trees", "depth=18", "run", TIME_OF_PEER, "seconds", "boehm", NULL, 0.45, "time / boehm"},
    {"binary-trees", "depth=21", "run", TIME_OF_PEER, "seconds", "boehm", NULL, 0.45, "time / boehm"},
    {"binary-trees", "depth=18", "run", TIME_OF_PEER, "seconds", "mimalloc", NULL, 1.5, "time / mimalloc"},
    {"binary-trees", "depth=21", "run", TIME_OF_PEER, "seconds", "mimalloc", NULL, 1.9, "time / mimalloc"},
    {"binary-trees", "depth=18", "run", TIME_OF_PEER, "seconds", "malloc", NULL, 1.0, "time / malloc"},
    {"binary-trees", "depth=21", "run", TIME_OF_PEER, "seconds", "malloc", NULL, 1.0, "time / malloc"},
    {"binary-trees", "depth=18", "run", BYTES_OF_PEER, "peak_rss_bytes", "boehm", NULL, 0.6, "peak / boehm"},
    {"binary-trees", "depth=21", "run", BYTES_OF_PEER, "peak_rss_bytes", "boehm", NULL, 0.6, "peak / boehm"},
    {"gcbench", "stretch-depth=18", "run", TIME_OF_PEER, "seconds", "boehm", NULL, 0.65, "time / boehm"},
    {"gcbench", "stretch-depth=18", "run", TIME_OF_PEER, "seconds", "malloc", NULL, 1.0, "time / malloc"},
    {"churn", "live=4000000", "churn", TIME_OF_PEER, "seconds", "boehm", NULL, 1.0, "time / boehm"},
    {"churn", "live=4000000", "churn", BYTES_OF_PEER, "net_rss_bytes", "boehm", "plain", 0.65, "net / boehm plain"},
    {"churn", "live=4000000", "churn", BYTES_OF_PEER, "net_rss_bytes", "boehm", "atomic", 0.95, "net / boehm atomic"},
    {"r3", "bytes=536870912", "shrunk", BYTES_OF_LIVE, NULL, NULL, NULL, 1.75, "net / live"},
    {"r3", "bytes=536870912", "refilled", BYTES_OF_LIVE, NULL, NULL, NULL, 1.2, "net / live"},
    {"r3", "bytes=536870912", "shrunk", MILLIS, "evacuation_cpu_seconds", NULL, NULL, 100, "evacuation, CPU ms"},
    {"r3", "bytes=536870912", "refilled", OF_PHASE, "peak_rss_bytes", "full", NULL, 1.005, "peak / peak when full"},
    {"r3", "bytes=536870912 hold=array", "shrunk", BYTES_OF_LIVE, NULL, NULL, NULL, 1.75, "net / live"},
    {"r3", "bytes=536870912 hold=array", "shrunk", BYTES_OF_LIVE, NULL, NULL, "deep", 1.18, "net / live, deep"},
    {"r3", "bytes=536870912 hold=array", "refilled", BYTES_OF_LIVE, NULL, NULL, "deep", 1.1, "net / live, deep"},
    {"r3", "bytes=536870912 hold=array", "refilled", OF_PHASE, "peak_rss_bytes", "full", "deep", 1.005, "peak / peak when full, deep"},
    {"r1", "limit=100000000 hold=array", "shrunk", BYTES_OF_LIVE, NULL, NULL, "deep", 1.12, "net / live, deep"},
    {"r1", "limit=100000000 hold=array", "shrunk", FIGURE, "resident.settle_seconds", NULL, "deep", 1, "settled, s, deep"},
    {"r1", "limit=100000000 hold=array", "shrunk", OF_FIGURE, "resident.settle_background_seconds",
     "resident.settle_seconds", "deep", 0.25, "background CPU / time until settled, deep"},
    {"r1", "limit=100000000 hold=array", "shrunk", NS_MILLIS, "stops.cpu_max", NULL, "deep", 1, "longest stop, CPU ms, deep"},
    {"chase", "nodes=4000000", "deep-random", NS_PER_OP, NULL, NULL, NULL, 10, "ns a hop"},
    {"rings", "size=10", "run", TIME_OF_PEER, "seconds", "boehm", NULL, 0.7, "time / boehm"},
    {"rings", "size=100", "run", TIME_OF_PEER, "seconds", "boehm", NULL, 0.7, "time / boehm"},
    {"rings", "size=1000", "run", TIME_OF_PEER, "seconds", "boehm", NULL, 0.7, "time / boehm"},
    {"rings", "size=10", "run", TIME_OF_OTHER, NULL, NULL, "size=1000", 1.5, "slower / faster of sizes 10, 1000"},
    {"list-drop", "nodes=10000000", "drop", NS_PER_OP, NULL, NULL, NULL, 20, "ns a node"},
    {"larson", "threads=2", "run", SPEED_OF_OTHER, NULL, NULL, "threads=1", 1.6, "speed / one thread's"},
    {"larson", "threads=2", "run", SCALING_OF_PEER, NULL, "mimalloc", "threads=1", 1.0, "that / mimalloc's own"},
    {"larson", "threads=2", "run", SPEED_OF_PEER, NULL, "boehm", NULL, 8.0, "speed / boehm"},
    {"larson", "threads=2", "run", SPEED_OF_PEER, NULL, "mimalloc", NULL, 0.6, "speed / mimalloc"},
    {"stops", "threads=2", "to-stop", CALL_MICROS, "call_ns.p50", NULL, NULL, 50, "median time to stop, µs"},
    {"evacuate", "size=64", "evacuate", SPEED_OF_PHASE, "cpu_seconds", NULL, "bare", 0.5, "speed / bare loop"},
    {"evacuate", "size=256", "evacuate", SPEED_OF_PHASE, "cpu_seconds", NULL, "bare", 0.5, "speed / bare loop"},
    {"evacuate", "size=1024", "evacuate", SPEED_OF_PHASE, "cpu_seconds", NULL, "bare", 0.5, "speed / bare loop"},
    {"evacuate", "size=4096", "evacuate", SPEED_OF_PHASE, "cpu_seconds", NULL, "bare", 0.5, "speed / bare loop"},
    {"evacuate", "size=0 bytes=536870912 keep=10", "whole", CPU_MILLIS, "cpu_seconds", NULL, NULL, 100, "processor time, ms"},
};

static bool from_below(const struct target *t)
{
    return t->kind == SPEED_OF_PHASE || t->kind == SPEED_OF_PEER || t->kind == SPEED_OF_OTHER || t->kind == SCALING_OF_PEER;
}

/* Nanoseconds an operation of the target's workload and phase. */
static double ns_of(const json_t *document, const struct target *t, const char *params, const char *heap)
{
    struct figure figure = bench_figure_best(document, t->workload, params, t->phase, heap, "ns_per_op", NULL);
    return figure.count ? figure.median : 0;
}

/* Negative: not covered. */
static double speed_reading(const json_t *document, const struct target *t)
{
    double own = ns_of(document, t, t->params, "midden"), other;
    if (t->kind == SPEED_OF_PEER)
        other = ns_of(document, t, t->params, t->peer);
    else
        other = ns_of(document, t, t->variant, "midden");
    if (t->kind == SCALING_OF_PEER) {
        double peer = ns_of(document, t, t->params, t->peer), peer_other = ns_of(document, t, t->variant, t->peer);
        other = peer_other > 0 ? other * peer / peer_other : 0;
    }
    return own > 0 && other > 0 ? other / own : -1;
}

/* Midden's own figure, in the target's variant if it names one of midden's. */
static struct figure own_figure(const json_t *document, const struct target *t, const char *phase, const char *key)
{
    return t->kind >= BYTES_OF_LIVE && t->kind <= NS_MILLIS && t->variant
               ? bench_figure(document, t->workload, t->params, phase, "midden", t->variant, key)
               : bench_figure_best(document, t->workload, t->params, phase, "midden", key, NULL);
}

/* One reading of a target: `key` is "seconds", "cpu_seconds", or what the target names. Negative: not covered. */
static double reading(const json_t *document, const struct target *t, const char *key)
{
    struct figure own = own_figure(document, t, t->phase, key), other = {.median = 1, .count = 1};
    switch (t->kind) {
    case TIME_OF_PEER:
    case BYTES_OF_PEER:
        other = t->variant ? bench_figure(document, t->workload, t->params, t->phase, t->peer, t->variant, key)
                           : bench_figure_best(document, t->workload, t->params, t->phase, t->peer, key, NULL);
        break;
    case BYTES_OF_LIVE:
        other = own_figure(document, t, t->phase, "live_bytes");
        break;
    case OF_PHASE:
        other = own_figure(document, t, t->peer, key);
        break;
    case OF_FIGURE:
        other = own_figure(document, t, t->phase, t->peer);
        break;
    case FIGURE:
        break;
    case MILLIS:
        other.median = 1e-3;
        break;
    case NS_MILLIS:
        other.median = 1e6;
        break;
    case NS_PER_OP:
        other = bench_figure_best(document, t->workload, t->params, t->phase, "midden", "operations", NULL);
        other.median /= 1e9;
        break;
    case TIME_OF_OTHER:
        other = bench_figure_best(document, t->workload, t->variant, t->phase, "midden", key, NULL);
        break;
    case CALL_MICROS:
        other.median = 1e3;
        break;
    case CPU_MILLIS:
        other = (struct figure){.median = 0.001, .count = 1};
        break;
    case SPEED_OF_PHASE:
        other = own;
        own = bench_figure_best(document, t->workload, t->params, t->variant, "midden", key, NULL);
        break;
    case SPEED_OF_PEER:
    case SPEED_OF_OTHER:
    case SCALING_OF_PEER:
        return speed_reading(document, t);
    }
    if (own.count == 0 || other.count == 0 || other.median <= 0)
        return -1;
    double ratio = own.median / other.median;
    return t->kind == TIME_OF_OTHER && ratio < 1 ? 1 / ratio : ratio;
}

static bool has_two_readings(const struct target *t)
{
    return t->kind == TIME_OF_PEER || t->kind == NS_PER_OP || t->kind == TIME_OF_OTHER;
}

void bench_print_targets(const json_t *document, enum bench_style style)
{
    struct bench_grid grid = {0};
    bench_grid_row(&grid);
    static const char *const headings[] = {"workload", "target", "limit", "wall", "cpu", "holds"};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
        bench_grid_cell(&grid, "%s", headings[i]);
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const struct target *t = &targets[i];
        bool two = has_two_readings(t);
        double wall = reading(document, t, two ? "seconds" : t->key ? t->key : "net_rss_bytes");
        double cpu = two ? reading(document, t, "cpu_seconds") : -1;
        if (wall < 0)
            continue;
        bench_grid_row(&grid);
        bench_grid_cell(&grid, "%s %s %s", t->workload, t->params, t->phase);
        bench_grid_cell(&grid, "%s", t->text);
        bench_grid_cell(&grid, "%s%.2f", from_below(t) ? "≥ " : "", t->limit);
        bench_grid_cell(&grid, "%.2f", wall);
        if (two)
            bench_grid_cell(&grid, "%.2f", cpu);
        else
            bench_grid_cell(&grid, "-");
        bool holds = from_below(t) ? wall >= t->limit : wall <= t->limit && cpu <= t->limit;
        bench_grid_cell(&grid, "%s", holds ? "yes" : "NO");
    }
    if (grid.rows > 1) {
        puts(style == BENCH_MARKDOWN ? "\n**Targets** (midden over the peer's best variant; lower is better, except after ≥)\n"
                                     : "\nTargets: midden over the peer's best variant; lower is better, except after ≥");
        bench_grid_print(&grid, style, 2);
    }
    bench_grid_free(&grid);
}
